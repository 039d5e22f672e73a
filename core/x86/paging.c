/*
 * Page walks [SDM 3A "Paging"]: 32-bit with 4 MiB pages, PAE, and 4-level with 2 MiB and 1 GiB pages. Concept: a page
 * table is only RAM that the processor reads on its own; permission is the AND over all levels, reserved bits are
 * checked at each present entry on the way down, and the accessed and dirty bits are ordinary stores into that RAM.
 *
 * Read before: access.h. Read after: tlb.c.
 */
#include "core/x86/paging.h"

enum x86_paging x86_paging_mode(const struct x86_state *s)
{
	if (!(s->cr0 & CR0_PG))
		return X86_PAGING_NONE;
	if (!(s->cr4 & CR4_PAE))
		return X86_PAGING_32;
	return s->efer & EFER_LMA ? X86_PAGING_4LEVEL : X86_PAGING_PAE;
}

/* One entry on the path; kept until the walk is known to succeed. */
struct step {
	gpa_t gpa;
	uint64_t entry;
};

static uint64_t read_entry(struct x86_cpu *c, gpa_t gpa, unsigned size, bool *outside)
{
	const uint8_t *page = c->env->page(c->env_arg, gpa, false);

	*outside = !page;
	if (!page)
		return size == 4 ? UINT32_MAX : UINT64_MAX;
	return x86_get(page + (gpa & (PAGE_SIZE_4K - 1)), size);
}

/* False: the table may not be written (ROM) and that matters. */
static bool write_entry(struct x86_cpu *c, gpa_t gpa, unsigned size, uint64_t v)
{
	uint8_t *page = c->env->page(c->env_arg, gpa, true);

	if (!page)
		return !c->ctl;
	x86_put(page + (gpa & (PAGE_SIZE_4K - 1)), size, v);
	if (x86_tlb_is_code(c, gpa))
		c->env->code_written(c->env_arg, gpa, size);
	return true;
}

/* Bits that must be 0 in a present entry. level: 1 = PTE; leaf: it maps a page. */
static uint64_t reserved_bits(const struct x86_cpu *c, unsigned level, bool leaf)
{
	uint64_t r;

	if (c->paging == X86_PAGING_32)
		return level == 2 && leaf ? 0x003fe000u : 0; /* no PSE-36 */
	r = 0x000fffffffffffffull & ~X86_PHYS_MASK;
	if (c->paging == X86_PAGING_PAE)
		r |= 0x7ff0000000000000ull;
	if (!(c->s.efer & EFER_NXE))
		r |= PTE_NX;
	if (level == 4)
		r |= PTE_PS;
	else if (level == 3 && leaf)
		r |= 0x3fffe000u;
	else if (level == 2 && leaf)
		r |= 0x001fe000u;
	return r;
}

static bool is_leaf(const struct x86_cpu *c, unsigned level, uint64_t entry)
{
	if (level == 1)
		return true;
	if (!(entry & PTE_PS) || level == 4)
		return false;
	return c->paging != X86_PAGING_32 || (c->s.cr4 & CR4_PSE);
}

/* Does what the tables say permit this access? [SDM 3A "Determination of Access Rights"] */
static bool permitted(const struct x86_cpu *c, unsigned how, enum x86_priv priv, const struct x86_walk *w)
{
	bool super = priv != X86_PRIV_USER;

	if (!super && !w->user)
		return false;
	if (how & X86_ACCESS_FETCH)
		return !w->nx && !(super && w->user && (c->s.cr4 & CR4_SMEP));
	if (super && w->user && (c->s.cr4 & CR4_SMAP) && (priv == X86_PRIV_IMPLICIT || !(c->s.rflags & FLAG_AC)))
		return false;
	return !(how & X86_ACCESS_WRITE) || w->write || (super && !(c->s.cr0 & CR0_WP));
}

/* Access and write disable of the page's key, for data accesses to user pages [SDM 3A "Protection Keys"]. */
static bool key_permits(const struct x86_cpu *c, unsigned how, enum x86_priv priv, const struct x86_walk *w)
{
	unsigned rights = (unsigned)(c->s.pkru >> (2 * w->key)) & 3;

	if (!(c->s.cr4 & CR4_PKE) || c->paging != X86_PAGING_4LEVEL || !w->user || (how & X86_ACCESS_FETCH))
		return true;
	if (rights & 1)
		return false;
	return !(rights & 2) || !(how & X86_ACCESS_WRITE) || (priv != X86_PRIV_USER && !(c->s.cr0 & CR0_WP));
}

static uint32_t error_code(const struct x86_cpu *c, unsigned how, enum x86_priv priv, uint32_t why)
{
	bool id = (how & X86_ACCESS_FETCH) &&
		  ((c->s.cr4 & CR4_SMEP) || (c->paging != X86_PAGING_32 && (c->s.efer & EFER_NXE)));

	return why | (how & X86_ACCESS_WRITE ? PF_W : 0) | (priv == X86_PRIV_USER ? PF_U : 0) | (id ? PF_ID : 0);
}

static enum x86_walk_rc fail(struct x86_cpu *c, unsigned how, enum x86_priv priv, uint32_t why, struct x86_walk *w)
{
	w->error = error_code(c, how, priv, why);
	return X86_WALK_FAULT;
}

static enum x86_walk_rc set_accessed_dirty(
    struct x86_cpu *c, const struct step *path, unsigned n, unsigned size, unsigned how, struct x86_walk *w)
{
	for (unsigned k = 0; k < n; k++) {
		uint64_t want = path[k].entry | PTE_A | (k == n - 1 && (how & X86_ACCESS_WRITE) ? PTE_D : 0);

		if (want != path[k].entry && !write_entry(c, path[k].gpa, size, want)) {
			w->gpa = path[k].gpa;
			w->table_write = true;
			return X86_WALK_TABLE;
		}
	}
	return X86_WALK_OK;
}

/* Where a walk begins, and what its entries look like. */
struct shape {
	unsigned level, size, bits; /* first level, bytes an entry, index bits a level */
	uint64_t table;
};

/* False: a PAE pointer is not present. */
static bool begin_walk(const struct x86_cpu *c, gva_t la, struct shape *t)
{
	*t = (struct shape){.level = 4, .size = 8, .bits = 9, .table = c->s.cr3 & X86_PHYS_MASK & ~0xfffull};
	if (c->paging == X86_PAGING_32) {
		t->level = 2;
		t->size = 4;
		t->bits = 10;
		t->table &= UINT32_MAX;
	} else if (c->paging == X86_PAGING_PAE) {
		t->level = 2;
		t->table = c->s.pdpte[(la >> 30) & 3];
		if (!(t->table & PTE_P))
			return false;
		t->table &= X86_PHYS_MASK & ~0xfffull;
	}
	return true;
}

enum x86_walk_rc x86_walk(struct x86_cpu *c, gva_t la, unsigned how, enum x86_priv priv, struct x86_walk *w)
{
	struct shape t;
	struct step path[4];
	unsigned n = 0;

	*w = (struct x86_walk){.user = true, .write = true, .dirty = true, .shift = 12};
	if (c->paging == X86_PAGING_NONE) {
		w->gpa = la & X86_PHYS_MASK;
		return X86_WALK_OK;
	}
	if (!begin_walk(c, la, &t))
		return fail(c, how, priv, 0, w);
	for (;; t.level--) {
		unsigned shift = 12 + (t.level - 1) * t.bits;
		bool outside, leaf;
		uint64_t e;

		path[n].gpa = t.table + ((la >> shift) & ((1u << t.bits) - 1)) * t.size;
		path[n].entry = e = read_entry(c, path[n].gpa, t.size, &outside);
		if (outside && how && c->ctl) {
			w->gpa = path[n].gpa;
			return X86_WALK_TABLE;
		}
		n++;
		if (!(e & PTE_P))
			return fail(c, how, priv, 0, w);
		leaf = is_leaf(c, t.level, e);
		if (e & reserved_bits(c, t.level, leaf))
			return fail(c, how, priv, PF_P | PF_RSVD, w);
		w->user &= (e & PTE_U) != 0;
		w->write &= (e & PTE_W) != 0;
		w->nx |= t.size == 8 && (e & PTE_NX);
		if (leaf) {
			uint64_t mask = (1ull << shift) - 1;

			w->shift = shift;
			w->key = (uint8_t)(e >> 59 & 15);
			w->dirty = e & PTE_D;
			w->global = (e & PTE_G) && (c->s.cr4 & CR4_PGE);
			w->gpa = (e & X86_PHYS_MASK & ~0xfffull & ~mask) | (la & mask);
			break;
		}
		t.table = e & X86_PHYS_MASK & ~0xfffull;
	}
	if (!how)
		return X86_WALK_OK;
	if (!permitted(c, how, priv, w))
		return fail(c, how, priv, PF_P | (key_permits(c, how, priv, w) ? 0 : PF_PK), w);
	if (!key_permits(c, how, priv, w))
		return fail(c, how, priv, PF_P | PF_PK, w);
	return set_accessed_dirty(c, path, n, t.size, how, w);
}

enum x86_rc x86_read_pdptes(struct x86_cpu *c, uint64_t cr3, uint64_t out[4])
{
	/* Present entries: bits 1, 2, 5-8 and above the physical width are reserved [SDM 3A "PDPTE Registers"]. */
	const uint64_t reserved = 0x1e6u | ~X86_PHYS_MASK;
	bool outside;

	for (unsigned n = 0; n < 4; n++) {
		gpa_t at = (cr3 & 0xffffffe0u) + 8 * n;

		out[n] = read_entry(c, at, 8, &outside);
		if (outside && c->ctl) {
			x86_exit(c, EXIT_EPT_VIOLATION, QUAL_EPT_READ, 0);
			c->exit->gpa = at;
			c->exit->mmio.size = 8;
			return X86_EXIT;
		}
		if ((out[n] & PTE_P) && (out[n] & reserved))
			return X86_FAULT;
	}
	return X86_OK;
}

bool x86_translate(struct x86_cpu *c, gva_t gva, gpa_t *gpa)
{
	struct x86_walk w;

	if (c->mode != X86_MODE_LONG64)
		gva = (uint32_t)gva;
	else if (!x86_canonical(gva))
		return false;
	if (x86_walk(c, gva, 0, X86_PRIV_SUPER, &w) != X86_WALK_OK)
		return false;
	*gpa = w.gpa;
	return true;
}

size_t x86_peek(struct x86_cpu *c, gva_t gva, void *buf, size_t n)
{
	uint8_t *out = buf;
	size_t done = 0;

	while (done < n) {
		size_t in_page = PAGE_SIZE_4K - ((gva + done) & (PAGE_SIZE_4K - 1));
		size_t len = n - done < in_page ? n - done : in_page;
		const uint8_t *page;
		gpa_t gpa;

		if (!x86_translate(c, gva + done, &gpa))
			break;
		page = c->env->page(c->env_arg, gpa, false);
		if (!page)
			break;
		memcpy(out + done, page + (gpa & (PAGE_SIZE_4K - 1)), len);
		done += len;
	}
	return done;
}
