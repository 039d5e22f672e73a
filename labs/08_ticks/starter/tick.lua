-- vmscope lab run tick.lua [HZ [TICKS [hlt|loop|masked [periodic|one [out|auto]]]]]: the guest of task 1, and what it
-- costs. Not handed in.

-- A guest that waits for ticks of the PIT. p.hz, p.ticks; p.wait: "hlt" (asleep), "loop" (awake, interrupts on) or
-- "masked" (awake, interrupts off but for one instruction in a thousand); p.shot: "periodic" or "one" (armed anew for
-- each tick); p.eoi: "out" or "auto" (the PIC needs none).
local function tick_guest(p)
  local count = 1193182 // p.hz
  local arm = ("movb $%d, %%al\noutb %%al, $0x40\nmovb $%d, %%al\noutb %%al, $0x40\n"):format(count & 0xff, count >> 8)
  local one = p.shot == "one"
  local wait = {
    hlt = "1: sti\nhlt\ncli\n",
    loop = "1: sti\n2: cmpw %bx, %cx\nje 2b\ncli\n",
    masked = "1: cli\nmovw $500, %di\n2: decw %di\njnz 2b\nsti\nnop\ncli\ncmpw %bx, %cx\nje 1b\n",
  }
  return [[
        cli
        movw $isr, 4 * 32
        movw $0, 4 * 32 + 2
        movb $0x11, %al         # the PIC: vectors from 32, IRQ 0 alone
        outb %al, $0x20
        movb $32, %al
        outb %al, $0x21
        movb $4, %al
        outb %al, $0x21
  ]] .. ("movb $%d, %%al"):format(p.eoi == "auto" and 3 or 1) .. [[

        outb %al, $0x21
        movb $0xfe, %al
        outb %al, $0x21
  ]] .. ("movb $%d, %%al\noutb %%al, $0x43\n"):format(one and 0x30 or 0x34) .. (one and "" or arm) .. [[

        xorw %cx, %cx           # ticks
next:   movw %cx, %bx
  ]] .. (one and arm or "") .. wait[p.wait] .. ("cmpw $%d, %%cx\njb next\n"):format(p.ticks) .. [[
        movb $0, %al
        outb %al, $0xf4
isr:    incw %cx
  ]] .. (p.eoi == "auto" and "" or "pushw %ax\nmovb $0x20, %al\noutb %al, $0x20\npopw %ax\n") .. [[
        iret
  ]]
end

local p = { hz = math.tointeger(arg[1] or 100), ticks = math.tointeger(arg[2] or 50), wait = arg[3] or "hlt",
  shot = arg[4] or "periodic", eoi = arg[5] or "out" }
local vm = vmscope.vm{ image = vmscope.asm(tick_guest(p)) }
vm:run()
print(p.hz .. " Hz", p.ticks .. " ticks", p.wait, p.shot, p.eoi, "guest time in us: " .. vm.time_ns // 1000)
for _, row in ipairs(vm.stats.rows) do
  if row.samples > 0 then print("", row.name, row.samples) end
end
