/*
 * vmscope lab list, show, start, new: the book of labs, for who learns and who teaches.
 */
#include <argp.h>
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/grading.h"
#include "cli/lab_cmds.h"
#include "labs/book.h"
#include "labs/lab_file.h"
#include "labs/tree.h"

/* Arguments without options: at least min, at most two. */
struct words {
	const char *word[2];
	unsigned n, min;
	const char *usage;
};

static error_t parse_words(int key, char *arg, struct argp_state *state)
{
	struct words *w = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (w->n == ARRAY_LEN(w->word) || (w->min == 0))
			return cli_usage("%s: %s", arg, w->usage);
		w->word[w->n++] = arg;
		return 0;
	case ARGP_KEY_END:
		return w->n >= w->min ? 0 : cli_usage("%s", w->usage);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int64_t points_of(const struct lab_info *l)
{
	int64_t sum = 0;

	for (size_t i = 0; i < l->n_tasks; i++)
		sum += l->tasks[i].max;
	return sum;
}

static int64_t prediction_points_of(const struct lab_info *l)
{
	int64_t sum = 0;

	for (size_t i = 0; i < l->n_predictions; i++)
		sum += l->predictions[i].max;
	return sum;
}

static bool file_has(const char *dir, const char *name, const char *words)
{
	char path[PATH_MAX];
	size_t n;
	char *text =
	    snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path ? tree_read(path, 1u << 20, &n) : NULL;
	bool has = text && strstr(text, words);

	free(text);
	return has;
}

/* What a machine must have beside vmscope. */
static const char *needs(const struct lab_place *p)
{
	char guests[PATH_MAX];

	if (file_has(p->dir, "scenes.lua", "vmscope.asm"))
		return "as, ld";
	return snprintf(guests, sizeof guests, "%s/guests", p->dir) < (int)sizeof guests && access(guests, F_OK) == 0
		   ? "as, ld"
		   : "-";
}

/* --- list --------------------------------------------------------------------------------------------------------- */

static int list_row(const struct lab_place *p, struct errmsg *why)
{
	char minutes[24] = "-", points[24];
	struct lab_file f;
	enum err e = lab_file_open(&f, p->dir, NULL, 1, why);

	if (!e) {
		if (f.info.minutes[1])
			snprintf(minutes, sizeof minutes, "%d-%d", f.info.minutes[0], f.info.minutes[1]);
		printf("%-26s %8s %7s  %-7s %s\n", p->id, minutes, grading_points(points_of(&f.info), points), needs(p),
		    f.info.title);
	}
	lab_file_close(&f);
	return e ? cli_fail_err(e, why) : CLI_OK;
}

int cmd_lab_list(int argc, char **argv)
{
	static const struct argp argp = {.parser = parse_words,
	    .doc = "List the labs: how long they take, what they are worth, and what the machine must have beside "
		   "vmscope. "
		   "VMSCOPE_LABS is a folder of other labs."};
	struct words w = {.usage = "lab list takes no argument"};
	struct lab_place *labs = NULL;
	struct errmsg why = {""};
	size_t n;
	int status = cli_parse(&argp, argc, argv, &w);

	if (status)
		return status;
	enum err e = lab_list(&labs, &n, &why);
	if (e)
		return cli_fail_err(e, &why);
	printf("%-26s %8s %7s  %-7s %s\n", "lab", "minutes", "points", "needs", "title");
	for (size_t i = 0; i < n; i++) {
		int bad = list_row(&labs[i], &why);
		status = bad ? bad : status;
	}
	puts("\n\"vmscope lab show 01\" shows one, \"vmscope lab start 01 DIR\" begins it in the new folder DIR.");
	free(labs);
	return status;
}

/* --- show --------------------------------------------------------------------------------------------------------- */

static void show_readme(const struct lab_place *p)
{
	char path[PATH_MAX];
	size_t n;
	char *text = snprintf(path, sizeof path, "%s/README.md", p->dir) < (int)sizeof path
			 ? tree_read(path, 1u << 20, &n)
			 : NULL;

	if (text)
		fwrite(text, 1, n, stdout);
	free(text);
}

static void show_tasks(const struct lab_info *l)
{
	char points[24];

	puts("\n## What is graded\n");
	for (size_t i = 0; i < l->n_tasks; i++) {
		const struct lab_task *t = &l->tasks[i];
		printf("  %5s  %-14s %s%s", grading_points(t->max, points), t->id, t->title,
		    t->hidden ? " (seen by the grader only)" : "");
		for (size_t k = 0; k < t->n_after; k++)
			printf("%s%s", k ? ", " : " (after ", t->after[k]);
		puts(t->n_after ? ")" : "");
	}
	printf("  %5s  in all\n", grading_points(points_of(l), points));
	if (l->n_predictions)
		printf("\n## Predictions, made before anything is run (predictions.lua; %s points, counted apart)\n\n",
		    grading_points(prediction_points_of(l), points));
	for (size_t i = 0; i < l->n_predictions; i++)
		printf("  %5s  %-14s %s\n", grading_points(l->predictions[i].max, points), l->predictions[i].id,
		    l->predictions[i].ask);
	printf("\nHanded in: predictions.lua");
	for (size_t i = 0; i < l->n_files; i++)
		if (strcmp(l->files[i], "predictions.lua") != 0)
			printf(", %s", l->files[i]);
	puts("");
}

int cmd_lab_show(int argc, char **argv)
{
	static const struct argp argp = {.parser = parse_words,
	    .args_doc = "LAB",
	    .doc =
		"Show a lab: its README, tasks, predictions and points. LAB is an id (04_cpuid, 04, 4) or a folder."};
	struct words w = {.min = 1, .usage = "lab show: name a LAB: \"vmscope lab list\" lists them"};
	struct errmsg why = {""};
	struct lab_place p;
	struct lab_file f;
	int status = cli_parse(&argp, argc, argv, &w);

	if (status)
		return status;
	if (w.n > 1)
		return cli_usage("lab show: %s: one lab at a time", w.word[1]);
	enum err e = lab_find(w.word[0], &p, &why);
	if (e)
		return cli_fail_err(e, &why);
	e = lab_file_open(&f, p.dir, NULL, 1, &why);
	if (!e) {
		show_readme(&p);
		show_tasks(&f.info);
	}
	lab_file_close(&f);
	return e ? cli_fail_err(e, &why) : CLI_OK;
}

/* --- start -------------------------------------------------------------------------------------------------------- */

static enum err copy_part(const struct lab_place *p, const char *part, const char *to, struct errmsg *why)
{
	char from[PATH_MAX];

	if (snprintf(from, sizeof from, "%s/%s", p->dir, part) >= (int)sizeof from)
		return err_set(why, ERR_RANGE, "%s: the path is too long", p->dir);
	return strcmp(part, "README.md") == 0 ? tree_copy_file(from, to, NULL, why) : tree_copy(from, to, NULL, why);
}

/* How "lab check" finds it again: a lab that is not in the book by its path. */
static void mark_of(const struct lab_place *p, char *buf, size_t n)
{
	struct errmsg why = {""};
	struct lab_place known;
	bool same = lab_find(p->id, &known, &why) == ERR_OK && strcmp(known.dir, p->dir) == 0;

	snprintf(buf, n, "%s\n", same ? p->id : p->dir);
}

static enum err start(const struct lab_place *p, const char *dir, struct errmsg *why)
{
	char readme[PATH_MAX], guests[PATH_MAX], mark[PATH_MAX], id[1100];
	enum err e = tree_new_folder(dir, why);

	if (e)
		return e;
	if (snprintf(readme, sizeof readme, "%s/README.md", dir) >= (int)sizeof readme ||
	    snprintf(guests, sizeof guests, "%s/guests", dir) >= (int)sizeof guests ||
	    snprintf(mark, sizeof mark, "%s/.lab", dir) >= (int)sizeof mark)
		return err_set(why, ERR_RANGE, "%.60s...: the path is too long", dir);
	e = copy_part(p, "README.md", readme, why);
	if (!e)
		e = copy_part(p, "starter", dir, why);
	if (!e)
		e = copy_part(p, "guests", guests, why);
	mark_of(p, id, sizeof id);
	return e ? e : tree_write(mark, id, false, why);
}

int cmd_lab_start(int argc, char **argv)
{
	static const struct argp argp = {.parser = parse_words,
	    .args_doc = "LAB DIR",
	    .doc = "Begin a lab: copy its README and the files to be written into the new folder DIR."};
	struct words w = {.min = 2,
	    .usage = "lab start: name a LAB, and a folder DIR that is not there: \"vmscope lab start 01 lab01\""};
	struct errmsg why = {""};
	struct lab_place p;
	struct lab_file f;
	int status = cli_parse(&argp, argc, argv, &w);

	if (status)
		return status;
	enum err e = lab_find(w.word[0], &p, &why);
	if (e)
		return cli_fail_err(e, &why);
	e = lab_file_open(&f, p.dir, NULL, 1, &why);
	if (!e)
		e = start(&p, w.word[1], &why);
	if (!e) {
		printf("%s: %s\n\nIn %s:\n  1. read README.md\n", p.id, f.info.title, w.word[1]);
		if (f.info.n_predictions)
			puts("  2. fill in predictions.lua, before you run anything");
		for (size_t i = 0; i < f.info.n_files; i++)
			printf("  %s %s\n",
			    i			   ? "     and"
			    : f.info.n_predictions ? "3. write"
						   : "2. write",
			    f.info.files[i]);
		printf("then \"vmscope lab check %s\" says how far you are.\n", w.word[1]);
	}
	lab_file_close(&f);
	return e ? cli_fail_err(e, &why) : CLI_OK;
}

/* --- new ---------------------------------------------------------------------------------------------------------- */

static bool is_name(const char *s)
{
	size_t n = 0;

	for (; s[n]; n++)
		if (!isalnum((unsigned char)s[n]) && s[n] != '_' && s[n] != '-')
			return false;
	return n > 0 && n < 48 && s[0] != '-' && strcmp(s, "solutions") != 0;
}

/* The small lab that a new one begins as lies beside the labs, in "new". */
static enum err find_pattern(char *buf, size_t n, struct errmsg *why)
{
	struct lab_place *labs = NULL;
	size_t count;
	enum err e = lab_list(&labs, &count, why);

	if (e)
		return e;
	const char *slash = strrchr(labs[0].dir, '/');
	int len = snprintf(buf, n, "%.*s/new", (int)(slash - labs[0].dir), labs[0].dir);
	free(labs);
	if (len >= (int)n || access(buf, R_OK) != 0)
		return err_set(why, ERR_NOENT, "%s: it is not there: it holds what a new lab begins as", buf);
	return ERR_OK;
}

static enum err make_new(const char *name, const char *lab, const char *solution, struct errmsg *why)
{
	char pattern[1100], from[1200];
	enum err e = find_pattern(pattern, sizeof pattern, why);

	if (!e)
		e = tree_new_folder(lab, why);
	if (!e)
		e = tree_new_folder(solution, why);
	snprintf(from, sizeof from, "%s/lab", pattern);
	if (!e)
		e = tree_copy(from, lab, name, why);
	snprintf(from, sizeof from, "%s/solution", pattern);
	return e ? e : tree_copy(from, solution, name, why);
}

int cmd_lab_new(int argc, char **argv)
{
	static const struct argp argp = {.parser = parse_words,
	    .args_doc = "NAME [DIR]",
	    .doc = "Make a new lab: a small one that works, in DIR/NAME, and its solution in DIR/solutions/NAME, to be "
		   "changed into yours. DIR is the current folder when it is left out. docs/labs.md walks through it."};
	struct words w = {.min = 1, .usage = "lab new: give it a NAME: \"vmscope lab new 11_mine\""};
	char lab[PATH_MAX], solution[PATH_MAX];
	struct errmsg why = {""};
	int status = cli_parse(&argp, argc, argv, &w);

	if (status)
		return status;
	const char *dir = w.n > 1 ? w.word[1] : ".";
	if (!is_name(w.word[0]))
		return cli_usage("lab new: a name is made of letters, digits, _ and -, fewer than 48");
	if (snprintf(lab, sizeof lab, "%s/%s", dir, w.word[0]) >= (int)sizeof lab ||
	    snprintf(solution, sizeof solution, "%s/solutions/%s", dir, w.word[0]) >= (int)sizeof solution)
		return cli_usage("lab new: %.60s...: the path is too long", dir);
	enum err e = make_new(w.word[0], lab, solution, &why);
	if (e)
		return cli_fail_err(e, &why);
	printf("%s: lab.lua (what is asked), scenes.lua (what is run), README.md, starter/\n%s: a solution\n\n"
	       "\"vmscope lab verify %s\" says whether it tells right from wrong.\n",
	    lab, solution, lab);
	return CLI_OK;
}
