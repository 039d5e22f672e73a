-- A VMM runs the guest on the machine: where less than half of the innocuous instructions ran there, nothing counts.
local function on_machine(r) return r.runs > 0 and 2 * r.direct >= r.innocuous end

local function ends(t, what, r)
  t:equal(what, on_machine(r) and r.vm.how .. " " .. r.vm.used or nil, r.bare.how .. " " .. r.bare.used)
end

-- What is long is not shown whole: its first word that differs.
local function output(t, what, r)
  local seen = on_machine(r) and r.vm.output or nil
  if #r.bare.output <= 40 then return t:equal(what .. ": output", seen, r.bare.output) end
  local difference
  if seen then
    local next_word = seen:gmatch("%S+")
    local at = 0
    for word in r.bare.output:gmatch("%S+") do
      local other = next_word() or "nothing"
      at = at + 1
      if word ~= other then
        difference = ("word %d of it: %s on the machine, %s in the VMM"):format(at, word, other)
        break
      end
    end
    difference = difference or (seen == r.bare.output and "none" or "more of it in the VMM")
  end
  t:equal(what .. ": output, first difference", difference, "none")
end

-- try: how the student runs it, where something differs.
local function same(t, what, r, try)
  local function of(v) if on_machine(r) then return v end end
  if not on_machine(r) then
    t:say(("%s: of %d innocuous instructions %d ran on the machine: nothing else is looked at"):format(what,
      r.innocuous, r.direct))
  end
  output(t, what, r)
  ends(t, what .. ": how it ends, after so many instructions", r)
  t:equal(what .. ": registers", of(r.vm.state), r.bare.state)
  t:equal(what .. ": memory, first difference", of(r.memory), "none")
  if on_machine(r) and try and (r.vm.output ~= r.bare.output or r.vm.state ~= r.bare.state or r.memory ~= "none"
    or r.vm.how ~= r.bare.how or r.vm.used ~= tostring(r.bare.used)) then
    t:say("to see it step by step: vmscope lab run step.lua " .. try)
  end
end

local function held(t, what, r)
  local seen = r.supervisor > 0 and "it ran in supervisor mode" or r.outside ~= "none" and r.outside
    or on_machine(r) and "held" or "it did not run on the machine"
  t:equal(what .. ": the guest is held, in user mode and inside its memory", seen, "held")
end

local function random_programs(t, kind, n, depth)
  for _ = 1, n do
    local seed = t:random(1, 1000000)
    local r = t:run("equivalence", { kind = kind, seed = seed, depth = depth })
    local what = kind .. " " .. seed
    same(t, what, r, depth and what .. " " .. depth or what)
    held(t, what, r)
  end
end

return {
  id = "06_trap_and_emulate",
  title = "Trap-and-emulate: a VMM for a small machine in 100 lines of Lua",
  minutes = { 90, 180 },
  files = { "vmm.lua", "theorem.lua" },
  predictions = {
    { id = "traps", ask = "Traps of the real machine while your VMM runs census?", points = 5, within = 1,
      answer = function(t) return t:reference("census", { depth = 1 }).traps end },
    { id = "reflected", ask = "How many of them are handed on to the guest?", points = 5,
      answer = function(t) return t:reference("census", { depth = 1 }).bare.traps end },
    { id = "nested", ask = "Traps of the real machine with a VMM in a VMM?", points = 5, within = 1,
      answer = function(t) return t:reference("census", { depth = 2 }).traps end },
    { id = "getm", ask = "What is GETM: control, behaviour or innocuous?", points = 3, answer = "behaviour" },
    { id = "ld", ask = "What is LD: control, behaviour or innocuous?", points = 3, answer = "innocuous" },
  },
  tasks = {
    { id = "direct", title = "Innocuous instructions run directly", points = 15,
      check = function(t)
        local args = { kind = "compute", seed = t:random(1, 1000000) }
        local r = t:run("equivalence", args)
        if r.supervisor > 0 then -- who hands the machine on as it is has written no VMM
          t:equal("the mode that the guest runs in on the machine", "supervisor", "user")
          return
        end
        same(t, "compute", r, "compute " .. args.seed)
        t:weight(2)
        t:band("share of the innocuous instructions that ran directly, in percent", 100 * r.direct // r.innocuous,
          { { 99, 100, 1 }, { 90, 100, 0.5 } })
        t:weight(2)
        t:budget("starts of the machine", on_machine(r) and r.runs or nil, t:reference("equivalence", args).runs,
          { { 1, 1 }, { 3, 0.5 } })
      end },
    { id = "emulate", title = "Privileged instructions in virtual supervisor mode", points = 20,
      check = function(t)
        same(t, "census", t:run("census", { depth = 1 }))
        random_programs(t, "pairs", 1)
        random_programs(t, "supervisor", 5)
      end },
    { id = "reflect", title = "Traps that are the guest's own", points = 15, after = { "emulate" },
      check = function(t)
        random_programs(t, "user", 6)
      end },
    { id = "control", title = "Resource control: nothing leads out", points = 15, after = { "direct" },
      check = function(t)
        local ways = { "wide", "next_word", "shifted", "beyond", "far_beyond", "last_psw", "user_handler", "odd_mode",
          "nothing" }
        local runs, try, out = {}, {}, false
        for i, way in ipairs(ways) do
          local x = t:random(300, 999)
          runs[i], try[i] = t:run("escape", { way = way, x = x }), way .. " " .. x
          if runs[i].outside ~= "none" then
            held(t, way, runs[i])
            t:say("to see it step by step: vmscope lab run step.lua " .. try[i])
            out = true
          end
        end
        if out then return end -- a guest needs one way only
        for i, way in ipairs(ways) do
          same(t, way, runs[i], try[i])
          held(t, way, runs[i])
        end
        local w = { base = t:random(20, 90), size = t:random(80, 120) }
        local r = t:run("words", w)
        t:equal("a new virtual machine", r.fresh, ("M=0 P=16 R=(0, %d) r0..r7 = 0 0 0 0 0 0 0 0"):format(w.size))
        t:equal("its last word is the machine's", r.last, tostring(5000 + w.base + w.size - 1))
        t:equal("its first word is the machine's", r.first, 77)
        t:ok("word -1 and word " .. w.size .. " are errors", r.below and r.above and r.intact)
        for _, op in ipairs{ "OUT", "GETR", "SETR", "ADD" } do
          local budget = op == "SETR" and 3 or t:random(200, 900)
          ends(t, "endless " .. op .. ": gives the processor back", t:run("endless", { op = op, budget = budget }))
        end
      end },
    { id = "two", title = "Two guests take turns on one machine", points = 5, after = { "emulate" },
      check = function(t)
        local r = t:run("two", { seed = t:random(1, 1000000), slice = t:random(3, 9) })
        for i = 1, 2 do
          t:equal("guest " .. i .. ": registers", r[i].vm, r[i].bare)
          t:equal("guest " .. i .. ": memory, first difference", r[i].memory, "none")
        end
      end },
    { id = "counterexample", title = "A machine for which the theorem fails", points = 15, after = { "emulate" },
      check = function(t)
        local leaks = { GETR = "behaviour", GETM = "behaviour", SETR = "control", LPSW = "control" }
        local n = 0
        for leak, kind in pairs(leaks) do
          local r = t:run("counterexample", { leak = leak })
          n = n + 1
          local what = ("machine %d: "):format(n)
          t:equal(what .. "the instruction", r.op, leak)
          t:equal(what .. "its kind", r.kind, kind)
          -- A program that shows nothing counts for nothing.
          local function proof(v) if r.difference then return v end end
          t:ok(what .. "the program ends differently in the VMM", r.difference, r.difference)
          t:equal(what .. "how it ends on the bare machine", proof(r.ends), "halt")
          t:equal(what .. "without the hole, first difference", proof(r.difference_sound or "none"), "none")
        end
      end },
    { id = "unseen", title = "More random programs", points = 5, after = { "reflect" }, hidden = true,
      check = function(t)
        random_programs(t, "supervisor", 4)
        random_programs(t, "user", 4)
      end },
    { id = "recursion", title = "A VMM in a VMM in a VMM", points = 10, after = { "reflect" },
      check = function(t)
        same(t, "census, twice", t:run("census", { depth = 2 }))
        random_programs(t, "user", 2, 2)
        random_programs(t, "supervisor", 2, 3)
        local args = { kind = "compute", seed = t:random(1, 1000000), depth = 3 }
        local r = t:run("equivalence", args)
        same(t, "compute, three deep", r, ("compute %d 3"):format(args.seed))
        t:budget("starts of the real machine", on_machine(r) and r.runs or nil, t:reference("equivalence", args).runs,
          { { 1, 1 }, { 3, 0.5 } })
      end },
  },
}
