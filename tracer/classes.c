/*
 * Counting exits by class. Read classes.h first.
 */
#include "tracer/classes.h"

#include <stdio.h>

#include "core/exit.h"

#define CLASSES (EXIT_CLASS_VMM + 1)

/* NULL: compared. */
static const char *exempt_class(int class)
{
	switch (class) {
	case EXIT_CLASS_EVENT:
		return "events: arrival of interrupts, slices, windows; exceptions that another vendor's instructions "
		       "raise";
	case EXIT_CLASS_CR:
		return "control and debug registers: AMD-V takes every write, VT-x those that change a masked bit";
	case EXIT_CLASS_VMX:
		return "instructions of VT-x, which AMD-V does not have";
	case EXIT_CLASS_FAIL:
		return "how a shutdown is reported";
	case EXIT_CLASS_VMM:
		return "the VMM's own codes";
	default:
		return NULL;
	}
}

static bool has(const struct exit_stats *s, uint32_t reason)
{
	for (size_t i = 0; i < s->n_rows; i++)
		if (!s->rows[i].child && s->rows[i].reason == reason)
			return true;
	return false;
}

static void count(const struct exit_stats *s, uint32_t except, uint64_t n[CLASSES])
{
	for (size_t i = 0; i < s->n_rows; i++) {
		const struct stats_row *r = &s->rows[i];
		const struct exit_desc *d = exit_desc(r->reason);

		if (!r->child && d && r->reason != except)
			n[d->class] += r->samples;
	}
}

void classes_verdict(const struct exit_stats *reference, const struct exit_stats *subject, struct pg_verdict *out,
    const char **exempt, size_t max, size_t *n_exempt, uint64_t *compared)
{
	uint64_t a[CLASSES] = {0}, b[CLASSES] = {0};

	/* QEMU's TCG has the XSETBV intercept bit and never takes it. */
	bool no_xsetbv = has(reference, EXIT_XSETBV) && !has(subject, EXIT_XSETBV);
	uint32_t except = no_xsetbv ? EXIT_XSETBV : UINT32_MAX;

	count(reference, except, a);
	count(subject, except, b);
	*out = (struct pg_verdict){.state = PG_UNKNOWN};
	*n_exempt = 0;
	if (no_xsetbv && *n_exempt < max)
		exempt[(*n_exempt)++] = "XSETBV: this processor takes no intercept of it";
	*compared = 0;
	for (int c = 0; c < CLASSES; c++) {
		if (exempt_class(c)) {
			if (a[c] != b[c] && *n_exempt < max)
				exempt[(*n_exempt)++] = exempt_class(c);
			continue;
		}
		*compared += b[c];
		if (a[c] == b[c] || out->state == PG_VIOLATED)
			continue;
		out->state = PG_VIOLATED;
		snprintf(out->evidence, sizeof out->evidence, "class %s: %llu exits, the reference has %llu",
		    exit_class_name((enum exit_class)c), (unsigned long long)b[c], (unsigned long long)a[c]);
	}
	if (out->state == PG_VIOLATED)
		return;
	if (*compared)
		out->state = PG_HOLDS;
	snprintf(out->evidence, sizeof out->evidence, "%llu exits agree with the reference by count in each class%s",
	    (unsigned long long)*compared,
	    *n_exempt ? "; AMD-V is not compared one by one (docs/svm-differences.md)" : "");
}
