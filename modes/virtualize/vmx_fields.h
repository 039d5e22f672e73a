/*
 * The fields of a VMCS by number and by name, and the capability MSRs that say what may be in them. Pure: this header
 * and what implements it run on the host too, in tests.
 */
#ifndef VMSCOPE_MODES_VIRTUALIZE_VMX_FIELDS_H
#define VMSCOPE_MODES_VIRTUALIZE_VMX_FIELDS_H

#include "core/err.h"

enum vmcs_field {
#define VMCS(id, encoding, name, group, width, remark) VMCS_##id = encoding,
#include "modes/virtualize/vmcs.def"
#undef VMCS
};

enum vmcs_group { VMCS_IS_CONTROL, VMCS_IS_GUEST, VMCS_IS_HOST, VMCS_IS_DATA };

struct vmcs_desc {
	uint32_t encoding;
	enum vmcs_group group;
	const char *name;
};

/* The rows of vmcs.def. */
const struct vmcs_desc *vmcs_fields(size_t *n);
const char *vmcs_field_name(uint32_t encoding); /* never NULL */

/* The five sets of control bits. */
enum vmx_ctl { VMX_CTL_PIN, VMX_CTL_PROC, VMX_CTL_PROC2, VMX_CTL_EXIT, VMX_CTL_ENTRY, VMX_CTL_COUNT };

/* Controls beyond those of core/controls.h, which only a VMCS has. */
#define PROC_TSC_OFFSETTING (1u << 3)
#define PROC_MONITOR_TRAP (1u << 27)
#define PROC_TPR_SHADOW (1u << 21)
#define PROC2_TSC_SCALING (1u << 25)
#define EXIT_SAVE_DEBUG (1u << 2)
#define EXIT_HOST_64 (1u << 9)
#define EXIT_ACK_INTERRUPT (1u << 15)
#define EXIT_SAVE_PAT (1u << 18)
#define EXIT_LOAD_PAT (1u << 19)
#define EXIT_SAVE_EFER (1u << 20)
#define EXIT_LOAD_EFER (1u << 21)
#define ENTRY_LOAD_DEBUG (1u << 2)
#define ENTRY_IA32E (1u << 9)
#define ENTRY_LOAD_PAT (1u << 14)
#define ENTRY_LOAD_EFER (1u << 15)

/* What this processor's VMX can do [SDM 3D "VMX Capability Reporting Facility"]. */
struct vmx_caps {
	uint64_t basic, misc, ept_vpid;
	struct {
		uint32_t must; /* allowed 0-settings: 1 = may not be 0 */
		uint32_t may;  /* allowed 1-settings: 0 = may not be 1 */
	} ctl[VMX_CTL_COUNT];
	uint64_t cr0_must, cr0_may, cr4_must, cr4_may; /* IA32_VMX_CR0_FIXED0 and 1, and so on */
	unsigned phys_bits;
};

#define VMX_BASIC_TRUE_CONTROLS (1ull << 55)
#define VMX_BASIC_INOUT_INFO (1ull << 54)
#define VMX_MISC_TIMER_SHIFT 0x1fu
#define VMX_EPT_4_LEVEL (1ull << 6)
#define VMX_EPT_WRITE_BACK (1ull << 14)
#define VMX_EPT_2M (1ull << 16)
#define VMX_INVEPT (1ull << 20)
#define VMX_INVEPT_SINGLE (1ull << 25)
#define VMX_INVEPT_ALL (1ull << 26)
#define VMX_INVVPID (1ull << 32)
#define VMX_INVVPID_SINGLE (1ull << 41)
#define VMX_INVVPID_ALL (1ull << 42)

/* "RDTSC exiting", by set and bit; "bit 17 of the pin-based controls" style text is never needed for a known one. */
const char *vmx_control_name(enum vmx_ctl set, unsigned bit);
const char *vmx_ctl_name(enum vmx_ctl set); /* "pin-based" */

/*
 * Fits wanted bits into what the processor allows. need: must be had, or ERR_UNSUPPORTED with the name of the first
 * control that is missing. wish: dropped where the processor lacks it (*dropped, may be NULL). Bits that may not be 0
 * are set in any case.
 */
enum err vmx_fit_controls(const struct vmx_caps *caps, enum vmx_ctl set, uint32_t need, uint32_t wish, uint32_t *out,
    uint32_t *dropped, struct errmsg *why) MUST_CHECK;

/* VM-instruction error numbers in words [SDM 3C "VM Instruction Error Numbers"]; never NULL. */
const char *vmx_instruction_error(uint32_t number);

#endif
