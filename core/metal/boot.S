/*
 * From 32-bit protected mode to long mode: the image's entry, for a multiboot loader (GRUB, qemu -kernel) and for our
 * own boot sector. Read before: the Multiboot Specification, "The layout of Multiboot header"; after: main.c.
 *
 * Concept: long mode cannot be entered without paging, so there are page tables before there is a memory manager: 4 GiB
 * of identity mapping in 2 MiB pages, everything writable and executable. paging.c replaces them by stricter ones. The
 * order PAE, CR3, EFER.LME, CR0.PG is the manual's [SDM 3A "Initializing IA-32e Mode"].
 */
#include "core/metal/bootdisk.h"

#define MB_HEADER_MAGIC 0x1badb002
#define MB_FLAGS 0x00010003 /* modules on page boundaries, memory map, address fields valid */
#define PTE_PRESENT_WRITE 0x3
#define PTE_LARGE 0x80
#define CR0_BITS 0x80000020 /* PG, NE: x87 errors are #MF, not an interrupt; VMX operation asks for NE, too */
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100
#define SEL_CODE64 0x08
#define SEL_DATA 0x10

	.section .head, "a"
	.balign 4
	/* The "a.out kludge": with explicit addresses a loader takes this file whatever its format is. */
multiboot_header:
	.long MB_HEADER_MAGIC, MB_FLAGS, -(MB_HEADER_MAGIC + MB_FLAGS)
	.long multiboot_header		/* header_addr */
	.long BOOT_IMAGE		/* load_addr */
	.long metal_load_end
	.long metal_bss_end
	.long metal_entry

	.section .text.boot, "ax"
	.code32
	.globl metal_entry
metal_entry:
	cli
	cld
	movl %eax, %ebp			/* magic */
	movl %ebx, %esi			/* information */
	/* Our boot sector does not know .bss, and nobody has to clear the stacks behind it: clear all of it here. */
	movl $metal_bss_start, %edi
	movl $metal_bss_end, %ecx
	subl %edi, %ecx
	shrl $2, %ecx
	xorl %eax, %eax
	rep stosl
	movl $metal_boot_stack_top, %esp

	/* The processor has long mode? Extended CPUID says so, if it exists. */
	movl $0x80000000, %eax
	cpuid
	cmpl $0x80000001, %eax
	jb no_long_mode
	movl $0x80000001, %eax
	cpuid
	btl $29, %edx
	jnc no_long_mode

	/* PML4[0] -> PDPT; PDPT[0..3] -> four page directories; each entry of these 2 MiB. */
	movl $early_pdpt + PTE_PRESENT_WRITE, early_pml4
	movl $early_pd + PTE_PRESENT_WRITE, %eax
	movl $early_pdpt, %edi
	movl $4, %ecx
1:	movl %eax, (%edi)
	addl $0x1000, %eax
	addl $8, %edi
	decl %ecx
	jnz 1b
	movl $PTE_PRESENT_WRITE + PTE_LARGE, %eax
	movl $early_pd, %edi
	movl $2048, %ecx
2:	movl %eax, (%edi)
	addl $0x200000, %eax
	addl $8, %edi
	decl %ecx
	jnz 2b

	movl $CR4_PAE, %eax
	movl %eax, %cr4
	movl $early_pml4, %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $EFER_LME, %eax
	wrmsr
	movl %cr0, %eax
	orl $CR0_BITS, %eax
	andl $~0x6000000c, %eax		/* CD, NW, TS, EM off: caches on, the FPU is there */
	movl %eax, %cr0
	lgdt early_gdtr
	ljmp $SEL_CODE64, $3f
	.code64
3:	movl $SEL_DATA, %eax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw %ax, %fs
	movw %ax, %gs
	movl %ebp, %edi
	movl %esi, %esi			/* upper halves are undefined after the mode switch */
	xorl %ebp, %ebp			/* the end of every stack trace */
	movl $metal_boot_stack_top, %esp
	call metal_main
4:	cli
	hlt
	jmp 4b

	.code32
no_long_mode:
	/* No serial line is set up yet: the text screen is what there is. */
	movl $no_long_mode_text, %esi
	movl $0xb8000, %edi
	movb $0x4f, %ah
5:	lodsb
	testb %al, %al
	jz 6f
	stosw
	jmp 5b
6:	hlt
	jmp 6b

	.section .rodata
no_long_mode_text:
	.asciz "vmscope-metal: this processor has no 64-bit mode"
	.balign 8
early_gdt:
	.quad 0
	.quad 0x00af9a000000ffff	/* code, 64 bits */
	.quad 0x00cf92000000ffff	/* data */
early_gdtr:
	.word . - early_gdt - 1
	.quad early_gdt

	.bss
	.balign 4096
early_pml4: .skip 4096
early_pdpt: .skip 4096
early_pd: .skip 4 * 4096

/* The stacks, each above a page that paging.c takes away: an overflow is a page fault, not a corrupted neighbour. */
	.macro stack name, size
	.globl metal_\name\()_guard, metal_\name\()_top
metal_\name\()_guard:
	.skip 4096
	.skip \size
metal_\name\()_top:
	.endm
	.section .stacks, "aw", @nobits
	.balign 4096
	stack boot_stack, 0x40000
	stack df_stack, 0x4000
	stack nmi_stack, 0x2000
	stack mc_stack, 0x4000
	stack pf_stack, 0x4000
	.section .note.GNU-stack, "", @progbits
