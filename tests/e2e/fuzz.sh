#!/bin/bash
# Random bytes as code: a fixed part of them through the whole VMM (tests/fuzz/fuzz.h), and does the fuzzer notice what
# is broken on purpose? "make fuzz" runs more, with libFuzzer and its sanitizers.
. "$(dirname "$0")/lib.sh"

fuzz=$(dirname "$VMSCOPE")/tests/fuzz/fuzz
[ -x "$fuzz" ] || { skip "random code" "$fuzz is not built (make tests)"; finish; }

"$fuzz" --n 4000 --seed 1 --seconds 10 --found "$work/found" >"$work/run" 2>&1
is "random code in every mode: nothing found" 0 $?
tail -n 12 "$work/run" | sed 's/^/    /'
is "some hundred machines ran" yes "$(awk -F'[ ,]+' '/^fuzz: seed/ && $4 >= 100 { print "yes" }' "$work/run")"

# notices WHAT STATUS PATTERN: the seeded fault stops the fuzzer, with that line
notices() {
	FUZZ_BREAK=$1 timeout 60 "$fuzz" --n 2000 --seed 2 --mutations 0 --limit "${4:-20}" --found "$work/found.$1" >"$work/broken" 2>&1
	local status=$?
	if [ $status != 0 ] && grep -aqE "$2" "$work/broken"; then
		ok "noticed: $3"
	else
		fail "noticed: $3" "status $status" "$(tail -n 3 "$work/broken")"
	fi
}
notices page 'Segmentation fault|AddressSanitizer' "a page of guest memory that is looked up without a bound"
notices handler 'Segmentation fault|AddressSanitizer' "an exit handler that writes behind the guest's memory"
notices hidden 'cannot reach' "one that writes where the guest cannot reach"
notices engine 'different machines|different exits|ends by' "a difference between x86_step() and the block runner"
notices hang 'no end' "an exit that never ends" 3

# An instruction that retires, then a handler that cannot begin: both engines give up after as many exceptions.
base64 -d >"$work/barren" <<-END
	BgABBfB0YAsgAAEAkAYEAAgBAQCVJl0pAAAAALkdbpQkBY0CyAGN0GkbgGoXatwWl6rxvvL7+b61lJImAQAAAAYDEADjKtHiPa+3
	96l0u+YFArsnBQIAiADuusADAABmb9NtDUTADF3z31iEibsmBQIAiBNND5NzAEMPkwDz8xEAfrsAAA8AARO7/f8fAEjHAx5EB5cA
	4P4BE//kuv0MAAC5CgAAAO66BAZZuu0AAAC5CgAAAO77D6m5AwEAwLjXvkABugCA//8PMksNjwAjAIYA4gc=
END
run_status "a handler that cannot begin is the same to both engines" 0 "$fuzz" "$work/barren"

# What stopped the fuzzer is a file that stops it again.
FUZZ_BREAK=hidden run_status "the case that was written down fails again" 3 "$fuzz" "$work/found.hidden"
run_status "and runs where nothing is broken" 0 "$fuzz" "$work/found.hidden"
finish
