-- A guest that writes "." to the UART each ms milliseconds of guest time, marks times, and ends with OUT of 0 to port
-- 0xf4. This one ticks a thousand times a second. 16-bit code, for vmscope.asm.
return function(ms, marks)
  return ([[
        cli
        movw $isr, 4 * 32
        movw $0, 4 * 32 + 2
        movb $0x11, %%al
        outb %%al, $0x20
        movb $32, %%al
        outb %%al, $0x21
        movb $4, %%al
        outb %%al, $0x21
        movb $1, %%al
        outb %%al, $0x21
        movb $0xfe, %%al
        outb %%al, $0x21
        movb $0x34, %%al
        outb %%al, $0x43
        movb $0xa9, %%al        # 1193: a millisecond
        outb %%al, $0x40
        movb $0x04, %%al
        outb %%al, $0x40
        movw $%d, %%bp          # marks to go
mark:   xorw %%cx, %%cx         # ticks
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
        movb $0x20, %%al
        outb %%al, $0x20
        iret
  ]]):format(marks, ms)
end
