#!/bin/bash
# Hostile guests: whatever they do, the VMM keeps control, says how they ended, and goes on. The quiet guest that runs
# beside them on bare metal prints here what it must print there.
. "$(dirname "$0")/lib.sh"

have jq || { skip "hostile guests" "jq is not installed"; finish; }
guests=$(dirname "$(readlink -f "$VMSCOPE")")/guests/tests

# deed NAME STATUS END OPTIONS...: the console is that of tests/guests/expected/NAME
deed() {
	local name=$1 status=$2 end=$3 guest=hostile args="what=$1" profile
	shift 3
	[ "$name" = witness ] && guest=witness args=
	cp "tests/guests/expected/$name" "$work/want"
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

deed triple 1 triple_fault
deed vmcall 0 debug_exit
# With 64 MiB: every page of that RAM belongs to the guest, and what lies outside stays nobody's.
deed memory 0 debug_exit --mem 64M
deed vmx 0 debug_exit
deed msrs 0 debug_exit
deed ports 0 debug_exit
deed cr8 0 debug_exit
deed timer 0 debug_exit
deed timer 0 debug_exit --clock host
deed spin 4 max_insns --max-insns 10000000
deed witness 0 debug_exit

# An exception that raises itself: where it does not exit (kvm-user), no instruction retires and nothing ends but a bound.
for profile in vtx-ept vtx-shadow all kvm-user; do
	run_status "align, $profile: exit status" 4 "$VMSCOPE" run "$guests/align.bin" --controls $profile --max-exits 3000 --timeout 60 --json
	is "align, $profile: the VMM has control" "max_exits holds" "$(jq -r '.end.kind + " " + .verdicts.safety.state' "$work/out")"
done

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
