/*
 * One guest instruction of a model: its effect, its exit or its exception. The rules are those of the software CPU,
 * because they are its code: the handlers of core/x86 decide on intercepts and carry out what does not exit. Here is
 * only what has no guest bytes to work on: strings, memory operands, and the hand-over of results.
 */
#include "modes/simulate/simulate.h"

#include "core/x86/event.h"
#include "core/lib.h"

void sim_retire(struct sim_vcpu *m, uint64_t n)
{
	m->v->vm->clock.insns += n;
	m->v->cpu.insns += n;
	m->budget -= n;
	m->box.insns = 0;
}

static enum sim_step leave(struct sim_vcpu *m, uint32_t reason, uint64_t qual, unsigned insn_len)
{
	x86_exit(&m->v->cpu, reason, qual, insn_len);
	return SIM_STEP_EXIT;
}

/* Does the exception bitmap send this one to the VMM? [SDM 3C "Exception Bitmap"] */
static bool exception_exits(const struct vm_controls *ctl, const struct x86_event *ev)
{
	bool wanted = ctl->exceptions >> ev->vector & 1;
	if (ev->vector == VEC_PF && (ev->error & ctl->pf_mask) != ctl->pf_match)
		return !wanted;
	return wanted;
}

void sim_set_cpl(struct x86_cpu *c, unsigned cpl)
{
	static const unsigned segs[] = {X86_CS, X86_SS};
	for (unsigned i = 0; i < ARRAY_LEN(segs); i++) {
		struct x86_seg *s = &c->s.seg[segs[i]];
		s->attr = (s->attr & ~SEG_DPL) | cpl << SEG_DPL_SHIFT;
		s->sel = (uint16_t)((s->sel & ~3u) | cpl);
	}
	x86_state_changed(c);
}

void sim_step_faulted(struct sim_vcpu *m, struct sim_frame *f, const struct x86_event *ev)
{
	struct x86_cpu *c = &m->v->cpu;
	if (ev->vector == VEC_PF)
		c->s.cr2 = ev->cr2;
	if (ev->vector == VEC_DB)
		c->s.dr6 = x86_dr6_with(c->s.dr6, ev->dr6);
	if (c->mode >= X86_MODE_PROT && c->cpl)
		sim_set_cpl(c, 0); /* the guest's handler is its kernel */
	f->req.faulted = true;
	f->req.fault = *ev;
	f->busy = false;
}

static enum sim_step raise(struct sim_vcpu *m, struct sim_frame *f, const struct x86_event *ev)
{
	struct x86_cpu *c = &m->v->cpu;
	if (!exception_exits(&m->v->vm->controls, ev)) {
		sim_step_faulted(m, f, ev);
		return SIM_STEP_DONE;
	}
	x86_exit(c, EXIT_EXCEPTION_NMI, ev->vector == VEC_PF ? ev->cr2 : ev->vector == VEC_DB ? ev->dr6 : 0, 0);
	c->exit->intr_info = INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION << INTR_INFO_TYPE_SHIFT | ev->vector |
			     (ev->has_error ? INTR_INFO_ERROR : 0);
	c->exit->intr_error = ev->error;
	return SIM_STEP_EXIT;
}

/*
 * Trap-and-emulate: the VMM would look at the guest's bytes to see which instruction raised the exception. A model has
 * none, so its exit carries the instruction's number (value) and length, and sim_step_complete() executes it.
 */
static enum sim_step raise_by(
    struct sim_vcpu *m, struct sim_frame *f, const struct x86_event *ev, uint16_t id, uint8_t len)
{
	enum sim_step step = raise(m, f, ev);
	if (step == SIM_STEP_EXIT && m->v->vm->controls.ring != RING_HW) {
		m->v->cpu.exit->insn_len = len;
		m->v->cpu.exit->value = id;
	}
	return step;
}

static enum sim_step raise_gp(struct sim_vcpu *m, struct sim_frame *f, uint16_t id, uint8_t len)
{
	struct x86_event gp = {.vector = VEC_GP, .type = INTR_TYPE_HW_EXCEPTION, .has_error = 1};
	return raise_by(m, f, &gp, id, len);
}

/* The registers that are an instruction's answer. */
static void collect(struct sim_vcpu *m, struct sim_request *r)
{
	const uint64_t *gpr = m->v->cpu.s.gpr;
	switch (r->answer) {
	case SIM_ANSWER_RAX:
		r->out[0] = gpr[X86_RAX];
		break;
	case SIM_ANSWER_EDX_EAX:
		r->out[0] = gpr[X86_RDX] << 32 | (uint32_t)gpr[X86_RAX];
		break;
	case SIM_ANSWER_CPUID:
		r->out[0] = (uint32_t)gpr[X86_RAX];
		r->out[1] = (uint32_t)gpr[X86_RBX];
		r->out[2] = (uint32_t)gpr[X86_RCX];
		r->out[3] = (uint32_t)gpr[X86_RDX];
		break;
	case SIM_ANSWER_NONE:
	case SIM_ANSWER_DATA:
		break;
	}
}

static enum sim_step done(struct sim_vcpu *m, struct sim_frame *f)
{
	if (f->req.op == SIM_INSN)
		collect(m, &f->req);
	f->busy = false;
	sim_retire(m, 1);
	return SIM_STEP_DONE;
}

static enum x86_rc execute(struct x86_cpu *c, const struct sim_request *r)
{
	c->s.gpr[X86_RAX] = r->rax;
	c->s.gpr[X86_RBX] = r->rbx;
	c->s.gpr[X86_RCX] = r->rcx;
	c->s.gpr[X86_RDX] = r->rdx;
	c->s.rip = r->insn.len; /* a handler finds rip behind its instruction; a model's are all at 0 */
	c->budget = 1;
	enum x86_rc rc = r->insn.fn(c, &r->insn);
	c->s.rip = 0;
	return rc;
}

static uint64_t cut(uint64_t v, unsigned size)
{
	return size >= 8 ? v : v & ((1ull << 8 * size) - 1);
}

/* A backend that completes instructions itself puts their operands into the exit. */
static void fill_operands(const struct sim_request *r, struct vm_exit *e)
{
	switch (e->reason) {
	case EXIT_CPUID:
		e->cpuid.leaf = (uint32_t)r->rax;
		e->cpuid.subleaf = (uint32_t)r->rcx;
		break;
	case EXIT_IO_INSTRUCTION:
		e->io.port = (uint16_t)r->rdx;
		e->io.size = r->insn.opsize;
		e->io.in = (e->qual & QUAL_IO_IN) != 0;
		e->io.count = 1;
		e->io.value = e->io.in ? 0 : cut(r->rax, r->insn.opsize);
		break;
	case EXIT_MSR_READ:
	case EXIT_MSR_WRITE:
		e->msr.index = (uint32_t)r->rcx;
		e->msr.write = e->reason == EXIT_MSR_WRITE;
		e->msr.value = e->msr.write ? r->rdx << 32 | (uint32_t)r->rax : 0;
		break;
	case EXIT_CR_ACCESS:
		e->cr.value = cut(r->rax, r->insn.opsize);
		break;
	case EXIT_DR_ACCESS:
		e->dr.value = cut(r->rax, r->insn.opsize);
		break;
	case EXIT_XSETBV:
		e->raw[1] = (uint32_t)r->rcx;
		e->value = r->rdx << 32 | (uint32_t)r->rax;
		break;
	default:
		break;
	}
}

static enum sim_step step_insn(struct sim_vcpu *m, struct sim_frame *f)
{
	struct sim_request *r = &f->req;
	struct x86_cpu *c = &m->v->cpu;
	switch (execute(c, r)) {
	case X86_OK:
		return done(m, f);
	case X86_FAULT:
		return raise_by(m, f, &c->fault, r->insn.id, r->insn.len);
	case X86_EXIT:
		c->exit->rip = 0;
		fill_operands(r, c->exit);
		return SIM_STEP_EXIT;
	case X86_STOP:
	case X86_RETRY:
		break;
	}
	vm_kill(m->v->vm, END_UNIMPLEMENTED, 0, "model: %s", c->stop_reason);
	return leave(m, EXIT_VMM_UNIMPLEMENTED, 0, 0);
}

static enum sim_step step_compute(struct sim_vcpu *m, struct sim_frame *f)
{
	uint64_t n = f->req.n < m->budget ? f->req.n : m->budget;
	if (m->v->cpu.s.intr_shadow) /* it ends with the next instruction: look for interrupts then */
		n = 1;
	f->req.n -= n;
	f->busy = f->req.n != 0;
	sim_retire(m, n);
	return SIM_STEP_DONE;
}

static uint64_t get_le(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;
	memcpy(&v, p, n);
	return v;
}

/* One iteration is done. */
static enum sim_step string_next(struct sim_vcpu *m, struct sim_frame *f, bool retire)
{
	f->req.done += f->req.size;
	f->busy = f->req.done < f->req.len;
	if (retire)
		sim_retire(m, 1);
	return SIM_STEP_DONE;
}

/* REP INS, REP OUTS: one exit an iteration. [SDM 3C "Exit Qualification for I/O Instructions"] */
static enum sim_step step_string(struct sim_vcpu *m, struct sim_frame *f)
{
	struct sim_request *r = &f->req;
	const struct vm_controls *ctl = &m->v->vm->controls;
	uint64_t value = r->write ? get_le(r->data + r->done, r->size) : 0;
	if (ctl->ring != RING_HW)
		return raise_gp(m, f, r->write ? INSN_OUTS : INSN_INS, 2); /* CPL 3 above IOPL */
	if (!controls_io_exits(ctl, (uint16_t)r->port, r->size)) {
		if (r->write) {
			bus_pio_write(&m->v->vm->bus, (uint16_t)r->port, r->size, value);
		} else {
			value = bus_pio_read(&m->v->vm->bus, (uint16_t)r->port, r->size);
			memcpy(r->data + r->done, &value, r->size);
		}
		return string_next(m, f, true);
	}
	leave(m, EXIT_IO_INSTRUCTION,
	    (r->size - 1u) | (r->write ? 0 : QUAL_IO_IN) | QUAL_IO_STRING | (r->rep ? QUAL_IO_REP : 0) |
		(uint64_t)r->port << QUAL_IO_PORT_SHIFT,
	    2);
	m->v->cpu.exit->rip = 0;
	m->v->cpu.exit->io = (struct exit_io){.port = (uint16_t)r->port,
	    .size = r->size,
	    .in = !r->write,
	    .string = 1,
	    .rep = r->rep,
	    .addr_size = m->v->cpu.code_size,
	    .count = (r->len - r->done) / r->size,
	    .value = value};
	return SIM_STEP_EXIT;
}

/* RAM is the model's own; a device, a hole and a write to ROM exit. [SDM 3C "Exit Qualification for EPT Violations"] */
static enum sim_step step_memory(struct sim_vcpu *m, struct sim_frame *f)
{
	struct sim_request *r = &f->req;
	uint64_t offset = r->addr & (PAGE_SIZE_4K - 1);
	uint8_t *page = mem_page(&m->v->vm->mem, r->addr, r->write);
	if (page && offset + r->size <= PAGE_SIZE_4K) {
		if (r->write)
			memcpy(page + offset, &r->value, r->size);
		else
			r->out[0] = get_le(page + offset, r->size);
		return done(m, f);
	}
	leave(m, EXIT_EPT_VIOLATION,
	    (r->write ? QUAL_EPT_WRITE : QUAL_EPT_READ) | QUAL_EPT_GLA_VALID | QUAL_EPT_TRANSLATED, 0);
	struct vm_exit *e = m->v->cpu.exit;
	e->rip = 0;
	e->gpa = r->addr;
	e->gla = r->addr;
	e->mmio =
	    (struct exit_mmio){.value = r->write ? r->value : 0, .size = r->size, .write = r->write, .n_accesses = 1};
	return SIM_STEP_EXIT;
}

/* What the instruction does once nothing stands in its way any more. */
static void table_effect(struct sim_vcpu *m, struct sim_request *r)
{
	struct x86_state *s = &m->v->cpu.s;
	struct x86_dtable *t = r->port & 1 ? &s->idtr : &s->gdtr;
	struct x86_seg *seg = r->port == 7 ? &s->tr : &s->ldtr;
	if (r->port >= 4) {
		seg->sel = (uint16_t)r->value;
	} else if (r->port >= 2) {
		t->base = r->addr;
		t->limit = (uint16_t)r->value;
	} else {
		r->out[0] = t->limit;
		r->out[1] = t->base;
	}
}

/*
 * LGDT LIDT SGDT SIDT LLDT LTR: their operand or descriptor lies in guest memory, which a model does not have; the
 * values come with the primitive. port has the instruction's number in the VM-exit instruction information: 0 SGDT,
 * 1 SIDT, 2 LGDT, 3 LIDT; 4 + (2 LLDT, 3 LTR). [SDM 3C "Instructions That Cause VM Exits Conditionally"]
 */
static enum sim_step step_tables(struct sim_vcpu *m, struct sim_frame *f)
{
	struct sim_request *r = &f->req;
	const struct vm_controls *ctl = &m->v->vm->controls;
	bool store = r->port < 2;
	static const uint16_t ids[] = {
	    INSN_SGDT, INSN_SIDT, INSN_LGDT, INSN_LIDT, INSN_SLDT, INSN_STR, INSN_LLDT, INSN_LTR};
	if (ctl->ring == RING_UMIP || (ctl->ring == RING_DEPRIVILEGED && !store))
		return raise_gp(m, f, ids[r->port], 3);
	if (ctl->proc2 & PROC2_DESC_TABLE_EXIT) {
		leave(m, r->port < 4 ? EXIT_GDTR_IDTR : EXIT_LDTR_TR, 0, 3);
		m->v->cpu.exit->rip = 0;
		m->v->cpu.exit->insn_info = (r->port & 3) << 28;
		return SIM_STEP_EXIT;
	}
	table_effect(m, r);
	return done(m, f);
}

static enum sim_step step_fault(struct sim_vcpu *m, struct sim_frame *f)
{
	struct sim_request *r = &f->req;
	struct x86_event ev = {.vector = r->vector,
	    .type = INTR_TYPE_HW_EXCEPTION,
	    .has_error = r->has_error,
	    .error = r->error,
	    .cr2 = r->addr};
	return raise(m, f, &ev);
}

enum sim_step sim_step(struct sim_vcpu *m, struct sim_frame *f, struct vm_exit *e)
{
	struct x86_state *s = &m->v->cpu.s;
	uint32_t shadow = s->intr_shadow & (INTR_SHADOW_STI | INTR_SHADOW_MOVSS);
	uint64_t before = m->v->cpu.insns;
	enum sim_step step = SIM_STEP_DONE;
	m->v->cpu.exit = e;
	switch (f->req.op) {
	case SIM_COMPUTE:
		step = step_compute(m, f);
		break;
	case SIM_INSN:
		step = step_insn(m, f);
		break;
	case SIM_STRING:
		step = step_string(m, f);
		break;
	case SIM_MEMORY:
		step = step_memory(m, f);
		break;
	case SIM_TABLES:
		step = step_tables(m, f);
		break;
	case SIM_FAULT:
		step = step_fault(m, f);
		break;
	case SIM_TRIPLE:
		step = leave(m, EXIT_TRIPLE_FAULT, 0, 0);
		break;
	case SIM_NONE:
		break;
	}
	if (m->v->cpu.insns != before)
		s->intr_shadow &= ~shadow;
	return step;
}

/* The results that the exit's handler left in the record become the registers' values. */
static void take_results(struct sim_vcpu *m, const struct vm_exit *e)
{
	uint64_t *gpr = m->v->cpu.s.gpr;
	switch (e->reason) {
	case EXIT_CPUID:
		gpr[X86_RAX] = e->cpuid.eax;
		gpr[X86_RBX] = e->cpuid.ebx;
		gpr[X86_RCX] = e->cpuid.ecx;
		gpr[X86_RDX] = e->cpuid.edx;
		break;
	case EXIT_MSR_READ:
		gpr[X86_RAX] = (uint32_t)e->msr.value;
		gpr[X86_RDX] = e->msr.value >> 32;
		break;
	case EXIT_RDTSC:
	case EXIT_RDTSCP:
	case EXIT_RDPMC:
		gpr[X86_RAX] = (uint32_t)e->value;
		gpr[X86_RDX] = e->value >> 32;
		break;
	case EXIT_IO_INSTRUCTION:
		if (e->io.in)
			gpr[X86_RAX] = e->io.value;
		break;
	case EXIT_CR_ACCESS:
		if ((e->qual >> QUAL_CR_TYPE_SHIFT & 3) == 1)
			gpr[X86_RAX] = e->cr.value;
		break;
	case EXIT_DR_ACCESS:
		if (e->dr.read)
			gpr[X86_RAX] = e->dr.value;
		break;
	case EXIT_VMCALL:
		gpr[X86_RAX] = e->value;
		break;
	default:
		break;
	}
}

/* The VMM's own executor: the instruction at the CPL that the guest believes in, with no intercepts. */
static void execute_for_guest(struct sim_vcpu *m, struct sim_frame *f)
{
	struct x86_cpu *c = &m->v->cpu;
	const struct vm_controls *ctl = c->ctl;
	struct vm_exit scratch = {0}, *exit = c->exit;
	x86_set_controls(c, NULL);
	c->exit = &scratch;
	enum x86_rc rc = execute(c, &f->req);
	x86_set_controls(c, ctl);
	c->exit = exit;
	if (rc == X86_FAULT) {
		sim_step_faulted(m, f, &c->fault);
		return;
	}
	collect(m, &f->req);
	sim_retire(m, 1);
	m->v->cpu.s.intr_shadow &= ~(f->req.insn.id == INSN_STI ? 0u : INTR_SHADOW_STI);
}

static void io_for_guest(struct sim_vcpu *m, struct sim_request *r)
{
	uint64_t value = 0;
	if (r->write) {
		bus_pio_write(&m->v->vm->bus, (uint16_t)r->port, r->size, get_le(r->data + r->done, r->size));
		return;
	}
	value = bus_pio_read(&m->v->vm->bus, (uint16_t)r->port, r->size);
	memcpy(r->data + r->done, &value, r->size);
}

void sim_step_complete(struct sim_vcpu *m, struct sim_frame *f, const struct vm_exit *e)
{
	struct sim_request *r = &f->req;
	bool trapped = e->reason == EXIT_EXCEPTION_NMI;
	bool tables =
	    e->reason == EXIT_GDTR_IDTR || e->reason == EXIT_LDTR_TR; /* the exit has no room for their result */
	f->busy = false;
	if ((trapped || tables) && r->op == SIM_INSN && r->insn.id != INSN_HLT) {
		execute_for_guest(m, f);
		return;
	}
	m->v->cpu.s.intr_shadow &= ~(INTR_SHADOW_STI | INTR_SHADOW_MOVSS);
	sim_retire(m, 1);
	switch (r->op) {
	case SIM_INSN:
		take_results(m, e);
		collect(m, r);
		break;
	case SIM_MEMORY:
		r->out[0] = e->mmio.value;
		break;
	case SIM_STRING:
		if (trapped)
			io_for_guest(m, r);
		else if (!r->write)
			memcpy(r->data + r->done, &e->io.value, r->size);
		string_next(m, f, false);
		break;
	case SIM_TABLES:
		table_effect(m, r);
		break;
	case SIM_NONE:
	case SIM_COMPUTE:
	case SIM_FAULT:
	case SIM_TRIPLE:
		break;
	}
}
