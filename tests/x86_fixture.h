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
	uint64_t io_value, mmio_value; /* what devices answer */
	uint64_t rom_start, rom_end;   /* pages that may not be written directly */
	uint64_t tsc;
	unsigned code_writes;
	gpa_t code_write_gpa;
};

/* At reset state, ctl NULL. Free with x86_fix_free(). */
struct x86_fix *x86_fix_new(void);
void x86_fix_free(struct x86_fix *f);
/* Reset registers, RAM zeroed, log empty, no controls. */
void x86_fix_reset(struct x86_fix *f);
/* Flat segments, code at any address, stack at 0x9000: real mode (segments 0, 64 KiB), 16/32-bit protected, 64-bit with
 * identity page tables at 0x100000 (first GiB by 2 MiB pages, user accessible). cpl 0 or 3. */
void x86_fix_real(struct x86_fix *f);
void x86_fix_prot(struct x86_fix *f, unsigned code_size, unsigned cpl);
void x86_fix_long(struct x86_fix *f, unsigned cpl);
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
