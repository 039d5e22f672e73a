/*
 * Guest-physical memory. A guest's "physical" address is an index into a table of slots; the table is what a nested
 * page table is made from, what KVM is given, and what the software TLB caches. Reading order: mem.h first.
 */
#include "core/mem.h"

#include "core/lib.h"

size_t mem_dirty_bytes(const struct guest_mem *m)
{
	return (size_t)((m->ram_size / PAGE_SIZE_4K + 63) / 64 * 8);
}

enum err mem_init(struct guest_mem *m, const struct host_ops *host, uint64_t ram_size, struct errmsg *why)
{
	memset(m, 0, sizeof(*m));
	m->host = host;
	if (ram_size == 0 || ram_size % PAGE_SIZE_4K)
		return err_set(why, ERR_RANGE, "guest memory of %llu bytes: give a multiple of 4 KiB, not 0",
		    (unsigned long long)ram_size);
	if (ram_size > host->mem_limit())
		return err_set(why, ERR_NOMEM, "guest memory of %llu MiB: this machine can give %llu MiB",
		    (unsigned long long)(ram_size >> 20), (unsigned long long)(host->mem_limit() >> 20));
	m->ram = host->page_alloc(ram_size);
	if (!m->ram)
		return err_set(why, ERR_NOMEM, "guest memory of %llu MiB: the host gave none; try a smaller --mem",
		    (unsigned long long)(ram_size >> 20));
	m->ram_size = ram_size;
	m->dirty = host->page_alloc(mem_dirty_bytes(m));
	if (!m->dirty) {
		mem_fini(m);
		return err_set(why, ERR_NOMEM, "guest memory: no room for its map of changes; try a smaller --mem");
	}
	return ERR_OK;
}

void mem_fini(struct guest_mem *m)
{
	if (m->ram)
		m->host->page_free(m->ram, m->ram_size);
	if (m->dirty)
		m->host->page_free(m->dirty, mem_dirty_bytes(m));
	m->dirty = NULL;
	m->ram = NULL;
	m->ram_size = 0;
	m->n_slots = 0;
}

static enum err changed(struct guest_mem *m, unsigned slot, struct errmsg *why)
{
	m->generation++;
	return m->on_change ? m->on_change(m->on_change_arg, slot, why) : ERR_OK;
}

enum err mem_add_slot(
    struct guest_mem *m, gpa_t gpa, uint64_t len, uint8_t *read, uint8_t *write, const char *name, struct errmsg *why)
{
	if (gpa % PAGE_SIZE_4K || len % PAGE_SIZE_4K || len == 0 || gpa + len < gpa)
		return err_set(why, ERR_RANGE, "memory slot %s at %#llx, %#llx bytes: not whole 4 KiB pages", name,
		    (unsigned long long)gpa, (unsigned long long)len);
	for (unsigned i = 0; i < m->n_slots; i++)
		if (gpa < m->slots[i].gpa + m->slots[i].len && m->slots[i].gpa < gpa + len)
			return err_set(why, ERR_RANGE, "memory slot %s at %#llx overlaps slot %s", name,
			    (unsigned long long)gpa, m->slots[i].name);
	if (m->n_slots == MEM_SLOTS_MAX)
		return err_set(why, ERR_NOMEM, "memory slot %s: all %u slots are in use", name, MEM_SLOTS_MAX);

	unsigned slot = m->n_slots++;
	m->slots[slot] = (struct mem_slot){.gpa = gpa, .len = len, .read = read, .write = write};
	fmt_snprintf(m->slots[slot].name, sizeof(m->slots[slot].name), "%s", name);
	if (len > m->slots[m->biggest].len)
		m->biggest = slot;
	enum err e = changed(m, slot, why);
	if (e != ERR_OK) {
		m->n_slots--;
		if (m->biggest == slot)
			m->biggest = 0;
	}
	return e;
}

enum err mem_retarget(struct guest_mem *m, unsigned slot, uint8_t *read, uint8_t *write, struct errmsg *why)
{
	if (slot >= m->n_slots)
		return err_set(why, ERR_RANGE, "memory slot %u does not exist", slot);
	struct mem_slot *s = &m->slots[slot];
	if (s->read == read && s->write == write)
		return ERR_OK;
	s->read = read;
	s->write = write;
	return changed(m, slot, why);
}

static bool slot_has(const struct mem_slot *s, gpa_t gpa)
{
	return gpa - s->gpa < s->len;
}

int mem_find(const struct guest_mem *m, gpa_t gpa)
{
	if (m->n_slots && slot_has(&m->slots[m->biggest], gpa))
		return (int)m->biggest;
	for (unsigned i = 0; i < m->n_slots; i++)
		if (slot_has(&m->slots[i], gpa))
			return (int)i;
	return -1;
}

uint8_t *mem_page(struct guest_mem *m, gpa_t gpa, bool write)
{
	int i = mem_find(m, gpa);

	if (i < 0)
		return NULL;
	const struct mem_slot *s = &m->slots[i];
	if (!s->read || (write && s->write != s->read))
		return NULL;
	uint8_t *page = s->read + ((gpa & ~(gpa_t)(PAGE_SIZE_4K - 1)) - s->gpa);

	if (write)
		mem_note_write(m, page, PAGE_SIZE_4K);
	return page;
}

/* How many of n bytes from gpa lie in slot s (which has gpa). */
static size_t span(const struct mem_slot *s, gpa_t gpa, size_t n)
{
	uint64_t left = s->gpa + s->len - gpa;

	return n < left ? n : (size_t)left;
}

/* How many of n bytes from gpa lie before the next page, for stepping over holes. */
static size_t hole_span(gpa_t gpa, size_t n)
{
	size_t left = PAGE_SIZE_4K - (size_t)(gpa % PAGE_SIZE_4K);

	return n < left ? n : left;
}

enum err mem_read(struct guest_mem *m, gpa_t gpa, void *buf, size_t n)
{
	enum err e = ERR_OK;
	uint8_t *out = buf;

	while (n > 0) {
		int i = mem_find(m, gpa);
		const struct mem_slot *s = &m->slots[i < 0 ? 0 : i];
		size_t k = i < 0 ? hole_span(gpa, n) : span(s, gpa, n);

		if (i >= 0 && s->read) {
			memcpy(out, s->read + (gpa - s->gpa), k);
		} else {
			memset(out, 0xff, k);
			e = ERR_RANGE;
			m->hole_reads++;
		}
		gpa += k;
		out += k;
		n -= k;
	}
	return e;
}

enum err mem_write(struct guest_mem *m, gpa_t gpa, const void *buf, size_t n)
{
	enum err e = ERR_OK;
	const uint8_t *in = buf;

	while (n > 0) {
		int i = mem_find(m, gpa);
		const struct mem_slot *s = &m->slots[i < 0 ? 0 : i];
		size_t k = i < 0 ? hole_span(gpa, n) : span(s, gpa, n);
		uint8_t *to = s->write ? s->write : s->read;

		if (i >= 0 && to) {
			mem_note_write(m, to + (gpa - s->gpa), k);
			memcpy(to + (gpa - s->gpa), in, k);
		} else {
			e = ERR_RANGE;
		}
		gpa += k;
		in += k;
		n -= k;
	}
	return e;
}

static bool page_is_zero(const uint8_t *p)
{
	uint64_t any = 0;

	for (size_t i = 0; i < PAGE_SIZE_4K; i += 8) {
		uint64_t v;
		memcpy(&v, p + i, 8);
		any |= v;
	}
	return any == 0;
}

/* Most of a guest's RAM is zero. FNV-1a over k zero bytes is a multiplication by prime^k, so a zero page costs one. */
uint64_t mem_hash(const struct guest_mem *m)
{
	uint64_t h = FNV64_INIT, prime_page = 0x100000001b3ull;

	for (unsigned i = 0; i < PAGE_SHIFT_4K; i++)
		prime_page *= prime_page;
	for (uint64_t at = 0; at < m->ram_size; at += PAGE_SIZE_4K)
		h = page_is_zero(m->ram + at) ? h * prime_page : fnv64(h, m->ram + at, PAGE_SIZE_4K);
	return h;
}
