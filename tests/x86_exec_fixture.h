/*
 * The processor of x86_fixture.h in the three modes that tests of execution begin with: code at 1000H, stack below
 * 8000H, and one instruction at a time through x86_step(), so that fetch, decode and restart are under test as well.
 */
#ifndef VMSCOPE_TESTS_X86_EXEC_FIXTURE_H
#define VMSCOPE_TESTS_X86_EXEC_FIXTURE_H

#include "core/x86/exec.h"
#include "tests/x86_fixture.h"

extern struct x86_fix *fix; /* made by exec_setup() */
extern struct x86_cpu *c;   /* its processor */

/* For cmocka, of the whole group. */
int exec_setup(void **state);
int exec_teardown(void **state);

/* Real mode, all segments at 0 except DS at 10000H and ES at 20000H. */
void start_real(void);
/* Flat, at CPL 0: 32-bit protected mode without paging, 64-bit mode. */
void start_32(void);
void start_64(void);
void set_seg(unsigned s, uint64_t base, uint32_t limit, uint32_t attr);

/* Places code at cs:rip and steps once. */
enum x86_rc step_bytes(const char *code, size_t n);
#define STEP(code) step_bytes(code, sizeof(code) - 1)
void assert_fault(enum x86_rc rc, unsigned vector, uint64_t rip);
uint64_t flags(void);

#endif
