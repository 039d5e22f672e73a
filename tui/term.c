/*
 * The terminal, by ncursesw. See term.h.
 *
 *   keys, signals (signalfd), news of the engine (its fd)  ->  poll()  ->  application  ->  screen  ->  changed cells
 *
 * newterm() and not initscr(), which ends the process when it does not know the terminal. Signals are blocked and read
 * from a file descriptor, so that nothing of curses ever runs in a signal handler; crashes are tui/crash.c's.
 */
#define NCURSES_NOMACROS
#define NCURSES_WIDECHAR 1
#include "tui/term.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <curses.h>

#include "tui/crash.h"
#include "tui/term_out.h"

#define FRAME_NS 16666667ull /* 60 a second */
#define KEYS_NS 1000000ull   /* at least so long between two frames keys are waited for */
#define ESC_MS 25	     /* how long after ESC the rest of a key may come */
#define KEYS_AT_ONCE 256     /* pasted text; then signals are looked at */
#define DOUBLE_NS 400000000ull

struct terminal {
	SCREEN *curses;
	struct term_out out;
	struct termios saved;	     /* as the terminal was */
	struct screen screen, shown; /* what is to be seen, and what curses has */
	bool all;		     /* shown is not to be trusted */
	const char *theme;
	bool mouse, default_colors;
	int cursor; /* as curs_set() was told; -1: not yet */
	int signals, ended_by;
	int click_x, click_y;
	uint64_t click_ns;
	uint64_t due_ns, frames; /* of the next frame */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Terminfo writes delays as $<5>; nobody waits in a crash. */
static size_t add_reset(char *buf, size_t n, size_t size, const char *text)
{
	if (!text || text == (const char *)-1)
		return n;
	while (*text && n < size) {
		if (text[0] == '$' && text[1] == '<' && strchr(text, '>'))
			text = strchr(text, '>') + 1;
		else
			buf[n++] = *text++;
	}
	return n;
}

static void arm_crash(const struct termios *saved)
{
	static const char *const names[] = {"rmkx", "op", "sgr0", "rmcup", "cnorm"};
	const char *mouse = tigetstr("kmous");
	char buf[256];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		n = add_reset(buf, n, sizeof(buf), tigetstr(names[i]));
	if (mouse && mouse != (const char *)-1)
		n = add_reset(buf, n, sizeof(buf), "\033[?1000l\033[?1002l\033[?1003l\033[?1006l");
	n = add_reset(buf, n, sizeof(buf), "\r\n");
	crash_arm(buf, n, saved);
}

/* --- opening --------------------------------------------------------------------------------------------------------
 */
static void signal_set(sigset_t *set)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};

	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaddset(set, signals[i]);
}

void term_block_signals(void)
{
	sigset_t set;

	signal_set(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

bool term_utf8(void)
{
	setlocale(LC_CTYPE, "");
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

/* The terminal as it calls itself; "xterm" of "xterm-new"; then what most are compatible with: a terminal too new to be
 * known here is like xterm, and its function keys would be rows of letters to a vt100. */
static SCREEN *new_terminal(FILE *out, char note[160])
{
	const char *name = getenv("TERM");
	char prefix[64];
	const char *const tries[] = {name, prefix, "xterm", "vt100", "ansi"};

	note[0] = '\0';
	snprintf(prefix, sizeof(prefix), "%.*s", name ? (int)strcspn(name, "-") : 0, name ? name : "");
	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		SCREEN *s = tries[i] && *tries[i] ? newterm(tries[i], out, stdin) : NULL;

		if (!s)
			continue;
		if (i)
			snprintf(note, 160, "TERM=%.60s is not known here; taken for %s", name ? name : "", tries[i]);
		return s;
	}
	return NULL;
}

static enum err prepare(struct terminal *t, struct errmsg *why)
{
	const char *cup = tigetstr("cup");
	sigset_t set;

	if (!cup || cup == (const char *)-1)
		return err_set(why, ERR_UNSUPPORTED,
		    "the terminal '%s' cannot place its cursor, so no screen can be drawn on it: use --batch",
		    getenv("TERM"));
	signal_set(&set);
	t->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (t->signals < 0)
		return err_set(why, ERR_IO, "signalfd: %s", strerror(errno));
	set_escdelay(ESC_MS);
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	mouseinterval(0);
	leaveok(stdscr, FALSE);
	if (has_colors()) {
		start_color();
		t->default_colors = use_default_colors() == OK;
	}
	arm_crash(&t->saved);
	t->all = true;
	t->cursor = -1;
	return screen_init(&t->screen, COLS, LINES, false) && screen_init(&t->shown, COLS, LINES, false)
		   ? ERR_OK
		   : err_set(why, ERR_NOMEM, "no memory for the screen");
}

enum err term_open(struct terminal **out, char note[160], struct errmsg *why)
{
	struct terminal *t;
	enum err e;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return err_set(why, ERR_UNSUPPORTED,
		    "standard input or output is no terminal: --batch prints the views as text, --json as data");
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(why, ERR_NOMEM, "no memory for the terminal");
	t->signals = -1;
	term_block_signals();
	tcgetattr(STDIN_FILENO, &t->saved);
	if (!term_out_open(&t->out, STDOUT_FILENO)) {
		free(t);
		return err_set(why, ERR_IO, "no descriptor for the terminal: %s", strerror(errno));
	}
	t->curses = new_terminal(t->out.file, note);
	if (!t->curses) {
		term_out_close(&t->out);
		free(t);
		return err_set(why, ERR_UNSUPPORTED,
		    "no terminal description for TERM=%.60s, nor for xterm, vt100 and ansi: set TERM, or use --batch",
		    getenv("TERM") ? getenv("TERM") : "");
	}
	e = prepare(t, why);
	if (e != ERR_OK) {
		term_close(t);
		return e;
	}
	*out = t;
	return ERR_OK;
}

void term_close(struct terminal *t)
{
	if (!t)
		return;
	endwin(); /* also when its other side has gone: then nobody hears it */
	delscreen(t->curses);
	term_out_close(&t->out);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &t->saved);
	crash_disarm();
	if (t->signals >= 0)
		close(t->signals);
	screen_fini(&t->screen);
	screen_fini(&t->shown);
	free(t);
}

int term_signal(const struct terminal *t)
{
	return t->ended_by;
}

uint64_t term_frames(const struct terminal *t)
{
	return t->frames;
}

/* --- printing -------------------------------------------------------------------------------------------------------
 */
static void set_theme(struct terminal *t, struct app *a)
{
	int colors = has_colors() ? COLORS : 0;

	t->theme = app_theme(a);
	t->all = true;
	for (unsigned s = 0; s < STYLE_COUNT && colors; s++) {
		struct paint p = theme_paint(t->theme, app_colors(a), (enum style)s, colors);

		if (!t->default_colors && p.fg < 0)
			p.fg = COLOR_WHITE;
		if (!t->default_colors && p.bg < 0)
			p.bg = COLOR_BLACK;
		init_pair((short)(s + 1), p.fg, p.bg);
	}
}

static attr_t attributes(uint8_t looks, bool reverse)
{
	attr_t at = A_NORMAL;

	if (looks & LOOK_BOLD)
		at |= A_BOLD;
	if (looks & LOOK_DIM)
		at |= A_DIM;
	if (looks & LOOK_UNDERLINE)
		at |= A_UNDERLINE;
	if (((looks & LOOK_REVERSE) != 0) != reverse)
		at |= A_REVERSE;
	return at;
}

struct pens {
	attr_t plain[STYLE_COUNT], reversed[STYLE_COUNT];
	bool color;
};

static void pens(struct terminal *t, struct app *a, struct pens *out)
{
	int colors = has_colors() ? COLORS : 0;

	out->color = colors;
	for (unsigned s = 0; s < STYLE_COUNT; s++) {
		struct paint p = theme_paint(t->theme, app_colors(a), (enum style)s, colors);

		out->plain[s] = attributes(p.attrs, false);
		out->reversed[s] = attributes(p.attrs, true);
	}
}

static bool same(const struct cell *a, const struct cell *b)
{
	return a->ch == b->ch && a->style == b->style && a->reverse == b->reverse;
}

/* Gives curses the cells x .. end of a row. */
static void print_run(const struct terminal *t, const struct pens *p, int y, int x, int end)
{
	const struct cell *row = t->screen.cells + (size_t)y * (size_t)t->screen.w;
	cchar_t buf[64];

	while (x < end) {
		int n = end - x < (int)ARRAY_LEN(buf) ? end - x : (int)ARRAY_LEN(buf);

		for (int i = 0; i < n; i++) {
			const struct cell *c = &row[x + i];
			wchar_t text[2] = {(wchar_t)c->ch, 0};
			unsigned s = c->style < STYLE_COUNT ? c->style : STYLE_NORMAL;

			setcchar(&buf[i], text, c->reverse ? p->reversed[s] : p->plain[s],
			    (short)(p->color ? s + 1 : 0), NULL);
		}
		mvadd_wchnstr(y, x, buf, n);
		x += n;
	}
}

static void print_changes(struct terminal *t, const struct pens *p)
{
	struct screen *s = &t->screen;

	for (int y = 0; y < s->h; y++) {
		const struct cell *now = s->cells + (size_t)y * (size_t)s->w;
		const struct cell *was = t->shown.cells + (size_t)y * (size_t)s->w;

		for (int x = 0, end; x < s->w; x = end + 1) {
			for (; !t->all && x < s->w && same(&now[x], &was[x]);)
				x++;
			for (end = x; end < s->w && (t->all || !same(&now[end], &was[end]));)
				end++;
			if (end > x)
				print_run(t, p, y, x, end);
		}
	}
	memcpy(t->shown.cells, s->cells, (size_t)s->w * (size_t)s->h * sizeof(*s->cells));
}

static void set_cursor(struct terminal *t)
{
	bool seen = t->screen.cursor_x >= 0 && t->screen.cursor_x < t->screen.w && t->screen.cursor_y >= 0 &&
		    t->screen.cursor_y < t->screen.h;

	if (t->cursor != seen) {
		curs_set(seen);
		t->cursor = seen;
	}
	if (seen)
		move(t->screen.cursor_y, t->screen.cursor_x);
	else
		move(t->screen.h - 1, t->screen.w - 1);
}

static void set_mouse(struct terminal *t, bool on)
{
	if (on == t->mouse)
		return;
	t->mouse = on;
	mousemask(on ? BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED : 0, NULL);
}

/* Each frame is due one FRAME_NS after the one before it was, however late that came, unless it came a whole one late.
 */
static void next_due(struct terminal *t, uint64_t begun)
{
	uint64_t over = now_ns();

	t->due_ns = t->due_ns + FRAME_NS > begun ? t->due_ns + FRAME_NS : begun + FRAME_NS;
	if (t->due_ns < over + KEYS_NS)
		t->due_ns = over + KEYS_NS;
	t->frames++;
}

static void frame(struct terminal *t, struct app *a)
{
	uint64_t begun = now_ns();
	struct pens p;

	t->screen.ascii = app_ascii(a);
	app_draw(a, &t->screen);
	term_out_begin(&t->out);
	set_mouse(t, app_wants_mouse(a));
	if (!t->theme || strcmp(t->theme, app_theme(a)) != 0)
		set_theme(t, a);
	if (app_take_redraw(a)) {
		t->all = true;
		clearok(curscr, TRUE);
	}
	pens(t, a, &p);
	print_changes(t, &p);
	t->all = false;
	set_cursor(t);
	refresh();
	term_out_end(&t->out);
	next_due(t, begun);
}

/* --- keys -----------------------------------------------------------------------------------------------------------
 */
static uint32_t named_key(wint_t code)
{
	static const struct {
		int code;
		uint32_t key;
	} keys[] = {{KEY_UP, KEY_N_UP}, {KEY_DOWN, KEY_N_DOWN}, {KEY_LEFT, KEY_N_LEFT}, {KEY_RIGHT, KEY_N_RIGHT},
	    {KEY_HOME, KEY_N_HOME}, {KEY_FIND, KEY_N_HOME}, {KEY_END, KEY_N_END}, {KEY_SELECT, KEY_N_END},
	    {KEY_PPAGE, KEY_N_PGUP}, {KEY_NPAGE, KEY_N_PGDN}, {KEY_IC, KEY_N_INSERT}, {KEY_DC, KEY_N_DELETE},
	    {KEY_BACKSPACE, KEY_N_BACKSPACE}, {KEY_ENTER, KEY_N_ENTER}, {KEY_BTAB, KEY_N_TAB | KEY_SHIFT},
	    {KEY_SR, KEY_N_UP | KEY_SHIFT}, {KEY_SF, KEY_N_DOWN | KEY_SHIFT}, {KEY_SLEFT, KEY_N_LEFT | KEY_SHIFT},
	    {KEY_SRIGHT, KEY_N_RIGHT | KEY_SHIFT}, {KEY_SHOME, KEY_N_HOME | KEY_SHIFT},
	    {KEY_SEND, KEY_N_END | KEY_SHIFT}};

	if (code >= (wint_t)KEY_F(1) && code <= (wint_t)KEY_F(12))
		return KEY_N_F1 + (code - (wint_t)KEY_F(1));
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (code == (wint_t)keys[i].code)
			return keys[i].key;
	return KEY_NONE;
}

static uint32_t plain_key(wint_t ch)
{
	if (ch == '\r' || ch == '\n')
		return KEY_N_ENTER;
	if (ch == '\t')
		return KEY_N_TAB;
	if (ch == 0x1b)
		return KEY_N_ESC;
	if (ch == '\b' || ch == 0x7f)
		return KEY_N_BACKSPACE;
	if (ch && ch < 0x1b)
		return KEY_CTRL | ('a' + ch - 1);
	if (ch < ' ')
		return ch ? KEY_CTRL | (ch + '@') : KEY_NONE;
	return ch < KEY_NAMED && (ch < 0x80 || ch >= 0xa0) ? ch : KEY_NONE;
}

static bool mouse_key(struct terminal *t, struct key_event *k)
{
	MEVENT m;

	if (getmouse(&m) != OK)
		return false;
	*k = (struct key_event){.key = KEY_N_MOUSE, .x = m.x, .y = m.y, .mouse = MOUSE_CLICK};
	if (m.bstate & BUTTON4_PRESSED) {
		k->mouse = MOUSE_WHEEL_UP;
	} else if (m.bstate & BUTTON5_PRESSED) {
		k->mouse = MOUSE_WHEEL_DOWN;
	} else if (m.bstate & BUTTON1_PRESSED) {
		uint64_t at = now_ns();

		if (m.x == t->click_x && m.y == t->click_y && at - t->click_ns < DOUBLE_NS) {
			k->mouse = MOUSE_DOUBLE;
			at = 0; /* a third click is a first one */
		}
		t->click_x = m.x;
		t->click_y = m.y;
		t->click_ns = at;
	} else {
		return false;
	}
	return true;
}

/* A key that terminfo does not know: the rest of its control sequence is no other keys [ECMA-48, "Control sequences"].
 * ch: '[' (CSI) or 'O' (SS3). False: nothing followed, so it was a key with Alt. */
static bool swallow_sequence(wint_t ch)
{
	bool csi = ch == '[';
	int got = get_wch(&ch);

	if (got == ERR)
		return false;
	while (got == OK && csi && ch >= 0x20 && ch < 0x40)
		got = get_wch(&ch);
	return true;
}

/* The next key that has come; false: none. */
static bool next_key(struct terminal *t, struct key_event *k)
{
	wint_t ch;
	int got = get_wch(&ch);

	*k = (struct key_event){.key = KEY_NONE};
	if (got == ERR)
		return false;
	if (got == KEY_CODE_YES) {
		if (ch != KEY_MOUSE)
			k->key = named_key(ch);
		else if (!mouse_key(t, k))
			k->key = KEY_NONE;
		return true;
	}
	k->key = plain_key(ch);
	if (k->key != KEY_N_ESC)
		return true;
	/* Alt, or a key pressed right behind ESC. */
	got = get_wch(&ch);
	if (got == OK && (ch == '[' || ch == 'O') && swallow_sequence(ch))
		k->key = KEY_NONE;
	else if (got == OK && ch != 0x1b && plain_key(ch) != KEY_NONE)
		k->key = plain_key(ch) | KEY_META;
	else if (got == KEY_CODE_YES && ch != KEY_MOUSE && ch != KEY_RESIZE && named_key(ch) != KEY_NONE)
		k->key = named_key(ch) | KEY_META;
	return true;
}

/* --- signals --------------------------------------------------------------------------------------------------------
 */
static void resized(struct terminal *t, struct app *a)
{
	struct winsize ws;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0 || !ws.ws_col || !ws.ws_row)
		return;
	resizeterm(ws.ws_row, ws.ws_col);
	if (!screen_resize(&t->screen, ws.ws_col, ws.ws_row) || !screen_resize(&t->shown, ws.ws_col, ws.ws_row))
		t->ended_by = SIGTERM; /* out of memory: in order, as far as possible */
	t->all = true;
	clearok(curscr, TRUE);
	app_key(a, &(struct key_event){.key = KEY_N_RESIZE});
}

static void back_again(struct terminal *t, struct app *a)
{
	refresh(); /* puts the terminal into curses' mode again */
	if (t->mouse) {
		set_mouse(t, false);
		set_mouse(t, true);
	}
	t->cursor = -1;
	resized(t, a);
}

static void suspend(struct terminal *t, struct app *a)
{
	endwin();
	tcsetattr(STDIN_FILENO, TCSADRAIN, &t->saved);
	raise(SIGSTOP);
	back_again(t, a);
}

static void take_signals(struct terminal *t, struct app *a)
{
	struct signalfd_siginfo si;

	while (read(t->signals, &si, sizeof(si)) == sizeof(si)) {
		switch (si.ssi_signo) {
		case SIGWINCH:
			resized(t, a);
			break;
		case SIGINT:
			app_key(a, &(struct key_event){.key = KEY_CTRL | 'c'});
			break;
		case SIGTSTP:
			suspend(t, a);
			break;
		case SIGCONT:
			back_again(t, a);
			break;
		default:
			t->ended_by = (int)si.ssi_signo;
			break;
		}
	}
}

/* --- the loop -------------------------------------------------------------------------------------------------------
 */
/* How long to wait: until the next frame may be drawn, or as long as the application has nothing to do; -1: for ever.
 */
static int64_t wait_ns(struct terminal *t, struct app *a, bool dirty)
{
	uint64_t now = now_ns();
	int ms;

	if (dirty)
		return t->due_ns > now ? (int64_t)(t->due_ns - now) : 0;
	ms = app_wait_ms(a);
	return ms < 0 ? -1 : (int64_t)ms * 1000000;
}

enum err term_run(struct terminal *t, struct app *a, struct errmsg *why)
{
	struct engine *e = app_engine(a);
	int news = e ? engine_fd(e) : -1;
	bool idle_news = false;

	while (!app_quit(a) && !t->ended_by) {
		bool dirty = app_dirty(a);
		int64_t ns = wait_ns(t, a, dirty);
		/* News that changes nothing is not asked for again before the next frame's time. */
		struct pollfd fd[] = {
		    {STDIN_FILENO, POLLIN, 0}, {t->signals, POLLIN, 0}, {idle_news && !dirty ? -1 : news, POLLIN, 0}};
		struct key_event k;

		if (app_quit(a))
			break;
		if (dirty && !ns) {
			frame(t, a);
			continue;
		}
		if (fd[2].fd < 0 && news >= 0 && (ns < 0 || ns > (int64_t)FRAME_NS))
			ns = (int64_t)FRAME_NS;
		const struct timespec timeout = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
		if (ppoll(fd, 3, ns < 0 ? NULL : &timeout, NULL) < 0 && errno != EINTR)
			return err_set(why, ERR_IO, "the terminal: %s", strerror(errno));
		idle_news = (fd[2].revents & POLLIN) != 0;
		if (fd[1].revents)
			take_signals(t, a);
		unsigned keys = 0;

		while (fd[0].revents && keys < KEYS_AT_ONCE && next_key(t, &k)) {
			app_key(a, &k);
			keys++;
		}
		/* The other side has gone, whether the signal comes or not. */
		if (!keys && (fd[0].revents & (POLLHUP | POLLERR | POLLNVAL)))
			t->ended_by = SIGHUP;
	}
	return ERR_OK;
}
