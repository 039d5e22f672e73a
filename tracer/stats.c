/*
 * Counting exits. Mean and deviation by Welford's method (one pass, no cancellation); percentiles from a log-linear
 * histogram, in integers.
 */
#include "tracer/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HIST_SUB (1u << HIST_SUB_BITS)

/* Block 0 holds 0 .. 63 exactly; block k the octave [2^(k+5), 2^(k+6)) in 32 steps. */
static void hist_place(uint64_t v, unsigned *block, unsigned *slot)
{
	if (v < HIST_SLOTS) {
		*block = 0;
		*slot = (unsigned)v;
		return;
	}
	unsigned octave = 63u - (unsigned)__builtin_clzll(v);

	*block = octave - HIST_SUB_BITS;
	*slot = (unsigned)(v >> (octave - HIST_SUB_BITS)) & (HIST_SUB - 1);
}

/* The middle of a slot. */
static uint64_t hist_value(unsigned block, unsigned slot)
{
	if (block == 0)
		return slot;
	return ((uint64_t)(HIST_SUB + slot) << block) + (1ull << (block - 1));
}

enum err hist_add(struct hist *h, uint64_t v)
{
	unsigned block, slot;

	hist_place(v, &block, &slot);
	if (!h->blocks[block])
		h->blocks[block] = calloc(block ? HIST_SUB : HIST_SLOTS, sizeof(uint64_t));
	if (!h->blocks[block])
		return ERR_NOMEM;
	h->blocks[block][slot]++;
	h->n++;
	return ERR_OK;
}

uint64_t hist_percentile(const struct hist *h, unsigned percent)
{
	/* ceil(n * percent / 100) without overflow */
	uint64_t rank = h->n / 100 * percent + (h->n % 100 * percent + 99) / 100, seen = 0;

	if (h->n == 0)
		return 0;
	if (rank == 0)
		rank = 1;
	for (unsigned b = 0; b < HIST_BLOCKS; b++)
		for (unsigned s = 0; h->blocks[b] && s < (b ? HIST_SUB : HIST_SLOTS); s++)
			if ((seen += h->blocks[b][s]) >= rank)
				return hist_value(b, s);
	return 0; /* not reached: the slots sum up to n */
}

void hist_free(struct hist *h)
{
	for (unsigned b = 0; b < HIST_BLOCKS; b++)
		free(h->blocks[b]);
	memset(h, 0, sizeof(*h));
}

struct exit_stats *stats_new(enum stats_by by)
{
	struct exit_stats *s = calloc(1, sizeof(*s));

	if (s)
		s->by = by;
	return s;
}

void stats_free(struct exit_stats *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_rows; i++)
		hist_free(&s->rows[i].hist);
	free(s->rows);
	free(s->index);
	free(s);
}

static bool same_group(const struct exit_stats *s, const struct stats_row *g, const struct exit_row *r, uint64_t key)
{
	if (g->key != key || g->child != r->child)
		return false;
	if (s->by == STATS_BY_REASON)
		return g->isa == r->isa && g->observed == 1u << r->observed;
	return s->by != STATS_BY_GUEST || strcmp(g->name, r->guest ? r->guest : "?") == 0;
}

static uint64_t text_hash(const char *p)
{
	uint64_t h = 1469598103934665603ull;

	for (; p && *p; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211ull;
	return h;
}

static uint64_t group_key(const struct exit_stats *s, const struct exit_row *r)
{
	switch (s->by) {
	case STATS_BY_RIP:
		return r->rip;
	case STATS_BY_VCPU:
		return r->vcpu;
	case STATS_BY_GUEST:
		return text_hash(r->guest ? r->guest : "?");
	case STATS_BY_REASON:
		break;
	}
	return r->reason;
}

static void name_group(const struct exit_stats *s, struct stats_row *g, const struct exit_row *r)
{
	char buf[48];

	switch (s->by) {
	case STATS_BY_RIP:
		if (r->has_rip)
			snprintf(g->name, sizeof(g->name), "0x%llx", (unsigned long long)r->rip);
		else
			snprintf(g->name, sizeof(g->name), "no rip");
		break;
	case STATS_BY_VCPU:
		snprintf(g->name, sizeof(g->name), "vcpu %u", r->vcpu);
		break;
	case STATS_BY_GUEST:
		snprintf(g->name, sizeof(g->name), "%s", r->guest ? r->guest : "?");
		break;
	case STATS_BY_REASON:
		snprintf(g->name, sizeof(g->name), "%s", exit_row_name(r, buf, sizeof(buf)));
		break;
	}
}

static size_t slot_of(const struct exit_stats *s, uint64_t key)
{
	return (size_t)((key * 0x9e3779b97f4a7c15ull) >> 20) & (s->n_index - 1);
}

/* Room for one more row, and a hash at most half full. */
static bool grow(struct exit_stats *s)
{
	if (s->n_rows < s->cap_rows)
		return true;
	size_t cap = s->cap_rows ? s->cap_rows * 2 : 64, n_index = cap * 2;
	struct stats_row *rows = realloc(s->rows, cap * sizeof(*rows));

	if (!rows)
		return false;
	s->rows = rows;
	uint32_t *index = calloc(n_index, sizeof(*index));

	if (!index)
		return false;
	free(s->index);
	s->index = index;
	s->n_index = n_index;
	s->cap_rows = cap;
	for (size_t i = 0; i < s->n_rows; i++) {
		size_t k = slot_of(s, s->rows[i].key);

		while (s->index[k])
			k = (k + 1) & (n_index - 1);
		s->index[k] = (uint32_t)i + 1;
	}
	return true;
}

static struct stats_row *group_of(struct exit_stats *s, const struct exit_row *r)
{
	uint64_t key = group_key(s, r);
	size_t k = 0;

	if (!grow(s))
		return NULL;
	for (k = slot_of(s, key); s->index[k]; k = (k + 1) & (s->n_index - 1))
		if (same_group(s, &s->rows[s->index[k] - 1], r, key))
			return &s->rows[s->index[k] - 1];
	struct stats_row *g = &s->rows[s->n_rows++];

	s->index[k] = (uint32_t)s->n_rows;
	memset(g, 0, sizeof(*g));
	g->key = key;
	g->reason = r->reason;
	g->isa = r->isa;
	g->child = r->child;
	g->min_ns = UINT64_MAX;
	name_group(s, g, r);
	return g;
}

void stats_add(struct exit_stats *s, const struct exit_row *r)
{
	struct stats_row *g;

	if (r->child && s->by != STATS_BY_REASON)
		return;
	g = group_of(s, r);
	if (!g) {
		s->nomem = true;
		return;
	}
	g->observed |= (uint8_t)(1u << r->observed);
	g->samples++;
	if (r->has_direct) {
		g->direct_n++;
		g->direct_sum += r->direct;
	}
	if (!r->child)
		s->total++;
	if (!r->has_cost)
		return;
	g->timed++;
	g->modelled += r->modelled;
	g->sum_ns += r->cost_ns;
	g->min_ns = r->cost_ns < g->min_ns ? r->cost_ns : g->min_ns;
	g->max_ns = r->cost_ns > g->max_ns ? r->cost_ns : g->max_ns;

	double d = (double)r->cost_ns - g->mean;

	g->mean += d / (double)g->timed;
	g->m2 += d * ((double)r->cost_ns - g->mean);
	if (hist_add(&g->hist, r->cost_ns) != ERR_OK)
		s->nomem = true;
	if (!r->child) {
		s->total_ns += r->cost_ns;
		s->timed++;
		s->modelled += r->modelled;
	}
}

void stats_demote(struct exit_stats *s, uint32_t reason)
{
	for (size_t i = 0; i < s->n_rows; i++) {
		struct stats_row *g = &s->rows[i];

		if (g->child || g->reason != reason)
			continue;
		g->child = true;
		s->total -= g->samples;
		s->total_ns -= g->sum_ns;
		s->timed -= g->timed;
		s->modelled -= g->modelled;
	}
}

void stats_promote(struct exit_stats *s)
{
	for (size_t i = 0; i < s->n_rows; i++) {
		struct stats_row *g = &s->rows[i];

		if (!g->child || g->isa != ISA_VMX || !exit_is_hw(g->reason))
			continue;
		g->child = false;
		s->total += g->samples;
		s->total_ns += g->sum_ns;
		s->timed += g->timed;
		s->modelled += g->modelled;
	}
}

static int compare_rows(const void *pa, const void *pb)
{
	const struct stats_row *a = pa, *b = pb;

	if (a->child != b->child)
		return a->child - b->child;
	if (a->samples != b->samples)
		return a->samples < b->samples ? 1 : -1;
	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return (int)a->observed - (int)b->observed;
}

void stats_sort(struct exit_stats *s)
{
	if (s->n_rows == 0)
		return;
	qsort(s->rows, s->n_rows, sizeof(*s->rows), compare_rows);
	memset(s->index, 0, s->n_index * sizeof(*s->index));
	for (size_t i = 0; i < s->n_rows; i++) {
		size_t k = slot_of(s, s->rows[i].key);

		while (s->index[k])
			k = (k + 1) & (s->n_index - 1);
		s->index[k] = (uint32_t)i + 1;
	}
}

double stats_stddev(const struct stats_row *r)
{
	return r->timed > 1 ? sqrt(r->m2 / (double)(r->timed - 1)) : 0;
}

double stats_rel_error(const struct stats_row *r)
{
	return r->timed > 1 && r->mean > 0 ? 100 * stats_stddev(r) / sqrt((double)r->timed) / r->mean : 0;
}

double stats_share(const struct exit_stats *s, const struct stats_row *r)
{
	return s->total && !r->child ? (double)r->samples / (double)s->total : 0;
}

double stats_time_share(const struct exit_stats *s, const struct stats_row *r)
{
	return s->total_ns && !r->child ? (double)r->sum_ns / (double)s->total_ns : 0;
}

const char *stats_observed(const struct stats_row *r, char *buf, size_t n)
{
	size_t used = 0;

	buf[0] = '\0';
	for (unsigned o = 0; o < OBSERVED_COUNT && used < n; o++)
		if (r->observed & 1u << o)
			used += (size_t)snprintf(
			    buf + used, n - used, "%s%s", used ? ", " : "", exit_observed_name((enum exit_observed)o));
	return buf;
}

const char *stats_cost_source(uint64_t timed, uint64_t modelled)
{
	if (timed == 0)
		return "unknown";
	return modelled == 0 ? "measured" : modelled == timed ? "modelled" : "modelled and measured";
}
