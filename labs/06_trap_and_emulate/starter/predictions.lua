-- Write down what you expect before you run anything; a number or a text for each. nil: no prediction.
-- The guest is "census" in try.lua: its user program calls the system with SVC 1 ten times, then with SVC 0.
return {
  -- Traps of the real machine while your VMM runs census.
  traps = nil,
  -- How many of them the VMM must hand on to the guest as traps of the virtual machine.
  reflected = nil,
  -- Traps of the real machine when census runs in a VMM that itself runs in a VMM (both are your Lua).
  nested = nil,
  -- GETM reads the mode: "control" (control-sensitive), "behaviour" (behaviour-sensitive) or "innocuous".
  getm = nil,
  -- The same question for LD, which goes through the relocation-bounds register.
  ld = nil,
}
