/*
 * What this machine's /dev/kvm is, for "vmscope doctor": facts only, each read from the host.
 */
#ifndef VMSCOPE_MODES_VIRTUALIZE_KVM_H
#define VMSCOPE_MODES_VIRTUALIZE_KVM_H

#include "core/mode.h"

struct kvm_facts {
	bool present, permitted;
	int api;
	char module[16];  /* "kvm_intel", "kvm_amd", "kvm_pvm" or "" when it cannot be told */
	bool emulates;	  /* kvm_pvm: the kernel's instruction emulator runs an ordinary guest */
	int memory_slots; /* 0: unknown */
	int sync_regs;	  /* KVM_CAP_SYNC_REGS mask */
	bool msr_filter, readonly_mem, immediate_exit, guest_debug, xsave;
	bool pcid; /* guests may have PCIDs and INVPCID */
};

extern const struct mode_ops mode_virtualize_type2_ops;

void kvm_facts_read(struct kvm_facts *f);

#endif
