/*
 * Random keys, mouse, command lines and sizes for the terminal UI.
 *
 *   tui_fuzz SEED SECONDS [GUEST]              the application on a real engine with its thread, without a terminal:
 *                                              every cell that it draws is checked
 *   tui_fuzz SEED SECONDS --terminal VMSCOPE [GUEST]   the whole program on a pseudo terminal: random bytes and sizes;
 *                                              it has to live, and to leave the terminal as it was
 *
 * Status 0: nothing was found. What a sanitizer finds, it reports itself. Runs in a folder of its own
 * (P writes files); bundled guests are found by $VMSCOPE_GUESTS.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cli/tui_source.h"
#include "tui/app.h"
#include "tui/term.h"

static uint64_t rng;
static unsigned long long seed, step;
static char last[256];

static uint64_t draw(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return n ? (rng >> 11) % n : 0;
}

static void die(const char *what)
{
	fprintf(stderr, "tui_fuzz: seed %llu, step %llu, after %s: %s\n", seed, step, last, what);
	exit(1);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- the application alone ---------------------------------------------------------------------------------------- */
struct world {
	struct tui_source *source;
	struct engine *engine;
	struct app *app;
	struct screen screen;
};

static enum err backend(
    void *arg, enum vmm_mode mode, enum vmm_type type, struct engine_source *out, struct errmsg *why)
{
	struct tui_source *s;
	enum err e = tui_source_backend(arg, mode, type, &s, why);

	if (e == ERR_OK)
		tui_source_fill(s, out);
	return e;
}

static void backend_done(void *arg, struct engine_source *src)
{
	(void)arg;
	tui_source_free(src->arg);
}

static const struct symbols *symbols_now(void *arg, unsigned vm)
{
	return tui_source_symbols(arg, vm);
}

static void begin(struct world *w, const char *guest)
{
	struct run_options o;
	struct engine_source src;
	struct errmsg why = {""};
	struct app_config cfg = {.backend = backend, .backend_done = backend_done, .symbols_now = symbols_now};

	options_init(&o);
	o.guest = guest;
	if (tui_source_new(&o, &w->source, &why) != ERR_OK)
		die(why.text);
	tui_source_fill(w->source, &src);
	if (engine_open(&src, true, &w->engine, &why) != ERR_OK)
		die(why.text);
	cfg.engine = w->engine;
	cfg.arg = w->source;
	cfg.ascii = draw(2);
	if (app_open(&cfg, &w->app, &why) != ERR_OK || !screen_init(&w->screen, 80, 24, cfg.ascii))
		die(why.text);
}

static void end(struct world *w)
{
	app_close(w->app);
	engine_close(w->engine);
	tui_source_free(w->source);
	screen_fini(&w->screen);
}

static const char *word(void)
{
	static const char *const words[] = {"step", "step exit", "over", "finish", "run", "continue", "pause", "vmexit",
	    "back", "back exit", "back break", "goto exit", "goto insn", "turbo", "slow", "restart", "open", "type",
	    "break", "break list", "break delete", "break disable", "select", "follow", "mark", "search", "search next",
	    "filter", "view", "enter", "leave", "close", "move", "sort", "freeze", "theme", "mouse", "cpu", "line",
	    "help", "expect", "resize", "next", "prev", "same", "last", "scope", "exit", "machine", "modes", "stats",
	    "vms", "theory", "hello", "timer", "exits", "CPUID", "IO_INSTRUCTION", "10", "0", "1", "3", "0x7c00",
	    "18446744073709551615", "-1", "main", "port", "0x3f8", "0x3f8-0x3ff", "out", "msr", "mem", "0x1000-0x1fff",
	    "w", "on", "off", "exit_reason == \"CPUID\"", "exit_reason ==", "a", "\x1b[2J", "\xff", "\u4e2d", "all",
	    "count", "time", "address", "0x100000", "up", "down", "home", "key Enter"};

	return words[draw(ARRAY_LEN(words))];
}

static void command(struct app *a)
{
	struct errmsg why = {""};
	size_t n = 0;

	last[0] = '\0';
	for (uint64_t k = 1 + draw(4); k && n < sizeof(last) - 40; k--)
		n += (size_t)snprintf(last + n, sizeof(last) - n, "%s%s", n ? " " : "", word());
	if (app_command(a, last, &why) != ERR_OK && (!why.text[0] || strchr(why.text, '\n')))
		die("an error without one line of text");
}

static struct key_event any_key(const struct screen *s)
{
	static const char likely[] = "seecupUbBnNfotRFZ[]{}<>/\\:123456712345670 jkMTqh?wrgGvxdlamiILpEV#=+-";
	struct key_event k = {.key = KEY_NONE};
	char name[16];

	switch (draw(8)) {
	case 0:
	case 1:
	case 2:
		k.key = (unsigned char)likely[draw(sizeof(likely) - 1)];
		break;
	case 3:
	case 4:
		k.key = KEY_NAMED + (uint32_t)draw(KEY_N_END_ - KEY_NAMED);
		break;
	case 5:
		k.key = (uint32_t)draw(128);
		if (draw(4) == 0)
			k.key |= KEY_CTRL;
		break;
	case 6:
		k.key = KEY_N_MOUSE;
		break;
	default:
		k.key = (uint32_t)(draw(0x110100) | (draw(3) == 0 ? (uint64_t)KEY_META : 0));
		break;
	}
	k.mouse = draw(4);
	k.x = (int)draw((uint64_t)s->w + 4) - 2;
	k.y = (int)draw((uint64_t)s->h + 4) - 2;
	snprintf(last, sizeof(last), "key %s", key_to_name(k.key, name));
	return k;
}

static void check(const struct world *w)
{
	const struct screen *s = &w->screen;

	for (int i = 0; i < s->w * s->h; i++) {
		uint32_t ch = s->cells[i].ch;

		if (ch < ' ' || (ch >= 0x7f && ch < 0xa0) || (s->ascii && ch >= 0x7f) ||
		    s->cells[i].style >= STYLE_COUNT)
			die("a cell that no terminal should get");
	}
	if (s->cursor_x >= s->w || s->cursor_y >= s->h)
		die("a cursor outside the screen");
	if (strchr(app_last_message(w->app), '\n'))
		die("a message of two lines");
}

static void resize(struct screen *s)
{
	static const int sizes[][2] = {{80, 24}, {200, 50}, {1, 1}, {79, 24}, {132, 43}, {80, 200}, {500, 24}};
	size_t i = (size_t)draw(ARRAY_LEN(sizes) + 2);

	snprintf(last, sizeof(last), "a resize");
	if (!(i < ARRAY_LEN(sizes) ? screen_resize(s, sizes[i][0], sizes[i][1])
				   : screen_resize(s, 1 + (int)draw(220), 1 + (int)draw(70))))
		die("no memory");
}

static void fuzz_app(double seconds, const char *guest)
{
	double until = now_s() + seconds;
	unsigned long frames = 0, lives = 0;
	struct world w;

	while (now_s() < until) {
		begin(&w, guest);
		lives++;
		for (unsigned n = 0; n < 4000 && !app_quit(w.app) && now_s() < until; n++, step++) {
			uint64_t what = draw(40);
			struct key_event k;

			if (what == 0) {
				resize(&w.screen);
			} else if (what < 6) {
				command(w.app);
			} else {
				k = any_key(&w.screen);
				app_key(w.app, &k);
			}
			/* What can be seen, mostly: below the minimum nothing but q works. */
			if (w.screen.w < APP_MIN_W && draw(4) == 0)
				screen_resize(&w.screen, 80, 24);
			if (app_dirty(w.app) || draw(4) == 0) {
				app_draw(w.app, &w.screen);
				check(&w);
				frames++;
			}
		}
		end(&w);
	}
	printf("tui_fuzz: seed %llu: %llu steps, %lu frames, %lu lives\n", seed, step, frames, lives);
}

/* --- on a terminal ------------------------------------------------------------------------------------------------ */
static size_t any_bytes(char *buf)
{
	static const char *const known[] = {"\033[A", "\033[B", "\033[5~", "\033[6~", "\033OP", "\033[17~", "\033",
	    "\r", "\t", "\033[Z", "\033[M !!", "\033[<0;10;5M", "\033[<64;10;5M", "\003", "\014", "\177",
	    "\xe2\x82\xac", "\xff\xfe", ":step exit 3\r", ":run\r", ":view machine\r", "\\exit_reason == 1\r", "/a\r",
	    "\033[200~"};
	size_t n = 0;

	if (draw(2)) {
		const char *k = known[draw(ARRAY_LEN(known))];

		n = strlen(k);
		memcpy(buf, k, n);
		return n;
	}
	for (uint64_t i = 1 + draw(8); i; i--) {
		char ch = (char)draw(draw(4) ? 127 : 256);

		/* Not what ends or stops the program. */
		if (ch != 'q' && ch != 0x1a && ch != 0x1c && ch != 0x13)
			buf[n++] = ch;
	}
	return n;
}

/* Reads what there is; false: the other side has gone. */
static bool listen_to(int fd, int ms)
{
	struct pollfd p = {fd, POLLIN, 0};
	char buf[65536];

	while (poll(&p, 1, ms) > 0) {
		if (read(fd, buf, sizeof(buf)) <= 0)
			return false;
		ms = 0;
	}
	return true;
}

static pid_t run_in_terminal(const char *vmscope, const char *guest, int *fd, int *tty)
{
	struct winsize ws = {.ws_row = 24, .ws_col = 80};
	pid_t pid;

	if (openpty(fd, tty, NULL, NULL, &ws) < 0)
		die(strerror(errno));
	pid = fork();
	if (pid < 0)
		die(strerror(errno));
	if (!pid) {
		setsid();
		ioctl(*tty, TIOCSCTTY, 0);
		for (int i = 0; i < 2; i++)
			dup2(*tty, i);
		close(*fd);
		setenv("TERM", draw(2) ? "xterm" : "linux", 1);
		setenv("LC_ALL", draw(2) ? "C.UTF-8" : "C", 1);
		execl(vmscope, vmscope, "tui", "--config", "-", guest, (char *)NULL);
		_exit(126);
	}
	return pid;
}

static void one_life(const char *vmscope, const char *guest, double until)
{
	int fd, tty, status;
	struct termios before, after;
	pid_t pid = run_in_terminal(vmscope, guest, &fd, &tty);
	char buf[64];
	bool dead = false;

	tcgetattr(tty, &before);
	listen_to(fd, 2000);
	for (unsigned n = 0; n < 1500 && !dead && now_s() < until; n++, step++) {
		size_t k = any_bytes(buf);

		if (draw(30) == 0) {
			struct winsize ws = {
			    .ws_row = (unsigned short)(1 + draw(60)), .ws_col = (unsigned short)(1 + draw(210))};

			if (draw(2))
				ws = (struct winsize){.ws_row = 24, .ws_col = 80};
			ioctl(fd, TIOCSWINSZ, &ws);
		}
		if (write(fd, buf, k) < 0)
			break;
		listen_to(fd, 2);
		dead = waitpid(pid, &status, WNOHANG) == pid;
	}
	if (!dead) {
		kill(pid, SIGTERM);
		for (int i = 0; i < 2000 && !dead; i++) {
			listen_to(fd, 10);
			dead = waitpid(pid, &status, WNOHANG) == pid;
		}
	}
	snprintf(last, sizeof(last), "a life on a terminal");
	if (!dead) {
		kill(pid, SIGKILL);
		die("it does not end");
	}
	if (!(WIFEXITED(status) && (!WEXITSTATUS(status) || WEXITSTATUS(status) == 143)) &&
	    !(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM)) {
		snprintf(last, sizeof(last), "wait status %#x", (unsigned)status);
		die("it did not end in order");
	}
	if (tcgetattr(tty, &after) < 0 || before.c_lflag != after.c_lflag || before.c_iflag != after.c_iflag ||
	    before.c_oflag != after.c_oflag || memcmp(before.c_cc, after.c_cc, sizeof(before.c_cc)) != 0)
		die("the terminal is not as it was");
	close(fd);
	close(tty);
}

int main(int argc, char **argv)
{
	bool terminal = argc > 4 && !strcmp(argv[3], "--terminal");
	const char *guest = terminal ? (argc > 5 ? argv[5] : "timer") : argc > 3 ? argv[3] : "timer";
	char dir[] = "/tmp/vmscope-fuzz-XXXXXX", clean[64];
	char *vmscope = terminal ? realpath(argv[4], NULL) : NULL;
	double seconds = argc > 2 ? atof(argv[2]) : 0;

	if (argc < 3 || seconds <= 0 || (terminal && !vmscope)) {
		fputs("usage: tui_fuzz SEED SECONDS [--terminal VMSCOPE] [GUEST]\n", stderr);
		return 2;
	}
	seed = strtoull(argv[1], NULL, 0);
	rng = seed * 0x9e3779b97f4a7c15ull + 1;
	if (!mkdtemp(dir) || chdir(dir) < 0)
		die(strerror(errno));
	if (terminal) {
		double until = now_s() + seconds;

		while (now_s() < until)
			one_life(vmscope, guest, until);
		printf("tui_fuzz: seed %llu: %llu inputs on a terminal\n", seed, step);
	} else {
		fuzz_app(seconds, guest);
	}
	free(vmscope);
	snprintf(clean, sizeof(clean), "rm -rf %s", dir);
	return system(clean) ? 1 : 0;
}
