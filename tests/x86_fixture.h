/*
 * A processor on flat RAM for unit tests of core/x86: no VM, no bus. Guest-physical 0 .. ram_size is RAM, the rest is a
 * device that records accesses and answers with a pattern. Code goes anywhere; state is set directly or by the helpers.
 */
#ifndef VMSCOPE_TESTS_X86_FIXTURE_H
#define VMSCOPE_TESTS_X86_FIXTURE_H

#include "core/controls.h"
#include "core/x86/access.h"

#define X86_FIX_RAM (4u << 20)
#define X86_FIX_LOG 64

struct x86_fix_access {
	bool mmio, write;
	uint64_t addr, value;
	unsigned n;
};

struct x86_fix {
	struct x86_cpu *c;
	uint8_t *ram; /* X86_FIX_RAM bytes */
	struct vm_exit exit;
	struct vm_controls ctl; /* in use after x86_fix_controls() */
	struct x86_fix_access log[X86_FIX_LOG];
	unsigned n_log;
	bool dirty[X86_FIX_RAM >> PAGE_SHIFT_4K]; /* pages that the processor may have written */
	uint64_t io_value, mmio_value;		  /* what devices answer */
	uint64_t rom_start, rom_end;		  /* pages that may not be written directly */
	uint64_t tsc;
	unsigned code_writes;
	gpa_t code_write_gpa;
};

/* At reset state, ctl NULL. Free with x86_fix_free(). */
struct x86_fix *x86_fix_new(void);
void x86_fix_free(struct x86_fix *f);
/* The same for cmocka: *state is the fixture. */
int x86_fix_setup(void **state);
int x86_fix_teardown(void **state);
/* Reset registers, RAM zeroed, log empty, no controls. */
void x86_fix_reset(struct x86_fix *f);
/* Reset registers only. */
void x86_fix_reset_cpu(struct x86_fix *f);
/* Flat segments, code at any address, stack at 0x9000: real mode (segments 0, 64 KiB), 16/32-bit protected, 64-bit with
 * identity page tables at 0x100000 (first GiB by 2 MiB pages, user accessible). cpl 0 or 3. */
void x86_fix_real(struct x86_fix *f);
void x86_fix_prot(struct x86_fix *f, unsigned code_size, unsigned cpl);
void x86_fix_long(struct x86_fix *f, unsigned cpl);
/* Descriptor tables for system tests: GDT at X86_FIX_GDT (limit ffH), IDT at X86_FIX_IDT (256 gates), the TSS of the
 * current task at X86_FIX_TSS with stack SEL_DATA0:X86_FIX_STACK0 for ring 0, TR loaded. Call after prot() or long().
 */
#define X86_FIX_GDT 0x1000u
#define X86_FIX_IDT 0x2000u
#define X86_FIX_TSS 0x4000u
#define X86_FIX_STACK0 0x8000u
enum x86_fix_sel {
	SEL_CODE0 = 0x08,
	SEL_DATA0 = 0x10,
	SEL_CODE3 = 0x18, /* use | 3 */
	SEL_DATA3 = 0x20,
	SEL_TSS = 0x28, /* and 30H in IA-32e mode */
	SEL_CONFORMING0 = 0x38,
	SEL_READ_ONLY0 = 0x40,
	SEL_NOT_PRESENT0 = 0x48,
	SEL_EXEC_ONLY0 = 0x50,
	SEL_CODE16 = 0x58,
	SEL_FREE = 0x60, /* from here on the tests' own */
};
void x86_fix_tables(struct x86_fix *f);
/* An 8-byte segment descriptor; attr as in struct x86_seg; limit in bytes. */
void x86_fix_desc(struct x86_fix *f, uint64_t at, uint32_t base, uint32_t limit, uint32_t attr);
/* A gate of 8 bytes, or 16 in IA-32e mode: access is P, DPL and type. */
void x86_fix_gate(struct x86_fix *f, uint64_t at, uint16_t sel, uint64_t off, unsigned access, unsigned count);
/* Gate of vector n in the IDT. */
void x86_fix_idt(struct x86_fix *f, unsigned n, uint16_t sel, uint64_t off, unsigned access);
/* Turns a profile of core/controls.c on. */
void x86_fix_controls(struct x86_fix *f, const char *profile);
/* Copies code to guest-physical = linear addr and sets rip there (CS base respected: 0). */
void x86_fix_code(struct x86_fix *f, uint64_t addr, const void *code, size_t n);
/* Up to n steps; stops at the first that is not X86_OK. */
enum x86_rc x86_fix_run(struct x86_fix *f, unsigned n);
/* Little-endian access to the RAM array. */
uint64_t x86_fix_peek(const struct x86_fix *f, uint64_t addr, unsigned n);
void x86_fix_poke(struct x86_fix *f, uint64_t addr, unsigned n, uint64_t v);

#endif
