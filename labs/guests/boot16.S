/*
 * boot16: a boot sector. 512 bytes at 0000:7C00, real mode, no BIOS: it prints on the UART and ends. The smallest image
 * that any PC would start, and the flat 16-bit form of the loader.
 */
	.code16
	.section .text
	.globl _start
_start:
	cli
	cld
	ljmp $0, $1f			/* CS = 0, whatever the loader chose */
1:	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %ss
	movw $0x7c00, %sp
	movw $message, %si
next:	lodsb
	testb %al, %al
	jz done
	call put_char
	jmp next
done:	movw $0xf4, %dx
	xorb %al, %al
	outb %al, %dx
1:	cli
	hlt
	jmp 1b

put_char:
	movb %al, %bl
	movw $0x3fd, %dx
1:	inb %dx, %al
	testb $0x20, %al
	jz 1b
	movw $0x3f8, %dx
	movb %bl, %al
	outb %al, %dx
	ret

message:
	.ascii "boot16: 512 bytes in real mode\n\0"
	.org 510
	.byte 0x55, 0xaa
	.section .note.GNU-stack, "", @progbits
