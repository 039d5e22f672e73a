#!/bin/bash
# Random state fuzzing of privileged instructions: the processor of Bochs in VMX non-root operation against core/x86, in
# one bare-metal image (tests/metal/privfuzz.h). No difference may be without an explanation (docs/PRIVILEGED.md).
#
#   N=100000 SEED=1 FIRST=0 REPORTS=40 MODEL=corei7_skylake_x LOG=FILE BREAK=INSN tests/long/privfuzz.sh
#
# BREAK: our CPU gets ZF of an instruction wrong, and the test is that this is found.
. "$(dirname "$0")/../e2e/lib.sh"

count=${N:-100000} seed=${SEED:-1} first=${FIRST:-0} reports=${REPORTS:-40} model=${MODEL:-corei7_skylake_x}
verbose=${VERBOSE:-0} broken=${BREAK:-} limit=${LIMIT:-2900} log=${LOG:-$work/log} name="$count cases of seed $seed on $model"
metal=$(dirname "$(readlink -f "$VMSCOPE")")/metal
have bochs || { skip "$name" "bochs is not installed"; finish; }
have python3 || { skip "$name" "python3 is not installed"; finish; }
[ -s "$metal/privfuzz.bin" ] || { fail "$name" "no $metal/privfuzz.bin: make privfuzz"; finish; }

python3 -c 'import struct, sys; sys.stdout.buffer.write(struct.pack("<6Q16s", 0x5a55465652505356, *map(int, sys.argv[1:6]), sys.argv[6].encode()))' \
	"$seed" "$first" "$count" "$reports" "$verbose" "$broken" >"$work/request"
cylinders=$(tests/mkbundle disk "$work/disk" "$metal/bootsect.bin" "$metal/privfuzz.bin" "$work/request")
cat >"$work/bochsrc" <<-END
	config_interface: textconfig
	display_library: rfb, options="timeout=0,hideIPS"
	cpu: model=$model, count=1, ips=8000000, reset_on_triple_fault=0, ignore_bad_msrs=1
	memory: guest=64, host=64
	romimage: file=\$BXSHARE/BIOS-bochs-latest, options=fastboot
	vgaromimage: file=\$BXSHARE/VGABIOS-lgpl-latest
	ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
	ata0-master: type=disk, path=$work/disk, mode=flat, cylinders=$cylinders, heads=16, spt=63
	boot: disk
	com1: enabled=1, mode=file, dev=$work/com1
	clock: sync=none, time0=1
	log: $work/bochs.log
	panic: action=fatal
	error: action=report
	info: action=ignore
	debug: action=ignore
	plugin_ctrl: speaker=0
END
printf 'c\nq\n' >"$work/rc"
timeout -s KILL "$limit" bochs -q -unlock -f "$work/bochsrc" -rc "$work/rc" </dev/null >"$work/out" 2>&1 || true
[ -e "$work/com1" ] || : >"$work/com1"
tr -d '\r' <"$work/com1" >"$log"
grep -a '^ended by\|^endless\|^explained\|^different' "$log" | sed 's/^/    /'
if [ -n "$broken" ]; then
	if grep -aq '^DIFF' "$log" && ! grep -a '^DIFF' "$log" | grep -qv "^DIFF [0-9]* [a-z_]*$broken"; then
		ok "$broken broken in our CPU: found, and nothing else"
	else
		fail "$broken broken in our CPU" "$(grep -a '^DIFF\|^privfuzz' "$log" | head -n 5)"
	fi
elif grep -aq '^privfuzz: seed .* equal, 0 different; .* 0 unimplemented' "$log" &&
	# and nearly every case ran, nearly all without an explanation
	awk -v n="$count" '/^privfuzz: seed/ { for (i = 1; i < NF; i++) { if ($(i + 1) ~ /^run/) run = $i; if ($(i + 1) ~ /^equal/) equal = $i } }
		END { exit !(run >= 0.97 * n && equal >= 0.88 * run) }' "$log"; then
	ok "$name: $(grep -a '^privfuzz: seed' "$log" | sed 's/.*: //')"
else
	fail "$name" "$(grep -a '^privfuzz' "$log" | tail -n 2)" "$(tail -n 3 "$work/bochs.log" 2>/dev/null)" "$(tail -n 3 "$log")"
fi
finish
