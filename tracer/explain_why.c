/*
 * Why an exit happened, as a sentence about bits: the control field, the bit, its name in the SDM and its value in the
 * profile of this run. The value is read from struct vm_controls, which the engines obey, so the sentence changes when
 * the control does.
 *
 * Under trap-and-emulate (profiles deprivileged and umip) there are no controls: the guest's kernel runs at CPL 3, and
 * what exits is the exception that a privileged instruction raises there.
 */
#include "tracer/explain_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/x86/intercept.h"

enum control_field { FIELD_PIN, FIELD_PROC, FIELD_PROC2 };

static const struct {
	uint8_t field, bit;
	const char *name;
} control_names[] = {
#define CONTROL(field, bit, name) {FIELD_##field, bit, name},
#include "tracer/explain_controls.def"
#undef CONTROL
};

enum why_kind { WHY_SWITCH, WHY_WINDOW, WHY_ALWAYS, WHY_FEATURE, WHY_OWN };

static const struct why_row {
	uint32_t reason;
	uint8_t kind, field, bit;
	const char *sentence;
} rows[] = {
#define SWITCH(reason, field, bit) {EXIT_##reason, WHY_SWITCH, FIELD_##field, bit, NULL},
#define WINDOW(reason, field, bit, sentence) {EXIT_##reason, WHY_WINDOW, FIELD_##field, bit, sentence},
#define ALWAYS(reason, sentence) {EXIT_##reason, WHY_ALWAYS, 0, 0, sentence},
#define FEATURE(reason, field, bit, sentence) {EXIT_##reason, WHY_FEATURE, FIELD_##field, bit, sentence},
#define OWN(reason, sentence) {EXIT_##reason, WHY_OWN, 0, 0, sentence},
#include "tracer/explain_why.def"
#undef SWITCH
#undef WINDOW
#undef ALWAYS
#undef FEATURE
#undef OWN
};

static void put(struct explain_ctx *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Appends to the sentence. */
static void put(struct explain_ctx *c, const char *fmt, ...)
{
	size_t at = strlen(c->out->why);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->out->why + at, sizeof(c->out->why) - at, fmt, ap);
	va_end(ap);
}

static uint32_t field_value(const struct vm_controls *ctl, unsigned field)
{
	return field == FIELD_PIN ? ctl->pin : field == FIELD_PROC ? ctl->proc : ctl->proc2;
}

static bool is_on(const struct explain_ctx *c, unsigned field, unsigned bit)
{
	return field_value(c->ctl, field) >> bit & 1;
}

static const char *control_name(unsigned field, unsigned bit)
{
	for (size_t i = 0; i < ARRAY_LEN(control_names); i++)
		if (control_names[i].field == field && control_names[i].bit == bit)
			return control_names[i].name;
	return "?";
}

/* "primary controls bit 7, HLT exiting, is 1 in vtx-ept" */
static void put_bit(struct explain_ctx *c, unsigned field, unsigned bit)
{
	static const char *const names[] = {"pin-based controls", "primary controls", "secondary controls"};

	put(c, "%s bit %u, %s, is %d in %s", names[field], bit, control_name(field, bit), is_on(c, field, bit),
	    c->ctl->name);
}

static void put_switch(struct explain_ctx *c, unsigned field, unsigned bit)
{
	put_bit(c, field, bit);
	if (!is_on(c, field, bit))
		put(c, ": by this control it would not exit");
}

/* --- By operand -------------------------------------------------------------------------------------------------- */

static void why_exception(struct explain_ctx *c)
{
	uint32_t info = c->e->intr_info;
	unsigned vector = (uint8_t)info;
	bool privileged = vector == VEC_GP || vector == VEC_UD;

	if (!(info & INTR_INFO_VALID)) {
		put(c, "exception bitmap %#x in %s; which exception it was is not known here", c->ctl->exceptions,
		    c->ctl->name);
		return;
	}
	if ((info >> INTR_INFO_TYPE_SHIFT & 7) == INTR_TYPE_NMI) {
		put_switch(c, FIELD_PIN, 3);
		return;
	}
	if (c->ctl->ring != RING_HW && privileged && c->e->verdict != VERDICT_REFLECT)
		put(c, "the guest's kernel runs at CPL 3, so its privileged instruction raised an exception; ");
	put(c, "exception bitmap %#x: bit %u, %s, is %u in %s", c->ctl->exceptions, vector, explain_vector_name(vector),
	    vector < 32 ? c->ctl->exceptions >> vector & 1 : 0, c->ctl->name);
	if (vector == VEC_MF && !(c->ctl->exceptions & 1u << VEC_MF))
		put(c, ", and the VMM sets it while CR0.NE is 0");
	else if (vector == VEC_PF && c->ctl->exceptions & 1u << VEC_PF)
		put(c, "; error-code mask %#x, match %#x: every #PF", c->ctl->pf_mask, c->ctl->pf_match);
	else if (vector >= 32 || !(c->ctl->exceptions >> vector & 1))
		put(c, ": by this bit it would not exit");
}

static void why_cr_mask(struct explain_ctx *c, unsigned cr, uint64_t mask, uint64_t known)
{
	char bits[128];

	if (!mask) {
		put(c, "the guest/host mask of CR%u is 0 in %s: by it no write would exit", cr, c->ctl->name);
		return;
	}
	put(c, "the guest/host mask of CR%u is %#llx in %s: a write that changes one of ", cr, (unsigned long long)mask,
	    c->ctl->name);
	put(c, "%s%s exits, as they are the VMM's", explain_cr_bits(cr, mask, bits, sizeof(bits)),
	    mask & ~known ? " or a reserved bit" : "");
}

static void why_clts(struct explain_ctx *c)
{
	bool owned = c->ctl->cr0_mask & CR0_TS;

	put(c, "the guest/host mask of CR0 has bit 3, TS, %s in %s%s", owned ? "1" : "0", c->ctl->name,
	    owned ? ": the bit is the VMM's" : ": by it CLTS would not exit");
}

#define CR0_NAMED (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
#define CR4_NAMED (CR4_MODEL | CR4_VME | CR4_PVI | CR4_VMXE | CR4_PKE)

static void why_cr(struct explain_ctx *c)
{
	unsigned cr = c->e->qual & QUAL_CR_NUM_MASK, type = c->e->qual >> QUAL_CR_TYPE_SHIFT & 3;
	bool to = type == 0;

	if (type == 2)
		why_clts(c);
	else if (type == 3 || (to && cr == 0))
		why_cr_mask(c, 0, c->ctl->cr0_mask, CR0_NAMED);
	else if (to && cr == 4)
		why_cr_mask(c, 4, c->ctl->cr4_mask, CR4_NAMED);
	else if (cr == 3)
		put_switch(c, FIELD_PROC, to ? 15 : 16);
	else if (cr == 8)
		put_switch(c, FIELD_PROC, to ? 19 : 20);
	else
		put(c, "under VT-x this access to CR%u never exits: a read gives the shadow of masked bits", cr);
}

static void why_io(struct explain_ctx *c)
{
	uint16_t port = (uint16_t)(c->e->qual >> QUAL_IO_PORT_SHIFT);
	unsigned size = (unsigned)(c->e->qual & QUAL_IO_SIZE_MASK) + 1;

	if (!is_on(c, FIELD_PROC, 25)) {
		put_switch(c, FIELD_PROC, 24);
		if (is_on(c, FIELD_PROC, 24))
			put(c, ": every port exits (bit 25, use I/O bitmaps, is 0)");
		return;
	}
	put_bit(c, FIELD_PROC, 25);
	put(c, ": the bitmap's bit of port %#x is %d%s", port, controls_io_exits(c->ctl, port, size),
	    controls_io_exits(c->ctl, port, size) ? "" : ", so it would not exit");
}

/* The MSR's number is an operand, not part of the qualification. */
static void why_msr(struct explain_ctx *c, bool write)
{
	uint32_t msr = c->x.msr.index;
	bool covered = msr < 0x2000 || (msr >= 0xc0000000 && msr < 0xc0002000);

	put_bit(c, FIELD_PROC, 28);
	if (!is_on(c, FIELD_PROC, 28))
		put(c, ": every %s exits", write ? "WRMSR" : "RDMSR");
	else if (!c->values)
		put(c, "; which MSR it was is not known here");
	else if (!covered)
		put(c, ", but MSR %#x is in neither of the two ranges that the bitmap covers: it always exits", msr);
	else
		put(c, ": the bit of MSR %#x in the bitmap for %s is %d%s", msr, write ? "writes" : "reads",
		    controls_msr_exits(c->ctl, msr, write),
		    controls_msr_exits(c->ctl, msr, write) ? "" : ", so it would not exit");
}

static void why_ept(struct explain_ctx *c)
{
	const char *name = c->values ? explain_memory_name(c->e->gpa) : "";
	bool mapped = c->e->qual >> 3 & 7;

	put_switch(c, FIELD_PROC2, 1);
	if (!is_on(c, FIELD_PROC2, 1))
		return;
	put(c, ", and the VMM's table %s", mapped ? "does not allow this kind of access to " : "maps nothing at ");
	if (c->values)
		put(c, "guest-physical %#llx%s%s%s", (unsigned long long)c->e->gpa, *name ? " (" : "", name,
		    *name ? ")" : "");
	else
		put(c, "the address");
}

static void why_invpcid(struct explain_ctx *c)
{
	put_bit(c, FIELD_PROC, 9);
	put(c, ", and secondary bit 12, %s, is %d: %s", control_name(FIELD_PROC2, 12), is_on(c, FIELD_PROC2, 12),
	    is_on(c, FIELD_PROC, 9) && is_on(c, FIELD_PROC2, 12) ? "INVPCID exits when both are 1"
								 : "it would exit only if both were 1");
}

/* --- By reason --------------------------------------------------------------------------------------------------- */

static const struct why_row *row_of(uint32_t reason)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].reason == reason)
			return &rows[i];
	return NULL;
}

static void why_row(struct explain_ctx *c, const struct why_row *r)
{
	switch ((enum why_kind)r->kind) {
	case WHY_SWITCH:
		put_switch(c, r->field, r->bit);
		break;
	case WHY_WINDOW:
		put_bit(c, r->field, r->bit);
		put(c, "%s: %s", is_on(c, r->field, r->bit) ? "" : " at rest", r->sentence);
		break;
	case WHY_FEATURE:
		put_bit(c, r->field, r->bit);
		put(c, ": %s", r->sentence);
		break;
	case WHY_ALWAYS:
	case WHY_OWN:
		put(c, "%s", r->sentence);
		break;
	}
}

static void why_by_controls(struct explain_ctx *c)
{
	const struct why_row *r = row_of(c->reason);

	switch (c->reason) {
	case EXIT_EXCEPTION_NMI:
		why_exception(c);
		break;
	case EXIT_CR_ACCESS:
		why_cr(c);
		break;
	case EXIT_IO_INSTRUCTION:
		why_io(c);
		break;
	case EXIT_MSR_READ:
	case EXIT_MSR_WRITE:
		why_msr(c, c->reason == EXIT_MSR_WRITE);
		break;
	case EXIT_EPT_VIOLATION:
		why_ept(c);
		break;
	case EXIT_RDTSCP:
		put_switch(c, FIELD_PROC, 12);
		break;
	case EXIT_INVPCID:
		why_invpcid(c);
		break;
	default:
		if (r)
			why_row(c, r);
		else
			put(c, "not known: the table of reasons has no row for it");
	}
}

/* The CTL_KERNEL_* bit under which a host's kernel keeps the exits of this reason: core/x86/intercepts.def has it. */
static uint32_t keeper_of(uint32_t reason)
{
	for (size_t i = 0; i < X86_ICPT_COUNT; i++)
		if (x86_intercepts[i].reason == reason && x86_intercepts[i].control != X86_ON_NEVER)
			return x86_intercepts[i].kernel;
	return 0;
}

static bool by_instruction(uint32_t reason)
{
	const struct exit_desc *d = exit_desc(reason);

	return d && (d->class == EXIT_CLASS_INSN || d->class == EXIT_CLASS_IO || d->class == EXIT_CLASS_MSR ||
			d->class == EXIT_CLASS_CR || d->class == EXIT_CLASS_VMX);
}

/* What can be said without controls: the sentence of a reason that needs none, or the name of the control. */
static void why_unknown_controls(struct explain_ctx *c)
{
	const struct why_row *r = row_of(c->reason);

	if (c->native && r && (r->kind == WHY_ALWAYS || r->kind == WHY_OWN)) {
		put(c, "%s", r->sentence);
		return;
	}
	put(c, "not known: this trace does not say which controls were set");
	if (c->native && r)
		put(c, "; under VT-x the control is \"%s\"", control_name(r->field, r->bit));
}

void explain_why(struct explain_ctx *c)
{
	if (!c->ctl || !c->native) {
		why_unknown_controls(c);
		return;
	}
	why_by_controls(c);
	if (c->ctl->ring != RING_HW && by_instruction(c->reason))
		put(c, ". Trap-and-emulate has no controls: there it arrives as an exception, or not at all");
	else if (c->ctl->ring == RING_HW && c->ctl->kernel & keeper_of(c->reason))
		put(c, ". Under %s the host's kernel keeps it for itself", c->ctl->name);
}
