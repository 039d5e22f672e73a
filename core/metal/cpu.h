/*
 * The processor's own instructions as functions, and what it can do. Freestanding, for core/metal and for the backends
 * that run on bare hardware.
 */
#ifndef VMSCOPE_CORE_METAL_CPU_H
#define VMSCOPE_CORE_METAL_CPU_H

#include "core/types.h"

#define MSR_IA32_APIC_BASE 0x1bu
#define MSR_IA32_FEATURE_CONTROL 0x3au
#define MSR_IA32_VMX_BASIC 0x480u
#define MSR_IA32_VMX_PROCBASED_CTLS 0x482u
#define MSR_IA32_VMX_PROCBASED_CTLS2 0x48bu
#define MSR_IA32_VMX_EPT_VPID_CAP 0x48cu
#define MSR_EFER 0xc0000080u
#define MSR_VM_CR 0xc0010114u /* AMD */

static inline uint64_t cpu_rdmsr(uint32_t index)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(index));
	return (uint64_t)hi << 32 | lo;
}

static inline void cpu_wrmsr(uint32_t index, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(index), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

/* out: EAX, EBX, ECX, EDX */
static inline void cpu_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	__asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(subleaf));
}

static inline uint64_t cpu_rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static inline uint8_t cpu_in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void cpu_out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint16_t cpu_in16(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void cpu_out16(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline void cpu_ins16(uint16_t port, void *to, size_t n)
{
	__asm__ volatile("rep insw" : "+D"(to), "+c"(n) : "d"(port) : "memory");
}

static inline void cpu_outs16(uint16_t port, const void *from, size_t n)
{
	__asm__ volatile("rep outsw" : "+S"(from), "+c"(n) : "d"(port) : "memory");
}

#define CPU_CR(n)                                                          \
	static inline uint64_t cpu_read_cr##n(void)                        \
	{                                                                  \
		uint64_t v;                                                \
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(v));          \
		return v;                                                  \
	}                                                                  \
	static inline void cpu_write_cr##n(uint64_t v)                     \
	{                                                                  \
		__asm__ volatile("mov %0, %%cr" #n : : "r"(v) : "memory"); \
	}
CPU_CR(0)
CPU_CR(2)
CPU_CR(3)
CPU_CR(4)
#undef CPU_CR

static inline void cpu_pause(void)
{
	__asm__ volatile("pause");
}

/* What this machine's processor is, and whether a hypervisor can use it. Filled once by metal_cpu_facts(). */
struct metal_cpu_facts {
	char vendor[16], model[49];
	char hypervisor[16]; /* signature of the machine below, "" on hardware (and on those that do not tell) */
	bool has_pcid;	     /* PCIDs and INVPCID, for itself and for guests */
	bool has_vmx, has_svm;
	char no_vmx[160], no_svm[160]; /* why not; empty when usable */
};
const struct metal_cpu_facts *metal_cpu_facts(void);

#endif
