#!/bin/bash
# A trace of each mode opens in trace-cmd without a complaint, and shows every exit.
. "$(dirname "$0")/lib.sh"

have trace-cmd || { skip "traces in trace-cmd" "trace-cmd is not installed"; finish; }
have jq || { skip "traces in trace-cmd" "jq is not installed"; finish; }

check() { # label, arguments of run
	local label=$1 status=0
	shift
	"$VMSCOPE" run "$@" --json --trace "$work/t.dat" >"$work/json" 2>"$work/err" || status=$?
	if [ $status -eq 3 ] && ! [ -s "$work/json" ]; then
		skip "$label in trace-cmd" "$(cat "$work/err")"
		return
	fi
	local total lost seen
	total=$(jq '.exits.total' "$work/json")
	lost=$(jq '.exits.lost' "$work/json")
	trace-cmd report "$work/t.dat" >"$work/report" 2>"$work/complaints" || fail "$label: trace-cmd reads it"
	is "$label: trace-cmd does not complain" "" "$(grep -v '^version = ' "$work/complaints")"
	is "$label: nothing was lost" 0 "$lost"
	if [ "$("$VMSCOPE" stat "$work/t.dat" --json | jq '.exits.total')" = "$total" ]; then
		ok "$label: vmscope stat counts the same exits"
	else
		fail "$label: vmscope stat counts the same exits" "run: $total" "stat: $("$VMSCOPE" stat "$work/t.dat" --json | jq -c '.exits.total')"
	fi
	seen=$(grep -cE ' kvm_exit:' "$work/report")
	[ "$label" = virtualize ] && seen=$(grep -cE ' kvm_(exit|pio|mmio|msr|cr|cpuid):' "$work/report")
	if [ "$total" -gt 0 ] && [ "$seen" -ge "$total" ] && { [ "$label" = virtualize ] || [ "$seen" -eq "$total" ]; }; then
		ok "$label: trace-cmd report shows every exit ($seen)"
	else
		fail "$label: trace-cmd report shows every exit" "exits.total $total, kvm_exit lines $seen"
	fi
	n=$("$VMSCOPE" report "$work/t.dat" --filter 'kvm_exit:exit_reason==30' 2>"$work/err" | grep -c ' kvm_exit:')
	io=$(jq '[.exits.by_reason[], .exits.not_counted[] | select(.reason == 30) | .count] | add // 0' "$work/json")
	[ "$label" = virtualize ] || is "$label: report --filter finds the I/O exits" "$io" "$n"
}

check emulate hello
check "emulate, all exits" exits --controls all
check simulate hello --mode simulate
check virtualize hello --mode virtualize
finish
