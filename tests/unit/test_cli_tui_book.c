/* Each demonstration of the book, opened for real: the guest loads, and goes to its first exits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/tui_source.h"
#include "tui/book.h"

/* The guests that were built with this test. */
static void find_guests(void)
{
	char exe[512], dir[600];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

	exe[n > 0 ? n : 0] = '\0';
	*strrchr(exe, '/') = '\0';
	snprintf(dir, sizeof dir, "%s/../../guests", exe);
	setenv("VMSCOPE_GUESTS", dir, 1);
}

/* As the application does it: "step exit N", "vmexit REASON", "continue". */
static enum err go(struct engine *e, const char *line, struct errmsg *why)
{
	if (strncmp(line, "step exit ", 10) == 0)
		return engine_do(e, ENGINE_STEP_EXIT, strtoul(line + 10, NULL, 10), why);
	if (strncmp(line, "vmexit ", 7) == 0)
		return engine_do(e, ENGINE_TO_REASON, (uint64_t)exit_reason_by_name(line + 7), why);
	return engine_do(e, ENGINE_STEP_EXIT, 8, why); /* continue: not all the way here */
}

/* The exit that a demonstration promises is the newest one. */
static void check_newest(struct view_model *m, const char *line)
{
	uint64_t pos;

	assert_true(view_log_find(m, view_now(m)->exits - 1, &pos));
	if (strncmp(line, "vmexit ", 7) == 0)
		assert_int_equal(view_log_at(m, pos)->reason, exit_reason_by_name(line + 7));
}

static void every_demonstration_opens_and_exits(void **state)
{
	struct run_options o;
	struct engine_source src;
	struct tui_source *source;
	struct engine *e;
	struct errmsg why = {""};
	unsigned n;
	const struct book_page *p = book_pages(&n);

	(void)state;
	options_init(&o);
	o.guest = "hello";
	assert_int_equal(tui_source_new(&o, &source, &why), ERR_OK);
	tui_source_fill(source, &src);
	if (engine_open(&src, false, &e, &why))
		fail_msg("%s", why.text);
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < BOOK_SHOWS_MAX && p[i].show[k].open; k++) {
			const char *line = p[i].show[k].open;
			assert_int_equal(strncmp(line, "open ", 5), 0);
			if (engine_load(e, line + 5, &why) || go(e, p[i].show[k].run, &why))
				fail_msg("page %s: %s: %s", p[i].name, line, why.text);
			struct view_model *m = engine_model(e);
			view_model_lock(m);
			assert_true(view_now(m)->exits > 0);
			check_newest(m, p[i].show[k].run);
			view_model_unlock(m);
		}
	engine_close(e);
	tui_source_free(source);
}

int main(void)
{
	find_guests();
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_demonstration_opens_and_exits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
