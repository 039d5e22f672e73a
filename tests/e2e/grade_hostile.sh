#!/bin/bash
# Submissions that attack the grader, one by one: each is graded in bounded time, gets what it deserves, leaves nothing
# behind, and its report is clean. With arguments: those alone, by name.
. "$(dirname "$0")/lib.sh"
for tool in as jq; do
	have "$tool" || { skip "hostile submissions" "there is no $tool"; finish; }
done
"$VMSCOPE" lab new hostile "$work/labs" >/dev/null || { fail "a lab"; finish; }
lab=$work/labs/hostile solution=$work/labs/solutions/hostile
# What nobody may read: it stands in the lab, in the solution, and in a file beside.
secret=SECRET$RANDOM$RANDOM
echo "-- $secret" | tee -a "$lab/lab.lua" "$solution/count.lua" >"$work/secret"
mkdir "$work/s" "$work/tmp" "$work/out.d"
export TMPDIR=$work/tmp

only=${*:+ $* }
slow=" asm_time " # when it is named only: tests/long/grade_hostile.sh
declare -A want words
names=()
# submission NAME POINTS WORDS: what task "hello" comes to, and what stands in the result; count.lua from stdin
submission() {
	[[ -z $only && $slow != *" $1 "* || $only == *" $1 "* ]] && names+=("$1")
	want[$1]=$2 words[$1]=$3
	cp -r "$solution" "$work/s/$1"
	[ "${4-}" ] || cat >"$work/s/$1/count.lua"
}

# --- Time
submission loop_coroutine 0 'endless loop?' <<'LUA'
while true do coroutine.wrap(function() while true do coroutine.wrap(function() while true do end end)() end end)() end
LUA
submission loop_pcall 0 'endless loop?' <<'LUA'
local function f() pcall(function() while true do end end) end
return function() while true do pcall(f) end end
LUA
submission loop_metamethod 0 'endless loop?' <<'LUA'
local t = setmetatable({}, { __index = function() while true do end end, __close = function() while true do end end })
local x <close> = t
return t.x
LUA
submission loop_close 0 '' <<'LUA'
local function again() local x <close> = setmetatable({}, { __close = function() again() end }) error("x") end
pcall(again)
error("over")
LUA
submission loop_pattern 0 '' <<'LUA'
local s = ("a"):rep(200)
return s:find((".-"):rep(60) .. "b")
LUA
submission loop_sort 0 '' <<'LUA'
local t = {}
for i = 1, 100000 do t[i] = i end
table.sort(t, function() return true end)
error("over")
LUA
submission loop_guest 0 '' <<'LUA'
return function(vm)
  vm:on_exit("port 0x3f8", function(exit, cpu) return "again" end)
  return function() return 48 end
end
LUA
submission loop_guest_jump 0 '' <<'LUA'
return function(vm)
  vm.mem:write(vm.cpu[1].rip, "\xeb\xfe")
  return function() return 48 end
end
LUA
# --- Memory, stack, output
submission gc 0 'finalizers' <<<'setmetatable({}, { __gc = function() while true do end end }) return 1'
submission recursion 0 '' <<'LUA'
local function f(n) return pcall(function() return 1 + select("#", f(n + 1)) end) end
f(0)
local function g() return 1 + g() end
pcall(g)
string.rep("(", 100000):find(string.rep("(", 100000))
error("over")
LUA
submission memory 0 'memory' <<'LUA'
local t = {}
for i = 1, 1e9 do t[i] = ("x"):rep(1 << 20) .. i end
LUA
submission rep 0 '' <<<'return ("x"):rep(1 << 40)'
submission many_vms 0 '' <<'LUA'
local t = {}
for i = 1, 100000 do t[i] = vmscope.vm{ guest = "hello", mem = "256M" } end
LUA
submission output 10 '' <<LUA
local x = ("x"):rep(1000000)
for i = 1, 1000 do print(x) end
$(cat "$solution/count.lua")
LUA
submission big_result 0 '' <<<'return function() return function() return ("x"):rep(100 << 20) end end'
# How much memory the host has, and what fits in the stack of its threads, is nobody's business.
submission host_memory 0 'together have 1024 MiB here' <<<'vmscope.vm{ guest = "hello", mem = "100000G" }'
submission host_stack 0 'open: 15' <<'LUA'
local t = {}
while pcall(function() t[#t + 1] = vmscope.vm{ guest = "hello" } end) do end
error("open: " .. #t) -- and the scene's own
LUA
submission host_time 0 'here it is "virtual"' <<'LUA'
local asked = 0
local sly = { __index = function(_, k) -- says it the second time
  if k == "clock" then asked = asked + 1 return asked == 2 and "host" or nil end
end }
local vm = vmscope.vm(setmetatable({ guest = "hello" }, sly))
vm:run()
local good, why = pcall(vmscope.vm, { guest = "hello", clock = "host" })
error(good and "host time" or asked == 0 and why or "asked")
LUA
# The assembler's time is the submission's.
submission asm_time 0 'the assembler has used its 20 s' <<'LUA'
local why
for _ = 1, 58 do
  why = select(2, pcall(vmscope.asm, ".set n, 0\n.rept 20000\n.rept 20000\n.set n, n+1\n.endr\n.endr\n"))
end
error(why)
LUA
# --- Escape codes: in what it prints, raises, gives, and lets the guest print
submission escapes 10 '' <<LUA
print("\\27]0;owned\\7\\27[2J\\0\\r::error::x")
$(cat "$solution/count.lua")
LUA
submission escape_error 0 '\x1b' <<<'error("\27[31mred\7\n::error::x")'
submission escape_result 0 '' <<<'return function() return function() return "\27[31m48\n" end end'
submission escape_console 0 '' <<'LUA'
return function(vm)
  vm:on_exit("port 0x3f8", function(exit) if exit.write then exit.value = 27 end end)
  return function() return 0 end
end
LUA
submission not_utf8 0 '' < <(printf 'return function() return function() return "\xff\xfe\xc3\x28" end end -- \xff')
submission nul 0 '' < <(printf 'return function()\0 end')
submission bytecode 0 '' < <(printf '\x1bLua\x54\x00\x19\x93\r\n\x1a\n')
# --- What is not its own
submission include_lab 0 '' <<'LUA'
for _, name in ipairs{ "lab", "../lab", "../labs/hostile/lab", "scenes", "/etc/passwd", "../../secret", "/proc/self/environ" } do
  local good, got = pcall(include, name)
  print(name, good, got)
end
error("over")
LUA
submission guest_files 0 'refused 30' <<LUA
local refused = 0
for _, file in ipairs{ "$work/secret", "$lab/lab.lua", "$solution/count.lua", "/etc/passwd", "/proc/self/mem", "/dev/zero" } do
  for _, vm in ipairs{ { guest = file }, { kernel = file }, { firmware = file }, { guest = "hello", initrd = file },
    { guest = "hello", mode = "simulate", model = file } } do
    if not pcall(vmscope.vm, vm) then refused = refused + 1 end
  end
end
error("refused " .. refused)
LUA
submission assembler 0 'refused 8' <<LUA
local refused = 0
for _, text in ipairs{ '.incbin "$work/secret"', '.include "$work/secret"', '.incbin "$solution/count.lua"',
  '.incbin "$lab/lab.lua"', '.incbin "/etc/passwd"', '.incbin "/proc/self/environ"',
  '.macro m a b\n.\\\\a\\\\b "$lab/lab.lua"\n.endm\nm inc bin', '.rept 100000000\n.rept 100000\n.quad 1\n.endr\n.endr' } do
  local good, got = pcall(vmscope.asm, text)
  if not good or #got == 0 then refused = refused + 1 end
  print(good, got)
end
error("refused " .. refused)
LUA
# --- Forging
submission forge_functions 0 '' <<'LUA'
string.match, string.find, string.gsub = function() return "48" end, function() return 1 end, function() return "", 48 end
string.len = function() return 0 end
table.sort, table.concat, table.unpack = function() end, function() return "48" end, function() return 48 end
pairs, ipairs, next, type, tostring, tonumber, select = nil, nil, nil, nil, nil, nil, nil
math.type, math.floor = nil, nil
vmscope.vm = function() return { console = "", run = function() end } end
rawequal, rawlen, rawget, rawset, pcall, error, assert = nil, nil, nil, nil, nil, nil, nil
return function() return function() return 0 end end
LUA
submission forge_metatable 0 '' <<'LUA'
local yes = { __eq = function() return true end, __lt = function() return true end, __tostring = function() return "48" end,
  __index = function() return 48 end, __len = function() return 48 end, __name = "48", __pairs = function() return nil end }
pcall(function() getmetatable("").__index = function() return 48 end end)
pcall(function() debug.setmetatable(nil, yes) end)
return function(vm)
  pcall(function() getmetatable(vm).__index = function() return "" end end)
  pcall(setmetatable, vm, yes)
  pcall(function() vm.console = "" end)
  return function() return setmetatable({}, yes) end
end
LUA
submission forge_number 0 '' <<<'return function() return function() return 0 / 0 end end'
submission forge_observation 0 '' <<'LUA'
return function(vm)
  return function() return { counted = 48, vm = { console = "" } }, { console = "" } end
end
LUA
submission forge_vm 0 '' <<'LUA'
return function(vm) vm:run() vm:close() return function() return 48 end end
LUA
# --- Files that are none
submission link 0 'symbolic link' x; ln -sf "$solution/count.lua" "$work/s/link/count.lua"
submission link_passwd 0 'symbolic link' x; ln -sf /etc/passwd "$work/s/link_passwd/count.lua"
submission link_loop 0 'symbolic link' x; ln -sf count.lua "$work/s/link_loop/count.lua"
submission fifo 0 'no regular file' x; rm "$work/s/fifo/count.lua"; mkfifo "$work/s/fifo/count.lua"
submission folder 0 'no regular file' x; rm "$work/s/folder/count.lua"; mkdir "$work/s/folder/count.lua"
submission huge 0 'larger than 64 KiB' x; truncate -s 100G "$work/s/huge/count.lua" 2>/dev/null || truncate -s 1G "$work/s/huge/count.lua"
if [ "$(id -u)" = 0 ]; then
	submission device 0 'no regular file' x
	rm "$work/s/device/count.lua"
	mknod "$work/s/device/count.lua" c 1 5 2>/dev/null || ln -s /dev/zero "$work/s/device/count.lua"
fi
submission names 10 '' x
(cd "$work/s/names" && ln -s . loop && ln -s .. up && touch -- $'new\nline' $'\e[31m.lua' ' ' '-rf' && mkdir sub && ln -s ../.. sub/out)
submission predictions 10 '' x
cat >"$work/s/predictions/predictions.lua" <<'LUA'
string.format = nil
while true do pcall(function() while true do end end) end
LUA
submission predictions_link 10 '' x
ln -sf "$lab/lab.lua" "$work/s/predictions_link/predictions.lua"

# --- All of them; what is bounded by 60 s of processor time may take longer on the clock, but not for ever
# shellcheck disable=SC2317 # called by xargs
one() {
	timeout -k 5 550 "$VMSCOPE" grade "$1" "$work/s/$2" --task hello --format json -o "$work/out.d/$2.json" >"$work/out.d/$2.out" 2>&1
	echo $? >"$work/out.d/$2.status"
}
export -f one
sum() { find "$lab" "$solution" "$work/secret" -type f -exec md5sum {} + | sort; }
before=$(sum)
# shellcheck disable=SC2016 # the inner shell expands
printf '%s\n' "${names[@]}" | xargs -P "$(nproc)" -I{} bash -c 'one "$1" "$2"' - "$lab" {}

# A control character that is neither a line's end nor a tab, as a byte.
unclean() { LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' "$@"; }
for name in "${names[@]}"; do
	json=$work/out.d/$name.json
	is "$name: it is graded" 0 "$(cat "$work/out.d/$name.status")" || continue
	is "$name: what it deserves" "${want[$name]}" "$(jq -r '.tasks[0].points' "$json" 2>&1)"
	[ -z "${words[$name]}" ] || {
		if jq -r '..|strings' "$json" | grep -aqF -- "${words[$name]}"; then ok "$name: it is told why"; else
			fail "$name: it is told why" "not in it: ${words[$name]}" "$(jq -c '.tasks[0].lines' "$json" | head -c 600)"
		fi
	}
	if jq -r '..|strings' "$json" | unclean || unclean "$json" || grep -q "$secret" "$json" "$work/out.d/$name.out" ||
		[ "$(wc -c <"$json")" -gt 200000 ]; then
		fail "$name: the result is clean" "$(head -c 600 "$json" | cat -v)"
	else
		ok "$name: the result is clean"
	fi
done
for name in predictions predictions_link; do
	[[ " ${names[*]} " != *" $name "* ]] || is "$name: no points for it" 0 "$(jq -r .prediction_points "$work/out.d/$name.json")"
done
is "the lab and its solution are unharmed" "$before" "$(sum)"
is "nothing is left in the temporary folder" "" "$(ls -A "$work/tmp")"

ln -s round "$work/round"
one_line "a submission that is a link to itself" 3 "$VMSCOPE" grade "$lab" "$work/round"

# So is the file that says which lab a folder is of.
mkdir "$work/s/mark"
mkfifo "$work/s/mark/.lab"
one_line "a pipe for .lab" 2 timeout 60 "$VMSCOPE" lab check "$work/s/mark"
rm "$work/s/mark/.lab"
ln -s "$work/secret" "$work/s/mark/.lab"
one_line "a link for .lab" 2 "$VMSCOPE" lab check "$work/s/mark"
is "is not followed" 0 "$(grep -c "$secret" "$work/err")"
rm "$work/s/mark/.lab"
printf '\033[31m/evil\n' >"$work/s/mark/.lab"
one_line "a lab of escape codes" 2 "$VMSCOPE" lab check "$work/s/mark"
if unclean "$work/err"; then fail "is shown as text, too" "$(cat -v "$work/err")"; else ok "is shown as text, too"; fi
echo zip >"$work/s/"$'\e[31mfile'
one_line "a file of escape codes" 3 "$VMSCOPE" grade "$lab" "$work/s/"$'\e[31mfile'
if unclean "$work/err"; then fail "is text" "$(cat -v "$work/err")"; else ok "is text"; fi

# The name of a submission is the attacker's, too.
evil=$work/s/$'evil\e[31m\n..\xff::error::x'
cp -r "$solution" "$evil"
run_status "a name of escape codes" 0 "$VMSCOPE" grade "$lab" "$evil"
if unclean "$work/out" "$work/err"; then fail "is shown as text" "$(cat -v "$work/out")"; else ok "is shown as text"; fi
cp "$work/s/escapes/count.lua" "$evil/count.lua"
run_status "and in check" 0 "$VMSCOPE" lab check --lab "$lab" "$evil"
if unclean "$work/out" "$work/err"; then fail "is text, too" "$(cat -v "$work/out")"; else ok "is text, too"; fi
finish
