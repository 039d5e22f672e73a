/*
 * RAM by page, in versions that share what is the same. Private to session/history*.c.
 */
#ifndef VMSCOPE_SESSION_HISTORY_PAGES_H
#define VMSCOPE_SESSION_HISTORY_PAGES_H

#include "core/mem.h"

struct ram_chunk;

/* One version: a reference to each chunk of it. */
struct ram_version {
	struct ram_chunk **chunks; /* NULL: all zero */
};

struct ram_pages {
	struct guest_mem *mem;
	size_t n_chunks;
	struct ram_version now; /* what RAM was when dirty was cleared last */
	uint64_t bytes;		/* of memory that all versions use */
};

enum err ram_pages_open(struct ram_pages *p, struct guest_mem *mem) MUST_CHECK;
void ram_pages_close(struct ram_pages *p);
/* How many pages may have changed. */
uint64_t ram_pages_dirty(const struct ram_pages *p);
/* A version of RAM as it is; clears mem->dirty, so the TLBs must be flushed. ERR_NOMEM: nothing was changed but for
 * memory that p holds. */
enum err ram_pages_save(struct ram_pages *p, struct ram_version *out) MUST_CHECK;
/* RAM is what it was; clears mem->dirty, so the TLBs must be flushed. */
void ram_pages_restore(struct ram_pages *p, const struct ram_version *v);
void ram_version_free(struct ram_pages *p, struct ram_version *v);

#endif
