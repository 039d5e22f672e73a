#!/bin/bash
# vmscope lab list, show, start, new, bundle.
. "$(dirname "$0")/lib.sh"

run_status "lab list" 0 "$VMSCOPE" lab list
is "it has each lab" "$(find labs -maxdepth 1 -name '[0-9]*_*' | wc -l)" "$(grep -c '^[0-9][0-9]_' "$work/out")"
is "with time, points, needs, title" "04_cpuid 60-120 100 - Write the CPUID handler" \
	"$(grep '^04_cpuid' "$work/out" | tr -s ' ')"
run_status "lab show" 0 "$VMSCOPE" lab show 4
is "it has README, tasks and predictions" 3 "$(grep -cE '^# |^## What is graded|^## Predictions' "$work/out" | head -1)"
is "but no answers" 0 "$(grep -c 't:equal' "$work/out")"
one_line "a lab that is not there" 2 "$VMSCOPE" lab show 77
one_line "two labs" 2 "$VMSCOPE" lab show 1 2
one_line "no lab" 2 "$VMSCOPE" lab start

run_status "lab start" 0 "$VMSCOPE" lab start 04 "$work/one/two"
is "README, starter and the lab's id" ".lab README.md cpuid.lua predictions.lua" "$(cd "$work/one/two" && echo .lab *)"
is "the id" 04_cpuid "$(cat "$work/one/two/.lab")"
is "nothing of the teacher's" 0 "$(find "$work/one" -name lab.lua -o -name scenes.lua | wc -l)"
one_line "a folder that is not empty" 2 "$VMSCOPE" lab start 05 "$work/one/two"
is "it is left alone" 04_cpuid "$(cat "$work/one/two/.lab")"
run_status "check finds the lab by its folder" 1 "$VMSCOPE" lab check "$work/one/two"

# What "lab check" says of work that was not begun is short; nothing of it tells what is to be predicted.
run_status "check of what lab start made" 1 "$VMSCOPE" lab check "$work/one/two"
is "a line for each task that was not begun" 6 "$(grep -cE '^[a-z_]+ +not begun ' "$work/out")"
is "and for the predictions" 1 "$(grep -c '^predictions      not made     fill in predictions.lua' "$work/out")"
is "no values, none of them long" 0 "$(grep -v ': .*"vmscope ' "$work/out" | grep -cE '^  (GOOD|BAD|MISSING) |.{81}')"
run_status "a task that is named" 1 "$VMSCOPE" lab check "$work/one/two" hide
is "is shown whole" 1 "$(grep -c '^  BAD      bit 31 of ECX in leaf 1: expected 0, seen 1$' "$work/out")"
is "in 80 columns" 0 "$(grep -cE '.{81}' "$work/out")"
cp -r "$work/one/two" "$work/one/begun"
sed -i 's/^M.highest = nil/M.highest = 12/' "$work/one/begun/cpuid.lua"
run_status "a wrong answer" 1 "$VMSCOPE" lab check "$work/one/begun"
is "is work that was begun" "5 1" "$(grep -c ' not begun ' "$work/out") $(grep -c '^  BAD      highest: .*expected 13, seen 12' "$work/out")"
# shellcheck disable=SC2016 # the inner shell expands
run_status "a task that has to wait" 1 bash -c '"$1" lab start 5 "$2/uart" && "$1" lab check "$2/uart"' sh "$VMSCOPE" "$work"
is "says for what" 1 "$(grep -c '^receive          gated, 15    Receive (after print)$' "$work/out")"
"$VMSCOPE" lab start 3 "$work/sensitive" >"$work/out"
sed -i 's/^function M.parse(console)/&\n  return vmscope.vm{ guest = "hello" }/' "$work/sensitive/probe.lua"
run_status "a file without vmscope that uses it" 1 "$VMSCOPE" lab check "$work/sensitive" parse
is "is told so, with file and line" 1 "$(tr -s ' \n' ' ' <"$work/out" | grep -c 'probe.lua:[0-9]*: there is no vmscope.vm in a file that is handed in')"

# Which lab, which folder.
is "1 is lab 01, whatever begins with a 1" "# Lab 01: one guest, three modes" "$("$VMSCOPE" lab show 1 | head -1)"
one_line "a beginning that several have" 2 "$VMSCOPE" lab show 0
is "names them, and no others" 0 "$(grep -c 10_escape "$work/err")"
# shellcheck disable=SC2016 # the inner shell expands
run_status "check of a folder that is not there" 2 bash -c 'cd "$2" && "$1" lab check nowhere' sh "$(realpath "$VMSCOPE")" "$work"
is "names it" 1 "$(grep -c 'nowhere: no such folder' "$work/err")"

# A new lab works, and tells right from wrong.
run_status "lab new" 0 "$VMSCOPE" lab new 11_mine "$work/labs"
is "under 60 lines of Lua" yes "$([ "$(cat "$work/labs/11_mine/"*.lua | wc -l)" -lt 60 ] && echo yes)"
if have as; then run_status "lab verify passes it" 0 "$VMSCOPE" lab verify "$work/labs/11_mine"; else skip "lab verify" "no assembler"; fi
one_line "a lab that is there" 2 "$VMSCOPE" lab new 11_mine "$work/labs"
one_line "a name that leads elsewhere" 2 "$VMSCOPE" lab new ../x "$work/labs"
run_status "a student starts it" 0 "$VMSCOPE" lab start "$work/labs/11_mine" "$work/student"
is "its name is filled in" "# 11_mine: count what a guest prints" "$(head -1 "$work/student/README.md")"

cp "$work/labs/solutions/11_mine/"*.lua "$work/student/"
run_status "and with the solution has full marks" 0 "$VMSCOPE" lab check "$work/student"

# The walk of docs/labs.md, with the texts that stand there.
mine=$work/labs/11_mine
awk -v dir="$work" '
	/^## / { here = /^## A new lab/ }
	here && /^```lua$/ { file = sprintf("%s/walk%d.lua", dir, ++n); next }
	/^```/ { file = "" }
	file { print >file }
' docs/labs.md
sed -i '/^return scenes/d' "$mine/scenes.lua"
{ cat "$work/walk1.lua" && echo 'return scenes'; } >>"$mine/scenes.lua"
sed -i -e "/^  tasks = {/r $work/walk2.lua" -e 's/files = { "count.lua" }/files = { "count.lua", "lines.lua" }/' "$mine/lab.lua"
cp "$work/walk3.lua" "$work/labs/solutions/11_mine/lines.lua"
echo 'return function(text) end' >"$mine/starter/lines.lua"
is "the lab of the walk has fewer than 60 lines of Lua" yes "$([ "$(cat "$mine/"*.lua | wc -l)" -lt 60 ] && echo yes)"
run_status "and tells right from wrong" 0 "$VMSCOPE" lab verify "$mine"
is "with the new task" "11_mine: solution 30 / 30 (seeds 1 to 3), starter 0" "$(head -1 "$work/out")"
is "and no mutant is left" 1 "$(grep -c ' 0 left' "$work/out")"
run_status "a student starts it by its number" 0 env VMSCOPE_LABS="$work/labs" "$VMSCOPE" lab start 11 "$work/walker"
run_status "and has not begun" 1 env VMSCOPE_LABS="$work/labs" "$VMSCOPE" lab check "$work/walker"
run_status "and is asked for lines" 1 env VMSCOPE_LABS="$work/labs" "$VMSCOPE" lab check "$work/walker" lines
is "of the guest hello" 1 "$(grep -c 'lines of hello: ' "$work/out")"
sed -i 's/n + 1/n + 2/' "$work/labs/solutions/11_mine/lines.lua"
run_status "a solution that is wrong is found" 1 "$VMSCOPE" lab verify "$mine"

# "1" is lab 01, and not one of those that begin with 1.
run_status "a lab by its number" 0 "$VMSCOPE" lab show 1
is "it is that one" "# Lab 01" "$(head -1 "$work/out" | cut -d: -f1)"

# The bundle: in a root folder with nothing but a shell and the C library.
one_line "a bundle for nobody" 2 "$VMSCOPE" lab bundle 4
one_line "for another service" 2 "$VMSCOPE" lab bundle 4 --for moodle
root=$work/root
without=$(dirname "$(realpath "$VMSCOPE")")/tests/programs/without_layers
run_status "lab bundle" 0 "$VMSCOPE" lab bundle 4 --for gradescope -o "$root/autograder/source" || finish
is "its scripts" "run_autograder setup.sh" "$(cd "$root/autograder/source" && find . -maxdepth 1 -type f -perm -1 -printf '%P\n' | sort | paste -sd' ')"
if have zip && have unzip; then
	run_status "as a zip" 0 "$VMSCOPE" lab bundle 4 --for gradescope -o "$work/b.zip"
	unzip -qd "$work/unzipped" "$work/b.zip" && is "with the same in it" "" "$(diff -rq "$work/unzipped" "$root/autograder/source")"
else
	skip "as a zip" "no zip and unzip here"
fi
mkdir -p "$root"/{bin,lib64,proc,dev,tmp,etc,autograder/results} "$root/lib/x86_64-linux-gnu"
# The C library alone: those that it is linked with come with the bundle.
for lib in $(ldd "$(realpath "$VMSCOPE")" /bin/bash | grep -oE '/[^ ]+' | grep -E '/(libc|libm|libtinfo|ld-linux[^/]*)\.so' | sort -u); do
	case $lib in
	*/ld-linux*) cp -L "$lib" "$root/lib64/" ;;
	*libtinfo*) ;;
	*) cp -L "$lib" "$root/lib/x86_64-linux-gnu/" ;;
	esac
done
busybox=$(command -v busybox || true)
if [ -z "$busybox" ] || ldd "$busybox" >/dev/null 2>&1; then
	skip "the bundle in a bare root" "no static busybox here"
elif grep -qs __asan_init "$(realpath "$VMSCOPE")"; then
	skip "the bundle in a bare root" "a sanitized program has libraries that the bundle does not bring"
elif ! unshare -rm true 2>/dev/null; then
	skip "the bundle in a bare root" "no namespaces for this user"
else
	cp "$busybox" "$root/bin/busybox"
	for tool in sh bash mkdir; do ln -s busybox "$root/bin/$tool"; done
	cp -r labs/solutions/04_cpuid "$root/autograder/submission"
	# shellcheck disable=SC2016 # the inner shell expands
	run_status "the bundle grades in a bare root" 0 unshare -rmpf sh -c 'mount --rbind /dev "$1/dev" &&
		mount -t proc proc "$1/proc" && exec chroot "$1" /bin/sh /autograder/source/run_autograder' sh "$root"
	mv "$root/autograder/results/results.json" "$work/results.json"
	# shellcheck disable=SC2016
	run_status "and in a container that lets nobody make namespaces" 0 unshare -rmpf sh -c 'mount --rbind /dev "$1/dev" &&
		mount -t proc proc "$1/proc" && exec "$2" namespaces chroot "$1" /bin/sh /autograder/source/run_autograder' sh "$root" "$without"
	is "with the same result" "$(md5sum <"$work/results.json")" "$(md5sum <"$root/autograder/results/results.json")"
	is "as here" "$("$VMSCOPE" grade 4 labs/solutions/04_cpuid --format gradescope | sed 's/submission *[^ ]*//' | grep -E '"score"' | md5sum)" \
		"$(grep -E '"score"' "$root/autograder/results/results.json" 2>&1 | md5sum)"
fi
finish
