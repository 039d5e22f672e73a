/*
 * The registers of the local APIC, by its page (xAPIC) or by MSRs (x2APIC) [SDM 3A "Local APIC"]. The two are one set
 * of registers: MSR 800H + n is offset 10H * n of the page. Differences: no DFR, ICR in one piece, self IPI, the ID as
 * wide as a register, a logical ID that follows from it, and #GP where the page ignores.
 *
 * IA32_APIC_BASE (1BH) of each CPU says whether its APIC is there, in which of the two modes, and where the page is.
 * The state machine of its two bits: off -> xAPIC -> x2APIC -> off, everything else #GP.
 *
 * After power-on, LINT0 of the bootstrap CPU is open for ExtINT, as firmware leaves it (virtual wire): a guest that is
 * loaded without firmware gets the interrupts of the PIC, whether or not it knows of this APIC. An INIT, or switching
 * the APIC off and on, leaves LINT0 masked.
 */
#include "core/dev/lapic_priv.h"

#include "core/x86/access.h"

#define VERSION (0x14u | (LVT_COUNT - 1u) << 16)
#define LINT0_VIRTUAL_WIRE 0x700u
#define SVR_RESET 0xffu
#define SVR_WRITABLE 0x3ffu
#define SVR_WRITABLE_X2 0x1ffu
#define ICR_WRITABLE 0x000ccfffu
#define DIVIDE_WRITABLE 0xbu

#define MSR_APIC_BASE 0x1bu
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC 0x800u
#define MSR_X2APIC_N 0x100u

enum {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09,
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_RRD = 0x0c,
	REG_LDR = 0x0d,
	REG_DFR = 0x0e,
	REG_SVR = 0x0f,
	REG_ISR = 0x10,
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ESR = 0x28,
	REG_ICR = 0x30,
	REG_ICR_HIGH = 0x31,
	REG_LVT = 0x32,
	REG_INITIAL = 0x38,
	REG_CURRENT = 0x39,
	REG_DIVIDE = 0x3e,
	REG_SELF_IPI = 0x3f,
};

static const uint32_t lvt_writable[LVT_COUNT] = {
    [LVT_TIMER] = 0x700ff,
    [LVT_THERMAL] = 0x107ff,
    [LVT_PERF] = 0x107ff,
    [LVT_LINT0] = 0x1a7ff,
    [LVT_LINT1] = 0x1a7ff,
    [LVT_ERROR] = 0x100ff,
};

/* --- Reading ----------------------------------------------------------------------------------------------------- */

/* Vectors: eight registers for each of ISR, TMR, IRR; then the local vector table. False: another register. */
static bool read_array(const struct lapic_cpu *a, unsigned reg, uint32_t *value)
{
	const uint32_t *const sets[] = {a->isr, a->tmr, a->irr};

	if (reg >= REG_ISR && reg < REG_ESR)
		*value = sets[(reg - REG_ISR) / 8][(reg - REG_ISR) % 8];
	else if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT)
		*value = a->lvt[reg - REG_LVT];
	else
		return false;
	return true;
}

/* Registers that only the page has. APR and remote read: there is no APIC bus. EOI is write-only. */
static bool read_page_only(const struct lapic_cpu *a, unsigned reg, uint32_t *value)
{
	*value = reg == REG_DFR ? a->dfr : reg == REG_ICR_HIGH ? a->icr_high : 0;
	return reg == REG_DFR || reg == REG_ICR_HIGH || reg == REG_APR || reg == REG_RRD || reg == REG_EOI;
}

static bool read_register(struct vcpu *v, unsigned reg, uint32_t *value)
{
	const struct lapic_cpu *a = lapic_of(v);
	bool x2 = lapic_is_x2(v);

	if (read_array(a, reg, value))
		return true;
	switch (reg) {
	case REG_ID:
		*value = x2 ? v->id : a->id << 24;
		return true;
	case REG_VERSION:
		*value = VERSION;
		return true;
	case REG_TPR:
		*value = lapic_tpr(v);
		return true;
	case REG_PPR:
		*value = lapic_ppr(v);
		return true;
	case REG_LDR:
		*value = x2 ? lapic_x2_ldr(v) : a->ldr;
		return true;
	case REG_SVR:
		*value = a->svr;
		return true;
	case REG_ESR:
		*value = a->esr;
		return true;
	case REG_ICR:
		*value = a->icr_low;
		return true;
	case REG_INITIAL:
		*value = a->initial;
		return true;
	case REG_CURRENT:
		*value = lapic_timer_count(v);
		return true;
	case REG_DIVIDE:
		*value = a->divide;
		return true;
	default:
		return !x2 && read_page_only(a, reg, value);
	}
}

/* --- Writing ----------------------------------------------------------------------------------------------------- */

static void write_tpr(struct vcpu *v, uint32_t value)
{
	struct x86_state *s = vcpu_state_for_write(v, DIRTY_SREGS);

	lapic_of(v)->tpr = value;
	if (s)
		s->cr8 = value >> 4;
}

/* An APIC that software disables masks all of its local vectors, and they stay so [SDM 3A "Local APIC State After It
 * Has Been Software Disabled"]. */
static void write_svr(struct vcpu *v, uint32_t value)
{
	struct lapic_cpu *a = lapic_of(v);

	a->svr = value;
	for (unsigned i = 0; !(value & SVR_ENABLED) && i < LVT_COUNT; i++)
		a->lvt[i] |= LVT_MASKED;
	lapic_timer_arm(v);
}

static void write_lvt(struct vcpu *v, enum lapic_lvt which, uint32_t value)
{
	struct lapic_cpu *a = lapic_of(v);

	value &= lvt_writable[which];
	if (!(a->svr & SVR_ENABLED))
		value |= LVT_MASKED;
	if (which == LVT_TIMER)
		lapic_timer_lvt(v, value);
	else
		a->lvt[which] = value;
}

static void write_esr(struct lapic_cpu *a)
{
	a->esr = a->esr_next;
	a->esr_next = 0;
}

/* The bits of a register that may be set in x2APIC mode; a register that is not there, or cannot be written: false. */
static bool x2_writable(unsigned reg, uint32_t *mask)
{
	*mask = UINT32_MAX;
	if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT) {
		*mask = lvt_writable[reg - REG_LVT];
		return true;
	}
	switch (reg) {
	case REG_TPR:
	case REG_SELF_IPI:
		*mask = 0xff;
		return true;
	case REG_EOI:
	case REG_ESR:
		*mask = 0;
		return true;
	case REG_SVR:
		*mask = SVR_WRITABLE_X2;
		return true;
	case REG_ICR:
		*mask = ICR_WRITABLE;
		return true;
	case REG_DIVIDE:
		*mask = DIVIDE_WRITABLE;
		return true;
	default:
		return reg == REG_INITIAL;
	}
}

static bool is_read_only(unsigned reg)
{
	return reg == REG_VERSION || reg == REG_APR || reg == REG_PPR || reg == REG_RRD || reg == REG_CURRENT ||
	       (reg >= REG_ISR && reg < REG_ESR);
}

/* False: there is no such register. */
static bool write_register(struct vcpu *v, unsigned reg, uint32_t value)
{
	struct lapic_cpu *a = lapic_of(v);

	if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT) {
		write_lvt(v, (enum lapic_lvt)(reg - REG_LVT), value);
		return true;
	}
	switch (reg) {
	case REG_ID:
		a->id = value >> 24;
		return true;
	case REG_TPR:
		write_tpr(v, value & 0xff);
		return true;
	case REG_EOI:
		lapic_eoi(v);
		return true;
	case REG_LDR:
		a->ldr = value & 0xff000000u;
		return true;
	case REG_DFR:
		a->dfr = value | 0x0fffffffu;
		return true;
	case REG_SVR:
		write_svr(v, value & SVR_WRITABLE);
		return true;
	case REG_ESR:
		write_esr(a);
		return true;
	case REG_ICR:
		a->icr_low = value & ICR_WRITABLE;
		lapic_send_icr(v);
		return true;
	case REG_ICR_HIGH:
		a->icr_high = value & 0xff000000u;
		return true;
	case REG_INITIAL:
		lapic_timer_start(v, value);
		return true;
	case REG_DIVIDE:
		lapic_timer_divide(v, value & DIVIDE_WRITABLE);
		return true;
	case REG_SELF_IPI:
		if (lapic_is_x2(v))
			lapic_self_ipi(v, (uint8_t)value);
		return lapic_is_x2(v);
	default:
		return is_read_only(reg);
	}
}

/* --- The page ---------------------------------------------------------------------------------------------------- */

#define REG_OF(gpa) ((unsigned)((gpa) >> 4 & 0xffu))

/* A register is 32 bits at a multiple of 16. Narrower reads get their part, wider ones zeros above. */
uint64_t lapic_mmio_read(struct vcpu *v, gpa_t gpa, unsigned n)
{
	unsigned at = gpa & 15u;
	uint32_t value = 0;

	(void)n;
	if (!read_register(v, REG_OF(gpa), &value))
		lapic_error(v, ESR_ILLEGAL_REGISTER);
	return at < 4 ? value >> (8 * at) : 0;
}

/* Only whole registers can be written. */
void lapic_mmio_write(struct vcpu *v, gpa_t gpa, unsigned n, uint64_t value)
{
	if ((gpa & 15u) != 0 || n < 4)
		return;
	if (!write_register(v, REG_OF(gpa), (uint32_t)value))
		lapic_error(v, ESR_ILLEGAL_REGISTER);
}

/* --- The MSRs ---------------------------------------------------------------------------------------------------- */

static void cpu_reset(struct vcpu *v)
{
	struct lapic_cpu *a = lapic_of(v);

	*a = (struct lapic_cpu){.id = v->id, .dfr = DFR_FLAT, .svr = SVR_RESET, .fire_ns = CLOCK_NEVER};
	for (unsigned i = 0; i < LVT_COUNT; i++)
		a->lvt[i] = LVT_MASKED;
	lapic_timer_arm(v);
}

/* What waits for the CPU beside vectors outlives its APIC being switched off. */
void lapic_base_written(struct vcpu *v, uint64_t old)
{
	bool was = old & APIC_BASE_EN, is = lapic_is_on(v);

	if (was != is) {
		struct lapic_signals s = lapic_signals(v);

		cpu_reset(v);
		lapic_of(v)->nmi = s.nmi;
		lapic_of(v)->init = s.init;
	}
	if (lapic_is_x2(v) && !((old ^ v->cpu.s.apic_base) & APIC_BASE_EN))
		lapic_of(v)->icr_high = 0;
	/* The page moved: what the TLB says about both places is old. */
	if (old != v->cpu.s.apic_base)
		x86_tlb_flush(&v->cpu);
}

static bool write_base(struct vcpu *v, uint64_t value)
{
	struct x86_state *s = &v->cpu.s;
	uint64_t old = s->apic_base, mode = APIC_BASE_EN | APIC_BASE_EXTD;
	uint64_t from = old & mode, to = value & mode;

	if (value & ~(APIC_BASE_ADDRESS | mode | APIC_BASE_BSP) || to == APIC_BASE_EXTD)
		return false;
	if ((from == mode && to == APIC_BASE_EN) || (from == 0 && to == mode))
		return false;
	s->apic_base = (value & ~APIC_BASE_BSP) | (old & APIC_BASE_BSP);
	lapic_base_written(v, old);
	return true;
}

bool lapic_has_msr(uint32_t msr)
{
	return msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE || msr - MSR_X2APIC < MSR_X2APIC_N;
}

bool lapic_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	uint32_t low;

	if (msr == MSR_APIC_BASE) {
		*value = v->cpu.s.apic_base;
		return true;
	}
	if (msr == MSR_TSC_DEADLINE) {
		*value = lapic_timer_deadline(v);
		return true;
	}
	if (!lapic_is_x2(v) || !read_register(v, msr - MSR_X2APIC, &low))
		return false;
	*value = low;
	if (msr - MSR_X2APIC == REG_ICR)
		*value |= (uint64_t)lapic_of(v)->icr_high << 32;
	return true;
}

bool lapic_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value)
{
	unsigned reg = msr - MSR_X2APIC;
	uint32_t mask;

	if (msr == MSR_APIC_BASE)
		return write_base(v, value);
	if (msr == MSR_TSC_DEADLINE) {
		lapic_timer_set_deadline(v, value);
		return true;
	}
	if (!lapic_is_x2(v) || !x2_writable(reg, &mask) || ((uint32_t)value & ~mask))
		return false;
	if (reg == REG_ICR)
		lapic_of(v)->icr_high = (uint32_t)(value >> 32);
	else if (value >> 32)
		return false;
	return write_register(v, reg, (uint32_t)value);
}

void lapic_init_taken(struct vcpu *v)
{
	struct lapic_cpu *a = lapic_of(v);
	uint32_t id = a->id;
	uint8_t startup = a->startup, vector = a->startup_vector;

	cpu_reset(v);
	a->id = id;
	a->startup = startup;
	a->startup_vector = vector;
}

/* --- The device -------------------------------------------------------------------------------------------------- */

static enum err lapic_init(struct device *d, struct errmsg *why)
{
	return dev_add_timer(d, lapic_timer_fire, why);
}

static void lapic_reset(struct device *d)
{
	memset(d->state, 0, sizeof(struct lapic_state));
	for (unsigned i = 0; i < d->vm->n_vcpus; i++)
		cpu_reset(&d->vm->vcpus[i]);
	((struct lapic_state *)d->state)->cpu[0].lvt[LVT_LINT0] = LINT0_VIRTUAL_WIRE;
}

static void lapic_restored(struct device *d)
{
	lapic_timer_arm_clock(d->vm);
}

/* It has no place on the bus: see core/env.c. */
static uint64_t lapic_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	(void)d, (void)region, (void)off, (void)len;
	return UINT64_MAX;
}

static void lapic_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	(void)d, (void)region, (void)off, (void)len, (void)value;
}

const struct device_ops lapic_ops = {
    .name = "lapic",
    .state_version = 1,
    .state_size = sizeof(struct lapic_state),
    .init = lapic_init,
    .reset = lapic_reset,
    .read = lapic_read,
    .write = lapic_write,
    .max_access = 4,
    .restored = lapic_restored,
};
