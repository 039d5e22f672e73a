/*
 * From events to exits. A kvm_exit opens a row for its thread; what closes it, closes it with a cost: our own verdict,
 * which states one, or the next kvm_entry, whose distance is the time that the hypervisor took.
 *
 * A host whose kernel emulates everything (kvm_pvm) has no kvm_exit at all: there each access that the kernel's
 * emulator traced is a row of its own, labelled so. What reaches the VMM's process is a child of an exit that is
 * counted already, unless the kernel traced no exit of that reason: then the process alone saw it, and it counts.
 */
#include <stdlib.h>
#include <string.h>

#include <traceevent/event-parse.h>

#include "tracer/reader_impl.h"

struct row_sink {
	struct trace_reader *r;
	void (*row)(void *arg, const struct exit_row *row);
	void *arg;
	bool kernel_saw[EXIT_SDM_COUNT]; /* reasons that have rows of the host's kernel */
};

struct reader_track *reader_track(struct trace_reader *r, int32_t pid)
{
	for (size_t i = 0; i < r->n_tracks; i++)
		if (r->tracks[i].pid == pid)
			return &r->tracks[i];
	if (r->n_tracks == 65536)
		return NULL;
	if (r->n_tracks == r->cap_tracks) {
		size_t cap = r->cap_tracks ? 2 * r->cap_tracks : 16;
		struct reader_track *p = realloc(r->tracks, cap * sizeof(*p));

		if (!p) {
			r->nomem = true;
			return NULL;
		}
		r->tracks = p;
		r->cap_tracks = cap;
	}
	struct reader_track *t = &r->tracks[r->n_tracks];

	*t = (struct reader_track){.pid = pid, .vcpu = (uint32_t)r->n_tracks++};
	return t;
}

static void flush(struct row_sink *s, struct reader_track *t)
{
	if (t->open)
		s->row(s->arg, &t->row);
	t->open = false;
}

static uint64_t field(const struct trace_event *e, const char *name, uint64_t otherwise)
{
	uint64_t v;

	return trace_event_number(e, name, &v) ? v : otherwise;
}

static const struct event_session *own_session(const struct trace_reader *r, int32_t pid)
{
	return r->has_session && pid >= 1 && (uint32_t)pid <= r->session.vcpus ? &r->session : NULL;
}

static void start_row(struct row_sink *s, struct reader_track *t, const struct trace_event *e)
{
	t->row = (struct exit_row){.ts = e->ts,
	    .pid = e->pid,
	    .vcpu = (uint32_t)field(e, "vcpu_id", t->vcpu),
	    .observed = OBSERVED_KERNEL,
	    .guest = s->r->tep ? tep_data_comm_from_pid(s->r->tep, e->pid) : NULL};
	t->open = true;
}

static void on_kvm_exit(struct row_sink *s, struct reader_track *t, const struct trace_event *e)
{
	flush(s, t);
	start_row(s, t, e);
	t->runs_guest = true;
	t->row.reason = (uint32_t)field(e, "exit_reason", 0);
	t->row.rip = field(e, "guest_rip", 0);
	t->row.has_rip = true;
	t->row.isa = (uint8_t)field(e, "isa", ISA_VMX);
	if (t->row.isa != ISA_SVM)
		t->row.isa = ISA_VMX;
	t->row.info1 = field(e, "info1", 0);
	t->row.info2 = field(e, "info2", 0);
	t->row.intr_info = (uint32_t)field(e, "intr_info", 0);
}

/* The time until the guest runs again, where nothing better was stated. Virtual time does not move meanwhile. */
static void on_kvm_entry(struct row_sink *s, struct reader_track *t, const struct trace_event *e)
{
	const struct event_session *own = own_session(s->r, e->pid);

	t->runs_guest = true;
	if (t->open && !t->row.has_cost && !own && reader_clock_is_ns(s->r)) {
		t->row.cost_ns = e->ts - t->row.ts;
		t->row.has_cost = true;
	}
	flush(s, t);
}

static void on_verdict(struct row_sink *s, struct reader_track *t, const struct trace_event *e)
{
	const struct event_session *own = own_session(s->r, e->pid);
	uint32_t reason = (uint32_t)field(e, "exit_reason", 0);
	uint64_t insns = field(e, "insns", 0), observed = field(e, "observed", OBSERVED_VMM);
	bool host_too = own && s->r->n_lanes > own->vcpus;

	if (!own)
		return;
	if (!t->open || t->row.reason != reason) {
		flush(s, t);
		if (exit_is_hw(reason) && !host_too)
			return; /* its kvm_exit was lost */
		start_row(s, t, e);
		t->row.reason = reason;
		t->row.isa = ISA_VMX;
		t->row.rip = field(e, "rip", 0);
		t->row.child = !exit_is_hw(reason) || reason >= EXIT_SDM_COUNT || s->kernel_saw[reason];
	}
	t->row.observed = (uint8_t)(observed < OBSERVED_COUNT ? observed : OBSERVED_VMM);
	t->row.cost_ns = field(e, "cost_ns", 0);
	t->row.modelled = field(e, "modelled", 0) != 0;
	t->row.has_cost = own->flags & SESSION_KNOWS_COST && (t->row.modelled || t->row.cost_ns);
	t->row.has_rip = !(own->flags & SESSION_NO_RIP);
	if (exit_is_hw(reason)) {
		t->row.has_direct = own->flags & SESSION_COUNTS_INSNS;
		t->row.direct = insns - t->prev_insns;
		t->prev_insns = insns;
	}
	flush(s, t);
}

/* A row without a duration. */
static void single(struct row_sink *s, struct reader_track *t, const struct trace_event *e, struct exit_row how)
{
	struct reader_track saved = *t;

	start_row(s, t, e);
	t->row.reason = how.reason;
	t->row.isa = how.isa;
	t->row.observed = how.observed;
	t->row.child = how.child;
	flush(s, t);
	*t = saved;
}

/* Only where no exit is open, nor ever was: a kernel that traces accesses but has no exits. */
static void on_emulated(struct row_sink *s, struct reader_track *t, const struct trace_event *e, uint32_t reason)
{
	if (!t->runs_guest && !own_session(s->r, e->pid))
		single(
		    s, t, e, (struct exit_row){.reason = reason, .isa = ISA_VMX, .observed = OBSERVED_KERNEL_EMULATOR});
}

/* What the kernel's emulator is at, where the record has the bytes; those that failed may be the only ones recorded. */
static void on_emulate_insn(struct row_sink *s, struct reader_track *t, const struct trace_event *e)
{
	struct tep_format_field *f = tep_find_field(e->format, "insn");
	uint64_t len = field(e, "len", 0);

	s->r->emulated++;
	if (f && len <= (uint64_t)f->size && (size_t)f->offset + len <= e->size && field(e, "failed", 1) == 0)
		t->insn = kernel_insn_is_cpuid((const uint8_t *)e->data + f->offset, (size_t)len) ? KERNEL_INSN_CPUID
												  : KERNEL_INSN_OTHER;
}

static void on_cpuid(struct row_sink *s, struct reader_track *t, const struct trace_event *e)
{
	bool leaf0 = field(e, "function", 1) == 0 && field(e, "index", 1) == 0;

	if (t->runs_guest || !kernel_cpuid_counts(&t->insn, leaf0, &s->r->uncertain_cpuid))
		return;
	on_emulated(s, t, e, EXIT_CPUID);
}

static void on_event(struct row_sink *s, const struct trace_event *e)
{
	struct trace_reader *r = s->r;
	enum reader_kind kind = e->format ? r->formats[e->format->id].kind : KIND_UNKNOWN;
	struct reader_track *t;

	if (kind == KIND_UNKNOWN || kind == KIND_OTHER || kind == KIND_SESSION || !(t = reader_track(r, e->pid)))
		return;
	switch (kind) {
	case KIND_EXIT:
		on_kvm_exit(s, t, e);
		break;
	case KIND_ENTRY:
		on_kvm_entry(s, t, e);
		break;
	case KIND_VERDICT:
		on_verdict(s, t, e);
		break;
	case KIND_USERSPACE_EXIT:
		if (!own_session(r, e->pid)) /* ours has a verdict that says more */
			single(s, t, e,
			    (struct exit_row){.reason = (uint32_t)field(e, "reason", 0),
				.isa = ISA_KVM_USER,
				.observed = OBSERVED_KERNEL,
				.child = true});
		break;
	case KIND_PIO:
		on_emulated(s, t, e, EXIT_IO_INSTRUCTION);
		break;
	case KIND_MMIO:
		if (field(e, "type", 1) != 0) /* an unsatisfied read is traced again when it is satisfied */
			on_emulated(s, t, e, EXIT_EPT_VIOLATION);
		break;
	case KIND_MSR:
		on_emulated(s, t, e, field(e, "write", 0) ? EXIT_MSR_WRITE : EXIT_MSR_READ);
		break;
	case KIND_CR:
		on_emulated(s, t, e, EXIT_CR_ACCESS);
		break;
	case KIND_CPUID:
		on_cpuid(s, t, e);
		break;
	case KIND_EMULATE:
		on_emulate_insn(s, t, e);
		break;
	case KIND_LOST:
		r->lost += field(e, "count", 0);
		break;
	case KIND_UNKNOWN:
	case KIND_OTHER:
	case KIND_SESSION:
		break;
	}
}

static void note_kernel_row(void *arg, const struct exit_row *row)
{
	struct row_sink *s = arg;
	uint32_t reason = row->isa == ISA_KVM_USER ? UINT32_MAX : kernel_exit_reason(row->isa, row->reason, row->info1);

	if (!own_session(s->r, row->pid) && reason < EXIT_SDM_COUNT)
		s->kernel_saw[reason] = true;
}

/* A trace of ours with lanes of the host is read once more, before, to learn which reasons its kernel counted. */
static void learn_kernel_rows(struct trace_reader *r, struct row_sink *out)
{
	struct row_sink s = {.r = r, .row = note_kernel_row, .arg = out};
	struct trace_event e;

	if (!tep_find_event_by_name(r->tep, "vmscope", "session"))
		return;
	while (reader_next(r, &e)) {
		on_event(&s, &e);
		if (r->has_session && r->n_lanes <= r->session.vcpus)
			break; /* nothing but our own lanes */
	}
	for (size_t i = 0; i < r->n_tracks; i++)
		flush(&s, &r->tracks[i]);
	reader_rewind(r);
}

void reader_rows(struct trace_reader *r, void (*row)(void *arg, const struct exit_row *row), void *arg)
{
	struct row_sink s = {.r = r, .row = row, .arg = arg};
	struct trace_event e;

	if (r->text) {
		text_rows(r, row, arg);
	} else {
		learn_kernel_rows(r, &s);
		while (reader_next(r, &e))
			on_event(&s, &e);
	}
	for (size_t i = 0; i < r->n_tracks; i++)
		flush(&s, &r->tracks[i]);
}

static void add_row(void *arg, const struct exit_row *row)
{
	stats_add(arg, row);
}

void reader_stats(struct trace_reader *r, struct exit_stats *s)
{
	reader_rows(r, add_row, s);
	s->lost += r->lost;
	s->lost_unknown |= r->lost_unknown;
	s->emulated += r->emulated;
	s->uncertain_cpuid += r->uncertain_cpuid;
	stats_sort(s);
}
