/* What is handed in: what is the submission's mistake, and what the host's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "labs/submission.h"

static char dir[] = "/tmp/vmscope-submission-XXXXXX";
static char *names[] = {"a.lua", "b.lua", "c.lua"};

static int setup(void **state)
{
	char path[64];

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/a.lua", dir);
	FILE *f = fopen(path, "w");
	if (!f || fputs("return 1", f) < 0 || fclose(f) != 0)
		return -1;
	snprintf(path, sizeof path, "%s/b.lua", dir);
	return symlink("a.lua", path);
}

static int teardown(void **state)
{
	char path[64];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		unlink(path);
	}
	return rmdir(dir);
}

static void a_wrong_file_has_a_problem(void **state)
{
	struct submission s;
	struct errmsg why = {""};

	(void)state;
	assert_int_equal(submission_read(dir, names, 3, &s, &why), ERR_OK);
	assert_int_equal(s.n_files, 4);
	assert_string_equal(s.files[0].text, "return 1");
	assert_null(s.files[0].problem);
	assert_non_null(strstr(s.files[1].problem, "symbolic link"));
	assert_non_null(strstr(s.files[2].problem, "missing"));
	assert_string_equal(s.files[3].name, PREDICTIONS_FILE);
	submission_free(&s);
}

static void a_host_that_fails_is_no_mistake_of_the_submission(void **state)
{
	struct rlimit old, few;
	struct submission s;
	struct errmsg why = {""};

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	int next = dup(0); /* the folder's descriptor; there is none for a file */
	close(next);
	few.rlim_cur = (rlim_t)next + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	enum err e = submission_read(dir, names, 3, &s, &why);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(e, ERR_IO);
	assert_non_null(strstr(why.text, "/a.lua: it cannot be read: "));
	submission_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_wrong_file_has_a_problem),
	    cmocka_unit_test(a_host_that_fails_is_no_mistake_of_the_submission),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
