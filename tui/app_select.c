/*
 * The selected exit, marks, search and filter. See app_impl.h.
 */
#include "tui/app_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum err needs_model(struct app *a, struct view_model **m, struct errmsg *why)
{
	*m = app_model(a);
	return *m ? ERR_OK : err_set(why, ERR_UNSUPPORTED, "there is no guest and no trace here");
}

/* --- marks ------------------------------------------------------------------------------------------------------ */
static size_t mark_place(const struct app *a, uint64_t number)
{
	size_t lo = 0, hi = a->n_marks;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (a->marks[mid] < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool app_marked(const struct app *a, uint64_t number)
{
	size_t i = mark_place(a, number);

	return i < a->n_marks && a->marks[i] == number;
}

static enum err toggle_mark(struct app *a, uint64_t number, struct errmsg *why)
{
	size_t i = mark_place(a, number);

	if (i < a->n_marks && a->marks[i] == number) {
		memmove(a->marks + i, a->marks + i + 1, (a->n_marks - i - 1) * sizeof(*a->marks));
		a->n_marks--;
		return ERR_OK;
	}
	if (a->n_marks == a->marks_room) {
		size_t room = a->marks_room ? a->marks_room * 2 : 64;
		uint64_t *more = realloc(a->marks, room * sizeof(*more));

		if (!more)
			return err_set(why, ERR_NOMEM, "no memory for another mark");
		a->marks = more;
		a->marks_room = room;
	}
	memmove(a->marks + i + 1, a->marks + i, (a->n_marks - i) * sizeof(*a->marks));
	a->marks[i] = number;
	a->n_marks++;
	return ERR_OK;
}

static enum err cmd_mark(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct view_model *m;
	enum err e = needs_model(a, &m, why);
	uint64_t number, pos;
	bool there;

	(void)v;
	if (e != ERR_OK)
		return e;
	view_model_lock(m);
	number = view_now(m)->selected;
	view_model_unlock(m);
	e = app_number(args, number, &number, why);
	if (e != ERR_OK)
		return e;
	view_model_lock(m);
	there = view_log_find(m, number, &pos);
	view_model_unlock(m);
	if (!there && !app_marked(a, number))
		return err_set(why, ERR_NOENT, "there is no exit %llu to mark", (unsigned long long)number);
	return toggle_mark(a, number, why);
}

/* --- the selected exit ------------------------------------------------------------------------------------------ */
static enum err no_such_exit(struct view_model *m, uint64_t number, struct errmsg *why)
{
	uint64_t first = 0, last = 0;

	view_model_lock(m);
	bool any = view_log_numbers(m, &first, &last);
	view_model_unlock(m);
	if (!any)
		return err_set(why, ERR_NOENT, "there was no exit yet; e runs to the first");
	return err_set(why, ERR_NOENT, "exit %llu is not in the log: it has %llu to %llu", (unsigned long long)number,
	    (unsigned long long)first, (unsigned long long)last);
}

enum err app_select_number(struct app *a, uint64_t number, struct errmsg *why)
{
	struct view_model *m;
	enum err e = needs_model(a, &m, why);
	uint64_t pos;
	bool there;

	if (e != ERR_OK)
		return e;
	view_model_lock(m);
	there = view_log_find(m, number, &pos);
	view_model_unlock(m);
	if (!there)
		return no_such_exit(m, number, why);
	a->following = false;
	view_model_select(m, number);
	return ERR_OK;
}

/* What a search through the log accepts: hardware exits that the filter shows. */
struct wanted {
	struct app *a;
	struct view_model *m;
	bool any_reason, marked;
	uint32_t reason;
	uint8_t isa;
};

static bool accepts(void *arg, const struct view_exit *e)
{
	const struct wanted *w = arg;

	return e->number != UINT64_MAX && !(e->has & VIEW_CHILD) && (!w->marked || app_marked(w->a, e->number)) &&
	       (w->any_reason || (e->reason == w->reason && e->isa == w->isa)) && view_log_shown(w->m, e);
}

/* same: of the selected exit's reason; reason: of this one (UINT32_MAX: any). */
static enum err select_from(struct app *a, int dir, bool same, bool marked, uint32_t reason, struct errmsg *why)
{
	struct view_model *m;
	enum err e = needs_model(a, &m, why);
	struct wanted w = {.a = a, .any_reason = !same && reason == UINT32_MAX, .marked = marked, .reason = reason};
	const struct view_exit *x;
	uint64_t pos, number = 0, selected;
	bool found;

	if (e != ERR_OK)
		return e;
	w.m = m;
	view_model_lock(m);
	selected = view_now(m)->selected;
	found = view_log_find(m, selected, &pos);
	x = found ? view_log_at(m, pos) : NULL;
	if (x) {
		w.isa = x->isa;
		if (same)
			w.reason = x->reason;
	}
	found = x && view_log_search(m, pos, dir, accepts, &w, &pos) && (x = view_log_at(m, pos));
	if (found)
		number = x->number;
	view_model_unlock(m);
	if (!w.m || !x)
		return no_such_exit(m, selected, why);
	if (!found)
		return err_set(why, ERR_NOENT, "no %sexit%s %s this one%s", marked ? "marked " : "",
		    w.any_reason ? "" : " of this reason", dir > 0 ? "after" : "before",
		    a->filter ? " passes the filter" : "");
	a->following = false;
	view_model_select(m, number);
	return ERR_OK;
}

enum err app_select_dir(struct app *a, int dir, struct errmsg *why)
{
	return select_from(a, dir, false, false, UINT32_MAX, why);
}

enum err app_select_reason(struct app *a, uint32_t reason, struct errmsg *why)
{
	return select_from(a, 1, false, false, reason, why);
}

static const char *const select_words[] = {"next", "prev", "next same", "prev same", "next mark", "prev mark", "last"};

static const char *select_word(struct app *a, struct view *v, unsigned i)
{
	(void)a;
	(void)v;
	return i < ARRAY_LEN(select_words) ? select_words[i] : NULL;
}

static enum err cmd_select(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	uint64_t number;

	(void)v;
	if (!strcmp(args, "last")) {
		a->following = true;
		return ERR_OK;
	}
	for (unsigned i = 0; i < 6; i++)
		if (!strcmp(args, select_words[i]))
			return select_from(a, i % 2 ? -1 : 1, i == 2 || i == 3, i >= 4, UINT32_MAX, why);
	if (!app_parse_u64(args, &number))
		return err_set(
		    why, ERR_INVAL, "select K, next, prev, next same, prev same, next mark, prev mark or last");
	return app_select_number(a, number, why);
}

static enum err cmd_follow(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)v;
	if (*args && strcmp(args, "on") != 0 && strcmp(args, "off") != 0)
		return err_set(why, ERR_INVAL, "'on' or 'off', not '%s'", args);
	a->following = *args ? !strcmp(args, "on") : !a->following;
	app_message(a, "%s",
	    a->following ? "follows the newest exit" : "stays with the selected exit; F follows the newest again");
	return ERR_OK;
}

/* --- search ----------------------------------------------------------------------------------------------------- */
static enum err search_on(struct app *a, int dir, struct errmsg *why)
{
	struct view *v = app_top(a);

	if (!a->search)
		return err_set(why, ERR_NOENT, "nothing is searched for: / begins a search");
	if (!v || !v->ops->search)
		return err_set(why, ERR_UNSUPPORTED, "nothing can be searched in this view");
	if (!v->ops->search(a, v, a->search, dir))
		return err_set(why, ERR_NOENT, "'%s' is not %s this line", a->search, dir > 0 ? "below" : "above");
	return ERR_OK;
}

enum err app_search(struct app *a, const char *text, struct errmsg *why)
{
	char *copy = *text ? strdup(text) : NULL;

	if (*text && !copy)
		return err_set(why, ERR_NOMEM, "no memory for the search");
	free(a->search);
	a->search = copy;
	app_touch(a);
	return copy ? search_on(a, 1, why) : ERR_OK;
}

static enum err cmd_search(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)v;
	return app_search(a, args, why);
}

static enum err cmd_search_next(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)v;
	(void)args;
	return search_on(a, 1, why);
}

static enum err cmd_search_prev(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)v;
	(void)args;
	return search_on(a, -1, why);
}

/* --- filter ----------------------------------------------------------------------------------------------------- */
enum err app_filter(struct app *a, const char *text, size_t *at, struct errmsg *why)
{
	struct view_model *m;
	enum err e = needs_model(a, &m, why);
	char *copy = *text ? strdup(text) : NULL;

	*at = 0;
	if (e == ERR_OK && *text && !copy)
		e = err_set(why, ERR_NOMEM, "no memory for the filter");
	if (e == ERR_OK) {
		view_model_lock(m);
		e = view_filter_set(m, copy, at, why);
		view_model_unlock(m);
	}
	if (e != ERR_OK) {
		free(copy);
		return e;
	}
	free(a->filter);
	a->filter = copy;
	app_touch(a);
	return ERR_OK;
}

static enum err cmd_filter(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct errmsg inner = {""};
	size_t at;
	enum err e = app_filter(a, args, &at, &inner);

	(void)v;
	return e == ERR_OK ? e : err_set(why, e, "filter: %s", inner.text);
}

const struct command app_commands_select[] = {
    {"select", "K|next|prev|next same|prev same|next mark|prev mark|last", "Chooses the exit that views are about.",
	cmd_select, select_word},
    {"follow", "[on|off]", "Keeps the newest exit selected.", cmd_follow, NULL},
    {"mark", "[K]", "Marks an exit, or takes its mark away.", cmd_mark, NULL},
    {"search", "TEXT", "Goes to the next line with this text.", cmd_search, NULL},
    {"search next", "", "The next one.", cmd_search_next, NULL},
    {"search prev", "", "The one before.", cmd_search_prev, NULL},
    {"filter", "[EXPR]",
	"Shows only exits that pass, as exit_reason == CPUID (libtraceevent's syntax); without EXPR, all.", cmd_filter,
	NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
