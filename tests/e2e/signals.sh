#!/bin/bash
# NMI, INIT and start-up messages in every backend that is here and under every profile; and a guest of two CPUs, which is
# the same run every time, in whatever pieces.
. "$(dirname "$0")/lib.sh"

have jq || { skip "signals" "jq is not installed"; finish; }
guest=$(dirname "$(readlink -f "$VMSCOPE")")/guests/tests/signals.elf

# run_signals LABEL EXPECTED OPTIONS...
run_signals() {
	local label=$1 want=$2
	shift 2
	run_status "$label: exit status" 0 "$VMSCOPE" run "$guest" --timeout 60 --json "$@" || return
	cp "tests/guests/expected/$want" "$work/want"
	jq -j .console "$work/out" >"$work/console"
	cmp -s "$work/want" "$work/console" && ok "$label: console" ||
		fail "$label: console" "$(diff "$work/want" "$work/console" | head -n 8)"
	is "$label: resource control" holds "$(jq -r .verdicts.safety.state "$work/out")"
}

for profile in vtx-ept vtx-shadow all kvm-user; do
	run_signals "emulate/II, $profile" signals --controls $profile
	run_signals "emulate/II, $profile, 2 CPUs" signals2 --controls $profile --cpus 2 --append cpus=2
	cp "$work/out" "$work/first"
	run_signals "emulate/II, $profile, 2 CPUs, once more" signals2 --controls $profile --cpus 2 --append cpus=2
	is "emulate/II, $profile, 2 CPUs: the same exits" "$(jq -c .exits.by_reason "$work/first")" "$(jq -c .exits.by_reason "$work/out")"
done
run_signals "emulate/II, host time" signals --clock host
if [ -w /dev/kvm ] && run_status "virtualize/II" 0 "$VMSCOPE" run hello --mode virtualize; then
	run_signals "virtualize/II" signals --mode virtualize
else
	skip "virtualize/II" "no /dev/kvm"
fi
for profile in vtx-ept vtx-shadow all; do
	if have bochs; then
		run_signals "virtualize/I, VT-x, $profile" signals --mode virtualize --type 1 --engine vmx --machine bochs --controls $profile
	else
		skip "virtualize/I, VT-x, $profile" "bochs is not installed"
	fi
	if have qemu-system-x86_64; then
		run_signals "virtualize/I, AMD-V, $profile" signals --mode virtualize --type 1 --engine svm --machine qemu --controls $profile
	else
		skip "virtualize/I, AMD-V, $profile" "qemu-system-x86_64 is not installed"
	fi
done
# In lockstep the NMIs of the subject are replayed, and the reference sends itself none.
"$VMSCOPE" compare "$guest" --json >"$work/out" 2>"$work/err" || true
rows=$(jq '.equivalence | length' "$work/out" 2>/dev/null)
[ "${rows:-0}" -gt 0 ] && ok "lockstep compares somebody" || fail "lockstep compares somebody" "$(head -c 300 "$work/err")"
while read -r subject state; do
	is "$subject in lockstep" holds "$state"
done < <(jq -r '.equivalence[] | .subject + " " + .state' "$work/out")
! have qemu-system-x86_64 || run_signals "emulate/I" signals --mode emulate --type 1 --machine qemu
finish
