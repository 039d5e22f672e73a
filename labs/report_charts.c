/*
 * The charts of a class, as SVG.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "labs/clean.h"
#include "labs/report_impl.h"

static const struct result_prediction *prediction_of(const struct lab_result *r, const char *id)
{
	for (size_t i = 0; i < r->n_predictions; i++)
		if (r->predictions[i].id && id && strcmp(r->predictions[i].id, id) == 0)
			return &r->predictions[i];
	return NULL;
}

/* --- Totals --------------------------------------------------------------------------------------------------------
 */

#define BINS 11 /* tenths; the last is all points */

void report_totals(const struct graded *g, FILE *out)
{
	unsigned count[BINS] = {0}, most = 1;

	for (size_t i = 0; i < g->n; i++) {
		const struct lab_result *r = g->all[i];
		unsigned bin = r->points >= r->max ? BINS - 1 : (unsigned)(report_percent(r->points, r->max) / 10);
		if (bin > BINS - 1)
			bin = BINS - 1;
		if (++count[bin] > most)
			most = count[bin];
	}
	fputs("<h2>Totals</h2>\n<svg viewBox=\"0 0 760 220\" width=760 height=220 role=img "
	      "aria-label=\"Histogram of totals\">\n",
	    out);
	for (unsigned i = 0; i < BINS; i++) {
		double h = 150.0 * count[i] / most;
		unsigned x = 20 + i * 66;
		fprintf(out, "<rect class=%s x=%u y=%.1f width=58 height=%.1f rx=2 />", i == BINS - 1 ? "full" : "bar",
		    x, 175 - h, h);
		fprintf(out, "<text class=m x=%u y=%.1f>%u</text>", x + 29, 169 - h, count[i]);
		if (i < BINS - 1)
			fprintf(out, "<text class=\"s m\" x=%u y=192>%u–%u</text>\n", x + 29, i * 10, i * 10 + 10);
		else
			fprintf(out, "<text class=\"s m\" x=%u y=192>all</text>\n", x + 29);
	}
	fputs("<path class=axis d=\"M10 175.5H750\"/><text class=\"s m\" x=380 y=214>percent of the points</text>\n"
	      "</svg>\n",
	    out);
}

/* --- Shares: of a task, of a prediction ----------------------------------------------------------------------------
 */

enum share { SHARE_FULL, SHARE_PART, SHARE_NONE, SHARE_OFF, SHARE_COUNT };

static void print_key(FILE *out, const char *const names[SHARE_COUNT])
{
	static const char *const colours[] = {"full", "part", "none", "off"};

	fputs("<div class=key>", out);
	for (unsigned i = 0; i < SHARE_COUNT; i++)
		fprintf(out, "<span style=\"--c:var(--%s)\">%s</span>", colours[i], names[i]);
	fputs("</div>\n", out);
}

/* A title that fits beside its bar; whole when the mouse is on it. */
static void print_label(FILE *out, const char *title)
{
	char *clean = export_clean(title, EXPORT_TITLE_MAX);
	size_t fit = clean_fit(clean, 38);

	if (clean[fit]) {
		fputs("<title>", out);
		report_put(out, clean, EXPORT_TITLE_MAX);
		fputs("</title>", out);
		clean[fit] = 0;
		report_put(out, clean, EXPORT_TITLE_MAX);
		fputs("…", out);
	} else {
		report_put(out, clean, EXPORT_TITLE_MAX);
	}
	free(clean);
}

/* One row of a chart of shares. */
static void print_share(FILE *out, unsigned y, const char *title, const unsigned count[SHARE_COUNT], double mean)
{
	static const char *const classes[] = {"full", "part", "none", "off"};
	unsigned all = count[0] + count[1] + count[2] + count[3];
	double x = 300;

	fprintf(out, "<text x=0 y=%u>", y + 17);
	print_label(out, title);
	fputs("</text>", out);
	for (unsigned i = 0; i < SHARE_COUNT; i++) {
		double w = all ? 380.0 * count[i] / all : 0;
		if (!count[i])
			continue;
		fprintf(out, "<rect class=%s x=%.1f y=%u width=%.1f height=22 />", classes[i], x, y, w);
		if (w > (count[i] < 10 ? 11 : count[i] < 100 ? 20 : 28))
			fprintf(out, "<text class=\"in m%s\" x=%.1f y=%u>%u</text>", i == SHARE_PART ? " dark" : "",
			    x + w / 2, y + 16, count[i]);
		x += w;
	}
	fprintf(out, "<text class=e x=758 y=%u>%.0f %%</text>\n", y + 17, mean);
}

static void open_shares(FILE *out, size_t rows, const char *label)
{
	fprintf(out,
	    "<svg viewBox=\"0 0 760 %zu\" width=760 height=%zu role=img aria-label=\"%s\">\n"
	    "<text class=\"s e\" x=758 y=12>mean</text>\n",
	    rows * 30 + 20, rows * 30 + 20, label);
}

void report_tasks(const struct graded *g, FILE *out)
{
	static const char *const key[] = {"all points", "some", "none", "not run: a task before it"};

	fputs("<h2>Tasks</h2>\n", out);
	print_key(out, key);
	open_shares(out, g->like->n_tasks, "Share of the points of each task");
	for (size_t i = 0; i < g->like->n_tasks; i++) {
		unsigned count[SHARE_COUNT] = {0}, n = 0;
		double sum = 0;
		for (size_t k = 0; k < g->n; k++) {
			const struct result_task *t = report_task(g->all[k], g->like->tasks[i].id);
			if (!t || t->state == TASK_FILTERED || t->state == TASK_UNGRADED)
				continue;
			count[t->state == TASK_GATED ? SHARE_OFF
			      : t->points >= t->max  ? SHARE_FULL
			      : t->points > 0	     ? SHARE_PART
						     : SHARE_NONE]++;
			sum += report_percent(t->points, t->max);
			n++;
		}
		print_share(out, 20 + (unsigned)i * 30,
		    g->like->tasks[i].title ? g->like->tasks[i].title : g->like->tasks[i].id, count, n ? sum / n : 0);
	}
	fputs("</svg>\n", out);
}

/* --- Predictions ---------------------------------------------------------------------------------------------------
 */

/* Each submission as a dot: how well it predicted, and how well it did. */
static void print_calibration(const struct graded *g, FILE *out)
{
	fputs(
	    "<p class=soft>A dot is a submission; the darker, the more of them. Above the line: predicted better than "
	    "done.</p>\n<svg viewBox=\"0 0 400 370\" width=400 height=370 role=img "
	    "aria-label=\"Predictions against tasks\">\n"
	    "<path class=axis d=\"M60 10V310H360\"/><path class=ref d=\"M60 310L360 10\"/>",
	    out);
	for (unsigned i = 0; i <= 100; i += 50)
		fprintf(out, "<text class=\"s e\" x=52 y=%u>%u</text><text class=\"s m\" x=%u y=328>%u</text>",
		    314 - 3 * i, i, 60 + 3 * i, i);
	for (size_t i = 0; i < g->n; i++) {
		const struct lab_result *r = g->all[i];
		if (r->prediction_max > 0)
			fprintf(out, "<circle class=dot cx=%.1f cy=%.1f r=5 />",
			    60 + 3 * report_percent(r->points, r->max),
			    310 - 3 * report_percent(r->prediction_points, r->prediction_max));
	}
	fputs(
	    "\n<text class=\"s m\" x=210 y=352>tasks, percent</text><text class=\"s m\" transform=\"translate(16 160) "
	    "rotate(-90)\">predictions, percent</text>\n</svg>\n",
	    out);
}

void report_predictions(const struct graded *g, FILE *out)
{
	static const char *const key[] = {"right", "near", "wrong", "none was made"};
	const struct lab_result *like = NULL;

	for (size_t i = 0; i < g->n; i++)
		if (!like || g->all[i]->n_predictions > like->n_predictions)
			like = g->all[i];
	if (!like || !like->n_predictions)
		return;
	fputs("<h2>Predictions</h2>\n", out);
	print_key(out, key);
	open_shares(out, like->n_predictions, "How right the predictions were");
	for (size_t i = 0; i < like->n_predictions; i++) {
		unsigned count[SHARE_COUNT] = {0}, n = 0;
		double sum = 0;
		for (size_t k = 0; k < g->n; k++) {
			const struct result_prediction *p = prediction_of(g->all[k], like->predictions[i].id);
			count[!p || !p->predicted   ? SHARE_OFF
			      : p->points >= p->max ? SHARE_FULL
			      : p->points > 0	    ? SHARE_PART
						    : SHARE_NONE]++;
			sum += p ? report_percent(p->points, p->max) : 0;
			n++;
		}
		print_share(out, 20 + (unsigned)i * 30, like->predictions[i].ask, count, n ? sum / n : 0);
	}
	fputs("</svg>\n", out);
	print_calibration(g, out);
}

/* --- Lines: budgets, and what failed most --------------------------------------------------------------------------
 */

/* A line that many submissions have. */
struct common {
	const struct result_task *task;
	const char *what;
	unsigned bad, all;
	double limit; /* of a budget; NAN: it is none */
};

struct commons {
	struct common *list;
	size_t n, room;
};

/* "at most 12 ...", as t:budget() says it. */
static double limit_of(const struct result_line *l)
{
	char *end;

	if (!l->expected || strncmp(l->expected, "at most ", 8) != 0)
		return (double)NAN;
	double v = strtod(l->expected + 8, &end);
	return end != l->expected + 8 && isfinite(v) ? v : (double)NAN;
}

static struct common *find_common(struct commons *cs, const struct result_task *t, const struct result_line *l)
{
	for (size_t i = 0; i < cs->n; i++)
		if (strcmp(cs->list[i].what, l->what) == 0 && strcmp(cs->list[i].task->id, t->id) == 0)
			return &cs->list[i];
	if (cs->n == cs->room) {
		size_t room = cs->room ? 2 * cs->room : 64;
		void *p = room > 4096 ? NULL : realloc(cs->list, room * sizeof *cs->list);
		if (!p)
			return NULL;
		cs->list = p;
		cs->room = room;
	}
	cs->list[cs->n] = (struct common){.task = t, .what = l->what, .limit = limit_of(l)};
	return &cs->list[cs->n++];
}

static void gather(const struct graded *g, struct commons *cs)
{
	for (size_t i = 0; i < g->n; i++)
		for (size_t k = 0; k < g->all[i]->n_tasks; k++) {
			const struct result_task *t = &g->all[i]->tasks[k];
			for (size_t n = 0; n < t->n_lines; n++) {
				const struct result_line *l = &t->lines[n];
				struct common *c =
				    l->kind == LINE_INFO || !l->what || !t->id ? NULL : find_common(cs, t, l);
				if (!c)
					continue;
				c->all++;
				c->bad += l->kind != LINE_GOOD;
			}
		}
}

#define BUDGET_BINS 24 /* up to four times the limit; one more for what is beyond */
#define BUDGET_STEPS 6 /* of them up to the limit */

/* Counts what was seen in this line, by steps of a sixth of the limit. */
static void count_budget(const struct graded *g, const struct common *c, unsigned count[BUDGET_BINS + 1])
{
	double step = c->limit > 0 ? c->limit / BUDGET_STEPS : 1.0 / BUDGET_STEPS;

	for (size_t i = 0; i < g->n; i++) {
		const struct result_task *t = report_task(g->all[i], c->task->id);
		for (size_t k = 0; t && k < t->n_lines; k++) {
			char *end;
			const char *seen = t->lines[k].seen;
			if (!seen || !t->lines[k].what || strcmp(t->lines[k].what, c->what) != 0)
				continue;
			double v = strtod(seen, &end), bin = ceil(v / step - 1e-9) - 1;
			if (end != seen && !*end && isfinite(v))
				count[bin < 0 ? 0 : bin > BUDGET_BINS ? BUDGET_BINS : (unsigned)bin]++;
			break;
		}
	}
}

static void print_budget(const struct graded *g, const struct common *c, FILE *out)
{
	unsigned count[BUDGET_BINS + 1] = {0}, most = 1, all = 0, within = 0;

	count_budget(g, c, count);
	for (unsigned i = 0; i <= BUDGET_BINS; i++) {
		most = count[i] > most ? count[i] : most;
		all += count[i];
		within += i < BUDGET_STEPS ? count[i] : 0;
	}
	fputs("<p>", out);
	report_put(out, c->task->title, EXPORT_TITLE_MAX);
	fputs(": ", out);
	report_put(out, c->what, EXPORT_TITLE_MAX);
	fprintf(out,
	    "; %u of %u within %.15g</p>\n<svg viewBox=\"0 0 760 130\" width=760 height=130 role=img "
	    "aria-label=\"A budget\">\n<path class=axis d=\"M10 100.5H755\"/>",
	    within, all, c->limit);
	for (unsigned i = 0; i <= BUDGET_BINS; i++) {
		double h = 80.0 * count[i] / most;
		unsigned x = 20 + i * 28 + (i == BUDGET_BINS ? 30 : 0);
		if (count[i])
			fprintf(out,
			    "<rect class=%s x=%u y=%.1f width=26 height=%.1f /><text class=\"s m\" x=%u "
			    "y=%.1f>%u</text>\n",
			    i < BUDGET_STEPS ? "full" : "bar", x + 1, 100 - h, h, x + 14, 96 - h, count[i]);
	}
	for (unsigned i = 0; i <= 4; i++)
		fprintf(out, "<text class=\"s m\" x=%u y=120>%.15g</text>", 20 + i * BUDGET_STEPS * 28, i * c->limit);
	fprintf(out, "<text class=\"s m\" x=736 y=120>more</text><path class=ref d=\"M%u 4V104\"/>\n</svg>\n",
	    20u + BUDGET_STEPS * 28u);
}

static int by_bad(const void *a, const void *b)
{
	const struct common *x = a, *y = b;
	int order = x->bad != y->bad ? (x->bad < y->bad ? 1 : -1) : strcmp(x->task->id, y->task->id);
	return order ? order : strcmp(x->what, y->what);
}

void report_budgets(const struct graded *g, FILE *out)
{
	struct commons cs = {0};
	bool head = false;

	gather(g, &cs);
	for (size_t i = 0; i < cs.n; i++) {
		if (isnan(cs.list[i].limit))
			continue;
		if (!head)
			fputs("<h2>Budgets</h2>\n<p class=soft>How many submissions needed how much; left of the "
			      "dashed line is what all "
			      "points "
			      "need.</p>\n",
			    out);
		head = true;
		print_budget(g, &cs.list[i], out);
	}
	if (cs.n)
		qsort(cs.list, cs.n, sizeof *cs.list, by_bad);
	if (cs.n && cs.list[0].bad) {
		fputs("<h2>What failed most</h2>\n<div class=wide><table><thead><tr><th class=n>failed</th><th "
		      "class=n>of</th><th>check</th><th>task</th></tr></thead><tbody>\n",
		    out);
		for (size_t i = 0; i < cs.n && i < 12 && cs.list[i].bad; i++) {
			fprintf(out, "<tr><td class=n>%u</td><td class=n>%u</td><td class=w>", cs.list[i].bad,
			    cs.list[i].all);
			report_put(out, cs.list[i].what, EXPORT_TITLE_MAX);
			fputs("</td><td>", out);
			report_put(out, cs.list[i].task->title, EXPORT_TITLE_MAX);
			fputs("</td></tr>\n", out);
		}
		fputs("</tbody></table></div>\n", out);
	}
	free(cs.list);
}
