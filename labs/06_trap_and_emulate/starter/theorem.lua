-- Task "counterexample". new(): a machine of a kind that you have not seen: one of its sensitive instructions does not
-- trap in user mode. assemble(text): as in machine.lua. Find out which instruction it is, by what the machine does, and
-- prove it with a program: one that ends differently in your virtual machine.
return function(new, assemble)
  return {
    op = nil, -- "GETR", "SETR", "GETM" or "LPSW"
    kind = nil, -- "control" if it can change M or R in one of the modes, else "behaviour"
    program = assemble[[
      .at 16
      HALT
    ]],
  }
end
