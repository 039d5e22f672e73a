/* The page walk of one address, entry by entry and bit by bit down to the host; and what the TLB holds. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tui/machine.h"

static bool read_phys(void *arg, gpa_t gpa, void *buf, size_t n)
{
	struct errmsg why;

	return view_read_phys(arg, gpa, buf, n, &why) == ERR_OK;
}

static const char *access_word(unsigned how)
{
	return how & X86_ACCESS_FETCH ? "fetch" : how & X86_ACCESS_WRITE ? "write" : how ? "read" : "any access";
}

static void add_bits(const struct pagewalk *w, unsigned entry, struct machine_rows *out)
{
	struct pagewalk_bit bits[PAGEWALK_BITS_MAX];
	unsigned n = pagewalk_bits(w, entry, bits);

	for (unsigned i = 0; i < n; i++) {
		struct machine_row *row;
		char name[20];

		if (!bits[i].value && !bits[i].meaning[0])
			continue; /* nothing to say */
		snprintf(name, sizeof name, bits[i].hi == bits[i].lo ? "   %-7s%u" : "   %-7s%u..%u", bits[i].name,
		    bits[i].hi, bits[i].lo);
		row = machine_row_add(out, name, bits[i].value, strcmp(bits[i].name, "address") == 0 ? 10 : 1);
		row->physical = strcmp(bits[i].name, "address") == 0;
		machine_row_text(row, "%s", bits[i].meaning);
	}
}

static void add_entry(const struct pagewalk *w, unsigned i, struct machine_rows *out)
{
	const struct pagewalk_entry *e = &w->entry[i];
	struct machine_row *row;
	char name[20], letters[48];

	snprintf(name, sizeof name, "%s[%u]", e->name, e->index);
	row = machine_row_add(out, name, e->value, e->size * 2);
	machine_row_text(row, "%s%s %s%" PRIx64 "%s", pagewalk_letters(w, i, letters, sizeof letters),
	    (int)i == w->culprit ? "  <== refuses " : "", e->held ? "held by the CPU, from " : "at ", e->gpa,
	    e->outside ? " (no RAM there: all ones)" : "");
}

static void add_result(const struct pagewalk *w, struct machine_rows *out)
{
	static const char *const errors[] = {"P", "W", "U", "RSVD", "I", "PK"};
	struct machine_row *row;
	char text[40];

	if (w->result == PAGEWALK_FAULT) {
		row = machine_row_add(out, "#PF", w->error, 2);
		machine_bit_names(w->error, errors, ARRAY_LEN(errors), text, sizeof text);
		machine_row_text(row, "error code: %s", text[0] ? text : "none set: not present, read, supervisor");
	}
	row = machine_row_add(out, "result", 0, 0);
	machine_row_text(row, "%.*s", (int)sizeof row->text - 1, w->why);
}

static void add_host(const struct pagewalk *w, bool show_host, struct machine_rows *out)
{
	static const char *const places[] = {"RAM", "ROM", "ROM with RAM for writes", "device", "hole"};
	struct machine_row *row = machine_row_add(out, "guest-physical", w->gpa, 16);
	char size[16];

	row->physical = true;
	if (w->mode == X86_PAGING_NONE)
		machine_row_text(row, "the same: no table is asked");
	else
		machine_row_text(row, "%s page, %s%s%s%s", fmt_bytes(1ull << w->shift, size),
		    w->write ? "writable" : "read only", w->user ? ", user" : ", supervisor",
		    w->nx ? ", no execute" : "", w->global ? ", global" : "");
	row = machine_row_add(out, "there", 0, 0);
	if (w->place == PAGEWALK_HOLE)
		machine_row_text(row, "hole: nothing there");
	else if (w->slot >= 0)
		machine_row_text(row, "%s: slot %d (%s) + 0x%" PRIx64, places[w->place], w->slot, w->name, w->offset);
	else
		machine_row_text(row, "%s: %s + 0x%" PRIx64, places[w->place], w->name, w->offset);
	row = machine_row_add(out, "host", (uint64_t)(uintptr_t)w->host, w->host && show_host ? 16 : 0);
	machine_row_text(
	    row, "%s", w->host ? "mapped: the guest is here without an exit" : "none: an access here exits to the VMM");
}

void machine_fill_walk(struct machine_state *m, struct vm *vm, struct view_model *model, struct machine_rows *out)
{
	struct pagewalk_query q = {.gva = m->user_walk ? m->walk_addr : m->ip,
	    .how = m->user_walk ? m->walk_how : X86_ACCESS_FETCH,
	    .priv = m->walk_user || (!m->user_walk && x86_cpl(&m->s) == 3) ? X86_PRIV_USER : X86_PRIV_SUPER,
	    .intercepts = true};
	struct machine_row *row;
	struct pagewalk *w = &m->walk;
	char symbol[64];

	pagewalk(&m->s, &q, read_phys, model, w);
	row = machine_row_add(out, "linear", w->q.gva, 16);
	row->address = true;
	machine_row_text(row, "%s by the %s%s%s, %s", access_word(q.how),
	    q.priv == X86_PRIV_USER ? "user" : "supervisor", m->user_walk ? "" : " (RIP)", "",
	    pagewalk_mode_name(w->mode));
	if (*symbols_format(m->syms, w->q.gva, symbol, sizeof symbol)) {
		row = machine_row_add(out, "symbol", 0, 0);
		machine_row_text(row, "%s", symbol);
	}
	for (unsigned i = 0; i < w->n; i++)
		add_entry(w, i, out);
	add_result(w, out);
	if (w->result == PAGEWALK_OK) {
		if (vm && !m->remote)
			pagewalk_locate(w, vm);
		if (w->slot >= 0 || w->name[0])
			add_host(w, m->show_host, out);
	}
	for (unsigned i = 0; i < w->n; i++) {
		machine_row_heading(out, "%s at %" PRIx64 ", bit by bit", w->entry[i].name, w->entry[i].gpa);
		add_bits(w, i, out);
	}
}

/* --- TLB --------------------------------------------------------------------------------------------------------- */

static const struct x86_tlb_entry *tlb_array(const struct x86_tlb *t, unsigned kind, unsigned user)
{
	return kind == 0 ? t->read[user] : kind == 1 ? t->write[user] : t->fetch[user];
}

static bool hits(const struct x86_cpu *c, unsigned kind, unsigned user, unsigned n, uint64_t page)
{
	const struct x86_tlb_entry *e = &tlb_array(&c->tlb, kind, user)[n];

	return (e->tag & ((1ull << X86_TLB_GEN_SHIFT) - 1)) == page && x86_tlb_can_hit(c, e);
}

/* One row for each page that can hit, with the arrays that hold it. */
static void add_tlb_entry(const struct machine_state *m, const struct x86_cpu *c, unsigned n, unsigned kind,
    unsigned user, struct machine_rows *out)
{
	const struct x86_tlb_entry *e = &tlb_array(&c->tlb, kind, user)[n];
	uint64_t page = e->tag & ((1ull << X86_TLB_GEN_SHIFT) - 1), gva = (uint64_t)((int64_t)(page << 12) << 12 >> 12);
	struct machine_row *row;
	char size[16], symbol[48];

	for (unsigned k = 0; k < kind; k++)
		if (hits(c, k, user, n, page))
			return; /* has its row */
	row = machine_row_add(out, user ? "user" : "supervisor", gva, 16);
	row->address = true;
	machine_row_text(row, "-> %010" PRIx64 " %c%c%c %s%s %s", e->gpa, hits(c, 0, user, n, page) ? 'r' : '-',
	    hits(c, 1, user, n, page) ? 'w' : '-', hits(c, 2, user, n, page) ? 'x' : '-',
	    fmt_bytes(1ull << (e->flags >> X86_TLB_SHIFT_AT & 63), size), e->flags & X86_TLB_GLOBAL ? " global" : "",
	    symbols_format(m->syms, gva, symbol, sizeof symbol));
}

static void fill_mappings(const struct machine_state *m, struct vm *vm, struct machine_rows *out)
{
	(void)m;
	machine_row_heading(
	    out, "The TLB is the processor's own and cannot be read; guest-physical memory is mapped so:");
	for (unsigned i = 0; i < vm->mem.n_slots; i++) {
		const struct mem_slot *slot = &vm->mem.slots[i];
		struct machine_row *row;
		char name[20], size[16];

		snprintf(name, sizeof name, "%.*s", (int)sizeof slot->name, slot->name);
		row = machine_row_add(out, name, slot->gpa, 16);
		row->physical = true;
		machine_row_text(row, "%s %s", fmt_bytes(slot->len, size),
		    !slot->read			? "hole"
		    : !slot->write		? "read only"
		    : slot->write != slot->read ? "reads ROM, writes RAM"
						: "RAM");
	}
}

void machine_fill_tlb(struct machine_state *m, struct vm *vm, struct view_model *model, struct machine_rows *out)
{
	const struct x86_cpu *c = m->cpu.tlb;

	(void)model;
	if (m->remote)
		machine_row_heading(out, "The TLB is on the bare-metal machine: it is not sent here.");
	else if (vm && !c)
		fill_mappings(m, vm, out);
	if (!c)
		return;
	machine_row_heading(out,
	    "%" PRIu64 " page walks and %" PRIu64 " flushes since the start; what can hit now:", c->tlb.misses,
	    c->tlb.flushes);
	for (unsigned user = 0; user < 2; user++)
		for (unsigned kind = 0; kind < 3; kind++)
			for (unsigned n = 0; n < X86_TLB_ENTRIES; n++)
				if (x86_tlb_can_hit(c, &tlb_array(&c->tlb, kind, user)[n]))
					add_tlb_entry(m, c, n, kind, user, out);
}
