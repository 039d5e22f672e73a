/*
 * Encoders: one record of the ring becomes one or more events. The details of an exit (the value of a port access, the
 * answer of CPUID) are known only after its handler; they follow the kvm_exit, as they do in a kernel's trace.
 */
#include "tracer/encode.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/vm.h"

/* Where an event goes. lost is given to the first event of a record only. */
struct sink {
	struct trace_dat *td;
	unsigned vcpu;
	uint64_t ts, lost;
};

/* A failure stays in the file's own state and is reported when it is closed. */
static void emit(struct sink *s, void *event, size_t n, enum event_id id)
{
	struct event_common common = {.type = (uint16_t)id, .pid = (int32_t)s->vcpu + 1};

	memcpy(event, &common, sizeof(common));
	(void)!trace_dat_write(s->td, s->vcpu, s->ts, event, n, s->lost);
	s->lost = 0;
}

/* An event with all bytes zero, padding included: traces must be equal byte by byte. */
#define NEW(name, var)           \
	struct event_##name var; \
	memset(&var, 0, sizeof(var))
#define EMIT(sink, name, var) emit(sink, &(var), sizeof(var), EVENT_ID_##name)

uint32_t encode_kvm_user_reason(uint32_t reason)
{
	enum { EXCEPTION = 1, IO = 2, HYPERCALL = 3, DEBUG = 4, HLT = 5, MMIO = 6, IRQ_WINDOW = 7, SHUTDOWN = 8 };
	enum { FAIL_ENTRY = 9, INTR = 10, SET_TPR = 11, INTERNAL_ERROR = 17, RDMSR = 29, WRMSR = 30 };
	static const struct {
		uint32_t reason, kvm;
	} map[] = {
	    {EXIT_EXCEPTION_NMI, EXCEPTION},
	    {EXIT_IO_INSTRUCTION, IO},
	    {EXIT_VMCALL, HYPERCALL},
	    {EXIT_VMM_DEBUG, DEBUG},
	    {EXIT_HLT, HLT},
	    {EXIT_EPT_VIOLATION, MMIO},
	    {EXIT_EPT_MISCONFIG, MMIO},
	    {EXIT_INTERRUPT_WINDOW, IRQ_WINDOW},
	    {EXIT_VMM_IRQ_WINDOW, IRQ_WINDOW},
	    {EXIT_TRIPLE_FAULT, SHUTDOWN},
	    {EXIT_VMM_FAIL_ENTRY, FAIL_ENTRY},
	    {EXIT_VMM_INTR, INTR},
	    {EXIT_VMM_KICK, INTR},
	    {EXIT_VMM_TIMER, INTR},
	    {EXIT_VMM_SET_TPR, SET_TPR},
	    {EXIT_VMM_INTERNAL_ERROR, INTERNAL_ERROR},
	    {EXIT_MSR_READ, RDMSR},
	    {EXIT_MSR_WRITE, WRMSR},
	};

	for (size_t i = 0; i < ARRAY_LEN(map); i++)
		if (map[i].reason == reason)
			return map[i].kvm;
	return 0;
}

static void encode_entry(struct sink *s, const struct trace_rec *r)
{
	NEW(kvm_entry, e);
	e.vcpu_id = s->vcpu;
	e.rip = r->rip;
	e.intr_info = r->entry.intr_info;
	e.error_code = r->entry.intr_error;
	EMIT(s, kvm_entry, e);
}

static void encode_event(struct sink *s, enum encode_as as, const struct trace_rec *r)
{
	if (as == ENCODE_USERSPACE) {
		NEW(kvm_userspace_exit, e);
		e.reason = encode_kvm_user_reason(r->reason);
		EMIT(s, kvm_userspace_exit, e);
	} else if (as == ENCODE_EXITS && exit_is_hw(r->reason)) {
		NEW(kvm_exit, e);
		e.exit_reason = r->reason;
		e.guest_rip = r->rip;
		e.isa = 1;
		e.info1 = r->exit.info1;
		e.info2 = r->exit.info2;
		e.intr_info = r->exit.intr_info;
		e.error_code = r->exit.intr_error;
		e.vcpu_id = s->vcpu;
		EMIT(s, kvm_exit, e);
	}
}

static void encode_io(struct sink *s, const struct exit_io *io)
{
	NEW(kvm_pio, e);
	e.rw = !io->in;
	e.port = io->port;
	e.size = io->size;
	e.count = io->count ? io->count : 1;
	e.val = (uint32_t)io->value;
	EMIT(s, kvm_pio, e);
}

/* An EPT violation is two events in a kernel's trace: the fault, and the access that a device answered. */
static void encode_mmio(struct sink *s, const struct trace_rec *r, const struct exit_mmio *m)
{
	NEW(kvm_page_fault, f);
	NEW(kvm_mmio, e);

	f.vcpu_id = s->vcpu;
	f.guest_rip = r->rip;
	f.fault_address = r->exit.gpa;
	f.error_code = m->fetch ? 1u << 4 : m->write ? 1u << 1 : 1u << 2;
	EMIT(s, kvm_page_fault, f);
	e.type = m->write ? 2 : 1;
	e.len = m->size;
	e.gpa = r->exit.gpa;
	e.val = m->value;
	EMIT(s, kvm_mmio, e);
}

static void encode_msr(struct sink *s, const struct exit_msr *m)
{
	NEW(kvm_msr, e);
	e.write = m->write;
	e.ecx = m->index;
	e.data = m->value;
	e.exception = m->fault;
	EMIT(s, kvm_msr, e);
}

static void encode_cr(struct sink *s, const struct exit_cr *c)
{
	NEW(kvm_cr, e);
	e.rw = c->type != 1; /* all but MOV from CR write */
	e.cr = c->cr;
	e.val = c->value;
	EMIT(s, kvm_cr, e);
}

static void encode_cpuid(struct sink *s, const struct exit_cpuid *c)
{
	NEW(kvm_cpuid, e);
	e.function = c->leaf;
	e.index = c->subleaf;
	e.rax = c->eax;
	e.rbx = c->ebx;
	e.rcx = c->ecx;
	e.rdx = c->edx;
	e.found = 1;
	EMIT(s, kvm_cpuid, e);
}

static void encode_detail(struct sink *s, enum encode_as as, const struct trace_rec *r)
{
	struct vm_exit x;

	memcpy(x.raw, r->exit.raw, sizeof(x.raw));
	if (!exit_is_hw(r->reason)) {
		NEW(vmm_exit, e);
		e.vcpu_id = s->vcpu;
		e.exit_reason = r->reason;
		e.rip = r->rip;
		e.code = x.host.code;
		e.suberror = x.host.suberror;
		if (as == ENCODE_EXITS)
			EMIT(s, vmm_exit, e);
		return;
	}
	if (as != ENCODE_EXITS) /* the kernel's own kvm_pio, kvm_mmio, ... are there */
		return;
	if (r->reason == EXIT_IO_INSTRUCTION)
		encode_io(s, &x.io);
	else if (r->reason == EXIT_EPT_VIOLATION || r->reason == EXIT_EPT_MISCONFIG)
		encode_mmio(s, r, &x.mmio);
	else if (r->reason == EXIT_MSR_READ || r->reason == EXIT_MSR_WRITE)
		encode_msr(s, &x.msr);
	else if (r->reason == EXIT_CR_ACCESS)
		encode_cr(s, &x.cr);
	else if (r->reason == EXIT_CPUID)
		encode_cpuid(s, &x.cpuid);
}

void encode_verdict(struct trace_dat *td, unsigned vcpu, const struct trace_rec *r)
{
	struct sink s = {.td = td, .vcpu = vcpu, .ts = r->ts};
	NEW(verdict, e);
	e.vcpu_id = vcpu;
	e.exit_reason = r->reason;
	e.rip = r->rip;
	e.index = r->exit.index;
	e.insns = r->exit.insns;
	e.cost_ns = r->exit.cost_ns;
	e.verdict = r->verdict;
	e.observed = r->observed;
	e.modelled = r->modelled;
	e.insn_len = r->insn_len;
	EMIT(&s, verdict, e);
}

static void encode_inject(struct sink *s, const struct trace_rec *r)
{
	if (r->inject.type == INTR_TYPE_EXTERNAL || r->inject.type == INTR_TYPE_SW_INT) {
		NEW(kvm_inj_virq, e);
		e.vector = r->inject.vector;
		e.soft = r->inject.type == INTR_TYPE_SW_INT;
		EMIT(s, kvm_inj_virq, e);
	} else {
		NEW(kvm_inj_exception, e);
		e.exception = r->inject.vector;
		e.has_error = r->inject.has_error;
		e.error_code = r->inject.error;
		EMIT(s, kvm_inj_exception, e);
	}
}

void encode_exit(struct trace_dat *td, enum encode_as as, unsigned vcpu, const struct trace_rec *r)
{
	struct sink s = {.td = td, .vcpu = vcpu, .ts = r->ts, .lost = r->slot.lost_before};

	encode_event(&s, as, r);
	encode_detail(&s, as, r);
	if (s.lost) /* nothing was written for this record */
		encode_lost(td, vcpu, r->ts, s.lost);
}

void encode_rec(struct trace_dat *td, enum encode_as as, unsigned vcpu, const struct trace_rec *r)
{
	struct sink s = {.td = td, .vcpu = vcpu, .ts = r->ts, .lost = r->slot.lost_before};

	switch ((enum trace_rec_kind)r->kind) {
	case TRACE_REC_ENTRY:
		if (as == ENCODE_EXITS)
			encode_entry(&s, r);
		break;
	case TRACE_REC_EXIT:
		encode_exit(td, as, vcpu, r);
		encode_verdict(td, vcpu, r);
		return;
	case TRACE_REC_INJECT:
		encode_inject(&s, r);
		break;
	}
	if (s.lost) /* nothing was written for this record */
		encode_lost(td, vcpu, r->ts, s.lost);
}

void encode_session(struct trace_dat *td, const struct vm *vm, uint64_t ts)
{
	struct sink s = {.td = td, .ts = ts};
	const struct mode_ops *mode = vm->cfg.mode;
	const char *slash = vm->cfg.guest ? strrchr(vm->cfg.guest, '/') : NULL;
	NEW(session, e);

	e.version = SESSION_VERSION;
	e.type = mode->type;
	e.vcpus = vm->n_vcpus;
	e.flags = (mode->caps & MODE_CAP_COUNTS_INSNS ? SESSION_COUNTS_INSNS : 0) |
		  (vm->clock.kind == CLOCK_HOST || vm->cfg.cost ? SESSION_KNOWS_COST : 0) |
		  (mode->caps & MODE_CAP_MODEL ? SESSION_NO_RIP : 0);
	e.seed = vm->cfg.seed;
	e.mem = vm->cfg.mem_size;
	snprintf(e.guest, sizeof(e.guest), "%s", slash ? slash + 1 : vm->cfg.guest ? vm->cfg.guest : "guest");
	snprintf(e.mode, sizeof(e.mode), "%s", mode->name);
	snprintf(e.backend, sizeof(e.backend), "%s", mode->engine);
	snprintf(e.controls, sizeof(e.controls), "%s", vm->controls.name);
	snprintf(e.clock, sizeof(e.clock), "%s", vm->clock.kind == CLOCK_VIRTUAL ? "virtual" : "host");
	snprintf(e.cost, sizeof(e.cost), "%s", vm->cfg.cost ? vm->cfg.cost->name : "-");
	EMIT(&s, session, e);
}

void encode_lost(struct trace_dat *td, unsigned vcpu, uint64_t ts, uint64_t count)
{
	struct sink s = {.td = td, .vcpu = vcpu, .ts = ts};
	NEW(lost, e);

	e.vcpu_id = vcpu;
	e.count = count;
	EMIT(&s, lost, e);
}

void encode_end(struct trace_dat *td, const struct vm *vm, uint64_t ts)
{
	struct sink s = {.td = td, .ts = ts};
	NEW(end, e);

	e.kind = vm->end.kind;
	e.code = vm->end.code;
	e.insns = vm->clock.insns;
	EMIT(&s, end, e);
}
