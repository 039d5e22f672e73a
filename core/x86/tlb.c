/*
 * The TLB: fill, lookup beyond the inline hit, flush, and the pages that it must not hold. Concept: a TLB is a cache
 * that software keeps coherent. The generation in the tag makes a flush one increment; a global entry is recognised by
 * the generation of the last *full* flush that it carries, and is moved to the current one when it is looked up.
 *
 * Of the translations of a PCID only the current one's are kept: a MOV CR3 drops all non-global entries even where bit
 * 63 asks to keep them, which the architecture permits, and INVPCID has nothing to do for another PCID.
 */
#include "core/x86/paging.h"

#define TAG_PAGE ((1ull << X86_TLB_GEN_SHIFT) - 1)
#define GEN_MAX 0x7ffu

static struct x86_tlb_entry *slot(struct x86_cpu *c, gva_t la, unsigned how, unsigned user)
{
	unsigned n = (la >> PAGE_SHIFT_4K) & (X86_TLB_ENTRIES - 1);

	if (how & X86_ACCESS_FETCH)
		return &c->tlb.fetch[user][n];
	return how & X86_ACCESS_WRITE ? &c->tlb.write[user][n] : &c->tlb.read[user][n];
}

static void clear_all(struct x86_tlb *t)
{
	memset(t->read, 0, sizeof t->read);
	memset(t->write, 0, sizeof t->write);
	memset(t->fetch, 0, sizeof t->fetch);
	t->gen_tag = 1ull << X86_TLB_GEN_SHIFT;
	t->global_gen++;
}

/* Generation 0 is never current, so that an empty tag never hits. */
void x86_tlb_flush_local(struct x86_cpu *c)
{
	struct x86_tlb *t = &c->tlb;

	t->flushes++;
	if (!t->gen_tag || t->gen_tag >> X86_TLB_GEN_SHIFT == GEN_MAX)
		clear_all(t);
	else
		t->gen_tag += 1ull << X86_TLB_GEN_SHIFT;
}

void x86_tlb_flush(struct x86_cpu *c)
{
	c->tlb.large_first = c->tlb.large_last = 0;
	c->tlb.global_gen++;
	x86_tlb_flush_local(c);
}

static void drop_parts(struct x86_tlb_entry *array, gva_t gva)
{
	for (unsigned n = 0; n < 2 * X86_TLB_ENTRIES; n++) {
		unsigned shift = array[n].flags >> X86_TLB_SHIFT_AT;

		if (shift > PAGE_SHIFT_4K &&
		    (((array[n].tag & TAG_PAGE) ^ gva >> PAGE_SHIFT_4K) >> (shift - PAGE_SHIFT_4K)) == 0)
			array[n].tag = 0;
	}
}

/* "If the page is larger than 4 KBytes and multiple TLB entries are in use for that page, the instruction invalidates
 * all of them" [SDM 3A "Operations that Invalidate TLBs and Paging-Structure Caches"]. */
void x86_tlb_flush_page(struct x86_cpu *c, gva_t gva)
{
	static const unsigned kinds[] = {X86_ACCESS_READ, X86_ACCESS_WRITE, X86_ACCESS_FETCH};

	if (c->tlb.large_last && gva >= c->tlb.large_first && gva <= c->tlb.large_last) {
		drop_parts(c->tlb.read[0], gva);
		drop_parts(c->tlb.write[0], gva);
		drop_parts(c->tlb.fetch[0], gva);
	}
	for (unsigned user = 0; user < 2; user++)
		for (unsigned k = 0; k < ARRAY_LEN(kinds); k++)
			slot(c, gva, kinds[k], user)->tag = 0;
}

/* Writes to the page leave the fast path, and come back to it when it has no code any more (hit_code_page()). */
static void hide_writes(struct x86_cpu *c, gpa_t page)
{
	for (unsigned user = 0; user < 2; user++)
		for (unsigned n = 0; n < X86_TLB_ENTRIES; n++)
			if (c->tlb.write[user][n].gpa == page && c->tlb.write[user][n].tag)
				c->tlb.write[user][n].tag |= X86_TLB_CODE_PAGE;
}

void x86_tlb_mark_code(struct x86_cpu *c, gpa_t gpa)
{
	uint8_t *count = &c->tlb.code[(gpa >> PAGE_SHIFT_4K) & (X86_TLB_CODE_COUNTS - 1)];

	if (*count < UINT8_MAX)
		++*count;
	hide_writes(c, gpa & ~(gpa_t)(PAGE_SIZE_4K - 1));
}

void x86_tlb_unmark_code(struct x86_cpu *c, gpa_t gpa)
{
	uint8_t *count = &c->tlb.code[(gpa >> PAGE_SHIFT_4K) & (X86_TLB_CODE_COUNTS - 1)];

	if (*count && *count < UINT8_MAX)
		--*count;
}

/* May this translation stay? */
static bool cacheable(const struct x86_cpu *c, gva_t la, unsigned how, unsigned user, const struct x86_walk *w)
{
	if (!(how & X86_ACCESS_FETCH)) {
		/* Under SMAP a supervisor access to a user page depends on RFLAGS.AC: check it each time. */
		if (!user && w->user && c->paging != X86_PAGING_NONE && (c->s.cr4 & CR4_SMAP))
			return false;
		if ((c->s.dr7 & 0xff) && x86_debug_page(c, la))
			return false;
	}
	return true;
}

/* An access that EPT does not map, or maps without the right: the qualification as VT-x would give it. */
static enum x86_rc ept_violation(struct x86_cpu *c, gva_t la, gpa_t gpa, unsigned how, unsigned size, bool translated)
{
	uint64_t qual = (how & X86_ACCESS_READ ? QUAL_EPT_READ : 0) | (how & X86_ACCESS_WRITE ? QUAL_EPT_WRITE : 0) |
			(how & X86_ACCESS_FETCH ? QUAL_EPT_FETCH : 0) | QUAL_EPT_GLA_VALID |
			(translated ? QUAL_EPT_TRANSLATED : 0);

	if (c->env->page(c->env_arg, gpa, false)) /* ROM: readable and executable */
		qual |= (uint64_t)QUAL_EPT_READ << 3 | (uint64_t)QUAL_EPT_FETCH << 3;
	x86_exit(c, EXIT_EPT_VIOLATION, qual, 0);
	c->exit->gpa = gpa;
	c->exit->gla = la;
	c->exit->mmio.size = (uint8_t)size;
	c->exit->mmio.write = (how & X86_ACCESS_WRITE) != 0;
	c->exit->mmio.fetch = (how & X86_ACCESS_FETCH) != 0;
	return X86_EXIT;
}

bool x86_tlb_can_hit(const struct x86_cpu *c, const struct x86_tlb_entry *e)
{
	if ((e->tag & ~X86_TLB_CODE_PAGE) >> X86_TLB_GEN_SHIFT == c->tlb.gen_tag >> X86_TLB_GEN_SHIFT)
		return e->tag != 0;
	return e->tag && (e->flags & X86_TLB_GLOBAL) && e->global_gen == c->tlb.global_gen;
}

/* A global entry of an older generation becomes a current one. */
static bool revive(struct x86_cpu *c, struct x86_tlb_entry *e, gva_t la)
{
	if ((e->tag & TAG_PAGE) != la >> PAGE_SHIFT_4K || !x86_tlb_can_hit(c, e))
		return false;
	e->tag = la >> PAGE_SHIFT_4K | c->tlb.gen_tag | (e->tag & X86_TLB_CODE_PAGE);
	return true;
}

/* A hit in all but the mark for code, which is made right. False: no hit. */
static bool hit_code_page(struct x86_cpu *c, struct x86_tlb_entry *e, gva_t la, bool *code)
{
	uint64_t want = la >> PAGE_SHIFT_4K | c->tlb.gen_tag;

	if ((e->tag & ~X86_TLB_CODE_PAGE) != want && !revive(c, e, la))
		return false;
	if (e->tag & X86_TLB_CODE_PAGE) {
		if (x86_tlb_is_code(c, e->gpa))
			*code = true;
		else if (!c->watch || !x86_watch_page(c, la))
			e->tag = want;
	}
	return true;
}

static void note_large(struct x86_tlb *t, gva_t la, unsigned shift)
{
	gva_t first = la & ~(gva_t)0 << shift, last = first + (1ull << shift) - 1;

	if (!t->large_last || first < t->large_first)
		t->large_first = first;
	if (last > t->large_last)
		t->large_last = last;
}

/* For data accesses: is it one that the inline lookup must not find? */
static uint64_t mark_of(const struct x86_cpu *c, gva_t la, gpa_t gpa, bool write)
{
	if ((write && x86_tlb_is_code(c, gpa)) || (UNLIKELY(c->watch) && x86_watch_page(c, la)))
		return X86_TLB_CODE_PAGE;
	return 0;
}

static void fill(struct x86_cpu *c, struct x86_tlb_entry *e, gva_t la, uint8_t *page, const struct x86_walk *w)
{
	*e = (struct x86_tlb_entry){.tag = la >> PAGE_SHIFT_4K | c->tlb.gen_tag,
	    .host = page,
	    .gpa = w->gpa & ~(gpa_t)(PAGE_SIZE_4K - 1),
	    .flags = (w->global ? X86_TLB_GLOBAL : 0) | w->shift << X86_TLB_SHIFT_AT,
	    .global_gen = c->tlb.global_gen};
	if (w->shift > PAGE_SHIFT_4K)
		note_large(&c->tlb, la, w->shift);
}

/* Reads and writes of a page mostly come together: what may be written may be read and is the same page then; what was
 * read may be written, if the tables say so (protection keys aside) and the dirty bit is set. */
static void fill_other(
    struct x86_cpu *c, gva_t la, unsigned user, uint8_t *page, const struct x86_walk *w, bool written)
{
	if (written) {
		struct x86_tlb_entry *e = slot(c, la, X86_ACCESS_READ, user);

		fill(c, e, la, page, w);
		e->tag |= mark_of(c, la, w->gpa, false);
	} else if (w->write && w->dirty && !(c->s.cr4 & CR4_PKE) && c->env->page(c->env_arg, w->gpa, true) == page) {
		struct x86_tlb_entry *e = slot(c, la, X86_ACCESS_WRITE, user);

		fill(c, e, la, page, w);
		e->tag |= mark_of(c, la, w->gpa, true);
	}
}

enum x86_rc x86_tlb_lookup(struct x86_cpu *c, gva_t la, unsigned how, enum x86_priv priv, unsigned size, uint8_t **host,
    gpa_t *gpa, bool *code)
{
	unsigned user = priv & X86_PRIV_USER;
	struct x86_tlb_entry *e = slot(c, la, how, user);
	bool write = (how & X86_ACCESS_WRITE) != 0;
	uint8_t *page;
	struct x86_walk w;

	if (e->tag == (la >> PAGE_SHIFT_4K | c->tlb.gen_tag) || hit_code_page(c, e, la, code)) {
		*host = e->host + (la & (PAGE_SIZE_4K - 1));
		*gpa = e->gpa | (la & (PAGE_SIZE_4K - 1));
		return X86_OK;
	}
	c->tlb.misses++;
	switch (x86_walk(c, la, how, priv, &w)) {
	case X86_WALK_FAULT:
		return x86_fault_pf(c, la, w.error);
	case X86_WALK_TABLE:
		return ept_violation(c, la, w.gpa, w.table_write ? X86_ACCESS_READ | X86_ACCESS_WRITE : X86_ACCESS_READ,
		    c->paging == X86_PAGING_32 ? 4 : 8, false);
	case X86_WALK_OK:
		break;
	}
	*gpa = w.gpa;
	page = c->env->page(c->env_arg, w.gpa, write);
	if (!page) {
		*host = NULL;
		return c->ctl ? ept_violation(c, la, w.gpa, how, size, true) : X86_OK;
	}
	*host = page + (la & (PAGE_SIZE_4K - 1));
	if (write && x86_tlb_is_code(c, w.gpa))
		*code = true;
	if (cacheable(c, la, how, user, &w)) {
		fill(c, e, la, page, &w);
		if (!(how & X86_ACCESS_FETCH)) {
			e->tag |= mark_of(c, la, w.gpa, write);
			fill_other(c, la, user, page, &w, write);
		}
	}
	return X86_OK;
}

/* --- What run control watches ------------------------------------------------------------------------------------- */

bool x86_watch_page(const struct x86_cpu *c, gva_t la)
{
	gva_t page = la >> PAGE_SHIFT_4K;

	for (unsigned i = 0; i < c->watch->n; i++)
		if (page >= c->watch->range[i].lo >> PAGE_SHIFT_4K && page <= c->watch->range[i].hi >> PAGE_SHIFT_4K)
			return true;
	return false;
}

void x86_watch_data(struct x86_cpu *c, gva_t la, unsigned size, unsigned how)
{
	for (unsigned i = 0; i < c->watch->n; i++)
		if (how & c->watch->range[i].how && la <= c->watch->range[i].hi &&
		    la + size - 1 >= c->watch->range[i].lo)
			c->watch->hits |= 1u << i;
}

static void hide_watched(struct x86_cpu *c, struct x86_tlb_entry *array)
{
	for (unsigned n = 0; n < 2 * X86_TLB_ENTRIES; n++)
		if (array[n].tag && x86_watch_page(c, (array[n].tag & TAG_PAGE) << PAGE_SHIFT_4K))
			array[n].tag |= X86_TLB_CODE_PAGE;
}

/* Flushing would be simpler, but a guest can tell: see core/snapshot.h. */
void x86_watch_set(struct x86_cpu *c, struct x86_watch *w)
{
	c->watch = w;
	if (!w || !w->n)
		return;
	hide_watched(c, c->tlb.read[0]);
	hide_watched(c, c->tlb.write[0]);
}
