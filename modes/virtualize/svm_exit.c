/*
 * From the exit code of AMD-V to a neutral exit [APM 2 "SVM Intercept Exit Codes"]. Concept: both vendors exit at the
 * same places of the same instructions, and say it differently. Three kinds:
 *  - the processor says all (ports, MSRs, CPUID, HLT...): translated;
 *  - the intercept is coarser than the control that VT-x has (a whole CR0 instead of guarded bits, #UD instead of
 *    VMCALL): core/x86 decides by the profile whether VT-x would have exited, and with what;
 *  - where VT-x would not have exited it is SVM_EXTRA, of class vmm, and the core executes the instruction.
 *
 * Read before: svm_controls.c, core/exit.h. Read after: docs/svm-differences.md.
 */
#include "core/lib.h"
#include "core/x86/insn.h"
#include "modes/virtualize/svm_cpu.h"
#include "modes/virtualize/svm_priv.h"

#define INSN_BYTES 15u
#define TYPE_OF(info) ((info) >> INTR_INFO_TYPE_SHIFT & 7u)

/* --- The instruction at the exit --------------------------------------------------------------------------------- */

static bool decode(struct vcpu *v, struct x86_insn *i)
{
	uint8_t bytes[INSN_BYTES];

	if (!vcpu_state(v))
		return false;
	size_t n = x86_peek(&v->cpu, x86_linear_ip(&v->cpu), bytes, sizeof(bytes));

	return x86_decode(bytes, n, v->cpu.code_size, (enum x86_mode)v->cpu.mode, i) == DECODE_OK;
}

/* Where the processor does not save the next RIP, our decoder finds the length. */
static uint32_t insn_len(struct vcpu *v)
{
	const struct vmcb *b = svm_vcpu(v)->vmcb;
	struct x86_insn i;

	if (svm_vm(v->vm)->cpu.next_rip && b->c.next_rip)
		return (uint32_t)(b->c.next_rip - b->s.rip) & 15u;
	return decode(v, &i) ? i.len : 0;
}

static void extra(struct vcpu *v, struct vm_exit *e)
{
	const struct vmcb *b = svm_vcpu(v)->vmcb;

	memset(e, 0, sizeof(*e));
	e->reason = EXIT_VMM_SVM_EXTRA;
	e->rip = b->s.rip;
	e->host.code = (uint32_t)b->c.exit_code;
}

/*
 * Would VT-x have exited here under this profile? The instruction is executed on trial, with the profile's controls, by
 * the core's executor, which stops before the effect of what exits; then everything is as before.
 */
static void judge(struct vcpu *v, struct vm_exit *e)
{
	static struct x86_state before; /* one processor: nobody else is here */
	struct x86_cpu *c = &v->cpu;

	if (!vcpu_state(v))
		return;
	before = c->s;
	const uint64_t insns = c->insns, budget = c->budget;
	const struct vm_controls *ctl = c->ctl;
	struct vm_exit *exit = c->exit;

	x86_tlb_flush(c);
	x86_set_controls(c, &v->vm->controls);
	c->exit = e;
	c->budget = 1;
	enum x86_rc rc = x86_step(c);

	x86_set_controls(c, ctl);
	c->exit = exit;
	c->budget = budget;
	c->insns = insns;
	memset(&c->lazy, 0, sizeof(c->lazy));
	c->s = before;
	x86_state_changed(c);
	if (rc != X86_EXIT)
		extra(v, e);
}

/* --- Operands ---------------------------------------------------------------------------------------------------- */

static uint64_t edx_eax(const struct vcpu *v, const struct vmcb *b)
{
	return (uint32_t)b->s.rax | v->cpu.s.gpr[X86_RDX] << 32;
}

/* QEMU's TCG tells one code for INVD and WBINVD, and one for RDTSC and RDTSCP: the instruction is the better witness.
 */
static uint32_t reason_by_insn(struct vcpu *v, uint32_t reason)
{
	struct x86_insn i;

	if ((reason != EXIT_RDTSC && reason != EXIT_WBINVD) || !decode(v, &i))
		return reason;
	return i.id == INSN_RDTSCP ? EXIT_RDTSCP : i.id == INSN_INVD ? EXIT_INVD : reason;
}

static void simple(struct vcpu *v, struct vm_exit *e, uint32_t reason)
{
	const struct vmcb *b = svm_vcpu(v)->vmcb;

	e->reason = reason_by_insn(v, reason);
	if (e->reason == EXIT_WBINVD && !(v->vm->controls.proc2 & PROC2_WBINVD_EXIT)) {
		extra(v, e);
		return;
	}
	e->insn_len = insn_len(v);
	if (reason == EXIT_CPUID) {
		e->cpuid.leaf = (uint32_t)b->s.rax;
		e->cpuid.subleaf = (uint32_t)v->cpu.s.gpr[X86_RCX];
	} else if (reason == EXIT_XSETBV) {
		e->value = edx_eax(v, b);
		e->raw[1] = (uint32_t)v->cpu.s.gpr[X86_RCX];
	}
}

static void msr(struct vcpu *v, struct vm_exit *e)
{
	const struct vmcb *b = svm_vcpu(v)->vmcb;
	bool write = b->c.exit_info1 & 1;

	e->reason = write ? EXIT_MSR_WRITE : EXIT_MSR_READ;
	e->insn_len = insn_len(v);
	e->msr.index = (uint32_t)v->cpu.s.gpr[X86_RCX];
	e->msr.write = write;
	e->msr.value = write ? edx_eax(v, b) : 0;
}

static bool has_immediate_port(struct vcpu *v)
{
	struct x86_insn i;

	return decode(v, &i) && (i.flags & INSN_IMM);
}

/* INS and OUTS: each iteration exits, and the memory operand is not ours to guess. */
static void io(struct vcpu *v, struct vm_exit *e)
{
	const struct vmcb *b = svm_vcpu(v)->vmcb;
	uint64_t info = b->c.exit_info1;
	uint32_t size = (uint32_t)(info >> SVM_IO_SIZE_SHIFT) & 7u;

	if (info & SVM_IO_STRING) {
		judge(v, e);
		return;
	}
	e->reason = EXIT_IO_INSTRUCTION;
	e->insn_len = (uint32_t)(b->c.exit_info2 - b->s.rip) & 15u;
	e->io.port = (uint16_t)(info >> SVM_IO_PORT_SHIFT);
	e->io.size = (uint8_t)size;
	e->io.in = info & SVM_IO_IN;
	e->io.rep = (info & SVM_IO_REP) != 0;
	e->io.addr_size = (uint8_t)((info >> SVM_IO_ADDR_SHIFT & 7u) << 1);
	e->io.imm = e->insn_len > 1 && has_immediate_port(v);
	e->io.count = 1;
	if (!e->io.in)
		e->io.value = size == 4 ? (uint32_t)b->s.rax : b->s.rax & ((1u << 8 * size) - 1);
	e->qual = (size - 1) | (e->io.in ? QUAL_IO_IN : 0) | (e->io.rep ? QUAL_IO_REP : 0) |
		  (e->io.imm ? QUAL_IO_IMM : 0) | (uint64_t)e->io.port << QUAL_IO_PORT_SHIFT;
}

/* The processor tells the guest-physical address and the kind of access, not the linear address. */
static void nested_page_fault(struct vcpu *v, struct vm_exit *e)
{
	const struct vmcb *b = svm_vcpu(v)->vmcb;
	uint64_t info = b->c.exit_info1, hpa;
	bool write = info & SVM_NPF_WRITE, fetch = info & SVM_NPF_FETCH, writable;

	e->reason = EXIT_EPT_VIOLATION;
	e->gpa = b->c.exit_info2;
	e->qual = write ? QUAL_EPT_WRITE : fetch ? QUAL_EPT_FETCH : QUAL_EPT_READ;
	if (!(info & SVM_NPF_FINAL)) /* the guest's own page tables: read, and written for accessed and dirty bits */
		e->qual |= QUAL_EPT_READ;
	if (ept_walk(&svm_vm(v->vm)->npt, e->gpa, &hpa, &writable))
		e->qual |= (uint64_t)(QUAL_EPT_READ | QUAL_EPT_FETCH | (writable ? QUAL_EPT_WRITE : 0)) << 3;
	e->mmio.write = write;
	e->mmio.fetch = fetch;
}

static void task_switch(struct vcpu *v, struct vm_exit *e)
{
	enum { CALL, IRET, JMP, GATE };
	const struct vmcb *b = svm_vcpu(v)->vmcb;
	uint64_t info = b->c.exit_info2;
	bool gate = b->c.exit_int_info & SVM_EVENT_VALID;
	uint64_t source = gate ? GATE : info & SVM_TASK_IRET ? IRET : info & SVM_TASK_JMP ? JMP : CALL;

	e->reason = EXIT_TASK_SWITCH;
	e->qual = (b->c.exit_info1 & 0xffff) | source << 30;
	if (!gate)
		e->insn_len = insn_len(v);
}

/* --- Events ------------------------------------------------------------------------------------------------------ */

static bool has_error_code(unsigned vector)
{
	return vector == VEC_DF || (vector >= VEC_TS && vector <= VEC_PF) || vector == VEC_AC;
}

static bool is_vmx_insn(struct vcpu *v)
{
	static const uint16_t ids[] = {INSN_VMCALL, INSN_VMLAUNCH, INSN_VMRESUME, INSN_VMXOFF, INSN_VMXON, INSN_VMPTRLD,
	    INSN_VMPTRST, INSN_VMCLEAR, INSN_VMREAD, INSN_VMWRITE, INSN_INVEPT, INSN_INVVPID};
	struct x86_insn i;

	if (!decode(v, &i))
		return false;
	for (size_t n = 0; n < ARRAY_LEN(ids); n++)
		if (ids[n] == i.id)
			return true;
	return false;
}

static void exception(struct vcpu *v, struct vm_exit *e, unsigned vector)
{
	const struct vmcb *b = svm_vcpu(v)->vmcb;
	bool soft = vector == VEC_BP || vector == VEC_OF;

	if (vector == VEC_UD && is_vmx_insn(v)) {
		judge(v, e);
		return;
	}
	if (!(v->vm->controls.exceptions >> vector & 1)) {
		extra(v, e);
		return;
	}
	e->reason = EXIT_EXCEPTION_NMI;
	e->intr_info = INTR_INFO_VALID | vector |
		       (uint32_t)(soft ? INTR_TYPE_SW_EXCEPTION : INTR_TYPE_HW_EXCEPTION) << INTR_INFO_TYPE_SHIFT;
	if (has_error_code(vector)) {
		e->intr_info |= INTR_INFO_ERROR;
		e->intr_error = (uint32_t)b->c.exit_info1;
	}
	if (vector == VEC_PF)
		e->qual = b->c.exit_info2;
	else if (vector == VEC_DB)
		e->qual = b->s.dr6 & 0x600fu;
	if (soft)
		e->insn_len = insn_len(v);
}

/* The event whose delivery the exit interrupted [APM 2 "Intercepts During IDT Interrupt Delivery"]. */
static void note_interrupted_event(struct vcpu *v, struct vm_exit *e)
{
	uint64_t info = svm_vcpu(v)->vmcb->c.exit_int_info;
	uint32_t low = (uint32_t)info, vector = low & 0xff;

	if (!(low & SVM_EVENT_VALID) || e->reason >= EXIT_VMM_BASE)
		return;
	e->idt_info = low & (INTR_INFO_VALID | INTR_INFO_ERROR | 0x7ffu);
	e->idt_error = low & SVM_EVENT_ERROR ? (uint32_t)(info >> 32) : 0;
	/* INT3 and INTO are not told apart from the exceptions that they raise. */
	if (TYPE_OF(low) >= SVM_EVENT_EXCEPTION && (vector == VEC_BP || vector == VEC_OF))
		e->idt_info = (e->idt_info & ~0x700u) | (uint32_t)INTR_TYPE_SW_EXCEPTION << INTR_INFO_TYPE_SHIFT;
	if (TYPE_OF(e->idt_info) >= INTR_TYPE_SW_INT)
		e->insn_len = insn_len(v);
}

/* --- By exit code ------------------------------------------------------------------------------------------------ */

/* Exits whose code alone is the reason. */
static const struct {
	uint16_t code, reason;
} plain[] = {
    {SVM_EXIT_RDTSC, EXIT_RDTSC},
    {SVM_EXIT_RDPMC, EXIT_RDPMC},
    {SVM_EXIT_CPUID, EXIT_CPUID},
    {SVM_EXIT_INVD, EXIT_INVD},
    {SVM_EXIT_PAUSE, EXIT_PAUSE_INSTRUCTION},
    {SVM_EXIT_HLT, EXIT_HLT},
    {SVM_EXIT_RDTSCP, EXIT_RDTSCP},
    {SVM_EXIT_WBINVD, EXIT_WBINVD},
    {SVM_EXIT_MONITOR, EXIT_MONITOR_INSTRUCTION},
    {SVM_EXIT_MWAIT, EXIT_MWAIT_INSTRUCTION},
    {SVM_EXIT_XSETBV, EXIT_XSETBV},
};

static bool explain_plain(struct vcpu *v, struct vm_exit *e, uint64_t code)
{
	for (size_t n = 0; n < ARRAY_LEN(plain); n++)
		if (plain[n].code == code) {
			simple(v, e, plain[n].reason);
			return true;
		}
	return false;
}

static bool explain_event(struct vcpu *v, struct vm_exit *e, uint64_t code)
{
	switch (code) {
	case SVM_EXIT_INTR:
		svm_take_interrupt();
		e->reason = EXIT_EXTERNAL_INTERRUPT;
		return true;
	case SVM_EXIT_NMI: /* the host's own */
	case SVM_EXIT_SMI:
	case SVM_EXIT_INIT:
		e->reason = EXIT_VMM_INTR;
		return true;
	case SVM_EXIT_VINTR:
		e->reason = EXIT_INTERRUPT_WINDOW;
		return true;
	case SVM_EXIT_SHUTDOWN:
		e->reason = EXIT_TRIPLE_FAULT;
		return true;
	default:
		if (code < SVM_EXIT_EXCEPTION || code >= SVM_EXIT_EXCEPTION + 32)
			return false;
		exception(v, e, (unsigned)code - SVM_EXIT_EXCEPTION);
		return true;
	}
}

/* Instructions with intercepts that are coarser than VT-x's, or whose operands the processor does not tell. */
static bool is_judged(uint64_t code)
{
	return code < SVM_EXIT_EXCEPTION || (code >= SVM_EXIT_IDTR_READ && code <= SVM_EXIT_TR_WRITE) ||
	       code == SVM_EXIT_INVLPG || code == SVM_EXIT_ICEBP || code == SVM_EXIT_INVPCID || code == SVM_EXIT_IRET;
}

/* AMD-V's own instructions: our guests have no such processor. */
static bool is_svm_insn(uint64_t code)
{
	return code == SVM_EXIT_INVLPGA || (code >= SVM_EXIT_VMRUN && code < SVM_EXIT_RDTSCP);
}

static enum err failed(struct vcpu *v)
{
	struct vmcb *b = svm_vcpu(v)->vmcb;
	char text[160];

	/* -1; QEMU's TCG writes the lower half of it. */
	bool refused = b->c.exit_code == SVM_EXIT_INVALID || b->c.exit_code == (uint32_t)SVM_EXIT_INVALID;
	if (refused)
		svm_put_back_offer(b, &svm_vcpu(v)->offer);
	if (!refused)
		vm_kill(v->vm, END_HOST_ERROR, (uint32_t)b->c.exit_code,
		    "AMD-V: exit code %#llx, which nothing asked for, at rip %#llx", (unsigned long long)b->c.exit_code,
		    (unsigned long long)b->s.rip);
	else if (svm_check_vmcb(b, svm_vm(v->vm)->cpu.n_asids, text, sizeof(text)))
		vm_kill(v->vm, END_HOST_ERROR, 0, "AMD-V: VMRUN refused the control block: %s", text);
	else
		vm_kill(v->vm, END_HOST_ERROR, 0,
		    "AMD-V: VMRUN refused the control block, and no rule that is known to us is broken");
	return ERR_IO;
}

enum err svm_explain_exit(struct vcpu *v, struct vm_exit *e)
{
	const struct vmcb *b = svm_vcpu(v)->vmcb;
	uint64_t code = b->c.exit_code;

	e->rip = b->s.rip;
	if (code == SVM_EXIT_IOIO)
		io(v, e);
	else if (code == SVM_EXIT_MSR)
		msr(v, e);
	else if (code == SVM_EXIT_NPF)
		nested_page_fault(v, e);
	else if (code == SVM_EXIT_TASK_SWITCH)
		task_switch(v, e);
	else if (is_svm_insn(code))
		extra(v, e);
	else if (is_judged(code) || (code == SVM_EXIT_XSETBV && b->s.cpl > 0)) /* Bochs exits before it checks CPL */
		judge(v, e);
	else if (!explain_plain(v, e, code) && !explain_event(v, e, code))
		return failed(v);
	/* The executor knows the software TLB only, and MOV to CR3 flushes also when it changes nothing. */
	if (e->reason == EXIT_INVLPG || code == SVM_EXIT_INVPCID || code == SVM_EXIT_CR_WRITE + 3)
		svm_vcpu(v)->flush = true;
	note_interrupted_event(v, e);
	return ERR_OK;
}
