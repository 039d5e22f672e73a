/*
 * Run control as commands. What runs in the engine's thread reports later (take_result() in app.c); without a thread it
 * is over when the command returns.
 */
#include "tui/app_impl.h"

#include <stdlib.h>
#include <string.h>

#define STEP_MS 100

static enum err go(struct app *a, enum engine_verb verb, uint64_t n, struct errmsg *why)
{
	struct errmsg later = {""};
	enum err e = app_needs_engine(a, why), ignored;

	if (e != ERR_OK)
		return e;
	/* Who types "s s s" means three steps: one that is under way is soon over. */
	if (!a->turbo && !engine_wait(a->cfg.engine, STEP_MS))
		return err_set(why, ERR_BUSY, "the guest is running: p or C-c pauses it");
	/* Who drives the guest wants to see where it comes to; what was said was about where it was. */
	a->following = true;
	a->message[0] = '\0';
	e = engine_do(a->cfg.engine, verb, n, why);
	a->was_busy = engine_busy(a->cfg.engine);
	if (!a->was_busy && e == ERR_OK)
		while (engine_result(a->cfg.engine, &ignored, &later))
			if (ignored != ERR_OK)
				e = err_set(why, ignored, "%s", later.text);
	return e;
}

static enum err go_n(struct app *a, enum engine_verb verb, const char *args, struct errmsg *why)
{
	uint64_t n;
	enum err e = app_number(args, 1, &n, why);

	if (e == ERR_OK && !n)
		e = err_set(why, ERR_RANGE, "a number of steps is at least 1");
	return e != ERR_OK ? e : go(a, verb, n, why);
}

static enum err go_plain(struct app *a, enum engine_verb verb, const char *args, struct errmsg *why)
{
	enum err e = app_no_args(args, why);

	return e != ERR_OK ? e : go(a, verb, 0, why);
}

#define PLAIN(name, verb)                                                                               \
	static enum err cmd_##name(struct app *a, struct view *v, const char *args, struct errmsg *why) \
	{                                                                                               \
		(void)v;                                                                                \
		return go_plain(a, verb, args, why);                                                    \
	}
#define COUNTED(name, verb)                                                                             \
	static enum err cmd_##name(struct app *a, struct view *v, const char *args, struct errmsg *why) \
	{                                                                                               \
		(void)v;                                                                                \
		return go_n(a, verb, args, why);                                                        \
	}
PLAIN(run, ENGINE_RUN)
PLAIN(over, ENGINE_STEP_OVER)
PLAIN(finish, ENGINE_FINISH)
PLAIN(back_break, ENGINE_BACK_BREAK)
PLAIN(restart, ENGINE_RESTART)
COUNTED(step, ENGINE_STEP_INSN)
COUNTED(back, ENGINE_BACK_INSN)

/* In a recorded trace, to step means to look at the next exit. */
static enum err exits(struct app *a, enum engine_verb verb, int dir, const char *args, struct errmsg *why)
{
	uint64_t n;
	enum err e = app_number(args, 1, &n, why);

	if (a->cfg.engine)
		return go_n(a, verb, args, why);
	for (; n && e == ERR_OK; n--)
		e = app_select_dir(a, dir, why);
	return e;
}

static enum err cmd_step_exit(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)v;
	return exits(a, ENGINE_STEP_EXIT, 1, args, why);
}

static enum err cmd_back_exit(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)v;
	return exits(a, ENGINE_BACK_EXIT, -1, args, why);
}

static enum err cmd_goto_exit(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	uint64_t k;

	(void)v;
	if (!app_parse_u64(args, &k))
		return err_set(why, ERR_INVAL, "goto exit K: the number of an exit, from 0, not '%s'", args);
	return a->cfg.engine ? go(a, ENGINE_GOTO_EXIT, k, why) : app_select_number(a, k, why);
}

static enum err cmd_goto_insn(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	uint64_t n;

	(void)v;
	if (!app_parse_u64(args, &n))
		return err_set(why, ERR_INVAL, "goto insn N: a number of instructions, not '%s'", args);
	return go(a, ENGINE_GOTO_INSN, n, why);
}

static const char *reason_word(struct app *a, struct view *v, unsigned i)
{
	(void)a;
	(void)v;
	return app_reason_word(i);
}

static enum err cmd_vmexit(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	uint64_t reason;
	enum err e = app_reason(args, &reason, why);

	(void)v;
	if (e != ERR_OK)
		return e;
	return a->cfg.engine ? go(a, ENGINE_TO_REASON, reason, why) : app_select_reason(a, (uint32_t)reason, why);
}

static enum err cmd_pause(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	enum err e = app_needs_engine(a, why);

	(void)v;
	(void)args;
	if (e != ERR_OK)
		return e;
	a->turbo = false;
	if (!engine_busy(a->cfg.engine))
		app_message(a, "the guest stands still; c lets it run");
	engine_pause(a->cfg.engine);
	return ERR_OK;
}

static enum err cmd_turbo(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	enum err e;

	(void)v;
	if (app_running(a)) {
		a->turbo = !a->turbo;
		return app_no_args(args, why);
	}
	e = go_plain(a, ENGINE_RUN, args, why);
	a->turbo = e == ERR_OK && app_running(a);
	if (a->turbo)
		app_message(a, "turbo: the guest runs and nothing is drawn; t draws again, p pauses");
	return e;
}

static enum err cmd_slow(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	uint64_t n;
	enum err e = app_number(args, 4, &n, why);

	(void)v;
	if (e == ERR_OK && !n)
		e = err_set(why, ERR_RANGE, "slow N: at least 1 instruction a second");
	return e != ERR_OK ? e : go(a, ENGINE_SLOW, n, why);
}

static enum err cmd_open(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	enum err e = app_needs_engine(a, why);

	(void)v;
	if (e != ERR_OK)
		return e;
	if (!*args)
		return err_set(
		    why, ERR_INVAL, "open GUEST [OPTIONS], as on the command line: open timer --controls all");
	/* Who types "s s s" means three steps: one that is under way is soon over. */
	if (!a->turbo && !engine_wait(a->cfg.engine, STEP_MS))
		return err_set(why, ERR_BUSY, "the guest is running: p or C-c pauses it");
	e = engine_load(a->cfg.engine, args, why);
	/* What the views copied is about the guest that was, and so are its symbols. */
	app_collect_all(a);
	if (e != ERR_OK)
		return e;
	a->n_marks = 0;
	a->vcpu = 0;
	a->following = true;
	app_message(a, "%s stands at its first instruction", args);
	return ERR_OK;
}

/* --- console input ---------------------------------------------------------------------------------------------- */
static int hex_digit(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	ch = (char)(ch | 0x20);
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* "\n" and "\x1b" as the command line's --keys has them; out has room for strlen(t). */
static size_t unescape(const char *t, char *out)
{
	static const char from[] = "nrte\\", to[] = "\n\r\t\x1b\\";
	const char *p;
	size_t n = 0;

	for (; *t; t++) {
		if (t[0] == '\\' && t[1] && (p = strchr(from, t[1]))) {
			out[n++] = to[p - from];
			t++;
		} else if (t[0] == '\\' && t[1] == 'x' && hex_digit(t[2]) >= 0 && hex_digit(t[3]) >= 0) {
			out[n++] = (char)(hex_digit(t[2]) << 4 | hex_digit(t[3]));
			t += 3;
		} else {
			out[n++] = *t;
		}
	}
	return n;
}

static enum err cmd_type(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	char bytes[LINE_MAX_BYTES];
	enum err e = app_needs_engine(a, why);

	(void)v;
	if (e != ERR_OK)
		return e;
	if (!*args)
		return err_set(why, ERR_INVAL, "type TEXT: what the guest reads, with \\n, \\r, \\t, \\e, \\xHH");
	return engine_type(a->cfg.engine, bytes, unescape(args, bytes), why);
}

const struct command app_commands_run[] = {
    {"step", "[N]", "Executes an instruction.", cmd_step, NULL},
    {"step exit", "[N]", "Runs to the next exit.", cmd_step_exit, NULL},
    {"over", "", "Executes an instruction; a call, INT n or REP as one.", cmd_over, NULL},
    {"finish", "", "Runs until the function has returned.", cmd_finish, NULL},
    {"run", "", "Runs until a breakpoint or the end.", cmd_run, NULL},
    {"continue", "", "Runs until a breakpoint or the end.", cmd_run, NULL},
    {"pause", "", "Stops what runs.", cmd_pause, NULL},
    {"vmexit", "REASON", "Runs to the next exit of a reason, by number or name.", cmd_vmexit, reason_word},
    {"back", "[N]", "Goes back an instruction.", cmd_back, NULL},
    {"back exit", "[N]", "Goes back an exit.", cmd_back_exit, NULL},
    {"back break", "", "Goes back to where a breakpoint would have stopped.", cmd_back_break, NULL},
    {"goto exit", "K", "Goes to exit K, back or forward.", cmd_goto_exit, NULL},
    {"goto insn", "N", "Goes to where N instructions have been executed.", cmd_goto_insn, NULL},
    {"turbo", "", "Runs without drawing.", cmd_turbo, NULL},
    {"slow", "[N]", "Runs N instructions a second (4).", cmd_slow, NULL},
    {"restart", "", "Goes to the first instruction.", cmd_restart, NULL},
    {"open", "GUEST [OPTIONS]", "Loads another guest, as on the command line.", cmd_open, NULL},
    {"type", "TEXT", "Console input for the guest, with \\n, \\r, \\t, \\e, \\xHH.", cmd_type, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
