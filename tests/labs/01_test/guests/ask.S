        movl 0x7000, %eax       /* the leaf */
        xorl %ecx, %ecx
        cpuid
        movl %eax, 0x7010
        movl %ecx, 0x7018
        movb $0, %al
        outb %al, $0xf4
