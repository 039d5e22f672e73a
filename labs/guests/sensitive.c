/*
 * sensitive: every row of core/sensitive.def, executed once by the kernel at CPL 0 and once by a program at CPL 3. Each
 * line says what came of it: a value that the guest can be sure of, "ran", or the vector of the exception. Where user
 * and kernel see different values and no exception, nothing trapped: that is what made x86 hard to virtualize. Run it
 * with --controls deprivileged, and see the kernel's own column change; with --controls umip, and see what UMIP
 * repairs.
 *
 * The list of tries is made from sensitive.def itself: a row without a try does not link.
 */
#include "lib/rt.h"

#define KERNEL_CS 0x08
#define USER_DATA 0x23
#define TSS_SELECTOR 0x30
#define GATE_SELECTOR 0x40
#define SCRATCH 0x3ff
#define VECTOR_USER_DONE 0x2f
#define VECTOR_TRY_INT 0x2e

extern uint64_t run_stack;
extern const uint8_t run_resume[], gate_target[], try_syscall_entry[];
void run_kernel(void (*fn)(void));
void run_user(void (*fn)(void), uint64_t stack);
void try_call_gate(void);
void try_jump_far(void);
void try_return_far(void);
void try_iret(void);
void try_sysret(void);

/* What a try leaves behind. A user-mode try writes it itself: all memory is mapped for user mode. */
volatile uint64_t result;
volatile uint8_t result_valid;
static volatile int result_vector;
static volatile uint32_t ticks;
static bool has_xsave, has_pcid, has_smap, has_monitor, has_rdtscp;

static uint64_t gdt[12];
static struct {
	uint32_t reserved;
	uint64_t rsp[3], reserved2, ist[7], reserved3;
	uint16_t reserved4, io_base;
} __attribute__((packed, aligned(16))) tss;
static struct table_pointer gdt_pointer;
static uint8_t trap_stack[4096] __attribute__((aligned(16)));
static uint8_t user_stack[4096] __attribute__((aligned(16)));
static uint8_t bytes[8];

static void value(uint64_t v)
{
	result = v;
	result_valid = 1;
}

/* --- The tries, one a row ------------------------------------------------------------------------------------------
 */

static void try_SGDT(void)
{
	struct table_pointer t = {0, 0};
	__asm__ volatile("sgdt %0" : "=m"(t));
	value(t.limit == gdt_pointer.limit && t.base == gdt_pointer.base); /* 1: the kernel's own table */
}
static void try_SIDT(void)
{
	struct table_pointer t = {0, 0};
	__asm__ volatile("sidt %0" : "=m"(t));
	value(t.limit == idt_pointer.limit && t.base == idt_pointer.base);
}
static void try_SLDT(void)
{
	uint64_t v = 0;
	__asm__ volatile("sldt %0" : "=r"(v));
	value(v);
}
static void try_SMSW(void)
{
	uint64_t v = 0;
	__asm__ volatile("smsw %0" : "=r"(v));
	value(v & 1); /* PE */
}
static uint64_t flags(void)
{
	uint64_t v;
	__asm__ volatile("pushfq; popq %0" : "=r"(v));
	return v;
}
static void try_PUSHF(void)
{
	value(flags() & 0x3200); /* IF, IOPL */
}
/* Asks for IF = 1 - IF: at CPL 0 it happens, at CPL 3 it silently does not. 1: it did. */
static void try_POPF(void)
{
	uint64_t before = flags();
	__asm__ volatile("pushq %0; popfq" : : "r"(before ^ 0x200) : "cc");
	value(((flags() ^ before) & 0x200) >> 9);
	__asm__ volatile("pushq %0; popfq" : : "r"(before) : "cc");
}
#define TRY_DESCRIPTOR(name, insn, mask)                                                                 \
	static void try_##name(void)                                                                     \
	{                                                                                                \
		uint64_t v = 0;                                                                          \
		uint8_t visible;                                                                         \
		__asm__ volatile(insn " %2, %0; setz %1" : "+r"(v), "=q"(visible) : "r"(0x10ul) : "cc"); \
		value(visible ? v &(mask) : 0);                                                          \
	}
/* Bits 19:16 of what LAR gives are undefined [SDM 2A "LAR - Load Access Rights Byte"]. */
TRY_DESCRIPTOR(LAR, "larq", 0xf0ff00)
TRY_DESCRIPTOR(LSL, "lslq", UINT64_MAX)
#define TRY_VERIFY(name, insn)                                                         \
	static void try_##name(void)                                                   \
	{                                                                              \
		uint8_t yes;                                                           \
		__asm__ volatile(insn " %w1; setz %0" : "=q"(yes) : "r"(0x10) : "cc"); \
		value(yes);                                                            \
	}
TRY_VERIFY(VERR, "verr")
TRY_VERIFY(VERW, "verw")
static void try_POP_SREG(void)
{
	__asm__ volatile("pushq $0x10; popq %%fs" : : : "memory"); /* the kernel's data segment */
	__asm__ volatile("movw %w0, %%fs" : : "r"(0));
}
static void try_PUSH_SREG(void)
{
	uint64_t v;
	__asm__ volatile("movw %w1, %%fs; pushq %%fs; popq %0; movw %w2, %%fs" : "=r"(v) : "r"(USER_DATA), "r"(0));
	value((uint16_t)v);
}
#define try_CALL_FAR try_call_gate
#define try_JMP_FAR try_jump_far
#define try_RET_FAR try_return_far
static void try_INT_N(void)
{
	__asm__ volatile("int $0x2e" : : : "memory"); /* its handler leaves the CS it found itself in */
}
static void try_STR(void)
{
	uint64_t v = 0;
	__asm__ volatile("str %0" : "=r"(v));
	value(v);
}
static void try_MOV_SREG(void)
{
	uint64_t v;
	__asm__ volatile("movq %%cs, %0" : "=r"(v));
	value(v);
}
#define try_IRET try_iret
static void try_LOAD_POINTER(void)
{
	static const struct {
		uint32_t offset;
		uint16_t selector;
	} __attribute__((packed)) pointer = {0, 0x10};
	uint32_t v;
	__asm__ volatile("lfs %1, %0" : "=r"(v) : "m"(pointer));
	__asm__ volatile("movw %w0, %%fs" : : "r"(0));
}
static void try_SYSCALL(void)
{
	__asm__ volatile("syscall" : : : "rcx", "r11", "memory");
}
static void try_CPUID(void)
{
	uint32_t a = 0;
	uint32_t c = 0;
	__asm__ volatile("cpuid" : "+a"(a), "+c"(c) : : "rbx", "rdx");
}
static void try_RDTSC(void)
{
	__asm__ volatile("rdtsc" : : : "rax", "rdx");
}
static void try_RDTSCP(void)
{
	__asm__ volatile("rdtscp" : : : "rax", "rcx", "rdx");
}
static void try_XGETBV(void)
{
	uint32_t a;
	uint32_t d;
	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	value(a & 1); /* x87 state: always on */
}
static void try_LGDT(void)
{
	__asm__ volatile("lgdt %0" : : "m"(gdt_pointer));
}
static void try_LIDT(void)
{
	__asm__ volatile("lidt %0" : : "m"(idt_pointer));
}
static void try_LLDT(void)
{
	__asm__ volatile("lldt %w0" : : "r"(0));
}
static void try_LTR(void)
{
	gdt[TSS_SELECTOR / 8] &= ~(2ul << 40); /* not busy, or it could not be loaded again */
	__asm__ volatile("ltr %w0" : : "r"(TSS_SELECTOR) : "memory");
}
static void try_LMSW(void)
{
	__asm__ volatile("lmsw %w0" : : "r"(1)); /* PE is set already; MP, EM, TS are cleared */
}
static void try_CLTS(void)
{
	__asm__ volatile("clts");
}
#define TRY_READ(name, reg, mask)                                 \
	static void try_##name(void)                              \
	{                                                         \
		uint64_t v;                                       \
		__asm__ volatile("movq %%" reg ", %0" : "=r"(v)); \
		value(v &(mask));                                 \
	}
#define TRY_REWRITE(name, reg)                                                                       \
	static void try_##name(void)                                                                 \
	{                                                                                            \
		__asm__ volatile("movq %%" reg ", %%rax; movq %%rax, %%" reg : : : "rax", "memory"); \
	}
TRY_REWRITE(MOV_TO_CR0, "cr0")
TRY_REWRITE(MOV_TO_CR3, "cr3")
TRY_REWRITE(MOV_TO_CR4, "cr4")
TRY_REWRITE(MOV_TO_CR8, "cr8")
TRY_REWRITE(MOV_TO_CR2, "cr2")
TRY_READ(MOV_FROM_CR3, "cr3", 0xfff)
TRY_READ(MOV_FROM_CR8, "cr8", 0xf)
TRY_READ(MOV_FROM_CR0, "cr0", 0x80000001)
TRY_READ(MOV_DR, "db7", 0x400)
static void try_HLT(void)
{
	pit_start(0, 1193); /* somebody has to wake us */
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}
static void try_user_HLT(void)
{
	__asm__ volatile("hlt");
}
static void try_INVD(void)
{
	__asm__ volatile("invd" : : : "memory");
}
static void try_WBINVD(void)
{
	__asm__ volatile("wbinvd" : : : "memory");
}
static void try_INVLPG(void)
{
	__asm__ volatile("invlpg (%0)" : : "r"(0x130000ul) : "memory");
}
static void try_INVPCID(void)
{
	static const uint64_t descriptor[2];
	__asm__ volatile("invpcid %0, %1" : : "m"(descriptor), "r"(2ul) : "memory"); /* 2: everything */
}
static void try_RDMSR(void)
{
	uint32_t a;
	__asm__ volatile("rdmsr" : "=a"(a) : "c"(0xc0000080) : "rdx");
	value(a & 0x500); /* EFER: LME, LMA */
}
static void try_WRMSR(void)
{
	__asm__ volatile("wrmsr" : : "c"(0xc0000102), "a"(0), "d"(0)); /* KERNEL_GS_BASE */
}
static void try_RDPMC(void)
{
	__asm__ volatile("rdpmc" : : "c"(0x3fff) : "rax", "rdx"); /* no CPU has so many counters */
}
static void try_XSETBV(void)
{
	__asm__ volatile("xsetbv" : : "a"(1), "d"(0), "c"(0));
}
static void try_MONITOR(void)
{
	__asm__ volatile("monitor" : : "a"(bytes), "c"(0), "d"(0));
}
static void try_MWAIT(void)
{
	bytes[1] = 1; /* what MONITOR watches: do not sleep */
	__asm__ volatile("mwait" : : "a"(0), "c"(0) : "memory");
}
static void try_CLI(void)
{
	__asm__ volatile("cli");
	value(flags() >> 9 & 1);
}
static void try_STI(void)
{
	__asm__ volatile("sti");
	value(flags() >> 9 & 1);
	__asm__ volatile("cli");
}
static void try_IN(void)
{
	value(in8(SCRATCH));
}
static void try_OUT(void)
{
	out8(SCRATCH, 0x5a);
}
static void try_INS(void)
{
	void *p = bytes;
	__asm__ volatile("insb" : "+D"(p) : "d"(SCRATCH) : "memory");
	value(bytes[0]);
}
static void try_OUTS(void)
{
	const void *p = bytes;
	__asm__ volatile("outsb" : "+S"(p) : "d"(SCRATCH) : "memory");
}
static void try_SWAPGS(void)
{
	__asm__ volatile("swapgs; swapgs" : : : "memory");
}
#define try_SYSRET try_sysret
static void try_CLAC(void)
{
	__asm__ volatile("clac");
}
static void try_STAC(void)
{
	__asm__ volatile("stac; clac");
}
/* Intel and AMD differ in 64-bit code: no answer would be the same on every host. */
static void try_SYSENTER(void)
{
}
static void try_SYSEXIT(void)
{
}

/* --- Running them --------------------------------------------------------------------------------------------------
 */

static const struct row {
	const char *name;
	void (*fn)(void);
} rows[] = {
#define SENSITIVE(name, form, ids, sub, group, sens, priv, umip, control, sentence, source) {#name, try_##name},
#include "core/sensitive.def"
#undef SENSITIVE
};

/* Back to the kernel, whatever state the try was in. */
static void resume_kernel(struct trap_frame *f)
{
	f->rip = (uint64_t)run_resume;
	f->cs = KERNEL_CS;
	f->ss = 0x10;
	f->rsp = run_stack;
	f->rflags = 2;
}

static void on_exception(struct trap_frame *f)
{
	result_vector = (int)f->vector;
	resume_kernel(f);
}

static void on_try_int(struct trap_frame *f)
{
	(void)f;
	uint64_t cs;
	__asm__("movq %%cs, %0" : "=r"(cs));
	value(cs);
}

static void on_tick(struct trap_frame *f)
{
	(void)f;
	ticks++;
	pic_eoi();
}

static void print_result(void)
{
	if (result_vector >= 0) {
		put("#");
		put_dec((uint32_t)result_vector);
	} else if (result_valid) {
		put_hex((uint32_t)result);
	} else {
		put("ran");
	}
}

static const char *absent(void (*fn)(void))
{
	if (fn == try_SYSENTER || fn == try_SYSEXIT)
		return "not tried: vendors differ";
	if ((fn == try_MONITOR || fn == try_MWAIT) && !has_monitor)
		return "not on this CPU";
	if ((fn == try_XSETBV || fn == try_XGETBV) && !has_xsave)
		return "not on this CPU";
	if ((fn == try_CLAC || fn == try_STAC) && !has_smap)
		return "not on this CPU";
	if (fn == try_INVPCID && !has_pcid)
		return "not on this CPU";
	if (fn == try_RDTSCP && !has_rdtscp)
		return "not on this CPU";
	return NULL;
}

static void clear_result(void)
{
	result = 0;
	result_valid = 0;
	result_vector = -1;
}

static void try_row(const struct row *r)
{
	put(r->name);
	const char *why = absent(r->fn);
	if (why) {
		put(": ");
		put(why);
		put_char('\n');
		return;
	}
	clear_result();
	run_kernel(r->fn);
	put(": kernel ");
	print_result();
	clear_result();
	run_user(r->fn == try_HLT ? try_user_HLT : r->fn, (uint64_t)(user_stack + sizeof(user_stack)));
	put(", user ");
	print_result();
	put_char('\n');
}

/* --- Setting up ----------------------------------------------------------------------------------------------------
 */

static uint64_t system_descriptor(uint64_t base, uint32_t limit)
{
	return (uint64_t)limit | (base & 0xffffff) << 16 | 0x89ul << 40 | (base >> 24 & 0xff) << 56;
}

static void gdt_init(void)
{
	uint64_t gate = (uint64_t)gate_target;
	uint64_t base = (uint64_t)&tss;
	gdt[1] = 0x00af9b000000ffff; /* 0x08 kernel code */
	gdt[2] = 0x00cf93000000ffff; /* 0x10 kernel data */
	gdt[3] = 0x00cffb000000ffff; /* 0x18 user code, 32 bits (SYSRET counts from here) */
	gdt[4] = 0x00cff3000000ffff; /* 0x20 user data */
	gdt[5] = 0x00affb000000ffff; /* 0x28 user code */
	gdt[6] = system_descriptor(base, sizeof(tss) - 1);
	gdt[7] = base >> 32;
	gdt[8] = (gate & 0xffff) | (uint64_t)KERNEL_CS << 16 | 0xecul << 40 | (gate >> 16 & 0xffff) << 48; /* DPL 3 */
	gdt[9] = gate >> 32;
	gdt_pointer = (struct table_pointer){sizeof(gdt) - 1, (uint64_t)gdt};
	tss.rsp[0] = (uint64_t)(trap_stack + sizeof(trap_stack));
	tss.io_base = sizeof(tss); /* no I/O bitmap: ports are for IOPL only */
	try_LGDT();
	try_LTR();
	try_LLDT();
}

static void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

static void syscall_init(void)
{
	uint32_t a;
	uint32_t d;
	__asm__ volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(0xc0000080));
	wrmsr(0xc0000080, a | 1);				     /* EFER.SCE */
	wrmsr(0xc0000081, 0x18ul << 48 | (uint64_t)KERNEL_CS << 32); /* STAR */
	wrmsr(0xc0000082, (uint64_t)try_syscall_entry);		     /* LSTAR */
	wrmsr(0xc0000084, 0x200);				     /* FMASK: IF */
}

static void features(void)
{
	uint32_t a = 1;
	uint32_t b;
	uint32_t c = 0;
	uint32_t d;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	has_xsave = c >> 26 & 1;
	has_monitor = c >> 3 & 1;
	a = 7;
	c = 0;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	has_pcid = b >> 10 & 1;
	has_smap = b >> 20 & 1;
	a = 0x80000001;
	c = 0;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	has_rdtscp = d >> 27 & 1;
	if (has_xsave) {
		uint64_t cr4;
		__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
		__asm__ volatile("movq %0, %%cr4" : : "r"(cr4 | 1ul << 18)); /* OSXSAVE */
	}
}

void guest_main(void)
{
	idt_init();
	for (unsigned v = 0; v < 32; v++)
		trap_set(v, on_exception);
	trap_set(0x20, on_tick);
	trap_set(VECTOR_TRY_INT, on_try_int);
	trap_set(VECTOR_USER_DONE, resume_kernel);
	trap_allow_user(VECTOR_TRY_INT);
	trap_allow_user(VECTOR_USER_DONE);
	gdt_init();
	features();
	syscall_init();
	pic_init(1);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		try_row(&rows[i]);
}
