#!/bin/bash
# Labs 01 to 05: no points for what a submission has not done: that asks another machine, or spoils the one it is given.
. "$(dirname "$0")/lib.sh"
for tool in as jq; do
	have "$tool" || { skip "labs 01 to 05" "there is no $tool"; finish; }
done

# points NAME LAB TASK POINTS FILE: what this task comes to when FILE is the text from stdin, and the others the solution's
points() {
	local dir="$work/$2 $1"
	cp -r labs/solutions/"$2"_* "$dir"
	[ "$5" = - ] || cat >"$dir/$5"
	"$VMSCOPE" grade "$2" "$dir" --task "$3" --format json -o "$dir.json" 2>"$dir.err"
	is "$2 $3, $1" "true $4" "$(jq -r --arg id "$3" '"\(.gradable) \(.tasks[] | select(.id == $id).points)"' "$dir.json")"
}

points "solution" 05 print 10 -
points "without a device" 05 print 0 uart.lua <<'LUA'
return function() return { receive = function(vm, byte) vm:type(string.char(byte)) end } end
LUA
points "with a device elsewhere" 05 registers 0 uart.lua <<'LUA'
return function()
  return { device = vmscope.device{ ports = 0x500 }, receive = function(vm, byte) vm:type(string.char(byte)) end }
end
LUA
points "with a device that covers only some" 05 registers 0 uart.lua <<'LUA'
return function()
  return { device = vmscope.device{ ports = { 0x3f8, 0x3fe }, read = function() return 0 end } }
end
LUA
points "with ports that change when they were looked at" 05 registers 0 uart.lua <<'LUA'
return function()
  local device = vmscope.device{ ports = { 0x3f8, 0x3ff }, read = function() return 0 end }
  return setmetatable({}, { __index = function(_, key)
    if key == "device" then return device end
    device.ports[1], device.ports[2] = 0x500, 0x507
  end })
end
LUA
points "with the UART of another machine" 05 print 0 uart.lua <<'LUA'
return function()
  local inner = vmscope.vm{ image = ("\xec\xee"):rep(50), max_insns = 100000 }
  local cpu, printed = inner.cpu[1], 0
  local function port(offset, write, value)
    cpu.rip, cpu.rdx, cpu.rax = write and 0x7c01 or 0x7c00, 0x3f8 + offset, value or 0
    inner:step()
    return cpu.rax & 0xff
  end
  return { device = vmscope.device{ ports = { 0x3f8, 0x3ff }, read = function(offset) return port(offset) end,
    write = function(offset, _, value, vm)
      port(offset, true, value & 0xff)
      vm:emit(inner.console:sub(printed + 1))
      printed = #inner.console
    end } }
end
LUA
points "solution of walk" 02 walk 20 -
points "tables wiped" 02 walk 0 exit.lua <<'LUA'
return { walk = function(mem, cr3) mem:write(cr3 & ~0xfff, ("\0"):rep(4096)) end }
LUA
points "never mapped" 02 walk 0 exit.lua <<'LUA'
return { walk = function() end }
LUA
points "measured while it is graded" 01 numbers 0 observations.lua <<'LUA'
local exits = {}
for _, guest in ipairs{ "hello", "primes", "boot16" } do
  local vm = vmscope.vm{ guest = guest }
  vm:run()
  exits[guest] = vm.exits
end
return { exits = exits }
LUA
points "the words of the report" 01 numbers 0 observations.lua <<'LUA'
local right = setmetatable({}, { __index = function() return "what a run shows" end })
return setmetatable({}, { __index = function() return right end })
LUA
{
	sed '/^return M/d' labs/solutions/01_three_modes/measure.lua
	echo 'function M.equivalent() return { verdict = "holds", console = true } end return M'
} | points "equivalent, whatever it is" 01 equivalent 0 measure.lua
points "another machine asked" 01 process 0 measure.lua <<'LUA'
return { process_sees = function()
  local vm, by = vmscope.vm{ guest = "hello", controls = "kvm-user" }, {}
  vm:run()
  for _, row in ipairs(vm.stats.rows) do by[row.name] = row.samples end
  return by
end }
LUA
points "measured while it is graded" 03 table 0 table.lua <<'LUA'
local vm = vmscope.vm{ guest = "sensitive" }
vm:run()
return { CPUID = { deprivileged = "same", umip = "same", vtx = vm.stats.CPUID and "traps", user = "runs", privileged = false } }
LUA
points "one answer for all" 03 outcome 0 probe.lua <<'LUA'
return { outcome = function() return "traps" end }
LUA
points "one class for all" 03 classify 0 classify.lua <<'LUA'
return { classify = function() return { privileged = false, control = false, behaviour = true } end }
LUA
points "counts that are written down" 04 count 0 cpuid.lua <<'LUA'
return { count = function() return { [0] = 1, [1] = 2, [7] = 1 } end }
LUA
finish
