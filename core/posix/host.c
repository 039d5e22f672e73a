/*
 * host_ops on Linux: the VMM as a process (Type II). Memory is mapped without reserve, so that a guest of a gigabyte
 * that touches ten megabytes costs ten; the bound for --mem is what the machine, or the container, really has.
 */
#include "core/host.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <time.h>

#define NS_PER_S 1000000000ull

static size_t whole_pages(size_t n)
{
	return (n + PAGE_SIZE_4K - 1) & ~(size_t)(PAGE_SIZE_4K - 1);
}

static void *posix_page_alloc(size_t n)
{
	if (n == 0 || n > SIZE_MAX - PAGE_SIZE_4K)
		return NULL;
	void *p =
	    mmap(NULL, whole_pages(n), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void posix_page_free(void *p, size_t n)
{
	if (p)
		munmap(p, whole_pages(n));
}

/* A number in a file of one line; "max" and a missing file are no limit. */
static uint64_t limit_in(const char *path)
{
	char line[64];
	uint64_t limit = UINT64_MAX;
	FILE *f = fopen(path, "re");

	if (!f)
		return limit;
	if (fgets(line, sizeof(line), f) && line[0] >= '0' && line[0] <= '9')
		limit = strtoull(line, NULL, 10);
	fclose(f);
	return limit;
}

/* The control group of this process, version 2: "0::/user.slice/...". Every level up to the root may limit. */
static uint64_t cgroup2_limit(void)
{
	char line[PATH_MAX], path[PATH_MAX + 64];
	uint64_t least = UINT64_MAX;
	FILE *f = fopen("/proc/self/cgroup", "re");

	if (!f)
		return least;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "0::", 3) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		char *group = line + 3;
		for (;;) {
			snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", group);
			uint64_t limit = limit_in(path);
			least = limit < least ? limit : least;
			char *slash = strrchr(group, '/');
			if (!slash)
				break;
			*slash = '\0';
		}
	}
	fclose(f);
	return least;
}

static uint64_t posix_mem_limit(void)
{
	struct sysinfo si;
	uint64_t limit = UINT64_MAX, group = cgroup2_limit(), group1;

	if (sysinfo(&si) == 0)
		limit = (uint64_t)(si.totalram + si.totalswap) * si.mem_unit;
	limit = group < limit ? group : limit;
	group1 = limit_in("/sys/fs/cgroup/memory/memory.limit_in_bytes");
	return group1 < limit ? group1 : limit;
}

static uint64_t posix_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t posix_ran_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t posix_cycles(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return posix_now_ns();
#endif
}

/* Not restarted after a signal: a stop request must be heard. */
static void posix_idle_until(uint64_t ns)
{
	const struct timespec t = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void posix_log(enum log_level level, const char *line)
{
	static const char *const names[] = {
	    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warning", [LOG_ERROR] = "error"};

	fprintf(stderr, "vmscope: %s: %s\n", (unsigned)level < ARRAY_LEN(names) ? names[level] : "log", line);
}

const struct host_ops host_posix_ops = {
    .page_alloc = posix_page_alloc,
    .page_free = posix_page_free,
    .mem_limit = posix_mem_limit,
    .now_ns = posix_now_ns,
    .ran_ns = posix_ran_ns,
    .cycles = posix_cycles,
    .idle_until = posix_idle_until,
    .log = posix_log,
};
