#!/bin/bash
# A class, graded with the test lab: killed in the middle and resumed it comes to the same files; what changed is graded
# anew, and nothing else is.
. "$(dirname "$0")/lib.sh"

lab=$top/tests/labs/01_test
class=$work/class
mkdir "$class"
for i in 01 02 03 04 05 06 07 08; do
	cp -r tests/labs/solutions/01_test "$class/good$i"
	echo "-- $i" >>"$class/good$i/cpuid.lua"
	cp -r tests/labs/01_test/starter "$class/start$i"
	echo "-- $i" >>"$class/start$i/cpuid.lua"
done
rm "$class/start02/cpuid.lua"
echo 'this is no Lua' >"$class/start03/cpuid.lua"
echo "return { exits = '<b>\"' .. string.char(27) .. '[2J', reason = 'x' }" >"$class/start04/predictions.lua"
cp -r tests/labs/01_test/starter "$class/a b&<i>"
n=17

# shellcheck disable=SC2317 # called by run_status
batch() { "$VMSCOPE" grade "$lab" --batch "$class" -j 2 --out "$@"; }
lines() { grep -c '"name":' "$1/journal" 2>/dev/null; }
same() { diff -r -x journal "$work/a" "$work/b" 2>&1 | head -20; }

run_status "a class" 0 batch "$work/a"
is "it says what it did" "$n submissions: $n graded now, 0 before; 0 could not be graded" "$(head -1 "$work/out")"
is "and who is finished, a line each" "$n" "$(grep -c "^[0-9]*/$n " "$work/err")"
is "a line of the journal for each" "$n" "$(lines "$work/a")"
is "no escape code is printed where there is no terminal" "" "$(grep -l "$(printf '\033')" "$work/out" "$work/err")"
run_status "again" 0 batch "$work/a"
is "nothing is graded twice" "$n submissions: 0 graded now, $n before; 0 could not be graded" "$(head -1 "$work/out")"

# --- kill -9 ---
descendants() { # of a process: those that grade, and the submissions that they run
	ps -e -o pid= -o ppid= | awk -v top="$1" '
		{ parent[$1] = $2 }
		END { for (p in parent) for (q = parent[p]; q > 1; q = parent[q]) if (q == top) { print p; break } }'
}
for want in 1 5 9; do
	"$VMSCOPE" grade "$lab" --batch "$class" -j 2 --out "$work/b" >/dev/null 2>&1 &
	pid=$!
	for _ in $(seq 600); do
		[ "$(lines "$work/b")" -ge $want ] 2>/dev/null && break
		sleep 0.05
	done
	children=$(descendants $pid)
	kill -9 $pid
	wait $pid 2>/dev/null
	for _ in $(seq 100); do
		alive=
		for c in $children; do grep -qs '^State:.[^Z]' "/proc/$c/status" && alive+=" $c"; done
		[ -z "$alive" ] && break
		sleep 0.1
	done
	is "killed with $want or more finished: so are the processes that grade, and the submissions" "" "$alive"
done
before=$(lines "$work/b")
run_status "resumed" 0 batch "$work/b"
now=$((n - before))
is "what was finished is not graded again" "$n submissions: $now graded now, $before before; 0 could not be graded" \
	"$(head -1 "$work/out")"
is "nobody is in the journal twice" "$n" "$(grep -o '"name":"[^"]*"' "$work/b/journal" | sort -u | wc -l)"
is "and nobody more than that" "$n" "$(lines "$work/b")"
is "the results are those of the run that nobody disturbed" "" "$(same)"

# --- a torn line ---
truncate -s -10 "$work/b/journal"
run_status "a torn line" 0 batch "$work/b"
is "it is told" 1 "$(grep -c '^the journal.s last line was torn' "$work/err")"
is "and that one is graded again" "$n submissions: 1 graded now, $((n - 1)) before; 0 could not be graded" \
	"$(head -1 "$work/out")"
is "the results are the same" "" "$(same)"
rm "$work/b/reports/good01.txt"
echo x >"$work/b/class.csv"
run_status "a report that is missing, and one that is damaged" 0 batch "$work/b"
is "they are made from the journal" "" "$(same)"

# --- interrupted ---
mkdir "$work/c"
"$VMSCOPE" grade "$lab" --batch "$class" -j 1 --out "$work/c" >"$work/c.out" 2>"$work/c.err" &
pid=$!
for _ in $(seq 600); do
	[ "$(lines "$work/c")" -ge 2 ] 2>/dev/null && break
	sleep 0.05
done
one_line "another one in the same place" 3 batch "$work/c"
kill -INT $pid
wait $pid
is "Ctrl-C is status 4" 4 $?
is "and says what to do" 1 "$(grep -c 'interrupted: the same command goes on' "$work/c.err")"
[ -s "$work/c/class.html" ] && ok "what is finished is shown" || fail "what is finished is shown"

# --- what changed ---
echo '-- changed' >>"$class/good03/cpuid.lua"
run_status "a submission changed" 0 batch "$work/a"
is "it is told" "good03: graded anew: the submission is another one" "$(grep anew "$work/err")"
is "and graded, alone" "$n submissions: 1 graded now, $((n - 1)) before; 0 could not be graded" "$(head -1 "$work/out")"
cp -r tests/labs "$work/labs"
lab=$work/labs/01_test
sed -i 's/points = 10/points = 11/' "$lab/lab.lua"
run_status "the lab changed" 0 batch "$work/a"
is "all are graded" "$n" "$(grep -c 'anew: the lab is another one' "$work/err")"
echo 'more' >>"$lab/README.md"
run_status "what is not graded by changed" 0 batch "$work/a"
is "nothing is graded" 0 "$(grep -c anew "$work/err")"
run_status "another seed" 0 batch "$work/a" --seed 2
is "all are graded with it" "$n" "$(grep -c 'anew: the seed was 1' "$work/err")"

# --- what is no submission ---
echo zip >"$class/late.zip"
run_status "a file among the folders" 3 batch "$work/a" --seed 2
is "it is told" 1 "$(grep -c '^late.zip: could not be graded: ' "$work/err")"
is "and it has no points, not 0" '"late.zip",no,,' "$(grep -o '^"late.zip",no,,' "$work/a/class.csv")"

ln -s "$top/tests/labs/solutions/01_test" "$class/linked"
ln -s nowhere "$class/dangling"
run_status "symbolic links among the folders" 3 batch "$work/a" --seed 2
is "are told" 2 "$(grep -cE '^(linked|dangling): could not be graded: it is a symbolic link' "$work/err")"
is "and have no points" 2 "$(grep -cE '^"(linked|dangling)",no,,' "$work/a/class.csv")"
rm "$class/linked" "$class/dangling"
run_status "without them" 3 batch "$work/a" --seed 2

# --- the files ---
page=$work/a/class.html
is "the page needs nothing from elsewhere" "" "$(grep -oiE '<script|<img|<link|src=|@import|url\(|https?:' "$page" | sort -u)"
is "no markup of a submission is in it" "" "$(grep -oF -e '<i>' -e '<b>"' "$page")"
is "every link leads to a report" "" "$(grep -o 'href="reports/[^"]*"' "$page" | sed 's/href="//; s/"$//; s/%25/%/g' |
	while read -r f; do [ -s "$work/a/$f" ] || echo "$f"; done)"
csv=$(python3 -c '
import csv, sys
rows = list(csv.reader(open(sys.argv[1], newline=""), strict=True))
print(len(rows), len(set(map(len, rows))), rows[1][0])' "$work/a/class.csv" 2>&1)
if have python3; then is "class.csv" "$((n + 2)) 1 a b&<i>" "$csv"; else skip "class.csv" "there is no python3"; fi
if have chromium; then
	dom=$(cd "$work" && timeout 120 chromium --headless --no-sandbox --disable-gpu --user-data-dir="$work/chromium" \
		--dump-dom "file://$page" 2>/dev/null)
	is "a browser finds a row for each submission" $((n + 1)) "$(grep -c '<tr><td class="w">' <<<"$dom")"
	is "and its charts" 5 "$(grep -c '<svg' <<<"$dom")"
else
	skip "the page in a browser" "chromium is not installed"
fi

# --- two names, one of which is made to look like what becomes of the other ---
long=$(printf 'b%.0s' $(seq 220))
twin=${long:0:167}-$(printf %s "$long" | sha256sum | cut -c 1-32)
mkdir "$work/twins"
cp -r tests/labs/solutions/01_test "$work/twins/$long"
cp -r tests/labs/01_test/starter "$work/twins/$twin"
run_status "a name that is what another one is shortened to" 0 "$VMSCOPE" grade "$top/tests/labs/01_test" \
	--batch "$work/twins" --out "$work/f"
is "each has its own result" "2 2" "$(find "$work/f/results" -type f | wc -l) $(sort -u <(cut -d, -f3 "$work/f/class.csv" | tail -n +2) | wc -l)"

# --- usage ---
one_line "no lab" 2 "$VMSCOPE" grade --batch "$class"
one_line "no such folder" 2 "$VMSCOPE" grade "$lab" --batch "$work/nothing" --out "$work/d"
one_line "-j 0" 2 "$VMSCOPE" grade "$lab" --batch "$class" -j 0
one_line "a submission, too" 2 "$VMSCOPE" grade "$lab" "$class/good01" --batch "$class"
mkdir "$work/e" && echo "my thesis" >"$work/e/journal"
one_line "another kind of journal" 2 batch "$work/e"
is "it stays" "my thesis" "$(cat "$work/e/journal")"
run_status "--help" 0 "$VMSCOPE" grade --batch x --help
finish
