-- Write down what you expect before you run anything. nil: no prediction.
return {
  -- The bundled guest "timer" waits for 5 ticks asleep in HLT, then for 3 in a busy loop. HLT exits?
  timer_hlt = nil,
  -- PREEMPTION_TIMER exits of it?
  timer_busy = nil,
  -- The guest of tick.lua: 1000 Hz, hlt, periodic, out. Exits a second of guest time, when it has got going.
  thousand = nil,
  -- The same with eoi "auto".
  auto = nil,
  -- A VMM regains control every 50 ms and at no other time; a device of it ticks each 2 ms. How many ticks does one
  -- interrupt stand for?
  coalesced = nil,
}
