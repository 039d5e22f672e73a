/*
 * The decoded-block cache. Read first: blocks.h. Read next: run.c, which executes blocks.
 */
#include "modes/emulate/blocks.h"

#include "core/lib.h"

#define POOL_BLOCKS 32768u
#define POOL_INSNS (POOL_BLOCKS * 7u)
#define POOL_PAGES 8192u
#define IDLE_WRITES 64u /* writes to a code page without blocks before it is none any more */
#define PAGE_OFF(gpa) ((unsigned)((gpa) & (PAGE_SIZE_4K - 1)))

enum err blocks_init(struct block_cache *bc, const struct host_ops *host, gpa_t top, struct errmsg *why)
{
	memset(bc, 0, sizeof(*bc));
	bc->host = host;
	bc->limit = POOL_BLOCKS;
	bc->n_pages = (top + PAGE_SIZE_4K - 1) >> PAGE_SHIFT_4K;
	bc->blocks = host->page_alloc(POOL_BLOCKS * sizeof(struct block));
	bc->insns = host->page_alloc(POOL_INSNS * sizeof(struct x86_insn));
	bc->pages = host->page_alloc(POOL_PAGES * sizeof(struct code_page));
	bc->page_index = host->page_alloc(bc->n_pages * sizeof(uint32_t));
	if (bc->blocks && bc->insns && bc->pages && bc->page_index)
		return ERR_OK;
	blocks_fini(bc);
	return err_set(why, ERR_NOMEM, "emulate: no memory for the block cache: free memory or use a smaller --mem");
}

static void give_back(struct block_cache *bc, void *p, size_t n)
{
	if (p)
		bc->host->page_free(p, n);
}

void blocks_fini(struct block_cache *bc)
{
	give_back(bc, bc->blocks, POOL_BLOCKS * sizeof(struct block));
	give_back(bc, bc->insns, POOL_INSNS * sizeof(struct x86_insn));
	give_back(bc, bc->pages, POOL_PAGES * sizeof(struct code_page));
	give_back(bc, bc->page_index, bc->n_pages * sizeof(uint32_t));
	bc->blocks = NULL;
	bc->insns = NULL;
	bc->pages = NULL;
	bc->page_index = NULL;
}

static unsigned hash_of(gpa_t gpa, uint32_t key)
{
	return (unsigned)((gpa ^ gpa >> 13 ^ (uint64_t)key << 5) & (BLOCK_HASH - 1));
}

static void kill_block(struct block_cache *bc, struct block *b)
{
	struct block **h = &bc->hash[hash_of(b->gpa, b->key)];

	if (*h == b)
		*h = NULL;
	b->gpa = BLOCK_GONE;
	b->x.page_off = X86_BLOCK_NOWHERE; /* links to it fail, and are renewed */
	/* The runner may be in the middle of it. */
	struct x86_insn *insns = bc->insns + (b->x.insns - bc->insns);

	for (unsigned k = 0; k < b->x.n; k++)
		insns[k].fn = insns[k].go = x86_go_gone;
	bc->dropped++;
}

void blocks_flush(struct block_cache *bc)
{
	for (uint32_t k = 0; k < bc->n_blocks; k++)
		if (bc->blocks[k].gpa != BLOCK_GONE)
			kill_block(bc, &bc->blocks[k]);
	for (uint32_t k = 0; k < bc->n_code_pages; k++)
		bc->page_index[bc->pages[k].number] = 0;
	bc->n_blocks = 0;
	bc->n_insns = 0;
	bc->n_code_pages = 0;
	bc->free_page = 0;
	bc->flushes++;
}

static struct code_page *page_at(const struct block_cache *bc, gpa_t gpa)
{
	uint64_t number = gpa >> PAGE_SHIFT_4K;

	return number < bc->n_pages && bc->page_index[number] ? &bc->pages[bc->page_index[number] - 1] : NULL;
}

bool blocks_in_page(const struct block_cache *bc, gpa_t gpa)
{
	return page_at(bc, gpa) != NULL;
}

/* The granules of n bytes (at least 1) from an offset in a page. */
static uint64_t granules_of(unsigned off, unsigned n)
{
	unsigned first = off >> BLOCK_GRANULE_SHIFT, last = (off + n - 1) >> BLOCK_GRANULE_SHIFT;

	return (~0ull << first) & (~0ull >> (63 - last));
}

/* True: a block was dropped. */
static bool drop_from(struct block_cache *bc, struct code_page *p, gpa_t gpa, unsigned n)
{
	uint64_t left = 0, before = bc->dropped;
	uint32_t *at = &p->head;

	if (n == 0 || !(p->granules & granules_of(PAGE_OFF(gpa), n)))
		return false;
	while (*at) {
		struct block *b = &bc->blocks[*at - 1];

		if (b->gpa < gpa + n && gpa < b->gpa + b->bytes) {
			*at = b->page_next;
			kill_block(bc, b);
		} else {
			left |= granules_of(PAGE_OFF(b->gpa), b->bytes);
			at = &b->page_next;
		}
	}
	p->granules = left;
	return bc->dropped != before;
}

enum blocks_written blocks_written(struct block_cache *bc, gpa_t gpa, unsigned n)
{
	struct code_page *p = page_at(bc, gpa);

	if (!p)
		return BLOCKS_UNTOUCHED;
	if (p->head)
		return drop_from(bc, p, gpa, n) ? BLOCKS_DROPPED : BLOCKS_UNTOUCHED;
	if (++p->idle_writes < IDLE_WRITES)
		return BLOCKS_UNTOUCHED;
	bc->page_index[p->number] = 0;
	p->next_free = bc->free_page;
	bc->free_page = (uint32_t)(p - bc->pages) + 1;
	return BLOCKS_PAGE_FREE;
}

/* The code_page of gpa, a new one if need be; there is room for one. */
static struct code_page *make_page(struct block_cache *bc, gpa_t gpa)
{
	struct code_page *p = page_at(bc, gpa);

	if (p)
		return p;
	if (bc->free_page) {
		p = &bc->pages[bc->free_page - 1];
		bc->free_page = p->next_free;
	} else {
		p = &bc->pages[bc->n_code_pages++];
	}
	*p = (struct code_page){.number = gpa >> PAGE_SHIFT_4K};
	bc->page_index[p->number] = (uint32_t)(p - bc->pages) + 1;
	return p;
}

struct block *blocks_find(struct block_cache *bc, gpa_t gpa, uint32_t key)
{
	struct block **h = &bc->hash[hash_of(gpa, key)], *b = *h;

	if (LIKELY(b && b->gpa == gpa && b->key == key))
		return b;
	const struct code_page *p = page_at(bc, gpa);

	if (!p || !(p->granules & granules_of(PAGE_OFF(gpa), 1)))
		return NULL;
	for (uint32_t k = p->head; k; k = b->page_next) {
		b = &bc->blocks[k - 1];
		if (b->gpa == gpa && b->key == key)
			return *h = b;
	}
	return NULL;
}

void blocks_cut_nowhere(struct block_cache *bc)
{
	memset(bc->stops, 0, sizeof(bc->stops));
}

void blocks_cut_at(struct block_cache *bc, gva_t lo, gva_t hi)
{
	uint64_t n = hi - lo < PAGE_SIZE_4K ? hi - lo + 1 : PAGE_SIZE_4K;

	for (uint64_t k = 0; k < n; k++)
		bc->stops[PAGE_OFF(lo + k) / 64] |= 1ull << (lo + k) % 64;
}

static bool is_cut(const struct block_cache *bc, unsigned off)
{
	return off < PAGE_SIZE_4K && bc->stops[off / 64] >> off % 64 & 1;
}

/* Neither reads time, nor exits (but for an access to memory), nor repeats. */
static bool class_is_plain(uint8_t class)
{
	return class == INSN_CLASS_PLAIN || class == INSN_CLASS_BRANCH || class == INSN_CLASS_FPU;
}

/* Decodes from an offset in a page into out until something ends the block; *bytes is the code covered. */
static unsigned decode_run(const struct block_cache *bc, const uint8_t *page, unsigned off, uint32_t key,
    struct x86_insn *out, unsigned *bytes)
{
	const uint8_t *p = page + off;
	unsigned n = 0, used = 0, avail = (unsigned)PAGE_SIZE_4K - off, code_size = key & 0xff;
	enum x86_mode mode = (enum x86_mode)(key >> 8 & 0xff);

	while (n < BLOCK_INSNS_MAX && used < avail && !(n && is_cut(bc, off + used))) {
		if (x86_decode(p + used, avail - used, code_size, mode, &out[n]) != DECODE_OK)
			break; /* crosses the page, or too long: left to x86_step() */
		if (used + out[n].len > BLOCK_BYTES_MAX)
			break;
		used += out[n].len;
		out[n].ahead = (uint8_t)used;
		n++;
		/* What exits, reads time or repeats must see exact counters: it is always the last of its block. */
		if ((out[n - 1].flags & INSN_ENDS_BLOCK) || !class_is_plain(out[n - 1].class))
			break;
	}
	*bytes = used;
	return n;
}

/* A RIP-relative operand counts from the next instruction; in a block s.rip is the first one. */
static bool relocate(struct x86_insn *i)
{
	int64_t disp = (int64_t)i->disp + i->ahead;

	if (!(i->flags & INSN_RIP_REL))
		return true;
	if (disp != (int32_t)disp)
		return false;
	i->disp = (int32_t)disp;
	return true;
}

/* The handler by which an instruction goes on; NULL: it has none. */
static x86_handler go_handler(const struct x86_insn *i, bool flat)
{
	bool mem = i->flags & INSN_MEM;

	if (flat && (!mem || (i->addrsize == 8 && i->seg <= X86_DS))) {
		if (mem && i->base != INSN_NO_REG && i->index == INSN_NO_REG && i->forms[X86_BASED])
			return i->forms[X86_BASED];
		if (i->forms[X86_FLAT])
			return i->forms[X86_FLAT];
	}
	return i->forms[X86_GO];
}

/* Makes a run of n instructions one chain; insns has room for one more. */
static void chain(struct x86_insn *insns, unsigned n, unsigned bytes, bool flat)
{
	struct x86_insn *last = &insns[n - 1];
	bool ends = last->flags & INSN_ENDS_BLOCK, plain = class_is_plain(last->class);
	x86_handler go;

	for (struct x86_insn *i = insns; i < last; i++) {
		go = go_handler(i, flat);
		i->go = go && relocate(i) ? go : x86_go_any;
	}
	go = go_handler(last, flat);
	if (!plain)
		last->go = x86_go_stop;
	else if (ends) /* a handler for branches computes with the next instruction's address */
		last->go = go && !(last->flags & INSN_RIP_REL) ? go : x86_go_last;
	else
		last->go = go && relocate(last) ? go : x86_go_any;
	last[1] = (struct x86_insn){.go = flat ? x86_go_end_hop : x86_go_end, .ahead = (uint8_t)bytes};
}

struct block *blocks_build(struct block_cache *bc, gpa_t gpa, const uint8_t *page, uint32_t key)
{
	unsigned bytes, off = PAGE_OFF(gpa);

	if (gpa >> PAGE_SHIFT_4K >= bc->n_pages)
		return NULL;
	if (bc->n_blocks >= bc->limit || bc->n_insns + BLOCK_INSNS_MAX + 1 > POOL_INSNS ||
	    (bc->n_code_pages == POOL_PAGES && !bc->free_page && !page_at(bc, gpa)))
		blocks_flush(bc);
	struct block *b = &bc->blocks[bc->n_blocks];
	struct x86_insn *insns = &bc->insns[bc->n_insns];
	unsigned n = decode_run(bc, page, off, key, insns, &bytes);

	if (n == 0)
		return NULL;
	struct code_page *p = make_page(bc, gpa);

	chain(insns, n, bytes, key & BLOCK_FLAT);
	*b = (struct block){.gpa = gpa,
	    .x = {.insns = insns,
		.link = {&x86_no_block, &x86_no_block},
		.n = (uint16_t)n,
		.page_off = is_cut(bc, off) ? X86_BLOCK_NOWHERE : (uint16_t)off},
	    .key = key,
	    .bytes = (uint16_t)bytes,
	    .page_next = p->head,
	    .last_plain = class_is_plain(insns[n - 1].class)};
	p->head = ++bc->n_blocks;
	p->idle_writes = 0;
	p->granules |= granules_of(PAGE_OFF(gpa), bytes);
	bc->n_insns += n + 1;
	bc->hash[hash_of(gpa, key)] = b;
	bc->built++;
	return b;
}
