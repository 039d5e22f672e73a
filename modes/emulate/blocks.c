/*
 * The decoded-block cache. Read first: blocks.h. Read next: run.c, which executes blocks.
 */
#include "modes/emulate/blocks.h"

#include "core/lib.h"

#define POOL_BLOCKS 32768u
#define POOL_INSNS (POOL_BLOCKS * 6u)
#define PAGE_OFF(gpa) ((unsigned)((gpa) & (PAGE_SIZE_4K - 1)))

/* What the instructions of a dropped block do: tell the runner, which may be in the middle of it, to look again. */
static enum x86_rc block_gone(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)c;
	(void)i;
	return X86_RETRY;
}

enum err blocks_init(struct block_cache *bc, const struct host_ops *host, gpa_t top, struct errmsg *why)
{
	memset(bc, 0, sizeof(*bc));
	bc->host = host;
	bc->n_pages = (top + PAGE_SIZE_4K - 1) >> PAGE_SHIFT_4K;
	bc->blocks = host->page_alloc(POOL_BLOCKS * sizeof(struct block));
	bc->insns = host->page_alloc(POOL_INSNS * sizeof(struct x86_insn));
	bc->page_head = host->page_alloc(bc->n_pages * sizeof(uint32_t));
	if (bc->blocks && bc->insns && bc->page_head)
		return ERR_OK;
	blocks_fini(bc);
	return err_set(why, ERR_NOMEM, "emulate: no memory for the block cache: free memory or use a smaller --mem");
}

void blocks_fini(struct block_cache *bc)
{
	if (bc->blocks)
		bc->host->page_free(bc->blocks, POOL_BLOCKS * sizeof(struct block));
	if (bc->insns)
		bc->host->page_free(bc->insns, POOL_INSNS * sizeof(struct x86_insn));
	if (bc->page_head)
		bc->host->page_free(bc->page_head, bc->n_pages * sizeof(uint32_t));
	bc->blocks = NULL;
	bc->insns = NULL;
	bc->page_head = NULL;
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
	for (unsigned k = 0; k < b->n; k++)
		b->insns[k].fn = block_gone;
	bc->dropped++;
}

void blocks_flush(struct block_cache *bc)
{
	for (uint32_t k = 0; k < bc->n_blocks; k++) {
		struct block *b = &bc->blocks[k];

		if (b->gpa == BLOCK_GONE)
			continue;
		bc->page_head[b->gpa >> PAGE_SHIFT_4K] = 0;
		kill_block(bc, b);
	}
	bc->n_blocks = 0;
	bc->n_insns = 0;
	bc->flushes++;
}

bool blocks_in_page(const struct block_cache *bc, gpa_t gpa)
{
	return gpa >> PAGE_SHIFT_4K < bc->n_pages && bc->page_head[gpa >> PAGE_SHIFT_4K] != 0;
}

bool blocks_drop(struct block_cache *bc, gpa_t gpa, unsigned n)
{
	if (gpa >> PAGE_SHIFT_4K >= bc->n_pages)
		return true;
	uint32_t *at = &bc->page_head[gpa >> PAGE_SHIFT_4K];

	while (*at) {
		struct block *b = &bc->blocks[*at - 1];

		if (b->gpa < gpa + n && gpa < b->gpa + b->bytes) {
			*at = b->page_next;
			kill_block(bc, b);
		} else {
			at = &b->page_next;
		}
	}
	return bc->page_head[gpa >> PAGE_SHIFT_4K] == 0;
}

struct block *blocks_find(struct block_cache *bc, gpa_t gpa, uint32_t key)
{
	struct block **h = &bc->hash[hash_of(gpa, key)], *b = *h;

	if (LIKELY(b && b->gpa == gpa && b->key == key))
		return b;
	if (gpa >> PAGE_SHIFT_4K >= bc->n_pages)
		return NULL;
	for (uint32_t k = bc->page_head[gpa >> PAGE_SHIFT_4K]; k; k = b->page_next) {
		b = &bc->blocks[k - 1];
		if (b->gpa == gpa && b->key == key)
			return *h = b;
	}
	return NULL;
}

static bool class_is_plain(uint8_t class)
{
	return class == INSN_CLASS_PLAIN || class == INSN_CLASS_BRANCH;
}

/* Decodes into out until something ends the block; *bytes is the code covered. */
static unsigned decode_run(
    const uint8_t *p, unsigned avail, unsigned code_size, enum x86_mode mode, struct x86_insn *out, unsigned *bytes)
{
	unsigned n = 0, used = 0;

	while (n < BLOCK_INSNS_MAX && used < avail) {
		if (x86_decode(p + used, avail - used, code_size, mode, &out[n]) != DECODE_OK)
			break; /* crosses the page, or too long: left to x86_step() */
		used += out[n].len;
		n++;
		/* What exits, reads time or repeats must see exact counters: it is always the last of its block. */
		if ((out[n - 1].flags & INSN_ENDS_BLOCK) || !class_is_plain(out[n - 1].class))
			break;
	}
	*bytes = used;
	return n;
}

struct block *blocks_build(
    struct block_cache *bc, gpa_t gpa, const uint8_t *page, unsigned code_size, enum x86_mode mode)
{
	unsigned bytes;

	if (gpa >> PAGE_SHIFT_4K >= bc->n_pages)
		return NULL;
	if (bc->n_blocks == POOL_BLOCKS || bc->n_insns + BLOCK_INSNS_MAX > POOL_INSNS)
		blocks_flush(bc);
	struct block *b = &bc->blocks[bc->n_blocks];
	struct x86_insn *insns = &bc->insns[bc->n_insns];
	unsigned n = decode_run(page + PAGE_OFF(gpa), PAGE_SIZE_4K - PAGE_OFF(gpa), code_size, mode, insns, &bytes);

	if (n == 0)
		return NULL;
	uint32_t *head = &bc->page_head[gpa >> PAGE_SHIFT_4K];

	*b = (struct block){.gpa = gpa,
	    .key = blocks_key(code_size, mode),
	    .n = (uint16_t)n,
	    .bytes = (uint16_t)bytes,
	    .page_next = *head,
	    .last_plain = class_is_plain(insns[n - 1].class),
	    .insns = insns};
	*head = ++bc->n_blocks;
	bc->n_insns += n;
	bc->hash[hash_of(gpa, b->key)] = b;
	bc->built++;
	return b;
}
