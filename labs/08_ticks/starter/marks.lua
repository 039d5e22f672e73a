-- vmscope lab run marks.lua [MS [MARKS]]: your guest.lua, when its marks come, and what exits. Not handed in.
local ms, marks = math.tointeger(arg[1] or 100), math.tointeger(arg[2] or 10)
local vm = vmscope.vm{ image = vmscope.asm(include("guest")(ms, marks)), max_exits = 200000, max_insns = 50000000 }
print("the guest: " .. vm:run(), vm.ended and vm.ended.detail or "", "instructions " .. vm.insns)

local n = 0
for _, e in ipairs(vm.trace:filter('exit_reason == "IO_INSTRUCTION"')) do
  if e.port == 0x3f8 and e.write then
    n = n + 1
    local us = e.time_ns // 1000
    print(("mark %d at %d us, off by %d us"):format(n, us, us - n * ms * 1000))
  end
end
print("exits", vm.exits)
for _, row in ipairs(vm.stats.rows) do
  if row.samples > 0 then print("", row.name, row.samples) end
end
