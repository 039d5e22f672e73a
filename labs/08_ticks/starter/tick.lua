-- vmscope lab run tick.lua [HZ [TICKS [hlt|loop|masked [periodic|one [out|auto]]]]]: the guest of task 1, and what it
-- costs. Not handed in.

local p = { hz = math.tointeger(arg[1] or 100), ticks = math.tointeger(arg[2] or 50), wait = arg[3] or "hlt",
  shot = arg[4] or "periodic", eoi = arg[5] or "out" }
local vm = vmscope.vm{ image = vmscope.asm(include("guests").tick(p)) }
vm:run()
print(p.hz .. " Hz", p.ticks .. " ticks", p.wait, p.shot, p.eoi, "guest time in us: " .. vm.time_ns // 1000)
for _, row in ipairs(vm.stats.rows) do
  if row.samples > 0 then print("", row.name, row.samples) end
end
