/* tui/term.c, tui/crash.c: on a pseudo terminal. What is drawn, what keys become, and that the terminal is given back.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "tests/tui_fake.h"
#include "tui/term.h"

static char seen_key[64] = "none";

static enum err cmd_seen(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)a;
	(void)v;
	(void)why;
	snprintf(seen_key, sizeof(seen_key), "%s", args);
	return ERR_OK;
}

static enum err cmd_crash(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)a;
	(void)v;
	(void)why;
	raise(args[0] == 'a' ? SIGABRT : SIGSEGV);
	return ERR_OK;
}

static void draw(struct app *a, struct view *v, struct screen *s, const struct rect *r)
{
	(void)a;
	(void)v;
	screen_printf(s, r->x, r->y, r->w, STYLE_NORMAL, "<%dx%d %s>", s->w, s->h, seen_key);
}

static void click(struct app *a, struct view *v, int x, int y)
{
	(void)a;
	(void)v;
	snprintf(seen_key, sizeof(seen_key), "click %d %d", x, y);
}

static const struct command commands[] = {
    {"seen", "", "", cmd_seen, NULL}, {"crash", "", "", cmd_crash, NULL}, {NULL, NULL, NULL, NULL, NULL}};
static const struct binding bindings[] = {{"Up", "seen up", NULL}, {"M-x", "seen alt x", NULL},
    {"\u00e4", "seen umlaut", NULL}, {"F5", "seen f5", NULL}, {"S-Tab", "seen backtab", NULL},
    {"C-a", "seen ctrl a", NULL}, {"S", "crash s", NULL}, {"A", "crash a", NULL}, {NULL, NULL, NULL}};
static const struct view_ops only = {.name = "only",
    .title = "Only",
    .about = "",
    .commands = commands,
    .bindings = bindings,
    .draw = draw,
    .click = click};
const struct view_ops *const views[] = {&only, NULL};

/* --- a program on a terminal -------------------------------------------------------------------------------------- */
static int fd, tty;
static pid_t pid;
static struct termios before;
static char heard[1 << 18];
static size_t n_heard;

static _Noreturn void program(void)
{
	struct terminal *t;
	struct app_config cfg = {.ascii = !term_utf8()};
	struct errmsg why;
	struct app *a;
	char note[160];
	enum err e;

	term_block_signals();
	if (term_open(&t, note, &why) != ERR_OK) {
		printf("%s\n", why.text);
		fflush(stdout);
		_exit(3);
	}
	e = app_open(&cfg, &a, &why);
	if (note[0])
		app_message(a, "%s", note);
	if (e == ERR_OK)
		e = term_run(t, a, &why);
	int sig = term_signal(t);
	term_close(t);
	app_close(a);
	_exit(e != ERR_OK ? 1 : sig ? 128 + sig : 0);
}

static void start(const char *term)
{
	struct winsize ws = {.ws_row = 24, .ws_col = 80};

	n_heard = 0;
	heard[0] = '\0';
	assert_int_equal(openpty(&fd, &tty, NULL, NULL, &ws), 0);
	tcgetattr(tty, &before);
	pid = fork();
	if (!pid) {
		setsid();
		ioctl(tty, TIOCSCTTY, 0);
		for (int i = 0; i < 3; i++)
			dup2(tty, i);
		close(fd);
		close(tty);
		setenv("TERM", term, 1);
		setenv("LC_ALL", "C.UTF-8", 1);
		program();
	}
	assert_true(pid > 0);
}

/* Reads what comes within 10 ms; false: the other side has gone. */
static bool listen_once(void)
{
	struct pollfd p = {fd, POLLIN, 0};
	ssize_t n;

	if (poll(&p, 1, 10) <= 0)
		return true;
	n = read(fd, heard + n_heard, sizeof(heard) - n_heard - 1);
	if (n <= 0)
		return false;
	n_heard += (size_t)n;
	heard[n_heard] = '\0';
	return true;
}

/* Waits until the text was written since the last forget(); the terminal gets only what changed. */
static bool hears(const char *text)
{
	for (int i = 0; i < 500 && !strstr(heard, text); i++)
		if (!listen_once())
			break;
	return strstr(heard, text) != NULL;
}

static void forget(void)
{
	n_heard = 0;
	heard[0] = '\0';
}

static void say(const char *bytes)
{
	forget();
	assert_int_equal(write(fd, bytes, strlen(bytes)), strlen(bytes));
}

static bool as_before(void)
{
	struct termios now;

	return !tcgetattr(tty, &now) && now.c_lflag == before.c_lflag && now.c_iflag == before.c_iflag &&
	       now.c_oflag == before.c_oflag && !memcmp(now.c_cc, before.c_cc, sizeof(now.c_cc));
}

static int ends(void)
{
	int status = -1;

	for (int i = 0; i < 500; i++) {
		if (!listen_once())
			poll(NULL, 0, 10);
		if (waitpid(pid, &status, WNOHANG) == pid)
			break;
	}
	while (n_heard < sizeof(heard) / 2) { /* what it said last */
		size_t n = n_heard;

		if (!listen_once() || n == n_heard)
			break;
	}
	return status;
}

static void stop(void)
{
	close(fd);
	close(tty);
}

/* --- tests ----------------------------------------------------------------------------------------------------------
 */
static void it_draws_and_quits(void **state)
{
	int status;

	(void)state;
	start("xterm");
	assert_true(hears("<80x24 none>"));
	assert_true(hears("\033[?1049h"));
	assert_false(as_before());
	say("q");
	status = ends();
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	assert_non_null(strstr(heard, "\033[?1049l"));
	assert_true(as_before());
	stop();
}

static void keys_arrive(void **state)
{
	static const char *const rows[][2] = {{"\033OA", "up"}, {"\033x", "alt x"}, {"\xc3\xa4", "umlaut"},
	    {"\033[15~", "f5"}, {"\033[Z", "backtab"}, {"\001", "ctrl a"}, {"\033[<0;11;4M", "click 10 2"}};

	(void)state;
	start("xterm");
	assert_true(hears("none>"));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		say("\014"); /* all again */
		assert_true(hears("<80x24"));
		say(rows[i][0]);
		say("\014");
		if (!hears(rows[i][1]))
			fail_msg("%s: %s", rows[i][1], heard);
	}
	say("\033"); /* alone */
	assert_true(hears("first view"));
	say("\003");
	assert_true(hears("nothing is running"));
	say("q");
	assert_int_equal(ends(), 0);
	stop();
}

static void sizes_change(void **state)
{
	struct winsize ws = {.ws_row = 40, .ws_col = 132};

	(void)state;
	start("xterm");
	assert_true(hears("<80x24"));
	ioctl(fd, TIOCSWINSZ, &ws);
	assert_true(hears("<132x40"));
	ws = (struct winsize){.ws_row = 5, .ws_col = 30};
	ioctl(fd, TIOCSWINSZ, &ws);
	assert_true(hears("needs 80x24"));
	say("q");
	assert_int_equal(ends(), 0);
	assert_true(as_before());
	stop();
}

static void a_stop_gives_the_terminal_back_for_a_while(void **state)
{
	int status;

	(void)state;
	start("xterm");
	assert_true(hears("<80x24"));
	kill(pid, SIGTSTP);
	assert_true(hears("\033[?1049l"));
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	assert_true(as_before());
	forget();
	kill(pid, SIGCONT);
	assert_true(hears("\033[?1049h"));
	assert_true(hears("<80x24 none>"));
	assert_false(as_before());
	say("q");
	assert_int_equal(ends(), 0);
	assert_true(as_before());
	stop();
}

static void signals_end_it_in_order(void **state)
{
	static const int signals[] = {SIGTERM, SIGHUP, SIGQUIT};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		int status;

		start("xterm");
		assert_true(hears("<80x24"));
		kill(pid, signals[i]);
		status = ends();
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 128 + signals[i]);
		assert_non_null(strstr(heard, "\033[?1049l"));
		assert_true(as_before());
		stop();
	}
}

static void a_crash_gives_the_terminal_back(void **state)
{
	static const char *const keys[] = {"S", "A"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		int status;

		start("xterm");
		assert_true(hears("<80x24"));
		say(keys[i]);
		status = ends();
		assert_true(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status))); /* a sanitizer exits */
		assert_non_null(strstr(heard, "\033[?1049l"));
		assert_non_null(strstr(heard, "\033[?1000l"));
		assert_true(as_before());
		stop();
	}
}

static void the_other_side_may_go(void **state)
{
	int status = -1;

	(void)state;
	start("xterm");
	assert_true(hears("<80x24"));
	close(fd);
	for (int i = 0; i < 500 && waitpid(pid, &status, WNOHANG) != pid; i++)
		poll(NULL, 0, 10);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 128 + SIGHUP);
	close(tty);
}

static void terminals_that_are_not_known(void **state)
{
	int status;

	(void)state;
	start("xterm-of-tomorrow");
	assert_true(hears("not known here; taken for xterm"));
	say("q");
	assert_int_equal(ends(), 0);
	stop();
	start("nonsense");
	assert_true(hears("taken for xterm"));
	say("q");
	assert_int_equal(ends(), 0);
	assert_true(as_before());
	stop();
	start("dumb");
	assert_true(hears("cannot place its cursor"));
	status = ends();
	assert_int_equal(WEXITSTATUS(status), 3);
	assert_true(as_before());
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_draws_and_quits),
	    cmocka_unit_test(keys_arrive),
	    cmocka_unit_test(sizes_change),
	    cmocka_unit_test(a_stop_gives_the_terminal_back_for_a_while),
	    cmocka_unit_test(signals_end_it_in_order),
	    cmocka_unit_test(a_crash_gives_the_terminal_back),
	    cmocka_unit_test(the_other_side_may_go),
	    cmocka_unit_test(terminals_that_are_not_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
