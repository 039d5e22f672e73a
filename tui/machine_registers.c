/* General registers, instruction pointer, flags by letter, and the mode that they are used in. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "tui/machine.h"

static const char *const gpr_names[3][16] = {
    {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"},
    {"EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI", "R8D", "R9D", "R10D", "R11D", "R12D", "R13D", "R14D",
	"R15D"},
    {"AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI"},
};
/* As people write them down. */
static const uint8_t order[16] = {X86_RAX, X86_RBX, X86_RCX, X86_RDX, X86_RSI, X86_RDI, X86_RBP, X86_RSP, X86_R8,
    X86_R9, X86_R10, X86_R11, X86_R12, X86_R13, X86_R14, X86_R15};

/* A letter a flag: capital and lower case say set and clear. */
static const struct {
	char letter;
	uint32_t bit;
} flags[] = {{'o', FLAG_OF}, {'d', FLAG_DF}, {'i', FLAG_IF}, {'t', FLAG_TF}, {'s', FLAG_SF}, {'z', FLAG_ZF},
    {'a', FLAG_AF}, {'p', FLAG_PF}, {'c', FLAG_CF}};

const char *machine_mode_text(const struct machine_state *m, char *buf, size_t n)
{
	static const char *const paging[] = {"no paging", "32-bit paging", "PAE paging", "4-level paging"};
	const char *code = m->s.rflags & FLAG_VM		   ? "virtual-8086"
			   : !(m->s.cr0 & CR0_PE)		   ? "real mode"
			   : m->bits == 64			   ? "64-bit"
			   : m->s.efer & EFER_LMA && m->bits == 32 ? "compat 32"
			   : m->s.efer & EFER_LMA		   ? "compat 16"
			   : m->bits == 32			   ? "32-bit"
								   : "16-bit";

	snprintf(buf, n, "%s CPL %u %s", code, x86_cpl(&m->s), paging[x86_paging_mode(&m->s)]);
	return buf;
}

static void draw_register(struct screen *s, int x, int y, const char *name, uint64_t v, unsigned digits, bool changed)
{
	screen_text(s, x, y, 4, STYLE_DIM, name);
	if (changed)
		screen_put(s, x + 3, y, '*', STYLE_CHANGED);
	screen_printf(s, x + 4, y, 16, changed ? STYLE_CHANGED : STYLE_NORMAL, "%0*" PRIx64, (int)digits,
	    digits < 16 ? (uint64_t)(v & ((1ull << 4 * digits) - 1)) : v);
}

static int draw_flags(const struct machine_state *m, struct screen *s, int x, int y)
{
	uint64_t changed = m->has_before ? m->s.rflags ^ m->before.rflags : 0;

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		bool set = m->s.rflags & flags[i].bit;
		char c = set ? (char)(flags[i].letter - 'a' + 'A') : flags[i].letter;

		screen_put(s, x + (int)i, y, (uint32_t)c,
		    changed & flags[i].bit ? STYLE_CHANGED
		    : set		   ? STYLE_STRONG
					   : STYLE_DIM);
	}
	x += (int)ARRAY_LEN(flags);
	return x + screen_printf(s, x, y, -1, STYLE_DIM, " IOPL%u%s%s%s%s", (unsigned)(m->s.rflags >> 12 & 3),
		       m->s.rflags & FLAG_NT ? " NT" : "", m->s.rflags & FLAG_RF ? " RF" : "",
		       m->s.rflags & FLAG_VM ? " VM" : "", m->s.rflags & FLAG_AC ? " AC" : "");
}

static unsigned gpr_count(const struct machine_state *m)
{
	return m->bits == 64 ? 16 : 8;
}

/* The first row that is free. */
static int draw_gprs(struct machine_state *m, struct screen *s, const struct rect *r, int y)
{
	unsigned n = gpr_count(m), columns = r->w >= 44 ? 2 : 1, rows = (n + columns - 1) / columns;
	unsigned digits = m->bits == 64 ? 16 : 8;
	const char *const *names = gpr_names[m->bits == 64 ? 0 : 1];

	for (unsigned i = 0; i < n; i++) {
		unsigned reg = order[i];
		bool changed = m->has_before && m->s.gpr[reg] != m->before.gpr[reg];

		draw_register(
		    s, r->x + (int)(i / rows) * 22, y + (int)(i % rows), names[reg], m->s.gpr[reg], digits, changed);
	}
	return y + (int)rows;
}

static int draw_segments(struct machine_state *m, struct screen *s, const struct rect *r, int y)
{
	static const char *const names[] = {"ES", "CS", "SS", "DS", "FS", "GS"};
	static const uint8_t shown[] = {X86_CS, X86_SS, X86_DS, X86_ES, X86_FS, X86_GS};
	int per_row = r->w >= 54 ? 6 : r->w >= 27 ? 3 : 2;

	for (unsigned i = 0; i < ARRAY_LEN(shown); i++) {
		bool changed = m->has_before && m->s.seg[shown[i]].sel != m->before.seg[shown[i]].sel;

		screen_printf(s, r->x + (int)(i % (unsigned)per_row) * 9, y + (int)(i / (unsigned)per_row), 8,
		    changed ? STYLE_CHANGED : STYLE_NORMAL, "%s%c%04x", names[shown[i]], changed ? '*' : ' ',
		    m->s.seg[shown[i]].sel);
	}
	return y + (6 + per_row - 1) / per_row;
}

static void draw_controls(struct machine_state *m, struct screen *s, const struct rect *r, int y)
{
	const struct {
		const char *name;
		uint64_t now, before;
	} regs[] = {{"CR0", m->s.cr0, m->before.cr0}, {"CR2", m->s.cr2, m->before.cr2},
	    {"CR3", m->s.cr3, m->before.cr3}, {"CR4", m->s.cr4, m->before.cr4}, {"EFR", m->s.efer, m->before.efer}};
	int columns = r->w >= 44 ? 2 : 1;

	for (unsigned i = 0; i < ARRAY_LEN(regs); i++)
		draw_register(s, r->x + (int)(i % (unsigned)columns) * 22, y + (int)i / columns, regs[i].name,
		    regs[i].now, 16, m->has_before && regs[i].now != regs[i].before);
}

void machine_draw_registers(struct machine_state *m, struct screen *s, const struct rect *r, bool focus)
{
	char mode[64];
	int y = r->y;

	(void)focus;
	screen_text(s, r->x, y++, r->w, STYLE_STRONG, machine_mode_text(m, mode, sizeof mode));
	y = draw_gprs(m, s, r, y);
	draw_register(s, r->x, y, m->bits == 64 ? "RIP" : "EIP", m->s.rip, m->bits == 64 ? 16 : 8,
	    m->has_before && m->s.rip != m->before.rip);
	if (r->w >= 44) {
		draw_flags(m, s, r->x + 22, y++);
	} else {
		y++;
		draw_flags(m, s, r->x, y++);
	}
	y = draw_segments(m, s, r, y);
	draw_controls(m, s, r, y);
}

const char *machine_registers_subtitle(const struct machine_state *m, char *buf, size_t n)
{
	snprintf(buf, n, "%s", m->cpu.wait_startup ? "waits" : m->cpu.halted ? "halted" : "");
	return buf;
}

json_t *machine_json_registers(const struct machine_state *m, enum machine_panel_id id)
{
	json_t *o = json_object(), *regs = json_object(), *changed = json_array();
	char text[64];
	size_t at = 0;

	(void)id;
	json_object_set_new(o, "mode", json_string(machine_mode_text(m, text, sizeof text)));
	json_object_set_new(o, "halted", json_boolean(m->cpu.halted));
	json_object_set_new(o, "cpl", json_integer((json_int_t)x86_cpl(&m->s)));
	for (unsigned i = 0; i < 16; i++) {
		json_object_set_new(regs, gpr_names[0][order[i]], machine_hex(m->s.gpr[order[i]]));
		if (m->has_before && m->s.gpr[order[i]] != m->before.gpr[order[i]])
			json_array_append_new(changed, json_string(gpr_names[0][order[i]]));
	}
	json_object_set_new(regs, "RIP", machine_hex(m->s.rip));
	json_object_set_new(regs, "RFLAGS", machine_hex(m->s.rflags));
	if (m->has_before && m->s.rflags != m->before.rflags)
		json_array_append_new(changed, json_string("RFLAGS"));
	json_object_set_new(o, "registers", regs);
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (m->s.rflags & flags[i].bit)
			at += (size_t)snprintf(
			    text + at, sizeof text - at, "%s%cF", at ? " " : "", flags[i].letter - 'a' + 'A');
	json_object_set_new(o, "flags", json_string(at ? text : ""));
	json_object_set_new(o, "changed", changed);
	return o;
}

bool machine_register(const struct x86_state *s, const char *name, uint64_t *v)
{
	static const struct {
		const char *name;
		size_t at;
	} others[] = {{"RIP", offsetof(struct x86_state, rip)}, {"EIP", offsetof(struct x86_state, rip)},
	    {"CR2", offsetof(struct x86_state, cr2)}, {"CR3", offsetof(struct x86_state, cr3)},
	    {"GDTR", offsetof(struct x86_state, gdtr.base)}, {"IDTR", offsetof(struct x86_state, idtr.base)},
	    {"TR", offsetof(struct x86_state, tr.base)}, {"LDTR", offsetof(struct x86_state, ldtr.base)},
	    {"ES", offsetof(struct x86_state, seg[X86_ES].base)}, {"CS", offsetof(struct x86_state, seg[X86_CS].base)},
	    {"SS", offsetof(struct x86_state, seg[X86_SS].base)}, {"DS", offsetof(struct x86_state, seg[X86_DS].base)},
	    {"FS", offsetof(struct x86_state, seg[X86_FS].base)}, {"GS", offsetof(struct x86_state, seg[X86_GS].base)}};
	static const uint64_t masks[] = {UINT64_MAX, UINT32_MAX, UINT16_MAX};

	for (unsigned w = 0; w < 3; w++)
		for (unsigned i = 0; i < 16; i++)
			if (gpr_names[w][i] && strcasecmp(name, gpr_names[w][i]) == 0) {
				*v = s->gpr[i] & masks[w];
				return true;
			}
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (strcasecmp(name, others[i].name) == 0) {
			memcpy(v, (const char *)s + others[i].at, 8);
			return true;
		}
	return false;
}
