/*
 * Disassembly around RIP, or around the cursor when the user has moved it away: names of functions, where branches go,
 * breakpoints, source lines. Backwards from an address x86 code has no definite beginning: disasm_before() finds the
 * likeliest one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tui/engine.h"
#include "tui/machine.h"
#include "tui/stats_rows.h"

#define BEFORE_BYTES 240u
#define INSN_MAX 15u
#define WIDE 60 /* room for bytes and source lines */
#define FUNCTION_BYTES 4096u

/* --- Collecting -------------------------------------------------------------------------------------------------- */

static size_t read_code(struct machine_state *m, struct view_model *model, uint64_t at, uint8_t *buf, size_t n)
{
	size_t done = 0;
	struct errmsg why = {""};

	if (view_read_linear(model, m->vcpu, at, buf, n, &done, &why) != ERR_OK && !done)
		snprintf(m->code.why, sizeof m->code.why, "%.*s", (int)sizeof m->code.why - 1, why.text);
	return done < n ? done : n;
}

/* From the beginning of the function that `at` lies in, which is a sure beginning. How many were found; 0: `at` is not
 * met on that way, or there is no such function nearby. Only the nearest max are kept. */
static size_t from_function(struct machine_state *m, struct view_model *model, uint64_t at, uint64_t *out, size_t max)
{
	uint8_t bytes[FUNCTION_BYTES];
	uint64_t offset, start;
	size_t n, got, found = 0, pos = 0;
	struct disasm_line line;

	if (!symbols_find(m->syms, at, &offset) || !offset || offset > sizeof bytes)
		return 0;
	start = at - offset;
	n = (size_t)offset;
	got = read_code(m, model, start, bytes, n);
	while (got == n && pos < n) {
		disasm_one(m->bits, start + pos, bytes + pos, n - pos, NULL, &line);
		if (found == max) {
			memmove(out, out + 1, (max - 1) * sizeof *out);
			found--;
		}
		out[found++] = start + pos;
		pos += line.len;
	}
	return got == n && pos == n ? found : 0;
}

/* Addresses of the instructions before `at`, nearest last. */
static size_t find_before(struct machine_state *m, struct view_model *model, uint64_t at, uint64_t *out, size_t max)
{
	uint64_t found[MACHINE_CODE_MAX / 2], start;
	uint8_t bytes[BEFORE_BYTES];
	size_t got = 0, n = from_function(m, model, at, found, max), more = 0;
	uint64_t from;

	start = n ? found[0] : at;
	from = start > BEFORE_BYTES ? start - BEFORE_BYTES : 0;
	while (n < max && from < start) {
		got = read_code(m, model, from, bytes, (size_t)(start - from));
		if (got == start - from)
			break;
		/* Not mapped: begin with the next page, if there is one before start. */
		from |= PAGE_SIZE_4K - 1;
		from = from < start ? from + 1 : start;
	}
	if (n < max && from < start)
		more = disasm_before(m->bits, start, bytes, got, out, max - n);
	memcpy(out + more, found, n * sizeof *out);
	return more + n;
}

static void name_lines(struct machine_state *m)
{
	for (unsigned i = 0; i < m->code.n; i++) {
		struct machine_code_name *name = &m->code.name[i];
		uint64_t addr = m->code.line[i].addr, offset;
		const char *file;
		unsigned line;

		memset(name, 0, sizeof *name);
		symbols_format(m->syms, addr, name->symbol, sizeof name->symbol);
		name->begins = symbols_find(m->syms, addr, &offset) && offset == 0;
		if (symbols_line(m->syms, addr, &file, &line))
			snprintf(name->source, sizeof name->source, "%.80s:%u", file, line);
	}
}

static void mark_breakpoints(struct machine_state *m, struct app *a)
{
	struct engine *e = app_engine(a);
	struct control *c = e ? engine_control(e) : NULL;
	const struct breakpoint *b;

	for (unsigned i = 0; c && (b = control_break_at(c, i)); i++)
		for (unsigned k = 0; b->kind == BREAK_INSN && k < m->code.n; k++)
			if (m->code.line[k].addr >= b->lo && m->code.line[k].addr <= b->hi) {
				m->code.breakpoint[k] = (uint8_t)b->id;
				m->code.disabled[k] = b->disabled;
			}
}

void machine_code_follow(struct machine_state *m, int h)
{
	struct machine_code *c = &m->code;

	if (c->asked) {
		c->asked = false;
		c->row = h / 3;
		return;
	}
	if (m->seen && m->seen_ip == m->ip && m->seen_insns == m->insns && m->seen_vcpu == m->vcpu)
		return;
	if (!m->seen)
		c->follow = true;
	if (!c->follow && m->seen)
		return;
	/* Where it is on the screen already it stays, unless that is the lower edge. */
	for (unsigned i = 0; i < c->n; i++)
		if (c->line[i].addr == m->ip) {
			int row = c->row + (int)i - (int)c->cursor;

			c->row = row >= 0 && row < h - 2 ? row : h / 3;
			c->at = m->ip;
			return;
		}
	c->at = m->ip;
	c->row = h / 3;
}

void machine_collect_code(struct machine_state *m, struct app *a, struct view_model *model, int h)
{
	struct machine_code *c = &m->code;
	uint64_t before[MACHINE_CODE_MAX / 2];
	uint8_t bytes[MACHINE_CODE_MAX / 2 * INSN_MAX];
	size_t n_before, got, want = (size_t)(h > 0 ? h : 1), at = 0;

	if (want > MACHINE_CODE_MAX / 2)
		want = MACHINE_CODE_MAX / 2;
	c->why[0] = 0;
	memset(c->breakpoint, 0, sizeof c->breakpoint);
	memset(c->disabled, 0, sizeof c->disabled);
	n_before = find_before(m, model, c->at, before, want);
	c->n = 0;
	for (size_t i = 0; i < n_before; i++) {
		uint8_t one[INSN_MAX];
		size_t len = (size_t)((i + 1 < n_before ? before[i + 1] : c->at) - before[i]);

		got = read_code(m, model, before[i], one, len < sizeof one ? len : sizeof one);
		disasm_one(m->bits, before[i], one, got, m->syms, &c->line[c->n++]);
	}
	c->cursor = c->n;
	c->why[0] = 0;
	got = read_code(m, model, c->at, bytes, want * INSN_MAX);
	for (size_t i = 0; i < want && at < got; i++) {
		disasm_one(m->bits, c->at + at, bytes + at, got - at < INSN_MAX ? got - at : INSN_MAX, m->syms,
		    &c->line[c->n]);
		at += c->line[c->n++].len;
	}
	if (c->cursor >= c->n) /* nothing readable here */
		c->n = c->cursor = 0;
	if (!c->n && m->cpu.wait_startup)
		snprintf(c->why, sizeof c->why, "This CPU waits for the start-up message of another one.");
	name_lines(m);
	mark_breakpoints(m, a);
}

void machine_code_move(struct machine_state *m, int lines)
{
	struct machine_code *c = &m->code;
	int to;

	if (!c->n)
		return;
	if (lines < -(int)MACHINE_CODE_MAX) /* Home and End: of what was read */
		lines = -(int)c->n;
	if (lines > (int)MACHINE_CODE_MAX)
		lines = (int)c->n;
	to = (int)c->cursor + lines;
	to = to < 0 ? 0 : to >= (int)c->n ? (int)c->n - 1 : to;
	c->row += to - (int)c->cursor;
	c->row = c->row < 0 ? 0 : c->row;
	c->cursor = (unsigned)to;
	c->at = c->line[to].addr;
}

/* --- Drawing ----------------------------------------------------------------------------------------------------- */

static const char *base_name(const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash ? slash + 1 : file;
}

const char *machine_code_subtitle(const struct machine_state *m, char *buf, size_t n)
{
	const struct machine_code_name *name = &m->code.name[m->code.cursor];
	bool known = m->code.n && m->code.line[m->code.cursor].addr == m->code.at;

	snprintf(buf, n, "%s%.40s%s%s", m->code.at == m->ip ? "" : "(r: to RIP) ", known ? name->symbol : "",
	    known && name->source[0] ? "  " : "", known ? base_name(name->source) : "");
	return buf;
}

/* Name of the function that begins at this line; NULL: none does. */
static const char *label_at(const struct machine_state *m, unsigned i)
{
	return m->code.name[i].begins ? m->code.name[i].symbol : NULL;
}

/* Would the conditional branch at RIP be taken? [SDM 1 "EFLAGS Condition Codes"] */
static bool condition(uint64_t f, unsigned cc)
{
	bool cf = f & FLAG_CF, zf = f & FLAG_ZF, sf = f & FLAG_SF, of = f & FLAG_OF, v;

	switch (cc >> 1) {
	case 0:
		v = of;
		break;
	case 1:
		v = cf;
		break;
	case 2:
		v = zf;
		break;
	case 3:
		v = cf || zf;
		break;
	case 4:
		v = sf;
		break;
	case 5:
		v = f & FLAG_PF;
		break;
	case 6:
		v = sf != of;
		break;
	default:
		v = zf || sf != of;
		break;
	}
	return v != (cc & 1);
}

static const char *outcome(const struct machine_state *m, const struct disasm_line *l)
{
	if (l->addr != m->ip || !l->branch)
		return "";
	if ((l->bytes[0] & 0xf0) == 0x70)
		return condition(m->s.rflags, l->bytes[0] & 15u) ? " taken" : " not taken";
	if (l->len > 2 && l->bytes[0] == 0x0f && (l->bytes[1] & 0xf0) == 0x80)
		return condition(m->s.rflags, l->bytes[1] & 15u) ? " taken" : " not taken";
	return "";
}

static int draw_bytes(struct screen *s, int x, int y, const struct disasm_line *l)
{
	for (unsigned i = 0; i < l->len && i < 8; i++)
		screen_printf(s, x + (int)i * 2, y, 2, STYLE_DIM, "%02x", l->bytes[i]);
	return x + 17;
}

/* Where a new source line begins. */
static void draw_source(const struct machine_state *m, unsigned i, struct screen *s, int x, int y, int w)
{
	const char *source = m->code.name[i].source;

	if (i && strcmp(source, m->code.name[i - 1].source) == 0)
		return;
	if ((int)strlen(base_name(source)) <= w)
		screen_right(s, x, y, w, STYLE_DIM, base_name(source));
}

static void draw_line(struct machine_state *m, unsigned i, struct screen *s, int x, int y, int w, bool far_target)
{
	const struct disasm_line *l = &m->code.line[i];
	bool here = l->addr == m->ip;
	int end = x + w, digits = m->code.line[m->code.n - 1].addr > UINT32_MAX ? 16 : 8;

	if (m->code.breakpoint[i])
		screen_put(s, x, y, m->code.disabled[i] ? 'o' : screen_glyph(s, GLYPH_BREAK), STYLE_ERROR);
	if (here)
		screen_put(s, x + 1, y, screen_glyph(s, GLYPH_RUNNING), STYLE_STRONG);
	else if (far_target && !s->ascii) /* in ASCII the arrow is the mark of RIP; the word below says it */
		screen_put(s, x + 1, y, screen_glyph(s, GLYPH_ARROW), STYLE_LINK);
	x += 3;
	x += screen_printf(s, x, y, end - x, STYLE_ADDRESS, "%0*" PRIx64, digits, l->addr) + 1;
	if (w >= WIDE)
		x = draw_bytes(s, x, y, l);
	x += screen_text(s, x, y, end - x, here ? STYLE_STRONG : STYLE_CODE, l->text) + 1;
	if (l->target && l->target != l->addr && x < end)
		screen_put(s, x++, y, screen_glyph(s, l->target > l->addr ? GLYPH_DOWN : GLYPH_UP), STYLE_LINK);
	x += screen_text(s, x, y, end - x, STYLE_STRONG, outcome(m, l));
	if (far_target)
		x += screen_text(s, x, y, end - x, STYLE_LINK, "(target)");
	if (w >= WIDE)
		draw_source(m, i, s, x + 1, y, end - x - 1);
}

/* The first line to draw, so that the cursor's stands on its row and labels have theirs. */
static unsigned first_line(const struct machine_state *m, int h)
{
	int row = m->code.row < h ? m->code.row : h - 1;
	unsigned top = m->code.cursor;

	for (;;) {
		int rows = label_at(m, top) ? 1 : 0;

		row -= rows;
		if (row < 0 || !top)
			break;
		if (--row < 0)
			break;
		top--;
	}
	return top;
}

/* The cursor to the line that was drawn on this row. */
void machine_code_click(struct machine_state *m, int row, int h)
{
	int y = 0;

	for (unsigned i = m->code.n ? first_line(m, h) : 0; i < m->code.n && y <= row; i++) {
		y += label_at(m, i) ? 1 : 0;
		if (y++ == row) {
			machine_code_move(m, (int)i - (int)m->code.cursor);
			return;
		}
	}
}

void machine_draw_code(struct machine_state *m, struct screen *s, const struct rect *r, bool focus)
{
	const struct machine_code *c = &m->code;
	uint64_t target;
	unsigned i;
	int y = 0;

	if (!c->n) {
		screen_wrap(s, r, 0, STYLE_DIM, c->why[0] ? c->why : "no code to show");
		return;
	}
	target = c->line[c->cursor].target;
	for (i = first_line(m, r->h); i < c->n && y < r->h; i++) {
		const char *label = label_at(m, i);

		/* The label of the first line gives way where there is no room for the cursor otherwise. */
		if (label && !(i == c->cursor && y + 1 >= r->h)) {
			screen_printf(s, r->x + 3, r->y + y, r->w - 3, STYLE_STRONG, "%s:", label);
			y++;
		}
		if (y >= r->h)
			break;
		draw_line(m, i, s, r->x, r->y + y, r->w, target && c->line[i].addr == target);
		if (focus && i == c->cursor)
			screen_restyle(s, &(struct rect){r->x, r->y + y, r->w, 1}, STYLE_SELECTED);
		y++;
	}
}

json_t *machine_json_code(const struct machine_state *m, enum machine_panel_id id)
{
	json_t *list = json_array();

	(void)id;
	for (unsigned i = 0; i < m->code.n; i++) {
		const struct disasm_line *l = &m->code.line[i];
		json_t *o = json_object();
		const struct machine_code_name *name = &m->code.name[i];
		char bytes[2 * INSN_MAX + 1] = "";

		for (unsigned k = 0; k < l->len; k++)
			snprintf(bytes + 2 * k, 3, "%02x", l->bytes[k]);
		json_object_set_new(o, "address", machine_hex(l->addr));
		json_object_set_new(o, "bytes", json_string(bytes));
		json_object_set_new(o, "text", text_json(l->text));
		if (name->symbol[0])
			json_object_set_new(o, "symbol", text_json(name->symbol));
		if (name->source[0])
			json_object_set_new(o, "source", text_json(name->source));
		if (l->target)
			json_object_set_new(o, "target", machine_hex(l->target));
		if (l->addr == m->ip)
			json_object_set_new(o, "rip", json_true());
		if (m->code.breakpoint[i])
			json_object_set_new(o, "breakpoint", json_integer(m->code.breakpoint[i]));
		json_array_append_new(list, o);
	}
	return list;
}
