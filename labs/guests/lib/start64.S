/*
 * How a bundled 64-bit guest starts: a multiboot loader leaves us in 32-bit protected mode without paging; four writes
 * later the CPU is in long mode [SDM 3A "Initializing IA-32e Mode"]. Each of those writes is an exit under vtx-ept:
 * watch them with "vmscope run hello --trace FILE". Every guest has this beginning in common, so its exits do, too.
 */
	.section .multiboot, "a"
	.balign 4
	.long 0x1badb002, 0x00000003, -(0x1badb002 + 0x00000003)

	.section .text.start, "ax"
	.code32
	.globl _start
_start:
	cli
	cld
	movl $stack_top, %esp
	movl %ebx, %edi			/* multiboot information: first argument of rt_main */
	movl $pml4, %eax
	movl %eax, %cr3
	movl %cr4, %eax
	orl $(1 << 5), %eax		/* PAE: masked by the VMM, so this exits */
	movl %eax, %cr4
	movl $0xc0000080, %ecx		/* EFER */
	rdmsr
	orl $(1 << 8), %eax		/* LME */
	wrmsr
	movl %cr0, %eax
	orl $(1 << 31), %eax		/* PG: EFER.LMA follows */
	movl %eax, %cr0
	lgdt gdt_pointer
	ljmp $0x08, $start64

	.code64
start64:
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %eax, %fs
	movl %eax, %gs
	movl $stack_top, %esp
	movl %edi, %edi
	call rt_main
1:	cli
	hlt
	jmp 1b

	.altmacro
/* One stub a vector: all leave the same frame (struct trap_frame of rt.h) and meet in trap_common. */
	.macro stub vector
	.balign 16
	.if !((\vector == 8) || ((\vector >= 10) && (\vector <= 14)) || (\vector == 17))
	pushq $0			/* the CPU pushed no error code: keep the frame alike */
	.endif
	pushq $\vector
	jmp trap_common
	.endm

	.text
	.balign 16
	.globl trap_stubs
trap_stubs:
	.set v, 0
	.rept 48
	stub %v
	.set v, v + 1
	.endr

	.globl trap_common
trap_common:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rbx
	pushq %rbp
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, %rdi
	cld
	call trap_dispatch
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rbp
	popq %rbx
	popq %rdx
	popq %rcx
	popq %rax
	addq $16, %rsp			/* vector and error code */
	iretq

	.section .rodata
	.balign 8
gdt:	.quad 0
	.quad 0x00af9b000000ffff	/* 0x08: 64-bit code */
	.quad 0x00cf93000000ffff	/* 0x10: data */
gdt_pointer:
	.word gdt_pointer - gdt - 1
	.long gdt, 0

/* The first 4 GiB mapped to themselves in 2 MiB pages, for user mode, too. Data, because the CPU sets accessed and dirty bits. */
	.section .tables, "aw"
	.balign 4096
	.globl pml4
pml4:	.quad pdpt + 7
	.fill 511, 8, 0
pdpt:	.quad pd + 0x0007, pd + 0x1007, pd + 0x2007, pd + 0x3007
	.fill 508, 8, 0
pd:	.set page, 0x87
	.rept 2048
	.quad page
	.set page, page + 0x200000
	.endr

	.bss
	.balign 16
	.skip 16384
stack_top:
	.section .note.GNU-stack, "", @progbits
