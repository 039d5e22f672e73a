-- What is run on the machine of starter/machine.lua, with the guests of starter/programs.lua: the lab's own copies.
local machine, programs_of = include("starter/machine"), include("starter/programs")
local new, assemble, boot, PRIVILEGED = machine.new, machine.assemble, machine.boot, machine.privileged
local program, programs = programs_of.program, programs_of.kinds

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
  local random = vmscope.random(args.seed)
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
