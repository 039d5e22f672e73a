/* Page walks against a naive model over random tables, the TLB's coherence, and accesses that cross pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/x86/paging.h"
#include "tests/x86_fixture.h"

static uint64_t seed = 88172645463325252ull;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* --- The model: recursive, from the manual's figures, sharing nothing with paging.c ---------------------------- */

struct model {
	bool ok;
	uint32_t error;
	uint64_t gpa;
	uint64_t entries[4]; /* addresses of the entries on the path */
	unsigned n, entry_size;
};

struct query {
	bool user, write, fetch;
	bool implicit; /* by the processor itself: descriptor tables, TSS; never user, never a fetch */
};

static bool bit(uint64_t v, unsigned n)
{
	return v >> n & 1;
}

static struct model model_fail(struct model m, const struct x86_state *s, struct query q, bool present, bool rsvd)
{
	bool nxe = bit(s->efer, 11) && bit(s->cr4, 5), smep = bit(s->cr4, 20);

	m.ok = false;
	m.error = (present ? 1u : 0) | (q.write ? 2u : 0) | (q.user ? 4u : 0) | (rsvd ? 8u : 0) |
		  (q.fetch && (nxe || smep) ? 16u : 0);
	return m;
}

/* What the walker reads where no RAM is: all ones. */
static uint64_t entry_at(const struct x86_fix *f, uint64_t at, unsigned size)
{
	if (at >= X86_FIX_RAM)
		return size == 4 ? UINT32_MAX : UINT64_MAX;
	return x86_fix_peek(f, at, size);
}

static struct model model_level(struct x86_fix *f, struct model m, struct query q, uint64_t la, uint64_t table,
    unsigned level, bool us, bool rw, bool nx)
{
	const struct x86_state *s = &f->c->s;
	bool pae = bit(s->cr4, 5), lma = bit(s->efer, 10), nxe = bit(s->efer, 11);
	unsigned index_bits = pae ? 9 : 10, size = pae ? 8 : 4, low = 12 + (level - 1) * index_bits;
	uint64_t at = table + ((la >> low) % (1u << index_bits)) * size, e = entry_at(f, at, size);
	bool big = level > 1 && level < 4 && bit(e, 7) && (pae || bit(s->cr4, 4)), leaf = level == 1 || big,
	     rsvd = false;

	m.entries[m.n++] = at;
	m.entry_size = size;
	if (!bit(e, 0))
		return model_fail(m, s, q, false, false);
	if (pae) {
		for (unsigned n = 40; n < 52; n++)
			rsvd |= bit(e, n);
		for (unsigned n = 52; !lma && n < 63; n++)
			rsvd |= bit(e, n);
		rsvd |= bit(e, 63) && !nxe;
		rsvd |= level == 4 && bit(e, 7);
		for (unsigned n = 13; big && n < low; n++)
			rsvd |= bit(e, n);
	} else if (big) {
		for (unsigned n = 13; n < 22; n++)
			rsvd |= bit(e, n);
	}
	if (rsvd)
		return model_fail(m, s, q, true, true);
	us = us && bit(e, 2);
	rw = rw && bit(e, 1);
	nx = nx || (pae && bit(e, 63));
	if (!leaf)
		return model_level(f, m, q, la, e & 0xfffffff000ull, level - 1, us, rw, nx);
	m.gpa = (e & 0xffffffffffull & ~((1ull << low) - 1)) | (la & ((1ull << low) - 1));
	if (q.user ? !us
		   : (us && ((q.fetch && bit(s->cr4, 20)) ||
				(!q.fetch && bit(s->cr4, 21) && (q.implicit || !bit(s->rflags, 18))))))
		return model_fail(m, s, q, true, false);
	if ((q.fetch && nx) || (q.write && !rw && (q.user || bit(s->cr0, 16))))
		return model_fail(m, s, q, true, false);
	m.ok = true;
	return m;
}

static struct model model_walk(struct x86_fix *f, struct query q, uint64_t la)
{
	const struct x86_state *s = &f->c->s;
	struct model m = {0};
	bool pae = bit(s->cr4, 5), lma = bit(s->efer, 10);

	if (pae && !lma) {
		uint64_t pdpte = s->pdpte[la >> 30 & 3];

		if (!bit(pdpte, 0))
			return model_fail(m, s, q, false, false);
		return model_level(f, m, q, la, pdpte & 0xfffffff000ull, 2, true, true, false);
	}
	return model_level(f, m, q, la, s->cr3 & 0xfffffff000ull, lma ? 4 : 2, true, true, false);
}

/* --- Random tables: few pages, so that walks go deep ------------------------------------------------------------ */

#define TABLES 0x10000u
#define N_TABLES 24u

static uint64_t random_entry(bool wide)
{
	uint64_t e = (TABLES + (rnd() % N_TABLES) * 4096) | (rnd() & 0x67) | (rnd() % 8 ? 1 : 0) | (rnd() % 3 ? 6 : 0);

	if (rnd() % 5 == 0)
		e = (e & 0xfff) | 0x80 | (rnd() % 2 << 21);
	if (rnd() % 40 == 0)
		e |= wide ? 1ull << (rnd() % 63) : 1ull << (rnd() % 32);
	if (wide && rnd() % 12 == 0)
		e |= 1ull << 63;
	return e;
}

static void random_tables(struct x86_fix *f, bool wide)
{
	for (uint64_t at = TABLES; at < TABLES + N_TABLES * 4096; at += wide ? 8 : 4)
		x86_fix_poke(f, at, wide ? 8 : 4, random_entry(wide));
}

static uint64_t random_la(unsigned mode)
{
	uint64_t la = rnd();

	return mode == 2 ? (uint64_t)((int64_t)(la << 16) >> 16) : (uint32_t)la;
}

/* mode 0: 32-bit, 1: PAE, 2: 4-level */
static void random_state(struct x86_fix *f, unsigned mode)
{
	struct x86_state *s = &f->c->s;

	s->cr0 = CR0_PE | CR0_PG | (rnd() & CR0_WP);
	s->cr4 = (rnd() & (CR4_SMEP | CR4_SMAP | CR4_PSE)) | (mode ? CR4_PAE : 0);
	s->efer = (rnd() & EFER_NXE) | (mode == 2 ? EFER_LMA | EFER_LME : 0);
	s->cr3 = TABLES;
	s->rflags = FLAG_R1 | (rnd() & FLAG_AC);
	for (unsigned n = 0; n < 4; n++)
		s->pdpte[n] = (TABLES + rnd() % N_TABLES * 4096) | (rnd() % 8 != 0);
	if (mode == 2)
		s->seg[X86_CS].attr |= SEG_L;
	x86_state_changed(f->c);
}

static unsigned seen[4]; /* translated, not present, not permitted, reserved bit: each must come up often */

static void compare_walk(struct x86_fix *f, unsigned mode)
{
	struct query q = {.user = rnd() & 1, .write = rnd() & 1};
	uint64_t la = random_la(mode), before[4] = {0};
	struct model m;
	struct x86_walk w;
	enum x86_walk_rc rc;
	unsigned how;

	q.fetch = !q.write && (rnd() & 1);
	q.implicit = !q.user && !q.fetch && (rnd() & 1);
	m = model_walk(f, q, la);
	for (unsigned n = 0; n < m.n; n++)
		before[n] = entry_at(f, m.entries[n], m.entry_size);
	how = q.fetch ? X86_ACCESS_FETCH : q.write ? X86_ACCESS_WRITE : X86_ACCESS_READ;
	rc = x86_walk(f->c, la, how, q.user ? X86_PRIV_USER : q.implicit ? X86_PRIV_IMPLICIT : X86_PRIV_SUPER, &w);
	assert_int_equal(rc, m.ok ? X86_WALK_OK : X86_WALK_FAULT);
	seen[m.ok ? 0 : m.error & 8 ? 3 : m.error & 1 ? 2 : 1]++;
	if (m.ok)
		assert_int_equal(w.gpa, m.gpa);
	else
		assert_int_equal(w.error, m.error);
	for (unsigned n = 0; n < m.n; n++) {
		uint64_t after = entry_at(f, m.entries[n], m.entry_size), want = before[n];

		for (unsigned k = 0; m.ok && k < m.n; k++) /* an entry can be on the path twice */
			if (m.entries[k] == m.entries[n])
				want |= 0x20 | (k == m.n - 1 && q.write ? 0x40 : 0);
		assert_int_equal(after, want);
	}
}

/* 60 walks each; VMSCOPE_ROUNDS=N says more. */
static unsigned long rounds(void)
{
	const char *n = getenv("VMSCOPE_ROUNDS");

	return n ? strtoul(n, NULL, 0) : 600;
}

static void walks_equal_a_naive_model_over_random_tables(void **state)
{
	struct x86_fix *f = *state;

	for (unsigned long round = 0; round < rounds(); round++) {
		unsigned mode = (unsigned)(round % 3);

		x86_fix_reset(f);
		x86_fix_prot(f, 4, 0);
		random_tables(f, mode != 0);
		random_state(f, mode);
		for (unsigned n = 0; n < 60; n++)
			compare_walk(f, mode);
	}
	for (unsigned n = 0; n < 4; n++)
		assert_true(seen[n] > 2000);
}

static void one_gigabyte_pages_translate(void **state)
{
	struct x86_fix *f = *state;
	gpa_t gpa;

	x86_fix_long(f, 0);
	x86_fix_poke(f, 0x101000, 8, 0x87);
	assert_true(x86_translate(f->c, 0x3fedcba9, &gpa));
	assert_int_equal(gpa, 0x3fedcba9);
	assert_false(x86_translate(f->c, 1ull << 47, &gpa));
}

static void a_tlb_entry_lives_until_invlpg(void **state)
{
	struct x86_fix *f = *state;
	uint64_t v;

	x86_fix_long(f, 0);
	x86_fix_poke(f, 0x102000, 8, 0x103007); /* first 2 MiB by 4 KiB pages */
	x86_fix_poke(f, 0x103000 + 8 * 5, 8, 0x5007);
	x86_fix_poke(f, 0x5000, 4, 1);
	x86_fix_poke(f, 0x6000, 4, 2);
	assert_int_equal(x86_load(f->c, X86_DS, 0x5000, 4, &v), X86_OK);
	x86_fix_poke(f, 0x103000 + 8 * 5, 8, 0x6007);
	assert_int_equal(x86_load(f->c, X86_DS, 0x5000, 4, &v), X86_OK);
	assert_int_equal(v, 1);
	x86_invlpg(f->c, 0x5123);
	assert_int_equal(x86_load(f->c, X86_DS, 0x5000, 4, &v), X86_OK);
	assert_int_equal(v, 2);
}

static void a_global_entry_survives_cr3_and_dies_with_cr4(void **state)
{
	struct x86_fix *f = *state;
	uint64_t v;

	x86_fix_long(f, 0);
	assert_int_equal(x86_set_cr4(f->c, CR4_PAE | CR4_PGE), X86_OK);
	x86_fix_poke(f, 0x102000, 8, 0x103007);
	x86_fix_poke(f, 0x103000 + 8 * 5, 8, 0x5107); /* global */
	x86_fix_poke(f, 0x103000 + 8 * 6, 8, 0x6007);
	for (unsigned page = 5; page < 9; page++)
		x86_fix_poke(f, page << 12, 4, page);
	assert_int_equal(x86_load(f->c, X86_DS, 0x5000, 4, &v), X86_OK);
	assert_int_equal(x86_load(f->c, X86_DS, 0x6000, 4, &v), X86_OK);
	x86_fix_poke(f, 0x103000 + 8 * 5, 8, 0x7107);
	x86_fix_poke(f, 0x103000 + 8 * 6, 8, 0x8007);
	assert_int_equal(x86_set_cr3(f->c, 0x100000), X86_OK);
	assert_int_equal(x86_load(f->c, X86_DS, 0x5000, 4, &v), X86_OK);
	assert_int_equal(v, 5);
	assert_int_equal(x86_load(f->c, X86_DS, 0x6000, 4, &v), X86_OK);
	assert_int_equal(v, 8);
	assert_int_equal(x86_set_cr4(f->c, CR4_PAE), X86_OK);
	assert_int_equal(x86_load(f->c, X86_DS, 0x5000, 4, &v), X86_OK);
	assert_int_equal(v, 7);
}

static void five_thousand_flushes_never_revive_an_entry(void **state)
{
	struct x86_fix *f = *state;
	uint64_t v;

	x86_fix_long(f, 0);
	x86_fix_poke(f, 0x102000, 8, 0x103007);
	x86_fix_poke(f, 0x103000 + 8 * 5, 8, 0x5007);
	x86_fix_poke(f, 0x5000, 4, 1);
	assert_int_equal(x86_load(f->c, X86_DS, 0x5000, 4, &v), X86_OK);
	x86_fix_poke(f, 0x103000 + 8 * 5, 8, 0);
	for (unsigned n = 0; n < 5000; n++) {
		x86_tlb_flush_local(f->c);
		assert_int_equal(x86_load(f->c, X86_DS, 0x5000, 4, &v), X86_FAULT);
	}
	assert_int_equal(f->c->fault.vector, VEC_PF);
	assert_int_equal(f->c->fault.cr2, 0x5000);
	assert_int_equal(f->c->fault.error, 0);
}

static void a_store_across_a_missing_page_writes_nothing(void **state)
{
	struct x86_fix *f = *state;
	struct x86_rmw m;
	uint64_t v;

	x86_fix_long(f, 3);
	x86_fix_poke(f, 0x102000, 8, 0x103007);
	x86_fix_poke(f, 0x103000 + 8 * 5, 8, 0x5007);
	assert_int_equal(x86_store(f->c, X86_DS, 0x5ffe, 4, 0x11223344), X86_FAULT);
	assert_int_equal(f->c->fault.cr2, 0x6000);
	assert_int_equal(f->c->fault.error, PF_W | PF_U);
	assert_int_equal(x86_fix_peek(f, 0x5ffe, 2), 0);
	assert_int_equal(x86_rmw_load(f->c, X86_DS, 0x5ffc, 8, &v, &m), X86_FAULT);
	x86_fix_poke(f, 0x103000 + 8 * 6, 8, 0x9007); /* not the neighbour in physical memory */
	assert_int_equal(x86_store(f->c, X86_DS, 0x5ffe, 4, 0x11223344), X86_OK);
	assert_int_equal(x86_fix_peek(f, 0x5ffe, 2), 0x3344);
	assert_int_equal(x86_fix_peek(f, 0x9000, 2), 0x1122);
	assert_int_equal(x86_load(f->c, X86_DS, 0x5ffe, 4, &v), X86_OK);
	assert_int_equal(v, 0x11223344);
	assert_int_equal(x86_rmw_load(f->c, X86_DS, 0x5ffc, 8, &v, &m), X86_OK);
	x86_rmw_store(f->c, &m, 0x8877665544332211u);
	assert_int_equal(x86_fix_peek(f, 0x5ffc, 4), 0x44332211);
	assert_int_equal(x86_fix_peek(f, 0x9000, 4), 0x88776655);
}

static void devices_exit_with_controls_and_answer_without(void **state)
{
	struct x86_fix *f = *state;
	uint64_t v;

	x86_fix_prot(f, 4, 0);
	assert_int_equal(x86_load(f->c, X86_DS, 0xfee00020u, 4, &v), X86_OK);
	assert_int_equal(v, 0x44332211);
	assert_int_equal(f->n_log, 1);
	assert_int_equal(f->c->mmio_count, 1);
	x86_fix_controls(f, "vtx-ept");
	assert_int_equal(x86_store(f->c, X86_DS, 0xfee00020u, 2, 0xabcdef), X86_EXIT);
	assert_int_equal(f->exit.reason, EXIT_EPT_VIOLATION);
	assert_int_equal(f->exit.qual, 0x182);
	assert_int_equal(f->exit.gpa, 0xfee00020u);
	assert_int_equal(f->exit.gla, 0xfee00020u);
	assert_int_equal(f->exit.mmio.value, 0xcdef);
	assert_int_equal(f->n_log, 1);
}

static void rom_reads_directly_and_exits_on_writing(void **state)
{
	struct x86_fix *f = *state;
	struct x86_rmw m;
	uint64_t v;

	x86_fix_prot(f, 4, 0);
	f->rom_start = 0x8000;
	f->rom_end = 0x9000;
	x86_fix_poke(f, 0x8010, 4, 77);
	x86_fix_controls(f, "vtx-ept");
	assert_int_equal(x86_load(f->c, X86_DS, 0x8010, 4, &v), X86_OK);
	assert_int_equal(v, 77);
	assert_int_equal(x86_store(f->c, X86_DS, 0x8010, 4, 1), X86_EXIT);
	assert_int_equal(f->exit.qual, 0x1aa); /* write; readable and executable; address valid, translated */
	assert_int_equal(x86_rmw_load(f->c, X86_DS, 0x8010, 4, &v, &m), X86_EXIT);
	assert_int_equal(f->exit.qual & 7, 3);
	f->c->ctl = NULL;
	assert_int_equal(x86_rmw_load(f->c, X86_DS, 0x8010, 4, &v, &m), X86_OK);
	assert_int_equal(v, 77);
	x86_rmw_store(f->c, &m, 78);
	assert_int_equal(f->n_log, 1);
	assert_true(f->log[0].write && f->log[0].value == 78);
}

static void writes_to_marked_code_are_reported_until_unmarked(void **state)
{
	struct x86_fix *f = *state;
	size_t got;

	x86_fix_prot(f, 4, 0);
	assert_int_equal(x86_store(f->c, X86_DS, 0x7000, 4, 1), X86_OK);
	x86_tlb_mark_code(f->c, 0x7000);
	assert_int_equal(x86_store(f->c, X86_DS, 0x7004, 4, 2), X86_OK);
	assert_int_equal(f->code_writes, 1);
	assert_int_equal(f->code_write_gpa, 0x7004);
	assert_null(x86_span(f->c, X86_DS, 0x7000, true, 16, &got));
	assert_non_null(x86_span(f->c, X86_DS, 0x7000, false, 16, &got));
	x86_tlb_unmark_code(f->c, 0x7000);
	assert_int_equal(x86_store(f->c, X86_DS, 0x7004, 4, 3), X86_OK);
	assert_int_equal(f->code_writes, 1);
	assert_non_null(x86_span(f->c, X86_DS, 0x7ff0, true, 64, &got));
	assert_int_equal(got, 16);
}

static void a_page_table_outside_ram_is_an_untranslated_violation(void **state)
{
	struct x86_fix *f = *state;
	uint64_t v;

	x86_fix_long(f, 0);
	x86_fix_poke(f, 0x102000, 8, 0x80000007); /* page table in the hole */
	x86_fix_controls(f, "vtx-ept");
	assert_int_equal(x86_load(f->c, X86_DS, 0x5000, 4, &v), X86_EXIT);
	assert_int_equal(f->exit.reason, EXIT_EPT_VIOLATION);
	assert_int_equal(f->exit.gpa, 0x80000028);
	assert_int_equal(f->exit.gla, 0x5000);
	assert_int_equal(f->exit.qual, 0x81);
	f->c->ctl = NULL;
	assert_int_equal(x86_load(f->c, X86_DS, 0x5000, 4, &v), X86_FAULT); /* all ones: reserved bits */
	assert_int_equal(f->c->fault.error, PF_P | PF_RSVD);
}

static void pae_loads_its_four_pointers_with_cr3_and_checks_them(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 0);
	for (unsigned n = 0; n < 4; n++)
		x86_fix_poke(f, 0x2000 + 8 * n, 8, 0x3001 + n * 0x1000);
	assert_int_equal(x86_set_cr4(f->c, CR4_PAE), X86_OK);
	assert_int_equal(x86_set_cr3(f->c, 0x2000), X86_OK);
	assert_int_equal(x86_set_cr0(f->c, f->c->s.cr0 | CR0_PG), X86_OK);
	assert_int_equal(f->c->s.pdpte[3], 0x6001);
	x86_fix_poke(f, 0x2000, 8, 0x3003); /* bit 1 is reserved */
	assert_int_equal(f->c->s.pdpte[0], 0x3001);
	assert_int_equal(x86_set_cr3(f->c, 0x2000), X86_FAULT);
	assert_int_equal(f->c->fault.vector, VEC_GP);
	assert_int_equal(f->c->s.pdpte[0], 0x3001);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, x86_fix_setup, x86_fix_teardown)
	const struct CMUnitTest tests[] = {T(walks_equal_a_naive_model_over_random_tables),
	    T(one_gigabyte_pages_translate), T(a_tlb_entry_lives_until_invlpg),
	    T(a_global_entry_survives_cr3_and_dies_with_cr4), T(five_thousand_flushes_never_revive_an_entry),
	    T(a_store_across_a_missing_page_writes_nothing), T(devices_exit_with_controls_and_answer_without),
	    T(rom_reads_directly_and_exits_on_writing), T(writes_to_marked_code_are_reported_until_unmarked),
	    T(a_page_table_outside_ram_is_an_untranslated_violation),
	    T(pae_loads_its_four_pointers_with_cr3_and_checks_them)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
