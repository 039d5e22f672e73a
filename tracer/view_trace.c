/*
 * A recorded trace as a view model: the rows that statistics are made of (tracer/reader_rows.c) become the log; then
 * the file is read once more for what belongs to them: values, verdicts, injections.
 */
#include <stdlib.h>
#include <string.h>

#include <traceevent/event-parse.h>

#include "tracer/reader_impl.h"
#include "tracer/view_impl.h"

#define NO_ROW UINT32_MAX

/* One thread: its rows are a chain; next is the first that no event was given to yet. */
struct cursor {
	int32_t pid;
	uint32_t next, last; /* offsets in the log, NO_ROW: none */
	struct view_exit *at;
};

struct fill {
	struct view_model *m;
	struct cursor *cursors;
	size_t n, cap;
	uint32_t *chain; /* of each row: the next one of its thread */
	const struct trace_reader *reader;
	uint64_t base; /* time of the first exit, on a host's clock */
	uint64_t insns[VIEW_VCPUS_MAX];
	bool nomem;
};

static bool virtual_clock(const struct trace_reader *r)
{
	const struct event_session *s = reader_session(r);

	return s && strncmp(s->clock, "virtual", sizeof(s->clock)) == 0;
}

static void add_row(void *arg, const struct exit_row *r)
{
	struct fill *f = arg;
	struct view_exit *e = view_append(f->m);
	uint64_t *insns = &f->insns[r->vcpu % VIEW_VCPUS_MAX];

	if (r->has_direct)
		*insns += r->direct;
	if (f->m->end == 1 && !virtual_clock(f->reader)) /* a host's clock began long before the guest */
		f->base = r->ts;
	*e = (struct view_exit){.number = r->child ? UINT64_MAX : f->m->next_number++,
	    .ts_ns = r->ts - f->base,
	    .insns = *insns,
	    .direct = r->direct,
	    .rip = r->rip,
	    .qual = r->info1,
	    .info2 = r->info2,
	    .cost_ns = r->cost_ns,
	    .reason = r->reason,
	    .intr_info = r->intr_info,
	    .vcpu = (uint16_t)r->vcpu,
	    .isa = r->isa,
	    .observed = r->observed,
	    .verdict = VERDICT_COUNT,
	    .has = (uint8_t)((r->has_rip ? VIEW_HAS_RIP : 0) | (r->has_cost ? VIEW_HAS_COST : 0) |
			     (r->modelled ? VIEW_COST_MODELLED : 0) | (r->has_direct ? VIEW_HAS_DIRECT : 0) |
			     (r->child ? VIEW_CHILD : 0))};
	e->intr_error = (uint32_t)r->pid; /* until the second pass */
	view_count(f->m, e);
	f->m->now.guest_ns = e->ts_ns > f->m->now.guest_ns ? e->ts_ns : f->m->now.guest_ns;
}

static struct cursor *cursor_of(struct fill *f, int32_t pid)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->cursors[i].pid == pid)
			return &f->cursors[i];
	if (f->n == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 16;
		struct cursor *p = realloc(f->cursors, cap * sizeof(*p));

		if (!p) {
			f->nomem = true;
			return NULL;
		}
		f->cursors = p;
		f->cap = cap;
	}
	f->cursors[f->n] = (struct cursor){.pid = pid, .next = NO_ROW, .last = NO_ROW};
	return &f->cursors[f->n++];
}

static void link_rows(struct fill *f)
{
	struct view_model *m = f->m;
	uint32_t n = (uint32_t)(m->end - m->first);

	f->chain = calloc(n ? n : 1, sizeof(*f->chain));
	f->nomem |= !f->chain;
	for (uint32_t i = 0; f->chain && i < n; i++) {
		struct cursor *c = cursor_of(f, (int32_t)view_slot(m, m->first + i)->intr_error);

		if (!c)
			return;
		f->chain[i] = NO_ROW;
		*(c->last == NO_ROW ? &c->next : &f->chain[c->last]) = i;
		c->last = i;
	}
}

/* The row that begins at this time, if the thread has one. */
static void advance(struct fill *f, struct cursor *c, uint64_t ts)
{
	struct view_model *m = f->m;

	while (c->next != NO_ROW && view_slot(m, m->first + c->next)->ts_ns < ts)
		c->next = f->chain[c->next];
	if (c->next != NO_ROW && view_slot(m, m->first + c->next)->ts_ns == ts) {
		c->at = view_slot(m, m->first + c->next);
		c->next = f->chain[c->next];
	}
}

static uint64_t field(const struct trace_event *ev, const char *name)
{
	uint64_t v = 0;

	return trace_event_number(ev, name, &v) ? v : 0;
}

static void take_values(struct view_exit *e, const struct trace_event *ev, enum reader_kind kind)
{
	struct vm_exit x;

	memset(&x, 0, sizeof(x));
	if (kind == KIND_PIO && e->reason == EXIT_IO_INSTRUCTION) {
		x.io = (struct exit_io){.port = (uint16_t)field(ev, "port"),
		    .size = (uint8_t)field(ev, "size"),
		    .in = field(ev, "rw") == 0,
		    .count = (uint32_t)field(ev, "count"),
		    .value = field(ev, "val")};
	} else if (kind == KIND_MMIO) {
		x.mmio = (struct exit_mmio){
		    .value = field(ev, "val"), .size = (uint8_t)field(ev, "len"), .write = field(ev, "type") == 2};
		e->gpa = field(ev, "gpa");
	} else if (kind == KIND_MSR) {
		x.msr = (struct exit_msr){.index = (uint32_t)field(ev, "ecx"),
		    .write = (uint8_t)field(ev, "write"),
		    .fault = (uint8_t)field(ev, "exception"),
		    .value = field(ev, "data")};
	} else if (kind == KIND_CR) {
		x.cr = (struct exit_cr){.cr = (uint8_t)field(ev, "cr"),
		    .type = field(ev, "rw") ? 0 : 1,
		    .gpr = (uint8_t)(e->qual >> QUAL_CR_GPR_SHIFT & 15),
		    .value = field(ev, "val")};
	} else if (kind == KIND_CPUID) {
		x.cpuid = (struct exit_cpuid){(uint32_t)field(ev, "function"), (uint32_t)field(ev, "index"),
		    (uint32_t)field(ev, "rax"), (uint32_t)field(ev, "rbx"), (uint32_t)field(ev, "rcx"),
		    (uint32_t)field(ev, "rdx")};
	} else {
		return;
	}
	memcpy(e->raw, x.raw, sizeof(e->raw));
	e->has |= VIEW_HAS_VALUES;
}

static void take_injection(struct view_exit *e, const struct trace_event *ev, bool irq)
{
	e->has |= VIEW_INJECTED;
	e->inject_vector = (uint8_t)field(ev, irq ? "vector" : "exception");
	e->inject_type = irq			 ? field(ev, "soft") ? INTR_TYPE_SW_INT : INTR_TYPE_EXTERNAL
			 : e->inject_vector == 2 ? INTR_TYPE_NMI
						 : INTR_TYPE_HW_EXCEPTION;
	e->inject_error = irq ? 0 : (uint32_t)field(ev, "error_code");
}

static void take_verdict(struct view_exit *e, const struct trace_event *ev)
{
	uint64_t verdict = field(ev, "verdict");

	e->verdict = verdict < VERDICT_COUNT ? (uint8_t)verdict : VERDICT_COUNT;
	e->insn_len = (uint8_t)field(ev, "insn_len");
	e->insns = field(ev, "insns");
}

static void on_event(struct fill *f, struct trace_reader *r, const struct trace_event *ev)
{
	enum reader_kind kind = ev->format ? r->formats[ev->format->id].kind : KIND_UNKNOWN;
	struct cursor *c = cursor_of(f, ev->pid);
	const char *name = ev->format ? ev->format->name : "";

	if (!c)
		return;
	if (kind == KIND_EXIT || kind == KIND_USERSPACE_EXIT ||
	    (kind == KIND_VERDICT && (!c->at || c->at->ts_ns != ev->ts - f->base)))
		advance(f, c, ev->ts - f->base);
	if (!c->at)
		return;
	if (kind == KIND_VERDICT && c->at->reason == (uint32_t)field(ev, "exit_reason"))
		take_verdict(c->at, ev);
	else if (strcmp(name, "kvm_inj_virq") == 0 || strcmp(name, "kvm_inj_exception") == 0)
		take_injection(c->at, ev, name[8] == 'v');
	else if (strcmp(name, "kvm_page_fault") == 0)
		c->at->gpa = field(ev, "fault_address");
	else
		take_values(c->at, ev, kind);
}

static void take_details(struct fill *f, struct trace_reader *r)
{
	struct trace_event ev;

	reader_rewind(r);
	link_rows(f);
	while (!f->nomem && reader_next(r, &ev)) {
		if (ev.format && strcmp(ev.format->name, "end") == 0 && strcmp(ev.format->system, "vmscope") == 0) {
			uint64_t kind = field(&ev, "kind");

			f->m->now.end.kind = kind < END_COUNT ? (enum end_kind)kind : END_STOPPED;
			f->m->now.end.code = (uint32_t)field(&ev, "code");
			f->m->now.insns = field(&ev, "insns");
		}
		on_event(f, r, &ev);
	}
	free(f->cursors);
	free(f->chain);
}

static void take_session(struct view_model *m, const struct trace_reader *r)
{
	const struct event_session *s = reader_session(r);
	struct errmsg ignore;

	snprintf(m->info.guest, sizeof(m->info.guest), "%.*s", (int)sizeof(s->guest), s->guest);
	snprintf(m->info.mode, sizeof(m->info.mode), "%.*s", (int)sizeof(s->mode), s->mode);
	snprintf(m->info.engine, sizeof(m->info.engine), "%.*s", (int)sizeof(s->backend), s->backend);
	snprintf(m->info.controls, sizeof(m->info.controls), "%.*s", (int)sizeof(s->controls), s->controls);
	snprintf(m->info.cost_name, sizeof(m->info.cost_name), "%.*s", (int)sizeof(s->cost), s->cost);
	m->info.type = s->type == 1 || s->type == 2 ? s->type : 0;
	m->info.n_vcpus = s->vcpus;
	m->info.mem_size = s->mem;
	m->info.clock = virtual_clock(r) ? CLOCK_VIRTUAL : CLOCK_HOST;
	m->info.counts_insns = s->flags & SESSION_COUNTS_INSNS;
	if (controls_set(&m->trace_profile, m->info.controls, &ignore) == ERR_OK)
		m->info.profile = &m->trace_profile;
}

enum err view_model_open_trace(struct view_model *m, const char *path, struct errmsg *why)
{
	struct trace_reader *r;
	struct fill f = {.m = m};
	enum err e = reader_open(path, &r, why);

	if (e != ERR_OK)
		return e;
	view_model_lock(m);
	m->info = (struct view_info){.source = VIEW_TRACE, .clock = CLOCK_HOST};
	snprintf(m->info.path, sizeof(m->info.path), "%s", path);
	m->host_time = true;
	f.reader = r;
	reader_rows(r, add_row, &f);
	if (reader_tep(r))
		take_details(&f, r);
	for (uint64_t pos = m->first; pos < m->end; pos++)
		view_slot(m, pos)->intr_error = 0;
	if (reader_session(r))
		take_session(m, r);
	m->verdicts = (struct view_verdicts){.direct_fraction = -1,
	    .guest_time_fraction = -1,
	    .equivalence.evidence = "a trace is not compared: \"vmscope compare\" runs the guest in every backend",
	    .safety.evidence = "what was mapped and programmed is not in a trace: \"vmscope run\" audits it",
	    .efficiency.evidence = "a trace has exits, and not what ran between them: \"vmscope run\" measures it"};
	m->now.run = VIEW_ENDED;
	m->now.lost = r->lost;
	m->now.exits = m->now.seen_exits = m->next_number;
	/* How it ended may not be there: then what is known up to the newest exit. */
	if (!m->now.insns && m->end > m->first)
		m->now.insns = view_slot(m, m->end - 1)->insns;
	m->now.seen_insns = m->now.insns;
	if (reader_damage(r))
		snprintf(m->now.stop, sizeof(m->now.stop), "%.90s", reader_damage(r));
	stats_sort(m->by_reason);
	view_rates(m);
	view_model_unlock(m);
	reader_close(r);
	return f.nomem ? err_set(why, ERR_NOMEM, "no memory for the threads of %s", path) : ERR_OK;
}

void view_model_set_cost(struct view_model *m, const struct cost_model *cost)
{
	view_model_lock(m);
	m->info.cost = cost;
	view_model_unlock(m);
}
