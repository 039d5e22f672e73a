/*
 * What the terminal UI costs a guest, and whether it draws 60 frames a second beside it: one guest that does nothing
 * but exit, run as "vmscope run" does, and run in the UI on a pseudo-terminal of 200x50 with the scope view shown. Both
 * are taken in turns, each in a process of its own, and the best of each count: others have the processors, too, and
 * many short runs find times when they do not. They go on until the three best of each side are as good as each other.
 *
 *   bench_tui [EXITS [PAIRS]]    PAIRS: at least
 */
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/runner.h"
#include "cli/tui_source.h"
#include "tui/app.h"
#include "tui/term.h"

#define ROWS 50
#define COLUMNS 200
#define SLOWER_MAX 1.05
#define FRAMES_MIN 57.0 /* 60, less what the clock of poll() rounds away */
#define BESTS 3
#define ALIKE 1.04    /* the best ones, of a machine that was left alone */
#define PAIRS_TIMES 6 /* so many times the pairs that are wanted at most */
#define QUIET 1.1     /* so much more time than processor time at most */
#define PAUSE_MAX_NS 50000000u
#define PAUSE_AFTER_MS 700
#define PAUSE_TIMES 16 /* longer than the others, so that the guest still runs then */

/* What a child tells: times of the guest from its first instruction to its last. */
struct sample {
	uint64_t wall_ns;
	uint64_t guest_cpu_ns; /* of the thread that runs the guest */
	uint64_t ui_cpu_ns, all_cpu_ns;
	uint64_t exits, frames, waits; /* waits: times the guest's thread gave its processor up by itself */
	uint64_t stopped_at;	       /* monotonic clock */
};

enum what { PLAIN, TUI, TUI_PAUSED };

static char append[64], guest[4096];
static int report; /* pipe to the parent */

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t waits(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return (uint64_t)u.ru_nvcsw;
}

static uint64_t process_cpu_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static void die(const char *what, const char *text)
{
	fprintf(stderr, "bench_tui: %s: %s\n", what, text);
	exit(1);
}

static void options(struct run_options *o)
{
	options_init(o);
	o->guest = guest;
	o->append = append;
}

/* Beside this program, as make builds it. */
static void find_guest(void)
{
	static const char there[] = "/guests/exits.elf";
	ssize_t n = readlink("/proc/self/exe", guest, sizeof(guest) - sizeof(there));

	for (unsigned up = 0; n > 0 && up < 3; n--)
		up += guest[n - 1] == '/';
	strcpy(guest + (n > 0 ? n : 0), there);
	if (access(guest, R_OK) != 0)
		die(guest, "is not built");
}

static void tell(const struct sample *s)
{
	if (write(report, s, sizeof(*s)) != sizeof(*s))
		die("report", "the pipe is gone");
}

/* --- the two sides, each in a child of its own ----------------------------------------------------------------------
 */

static void plain(void)
{
	const struct runner_extra none = {0};
	struct run_options o;
	struct run_result r;
	struct sample s = {0};
	uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID), all = process_cpu_ns();

	options(&o);
	const struct mode_ops *ops = modes_find(o.mode, o.type);
	if (runner_run(&o, ops, &none, &r) != ERR_OK || r.end.kind != END_DEBUG_EXIT || !r.stats)
		die("run", r.why.text[0] ? r.why.text : r.end.detail);
	s.guest_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	s.all_cpu_ns = process_cpu_ns() - all;
	s.waits = waits();
	s.wall_ns = r.wall_ns;
	s.exits = r.stats->total;
	run_result_free(&r);
	tell(&s);
}

static struct {
	struct engine_source source; /* as it was made */
	struct terminal *t;
	struct engine *e;
	uint64_t start, all;
	struct sample s;
} tui;

/* On the engine's thread, when the guest has stopped. */
static void stopped(void *arg, unsigned i, struct view_verdicts *out)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	tui.source.verdicts(arg, i, out);
	if (!tui.start || tui.s.stopped_at)
		return;
	tui.s.stopped_at = now;
	tui.s.wall_ns = now - tui.start;
	tui.s.guest_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	tui.s.all_cpu_ns = process_cpu_ns() - tui.all;
	tui.s.waits = waits();
	tui.s.frames = term_frames(tui.t);
	tui.s.exits = control_where(engine_control(tui.e))->exits;
	(void)!write(report, "", 1);
}

static void must(enum err e, const char *what, const struct errmsg *why)
{
	if (e != ERR_OK)
		die(what, why->text);
}

static void in_tui(void)
{
	struct errmsg why = {""};
	struct run_options o;
	struct tui_source *source;
	struct app_config cfg = {0};
	struct app *a;
	char note[160];
	uint64_t cpu;

	options(&o);
	must(tui_source_new(&o, &source, &why), "tui", &why);
	tui_source_fill(source, &tui.source);
	struct engine_source wrapped = tui.source;
	wrapped.verdicts = stopped;
	term_block_signals();
	cfg.ascii = !term_utf8();
	must(engine_open(&wrapped, true, &cfg.engine, &why), "engine", &why);
	tui.e = cfg.engine;
	must(app_open(&cfg, &a, &why), "app", &why);
	must(term_open(&tui.t, note, &why), "terminal", &why);
	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	tui.all = process_cpu_ns();
	tui.start = clock_ns(CLOCK_MONOTONIC);
	must(app_command(a, "run", &why), "run", &why);
	must(term_run(tui.t, a, &why), "terminal", &why);
	tui.s.ui_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	term_close(tui.t);
	app_close(a);
	engine_close(cfg.engine);
	tui_source_free(source);
	tell(&tui.s);
}

/* --- the parent -------------------------------------------------------------------------------------------------- */

static void press(int pty, const char *key)
{
	if (write(pty, key, strlen(key)) != (ssize_t)strlen(key))
		die("key", "the terminal is gone");
}

/* Reads what is drawn and what is told, and presses the keys: p after a while, q once the guest has stopped. Returns
 * when the pause was pressed. */
static uint64_t attend(enum what what, int pty, int pipe, struct sample *out)
{
	struct pollfd fd[] = {{pty, POLLIN, 0}, {pipe, POLLIN, 0}};
	char buf[65536];
	uint64_t start = clock_ns(CLOCK_MONOTONIC), pressed = 0;
	size_t got = 0;
	bool quit = false;

	while (got < sizeof(*out)) {
		poll(fd, 2, 5);
		if (what == TUI_PAUSED && !pressed &&
		    clock_ns(CLOCK_MONOTONIC) - start > PAUSE_AFTER_MS * UINT64_C(1000000)) {
			pressed = clock_ns(CLOCK_MONOTONIC);
			press(pty, "p");
		}
		if (fd[0].revents && read(pty, buf, sizeof(buf)) <= 0)
			fd[0].fd = -1;
		if (!fd[1].revents)
			continue;
		ssize_t n = read(pipe, buf, !quit && what != PLAIN ? 1 : sizeof(*out) - got);
		if (n <= 0)
			die("child", "ended without a word");
		if (!quit && what != PLAIN) {
			press(pty, "q");
			quit = true;
		} else {
			memcpy((char *)out + got, buf, (size_t)n);
			got += (size_t)n;
		}
	}
	return pressed;
}

static struct sample measure(enum what what, uint64_t *pressed)
{
	struct winsize size = {.ws_row = ROWS, .ws_col = COLUMNS};
	struct sample s;
	int pty, line, ends[2], status;

	if (openpty(&pty, &line, NULL, NULL, &size) < 0 || pipe(ends) < 0)
		die("pseudo-terminal", "none can be opened");
	pid_t child = fork();
	if (child == 0) {
		close(pty);
		close(ends[0]);
		report = ends[1];
		setsid();
		dup2(line, STDIN_FILENO);
		dup2(line, STDOUT_FILENO);
		(what == PLAIN ? plain : in_tui)();
		_exit(0);
	}
	close(line);
	close(ends[1]);
	uint64_t at = attend(what, pty, ends[0], &s);
	if (pressed)
		*pressed = at;
	if (waitpid(child, &status, 0) < 0 || status)
		die("child", "failed");
	close(pty);
	close(ends[0]);
	return s;
}

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

static void print(const char *what, const struct sample *s)
{
	printf("%-8s %6.3f s, %6.2f M exits/s; processor: %.3f s the guest's thread (%llu waits), %.2f s all", what,
	    seconds(s->wall_ns), (double)s->exits / seconds(s->wall_ns) / 1e6, seconds(s->guest_cpu_ns),
	    (unsigned long long)s->waits, seconds(s->all_cpu_ns));
	if (s->frames)
		printf(", %.2f ms a frame; %.1f frames/s", 1e3 * seconds(s->ui_cpu_ns) / (double)s->frames,
		    (double)s->frames / seconds(s->wall_ns));
	putchar('\n');
	fflush(stdout);
}

static struct {
	uint64_t wall_ns[BESTS], cpu_ns[BESTS]; /* the least of all runs, in order; 0: none yet */
	double frames;				/* the most, a second */
} best[2];

static void keep_least(uint64_t *best_ns, uint64_t ns)
{
	for (unsigned i = 0; i < BESTS; i++) {
		if (best_ns[i] == 0 || ns < best_ns[i]) {
			uint64_t worse = best_ns[i];

			best_ns[i] = ns;
			ns = worse;
		}
		if (ns == 0)
			return;
	}
}

static bool found_quiet(void)
{
	for (unsigned i = 0; i < 2; i++)
		if (!best[i].cpu_ns[BESTS - 1] || (double)best[i].cpu_ns[BESTS - 1] > ALIKE * (double)best[i].cpu_ns[0])
			return false;
	return true;
}

static double mean(const uint64_t *ns)
{
	double sum = 0;

	for (unsigned i = 0; i < BESTS; i++)
		sum += (double)ns[i];
	return sum / BESTS;
}

static void keep_best(enum what what, const struct sample *s)
{
	double frames = s->frames ? (double)(s->frames - 1) / seconds(s->wall_ns) : 0; /* one stands at each end */

	keep_least(best[what].wall_ns, s->wall_ns);
	keep_least(best[what].cpu_ns, s->guest_cpu_ns);
	if (frames > best[what].frames)
		best[what].frames = frames;
}

/* Where others have the processors, the time on the clock is theirs: then processor time alone decides. */
static bool decide(double pause_ns)
{
	double wall = mean(best[TUI].wall_ns) / mean(best[PLAIN].wall_ns);
	double cpu = mean(best[TUI].cpu_ns) / mean(best[PLAIN].cpu_ns);
	bool quiet = mean(best[PLAIN].wall_ns) < QUIET * mean(best[PLAIN].cpu_ns);
	bool slow = cpu > SLOWER_MAX || (quiet && wall > SLOWER_MAX), few = best[TUI].frames < FRAMES_MIN;
	bool late = pause_ns > PAUSE_MAX_NS;

	printf(
	    "the best %d: %.3f times the processor time of the guest's thread, %.3f times the time%s (%.2f at most)%s; "
	    "%.1f frames/s (60 wanted)%s; ",
	    BESTS, cpu, wall, quiet ? "" : ", which does not count, others have the processors", SLOWER_MAX,
	    slow ? "  TOO SLOW" : "", best[TUI].frames, few ? "  TOO FEW" : "");
	if (pause_ns < 0)
		printf("pause: not measured, the guest had ended before\n");
	else
		printf("pause answered in %.1f ms (%u at most)%s\n", pause_ns / 1e6, PAUSE_MAX_NS / 1000000u,
		    late ? "  TOO LATE" : "");
	return !slow && !few && !late;
}

int main(int argc, char **argv)
{
	unsigned long exits = argc > 1 ? strtoul(argv[1], NULL, 0) : 2000000;
	unsigned pairs = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 16;
	uint64_t pressed;

	snprintf(append, sizeof(append), "only=1 out=%lu", exits);
	find_guest();
	setenv("TERM", "xterm-256color", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	printf("the terminal UI, %dx%d, scope, beside a guest that makes %lu exits:\n", COLUMNS, ROWS, exits);
	fflush(stdout);
	for (unsigned i = 0; i < 2 * pairs || i % 2 || (i < 2 * pairs * PAIRS_TIMES && !found_quiet()); i++) {
		enum what what = (i + i / 2) % 2 ? TUI : PLAIN; /* a b, b a, a b */
		struct sample s = measure(what, NULL);

		print(what == TUI ? "TUI" : "without", &s);
		keep_best(what, &s);
	}
	snprintf(append, sizeof(append), "only=1 out=%lu", exits * PAUSE_TIMES);
	struct sample s = measure(TUI_PAUSED, &pressed);
	return !decide(pressed ? (double)s.stopped_at - (double)pressed : -1);
}
