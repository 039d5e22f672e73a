/*
 * May this instruction run here, or does it fault, or exit? One question, one table (intercepts.def), asked by every
 * system handler before it touches its operands.
 */
#ifndef VMSCOPE_CORE_X86_INTERCEPT_H
#define VMSCOPE_CORE_X86_INTERCEPT_H

#include "core/x86/insn.h"
#include "core/x86/segment.h"

enum x86_intercept_id {
#define INTERCEPT(id, undefined, privilege, control, kernel, reason) X86_ICPT_##id,
#include "core/x86/intercepts.def"
#undef INTERCEPT
	X86_ICPT_COUNT
};

/* Column "undefined": when the instruction is #UD. */
enum x86_icpt_ud {
	X86_UD_NEVER,
	X86_UD_ALWAYS,
	X86_UD_REAL_V86,     /* exists in protected mode only */
	X86_UD_NOT_64,	     /* exists in 64-bit mode only */
	X86_UD_NO_OSXSAVE,   /* CR4.OSXSAVE = 0 */
	X86_UD_NO_FSGSBASE,  /* CR4.FSGSBASE = 0, or not 64-bit mode */
	X86_UD_NO_RDTSCP,    /* "enable RDTSCP" = 0 */
	X86_UD_NO_VMM,	     /* nobody to call: no intercepts, or trap-and-emulate */
	X86_UD_NOT_VMX_MODE, /* the same, or real, virtual-8086 or compatibility mode, or a host kernel without VMX */
};

/* Column "privilege": what CPL must be, else #GP(0). */
enum x86_icpt_priv {
	X86_PL_ANY,
	X86_PL_CPL0,
	X86_PL_CPL0_UD,	   /* else #UD */
	X86_PL_TSD,	   /* CPL 0, or CR4.TSD = 0 */
	X86_PL_PCE,	   /* CPL 0, or CR4.PCE = 1, or real mode */
	X86_PL_UMIP,	   /* CPL 0, or CR4.UMIP = 0 */
	X86_PL_IO,	   /* IOPL and the TSS bitmap: x86_io_permitted() is asked by the handler first */
	X86_PL_EXIT_FIRST, /* the exit comes before the check of CPL 0 */
};

/* Column "control": which execution control makes it exit. */
enum x86_icpt_control {
	X86_ON_NEVER,
	X86_ON_ALWAYS,
	X86_ON_SPECIAL,
	X86_ON_WBINVD,
	X86_ON_INVLPG,
	X86_ON_INVPCID,
	X86_ON_RDTSC,
	X86_ON_RDPMC,
	X86_ON_MONITOR,
	X86_ON_MWAIT,
	X86_ON_PAUSE,
	X86_ON_MOV_DR,
	X86_ON_DESC_TABLE,
};

struct x86_intercept {
	enum x86_icpt_ud undefined;
	enum x86_icpt_priv privilege;
	enum x86_icpt_control control;
	uint32_t kernel, reason;
};
extern const struct x86_intercept x86_intercepts[X86_ICPT_COUNT];

/* X86_OK: go on. X86_FAULT: #UD or #GP(0). X86_EXIT: c->exit has reason, qual, length and rip; fill the operands. */
enum x86_rc x86_intercept(struct x86_cpu *c, const struct x86_insn *i, enum x86_intercept_id id, uint64_t qual);
/* For rows with control SPECIAL, after x86_intercept(): are exits of this row on at all (VMX profile, no host kernel)?
 */
bool x86_intercept_on(const struct x86_cpu *c, enum x86_intercept_id id);
/* The exit of a SPECIAL row. */
enum x86_rc x86_intercept_exit(struct x86_cpu *c, const struct x86_insn *i, enum x86_intercept_id id, uint64_t qual);

/* VM-exit instruction information of an instruction with a ModRM operand [SDM 3C "VM-Exit Instruction Information"]:
 * what all layouts share. extra is ORed in. */
uint32_t x86_insn_info(const struct x86_insn *i, uint32_t extra);
/* Displacement of the memory operand, as exit qualification. */
uint64_t x86_insn_displacement(const struct x86_cpu *c, const struct x86_insn *i);

#endif
