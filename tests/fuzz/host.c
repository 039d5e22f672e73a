/*
 * The host of the machines that are fuzzed: each block of memory lies alone between pages that nobody may touch, ends
 * right before them where its size allows, and is poisoned behind its end under AddressSanitizer. Blocks are kept for
 * the next machine, as system calls cost more than most runs.
 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#define GUARD (16u * PAGE_SIZE_4K)
#define BLOCKS_MAX 256u
#define KEEP_BYTES (1u << 20) /* up to so many are cleared by hand, more by the kernel */

static struct block_of {
	uint8_t *p;
	size_t n;
	bool used;
} blocks[BLOCKS_MAX];
static unsigned n_blocks;

static size_t whole(size_t n)
{
	return (n + PAGE_SIZE_4K - 1) & ~(size_t)(PAGE_SIZE_4K - 1);
}

static void *reuse(size_t n)
{
	for (unsigned k = 0; k < n_blocks; k++)
		if (!blocks[k].used && blocks[k].n == n) {
			blocks[k].used = true;
			UNPOISON(blocks[k].p, n);
			return blocks[k].p;
		}
	return NULL;
}

static void *fuzz_page_alloc(size_t n)
{
	uint8_t *p = n ? reuse(n) : NULL;

	if (p || n == 0)
		return p;
	if (n_blocks == BLOCKS_MAX)
		return NULL;
	p = mmap(NULL, whole(n) + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED || mprotect(p + GUARD, whole(n), PROT_READ | PROT_WRITE) != 0)
		return NULL;
	p += GUARD;
	POISON(p + n, whole(n) - n);
	blocks[n_blocks++] = (struct block_of){p, n, true};
	return p;
}

static void fuzz_page_free(void *p, size_t n)
{
	for (unsigned k = 0; p && k < n_blocks; k++)
		if (blocks[k].p == p) {
			if (!blocks[k].used || blocks[k].n != n)
				fuzz_fail("a block of %zu bytes is given back as one of %zu", blocks[k].n, n);
			if (n <= KEEP_BYTES)
				memset(p, 0, n);
			else if (madvise(p, whole(n), MADV_DONTNEED) != 0)
				fuzz_fail("madvise");
			POISON(p, n);
			blocks[k].used = false;
			return;
		}
	if (p)
		fuzz_fail("a block that nobody has allocated is given back");
}

static uint64_t fuzz_mem_limit(void)
{
	return 1ull << 32;
}

/* Host time stands still: nothing of a run on virtual time may depend on it. */
static uint64_t fuzz_now_ns(void)
{
	return 1;
}

static void fuzz_idle_until(uint64_t ns)
{
	(void)ns;
}

static void fuzz_log(enum log_level level, const char *line)
{
	if (level == LOG_ERROR)
		fprintf(stderr, "%s\n", line);
}

const struct host_ops fuzz_host_ops = {
    .page_alloc = fuzz_page_alloc,
    .page_free = fuzz_page_free,
    .mem_limit = fuzz_mem_limit,
    .now_ns = fuzz_now_ns,
    .ran_ns = fuzz_now_ns,
    .cycles = fuzz_now_ns,
    .idle_until = fuzz_idle_until,
    .log = fuzz_log,
};
