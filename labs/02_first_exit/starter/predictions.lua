-- Before you run anything: what do you expect? Replace nil by a number.
return {
  -- How many instructions of guest hello have run when its first exit comes? (One more or less is right.)
  insns = nil,
  -- That exit is a CR access. The number of the control register?
  cr = nil,
  -- How many bytes is the instruction long?
  len = nil,
  -- The exit qualification of OUT %al, $0x80 (bytes e6 80)?
  qual = nil,
  -- hello's code lies in a page of 2 MiB. How many entries does a walk to it read?
  levels = nil,
}
