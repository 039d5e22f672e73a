-- vmscope lab run try.lua WAY: one of your hostile guests (port, msr, ...), its exits, and vmscope's verdict on it.
-- vmscope lab run try.lua chatty [TEXT [LINES [LEAF]]]: your chatty.lua, its exits, and when its lines come.
-- Change it as you like; it is not handed in.
local function hostile(way)
  local x = { port = 0x655, msr = 0x20001234, address = 0x10000100, byte = 0x41 }
  local guest = include("escape")[way]
  if not guest then error("escape.lua has no function " .. way, 0) end
  local vm = vmscope.vm{ image = vmscope.asm(guest(x).text), max_exits = 3000, max_insns = 40000000 }
  print(vm:run(), vm.ended and vm.ended.kind, vm.ended and vm.ended.detail)
  for i = 1, math.min(#vm.trace, 20) do
    local e = vm.trace[i]
    print(i, e.reason, ("rip %x qual %x"):format(e.rip, e.qual), e.verdict)
  end
  print(vm.verdicts.safety.state, vm.verdicts.safety.evidence)
end

local function chatty(text, lines, leaf)
  local value = 0xa0
  local sensor = vmscope.device{ ports = 0x510, read = function()
    value = value + 1
    return value
  end }
  local vm = vmscope.vm{ image = vmscope.asm(include("chatty")), devices = { sensor }, max_exits = 50000,
    max_insns = 20000000 }
  vm.mem:write(0x9000, text .. "\0")
  vm.mem:u16(0x9100, lines)
  vm.mem:u32(0x9104, leaf)
  print(vm:run(), vm.ended and vm.ended.detail)
  print(vm.console)
  local fresh = true
  for _, e in ipairs(vm.trace:filter('exit_reason == "IO_INSTRUCTION"')) do
    if e.port == 0x3f8 and e.write then
      if fresh then print("a line begins at " .. e.time_ns // 1000 .. " us") end
      fresh = e.value == 10
    end
  end
  print("bytes added up", vm.mem:u16(0xa000), "lines", vm.mem:u16(0xa002), "sensor read", value - 0xa0)
  print("exits", vm.exits)
  for _, row in ipairs(vm.stats.rows) do
    if row.samples > 0 then print("", row.name, row.samples) end
  end
end

if arg[1] == "chatty" then
  return chatty(arg[2] or "vmscope", math.tointeger(arg[3] or 3), math.tointeger(arg[4] or 0))
end
hostile(arg[1] or "port")
