/*
 * Segment registers as the processor holds them, and the descriptor tables in memory, decoded. A guest may set any
 * limit and any base: at most GDT_MAX and IDT_MAX bytes are read.
 */
#include <stdio.h>
#include <string.h>

#include "tui/machine.h"

#define GDT_MAX 1024u
#define IDT_MAX 4096u

static const char *const seg_names[] = {"ES", "CS", "SS", "DS", "FS", "GS"};

/* Type field of a code or data segment: "code r-x accessed". */
static void segment_words(uint32_t attr, bool wide, char *buf, size_t n)
{
	unsigned type = attr & SEG_TYPE;
	const char *bits = type & 8 ? (attr & SEG_L && wide ? " 64-bit" : attr & SEG_DB ? " 32-bit" : " 16-bit") : "";

	if (type & 8)
		snprintf(buf, n, "code%s %s%s%s", bits, type & 2 ? "r-x" : "--x", type & 4 ? " conforming" : "",
		    type & 1 ? "" : " not accessed");
	else
		snprintf(buf, n, "data %s%s%s", type & 2 ? "rw-" : "r--", type & 4 ? " expand-down" : "",
		    type & 1 ? "" : " not accessed");
}

static const char *system_words(uint32_t attr, bool wide)
{
	static const char *const narrow[] = {"reserved", "TSS 16-bit available", "LDT", "TSS 16-bit busy",
	    "call gate 16-bit", "task gate", "interrupt gate 16-bit", "trap gate 16-bit", "reserved",
	    "TSS 32-bit available", "reserved", "TSS 32-bit busy", "call gate 32-bit", "reserved",
	    "interrupt gate 32-bit", "trap gate 32-bit"};
	static const char *const long_mode[] = {[2] = "LDT",
	    [9] = "TSS 64-bit available",
	    [11] = "TSS 64-bit busy",
	    [12] = "call gate 64-bit",
	    [14] = "interrupt gate",
	    [15] = "trap gate"};
	unsigned type = attr & SEG_TYPE;

	return wide ? (long_mode[type] ? long_mode[type] : "reserved") : narrow[type];
}

static void attr_words(uint32_t attr, bool wide, char *buf, size_t n)
{
	char words[48];

	if (attr & SEG_S)
		segment_words(attr, wide, words, sizeof words);
	else
		snprintf(words, sizeof words, "%s", system_words(attr, wide));
	snprintf(buf, n, "%s DPL %u%s%s", words, (attr & SEG_DPL) >> SEG_DPL_SHIFT, attr & SEG_P ? "" : " not present",
	    attr & SEG_G ? " G" : "");
}

static bool same_seg(const struct x86_seg *a, const struct x86_seg *b)
{
	return a->base == b->base && a->limit == b->limit && a->attr == b->attr && a->sel == b->sel;
}

static void add_seg(const struct machine_state *m, struct machine_rows *out, const char *name, const struct x86_seg *g,
    const struct x86_seg *before)
{
	struct machine_row *row = machine_row_add(out, name, g->base, 16);
	bool wide = m->s.efer & EFER_LMA;
	char words[80];

	row->changed = m->has_before && !same_seg(g, before);
	row->address = g->base != 0;
	if (g->attr & SEG_UNUSABLE) {
		machine_row_text(row, "%04x unusable", g->sel);
		return;
	}
	if (!(m->s.cr0 & CR0_PE) || (m->s.rflags & FLAG_VM))
		snprintf(words, sizeof words, "real-mode segment");
	else
		attr_words(g->attr, wide, words, sizeof words);
	machine_row_text(row, "%04x limit %x %s", g->sel, g->limit, words);
}

static void add_table(const struct machine_state *m, struct machine_rows *out, const char *name,
    const struct x86_dtable *t, const struct x86_dtable *before, const char *what)
{
	struct machine_row *row = machine_row_add(out, name, t->base, 16);

	row->changed = m->has_before && (t->base != before->base || t->limit != before->limit);
	row->address = true;
	machine_row_text(row, "     limit %x %s", t->limit, what);
}

void machine_fill_segments(struct machine_state *m, struct vm *vm, struct view_model *model, struct machine_rows *out)
{
	static const uint8_t order[] = {X86_CS, X86_SS, X86_DS, X86_ES, X86_FS, X86_GS};

	(void)vm, (void)model;
	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		add_seg(m, out, seg_names[order[i]], &m->s.seg[order[i]], &m->before.seg[order[i]]);
	add_seg(m, out, "LDTR", &m->s.ldtr, &m->before.ldtr);
	add_seg(m, out, "TR", &m->s.tr, &m->before.tr);
	add_table(m, out, "GDTR", &m->s.gdtr, &m->before.gdtr, "global descriptor table");
	add_table(m, out, "IDTR", &m->s.idtr, &m->before.idtr,
	    m->s.cr0 & CR0_PE ? "interrupt descriptor table" : "interrupt vector table");
}

/* --- GDT and LDT ------------------------------------------------------------------------------------------------- */

/* Reads a table as far as it goes and is mapped; how many bytes. */
static size_t read_table(
    const struct machine_state *m, struct view_model *model, uint64_t base, uint32_t limit, size_t max, uint8_t *buf)
{
	size_t want = (uint64_t)limit + 1 < max ? (size_t)limit + 1 : max, done = 0;
	struct errmsg why;

	if (view_read_linear(model, m->vcpu, base, buf, want, &done, &why) != ERR_OK && done > want)
		return 0;
	return done;
}

static uint64_t le(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	memcpy(&v, p, n);
	return v;
}

static uint32_t desc_attr(uint64_t d)
{
	return (uint32_t)(d >> 40 & 0xff) | (uint32_t)(d >> 52 & 0xf) << 12;
}

static bool is_wide_system(const struct machine_state *m, uint64_t d)
{
	uint32_t attr = desc_attr(d);

	return (m->s.efer & EFER_LMA) && !(attr & SEG_S) && (attr & SEG_TYPE);
}

static void add_descriptor(
    const struct machine_state *m, struct machine_rows *out, unsigned sel, uint64_t d, uint64_t high, bool local)
{
	uint64_t base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000);
	uint64_t limit = (d & 0xffff) | (d >> 32 & 0xf0000);
	uint32_t attr = desc_attr(d);
	struct machine_row *row;
	char name[20], words[80];

	if (attr & SEG_G)
		limit = limit << 12 | 0xfff;
	if (is_wide_system(m, d))
		base |= high << 32;
	snprintf(name, sizeof name, "%s %04x", local ? "LDT" : "GDT", sel);
	row = machine_row_add(out, name, base, 16);
	attr_words(attr, (m->s.efer & EFER_LMA) != 0, words, sizeof words);
	machine_row_text(row, "limit %llx %s", (unsigned long long)limit, words);
}

static void fill_descriptors(struct machine_state *m, struct view_model *model, struct machine_rows *out, uint64_t base,
    uint32_t limit, bool local)
{
	uint8_t bytes[GDT_MAX];
	size_t n = read_table(m, model, base, limit, sizeof bytes, bytes);

	machine_row_heading(out, "%s at %llx, limit %x%s", local ? "LDT" : "GDT", (unsigned long long)base, limit,
	    n < (size_t)limit + 1 ? n < sizeof bytes ? ": not all of it is mapped" : ": the first 1 KiB" : "");
	for (size_t at = 0; at + 8 <= n; at += 8) {
		uint64_t d = le(bytes + at, 8);
		bool wide = is_wide_system(m, d) && at + 16 <= n;

		if (d)
			add_descriptor(
			    m, out, (unsigned)at | (local ? 4 : 0), d, wide ? le(bytes + at + 8, 8) : 0, local);
		at += wide ? 8 : 0;
	}
}

/* --- IDT --------------------------------------------------------------------------------------------------------- */

static void vector_name(unsigned v, char *buf, size_t n)
{
	static const char *const names[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "CSO", "#TS",
	    "#NP", "#SS", "#GP", "#PF", NULL, "#MF", "#AC", "#MC", "#XM", "#VE", "#CP"};

	if (v < ARRAY_LEN(names) && names[v])
		snprintf(buf, n, "IDT %02x %s", v, names[v]);
	else
		snprintf(buf, n, "IDT %02x", v);
}

/* A gate of 8 or 16 bytes. */
static void add_gate(const struct machine_state *m, struct machine_rows *out, unsigned v, const uint8_t *p, bool wide)
{
	uint64_t low = le(p, 8), off = (low & 0xffff) | (low >> 32 & 0xffff0000);
	uint32_t attr = desc_attr(low) & 0xff;
	struct machine_row *row;
	char name[20], symbol[48];

	if (wide)
		off |= le(p + 8, 4) << 32;
	vector_name(v, name, sizeof name);
	row = machine_row_add(out, name, off, 16);
	row->address = true;
	symbols_format(m->syms, off, symbol, sizeof symbol);
	machine_row_text(row, "%04x %s DPL %u%s %s", (unsigned)(low >> 16 & 0xffff), system_words(attr, wide),
	    attr >> 5 & 3, attr & SEG_P ? "" : " not present", symbol);
	if (wide && (low >> 32 & 7))
		machine_row_text(row, "%04x %s DPL %u IST %u %s", (unsigned)(low >> 16 & 0xffff),
		    system_words(attr, wide), attr >> 5 & 3, (unsigned)(low >> 32 & 7), symbol);
}

static void add_vector(const struct machine_state *m, struct machine_rows *out, unsigned v, const uint8_t *p)
{
	uint64_t at = (le(p + 2, 2) << 4) + le(p, 2);
	char name[20], symbol[48];
	struct machine_row *row;

	vector_name(v, name, sizeof name);
	name[1] = 'V'; /* IVT */
	row = machine_row_add(out, name, at, 16);
	row->address = true;
	machine_row_text(row, "%04llx:%04llx %s", (unsigned long long)le(p + 2, 2), (unsigned long long)le(p, 2),
	    symbols_format(m->syms, at, symbol, sizeof symbol));
}

static void fill_idt(struct machine_state *m, struct view_model *model, struct machine_rows *out)
{
	bool protected = m->s.cr0 & CR0_PE, wide = protected && (m->s.efer & EFER_LMA);
	size_t size = wide ? 16 : protected ? 8 : 4, n;
	uint8_t bytes[IDT_MAX];

	n = read_table(m, model, m->s.idtr.base, m->s.idtr.limit, sizeof bytes, bytes);
	machine_row_heading(out, "%s at %llx, limit %x", protected ? "IDT" : "IVT", (unsigned long long)m->s.idtr.base,
	    m->s.idtr.limit);
	if (n < size)
		machine_row_heading(out, "no vector can be read: an exception here ends in a triple fault");
	for (size_t v = 0; v < 256 && (v + 1) * size <= n; v++) {
		const uint8_t *p = bytes + v * size;

		if (!le(p, size == 4 ? 4 : 8))
			continue;
		if (protected)
			add_gate(m, out, (unsigned)v, p, wide);
		else
			add_vector(m, out, (unsigned)v, p);
	}
}

void machine_fill_tables(struct machine_state *m, struct vm *vm, struct view_model *model, struct machine_rows *out)
{
	(void)vm;
	if (m->s.cr0 & CR0_PE) {
		fill_descriptors(m, model, out, m->s.gdtr.base, m->s.gdtr.limit, false);
		if (!(m->s.ldtr.attr & SEG_UNUSABLE) && m->s.ldtr.attr & SEG_P && m->s.ldtr.sel & 0xfffc)
			fill_descriptors(m, model, out, m->s.ldtr.base, m->s.ldtr.limit, true);
	}
	fill_idt(m, model, out);
}
