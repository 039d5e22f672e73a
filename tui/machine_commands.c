/* What the machine view can be told: where to look, which panel, a breakpoint at the cursor. */
#include "tui/machine_commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- Addresses --------------------------------------------------------------------------------------------------- */

static bool number(const char *text, uint64_t *v)
{
	char *end;

	if (!strchr("0123456789abcdefABCDEF", text[0]) || !text[0])
		return false;
	*v = strtoull(text, &end, 16);
	return !*end;
}

enum err machine_address(const struct machine_state *m, const char *text, uint64_t *addr, struct errmsg *why)
{
	const char *sign = strpbrk(text, "+-");
	char word[128];
	uint64_t offset = 0;

	if (snprintf(word, sizeof word, "%.*s", sign ? (int)(sign - text) : (int)strlen(text), text) >=
	    (int)sizeof word)
		return err_set(why, ERR_INVAL, "an address, register or symbol of at most 127 characters");
	if (sign && !number(sign + 1, &offset))
		return err_set(why, ERR_INVAL, "'%s': after + and - comes a hexadecimal number", text);
	if (!machine_register(&m->s, word, addr) && !symbols_by_name(m->syms, word, addr) && !number(word, addr))
		return err_set(why, ERR_NOENT, "'%s' is no address (hexadecimal), register or symbol%s", word,
		    m->syms ? "" : " (the guest's image has no symbols)");
	*addr += sign && *sign == '-' ? 0 - offset : offset;
	return ERR_OK;
}

static enum err need_state(const struct machine_state *m, struct errmsg *why)
{
	if (m->have)
		return ERR_OK;
	return err_set(why, ERR_UNSUPPORTED, "%s", m->why[0] ? m->why : "there is no machine state here");
}

/* --- Panels ------------------------------------------------------------------------------------------------------ */

static void focus_first(struct machine_state *m, int w, int h)
{
	struct machine_pane panes[MACHINE_PANES_MAX];
	unsigned n;

	m->zoom = false;
	n = machine_layout(m, w, h, panes);
	if (n)
		m->focus = panes[0].id;
}

void machine_page_select(struct machine_state *m, unsigned page, int w, int h)
{
	m->page = page % machine_pages(w, h);
	focus_first(m, w, h);
}

/* The size that the view was drawn at; before that, the smallest. */
static void size_of(const struct view *v, int *w, int *h)
{
	*w = v->at.w > 0 ? v->at.w : 80;
	*h = v->at.h > 1 ? v->at.h - 1 : 20;
}

static void show(struct machine_state *m, const struct view *v, enum machine_panel_id id)
{
	struct machine_pane panes[MACHINE_PANES_MAX];
	unsigned n;
	int w, h;

	size_of(v, &w, &h);
	m->focus = id;
	n = machine_layout(m, w, h, panes);
	for (unsigned i = 0; i < n; i++)
		if (panes[i].id == id)
			return;
	m->zoom = false;
	m->page = machine_page_of(id, w, h);
}

static enum err cmd_panel(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct machine_state *m = v->state;
	unsigned n;
	int w, h;

	(void)a;
	size_of(v, &w, &h);
	n = machine_pages(w, h);
	if (strcmp(args, "next") == 0 || strcmp(args, "prev") == 0) {
		machine_page_select(m, m->page % n + (args[0] == 'n' ? 1 : n - 1), w, h);
		return ERR_OK;
	}
	if (strcmp(args, "zoom") == 0) {
		m->zoom = !m->zoom;
		if (!m->zoom)
			show(m, v, m->focus);
		return ERR_OK;
	}
	for (unsigned i = 0; i < PANEL_COUNT; i++)
		if (strcasecmp(args, machine_panels[i].name) == 0) {
			show(m, v, (enum machine_panel_id)i);
			return ERR_OK;
		}
	for (unsigned i = 0; i < n; i++)
		if (strcasecmp(args, machine_page_name(w, h, i)) == 0) {
			machine_page_select(m, i, w, h);
			return ERR_OK;
		}
	return err_set(why, ERR_INVAL,
	    "panel: no panel or page '%s' (code, registers, stack, walk, devices, ...; next, prev, zoom)", args);
}

static const char *panel_word(struct app *a, struct view *v, unsigned i)
{
	static const char *const others[] = {"next", "prev", "zoom", "paging"};

	(void)a, (void)v;
	if (i < PANEL_COUNT)
		return machine_panels[i].name;
	return i - PANEL_COUNT < ARRAY_LEN(others) ? others[i - PANEL_COUNT] : NULL;
}

static enum err cmd_focus(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct machine_state *m = v->state;
	struct machine_pane panes[MACHINE_PANES_MAX];
	unsigned n, at = 0;
	int w, h;

	(void)a;
	if (strcmp(args, "next") != 0 && strcmp(args, "prev") != 0)
		return err_set(why, ERR_INVAL, "focus next or focus prev, not '%s'", args);
	size_of(v, &w, &h);
	m->zoom = false;
	n = machine_layout(m, w, h, panes);
	for (unsigned i = 0; i < n; i++)
		if (panes[i].id == m->focus)
			at = i;
	m->focus = panes[(at + (args[0] == 'n' ? 1 : n - 1)) % n].id;
	return ERR_OK;
}

/* --- Where to look ----------------------------------------------------------------------------------------------- */

static enum err cmd_memory(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct machine_state *m = v->state;
	bool physical = strncmp(args, "phys ", 5) == 0;
	enum err e = need_state(m, why);

	(void)a;
	if (e == ERR_OK)
		e = machine_address(m, args + (physical ? 5 : 0), &m->user_addr, why);
	if (e != ERR_OK)
		return e;
	m->user_memory = true;
	m->user_physical = physical;
	m->shift[PANEL_MEMORY] = 0;
	show(m, v, PANEL_MEMORY);
	return ERR_OK;
}

static enum err cmd_code(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct machine_state *m = v->state;
	enum err e = need_state(m, why);
	uint64_t addr;

	(void)a;
	if (e == ERR_OK)
		e = machine_address(m, args, &addr, why);
	if (e != ERR_OK)
		return e;
	m->code.at = addr;
	show(m, v, PANEL_CODE);
	return ERR_OK;
}

static enum err cmd_walk(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	static const struct {
		const char *name;
		unsigned how;
	} words[] = {{"read", X86_ACCESS_READ}, {"write", X86_ACCESS_WRITE}, {"fetch", X86_ACCESS_FETCH}};
	struct machine_state *m = v->state;
	unsigned how = X86_ACCESS_READ;
	bool user = m->have && x86_cpl(&m->s) == 3;
	char copy[160], *save = NULL, *address, *word;
	enum err e = need_state(m, why);
	uint64_t addr;

	(void)a;
	snprintf(copy, sizeof copy, "%s", args);
	address = strtok_r(copy, " ", &save);
	if (e != ERR_OK)
		return e;
	if (!address) { /* of RIP again */
		m->user_walk = false;
		show(m, v, PANEL_WALK);
		return ERR_OK;
	}
	while ((word = strtok_r(NULL, " ", &save))) {
		bool known = strcmp(word, "user") == 0 || strcmp(word, "super") == 0;

		user = known ? word[0] == 'u' : user;
		for (size_t i = 0; i < ARRAY_LEN(words); i++)
			if (strcmp(word, words[i].name) == 0) {
				how = words[i].how;
				known = true;
			}
		if (!known)
			return err_set(
			    why, ERR_INVAL, "walk ADDRESS read, write or fetch, by user or super; not '%s'", word);
	}
	e = machine_address(m, address, &addr, why);
	if (e != ERR_OK)
		return e;
	m->user_walk = true;
	m->walk_addr = addr;
	m->walk_how = how;
	m->walk_user = user;
	m->scroll[PANEL_WALK] = (struct machine_scroll){0, 0};
	show(m, v, PANEL_WALK);
	return ERR_OK;
}

static enum err cmd_follow(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct machine_state *m = v->state;

	(void)a;
	if (strcmp(args, "off") == 0) {
		m->code.follow = false;
		return ERR_OK;
	}
	if (args[0] && strcmp(args, "on") != 0)
		return err_set(why, ERR_INVAL, "follow rip on or off, not '%s'", args);
	m->code.follow = true;
	m->code.at = m->ip;
	show(m, v, PANEL_CODE);
	return ERR_OK;
}

static enum err cmd_break_here(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct machine_state *m = v->state;
	char line[64];
	enum err e = need_state(m, why);

	(void)args;
	if (e != ERR_OK)
		return e;
	if (!m->code.n)
		return err_set(why, ERR_UNSUPPORTED, "there is no code at the cursor");
	if (m->code.breakpoint[m->code.cursor])
		snprintf(line, sizeof line, "break delete %u", m->code.breakpoint[m->code.cursor]);
	else
		snprintf(line, sizeof line, "break insn 0x%" PRIx64, m->code.line[m->code.cursor].addr);
	return app_command(a, line, why);
}

static const char *symbol_word(struct app *a, struct view *v, unsigned i)
{
	uint64_t addr;

	(void)v;
	return symbols_at(app_symbols(a), i, &addr);
}

/* --- Enter ------------------------------------------------------------------------------------------------------- */

static enum err enter_code(struct machine_state *m, struct app *a)
{
	uint64_t target = m->code.n ? m->code.line[m->code.cursor].target : 0;

	if (target)
		m->code.at = target;
	else
		app_message(a, "no direct branch here: Enter follows branches; r goes back to RIP");
	return ERR_OK;
}

static enum err enter_stack(struct machine_state *m, struct app *a, struct errmsg *why)
{
	unsigned size = m->bits / 8, at = m->scroll[PANEL_STACK].cursor * size;
	uint64_t v = 0, offset;
	char line[40];

	if (at + size > m->memory[PANEL_STACK].done)
		return ERR_OK;
	memcpy(&v, m->memory[PANEL_STACK].bytes + at, size);
	snprintf(line, sizeof line, "%s 0x%" PRIx64, symbols_find(m->syms, v, &offset) ? "code" : "memory", v);
	return app_command(a, line, why);
}

static enum err enter_row(struct machine_state *m, struct app *a, struct errmsg *why)
{
	const struct machine_rows *rows = m->rows[m->focus];
	const struct machine_row *row = rows->n ? &rows->row[m->scroll[m->focus].cursor % rows->n] : NULL;
	const char *verb = m->focus == PANEL_TLB ? "walk" : m->focus == PANEL_TABLES ? "code" : "memory";
	char line[40];

	if (!row || !(row->address || row->physical)) {
		app_message(a, "this line has no address to follow");
		return ERR_OK;
	}
	snprintf(line, sizeof line, "%s 0x%" PRIx64, row->physical ? "memory phys" : verb, row->value);
	return app_command(a, line, why);
}

enum err machine_enter(struct app *a, struct view *v, struct errmsg *why)
{
	struct machine_state *m = v->state;
	char line[40];

	if (!m->have)
		return app_command(a, "view exit", why);
	if (m->focus == PANEL_CODE)
		return enter_code(m, a);
	if (m->focus == PANEL_STACK)
		return enter_stack(m, a, why);
	if (machine_panels[m->focus].fill)
		return enter_row(m, a, why);
	if (m->focus == PANEL_REGISTERS || !m->memory[m->focus].have || m->memory[m->focus].physical)
		return ERR_OK;
	snprintf(line, sizeof line, "walk 0x%" PRIx64, m->memory[m->focus].mark);
	return app_command(a, line, why);
}

const struct command machine_commands[] = {
    {"panel", "NAME|next|prev|zoom", "Shows a panel or page; zoom: the panel with the focus alone, and back.",
	cmd_panel, panel_word},
    {"focus", "next|prev", "The keys move in another panel of the page.", cmd_focus, NULL},
    {"memory", "[phys] ADDRESS|REGISTER|SYMBOL", "Shows memory at an address, \"rsp+8\" too.", cmd_memory, symbol_word},
    {"code", "ADDRESS|SYMBOL", "Shows the code at an address; the next step goes back to RIP.", cmd_code, symbol_word},
    {"walk", "[ADDRESS [read|write|fetch] [user|super]]", "Page walk of an address; without one, of RIP.", cmd_walk,
	symbol_word},
    {"follow rip", "[on|off]", "The cursor goes to RIP, and stays with it.", cmd_follow, NULL},
    {"break here", "", "Sets or removes a breakpoint at the cursor.", cmd_break_here, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const struct binding machine_bindings[] = {
    {".", "panel next", "Page"},
    {",", "panel prev", NULL},
    {"Right", "focus next", NULL},
    {"Left", "focus prev", NULL},
    {"z", "panel zoom", "Zoom"},
    {"x", "break here", "BrkHer"},
    {"r", "follow rip", "RIP"},
    {"m", "line memory ", "Memory"},
    {"w", "line walk ", "Walk"},
    {"d", "line code ", NULL},
    {NULL, NULL, NULL},
};
