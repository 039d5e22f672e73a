local function target(t)
  local msr = t:random(0x20000000, 0x3fffffff)
  local address = 0x10000000 + 4 * t:random(0, 0x2000000)
  return { port = t:random(0x600, 0x7ff), msr = msr, address = address, byte = t:random(1, 255) }
end

-- Which reason the guest exits for most, and where from.
local function busiest(vm)
  local most
  for reason, n in pairs(vm.exits_by) do
    if vm.rip_of[reason] and (not most or n > vm.exits_by[most]) then most = reason end
  end
  return most and ("most of them %s, from %s"):format(most, vm.rip_of[most])
end

local function ends(r) return r.vm.ended ~= nil and r.vm.ended.kind == "debug_exit" and r.vm.ended.code == 0 end

local function ended(r)
  if not r.vm.ended then return "it did not end" end
  return ends(r) and "it ended" or ("it ended by %s, code %s"):format(r.vm.ended.kind, tostring(r.vm.ended.code))
end

-- By way: what holds it; whether it was tried, as the exits show; the same in words, and what was seen.
local ways = {
  port = { held_by = "controls",
    tried = function(r) return r.out >= 1 and r.inp >= 1 and ends(r) end,
    wanted = function(x) return ("IN and OUT at port %#x; it ended"):format(x.port) end,
    seen = function(r) return ("IN %d times, OUT %d times"):format(r.inp, r.out) end },
  msr = { held_by = "controls",
    tried = function(r) return r.wrmsr >= 1 and ends(r) end,
    wanted = function(x) return ("WRMSR of MSR %#x; it ended"):format(x.msr) end,
    seen = function(r) return ("WRMSR of it %d times"):format(r.wrmsr) end },
  memory = { held_by = "mapping",
    tried = function(r) return r.store >= 1 and ends(r) end,
    wanted = function(x) return ("a store to address %#x; it ended"):format(x.address) end,
    seen = function(r)
      return ("%d stores there, %d EPT violations in all"):format(r.store, r.vm.exits_by.EPT_VIOLATION)
    end },
  triple = { held_by = "controls",
    tried = function(r) return r.vm.exits_by.TRIPLE_FAULT >= 1 end,
    wanted = function() return "a triple fault" end,
    seen = function() return "none" end },
  loop = { held_by = "interval",
    tried = function(r) return r.vm.exits_by.PREEMPTION_TIMER >= 7 and not ends(r) end,
    wanted = function() return "it ran on and on, and the VMM's timer alone stopped it, 7 times or more" end,
    seen = function(r) return ("stopped by the VMM's timer %d times"):format(r.vm.exits_by.PREEMPTION_TIMER) end },
  selfmod = { held_by = "mapping",
    tried = function(r) return r.patched >= 1 and ends(r) end,
    wanted = function(x)
      return ("OUT of %#x to port %#x by an instruction that it wrote; it ended"):format(x.byte, x.port)
    end,
    seen = function(r)
      return ("OUT to the port %d times, %d of them so"):format(r.out, r.patched)
    end },
  debug = { held_by = "controls",
    tried = function(r) return r.dr7 >= 1 and r.db >= 1 and ends(r) end,
    wanted = function() return "DR7 written, #DB raised; it ended" end,
    seen = function(r) return ("DR7 written %d times, #DB raised %d times"):format(r.dr7, r.db) end },
}

-- Runs the attack; what happens, the verdict, and why. What holds it is the student's to find out: no line tells.
local function attack(t, way)
  local x, w = target(t), ways[way]
  local r = t:run("attack", { way = way, x = x })
  local real = r.vm ~= nil and w.tried(r)
  local wanted = w.wanted(x)
  t:weight(3)
  t:equal(way .. ": it was tried", real and wanted or r.vm and w.seen(r) .. "; " .. ended(r) or nil, wanted)
  t:weight(1)
  t:verdict(way .. ": resource control", real and r.vm.verdicts.safety or nil, "holds")
  if not real then return t:equal(way .. ": what holds it", nil, "an attempt") end
  local right = r.held_by == w.held_by
  t:ok(way .. ": what holds it", right, not right and "not " .. tostring(r.held_by) or nil)
end

-- The first line of a console that is another.
local function first_difference(seen, expected)
  if seen == expected then return "none" end
  local next_line, n = seen:gmatch("[^\n]*\n?"), 0
  for line in expected:gmatch("[^\n]*\n?") do
    local other = next_line() or ""
    n = n + 1
    if line ~= other then return ("line %d: %s instead of %s"):format(n, other == "" and "nothing" or other, line) end
  end
  return "more behind the last line"
end

local function same(t, seed)
  local args = { seed = seed }
  local a, b = t:run("after", args), t:reference("before", args)
  local fewer = a.vm.exits <= b.vm.exits // 2
  local does = a.vm.console == b.vm.console or a.sum == b.sum or a.reads == b.reads
  local function of(v) if fewer and does then return v end end -- what exits as often as before was not rewritten
  t:budget("exits, at most half of those before", does and a.vm.exits or nil, b.vm.exits, { { 0.5, 1 } }, busiest(a.vm))
  if not does then
    t:say("neither the console nor the sum nor the readings of the sensor: few exits are no merit then")
  elseif not fewer then
    t:say("more than half of the exits that it had: nothing else is looked at")
  end
  t:equal("console, first difference", of(first_difference(a.vm.console, b.vm.console)), "none")
  t:equal("sum in memory", of(a.sum), b.sum)
  t:equal("lines in memory", of(a.counted), b.counted)
  t:equal("readings of the sensor", of(a.reads), b.reads)
  t:equal("end", of(a.vm.ended and a.vm.ended.kind .. " " .. tostring(a.vm.ended.code)),
    b.vm.ended.kind .. " " .. tostring(b.vm.ended.code))
  t:band("the worst line is off by us", of(a.worst_us), { { 0, 100, 1 }, { 0, 300, 0.5 } })
  t:band("the first line comes after us", of(a.first_us), { { 900, 1200, 1 }, { 500, 2000, 0.5 } })
  return fewer and a.vm.console == b.vm.console and a.sum == b.sum and a.reads == b.reads and a.worst_us <= 300
end

local function budget(t, seed)
  local args = { seed = seed }
  local a, b, ref = t:run("after", args), t:reference("before", args), t:reference("after", args)
  local right = a.vm.console == b.vm.console and a.sum == b.sum and a.reads == b.reads and a.worst_us <= 300
  local bands = { { 1.02, 1 }, { 1.1, 0.8 }, { 1.5, 0.5 }, { 2.5, 0.25 } }
  t:budget("exits", right and a.vm.exits or nil, ref.vm.exits, bands, busiest(a.vm))
  if not right then t:say("it does not do what it did (task same): its exits are not looked at") end
  t:say(("before: %d exits, now: %d, the reference: %d"):format(b.vm.exits, a.vm.exits, ref.vm.exits))
end

return {
  id = "10_escape_and_efficiency",
  title = "Breaking out, and why you cannot; and cutting exits under a budget",
  minutes = { 90, 180 },
  files = { "escape.lua", "chatty.lua" },
  predictions = {
    { id = "nobody", ask = "What does IN AL give where there is no device?", points = 4, answer = 255 },
    { id = "wrmsr", ask = "The exception of WRMSR with an MSR that does not exist?", points = 4, answer = "#GP" },
    { id = "interval", ask = "Ms until the VMM has control again?", points = 4, within = 5,
      answer = function(t)
        local r = t:reference("attack", { way = "loop", x = { port = 0, msr = 0, address = 0, byte = 0 } })
        return r.vm.time_ns / r.vm.exits_by.PREEMPTION_TIMER // 1000000
      end },
    { id = "selfmod", ask = "Exits of 1000 overwritten instructions?", points = 4, answer = 0 },
    { id = "byte", ask = "Exits of chatty.lua a byte?", points = 4, answer = 3 },
  },
  tasks = {
    { id = "ports", title = "A: ports and MSRs", points = 10,
      check = function(t)
        attack(t, "port")
        attack(t, "msr")
      end },
    { id = "memory", title = "A: memory outside, and code that changes itself", points = 15,
      check = function(t)
        attack(t, "memory")
        attack(t, "selfmod")
      end },
    { id = "control", title = "A: a triple fault, an endless loop, debug registers", points = 15,
      check = function(t)
        attack(t, "triple")
        attack(t, "loop")
        attack(t, "debug")
      end },
    { id = "same", title = "B: it still does what it did", points = 20,
      check = function(t)
        for seed = 1, 3 do same(t, 100 * t.seed + seed) end
      end },
    { id = "budget", title = "B: with far fewer exits", points = 30, after = { "same" },
      check = function(t)
        for seed = 1, 2 do budget(t, 100 * t.seed + seed) end
      end },
    { id = "unseen", title = "Other ports, other inputs", points = 10, after = { "same" }, hidden = true,
      check = function(t)
        attack(t, "port")
        attack(t, "memory")
        same(t, 100 * t.seed + 4)
        budget(t, 100 * t.seed + 4)
      end },
  },
}
