-- vmscope lab run device.lua period=5000 asleep=3 awake=2 [work=N] [second=US more=N] [sleep_off=1]: a guest for your
-- timer, as "lab check" runs it, and what it sees. Not handed in.

local args = { period = 5000, asleep = 3, awake = 2 }
for _, a in ipairs(arg) do
  local key, value = a:match("^([%a_]+)=(%d+)$")
  if not key then error("an argument is NAME=NUMBER, not " .. a, 0) end
  args[key] = math.tointeger(value)
end

local timer = include("timer")()
local vm = vmscope.vm{ image = vmscope.asm(include("guests").device(args)), devices = { timer.device }, max_exits = 20000,
  max_insns = 100000000 }
timer.attach(vm)
print("the guest: " .. vm:run(), vm.ended and vm.ended.detail or "")
for i = 1, math.min(#vm.trace, 200) do
  local e = vm.trace[i]
  local text = ("%12.3f us  %s"):format(e.time_ns / 1000, e.reason)
  if e.port == 0x500 then text = text .. "  the guest sets the period to " .. e.value end
  if e.port == 0x502 then text = text .. "  the guest reads: ticks " .. e.value end
  if e.port == 0x512 then text = text .. "  left at the end: ticks " .. e.value end
  if e.injected then text = text .. "  then vector " .. e.injected .. " is injected" end
  print(text)
end
