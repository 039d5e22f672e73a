/*
 * A typist: bytes that are typed into a machine's console at guest time, so that a run with keys is as reproducible as
 * one without. The first bytes go in at once, the rest each millisecond of guest time, as the devices take them.
 */
#ifndef VMSCOPE_CORE_TYPIST_H
#define VMSCOPE_CORE_TYPIST_H

#include "core/vm.h"

struct typist {
	struct vm *vm;
	const uint8_t *keys; /* the caller's, until the VM is destroyed */
	size_t n, typed;
	unsigned timer;
};

enum err typist_start(struct typist *t, struct vm *vm, const uint8_t *keys, size_t n, struct errmsg *why) MUST_CHECK;

#endif
