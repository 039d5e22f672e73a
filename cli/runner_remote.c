/*
 * Type I runs: the guests are loaded into mirrors here and into real VMs there, by the same loaders; the machine runs;
 * what happened comes back as events of the mirrors, and the accounts at the end.
 */
#include <stdio.h>
#include <string.h>

#include "cli/runner_impl.h"

/* Lockstep: the whole memory of the guest is looked at, and that takes an emulated machine a while. */
#define CHECKPOINT_EVERY 4096u

static enum machine_engine engine_of(const struct run_options *o)
{
	return !o->engine		       ? ENGINE_ANY
	       : strcmp(o->engine, "vmx") == 0 ? ENGINE_VMX
	       : strcmp(o->engine, "svm") == 0 ? ENGINE_SVM
					       : ENGINE_ANY;
}

/* With the machine and the engine that were asked for: a device needs no emulator to be installed. */
enum err runner_probe(const struct run_options *o, const struct mode_ops *ops, struct errmsg *why)
{
	struct machine_facts f;

	if (!(ops->caps & MODE_CAP_REMOTE))
		return ops->probe(&host_posix_ops, why);
	return remote_probe(ops->mode, o->machine, engine_of(o), &f, why);
}

bool runner_metal_engine(const struct mode_ops *ops, const char *engine)
{
	return ops->caps & MODE_CAP_REMOTE && ops->mode == MODE_VIRTUALIZE &&
	       (strcmp(engine, "vmx") == 0 || strcmp(engine, "svm") == 0);
}

void runner_also(const struct run_options *o, unsigned k, struct run_options *out, char words[GUEST_PATH_MAX])
{
	snprintf(words, GUEST_PATH_MAX, "%s", o->also[k]);
	char *args = strchr(words, ' ');
	if (args)
		*args++ = 0;
	*out = *o;
	out->guest = words;
	out->append = args;
	out->kernel = out->firmware = out->initrd = out->keys = NULL;
	out->trace = NULL;
	out->fault = FAULT_NONE;
	if (o->trace) { /* beside the first one's: run.dat, run.dat.2, ... */
		size_t used = strlen(words) + 1 + (args ? strlen(args) + 1 : 0);
		if (used < GUEST_PATH_MAX)
			snprintf(words + used, GUEST_PATH_MAX - used, "%s.%u", o->trace, k + 2);
		out->trace = used < GUEST_PATH_MAX ? words + used : NULL;
	}
}

void runner_remote_guest(const struct run *run, struct remote_guest *g)
{
	*g = (struct remote_guest){.vm = run->vm,
	    .load = {.image = run->guest.firmware.data ? NULL : run->guest.image.data,
		.len = run->guest.image.len,
		.name = run->guest.path,
		.cmdline = run->o->append,
		.modules = run->guest.modules,
		.n_modules = run->guest.n_modules},
	    .firmware = run->guest.firmware.data,
	    .firmware_len = run->guest.firmware.len,
	    .keys = run->console.keys,
	    .n_keys = run->console.n_keys,
	    .fault = run->o->fault};
}

/* What is compared is the guest's memory, not what the mirror loaded: it is forgotten, and all of it comes from there.
 */
static enum err take_memory(struct remote *remote, unsigned i, struct vm *vm, struct errmsg *why)
{
	static const uint8_t zeros[PAGE_SIZE_4K];

	for (uint64_t at = 0; at < vm->mem.ram_size; at += PAGE_SIZE_4K)
		if (memcmp(vm->mem.ram + at, zeros, PAGE_SIZE_4K) != 0)
			memset(vm->mem.ram + at, 0, PAGE_SIZE_4K);
	enum err e = remote_checkpoint(remote, i);
	return e ? err_set(why, e, "the guest's memory did not come from the machine: %s", err_sentence(e)) : e;
}

enum err runner_remote_open(struct run *runs, unsigned n, bool lockstep)
{
	const struct run_options *o = runs[0].o;
	struct remote_request q = {.n = n,
	    .machine = o->machine,
	    .engine = engine_of(o),
	    .regs = lockstep,
	    .pages = lockstep,
	    .checkpoint_every = lockstep ? CHECKPOINT_EVERY : 0,
	    .facts = &runs[0].r->session};
	struct remote *remote;

	for (unsigned i = 0; i < n; i++)
		runner_remote_guest(&runs[i], &q.guests[i]);
	enum err e = remote_open(&q, &remote, &runs[0].r->why);
	if (e)
		return e;
	for (unsigned i = 0; i < n; i++)
		runs[i].remote = remote;
	for (unsigned i = 0; !e && i < n; i++)
		e = session_open_remote(remote, i, &runs[i].session, &runs[0].r->why);
	for (unsigned i = 0; !e && lockstep && i < n; i++)
		e = take_memory(remote, i, runs[i].vm, &runs[0].r->why);
	return e;
}

/* Several guests at once: whoever has news goes on. */
static void run_all(struct run *runs, unsigned n)
{
	int k;

	for (unsigned i = 0; i < n; i++)
		(void)!vm_step_exit(runs[i].vm, &runs[i].vm->vcpus[0]);
	while ((k = remote_ready(runs[0].remote)) >= 0)
		(void)!vm_step_exit(runs[k].vm, &runs[k].vm->vcpus[0]);
}

enum err runner_remote_drive(struct run *runs, unsigned n)
{
	struct run_watch w;

	runner_watch(&w, runs, n, runs[0].o->timeout_ms);
	enum err e = runner_remote_open(runs, n, false);
	uint64_t start = host_posix_ops.now_ns();
	if (!e && n == 1)
		e = runs[0].session->ops->run(runs[0].session);
	else if (!e)
		run_all(runs, n);
	for (unsigned i = 0; i < n; i++)
		runs[i].r->wall_ns = host_posix_ops.now_ns() - start;
	runner_unwatch(&w);
	return e;
}

/* Who counted instructions that the CPU ran by itself? Under Bochs the time stamp counter does: one tick each. */
static struct measured instructions(const struct run *run, const struct msg_end *m)
{
	if (run->r->insns_known)
		return (struct measured){m->insns, "counted by the engine"};
	if (run->x->reference_insns.source)
		return run->x->reference_insns;
	if (run->r->session.machine.tick_is_insn && m->guest_ticks)
		return (struct measured){
		    m->guest_ticks, "ticks of Bochs' time stamp counter inside the guest, one an instruction"};
	return (struct measured){0, NULL};
}

static void decide_efficiency(struct run *run, const struct msg_end *m)
{
	struct efficiency_input in = {.mode = run->ops->mode, .dominant = run->o->dominant};

	in.instructions = instructions(run, m);
	in.interventions = (struct measured){m->counts.exits, "exits counted by the bare-metal VMM"};
	if (m->counts.insns_innocuous_emulated)
		in.innocuous = (struct measured){m->counts.insns_innocuous_emulated, "counted by the VMM"};
	if (m->guest_ticks) {
		in.guest_ns = (struct measured){m->guest_ticks, "time stamp counter at each VM entry and exit"};
		in.vmm_ns = (struct measured){m->vmm_ticks, "time stamp counter at each VM entry and exit"};
	}
	efficiency_decide(&in, &run->r->efficiency);
}

void runner_remote_decide(struct run *run)
{
	struct run_result *r = run->r;
	const struct msg_end *m = remote_end(run->remote, run->index);

	remote_facts(run->remote, &r->session);
	r->has_session = true;
	if (!m) {
		r->safety.verdict = (struct pg_verdict){.state = PG_UNKNOWN, .evidence = "the VMM sent no audit"};
		r->efficiency = (struct efficiency){.direct_fraction = -1,
		    .guest_time_fraction = -1,
		    .verdict.evidence = "the VMM sent no account of its time"};
		return;
	}
	r->metal = *m;
	if (r->session.engine[0])
		r->backend = strcmp(r->session.engine, "svm") == 0   ? "svm"
			     : strcmp(r->session.engine, "vmx") == 0 ? "vmx"
								     : run->ops->engine;
	r->has_screen = m->has_screen;
	memcpy(r->screen, m->screen, sizeof r->screen);
	r->safety.verdict.state = (enum pg_state)m->safety.state;
	memcpy(r->safety.verdict.evidence, m->safety.evidence, sizeof r->safety.verdict.evidence);
	r->safety.mappings = m->safety.mappings;
	r->safety.bytes = m->safety.bytes;
	r->safety.longest_ns = m->safety.longest_ns;
	if (m->vmm_hash_before != m->vmm_hash_after) {
		r->safety.verdict.state = PG_VIOLATED;
		snprintf(r->safety.verdict.evidence, sizeof r->safety.verdict.evidence,
		    "memory: the VMM's own code, constants, descriptor tables or page tables changed while the guest "
		    "ran");
	}
	if (r->stats)
		r->stats->lost += m->lost;
	decide_efficiency(run, m);
}
