/*
 * virtualize / I: guest instructions run on the processor itself, in VMX non-root operation, and come back by VM exits
 * [SDM 3C "Introduction to Virtual Machine Extensions"]. The VMM is the only software on the machine.
 *
 * Concept: trap and emulate with hardware help. What the processor is told to hand over is in the VMCS; what it hands
 * over is decided on by the same core/ that serves every other backend.
 *
 * Read after: vmx_cpu.c (the processor), vmx_vmcs.c (controls), vmx_state.c, vmx_exit.c, vmx_check.c.
 */
#include "modes/virtualize/vmx_priv.h"

#include "core/x86/event.h"
#include "core/lib.h"
#include "core/metal/metal.h"
#include "modes/virtualize/vmx_asm.h"

#define EPTP_WRITE_BACK 6u
#define EPTP_LEVELS_4 (3u << 3)
/* A slice of less would be over before the guest's first instruction. */
#define MIN_TIMER_TICKS 32u
#define TIMER_MAX 0xffffffffull
#define GUEST_TSC_HZ (1000000000ull * CLOCK_TSC_PER_NS)

static enum err vmx_probe(const struct host_ops *host, struct errmsg *why)
{
	(void)host;
	return vmx_cpu_probe(why);
}

/* --- Birth and death --------------------------------------------------------------------------------------------- */

/* multiplier = guest rate / processor's rate, with 48 fraction bits. */
static enum err plan_tsc(struct vmx_vm *vx, const struct host_ops *host)
{
	uint64_t hz = metal_tsc_hz(), rest = GUEST_TSC_HZ % hz, whole = GUEST_TSC_HZ / hz, fraction, unused;

	vx->scales_tsc =
	    hz != GUEST_TSC_HZ && (vmx_caps()->ctl[VMX_CTL_PROC2].may & PROC2_TSC_SCALING) && whole < 0x10000;
	if (hz != GUEST_TSC_HZ && !vx->scales_tsc) {
		char line[160];

		fmt_snprintf(line, sizeof(line),
		    "vmx: this CPU cannot scale the TSC: the guest's RDTSC counts at %llu Hz instead of %llu",
		    (unsigned long long)hz, (unsigned long long)GUEST_TSC_HZ);
		host->log(LOG_WARN, line);
	}
	/* rest < hz, so that rest * 2^48 / hz fits */
	__asm__("divq %4" : "=a"(fraction), "=d"(unused) : "a"(rest << 48), "d"(rest >> 16), "r"(hz));
	vx->tsc_multiplier = (whole << 48) + fraction;
	return ERR_OK;
}

static enum err make_bitmaps(struct vm *vm, struct vmx_vm *vx, struct errmsg *why)
{
	const struct host_ops *host = vm->cfg.host;

	vx->msr_bitmap = host->page_alloc(sizeof(vm->controls.msr_bitmap));
	vx->io_bitmaps = host->page_alloc(sizeof(vm->controls.io_bitmap));
	if (!vx->msr_bitmap || !vx->io_bitmaps)
		return err_set(why, ERR_NOMEM, "VT-x: no memory for the I/O and MSR bitmaps");
	memcpy(vx->msr_bitmap, vm->controls.msr_bitmap, sizeof(vm->controls.msr_bitmap));
	memcpy(vx->io_bitmaps, vm->controls.io_bitmap, sizeof(vm->controls.io_bitmap));
	return ERR_OK;
}

static enum err make_vcpu(struct vcpu *v, struct errmsg *why)
{
	const struct host_ops *host = v->vm->cfg.host;
	struct vmx_vcpu *x = host->page_alloc(sizeof(*x));
	uint32_t revision = (uint32_t)vmx_caps()->basic & 0x7fffffffu;

	if (!x)
		return err_set(why, ERR_NOMEM, "VT-x: no memory for a virtual CPU");
	v->mode_priv = x;
	x->v = v;
	x->vpid = vmx_new_vpid();
	x->tlb_stale = x->ept_stale = true;
	x->tsc_key[0] = x->tsc_key[1] = UINT64_MAX;
	x->vmcs = host->page_alloc(PAGE_SIZE_4K);
	if (!x->vmcs)
		return err_set(why, ERR_NOMEM, "VT-x: no memory for a VMCS");
	memcpy(x->vmcs, &revision, sizeof(revision));
	if (!vmx_clear((uint64_t)(uintptr_t)x->vmcs))
		return err_set(why, ERR_IO, "VT-x: VMCLEAR of a new VMCS at %p failed", (void *)x->vmcs);
	vmx_make_current(x);
	return vmx_program(x, why);
}

static void offer_pcid(struct vm *vm)
{
	if (metal_cpu_facts()->has_pcid)
		return;
	vm_without_pcid(vm);
	vm->cfg.host->log(LOG_INFO, "VT-x: this processor lends no PCIDs or no INVPCID: CPUID offers neither");
}

static enum err vmx_vm_init(struct vm *vm, struct errmsg *why)
{
	const struct host_ops *host = vm->cfg.host;
	enum err e = vmx_cpu_get(host, why);

	if (e != ERR_OK)
		return e;
	struct vmx_vm *vx = host->page_alloc(sizeof(*vx));

	if (!vx) {
		vmx_cpu_put(host);
		return err_set(why, ERR_NOMEM, "VT-x: no memory for a virtual machine");
	}
	vm->mode_priv = vx;
	e = plan_tsc(vx, host);
	if (e == ERR_OK && ept_init(&vx->ept, host, EPT_FORMAT_VMX, vmx_caps()->ept_vpid & VMX_EPT_2M) != ERR_OK)
		e = err_set(why, ERR_NOMEM, "VT-x: no memory for nested page tables");
	vx->eptp = (uint64_t)(uintptr_t)vx->ept.root | EPTP_WRITE_BACK | EPTP_LEVELS_4;
	if (e == ERR_OK)
		e = make_bitmaps(vm, vx, why);
	for (unsigned i = 0; e == ERR_OK && i < vm->n_vcpus; i++)
		e = make_vcpu(&vm->vcpus[i], why);
	if (e == ERR_OK)
		offer_pcid(vm);
	return e;
}

static void free_vcpu(struct vcpu *v)
{
	const struct host_ops *host = v->vm->cfg.host;
	struct vmx_vcpu *x = vmx_of(v);

	if (!x)
		return;
	if (x->vmcs) {
		vmx_forget(x);
		host->page_free(x->vmcs, PAGE_SIZE_4K);
	}
	host->page_free(x, sizeof(*x));
	v->mode_priv = NULL;
}

static void vmx_vm_fini(struct vm *vm)
{
	const struct host_ops *host = vm->cfg.host;
	struct vmx_vm *vx = vmx_vm_of(vm);

	if (!vx)
		return;
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		free_vcpu(&vm->vcpus[i]);
	ept_fini(&vx->ept);
	if (vx->msr_bitmap)
		host->page_free(vx->msr_bitmap, sizeof(vm->controls.msr_bitmap));
	if (vx->io_bitmaps)
		host->page_free(vx->io_bitmaps, sizeof(vm->controls.io_bitmap));
	host->page_free(vx, sizeof(*vx));
	vm->mode_priv = NULL;
	vmx_cpu_put(host);
}

/* --- Memory ------------------------------------------------------------------------------------------------------ */

static enum err vmx_map(struct vm *vm, unsigned slot, struct errmsg *why)
{
	const struct mem_slot *s = &vm->mem.slots[slot];
	struct vmx_vm *vx = vmx_vm_of(vm);
	enum err e = s->read ? ept_map(&vx->ept, s->gpa, s->len, s->read, s->read == s->write)
			     : ept_unmap(&vx->ept, s->gpa, s->len);

	for (unsigned i = 0; i < vm->n_vcpus; i++)
		vmx_of(&vm->vcpus[i])->ept_stale = true;
	if (e != ERR_OK)
		return err_set(why, e, "VT-x: memory slot %s at %#llx cannot be mapped: %s", s->name,
		    (unsigned long long)s->gpa, err_sentence(e));
	return ERR_OK;
}

static size_t vmx_mappings(struct vm *vm, struct mode_mapping *out, size_t max)
{
	return ept_list(&vmx_vm_of(vm)->ept, out, max);
}

/* --- Events ------------------------------------------------------------------------------------------------------ */

static bool vmx_interruptible(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);
	const struct x86_state *s = &v->cpu.s;
	const uint32_t blocking = INTR_SHADOW_STI | INTR_SHADOW_MOVSS;

	if (s->pending_event)
		return false;
	if (v->state_valid || v->regs_valid) {
		x86_flags_sync(&v->cpu);
		return (s->rflags & FLAG_IF) && !(s->intr_shadow & blocking) && !s->pending_dbg;
	}
	vmx_make_current(x);
	return (vmread(VMCS_GUEST_RFLAGS) & FLAG_IF) && !(vmread32(VMCS_GUEST_INTERRUPTIBILITY) & blocking) &&
	       !vmread(VMCS_GUEST_PENDING_DBG);
}

/* The event waits in struct x86_state until the next entry puts it into the VMCS. */
static enum err vmx_inject(struct vcpu *v, const struct x86_event *ev)
{
	struct vmx_vcpu *x = vmx_of(v);
	struct x86_state *s = &v->cpu.s;
	bool exception = ev->type == INTR_TYPE_HW_EXCEPTION;
	bool error;

	vmx_make_current(x);
	vmx_make_resident(x);
	/* In real mode no exception pushes an error code, and an entry that would push one fails. */
	error = ev->has_error && (vmread(VMCS_GUEST_CR0) & CR0_PE);
	s->pending_event =
	    INTR_INFO_VALID | (uint32_t)ev->type << INTR_INFO_TYPE_SHIFT | ev->vector | (error ? INTR_INFO_ERROR : 0);
	s->pending_error = ev->error;
	s->pending_len = ev->insn_len;
	if (exception && ev->vector == VEC_PF) {
		s->cr2 = ev->cr2;
		cpu_write_cr2(ev->cr2);
	}
	if (exception && ev->vector == VEC_DB) {
		s->dr6 = x86_dr6_with(vmx_read_dr6(), ev->dr6);
		vmx_write_dr6(s->dr6);
		s->dr7 = vmread(VMCS_GUEST_DR7) & ~(uint64_t)(1u << 13); /* general detect */
		vmwrite(VMCS_GUEST_DR7, s->dr7);
	}
	return ERR_OK;
}

/* An NMI whose delivery met an exit blocks NMIs already, and an entry that injects one then fails. */
static void unblock_nmi(void)
{
	uint32_t blocking = vmread32(VMCS_GUEST_INTERRUPTIBILITY);

	if (blocking & INTR_SHADOW_NMI)
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, blocking & ~INTR_SHADOW_NMI);
}

static void put_event(struct x86_state *s)
{
	if (UNLIKELY((s->pending_event >> INTR_INFO_TYPE_SHIFT & 7) == INTR_TYPE_NMI))
		unblock_nmi();
	vmwrite(VMCS_ENTRY_INTR_INFO, s->pending_event);
	if (s->pending_event & INTR_INFO_ERROR)
		vmwrite(VMCS_ENTRY_INTR_ERROR, s->pending_error);
	if (s->pending_len)
		vmwrite(VMCS_ENTRY_INSN_LEN, s->pending_len);
	s->pending_event = 0;
}

/* --- Running ----------------------------------------------------------------------------------------------------- */

/* An NMI that STI holds back: whether the shadow of STI blocks NMIs is the processor's choice, so that its NMI window
 * may open at once, for ever; that of interrupts does not, and RFLAGS.IF is set there. */
static void put_window(struct vmx_vcpu *x, bool irq, bool nmi)
{
	uint32_t proc = x->proc & ~(PROC_INTERRUPT_WINDOW | PROC_NMI_WINDOW);

	if (UNLIKELY(nmi)) {
		if (vmread32(VMCS_GUEST_INTERRUPTIBILITY) & INTR_SHADOW_STI)
			irq = true;
		else if (x->v->vm->controls.pin & ~x->dropped[VMX_CTL_PIN] & PIN_VIRTUAL_NMIS)
			proc |= PROC_NMI_WINDOW;
	}
	if (irq)
		proc |= PROC_INTERRUPT_WINDOW;
	if (LIKELY(proc == x->proc))
		return;
	x->proc = proc;
	vmwrite(VMCS_PROC_CONTROLS, proc);
}

/* The time slice [SDM 3C "VMX-Preemption Timer"]: it counts down in units of 2^n TSC ticks, and works whatever the
 * guest does with its interrupt flag. */
static void put_timer(const struct vcpu *v, uint64_t deadline_ns)
{
	uint64_t now = v->entered_ns - v->vm->clock.start_ns;
	unsigned shift = (unsigned)(vmx_caps()->misc & VMX_MISC_TIMER_SHIFT);
	uint64_t ticks = deadline_ns > now ? metal_ticks_of_ns(deadline_ns - now) : 0;

	if (ticks < MIN_TIMER_TICKS)
		ticks = MIN_TIMER_TICKS;
	ticks = (ticks >> shift) + 1;
	vmwrite(VMCS_PREEMPTION_TIMER, ticks < TIMER_MAX ? ticks : TIMER_MAX);
}

static void invalidate(struct vmx_vcpu *x)
{
	const uint64_t caps = vmx_caps()->ept_vpid;

	if (x->ept_stale)
		vmx_invept(caps & VMX_INVEPT_SINGLE ? INV_SINGLE_CONTEXT : INV_ALL_CONTEXTS, vmx_vm_of(x->v->vm)->eptp);
	if (x->tlb_stale && (caps & VMX_INVVPID))
		vmx_invvpid(caps & VMX_INVVPID_SINGLE ? INV_SINGLE_CONTEXT : INV_ALL_CONTEXTS, x->vpid);
	x->ept_stale = x->tlb_stale = false;
}

/* An interrupt or an NMI of the machine itself ended the guest's run: the VMM's own handler gets it now. True when that
 * was all. */
static bool take_host_event(struct vmx_vcpu *x, uint32_t reason)
{
	uint32_t info;

	if (reason == EXIT_EXTERNAL_INTERRUPT) {
		__asm__ volatile("sti; nop; cli" ::: "memory");
		return false;
	}
	if (reason != EXIT_EXCEPTION_NMI)
		return false;
	info = vmread32(VMCS_EXIT_INTR_INFO);
	if ((info >> INTR_INFO_TYPE_SHIFT & 7) == INTR_TYPE_NMI) {
		x->nmis++;
		__asm__ volatile("int $2" ::: "memory"); /* its IRET unblocks NMIs */
		return true;
	}
	if ((uint8_t)info == VEC_MC && (info >> INTR_INFO_TYPE_SHIFT & 7) == INTR_TYPE_HW_EXCEPTION)
		__asm__ volatile("int $18" ::: "memory");
	return false;
}

/* What was being delivered when the host's NMI came is delivered again. */
static void deliver_again(struct x86_state *s)
{
	uint32_t info = vmread32(VMCS_IDT_INFO);

	if (!(info & INTR_INFO_VALID))
		return;
	s->pending_event = info & 0x80000fffu;
	s->pending_error = vmread32(VMCS_IDT_ERROR);
	s->pending_len = vmread32(VMCS_EXIT_INSN_LEN);
}

static bool is_unknown(uint32_t reason)
{
	return reason >= EXIT_SDM_COUNT || !exit_desc(reason);
}

static enum err after_entry(struct vcpu *v, struct vm_exit *e)
{
	struct vmx_vcpu *x = vmx_of(v);
	uint32_t reason = vmread32(VMCS_EXIT_REASON);

	if (UNLIKELY(reason >> 31)) {
		vmx_entry_failed(v, 0, reason & 0xffff, vmread(VMCS_EXIT_QUALIFICATION));
		return ERR_IO;
	}
	x->launched = true;
	if (UNLIKELY(reason <= EXIT_EXTERNAL_INTERRUPT) && take_host_event(x, reason)) {
		deliver_again(&v->cpu.s);
		return ERR_AGAIN;
	}
	vmx_read_exit(v, reason, e);
	if (UNLIKELY(is_unknown(e->reason)))
		vmx_dump(v->vm->cfg.host);
	return ERR_OK;
}

static enum err vmx_run(struct vcpu *v, const struct run_bounds *b, struct vm_exit *e)
{
	struct vmx_vcpu *x = vmx_of(v);

	vmx_make_current(x);
	if (UNLIKELY(x->kicked || v->vm->stop)) {
		x->kicked = false;
		e->reason = EXIT_VMM_KICK;
		e->rip = vmread(VMCS_GUEST_RIP);
		return ERR_OK;
	}
	vmx_make_resident(x);
	vmx_set_tsc(x);
	put_window(x, b->irq_window, b->nmi_window);
	put_timer(v, b->deadline_ns);
	if (v->cpu.s.pending_event)
		put_event(&v->cpu.s);
	if (UNLIKELY(x->ept_stale || x->tlb_stale))
		invalidate(x);
	uint64_t ticks[2];
	bool entered = vmx_enter(v->cpu.s.gpr, x->launched, ticks);
	v->entered_ticks = ticks[0];
	v->left_ticks = ticks[1];
	v->stub_insns = VMX_STUB_INSNS;
	if (UNLIKELY(!entered)) {
		vmx_entry_failed(v, vmread32(VMCS_INSN_ERROR), 0, 0);
		return ERR_IO;
	}
	return after_entry(v, e);
}

/* The core completes instructions: MODE_CAP_COMPLETES is not set. */
static enum err vmx_complete(struct vcpu *v, struct vm_exit *e)
{
	(void)v;
	(void)e;
	return ERR_OK;
}

static void vmx_kick(struct vcpu *v)
{
	if (vmx_of(v))
		vmx_of(v)->kicked = true;
}

const struct mode_ops mode_metal_vmx_ops = {
    .name = "virtualize",
    .engine = "vmx",
    .mode = MODE_VIRTUALIZE,
    .type = VMM_TYPE_I,
    .caps = MODE_CAP_HOST_TIME,
    .profiles = PROFILE_METAL,
    .default_profile = "vtx-ept",
    .probe = vmx_probe,
    .vm_init = vmx_vm_init,
    .vm_fini = vmx_vm_fini,
    .map = vmx_map,
    .get_state = vmx_get_state,
    .get_regs = vmx_get_regs,
    .set_state = vmx_set_state,
    .interruptible = vmx_interruptible,
    .inject = vmx_inject,
    .run = vmx_run,
    .complete = vmx_complete,
    .kick = vmx_kick,
    .mappings = vmx_mappings,
    .read_controls = vmx_read_controls,
    .programmed = vmx_programmed,
};
