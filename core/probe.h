/*
 * probe_ops: observers above the core (tracer, audit, lockstep). The core runs with none. A probe never changes the
 * machine. Members may be NULL. Called on the vCPU's thread. Up to VM_PROBES_MAX probes a VM, called in order.
 */
#ifndef VMSCOPE_CORE_PROBE_H
#define VMSCOPE_CORE_PROBE_H

#include "core/exit.h"

struct vcpu;
struct x86_event;
struct x86_insn;

/* What a handler decided; applied in one place (vm_run). */
enum verdict {
	VERDICT_NEXT,	 /* handled: rip += insn_len */
	VERDICT_AGAIN,	 /* handled: go on at the rip that is there now */
	VERDICT_REFLECT, /* not ours: vcpu->reflect holds the exception that the guest gets */
	VERDICT_HALT,	 /* HLT: rip += insn_len, then wait for an interrupt */
	VERDICT_RESET,	 /* reset the machine */
	VERDICT_KILL,	 /* vm->end is filled: stop */
	VERDICT_USER,	 /* ask the session */
	VERDICT_COUNT
};

const char *verdict_name(enum verdict v);

struct probe_ops {
	const char *name;
	void (*on_entry)(void *arg, struct vcpu *v);			     /* just before the guest runs */
	void (*on_exit)(void *arg, struct vcpu *v, const struct vm_exit *e); /* before its effect */
	void (*on_verdict)(void *arg, struct vcpu *v, const struct vm_exit *e,
	    enum verdict verdict); /* after its effect; e has the results */
	/* The verdict is applied: registers and memory are at the lockstep point. */
	void (*on_done)(void *arg, struct vcpu *v, const struct vm_exit *e);
	void (*on_inject)(void *arg, struct vcpu *v, const struct x86_event *ev);
	/* Every instruction before it executes; only engines with MODE_CAP_INSN_PROBE, only when set (it is slow). */
	void (*on_insn)(void *arg, struct vcpu *v, const struct x86_insn *insn);
};

#endif
