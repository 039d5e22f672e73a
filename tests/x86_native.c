/*
 * The native side of the CPU tests: a generated frame around one instruction, and a signal handler. See x86_native.h.
 */
#include "tests/x86_native.h"

#include <cpuid.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define CODE 0x10010000u
#define FRAME ((struct native_frame *)(uintptr_t)(CODE + 4096))
#define LOW_STACK (CODE + 8192 - 64) /* the end of the frame's page; for the 32-bit frame */
#define USER_CS_32 0x23u
#define USER_CS_64 0x33u
#define USER_DS 0x2b
#define RSP 4u
#define AC 0x40000
#define FDP_EXCPTN_ONLY (1u << 6) /* CPUID.(7,0).EBX */
#define ZERO_FCS_FDS (1u << 13)

static uint8_t *code_end;      /* while the frame is generated */
static uint8_t *insn_slot;     /* 16 bytes for the instruction */
static uintptr_t recover_addr; /* 64-bit code: where the signal handler continues */
static bool with_fx;	       /* x87 and SSE state is part of the frame */

static void emit(const char *bytes, unsigned n)
{
	memcpy(code_end, bytes, n);
	code_end += n;
}

static void emit32(uint32_t v)
{
	memcpy(code_end, &v, 4);
	code_end += 4;
}

/* 64-bit code: op reg, [rip + field] */
static void emit_frame(unsigned op, unsigned reg, size_t field)
{
	const uint8_t b[3] = {(uint8_t)(0x48 | (reg & 8) >> 1), (uint8_t)op, (uint8_t)(5 | (reg & 7) << 3)};

	emit((const char *)b, 3);
	emit32((uint32_t)((uintptr_t)FRAME + field - (uintptr_t)(code_end + 4)));
}

/* 32-bit code: op reg, [field] */
static void emit_frame32(unsigned op, unsigned reg, size_t field)
{
	const uint8_t b[2] = {(uint8_t)op, (uint8_t)(5 | reg << 3)};

	emit((const char *)b, 2);
	emit32((uint32_t)((uintptr_t)FRAME + field));
}

/* FXSAVE64 (op 0) or FXRSTOR64 (op 1) of an image in the frame; in 32-bit code FXSAVE and FXRSTOR. */
static void emit_fx(unsigned op, size_t field)
{
	const uint8_t b[4] = {0x48, 0x0f, 0xae, (uint8_t)(5 | op << 3)};

	if (!with_fx)
		return;
	emit((const char *)b, 4);
	emit32((uint32_t)((uintptr_t)FRAME + field - (uintptr_t)(code_end + 4)));
}

static void emit_fx32(unsigned op, size_t field)
{
	const uint8_t b[3] = {0x0f, 0xae, (uint8_t)(5 | op << 3)};

	if (!with_fx)
		return;
	emit((const char *)b, 3);
	emit32((uint32_t)((uintptr_t)FRAME + field));
}

static void emit_slot(void)
{
	insn_slot = code_end;
	memset(code_end, 0x90, 16);
	code_end += 16;
}

static void emit_enter(void)
{
	emit("\x53\x55\x41\x54\x41\x55\x41\x56\x41\x57", 10); /* push rbx rbp r12 r13 r14 r15 */
	emit_frame(0x89, RSP, offsetof(struct native_frame, host_rsp));
	emit_fx(0, offsetof(struct native_frame, fx_host));
}

static void emit_leave(void)
{
	emit_frame(0x8b, RSP, offsetof(struct native_frame, host_rsp));
	emit("\x68\x02\x02\x00\x00\x9d", 6); /* push 0x202; popf: AC must not be set in C */
	emit_fx(1, offsetof(struct native_frame, fx_host));
	emit("\xfc\x41\x5f\x41\x5e\x41\x5d\x41\x5c\x5d\x5b\xc3", 12); /* cld; pop r15 r14 r13 r12 rbp rbx; ret */
}

static void generate_64(void)
{
	emit_enter();
	emit_fx(1, offsetof(struct native_frame, fx_in));
	emit_frame(0xff, 6, offsetof(struct native_frame, in_flags)); /* push */
	emit("\x9d", 1);					      /* popf */
	for (unsigned r = 0; r < 16; r++)
		emit_frame(0x8b, r, offsetof(struct native_frame, in) + 8 * r);
	emit_slot();
	for (unsigned r = 0; r < 16; r++)
		emit_frame(0x89, r, offsetof(struct native_frame, out) + 8 * r);
	emit_frame(0x8b, RSP, offsetof(struct native_frame, host_rsp));
	emit("\x9c", 1);					       /* pushf */
	emit_frame(0x8f, 0, offsetof(struct native_frame, out_flags)); /* pop */
	emit_fx(0, offsetof(struct native_frame, fx_out));
	emit_leave();
	recover_addr = (uintptr_t)code_end;
	emit_leave();
}

static void generate_32(void)
{
	emit_enter();
	emit("\xff\x2d", 2); /* jmp far [far32] */
	emit32((uint32_t)((uintptr_t)FRAME->far32 - (uintptr_t)(code_end + 4)));
	FRAME->far32[0] = (uint32_t)(uintptr_t)code_end;
	FRAME->far32[1] = USER_CS_32;
	emit("\xb8", 1); /* mov eax, USER_DS; mov ds, eax; mov es, eax */
	emit32(USER_DS);
	emit("\x8e\xd8\x8e\xc0\xbc", 5); /* mov esp, LOW_STACK */
	emit32(LOW_STACK);
	emit_fx32(1, offsetof(struct native_frame, fx_in));
	emit_frame32(0xff, 6, offsetof(struct native_frame, in_flags)); /* push */
	emit("\x9d", 1);						/* popf */
	for (unsigned r = 0; r < 8; r++)
		emit_frame32(0x8b, r, offsetof(struct native_frame, in) + 8 * r);
	emit_slot();
	for (unsigned r = 0; r < 8; r++)
		emit_frame32(0x89, r, offsetof(struct native_frame, out) + 8 * r);
	emit("\xbc", 1); /* mov esp, LOW_STACK */
	emit32(LOW_STACK);
	emit("\x9c", 1);						 /* pushf */
	emit_frame32(0x8f, 0, offsetof(struct native_frame, out_flags)); /* pop */
	emit_fx32(0, offsetof(struct native_frame, fx_out));
	emit("\xea", 1); /* jmp far USER_CS_64:next */
	recover_addr = (uintptr_t)code_end + 6;
	emit32((uint32_t)recover_addr);
	emit("\x33\x00", 2);
	emit_leave();
}

static bool probing; /* the first run: a fault of the frame itself means that this system has no 32-bit code segment */

static bool canonical(uint64_t a)
{
	return (uint64_t)((int64_t)(a << 16) >> 16) == a;
}

/*
 * RSP may hold any value while nothing is pushed, but not on every system while the kernel is entered and left: a
 * paravirtual kernel that runs in user mode itself (PVM) meets #GP when it returns to a non-canonical RSP. A timer
 * interrupt is enough: it then looks like a #GP of whatever instruction comes next. Such a run has to be repeated; a
 * #GP that belongs to the instruction comes again.
 */
static bool disturbed(const greg_t *g)
{
	return g[REG_TRAPNO] == 13 && !canonical((uint64_t)g[REG_RSP]);
}

static void on_signal(int sig, siginfo_t *si, void *arg) __asm__("on_signal_in_c");

__attribute__((used)) static void on_signal(int sig, siginfo_t *si, void *arg)
{
	static const int greg[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8,
	    REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
	ucontext_t *uc = arg;
	greg_t *g = uc->uc_mcontext.gregs;

	(void)si;
	if ((uintptr_t)g[REG_RIP] - (uintptr_t)insn_slot > 15) {
		if (!probing && !disturbed(g)) {
			signal(sig, SIG_DFL); /* not the instruction under test: a bug here */
			return;
		}
		probing = false;
	}
	FRAME->repeat = disturbed(g);
	FRAME->fault = (uint64_t)g[REG_TRAPNO] + 1;
	FRAME->error = (uint64_t)g[REG_ERR];
	FRAME->cr2 = (uint64_t)g[REG_CR2];
	for (unsigned r = 0; r < 16; r++)
		FRAME->out[r] = (uint64_t)g[greg[r]];
	FRAME->out_flags = (uint64_t)g[REG_EFL];
	if (with_fx && uc->uc_mcontext.fpregs)
		memcpy(FRAME->fx_out, uc->uc_mcontext.fpregs, sizeof(FRAME->fx_out));
	g[REG_CSGSFS] = (greg_t)(((uint64_t)g[REG_CSGSFS] & ~0xffffull) | USER_CS_64);
	g[REG_RIP] = (greg_t)recover_addr;
	g[REG_RSP] = (greg_t)FRAME->host_rsp; /* canonical, see above */
	g[REG_EFL] &= ~(greg_t)AC;
}

/* The kernel enters a signal handler with AC as the fault left it, and C makes unaligned accesses. */
void signal_entry(int sig, siginfo_t *si, void *arg);
__asm__(".text\nsignal_entry:\n\tpushfq\n\tandl $~0x40000, (%rsp)\n\tpopfq\n\tjmp on_signal_in_c");

static bool map_pages(void)
{
	int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	uintptr_t from = NATIVE_SCRATCH - 65536, to = CODE + 8192 + 65536;

	/* A reservation keeps the neighbours unmapped. */
	if (mmap((void *)from, to - from, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) !=
	    (void *)from)
		return false;
	return mmap((void *)(uintptr_t)NATIVE_SCRATCH, NATIVE_SCRATCH_SIZE, prot, flags, -1, 0) != MAP_FAILED &&
	       mmap((void *)(uintptr_t)CODE, 4096, prot | PROT_EXEC, flags, -1, 0) != MAP_FAILED &&
	       mmap((void *)(uintptr_t)(CODE + 4096), 4096, prot, flags, -1, 0) != MAP_FAILED;
}

static void clean_fx(uint8_t *image)
{
	memset(image, 0, 512);
	image[0] = 0x7f; /* control word 037F */
	image[1] = 3;
	image[24] = 0x80; /* MXCSR 1F80 */
	image[25] = 0x1f;
}

static bool setup(unsigned code_size, const char **why)
{
	static uint8_t alt[65536];
	static const int sigs[] = {SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGTRAP};
	stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt)};
	struct sigaction sa = {.sa_sigaction = signal_entry, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	if (!map_pages()) {
		*why = "no executable memory at a fixed address here";
		return false;
	}
	sigaltstack(&ss, NULL);
	for (unsigned k = 0; k < sizeof(sigs) / sizeof(sigs[0]); k++)
		sigaction(sigs[k], &sa, NULL);
	clean_fx(FRAME->fx_in);
	code_end = (uint8_t *)(uintptr_t)CODE;
	if (code_size == 8)
		generate_64();
	else
		generate_32();
	probing = true;
	native_run((const uint8_t *)"\x90", 1);
	if (!probing) {
		*why = "a far jump to the 32-bit code segment 0x23 faults: this system runs no 32-bit code";
		return false;
	}
	probing = false;
	return true;
}

bool native_known(const char **why)
{
	unsigned a, b, c, d;

	*why = "what is expected is known of Intel's family 6; this processor is of another vendor";
	if (!__get_cpuid(0, &a, &b, &c, &d) || b != signature_INTEL_ebx || c != signature_INTEL_ecx ||
	    d != signature_INTEL_edx)
		return false;
	*why = "what is expected is known of Intel's family 6; this is another family";
	__get_cpuid(1, &a, &b, &c, &d);
	if ((a >> 8 & 15) != 6)
		return false;
	*why = "what is expected is known of processors that store FCS and FDS as 0; this one is older";
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & FDP_EXCPTN_ONLY) && (b & ZERO_FCS_FDS);
}

bool native_setup(unsigned code_size, const char **why)
{
	return setup(code_size, why);
}

bool native_setup_fx(unsigned code_size, const char **why)
{
	with_fx = true;
	return setup(code_size, why);
}

struct native_frame *native_frame(void)
{
	return FRAME;
}

uintptr_t native_insn_address(void)
{
	return (uintptr_t)insn_slot;
}

void native_run(const uint8_t *insn, unsigned len)
{
	memset(insn_slot, 0x90, 16);
	memcpy(insn_slot, insn, len);
	FRAME->fault = 0;
	FRAME->repeat = 0;
	((void (*)(void))(uintptr_t)CODE)();
}
