-- Lab 05: the same guest with the submission's UART and with the built-in one. The guest (guests/player.S) plays a program
-- of steps, given as texts ("out LCR 0x83", "in LSR", "poll", "key 0x41", "irq"), and logs all that it reads.
local PROGRAM, LOG, KEY_PORT = 0x2000, 0x4000, 0x80
local STEPS_MAX, LOG_MAX = 1000, 4000
local PORTS = { 0x3f8, 0x3ff }
local REGISTERS = { RBR = 0, THR = 0, DLL = 0, IER = 1, DLM = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7,
  BEHIND = 8 }
local NAMES = { [0] = "RBR/DLL", "IER/DLM", "IIR", "LCR", "MCR", "LSR", "MSR", "SCR", "the port behind" }
local OPS = { out = 1, ["in"] = 2, key = 3, irq = 4, poll = 5 }

local function encode(steps)
  local out = {}
  for i, text in ipairs(steps) do
    local op, a, b = text:match("^(%l+) ?(%w*) ?(%w*)$")
    local register = op == "key" and 0 or REGISTERS[a] or 0
    out[i] = string.pack("BBBB", OPS[op], register, math.tointeger(tonumber(op == "key" and a or b)) or 0, 0)
  end
  out[#out + 1] = "\0\0\0\0"
  return table.concat(out)
end

local function log_of(vm)
  local out = {}
  for at = LOG, math.min(vm.cpu[1].edi, LOG + 2 * LOG_MAX) - 2, 2 do -- the guest's EDI is the end of its log
    local register, value = vm.mem[at], vm.mem[at + 1]
    if register == 0x8f then
      out[#out + 1] = "interrupt"
    else
      out[#out + 1] = ("%s%s %02x"):format(register >= 0x80 and "handler: " or "", NAMES[register & 0x7f] or "?", value)
    end
  end
  return out
end

local function machine(s, steps, devices)
  local vm = vmscope.vm{ image = s:guest("player"), devices = devices, max_insns = 200000, max_exits = 20000 }
  vm.mem:write(PROGRAM, encode(steps))
  return vm
end

local function report(vm)
  local r = { log = log_of(vm), console = vm.console,
    ended = vm.ended and vm.ended.kind or "it was still running after 200000 instructions or 20000 exits" }
  vm:close()
  return r
end

-- With the machine's own UART: a key comes when the guest says so.
local function builtin(s, steps)
  local vm = machine(s, steps)
  local function key(exit) return exit.reason == "IO_INSTRUCTION" and exit.port == KEY_PORT end
  while vm:run{ until_ = key } == "done" do vm:type(string.char(vm.exit.value)) end
  return report(vm)
end

-- uart.lua with vmscope.device and nothing else: it has no machine whose UART could answer for it.
local function load(s)
  return s:load_function("uart.lua", { "device" })
end

-- A new UART; or nil, and what it lacks. It has to sit on all eight ports: then the machine's own leaves them. (Raw: it is
-- what the bus will see; and last: nothing of the submission runs between this and the bus, or the ports might change.)
local function new(s, make)
  local uart = s:call(make)
  if type(uart) ~= "table" then return nil, "uart.lua's function gave no table" end
  local device, receive = uart.device, uart.receive
  local ports = type(device) == "table" and rawget(device, "ports")
  if type(ports) ~= "table" or rawget(ports, 1) ~= PORTS[1] or rawget(ports, 2) ~= PORTS[2] then
    return nil, ("no device for ports %#x to %#x"):format(PORTS[1], PORTS[2])
  end
  return { device = device, receive = receive }
end

local function submitted(s, make, steps)
  local uart, why = new(s, make)
  if not uart then return { log = { why }, console = "", ended = why } end
  local vm = machine(s, steps, { uart.device })
  vm:on_exit("port 0x80", function(exit)
    if uart.receive then s:call(uart.receive, vm, exit.value) end
  end)
  vm:run()
  return report(vm)
end

local scenes = {}

-- Each program, by both.
function scenes.play(s, args)
  local out = { builtin = {}, mine = {} }
  for i, steps in ipairs(args.programs) do
    if #steps > STEPS_MAX then error("a program of more than " .. STEPS_MAX .. " steps") end
    out.builtin[i] = builtin(s, steps)
  end
  local make = load(s)
  for i, steps in ipairs(args.programs) do out.mine[i] = submitted(s, make, steps) end
  return out
end

-- A bundled guest, with the submission's UART, or without.
function scenes.bundled(s, args)
  local devices
  if args.mine then
    local uart, why = new(s, load(s))
    if not uart then return { console = why } end
    devices = { uart.device }
  end
  local vm = vmscope.vm{ guest = args.guest, append = args.append, devices = devices, max_insns = 1000000, max_exits = 100000 }
  vm:run()
  return { console = vm.console, vm = s:observe(vm) }
end

-- hello, and a transmitter that is ready at every second question only.
function scenes.busy(s)
  local vm, asked = vmscope.vm{ guest = "hello" }, 0
  vm:on_exit("port 0x3fd", function(exit)
    asked = asked + 1
    if asked % 2 == 1 then
      exit.value = 0
      return "next"
    end
  end)
  vm:run()
  return { console = vm.console, vm = s:observe(vm) }
end

return scenes
