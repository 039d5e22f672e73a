/*
 * What the files of the VT-x backend share: vmx.c (the operations), vmx_cpu.c (the processor), vmx_vmcs.c (controls),
 * vmx_state.c (registers), vmx_exit.c (exits), vmx_check.c (why an entry failed).
 */
#ifndef VMSCOPE_MODES_VIRTUALIZE_VMX_PRIV_H
#define VMSCOPE_MODES_VIRTUALIZE_VMX_PRIV_H

#include "core/vm.h"
#include "modes/virtualize/ept.h"
#include "modes/virtualize/vmx.h"
#include "modes/virtualize/vmx_fields.h"

#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_CSTAR 0xc0000083u
#define MSR_FMASK 0xc0000084u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX 0xc0000103u
#define MSR_PAT 0x277u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u

struct vmx_vm {
	struct ept ept;
	uint64_t eptp;
	uint8_t *msr_bitmap; /* a page */
	uint8_t *io_bitmaps; /* two pages: A and B */
	bool scales_tsc; /* the guest's TSC runs at another rate than the processor's, and the processor can do that */
	uint64_t tsc_multiplier;
	enum bundle_fault fault;
};

/* What was written when the VMCS was programmed, for the audit. */
struct vmx_programmed {
	uint32_t field;
	uint64_t value;
};
#define VMX_PROGRAMMED_MAX 64u

struct vmx_vcpu {
	struct vcpu *v;
	uint8_t *vmcs; /* a page */
	uint16_t vpid;
	bool launched;
	bool tlb_stale; /* the VMM changed what translations depend on */
	bool ept_stale; /* the nested page tables changed */
	bool hidden_bits_told;
	volatile bool kicked;
	uint32_t proc, entry; /* as they are in the VMCS */
	uint64_t cr0_mask, cr4_mask;
	uint64_t cr0_more, cr4_more;	 /* of those, what VMX operation needs beyond the profile */
	uint64_t tsc_key[2];		 /* what the TSC offset was computed from */
	uint32_t dropped[VMX_CTL_COUNT]; /* controls of the profile that this CPU lacks */
	uint64_t nmis;			 /* of the host, met in the guest */
	struct vmx_programmed programmed[VMX_PROGRAMMED_MAX];
	unsigned n_programmed;
};

static inline struct vmx_vcpu *vmx_of(struct vcpu *v)
{
	return v->mode_priv;
}

static inline struct vmx_vm *vmx_vm_of(struct vm *vm)
{
	return vm->mode_priv;
}

/* vmx_cpu.c */
const struct vmx_caps *vmx_caps(void);
enum err vmx_cpu_probe(struct errmsg *why) MUST_CHECK;
enum err vmx_cpu_get(const struct host_ops *host, struct errmsg *why) MUST_CHECK; /* VMXON with the first VM */
void vmx_cpu_put(const struct host_ops *host);					  /* VMXOFF with the last one */
uint16_t vmx_new_vpid(void);
/* Its VMCS becomes the current one. */
void vmx_make_current(struct vmx_vcpu *x);
/* Its registers outside the VMCS are in the processor: those of whoever was there before are saved. */
void vmx_make_resident(struct vmx_vcpu *x);
bool vmx_is_resident(const struct vmx_vcpu *x);
void vmx_forget(struct vmx_vcpu *x); /* before its VMCS is freed */

/* vmx_vmcs.c */
enum err vmx_program(struct vmx_vcpu *x, struct errmsg *why) MUST_CHECK; /* of a current VMCS */
void vmx_read_controls(struct vcpu *v, struct vm_controls *out);
bool vmx_programmed(struct vcpu *v, char *buf, size_t n); /* mode_ops.programmed */
void vmx_set_tsc(struct vmx_vcpu *x);

/* vmx_state.c */
enum err vmx_get_state(struct vcpu *v);
enum err vmx_get_regs(struct vcpu *v);
enum err vmx_set_state(struct vcpu *v);
void vmx_hand_registers_save(struct vcpu *v); /* those that neither the VMCS nor vmx_enter() switches */
void vmx_hand_registers_load(struct vcpu *v);

/* vmx_exit.c: the VMCS's exit fields into *e. */
void vmx_read_exit(struct vcpu *v, uint32_t reason, struct vm_exit *e);
/* The log gets every field of the current VMCS. */
void vmx_dump(const struct host_ops *host);

/* vmx_explain.c: why an entry failed, as the end of the VM. number: VM-instruction error, or 0 after an exit with bit
 * 31. */
void vmx_entry_failed(struct vcpu *v, uint32_t number, uint32_t reason, uint64_t qual);

/* vmx_entry.S. ticks: the time stamp counter right before the entry and right after the exit; between them lie so many
 * instructions of the VMM. */
#define VMX_STUB_INSNS 14u
bool vmx_enter(uint64_t *gpr, bool launched, uint64_t ticks[2]);
extern const char vmx_exit_point[];

#endif
