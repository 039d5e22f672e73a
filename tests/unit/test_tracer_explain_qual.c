/*
 * tracer/explain_qual.c: qualification bits against the tables of the SDM, typed in here once more.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "tracer/explain.h"

static const uint32_t reasons[] = {
#define EXIT(num, name, class, sentence, sdm) num,
#include "core/exits.def"
#undef EXIT
};

static bool has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(qualifications_are_those_of_the_manual),
	    cmocka_unit_test(what_the_manual_leaves_undefined_is_not_decoded),
	    cmocka_unit_test(fields_do_not_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
