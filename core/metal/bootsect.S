/*
 * The boot sector of the raw boot disk: 512 bytes from the BIOS's hands to the image's 32-bit entry. Read before:
 * bootdisk.h; after: boot.S.
 *
 * Concept: a BIOS reads disks only from real mode and only below 1 MiB, and the image belongs above. "Unreal mode"
 * bridges it: load a segment register in protected mode, go back, and its 4 GiB limit stays cached. A BIOS call may
 * change that, so every chunk does it again.
 */
#include "core/metal/bootdisk.h"

#define CHUNK 64		/* sectors a read: 32 KiB */
#define BUFFER_SEG 0x1000	/* 0x10000, below the EBDA on every PC */
#define STACK 0x7c00

	.code16
	.section .text
	.globl _start
_start:
	jmp 1f
	.org BOOTDISK_PATCH
patch:	.ascii BOOTDISK_PATCH_MAGIC
image_sectors: .long 0
bundle_sector: .long 0
bundle_bytes: .quad 0
1:	cli
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $STACK, %sp
	sti
	cld
	ljmp $0, $2f			/* some BIOSes start at 07C0:0000 */
2:	movb %dl, drive

	/* The memory map: what RAM there is, only the BIOS knows. */
	xorl %ebx, %ebx
	movl %ebx, BOOTDISK_INFO + 16
	movw $BOOTDISK_INFO + 24, %di
3:	movl $0xe820, %eax
	movl $0x534d4150, %edx
	movl $24, %ecx
	int $0x15
	jc 4f
	incw BOOTDISK_INFO + 16
	addw $24, %di
	cmpw $BOOTDISK_INFO + 24 + 24 * BOOTDISK_E820_MAX, %di
	jae 4f
	testl %ebx, %ebx
	jnz 3b
4:
	/* Address line 20: by the BIOS, and by the system control port where the BIOS has no such call. */
	movw $0x2401, %ax
	int $0x15
	inb $0x92, %al
	orb $2, %al
	andb $0xfe, %al
	outb %al, $0x92

	movl $BOOT_IMAGE, %edi
	movl image_sectors, %ecx
	call load
	/* The bundle's place is behind .bss. DS has its 4 GiB limit from the last copy. */
	movl $BOOT_IMAGE, %edx
	movl BOOT_HEADER_BSS_END(%edx), %edi
	addl $0xfff, %edi
	andw $0xf000, %di
	movl %edi, BOOTDISK_INFO
	movl bundle_bytes, %ecx
	movl %ecx, BOOTDISK_INFO + 8
	xorl %eax, %eax
	movl %eax, BOOTDISK_INFO + 4
	movl %eax, BOOTDISK_INFO + 12
	movl bundle_sector, %eax
	movl %eax, dap_lba
	addl $511, %ecx
	shrl $9, %ecx
	call load

	cli
	movl $BOOT_IMAGE, %edx
	movl BOOT_HEADER_ENTRY(%edx), %ebp
	call protected
	movw %ax, %ss
	ljmpl $8, $5f
	.code32
5:	movl $BOOTDISK_MAGIC, %eax
	movl $BOOTDISK_INFO, %ebx
	jmp *%ebp

	.code16
/* Protected mode with flat DS and ES; AX is their selector. */
protected:
	lgdtl gdtr
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	movw $16, %ax
	movw %ax, %ds
	movw %ax, %es
	ret

/* ECX sectors from dap_lba to EDI; both move on. */
load:	jecxz 9f
6:	movl $CHUNK, %eax
	cmpl %eax, %ecx
	jae 7f
	movl %ecx, %eax
7:	movw %ax, dap_count
	pushal
	movw $dap, %si
	movb drive, %dl
	movb $0x42, %ah
	int $0x13
	jc failed
	popal
	pushl %ecx
	pushl %eax
	shll $7, %eax			/* sectors to doublewords */
	movl %eax, %ecx
	movl $BUFFER_SEG * 16, %esi
	cli
	call protected
	movl %cr0, %eax
	andb $0xfe, %al
	movl %eax, %cr0
	xorw %ax, %ax			/* base 0 again; the limit stays */
	movw %ax, %ds
	movw %ax, %es
	sti
	addr32 rep movsl
	popl %eax
	popl %ecx
	addl %eax, dap_lba
	subl %eax, %ecx
	jnz 6b
9:	ret

failed:	movw $0x0e00 + 'D', %ax		/* "D": the disk cannot be read */
	movw $7, %bx
	int $0x10
	hlt
	jmp failed

	.balign 4
dap:	.byte 16, 0			/* disk address packet, INT 13h AH=42h */
dap_count: .word 0
	.word 0, BUFFER_SEG
dap_lba: .long 1, 0
gdt:	.quad 0
	.quad 0x00cf9a000000ffff	/* 8: code, 32 bits */
	.quad 0x00cf92000000ffff	/* 16: data */
gdtr:	.word . - gdt - 1
	.long gdt
drive:	.byte 0x80

	/* One active partition over the whole disk: some BIOSes boot nothing else from a hard disk or stick. */
	.org 0x1be
	.byte 0x80, 0, 1, 0, 0xda, 0xfe, 0xff, 0xff
	.long 0, 0x7fffffff
	.org 0x1fe
	.byte 0x55, 0xaa
