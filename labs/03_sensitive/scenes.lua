-- Lab 03: what guest sensitive sees under a profile, and single instructions at CPL 0 and at CPL 3.
local SLOT, SCRATCH = 0x9000, 0xa000
local FAR = { call_gate = "CALL_FAR", jump_far = "JMP_FAR", return_far = "RET_FAR", iret = "IRET", sysret = "SYSRET",
  user_HLT = "HLT" }

local function machine(profile)
  return vmscope.vm{ guest = "sensitive", controls = profile, max_insns = 1000000 }
end

-- Each row of a run: what the kernel and the program saw, and whether the kernel's try caused an exit.
local function measure(profile)
  local vm = machine(profile)
  local trapped = {}
  vm:run{ until_ = function(exit)
    local try = vm:symbol(exit.rip)
    try = try and try:match("^try_([%w_]+)")
    local name = FAR[try] or try
    if name and vm.console:sub(-200):match("[^\n]*$"):find("kernel", 1, true) == nil then trapped[name] = true end
  end }
  local rows = {}
  for name, kernel, user in vm.console:gmatch("([%w_]+): kernel ([^,]+), user ([^\n]+)") do
    rows[name] = { kernel = kernel, user = user, trapped = trapped[name] or false }
  end
  vm:close()
  return rows
end

local function outcome(bare, row)
  if row.trapped then return "traps" end
  return row.kernel == bare.kernel and "same" or "leaks"
end

local function field(v)
  return math.type(v) == "integer" and ("%x"):format(v) or tostring(v)
end

-- One instruction (bytes), observed at this CPL.
local function observe(s, cpl, regs, code, scratch)
  local vm = vmscope.vm{ image = s:guest("bench"), mem = "2M", max_insns = 10000 }
  local seen = {}
  vm.mem[0x8000] = cpl
  for i = 1, 7 do vm.mem:u32(0x8000 + 4 * i, regs[i]) end
  vm.mem:write(SCRATCH, scratch)
  vm.mem:write(SLOT, "\x0f\xa2" .. code .. "\x0f\xa2")
  vm:on_exit("CPUID", function(exit, cpu)
    exit.eax, exit.ebx, exit.ecx, exit.edx = cpu.eax, cpu.ebx, cpu.ecx, cpu.edx -- it only marks a place
    if exit.rip ~= SLOT and exit.rip ~= SLOT + 2 + #code then
      seen.vector = vm.mem:u32(cpu.esp)
      return "kill"
    end
    local flags = cpu.rflags
    seen[exit.rip == SLOT and "before" or "after"] = {
      cpl = cpu.cpl, if_ = flags >> 9 & 1, iopl = flags >> 12 & 3, cr0 = cpu.cr0, cr3 = cpu.cr3, cr4 = cpu.cr4,
      gdtr = ("%x:%x"):format(cpu.gdtr.base, cpu.gdtr.limit), idtr = ("%x:%x"):format(cpu.idtr.base, cpu.idtr.limit),
      ldtr = cpu.ldtr.sel, tr = cpu.tr.sel, eax = cpu.eax, ebx = cpu.ebx, ecx = cpu.ecx, edx = cpu.edx, esi = cpu.esi,
      edi = cpu.edi, ebp = cpu.ebp, esp = cpu.esp, flags = flags & 0xcd5,
      mem = (vm.mem:read(SCRATCH, 16):gsub(".", function(c) return ("%02x"):format(c:byte()) end)) }
    return exit.rip == SLOT and "next" or "kill"
  end)
  vm:run()
  vm:close()
  return seen
end

local scenes = {}

-- The truth of some rows, as the table has it: by name, "deprivileged=leaks umip=traps vtx=same user=runs".
function scenes.truth(_, args)
  local bare = measure("vtx-ept")
  local deprivileged, umip = measure("deprivileged"), measure("umip")
  local rows = {}
  for i, name in ipairs(args.names) do
    local b = bare[name]
    rows[i] = ("deprivileged=%s umip=%s vtx=%s user=%s"):format(outcome(b, deprivileged[name]), outcome(b, umip[name]),
      outcome(b, b), b.user:sub(1, 1) == "#" and "faults" or "runs")
  end
  return { rows = rows }
end

-- The same out of the submission's table.
function scenes.table(s, args)
  local t = s:load_table("table.lua", {})
  local rows = {}
  for i, name in ipairs(args.names) do
    local row = t[name]
    if type(row) ~= "table" then row = {} end
    rows[i] = ("deprivileged=%s umip=%s vtx=%s user=%s privileged=%s"):format(field(row.deprivileged), field(row.umip),
      field(row.vtx), field(row.user), field(row.privileged))
  end
  return { rows = rows }
end

-- probe.lua's parse() on the console of a run, by name; and what was really printed.
function scenes.parse(s, args)
  local parse = s:load_function("probe.lua", {}, "parse")
  local vm = machine(args.profile)
  vm:run()
  local said = s:call(parse, vm.console)
  local names, out, is = {}, {}, {}
  for name, row in pairs(measure(args.profile)) do
    names[#names + 1] = name
    is[#is + 1] = ("kernel %s, user %s"):format(row.kernel, row.user)
  end
  for i, name in ipairs(names) do
    local row = type(said) == "table" and said[name]
    out[i] = type(row) == "table" and ("kernel %s, user %s"):format(field(row.kernel), field(row.user)) or "nothing"
  end
  local n = 0
  for _ in pairs(type(said) == "table" and said or {}) do n = n + 1 end
  return { names = names, said = out, is = is, n = n }
end

-- probe.lua's traps(vm), and what the machine's own records say: two lists of names.
function scenes.traps(s, args)
  local traps = s:load_function("probe.lua", {}, "traps")
  local said, is = {}, {}
  local r = s:call(traps, machine(args.profile))
  for name, yes in pairs(type(r) == "table" and r or {}) do
    if yes then said[#said + 1] = tostring(name) end
  end
  for name, row in pairs(measure(args.profile)) do
    if row.trapped then is[#is + 1] = name end
  end
  return { said = said, is = is }
end

-- probe.lua's outcome(bare, seen, trapped).
function scenes.outcome(s, args)
  local f = s:load_function("probe.lua", {}, "outcome")
  local out = {}
  for i, q in ipairs(args.questions) do out[i] = field(s:call(f, q[1], q[2], q[3])) end
  return { said = out }
end

local function class(c)
  if type(c) ~= "table" then return field(c) end
  return ("privileged=%s control=%s behaviour=%s"):format(field(c.privileged), field(c.control), field(c.behaviour))
end

-- classify.lua's classify(at0, at3) for instructions that really ran.
function scenes.classify(s, args)
  local classify = s:load_function("classify.lua", {}, "classify")
  local out = {}
  for i, insn in ipairs(args.insns) do
    local code, scratch = insn.code, args.scratch
    local regs = insn.regs or args.regs
    local c = s:call(classify, observe(s, 0, regs, code, scratch), observe(s, 3, regs, code, scratch))
    out[i] = class(c)
  end
  return { said = out }
end

-- The same for observations that args.pairs makes up.
function scenes.pairs(s, args)
  local classify = s:load_function("classify.lua", {}, "classify")
  local out = {}
  for i, p in ipairs(args.pairs) do out[i] = class(s:call(classify, p[1], p[2])) end
  return { said = out }
end

-- classify.lua's virtualizable(instructions): yes or no, and the names that stand in the way.
function scenes.theorem(s, args)
  local virtualizable = s:load_function("classify.lua", {}, "virtualizable")
  local out = {}
  for i, set in ipairs(args.sets) do
    local yes, names = s:call(virtualizable, set)
    out[i] = ("%s, %s"):format(field(yes), type(names) == "table" and "{" .. table.concat(names, " ") .. "}" or field(names))
  end
  return { said = out }
end

-- What the predictions ask for.
function scenes.facts()
  local deprivileged, umip, bare = measure("deprivileged"), measure("umip"), measure("vtx-ept")
  local newly, leaks = 0, 0
  for name, row in pairs(umip) do
    if row.trapped and not deprivileged[name].trapped then newly = newly + 1 end
    if outcome(bare[name], deprivileged[name]) == "leaks" then leaks = leaks + 1 end
  end
  local vm = machine("deprivileged")
  vm:step_exit()
  return { newly = newly, leaks = leaks, reason = vm.exit.code, cli = tonumber(deprivileged.CLI.kernel, 16),
    cs = tonumber(deprivileged.MOV_SREG.kernel, 16) }
end

return scenes
