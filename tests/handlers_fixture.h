/*
 * The machine of vm_fixture.h in real mode at 0:CODE, all segments at 0, with a real executor: one exit is played at a
 * time, and the test looks at what the VMM did about it.
 */
#ifndef VMSCOPE_TESTS_HANDLERS_FIXTURE_H
#define VMSCOPE_TESTS_HANDLERS_FIXTURE_H

#include "tests/vm_fixture.h"

#define MIB 0x100000u
#define CODE 0x1000u

extern struct x86_state *s; /* of v */
extern uint64_t *gpr;

/* For cmocka, with the name of a profile or NULL. The teardown is vm_fix_teardown(). */
int handlers_setup(void **state, const char *profile);

/* The exit at the current rip; the record as it is after it. */
struct vm_exit *play(struct vm_exit e);
#define PLAY(...) play((struct vm_exit){__VA_ARGS__})
/* The instruction that it is about. */
void code(const char *bytes, size_t n);
#define CODE_BYTES(text) code(text, sizeof(text) - 1)
/* The guest was given this exception and nothing else. */
void got_fault(uint8_t vector);
/* The mode completes instructions itself from now on. */
void completes(void);

#endif
