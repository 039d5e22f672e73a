/*
 * The decoded-block cache: straight-line runs of decoded instructions, found by guest-physical address.
 *
 * Concept: an interpreter that decodes each instruction every time spends most of its life decoding. Guest code is
 * decoded once into a block; the block is good as long as the bytes are the same and the mode in which they were read
 * is. A block never crosses a 4 KiB page, so that one physical page is all it depends on. Blocks are keyed by physical
 * address: a CR3 switch costs nothing here.
 *
 * A write to a page that holds blocks drops exactly the blocks whose bytes it touches. Most writes to such a page touch
 * none: one bit for each granule of 64 bytes says so at once. A page stays a code page, whose writes are looked at,
 * until many writes in a row have found it without a block: code that is written anew again and again would otherwise
 * pay for the change of every TLB each time.
 *
 * In a block, instructions are chained by their go handlers, and blocks by their links (core/x86/exec.h): to run them
 * is one call of b->x.insns->go(cpu, b->x.insns).
 *
 * Run control cuts blocks: where it may want to stop, at an offset in any page, a block begins that nothing hops to, so
 * that the runner comes by. That costs the blocks there, and nothing elsewhere.
 *
 * Memory is one pool, allocated at start; when it is full everything is dropped at once. Nothing is allocated while the
 * guest runs. One engine thread; not shared.
 */
#ifndef VMSCOPE_MODES_EMULATE_BLOCKS_H
#define VMSCOPE_MODES_EMULATE_BLOCKS_H

#include "core/host.h"
#include "core/x86/exec.h"

#define BLOCK_INSNS_MAX 32u
#define BLOCK_HASH 32768u
#define BLOCK_BYTES_MAX 255u  /* struct x86_insn.ahead has 8 bits */
#define BLOCK_GONE UINT64_MAX /* gpa of a dropped block: matches no address */
#define BLOCK_GRANULE_SHIFT 6 /* 64 granules in a page */

struct block {
	struct x86_block x; /* first: what handlers see of it (core/x86/exec.h), and links within the page */
	gpa_t gpa;	    /* of the first byte; BLOCK_GONE after it was dropped */
	uint32_t key;	    /* blocks_key(): what the decoder was told and the handlers assume */
	uint32_t page_next; /* next block of the same page: index + 1 into the pool; 0 ends */
	uint16_t bytes;	    /* of guest code */
	bool last_plain;    /* the last instruction neither reads time nor exits nor repeats */
	struct block *far;  /* where execution went from here to another page. A hint: check gpa */
};

/* A page of guest memory that has blocks, or had some. */
struct code_page {
	uint64_t granules; /* that a block's bytes touch */
	uint64_t number;   /* of the page */
	uint32_t head;	   /* first block: index + 1; 0: none */
	uint32_t next_free;
	uint32_t idle_writes; /* in a row, while it had no block */
};

struct block_cache {
	const struct host_ops *host;
	struct block *blocks;
	struct x86_insn *insns;
	struct code_page *pages;
	uint32_t n_blocks, n_insns, n_code_pages; /* used */
	uint32_t free_page;			  /* index + 1 of the first code_page that was given back */
	uint32_t limit;				  /* blocks before everything is dropped; tests lower it */
	struct block *hash[BLOCK_HASH];
	uint32_t *page_index; /* by guest-physical page number: index + 1 of its code_page */
	uint64_t n_pages;
	uint64_t stops[PAGE_SIZE_4K / 64]; /* bit n: a block ends before offset n of a page */
	uint64_t built, dropped, flushes;  /* counters for people */
};

enum err blocks_init(struct block_cache *bc, const struct host_ops *host, gpa_t top, struct errmsg *why) MUST_CHECK;
void blocks_fini(struct block_cache *bc);
void blocks_flush(struct block_cache *bc);
enum blocks_written {
	BLOCKS_UNTOUCHED,
	BLOCKS_DROPPED,
	BLOCKS_PAGE_FREE /* the page is no code page any more */
};
/* n bytes at gpa were written to (n may not cross a page): drops the blocks that hold any of them. */
enum blocks_written blocks_written(struct block_cache *bc, gpa_t gpa, unsigned n);
/* Is the page of gpa a code page? */
bool blocks_in_page(const struct block_cache *bc, gpa_t gpa);
/* Blocks are cut at the addresses lo..hi from now on; all there are must go first, blocks_flush(). */
void blocks_cut_at(struct block_cache *bc, gva_t lo, gva_t hi);
void blocks_cut_nowhere(struct block_cache *bc);
struct block *blocks_find(struct block_cache *bc, gpa_t gpa, uint32_t key);
/* Decodes from page (the host copy of the page of gpa), and makes it a code page. NULL when the first instruction
 * crosses the page or is too long: the caller executes it by x86_step(). May flush everything first. */
struct block *blocks_build(struct block_cache *bc, gpa_t gpa, const uint8_t *page, uint32_t key);

#define BLOCK_FLAT (1u << 16) /* in a key: x86_is_flat() */

static inline uint32_t blocks_key(unsigned code_size, unsigned mode)
{
	return code_size | mode << 8;
}

#endif
