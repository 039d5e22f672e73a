/*
 * The reference as a listener. It keeps its CPU and its memory; everything outside is replaced:
 *
 *   - its bus has one device that covers every port and address: reads give what the subject read, writes are compared
 *     with what the subject wrote;
 *   - RDMSR gives the subject's value (or its fault); HLT and FERR# do not wait, since the subject has waited already;
 *   - its memory slots follow the subject's (ROM shadow registers are devices, and only the subject's act);
 *   - reading the time stamp counter without an exit is noticed: that input cannot be fed.
 */
#include <string.h>

#include "core/env.h"
#include "core/ferr.h"
#include "core/handlers.h"
#include "core/lib.h"
#include "core/x86/insn.h"
#include "tracer/equivalence_impl.h"

enum { FEED_PIO, FEED_MMIO };

static struct equivalence *of_vm(const struct vm *vm)
{
	return vm->cfg.user_arg;
}

static uint64_t all_ones(unsigned n)
{
	return n >= 8 ? UINT64_MAX : (1ull << (8 * n)) - 1;
}

/* Is this the access that the subject's exit was made of? */
static bool expected(const struct equivalence *q, unsigned region, uint64_t at, unsigned len, bool write)
{
	const struct vm_exit *e = q->feed;

	if (!e)
		return false;
	if (region == FEED_PIO)
		return e->reason == EXIT_IO_INSTRUCTION && e->io.port == at && e->io.size == len && e->io.in == !write;
	return e->reason == EXIT_EPT_VIOLATION && e->gpa == at && e->mmio.size == len && e->mmio.write == write;
}

/* The read of a read-modify-write: the exit shows the write, and what was read before it. */
static bool read_before_write(const struct equivalence *q, unsigned region, uint64_t at, unsigned len)
{
	const struct vm_exit *e = q->feed;

	return e && region == FEED_MMIO && e->reason == EXIT_EPT_VIOLATION && e->mmio.n_accesses == 2 &&
	       e->mmio.write && e->gpa == at && e->mmio.size == len;
}

static uint64_t feed_access_read(struct equivalence *q, unsigned region, uint64_t at, unsigned len)
{
	if (!q->fed && read_before_write(q, region, at, len))
		return q->feed->mmio.read_value;
	if (q->fed || !expected(q, region, at, len, false)) {
		q->unfed_access = true;
		return all_ones(len);
	}
	q->fed = true;
	return region == FEED_PIO ? q->feed->io.value : q->feed->mmio.value;
}

/* Regions begin at 0 but MMIO offsets are 32 bits wide: the exit says which address it really is. */
static uint64_t feed_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	struct equivalence *q = d->state;
	uint64_t at = off;

	if (region == FEED_MMIO && q->feed && (uint32_t)q->feed->gpa == off)
		at = q->feed->gpa;
	return feed_access_read(q, region, at, len);
}

static void feed_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	struct equivalence *q = d->state;
	uint64_t at = off;

	if (region == FEED_MMIO && q->feed && (uint32_t)q->feed->gpa == off)
		at = q->feed->gpa;
	if (!expected(q, region, at, len, true))
		return; /* the later accesses of one instruction; a wrong first one shows in the exit itself */
	if ((region == FEED_PIO ? q->feed->io.value : q->feed->mmio.value) != (value & all_ones(len)))
		q->wrong_write = true;
	q->fed = true;
}

static enum verdict feed_hlt(struct vcpu *v, struct vm_exit *e)
{
	(void)v;
	(void)e;
	return VERDICT_NEXT;
}

/* FERR# and IGNNE# are outside the CPU: the subject has waited for an interrupt, or has executed the instruction. */
static enum verdict feed_exception(struct vcpu *v, struct vm_exit *e)
{
	const struct x86_state *s;

	if (!vcpu_is_ferr(v, e))
		return handlers_default()[EXIT_EXCEPTION_NMI](v, e);
	s = vcpu_state(of_vm(v->vm)->s);
	if (!s)
		return VERDICT_KILL;
	return s->rip == e->rip ? VERDICT_AGAIN : vcpu_execute(v, e);
}

static enum verdict feed_msr_read(struct vcpu *v, struct vm_exit *e)
{
	struct equivalence *q = of_vm(v->vm);
	struct x86_state *s = vcpu_state_for_write(v, DIRTY_GPR);

	if (!s)
		return VERDICT_KILL;
	e->msr.index = (uint32_t)s->gpr[X86_RCX];
	if (!q->feed || q->feed->reason != EXIT_MSR_READ) {
		q->unfed_access = true;
		return handlers_default()[EXIT_MSR_READ](v, e);
	}
	e->msr.fault = q->feed->msr.fault;
	e->msr.value = q->feed->msr.value;
	if (e->msr.fault)
		return vcpu_reflect(v, VEC_GP);
	s->gpr[X86_RAX] = (uint32_t)e->msr.value;
	s->gpr[X86_RDX] = e->msr.value >> 32;
	return VERDICT_NEXT;
}

/* The time stamp counter, where reading it exits. */
static enum verdict feed_rdtsc(struct vcpu *v, struct vm_exit *e)
{
	struct equivalence *q = of_vm(v->vm);
	struct x86_state *s = vcpu_state_for_write(v, DIRTY_GPR);

	if (!s)
		return VERDICT_KILL;
	if (!q->feed || q->feed->reason != e->reason) {
		q->unfed_access = true;
		return handlers_default()[e->reason](v, e);
	}
	e->value = q->feed->value;
	s->gpr[X86_RAX] = (uint32_t)e->value;
	s->gpr[X86_RDX] = e->value >> 32;
	if (e->reason == EXIT_RDTSCP)
		s->gpr[X86_RCX] = (uint32_t)s->tsc_aux;
	return VERDICT_NEXT;
}

/* Both sides give the model, less what the subject's processor lacks. */
static enum verdict feed_cpuid_exit(struct vcpu *v, struct vm_exit *e)
{
	if (x86_cpuid_lacks(&v->cpu, e->cpuid.leaf))
		of_vm(v->vm)->out->exempt[EXEMPT_CPUID_HOST]++;
	return handlers_default()[EXIT_CPUID](v, e);
}

/* What the subject's guest sees of CPUID, where its backend cannot give the model. */
static void feed_cpuid(void *arg, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	struct vcpu *v = arg;
	struct equivalence *q = of_vm(v->vm);
	uint32_t model[4];

	x86_cpuid(&v->cpu, leaf, subleaf, model);
	memcpy(out, model, sizeof model);
	q->subject->cfg.mode->adjust_cpuid(q->s, leaf, subleaf, out);
	if (memcmp(out, model, sizeof model) != 0 || x86_cpuid_lacks(&v->cpu, leaf))
		q->out->exempt[EXEMPT_CPUID_HOST]++;
}

/* Does it give a value that the subject got from somewhere else, and that no exit shows? */
static bool insn_is_unfed(const struct vcpu *v, const struct x86_insn *i)
{
	const struct vm_controls *ctl = &v->vm->controls;

	switch (i->id) {
	case INSN_RDTSC:
	case INSN_RDTSCP:
		return !(ctl->proc & PROC_RDTSC_EXIT) && !(v->cpu.cpl && (v->cpu.s.cr4 & CR4_TSD));
	case INSN_RDPMC:
	case INSN_RDRAND:
	case INSN_RDSEED:
		return ctl->kernel & CTL_KERNEL_MISC; /* elsewhere they exit, or are #UD on the project's CPU */
	case INSN_RDMSR:			      /* the TSC, where a host kernel keeps it */
		return (uint32_t)v->cpu.s.gpr[X86_RCX] == 0x10 && !controls_msr_exits(ctl, 0x10, false);
	default:
		return false;
	}
}

/* Where i was executed from: a straight instruction ends at rip when the probe runs after it. */
static uint64_t rip_of(struct vcpu *v, const struct x86_insn *i)
{
	uint64_t start = v->cpu.s.rip - i->len;
	uint8_t bytes[15];
	struct x86_insn before;
	size_t n = x86_peek(&v->cpu, v->cpu.s.seg[X86_CS].base + start, bytes, i->len);

	if (n == i->len && x86_decode(bytes, n, v->cpu.code_size, (enum x86_mode)v->cpu.mode, &before) == DECODE_OK &&
	    before.id == i->id)
		return start;
	return v->cpu.s.rip;
}

/* With each instruction of the reference. */
static void watch_insn(void *arg, struct vcpu *v, const struct x86_insn *i)
{
	struct equivalence *q = arg;

	q->last_rep =
	    (i->flags & (INSN_REP | INSN_REPNE)) && (i->class == INSN_CLASS_STRING || i->class == INSN_CLASS_IO);
	q->undefined = flags_undefined_after(i, q->undefined);
	q->last_unfed = q->subject->clock.kind == CLOCK_HOST && insn_is_unfed(v, i);
	if (!q->last_unfed)
		return;
	if (q->out->unfed.count++ == 0) {
		q->out->unfed.rip = rip_of(v, i);
		fmt_snprintf(q->out->unfed.mnemonic, sizeof q->out->unfed.mnemonic, "%s", x86_insn_name(i->id));
	}
}

static const struct probe_ops watch_ops = {.name = "lockstep reference", .on_insn = watch_insn};

/* The subject's memory map, pointer by pointer, in terms of the reference's own RAM and ROM. */
static uint8_t *translate(struct equivalence *q, const uint8_t *p)
{
	const struct guest_mem *s = &q->subject->mem;

	if (!p)
		return NULL;
	if (p >= s->ram && p < s->ram + s->ram_size)
		return q->reference->mem.ram + (p - s->ram);
	for (unsigned i = 0; i < q->n_slots; i++) {
		const struct slot_image *a = &q->subject_slots[i], *b = &q->reference_slots[i];

		if (a->read && b->read && p >= a->read && p < a->read + a->len)
			return b->read + (p - a->read);
		if (a->write && b->write && p >= a->write && p < a->write + a->len)
			return b->write + (p - a->write);
	}
	return NULL;
}

void feed_mirror_slots(struct equivalence *q)
{
	struct guest_mem *s = &q->subject->mem, *r = &q->reference->mem;
	struct errmsg why;

	if (s->generation == q->slots_generation)
		return;
	q->slots_generation = s->generation;
	for (unsigned i = 0; i < s->n_slots && i < r->n_slots; i++) {
		uint8_t *read = translate(q, s->slots[i].read), *write = translate(q, s->slots[i].write);

		if (read != r->slots[i].read || write != r->slots[i].write)
			(void)!mem_retarget(r, i, read, write, &why);
	}
}

void feed_resync(struct equivalence *q)
{
	vm_reset(q->reference);
	q->slots_generation = UINT64_MAX;
	feed_mirror_slots(q);
}

static void remember_slots(struct slot_image *to, const struct guest_mem *m)
{
	for (unsigned i = 0; i < m->n_slots; i++)
		to[i] = (struct slot_image){m->slots[i].read, m->slots[i].write, m->slots[i].len};
}

enum err feed_init(struct equivalence *q, struct errmsg *why)
{
	struct vm *vm = q->reference;
	enum err e;

	if (q->subject->mem.n_slots != vm->mem.n_slots || q->subject->mem.ram_size != vm->mem.ram_size)
		return err_set(why, ERR_INVAL, "the two machines have different memory");
	q->n_slots = vm->mem.n_slots;
	remember_slots(q->subject_slots, &q->subject->mem);
	remember_slots(q->reference_slots, &vm->mem);
	q->slots_generation = q->subject->mem.generation;

	q->feed_ops = (struct device_ops){.name = "feed", .read = feed_read, .write = feed_write, .max_access = 8};
	q->feed_device = (struct device){.ops = &q->feed_ops, .vm = vm, .state = q};
	bus_init(&vm->bus);
	e = bus_add_pio(&vm->bus, 0, 0x10000, &q->feed_device, FEED_PIO, why);
	if (e == ERR_OK)
		e = bus_add_mmio(&vm->bus, 0, 1ull << 52, &q->feed_device, FEED_MMIO, why);
	if (e != ERR_OK)
		return e;
	memcpy(q->handlers, vm->handlers, sizeof q->handlers);
	q->handlers[EXIT_EXCEPTION_NMI] = feed_exception;
	q->handlers[EXIT_HLT] = feed_hlt;
	q->handlers[EXIT_CPUID] = feed_cpuid_exit;
	q->handlers[EXIT_MSR_READ] = feed_msr_read;
	q->handlers[EXIT_RDTSC] = feed_rdtsc;
	q->handlers[EXIT_RDTSCP] = feed_rdtsc;
	vm->handlers = q->handlers;
	vm->cfg.user_arg = q;
	q->r->cpu.no_pcid = q->s->cpu.no_pcid;
	vm->fed = true; /* its own local APIC would deliver once more what is replayed */
	if (q->subject->cfg.mode->adjust_cpuid) {
		q->env = *q->r->cpu.env;
		q->env.cpuid = feed_cpuid;
		q->r->cpu.env = &q->env;
	}
	e = vm_add_probe(vm, &watch_ops, q);
	return e ? err_set(why, e, "the reference cannot be watched: %s", err_sentence(e)) : ERR_OK;
}
