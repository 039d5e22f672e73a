#include "labs/batch.h"

#include <dirent.h>
#include <errno.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "labs/batch_impl.h"
#include "labs/clean.h"
#include "labs/export.h"

struct batch {
	const struct batch_config *cfg;
	struct class_data class;
	struct journal *journal;
	unsigned n_done, n_todo;
};

static void say(
    const struct batch *b, enum batch_step step, const char *name, const char *text, const struct lab_result *result)
{
	struct batch_event e = {
	    .step = step, .name = name, .text = text, .n = b->n_done, .total = b->n_todo, .result = result};

	if (step == BATCH_BEGIN) {
		e.n = b->n_todo;
		e.total = (unsigned)b->class.n;
	}
	if (b->cfg->say)
		b->cfg->say(b->cfg->say_arg, &e);
}

#define FILE_NAME_MAX 200

/* Every byte that is no letter, digit, dot, dash or underscore becomes %XX; what is too long then ends with a hash. No
 * two names become one. */
static char *file_name(const char *name)
{
	char *s = malloc(3 * strlen(name) + 1), *w = s, hash[SHA256_DIGEST_STRING_LENGTH];

	for (const char *p = name; s && *p; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			     *p == '-' || *p == '_' || (*p == '.' && p != name);
		w += plain ? (*w = *p, 1) : sprintf(w, "%%%02X", (unsigned char)*p);
	}
	if (!s)
		return NULL;
	*w = 0;
	if (w - s >= FILE_NAME_MAX) { /* one that was not shortened is shorter */
		SHA256Data((const uint8_t *)name, strlen(name), hash);
		sprintf(s + FILE_NAME_MAX - 33, "-%.32s", hash);
	}
	return s;
}

void batch_not_gradable(struct lab_result *r, const struct batch_config *cfg, const char *name, const char *why)
{
	result_free(r);
	result_init(r);
	r->submission = strdup(name);
	r->why = strdup(why);
	r->seed = cfg->seed;
}

/* --- The class -----------------------------------------------------------------------------------------------------
 */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

/* An entry of the folder is a submission, but for what begins with a dot and for the folder of the results. */
static bool wanted(const char *path, const char *name, const struct stat *out)
{
	struct stat st;

	return name[0] != '.' && lstat(path, &st) == 0 && !(st.st_dev == out->st_dev && st.st_ino == out->st_ino);
}

static enum err add_member(struct class_data *c, const char *dir, const char *name, const struct stat *out)
{
	struct member m = {0};

	if (asprintf(&m.path, "%s/%s", dir, name) < 0)
		return ERR_NOMEM;
	if (!wanted(m.path, name, out)) {
		free(m.path);
		return ERR_OK;
	}
	void *more = realloc(c->members, (c->n + 1) * sizeof *c->members);
	m.name = strdup(name);
	m.file = file_name(name);
	if (more)
		c->members = more;
	if (!more || !m.name || !m.file) {
		free(m.path);
		free(m.name);
		free(m.file);
		return ERR_NOMEM;
	}
	c->members[c->n++] = m;
	return ERR_OK;
}

static enum err list_class(struct batch *b, struct errmsg *why)
{
	struct stat out = {0}, in;
	DIR *d = opendir(b->cfg->dir);
	enum err e = ERR_OK;

	if (!d)
		return err_set(why, errno == EACCES ? ERR_PERM : ERR_NOENT, "%s: %s", b->cfg->dir, strerror(errno));
	if (stat(b->cfg->out, &out) != 0)
		e = err_set(why, ERR_IO, "%s: %s", b->cfg->out, strerror(errno));
	else if (fstat(dirfd(d), &in) == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
		e = err_set(why, ERR_INVAL, "%s: the results need a folder of their own", b->cfg->out);
	for (struct dirent *entry; !e && (entry = readdir(d));)
		e = add_member(&b->class, b->cfg->dir, entry->d_name, &out);
	closedir(d);
	if (e == ERR_NOMEM)
		return err_set(why, e, "no memory for the names of the class");
	if (!e && !b->class.n)
		return err_set(why, ERR_NOENT, "%s: there is no submission in it: each is a folder", b->cfg->dir);
	if (b->class.n)
		qsort(b->class.members, b->class.n, sizeof *b->class.members, by_name);
	return e;
}

static void free_class(struct class_data *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->members[i].name);
		free(c->members[i].path);
		free(c->members[i].file);
		result_free(&c->members[i].result);
	}
	free(c->members);
}

/* --- What is to be done ---------------------------------------------------------------------------------------------
 */

/* Why the journal's result does not stand any more; NULL: it does. */
static const char *changed(
    const struct batch_config *cfg, const struct member *m, const struct journal_entry *e, char text[100])
{
	if (strcmp(e->submission, m->hash) != 0)
		return "the submission is another one";
	if (strcmp(e->lab, cfg->lab) != 0)
		return "the lab is another one";
	if (strcmp(e->engine, cfg->engine) != 0)
		return "vmscope is another one";
	if (e->seed != cfg->seed) {
		snprintf(text, 100, "the seed was %llu", (unsigned long long)e->seed);
		return text;
	}
	return NULL;
}

static void look_up(struct batch *b, struct member *m)
{
	const struct journal_entry *e = journal_find(b->journal, m->file);
	const char *why = NULL;
	char text[100];

	if (e && !(why = changed(b->cfg, m, e, text))) {
		struct errmsg bad = {""};
		if (result_from_json(e->result, strlen(e->result), &m->result, &bad))
			why = "the journal's result is not one of this version";
		else if (!m->result.gradable)
			why = "it could not be graded the last time";
		if (why) {
			result_free(&m->result);
			result_init(&m->result);
		}
	}
	if (why)
		say(b, BATCH_AGAIN, m->name, why, NULL);
	m->done = m->kept = e && !why;
	m->todo = !m->done;
}

/* Whoever hands in a link hands in what somebody else has written. */
static bool is_link(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

static void plan(struct batch *b)
{
	for (size_t i = 0; i < b->class.n; i++) {
		struct member *m = &b->class.members[i];
		struct errmsg why = {""};

		result_init(&m->result);
		enum err e = is_link(m->path)
				 ? err_set(&why, ERR_FORMAT, "it is a symbolic link: put the folder itself here")
				 : b->cfg->grader.identify(b->cfg->grader.arg, m->path, m->hash, &why);
		if (e) {
			const char *text = why.text[0] ? why.text : "it cannot be read";
			batch_not_gradable(&m->result, b->cfg, m->name, text);
			say(b, BATCH_NOTE, m->name, text, NULL);
			m->done = true;
			continue;
		}
		look_up(b, m);
		b->n_todo += m->todo;
	}
}

/* --- Doing it -------------------------------------------------------------------------------------------------------
 */

static enum err finished(void *arg, struct member *m, struct errmsg *why)
{
	struct batch *b = arg;
	char *json = NULL;
	size_t n;
	FILE *f = open_memstream(&json, &n);
	enum err e = f ? export_find("json")->print(&m->result, NULL, f, why) : ERR_NOMEM;

	if (f)
		fclose(f);
	if (!e)
		e = journal_append(b->journal,
		    &(struct journal_entry){.name = m->file,
			.engine = b->cfg->engine,
			.lab = b->cfg->lab,
			.submission = m->hash,
			.seed = b->cfg->seed,
			.result = json},
		    why);
	free(json);
	if (e)
		return e;
	m->done = true;
	m->todo = false;
	b->n_done++;
	say(b, BATCH_DONE, m->name, NULL, &m->result);
	return ERR_OK;
}

static void note_journal(const struct batch *b)
{
	char text[160];

	if (journal_torn(b->journal)) {
		snprintf(text, sizeof text,
		    "the journal's last line was torn (%zu bytes): what it was about is graded again",
		    journal_torn(b->journal));
		say(b, BATCH_NOTE, NULL, text, NULL);
	}
	if (journal_damaged(b->journal)) {
		snprintf(text, sizeof text,
		    "%zu lines of the journal are damaged: what they were about is graded again",
		    journal_damaged(b->journal));
		say(b, BATCH_NOTE, NULL, text, NULL);
	}
}

static enum err make_folder(const char *path, struct errmsg *why)
{
	if (mkdir(path, 0777) == 0 || errno == EEXIST)
		return ERR_OK;
	return err_set(why, errno == EACCES || errno == EROFS ? ERR_PERM : ERR_IO, "%s: %s", path, strerror(errno));
}

static enum err open_all(struct batch *b, struct errmsg *why)
{
	char *path;
	enum err e = make_folder(b->cfg->out, why);

	if (!e)
		e = list_class(b, why);
	if (e)
		return e;
	if (asprintf(&path, "%s/journal", b->cfg->out) < 0)
		return err_set(why, ERR_NOMEM, "no memory");
	e = journal_open(path, &b->journal, why);
	free(path);
	return e;
}

static void sum_up(const struct batch *b, struct batch_summary *out)
{
	*out = (struct batch_summary){.total = (unsigned)b->class.n, .graded = b->n_done};
	for (size_t i = 0; i < b->class.n; i++) {
		const struct member *m = &b->class.members[i];
		out->stopped = out->stopped || !m->done;
		out->not_gradable += m->done && !m->result.gradable;
		out->kept += m->kept;
	}
}

enum err batch_run(const struct batch_config *cfg, struct batch_summary *out, struct errmsg *why)
{
	struct batch b = {.cfg = cfg};
	enum err e = open_all(&b, why);

	*out = (struct batch_summary){0};
	if (!e) {
		note_journal(&b);
		plan(&b);
		say(&b, BATCH_BEGIN, NULL, NULL, NULL);
		e = batch_pool(cfg, b.journal, &b.class, finished, &b, why);
	}
	if (!e) {
		sum_up(&b, out);
		e = report_write(&b.class, cfg->out, why);
	}
	journal_close(b.journal);
	free_class(&b.class);
	return e;
}
