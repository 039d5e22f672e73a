#!/bin/bash
# The transcendental functions of x87 against exact arithmetic: every result, in every rounding mode, is the correctly
# rounded one (docs/FLOAT.md).
#
#   COUNT=4000 SEED=1 tests/long/x87_functions.sh       COUNT operands for each function and rounding mode
. "$(dirname "$0")/../e2e/lib.sh"

count=${COUNT:-4000} seed=${SEED:-1} name="$count operands for each transcendental function and rounding mode, seed $seed"
program=$(dirname "$VMSCOPE")/tests/programs/x87_functions
[ -x "$program" ] || { skip "$name" "$program is not built (make tests)"; finish; }
python=
for p in python3 /usr/bin/python3; do
	"$p" -c 'import mpmath' 2>/dev/null && python=$p && break
done
[ -n "$python" ] || { skip "$name" "Python has no mpmath (apt-get install python3-mpmath)"; finish; }

"$program" "$count" "$seed" >"$work/results"
[ -s "$work/results" ] || fail "$name" "no results"
"$python" tests/long/x87_functions.py <"$work/results" >"$work/out"
is "$name" 0 $?
sed 's/^/    /' "$work/out"

awk '/^fsin / {
	last = length($6)
	$6 = substr($6, 1, last - 1) (substr($6, last) == "0" ? "1" : "0")
	print; exit
}' "$work/results" | "$python" tests/long/x87_functions.py >"$work/out"
is "a result with another last digit is found" 1 $?
finish
