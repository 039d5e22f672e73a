-- What lab 10 runs: the submission's hostile guests, and its version of the guest that exits too often.

local CHATTY = include("starter/chatty") -- before anybody has improved it

-- No file of this lab needs vmscope's functions.
local function given(s, file, name) return s:load_function(file, {}, name) end

local scenes = {}

-- args: way, x. What the guest tried, as the VMM saw it.
function scenes.attack(s, args)
  local x = args.x -- the submission gets a copy: what it was to attack is compared below
  local copy = { port = x.port, msr = x.msr, address = x.address, byte = x.byte }
  local way = s:call(given(s, "escape.lua", args.way), copy)
  if type(way) ~= "table" or type(way.text) ~= "string" then return {} end
  local image = s:call(vmscope.asm, way.text)
  local vm = s:call(vmscope.vm, { image = image, max_exits = 3000, max_insns = 40000000 })
  vm:run()
  local r = { vm = s:observe(vm), held_by = type(way.held_by) == "string" and way.held_by or nil, out = 0, inp = 0,
    wrmsr = 0, store = 0, patched = 0, dr7 = 0, db = 0 }
  for i = 1, #vm.trace do
    local e = vm.trace[i]
    if e.reason == "IO_INSTRUCTION" and e.port == x.port then
      if e.write then r.out = r.out + 1 else r.inp = r.inp + 1 end
      if e.write and e.value == x.byte then
        -- Was the instruction that did it there at the start?
        local at = e.rip - 0x7c00 + 1
        if image:sub(at, at) ~= string.char(vm.mem[e.rip]) then r.patched = r.patched + 1 end
      end
    elseif e.reason == "MSR_WRITE" and e.msr == x.msr then
      r.wrmsr = r.wrmsr + 1
    elseif e.reason == "EPT_VIOLATION" and e.gpa == x.address and e.write then
      r.store = r.store + 1
    elseif e.reason == "DR_ACCESS" and e.dr == 7 and e.write then
      r.dr7 = r.dr7 + 1
    elseif e.reason == "EXCEPTION_NMI" and e.intr_info & 0xff == 1 then
      r.db = r.db + 1
    end
  end
  return r
end

-- Runs a version of the guest with the input drawn from the seed.
local function talk(s, text, seed)
  local random = vmscope.random(seed)
  local bytes = {}
  for i = 1, random(1, 40) do bytes[i] = string.char(random(33, 126)) end
  local reads = 0
  local sensor = vmscope.device{ ports = 0x510, read = function()
    reads = reads + 1
    return random(0, 255)
  end }
  local lines, leaf = random(2, 12), random(0, 1) == 1 and random(0, 7) or 0x80000000 + random(0, 4)
  local vm = s:call(vmscope.vm, { image = s:call(vmscope.asm, text), devices = { sensor }, max_exits = 50000,
    max_insns = 20000000 })
  vm.mem:write(0x9000, table.concat(bytes) .. "\0")
  vm.mem:u16(0x9100, lines)
  vm.mem:u32(0x9104, leaf)
  vm:run()
  -- When lines begin, from the first one on: us off from a line a millisecond.
  local worst, first, begun, fresh = 0, nil, 0, true
  for _, e in ipairs(vm.trace:filter('exit_reason == "IO_INSTRUCTION"')) do
    if e.port == 0x3f8 and e.write then
      if fresh then
        first = first or e.time_ns
        worst = math.max(worst, math.abs(e.time_ns - first - begun * 1000000) // 1000)
        begun = begun + 1
      end
      fresh = e.value == 10
    end
  end
  return { vm = s:observe(vm), lines = lines, sum = vm.mem:u16(0xa000), counted = vm.mem:u16(0xa002), reads = reads,
    worst_us = worst, first_us = (first or 0) // 1000 }
end

-- args: seed
function scenes.before(s, args) return talk(s, CHATTY, args.seed) end
function scenes.after(s, args)
  local text = s:load("chatty.lua", {})
  s:call(function()
    if type(text) ~= "string" then error("chatty.lua has to return a text", 0) end
  end)
  return talk(s, text, args.seed)
end

return scenes
