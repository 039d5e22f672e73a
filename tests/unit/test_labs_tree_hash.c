/* A hash of a folder: another one for any change that could matter, and the same wherever the folder is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "labs/tree_hash.h"

static char dir[] = "/tmp/vmscope-tree.XXXXXX", seen[20][65];
static unsigned n_seen;

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof command, "cd / && rm -rf %s", dir);
	return system(command);
}

static void spill(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void hash_of(const char *path, char hash[65])
{
	SHA2_CTX ctx;
	struct errmsg why = {""};

	SHA256Init(&ctx);
	if (tree_hash_add(&ctx, path, "name", &why))
		fail_msg("%s", why.text);
	SHA256End(&ctx, hash);
}

/* The folder a is none that was there before. */
static void is_new(void)
{
	hash_of("a", seen[n_seen]);
	for (unsigned i = 0; i < n_seen; i++)
		assert_string_not_equal(seen[i], seen[n_seen]);
	n_seen++;
}

static void every_change_is_another_hash(void **state)
{
	char again[65];

	(void)state;
	is_new(); /* nothing there */
	spill("a", "");
	is_new();
	spill("a", "x");
	is_new();
	unlink("a");
	mkdir("a", 0777);
	is_new();
	spill("a/one", "12");
	is_new();
	spill("a/one", "13");
	is_new();
	rename("a/one", "a/two");
	is_new();
	spill("a/one", "1");
	spill("a/two", "3"); /* the same bytes in all, elsewhere */
	is_new();
	mkdir("a/sub", 0777);
	is_new();
	rename("a/two", "a/sub/two");
	is_new();
	assert_int_equal(symlink("/etc/passwd", "a/link"), 0);
	is_new();
	unlink("a/link");
	assert_int_equal(symlink("/etc/group", "a/link"), 0);
	is_new();
	unlink("a/link");
	assert_int_equal(mkfifo("a/link", 0666), 0);
	is_new(); /* and it does not wait for somebody to write */
	assert_int_equal(system("cp -a a b"), 0);
	hash_of("b", again);
	assert_string_equal(again, seen[n_seen - 1]);
}

static void what_cannot_be_read_is_an_error(void **state)
{
	SHA2_CTX ctx;
	struct errmsg why = {""};
	char path[600] = "deep";

	(void)state;
	for (int i = 0; i < 40; i++) {
		assert_int_equal(mkdir(path, 0777), 0);
		strcat(path, "/d");
	}
	SHA256Init(&ctx);
	assert_int_equal(tree_hash_add(&ctx, "deep", "deep", &why), ERR_RANGE);
	assert_non_null(strstr(why.text, "folders in folders"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_change_is_another_hash),
	    cmocka_unit_test(what_cannot_be_read_is_an_error),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
