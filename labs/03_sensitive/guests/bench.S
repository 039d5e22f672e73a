/*
 * One instruction at CPL 0 or at CPL 3, from states that are equal but for that: 32-bit protected mode, no paging, flags 2,
 * IOPL 0. At 0x8000: the CPL in a byte; from 0x8004 EAX, ECX, EDX, EBX, ESI, EDI, EBP. Then the code at 0x9000 runs, with
 * ESP 0xa010. An exception: its vector is pushed and CPUID executed, which the VMM sees.
 */
        .set slot, 0x9000
        cli
        xorw %ax, %ax
        movw %ax, %ds
        lgdt gdt_pointer
        movl %cr0, %eax
        orl $1, %eax
        movl %eax, %cr0
        ljmp $0x08, $protected
        .code32
protected:
        movl $0x10, %eax
        movl %eax, %ds
        movl %eax, %ss
        movl $0xb000, %esp
        lidt idt_pointer
        movl $0x28, %eax
        ltr %ax
        cmpb $3, 0x8000
        je user
        pushl $2
        popfl
        jmp start
user:   pushl $0x23
        pushl $0xa010
        pushl $2
        pushl $0x1b
        pushl $start
        iretl
start:  movl $0x23, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %fs
        movl %eax, %gs
        movl $0xa010, %esp
        movl 0x8004, %eax
        movl 0x8008, %ecx
        movl 0x800c, %edx
        movl 0x8010, %ebx
        movl 0x8014, %esi
        movl 0x8018, %edi
        movl 0x801c, %ebp
        jmp slot

        .balign 8
stubs:  .set v, 0
        .rept 32
        .balign 8
        pushl $v
        cpuid
        jmp .
        .set v, v + 1
        .endr
        .balign 8
idt:    .set v, 0
        .rept 32
        .word stubs + 8 * v, 0x08, 0x8e00, 0
        .set v, v + 1
        .endr
gdt:    .quad 0
        .quad 0x00cf9b000000ffff        /* 0x08: code */
        .quad 0x00cf93000000ffff        /* 0x10: data */
        .quad 0x00cffb000000ffff        /* 0x18: code for CPL 3 */
        .quad 0x00cff3000000ffff        /* 0x20: data for CPL 3 */
        .word 0x67, tss, 0x8900, 0      /* 0x28 */
        .word 0x67, tss, 0x8900, 0      /* 0x30: the same again, not busy */
tss:    .long 0, 0xb000, 0x10
        .fill 22, 4, 0
        .word 0, 0x68
gdt_pointer:
        .word tss - gdt - 1
        .long gdt
idt_pointer:
        .word gdt - idt - 1
        .long idt
