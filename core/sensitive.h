/*
 * Which instructions are privileged or sensitive, and what a set of controls does about each: the table behind the
 * audit, the efficiency verdict and the guest "sensitive". Whether one traps is computed from struct vm_controls, so it
 * cannot disagree with what the backends honour.
 */
#ifndef VMSCOPE_CORE_SENSITIVE_H
#define VMSCOPE_CORE_SENSITIVE_H

#include "core/controls.h"
#include "core/x86/insn.h"

enum sensitive_id {
#define SENSITIVE(name, form, ids, sub, group, sens, priv, umip, control, sentence, source) SENSITIVE_##name,
#include "core/sensitive.def"
#undef SENSITIVE
	SENSITIVE_COUNT
};

enum pg_class {
	PG_INNOCUOUS,
	PG_PRIVILEGED, /* sensitive and privileged: traps by itself outside CPL 0 */
	PG_SENSITIVE   /* sensitive and not privileged: what made x86 hard */
};

enum sensitive_group { GROUP_REGISTERS, GROUP_PROTECTION, GROUP_OTHER, GROUP_PRIVILEGED };
enum sensitive_priv { PRIV_NO, PRIV_CPL0, PRIV_IOPL, PRIV_CR4 };
#define SENS_CONTROL 1u
#define SENS_BEHAVIOUR 2u

/* How a control makes an instruction exit. */
enum sensitive_control {
	CONTROL_NONE,
	CONTROL_ALWAYS, /* arg: the CTL_KERNEL_* bit of a host kernel that keeps it */
	CONTROL_PROC,	/* arg: bit of the primary controls */
	CONTROL_PROC2,	/* arg: bit of the secondary controls */
	CONTROL_CR0,	/* CR0 mask: exits when a masked bit changes */
	CONTROL_CR0_TS, /* the same for TS alone */
	CONTROL_CR4,
	CONTROL_MSR, /* arg: 1 = write */
	CONTROL_IO,
	CONTROL_INVPCID /* enable INVPCID and INVLPG exiting together */
};

enum sensitive_traps { TRAPS_NEVER, TRAPS_SOMETIMES, TRAPS_ALWAYS };

struct sensitive_row {
	const char *name; /* "POP_SREG" */
	const char *form; /* "pop sreg" */
	uint16_t ids[5];  /* enum x86_insn_id; 0 ends the list */
	int16_t sub;
	uint8_t group, sens, priv;
	bool umip;
	uint8_t control; /* enum sensitive_control */
	uint32_t arg;
	const char *sentence, *source;
};

/* SENSITIVE_COUNT rows, indexed by enum sensitive_id. */
const struct sensitive_row *sensitive_rows(void);
/* The row of a decoded instruction; NULL: innocuous. */
const struct sensitive_row *sensitive_find(const struct x86_insn *i);
enum pg_class sensitive_class(const struct sensitive_row *row); /* NULL: innocuous */
/* Does it reach the VMM when the guest's kernel executes it (at its own CPL 0) under these controls? SOMETIMES: it
 * depends on the operand (which MSR, port, or bit). */
enum sensitive_traps sensitive_traps(const struct sensitive_row *row, const struct vm_controls *ctl);
/* "descriptor-table exiting", "CR0 mask", "always", "none": which control of VT-x it is. */
const char *sensitive_control_name(const struct sensitive_row *row);
const char *sensitive_group_name(enum sensitive_group g);
const char *pg_class_name(enum pg_class c);
const char *sensitive_traps_name(enum sensitive_traps t);

#endif
