/*
 * From struct vm_controls to a VMCS, and back. Concept: the whole policy of a VMM, what it lets pass and what it wants
 * to see, is a handful of bit fields [SDM 3C "VM-Execution Control Fields"]; the audit reads them back from the
 * hardware.
 *
 * Read before: core/controls.h. Read after: vmx_state.c.
 */
#include "modes/virtualize/vmx_priv.h"

#include "core/env.h"
#include "core/lib.h"
#include "modes/virtualize/vmx_asm.h"

#define EPTP_WRITE_BACK 6u
#define EPTP_LEVELS_4 (3u << 3)
#define TSC_FRACTION_BITS 48u
#define MSR_APIC_BASE 0x1bu

struct program {
	struct vmx_vcpu *x;
	const struct vm_controls *want;
	uint32_t bad_field; /* the first field that this CPU's VMCS lacks, plus 1 */
	uint32_t value[VMX_CTL_COUNT];
};

static void put(struct program *p, uint32_t field, uint64_t value)
{
	struct vmx_vcpu *x = p->x;

	if ((!vmwrite_checked(field, value) || x->n_programmed == VMX_PROGRAMMED_MAX) && !p->bad_field)
		p->bad_field = field + 1;
	if (x->n_programmed < VMX_PROGRAMMED_MAX)
		x->programmed[x->n_programmed++] = (struct vmx_programmed){field, value};
}

/* Profile "all" means: as far as the CPU has the control. Every other profile is all or nothing. */
static enum err fit(struct program *p, enum vmx_ctl set, uint32_t need, uint32_t wish, struct errmsg *why)
{
	bool all = strcmp(p->want->name, "all") == 0;

	if (!all) {
		need |= wish;
		wish = 0;
	}
	return vmx_fit_controls(vmx_caps(), set, need, wish, &p->value[set], &p->x->dropped[set], why);
}

static enum err fit_all(struct program *p, struct errmsg *why)
{
	const struct vmx_vm *vx = vmx_vm_of(p->x->v->vm);
	enum err e = fit(p, VMX_CTL_PIN, PIN_PREEMPTION_TIMER | PIN_EXTINT_EXIT | PIN_NMI_EXIT, p->want->pin, why);

	if (e == ERR_OK)
		e = fit(p, VMX_CTL_PROC, PROC_SECONDARY | PROC_TSC_OFFSETTING | PROC_HLT_EXIT, p->want->proc, why);
	if (e == ERR_OK)
		e = fit(p, VMX_CTL_PROC2, PROC2_EPT | PROC2_UNRESTRICTED | (vx->scales_tsc ? PROC2_TSC_SCALING : 0),
		    p->want->proc2, why);
	if (e == ERR_OK)
		e = vmx_fit_controls(vmx_caps(), VMX_CTL_EXIT,
		    EXIT_HOST_64 | EXIT_SAVE_DEBUG | EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_EFER | EXIT_LOAD_EFER, 0,
		    &p->value[VMX_CTL_EXIT], NULL, why);
	if (e == ERR_OK)
		e = vmx_fit_controls(vmx_caps(), VMX_CTL_ENTRY, ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER, 0,
		    &p->value[VMX_CTL_ENTRY], NULL, why);
	return e;
}

static void put_controls(struct program *p)
{
	struct vmx_vcpu *x = p->x;
	const struct vmx_vm *vx = vmx_vm_of(x->v->vm);

	x->proc = p->value[VMX_CTL_PROC];
	x->entry = p->value[VMX_CTL_ENTRY];
	put(p, VMCS_PIN_CONTROLS, p->value[VMX_CTL_PIN]);
	put(p, VMCS_PROC_CONTROLS, x->proc);
	put(p, VMCS_PROC2_CONTROLS, p->value[VMX_CTL_PROC2]);
	put(p, VMCS_EXIT_CONTROLS, p->value[VMX_CTL_EXIT]);
	put(p, VMCS_ENTRY_CONTROLS, x->entry);
	put(p, VMCS_EXCEPTION_BITMAP, p->want->exceptions);
	put(p, VMCS_PF_MASK, p->want->pf_mask);
	put(p, VMCS_PF_MATCH, p->want->pf_match);
	put(p, VMCS_CR3_TARGET_COUNT, 0);
	put(p, VMCS_EXIT_MSR_STORE_COUNT, 0);
	put(p, VMCS_EXIT_MSR_LOAD_COUNT, 0);
	put(p, VMCS_ENTRY_MSR_LOAD_COUNT, 0);
	put(p, VMCS_ENTRY_INTR_INFO, 0);
	put(p, VMCS_VMCS_LINK, UINT64_MAX);
	put(p, VMCS_EPTP, vx->eptp);
	if (p->value[VMX_CTL_PROC2] & PROC2_VPID)
		put(p, VMCS_VPID, x->vpid);
	if (x->proc & PROC_MSR_BITMAPS)
		put(p, VMCS_MSR_BITMAP, (uint64_t)(uintptr_t)vx->msr_bitmap);
	if (x->proc & PROC_IO_BITMAPS) {
		put(p, VMCS_IO_BITMAP_A, (uint64_t)(uintptr_t)vx->io_bitmaps);
		put(p, VMCS_IO_BITMAP_B, (uint64_t)(uintptr_t)vx->io_bitmaps + PAGE_SIZE_4K);
	}
	if (p->value[VMX_CTL_PROC2] & PROC2_TSC_SCALING)
		put(p, VMCS_TSC_MULTIPLIER, vx->tsc_multiplier);
	put(p, VMCS_GUEST_ACTIVITY, 0);
	put(p, VMCS_GUEST_SMBASE, 0);
}

/* VMX operation wants some bits of CR0 and CR4 at a fixed value; the guest sees its own there. What our CPU model
 * offers and this CPU lacks stays in the shadow too: the guest believes to have it. */
static void put_masks(struct program *p)
{
	const struct vmx_caps *caps = vmx_caps();
	struct vmx_vcpu *x = p->x;
	uint64_t free_cr0 = caps->cr0_may & ~(caps->cr0_must & ~(uint64_t)(CR0_PE | CR0_PG));

	x->cr0_mask = p->want->cr0_mask | CR0_NE | (uint32_t)~free_cr0;
	x->cr4_mask = p->want->cr4_mask | CR4_VMXE | (uint32_t) ~(caps->cr4_may & ~caps->cr4_must);
	x->cr0_more = x->cr0_mask & ~p->want->cr0_mask;
	x->cr4_more = x->cr4_mask & ~p->want->cr4_mask;
	put(p, VMCS_CR0_MASK, x->cr0_mask);
	put(p, VMCS_CR4_MASK, x->cr4_mask);
}

/* Base of the task-state segment, from its 16-byte descriptor. */
static uint64_t tss_base(uint64_t gdt, uint16_t tr)
{
	uint64_t d[2];

	memcpy(d, (const void *)(uintptr_t)(gdt + (tr & ~7u)), sizeof(d));
	return (d[0] >> 16 & 0xffffff) | (d[0] >> 56 & 0xff) << 24 | d[1] << 32;
}

/* Every exit loads this: the VMM as it is now. */
static void put_host(struct program *p)
{
	uint64_t gdt = vmx_gdt_base();
	uint16_t tr = vmx_sel_tr();

	put(p, VMCS_HOST_CR0, cpu_read_cr0());
	put(p, VMCS_HOST_CR3, cpu_read_cr3());
	put(p, VMCS_HOST_CR4, cpu_read_cr4());
	put(p, VMCS_HOST_ES_SEL, vmx_sel_es() & 0xfff8u);
	put(p, VMCS_HOST_CS_SEL, vmx_sel_cs() & 0xfff8u);
	put(p, VMCS_HOST_SS_SEL, vmx_sel_ss() & 0xfff8u);
	put(p, VMCS_HOST_DS_SEL, vmx_sel_ds() & 0xfff8u);
	put(p, VMCS_HOST_FS_SEL, vmx_sel_fs() & 0xfff8u);
	put(p, VMCS_HOST_GS_SEL, vmx_sel_gs() & 0xfff8u);
	put(p, VMCS_HOST_TR_SEL, tr & 0xfff8u);
	put(p, VMCS_HOST_TR_BASE, tss_base(gdt, tr));
	put(p, VMCS_HOST_GDTR_BASE, gdt);
	put(p, VMCS_HOST_IDTR_BASE, vmx_idt_base());
	put(p, VMCS_HOST_FS_BASE, cpu_rdmsr(MSR_FS_BASE));
	put(p, VMCS_HOST_GS_BASE, cpu_rdmsr(MSR_GS_BASE));
	put(p, VMCS_HOST_SYSENTER_CS, 0);
	put(p, VMCS_HOST_SYSENTER_ESP, 0);
	put(p, VMCS_HOST_SYSENTER_EIP, 0);
	put(p, VMCS_HOST_PAT, cpu_rdmsr(MSR_PAT));
	put(p, VMCS_HOST_EFER, cpu_rdmsr(MSR_EFER));
	put(p, VMCS_HOST_RIP, (uint64_t)(uintptr_t)vmx_exit_point);
}

static void tell_dropped(const struct vmx_vcpu *x)
{
	char line[160];

	for (unsigned set = 0; set < VMX_CTL_COUNT; set++)
		for (unsigned bit = 0; bit < 32; bit++) {
			if (!(x->dropped[set] >> bit & 1))
				continue;
			fmt_snprintf(line, sizeof(line), "vmx: controls \"%s\" without \"%s\": this CPU lacks it",
			    x->v->vm->controls.name, vmx_control_name((enum vmx_ctl)set, bit));
			x->v->vm->cfg.host->log(LOG_INFO, line);
		}
}

enum err vmx_program(struct vmx_vcpu *x, struct errmsg *why)
{
	struct program p = {.x = x, .want = &x->v->vm->controls};
	enum err e = fit_all(&p, why);

	if (e != ERR_OK)
		return e;
	x->n_programmed = 0;
	put_controls(&p);
	put_masks(&p);
	put_host(&p);
	if (p.bad_field)
		return err_set(why, ERR_UNSUPPORTED, "this CPU's VMCS lacks the field \"%s\" (%#x)",
		    vmcs_field_name(p.bad_field - 1), p.bad_field - 1);
	tell_dropped(x);
	return ERR_OK;
}

/* --- Time -------------------------------------------------------------------------------------------------------- */

static uint64_t scale(uint64_t tsc, uint64_t multiplier)
{
	return (uint64_t)((unsigned __int128)tsc * multiplier >> TSC_FRACTION_BITS);
}

/* The guest's RDTSC gives what vcpu_tsc() says, without an exit: offset = that - the processor's, scaled. */
void vmx_set_tsc(struct vmx_vcpu *x)
{
	const struct vmx_vm *vx = vmx_vm_of(x->v->vm);
	const uint64_t key[2] = {x->v->vm->clock.start_ns, x->v->cpu.s.tsc_offset};
	uint64_t now;

	if (LIKELY(x->tsc_key[0] == key[0] && x->tsc_key[1] == key[1]))
		return;
	x->tsc_key[0] = key[0];
	x->tsc_key[1] = key[1];
	now = x->v->vm->cfg.host->cycles();
	vmwrite(VMCS_TSC_OFFSET, vcpu_tsc(x->v) - (vx->scales_tsc ? scale(now, vx->tsc_multiplier) : now));
}

/* What struct vm_controls knows of a set: not the bits that VMX fixes at 1, nor those of our own book-keeping. */
#define PIN_POLICY (PIN_EXTINT_EXIT | PIN_NMI_EXIT | PIN_VIRTUAL_NMIS | PIN_PREEMPTION_TIMER)
#define PROC_POLICY                                                                                                    \
	(PROC_HLT_EXIT | PROC_INVLPG_EXIT | PROC_MWAIT_EXIT | PROC_RDPMC_EXIT | PROC_RDTSC_EXIT | PROC_CR3_LOAD_EXIT | \
	    PROC_CR3_STORE_EXIT | PROC_CR8_LOAD_EXIT | PROC_CR8_STORE_EXIT | PROC_MOV_DR_EXIT | PROC_UNCOND_IO_EXIT |  \
	    PROC_IO_BITMAPS | PROC_MSR_BITMAPS | PROC_MONITOR_EXIT | PROC_PAUSE_EXIT | PROC_SECONDARY)

/* --- What is in force -------------------------------------------------------------------------------------------- */

void vmx_read_controls(struct vcpu *v, struct vm_controls *out)
{
	struct vmx_vcpu *x = vmx_of(v);

	vmx_make_current(x);
	out->pin = vmread32(VMCS_PIN_CONTROLS) & PIN_POLICY;
	out->proc = vmread32(VMCS_PROC_CONTROLS) & PROC_POLICY;
	out->proc2 = vmread32(VMCS_PROC2_CONTROLS) & ~PROC2_TSC_SCALING;
	out->exceptions = vmread32(VMCS_EXCEPTION_BITMAP);
	if (!(vmread(VMCS_CR0_SHADOW) & CR0_NE) && !(v->vm->controls.exceptions >> VEC_MF & 1))
		out->exceptions &= ~(1u << VEC_MF); /* vmx_state.c: it stands for FERR# */
	out->pf_mask = vmread32(VMCS_PF_MASK);
	out->pf_match = vmread32(VMCS_PF_MATCH);
	out->cr0_mask = vmread(VMCS_CR0_MASK) & ~x->cr0_more;
	out->cr4_mask = vmread(VMCS_CR4_MASK) & ~x->cr4_more;
	memset(out->io_bitmap, 0xff, sizeof(out->io_bitmap));
	memset(out->msr_bitmap, 0xff, sizeof(out->msr_bitmap));
	if (out->proc & PROC_IO_BITMAPS) {
		const void *a = (const void *)(uintptr_t)vmread(VMCS_IO_BITMAP_A);
		const void *b = (const void *)(uintptr_t)vmread(VMCS_IO_BITMAP_B);

		memcpy(out->io_bitmap, a, PAGE_SIZE_4K);
		memcpy(out->io_bitmap + PAGE_SIZE_4K, b, PAGE_SIZE_4K);
	}
	if (out->proc & PROC_MSR_BITMAPS)
		memcpy(out->msr_bitmap, (const void *)(uintptr_t)vmread(VMCS_MSR_BITMAP), PAGE_SIZE_4K);
}

/* The bits of a field that the VMM or the processor change while the guest runs. */
static uint64_t changing(uint32_t field)
{
	switch (field) {
	case VMCS_PROC_CONTROLS:
		return PROC_INTERRUPT_WINDOW | PROC_NMI_WINDOW;
	case VMCS_EXCEPTION_BITMAP:
		return 1u << VEC_MF; /* follows the guest's CR0.NE */
	case VMCS_ENTRY_CONTROLS:
		return ENTRY_IA32E;
	case VMCS_ENTRY_INTR_INFO:
		return UINT64_MAX;
	default:
		return 0;
	}
}

bool vmx_programmed(struct vcpu *v, char *buf, size_t n)
{
	struct vmx_vcpu *x = vmx_of(v);

	vmx_make_current(x);
	for (unsigned i = 0; i < x->n_programmed; i++) {
		const struct vmx_programmed *p = &x->programmed[i];
		uint64_t mask = ~changing(p->field), have = vmread(p->field) & mask;

		if (have == (p->value & mask))
			continue;
		fmt_snprintf(buf, n, "VMCS: \"%s\" is %#llx, and was programmed as %#llx", vmcs_field_name(p->field),
		    (unsigned long long)have, (unsigned long long)(p->value & mask));
		return false;
	}
	return true;
}

/* --- Holes made on purpose --------------------------------------------------------------------------------------- */

static void fault_cr8(struct vmx_vcpu *x)
{
	vmx_make_current(x);
	x->proc &= ~(PROC_CR8_LOAD_EXIT | PROC_CR8_STORE_EXIT);
	vmwrite(VMCS_PROC_CONTROLS, x->proc);
}

/* Nested page tables that the VMM does not keep: as they are now, and as they stay. */
static void fault_root(struct vmx_vcpu *x)
{
	const struct vmx_vm *vx = vmx_vm_of(x->v->vm);
	uint64_t *copy = x->v->vm->cfg.host->page_alloc(PAGE_SIZE_4K); /* until the machine goes off */

	if (!copy)
		return;
	memcpy(copy, vx->ept.root, PAGE_SIZE_4K);
	vmx_make_current(x);
	vmwrite(VMCS_EPTP, (uintptr_t)copy | (vx->eptp & (PAGE_SIZE_4K - 1)));
}

/* After an exit the VMM goes on with the memory types that the guest chose. */
static void fault_own(struct vmx_vcpu *x)
{
	vmx_make_current(x);
	vmwrite(VMCS_EXIT_CONTROLS, vmread32(VMCS_EXIT_CONTROLS) & ~EXIT_LOAD_PAT);
}

void vmx_seed_fault(struct vm *vm, enum bundle_fault fault)
{
	struct vmx_vm *vx = vmx_vm_of(vm);
	const unsigned bit = (2 * 8192) + MSR_APIC_BASE; /* third part: writes of the low MSRs */
	const uint8_t *code = (const uint8_t *)((uintptr_t)vmx_exit_point & ~(uintptr_t)(PAGE_SIZE_4K - 1));

	vx->fault = fault;
	if (fault == FAULT_MSR)
		vx->msr_bitmap[bit / 8] &= (uint8_t) ~(1u << (bit % 8));
	if (fault == FAULT_EPT && ept_map(&vx->ept, VMX_FAULT_GPA, PAGE_SIZE_4K, code, true) != ERR_OK)
		vm_kill(vm, END_HOST_ERROR, 0, "fault ept: no memory for a nested page table");
	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		vmx_of(&vm->vcpus[i])->ept_stale = true;
		if (fault == FAULT_CR8)
			fault_cr8(vmx_of(&vm->vcpus[i]));
		if (fault == FAULT_ROOT)
			fault_root(vmx_of(&vm->vcpus[i]));
		if (fault == FAULT_OWN)
			fault_own(vmx_of(&vm->vcpus[i]));
	}
}
