-- The machine of lab 06: a processor, memory, a stream of words in and one out. This is the hardware: it is not handed
-- in, and the grader has its own copy. What it does is told in README.md.
local NAMES = { [0] = "HALT", "LDI", "MOV", "ADD", "SUB", "LD", "ST", "JMP", "JZ", "SVC", "GETR", "SETR", "GETM",
  "LPSW", "OUT", "IN" }
local OPS, PRIVILEGED = {}, {}
for op = 0, 15 do OPS[NAMES[op]] = op end
for _, name in ipairs{ "HALT", "GETR", "SETR", "GETM", "LPSW", "OUT", "IN" } do PRIVILEGED[OPS[name]] = true end
local CAUSES = { memory = 1, privileged = 2, illegal = 3, svc = 4 }
local M32 = 0xffffffff

-- Words of a program: lines "label: OP rA, rB, number", ".word n, n ...", ".at address"; "#" begins a comment. A
-- number may be a label. Gives a table of words by address.
local function assemble(text)
  local words, labels, lines, at = {}, {}, {}, 0
  for line in (text .. "\n"):gmatch("(.-)\n") do
    line = line:gsub("#.*", "")
    local label, rest = line:match("^%s*(%w+):(.*)")
    if label then labels[label], line = at, rest end
    local op, args = line:match("^%s*([%.%w]+)%s*(.-)%s*$")
    if op == ".at" then
      at = math.tointeger(tonumber(args)) or error(".at wants a number: " .. line)
    elseif op then
      local list = {}
      for a in args:gmatch("[^,%s]+") do list[#list + 1] = a end
      lines[#lines + 1] = { at = at, op = op, args = list }
      at = at + (op == ".word" and #list or 1)
    end
  end
  local function number(s)
    return labels[s] or math.tointeger(tonumber(s)) or error("neither a number nor a label: " .. s)
  end
  for _, l in ipairs(lines) do
    if l.op == ".word" then
      for i, s in ipairs(l.args) do words[l.at + i - 1] = number(s) & M32 end
    else
      local op = OPS[l.op] or error("no such instruction: " .. l.op)
      local regs, imm = {}, 0
      for _, s in ipairs(l.args) do
        local r = s:match("^r([0-7])$")
        if r then regs[#regs + 1] = tonumber(r) else imm = number(s) end
      end
      words[l.at] = op << 24 | (regs[1] or 0) << 20 | (regs[2] or 0) << 16 | imm & 0xffff
    end
  end
  return words
end

-- A machine with size words of memory. leak: the name of an instruction that does not trap in user mode (task
-- "counterexample"). Gives the machine, and counters that the machine itself does not need.
local function new(size, leak, input)
  local mem, out, stat = {}, {}, { direct = 0, runs = 0, traps = 0, supervisor = 0, executed = {} }
  local fetched -- address << 32 | word: the instruction that step was at
  for i = 0, size - 1 do mem[i] = 0 end
  local hw = { size = size, m = 0, p = 16, l = 0, b = size, r = {} }
  for i = 0, 7 do hw.r[i] = 0 end
  setmetatable(hw, { __metatable = "the machine's own" }) -- its fields are what they are

  local function place(i)
    if math.type(i) ~= "integer" or i < 0 or i >= size then error("the machine has no word " .. tostring(i), 3) end
    return i
  end
  function hw:read(i) return mem[place(i)] end
  function hw:write(i, v) mem[place(i)] = v & M32 end
  function hw:output(v) out[#out + 1] = v & M32 end
  function hw:input() return table.remove(input or {}, 1) or 0 end
  function hw:outputs() return table.concat(out, " ") end

  -- Address a of the program, through the relocation-bounds register: a word of memory, or nil.
  local function relocate(a)
    if a < hw.b and hw.l + a < size then return hw.l + a end
  end

  -- One instruction. Gives nil, "halt", or "trap", cause, information.
  local function step()
    local r, at = hw.r, relocate(hw.p)
    if not at then return "trap", "memory", hw.p end
    local w = mem[at]
    fetched = at << 32 | w
    local op, a, b, imm = w >> 24, w >> 20 & 7, w >> 16 & 7, w & 0xffff
    local name, nextp = NAMES[op], hw.p + 1
    if not name then return "trap", "illegal", w end
    local user = hw.m == 1
    if user and PRIVILEGED[op] and name ~= leak then return "trap", "privileged", w end
    if name == "HALT" then return "halt"
    elseif name == "LDI" then r[a] = imm
    elseif name == "MOV" then r[a] = r[b]
    elseif name == "ADD" then r[a] = r[a] + r[b] & M32
    elseif name == "SUB" then r[a] = r[a] - r[b] & M32
    elseif name == "LD" or name == "ST" then
      local address = r[b] + imm & M32
      local word = relocate(address)
      if not word then return "trap", "memory", address end
      if name == "LD" then r[a] = mem[word] else mem[word] = r[a] end
    elseif name == "JMP" then nextp = imm
    elseif name == "JZ" then nextp = r[a] == 0 and imm or nextp
    elseif name == "SVC" then
      hw.p = nextp
      return "trap", "svc", imm
    elseif name == "GETR" then r[a], r[a + 1 & 7] = hw.l, hw.b
    elseif name == "SETR" then
      if not user then hw.l, hw.b = r[a], r[a + 1 & 7] end
    elseif name == "GETM" then r[a] = hw.m
    elseif name == "LPSW" then
      local psw = {}
      for i = 0, 3 do
        local word = relocate(r[a] + i & M32)
        if not word then return "trap", "memory", r[a] + i & M32 end
        psw[i] = mem[word]
      end
      nextp = psw[1]
      if not user then hw.m, hw.l, hw.b = psw[0] & 1, psw[2], psw[3] end
    elseif name == "OUT" then hw:output(r[a])
    elseif name == "IN" then r[a] = hw:input()
    end
    hw.p = nextp
  end

  -- Hardware has numbers in its registers.
  local function need(name, v)
    if type(v) ~= "number" then error(("the machine's %s is %s: it has to be a number"):format(name, type(v)), 4) end
  end
  local function check_registers()
    for _, name in ipairs{ "m", "p", "l", "b" } do need(name, hw[name]) end
    if type(hw.r) ~= "table" or getmetatable(hw.r) ~= nil then error("the machine's r is no plain table", 3) end
    for i = 0, 7 do need("r[" .. i .. "]", hw.r[i]) end
  end

  -- At most n instructions. Gives "limit", "halt" or "trap"; how many were executed; of a trap, cause and information.
  function hw:run(n)
    stat.runs = stat.runs + 1
    if stat.runs > 100000 then error("the machine was started 100,000 times: this goes on for ever", 2) end
    check_registers()
    if hw.m ~= 1 then stat.supervisor = stat.supervisor + 1 end
    local used = 0
    while used < n do
      local what, cause, info = step()
      if what ~= "trap" or cause == "svc" then
        used, stat.direct = used + 1, stat.direct + 1
        stat.executed[fetched] = (stat.executed[fetched] or 0) + 1
      end
      if what == "trap" then stat.traps = stat.traps + 1 end
      if what then return what, used, cause, info end
    end
    return "limit", used
  end

  -- What the machine does at a trap that nobody else takes: old state to words 0 to 5, new state from words 6 to 9.
  function hw:deliver(cause, info)
    mem[0], mem[1], mem[2], mem[3], mem[4], mem[5] = hw.m, hw.p, hw.l, hw.b, CAUSES[cause], info
    hw.m, hw.p, hw.l, hw.b = mem[6] & 1, mem[7], mem[8], mem[9]
  end
  return hw, stat
end

-- Starts a program on a machine, real or virtual, as its owner would: runs it, delivers its traps, for at most budget
-- instructions and traps.
local function boot(machine, words, budget)
  for i, w in pairs(words or {}) do machine:write(i, w) end
  local left = budget
  while left > 0 do
    local what, used, cause, info = machine:run(left)
    left = left - used
    if what ~= "trap" then return what, budget - left end
    machine:deliver(cause, info)
    left = left - 1
  end
  return "limit", budget
end

return { new = new, assemble = assemble, boot = boot, names = NAMES, causes = CAUSES, privileged = PRIVILEGED }
