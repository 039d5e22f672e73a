-- Lab 05: the same guest with the submission's UART and with the built-in one. The guest plays a program of steps, given
-- as texts ("out LCR 0x83", "in LSR", "poll", "key 0x41", "irq"), and logs all that it reads.
local PROGRAM, LOG, KEY_PORT = 0x2000, 0x4000, 0x80
local STEPS_MAX, LOG_MAX = 1000, 4000
local REGISTERS = { RBR = 0, THR = 0, DLL = 0, IER = 1, DLM = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7,
  BEHIND = 8 }
local NAMES = { [0] = "RBR/DLL", "IER/DLM", "IIR", "LCR", "MCR", "LSR", "MSR", "SCR", "the port behind" }
local OPS = { out = 1, ["in"] = 2, key = 3, irq = 4, poll = 5 }

-- Real mode. A step is four bytes: what, register, value, 0. A line of the log is two: register (from 0x80: read by the
-- interrupt's handler), value; 0x8f is the handler's beginning.
local guest = vmscope.asm[[
        cli
        xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movw $0x7000, %sp
        movw $isr, 4 * 0x0c             /* IRQ 4 */
        movw %ax, 4 * 0x0c + 2
        movb $0x11, %al
        outb %al, $0x20
        movb $8, %al
        outb %al, $0x21
        movb $4, %al
        outb %al, $0x21
        movb $1, %al
        outb %al, $0x21
        movb $0xef, %al
        outb %al, $0x21
        movw $0x2000, %si
        movw $0x4000, %di
next:   lodsl
        movl %eax, %ebx
        movzbw %bh, %dx
        addw $0x3f8, %dx
        shrl $16, %ebx
        cmpb $1, %al
        je do_out
        cmpb $2, %al
        je do_in
        cmpb $3, %al
        je do_key
        cmpb $4, %al
        je do_irq
        cmpb $5, %al
        je do_poll
        movb $0, %al
        outb %al, $0xf4
do_out: movb %bl, %al
        outb %al, %dx
        jmp next
do_in:  call read
        jmp next
do_key: movb %bl, %al
        outb %al, $0x80
        jmp next
do_irq: sti
        nop
        nop
        cli
        jmp next
do_poll:
        movw $0x3fd, %dx
        call read
        testb $1, %al
        jz next
        movw $0x3f8, %dx
        call read
        jmp next
read:   inb %dx, %al                    /* logs the register and its value */
        movb %al, %ah
        movb %dl, %al
        subb $0xf8, %al
        stosw
        movb %ah, %al
        ret
isr:    pushw %ax
        pushw %dx
        movw $0x8f, %ax
        stosw
1:      movw $0x3fa, %dx
        call read_isr
        andb $0x0f, %al
        testb $1, %al
        jnz 4f
        movw $0x3f8, %dx
        cmpb $0x04, %al
        je 3f
        movw $0x3fd, %dx
        cmpb $0x06, %al
        je 3f
        movw $0x3fe, %dx
        cmpb $0, %al
        jne 1b
3:      call read_isr
        jmp 1b
4:      movb $0x20, %al
        outb %al, $0x20
        popw %dx
        popw %ax
        iret
read_isr:
        inb %dx, %al
        movb %al, %ah
        movb %dl, %al
        subb $0x78, %al
        stosw
        movb %ah, %al
        ret
]]

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
  for at = LOG, LOG + 2 * LOG_MAX, 2 do
    local register, value = vm.mem[at], vm.mem[at + 1]
    if register == 0 and value == 0 and vm.mem[at + 2] == 0 and vm.mem[at + 3] == 0 and vm.mem[at + 5] == 0 then break end
    if register == 0x8f then
      out[#out + 1] = "interrupt"
    else
      out[#out + 1] = ("%s%s %02x"):format(register >= 0x80 and "handler: " or "", NAMES[register & 0x7f] or "?", value)
    end
  end
  return out
end

local function machine(steps, devices)
  local vm = vmscope.vm{ image = guest, devices = devices, max_insns = 200000, max_exits = 20000 }
  vm.mem:write(PROGRAM, encode(steps))
  return vm
end

local function report(vm)
  local r = { log = log_of(vm), console = vm.console, ended = vm.ended and vm.ended.kind or "not at all" }
  vm:close()
  return r
end

-- With the machine's own UART: a key comes when the guest says so.
local function builtin(steps)
  local vm = machine(steps)
  local function key(exit) return exit.reason == "IO_INSTRUCTION" and exit.port == KEY_PORT end
  while vm:run{ until_ = key } == "done" do vm:type(string.char(vm.exit.value)) end
  return report(vm)
end

local function submitted(s, make, steps)
  local uart = s:call(make)
  if type(uart) ~= "table" then return { log = {}, console = "", ended = "uart.lua's function gave no table" } end
  local vm = machine(steps, { uart.device })
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
    out.builtin[i] = builtin(steps)
  end
  local make = s:load("uart.lua")
  for i, steps in ipairs(args.programs) do out.mine[i] = submitted(s, make, steps) end
  return out
end

-- A bundled guest, with the submission's UART, or without.
function scenes.bundled(s, args)
  local devices
  if args.mine then
    local uart = s:call(s:load("uart.lua"))
    devices = { type(uart) == "table" and uart.device or nil }
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
