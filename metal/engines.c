/*
 * Which backend runs a guest on this machine: the interpreter everywhere, VT-x or AMD-V where the processor has it and
 * the firmware left it on.
 */
#include "metal/engines.h"

#include "core/metal/metal.h"
#include "core/vm.h"
#include "modes/emulate/emulate.h"
#include "modes/virtualize/svm.h"
#include "modes/virtualize/vmx.h"

enum { ENGINE_ANY, ENGINE_VMX, ENGINE_SVM };

static const struct mode_ops *vmx_engine(void)
{
	return metal_cpu_facts()->has_vmx ? &mode_metal_vmx_ops : NULL;
}

static const struct mode_ops *svm_engine(void)
{
	return metal_cpu_facts()->has_svm ? &mode_metal_svm_ops : NULL;
}

static const struct mode_ops *virtualize(uint32_t engine, struct errmsg *why)
{
	const struct metal_cpu_facts *f = metal_cpu_facts();
	const struct mode_ops *vmx = engine == ENGINE_SVM ? NULL : vmx_engine();
	const struct mode_ops *svm = engine == ENGINE_VMX ? NULL : svm_engine();
	enum err e = ERR_NODEV;

	if (vmx || svm)
		return vmx ? vmx : svm;
	if (engine == ENGINE_VMX)
		e = err_set(why, e, "%s", f->no_vmx);
	else if (engine == ENGINE_SVM)
		e = err_set(why, e, "%s", f->no_svm);
	else
		e = err_set(why, e, "%s; %s", f->no_vmx, f->no_svm);
	(void)e;
	return NULL;
}

const struct mode_ops *engine_find(enum vmm_mode mode, uint32_t engine, struct errmsg *why)
{
	if (mode == MODE_EMULATE)
		return &mode_metal_emulate_ops;
	if (mode == MODE_VIRTUALIZE)
		return virtualize(engine, why);
	(void)!err_set(why, ERR_UNSUPPORTED, "the bare-metal VMM has no mode %s", mode_name(mode));
	return NULL;
}

void engine_seed_fault(struct vm *vm, enum bundle_fault fault)
{
	if (fault == FAULT_IDT)
		metal_spoil_idt();
	if (vm->cfg.mode == &mode_metal_vmx_ops)
		vmx_seed_fault(vm, fault);
	if (vm->cfg.mode == &mode_metal_svm_ops)
		svm_seed_fault(vm, fault);
}
