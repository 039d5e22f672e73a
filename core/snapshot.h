/*
 * Snapshots: header, then tagged, versioned, little-endian sections (vCPU states, clock, controls, each device's state,
 * RAM), in one caller-owned buffer. Restoring checks magic, versions and sizes first and changes nothing on a mismatch.
 *
 * What a TLB holds is not saved. A guest that changes a page table entry without INVLPG can tell, so saving empties the
 * TLBs as well as restoring: from there on the saved machine and the restored one do the same, to the bit. Saving is
 * therefore an event of the run: a replay must save, or at least flush, at the same instructions.
 */
#ifndef VMSCOPE_CORE_SNAPSHOT_H
#define VMSCOPE_CORE_SNAPSHOT_H

#include "core/err.h"

struct vm;

size_t snapshot_size(struct vm *vm);
enum err snapshot_save(struct vm *vm, void *buf, size_t n, size_t *used, struct errmsg *why) MUST_CHECK;
enum err snapshot_restore(struct vm *vm, const void *buf, size_t n, struct errmsg *why) MUST_CHECK;

/* The same without RAM, for whoever keeps that in another way (session/history.c). Saving so changes nothing in the
 * machine: the caller flushes, if it means to restore. Restoring, RAM has to be there already. */
size_t snapshot_machine_size(struct vm *vm);
enum err snapshot_machine_save(struct vm *vm, void *buf, size_t n, size_t *used, struct errmsg *why) MUST_CHECK;
enum err snapshot_machine_restore(struct vm *vm, const void *buf, size_t n, struct errmsg *why) MUST_CHECK;
/* What saving and restoring do to the TLBs. */
void snapshot_flush(struct vm *vm);

#endif
