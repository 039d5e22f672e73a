/*
 * From the exit fields of a VMCS to the neutral struct vm_exit. Concept: the processor says why the guest stopped and
 * what it was about to do [SDM 3C "VM-Exit Information Fields"]; which of those fields mean something depends on the
 * reason, and the rest is left over from an earlier exit.
 *
 * Read before: core/exit.h. Read after: core/handlers.c, which handles what is filled in here.
 */
#include "modes/virtualize/vmx_priv.h"

#include "core/lib.h"
#include "modes/virtualize/vmx_asm.h"

/* Fields of an exit reason. */
#define HAS_LEN (1u << 0)
#define HAS_QUAL (1u << 1)
#define HAS_INFO (1u << 2)
#define HAS_INTR (1u << 3)
#define HAS_IDT (1u << 4) /* may be met while an event is delivered */

static const uint8_t has[EXIT_SDM_COUNT] = {
    [EXIT_EXCEPTION_NMI] = HAS_QUAL | HAS_INTR | HAS_IDT,
    [EXIT_TASK_SWITCH] = HAS_QUAL | HAS_LEN | HAS_IDT,
    [EXIT_CPUID] = HAS_LEN,
    [EXIT_GETSEC] = HAS_LEN,
    [EXIT_HLT] = HAS_LEN,
    [EXIT_INVD] = HAS_LEN,
    [EXIT_INVLPG] = HAS_LEN | HAS_QUAL,
    [EXIT_RDPMC] = HAS_LEN,
    [EXIT_RDTSC] = HAS_LEN,
    [EXIT_RSM] = HAS_LEN,
    [EXIT_VMCALL] = HAS_LEN,
    [EXIT_VMCLEAR] = HAS_LEN | HAS_QUAL | HAS_INFO,
    [EXIT_VMLAUNCH] = HAS_LEN,
    [EXIT_VMPTRLD] = HAS_LEN | HAS_QUAL | HAS_INFO,
    [EXIT_VMPTRST] = HAS_LEN | HAS_QUAL | HAS_INFO,
    [EXIT_VMREAD] = HAS_LEN | HAS_QUAL | HAS_INFO,
    [EXIT_VMRESUME] = HAS_LEN,
    [EXIT_VMWRITE] = HAS_LEN | HAS_QUAL | HAS_INFO,
    [EXIT_VMXOFF] = HAS_LEN,
    [EXIT_VMXON] = HAS_LEN | HAS_QUAL | HAS_INFO,
    [EXIT_CR_ACCESS] = HAS_LEN | HAS_QUAL,
    [EXIT_DR_ACCESS] = HAS_LEN | HAS_QUAL,
    [EXIT_IO_INSTRUCTION] = HAS_LEN | HAS_QUAL,
    [EXIT_MSR_READ] = HAS_LEN,
    [EXIT_MSR_WRITE] = HAS_LEN,
    [EXIT_MWAIT_INSTRUCTION] = HAS_LEN | HAS_QUAL,
    [EXIT_MONITOR_INSTRUCTION] = HAS_LEN,
    [EXIT_PAUSE_INSTRUCTION] = HAS_LEN,
    [EXIT_GDTR_IDTR] = HAS_LEN | HAS_QUAL | HAS_INFO,
    [EXIT_LDTR_TR] = HAS_LEN | HAS_QUAL | HAS_INFO,
    [EXIT_EPT_VIOLATION] = HAS_QUAL | HAS_IDT,
    [EXIT_EPT_MISCONFIG] = HAS_IDT,
    [EXIT_INVEPT] = HAS_LEN | HAS_QUAL | HAS_INFO,
    [EXIT_RDTSCP] = HAS_LEN,
    [EXIT_INVVPID] = HAS_LEN | HAS_QUAL | HAS_INFO,
    [EXIT_WBINVD] = HAS_LEN,
    [EXIT_XSETBV] = HAS_LEN,
    [EXIT_RDRAND] = HAS_LEN | HAS_INFO,
    [EXIT_INVPCID] = HAS_LEN | HAS_QUAL | HAS_INFO,
    [EXIT_RDSEED] = HAS_LEN | HAS_INFO,
};

static bool in_64bit_mode(void)
{
	return (vmread32(VMCS_GUEST_CS_AR) & SEG_L) && (vmread(VMCS_GUEST_EFER) & EFER_LMA);
}

static bool is_software(uint32_t info)
{
	unsigned type = info >> INTR_INFO_TYPE_SHIFT & 7;

	return type == INTR_TYPE_SW_INT || type == INTR_TYPE_SW_EXCEPTION || type == INTR_TYPE_PRIV_SW_EXCEPTION;
}

/* --- Operands by reason ------------------------------------------------------------------------------------------ */

/* Address size: of a string instruction the processor says it (0: 16, 1: 32, 2: 64 bits); IN and OUT have none that
 * matters, and get that of the code segment. */
static uint8_t address_size(bool string, uint32_t info)
{
	if (string && (vmx_caps()->basic & VMX_BASIC_INOUT_INFO))
		return (uint8_t)(2u << (info >> 7 & 3));
	if (in_64bit_mode())
		return 8;
	return vmread32(VMCS_GUEST_CS_AR) & SEG_DB ? 4 : 2;
}

static uint64_t low_bytes(uint64_t v, unsigned n)
{
	return n >= 8 ? v : v & ((1ull << (8 * n)) - 1);
}

static void read_io(const struct vmx_vcpu *x, struct vm_exit *e)
{
	const uint64_t *gpr = x->v->cpu.s.gpr;
	struct exit_io *io = &e->io;

	e->qual &= 0xffff007full;
	io->port = (uint16_t)(e->qual >> QUAL_IO_PORT_SHIFT);
	io->size = (uint8_t)((e->qual & QUAL_IO_SIZE_MASK) + 1);
	io->in = (e->qual & QUAL_IO_IN) != 0;
	io->string = (e->qual & QUAL_IO_STRING) != 0;
	io->rep = (e->qual & QUAL_IO_REP) != 0;
	io->imm = (e->qual & QUAL_IO_IMM) != 0;
	io->count = 1;
	if (!io->string) {
		io->addr_size = address_size(false, 0);
		if (!io->in)
			io->value = low_bytes(gpr[X86_RAX], io->size);
		return;
	}
	e->gla = vmread(VMCS_GUEST_LINEAR);
	e->insn_info = vmread32(VMCS_EXIT_INSN_INFO) & (io->in ? 0x380u : 0x38380u);
	io->addr_size = address_size(true, e->insn_info);
	if (io->rep) {
		uint64_t count = low_bytes(gpr[X86_RCX], io->addr_size);
		io->count = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
	}
}

static uint64_t edx_eax(const struct vmx_vcpu *x)
{
	return (uint32_t)x->v->cpu.s.gpr[X86_RAX] | x->v->cpu.s.gpr[X86_RDX] << 32;
}

static uint64_t operand(const struct vmx_vcpu *x, unsigned gpr)
{
	uint64_t v = gpr == X86_RSP ? vmread(VMCS_GUEST_RSP) : x->v->cpu.s.gpr[gpr];

	return in_64bit_mode() ? v : (uint32_t)v;
}

enum { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };

static void read_cr(const struct vmx_vcpu *x, struct vm_exit *e)
{
	e->cr.cr = e->qual & QUAL_CR_NUM_MASK;
	e->cr.type = e->qual >> QUAL_CR_TYPE_SHIFT & 3;
	if (e->cr.type == CR_MOV_TO || e->cr.type == CR_MOV_FROM)
		e->cr.gpr = e->qual >> QUAL_CR_GPR_SHIFT & 15;
	if (e->cr.type == CR_MOV_TO)
		e->cr.value = operand(x, e->cr.gpr);
	if (e->cr.type == CR_LMSW && (e->qual & QUAL_CR_LMSW_MEM))
		e->gla = vmread(VMCS_GUEST_LINEAR);
}

static void read_dr(const struct vmx_vcpu *x, struct vm_exit *e)
{
	e->dr.dr = e->qual & QUAL_DR_NUM_MASK;
	e->dr.read = (e->qual & QUAL_DR_READ) != 0;
	e->dr.gpr = e->qual >> QUAL_DR_GPR_SHIFT & 15;
	if (!e->dr.read)
		e->dr.value = operand(x, e->dr.gpr);
}

static void read_ept_violation(struct vm_exit *e)
{
	e->gpa = vmread(VMCS_GUEST_PHYSICAL);
	if (e->qual & QUAL_EPT_GLA_VALID)
		e->gla = vmread(VMCS_GUEST_LINEAR);
	e->mmio.write = (e->qual & QUAL_EPT_WRITE) != 0;
	e->mmio.fetch = (e->qual & QUAL_EPT_FETCH) != 0;
}

static void read_operands(struct vmx_vcpu *x, struct vm_exit *e)
{
	const uint64_t *gpr = x->v->cpu.s.gpr;

	switch (e->reason) {
	case EXIT_IO_INSTRUCTION:
		read_io(x, e);
		break;
	case EXIT_CPUID:
		e->cpuid.leaf = (uint32_t)gpr[X86_RAX];
		e->cpuid.subleaf = (uint32_t)gpr[X86_RCX];
		break;
	case EXIT_MSR_READ:
	case EXIT_MSR_WRITE:
		e->msr.index = (uint32_t)gpr[X86_RCX];
		e->msr.write = e->reason == EXIT_MSR_WRITE;
		e->msr.value = e->msr.write ? edx_eax(x) : 0;
		break;
	case EXIT_CR_ACCESS:
		read_cr(x, e);
		/* MOV to CR3 flushes, also when the value is the one that CR3 has. */
		x->tlb_stale |= e->cr.cr == 3 && e->cr.type == 0;
		break;
	case EXIT_DR_ACCESS:
		read_dr(x, e);
		break;
	case EXIT_XSETBV:
		e->value = edx_eax(x);
		e->raw[1] = (uint32_t)gpr[X86_RCX];
		break;
	case EXIT_VMCALL:
		e->value = gpr[X86_RAX];
		break;
	case EXIT_EPT_VIOLATION:
		read_ept_violation(e);
		break;
	case EXIT_EPT_MISCONFIG:
		e->gpa = vmread(VMCS_GUEST_PHYSICAL);
		break;
	/* The handler believes that our own TLB was all there is. */
	case EXIT_INVLPG:
	case EXIT_INVPCID:
		x->tlb_stale = true;
		break;
	default:
		break;
	}
}

/* --- Events ------------------------------------------------------------------------------------------------------ */

#define INTR_INFO_KNOWN 0x80000fffu
#define INTR_INFO_NMI_UNBLOCKED (1u << 12)

/* An IRET that faulted had unblocked NMIs before its fault [SDM 3C "Resuming Guest Software after Handling an
 * Exception"]: they are blocked again, since it will run again. */
static void block_nmis_again(const struct vm_exit *e, uint32_t flags)
{
	if (!(flags & INTR_INFO_NMI_UNBLOCKED) || (e->idt_info & INTR_INFO_VALID) || (uint8_t)flags == VEC_DF)
		return;
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, vmread(VMCS_GUEST_INTERRUPTIBILITY) | INTR_SHADOW_NMI);
}

static void read_vectored_event(struct vm_exit *e)
{
	uint32_t info = vmread32(VMCS_EXIT_INTR_INFO);
	uint8_t vector = (uint8_t)info;

	block_nmis_again(e, info);
	e->intr_info = info & INTR_INFO_KNOWN;
	if (info & INTR_INFO_ERROR)
		e->intr_error = vmread32(VMCS_EXIT_INTR_ERROR);
	if (is_software(info))
		e->insn_len = vmread32(VMCS_EXIT_INSN_LEN);
	if ((info >> INTR_INFO_TYPE_SHIFT & 7) != INTR_TYPE_HW_EXCEPTION || (vector != VEC_PF && vector != VEC_DB))
		e->qual = 0;
}

static void read_interrupted_event(struct vm_exit *e)
{
	uint32_t info = vmread32(VMCS_IDT_INFO);

	if (LIKELY(!(info & INTR_INFO_VALID)))
		return;
	e->idt_info = info & INTR_INFO_KNOWN;
	if (info & INTR_INFO_ERROR)
		e->idt_error = vmread32(VMCS_IDT_ERROR);
	if (is_software(info))
		e->insn_len = vmread32(VMCS_EXIT_INSN_LEN);
}

/* A task switch by an instruction has a length; one by an event through a task gate does not. */
#define TASK_SWITCH_BY_GATE 3u

static bool has_length(const struct vm_exit *e, unsigned fields)
{
	if (e->reason == EXIT_TASK_SWITCH && (e->qual >> 30 & 3) == TASK_SWITCH_BY_GATE)
		return false;
	return fields & HAS_LEN;
}

void vmx_read_exit(struct vcpu *v, uint32_t reason, struct vm_exit *e)
{
	struct vmx_vcpu *x = vmx_of(v);
	unsigned fields;

	e->reason = reason & 0xffff;
	fields = e->reason < EXIT_SDM_COUNT ? has[e->reason] : 0;
	e->rip = vmread(VMCS_GUEST_RIP);
	if (fields & HAS_QUAL)
		e->qual = vmread(VMCS_EXIT_QUALIFICATION);
	if (has_length(e, fields))
		e->insn_len = vmread32(VMCS_EXIT_INSN_LEN);
	if (fields & HAS_INFO)
		e->insn_info = vmread32(VMCS_EXIT_INSN_INFO);
	if (fields & HAS_IDT)
		read_interrupted_event(e);
	if (fields & HAS_INTR)
		read_vectored_event(e);
	if (e->reason == EXIT_EPT_VIOLATION)
		block_nmis_again(e, (uint32_t)e->qual & INTR_INFO_NMI_UNBLOCKED);
	read_operands(x, e);
}

/* --- For people -------------------------------------------------------------------------------------------------- */

void vmx_dump(const struct host_ops *host)
{
	const struct vmcs_desc *f;
	char line[120];
	uint64_t value;
	size_t n;

	f = vmcs_fields(&n);
	for (size_t i = 0; i < n; i++) {
		if (!vmread_checked(f[i].encoding, &value))
			continue; /* this CPU's VMCS has no such field */
		fmt_snprintf(
		    line, sizeof(line), "vmcs %04x %-48s %#llx", f[i].encoding, f[i].name, (unsigned long long)value);
		host->log(LOG_ERROR, line);
	}
}
