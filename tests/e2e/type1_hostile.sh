#!/bin/bash
# Hostile guests under the bare-metal VMM, beside a quiet one: the VMM keeps control, its own memory and that of the other
# guest are bit-identical, and the other guest runs on. And holes that are made on purpose are found, by name.
. "$(dirname "$0")/lib.sh"

have jq || { skip "hostile guests on bare metal" "jq is not installed"; finish; }
guests=$(dirname "$(readlink -f "$VMSCOPE")")/guests/tests

# Beside whom, in which machine: the witness must end with the same memory, bit by bit.
declare -A quiet

# beside ENGINE MACHINE WHAT END: the console of the hostile guest is that of tests/guests/expected/WHAT
beside() {
	local engine=$1 machine=$2 what=$3 end=$4 label="$3 ($1)"
	cp "tests/guests/expected/$what" "$work/want"
	"$VMSCOPE" run "$guests/witness.elf" --also "$guests/hostile.elf what=$what" --type 1 --mode virtualize --engine "$engine" \
		--machine "$machine" --timeout 60 --json >"$work/out" 2>"$work/err" ||
		[ "$end" != debug_exit ] || { fail "$label: runs" "$(head -c 600 "$work/err")"; return; }
	is "$label: the other guest is intact" "$(cat tests/guests/expected/witness)" "$(jq -r .console "$work/out" | head -n 1)"
	is "$label: how it ended" "$end" "$(jq -r '.others[0].end.kind' "$work/out")"
	is "$label: resource control, both" "holds holds" "$(jq -r '[.verdicts.safety.state, .others[0].verdicts.safety.state] | join(" ")' "$work/out")"
	is "$label: the VMM's code, constants and tables are unchanged" true "$(jq .session.vmm_unchanged "$work/out")"
	local hash
	hash=$(jq -r .session.memory_hash "$work/out")
	[ -n "${quiet[$engine]:-}" ] || quiet[$engine]=$hash
	is "$label: the other guest's memory is bit-identical" "${quiet[$engine]}" "$hash"
	jq -j '.others[0].console' "$work/out" >"$work/console"
	cmp -s "$work/want" "$work/console" && ok "$label: its console" || fail "$label: its console" "$(diff "$work/want" "$work/console" | head -n 8)"
}

all=${1-} # tests/long/type1_hostile.sh: every guest, under AMD-V, too
both() { # as beside, for each engine that is here
	[[ -n $all || $1 == @(vmcall|triple|m*) ]] || return 0
	! have bochs || beside vmx bochs "$@"
	[[ -z $all && $1 != vmcall ]] || ! have qemu-system-x86_64 || beside svm qemu "$@"
}
have bochs || skip "hostile guests under VT-x" "bochs is not installed"
have qemu-system-x86_64 || skip "hostile guests under AMD-V" "qemu-system-x86_64 is not installed"

both vmcall debug_exit
both triple triple_fault
both vmx debug_exit
both cr8 debug_exit
both memory debug_exit
both msrs debug_exit
both ports debug_exit
both timer debug_exit

# An exception that raises itself would keep a processor that does not leave the guest for it.
align() { # ENGINE MACHINE
	"$VMSCOPE" run "$guests/align.bin" --type 1 --mode virtualize --engine "$1" --machine "$2" --max-exits 3000 --timeout 60 \
		--json >"$work/out" 2>"$work/err"
	is "align ($1 in $2): the VMM has control" "max_exits holds" "$(jq -r '.end.kind + " " + .verdicts.safety.state' "$work/out")"
}
! have bochs || align vmx bochs
! have bochs || align svm bochs

# cli; jmp . never gives the processor back: the VMM takes it, every slice.
spin() { # ENGINE MACHINE
	"$VMSCOPE" run "$guests/hostile.elf" --append "what=spin" --also "$guests/witness.elf" --type 1 --mode virtualize --engine "$1" \
		--machine "$2" --timeout 12 --json >"$work/out" 2>"$work/err"
	is "spin ($1): the other guest runs to its end" "$(cat tests/guests/expected/witness) debug_exit" \
		"$(jq -r '.others[0] | (.console | rtrimstr("\n")) + " " + .end.kind' "$work/out")"
	is "spin ($1): its memory is bit-identical" "${quiet[$1]:-}" "$(jq -r '.others[0].session.memory_hash' "$work/out")"
	is "spin ($1): it spins until the time is up" timeout "$(jq -r .end.kind "$work/out")"
	is "spin ($1): and was audited then" holds "$(jq -r .verdicts.safety.state "$work/out")"
	# Under QEMU the guest's clock goes on while QEMU waits for a processor: what counts there is that it comes back.
	local bound=100000000
	[ "$2" = bochs ] || bound=2000000000
	[ "$(jq '.verdicts.safety.longest_interval_ns' "$work/out")" -lt $bound ] && ok "spin ($1): the VMM is back within its bound" ||
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
	[ "$engine" = vmx ] || [ -n "$all" ] || continue
	hole "$engine" "$machine" ept "gpa 0xd0000000 is mapped, but no memory of the guest is there: it is the VMM's"
	hole "$engine" "$machine" msr "MSR 0x1b does not exit"
	hole "$engine" "$machine" cr8 '"CR8-load exiting" is 0'
	hole "$engine" "$machine" root "$([ "$engine" = vmx ] && echo '"EPT pointer (EPTP)"' || echo N_CR3) is 0x"
	hole "$engine" "$machine" idt "VMM's own code, constants, descriptor tables or page tables changed"
	hole "$engine" "$machine" own "$([ "$engine" = vmx ] && echo 'VM-exit controls" is' || echo second intercept vector is)"
done
finish
