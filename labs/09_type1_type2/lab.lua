local REASONS = { "CPUID", "HLT", "IO_INSTRUCTION", "MSR_READ", "MSR_WRITE", "EPT_VIOLATION", "EXTERNAL_INTERRUPT",
  "VMCALL" }

local function near(t, what, seen, expected)
  local e = math.abs(expected)
  t:band(what, seen, { { expected - e / 1e9, expected + e / 1e9, 1 }, { expected - e / 50, expected + e / 50, 0.3 } })
end

-- Of two lists of steps; nil when the submission gave none.
local function first_difference(seen, expected)
  if not seen then return end
  for i = 1, math.max(#seen, #expected) do
    if seen[i] ~= expected[i] then
      return ("step %d is %s, not %s"):format(i, seen[i] or "missing", expected[i] or "there at all")
    end
  end
  return "none"
end

local function paths(t, model, type)
  local args = { model = model, type = type }
  local r, ref = t:run("path", args), t:reference("path", args)
  for _, reason in ipairs(REASONS) do
    local seen = r[reason] or {}
    local what = ("model %s, type %d, %s: "):format(model, type, reason)
    t:equal(what .. "ns", seen.total, ref[reason].total)
    t:equal(what .. "steps with their sources, first that is wrong", first_difference(seen.steps, ref[reason].steps),
      "none")
  end
end

local function whole_run(t, guest, append)
  for type = 1, 2 do
    local r = t:run("run", { guest = guest, append = append, type = type })
    t:equal(("guest %s, type %d: ns of the VMM"):format(append == "" and guest or guest .. " " .. append, type), r.said,
      math.tointeger(r.total_ns))
  end
end

local function draw_rates(t)
  local rates = {}
  for _, reason in ipairs(REASONS) do
    if t:random(1, 2) == 1 then rates[reason] = t:random(1, 40000) end
  end
  rates.CPUID = t:random(1, 1000)
  return rates
end

local function rates(t)
  for type = 1, 2 do
    local args = { model = t:random(1, 100000), type = type, rates = draw_rates(t) }
    near(t, ("model %d, type %d: share of the processor's time"):format(args.model, type), t:run("overhead", args).said,
      t:reference("overhead", args).said)
    args = { model = t:random(1, 100000), type = type, reason = REASONS[t:random(1, 8)], share = t:random(1, 60) / 100 }
    near(t, ("model %d, type %d, %s: exits a second for a share of %.2f"):format(args.model, type, args.reason,
      args.share), t:run("rate_for", args).said, t:reference("rate_for", args).said)
  end
end

-- n models at least, and as many more as it takes for each to be the cheaper one once.
local function breakevens(t, n)
  local never, sometimes = false, false
  local found, nevers = false, {} -- "never" counts only for who has found a rate as well
  for i = 1, 60 do
    if i > n and never and sometimes then break end
    local args = { model = t:random(1, 100000), reason = REASONS[t:random(1, 8)], fixed_ns = t:random(1000, 9000000) }
    local ref = t:reference("breakeven", args)
    if i <= n or ref.never and not never or ref.said and not sometimes then
      local r = t:run("breakeven", args)
      local what = ("model %d, %s, %d ns: exits a second"):format(args.model, args.reason, args.fixed_ns)
      if ref.never then
        nevers[#nevers + 1] = { what = what .. ": never", right = r.never }
        never = true
      else
        near(t, what, r.said, ref.said)
        found = found or r.said ~= nil and math.abs(r.said - ref.said) <= ref.said / 50
        sometimes = true
      end
    end
  end
  nevers[#nevers + 1] = { what = "model nehalem-2011, CPUID: never",
    right = t:run("breakeven", { model = "nehalem-2011", reason = "CPUID", fixed_ns = 5000 }).never }
  for _, line in ipairs(nevers) do t:ok(line.what, found and line.right) end
  for type = 1, 2 do
    for _ = 1, 2 do
      local args = { model = t:random(1, 100000), type = type, counts = draw_rates(t) }
      t:equal(("model %d, type %d: the step that takes most"):format(args.model, type), t:run("bottleneck", args).said,
        t:reference("bottleneck", args).said)
    end
  end
end

return {
  id = "09_type1_type2",
  title = "Type I and Type II: the path of an exit",
  minutes = { 60, 120 },
  files = { "path.lua", "rates.lua", "measure.lua" },
  equivalent = {
    "rates.lua:33: 0 -> 1", -- a nanosecond in a sum of which the largest is wanted
    "rates.lua:37: > -> >=", -- of two equal ones, the other
    "measure.lua:2: 100 -> 101", -- any number does that is small,
    "measure.lua:2: 20000 -> 20001", -- and any that is large
  },
  predictions = {
    { id = "io_type1", ask = "An OUT under type I, in ns?", points = 4, within = 1,
      answer = function(t) return t:reference("path", { model = "nehalem-2011", type = 1 }).IO_INSTRUCTION.total end },
    { id = "io_type2", ask = "An OUT under type II, in ns?", points = 4, within = 1,
      answer = function(t) return t:reference("path", { model = "nehalem-2011", type = 2 }).IO_INSTRUCTION.total end },
    { id = "share", ask = "Percent of the processor's time for 50,000 OUTs a second under type II?", points = 4,
      within = 0.2,
      answer = function(t)
        local args = { model = "nehalem-2011", type = 2, rates = { IO_INSTRUCTION = 50000 } }
        return 100 * t:reference("overhead", args).said
      end },
    { id = "hlt_step", ask = "The longest step of HLT under type II?", points = 4,
      answer = function(t)
        return t:reference("bottleneck", { model = "nehalem-2011", type = 2, counts = { HLT = 1 } }).said
      end },
    { id = "same", ask = "Whose path is the same in both types?", points = 4, answer = "CPUID" },
  },
  tasks = {
    { id = "path", title = "The path of an exit, with the source of each cost", points = 25,
      check = function(t)
        for type = 1, 2 do
          paths(t, "nehalem-2011", type)
          paths(t, t:random(1, 100000), type)
        end
      end },
    { id = "run", title = "A whole run, as vmscope has it", points = 15, after = { "path" },
      check = function(t)
        whole_run(t, "hello", "")
        whole_run(t, "timer", ("halted=%d busy=%d"):format(t:random(2, 9), t:random(2, 9)))
        whole_run(t, "exits", ("only=1 cpuid=%d out=%d store=%d rdmsr=%d"):format(t:random(1, 500), t:random(1, 500),
          t:random(1, 500), t:random(1, 500)))
      end },
    { id = "rates", title = "From exit rates to a share of the processor", points = 20,
      check = function(t)
        rates(t)
        rates(t)
      end },
    { id = "breakeven", title = "Break-even, and where the time goes", points = 15,
      check = function(t) breakevens(t, 4) end },
    { id = "measure", title = "Measure it with a stopwatch", points = 15,
      check = function(t)
        for _, kind in ipairs{ "cpuid", "out", "rdmsr", "store" } do
          for type = 1, 2 do
            local args = { kind = kind, type = type, seed = t:random(1, 100000) }
            local reasons = { cpuid = "CPUID", out = "IO_INSTRUCTION", rdmsr = "MSR_READ", store = "EPT_VIOLATION" }
            local reason = reasons[kind]
            local cost = t:reference("path", { model = "nehalem-2011", type = type, reason = reason })[reason].total
            local r = t:run("measure", args)
            cost = cost * r.slower
            local what = ("%s, type %d: "):format(kind, type)
            t:band(what .. "ns", r.said, { { cost * 0.99, cost * 1.01, 1 }, { cost * 0.95, cost * 1.05, 0.5 } })
            t:weight(0.5) -- what was spent counts for an answer that is about right
            local right = r.said and r.said >= cost * 0.95 and r.said <= cost * 1.05
            t:budget(what .. "exits spent", right and r.used or nil, 20000, { { 2, 1 }, { 10, 0.5 } })
            t:weight(1)
          end
        end
      end },
    { id = "unseen", title = "Other models, other rates", points = 10, after = { "path", "rates" }, hidden = true,
      check = function(t)
        for type = 1, 2 do paths(t, t:random(1, 100000), type) end
        rates(t)
        breakevens(t, 3)
      end },
  },
}
