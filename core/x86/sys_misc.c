/*
 * The rest: MSRs, CPUID, time, HLT, caches and TLB, VMX instructions, segment bases. Each asks the table of intercepts
 * first; what is left is short.
 */
#include "core/x86/exec.h"
#include "core/x86/intercept.h"
#include "core/x86/sys.h"

static enum x86_rc gp(struct x86_cpu *c)
{
	return x86_fault_ec(c, VEC_GP, 0);
}

static uint64_t edx_eax(const struct x86_cpu *c)
{
	return (uint32_t)c->s.gpr[X86_RAX] | c->s.gpr[X86_RDX] << 32;
}

static void set_edx_eax(struct x86_cpu *c, uint64_t v)
{
	c->s.gpr[X86_RAX] = (uint32_t)v;
	c->s.gpr[X86_RDX] = v >> 32;
}

/* --- MSRs ------------------------------------------------------------------------------------------------------ */

static enum x86_rc msr_exit(struct x86_cpu *c, const struct x86_insn *i, bool write)
{
	x86_intercept_exit(c, i, write ? X86_ICPT_WRMSR : X86_ICPT_RDMSR, 0);
	c->exit->msr.index = (uint32_t)c->s.gpr[X86_RCX];
	c->exit->msr.write = write;
	c->exit->msr.value = write ? edx_eax(c) : 0;
	return X86_EXIT;
}

enum x86_rc x86_op_rdmsr(struct x86_cpu *c, const struct x86_insn *i)
{
	uint32_t msr = (uint32_t)c->s.gpr[X86_RCX];
	uint64_t v;
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_RDMSR, 0);

	if (rc != X86_OK)
		return rc;
	if (x86_intercept_on(c, X86_ICPT_RDMSR) && controls_msr_exits(c->ctl, msr, false))
		return msr_exit(c, i, false);
	if (!c->env->rdmsr(c->env_arg, msr, &v))
		return gp(c);
	set_edx_eax(c, v);
	return X86_OK;
}

enum x86_rc x86_op_wrmsr(struct x86_cpu *c, const struct x86_insn *i)
{
	uint32_t msr = (uint32_t)c->s.gpr[X86_RCX];
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_WRMSR, 0);

	if (rc != X86_OK)
		return rc;
	if (x86_intercept_on(c, X86_ICPT_WRMSR) && controls_msr_exits(c->ctl, msr, true))
		return msr_exit(c, i, true);
	if (!c->env->wrmsr(c->env_arg, msr, edx_eax(c)))
		return gp(c);
	x86_state_changed(c);
	return X86_OK;
}

/* --- Identity and time ----------------------------------------------------------------------------------------- */

enum x86_rc x86_op_cpuid(struct x86_cpu *c, const struct x86_insn *i)
{
	uint32_t leaf = (uint32_t)c->s.gpr[X86_RAX], subleaf = (uint32_t)c->s.gpr[X86_RCX], out[4];
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_CPUID, 0);

	if (rc == X86_EXIT) {
		c->exit->cpuid.leaf = leaf;
		c->exit->cpuid.subleaf = subleaf;
	}
	if (rc != X86_OK)
		return rc;
	c->env->cpuid(c->env_arg, leaf, subleaf, out);
	c->s.gpr[X86_RAX] = out[0];
	c->s.gpr[X86_RBX] = out[1];
	c->s.gpr[X86_RCX] = out[2];
	c->s.gpr[X86_RDX] = out[3];
	return X86_OK;
}

enum x86_rc x86_op_rdtsc(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_RDTSC, 0);

	if (rc == X86_OK)
		set_edx_eax(c, c->env->tsc(c->env_arg));
	return rc;
}

enum x86_rc x86_op_rdtscp(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_RDTSCP, 0);

	if (rc != X86_OK)
		return rc;
	set_edx_eax(c, c->env->tsc(c->env_arg));
	c->s.gpr[X86_RCX] = (uint32_t)c->s.tsc_aux;
	return X86_OK;
}

/* No performance counter exists: every index is out of range. */
enum x86_rc x86_op_rdpmc(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_RDPMC, 0);

	return rc == X86_OK ? gp(c) : rc;
}

/* --- Waiting --------------------------------------------------------------------------------------------------- */

/* HLT always exits, with and without controls: time is the VMM's. */
enum x86_rc x86_op_hlt(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_HLT, 0);

	return rc == X86_OK ? x86_intercept_exit(c, i, X86_ICPT_HLT, 0) : rc;
}

enum x86_rc x86_op_pause(struct x86_cpu *c, const struct x86_insn *i)
{
	return x86_intercept(c, i, X86_ICPT_PAUSE, 0);
}

/* CPUID does not offer MONITOR: where it does not exit, it is undefined. */
enum x86_rc x86_op_monitor(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_MONITOR, 0);

	return rc == X86_OK ? x86_fault(c, VEC_UD) : rc;
}

enum x86_rc x86_op_mwait(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_MWAIT, 0);

	return rc == X86_OK ? x86_fault(c, VEC_UD) : rc;
}

/* --- Caches and TLB -------------------------------------------------------------------------------------------- */

enum x86_rc x86_op_invd(struct x86_cpu *c, const struct x86_insn *i)
{
	return x86_intercept(c, i, X86_ICPT_INVD, 0);
}

enum x86_rc x86_op_wbinvd(struct x86_cpu *c, const struct x86_insn *i)
{
	return x86_intercept(c, i, X86_ICPT_WBINVD, 0);
}

enum x86_rc x86_op_invlpg(struct x86_cpu *c, const struct x86_insn *i)
{
	gva_t la = c->eff_base[i->seg] + x86_ea(c, i);
	enum x86_rc rc;

	if (c->mode != X86_MODE_LONG64)
		la = (uint32_t)la;
	rc = x86_intercept(c, i, X86_ICPT_INVLPG, la);
	if (rc == X86_OK) {
		x86_invlpg(c, la); /* a non-canonical address has no entry: nothing happens */
		c->block_end = true;
	}
	return rc;
}

enum { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL_GLOBAL, INVPCID_ALL };

/* Only the current PCID has translations in the TLB (tlb.c), and nothing of another one needs to go. */
enum x86_rc x86_invpcid(struct x86_cpu *c, uint64_t type, uint64_t pcid, gva_t la)
{
	bool current = pcid == (c->s.cr4 & CR4_PCIDE ? c->s.cr3 & CR3_PCID : 0);

	if (type > INVPCID_ALL || pcid & ~(uint64_t)CR3_PCID)
		return gp(c);
	if (type <= INVPCID_CONTEXT && pcid && !(c->s.cr4 & CR4_PCIDE))
		return gp(c);
	if (type == INVPCID_ADDRESS && !x86_canonical(la))
		return gp(c);
	if (type == INVPCID_ADDRESS && current)
		x86_invlpg(c, la);
	else if (type == INVPCID_ALL_GLOBAL)
		x86_tlb_flush(c);
	else if (type == INVPCID_ALL || (type == INVPCID_CONTEXT && current))
		x86_tlb_flush_local(c);
	c->block_end = true;
	return X86_OK;
}

/* Undefined where CPUID does not offer it, or the VMM did not enable it. */
enum x86_rc x86_invpcid_exits(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc;

	if (c->no_pcid || (x86_intercept_on(c, X86_ICPT_INVPCID) && !(c->ctl->proc2 & PROC2_INVPCID)))
		return x86_fault(c, VEC_UD);
	rc = x86_intercept(c, i, X86_ICPT_INVPCID, x86_insn_displacement(c, i));
	if (rc == X86_EXIT)
		c->exit->insn_info = x86_insn_info(i, (uint32_t)(i->reg & 15) << 28);
	return rc;
}

enum x86_rc x86_op_invpcid(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t descriptor[2];
	enum x86_rc rc = x86_invpcid_exits(c, i);

	if (rc == X86_OK)
		rc = x86_load128(c, i->seg, x86_ea(c, i), false, descriptor);
	return rc == X86_OK ? x86_invpcid(c, x86_reg(c, i->opsize, i->reg), descriptor[0], descriptor[1]) : rc;
}

/* --- Protection keys ------------------------------------------------------------------------------------------- */

/* ECX must be 0; for WRPKRU EDX, too. */
static enum x86_rc pkru_permitted(struct x86_cpu *c, bool write)
{
	if (!(c->s.cr4 & CR4_PKE))
		return x86_fault(c, VEC_UD);
	if ((uint32_t)c->s.gpr[X86_RCX] || (write && (uint32_t)c->s.gpr[X86_RDX]))
		return gp(c);
	return X86_OK;
}

enum x86_rc x86_op_rdpkru(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = pkru_permitted(c, false);

	(void)i;
	if (rc == X86_OK)
		set_edx_eax(c, (uint32_t)c->s.pkru);
	return rc;
}

enum x86_rc x86_op_wrpkru(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = pkru_permitted(c, true);

	(void)i;
	if (rc != X86_OK)
		return rc;
	if (c->s.pkru != (uint32_t)c->s.gpr[X86_RAX])
		x86_tlb_flush(c); /* its entries were made under other rights */
	c->s.pkru = (uint32_t)c->s.gpr[X86_RAX];
	return X86_OK;
}

/* --- Calling a VMM --------------------------------------------------------------------------------------------- */

static const struct vmx_insn {
	uint16_t id;
	uint16_t reason;
} vmx_insns[] = {{INSN_VMLAUNCH, EXIT_VMLAUNCH}, {INSN_VMRESUME, EXIT_VMRESUME}, {INSN_VMXOFF, EXIT_VMXOFF},
    {INSN_VMXON, EXIT_VMXON}, {INSN_VMPTRLD, EXIT_VMPTRLD}, {INSN_VMPTRST, EXIT_VMPTRST}, {INSN_VMCLEAR, EXIT_VMCLEAR},
    {INSN_VMREAD, EXIT_VMREAD}, {INSN_VMWRITE, EXIT_VMWRITE}, {INSN_INVEPT, EXIT_INVEPT}, {INSN_INVVPID, EXIT_INVVPID}};

#define KVM_ENOSYS 1000
#define KVM_EPERM 1
#define KVM_HC_VAPIC_POLL_IRQ 1u

/* A host kernel with KVM answers hypercalls itself, by either vendor's opcode: no call that we know is offered but the
 * one that does nothing. */
static enum x86_rc kvm_hypercall(struct x86_cpu *c)
{
	bool wide = c->mode == X86_MODE_LONG64;
	uint64_t nr = wide ? c->s.gpr[X86_RAX] : (uint32_t)c->s.gpr[X86_RAX];
	int64_t ret = c->cpl ? -KVM_EPERM : nr == KVM_HC_VAPIC_POLL_IRQ ? 0 : -KVM_ENOSYS;

	c->s.gpr[X86_RAX] = wide ? (uint64_t)ret : (uint32_t)ret;
	return X86_OK;
}

static enum x86_rc vmcall(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_VMCALL, 0);

	if (rc == X86_EXIT)
		c->exit->value = c->s.gpr[X86_RAX];
	return rc == X86_OK ? kvm_hypercall(c) : rc;
}

enum x86_rc x86_op_vmx(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc;

	if (i->id == INSN_VMCALL ||
	    (i->id == INSN_VMMCALL && c->ctl && (c->ctl->kernel & CTL_KERNEL_MISC) && c->ctl->ring == RING_HW))
		return vmcall(c, i);
	for (unsigned n = 0; n < ARRAY_LEN(vmx_insns); n++) {
		if (vmx_insns[n].id != i->id)
			continue;
		rc = x86_intercept(c, i, X86_ICPT_VMX, x86_insn_displacement(c, i));
		if (rc == X86_EXIT) {
			c->exit->reason = vmx_insns[n].reason;
			c->exit->insn_info = x86_insn_info(i, (uint32_t)(i->reg & 15) << 28);
		}
		return rc;
	}
	return x86_intercept(c, i, X86_ICPT_SVM, 0); /* VMFUNC too: no function is enabled */
}

/* --- Segment bases --------------------------------------------------------------------------------------------- */

enum x86_rc x86_op_swapgs(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t base = c->s.seg[X86_GS].base;
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_SWAPGS, 0);

	if (rc != X86_OK)
		return rc;
	c->s.seg[X86_GS].base = c->eff_base[X86_GS] = c->s.kernel_gs_base;
	c->s.kernel_gs_base = base;
	return X86_OK;
}

static enum x86_rc read_base(struct x86_cpu *c, const struct x86_insn *i, unsigned sreg)
{
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_FSGSBASE, 0);

	if (rc == X86_OK)
		x86_reg_set(c, i->opsize, i->rm, c->s.seg[sreg].base);
	return rc;
}

static enum x86_rc write_base(struct x86_cpu *c, const struct x86_insn *i, unsigned sreg)
{
	uint64_t v = x86_reg(c, i->opsize, i->rm);
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_FSGSBASE, 0);

	if (rc != X86_OK)
		return rc;
	if (!x86_canonical(v))
		return gp(c);
	c->s.seg[sreg].base = c->eff_base[sreg] = v;
	return X86_OK;
}

enum x86_rc x86_op_rdfsbase(struct x86_cpu *c, const struct x86_insn *i)
{
	return read_base(c, i, X86_FS);
}

enum x86_rc x86_op_rdgsbase(struct x86_cpu *c, const struct x86_insn *i)
{
	return read_base(c, i, X86_GS);
}

enum x86_rc x86_op_wrfsbase(struct x86_cpu *c, const struct x86_insn *i)
{
	return write_base(c, i, X86_FS);
}

enum x86_rc x86_op_wrgsbase(struct x86_cpu *c, const struct x86_insn *i)
{
	return write_base(c, i, X86_GS);
}

/* --- Not on this processor ------------------------------------------------------------------------------------- */

enum x86_rc x86_op_rsm(struct x86_cpu *c, const struct x86_insn *i)
{
	return x86_intercept(c, i, X86_ICPT_RSM, 0);
}

enum x86_rc x86_op_getsec(struct x86_cpu *c, const struct x86_insn *i)
{
	return x86_intercept(c, i, X86_ICPT_GETSEC, 0);
}

enum x86_rc x86_op_rdrand(struct x86_cpu *c, const struct x86_insn *i)
{
	return x86_intercept(c, i, X86_ICPT_RDRAND, 0);
}

enum x86_rc x86_op_rdseed(struct x86_cpu *c, const struct x86_insn *i)
{
	return x86_intercept(c, i, X86_ICPT_RDSEED, 0);
}
