/*
 * Building and walking nested page tables [SDM 3C "The Extended Page Table Mechanism (EPT)"]. The entries of VT-x and
 * of AMD-V differ less than their manuals: bit 0 readable or present, bit 1 writable, bit 7 a large page; EPT leaves
 * carry a memory type (write-back) and "executable" where ordinary tables carry "user".
 *
 * Read before: ept.h. Read after: vmx.c, which points the processor here.
 */
#include "modes/virtualize/ept.h"

#include "core/lib.h"

#define PRESENT 1ull
#define WRITABLE 2ull
#define ACCESS_3RD 4ull /* EPT: execute; NPT: user, without which no nested access succeeds */
#define LARGE (1ull << 7)
#define EPT_WRITE_BACK (6ull << 3)
#define ADDRESS 0x000ffffffffff000ull
#define TABLE (PRESENT | WRITABLE | ACCESS_3RD)
#define ENTRIES 512u
#define LEVELS 4u
#define SIZE_2M (1ull << 21)
#define GPA_LIMIT (1ull << 48)

static unsigned index_at(gpa_t gpa, unsigned level)
{
	return (unsigned)(gpa >> (PAGE_SHIFT_4K + 9 * (level - 1))) & (ENTRIES - 1);
}

static uint64_t span_of(unsigned level)
{
	return 1ull << (PAGE_SHIFT_4K + 9 * (level - 1));
}

static uint64_t *table_of(uint64_t entry)
{
	return (uint64_t *)(uintptr_t)(entry & ADDRESS);
}

static bool is_leaf(uint64_t entry, unsigned level)
{
	return level == 1 || (entry & LARGE);
}

static uint64_t *new_table(struct ept *t)
{
	uint64_t *p = t->host->page_alloc(PAGE_SIZE_4K);

	if (p)
		t->n_tables++;
	return p;
}

static void free_table(struct ept *t, uint64_t *p)
{
	t->n_tables--;
	t->host->page_free(p, PAGE_SIZE_4K);
}

/* Frees a table of this level and all below it. */
static void free_tree(struct ept *t, uint64_t *table, unsigned level)
{
	for (unsigned i = 0; level > 1 && i < ENTRIES; i++)
		if ((table[i] & PRESENT) && !is_leaf(table[i], level))
			free_tree(t, table_of(table[i]), level - 1);
	free_table(t, table);
}

enum err ept_init(struct ept *t, const struct host_ops *host, enum ept_format f, bool large)
{
	memset(t, 0, sizeof(*t));
	t->host = host;
	t->leaf = ACCESS_3RD | (f == EPT_FORMAT_VMX ? EPT_WRITE_BACK : 0);
	t->large = large;
	t->root = new_table(t);
	return t->root ? ERR_OK : ERR_NOMEM;
}

void ept_fini(struct ept *t)
{
	if (t->root)
		free_tree(t, t->root, LEVELS);
	t->root = NULL;
}

/* A 2 MiB leaf becomes 512 of 4 KiB with the same rights. */
static uint64_t *split(struct ept *t, uint64_t *entry)
{
	uint64_t *table = new_table(t), leaf = *entry & ~LARGE;

	if (!table)
		return NULL;
	for (unsigned i = 0; i < ENTRIES; i++)
		table[i] = leaf + (uint64_t)i * PAGE_SIZE_4K;
	*entry = (uint64_t)(uintptr_t)table | TABLE;
	return table;
}

/* The entry for gpa at this level, making tables on the way. create false: NULL in *slot where there is no table. */
static enum err find_slot(struct ept *t, gpa_t gpa, unsigned level, bool create, uint64_t **slot)
{
	uint64_t *table = t->root, *e;

	*slot = NULL;
	for (unsigned at = LEVELS; at > level; at--) {
		e = &table[index_at(gpa, at)];
		if (!(*e & PRESENT)) {
			if (!create)
				return ERR_OK;
			table = new_table(t);
			if (!table)
				return ERR_NOMEM;
			*e = (uint64_t)(uintptr_t)table | TABLE;
		} else if (is_leaf(*e, at)) {
			table = split(t, e);
			if (!table)
				return ERR_NOMEM;
		} else {
			table = table_of(*e);
		}
	}
	*slot = &table[index_at(gpa, level)];
	return ERR_OK;
}

static void put(struct ept *t, uint64_t *slot, unsigned level, uint64_t entry)
{
	if (level > 1 && (*slot & PRESENT) && !is_leaf(*slot, level))
		free_tree(t, table_of(*slot), level - 1);
	*slot = entry;
}

static bool whole_2m(const struct ept *t, gpa_t gpa, uint64_t len, uint64_t hpa)
{
	return t->large && len >= SIZE_2M && !(gpa % SIZE_2M) && !(hpa % SIZE_2M);
}

enum err ept_map(struct ept *t, gpa_t gpa, uint64_t len, const uint8_t *host, bool write)
{
	uint64_t hpa = (uint64_t)(uintptr_t)host, *slot;

	if (gpa % PAGE_SIZE_4K || len % PAGE_SIZE_4K || hpa % PAGE_SIZE_4K || gpa >= GPA_LIMIT || len > GPA_LIMIT - gpa)
		return ERR_RANGE;
	while (len > 0) {
		unsigned level = whole_2m(t, gpa, len, hpa) ? 2 : 1;
		enum err e = find_slot(t, gpa, level, true, &slot);

		if (e != ERR_OK)
			return e;
		put(t, slot, level, hpa | PRESENT | (write ? WRITABLE : 0) | t->leaf | (level == 2 ? LARGE : 0));
		gpa += span_of(level);
		hpa += span_of(level);
		len -= span_of(level);
	}
	return ERR_OK;
}

enum err ept_unmap(struct ept *t, gpa_t gpa, uint64_t len)
{
	if (gpa % PAGE_SIZE_4K || len % PAGE_SIZE_4K || gpa >= GPA_LIMIT || len > GPA_LIMIT - gpa)
		return ERR_RANGE;
	while (len > 0) {
		unsigned level = len >= SIZE_2M && !(gpa % SIZE_2M) ? 2 : 1;
		uint64_t *slot;
		enum err e = find_slot(t, gpa, level, false, &slot);

		if (e != ERR_OK)
			return e;
		if (slot)
			put(t, slot, level, 0);
		gpa += span_of(level);
		len -= span_of(level);
	}
	return ERR_OK;
}

bool ept_walk(const struct ept *t, gpa_t gpa, uint64_t *hpa, bool *write)
{
	const uint64_t *table = t->root;

	if (gpa >= GPA_LIMIT)
		return false;
	for (unsigned level = LEVELS;; level--) {
		uint64_t e = table[index_at(gpa, level)];

		if (!(e & PRESENT))
			return false;
		if (is_leaf(e, level)) {
			*hpa = (e & ADDRESS & ~(span_of(level) - 1)) | (gpa & (span_of(level) - 1));
			*write = e & WRITABLE;
			return true;
		}
		table = table_of(e);
	}
}

struct listing {
	struct mode_mapping *out, last;
	size_t n, max;
};

static void list_leaf(struct listing *l, gpa_t gpa, uint64_t len, uint64_t entry)
{
	const uint8_t *host = (const uint8_t *)(uintptr_t)(entry & ADDRESS);
	bool write = entry & WRITABLE;

	if (l->n && l->last.gpa + l->last.len == gpa && l->last.host + l->last.len == host && l->last.write == write) {
		l->last.len += len;
	} else {
		l->last = (struct mode_mapping){gpa, len, host, write};
		l->n++;
	}
	if (l->n <= l->max)
		l->out[l->n - 1] = l->last;
}

static void list_table(struct listing *l, const uint64_t *table, unsigned level, gpa_t gpa)
{
	for (unsigned i = 0; i < ENTRIES; i++, gpa += span_of(level)) {
		if (!(table[i] & PRESENT))
			continue;
		if (is_leaf(table[i], level))
			list_leaf(l, gpa, span_of(level), table[i]);
		else
			list_table(l, table_of(table[i]), level - 1, gpa);
	}
}

size_t ept_list(const struct ept *t, struct mode_mapping *out, size_t max)
{
	struct listing l = {.out = out, .max = max};

	if (t->root)
		list_table(&l, t->root, LEVELS, 0);
	return l.n;
}
