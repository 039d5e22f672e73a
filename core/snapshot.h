/*
 * Snapshots: header, then tagged, versioned, little-endian sections (vCPU states, clock, controls, each device's state,
 * RAM), in one caller-owned buffer. Restoring checks magic, versions and sizes first and changes nothing on a mismatch.
 */
#ifndef VMSCOPE_CORE_SNAPSHOT_H
#define VMSCOPE_CORE_SNAPSHOT_H

#include "core/err.h"

struct vm;

size_t snapshot_size(struct vm *vm);
enum err snapshot_save(struct vm *vm, void *buf, size_t n, size_t *used, struct errmsg *why) MUST_CHECK;
enum err snapshot_restore(struct vm *vm, const void *buf, size_t n, struct errmsg *why) MUST_CHECK;

#endif
