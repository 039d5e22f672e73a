/*
 * Scenes are run once for each submission, and once for the reference.
 */
#include <stdlib.h>
#include <string.h>

#include "labs/grade_impl.h"
#include "labs/plain.h"

/* Of a submission's scenes. A batch gives a submission an hour on the clock: this comes first. */
#define CPU_ALL_S 1200
#define STRING_OF(x) #x
#define STRING(x) STRING_OF(x)

void memo_free(struct memo *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->runs[i].key);
		job_answer_free(&m->runs[i].answer);
	}
	free(m->runs);
	*m = (struct memo){0};
}

static char *make_key(const char *scene, const json_t *args)
{
	json_t *j = json_pack("[s, O?]", scene, args);
	char *key = j ? json_dumps(j, JSON_COMPACT) : NULL;

	json_decref(j);
	return key;
}

static struct memo_run *add(struct memo *m, char *key)
{
	if (m->n == m->room) {
		size_t room = m->room ? 2 * m->room : 16;
		void *p = realloc(m->runs, room * sizeof *m->runs);
		if (!p)
			return NULL;
		m->runs = p;
		m->room = room;
	}
	m->runs[m->n] = (struct memo_run){.key = key};
	return &m->runs[m->n++];
}

/* The modes of its runs, each once, in the order in which they came. */
static void note_runs(struct lab_result *out, const json_t *runs)
{
	for (size_t i = 0; i < json_array_size(runs); i++) {
		const char *run = json_string_value(json_array_get(runs, i));
		const char *at = out->runs ? strstr(out->runs, run) : NULL;
		size_t n = out->runs ? strlen(out->runs) : 0;
		if (at && (at == out->runs || at[-1] == ' ') && (!at[strlen(run)] || at[strlen(run)] == ';'))
			continue;
		char *more = realloc(out->runs, n + strlen(run) + 3);
		if (!more)
			return;
		strcpy(more + n, n ? "; " : "");
		strcat(more, run);
		out->runs = more;
	}
}

static void note(struct grading *gr, const struct job_answer *a)
{
	for (size_t i = 0; i < json_array_size(a->hashes); i++) {
		const json_t *hash = json_array_get(a->hashes, i);
		SHA256Update(&gr->trace, (const uint8_t *)json_string_value(hash), json_string_length(hash));
	}
	note_runs(gr->out, a->runs);
	struct grader *g = gr->g;
	size_t n = g->printed ? strlen(g->printed) : 0, more = a->printed ? strlen(a->printed) : 0;
	if (!more || n > (64u << 10))
		return;
	char *p = realloc(g->printed, n + more + 1);
	if (p) {
		memcpy(p + n, a->printed, more + 1);
		g->printed = p;
	}
}

/* A scene whose own code failed: where it does with the reference, too, it is the lab's fault; where it does not, the
 * submission made it fail. */
static void settle(struct grading *gr, const char *scene, const json_t *args, struct job_answer *a)
{
	if (a->end != JOB_LAB || !scene || !gr->g->has_reference)
		return;
	const struct job_answer *ref = grading_run(gr, true, scene, args);
	if (ref && ref->end == JOB_OK)
		a->end = JOB_SUBMISSION;
}

/* What the first run said that passed a limit of its process, or that all together have passed theirs: the time of a
 * submission is the grader's, too. NULL: none. */
static const char *stopped_before(const struct memo *m)
{
	for (size_t i = 0; i + 1 < m->n; i++)
		if (m->runs[i].answer.stopped)
			return m->runs[i].answer.error ? m->runs[i].answer.error : "";
	if (m->cpu_ms > CPU_ALL_S * 1000ull)
		return "all scenes together have had " STRING(CPU_ALL_S) " s of processor time";
	return NULL;
}

const struct job_answer *grading_run(struct grading *gr, bool reference, const char *scene, const json_t *args)
{
	struct memo *m = reference ? &gr->g->memo : &gr->memo;
	char *key = make_key(scene ? scene : "", args);

	for (size_t i = 0; key && i < m->n; i++)
		if (strcmp(m->runs[i].key, key) == 0) {
			free(key);
			return &m->runs[i].answer;
		}
	struct memo_run *r = key ? add(m, key) : NULL;
	if (!r) {
		free(key);
		return NULL;
	}
	const char *stopped = reference ? NULL : stopped_before(m);
	struct job_answer a;
	if (stopped)
		job_give_up(stopped, &a);
	else
		job_run(&gr->g->cfg.host, &gr->g->job_lab, reference ? &gr->g->reference : gr->sub, scene, args,
		    gr->g->cfg.seed, gr->g->cfg.brief, &a);
	size_t at = (size_t)(r - m->runs);
	m->cpu_ms += a.cpu_ms;
	if (!reference) {
		settle(gr, scene, args, &a);
		note(gr, &a);
	}
	m->runs[at].answer = a;
	return &m->runs[at].answer;
}
