/*
 * A session from its beginning to its end: choose a machine, make its disks, start it, wait for the VMM, give it the
 * guests; and take everything down again.
 *
 * Read after session.h; next line.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "session/remote_impl.h"

#define MIB (1ull << 20)
#define VMM_MEMORY (64 * MIB)
#define BULK_SIZE (520ull * 16 * 63 * 512) /* 256 MiB in whole cylinders; takes room as it is written */
#define HELLO_PATIENCE_NS 3000000000ull	   /* a started machine says hello by itself; then we ask */
#define BYE_PATIENCE_NS 500000000ull
#define LOAD_PIECE 512u /* small enough to come through a bad line, too */

/* --- Choosing ---------------------------------------------------------------------------------------------------- */

enum err remote_probe(
    enum vmm_mode mode, const char *machine, enum machine_engine engine, struct machine_facts *f, struct errmsg *why)
{
	const struct machine_ops *ops;
	const struct machine_want want = {.mode = mode, .engine = engine, .device = machine};
	char path[1024];
	enum err e = machine_choose(machine, &want, &ops, f, why);
	if (e || ops == &machine_device_ops)
		return e;
	static const char *const files[] = {"vmscope-metal.bin", "bootsect.bin"};
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (!medium_find(files[i], path, sizeof path))
			return medium_missing(files[i], why);
	return ERR_OK;
}

#define BELOW_HOLE (2560ull << 20)
#define MACHINE_HOLE_END (3072ull << 20) /* QEMU: this much RAM is below the hole */

static uint64_t memory_of(const struct remote_request *q)
{
	uint64_t all = VMM_MEMORY;
	for (unsigned i = 0; i < q->n; i++) {
		const struct remote_guest *g = &q->guests[i];
		/* The image lies there twice: in the bundle, and loaded. */
		all += g->vm->cfg.mem_size + (g->load.image ? g->load.len : 0) + g->firmware_len + g->n_keys;
		for (size_t k = 0; k < g->load.n_modules; k++)
			all += g->load.modules[k].len;
	}
	/* A guest's memory is one piece, and the machine's has a hole below 4 GiB: what does not fit there lies above.
	 */
	if (all > BELOW_HOLE)
		all += MACHINE_HOLE_END;
	return (all + MIB - 1) / MIB * MIB;
}

static uint32_t flags_of(const struct remote_request *q, const struct machine_facts *f, bool bulk)
{
	return BUNDLE_SESSION | (bulk ? BUNDLE_BULK : 0) | (q->drop ? 0 : BUNDLE_BLOCK) | (q->regs ? BUNDLE_REGS : 0) |
	       (q->pages ? BUNDLE_PAGES : 0) | (f->tick_is_insn ? BUNDLE_TICK_INSN : 0) |
	       (f->clock_runs_on ? BUNDLE_CLOCK_RUNS_ON : 0);
}

static enum err make_disk(void *arg, const char *path, struct errmsg *why)
{
	const struct remote *r = arg;
	return medium_disk(path, r->bundle, r->bundle_len, why);
}

/* Ctrl-C and --timeout set it in every mirror. Asked until the guests run; then each driver asks its own. */
bool remote_was_stopped(const struct remote *r)
{
	for (unsigned i = 0; r->request && i < r->request->n; i++)
		if (r->request->guests[i].vm->stop)
			return true;
	return false;
}

static bool was_stopped(void *arg)
{
	return remote_was_stopped(arg);
}

static enum err check_request(const struct remote_request *q, struct errmsg *why)
{
	if (q->n == 0 || q->n > BUNDLE_VMS_MAX)
		return err_set(why, ERR_RANGE, "%u guests: 1 to %u run on one machine", q->n, BUNDLE_VMS_MAX);
	for (unsigned i = 0; i < q->n; i++)
		if (!(q->guests[i].vm->cfg.mode->caps & MODE_CAP_REMOTE) ||
		    q->guests[i].vm->cfg.mode != q->guests[0].vm->cfg.mode)
			return err_set(why, ERR_INVAL, "the guests of one machine all have the same Type I mode");
	return ERR_OK;
}

static enum err start_machine(struct remote *r, const struct remote_request *q, struct errmsg *why)
{
	const struct machine_ops *ops;
	struct machine_facts *f = &r->facts.machine;
	r->want = (struct machine_want){.mode = q->guests[0].vm->cfg.mode->mode,
	    .engine = q->engine,
	    .memory = memory_of(q),
	    .device = q->machine,
	    .make_disk = make_disk,
	    .stopped = was_stopped,
	    .arg = r};
	enum err e = machine_choose(q->machine, &r->want, &ops, f, why);
	if (e)
		return e;
	r->want.bulk_size = r->bulk_size = ops == &machine_device_ops ? 0 : BULK_SIZE;
	e = bundle_build(q, f, flags_of(q, f, r->bulk_size != 0), r->bulk_size, &r->bundle, &r->bundle_len, why);
	return e ? e : machine_start(ops, &r->want, &r->machine, why);
}

/* --- Hello ------------------------------------------------------------------------------------------------------- */

/* Waits until *flag is set, the machine is dead, or for ns. */
static bool wait_flag(struct remote *r, const bool *flag, uint64_t ns)
{
	uint64_t until = session_now_ns() + ns;
	pthread_mutex_lock(&r->lock);
	while (!*flag && !r->dead && !remote_was_stopped(r) && session_now_ns() < until)
		line_wait_change(r, until);
	bool is = *flag;
	pthread_mutex_unlock(&r->lock);
	return is;
}

static enum err line_error(struct remote *r, enum err e, const char *what, struct errmsg *why)
{
	char last[400];
	pthread_mutex_lock(&r->lock);
	if (r->dead)
		(void)!err_set(why, e, "%s", r->dead_why.text);
	else if (r->facts.log[0])
		(void)!err_set(why, e, "%s", line_last_log(r, last));
	else
		(void)!err_set(why, e, "the VMM refuses %s: %s", what, err_sentence(e));
	pthread_mutex_unlock(&r->lock);
	return e;
}

static enum err hello(struct remote *r, struct errmsg *why)
{
	if (!r->machine.kept || !wait_flag(r, &r->hello_seen, HELLO_PATIENCE_NS)) {
		struct command c = {.head.op = CMD_HELLO};
		enum err e = line_call(r, &c);
		if (e)
			return line_error(r, e, "to say hello", why);
	}
	/* The hello of an answer comes before the answer, but the line may have lost it. */
	for (unsigned i = 0; i < 20 && !wait_flag(r, &r->hello_seen, 1000000); i++) {
		struct command c = {.head.op = CMD_HELLO};
		enum err e = line_call(r, &c);
		if (e)
			return line_error(r, e, "to say hello", why);
	}
	pthread_mutex_lock(&r->lock);
	enum err e =
	    r->dead	     ? err_set(why, ERR_IO, "%s", r->dead_why.text)
	    : !r->hello_seen ? err_set(why, ERR_IO, "the line is too bad: no hello came through")
	    : r->facts.hello.started
		? err_set(why, ERR_BUSY, "the VMM still has the guests of an earlier session: restart its machine")
		: ERR_OK;
	pthread_mutex_unlock(&r->lock);
	return e;
}

/* Does the CPU have what the mode needs? A started machine was chosen for it; another one says it here. */
static enum err check_cpu(const struct remote *r, struct errmsg *why)
{
	const struct msg_hello *h = &r->facts.hello;
	if (r->want.mode != MODE_VIRTUALIZE)
		return ERR_OK;
	if (r->want.engine != ENGINE_SVM && h->has_vmx)
		return ERR_OK;
	if (r->want.engine != ENGINE_VMX && h->has_svm)
		return ERR_OK;
	return err_set(why, ERR_NODEV, "%.47s: %.120s%s%.120s", h->cpu_model[0] ? h->cpu_model : "this CPU",
	    r->want.engine != ENGINE_SVM ? h->no_vmx : "", r->want.engine == ENGINE_ANY ? "; " : "",
	    r->want.engine != ENGINE_VMX ? h->no_svm : "");
}

/* --- The guests -------------------------------------------------------------------------------------------------- */

static enum err load_bundle(struct remote *r, struct errmsg *why)
{
	for (size_t at = 0; at < r->bundle_len; at += LOAD_PIECE) {
		size_t n = r->bundle_len - at < LOAD_PIECE ? r->bundle_len - at : LOAD_PIECE;
		struct command c = {
		    .head = {.op = CMD_LOAD, .arg = {at, r->bundle_len}}, .data = r->bundle + at, .n = (uint32_t)n};
		enum err e = line_call(r, &c);
		if (e)
			return line_error(r, e, "the bundle", why);
	}
	return ERR_OK;
}

static enum err start_guests(struct remote *r, struct errmsg *why)
{
	const struct bundle *b = (const void *)r->bundle;
	bool load = !r->machine.kept || !r->facts.hello.has_bundle;
	enum err e = load ? load_bundle(r, why) : ERR_OK;
	struct command c = {.head = {.op = CMD_START, .arg = {load ? r->bundle_len : 0, b->crc}}};
	if (!e && (e = line_call(r, &c)))
		return line_error(r, e, "the guests", why);
	pthread_mutex_lock(&r->lock);
	r->guests_started = e == ERR_OK;
	pthread_mutex_unlock(&r->lock);
	return e;
}

static void bind_mirrors(struct remote *r, const struct remote_request *q)
{
	pthread_mutex_lock(&r->lock);
	r->n = q->n;
	for (unsigned i = 0; i < q->n; i++) {
		struct mirror *m = &r->mirrors[i];
		struct vm *vm = q->guests[i].vm;
		*m = (struct mirror){.r = r, .vm = vm, .index = i, .expect_end = true};
		memcpy(m->told_reasons, vm->user_reasons, sizeof m->told_reasons);
		vm->mode_priv = m;
		if (r->want.mode == MODE_VIRTUALIZE && !r->facts.hello.has_pcid)
			vm_without_pcid(vm);
	}
	pthread_mutex_unlock(&r->lock);
}

static const char *engine_forecast(const struct remote *r)
{
	if (r->want.mode == MODE_EMULATE)
		return "interpreter";
	return r->want.engine != ENGINE_SVM && r->facts.hello.has_vmx ? "vmx" : "svm";
}

enum err remote_open(const struct remote_request *q, struct remote **out, struct errmsg *why)
{
	*out = NULL;
	enum err e = check_request(q, why);
	if (e)
		return e;
	struct remote *r = calloc(1, sizeof *r);
	uint8_t *rec = malloc(REC_BUF);
	if (!r || !rec) {
		free(r);
		free(rec);
		return err_set(why, ERR_NOMEM, "no memory for a session");
	}
	r->rec = rec;
	r->request = q;
	r->machine = (struct machine_run){.line = -1, .bulk = -1};
	e = start_machine(r, q, why);
	if (!e)
		e = line_start(r, why);
	if (!e)
		e = hello(r, why);
	if (!e)
		e = check_cpu(r, why);
	if (!e) {
		bind_mirrors(r, q);
		e = start_guests(r, why);
	}
	if (e && remote_was_stopped(r))
		e = err_set(why, ERR_AGAIN, "%s before the guests ran",
		    q->guests[0].vm->stop == END_TIMEOUT ? "the time limit was over" : "stopped");
	r->request = NULL;
	if (e) {
		if (q->facts && r->thread_runs)
			remote_facts(r, q->facts);
		remote_close(r);
		return e;
	}
	snprintf(r->facts.engine, sizeof r->facts.engine, "%s", engine_forecast(r));
	*out = r;
	return ERR_OK;
}

/* --- Questions about it ------------------------------------------------------------------------------------------ */

void remote_facts(struct remote *r, struct remote_facts *f)
{
	pthread_mutex_lock(&r->lock);
	*f = r->facts;
	pthread_mutex_unlock(&r->lock);
	f->lost_console_bytes = 0;
	for (unsigned i = 0; i < r->n; i++)
		f->lost_console_bytes += r->mirrors[i].lost_console;
}

const struct msg_end *remote_end(struct remote *r, unsigned vm)
{
	if (vm >= r->n)
		return NULL;
	struct mirror *m = &r->mirrors[vm];
	/* One that was stopped before its end is audited as it stands. */
	struct command c = {
	    .head.op = CMD_REPORT, .vm = (uint8_t)vm, .out = &m->end, .out_max = (uint32_t)sizeof m->end};
	if (!m->end_known && !m->running && line_call(r, &c) == ERR_OK && c.out_len == sizeof m->end) {
		m->end_known = true;
		snprintf(r->facts.engine, sizeof r->facts.engine, "%.15s", m->end.engine);
	}
	return m->end_known ? &m->end : NULL;
}

int remote_ready(struct remote *r)
{
	for (;;) {
		int running = -1;
		while (stream_pump(r))
			;
		for (unsigned i = 0; i < r->n; i++) {
			struct mirror *m = &r->mirrors[i];
			if (!m->vm || m->vm->ended)
				continue;
			if (m->q_head != m->q_tail || m->end_waits || m->vm->stop || !m->running)
				return (int)i;
			running = (int)i;
		}
		if (running < 0 || r->broken)
			return running;
		pthread_mutex_lock(&r->lock);
		bool dead = r->dead;
		pthread_mutex_unlock(&r->lock);
		if (dead)
			return running;
		line_wait_news(r, 200);
	}
}

/* --- The end ----------------------------------------------------------------------------------------------------- */

static void say_stop(struct remote *r)
{
	struct command c = {.head.op = CMD_STOP};
	pthread_mutex_lock(&r->lock);
	bool dead = r->dead, seen = r->hello_seen;
	pthread_mutex_unlock(&r->lock);
	if (dead || !seen)
		return;
	line_post(r, &c);
	/* A started machine is ended anyway; one at the end of a line gets time to hear it. */
	(void)wait_flag(r, &c.done, r->machine.kept ? BYE_PATIENCE_NS : 4 * BYE_PATIENCE_NS);
	pthread_mutex_lock(&r->lock);
	line_dead(r, "the session was closed");
	pthread_mutex_unlock(&r->lock);
}

void remote_close(struct remote *r)
{
	if (!r)
		return;
	if (r->thread_runs) {
		say_stop(r);
		line_stop(r);
	}
	machine_stop(&r->machine);
	for (unsigned i = 0; i < r->n; i++) {
		if (r->mirrors[i].vm)
			r->mirrors[i].vm->mode_priv = NULL;
		free(r->mirrors[i].queue);
	}
	free(r->bundle);
	free(r->rec);
	free(r);
}
