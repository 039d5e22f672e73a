-- As few ticks as the 16 bits of the counter allow; the timer need not be armed, and the PIC ends each interrupt
-- itself.
return function(ms, marks)
  local counts = 1193182 * ms // 1000
  local shots = counts // 65536 + 1
  local text = [[
        cli
        movw $isr, 4 * 32
        movw $0, 4 * 32 + 2
        movb $0x11, %al
        outb %al, $0x20
        movb $32, %al
        outb %al, $0x21
        movb $4, %al
        outb %al, $0x21
        movb $3, %al            # automatic end of interrupt
        outb %al, $0x21
        movb $0xfe, %al
        outb %al, $0x21
        movb $0x34, %al         # mode 2: no shot has to be armed
        outb %al, $0x43
  ]]
  local count = counts // shots
  text = text .. ([[
        movw $%d, %%ax
        outb %%al, $0x40
        movb %%ah, %%al
        outb %%al, $0x40
        sti                     # the tick that comes with the control word
        nop
        nop
        cli
        movw $%d, %%bp
mark:   xorw %%cx, %%cx
1:      sti
        hlt
        cli
        cmpw $%d, %%cx
        jb 1b
        movw $0x3f8, %%dx
        movb $'.', %%al
        outb %%al, %%dx
        decw %%bp
        jnz mark
        movb $0, %%al
        outb %%al, $0xf4
isr:    incw %%cx
        iret
  ]]):format(count, marks, shots)
  return text
end
