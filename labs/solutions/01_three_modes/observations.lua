return {
  exits = { hello = 108, primes = 102, boot16 = 63 },
  emulate_insns = { hello = 671, primes = 858425, boot16 = 448 },
  simulate_insns = { hello = 529, primes = 775091, boot16 = 448 },
  equal = { console = true, exits = true, order = true, insns = false, time_ns = false, rip = false },
}
