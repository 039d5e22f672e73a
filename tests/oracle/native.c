/*
 * The processor's side: a child process that runs the cases of a batch one after the other.
 *
 * Around each instruction stands a frame of machine code, at ORC_PAD, below 4 GiB so that 16- and 32-bit code reaches
 * it: it loads every register, jumps far to the instruction, is jumped to by it, and stores every register. Faults come
 * as signals on a stack of their own; the handler copies what the signal frame says and goes back without sigreturn.
 * FS and GS belong to the case while it runs: nothing here may use thread-local storage before it has FS back.
 *
 * The child may make no system call but read and write on its two pipes and leave (seccomp): whatever an instruction
 * does, it stays in the child.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/oracle/oracle.h"

#define WATCHDOG_MS 20000

/* The frame's data, in the page after its code. Offsets are used by the assembly below. */
struct frame {
	struct orc_state in;  /* 0: fx, 512: gpr, 640: rip, 648: flags, 656, 664: fs_base, gs_base, 672: sel */
	struct orc_state out; /* 688 */
	uint64_t host_rsp;    /* 1376 */
	uint64_t host_fs;     /* 1384 */
	uint64_t target;      /* 1392: jump far: offset, selector */
	uint64_t target_cs;   /* 1400 */
	uint32_t use_fx;      /* 1408 */
	uint32_t use_iret;    /* 1412 */
	uint32_t set_bases;   /* 1416 */
	uint32_t in_flight;   /* 1420 */
	uint32_t mxcsr;	      /* 1424: the host's */
	uint32_t vector, frame_fault;
	uint64_t error, cr2;
};
#define FRAME_ADDR (ORC_PAD + 0x1000)
#define FRAME ((struct frame *)(uintptr_t)FRAME_ADDR)
_Static_assert(sizeof(struct orc_state) == 688 && offsetof(struct frame, host_rsp) == 1376, "see the assembly");
_Static_assert(offsetof(struct frame, use_fx) == 1408 && offsetof(struct frame, in_flight) == 1420, "see the assembly");

/* clang-format off */
__asm__(
	".pushsection .text\n"
	".set F, 0x5a5d1000\n"
	".set I, F\n"
	".set O, F + 688\n"
	".macro orc_gprs_in\n"
	"	mov I+512+8*0, %rax; mov I+512+8*1, %rcx; mov I+512+8*2, %rdx; mov I+512+8*3, %rbx\n"
	"	mov I+512+8*5, %rbp; mov I+512+8*6, %rsi; mov I+512+8*7, %rdi; mov I+512+8*8, %r8\n"
	"	mov I+512+8*9, %r9; mov I+512+8*10, %r10; mov I+512+8*11, %r11; mov I+512+8*12, %r12\n"
	"	mov I+512+8*13, %r13; mov I+512+8*14, %r14; mov I+512+8*15, %r15\n"
	".endm\n"
	"orc_frame_exit:\n" /* first: instructions jump to ORC_PAD itself */
	"	mov %rax, O+512+8*0; mov %rcx, O+512+8*1; mov %rdx, O+512+8*2; mov %rbx, O+512+8*3\n"
	"	mov %rsp, O+512+8*4; mov %rbp, O+512+8*5; mov %rsi, O+512+8*6; mov %rdi, O+512+8*7\n"
	"	mov %r8, O+512+8*8; mov %r9, O+512+8*9; mov %r10, O+512+8*10; mov %r11, O+512+8*11\n"
	"	mov %r12, O+512+8*12; mov %r13, O+512+8*13; mov %r14, O+512+8*14; mov %r15, O+512+8*15\n"
	"	mov %ss, O+672+4\n"
	"	mov F+1376, %rsp\n"
	"	pushfq\n"
	"	pop O+648\n"
	"	pushq $0x202\n"
	"	popfq\n"
	"	mov %es, O+672+0; mov %ds, O+672+6; mov %fs, O+672+8; mov %gs, O+672+10\n"
	"	rdfsbase %rax; mov %rax, O+656\n"
	"	rdgsbase %rax; mov %rax, O+664\n"
	"	xor %eax, %eax\n"
	"	mov %eax, %ds; mov %eax, %es; mov %eax, %fs; mov %eax, %gs\n"
	"	mov $0x2b, %eax; mov %eax, %ss\n"
	"	mov F+1384, %rax; wrfsbase %rax\n"
	"	cmpl $0, F+1408; je orc_frame_resume\n"
	"	fxsave64 O\n"
	"orc_frame_resume:\n"
	"	fninit\n"
	"	ldmxcsr F+1424\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	cld\n"
	"	movl $0, F+1420\n"
	"	ret\n"
	"orc_frame_enter:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp, F+1376\n"
	"	rdfsbase %rax; mov %rax, F+1384\n"
	"	cmpl $0, F+1408; je 1f\n"
	"	fxrstor64 I\n"
	"1:	movl $1, F+1420\n"
	"	mov I+672+0, %es; mov I+672+6, %ds; mov I+672+8, %fs; mov I+672+10, %gs\n"
	"	cmpl $0, F+1416; je 1f\n"
	"	mov I+656, %rax; wrfsbase %rax\n"
	"	mov I+664, %rax; wrgsbase %rax\n"
	"1:	cmpl $0, F+1412; jne 2f\n"
	"	push I+648; popfq\n"
	"	mov I+672+4, %ss\n"
	"	orc_gprs_in\n"
	"	mov I+512+8*4, %rsp\n"
	"	.byte 0x48, 0xff, 0x2c, 0x25; .long F+1392\n" /* jmp far m16:64 */
	"2:	xor %eax, %eax\n"
	"	mov I+672+4, %ax; push %rax; push I+512+8*4; push I+648; push F+1400; push F+1392\n"
	"	orc_gprs_in\n"
	"	iretq\n"
	"orc_frame_end:\n"
	".popsection\n");
/* clang-format on */
extern const uint8_t orc_frame_exit[], orc_frame_resume[], orc_frame_enter[], orc_frame_end[];

static uint8_t *code_alias; /* the code pages, writable */
static struct orc_shared *shared;

static inline __attribute__((always_inline)) void host_segments(void)
{
	/* No AC: the compiler may copy unaligned. */
	__asm__ volatile("pushfq; andl $~0x44000, (%%rsp); popfq" ::: "memory", "cc");
	__asm__ volatile("wrfsbase %0" ::"r"(FRAME->host_fs));
}

#define NO_INSTRUMENTATION __attribute__((no_stack_protector, no_sanitize("address", "undefined")))

NO_INSTRUMENTATION static void copy8(void *to, const void *from, size_t n)
{
	for (size_t k = 0; k < n; k += 8)
		*(volatile uint64_t *)((char *)to + k) = *(const volatile uint64_t *)((const char *)from + k);
}

NO_INSTRUMENTATION static void on_signal(int sig, siginfo_t *si, void *arg)
{
	static const int greg[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8,
	    REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
	const ucontext_t *uc = arg;
	const greg_t *g = uc->uc_mcontext.gregs;
	struct frame *f = FRAME;
	uint64_t v;
	uint16_t sel;

	(void)si;
	if (!f->in_flight) {
		signal(sig, SIG_DFL); /* a bug here: the fault comes again and ends the child */
		return;
	}
	/* DS to GS and their bases are as the instruction left them. */
	__asm__ volatile("rdfsbase %0" : "=r"(v));
	f->out.fs_base = v;
	__asm__ volatile("rdgsbase %0" : "=r"(v));
	f->out.gs_base = v;
	__asm__ volatile("mov %%es, %0" : "=r"(sel));
	f->out.sel[X86_ES] = sel;
	__asm__ volatile("mov %%ds, %0" : "=r"(sel));
	f->out.sel[X86_DS] = sel;
	__asm__ volatile("mov %%fs, %0" : "=r"(sel));
	f->out.sel[X86_FS] = sel;
	__asm__ volatile("mov %%gs, %0" : "=r"(sel));
	f->out.sel[X86_GS] = sel;
	__asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" ::"r"(0));
	host_segments();
	for (unsigned r = 0; r < 16; r++)
		f->out.gpr[r] = (uint64_t)g[greg[r]];
	f->out.rip = (uint64_t)g[REG_RIP];
	f->out.flags = (uint64_t)g[REG_EFL];
	f->out.sel[X86_CS] = (uint16_t)g[REG_CSGSFS];
	f->out.sel[X86_SS] = (uint16_t)((uint64_t)g[REG_CSGSFS] >> 48);
	f->vector = (uint32_t)g[REG_TRAPNO] + 1;
	f->error = (uint64_t)g[REG_ERR];
	f->cr2 = (uint64_t)g[REG_CR2];
	f->frame_fault = f->out.sel[X86_CS] == 0x33 && f->out.rip - ORC_PAD < 0x1000;
	if (f->use_fx && uc->uc_mcontext.fpregs)
		copy8(f->out.fx, uc->uc_mcontext.fpregs, 512);
	__asm__ volatile("mov %0, %%rsp; jmp *%1" ::"r"(f->host_rsp),
	    "r"((uintptr_t)ORC_PAD + (uintptr_t)(orc_frame_resume - orc_frame_exit)));
	__builtin_unreachable();
}

static bool map_all(void)
{
	int rw = PROT_READ | PROT_WRITE, anon = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, fd;
	uintptr_t from = ORC_SCRATCH - 0x100000, to = ORC_CODE + ORC_CODE_SIZE + 0x100000;
	void *code = (void *)(uintptr_t)ORC_CODE, *pad = (void *)(uintptr_t)ORC_PAD;

	/* A reservation keeps the neighbours unmapped. */
	if (mmap((void *)from, to - from, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) !=
	    (void *)from)
		return false;
	fd = memfd_create("code", 0);
	if (fd < 0 || ftruncate(fd, ORC_CODE_SIZE) != 0)
		return false;
	code_alias = mmap(NULL, ORC_CODE_SIZE, rw, MAP_SHARED, fd, 0);
	if (code_alias == MAP_FAILED ||
	    mmap(code, ORC_CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return false;
	close(fd);
	memset(code_alias, 0xcc, ORC_CODE_SIZE);
	if (mmap((void *)(uintptr_t)ORC_SCRATCH, ORC_SCRATCH_SIZE, rw, anon, -1, 0) == MAP_FAILED ||
	    mmap(pad, 0x2000, rw, anon, -1, 0) == MAP_FAILED)
		return false;
	memcpy(pad, orc_frame_exit, (size_t)(orc_frame_end - orc_frame_exit));
	return mprotect(pad, 0x1000, PROT_READ | PROT_EXEC) == 0;
}

static bool sandbox(void)
{
	struct sock_filter filter[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xc000003eu /* x86-64 */, 0, 5),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 4, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 3, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 2, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigaction, 1, 0), /* signal(sig, SIG_DFL): to die */
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

static void catch_signals(void)
{
	static uint8_t alt[65536] __attribute__((aligned(64)));
	static const int sigs[] = {SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGTRAP};
	stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt)};
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	sigaltstack(&ss, NULL);
	for (unsigned k = 0; k < sizeof(sigs) / sizeof(sigs[0]); k++)
		sigaction(sigs[k], &sa, NULL);
}

static void prepare_memory(const struct orc_case *c)
{
	uint8_t *mem = (uint8_t *)(uintptr_t)ORC_SCRATCH;

	memcpy(mem, shared->base, ORC_SCRATCH_SIZE);
	for (unsigned k = 0; k < c->n_patch; k++)
		memcpy(mem + (c->patch[k].off & 0xffff), &c->patch[k].v, c->patch[k].off >> 16);
}

static void enter(void)
{
	uintptr_t at = ORC_PAD + (uintptr_t)(orc_frame_enter - orc_frame_exit);

	((void (*)(void))at)();
}

static void run_once(struct orc_case *c)
{
	struct frame *f = FRAME;
	uint8_t *slot = code_alias + (c->slot - ORC_CODE);

	prepare_memory(c);
	memcpy(slot, c->code, c->n);
	for (unsigned k = 0; k < c->n; k++)
		if (c->f2_for_f3 >> k & 1)
			slot[k] = 0xf2;
	f->in = c->in;
	f->target = c->in.rip;
	f->target_cs = c->in.sel[X86_CS];
	f->use_fx = c->use_fx;
	f->use_iret = (c->in.flags & FLAG_TF) != 0;
	f->set_bases = c->mode == ORC_64;
	f->mxcsr = 0x1f80;
	f->vector = 0;
	f->frame_fault = 0;
	f->error = f->cr2 = 0;
	f->out.sel[X86_CS] = c->in.sel[X86_CS];
	enter();
	memset(slot, 0xcc, c->n);
	if (!f->vector)
		f->out.rip = c->in.rip + c->insn_len;
}

static void run_case(struct orc_case *c)
{
	struct frame *f = FRAME;

	/* A paravirtual kernel meets #GP when it returns to a non-canonical RSP: an interrupt in the wrong place
	 * disturbs the run. What belongs to the instruction comes again. */
	for (unsigned attempt = 0; attempt < 4; attempt++) {
		run_once(c);
		c->disturbed = attempt > 0;
		if (!f->frame_fault)
			break;
	}
	c->nat.s = f->out;
	c->nat.vector = (uint16_t)f->vector;
	c->nat.error = (uint32_t)f->error;
	c->nat.cr2 = f->cr2;
	c->nat.status = f->frame_fault ? ORC_FRAME_FAULT : ORC_DONE;
	c->nat.mem_hash = orc_hash((const uint8_t *)(uintptr_t)ORC_SCRATCH, shared->base);
}

static void child(int in, int out)
{
	char b = 'r';

	if (!map_all())
		b = 'm';
	else if (!orc_ldt_install())
		b = 'l';
	catch_signals();
	if (b == 'r' && !sandbox())
		b = 's';
	if (write(out, &b, 1) != 1 || b != 'r')
		_exit(1);
	while (read(in, &b, 1) == 1) {
		for (uint32_t k = 0; k < shared->n; k++) {
			shared->progress = k;
			run_case(&shared->c[k]);
		}
		memcpy(shared->dump, (void *)(uintptr_t)ORC_SCRATCH, ORC_SCRATCH_SIZE);
		if (write(out, &b, 1) != 1)
			break;
	}
	_exit(0);
}

/* --- the parent's side --- */

static pid_t pid;
static int to_child, from_child;

static bool wait_byte(char *b)
{
	struct pollfd p = {.fd = from_child, .events = POLLIN};

	return poll(&p, 1, WATCHDOG_MS) == 1 && read(from_child, b, 1) == 1;
}

const char *orc_native_start(struct orc_shared *sh)
{
	int down[2], up[2];
	char b = 0;

	shared = sh;
	if (pipe(down) != 0 || pipe(up) != 0)
		return "no pipe";
	pid = fork();
	if (pid == 0) {
		close(down[1]);
		close(up[0]);
		child(down[0], up[1]);
	}
	close(down[0]);
	close(up[1]);
	to_child = down[1];
	from_child = up[0];
	if (pid < 0)
		return "no process";
	if (!wait_byte(&b))
		return "the child did not start";
	switch (b) {
	case 'r':
		return NULL;
	case 'm':
		return "no executable memory at a fixed address here";
	case 'l':
		return "modify_ldt is refused here";
	default:
		return "seccomp is refused here";
	}
}

void orc_native_stop(void)
{
	close(to_child);
	close(from_child);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void orc_native_go(void)
{
	char b = 'g';

	if (write(to_child, &b, 1) != 1)
		return; /* orc_native_wait() notices */
}

bool orc_native_wait(void)
{
	char b;

	if (wait_byte(&b))
		return true;
	orc_native_stop();
	orc_native_start(shared);
	return false;
}
