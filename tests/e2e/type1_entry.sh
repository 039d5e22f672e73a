#!/bin/bash
# A VM entry that the processor refuses is explained in words: which check, which field, which value. Live, under VT-x and
# AMD-V: the state comes from the session, so no guest code is needed to spoil it.
. "$(dirname "$0")/lib.sh"

bad_entry=$(dirname "$(readlink -f "$VMSCOPE")")/tests/programs/bad_entry
[ -x "$bad_entry" ] || { skip "refused entries" "tests/programs/bad_entry is not built"; finish; }

# refused MACHINE ENGINE CASE WORDS
refused() {
	have "$1" || have "$1-system-x86_64" || { skip "$3 ($2 in $1)" "$1 is not installed"; return; }
	timeout 60 "$bad_entry" "$1" "$2" "$3" >"$work/out" 2>"$work/err"
	grep -qF "$4" "$work/out" && ok "$3 ($2 in $1)" || fail "$3 ($2 in $1)" "$(cat "$work/out" "$work/err")"
}
refused bochs vmx flags 'invalid guest state (exit reason 33, qualification 0): in virtual-8086 mode the access rights are F3H: Guest ES access rights = 0x93'
refused bochs vmx cs 'CS is accessed code, or (unrestricted guest) accessed writable data: Guest CS access rights = 0x91'
refused bochs vmx efer 'an IA-32e mode guest has PG and PAE set: Guest CR4 = 0x2000'
refused bochs vmx event 'VM-instruction error 7 (VM entry with invalid control field(s)): interruption type 1 is reserved: VM-entry interruption-information field = 0x8000010e'
for machine in qemu bochs; do
	refused $machine svm efer 'VMRUN refused the control block: EFER.LME and CR0.PG need CR4.PAE (CR4 is 0)'
	refused $machine svm event 'VMRUN refused the control block: no such type of event (EVENTINJ is 0x8000010e)'
done
finish
