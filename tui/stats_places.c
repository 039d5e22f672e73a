/*
 * Where exits come from: symbol, instruction, reason, as a tree whose widths are counts. Without symbols an instruction
 * belongs to its page.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/stats_log.h"
#include "tui/stats_rows.h"

#define PLACES_MAX 8192u /* of instruction and reason; the rest is counted, not shown */
#define TABLE_SIZE (2 * PLACES_MAX)

void places_free(struct places *p)
{
	for (unsigned i = 0; i < PLACES_LEVELS; i++)
		free(p->at[i]);
	memset(p, 0, sizeof(*p));
}

/* --- counting ------------------------------------------------------------------------------------------------------
 */

static bool same(const struct place *p, const struct view_exit *e, bool has_rip)
{
	return p->count && p->has_rip == has_rip && (!has_rip || p->rip == e->rip) && p->reason == e->reason &&
	       p->isa == e->isa;
}

static void count(struct place *hash, size_t *n, const struct view_exit *e, uint64_t *left_out)
{
	bool has_rip = e->has & VIEW_HAS_RIP;
	uint64_t key = (has_rip ? e->rip : 0) ^ (uint64_t)e->reason << 40 ^ (uint64_t)e->isa << 60;
	size_t k = (size_t)((key * 0x9e3779b97f4a7c15ull) >> 40) % TABLE_SIZE;

	while (hash[k].count && !same(&hash[k], e, has_rip))
		k = (k + 1) % TABLE_SIZE;
	if (hash[k].count) {
		hash[k].count++;
		return;
	}
	if (*n == PLACES_MAX) {
		++*left_out;
		return;
	}
	char name[48];

	++*n;
	hash[k] = (struct place){
	    .count = 1, .rip = has_rip ? e->rip : 0, .has_rip = has_rip, .reason = e->reason, .isa = e->isa};
	snprintf(hash[k].label, sizeof(hash[k].label), "%s", view_exit_name(e, name, sizeof(name)));
}

static void symbol_label(const struct place *leaf, const struct symbols *syms, char *buf, size_t n)
{
	uint64_t offset;
	const char *name = leaf->has_rip ? symbols_find(syms, leaf->rip, &offset) : NULL;

	if (!leaf->has_rip)
		snprintf(buf, n, "place not known");
	else if (name)
		snprintf(buf, n, "%s", name);
	else
		snprintf(buf, n, "page 0x%llx", (unsigned long long)leaf->rip >> 12 << 12);
}

/* --- levels --------------------------------------------------------------------------------------------------------
 */

/* A leaf with the label of its symbol, while the levels are made. */
struct leaf {
	struct place p;
	char symbol[64];
};

static int by_place(const void *pa, const void *pb)
{
	const struct leaf *a = pa, *b = pb;
	int d = strcmp(a->symbol, b->symbol);

	if (d)
		return d;
	return a->p.rip < b->p.rip ? -1 : a->p.rip > b->p.rip;
}

static int by_count(const void *pa, const void *pb)
{
	const struct place *a = pa, *b = pb;

	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return strcmp(a->label, b->label);
}

static struct leaf *leaves_of(const struct place *hash, size_t n, const struct symbols *syms)
{
	struct leaf *leaves = calloc(n ? n : 1, sizeof(*leaves));
	size_t k = 0;

	for (size_t i = 0; leaves && i < TABLE_SIZE; i++) {
		if (!hash[i].count)
			continue;
		leaves[k].p = hash[i];
		symbol_label(&hash[i], syms, leaves[k].symbol, sizeof(leaves[k].symbol));
		k++;
	}
	if (leaves)
		qsort(leaves, n, sizeof(*leaves), by_place);
	return leaves;
}

static struct place *append(struct places *p, unsigned level, const struct place *like, uint32_t parent)
{
	struct place *n = &p->at[level][p->n[level]++];

	*n = *like;
	n->count = 0;
	n->n = 0;
	n->first = level + 1 < PLACES_LEVELS ? (uint32_t)p->n[level + 1] : 0;
	n->parent = parent;
	return n;
}

/* Leaves in order of place become three levels. */
static void group(struct places *p, const struct leaf *leaves, size_t n)
{
	struct place *all = append(p, PLACES_ALL, &(struct place){.label = "all exits"}, 0), *sym = NULL, *rip = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct leaf *l = &leaves[i];
		bool new_sym = i == 0 || strcmp(l->symbol, leaves[i - 1].symbol) != 0;

		if (new_sym) {
			sym = append(p, PLACES_SYMBOL, &l->p, 0);
			snprintf(sym->label, sizeof(sym->label), "%s", l->symbol);
			all->n++;
		}
		if (new_sym || l->p.rip != leaves[i - 1].p.rip) {
			rip = append(p, PLACES_RIP, &l->p, (uint32_t)p->n[PLACES_SYMBOL] - 1);
			if (l->p.has_rip)
				snprintf(rip->label, sizeof(rip->label), "0x%llx", (unsigned long long)l->p.rip);
			else
				snprintf(rip->label, sizeof(rip->label), "?");
			sym->n++;
		}
		struct place *leaf = append(p, PLACES_REASON, &l->p, (uint32_t)p->n[PLACES_RIP] - 1);

		leaf->count = l->p.count;
		rip->n++;
		rip->count += leaf->count;
		sym->count += leaf->count;
		all->count += leaf->count;
	}
}

/* Most exits first, level by level: a level is sorted in the stretches that belong to one parent, and then the children
 * are told their parent's new place. */
static void order(struct places *p)
{
	for (unsigned level = PLACES_ALL; level + 1 < PLACES_LEVELS; level++)
		for (uint32_t i = 0; i < p->n[level]; i++) {
			struct place *parent = &p->at[level][i];

			qsort(p->at[level + 1] + parent->first, parent->n, sizeof(struct place), by_count);
			for (uint32_t k = 0; k < parent->n; k++)
				p->at[level + 1][parent->first + k].parent = i;
		}
}

bool places_build(struct places *p, struct view_model *m, uint64_t first, uint64_t end, const struct symbols *syms)
{
	struct place *hash = calloc(TABLE_SIZE, sizeof(*hash));
	struct leaf *leaves;
	size_t n = 0;
	bool ok;

	places_free(p);
	if (!hash)
		return false;
	for (uint64_t pos = first; pos < end; pos++) {
		const struct view_exit *e = view_log_at(m, pos);

		if (e && !(e->has & VIEW_CHILD))
			count(hash, &n, e, &p->left_out);
	}
	leaves = leaves_of(hash, n, syms);
	ok = leaves != NULL;
	for (unsigned i = 0; i < PLACES_LEVELS && ok; i++)
		ok = (p->at[i] = calloc(i == PLACES_ALL ? 1 : n ? n : 1, sizeof(struct place))) != NULL;
	if (ok) {
		group(p, leaves, n);
		order(p);
	} else {
		places_free(p);
	}
	free(leaves);
	free(hash);
	return ok;
}

/* --- JSON ----------------------------------------------------------------------------------------------------------
 */

static json_t *node_json(const struct places *p, unsigned level, uint32_t i)
{
	const struct place *n = &p->at[level][i];
	json_t *o = json_object(), *children = json_array();

	json_object_set_new(o, "name", text_json(n->label));
	json_object_set_new(o, "count", json_integer((json_int_t)n->count));
	if (level == PLACES_RIP)
		json_object_set_new(o, "rip", n->has_rip ? json_integer((json_int_t)n->rip) : json_null());
	if (level == PLACES_REASON)
		json_object_set_new(o, "reason", json_integer(n->reason));
	for (uint32_t k = 0; level + 1 < PLACES_LEVELS && k < n->n; k++)
		json_array_append_new(children, node_json(p, level + 1, n->first + k));
	if (level + 1 < PLACES_LEVELS)
		json_object_set_new(o, "children", children);
	else
		json_decref(children);
	return o;
}

json_t *places_json(const struct places *p)
{
	json_t *o;

	if (p->n[PLACES_ALL] == 0)
		return json_null();
	o = node_json(p, PLACES_ALL, 0);
	json_object_set_new(o, "left_out", json_integer((json_int_t)p->left_out));
	return o;
}
