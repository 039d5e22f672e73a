/*
 * Scripts: files of command lines, and the commands that only scripts need. Lines are taken one by one (app_pump()), so
 * that a script which waits for the guest does not hold the screen up.
 */
#include "tui/app_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *read_all(FILE *f)
{
	size_t n = 0, room = 4096;
	char *text = malloc(room);

	while (text) {
		size_t got = fread(text + n, 1, room - n - 1, f);

		n += got;
		if (!got)
			break;
		if (n + 1 == room) {
			char *more = realloc(text, room *= 2);

			if (!more)
				free(text);
			text = more;
		}
	}
	if (text)
		text[n] = '\0';
	return text;
}

static enum err push(struct app *a, const char *path, struct errmsg *why)
{
	bool std = !strcmp(path, "-");
	struct app_script *s = &a->script[a->n_scripts];
	FILE *f;

	if (a->n_scripts == APP_SCRIPTS_MAX)
		return err_set(why, ERR_RANGE, "%s: scripts call each other more than %d deep", path, APP_SCRIPTS_MAX);
	f = std ? stdin : fopen(path, "re");
	if (!f)
		return err_set(why, ERR_NOENT, "%s: cannot be read: %s", path, strerror(errno));
	*s = (struct app_script){.path = strdup(path), .text = read_all(f)};
	if (!std)
		fclose(f);
	if (!s->path || !s->text) {
		free(s->path);
		free(s->text);
		return err_set(why, ERR_NOMEM, "%s: no memory to read it", path);
	}
	s->next = s->text;
	a->n_scripts++;
	return ERR_OK;
}

static void pop(struct app *a)
{
	struct app_script *s = &a->script[--a->n_scripts];

	free(s->path);
	free(s->text);
}

void app_scripts_drop(struct app *a)
{
	while (a->n_scripts)
		pop(a);
	a->waiting = false;
	a->sleep_until = 0;
}

/* The next line; NULL at the end. */
static char *next_line(struct app_script *s)
{
	char *line = s->next, *end;

	if (!*line)
		return NULL;
	end = strchr(line, '\n');
	if (end)
		*end = '\0';
	s->next = end ? end + 1 : line + strlen(line);
	s->line++;
	line += strspn(line, " \t\r");
	return line;
}

static enum err one_line(struct app *a, struct app_script *s, const char *line, struct errmsg *why)
{
	struct errmsg inner = {""};
	unsigned at = s->line;
	char path[160];
	enum err e;

	/* Running the line may end this script ("quit") or begin another. */
	snprintf(path, sizeof(path), "%s", s->path);
	e = app_command(a, line, &inner);
	return e == ERR_OK ? e : err_set(why, e, "%s:%u: %s", path, at, inner.text);
}

static bool held_up(struct app *a)
{
	if (a->waiting && app_running(a))
		return true;
	a->waiting = false;
	if (a->sleep_until && app_now_ns(a) < a->sleep_until)
		return true;
	a->sleep_until = 0;
	return false;
}

static bool ended(const struct app *a)
{
	return a->cfg.ended && *a->cfg.ended;
}

/* Runs lines until there are none, one is wrong, or one has to be waited for. */
enum err app_pump(struct app *a, struct errmsg *why)
{
	enum err e = ERR_OK;

	if (!a->n_scripts || a->pumping)
		return ERR_OK;
	a->pumping = true;
	while (a->n_scripts && !ended(a) && !a->quit && e == ERR_OK && !held_up(a)) {
		struct app_script *s = &a->script[a->n_scripts - 1];
		char *line = next_line(s);

		if (!line)
			pop(a);
		else if (*line && *line != '#')
			e = one_line(a, s, line, why);
	}
	a->pumping = false;
	if (e != ERR_OK || a->quit || ended(a))
		app_scripts_drop(a);
	return e;
}

enum err app_script(struct app *a, const char *path, struct errmsg *why)
{
	enum err e = push(a, path, why);

	while (e == ERR_OK && a->n_scripts) {
		e = app_pump(a, why);
		if (e == ERR_OK && a->n_scripts)
			poll(NULL, 0, 5);
	}
	return e;
}

/* --- commands --------------------------------------------------------------------------------------------------- */
static enum err cmd_source(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	enum err e;

	(void)v;
	if (!*args)
		return err_set(why, ERR_INVAL, "source FILE: a file of commands");
	e = push(a, args, why);
	return e != ERR_OK ? e : app_pump(a, why);
}

static enum err cmd_wait(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)v;
	a->waiting = true;
	return app_no_args(args, why);
}

static enum err cmd_sleep(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	char *end;
	double s = strtod(args, &end);

	(void)v;
	if (end == args || *end || !isfinite(s) || s < 0 || s > 3600)
		return err_set(why, ERR_INVAL, "sleep SECONDS: 0 to 3600, not '%s'", args);
	a->sleep_until = app_now_ns(a) + (uint64_t)(s * 1e9);
	return ERR_OK;
}

static enum err cmd_echo(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)v;
	if (!a->cfg.out)
		app_message(a, "%s", args);
	else if (fprintf(a->cfg.out, "%s\n", args) < 0)
		return err_set(why, ERR_IO, "standard output: cannot be written: %s", strerror(errno));
	return ERR_OK;
}

static enum err cmd_expect(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	char *text = app_screen_text(a, false);
	bool there = text && strstr(text, args);

	(void)v;
	free(text);
	return there ? ERR_OK : err_set(why, ERR_NOENT, "'%s' is not on the screen", args);
}

static enum err cmd_key(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct key_event k = {.key = key_by_name(args)};

	(void)v;
	if (k.key == KEY_NONE)
		return err_set(why, ERR_NOENT, "no key '%s': as help names them (a, F5, C-l, PgUp)", args);
	/* A frame first: what a key does may depend on what was seen last. */
	screen_resize(&a->own, a->w, a->h);
	app_draw(a, &a->own);
	app_key(a, &k);
	return ERR_OK;
}

static enum err cmd_resize(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	char word[16];
	uint64_t w, h;

	(void)v;
	if (!app_word(&args, word, sizeof(word)) || !app_parse_u64(word, &w) || !app_parse_u64(args, &h) || !w || !h ||
	    w > 1000 || h > 1000)
		return err_set(why, ERR_INVAL, "resize COLUMNS ROWS: each 1 to 1000");
	a->w = (int)w;
	a->h = (int)h;
	return ERR_OK;
}

/* "vmscope-1.txt", the first number that is free. */
static FILE *own_name(char *path, size_t n)
{
	for (unsigned i = 1; i < 10000; i++) {
		FILE *f;

		snprintf(path, n, "vmscope-%u.txt", i);
		f = fopen(path, "wxe");
		if (f || errno != EEXIST)
			return f;
	}
	return NULL;
}

static enum err cmd_dump(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	bool styles = !strncmp(args, "styles ", 7), out;
	char path[256], *text;
	FILE *f;
	int failed;

	(void)v;
	args += styles ? strlen("styles ") : 0;
	out = !strcmp(args, "-");
	if (out && !a->cfg.out)
		return err_set(why, ERR_INVAL, "dump FILE: standard output is this screen");
	snprintf(path, sizeof(path), "%s", args);
	f = out ? a->cfg.out : *args ? fopen(args, "we") : own_name(path, sizeof(path));
	if (!f)
		return err_set(why, ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
	text = app_screen_text(a, styles);
	failed = !text || fputs(text, f) < 0;
	failed |= out ? fflush(f) : fclose(f);
	free(text);
	if (failed)
		return err_set(why, ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
	if (!out)
		app_message(a, "the screen is in %s", path);
	return ERR_OK;
}

const struct command app_commands_script[] = {
    {"source", "FILE", "Runs the commands of a file.", cmd_source, NULL},
    {"wait", "", "In a script: until what was begun is done.", cmd_wait, NULL},
    {"sleep", "SECONDS", "In a script: waits.", cmd_sleep, NULL},
    {"echo", "TEXT", "Prints a line.", cmd_echo, NULL},
    {"expect", "TEXT", "Fails when the text is not on the screen.", cmd_expect, NULL},
    {"key", "NAME", "Presses a key.", cmd_key, NULL},
    {"resize", "COLUMNS ROWS", "In a script: another size of the screen.", cmd_resize, NULL},
    {"dump", "[styles] [FILE]", "Writes the screen to a file; styles: with that of each cell.", cmd_dump, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
