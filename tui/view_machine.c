/*
 * View 3, the machine: everything about one vCPU at the place where it stands. This file chooses what is collected,
 * places panels on the screen, and has the commands; what a panel shows is in machine_*.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tui/machine.h"
#include "tui/machine_commands.h"
#include "tui/stats_rows.h"

static void draw_stack(struct machine_state *m, struct screen *s, const struct rect *r, bool focus)
{
	machine_draw_stack(m, s, r, focus);
}
#define MEMORY_PANEL(id, word)                                                                               \
	static void draw_##word(struct machine_state *m, struct screen *s, const struct rect *r, bool focus) \
	{                                                                                                    \
		machine_draw_memory(m, id, s, r, focus);                                                     \
	}                                                                                                    \
	static const char *subtitle_##word(const struct machine_state *m, char *buf, size_t n)               \
	{                                                                                                    \
		snprintf(buf, n, "%.*s", (int)n - 1, m->memory[id].label);                                   \
		return buf;                                                                                  \
	}
MEMORY_PANEL(PANEL_BYTES, bytes)
MEMORY_PANEL(PANEL_READ, read)
MEMORY_PANEL(PANEL_WRITE, write)
MEMORY_PANEL(PANEL_MEMORY, memory)

#define ROWS(name, title, fill)                     \
	{                                           \
		name, title, fill, NULL, NULL, NULL \
	}
#define DRAWN(name, title, draw, json, subtitle)        \
	{                                               \
		name, title, NULL, draw, json, subtitle \
	}
const struct machine_panel machine_panels[PANEL_COUNT] = {
    [PANEL_CODE] = DRAWN("code", "Code", machine_draw_code, machine_json_code, machine_code_subtitle),
    [PANEL_REGISTERS] =
	DRAWN("registers", "Registers", machine_draw_registers, machine_json_registers, machine_registers_subtitle),
    [PANEL_STACK] = DRAWN("stack", "Stack", draw_stack, machine_json_memory, NULL),
    [PANEL_BYTES] = DRAWN("bytes", "Bytes", draw_bytes, machine_json_memory, subtitle_bytes),
    [PANEL_READ] = DRAWN("read", "Read", draw_read, machine_json_memory, subtitle_read),
    [PANEL_WRITE] = DRAWN("write", "Write", draw_write, machine_json_memory, subtitle_write),
    [PANEL_MEMORY] = DRAWN("memory", "Memory", draw_memory, machine_json_memory, subtitle_memory),
    [PANEL_SEGMENTS] = ROWS("segments", "Segments", machine_fill_segments),
    [PANEL_TABLES] = ROWS("tables", "Descriptor tables", machine_fill_tables),
    [PANEL_CONTROL] = ROWS("control", "Control registers", machine_fill_control),
    [PANEL_MSRS] = ROWS("msrs", "MSRs", machine_fill_msrs),
    [PANEL_FPU] = ROWS("fpu", "x87 and SSE", machine_fill_fpu),
    [PANEL_WALK] = ROWS("walk", "Page walk", machine_fill_walk),
    [PANEL_TLB] = ROWS("tlb", "TLB", machine_fill_tlb),
    [PANEL_DEVICES] = ROWS("devices", "Devices", machine_fill_devices),
};

/* --- Opening and collecting -------------------------------------------------------------------------------------- */

static void view_close(struct app *a, struct view *v)
{
	struct machine_state *m = v->state;

	(void)a;
	for (unsigned i = 0; i < PANEL_COUNT; i++) {
		free(m->rows[i]);
		m->rows[i] = NULL;
	}
}

static enum err view_open(struct app *a, struct view *v, struct errmsg *why)
{
	struct machine_state *m = v->state;

	for (unsigned i = 0; i < PANEL_COUNT; i++)
		if (machine_panels[i].fill && !(m->rows[i] = calloc(1, sizeof *m->rows[i]))) {
			view_close(a, v);
			return err_set(why, ERR_NOMEM, "no memory for the machine view");
		}
	m->code.follow = true;
	m->walk_how = X86_ACCESS_READ;
	return ERR_OK;
}

static void collect_trace(struct machine_state *m, struct view_model *model)
{
	const struct view_exit *e = NULL;
	char name[48];
	uint64_t pos;

	m->trace = true;
	m->traced_rip = false;
	snprintf(m->why, sizeof m->why,
	    "A trace records exits, not the machine: it holds no registers and no memory. Run the guest itself to see "
	    "them (vmscope tui GUEST).");
	if (view_log_find(model, view_now(model)->selected, &pos))
		e = view_log_at(model, pos);
	if (!e)
		return;
	m->traced_rip = e->has & VIEW_HAS_RIP;
	m->trace_rip = e->rip;
	symbols_format(m->syms, e->rip, m->trace_symbol, sizeof m->trace_symbol);
	m->trace_exit = e->number;
	m->vcpu = e->vcpu;
	snprintf(m->trace_reason, sizeof m->trace_reason, "%.47s", view_exit_name(e, name, sizeof name));
}

/* False: there is no state to show. */
static bool collect_state(struct machine_state *m, struct app *a, struct view_model *model)
{
	const struct x86_state *s, *before;
	struct errmsg why = {""};

	m->vcpu = app_vcpu(a);
	view_cpu(model, m->vcpu, &m->cpu);
	s = view_cpu_state(model, m->vcpu, &why);
	if (!s) {
		snprintf(m->why, sizeof m->why, "%.*s", (int)sizeof m->why - 1, why.text);
		return false;
	}
	m->s = *s;
	before = view_cpu_before(model, m->vcpu);
	m->has_before = before != NULL;
	if (before)
		m->before = *before;
	m->remote = view_remote(model);
	m->bits = disasm_code_bits(&m->s);
	m->ip = m->bits == 64 ? m->s.rip : (uint32_t)(m->s.seg[X86_CS].base + m->s.rip);
	m->insns = view_now(model)->insns;
	m->counts_insns = view_info(model)->counts_insns;
	m->show_host = app_threaded(a);
	return true;
}

static void collect_panel(
    struct machine_state *m, struct app *a, struct view_model *model, const struct machine_pane *p)
{
	m->collected[p->id] = true;
	if (p->id == PANEL_CODE) {
		machine_collect_code(m, a, model, p->r.h - 1);
	} else if (machine_panels[p->id].fill) {
		m->rows[p->id]->n = 0;
		m->rows[p->id]->cut = false;
		machine_panels[p->id].fill(m, view_vm(model), model, m->rows[p->id]);
	} else if (p->id >= PANEL_STACK && p->id <= PANEL_MEMORY) {
		machine_collect_memory(m, model, p->id);
	}
}

/* Of the code panel; where it is not shown, of one as it is on a small screen. */
static int code_height(const struct machine_pane *panes, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (panes[i].id == PANEL_CODE)
			return panes[i].r.h - 1;
	return 12;
}

static void collect_all(struct machine_state *m, struct app *a, struct view_model *model, int w, int h)
{
	struct machine_pane panes[MACHINE_PANES_MAX];
	unsigned n;

	memset(m->collected, 0, sizeof m->collected);
	machine_collect_touches(m, model);
	n = machine_layout(m, w, h - 1, panes);
	machine_code_follow(m, code_height(panes, n));
	for (unsigned i = 0; i < n; i++)
		collect_panel(m, a, model, &panes[i]);
	/* A script or a JSON twin may ask for any of them. */
	for (unsigned i = 0; !app_threaded(a) && i < PANEL_COUNT; i++)
		if (!m->collected[i])
			collect_panel(m, a, model, &(struct machine_pane){(enum machine_panel_id)i, {0, 0, w, h / 2}});
	m->seen = true;
	m->seen_ip = m->ip;
	m->seen_insns = m->insns;
	m->seen_vcpu = m->vcpu;
}

static void view_collect(struct app *a, struct view *v, struct view_model *model, int w, int h)
{
	struct machine_state *m = v->state;

	m->syms = app_symbols(a);
	m->trace = view_info(model)->source == VIEW_TRACE;
	m->have = !m->trace && collect_state(m, a, model);
	if (m->trace)
		collect_trace(m, model);
	else if (m->have)
		collect_all(m, a, model, w, h);
	m->syms = NULL;
}

/* --- Drawing ----------------------------------------------------------------------------------------------------- */

static void draw_tabs(const struct machine_state *m, struct screen *s, const struct rect *r)
{
	unsigned n = machine_pages(r->w, r->h - 1);
	int x = r->x, end = r->x + r->w;

	for (unsigned i = 0; i < n; i++) {
		bool current = i == m->page % n;

		x += screen_printf(s, x, r->y, end - x, current ? STYLE_STRONG : STYLE_DIM, current ? "[%s] " : " %s  ",
		    machine_page_name(r->w, r->h - 1, i));
	}
	if (end - x > 20)
		screen_right(s, x, r->y, end - x, STYLE_DIM, m->zoom ? "zoomed: z goes back" : "Left Right: panel");
}

static void draw_pane(struct machine_state *m, struct screen *s, const struct rect *r, const struct machine_pane *p)
{
	const struct machine_panel *panel = &machine_panels[p->id];
	struct rect at = {r->x + p->r.x, r->y + p->r.y, p->r.w, p->r.h}, in;
	bool focus = p->id == m->focus;
	char title[160], sub[112] = "", range[40] = "";

	if (panel->subtitle)
		panel->subtitle(m, sub, sizeof sub);
	if (panel->fill && m->rows[p->id]->n > (unsigned)(at.h > 1 ? at.h - 1 : 0))
		snprintf(range, sizeof range, "%u of %u%s", m->scroll[p->id].cursor + 1, m->rows[p->id]->n,
		    m->rows[p->id]->cut ? "+" : "");
	snprintf(title, sizeof title, "%s%s%s%s%s%s", focus ? "> " : "", panel->title, sub[0] ? ": " : "", sub,
	    range[0] ? "  " : "", range);
	in = screen_section(s, &at, title);
	screen_clip(s, &in);
	if (!m->collected[p->id])
		screen_text(s, in.x, in.y, in.w, STYLE_DIM, "not in this picture yet");
	else if (panel->draw)
		panel->draw(m, s, &in, focus);
	else
		machine_rows_draw(m, p->id, s, &in, focus);
	screen_clip(s, r);
}

static void draw_missing(const struct machine_state *m, struct screen *s, const struct rect *r)
{
	struct rect text = {r->x + 2, r->y + 1, r->w - 4, r->h - 2};
	int y = text.y + screen_wrap(s, &text, 0, STYLE_NORMAL, m->why) + 1;

	if (!m->traced_rip || !m->trace)
		return;
	screen_printf(s, text.x, y, text.w, STYLE_NORMAL, "Exit #%" PRIu64 ": %s on CPU %u", m->trace_exit,
	    m->trace_reason, m->vcpu);
	screen_printf(
	    s, text.x, y + 1, text.w, STYLE_NORMAL, "RIP      %016" PRIx64 "  %s", m->trace_rip, m->trace_symbol);
	screen_text(s, text.x, y + 3, text.w, STYLE_DIM, "The exit view has all that was recorded of it.");
}

static void view_draw(struct app *a, struct view *v, struct screen *s, const struct rect *r)
{
	struct machine_state *m = v->state;
	struct machine_pane panes[MACHINE_PANES_MAX];
	struct rect body = {r->x, r->y + 1, r->w, r->h - 1};
	unsigned n;

	(void)a;
	if (!m->have) {
		draw_missing(m, s, r);
		return;
	}
	draw_tabs(m, s, r);
	n = machine_layout(m, body.w, body.h, panes);
	for (unsigned i = 0; i < n; i++) {
		draw_pane(m, s, &body, &panes[i]);
		if (panes[i].r.x > 0)
			screen_vline(s, body.x + panes[i].r.x - 1, body.y + panes[i].r.y, panes[i].r.h);
	}
}

static json_t *view_json(struct app *a, struct view *v)
{
	const struct machine_state *m = v->state;
	json_t *o = json_object(), *panels;

	(void)a;
	if (!m->have) {
		json_object_set_new(o, "why", text_json(m->why));
		if (m->trace && m->traced_rip) {
			json_object_set_new(o, "exit", json_integer((json_int_t)m->trace_exit));
			json_object_set_new(o, "reason", json_string(m->trace_reason));
			json_object_set_new(o, "rip", machine_hex(m->trace_rip));
		}
		return o;
	}
	json_object_set_new(o, "vcpu", json_integer((json_int_t)m->vcpu));
	json_object_set_new(o, "rip", machine_hex(m->ip));
	panels = json_object();
	for (unsigned i = 0; i < PANEL_COUNT; i++) {
		const struct machine_panel *p = &machine_panels[i];

		json_object_set_new(
		    panels, p->name, p->json ? p->json(m, (enum machine_panel_id)i) : machine_rows_json(m->rows[i]));
	}
	json_object_set_new(o, "panels", panels);
	return o;
}

/* --- Moving ------------------------------------------------------------------------------------------------------ */

static void move_memory(struct machine_state *m, int lines)
{
	if (lines == INT_MIN || lines == INT_MAX)
		m->shift[m->focus] = 0;
	else
		m->shift[m->focus] += (int64_t)lines * 16;
}

static void move_stack(struct machine_state *m, int lines)
{
	int64_t to = (int64_t)m->scroll[PANEL_STACK].cursor + lines, last = 5; /* as many as are always shown */

	if (lines == INT_MIN || lines == INT_MAX) {
		m->shift[PANEL_STACK] = 0;
		to = 0;
	}
	if (to < 0 || to > last) {
		m->shift[PANEL_STACK] += (to < 0 ? to : to - last) * (m->bits / 8);
		to = to < 0 ? 0 : last;
	}
	m->scroll[PANEL_STACK].cursor = (unsigned)to;
}

static void move_rows(struct machine_state *m, int lines)
{
	struct machine_scroll *at = &m->scroll[m->focus];
	int64_t to = (int64_t)at->cursor + lines, n = m->rows[m->focus]->n;

	at->cursor = (unsigned)(to < 0 || n == 0 ? 0 : to >= n ? n - 1 : to);
}

static void view_move(struct app *a, struct view *v, int lines)
{
	struct machine_state *m = v->state;

	(void)a;
	if (m->focus == PANEL_CODE)
		machine_code_move(m, lines);
	else if (m->focus == PANEL_STACK)
		move_stack(m, lines);
	else if (machine_panels[m->focus].fill)
		move_rows(m, lines);
	else if (m->focus != PANEL_REGISTERS)
		move_memory(m, lines);
}

static bool view_search(struct app *a, struct view *v, const char *text, int dir)
{
	struct machine_state *m = v->state;
	const struct machine_rows *rows = m->rows[m->focus];

	(void)a;
	if (m->focus == PANEL_CODE) {
		for (int i = (int)m->code.cursor + dir; i >= 0 && i < (int)m->code.n; i += dir)
			if (strcasestr(m->code.line[i].text, text)) {
				machine_code_move(m, i - (int)m->code.cursor);
				return true;
			}
		return false;
	}
	for (int i = (int)m->scroll[m->focus].cursor + dir; rows && i >= 0 && i < (int)rows->n; i += dir) {
		char value[24] = "";

		if (rows->row[i].digits)
			snprintf(value, sizeof value, "%0*" PRIx64, rows->row[i].digits, rows->row[i].value);
		if (strcasestr(rows->row[i].name, text) || strcasestr(rows->row[i].text, text) ||
		    strcasestr(value, text)) {
			m->scroll[m->focus].cursor = (unsigned)i;
			return true;
		}
	}
	return false;
}

static void view_click(struct app *a, struct view *v, int x, int y)
{
	struct machine_state *m = v->state;
	struct machine_pane panes[MACHINE_PANES_MAX];
	unsigned n = machine_layout(m, v->at.w, v->at.h - 1, panes);

	(void)a;
	if (y == 0) {
		int at = 0;

		for (unsigned i = 0; i < machine_pages(v->at.w, v->at.h - 1); i++) {
			int len = (int)strlen(machine_page_name(v->at.w, v->at.h - 1, i)) + 3;

			if (x >= at && x < at + len)
				machine_page_select(m, i, v->at.w, v->at.h - 1);
			at += len;
		}
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		const struct rect *r = &panes[i].r;
		int row = y - 1 - r->y - 1;

		if (x < r->x || x >= r->x + r->w || y - 1 < r->y || y - 1 >= r->y + r->h)
			continue;
		m->focus = panes[i].id;
		if (row >= 0 && m->rows[m->focus])
			m->scroll[m->focus].cursor = m->scroll[m->focus].top + (unsigned)row;
		else if (row >= 0 && m->focus == PANEL_CODE)
			machine_code_click(m, row, r->h - 1);
	}
}

const struct view_ops view_machine_ops = {
    .name = "machine",
    .title = "Machine",
    .about =
	"One CPU where it stands: code, registers, memory, tables, page walk, TLB and devices, in pages of panels.",
    .commands = machine_commands,
    .bindings = machine_bindings,
    .state_size = sizeof(struct machine_state),
    .open = view_open,
    .close = view_close,
    .collect = view_collect,
    .draw = view_draw,
    .json = view_json,
    .move = view_move,
    .search = view_search,
    .enter = machine_enter,
    .click = view_click,
};
