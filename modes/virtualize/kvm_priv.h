/*
 * What the files of virtualize/II share: the file descriptors, the vCPU's shared page, and where its pending exit
 * stands.
 *
 * A KVM exit for I/O, MMIO or an MSR is only half an instruction: KVM finishes it at the *next* KVM_RUN, with the
 * values that user space left in the shared page. `pending` follows that; kvm_finish() ends it with
 * KVM_RUN + immediate_exit, which is the lockstep point of docs/exit-contract.md.
 */
#ifndef VMSCOPE_MODES_VIRTUALIZE_KVM_PRIV_H
#define VMSCOPE_MODES_VIRTUALIZE_KVM_PRIV_H

#include <linux/kvm.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <time.h>

#include "core/vm.h"

#define KVM_MSRS_MAX 64
#define KVM_CPUID_CHANGES_MAX 64

enum kvm_pending {
	KVM_PENDING_NONE,     /* the guest stands between two instructions */
	KVM_PENDING_UNSERVED, /* an exit was returned; complete() has not been called yet */
	KVM_PENDING_SERVED,   /* results are in the shared page; the next KVM_RUN takes them */
};

/* Where KVM leaves RIP after an OUT; hosts differ, so the first OUT of each kind of code finds out. */
enum kvm_out_rip { OUT_RIP_UNKNOWN, OUT_RIP_AT, OUT_RIP_AFTER };

struct kvm_slot {
	bool present;
	uint64_t gpa, len, flags;
	uint8_t *host;
};

/* A CPUID register that KVM answers otherwise than it was told. */
struct kvm_cpuid_change {
	uint32_t leaf, subleaf;
	unsigned reg; /* 0..3: EAX EBX ECX EDX */
	uint32_t value;
};

struct kvm_vm {
	int dev_fd, vm_fd;
	size_t run_size;
	struct kvm_slot slots[MEM_SLOTS_MAX];
	bool has_sregs2, has_xcrs;
	struct kvm_cpuid_change changes[KVM_CPUID_CHANGES_MAX];
	unsigned n_changes;
	/* As KVM_X86_SET_MSR_FILTER took it: its bitmaps point into msr_allow. */
	struct kvm_msr_filter msr_filter;
	uint8_t msr_allow[4][1024];
	/* The MSRs of struct x86_state that this host's KVM knows. */
	uint32_t n_msrs;
	struct {
		uint32_t index, offset; /* offset into struct x86_state */
	} msrs[KVM_MSRS_MAX];
};

/*
 * A place in the guest's code that does port I/O, as io_locate() found it: most exits come from a few of them, and
 * decoding is a tenth of what an exit costs. Valid while the code bytes there are what they were.
 */
#define KVM_IO_SITES 64u

struct kvm_io_site {
	uint64_t linear, mode_key; /* of rip as KVM shows it */
	const uint8_t *code;	   /* the 8 bytes that begin with the instruction */
	uint64_t bytes;
	uint16_t port;
	uint8_t size, in, back; /* back: rip as KVM shows it - rip of the instruction */
	uint8_t string, rep, imm, addr_size;
};

struct kvm_vcpu {
	int fd;
	struct kvm_run *run; /* shared with the kernel */
	enum kvm_pending pending;
	bool stashed;	    /* the shared page holds an exit that run() has not returned yet */
	uint32_t io_pos;    /* element of a batched REP INS/OUTS that run() returned last */
	uint8_t rep_dir;    /* MMIO under REP: direction of the first access of an iteration */
	bool rep_mmio;	    /* the pending MMIO exit belongs to a REP string instruction */
	bool single_step;   /* as programmed */
	bool debugged;	    /* KVM_SET_GUEST_DEBUG is in force, */
	uint64_t dr[8];	    /* with these breakpoints */
	bool out_done;	    /* the OUT that is being reported was finished already (learn_out_rip) */
	bool entered;	    /* KVM_RUN was called at least once */
	uint64_t exit_rip;  /* as normalised, for the state of an unserved exit */
	uint8_t out_rip[3]; /* enum kvm_out_rip, by code size 16, 32, 64 */
	uint64_t mode_key;  /* paging and segment bits that x86_state_changed() saw last */
	struct kvm_io_site sites[KVM_IO_SITES];
	struct kvm_sregs sregs_seen;	   /* as kvm_sync_in() took them over last */
	uint64_t msr_shadow[KVM_MSRS_MAX]; /* as KVM has them */
	bool msr_refused[KVM_MSRS_MAX];	   /* KVM did not take our value */
	/* kick and timer: written by signal handlers and other threads */
	atomic_int kicked, fired;
	_Atomic pid_t tid; /* thread that runs this vCPU; 0: none yet */
	bool timer_made;
	timer_t timer;
	uint64_t armed_ns; /* guest ns; CLOCK_NEVER: not armed */
};

static inline struct kvm_vm *kvm_of(const struct vm *vm)
{
	return vm->mode_priv;
}

static inline struct kvm_vcpu *kvcpu_of(const struct vcpu *v)
{
	return v->mode_priv;
}

/* kvm.c */
int kvm_ioctl(int fd, unsigned long request, void *arg); /* retries EINTR; -errno */

/* kvm_cpuid.c */
bool kvm_lends_pcid(int dev_fd); /* PCIDs and INVPCID, both */
enum err kvm_cpuid_set(struct vcpu *v, struct errmsg *why);
void kvm_cpuid_learn(struct vcpu *v); /* once the registers are set: some bits follow them */
void kvm_adjust_cpuid(struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* kvm_state.c */
enum err kvm_state_init(struct vm *vm, struct errmsg *why); /* finds the MSRs this host knows */
enum err kvm_get_state(struct vcpu *v);
enum err kvm_set_state(struct vcpu *v);
enum err kvm_flush_regs(struct kvm_vcpu *kv); /* what waits in the shared page, by ioctl */
void kvm_sync_in(struct vcpu *v); /* registers and segments: from the shared page into v->cpu.s, no system call */
enum err kvm_inject(struct vcpu *v, const struct x86_event *ev);
bool kvm_interruptible(struct vcpu *v);

/* kvm_run.c */
enum err kvm_run_vcpu(struct vcpu *v, const struct run_bounds *b, struct vm_exit *e);
enum err kvm_complete(struct vcpu *v, struct vm_exit *e);
enum err kvm_finish(struct vcpu *v); /* to the lockstep point */
enum err kvm_abandon(struct vcpu *v);

/* kvm_debug.c */
enum err kvm_debug_arm(struct vcpu *v, bool single_step); /* before an entry: this step, and vm->breaks */
void kvm_debug_hit(struct vcpu *v);			  /* KVM_EXIT_DEBUG, while there are vm->breaks */

/* kvm_exit.c */
/* Translates what the shared page says into a neutral exit. */
void kvm_exit_translate(struct vcpu *v, struct vm_exit *e);
/* The bytes at a linear address as the guest would fetch them; returns how many could be read. */
size_t kvm_peek(struct vcpu *v, gva_t linear, uint8_t *buf, size_t n);
/* Is the instruction that the host's KVM gave up on one that no CPU has (then #UD is the right answer)? */
bool kvm_exit_is_undefined(struct vcpu *v, const struct vm_exit *e);

/* kvm_timer.c */
enum err kvm_thread_bind(struct vcpu *v); /* this thread runs v from now on */
void kvm_timer_arm(struct vcpu *v, uint64_t deadline_ns);
void kvm_timer_fini(struct vcpu *v);
void kvm_kick(struct vcpu *v);

#endif
