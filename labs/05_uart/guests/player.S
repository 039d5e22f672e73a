/*
 * Plays a program of steps at 0x2000 with the UART, and logs at 0x4000. Real mode. A step is four bytes: what, register,
 * value, 0. A line of the log is two: register (from 0x80: read by the interrupt's handler), value; 0x8f is the handler's
 * beginning.
 */
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
        movl $0x4000, %edi
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
