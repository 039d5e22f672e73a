/*
 * The SVM backend: one VMCB a vCPU, nested paging, VMRUN. Concept: this file is the smallest complete picture of
 * hardware virtualization: switch it on, describe the guest in a page of memory, enter, and be told why it stopped.
 *
 * Read before: svm.h, vmcb.h. Read after: svm_entry.S, svm_controls.c, svm_state.c, svm_exit.c.
 */
#include "modes/virtualize/svm.h"

#include "core/env.h"
#include "core/lib.h"
#include "core/metal/metal.h"
#include "modes/virtualize/svm_cpu.h"
#include "modes/virtualize/svm_priv.h"

#define MSR_VM_HSAVE_PA 0xc0010117u
#define EFER_SVME (1ull << 12)
#define CPUID_EXT 0x80000001u
#define CPUID_SVM 0x8000000au
#define SVM_FEATURE_NEXT_RIP (1u << 3)
#define NS_PER_S 1000000000ull
#define FAULT_GPA 0xd0000000u  /* a hole in every guest's memory map */
#define FAULT_MSR_NUMBER 0x1bu /* APIC base */

/* Of the processor: where VMRUN keeps the host's state, and VMSAVE what VMRUN does not. */
static struct {
	void *save;
	struct vmcb *host;
	unsigned vms;	    /* in being */
	uint32_t next_asid; /* address spaces given out so far */
	struct vcpu *last;  /* that ran */
	bool tsc_told;
} processor;

/* --- What the processor can do ----------------------------------------------------------------------------------- */

static enum err svm_probe(const struct host_ops *host, struct errmsg *why)
{
	const struct metal_cpu_facts *f = metal_cpu_facts();

	(void)host;
	return f->has_svm ? ERR_OK : err_set(why, ERR_NODEV, "%s", f->no_svm);
}

/* CR4 bits by the features that CPUID shows; what the model does not offer never comes here. */
static uint64_t cr4_bits(void)
{
	uint64_t bits = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE |
			CR4_OSFXSR | CR4_OSXMMEXCPT;
	uint32_t r[4];

	cpu_cpuid(1, 0, r);
	bits |= r[2] & 1u << 26 ? CR4_OSXSAVE : 0;
	bits |= r[2] & 1u << 17 ? CR4_PCIDE : 0;
	cpu_cpuid(0, 0, r);
	if (r[0] < 7)
		return bits;
	cpu_cpuid(7, 0, r);
	bits |= r[1] & 1u << 0 ? CR4_FSGSBASE : 0;
	bits |= r[1] & 1u << 7 ? CR4_SMEP : 0;
	bits |= r[1] & 1u << 20 ? CR4_SMAP : 0;
	bits |= r[2] & 1u << 2 ? CR4_UMIP : 0;
	return bits;
}

static void read_features(struct svm_features *f)
{
	uint32_t r[4];

	cpu_cpuid(CPUID_SVM, 0, r);
	f->n_asids = r[1];
	f->next_rip = r[3] & SVM_FEATURE_NEXT_RIP;
	cpu_cpuid(1, 0, r);
	f->xsave = r[2] & 1u << 26;
	cpu_cpuid(CPUID_EXT, 0, r);
	f->rdtscp = r[3] & 1u << 27;
	cpu_cpuid(0, 0, r);
	if (r[0] >= 7) {
		cpu_cpuid(7, 0, r);
		f->invpcid = r[1] & 1u << 10;
	}
	f->cr4 = cr4_bits();
}

/* --- A VM -------------------------------------------------------------------------------------------------------- */

static enum err switch_on(const struct host_ops *host, struct errmsg *why)
{
	if (processor.vms++ > 0)
		return ERR_OK;
	processor.save = host->page_alloc(PAGE_SIZE_4K);
	processor.host = host->page_alloc(PAGE_SIZE_4K);
	if (!processor.save || !processor.host)
		return err_set(why, ERR_NOMEM, "AMD-V: no memory for the host's state");
	cpu_wrmsr(MSR_EFER, cpu_rdmsr(MSR_EFER) | EFER_SVME);
	cpu_wrmsr(MSR_VM_HSAVE_PA, (uintptr_t)processor.save);
	return ERR_OK;
}

static void switch_off(const struct host_ops *host)
{
	if (!processor.vms || --processor.vms > 0)
		return;
	cpu_wrmsr(MSR_EFER, cpu_rdmsr(MSR_EFER) & ~EFER_SVME);
	if (processor.save)
		host->page_free(processor.save, PAGE_SIZE_4K);
	if (processor.host)
		host->page_free(processor.host, PAGE_SIZE_4K);
	processor.save = NULL;
	processor.host = NULL;
}

static enum err init_vcpu(struct vcpu *v, struct errmsg *why)
{
	const struct host_ops *host = v->vm->cfg.host;
	struct svm_vm *m = svm_vm(v->vm);
	struct svm_vcpu *x = host->page_alloc(sizeof(*x));

	if (!x)
		return err_set(why, ERR_NOMEM, "AMD-V: no memory for a vCPU");
	v->mode_priv = x;
	x->vmcb = host->page_alloc(sizeof(*x->vmcb));
	if (!x->vmcb)
		return err_set(why, ERR_NOMEM, "AMD-V: no memory for a control block");
	svm_program_controls(&v->vm->controls, &m->cpu, x->vmcb, m->iopm, m->msrpm);
	x->vmcb->c.asid = x->asid = 1 + processor.next_asid++ % (m->cpu.n_asids - 1);
	x->vmcb->c.n_cr3 = (uintptr_t)m->npt.root;
	x->flush = true;
	return ERR_OK;
}

static void offer_pcid(struct vm *vm)
{
	if (metal_cpu_facts()->has_pcid)
		return;
	vm_without_pcid(vm);
	vm->cfg.host->log(LOG_INFO, "AMD-V: this processor lends no PCIDs or no INVPCID: CPUID offers neither");
}

static enum err svm_vm_init(struct vm *vm, struct errmsg *why)
{
	const struct host_ops *host = vm->cfg.host;
	struct svm_vm *m = host->page_alloc(sizeof(*m));

	if (!m)
		return err_set(why, ERR_NOMEM, "AMD-V: no memory for a VM");
	vm->mode_priv = m;
	read_features(&m->cpu);
	enum err e = switch_on(host, why);

	if (e != ERR_OK)
		return e;
	m->iopm = host->page_alloc(SVM_IOPM_SIZE);
	m->msrpm = host->page_alloc(SVM_MSRPM_SIZE);
	if (!m->iopm || !m->msrpm || ept_init(&m->npt, host, EPT_FORMAT_NPT, true) != ERR_OK)
		return err_set(why, ERR_NOMEM, "AMD-V: no memory for permission maps and nested page tables");
	for (unsigned k = 0; k < vm->n_vcpus && e == ERR_OK; k++)
		e = init_vcpu(&vm->vcpus[k], why);
	offer_pcid(vm);
	return e;
}

static void fini_vcpu(struct vcpu *v)
{
	struct svm_vcpu *x = svm_vcpu(v);

	svm_resident_drop(v);
	if (processor.last == v)
		processor.last = NULL;
	if (!x)
		return;
	if (x->vmcb)
		v->vm->cfg.host->page_free(x->vmcb, sizeof(*x->vmcb));
	v->vm->cfg.host->page_free(x, sizeof(*x));
	v->mode_priv = NULL;
}

static void svm_vm_fini(struct vm *vm)
{
	const struct host_ops *host = vm->cfg.host;
	struct svm_vm *m = svm_vm(vm);

	if (!m)
		return;
	for (unsigned k = 0; k < vm->n_vcpus; k++)
		fini_vcpu(&vm->vcpus[k]);
	ept_fini(&m->npt);
	if (m->iopm)
		host->page_free(m->iopm, SVM_IOPM_SIZE);
	if (m->msrpm)
		host->page_free(m->msrpm, SVM_MSRPM_SIZE);
	switch_off(host);
	host->page_free(m, sizeof(*m));
	vm->mode_priv = NULL;
}

/* RAM is what the guest reaches without us: read and written at one place. Anything else that can be read is mapped
 * read-only, so that a write exits. */
static enum err svm_map(struct vm *vm, unsigned slot, struct errmsg *why)
{
	const struct mem_slot *s = &vm->mem.slots[slot];
	struct svm_vm *m = svm_vm(vm);
	enum err e = s->read ? ept_map(&m->npt, s->gpa, s->len, s->read, s->write == s->read)
			     : ept_unmap(&m->npt, s->gpa, s->len);

	for (unsigned k = 0; k < vm->n_vcpus; k++)
		svm_vcpu(&vm->vcpus[k])->flush = true;
	if (e != ERR_OK)
		return err_set(
		    why, e, "AMD-V: cannot map guest memory at %#llx: %s", (unsigned long long)s->gpa, err_sentence(e));
	return ERR_OK;
}

/* --- Running ----------------------------------------------------------------------------------------------------- */

/* The guest's time-stamp counter starts where the clock of the VM is, and then runs at the processor's rate. */
static void set_tsc_offset(struct vcpu *v)
{
	struct svm_vcpu *x = svm_vcpu(v);

	if (x->tsc_set && x->tsc_offset == v->cpu.s.tsc_offset)
		return;
	x->tsc_set = true;
	x->tsc_offset = v->cpu.s.tsc_offset;
	x->vmcb->c.tsc_offset = vcpu_tsc(v) - cpu_rdtsc();
	if (!processor.tsc_told && metal_tsc_hz() != CLOCK_TSC_PER_NS * NS_PER_S) {
		char line[120];

		processor.tsc_told = true;
		fmt_snprintf(line, sizeof(line),
		    "AMD-V: RDTSC does not exit, and guests see the machine's rate, %llu Hz",
		    (unsigned long long)metal_tsc_hz());
		v->vm->cfg.host->log(LOG_INFO, line);
	}
}

/*
 * The time slice. VT-x has a preemption timer in the VMCS; here a physical interrupt has to end the run (exit reason
 * 1). With V_INTR_MASKING the guest's RFLAGS.IF masks virtual interrupts only: a guest that has interrupts off, or
 * spins for ever, gives the processor back all the same.
 */
static struct {
	uint64_t at, fired; /* host time that the timer is armed for; how often it had fired then */
} slice;

static void arm_slice(struct vcpu *v, const struct run_bounds *b)
{
	const struct clock *c = &v->vm->clock;
	uint64_t now = clock_now_ns(c), bound = now + VM_CONTROL_INTERVAL_NS;
	uint64_t until = b->deadline_ns < bound ? b->deadline_ns : bound;

	/* There is no window for NMIs. What blocks one but for IRET, which exits, ends after an instruction. */
	if (b->nmi_window && !(v->cpu.s.intr_shadow & INTR_SHADOW_NMI))
		until = now;

	/* Programming the timer is ten port accesses. One that is on its way and comes no later will do: at worst it
	 * ends the guest's stretch a little early, and is armed again. */
	uint64_t fired = metal_slice_timer_fired(), at = until + c->start_ns;
	if (slice.fired == fired && slice.at <= at && slice.at > now + c->start_ns)
		return;
	slice.fired = fired;
	slice.at = at;
	metal_slice_timer_start(until > now ? until - now : 0, false);
}

static bool is_software(uint32_t info)
{
	return (info >> INTR_INFO_TYPE_SHIFT & 7u) >= INTR_TYPE_SW_INT;
}

/*
 * Two deliveries that EVENTINJ cannot do: a software interrupt, which needs the instruction's length on processors
 * that do not have it in the VMCB, and a debug trap that waits, for which VT-x has a field of its own. The core's
 * executor does them. True: that led to an exit.
 */
static bool deliver_in_software(struct vcpu *v, struct vm_exit *e)
{
	struct x86_cpu *c = &v->cpu;
	struct x86_state *s = &c->s;
	enum x86_rc rc;

	if (!(is_software(s->pending_event) || (s->pending_dbg && !s->pending_event)))
		return false;
	(void)svm_get_state(v);
	x86_state_changed(c);
	x86_tlb_flush(c);
	x86_set_controls(c, &v->vm->controls);
	c->exit = e;
	if (s->pending_event) {
		const struct x86_event ev = {.vector = (uint8_t)s->pending_event,
		    .type = s->pending_event >> INTR_INFO_TYPE_SHIFT & 7,
		    .insn_len = (uint8_t)s->pending_len};

		s->pending_event = 0;
		rc = x86_inject(c, &ev);
	} else {
		const struct x86_event ev = {.vector = VEC_DB, .type = INTR_TYPE_HW_EXCEPTION, .dr6 = s->pending_dbg};

		s->pending_dbg = 0;
		rc = x86_deliver(c, &ev);
	}
	if (rc == X86_EXIT)
		e->rip = s->rip;
	(void)svm_set_state(v);
	return rc == X86_EXIT;
}

static void load_event(const struct x86_state *s, struct vmcb *b)
{
	uint32_t info = s->pending_event;

	b->c.event_inj = 0;
	if (!(info & INTR_INFO_VALID))
		return;
	/* In real mode exceptions have no error code. */
	if (!(b->s.cr0 & CR0_PE))
		info &= ~INTR_INFO_ERROR;
	b->c.event_inj = info | (info & INTR_INFO_ERROR ? (uint64_t)s->pending_error << 32 : 0);
}

/* A virtual interrupt that nobody will take: its intercept says when one could be taken. */
static void ask_for_window(struct vmcb *b, bool on)
{
	if (on) {
		b->c.int_ctl |= SVM_V_IRQ | SVM_V_IGN_TPR | SVM_V_INTR_PRIO;
		b->c.icpt[0] |= SVM_ICPT_VINTR;
	} else {
		b->c.int_ctl &= ~(SVM_V_IRQ | SVM_V_IGN_TPR | SVM_V_INTR_PRIO);
		b->c.icpt[0] &= ~SVM_ICPT_VINTR;
	}
}

/* Blocking of virtual NMIs is ours to keep: from the injection of one to the next IRET, which exits meanwhile. */
static void watch_nmi(struct x86_state *s, struct vmcb *b)
{
	if ((s->pending_event & INTR_INFO_VALID) && (s->pending_event >> INTR_INFO_TYPE_SHIFT & 7) == INTR_TYPE_NMI)
		s->intr_shadow |= INTR_SHADOW_NMI;
	if (s->intr_shadow & INTR_SHADOW_NMI)
		b->c.icpt[0] |= SVM_ICPT_IRET;
	else
		b->c.icpt[0] &= ~SVM_ICPT_IRET;
}

static void enter(struct vcpu *v, const struct run_bounds *bounds)
{
	struct svm_vcpu *x = svm_vcpu(v);
	struct vmcb *b = x->vmcb;

	load_event(&v->cpu.s, b);
	watch_nmi(&v->cpu.s, b);
	ask_for_window(b, bounds->irq_window);
	set_tsc_offset(v);
	x->flush |= svm_resident_enter(v) || processor.last != v;
	processor.last = v;
	b->c.tlb_control = x->flush ? SVM_TLB_FLUSH_ALL : 0;
	b->c.clean = 0;
	cpu_write_cr2(b->s.cr2); /* VMRUN loads it from the control block; Bochs does not */
	svm_remember_offer(b, &x->offer);
	arm_slice(v, bounds);
	v->entered_ticks = cpu_rdtsc();
	svm_enter((uintptr_t)b, v->cpu.s.gpr, (uintptr_t)processor.host);
	v->left_ticks = cpu_rdtsc();
	svm_resident_left(v);
	x->flush = false;
	x->fresh = false;
	v->state_valid = false;
	v->cpu.s.pending_event = 0;
}

static enum err svm_run(struct vcpu *v, const struct run_bounds *b, struct vm_exit *e)
{
	struct svm_vm *m = svm_vm(v->vm);
	struct svm_vcpu *x = svm_vcpu(v);

	if (m->kicked || v->vm->stop) {
		m->kicked = 0;
		e->reason = EXIT_VMM_KICK;
		e->rip = x->vmcb->s.rip;
		return ERR_OK;
	}
	if (deliver_in_software(v, e))
		return ERR_OK;
	enter(v, b);
	return svm_explain_exit(v, e);
}

static enum err svm_complete(struct vcpu *v, struct vm_exit *e)
{
	(void)v;
	(void)e;
	return ERR_OK; /* the core completes instructions: MODE_CAP_COMPLETES is not set */
}

static void svm_kick(struct vcpu *v)
{
	svm_vm(v->vm)->kicked = 1;
}

static size_t svm_mappings(struct vm *vm, struct mode_mapping *out, size_t max)
{
	return ept_list(&svm_vm(vm)->npt, out, max);
}

/* Nested page tables that the VMM does not keep: as they are now, and as they stay. */
static void fault_root(struct vm *vm)
{
	uint64_t *copy = vm->cfg.host->page_alloc(PAGE_SIZE_4K); /* until the machine goes off */

	if (!copy)
		return;
	memcpy(copy, svm_vm(vm)->npt.root, PAGE_SIZE_4K);
	for (unsigned k = 0; k < vm->n_vcpus; k++)
		svm_vcpu(&vm->vcpus[k])->vmcb->c.n_cr3 = (uintptr_t)copy;
}

void svm_seed_fault(struct vm *vm, enum bundle_fault f)
{
	struct svm_vm *m = svm_vm(vm);

	switch (f) {
	case FAULT_EPT: /* memory of the VMM itself becomes the guest's */
		(void)!ept_map(&m->npt, FAULT_GPA, PAGE_SIZE_4K, (const uint8_t *)processor.save, true);
		break;
	case FAULT_MSR:
		m->msrpm[FAULT_MSR_NUMBER / 4] &= (uint8_t) ~(1u << FAULT_MSR_NUMBER % 4 * 2);
		break;
	case FAULT_CR8:
		for (unsigned k = 0; k < vm->n_vcpus; k++) {
			svm_vcpu(&vm->vcpus[k])->vmcb->c.cr_read &= (uint16_t) ~(1u << 8);
			svm_vcpu(&vm->vcpus[k])->vmcb->c.cr_write &= (uint16_t) ~(1u << 8);
		}
		break;
	case FAULT_ROOT:
		fault_root(vm);
		break;
	case FAULT_OWN: /* the guest switches interrupts of the whole processor off, and reads the host's state */
		for (unsigned k = 0; k < vm->n_vcpus; k++)
			svm_vcpu(&vm->vcpus[k])->vmcb->c.icpt[1] &=
			    ~(SVM_ICPT2_VMSAVE | SVM_ICPT2_STGI | SVM_ICPT2_CLGI);
		break;
	case FAULT_IDT: /* not the engine's */
	case FAULT_NONE:
	case FAULT_COUNT:
	default:
		break;
	}
}

/* VMRUN keeps the host's state in memory of the VMM, and #VMEXIT loads it from there. */
static bool programmed(struct vcpu *v, char *buf, size_t n)
{
	uint64_t area = cpu_rdmsr(MSR_VM_HSAVE_PA), efer = cpu_rdmsr(MSR_EFER);

	if (area == (uintptr_t)processor.save && (efer & EFER_SVME))
		return svm_programmed(v, buf, n);
	fmt_snprintf(buf, n, "VM_HSAVE_PA is %#llx, and was programmed as %#llx; EFER is %#llx",
	    (unsigned long long)area, (unsigned long long)(uintptr_t)processor.save, (unsigned long long)efer);
	return false;
}

const struct mode_ops mode_metal_svm_ops = {
    .name = "virtualize",
    .engine = "svm",
    .mode = MODE_VIRTUALIZE,
    .type = VMM_TYPE_I,
    .caps = MODE_CAP_HOST_TIME,
    .profiles = PROFILE_METAL,
    .default_profile = "vtx-ept",
    .probe = svm_probe,
    .vm_init = svm_vm_init,
    .vm_fini = svm_vm_fini,
    .map = svm_map,
    .get_state = svm_get_state,
    .set_state = svm_set_state,
    .interruptible = svm_interruptible,
    .inject = svm_inject,
    .run = svm_run,
    .complete = svm_complete,
    .kick = svm_kick,
    .mappings = svm_mappings,
    .read_controls = svm_read_controls,
    .programmed = programmed,
};
