-- What lab 08 runs: a guest that waits for ticks, a guest for the submission's timer, and the submission's own guest.

local guests = include("starter/guests")

-- Prices and guests are written, not measured: of vmscope there is what a device needs.
local function given(s, file, name)
  return s:load_function(file, file == "timer.lua" and { "device" } or {}, name)
end

-- Plain data of what the submission gave: a number, or nil.
local function number(v)
  if type(v) == "number" and v == v and math.abs(v) ~= math.huge then return v end
end

local scenes = {}

-- args: list, of p
function scenes.tick(s, args)
  local result = {}
  for i, p in ipairs(args.list) do
    local vm = vmscope.vm{ image = vmscope.asm(guests.tick(p)) }
    vm:run()
    result[i] = s:observe(vm)
    vm:close()
  end
  return result
end

-- What the submission says about them.
function scenes.price(s, args)
  local exits, per_second, result = given(s, "price.lua", "exits"), given(s, "price.lua", "per_second"), {}
  for i, p in ipairs(args.list) do
    local said = s:call(exits, p)
    result[i] = { exits = {}, per_second = number(s:call(per_second, p)) }
    for _, reason in ipairs{ "HLT", "PREEMPTION_TIMER", "INTERRUPT_WINDOW", "IO_INSTRUCTION" } do
      if type(said) == "table" then result[i].exits[reason] = number(said[reason]) end
    end
  end
  return result
end

-- The bundled guest.
function scenes.timer(s)
  local vm = vmscope.vm{ guest = "timer" }
  vm:run()
  return { vm = s:observe(vm) }
end

-- args: period, asleep, awake, work, second, more, sleep_off
function scenes.device(s, args)
  local timer = s:call(given(s, "timer.lua"))
  s:call(function()
    if type(timer) ~= "table" or type(timer.attach) ~= "function" or not timer.device then
      error("timer.lua: the function has to return { device = ..., attach = ... }", 0)
    end
  end)
  local image = vmscope.asm(guests.device(args))
  local vm = s:call(vmscope.vm, { image = image, devices = { timer.device }, max_exits = 20000, max_insns = 100000000 })
  s:call(timer.attach, vm)
  s:call(vm.run, vm)
  local r = { vm = s:observe(vm), counts = {} }
  for _, e in ipairs(vm.trace:filter('exit_reason == "IO_INSTRUCTION"')) do
    if e.port == 0x510 then r.counts[#r.counts + 1] = e.value end
    if e.port == 0x512 then r.left = e.value end
  end
  r.list = table.concat(r.counts, " ")
  r.ticks = vm.cpu[1].esi
  local injected = 0
  for i = 1, #vm.trace do
    if vm.trace[i].injected == 37 then injected = injected + 1 end
  end
  r.injected = injected
  return r
end

-- The submission's guest: a mark on the UART each args.ms milliseconds, args.marks times.
function scenes.tickless(s, args)
  local text = s:call(given(s, "guest.lua"), args.ms, args.marks)
  s:call(function()
    if type(text) ~= "string" then error("guest.lua: the function has to return a text", 0) end
  end)
  local vm = s:call(vmscope.vm, { image = s:call(vmscope.asm, text), max_exits = 200000, max_insns = 50000000 })
  vm:run()
  local r = { vm = s:observe(vm), worst_us = nil, early_us = 0, marks = 0 }
  for _, e in ipairs(vm.trace:filter('exit_reason == "IO_INSTRUCTION"')) do
    if e.port == 0x3f8 and e.write then
      r.marks = r.marks + 1
      local late = e.time_ns - r.marks * args.ms * 1000000
      r.worst_us = math.max(r.worst_us or 0, math.abs(late) // 1000)
      r.early_us = math.max(r.early_us, -late // 1000)
    end
  end
  return r
end

return scenes
