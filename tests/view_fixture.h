/*
 * For the tests of views: an application that only holds a view model, and a model that is filled with made-up trace
 * records. Included by one file of a test program: it defines what tui/app.c would.
 */
#ifndef VMSCOPE_TESTS_VIEW_FIXTURE_H
#define VMSCOPE_TESTS_VIEW_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "tests/trace_fixture.h"
#include "tui/engine.h"
#include "tui/table.h"
#include "tui/view.h"

struct app {
	struct view_model *model;
	struct engine *engine;
	const struct symbols *symbols;
	const char *search;
	char lines[8][80]; /* the command lines that views ran */
	unsigned n_lines;
	uint64_t marked; /* exit */
};

struct view_model *app_model(struct app *a)
{
	return a->model;
}

struct engine *app_engine(struct app *a)
{
	return a->engine;
}

const struct symbols *app_symbols(const struct app *a)
{
	return a->symbols;
}

const char *app_search_text(const struct app *a)
{
	return a->search;
}

bool app_marked(const struct app *a, uint64_t number)
{
	return number == a->marked;
}

bool app_threaded(const struct app *a)
{
	(void)a;
	return false;
}

enum err app_command(struct app *a, const char *line, struct errmsg *why)
{
	(void)why;
	snprintf(a->lines[a->n_lines % 8], sizeof(a->lines[0]), "%s", line);
	a->n_lines++;
	return ERR_OK;
}

/* --- the view ------------------------------------------------------------------------------------------------------
 */

static inline void fake_open(struct app *a, struct view *v, const struct view_ops *ops)
{
	v->ops = ops;
	v->state = calloc(1, ops->state_size);
	if (ops->open && ops->open(a, v, NULL) != ERR_OK)
		abort();
}

static inline void fake_close(struct app *a, struct view *v)
{
	if (v->ops->close)
		v->ops->close(a, v);
	free(v->state);
}

/* One frame, as text; the caller frees it. */
static inline char *fake_frame(struct app *a, struct view *v, int w, int h, bool ascii)
{
	struct screen s;
	struct rect all = {.w = w, .h = h};
	char *text;

	if (!screen_init(&s, w, h, ascii))
		abort();
	v->at = all;
	view_model_lock(a->model);
	v->ops->collect(a, v, a->model, w, h);
	view_model_unlock(a->model);
	v->ops->draw(a, v, &s, &all);
	text = screen_dump(&s, false);
	screen_fini(&s);
	if (getenv("SHOW_SCREENS"))
		printf("%s\n", text);
	return text;
}

/* A command of the view, by the longest name that the line begins with. */
static inline enum err fake_command(struct app *a, struct view *v, const char *line, struct errmsg *why)
{
	const struct command *best = NULL;

	if (strncmp(line, "sort", 4) == 0 && (line[4] == ' ' || !line[4]) && v->ops->table)
		return table_sort(v->ops->table(v), line[4] ? line + 5 : "", why);
	for (const struct command *c = v->ops->commands; c->name; c++) {
		size_t n = strlen(c->name);

		if (strncmp(c->name, line, n) == 0 && (line[n] == ' ' || !line[n]) && (!best || n > strlen(best->name)))
			best = c;
	}
	if (!best)
		return err_set(why, ERR_NOENT, "no command %s", line);
	line += strlen(best->name);
	return best->run(a, v, *line ? line + 1 : line, why);
}

/* --- the model -----------------------------------------------------------------------------------------------------
 */

struct fake_run {
	struct vm *vm;
	struct session session;
	struct view_model *model;
	struct view_info info;
	uint64_t seq, number, insns, ts;
};

static inline uint64_t fake_now(void *arg)
{
	(void)arg;
	return 1000000000;
}

/* MODE_CAP_REMOTE: nobody asks this guest for its screen. */
static const struct mode_ops fake_mode = {.name = "emulate",
    .engine = "fake",
    .mode = MODE_EMULATE,
    .type = VMM_TYPE_II,
    .caps = MODE_CAP_COUNTS_INSNS | MODE_CAP_VIRTUAL_TIME | MODE_CAP_REMOTE};

static inline void fake_run_open(struct fake_run *r, size_t log_exits)
{
	struct view_config cfg = {.log_exits = log_exits, .now_ns = fake_now};

	memset(r, 0, sizeof(*r));
	r->vm = trace_fake_vm(2, CLOCK_VIRTUAL);
	r->vm->cfg.mode = &fake_mode;
	r->session.vm = r->vm;
	r->info = (struct view_info){.source = VIEW_LIVE,
	    .guest = "hello",
	    .mode = "emulate",
	    .engine = "interpreter",
	    .controls = "vtx-ept",
	    .type = 2,
	    .clock = CLOCK_VIRTUAL,
	    .n_vcpus = 2,
	    .mem_size = 64 << 20,
	    .counts_insns = true};
	if (view_model_new(&cfg, &r->model, NULL) != ERR_OK)
		abort();
	view_model_attach(r->model, &r->session, &r->info);
}

static inline void fake_run_close(struct fake_run *r)
{
	view_model_free(r->model);
	trace_fake_vm_free(r->vm);
}

struct fake_exit {
	uint32_t reason;
	uint64_t rip, cost;
	unsigned vcpu;
	uint64_t insns; /* before it */
	struct exit_io io;
	enum verdict verdict;
	uint8_t inject; /* vector of an exception; 0: none */
};

static inline void fake_exit(struct fake_run *r, const struct fake_exit *x)
{
	struct vm_exit e = {.io = x->io};
	struct trace_rec rec = {.reason = x->reason, .rip = x->rip, .kind = TRACE_REC_EXIT, .observed = OBSERVED_VMM};
	bool hw = exit_is_hw(x->reason);

	r->insns += x->insns;
	r->vm->clock.insns = r->insns;
	r->ts = clock_now_ns(&r->vm->clock);
	rec.ts = r->ts;
	rec.exit.insns = r->insns;
	rec.exit.index = r->seq;
	rec.exit.number = r->number;
	rec.exit.own = (uint32_t)(r->seq - r->number);
	rec.verdict = (uint8_t)x->verdict;
	rec.modelled = 1;
	rec.insn_len = 1;
	memcpy(rec.exit.raw, e.raw, sizeof(e.raw));
	rec.exit.cost_ns = x->cost;
	view_model_feed(r->model, x->vcpu, &rec, 1);
	if (x->inject) {
		rec.kind = TRACE_REC_INJECT;
		rec.inject = (struct trace_rec_inject){.type = INTR_TYPE_HW_EXCEPTION, .vector = x->inject};
		view_model_feed(r->model, x->vcpu, &rec, 1);
	}
	r->seq++;
	r->number += hw;
	view_model_position(r->model, r->insns, r->number);
}

/* A guest that asks CPUID, writes n characters to COM1, takes a page fault of a device now and then, and halts. */
static inline void fake_story(struct fake_run *r, unsigned n)
{
	fake_exit(r, &(struct fake_exit){.reason = EXIT_CPUID, .rip = 0x7c00, .cost = 1500, .insns = 40});
	for (unsigned i = 0; i < n; i++) {
		fake_exit(r, &(struct fake_exit){.reason = EXIT_IO_INSTRUCTION,
				 .rip = 0x7c20,
				 .cost = 2000 + 10 * (i % 7),
				 .insns = 900,
				 .io = {.port = 0x3f8, .size = 1, .count = 1, .value = 'a' + i % 26}});
		if (i % 5 == 4)
			fake_exit(r, &(struct fake_exit){.reason = EXIT_IO_INSTRUCTION,
					 .rip = 0x8c10,
					 .cost = 1900,
					 .vcpu = 1,
					 .insns = 100,
					 .io = {.port = 0x60, .size = 1, .in = 1, .count = 1, .value = 0x1c}});
		if (i % 10 == 9)
			fake_exit(r, &(struct fake_exit){.reason = EXIT_EPT_VIOLATION,
					 .rip = 0x9000 + i,
					 .cost = 31000,
					 .insns = 500,
					 .verdict = VERDICT_AGAIN});
	}
	fake_exit(r, &(struct fake_exit){.reason = EXIT_MSR_READ,
			 .rip = 0x7c40,
			 .cost = 1700,
			 .insns = 10,
			 .verdict = VERDICT_REFLECT,
			 .inject = 13});
	fake_exit(r,
	    &(struct fake_exit){.reason = EXIT_HLT, .rip = 0x7c44, .cost = 1200, .insns = 5, .verdict = VERDICT_HALT});
}

#endif
