/*
 * hostile: a guest that does what a VMM must survive. Resource control is the property under test: whatever this guest
 * does, the VMM keeps the machine, and a guest beside it (witness.c) computes the same result as if it were alone.
 *
 * Parameters:  what=triple    an exception without a gate for it or for #DF: triple fault, the guest ends
 *              what=vmcall    n hypercalls that no VMM defines
 *              what=memory    writes all over the physical space, then looks what became of it
 *              what=vmx       tries to become a hypervisor itself
 *              what=msrs      RDMSR and WRMSR of every number that an MSR bitmap covers
 *              what=ports     IN from all 65536 ports, OUT to them
 *              what=cr8       MOV to and from CR8
 *              what=timer     the local APIC's timer in modes and with periods that nobody means
 *              what=spin      interrupts off, and never again an instruction that exits: ended by a limit only
 *              n=1000         how often (vmcall)
 *
 * What it prints depends on the machine that the VMM presents (--mem, the CPU model), never on time or on the backend.
 * Read lib/rt.h first.
 */
#include "lib/rt.h"

#define VEC_UD 6
#define VEC_GP 13
#define GIB (1ul << 30)
#define MIB (1ul << 20)
#define PAGE 4096ul

/* ---- instructions that may fault ---- */

volatile uint64_t fault_resume; /* where the handler continues */
static volatile uint32_t fault_vector;

static void on_fault(struct trap_frame *f)
{
	fault_vector = (uint32_t)f->vector;
	f->rip = fault_resume;
}

/* The instruction at hand; fault_vector tells its exception, 0 is none. */
#define ATTEMPT(instruction, ...)                                                              \
	do {                                                                                   \
		fault_vector = 0;                                                              \
		__asm__ volatile("movq $1f, fault_resume\n\t" instruction "\n1:" __VA_ARGS__); \
	} while (0)

static void faults_init(void)
{
	idt_init();
	trap_set(VEC_UD, on_fault);
	trap_set(VEC_GP, on_fault);
}

/* ---- how lines are made ---- */

static void say(uint32_t n, const char *text)
{
	put_char(' ');
	put_dec(n);
	put_char(' ');
	put(text);
}

static void say_vector(const char *name)
{
	put(name);
	if (fault_vector == VEC_UD)
		put(" #UD\n");
	else if (fault_vector == VEC_GP)
		put(" #GP\n");
	else
		put(" no exception\n");
}

/* ---- triple fault, spin ---- */

static void do_triple(void)
{
	static const struct table_pointer nothing; /* limit 0: no gate for the exception, nor for #DF */

	put("triple: now\n");
	__asm__ volatile("lidt %0; ud2" : : "m"(nothing));
}

/* Nothing here exits by itself, and interrupts do not reach the guest: only the VMM's own timer gets the CPU back. */
static void do_spin(void)
{
	put("spin: now\n");
	__asm__ volatile("cli\n1:\tjmp 1b");
}

/* ---- hypercalls ---- */

static void do_vmcall(void)
{
	uint32_t n = arg("n", 1000);
	uint32_t refused = 0;
	uint32_t undefined = 0;

	faults_init();
	for (uint32_t i = 0; i < n; i++) {
		uint64_t a = 0x7fff0000u + i;

		ATTEMPT("vmcall", : "+a"(a) : "b"(0), "c"(0), "d"(0), "S"(0) : "memory");
		refused += fault_vector == 0 && a == (uint64_t)-1000;
		undefined += fault_vector == VEC_UD;
	}
	put("vmcall:");
	say(n, "calls,");
	say(refused, "refused,");
	say(undefined, "#UD\n");
}

/* ---- memory ---- */

extern uint8_t image_end[];

static uint64_t window[512] __attribute__((aligned(4096))); /* the page directory of the 5th GiB of linear addresses */
#define WINDOW (4 * GIB)

/* A physical address as this guest can reach it: below 4 GiB it is the linear one; above, a 2 MiB page is moved. */
static volatile uint64_t *at(uint64_t pa)
{
	uint64_t *pdpt = (uint64_t *)(pml4[0] & ~0xffful);

	if (pa < 4 * GIB)
		return (volatile uint64_t *)pa;
	pdpt[4] = (uint64_t)window | 3;
	window[0] = (pa & ~(2 * MIB - 1)) | 0x83;
	__asm__ volatile("invlpg (%0)" : : "r"(WINDOW) : "memory");
	return (volatile uint64_t *)(WINDOW + (pa & (2 * MIB - 1)));
}

static uint64_t pattern(uint64_t pa)
{
	return pa * 0x9e3779b97f4a7c15ul + 0x686f7374696c65ul;
}

/* MOV with one register and no more: the form that any VMM's instruction decoder has to know. */
static void store(uint64_t pa)
{
	__asm__ volatile("movq %0, (%1)" : : "r"(pattern(pa)), "r"(at(pa)) : "memory");
}

static uint64_t load(uint64_t pa)
{
	uint64_t v;

	__asm__ volatile("movq (%1), %0" : "=r"(v) : "r"(at(pa)) : "memory");
	return v;
}

struct span {
	const char *name;
	uint64_t from, to, step;
	bool inexact; /* how many pages they are depends on the compiler: not printed */
};

static void store_span(const struct span *s)
{
	for (uint64_t pa = s->from; pa < s->to; pa += s->step)
		store(pa);
}

/* What a second look finds: the pattern of this address, all ones, or something else. */
static void report_span(const struct span *s)
{
	uint32_t kept = 0;
	uint32_t ones = 0;
	uint32_t other = 0;

	for (uint64_t pa = s->from; pa < s->to; pa += s->step) {
		uint64_t v = load(pa);

		if (v == pattern(pa))
			kept++;
		else if (v == ~0ul)
			ones++;
		else
			other++;
	}
	put("memory ");
	put(s->name);
	put_char(':');
	if (s->inexact && !ones && !other) {
		put(" all kept\n");
		return;
	}
	say(kept + ones + other, "written,");
	say(kept, "kept,");
	say(ones, "all ones,");
	say(other, "else\n");
}

static uint8_t low_memory[0xa0000]; /* the loader's information lies there: the command line is needed to the end */

static void copy(uint8_t *to, const volatile uint8_t *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = from[i];
}

/* RAM ends where a store is lost. */
static uint64_t find_ram_end(uint64_t pa)
{
	for (; pa < 3 * GIB; pa += PAGE) {
		store(pa);
		if (load(pa) != pattern(pa))
			break;
	}
	return pa;
}

static void do_memory(void)
{
	uint64_t own_end = ((uint64_t)image_end + PAGE - 1) & ~(PAGE - 1);
	uint8_t *zero;

	__asm__("xorl %k0, %k0" : "=r"(zero)); /* address 0 is memory here; the compiler need not know */
	copy(low_memory, zero, sizeof(low_memory));
	uint64_t ram_end = find_ram_end(own_end);
	const struct span spans[] = {
	    {"below a0000", 0, 0xa0000, PAGE, false},
	    {"vga", 0xa0000, 0xc0000, PAGE, false},
	    {"rom", 0xc0000, MIB, PAGE, false},
	    {"behind this program", own_end, 4 * MIB, PAGE, true},
	    {"ram from 4 MiB", 4 * MIB, ram_end, PAGE, false},
	    {"behind ram", ram_end, 3 * GIB, 2 * MIB + PAGE, false},
	    {"pci window", 3 * GIB, 4 * GIB, MIB, false},
	    {"last page below 4 GiB", 4 * GIB - PAGE, 4 * GIB, PAGE, false},
	    {"4 GiB", 4 * GIB, 4 * GIB + 2 * MIB, PAGE, false},
	    {"above", 4 * GIB + 2 * MIB, 64 * GIB, 128 * MIB, false},
	};
	const unsigned n = sizeof(spans) / sizeof(spans[0]);

	for (unsigned i = 0; i < n; i++)
		store_span(&spans[i]);
	/* All of it is written before anything is looked at: one place seen under two addresses does not keep both. */
	for (unsigned i = 0; i < n; i++)
		report_span(&spans[i]);
	put("memory: ram ends at ");
	put_hex((uint32_t)ram_end);
	put_char('\n');
	copy(zero, low_memory, sizeof(low_memory));
}

/* ---- a hypervisor below us? ---- */

#define CR4_VMXE (1ul << 13)

static uint64_t vmxon_region[512] __attribute__((aligned(4096)));

static void do_vmx(void)
{
	uint64_t cr4;
	uint64_t pa = (uint64_t)vmxon_region;

	faults_init();
	__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
	ATTEMPT("movq %0, %%cr4", : : "r"(cr4 | CR4_VMXE) : "memory");
	say_vector("vmx: CR4.VMXE");
	__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
	put(cr4 & CR4_VMXE ? "vmx: CR4.VMXE reads 1\n" : "vmx: CR4.VMXE reads 0\n");
	ATTEMPT("vmxon %0", : : "m"(pa) : "memory", "cc");
	say_vector("vmx: VMXON");
	ATTEMPT("vmclear %0", : : "m"(pa) : "memory", "cc");
	say_vector("vmx: VMCLEAR");
	ATTEMPT("vmptrld %0", : : "m"(pa) : "memory", "cc");
	say_vector("vmx: VMPTRLD");
	ATTEMPT("vmread %0, %0", : : "r"(0ul) : "memory", "cc");
	say_vector("vmx: VMREAD");
	ATTEMPT("vmlaunch", : : : "memory", "cc");
	say_vector("vmx: VMLAUNCH");
	ATTEMPT("vmxoff", : : : "memory", "cc");
	say_vector("vmx: VMXOFF");
}

/* ---- model-specific registers ---- */

#define MSR_RANGE 0x2000u /* what one half of an MSR bitmap covers [SDM 3C "MSR-Bitmap Address"] */

static void scan_msrs(uint32_t first)
{
	uint32_t exist = 0;
	uint32_t accepted = 0;
	uint32_t sum = 0;

	for (uint32_t msr = first; msr < first + MSR_RANGE; msr++) {
		uint32_t a = 0;
		uint32_t d = 0;

		ATTEMPT("rdmsr", : "+a"(a), "+d"(d) : "c"(msr));
		if (fault_vector) {
			a = d = 0;
		} else {
			exist++;
			sum = sum * 31 + msr;
		}
		ATTEMPT("wrmsr", : : "a"(a), "d"(d), "c"(msr) : "memory");
		accepted += fault_vector == 0;
	}
	put("msrs ");
	put_hex(first);
	put_char(':');
	say(exist, "readable of");
	say(MSR_RANGE, "(");
	put_hex(sum);
	put("),");
	say(accepted, "writable\n");
}

static void do_msrs(void)
{
	faults_init();
	scan_msrs(0);
	scan_msrs(0xc0000000u);
}

/* ---- ports ---- */

/* Not written: what would end the guest before it can report, and what its report is read from. */
static bool is_spared(uint32_t port)
{
	switch (port) {
	case DEBUG_EXIT:
	case 0x8900: /* Bochs: switches the machine off */
	case UART:   /* console */
	case 0xe9:   /* debug consoles */
	case 0x402:
		return true;
	default:
		return false;
	}
}

/*
 * A zero is no command that resets: 92 and cf9 take a 1 for it, 64 takes fx, and d1 followed by an even byte at 60; 604
 * switches the machine off by bit 13 only.
 */
static void do_ports(void)
{
	uint32_t nobody = 0;
	uint32_t written = 0;

	/* Where no device can be: what the others answer depends on time, for some. */
	for (uint32_t port = 0; port < 0x10000; port++)
		nobody += in8((uint16_t)port) == 0xff && port >= 0x1000;
	for (uint32_t port = 0; port < 0x10000; port++) {
		if (is_spared(port))
			continue;
		out8((uint16_t)port, 0);
		written++;
	}
	out8(UART + 3, 0x03); /* 8N1 again */
	out8(UART + 4, 0x03);
	put("ports:");
	say(0x10000, "read,");
	say(nobody, "of 61440 above fff are ff,");
	say(written, "written\n");
}

/* ---- the task priority ---- */

static void do_cr8(void)
{
	uint32_t same = 0;
	uint64_t v;

	faults_init();
	for (uint64_t i = 0; i < 16; i++) {
		ATTEMPT("movq %0, %%cr8", : : "r"(i) : "memory");
		__asm__ volatile("movq %%cr8, %0" : "=r"(v));
		same += fault_vector == 0 && v == i;
	}
	ATTEMPT("movq %0, %%cr8", : : "r"(16ul) : "memory");
	say_vector("cr8: 16 gives");
	__asm__ volatile("movq %%cr8, %0" : "=r"(v));
	put("cr8:");
	say(same, "of 16 values read back, then it is");
	put_char(' ');
	put_dec((uint32_t)v);
	put_char('\n');
	__asm__ volatile("movq %0, %%cr8" : : "r"(0ul));
}

/* ---- the local APIC's timer ---- */

#define APIC 0xfee00000ul
#define APIC_BASE_EN 0x800u
#define TIMER_VECTOR 0x2fu
#define MASKED 0x10000u
#define MODE_SHIFT 17
#define PERIODIC 1u
#define RESERVED 3u
#define TICKS 100u

enum {
	APIC_EOI = 0xb0,
	APIC_SVR = 0xf0,
	APIC_TIMER = 0x320,
	APIC_INITIAL = 0x380,
	APIC_CURRENT = 0x390,
	APIC_DIVIDE = 0x3e0
};

static volatile uint32_t ticks;

static void apic_write(unsigned reg, uint32_t v)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(v), "r"(APIC + reg) : "memory");
}

static uint32_t apic_read(unsigned reg)
{
	uint32_t v;

	__asm__ volatile("movl (%1), %0" : "=r"(v) : "r"(APIC + reg) : "memory");
	return v;
}

static void on_tick(struct trap_frame *f)
{
	(void)f;
	ticks++;
	apic_write(APIC_EOI, 0);
}

static void apic_on(void)
{
	__asm__ volatile("rdmsr; orl %0, %%eax; wrmsr" : : "i"(APIC_BASE_EN), "c"(0x1b) : "rax", "rdx", "memory");
	apic_write(APIC_SVR, 0x1ff);
	idt_init();
	trap_set(TIMER_VECTOR, on_tick);
}

static uint32_t try_timer(unsigned mode, uint32_t count, uint32_t divide)
{
	uint32_t now;

	apic_write(APIC_DIVIDE, divide);
	apic_write(APIC_TIMER, TIMER_VECTOR | mode << MODE_SHIFT);
	apic_write(APIC_INITIAL, count);
	for (unsigned i = 0; i < 1000; i++)
		__asm__ volatile("nop");
	now = apic_read(APIC_CURRENT);
	apic_write(APIC_INITIAL, 0);
	apic_write(APIC_TIMER, TIMER_VECTOR | MASKED);
	__asm__ volatile("sti; nop; cli"); /* what came of it */
	return now;
}

/* Every mode with counts that are over before the next instruction; then a hundred ticks of a period of a nanosecond,
 * in between which this must get to run. */
static void do_timer(void)
{
	static const uint32_t counts[] = {1, 2, 20, 1000, 0xffffffffu};
	static const uint32_t divides[] = {0xb, 0, 0xa};
	uint32_t settings = 0, idle = 0;

	apic_on();
	for (unsigned mode = 0; mode < 4; mode++)
		for (unsigned c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
			for (unsigned d = 0; d < sizeof(divides) / sizeof(divides[0]); d++) {
				uint32_t now = try_timer(mode, counts[c], divides[d]);

				settings++;
				idle += mode == RESERVED && now == 0;
			}
	put("timer:");
	say(settings, "settings;");
	say(idle, "of 15 with the reserved mode count nothing\n");
	ticks = 0;
	apic_write(APIC_DIVIDE, 0xb);
	apic_write(APIC_TIMER, TIMER_VECTOR | PERIODIC << MODE_SHIFT);
	apic_write(APIC_INITIAL, 1);
	while (ticks < TICKS)
		__asm__ volatile("sti; hlt; cli");
	apic_write(APIC_INITIAL, 0);
	apic_write(APIC_TIMER, TIMER_VECTOR | MASKED);
	put("timer: ticked\n");
}

static const struct {
	const char *name;
	void (*run)(void);
} deeds[] = {
    {"triple", do_triple},
    {"vmcall", do_vmcall},
    {"memory", do_memory},
    {"vmx", do_vmx},
    {"msrs", do_msrs},
    {"ports", do_ports},
    {"cr8", do_cr8},
    {"timer", do_timer},
    {"spin", do_spin},
};

void guest_main(void)
{
	for (unsigned i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
		if (arg_is("what", deeds[i].name)) {
			deeds[i].run();
			return;
		}
	}
	put("hostile: give what=triple, vmcall, memory, vmx, msrs, ports, cr8, timer or spin\n");
	guest_exit(1);
}
