-- Lab 01: guests in two modes, and what the functions of the submission say of them.
local LEFT_OUT = { EXTERNAL_INTERRUPT = true, INTERRUPT_WINDOW = true, NMI_WINDOW = true, TPR_BELOW_THRESHOLD = true,
  PREEMPTION_TIMER = true }

local function field(v)
  if math.type(v) == "float" then return ("%g"):format(v) end
  return tostring(v)
end

-- A function of measure.lua, without vmscope: it may look at the VMs that it is given, and make none.
local function measure_file(s, name)
  return s:load_function("measure.lua", {}, name)
end

local function machine(spec)
  return vmscope.vm{ guest = spec.guest, append = spec.append, mode = spec.mode, controls = spec.controls,
    max_insns = 20000000 }
end

-- A VMM with a fault: at the n-th access to a port, or exit of a reason, another value, or a letter that nobody wrote.
local function tamper(vm, fault)
  local n = 0
  if not fault then return end
  vm:on_exit(fault.reason or ("port %d"):format(fault.port), function(exit)
    n = n + 1
    if n ~= fault.at then return end
    if fault.letter then
      vm:emit(fault.letter)
      return
    end
    if exit.reason == "CPUID" then
      exit:default()
      exit[fault.register] = exit[fault.register] ~ fault.flip
      return "next"
    elseif exit.write then
      exit.value = exit.value ~ fault.flip
      return
    end
    exit:default()
    exit.value = exit.value ~ fault.flip
    return "next"
  end)
end

-- What is compared of an exit.
local function entry(exit)
  local r = exit.reason
  if r == "IO_INSTRUCTION" then
    return ("%s of port %#x, size %d: %#x"):format(exit.write and "OUT" or "IN", exit.port, exit.size, exit.value or 0)
  elseif r == "CPUID" then
    return ("%s leaf %x, subleaf %x: eax %x ebx %x ecx %x edx %x"):format(r, exit.leaf, exit.subleaf, exit.eax, exit.ebx,
      exit.ecx, exit.edx)
  elseif r == "MSR_READ" then
    return ("%s %#x: %#x"):format(r, exit.msr, exit.value)
  end
  return r
end

local function sequence(vm)
  local out = {}
  for i = 1, #vm.trace do
    local exit = vm.trace[i]
    if not LEFT_OUT[exit.reason] then out[#out + 1] = entry(exit) end
  end
  return out
end

local function first_difference(a, b)
  for i = 1, math.max(#a, #b) do
    if a[i] ~= b[i] then return i end
  end
end

local function reasons(t)
  local out = {}
  for name, n in pairs(type(t) == "table" and t or {}) do
    if n ~= 0 then out[#out + 1] = name .. "=" .. field(n) end
  end
  return table.concat(out, " ")
end

local scenes = {}

-- Numbers of a run.
function scenes.run(s, args)
  local vm = machine(args)
  vm:run()
  return { vm = s:observe(vm) }
end

-- What is equal between emulate and simulate of a guest.
function scenes.equal(_, args)
  local a, b = machine{ guest = args.guest }, machine{ guest = args.guest, mode = "simulate" }
  a:run()
  b:run()
  local rip = true
  for i = 1, math.min(#a.trace, #b.trace) do rip = rip and a.trace[i].rip == b.trace[i].rip end
  return { console = a.console == b.console, exits = a.exits == b.exits, insns = a.insns == b.insns,
    time_ns = a.time_ns == b.time_ns, rip = rip, order = first_difference(sequence(a), sequence(b)) == nil }
end

-- observations.lua, field by field: "exits.hello" and so on.
function scenes.observations(s, args)
  local t = s:load_table("observations.lua", {})
  local out = {}
  for i, name in ipairs(args.names) do
    local v = t
    for key in name:gmatch("[^.]+") do v = type(v) == "table" and v[key] or type(v) == "table" and v[key] == false and "false" end
    out[i] = v and field(v) or "nil"
  end
  return { said = out }
end

-- measure(vm), as text.
function scenes.measure(s, args)
  local vm = machine(args)
  local m = s:call(measure_file(s, "measure"), vm)
  if type(m) ~= "table" then return { said = field(m), vm = s:observe(vm) } end
  return { said = ("mode=%s ended=%s exits=%s insns=%s reasons: %s"):format(field(m.mode), field(m.ended), field(m.exits),
    field(m.insns), reasons(m.reasons)), console = field(m.console), vm = s:observe(vm) }
end

function scenes.measured(_, args)
  local vm = machine(args)
  vm:run()
  local by = {}
  for _, row in ipairs(vm.stats.rows) do by[row.name] = row.samples end
  return { said = ("mode=%s ended=%s exits=%d insns=%d reasons: %s"):format(vm.mode, vm.ended.kind, vm.exits, vm.insns,
    reasons(by)), console = vm.console }
end

-- equivalent(a, b) for two VMs that have not run; fault is in b's VMM. And what the scene finds.
function scenes.equivalent(s, args)
  local function two()
    local a, b = machine(args.a), machine(args.b)
    tamper(b, args.fault)
    return a, b
  end
  local a, b = two()
  a:run()
  b:run()
  local at = first_difference(sequence(a), sequence(b))
  local is = ("%s, first difference %s, console equal: %s"):format(at == nil and a.console == b.console and "holds" or "violated",
    field(at), a.console == b.console)
  local r = s:call(measure_file(s, "equivalent"), two())
  if type(r) ~= "table" then return { said = field(r), is = is } end
  return { said = ("%s, first difference %s, console equal: %s"):format(field(r.verdict), field(r.at), field(r.console)), is = is }
end

-- process_sees(vm), as text, for a VM under vtx-ept; and the same guest under kvm-user.
function scenes.process(s, args)
  local vm = machine{ guest = args.guest, append = args.append }
  local said = reasons(s:call(measure_file(s, "process_sees"), vm))
  local kvm = machine{ guest = args.guest, append = args.append, controls = "kvm-user" }
  kvm:run()
  local by = {}
  for _, row in ipairs(kvm.stats.rows) do
    if not row.name:match("^VMM_") then by[row.name] = row.samples end -- those are no exits of the guest
  end
  return { said = said, is = reasons(by) }
end

-- summary(rows), as text; rows as vmscope.compare gives them.
function scenes.summary(s, args)
  local r = s:call(measure_file(s, "summary"), args.rows)
  if type(r) ~= "table" then return { said = field(r) } end
  local missing = {}
  for name, why in pairs(type(r.missing) == "table" and r.missing or {}) do missing[#missing + 1] = name .. " (" .. field(why) .. ")" end
  return { said = ("ran: %s; missing: %s; equivalence: %s"):format(
    type(r.ran) == "table" and table.concat(r.ran, " ") or field(r.ran), table.concat(missing, " "), field(r.equivalence)) }
end

-- The guest teller, and the submission's model of it.
function scenes.model(s, args)
  local guest = vmscope.vm{ image = s:guest("teller"), max_insns = 100000 }
  guest.mem:u16(0x8000, args.n)
  guest.mem:write(0x8010, args.text .. "\0")
  guest:run()
  local text = s:load("model.lua", {})
  if type(text) ~= "string" then error("model.lua:1: it has to return a text: return [[ ... ]], not a " .. type(text), 0) end
  local made, model = pcall(vmscope.vm, { image = s:guest("teller"), mode = "simulate", model_text = text,
    append = ("n=%d text=%s"):format(args.n, args.text), max_insns = 100000, max_exits = 10000 })
  if not made then error("model.lua:1: in its text, line " .. model:gsub("^.*model_text:", ""), 0) end
  model:run()
  local a, b = sequence(guest), sequence(model)
  local at = first_difference(a, b)
  return { at = at, is = at and a[at] or #a .. " exits", said = at and (b[at] or "no exit") or #b .. " exits",
    console = model.console, text = guest.console, insns = model.insns - guest.insns,
    ended = model.ended and model.ended.detail or "it was still running after 100000 instructions or 10000 exits",
    vm = s:observe(model) }
end

return scenes
