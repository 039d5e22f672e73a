#!/bin/bash
# The same submission has the same result, to the byte: graded twice, the second time on a busy machine, and with the
# processes in which it runs under valgrind.
. "$(dirname "$0")/../e2e/lib.sh"
lab=tests/labs/01_test
solution=tests/labs/solutions/01_test
have as || { skip "grading the same" "there is no assembler"; finish; }

# Twenty submissions: each changes one thing in the solution, at the first line that has it.
changes=(
	''
	'cpuid.lua s/1 << 31/1 << 30/'
	'cpuid.lua s/exit.leaf == 1/exit.leaf ~= 1/'
	'cpuid.lua s/"next"/"halt"/'
	'cpuid.lua s/"next"/"kill"/'
	'cpuid.lua s/"next"/"nxt"/'
	'cpuid.lua s/exit:default()/error("mine")/'
	'cpuid.lua s/exit:default()/local t = {} t.x.y = 1/'
	'cpuid.lua s/exit:default()/exit.eax = math.random(0xffff)/'
	'cpuid.lua s/leaf + 7/leaf + 8/'
	'cpuid.lua s/vm:on_exit/vm:off_exit/'
	'cpuid.lua s/^return M/return/'
	'cpuid.lua s/^local M/local M = = /'
	'more.lua s/42/{ 1, 2, x = "y", [100] = vmscope and 1.5 }/'
	'more.lua s/42/"\\xff\\0\\27[31m"/'
	'more.lua s/M.answer = 42/print(M, print, 0.1, "\\27") for k in pairs(_ENV or {}) do print(k) end/'
	'more.lua s/:upper()/:lower()/'
	'more.lua s/exit.value = /exit.port = /'
	'more.lua s/vm:on_exit/vm:run() vm:on_exit/'
	'predictions.lua s/108/110/'
)
for i in "${!changes[@]}"; do
	cp -r "$solution" "$work/s$i"
	[ -z "${changes[i]}" ] || sed -i "${changes[i]#* }" "$work/s$i/${changes[i]%% *}"
done

# grade_all NAME: results in $work/NAME.N.json; status 0 each
grade_all() {
	local bad=0
	for i in "${!changes[@]}"; do
		"$VMSCOPE" grade "$lab" "$work/s$i" --seed 7 --format json >"$work/$1.$i.json" 2>"$work/err" || bad=$?
	done
	is "20 submissions are graded, $1" 0 "$bad"
}
same() { # NAME, numbers
	local different='' name=$1
	shift
	for i; do cmp -s "$work/quiet.$i.json" "$work/$name.$i.json" || different+=" $i"; done
	is "the same bytes, $name" "" "$different"
}

grade_all quiet
is "they differ from each other" 20 "$(cat "$work"/quiet.*.json | grep -c submission_hash)"
is "and have results of many kinds" true \
	"$([ "$(grep -h '"points"' "$work"/quiet.*.json | sort -u | wc -l)" -ge 5 ] && echo true)"

busy=()
for _ in 1 2 3 4; do
	(while :; do :; done) &
	busy+=($!)
done
grade_all busy
kill "${busy[@]}"
wait "${busy[@]}" 2>/dev/null
same busy "${!changes[@]}"

tool=$(dirname "$VMSCOPE")/tests/programs/grade_valgrind
if ! have valgrind; then
	skip "grading under valgrind" "there is no valgrind"
elif [ "$(nm "$VMSCOPE" 2>/dev/null | grep -c __asan_init)" != 0 ]; then
	skip "grading under valgrind" "this program has another sanitizer"
elif [ ! -x "$tool" ]; then
	skip "grading under valgrind" "$tool is not built: make tests"
else
	for i in $(seq 0 $((${#changes[@]} - 1))); do
		VMSCOPE_GUESTS=$(dirname "$VMSCOPE")/guests VMSCOPE_COSTS=$(dirname "$VMSCOPE")/costs \
			"$tool" "$lab" "$work/s$i" --seed 7 --format json >"$work/valgrind.$i.json" 2>>"$work/valgrind.err"
	done
	# shellcheck disable=SC2046
	same valgrind $(seq 0 $((${#changes[@]} - 1)))
	is "valgrind has nothing to say" "" "$(head -c 1500 "$work/valgrind.err")"
fi
finish
