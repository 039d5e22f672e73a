/* See x86_exec_fixture.h. */
#include "tests/x86_exec_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct x86_fix *fix;
struct x86_cpu *c;

int exec_setup(void **state)
{
	(void)state;
	fix = x86_fix_new();
	c = fix->c;
	return 0;
}

int exec_teardown(void **state)
{
	(void)state;
	x86_fix_free(fix);
	return 0;
}

static void start(void (*mode)(void))
{
	x86_fix_reset(fix);
	c->s.cr0 &= ~(uint64_t)(CR0_CD | CR0_NW);
	mode();
	c->s.rip = 0x1000;
	c->s.gpr[X86_RSP] = 0x8000;
	x86_state_changed(c);
}

static void real(void)
{
	x86_fix_real(fix);
	c->s.seg[X86_DS].base = 0x10000;
	c->s.seg[X86_DS].sel = 0x1000;
	c->s.seg[X86_ES].base = 0x20000;
	c->s.seg[X86_ES].sel = 0x2000;
}

static void protected_32(void)
{
	x86_fix_prot(fix, 4, 0);
}

static void long_64(void)
{
	x86_fix_long(fix, 0);
}

void start_real(void)
{
	start(real);
}

void start_32(void)
{
	start(protected_32);
}

void start_64(void)
{
	start(long_64);
}

void set_seg(unsigned s, uint64_t base, uint32_t limit, uint32_t attr)
{
	c->s.seg[s] = (struct x86_seg){.base = base, .limit = limit, .attr = attr};
}

enum x86_rc step_bytes(const char *code, size_t n)
{
	memcpy(fix->ram + c->s.seg[X86_CS].base + c->s.rip, code, n);
	return x86_step(c);
}

void assert_fault(enum x86_rc rc, unsigned vector, uint64_t rip)
{
	assert_int_equal(rc, X86_FAULT);
	assert_int_equal(c->fault.vector, vector);
	assert_int_equal(c->s.rip, rip);
}

uint64_t flags(void)
{
	return x86_flags_get(c);
}
