/*
 * The decoded-block cache: straight-line runs of decoded instructions, found by guest-physical address.
 *
 * Concept: an interpreter that decodes each instruction every time spends most of its life decoding. Guest code is
 * decoded once into a block; the block is good as long as the bytes are the same and the mode in which they were read
 * is. A block never crosses a 4 KiB page, so that one physical page is all it depends on. A write to a page that holds
 * blocks drops exactly the blocks whose bytes it touches. Blocks are keyed by physical address: a CR3 switch costs
 * nothing here.
 *
 * Memory is one pool, allocated at start; when it is full everything is dropped at once. Nothing is allocated while the
 * guest runs. One engine thread; not shared.
 */
#ifndef VMSCOPE_MODES_EMULATE_BLOCKS_H
#define VMSCOPE_MODES_EMULATE_BLOCKS_H

#include "core/host.h"
#include "core/x86/insn.h"

#define BLOCK_INSNS_MAX 32u
#define BLOCK_HASH 32768u
#define BLOCK_GONE UINT64_MAX /* gpa of a dropped block: matches no address */

struct block {
	gpa_t gpa;	    /* of the first byte; BLOCK_GONE after it was dropped */
	uint32_t key;	    /* code size and mode: what the decoder was told */
	uint16_t n;	    /* instructions */
	uint16_t bytes;	    /* of guest code */
	uint32_t page_next; /* next block of the same page: index + 1 into the pool; 0 ends */
	bool last_plain;    /* the last instruction neither reads time nor exits nor repeats */
	struct block
	    *link[2]; /* where execution went from here: [0] fell through, [1] jumped. A hint: check gpa and key */
	struct x86_insn *insns;
};

struct block_cache {
	const struct host_ops *host;
	struct block *blocks;
	struct x86_insn *insns;
	uint32_t n_blocks, n_insns; /* used */
	struct block *hash[BLOCK_HASH];
	uint32_t *page_head; /* by guest-physical page number: index + 1 of its first block */
	uint64_t n_pages;
	uint64_t built, dropped, flushes; /* counters for people */
};

enum err blocks_init(struct block_cache *bc, const struct host_ops *host, gpa_t top, struct errmsg *why) MUST_CHECK;
void blocks_fini(struct block_cache *bc);
void blocks_flush(struct block_cache *bc);
/* Drops the blocks that hold any of n bytes at gpa (n may not cross a page). True when the page has none left. */
bool blocks_drop(struct block_cache *bc, gpa_t gpa, unsigned n);
bool blocks_in_page(const struct block_cache *bc, gpa_t gpa);
struct block *blocks_find(struct block_cache *bc, gpa_t gpa, uint32_t key);
/* Decodes from page (the host copy of the page of gpa). NULL when the first instruction crosses the page or is too
 * long: the caller executes it by x86_step(). May flush everything first. */
struct block *blocks_build(
    struct block_cache *bc, gpa_t gpa, const uint8_t *page, unsigned code_size, enum x86_mode mode);

static inline uint32_t blocks_key(unsigned code_size, unsigned mode)
{
	return code_size | mode << 8;
}

#endif
