/*
 * struct vm_exit: one VM exit in neutral form, the same for all six backends.
 *
 * The reason is the Intel SDM's basic exit reason by number [SDM 3D "VMX Basic Exit Reasons"], in every mode. Codes
 * that are no SDM reason have numbers >= EXIT_VMM_BASE, class "vmm", and take no part in comparisons. Pointer-free and
 * of fixed layout: it goes into rings, snapshots and sessions as it is.
 */
#ifndef VMSCOPE_CORE_EXIT_H
#define VMSCOPE_CORE_EXIT_H

#include "core/types.h"

#define EXIT_VMM_BASE 0x10000u

enum exit_reason {
#define EXIT(num, name, class, sentence, sdm) EXIT_##name = num,
#include "core/exits.def"
#undef EXIT
};
#define EXIT_SDM_COUNT 80u /* one past the largest SDM number in exits.def; sizes tables */

enum exit_class {
	EXIT_CLASS_EVENT,
	EXIT_CLASS_INSN,
	EXIT_CLASS_IO,
	EXIT_CLASS_MMIO,
	EXIT_CLASS_MSR,
	EXIT_CLASS_CR,
	EXIT_CLASS_FAIL,
	EXIT_CLASS_VMX,
	EXIT_CLASS_VMM
};

/* Where an exit was seen. "kernel (emulator)" is a kvm_pvm host, where the kernel's own instruction emulator acts. */
enum exit_observed {
	OBSERVED_VMM,
	OBSERVED_KERNEL,
	OBSERVED_KERNEL_EMULATOR,
	OBSERVED_METAL,
	OBSERVED_MODEL,
	OBSERVED_COUNT
};

/* Exit qualification, I/O: [SDM 3C "Exit Qualification for I/O Instructions"] */
#define QUAL_IO_SIZE_MASK 0x7u /* 0, 1, 3 = 1, 2, 4 bytes */
#define QUAL_IO_IN (1u << 3)
#define QUAL_IO_STRING (1u << 4)
#define QUAL_IO_REP (1u << 5)
#define QUAL_IO_IMM (1u << 6)
#define QUAL_IO_PORT_SHIFT 16
/* Control-register accesses: [SDM 3C "Exit Qualification for Control-Register Accesses"] */
#define QUAL_CR_NUM_MASK 0xfu
#define QUAL_CR_TYPE_SHIFT 4 /* 0 MOV to CR, 1 MOV from CR, 2 CLTS, 3 LMSW */
#define QUAL_CR_LMSW_MEM (1u << 6)
#define QUAL_CR_GPR_SHIFT 8
#define QUAL_CR_LMSW_SHIFT 16
/* MOV DR: [SDM 3C "Exit Qualification for MOV DR"] */
#define QUAL_DR_NUM_MASK 0x7u
#define QUAL_DR_READ (1u << 4) /* direction: 1 = MOV from DR */
#define QUAL_DR_GPR_SHIFT 8
/* EPT violations: [SDM 3C "Exit Qualification for EPT Violations"] */
#define QUAL_EPT_READ (1u << 0)
#define QUAL_EPT_WRITE (1u << 1)
#define QUAL_EPT_FETCH (1u << 2)
#define QUAL_EPT_GLA_VALID (1u << 7)
#define QUAL_EPT_TRANSLATED (1u << 8)
/* Interruption information: [SDM 3C "Information for VM Exits Due to Vectored Events"] */
#define INTR_INFO_VALID (1u << 31)
#define INTR_INFO_ERROR (1u << 11)
#define INTR_INFO_TYPE_SHIFT 8
enum intr_type {
	INTR_TYPE_EXTERNAL = 0,
	INTR_TYPE_NMI = 2,
	INTR_TYPE_HW_EXCEPTION = 3,
	INTR_TYPE_SW_INT = 4,
	INTR_TYPE_PRIV_SW_EXCEPTION = 5,
	INTR_TYPE_SW_EXCEPTION = 6
};

struct exit_io {
	uint16_t port;
	uint8_t size, in, string, rep, imm, addr_size;
	uint32_t count;
	uint64_t value;
};
struct exit_mmio {
	uint64_t value; /* of the last access */
	uint8_t size, write, fetch, n_accesses;
	uint32_t pad;
	uint64_t read_value; /* what the last read gave, when a write came after it (read-modify-write) */
};
struct exit_msr {
	uint32_t index;
	uint8_t write, fault;
	uint64_t value;
};
struct exit_cpuid {
	uint32_t leaf, subleaf, eax, ebx, ecx, edx;
};
struct exit_cr {
	uint8_t cr, type, gpr;
	uint64_t value;
};
struct exit_dr {
	uint8_t dr, read, gpr;
	uint64_t value;
};
struct exit_host {
	uint32_t code, suberror;
	uint8_t bytes[16];
	uint8_t n_bytes;
};

struct vm_exit {
	uint32_t reason;     /* enum exit_reason */
	uint32_t insn_len;   /* bytes; 0 where the backend does not know (KVM) or it is undefined */
	uint64_t rip;	     /* of the instruction that caused the exit */
	uint64_t qual;	     /* exit qualification */
	uint64_t gla;	     /* guest linear address, where the reason has one */
	uint64_t gpa;	     /* guest physical address (EPT violation) */
	uint32_t insn_info;  /* VM-exit instruction information */
	uint32_t intr_info;  /* VM-exit interruption information */
	uint32_t intr_error; /* VM-exit interruption error code */
	uint32_t idt_info;   /* IDT-vectoring information: the event that was being delivered */
	uint32_t idt_error;
	uint32_t vcpu;
	uint64_t index;	  /* 0-based number of this exit on this vCPU */
	uint64_t insns;	  /* retired guest instructions before it (0 where nobody counts them) */
	uint64_t time_ns; /* guest time at the exit */
	uint64_t cost_ns; /* what the VMM's part cost: modelled on virtual time, measured on host time */
	uint8_t observed; /* enum exit_observed */
	uint8_t cost_modelled;
	uint8_t pad[6];
	union { /* operands and results; chosen by reason. Results (value, eax…) are filled by the handler. */
		struct exit_io io;	 /* 30 */
		struct exit_mmio mmio;	 /* 48, 49 */
		struct exit_msr msr;	 /* 31, 32 */
		struct exit_cpuid cpuid; /* 10 */
		struct exit_cr cr;	 /* 28 */
		struct exit_dr dr;	 /* 29 */
		struct exit_host host;	 /* >= EXIT_VMM_BASE */
		uint64_t value;		 /* 55 XSETBV, 18 VMCALL (rax), 16 RDTSC */
		uint64_t raw[4];
	};
};

/* A row of exits.def. */
struct exit_desc {
	uint32_t num;
	enum exit_class class;
	const char *name, *sentence, *sdm;
};

/* NULL for a number that no row has. */
const struct exit_desc *exit_desc(uint32_t reason);
/* Number for a name or alias ("PENDING_INTERRUPT" and "INTERRUPT_WINDOW" are both 7); -1 when unknown. */
int exit_reason_by_name(const char *name);
/* The i-th other name of a reason, by other tools or in other years; NULL: no more. */
const char *exit_alias(uint32_t reason, unsigned i);
/* Never NULL: "UNKNOWN" for a number without a row. */
const char *exit_name(uint32_t reason);
const char *exit_class_name(enum exit_class c);
const char *exit_observed_name(enum exit_observed o); /* "vmm", "kernel", "kernel (emulator)", "metal", "model" */
/* True for a hardware reason that takes part in comparisons (number < EXIT_VMM_BASE). */
static inline bool exit_is_hw(uint32_t reason)
{
	return reason < EXIT_VMM_BASE;
}
/* True when the guest's own instructions decide that it comes, and where: not for interrupts, windows (also that of the
 * task priority, which opens because an interrupt waits) and time slices. */
static inline bool exit_is_predicted(uint32_t reason)
{
	return exit_is_hw(reason) && reason != EXIT_EXTERNAL_INTERRUPT && reason != EXIT_INTERRUPT_WINDOW &&
	       reason != EXIT_NMI_WINDOW && reason != EXIT_TPR_BELOW_THRESHOLD && reason != EXIT_PREEMPTION_TIMER;
}

#endif
