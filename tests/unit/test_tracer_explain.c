/*
 * tracer/explain*.c: every reason is explained under every profile, qualification bits against the SDM's tables typed
 * in here once more, sentences about controls against the controls themselves, and nothing overflows on random exits.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tracer/explain.h"
#include "tracer/kernel.h"

static struct vm_controls ctl;
static struct view_info info;
static struct view_exit e;
static struct explain x;

static void profile(const char *name)
{
	struct errmsg why;

	assert_int_equal(controls_set(&ctl, name, &why), ERR_OK);
	memset(&info, 0, sizeof(info));
	info.profile = &ctl;
	snprintf(info.controls, sizeof(info.controls), "%s", name);
}

static void exit_of(uint32_t reason, uint64_t qual)
{
	memset(&e, 0, sizeof(e));
	e.reason = reason;
	e.qual = qual;
	e.isa = ISA_VMX;
	e.verdict = VERDICT_NEXT;
	e.insn_len = 2;
	e.rip = 0x1000;
	e.has = VIEW_HAS_RIP | VIEW_HAS_VALUES;
}

static void explain_bytes(const char *bytes, size_t n)
{
	explain_exit(&e, &info, (const uint8_t *)bytes, n, 64, NULL, &x);
}

static void explain_now(void)
{
	explain_bytes(NULL, 0);
}

static bool has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

/* Filled, ended by a zero, and not cut off. */
#define WHOLE(text)                                             \
	do {                                                    \
		assert_non_null(memchr(text, 0, sizeof(text))); \
		assert_true((text)[0] != 0);                    \
		assert_true(strlen(text) < sizeof(text) - 1);   \
	} while (0)

static const uint32_t reasons[] = {
#define EXIT(num, name, class, sentence, sdm) num,
#include "core/exits.def"
#undef EXIT
};

static void every_reason_is_explained_under_every_profile(void **state)
{
	size_t n;
	const struct controls_profile *p = controls_profiles(&n);

	(void)state;
	for (size_t k = 0; k < n; k++) {
		profile(p[k].name);
		for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
			exit_of(reasons[i], 0);
			explain_now();
			WHOLE(x.title);
			WHOLE(x.why);
			WHOLE(x.class_text);
			WHOLE(x.avoid);
			WHOLE(x.insn_why);
			WHOLE(x.cost_source);
			assert_true(x.sentence[0] && x.sdm[0] && x.n_did > 0);
			assert_true(has(x.title, exit_name(reasons[i])));
			assert_false(has(x.avoid, "not known"));
			assert_false(has(x.why, "not known: the table"));
			assert_false(has(x.why, "?"));
			assert_int_equal(x.qual_title == NULL, x.n_qual == 0);
		}
	}
}

static void texts_that_depend_on_operands_fit(void **state)
{
	static const char *const names[] = {"vtx-ept", "all", "kvm-user", "deprivileged"};

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(names); k++) {
		profile(names[k]);
		for (unsigned type = 0; type < 4; type++)
			for (unsigned cr = 0; cr < 16; cr++) {
				exit_of(EXIT_CR_ACCESS, cr | type << 4);
				e.raw[1] = UINT64_MAX;
				explain_now();
				WHOLE(x.why);
				for (unsigned i = 0; i < x.n_did; i++)
					WHOLE(x.did[i]);
			}
		for (unsigned vector = 0; vector < 256; vector++) {
			exit_of(EXIT_EXCEPTION_NMI, 0);
			e.intr_info = INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION << 8 | vector;
			explain_now();
			WHOLE(x.why);
		}
	}
}

/* --- Bits ----------------------------------------------------------------------------------------------------------
 */

#define PF (INTR_INFO_VALID | 3u << 8 | 14u)
#define DB (INTR_INFO_VALID | 3u << 8 | 1u)
#define GP (INTR_INFO_VALID | 3u << 8 | 13u)

/* From the tables of the SDM's chapter on VM exits, by hand. meaning: a part of the words; NULL: only the number. */
static const struct {
	uint32_t reason, info;
	uint64_t qual;
	uint8_t lo, hi;
	uint64_t value;
	const char *meaning;
} facts[] = {
    {30, 0, 0x03f80000, 0, 2, 0, "1 byte"},
    {30, 0, 0x03f80001, 0, 2, 1, "2 bytes"},
    {30, 0, 0x03f80003, 0, 2, 3, "4 bytes"},
    {30, 0, 0x03f80002, 0, 2, 2, "not a value"},
    {30, 0, 0x03f80000, 3, 3, 0, "OUT"},
    {30, 0, 0x03f80008, 3, 3, 1, "IN"},
    {30, 0, 0x03f80010, 4, 4, 1, "yes"},
    {30, 0, 0x03f80020, 5, 5, 1, "yes"},
    {30, 0, 0x03f80040, 6, 6, 1, "instruction"},
    {30, 0, 0x03f80000, 6, 6, 0, "DX"},
    {30, 0, 0x03f80000, 16, 31, 0x3f8, "COM1"},
    {5, 0, 0x00800000, 16, 31, 0x80, "POST"},
    {28, 0, 0x00000304, 0, 3, 4, "CR4"},
    {28, 0, 0x00000304, 4, 5, 0, "MOV to CR"},
    {28, 0, 0x00000313, 4, 5, 1, "MOV from CR"},
    {28, 0, 0x00000304, 8, 11, 3, "RBX"},
    {28, 0, 0x00000f08, 8, 11, 15, "R15"},
    {28, 0, 0x00000020, 4, 5, 2, "CLTS"},
    {28, 0, 0x00010030, 4, 5, 3, "LMSW"},
    {28, 0, 0x00010070, 6, 6, 1, "memory"},
    {28, 0, 0x00110030, 16, 31, 0x11, NULL},
    {29, 0, 0x00000107, 0, 2, 7, "DR7"},
    {29, 0, 0x00000107, 4, 4, 0, "to DR"},
    {29, 0, 0x00000117, 4, 4, 1, "from DR"},
    {29, 0, 0x00000107, 8, 11, 1, "RCX"},
    {48, 0, 0x181, 0, 0, 1, "yes"},
    {48, 0, 0x182, 1, 1, 1, "yes"},
    {48, 0, 0x184, 2, 2, 1, "yes"},
    {48, 0, 0x1aa, 3, 3, 1, "yes"},
    {48, 0, 0x192, 4, 4, 1, "yes"},
    {48, 0, 0x1a2, 5, 5, 1, "yes"},
    {48, 0, 0x181, 7, 7, 1, "yes"},
    {48, 0, 0x181, 8, 8, 1, "itself"},
    {48, 0, 0x081, 8, 8, 0, "page-table"},
    {48, 0, 0x1181, 12, 12, 1, "yes"},
    {9, 0, 0x00000028, 0, 15, 0x28, NULL},
    {9, 0, 0x00000028, 30, 31, 0, "CALL"},
    {9, 0, 0x40000028, 30, 31, 1, "IRET"},
    {9, 0, 0x80000028, 30, 31, 2, "JMP"},
    {9, 0, 0xc0000028, 30, 31, 3, "task gate"},
    {0, PF, 0xffff800000001234, 0, 63, 0xffff800000001234, NULL},
    {0, DB, 0x5, 0, 3, 5, NULL},
    {0, DB, 0x2000, 13, 13, 1, "yes"},
    {0, DB, 0x4000, 14, 14, 1, "TF"},
    {0, DB, 0x10000, 16, 16, 1, "yes"},
    {14, 0, 0x7fff1000, 0, 63, 0x7fff1000, NULL},
    {46, 0, 0x18, 0, 63, 0x18, NULL},
    {50, 0, 0, 0, 63, 0, "none"},
    {4, 0, 0x9f, 0, 7, 0x9f, NULL},
    {36, 0, 1, 0, 0, 1, "yes"},
    {33, 0, 4, 0, 63, 4, "link pointer"},
    {33, 0, 2, 0, 63, 2, "PDPTE"},
    {33, 0, 3, 0, 63, 3, "NMI"},
    {34, 0, 7, 0, 63, 7, NULL},
    {44, 0, 0x10b0, 0, 11, 0xb0, NULL},
    {44, 0, 0x00b0, 12, 15, 0, "read"},
    {44, 0, 0x10b0, 12, 15, 1, "write"},
    {44, 0, 0x20b0, 12, 15, 2, "fetch"},
    {44, 0, 0x30b0, 12, 15, 3, "event delivery"},
    {44, 0, 0xa0b0, 12, 15, 10, "guest-physical: during event"},
    {44, 0, 0xf0b0, 12, 15, 15, "guest-physical"},
    {45, 0, 0x31, 0, 7, 0x31, NULL},
    {56, 0, 0x300, 0, 11, 0x300, NULL},
    {62, 0, 0x1000, 12, 12, 1, "yes"},
    {66, 0, 0x800, 11, 11, 1, "miss"},
    {75, 0, 1, 0, 0, 1, "yes"},
};

static void qualifications_are_those_of_the_manual(void **state)
{
	struct explain_bits bits[EXPLAIN_BITS_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
		unsigned n = explain_qualification(facts[i].reason, facts[i].qual, facts[i].info, bits), k = 0;
		while (k < n && (bits[k].lo != facts[i].lo || bits[k].hi != facts[i].hi))
			k++;
		if (k == n)
			print_error("fact %zu: no bits %u to %u\n", i, facts[i].lo, facts[i].hi);
		assert_true(k < n);
		assert_true(bits[k].value == facts[i].value);
		if (facts[i].meaning && !has(bits[k].meaning, facts[i].meaning))
			print_error("fact %zu: \"%s\"\n", i, bits[k].meaning);
		assert_true(!facts[i].meaning || has(bits[k].meaning, facts[i].meaning));
	}
}

static void what_the_manual_leaves_undefined_is_not_decoded(void **state)
{
	static const uint32_t without[] = {
	    1, 2, 7, 8, 10, 12, 16, 18, 31, 32, 37, 39, 40, 43, 49, 51, 52, 54, 55, 57, 0x10000, 0x10002};
	struct explain_bits bits[EXPLAIN_BITS_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(without); i++)
		assert_int_equal(explain_qualification(without[i], UINT64_MAX, 0, bits), 0);
	assert_int_equal(explain_qualification(EXIT_EXCEPTION_NMI, 1, GP, bits), 0);
	assert_int_equal(explain_qualification(EXIT_EXCEPTION_NMI, 1, 0, bits), 0);
	assert_int_equal(explain_qualification(EXIT_EXCEPTION_NMI, 1, INTR_INFO_VALID | 2u << 8 | 2, bits), 0);
	/* bit 8 means nothing when bit 7 is 0 */
	for (unsigned i = 0, n = explain_qualification(EXIT_EPT_VIOLATION, 1, 0, bits); i < n; i++)
		assert_int_not_equal(bits[i].lo, 8);
}

static void fields_do_not_overlap(void **state)
{
	struct explain_bits bits[EXPLAIN_BITS_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		for (unsigned k = 0; k < 8; k++) {
			static const uint64_t values[] = {0, UINT64_MAX, 0x10, 0x20, 0x30, 0xffff, 0x80, 0x5555};
			uint64_t seen = 0;
			unsigned n = explain_qualification(reasons[i], values[k], k & 1 ? PF : DB, bits);
			assert_true(n <= EXPLAIN_BITS_MAX);
			for (unsigned b = 0; b < n; b++) {
				unsigned width = 1u + bits[b].hi - bits[b].lo;
				uint64_t mask = (width == 64 ? UINT64_MAX : (1ull << width) - 1) << bits[b].lo;
				assert_true((seen & mask) == 0);
				assert_true((values[k] & mask) >> bits[b].lo == bits[b].value);
				assert_true(bits[b].name[0] && strlen(bits[b].name) < sizeof(bits[b].name) - 1);
				assert_true(strlen(bits[b].meaning) < sizeof(bits[b].meaning) - 1);
				seen |= mask;
			}
		}
}

static void interruption_information_comes_with_its_error_code(void **state)
{
	struct explain_bits bits[EXPLAIN_BITS_MAX];

	(void)state;
	assert_int_equal(explain_intr_info(0x7fffffff, bits), 0);
	assert_int_equal(explain_intr_info(0x80000b0e, bits), 5);
	assert_true(bits[0].value == 14 && has(bits[0].meaning, "#PF"));
	assert_true(bits[1].value == 3 && has(bits[1].meaning, "hardware exception"));
	assert_true(bits[2].lo == 11 && bits[2].value == 1);
	profile("vtx-shadow");
	exit_of(EXIT_EXCEPTION_NMI, 0xdead000);
	e.intr_info = 0x80000b0e;
	e.intr_error = 0x6; /* write, user */
	explain_now();
	assert_int_equal(x.n_intr, 10);
	assert_true(has(x.intr[5].name, "P") && has(x.intr[5].meaning, "not present"));
	assert_true(has(x.intr[6].meaning, "write") && has(x.intr[7].meaning, "user"));
	e.intr_info = 0x80000b0d;
	e.intr_error = 13u << 3 | 2; /* gate 13 of the IDT */
	explain_now();
	assert_int_equal(x.n_intr, 9);
	assert_true(x.intr[8].value == 13 && x.intr[6].value == 1);
	e.intr_info = 0x80000306; /* #UD has no error code */
	explain_now();
	assert_int_equal(x.n_intr, 5);
}

/* --- Why -----------------------------------------------------------------------------------------------------------
 */

enum { PIN, PROC, PROC2 };
static uint32_t *field(unsigned which)
{
	return which == PIN ? &ctl.pin : which == PROC ? &ctl.proc : &ctl.proc2;
}

/* The bit of each control by the SDM, and its name. */
static const struct {
	uint32_t reason, qual;
	uint8_t field, bit;
	const char *name;
} switches[] = {
    {1, 0, PIN, 0, "external-interrupt exiting"},
    {52, 0, PIN, 6, "VMX-preemption timer"},
    {7, 0, PROC, 2, "interrupt-window exiting"},
    {12, 0, PROC, 7, "HLT exiting"},
    {14, 0, PROC, 9, "INVLPG exiting"},
    {36, 0, PROC, 10, "MWAIT exiting"},
    {15, 0, PROC, 11, "RDPMC exiting"},
    {16, 0, PROC, 12, "RDTSC exiting"},
    {51, 0, PROC, 12, "RDTSC exiting"},
    {28, 0x003, PROC, 15, "CR3-load exiting"},
    {28, 0x013, PROC, 16, "CR3-store exiting"},
    {28, 0x008, PROC, 19, "CR8-load exiting"},
    {28, 0x018, PROC, 20, "CR8-store exiting"},
    {8, 0, PROC, 22, "NMI-window exiting"},
    {29, 0, PROC, 23, "MOV-DR exiting"},
    {30, 0x3f80000, PROC, 24, "unconditional I/O exiting"},
    {30, 0x3f80000, PROC, 25, "use I/O bitmaps"},
    {37, 0, PROC, 27, "monitor trap flag"},
    {31, 0, PROC, 28, "use MSR bitmaps"},
    {32, 0, PROC, 28, "use MSR bitmaps"},
    {39, 0, PROC, 29, "MONITOR exiting"},
    {40, 0, PROC, 30, "PAUSE exiting"},
    {48, 0x181, PROC2, 1, "enable EPT"},
    {46, 0, PROC2, 2, "descriptor-table exiting"},
    {47, 0, PROC2, 2, "descriptor-table exiting"},
    {54, 0, PROC2, 6, "WBINVD exiting"},
    {57, 0, PROC2, 11, "RDRAND exiting"},
    {58, 0, PROC2, 12, "enable INVPCID"},
    {58, 0, PROC, 9, "INVLPG exiting"},
    {61, 0, PROC2, 16, "RDSEED exiting"},
};

static void the_sentence_follows_the_control(void **state)
{
	char on[sizeof(x.why)], bit[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
		profile("all");
		exit_of(switches[i].reason, switches[i].qual);
		*field(switches[i].field) |= 1u << switches[i].bit;
		explain_now();
		snprintf(on, sizeof(on), "%s", x.why);
		snprintf(bit, sizeof(bit), "bit %u, ", switches[i].bit);
		assert_true(has(on, switches[i].name));
		assert_true(has(on, bit));
		*field(switches[i].field) &= ~(1u << switches[i].bit);
		explain_now();
		assert_string_not_equal(on, x.why);
		assert_false(has(on, "would not exit"));
	}
}

static void masks_and_bitmaps_are_looked_at(void **state)
{
	(void)state;
	profile("vtx-ept");
	exit_of(EXIT_CR_ACCESS, 0);
	explain_now();
	assert_true(has(x.why, "CR0") && has(x.why, "PE NE NW CD PG") && !has(x.why, "reserved"));
	ctl.cr0_mask = 0;
	explain_now();
	assert_true(has(x.why, "no write would exit"));
	exit_of(EXIT_CR_ACCESS, 4);
	explain_now();
	assert_true(has(x.why, "CR4") && has(x.why, "VMXE") && has(x.why, "reserved"));
	exit_of(EXIT_CR_ACCESS, 2 << 4);
	explain_now();
	assert_true(has(x.why, "would not exit"));
	ctl.cr0_mask = CR0_TS;
	explain_now();
	assert_false(has(x.why, "would not exit"));
	exit_of(EXIT_IO_INSTRUCTION, 0x3f80000);
	ctl.proc |= PROC_IO_BITMAPS;
	explain_now();
	assert_true(has(x.why, "port 0x3f8 is 1"));
	ctl.io_bitmap[0x3f8 / 8] = 0;
	explain_now();
	assert_true(has(x.why, "port 0x3f8 is 0, so it would not exit"));
	exit_of(EXIT_MSR_READ, 0);
	e.raw[0] = 0x1b;
	explain_now();
	assert_true(has(x.why, "MSR 0x1b") && has(x.why, "reads is 1"));
	e.raw[0] = 0xc0000100; /* FS_BASE is the guest's */
	explain_now();
	assert_true(has(x.why, "reads is 0, so it would not exit"));
	e.raw[0] = 0x4b564d00;
	explain_now();
	assert_true(has(x.why, "neither of the two ranges"));
	exit_of(EXIT_EXCEPTION_NMI, 0);
	e.intr_info = INTR_INFO_VALID | 3u << 8 | VEC_AC;
	explain_now();
	assert_true(has(x.why, "bit 17") && !has(x.why, "would not exit"));
	ctl.exceptions &= ~(1u << VEC_AC);
	explain_now();
	assert_true(has(x.why, "would not exit"));
	exit_of(EXIT_EPT_VIOLATION, 0x181);
	e.gpa = 0xfee00020;
	explain_now();
	assert_true(has(x.why, "maps nothing at guest-physical 0xfee00020 (local APIC)"));
	exit_of(EXIT_EPT_VIOLATION, 0x1aa); /* a write to what may be read and executed */
	explain_now();
	assert_true(has(x.why, "does not allow this kind of access"));
}

/* The table that the audit uses must say the same: what never traps is said not to, what always traps is not. */
static void sentences_agree_with_the_table_of_sensitive_instructions(void **state)
{
	static const struct {
		uint32_t reason, qual;
		enum sensitive_id id;
	} implied[] = {{10, 0, SENSITIVE_CPUID}, {12, 0, SENSITIVE_HLT}, {14, 0, SENSITIVE_INVLPG},
	    {15, 0, SENSITIVE_RDPMC}, {16, 0, SENSITIVE_RDTSC}, {51, 0, SENSITIVE_RDTSCP},
	    {28, 3, SENSITIVE_MOV_TO_CR3}, {28, 0x13, SENSITIVE_MOV_FROM_CR3}, {28, 8, SENSITIVE_MOV_TO_CR8},
	    {28, 0, SENSITIVE_MOV_TO_CR0}, {28, 4, SENSITIVE_MOV_TO_CR4}, {28, 0x10, SENSITIVE_MOV_FROM_CR0},
	    {28, 0x20, SENSITIVE_CLTS}, {28, 0x30, SENSITIVE_LMSW}, {29, 0, SENSITIVE_MOV_DR}, {30, 0, SENSITIVE_OUT},
	    {30, 8, SENSITIVE_IN}, {30, 0x10, SENSITIVE_OUTS}, {30, 0x18, SENSITIVE_INS}, {31, 0, SENSITIVE_RDMSR},
	    {32, 0, SENSITIVE_WRMSR}, {36, 0, SENSITIVE_MWAIT}, {39, 0, SENSITIVE_MONITOR}, {54, 0, SENSITIVE_WBINVD},
	    {55, 0, SENSITIVE_XSETBV}, {58, 0, SENSITIVE_INVPCID}, {13, 0, SENSITIVE_INVD}};
	static const char *const names[] = {"vtx-ept", "vtx-shadow", "all", "kvm-user"};

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(names); k++)
		for (size_t i = 0; i < ARRAY_LEN(implied); i++) {
			const struct sensitive_row *row = &sensitive_rows()[implied[i].id];
			profile(names[k]);
			exit_of(implied[i].reason, implied[i].qual);
			explain_now();
			assert_ptr_equal(x.row, row);
			assert_int_equal(x.class, sensitive_class(row));
			bool denied = has(x.why, "would not exit") || has(x.why, "would exit") ||
				      has(x.why, "never exits") || has(x.why, "keeps it for itself");
			switch (sensitive_traps(row, &ctl)) {
			case TRAPS_ALWAYS:
				assert_false(denied);
				break;
			case TRAPS_NEVER:
				assert_true(denied);
				break;
			case TRAPS_SOMETIMES:
				break;
			}
		}
}

static void without_controls_only_what_is_always_true_is_said(void **state)
{
	(void)state;
	memset(&info, 0, sizeof(info));
	info.source = VIEW_TRACE;
	exit_of(EXIT_HLT, 0);
	explain_now();
	assert_true(has(x.why, "not known") && has(x.why, "HLT exiting"));
	assert_true(has(x.insn_why, "a trace has no memory") && has(x.insn_why, "hlt"));
	exit_of(EXIT_CPUID, 0);
	explain_now();
	assert_true(has(x.why, "always exits"));
	explain_exit(&e, NULL, NULL, 0, 64, NULL, &x);
	assert_true(has(x.why, "always exits"));
}

/* --- Instruction, what was done, cost ------------------------------------------------------------------------------
 */

static void the_instruction_is_shown_and_not_believed(void **state)
{
	(void)state;
	profile("vtx-ept");
	exit_of(EXIT_CPUID, 0);
	explain_bytes("\x0f\xa2\x90", 3);
	assert_string_equal(x.insn, "cpuid");
	assert_string_equal(x.insn_why, "");
	explain_bytes("\x90\x90\x90", 3); /* it has been overwritten since */
	assert_string_equal(x.insn, "");
	assert_true(has(x.insn_why, "cpuid") && has(x.insn_why, "nop"));
	exit_of(EXIT_GDTR_IDTR, 0); /* only the bytes say which it was */
	explain_now();
	assert_null(x.row);
	explain_bytes("\x0f\x01\x08", 3);
	assert_ptr_equal(x.row, &sensitive_rows()[SENSITIVE_SIDT]);
	assert_int_equal(x.class, PG_SENSITIVE);
	exit_of(EXIT_EPT_VIOLATION, 0x182);
	explain_bytes("\x88\x07", 2);
	assert_string_equal(x.insn, "mov [rdi], al");
	assert_null(x.row);
	assert_int_equal(x.class, PG_INNOCUOUS);
	exit_of(EXIT_EXCEPTION_NMI, 0);
	e.observed = OBSERVED_MODEL;
	e.intr_info = GP;
	e.raw[0] = INSN_HLT;
	explain_now();
	assert_ptr_equal(x.row, &sensitive_rows()[SENSITIVE_HLT]);
}

static bool did(const char *part)
{
	for (unsigned i = 0; i < x.n_did; i++)
		if (has(x.did[i], part))
			return true;
	return false;
}

static void values_of(const struct vm_exit *v)
{
	memcpy(e.raw, v->raw, sizeof(e.raw));
}

static void what_the_vmm_did_is_told_from_the_record(void **state)
{
	struct vm_exit v = {.cpuid = {0, 0, 0xd, 0x756e6547, 0x6c65746e, 0x49656e69}};

	(void)state;
	profile("vtx-ept");
	exit_of(EXIT_CPUID, 0);
	values_of(&v);
	explain_now();
	assert_true(did("EAX=0000000d EBX=756e6547") && did("GenuineIntel") && did("0x1000 + 2 = 0x1002"));
	exit_of(EXIT_IO_INSTRUCTION, 0x3f80000);
	v = (struct vm_exit){.io = {.port = 0x3f8, .size = 1, .value = 'H'}};
	values_of(&v);
	explain_now();
	assert_true(did("0x48 'H'") && did("port 0x3f8 (COM1"));
	exit_of(EXIT_IO_INSTRUCTION, 0x3fd0008);
	v = (struct vm_exit){.io = {.port = 0x3fd, .size = 1, .in = 1, .value = 0x60}};
	values_of(&v);
	explain_now();
	assert_true(did("answered 0x60") && did("into AL"));
	exit_of(EXIT_MSR_READ, 0);
	v = (struct vm_exit){.msr = {.index = 0x999, .fault = 1}};
	values_of(&v);
	e.verdict = VERDICT_REFLECT;
	e.has |= VIEW_INJECTED;
	e.inject_type = INTR_TYPE_HW_EXCEPTION;
	e.inject_vector = VEC_GP;
	explain_now();
	assert_true(did("no MSR 0x999") && did("injected exception 13 (#GP"));
	exit_of(EXIT_HLT, 0);
	e.verdict = VERDICT_HALT;
	e.has |= VIEW_INJECTED;
	e.inject_vector = 0x20;
	explain_now();
	assert_true(did("sleep") && did("interrupt with vector 0x20"));
	exit_of(EXIT_HLT, 0);
	e.verdict = VERDICT_COUNT;
	explain_now();
	assert_true(did("not known"));
}

static void cost_comes_with_its_source(void **state)
{
	static struct cost_model model = {.name = "some-cpu",
	    .stack = "type2",
	    .by_reason[EXIT_HLT] = {.steps = {{"exit", 300}, {"scheduler", 2000}, {"entry", 310}}, 3, 2610}};

	(void)state;
	profile("vtx-ept");
	info.cost = &model;
	exit_of(EXIT_HLT, 0);
	explain_now();
	assert_true(has(x.cost_source, "not known") && x.n_cost == 0);
	e.has |= VIEW_HAS_COST | VIEW_COST_MODELLED;
	e.cost_ns = 2610;
	explain_now();
	assert_int_equal(x.n_cost, 3);
	assert_true(x.cost[1].ns == 2000 && has(x.cost[1].name, "scheduler"));
	assert_true(has(x.cost_source, "some-cpu") && has(x.cost_source, "Type II"));
	e.cost_ns = 2611; /* by another profile: its steps would be a lie */
	explain_now();
	assert_int_equal(x.n_cost, 1);
	e.has &= (uint8_t)~VIEW_COST_MODELLED;
	explain_now();
	assert_true(x.n_cost == 1 && x.cost[0].ns == 2611 && has(x.cost_source, "measured"));
}

/* --- Traces of others, and rubbish ---------------------------------------------------------------------------------
 */

static void exits_of_amd_and_of_dev_kvm_are_said_as_far_as_they_are_known(void **state)
{
	(void)state;
	profile("vtx-ept");
	exit_of(0x7b, 0x3f80000 | 1u << 4); /* IOIO: out, 8 bits */
	e.isa = ISA_SVM;
	e.has = VIEW_HAS_RIP;
	e.verdict = VERDICT_COUNT;
	explain_now();
	assert_true(has(x.title, "0x7b io (AMD-V)"));
	assert_true(x.n_qual == 6 && has(x.qual_title, "IOIO"));
	assert_true(has(x.qual[5].meaning, "COM1") && has(x.qual[3].meaning, "1 byte"));
	assert_true(has(x.why, "not known") && did("not known"));
	e.reason = 0x82; /* VMLOAD: no reason of VT-x */
	explain_now();
	assert_true(has(x.sentence, "no exit reason of VT-x"));
	assert_true(has(x.why, "not known") && has(x.avoid, "not known"));
	e.isa = ISA_KVM_USER;
	e.reason = 2;
	explain_now();
	assert_true(has(x.title, "KVM_EXIT_IO") && has(x.sentence, "not counted again"));
	assert_int_equal(x.n_qual, 0);
	exit_of(33 | 1u << 31, 0);
	explain_now();
	assert_true(has(x.title, "33 INVALID_STATE") && has(x.title, "entry failed"));
}

static uint64_t rnd(void)
{
	static uint64_t s = 88172645463325252ull;

	s ^= s << 13;
	s ^= s >> 7;
	return s ^= s << 17;
}

static void check_all(void)
{
	assert_true(x.n_qual <= EXPLAIN_BITS_MAX && x.n_intr <= EXPLAIN_BITS_MAX && x.n_did <= ARRAY_LEN(x.did));
	assert_true(x.n_cost <= EXPLAIN_STEPS_MAX && x.sentence && x.sdm);
	assert_non_null(memchr(x.title, 0, sizeof(x.title)));
	assert_non_null(memchr(x.why, 0, sizeof(x.why)));
	assert_non_null(memchr(x.insn, 0, sizeof(x.insn)));
	assert_non_null(memchr(x.insn_why, 0, sizeof(x.insn_why)));
	assert_true(x.why[0] && x.class_text[0] && x.avoid[0] && x.title[0] && x.n_did);
	assert_true(x.insn[0] || x.insn_why[0]);
	for (unsigned i = 0; i < x.n_did; i++)
		assert_non_null(memchr(x.did[i], 0, sizeof(x.did[i])));
}

static void random_exits_never_overflow(void **state)
{
	static const char *const names[] = {"vtx-ept", "vtx-shadow", "deprivileged", "umip", "all", "kvm-user"};
	uint8_t bytes[16];

	(void)state;
	for (unsigned round = 0; round < 60000; round++) {
		if (round % 1000 == 0)
			profile(names[round / 1000 % ARRAY_LEN(names)]);
		for (size_t i = 0; i < sizeof(e); i++)
			((uint8_t *)&e)[i] = (uint8_t)rnd();
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)rnd();
		if (round % 4)
			e.reason = reasons[rnd() % ARRAY_LEN(reasons)];
		if (round % 3)
			e.isa = ISA_VMX;
		info.source = round & 8 ? VIEW_LIVE : VIEW_TRACE;
		explain_exit(&e, round % 7 ? &info : NULL, bytes, rnd() % 17, 16u << rnd() % 3, NULL, &x);
		check_all();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_reason_is_explained_under_every_profile),
	    cmocka_unit_test(texts_that_depend_on_operands_fit),
	    cmocka_unit_test(qualifications_are_those_of_the_manual),
	    cmocka_unit_test(what_the_manual_leaves_undefined_is_not_decoded),
	    cmocka_unit_test(fields_do_not_overlap),
	    cmocka_unit_test(interruption_information_comes_with_its_error_code),
	    cmocka_unit_test(the_sentence_follows_the_control),
	    cmocka_unit_test(masks_and_bitmaps_are_looked_at),
	    cmocka_unit_test(sentences_agree_with_the_table_of_sensitive_instructions),
	    cmocka_unit_test(without_controls_only_what_is_always_true_is_said),
	    cmocka_unit_test(the_instruction_is_shown_and_not_believed),
	    cmocka_unit_test(what_the_vmm_did_is_told_from_the_record),
	    cmocka_unit_test(cost_comes_with_its_source),
	    cmocka_unit_test(exits_of_amd_and_of_dev_kvm_are_said_as_far_as_they_are_known),
	    cmocka_unit_test(random_exits_never_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
