/*
 * Registers both ways between KVM and struct x86_state.
 *
 * Two prices: what lies in the shared page (KVM_CAP_SYNC_REGS: general registers, segments, control registers)
 * costs a copy; everything else (events, MSRs, debug registers, XCR0, FPU) costs an ioctl each, 6 us on some hosts. The
 * path of an ordinary exit touches only the first kind.
 *
 * What KVM does not show, and what is left as it was: pending debug exceptions, the TSC offset (KVM's TSC is the
 * host's). An MSR that this host's KVM does not know, or whose value it refuses, keeps our value in x86_state only.
 */
#include <errno.h>
#include <string.h>

#include "modes/virtualize/kvm_priv.h"

#include "core/x86/event.h"
#include "core/dev/lapic.h"

#define MSR_AT(field) (uint32_t) offsetof(struct x86_state, field)

struct msr_field {
	uint32_t index, offset;
};

/* EFER, FS and GS base are in the segment registers' ioctl. */
static const struct msr_field msr_fields[] = {
    {0xc0000081, MSR_AT(star)},
    {0xc0000082, MSR_AT(lstar)},
    {0xc0000083, MSR_AT(cstar)},
    {0xc0000084, MSR_AT(fmask)},
    {0xc0000102, MSR_AT(kernel_gs_base)},
    {0xc0000103, MSR_AT(tsc_aux)},
    {0x174, MSR_AT(sysenter_cs)},
    {0x175, MSR_AT(sysenter_esp)},
    {0x176, MSR_AT(sysenter_eip)},
    {0x277, MSR_AT(pat)},
    {0x1a0, MSR_AT(misc_enable)},
    {0x2ff, MSR_AT(mtrr_def_type)},
    {0x250, MSR_AT(mtrr_fixed[0])},
    {0x258, MSR_AT(mtrr_fixed[1])},
    {0x259, MSR_AT(mtrr_fixed[2])},
    {0x268, MSR_AT(mtrr_fixed[3])},
    {0x269, MSR_AT(mtrr_fixed[4])},
    {0x26a, MSR_AT(mtrr_fixed[5])},
    {0x26b, MSR_AT(mtrr_fixed[6])},
    {0x26c, MSR_AT(mtrr_fixed[7])},
    {0x26d, MSR_AT(mtrr_fixed[8])},
    {0x26e, MSR_AT(mtrr_fixed[9])},
    {0x26f, MSR_AT(mtrr_fixed[10])},
    {0x200, MSR_AT(mtrr_var[0])},
    {0x201, MSR_AT(mtrr_var[1])},
    {0x202, MSR_AT(mtrr_var[2])},
    {0x203, MSR_AT(mtrr_var[3])},
    {0x204, MSR_AT(mtrr_var[4])},
    {0x205, MSR_AT(mtrr_var[5])},
    {0x206, MSR_AT(mtrr_var[6])},
    {0x207, MSR_AT(mtrr_var[7])},
    {0x208, MSR_AT(mtrr_var[8])},
    {0x209, MSR_AT(mtrr_var[9])},
    {0x20a, MSR_AT(mtrr_var[10])},
    {0x20b, MSR_AT(mtrr_var[11])},
    {0x20c, MSR_AT(mtrr_var[12])},
    {0x20d, MSR_AT(mtrr_var[13])},
    {0x20e, MSR_AT(mtrr_var[14])},
    {0x20f, MSR_AT(mtrr_var[15])},
    {0x17a, MSR_AT(mcg_status)},
    {0x8b, MSR_AT(bios_sign)},
    {0x3a, MSR_AT(feature_control)},
    {0x1d9, MSR_AT(debugctl)},
};

struct msr_set {
	uint32_t nmsrs, pad; /* struct kvm_msrs, whose array has no length */
	struct kvm_msr_entry entries[KVM_MSRS_MAX];
};
_Static_assert(offsetof(struct msr_set, entries) == offsetof(struct kvm_msrs, entries), "struct kvm_msrs");

static uint64_t *msr_slot(struct x86_state *s, uint32_t offset)
{
	return (uint64_t *)((char *)s + offset);
}

enum err kvm_state_init(struct vm *vm, struct errmsg *why)
{
	struct kvm_vm *k = kvm_of(vm);
	struct kvm_vcpu *kv;
	struct msr_set set;

	if (!vm->n_vcpus)
		return err_set(why, ERR_INVAL, "a VM without a vCPU");
	kv = kvcpu_of(&vm->vcpus[0]);
	_Static_assert(ARRAY_LEN(msr_fields) <= KVM_MSRS_MAX, "the MSR table is too small");
	for (size_t i = 0; i < ARRAY_LEN(msr_fields); i++) {
		memset(&set, 0, sizeof set);
		set.nmsrs = 1;
		set.entries[0].index = msr_fields[i].index;
		if (kvm_ioctl(kv->fd, KVM_GET_MSRS, &set) != 1)
			continue;
		k->msrs[k->n_msrs].index = msr_fields[i].index;
		k->msrs[k->n_msrs].offset = msr_fields[i].offset;
		for (unsigned c = 0; c < vm->n_vcpus; c++)
			kvcpu_of(&vm->vcpus[c])->msr_shadow[k->n_msrs] = set.entries[0].data;
		k->n_msrs++;
	}
	return ERR_OK;
}

static enum err msrs_get(struct vcpu *v)
{
	struct kvm_vm *k = kvm_of(v->vm);
	struct kvm_vcpu *kv = kvcpu_of(v);
	struct msr_set set;

	set.pad = 0;
	set.nmsrs = k->n_msrs;
	for (uint32_t i = 0; i < k->n_msrs; i++)
		set.entries[i] = (struct kvm_msr_entry){.index = k->msrs[i].index};
	if (kvm_ioctl(kv->fd, KVM_GET_MSRS, &set) != (int)k->n_msrs)
		return ERR_IO;
	for (uint32_t i = 0; i < k->n_msrs; i++) {
		uint64_t *slot = msr_slot(&v->cpu.s, k->msrs[i].offset);

		/* A value that KVM refused stays ours until the guest changes KVM's. */
		if (!kv->msr_refused[i] || set.entries[i].data != kv->msr_shadow[i]) {
			*slot = set.entries[i].data;
			kv->msr_refused[i] = false;
		}
		kv->msr_shadow[i] = set.entries[i].data;
	}
	return ERR_OK;
}

/* One by one, and only what differs: KVM_SET_MSRS stops at the first value that it refuses. */
static void msrs_set(struct vcpu *v)
{
	struct kvm_vm *k = kvm_of(v->vm);
	struct kvm_vcpu *kv = kvcpu_of(v);
	struct msr_set set;

	for (uint32_t i = 0; i < k->n_msrs; i++) {
		uint64_t want = *msr_slot(&v->cpu.s, k->msrs[i].offset);

		if (want == kv->msr_shadow[i]) {
			kv->msr_refused[i] = false;
			continue;
		}
		set.pad = 0;
		set.nmsrs = 1;
		set.entries[0] = (struct kvm_msr_entry){.index = k->msrs[i].index, .data = want};
		kv->msr_refused[i] = kvm_ioctl(kv->fd, KVM_SET_MSRS, &set) != 1;
		if (!kv->msr_refused[i])
			kv->msr_shadow[i] = want;
	}
}

static void seg_from_kvm(struct x86_seg *d, const struct kvm_segment *s)
{
	d->base = s->base;
	d->limit = s->limit;
	d->sel = s->selector;
	d->attr = (uint32_t)(s->type & SEG_TYPE) | (s->s ? SEG_S : 0) | ((uint32_t)(s->dpl & 3) << SEG_DPL_SHIFT) |
		  (s->present ? SEG_P : 0) | (s->avl ? SEG_AVL : 0) | (s->l ? SEG_L : 0) | (s->db ? SEG_DB : 0) |
		  (s->g ? SEG_G : 0) | (s->unusable ? SEG_UNUSABLE : 0);
}

static void seg_to_kvm(struct kvm_segment *d, const struct x86_seg *s)
{
	memset(d, 0, sizeof *d);
	d->base = s->base;
	d->limit = s->limit;
	d->selector = s->sel;
	d->type = s->attr & SEG_TYPE;
	d->s = (s->attr & SEG_S) != 0;
	d->dpl = (s->attr & SEG_DPL) >> SEG_DPL_SHIFT;
	d->present = (s->attr & SEG_P) != 0;
	d->avl = (s->attr & SEG_AVL) != 0;
	d->l = (s->attr & SEG_L) != 0;
	d->db = (s->attr & SEG_DB) != 0;
	d->g = (s->attr & SEG_G) != 0;
	d->unusable = (s->attr & SEG_UNUSABLE) != 0;
}

static void regs_from_kvm(struct x86_state *s, const struct kvm_regs *r)
{
	const uint64_t gpr[16] = {r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi, r->r8, r->r9, r->r10,
	    r->r11, r->r12, r->r13, r->r14, r->r15};

	memcpy(s->gpr, gpr, sizeof gpr);
	s->rip = r->rip;
	s->rflags = r->rflags | FLAG_R1;
}

static void regs_to_kvm(struct kvm_regs *r, const struct x86_state *s)
{
	*r = (struct kvm_regs){
	    .rax = s->gpr[X86_RAX],
	    .rcx = s->gpr[X86_RCX],
	    .rdx = s->gpr[X86_RDX],
	    .rbx = s->gpr[X86_RBX],
	    .rsp = s->gpr[X86_RSP],
	    .rbp = s->gpr[X86_RBP],
	    .rsi = s->gpr[X86_RSI],
	    .rdi = s->gpr[X86_RDI],
	    .r8 = s->gpr[X86_R8],
	    .r9 = s->gpr[X86_R9],
	    .r10 = s->gpr[X86_R10],
	    .r11 = s->gpr[X86_R11],
	    .r12 = s->gpr[X86_R12],
	    .r13 = s->gpr[X86_R13],
	    .r14 = s->gpr[X86_R14],
	    .r15 = s->gpr[X86_R15],
	    .rip = s->rip,
	    .rflags = s->rflags | FLAG_R1,
	};
}

static void sregs_from_kvm(struct x86_state *s, const struct kvm_sregs *r)
{
	seg_from_kvm(&s->seg[X86_ES], &r->es);
	seg_from_kvm(&s->seg[X86_CS], &r->cs);
	seg_from_kvm(&s->seg[X86_SS], &r->ss);
	seg_from_kvm(&s->seg[X86_DS], &r->ds);
	seg_from_kvm(&s->seg[X86_FS], &r->fs);
	seg_from_kvm(&s->seg[X86_GS], &r->gs);
	seg_from_kvm(&s->ldtr, &r->ldt);
	seg_from_kvm(&s->tr, &r->tr);
	s->gdtr.base = r->gdt.base;
	s->gdtr.limit = r->gdt.limit;
	s->idtr.base = r->idt.base;
	s->idtr.limit = r->idt.limit;
	s->cr0 = r->cr0;
	s->cr2 = r->cr2;
	s->cr3 = r->cr3;
	s->cr4 = r->cr4;
	s->cr8 = r->cr8;
	s->efer = r->efer;
	s->apic_base = r->apic_base;
}

static void sregs_to_kvm(struct kvm_sregs *r, const struct x86_state *s)
{
	memset(r, 0, sizeof *r);
	seg_to_kvm(&r->es, &s->seg[X86_ES]);
	seg_to_kvm(&r->cs, &s->seg[X86_CS]);
	seg_to_kvm(&r->ss, &s->seg[X86_SS]);
	seg_to_kvm(&r->ds, &s->seg[X86_DS]);
	seg_to_kvm(&r->fs, &s->seg[X86_FS]);
	seg_to_kvm(&r->gs, &s->seg[X86_GS]);
	seg_to_kvm(&r->ldt, &s->ldtr);
	seg_to_kvm(&r->tr, &s->tr);
	r->gdt.base = s->gdtr.base;
	r->gdt.limit = (uint16_t)s->gdtr.limit;
	r->idt.base = s->idtr.base;
	r->idt.limit = (uint16_t)s->idtr.limit;
	r->cr0 = s->cr0;
	r->cr2 = s->cr2;
	r->cr3 = s->cr3;
	r->cr4 = s->cr4;
	r->cr8 = s->cr8;
	r->efer = s->efer;
	r->apic_base = s->apic_base;
}

static bool vector_is_soft(uint8_t vector)
{
	return vector == VEC_BP || vector == VEC_OF;
}

static void events_from_kvm(struct x86_state *s, const struct kvm_vcpu_events *e)
{
	s->intr_shadow = (e->interrupt.shadow & 1 ? INTR_SHADOW_MOVSS : 0) |
			 (e->interrupt.shadow & 2 ? INTR_SHADOW_STI : 0) | (e->nmi.masked ? INTR_SHADOW_NMI : 0);
	s->pending_event = 0;
	s->pending_error = 0;
	if (e->exception.injected || e->exception.pending) {
		uint32_t type = vector_is_soft(e->exception.nr) ? INTR_TYPE_SW_EXCEPTION : INTR_TYPE_HW_EXCEPTION;

		s->pending_event = INTR_INFO_VALID | (type << INTR_INFO_TYPE_SHIFT) | e->exception.nr |
				   (e->exception.has_error_code ? INTR_INFO_ERROR : 0);
		s->pending_error = e->exception.error_code;
	} else if (e->nmi.injected) {
		s->pending_event = INTR_INFO_VALID | (INTR_TYPE_NMI << INTR_INFO_TYPE_SHIFT) | VEC_NMI;
	} else if (e->interrupt.injected) {
		uint32_t type = e->interrupt.soft ? INTR_TYPE_SW_INT : INTR_TYPE_EXTERNAL;

		s->pending_event = INTR_INFO_VALID | (type << INTR_INFO_TYPE_SHIFT) | e->interrupt.nr;
	}
}

static void event_to_kvm(struct kvm_vcpu_events *e, uint32_t info, uint32_t error)
{
	uint8_t vector = (uint8_t)info;

	e->exception.injected = e->exception.pending = 0;
	e->interrupt.injected = e->interrupt.soft = 0;
	e->nmi.injected = 0;
	if (!(info & INTR_INFO_VALID))
		return;
	switch ((enum intr_type)((info >> INTR_INFO_TYPE_SHIFT) & 7)) {
	case INTR_TYPE_EXTERNAL:
	case INTR_TYPE_SW_INT:
		e->interrupt.injected = 1;
		e->interrupt.nr = vector;
		e->interrupt.soft = ((info >> INTR_INFO_TYPE_SHIFT) & 7) == INTR_TYPE_SW_INT;
		break;
	case INTR_TYPE_NMI:
		e->nmi.injected = 1;
		break;
	case INTR_TYPE_HW_EXCEPTION:
	case INTR_TYPE_PRIV_SW_EXCEPTION:
	case INTR_TYPE_SW_EXCEPTION:
		e->exception.injected = 1;
		e->exception.nr = vector;
		e->exception.has_error_code = (info & INTR_INFO_ERROR) != 0;
		e->exception.error_code = error;
		break;
	}
}

static void events_to_kvm(struct kvm_vcpu_events *e, const struct x86_state *s)
{
	event_to_kvm(e, s->pending_event, s->pending_error);
	e->interrupt.shadow =
	    (uint8_t)((s->intr_shadow & INTR_SHADOW_MOVSS ? 1 : 0) | (s->intr_shadow & INTR_SHADOW_STI ? 2 : 0));
	e->nmi.masked = (s->intr_shadow & INTR_SHADOW_NMI) != 0;
	e->flags |= KVM_VCPUEVENT_VALID_SHADOW;
}

/* Events are not part of every exit's copy: few exits need them. Those that wait to be handed over are fresh. */
static enum err events_fetch(struct kvm_vcpu *kv)
{
	if (kv->run->kvm_dirty_regs & KVM_SYNC_X86_EVENTS)
		return ERR_OK;
	return kvm_ioctl(kv->fd, KVM_GET_VCPU_EVENTS, &kv->run->s.regs.events) < 0 ? ERR_IO : ERR_OK;
}

void kvm_sync_in(struct vcpu *v)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	const struct kvm_sync_regs *r = &kv->run->s.regs;
	struct x86_state *s = &v->cpu.s;
	uint64_t key, base = s->apic_base; /* the kernel takes writes of IA32_APIC_BASE; the APIC is ours */

	regs_from_kvm(s, &r->regs);
	if (!kv->mode_key || memcmp(&kv->sregs_seen, &r->sregs, sizeof r->sregs) != 0) {
		sregs_from_kvm(s, &r->sregs);
		kv->sregs_seen = r->sregs;
	}
	s->cr8 = kv->run->cr8;
	s->apic_base = kv->run->apic_base;
	if (UNLIKELY(s->apic_base != base) && v->vm->machine)
		lapic_base_written(v, base);
	v->cpu.lazy.op = 0;
	/* Derived fields follow only when what they rest on moved: this is on the path of every exit. */
	key = (s->cr0 << 32) ^ (s->cr4 << 8) ^ (s->efer << 44) ^ s->seg[X86_CS].attr ^
	      ((uint64_t)s->seg[X86_SS].attr << 17) ^ (s->rflags & FLAG_VM) ^ (s->cr3 << 13) ^ 1;
	if (key != kv->mode_key)
		x86_state_changed(&v->cpu);
	kv->mode_key = key;
}

static enum err fpu_get(struct vcpu *v)
{
	struct kvm_xsave x;

	if (kvm_ioctl(kvcpu_of(v)->fd, KVM_GET_XSAVE, &x) < 0)
		return ERR_IO;
	memcpy(v->cpu.s.fxsave, x.region, 464); /* the rest of the legacy area belongs to software */
	memcpy(v->cpu.s.ymm_hi, (const char *)x.region + 576, sizeof v->cpu.s.ymm_hi);
	return ERR_OK;
}

/* XSAVE image: legacy area, header (component bits at 512), upper YMM halves at 576
 * [SDM 1 "Standard Format of an XSAVE Area"]. */
static enum err fpu_set(struct vcpu *v)
{
	const struct x86_state *s = &v->cpu.s;
	struct kvm_xsave x;
	uint64_t components = 3;
	uint8_t upper = 0;

	if (kvm_ioctl(kvcpu_of(v)->fd, KVM_GET_XSAVE, &x) < 0)
		return ERR_IO;
	for (size_t i = 0; i < sizeof s->ymm_hi; i++)
		upper |= s->ymm_hi[i];
	if (upper)
		components |= 4;
	memcpy(x.region, s->fxsave, 464);
	memcpy((char *)x.region + 512, &components, sizeof components);
	memcpy((char *)x.region + 576, s->ymm_hi, sizeof s->ymm_hi);
	return kvm_ioctl(kvcpu_of(v)->fd, KVM_SET_XSAVE, &x) < 0 ? ERR_IO : ERR_OK;
}

static enum err debugregs_get(struct vcpu *v)
{
	struct kvm_debugregs d;

	if (kvm_ioctl(kvcpu_of(v)->fd, KVM_GET_DEBUGREGS, &d) < 0)
		return ERR_IO;
	memcpy(v->cpu.s.dr, d.db, sizeof v->cpu.s.dr);
	v->cpu.s.dr6 = d.dr6;
	v->cpu.s.dr7 = d.dr7;
	return ERR_OK;
}

static enum err debugregs_set(struct vcpu *v)
{
	struct kvm_debugregs d;

	memset(&d, 0, sizeof d);
	memcpy(d.db, v->cpu.s.dr, sizeof d.db);
	d.dr6 = v->cpu.s.dr6;
	d.dr7 = v->cpu.s.dr7;
	return kvm_ioctl(kvcpu_of(v)->fd, KVM_SET_DEBUGREGS, &d) < 0 ? ERR_IO : ERR_OK;
}

static enum err xcr0_get(struct vcpu *v)
{
	struct kvm_xcrs x;

	if (!kvm_of(v->vm)->has_xcrs)
		return ERR_OK;
	if (kvm_ioctl(kvcpu_of(v)->fd, KVM_GET_XCRS, &x) < 0)
		return ERR_IO;
	for (uint32_t i = 0; i < x.nr_xcrs && i < KVM_MAX_XCRS; i++)
		if (x.xcrs[i].xcr == 0)
			v->cpu.s.xcr0 = x.xcrs[i].value;
	return ERR_OK;
}

static enum err xcr0_set(struct vcpu *v)
{
	struct kvm_xcrs x;

	if (!kvm_of(v->vm)->has_xcrs)
		return ERR_OK;
	memset(&x, 0, sizeof x);
	x.nr_xcrs = 1;
	x.xcrs[0].value = v->cpu.s.xcr0;
	return kvm_ioctl(kvcpu_of(v)->fd, KVM_SET_XCRS, &x) < 0 ? ERR_IO : ERR_OK;
}

static bool pae_paging(const struct x86_state *s)
{
	return (s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !(s->efer & EFER_LMA);
}

static enum err pdptes_get(struct vcpu *v)
{
	struct kvm_sregs2 r;

	if (!pae_paging(&v->cpu.s) || !kvm_of(v->vm)->has_sregs2)
		return ERR_OK;
	if (kvm_ioctl(kvcpu_of(v)->fd, KVM_GET_SREGS2, &r) < 0)
		return ERR_IO;
	if (r.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID)
		memcpy(v->cpu.s.pdpte, r.pdptrs, sizeof v->cpu.s.pdpte);
	return ERR_OK;
}

enum err kvm_get_state(struct vcpu *v)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	enum err e = ERR_OK;

	if (kv->pending == KVM_PENDING_SERVED)
		e = kvm_finish(v);
	if (e != ERR_OK)
		return e;
	kvm_sync_in(v);
	/* Before its effect, an exiting instruction is still to come: show the guest standing at it. */
	if (kv->pending == KVM_PENDING_UNSERVED)
		v->cpu.s.rip = kv->exit_rip;
	e = events_fetch(kv);
	if (e != ERR_OK)
		return e;
	events_from_kvm(&v->cpu.s, &kv->run->s.regs.events);
	e = msrs_get(v);
	if (e == ERR_OK)
		e = debugregs_get(v);
	if (e == ERR_OK)
		e = xcr0_get(v);
	if (e == ERR_OK)
		e = fpu_get(v);
	if (e == ERR_OK)
		e = pdptes_get(v);
	return e;
}

enum err kvm_set_state(struct vcpu *v)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	struct kvm_run *run = kv->run;
	const struct x86_state *s = &v->cpu.s;
	enum err e = ERR_OK;

	if (kv->pending != KVM_PENDING_NONE || kv->stashed)
		e = kvm_abandon(v);
	if (e != ERR_OK)
		return e;
	if (v->dirty & DIRTY_GPR) {
		regs_to_kvm(&run->s.regs.regs, s);
		run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
	}
	if (v->dirty & DIRTY_SREGS) {
		sregs_to_kvm(&run->s.regs.sregs, s);
		run->cr8 = s->cr8;
		run->kvm_dirty_regs |= KVM_SYNC_X86_SREGS;
	}
	if (v->dirty & DIRTY_EVENTS) {
		events_to_kvm(&run->s.regs.events, s);
		run->kvm_dirty_regs |= KVM_SYNC_X86_EVENTS;
	}
	if (v->dirty & DIRTY_MSRS)
		msrs_set(v);
	if (v->dirty & DIRTY_DEBUG)
		e = debugregs_set(v);
	if (e == ERR_OK && (v->dirty & DIRTY_FPU)) {
		e = xcr0_set(v);
		if (e == ERR_OK)
			e = fpu_set(v);
	}
	if (e == ERR_OK)
		v->dirty = 0;
	kv->mode_key = 0;
	return e;
}

/*
 * The page says what KVM found at the last exit; after new registers were handed over it is our own copy that counts.
 * An exit whose instruction is not finished is finished at the next entry, before the event is delivered; the STI and
 * MOV SS shadows end with it.
 */
bool kvm_interruptible(struct vcpu *v)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	struct kvm_run *run = kv->run;
	const struct kvm_sync_regs *r = &run->s.regs;

	if (kv->stashed || v->dirty || run->kvm_dirty_regs || !kv->entered) {
		if (kv->stashed)
			return false;
		if (v->dirty)
			return (v->cpu.s.rflags & FLAG_IF) &&
			       !(v->cpu.s.intr_shadow & (INTR_SHADOW_STI | INTR_SHADOW_MOVSS)) &&
			       !(v->cpu.s.pending_event & INTR_INFO_VALID);
		if (!(r->regs.rflags & FLAG_IF) || events_fetch(kv) != ERR_OK)
			return false;
		return !(r->events.interrupt.shadow & 3) && !r->events.interrupt.injected &&
		       !r->events.exception.injected && !r->events.exception.pending && !r->events.nmi.injected;
	}
	return run->if_flag && run->ready_for_interrupt_injection;
}

/* Registers that wait in the shared page for the next entry: hand them over now. */
static enum err flush_class(struct kvm_vcpu *kv, uint64_t class, unsigned long request, void *arg)
{
	if (!(kv->run->kvm_dirty_regs & class))
		return ERR_OK;
	if (kvm_ioctl(kv->fd, request, arg) < 0)
		return ERR_IO;
	kv->run->kvm_dirty_regs &= ~class;
	return ERR_OK;
}

/* A queued event would be overwritten by them. */
static enum err events_flush(struct kvm_vcpu *kv)
{
	return flush_class(kv, KVM_SYNC_X86_EVENTS, KVM_SET_VCPU_EVENTS, &kv->run->s.regs.events);
}

enum err kvm_flush_regs(struct kvm_vcpu *kv)
{
	struct kvm_sync_regs *r = &kv->run->s.regs;
	enum err e = flush_class(kv, KVM_SYNC_X86_REGS, KVM_SET_REGS, &r->regs);

	if (e == ERR_OK)
		e = flush_class(kv, KVM_SYNC_X86_SREGS, KVM_SET_SREGS, &r->sregs);
	return e == ERR_OK ? events_flush(kv) : e;
}

static enum err inject_exception(struct vcpu *v, const struct x86_event *ev)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	struct kvm_sync_regs *r = &kv->run->s.regs;
	uint32_t info = INTR_INFO_VALID | ((uint32_t)ev->type << INTR_INFO_TYPE_SHIFT) | ev->vector |
			(ev->has_error ? INTR_INFO_ERROR : 0);

	if (events_fetch(kv) != ERR_OK)
		return ERR_IO;
	event_to_kvm(&r->events, info, ev->error);
	kv->run->kvm_dirty_regs |= KVM_SYNC_X86_EVENTS;
	if (ev->vector == VEC_PF && ev->type == INTR_TYPE_HW_EXCEPTION) {
		r->sregs.cr2 = ev->cr2;
		v->cpu.s.cr2 = ev->cr2;
		kv->run->kvm_dirty_regs |= KVM_SYNC_X86_SREGS;
	}
	if (ev->dr6) {
		v->cpu.s.dr6 = x86_dr6_with(v->cpu.s.dr6, ev->dr6);
		return debugregs_set(v);
	}
	return ERR_OK;
}

enum err kvm_inject(struct vcpu *v, const struct x86_event *ev)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	struct kvm_interrupt irq = {.irq = ev->vector};
	enum err e = ERR_OK;

	if (v->dirty)
		e = kvm_set_state(v);
	if (e == ERR_OK && (ev->type == INTR_TYPE_EXTERNAL || ev->type == INTR_TYPE_NMI))
		e = events_flush(kv);
	if (e != ERR_OK)
		return e;
	if (ev->type == INTR_TYPE_EXTERNAL)
		return kvm_ioctl(kv->fd, KVM_INTERRUPT, &irq) < 0 ? ERR_IO : ERR_OK;
	if (ev->type == INTR_TYPE_NMI)
		return kvm_ioctl(kv->fd, KVM_NMI, NULL) < 0 ? ERR_IO : ERR_OK;
	return inject_exception(v, ev);
}
