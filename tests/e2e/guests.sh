#!/bin/bash
# Every bundled guest in every mode: its console, how it ends, exits by reason, and the comparison of all backends.
. "$(dirname "$0")/lib.sh"

have jq || { skip "the bundled guests" "jq is not installed"; finish; }
# A row a line: name|image|args|code|pvm|exact|vtx_ept|kvm_user
printf '#define GUEST(n,i,a,c,p,e,v,k) n|i|a|c|p|e|v|k\n#include "labs/guests/guests.def"\n' |
	gcc -E -P -x c - | tr -d '"' | grep '|' >"$work/rows"
[ -s "$work/rows" ] || fail "labs/guests/guests.def has rows"

# The exits of a run as guests.def writes them: timer slices and interrupts (1, 7, 52) are left out.
exits_of() {
	jq -r '[.exits.by_reason[] | select(.reason < 65536 and ([.reason] | inside([1, 7, 52]) | not)) | "\(.name)=\(.count)"] | sort | join(" ")' "$1"
}
sorted() { tr ' ' '\n' <<<"$1" | grep . | sort | tr '\n' ' ' | sed 's/ $//'; }

while IFS='|' read -r name _ _ code pvm _ vtx_ept kvm_user; do
	want=labs/guests/$name.expected
	status=0
	[ "$code" = 0 ] || status=1
	for where in "emulate 2" "simulate 1" "simulate 2"; do
		read -r mode type <<<"$where"
		for profile in vtx-ept kvm-user; do
			label="$name in $mode, type $type, $profile"
			run_status "$label: exit status" $status "$VMSCOPE" run "$name" --mode "$mode" --type "$type" \
				--controls $profile --json || continue
			cp "$work/out" "$work/json"
			jq -j .console "$work/json" >"$work/console"
			cmp -s "$work/console" "$want" && ok "$label: console" || fail "$label: console" "$(diff "$want" "$work/console" | head -n 6)"
			is "$label: end.code" "$code" "$(jq .end.code "$work/json")"
			expected=$vtx_ept
			[ $profile = vtx-ept ] || expected=$kvm_user
			is "$label: exits by reason" "$(sorted "$expected")" "$(exits_of "$work/json")"
		done
	done

	# All backends: nothing differs. What the host's KVM cannot run says so, with rip and bytes.
	for profile in vtx-ept kvm-user; do
		got=0
		"$VMSCOPE" compare "$name" --controls $profile --json --timeout 120 >"$work/compare" 2>"$work/err" || got=$?
		kvm=$(jq -r '.runs[] | select(.mode == "virtualize" and .type == 2) | .unavailable // .end.kind' "$work/compare")
		while read -r subject state evidence; do
			if [ "$state" = holds ]; then
				ok "$name, $profile: $subject is equivalent"
			elif [ "$subject $state" = "virtualize/I unknown" ] && [[ $evidence == rdtsc*"no difference" ]]; then
				ok "$name, $profile: $subject differs in nothing, up to time stamps that nobody can feed"
			elif [ "$subject" = virtualize/II ] && [ "$state" = unknown ] && [ "$kvm" = host_kvm ] && [ "$pvm" = 0 ]; then
				skip "$name, $profile: $subject is equivalent" "this host's KVM cannot run the guest"
			else
				fail "$name, $profile: $subject is equivalent" "$state: $evidence"
			fi
		done < <(jq -r '.equivalence[] | "\(.subject) \(.state) \(.evidence)"' "$work/compare")
		case $kvm in
		debug_exit | host_kvm) ;;
		*) skip "$name on /dev/kvm" "$kvm" ;;
		esac
		is "$name, $profile: resource control holds wherever it ran" "" \
			"$(jq -r '.runs[] | select(.verdicts) | select(.verdicts.safety.state != "holds") | .verdicts.safety.evidence' "$work/compare")"
		is "$name, $profile: efficiency is violated by emulate" "violated 0" \
			"$(jq -r '.runs[] | select(.mode == "emulate" and .type == 2) | "\(.verdicts.efficiency.state) \(.verdicts.efficiency.direct_fraction)"' "$work/compare")"
		is "$name, $profile: efficiency is n/a in simulate" "n/a n/a" \
			"$(jq -r '[.runs[] | select(.mode == "simulate") | .verdicts.efficiency.state] | join(" ")' "$work/compare")"
		if [ "$kvm" = host_kvm ]; then
			jq -r '.runs[] | select(.mode == "virtualize" and .type == 2) | .end.detail' "$work/compare" | grep -q 'rip' &&
				ok "$name: host_kvm names the place" || fail "$name: host_kvm names the place" "$(jq -c '.runs[5].end' "$work/compare")"
		fi
	done
done <"$work/rows"
finish
