/*
 * modes: one CPU, all its ages. Real mode as in 1978, 16-bit protected mode of the 80286, 32-bit of the 80386, 64-bit
 * long mode, compatibility mode inside it, and the whole way back [SDM 3A "Mode Switching", "Initializing IA-32e
 * Mode"]. It prints a line at each stage, with code of that stage's width. A flat image at 0000:7C00.
 */
#define UART 0x3f8
#define TABLES 0x10000

#define CODE16 0x08
#define CODE32 0x10
#define CODE64 0x18
#define DATA 0x20
#define DATA16 0x28

/* Prints the text at \msg; the same source assembled for 16, 32 and 64 bits. Clobbers AX, BX, DX, SI. */
	.macro print msg, si
	movl $\msg, %esi
1:	movb (\si), %bl
	testb %bl, %bl
	jz 3f
	movw $(UART + 5), %dx
2:	inb %dx, %al
	testb $0x20, %al
	jz 2b
	movw $UART, %dx
	movb %bl, %al
	outb %al, %dx
	incl %esi
	jmp 1b
3:
	.endm

	.macro data_segments selector
	movw $\selector, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	.endm

	.section .text
	.code16
	.globl _start
_start:
	cli
	cld
	ljmp $0, $real
real:	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7c00, %sp
	print msg_real, %esi

	lgdt gdt_pointer
	movl %cr0, %eax
	orl $1, %eax			/* PE */
	movl %eax, %cr0
	ljmp $CODE16, $protected16
protected16:
	data_segments DATA
	print msg_protected16, %esi
	ljmp $CODE32, $protected32

	.code32
protected32:
	print msg_protected32, %esi
	/* Page tables: one 2 MiB page, mapped to itself. */
	movl $TABLES, %edi
	xorl %eax, %eax
	movl $(3 * 4096 / 4), %ecx
	rep stosl
	movl $(TABLES + 0x1003), TABLES
	movl $(TABLES + 0x2003), TABLES + 0x1000
	movl $0x83, TABLES + 0x2000
	movl $TABLES, %eax
	movl %eax, %cr3
	movl %cr4, %eax
	orl $0x20, %eax			/* PAE */
	movl %eax, %cr4
	movl $0xc0000080, %ecx		/* EFER */
	rdmsr
	orl $0x100, %eax		/* LME */
	wrmsr
	movl %cr0, %eax
	orl $0x80000000, %eax		/* PG */
	movl %eax, %cr0
	print msg_compat, %esi		/* CS is still a 32-bit segment */
	ljmp $CODE64, $long64

	.code64
long64:	print msg_long, %rsi
	movl $compat_pointer, %eax
	ljmpl *(%rax)

	.code32
compat:	print msg_compat_again, %esi
	movl %cr0, %eax
	andl $0x7fffffff, %eax		/* PG off, in compatibility mode only: leaves long mode */
	movl %eax, %cr0
	movl $0xc0000080, %ecx
	rdmsr
	andl $~0x100, %eax
	wrmsr
	movl %cr4, %eax
	andl $~0x20, %eax
	movl %eax, %cr4
	print msg_protected32_again, %esi
	ljmp $CODE16, $back16

	.code16
back16:	data_segments DATA16		/* limits of 64 KiB, as real mode expects them */
	movl %cr0, %eax
	andl $~1, %eax
	movl %eax, %cr0
	ljmp $0, $real_again
real_again:
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	print msg_real_again, %esi
	movw $0xf4, %dx
	xorb %al, %al
	outb %al, %dx
1:	cli
	hlt
	jmp 1b

	.balign 8
gdt:	.quad 0
	.quad 0x00009b000000ffff	/* CODE16 */
	.quad 0x00cf9b000000ffff	/* CODE32 */
	.quad 0x00af9b000000ffff	/* CODE64 */
	.quad 0x00cf93000000ffff	/* DATA */
	.quad 0x000093000000ffff	/* DATA16 */
gdt_pointer:
	.word gdt_pointer - gdt - 1
	.long gdt
compat_pointer:
	.long compat
	.word CODE32

msg_real:		.asciz "real mode\n"
msg_protected16:	.asciz "protected mode, 16-bit code\n"
msg_protected32:	.asciz "protected mode, 32-bit code\n"
msg_compat:		.asciz "long mode, compatibility: 32-bit code\n"
msg_long:		.asciz "long mode, 64-bit code\n"
msg_compat_again:	.asciz "compatibility again\n"
msg_protected32_again:	.asciz "protected mode again, long mode off\n"
msg_real_again:		.asciz "real mode again\n"
	.section .note.GNU-stack, "", @progbits
