/*
 * From ring records to the events of events.def. Used by the writer thread; holds no state.
 */
#ifndef VMSCOPE_TRACER_ENCODE_H
#define VMSCOPE_TRACER_ENCODE_H

#include "tracer/events.h"
#include "tracer/ring.h"
#include "tracer/trace_dat.h"

struct vm;

enum encode_as {
	ENCODE_EXITS,	  /* we are the hypervisor: kvm_exit, kvm_entry */
	ENCODE_USERSPACE, /* a kernel's own events are in the file: kvm_userspace_exit */
	ENCODE_VERDICTS	  /* that one too: our verdicts only */
};

/* Writes the events of one record to lane vcpu; of an exit its two parts, one after the other. */
void encode_rec(struct trace_dat *td, enum encode_as as, unsigned vcpu, const struct trace_rec *r);
/* An exit: the event and its details. */
void encode_exit(struct trace_dat *td, enum encode_as as, unsigned vcpu, const struct trace_rec *r);
/* What became of it, and what it cost. */
void encode_verdict(struct trace_dat *td, unsigned vcpu, const struct trace_rec *r);
void encode_session(struct trace_dat *td, const struct vm *vm, uint64_t ts);
void encode_lost(struct trace_dat *td, unsigned vcpu, uint64_t ts, uint64_t count);
void encode_end(struct trace_dat *td, const struct vm *vm, uint64_t ts);
/* The KVM_EXIT_* number that stands for a reason. */
uint32_t encode_kvm_user_reason(uint32_t reason);

#endif
