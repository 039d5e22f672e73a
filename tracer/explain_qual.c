/*
 * Exit qualifications, bit by bit: one table of fields for every reason that has a qualification [SDM 3C "Basic VM-Exit
 * Information"], and the interruption information and error codes that come with exceptions.
 */
#include "tracer/explain_impl.h"

#include <stdio.h>
#include <string.h>

/* What a layout is chosen by: reasons, and what is no reason. */
enum layout {
	LAYOUT_NONE = 0x100,
	LAYOUT_PF, /* exception 14: the address */
	LAYOUT_DB,
	LAYOUT_ADDRESS_OPERAND, /* displacement of the memory operand */
	LAYOUT_CR_MOV,
	LAYOUT_CR_LMSW,
	LAYOUT_CR_CLTS,
	LAYOUT_INTR,
	LAYOUT_PF_ERROR,
	LAYOUT_SELECTOR_ERROR,
	LAYOUT_SVM_IO,
	LAYOUT_SVM_NPF,
};

/* How a value becomes words, beyond a list of them. */
enum say { SAY_WORDS, SAY_PORT, SAY_GPR, SAY_VECTOR, SAY_LINEAR, SAY_DISPLACEMENT, SAY_CR };

#define ONLY_IF_SET true

struct field {
	uint16_t layout;
	uint8_t lo, hi;
	bool only_if_set; /* of features that the project's controls do not switch on: shown when a bit is there */
	uint8_t say;
	const char *name;
	const char *words[16];
};

#define YES_NO              \
	{                   \
		"no", "yes" \
	}

static const struct field fields[] = {
    {EXIT_IO_INSTRUCTION, 0, 2, 0, SAY_WORDS, "size of access", {"1 byte", "2 bytes", NULL, "4 bytes"}},
    {EXIT_IO_INSTRUCTION, 3, 3, 0, SAY_WORDS, "direction", {"OUT (write)", "IN (read)"}},
    {EXIT_IO_INSTRUCTION, 4, 4, 0, SAY_WORDS, "string instruction", {"no", "yes: INS or OUTS"}},
    {EXIT_IO_INSTRUCTION, 5, 5, 0, SAY_WORDS, "REP prefix", YES_NO},
    {EXIT_IO_INSTRUCTION, 6, 6, 0, SAY_WORDS, "operand encoding", {"port in DX", "port in the instruction"}},
    {EXIT_IO_INSTRUCTION, 16, 31, 0, SAY_PORT, "port number", {NULL}},

    {LAYOUT_CR_MOV, 0, 3, 0, SAY_CR, "control register", {NULL}},
    {LAYOUT_CR_MOV, 4, 5, 0, SAY_WORDS, "access type", {"MOV to CR", "MOV from CR"}},
    {LAYOUT_CR_MOV, 8, 11, 0, SAY_GPR, "general-purpose register", {NULL}},
    {LAYOUT_CR_CLTS, 0, 3, 0, SAY_CR, "control register", {NULL}},
    {LAYOUT_CR_CLTS, 4, 5, 0, SAY_WORDS, "access type", {NULL, NULL, "CLTS: clears CR0.TS"}},
    {LAYOUT_CR_LMSW, 0, 3, 0, SAY_CR, "control register", {NULL}},
    {LAYOUT_CR_LMSW, 4, 5, 0, SAY_WORDS, "access type", {NULL, NULL, NULL, "LMSW: loads PE, MP, EM and TS of CR0"}},
    {LAYOUT_CR_LMSW, 6, 6, 0, SAY_WORDS, "LMSW operand", {"register", "memory"}},
    {LAYOUT_CR_LMSW, 16, 31, 0, SAY_WORDS, "LMSW source data", {NULL}},

    {EXIT_DR_ACCESS, 0, 2, 0, SAY_WORDS, "debug register", {"DR0", "DR1", "DR2", "DR3", "DR4", "DR5", "DR6", "DR7"}},
    {EXIT_DR_ACCESS, 4, 4, 0, SAY_WORDS, "direction", {"MOV to DR", "MOV from DR"}},
    {EXIT_DR_ACCESS, 8, 11, 0, SAY_GPR, "general-purpose register", {NULL}},

    {EXIT_EPT_VIOLATION, 0, 0, 0, SAY_WORDS, "data read", YES_NO},
    {EXIT_EPT_VIOLATION, 1, 1, 0, SAY_WORDS, "data write", YES_NO},
    {EXIT_EPT_VIOLATION, 2, 2, 0, SAY_WORDS, "instruction fetch", YES_NO},
    {EXIT_EPT_VIOLATION, 3, 3, 0, SAY_WORDS, "EPT lets it be read", YES_NO},
    {EXIT_EPT_VIOLATION, 4, 4, 0, SAY_WORDS, "EPT lets it be written", YES_NO},
    {EXIT_EPT_VIOLATION, 5, 5, 0, SAY_WORDS, "EPT lets it be executed", YES_NO},
    {EXIT_EPT_VIOLATION, 6, 6, ONLY_IF_SET, SAY_WORDS, "executable in user mode", YES_NO},
    {EXIT_EPT_VIOLATION, 7, 7, 0, SAY_WORDS, "guest linear address valid", YES_NO},
    {EXIT_EPT_VIOLATION, 8, 8, 0, SAY_WORDS, "what was translated",
	{"a page-table entry, in a walk", "the address of the access itself"}},
    {EXIT_EPT_VIOLATION, 9, 9, ONLY_IF_SET, SAY_WORDS, "user-mode linear address", YES_NO},
    {EXIT_EPT_VIOLATION, 10, 10, ONLY_IF_SET, SAY_WORDS, "guest's tables let it be written", YES_NO},
    {EXIT_EPT_VIOLATION, 11, 11, ONLY_IF_SET, SAY_WORDS, "guest's tables: execute-disable", YES_NO},
    {EXIT_EPT_VIOLATION, 12, 12, 0, SAY_WORDS, "NMI unblocking by IRET", YES_NO},
    {EXIT_EPT_VIOLATION, 13, 14, ONLY_IF_SET, SAY_WORDS, "shadow stack",
	{"no", "shadow-stack access", "supervisor shadow-stack page", "access to such a page"}},
    {EXIT_EPT_VIOLATION, 15, 15, ONLY_IF_SET, SAY_WORDS, "guest-paging verification", YES_NO},
    {EXIT_EPT_VIOLATION, 16, 16, ONLY_IF_SET, SAY_WORDS, "asynchronous to instructions", YES_NO},

    {EXIT_TASK_SWITCH, 0, 15, 0, SAY_WORDS, "selector of the new TSS", {NULL}},
    {EXIT_TASK_SWITCH, 30, 31, 0, SAY_WORDS, "source of the task switch",
	{"CALL", "IRET", "JMP", "task gate in the IDT"}},

    {LAYOUT_PF, 0, 63, 0, SAY_LINEAR, "linear address of the fault", {NULL}},
    {LAYOUT_DB, 0, 3, 0, SAY_WORDS, "B0 to B3: breakpoints that match", {"none"}},
    {LAYOUT_DB, 11, 11, ONLY_IF_SET, SAY_WORDS, "BLD: bus lock", YES_NO},
    {LAYOUT_DB, 13, 13, 0, SAY_WORDS, "BD: debug register accessed", YES_NO},
    {LAYOUT_DB, 14, 14, 0, SAY_WORDS, "BS: single step", {"no", "yes: RFLAGS.TF was 1"}},
    {LAYOUT_DB, 16, 16, ONLY_IF_SET, SAY_WORDS, "RTM: in a transaction", YES_NO},

    {EXIT_INVLPG, 0, 63, 0, SAY_LINEAR, "linear address of the page", {NULL}},
    {LAYOUT_ADDRESS_OPERAND, 0, 63, 0, SAY_DISPLACEMENT, "displacement of the operand", {NULL}},
    {EXIT_SIPI, 0, 7, 0, SAY_WORDS, "vector of the start-up message", {NULL}},
    {EXIT_MWAIT_INSTRUCTION, 0, 0, 0, SAY_WORDS, "monitor armed", {"no: MONITOR came before, or not at all", "yes"}},
    {EXIT_INVALID_STATE, 0, 63, 0, SAY_WORDS, "what was wrong",
	{"nothing special: see the checks of the guest state", NULL, "the PDPTEs could not be loaded",
	    "an NMI was to be injected while NMIs are blocked", "the VMCS link pointer is invalid"}},
    {EXIT_MSR_LOAD_FAIL, 0, 63, 0, SAY_WORDS, "entry of the list that failed", {NULL}},
    {EXIT_APIC_ACCESS, 0, 11, 0, SAY_WORDS, "offset in the APIC page", {NULL}},
    {EXIT_APIC_ACCESS, 12, 15, 0, SAY_WORDS, "access type",
	{"linear: data read by an instruction", "linear: data write by an instruction", "linear: instruction fetch",
	    "linear: during event delivery", "linear: for monitoring", NULL, NULL, NULL, NULL, NULL,
	    "guest-physical: during event delivery", NULL, NULL, NULL, NULL, "guest-physical: by an instruction"}},
    {EXIT_APIC_ACCESS, 16, 16, ONLY_IF_SET, SAY_WORDS, "asynchronous to instructions", YES_NO},
    {EXIT_EOI_INDUCED, 0, 7, 0, SAY_WORDS, "vector that is finished", {NULL}},
    {EXIT_APIC_WRITE, 0, 11, 0, SAY_WORDS, "offset in the APIC page", {NULL}},
    {EXIT_PML_FULL, 12, 12, 0, SAY_WORDS, "NMI unblocking by IRET", YES_NO},
    {EXIT_SPP_EVENT, 11, 11, 0, SAY_WORDS, "kind", {"SPP misconfiguration", "SPP miss"}},
    {EXIT_SPP_EVENT, 12, 12, 0, SAY_WORDS, "NMI unblocking by IRET", YES_NO},
    {EXIT_NOTIFY, 0, 0, 0, SAY_WORDS, "VM context invalid", YES_NO},
    {EXIT_NOTIFY, 12, 12, 0, SAY_WORDS, "NMI unblocking by IRET", YES_NO},

    {LAYOUT_INTR, 0, 7, 0, SAY_VECTOR, "vector", {NULL}},
    {LAYOUT_INTR, 8, 10, 0, SAY_WORDS, "type",
	{"external interrupt", NULL, "NMI", "hardware exception", "software interrupt (INT n)",
	    "privileged software exception (INT1)", "software exception (INT3, INTO)", "other event"}},
    {LAYOUT_INTR, 11, 11, 0, SAY_WORDS, "error code valid", YES_NO},
    {LAYOUT_INTR, 12, 12, 0, SAY_WORDS, "NMI unblocking by IRET", YES_NO},
    {LAYOUT_INTR, 31, 31, 0, SAY_WORDS, "valid", YES_NO},

    {LAYOUT_PF_ERROR, 0, 0, 0, SAY_WORDS, "error code: P", {"the page is not present", "the page forbids it"}},
    {LAYOUT_PF_ERROR, 1, 1, 0, SAY_WORDS, "error code: W/R", {"read", "write"}},
    {LAYOUT_PF_ERROR, 2, 2, 0, SAY_WORDS, "error code: U/S", {"supervisor-mode access", "user-mode access"}},
    {LAYOUT_PF_ERROR, 3, 3, 0, SAY_WORDS, "error code: RSVD", {"no", "a reserved bit is set in an entry"}},
    {LAYOUT_PF_ERROR, 4, 4, 0, SAY_WORDS, "error code: I/D", {"no", "instruction fetch"}},
    {LAYOUT_PF_ERROR, 5, 5, ONLY_IF_SET, SAY_WORDS, "error code: PK", {"no", "protection key"}},
    {LAYOUT_SELECTOR_ERROR, 0, 0, 0, SAY_WORDS, "error code: EXT",
	{"by the program itself", "by an event from outside"}},
    {LAYOUT_SELECTOR_ERROR, 1, 1, 0, SAY_WORDS, "error code: IDT", {"no", "the index is a gate of the IDT"}},
    {LAYOUT_SELECTOR_ERROR, 2, 2, 0, SAY_WORDS, "error code: TI", {"GDT", "LDT"}},
    {LAYOUT_SELECTOR_ERROR, 3, 15, 0, SAY_WORDS, "error code: index", {"0: no selector is to blame"}},

    {LAYOUT_SVM_IO, 0, 0, 0, SAY_WORDS, "direction", {"OUT (write)", "IN (read)"}},
    {LAYOUT_SVM_IO, 2, 2, 0, SAY_WORDS, "string instruction", {"no", "yes: INS or OUTS"}},
    {LAYOUT_SVM_IO, 3, 3, 0, SAY_WORDS, "REP prefix", YES_NO},
    {LAYOUT_SVM_IO, 4, 6, 0, SAY_WORDS, "size of access", {NULL, "1 byte", "2 bytes", NULL, "4 bytes"}},
    {LAYOUT_SVM_IO, 7, 9, 0, SAY_WORDS, "address size", {NULL, "16 bits", "32 bits", NULL, "64 bits"}},
    {LAYOUT_SVM_IO, 16, 31, 0, SAY_PORT, "port number", {NULL}},
    {LAYOUT_SVM_NPF, 0, 0, 0, SAY_WORDS, "nested page present", YES_NO},
    {LAYOUT_SVM_NPF, 1, 1, 0, SAY_WORDS, "write", YES_NO},
    {LAYOUT_SVM_NPF, 2, 2, 0, SAY_WORDS, "user access (always so in a walk)", YES_NO},
    {LAYOUT_SVM_NPF, 3, 3, 0, SAY_WORDS, "reserved bit in a nested entry", YES_NO},
    {LAYOUT_SVM_NPF, 4, 4, 0, SAY_WORDS, "instruction fetch", YES_NO},
    {LAYOUT_SVM_NPF, 32, 32, 0, SAY_WORDS, "met at the final address", YES_NO},
    {LAYOUT_SVM_NPF, 33, 33, 0, SAY_WORDS, "met in a walk of the guest's tables", YES_NO},
};

/* Which section describes the layout of a reason. */
static const struct {
	uint16_t layout;
	const char *title;
} titles[] = {
    {EXIT_IO_INSTRUCTION, "3C, Exit Qualification for I/O Instructions"},
    {LAYOUT_CR_MOV, "3C, Exit Qualification for Control-Register Accesses"},
    {LAYOUT_CR_CLTS, "3C, Exit Qualification for Control-Register Accesses"},
    {LAYOUT_CR_LMSW, "3C, Exit Qualification for Control-Register Accesses"},
    {EXIT_DR_ACCESS, "3C, Exit Qualification for MOV DR"},
    {EXIT_EPT_VIOLATION, "3C, Exit Qualification for EPT Violations"},
    {EXIT_TASK_SWITCH, "3C, Exit Qualification for Task Switches"},
    {LAYOUT_SVM_IO, "APM 2, IOIO Intercepts"},
    {LAYOUT_SVM_NPF, "APM 2, Nested versus Guest Page Faults, Fault Ordering"},
};

static void say(const struct field *f, struct explain_bits *b)
{
	unsigned width = 1u + f->hi - f->lo;
	const char *word = b->value < ARRAY_LEN(f->words) ? f->words[b->value] : NULL;

	switch ((enum say)f->say) {
	case SAY_WORDS:
		if (!word && width > 1 && width <= 4 && f->words[0])
			word = "not a value that the manual knows";
		break;
	case SAY_PORT:
		word = explain_port_name((uint16_t)b->value);
		break;
	case SAY_GPR:
		word = explain_gpr_name((unsigned)b->value);
		break;
	case SAY_VECTOR:
		word = explain_vector_name((unsigned)b->value);
		break;
	case SAY_LINEAR:
		break;
	case SAY_DISPLACEMENT:
		if (!b->value)
			word = "none, or a register operand";
		break;
	case SAY_CR:
		snprintf(b->meaning, sizeof(b->meaning), "CR%u", (unsigned)b->value);
		return;
	}
	snprintf(b->meaning, sizeof(b->meaning), "%s", word ? word : "");
}

static uint64_t bits_of(uint64_t v, unsigned lo, unsigned hi)
{
	uint64_t up = hi >= 63 ? v : v & ((1ull << (hi + 1)) - 1);

	return up >> lo;
}

static bool is_shown(const struct field *f, uint64_t v, uint64_t value)
{
	if (f->layout == EXIT_EPT_VIOLATION && f->lo == 8 && !(v & QUAL_EPT_GLA_VALID)) /* then it is reserved */
		return false;
	return value || !f->only_if_set;
}

static unsigned decode(unsigned layout, uint64_t v, struct explain_bits *out, unsigned room)
{
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_LEN(fields) && n < room; i++) {
		const struct field *f = &fields[i];
		uint64_t value = bits_of(v, f->lo, f->hi);
		if (f->layout != layout || !is_shown(f, v, value))
			continue;
		out[n] = (struct explain_bits){.lo = f->lo, .hi = f->hi, .value = value};
		snprintf(out[n].name, sizeof(out[n].name), "%s", f->name);
		say(f, &out[n++]);
	}
	return n;
}

/* Which of the layouts a reason's qualification has. */
static unsigned layout_of(uint32_t reason, uint64_t qual, uint32_t info)
{
	switch (reason) {
	case EXIT_EXCEPTION_NMI:
		if (!(info & INTR_INFO_VALID) || (info >> INTR_INFO_TYPE_SHIFT & 7) == INTR_TYPE_NMI)
			return LAYOUT_NONE;
		return (uint8_t)info == VEC_PF ? LAYOUT_PF : (uint8_t)info == VEC_DB ? LAYOUT_DB : LAYOUT_NONE;
	case EXIT_CR_ACCESS: {
		static const uint16_t by_type[] = {LAYOUT_CR_MOV, LAYOUT_CR_MOV, LAYOUT_CR_CLTS, LAYOUT_CR_LMSW};
		return by_type[qual >> QUAL_CR_TYPE_SHIFT & 3];
	}
	case EXIT_IO_SMI:
		return EXIT_IO_INSTRUCTION;
	case EXIT_VMCLEAR:
	case EXIT_VMPTRLD:
	case EXIT_VMPTRST:
	case EXIT_VMREAD:
	case EXIT_VMWRITE:
	case EXIT_VMXON:
	case EXIT_GDTR_IDTR:
	case EXIT_LDTR_TR:
	case EXIT_INVEPT:
	case EXIT_INVVPID:
	case EXIT_INVPCID:
	case EXIT_XSAVES:
	case EXIT_XRSTORS:
		return LAYOUT_ADDRESS_OPERAND;
	default:
		return reason < EXIT_SDM_COUNT ? reason : LAYOUT_NONE;
	}
}

static const char *title_of(unsigned layout)
{
	for (size_t i = 0; i < ARRAY_LEN(titles); i++)
		if (titles[i].layout == layout)
			return titles[i].title;
	return "3C, Basic VM-Exit Information";
}

unsigned explain_qual_of(uint32_t reason, uint64_t qual, uint32_t info, struct explain_bits *out, const char **title)
{
	unsigned layout = layout_of(reason, qual, info);
	unsigned n = decode(layout, qual, out, EXPLAIN_BITS_MAX);

	*title = n ? title_of(layout) : NULL;
	return n;
}

#define SVM_IOIO 0x7bu
#define SVM_NPF 0x400u

unsigned explain_svm_info(uint32_t code, uint64_t info1, struct explain_bits *out, const char **title)
{
	unsigned layout = code == SVM_IOIO ? LAYOUT_SVM_IO : code == SVM_NPF ? LAYOUT_SVM_NPF : LAYOUT_NONE;
	unsigned n = decode(layout, info1, out, EXPLAIN_BITS_MAX);

	*title = n ? title_of(layout) : NULL;
	return n;
}

unsigned explain_qualification(uint32_t reason, uint64_t qual, uint32_t info, struct explain_bits out[EXPLAIN_BITS_MAX])
{
	const char *title;

	return explain_qual_of(reason, qual, info, out, &title);
}

unsigned explain_intr_info(uint32_t info, struct explain_bits out[EXPLAIN_BITS_MAX])
{
	return info & INTR_INFO_VALID ? decode(LAYOUT_INTR, info, out, EXPLAIN_BITS_MAX) : 0;
}

/* [SDM 3A "Page-Fault Exceptions"]; other codes are selectors [SDM 3A "Error Code"]. #DF's is always 0, #AC's nearly.
 */
unsigned explain_error_code(uint32_t info, uint32_t error, struct explain_bits *out, unsigned room)
{
	uint8_t vector = (uint8_t)info;

	if (!(info & INTR_INFO_VALID) || !(info & INTR_INFO_ERROR))
		return 0;
	if (vector == VEC_PF)
		return decode(LAYOUT_PF_ERROR, error, out, room);
	return vector >= VEC_TS && vector <= VEC_GP ? decode(LAYOUT_SELECTOR_ERROR, error, out, room) : 0;
}
