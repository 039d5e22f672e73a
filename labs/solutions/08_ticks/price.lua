-- What one tick costs, by reason.
local function tick(p)
  return {
    HLT = p.wait == "hlt" and 1 or 0,
    PREEMPTION_TIMER = p.wait == "hlt" and 0 or 1,
    INTERRUPT_WINDOW = p.wait == "masked" and 1 or 0,
    IO_INSTRUCTION = (p.eoi == "out" and 1 or 0) + (p.shot == "one" and 2 or 0),
  }
end

return {
  exits = function(p)
    local one, all = tick(p), {}
    for reason, n in pairs(one) do all[reason] = n * p.ticks end
    -- PIC, control word of the PIT, and the end; the count of a periodic timer.
    all.IO_INSTRUCTION = all.IO_INSTRUCTION + 7
    if p.shot == "periodic" then
      all.IO_INSTRUCTION = all.IO_INSTRUCTION + 2
      -- Its output goes high with the control word: the first tick is there before interrupts are on.
      if p.wait ~= "hlt" then all.PREEMPTION_TIMER = all.PREEMPTION_TIMER - 1 end
      if p.wait == "loop" then all.INTERRUPT_WINDOW = all.INTERRUPT_WINDOW + 1 end
    end
    return all
  end,
  per_second = function(p)
    local sum = 0
    for _, n in pairs(tick(p)) do sum = sum + n end
    return sum * p.hz
  end,
}
