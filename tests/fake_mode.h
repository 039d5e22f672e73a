/*
 * A mode for tests: it plays exits from a script and records what the core did to it. With it the loop, the handlers
 * and the verdicts are tested with no CPU feature and no guest at all. One per process; fake_mode_reset() first.
 */
#ifndef VMSCOPE_TESTS_FAKE_MODE_H
#define VMSCOPE_TESTS_FAKE_MODE_H

#include "core/vm.h"

#define FAKE_RECORDS 64

struct fake_step {
	struct vm_exit exit;
	uint64_t insns;			/* retired by the guest before this exit */
	enum err err;			/* what run() returns */
	void (*during)(struct vcpu *v); /* called inside run(); may be NULL */
};

struct fake_mode {
	const struct fake_step *steps; /* after the last one: VMM_MODEL_END */
	size_t n_steps, at;
	bool not_interruptible;
	bool stale; /* states live elsewhere: get_state() hands out elsewhere, set_state() takes it over */
	struct x86_state elsewhere;
	/* What the core did. */
	unsigned runs, completes, set_states, get_states, kicks, maps, inits, finis;
	enum err init_err, map_err, inject_err;
	uint32_t dirty_seen;
	struct run_bounds bounds[FAKE_RECORDS]; /* of run number n modulo FAKE_RECORDS */
	struct vm_exit completed;
	struct x86_event injected[FAKE_RECORDS];
	unsigned n_injected;
};
extern struct fake_mode fake_mode;

/* Not const: a test may change caps. fake_mode_reset() restores them. */
extern struct mode_ops fake_mode_ops;

void fake_mode_reset(void);
void fake_mode_script(const struct fake_step *steps, size_t n);

#endif
