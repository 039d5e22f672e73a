/*
 * A class on one page: no script, nothing from elsewhere, light and dark, and fit to be printed. Charts are SVG,
 * with their numbers in them.
 */
#include <stdlib.h>
#include <string.h>

#include "labs/report_impl.h"

static const char style[] =
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#57606a;--line:#d0d7de;--card:#f6f8fa;--full:#1a7f5a;"
    "--part:#d9a514;--none:#b9485a;--off:#8c959f;--bar:#3b6fb6;--link:#0a58b8;--in:#fff}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#14171c;--fg:#e4e8ee;--soft:#9aa5b1;--line:#3a424d;--card:#1d2229;"
    "--full:#3fb98a;--part:#e3b341;--none:#e5748a;--off:#6e7681;--bar:#6d9fe3;--link:#79b0ff;--in:#14171c}}\n"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:70rem;padding:1.5rem;background:var(--bg);color:var(--fg);"
    "font:15px/1.5 system-ui,sans-serif}h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:2rem 0 .5rem}"
    "p{margin:.3rem 0}.soft{color:var(--soft)}a{color:var(--link)}\n"
    ".facts{display:flex;flex-wrap:wrap;gap:.6rem;margin:1rem 0}.facts div{background:var(--card);border:1px solid "
    "var(--line);border-radius:6px;padding:.4rem .8rem;min-width:5.5rem}.facts b{display:block;font-size:1.3rem}\n"
    "svg{display:block;max-width:100%;height:auto}svg text{fill:var(--fg);font:13px system-ui,sans-serif}"
    "svg .s{fill:var(--soft);font-size:12px}.e{text-anchor:end}.m{text-anchor:middle}"
    ".bar{fill:var(--bar)}.full{fill:var(--full)}.part{fill:var(--part)}.none{fill:var(--none)}.off{fill:var(--off)}"
    ".axis{stroke:var(--line);fill:none}.dot{fill:var(--bar);fill-opacity:.45}.ref{stroke:var(--fg);stroke-width:2;"
    "stroke-dasharray:4 3}svg .in{fill:var(--in);font-weight:600}svg .in.dark{fill:#1b1f24}\n"
    ".key{display:flex;flex-wrap:wrap;gap:1rem;margin:.2rem 0 .6rem}.key "
    "span::before{content:\"\";display:inline-block;"
    "width:.8em;height:.8em;border-radius:2px;margin-right:.4em;background:var(--c)}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:.25rem .7rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}"
    "th{font-weight:600;color:var(--soft)}"
    ".n{text-align:right;white-space:nowrap}td.w{overflow-wrap:anywhere;min-width:8rem}.warn{border-left:4px solid "
    "var(--none);padding:.3rem .8rem;background:var(--card)}\n"
    "@media "
    "print{:root{--bg:#fff;--fg:#000;--soft:#444;--line:#bbb;--card:#fff;--link:#000;--in:#fff;--full:#1a7f5a;--part:#"
    "d9a514;--none:#b9485a;--off:#8c959f;--bar:#3b6fb6}"
    "*{print-color-adjust:exact;-webkit-print-color-adjust:exact}body{padding:0;max-width:none;font-size:11px}"
    "h2{break-after:avoid}svg,tr{break-inside:avoid}thead{display:table-header-group}.wide{overflow:visible}}\n";

/* Clean text that means nothing to HTML. */
void report_put(FILE *out, const char *s, size_t max)
{
	char *clean = export_clean(s, max);

	export_markup(out, clean);
	free(clean);
}

double report_percent(int64_t points, int64_t max)
{
	return max > 0 ? 100 * (double)points / (double)max : 0;
}

const struct result_task *report_task(const struct lab_result *r, const char *id)
{
	for (size_t i = 0; i < r->n_tasks; i++)
		if (r->tasks[i].id && id && strcmp(r->tasks[i].id, id) == 0)
			return &r->tasks[i];
	return NULL;
}

int report_by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static bool collect(const struct class_data *c, struct graded *g)
{
	*g = (struct graded){.c = c, .all = calloc(c->n + 1, sizeof *g->all)};
	for (size_t i = 0; g->all && i < c->n; i++) {
		const struct lab_result *r = &c->members[i].result;
		if (!c->members[i].done)
			continue;
		if (!g->like || r->n_tasks > g->like->n_tasks)
			g->like = r;
		if (r->gradable)
			g->all[g->n++] = r;
	}
	return g->all != NULL;
}

/* --- Head ----------------------------------------------------------------------------------------------------------
 */

static void print_fact(FILE *out, const char *value, const char *name)
{
	fprintf(out, "<div><b>%s</b><span class=soft>%s</span></div>\n", value, name);
}

static void print_facts(const struct graded *g, FILE *out)
{
	double *v = calloc(g->n + 1, sizeof *v), sum = 0;
	char text[32];
	size_t missing = 0, full = 0;

	for (size_t i = 0; i < g->c->n; i++)
		missing += !(g->c->members[i].done && g->c->members[i].result.gradable);
	for (size_t i = 0; v && i < g->n; i++) {
		v[i] = (double)g->all[i]->points / 100;
		sum += v[i];
		full += g->all[i]->points >= g->all[i]->max;
	}
	fputs("<div class=facts>\n", out);
	snprintf(text, sizeof text, "%zu", g->c->n);
	print_fact(out, text, "submissions");
	if (v && g->n) {
		qsort(v, g->n, sizeof *v, report_by_value);
		print_fact(out, export_points(g->all[0]->max, text), "points at most");
		snprintf(text, sizeof text, "%.1f", sum / (double)g->n);
		print_fact(out, text, "mean");
		snprintf(text, sizeof text, "%.1f", (v[(g->n - 1) / 2] + v[g->n / 2]) / 2);
		print_fact(out, text, "median");
		snprintf(text, sizeof text, "%.1f to %.1f", v[(g->n - 1) / 4], v[(g->n - 1) - (g->n - 1) / 4]);
		print_fact(out, text, "the middle half");
		snprintf(text, sizeof text, "%zu", full);
		print_fact(out, text, "with all points");
	}
	snprintf(text, sizeof text, "%zu", missing);
	print_fact(out, text, "not graded");
	fputs("</div>\n", out);
	free(v);
}

static void print_missing(const struct graded *g, FILE *out)
{
	bool any = false;

	for (size_t i = 0; i < g->c->n; i++) {
		const struct member *m = &g->c->members[i];
		if (m->done && m->result.gradable)
			continue;
		if (!any)
			fputs("<div class=warn><p>Could not be graded, which is not 0 points:</p>\n<ul>\n", out);
		any = true;
		fputs("<li>", out);
		report_put(out, m->name, EXPORT_TITLE_MAX);
		fputs(": ", out);
		report_put(
		    out, m->done ? m->result.why : "the grading was stopped before it; start it again", EXPORT_WHY_MAX);
		fputs("</li>\n", out);
	}
	if (any)
		fputs("</ul></div>\n", out);
}

/* --- Everybody -----------------------------------------------------------------------------------------------------
 */

/* A link needs %25 for the % of a file's name. */
static void print_link(FILE *out, const struct member *m)
{
	fputs("<a href=\"reports/", out);
	for (const char *p = m->file; *p; p++)
		if (*p == '%')
			fputs("%25", out);
		else
			fputc(*p, out);
	fputs(".txt\">", out);
	report_put(out, m->name, EXPORT_TITLE_MAX);
	fputs("</a>", out);
}

static void print_cell(FILE *out, bool known, int64_t points)
{
	char buf[32];
	fprintf(out, "<td class=n>%s</td>", known ? export_points(points, buf) : "–");
}

static void print_row(const struct graded *g, const struct member *m, FILE *out)
{
	const struct lab_result *r = &m->result;
	bool known = m->done && r->gradable;

	fputs("<tr><td class=w>", out);
	if (m->done)
		print_link(out, m);
	else
		report_put(out, m->name, EXPORT_TITLE_MAX);
	fputs("</td>", out);
	print_cell(out, known, r->points);
	fprintf(out, known ? "<td class=n>%.0f</td>" : "<td class=n>–</td>", report_percent(r->points, r->max));
	for (size_t i = 0; i < g->like->n_tasks; i++) {
		const struct result_task *t = m->done ? report_task(r, g->like->tasks[i].id) : NULL;
		print_cell(out, t && t->state == TASK_GRADED, t ? t->points : 0);
	}
	print_cell(out, known && r->prediction_max > 0, r->prediction_points);
	fputs("</tr>\n", out);
}

static void print_table(const struct graded *g, FILE *out)
{
	char buf[32];

	fputs("<h2>Submissions</h2>\n<p class=soft>A name leads to the report for the student. –: not graded, or not "
	      "run.</p>\n<div class=wide><table><thead><tr><th>submission</th><th class=n>total</th><th "
	      "class=n>%</th>",
	    out);
	for (size_t i = 0; i < g->like->n_tasks; i++) {
		fputs("<th class=n>", out);
		report_put(out, g->like->tasks[i].id, 40);
		fprintf(out, "<br>/%s</th>", export_points(g->like->tasks[i].max, buf));
	}
	fputs("<th class=n>predictions</th></tr></thead><tbody>\n", out);
	for (size_t i = 0; i < g->c->n; i++)
		print_row(g, &g->c->members[i], out);
	fputs("</tbody></table></div>\n", out);
}

void report_html(const struct class_data *c, FILE *out)
{
	static const struct lab_result nothing;
	struct graded g;

	if (!collect(c, &g))
		return;
	if (!g.like)
		g.like = &nothing;
	const char *title = g.like->title ? g.like->title : "A class";
	fputs("<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport "
	      "content=\"width=device-width\"><meta http-equiv=Content-Security-Policy content=\"default-src 'none'; "
	      "style-src 'unsafe-inline'\"><title>",
	    out);
	report_put(out, title, EXPORT_TITLE_MAX);
	fprintf(out, "</title><style>\n%s</style></head><body>\n<h1>", style);
	report_put(out, title, EXPORT_TITLE_MAX);
	fputs("</h1>\n<p class=soft>", out);
	report_put(out, g.like->lab, EXPORT_TITLE_MAX);
	fputs(" · vmscope ", out);
	report_put(out, g.like->version, EXPORT_TITLE_MAX);
	fprintf(out, " · seed %llu · <a href=\"class.csv\">class.csv</a></p>\n", (unsigned long long)g.like->seed);
	print_facts(&g, out);
	print_missing(&g, out);
	if (g.n) {
		report_totals(&g, out);
		report_tasks(&g, out);
		report_predictions(&g, out);
		report_budgets(&g, out);
	}
	print_table(&g, out);
	fputs("</body></html>\n", out);
	free(g.all);
}
