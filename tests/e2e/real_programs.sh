#!/bin/bash
# Programs that nobody here wrote, from Debian's own packages, unmodified.
. "$(dirname "$0")/lib.sh"

# SeaBIOS: its log on port 0x402, in emulate and on /dev/kvm, the same lines. Exempt, by name: the line with the measured
# frequency of the CPU ("CPU Mhz=").
rom=/usr/share/seabios/bios-256k.bin
log() { grep -av 'CPU Mhz=' "$1" | tr -d '\r'; }
if [ -r $rom ]; then
	timeout 300 "$VMSCOPE" run --firmware $rom --mem 64M --timeout 120 --max-insns 400000000 >"$work/emu" 2>"$work/emu.err"
	for line in 'SeaBIOS (version 1.16.2' 'Found .* PCI devices' 'Booting from\|No bootable device\|Boot failed'; do
		grep -aq "$line" "$work/emu" && ok "SeaBIOS in emulate says: $line" ||
			fail "SeaBIOS in emulate says: $line" "$(tail -n 5 "$work/emu")" "$(tail -n 12 "$work/emu.err")"
	done
	got=0
	timeout 300 "$VMSCOPE" run --firmware $rom --mem 64M --mode virtualize --timeout 20 >"$work/kvm" 2>"$work/kvm.err" || got=$?
	if [ $got -eq 3 ] && ! grep -aq SeaBIOS "$work/kvm"; then
		skip "SeaBIOS on /dev/kvm" "$(tail -n 1 "$work/kvm.err")"
	elif diff <(log "$work/emu") <(log "$work/kvm") >"$work/diff"; then
		ok "SeaBIOS on /dev/kvm logs the same lines ($(log "$work/kvm" | wc -l))"
	else
		fail "SeaBIOS on /dev/kvm logs the same lines" "$(head -n 10 "$work/diff")"
	fi
else
	skip "SeaBIOS" "the package seabios is not installed"
fi

# memtest86+: the banner on the serial line, and the first three tests without an error.
image=/boot/memtest86+x64.bin
if [ -r $image ]; then
	"$VMSCOPE" run --kernel $image --append "console=ttyS0,115200" --mem 16M --timeout "${MEMTEST_SECONDS:-400}" \
		--max-insns "${MEMTEST_INSNS:-9000000000}" >"$work/mem" 2>"$work/mem.err"
	sed 's/\x1b\[[0-9;]*[A-Za-z]/\n/g' "$work/mem" >"$work/mem.txt"
	grep -aq 'Memtest86+ v6.10' "$work/mem.txt" && ok "memtest86+ shows its banner on the serial line" ||
		fail "memtest86+ shows its banner on the serial line" "$(tail -c 300 "$work/mem.txt")" "$(tail -n 12 "$work/mem.err")"
	for n in 0 1 2; do
		grep -aq "#$n" "$work/mem.txt" && ok "memtest86+ begins test $n" || fail "memtest86+ begins test $n"
	done
	grep -aq '#3' "$work/mem.txt" && ok "memtest86+ finishes its first three tests" ||
		fail "memtest86+ finishes its first three tests" "$(tail -c 300 "$work/mem.txt")" "$(grep -a 'instructions\|end' "$work/mem.err")"
	errors=$(grep -ao 'Errors: *[0-9]*' "$work/mem.txt" | tr -dc '0-9\n' | sort -n | tail -n 1)
	is "memtest86+ reports no error" 0 "${errors:-none reported}"
else
	skip "memtest86+" "the package memtest86+ is not installed"
fi
finish
