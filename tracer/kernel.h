/*
 * What the host's kernel did with a VM: the kvm:* tracepoints of one vCPU thread, read from a private tracefs instance.
 *
 * A process on /dev/kvm sees only the exits that KVM hands to it. CPUID, control registers, page-table fills and
 * everything else is handled in the kernel, and shows only here. On a host that runs guests on the CPU, kvm_exit fires
 * for each hardware exit; on a kvm_pvm host it never does, and kvm_emulate_insn fires for each instruction instead:
 * that is how "the CPU runs the guest" is measured rather than believed.
 *
 * Needs root and tracefs (mounted on /sys/kernel/tracing when it is not, which is said in `note`). The instance
 * instances/vmscope-PID is removed by close, at exit, on SIGINT, SIGTERM and SIGHUP; one left by a killed process is
 * removed by the next run. One trace a process.
 */
#ifndef VMSCOPE_TRACER_KERNEL_H
#define VMSCOPE_TRACER_KERNEL_H

#include <sys/types.h>

#include "core/err.h"
#include "core/exit.h"

struct kernel_trace;

/* One kind of event as counted: kvm_exit by exit reason, kvm_userspace_exit by KVM's number, the others by name. */
struct kernel_count {
	char event[32];
	uint32_t raw;	 /* the field that tells kinds apart; 0 where there is none */
	uint32_t isa;	 /* kvm_exit: 1 VMX, 2 SVM */
	uint32_t reason; /* SDM exit reason, UINT32_MAX: none corresponds */
	uint64_t count;
};

/* Counts as the tables show them: by SDM reason, with a label. */
struct kernel_row {
	uint32_t reason;
	enum exit_observed observed; /* OBSERVED_KERNEL or OBSERVED_KERNEL_EMULATOR */
	uint64_t count;
};

/*
 * Instructions that the kernel's emulator could not run and answered with #UD, though every CPU has them. A kvm_pvm
 * host does that to user code instead of telling its user: the guest then goes on with a fault that it never made.
 */
struct kernel_refused {
	uint64_t count, rip; /* rip and the rest: of the first */
	uint8_t bytes[15], n_bytes;
	char mnemonic[16];
};

struct kernel_totals {
	uint64_t hardware_exits;  /* kvm_exit */
	uint64_t entries;	  /* kvm_entry */
	uint64_t emulated_insns;  /* kvm_emulate_insn: instructions that the kernel ran in software */
	uint64_t userspace_exits; /* kvm_userspace_exit */
	uint64_t other_exits;	  /* hardware exits that correspond to no SDM reason */
	uint64_t events, lost;	  /* records read; records that the ring buffer dropped */
	uint64_t uncertain_cpuid; /* of the CPUID row: may be the emulator's own look-ups */
	struct kernel_refused refused;
	bool emulates; /* kvm_emulate_insn fired and kvm_exit did not */
};

struct kernel_trace_config {
	pid_t tid;	    /* thread that runs the vCPU; 0: the caller */
	unsigned buffer_kb; /* a CPU; 0: 4096 */
	bool insn_records;  /* kvm_emulate_insn as records too, not only as a count (millions a second on kvm_pvm) */
	/* Each sub-buffer as the kernel gave it, for a trace.dat writer. Called on the reader's thread; may be NULL. */
	void (*on_page)(void *arg, unsigned cpu, const void *page, size_t n);
	void *on_page_arg;
};

/* ERR_NODEV or ERR_PERM: kernel events are not available here; why has the precise reason. */
enum err kernel_trace_open(
    const struct kernel_trace_config *cfg, struct kernel_trace **out, struct errmsg *why) MUST_CHECK;
enum err kernel_trace_start(struct kernel_trace *t, struct errmsg *why) MUST_CHECK;
/* Stops recording and reads what is left; counts are complete after it. */
void kernel_trace_stop(struct kernel_trace *t);
void kernel_trace_close(struct kernel_trace *t);

/* What open did to the system, for a person; "" when nothing. */
const char *kernel_trace_note(const struct kernel_trace *t);
/* The instance directory, where format files of this host are two levels up (events/kvm). */
const char *kernel_trace_dir(const struct kernel_trace *t);
size_t kernel_trace_counts(struct kernel_trace *t, struct kernel_count *out, size_t max);
/* Sorted by reason. On a host that emulates, from kvm_pio, kvm_mmio, kvm_cpuid, kvm_msr, kvm_cr; else from kvm_exit. */
size_t kernel_trace_rows(struct kernel_trace *t, struct kernel_row *out, size_t max);
void kernel_trace_totals(struct kernel_trace *t, struct kernel_totals *out);

/* SDM reason of a kvm_exit record; UINT32_MAX when none corresponds. info1 tells SVM's MSR and I/O kinds apart. */
uint32_t kernel_exit_reason(uint32_t isa, uint32_t raw, uint64_t info1);

/*
 * kvm_cpuid fires for the guest's CPUID, and for the kernel's emulator when it looks the vendor up for itself (leaf 0,
 * subleaf 0). The bytes in kvm_emulate_insn tell them apart. Where those are not recorded, leaf 0 is counted, and
 * counted as uncertain.
 */
enum kernel_insn { KERNEL_INSN_UNKNOWN, KERNEL_INSN_CPUID, KERNEL_INSN_OTHER };
bool kernel_insn_is_cpuid(const uint8_t *bytes, size_t n);
/* Is this kvm_cpuid the guest's? insn: what is being emulated; a CPUID is used up. */
bool kernel_cpuid_counts(enum kernel_insn *insn, bool leaf0, uint64_t *uncertain);

#endif
