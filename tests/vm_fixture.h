/*
 * One machine on the fake host and the fake mode, with one CPU: what tests of the loop and of the handlers begin with.
 */
#ifndef VMSCOPE_TESTS_VM_FIXTURE_H
#define VMSCOPE_TESTS_VM_FIXTURE_H

#include "core/vm.h"
#include "tests/fake_host.h"
#include "tests/fake_mode.h"

extern struct vm *vm;
extern struct vcpu *v;	     /* its CPU */
extern struct vm_config cfg; /* a test may change it before create() */

struct vm_config vm_fix_config(void);
void create(void);
/* For cmocka: nothing is created, cfg is vm_fix_config(). At the end nothing may be left of the machine. */
int vm_fix_setup(void **state);
int vm_fix_teardown(void **state);

/* What the mode's next runs return: struct fake_step each. */
#define SCRIPT(...)                                            \
	static const struct fake_step steps[] = {__VA_ARGS__}; \
	fake_mode_script(steps, ARRAY_LEN(steps))
#define EXIT_PAUSE                                                                     \
	{                                                                              \
		.exit = {.reason = EXIT_PAUSE_INSTRUCTION, .insn_len = 2}, .insns = 10 \
	}
#define EXIT_SLICE                                                     \
	{                                                              \
		.exit = {.reason = EXIT_PREEMPTION_TIMER}, .insns = 10 \
	}

/* A timer that arms itself again every 55 ms: register it with tick_handle. */
extern unsigned tick_handle;
void tick(void *arg, uint64_t deadline);

#endif
