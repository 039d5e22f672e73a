/*
 * Our side of the oracle. Two engines run each case: ours.c one instruction at a time, blocks.c through the emulate
 * mode as a guest runs, by decoded blocks. The first is compared with the processor, the second with the first, to the
 * bit.
 */
#ifndef VMSCOPE_TESTS_ORACLE_OURS_H
#define VMSCOPE_TESTS_ORACLE_OURS_H

#include "core/x86/exec.h"
#include "tests/oracle/oracle.h"

/* Guest-physical pages; the kernel's are mapped at KERNEL + address, for the supervisor. */
enum {
	P_PML4 = 0x1000,
	P_PDPT = 0x2000,
	P_PD = 0x3000,
	P_PT = 0x4000,
	P_KPDPT = 0x5000,
	P_KPD = 0x6000,
	P_KPT = 0x7000,
	P_GDT = 0x8000,
	P_LDT = 0x9000,
	P_IDT = 0xa000,
	P_TSS = 0xb000,
	P_STACK = 0xc000,
	P_HANDLERS = 0xd000,
	P_SCRATCH = 0x10000,
	P_CODE = 0x12000,
	P_END = 0x15000
};

/* --- kernel.c: ram is P_END bytes of guest-physical memory from 0 --- */
/* Tables and code pages into ram, system registers into s, which is as after a reset. */
void orc_kernel_setup(struct x86_state *s, uint8_t *ram);
void orc_load_state(struct x86_cpu *cpu, const struct orc_case *c);
void orc_load_memory(uint8_t *ram, const struct orc_case *c, const uint8_t *base);
/* in_kernel: an exception was delivered, and the processor is about to execute its handler. */
void orc_read_state(
    struct x86_cpu *cpu, const uint8_t *ram, const uint8_t *base, bool in_kernel, struct orc_result *out);

#endif
