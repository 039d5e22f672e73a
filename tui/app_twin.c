/*
 * Twins: a view as text and as JSON, for scripts and screen readers.
 */
#include "tui/app_impl.h"

#include <stdlib.h>
#include <string.h>

#define TWIN_ROWS 60 /* a text twin shows what a screen this high would */

/* The view by its name, opened and collected; the stack stays as it is. */
static struct view *prepare(struct app *a, const char *name, int w, int h, struct errmsg *why)
{
	struct view *found = name ? NULL : app_top(a);

	for (unsigned i = 0; name && i < a->n_views; i++)
		if (!strcmp(a->view[i].ops->name, name))
			found = &a->view[i];
	if (!found) {
		(void)app_no_view(a, name ? name : "", why);
		return NULL;
	}
	if (app_start(a, found, why) != ERR_OK)
		return NULL;
	found->at = (struct rect){0, 0, w, h};
	app_collect(a, found, w, h);
	return found;
}

/* Blank lines at the end, and more than one in a row, say nothing in a text. */
static void squeeze(char *text)
{
	char *out = text;

	for (char *p = text; *p; p++)
		if (*p != '\n' || out < text + 2 || out[-1] != '\n' || out[-2] != '\n')
			*out++ = *p;
	while (out > text + 1 && out[-1] == '\n' && out[-2] == '\n')
		out--;
	*out = '\0';
}

char *app_view_text(struct app *a, const char *name, int w, struct errmsg *why)
{
	struct rect r = {0, 0, w, TWIN_ROWS};
	struct view *v = prepare(a, name, w, TWIN_ROWS, why);
	struct screen s;
	char *text;

	if (!v)
		return NULL;
	if (!screen_init(&s, w, TWIN_ROWS, a->cfg.ascii)) {
		err_set(why, ERR_NOMEM, "no memory for a screen of %d columns", w);
		return NULL;
	}
	v->ops->draw(a, v, &s, &r);
	text = screen_dump(&s, false);
	screen_fini(&s);
	if (text)
		squeeze(text);
	else
		err_set(why, ERR_NOMEM, "no memory for the text of the view");
	v->at = app_view_rect(a->w, a->h);
	a->stale = true;
	return text;
}

json_t *app_view_json(struct app *a, const char *name, struct errmsg *why)
{
	struct rect r = app_view_rect(a->w, a->h);
	struct view *v = prepare(a, name, r.w, r.h, why);
	json_t *j;

	if (!v)
		return NULL;
	if (!v->ops->json) {
		err_set(why, ERR_UNSUPPORTED, "the view %s has no JSON", v->ops->name);
		return NULL;
	}
	j = v->ops->json(a, v);
	/* All of them say what they are, in the same way. */
	if (json_object_set_new(j, "view", json_string(v->ops->name)) != 0) {
		json_decref(j);
		j = NULL;
	}
	if (!j)
		err_set(why, ERR_NOMEM, "no memory for the JSON of the view");
	return j;
}

char *app_screen_text(struct app *a, bool styles)
{
	if (!screen_resize(&a->own, a->w, a->h))
		return NULL;
	app_draw(a, &a->own);
	return screen_dump(&a->own, styles);
}
