/*
 * Interrupts in the local APIC [SDM 3A "Handling Interrupts"]: what arrives, who is meant, what may interrupt now.
 *
 *   message --> IRR (requested) --> above PPR? --> ISR (in service) --> EOI --> IOAPIC, when TMR says level
 *                                    PPR: the higher class of TPR (software's wish) and of the top of ISR
 *
 * A vector's class is its upper half. NMI, INIT, start-up and ExtINT go past IRR, and past a software disable.
 */
#include "core/dev/ioapic.h"
#include "core/dev/lapic_priv.h"

#define VECTOR_MIN 16u /* 0-15 cannot be sent or received */
#define BROADCAST_8 0xffu
#define BROADCAST_32 0xffffffffu

#define ICR_LOGICAL (1u << 11)
#define ICR_LEVEL (1u << 14)
#define ICR_TRIGGER (1u << 15)
#define ICR_SHORTHAND(v) ((v) >> 18 & 3u)

enum { SHORT_NONE, SHORT_SELF, SHORT_ALL, SHORT_OTHERS };

static bool bit_is_set(const uint32_t set[8], unsigned n)
{
	return set[n / 32] >> (n % 32) & 1;
}

static void bit_put(uint32_t set[8], unsigned n, bool on)
{
	set[n / 32] = (set[n / 32] & ~(1u << n % 32)) | (uint32_t)on << n % 32;
}

/* The highest vector in the set; -1: it is empty. */
static int highest(const uint32_t set[8])
{
	for (int k = 7; k >= 0; k--)
		if (set[k])
			return 32 * k + 31 - __builtin_clz(set[k]);
	return -1;
}

/* --- Priorities -------------------------------------------------------------------------------------------------- */

/* CR8 and TPR[7:4] are one register. */
uint32_t lapic_tpr(struct vcpu *v)
{
	const struct x86_state *s = vcpu_state(v);
	const struct lapic_cpu *a = lapic_of(v);
	uint32_t cr8 = s ? (uint32_t)s->cr8 & 0xf : 0;

	return a->tpr >> 4 == cr8 ? a->tpr : cr8 << 4;
}

void lapic_cr8_written(struct vcpu *v)
{
	lapic_of(v)->tpr = ((uint32_t)v->cpu.s.cr8 & 0xf) << 4;
}

uint32_t lapic_ppr(struct vcpu *v)
{
	int top = highest(lapic_of(v)->isr);
	uint32_t tpr = lapic_tpr(v), in_service = top < 0 ? 0 : (uint32_t)top & 0xf0u;

	return (tpr & 0xf0u) >= in_service ? tpr : in_service;
}

bool lapic_pending(struct vcpu *v)
{
	int top = highest(lapic_of(v)->irr);

	return top >= 0 && lapic_is_on(v) && ((uint32_t)top & 0xf0u) > (lapic_ppr(v) & 0xf0u);
}

unsigned lapic_tpr_threshold(struct vcpu *v)
{
	const struct lapic_cpu *a = lapic_of(v);
	int top = highest(a->irr), serving = highest(a->isr);

	if (top < 0 || !lapic_is_on(v) || (serving >= 0 && (top & 0xf0) <= (serving & 0xf0)))
		return 0;
	return (unsigned)top >> 4;
}

uint8_t lapic_ack(struct vcpu *v)
{
	struct lapic_cpu *a = lapic_of(v);
	int top = highest(a->irr);

	if (!lapic_pending(v))
		return (uint8_t)(a->svr & LVT_VECTOR); /* spurious */
	bit_put(a->irr, (unsigned)top, false);
	bit_put(a->isr, (unsigned)top, true);
	return (uint8_t)top;
}

void lapic_eoi(struct vcpu *v)
{
	struct lapic_cpu *a = lapic_of(v);
	int top = highest(a->isr);

	if (top < 0)
		return;
	bit_put(a->isr, (unsigned)top, false);
	if (bit_is_set(a->tmr, (unsigned)top))
		ioapic_eoi(dev_get(v->vm, DEV_IOAPIC), (uint8_t)top);
}

/* --- Arrival ----------------------------------------------------------------------------------------------------- */

void lapic_error(struct vcpu *v, uint32_t bits)
{
	struct lapic_cpu *a = lapic_of(v);
	bool news = bits & ~a->esr_next;

	a->esr_next |= bits;
	if (news)
		lapic_local(v, LVT_ERROR);
}

/* False: not accepted. */
static bool accept_vector(struct vcpu *v, uint8_t vector, bool level)
{
	struct lapic_cpu *a = lapic_of(v);

	if (!(a->svr & SVR_ENABLED))
		return false;
	if (vector < VECTOR_MIN) {
		lapic_error(v, ESR_RECEIVED_ILLEGAL);
		return false;
	}
	bit_put(a->irr, vector, true);
	bit_put(a->tmr, vector, level);
	return true;
}

static bool accept(struct vcpu *v, const struct apic_message *m)
{
	struct lapic_cpu *a = lapic_of(v);

	switch (m->mode) {
	case APIC_FIXED:
	case APIC_LOWEST:
		return accept_vector(v, m->vector, m->level);
	case APIC_NMI:
		a->nmi = 1;
		return true;
	case APIC_INIT:
		a->init = 1;
		a->startup = 0;
		return true;
	case APIC_STARTUP: /* only a CPU that waits for it hears it */
		if (!v->wait_startup && !a->init)
			return false;
		a->startup = 1;
		a->startup_vector = m->vector;
		return true;
	case APIC_EXTINT:
		a->extint = 1;
		return true;
	default: /* SMI: this machine has no system management mode */
		return false;
	}
}

void lapic_local(struct vcpu *v, enum lapic_lvt which)
{
	uint32_t lvt = lapic_of(v)->lvt[which];
	const struct apic_message m = {.vector = (uint8_t)(lvt & LVT_VECTOR),
	    .mode = which == LVT_TIMER || which == LVT_ERROR ? APIC_FIXED : LVT_MODE(lvt)};

	if (!(lvt & LVT_MASKED) && lapic_is_on(v))
		(void)accept(v, &m);
}

/* --- Who is meant ------------------------------------------------------------------------------------------------ */

uint32_t lapic_x2_ldr(const struct vcpu *v)
{
	return v->id >> 4 << 16 | 1u << (v->id & 15u);
}

static bool is_logical_dest(const struct vcpu *v, uint32_t dest)
{
	const struct lapic_cpu *a = lapic_of(v);
	uint32_t ldr = lapic_is_x2(v) ? lapic_x2_ldr(v) : a->ldr >> 24;

	if (lapic_is_x2(v))
		return dest == BROADCAST_32 || (dest >> 16 == ldr >> 16 && (dest & ldr & 0xffffu));
	if (dest > BROADCAST_8)
		return dest == BROADCAST_32;
	if (a->dfr == DFR_FLAT)
		return dest & ldr;
	return (dest >> 4 == ldr >> 4 || dest >> 4 == 0xf) && (dest & ldr & 0xfu);
}

static bool is_dest(const struct vcpu *v, const struct apic_message *m, uint32_t broadcast)
{
	if (!lapic_is_on(v))
		return false;
	if (m->dest == broadcast)
		return true;
	if (m->logical)
		return is_logical_dest(v, m->dest);
	return m->dest == (lapic_is_x2(v) ? v->id : lapic_of(v)->id);
}

/* Lowest priority: who does the least important work; of equals, the first. */
static struct vcpu *least_busy(struct vm *vm, const struct apic_message *m, uint32_t broadcast)
{
	struct vcpu *best = NULL;

	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		struct vcpu *v = &vm->vcpus[i];

		if (is_dest(v, m, broadcast) && (lapic_of(v)->svr & SVR_ENABLED) &&
		    (!best || lapic_ppr(v) < lapic_ppr(best)))
			best = v;
	}
	return best;
}

static bool send(struct vm *vm, const struct apic_message *m, uint32_t broadcast)
{
	bool taken = false;

	if (m->mode == APIC_LOWEST) {
		struct vcpu *v = least_busy(vm, m, broadcast);

		return v && accept(v, m);
	}
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		if (is_dest(&vm->vcpus[i], m, broadcast) && accept(&vm->vcpus[i], m))
			taken = true;
	return taken;
}

bool lapic_send(struct vm *vm, const struct apic_message *m)
{
	return send(vm, m, BROADCAST_8);
}

static void send_shorthand(struct vcpu *from, const struct apic_message *m, unsigned shorthand)
{
	struct vm *vm = from->vm;

	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		struct vcpu *v = &vm->vcpus[i];

		if (lapic_is_on(v) && (v == from ? shorthand != SHORT_OTHERS : shorthand != SHORT_SELF))
			(void)accept(v, m);
	}
}

void lapic_send_icr(struct vcpu *v)
{
	const struct lapic_cpu *a = lapic_of(v);
	bool x2 = lapic_is_x2(v);
	unsigned shorthand = ICR_SHORTHAND(a->icr_low);
	const struct apic_message m = {.dest = x2 ? a->icr_high : a->icr_high >> 24,
	    .vector = (uint8_t)(a->icr_low & LVT_VECTOR),
	    .mode = LVT_MODE(a->icr_low),
	    .logical = (a->icr_low & ICR_LOGICAL) != 0};

	if ((m.mode == APIC_FIXED || m.mode == APIC_LOWEST) && m.vector < VECTOR_MIN) {
		lapic_error(v, ESR_SEND_ILLEGAL);
		return;
	}
	/* INIT level de-assert only set arbitration ids, in processors long gone. An edge has no level. */
	if ((m.mode == APIC_INIT && (a->icr_low & (ICR_LEVEL | ICR_TRIGGER)) == ICR_TRIGGER) || m.mode == APIC_EXTINT)
		return;
	if (shorthand == SHORT_NONE)
		(void)send(v->vm, &m, x2 ? BROADCAST_32 : BROADCAST_8);
	else
		send_shorthand(v, &m, shorthand);
}

void lapic_self_ipi(struct vcpu *v, uint8_t vector)
{
	if (vector < VECTOR_MIN)
		lapic_error(v, ESR_SEND_ILLEGAL);
	else
		(void)accept_vector(v, vector, false);
}

/* --- The PIC, and signals that are no vectors -------------------------------------------------------------------- */

/* LINT0 has the PIC's output. ExtINT asks for the vector when it is taken (lapic_takes_extint()); the other modes are
 * the APIC's own and see an edge. */
void lapic_lint0(struct vm *vm, bool level)
{
	struct lapic_state *s = dev_state(vm, DEV_LAPIC);
	bool rose = level && !s->lint0;

	s->lint0 = level;
	for (unsigned i = 0; rose && i < vm->n_vcpus; i++)
		if (LVT_MODE(lapic_of(&vm->vcpus[i])->lvt[LVT_LINT0]) != APIC_EXTINT)
			lapic_local(&vm->vcpus[i], LVT_LINT0);
}

bool lapic_lint0_makes(const struct vm *vm, unsigned mode)
{
	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		uint32_t lint0 = lapic_of(&vm->vcpus[i])->lvt[LVT_LINT0];

		if (lapic_is_on(&vm->vcpus[i]) && !(lint0 & LVT_MASKED) && LVT_MODE(lint0) == mode)
			return true;
	}
	return false;
}

/* Without its APIC, the bootstrap CPU has the PIC on its INTR pin. */
bool lapic_takes_extint(const struct vcpu *v)
{
	uint32_t lint0 = lapic_of(v)->lvt[LVT_LINT0];

	if (!lapic_is_on(v))
		return v->id == 0;
	return !(lint0 & LVT_MASKED) && LVT_MODE(lint0) == APIC_EXTINT;
}

bool lapic_extint_pending(const struct vcpu *v)
{
	return lapic_of(v)->extint;
}

void lapic_extint_taken(struct vcpu *v)
{
	lapic_of(v)->extint = 0;
}

struct lapic_signals lapic_signals(const struct vcpu *v)
{
	const struct lapic_cpu *a = lapic_of(v);

	return (struct lapic_signals){a->nmi, a->init, a->startup, a->startup_vector};
}

/* Asked before every entry: the IRR by the quadword, the signals at once. */
typedef uint64_t quad_at __attribute__((aligned(4), may_alias));
typedef uint32_t four_at __attribute__((aligned(1), may_alias));

bool lapic_idle(const struct vcpu *v)
{
	const struct lapic_cpu *a = lapic_of(v);
	const quad_at *irr = (const quad_at *)a->irr;

	_Static_assert(sizeof(a->irr) == 4 * sizeof(*irr), "all of the IRR");
	_Static_assert(offsetof(struct lapic_cpu, startup) - offsetof(struct lapic_cpu, nmi) == 3, "nmi to startup");
	return !(irr[0] | irr[1] | irr[2] | irr[3] | *(const four_at *)&a->nmi);
}

void lapic_nmi_taken(struct vcpu *v)
{
	lapic_of(v)->nmi = 0;
}

void lapic_startup_taken(struct vcpu *v)
{
	lapic_of(v)->startup = 0;
}
