/*
 * exits: each kind of exit a known number of times, so that a counter can be held against a number that is known. Which
 * of them really exit depends on the controls (--controls): that is the experiment.
 *
 * Every kind is a parameter: "exits cpuid=10 out=0". "only=1" sets the counts that are not given to 0. Kinds that need
 * IRETQ (gp, ud, hlt: the guest takes an exception or an interrupt and returns), XGETBV (which a KVM that emulates
 * every instruction lacks) and VMCALL (which KVM rewrites in place on the other vendor's CPU) default to 0; so does
 * rdtsc, whose value no second run repeats. end=hlt or end=triple choose another end than a byte to 0xf4.
 *
 * Each line: the kind, how often, and a checksum over what the guest saw (sum * 31 + value).
 */
#include "lib/rt.h"

#define SCRATCH 0x3ff	     /* the UART's scratch register: reads back what was written */
#define PCI_ADDRESS 0xcf8    /* the host bridge's address register: the same, 32 bits wide */
#define HOLE 0xd0000000ul    /* nobody answers here: reads all ones */
#define MSR_UNKNOWN 0x4b564d /* no CPU has it */
#define MTRR_PHYSBASE0 0x200
#define CR0_TS (1ul << 3)
#define CR0_CD (1ul << 30)
#define CR4_OSXSAVE (1ul << 18)

static uint32_t sum;

static void saw(uint64_t v)
{
	sum = sum * 31 + (uint32_t)v + (uint32_t)(v >> 32);
}

static void do_cpuid(uint32_t n)
{
	while (n--) {
		uint32_t a = 0;
		uint32_t b;
		uint32_t c = 0;
		uint32_t d;
		__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
		saw(b);
		saw(c);
		saw(d);
	}
}

static void do_out(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		out8(SCRATCH, (uint8_t)(i + 1));
}

static void do_in(uint32_t n)
{
	while (n--)
		saw(in8(SCRATCH));
}

static void do_out32(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		out32(PCI_ADDRESS, 0x80000000u | i << 2);
}

static void do_in32(uint32_t n)
{
	while (n--)
		saw(in32(PCI_ADDRESS));
}

static uint8_t block[256];

static void do_outs(uint32_t n)
{
	for (uint32_t i = 0; i < n && i < sizeof(block); i++)
		block[i] = (uint8_t)(0x40 + i);
	const void *p = block;
	uint64_t count = n < sizeof(block) ? n : sizeof(block);
	__asm__ volatile("rep outsb" : "+S"(p), "+c"(count) : "d"(SCRATCH) : "memory");
}

static void do_ins(uint32_t n)
{
	void *p = block;
	uint64_t count = n < sizeof(block) ? n : sizeof(block);
	__asm__ volatile("rep insb" : "+D"(p), "+c"(count) : "d"(SCRATCH) : "memory");
	for (uint32_t i = 0; i < n && i < sizeof(block); i++)
		saw(block[i]);
}

static void do_store(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		__asm__ volatile("movl %0, (%1)" : : "r"(i), "r"(HOLE + 4 * (i & 255)) : "memory");
}

static void do_load(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t v;
		__asm__ volatile("movl (%1), %0" : "=r"(v) : "r"(HOLE + 4 * (i & 255)) : "memory");
		saw(v);
	}
}

static void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(msr));
}

static uint64_t rdmsr(uint32_t msr)
{
	uint32_t low;
	uint32_t high;
	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static void do_wrmsr(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		wrmsr(MTRR_PHYSBASE0, (uint64_t)i << 12 | 6);
}

static void do_rdmsr(uint32_t n)
{
	while (n--)
		saw(rdmsr(MTRR_PHYSBASE0));
}

static uint64_t read_cr0(void)
{
	uint64_t v;
	__asm__ volatile("movq %%cr0, %0" : "=r"(v));
	return v;
}

static void write_cr0(uint64_t v)
{
	__asm__ volatile("movq %0, %%cr0" : : "r"(v) : "memory");
}

/* A bit that the VMM owns: each write changes it, each write exits. */
static void do_cr(uint32_t n)
{
	uint64_t v = read_cr0();
	for (uint32_t i = 0; i < n; i++)
		write_cr0(v ^= CR0_CD);
	saw(read_cr0() & CR0_CD);
	if (n & 1)
		write_cr0(v ^ CR0_CD);
}

/* A bit that the VMM leaves to the guest: the same instruction, and no exit. */
static void do_crfree(uint32_t n)
{
	uint64_t v = read_cr0();
	for (uint32_t i = 0; i < n; i++)
		write_cr0(v ^= CR0_TS);
	saw(read_cr0() & CR0_TS);
	if (n & 1)
		write_cr0(v ^ CR0_TS);
}

static void do_clts(uint32_t n)
{
	while (n--)
		__asm__ volatile("clts");
	saw(read_cr0() & CR0_TS);
}

static void do_drwrite(uint32_t n)
{
	for (uint64_t i = 0; i < n; i++)
		__asm__ volatile("movq %0, %%db0" : : "r"(0x1000 + i));
}

static void do_drread(uint32_t n)
{
	while (n--) {
		uint64_t v;
		__asm__ volatile("movq %%db0, %0" : "=r"(v));
		saw(v);
	}
}

static void do_invlpg(uint32_t n)
{
	for (uint64_t i = 0; i < n; i++)
		__asm__ volatile("invlpg (%0)" : : "r"(0x200000 + (i << 12)) : "memory");
}

static void do_cr3(uint32_t n)
{
	while (n--) {
		uint64_t v;
		__asm__ volatile("movq %%cr3, %0\n\tmovq %0, %%cr3" : "=r"(v) : : "memory");
	}
}

static void do_xsetbv(uint32_t n)
{
	uint32_t a = 1;
	uint32_t b;
	uint32_t c = 0;
	uint32_t d;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	if (!(c & 1u << 26))
		return; /* a CPU without XSAVE: the checksum stays 0 */
	uint64_t cr4;
	__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("movq %0, %%cr4" : : "r"(cr4 | CR4_OSXSAVE));
	for (uint32_t i = 0; i < n; i++)
		__asm__ volatile("xsetbv" : : "a"(i & 1 ? 3 : 1), "d"(0), "c"(0));
	saw(n);
	__asm__ volatile("movq %0, %%cr4" : : "r"(cr4));
}

static void do_xgetbv(uint32_t n)
{
	uint64_t cr4;
	__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("movq %0, %%cr4" : : "r"(cr4 | CR4_OSXSAVE));
	while (n--) {
		uint32_t a;
		uint32_t d;
		__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
		saw(a & 1);
	}
	__asm__ volatile("movq %0, %%cr4" : : "r"(cr4));
}

static void do_pause(uint32_t n)
{
	while (n--)
		__asm__ volatile("pause");
}

static void do_sgdt(uint32_t n)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) table = {0, 0};
	while (n--) {
		__asm__ volatile("sgdt %0" : "=m"(table));
		saw(table.limit);
	}
}

static void do_wbinvd(uint32_t n)
{
	while (n--)
		__asm__ volatile("wbinvd" : : : "memory");
}

static void do_invd(uint32_t n)
{
	while (n--)
		__asm__ volatile("invd" : : : "memory");
}

static void do_rdtsc(uint32_t n)
{
	while (n--)
		__asm__ volatile("rdtsc" : : : "rax", "rdx");
}

static void do_vmcall(uint32_t n)
{
	while (n--) {
		uint64_t a = 0x7fff; /* a call that no VMM defines */
		__asm__ volatile("vmcall" : "+a"(a) : "b"(0), "c"(0), "d"(0), "S"(0) : "memory");
		saw(a);
	}
}

/* #GP of an unknown MSR, #UD of UD2: both instructions are two bytes long; the handler steps over them. */
static void skip_two(struct trap_frame *f)
{
	saw(f->vector);
	f->rip += 2;
}

static void do_gp(uint32_t n)
{
	idt_init();
	trap_set(13, skip_two);
	while (n--)
		rdmsr(MSR_UNKNOWN);
}

static void do_ud(uint32_t n)
{
	idt_init();
	trap_set(6, skip_two);
	while (n--)
		__asm__ volatile("ud2");
}

static void on_tick(struct trap_frame *f)
{
	saw(f->vector);
	pic_eoi();
}

/* HLT, woken by the timer: STI takes effect after the next instruction, so no tick is lost between the two. */
static void do_hlt(uint32_t n)
{
	idt_init();
	trap_set(0x20, on_tick);
	pic_init(1);
	while (n--) {
		pit_start(0, 1193); /* one shot, about a millisecond */
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	}
}

static const struct kind {
	const char *name;
	uint32_t count;
	void (*run)(uint32_t n);
} kinds[] = {
    {"cpuid", 10, do_cpuid},
    {"out", 5, do_out},
    {"in", 5, do_in},
    {"out32", 3, do_out32},
    {"in32", 3, do_in32},
    {"outs", 8, do_outs},
    {"ins", 4, do_ins},
    {"store", 6, do_store},
    {"load", 6, do_load},
    {"wrmsr", 4, do_wrmsr},
    {"rdmsr", 4, do_rdmsr},
    {"cr", 4, do_cr},
    {"crfree", 5, do_crfree},
    {"clts", 3, do_clts},
    {"drwrite", 3, do_drwrite},
    {"drread", 3, do_drread},
    {"invlpg", 5, do_invlpg},
    {"cr3", 4, do_cr3},
    {"xsetbv", 2, do_xsetbv},
    {"pause", 3, do_pause},
    {"sgdt", 2, do_sgdt},
    {"wbinvd", 2, do_wbinvd},
    {"invd", 2, do_invd},
    {"rdtsc", 0, do_rdtsc},
    {"xgetbv", 0, do_xgetbv},
    {"vmcall", 0, do_vmcall},
    {"gp", 0, do_gp},
    {"ud", 0, do_ud},
    {"hlt", 0, do_hlt},
};

static void end(void)
{
	static const uint16_t nothing[5]; /* limit 0: the first exception finds no gate, nor does #DF: triple fault */
	if (arg_is("end", "triple"))
		__asm__ volatile("lidt %0; ud2" : : "m"(nothing));
	if (arg_is("end", "hlt"))
		for (;;)
			__asm__ volatile("cli; hlt");
}

void guest_main(void)
{
	bool only = arg("only", 0);
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint32_t n = arg(kinds[i].name, only ? 0 : kinds[i].count);
		if (!n)
			continue;
		sum = 0;
		kinds[i].run(n);
		put(kinds[i].name);
		put_char(' ');
		put_dec(n);
		put_char(' ');
		put_hex(sum);
		put_char('\n');
	}
	end();
}
