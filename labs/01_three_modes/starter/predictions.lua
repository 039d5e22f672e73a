-- Before you run anything: what do you expect? Replace nil.
return {
  -- hello prints 48 characters. How many exits in mode emulate? (Four more or less is right.)
  exits = nil,
  -- And in mode simulate, where no instruction of the guest is read?
  simulated = nil,
  -- And for a process above /dev/kvm, profile kvm-user? (Two more or less is right.)
  process = nil,
  -- primes computes for long between two exits. Efficiency of mode emulate: "holds" or "violated"?
  efficiency = nil,
}
