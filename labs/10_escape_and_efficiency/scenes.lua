-- What lab 10 runs: the submission's hostile guests, and its version of the guest that exits too often.

-- starter/chatty.lua, word for word.
local CHATTY = [==[
# The guest of part B. At 0x9000: a text, ended by 0; at 0x9100 (word): how many lines; at 0x9104 (long): a leaf of
# CPUID. Each millisecond it prints: the text, EBX of the leaf, EAX of MSR 0x1b, and a byte of the sensor at port
# 0x510. At the end, at 0xa000 (words): the sum of all bytes printed, and the number of lines.
        cli
        cld
        xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %ss
        movw $0x7c00, %sp
        movw %ax, 0xa000
        movw %ax, 0xa002
        movb $0x34, %al         # the timer counts down from 65536, over and over
        outb %al, $0x43
        outb %al, $0x80
        xorb %al, %al
        outb %al, $0x40
        outb %al, $0x80
        outb %al, $0x40
        outb %al, $0x80
        call counter
        movw %ax, %bp           # when the last line was due
line:   movw 0x9100, %ax
        cmpw %ax, 0xa002
        jae end
wait:   call counter            # 1193 counts are a millisecond
        movw %bp, %cx
        subw %ax, %cx
        cmpw $1193, %cx
        jae due
        movw $1000, %cx         # not too often
1:      loop 1b
        jmp wait
due:    subw $1193, %bp
        movw $0x9000, %si
2:      movb (%si), %al
        incw %si
        testb %al, %al
        jz 3f
        call put
        jmp 2b
3:      movb $' ', %al
        call put
        movl 0x9104, %eax
        xorl %ecx, %ecx
        cpuid
        movl %ebx, %eax
        call hex8
        movb $' ', %al
        call put
        movl $0x1b, %ecx
        rdmsr
        call hex8
        movb $' ', %al
        call put
        movw $0x510, %dx
        inb %dx, %al
        call hex2
        movb $'\n', %al
        call put
        incw 0xa002
        jmp line
end:    xorb %al, %al
        outb %al, $0xf4

counter:xorb %al, %al           # AX: the timer's count
        outb %al, $0x43
        outb %al, $0x80
        inb $0x40, %al
        movb %al, %ah
        inb $0x40, %al
        xchgb %al, %ah
        ret

hex8:   pushl %eax              # EAX in eight digits
        shrl $16, %eax
        call hex4
        popl %eax
hex4:   pushw %ax
        movb %ah, %al
        call hex2
        popw %ax
hex2:   pushw %ax
        shrb $4, %al
        call digit
        popw %ax
digit:  andb $15, %al
        addb $'0', %al
        cmpb $'9', %al
        jbe put
        addb $39, %al
put:    pushw %dx               # AL to the UART, as carefully as can be
        pushw %ax
        movb %al, %dl
        xorb %dh, %dh
        addw %dx, 0xa000
        movw $0x3fd, %dx
1:      inb %dx, %al
        testb $0x20, %al
        jz 1b
        popw %ax
        movw $0x3f8, %dx
        outb %al, %dx
        outb %al, $0x80
        popw %dx
        ret
]==]

local function random_from(seed)
  local x = seed * 2654435761 + 12345
  return function(lo, hi)
    x = x * 6364136223846793005 + 1442695040888963407
    return lo + (x >> 33) % (hi - lo + 1)
  end
end

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
  local random = random_from(seed)
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
