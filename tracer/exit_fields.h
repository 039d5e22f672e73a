/*
 * Which fields of an exit are defined, by reason, and which of their bits are compared [docs/exit-contract.md, "What is
 * compared"]: qualification, instruction length, interruption information, instruction information.
 */
#ifndef VMSCOPE_TRACER_EXIT_FIELDS_H
#define VMSCOPE_TRACER_EXIT_FIELDS_H

#include "core/exit.h"

/* The name of the first field in which the two differ ("qualification", ...); NULL: none. Both have the same reason. */
const char *exit_fields_differ(const struct vm_exit *a, const struct vm_exit *b);

#endif
