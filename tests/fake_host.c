/*
 * host_ops for tests. Failure of the n-th allocation, n = 1, 2, ... until everything succeeds, reaches every error path
 * of a constructor, and the count of live allocations shows whether it cleaned up.
 */
#include "tests/fake_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRACKED_MAX 256

struct fake_host fake_host;

static struct {
	void *p;
	size_t n;
} tracked[TRACKED_MAX];

void fake_host_reset(void)
{
	for (size_t i = 0; i < TRACKED_MAX; i++) {
		free(tracked[i].p);
		tracked[i].p = NULL;
	}
	memset(&fake_host, 0, sizeof(fake_host));
	fake_host.now_ns = 1000;
	fake_host.limit = 1ull << 40;
}

static void *fake_page_alloc(size_t n)
{
	size_t whole = (n + PAGE_SIZE_4K - 1) & ~(size_t)(PAGE_SIZE_4K - 1);

	if (++fake_host.allocations == fake_host.fail_at || n == 0)
		return NULL;
	for (size_t i = 0; i < TRACKED_MAX; i++) {
		if (tracked[i].p)
			continue;
		tracked[i].p = aligned_alloc(PAGE_SIZE_4K, whole);
		if (!tracked[i].p)
			return NULL;
		memset(tracked[i].p, 0, whole);
		tracked[i].n = n;
		fake_host.live++;
		return tracked[i].p;
	}
	return NULL;
}

static void fake_page_free(void *p, size_t n)
{
	if (!p)
		return;
	for (size_t i = 0; i < TRACKED_MAX; i++) {
		if (tracked[i].p != p)
			continue;
		if (tracked[i].n != n)
			fake_host.bad_frees++;
		free(p);
		tracked[i].p = NULL;
		fake_host.live--;
		return;
	}
	fake_host.bad_frees++;
}

static uint64_t fake_mem_limit(void)
{
	return fake_host.limit;
}

static uint64_t fake_now_ns(void)
{
	return fake_host.now_ns += fake_host.step_ns;
}

static uint64_t fake_ran_ns(void)
{
	return fake_host.now_ns - fake_host.waited_ns;
}

static void fake_idle_until(uint64_t ns)
{
	fake_host.idles++;
	if (ns > fake_host.now_ns)
		fake_host.now_ns = ns;
}

static void fake_log(enum log_level level, const char *line)
{
	(void)level;
	fake_host.logs++;
	snprintf(fake_host.last_log, sizeof(fake_host.last_log), "%s", line);
}

const struct host_ops fake_host_ops = {
    .page_alloc = fake_page_alloc,
    .page_free = fake_page_free,
    .mem_limit = fake_mem_limit,
    .now_ns = fake_now_ns,
    .ran_ns = fake_ran_ns,
    .cycles = fake_now_ns,
    .idle_until = fake_idle_until,
    .log = fake_log,
};
