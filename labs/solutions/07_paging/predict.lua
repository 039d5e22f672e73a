-- Exits that a profile adds to those of vtx-ept.
local function shadow_only(profile, n) return profile == "vtx-shadow" and n or 0 end

local function paging(profile, pages, switches)
  local half = (pages + 1) // 2
  return {
    EXCEPTION_NMI = shadow_only(profile, pages + half),
    INVLPG = shadow_only(profile, 2 * half + pages),
    CR_ACCESS = 2 + shadow_only(profile, 3 + switches),
  }
end

local function pattern(profile, steps)
  local state, faults, drops, loads = {}, 0, 0, 1
  for _, step in ipairs(steps) do
    if step.op == "switch" then
      loads = loads + step.n + 1 -- it reads CR3 first
    else
      for i = step.first, step.first + step.n - 1 do
        if step.op == "unmap" or step.op == "protect" then drops = drops + 1 end
        if step.op == "unmap" then state[i] = nil end
        if step.op == "protect" and state[i] then state[i] = "protected" end
        if (step.op == "touch" or step.op == "read") and not state[i] then
          faults, state[i] = faults + 1, "mapped"
        end
        if step.op == "touch" and state[i] == "protected" then
          faults, drops, state[i] = faults + 1, drops + 1, "mapped"
        end
      end
    end
  end
  return {
    EXCEPTION_NMI = shadow_only(profile, faults),
    INVLPG = shadow_only(profile, drops),
    CR_ACCESS = 2 + shadow_only(profile, loads),
  }
end

return { paging = paging, pattern = pattern }
