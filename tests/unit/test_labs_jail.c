/* labs/jail.h: each attack of tests/programs/jail_hostile.c, and what a worker needs. */
#include <setjmp.h>
#include <stdarg.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/types.h"
#include "labs/jail_impl.h"
#include "labs/tree.h"

static char hostile[4096], token[64], home[64], tmp[80], secret[80], self[16];
static struct errmsg why;
static struct jail_result result;

static const struct jail_config usual = {.out_max = 4096,
    .err_max = 4096,
    .cpu_s = 2,
    .wall_s = 20,
    .mem_max = 256u << 20,
    .file_max = 1u << 20,
    .input = "input",
    .n_input = 5};

/* How many processes have the token in their arguments, this one not counted. */
static unsigned processes(void)
{
	char path[300], text[4096];
	unsigned n = 0;
	DIR *d = opendir("/proc");

	assert_non_null(d);
	for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
		if (atoi(e->d_name) <= 0 || atoi(e->d_name) == getpid())
			continue;
		snprintf(path, sizeof path, "/proc/%.20s/cmdline", e->d_name);
		int fd = open(path, O_RDONLY);
		ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof text);
		n += got > 0 && memmem(text, (size_t)got, token, strlen(token));
		if (fd >= 0)
			close(fd);
	}
	closedir(d);
	return n;
}

static unsigned files_in(const char *path)
{
	unsigned n = 0;
	DIR *d = opendir(path);

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void forget(void)
{
	free(result.out);
	free(result.err);
	result = (struct jail_result){0};
}

static enum err try(const struct jail_config *base, const char *what, bool locked, const char *argument)
{
	const char *const argv[] = {hostile, token, what, locked ? "locked" : argument, locked ? argument : NULL, NULL};
	struct jail_config cfg = *base;

	cfg.argv = argv;
	forget();
	enum err e = jail_run(&cfg, &result, &why);
	if (e)
		return e;
	/* Whatever it was, nothing is left of it. */
	assert_int_equal(processes(), 0);
	assert_int_equal(files_in(tmp), 0);
	return ERR_OK;
}

/* The program says itself that it was refused. */
static void refused(const char *what, bool locked, const char *argument)
{
	if (try(&usual, what, locked, argument))
		fail_msg("%s", why.text);
	if (result.end != JAIL_EXITED || result.status != 0)
		fail_msg("%s%s: end %d, status %d: %s%s(%s)", what, locked ? ", locked" : "", result.end, result.status,
		    result.out, result.err, result.layers);
}

static bool has(const char *layer)
{
	return strstr(result.layers, layer) != NULL;
}

/* Skips what this host cannot hold; the layers are those of a run that does nothing. */
static void needs_files_held(void)
{
	refused("descriptors", false, NULL);
	if (!has("landlock") && !has("own root")) {
		print_message("skip: nothing tells files apart here: no Landlock, no namespaces (%s)\n", result.layers);
		skip();
	}
}

static void a_program_runs_and_is_named(void **state)
{
	(void)state;
	refused("descriptors", false, NULL);
	assert_true(has("seccomp"));
#ifndef __SANITIZE_ADDRESS__ /* which reserves terabytes: there is one limit less, and so not all of them */
	assert_true(has("rlimits"));
#endif
	print_message("layers: %s\n", result.layers);
}

static void what_a_worker_needs_works(void **state)
{
	const char *const read_only[] = {secret, NULL};
	struct jail_config cfg = usual;

	(void)state;
	needs_files_held();
	cfg.read_only = read_only;
	assert_int_equal(try(&cfg, "works", true, secret), ERR_OK);
	if (result.end != JAIL_EXITED || result.status != 0)
		fail_msg("%d %d %s%s", result.end, result.status, result.out, result.err);
}

static void nothing_is_executed_or_made_after_lock_down(void **state)
{
	(void)state;
	refused("exec", true, NULL);
}

static void a_program_that_is_not_there(void **state)
{
	const char *const argv[] = {"/nothing/here", NULL};
	struct jail_config cfg = usual;

	(void)state;
	cfg.argv = argv;
	forget();
	assert_int_equal(jail_run(&cfg, &result, &why), ERR_IO);
	assert_non_null(strstr(why.text, "/nothing/here"));
	assert_int_equal(files_in(tmp), 0);
}

static void a_file_that_is_no_program(void **state)
{
	const char *const argv[] = {secret, NULL};
	struct jail_config cfg = usual;

	(void)state;
	cfg.argv = argv;
	forget();
	assert_int_equal(jail_run(&cfg, &result, &why), ERR_IO);
	assert_non_null(strstr(why.text, "exec"));
	assert_int_equal(files_in(tmp), 0);
}

static void a_crash_is_a_signal(void **state)
{
	(void)state;
	assert_int_equal(try(&usual, "crash", true, NULL), ERR_OK);
	assert_int_equal(result.end, JAIL_SIGNALLED);
	assert_int_equal(result.status, SIGABRT);
}

static void a_fork_bomb(void **state)
{
	struct jail_config cfg = usual;

	(void)state;
	cfg.wall_s = 1;
	assert_int_equal(try(&cfg, "fork_bomb", false, NULL), ERR_OK);
	assert_true(result.end == JAIL_WALL || result.end == JAIL_CPU || result.end == JAIL_EXITED);
	refused("fork_bomb", true, NULL);
}

static void a_chain_that_flees(void **state)
{
	struct jail_config cfg = usual;

	(void)state;
	cfg.wall_s = 1;
	assert_int_equal(try(&cfg, "flee", false, NULL), ERR_OK);
	refused("flee", true, NULL);
}

static void a_daemon_does_not_survive(void **state)
{
	(void)state;
	refused("daemonize", false, NULL);
	refused("daemonize", true, NULL);
}

static void much_output(void **state)
{
	struct jail_config cfg = usual;

	(void)state;
	cfg.out_max = 1000;
	for (int locked = 0; locked < 2; locked++) {
		assert_int_equal(try(&cfg, "output", locked, NULL), ERR_OK);
		assert_int_equal(result.end, JAIL_OUTPUT);
		assert_int_equal(result.n_out, 1000);
		assert_int_equal(result.out[1000], 0);
	}
}

static void an_endless_loop(void **state)
{
	struct jail_config cfg = usual;

	(void)state;
	cfg.cpu_s = 1;
	cfg.wall_s = 200; /* a busy machine gives it little */
	for (int locked = 0; locked < 2; locked++) {
		assert_int_equal(try(&cfg, "spin", locked, NULL), ERR_OK);
		assert_int_equal(result.end, JAIL_CPU);
	}
}

static void sleeping_for_ever(void **state)
{
	struct jail_config cfg = usual;

	(void)state;
	cfg.wall_s = 1;
	for (int locked = 0; locked < 2; locked++) {
		assert_int_equal(try(&cfg, "sleep", locked, NULL), ERR_OK);
		assert_int_equal(result.end, JAIL_WALL);
	}
}

static void a_huge_file(void **state)
{
	(void)state;
	refused("big_file", false, "1");
	assert_true(atol(result.out) <= 1 << 20);
	refused("big_file", true, "1");
	assert_int_equal(atol(result.out), 0);
}

static void many_files(void **state)
{
	(void)state;
	refused("big_file", false, "20");
	if (!has("own root")) {
		print_message("skip: the folder is not a file system of its own here: only each file has a limit\n");
		skip();
	}
	assert_true(atol(result.out) <= 4 << 20);
}

static void links_lead_nowhere(void **state)
{
	struct stat st;

	(void)state;
	needs_files_held();
	refused("links", false, secret);
	refused("links", true, secret);
	assert_int_equal(stat(secret, &st), 0);
}

static void no_file_of_others_is_read(void **state)
{
	(void)state;
	refused("files", true, secret);
	needs_files_held();
	refused("files", false, secret);
}

static void no_file_of_others_is_changed(void **state)
{
	struct stat st;

	(void)state;
	refused("overwrite", true, secret);
	needs_files_held();
	refused("overwrite", false, secret);
	assert_int_equal(stat(secret, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(st.st_size, 6);
}

static void proc_does_not_show_the_grader(void **state)
{
	(void)state;
	refused("proc", true, "graders-secret");
	needs_files_held();
	refused("proc", false, "graders-secret");
}

static void other_processes_are_out_of_reach(void **state)
{
	(void)state;
	refused("other_process", true, self);
	needs_files_held();
	refused("other_process", false, self);
}

static void no_network(void **state)
{
	(void)state;
	refused("network", false, NULL);
	refused("network", true, NULL);
}

static void no_rights(void **state)
{
	(void)state;
	refused("rights", false, NULL);
	refused("rights", true, NULL);
}

static void memory_has_a_limit(void **state)
{
	(void)state;
#ifdef __SANITIZE_ADDRESS__
	print_message("skip: AddressSanitizer reserves terabytes, so its build has no limit of addresses\n");
	skip();
#endif
	refused("memory", false, NULL);
	refused("memory", true, NULL);
}

static void descriptors_are_not_inherited(void **state)
{
	int fd = open(secret, O_RDWR), high = fcntl(fd, F_DUPFD, 200);

	(void)state;
	refused("descriptors", false, NULL);
	close(fd);
	close(high);
}

static void nothing_stays_in_the_kernel(void **state)
{
	(void)state;
	refused("leftovers", true, NULL);
	needs_files_held();
	refused("leftovers", false, NULL);
}

static void another_instruction_set_is_death(void **state)
{
	(void)state;
	for (int locked = 0; locked < 2; locked++) {
		assert_int_equal(try(&usual, "other_calls", locked, NULL), ERR_OK);
		assert_int_equal(result.end, JAIL_SIGNALLED);
		assert_int_equal(result.status, SIGSYS);
	}
}

static void the_assembler_reads_no_file(void **state)
{
	(void)state;
	refused("assembler", true, secret);
}

/* The caller is killed: so is all that it had. */
static void the_death_of_the_caller_is_the_end(void **state)
{
	int ready[2];
	char c;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		(void)!write(ready[1], "x", 1);
		(void)try(&usual, "sleep", false, NULL);
		_exit(1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	/* Copies of this test have its arguments, which hold no token; the program has one. */
	for (int i = 0; i < 1000 && processes() == 0; i++)
		usleep(10000);
	assert_int_equal(processes(), 1);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	for (int i = 0; i < 1000 && processes() > 0; i++)
		usleep(10000);
	assert_int_equal(processes(), 0);
	close(ready[0]);
	close(ready[1]);
	for (int i = 0; i < 1000 && files_in(tmp) > 0; i++)
		usleep(10000);
	assert_int_equal(files_in(tmp), 0);
}

static void *many_main(void *arg)
{
	struct jail_result r;
	struct errmsg w = {""};
	const char *const argv[] = {hostile, token, "descriptors", NULL};
	struct jail_config cfg = usual;
	unsigned *good = arg;

	cfg.argv = argv;
	for (int i = 0; i < 10; i++) {
		if (jail_run(&cfg, &r, &w) == ERR_OK && r.end == JAIL_EXITED && r.status == 0)
			++*good;
		free(r.out);
		free(r.err);
	}
	return NULL;
}

static void from_many_threads(void **state)
{
	pthread_t t[6];
	unsigned good[6] = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, many_main, &good[i]), 0);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		pthread_join(t[i], NULL);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(good[i], 10);
	assert_int_equal(files_in(tmp), 0);
}

/* A tree that was made to be kept: deep, unreadable, with links out of it. */
static void a_tree_is_removed(void **state)
{
	char path[200];
	struct stat st;
	int at;

	(void)state;
	snprintf(path, sizeof path, "%s/tree", tmp);
	assert_int_equal(mkdir(path, 0700), 0);
	at = open(path, O_RDONLY | O_DIRECTORY);
	/* Deeper than the longest path that a system call takes. */
	for (int i = 0; i < 2100; i++) {
		bool marked = i % 100 == 99;
		assert_int_equal(mkdirat(at, "d", 0700), 0);
		int next = openat(at, "d", O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		if (marked) {
			assert_int_equal(symlinkat(home, at, "out"), 0);
			assert_int_equal(symlinkat(secret, at, "file"), 0);
			assert_int_equal(mkdirat(at, "e", 0), 0);
			assert_int_equal(fchmod(at, 0), 0);
		}
		close(at);
		at = next;
	}
	close(at);
	tree_remove(path);
	assert_int_equal(stat(secret, &st), 0);
	assert_int_equal(files_in(tmp), 0);
}

static int set_up(void **state)
{
	FILE *f;

	(void)state;
	snprintf(token, sizeof token, "jail-test-%d-%ld", (int)getpid(), (long)time(NULL));
	snprintf(self, sizeof self, "%d", (int)getpid());
	snprintf(home, sizeof home, "/tmp/vmscope-jail-test.XXXXXX");
	if (!mkdtemp(home) || chmod(home, 0755) != 0)
		return -1;
	snprintf(tmp, sizeof tmp, "%s/tmp", home);
	snprintf(secret, sizeof secret, "%s/secret", home);
	f = fopen(secret, "w");
	if (mkdir(tmp, 0777) != 0 || !f || fputs("secret", f) < 0 || fclose(f) != 0)
		return -1;
	return setenv("TMPDIR", tmp, 1) | setenv("SECRET", "graders-secret", 1);
}

static int tear_down(void **state)
{
	(void)state;
	forget();
	tree_remove(home);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_program_runs_and_is_named),
	    cmocka_unit_test(what_a_worker_needs_works),
	    cmocka_unit_test(nothing_is_executed_or_made_after_lock_down),
	    cmocka_unit_test(a_program_that_is_not_there),
	    cmocka_unit_test(a_file_that_is_no_program),
	    cmocka_unit_test(a_crash_is_a_signal),
	    cmocka_unit_test(a_fork_bomb),
	    cmocka_unit_test(a_chain_that_flees),
	    cmocka_unit_test(a_daemon_does_not_survive),
	    cmocka_unit_test(much_output),
	    cmocka_unit_test(an_endless_loop),
	    cmocka_unit_test(sleeping_for_ever),
	    cmocka_unit_test(a_huge_file),
	    cmocka_unit_test(many_files),
	    cmocka_unit_test(links_lead_nowhere),
	    cmocka_unit_test(no_file_of_others_is_read),
	    cmocka_unit_test(no_file_of_others_is_changed),
	    cmocka_unit_test(proc_does_not_show_the_grader),
	    cmocka_unit_test(other_processes_are_out_of_reach),
	    cmocka_unit_test(no_network),
	    cmocka_unit_test(no_rights),
	    cmocka_unit_test(memory_has_a_limit),
	    cmocka_unit_test(descriptors_are_not_inherited),
	    cmocka_unit_test(nothing_stays_in_the_kernel),
	    cmocka_unit_test(another_instruction_set_is_death),
	    cmocka_unit_test(the_assembler_reads_no_file),
	    cmocka_unit_test(the_death_of_the_caller_is_the_end),
	    cmocka_unit_test(from_many_threads),
	    cmocka_unit_test(a_tree_is_removed),
	};
	char *slash;
	ssize_t n = readlink("/proc/self/exe", hostile, sizeof hostile - 40);

	if (n <= 0)
		return 1;
	hostile[n] = 0;
	slash = strstr(hostile, "/tests/unit/");
	if (!slash)
		return 1;
	snprintf(slash, 40, "/tests/programs/jail_hostile");
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
