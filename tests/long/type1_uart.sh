#!/bin/bash
# --machine DEVICE with a UART that overruns, as a real one does: Bochs, booted from a CD by GRUB with the image and nothing
# else, in real time, COM1 on a pseudo-terminal (whoever reads late loses bytes). The session gives it the guest, and stops
# one that never ends.
. "$(dirname "$0")/../e2e/lib.sh"

metal=$(dirname "$(readlink -f "$VMSCOPE")")/metal/vmscope-metal.elf
bios=/usr/share/bochs/BIOS-bochs-latest vga=/usr/share/vgabios/vgabios.bin
for tool in bochs grub-mkrescue xorriso python3 jq; do
	have $tool || { skip "a machine behind a UART" "$tool is not installed"; finish; }
done
[ -r $bios ] && [ -r $vga ] || { skip "a machine behind a UART" "Bochs' BIOS images are not where they are expected"; finish; }

mkdir -p "$work/cd/boot/grub"
cp "$metal" "$work/cd/boot"
printf 'set timeout=0\nmenuentry vmscope {\n\tmultiboot /boot/vmscope-metal.elf\n}\n' >"$work/cd/boot/grub/grub.cfg"
if ! grub-mkrescue -d /usr/lib/grub/i386-pc -o "$work/boot.iso" "$work/cd" >"$work/mk" 2>&1; then
	skip "a machine behind a UART" "grub-mkrescue: $(tail -n 1 "$work/mk")"
	finish
fi

# Two pseudo-terminals and a cable between them: Bochs has one, vmscope the other. Writes vmscope's name.
cat >"$work/cable.py" <<'P'
import os, pty, sys, threading, tty
(a, at_a), (b, at_b) = pty.openpty(), pty.openpty()
for end in (at_a, at_b):
    tty.setraw(end)
def carry(src, dst):
    while True:
        os.write(dst, os.read(src, 4096))
threading.Thread(target=carry, args=(a, b), daemon=True).start()
print(os.ttyname(at_a), os.ttyname(at_b), flush=True)
carry(b, a)
P
cable='' machine=''
down() {
	kill -9 $machine $cable 2>/dev/null
	wait $machine $cable 2>/dev/null
}
boot() { # CPU: $line is the device
	local theirs
	python3 "$work/cable.py" >"$work/ends" 2>/dev/null &
	cable=$!
	for _ in $(seq 50); do [ -s "$work/ends" ] && break; sleep 0.1; done
	read -r theirs line <"$work/ends"
	cat >"$work/bochsrc" <<-B
		config_interface: textconfig
		display_library: rfb, options="timeout=0,hideIPS"
		cpu: model=$1, count=1, ips=8000000, reset_on_triple_fault=0, ignore_bad_msrs=1
		memory: guest=256, host=256
		romimage: file=$bios, options=fastboot
		vgaromimage: file=$vga
		ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
		ata0-master: type=cdrom, path=$work/boot.iso, status=inserted
		boot: cdrom
		com1: enabled=1, mode=term, dev=$theirs
		clock: sync=realtime, time0=1
		log: $work/bochs.log
		plugin_ctrl: speaker=0
	B
	printf 'c\nq\n' >"$work/debugger.rc"
	(cd "$work" && exec bochs -q -f bochsrc -rc debugger.rc) >"$work/bochs.out" 2>&1 &
	machine=$!
}
trap 'down; rm -rf "$work"' EXIT

printf '\353\376' >"$work/endless.bin" # jmp .
for cpu in corei7_skylake_x ryzen; do
	engine=vmx
	[ $cpu = ryzen ] && engine=svm
	"$VMSCOPE" run exits --json >"$work/reference" 2>/dev/null
	boot $cpu
	run_status "$engine behind a UART: a guest that ends" 0 "$VMSCOPE" run exits --type 1 --mode virtualize --machine "$line" \
		--timeout 120 --json
	is "$engine behind a UART: the console" "$(jq -r .console "$work/reference")" "$(jq -r .console "$work/out")"
	is "$engine behind a UART: the engine, and what is lost of its records" "$engine 0 0" \
		"$(jq -r '"\(.backend) \(.session.lost_record_bytes) \(.session.lost_console_bytes)"' "$work/out")"
	down
	boot $cpu
	run_status "$engine behind a UART: a guest that never ends is stopped" 4 "$VMSCOPE" run "$work/endless.bin" --type 1 \
		--mode virtualize --machine "$line" --timeout 20 --json
	is "$engine behind a UART: the VMM heard it" 'timeout true holds' \
		"$(jq -r '"\(.end.kind) \(.session.vmm_unchanged) \(.verdicts.safety.state)"' "$work/out")"
	down
done
finish
