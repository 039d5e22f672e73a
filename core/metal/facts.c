/*
 * What this processor is, and whether its virtualization can be used: the questions that a hypervisor asks before it
 * asks for VMXON or SVME, with an answer in words for each "no".
 */
#include "core/lib.h"
#include "core/metal/metal.h"

#define FC_LOCK (1u << 0)
#define FC_VMX_OUTSIDE_SMX (1u << 2)
#define PROC_SECONDARY (1u << 31)
#define PROC2_EPT (1u << 1)
#define PROC2_UNRESTRICTED (1u << 7)
#define PROC2_INVPCID (1u << 12)
#define EPT_4_LEVELS (1u << 6)
#define EPT_WB (1u << 14)
#define VM_CR_SVMDIS (1u << 4)

static struct metal_cpu_facts facts;
static bool known;

static uint32_t cpuid_bits(uint32_t leaf, unsigned reg)
{
	uint32_t r[4];

	cpu_cpuid(leaf & 0x80000000u, 0, r);
	if (r[0] < leaf)
		return 0;
	cpu_cpuid(leaf, 0, r);
	return r[reg];
}

/* Allowed-1 settings are the upper half of a capability MSR [SDM 3D "VMX Capability Reporting Facility"]. */
static bool may_be_1(uint32_t msr, uint32_t bit)
{
	return cpu_rdmsr(msr) >> 32 & bit;
}

static const char *why_no_vmx(void)
{
	if (!(cpuid_bits(1, 2) & (1u << 5)))
		return "CPUID.1:ECX.VMX is 0: this processor, or the machine below it, has no VT-x";
	uint64_t fc = cpu_rdmsr(MSR_IA32_FEATURE_CONTROL);
	if ((fc & FC_LOCK) && !(fc & FC_VMX_OUTSIDE_SMX))
		return "VT-x is switched off and locked by the firmware (IA32_FEATURE_CONTROL)";
	if (!may_be_1(MSR_IA32_VMX_PROCBASED_CTLS, PROC_SECONDARY))
		return "VT-x without secondary controls: no EPT";
	if (!may_be_1(MSR_IA32_VMX_PROCBASED_CTLS2, PROC2_EPT))
		return "VT-x without EPT";
	if (!may_be_1(MSR_IA32_VMX_PROCBASED_CTLS2, PROC2_UNRESTRICTED))
		return "VT-x without unrestricted guest: real mode and unpaged protected mode cannot be run";
	if ((cpu_rdmsr(MSR_IA32_VMX_EPT_VPID_CAP) & (EPT_4_LEVELS | EPT_WB)) != (EPT_4_LEVELS | EPT_WB))
		return "VT-x with an EPT that has no 4-level walk in write-back memory";
	return "";
}

static const char *why_no_svm(void)
{
	if (!(cpuid_bits(0x80000001u, 2) & (1u << 2)))
		return "CPUID.80000001h:ECX.SVM is 0: this processor, or the machine below it, has no AMD-V";
	if (cpu_rdmsr(MSR_VM_CR) & VM_CR_SVMDIS)
		return "AMD-V is switched off by the firmware (VM_CR.SVMDIS)";
	if (!(cpuid_bits(0x8000000au, 3) & 1u))
		return "AMD-V without nested paging";
	return "";
}

/* Can a guest have PCIDs and INVPCID? Either alone is of no use to us: the model has both. */
static bool lends_pcid(void)
{
	return (cpuid_bits(1, 2) & 1u << 17) && (cpuid_bits(7, 1) & 1u << 10) &&
	       (!facts.has_vmx || may_be_1(MSR_IA32_VMX_PROCBASED_CTLS2, PROC2_INVPCID));
}

static void read_names(void)
{
	uint32_t r[4];

	cpu_cpuid(0, 0, r);
	const uint32_t vendor[3] = {r[1], r[3], r[2]};
	memcpy(facts.vendor, vendor, sizeof(vendor));
	for (uint32_t i = 0; i < 3 && cpuid_bits(0x80000002u + i, 0); i++) {
		cpu_cpuid(0x80000002u + i, 0, r);
		memcpy(facts.model + 16 * i, r, sizeof(r));
	}
	if (cpuid_bits(1, 2) & (1u << 31)) {
		cpu_cpuid(0x40000000u, 0, r);
		memcpy(facts.hypervisor, &r[1], 12);
	}
}

const struct metal_cpu_facts *metal_cpu_facts(void)
{
	if (!known) {
		read_names();
		fmt_snprintf(facts.no_vmx, sizeof(facts.no_vmx), "%s", why_no_vmx());
		fmt_snprintf(facts.no_svm, sizeof(facts.no_svm), "%s", why_no_svm());
		facts.has_vmx = !facts.no_vmx[0];
		facts.has_svm = !facts.no_svm[0];
		facts.has_pcid = lends_pcid();
		known = true;
	}
	return &facts;
}
