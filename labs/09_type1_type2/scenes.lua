-- What lab 09 runs: the submission's arithmetic on cost models that it has not seen, beside vmscope's own on the one
-- that it has.

-- modes/simulate/costs/nehalem-2011.lua, without what has no part in the arithmetic. Task "run" holds it against the
-- profile in the program.
local S = "Landau, Ben-Yehuda, Gordon: SplitX (WIOV 2011)"
local L = "Linux kernel mailing list (2012.2/00527)"
local NEHALEM = {
  name = "nehalem-2011",
  steps = {
    exit = { text = "world switch: guest to VMM", ns = 341, source = S },
    entry = { text = "world switch: VMM to guest", ns = 342, source = S },
    to_process = { text = "host kernel to VMM process", ns = 197, source = L },
    from_process = { text = "VMM process to host kernel", ns = 197, source = L },
    host_driver = { text = "host driver: one system call", ns = 76, source = "measured in-house: median of getppid" },
    host_scheduler = { text = "host scheduler: sleep and be woken", ns = 2130, source = "measured in-house (ptrace)" },
  },
  type1 = { default = { "exit", "entry" } },
  type2 = {
    default = { "exit", "entry" },
    IO_INSTRUCTION = { "exit", "to_process", "host_driver", "from_process", "entry" },
    EPT_VIOLATION = { "exit", "to_process", "host_driver", "from_process", "entry" },
    EPT_MISCONFIG = { "exit", "to_process", "host_driver", "from_process", "entry" },
    HLT = { "exit", "to_process", "host_scheduler", "from_process", "entry" },
    TRIPLE_FAULT = { "exit", "to_process" },
    EXTERNAL_INTERRUPT = { "exit", "to_process", "host_driver", "from_process", "entry" },
    PREEMPTION_TIMER = { "exit", "to_process", "host_driver", "from_process", "entry" },
  },
}

local REASONS = { "CPUID", "HLT", "IO_INSTRUCTION", "MSR_READ", "MSR_WRITE", "EPT_VIOLATION", "EXTERNAL_INTERRUPT",
  "VMCALL" }

-- A cost model of the same form; a step may be taken twice.
local function draw_model(seed)
  local random = vmscope.random(seed)
  local m = { name = "drawn-" .. seed, steps = {}, type1 = {}, type2 = {} }
  local names = {}
  for i = 1, 7 do
    local name = ("step%d"):format(random(100, 999)) .. ("abcdefg"):sub(i, i)
    names[i] = name
    m.steps[name] = { text = "what " .. name .. " is", ns = random(20, 3000),
      source = "measurement " .. random(1, 9999), cpu = "CPU " .. random(1, 99), year = random(2005, 2026) }
  end
  local function path(min, max)
    local list = {}
    for i = 1, random(min, max) do list[i] = names[random(1, #names)] end
    return list
  end
  m.type1.default, m.type2.default = path(1, 3), path(2, 4)
  for _, reason in ipairs(REASONS) do
    if random(1, 3) == 1 then m.type1[reason] = path(1, 4) end
    if random(1, 3) > 1 then m.type2[reason] = path(3, 7) end
  end
  return m
end

local function model_of(args)
  if args.model == "nehalem-2011" then return NEHALEM end
  return draw_model(args.model)
end

-- No file of this lab needs vmscope's functions.
local function given(s, file, name) return s:load_function(file, {}, name) end

-- Plain data of what the submission gave: a number, or nil.
local function number(v)
  if type(v) == "number" and v == v and math.abs(v) ~= math.huge then return v end
end

local function show_path(total, steps)
  local list = {}
  for i, step in ipairs(steps) do
    if type(step) ~= "table" then break end
    list[i] = ("%s %s [%s]"):format(tostring(step.name), tostring(step.ns), tostring(step.source))
  end
  return { total = number(total), steps = list }
end

local scenes = {}

-- args: model, type, reason (without it: several)
function scenes.path(s, args)
  local path, model, result = given(s, "path.lua", "path"), model_of(args), {}
  for _, reason in ipairs(args.reason and { args.reason } or REASONS) do
    local r = s:call(path, model, args.type, reason)
    if type(r) == "table" and type(r.steps) == "table" then result[reason] = show_path(r.total_ns, r.steps) end
  end
  return result
end

-- args: guest, append, type. What vmscope itself says, and what the submission makes of the counts.
function scenes.run(s, args)
  local vm = vmscope.vm{ guest = args.guest, append = args.append, mode = "simulate", type = args.type }
  vm:run()
  local o = s:observe(vm)
  local total_ns, exits_by = vm.stats.total_ns, {}
  for reason, n in pairs(o.exits_by) do exits_by[reason] = n end
  local said = s:call(given(s, "path.lua", "run"), NEHALEM, args.type, exits_by)
  return { vm = o, total_ns = total_ns, said = number(said) }
end

-- args: model, type, rates
function scenes.overhead(s, args)
  return { said = number(s:call(given(s, "rates.lua", "overhead"), model_of(args), args.type, args.rates)) }
end

-- args: model, type, reason, share
function scenes.rate_for(s, args)
  local rate_for = given(s, "rates.lua", "rate_for")
  return { said = number(s:call(rate_for, model_of(args), args.type, args.reason, args.share)) }
end

-- args: model, reason, fixed_ns
function scenes.breakeven(s, args)
  local said = s:call(given(s, "rates.lua", "breakeven"), model_of(args), args.reason, args.fixed_ns)
  if said == math.huge then return { never = true } end
  return { said = number(said) }
end

-- args: model, type, counts
function scenes.bottleneck(s, args)
  return { said = tostring(s:call(given(s, "rates.lua", "bottleneck"), model_of(args), args.type, args.counts)) }
end

-- A stopwatch around whole runs of guest "exits": with what comes before and after, and a little different each time; on
-- a processor that is so many times slower than the model's, so that nobody knows the cost who has not measured it.
-- args: type, kind, seed
function scenes.measure(s, args)
  local random = vmscope.random(args.seed)
  local around, used, calls = random(100000, 5000000), 0, 0
  local slower = random(100, 300) / 100
  local function clock(n)
    if math.type(n) ~= "integer" or n < 0 or n > 200000 then error("clock(n): n is a whole number up to 200000", 2) end
    calls, used = calls + 1, used + n
    if calls > 200 then error("200 runs are enough", 2) end
    local vm = vmscope.vm{ guest = "exits", append = ("only=1 %s=%d"):format(args.kind, n), mode = "simulate",
      type = args.type }
    vm:run()
    local total = vm.stats.total_ns
    vm:close()
    return around + math.floor(total * slower) + random(-20000, 20000)
  end
  local said = s:call(given(s, "measure.lua"), clock)
  return { said = number(said), used = used, slower = slower }
end

return scenes
