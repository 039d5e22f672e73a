#!/bin/bash
# compare fills the columns of bare metal, and its verdicts rest on exits that the VMCS produced: virtualize/I and emulate/I
# against emulate/II, exit by exit, field by field, under the profiles that program a VMCS.
. "$(dirname "$0")/lib.sh"

have jq || { skip "compare on bare metal" "jq is not installed"; finish; }
have bochs || { skip "compare on bare metal" "bochs is not installed"; finish; }

# row SUBJECT: "state exits" of the last comparison
row() { jq -r --arg s "$1" '.equivalence[] | select(.subject == $s) | "\(.state) \(.exits_compared)"' "$work/out"; }

compared() { # GUEST PROFILE
	local label="$1, $2"
	run_status "$label: no difference" 0 "$VMSCOPE" compare "$1" --controls "$2" --json --timeout 120 || return
	is "$label: five columns are there" 5 "$(jq '[.runs[] | select((.mode == "virtualize" and .type == 2 | not) and .unavailable == null)] | length' "$work/out")"
	# A host's KVM may not get to the end of a guest, and says so.
	is "$label: all consoles are one" 1 \
		"$(jq -r '[.runs[] | select(.console_sha256 and .end.kind != "host_kvm") | .console_sha256] | unique | length' "$work/out")"
	is "$label: resource control holds everywhere" holds "$(jq -r '[.runs[] | select(.verdicts) | .verdicts.safety.state] | unique | join(" ")' "$work/out")"
	local total subject state n
	total=$(jq '[.runs[1].exits.by_reason[] | select(.reason | IN(1, 7, 52) | not) | .count] | add' "$work/out")
	for subject in emulate/I virtualize/I; do
		read -r state n <<<"$(row "$subject")"
		if [ "$subject $1 $state" = "virtualize/I sensitive unknown" ] && [ "$2" != all ]; then
			is "$label: $subject reads a time stamp that no exit shows, and differs in nothing" 1 \
				"$(jq -r '.equivalence[] | select(.subject == "virtualize/I") | .evidence' "$work/out" | grep -c '^rdtsc at rip 0x.*no difference$')"
			continue
		fi
		is "$label: $subject" holds "$state"
		# Under "all" the #GP behind an early exit of XSETBV, and of INVPCID, is one exit less.
		[ "$n" -ge $((total - 2)) ] && [ "$n" -gt 50 ] && ok "$label: $subject: $n exits one by one" ||
			fail "$label: $subject: exits one by one" "$n of $total"
	done
}

for profile in vtx-ept vtx-shadow; do
	for g in hello exits boot16 timer paging modes primes sensitive; do
		compared $g $profile
	done
done
compared exits all
compared sensitive all
compared timer all

# AMD-V is compared by class, and another engine in one column leaves the other columns as they are.
by_class() { # MACHINE GUEST
	local label="$2, AMD-V in $1"
	run_status "$label: no difference" 0 "$VMSCOPE" compare "$2" --engine svm --machine "$1" --json --timeout 120
	is "$label: counts by class" "holds" "$(row virtualize/I | cut -d' ' -f1)"
	is "$label: the interpreter is compared one by one" "holds" "$(row emulate/I | cut -d' ' -f1)"
	[ "$2" != sensitive ] || is "$label: what cannot be compared is listed" true \
		"$(jq '.equivalence[] | select(.subject == "virtualize/I") | .exemptions | length > 0' "$work/out")"
}
for machine in qemu bochs; do
	have $machine || have $machine-system-x86_64 || { skip "AMD-V by class in $machine" "$machine is not installed"; continue; }
	for g in exits paging sensitive; do by_class $machine $g; done
done
one_line 'an engine that there is not: one line' 2 "$VMSCOPE" compare hello --engine kvm
finish
