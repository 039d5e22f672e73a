/*
 * The exit handlers. Each one plays what the real hardware would have done if the guest owned it: the device behind a
 * port, the CPU behind CPUID, the register behind RDMSR. What a guest must not do, or what this CPU does not have, goes
 * back to it as the exception that it would have met on such a machine (REFLECT).
 *
 * Read after core/vm.c; next handlers_priv.c (trap-and-emulate) and execute.c (one instruction on the guest's behalf).
 */
#include "core/handlers.h"

#include "core/env.h"
#include "core/lib.h"
#include "core/x86/insn.h"

bool vcpu_completes(const struct vcpu *v)
{
	return v->vm->cfg.mode->caps & MODE_CAP_COMPLETES;
}

enum verdict vcpu_reflect(struct vcpu *v, uint8_t vector)
{
	v->reflect = (struct x86_event){.vector = vector, .type = INTR_TYPE_HW_EXCEPTION};
	v->reflect.has_error = vector == VEC_DF || (vector >= VEC_TS && vector <= VEC_PF) || vector == VEC_AC;
	return VERDICT_REFLECT;
}

/* What x86_set_*() said: done, or a fault for the guest. */
static enum verdict verdict_of(struct vcpu *v, enum x86_rc rc)
{
	if (rc == X86_OK)
		return VERDICT_NEXT;
	v->reflect = v->cpu.fault;
	return VERDICT_REFLECT;
}

/* General register n as a system instruction uses it: 64 bits in 64-bit mode, else 32. */
static uint64_t gpr_get(const struct vcpu *v, unsigned n)
{
	uint64_t value = v->cpu.s.gpr[n];

	return v->cpu.code_size == 8 ? value : (uint32_t)value;
}

static void gpr_set(struct vcpu *v, unsigned n, uint64_t value)
{
	v->cpu.s.gpr[n] = v->cpu.code_size == 8 ? value : (uint32_t)value;
}

static void set_edx_eax(struct vcpu *v, uint64_t value)
{
	v->cpu.s.gpr[X86_RAX] = (uint32_t)value;
	v->cpu.s.gpr[X86_RDX] = value >> 32;
}

static uint64_t get_edx_eax(const struct vcpu *v)
{
	return (uint32_t)v->cpu.s.gpr[X86_RAX] | v->cpu.s.gpr[X86_RDX] << 32;
}

/* --- Devices ----------------------------------------------------------------------------------------------------- */

/* A device may have asked for a reset (i8042, port 92, cf9). */
static enum verdict after_device(const struct vcpu *v)
{
	return v->vm->want_reset ? VERDICT_RESET : VERDICT_NEXT;
}

static enum verdict handle_io(struct vcpu *v, struct vm_exit *e)
{
	bool completes = vcpu_completes(v);

	if (e->io.string && !completes)
		return vcpu_execute(v, e);
	if (!e->io.in) {
		bus_pio_write(&v->vm->bus, e->io.port, e->io.size, e->io.value);
		return after_device(v);
	}
	e->io.value = bus_pio_read(&v->vm->bus, e->io.port, e->io.size);
	if (!completes) {
		struct x86_state *s = vcpu_regs_for_write(v, DIRTY_GPR);
		if (!s)
			return VERDICT_KILL;
		if (e->io.size == 4)
			s->gpr[X86_RAX] = (uint32_t)e->io.value;
		else if (e->io.size == 2)
			s->gpr[X86_RAX] = (s->gpr[X86_RAX] & ~0xffffull) | (uint16_t)e->io.value;
		else
			s->gpr[X86_RAX] = (s->gpr[X86_RAX] & ~0xffull) | (uint8_t)e->io.value;
	}
	return after_device(v);
}

/* Device memory, a hole, or a ROM. With guest bytes, the executor performs the whole instruction. */
static enum verdict handle_ept_violation(struct vcpu *v, struct vm_exit *e)
{
	if (!vcpu_completes(v))
		return e->idt_info & INTR_INFO_VALID ? vcpu_redeliver(v, e) : vcpu_execute(v, e);
	if (e->mmio.write)
		vcpu_mmio_write(v, e->gpa, e->mmio.size, e->mmio.value);
	else
		e->mmio.value = vcpu_mmio_read(v, e->gpa, e->mmio.size);
	return after_device(v);
}

/* --- The CPU that the guest believes in -------------------------------------------------------------------------- */

static enum verdict handle_cpuid(struct vcpu *v, struct vm_exit *e)
{
	bool completes = vcpu_completes(v);
	struct x86_state *s = vcpu_regs_for_write(v, completes ? 0 : DIRTY_GPR);
	uint32_t out[4];

	if (!s)
		return VERDICT_KILL;
	if (!completes) {
		e->cpuid.leaf = (uint32_t)s->gpr[X86_RAX];
		e->cpuid.subleaf = (uint32_t)s->gpr[X86_RCX];
	}
	x86_cpuid(&v->cpu, e->cpuid.leaf, e->cpuid.subleaf, out);
	e->cpuid.eax = out[0];
	e->cpuid.ebx = out[1];
	e->cpuid.ecx = out[2];
	e->cpuid.edx = out[3];
	if (!completes) {
		s->gpr[X86_RAX] = out[0];
		s->gpr[X86_RBX] = out[1];
		s->gpr[X86_RCX] = out[2];
		s->gpr[X86_RDX] = out[3];
	}
	return VERDICT_NEXT;
}

static enum verdict msr_fault(struct vcpu *v, struct vm_exit *e)
{
	e->msr.fault = 1;
	return vcpu_reflect(v, VEC_GP);
}

static enum verdict handle_msr_read(struct vcpu *v, struct vm_exit *e)
{
	bool completes = vcpu_completes(v);
	struct x86_state *s = vcpu_state_for_write(v, completes ? 0 : DIRTY_GPR);

	if (!s)
		return VERDICT_KILL;
	if (!completes)
		e->msr.index = (uint32_t)s->gpr[X86_RCX];
	if (!vcpu_rdmsr(v, e->msr.index, &e->msr.value))
		return msr_fault(v, e);
	if (!completes)
		set_edx_eax(v, e->msr.value);
	return VERDICT_NEXT;
}

static enum verdict handle_msr_write(struct vcpu *v, struct vm_exit *e)
{
	bool completes = vcpu_completes(v);
	struct x86_state *s = vcpu_state_for_write(v, DIRTY_SREGS | DIRTY_MSRS);

	if (!s)
		return VERDICT_KILL;
	e->msr.write = 1;
	if (!completes) {
		e->msr.index = (uint32_t)s->gpr[X86_RCX];
		e->msr.value = get_edx_eax(v);
	}
	return vcpu_wrmsr(v, e->msr.index, e->msr.value) ? VERDICT_NEXT : msr_fault(v, e);
}

#define DR7_GD (1u << 13)
#define DR6_BD (1u << 13)

enum { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };

static enum verdict write_cr(struct vcpu *v, struct vm_exit *e)
{
	switch (e->cr.cr) {
	case 0:
		return verdict_of(v, x86_set_cr0(&v->cpu, e->cr.value));
	case 3:
		return verdict_of(v, x86_set_cr3(&v->cpu, e->cr.value));
	case 4:
		return verdict_of(v, x86_set_cr4(&v->cpu, e->cr.value));
	case 8:
		return verdict_of(v, x86_set_cr8(&v->cpu, e->cr.value));
	default:
		return vcpu_reflect(v, VEC_UD);
	}
}

static enum verdict read_cr(struct vcpu *v, struct vm_exit *e)
{
	const struct x86_state *s = &v->cpu.s;
	const uint64_t crs[9] = {[0] = s->cr0, [2] = s->cr2, [3] = s->cr3, [4] = s->cr4, [8] = s->cr8};

	if (e->cr.cr > 8)
		return vcpu_reflect(v, VEC_UD);
	e->cr.value = crs[e->cr.cr];
	if (!vcpu_completes(v))
		gpr_set(v, e->cr.gpr, e->cr.value);
	return VERDICT_NEXT;
}

static enum verdict handle_cr(struct vcpu *v, struct vm_exit *e)
{
	struct x86_state *s = vcpu_state_for_write(v, DIRTY_GPR | DIRTY_SREGS);

	if (!s)
		return VERDICT_KILL;
	e->cr.cr = e->qual & QUAL_CR_NUM_MASK;
	e->cr.type = e->qual >> QUAL_CR_TYPE_SHIFT & 3;
	e->cr.gpr = e->qual >> QUAL_CR_GPR_SHIFT & 15;
	switch (e->cr.type) {
	case CR_MOV_TO:
		if (!vcpu_completes(v))
			e->cr.value = gpr_get(v, e->cr.gpr);
		break;
	case CR_MOV_FROM:
		return read_cr(v, e);
	case CR_CLTS:
		e->cr.value = s->cr0 & ~(uint64_t)CR0_TS;
		break;
	default: { /* LMSW sets PE, MP, EM, TS and cannot clear PE */
		uint64_t low = e->qual >> QUAL_CR_LMSW_SHIFT & 0xf;
		e->cr.value = (s->cr0 & ~(uint64_t)(CR0_MP | CR0_EM | CR0_TS)) | low;
		break;
	}
	}
	return write_cr(v, e);
}

static enum verdict handle_dr(struct vcpu *v, struct vm_exit *e)
{
	struct x86_state *s = vcpu_state_for_write(v, DIRTY_GPR | DIRTY_DEBUG);

	if (!s)
		return VERDICT_KILL;
	e->dr.dr = e->qual & QUAL_DR_NUM_MASK;
	e->dr.read = (e->qual & QUAL_DR_READ) != 0;
	e->dr.gpr = e->qual >> QUAL_DR_GPR_SHIFT & 15;
	if (v->cpu.cpl != 0) /* this exit comes before the privilege check, so the check is ours */
		return vcpu_reflect(v, VEC_GP);
	if (s->dr7 & DR7_GD && !((e->dr.dr & ~1u) == 4 && s->cr4 & CR4_DE)) {
		/* So is general detect, and what the processor does when it delivers it [SDM 3B "Debug Registers"]. */
		s->dr7 &= ~(uint64_t)DR7_GD;
		v->reflect = (struct x86_event){.vector = VEC_DB, .type = INTR_TYPE_HW_EXCEPTION, .dr6 = DR6_BD};
		return VERDICT_REFLECT;
	}
	if (!e->dr.read) {
		if (!vcpu_completes(v))
			e->dr.value = gpr_get(v, e->dr.gpr);
		return verdict_of(v, x86_set_dr(&v->cpu, e->dr.dr, e->dr.value));
	}
	enum verdict verdict = verdict_of(v, x86_get_dr(&v->cpu, e->dr.dr, &e->dr.value));
	if (verdict == VERDICT_NEXT && !vcpu_completes(v))
		gpr_set(v, e->dr.gpr, e->dr.value);
	return verdict;
}

static enum verdict handle_xsetbv(struct vcpu *v, struct vm_exit *e)
{
	struct x86_state *s = vcpu_state_for_write(v, DIRTY_SREGS);

	if (!s)
		return VERDICT_KILL;
	if (v->cpu.cpl != 0) /* there are processors on which this exit comes before the privilege check */
		return vcpu_reflect(v, VEC_GP);
	if (!vcpu_completes(v)) {
		e->raw[1] = (uint32_t)s->gpr[X86_RCX];
		e->value = get_edx_eax(v);
	}
	return verdict_of(v, x86_set_xcr(&v->cpu, (uint32_t)e->raw[1], e->value));
}

static enum verdict handle_invlpg(struct vcpu *v, struct vm_exit *e)
{
	if (!vcpu_state(v))
		return VERDICT_KILL;
	x86_invlpg(&v->cpu, e->qual);
	return VERDICT_NEXT;
}

static enum verdict handle_rdtsc(struct vcpu *v, struct vm_exit *e)
{
	struct x86_state *s = vcpu_state_for_write(v, vcpu_completes(v) ? 0 : DIRTY_GPR);

	if (!s)
		return VERDICT_KILL;
	e->value = vcpu_tsc(v);
	if (!vcpu_completes(v)) {
		set_edx_eax(v, e->value);
		if (e->reason == EXIT_RDTSCP)
			s->gpr[X86_RCX] = (uint32_t)s->tsc_aux;
	}
	return VERDICT_NEXT;
}

/* --- Instructions that this CPU has or has not ------------------------------------------------------------------- */

static bool cpuid_has(struct vcpu *v, uint32_t leaf, unsigned reg, unsigned bit)
{
	uint32_t out[4];

	x86_cpuid(&v->cpu, leaf, 0, out);
	return out[reg] >> bit & 1;
}

/* VMX, SMX, SGX and the like: our CPUID does not offer them, so they are undefined, as on such a CPU. */
static enum verdict handle_undefined(struct vcpu *v, struct vm_exit *e)
{
	(void)e;
	return vcpu_reflect(v, VEC_UD);
}

/* MONITOR and MWAIT: undefined, or (when offered) hints that may do nothing. */
static enum verdict handle_monitor(struct vcpu *v, struct vm_exit *e)
{
	(void)e;
	return cpuid_has(v, 1, 2, 3) ? VERDICT_NEXT : vcpu_reflect(v, VEC_UD);
}

/* RDRAND, RDSEED, INVPCID...: undefined unless offered; then the executor knows how. */
static enum verdict handle_rdrand(struct vcpu *v, struct vm_exit *e)
{
	return cpuid_has(v, 1, 2, 30) ? vcpu_execute(v, e) : vcpu_reflect(v, VEC_UD);
}

static enum verdict handle_rdseed(struct vcpu *v, struct vm_exit *e)
{
	return cpuid_has(v, 7, 1, 18) ? vcpu_execute(v, e) : vcpu_reflect(v, VEC_UD);
}

/* No performance counter exists: every counter number is out of range. */
static enum verdict handle_rdpmc(struct vcpu *v, struct vm_exit *e)
{
	(void)e;
	return vcpu_reflect(v, VEC_GP);
}

/* Descriptor tables, task switches, INVPCID: with guest bytes the executor does it all. */
static enum verdict handle_execute(struct vcpu *v, struct vm_exit *e)
{
	if (e->idt_info & INTR_INFO_VALID)
		return vcpu_redeliver(v, e);
	return vcpu_completes(v) ? VERDICT_NEXT : vcpu_execute(v, e);
}

#define ENOSYS_OF_KVM 1000

/* Our hypercall interface defines no call; RAX says so as Linux guests know it from KVM. */
static enum verdict handle_vmcall(struct vcpu *v, struct vm_exit *e)
{
	struct x86_state *s = vcpu_state_for_write(v, vcpu_completes(v) ? 0 : DIRTY_GPR);

	if (!s)
		return VERDICT_KILL;
	e->value = v->cpu.code_size == 8 ? (uint64_t)-ENOSYS_OF_KVM : (uint32_t)-ENOSYS_OF_KVM;
	if (!vcpu_completes(v))
		s->gpr[X86_RAX] = e->value;
	return VERDICT_NEXT;
}

static enum verdict handle_hlt(struct vcpu *v, struct vm_exit *e)
{
	(void)v;
	(void)e;
	return VERDICT_HALT;
}

/* PAUSE, INVD, WBINVD: there are no caches and nobody else to run. */
static enum verdict handle_nothing_to_do(struct vcpu *v, struct vm_exit *e)
{
	(void)v;
	(void)e;
	return VERDICT_NEXT;
}

/* The VMM has the CPU back; the loop looks at timers, interrupts and limits by itself. */
static enum verdict handle_event(struct vcpu *v, struct vm_exit *e)
{
	(void)v;
	(void)e;
	return VERDICT_AGAIN;
}

static enum verdict handle_triple_fault(struct vcpu *v, struct vm_exit *e)
{
	vm_kill(v->vm, END_TRIPLE_FAULT, 0, "triple fault at rip %#llx", (unsigned long long)e->rip);
	return VERDICT_KILL;
}

/* --- Codes of our own -------------------------------------------------------------------------------------------- */

#define KVM_EXIT_INTERNAL_ERROR_CODE 17u /* KVM_EXIT_INTERNAL_ERROR, and its suberror "emulation" */
#define KVM_EMULATION_SUBERROR 1u

static enum verdict handle_kvm_gave_up(struct vcpu *v, struct vm_exit *e)
{
	char bytes[3 * sizeof(e->host.bytes) + 1] = "";
	struct x86_insn insn;
	unsigned n = e->host.n_bytes < sizeof(e->host.bytes) ? e->host.n_bytes : sizeof(e->host.bytes);
	int at = 0;

	if (!vcpu_state(v))
		return VERDICT_KILL;
	if (e->host.code != KVM_EXIT_INTERNAL_ERROR_CODE || e->host.suberror != KVM_EMULATION_SUBERROR) {
		vm_kill(v->vm, END_HOST_KVM, e->host.suberror,
		    "the host's KVM gave up: exit code %d, suberror %u, rip %#llx", (int)e->host.code, e->host.suberror,
		    (unsigned long long)e->rip);
		return VERDICT_KILL;
	}
	bool known = x86_decode(e->host.bytes, n, v->cpu.code_size, (enum x86_mode)v->cpu.mode, &insn) == DECODE_OK;
	if (known)
		n = insn.len;
	for (unsigned i = 0; i < n; i++)
		at += fmt_snprintf(bytes + at, sizeof(bytes) - (size_t)at, " %02x", e->host.bytes[i]);
	vm_kill(v->vm, END_HOST_KVM, e->host.suberror,
	    "the host's KVM cannot run this instruction: rip %#llx, bytes%s, %s", (unsigned long long)e->rip,
	    bytes[0] ? bytes : " unknown", known ? x86_insn_name(insn.id) : "not decoded");
	return VERDICT_KILL;
}

static enum verdict handle_fail_entry(struct vcpu *v, struct vm_exit *e)
{
	vm_kill(v->vm, END_HOST_KVM, e->host.code,
	    "the host's KVM could not enter the guest: hardware reason %#x, rip %#llx", e->host.code,
	    (unsigned long long)e->rip);
	return VERDICT_KILL;
}

static enum verdict handle_model_end(struct vcpu *v, struct vm_exit *e)
{
	vm_kill(v->vm, END_MODEL_END, 0, "the model returned after %llu exits", (unsigned long long)e->index);
	return VERDICT_KILL;
}

static enum verdict handle_unimplemented(struct vcpu *v, struct vm_exit *e)
{
	vm_kill(v->vm, END_UNIMPLEMENTED, 0, "not executed yet: %s, at rip %#llx",
	    v->cpu.stop_reason[0] ? v->cpu.stop_reason : "an instruction", (unsigned long long)e->rip);
	return VERDICT_KILL;
}

/* --- The tables -------------------------------------------------------------------------------------------------- */

static const exit_handler handlers[EXIT_SDM_COUNT] = {
    [EXIT_EXCEPTION_NMI] = handle_exception,
    [EXIT_EXTERNAL_INTERRUPT] = handle_event,
    [EXIT_TRIPLE_FAULT] = handle_triple_fault,
    [EXIT_INTERRUPT_WINDOW] = handle_event,
    [EXIT_NMI_WINDOW] = handle_event,
    [EXIT_TASK_SWITCH] = handle_execute,
    [EXIT_CPUID] = handle_cpuid,
    [EXIT_GETSEC] = handle_undefined,
    [EXIT_HLT] = handle_hlt,
    [EXIT_INVD] = handle_nothing_to_do,
    [EXIT_INVLPG] = handle_invlpg,
    [EXIT_RDPMC] = handle_rdpmc,
    [EXIT_RDTSC] = handle_rdtsc,
    [EXIT_RSM] = handle_undefined,
    [EXIT_VMCALL] = handle_vmcall,
    [EXIT_VMCLEAR] = handle_undefined,
    [EXIT_VMLAUNCH] = handle_undefined,
    [EXIT_VMPTRLD] = handle_undefined,
    [EXIT_VMPTRST] = handle_undefined,
    [EXIT_VMREAD] = handle_undefined,
    [EXIT_VMRESUME] = handle_undefined,
    [EXIT_VMWRITE] = handle_undefined,
    [EXIT_VMXOFF] = handle_undefined,
    [EXIT_VMXON] = handle_undefined,
    [EXIT_CR_ACCESS] = handle_cr,
    [EXIT_DR_ACCESS] = handle_dr,
    [EXIT_IO_INSTRUCTION] = handle_io,
    [EXIT_MSR_READ] = handle_msr_read,
    [EXIT_MSR_WRITE] = handle_msr_write,
    [EXIT_MWAIT_INSTRUCTION] = handle_monitor,
    [EXIT_MONITOR_TRAP_FLAG] = handle_event,
    [EXIT_MONITOR_INSTRUCTION] = handle_monitor,
    [EXIT_PAUSE_INSTRUCTION] = handle_nothing_to_do,
    [EXIT_TPR_BELOW_THRESHOLD] = handle_event,
    [EXIT_GDTR_IDTR] = handle_execute,
    [EXIT_LDTR_TR] = handle_execute,
    [EXIT_EPT_VIOLATION] = handle_ept_violation,
    [EXIT_INVEPT] = handle_undefined,
    [EXIT_RDTSCP] = handle_rdtsc,
    [EXIT_PREEMPTION_TIMER] = handle_event,
    [EXIT_INVVPID] = handle_undefined,
    [EXIT_WBINVD] = handle_nothing_to_do,
    [EXIT_XSETBV] = handle_xsetbv,
    [EXIT_RDRAND] = handle_rdrand,
    [EXIT_INVPCID] = handle_execute,
    [EXIT_VMFUNC] = handle_undefined,
    [EXIT_ENCLS] = handle_undefined,
    [EXIT_RDSEED] = handle_rdseed,
    [EXIT_XSAVES] = handle_undefined,
    [EXIT_XRSTORS] = handle_undefined,
    [EXIT_PCONFIG] = handle_undefined,
    [EXIT_UMWAIT] = handle_undefined,
    [EXIT_TPAUSE] = handle_undefined,
    [EXIT_LOADIWKEY] = handle_undefined,
    [EXIT_ENCLV] = handle_undefined,
    [EXIT_SEAMCALL] = handle_undefined,
    [EXIT_TDCALL] = handle_undefined,
    [EXIT_RDMSRLIST] = handle_undefined,
    [EXIT_WRMSRLIST] = handle_undefined,
};

static const exit_handler vmm_handlers[] = {
    [EXIT_VMM_INTR - EXIT_VMM_BASE] = handle_event,
    [EXIT_VMM_IRQ_WINDOW - EXIT_VMM_BASE] = handle_event,
    [EXIT_VMM_TIMER - EXIT_VMM_BASE] = handle_event,
    [EXIT_VMM_DEBUG - EXIT_VMM_BASE] = handle_event,
    [EXIT_VMM_INTERNAL_ERROR - EXIT_VMM_BASE] = handle_kvm_gave_up,
    [EXIT_VMM_SET_TPR - EXIT_VMM_BASE] = handle_event,
    [EXIT_VMM_KICK - EXIT_VMM_BASE] = handle_event,
    [EXIT_VMM_MODEL_END - EXIT_VMM_BASE] = handle_model_end,
    [EXIT_VMM_UNIMPLEMENTED - EXIT_VMM_BASE] = handle_unimplemented,
    [EXIT_VMM_LIMIT - EXIT_VMM_BASE] = handle_event,
    [EXIT_VMM_FAIL_ENTRY - EXIT_VMM_BASE] = handle_fail_entry,
    [EXIT_VMM_SVM_EXTRA - EXIT_VMM_BASE] = handle_execute,
};

const exit_handler *handlers_default(void)
{
	return handlers;
}

exit_handler handler_find(const struct vm *vm, uint32_t reason)
{
	if (reason < EXIT_SDM_COUNT)
		return vm->handlers[reason];
	if (reason >= EXIT_VMM_BASE && reason - EXIT_VMM_BASE < ARRAY_LEN(vmm_handlers))
		return vmm_handlers[reason - EXIT_VMM_BASE];
	return NULL;
}
