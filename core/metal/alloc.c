/*
 * The page allocator: free memory is a list of extents in order of address, and each extent holds its own list node,
 * since memory that nobody uses is free for that. First fit: low memory first, so that what hardware needs below 4 GiB
 * finds a place. Freed extents join their neighbours, which is all the defragmentation that a VMM needs whose guests
 * come and go as wholes.
 */
#include "core/lib.h"
#include "core/metal/metal_priv.h"

struct extent {
	struct extent *next;
	uint64_t len;
};

static struct extent *first;

static uint64_t whole_pages(uint64_t n)
{
	return (n + PAGE_SIZE_4K - 1) & ~(uint64_t)(PAGE_SIZE_4K - 1);
}

static uint8_t *end_of(struct extent *e)
{
	return (uint8_t *)e + e->len;
}

static void insert(uint8_t *p, uint64_t len)
{
	struct extent **at = &first, *before = NULL, *e = (void *)p;

	while (*at && (uint8_t *)*at < p) {
		before = *at;
		at = &before->next;
	}
	*e = (struct extent){*at, len};
	*at = e;
	if (e->next && end_of(e) == (uint8_t *)e->next) {
		e->len += e->next->len;
		e->next = e->next->next;
	}
	if (before && end_of(before) == p) {
		before->len += e->len;
		before->next = e->next;
	}
}

void alloc_reset(void)
{
	first = NULL;
}

/* Only whole pages of it. */
void alloc_add(uint64_t base, uint64_t len)
{
	uint64_t start = whole_pages(base), end = (base + len) & ~(uint64_t)(PAGE_SIZE_4K - 1);

	if (start < end)
		insert((uint8_t *)(uintptr_t)start, end - start);
}

void *alloc_pages(size_t n)
{
	uint64_t want = whole_pages(n);

	if (n == 0 || want < n)
		return NULL;
	for (struct extent **at = &first; *at; at = &(*at)->next) {
		struct extent *e = *at;

		if (e->len < want)
			continue;
		if (e->len == want) {
			*at = e->next;
		} else {
			struct extent *rest = (void *)((uint8_t *)e + want);
			*rest = (struct extent){e->next, e->len - want};
			*at = rest;
		}
		memset(e, 0, want);
		return e;
	}
	return NULL;
}

void alloc_free(void *p, size_t n)
{
	if (p && n)
		insert(p, whole_pages(n));
}

uint64_t alloc_largest(void)
{
	uint64_t most = 0;

	for (const struct extent *e = first; e; e = e->next)
		most = e->len > most ? e->len : most;
	return most;
}

uint64_t alloc_total(void)
{
	uint64_t sum = 0;

	for (const struct extent *e = first; e; e = e->next)
		sum += e->len;
	return sum;
}
