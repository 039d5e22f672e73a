/*
 * Help: a text that is made of the very tables that dispatch keys and commands, so that it cannot be wrong about them.
 */
#include "tui/app_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The sentence of the command that a line runs; "" when there is none (a user's own mistake). */
static const char *sentence(const struct view *v, const char *line)
{
	const char *best = "";
	size_t len = 0;

	for (int i = v ? -1 : 0; i < 0 || app_command_tables[i]; i++)
		for (const struct command *c = i < 0 ? v->ops->commands : app_command_tables[i]; c && c->name; c++) {
			size_t n = strlen(c->name);

			if (n > len && !strncmp(line, c->name, n) && (!line[n] || line[n] == ' ')) {
				best = c->help;
				len = n;
			}
		}
	return best;
}

/* Is it one of this run's? A trace has keys of its own. */
static bool listed(const struct app *a, const struct app_binding *b)
{
	return b->group && b->when != (a->cfg.engine ? WHEN_TRACE : WHEN_ENGINE);
}

/* What a key does. "line vmexit" asks for the rest of a command, "view 3" is better known by its title. */
static const char *what(struct app *a, const struct view *v, const char *line)
{
	unsigned n;

	for (const struct app_binding *b = app_bindings; b->b.key; b++)
		if (b->help && listed(a, b) && !strcmp(b->b.command, line))
			return b->help;
	if (sscanf(line, "view %u", &n) == 1)
		return n && n <= a->n_views ? a->view[n - 1].ops->title : NULL;
	return sentence(v, strncmp(line, "line ", 5) ? line : line + 5);
}

static void key_line(FILE *f, const char *key, const char *command, const char *help)
{
	fprintf(f, "  %-12s %-20s %s\n", key, command, help);
}

static void view_keys(FILE *f, struct app *a, const struct view *v)
{
	char name[16];

	fprintf(f, "%s: %s\n", v->ops->title, v->ops->about);
	for (const struct binding *b = v->ops->bindings; b && b->key; b++)
		key_line(f, b->key, b->command, what(a, v, b->command));
	for (size_t i = 0; i < a->config.n_keys; i++) {
		const struct tui_key *k = &a->config.keys[i];

		if (!k->view[0] || !strcmp(k->view, v->ops->name))
			key_line(f, key_to_name(k->key, name), k->command, "(yours)");
	}
	fputc('\n', f);
}

/* All keys of one group, with those that do the same on one line. */
static void group(FILE *f, struct app *a, const struct view *v, const char *name)
{
	fprintf(f, "%s\n", name);
	for (const struct app_binding *b = app_bindings; b->b.key; b++) {
		char keys[40];
		size_t n;
		bool again = false;

		if (!listed(a, b) || strcmp(b->group, name) != 0 || !what(a, v, b->b.command))
			continue;
		for (const struct app_binding *o = app_bindings; o < b; o++)
			again |= listed(a, o) && !strcmp(o->b.command, b->b.command);
		if (again)
			continue;
		n = (size_t)snprintf(keys, sizeof(keys), "%s", b->b.key);
		for (const struct app_binding *o = b + 1; o->b.key; o++)
			if (listed(a, o) && !strcmp(o->b.command, b->b.command) && n + 10 < sizeof(keys))
				n += (size_t)snprintf(keys + n, sizeof(keys) - n, " %s", o->b.key);
		key_line(f, keys, b->b.command, what(a, v, b->b.command));
	}
	fputc('\n', f);
}

static void commands(FILE *f, const struct command *t)
{
	for (; t && t->name; t++) {
		char usage[128];

		snprintf(usage, sizeof(usage), "%s %s", t->name, t->args);
		if (strlen(usage) > 26)
			fprintf(f, "  %s\n  %-26s %s\n", usage, "", t->help);
		else
			fprintf(f, "  %-26s %s\n", usage, t->help);
	}
}

char *app_help_text(struct app *a)
{
	static const char *const groups[] = {
	    "Run control", "Exits", "Views", "Moving", "Search and filter", "The program"};
	struct view *v = app_below_pager(a);
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	fputs("Keys. Each stands for a command; ':' and the command does the same.\n\n", f);
	if (v)
		view_keys(f, a, v);
	for (unsigned i = 0; i < ARRAY_LEN(groups); i++)
		if (a->cfg.engine || strcmp(groups[i], "Run control") != 0)
			group(f, a, v, groups[i]);
	fprintf(f, "n is the next match while a search is on (Esc ends it)%s.\n",
	    a->cfg.engine ? ", and steps over otherwise" : "");
	fputs("The mouse: a click moves the cursor, a double click drills in, the wheel scrolls, words of the bottom "
	      "line can be clicked. M gives it back to the terminal.\n\n",
	    f);
	if (v && v->ops->commands) {
		fprintf(f, "Commands of this view\n");
		commands(f, v->ops->commands);
		fputc('\n', f);
	}
	fputs("Commands. The beginning of a name will do where there is one such; Tab completes.\n", f);
	for (unsigned i = 0; app_command_tables[i]; i++)
		commands(f, app_command_tables[i]);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
