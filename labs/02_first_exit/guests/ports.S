/*
 * Plays a list of IN and OUT at 0x2000, and logs EAX after each at 0x4000. Real mode. A step is eight bytes: what (1, 2, 4:
 * OUT of so many bytes; 9, 10, 12: IN), 0, the port in 16 bits, what is in EAX before in 32.
 */
        cli
        xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %es
        movw $0x2000, %si
        movl $0x4000, %edi
next:   lodsl
        movl %eax, %ebx
        shrl $16, %eax
        movw %ax, %dx
        lodsl
        cmpb $1, %bl
        je out1
        cmpb $2, %bl
        je out2
        cmpb $4, %bl
        je out4
        cmpb $9, %bl
        je in1
        cmpb $10, %bl
        je in2
        cmpb $12, %bl
        je in4
        movb $0, %al
        outb %al, $0xf4
out1:   outb %al, %dx
        jmp log
out2:   outw %ax, %dx
        jmp log
out4:   outl %eax, %dx
        jmp log
in1:    inb %dx, %al
        jmp log
in2:    inw %dx, %ax
        jmp log
in4:    inl %dx, %eax
log:    stosl
        jmp next
