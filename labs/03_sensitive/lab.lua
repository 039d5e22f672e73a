-- Lab 03: the truth about the table is measured by running the guest; classes that are written down here are those of the
-- manual for the states in which the instruction runs.
local NAMES = { "SGDT", "SIDT", "SLDT", "SMSW", "STR", "PUSHF", "POPF", "LAR", "VERR", "PUSH_SREG", "MOV_SREG", "JMP_FAR",
  "CALL_FAR", "INT_N", "LOAD_POINTER", "CPUID", "CLI", "LGDT", "MOV_TO_CR0", "MOV_FROM_CR0", "RDMSR", "IN", "HLT", "INVLPG" }

-- Privileged by the manual: #GP outside CPL 0, or for IN above IOPL, whatever the operands [SDM 2A "CLI - Clear Interrupt
-- Flag" and the pages of the others]. LOAD_POINTER faults for a program because of its operand.
local PRIVILEGED = { CLI = true, LGDT = true, MOV_TO_CR0 = true, MOV_FROM_CR0 = true, RDMSR = true, IN = true, HLT = true,
  INVLPG = true }

-- What a function gave; nil when that was nothing.
local function given(text)
  return text ~= "nil" and text or nil
end

-- The columns of a row that are wrong, by name: the answer is not given away.
local function wrong(said, is)
  local right, out = {}, {}
  for key, value in is:gmatch("(%w+)=(%w+)") do right[key] = value end
  for key, value in said:gmatch("(%w+)=([^ ]+)") do
    if right[key] ~= value then out[#out + 1] = key .. " " .. value end
  end
  return "wrong: " .. table.concat(out, ", ")
end

-- Two sets of names: of a list that is long, what differs.
local function list_equal(t, what, said, is)
  local mine, theirs, lacks, extra = {}, {}, {}, {}
  for _, name in ipairs(said) do mine[name] = true end
  for _, name in ipairs(is) do
    theirs[name] = true
    if not mine[name] then lacks[#lacks + 1] = name end
  end
  for _, name in ipairs(said) do
    if not theirs[name] then extra[#extra + 1] = name end
  end
  local right, out = ("the %d that trapped"):format(#is), {}
  if #lacks > 0 then out[#out + 1] = "lacks " .. table.concat(lacks, " ") end
  if #extra > 0 then out[#out + 1] = "has too many: " .. table.concat(extra, " ") end
  t:equal(what, #out == 0 and right or #said == 0 and "none" or table.concat(out, "; "), right)
end

-- One line for a run: the first row that is wrong, or how many rows there are.
local function parse(t, profile)
  local r = t:run("parse", { profile = profile })
  for i, name in ipairs(r.names) do
    if r.said[i] ~= r.is[i] then
      t:equal(("parse, profile %s: %s"):format(profile, name), r.said[i], r.is[i])
      return
    end
  end
  t:equal(("parse, profile %s: number of rows"):format(profile), r.n, #r.names)
end

local function traps(t, profile)
  local r = t:run("traps", { profile = profile })
  list_equal(t, "traps, profile " .. profile, r.said, r.is)
end

-- The questions have different answers: who gives the same to all has looked at none.
local function alike(t, what, said)
  for i = 2, #said do
    if said[i] ~= said[1] then return false end
  end
  if given(said[1]) then t:say(what .. " always says the same: nothing of it counts") end
  return true
end

local function outcome(t, list)
  local r = t:run("outcome", { questions = list })
  local nothing = alike(t, "outcome", r.said)
  for i, q in ipairs(list) do
    t:equal(('outcome("%s", "%s", %s)'):format(q[1], q[2], q[3]), not nothing and given(r.said[i]) or nil, q[4])
  end
end

local function class(privileged, control, behaviour)
  return ("privileged=%s control=%s behaviour=%s"):format(privileged, control, behaviour)
end

-- EAX, ECX, EDX, EBX, ESI, EDI, EBP; ECX is a selector of data for CPL 0, EBX, ESI, EDI point into the scratch memory.
local REGS = { 0x13, 0x10, 0x3ff, 0xa000, 0xa004, 0xa008, 0x12345678 }
local VISIBLE = {
  { "nop", "\x90", class(false, false, false) },
  { "mov %ebp, %edx", "\x89\xea", class(false, false, false) },
  { "sti", "\xfb", class(true, true, false) },
  { "push $0x202; popf", "\x68\x02\x02\x00\x00\x9d", class(false, true, true) },
  { "mov %cs, %eax", "\x8c\xc8", class(false, false, true) },
  { "push %cs", "\x0e", class(false, false, true) },
  { "lar %ecx, %eax", "\x0f\x02\xc1", class(false, false, true) },
  { "verr %cx", "\x0f\x00\xe1", class(false, false, true) },
  { "mov %cr0, %eax", "\x0f\x20\xc0", class(true, false, false) },
  { "mov %eax, %cr0", "\x0f\x22\xc0", class(true, true, false) },
  { "lgdt (%ebx)", "\x0f\x01\x13", class(true, true, false) },
  { "ud2", "\x0f\x0b", class(false, false, false) },
}

-- What the hidden task chooses from: with other registers, the class of some of them is another.
local POOL = {
  "\x90", "\x01\xe8", "\x31\xd0", "\xf7\xd2", "\x0f\xc8", "\x50", "\x58", "\x8b\x03", "\x89\x03", "\x8d\x4b\x07", "\xf9", "\xfd",
  "\x9c", "\x9c\x58", "\x68\x02\x02\x00\x00\x9d", "\x68\x02\x30\x00\x00\x9d", "\x68\xd7\x08\x00\x00\x9d", "\xfa", "\xfb", "\x0f\x06",
  "\x8c\xc8", "\x8c\xd0", "\x8c\xd8", "\x0e", "\x16", "\x8e\xc1", "\x8e\xe1", "\x0f\x02\xc1", "\x0f\x03\xc1", "\x0f\x00\xe1",
  "\x0f\x00\xe9", "\x0f\x01\xe0", "\x0f\x01\x03", "\x0f\x01\x0b", "\x0f\x00\xc8", "\x0f\x00\xc0", "\x0f\x01\x13", "\x0f\x01\x1b",
  "\x0f\x00\xd9", "\x0f\x20\xc0", "\x0f\x20\xd8", "\x0f\x22\xd8", "\x0f\x01\xf0", "\xe4\x80", "\xe6\x80", "\xec", "\x0f\x09",
  "\x0f\x01\x3b", "\x0f\x0b", "\xf1", "\x0f\x31", "\x31\xc0\xf7\xf0",
}
local SELECTORS = { 0, 0x08, 0x10, 0x18, 0x1b, 0x20, 0x23, 0x28, 0x30 }

local function pick(t, list) return list[t:random(1, #list)] end

local function bytes(t, n)
  local out = {}
  for i = 1, n do out[i] = string.char(t:random(0, 255)) end
  return table.concat(out)
end

-- Observations that are made up: one state, with a change here and there, or a trap.
local FIELDS = { "if_", "iopl", "cr0", "cr3", "cr4", "ldtr", "tr", "eax", "ebx", "ecx", "edx", "esi", "edi", "ebp", "esp", "flags",
  "cpl", "gdtr", "idtr", "mem" }
local function made_up(t)
  local function state(cpl, change)
    local s = { cpl = cpl, if_ = 0, iopl = 0, cr0 = 0x11, cr3 = 0, cr4 = 0, gdtr = "7d00:3f", idtr = "7e00:ff", ldtr = 0, tr = 0x28,
      eax = 1, ebx = 2, ecx = 3, edx = 4, esi = 5, edi = 6, ebp = 7, esp = 0xa010, flags = 0, mem = "00" }
    if change == "cpl" then
      s.cpl = 3 - cpl
    elseif change then
      s[change] = type(s[change]) == "string" and s[change] .. "0" or s[change] + 1
    end
    return s
  end
  local change = pick(t, FIELDS)
  local both = t:random(1, 3) == 1
  local function seen(cpl, changed)
    local o = { before = state(cpl), after = state(cpl, changed and change or nil) }
    if t:random(1, 4) == 1 then o.after, o.vector = nil, t:random(0, 14) end
    return o
  end
  return { seen(0, true), seen(3, both) }
end

local function theorem(t, what, sets)
  local r = t:run("theorem", { sets = sets })
  for i, set in ipairs(sets) do
    local names = {}
    for _, insn in ipairs(set) do
      if (insn.control or insn.behaviour) and not insn.privileged then names[#names + 1] = insn.name end
    end
    table.sort(names)
    local expected = ("%s, {%s}"):format(#names == 0, table.concat(names, " "))
    if r.said[i] ~= expected or i == #sets then
      t:equal(what, r.said[i], expected)
      return
    end
  end
end

local function insn(name, privileged, control, behaviour)
  return { name = name, privileged = privileged, control = control, behaviour = behaviour }
end

local function same(t, what, scene, args)
  local said, is = t:run(scene, args).said, t:reference(scene, args).said
  for i = 1, #is do
    if said[i] ~= is[i] or i == #is then
      t:equal(what, said[i], is[i])
      return
    end
  end
end

return {
  id = "03_sensitive",
  title = "Sensitive instructions and the theorem",
  minutes = { 90, 180 },
  files = { "table.lua", "probe.lua", "classify.lua" },
  predictions = {
    { id = "reason", ask = "Under deprivileged all exits have one reason. Its number?", points = 4,
      answer = function(t) return t:run("facts").reason end },
    { id = "cs", ask = "There the guest's kernel stores CS (it has loaded 8). Which value does it see?", points = 4,
      answer = function(t) return t:run("facts").cs end },
    { id = "cli", ask = "There it executes CLI, then PUSHF. Bit 9 (IF) of what it sees?", points = 4,
      answer = function(t) return t:run("facts").cli end },
    { id = "leaks", ask = "How many rows of guest sensitive leak under deprivileged?", points = 4, within = 2,
      answer = function(t) return t:run("facts").leaks end },
    { id = "newly", ask = "And how many rows trap under umip that did not under deprivileged?", points = 4,
      answer = function(t) return t:run("facts").newly end },
  },
  tasks = {
    { id = "parse", title = "What the guest says", points = 10,
      check = function(t)
        parse(t, "vtx-ept")
        parse(t, "deprivileged")
      end },
    { id = "traps", title = "What trapped", points = 15, after = { "parse" },
      check = function(t)
        traps(t, "deprivileged")
        traps(t, "umip")
      end },
    { id = "outcome", title = "Traps, leaks, or neither", points = 5,
      check = function(t)
        outcome(t, { { "00000001", "00000001", true, "traps" }, { "00000001", "00000000", true, "traps" },
          { "00000008", "0000000b", false, "leaks" }, { "ran", "ran", false, "same" } })
      end },
    { id = "table", title = "The table", points = 25,
      check = function(t)
        local said, is = t:run("table", { names = NAMES }).rows, t:run("truth", { names = NAMES }).rows
        for i, name in ipairs(NAMES) do
          local row = select(2, said[i]:gsub("=nil", "")) < 5 and said[i] or nil
          local right = ("%s privileged=%s"):format(is[i], PRIVILEGED[name] or false)
          t:equal(name, row and (row == right and "right" or wrong(row, right)), "right")
        end
      end },
    { id = "classify", title = "One instruction, two states", points = 15,
      check = function(t)
        local insns = {}
        for i, v in ipairs(VISIBLE) do insns[i] = { code = v[2] } end
        local r = t:run("classify", { insns = insns, regs = REGS, scratch = ("\x40"):rep(16) })
        local plain, sensitive = 0, 0
        local nothing = alike(t, "classify", r.said)
        for i, v in ipairs(VISIBLE) do
          if v[3] == class(false, false, false) then
            plain = plain + (r.said[i] == v[3] and 1 or 0)
          else
            sensitive = sensitive + (r.said[i] == v[3] and not nothing and 1 or 0)
            t:equal(v[1], not nothing and given(r.said[i]) or nil, v[3])
          end
        end
        t:equal("innocuous ones (nop, mov, ud2), once another is right", sensitive > 0 and plain or 0, 3)
      end },
    { id = "theorem", title = "The theorem", points = 10,
      check = function(t)
        theorem(t, "a machine of the textbook", { { insn("LGDT", true, true, false), insn("ADD", false, false, false) } })
        theorem(t, "x86", { { insn("SMSW", false, false, true), insn("LGDT", true, true, false), insn("POPF", false, true, true),
          insn("LAR", false, false, true) } })
        theorem(t, "privileged and not sensitive", { { insn("A", true, false, false), insn("B", false, true, false) } })
      end },
    { id = "unseen", title = "Other profiles, instructions and machines", points = 20, hidden = true, after = { "parse" },
      check = function(t)
        parse(t, "umip")
        traps(t, "vtx-ept")
        traps(t, "all")
        t:weight(2)
        local regs = { t:random(0, 0xffff), pick(t, SELECTORS), t:random(0, 0xffff), 0xa000, 0xa004, 0xa008, t:random(0, 0xffffffff) }
        local insns = {}
        for i = 1, 30 do
          insns[i] = { code = pick(t, POOL), regs = { regs[1], pick(t, SELECTORS), regs[3], regs[4], regs[5], regs[6], regs[7] } }
        end
        same(t, "classify: instructions", "classify", { insns = insns, regs = regs, scratch = bytes(t, 16) })
        local list = {}
        for i = 1, 100 do list[i] = made_up(t) end
        t:weight(2)
        same(t, "classify: observations", "pairs", { pairs = list })
        local sets = {}
        for i = 1, 20 do
          sets[i] = {}
          for k = 1, t:random(1, 5) do
            local function flag() return t:random(0, 1) == 1 end
            sets[i][k] = insn(string.char(t:random(65, 90)) .. k, t:random(1, 4) > 1, flag(), flag())
          end
        end
        theorem(t, "machines", sets)
        local seen = ("%08x"):format(t:random(0, 1000))
        t:weight(0.5) -- it is the least of what is asked here
        outcome(t, { { seen, seen, false, "same" }, { seen, "ran", false, "leaks" }, { "#13", seen, true, "traps" } })
      end },
  },
}
