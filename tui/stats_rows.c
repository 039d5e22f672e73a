/*
 * Statistics as rows of a table.
 */
#include "tui/stats_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	COL_NUM,
	COL_NAME,
	COL_SAMPLES,
	COL_SHARE,
	COL_TIME,
	COL_MIN,
	COL_MEAN,
	COL_MAX,
	COL_ERROR,
	COL_P5,
	COL_P50,
	COL_P95,
	COL_INSNS,
	COL_OBSERVED,
	COL_TREND,
	COL_COUNT
};

/* What both tables have. drop: what goes first on a narrow screen. At 80 columns the first nine and the trend are
 * there. */
#define COMMON_COLUMNS                                                           \
	[COL_SAMPLES] = {.name = "samples", .head = "count", .width = 6},        \
	[COL_SHARE] = {.name = "share", .head = "share", .width = 6},            \
	[COL_TIME] = {.name = "time", .head = "time%", .width = 6},              \
	[COL_MIN] = {.name = "min", .head = "min", .width = 6, .drop = 2},       \
	[COL_MEAN] = {.name = "mean", .head = "mean", .width = 6},               \
	[COL_MAX] = {.name = "max", .head = "max", .width = 6, .drop = 1},       \
	[COL_ERROR] = {.name = "error", .head = "+-%", .width = 5, .drop = 3},   \
	[COL_P5] = {.name = "p5", .head = "p5", .width = 6, .drop = 8},          \
	[COL_P50] = {.name = "p50", .head = "p50", .width = 6, .drop = 4},       \
	[COL_P95] = {.name = "p95", .head = "p95", .width = 6, .drop = 5},       \
	[COL_INSNS] = {.name = "insns", .head = "insns", .width = 7, .drop = 7}, \
	[COL_OBSERVED] = {                                                       \
	    .name = "observed", .head = "seen by", .width = 8, .drop = 9, .left = true, .ascending = true}

static const struct table_column by_reason[COL_COUNT] = {
    [COL_NUM] = {.name = "number", .head = "#", .width = 4, .ascending = true},
    [COL_NAME] = {.name = "name", .head = "exit reason", .width = 18, .left = true, .ascending = true},
    COMMON_COLUMNS,
    [COL_TREND] = {.name = "trend",
	.head = "trend",
	.width = 6,
	.left = true,
	.flex = true,
	.flex_max = VIEW_SPARK,
	.fixed = true},
};

static const struct table_column by_place[COL_COUNT] = {
    [COL_NUM] = {.name = "number", .fixed = true},
    [COL_NAME] =
	{.name = "name", .head = "where", .width = 24, .left = true, .ascending = true, .flex = true, .flex_max = 72},
    COMMON_COLUMNS,
    [COL_TREND] = {.name = "trend", .fixed = true},
};

const char *rows_by_name(enum rows_by by)
{
	static const char *const names[ROWS_BY_COUNT] = {"reason", "rip", "vcpu", "port"};

	return names[by];
}

const char *port_device(unsigned port)
{
	/* The addresses of the PC's devices, and of what virtual machines added. */
	static const struct {
		uint16_t first, last;
		const char *name;
	} ports[] = {
	    {0x20, 0x21, "PIC, master"},
	    {0x40, 0x43, "timer 8254"},
	    {0x60, 0x60, "keyboard"},
	    {0x61, 0x61, "port B"},
	    {0x64, 0x64, "keyboard"},
	    {0x70, 0x71, "RTC, CMOS"},
	    {0x80, 0x8f, "DMA page, POST"},
	    {0x92, 0x92, "port A, A20"},
	    {0xa0, 0xa1, "PIC, slave"},
	    {0xb2, 0xb3, "APM"},
	    {0xe9, 0xe9, "debug console"},
	    {0xed, 0xed, "delay"},
	    {0xf0, 0xf0, "coprocessor"},
	    {0xf4, 0xf7, "debug exit"},
	    {0x170, 0x177, "IDE, second"},
	    {0x1f0, 0x1f7, "IDE, first"},
	    {0x2f8, 0x2ff, "COM2"},
	    {0x3b0, 0x3df, "VGA"},
	    {0x3f0, 0x3f7, "floppy"},
	    {0x3f8, 0x3ff, "COM1"},
	    {0x402, 0x402, "debug console"},
	    {0x4d0, 0x4d1, "PIC, ELCR"},
	    {0x510, 0x51b, "fw_cfg"},
	    {0x600, 0x63f, "ACPI PM"},
	    {0xcf8, 0xcff, "PCI config"},
	};

	for (size_t i = 0; i < ARRAY_LEN(ports); i++)
		if (port >= ports[i].first && port <= ports[i].last)
			return ports[i].name;
	return "";
}

/* --- cells ---------------------------------------------------------------------------------------------------------
 */

static void text_ns(const struct stats_line *l, uint64_t ns, char *buf, size_t n)
{
	char b[16];

	snprintf(buf, n, "%s", l->timed ? fmt_ns(ns, b) : "-");
}

static void text_percent(bool known, double part, char *buf, size_t n)
{
	if (known)
		snprintf(buf, n, part >= 0.99995 ? "%.0f%%" : "%.1f%%", 100 * part);
	else
		snprintf(buf, n, "-");
}

static void text_number(const struct stats_line *l, char *buf, size_t n)
{
	/* Our own codes stand beside the SDM's numbers; their value says nothing to anybody. */
	if (l->isa == ISA_VMX && !exit_is_hw(l->reason))
		snprintf(buf, n, "vmm");
	else
		snprintf(buf, n, "%u", l->reason);
}

static enum style text_count(
    const struct stats_rows *r, const struct stats_line *l, unsigned column, char *buf, size_t n)
{
	char b[16];

	switch (column) {
	case COL_SAMPLES:
		if (!r->rates)
			snprintf(buf, n, "%s", fmt_count(l->samples, b));
		else
			snprintf(buf, n, "%s", l->rate < 0 ? "-" : fmt_rate(l->rate, b));
		return STYLE_STRONG;
	case COL_SHARE:
		text_percent(!l->child, l->share, buf, n);
		return STYLE_NORMAL;
	case COL_TIME:
		text_percent(!l->child && l->timed, l->time_share, buf, n);
		return STYLE_NORMAL;
	case COL_ERROR:
		if (l->timed > 1)
			snprintf(buf, n, "%.1f", l->rel_error);
		else
			snprintf(buf, n, "-");
		return STYLE_DIM;
	case COL_INSNS:
		snprintf(buf, n, "%s", l->insns_before < 0 ? "-" : fmt_rate(l->insns_before, b));
		return STYLE_NORMAL;
	default:
		return STYLE_NORMAL;
	}
}

static enum style cell_text(const void *arg, const void *row, unsigned column, char *buf, size_t n)
{
	const struct stats_rows *r = arg;
	const struct stats_line *l = row;

	switch (column) {
	case COL_NUM:
		text_number(l, buf, n);
		return STYLE_DIM;
	case COL_NAME:
		snprintf(buf, n, "%s%s", l->child ? "(+) " : "", l->name);
		return l->child ? STYLE_DIM : STYLE_NORMAL;
	case COL_MIN:
		text_ns(l, l->min_ns, buf, n);
		break;
	case COL_MEAN:
		text_ns(l, (uint64_t)(l->mean_ns + 0.5), buf, n);
		break;
	case COL_MAX:
		text_ns(l, l->max_ns, buf, n);
		break;
	case COL_P5:
		text_ns(l, l->p5_ns, buf, n);
		break;
	case COL_P50:
		text_ns(l, l->p50_ns, buf, n);
		break;
	case COL_P95:
		text_ns(l, l->p95_ns, buf, n);
		break;
	case COL_OBSERVED: {
		const struct stats_row seen = {.observed = l->observed};

		stats_observed(&seen, buf, n);
		return STYLE_DIM;
	}
	default:
		return text_count(r, l, column, buf, n);
	}
	return STYLE_NORMAL;
}

static bool cell_draw(const void *arg, const void *row, unsigned column, struct screen *s, int x, int y, int w)
{
	const struct stats_line *l = row;
	int n = w < VIEW_SPARK ? w : VIEW_SPARK;
	uint32_t sums[VIEW_SPARK] = {0};

	(void)arg;
	if (column != COL_TREND)
		return false;
	/* All of the time that there is, however few the columns. */
	for (int i = 0; i < VIEW_SPARK; i++)
		sums[i * n / VIEW_SPARK] += l->spark[i];
	screen_spark(s, x, y, n, sums, n, STYLE_A);
	return true;
}

static const char *cell_head(const void *arg, unsigned column)
{
	const struct stats_rows *r = arg;

	return column == COL_SAMPLES && r->rates ? "per s" : NULL;
}

static int compare_numbers(double a, double b)
{
	return a < b ? -1 : a > b;
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_lines(const void *pa, const void *pb, unsigned column)
{
	const struct stats_line *a = pa, *b = pb;

	switch (column) {
	case COL_NUM:
		return compare_u64(a->reason, b->reason);
	case COL_NAME:
		return strcmp(a->name, b->name);
	case COL_TIME:
		return compare_u64(a->sum_ns, b->sum_ns);
	case COL_MIN:
		return compare_u64(a->min_ns, b->min_ns);
	case COL_MEAN:
		return compare_numbers(a->mean_ns, b->mean_ns);
	case COL_MAX:
		return compare_u64(a->max_ns, b->max_ns);
	case COL_ERROR:
		return compare_numbers(a->rel_error, b->rel_error);
	case COL_P5:
		return compare_u64(a->p5_ns, b->p5_ns);
	case COL_P50:
		return compare_u64(a->p50_ns, b->p50_ns);
	case COL_P95:
		return compare_u64(a->p95_ns, b->p95_ns);
	case COL_INSNS:
		return compare_numbers(a->insns_before, b->insns_before);
	case COL_OBSERVED:
		return (int)a->observed - (int)b->observed;
	default:
		return compare_u64(a->samples, b->samples);
	}
}

static int compare_rates(const void *pa, const void *pb, unsigned column)
{
	const struct stats_line *a = pa, *b = pb;
	int d = column == COL_SAMPLES ? compare_numbers(a->rate, b->rate) : 0;

	return d ? d : compare_lines(pa, pb, column);
}

static uint64_t line_id(const void *row)
{
	const struct stats_line *l = row;

	return l->key << 8 ^ (uint64_t)l->isa << 6 ^ (uint64_t)l->child << 5 ^ l->observed;
}

static int line_group(const void *row)
{
	return ((const struct stats_line *)row)->child;
}

static const struct table_ops reason_ops = {
    .columns = by_reason,
    .n_columns = COL_COUNT,
    .row_size = sizeof(struct stats_line),
    .text = cell_text,
    .draw = cell_draw,
    .compare = compare_lines,
    .id = line_id,
    .group = line_group,
    .head = cell_head,
};
/* Sorted by the rate when the rate is shown. */
static const struct table_ops rate_ops = {
    .columns = by_reason,
    .n_columns = COL_COUNT,
    .row_size = sizeof(struct stats_line),
    .text = cell_text,
    .draw = cell_draw,
    .compare = compare_rates,
    .id = line_id,
    .group = line_group,
    .head = cell_head,
};
static const struct table_ops place_ops = {
    .columns = by_place,
    .n_columns = COL_COUNT,
    .row_size = sizeof(struct stats_line),
    .text = cell_text,
    .compare = compare_lines,
    .id = line_id,
    .group = line_group,
};

/* --- filling -------------------------------------------------------------------------------------------------------
 */

void stats_rows_init(struct stats_rows *r, enum rows_by by)
{
	memset(r, 0, sizeof(*r));
	r->by = by;
	table_init(&r->table, by == ROWS_BY_REASON ? &reason_ops : &place_ops, r, COL_SAMPLES);
}

void stats_rows_fini(struct stats_rows *r)
{
	free(r->lines);
	r->lines = NULL;
	r->n = r->cap = 0;
}

static uint64_t percentile(const struct stats_row *g, unsigned percent)
{
	uint64_t v = hist_percentile(&g->hist, percent);

	return v < g->min_ns ? g->min_ns : v > g->max_ns ? g->max_ns : v;
}

/* All that costs little. */
static void copy_line(struct stats_line *l, const struct exit_stats *s, const struct stats_row *g)
{
	l->key = g->key;
	l->reason = g->reason;
	l->isa = g->isa;
	l->observed = g->observed;
	l->child = g->child;
	l->samples = g->samples;
	l->timed = g->timed;
	l->modelled = g->modelled;
	l->sum_ns = g->sum_ns;
	l->min_ns = g->timed ? g->min_ns : 0;
	l->max_ns = g->max_ns;
	l->p5_ns = l->p50_ns = l->p95_ns = 0;
	l->share = stats_share(s, g);
	l->time_share = stats_time_share(s, g);
	l->mean_ns = g->mean;
	l->stddev_ns = stats_stddev(g);
	l->rel_error = stats_rel_error(g);
	l->insns_before = g->direct_n ? (double)g->direct_sum / (double)g->direct_n : -1;
	l->rate = -1;
	snprintf(l->name, sizeof(l->name), "%s", g->name);
	l->where[0] = '\0';
}

static void name_line(const struct stats_rows *r, struct stats_line *l, const struct symbols *syms)
{
	char symbol[72];
	const char *file, *device;
	unsigned line;

	if (r->by == ROWS_BY_PORT) {
		device = port_device((unsigned)(l->key >> 1));
		snprintf(l->name, sizeof(l->name), "0x%04x %s%s%s", (unsigned)(l->key >> 1), l->key & 1 ? "IN " : "OUT",
		    *device ? " " : "", device);
	}
	if (r->by != ROWS_BY_RIP || !syms)
		return;
	symbols_format(syms, l->key, symbol, sizeof(symbol));
	if (symbol[0])
		snprintf(l->name, sizeof(l->name), "0x%llx %s", (unsigned long long)l->key, symbol);
	if (symbols_line(syms, l->key, &file, &line))
		snprintf(l->where, sizeof(l->where), "%.80s:%u", file, line);
}

static const struct stats_row *group_of(const struct exit_stats *s, const struct stats_line *l)
{
	for (size_t i = 0; i < s->n_rows; i++)
		if (s->rows[i].key == l->key && s->rows[i].isa == l->isa && s->rows[i].child == l->child &&
		    s->rows[i].observed == l->observed)
			return &s->rows[i];
	return NULL;
}

/* What costs more, for the rows that are kept. */
static void complete_lines(
    struct stats_rows *r, const struct exit_stats *s, struct view_model *m, const struct symbols *syms)
{
	for (size_t i = 0; i < r->n; i++) {
		struct stats_line *l = &r->lines[i];
		const struct stats_row *g = r->left_out ? group_of(s, l) : &s->rows[i];

		if (g && g->timed) {
			l->p5_ns = percentile(g, 5);
			l->p50_ns = percentile(g, 50);
			l->p95_ns = percentile(g, 95);
		}
		if (r->by == ROWS_BY_REASON && m)
			view_spark(m, l->reason, l->isa, l->spark, &l->rate);
		name_line(r, l, syms);
	}
}

static bool room_for(struct stats_rows *r, size_t n)
{
	struct stats_line *lines;

	if (n <= r->cap)
		return true;
	lines = realloc(r->lines, (n + 64) * sizeof(*lines));
	if (!lines)
		return false;
	r->lines = lines;
	r->cap = n + 64;
	return true;
}

void stats_rows_collect(
    struct stats_rows *r, const struct exit_stats *s, struct view_model *m, const struct symbols *syms)
{
	r->total = s ? s->total : 0;
	r->total_ns = s ? s->total_ns : 0;
	r->timed = s ? s->timed : 0;
	r->modelled = s ? s->modelled : 0;
	r->lost = s ? s->lost : 0;
	r->lost_unknown = s && s->lost_unknown;
	r->table.arg = r; /* the struct may have moved since */
	if (r->by == ROWS_BY_REASON)
		r->table.ops = r->rates ? &rate_ops : &reason_ops;
	r->n = s && room_for(r, s->n_rows) ? s->n_rows : 0;
	for (size_t i = 0; i < r->n; i++)
		copy_line(&r->lines[i], s, &s->rows[i]);
	r->left_out = r->n > STATS_ROWS_MAX ? r->n - STATS_ROWS_MAX : 0;
	if (r->left_out) {
		table_arrange(&r->table, r->lines, r->n);
		r->n = STATS_ROWS_MAX;
	}
	if (s)
		complete_lines(r, s, m, syms);
	table_arrange(&r->table, r->lines, r->n);
}

/* --- JSON ----------------------------------------------------------------------------------------------------------
 */

json_t *text_json(const char *text)
{
	json_t *j = json_string(text);
	char ascii[256];
	size_t i;

	if (j)
		return j;
	for (i = 0; text[i] && i + 1 < sizeof(ascii); i++)
		ascii[i] = (unsigned char)text[i] >= ' ' && (unsigned char)text[i] < 0x7f ? text[i] : '?';
	ascii[i] = '\0';
	return json_string(ascii);
}

static void set(json_t *o, const char *key, json_t *v)
{
	json_object_set_new(o, key, v ? v : json_null());
}

static json_t *count_or_null(bool known, uint64_t v)
{
	return known ? json_integer((json_int_t)v) : json_null();
}

static json_t *real_or_null(bool known, double v)
{
	return known ? json_real(v) : json_null();
}

static void name_json(const struct stats_rows *r, const struct stats_line *l, json_t *o)
{
	if (r->by == ROWS_BY_REASON) {
		set(o, "reason", json_integer(l->reason));
		set(o, "isa", json_string(l->isa == ISA_SVM ? "svm" : l->isa == ISA_VMX ? "vmx" : "kvm"));
	} else if (r->by == ROWS_BY_PORT) {
		set(o, "port", json_integer((json_int_t)(l->key >> 1)));
		set(o, "in", json_boolean(l->key & 1));
	} else {
		set(o, rows_by_name(r->by), json_integer((json_int_t)l->key));
		if (l->where[0])
			set(o, "source", text_json(l->where));
	}
	set(o, "name", text_json(l->name));
}

static json_t *line_json(const struct stats_rows *r, const struct stats_line *l)
{
	json_t *o = json_object(), *spark;
	const struct stats_row seen = {.observed = l->observed};
	bool t = l->timed > 0, hw = !l->child;
	char observed[64];

	name_json(r, l, o);
	set(o, "child", json_boolean(l->child));
	set(o, "observed", json_string(stats_observed(&seen, observed, sizeof(observed))));
	set(o, "count", json_integer((json_int_t)l->samples));
	set(o, "share", real_or_null(hw && r->total, l->share));
	set(o, "time_share", real_or_null(hw && t && r->total_ns, l->time_share));
	set(o, "time_ns", count_or_null(t, l->sum_ns));
	set(o, "min_ns", count_or_null(t, l->min_ns));
	set(o, "mean_ns", real_or_null(t, l->mean_ns));
	set(o, "max_ns", count_or_null(t, l->max_ns));
	set(o, "stddev_ns", real_or_null(t, l->stddev_ns));
	set(o, "error_percent", real_or_null(l->timed > 1, l->rel_error));
	set(o, "p5_ns", count_or_null(t, l->p5_ns));
	set(o, "p50_ns", count_or_null(t, l->p50_ns));
	set(o, "p95_ns", count_or_null(t, l->p95_ns));
	set(o, "cost", t ? json_string(stats_cost_source(l->timed, l->modelled)) : json_null());
	set(o, "insns_before", real_or_null(l->insns_before >= 0, l->insns_before));
	if (r->by == ROWS_BY_REASON) {
		set(o, "rate", real_or_null(l->rate >= 0, l->rate));
		spark = json_array();
		for (unsigned i = 0; i < VIEW_SPARK; i++)
			json_array_append_new(spark, json_integer(l->spark[i]));
		set(o, "trend", spark);
	}
	return o;
}

json_t *stats_rows_json(const struct stats_rows *r)
{
	json_t *a = json_array();

	for (size_t i = 0; i < r->n; i++)
		json_array_append_new(a, line_json(r, &r->lines[i]));
	return a;
}
