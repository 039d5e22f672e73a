/*
 * #AC that is delivered to user code on a stack that is not aligned raises #AC again: a processor goes on with that for
 * ever. A boot sector: protected mode, an IDT whose gates all lead to ring 3, UD2 there.
 */
	.code16
	.globl _start
_start:
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %ss
	mov	$0x7000, %sp
	mov	%ax, %es
	mov	$0x3000, %di
	mov	$32, %cx
1:	mov	$handler, %ax
	stosw
	mov	$0x1b, %ax
	stosw
	mov	$0xee00, %ax
	stosw
	xor	%ax, %ax
	stosw
	loop	1b
	lgdtl	gdtr
	lidtl	idtr
	mov	%cr0, %eax
	or	$0x40001, %eax /* AM, PE */
	mov	%eax, %cr0
	ljmpl	$8, $protected

	.code32
protected:
	mov	$0x10, %eax
	mov	%eax, %ss
	mov	$0x7000, %esp
	mov	$0x23, %eax
	mov	%eax, %ds
	mov	%eax, %es
	pushl	$0x23
	pushl	$0x9002 /* the stack */
	pushl	$0x40002 /* AC */
	pushl	$0x1b
	pushl	$user
	iretl
user:
	ud2
handler:
	ud2

	.align	8
gdt:
	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff
gdtr:
	.word	39
	.long	gdt
idtr:
	.word	255
	.long	0x3000
