local REASONS = { "EXCEPTION_NMI", "INVLPG", "CR_ACCESS" }

-- Steps as a line: "touch 3-7, switch 2 times".
local function show_steps(steps)
  local list = {}
  for i, s in ipairs(steps) do
    list[i] = s.op == "switch" and ("switch %d times"):format(s.n)
      or ("%s %d-%d"):format(s.op, s.first, s.first + s.n - 1)
  end
  return table.concat(list, ", ")
end

-- found, by reason: whether a number above 0 under vtx-shadow was right; nil: there was none.
local function hold(t, g, profile, found)
  local args = { profile = profile }
  for k, v in pairs(g.args) do args[k] = v end
  local said = t:run("predict", args).said
  local vm = t:reference(g.scene, args).vm
  local seen = vm.exits_by
  local wrong = false
  for _, reason in ipairs(REASONS) do
    local right = said[reason] == seen[reason]
    local counts = profile == "vtx-shadow" or found[reason] ~= false
    if profile == "vtx-shadow" and seen[reason] > 0 then found[reason] = found[reason] or right end
    t:equal(("%s, %s: %s"):format(g.what, profile, reason), counts and said[reason] or nil, seen[reason],
      vm.rip_of[reason] and "most of them from " .. vm.rip_of[reason])
    wrong = wrong or said[reason] ~= nil and not right
  end
  if wrong and args.steps then t:say(g.what .. ": " .. show_steps(args.steps)) end
end

local function draw_steps(t, n)
  local ops = { "touch", "read", "unmap", "protect", "switch" }
  local steps = { { op = "touch", first = 0, n = t:random(3, 20) } }
  for i = 2, n do
    local op = ops[t:random(1, 5)]
    steps[i] = { op = op, n = t:random(1, 12) }
    if op ~= "switch" then steps[i].first = t:random(0, 40) end
  end
  return steps
end

-- A list of { what, scene, args } under both profiles. Under vtx-ept nearly nothing exits: a number of it counts for who
-- has found one of the same reason, and not 0, under vtx-shadow.
local function both_profiles(t, list)
  local found = {}
  for _, g in ipairs(list) do hold(t, g, "vtx-shadow", found) end
  local without = {}
  for _, reason in ipairs(REASONS) do
    if found[reason] == false then without[#without + 1] = reason end
  end
  if #without > 0 then
    t:say(("vtx-ept counts once a number above 0 is right under vtx-shadow: not yet %s"):format(table.concat(without, ", ")))
  end
  for _, g in ipairs(list) do hold(t, g, "vtx-ept", found) end
end

-- A guest's life with the submission's shadow, and a function for what counts only where the shadow serves accesses.
local function shadowed(t, args)
  local r, ref = t:run("shadow", args), t:reference("shadow", args)
  local serves = r.fills > 0 and 2 * r.hits >= ref.hits
  if r.fills == 0 then
    t:say("no fault was answered with \"fill\": there is no shadow")
  elseif not serves then
    t:say(("%d accesses without a fault, the reference has %d: there is no shadow, or it is thrown away"):format(r.hits,
      ref.hits))
  end
  return r, function(v) if serves then return v end end
end

local function shadows(t, n)
  for _ = 1, n do
    local args = { seed = t:random(1, 1000000), level = "dynamic" }
    local r, of = shadowed(t, args)
    t:weight(2)
    t:equal("first access that goes wrong", r.first, "none")
    t:equal("accesses that are right", r.right, r.accesses)
    t:equal("entries that point outside of the guest's memory", of(r.foreign), 0)
  end
end

return {
  id = "07_paging",
  title = "Paging: shadow tables against EPT, counted",
  minutes = { 90, 180 },
  files = { "predict.lua", "watch.lua", "shadow.lua" },
  predictions = {
    { id = "ept_faults", ask = "EXCEPTION_NMI exits of guest paging under vtx-ept?", points = 4,
      answer = function(t)
        return t:reference("paging", { profile = "vtx-ept", pages = 16, switches = 10 }).vm.exits_by.EXCEPTION_NMI
      end },
    { id = "shadow_faults", ask = "EXCEPTION_NMI exits of guest paging under vtx-shadow?", points = 4, within = 2,
      answer = function(t)
        return t:reference("paging", { profile = "vtx-shadow", pages = 16, switches = 10 }).vm.exits_by.EXCEPTION_NMI
      end },
    { id = "shadow_invlpg", ask = "INVLPG exits of guest paging under vtx-shadow?", points = 4, within = 2,
      answer = function(t)
        return t:reference("paging", { profile = "vtx-shadow", pages = 16, switches = 10 }).vm.exits_by.INVLPG
      end },
    { id = "more", ask = "Exits of all kinds under vtx-shadow less those under vtx-ept?", points = 4, within = 5,
      answer = function(t)
        local args = { profile = "vtx-shadow", pages = 16, switches = 10 }
        local shadow = t:reference("paging", args).vm.exits
        return shadow - t:reference("paging", { profile = "vtx-ept", pages = 16, switches = 10 }).vm.exits
      end },
    { id = "writable", ask = "May a shadow entry be writable before the guest's D bit is set? yes or no", points = 4,
      answer = "no" },
  },
  tasks = {
    { id = "paging", title = "The exits of guest paging, from its parameters", points = 15,
      check = function(t)
        local list = {}
        for n = 1, 3 do
          local args = { pages = 2 * t:random(1, 50) + n % 2, switches = t:random(1, 60) }
          list[n] = { what = ("pages=%d switches=%d"):format(args.pages, args.switches), args = args, scene = "paging" }
        end
        both_profiles(t, list)
      end },
    { id = "pattern", title = "The exits of a pattern", points = 15,
      check = function(t)
        local list = { { what = "protected pages", scene = "pattern", args = { steps = {
          { op = "touch", first = 2, n = t:random(4, 9) }, { op = "protect", first = 3, n = 9 },
          { op = "read", first = 2, n = 2 }, { op = "touch", first = 0, n = 20 },
          { op = "unmap", first = 1, n = t:random(2, 9) }, { op = "read", first = 0, n = 9 } } } } }
        for n = 1, 6 do
          list[n + 1] = { what = n == 1 and "1 step" or n .. " steps", scene = "pattern", args = { steps = draw_steps(t, n) } }
        end
        both_profiles(t, list)
      end },
    { id = "watch", title = "Exit handlers that tell faults apart", points = 15,
      check = function(t)
        for _ = 1, 3 do
          local steps = draw_steps(t, 6)
          steps[7] = { op = "protect", first = 0, n = 3 }
          steps[8] = { op = "touch", first = 0, n = 3 }
          local r, ref = t:run("watch", { steps = steps }), t:reference("watch", { steps = steps })
          for _, what in ipairs{ "absent", "protection", "invlpg", "cr3" } do
            t:equal(what, r.counts[what], ref.counts[what])
          end
          local alike = r.vm.hash == ref.vm.hash and r.vm.ended ~= nil and r.vm.ended.kind == "debug_exit"
          local counted = r.counts.absent == ref.counts.absent -- without handlers there is nothing to be praised for
          t:equal("the guest runs as it does without them", counted and (alike and "yes" or "no") or nil, "yes")
        end
      end },
    { id = "decide", title = "Whose fault is it?", points = 20,
      check = function(t)
        for _ = 1, 2 do
          local r = t:run("decide", { seed = t:random(1, 1000000) })
          for _, class in ipairs{ "reflect", "fill", "emulate" } do
            local c = r[class]
            if c.all > 0 then
              t:weight(2)
              local most = math.ceil(0.8 * c.all)
              t:band(class .. ": so many are decided right", c.right,
                { { c.all, c.all, 1 }, most < c.all and { most, c.all, 0.5 } or nil })
              t:weight(1)
              t:equal(class .. ": the first that is not", c.first, "none")
            end
          end
        end
      end },
    { id = "shadow", title = "Shadow tables that follow the guest's", points = 15, after = { "decide" },
      check = function(t) shadows(t, 4) end },
    { id = "bits", title = "Accessed and dirty, as a processor sets them", points = 10, after = { "decide" },
      check = function(t)
        for _ = 1, 3 do
          local r, of = shadowed(t, { seed = t:random(1, 1000000), level = "dynamic" })
          t:equal("first entry of the guest that is wrong", of(r.tables), "none")
        end
      end },
    { id = "budget", title = "No more fills than needed", points = 5, after = { "shadow" },
      check = function(t)
        for _ = 1, 3 do
          local args = { seed = t:random(1, 1000000), level = "dynamic" }
          local ref = t:reference("shadow", args)
          t:budget("fills", t:run("shadow", args).fills, ref.fills, { { 1, 1 }, { 1.3, 0.5 } })
        end
      end },
    { id = "unseen", title = "Other tables, other patterns", points = 5, after = { "shadow", "pattern" },
      hidden = true,
      check = function(t)
        shadows(t, 3)
        both_profiles(t, { { what = "10 steps", scene = "pattern", args = { steps = draw_steps(t, 10) } } })
      end },
  },
}
