#!/bin/bash
# Labs 06 to 10: what a student gets to try things with runs. (What the grader runs of it is the same file: scenes.lua
# includes it.)
. "$(dirname "$0")/lib.sh"

is "09: the cost model" "$(cat modes/simulate/costs/nehalem-2011.lua)" "$(cat labs/09_type1_type2/starter/model.lua)"

# tried LAB STATUS LINE SCRIPT ARGUMENT...: a script of the starter, beside the solution, has this status and this line
tried() {
	local lab=$1 want=$2 line=$3 got=0
	shift 3
	[ -d "$work/$lab" ] || {
		"$VMSCOPE" lab start "$lab" "$work/$lab" >/dev/null
		cp labs/solutions/"$lab"_*/*.lua "$work/$lab"
	}
	(cd "$work/$lab" && "$VMSCOPE" lab run "$@") >"$work/out" 2>&1 || got=$?
	is "$lab: $*" "$want yes" "$got $(grep -qF -- "$line" "$work/out" && echo yes || head -c 500 "$work/out")"
}

tried 06 0 "in the VMM	halt	109	output	10 9 8 7 6 5 4 3 2 1" try.lua
tried 06 0 "in one go: no difference" step.lua supervisor 191339
tried 06 0 "in one go: no difference" step.lua user 7 2
tried 06 1 "there is no guest nobody" step.lua nobody 1
sed -i 's/vm.r\[a\] = vm.m /vm.r[a] = vm.machine.m /' "$work/06/vmm.lua" # GETM reads the real M
tried 06 0 "after step 8, P = 23: GETM a=7 b=4 imm=121" step.lua supervisor 191339
tried 06 0 "in your VMM:    r7 = 1" step.lua supervisor 191339
tried 07 0 "vtx-shadow, INVLPG: predicted 43, seen 43" try.lua 21 3
tried 09 0 "type 2	HLT	3207 ns" try.lua 2 HLT
if have as; then
	tried 08 0 "100 Hz	50 ticks	hlt	periodic	out" tick.lua
	tried 08 0 "the guest reads: ticks 10" device.lua period=5000 asleep=3 awake=2
	tried 08 1 "an argument is NAME=NUMBER, not 5000" device.lua 5000
	tried 08 0 "mark 10 at" marks.lua
	tried 10 0 "holds" try.lua debug
	tried 10 0 "lines	10" try.lua chatty abcdef 10
else
	skip "08 and 10: what a student tries" "there is no as"
fi
finish
