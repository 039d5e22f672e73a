/*
 * host_ops: what the VMM stands on. Three of them exist: core/posix (a Linux process), core/metal (bare hardware, with
 * the Type I issue) and tests/fake_host.c (deterministic clock, the n-th allocation fails). Every member is mandatory.
 */
#ifndef VMSCOPE_CORE_HOST_H
#define VMSCOPE_CORE_HOST_H

#include "core/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct host_ops {
	/* Zeroed, 4 KiB-aligned memory; NULL when there is none. n is rounded up to pages. */
	void *(*page_alloc)(size_t n);
	void (*page_free)(void *p, size_t n);
	/* How many bytes page_alloc() could give at most (a bound for --mem). */
	uint64_t (*mem_limit)(void);
	uint64_t (*now_ns)(void); /* monotonic */
	/* How long the calling thread has really run: less than now_ns() where others want the processor, too. */
	uint64_t (*ran_ns)(void);
	uint64_t (*cycles)(void);	 /* TSC or the like; for measuring, never for guest time on virtual time */
	void (*idle_until)(uint64_t ns); /* sleep until now_ns() >= ns, or earlier */
	void (*log)(enum log_level level, const char *line);
};

extern const struct host_ops host_posix_ops; /* core/posix/host.c */

#endif
