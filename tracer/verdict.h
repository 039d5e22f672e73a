/*
 * The three verdicts of Popek and Goldberg (docs/exit-contract.md, "Verdicts as predicates"): what each of them
 * returns. A verdict always comes with evidence that a reader can check by hand, and with the source of each number.
 */
#ifndef VMSCOPE_TRACER_VERDICT_H
#define VMSCOPE_TRACER_VERDICT_H

#include "core/types.h"

enum pg_state {
	PG_UNKNOWN, /* nothing was measured, or not enough: evidence says what is missing */
	PG_HOLDS,
	PG_VIOLATED,
	PG_NA, /* the question has no meaning here */
};

struct pg_verdict {
	enum pg_state state;
	char evidence[480]; /* one or more findings, separated by "; " */
};

static inline const char *pg_state_name(enum pg_state s)
{
	switch (s) {
	case PG_HOLDS:
		return "holds";
	case PG_VIOLATED:
		return "violated";
	case PG_NA:
		return "n/a";
	case PG_UNKNOWN:
		break;
	}
	return "unknown";
}

#endif
