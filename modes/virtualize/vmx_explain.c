/*
 * A VM entry that failed, in words: the processor's number, and the rule that our own checks find broken.
 *
 * Read before: vmx_check.h.
 */
#include "modes/virtualize/vmx_priv.h"

#include "core/lib.h"
#include "modes/virtualize/vmx_asm.h"
#include "modes/virtualize/vmx_check.h"

static uint64_t read_field(void *arg, uint32_t field)
{
	uint64_t value;

	(void)arg;
	return vmread_checked(field, &value) ? value : 0;
}

static void name_failure(char *text, size_t n, uint32_t number, uint32_t reason, uint64_t qual)
{
	if (number)
		fmt_snprintf(
		    text, n, "VM entry failed: VM-instruction error %u (%s)", number, vmx_instruction_error(number));
	else if (reason == EXIT_INVALID_STATE)
		fmt_snprintf(text, n, "VM entry failed: invalid guest state (exit reason %u, qualification %llu)",
		    reason, (unsigned long long)qual);
	else
		fmt_snprintf(text, n, "VM entry failed: exit reason %u %s, qualification %#llx", reason,
		    exit_name(reason), (unsigned long long)qual);
}

void vmx_entry_failed(struct vcpu *v, uint32_t number, uint32_t reason, uint64_t qual)
{
	const struct vmx_check k = {.read = read_field, .caps = vmx_caps()};
	struct vmx_finding f;
	char what[120];

	name_failure(what, sizeof(what), number, reason, qual);
	vmx_dump(v->vm->cfg.host);
	if (vmx_check_entry(&k, &f))
		vm_kill(v->vm, END_HOST_ERROR, number ? number : reason, "%s: %s: %s = %#llx", what, f.rule,
		    vmcs_field_name(f.field), (unsigned long long)f.value);
	else
		vm_kill(v->vm, END_HOST_ERROR, number ? number : reason,
		    "%s: no rule that is checked here is broken; the log has the VMCS", what);
}
