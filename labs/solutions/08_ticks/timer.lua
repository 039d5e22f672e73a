return function()
  local LINE = 5
  local period -- in ns; nil: off
  local due -- when the next tick is
  local slept = 0 -- guest time that passed in HLT, which vm.time_ns does not know
  local pending = 0

  local function look(vm)
    while period and vm.time_ns + slept >= due do
      pending, due = pending + 1, due + period
    end
    vm:irq(LINE, pending > 0)
  end

  local device = vmscope.device{
    ports = { 0x500, 0x503 },
    read = function(_, _, vm) -- of 0x502
      look(vm)
      local n = pending
      pending = 0
      vm:irq(LINE, false)
      return n
    end,
    write = function(offset, size, value, vm)
      if offset == 0 then
        look(vm)
        period = value > 0 and value * 1000 or nil
        due = period and vm.time_ns + slept + period
      end
    end,
  }

  local function attach(vm)
    vm:on_exit("HLT", function()
      if period then slept = math.max(slept, due - vm.time_ns) end
      look(vm)
    end)
    vm:on_exit("PREEMPTION_TIMER", function() look(vm) end)
  end

  return { device = device, attach = attach }
end
