-- vmscope lab run try.lua [PAGES SWITCHES]: your exit handlers beside guest "paging", and what predict.lua says of it
-- held against what it does. Change it as you like; it is not handed in.
local pages, switches = math.tointeger(arg[1] or 16), math.tointeger(arg[2] or 10)

for _, profile in ipairs{ "vtx-shadow", "vtx-ept" } do
  local vm = vmscope.vm{ guest = "paging", controls = profile,
    append = ("pages=%d switches=%d"):format(pages, switches) }
  local counts = profile == "vtx-shadow" and include("watch")(vm) or {}
  vm:run()
  for what, n in pairs(counts) do print(what, n) end
  local said = include("predict").paging(profile, pages, switches)
  for _, reason in ipairs{ "EXCEPTION_NMI", "INVLPG", "CR_ACCESS" } do
    print(("%s, %s: predicted %s, seen %d"):format(profile, reason, said[reason], vm.stats[reason].samples))
  end
end
