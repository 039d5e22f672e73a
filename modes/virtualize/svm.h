/*
 * virtualize / I on AMD-V (SVM): the bare-metal backend for processors of AMD, a sibling of VT-x. Concept: the same
 * idea as VMX with other choices: the control block is plain memory, VMRUN and #VMEXIT switch less (VMLOAD and VMSAVE
 * do some of the rest), exits are coarser, and the VMM asks its own decoder where the processor says nothing.
 * docs/svm-differences.md has the table.
 */
#ifndef VMSCOPE_MODES_VIRTUALIZE_SVM_H
#define VMSCOPE_MODES_VIRTUALIZE_SVM_H

#include "core/bundle.h"
#include "core/mode.h"

extern const struct mode_ops mode_metal_svm_ops;

/* A hole made on purpose, for the verdict on resource control to find. */
void svm_seed_fault(struct vm *vm, enum bundle_fault f);

#endif
