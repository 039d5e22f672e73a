/*
 * Inside core/metal: what its files tell each other.
 */
#ifndef VMSCOPE_CORE_METAL_METAL_PRIV_H
#define VMSCOPE_CORE_METAL_METAL_PRIV_H

#include "core/bundle.h"
#include "core/metal/bootdisk.h"
#include "core/metal/metal.h"

#define METAL_RANGES_MAX 96

struct mem_range {
	uint64_t base, len;
};

/* What the boot loader, whichever it was, left behind; copied out of its memory. */
struct boot_info {
	const char *loader; /* "multiboot", "boot sector" */
	uint64_t bundle, bundle_len;
	struct mem_range ram[METAL_RANGES_MAX]; /* what the firmware calls RAM */
	unsigned n_ram;
};
bool boot_info_read(struct boot_info *b, uint32_t magic, uint32_t addr);

/* link.ld, boot.S */
extern const uint8_t metal_text_start[], metal_text_end[], metal_rodata_start[], metal_rodata_end[];
extern uint8_t metal_data_start[], metal_bss_end[], metal_stacks_start[], metal_stacks_end[];
struct metal_stack {
	const char *name;
	uint8_t *guard, *top; /* the stack is between guard + 4096 and top */
};
enum { STACK_BOOT, STACK_DF, STACK_NMI, STACK_MC, STACK_PF, STACK_COUNT };
extern const struct metal_stack metal_stacks[STACK_COUNT]; /* idt.c */

/* alloc.c */
void alloc_add(uint64_t base, uint64_t len);
void *alloc_pages(size_t n);
void alloc_free(void *p, size_t n);
uint64_t alloc_largest(void);
uint64_t alloc_total(void);
void alloc_reset(void);

/* memory.c: RAM that nobody uses becomes the heap; below 4 GiB first, the rest once paging.c has mapped it. */
void memory_init(const struct boot_info *b, bool above_4g);
bool memory_is_ram(uint64_t a);
void memory_set_bundle(uint64_t base, uint64_t len);
unsigned memory_vms(struct vm *const **list); /* that were registered */

/* paging.c */
void paging_init(const struct boot_info *b);

/* idt.c */
void idt_init(void);
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};
void panic_trap(const struct trap_frame *f) __attribute__((noreturn));

/* clock.c */
void clock_metal_init(uint64_t hz); /* 0: measure */

/* serial.c: COM1 */
void serial_init(void);
void serial_put(const void *p, size_t n);
void serial_text(const void *p, size_t n); /* LF becomes CR LF */
int serial_get(void);			   /* -1: nothing waits */
bool serial_waiting(void);		   /* serial_get() has something */
extern uint64_t serial_dropped;

/* ata.c: first channel; unit 0 master, 1 slave */
struct ata_disk {
	bool present, lba48;
	uint64_t sectors;
};
const struct ata_disk *ata_identify(unsigned unit);
enum err ata_read(unsigned unit, uint64_t lba, void *p, unsigned sectors);
enum err ata_write(unsigned unit, uint64_t lba, const void *p, unsigned sectors);

#endif
