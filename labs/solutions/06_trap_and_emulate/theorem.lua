-- Each sensitive instruction in user mode: the one that does not trap is the one.
local kinds = { GETR = "behaviour", GETM = "behaviour", SETR = "control", LPSW = "control" }

-- Supervisor programs, whose effect the VMM never hears of when the instruction does not trap.
local programs = {
  GETR = ".at 16\n GETR r1\n HALT",
  GETM = ".at 16\n GETM r1\n HALT",
  SETR = ".at 16\n LDI r1, 0\n LDI r2, 40\n SETR r1\n HALT",
  LPSW = ".at 16\n LDI r1, 24\n LPSW r1\n .at 20\n HALT\n .at 24\n .word 0, 20, 0, 40",
}

return function(new, assemble)
  for op, kind in pairs(kinds) do
    local m = new()
    m:write(20, assemble(op .. " r1")[0])
    m.m, m.p = 1, 20
    if m:run(1) ~= "trap" then return { op = op, kind = kind, program = assemble(programs[op]) } end
  end
end
