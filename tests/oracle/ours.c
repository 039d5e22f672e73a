/*
 * Our side: the CPU of core/x86 in user mode under a small kernel that is only tables. Every exception is delivered
 * through the IDT and what was pushed is read from the kernel's stack, so that delivery is compared too.
 */
#include <stdlib.h>
#include <string.h>

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
#define KERNEL 0xffff800000000000ull
#define KERNEL_CS 0x10

static uint8_t ram[P_END] __attribute__((aligned(4096)));
static struct x86_cpu cpu;
static struct vm_exit vmexit;
static x86_handler broken_handler;

static uint8_t *env_page(void *arg, gpa_t gpa, bool write)
{
	(void)arg;
	(void)write;
	return gpa < sizeof(ram) ? ram + (gpa & ~0xfffull) : NULL;
}

static uint64_t env_mmio_read(void *arg, gpa_t gpa, unsigned n)
{
	(void)arg;
	(void)gpa;
	(void)n;
	abort();
}

static void env_mmio_write(void *arg, gpa_t gpa, unsigned n, uint64_t v)
{
	(void)v;
	env_mmio_read(arg, gpa, n);
}

static uint64_t env_io_read(void *arg, uint16_t port, unsigned n)
{
	return env_mmio_read(arg, port, n);
}

static void env_io_write(void *arg, uint16_t port, unsigned n, uint64_t v)
{
	(void)v;
	env_mmio_read(arg, port, n);
}

static bool env_msr(void *arg, uint32_t msr, uint64_t *v)
{
	(void)arg;
	(void)msr;
	(void)v;
	return false;
}

static bool env_wrmsr(void *arg, uint32_t msr, uint64_t v)
{
	(void)v;
	return env_msr(arg, msr, NULL);
}

static void env_cpuid(void *arg, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	(void)arg;
	x86_cpuid(&cpu, leaf, subleaf, out);
}

static uint64_t env_tsc(void *arg)
{
	(void)arg;
	return 0;
}

static void env_code_written(void *arg, gpa_t gpa, unsigned n)
{
	(void)arg;
	(void)gpa;
	(void)n;
}

static const struct x86_env env = {.page = env_page,
    .mmio_read = env_mmio_read,
    .mmio_write = env_mmio_write,
    .io_read = env_io_read,
    .io_write = env_io_write,
    .rdmsr = env_msr,
    .wrmsr = env_wrmsr,
    .cpuid = env_cpuid,
    .tsc = env_tsc,
    .code_written = env_code_written};

static void put64(unsigned at, uint64_t v)
{
	memcpy(ram + at, &v, 8);
}

static void descriptor(unsigned at, uint32_t base, uint32_t limit, uint32_t attr)
{
	uint64_t d = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(attr & 0xff) << 40 |
		     (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)(attr >> 12 & 15) << 52 |
		     (uint64_t)(base >> 24) << 56;

	put64(at, d);
}

static void map_pages(void)
{
	put64(P_PML4, P_PDPT | 7);
	put64(P_PDPT, P_PD | 7);
	put64(P_PD + 8 * (ORC_SCRATCH >> 21), P_PT | 7);
	for (unsigned n = 0; n < 2; n++)
		put64(P_PT + 8 * n, (P_SCRATCH + 0x1000 * n) | 7 | 1ull << 63);
	for (unsigned n = 0; n < 3; n++)
		put64(P_PT + 8 * (((ORC_CODE - ORC_SCRATCH) >> 12) + n), (P_CODE + 0x1000 * n) | 5);
	put64(P_PML4 + 8 * 256, P_KPDPT | 3);
	put64(P_KPDPT, P_KPD | 3);
	put64(P_KPD, P_KPT | 3);
	for (unsigned n = 0; n < P_SCRATCH >> 12; n++)
		put64(P_KPT + 8 * n, n << 12 | 3);
}

static void make_tables(void)
{
	descriptor(P_GDT + 0x08, 0, 0xfffff, 0xc09b);
	descriptor(P_GDT + 0x10, 0, 0xfffff, 0xa09b);
	descriptor(P_GDT + 0x18, 0, 0xfffff, 0xc093);
	descriptor(P_GDT + 0x20, 0, 0xfffff, 0xc0fb);
	descriptor(P_GDT + 0x28, 0, 0xfffff, 0xc0f3);
	descriptor(P_GDT + 0x30, 0, 0xfffff, 0xa0fb);
	for (unsigned n = 0; n < ORC_LDT_ENTRIES; n++)
		if (orc_ldt[n].attr)
			descriptor(P_LDT + 8 * n, orc_ldt[n].base, orc_ldt[n].limit, orc_ldt[n].attr);
	for (unsigned v = 0; v < 256; v++) {
		uint64_t to = KERNEL + P_HANDLERS + 8 * v;
		uint64_t access = v == VEC_BP || v == VEC_OF ? 0xee : 0x8e;

		put64(P_IDT + 16 * v, (to & 0xffff) | KERNEL_CS << 16 | access << 40 | (to >> 16 & 0xffff) << 48);
		put64(P_IDT + 16 * v + 8, to >> 32);
	}
	put64(P_TSS + 4, KERNEL + P_STACK + 0x1000);
	ram[P_TSS + 102] = 0xff; /* I/O map beyond the limit: no port is free */
	ram[P_TSS + 103] = 0xff;
}

void orc_ours_setup(void)
{
	map_pages();
	make_tables();
	memset(ram + P_CODE, 0xcc, ORC_CODE_SIZE);
	cpu.env = &env;
	cpu.exit = &vmexit;
	x86_reset(&cpu);
	cpu.s.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	cpu.s.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE | CR4_SMEP | CR4_SMAP | CR4_UMIP | CR4_OSXSAVE;
	cpu.s.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	cpu.s.cr3 = P_PML4;
	cpu.s.xcr0 = 3;
	cpu.s.gdtr = (struct x86_dtable){.base = KERNEL + P_GDT, .limit = 0x7f};
	cpu.s.idtr = (struct x86_dtable){.base = KERNEL + P_IDT, .limit = 0xfff};
	cpu.s.ldtr =
	    (struct x86_seg){.sel = 0x50, .base = KERNEL + P_LDT, .limit = 8 * ORC_LDT_ENTRIES - 1, .attr = 0x82};
	cpu.s.tr = (struct x86_seg){.sel = 0x40, .base = KERNEL + P_TSS, .limit = 0x67, .attr = 0x8b};
}

static void load_state(const struct orc_case *c)
{
	memcpy(cpu.s.gpr, c->in.gpr, sizeof(cpu.s.gpr));
	memcpy(cpu.s.fxsave, c->in.fx, sizeof(cpu.s.fxsave));
	for (unsigned n = 0; n < X86_SREG_COUNT; n++)
		orc_segment(c->in.sel[n], &cpu.s.seg[n]);
	cpu.s.seg[X86_FS].base = c->in.fs_base;
	cpu.s.seg[X86_GS].base = c->in.gs_base;
	cpu.s.rip = c->in.rip;
	x86_flags_write(&cpu, c->in.flags);
	cpu.s.intr_shadow = 0;
	cpu.s.pending_dbg = 0;
	cpu.vectoring_valid = false;
	cpu.fault.vector = 0;
	cpu.ext = 0;
	x86_state_changed(&cpu);
}

/* What the processor pushed when it entered a handler. */
static void read_frame(struct orc_result *out)
{
	uint64_t v[6], at = cpu.s.gpr[X86_RSP] - KERNEL;
	unsigned vector = (unsigned)(cpu.s.rip - KERNEL - P_HANDLERS) / 8;
	bool has_error = vector < 32 && (0x60227d00u >> vector & 1);
	const uint64_t *f = v;

	if (at > P_STACK + 0x1000 - 40 || (has_error && at > P_STACK + 0x1000 - 48)) {
		out->status = ORC_NOT_OURS;
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
		out->cr2 = cpu.s.cr2;
}

static void read_state(struct orc_result *out)
{
	memcpy(out->s.gpr, cpu.s.gpr, sizeof(out->s.gpr));
	memcpy(out->s.fx, cpu.s.fxsave, sizeof(out->s.fx));
	for (unsigned n = 0; n < X86_SREG_COUNT; n++)
		out->s.sel[n] = cpu.s.seg[n].sel;
	out->s.fs_base = cpu.s.seg[X86_FS].base;
	out->s.gs_base = cpu.s.seg[X86_GS].base;
	out->s.rip = cpu.s.rip;
	out->s.flags = x86_flags_get(&cpu);
}

/* One instruction, or as many as it takes to meet an exception. False: our CPU gave up. */
static bool run(const struct orc_case *c, bool *ended)
{
	for (unsigned n = 0; n < 8; n++) {
		enum x86_rc rc;

		cpu.budget = 1u << 20;
		rc = x86_step(&cpu);
		if (rc == X86_FAULT) {
			struct x86_event ev = cpu.fault;

			rc = x86_deliver(&cpu, &ev);
		}
		if (rc != X86_OK)
			return false;
		*ended = cpu.cpl == 0;
		if (*ended || !c->ends_by_trap)
			return true;
		/* Back in the instruction itself: it might go on for ever. */
		if (x86_linear_ip(&cpu) - c->slot < c->insn_len)
			return false;
	}
	return false;
}

void orc_ours_run(const struct orc_case *c, const uint8_t *base, struct orc_result *out)
{
	uint8_t *slot = ram + P_CODE + (c->slot - ORC_CODE), *mem = ram + P_SCRATCH;
	bool ended = false;

	memset(out, 0, sizeof(*out));
	memcpy(mem, base, ORC_SCRATCH_SIZE);
	for (unsigned k = 0; k < c->n_patch; k++)
		memcpy(mem + (c->patch[k].off & 0xffff), &c->patch[k].v, c->patch[k].off >> 16);
	memcpy(slot, c->code, c->n);
	load_state(c);
	if (!run(c, &ended))
		out->status = ORC_NOT_OURS;
	read_state(out);
	if (ended)
		read_frame(out);
	out->mem_hash = orc_hash(mem, base);
	memset(slot, 0xcc, c->n);
}

const uint8_t *orc_ours_memory(void)
{
	return ram + P_SCRATCH;
}

/* --- breaking a handler on purpose --- */

static uint16_t broken_id;
static uint32_t broken_flag;

static enum x86_rc broken(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = broken_handler(c, i);

	if (rc == X86_OK && broken_flag)
		x86_flags_update(c, broken_flag, ~x86_flags_get(c));
	else if (rc == X86_OK)
		c->s.gpr[X86_RAX] ^= 1ull << 7;
	return rc;
}

static void on_insn(void *arg, const struct x86_insn *i)
{
	(void)arg;
	if (i->id != broken_id)
		return;
	broken_handler = i->fn;
	memcpy((void *)(uintptr_t)&i->fn, &(x86_handler){broken}, sizeof(i->fn)); /* the stepper's own copy */
}

bool orc_ours_break(const char *what)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} flags[] = {{"cf", FLAG_CF}, {"pf", FLAG_PF}, {"af", FLAG_AF}, {"zf", FLAG_ZF}, {"sf", FLAG_SF},
	    {"of", FLAG_OF}, {"df", FLAG_DF}, {"rax", 0}};
	const char *colon = strchr(what, ':');
	bool found = false;

	for (unsigned k = 0; colon && k < sizeof(flags) / sizeof(flags[0]); k++) {
		if (strcmp(flags[k].name, colon + 1) == 0) {
			broken_flag = flags[k].flag;
			found = true;
		}
	}
	if (!found)
		return false;
	for (uint16_t id = 1; id < INSN_COUNT; id++) {
		const char *name = x86_insn_name(id);

		if (strlen(name) == (size_t)(colon - what) && strncmp(name, what, strlen(name)) == 0) {
			broken_id = id;
			cpu.on_insn = on_insn;
			return true;
		}
	}
	return false;
}
