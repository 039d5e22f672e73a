/*
 * mode_ops: how guest instructions happen. One per mode and type; every member is mandatory. A mode returns neutral
 * exits and never handles one.
 */
#ifndef VMSCOPE_CORE_MODE_H
#define VMSCOPE_CORE_MODE_H

#include "core/exit.h"
#include "core/host.h"

struct vm;
struct vcpu;
struct vm_controls;
struct x86_event;
struct remote_event;

enum vmm_mode { MODE_SIMULATE, MODE_EMULATE, MODE_VIRTUALIZE };
enum vmm_type { VMM_TYPE_I = 1, VMM_TYPE_II = 2 };

/* The backend completes an exiting instruction itself (results, rip): KVM, models. Otherwise the core does. */
#define MODE_CAP_COMPLETES (1u << 0)
#define MODE_CAP_VIRTUAL_TIME (1u << 1)
#define MODE_CAP_HOST_TIME (1u << 2)
#define MODE_CAP_STEP_INSN (1u << 3)
#define MODE_CAP_INSN_PROBE (1u << 4)
#define MODE_CAP_COUNTS_INSNS (1u << 5) /* clock.insns is exact */
#define MODE_CAP_MODEL (1u << 6)	/* no guest bytes: no rip, no instruction to execute */
#define MODE_CAP_STATE_LIVE (1u << 7)	/* the engine works in v->cpu.s itself: it is never stale */

#define MODE_CAP_SMP (1u << 9)	  /* several vCPUs, on virtual time */
#define MODE_CAP_REMOTE (1u << 8) /* loop, handlers and devices are on another machine: next() instead of run() */
#define MODE_CAP_BREAK (1u << 10) /* run() stops at vm->breaks */
/* The same by the processor's debug registers: at VM_BREAKS_DR single addresses, not at memory. */
#define MODE_CAP_BREAK_DR (1u << 11)

/* How far one run() may go. */
struct run_bounds {
	uint64_t max_insns; /* stop with EXIT_PREEMPTION_TIMER (or VMM_TIMER, by controls) after so many; UINT64_MAX: no
			       bound */
	uint64_t deadline_ns; /* host time backends: the same in guest ns; CLOCK_NEVER: none */
	bool irq_window; /* exit with INTERRUPT_WINDOW (or VMM_IRQ_WINDOW) as soon as an interrupt could be taken */
	/* Exit with NMI_WINDOW (or VMM_IRQ_WINDOW) as soon as an NMI could be taken: it waits. A mode that has no such
	 * exit comes back at the end of what blocks the NMI by another one, or at least at the end of its slice. */
	bool nmi_window;
	/* Not 0: exit with TPR_BELOW_THRESHOLD (or VMM_SET_TPR) when CR8 is below: an interrupt waits for that. Only
	 * where a load of CR8 does not exit by itself; a mode may ignore it. */
	unsigned tpr_threshold;
	bool single_step; /* one instruction, then EXIT_VMM_DEBUG (unless it exited for another reason) */
};

/* A stretch of guest-physical memory that guest code can reach right now without the VMM. */
struct mode_mapping {
	gpa_t gpa;
	uint64_t len;
	const uint8_t *host;
	bool write;
};

struct mode_ops {
	const char *name;   /* "emulate" */
	const char *engine; /* "interpreter"; chosen by --engine */
	enum vmm_mode mode;
	enum vmm_type type;
	unsigned caps;
	unsigned profiles; /* enum profile_backend bit that a profile must have */
	const char *default_profile;
	/* Can this machine do it? ERR_NODEV is a skip: why has one precise line. */
	enum err (*probe)(const struct host_ops *host, struct errmsg *why);
	enum err (*vm_init)(struct vm *vm,
	    struct errmsg *why);	/* vCPUs and slots exist; vm->mode_priv and vcpu->mode_priv are its own */
	void (*vm_fini)(struct vm *vm); /* also after a failed vm_init */
	/* A memory slot was added or changed. After vm_init the core calls it once for every slot there is. */
	enum err (*map)(struct vm *vm, unsigned slot, struct errmsg *why);
	enum err (*get_state)(struct vcpu *v); /* fill v->cpu.s; completes a pending exit first (the lockstep point) */
	enum err (*set_state)(struct vcpu *v); /* take over v->cpu.s; v->dirty says what changed */
	/* Could an external interrupt be taken at the next instruction boundary? No while an event that was injected,
	 * or a pending debug trap, waits for its delivery. Of a halted vCPU: may an interrupt wake it (RFLAGS.IF)? */
	bool (*interruptible)(struct vcpu *v);
	/* Delivered at the next entry, before the next guest instruction; also sets CR2 and DR6 from the event. The
	 * event itself never exits, whatever the exception bitmap says; a fault met during its delivery does. */
	enum err (*inject)(struct vcpu *v, const struct x86_event *ev);
	/* One exit into *e, which the core has zeroed: reason, operands, rip, insn_len. The core fills index, insns,
	 * time, cost, vcpu and observed (a mode that knows better sets observed first: not 0). clock.insns has to be
	 * exact at each exit and at each call of the environment, where MODE_CAP_COUNTS_INSNS is claimed: the engine
	 * adds what it retired inside this call; the core adds what the VMM completes. ERR_AGAIN: interrupted, no exit.
	 * Any other error ends the machine: vm_kill() with the reason first, or the core says host_error. */
	enum err (*run)(struct vcpu *v, const struct run_bounds *b, struct vm_exit *e);
	/* MODE_CAP_COMPLETES: hand results over (after verdict NEXT and HALT); may be lazy. An MSR access that gets #GP
	 * has e->msr.fault set, except in models, which get the exception by inject. */
	enum err (*complete)(struct vcpu *v, struct vm_exit *e);
	/* Optional (NULL: the core's model is what the guest gets): turns the model's answer, in out, into what the
	 * host's kernel answers instead. A kvm_pvm host cannot hide every CPUID bit of its CPU. */
	void (*adjust_cpuid)(struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
	void (*kick)(struct vcpu *v); /* make run() return soon (VMM_KICK); async-signal-safe, from any thread */
	/* For the audit of resource control: what the backend maps at this moment, from its own structures (KVM: the
	 * slots it gave to the kernel; emulate: the valid TLB entries), not from vm->mem. Fills up to max, returns how
	 * many there are; simulate has none. */
	size_t (*mappings)(struct vm *vm, struct mode_mapping *out, size_t max);
	/* Optional: the part of get_state() that vcpu_regs() promises (core/vm.h), where that is cheaper. */
	enum err (*get_regs)(struct vcpu *v);
	/* Optional (NULL: vm->controls is what is in force): the controls as the hardware has them, read back from it.
	 * *out starts as a copy of vm->controls. */
	void (*read_controls)(struct vcpu *v, struct vm_controls *out);
	/* Optional, for the same audit: is everything else that the processor was programmed with, and that struct
	 * vm_controls does not know (addresses of tables and maps, intercepts of the engine's own, what an exit loads),
	 * what this backend programs? False: no, and buf says what differs. */
	bool (*programmed)(struct vcpu *v, char *buf, size_t n);
	/* MODE_CAP_REMOTE only: waits for the next thing that happened to the guest. Memory that came with it is in
	 * vm->mem already (then vm->mem_stale is false). ERR_AGAIN: vm->stop was set, and the guest stands still. */
	enum err (*next)(struct vcpu *v, struct remote_event *ev);
};

const char *mode_name(enum vmm_mode m);

/* modes/modes.c: the table of all six, in the order simulate, emulate, virtualize x I, II. */
const struct mode_ops *const *modes_all(size_t *n);
const struct mode_ops *modes_find(enum vmm_mode m, enum vmm_type t);

#endif
