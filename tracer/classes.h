/*
 * Equivalence by class counts, for a processor whose exits cannot be compared one by one: AMD-V has other intercepts
 * than VT-x has controls [docs/svm-differences.md]. Each class of exits is counted on both sides; classes in which the
 * two architectures differ by construction are listed as exempt, with the reason.
 */
#ifndef VMSCOPE_TRACER_CLASSES_H
#define VMSCOPE_TRACER_CLASSES_H

#include "tracer/stats.h"
#include "tracer/verdict.h"

/* Holds: at least one exit, and every compared class has the same count. exempt gets up to max texts, *n_exempt says
 * how many; compared: exits of the subject in classes that were compared. */
void classes_verdict(const struct exit_stats *reference, const struct exit_stats *subject, struct pg_verdict *out,
    const char **exempt, size_t max, size_t *n_exempt, uint64_t *compared);

#endif
