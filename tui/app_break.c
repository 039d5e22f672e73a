/*
 * Breakpoints as commands: what a person writes becomes a struct breakpoint of session/control.h.
 */
#include "tui/app_impl.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tracer/symbols.h"

/* As the machine view shows addresses: hexadecimal, "0x" or not. */
static bool hexadecimal(const char *text, uint64_t *out)
{
	char *end;

	if (!isxdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*out = strtoull(text, &end, 16);
	return !*end && !errno;
}

/* "0x1000", "1000", "main", "main+12". */
static enum err address(struct app *a, const char *text, uint64_t *out, struct errmsg *why)
{
	const struct symbols *syms = app_symbols(a);
	char name[128];
	const char *plus = strchr(text, '+');
	uint64_t offset = 0;

	snprintf(name, sizeof(name), "%.*s", plus ? (int)(plus - text) : (int)strlen(text), text);
	if (plus && !hexadecimal(plus + 1, &offset))
		return err_set(why, ERR_INVAL, "'%s' is not a hexadecimal number (12, 0x1000)", plus + 1);
	if (!(syms && symbols_by_name(syms, name, out)) && !hexadecimal(name, out))
		return err_set(why, ERR_NOENT, "no symbol '%s'%s; an address is a hexadecimal number or a symbol", name,
		    syms ? "" : ": this guest has none");
	*out += offset;
	return ERR_OK;
}

/* "lo" or "lo-hi". */
static enum err range(struct app *a, const char *text, bool symbols, struct breakpoint *b, struct errmsg *why)
{
	char lo[128];
	const char *dash = strchr(text, '-'), *hi = dash ? dash + 1 : NULL;
	enum err e;

	if (dash && (size_t)(dash - text) < sizeof(lo)) {
		memcpy(lo, text, (size_t)(dash - text));
		lo[dash - text] = '\0';
	} else {
		snprintf(lo, sizeof(lo), "%s", text);
	}
	if (symbols) {
		e = address(a, lo, &b->lo, why);
		if (e == ERR_OK && hi)
			e = address(a, hi, &b->hi, why);
	} else {
		bool good = app_parse_u64(lo, &b->lo) && (!hi || app_parse_u64(hi, &b->hi));

		e = good ? ERR_OK
			 : err_set(why, ERR_INVAL,
			       "'%s' is no number or range; hexadecimal ones begin with 0x (0x60, 0x60-0x64)", text);
	}
	if (!hi)
		b->hi = b->lo;
	if (e == ERR_OK && b->hi < b->lo)
		e = err_set(why, ERR_RANGE, "'%s' ends before it begins", text);
	return e;
}

static enum err direction(const char *word, const char *rd, const char *wr, struct breakpoint *b, struct errmsg *why)
{
	if (!*word || !strcmp(word, "rw"))
		b->access = 0;
	else if (!strcmp(word, rd) || !strcmp(word, "r"))
		b->access = BREAK_READ;
	else if (!strcmp(word, wr) || !strcmp(word, "w"))
		b->access = BREAK_WRITE;
	else
		return err_set(why, ERR_INVAL, "'%s' or '%s', not '%s'", rd, wr, word);
	return ERR_OK;
}

static const char usage[] = "break ADDR|SYMBOL, insn ADDR, exit REASON, port P[-Q] [in|out], msr M [r|w] or "
			    "mem ADDR[-ADDR] [r|w]";

static enum err parse(struct app *a, const char *args, struct breakpoint *b, struct errmsg *why)
{
	static const char *const kinds[BREAK_KINDS] = {"insn", "exit", "port", "msr", "mem"};
	char what[128], first[128];
	struct errmsg ignore;
	unsigned kind = 0;
	enum err e;

	snprintf(b->text, sizeof(b->text), "%s", args);
	if (!app_word(&args, what, sizeof(what)))
		return err_set(why, ERR_INVAL, "%s", usage);
	while (kind < BREAK_KINDS && strcmp(what, kinds[kind]) != 0)
		kind++;
	if (kind == BREAK_KINDS) { /* an address alone, as gdb takes it */
		b->kind = BREAK_INSN;
		e = *args ? err_set(why, ERR_INVAL, "%s", usage) : range(a, what, true, b, why);
		if (e != ERR_OK && !isdigit((unsigned char)what[0]) && app_reason(what, &b->lo, &ignore) == ERR_OK)
			e = err_set(why, e, "%s is an exit reason: break exit %s", what, what);
		return e;
	}
	b->kind = (enum break_kind)kind;
	if (b->kind == BREAK_EXIT)
		return app_reason(args, &b->lo, why);
	if (!app_word(&args, first, sizeof(first)))
		return err_set(why, ERR_INVAL, "%s", usage);
	e = range(a, first, b->kind == BREAK_INSN || b->kind == BREAK_MEM, b, why);
	if (e != ERR_OK || b->kind == BREAK_INSN)
		return e != ERR_OK ? e : app_no_args(args, why);
	if (b->kind == BREAK_PORT && b->hi > 0xffff)
		return err_set(why, ERR_RANGE, "ports are 0 to 0xffff");
	return direction(args, b->kind == BREAK_PORT ? "in" : "r", b->kind == BREAK_PORT ? "out" : "w", b, why);
}

/* On success the engine is held. */
static enum err hold(struct app *a, struct control **c, struct errmsg *why)
{
	if (!engine_hold(a->cfg.engine))
		return err_set(why, ERR_BUSY, "the guest is under way to somewhere: C-c stops it there");
	*c = engine_control(a->cfg.engine);
	if (*c)
		return ERR_OK;
	engine_release(a->cfg.engine);
	return err_set(why, ERR_UNSUPPORTED, "there is no guest now: :open GUEST loads one");
}

static enum err cmd_break(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct breakpoint b = {0};
	struct control *c;
	enum err e = app_needs_engine(a, why);

	(void)v;
	if (e == ERR_OK)
		e = parse(a, args, &b, why);
	if (e == ERR_OK)
		e = hold(a, &c, why);
	if (e != ERR_OK)
		return e;
	e = control_break_add(c, &b, why);
	engine_release(a->cfg.engine);
	if (e == ERR_OK)
		app_message(a, "breakpoint %u: %s", b.id, b.text);
	return e;
}

static enum err cmd_list(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	enum err e = app_needs_engine(a, why);
	const struct breakpoint *b;
	struct control *c;
	char *text = NULL;
	size_t size;
	FILE *f;

	(void)v;
	(void)args;
	if (e == ERR_OK)
		e = hold(a, &c, why);
	if (e != ERR_OK)
		return e;
	f = open_memstream(&text, &size);
	if (!f) {
		engine_release(a->cfg.engine);
		return err_set(why, ERR_NOMEM, "no memory for the list");
	}
	fputs("Breakpoints\n", f);
	if (!control_break_at(c, 0))
		fputs("  none is set\n", f);
	for (unsigned i = 0; (b = control_break_at(c, i)); i++)
		fprintf(f, "  %3u  %-48s  %llu hit%s%s\n", b->id, b->text, (unsigned long long)b->hits,
		    b->hits == 1 ? "" : "s", b->disabled ? "  disabled" : "");
	engine_release(a->cfg.engine);
	fprintf(f, "\n  %s\n  break delete N, break enable N, break disable N\n", usage);
	if (fclose(f)) {
		free(text);
		return err_set(why, ERR_NOMEM, "no memory for the list");
	}
	return app_pager_show(a, text, why);
}

/* op: 0 remove, 1 enable, 2 disable. */
static enum err change(struct app *a, const char *args, unsigned op, struct errmsg *why)
{
	enum err e = app_needs_engine(a, why);
	struct control *c;
	uint64_t id;

	if (e != ERR_OK)
		return e;
	if (!app_parse_u64(args, &id) || id > CONTROL_BREAKS_MAX * 1000000ull)
		return err_set(why, ERR_INVAL, "'%s' is not the number of a breakpoint; 'break list' shows them", args);
	e = hold(a, &c, why);
	if (e != ERR_OK)
		return e;
	e = op ? control_break_enable(c, (unsigned)id, op == 1) : control_break_remove(c, (unsigned)id);
	engine_release(a->cfg.engine);
	return e == ERR_OK ? e : err_set(why, e, "there is no breakpoint %s; 'break list' shows them", args);
}

static enum err cmd_delete(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)v;
	return change(a, args, 0, why);
}

static enum err cmd_enable(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)v;
	return change(a, args, 1, why);
}

static enum err cmd_disable(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)v;
	return change(a, args, 2, why);
}

/* Kinds, then reasons, then symbols: one list, of which the words that fit are shown. */
static const char *break_word(struct app *a, struct view *v, unsigned i)
{
	static const char *const kinds[] = {
	    "insn", "exit", "port", "msr", "mem", "list", "delete", "enable", "disable"};
	unsigned reasons = 0;
	uint64_t addr;

	(void)v;
	if (i < ARRAY_LEN(kinds))
		return kinds[i];
	i -= (unsigned)ARRAY_LEN(kinds);
	if (app_reason_word(i))
		return app_reason_word(i);
	while (app_reason_word(reasons))
		reasons++;
	return app_symbols(a) ? symbols_at(app_symbols(a), i - reasons, &addr) : NULL;
}

const struct command app_commands_break[] = {
    {"break", "ADDR|SYMBOL|insn A|exit R|port P|msr M|mem A", "Sets a breakpoint.", cmd_break, break_word},
    {"break list", "", "Shows the breakpoints.", cmd_list, NULL},
    {"break delete", "N", "Removes one.", cmd_delete, NULL},
    {"break enable", "N", "Lets one stop the guest again.", cmd_enable, NULL},
    {"break disable", "N", "Keeps one, without stopping there.", cmd_disable, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
