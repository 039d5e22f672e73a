-- Lab 04: guests that ask CPUID, and say what they were told. The guest is made of a few encodings, so that a grading of
-- many submissions spends no time in an assembler.
local RESULTS = 0x1000 -- 16 bytes a question: EAX, EBX, ECX, EDX

-- Real mode: for each question  mov $leaf, %eax; mov $subleaf, %ecx; (prefix) cpuid; and the four registers to memory.
local function guest(asks)
  local code = {}
  for i, ask in ipairs(asks) do
    local to = RESULTS + 16 * (i - 1)
    code[#code + 1] = string.pack("<I2I4 I2I4", 0xb866, ask[1], 0xb966, ask[2]) -- 66 b8: mov eax; 66 b9: mov ecx
    code[#code + 1] = ask[3] and string.char(ask[3]) or ""
    code[#code + 1] = "\x0f\xa2" -- cpuid
    code[#code + 1] = string.pack("<I2I2", 0xa366, to) -- mov %eax, to
    code[#code + 1] = string.pack("<I2BI2", 0x8966, 0x1e, to + 4) -- mov %ebx
    code[#code + 1] = string.pack("<I2BI2", 0x8966, 0x0e, to + 8) -- mov %ecx
    code[#code + 1] = string.pack("<I2BI2", 0x8966, 0x16, to + 12) -- mov %edx
  end
  code[#code + 1] = "\xb0\x00\xe6\xf4" -- mov $0, %al; out %al, $0xf4: the end
  return table.concat(code)
end

local function answers(vm, asks)
  local out = {}
  for i = 1, #asks do
    local at = RESULTS + 16 * (i - 1)
    out[i] = { vm.mem:u32(at), vm.mem:u32(at + 4), vm.mem:u32(at + 8), vm.mem:u32(at + 12) }
  end
  return out
end

local function machine(asks)
  return vmscope.vm{ image = guest(asks), max_insns = 10000, max_exits = 1000 }
end

-- What a handler counted, as text: "leaf:times", by leaf.
local function counted(t)
  if type(t) ~= "table" then return nil end
  local out = {}
  for leaf, n in pairs(t) do out[#out + 1] = ("%s:%s"):format(leaf, n) end
  return table.concat(out, " ")
end

local scenes = {}

-- The submission's handler args.what(vm, args.arg), and a guest with these questions.
function scenes.ask(s, args)
  local m = s:load_table("cpuid.lua")
  local vm = machine(args.asks)
  if type(m[args.what]) ~= "function" then s:load_function("cpuid.lua", nil, args.what) end -- says so
  local given = s:call(m[args.what], vm, args.arg)
  vm:run()
  local verdicts, rips = {}, {}
  for i, exit in ipairs(vm.trace:filter('exit_reason == "CPUID"')) do verdicts[i], rips[i] = exit.verdict, exit.rip end
  return { answers = answers(vm, args.asks), counted = counted(given), verdicts = verdicts, rips = rips,
    highest = math.type(m.highest) == "integer" and m.highest or nil, vm = s:observe(vm) }
end

-- The same without any handler; and what the predictions ask for.
function scenes.facts(s, args)
  if args and args.asks then
    local vm = machine(args.asks)
    vm:run()
    local lengths = {}
    for i, exit in ipairs(vm.trace:filter('exit_reason == "CPUID"')) do lengths[i] = exit.insn_len end
    return { answers = answers(vm, args.asks), lengths = lengths }
  end
  local function count(controls)
    local vm = vmscope.vm{ guest = "exits", controls = controls }
    vm:run()
    return vm.stats.CPUID.samples
  end
  return { exits_cpuid = count("vtx-ept"), kvm_cpuid = count("kvm-user") }
end

return scenes
