-- vmscope lab run step.lua KIND NUMBER [DEPTH]: a guest that "lab check" names, on the bare machine and in your virtual
-- machine, instruction by instruction up to the first difference. Not handed in.
local machine, vmm, program = include("machine"), include("vmm"), include("programs").program

-- The bare machine, the real machine, and your virtual machine on it (depth of them, one in the other), as in a check.
local function machines(depth)
  local bare, stat = machine.new(256, nil, { 11, 22, 33, 44 })
  local real, real_stat = machine.new(356 + 64 * depth, nil, { 11, 22, 33, 44 })
  local vm = real
  for d = depth, 1, -1 do vm = vmm(vm, 10 + 7 * d, 192 + 64 * d) end
  return bare, real, vm, stat, real_stat
end

-- All that can differ, as texts; bare or real has the output.
local function picture(m, outputs, ...)
  local list = { "run: " .. table.concat({ ... }, " "), ("M=%s P=%s R=(%s, %s)"):format(m.m, m.p, m.l, m.b) }
  for i = 0, 7 do list[#list + 1] = ("r%d = %s"):format(i, m.r[i]) end
  list[#list + 1] = "last output: " .. (outputs:outputs():match("%S+$") or "none")
  for i = 0, 255 do list[#list + 1] = ("word %d = %s"):format(i, m:read(i)) end
  return list
end

local function differ(what, a, b)
  local found = false
  for i, line in ipairs(a) do
    if line ~= b[i] then
      if not found then print(what) end
      found = true
      print("", "on the machine: " .. line)
      print("", "in your VMM:    " .. b[i])
    end
  end
  return found
end

-- The instruction that m executes next.
local function instruction(m)
  if m.p >= m.b or m.l + m.p >= m.size then return "nothing: P is outside" end
  local w = m:read(m.l + m.p)
  return ("%s a=%d b=%d imm=%d"):format(machine.names[w >> 24] or "illegal", w >> 20 & 7, w >> 16 & 7, w & 0xffff)
end

local function step_by_step(kind, number, depth)
  local words = program(kind, number)
  local bare, real, vm = machines(depth)
  for i = 0, 255 do
    bare:write(i, words[i] or 0)
    vm:write(i, words[i] or 0)
  end
  for n = 1, 4000 do
    local at, next_one = bare.p, instruction(bare)
    local a, b = { bare:run(1) }, { vm:run(1) }
    local what = ("after step %d, P = %d: %s"):format(n, at, next_one)
    if differ(what, picture(bare, bare, table.unpack(a)), picture(vm, real, table.unpack(b))) then return end
    if a[1] == "halt" then break end
    if a[1] == "trap" then
      bare:deliver(a[3], a[4])
      vm:deliver(b[3], b[4])
    end
  end
  print("step by step: no difference")
  bare, real, vm = machines(depth)
  for i = 0, 255 do vm:write(i, 0) end
  local a, b = { machine.boot(bare, words, 4000) }, { machine.boot(vm, words, 4000) }
  if not differ("in one go, at the end:", picture(bare, bare, table.unpack(a)), picture(vm, real, table.unpack(b))) then
    print("in one go: no difference")
  end
end

if not arg[1] then return print('which guest? vmscope lab run step.lua KIND NUMBER [DEPTH], as "lab check" says') end
step_by_step(arg[1], math.tointeger(arg[2] or 1), math.tointeger(arg[3] or 1))
