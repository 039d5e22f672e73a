#!/bin/bash
# Hostile guests under the bare-metal VMM, beside a quiet one: the VMM keeps control, its own memory and that of the other
# guest are bit-identical, and the other guest runs on. And holes that are made on purpose are found, by name.
. "$(dirname "$0")/lib.sh"

have jq || { skip "hostile guests on bare metal" "jq is not installed"; finish; }
guests=$(dirname "$(readlink -f "$VMSCOPE")")/guests/tests

# Beside whom, in which machine: the witness must end with the same memory, bit by bit.
declare -A quiet

# beside ENGINE MACHINE WHAT END: console of the hostile guest on stdin ("" - not compared: the guest never ends)
beside() {
	local engine=$1 machine=$2 what=$3 end=$4 label="$3 ($1)"
	cat >"$work/want"
	"$VMSCOPE" run "$guests/witness.elf" --also "$guests/hostile.elf what=$what" --type 1 --mode virtualize --engine "$engine" \
		--machine "$machine" --timeout 25 --json >"$work/out" 2>"$work/err" ||
		[ "$end" != debug_exit ] || { fail "$label: runs" "$(head -c 600 "$work/err")"; return; }
	is "$label: the other guest is intact" "witness: intact, 8 rounds, result 6cfc9548ff6cbfa1" "$(jq -r .console "$work/out" | head -n 1)"
	is "$label: how it ended" "$end" "$(jq -r '.others[0].end.kind' "$work/out")"
	is "$label: resource control, both" "holds holds" "$(jq -r '[.verdicts.safety.state, .others[0].verdicts.safety.state] | join(" ")' "$work/out")"
	is "$label: the VMM's code and constants are unchanged" true "$(jq .session.vmm_unchanged "$work/out")"
	local hash
	hash=$(jq -r .session.memory_hash "$work/out")
	[ -n "${quiet[$engine]:-}" ] || quiet[$engine]=$hash
	is "$label: the other guest's memory is bit-identical" "${quiet[$engine]}" "$hash"
	jq -j '.others[0].console' "$work/out" >"$work/console"
	cmp -s "$work/want" "$work/console" && ok "$label: its console" || fail "$label: its console" "$(diff "$work/want" "$work/console" | head -n 8)"
}

both() { # as beside, for each engine that is here
	cat >"$work/console.want"
	! have bochs || beside vmx bochs "$@" <"$work/console.want"
	! have qemu-system-x86_64 || beside svm qemu "$@" <"$work/console.want"
}
have bochs || skip "hostile guests under VT-x" "bochs is not installed"
have qemu-system-x86_64 || skip "hostile guests under AMD-V" "qemu-system-x86_64 is not installed"

both vmcall debug_exit <<'.'
vmcall: 1000 calls, 1000 refused, 0 #UD
.
both triple triple_fault <<'.'
triple: now
.
both vmx debug_exit <<'.'
vmx: CR4.VMXE #GP
vmx: CR4.VMXE reads 0
vmx: VMXON #UD
vmx: VMCLEAR #UD
vmx: VMPTRLD #UD
vmx: VMREAD #UD
vmx: VMLAUNCH #UD
vmx: VMXOFF #UD
.
both cr8 debug_exit <<'.'
cr8: 16 gives #GP
cr8: 16 of 16 values read back, then it is 15
.
both memory debug_exit <<'.'
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
both msrs debug_exit <<'.'
msrs 00000000: 44 readable of 8192 (e3319d1b), 38 writable
msrs c0000000: 9 readable of 8192 (fee06fc4), 9 writable
.
both ports debug_exit <<'.'
ports: 65536 read, 61440 of 61440 above fff are ff, 65531 written
.

# cli; jmp . never gives the processor back: the VMM takes it, every slice.
spin() { # ENGINE MACHINE
	"$VMSCOPE" run "$guests/hostile.elf" --append "what=spin" --also "$guests/witness.elf" --type 1 --mode virtualize --engine "$1" \
		--machine "$2" --timeout 12 --json >"$work/out" 2>"$work/err"
	is "spin ($1): the other guest runs to its end" "witness: intact, 8 rounds, result 6cfc9548ff6cbfa1 debug_exit" \
		"$(jq -r '.others[0] | (.console | rtrimstr("\n")) + " " + .end.kind' "$work/out")"
	is "spin ($1): its memory is bit-identical" "${quiet[$1]:-}" "$(jq -r '.others[0].session.memory_hash' "$work/out")"
	is "spin ($1): it spins until the time is up" timeout "$(jq -r .end.kind "$work/out")"
	is "spin ($1): and was audited then" holds "$(jq -r .verdicts.safety.state "$work/out")"
	[ "$(jq '.verdicts.safety.longest_interval_ns' "$work/out")" -lt 100000000 ] && ok "spin ($1): the VMM is back within its bound" ||
		fail "spin ($1): the VMM is back within its bound" "$(jq -r .verdicts.safety.evidence "$work/out")"
}
! have bochs || spin vmx bochs
! have qemu-system-x86_64 || spin svm qemu

# hole ENGINE MACHINE FAULT WORDS
hole() {
	run_status "hole $3 ($1): status" 1 "$VMSCOPE" run hello --type 1 --mode virtualize --engine "$1" --machine "$2" --seed-fault "$3" --json
	is "hole $3 ($1): resource control" violated "$(jq -r .verdicts.safety.state "$work/out")"
	jq -r .verdicts.safety.evidence "$work/out" | grep -q "$4" && ok "hole $3 ($1): by name" ||
		fail "hole $3 ($1): by name" "$(jq -r .verdicts.safety.evidence "$work/out")"
}
for e in "vmx bochs" "svm qemu"; do
	read -r engine machine <<<"$e"
	have "$machine" || have "$machine-system-x86_64" || continue
	hole "$engine" "$machine" ept "gpa 0xd0000000 is mapped, but no memory of the guest is there: it is the VMM's"
	hole "$engine" "$machine" msr "MSR 0x1b does not exit"
	hole "$engine" "$machine" cr8 '"CR8-load exiting" is 0'
done
finish
