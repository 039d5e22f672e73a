-- The path of an exit. model: a table like the one in model.lua; type: 1 or 2; reason: "CPUID", ...
local function path(model, type, reason)
  return {
    total_ns = 0,
    steps = {}, -- in order: { name = "exit", ns = 341, source = "..." }
  }
end

-- What the VMM does in a whole run, in ns. exits_by: how many exits of each reason.
local function run(model, type, exits_by)
  return nil
end

return { path = path, run = run }
