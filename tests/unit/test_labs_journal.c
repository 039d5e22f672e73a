/* The journal of a class: whatever cut it off, what is whole counts, and the next line begins where one should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "labs/journal.h"

static char dir[] = "/tmp/vmscope-journal.XXXXXX", path[64];

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/journal", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static struct journal *open_journal(void)
{
	struct journal *j;
	struct errmsg why = {""};

	if (journal_open(path, &j, &why))
		fail_msg("%s", why.text);
	return j;
}

static void append(struct journal *j, const char *name, uint64_t seed, const char *result)
{
	struct errmsg why = {""};
	struct journal_entry e = {
	    .name = name, .engine = "engine", .lab = "lab", .submission = "hash", .seed = seed, .result = result};

	if (journal_append(j, &e, &why))
		fail_msg("%s", why.text);
}

static char *slurp(size_t *n)
{
	FILE *f = fopen(path, "r");
	char *s = malloc(1 << 16);

	assert_non_null(f);
	*n = fread(s, 1, 1 << 16, f);
	fclose(f);
	return s;
}

static void spill(const char *s, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(s, 1, n, f), n);
	fclose(f);
}

/* Three results; ends[i] is the length with i of them. */
static char *three(size_t ends[4])
{
	char *s = NULL;

	unlink(path);
	for (unsigned i = 0; i < 4; i++) {
		struct journal *j = open_journal();
		char name[16];
		assert_int_equal(journal_count(j), i ? i - 1 : 0);
		snprintf(name, sizeof name, "student%u", i);
		if (i)
			append(j, name, i, "{\"points\":12.34,\"text\":\"\xc3\xa4 \\\" x\"}");
		journal_close(j);
		free(s);
		s = slurp(&ends[i]);
	}
	return s;
}

static void what_was_written_is_read(void **state)
{
	(void)state;
	unlink(path);
	struct journal *j = open_journal();
	append(j, "alice", 18446744073709551615u, "{\"points\":33.33}");
	append(j, "bob", 1, "{}");
	append(j, "alice", 2, "{\"points\":1.5}");
	for (int again = 0; again < 2; again++) {
		assert_int_equal(journal_count(j), 3);
		assert_int_equal(journal_torn(j), 0);
		assert_int_equal(journal_damaged(j), 0);
		assert_string_equal(journal_find(j, "alice")->result, "{\"points\":1.5}");
		assert_int_equal(journal_find(j, "alice")->seed, 2);
		assert_string_equal(journal_find(j, "bob")->engine, "engine");
		assert_null(journal_find(j, "carol"));
		journal_close(j);
		j = open_journal();
	}
	journal_close(j);
}

static void a_cut_loses_nothing_that_was_whole(void **state)
{
	(void)state;
	size_t ends[4], n;
	char *s = three(ends);

	for (size_t cut = 0; cut <= ends[3]; cut++) {
		unsigned whole = 0;
		while (whole < 3 && ends[whole + 1] <= cut)
			whole++;
		bool head = cut >= ends[0];
		size_t torn = cut - (head ? ends[whole] : 0);

		spill(s, cut);
		struct journal *j = open_journal();
		assert_int_equal(journal_count(j), head ? whole : 0);
		assert_int_equal(journal_torn(j), torn);
		assert_int_equal(journal_damaged(j), 0);
		append(j, "next", 7, "{}");
		journal_close(j);
		/* The new line is where one should be: nothing is torn or damaged any more. */
		j = open_journal();
		assert_int_equal(journal_count(j), whole + 1);
		assert_int_equal(journal_torn(j) + journal_damaged(j), 0);
		assert_int_equal(journal_find(j, "next")->seed, 7);
		for (unsigned i = 1; i <= 3; i++) {
			char name[16];
			snprintf(name, sizeof name, "student%u", i);
			assert_int_equal(journal_find(j, name) != NULL, i <= whole);
		}
		journal_close(j);
	}
	free(s);
	free(slurp(&n));
}

static void a_changed_byte_costs_its_line(void **state)
{
	(void)state;
	size_t ends[4];
	char *s = three(ends);

	for (size_t at = ends[0]; at < ends[3]; at++) {
		unsigned line = 1;
		while (at >= ends[line])
			line++;
		bool newline = at == ends[line] - 1;
		s[at] ^= 1;
		spill(s, ends[3]);
		s[at] ^= 1;
		struct journal *j = open_journal();
		char name[16];
		snprintf(name, sizeof name, "student%u", line);
		assert_null(journal_find(j, name));
		/* A lost end of line takes the next line with it, and at the end it is a torn one. */
		assert_int_equal(journal_count(j), newline && line < 3 ? 1 : 2);
		assert_int_equal(journal_damaged(j) + (journal_torn(j) != 0), 1);
		journal_close(j);
	}
	free(s);
}

static void another_file_stays_as_it_is(void **state)
{
	(void)state;
	static const char text[] = "the only copy of my thesis\n";
	struct journal *j;
	struct errmsg why = {""};
	size_t n;

	spill(text, sizeof text - 1);
	assert_int_equal(journal_open(path, &j, &why), ERR_FORMAT);
	assert_null(j);
	assert_non_null(strstr(why.text, "another folder"));
	char *s = slurp(&n);
	assert_int_equal(n, sizeof text - 1);
	assert_memory_equal(s, text, n);
	free(s);
	unlink(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(journal_open(path, &j, &why), ERR_IO);
}

/* What another process gets. */
static enum err open_elsewhere(void)
{
	struct journal *j;
	struct errmsg why;
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(journal_open(path, &j, &why));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return (enum err)WEXITSTATUS(status);
}

static void two_at_once_are_one_too_many(void **state)
{
	(void)state;
	unlink(path);
	struct journal *j = open_journal();
	assert_int_equal(open_elsewhere(), ERR_BUSY);
	/* A child that lets go of it does not unlock it, and one that stays does not hold it. */
	pid_t pid = fork();
	if (pid == 0) {
		journal_forget(j);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(open_elsewhere(), ERR_BUSY);
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	journal_close(j);
	assert_int_equal(open_elsewhere(), ERR_OK);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* The limit of a file's size stands for a full disk. */
static void a_full_disk_leaves_whole_lines(void **state)
{
	(void)state;
	struct rlimit old, small;
	struct stat before, after;
	struct errmsg why = {""};
	struct journal_entry e = {
	    .name = "late", .engine = "e", .lab = "l", .submission = "s", .result = "{\"text\":\"0123456789\"}"};

	unlink(path);
	struct journal *j = open_journal();
	append(j, "early", 1, "{}");
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = (rlim_t)before.st_size + 20;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(journal_append(j, &e, &why), ERR_IO);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	append(j, "late", 2, "{}");
	journal_close(j);
	j = open_journal();
	assert_int_equal(journal_count(j), 2);
	assert_int_equal(journal_torn(j) + journal_damaged(j), 0);
	journal_close(j);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_written_is_read),
	    cmocka_unit_test(a_cut_loses_nothing_that_was_whole),
	    cmocka_unit_test(a_changed_byte_costs_its_line),
	    cmocka_unit_test(another_file_stays_as_it_is),
	    cmocka_unit_test(two_at_once_are_one_too_many),
	    cmocka_unit_test(a_full_disk_leaves_whole_lines),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
