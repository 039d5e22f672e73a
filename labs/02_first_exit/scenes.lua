-- Lab 02: what the functions of exit.lua say of values, of page tables and of runs.
local STEPS, LOG = 0x2000, 0x4000
local TABLES = 0x2000000 -- where the scenes put page tables of their own; RAM is 64 MiB

local function number(v)
  return math.type(v) == "integer" and ("%#x"):format(v) or v == nil and "nil" or tostring(v)
end

-- A table of the submission as text: the fields that were asked for.
local function fields(t, keys)
  if type(t) ~= "table" then return tostring(t) end
  local out = {}
  for i, key in ipairs(keys) do out[i] = key .. "=" .. number(t[key]) end
  return table.concat(out, " ")
end

-- exit.lua, without vmscope: it may look at the VMs that it is given, and make none to ask. What it has to find is read
-- from VMs that it never has.
local function submission(s, name)
  local f = s:load_function("exit.lua", {}, name)
  return function(...) return s:call(f, ...) end
end

-- hello, in long mode: at its first exit of a port.
local function hello()
  local vm = vmscope.vm{ guest = "hello", max_insns = 1000000 }
  vm:run{ until_ = "exit IO_INSTRUCTION" }
  return vm
end

-- Page tables for a list of {address, shift of the page, where it is, bits beside the address}.
local function build(vm, pages)
  local root, free = TABLES, TABLES + 0x1000
  for _, page in ipairs(pages) do
    local address, last, gpa, bits = page[1], page[2], page[3], page[4]
    local at = root
    for _, shift in ipairs{ 39, 30, 21, 12 } do
      local entry = at + 8 * (address >> shift & 0x1ff)
      if shift == last then
        vm.mem:u64(entry, gpa | bits | (shift > 12 and 0x80 or 0))
        break
      elseif vm.mem:u64(entry) & 1 == 0 then
        vm.mem:u64(entry, free | 7 | (bits & 0x7ff0000000000e60)) -- what the processor ignores, and NX not
        free = free + 0x1000
      end
      at = vm.mem:u64(entry) & 0xffffff000
    end
  end
  return root
end

local scenes = {}

-- exit.lua's args.what(qual), as text of the fields args.values[i][2].
function scenes.decode(s, args)
  local decode = submission(s, args.what)
  local out = {}
  for i, v in ipairs(args.values) do out[i] = fields(decode(v[1]), v[2]) end
  return { texts = out }
end

-- The first exits of a guest: what next_rip says, and where the guest went on.
function scenes.next(s, args)
  local function each(f)
    local vm, out = vmscope.vm{ guest = args.guest, append = args.append, max_insns = 1000000 }, {}
    while #out < args.n and vm:step_exit() == "done" do
      if vm.trace[#vm.trace].verdict == "next" then out[#out + 1] = f(vm) end
    end
    return out, vm
  end
  local exits = each(function(own) return { was = number(own.cpu[1].rip), reason = own.exit.reason } end)
  local next_rip = submission(s, "next_rip")
  local said, vm = each(function(theirs) return number(next_rip(theirs.exit)) end)
  for i, e in ipairs(exits) do e.said = said[i] or "nil" end
  return { exits = exits, vm = s:observe(vm) }
end

-- walk() beside the machine's own translation, through tables of the scene (args.pages) or hello's own.
function scenes.walk(s, args)
  local function machine()
    local vm = hello()
    local cpu = vm.cpu[1]
    if args.pages then
      cpu.efer = cpu.efer | 1 << 11 -- NXE: bit 63 of an entry means something
      cpu.cr3 = build(vm, args.pages) | 0x18
    end
    return vm
  end
  local own, out = machine(), {}
  for i, address in ipairs(args.addresses) do
    out[i] = { address = number(address), is = number((own:translate(address))) }
  end
  local walk, vm = submission(s, "walk"), machine()
  for i, address in ipairs(args.addresses) do
    out[i].said = number(walk(vm.mem, vm.cpu[1].cr3, address))
  end
  return { addresses = out }
end

-- follow(vm, reason), and what the machine's own records say.
function scenes.follow(s, args)
  local follow = submission(s, "follow")
  local function machine() return vmscope.vm{ guest = args.guest, append = args.append, max_insns = 1000000 } end
  local keys = { "rip", "bytes", "next_rip", "rip_after", "verdict" }
  local vm = machine()
  local said = fields(follow(vm, args.reason), keys)
  local own = machine()
  own:run{ until_ = "exit " .. args.reason }
  local exit, bytes = own.exit, {}
  for i = 1, exit.insn_len do bytes[i] = ("%02x"):format(own.mem[own:translate(exit.rip + i - 1)]) end
  return { said = said, is = fields({ rip = exit.rip, bytes = table.concat(bytes, " "), next_rip = exit.rip + exit.insn_len,
    rip_after = own.cpu[1].rip, verdict = own.trace[#own.trace].verdict }, keys), vm = s:observe(vm) }
end

-- An OUT whose bytes lie in two pages that are not neighbours in memory, at an address that hello does not use.
function scenes.crossing(s, args)
  local follow = submission(s, "follow")
  local function machine()
    local vm = hello()
    local code = args.code
    vm.mem:write(args.first + 0x1000 - args.before, code:sub(1, args.before))
    vm.mem:write(args.second, code:sub(args.before + 1) .. "\xf4")
    vm.cpu[1].cr3 = build(vm, { { args.address, 12, args.first, 7 }, { args.address + 0x1000, 12, args.second, 7 } })
    vm.cpu[1].rip = args.address + 0x1000 - args.before
    vm.cpu[1].rax, vm.cpu[1].rdx = 0, 0x80
    return vm
  end
  local own = machine()
  own:run{ until_ = "exit IO_INSTRUCTION" }
  local r = follow(machine(), "IO_INSTRUCTION")
  return { said = fields(r, { "bytes", "rip_after" }), is = fields({ rip_after = own.cpu[1].rip,
    bytes = args.code:gsub(".", function(c) return ("%02x "):format(c:byte()) end):sub(1, -2) }, { "bytes", "rip_after" }) }
end

-- latch(vm, port), and a guest that plays args.steps {what, port, EAX}: EAX after each.
function scenes.latch(s, args)
  local latch = submission(s, "latch")
  local vm = vmscope.vm{ image = s:guest("ports"), max_insns = 100000 }
  local bytes = {}
  for i, step in ipairs(args.steps) do bytes[i] = string.pack("<BBI2I4", step[1], 0, step[2], step[3]) end
  vm.mem:write(STEPS, table.concat(bytes) .. ("\0"):rep(8))
  if args.mine then latch(vm, args.port) end
  vm:run()
  local log = {}
  for i = 1, #args.steps do log[i] = number(vm.mem:u32(LOG + 4 * (i - 1))) end
  return { log = log, ended = vm.ended and vm.ended.kind or "it was still running after 100000 instructions", vm = s:observe(vm) }
end

-- What the predictions ask for.
function scenes.facts()
  local vm = vmscope.vm{ guest = "hello" }
  vm:step_exit()
  local first = { cr = vm.exit.cr, len = vm.exit.insn_len, insns = vm.exit.insns }
  vm:run{ until_ = "exit IO_INSTRUCTION" }
  local _, entries = vm:translate(vm.exit.rip)
  local levels = #entries
  vm.mem:write(vm.cpu[1].rip, "\xe6\x80") -- out %al, $0x80
  vm:step_exit()
  return { cr = first.cr, len = first.len, insns = first.insns, levels = levels, qual = vm.exit.qual }
end

return scenes
