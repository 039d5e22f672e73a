return {
  -- Share (0 to 1) of the processor's time that the VMM takes. rates: exits in a second of guest time, by reason.
  overhead = function(model, type, rates) return nil end,
  -- How many exits of this reason, in a second of guest time, take this share of the processor's time.
  rate_for = function(model, type, reason, share) return nil end,
  -- Exits a second from which on type I is cheaper, although it has fixed_ns more to do in each second. math.huge:
  -- never.
  breakeven = function(model, reason, fixed_ns) return nil end,
  -- The name of the step that takes most of the VMM's time. counts: exits by reason.
  bottleneck = function(model, type, counts) return nil end,
}
