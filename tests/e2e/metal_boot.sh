#!/bin/bash
# The bare-metal image without a session, on its own: each way to boot it, on each machine that is here. The guest's
# console has to come out of the serial line, then how it ended, and then the machine has to switch itself off.
. "$(dirname "$0")/lib.sh"

build=$(dirname "$(readlink -f "$VMSCOPE")")
metal=$build/metal
guest=hello
have python3 || { skip "the bare-metal image" "python3 is not installed"; finish; }
[ -s "$metal/vmscope-metal.bin" ] || { fail "the bare-metal image is built" "no $metal/vmscope-metal.bin"; finish; }

# check NAME LOG: what came out of the line
check() {
	tr -d '\r' <"$2" >"$work/log"
	if [ "$(head -c "$(wc -c <"labs/guests/$guest.expected")" "$work/log")" = "$(cat "labs/guests/$guest.expected")" ]; then
		ok "$1: the guest's console"
	else
		fail "$1: the guest's console" "$(head -c 1500 "$work/log")"
	fi
	is "$1: how it ended" "debug_exit 0" "$(awk '$1 == "end" { sub(":.*", ""); print $2, $3 }' "$work/log")"
	is "$1: resource control" "holds" "$(awk '/^resource control/ { sub(":", "", $3); print $3 }' "$work/log")"
}

# qemu NAME OPTION...: isa-debug-exit turns the image's own power-off into status 33
qemu() {
	local name=$1 status=0
	shift
	rm -f "$work/com1"
	timeout -s KILL 60 qemu-system-x86_64 -accel tcg -cpu max -m 64 -display none -nodefaults -no-reboot -monitor none \
		-serial "file:$work/com1" -device isa-debug-exit,iobase=0xf4,iosize=1 "$@" </dev/null >"$work/out" 2>&1 || status=$?
	is "$name: switched off" 33 "$status"
	[ -e "$work/com1" ] || : >"$work/com1"
	check "$name" "$work/com1"
}

# bochs_run NAME ATA0-MASTER BOOT
bochs_run() {
	local name=$1 status=0
	cat >"$work/bochsrc" <<-END
		config_interface: textconfig
		display_library: rfb, options="timeout=0,hideIPS"
		cpu: model=corei7_skylake_x, count=1, ips=4000000, reset_on_triple_fault=0, ignore_bad_msrs=1
		memory: guest=64, host=64
		romimage: file=\$BXSHARE/BIOS-bochs-latest, options=fastboot
		vgaromimage: file=\$BXSHARE/VGABIOS-lgpl-latest
		ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
		ata0-master: $2
		boot: $3
		com1: enabled=1, mode=file, dev=$work/com1
		clock: sync=none, time0=1
		log: $work/bochs.log
		panic: action=fatal
		error: action=report
		info: action=report
		debug: action=ignore
		plugin_ctrl: speaker=0
	END
	printf 'c\nq\n' >"$work/rc"
	rm -f "$work/com1"
	timeout -s KILL 120 bochs -q -unlock -f "$work/bochsrc" -rc "$work/rc" </dev/null >"$work/out" 2>&1 || status=$?
	if [ "$status" != 137 ] && grep -q 'hutdown' "$work/bochs.log"; then
		ok "$name: switched off"
	else
		fail "$name: switched off" "status $status" "$(tail -n 5 "$work/bochs.log")"
	fi
	[ -e "$work/com1" ] || : >"$work/com1"
	check "$name" "$work/com1"
}

tests/mkbundle bundle "$work/bundle" "$build/guests/$guest.elf" || fail "a bundle is made"
cylinders=$(tests/mkbundle disk "$work/disk" "$metal/bootsect.bin" "$metal/vmscope-metal.bin" "$work/bundle") || fail "a boot disk is made"
iso=
if have grub-mkrescue && have xorriso; then
	mkdir -p "$work/iso/boot/grub"
	cp "$metal/vmscope-metal.bin" "$work/bundle" "$work/iso/boot/"
	printf 'set timeout=0\nmenuentry vmscope {\n\tmultiboot /boot/vmscope-metal.bin\n\tmodule /boot/bundle\n}\n' \
		>"$work/iso/boot/grub/grub.cfg"
	if grub-mkrescue -o "$work/x.iso" "$work/iso" --compress=no --fonts= --locales= --themes= \
		--install-modules="multiboot normal iso9660 biosdisk" >"$work/out" 2>&1; then
		iso=$work/x.iso
	else
		skip "the image from an ISO" "grub-mkrescue: $(tail -n 1 "$work/out")"
	fi
else
	skip "the image from an ISO" "grub-mkrescue or xorriso is not installed"
fi

if have qemu-system-x86_64; then
	qemu "QEMU, -kernel" -kernel "$metal/vmscope-metal.bin" -initrd "$work/bundle"
	qemu "QEMU, -kernel with the ELF file" -kernel "$metal/vmscope-metal.elf" -initrd "$work/bundle"
	qemu "QEMU, boot sector" -drive "file=$work/disk,format=raw,if=ide"
	qemu "QEMU, more than 4 GiB" -m 5G -drive "file=$work/disk,format=raw,if=ide"
	[ -z "$iso" ] || qemu "QEMU, ISO" -cdrom "$iso" -boot d
	head -c 3000 "$work/bundle" >"$work/short"
	timeout -s KILL 10 qemu-system-x86_64 -accel tcg -cpu max -m 64 -display none -nodefaults -no-reboot -monitor none \
		-serial "file:$work/com1" -kernel "$metal/vmscope-metal.bin" -initrd "$work/short" </dev/null >"$work/out" 2>&1 &
	machine=$!
	for _ in $(seq 50); do
		grep -aq 'bundle: ' "$work/com1" && break
		sleep 0.1
	done
	kill -TERM "$machine" && wait "$machine" 2>/dev/null
	if grep -aq 'bundle: .* bytes' "$work/com1"; then
		ok "a cut-off bundle is refused in words"
	else
		fail "a cut-off bundle is refused in words" "$(head -c 500 "$work/com1" | tr -cd '[:print:]')"
	fi
else
	skip "the image in QEMU" "qemu-system-x86_64 is not installed"
fi

if have bochs; then
	bochs_run "Bochs, boot sector" "type=disk, path=$work/disk, mode=flat, cylinders=$cylinders, heads=16, spt=63" disk
	[ -z "$iso" ] || bochs_run "Bochs, ISO" "type=cdrom, path=$iso, status=inserted" cdrom
else
	skip "the image in Bochs" "bochs is not installed"
fi
finish
