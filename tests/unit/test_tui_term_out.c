/* tui/term_out.c: a frame goes out whole and in one piece, however the terminal takes it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tui/term_out.h"

#define BIG 300000u /* more than a pipe holds, and than what is copied at once */

static struct term_out out;
static int ends[2];

static int setup(void **state)
{
	(void)state;
	return pipe(ends) || !term_out_open(&out, ends[1]);
}

static int teardown(void **state)
{
	(void)state;
	term_out_close(&out);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static void say(const char *text)
{
	assert_int_equal(write(fileno(out.file), text, strlen(text)), strlen(text));
}

static void reads(const char *want)
{
	char buf[64] = "";

	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	ssize_t n = read(ends[0], buf, sizeof(buf) - 1);
	buf[n > 0 ? n : 0] = 0;
	assert_string_equal(buf, want);
}

static void a_frame_is_held_until_its_end(void **state)
{
	(void)state;
	say("before");
	reads("before");
	for (unsigned i = 0; i < 3; i++) { /* a shorter one after a longer one */
		term_out_begin(&out);
		say(i == 1 ? "x" : "one ");
		reads("");
		say(i == 1 ? "" : "two");
		term_out_end(&out);
		reads(i == 1 ? "x" : "one two");
	}
	say("after");
	reads("after");
}

static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i * 31 + i / 251);
}

static void *read_slowly(void *arg)
{
	size_t *wrong = arg;
	uint8_t buf[5000];

	for (size_t at = 0; at < BIG;) {
		ssize_t n = read(ends[0], buf, sizeof(buf));

		for (ssize_t i = 0; i < n; i++)
			*wrong += buf[i] != byte_at(at + (size_t)i);
		at += n > 0 ? (size_t)n : 0;
		usleep(100);
	}
	return NULL;
}

static void large_frame(void)
{
	uint8_t *frame = malloc(BIG);
	size_t wrong = 0;
	pthread_t reader;

	assert_non_null(frame);
	for (size_t i = 0; i < BIG; i++)
		frame[i] = byte_at(i);
	assert_int_equal(pthread_create(&reader, NULL, read_slowly, &wrong), 0);
	term_out_begin(&out);
	assert_int_equal(write(fileno(out.file), frame, BIG), BIG);
	term_out_end(&out);
	pthread_join(reader, NULL);
	assert_int_equal(wrong, 0);
	free(frame);
}

static void a_slow_terminal_gets_all_of_it(void **state)
{
	(void)state;
	large_frame();
}

static void a_terminal_that_does_not_block_gets_all_of_it(void **state)
{
	(void)state;
	assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	large_frame();
}

static void a_terminal_that_is_gone_is_not_waited_for(void **state)
{
	void (*old)(int) = signal(SIGPIPE, SIG_IGN);

	(void)state;
	close(ends[0]);
	term_out_begin(&out);
	say("nobody reads this");
	term_out_end(&out);
	signal(SIGPIPE, old);
}

/* In a child: a limit cannot be lifted again by everybody. */
static void a_limit_of_files_is_none_of_the_screen(void **state)
{
	const struct rlimit small = {1024, 1024};
	char frame[4096];
	int status;

	(void)state;
	pid_t child = fork();
	if (child == 0) {
		struct term_out o;

		memset(frame, 'x', sizeof(frame));
		if (setrlimit(RLIMIT_FSIZE, &small) || !term_out_open(&o, ends[1]))
			_exit(2);
		term_out_begin(&o);
		bool whole = write(fileno(o.file), frame, sizeof(frame)) == (ssize_t)sizeof(frame);
		term_out_end(&o);
		_exit(!whole);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(read(ends[0], frame, sizeof(frame)), sizeof(frame));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {TEST(a_frame_is_held_until_its_end), TEST(a_slow_terminal_gets_all_of_it),
	    TEST(a_terminal_that_does_not_block_gets_all_of_it), TEST(a_terminal_that_is_gone_is_not_waited_for),
	    TEST(a_limit_of_files_is_none_of_the_screen)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
