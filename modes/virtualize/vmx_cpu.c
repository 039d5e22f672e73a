/*
 * The processor in VMX root operation: what it can do, VMXON, and whose VMCS and registers it holds at the moment.
 * Concept: one processor runs one guest at a time; a *current* VMCS is where VMREAD looks, *resident* registers are
 * those that a world switch leaves where they are.
 *
 * Read before: vmx_fields.c. Read after: vmx_vmcs.c.
 */
#include "modes/virtualize/vmx_priv.h"

#include "core/lib.h"
#include "modes/virtualize/vmx_asm.h"

#define MSR_VMX_BASIC 0x480u
#define MSR_VMX_PIN 0x481u
#define MSR_VMX_PROC 0x482u
#define MSR_VMX_EXIT 0x483u
#define MSR_VMX_ENTRY 0x484u
#define MSR_VMX_MISC 0x485u
#define MSR_VMX_CR0_FIXED0 0x486u
#define MSR_VMX_CR0_FIXED1 0x487u
#define MSR_VMX_CR4_FIXED0 0x488u
#define MSR_VMX_CR4_FIXED1 0x489u
#define MSR_VMX_PROC2 0x48bu
#define MSR_VMX_EPT_VPID 0x48cu
#define MSR_VMX_TRUE_PIN 0x48du /* then PROC, EXIT, ENTRY */
#define FEATURE_LOCKED 1u
#define FEATURE_VMX_OUTSIDE_SMX 4u
#define CPUID1_ECX_VMX (1u << 5)
#define CPUID1_ECX_XSAVE (1u << 26)
#define CPUID1_EDX_FXSR (1u << 24)

static struct {
	struct vmx_caps caps;
	bool caps_read, has_xsave;
	unsigned users; /* VMs */
	uint8_t *vmxon_region;
	struct vmx_vcpu *current, *resident;
	uint16_t last_vpid;
} cpu;

static void read_ctl(enum vmx_ctl set, uint32_t msr)
{
	uint64_t v = cpu_rdmsr(msr);

	cpu.caps.ctl[set].must = (uint32_t)v;
	cpu.caps.ctl[set].may = (uint32_t)(v >> 32);
}

static void read_caps(void)
{
	struct vmx_caps *c = &cpu.caps;
	uint32_t out[4], truth = 0;

	c->basic = cpu_rdmsr(MSR_VMX_BASIC);
	c->misc = cpu_rdmsr(MSR_VMX_MISC);
	if (c->basic & VMX_BASIC_TRUE_CONTROLS)
		truth = MSR_VMX_TRUE_PIN - MSR_VMX_PIN;
	read_ctl(VMX_CTL_PIN, MSR_VMX_PIN + truth);
	read_ctl(VMX_CTL_PROC, MSR_VMX_PROC + truth);
	read_ctl(VMX_CTL_EXIT, MSR_VMX_EXIT + truth);
	read_ctl(VMX_CTL_ENTRY, MSR_VMX_ENTRY + truth);
	if (c->ctl[VMX_CTL_PROC].may & PROC_SECONDARY)
		read_ctl(VMX_CTL_PROC2, MSR_VMX_PROC2);
	if (c->ctl[VMX_CTL_PROC2].may & (PROC2_EPT | PROC2_VPID))
		c->ept_vpid = cpu_rdmsr(MSR_VMX_EPT_VPID);
	c->cr0_must = cpu_rdmsr(MSR_VMX_CR0_FIXED0);
	c->cr0_may = cpu_rdmsr(MSR_VMX_CR0_FIXED1);
	c->cr4_must = cpu_rdmsr(MSR_VMX_CR4_FIXED0);
	c->cr4_may = cpu_rdmsr(MSR_VMX_CR4_FIXED1);
	cpu_cpuid(0x80000008u, 0, out);
	c->phys_bits = out[0] & 0xff;
	cpu_cpuid(1, 0, out);
	cpu.has_xsave = out[2] & CPUID1_ECX_XSAVE;
	cpu.caps_read = true;
}

const struct vmx_caps *vmx_caps(void)
{
	return &cpu.caps;
}

static enum err check_feature_control(struct errmsg *why)
{
	uint64_t v = cpu_rdmsr(MSR_IA32_FEATURE_CONTROL);

	if ((v & FEATURE_LOCKED) && !(v & FEATURE_VMX_OUTSIDE_SMX))
		return err_set(why, ERR_NODEV,
		    "the firmware has switched VT-x off (IA32_FEATURE_CONTROL %#llx is locked without bit 2): enable "
		    "it "
		    "in the firmware's setup",
		    (unsigned long long)v);
	return ERR_OK;
}

static enum err check_nested_paging(struct errmsg *why)
{
	const struct vmx_caps *c = &cpu.caps;
	uint32_t out;
	enum err e = vmx_fit_controls(c, VMX_CTL_PROC, PROC_SECONDARY, 0, &out, NULL, why);

	if (e == ERR_OK)
		e = vmx_fit_controls(c, VMX_CTL_PROC2, PROC2_EPT | PROC2_UNRESTRICTED, 0, &out, NULL, why);
	if (e == ERR_OK)
		e = vmx_fit_controls(c, VMX_CTL_PIN, PIN_PREEMPTION_TIMER, 0, &out, NULL, why);
	if (e != ERR_OK)
		return ERR_NODEV;
	if (!(c->ept_vpid & VMX_EPT_4_LEVEL) || !(c->ept_vpid & VMX_EPT_WRITE_BACK) || !(c->ept_vpid & VMX_INVEPT))
		return err_set(why, ERR_NODEV,
		    "this CPU's EPT lacks 4-level tables, write-back tables or INVEPT (IA32_VMX_EPT_VPID_CAP %#llx)",
		    (unsigned long long)c->ept_vpid);
	return ERR_OK;
}

enum err vmx_cpu_probe(struct errmsg *why)
{
	uint32_t out[4];

	cpu_cpuid(1, 0, out);
	if (!(out[2] & CPUID1_ECX_VMX))
		return err_set(why, ERR_NODEV, "this CPU has no VT-x (CPUID.1:ECX bit 5 is 0)");
	if (!(out[3] & CPUID1_EDX_FXSR))
		return err_set(why, ERR_NODEV, "this CPU has no FXSAVE (CPUID.1:EDX bit 24 is 0)");
	enum err e = check_feature_control(why);

	if (e != ERR_OK)
		return e;
	if (!cpu.caps_read)
		read_caps();
	return check_nested_paging(why);
}

/* Fixed bits [SDM 3D "VMX-Fixed Bits in CR0"]; and what switching FPU registers and XCR0 needs. */
static void enable_vmx(void)
{
	uint64_t cr0 = cpu_read_cr0(), cr4 = cpu_read_cr4(), feature = cpu_rdmsr(MSR_IA32_FEATURE_CONTROL);

	if (!(feature & FEATURE_LOCKED))
		cpu_wrmsr(MSR_IA32_FEATURE_CONTROL, feature | FEATURE_LOCKED | FEATURE_VMX_OUTSIDE_SMX);
	cr0 = (cr0 | cpu.caps.cr0_must | CR0_NE | CR0_MP) & ~(uint64_t)(CR0_EM | CR0_TS);
	cr4 |= cpu.caps.cr4_must | CR4_VMXE | CR4_OSFXSR | CR4_OSXMMEXCPT | (cpu.has_xsave ? CR4_OSXSAVE : 0);
	cpu_write_cr0(cr0 & cpu.caps.cr0_may);
	cpu_write_cr4(cr4 & cpu.caps.cr4_may);
}

enum err vmx_cpu_get(const struct host_ops *host, struct errmsg *why)
{
	enum err e = vmx_cpu_probe(why);
	uint32_t revision;

	if (e != ERR_OK)
		return e;
	if (cpu.users) {
		cpu.users++;
		return ERR_OK;
	}
	cpu.vmxon_region = host->page_alloc(PAGE_SIZE_4K);
	if (!cpu.vmxon_region)
		return err_set(why, ERR_NOMEM, "VT-x: no memory for the VMXON region");
	revision = (uint32_t)cpu.caps.basic & 0x7fffffffu;
	memcpy(cpu.vmxon_region, &revision, sizeof(revision));
	enable_vmx();
	if (!vmx_on((uint64_t)(uintptr_t)cpu.vmxon_region)) {
		host->page_free(cpu.vmxon_region, PAGE_SIZE_4K);
		return err_set(why, ERR_NODEV, "VMXON failed: CR0 %#llx, CR4 %#llx, IA32_FEATURE_CONTROL %#llx",
		    (unsigned long long)cpu_read_cr0(), (unsigned long long)cpu_read_cr4(),
		    (unsigned long long)cpu_rdmsr(MSR_IA32_FEATURE_CONTROL));
	}
	cpu.users = 1;
	return ERR_OK;
}

void vmx_cpu_put(const struct host_ops *host)
{
	if (!cpu.users || --cpu.users)
		return;
	vmx_off();
	cpu_write_cr4(cpu_read_cr4() & ~(uint64_t)CR4_VMXE);
	host->page_free(cpu.vmxon_region, PAGE_SIZE_4K);
	cpu.vmxon_region = NULL;
}

uint16_t vmx_new_vpid(void)
{
	if (++cpu.last_vpid == 0) /* 0 is the VMM's own */
		cpu.last_vpid = 1;
	return cpu.last_vpid;
}

void vmx_make_current(struct vmx_vcpu *x)
{
	if (LIKELY(cpu.current == x))
		return;
	if (!vmx_ptrld((uint64_t)(uintptr_t)x->vmcs))
		vm_kill(x->v->vm, END_BUG, 0, "VMPTRLD of the VMCS at %p failed", (void *)x->vmcs);
	cpu.current = x;
}

bool vmx_is_resident(const struct vmx_vcpu *x)
{
	return cpu.resident == x;
}

static void load_xcr0(const struct x86_state *s)
{
	if (cpu.has_xsave)
		vmx_xsetbv(s->xcr0);
}

void vmx_hand_registers_load(struct vcpu *v)
{
	const struct x86_state *s = &v->cpu.s;

	cpu_write_cr2(s->cr2);
	vmx_write_dr0(s->dr[0]);
	vmx_write_dr1(s->dr[1]);
	vmx_write_dr2(s->dr[2]);
	vmx_write_dr3(s->dr[3]);
	vmx_write_dr6(s->dr6);
	cpu_wrmsr(MSR_STAR, s->star);
	cpu_wrmsr(MSR_LSTAR, s->lstar);
	cpu_wrmsr(MSR_CSTAR, s->cstar);
	cpu_wrmsr(MSR_FMASK, s->fmask);
	cpu_wrmsr(MSR_KERNEL_GS_BASE, s->kernel_gs_base);
	if (v->vm->controls.proc2 & PROC2_RDTSCP)
		cpu_wrmsr(MSR_TSC_AUX, s->tsc_aux);
	load_xcr0(s);
}

/* DR0 to DR3, TSC_AUX and XCR0 change by exits only: our copy is always right. */
void vmx_hand_registers_save(struct vcpu *v)
{
	struct x86_state *s = &v->cpu.s;

	s->cr2 = cpu_read_cr2();
	s->dr6 = vmx_read_dr6();
	s->star = cpu_rdmsr(MSR_STAR);
	s->lstar = cpu_rdmsr(MSR_LSTAR);
	s->cstar = cpu_rdmsr(MSR_CSTAR);
	s->fmask = cpu_rdmsr(MSR_FMASK);
	s->kernel_gs_base = cpu_rdmsr(MSR_KERNEL_GS_BASE);
}

void vmx_make_resident(struct vmx_vcpu *x)
{
	if (LIKELY(cpu.resident == x))
		return;
	if (cpu.resident) {
		vmx_hand_registers_save(cpu.resident->v);
		vmx_fxsave(cpu.resident->v->cpu.s.fxsave);
	}
	cpu.resident = x;
	vmx_hand_registers_load(x->v);
	vmx_fxrstor(x->v->cpu.s.fxsave);
}

void vmx_forget(struct vmx_vcpu *x)
{
	if (cpu.resident == x)
		cpu.resident = NULL;
	if (cpu.current == x)
		cpu.current = NULL;
	(void)vmx_clear((uint64_t)(uintptr_t)x->vmcs);
}
