/*
 * What far returns, IRET and POPF share.
 */
#ifndef VMSCOPE_CORE_X86_FAR_H
#define VMSCOPE_CORE_X86_FAR_H

#include "core/x86/segment.h"

/* Two neighbours from a copy of SP: CS over IP, SS over SP. */
enum x86_rc x86_pop_two(struct x86_cpu *c, uint64_t *sp, unsigned size, uint64_t *low, uint64_t *high);
/* CS of a return: checks *sel (whose RPL becomes the new CPL). Under trap-and-emulate *sel comes back with the virtual
 * CPL. Then SS, if it is popped, and then the rest: the offset, cut to its size, and the accessed bits of both (ss may
 * be NULL). */
enum x86_rc x86_check_return_cs(struct x86_cpu *c, uint16_t *sel, struct x86_desc *cs);
enum x86_rc x86_finish_return(struct x86_cpu *c, struct x86_desc *cs, const struct x86_seg *ss, uint64_t *off);
enum x86_rc x86_check_return_ss(
    struct x86_cpu *c, uint16_t sel, unsigned cpl, const struct x86_desc *cs, struct x86_seg *ss);

/* RFLAGS after IRET or POPF of an image of size bytes at CPL cpl. */
uint64_t x86_flags_merge(const struct x86_cpu *c, uint64_t image, unsigned size, unsigned cpl, bool iret);
/* Writes RFLAGS and everything that hangs on IF, TF, AC, VM. */
void x86_flags_load(struct x86_cpu *c, uint64_t v);

#endif
