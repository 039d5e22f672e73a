/*
 * RAM in versions. Concept: copy on write, twice. A page that did not change is the same struct page in every version;
 * 512 pages that did not change are the same struct ram_chunk. So a version costs what changed, restoring one touches
 * what differs, and giving one up frees what nobody else has. Pages of zeros are no page; of those that a memory test
 * fills RAM with only the rule is kept: words that grow by a step (0: all the same; 8: addresses), or a pattern.
 */
#include "session/history_pages.h"

#include <stdlib.h>
#include <string.h>

#include "core/lib.h"

#define CHUNK_PAGES 512u

#define PERIOD 512u /* bytes: a bit that walks through a word of 64 bits, once round */
#define WORDS (PAGE_SIZE_4K / 8)

enum page_form {
	PAGE_WORDS,   /* word i is word + i * step */
	PAGE_PATTERN, /* PERIOD bytes of data, again and again */
	PAGE_DATA
};

struct page {
	uint32_t refs;
	enum page_form form;
	uint64_t word, step;
	uint8_t data[];
};

struct ram_chunk {
	uint32_t refs;
	struct page *page[CHUNK_PAGES]; /* NULL: zero */
};

/* --- Pages -------------------------------------------------------------------------------------------------------- */

static size_t data_size(enum page_form form)
{
	return form == PAGE_WORDS ? 0 : form == PAGE_PATTERN ? PERIOD : PAGE_SIZE_4K;
}

static size_t page_size(const struct page *g)
{
	return sizeof(*g) + data_size(g->form);
}

static uint64_t word_at(const uint8_t *p, size_t i)
{
	uint64_t w;

	memcpy(&w, p + i * 8, 8);
	return w;
}

static bool grows_by(const uint8_t *p, uint64_t word, uint64_t step)
{
	if (step == 0)
		return word_at(p, 0) == word && memcmp(p, p + 8, PAGE_SIZE_4K - 8) == 0;
	for (size_t i = 0; i < WORDS; i++)
		if (word_at(p, i) != word + i * step)
			return false;
	return true;
}

static enum page_form form_of(const uint8_t *p)
{
	if (grows_by(p, word_at(p, 0), word_at(p, 1) - word_at(p, 0)))
		return PAGE_WORDS;
	return memcmp(p, p + PERIOD, PAGE_SIZE_4K - PERIOD) == 0 ? PAGE_PATTERN : PAGE_DATA;
}

static bool page_holds(const struct page *g, const uint8_t *p)
{
	if (!g || g->form == PAGE_WORDS)
		return grows_by(p, g ? g->word : 0, g ? g->step : 0);
	return memcmp(g->data, p, data_size(g->form)) == 0 &&
	       (g->form == PAGE_DATA || memcmp(p, p + PERIOD, PAGE_SIZE_4K - PERIOD) == 0);
}

static void page_free(struct ram_pages *r, struct page *g)
{
	if (!g || --g->refs)
		return;
	r->bytes -= page_size(g);
	free(g);
}

/* False: no memory. */
static bool page_make(struct ram_pages *r, const uint8_t *p, struct page **out)
{
	enum page_form form = form_of(p);
	uint64_t word = word_at(p, 0), step = word_at(p, 1) - word;
	struct page *g;

	*out = NULL;
	if (form == PAGE_WORDS && !word && !step)
		return true;
	g = malloc(sizeof(*g) + data_size(form));
	if (!g)
		return false;
	*g = (struct page){.refs = 1, .form = form, .word = word, .step = step};
	memcpy(g->data, p, data_size(form));
	r->bytes += page_size(g);
	*out = g;
	return true;
}

static void page_put(const struct page *g, uint8_t *to)
{
	if (!g) {
		memset(to, 0, PAGE_SIZE_4K);
	} else if (g->form == PAGE_WORDS) {
		for (uint64_t i = 0, w = g->word; i < WORDS; i++, w += g->step)
			memcpy(to + i * 8, &w, 8);
	} else {
		for (size_t i = 0; i < PAGE_SIZE_4K; i += data_size(g->form))
			memcpy(to + i, g->data, data_size(g->form));
	}
}

/* --- Chunks ------------------------------------------------------------------------------------------------------- */

static void chunk_free(struct ram_pages *r, struct ram_chunk *k)
{
	if (!k || --k->refs)
		return;
	for (unsigned i = 0; i < CHUNK_PAGES; i++)
		page_free(r, k->page[i]);
	r->bytes -= sizeof(*k);
	free(k);
}

/* The chunk, one that only now has. NULL: no memory. */
static struct ram_chunk *chunk_own(struct ram_pages *r, size_t i)
{
	struct ram_chunk *old = r->now.chunks[i], *k;

	if (old && old->refs == 1)
		return old;
	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	r->bytes += sizeof(*k);
	k->refs = 1;
	for (unsigned j = 0; old && j < CHUNK_PAGES; j++)
		if ((k->page[j] = old->page[j]))
			k->page[j]->refs++;
	if (old)
		old->refs--;
	r->now.chunks[i] = k;
	return k;
}

static struct page *page_of(const struct ram_version *v, uint64_t page)
{
	const struct ram_chunk *k = v->chunks[page / CHUNK_PAGES];

	return k ? k->page[page % CHUNK_PAGES] : NULL;
}

/* --- Versions ----------------------------------------------------------------------------------------------------- */

enum err ram_pages_open(struct ram_pages *p, struct guest_mem *mem)
{
	*p = (struct ram_pages){.mem = mem};
	p->n_chunks = (size_t)(mem->ram_size / PAGE_SIZE_4K + CHUNK_PAGES - 1) / CHUNK_PAGES;
	p->now.chunks = calloc(p->n_chunks, sizeof(*p->now.chunks));
	p->bytes = p->n_chunks * sizeof(*p->now.chunks);
	return p->now.chunks ? ERR_OK : ERR_NOMEM;
}

void ram_pages_close(struct ram_pages *p)
{
	if (p->now.chunks)
		ram_version_free(p, &p->now);
}

void ram_version_free(struct ram_pages *p, struct ram_version *v)
{
	for (size_t i = 0; i < p->n_chunks; i++)
		chunk_free(p, v->chunks[i]);
	p->bytes -= p->n_chunks * sizeof(*v->chunks);
	free(v->chunks);
	v->chunks = NULL;
}

uint64_t ram_pages_dirty(const struct ram_pages *p)
{
	uint64_t n = 0;

	for (size_t i = 0; i < mem_dirty_bytes(p->mem) / 8; i++)
		n += (uint64_t)__builtin_popcountll(p->mem->dirty[i]);
	return n;
}

/* One page into now, where it changed. */
static bool take_page(struct ram_pages *p, uint64_t n)
{
	const uint8_t *ram = p->mem->ram + n * PAGE_SIZE_4K;
	struct page *old = page_of(&p->now, n), *fresh;

	if (page_holds(old, ram))
		return true;
	struct ram_chunk *k = chunk_own(p, n / CHUNK_PAGES);
	if (!k || !page_make(p, ram, &fresh))
		return false;
	page_free(p, k->page[n % CHUNK_PAGES]);
	k->page[n % CHUNK_PAGES] = fresh;
	return true;
}

/* The TLBs will not be flushed, so every page may be written to without a note from here on. */
static enum err all_dirty(struct ram_pages *p)
{
	for (uint64_t n = 0; n < p->mem->ram_size / PAGE_SIZE_4K; n++)
		p->mem->dirty[n / 64] |= 1ull << (n % 64);
	return ERR_NOMEM;
}

enum err ram_pages_save(struct ram_pages *p, struct ram_version *out)
{
	for (size_t i = 0; i < mem_dirty_bytes(p->mem) / 8; i++)
		while (p->mem->dirty[i]) {
			unsigned bit = (unsigned)__builtin_ctzll(p->mem->dirty[i]);

			if (!take_page(p, i * 64 + bit))
				return all_dirty(p);
			p->mem->dirty[i] &= ~(1ull << bit);
		}
	out->chunks = malloc(p->n_chunks * sizeof(*out->chunks));
	if (!out->chunks)
		return all_dirty(p);
	p->bytes += p->n_chunks * sizeof(*out->chunks);
	for (size_t i = 0; i < p->n_chunks; i++)
		if ((out->chunks[i] = p->now.chunks[i]))
			out->chunks[i]->refs++;
	return ERR_OK;
}

static void restore_chunk(struct ram_pages *p, const struct ram_version *v, size_t i)
{
	uint64_t first = i * CHUNK_PAGES;

	for (uint64_t n = first; n < first + CHUNK_PAGES && n < p->mem->ram_size / PAGE_SIZE_4K; n++)
		if (page_of(v, n) != page_of(&p->now, n))
			page_put(page_of(v, n), p->mem->ram + n * PAGE_SIZE_4K);
}

void ram_pages_restore(struct ram_pages *p, const struct ram_version *v)
{
	for (size_t i = 0; i < mem_dirty_bytes(p->mem) / 8; i++)
		for (uint64_t bits = p->mem->dirty[i]; bits; bits &= bits - 1) {
			uint64_t n = i * 64 + (unsigned)__builtin_ctzll(bits);

			page_put(page_of(v, n), p->mem->ram + n * PAGE_SIZE_4K);
		}
	for (size_t i = 0; i < p->n_chunks; i++) {
		if (v->chunks[i] == p->now.chunks[i])
			continue;
		restore_chunk(p, v, i);
		chunk_free(p, p->now.chunks[i]);
		if ((p->now.chunks[i] = v->chunks[i]))
			p->now.chunks[i]->refs++;
	}
	memset(p->mem->dirty, 0, mem_dirty_bytes(p->mem));
}
