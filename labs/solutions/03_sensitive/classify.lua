local M = {}

local RESOURCES = { "cpl", "if_", "iopl", "cr0", "cr3", "cr4", "gdtr", "idtr", "ldtr", "tr" }
local RESULTS = { "if_", "iopl", "cr0", "cr3", "cr4", "gdtr", "idtr", "ldtr", "tr", "eax", "ebx", "ecx", "edx", "esi", "edi",
  "ebp", "esp", "flags", "mem" }

local function changes(seen)
  if seen.vector then return false end
  for _, name in ipairs(RESOURCES) do
    if seen.before[name] ~= seen.after[name] then return true end
  end
  return false
end

function M.classify(at0, at3)
  local behaviour = false
  if not at0.vector and not at3.vector then
    for _, name in ipairs(RESULTS) do
      if at0.after[name] ~= at3.after[name] then behaviour = true end
    end
  end
  return {
    privileged = at3.vector ~= nil and at0.vector == nil,
    control = changes(at0) or changes(at3),
    behaviour = behaviour,
  }
end

function M.virtualizable(instructions)
  local names = {}
  for _, i in ipairs(instructions) do
    if (i.control or i.behaviour) and not i.privileged then names[#names + 1] = i.name end
  end
  table.sort(names)
  return #names == 0, names
end

return M
