/* A class through the batch mode, with a grader that is made up: what is graded once, what is graded again and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "labs/batch.h"
#include "tests/result_fixture.h"

#define CLASS 12

/* Shared with the processes that grade. */
static struct shared {
	unsigned graded[CLASS + 8];
	bool crash, fail, hang, slow;
} * shared;

static char top[] = "/tmp/vmscope-batch.XXXXXX", dir[64], out[64];
static char said[8192];
static unsigned done_events, stop_after;
static volatile sig_atomic_t stop;

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_member(const char *name)
{
	char path[600];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	assert_int_equal(mkdir(path, 0777), 0);
}

static int make_class(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "%s/class", top);
	snprintf(out, sizeof out, "%s/out", top);
	remove_tree(dir);
	remove_tree(out);
	mkdir(dir, 0777);
	for (unsigned i = 0; i < CLASS; i++) {
		char name[32];
		snprintf(name, sizeof name, "student%03u", i);
		make_member(name);
	}
	memset(shared, 0, sizeof *shared);
	return 0;
}

static int make_top(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN); /* as the program does */
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return shared == MAP_FAILED || !mkdtemp(top) ? -1 : 0;
}

static int remove_top(void **state)
{
	(void)state;
	remove_tree(top);
	return 0;
}

static unsigned number(const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	return (unsigned)atoi(name + strcspn(name, "0123456789")) % (CLASS + 8);
}

static const char *changed_member = ""; /* its hash is another one */

static enum err identify(void *arg, const char *path, char hash[65], struct errmsg *why)
{
	struct stat st;

	(void)arg;
	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return err_set(why, ERR_IO, "it is no folder");
	snprintf(hash, 65, "%zu%s", strlen(path), strcmp(strrchr(path, '/') + 1, changed_member) ? "" : "x");
	return ERR_OK;
}

static enum err grade(void *arg, const char *path, struct lab_result *r, struct errmsg *why)
{
	unsigned i = number(path);

	(void)arg;
	shared->graded[i]++;
	if (shared->crash && i == 3)
		raise(SIGKILL);
	if (shared->fail && i == 4)
		return err_set(why, ERR_NOMEM, "there is no memory today");
	if (shared->hang && i == 5)
		pause();
	if (shared->slow)
		usleep(20000);
	result_of_class(r, i);
	return ERR_OK;
}

static void say(void *arg, const struct batch_event *e)
{
	size_t n = strlen(said);

	(void)arg;
	if (e->step == BATCH_DONE) {
		done_events++;
		if (stop_after && done_events == stop_after)
			stop = 1;
	} else if (e->text) {
		snprintf(said + n, sizeof said - n, "%s: %s\n", e->name ? e->name : "", e->text);
	}
}

static struct batch_config config(void)
{
	said[0] = 0;
	done_events = stop_after = 0;
	stop = 0;
	return (struct batch_config){.dir = dir,
	    .out = out,
	    .jobs = 3,
	    .engine = "engine",
	    .lab = "lab",
	    .seed = 1,
	    .grader = {identify, grade, NULL},
	    .say = say,
	    .stop = &stop};
}

static struct batch_summary run(const struct batch_config *cfg)
{
	struct batch_summary sum;
	struct errmsg why = {""};

	if (batch_run(cfg, &sum, &why))
		fail_msg("%s", why.text);
	return sum;
}

static char *slurp(const char *folder, const char *name)
{
	char path[600], *s = calloc(1, 1 << 20);
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "r");
	if (!f)
		fail_msg("%s is not there", path);
	assert_true(fread(s, 1, (1 << 20) - 1, f) > 0);
	fclose(f);
	return s;
}

static void has(const char *name, const char *text)
{
	char *s = slurp(out, name);

	if (!strstr(s, text))
		fail_msg("%s has no \"%s\"", name, text);
	free(s);
}

/* All files but the journal are the same. */
static void same_results(const char *a, const char *b)
{
	char command[300];

	snprintf(command, sizeof command, "diff -r -x journal %s %s >/dev/null", a, b);
	assert_int_equal(system(command), 0);
}

static unsigned graded_in_all(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CLASS + 8; i++)
		n += shared->graded[i];
	return n;
}

/* --- */

static void a_class_is_graded_once(void **state)
{
	(void)state;
	struct batch_config cfg = config();
	struct batch_summary sum = run(&cfg);

	assert_int_equal(sum.total, CLASS);
	assert_int_equal(sum.graded, CLASS);
	assert_int_equal(sum.kept + sum.not_gradable + sum.stopped, 0);
	assert_int_equal(done_events, CLASS);
	assert_string_equal(said, "");
	has("class.csv", "\n\"student011\",yes,");
	has("class.html", "<a href=\"reports/student011.txt\">student011</a>");
	has("reports/student000.txt", "Total ");
	has("reports/student000.txt", "(the checks of this task are hidden)");
	has("results/student000.json", "\"schema\": \"vmscope/result/v1\"");
	cfg = config();
	sum = run(&cfg);
	assert_int_equal(sum.graded, 0);
	assert_int_equal(sum.kept, CLASS);
	assert_int_equal(graded_in_all(), CLASS);
}

static void what_changed_is_graded_anew(void **state)
{
	(void)state;
	struct batch_config cfg = config();

	run(&cfg);
	changed_member = "student007";
	cfg = config();
	assert_int_equal(run(&cfg).graded, 1);
	assert_string_equal(said, "student007: the submission is another one\n");
	assert_int_equal(shared->graded[7], 2);
	changed_member = "";
	cfg = config();
	cfg.seed = 2;
	assert_int_equal(run(&cfg).graded, CLASS);
	assert_non_null(strstr(said, "student000: the seed was 1\n"));
	cfg = config();
	cfg.seed = 2;
	cfg.lab = "lab, mended";
	assert_int_equal(run(&cfg).graded, CLASS);
	assert_non_null(strstr(said, "student000: the lab is another one\n"));
	cfg = config();
	cfg.seed = 2;
	cfg.lab = "lab, mended";
	cfg.engine = "new";
	assert_int_equal(run(&cfg).graded, CLASS);
	assert_non_null(strstr(said, "student000: vmscope is another one\n"));
}

static void one_that_kills_its_grader_costs_nobody_else(void **state)
{
	(void)state;
	struct batch_config cfg = config();

	shared->crash = shared->fail = true;
	struct batch_summary sum = run(&cfg);
	assert_int_equal(sum.graded, CLASS);
	assert_int_equal(sum.not_gradable, 2);
	has("class.csv", "\n\"student003\",no,,");
	has("class.html", "student003: the grader was ended by signal 9");
	has("reports/student004.txt", "Could not be graded: there is no memory today.");
	/* It was not graded: the next time it is tried again. */
	shared->crash = shared->fail = false;
	cfg = config();
	sum = run(&cfg);
	assert_int_equal(sum.graded, 2);
	assert_int_equal(sum.not_gradable, 0);
	assert_non_null(strstr(said, "student003: it could not be graded the last time\n"));
}

static void one_that_hangs_is_ended(void **state)
{
	(void)state;
	struct batch_config cfg = config();

	shared->hang = true;
	cfg.limit_s = 1;
	assert_int_equal(run(&cfg).not_gradable, 1);
	has("class.html", "student005: the grader took longer than 1 s");
}

static void what_is_no_folder_is_told(void **state)
{
	(void)state;
	char path[100];
	struct batch_config cfg = config();

	snprintf(path, sizeof path, "%s/alice.zip", dir);
	fclose(fopen(path, "w"));
	snprintf(path, sizeof path, "%s/.DS_Store", dir);
	fclose(fopen(path, "w"));
	struct batch_summary sum = run(&cfg);
	assert_int_equal(sum.total, CLASS + 1);
	assert_int_equal(sum.graded, CLASS);
	assert_int_equal(sum.not_gradable, 1);
	assert_string_equal(said, "alice.zip: it is no folder\n");
	has("class.html", "alice.zip: it is no folder");
	has("class.csv", "\n\"alice.zip\",no,");
}

static void any_name_is_a_file_and_a_link(void **state)
{
	(void)state;
	char longest[256];
	struct batch_config cfg = config();

	memset(longest, '%', 255);
	longest[255] = 0;
	make_member(longest);
	make_member("a b&<i>\"'\n\xff");
	make_member("-rf");
	cfg.jobs = 1;
	struct batch_summary sum = run(&cfg);
	assert_int_equal(sum.graded, CLASS + 3);
	has("class.html",
	    "<a href=\"reports/a%2520b%2526%253Ci%253E%2522%2527%250A%25FF.txt\">a b&amp;&lt;i&gt;&quot;&#39;"
	    "\\n\\xff</a>");
	has("reports/a%20b%26%3Ci%3E%22%27%0A%FF.txt", "Total");
	has("reports/-rf.txt", "Total");
	cfg = config();
	assert_int_equal(run(&cfg).kept, CLASS + 3);
}

static void an_interruption_is_not_seen_in_the_end(void **state)
{
	(void)state;
	char whole[80];
	struct batch_config cfg = config();

	run(&cfg);
	snprintf(whole, sizeof whole, "%s/whole", top);
	remove_tree(whole);
	assert_int_equal(rename(out, whole), 0);
	for (unsigned after = 1; after < CLASS; after += 4) {
		remove_tree(out);
		cfg = config();
		stop_after = after;
		struct batch_summary sum = run(&cfg);
		assert_true(sum.stopped);
		assert_int_equal(sum.graded, after);
		has("class.html", "the grading was stopped before it");
		cfg = config();
		sum = run(&cfg);
		assert_false(sum.stopped);
		assert_int_equal(sum.kept, after);
		assert_int_equal(sum.graded, CLASS - after);
		same_results(out, whole);
	}
}

/* kill -9, again and again: what the journal has is never graded again, and in the end nothing is missing. */
static void kill_9_loses_only_what_was_at_work(void **state)
{
	(void)state;
	char whole[80];
	struct batch_config cfg = config();
	unsigned kills = 0;

	run(&cfg);
	snprintf(whole, sizeof whole, "%s/whole", top);
	remove_tree(whole);
	assert_int_equal(rename(out, whole), 0);
	memset(shared, 0, sizeof *shared);
	shared->slow = true;
	for (;;) {
		cfg = config();
		pid_t pid = fork();
		if (pid == 0) {
			struct batch_summary sum;
			struct errmsg why;
			_exit(batch_run(&cfg, &sum, &why));
		}
		int status;
		usleep(15000 + kills * 1000);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), ERR_OK);
			break;
		}
		if (++kills > 500)
			fail_msg("it never comes to its end");
	}
	assert_true(kills > 0);
	/* Each kill costs at most what three processes were at. */
	assert_in_range(graded_in_all(), CLASS, CLASS + 3 * kills);
	cfg = config();
	assert_int_equal(run(&cfg).kept, CLASS);
	same_results(out, whole);
}

static void an_empty_class_is_an_error(void **state)
{
	(void)state;
	struct batch_config cfg = config();
	struct batch_summary sum;
	struct errmsg why = {""};

	remove_tree(dir);
	assert_int_equal(batch_run(&cfg, &sum, &why), ERR_NOENT);
	mkdir(dir, 0777);
	assert_int_equal(batch_run(&cfg, &sum, &why), ERR_NOENT);
	assert_non_null(strstr(why.text, "no submission"));
	cfg.out = dir;
	assert_int_equal(batch_run(&cfg, &sum, &why), ERR_INVAL);
	assert_non_null(strstr(why.text, "folder of their own"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(a_class_is_graded_once, make_class),
	    cmocka_unit_test_setup(what_changed_is_graded_anew, make_class),
	    cmocka_unit_test_setup(one_that_kills_its_grader_costs_nobody_else, make_class),
	    cmocka_unit_test_setup(one_that_hangs_is_ended, make_class),
	    cmocka_unit_test_setup(what_is_no_folder_is_told, make_class),
	    cmocka_unit_test_setup(any_name_is_a_file_and_a_link, make_class),
	    cmocka_unit_test_setup(an_interruption_is_not_seen_in_the_end, make_class),
	    cmocka_unit_test_setup(kill_9_loses_only_what_was_at_work, make_class),
	    cmocka_unit_test_setup(an_empty_class_is_an_error, make_class),
	};
	return cmocka_run_group_tests(tests, make_top, remove_top);
}
