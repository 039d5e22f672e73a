-- What you saw. Numbers, and true or false.
return {
  -- exits in mode emulate
  exits = { hello = nil, primes = nil, boot16 = nil },
  -- instructions, in mode emulate and in mode simulate
  emulate_insns = { hello = nil, primes = nil, boot16 = nil },
  simulate_insns = { hello = nil, primes = nil, boot16 = nil },
  -- hello, emulated and simulated: is it equal?
  equal = {
    console = nil,
    exits = nil, -- their number
    order = nil, -- their reasons and values, one after the other
    insns = nil, -- the number of instructions
    time_ns = nil, -- the guest's time
    rip = nil, -- where in the guest each exit comes from
  },
}
