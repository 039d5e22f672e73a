/*
 * signals: NMI, INIT and start-up messages, sent by the local APIC. An NMI blocks the next one until the IRET of its
 * handler, and no longer; it wakes a CPU that sleeps with interrupts off; and a second CPU, started by INIT and a
 * start-up message, shares memory with the first.
 *
 * Parameters:  cpus=1         2: there is a second CPU
 *
 * Read lib/rt.h first.
 */
#include "lib/rt.h"

#define VEC_NMI 2
#define APIC 0xfee00000ul
#define APIC_BASE_EN 0x800u
#define TO_SELF (1u << 18)
#define NMI 0x4400u
#define INIT 0x4500u
#define STARTUP 0x4600u
#define PATIENCE 100000u
#define ADDITIONS 10000u

enum { APIC_SVR = 0xf0, APIC_ICR = 0x300, APIC_ICR_HIGH = 0x310 };

/* The second CPU's world: real mode, one page. */
#define AP_PAGE 0x8000ul
#define AP_STATE 0x8ff0ul /* 1: it runs, 2: it has added */
#define AP_SUM 0x8ff4ul
#define AP_NMIS 0x8ff8ul

static volatile uint32_t taken, depth, deepest, again;

static void apic_write(unsigned reg, uint32_t v)
{
	/* Without a prefix: /dev/kvm tells where an instruction ends, and its begin is found backwards. */
	__asm__ volatile("movl %0, (%1)" : : "a"(v), "D"(APIC + reg) : "memory");
}

static void apic_on(void)
{
	__asm__ volatile("rdmsr; orl %0, %%eax; wrmsr" : : "i"(APIC_BASE_EN), "c"(0x1b) : "rax", "rdx", "memory");
	apic_write(APIC_SVR, 0x1ff);
}

/* A backend without an NMI window delivers at the next exit: give it one. */
static void wait_for(volatile uint32_t *what, uint32_t value)
{
	for (unsigned i = 0; i < PATIENCE && *what != value; i++)
		(void)in8(0xe0);
}

static void on_nmi(struct trap_frame *f)
{
	(void)f;
	if (++depth > deepest)
		deepest = depth;
	taken++;
	if (again) {
		again = 0;
		apic_write(APIC_ICR, TO_SELF | NMI);
		(void)in8(0xe0); /* now it waits */
	}
	depth--;
}

static void say(uint32_t n, const char *text)
{
	put_char(' ');
	put_dec(n);
	put_char(' ');
	put(text);
}

static void nmis_to_self(void)
{
	for (uint32_t i = 1; i <= 5; i++) {
		apic_write(APIC_ICR, TO_SELF | NMI);
		wait_for(&taken, i);
	}
	put("nmi:");
	say(taken, "of 5 to itself\n");
	taken = 0;
	again = 1;
	apic_write(APIC_ICR, TO_SELF | NMI);
	wait_for(&taken, 2);
	put("nmi:");
	say(taken, "of 2, one of them sent by the handler;");
	say(deepest, "at a time\n");
}

__asm__(".pushsection .rodata\n\t"
	".code16\n"
	"ap_begin:\n\t"
	"cli\n\t"
	"xorw %ax, %ax\n\t"
	"movw %ax, %ds\n\t"
	"movw %ax, %ss\n\t"
	"movw $0x7000, %sp\n\t"
	"movw $(0x8000 + ap_nmi - ap_begin), 0x8\n\t" /* vector 2 */
	"movw %ax, 0xa\n\t"
	"movw $1, 0x8ff0\n\t"
	"movw $"
	"10000"
	", %cx\n"
	"1:\tlock incl 0x8ff4\n\t"
	"loop 1b\n\t"
	"movw $2, 0x8ff0\n"
	"2:\thlt\n\t"
	"jmp 2b\n"
	"ap_nmi:\n\t"
	"incw 0x8ff8\n\t"
	"iretw\n"
	"ap_end:\n\t"
	".code64\n\t"
	".popsection");
extern const uint8_t ap_begin[], ap_end[];

static volatile uint32_t *ap_word(unsigned long at)
{
	volatile uint32_t *p;

	__asm__("" : "=r"(p) : "0"(at)); /* no object of C is there */
	return p;
}

static void to_second(uint32_t low)
{
	apic_write(APIC_ICR_HIGH, 1u << 24);
	apic_write(APIC_ICR, low);
}

static void start_second(void)
{
	volatile uint32_t *state = ap_word(AP_STATE);

	*state = 0;
	to_second(INIT);
	to_second(STARTUP | AP_PAGE >> 12);
	for (uint32_t i = 0; i < ADDITIONS; i++)
		__asm__ volatile("lock incl (%0)" : : "r"(ap_word(AP_SUM)) : "memory");
	wait_for(state, 2);
}

static void second_cpu(void)
{
	volatile uint32_t *nmis = ap_word(AP_NMIS), *sum = ap_word(AP_SUM);
	volatile uint8_t *page = (volatile uint8_t *)ap_word(AP_PAGE);

	for (unsigned i = 0; ap_begin + i < ap_end; i++)
		page[i] = ap_begin[i];
	*sum = *nmis = 0;
	start_second();
	put("cpu 1:");
	say(*sum, "of 20000 additions of both;");
	for (uint32_t i = 1; i <= 3; i++) {
		to_second(NMI);
		wait_for(nmis, i);
	}
	say(*nmis, "of 3 NMIs woke it\n");
	start_second();
	put("cpu 1: and again:");
	say(*sum, "of 40000\n");
}

void guest_main(void)
{
	idt_init();
	trap_set(VEC_NMI, on_nmi);
	apic_on();
	nmis_to_self();
	if (arg("cpus", 1) == 2)
		second_cpu();
}
