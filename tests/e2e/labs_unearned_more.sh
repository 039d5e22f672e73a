#!/bin/bash
# Labs 06 to 10: no points for what a submission has not done: that measures what it is to reckon, or spoils what
# judges it.
. "$(dirname "$0")/lib.sh"
for tool in as jq; do
	have "$tool" || { skip "labs 06 to 10" "there is no $tool"; finish; }
done

# points NAME LAB FILE "TASK POINTS"...: what these tasks come to when FILE is the text from stdin, the others the solution's
points() {
	local name=$1 lab=$2 dir="$work/$2 $1" want
	cp -r labs/solutions/"$lab"_* "$dir"
	cat >"$dir/$3"
	shift 3
	"$VMSCOPE" grade "$lab" "$dir" --format json -o "$dir.json" 2>"$dir.err"
	for want in "$@"; do
		is "$lab ${want% *}, $name" "true ${want#* }" \
			"$(jq -r --arg id "${want% *}" '"\(.gradable) \(.tasks[] | select(.id == $id).points)"' "$dir.json")"
	done
}

{
	sed '/^return {/,$d' labs/06_trap_and_emulate/starter/machine.lua
	cat <<'LUA'
return function(real, base, size) -- interprets all, then has the machine execute as many steps of a jump to itself
  local vm = new(size)
  for i = 0, size - 1 do vm:write(i, real:read(base + i)) end
  function vm:output(v) real:output(v) end
  function vm:input() return real:input() end
  local write, run = vm.write, vm.run
  function vm:write(i, v) write(self, i, v) real:write(base + i, v) end
  function vm:run(n)
    local what, used, cause, info = run(self, n)
    local old = real:read(base)
    real:write(base, OPS.JMP << 24)
    real.m, real.p, real.l, real.b = 1, 0, base, 1
    real:run(math.max(used, 1))
    real:write(base, old)
    return what, used, cause, info
  end
  return vm
end
LUA
} | points "an interpreter" 06 vmm.lua "direct 0" "emulate 0" "reflect 0" "control 0" "recursion 0"

{
	sed -e 's/^local function bound.*/local function bound(vm) return vm.b end/' -e '/^return function(machine, base, size)/,$d' \
		labs/solutions/06_trap_and_emulate/vmm.lua
	cat <<'LUA'
return function(machine, base, size)
  local read = machine.read
  function machine:read(i)
    if i < base or i >= base + size then return 0xdead0000 + i end -- as if nothing had changed
    return read(self, i)
  end
  return setmetatable({ machine = machine, base = base, size = size, m = 0, p = 16, l = 0, b = size,
    r = { [0] = 0, 0, 0, 0, 0, 0, 0, 0 } }, VM)
end
LUA
} | points "a machine that reads as it should" 06 vmm.lua "emulate 20" "control 0"

sed 's/^return function(machine, base, size)$/&\n  setmetatable(machine, { __index = function() return 0 end })/' \
	labs/solutions/06_trap_and_emulate/vmm.lua |
	points "a machine that answers for itself" 06 vmm.lua "direct 0" "emulate 0"

sed 's/^function VM:run.*/&\n  self.machine.r = setmetatable({}, { __index = function() return 0 end })/' \
	labs/solutions/06_trap_and_emulate/vmm.lua |
	points "registers that answer for themselves" 06 vmm.lua "direct 0" "emulate 0"

points "the machine as it is" 06 vmm.lua "direct 0" "emulate 0" <<'LUA'
return function(machine, base, size)
  machine.l, machine.b = base, size
  local vm = setmetatable({}, { __index = function(_, k) return k == "l" and machine.l - base or machine[k] end,
    __newindex = function(_, k, v) machine[k] = v end })
  for name, f in pairs{ read = function(_, i) return machine:read(base + i) end,
    write = function(_, i, v) machine:write(base + i, v) end, run = function(_, n) return machine:run(n) end,
    deliver = function(_, cause, info) return machine:deliver(cause, info) end } do rawset(vm, name, f) end
  return vm
end
LUA

points "a program that shows nothing" 06 theorem.lua "counterexample 0" "emulate 20" \
	<labs/06_trap_and_emulate/starter/theorem.lua
is "06, a budget is told in words" "at most 3; 9 (50 % of the points)" \
	"$(jq -r '.tasks[].lines[] | select(.what == "starts of the machine").expected' \
		"$work/06 a program that shows nothing.json")"

points "measured while it is graded" 07 predict.lua "paging 0" "decide 20" <<'LUA'
return { pattern = function() end, paging = function(profile, pages, switches)
  local r = { EXCEPTION_NMI = 0, INVLPG = 0, CR_ACCESS = 0 }
  local vm = vmscope.vm{ guest = "paging", controls = profile, append = ("pages=%d switches=%d"):format(pages, switches) }
  vm:run()
  for _, row in ipairs(vm.stats.rows) do if r[row.name] then r[row.name] = row.samples end end
  return r
end }
LUA

points "nothing ever exits" 07 predict.lua "paging 0" "pattern 1.07" "decide 20" <<'LUA'
local function none() return { EXCEPTION_NMI = 0, INVLPG = 0, CR_ACCESS = 0 } end
return { paging = none, pattern = none }
LUA

sed 's/^  self\.hw:set/  if self.once then self.hw:drop_all() return "at", pte \& FRAME | address \& 0xfff end\n  self.once = true\n&/' \
	labs/solutions/07_paging/shadow.lua |
	points "without a shadow" 07 shadow.lua "decide 20" "shadow 0" "bits 0" "budget 0"

sed 's/^function Shadow:fault.*/&\n  local _, entries = self.vm:translate(access.address)/' labs/solutions/07_paging/shadow.lua |
	points "a walk that is not its own" 07 shadow.lua "decide 0"

points "a stopwatch that nobody starts" 09 measure.lua "measure 0" "path 25" <<'LUA'
return function() return 0 end
LUA

points "a number that was read in the book" 09 measure.lua "measure 1.88" "path 25" <<'LUA'
return function() return 683 end
LUA

points "nothing ever exits" 08 price.lua "price 0" "device 20" <<'LUA'
local function none() return { HLT = 0, PREEMPTION_TIMER = 0, INTERRUPT_WINDOW = 0, IO_INSTRUCTION = 0 } end
return { exits = none, per_second = function() return 0 end }
LUA

points "all marks at once" 08 guest.lua "tickless 0" "device 20" <<'LUA'
return function(_, marks)
  return "movw $0x3f8, %dx\nmovb $'.', %al\n" .. ("outb %al, %dx\n"):rep(marks) .. "movb $0, %al\noutb %al, $0xf4\n"
end
LUA

points "measured while it is graded" 08 price.lua "price 0" "rate 0" "device 20" <<'LUA'
local function measure(p)
  local vm = vmscope.vm{ guest = "timer" }
  vm:run()
  return vm
end
return { exits = function(p) return measure(p).stats end, per_second = function(p) return measure(p).exits end }
LUA

sed '/write = function/,/period =/s/^ *look(vm)$//' labs/solutions/08_ticks/timer.lua |
	points "ticks forgotten when it is switched off" 08 timer.lua "device 20" "coalesce 14.4"

points "never" 09 rates.lua "breakeven 0" "path 25" <<'LUA'
return { breakeven = function() return math.huge end, bottleneck = function() end }
LUA

{
	sed '/^return ways/d' labs/solutions/10_escape_and_efficiency/escape.lua
	cat <<'LUA'
local port = ways.port
function ways.port(x)
  x.port = 0x3f8 -- a port that has a device
  return port(x)
end
return ways
LUA
} | points "another target" 10 escape.lua "ports 5" "memory 15"

points "a guest that does nothing" 10 chatty.lua "same 0" "ports 10" <<'LUA'
return "movb $0, %al\noutb %al, $0xf4\n"
LUA

"$VMSCOPE" lab start 10 "$work/begun" >/dev/null
"$VMSCOPE" lab check "$work/begun" ports memory control >"$work/begun.txt"
is "10, the check does not tell what holds whom" "7 0" \
	"$(grep -c 'what holds it' "$work/begun.txt") $(grep -cE '"?(mapping|controls|interval)"?$' "$work/begun.txt")"
finish
