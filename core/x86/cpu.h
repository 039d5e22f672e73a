/*
 * struct x86_cpu: one processor as the executor sees it. core/x86 knows what ONE instruction means; it is freestanding
 * and is used by emulate (to run everything), and by the VMM itself, in every mode that has guest bytes, to execute one
 * exiting instruction on the guest's behalf (MMIO, INS/OUTS, task switch).
 *
 * Rule of restart: a handler changes architectural state only after everything that can fault or exit has been done.
 * When it returns anything but X86_OK, state is as before the instruction (a REP iteration counts as one instruction;
 * A/D bits and completed iterations stay). What processors do change before a floating-point instruction faults is in
 * docs/FLOAT.md, and so it is here: #XM has its flags in MXCSR, TOP and the tags may have moved in an MMX instruction
 * that meets #XM or faults in its store, FSTP m80 and FBSTP over the end of a page may have written the first 8 bytes.
 */
#ifndef VMSCOPE_CORE_X86_CPU_H
#define VMSCOPE_CORE_X86_CPU_H

#include "core/exit.h"
#include "core/x86/state.h"
#include "core/x86/tlb.h"

struct vm_controls;
struct x86_insn;
struct x86_block;
struct x86_cpu;

enum x86_rc {
	X86_OK = 0,
	X86_FAULT, /* c->fault holds the exception; the caller delivers it (x86_deliver) */
	X86_EXIT,  /* c->exit is filled; nothing else changed */
	X86_STOP,  /* decoded but not executed yet, or a VMM limit: c->stop_reason names it */
	X86_RETRY, /* between a block and its runner only: the code changed under it, look it up again; nothing was done
		    */
};

/* An event to deliver, or that a handler reflects. */
struct x86_event {
	uint8_t vector;
	uint8_t type; /* enum intr_type */
	uint8_t has_error;
	uint8_t insn_len; /* software interrupts and exceptions */
	uint32_t error;
	uint64_t cr2; /* #PF */
	uint64_t dr6; /* #DB: bits to OR into DR6 */
};

/* What the VMM gives the executor. All mandatory. arg is cpu->env_arg. */
struct x86_env {
	/* Host pointer of a 4 KiB page that may be accessed directly, or NULL (device, hole, ROM for writing). */
	uint8_t *(*page)(void *arg, gpa_t gpa, bool write);
	/* Device accesses on the guest's behalf (only called with cpu->ctl == NULL); n is 1, 2, 4, 8. */
	uint64_t (*mmio_read)(void *arg, gpa_t gpa, unsigned n);
	void (*mmio_write)(void *arg, gpa_t gpa, unsigned n, uint64_t v);
	uint64_t (*io_read)(void *arg, uint16_t port, unsigned n);
	void (*io_write)(void *arg, uint16_t port, unsigned n, uint64_t v);
	/* False: #GP. Reached when the MSR does not exit. */
	bool (*rdmsr)(void *arg, uint32_t msr, uint64_t *v);
	bool (*wrmsr)(void *arg, uint32_t msr, uint64_t v);
	void (*cpuid)(void *arg, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
	uint64_t (*tsc)(void *arg); /* guest TSC, offset included */
	/* Code was written: drop decoded blocks of this guest-physical page (only called for pages marked as code). */
	void (*code_written)(void *arg, gpa_t gpa, unsigned n);
	/* No unmasked x87 exception is pending any more, or CR0.NE was set (only called while ferr is set). */
	void (*ferr_dropped)(void *arg);
	void (*cr8_written)(void *arg); /* s.cr8 was loaded; NULL: nobody wants to know */
};

/* Operating mode, for decode and execution. Order matters: >= X86_MODE_PROT has protection. */
enum x86_mode { X86_MODE_REAL, X86_MODE_V86, X86_MODE_PROT, X86_MODE_COMPAT, X86_MODE_LONG64 };

/* Lazy flags: how the last flag-setting instruction left them. Owned by core/x86/flags.h. */
struct x86_lazy {
	uint32_t op;
	uint32_t size;
	uint64_t res, src1, src2;
	uint32_t aux;
};

/* Linear addresses whose accesses run control waits for. */
#define X86_WATCH_MAX 32
struct x86_watch {
	unsigned n;
	struct {
		gva_t lo, hi;
		uint8_t how; /* X86_ACCESS_READ | X86_ACCESS_WRITE */
	} range[X86_WATCH_MAX];
	uint32_t hits; /* bit i: range i was accessed; cleared by whoever looks */
};

struct x86_cpu {
	struct x86_state s; /* s.rflags status bits are stale while lazy.op != 0: x86_flags_sync() */
	struct x86_lazy lazy;
	/* derived by x86_state_changed() */
	uint8_t cpl;	   /* the guest's own (virtual) CPL */
	uint8_t mode;	   /* enum x86_mode */
	uint8_t code_size; /* default operand/address size: 2, 4 or 8 (8 = 64-bit mode: operand default 4, address 8) */
	uint8_t stack_size; /* 2, 4, 8: width of SP used by pushes and pops */
	uint8_t paging;	    /* enum x86_paging in paging.h */
	/* Bit n: an access through segment n needs no check (64-bit mode, or flat 4 GiB and usable); both are 0 while
	 * alignment checking is on. eff_base is what counts: 0 for CS, DS, ES, SS in 64-bit mode. */
	uint8_t flat_read, flat_write;
	uint8_t user; /* TLB index of ordinary accesses: 1 at CPL 3 */
	uint64_t eff_base[X86_SREG_COUNT];
	uint64_t ip_mask;	       /* 0xffff, 0xffffffff or all ones: applied to rip after each instruction */
	const struct vm_controls *ctl; /* NULL: executing for the VMM, nothing exits; may be changed at any time */
	const struct x86_env *env;
	void *env_arg;
	struct vm_exit *exit;	/* filled on X86_EXIT */
	struct x86_event fault; /* filled on X86_FAULT */
	char stop_reason[96];	/* filled on X86_STOP */
	uint64_t insns;		/* retired instructions; a REP iteration counts one */
	uint64_t budget; /* instructions that may still retire in this run: REP loops stop (X86_OK, rip unmoved) at 0 */
	/* Of a block runner (exec.h, "BLOCKS"): the block in execution; the instruction of it that did not return
	 * X86_OK; the value of insns beyond which a block comes back to its runner instead of going on to the next. */
	const struct x86_block *block;
	const struct x86_insn *at;
	uint64_t hop_limit;
	bool block_end; /* set by handlers after which a block must not go on: mode, paging, segment or code changed */
	/* FERR# is asserted: set by the VMM when it handles an x87 exception with CR0.NE clear. A block runner leaves
	 * every instruction to x86_step() then, which clears it. */
	bool ferr;
	bool iret_faulted; /* the fault that is to be delivered is that of an IRET */
	struct {	   /* what x86_debug_before() saw, for x86_debug_after() */
		uint8_t tf, shadow;
		bool keep_rf; /* the instruction loaded RF itself (IRET, task switch) */
		bool no_trap; /* the instruction entered a handler (INT n, SYSCALL): no single-step trap after it */
	} dbg;
	/* Event delivery in progress. ext: EXT bit of error codes, 1 while an event is delivered that is no INT n.
	 * vectoring: a fault in c->fault was met while this event was delivered (reported as IDT-vectoring). */
	uint8_t ext;
	bool vectoring_valid;
	struct x86_event vectoring;
	uint32_t mmio_count; /* device accesses of the current instruction when ctl == NULL */
	struct exit_mmio mmio_last;
	uint32_t apic_id, n_cpus; /* number of this CPU, and how many there are (0: 1): for CPUID */
	bool no_pcid; /* a processor below cannot lend PCIDs and INVPCID: this CPU has neither, and CPUID says so */
	void (*on_insn)(void *arg, const struct x86_insn *i); /* audit; NULL normally. arg is env_arg */
	struct x86_watch *watch;			      /* NULL normally: x86_watch_set() */
	struct x86_tlb tlb;
};

/* Power-on / RESET state [SDM 3A "Processor State After Reset"]; INIT keeps what the SDM says it keeps. */
void x86_reset(struct x86_cpu *c);
void x86_init_signal(struct x86_cpu *c);
/* Call after s was changed from outside (segments, CRs, EFER, flags): recomputes what is derived. Flushes the TLB when
 * paging state changed. */
void x86_state_changed(struct x86_cpu *c);
/* The same without a look at paging: after CS, SS, CPL, RFLAGS.VM or RFLAGS.AC changed. */
void x86_mode_changed(struct x86_cpu *c);
/* c->ctl = ctl; NULL: nothing exits. */
void x86_set_controls(struct x86_cpu *c, const struct vm_controls *ctl);
/* Makes s.rflags complete. */
void x86_flags_sync(struct x86_cpu *c);

/*
 * Executes exactly one instruction (one REP iteration when the REP string instruction is intercepted or device-bound,
 * else up to budget iterations) at cs:rip, with the intercepts of c->ctl. Handles single-step and instruction
 * breakpoints of the guest. On X86_FAULT nothing was delivered yet. Slow path: emulate has its own block runner over
 * the same handlers.
 */
enum x86_rc x86_step(struct x86_cpu *c);

/*
 * Delivers an event through the guest's IDT or IVT [SDM 3A "Interrupt and Exception Handling"]. A fault during delivery
 * is merged: #DF, then triple fault, which is X86_EXIT with EXIT_TRIPLE_FAULT. Exceptions in the exception bitmap (ctl)
 * exit first, with IDT-vectoring information when met during a delivery.
 */
enum x86_rc x86_deliver(struct x86_cpu *c, const struct x86_event *ev);
/*
 * The same for an event that the VMM injects (external interrupts, NMIs and everything it reflects): it does not exit
 * by itself; an exception met during its delivery may. Software interrupts and exceptions have insn_len: s.rip is at
 * the instruction. Blocking by STI and MOV SS ends. CR2, DR6 and DR7.GD are the VMM's to set, as with
 * VMX.
 */
enum x86_rc x86_inject(struct x86_cpu *c, const struct x86_event *ev);

/* Raises: fill c->fault and return X86_FAULT. */
enum x86_rc x86_fault(struct x86_cpu *c, uint8_t vector);
/* An unmasked x87 exception is pending, and a waiting instruction met it: #MF; or, with CR0.NE clear, an exit. */
enum x86_rc x86_x87_error(struct x86_cpu *c);
enum x86_rc x86_fault_ec(struct x86_cpu *c, uint8_t vector, uint32_t error);
enum x86_rc x86_fault_pf(struct x86_cpu *c, gva_t gva, uint32_t error);
/* X86_STOP with a reason for people. */
enum x86_rc x86_stop(struct x86_cpu *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Prepares *c->exit (zeroed, reason, qualification, insn_len, rip = s.rip - insn_len) and returns X86_EXIT; the caller
 * then fills operands. The runner overwrites exit->rip with the address of the instruction in execution, which an
 * access in the middle of one (EPT violation) does not know. */
enum x86_rc x86_exit(struct x86_cpu *c, uint32_t reason, uint64_t qual, unsigned insn_len);

/* Register writes with all architectural checks; used by the instructions and by the VMM's exit handlers alike. */
enum x86_rc x86_set_cr0(struct x86_cpu *c, uint64_t v);
enum x86_rc x86_set_cr3(struct x86_cpu *c, uint64_t v);
enum x86_rc x86_set_cr4(struct x86_cpu *c, uint64_t v);
enum x86_rc x86_set_cr8(struct x86_cpu *c, uint64_t v);
enum x86_rc x86_set_efer(struct x86_cpu *c, uint64_t v);
enum x86_rc x86_set_xcr(struct x86_cpu *c, uint32_t n, uint64_t v);
enum x86_rc x86_set_dr(struct x86_cpu *c, unsigned n, uint64_t v);
enum x86_rc x86_get_dr(struct x86_cpu *c, unsigned n, uint64_t *v);
void x86_invlpg(struct x86_cpu *c, gva_t gva);
/* INVPCID with its operands, #GP included; and what comes before its memory operand: #UD, #GP of the CPL, the exit. */
enum x86_rc x86_invpcid(struct x86_cpu *c, uint64_t type, uint64_t pcid, gva_t la);
enum x86_rc x86_invpcid_exits(struct x86_cpu *c, const struct x86_insn *i);

/* The MSRs that are plain CPU state (FS/GS base, STAR, EFER, PAT, SYSENTER, MTRR, ...). False: no such MSR or bad value
 * (#GP). Everything the machine owns (TSC is clock + offset) comes through env. */
bool x86_rdmsr(struct x86_cpu *c, uint32_t msr, uint64_t *v);
bool x86_wrmsr(struct x86_cpu *c, uint32_t msr, uint64_t v);
/* The one CPUID model of the project, for all modes. OSXSAVE follows c->s. */
void x86_cpuid(const struct x86_cpu *c, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
/* Does this CPU give less in the leaf than the model, because a processor below lacks it? */
bool x86_cpuid_lacks(const struct x86_cpu *c, uint32_t leaf);
size_t x86_cpuid_leaves(
    uint32_t leaves[][2], size_t max); /* every leaf/subleaf that the model defines: for KVM_SET_CPUID2 */

/* Address translation without side effects (no A/D update, no TLB fill), for debuggers and tests. False: not mapped. */
bool x86_translate(struct x86_cpu *c, gva_t gva, gpa_t *gpa);
/* Copies guest memory by linear address through x86_translate(); returns the bytes copied. */
size_t x86_peek(struct x86_cpu *c, gva_t gva, void *buf, size_t n);
static inline bool x86_canonical(uint64_t la)
{
	return (uint64_t)((int64_t)(la << 16) >> 16) == la;
}

/* Linear address of cs:rip. */
static inline gva_t x86_linear_ip(const struct x86_cpu *c)
{
	gva_t la = c->eff_base[X86_CS] + c->s.rip;

	return c->mode == X86_MODE_LONG64 ? la : (uint32_t)la;
}

unsigned x86_cpl(const struct x86_state *s);

#endif
