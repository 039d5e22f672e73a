/*
 * What MMX, SSE and XSAVE check before they do anything, and what no user program can show: CR0 and CR4, the choice
 * between #XM and #UD, and a fault in the middle of a store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "tests/x86_fixture.h"

#define AT 0x10000u
#define MXCSR_AT 24
#define XMM_AT 160

static struct x86_fix *f;

static int setup(void **state)
{
	(void)state;
	f = x86_fix_new();
	x86_fix_long(f, 0);
	f->c->s.cr0 |= CR0_NE;
	f->c->s.cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	f->c->s.xcr0 = 3;
	memset(f->c->s.fxsave, 0, sizeof(f->c->s.fxsave));
	x86_put(f->c->s.fxsave + MXCSR_AT, 4, 0x1f80);
	x86_put(f->c->s.fxsave, 2, 0x37f);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	x86_fix_free(f);
	return 0;
}

/* The vector that the instruction raises, -1: none. */
static int run(const char *code, size_t n)
{
	enum x86_rc rc;

	x86_fix_code(f, AT, code, n);
	rc = x86_fix_run(f, 1);
	assert_true(rc == X86_OK || rc == X86_FAULT);
	assert_int_equal(f->c->s.rip, rc == X86_OK ? AT + n : AT);
	return rc == X86_OK ? -1 : f->c->fault.vector;
}

#define RUN(code) run(code, sizeof(code) - 1)
#define PADDB_MMX "\x0f\xfc\xc1"
#define PADDB_XMM "\x66\x0f\xfc\xc1"
#define DIVPS "\x0f\x5e\xc1"
#define CVTPI2PS "\x0f\x2a\xc1"
#define MOVQ2DQ "\xf3\x0f\xd6\xc1"
#define EMMS "\x0f\x77"
#define XSAVE "\x0f\xae\x24\x25\x00\x00\x02\x00"
#define XRSTOR "\x0f\xae\x2c\x25\x00\x00\x02\x00"
#define STMXCSR "\x0f\xae\x1c\x25\x00\x00\x02\x00"

static void without_osfxsr_only_mmx_is_there(void **state)
{
	(void)state;
	f->c->s.cr4 &= ~(uint64_t)CR4_OSFXSR;
	assert_int_equal(RUN(PADDB_XMM), VEC_UD);
	assert_int_equal(RUN(DIVPS), VEC_UD);
	assert_int_equal(RUN(CVTPI2PS), VEC_UD);
	assert_int_equal(RUN(MOVQ2DQ), VEC_UD);
	assert_int_equal(RUN(STMXCSR), VEC_UD);
	assert_int_equal(RUN(PADDB_MMX), -1);
	assert_int_equal(RUN(EMMS), -1);
}

static void em_is_ud_before_ts_is_nm(void **state)
{
	(void)state;
	f->c->s.cr0 |= CR0_TS;
	assert_int_equal(RUN(PADDB_XMM), VEC_NM);
	assert_int_equal(RUN(PADDB_MMX), VEC_NM);
	assert_int_equal(RUN(EMMS), VEC_NM);
	assert_int_equal(RUN(STMXCSR), VEC_NM);
	assert_int_equal(RUN(XSAVE), VEC_NM);
	f->c->s.cr0 |= CR0_EM;
	assert_int_equal(RUN(PADDB_XMM), VEC_UD);
	assert_int_equal(RUN(PADDB_MMX), VEC_UD);
	assert_int_equal(RUN(EMMS), VEC_UD);
	assert_int_equal(RUN(STMXCSR), VEC_UD);
}

static void a_pending_x87_exception_stops_mmx_not_sse(void **state)
{
	(void)state;
	x86_put(f->c->s.fxsave, 2, 0x37e);
	x86_put(f->c->s.fxsave + 2, 2, 0x8081);
	assert_int_equal(RUN(PADDB_MMX), VEC_MF);
	assert_int_equal(RUN(EMMS), VEC_MF);
	assert_int_equal(RUN(CVTPI2PS), VEC_MF);
	assert_int_equal(RUN(PADDB_XMM), -1);
	f->c->s.cr0 |= CR0_TS;
	assert_int_equal(RUN(PADDB_MMX), VEC_NM);
}

/* 1 / 0 with the exception unmasked: the flag is set, the destination stays. */
static void an_unmasked_exception_is_xm_or_ud(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 4; k++)
		x86_put(f->c->s.fxsave + XMM_AT + 4 * k, 4, 0x3f800000);
	x86_put(f->c->s.fxsave + MXCSR_AT, 4, 0x1d80);
	assert_int_equal(RUN(DIVPS), VEC_XM);
	assert_int_equal(x86_get(f->c->s.fxsave + MXCSR_AT, 4), 0x1d84);
	assert_int_equal(x86_get(f->c->s.fxsave + XMM_AT, 4), 0x3f800000);
	f->c->s.cr4 &= ~(uint64_t)CR4_OSXMMEXCPT;
	assert_int_equal(RUN(DIVPS), VEC_UD);
	x86_put(f->c->s.fxsave + MXCSR_AT, 4, 0x1f80);
	assert_int_equal(RUN(DIVPS), -1);
	assert_int_equal(x86_get(f->c->s.fxsave + XMM_AT, 4), 0x7f800000);
}

static void xsave_needs_osxsave(void **state)
{
	(void)state;
	f->c->s.gpr[X86_RAX] = 3;
	assert_int_equal(RUN(XSAVE), -1);
	assert_int_equal(RUN(XRSTOR), -1);
	f->c->s.cr4 &= ~(uint64_t)CR4_OSXSAVE;
	assert_int_equal(RUN(XSAVE), VEC_UD);
	assert_int_equal(RUN(XRSTOR), VEC_UD);
}

/* With XCR0 = 1 the mask cannot ask for SSE, and an image with SSE in it is refused. */
static void xcr0_bounds_what_is_saved(void **state)
{
	(void)state;
	f->c->s.gpr[X86_RAX] = 3;
	f->c->s.fxsave[XMM_AT] = 0x55;
	memset(f->ram + 0x20000, 0, 576);
	assert_int_equal(RUN(XSAVE), -1);
	assert_int_equal(f->ram[0x20000 + XMM_AT], 0x55);
	assert_int_equal(x86_fix_peek(f, 0x20000 + 512, 8), 2); /* x87 is as after FNINIT */
	f->c->s.xcr0 = 1;
	assert_int_equal(RUN(XRSTOR), VEC_GP);
	memset(f->ram + 0x20000, 0, 576);
	assert_int_equal(RUN(XSAVE), -1);
	assert_int_equal(f->ram[0x20000 + XMM_AT], 0);
	assert_int_equal(RUN(XRSTOR), -1);
	assert_int_equal(f->c->s.fxsave[XMM_AT], 0x55);
}

/* MOVUPS over the end of the first mapped gigabyte: nothing is written before both pages are known. */
static void a_store_over_a_page_is_all_or_nothing(void **state)
{
	(void)state;
	f->c->s.gpr[X86_RBX] = 0x3ffffff8;
	memset(f->c->s.fxsave + XMM_AT, 0xaa, 16);
	assert_int_equal(RUN("\x0f\x11\x03"), VEC_PF);
	assert_int_equal(f->c->fault.cr2, 0x40000000);
	assert_int_equal(f->n_log, 0);
	f->c->s.gpr[X86_RBX] = 0x30ff8;
	assert_int_equal(RUN("\x0f\x11\x03"), -1);
	assert_int_equal(x86_fix_peek(f, 0x30ff8, 8), 0xaaaaaaaaaaaaaaaau);
	assert_int_equal(x86_fix_peek(f, 0x31000, 8), 0xaaaaaaaaaaaaaaaau);
	assert_int_equal(RUN("\x0f\x29\x03"), VEC_GP); /* MOVAPS */
}

/* The first MMX instruction after x87 code: registers are named by place, not by stack. */
static void mmx_register_n_is_physical_register_n(void **state)
{
	(void)state;
	x86_put(f->c->s.fxsave + 2, 2, 3 << 11);
	for (unsigned n = 0; n < 8; n++)
		x86_put(f->c->s.fxsave + 32 + 16 * n, 8, 0x100 + n);
	assert_int_equal(RUN("\x0f\x7e\xe8"), -1); /* movd eax, mm5 */
	assert_int_equal(f->c->s.gpr[X86_RAX], 0x102);
	assert_int_equal(x86_get(f->c->s.fxsave + 2, 2), 0);
	assert_int_equal(f->c->s.fxsave[4], 0xff);
	assert_int_equal(x86_get(f->c->s.fxsave + 32 + 16 * 5, 8), 0x102);
	assert_int_equal(RUN("\x0f\x6f\xea"), -1); /* movq mm5, mm2 */
	assert_int_equal(x86_get(f->c->s.fxsave + 32 + 16 * 5, 8), 0x107);
	assert_int_equal(x86_get(f->c->s.fxsave + 32 + 16 * 5 + 8, 2), 0xffff);
	assert_int_equal(RUN(EMMS), -1);
	assert_int_equal(f->c->s.fxsave[4], 0);
}

/* The largest relative error of op over [1, 4), against the exact value; two exponents are all that RSQRTSS knows. */
static double largest_error(const char *code, bool root)
{
	double worst = 0;

	for (uint32_t v = 0x3f800000; v < 0x40800000; v += 97) {
		float in, out;
		double exact, error;

		x86_put(f->c->s.fxsave + XMM_AT + 16, 4, v);
		run(code, 4);
		memcpy(&in, f->c->s.fxsave + XMM_AT + 16, 4);
		memcpy(&out, f->c->s.fxsave + XMM_AT, 4);
		exact = root ? 1 / sqrt((double)in) : 1 / (double)in;
		error = fabs((double)out / exact - 1);
		worst = error > worst ? error : worst;
	}
	return worst;
}

static void approximations_are_within_their_bound(void **state)
{
	(void)state;
	assert_true(largest_error("\xf3\x0f\x53\xc1", false) <= 1.0 / 8192);
	assert_true(largest_error("\xf3\x0f\x52\xc1", true) <= 1.0 / 8192);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(without_osfxsr_only_mmx_is_there, setup, teardown),
	    cmocka_unit_test_setup_teardown(em_is_ud_before_ts_is_nm, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_pending_x87_exception_stops_mmx_not_sse, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_unmasked_exception_is_xm_or_ud, setup, teardown),
	    cmocka_unit_test_setup_teardown(xsave_needs_osxsave, setup, teardown),
	    cmocka_unit_test_setup_teardown(xcr0_bounds_what_is_saved, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_store_over_a_page_is_all_or_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(approximations_are_within_their_bound, setup, teardown),
	    cmocka_unit_test_setup_teardown(mmx_register_n_is_physical_register_n, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
