/*
 * One guest under run control, for tests of session/control*.c. Included once by a program.
 */
#ifndef VMSCOPE_TESTS_CONTROL_ONE_H
#define VMSCOPE_TESTS_CONTROL_ONE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/lib.h"
#include "core/snapshot.h"
#include "tests/control_fixture.h"

static struct control_fix f;
static struct errmsg why;

static inline int teardown(void **state)
{
	(void)state;
	if (f.c)
		control_fix_close(&f);
	memset(&f, 0, sizeof f);
	return 0;
}

static inline void open_guest(const char *guest)
{
	const struct control_fix_options o = {0};

	assert_true(control_fix_open(&f, guest, &o));
}

static inline void open_code(const void *code, size_t n)
{
	const struct control_fix_options o = {.code = code, .code_len = n};

	assert_true(control_fix_open(&f, "code", &o));
}

static inline enum control_stop stop(void)
{
	return control_where(f.c)->stop;
}

#endif
