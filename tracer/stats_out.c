/*
 * Statistics for people (the table of "perf kvm stat", with percentiles and labels) and for programs (JSON).
 */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "tracer/stats.h"

static double us(uint64_t ns)
{
	return (double)ns / 1000;
}

/* A percentile lies between the smallest and the largest sample. */
static uint64_t percentile(const struct stats_row *r, unsigned percent)
{
	uint64_t v = hist_percentile(&r->hist, percent);

	return v < r->min_ns ? r->min_ns : v > r->max_ns ? r->max_ns : v;
}

static int name_width(const struct exit_stats *s)
{
	size_t w = strlen("EPT_VIOLATION");

	for (size_t i = 0; i < s->n_rows; i++)
		w = strlen(s->rows[i].name) > w ? strlen(s->rows[i].name) : w;
	return (int)w + 2;
}

static void print_row(const struct exit_stats *s, const struct stats_row *r, int width, FILE *f)
{
	char observed[64];

	fprintf(f, "%*s %10" PRIu64 " ", width, r->name, r->samples);
	if (r->child)
		fprintf(f, "%9s ", "-");
	else
		fprintf(f, "%8.2f%% ", 100 * stats_share(s, r));
	if (r->child || !r->timed)
		fprintf(f, "%9s ", "-");
	else
		fprintf(f, "%8.2f%% ", 100 * stats_time_share(s, r));
	if (r->timed)
		fprintf(f, "%9.2fus %9.2fus %9.2fus ( +- %6.2f%% ) %9.2fus %9.2fus %9.2fus ", us(r->min_ns),
		    us(r->max_ns), r->mean / 1000, stats_rel_error(r), us(percentile(r, 5)), us(percentile(r, 50)),
		    us(percentile(r, 95)));
	else
		fprintf(f, "%11s %11s %11s %13s %11s %11s %11s ", "-", "-", "-", "", "-", "-", "-");
	if (r->direct_n)
		fprintf(f, "%12.1f", (double)r->direct_sum / (double)r->direct_n);
	else
		fprintf(f, "%12s", "-");
	fprintf(f, "  %s\n", stats_observed(r, observed, sizeof(observed)));
}

static void print_head(const struct exit_stats *s, int width, bool narrow, FILE *f)
{
	static const char *const first[] = {"VM-EXIT", "RIP", "VCPU", "GUEST"};

	if (narrow) {
		fprintf(f, "%*s %10s %9s %9s %11s %12s\n\n", width, first[s->by], "Samples", "Samples%", "Time%",
		    "Avg time", "Insns before");
		return;
	}
	fprintf(f, "%*s %10s %9s %9s %11s %11s %27s %11s %11s %11s %12s  %s\n\n", width, first[s->by], "Samples",
	    "Samples%", "Time%", "Min Time", "Max Time", "Avg time              ", "p5", "p50", "p95", "Insns before",
	    "Observed");
}

/* --- The narrow table --------------------------------------------------------------------------------------------- */

#define WIDE_COLUMNS 145 /* of the whole table, without names */

static void print_narrow_row(const struct exit_stats *s, const struct stats_row *r, int width, FILE *f)
{
	bool timed = r->timed && !r->child;

	fprintf(f, "%*s %10" PRIu64 " ", width, r->name, r->samples);
	if (r->child)
		fprintf(f, "%9s ", "-");
	else
		fprintf(f, "%8.2f%% ", 100 * stats_share(s, r));
	if (timed)
		fprintf(f, "%8.2f%% ", 100 * stats_time_share(s, r));
	else
		fprintf(f, "%9s ", "-");
	if (r->timed)
		fprintf(f, "%9.2fus ", r->mean / 1000);
	else
		fprintf(f, "%11s ", "-");
	if (r->direct_n)
		fprintf(f, "%12.1f\n", (double)r->direct_sum / (double)r->direct_n);
	else
		fprintf(f, "%12s\n", "-");
}

/* --- The table ---------------------------------------------------------------------------------------------------- */

void stats_print(const struct exit_stats *s, FILE *f, unsigned columns)
{
	int width = name_width(s);
	bool children = false, narrow = columns && columns < (unsigned)width + WIDE_COLUMNS;

	print_head(s, width, narrow, f);
	for (size_t i = 0; i < s->n_rows; i++) {
		if (s->rows[i].child && !children)
			fputs("\n  seen by the VMM's process or of its own making; not added to the totals:\n", f);
		children |= s->rows[i].child;
		(narrow ? print_narrow_row : print_row)(s, &s->rows[i], width, f);
	}
	fprintf(f, "\nTotal Samples:%" PRIu64 ", Total events handled time:%.2fus.\n", s->total, us(s->total_ns));
	fprintf(f, "Times are %s%s", stats_cost_source(s->timed, s->modelled),
	    s->timed < s->total && s->timed ? " where they are known" : "");
	if (narrow)
		fputs(".\nMin, max, percentiles, who observed it: in a wider terminal, or in a pipe.\n", f);
	else
		fprintf(f, "; +- is the error of the mean; percentiles are within 1/%d.\n", HIST_ERROR_INV);
	fprintf(f, "Lost events: %" PRIu64 "%s\n", s->lost, s->lost_unknown ? ", and more of unknown number" : "");
	if (s->uncertain_cpuid)
		fprintf(f,
		    "CPUID is an upper bound: %llu of leaf 0 may be the host kernel's emulator asking for itself.\n",
		    (unsigned long long)s->uncertain_cpuid);
	if (s->emulated)
		fprintf(f, "Instructions emulated by the host's kernel: %" PRIu64 "\n", s->emulated);
	if (s->nomem)
		fputs("Out of memory: some exits are not in the table.\n", f);
}

static json_t *number_or_null(bool known, double v)
{
	return known ? json_real(v) : json_null();
}

static json_t *count_or_null(bool known, uint64_t v)
{
	return known ? json_integer((json_int_t)v) : json_null();
}

/* A name is guest or trace input: what is no UTF-8 becomes null instead of an error. */
static json_t *text_or_null(const char *text)
{
	json_t *j = json_string(text);

	return j ? j : json_null();
}

static int set(json_t *o, const char *key, json_t *v)
{
	return json_object_set_new(o, key, v);
}

static json_t *row_json(const struct exit_stats *s, const struct stats_row *r)
{
	json_t *o = json_object();
	bool t = r->timed > 0, hw = !r->child;
	char observed[64];
	int bad = 0;

	if (s->by == STATS_BY_REASON)
		bad |= set(o, "reason", json_integer(r->reason));
	else if (s->by != STATS_BY_GUEST)
		bad |= set(o, s->by == STATS_BY_RIP ? "rip" : "vcpu", json_integer((json_int_t)r->key));
	bad |= set(o, "name", text_or_null(r->name));
	bad |= set(o, "observed", json_string(stats_observed(r, observed, sizeof(observed))));
	bad |= set(o, "count", json_integer((json_int_t)r->samples));
	bad |= set(o, "share", number_or_null(hw && s->total, stats_share(s, r)));
	bad |= set(o, "time_share", number_or_null(hw && t && s->total_ns, stats_time_share(s, r)));
	bad |= set(o, "min_ns", count_or_null(t, r->min_ns));
	bad |= set(o, "max_ns", count_or_null(t, r->max_ns));
	bad |= set(o, "mean_ns", number_or_null(t, r->mean));
	bad |= set(o, "stddev_ns", number_or_null(t, stats_stddev(r)));
	bad |= set(o, "p5_ns", count_or_null(t, percentile(r, 5)));
	bad |= set(o, "p50_ns", count_or_null(t, percentile(r, 50)));
	bad |= set(o, "p95_ns", count_or_null(t, percentile(r, 95)));
	bad |= set(o, "cost", t ? json_string(stats_cost_source(r->timed, r->modelled)) : json_null());
	bad |= set(o, "insns_before",
	    number_or_null(r->direct_n > 0, r->direct_n ? (double)r->direct_sum / (double)r->direct_n : 0));
	if (s->by == STATS_BY_REASON)
		bad |= set(o, "isa", json_string(r->isa == ISA_SVM ? "svm" : r->isa == ISA_VMX ? "vmx" : "kvm"));
	if (bad) {
		json_decref(o);
		return NULL;
	}
	return o;
}

struct json_t *stats_json(const struct exit_stats *s)
{
	static const char *const lists[] = {"by_reason", "by_rip", "by_vcpu", "by_guest"};
	json_t *o = json_object(), *rows = json_array(), *children = json_array();
	int bad = 0;

	for (size_t i = 0; i < s->n_rows; i++)
		bad |= json_array_append_new(s->rows[i].child ? children : rows, row_json(s, &s->rows[i]));
	bad |= set(o, "total", json_integer((json_int_t)s->total));
	bad |= set(o, "lost", json_integer((json_int_t)s->lost));
	bad |= set(o, "time_ns", count_or_null(s->timed > 0, s->total_ns));
	bad |= set(o, lists[s->by], rows);
	bad |= set(o, "not_counted", children);
	if (bad) {
		json_decref(o);
		return NULL;
	}
	return o;
}
