/*
 * Verifying a lab. See verify.h. Mutants are graded by processes that are forked when the answers of the reference are
 * known already; what comes of each is in memory that all share.
 */
#include "labs/verify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>

#include "labs/mutate.h"

enum state { PENDING, KILLED, SURVIVES, UNCLEAR };

struct outcome {
	enum state state;
	char why[200]; /* UNCLEAR */
};

struct shared {
	atomic_size_t next, done;
	struct outcome outcomes[];
};

struct verify {
	const struct verify_config *cfg;
	struct verify_report *r;
	struct grader *graders[VERIFY_SEEDS_MAX];
	struct submission solution;
	struct mutants mutants; /* first those of files, */
	size_t n_files;		/* so many; then those of predictions.lua */
	struct shared *shared;
	bool brief;
};

static void problem(struct verify_report *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void problem(struct verify_report *r, const char *fmt, ...)
{
	char line[700];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	void *p = realloc(r->problems, (r->n_problems + 1) * sizeof *r->problems);
	if (!p)
		return;
	r->problems = p;
	r->problems[r->n_problems] = strdup(line);
	r->n_problems += r->problems[r->n_problems] != NULL;
}

void verify_free(struct verify_report *r)
{
	for (size_t i = 0; i < r->n_problems; i++)
		free(r->problems[i]);
	free(r->problems);
	*r = (struct verify_report){0};
}

/* --- The two ends ------------------------------------------------------------------------------------------------- */

static enum err open_graders(struct verify *v, struct errmsg *why)
{
	for (unsigned i = 0; i < v->cfg->seeds; i++) {
		const struct grader_config cfg = {.lab = v->cfg->lab,
		    .host = v->cfg->host,
		    .seed = i + 1,
		    .hidden = true,
		    .until_loss = true,
		    .brief = v->brief,
		    .version = v->cfg->version};
		enum err e = grader_open(&cfg, &v->graders[i], why);
		if (e)
			return e;
	}
	return ERR_OK;
}

static void close_graders(struct verify *v)
{
	for (unsigned i = 0; i < VERIFY_SEEDS_MAX; i++) {
		grader_close(v->graders[i]);
		v->graders[i] = NULL;
	}
}

/* What the solution has lost, as a problem. */
static void say_losses(struct verify *v, unsigned seed, const struct lab_result *r)
{
	for (size_t i = 0; i < r->n_tasks; i++) {
		const struct result_task *t = &r->tasks[i];
		if (t->state == TASK_FILTERED || t->points == t->max)
			continue;
		const struct result_line *l = NULL;
		for (size_t k = 0; k < t->n_lines && !l; k++)
			if (t->lines[k].kind != LINE_INFO && t->lines[k].share < 1)
				l = &t->lines[k];
		problem(v->r, "the solution loses points in task %s with seed %u: %s%s%s%s%s", t->id, seed,
		    l	     ? l->what
		    : t->why ? t->why
			     : "",
		    l && l->expected ? ": expected " : "", l && l->expected ? l->expected : "",
		    l && l->seen ? ", seen " : "", l && l->seen ? l->seen : "");
	}
	for (size_t i = 0; i < r->n_predictions; i++)
		if (r->predictions[i].points < r->predictions[i].max)
			problem(v->r, "the solution's prediction %s is wrong with seed %u: %s, it is %s",
			    r->predictions[i].id, seed,
			    r->predictions[i].predicted ? r->predictions[i].predicted : "none",
			    r->predictions[i].answer ? r->predictions[i].answer : "?");
}

static enum err try_solution(struct verify *v, bool say, bool *full, struct errmsg *why)
{
	*full = true;
	for (unsigned i = 0; i < v->cfg->seeds; i++) {
		struct lab_result r;
		enum err e = grader_run(v->graders[i], &v->solution, &r, why);
		bool good = !e && r.gradable && r.points == r.max && r.prediction_points == r.prediction_max;
		*full = *full && good;
		v->r->points = r.points;
		v->r->max = r.max;
		if (!e && say && !r.gradable)
			problem(v->r, "the solution cannot be graded with seed %u: %s", i + 1, r.why);
		else if (!e && say && !good)
			say_losses(v, i + 1, &r);
		result_free(&r);
		if (e)
			return e;
	}
	return ERR_OK;
}

/* Limits that no solution comes near are tighter ones for mutants that never end, where the solution allows it. */
static enum err check_solution(struct verify *v, bool *full, struct errmsg *why)
{
	v->brief = true;
	enum err e = open_graders(v, why);
	if (!e)
		e = try_solution(v, false, full, why);
	if (e || *full)
		return e;
	v->brief = false;
	close_graders(v);
	e = open_graders(v, why);
	return e ? e : try_solution(v, true, full, why);
}

static enum err check_starter(struct verify *v, struct errmsg *why)
{
	const struct lab_info *info = grader_info(v->graders[0]);
	struct submission s = {0};
	struct lab_result r;
	char dir[1100];

	result_init(&r);
	snprintf(dir, sizeof dir, "%s/starter", v->cfg->lab->dir);
	v->r->starter_points = -1;
	if (access(dir, R_OK) != 0) {
		problem(v->r, "there is no folder starter: students begin with it");
		return ERR_OK;
	}
	enum err e = submission_read(dir, info->files, info->n_files, &s, why);
	for (size_t i = 0; !e && i < s.n_files; i++)
		if (s.files[i].problem)
			problem(v->r, "starter/%s: %s", s.files[i].name, s.files[i].problem);
	if (!e)
		e = grader_run(v->graders[0], &s, &r, why);
	if (!e) {
		v->r->starter_points = r.points;
		if (!r.gradable)
			problem(v->r, "the starter cannot be graded: %s", r.why);
		else if (r.points == r.max)
			problem(v->r, "the starter has full marks already");
		if (r.prediction_max && r.prediction_points == r.prediction_max)
			problem(v->r, "the starter's predictions are all right already");
	}
	result_free(&r);
	submission_free(&s);
	return e;
}

/* --- Mutants of predictions --------------------------------------------------------------------------------------- */

static bool other_value(lua_State *L, double within, char *buf, size_t n)
{
	if (lua_isinteger(L, -1))
		snprintf(buf, n, "%lld", (long long)lua_tointeger(L, -1) + 2 * (long long)within + 1);
	else if (lua_type(L, -1) == LUA_TNUMBER)
		snprintf(buf, n, "%.17g", lua_tonumber(L, -1) + 2 * within + 1);
	else if (lua_type(L, -1) == LUA_TSTRING)
		snprintf(buf, n, "\"something else\"");
	else if (lua_isboolean(L, -1))
		snprintf(buf, n, lua_toboolean(L, -1) ? "false" : "true");
	else
		return false;
	return true;
}

static enum err add_prediction(struct mutants *m, const struct lab_prediction *p, const char *value, const char *text)
{
	struct mutant *list = realloc(m->list, (m->n + 1) * sizeof *list);
	struct mutant x = {0};

	if (!list)
		return ERR_NOMEM;
	m->list = list;
	m->room = m->n + 1;
	int n = asprintf(&x.text, "local p = (function() %s\nend)() p.%s = %s return p", text, p->id, value);
	if (n < 0 || asprintf(&x.name, PREDICTIONS_FILE ": %s = %s", p->id, value) < 0)
		return ERR_NOMEM;
	x.n = (size_t)n;
	m->list[m->n++] = x;
	return ERR_OK;
}

/* The solution's predictions, each with another value; they are the teacher's, and data. */
static enum err mutate_predictions(struct verify *v, struct errmsg *why)
{
	const struct lab_info *info = grader_info(v->graders[0]);
	struct submission_file *f = submission_find(&v->solution, PREDICTIONS_FILE);
	lua_State *L = f && f->text ? luaL_newstate() : NULL;
	enum err e = ERR_OK;
	char value[80];

	if (!L)
		return ERR_OK;
	if (luaL_loadbufferx(L, f->text, f->n, "=" PREDICTIONS_FILE, "t") != LUA_OK ||
	    lua_pcall(L, 0, 1, 0) != LUA_OK || !lua_istable(L, -1))
		e = err_set(why, ERR_FORMAT, "the solution's " PREDICTIONS_FILE " gives no table");
	for (size_t i = 0; !e && i < info->n_predictions; i++) {
		const struct lab_prediction *p = &info->predictions[i];
		lua_pushstring(L, p->id);
		lua_rawget(L, -2);
		if (other_value(L, p->within, value, sizeof value) &&
		    add_prediction(&v->mutants, p, value, f->text) != ERR_OK)
			e = err_set(why, ERR_NOMEM, "no memory for mutants");
		lua_pop(L, 1);
	}
	lua_close(L);
	return e;
}

static enum err make_mutants(struct verify *v, struct errmsg *why)
{
	enum err e = ERR_OK;

	for (size_t i = 0; !e && i < v->solution.n_files; i++) {
		const struct submission_file *f = &v->solution.files[i];
		size_t n = strlen(f->name);
		if (f->text && strcmp(f->name, PREDICTIONS_FILE) != 0 && n > 4 && strcmp(f->name + n - 4, ".lua") == 0)
			e = mutants_add(&v->mutants, f->name, f->text, f->n, why);
	}
	v->n_files = v->mutants.n;
	return e ? e : mutate_predictions(v, why);
}

/* --- Grading them ------------------------------------------------------------------------------------------------- */

static const char *file_of(const struct verify *v, size_t i, char buf[80])
{
	const char *name = v->mutants.list[i].name;

	snprintf(buf, 80, "%.*s", (int)(strchr(name, ':') - name), name);
	return buf;
}

/* With one seed after the other, until it loses points. */
static void try_mutant(struct verify *v, size_t i)
{
	struct outcome *o = &v->shared->outcomes[i];
	const struct mutant *m = &v->mutants.list[i];
	enum state state = SURVIVES;
	struct submission s;
	char file[80];

	if (submission_with(&v->solution, file_of(v, i, file), m->text, m->n, &s) != ERR_OK) {
		snprintf(o->why, sizeof o->why, "no memory");
		state = UNCLEAR;
	}
	for (unsigned k = 0; state == SURVIVES && k < v->cfg->seeds; k++) {
		struct lab_result r;
		struct errmsg why = {""};
		enum err e = grader_run(v->graders[k], &s, &r, &why);
		bool lost = i < v->n_files ? r.points < r.max : r.prediction_points < r.prediction_max;
		if (e || !r.gradable) {
			snprintf(o->why, sizeof o->why, "%.190s", e ? why.text : r.why);
			state = UNCLEAR;
		} else if (lost) {
			state = KILLED;
		}
		result_free(&r);
	}
	submission_free(&s);
	o->state = state;
}

static bool chosen(const struct verify *v, size_t i)
{
	size_t want = v->cfg->mutants;

	return !want || want >= v->n_files || i >= v->n_files || i * want % v->n_files < want;
}

static void work(struct verify *v)
{
	for (;;) {
		size_t i = atomic_fetch_add(&v->shared->next, 1);
		if (i >= v->mutants.n)
			return;
		if (chosen(v, i))
			try_mutant(v, i);
		size_t done = atomic_fetch_add(&v->shared->done, 1) + 1;
		if (v->cfg->progress)
			v->cfg->progress(v->cfg->arg, done, v->mutants.n);
	}
}

static enum err try_all(struct verify *v, struct errmsg *why)
{
	unsigned started = 0;

	fflush(NULL);
	for (; started < v->cfg->jobs; started++) {
		pid_t pid = fork();
		if (pid < 0)
			break;
		if (pid == 0) {
			work(v);
			fflush(NULL);
			_exit(0);
		}
	}
	if (!started)
		return err_set(why, ERR_NOMEM, "no process: %s", strerror(errno));
	while (wait(NULL) > 0 || errno == EINTR)
		;
	return ERR_OK;
}

static bool declared(const struct lab_info *info, const char *name)
{
	for (size_t i = 0; i < info->n_equivalent; i++)
		if (strcmp(info->equivalent[i], name) == 0)
			return true;
	return false;
}

static void count(struct verify *v)
{
	const struct lab_info *info = grader_info(v->graders[0]);
	struct verify_report *r = v->r;
	size_t found = 0;

	r->made = v->n_files;
	for (size_t i = 0; i < v->mutants.n; i++) {
		const struct outcome *o = &v->shared->outcomes[i];
		const char *name = v->mutants.list[i].name;

		if (!chosen(v, i)) {
			found += declared(info, name);
			continue;
		}
		bool file = i < v->n_files, same = declared(info, name);
		*(file ? &r->mutants : &r->predictions) += 1;
		found += same;
		if (o->state == KILLED)
			*(file ? &r->killed : &r->predictions_killed) += 1;
		if (o->state == KILLED && same)
			problem(r, "%s: it is declared equivalent, and loses points: take it out of lab.lua", name);
		else if (o->state == SURVIVES && same)
			r->equivalent++;
		else if (o->state == SURVIVES)
			problem(r, "%s: it has full marks all the same", name);
		else if (o->state != KILLED)
			problem(r, "%s: it could not be graded: %s", name,
			    o->state == PENDING ? "its grader has died" : o->why);
	}
	if (found < info->n_equivalent)
		problem(r, "lab.lua: equivalent: %zu of its lines name no mutant", info->n_equivalent - found);
}

static enum err run_mutants(struct verify *v, struct errmsg *why)
{
	enum err e = make_mutants(v, why);

	if (e || !v->mutants.n)
		return e;
	size_t size = sizeof *v->shared + v->mutants.n * sizeof v->shared->outcomes[0];
	v->shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (v->shared == MAP_FAILED)
		return err_set(why, ERR_NOMEM, "no memory for what comes of mutants");
	e = try_all(v, why);
	if (!e)
		count(v);
	munmap(v->shared, size);
	return e;
}

enum err lab_verify(const struct verify_config *cfg, struct verify_report *r, struct errmsg *why)
{
	struct verify v = {.cfg = cfg, .r = r};
	bool full = false;

	*r = (struct verify_report){0};
	if (!cfg->lab->solution[0])
		return err_set(why, ERR_NOENT, "%s: there is no solution beside it: make solutions/%s", cfg->lab->dir,
		    cfg->lab->id);
	struct lab_file file;
	enum err e = lab_file_open(&file, cfg->lab->dir, NULL, 1, why);
	if (!e)
		e = submission_read(cfg->lab->solution, file.info.files, file.info.n_files, &v.solution, why);
	lab_file_close(&file);
	if (!e)
		e = check_solution(&v, &full, why);
	if (!e)
		e = check_starter(&v, why);
	if (!e && full)
		e = run_mutants(&v, why);
	mutants_free(&v.mutants);
	submission_free(&v.solution);
	close_graders(&v);
	return e;
}
