-- The guests of tasks 1 and 3, for tick.lua, device.lua, and "lab check". Not handed in.

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

-- A guest for the submission's device: sets the period, collects ticks, asleep (args.asleep interrupts) and then awake
-- (args.awake), adds up what it reads, switches the timer off, and ends; or (args.second) takes another period and
-- sleeps for args.more interrupts. Each interrupt writes its count of ticks to port 0x510; what is left at the end goes
-- to port 0x512.
local function device_guest(a)
  return ([[
        cli
        movw $isr, 4 * 37
        movw $0, 4 * 37 + 2
        movb $0x11, %%al
        outb %%al, $0x20
        movb $32, %%al
        outb %%al, $0x21
        movb $4, %%al
        outb %%al, $0x21
        movb $1, %%al
        outb %%al, $0x21
        movb $0xdf, %%al
        outb %%al, $0x21
        xorw %%cx, %%cx         # interrupts
        xorl %%esi, %%esi       # ticks
        movw $%d, %%ax          # the period, in microseconds
        movw $0x500, %%dx
        outw %%ax, %%dx
        movw $%d, %%bx
        orw %%bx, %%bx
        jz 2f
1:      sti
        hlt
        cli
        cmpw %%bx, %%cx
        jb 1b
2:      addw $%d, %%bx
        sti
3:      cmpw %%bx, %%cx
        jb 3b
        cli
        movl $%d, %%edi         # work with interrupts off
        orl %%edi, %%edi
        jz 5f
4:      decl %%edi
        jnz 4b
5:      sti
        nop
        nop
        cli
        movw $%d, %%ax          # off, or another period
        movw $0x500, %%dx
        outw %%ax, %%dx
        movw $0x502, %%dx
        inw %%dx, %%ax          # what is left
        movw $0x512, %%dx
        outw %%ax, %%dx
        movw $%d, %%bx
        addw %%cx, %%bx
6:      cmpw %%bx, %%cx
        jae 7f
        sti
        hlt
        cli
        jmp 6b
7:      %s
        movb $0, %%al
        outb %%al, $0xf4
isr:    pushw %%ax
        pushw %%dx
        movw $0x502, %%dx
        inw %%dx, %%ax
        movw $0x510, %%dx
        outw %%ax, %%dx
        movzwl %%ax, %%eax
        addl %%eax, %%esi
        incw %%cx
        movb $0x20, %%al
        outb %%al, $0x20
        popw %%dx
        popw %%ax
        iret
  ]]):format(a.period, a.asleep, a.awake, a.work or 0, a.second or 0, a.more or 0, a.sleep_off and "sti\nhlt" or "")
end

return { tick = tick_guest, device = device_guest }
