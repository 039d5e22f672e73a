/* Memory panels: bytes in hexadecimal and in the PC's own character set; the stack as words; what was touched last. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tracer/operands.h"
#include "tui/machine.h"
#include "tui/stats_rows.h"

/* Code page 437, the character set of the PC's text screen: 00-1F, 7F and 80-FF. */
static const uint16_t low437[32] = {0x00b7, 0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022, 0x25d8, 0x25cb,
    0x25d9, 0x2642, 0x2640, 0x266a, 0x266b, 0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7, 0x25ac, 0x21a8,
    0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc};
static const uint16_t high437[128] = {0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb,
    0x00e8, 0x00ef, 0x00ee, 0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9,
    0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1,
    0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502,
    0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534,
    0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x2567,
    0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c,
    0x2590, 0x2580, 0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4,
    0x221e, 0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248, 0x00b0, 0x2219,
    0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0};

uint32_t machine_cp437(uint8_t byte)
{
	if (byte < 0x20)
		return low437[byte];
	if (byte < 0x7f)
		return byte;
	return byte == 0x7f ? 0x2302u : high437[byte - 0x80];
}

/* --- Collecting -------------------------------------------------------------------------------------------------- */

/*
 * Which memory was read or written last? Nobody watches each access. But the operands of the instruction at RIP are
 * known before it runs: when the next stop is one instruction further, they are what it did.
 */
void machine_collect_touches(struct machine_state *m, struct view_model *model)
{
	struct operand_memory ops[OPERANDS_MAX];
	uint8_t bytes[15];
	size_t done = 0;
	unsigned n;
	struct errmsg why;

	if (m->seen && m->seen_vcpu == m->vcpu && m->counts_insns && m->insns == m->next_insns + 1) {
		if (m->next_read.have)
			m->read = m->next_read, m->read.past = true;
		if (m->next_write.have)
			m->write = m->next_write, m->write.past = true;
	} else if (!m->seen || m->seen_insns != m->insns || m->seen_vcpu != m->vcpu) {
		m->read.have = m->write.have = false; /* several instructions: not known any more */
	}
	m->next_read.have = m->next_write.have = false;
	m->next_insns = m->insns;
	if (view_read_linear(model, m->vcpu, m->ip, bytes, sizeof bytes, &done, &why) != ERR_OK && !done)
		return;
	n = operands_memory(&m->s, m->bits, bytes, done, ops);
	for (unsigned i = 0; i < n; i++) {
		struct machine_touch t = {
		    .have = true, .gva = ops[i].gva, .size = ops[i].size, .rip = m->ip, .insns = m->insns};

		if (ops[i].read && !m->next_read.have)
			m->next_read = t;
		if (ops[i].write && !m->next_write.have)
			m->next_write = t;
	}
}

static void label_touch(struct machine_memory *mem, const struct machine_state *m, const struct machine_touch *t)
{
	char symbol[48], when[40];

	mem->have = true;
	mem->mark = t->gva;
	mem->mark_len = t->size && t->size < 64 ? t->size : 1;
	symbols_format(m->syms, t->gva, symbol, sizeof symbol);
	if (!t->past)
		snprintf(when, sizeof when, "next instruction");
	else if (m->insns == t->insns + 1)
		snprintf(when, sizeof when, "last instruction");
	else
		snprintf(when, sizeof when, "%" PRIu64 " instructions ago", m->insns - t->insns);
	snprintf(mem->label, sizeof mem->label, "%s, %u byte%s%s%s", when, t->size, t->size == 1 ? "" : "s",
	    symbol[0] ? " at " : "", symbol);
}

static void choose_touch(struct machine_memory *mem, const struct machine_state *m, const struct machine_touch *last,
    const struct machine_touch *next, const char *verb)
{
	if (last->have)
		label_touch(mem, m, last);
	else if (next->have)
		label_touch(mem, m, next);
	else
		snprintf(mem->why, sizeof mem->why,
		    "The next instruction %s no memory. Step: this panel keeps what was touched last.", verb);
}

static uint64_t stack_pointer(const struct machine_state *m)
{
	uint64_t sp = m->s.gpr[X86_RSP];

	if (m->bits == 64)
		return sp;
	return (uint32_t)(m->s.seg[X86_SS].base + (m->s.seg[X86_SS].attr & SEG_DB ? (uint32_t)sp : (uint16_t)sp));
}

static void choose(struct machine_state *m, enum machine_panel_id id, struct machine_memory *mem)
{
	char symbol[48];

	switch ((unsigned)id) {
	case PANEL_STACK:
		*mem = (struct machine_memory){.have = true, .mark = stack_pointer(m)};
		break;
	case PANEL_BYTES:
		*mem = (struct machine_memory){.have = true, .mark = m->ip, .mark_len = 1};
		snprintf(mem->label, sizeof mem->label, "at RIP");
		break;
	case PANEL_READ:
		choose_touch(mem, m, &m->read, &m->next_read, "reads");
		break;
	case PANEL_WRITE:
		choose_touch(mem, m, &m->write, &m->next_write, "writes");
		break;
	default:
		if (!m->user_memory) {
			snprintf(
			    mem->why, sizeof mem->why, "Choose an address: key m, or :memory ADDRESS|REGISTER|SYMBOL");
			break;
		}
		*mem = (struct machine_memory){
		    .have = true, .mark = m->user_addr, .mark_len = 1, .physical = m->user_physical};
		symbols_format(m->syms, m->user_addr, symbol, sizeof symbol);
		snprintf(mem->label, sizeof mem->label, "%s%s", m->user_physical ? "guest-physical " : "",
		    m->user_physical ? "" : symbol);
	}
}

/* Sixteen bits are no address by themselves. */
static void name_stack(struct machine_state *m)
{
	unsigned size = m->bits / 8;

	for (unsigned i = 0; i < MACHINE_STACK_NAMES; i++) {
		uint64_t v = 0;

		m->stack_name[i][0] = 0;
		if (m->bits == 16 || (i + 1) * size > m->memory[PANEL_STACK].done)
			continue;
		memcpy(&v, m->memory[PANEL_STACK].bytes + i * size, size);
		symbols_format(m->syms, v, m->stack_name[i], sizeof m->stack_name[i]);
	}
}

void machine_collect_memory(struct machine_state *m, struct view_model *model, enum machine_panel_id id)
{
	struct machine_memory *mem = &m->memory[id];
	struct errmsg why = {""};

	memset(mem, 0, sizeof *mem);
	choose(m, id, mem);
	if (!mem->have)
		return;
	mem->addr = id == PANEL_STACK ? mem->mark : mem->mark & ~15ull;
	mem->addr += (uint64_t)m->shift[id];
	if (m->bits != 64 && !mem->physical)
		mem->addr = (uint32_t)mem->addr;
	if (!mem->physical) {
		view_read_linear(model, m->vcpu, mem->addr, mem->bytes, sizeof mem->bytes, &mem->done, &why);
	} else {
		/* By pieces, so that a hole shows where it begins. */
		while (mem->done < sizeof mem->bytes &&
		       view_read_phys(model, mem->addr + mem->done, mem->bytes + mem->done, 16, &why) == ERR_OK)
			mem->done += 16;
	}
	if (id == PANEL_STACK)
		name_stack(m);
	if (!mem->done)
		snprintf(mem->why, sizeof mem->why, "%.*s", (int)sizeof mem->why - 1, why.text);
}

/* --- Drawing ----------------------------------------------------------------------------------------------------- */

static unsigned bytes_per_line(int w, int digits)
{
	for (unsigned n = 16; n > 4; n /= 2)
		if (digits + 2 + (int)n * 4 <= w)
			return n;
	return 4;
}

/* The character of a byte on a screen of this kind. */
static uint32_t character(const struct screen *s, uint8_t byte)
{
	if (s->ascii)
		return byte >= 0x20 && byte < 0x7f ? byte : '.';
	return byte == 0xff ? ' ' : machine_cp437(byte);
}

static void draw_byte(const struct machine_memory *mem, size_t i, struct screen *s, int x, int text_x, int y)
{
	uint64_t at = mem->addr + i;
	bool marked = mem->mark_len && at - mem->mark < mem->mark_len;
	enum style style = marked ? STYLE_STRONG : STYLE_NORMAL;

	if (i >= mem->done) {
		screen_text(s, x, y, 2, STYLE_DIM, "--");
		return;
	}
	if (marked)
		screen_put(s, x - 1, y, at == mem->mark ? '[' : ' ', STYLE_STRONG);
	screen_printf(s, x, y, 2, style, "%02x", mem->bytes[i]);
	if (mem->mark_len && at == mem->mark + mem->mark_len - 1)
		screen_put(s, x + 2, y, ']', STYLE_STRONG);
	screen_put(s, text_x, y, character(s, mem->bytes[i]), STYLE_GUEST);
}

void machine_draw_memory(
    struct machine_state *m, enum machine_panel_id id, struct screen *s, const struct rect *r, bool focus)
{
	const struct machine_memory *mem = &m->memory[id];
	int digits = mem->addr > UINT32_MAX ? 16 : 8;
	unsigned n = bytes_per_line(r->w, digits);
	int y = 0;

	(void)focus;
	if (!mem->done) {
		screen_wrap(s, r, 0, STYLE_DIM, mem->why[0] ? mem->why : "not readable");
		return;
	}
	for (size_t at = 0; y < r->h && at < sizeof mem->bytes; at += n, y++) {
		int x = r->x + digits + 2, text_x = x + (int)n * 3;

		screen_printf(s, r->x, r->y + y, digits, STYLE_ADDRESS, "%0*" PRIx64, digits, mem->addr + at);
		for (unsigned i = 0; i < n; i++)
			draw_byte(mem, at + i, s, x + (int)i * 3, text_x + (int)i, r->y + y);
	}
}

void machine_draw_stack(struct machine_state *m, struct screen *s, const struct rect *r, bool focus)
{
	const struct machine_memory *mem = &m->memory[PANEL_STACK];
	unsigned size = m->bits / 8;
	int digits = mem->addr > UINT32_MAX ? 16 : 8;

	if (!mem->done) {
		screen_wrap(s, r, 0, STYLE_DIM, mem->why[0] ? mem->why : "not readable");
		return;
	}
	for (int y = 0; y < r->h && (size_t)(y + 1) * size <= mem->done; y++) {
		uint64_t at = mem->addr + (unsigned)y * size, v = 0;
		int x = r->x;

		memcpy(&v, mem->bytes + (unsigned)y * size, size);
		if (at == mem->mark)
			screen_put(s, x, r->y + y, screen_glyph(s, GLYPH_RUNNING), STYLE_STRONG);
		x += 2;
		x += screen_printf(s, x, r->y + y, -1, STYLE_ADDRESS, "%0*" PRIx64, digits, at) + 2;
		x += screen_printf(s, x, r->y + y, -1, STYLE_NORMAL, "%0*" PRIx64, (int)size * 2, v) + 2;
		if (y < MACHINE_STACK_NAMES)
			screen_text(s, x, r->y + y, r->x + r->w - x, STYLE_LINK, m->stack_name[y]);
		if (focus && (unsigned)y == m->scroll[PANEL_STACK].cursor)
			screen_restyle(s, &(struct rect){r->x, r->y + y, r->w, 1}, STYLE_SELECTED);
	}
}

json_t *machine_json_memory(const struct machine_state *m, enum machine_panel_id id)
{
	const struct machine_memory *mem = &m->memory[id];
	size_t n = mem->done < 256 ? mem->done : 256;
	char hex[2 * 256 + 1] = "";
	json_t *o = json_object();

	if (!mem->have || !mem->done) {
		json_object_set_new(o, "why", text_json(mem->why));
		return o;
	}
	for (size_t i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", mem->bytes[i]);
	json_object_set_new(o, "address", machine_hex(mem->addr));
	json_object_set_new(o, "about", machine_hex(mem->mark));
	json_object_set_new(o, "space", json_string(mem->physical ? "physical" : "linear"));
	if (mem->label[0])
		json_object_set_new(o, "label", text_json(mem->label));
	json_object_set_new(o, "bytes", json_string(hex));
	return o;
}
