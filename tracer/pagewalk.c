/*
 * A page walk told step by step [SDM 3A "Paging"]. The rules are those of core/x86/paging.c, written a second time for
 * another purpose: there they must be fast and set bits, here every intermediate value is kept and every refusal has a
 * sentence. The unit test compares both over random tables.
 */
#include "tracer/pagewalk.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct walk {
	const struct x86_state *s;
	bool (*read)(void *arg, gpa_t gpa, void *buf, size_t n);
	void *arg;
	struct pagewalk *w;
};

const char *pagewalk_mode_name(enum x86_paging mode)
{
	static const char *const names[] = {"no paging", "32-bit paging", "PAE paging", "4-level paging"};

	return names[mode];
}

static void PRINTF_LIKE(2, 3) say(struct pagewalk *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->why, sizeof w->why, fmt, ap);
	va_end(ap);
}

/* --- One entry --------------------------------------------------------------------------------------------------- */

static uint64_t reserved_bits(const struct walk *k, const struct pagewalk_entry *e)
{
	uint64_t r = 0x000fffffffffffffull & ~X86_PHYS_MASK; /* above the physical address */

	if (k->w->mode == X86_PAGING_32)
		return e->leaf && e->level == 2 ? 0x003fe000u : 0;
	if (e->held)
		return 0x1e6u | ~X86_PHYS_MASK; /* checked when CR3 was loaded */
	if (k->w->mode == X86_PAGING_PAE)
		r |= 0x7ff0000000000000ull;
	if (!(k->s->efer & EFER_NXE))
		r |= PTE_NX;
	if (e->level == 4)
		r |= PTE_PS;
	if (e->leaf && e->level > 1)
		r |= ((1ull << (12 + 9 * (e->level - 1))) - 1) & ~0x1fffull;
	return r;
}

static void read_entry(struct walk *k, struct pagewalk_entry *e)
{
	uint64_t v = 0;

	e->outside = !k->read(k->arg, e->gpa, &v, e->size);
	if (e->outside)
		v = e->size == 4 ? UINT32_MAX : UINT64_MAX;
	e->value = v;
	e->leaf =
	    e->level == 1 || ((v & PTE_PS) && e->level < 4 && (k->w->mode != X86_PAGING_32 || (k->s->cr4 & CR4_PSE)));
}

static void read_flags(struct walk *k, struct pagewalk_entry *e)
{
	e->present = e->value & PTE_P;
	e->reserved = e->present ? e->value & reserved_bits(k, e) : 0;
	e->write = e->held || (e->value & PTE_W);
	e->user = e->held || (e->value & PTE_U);
	e->nx = e->size == 8 && !e->held && (e->value & PTE_NX);
}

/* --- The end of a walk ------------------------------------------------------------------------------------------- */

static void fault(struct walk *k, int culprit, uint32_t why)
{
	const struct pagewalk_query *q = &k->w->q;
	bool id = (q->how & X86_ACCESS_FETCH) &&
		  ((k->s->cr4 & CR4_SMEP) || (k->w->mode != X86_PAGING_32 && (k->s->efer & EFER_NXE)));

	k->w->result = PAGEWALK_FAULT;
	k->w->culprit = culprit;
	k->w->error =
	    why | (q->how & X86_ACCESS_WRITE ? PF_W : 0) | (q->priv == X86_PRIV_USER ? PF_U : 0) | (id ? PF_ID : 0);
}

/* The first entry on the path that lacks a permission (or has XD): it alone would have been enough to refuse. */
static int first_without(const struct pagewalk *w, bool user, bool write, bool nx)
{
	for (unsigned i = 0; i < w->n; i++)
		if ((user && !w->entry[i].user) || (write && !w->entry[i].write) || (nx && w->entry[i].nx))
			return (int)i;
	return (int)w->n - 1;
}

static bool key_refuses(const struct walk *k)
{
	const struct pagewalk_query *q = &k->w->q;
	unsigned rights = (unsigned)(k->s->pkru >> (2 * k->w->key)) & 3;

	if (!(k->s->cr4 & CR4_PKE) || k->w->mode != X86_PAGING_4LEVEL || !k->w->user || (q->how & X86_ACCESS_FETCH))
		return false;
	if (rights & 1)
		return true;
	return (rights & 2) && (q->how & X86_ACCESS_WRITE) && (q->priv == X86_PRIV_USER || (k->s->cr0 & CR0_WP));
}

/* [SDM 3A "Determination of Access Rights"]. False: permitted. */
static bool refused(struct walk *k, int *culprit)
{
	struct pagewalk *w = k->w;
	const struct pagewalk_query *q = &w->q;
	bool super = q->priv != X86_PRIV_USER;
	int leaf = (int)w->n - 1;

	if (!super && !w->user) {
		*culprit = first_without(w, true, false, false);
		say(w, "a user-mode access, and U/S of this %s is 0: supervisor only", w->entry[*culprit].name);
	} else if ((q->how & X86_ACCESS_FETCH) && w->nx) {
		*culprit = first_without(w, false, false, true);
		say(w, "an instruction fetch, and XD of this %s is 1: execute disable", w->entry[*culprit].name);
	} else if ((q->how & X86_ACCESS_FETCH) && super && w->user && (k->s->cr4 & CR4_SMEP)) {
		*culprit = leaf;
		say(w, "CR4.SMEP: supervisor code may not be fetched from a user page");
	} else if (q->how & X86_ACCESS_FETCH) {
		return false;
	} else if (super && w->user && (k->s->cr4 & CR4_SMAP) &&
		   (q->priv == X86_PRIV_IMPLICIT || !(k->s->rflags & FLAG_AC))) {
		*culprit = leaf;
		say(w, "CR4.SMAP: supervisor code may not touch a user page (RFLAGS.AC is 0)");
	} else if ((q->how & X86_ACCESS_WRITE) && !w->write && !(super && !(k->s->cr0 & CR0_WP))) {
		*culprit = first_without(w, false, true, false);
		say(w, "a write, and R/W of this %s is 0: read only%s", w->entry[*culprit].name,
		    super ? ", also for the supervisor (CR0.WP)" : "");
	} else {
		return false;
	}
	return true;
}

static void judge(struct walk *k)
{
	struct pagewalk *w = k->w;
	bool key = key_refuses(k);
	int culprit;

	if (!w->q.how)
		return;
	if (refused(k, &culprit)) {
		fault(k, culprit, PF_P | (key ? PF_PK : 0));
	} else if (key) {
		fault(k, (int)w->n - 1, PF_P | PF_PK);
		say(w, "protection key %u: PKRU denies this access", w->key);
	}
}

static void finish(struct walk *k, const struct pagewalk_entry *leaf, unsigned shift)
{
	struct pagewalk *w = k->w;
	uint64_t mask = (1ull << shift) - 1;

	w->shift = shift;
	w->gpa = (leaf->value & X86_PHYS_MASK & ~0xfffull & ~mask) | (w->q.gva & mask);
	w->key = (uint8_t)(leaf->value >> 59 & 15);
	w->global = (leaf->value & PTE_G) && (k->s->cr4 & CR4_PGE);
	say(w, "translated");
	judge(k);
}

/* --- The way down ------------------------------------------------------------------------------------------------ */

/* False: the walk is over. */
static bool step(struct walk *k, uint64_t *table, unsigned level)
{
	static const char *const names[] = {"", "PTE", "PDE", "PDPTE", "PML4E"};
	bool narrow = k->w->mode == X86_PAGING_32;
	unsigned bits = narrow ? 10 : 9, shift = 12 + (level - 1) * bits;
	struct pagewalk *w = k->w;
	struct pagewalk_entry *e = &w->entry[w->n];
	int me = (int)w->n++;

	*e = (struct pagewalk_entry){.name = names[level], .level = level, .size = narrow ? 4 : 8};
	e->index = (unsigned)(w->q.gva >> shift) & ((1u << bits) - 1);
	e->gpa = *table + (uint64_t)e->index * e->size;
	read_entry(k, e);
	read_flags(k, e);
	if (e->outside && w->q.how && w->q.intercepts) {
		w->result = PAGEWALK_TABLE;
		w->culprit = me;
		say(w, "this %s lies outside RAM: an EPT violation", e->name);
		return false;
	}
	if (!e->present) {
		fault(k, me, 0);
		say(w, "P of this %s is 0: nothing is mapped here", e->name);
		return false;
	}
	if (e->reserved) {
		fault(k, me, PF_P | PF_RSVD);
		say(w, "reserved bits of this %s are set: 0x%llx%s", e->name, (unsigned long long)e->reserved,
		    e->outside ? " (it lies outside RAM and reads as all ones)" : "");
		return false;
	}
	w->user &= e->user;
	w->write &= e->write;
	w->nx |= e->nx;
	*table = e->value & X86_PHYS_MASK & ~0xfffull;
	if (e->leaf)
		finish(k, e, shift);
	return !e->leaf;
}

/* The pointer table of PAE is read by MOV CR3 into four registers, not by the walk. False: the walk is over. */
static bool pae_pointer(struct walk *k, uint64_t *table)
{
	struct pagewalk *w = k->w;
	struct pagewalk_entry *e = &w->entry[w->n++];

	*e = (struct pagewalk_entry){.name = "PDPTE", .level = 3, .size = 8, .held = true};
	e->index = (unsigned)(w->q.gva >> 30) & 3;
	e->gpa = (k->s->cr3 & 0xffffffe0u) + 8ull * e->index;
	e->value = k->s->pdpte[e->index];
	read_flags(k, e);
	*table = e->value & X86_PHYS_MASK & ~0xfffull;
	if (!e->present) {
		fault(k, 0, 0);
		say(w, "P of this PDPTE is 0: nothing is mapped in this GiB");
	}
	return e->present;
}

static void start(const struct x86_state *s, struct pagewalk *w)
{
	w->mode = x86_paging_mode(s);
	w->culprit = -1;
	w->slot = -1;
	w->shift = PAGE_SHIFT_4K;
	w->user = w->write = true;
	if (w->mode != X86_PAGING_4LEVEL)
		w->q.gva = (uint32_t)w->q.gva;
}

void pagewalk(const struct x86_state *s, const struct pagewalk_query *q,
    bool (*read)(void *arg, gpa_t gpa, void *buf, size_t n), void *arg, struct pagewalk *out)
{
	struct walk k = {s, read, arg, out};
	uint64_t table;
	unsigned level = 2;

	*out = (struct pagewalk){.q = *q};
	start(s, out);
	if (out->mode == X86_PAGING_NONE) {
		out->gpa = out->q.gva & X86_PHYS_MASK;
		say(out, "CR0.PG is 0: a linear address is a physical one");
		return;
	}
	if (out->mode == X86_PAGING_4LEVEL && !x86_canonical(out->q.gva)) {
		out->result = PAGEWALK_NOT_CANONICAL;
		say(out, "not canonical, bits 63..47 differ: #GP(0), no walk");
		return;
	}
	if (out->mode == X86_PAGING_PAE) {
		if (!pae_pointer(&k, &table))
			return;
	} else if (out->mode == X86_PAGING_4LEVEL) {
		level = 4;
		table = s->cr3 & X86_PHYS_MASK & ~0xfffull;
	} else {
		table = s->cr3 & 0xfffff000u;
	}
	while (step(&k, &table, level))
		level--;
}

/* --- Host side --------------------------------------------------------------------------------------------------- */

bool pagewalk_read_mem(void *arg, gpa_t gpa, void *buf, size_t n)
{
	struct guest_mem *m = arg;
	const uint8_t *page = mem_page(m, gpa, false);
	size_t in_page = gpa & (PAGE_SIZE_4K - 1);

	if (!page || n > PAGE_SIZE_4K - in_page)
		return false;
	memcpy(buf, page + in_page, n);
	return true;
}

void pagewalk_locate(struct pagewalk *w, const struct vm *vm)
{
	w->slot = mem_find(&vm->mem, w->gpa);
	w->host = NULL;
	w->place = PAGEWALK_HOLE;
	snprintf(w->name, sizeof w->name, "%s", "nothing there");
	if (w->slot >= 0) {
		const struct mem_slot *slot = &vm->mem.slots[w->slot];

		w->offset = w->gpa - slot->gpa;
		w->host = slot->read ? slot->read + w->offset : NULL;
		w->place = !slot->read		       ? PAGEWALK_HOLE
			   : !slot->write	       ? PAGEWALK_ROM
			   : slot->write != slot->read ? PAGEWALK_SHADOW
						       : PAGEWALK_RAM;
		snprintf(w->name, sizeof w->name, "%.*s", (int)sizeof slot->name, slot->name);
		if (slot->read)
			return;
	}
	for (unsigned i = 0; i < vm->bus.n_mmio; i++) {
		const struct bus_region *r = &vm->bus.mmio[i];

		if (w->gpa - r->base < r->len) {
			w->place = PAGEWALK_DEVICE;
			w->offset = w->gpa - r->base;
			snprintf(w->name, sizeof w->name, "%s", r->dev->ops->name);
			return;
		}
	}
}

/* --- Bits by name ------------------------------------------------------------------------------------------------ */

struct bits {
	struct pagewalk_bit *out;
	unsigned n;
	uint64_t value;
};

static void add(struct bits *b, unsigned hi, unsigned lo, const char *name, const char *zero, const char *one)
{
	uint64_t mask = hi - lo == 63 ? UINT64_MAX : (1ull << (hi - lo + 1)) - 1, v = b->value >> lo & mask;

	b->out[b->n++] = (struct pagewalk_bit){name, hi, lo, v, v ? one : zero};
}

static void add_address(struct bits *b, unsigned hi, unsigned lo, const char *what)
{
	add(b, hi, lo, "address", what, what);
	b->out[b->n - 1].value <<= lo;
}

static void low_bits(struct bits *b, const struct pagewalk_entry *e)
{
	add(b, 1, 1, "R/W", "read only", "writable");
	add(b, 2, 2, "U/S", "supervisor only", "user too");
	add(b, 3, 3, "PWT", "write-back", "write-through");
	add(b, 4, 4, "PCD", "cached", "not cached");
	add(b, 5, 5, "A", "not used yet", "was used");
	if (e->leaf) {
		add(b, 6, 6, "D", "not written yet", "was written");
		if (e->level == 1)
			add(b, 7, 7, "PAT", "", "memory type");
		else
			add(b, 7, 7, "PS", "", "maps a large page");
		add(b, 8, 8, "G", "", "global: outlives MOV CR3");
	} else {
		add(b, 6, 6, "ign6", "", "ignored");
		add(b, 7, 7, "PS", "points to a table", "ignored");
		add(b, 8, 8, "ign8", "", "ignored");
	}
	add(b, 11, 9, "AVL", "", "the system's own");
}

static void high_bits(const struct pagewalk *w, struct bits *b, const struct pagewalk_entry *e)
{
	if (w->mode == X86_PAGING_32)
		return;
	if (w->mode == X86_PAGING_PAE) {
		add(b, 62, 40, "rsvd", "", "must be 0");
	} else {
		add(b, 51, 40, "rsvd", "", "must be 0");
		add(b, 58, 52, "AVL", "", "the system's own");
		if (e->leaf)
			add(b, 62, 59, "key", "protection key 0", "protection key");
		else
			add(b, 62, 59, "ign", "", "ignored");
	}
	add(b, 63, 63, "XD", "executable", "execute disable");
}

static void middle_bits(const struct pagewalk *w, struct bits *b, const struct pagewalk_entry *e)
{
	unsigned top = w->mode == X86_PAGING_32 ? 31 : X86_PHYS_BITS - 1, bits = w->mode == X86_PAGING_32 ? 10 : 9,
		 lo = 12 + (e->level - 1) * bits;

	if (!e->leaf || e->level == 1) {
		add_address(b, top, 12, e->leaf ? "of the page" : "of the next table");
		return;
	}
	add(b, 12, 12, "PAT", "", "memory type");
	add(b, lo - 1, 13, "rsvd", "", "must be 0");
	add_address(b, top, lo, "of the page");
}

unsigned pagewalk_bits(const struct pagewalk *w, unsigned entry, struct pagewalk_bit out[PAGEWALK_BITS_MAX])
{
	const struct pagewalk_entry *e = &w->entry[entry];
	struct bits b = {.out = out, .value = e->value};

	add(&b, 0, 0, "P", "not present", "present");
	if (!e->present) {
		add(&b, e->size == 4 ? 31 : 63, 1, "ign", "ignored: the system's own", "ignored: the system's own");
	} else if (e->held) {
		add(&b, 2, 1, "rsvd", "", "must be 0");
		add(&b, 3, 3, "PWT", "write-back", "write-through");
		add(&b, 4, 4, "PCD", "cached", "not cached");
		add(&b, 8, 5, "rsvd", "", "must be 0");
		add(&b, 11, 9, "AVL", "", "the system's own");
		add_address(&b, X86_PHYS_BITS - 1, 12, "of the page directory");
		add(&b, 63, X86_PHYS_BITS, "rsvd", "", "must be 0");
	} else {
		low_bits(&b, e);
		middle_bits(w, &b, e);
		high_bits(w, &b, e);
	}
	return b.n;
}

const char *pagewalk_letters(const struct pagewalk *w, unsigned entry, char *buf, size_t n)
{
	const struct pagewalk_entry *e = &w->entry[entry];
	uint64_t v = e->value;

	if (!e->present)
		snprintf(buf, n, "not present");
	else if (e->held)
		snprintf(buf, n, "P");
	else
		snprintf(buf, n, "P %c %c %c%s%s%s%s%s", e->write ? 'W' : 'r', e->user ? 'U' : 's',
		    v & PTE_A ? 'A' : '-',
		    !e->leaf	? ""
		    : v & PTE_D ? " D"
				: " -",
		    e->leaf && (v & PTE_G) ? " G" : "", e->nx ? " XD" : "", e->leaf && e->level > 1 ? " PS" : "",
		    e->reserved ? " RSVD" : "");
	return buf;
}
