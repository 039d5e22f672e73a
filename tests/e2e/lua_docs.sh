#!/bin/bash
# docs/lua.md: every example prints what stands behind it, and every function and field is there.
. "$(dirname "$0")/lib.sh"

# Splits the examples into $work/N.lua and $work/N.want.
awk -v dir="$work" '
	/^```lua$/ { file = sprintf("%s/%02d.lua", dir, ++n); next }
	/^```output$/ { file = sprintf("%s/%02d.want", dir, n); printf "" >file; next }
	/^```/ { if (file) close(file); file = ""; next }
	/^## / { title = substr($0, 4); print title >(sprintf("%s/%02d.title", dir, n + 1)) }
	file { print >file }
' docs/lua.md

for script in "$work"/[0-9][0-9].lua; do
	name=$(head -1 "${script%.lua}.title" 2>/dev/null || echo "$(basename "$script") of the section before")
	if grep -q 'vmscope.asm' "$script" && ! have as; then
		skip "docs/lua.md: $name" "there is no assembler"
		continue
	fi
	run_status "docs/lua.md: $name: it runs" 0 "$VMSCOPE" lab run "$script" || continue
	is "docs/lua.md: $name: it prints what is said" "$(cat "${script%.lua}.want" 2>&1)" "$(cat "$work/out")"
done

# The script's own lists of names are in its errors.
cat >"$work/names.lua" <<'LUA'
local vm = vmscope.vm{ guest = "hello" }
local _, names = pcall(function() return vm.nothing end)
for name in names:gsub("^.-fields are ", ""):gmatch("[%w_]+") do print(name) end
for name in pairs(vmscope) do print("vmscope." .. name) end
LUA
run_status "the names" 0 "$VMSCOPE" lab run "$work/names.lua"
missing=
while read -r name; do
	case $name in its | methods | are) continue ;; esac
	grep -qE "(vm[:.]$name\b|\`$name\`|^## $name|$name\()" docs/lua.md || grep -qF "$name" <(grep -F vmscope. docs/lua.md) ||
		missing+=" $name"
done <"$work/out"
is "every name of a VM is documented" "" "$missing"

# Every field of an exit, of statistics, of verdicts and of comparisons, as they come.
cat >"$work/fields.lua" <<'LUA'
local seen = {}
local function all(t, deep)
  for name, value in pairs(t) do
    if math.type(name) ~= "integer" then seen[name] = true end
    if deep and type(value) == "table" then all(value) end
  end
end
local vm = vmscope.vm{ guest = "exits" }
vm:run()
for i = 1, #vm.trace do all(vm.trace[i]) end
all(vm.exit)
all(vm.stats.rows[1])
all(vm.verdicts, true)
all(vm.ended)
for _, row in pairs(vmscope.compare{ guest = "hello" }) do all(row) end
for name in pairs(seen) do print(name) end
LUA
run_status "the fields" 0 "$VMSCOPE" lab run "$work/fields.lua"
missing=
while read -r name; do
	grep -qE "\`$name\`|[.]$name\b" docs/lua.md || missing+=" $name"
done <"$work/out"
is "every field is documented" "" "$missing"

# Errors are one line with the place, and status 1; usage is 2.
echo 'local x
x.y = 1' >"$work/bad.lua"
one_line "an error in a script" 1 "$VMSCOPE" lab run "$work/bad.lua"
is "it names the line" 1 "$(grep -c "bad.lua:2: " "$work/err")"
echo 'while true do pcall(function() while true do end end) end' >"$work/loop.lua"
one_line "no pcall holds the limit up" 1 "$VMSCOPE" lab run "$work/loop.lua"
echo 'print("before"); while true do pcall(string.find, ("a"):rep(30000), (".-"):rep(30) .. "b") end' >"$work/pattern.lua"
run_status "a pattern without end is ended from outside" 4 "$VMSCOPE" lab run --cpu 1 "$work/pattern.lua"
is "what was printed before is there" before "$(cat "$work/out")"
is "it says why, and what to do" 1 "$(grep -c 'pattern.lua: the script has used its 1 s of processor time: see --cpu' "$work/err")"
one_line "no such time" 2 "$VMSCOPE" lab run --cpu soon "$work/pattern.lua"
if ! have as; then
	skip "the assembler of a script reads no file of its user" "there is no assembler"
elif ! perl -e 'exit(syscall(444, 0, 0, 1) > 0 ? 0 : 1)'; then # landlock_create_ruleset: its version
	skip "the assembler of a script reads no file of its user" "this kernel has no Landlock"
else
	echo 'print(pcall(vmscope.asm, ".incbin \"/etc/passwd\""))' >"$work/steal.lua"
	run_status "the assembler of a script" 0 "$VMSCOPE" lab run "$work/steal.lua"
	is "reads no file of its user" 1 "$(grep -c '^false.*Error: file not found: /etc/passwd' "$work/out")"
fi
one_line "no script" 2 "$VMSCOPE" lab run
one_line "a script that is not there" 1 "$VMSCOPE" lab run "$work/nothing.lua"
one_line "a command that there is none" 2 "$VMSCOPE" lab fly
echo 'print(arg[1], arg[2], math.random(1000))' >"$work/arg.lua"
run_status "arguments" 0 "$VMSCOPE" lab run --seed 5 "$work/arg.lua" --seed x
first=$(cat "$work/out")
is "are the script's" "--seed	x" "${first%	*}"
run_status "again" 0 "$VMSCOPE" lab run --seed 5 "$work/arg.lua" --seed x
is "a seed is one sequence" "$first" "$(cat "$work/out")"
finish
