/*
 * Names of VMCS fields, controls and errors, and the arithmetic of allowed settings. Concept: which controls a
 * processor has is not a matter of its model number; it says so itself, bit by bit, in MSRs
 * [SDM 3D "VMX Capability Reporting Facility"].
 *
 * Read before: vmcs.def. Read after: vmx_cpu.c, which reads those MSRs.
 */
#include "modes/virtualize/vmx_fields.h"

#include "core/lib.h"

static const struct vmcs_desc fields[] = {
#define VMCS(id, encoding, name, group, width, remark) {encoding, VMCS_IS_##group, name},
#include "modes/virtualize/vmcs.def"
#undef VMCS
};

const struct vmcs_desc *vmcs_fields(size_t *n)
{
	*n = ARRAY_LEN(fields);
	return fields;
}

const char *vmcs_field_name(uint32_t encoding)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (fields[i].encoding == encoding)
			return fields[i].name;
	return "unknown field";
}

static const struct {
	enum vmx_ctl set;
	unsigned bit;
	const char *name;
} controls[] = {
#define VMX_CONTROL(set, bit, name) {VMX_CTL_##set, bit, name},
#include "modes/virtualize/vmx_controls.def"
#undef VMX_CONTROL
};

const char *vmx_control_name(enum vmx_ctl set, unsigned bit)
{
	for (size_t i = 0; i < ARRAY_LEN(controls); i++)
		if (controls[i].set == set && controls[i].bit == bit)
			return controls[i].name;
	return "unnamed control";
}

const char *vmx_ctl_name(enum vmx_ctl set)
{
	static const char *const names[VMX_CTL_COUNT] = {[VMX_CTL_PIN] = "pin-based",
	    [VMX_CTL_PROC] = "primary processor-based",
	    [VMX_CTL_PROC2] = "secondary processor-based",
	    [VMX_CTL_EXIT] = "VM-exit",
	    [VMX_CTL_ENTRY] = "VM-entry"};

	return (unsigned)set < VMX_CTL_COUNT ? names[set] : "unknown";
}

enum err vmx_fit_controls(const struct vmx_caps *caps, enum vmx_ctl set, uint32_t need, uint32_t wish, uint32_t *out,
    uint32_t *dropped, struct errmsg *why)
{
	uint32_t may = caps->ctl[set].may, missing = need & ~may;

	if (missing) {
		unsigned bit = (unsigned)__builtin_ctz(missing);
		return err_set(why, ERR_UNSUPPORTED, "this CPU's VMX lacks the %s control \"%s\" (bit %u)",
		    vmx_ctl_name(set), vmx_control_name(set, bit), bit);
	}
	*out = need | (wish & may) | caps->ctl[set].must;
	if (dropped)
		*dropped = wish & ~may;
	return ERR_OK;
}

static const char *const errors[] = {
    [1] = "VMCALL executed in VMX root operation",
    [2] = "VMCLEAR with invalid physical address",
    [3] = "VMCLEAR with VMXON pointer",
    [4] = "VMLAUNCH with non-clear VMCS",
    [5] = "VMRESUME with non-launched VMCS",
    [6] = "VMRESUME after VMXOFF",
    [7] = "VM entry with invalid control field(s)",
    [8] = "VM entry with invalid host-state field(s)",
    [9] = "VMPTRLD with invalid physical address",
    [10] = "VMPTRLD with VMXON pointer",
    [11] = "VMPTRLD with incorrect VMCS revision identifier",
    [12] = "VMREAD/VMWRITE from/to unsupported VMCS component",
    [13] = "VMWRITE to read-only VMCS component",
    [15] = "VMXON executed in VMX root operation",
    [16] = "VM entry with invalid executive-VMCS pointer",
    [17] = "VM entry with non-launched executive VMCS",
    [18] = "VM entry with executive-VMCS pointer not VMXON pointer",
    [19] = "VMCALL with non-clear VMCS",
    [20] = "VMCALL with invalid VM-exit control fields",
    [22] = "VMCALL with incorrect MSEG revision identifier",
    [23] = "VMXOFF under dual-monitor treatment of SMIs and SMM",
    [24] = "VMCALL with invalid SMM-monitor features",
    [25] = "VM entry with invalid VM-execution control fields in executive VMCS",
    [26] = "VM entry with events blocked by MOV SS",
    [28] = "Invalid operand to INVEPT/INVVPID",
};

const char *vmx_instruction_error(uint32_t number)
{
	return number < ARRAY_LEN(errors) && errors[number] ? errors[number] : "unknown error number";
}
