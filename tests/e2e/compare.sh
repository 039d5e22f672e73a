#!/bin/bash
# compare: a limit, or a profile under which instructions leak, must not turn into a difference that is not one; and a
# model that does something else is found.
. "$(dirname "$0")/lib.sh"

have jq || { skip "compare" "jq is not installed"; finish; }

# no_difference NAME: no equivalence row of the last comparison is violated
no_difference() {
	is "$1" "" "$(jq -r '.equivalence[] | select(.state == "violated") | "\(.subject): \(.evidence)"' "$work/out")"
}

run_status "a limit of exits ends with status 4" 4 "$VMSCOPE" compare primes --max-exits 50 --json
no_difference "a limit of exits is no difference"
is "the models were compared up to it" "50 50" \
	"$(jq -r '[.equivalence[] | select(.subject | startswith("simulate")) | .exits_compared] | join(" ")' "$work/out")"

for profile in deprivileged umip; do
	run_status "compare under $profile" 0 "$VMSCOPE" compare exits --controls $profile --json
	no_difference "what leaks under $profile is no difference"
done

run_status "instruction by instruction" 0 "$VMSCOPE" compare hello --lockstep insn --json
no_difference "no instruction differs"

sed 's/UART/uart/' labs/guests/hello.lua >"$work/hello.lua"
cmp -s labs/guests/hello.lua "$work/hello.lua" && fail "the seeded fault is in the model"
cp labs/guests/rt.lua "$work/"
run_status "a model that prints something else fails the comparison" 1 "$VMSCOPE" compare hello --model "$work/hello.lua" --json
is "and both types are violated" "violated violated" \
	"$(jq -r '[.equivalence[] | select(.subject | startswith("simulate")) | .state] | join(" ")' "$work/out")"
finish
