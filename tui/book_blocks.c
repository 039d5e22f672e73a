/*
 * What the book says about this program, made from the program's own tables: the sensitive instructions under each
 * profile, the profiles, the path of an exit in both types, the verdicts of the run that is loaded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/sensitive.h"
#include "tui/book.h"

#define PROFILES_MAX 12
#define LINE_MAX_BYTES 400

struct profiles {
	const struct controls_profile *row;
	size_t n;
	struct vm_controls *ctl; /* owned */
};

static bool profiles_init(struct profiles *p)
{
	struct errmsg why;

	p->row = controls_profiles(&p->n);
	if (p->n > PROFILES_MAX)
		p->n = PROFILES_MAX;
	p->ctl = calloc(p->n, sizeof *p->ctl);
	for (size_t i = 0; p->ctl && i < p->n; i++)
		if (controls_set(&p->ctl[i], p->row[i].name, &why))
			return false;
	return p->ctl != NULL;
}

/* A sensitive instruction that does not trap in a kernel at CPL 3 acts on the machine's real state. */
static const char *cell_word(const struct sensitive_row *row, const struct vm_controls *ctl)
{
	switch (sensitive_traps(row, ctl)) {
	case TRAPS_ALWAYS:
		return "yes";
	case TRAPS_SOMETIMES:
		return "some";
	case TRAPS_NEVER:
		break;
	}
	return ctl->ring != RING_HW && sensitive_class(row) == PG_SENSITIVE ? "LEAK" : "-";
}

static const char *sens_word(const struct sensitive_row *row)
{
	switch (row->sens) {
	case SENS_CONTROL:
		return "C";
	case SENS_BEHAVIOUR:
		return "B";
	default:
		return "CB";
	}
}

static int column_width(const struct profiles *p, size_t i)
{
	int n = (int)strlen(p->row[i].name);
	return n < 4 ? 5 : n + 1;
}

static int form_width(const struct profiles *p, int w)
{
	int rest = w - 3;
	for (size_t i = 0; i < p->n; i++)
		rest -= column_width(p, i);
	return rest < 8 ? 8 : rest > 28 ? 28 : rest;
}

static void sensitive_line(const struct profiles *p, const struct sensitive_row *row, int form, struct book_lines *out)
{
	char line[LINE_MAX_BYTES];
	int at = row ? snprintf(line, sizeof line, "%-*.*s %-2s", form, form, row->form, sens_word(row))
		     : snprintf(line, sizeof line, "%-*.*s %-2s", form, form, "instruction", "");

	for (size_t i = 0; i < p->n && at < (int)sizeof line; i++)
		at += snprintf(line + at, sizeof line - (size_t)at, " %-*s", column_width(p, i) - 1,
		    row ? cell_word(row, &p->ctl[i]) : p->row[i].name);
	for (size_t k = strlen(line); k > 0 && line[k - 1] == ' '; k--)
		line[k - 1] = 0;
	book_add(out, row ? STYLE_NORMAL : STYLE_STRONG, "%s", line);
}

static void block_sensitive(const struct book_facts *f, int w, struct book_lines *out)
{
	struct profiles p;
	const struct sensitive_row *rows = sensitive_rows();
	int group = -1;

	(void)f;
	if (profiles_init(&p)) {
		int form = form_width(&p, w);
		for (unsigned i = 0; i < SENSITIVE_COUNT; i++) {
			if (rows[i].group != group) {
				group = rows[i].group;
				book_add(out, STYLE_NORMAL, "%s", "");
				book_add(out, STYLE_STRONG, "%s%s", sensitive_group_name((enum sensitive_group)group),
				    group == GROUP_PRIVILEGED ? "" : ": not privileged");
				sensitive_line(&p, NULL, form, out);
			}
			sensitive_line(&p, &rows[i], form, out);
		}
	}
	free(p.ctl);
}

/* What makes each of them exit under VT-x, and why it is in the table. */
static void block_reasons(const struct book_facts *f, int w, struct book_lines *out)
{
	const struct sensitive_row *rows = sensitive_rows();

	(void)f;
	for (unsigned i = 0; i < SENSITIVE_COUNT; i++) {
		if (sensitive_class(&rows[i]) != PG_SENSITIVE)
			continue;
		book_add(out, STYLE_STRONG, "%s", rows[i].form);
		book_wrap(out, STYLE_NORMAL, "    ", "    ", rows[i].sentence, w);
		char control[160];
		snprintf(control, sizeof control, "control of VT-x: %s%s", sensitive_control_name(&rows[i]),
		    rows[i].umip ? "; CR4.UMIP makes it fault outside CPL 0" : "");
		book_wrap(out, STYLE_DIM, "    ", "    ", control, w);
	}
}

static void block_profiles(const struct book_facts *f, int w, struct book_lines *out)
{
	size_t n;
	const struct controls_profile *row = controls_profiles(&n);
	char lead[32];

	(void)f;
	for (size_t i = 0; i < n; i++) {
		snprintf(lead, sizeof lead, "  %-13s", row[i].name);
		book_wrap(out, STYLE_NORMAL, lead, "               ", row[i].meaning, w);
	}
}

static void verdict_line(const char *name, const struct pg_verdict *v, int w, struct book_lines *out)
{
	enum style style = v->state == PG_HOLDS	     ? STYLE_HOLDS
			   : v->state == PG_VIOLATED ? STYLE_VIOLATED
						     : STYLE_UNKNOWN;
	char lead[48];

	snprintf(lead, sizeof lead, "  %-16s %-8s ", name, pg_state_name(v->state));
	book_wrap(out, style, lead, "                            ", v->evidence, w);
}

static void block_verdicts(const struct book_facts *f, int w, struct book_lines *out)
{
	if (!f->run[0]) {
		book_add(out, STYLE_DIM, "  (nothing is loaded now)");
		return;
	}
	book_add(out, STYLE_DIM, "  of the run that is loaded now: %s", f->run);
	verdict_line("equivalence", &f->verdicts.equivalence, w, out);
	verdict_line("resource control", &f->verdicts.safety, w, out);
	verdict_line("efficiency", &f->verdicts.efficiency, w, out);
}

static void cost_path(const struct cost_model *m, uint32_t reason, struct book_lines *out)
{
	const struct cost_path *p = &m->by_reason[reason];

	book_add(out, STYLE_NORMAL, "  %s: %u ns", exit_name(reason), p->total_ns);
	for (unsigned i = 0; i < p->n_steps; i++)
		book_add(out, STYLE_NORMAL, "    %6u ns  %s", p->steps[i].ns, p->steps[i].name);
}

static void block_cost(const struct book_facts *f, int w, struct book_lines *out)
{
	static const uint32_t reasons[] = {EXIT_CPUID, EXIT_IO_INSTRUCTION, EXIT_HLT};
	static const char *const types[] = {"Type I", "Type II"};

	for (unsigned t = 0; t < ARRAY_LEN(types); t++) {
		const struct cost_model *m = f->cost[t];
		if (!m) {
			char text[220];
			snprintf(text, sizeof text, "%s: not known here: %s", types[t],
			    f->cost_why[0] ? f->cost_why : "no guest is loaded");
			book_wrap(out, STYLE_UNKNOWN, "", "  ", text, w);
			continue;
		}
		book_add(out, STYLE_STRONG, "%s, modelled: %s", types[t], m->cpu);
		for (unsigned i = 0; i < ARRAY_LEN(reasons); i++)
			cost_path(m, reasons[i], out);
	}
}

bool book_block(const char *name, const struct book_facts *f, int w, struct book_lines *out)
{
	static const struct {
		const char *name;
		void (*make)(const struct book_facts *f, int w, struct book_lines *out);
	} blocks[] = {
	    {"sensitive", block_sensitive},
	    {"reasons", block_reasons},
	    {"profiles", block_profiles},
	    {"verdicts", block_verdicts},
	    {"cost", block_cost},
	};

	for (unsigned i = 0; i < ARRAY_LEN(blocks); i++)
		if (strcmp(blocks[i].name, name) == 0) {
			blocks[i].make(f, w, out);
			return true;
		}
	return false;
}
