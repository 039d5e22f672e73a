#include "tests/result_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char hostile_text[] =
    "=1+1 \x1b[2J\x1b]0;owned\x07 <script>alert('x')</script> ]]> &amp; \" ' \\ \r\nok 3 - forged\nnot ok 1\n"
    "Bail out! now # SKIP no # TODO x\n  ...\n---\n,\"a\",\t\x01\x08\x0b\x0c\x7f \xc2\x85\xc2\x9b "
    "\xe2\x80\xae"
    "desrever\xe2\x80\xac \xe2\x81\xa6x\xe2\x81\xa9 \xd8\x9c \xe2\x80\xa8 \xef\xbb\xbf \xef\xbf\xbf "
    "\xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80 \xff\xfe \xe4\xbd \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80 "
    "\xf3\xa0\x81\x81 {{ x }} ${x} %n%s --> <!-- ";

static char *text(const char *s)
{
	return s ? strdup(s) : NULL;
}

static void begin(struct lab_result *r, const char *submission)
{
	result_init(r);
	r->lab = text("04_cpuid");
	r->title = text("Write the CPUID handler");
	r->submission = text(submission);
	r->version = text("0.1");
	r->runs = text("emulate/II vtx-ept; virtualize/II vtx-ept");
	r->seed = 18446744073709551615u;
	r->gradable = true;
	memset(r->submission_hash, 'a', 64);
	memset(r->trace_hash, 'b', 64);
}

static struct result_task *task(struct lab_result *r, const char *id, const char *title, int64_t points, int64_t max)
{
	r->tasks = realloc(r->tasks, (r->n_tasks + 1) * sizeof *r->tasks);
	struct result_task *t = &r->tasks[r->n_tasks++];
	*t = (struct result_task){.id = text(id), .title = text(title), .points = points, .max = max};
	r->points += points;
	r->max += max;
	return t;
}

static void line(struct result_task *t, enum line_kind kind, double share, const char *what, const char *expected,
    const char *seen, const char *context)
{
	t->lines = realloc(t->lines, (t->n_lines + 1) * sizeof *t->lines);
	t->lines[t->n_lines++] = (struct result_line){.kind = kind,
	    .weight = kind == LINE_INFO ? 0 : 1,
	    .share = share,
	    .what = text(what),
	    .expected = text(expected),
	    .seen = text(seen),
	    .context = text(context)};
}

static void prediction(struct lab_result *r, const char *id, const char *ask, const char *predicted, const char *answer,
    int64_t points, int64_t max)
{
	r->predictions = realloc(r->predictions, (r->n_predictions + 1) * sizeof *r->predictions);
	r->predictions[r->n_predictions++] = (struct result_prediction){.id = text(id),
	    .ask = text(ask),
	    .predicted = text(predicted),
	    .answer = text(answer),
	    .points = points,
	    .max = max};
	r->prediction_points += points;
	r->prediction_max += max;
}

static void not_gradable(struct lab_result *r, const char *why)
{
	r->gradable = false;
	r->why = text(why);
}

static void make_full(struct lab_result *r)
{
	line(task(r, "hide", "Hide the hypervisor", 2000, 2000), LINE_GOOD, 1, "bit 31 of ECX", "0", "0", NULL);
	line(task(r, "unseen", "Any leaf", 2000, 2000), LINE_GOOD, 1, "leaf 0x7", "1", "1", NULL);
	prediction(r, "exits", "How many CPUID exits does guest probe cause?", "12", "12", 500, 500);
}

static void make_partial(struct lab_result *r)
{
	struct result_task *t = task(r, "hide",
	    "Hide the hypervisor from a guest that looks at everything there is to be "
	    "looked at, and more",
	    1333, 2000);

	line(t, LINE_GOOD, 1, "bit 31 of ECX", "0", "0", NULL);
	line(t, LINE_BAD, 0.5, "exits", "1 to 1", "3", "probe+0x1c, cpuid.lua:12");
	line(t, LINE_BAD, 0, "a word that is longer than any line of a terminal can be",
	    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
	    "it is \xc3\xa4\xe4\xbd\xa0\xe5\xa5\xbd and then some words that make the line long enough to be wrapped",
	    NULL);
	line(t, LINE_MISSING, 0, "the vendor's text", "GenuineIntel", NULL, NULL);
	line(t, LINE_INFO, 0, "three leaves were looked at", NULL, NULL, NULL);
	task(r, "none", "Nothing was right", 0, 1050);
	prediction(r, "exits", "How many CPUID exits does guest probe cause?", "10", "12", 250, 500);
	prediction(r, "leaks", "Which instruction leaks?", NULL, "SGDT", 0, 500);
}

static void make_gated(struct lab_result *r)
{
	struct result_task *t;

	task(r, "hide", "Hide the hypervisor", 0, 2000);
	t = task(r, "show", "Show it", 0, 2000);
	t->state = TASK_GATED;
	t->why = text("it needs half of the points of \"hide\" first");
	t = task(r, "other", "Something else", 0, 1000);
	t->state = TASK_FILTERED;
	r->max -= 1000;
}

static void make_ungraded(struct lab_result *r)
{
	struct result_task *t;

	line(task(r, "hide", "Hide the hypervisor", 2000, 2000), LINE_GOOD, 1, "bit 31 of ECX", "0", "0", NULL);
	t = task(r, "broken", "The check is broken", 0, 2000);
	t->state = TASK_UNGRADED;
	t->why = text("lab.lua:31: attempt to index a nil value");
	not_gradable(r, "task \"broken\": lab.lua:31: attempt to index a nil value");
}

static void make_hidden(struct lab_result *r)
{
	struct result_task *t;

	line(task(r, "hide", "Hide the hypervisor", 2000, 2000), LINE_GOOD, 1, "bit 31 of ECX", "0", "0", NULL);
	t = task(r, "unseen", "Any leaf", 1000, 2000);
	t->hidden = true;
	line(t, LINE_GOOD, 1, SAMPLE_SECRET, SAMPLE_SECRET, SAMPLE_SECRET, SAMPLE_SECRET);
	line(t, LINE_BAD, 0, SAMPLE_SECRET, SAMPLE_SECRET, SAMPLE_SECRET, SAMPLE_SECRET);
}

static void make_hostile(struct lab_result *r)
{
	const char *h = hostile_text;

	for (unsigned i = 0; i < 4; i++) {
		struct result_task *t = task(r, h, h, 500, 1000);
		t->state = i == 3 ? TASK_GATED : TASK_GRADED;
		t->why = i == 3 ? text(h) : NULL;
		t->hidden = i == 2;
		for (unsigned k = LINE_GOOD; k <= LINE_INFO; k++)
			line(t, (enum line_kind)k, k == LINE_GOOD, h, h, h, h);
	}
	prediction(r, h, h, h, h, 250, 500);
	char **texts[] = {&r->lab, &r->title, &r->submission, &r->version, &r->runs};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		free(*texts[i]);
		*texts[i] = text(h);
	}
	memcpy(r->trace_hash, h, 64);
	memcpy(r->submission_hash, h, 64);
}

static void make_large(struct lab_result *r)
{
	char *big = malloc(5001);

	for (unsigned i = 0; i < 5000; i++)
		big[i] = i % 7 ? '"' : ' ';
	big[5000] = 0;
	for (unsigned i = 0; i < 60; i++) {
		struct result_task *t = task(r, "many", "Many lines", 50, 100);
		for (unsigned k = 0; k < 40; k++)
			line(t, LINE_BAD, 0.25, "a long text", big, big, big);
	}
	free(big);
}

const char *result_sample_name(enum result_sample which)
{
	static const char *const names[] = {[SAMPLE_FULL] = "full",
	    [SAMPLE_PARTIAL] = "partial",
	    [SAMPLE_GATED] = "gated",
	    [SAMPLE_UNGRADED] = "ungraded",
	    [SAMPLE_NOTHING] = "nothing",
	    [SAMPLE_HIDDEN] = "hidden",
	    [SAMPLE_HOSTILE] = "hostile",
	    [SAMPLE_LARGE] = "large"};
	return names[which];
}

void result_sample(struct lab_result *r, enum result_sample which)
{
	static void (*const make[])(struct lab_result *) = {[SAMPLE_FULL] = make_full,
	    [SAMPLE_PARTIAL] = make_partial,
	    [SAMPLE_GATED] = make_gated,
	    [SAMPLE_UNGRADED] = make_ungraded,
	    [SAMPLE_HIDDEN] = make_hidden,
	    [SAMPLE_HOSTILE] = make_hostile,
	    [SAMPLE_LARGE] = make_large};

	begin(r, result_sample_name(which));
	if (which == SAMPLE_NOTHING) {
		not_gradable(r, "the submission has no file cpuid.lua, and no predictions.lua");
		r->trace_hash[0] = 0;
	} else {
		make[which](r);
	}
}

/* Numbers that look arbitrary and are the same everywhere. */
static unsigned mix(unsigned i, unsigned k)
{
	uint32_t x = i * 2654435761u + k * 40503u + 12345;

	x ^= x >> 15;
	x *= 2246822519u;
	x ^= x >> 13;
	return x;
}

void result_of_class(struct lab_result *r, unsigned i)
{
	static const struct {
		const char *id, *title;
		int64_t max;
	} tasks[] = {{"hide", "Hide the hypervisor", 2000}, {"show", "Show it again, under another name", 2000},
	    {"count", "No exit too many", 3000}, {"unseen", "Any leaf", 1000}};
	char name[32];

	snprintf(name, sizeof name, "student%03u", i);
	begin(r, name);
	for (size_t k = 0; k < sizeof tasks / sizeof tasks[0]; k++) {
		unsigned m = mix(i, (unsigned)k) % 100, skill = mix(i, 99) % 100;
		int64_t share = (m + skill) / 2 > 45 ? 4 : (m + skill) / 2 > 30 ? 2 : 0;
		struct result_task *t = task(r, tasks[k].id, tasks[k].title, tasks[k].max * share / 4, tasks[k].max);
		t->hidden = k == 3;
		char seen[16];
		snprintf(seen, sizeof seen, "%u",
		    share == 4	 ? 12 - mix(i, 5) % 4
		    : share == 2 ? 13 + mix(i, 6) % 12
				 : 25 + mix(i, 6) % 400);
		line(t, share == 4 ? LINE_GOOD : LINE_BAD, (double)share / 4, k == 2 ? "exits of the run" : "exits",
		    k == 2 ? "at most 12; 24 for 50 %" : "12", seen, NULL);
	}
	prediction(r, "exits", "How many CPUID exits does guest probe cause?", mix(i, 7) % 5 ? "12" : NULL, "12",
	    mix(i, 7) % 5 > 2	? 500
	    : mix(i, 7) % 5 > 1 ? 250
				: 0,
	    500);
	prediction(r, "leaks", "Which instruction leaks?", "SGDT", "SGDT", mix(i, 8) % 3 ? 500 : 0, 500);
	if (i % 23 == 22)
		not_gradable(r, "the reference solution could not be run: no /dev/kvm");
}
