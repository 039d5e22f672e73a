/*
 * The virtual machine and its vCPUs, and the loop that is the same for all six backends:
 *
 *   run -> probe.on_exit -> handlers[reason] -> probe.on_verdict -> apply -> probe.on_entry -> ...
 *
 * Thread rule: a VM is driven by one thread (KVM: one thread a vCPU under vm->lock for devices); vm_stop() may be
 * called from any thread and from a signal handler.
 */
#ifndef VMSCOPE_CORE_VM_H
#define VMSCOPE_CORE_VM_H

#include "core/bus.h"
#include "core/clock.h"
#include "core/controls.h"
#include "core/cost.h"
#include "core/mem.h"
#include "core/mode.h"
#include "core/probe.h"
#include "core/x86/cpu.h"

#define VM_VCPUS_MAX 8
#define VM_PROBES_MAX 4
#define VM_HISTORY 32 /* last exits kept for a dump */
/* The VMM regains control at least this often (guest time): the bound that the safety verdict checks is twice it. */
#define VM_CONTROL_INTERVAL_NS 50000000ull

enum end_kind {
#define END(name, text, status) END_##name,
#include "core/ends.def"
#undef END
	END_COUNT
};
const char *end_name(enum end_kind k); /* "halt", "debug_exit", "triple_fault", "host_kvm", ... ("end.kind" in JSON) */
int end_status(enum end_kind k, uint32_t code); /* exit status of the command line, 0..5 */

struct vm_end {
	enum end_kind kind;
	uint32_t code;
	char detail[240];
};

/* vcpu->dirty: which part of v->cpu.s the VMM changed and the mode must take over before entry. */
#define DIRTY_GPR (1u << 0)   /* general registers, rip, rflags */
#define DIRTY_SREGS (1u << 1) /* segments, tables, CRs, EFER, APIC base */
#define DIRTY_MSRS (1u << 2)
#define DIRTY_EVENTS (1u << 3) /* interruptibility, pending debug exceptions, activity */
#define DIRTY_DEBUG (1u << 4)
#define DIRTY_FPU (1u << 5)
#define DIRTY_ALL 0x3fu

/* A place in a run. No part ever gets smaller while the machine runs, and one of them grows whenever something happens:
 * where the run is repeatable (virtual time), a position is one state of the machine. */
struct vm_position {
	uint64_t insns; /* clock.insns */
	uint64_t exits; /* of all vCPUs, of every kind */
	uint64_t moves; /* entries into the guest, and exceptions that the engine delivered by itself: vm->moves */
	uint64_t ns;	/* guest time: where everybody sleeps, nothing else moves */
	bool ended;
};

struct vcpu_counts {
	uint64_t exits, entries, injected;
	uint64_t insns_vmm;		   /* instructions the VMM completed on the guest's behalf */
	uint64_t insns_innocuous_emulated; /* of those, or of the engine's: innocuous ones that did not run directly */
	uint64_t guest_ns, vmm_ns;	   /* measured on host time; modelled on virtual time */
	uint64_t longest_guest_ns;	   /* longest stretch between two exits in which the guest really ran */
	uint64_t unknown_msr;
};

struct vcpu {
	struct vm *vm;
	unsigned id;
	struct x86_cpu cpu; /* cpu.s is the architectural state; see vcpu_state() */
	bool state_valid;   /* cpu.s is up to date (always, where the engine lives in it) */
	bool regs_valid;    /* of cpu.s, what vcpu_regs() promises is */
	uint32_t dirty;
	struct x86_event reflect; /* for VERDICT_REFLECT */
	bool halted;
	bool frozen;	     /* halted, but by no HLT: an x87 exception waits for its interrupt (core/ferr.h) */
	uint64_t ferr_at;    /* cpu.ferr: address of the instruction whose exception asserts FERR# */
	bool wait_startup;   /* no bootstrap processor, and no start-up message came yet */
	struct vm_exit exit; /* the current or last one */
	struct vm_exit history[VM_HISTORY];
	struct vcpu_counts counts;
	bool applying;		    /* a verdict is being applied: what is injected now belongs to the exit */
	bool executing;		    /* the VMM's executor runs one instruction: its device accesses are exit's */
	bool redelivered;	    /* the handler itself finished the delivery that the exit had interrupted */
	uint64_t ran_ns, ran_at_ns; /* a look at host->ran_ns(), and when that was */
	uint64_t halt_ns;	    /* guest time at which it halted */
	bool inside; /* the run paused between two exits (vm->exact): the next entry is a part of the same stretch, */
	uint64_t leave_at; /* which is over, virtual time, at this clock.insns at the latest */
	/* Of the engine, in this stretch: exceptions in a row with no instruction between them, the last one at this
	 * clock.insns. */
	uint64_t fault_at;
	uint32_t barren;
	uint64_t entered_ns;   /* at the last entry: guest time (virtual), host time (host) */
	uint64_t left_host_ns; /* host time: when run() returned; 0 once its cost is settled */
	uint64_t reflected_at; /* clock.insns when an exception was last given back to the guest */
	unsigned reflected;    /* how many in a row, with no instruction between them */
	/* host->cycles() right before the last VM entry and right after the exit that ended it, where the mode enters
	 * the guest itself (bare metal); else 0. */
	uint64_t entered_ticks, left_ticks;
	uint32_t stub_insns; /* instructions of the VMM between the two */
	void *mode_priv;
};

/* The architectural state, fetched from the mode when stale. A reader may not write. NULL only when the mode failed
 * (then vm->end is filled). */
struct x86_state *vcpu_state(struct vcpu *v);
/* The same for a writer: what is a set of DIRTY_*. */
struct x86_state *vcpu_state_for_write(struct vcpu *v, uint32_t what);
/* For the short path of an exit: general registers, rip, rflags, CR4, XCR0, interruptibility and what the size and mode
 * of the code follow from are up to date; nothing else needs to be. A mode that has it cheaper offers get_regs(). */
struct x86_state *vcpu_regs(struct vcpu *v);
struct x86_state *vcpu_regs_for_write(struct vcpu *v, uint32_t what); /* DIRTY_GPR, DIRTY_EVENTS */

#define VM_BREAKS_MAX 33 /* 32, and one for a step */
#define VM_BREAKS_DR 4u	 /* that a processor has */

/* Where run control wants to stop, for engines with MODE_CAP_BREAK. One that is about to execute an instruction at one
 * of these linear addresses says so in hit, sets vm->pause and returns ERR_AGAIN (MODE_CAP_BREAK_DR: the trap of the
 * processor, EXIT_VMM_DEBUG). */
struct vm_breaks {
	unsigned n;
	struct {
		gva_t lo, hi;
	} insn[VM_BREAKS_MAX];
	uint64_t skip_insns; /* no stop at this count of instructions */
	gva_t skip_at;	     /* and at this linear address */
	gva_t last_at;	     /* the instruction that was begun last, */
	uint64_t last_insns; /* at this count: a repeated one is begun once */
	bool hit;
	gva_t hit_at;
	/* Memory: cpu.watch of every vCPU while it has ranges. An access stops before the next instruction. */
	struct x86_watch mem;
	uint64_t
	    serial; /* another one whenever insn, or whether mem has any, has changed: vm->break_serial + 1; not 0 */
};

struct vm;
typedef enum verdict (*exit_handler)(struct vcpu *v, struct vm_exit *e);

struct vm_config {
	const struct host_ops *host;
	const struct mode_ops *mode;
	const char *guest;    /* name for people and traces */
	const char *controls; /* profile; NULL: the mode's default */
	const char *model;    /* simulate: path of the Lua model; else NULL */
	const char *cmdline;  /* simulate: the guest's command line (loaders get theirs with the image); may be NULL */
	uint64_t mem_size;    /* bytes; multiple of 1 MiB, 1 MiB .. */
	unsigned n_vcpus;
	enum clock_kind clock;
	uint64_t seed;
	uint64_t max_exits, max_insns; /* 0: none */
	const struct cost_model *cost; /* for virtual time; may be NULL: costs are then 0 and not shown */
	/* Where console bytes go: UART ("uart"), 0xe9/0x402 debug consoles ("debugcon"). */
	void (*console)(void *arg, const char *port, uint8_t byte);
	void *console_arg;
	/* VERDICT_USER: the session's answer, for the reasons of vm->user_reasons before any handler sees the exit;
	 * then VERDICT_USER as answer means the default handler. NULL: nobody answers, which ends the machine. */
	enum verdict (*user)(void *arg, struct vcpu *v, struct vm_exit *e);
	void *user_arg;
	/* For findings of the audit: what the VMM itself keeps at this address ("code", "heap"); NULL: not its own.
	 * NULL member: nobody can tell. */
	const char *(*memory_owner)(const void *p);
};

struct machine; /* core/machine.h */
struct typist;	/* core/typist.h */

/* Hardware exits so far, and the lockstep point of the last one. */
struct vm_passed {
	uint64_t exits, insns, skipped_ns; /* of the clock */
	bool ended;
};

struct vm {
	struct vm_config cfg;
	struct vm_controls controls;
	struct guest_mem mem;
	struct bus bus;
	struct clock clock;
	struct machine *machine;
	struct typist *typist; /* the caller's; NULL: none. How far it is, is a part of a snapshot */
	struct vcpu *vcpus;    /* n_vcpus, owned */
	unsigned n_vcpus;
	unsigned turn;		      /* several vCPUs: whose turn it is, */
	uint64_t turn_end;	      /* up to this count of instructions (clock.insns) */
	const exit_handler *handlers; /* EXIT_SDM_COUNT, core/handlers.c */
	/* Set by an engine that caches decoded code: guest code on this page was written by the VMM or by the guest. */
	void (*code_written)(struct vcpu *v, gpa_t gpa, unsigned n);
	const struct probe_ops *probes[VM_PROBES_MAX];
	void *probe_args[VM_PROBES_MAX];
	unsigned n_probes;
	uint8_t with_entry, with_exit, with_verdict, with_done; /* bit i: probe i has that member */
	struct vm_end end;
	volatile int stop; /* an enum end_kind, set by vm_stop() and vm_timeout() */
	bool single_step;  /* one instruction a vm_step() */
	/* Run control. exact: where a run is cut, by vm_run_to(), a breakpoint or a kick, is no exit and leaves no
	 * trace: the same exits come at the same instructions however often it is cut. For engines that count them. */
	bool exact;
	struct vm_passed passed;  /* exact: kept by the loop */
	uint64_t moves;		  /* see struct vm_position */
	bool pausing;		  /* in vm_run_to(): */
	struct vm_position until; /* it comes back here */
	volatile int pause;	  /* set by a probe: vm_run_to() and vm_run_slice() come back after this exit */
	struct vm_breaks *breaks; /* NULL: none */
	uint64_t break_serial;	  /* that was given last */
	uint32_t slept;		  /* timer events since everybody sleeps */
	bool fed;	/* a reference in lockstep: its events, and what devices answer, are another machine's */
	bool mem_stale; /* MODE_CAP_REMOTE: mem is older than the last exit */
	uint64_t user_reasons[2]; /* bit n: exits of reason n go to cfg.user first */
	uint64_t slice_end_ns; /* host time (cfg.host->now_ns()) at which vm_run_slice() is over; CLOCK_NEVER: none */
	bool ended;
	bool idle;	 /* in a slice: halted, and its next timer is not due */
	bool want_reset; /* a device asked for a reset: the I/O and MMIO handlers then return VERDICT_RESET; vm_reset()
			    clears */
	void *mode_priv;
	void *lock_priv;
};

/* Creates VM, vCPUs at reset state, memory, machine and mode. On failure *out is NULL and nothing leaks. */
enum err vm_create(const struct vm_config *cfg, struct vm **out, struct errmsg *why) MUST_CHECK;
void vm_destroy(struct vm *vm);
enum err vm_add_probe(struct vm *vm, const struct probe_ops *ops, void *arg) MUST_CHECK;
void vm_remove_probe(struct vm *vm, const void *arg);
/* Who changed probes, probe_args or n_probes by himself says so. */
void vm_probes_changed(struct vm *vm);
/* Is on_done of arg's probe called? At first it is. */
void vm_probe_done(struct vm *vm, const void *arg, bool on);
/* Runs until the guest ends, a limit is reached or vm_stop(). vm->end says which. After a stop, a timeout or a limit
 * it may be called again and goes on. */
enum err vm_run(struct vm *vm);
/* Several VMs share a CPU: the same up to the host time until_ns, or until the guest is halted and nothing can be done
 * for it yet. */
enum slice_result { SLICE_OVER, SLICE_IDLE, SLICE_ENDED };
enum slice_result vm_run_slice(struct vm *vm, uint64_t until_ns);
/* As vm_run(), but comes back as well when to is reached (to->ended: only when it has ended), when vm->pause is set,
 * and (vm->idle) now and then while everybody sleeps. Virtual time, or an engine that counts instructions. */
enum err vm_run_to(struct vm *vm, const struct vm_position *to);
void vm_position(const struct vm *vm, struct vm_position *out);
/* In vm_run_to(): is it where it was asked to go? */
bool vm_pause_reached(const struct vm *vm);
/* One exit: run, handle, apply, up to the lockstep point. ERR_OK also when the VM ended by it (vm->ended). v NULL: of
 * the vCPU whose turn it is. */
enum err vm_step_exit(struct vm *vm, struct vcpu *v);
/* One guest instruction (MODE_CAP_STEP_INSN), or the exit it caused. v as above. */
enum err vm_step_insn(struct vm *vm, struct vcpu *v);
/* A stop, a timeout and a limit are pauses: whoever calls vm_run() again goes on. */
bool vm_may_resume(const struct vm *vm);
void vm_stop(struct vm *vm);	/* end.kind "stopped"; async-signal-safe */
void vm_timeout(struct vm *vm); /* end.kind "timeout"; async-signal-safe */
void vm_reset(struct vm *vm);
/* For a backend whose processor, or the kernel on it, cannot lend a guest PCIDs and INVPCID: its CPUs have neither. */
void vm_without_pcid(struct vm *vm);
/* Ends the machine; the first reason wins. Safe from device code. */
void vm_kill(struct vm *vm, enum end_kind kind, uint32_t code, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* What the VMM does about an exit when nobody else wants it, up to the verdict. */
enum verdict vm_handle_exit(struct vcpu *v, struct vm_exit *e);
/* Fail-stop: dumps the last exits to the host's log and ends the machine with end.kind "bug". */
void vm_fail_stop(struct vm *vm, struct vcpu *v, const struct vm_exit *e);

/* Virtual time: no instruction has retired for long, since exceptions raise each other. Guest time goes on all the
 * same, and it is another CPU's turn. */
void vm_pass_stall(struct vm *vm);
/* So many exceptions in a row, with no instruction between them, are a stall: it is looked for where they are
 * delivered, in the engine, and where they exit, in the loop. */
#define VM_BARREN_MAX 1000u

/* IGNNE# was asserted: a frozen CPU goes on. */
void vcpu_thaw(struct vcpu *v);

/* Injects without the loop's own decision (lockstep replay). */
enum err vcpu_inject(struct vcpu *v, const struct x86_event *ev);

static inline void vm_note_passed(struct vm *vm, const struct vm_exit *e)
{
	if (LIKELY(exit_is_hw(e->reason)))
		vm->passed = (struct vm_passed){vm->passed.exits + 1, vm->clock.insns, vm->clock.skipped_ns, vm->ended};
}

#endif
