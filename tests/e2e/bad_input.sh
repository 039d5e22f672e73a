#!/bin/bash
# Bad input: each case is one line on stderr that says what, where and what to do, and the contract's exit status.
. "$(dirname "$0")/lib.sh"

# says NAME TEXT: the line of the last command holds TEXT
says() { if grep -qF -e "$2" "$work/err"; then ok "$1"; else fail "$1" "$(cat "$work/err")"; fi; }

one_line "no command" 2 "$VMSCOPE"
one_line "unknown command" 2 "$VMSCOPE" frobnicate
one_line "a command of a later version" 2 "$VMSCOPE" pool
one_line "no guest" 2 "$VMSCOPE" run
one_line "two guests" 2 "$VMSCOPE" run hello primes
one_line "unknown option" 2 "$VMSCOPE" run hello --frobnicate
one_line "unknown short option" 2 "$VMSCOPE" run hello -z
one_line "option without its value" 2 "$VMSCOPE" run hello --mem
one_line "value for an option that takes none" 2 "$VMSCOPE" run hello --json=yes
one_line "unknown mode" 2 "$VMSCOPE" run hello --mode dream
one_line "unknown type" 2 "$VMSCOPE" run hello --type 3
one_line "unknown profile" 2 "$VMSCOPE" run hello --controls everything
one_line "unknown engine" 2 "$VMSCOPE" run hello --engine warp
one_line "unknown clock" 2 "$VMSCOPE" run hello --clock sundial
one_line "--mem 0" 2 "$VMSCOPE" run hello --mem 0
one_line "--mem that is no size" 2 "$VMSCOPE" run hello --mem lots
one_line "--mem beyond the host" 2 "$VMSCOPE" run hello --mem 1000000G
one_line "--max-exits 0" 2 "$VMSCOPE" run hello --max-exits 0
one_line "--timeout that is no number" 2 "$VMSCOPE" run hello --timeout soon
one_line "--keys with a wrong escape" 2 "$VMSCOPE" run hello --keys 'ab\xZZ'
says "the line says where the escape is" 'at character 3'
one_line "--keys with half an escape" 2 "$VMSCOPE" run hello --keys '\x4'
one_line "takes one CPU" 2 "$VMSCOPE" run hello --mode simulate --cpus 2
one_line "give 1 to 8" 2 "$VMSCOPE" run hello --cpus 9
one_line "--disk comes later" 2 "$VMSCOPE" run hello --disk x.img
one_line "--cdrom comes later" 2 "$VMSCOPE" run hello --cdrom x.iso
one_line "--floppy comes later" 2 "$VMSCOPE" run hello --floppy x.img
one_line "--gdb comes later" 2 "$VMSCOPE" run hello --gdb 1234
one_line "--machine with type 2" 2 "$VMSCOPE" run hello --machine bochs
one_line "KVM with another profile" 2 "$VMSCOPE" run hello --mode virtualize --controls vtx-ept
one_line "KVM on virtual time" 2 "$VMSCOPE" run hello --mode virtualize --clock virtual

: >"$work/empty"
head -c 3 /dev/zero >"$work/tiny.bin"
head -c 200000 /dev/zero | tr '\0' '\220' >"$work/huge.bin"
mkfifo "$work/fifo"
hello=$(dirname "$(readlink -f "$VMSCOPE")")/guests/hello.elf
head -c 100 "$hello" >"$work/cut.elf"
head -c 6000 "$hello" >"$work/half.elf"
one_line "missing file" 2 "$VMSCOPE" run "$work/absent"
one_line "unknown bundled guest" 2 "$VMSCOPE" run no-such-guest
one_line "a directory" 2 "$VMSCOPE" run "$work"
one_line "an empty file" 2 "$VMSCOPE" run "$work/empty"
one_line "a FIFO" 2 "$VMSCOPE" run "$work/fifo"
one_line "a flat image that is too large" 2 "$VMSCOPE" run "$work/huge.bin"
one_line "an ELF cut off in its headers" 2 "$VMSCOPE" run "$work/cut.elf"
one_line "an ELF cut off in a segment" 2 "$VMSCOPE" run "$work/half.elf"
one_line "segments outside memory" 2 "$VMSCOPE" run "$hello" --mem 1M
one_line "a missing module" 2 "$VMSCOPE" run "$hello" --initrd "$work/absent"
says "the line names --initrd" "--initrd $work/absent: no such file"
if grep -q 'bundled' "$work/err"; then fail "an initrd is no guest" "$(cat "$work/err")"; else ok "an initrd is no guest"; fi

# hello moved, as "ld -Ttext=0x100000" without -n would: its first segment begins with the headers below 1 MiB. The
# physical address is the 4 bytes at 12 of the first program header, which starts at 52.
cp "$hello" "$work/low.elf"
printf '\000\360\017\000' | dd of="$work/low.elf" bs=1 seek=64 conv=notrunc 2>/dev/null
one_line "a segment in the ROM's place" 2 "$VMSCOPE" run "$work/low.elf"
says "the line says where to link it" "overlaps a0000-fffff"
printf '\000\360\010\000' | dd of="$work/low.elf" bs=1 seek=64 conv=notrunc 2>/dev/null
one_line "a segment in the loader's place" 2 "$VMSCOPE" run "$work/low.elf"
says "the line says that booting needs the place" "overlaps 88000-9ffff"
one_line "a guest and a kernel" 2 "$VMSCOPE" run hello --kernel "$hello"
one_line "a firmware of a wrong size" 2 "$VMSCOPE" run --firmware "$work/tiny.bin"
head -c 16777216 /dev/zero >"$work/big.bin"
one_line "a firmware that is too large" 2 "$VMSCOPE" run --firmware "$work/big.bin"
says "the line names the firmware's file" "$work/big.bin: firmware of 16777216 bytes"
one_line "a firmware that is missing" 2 "$VMSCOPE" run --firmware "$work/absent"
says "the line names --firmware" "--firmware $work/absent: no such file"
one_line "a guest and a firmware" 2 "$VMSCOPE" run hello --firmware "$work/tiny.bin"

# Models with errors: at load, and while running.
echo 'this is not Lua' >"$work/syntax.lua"
one_line "a model that is no Lua" 2 "$VMSCOPE" run hello --mode simulate --model "$work/syntax.lua"
grep -q 'syntax.lua:1' "$work/err" && ok "the line names file and place" || fail "the line names file and place" "$(cat "$work/err")"
printf 'return function(g)\n  g:no_such_primitive()\nend\n' >"$work/method.lua"
one_line "a model that calls what is not there" 2 "$VMSCOPE" run hello --mode simulate --model "$work/method.lua"
one_line "a model that is missing" 2 "$VMSCOPE" run hello --mode simulate --model "$work/absent.lua"
says "the line says what to give" "give --model the path of a Lua file"
one_line "a model in emulate mode" 2 "$VMSCOPE" run hello --model "$work/absent.lua"
says "the line says where a model goes" "--model goes with --mode simulate"
cp "$hello" "$work/lonely.elf"
one_line "a guest without a model" 2 "$VMSCOPE" run "$work/lonely.elf" --mode simulate

# Traces.
one_line "a trace that is missing" 2 "$VMSCOPE" stat "$work/absent.dat"
says "the line says how to record one" "vmscope run GUEST --trace FILE"
one_line "a trace that is none" 2 "$VMSCOPE" stat "$hello"
one_line "an empty trace" 2 "$VMSCOPE" report "$work/empty"
says "so does the line about an empty one" "vmscope run GUEST --trace FILE"
one_line "a trace into a folder that is missing" 2 "$VMSCOPE" run hello --trace "$work/absent/t.dat"
says "the line says to make the folder" "make it first"
one_line "a trace into a directory" 2 "$VMSCOPE" run hello --trace "$work"
says "the line says to name a file" "name a file in it"

# A disk that fills while tracing: the run ends with its own console, and the last line says what happened.
if [ -w /dev/full ]; then
	mkdir "$work/small"
	if mount -t tmpfs -o size=64k tmpfs "$work/small" 2>/dev/null; then
		got=0
		"$VMSCOPE" run exits --trace "$work/small/t.dat" >"$work/out" 2>"$work/err" || got=$?
		is "a full disk while tracing has status 3" 3 "$got"
		tail -n 1 "$work/err" | grep -q '^vmscope: .*t.dat.*' && ok "its last line names the file" ||
			fail "its last line names the file" "$(tail -n 3 "$work/err")"
		umount "$work/small"
	else
		skip "a full disk while tracing" "mounting a small file system needs root"
	fi
fi
"$VMSCOPE" run hello --json >/dev/full 2>"$work/err"
is "a full disk for the JSON has status 3" 3 $?

"$VMSCOPE" --help >"$work/out" 2>"$work/err"
is "--help succeeds" 0 $?
for c in run compare stat report audit doctor; do
	grep -q "^  $c " "$work/out" || fail "--help lists $c"
	if "$VMSCOPE" "$c" --help 2>/dev/null | grep -q -- '--json\|--filter'; then ok "$c --help lists its options"; else fail "$c --help lists its options"; fi
done
# Type I
one_line "--machine that is no machine" 2 "$VMSCOPE" run hello --type 1 --mode virtualize --machine nosuch
one_line "--also without bare metal" 2 "$VMSCOPE" run hello --also timer
one_line "--seed-fault without bare metal" 2 "$VMSCOPE" run hello --seed-fault ept
one_line "a fault that nobody knows" 2 "$VMSCOPE" run hello --type 1 --mode virtualize --seed-fault nosuch
one_line "--engine svm with emulate" 2 "$VMSCOPE" run hello --type 1 --mode emulate --engine svm
one_line "--machine with simulate" 2 "$VMSCOPE" run hello --type 1 --mode simulate --machine bochs
one_line "iso without a file to write" 2 "$VMSCOPE" iso hello
one_line "iso of a model" 2 "$VMSCOPE" iso hello --mode simulate -o "$work/x.iso"
one_line "no guest with --also" 2 "$VMSCOPE" run hello --type 1 --mode virtualize --also nosuch
one_line "no machine in the path" 3 env PATH="$work" "$VMSCOPE" run hello --type 1 --mode virtualize
grep -q 'apt-get install' "$work/err" && ok "and what would help" || fail "and what would help" "$(cat "$work/err")"
one_line "no tools for an ISO in the path" 3 env PATH="$work" "$VMSCOPE" iso hello -o "$work/x.iso"
one_line "a device that is not there" 3 "$VMSCOPE" run hello --type 1 --mode virtualize --machine /dev/nosuch-line

# What is no terminal is never written to: the first frame of a session would lie in the file.
head -c 300 /dev/zero | tr '\0' x >"$work/precious"
cp "$work/precious" "$work/precious.copy"
one_line "--machine that is a file" 2 "$VMSCOPE" run hello --type 1 --mode emulate --machine "$work/precious"
cmp -s "$work/precious" "$work/precious.copy" && ok "and the file is untouched" || fail "and the file is untouched"
one_line "--machine that is a character device, but no terminal" 2 "$VMSCOPE" run hello --type 1 --mode emulate --machine /dev/null
one_line "compare with a machine that is no machine" 2 "$VMSCOPE" compare hello --machine nosuch
one_line "compare over a device" 2 "$VMSCOPE" compare hello --machine unix:/nosuch
one_line "a hole in an interpreter" 2 "$VMSCOPE" run hello --type 1 --mode emulate --seed-fault ept
one_line "iso with a time limit" 2 "$VMSCOPE" iso hello --timeout 3 -o "$work/x.iso"
one_line "iso with controls of a hosted kernel" 2 "$VMSCOPE" iso hello --controls kvm-user -o "$work/x.iso"
# A device needs no emulator: what is missing is the device.
one_line "a device, with no emulator in the path" 3 env PATH="$work" "$VMSCOPE" run hello --type 1 --mode emulate --machine unix:/nosuch
grep -q 'unix:/nosuch' "$work/err" && ok "and it is the device that is named" || fail "and it is the device that is named" "$(cat "$work/err")"
finish
