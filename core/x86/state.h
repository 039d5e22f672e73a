/*
 * struct x86_state: the complete architectural state of one logical processor. Fixed width, pointer-free,
 * little-endian, versioned: snapshots, sessions and reverse execution copy it as it is. Segment attributes are in VMX
 * access-rights format [SDM 3C "Guest Register State"]: bits 0-3 type, 4 S, 5-6 DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G,
 * 16 unusable. Bases and limits are the hidden (cached) ones; limits in bytes.
 */
#ifndef VMSCOPE_CORE_X86_STATE_H
#define VMSCOPE_CORE_X86_STATE_H

#include "core/types.h"

#define X86_STATE_VERSION 2u

enum x86_gpr {
	X86_RAX,
	X86_RCX,
	X86_RDX,
	X86_RBX,
	X86_RSP,
	X86_RBP,
	X86_RSI,
	X86_RDI,
	X86_R8,
	X86_R9,
	X86_R10,
	X86_R11,
	X86_R12,
	X86_R13,
	X86_R14,
	X86_R15
};
enum x86_sreg { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_SREG_COUNT };

#define FLAG_CF (1u << 0)
#define FLAG_R1 (1u << 1)
#define FLAG_PF (1u << 2)
#define FLAG_AF (1u << 4)
#define FLAG_ZF (1u << 6)
#define FLAG_SF (1u << 7)
#define FLAG_TF (1u << 8)
#define FLAG_IF (1u << 9)
#define FLAG_DF (1u << 10)
#define FLAG_OF (1u << 11)
#define FLAG_IOPL (3u << 12)
#define FLAG_NT (1u << 14)
#define FLAG_RF (1u << 16)
#define FLAG_VM (1u << 17)
#define FLAG_AC (1u << 18)
#define FLAG_VIF (1u << 19)
#define FLAG_VIP (1u << 20)
#define FLAG_ID (1u << 21)
#define FLAGS_STATUS (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_NW (1u << 29)
#define CR0_CD (1u << 30)
#define CR0_PG (1u << 31)
#define CR4_VME (1u << 0)
#define CR4_PVI (1u << 1)
#define CR4_TSD (1u << 2)
#define CR4_DE (1u << 3)
#define CR4_PSE (1u << 4)
#define CR4_PAE (1u << 5)
#define CR4_MCE (1u << 6)
#define CR4_PGE (1u << 7)
#define CR4_PCE (1u << 8)
#define CR4_OSFXSR (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_UMIP (1u << 11)
#define CR4_VMXE (1u << 13)
#define CR4_FSGSBASE (1u << 16)
#define CR4_PCIDE (1u << 17)
#define CR4_OSXSAVE (1u << 18)
#define CR4_SMEP (1u << 20)
#define CR4_SMAP (1u << 21)
#define CR4_PKE (1u << 22)
/* What the project's CPU has; every other bit is reserved in it, whatever the real processor knows. */
#define CR4_MODEL                                                                                                      \
	(CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | \
	    CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP)
#define CR3_PCID 0xfffu
#define CR3_NO_FLUSH (1ull << 63) /* in the source of MOV CR3 only */
#define EFER_SCE (1u << 0)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_NXE (1u << 11)

#define SEG_TYPE 0xfu
#define SEG_S (1u << 4)
#define SEG_DPL_SHIFT 5
#define SEG_DPL (3u << 5)
#define SEG_P (1u << 7)
#define SEG_AVL (1u << 12)
#define SEG_L (1u << 13)
#define SEG_DB (1u << 14)
#define SEG_G (1u << 15)
#define SEG_UNUSABLE (1u << 16)

enum x86_vector {
	VEC_DE,
	VEC_DB,
	VEC_NMI,
	VEC_BP,
	VEC_OF,
	VEC_BR,
	VEC_UD,
	VEC_NM,
	VEC_DF,
	VEC_CSO,
	VEC_TS,
	VEC_NP,
	VEC_SS,
	VEC_GP,
	VEC_PF,
	VEC_MF = 16,
	VEC_AC,
	VEC_MC,
	VEC_XM
};

/* Interruptibility, VMX layout [SDM 3C "Guest Non-Register State"] */
#define INTR_SHADOW_STI (1u << 0)
#define INTR_SHADOW_MOVSS (1u << 1)
#define INTR_SHADOW_NMI (1u << 3)

struct x86_seg {
	uint64_t base;
	uint32_t limit;
	uint32_t attr;
	uint16_t sel;
	uint16_t pad[3];
};
struct x86_dtable {
	uint64_t base;
	uint32_t limit;
	uint32_t pad;
};

struct x86_state {
	uint32_t version, size;
	uint64_t gpr[16];
	uint64_t rip, rflags; /* rflags bit 1 always set */
	struct x86_seg seg[X86_SREG_COUNT];
	struct x86_seg ldtr, tr;
	struct x86_dtable gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4, cr8;
	uint64_t dr[4], dr6, dr7;
	uint64_t pdpte[4]; /* PAE paging: loaded by MOV CR3/CR0/CR4 */
	uint64_t efer, star, lstar, cstar, fmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t pat, apic_base, misc_enable, tsc_offset, tsc_aux, mtrr_def_type;
	uint64_t mtrr_fixed[11], mtrr_var[16];
	uint64_t mcg_status, bios_sign, feature_control, debugctl;
	uint64_t xcr0;
	uint32_t intr_shadow;	/* INTR_SHADOW_* */
	uint32_t pending_event; /* INTR_INFO_* of an event injected and not yet delivered; 0 = none */
	uint32_t pending_error;
	uint32_t pending_len; /* instruction length of a pending software event */
	uint64_t pending_dbg; /* pending debug exceptions, DR6 layout */
	uint8_t fxsave[512];  /* x87, MMX, SSE: FXSAVE64 image; 16-byte aligned */
	uint8_t ymm_hi[256];
	uint64_t pkru; /* protection keys: bits 2n and 2n+1 are access and write disable of key n */
	uint64_t pad;
};
_Static_assert(__builtin_offsetof(struct x86_state, fxsave) % 16 == 0, "FXSAVE wants 16 bytes");

#endif
