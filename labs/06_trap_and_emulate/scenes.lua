-- The machine of starter/machine.lua, word for word (tests/e2e/labs_copies.sh compares them), and what is run on it.
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

-- No file of this lab needs vmscope's functions.
local function given(s, file, name) return s:load_function(file, {}, name) end

-- A virtual machine that the submission makes.
local function virtual(s, make, ...)
  local vm = s:call(make, ...)
  s:call(function()
    if type(vm) ~= "table" then error("vmm.lua: the function has to return a virtual machine", 0) end
    for _, name in ipairs{ "read", "write", "run", "deliver" } do
      if type(vm[name]) ~= "function" then error("vmm.lua: the virtual machine has no method " .. name, 0) end
    end
  end)
  return vm
end

-- Random numbers from a seed: the same for everybody.
local function random_from(seed)
  local x = seed * 2654435761 + 12345
  return function(lo, hi)
    x = x * 6364136223846793005 + 1442695040888963407
    return lo + (x >> 33) % (hi - lo + 1)
  end
end

local HANDLER = [[
        .word 0, 0, 0, 0, 0, 0, 0, handler, 0, 256
        .at 100
handler:LDI r7, 0
        LD r6, r7, 90           # how many traps: after 60 it is enough
        LDI r5, 1
        ADD r6, r5
        ST r6, r7, 90
        LDI r5, 60
        SUB r5, r6
        JZ r5, end
        LD r6, r7, 4            # cause and information go out
        OUT r6
        LD r5, r7, 5
        OUT r5
        LDI r5, 4
        SUB r5, r6
        JZ r5, called
        LD r5, r7, 1            # behind the instruction that trapped
        LDI r6, 1
        ADD r5, r6
        ST r5, r7, 1
        LPSW r7
called: LD r5, r7, 5            # SVC 99 ends
        LDI r6, 99
        SUB r5, r6
        JZ r5, end
        LPSW r7
end:    HALT
]]

local INNOCUOUS = { "LDI", "MOV", "ADD", "SUB", "LD", "ST", "JZ", "SVC" }
local SENSITIVE = { "GETR", "GETM", "OUT", "IN", "SETR", "LPSW", "ILLEGAL" }

-- n random instructions from address at on. share: how many in a hundred are sensitive, or no instruction at all.
local function random_code(random, words, at, n, share)
  for i = at, at + n - 1 do
    local list = random(1, 100) <= share and SENSITIVE or INNOCUOUS
    local name = list[random(1, #list)]
    local a, b, imm = random(0, 7), random(0, 7), random(0, 255)
    if name == "JZ" then imm = random(i + 1, at + n) end
    if name == "LDI" and random(1, 6) == 1 then imm = random(0, 0xffff) end
    if name == "SETR" and random(1, 3) > 1 then name = "GETR" end
    local op = OPS[name] or random(16, 255)
    words[i] = op << 24 | a << 20 | b << 16 | imm
  end
end

-- Programs by kind; 256 words each.
local programs = {}

-- Straight in supervisor mode.
function programs.supervisor(random)
  local words = assemble(HANDLER)
  random_code(random, words, 16, 60, 30)
  words[76] = OPS.SVC << 24 | 99
  return words
end

-- A system that starts a program in user mode, with a relocation-bounds register of its own.
function programs.user(random)
  local l, b = random(130, 160), random(60, 90)
  local words = assemble(HANDLER .. ([[
        .at 16
        LDI r1, %d
        LDI r2, %d
        LDI r7, 40
        LPSW r7
        .at 40
        .word 1, 0, %d, %d
  ]]):format(random(0, 0xffff), random(0, 0xffff), l, b))
  random_code(random, words, l, 40, 25)
  for i = l, l + 40 do -- jumps go by addresses of the program
    if words[i] and words[i] >> 24 == OPS.JZ then words[i] = words[i] - l end
  end
  words[l + 40] = OPS.SVC << 24 | 99
  return words
end

-- SETR and GETR with each pair of registers.
function programs.pairs(random)
  local text = {}
  for a = 0, 7 do
    local b, c = (a + 1) % 8, (a + 2) % 8
    text[#text + 1] = ("LDI r%d, 0\nLDI r%d, %d\nSETR r%d\nGETR r%d\nOUT r%d\nOUT r%d\nOUT r%d"):format(a, b,
      random(200, 256), a, b, a, b, c)
  end
  return assemble(HANDLER:gsub("%.at 100", ".at 120") .. ".at 16\n" .. table.concat(text, "\n") .. "\nHALT")
end

-- Much work, two words out.
function programs.compute(random)
  return assemble(([[
        .at 16
        LDI r0, %d
        LDI r1, 1
        LDI r2, %d
loop:   ADD r2, r0
        ST r2, r0, 40
        LD r3, r0, 40
        SUB r0, r1
        JZ r0, done
        JMP loop
done:   OUT r2
        OUT r3
        HALT
  ]]):format(random(150, 200), random(0, 0xffff)))
end

-- Ways out of its memory. Each makes a trap or an ordinary access, on a machine of 256 words.
local ESCAPES = {
  wide = [[
        .at 16
        LDI r1, 0
        LDI r2, 65535
        SETR r1                 # R = (0, 65535)
        ST r2, r2, %d           # far outside, whatever is there
        HALT
  ]],
  next_word = [[
        .at 16
        LDI r1, 0
        LDI r2, 300
        SETR r1
        LDI r3, 7
        ST r3, r1, 255          # the last word that it has
        ST r3, r1, 256          # the first that it has not
        HALT
  ]],
  shifted = [[
        .at 16
        LDI r1, 200
        LDI r2, 100
        SETR r1                 # R = (200, 100): half of it is not there
        HALT
        .at 216
        HALT
        .at 218
        LDI r4, %d
        ST r4, r3, 50
        ST r4, r3, 56
        HALT
  ]],
  beyond = [[
        .at 16
        LDI r7, 40
        LPSW r7                 # R = (256, 1), P = 0: the first word behind its memory
        .at 40
        .word 0, 0, 256, 1
  ]],
  far_beyond = [[
        .at 16
        LDI r7, 40
        LPSW r7
        .at 40
        .word 0, 0, 5000, 8
  ]],
  nothing = ".at 16\nHALT",
  user_handler = [[
        .at 6
        .word 3, 121, 1, 199     # new state at a trap: user mode (the lowest bit), P = 121
        .at 16
        SVC 1
        HALT
        .at 122
        LDI r3, %d
        SVC 2
        LPSW r4
        HALT
  ]],
  odd_mode = [[
        .at 6
        .word 2, 121, 0, 199     # supervisor: the lowest bit is 0
        .at 16
        SVC 1
        .at 121
        OUT r7
        HALT
  ]],
  last_psw = [[
        .at 16
        LDI r1, 0
        LDI r2, 60
        SETR r1
        LDI r7, 56              # the last four words inside its bounds
        LPSW r7
        .at 50
        OUT r7
        LDI r7, 57
        LPSW r7                 # one of them is outside
        HALT
        .at 56
        .word 0, 50, 0, 60
  ]],
}

-- The words of a program. n: what its kind draws from, or the number in a way out.
local function program(kind, n)
  if programs[kind] then return programs[kind](random_from(n)) end
  local text = ESCAPES[kind] or error("there is no guest " .. tostring(kind))
  return assemble(HANDLER .. (text:find("%%d") and text:format(n) or text))
end

local function memory_of(m, size)
  local list = {}
  for i = 0, size - 1 do list[i + 1] = m:read(i) end
  return list
end

local function state_of(m)
  local regs = {}
  for i = 0, 7 do regs[i + 1] = tostring(m.r[i]) end
  return ("M=%s P=%s R=(%s, %s) r0..r7 = %s"):format(m.m, m.p, m.l, m.b, table.concat(regs, " "))
end

local function first_difference(a, b)
  for i, w in ipairs(a) do
    if w ~= b[i] then return ("word %d: %d on the machine, %s in the VMM"):format(i - 1, w, tostring(b[i])) end
  end
  return "none"
end

local INPUT = { 11, 22, 33, 44 }

-- How many innocuous instructions the bare machine executed, and how many of these the real machine did: the same
-- word at the guest's address (the guest begins at word first), at most as often. What else the real machine executed
-- does not count.
local function ran_directly(bare, real, first)
  local innocuous, direct = 0, 0
  for key, n in pairs(bare.executed) do
    if not PRIVILEGED[key >> 24 & 0xff] then
      innocuous = innocuous + n
      direct = direct + math.min(n, real.executed[key + (first << 32)] or 0)
    end
  end
  return innocuous, direct
end

-- The program on a bare machine and in depth virtual machines, one inside the other, of the submission.
local function both(s, words, o)
  local size, depth = 256, o.depth or 1
  local bare, bare_stat = new(size, o.leak, { table.unpack(INPUT) })
  local how, used = boot(bare, words, o.budget or 4000)
  local real_size = size + 64 * depth + 100
  local real, stat = new(real_size, o.leak, { table.unpack(INPUT) })
  local read, outputs = real.read, real.outputs -- the machine is in the submission's hands from here on
  for i = 0, real_size - 1 do real:write(i, 0xdead0000 + i) end
  local make = given(s, "vmm.lua")
  local vm, first = real, 0
  for d = depth, 1, -1 do
    local base = 10 + 7 * d
    vm, first = virtual(s, make, vm, base, size + 64 * (d - 1)), first + base
  end
  for i = 0, size - 1 do s:call(vm.write, vm, i, 0) end
  local vhow, vused = s:call(boot, vm, words, o.budget or 4000)
  local outside = "none"
  for i = 0, real_size - 1 do
    if (i < first or i >= first + size) and read(real, i) ~= 0xdead0000 + i then
      outside = ("word %d of the machine has changed, which is not the guest's"):format(i)
      break
    end
  end
  local innocuous, direct = ran_directly(bare_stat, stat, first)
  local memory = first_difference(memory_of(bare, size), s:call(memory_of, vm, size))
  local words_below = {}
  for i = 0, size - 1 do words_below[i + 1] = read(real, first + i) end
  if memory == "none" then memory = first_difference(memory_of(bare, size), words_below) end
  return {
    bare = { how = how, used = used, state = state_of(bare), output = bare:outputs(),
      traps = bare_stat.traps },
    vm = { how = tostring(vhow), used = tostring(vused), state = s:call(state_of, vm), output = outputs(real) },
    memory = memory,
    outside = outside,
    innocuous = innocuous, direct = direct, runs = stat.runs, traps = stat.traps, supervisor = stat.supervisor,
  }
end

local scenes = {}

-- args: kind, seed, depth, leak
function scenes.equivalence(s, args)
  return both(s, program(args.kind, args.seed), args)
end

-- args: way, x
function scenes.escape(s, args)
  return both(s, program(args.way, args.x), {})
end

-- A guest that never ends, of one instruction and a jump. args: op, budget
function scenes.endless(s, args)
  local words = assemble(".at 16\nagain: " .. args.op .. " r1\nJMP again")
  return both(s, words, { budget = args.budget })
end

-- Which words of a virtual machine of args.size words can be read and written through it.
function scenes.words(s, args)
  local real = new(args.size + 200)
  local read = real.read
  for i = 0, real.size - 1 do real:write(i, 5000 + i) end
  local vm = virtual(s, given(s, "vmm.lua"), real, args.base, args.size)
  local result = { fresh = s:call(state_of, vm), last = tostring(s:call(vm.read, vm, args.size - 1)) }
  s:call(vm.write, vm, 0, 77)
  result.first = read(real, args.base)
  result.below, result.above = not pcall(vm.read, vm, -1), not pcall(vm.write, vm, args.size, 1)
  result.intact = read(real, args.base + args.size) == 5000 + args.base + args.size
  return result
end

-- Two guests on one machine, in turn, a few instructions each. args: seed, slice
function scenes.two(s, args)
  local random = random_from(args.seed)
  local words = { nil, programs.compute(random) }
  repeat words[1] = programs.supervisor(random) until boot(new(256), words[1], 3000) == "halt"
  local real = new(700)
  local make = given(s, "vmm.lua")
  local result = {}
  local guests = {}
  for i = 1, 2 do
    local bare = new(256)
    boot(bare, words[i], 3000)
    guests[i] = { bare = bare, vm = virtual(s, make, real, 300 * (i - 1) + 50, 256) }
    for j, w in pairs(words[i]) do s:call(guests[i].vm.write, guests[i].vm, j, w) end
  end
  for _ = 1, 3000 // args.slice + 3000 do
    local busy = false
    for _, g in ipairs(guests) do
      if not g.done then
        local how = s:call(boot, g.vm, nil, args.slice)
        g.done, busy = how == "halt", true
      end
    end
    if not busy then break end
  end
  for i, g in ipairs(guests) do
    result[i] = { bare = state_of(g.bare), vm = s:call(state_of, g.vm),
      memory = first_difference(memory_of(g.bare, 256), s:call(memory_of, g.vm, 256)) }
  end
  return result
end

-- args: leak. What the submission found, and what its program does with and without the leak.
function scenes.counterexample(s, args)
  local f = given(s, "theorem.lua")
  local answer = s:call(f, function() return (new(64, args.leak)) end, assemble)
  if type(answer) ~= "table" then return {} end
  local words = {}
  if type(answer.program) == "table" then
    for i, w in pairs(answer.program) do
      if math.type(i) == "integer" and math.type(w) == "integer" and i >= 0 and i < 64 then words[i] = w end
    end
  end
  local function difference(r)
    for _, what in ipairs{ "how", "output", "state" } do
      local a, b = r.bare[what], r.vm[what]
      if a ~= b then return ("%s on the machine, %s in the VMM"):format(a ~= "" and a or "no output", b) end
    end
    if r.memory ~= "none" then return r.memory end
  end
  local leaky, sound = both(s, words, { leak = args.leak }), both(s, words, {})
  return { op = tostring(answer.op), kind = tostring(answer.kind), ends = leaky.bare.how,
    difference = difference(leaky), difference_sound = difference(sound) }
end

-- The guest of README.md and try.lua. args: depth
function scenes.census(s, args)
  return both(s, assemble[[
        .word 0, 0, 0, 0, 0, 0
        .word 0, handler, 0, 256
        .at 16
        LDI r0, 10
        LDI r7, 40
        LPSW r7
        .at 40
        .word 1, 0, 128, 64
        .at 50
handler:LDI r7, 0
        LD r6, r7, 5
        JZ r6, end
        OUT r0
        LPSW r7
end:    HALT
        .at 128
        LDI r1, 1
        SVC 1
        SUB r0, r1
        JZ r0, 5
        JMP 1
        SVC 0
  ]], args)
end

return scenes
