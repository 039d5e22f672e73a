#!/bin/bash
# Every lab that is shipped tells right from wrong: its solution has full marks, the starter has not, and mutants of the
# solution lose points. A few mutants and one seed each; tests/long/labs_verify.sh tries all of them.
. "$(dirname "$0")/lib.sh"

mutants=(--mutants 2 --seeds 1)
[ "${1-}" = all ] && mutants=()
for lab in labs/[0-9][0-9]_*/; do
	id=$(basename "$lab")
	if ! have as && { ls "$lab"guests/*.S >/dev/null 2>&1 || grep -q 'vmscope.asm' "$lab"*.lua; }; then
		skip "$id" "its guests need an assembler, package binutils"
		continue
	fi
	run_status "$id tells right from wrong" 0 "$VMSCOPE" lab verify "$id" "${mutants[@]}" || continue
	is "$id: mutants and predictions were tried, the starter is no solution" "1 1 0" \
		"$(grep -cE '[1-9][0-9]* killed' "$work/out") $(grep -c 'predictions changed' "$work/out") $(
			grep -cE 'starter 100$' "$work/out")"
done
finish
