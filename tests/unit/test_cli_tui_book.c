/* Each demonstration of the book, opened for real: the guest loads, and goes to its first exits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cli/tui_source.h"
#include "tui/book.h"

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
			if (engine_load(e, line + 5, &why) || engine_do(e, ENGINE_STEP_EXIT, 8, &why))
				fail_msg("page %s: %s: %s", p[i].name, line, why.text);
			struct view_model *m = engine_model(e);
			view_model_lock(m);
			assert_int_equal(view_now(m)->exits, 8);
			view_model_unlock(m);
		}
	engine_close(e);
	tui_source_free(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_demonstration_opens_and_exits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
