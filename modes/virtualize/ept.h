/*
 * Nested page tables: guest-physical to host-physical, in the format of VT-x (EPT) or of AMD-V (NPT). Concept: memory
 * of a guest is what this tree reaches and nothing else; resource control over memory is a property of these pages.
 *
 * Four levels, leaves of 4 KiB and 2 MiB. Freestanding: pages come from host_ops. Host-physical addresses are the
 * pointers themselves, because the bare-metal VMM maps memory one to one. Whoever changes a tree that a processor has
 * used invalidates what that processor cached (INVEPT; on AMD-V a new ASID or TLB_CONTROL).
 */
#ifndef VMSCOPE_MODES_VIRTUALIZE_EPT_H
#define VMSCOPE_MODES_VIRTUALIZE_EPT_H

#include "core/mode.h"
#include "core/types.h"

enum ept_format { EPT_FORMAT_VMX, EPT_FORMAT_NPT };

struct ept {
	const struct host_ops *host;
	uint64_t *root;	   /* level 4; its address is what EPTP or nCR3 points to */
	uint64_t leaf;	   /* what every leaf has, besides readable, writable, large */
	bool large;	   /* 2 MiB leaves may be used */
	uint64_t n_tables; /* pages of this tree */
};

/* large: the processor can have 2 MiB leaves. */
enum err ept_init(struct ept *t, const struct host_ops *host, enum ept_format f, bool large) MUST_CHECK;
void ept_fini(struct ept *t); /* also after a failed ept_init */
/* Maps whole pages, replacing what was there. ERR_NOMEM: part of the stretch may be mapped, the tree is sound. */
enum err ept_map(struct ept *t, gpa_t gpa, uint64_t len, const uint8_t *host, bool write) MUST_CHECK;
/* ERR_NOMEM: a 2 MiB leaf that had to be split could not be. */
enum err ept_unmap(struct ept *t, gpa_t gpa, uint64_t len) MUST_CHECK;
/* As the processor would walk. False: not mapped. */
bool ept_walk(const struct ept *t, gpa_t gpa, uint64_t *hpa, bool *write);
/* Every leaf, in order of gpa; neighbours with the same rights are one. Fills up to max, returns how many there are. */
size_t ept_list(const struct ept *t, struct mode_mapping *out, size_t max);

#endif
