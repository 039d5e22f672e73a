/*
 * The virtual machine control block: one page by which AMD-V and a VMM talk [APM 2 "Layout of VMCB"]. Concept: where
 * VT-x has a VMCS behind VMREAD and VMWRITE, AMD-V has a struct in ordinary memory: the control area says what exits
 * and why it did, the state-save area holds the part of the guest that VMRUN and #VMEXIT switch by themselves.
 *
 * Read after: svm.h.
 */
#ifndef VMSCOPE_MODES_VIRTUALIZE_VMCB_H
#define VMSCOPE_MODES_VIRTUALIZE_VMCB_H

#include "core/types.h"

/* Intercepts, first vector (exit codes 60h and up). */
#define SVM_ICPT_INTR (1u << 0)
#define SVM_ICPT_NMI (1u << 1)
#define SVM_ICPT_VINTR (1u << 4)
#define SVM_ICPT_IDTR_READ (1u << 6)
#define SVM_ICPT_DESC_TABLES (0xffu << 6) /* IDTR, GDTR, LDTR, TR: reads, then writes */
#define SVM_ICPT_RDTSC (1u << 14)
#define SVM_ICPT_RDPMC (1u << 15)
#define SVM_ICPT_CPUID (1u << 18)
#define SVM_ICPT_IRET (1u << 20)
#define SVM_ICPT_INVD (1u << 22)
#define SVM_ICPT_PAUSE (1u << 23)
#define SVM_ICPT_HLT (1u << 24)
#define SVM_ICPT_INVLPG (1u << 25)
#define SVM_ICPT_INVLPGA (1u << 26)
#define SVM_ICPT_IOIO (1u << 27)
#define SVM_ICPT_MSR (1u << 28)
#define SVM_ICPT_TASK_SWITCH (1u << 29)
#define SVM_ICPT_SHUTDOWN (1u << 31)
/* Second vector (80h and up). */
#define SVM_ICPT2_VMRUN (1u << 0)
#define SVM_ICPT2_VMLOAD (1u << 2)
#define SVM_ICPT2_VMSAVE (1u << 3)
#define SVM_ICPT2_STGI (1u << 4)
#define SVM_ICPT2_CLGI (1u << 5)
#define SVM_ICPT2_SKINIT (1u << 6)
#define SVM_ICPT2_RDTSCP (1u << 7)
#define SVM_ICPT2_ICEBP (1u << 8)
#define SVM_ICPT2_WBINVD (1u << 9)
#define SVM_ICPT2_MONITOR (1u << 10)
#define SVM_ICPT2_MWAIT (1u << 11)
#define SVM_ICPT2_XSETBV (1u << 13)
/* Third vector (a0h and up). */
#define SVM_ICPT3_INVPCID (1u << 2)

/* Exit codes [APM 2 "SVM Intercept Exit Codes"]. */
#define SVM_EXIT_CR_READ 0x00u
#define SVM_EXIT_CR_WRITE 0x10u
#define SVM_EXIT_DR_READ 0x20u
#define SVM_EXIT_DR_WRITE 0x30u
#define SVM_EXIT_EXCEPTION 0x40u
#define SVM_EXIT_INTR 0x60u
#define SVM_EXIT_NMI 0x61u
#define SVM_EXIT_SMI 0x62u
#define SVM_EXIT_INIT 0x63u
#define SVM_EXIT_VINTR 0x64u
#define SVM_EXIT_IDTR_READ 0x66u
#define SVM_EXIT_TR_WRITE 0x6du
#define SVM_EXIT_RDTSC 0x6eu
#define SVM_EXIT_RDPMC 0x6fu
#define SVM_EXIT_CPUID 0x72u
#define SVM_EXIT_IRET 0x74u
#define SVM_EXIT_INVD 0x76u
#define SVM_EXIT_PAUSE 0x77u
#define SVM_EXIT_HLT 0x78u
#define SVM_EXIT_INVLPG 0x79u
#define SVM_EXIT_INVLPGA 0x7au
#define SVM_EXIT_IOIO 0x7bu
#define SVM_EXIT_MSR 0x7cu
#define SVM_EXIT_TASK_SWITCH 0x7du
#define SVM_EXIT_SHUTDOWN 0x7fu
#define SVM_EXIT_VMRUN 0x80u
#define SVM_EXIT_RDTSCP 0x87u
#define SVM_EXIT_ICEBP 0x88u
#define SVM_EXIT_WBINVD 0x89u
#define SVM_EXIT_MONITOR 0x8au
#define SVM_EXIT_MWAIT 0x8bu
#define SVM_EXIT_XSETBV 0x8du
#define SVM_EXIT_INVPCID 0xa2u
#define SVM_EXIT_NPF 0x400u
#define SVM_EXIT_INVALID UINT64_MAX

/* int_ctl: virtual interrupts. */
#define SVM_V_TPR_MASK 0xffull
#define SVM_V_IRQ (1ull << 8)
#define SVM_V_INTR_PRIO (0xfull << 16)
#define SVM_V_IGN_TPR (1ull << 20)
#define SVM_V_INTR_MASKING (1ull << 24)

#define SVM_SHADOW 1ull /* int_state: the instruction after STI or MOV SS */
#define SVM_NP_ENABLE 1ull
#define SVM_TLB_FLUSH_ALL 1u

/* EVENTINJ and EXITINTINFO: vector, type, error code valid, valid, error code [APM 2 "Event Injection"]. */
#define SVM_EVENT_TYPE_SHIFT 8
#define SVM_EVENT_ERROR (1u << 11)
#define SVM_EVENT_VALID (1u << 31)
enum svm_event_type { SVM_EVENT_INTR = 0, SVM_EVENT_NMI = 2, SVM_EVENT_EXCEPTION = 3, SVM_EVENT_SOFT_INT = 4 };

/* EXITINFO1 of IOIO [APM 2 "IOIO Intercepts"]. */
#define SVM_IO_IN (1u << 0)
#define SVM_IO_STRING (1u << 2)
#define SVM_IO_REP (1u << 3)
#define SVM_IO_SIZE_SHIFT 4 /* one bit each: 1, 2, 4 bytes */
#define SVM_IO_ADDR_SHIFT 7 /* one bit each: 16, 32, 64 bits */
#define SVM_IO_PORT_SHIFT 16
/* EXITINFO1 of a nested page fault: a page-fault error code, and what was being translated. */
#define SVM_NPF_WRITE (1u << 1)
#define SVM_NPF_FETCH (1u << 4)
#define SVM_NPF_FINAL (1ull << 32) /* the guest-physical address itself, not one of the guest's page tables */
/* EXITINFO2 of a task switch. */
#define SVM_TASK_IRET (1ull << 36)
#define SVM_TASK_JMP (1ull << 38)

struct vmcb_seg {
	uint16_t sel;
	uint16_t attr; /* bits 0-7 as in a descriptor, 8 AVL, 9 L, 10 D/B, 11 G */
	uint32_t limit;
	uint64_t base;
};

struct vmcb_control {
	uint16_t cr_read, cr_write, dr_read, dr_write; /* bit n: register n */
	uint32_t exceptions;			       /* bit n: vector n */
	uint32_t icpt[3];
	uint8_t reserved1[0x3c - 0x18];
	uint16_t pause_threshold, pause_count;
	uint64_t iopm, msrpm, tsc_offset;
	uint32_t asid;
	uint8_t tlb_control, reserved2[3];
	uint64_t int_ctl, int_state;
	uint64_t exit_code, exit_info1, exit_info2, exit_int_info;
	uint64_t np_enable;
	uint64_t avic_bar, ghcb;
	uint64_t event_inj, n_cr3, virt_ext;
	uint32_t clean, reserved3;
	uint64_t next_rip;
	uint8_t n_bytes, bytes[15];
	uint8_t reserved4[0x400 - 0xe0];
};

struct vmcb_save {
	struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t reserved1[0x4cb - 0x4a0];
	uint8_t cpl;
	uint8_t reserved2[4];
	uint64_t efer;
	uint8_t reserved3[0x548 - 0x4d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t reserved4[0x5d8 - 0x580];
	uint64_t rsp;
	uint8_t reserved5[0x5f8 - 0x5e0];
	uint64_t rax, star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip, cr2;
	uint8_t reserved6[0x668 - 0x648];
	uint64_t g_pat, debugctl;
	uint8_t reserved7[0x1000 - 0x678];
};

struct vmcb {
	struct vmcb_control c;
	struct vmcb_save s;
};

_Static_assert(offsetof(struct vmcb, c.pause_threshold) == 0x3c, "VMCB layout");
_Static_assert(offsetof(struct vmcb, c.asid) == 0x58, "VMCB layout");
_Static_assert(offsetof(struct vmcb, c.exit_int_info) == 0x88, "VMCB layout");
_Static_assert(offsetof(struct vmcb, c.event_inj) == 0xa8, "VMCB layout");
_Static_assert(offsetof(struct vmcb, c.next_rip) == 0xc8, "VMCB layout");
_Static_assert(offsetof(struct vmcb, s.cpl) == 0x4cb, "VMCB layout");
_Static_assert(offsetof(struct vmcb, s.cr4) == 0x548, "VMCB layout");
_Static_assert(offsetof(struct vmcb, s.rsp) == 0x5d8, "VMCB layout");
_Static_assert(offsetof(struct vmcb, s.rax) == 0x5f8, "VMCB layout");
_Static_assert(offsetof(struct vmcb, s.cr2) == 0x640, "VMCB layout");
_Static_assert(offsetof(struct vmcb, s.g_pat) == 0x668, "VMCB layout");
_Static_assert(sizeof(struct vmcb) == 0x1000, "VMCB layout");

#endif
