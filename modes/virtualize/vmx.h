/*
 * virtualize / I on Intel: the backend that a bare-metal VMM links. Read first: vmx.c.
 */
#ifndef VMSCOPE_MODES_VIRTUALIZE_VMX_H
#define VMSCOPE_MODES_VIRTUALIZE_VMX_H

#include "core/bundle.h"
#include "core/mode.h"

extern const struct mode_ops mode_metal_vmx_ops;

/* Makes a hole in the isolation of this VM on purpose, for tests of the verdict on resource control. Call it after
 * vm_create(). FAULT_EPT: an EPT entry at VMX_FAULT_GPA leads to the VMM's own code; FAULT_MSR: writes to
 * IA32_APIC_BASE do not exit; FAULT_CR8: accesses to CR8 do not exit; FAULT_ROOT: the EPTP leads to a copy of the first
 * table; FAULT_OWN: an exit leaves the guest's PAT to the VMM. */
#define VMX_FAULT_GPA 0xd0000000ull
void vmx_seed_fault(struct vm *vm, enum bundle_fault fault);

#endif
