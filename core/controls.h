/*
 * struct vm_controls: which events exit. It mirrors the VMX execution controls bit by bit [SDM 3C "VM-Execution Control
 * Fields"], so that emulate and simulate can honour exactly what virtualize/I programs into a VMCS. Pointer-free.
 */
#ifndef VMSCOPE_CORE_CONTROLS_H
#define VMSCOPE_CORE_CONTROLS_H

#include "core/err.h"

/* Pin-based [SDM 3C "Pin-Based VM-Execution Controls"] */
#define PIN_EXTINT_EXIT (1u << 0)
#define PIN_NMI_EXIT (1u << 3)
#define PIN_VIRTUAL_NMIS (1u << 5) /* the guest has NMI blocking of its own, which IRET ends */
#define PIN_PREEMPTION_TIMER (1u << 6)
/* Primary processor-based [SDM 3C "Processor-Based VM-Execution Controls"] */
#define PROC_INTERRUPT_WINDOW (1u << 2)
#define PROC_HLT_EXIT (1u << 7)
#define PROC_INVLPG_EXIT (1u << 9)
#define PROC_MWAIT_EXIT (1u << 10)
#define PROC_RDPMC_EXIT (1u << 11)
#define PROC_RDTSC_EXIT (1u << 12)
#define PROC_CR3_LOAD_EXIT (1u << 15)
#define PROC_CR3_STORE_EXIT (1u << 16)
#define PROC_CR8_LOAD_EXIT (1u << 19)
#define PROC_CR8_STORE_EXIT (1u << 20)
#define PROC_NMI_WINDOW (1u << 22)
#define PROC_MOV_DR_EXIT (1u << 23)
#define PROC_UNCOND_IO_EXIT (1u << 24)
#define PROC_IO_BITMAPS (1u << 25)
#define PROC_MSR_BITMAPS (1u << 28)
#define PROC_MONITOR_EXIT (1u << 29)
#define PROC_PAUSE_EXIT (1u << 30)
#define PROC_SECONDARY (1u << 31)
/* Secondary */
#define PROC2_EPT (1u << 1)
#define PROC2_DESC_TABLE_EXIT (1u << 2)
#define PROC2_RDTSCP (1u << 3)
#define PROC2_VPID (1u << 5)
#define PROC2_WBINVD_EXIT (1u << 6)
#define PROC2_UNRESTRICTED (1u << 7)
#define PROC2_RDRAND_EXIT (1u << 11)
#define PROC2_INVPCID (1u << 12)
#define PROC2_RDSEED_EXIT (1u << 16)

/* How the guest's kernel runs; not a VMX control. */
enum guest_ring {
	RING_HW,	   /* VMX non-root: CPL is the guest's own */
	RING_DEPRIVILEGED, /* everything at CPL 3: classic trap-and-emulate; sensitive unprivileged instructions leak */
	RING_UMIP,	   /* the same with CR4.UMIP set: SGDT SIDT SLDT SMSW STR trap too */
};

/* What does not exit at all because a host kernel keeps it (profile kvm-user). */
#define CTL_KERNEL_CPUID (1u << 0)
#define CTL_KERNEL_CR (1u << 1)
#define CTL_KERNEL_MISC (1u << 2)  /* XSETBV, INVD, WBINVD, task switch, VMX instructions (#UD) */
#define CTL_KERNEL_TIMER (1u << 3) /* slices and windows end as VMM_TIMER and VMM_IRQ_WINDOW, not as 52 and 7 */

struct vm_controls {
	char name[16]; /* profile */
	uint32_t pin, proc, proc2;
	uint32_t exceptions; /* exception bitmap */
	uint32_t pf_mask, pf_match;
	uint32_t kernel;	     /* CTL_KERNEL_* */
	uint32_t ring;		     /* enum guest_ring */
	uint64_t cr0_mask, cr4_mask; /* guest/host masks: 1 = owned by the VMM */
	uint8_t io_bitmap[8192];     /* 1 = exits; used when PROC_IO_BITMAPS */
	uint8_t msr_bitmap[4096];    /* VMX layout: read low, read high, write low, write high; 1 = exits */
};

enum profile_backend { PROFILE_EMULATE = 1, PROFILE_SIMULATE = 2, PROFILE_METAL = 4, PROFILE_KVM = 8 };

struct controls_profile {
	const char *name;
	unsigned backends; /* enum profile_backend bits */
	const char *meaning;
};

/* The named profiles of docs/exit-contract.md, in its order; *n rows. */
const struct controls_profile *controls_profiles(size_t *n);
/* Fills *ctl; ERR_NOENT with the list of names in why for an unknown one. */
enum err controls_set(struct vm_controls *ctl, const char *profile, struct errmsg *why) MUST_CHECK;

/* A run of MSR numbers. */
struct msr_range {
	uint32_t first, count;
};

/* MSRs that never exit under the vtx profiles: they only hold guest state that the VMCS or the VMM switches. */
const struct msr_range *controls_guest_msrs(size_t *n);
/* MSRs that a host kernel keeps for itself in addition (profile kvm-user): the KVM filter lets them through. */
const struct msr_range *controls_kvm_kernel_msrs(size_t *n);

bool controls_io_exits(const struct vm_controls *ctl, uint16_t port, unsigned size);
bool controls_msr_exits(const struct vm_controls *ctl, uint32_t msr, bool write);

#endif
