/*
 * A view model, an engine, breakpoints and symbols that are only data: what tests of the application and of views see
 * instead of a guest. Included by one test program; the definitions are weak, so that a program may also link the real
 * ones. The rules of the headers are asserted: view_* under the lock, view_cpu_* and control_* while the engine is
 * held.
 *
 * #define FAKE_NO_MODEL before including it to have the real view model.
 */
#ifndef VMSCOPE_TESTS_TUI_FAKE_H
#define VMSCOPE_TESTS_TUI_FAKE_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tracer/symbols.h"
#include "tui/app.h"

#define WEAK __attribute__((weak))

/* --- the view model ------------------------------------------------------------------------------------------- */
#ifndef FAKE_NO_MODEL
struct view_model {
	int locked;
	struct view_info info;
	struct view_now now;
	struct view_verdicts verdicts;
	struct exit_stats *stats[8]; /* by enum stats_by */
	struct view_exit *exits;     /* the log; the caller's */
	uint64_t n_exits;
	char *filter; /* a filter of one word: the name of a reason */
	const char *console;
	uint32_t spark[VIEW_SPARK];
	struct x86_state *state, *before;
	uint8_t *memory; /* from address 0, physical and linear */
	size_t n_memory;
};

/* n exits of the reasons in turn, numbered from 0. */
static inline void fake_exits(
    struct view_model *m, struct view_exit *log, uint64_t n, const uint32_t *reasons, unsigned k)
{
	for (uint64_t i = 0; i < n; i++)
		log[i] = (struct view_exit){.number = i,
		    .ts_ns = i * 1000,
		    .insns = i * 100,
		    .rip = 0x1000 + i * 4,
		    .reason = reasons[i % k],
		    .insn_len = 2,
		    .has = VIEW_HAS_RIP};
	m->exits = log;
	m->n_exits = n;
	m->now.exits = m->now.seen_exits = n;
	m->now.selected = n ? n - 1 : 0;
}

WEAK void view_model_lock(struct view_model *m)
{
	assert(!m->locked);
	m->locked++;
}

WEAK void view_model_unlock(struct view_model *m)
{
	assert(m->locked);
	m->locked--;
}

WEAK void view_model_select(struct view_model *m, uint64_t number)
{
	assert(!m->locked);
	m->now.selected = number;
}

WEAK const struct view_info *view_info(struct view_model *m)
{
	assert(m->locked);
	return &m->info;
}

WEAK const struct view_now *view_now(struct view_model *m)
{
	assert(m->locked);
	return &m->now;
}

WEAK const struct view_verdicts *view_verdicts(struct view_model *m)
{
	assert(m->locked);
	return &m->verdicts;
}

WEAK const struct exit_stats *view_stats(struct view_model *m, enum stats_by by)
{
	assert(m->locked);
	return m->stats[by];
}

WEAK void view_spark(struct view_model *m, uint32_t reason, uint8_t isa, uint32_t out[VIEW_SPARK], double *rate)
{
	assert(m->locked);
	(void)reason;
	(void)isa;
	memcpy(out, m->spark, sizeof(m->spark));
	*rate = 0;
}

WEAK uint64_t view_bucket_ns(struct view_model *m)
{
	(void)m;
	return 1000000;
}

WEAK uint64_t view_log_first(struct view_model *m)
{
	assert(m->locked);
	return 0;
}

WEAK uint64_t view_log_n(struct view_model *m)
{
	assert(m->locked);
	return m->n_exits;
}

WEAK const struct view_exit *view_log_at(struct view_model *m, uint64_t pos)
{
	assert(m->locked);
	return pos < m->n_exits ? &m->exits[pos] : NULL;
}

WEAK bool view_log_numbers(struct view_model *m, uint64_t *first, uint64_t *last)
{
	assert(m->locked);
	if (!m->n_exits)
		return false;
	*first = m->exits[0].number;
	*last = m->exits[m->n_exits - 1].number;
	return true;
}

WEAK bool view_log_find(struct view_model *m, uint64_t number, uint64_t *pos)
{
	assert(m->locked);
	for (*pos = 0; *pos < m->n_exits; (*pos)++)
		if (m->exits[*pos].number == number)
			return true;
	return false;
}

WEAK bool view_log_search(struct view_model *m, uint64_t pos, int dir,
    bool (*match)(void *arg, const struct view_exit *e), void *arg, uint64_t *found)
{
	assert(m->locked);
	for (pos += (uint64_t)(int64_t)dir; pos < m->n_exits; pos += (uint64_t)(int64_t)dir)
		if (match(arg, &m->exits[pos])) {
			*found = pos;
			return true;
		}
	return false;
}

WEAK enum err view_filter_set(struct view_model *m, const char *text, size_t *at, struct errmsg *why)
{
	size_t n = text ? strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") : 0;

	assert(m->locked);
	*at = 0;
	if (text && text[n]) {
		*at = n;
		return err_set(why, ERR_INVAL, "'%s' is no name", text + n);
	}
	free(m->filter);
	m->filter = text ? strdup(text) : NULL;
	return ERR_OK;
}

WEAK const char *view_filter_text(struct view_model *m)
{
	return m->filter;
}

WEAK bool view_log_shown(struct view_model *m, const struct view_exit *e)
{
	return !m->filter || !strcmp(m->filter, exit_name(e->reason));
}

WEAK size_t view_console(struct view_model *m, char *buf, size_t n, uint64_t *total)
{
	size_t all = m->console ? strlen(m->console) : 0, k = all < n ? all : n;

	assert(m->locked);
	if (k)
		memcpy(buf, m->console + all - k, k);
	*total = all;
	return k;
}

WEAK struct vm *view_vm(struct view_model *m)
{
	(void)m;
	return NULL;
}

WEAK bool view_remote(struct view_model *m)
{
	(void)m;
	return false;
}

WEAK bool view_cpu(struct view_model *m, unsigned vcpu, struct view_cpu *out)
{
	(void)m;
	(void)vcpu;
	*out = (struct view_cpu){0};
	return false;
}

WEAK const struct x86_state *view_cpu_state(struct view_model *m, unsigned vcpu, struct errmsg *why)
{
	if (!m->state || vcpu)
		err_set(why, ERR_UNSUPPORTED, "a trace has no registers");
	return vcpu ? NULL : m->state;
}

WEAK const struct x86_state *view_cpu_before(struct view_model *m, unsigned vcpu)
{
	return vcpu ? NULL : m->before;
}

WEAK enum err view_read_phys(struct view_model *m, gpa_t gpa, void *buf, size_t n, struct errmsg *why)
{
	if (!m->memory || gpa > m->n_memory || n > m->n_memory - gpa)
		return err_set(why, ERR_RANGE, "there is no memory at %#llx", (unsigned long long)gpa);
	memcpy(buf, m->memory + gpa, n);
	return ERR_OK;
}

WEAK enum err view_read_linear(
    struct view_model *m, unsigned vcpu, gva_t gva, void *buf, size_t n, size_t *done, struct errmsg *why)
{
	enum err e = view_read_phys(m, gva, buf, n, why);

	(void)vcpu;
	*done = e == ERR_OK ? n : 0;
	return e;
}

WEAK bool view_screen(struct view_model *m, char lines[25][81])
{
	(void)m;
	(void)lines;
	return false;
}
#endif

/* --- the engine ------------------------------------------------------------------------------------------------- */
struct engine {
	struct view_model *model;
	bool threaded, busy, news;
	int held;
	bool cannot_hold; /* it is under way to somewhere */
	bool runs;
	unsigned n_holds;
	enum err result;
	struct errmsg why;
	unsigned n_do, n_pause; /* calls */
	enum engine_verb verb;	/* of the last engine_do() */
	uint64_t n;
	char typed[256], loaded[256];
	size_t n_typed;
	enum err load_result;
	unsigned n_vms, current;
	struct engine_vm vm[ENGINE_VMS_MAX];
	struct breakpoint breaks[CONTROL_BREAKS_MAX];
	enum err break_result;
	struct control_where where;
};

WEAK struct view_model *engine_model(struct engine *e)
{
	return e->model;
}

WEAK enum err engine_do(struct engine *e, enum engine_verb verb, uint64_t n, struct errmsg *why)
{
	if (e->busy)
		return err_set(why, ERR_BUSY, "busy");
	e->n_do++;
	e->verb = verb;
	e->n = n;
	if (e->threaded) {
		e->busy = true;
		return ERR_OK;
	}
	return e->result == ERR_OK ? ERR_OK : err_set(why, e->result, "%s", e->why.text);
}

/* Ends what was begun, as the engine's thread would. */
static inline void fake_engine_done(struct engine *e, enum err result, const char *why)
{
	e->busy = false;
	e->news = true;
	e->result = result;
	snprintf(e->why.text, sizeof(e->why.text), "%s", why);
}

WEAK void engine_pause(struct engine *e)
{
	e->n_pause++;
}

WEAK bool engine_wait(struct engine *e, unsigned ms)
{
	(void)ms;
	return !e->busy;
}

WEAK bool engine_busy(struct engine *e)
{
	return e->busy;
}

WEAK bool engine_runs(struct engine *e)
{
	return e->runs;
}

WEAK bool engine_result(struct engine *e, enum err *err, struct errmsg *why)
{
	if (!e->news)
		return false;
	e->news = false;
	*err = e->result;
	*why = e->why;
	return true;
}

WEAK int engine_fd(const struct engine *e)
{
	return e->threaded ? 0 : -1;
}

WEAK bool engine_hold(struct engine *e)
{
	if (e->cannot_hold)
		return false;
	e->held++;
	e->n_holds++;
	return true;
}

WEAK void engine_release(struct engine *e)
{
	assert(e->held);
	e->held--;
}

WEAK struct control *engine_control(struct engine *e)
{
	assert(e->held);
	return (struct control *)e;
}

WEAK const struct control_where *engine_where(struct engine *e)
{
	assert(e->held);
	return &e->where;
}

WEAK enum err engine_load(struct engine *e, const char *words, struct errmsg *why)
{
	if (e->load_result != ERR_OK)
		return err_set(why, e->load_result, "'%s' is no guest", words);
	snprintf(e->loaded, sizeof(e->loaded), "%s", words);
	return ERR_OK;
}

WEAK enum err engine_type(struct engine *e, const char *text, size_t n, struct errmsg *why)
{
	(void)why;
	if (n > sizeof(e->typed) - e->n_typed)
		n = sizeof(e->typed) - e->n_typed;
	memcpy(e->typed + e->n_typed, text, n);
	e->n_typed += n;
	return ERR_OK;
}

WEAK unsigned engine_vm_current(const struct engine *e)
{
	(void)e;
	return 0;
}

WEAK unsigned engine_n_vms(const struct engine *e)
{
	return e->n_vms;
}

WEAK void engine_vm(struct engine *e, unsigned i, struct engine_vm *out)
{
	*out = e->vm[i];
	out->current = i == e->current;
}

WEAK enum err engine_vm_select(struct engine *e, unsigned i, struct errmsg *why)
{
	if (i >= e->n_vms)
		return err_set(why, ERR_RANGE, "there is no VM %u", i);
	e->current = i;
	return ERR_OK;
}

WEAK enum err engine_vm_pause(struct engine *e, unsigned i, bool paused, struct errmsg *why)
{
	(void)why;
	e->vm[i].paused = paused;
	return ERR_OK;
}

WEAK enum err engine_vm_stop(struct engine *e, unsigned i, struct errmsg *why)
{
	(void)why;
	e->vm[i].run = VIEW_ENDED;
	return ERR_OK;
}

WEAK enum err engine_open(const struct engine_source *src, bool threaded, struct engine **out, struct errmsg *why)
{
	(void)src;
	(void)threaded;
	(void)out;
	return err_set(why, ERR_NODEV, "there is no other backend in a test");
}

WEAK void engine_close(struct engine *e)
{
	(void)e;
}

/* --- breakpoints: a struct control is the fake engine --------------------------------------------------------- */
WEAK enum err control_break_add(struct control *c, struct breakpoint *b, struct errmsg *why)
{
	struct engine *e = (struct engine *)c;

	assert(e->held);
	if (e->break_result != ERR_OK)
		return err_set(why, e->break_result, "this backend cannot stop there");
	for (unsigned i = 0; i < CONTROL_BREAKS_MAX; i++)
		if (!e->breaks[i].id) {
			b->id = i + 1;
			e->breaks[i] = *b;
			return ERR_OK;
		}
	return err_set(why, ERR_NOSPC, "there are %d breakpoints already", CONTROL_BREAKS_MAX);
}

static inline struct breakpoint *fake_break(struct control *c, unsigned id)
{
	struct engine *e = (struct engine *)c;

	assert(e->held);
	return id && id <= CONTROL_BREAKS_MAX && e->breaks[id - 1].id ? &e->breaks[id - 1] : NULL;
}

WEAK enum err control_break_remove(struct control *c, unsigned id)
{
	struct breakpoint *b = fake_break(c, id);

	if (b)
		b->id = 0;
	return b ? ERR_OK : ERR_NOENT;
}

WEAK enum err control_break_enable(struct control *c, unsigned id, bool on)
{
	struct breakpoint *b = fake_break(c, id);

	if (b)
		b->disabled = !on;
	return b ? ERR_OK : ERR_NOENT;
}

WEAK const struct breakpoint *control_break_at(struct control *c, unsigned i)
{
	for (unsigned id = 1; id <= CONTROL_BREAKS_MAX; id++) {
		struct breakpoint *b = fake_break(c, id);

		if (b && !i--)
			return b;
	}
	return NULL;
}

/* --- symbols ------------------------------------------------------------------------------------------------------ */
static const struct {
	const char *name;
	uint64_t addr;
} fake_symbols[] = {{"main", 0x1000}, {"print", 0x1100}, {"timer_irq", 0x2000}};

/* Any pointer is a set of symbols here. */
WEAK const char *symbols_at(const struct symbols *s, size_t i, uint64_t *addr)
{
	(void)s;
	if (i >= ARRAY_LEN(fake_symbols))
		return NULL;
	*addr = fake_symbols[i].addr;
	return fake_symbols[i].name;
}

WEAK bool symbols_by_name(const struct symbols *s, const char *name, uint64_t *addr)
{
	const char *at;

	for (size_t i = 0; (at = symbols_at(s, i, addr)); i++)
		if (!strcmp(at, name))
			return true;
	return false;
}

#endif
