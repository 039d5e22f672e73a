/* See x86_fixture.h. */
#include "tests/x86_fixture.h"

#include <stdlib.h>
#include <string.h>

static uint8_t *fix_page(void *arg, gpa_t gpa, bool write)
{
	struct x86_fix *f = arg;

	if (gpa >= X86_FIX_RAM || (write && gpa >= f->rom_start && gpa < f->rom_end))
		return NULL;
	if (write)
		f->dirty[gpa >> PAGE_SHIFT_4K] = true;
	return f->ram + (gpa & ~(gpa_t)(PAGE_SIZE_4K - 1));
}

static void log_access(struct x86_fix *f, bool mmio, bool write, uint64_t addr, unsigned n, uint64_t v)
{
	if (f->n_log < X86_FIX_LOG)
		f->log[f->n_log] = (struct x86_fix_access){mmio, write, addr, v, n};
	f->n_log++;
}

static uint64_t fix_mmio_read(void *arg, gpa_t gpa, unsigned n)
{
	struct x86_fix *f = arg;

	log_access(f, true, false, gpa, n, f->mmio_value);
	return gpa < X86_FIX_RAM ? x86_get(f->ram + gpa, n) : f->mmio_value;
}

static void fix_mmio_write(void *arg, gpa_t gpa, unsigned n, uint64_t v)
{
	log_access(arg, true, true, gpa, n, v);
}

static uint64_t fix_io_read(void *arg, uint16_t port, unsigned n)
{
	struct x86_fix *f = arg;

	log_access(f, false, false, port, n, f->io_value);
	return f->io_value;
}

static void fix_io_write(void *arg, uint16_t port, unsigned n, uint64_t v)
{
	log_access(arg, false, true, port, n, v);
}

static bool fix_rdmsr(void *arg, uint32_t msr, uint64_t *v)
{
	struct x86_fix *f = arg;

	if (msr == 0x10) {
		*v = f->tsc;
		return true;
	}
	return x86_rdmsr(f->c, msr, v);
}

static bool fix_wrmsr(void *arg, uint32_t msr, uint64_t v)
{
	struct x86_fix *f = arg;

	if (msr == 0x10) {
		f->tsc = v;
		return true;
	}
	return x86_wrmsr(f->c, msr, v);
}

static void fix_cpuid(void *arg, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	struct x86_fix *f = arg;

	x86_cpuid(f->c, leaf, subleaf, out);
}

static uint64_t fix_tsc(void *arg)
{
	struct x86_fix *f = arg;

	return f->tsc;
}

static void fix_code_written(void *arg, gpa_t gpa, unsigned n)
{
	struct x86_fix *f = arg;

	(void)n;
	f->code_writes++;
	f->code_write_gpa = gpa;
}

static const struct x86_env fix_env = {
    .page = fix_page,
    .mmio_read = fix_mmio_read,
    .mmio_write = fix_mmio_write,
    .io_read = fix_io_read,
    .io_write = fix_io_write,
    .rdmsr = fix_rdmsr,
    .wrmsr = fix_wrmsr,
    .cpuid = fix_cpuid,
    .tsc = fix_tsc,
    .code_written = fix_code_written,
};

struct x86_fix *x86_fix_new(void)
{
	struct x86_fix *f = calloc(1, sizeof *f);

	if (!f)
		abort();
	f->c = calloc(1, sizeof *f->c);
	f->ram = calloc(1, X86_FIX_RAM);
	if (!f->c || !f->ram)
		abort();
	x86_fix_reset(f);
	return f;
}

void x86_fix_free(struct x86_fix *f)
{
	free(f->ram);
	free(f->c);
	free(f);
}

int x86_fix_setup(void **state)
{
	*state = x86_fix_new();
	return 0;
}

int x86_fix_teardown(void **state)
{
	x86_fix_free(*state);
	return 0;
}

void x86_fix_reset_cpu(struct x86_fix *f)
{
	memset(f->c, 0, sizeof *f->c);
	f->c->env = &fix_env;
	f->c->env_arg = f;
	f->c->exit = &f->exit;
	f->c->budget = UINT64_MAX;
	x86_reset(f->c);
}

void x86_fix_reset(struct x86_fix *f)
{
	struct x86_fix keep = {.c = f->c, .ram = f->ram};

	*f = keep;
	memset(f->ram, 0, X86_FIX_RAM);
	f->io_value = 0x11223344;
	f->mmio_value = 0x8877665544332211u;
	x86_fix_reset_cpu(f);
}

static void set_flat(struct x86_fix *f, unsigned cpl, uint32_t code_attr, uint32_t data_attr, uint32_t limit)
{
	for (unsigned n = 0; n < X86_SREG_COUNT; n++) {
		struct x86_seg *s = &f->c->s.seg[n];

		s->base = 0;
		s->limit = limit;
		s->attr = (n == X86_CS ? code_attr : data_attr) | cpl << SEG_DPL_SHIFT;
		s->sel = (uint16_t)((n == X86_CS ? 0x08 : 0x10) | cpl);
	}
}

void x86_fix_real(struct x86_fix *f)
{
	for (unsigned n = 0; n < X86_SREG_COUNT; n++)
		f->c->s.seg[n] = (struct x86_seg){.limit = 0xffff, .attr = 0x93};
	f->c->s.gpr[X86_RSP] = 0x9000;
	f->c->s.rip = 0x7c00;
	x86_state_changed(f->c);
}

void x86_fix_prot(struct x86_fix *f, unsigned code_size, unsigned cpl)
{
	f->c->s.cr0 |= CR0_PE;
	if (code_size == 4)
		set_flat(f, cpl, 0xc09b, 0xc093, 0xffffffffu);
	else
		set_flat(f, cpl, 0x009b, 0x0093, 0xffff);
	f->c->s.gpr[X86_RSP] = 0x9000;
	x86_state_changed(f->c);
}

void x86_fix_long(struct x86_fix *f, unsigned cpl)
{
	x86_fix_poke(f, 0x100000, 8, 0x101007);
	x86_fix_poke(f, 0x101000, 8, 0x102007);
	for (unsigned n = 0; n < 512; n++)
		x86_fix_poke(f, 0x102000 + 8 * n, 8, (uint64_t)n << 21 | 0x87);
	f->c->s.cr0 |= CR0_PE | CR0_PG;
	f->c->s.cr4 |= CR4_PAE;
	f->c->s.cr3 = 0x100000;
	f->c->s.efer |= EFER_LME | EFER_LMA;
	set_flat(f, cpl, 0xa09b, 0xc093, 0xffffffffu);
	f->c->s.gpr[X86_RSP] = 0x9000;
	x86_state_changed(f->c);
}

void x86_fix_desc(struct x86_fix *f, uint64_t at, uint32_t base, uint32_t limit, uint32_t attr)
{
	uint32_t l = attr & SEG_G ? limit >> 12 : limit;

	x86_fix_poke(f, at, 4, (l & 0xffff) | (uint64_t)(base & 0xffff) << 16);
	x86_fix_poke(
	    f, at + 4, 4, (base >> 16 & 0xff) | (uint64_t)(attr & 0xf0ff) << 8 | (l & 0xf0000) | (base & 0xff000000u));
}

void x86_fix_gate(struct x86_fix *f, uint64_t at, uint16_t sel, uint64_t off, unsigned access, unsigned count)
{
	x86_fix_poke(f, at, 4, (off & 0xffff) | (uint64_t)sel << 16);
	x86_fix_poke(f, at + 4, 4, (off & 0xffff0000u) | (uint64_t)(access & 0xff) << 8 | (count & 0x1f));
	if (f->c->s.efer & EFER_LMA)
		x86_fix_poke(f, at + 8, 8, off >> 32);
}

void x86_fix_idt(struct x86_fix *f, unsigned n, uint16_t sel, uint64_t off, unsigned access)
{
	unsigned size = f->c->s.efer & EFER_LMA ? 16 : 8;

	x86_fix_gate(f, X86_FIX_IDT + n * size, sel, off, access, 0);
}

void x86_fix_tables(struct x86_fix *f)
{
	bool lma = f->c->s.efer & EFER_LMA;
	uint32_t code = lma ? 0xa09b : 0xc09b;
	const struct {
		uint16_t sel;
		uint32_t attr;
	} rows[] = {{SEL_CODE0, code}, {SEL_DATA0, 0xc093}, {SEL_CODE3, code | 0x60}, {SEL_DATA3, 0xc0f3},
	    {SEL_CONFORMING0, code | 4}, {SEL_READ_ONLY0, 0xc091}, {SEL_NOT_PRESENT0, 0xc013},
	    {SEL_EXEC_ONLY0, code & ~2u}, {SEL_CODE16, 0x809b}};

	for (unsigned n = 0; n < sizeof rows / sizeof rows[0]; n++)
		x86_fix_desc(f, X86_FIX_GDT + rows[n].sel, 0, 0xffffffffu, rows[n].attr);
	x86_fix_desc(f, X86_FIX_GDT + SEL_TSS, X86_FIX_TSS, 0xff, 0x8b);
	f->c->s.gdtr = (struct x86_dtable){.base = X86_FIX_GDT, .limit = 0xff};
	f->c->s.idtr = (struct x86_dtable){.base = X86_FIX_IDT, .limit = lma ? 0xfff : 0x7ff};
	f->c->s.tr = (struct x86_seg){.base = X86_FIX_TSS, .limit = 0xff, .attr = 0x8b, .sel = SEL_TSS};
	f->c->s.ldtr = (struct x86_seg){.attr = SEG_UNUSABLE};
	x86_fix_poke(f, X86_FIX_TSS + 4, lma ? 8 : 4, X86_FIX_STACK0);
	if (!lma)
		x86_fix_poke(f, X86_FIX_TSS + 8, 2, SEL_DATA0);
	x86_fix_poke(f, X86_FIX_TSS + 0x66, 2, 0xffff); /* no I/O bitmap */
	if (f->c->cpl == 3) {
		f->c->s.seg[X86_CS].sel = SEL_CODE3 | 3;
		for (unsigned n = 0; n < X86_SREG_COUNT; n++)
			if (n != X86_CS)
				f->c->s.seg[n].sel = SEL_DATA3 | 3;
	}
}

void x86_fix_controls(struct x86_fix *f, const char *profile)
{
	struct errmsg why;

	if (controls_set(&f->ctl, profile, &why) != ERR_OK)
		abort();
	f->c->ctl = &f->ctl;
}

void x86_fix_code(struct x86_fix *f, uint64_t addr, const void *code, size_t n)
{
	memcpy(f->ram + addr, code, n);
	f->c->s.rip = addr;
}

enum x86_rc x86_fix_run(struct x86_fix *f, unsigned n)
{
	enum x86_rc rc = X86_OK;

	while (n-- && rc == X86_OK)
		rc = x86_step(f->c);
	return rc;
}

uint64_t x86_fix_peek(const struct x86_fix *f, uint64_t addr, unsigned n)
{
	return x86_get(f->ram + addr, n);
}

void x86_fix_poke(struct x86_fix *f, uint64_t addr, unsigned n, uint64_t v)
{
	x86_put(f->ram + addr, n, v);
}
