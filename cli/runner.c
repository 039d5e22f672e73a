/*
 * One run, from options to a result. The order of everything is here: read runner_run() from top to bottom.
 */
#include "cli/runner.h"

#include <sha256.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "cli/cli.h"
#include "cli/runner_impl.h"
#include "core/machine.h"
#include "core/session.h"
#include "modes/simulate/costs.h"

/* Who takes every record does it beside a thread that draws: it may come a millisecond late. */
#define SINK_RECORDS 16384u

/* The VMs that SIGINT, SIGTERM and the timeout stop. One run at a time in this process. */
static struct vm *volatile running[BUNDLE_VMS_MAX];
static volatile sig_atomic_t got_sigint;

static void on_signal(int sig)
{
	if (sig != SIGALRM)
		got_sigint = 1;
	for (unsigned i = 0; i < BUNDLE_VMS_MAX; i++) {
		struct vm *vm = running[i];
		if (vm && sig == SIGALRM)
			vm_timeout(vm);
		else if (vm)
			vm_stop(vm);
	}
}

static void set_timer(uint64_t ms)
{
	struct itimerval t = {.it_value = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)}};
	/* Again every 50 ms: a signal that arrives just before the wait it should end must not be the last one. */
	if (ms)
		t.it_interval.tv_usec = 50000;
	setitimer(ITIMER_REAL, &t, NULL);
}

const char *type_name(enum vmm_type t)
{
	return t == VMM_TYPE_I ? "I" : "II";
}

enum err runner_check(const struct run_options *o, const struct mode_ops *ops, const char **controls,
    enum clock_kind *clock, struct errmsg *why)
{
	size_t n;
	const struct controls_profile *p = controls_profiles(&n);
	const char *mode = mode_name(ops->mode), *type = type_name(ops->type);
	*controls = o->controls ? o->controls : ops->default_profile;
	for (size_t i = 0; i < n; i++)
		if (*controls && strcmp(p[i].name, *controls) == 0 && !(p[i].backends & ops->profiles))
			return err_set(why, ERR_UNSUPPORTED,
			    "--controls %s: not with %s/%s, which runs under %s: leave --controls out", *controls, mode,
			    type, ops->default_profile);
	*clock = o->clock_set ? o->clock : ops->caps & MODE_CAP_VIRTUAL_TIME ? CLOCK_VIRTUAL : CLOCK_HOST;
	if (*clock == CLOCK_VIRTUAL && !(ops->caps & MODE_CAP_VIRTUAL_TIME))
		return err_set(why, ERR_UNSUPPORTED, "--clock virtual: %s/%s runs on the host's time: use --clock host",
		    mode, type);
	if (*clock == CLOCK_HOST && !(ops->caps & MODE_CAP_HOST_TIME))
		return err_set(
		    why, ERR_UNSUPPORTED, "--clock host: %s/%s runs on virtual time: use --clock virtual", mode, type);
	if (o->engine && strcmp(o->engine, ops->engine) != 0 && !runner_metal_engine(ops, o->engine))
		return err_set(why, ERR_UNSUPPORTED, "--engine %s: %s/%s has the engine %s", o->engine, mode, type,
		    runner_metal_engine(ops, "svm") ? "vmx or svm" : ops->engine);
	if (o->machine && !(ops->caps & MODE_CAP_REMOTE))
		return err_set(why, ERR_UNSUPPORTED,
		    "--machine %s: %s/%s needs no machine: leave it out, or use --type 1 with emulate or virtualize",
		    o->machine, mode, type);
	if ((o->n_also || o->fault) && !(ops->caps & MODE_CAP_REMOTE))
		return err_set(why, ERR_UNSUPPORTED,
		    "--%s: only the bare-metal VMM has it: use --type 1 with emulate or virtualize",
		    o->n_also ? "also" : "seed-fault");
	if (o->fault && ops->mode != MODE_VIRTUALIZE)
		return err_set(why, ERR_UNSUPPORTED,
		    "--seed-fault: %s/%s programs no hardware that a hole could be in: use --mode virtualize --type 1",
		    mode, type);
	if (o->cpus > 1 && (!(ops->caps & MODE_CAP_SMP) || *clock != CLOCK_VIRTUAL))
		return err_set(why, ERR_UNSUPPORTED,
		    "--cpus %u: %s/%s on %s time takes one CPU in this version: use emulate/II on virtual time",
		    o->cpus, mode, type, *clock == CLOCK_VIRTUAL ? "virtual" : "the host's");
	if (o->max_insns && !(ops->caps & MODE_CAP_COUNTS_INSNS))
		return err_set(why, ERR_UNSUPPORTED,
		    "--max-insns: %s/%s does not count instructions: use --max-exits or --timeout", mode, type);
	return ERR_OK;
}

enum err runner_create(struct run *run)
{
	const struct run_options *o = run->o;
	struct run_result *r = run->r;
	const char *controls;
	/* Ctrl-C ends all of a comparison, not one column of it. */
	if (got_sigint)
		return err_set(&r->why, ERR_AGAIN, "stopped by the user");
	enum err e = runner_probe(o, run->ops, &r->why);
	if (!e)
		e = runner_check(o, run->ops, &controls, &r->clock, &r->why);
	bool model = run->ops->caps & MODE_CAP_MODEL;
	if (!e)
		e = guest_open(&run->guest, o, !model, &r->why);
	if (e)
		return e;
	snprintf(r->guest, sizeof r->guest, "%s", run->guest.name);
	if (model && !run->guest.model[0])
		return err_set(&r->why, ERR_NOENT,
		    "%s: no behaviour model stands beside this guest: give one with --model FILE", run->guest.name);
	/* What the VMM's part would cost is a model, shown as modelled; without the profile there is no such column. */
	struct errmsg no_cost;
	bool costed = r->clock == CLOCK_VIRTUAL && !cost_load(COST_DEFAULT, run->ops->type, &run->cost, &no_cost);
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = run->ops,
	    .guest = run->guest.name,
	    .controls = controls,
	    .model = model ? run->guest.model : NULL,
	    .cmdline = o->append,
	    .mem_size = o->mem,
	    .n_vcpus = o->cpus,
	    .clock = r->clock,
	    .seed = o->seed,
	    .max_exits = o->max_exits,
	    .max_insns = o->max_insns,
	    .cost = costed ? &run->cost : NULL,
	    .console = run->x->console ? run->x->console : console_byte,
	    .console_arg = run->x->console ? run->x->console_arg : &run->console};
	e = vm_create(&cfg, &run->vm, &r->why);
	if (e)
		return e;
	if (run->x->no_pcid)
		vm_without_pcid(run->vm);
	snprintf(r->controls, sizeof r->controls, "%s", run->vm->controls.name);
	if (!model)
		e = guest_load(&run->guest, o, run->vm, &r->why);
	if (!e && o->keys)
		e = console_type(&run->console, run->vm, o->keys, &r->why);
	return e;
}

enum err runner_attach(struct run *run)
{
	bool remote = run->ops->caps & MODE_CAP_REMOTE;
	struct tracer_config cfg = {.path = run->o->trace,
	    .stats = !run->x->sink,
	    .ring_records = run->x->sink ? SINK_RECORDS : 0,
	    .sink = run->x->sink,
	    .sink_arg = run->x->sink_arg,
	    .policy = remote ? TRACER_BLOCK : TRACER_BY_CLOCK};
	kernel_view_open(&run->kernel, run->ops, &cfg);
	enum err e = tracer_open(run->vm, &cfg, &run->tracer, &run->r->why);
	if (e)
		return e;
	if (run->x->probe)
		e = vm_add_probe(run->vm, run->x->probe, run->x->probe_arg);
	return e ? err_set(&run->r->why, e, "%s", err_sentence(e)) : e;
}

/* From here to unwatch(), signals and the timeout stop the VMs. */
void runner_watch(struct run_watch *w, struct run *runs, unsigned n, uint64_t timeout_ms)
{
	struct sigaction act = {.sa_handler = on_signal};
	for (unsigned i = 0; i < n; i++)
		running[i] = runs[i].vm;
	sigaction(SIGINT, &act, &w->old_int);
	sigaction(SIGTERM, &act, &w->old_term);
	sigaction(SIGALRM, &act, &w->old_alarm);
	set_timer(timeout_ms);
}

void runner_unwatch(const struct run_watch *w)
{
	set_timer(0);
	for (unsigned i = 0; i < BUNDLE_VMS_MAX; i++)
		running[i] = NULL;
	sigaction(SIGALRM, &w->old_alarm, NULL);
	sigaction(SIGTERM, &w->old_term, NULL);
	sigaction(SIGINT, &w->old_int, NULL);
}

static enum err drive(struct run *run)
{
	struct run_result *r = run->r;
	struct run_watch w;
	enum err e = session_open_local(run->vm, &run->session, &r->why);
	if (e)
		return e;
	runner_watch(&w, run, 1, run->o->timeout_ms);
	kernel_view_start(&run->kernel, run->tracer);
	uint64_t start = host_posix_ops.now_ns();
	e = got_sigint ? ERR_AGAIN : run->session->ops->run(run->session);
	r->wall_ns = host_posix_ops.now_ns() - start;
	kernel_view_stop(&run->kernel);
	runner_unwatch(&w);
	return e;
}

static void collect(struct run *run, enum err e)
{
	struct run_result *r = run->r;
	struct vm *vm = run->vm;
	r->ran = true;
	r->trace_err = tracer_finish(run->tracer, &r->why);
	r->stats = tracer_take_stats(run->tracer);
	kernel_view_merge(&run->kernel, r->stats);
	r->end = vm->end;
	if (e && !vm->ended) {
		r->end.kind = e == ERR_AGAIN ? END_STOPPED : e == ERR_BUG ? END_BUG : END_HOST_ERROR;
		snprintf(r->end.detail, sizeof r->end.detail, "%s", err_sentence(e));
	}
	(void)kernel_view_refused(&run->kernel, &r->end);
	if (!run->remote)
		r->has_screen = machine_screen(vm, r->screen);
	r->console = run->console.bytes;
	r->console_len = run->console.n;
	run->console.bytes = NULL;
	SHA256Data(r->console ? r->console : (const uint8_t *)"", r->console_len, r->console_sha256);
}

static struct measured count_if(bool known, uint64_t value, const char *source)
{
	return (struct measured){.value = value, .source = known ? source : NULL};
}

void runner_decide(struct run *run)
{
	struct run_result *r = run->r;

	r->insns_known = run->ops->caps & MODE_CAP_COUNTS_INSNS;
	r->insns = run->vm->clock.insns;
	r->virtual_ns = clock_now_ns(&run->vm->clock);
	if (run->remote) {
		runner_remote_decide(run);
		return;
	}
	const struct vcpu_counts *c = &run->vm->vcpus[0].counts;
	struct efficiency_input in = {.mode = run->ops->mode, .dominant = run->o->dominant};
	if (r->insns_known)
		in.instructions = count_if(true, r->insns, "counted by the engine");
	else
		in.instructions = run->x->reference_insns;
	in.innocuous = count_if(c->insns_innocuous_emulated > 0, c->insns_innocuous_emulated, "counted by the engine");
	in.guest_ns =
	    count_if(r->clock == CLOCK_HOST, c->guest_ns, "measured around each KVM_RUN, the kernel included");
	in.vmm_ns = count_if(r->clock == CLOCK_HOST, c->vmm_ns, "measured around each KVM_RUN");
	kernel_view_efficiency(&run->kernel, &in);
	in.missing = run->kernel.why.text;
	efficiency_decide(&in, &r->efficiency);
	safety_audit(run->vm, 0, &r->safety);
}

static enum err drive_all(struct run *runs, unsigned n)
{
	return runs[0].ops->caps & MODE_CAP_REMOTE ? runner_remote_drive(runs, n) : drive(runs);
}

static void finish(struct run *run, enum err e)
{
	struct errmsg again;

	if (run->session) {
		collect(run, e);
		runner_decide(run);
	}
	kernel_view_close(&run->kernel);
	if (run->tracer)
		(void)tracer_close(run->tracer, &again); /* collect() has reported what there was */
	if (run->session)
		run->session->ops->close(run->session);
	else if (run->vm)
		vm_destroy(run->vm);
}

enum err runner_run_group(const struct run_options *o, const struct mode_ops *ops, const struct runner_extra *x,
    struct run_result *r, unsigned n)
{
	struct run_options options[BUNDLE_VMS_MAX];
	struct run *runs = calloc(n, sizeof *runs);
	struct remote *remote = NULL;
	char words[BUNDLE_VMS_MAX][GUEST_PATH_MAX];
	enum err e = runs ? ERR_OK : ERR_NOMEM;

	for (unsigned i = 0; i < n; i++) {
		r[i] = (struct run_result){.mode = ops->mode, .type = ops->type, .ops = ops, .backend = ops->engine};
		options[i] = *o;
		if (i)
			runner_also(o, i - 1, &options[i], words[i]);
	}
	for (unsigned i = 0; !e && i < n; i++) {
		runs[i] = (struct run){.o = &options[i],
		    .ops = ops,
		    .x = x,
		    .r = &r[i],
		    .index = i,
		    .console = {.live = x->console_live && n == 1}};
		e = runner_create(&runs[i]);
		if (!e)
			e = runner_attach(&runs[i]);
		if (e)
			r[0].why = r[i].why;
	}
	if (!e)
		e = drive_all(runs, n);
	bool ran = runs && runs[0].session;
	for (unsigned i = 0; runs && i < n; i++) {
		if (runs[i].remote)
			remote = runs[i].remote;
		finish(&runs[i], e);
		r[i].err = ran ? ERR_OK : e;
	}
	if (remote)
		remote_close(remote);
	if (x->console_live)
		fflush(stdout);
	for (unsigned i = 0; runs && i < n; i++) {
		console_free(&runs[i].console);
		guest_close(&runs[i].guest);
	}
	free(runs);
	return ran ? ERR_OK : e;
}

enum err runner_run(
    const struct run_options *o, const struct mode_ops *ops, const struct runner_extra *x, struct run_result *r)
{
	return runner_run_group(o, ops, x, r, 1);
}

void runner_take_down(struct run *run)
{
	kernel_view_close(&run->kernel);
	if (run->session)
		run->session->ops->close(run->session);
	else if (run->vm)
		vm_destroy(run->vm);
	if (run->remote)
		remote_close(run->remote);
	console_free(&run->console);
	guest_close(&run->guest);
}

enum err runner_lockstep(const struct run_options *o, const struct mode_ops *subject, const struct mode_ops *reference,
    uint64_t for_ns, struct equivalence_report *out, struct errmsg *why)
{
	const struct runner_extra none = {0};
	struct run_options same = *o;
	struct run_result results[2];
	struct run a = {.o = &same, .ops = subject, .x = &none, .r = &results[0]},
		   b = {.o = &same, .ops = reference, .x = &none, .r = &results[1]};
	struct equivalence_options opt = {
	    .step = o->lockstep_insn ? EQUIVALENCE_INSNS : EQUIVALENCE_EXITS, .max_exits = o->max_exits};
	struct run_watch w;
	bool remote = subject->caps & MODE_CAP_REMOTE;
	if (remote) /* its records come exit by exit */
		opt.step = EQUIVALENCE_EXITS;
	memset(results, 0, sizeof results);
	/* A host's kernel has its own controls; bare metal takes what the user asked for. */
	if (!remote)
		same.controls = subject->default_profile;
	same.max_insns = 0;
	same.max_exits = 0;
	enum err e = runner_create(&a);
	if (!e) {
		/* The reference counts instructions and has no machine of its own. */
		struct run_options hosted = same;
		hosted.machine = NULL;
		hosted.fault = FAULT_NONE;
		hosted.n_also = 0;
		hosted.engine = NULL;
		b.o = &hosted;
		e = runner_create(&b);
		b.o = &same;
	}
	if (for_ns)
		opt.until_ns = host_posix_ops.now_ns() + for_ns;
	else
		runner_watch(&w, &a, 1, o->timeout_ms);
	if (!e && remote)
		e = runner_remote_open(&a, 1, true);
	if (!e) {
		struct tracer_config no_trace = {0};
		kernel_view_open(&a.kernel, subject, &no_trace);
		kernel_view_start(&a.kernel, NULL);
		equivalence_run(a.vm, b.vm, &opt, out);
		kernel_view_stop(&a.kernel);
		/* What follows an instruction that the host cannot run is no difference between subject and reference.
		 */
		if (kernel_view_refused(&a.kernel, &out->subject_end)) {
			out->verdict.state = PG_UNKNOWN;
			snprintf(out->verdict.evidence, sizeof out->verdict.evidence, "%llu exits agree; %s",
			    (unsigned long long)out->exits_compared, out->subject_end.detail);
			out->first.found = false;
		}
	} else {
		*why = results[results[0].why.text[0] ? 0 : 1].why;
	}
	if (!for_ns)
		runner_unwatch(&w);
	runner_take_down(&b);
	runner_take_down(&a);
	return e;
}

void run_result_free(struct run_result *r)
{
	free(r->console);
	stats_free(r->stats);
	*r = (struct run_result){0};
}

int run_result_status(const struct run_result *r)
{
	if (!r->ran)
		return (int)cli_status_of(r->err);
	int status = end_status(r->end.kind, r->end.code);
	/* A guest that ended well although it could reach what is not its own did not run well. */
	return status == 0 && r->safety.verdict.state == PG_VIOLATED ? CLI_FAILED : status;
}
