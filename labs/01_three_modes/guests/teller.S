/*
 * teller: asks CPUID for the leaves n, n - 1, ..., 1 (n at 0x8000), prints the text at 0x8010 on the UART, writes n to
 * port 0x3ff and reads it again, and ends. Real mode.
 */
        cli
        xorw %ax, %ax
        movw %ax, %ds
        movzwl 0x8000, %esi
1:      movl %esi, %eax
        xorl %ecx, %ecx
        cpuid
        decl %esi
        jnz 1b
        movw $0x8010, %si
2:      lodsb
        testb %al, %al
        jz 4f
        movb %al, %bl
        movw $0x3fd, %dx
3:      inb %dx, %al
        testb $0x20, %al
        jz 3b
        movw $0x3f8, %dx
        movb %bl, %al
        outb %al, %dx
        jmp 2b
4:      movw $0x3ff, %dx
        movb 0x8000, %al
        outb %al, %dx
        inb %dx, %al
        movb $0, %al
        outb %al, $0xf4
