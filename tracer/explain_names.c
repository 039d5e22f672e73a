/*
 * Names that people know: ports and addresses of the PC [docs/devices.md], model-specific registers [SDM 4 "IA-32
 * Architectural MSRs"], leaves of CPUID, exceptions, bits of CR0 and CR4.
 */
#include "tracer/explain_impl.h"

#include <stdio.h>

const char *explain_vector_name(unsigned vector)
{
	static const char *const names[] = {"#DE divide error", "#DB debug", "NMI", "#BP breakpoint", "#OF overflow",
	    "#BR bound range", "#UD undefined opcode", "#NM no x87", "#DF double fault", "coprocessor overrun",
	    "#TS invalid TSS", "#NP segment not present", "#SS stack fault", "#GP general protection", "#PF page fault",
	    "", "#MF x87 error", "#AC alignment", "#MC machine check", "#XM SIMD error", "#VE", "#CP"};

	return vector < ARRAY_LEN(names) ? names[vector] : "";
}

const char *explain_gpr_name(unsigned n)
{
	static const char *const names[] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8", "R9", "R10",
	    "R11", "R12", "R13", "R14", "R15"};

	return n < ARRAY_LEN(names) ? names[n] : "";
}

struct range {
	uint64_t first, last;
	const char *name;
};

static const char *in_ranges(const struct range *r, size_t n, uint64_t v)
{
	for (size_t i = 0; i < n; i++)
		if (v >= r[i].first && v <= r[i].last)
			return r[i].name;
	return "";
}

const char *explain_port_name(uint16_t port)
{
	static const struct range ports[] = {
	    {0x20, 0x21, "interrupt controller 1, 8259A"},
	    {0x40, 0x43, "interval timer, 8254"},
	    {0x60, 0x60, "keyboard data, 8042"},
	    {0x61, 0x61, "timer gate and speaker"},
	    {0x64, 0x64, "keyboard controller, 8042"},
	    {0x70, 0x71, "clock and CMOS, MC146818"},
	    {0x80, 0x80, "POST code"},
	    {0x81, 0x8f, "DMA page registers"},
	    {0x92, 0x92, "fast reset and A20"},
	    {0xa0, 0xa1, "interrupt controller 2, 8259A"},
	    {0xb2, 0xb3, "APM control"},
	    {0xe0, 0xe8, "device for tests"},
	    {0xe9, 0xe9, "debug console"},
	    {0xed, 0xed, "delay port"},
	    {0xf0, 0xf0, "x87 error latch"},
	    {0xf4, 0xf7, "debug exit"},
	    {0x170, 0x177, "secondary IDE"},
	    {0x1f0, 0x1f7, "primary IDE"},
	    {0x2e8, 0x2ef, "COM4"},
	    {0x2f8, 0x2ff, "COM2"},
	    {0x3c0, 0x3df, "VGA"},
	    {0x3e8, 0x3ef, "COM3"},
	    {0x3f8, 0x3ff, "COM1, UART 16550"},
	    {0x402, 0x402, "firmware's debug console"},
	    {0x4d0, 0x4d1, "interrupt edge or level, ELCR"},
	    {0x510, 0x511, "fw_cfg"},
	    {0x600, 0x63f, "ACPI power management"},
	    {0xcf8, 0xcfb, "PCI configuration address"},
	    {0xcfc, 0xcff, "PCI configuration data"},
	    {0x2000, 0x2017, "device for tests"},
	};

	return in_ranges(ports, ARRAY_LEN(ports), port);
}

const char *explain_memory_name(uint64_t gpa)
{
	static const struct range places[] = {
	    {0xa0000, 0xbffff, "VGA memory"},
	    {0xc0000, 0xfffff, "ROM below 1 MiB"},
	    {0xfec00000, 0xfec00fff, "IOAPIC"},
	    {0xfee00000, 0xfee00fff, "local APIC"},
	    {0xff000000, 0xff00ffff, "device for tests"},
	};

	return in_ranges(places, ARRAY_LEN(places), gpa);
}

const char *explain_msr_name(uint32_t msr)
{
	static const struct range msrs[] = {
	    {0x10, 0x10, "IA32_TIME_STAMP_COUNTER"},
	    {0x1b, 0x1b, "IA32_APIC_BASE"},
	    {0x3a, 0x3a, "IA32_FEATURE_CONTROL"},
	    {0x8b, 0x8b, "IA32_BIOS_SIGN_ID"},
	    {0xc1, 0xc8, "IA32_PMCx"},
	    {0xfe, 0xfe, "IA32_MTRRCAP"},
	    {0x10a, 0x10a, "IA32_ARCH_CAPABILITIES"},
	    {0x174, 0x174, "IA32_SYSENTER_CS"},
	    {0x175, 0x175, "IA32_SYSENTER_ESP"},
	    {0x176, 0x176, "IA32_SYSENTER_EIP"},
	    {0x179, 0x179, "IA32_MCG_CAP"},
	    {0x17a, 0x17a, "IA32_MCG_STATUS"},
	    {0x186, 0x18d, "IA32_PERFEVTSELx"},
	    {0x1a0, 0x1a0, "IA32_MISC_ENABLE"},
	    {0x1d9, 0x1d9, "IA32_DEBUGCTL"},
	    {0x200, 0x20f, "variable-range MTRR"},
	    {0x250, 0x26f, "fixed-range MTRR"},
	    {0x277, 0x277, "IA32_PAT"},
	    {0x2ff, 0x2ff, "IA32_MTRR_DEF_TYPE"},
	    {0x480, 0x493, "VMX capability"},
	    {0x6e0, 0x6e0, "IA32_TSC_DEADLINE"},
	    {0x800, 0x8ff, "x2APIC register"},
	    {0xc0000080, 0xc0000080, "IA32_EFER"},
	    {0xc0000081, 0xc0000081, "IA32_STAR"},
	    {0xc0000082, 0xc0000082, "IA32_LSTAR"},
	    {0xc0000083, 0xc0000083, "IA32_CSTAR"},
	    {0xc0000084, 0xc0000084, "IA32_FMASK"},
	    {0xc0000100, 0xc0000100, "IA32_FS_BASE"},
	    {0xc0000101, 0xc0000101, "IA32_GS_BASE"},
	    {0xc0000102, 0xc0000102, "IA32_KERNEL_GS_BASE"},
	    {0xc0000103, 0xc0000103, "IA32_TSC_AUX"},
	    {0x40000000, 0x400000ff, "hypervisor's own MSR"},
	    {0x4b564d00, 0x4b564dff, "KVM's own MSR"},
	};

	return in_ranges(msrs, ARRAY_LEN(msrs), msr);
}

const char *explain_cpuid_name(uint32_t leaf)
{
	static const struct range leaves[] = {
	    {0, 0, "vendor, highest leaf"},
	    {1, 1, "family, features"},
	    {2, 2, "caches (old form)"},
	    {4, 4, "caches"},
	    {5, 5, "MONITOR/MWAIT"},
	    {6, 6, "power and heat"},
	    {7, 7, "more features"},
	    {0xa, 0xa, "performance counters"},
	    {0xb, 0xb, "CPU topology"},
	    {0xd, 0xd, "XSAVE state"},
	    {0x15, 0x15, "TSC rate"},
	    {0x16, 0x16, "clock rates"},
	    {0x40000000, 0x400000ff, "who is the hypervisor?"},
	    {0x80000000, 0x80000000, "highest extended leaf"},
	    {0x80000001, 0x80000001, "extended features"},
	    {0x80000002, 0x80000004, "brand string"},
	    {0x80000007, 0x80000007, "invariant TSC"},
	    {0x80000008, 0x80000008, "address sizes"},
	};

	return in_ranges(leaves, ARRAY_LEN(leaves), leaf);
}

const char *explain_cr_bits(unsigned cr, uint64_t mask, char *buf, size_t n)
{
	static const struct {
		uint8_t cr, bit;
		const char *name;
	} bits[] = {
	    {0, 0, "PE"},
	    {0, 1, "MP"},
	    {0, 2, "EM"},
	    {0, 3, "TS"},
	    {0, 4, "ET"},
	    {0, 5, "NE"},
	    {0, 16, "WP"},
	    {0, 18, "AM"},
	    {0, 29, "NW"},
	    {0, 30, "CD"},
	    {0, 31, "PG"},
	    {4, 0, "VME"},
	    {4, 1, "PVI"},
	    {4, 2, "TSD"},
	    {4, 3, "DE"},
	    {4, 4, "PSE"},
	    {4, 5, "PAE"},
	    {4, 6, "MCE"},
	    {4, 7, "PGE"},
	    {4, 8, "PCE"},
	    {4, 9, "OSFXSR"},
	    {4, 10, "OSXMMEXCPT"},
	    {4, 11, "UMIP"},
	    {4, 13, "VMXE"},
	    {4, 16, "FSGSBASE"},
	    {4, 17, "PCIDE"},
	    {4, 18, "OSXSAVE"},
	    {4, 20, "SMEP"},
	    {4, 21, "SMAP"},
	    {4, 22, "PKE"},
	};
	size_t at = 0;

	buf[0] = 0;
	for (size_t i = 0; i < ARRAY_LEN(bits); i++)
		if (bits[i].cr == cr && mask >> bits[i].bit & 1 && at < n)
			at += (size_t)snprintf(buf + at, n - at, "%s%s", at ? " " : "", bits[i].name);
	return buf;
}
