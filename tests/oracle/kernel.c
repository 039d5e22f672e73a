/*
 * Our side, what both of its engines share: user mode under a small kernel that is only tables. Every exception is
 * delivered through the IDT and what was pushed is read from the kernel's stack, so that delivery is compared too.
 */
#include <string.h>

#include "tests/oracle/ours.h"

#define KERNEL 0xffff800000000000ull
#define KERNEL_CS 0x10
#define HLT 0xf4

static void put64(uint8_t *ram, unsigned at, uint64_t v)
{
	memcpy(ram + at, &v, 8);
}

static void descriptor(uint8_t *ram, unsigned at, uint32_t base, uint32_t limit, uint32_t attr)
{
	uint64_t d = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(attr & 0xff) << 40 |
		     (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)(attr >> 12 & 15) << 52 |
		     (uint64_t)(base >> 24) << 56;

	put64(ram, at, d);
}

static void map_pages(uint8_t *ram)
{
	put64(ram, P_PML4, P_PDPT | 7);
	put64(ram, P_PDPT, P_PD | 7);
	put64(ram, P_PD + 8 * (ORC_SCRATCH >> 21), P_PT | 7);
	for (unsigned n = 0; n < 2; n++)
		put64(ram, P_PT + 8 * n, (P_SCRATCH + 0x1000 * n) | 7 | 1ull << 63);
	for (unsigned n = 0; n < 3; n++)
		put64(ram, P_PT + 8 * (((ORC_CODE - ORC_SCRATCH) >> 12) + n), (P_CODE + 0x1000 * n) | 5);
	put64(ram, P_PML4 + 8 * 256, P_KPDPT | 3);
	put64(ram, P_KPDPT, P_KPD | 3);
	put64(ram, P_KPD, P_KPT | 3);
	for (unsigned n = 0; n < P_SCRATCH >> 12; n++)
		put64(ram, P_KPT + 8 * n, n << 12 | 3);
}

static void make_tables(uint8_t *ram)
{
	struct orc_desc cpu = orc_gdt_of_cpu();

	descriptor(ram, P_GDT + 0x08, 0, 0xfffff, 0xc09b);
	descriptor(ram, P_GDT + 0x10, 0, 0xfffff, 0xa09b);
	descriptor(ram, P_GDT + 0x18, 0, 0xfffff, 0xc093);
	descriptor(ram, P_GDT + 0x20, 0, 0xfffff, 0xc0fb);
	descriptor(ram, P_GDT + 0x28, 0, 0xfffff, 0xc0f3);
	descriptor(ram, P_GDT + 0x30, 0, 0xfffff, 0xa0fb);
	descriptor(ram, P_GDT + (ORC_GDT_CPU & ~7), cpu.base, cpu.limit, cpu.attr);
	for (unsigned n = 0; n < ORC_LDT_ENTRIES; n++)
		if (orc_ldt[n].attr)
			descriptor(ram, P_LDT + 8 * n, orc_ldt[n].base, orc_ldt[n].limit, orc_ldt[n].attr);
	for (unsigned v = 0; v < 256; v++) {
		uint64_t to = KERNEL + P_HANDLERS + 8 * v;
		uint64_t access = v == VEC_BP || v == VEC_OF ? 0xee : 0x8e;

		put64(ram, P_IDT + 16 * v, (to & 0xffff) | KERNEL_CS << 16 | access << 40 | (to >> 16 & 0xffff) << 48);
		put64(ram, P_IDT + 16 * v + 8, to >> 32);
	}
	put64(ram, P_TSS + 4, KERNEL + P_STACK + 0x1000);
	ram[P_TSS + 102] = 0xff; /* I/O map beyond the limit: no port is free */
	ram[P_TSS + 103] = 0xff;
}

/* The handlers are one HLT each: whoever runs on after a delivery ends there. */
void orc_kernel_setup(struct x86_state *s, uint8_t *ram)
{
	map_pages(ram);
	make_tables(ram);
	memset(ram + P_HANDLERS, HLT, 0x1000);
	memset(ram + P_CODE, 0xcc, ORC_CODE_SIZE);
	s->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	s->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE | CR4_SMEP | CR4_SMAP | CR4_UMIP | CR4_OSXSAVE;
	s->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	s->cr3 = P_PML4;
	s->xcr0 = 3;
	s->gdtr = (struct x86_dtable){.base = KERNEL + P_GDT, .limit = 0x7f};
	s->idtr = (struct x86_dtable){.base = KERNEL + P_IDT, .limit = 0xfff};
	s->ldtr = (struct x86_seg){.sel = 0x50, .base = KERNEL + P_LDT, .limit = 8 * ORC_LDT_ENTRIES - 1, .attr = 0x82};
	s->tr = (struct x86_seg){.sel = 0x40, .base = KERNEL + P_TSS, .limit = 0x67, .attr = 0x8b};
}

void orc_load_state(struct x86_cpu *cpu, const struct orc_case *c)
{
	memcpy(cpu->s.gpr, c->in.gpr, sizeof(cpu->s.gpr));
	memcpy(cpu->s.fxsave, c->in.fx, sizeof(cpu->s.fxsave));
	for (unsigned n = 0; n < X86_SREG_COUNT; n++)
		orc_segment(c->in.sel[n], &cpu->s.seg[n]);
	cpu->s.seg[X86_FS].base = c->in.fs_base;
	cpu->s.seg[X86_GS].base = c->in.gs_base;
	cpu->s.rip = c->in.rip;
	x86_flags_write(cpu, c->in.flags);
	cpu->s.intr_shadow = 0;
	cpu->s.pending_dbg = 0;
	cpu->vectoring_valid = false;
	cpu->fault.vector = 0;
	cpu->ext = 0;
	x86_state_changed(cpu);
}

/* What the processor pushed when it entered a handler. */
static void read_frame(const struct x86_cpu *cpu, const uint8_t *ram, struct orc_result *out)
{
	uint64_t v[6], at = cpu->s.gpr[X86_RSP] - KERNEL;
	unsigned vector = (unsigned)(cpu->s.rip - KERNEL - P_HANDLERS) / 8;
	bool has_error = vector < 32 && (0x60227d00u >> vector & 1);
	const uint64_t *f = v;

	if (at > P_STACK + 0x1000 - 40 || (has_error && at > P_STACK + 0x1000 - 48)) {
		out->status = ORC_STOPPED;
		return;
	}
	memcpy(v, ram + at, has_error ? 48 : 40);
	if (has_error)
		out->error = (uint32_t)*f++;
	out->vector = (uint16_t)(vector + 1);
	out->s.rip = f[0];
	out->s.sel[X86_CS] = (uint16_t)f[1];
	out->s.flags = f[2];
	out->s.gpr[X86_RSP] = f[3];
	out->s.sel[X86_SS] = (uint16_t)f[4];
	if (vector == VEC_PF)
		out->cr2 = cpu->s.cr2;
}

static void read_registers(struct x86_cpu *cpu, struct orc_result *out)
{
	memcpy(out->s.gpr, cpu->s.gpr, sizeof(out->s.gpr));
	memcpy(out->s.fx, cpu->s.fxsave, sizeof(out->s.fx));
	for (unsigned n = 0; n < X86_SREG_COUNT; n++)
		out->s.sel[n] = cpu->s.seg[n].sel;
	out->s.fs_base = cpu->s.seg[X86_FS].base;
	out->s.gs_base = cpu->s.seg[X86_GS].base;
	out->s.rip = cpu->s.rip;
	out->s.flags = x86_flags_get(cpu);
}

void orc_load_memory(uint8_t *ram, const struct orc_case *c, const uint8_t *base)
{
	uint8_t *mem = ram + P_SCRATCH;

	memcpy(mem, base, ORC_SCRATCH_SIZE);
	for (unsigned k = 0; k < c->n_patch; k++)
		memcpy(mem + (c->patch[k].off & 0xffff), &c->patch[k].v, c->patch[k].off >> 16);
}

void orc_read_state(
    struct x86_cpu *cpu, const uint8_t *ram, const uint8_t *base, bool in_kernel, struct orc_result *out)
{
	read_registers(cpu, out);
	if (in_kernel)
		read_frame(cpu, ram, out);
	out->mem_hash = orc_hash(ram + P_SCRATCH, base);
}
