local REASONS = { "HLT", "PREEMPTION_TIMER", "INTERRUPT_WINDOW", "IO_INSTRUCTION" }

local function name(p) return ("%d Hz, %d ticks, %s, %s, %s"):format(p.hz, p.ticks, p.wait, p.shot, p.eoi) end

-- Which reason the guest exits for most, and where from.
local function busiest(vm)
  local most
  for reason, n in pairs(vm.exits_by) do
    if vm.rip_of[reason] and (not most or n > vm.exits_by[most]) then most = reason end
  end
  return most and ("most of them %s, from %s"):format(most, vm.rip_of[most])
end

-- Guests that wait in all three ways, twice.
local function draw(t)
  local list = {}
  for i = 1, 2 do
    for _, wait in ipairs{ "hlt", "loop", "masked" } do
      list[#list + 1] = { hz = t:random(50, 2000), ticks = t:random(5, 60), wait = wait,
        shot = i == 2 and "one" or "periodic", eoi = t:random(1, 2) == 1 and "out" or "auto" }
    end
  end
  return list
end

local function prices(t)
  local list = draw(t)
  local said, seen = t:run("price", { list = list }), t:reference("tick", { list = list })
  for i, p in ipairs(list) do
    local exits, found = said[i].exits, false
    for _, reason in ipairs(REASONS) do
      local n = seen[i].exits_by[reason]
      found = found or n > 1 and exits[reason] ~= nil and math.abs(exits[reason] - n) <= 1
    end
    if not found and exits.IO_INSTRUCTION then t:say(name(p) .. ": 0 counts once one that is not 0 is right") end
    for _, reason in ipairs(REASONS) do
      local n = seen[i].exits_by[reason]
      local counts = found or n > 1 -- what never comes is no achievement
      local bands = { { n, n, 1 } }
      if reason ~= "IO_INSTRUCTION" then
        local about = { math.max(n - 1, 0), n + 1, 0.5 }
        if p.wait == "masked" then -- a tick may come where interrupts happen to be on
          about[3], bands[1] = 1, about
        else
          bands[2] = about
        end
      end
      local rip = seen[i].rip_of[reason]
      t:band(name(p) .. ": " .. reason, counts and exits[reason] or nil, bands, rip and "most of them from " .. rip)
    end
  end
end

-- Exits in a second when more ticks are waited for.
local function steady(t, list)
  local function run(ticks)
    local copy = {}
    for i, p in ipairs(list) do copy[i] = { hz = p.hz, ticks = ticks, wait = p.wait, shot = p.shot, eoi = p.eoi } end
    return t:reference("tick", { list = copy })
  end
  local a, b, rates = run(20), run(60), {}
  for i = 1, #list do rates[i] = (b[i].exits - a[i].exits) * 1000000000 // (b[i].time_ns - a[i].time_ns) end
  return rates
end

local function rates(t)
  local list = draw(t)
  local said, seen = t:run("price", { list = list }), steady(t, list)
  for i, p in ipairs(list) do
    t:band(name(p) .. ": exits a second", said[i].per_second,
      { { seen[i] * 0.98, seen[i] * 1.02, 1 }, { seen[i] * 0.9, seen[i] * 1.1, 0.5 } })
  end
end

-- How a student runs the guest of scene "device".
local function device_command(args)
  local list = { "vmscope lab run device.lua" }
  for _, key in ipairs{ "period", "asleep", "awake", "work", "second", "more", "sleep_off" } do
    if args[key] then list[#list + 1] = key .. "=" .. (args[key] == true and 1 or args[key]) end
  end
  return table.concat(list, " ")
end

local function device(t, what, args)
  local r, ref = t:run("device", args), t:reference("device", args)
  t:equal(what .. ": ticks that each interrupt stands for", r.list, ref.list)
  t:equal(what .. ": ticks that the guest counted", r.ticks, ref.ticks)
  t:equal(what .. ": left when it was switched off", r.left, ref.left)
  t:equal(what .. ": interrupts injected", r.injected, ref.injected)
  local ended = r.list ~= "" and r.vm.ended and r.vm.ended.kind -- without a tick it ends as if there were no timer
  t:equal(what .. ": how the guest ends", ended or nil, ref.vm.ended.kind)
  if r.list ~= ref.list or r.left ~= ref.left or r.injected ~= ref.injected then
    t:say("to see it: " .. device_command(args))
  end
end

local function tickless(t, ms, marks)
  local args = { ms = ms, marks = marks }
  local r, ref = t:run("tickless", args), t:reference("tickless", args)
  local what = ("%d marks, one each %d ms"):format(marks, ms)
  local rewritten = r.vm.exits <= 10 * ref.vm.exits
  local right = rewritten and r.vm.console == ("."):rep(marks) and (r.worst_us or 1e9) <= 5000
  local waits = r.early_us <= 500 * ms * marks -- not all at once
  if not waits then t:say(what .. ": the marks do not wait for their time: the console is not looked at") end
  local function of(v) if rewritten then return v end end -- what exits as often as before was not rewritten
  if not rewritten then
    t:say(("%s: %d exits, the reference has %d: nothing else is looked at"):format(what, r.vm.exits, ref.vm.exits))
  end
  if rewritten and not right then t:say(what .. ": its marks are not right: what it costs is not looked at") end
  t:equal(what .. ": console", waits and of(r.vm.console) or nil, ("."):rep(marks))
  t:band(what .. ": the worst mark is off by us", of(r.worst_us), { { 0, 1000, 1 }, { 0, 5000, 0.5 } })
  t:weight(3)
  t:budget(what .. ": exits", right and r.vm.exits or nil, ref.vm.exits, { { 1.05, 1 }, { 2.2, 0.7 }, { 6, 0.3 } },
    busiest(r.vm))
  t:weight(1)
  t:budget(what .. ": instructions", right and r.vm.insns or nil, ref.vm.insns, { { 4, 1 }, { 50, 0.5 } })
end

return {
  id = "08_ticks",
  title = "Interrupts, timers, injection: the price of a tick",
  minutes = { 90, 180 },
  files = { "price.lua", "timer.lua", "guest.lua" },
  equivalent = {
    "timer.lua:5: 0 -> 1", -- a nanosecond
    "timer.lua:16: 0x503 -> 0x504", -- a port that nobody uses
    "guest.lua:4: 1193182 -> 1193183", -- one Hz
    "guest.lua:5: 65536 -> 65537", -- intervals that are so long are none of the lab
  },
  predictions = {
    { id = "timer_hlt", ask = "HLT exits of the bundled guest timer?", points = 4,
      answer = function(t) return t:reference("timer", {}).vm.exits_by.HLT end },
    { id = "timer_busy", ask = "PREEMPTION_TIMER exits of it?", points = 4,
      answer = function(t) return t:reference("timer", {}).vm.exits_by.PREEMPTION_TIMER end },
    { id = "thousand", ask = "Exits a second at 1000 Hz, asleep, with EOI?", points = 4, within = 20,
      answer = function(t)
        return steady(t, { { hz = 1000, wait = "hlt", shot = "periodic", eoi = "out" } })[1]
      end },
    { id = "auto", ask = "The same with automatic EOI?", points = 4, within = 20,
      answer = function(t)
        return steady(t, { { hz = 1000, wait = "hlt", shot = "periodic", eoi = "auto" } })[1]
      end },
    { id = "coalesced", ask = "Ticks in one interrupt, 2 ms each, control every 50 ms?", points = 4,
      answer = function(t)
        return t:reference("device", { period = 2000, asleep = 0, awake = 3 }).counts[2]
      end },
  },
  tasks = {
    { id = "price", title = "The price of a tick", points = 20,
      check = prices },
    { id = "rate", title = "Exits a second", points = 10,
      check = rates },
    { id = "device", title = "A timer that injects: the guest asleep", points = 20,
      check = function(t)
        for _ = 1, 2 do
          device(t, "asleep", { period = t:random(200, 20000), asleep = t:random(3, 20), awake = 0 })
        end
        device(t, "a microsecond", { period = 1, asleep = 5, awake = 0 })
        device(t, "another period", { period = t:random(2000, 20000), asleep = t:random(3, 9), awake = 0,
          second = t:random(500, 1500), more = t:random(3, 9) })
        device(t, "switched off, then HLT", { period = t:random(200, 20000), asleep = 2, awake = 0, sleep_off = true })
      end },
    { id = "coalesce", title = "Ticks that nobody could inject", points = 15, after = { "device" },
      check = function(t)
        device(t, "thousands of ticks", { period = t:random(15, 25), asleep = 0, awake = 3 })
        device(t, "awake", { period = t:random(300, 9000), asleep = 0, awake = t:random(3, 6) })
        device(t, "both", { period = t:random(300, 9000), asleep = t:random(2, 9), awake = t:random(2, 5) })
        local work = { period = t:random(300, 9000), asleep = 2, awake = 1 }
        work.work = t:random(3000000, 9000000)
        device(t, "interrupts off", work)
        device(t, "ticks just before it is switched off", { period = t:random(300, 900), asleep = 2, awake = 0,
          work = t:random(500000, 2000000) }) -- less than 50 ms: nothing exits until the guest writes the period
      end },
    { id = "tickless", title = "A guest without useless ticks", points = 25,
      check = function(t)
        tickless(t, 100, 10)
        tickless(t, t:random(20, 50), t:random(5, 20))
        tickless(t, 10 * t:random(20, 90), t:random(5, 20))
      end },
    { id = "unseen", title = "Other frequencies, other periods", points = 10, after = { "price", "device" },
      hidden = true,
      check = function(t)
        prices(t)
        device(t, "both", { period = t:random(300, 9000), asleep = t:random(2, 9), awake = t:random(2, 5) })
      end },
  },
}
