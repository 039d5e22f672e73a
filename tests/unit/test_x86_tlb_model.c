/*
 * The TLB against a model: random changes of page tables, flushes of every kind and accesses. An access through a page
 * whose entry changed since it was last flushed may do as the old entry or as the new one says; every other one does
 * what a walk of the tables says, and sets accessed and dirty bits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "core/x86/paging.h"
#include "tests/x86_fixture.h"

#define STEPS 1000000u
#define PAGES 1024u
#define TOP 0x1000u
#define PD 0x3000u
#define PT 0x4000u
#define DATA 0x100000u /* 512 pages */

static uint32_t seed;
static struct x86_fix *f;
static bool stale[PAGES];      /* changed since its last flush */
static bool was_global[PAGES]; /* may be in the TLB as a global page */

static uint32_t rnd(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % n;
}

static bool one_in(uint32_t n)
{
	return rnd(n) == 0;
}

/* Where the entry is that maps the page. */
static uint64_t leaf_of(unsigned page)
{
	uint64_t at = PD + page / 512 * 8, pde = x86_fix_peek(f, at, 8);

	return (pde & 0x80) || !(pde & 1) ? at : PT + page / 512 * 0x1000 + page % 512 * 8;
}

static void note_global(void)
{
	for (unsigned p = 0; p < PAGES; p++)
		was_global[p] |= (x86_fix_peek(f, leaf_of(p), 8) & 0x100) != 0;
}

static void change_pte(unsigned page)
{
	uint64_t e = (DATA + rnd(512) * 0x1000ull) | !one_in(8) | (one_in(4) ? 0 : 2) | rnd(2) * 4 | rnd(2) * 0x20 |
		     rnd(2) * 0x40 | one_in(3) * 0x100u | (uint64_t)one_in(4) << 63;

	if (x86_fix_peek(f, PD + page / 512 * 8, 8) & 0x80)
		return;
	note_global();
	x86_fix_poke(f, PT + page / 512 * 0x1000 + page % 512 * 8, 8, e);
	stale[page] = true;
}

/* A page table, or a page of 2 MiB. */
static void change_pde(unsigned page)
{
	unsigned k = page / 512;

	note_global();
	x86_fix_poke(f, PD + k * 8, 8,
	    one_in(2) ? (PT + k * 0x1000) | 7 : 0x200000u | 0x81 | rnd(2) * 2 | rnd(2) * 4 | rnd(2) * 0x100);
	for (unsigned p = k * 512; p < (k + 1) * 512; p++)
		stale[p] = true;
}

static void load_cr3(void)
{
	note_global();
	assert_int_equal(x86_set_cr3(f->c, TOP), X86_OK);
	for (unsigned p = 0; p < PAGES; p++)
		stale[p] &= was_global[p];
}

static void toggle_cr4(uint64_t bit)
{
	assert_int_equal(x86_set_cr4(f->c, f->c->s.cr4 ^ bit), X86_OK);
	if (bit != CR4_PGE)
		return;
	memset(stale, 0, sizeof(stale));
	memset(was_global, 0, sizeof(was_global));
}

static enum x86_rc do_access(gva_t la, unsigned how, enum x86_priv priv, uint64_t *v, gpa_t *gpa)
{
	const uint8_t *host;

	if (how == X86_ACCESS_READ)
		return x86_lin_load(f->c, la, 8, priv, v);
	if (how == X86_ACCESS_WRITE)
		return x86_lin_store(f->c, la, 8, priv, *v);
	return x86_fetch_page(f->c, la, &host, gpa);
}

static void access_page(unsigned page, uint32_t step)
{
	static const unsigned hows[] = {X86_ACCESS_READ, X86_ACCESS_WRITE, X86_ACCESS_FETCH};
	unsigned how = hows[rnd(3)];
	bool user = rnd(2), implicit = !user && how != X86_ACCESS_FETCH && one_in(4);
	enum x86_priv priv = user ? X86_PRIV_USER : implicit ? X86_PRIV_IMPLICIT : X86_PRIV_SUPER;
	gva_t la = page * 0x1000ull + rnd(512) * 8;
	uint64_t mark = (uint64_t)rnd(UINT32_MAX) << 32 | step, v = mark;
	struct x86_walk w;
	gpa_t gpa = 0;

	f->c->user = user;
	enum x86_rc rc = do_access(la, how, priv, &v, &gpa);

	f->c->user = 0;
	if (stale[page])
		return;
	struct x86_event fault = f->c->fault;
	uint64_t entry = x86_fix_peek(f, leaf_of(page), 8); /* before the walk sets anything */
	enum x86_walk_rc walked = x86_walk(f->c, la, how, priv, &w);

	if ((rc == X86_OK) != (walked == X86_WALK_OK))
		fail_msg("step %u page %u how %u: %d, but the walk gives %d", step, page, how, (int)rc, (int)walked);
	if (rc != X86_OK) {
		assert_int_equal(fault.error, w.error);
		assert_int_equal(fault.cr2, la);
		return;
	}
	assert_true(entry & 0x20);
	if (how == X86_ACCESS_WRITE)
		assert_true(entry & 0x40);
	if (how == X86_ACCESS_FETCH)
		assert_int_equal(gpa, w.gpa);
	else
		assert_int_equal(x86_fix_peek(f, w.gpa, 8), how == X86_ACCESS_WRITE ? mark : v);
}

static void one_step(uint32_t step)
{
	unsigned page = one_in(4) ? rnd(PAGES) : rnd(8) * 130 % PAGES; /* some share a slot */

	switch (rnd(24)) {
	case 0:
	case 1:
		change_pte(page);
		break;
	case 2:
		if (one_in(40))
			change_pde(page);
		break;
	case 3:
	case 4:
		x86_invlpg(f->c, page * 0x1000ull + rnd(4096));
		stale[page] = false;
		break;
	case 5:
		load_cr3();
		break;
	case 6:
		if (one_in(10))
			toggle_cr4(CR4_PGE);
		break;
	case 7:
		if (one_in(4))
			toggle_cr4(one_in(3) ? CR4_SMEP : CR4_SMAP);
		break;
	case 8:
		if (one_in(4))
			assert_int_equal(x86_set_cr0(f->c, f->c->s.cr0 ^ CR0_WP), X86_OK);
		break;
	case 9:
		f->c->s.rflags ^= FLAG_AC;
		x86_mode_changed(f->c);
		break;
	case 10:
		if (one_in(8))
			x86_tlb_mark_code(f->c, DATA + rnd(512) * 0x1000ull);
		break;
	default:
		access_page(page, step);
		break;
	}
}

static void an_access_does_what_the_tables_say(void **state)
{
	(void)state;
	f = x86_fix_new();
	x86_fix_long(f, 0);
	x86_fix_poke(f, TOP, 8, 0x2007);
	x86_fix_poke(f, 0x2000, 8, PD | 7);
	for (unsigned k = 0; k < 2; k++)
		x86_fix_poke(f, PD + k * 8, 8, (PT + k * 0x1000) | 7);
	for (unsigned p = 0; p < PAGES; p++)
		x86_fix_poke(f, PT + p / 512 * 0x1000 + p % 512 * 8, 8, (DATA + p % 512 * 0x1000) | 7);
	f->c->s.efer |= EFER_NXE;
	f->c->s.cr4 = CR4_PAE | CR4_PGE;
	f->c->s.cr3 = TOP;
	x86_state_changed(f->c);
	seed = 1;
	for (uint32_t n = 0; n < STEPS; n++)
		one_step(n);
	x86_fix_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_access_does_what_the_tables_say),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
