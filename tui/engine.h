/*
 * The engine: the thread that drives a run, so that the screen never waits for the guest nor the guest for the screen.
 * It owns the sessions, their tracers and their run control (session/control.h); the application asks it for one thing
 * at a time.
 *
 *   app thread                         engine thread
 *   engine_do(ENGINE_RUN)        ->    control_run_for() again and again, for each guest in turn
 *   engine_hold()                ->    ... lets the guests stand still
 *     collect() of the view
 *   engine_release()             ->    ... goes on
 *
 * Without a thread (threaded = false: --batch, --script, golden tests) engine_do() runs to its end in the caller.
 *
 * Several guests under one VMM: one is current; run control, model and views are about it. The others run beside it
 * whenever it runs, unless they are paused.
 */
#ifndef VMSCOPE_TUI_ENGINE_H
#define VMSCOPE_TUI_ENGINE_H

#include "session/control.h"
#include "tracer/view_model.h"

#define ENGINE_VMS_MAX 8

struct engine;
struct tracer;

enum engine_verb {
	ENGINE_RUN,	  /* until a breakpoint, the end, or engine_pause() */
	ENGINE_SLOW,	  /* the same, n instructions a second */
	ENGINE_STEP_INSN, /* n of them, like all that follow */
	ENGINE_STEP_EXIT,
	ENGINE_STEP_OVER,
	ENGINE_FINISH,
	ENGINE_TO_REASON, /* n: the reason */
	ENGINE_BACK_INSN,
	ENGINE_BACK_EXIT,
	ENGINE_BACK_BREAK,
	ENGINE_GOTO_EXIT,
	ENGINE_GOTO_INSN,
	ENGINE_RESTART,
};

/* One guest as its owner made it: created, loaded, at its first instruction, with a tracer whose sink is the model. */
struct engine_guest {
	struct session *session;
	struct tracer *tracer;
	struct view_model *model;
	struct view_info info;
};

/* Who makes the run: the command line (cli/tui.c), or a test. All are called on the thread that drives. */
struct engine_source {
	/* n guests; also again, for a restart that run control cannot do. models[i] are the engine's. */
	enum err (*open)(
	    void *arg, struct view_model *const models[], struct engine_guest *out, unsigned *n, struct errmsg *why);
	void (*close)(void *arg, struct engine_guest *g, unsigned n);
	/* The verdicts at this moment; the guest stands still. */
	void (*verdicts)(void *arg, unsigned i, struct view_verdicts *out);
	/* Tracer and console begin and end to see what was seen before: the past is replayed. */
	void (*silent)(void *arg, unsigned i, bool on);
	/* Another guest: words are those of the command line ("timer --controls all"). The next open() makes it; on an
	 * error the old one stays. NULL: there is only this one. */
	enum err (*choose)(void *arg, const char *words, struct errmsg *why);
	void *arg;
};

/* One row of the VMs view. */
struct engine_vm {
	char guest[64], mode[16];
	unsigned type;
	enum view_run run;
	bool paused; /* by the user */
	bool current;
	bool counts_insns; /* insns is known */
	uint64_t mem_size, exits, insns, guest_ns;
	uint64_t cpu_ns;    /* host CPU time that it got; 0 on bare metal: not known here */
	double exits_per_s; /* host time */
	struct vm_end end;
};

enum err engine_open(
    const struct engine_source *src, bool threaded, struct engine **out, struct errmsg *why) MUST_CHECK;
void engine_close(struct engine *e);
struct view_model *engine_model(struct engine *e); /* of the current guest */

/* Begins something; ERR_BUSY while something else is under way. Not threaded: does it, and returns its result. */
enum err engine_do(struct engine *e, enum engine_verb verb, uint64_t n, struct errmsg *why) MUST_CHECK;
void engine_pause(struct engine *e); /* what runs stops soon; no wait */
bool engine_busy(struct engine *e);
/* Waits for what is under way, but not for long: false, it still is. */
bool engine_wait(struct engine *e, unsigned ms);
/* The result of what was begun last, once: false when there is no news. */
bool engine_result(struct engine *e, enum err *err, struct errmsg *why);
/* Runs for an unknown time: the model is told where it is again and again, and no guest is opened or closed. */
bool engine_runs(struct engine *e);
/* Readable when there is news (a result, or a guest that stopped); -1 without a thread. */
int engine_fd(const struct engine *e);

/* Between the two the guests stand still, and control, sessions and the view_cpu_ and view_read_ functions of the model
 * may be used by the caller. Short: the guest waits. May be nested. False: something that cannot be cut in two (a step
 * over a call, a way back) is under way; nothing is held then, and the picture stays what it was. */
bool engine_hold(struct engine *e) MUST_CHECK;
void engine_release(struct engine *e);
struct control *engine_control(struct engine *e);	    /* held; of the current guest */
const struct control_where *engine_where(struct engine *e); /* held */
/* Another guest, see engine_source.choose: closes what there is and opens it. Waits. */
enum err engine_load(struct engine *e, const char *words, struct errmsg *why) MUST_CHECK;
/* Console input for the current guest; held or not. An error when not all of it was taken. */
enum err engine_type(struct engine *e, const char *text, size_t n, struct errmsg *why) MUST_CHECK;

unsigned engine_n_vms(const struct engine *e);
unsigned engine_vm_current(const struct engine *e);
void engine_vm(struct engine *e, unsigned i, struct engine_vm *out);
/* Makes it the current one. */
enum err engine_vm_select(struct engine *e, unsigned i, struct errmsg *why) MUST_CHECK;
/* paused: it does not run with the others. */
enum err engine_vm_pause(struct engine *e, unsigned i, bool paused, struct errmsg *why) MUST_CHECK;
/* Ends it for good, as switching it off would. */
enum err engine_vm_stop(struct engine *e, unsigned i, struct errmsg *why) MUST_CHECK;

#endif
