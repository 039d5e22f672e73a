/*
 * The census: how many innocuous, privileged and sensitive instructions a guest executes, in kernel and in user mode. A
 * probe on an engine that shows every instruction; it counts what begins to execute (a REP counts once each time it is
 * begun or resumed).
 */
#ifndef VMSCOPE_TRACER_AUDIT_H
#define VMSCOPE_TRACER_AUDIT_H

#include "core/probe.h"
#include "core/sensitive.h"

struct census_count {
	uint64_t kernel, user; /* at CPL 0 (and in real mode); above it */
};

struct census {
	struct census_count rows[SENSITIVE_COUNT]; /* by enum sensitive_id */
	struct census_count innocuous;
};

extern const struct probe_ops census_probe; /* arg is a struct census, zeroed before use */

/* The sum of the rows of one class. */
struct census_count census_class(const struct census *c, enum pg_class class);

#endif
