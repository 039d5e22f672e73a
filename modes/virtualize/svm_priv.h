/*
 * Inside the SVM backend: what one VM and one vCPU have, and which file does what. svm.c switches worlds, svm_state.c
 * moves registers, svm_controls.c programs intercepts, svm_exit.c explains exits, svm_check.c explains failed entries.
 */
#ifndef VMSCOPE_MODES_VIRTUALIZE_SVM_PRIV_H
#define VMSCOPE_MODES_VIRTUALIZE_SVM_PRIV_H

#include "core/bundle.h"
#include "core/vm.h"
#include "modes/virtualize/ept.h"
#include "modes/virtualize/vmcb.h"

#define SVM_IOPM_SIZE (3u * PAGE_SIZE_4K) /* one bit a port, and some for accesses across the last one */
#define SVM_MSRPM_SIZE (2u * PAGE_SIZE_4K)

/* What this processor can do [APM 2 "Determining Support for SVM"]. */
struct svm_features {
	uint32_t n_asids;
	bool next_rip, invpcid, xsave, rdtscp;
	uint64_t cr4; /* bits that may be set in CR4 */
};

struct svm_vm {
	struct ept npt;
	struct svm_features cpu;
	uint8_t *iopm, *msrpm;
	volatile int kicked;
	bool npt_changed;
};

/* What VMRUN judges, as it was before: a processor that refuses it still writes a state into the control block. */
struct svm_offer {
	uint64_t efer, cr0, cr3, cr4, dr6, dr7, event_inj;
	uint16_t cs_attr;
};

struct svm_vcpu {
	struct vmcb *vmcb;
	bool fresh;	     /* v->cpu.s is what the VMCB and the processor have */
	bool flush;	     /* translations of this guest are stale */
	bool tsc_set;	     /* the TSC offset was programmed */
	uint64_t tsc_offset; /* for this offset of the guest's */
	uint32_t asid;	     /* given to it for good */
	uint64_t cr4_hidden; /* CR4 bits that the guest set and this processor lacks */
	struct svm_offer offer;
};

static inline struct svm_vcpu *svm_vcpu(struct vcpu *v)
{
	return v->mode_priv;
}

static inline struct svm_vm *svm_vm(struct vm *vm)
{
	return vm->mode_priv;
}

/* svm_entry.S: VMLOAD, VMRUN, VMSAVE, VMLOAD of the host. gpr is the guest's, without RAX and RSP. */
void svm_enter(uint64_t vmcb_pa, uint64_t *gpr, uint64_t host_vmcb_pa);

/* svm_state.c */
void svm_state_from_vmcb(struct x86_state *s, const struct vmcb *b, uint64_t cr4_hidden);
void svm_state_to_vmcb(const struct x86_state *s, struct vmcb *b, uint64_t cr4_known);
/* The offer is put back for the explanation of a failed entry, and for whoever reads the control block then. */
void svm_remember_offer(const struct vmcb *b, struct svm_offer *o);
void svm_put_back_offer(struct vmcb *b, const struct svm_offer *o);
enum err svm_get_state(struct vcpu *v);
enum err svm_set_state(struct vcpu *v);
bool svm_interruptible(struct vcpu *v);
enum err svm_inject(struct vcpu *v, const struct x86_event *ev);

/* svm_resident.c: what is in the processor while a guest owns it. */
bool svm_resident_enter(struct vcpu *v); /* true: another guest ran before */
void svm_resident_left(struct vcpu *v);	 /* after an exit */
void svm_resident_save(struct vcpu *v);	 /* floating point into v->cpu.s */
void svm_resident_drop(struct vcpu *v);	 /* what the processor holds of this guest is not true any more */

/* svm_controls.c */
void svm_program_controls(
    const struct vm_controls *ctl, const struct svm_features *f, struct vmcb *b, uint8_t *iopm, uint8_t *msrpm);
void svm_read_controls(struct vcpu *v, struct vm_controls *out);
/* Does a control block still have what svm_program_controls() put into want? Maps are compared by what they hold:
 * have's with those that want points to. False: no; buf names what differs. */
bool svm_same_program(const struct vmcb *have, const struct vmcb *want, char *buf, size_t n);
bool svm_programmed(struct vcpu *v, char *buf, size_t n); /* mode_ops.programmed */

/* svm_exit.c: the exit that the VMCB describes, in neutral form. */
enum err svm_explain_exit(struct vcpu *v, struct vm_exit *e);

/* svm_check.c: which rule of VMRUN this control block breaks; text says so in words. False: none that is known. */
bool svm_check_vmcb(const struct vmcb *b, uint32_t n_asids, char *text, size_t n);

#endif
