/*
 * Without a session the image speaks for itself: how each guest ended, what exited, and what the audit found, as text
 * on the line.
 */
#include "core/lib.h"
#include "metal/agent_impl.h"

static void say(struct agent *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct agent *a, const char *fmt, ...)
{
	char line[600];
	va_list ap;

	va_start(ap, fmt);
	int n = fmt_vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n > 0)
		a->boot->put(line, n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

void text_end(struct agent_guest *g)
{
	struct agent *a = g->agent;
	const struct msg_end *m = &g->end;
	/* The order of enum pg_state, tracer/verdict.h. */
	const struct pg_verdict safety = {.state = (enum pg_state)m->safety.state};

	say(a, "\n%s (%s, profile %s)\nend               %s", g->cfg->name, m->engine, g->cfg->controls,
	    end_name(m->end.kind));
	if (m->end.kind == END_DEBUG_EXIT)
		say(a, " %u", m->end.code);
	say(a, "%s%s\nexits             %llu\n", m->end.detail[0] ? ": " : "", m->end.detail,
	    (unsigned long long)g->exits);
	for (unsigned i = 0; i < EXIT_SDM_COUNT; i++)
		if (g->by_reason[i])
			say(a, "  %-22s %llu\n", exit_name(i), (unsigned long long)g->by_reason[i]);
	if (g->vm)
		say(a, "resource control  %s: %s\n", pg_state_name(safety.state), m->safety.evidence);
}
