-- Write down what you expect before you run anything, by the cost model in model.lua. nil: no prediction.
return {
  -- An OUT under a type I VMM, in ns.
  io_type1 = nil,
  -- The same under a type II VMM.
  io_type2 = nil,
  -- A type II VMM, 50,000 OUTs in a second of guest time: how many percent of the processor's time does it take?
  share = nil,
  -- HLT under type II: the step that takes longest, by its name in the model.
  hlt_step = nil,
  -- The path of which of these is the same in both types: "CPUID", "HLT", "IO_INSTRUCTION"?
  same = nil,
}
