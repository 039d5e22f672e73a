/* labs/tree.h: copies of folders. Removal is tested with the jail, whose folders need it most. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "labs/tree.h"

static char home[64];
static struct errmsg why;

static const char *at(const char *name)
{
	static char path[4][200];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof path[0], "%s/%s", home, name);
	return p;
}

static void holds(const char *name, const char *want)
{
	size_t n;
	char *text = tree_read(at(name), 1000, &n);

	assert_non_null(text);
	assert_string_equal(text, want);
	assert_int_equal(n, strlen(want));
	free(text);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(home, sizeof home, "/tmp/vmscope-tree.XXXXXX");
	why.text[0] = 0;
	if (!mkdtemp(home))
		return -1;
	return tree_new_folder(at("from/in"), &why) || tree_write(at("from/a"), "x@NAME@y@NAME@", true, &why) ||
	       tree_write(at("from/in/b"), "@NAME", false, &why);
}

static int tear_down(void **state)
{
	(void)state;
	tree_remove(home);
	return access(home, F_OK) == 0;
}

static void a_folder_is_copied_and_filled_in(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(tree_copy(at("from"), at("to"), "it", &why), ERR_OK);
	holds("to/a", "xityit");
	holds("to/in/b", "@NAME");
	assert_int_equal(stat(at("to/a"), &st), 0);
	assert_true(st.st_mode & 0100);
	assert_int_equal(stat(at("to/in/b"), &st), 0);
	assert_false(st.st_mode & 0111);
	assert_int_equal(tree_copy(at("from"), at("same"), NULL, &why), ERR_OK);
	holds("same/a", "x@NAME@y@NAME@");
}

static void nothing_is_overwritten(void **state)
{
	(void)state;
	assert_int_equal(tree_write(at("from/a"), "new", false, &why), ERR_IO);
	holds("from/a", "x@NAME@y@NAME@");
	assert_int_equal(tree_copy(at("from"), at("from"), NULL, &why), ERR_IO);
	assert_int_equal(symlink(at("nowhere"), at("link")), 0);
	assert_int_equal(tree_write(at("link"), "x", false, &why), ERR_IO);
	assert_int_not_equal(access(at("nowhere"), F_OK), 0);
}

static void only_an_empty_folder_is_new(void **state)
{
	(void)state;
	assert_int_equal(tree_new_folder(at("one/two/three"), &why), ERR_OK);
	assert_int_equal(tree_new_folder(at("one/two/three"), &why), ERR_OK);
	assert_int_equal(tree_new_folder(at("one"), &why), ERR_FORMAT);
	assert_int_equal(tree_new_folder(at("from/a"), &why), ERR_FORMAT);
	assert_int_equal(tree_new_folder(at("from/a/b"), &why), ERR_IO);
}

static void a_link_is_not_followed(void **state)
{
	size_t n;

	(void)state;
	assert_int_equal(symlink(at("from/a"), at("from/in/link")), 0);
	assert_null(tree_read(at("from/in/link"), 1000, &n));
	assert_int_equal(tree_copy(at("from"), at("to"), NULL, &why), ERR_IO);
	assert_non_null(strstr(why.text, "link: it cannot be read as a file"));
}

static void what_is_no_file_is_not_waited_for(void **state)
{
	size_t n;

	(void)state;
	assert_int_equal(mkfifo(at("fifo"), 0600), 0);
	assert_null(tree_read(at("fifo"), 1000, &n));
	assert_null(tree_read(at("from"), 1000, &n));
	assert_null(tree_read(at("from/a"), 5, &n));
}

static void a_folder_that_is_not_there_has_nothing(void **state)
{
	(void)state;
	assert_int_equal(tree_copy(at("nobody"), at("to"), NULL, &why), ERR_OK);
	assert_int_not_equal(access(at("to"), F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_folder_is_copied_and_filled_in, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(nothing_is_overwritten, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(only_an_empty_folder_is_new, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_link_is_not_followed, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(what_is_no_file_is_not_waited_for, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_folder_that_is_not_there_has_nothing, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
