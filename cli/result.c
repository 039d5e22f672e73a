/*
 * A result as text. The same numbers as in the JSON, in the order in which a reader asks for them: how did it end, what
 * exited, is this a virtual machine in the sense of Popek and Goldberg.
 */
#include "cli/result.h"

#include <string.h>

#include "cli/cli.h"

#define WIDTH 80u

void backend_label(enum vmm_mode m, enum vmm_type t, char *buf, size_t n)
{
	snprintf(buf, n, "%s/%s", mode_name(m), type_name(t));
}

void print_wrapped(FILE *f, const char *text, unsigned column, unsigned indent, unsigned width)
{
	bool first = true; /* no space before it: the caller has printed one */
	while (*text) {
		size_t word = strcspn(text, " ");
		if (column > indent && column + !first + word > width) {
			fprintf(f, "\n%*s", (int)indent, "");
			column = indent;
		} else if (!first) {
			putc(' ', f);
			column++;
		}
		first = false;
		fprintf(f, "%.*s", (int)word, text);
		column += (unsigned)word;
		text += word;
		text += strspn(text, " ");
	}
	putc('\n', f);
}

static void print_verdict(FILE *f, const char *name, const struct pg_verdict *v)
{
	int n = fprintf(f, "%-17s %-9s ", name, pg_state_name(v->state));
	print_wrapped(f, v->evidence, (unsigned)n, (unsigned)n, WIDTH);
}

void result_print_screen(const struct run_result *r, FILE *f)
{
	if (!r->has_screen)
		return;
	fputs("--- text screen -----------------------------------------------------------------\n", f);
	for (unsigned i = 0; i < 25; i++)
		fprintf(f, "%s\n", r->screen[i]);
	fputs("---------------------------------------------------------------------------------\n", f);
}

/* Its log, and where it panicked the whole dump. */
void result_print_words(const struct run_result *r, FILE *f)
{
	const struct remote_facts *s = &r->session;
	for (const char *p = s->log; *p; p += strcspn(p, "\n") + 1)
		fprintf(f, "the VMM says      %.*s\n", (int)strcspn(p, "\n"), p);
	if (s->panic[0])
		fprintf(f, "--- what the VMM said before it stopped ---\n%s---\n", s->panic);
}

/* Which machine, why that one, and what the line lost. */
static void print_session(const struct run_result *r, FILE *f)
{
	const struct remote_facts *s = &r->session;
	char text[480];
	int n = fprintf(f, "machine           ");

	snprintf(text, sizeof text, "%s, CPU %s: %s", s->machine.name, s->machine.cpu, s->machine.why);
	print_wrapped(f, text, (unsigned)n, (unsigned)n, WIDTH);
	if (s->lost_frames || s->noise_bytes || s->bad_frames || s->lost_record_bytes || s->lost_console_bytes)
		fprintf(f,
		    "line              %llu frames lost, %llu damaged, %llu bytes of noise; %llu bytes of records and "
		    "%llu of the console missing\n",
		    (unsigned long long)s->lost_frames, (unsigned long long)s->bad_frames,
		    (unsigned long long)s->noise_bytes, (unsigned long long)s->lost_record_bytes,
		    (unsigned long long)s->lost_console_bytes);
	result_print_words(r, f);
	if (r->metal.guest_ticks && r->metal.counts.exits)
		fprintf(f, "ticks             %llu in the guest, %llu in the VMM: %llu an exit\n",
		    (unsigned long long)r->metal.guest_ticks, (unsigned long long)r->metal.vmm_ticks,
		    (unsigned long long)(r->metal.vmm_ticks / r->metal.counts.exits));
}

void result_print(const struct run_result *r, FILE *f)
{
	char label[32];
	backend_label(r->mode, r->type, label, sizeof label);
	fprintf(f, "\n%s in %s (%s), profile %s, %s time\n", r->guest, label, r->backend, r->controls,
	    r->clock == CLOCK_VIRTUAL ? "virtual" : "host");
	fprintf(f, "end               %s", end_name(r->end.kind));
	if (r->end.kind == END_DEBUG_EXIT)
		fprintf(f, " %u", r->end.code);
	fprintf(f, "%s%s\n", r->end.detail[0] ? ": " : "", r->end.detail);
	if (r->insns_known)
		fprintf(f, "instructions      %llu\n", (unsigned long long)r->insns);
	if (r->clock == CLOCK_VIRTUAL)
		fprintf(f, "guest time        %.6f s (virtual)\n", (double)r->virtual_ns / 1e9);
	fprintf(f, "wall time         %.6f s\n", (double)r->wall_ns / 1e9);
	if (r->has_session)
		print_session(r, f);
	putc('\n', f);
	stats_print(r->stats, f, cli_columns(f));
	putc('\n', f);
	if (r->equivalence_known)
		print_verdict(f, "equivalence", &r->equivalence);
	print_verdict(f, "resource control", &r->safety.verdict);
	print_verdict(f, "efficiency", &r->efficiency.verdict);
}
