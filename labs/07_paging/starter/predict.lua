-- How many exits of each kind a guest causes, without running it. profile: "vtx-ept" or "vtx-shadow".
local function paging(profile, pages, switches)
  return { EXCEPTION_NMI = nil, INVLPG = nil, CR_ACCESS = nil }
end

-- steps: a list of { op = "touch", first = 3, n = 5 } and the like; README.md has them all.
local function pattern(profile, steps)
  return { EXCEPTION_NMI = nil, INVLPG = nil, CR_ACCESS = nil }
end

return { paging = paging, pattern = pattern }
