/*
 * The comparison as a table of at most 80 columns: a column a backend, a row a fact, exits by reason side by side;
 * below it the evidence, and why a backend is missing.
 */
#include <string.h>

#include "cli/compare.h"

#define LABEL 20
#define COLUMN 10
#define WIDTH 80u
#define REASONS_MAX 64

static void short_label(const struct mode_ops *m, char *buf, size_t n)
{
	static const char *const names[] = {
	    [MODE_SIMULATE] = "sim", [MODE_EMULATE] = "emu", [MODE_VIRTUALIZE] = "virt"};
	snprintf(buf, n, "%s/%s", names[m->mode], type_name(m->type));
}

typedef void (*cell_fn)(const struct comparison *c, const struct run_result *r, char *buf, size_t n);

static void print_row(const struct comparison *c, FILE *f, const char *label, cell_fn cell)
{
	char buf[64];
	fprintf(f, "%-*s", LABEL, label);
	for (size_t i = 0; i < c->n; i++) {
		snprintf(buf, sizeof buf, "-");
		if (c->runs[i].ran)
			cell(c, &c->runs[i], buf, sizeof buf);
		fprintf(f, "%*.*s", COLUMN, COLUMN - 1, buf);
	}
	putc('\n', f);
}

/* At most 9 characters: 123456789, 12345.6M. */
static void format_count(uint64_t v, char *buf, size_t n)
{
	if (v < 1000000000)
		snprintf(buf, n, "%llu", (unsigned long long)v);
	else
		snprintf(buf, n, "%.2fG", (double)v / 1e9);
}

static void format_ns(uint64_t ns, char *buf, size_t n)
{
	if (ns < 1000000)
		snprintf(buf, n, "%.1f us", (double)ns / 1e3);
	else if (ns < 1000000000)
		snprintf(buf, n, "%.1f ms", (double)ns / 1e6);
	else
		snprintf(buf, n, "%.2f s", (double)ns / 1e9);
}

static void cell_profile(const struct comparison *c, const struct run_result *r, char *buf, size_t n)
{
	(void)c;
	snprintf(buf, n, "%s", r->controls);
}

static void cell_end(const struct comparison *c, const struct run_result *r, char *buf, size_t n)
{
	(void)c;
	if (r->end.kind == END_DEBUG_EXIT)
		snprintf(buf, n, "exit %u", r->end.code);
	else
		snprintf(buf, n, "%s", end_name(r->end.kind));
}

static void cell_console(const struct comparison *c, const struct run_result *r, char *buf, size_t n)
{
	const struct run_result *ref = &c->runs[c->reference];
	const char *text = "differs";
	if (r == ref)
		text = "reference";
	else if (strcmp(r->console_sha256, ref->console_sha256) == 0)
		text = "equal";
	else if (console_cut(ref, r))
		text = "cut short";
	snprintf(buf, n, "%s", text);
}

static void cell_insns(const struct comparison *c, const struct run_result *r, char *buf, size_t n)
{
	(void)c;
	if (r->insns_known)
		format_count(r->insns, buf, n);
	else
		snprintf(buf, n, "?");
}

static void cell_guest_time(const struct comparison *c, const struct run_result *r, char *buf, size_t n)
{
	(void)c;
	if (r->clock == CLOCK_VIRTUAL)
		format_ns(r->virtual_ns, buf, n);
	else
		snprintf(buf, n, "host");
}

static void cell_wall(const struct comparison *c, const struct run_result *r, char *buf, size_t n)
{
	(void)c;
	format_ns(r->wall_ns, buf, n);
}

static void cell_total(const struct comparison *c, const struct run_result *r, char *buf, size_t n)
{
	(void)c;
	format_count(r->stats->total, buf, n);
}

static void cell_lost(const struct comparison *c, const struct run_result *r, char *buf, size_t n)
{
	(void)c;
	format_count(r->stats->lost, buf, n);
}

static void cell_equivalence(const struct comparison *c, const struct run_result *r, char *buf, size_t n)
{
	if (r == &c->runs[c->reference])
		snprintf(buf, n, "reference");
	else
		snprintf(buf, n, "%s", pg_state_name(r->equivalence.state));
}

static void cell_safety(const struct comparison *c, const struct run_result *r, char *buf, size_t n)
{
	(void)c;
	snprintf(buf, n, "%s", pg_state_name(r->safety.verdict.state));
}

static void cell_efficiency(const struct comparison *c, const struct run_result *r, char *buf, size_t n)
{
	(void)c;
	snprintf(buf, n, "%s", pg_state_name(r->efficiency.verdict.state));
}

static void cell_direct(const struct comparison *c, const struct run_result *r, char *buf, size_t n)
{
	(void)c;
	if (r->efficiency.direct_fraction >= 0)
		snprintf(buf, n, "%.2f %%", r->efficiency.direct_fraction * 100);
	else
		snprintf(buf, n, "%s", pg_state_name(r->efficiency.verdict.state));
}

/* One line a row name that occurs in any run: hardware exits first, then what is counted beside them. */
struct reason_set {
	const struct stats_row *rows[REASONS_MAX];
	size_t n;
};

static void collect_reasons(const struct comparison *c, bool child, struct reason_set *set)
{
	for (size_t i = 0; i < c->n; i++) {
		for (size_t k = 0; c->runs[i].ran && k < c->runs[i].stats->n_rows; k++) {
			const struct stats_row *row = &c->runs[i].stats->rows[k];
			bool known = row->child != child || set->n == REASONS_MAX;
			for (size_t j = 0; !known && j < set->n; j++)
				known = strcmp(set->rows[j]->name, row->name) == 0;
			if (!known)
				set->rows[set->n++] = row;
		}
	}
}

static uint64_t samples_of(const struct run_result *r, const struct stats_row *like)
{
	uint64_t n = 0;
	for (size_t k = 0; k < r->stats->n_rows; k++) {
		const struct stats_row *row = &r->stats->rows[k];
		if (row->child == like->child && strcmp(row->name, like->name) == 0)
			n += row->samples;
	}
	return n;
}

static void print_reasons(const struct comparison *c, FILE *f, bool child)
{
	struct reason_set set = {.n = 0};
	char buf[64];
	collect_reasons(c, child, &set);
	if (child && set.n)
		fprintf(f, "%s\n", "beside them, not counted as exits:");
	for (size_t j = 0; j < set.n; j++) {
		fprintf(f, "  %-*.*s", LABEL - 2, LABEL - 2, set.rows[j]->name);
		for (size_t i = 0; i < c->n; i++) {
			uint64_t n = c->runs[i].ran ? samples_of(&c->runs[i], set.rows[j]) : 0;
			snprintf(buf, sizeof buf, c->runs[i].ran ? "." : "-");
			if (n)
				format_count(n, buf, sizeof buf);
			fprintf(f, "%*s", COLUMN, buf);
		}
		putc('\n', f);
	}
}

static void rule(FILE *f)
{
	for (unsigned i = 0; i < WIDTH; i++)
		putc('-', f);
	putc('\n', f);
}

static void print_evidence(const struct comparison *c, FILE *f, size_t i)
{
	const struct run_result *r = &c->runs[i];
	const struct {
		const char *name;
		const struct pg_verdict *v;
	} verdicts[] = {{"equivalence", &r->equivalence}, {"resources", &r->safety.verdict},
	    {"efficiency", &r->efficiency.verdict}};
	char label[32];
	backend_label(r->mode, r->type, label, sizeof label);
	if (!r->ran) {
		int n = fprintf(f, "%-14s not available: ", label);
		print_wrapped(f, r->why.text[0] ? r->why.text : err_sentence(r->err), (unsigned)n, 16, WIDTH);
		return;
	}
	for (size_t k = 0; k < ARRAY_LEN(verdicts); k++) {
		int n = fprintf(f, "%-14s %-11s %s: ", k == 0 ? label : "", verdicts[k].name,
		    i == c->reference && k == 0 ? "reference" : pg_state_name(verdicts[k].v->state));
		print_wrapped(f, verdicts[k].v->evidence, (unsigned)n, 16, WIDTH);
	}
	if (r->end.detail[0]) {
		int n = fprintf(f, "%-14s %-11s ", "", "end");
		print_wrapped(f, r->end.detail, (unsigned)n, 16, WIDTH);
	}
}

void compare_print(const struct comparison *c, FILE *f)
{
	char label[32];
	fprintf(f, "%-*.*s", LABEL, LABEL - 1, c->runs[c->reference].guest);
	for (size_t i = 0; i < c->n; i++) {
		short_label(c->backends[i], label, sizeof label);
		fprintf(f, "%*s", COLUMN, label);
	}
	putc('\n', f);
	rule(f);
	print_row(c, f, "profile", cell_profile);
	print_row(c, f, "end", cell_end);
	print_row(c, f, "console", cell_console);
	print_row(c, f, "instructions", cell_insns);
	print_row(c, f, "guest time", cell_guest_time);
	print_row(c, f, "wall time", cell_wall);
	print_row(c, f, "exits", cell_total);
	print_reasons(c, f, false);
	print_row(c, f, "exits lost", cell_lost);
	print_reasons(c, f, true);
	rule(f);
	print_row(c, f, "equivalence", cell_equivalence);
	print_row(c, f, "resource control", cell_safety);
	print_row(c, f, "efficiency", cell_efficiency);
	print_row(c, f, "  ran directly", cell_direct);
	rule(f);
	for (size_t i = 0; i < c->n; i++)
		print_evidence(c, f, i);
	for (size_t k = 0; k < c->n_rows; k++) {
		backend_label(c->runs[c->rows[k].subject].mode, c->runs[c->rows[k].subject].type, label, sizeof label);
		if (c->rows[k].detail[0])
			fprintf(f, "\n%s differs from the reference at %s\n%s", label, c->rows[k].first_divergence,
			    c->rows[k].detail);
	}
}
