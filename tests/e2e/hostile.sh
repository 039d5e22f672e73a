#!/bin/bash
# Hostile guests: whatever they do, the VMM keeps control, says how they ended, and goes on. The quiet guest that runs
# beside them on bare metal prints here what it must print there.
. "$(dirname "$0")/lib.sh"

have jq || { skip "hostile guests" "jq is not installed"; finish; }
guests=$(dirname "$(readlink -f "$VMSCOPE")")/guests/tests

# deed NAME STATUS END OPTIONS...: the console comes on stdin
deed() {
	local name=$1 status=$2 end=$3 guest=hostile args="what=$1" profile
	shift 3
	[ "$name" = witness ] && guest=witness args=
	cat >"$work/want"
	for profile in vtx-ept vtx-shadow all kvm-user; do
		run_status "$name, $profile: exit status" "$status" "$VMSCOPE" run "$guests/$guest.elf" --append "$args" \
			--controls $profile --timeout 60 --json "$@" || continue
		is "$name, $profile: end" "$end" "$(jq -r .end.kind "$work/out")"
		jq -j .console "$work/out" >"$work/console"
		if cmp -s "$work/want" "$work/console"; then
			ok "$name, $profile: console"
		else
			fail "$name, $profile: console" "$(diff "$work/want" "$work/console" | head -n 12)"
		fi
		is "$name, $profile: resource control" holds "$(jq -r .verdicts.safety.state "$work/out")"
	done
}

deed triple 1 triple_fault <<'.'
triple: now
.
deed vmcall 0 debug_exit <<'.'
vmcall: 1000 calls, 1000 refused, 0 #UD
.
# With 64 MiB: every page of that RAM belongs to the guest, and what lies outside stays nobody's.
deed memory 0 debug_exit --mem 64M <<'.'
memory below a0000: 160 written, 160 kept, 0 all ones, 0 else
memory vga: 32 written, 8 kept, 24 all ones, 0 else
memory rom: 64 written, 64 kept, 0 all ones, 0 else
memory behind this program: all kept
memory ram from 4 MiB: 15360 written, 15360 kept, 0 all ones, 0 else
memory behind ram: 1502 written, 0 kept, 1502 all ones, 0 else
memory pci window: 1024 written, 0 kept, 1024 all ones, 0 else
memory last page below 4 GiB: 1 written, 0 kept, 1 all ones, 0 else
memory 4 GiB: 512 written, 0 kept, 512 all ones, 0 else
memory above: 480 written, 0 kept, 480 all ones, 0 else
memory: ram ends at 04000000
.
deed vmx 0 debug_exit <<'.'
vmx: CR4.VMXE #GP
vmx: CR4.VMXE reads 0
vmx: VMXON #UD
vmx: VMCLEAR #UD
vmx: VMPTRLD #UD
vmx: VMREAD #UD
vmx: VMLAUNCH #UD
vmx: VMXOFF #UD
.
deed msrs 0 debug_exit <<'.'
msrs 00000000: 44 readable of 8192 (e3319d1b), 38 writable
msrs c0000000: 9 readable of 8192 (fee06fc4), 9 writable
.
deed ports 0 debug_exit <<'.'
ports: 65536 read, 61440 of 61440 above fff are ff, 65531 written
.
deed cr8 0 debug_exit <<'.'
cr8: 16 gives #GP
cr8: 16 of 16 values read back, then it is 15
.
deed spin 4 max_insns --max-insns 10000000 <<'.'
spin: now
.
deed witness 0 debug_exit <<'.'
witness: intact, 8 rounds, result 6cfc9548ff6cbfa1
.

run_status "hostile without a deed" 1 "$VMSCOPE" run "$guests/hostile.elf"
grep -q '^hostile: give what=' "$work/out" && ok "it says what it takes" || fail "it says what it takes" "$(cat "$work/out")"

# The rates that a bench needs: a hundred thousand exits of one kind, by the real code and by the model.
for mode in emulate simulate; do
	for kind in cpuid out; do
		run_status "$mode: 100000 exits by $kind" 0 "$VMSCOPE" run exits --mode $mode --append "only=1 $kind=100000" --json
		is "$mode: the console of 100000 $kind" "$kind 100000" "$(jq -r .console "$work/out" | cut -d ' ' -f 1,2)"
	done
done
finish
