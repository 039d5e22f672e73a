/*
 * A bundled guest under run control, for tests of session/control*.c.
 */
#ifndef VMSCOPE_TESTS_CONTROL_FIXTURE_H
#define VMSCOPE_TESTS_CONTROL_FIXTURE_H

#include "core/typist.h"
#include "session/control.h"

struct control_fix {
	struct vm *vm;
	struct session *s;
	struct control *c;
	struct typist typist;
	char *image;
	char console[1 << 16];
	size_t n_console;
};

/* Options of control_fix_open(); zero is emulate/II, one CPU, 16 MiB, virtual time. */
struct control_fix_options {
	const struct mode_ops *mode;
	unsigned n_vcpus;
	uint64_t mem_size, max_exits, max_insns;
	enum clock_kind clock;
	struct control_config control;
	const void *code; /* instead of a guest's image: so many bytes of 16-bit code at 7c00 */
	size_t code_len;
	const char *keys;
};

/* The guest of guests.def by name. False: this machine cannot run that mode. */
bool control_fix_open(struct control_fix *f, const char *guest, const struct control_fix_options *o);
void control_fix_close(struct control_fix *f);

#endif
