-- Before you run anything: what do you expect? Replace nil by a number.
return {
  -- The guest "exits" prints "cpuid 10". How many CPUID exits does "vmscope run exits" count?
  exits = nil,
  -- And with --controls kvm-user, as a process sees them above /dev/kvm?
  kvm_user = nil,
  -- Leaf 0x20 does not exist. What is in EAX after CPUID with EAX = 0x20, ECX = 0?
  unknown = nil,
  -- CPUID is 0F A2. How long is the instruction F3 0F A2 for the VMM (exit.insn_len)?
  length = nil,
}
