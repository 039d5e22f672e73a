/*
 * sensitive.def as a table, and the questions asked of it. Read core/sensitive.def first.
 */
#include "core/sensitive.h"

#include "core/x86/state.h"

#define SUB_ANY (-1)
#define SUB_TO_ANY (-2)
#define SUB_FROM_ANY (-3)
#define SUB_FROM 16 /* added to the register's number for MOV from CR */
#define OPCODE_MOV_FROM_CR 0x20

#define IDS(...) __VA_ARGS__
#define ANY SUB_ANY
#define TO_CR(n) (n)
#define FROM_CR(n) (SUB_FROM + (n))
#define TO_CR_ANY SUB_TO_ANY
#define FROM_CR_ANY SUB_FROM_ANY
#define SENS_C SENS_CONTROL
#define SENS_B SENS_BEHAVIOUR
#define SENS_CB (SENS_CONTROL | SENS_BEHAVIOUR)
#define CONTROL_ROW_NONE CONTROL_NONE, .arg = 0
#define CONTROL_ROW_ALWAYS(keeper) CONTROL_ALWAYS, .arg = (keeper)
#define CONTROL_ROW_PROC(bit) CONTROL_PROC, .arg = (bit)
#define CONTROL_ROW_PROC2(bit) CONTROL_PROC2, .arg = (bit)
#define CONTROL_ROW_CR0 CONTROL_CR0, .arg = 0
#define CONTROL_ROW_CR0_TS_BIT CONTROL_CR0_TS, .arg = 0
#define CONTROL_ROW_CR4 CONTROL_CR4, .arg = 0
#define CONTROL_ROW_MSR(write) CONTROL_MSR, .arg = (write)
#define CONTROL_ROW_IO CONTROL_IO, .arg = 0
#define CONTROL_ROW_INVPCID_EXITS CONTROL_INVPCID, .arg = 0

static const struct sensitive_row rows[SENSITIVE_COUNT] = {
#define SENSITIVE(n, form_, ids_, sub_, group_, sens_, priv_, umip_, control_, sentence_, source_) \
	[SENSITIVE_##n] = {.name = #n,                                                             \
	    .form = form_,                                                                         \
	    .ids = {ids_},                                                                         \
	    .sub = sub_,                                                                           \
	    .group = GROUP_##group_,                                                               \
	    .sens = SENS_##sens_,                                                                  \
	    .priv = PRIV_##priv_,                                                                  \
	    .umip = umip_,                                                                         \
	    .control = CONTROL_ROW_##control_,                                                     \
	    .sentence = sentence_,                                                                 \
	    .source = source_},
#include "core/sensitive.def"
#undef SENSITIVE
};

const struct sensitive_row *sensitive_rows(void)
{
	return rows;
}

static bool has_id(const struct sensitive_row *r, uint16_t id)
{
	for (unsigned k = 0; k < ARRAY_LEN(r->ids) && r->ids[k]; k++)
		if (r->ids[k] == id)
			return true;
	return false;
}

static bool sub_matches(const struct sensitive_row *r, const struct x86_insn *i)
{
	bool from = i->opcode == OPCODE_MOV_FROM_CR;

	switch (r->sub) {
	case SUB_ANY:
		return true;
	case SUB_TO_ANY:
		return !from;
	case SUB_FROM_ANY:
		return from;
	default:
		return r->sub == i->reg + (from ? SUB_FROM : 0);
	}
}

const struct sensitive_row *sensitive_find(const struct x86_insn *i)
{
	for (unsigned k = 0; k < SENSITIVE_COUNT; k++)
		if (has_id(&rows[k], i->id) && sub_matches(&rows[k], i))
			return &rows[k];
	return NULL;
}

enum pg_class sensitive_class(const struct sensitive_row *row)
{
	if (!row)
		return PG_INNOCUOUS;
	return row->priv == PRIV_CPL0 || row->priv == PRIV_IOPL ? PG_PRIVILEGED : PG_SENSITIVE;
}

static enum sensitive_traps if_set(bool on)
{
	return on ? TRAPS_ALWAYS : TRAPS_NEVER;
}

static enum sensitive_traps if_masked(uint64_t mask)
{
	return mask ? TRAPS_SOMETIMES : TRAPS_NEVER;
}

/* Some MSRs or ports exit, or all, or none. */
static enum sensitive_traps by_bitmap(const uint8_t *map, size_t n)
{
	size_t full = 0, empty = 0;

	for (size_t k = 0; k < n; k++) {
		full += map[k] == 0xff;
		empty += map[k] == 0;
	}
	return full == n ? TRAPS_ALWAYS : empty == n ? TRAPS_NEVER : TRAPS_SOMETIMES;
}

static enum sensitive_traps msr_traps(const struct vm_controls *ctl, bool write)
{
	const size_t part = sizeof(ctl->msr_bitmap) / 2;

	if (!(ctl->proc & PROC_MSR_BITMAPS))
		return TRAPS_ALWAYS;
	/* MSRs outside the bitmap's two ranges always exit, so an empty bitmap still means "sometimes". */
	return by_bitmap(ctl->msr_bitmap + (write ? part : 0), part) == TRAPS_ALWAYS ? TRAPS_ALWAYS : TRAPS_SOMETIMES;
}

static enum sensitive_traps io_traps(const struct vm_controls *ctl)
{
	if (ctl->proc & PROC_IO_BITMAPS)
		return by_bitmap(ctl->io_bitmap, sizeof(ctl->io_bitmap));
	return if_set(ctl->proc & PROC_UNCOND_IO_EXIT);
}

/* Trap-and-emulate: the guest's kernel runs at CPL 3, and what is privileged faults into the VMM. */
static enum sensitive_traps deprivileged_traps(const struct sensitive_row *row, const struct vm_controls *ctl)
{
	return if_set(sensitive_class(row) == PG_PRIVILEGED || (row->umip && ctl->ring == RING_UMIP));
}

enum sensitive_traps sensitive_traps(const struct sensitive_row *row, const struct vm_controls *ctl)
{
	if (ctl->ring != RING_HW)
		return deprivileged_traps(row, ctl);
	switch ((enum sensitive_control)row->control) {
	case CONTROL_NONE:
		return TRAPS_NEVER;
	case CONTROL_ALWAYS:
		return if_set(!(ctl->kernel & row->arg));
	case CONTROL_PROC:
		return if_set(ctl->proc & row->arg);
	case CONTROL_PROC2:
		return if_set(ctl->proc2 & row->arg);
	case CONTROL_CR0:
		return if_masked(ctl->cr0_mask);
	case CONTROL_CR0_TS:
		return if_masked(ctl->cr0_mask & CR0_TS);
	case CONTROL_CR4:
		return if_masked(ctl->cr4_mask);
	case CONTROL_MSR:
		return msr_traps(ctl, row->arg);
	case CONTROL_IO:
		return io_traps(ctl);
	case CONTROL_INVPCID:
		return if_set((ctl->proc2 & PROC2_INVPCID) && (ctl->proc & PROC_INVLPG_EXIT));
	}
	return TRAPS_NEVER;
}

struct bit_name {
	uint32_t bit;
	const char *name;
};

static const char *name_of_bit(const struct bit_name *names, size_t n, uint32_t bit)
{
	for (size_t k = 0; k < n; k++)
		if (names[k].bit == bit)
			return names[k].name;
	return "a control without a name";
}

const char *sensitive_control_name(const struct sensitive_row *row)
{
	static const struct bit_name proc[] = {{PROC_RDTSC_EXIT, "RDTSC exiting"}, {PROC_HLT_EXIT, "HLT exiting"},
	    {PROC_CR3_LOAD_EXIT, "CR3-load exiting"}, {PROC_CR3_STORE_EXIT, "CR3-store exiting"},
	    {PROC_CR8_LOAD_EXIT, "CR8-load exiting"}, {PROC_CR8_STORE_EXIT, "CR8-store exiting"},
	    {PROC_MOV_DR_EXIT, "MOV-DR exiting"}, {PROC_INVLPG_EXIT, "INVLPG exiting"},
	    {PROC_RDPMC_EXIT, "RDPMC exiting"}, {PROC_MONITOR_EXIT, "MONITOR exiting"},
	    {PROC_MWAIT_EXIT, "MWAIT exiting"}};
	static const struct bit_name proc2[] = {
	    {PROC2_DESC_TABLE_EXIT, "descriptor-table exiting"}, {PROC2_WBINVD_EXIT, "WBINVD exiting"}};

	switch ((enum sensitive_control)row->control) {
	case CONTROL_NONE:
		return "none";
	case CONTROL_ALWAYS:
		return "always";
	case CONTROL_PROC:
		return name_of_bit(proc, ARRAY_LEN(proc), row->arg);
	case CONTROL_PROC2:
		return name_of_bit(proc2, ARRAY_LEN(proc2), row->arg);
	case CONTROL_CR0:
		return "CR0 mask";
	case CONTROL_CR0_TS:
		return "CR0 mask (TS)";
	case CONTROL_CR4:
		return "CR4 mask";
	case CONTROL_MSR:
		return "MSR bitmap";
	case CONTROL_IO:
		return "I/O bitmap or unconditional I/O exiting";
	case CONTROL_INVPCID:
		return "INVLPG exiting, with INVPCID enabled";
	}
	return "none";
}

const char *sensitive_group_name(enum sensitive_group g)
{
	static const char *const names[] = {[GROUP_REGISTERS] = "sensitive registers",
	    [GROUP_PROTECTION] = "protection system",
	    [GROUP_OTHER] = "other",
	    [GROUP_PRIVILEGED] = "privileged"};

	return names[g];
}

const char *pg_class_name(enum pg_class c)
{
	static const char *const names[] = {
	    [PG_INNOCUOUS] = "innocuous", [PG_PRIVILEGED] = "privileged", [PG_SENSITIVE] = "sensitive, unprivileged"};

	return names[c];
}

const char *sensitive_traps_name(enum sensitive_traps t)
{
	static const char *const names[] = {
	    [TRAPS_NEVER] = "never", [TRAPS_SOMETIMES] = "sometimes", [TRAPS_ALWAYS] = "always"};

	return names[t];
}
