#!/bin/bash
# Grading, by the lab of tests/labs: points, lines with their file and line, gates, hidden tasks, predictions, what
# could not be graded; and what a submission must not reach.
. "$(dirname "$0")/lib.sh"
lab=tests/labs/01_test
solution=tests/labs/solutions/01_test
for tool in as jq; do
	have "$tool" || { skip "grading" "there is no $tool"; finish; }
done

# field RESULT JQ-FILTER
field() { jq -r "$2" "$1" 2>&1; }
# has NAME FILE TEXT: the text stands in a file
has() {
	if grep -qF -- "$3" "$2"; then ok "$1"; else fail "$1" "not in it: $3" "$(head -c 3000 "$2")"; fi
}
lacks() {
	if grep -qF -- "$3" "$2"; then fail "$1" "in it: $3" "$(head -c 3000 "$2")"; else ok "$1"; fi
}
# a submission: the solution, with other files on top
new() {
	rm -rf "${work:?}/$1"
	cp -r "$solution" "$work/$1"
}
# grade NAME: its result in $work/NAME.json
grade() { run_status "$1 is graded" 0 "$VMSCOPE" grade "$lab" "$work/$1" --format json -o "$work/$1.json"; }
points() { field "$work/$1.json" '[.tasks[].points] | map(tostring) | join(" ")'; }

# --- The two ends
new full
grade full
is "the solution has full marks" "20 10 20" "$(points full)"
is "and all predictions" 10 "$(field "$work/full.json" .prediction_points)"
is "it says in which mode it ran" "emulate/II vtx-ept" "$(field "$work/full.json" .runs)"
"$VMSCOPE" grade "$lab" "$work/full" 2>"$work/err" | true
has "a reader that went away is told" "$work/err" "could not be written: the disk is full, or nobody reads it any more"

# --- Where the result goes
out=$work/there
mkdir "$out"
echo mine >"$work/mine"
ln -s "$work/mine" "$out/result.json.part"
ln -s "$work/mine" "$out/link.json"
mkfifo "$out/fifo"
for name in result link; do
	run_status "into $name.json, in a folder of links" 0 "$VMSCOPE" grade "$lab" "$work/full" --task hide --format json \
		-o "$out/$name.json"
	is "it is there, a file" "20 regular file" "$(field "$out/$name.json" .points) $(stat -c %F "$out/$name.json")"
done
is "nothing was written through a link" mine "$(cat "$work/mine")"
one_line "into a FIFO that nobody reads" 3 "$VMSCOPE" grade "$lab" "$work/full" --task hide -o "$out/fifo"
exec 5<>"$out/fifo"
run_status "into a FIFO" 0 "$VMSCOPE" grade "$lab" "$work/full" --task hide -o "$out/fifo"
"$VMSCOPE" grade "$lab" "$work/full" --task hide >"$work/out"
is "which is one as before, and has it" "fifo $(head -c 5 "$work/out")" "$(stat -c %F "$out/fifo") $(timeout 60 head -c 5 <&5)"
exec 5<&-
if mknod -m 666 "$out/null" c 1 3 2>/dev/null; then
	run_status "into a device" 0 "$VMSCOPE" grade "$lab" "$work/full" --task hide -o "$out/null"
	is "which stays one" "character special file" "$(stat -c %F "$out/null")"
else
	skip "into a device" "only root makes one"
fi
rm -f "$out/null"
echo before >"$work/appended"
"$VMSCOPE" grade "$lab" "$work/full" --task hide -o /dev/stdout >>"$work/appended" 2>/dev/null
is "/dev/stdout is what is open: what was in the file before stays" before "$(head -n 1 "$work/appended")"
is "nothing is left beside it" "fifo link.json result.json result.json.part" "$(cd "$out" && echo *)"
run_status "with files that are nobody else's" 0 sh -c 'umask 077 && exec "$@"' - "$VMSCOPE" grade "$lab" "$work/full" \
	--task hide -o "$out/private"
is "it can be graded, and is the caller's alone" 600 "$(stat -c %a "$out/private")"

run_status "check of the solution: status 0" 0 "$VMSCOPE" lab check --lab "$lab" "$work/full"
run_status "check of the starter: status 1" 1 "$VMSCOPE" lab check --lab "$lab" "$lab/starter"
has "BAD has expected and seen" "$work/out" "BAD      bit 31 of ECX: expected 0, seen 1"
has "and where the exits come from" "$work/out" 0x7c07
has "a task that was not begun takes one line" "$work/out" "upper            not begun    A louder guest"
has "hidden tasks are not run by check" "$work/out" "unseen           hidden, 20   Any leaf"
has "the total is always printed" "$work/out" "total 12 / 30, predictions 0 / 10"
lacks "the answers of predictions that nobody made are not told" "$work/out" 108
run_status "check of one task of the starter" 1 "$VMSCOPE" lab check --lab "$lab" "$lab/starter" upper
has "MISSING: nothing was there" "$work/out" "MISSING  answer: expected 42"
mkdir "$work/started" && cp "$solution"/* "$work/started" && printf '%s\n' "$top/$lab" >"$work/started/.lab"
run_status "a folder of lab start knows its lab" 0 "$VMSCOPE" lab check "$work/started"
run_status "one task alone" 0 "$VMSCOPE" lab check "$work/started" upper
has "its points are the total" "$work/out" "total 10 / 10"

# --- Partial credit
new bands
sed -i 's/exit:default()/exit:default() vm.mem[0x7100] = 1/; s/function M.install(vm)/function M.install(vm)\n  vm:on_exit("port 0xf4", function(exit, cpu) if vm.mem[0x7101] == 0 then vm.mem[0x7101] = 1 cpu.rip = 0x7c07 return "again" end end)/' "$work/bands/cpuid.lua"
grade bands
is "a band gives a part" 0.5 "$(field "$work/bands.json" '.tasks[0].lines[] | select(.what == "CPUID exits").share')"
is "of the weighted mean: 2 + 0.5 + 1 + 0.5 of 5, in hundredths" 16 "$(field "$work/bands.json" .tasks[0].points)"
new near
echo 'return { exits = 111, reason = "CPUID" }' >"$work/near/predictions.lua"
grade near
is "a prediction that is near has half of its points" "2.5 0" "$(field "$work/near.json" '[.predictions[].points] | map(tostring) | join(" ")')"

# --- What the submission does wrong is its own, with file and line
new raises
sed -i 's/exit.ecx = .*/exit.ecx = nil + 1/' "$work/raises/cpuid.lua"
grade raises
is "an error in a handler costs the task" 0 "$(field "$work/raises.json" .tasks[0].points)"
is "and names file and line" "cpuid.lua:7: attempt to perform arithmetic on a nil value" \
	"$(field "$work/raises.json" '.tasks[0].lines[0].seen')"
is "tasks after it are gated" gated "$(field "$work/raises.json" .tasks[2].state)"
is "others are not touched" 10 "$(field "$work/raises.json" .tasks[1].points)"
new some
sed -i 's/exit.eax = .*/if exit.leaf > 20 then error("not yet") end exit.eax = exit.leaf + 7/' "$work/some/cpuid.lua"
grade some
is "who fails in the third of four scenes keeps the first two" 10 "$(field "$work/some.json" .tasks[2].points)"
new syntax
echo 'return {' >"$work/syntax/cpuid.lua"
grade syntax
is "a syntax error" "cpuid.lua:2: unexpected symbol near <eof>" "$(field "$work/syntax.json" '.tasks[0].lines[0].seen')"
new notepad
for file in "$work"/notepad/*.lua; do
	{ printf '\xef\xbb\xbf#!/usr/bin/lua\r\n' && sed 's/$/\r/' "$file"; } >"$work/with" && mv "$work/with" "$file"
done
grade notepad
is "a byte order mark, a first line for a shell and line ends of another system are none of its mistakes" "20 10 20 10" \
	"$(points notepad) $(field "$work/notepad.json" .prediction_points)"
echo 'return {' >>"$work/notepad/more.lua"
grade notepad
has "and lines keep their numbers" "$work/notepad.json" "more.lua:$(wc -l <"$work/notepad/more.lua")"
new missing
rm "$work/missing/more.lua"
grade missing
is "a file that is missing" "more.lua: it is missing: hand it in" "$(field "$work/missing.json" '.tasks[1].lines[0].seen')"
new nothing
sed -i '/^return M$/d' "$work/nothing/cpuid.lua"
grade nothing
is "a file without its return" 'cpuid.lua has to return a table, and returns nothing: is its last line a "return"?' \
	"$(field "$work/nothing.json" '.tasks[0].lines[0].seen')"
new misnamed
sed -i 's/M.install/M.instal/' "$work/misnamed/cpuid.lua"
grade misnamed
is "a function of another name" "cpuid.lua: install has to be a function, and is nothing" \
	"$(field "$work/misnamed.json" '.tasks[0].lines[0].seen')"
new register
sed -i 's/exit.ecx = .*/exit.ecx = nil/' "$work/register/cpuid.lua"
grade register
is "a register that gets no number" "cpuid.lua:7: exit.ecx: a whole number is needed, not nil" \
	"$(field "$work/register.json" '.tasks[0].lines[0].seen')"
new link
ln -sf "$top/$lab/lab.lua" "$work/link/more.lua"
grade link
has "a symbolic link is no file" "$work/link.json" "it is a symbolic link"
new large
head -c 70000 /dev/zero | tr '\0' ' ' >"$work/large/more.lua"
grade large
has "a large file is none" "$work/large.json" "it is larger than 64 KiB"
new closes
sed -i 's/function M.install(vm)/function M.install(vm) vm:close()/' "$work/closes/cpuid.lua"
grade closes
is "who breaks the scene has not made it the lab's fault" 0 "$(field "$work/closes.json" .tasks[0].points)"
new bad_predictions
echo 'return { exits = print, reason = "IO_INSTRUCTION" }' >"$work/bad_predictions/predictions.lua"
grade bad_predictions
is "predictions are data, and functions are not there" 5 "$(field "$work/bad_predictions.json" .prediction_points)"
new broken_predictions
echo 'return { exits = , reason = "IO_INSTRUCTION" }' >"$work/broken_predictions/predictions.lua"
grade broken_predictions
is "predictions that are no Lua are none, and it is said why" "0 predictions.lua:1: unexpected symbol near ','" \
	"$(field "$work/broken_predictions.json" '"\(.prediction_points) \(.predictions[0].predicted)"')"
run_status "check: predictions that are no Lua" 1 "$VMSCOPE" lab check --lab "$lab" "$work/broken_predictions"
has "check says why" "$work/out" "predictions.lua:1: unexpected symbol near ','"
lacks "and tells no answers" "$work/out" 108
run_status "in the report, too" 0 "$VMSCOPE" grade "$lab" "$work/broken_predictions"
lacks "which tells no answers, either" "$work/out" 108
new loop
echo 'while true do pcall(function() while true do end end) end' >"$work/loop/more.lua"
grade loop
has "an endless loop" "$work/loop.json" "2000 million Lua instructions, an endless loop?"

# --- What it cannot reach
new reaches
cat >"$work/reaches/more.lua" <<'LUA'
local out = {}
local function try(what, f) out[#out + 1] = what .. "=" .. tostring(select(2, pcall(f))) end
try("env", function() return _G end)
try("s", function() return s end)
try("scenes", function() return scenes end)
try("string", function() return getmetatable("") end)
try("vm", function() return getmetatable(vmscope.vm{ guest = "hello" }) end)
try("load", function() return load end)
try("set", function() return setmetatable(getmetatable("") or {}, nil) end)
string.upper = function() return "FORGED" end
string.match = function() return "FORGED" end
string.gsub = function() return "FORGED", 1 end
string.format = nil
table.concat = nil
vmscope.vm = nil
pairs, ipairs, tostring, print = nil, nil, nil, nil
return { answer = out[1] .. out[2] .. out[3] .. out[4] .. out[5] .. out[6], upper = function() end }
LUA
grade reaches
is "a submission finds nothing of the scene, and changes nothing of it" \
	'"env=nils=nilscenes=nilstring=falsevm=falseload=nil"' "$(field "$work/reaches.json" '.tasks[1].lines[] | select(.what == "answer").seen')"
is "what it does to string is its own" '"Hello from a guest: long mode, CPL 0, one UART.\n"' \
	"$(field "$work/reaches.json" '.tasks[1].lines[] | select(.what == "console").seen')"
new prints
printf '%s\n' 'print("\27[31mred\0") for i = 1, 100000 do print(i) end return dofile' >"$work/prints/more.lua"
run_status "what it prints is shown" 1 "$VMSCOPE" lab check --lab "$lab" "$work/prints"
has "with its control characters as text" "$work/out" '\x1b[31mred\x00'
is "and bounded" true "$([ "$(wc -c <"$work/out")" -lt 40000 ] && echo true)"

# --- Not gradable is not 0
cp -r "$lab" "$work/broken" && cp -r tests/labs/solutions "$work/solutions" && mv "$work/solutions/01_test" "$work/solutions/broken"
sed -i 's/id = "01_test"/id = "broken"/; s/t:equal("answer"/t:equl("answer"/' "$work/broken/lab.lua"
run_status "a check that fails: status 3" 3 "$VMSCOPE" grade "$work/broken" "$work/full" --format json -o "$work/broken.json"
is "is not gradable" "false task upper: lab.lua:30: t has no equl" "$(field "$work/broken.json" '"\(.gradable) \(.why)"' | cut -d: -f1-4)"
sed -i 's/t:equl/t:equal/' "$work/broken/lab.lua"
sed -i 's/^  vm:run()$/  vm:rn()/' "$work/broken/scenes.lua"
run_status "a scene that fails: status 3" 3 "$VMSCOPE" grade "$work/broken" "$work/full"
cp "$lab/scenes.lua" "$work/broken/scenes.lua"

# --- A lab that is wrong says where
wrong() { # name, sed program, words
	cp "$lab/lab.lua" "$work/broken/lab.lua"
	sed -i 's/id = "01_test"/id = "broken"/' "$work/broken/lab.lua"
	sed -i "$2" "$work/broken/lab.lua"
	one_line "$1" 2 "$VMSCOPE" grade "$work/broken" "$work/full"
	has "$1: it says where" "$work/err" "$3"
}
wrong "a task without points" 's/title = "A louder guest", points = 10/title = "A louder guest"/' "lab.lua: tasks[2].points: a number above 0"
wrong "a field that there is none" 's/hidden = true/hiden = true/' "lab.lua: tasks[3].hiden: no such field"
wrong "a gate that there is none" 's/after = { "hide" }/after = { "hid" }/' "lab.lua: tasks[3].after: no task before this one"
wrong "two tasks of one name" 's/id = "upper"/id = "hide"/' "lab.lua: tasks[2].id: another task has it"
wrong "a file elsewhere" 's/"more.lua"/"..\/more.lua"/' "lab.lua: files: plain names"
wrong "a syntax error" 's/^return {/return {{/' "lab.lua:"
one_line "no such lab" 2 "$VMSCOPE" grade 99 "$work/full"
one_line "no such submission" 2 "$VMSCOPE" grade "$lab" "$work/nobody"
one_line "no such task" 2 "$VMSCOPE" grade "$lab" "$work/full" --task nothing
one_line "no such format" 2 "$VMSCOPE" grade "$lab" "$work/full" --format papyrus
one_line "a folder without .lab" 2 "$VMSCOPE" lab check "$work/full"

# --- Filters, seeds
run_status "a filter" 0 "$VMSCOPE" grade "$lab" "$work/full" --task 'u*' --format json -o "$work/filter.json"
is "runs what it names" "filtered graded graded" "$(field "$work/filter.json" '[.tasks[].state] | join(" ")')"
is "and counts that" "30 30" "$(field "$work/filter.json" '"\(.points) \(.max)"')"
"$VMSCOPE" grade "$lab" "$work/full" --seed 2 --format json >"$work/two.json"
is "another seed asks for other leaves" true \
	"$([ "$(field "$work/two.json" '[.tasks[2].lines[].what] | join(" ")')" != "$(field "$work/full.json" '[.tasks[2].lines[].what] | join(" ")')" ] && echo true)"
is "and the solution has full marks" "50" "$(field "$work/two.json" .points)"
VMSCOPE_LABS=tests/labs run_status "a lab by the beginning of its id" 0 "$VMSCOPE" grade 01 "$work/full"
"$VMSCOPE" grade "$lab" "$work/full" >"$work/text"
lacks "a student does not see what hidden tasks looked at" "$work/text" "leaf 0x"
finish
