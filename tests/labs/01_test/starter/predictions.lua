return {
  exits = nil, -- a number
  reason = nil, -- "CPUID"
}
