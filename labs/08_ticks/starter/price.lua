-- The price of a tick, without running anything. p: as in tick.lua (hz, ticks, wait, shot, eoi).
return {
  -- Exits by reason of a whole run.
  exits = function(p)
    return { HLT = nil, PREEMPTION_TIMER = nil, INTERRUPT_WINDOW = nil, IO_INSTRUCTION = nil }
  end,
  -- All exits in a second of guest time, in the steady state: what more ticks cost, without start and end.
  per_second = function(p)
    return nil
  end,
}
