/*
 * Jobs for workers. See job.h; scene.h has the form of a job and its answer. What comes back was written by a process
 * that is not trusted: each part of it is looked at before it is used.
 */
#include "labs/job.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "labs/asm.h"
#include "labs/jail.h"
#include "labs/plain.h"

#define SCENES_MAX (1u << 20)
#define GUEST_MAX (1u << 20)
#define OUT_MAX (8u << 20) /* 1 MiB of data, escaped */
#define CPU_S 60
#define WALL_S 600
/* A sanitized program needs addresses without end. */
#ifdef __SANITIZE_ADDRESS__
#define MEM_MAX 0
#else
#define MEM_MAX (4ull << 30)
#endif

/* --- The lab's files ---------------------------------------------------------------------------------------------- */

static char *read_whole(const char *path, size_t max, size_t *n)
{
	FILE *f = fopen(path, "re");
	char *text = f ? malloc(max + 1) : NULL;

	*n = text ? fread(text, 1, max, f) : 0;
	bool whole = text && !ferror(f) && fgetc(f) == EOF;
	if (f)
		fclose(f);
	if (whole) {
		text[*n] = 0;
		return text;
	}
	free(text);
	return NULL;
}

/* NAME.S is assembled, as 16-bit code at 0x7c00; NAME.bin is taken as it is. */
static enum err read_guest(struct job_lab *lab, const char *dir, const char *file, struct errmsg *why)
{
	const char *dot = strrchr(file, '.');
	char path[1200], name[256], *bytes = NULL;
	size_t n, len;

	if (!dot || (strcmp(dot, ".S") != 0 && strcmp(dot, ".bin") != 0))
		return ERR_OK;
	snprintf(name, sizeof name, "%.*s", (int)(dot - file), file);
	if (snprintf(path, sizeof path, "%s/%s", dir, file) >= (int)sizeof path)
		return err_set(why, ERR_RANGE, "%s: the path is too long", file);
	char *text = read_whole(path, GUEST_MAX, &n);
	if (!text)
		return err_set(why, ERR_FORMAT, "%s: it cannot be read, or is larger than 1 MiB", path);
	enum err e = ERR_OK;
	if (strcmp(dot, ".S") == 0) {
		const struct asm_job job = {.text = text, .n = n, .bits = 16, .org = 0x7c00};
		e = asm_assemble(&job, &bytes, &len, why);
		free(text);
	} else {
		bytes = text;
		len = n;
	}
	if (e)
		return e;
	json_object_set_new(lab->guests, name, plain_string(bytes, len));
	free(bytes);
	return ERR_OK;
}

static enum err read_starter(struct job_lab *lab, const char *dir, const char *file, struct errmsg *why)
{
	const char *dot = strrchr(file, '.');
	char path[1400];
	size_t n;

	if (!dot || strcmp(dot, ".lua") != 0)
		return ERR_OK;
	snprintf(path, sizeof path, "%s/%s", dir, file);
	char *text = read_whole(path, SCENES_MAX, &n);
	if (!text)
		return err_set(why, ERR_FORMAT, "%s: it cannot be read, or is larger than 1 MiB", path);
	json_object_set_new(lab->starter, file, plain_string(text, n));
	free(text);
	return ERR_OK;
}

/* Each file of a folder that may be missing. */
static enum err read_folder(struct job_lab *lab, const char *dir,
    enum err (*read_one)(struct job_lab *lab, const char *dir, const char *file, struct errmsg *why),
    struct errmsg *why)
{
	DIR *d = opendir(dir);
	enum err e = ERR_OK;

	for (const struct dirent *at = d ? readdir(d) : NULL; at && !e; at = readdir(d))
		e = read_one(lab, dir, at->d_name, why);
	if (d)
		closedir(d);
	return e;
}

enum err job_lab_read(struct job_lab *lab, const char *dir, struct errmsg *why)
{
	char path[1100];

	*lab = (struct job_lab){.guests = json_object(), .starter = json_object()};
	snprintf(path, sizeof path, "%s/scenes.lua", dir);
	lab->scenes = read_whole(path, SCENES_MAX, &lab->n_scenes);
	if (!lab->scenes)
		return err_set(why, ERR_FORMAT, "%s: it cannot be read, or is larger than 1 MiB: a lab has one", path);
	snprintf(path, sizeof path, "%s/guests", dir);
	enum err e = read_folder(lab, path, read_guest, why);
	if (e)
		return e;
	snprintf(path, sizeof path, "%s/starter", dir);
	return read_folder(lab, path, read_starter, why);
}

void job_lab_free(struct job_lab *lab)
{
	free(lab->scenes);
	json_decref(lab->guests);
	json_decref(lab->starter);
	*lab = (struct job_lab){0};
}

/* --- Out ---------------------------------------------------------------------------------------------------------- */

static char *make_job(const struct job_host *host, const struct job_lab *lab, const struct submission *s,
    const char *scene, const json_t *args, uint64_t seed, bool brief)
{
	json_t *problems, *files = submission_json(s, &problems), *job = json_object();
	union {
		const json_t *in;
		json_t *out;
	} data = {args};

	json_object_set_new(job, "scenes", plain_string(lab->scenes, lab->n_scenes));
	json_object_set_new(job, "files", files);
	json_object_set_new(job, "problems", problems);
	json_object_set(job, "guests", lab->guests);
	json_object_set(job, "starter", lab->starter);
	json_object_set_new(job, "seed", json_integer((json_int_t)seed));
	json_object_set_new(
	    job, "folders", json_pack("{s:s*, s:s*}", "VMSCOPE_GUESTS", host->guests, "VMSCOPE_COSTS", host->costs));
	if (brief)
		json_object_set_new(job, "brief", json_true());
	if (scene)
		json_object_set_new(job, "scene", json_string(scene));
	if (args)
		json_object_set(job, "args", data.out);
	char *text = json_dumps(job, JSON_COMPACT);
	json_decref(job);
	return text;
}

/* --- Back --------------------------------------------------------------------------------------------------------- */

static void fail(struct job_answer *a, enum job_end end, const char *text)
{
	a->end = end;
	free(a->error);
	a->error = plain_clean(text, strlen(text));
	for (char *p = a->error; p && *p; p++)
		if (*p == '\n' || *p == '\t')
			*p = ' ';
}

static void ended_badly(struct job_answer *a, const struct jail_result *r)
{
	char text[240];

	switch (r->end) {
	case JAIL_CPU:
		snprintf(text, sizeof text, "it was stopped after %d s of processor time: an endless loop?", CPU_S);
		break;
	case JAIL_WALL:
		snprintf(
		    text, sizeof text, "it was stopped after %d s: it waits for something that never comes?", WALL_S);
		break;
	case JAIL_OUTPUT:
		snprintf(text, sizeof text, "it was stopped: it writes without end");
		break;
	case JAIL_SIGNALLED:
		snprintf(text, sizeof text, "its process was killed: %s%s", strsignal(r->status),
		    r->status == SIGSYS ? " (it asked the host for something that it may not have)" : "");
		break;
	case JAIL_EXITED:
	default:
		snprintf(text, sizeof text, "its process gave no answer (exit status %d)", r->status);
		break;
	}
	fail(a, JOB_SUBMISSION, text);
	a->stopped = r->end == JAIL_CPU || r->end == JAIL_WALL || r->end == JAIL_OUTPUT;
}

static bool is_hash(const json_t *j)
{
	return json_string_length(j) == 64 && strspn(json_string_value(j), "0123456789abcdef") == 64;
}

static bool is_run(const json_t *j)
{
	const char *s = json_string_value(j);

	return s && *s && strlen(s) < 64 &&
	       !s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/ -_")];
}

static json_t *checked_list(const json_t *from, bool (*good)(const json_t *))
{
	json_t *to = json_array();

	for (size_t i = 0; i < json_array_size(from) && i < 10000; i++)
		if (good(json_array_get(from, i)))
			json_array_append(to, json_array_get(from, i));
	return to;
}

static char *shown(const json_t *text)
{
	const char *s = json_string_value(text);
	size_t n = s ? json_string_length(text) : 0;

	return plain_clean(s ? s : "", n < 32768 ? n : 32768);
}

static void read_answer(struct job_answer *a, const json_t *j)
{
	const char *whose = json_string_value(json_object_get(j, "whose"));
	json_t *result = json_object_get(j, "result");

	a->runs = checked_list(json_object_get(j, "runs"), is_run);
	a->hashes = checked_list(json_object_get(j, "hashes"), is_hash);
	a->printed = shown(json_object_get(j, "printed"));
	if (json_is_true(json_object_get(j, "ok")) && result) {
		a->result = json_incref(result);
	} else {
		char *text = shown(json_object_get(j, "error"));
		fail(a, whose && strcmp(whose, "lab") == 0 ? JOB_LAB : JOB_SUBMISSION,
		    text && *text ? text : "its process gave an answer that is none");
		free(text);
	}
}

void job_give_up(const char *why, struct job_answer *out)
{
	char text[400];

	*out = (struct job_answer){0};
	snprintf(text, sizeof text, "not run, after a limit was passed: %.300s", why);
	fail(out, JOB_SUBMISSION, text);
}

void job_run(const struct job_host *host, const struct job_lab *lab, const struct submission *s, const char *scene,
    const json_t *args, uint64_t seed, bool brief, struct job_answer *out)
{
	const char *const argv[] = {host->program, "lab", "worker", NULL};
	struct errmsg why = {""};
	struct jail_result r = {0};

	*out = (struct job_answer){0};
	char *job = make_job(host, lab, s, scene, args, seed, brief);
	if (!job) {
		fail(out, JOB_HOST, "no memory for a job");
		return;
	}
	const struct jail_config cfg = {.argv = argv,
	    .input = job,
	    .n_input = strlen(job),
	    .read_only = host->read_only,
	    .out_max = OUT_MAX,
	    .err_max = 64u << 10,
	    .cpu_s = CPU_S,
	    .wall_s = WALL_S,
	    .mem_max = MEM_MAX,
	    .file_max = 64u << 20};
	enum err e = jail_run(&cfg, &r, &why);
	free(job);
	out->cpu_ms = r.cpu_ms;
	if (e) {
		fail(out, JOB_HOST, why.text[0] ? why.text : err_sentence(e));
	} else if (r.end == JAIL_EXITED && r.status != 0) {
		char text[400];
		snprintf(text, sizeof text, "the worker's process failed (exit status %d): %.300s", r.status, r.err);
		fail(out, r.status == 3 || r.status == 127 ? JOB_HOST : JOB_SUBMISSION, text);
	} else {
		json_t *j = r.end == JAIL_EXITED ? json_loadb(r.out, r.n_out, JSON_ALLOW_NUL, NULL) : NULL;
		if (json_is_object(j))
			read_answer(out, j);
		else
			ended_badly(out, &r);
		json_decref(j);
	}
	free(r.out);
	free(r.err);
	if (!out->printed)
		out->printed = strdup("");
}

void job_answer_free(struct job_answer *a)
{
	json_decref(a->result);
	json_decref(a->runs);
	json_decref(a->hashes);
	free(a->error);
	free(a->printed);
	*a = (struct job_answer){0};
}
