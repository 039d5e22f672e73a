/*
 * Exits in few words, and the name of what differs between two; which exits a profile has.
 */
#include <inttypes.h>
#include <string.h>

#include "tracer/exit_fields.h"
#include "tui/modes_impl.h"

const char *modes_state_name(enum modes_state s)
{
	static const char *const names[] = {[MODES_EQUAL] = "equal",
	    [MODES_DIFFER] = "differs",
	    [MODES_MISSING] = "missing",
	    [MODES_EXTRA] = "extra",
	    [MODES_DESIGN] = "no exit here"};

	return names[s];
}

static void cr_text(const struct exit_cr *cr, char *buf, size_t n)
{
	static const char *const types[] = {"=", "read", "clts", "lmsw"};

	if (cr->type == 2)
		snprintf(buf, n, "clts");
	else
		snprintf(buf, n, "cr%u %s 0x%" PRIx64, cr->cr, types[cr->type & 3], cr->value);
}

static void vector_text(const struct vm_exit *e, char *buf, size_t n)
{
	static const char *const names[32] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", NULL,
	    "#TS", "#NP", "#SS", "#GP", "#PF", NULL, "#MF", "#AC", "#MC", "#XM"};
	unsigned v = e->intr_info & 0xff;
	char number[16];

	snprintf(number, sizeof number, "vector %u", v);
	snprintf(buf, n, e->intr_info & INTR_INFO_ERROR ? "%s error 0x%x" : "%s",
	    v < 32 && names[v] ? names[v] : number, e->intr_error);
}

void modes_item_text(const struct modes_item *i, char *buf, size_t n)
{
	const struct vm_exit *e = &i->e;

	switch (e->reason) {
	case EXIT_IO_INSTRUCTION:
		snprintf(buf, n, "%s%s 0x%x %s 0x%" PRIx64, e->io.in ? "in" : "out", e->io.string ? "s" : "",
		    e->io.port, e->io.in ? "=" : "<-", i->values.n > 2 ? i->values.value[2] : 0);
		break;
	case EXIT_EPT_VIOLATION:
	case EXIT_EPT_MISCONFIG:
		snprintf(buf, n, "%s 0x%" PRIx64 " %s 0x%" PRIx64, e->mmio.write ? "store" : "load", e->gpa,
		    e->mmio.write ? "<-" : "=", e->mmio.value);
		break;
	case EXIT_MSR_READ:
	case EXIT_MSR_WRITE:
		snprintf(buf, n, "msr 0x%x %s 0x%" PRIx64 "%s", e->msr.index, e->reason == EXIT_MSR_WRITE ? "<-" : "=",
		    e->msr.fault ? 0 : e->msr.value, e->msr.fault ? " #GP" : "");
		break;
	case EXIT_CPUID:
		snprintf(buf, n, "leaf 0x%x.%u = %x %x %x %x", e->cpuid.leaf, e->cpuid.subleaf, e->cpuid.eax,
		    e->cpuid.ebx, e->cpuid.ecx, e->cpuid.edx);
		break;
	case EXIT_CR_ACCESS:
		cr_text(&e->cr, buf, n);
		break;
	case EXIT_DR_ACCESS:
		snprintf(buf, n, "dr%u %s 0x%" PRIx64, e->dr.dr, e->dr.read ? "read" : "=", e->dr.value);
		break;
	case EXIT_EXCEPTION_NMI:
		vector_text(e, buf, n);
		break;
	case EXIT_XSETBV:
	case EXIT_VMCALL:
		snprintf(buf, n, "0x%" PRIx64, e->value);
		break;
	default:
		snprintf(buf, n, "%s", exit_name(e->reason));
		break;
	}
}

/* --- what differs ------------------------------------------------------------------------------------------------ */

static bool number_differs(struct modes_difference *d, const char *field, uint64_t a, uint64_t b)
{
	if (a == b)
		return false;
	snprintf(d->field, sizeof d->field, "%s", field);
	snprintf(d->main, sizeof d->main, "0x%" PRIx64, a);
	snprintf(d->sub, sizeof d->sub, "0x%" PRIx64, b);
	return true;
}

/* The parts of sequence_values() by name. */
static const char *value_name(uint32_t reason, unsigned k)
{
	static const char *const io[] = {"port", "size and direction", "value"};
	static const char *const mmio[] = {"guest-physical address", "size and direction", "value"};
	static const char *const msr[] = {"MSR", "#GP", "value"};
	static const char *const cpuid[] = {"leaf and subleaf", "EAX and EBX", "ECX and EDX"};
	static const char *const reg[] = {"register", "kind of access", "value"};
	static const char *const event[] = {"vector", "error code", ""};

	switch (reason) {
	case EXIT_IO_INSTRUCTION:
		return io[k];
	case EXIT_EPT_VIOLATION:
	case EXIT_EPT_MISCONFIG:
		return mmio[k];
	case EXIT_MSR_READ:
	case EXIT_MSR_WRITE:
		return msr[k];
	case EXIT_CPUID:
		return cpuid[k];
	case EXIT_CR_ACCESS:
	case EXIT_DR_ACCESS:
		return reg[k];
	case EXIT_EXCEPTION_NMI:
		return event[k];
	default:
		return "value";
	}
}

static void field_values(
    const char *field, const struct vm_exit *a, const struct vm_exit *b, struct modes_difference *d)
{
	if (strcmp(field, "qualification") == 0)
		(void)number_differs(d, field, a->qual, b->qual);
	else if (strcmp(field, "instruction length") == 0)
		(void)number_differs(d, field, a->insn_len, b->insn_len);
	else if (a->intr_info != b->intr_info)
		(void)number_differs(d, field, a->intr_info, b->intr_info);
	else
		(void)number_differs(d, field, a->intr_error, b->intr_error);
	if (!d->field[0])
		snprintf(d->field, sizeof d->field, "%s", field);
}

bool modes_differ(const struct modes_track *main, const struct modes_item *a, const struct modes_track *sub,
    const struct modes_item *b, struct modes_difference *out)
{
	*out = (struct modes_difference){"", "", ""};
	if (a->e.reason != b->e.reason) {
		snprintf(out->field, sizeof out->field, "reason");
		snprintf(out->main, sizeof out->main, "%u %s", a->e.reason, exit_name(a->e.reason));
		snprintf(out->sub, sizeof out->sub, "%u %s", b->e.reason, exit_name(b->e.reason));
		return true;
	}
	if (a->has_rip && b->has_rip && number_differs(out, "rip", a->e.rip, b->e.rip))
		return true;
	for (unsigned k = 0; k < a->values.n && k < b->values.n && k < 3; k++)
		if (number_differs(out, value_name(a->e.reason, k), a->values.value[k], b->values.value[k]))
			return true;
	if (a->values.n != b->values.n && number_differs(out, "number of values", a->values.n, b->values.n))
		return true;
	const char *field =
	    main->fields && sub->fields && a->has_rip && b->has_rip ? exit_fields_differ(&a->e, &b->e) : NULL;
	if (field)
		field_values(field, &a->e, &b->e, out);
	return field != NULL;
}

/* --- which exits a profile has ----------------------------------------------------------------------------------- */

static enum modes_exits when(bool on)
{
	return on ? MODES_ALWAYS : MODES_NEVER;
}

static enum modes_exits cr_exits(const struct vm_controls *ctl, const struct exit_cr *cr)
{
	bool from = cr->type == 1;

	if (ctl->kernel & CTL_KERNEL_CR)
		return MODES_NEVER;
	if (cr->cr == 3)
		return when(ctl->proc & (from ? PROC_CR3_STORE_EXIT : PROC_CR3_LOAD_EXIT));
	if (cr->cr == 8)
		return when(ctl->proc & (from ? PROC_CR8_STORE_EXIT : PROC_CR8_LOAD_EXIT));
	/* Which bits change decides, and the log does not say what was there before. */
	return MODES_MAYBE;
}

static enum modes_exits insn_exits(const struct vm_controls *ctl, uint32_t reason)
{
	static const struct {
		uint32_t reason, proc, proc2;
	} rows[] = {
	    {EXIT_HLT, PROC_HLT_EXIT, 0},
	    {EXIT_INVLPG, PROC_INVLPG_EXIT, 0},
	    {EXIT_RDPMC, PROC_RDPMC_EXIT, 0},
	    {EXIT_RDTSC, PROC_RDTSC_EXIT, 0},
	    {EXIT_RDTSCP, PROC_RDTSC_EXIT, 0},
	    {EXIT_MWAIT_INSTRUCTION, PROC_MWAIT_EXIT, 0},
	    {EXIT_MONITOR_INSTRUCTION, PROC_MONITOR_EXIT, 0},
	    {EXIT_PAUSE_INSTRUCTION, PROC_PAUSE_EXIT, 0},
	    {EXIT_DR_ACCESS, PROC_MOV_DR_EXIT, 0},
	    {EXIT_INVPCID, PROC_INVLPG_EXIT, 0},
	    {EXIT_GDTR_IDTR, 0, PROC2_DESC_TABLE_EXIT},
	    {EXIT_LDTR_TR, 0, PROC2_DESC_TABLE_EXIT},
	    {EXIT_WBINVD, 0, PROC2_WBINVD_EXIT},
	    {EXIT_RDRAND, 0, PROC2_RDRAND_EXIT},
	    {EXIT_RDSEED, 0, PROC2_RDSEED_EXIT},
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].reason == reason)
			return when((ctl->proc & rows[i].proc) || (ctl->proc2 & rows[i].proc2));
	return MODES_MAYBE;
}

enum modes_exits modes_exits_under(const struct vm_controls *ctl, const struct vm_exit *e)
{
	if (!ctl)
		return MODES_ALWAYS;
	/* A kernel at CPL 3 exits by exceptions, whatever the reason is elsewhere. */
	if (ctl->ring != RING_HW)
		return e->reason == EXIT_EXCEPTION_NMI || e->reason == EXIT_TRIPLE_FAULT ? MODES_ALWAYS : MODES_MAYBE;
	switch (e->reason) {
	case EXIT_TRIPLE_FAULT:
	case EXIT_EPT_VIOLATION:
	case EXIT_EPT_MISCONFIG:
		return MODES_ALWAYS;
	case EXIT_EXCEPTION_NMI:
		return when(ctl->exceptions >> (e->intr_info & 31) & 1);
	case EXIT_IO_INSTRUCTION:
		return when(controls_io_exits(ctl, e->io.port, e->io.size));
	case EXIT_MSR_READ:
	case EXIT_MSR_WRITE:
		return when(controls_msr_exits(ctl, e->msr.index, e->reason == EXIT_MSR_WRITE));
	case EXIT_CPUID:
		return when(!(ctl->kernel & CTL_KERNEL_CPUID));
	case EXIT_CR_ACCESS:
		return cr_exits(ctl, &e->cr);
	case EXIT_INVD:
	case EXIT_XSETBV:
	case EXIT_TASK_SWITCH:
	case EXIT_VMCALL:
		return when(!(ctl->kernel & CTL_KERNEL_MISC));
	default:
		return insn_exits(ctl, e->reason);
	}
}
