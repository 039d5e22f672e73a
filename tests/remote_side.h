/*
 * For unit tests: guests of the agent of the bare-metal image in a child process (fake_metal.h), and the session with
 * them on this side. One at a time.
 */
#ifndef VMSCOPE_TESTS_REMOTE_SIDE_H
#define VMSCOPE_TESTS_REMOTE_SIDE_H

#include "session/remote_impl.h"
#include "tests/fake_metal.h"

struct side {
	struct vm *vm;
	struct session *session;
	uint8_t console[8192];
	size_t n_console;
	uint64_t exits, dones; /* that its probes were told of */
};

extern struct remote_sides {
	struct fake_metal metal;
	struct side side[2];
	struct remote *remote;
	struct remote_request request; /* a test may change it before rs_open() */
	struct errmsg why;
} rs;

int rs_setup(void **state);
int rs_teardown(void **state); /* closes it all */
/* In this order: guests (emulate, 2 MiB, virtual time), the agent, the session. Each fails the test. */
void rs_add_guest(unsigned i, const uint8_t *image, size_t n);
void rs_connect(enum fake_metal_kind kind, unsigned noise, uint64_t seed);
void rs_open(void);

#endif
