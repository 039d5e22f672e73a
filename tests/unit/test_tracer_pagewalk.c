/* The page walk for people against the one that runs guests, over random tables; and that it says what happened. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/x86_fixture.h"
#include "tracer/pagewalk.h"
#include "tests/vm_fixture.h" /* last: its names are short */

static uint64_t seed = 88172645463325252ull;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static bool read_fix(void *arg, gpa_t gpa, void *buf, size_t n)
{
	const struct x86_fix *f = arg;

	if (gpa > X86_FIX_RAM - n)
		return false;
	memcpy(buf, f->ram + gpa, n);
	return true;
}

/* --- Random tables: few pages, so that walks go deep ------------------------------------------------------------ */

#define TABLES 0x10000u
#define N_TABLES 24u

static void random_tables(struct x86_fix *f, unsigned size)
{
	for (uint64_t at = TABLES; at < TABLES + N_TABLES * 4096; at += size) {
		uint64_t e =
		    (TABLES + (rnd() % N_TABLES) * 4096) | (rnd() & 0x167) | (rnd() % 8 ? 1 : 0) | (rnd() % 3 ? 6 : 0);

		if (rnd() % 5 == 0)
			e = (e & 0xfff) | 0x80 | (rnd() % 2 << 21);
		if (rnd() % 40 == 0)
			e |= 1ull << (rnd() % (size == 8 ? 63 : 32)); /* also tables outside RAM */
		if (size == 8 && rnd() % 12 == 0)
			e |= 1ull << 63;
		if (size == 8)
			e |= rnd() % 4 << 59;
		x86_fix_poke(f, at, size, e);
	}
}

/* mode: 0 none, 1 32-bit, 2 PAE, 3 4-level */
static void random_state(struct x86_fix *f, unsigned mode)
{
	struct x86_state *s = &f->c->s;

	s->cr0 = CR0_PE | (mode ? CR0_PG : 0) | (rnd() & CR0_WP);
	s->cr4 = (rnd() & (CR4_SMEP | CR4_SMAP | CR4_PSE | CR4_PKE | CR4_PGE)) | (mode > 1 ? CR4_PAE : 0);
	s->efer = (rnd() & EFER_NXE) | (mode == 3 ? EFER_LMA | EFER_LME : 0);
	s->cr3 = TABLES;
	s->pkru = rnd() & rnd();
	s->rflags = FLAG_R1 | (rnd() & FLAG_AC);
	for (unsigned n = 0; n < 4; n++)
		s->pdpte[n] = (TABLES + rnd() % N_TABLES * 4096) | (rnd() % 8 != 0);
	if (mode == 3)
		s->seg[X86_CS].attr |= SEG_L;
	x86_state_changed(f->c);
}

static unsigned seen[5]; /* translated, not present, not permitted, reserved bit, table outside RAM */

/* The fields of an entry cover every bit of it once, and lose none of its value. */
static void check_bits(const struct pagewalk *w)
{
	struct pagewalk_bit b[PAGEWALK_BITS_MAX];

	for (unsigned i = 0; i < w->n; i++) {
		unsigned n = pagewalk_bits(w, i, b), next = 0;
		uint64_t value = 0;

		assert_true(n <= PAGEWALK_BITS_MAX);
		for (unsigned k = 0; k < n; k++) {
			assert_int_equal(b[k].lo, next);
			assert_true(b[k].hi >= b[k].lo);
			next = b[k].hi + 1;
			value |= strcmp(b[k].name, "address") == 0 ? b[k].value : b[k].value << b[k].lo;
		}
		assert_int_equal(next, w->entry[i].size * 8);
		assert_int_equal(value, w->entry[i].value);
	}
}

static void compare(struct x86_fix *f, unsigned mode, bool intercepts)
{
	static const unsigned hows[] = {X86_ACCESS_READ, X86_ACCESS_WRITE, X86_ACCESS_FETCH, 0};
	struct pagewalk_query q = {.how = hows[rnd() % 4], .intercepts = intercepts};
	uint8_t before[N_TABLES * 4096];
	struct pagewalk w;
	struct x86_walk real;
	enum x86_walk_rc rc;

	q.gva = mode == 3 ? (uint64_t)((int64_t)(rnd() << 16) >> 16) : (uint32_t)rnd();
	q.priv = (enum x86_priv)(rnd() % (q.how & X86_ACCESS_FETCH ? 2 : 3));
	memcpy(before, f->ram + TABLES, sizeof before);
	pagewalk(&f->c->s, &q, read_fix, f, &w);
	assert_memory_equal(before, f->ram + TABLES, sizeof before);
	rc = x86_walk(f->c, q.gva, q.how, q.priv, &real);
	seen[w.result == PAGEWALK_OK	  ? 0
	     : w.result == PAGEWALK_TABLE ? 4
	     : w.error & PF_RSVD	  ? 3
	     : w.error & PF_P		  ? 2
					  : 1]++;
	assert_int_equal(w.result, rc == X86_WALK_OK	  ? PAGEWALK_OK
				   : rc == X86_WALK_FAULT ? PAGEWALK_FAULT
							  : PAGEWALK_TABLE);
	assert_true(w.why[0]);
	check_bits(&w);
	memcpy(f->ram + TABLES, before, sizeof before);
	if (w.result == PAGEWALK_TABLE)
		assert_int_equal(w.entry[w.culprit].gpa, real.gpa);
	if (w.result == PAGEWALK_FAULT) {
		assert_int_equal(w.error, real.error);
		assert_true(w.culprit >= 0 && w.culprit < (int)w.n);
	}
	if (w.result != PAGEWALK_OK)
		return;
	assert_int_equal(w.gpa, real.gpa);
	assert_int_equal(w.shift, real.shift);
	assert_int_equal(w.user, real.user);
	assert_int_equal(w.write, real.write);
	assert_int_equal(w.nx, real.nx);
	assert_int_equal(w.global, real.global);
	if (mode)
		assert_int_equal(w.key, real.key);
}

static void walks_equal_those_that_run_guests(void **state)
{
	struct x86_fix *f = *state;

	for (unsigned round = 0; round < 200; round++) {
		unsigned mode = round % 4;
		bool intercepts = round & 4;

		x86_fix_reset(f);
		x86_fix_prot(f, 4, 0);
		random_tables(f, mode > 1 ? 8 : 4);
		random_state(f, mode);
		if (intercepts)
			x86_fix_controls(f, "all");
		for (unsigned n = 0; n < 40; n++)
			compare(f, mode, f->c->ctl != NULL);
	}
	for (unsigned n = 0; n < 4; n++)
		assert_true(seen[n] > 200);
	assert_true(seen[4] > 5);
}

/* --- What it says ------------------------------------------------------------------------------------------------ */

static void a_refused_write_names_the_entry_that_refused(void **state)
{
	struct x86_fix *f = *state;
	struct pagewalk_query q = {.gva = 0x5123, .how = X86_ACCESS_WRITE, .priv = X86_PRIV_USER};
	struct pagewalk w;
	char text[40];

	x86_fix_long(f, 3);
	x86_fix_poke(f, 0x102000, 8, 0x103005); /* the PDE: read only */
	x86_fix_poke(f, 0x103000 + 8 * 5, 8, 0x9067);
	pagewalk(&f->c->s, &q, read_fix, f, &w);
	assert_int_equal(w.result, PAGEWALK_FAULT);
	assert_int_equal(w.error, PF_P | PF_W | PF_U);
	assert_int_equal(w.n, 4);
	assert_int_equal(w.culprit, 2);
	assert_string_equal(w.entry[2].name, "PDE");
	assert_non_null(strstr(w.why, "R/W of this PDE is 0"));
	assert_string_equal(pagewalk_letters(&w, 3, text, sizeof text), "P W U A D");
	assert_string_equal(pagewalk_letters(&w, 2, text, sizeof text), "P r U -");
	q.priv = X86_PRIV_SUPER; /* CR0.WP is 0 */
	pagewalk(&f->c->s, &q, read_fix, f, &w);
	assert_int_equal(w.result, PAGEWALK_OK);
	assert_int_equal(w.gpa, 0x9123);
}

static void an_address_that_is_not_canonical_reads_no_table(void **state)
{
	struct x86_fix *f = *state;
	struct pagewalk_query q = {.gva = 1ull << 60, .how = X86_ACCESS_READ};
	struct pagewalk w;

	x86_fix_long(f, 0);
	pagewalk(&f->c->s, &q, read_fix, f, &w);
	assert_int_equal(w.result, PAGEWALK_NOT_CANONICAL);
	assert_int_equal(w.n, 0);
}

static void an_address_lies_in_ram_rom_a_device_or_nowhere(void **state)
{
	static const struct {
		gpa_t gpa;
		enum pagewalk_place place;
	} cases[] = {{0x1000, PAGEWALK_RAM}, {0xb8000, PAGEWALK_DEVICE}, {0xfec00000, PAGEWALK_DEVICE},
	    {0x123400000000, PAGEWALK_HOLE}};
	struct pagewalk w;

	(void)state;
	create();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		w = (struct pagewalk){.gpa = cases[i].gpa};
		pagewalk_locate(&w, vm);
		assert_int_equal(w.place, cases[i].place);
		assert_true(w.name[0]);
		if (w.place == PAGEWALK_RAM)
			assert_ptr_equal(w.host, mem_page(&vm->mem, w.gpa, false));
		else
			assert_null(w.host);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(walks_equal_those_that_run_guests, x86_fix_setup, x86_fix_teardown),
	    cmocka_unit_test_setup_teardown(
		a_refused_write_names_the_entry_that_refused, x86_fix_setup, x86_fix_teardown),
	    cmocka_unit_test_setup_teardown(
		an_address_that_is_not_canonical_reads_no_table, x86_fix_setup, x86_fix_teardown),
	    cmocka_unit_test_setup_teardown(
		an_address_lies_in_ram_rom_a_device_or_nowhere, vm_fix_setup, vm_fix_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
