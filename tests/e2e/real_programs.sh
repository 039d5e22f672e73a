#!/bin/bash
# Programs that nobody here wrote, from Debian's own packages, unmodified.
. "$(dirname "$0")/lib.sh"

# SeaBIOS: its log on port 0x402, in emulate, on /dev/kvm and on bare metal, the same lines. Exempt, by name: the line with the measured
# frequency of the CPU ("CPU Mhz=").
rom=/usr/share/seabios/bios-256k.bin
booting() { # the log, from its first line to the end of the first round of booting
	tr -d '\r' <"$1" | grep -av 'CPU Mhz=' | sed -n '/SeaBIOS (version/,/No bootable device/p' |
		awk '{ print } /No bootable device/ { exit }'
}
if [ -r $rom ]; then
	"$VMSCOPE" run --firmware $rom --max-insns 200000000 >"$work/emu" 2>"$work/emu.err"
	booting "$work/emu" >"$work/emu.log"
	for line in 'SeaBIOS (version 1.16' 'Found .* PCI devices' 'Booting from' 'No bootable device'; do
		grep -aq "$line" "$work/emu.log" && ok "SeaBIOS in emulate says: $line" ||
			fail "SeaBIOS in emulate says: $line" "$(tail -n 5 "$work/emu")" "$(tail -n 12 "$work/emu.err")"
	done
	# On host time it would wait a minute before it boots again: stop it when the log is complete, as Ctrl-C does.
	seabios_on() { # LABEL OPTIONS...
		local label=$1 got=0 pid
		shift
		: >"$work/log" # not the last run's: that would end this one before it has begun
		"$VMSCOPE" run --firmware $rom --mode virtualize --timeout 120 "$@" >"$work/log" 2>"$work/err" &
		pid=$!
		while kill -0 $pid 2>/dev/null && ! grep -aq 'No bootable device' "$work/log"; do sleep 0.2; done
		kill -INT $pid 2>/dev/null
		wait $pid || got=$?
		booting "$work/log" >"$work/log.lines"
		if [ $got -eq 3 ] && [ ! -s "$work/log.lines" ]; then
			skip "SeaBIOS on $label" "$(tail -n 1 "$work/err")"
		elif diff "$work/emu.log" "$work/log.lines" >"$work/diff"; then
			ok "SeaBIOS on $label logs the same $(wc -l <"$work/log.lines") lines"
		else
			fail "SeaBIOS on $label logs the same lines" "$(head -n 10 "$work/diff")" "$(head -n 4 "$work/err")"
		fi
	}
	seabios_on /dev/kvm
	seabios_on "bare metal, VT-x in Bochs" --type 1 --engine vmx --machine bochs
	seabios_on "bare metal, AMD-V in QEMU" --type 1 --engine svm --machine qemu
else
	skip "SeaBIOS" "the package seabios is not installed"
fi

# memtest86+: the banner on the serial line, and the first three tests without an error.
image=/boot/memtest86+x64.bin
if [ -r $image ]; then
	# The screen is drawn once a second of guest time, and short tests pass unseen; the tests run in order, so the
	# highest number that was drawn says how many came before it.
	"$VMSCOPE" run --kernel $image --append "console=ttyS0,115200" --mem 16M --timeout "${MEMTEST_SECONDS:-500}" \
		--max-insns "${MEMTEST_INSNS:-2000000000}" >"$work/mem" 2>"$work/mem.err"
	sed 's/\x1b\[[0-9;]*[A-Za-z]/\n/g' "$work/mem" >"$work/mem.txt"
	grep -aq 'Memtest86+ v6' "$work/mem.txt" && ok "memtest86+ shows its banner on the serial line" ||
		fail "memtest86+ shows its banner on the serial line" "$(tail -c 300 "$work/mem.txt")" "$(tail -n 12 "$work/mem.err")"
	last=$(grep -aoE '#[0-9]+  \[' "$work/mem.txt" | tr -dc '0-9\n' | sort -n | tail -n 1)
	if [ "${last:-0}" -ge 3 ]; then
		ok "memtest86+ finishes its first three tests (it is at test $last)"
	else
		fail "memtest86+ finishes its first three tests" "it is at test ${last:-none}" "$(tail -c 300 "$work/mem.txt")" \
			"$(grep -a 'instructions\|end' "$work/mem.err")"
	fi
	errors=$(grep -ao 'Errors: *[0-9]*' "$work/mem.txt" | tr -dc '0-9\n' | sort -n | tail -n 1)
	is "memtest86+ reports no error" 0 "${errors:-none reported}"
else
	skip "memtest86+" "the package memtest86+ is not installed"
fi
finish
