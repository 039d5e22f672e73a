/*
 * Descriptor tables, exceptions and interrupts of the VMM itself. Concept: in long mode segments are almost gone, but
 * the TSS stays, because it holds the stacks (IST) on which the processor takes what must not depend on the current
 * one: a double fault after a stack overflow, an NMI between any two instructions, a machine check [SDM 3A "64-Bit Mode
 * IDT"].
 *
 * Devices of the machine belong to the VMM, and it polls: both 8259A are masked. The exceptions are the slice timer,
 * and COM1 while the VMM sleeps.
 */
#include "core/lib.h"
#include "core/metal/metal_priv.h"

#define VECTORS 256u
#define NMI 2u
#define PIC_MASTER 0x20u
#define PIC_SLAVE 0xa0u
#define PIC_EOI 0x20u
#define PIC_READ_ISR 0x0bu
#define PIT_CH0 0x40u
#define PIT_COMMAND 0x43u
#define PIT_CH0_ONESHOT 0x30u /* both bytes, mode 0: interrupt on terminal count */
#define PIT_HZ 1193182ull
#define IRQ_TIMER 0u
#define IRQ_COM1 4u

struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, reserved;
};
struct tss {
	uint32_t reserved0;
	uint64_t rsp[3], reserved1, ist[7], reserved2;
	uint16_t reserved3, io_map;
} __attribute__((packed));
struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

#define STACK(n) extern uint8_t metal_##n##_stack_guard[], metal_##n##_stack_top[]
STACK(boot);
STACK(df);
STACK(nmi);
STACK(mc);
STACK(pf);
const struct metal_stack metal_stacks[STACK_COUNT] = {
    [STACK_BOOT] = {"boot", metal_boot_stack_guard, metal_boot_stack_top},
    [STACK_DF] = {"double fault", metal_df_stack_guard, metal_df_stack_top},
    [STACK_NMI] = {"NMI", metal_nmi_stack_guard, metal_nmi_stack_top},
    [STACK_MC] = {"machine check", metal_mc_stack_guard, metal_mc_stack_top},
    [STACK_PF] = {"page fault", metal_pf_stack_guard, metal_pf_stack_top},
};
/* Vector to stack; each index is also the IST number. */
static const uint8_t ist_of[32] = {[2] = STACK_NMI, [8] = STACK_DF, [14] = STACK_PF, [18] = STACK_MC};

extern const uint8_t metal_vectors[];
void metal_trap(struct trap_frame *f); /* called by idt.S */

static uint64_t gdt[5];
static struct tss tss;
static struct gate idt[VECTORS];
static void (*handlers[VECTORS])(void);
static volatile uint64_t nmis, slices;

static void load_gdt(void)
{
	const uint64_t base = metal_hpa(&tss), limit = sizeof(tss) - 1;

	gdt[METAL_SEL_CODE / 8] = 0x00af9b000000ffffull;
	gdt[METAL_SEL_DATA / 8] = 0x00cf93000000ffffull;
	gdt[METAL_SEL_TSS / 8] = limit | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
	gdt[METAL_SEL_TSS / 8 + 1] = base >> 32;
	for (unsigned i = STACK_DF; i < STACK_COUNT; i++)
		tss.ist[i - 1] = metal_hpa(metal_stacks[i].top);
	tss.io_map = sizeof(tss);
	const struct table_register r = {sizeof(gdt) - 1, metal_hpa(gdt)};
	__asm__ volatile("lgdt %0\n\t"
			 "pushq %1\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:\tmov %2, %%ds\n\tmov %2, %%es\n\tmov %2, %%ss\n\tmov %2, %%fs\n\tmov %2, %%gs\n\t"
			 "ltr %w3"
			 :
			 : "m"(r), "i"(METAL_SEL_CODE), "r"(METAL_SEL_DATA), "r"(METAL_SEL_TSS)
			 : "rax", "memory");
}

static void load_idt(void)
{
	for (unsigned v = 0; v < VECTORS; v++) {
		uint64_t a = metal_hpa(metal_vectors) + 16 * v;
		idt[v] = (struct gate){.offset_low = (uint16_t)a,
		    .selector = METAL_SEL_CODE,
		    .ist = v < ARRAY_LEN(ist_of) ? ist_of[v] : 0,
		    .type = 0x8e, /* present, interrupt gate */
		    .offset_mid = (uint16_t)(a >> 16),
		    .offset_high = (uint32_t)(a >> 32)};
	}
	const struct table_register r = {sizeof(idt) - 1, metal_hpa(idt)};
	__asm__ volatile("lidt %0" : : "m"(r));
}

/* ICW1 to ICW4: cascade, vectors from 20h (the BIOS's 8 and 70h collide with exceptions), 8086 mode; then the mask.
 * ICW1 forgets requests that are pending. */
static void init_pic(uint16_t base, uint8_t vector, uint8_t cascade, uint8_t mask)
{
	const uint16_t data = (uint16_t)(base + 1);

	cpu_out8(base, 0x11);
	cpu_out8(data, vector);
	cpu_out8(data, cascade);
	cpu_out8(data, 1);
	cpu_out8(data, mask);
}

void idt_init(void)
{
	load_gdt();
	load_idt();
	init_pic(PIC_MASTER, METAL_IRQ_BASE, 1 << 2, 0xff);
	init_pic(PIC_SLAVE, METAL_IRQ_BASE + 8, 2, 0xff);
}

void metal_tables(struct metal_tables *out)
{
	*out = (struct metal_tables){.gdt_base = metal_hpa(gdt),
	    .idt_base = metal_hpa(idt),
	    .tss_base = metal_hpa(&tss),
	    .gdt_limit = sizeof(gdt) - 1,
	    .idt_limit = sizeof(idt) - 1,
	    .tss_limit = sizeof(tss) - 1};
}

void metal_set_irq_handler(unsigned vector, void (*handler)(void))
{
	if (vector < VECTORS)
		handlers[vector] = handler;
}

uint64_t metal_nmi_count(void)
{
	return nmis;
}

/* IRQ 7 and 15 also come when a line went away too early; then the bit in service is not set, and an EOI would end
 * somebody else's (8259A, "spurious"). */
static void acknowledge(unsigned irq)
{
	const uint16_t pic = irq < 8 ? PIC_MASTER : PIC_SLAVE;

	if (irq == 7 || irq == 15) {
		cpu_out8(pic, PIC_READ_ISR);
		if (!(cpu_in8(pic) & 0x80)) {
			if (irq == 15)
				cpu_out8(PIC_MASTER, PIC_EOI);
			return;
		}
	}
	if (irq >= 8)
		cpu_out8(PIC_SLAVE, PIC_EOI);
	cpu_out8(PIC_MASTER, PIC_EOI);
}

void metal_trap(struct trap_frame *f)
{
	const bool irq = f->vector >= METAL_IRQ_BASE && f->vector < METAL_IRQ_BASE + 16;

	if (f->vector == NMI)
		nmis++;
	if (irq)
		acknowledge((unsigned)f->vector - METAL_IRQ_BASE);
	if (handlers[f->vector])
		handlers[f->vector]();
	else if (f->vector < 32 && f->vector != NMI)
		panic_trap(f);
	/* Other vectors: the local APIC's spurious interrupt and whatever firmware left pending. Nothing to do. */
}

/* --- Slice timer ------------------------------------------------------------------------------------------------- */

static void slice_over(void)
{
	slices++;
	cpu_out8(PIC_MASTER + 1, 0xff);
}

/* The control word takes the output low; an edge from before (the BIOS's clock, an earlier slice) may still be latched
 * in the 8259A, so it starts anew before IRQ 0 is let through. */
void metal_slice_timer_start(uint64_t ns, bool or_line)
{
	uint64_t count = ns > 54000000ull ? 0xffff : ns * PIT_HZ / 1000000000ull;

	count = count < 2 ? 2 : count;
	handlers[METAL_IRQ_BASE + IRQ_TIMER] = handlers[METAL_IRQ_BASE + IRQ_COM1] = slice_over;
	cpu_out8(PIT_COMMAND, PIT_CH0_ONESHOT);
	init_pic(PIC_MASTER, METAL_IRQ_BASE, 1 << 2, (uint8_t) ~(1u << IRQ_TIMER | (or_line ? 1u << IRQ_COM1 : 0)));
	cpu_out8(PIT_CH0, (uint8_t)count);
	cpu_out8(PIT_CH0, (uint8_t)(count >> 8));
}

/* Masked: a request that nobody took goes with the next start. */
void metal_slice_timer_stop(void)
{
	slices++;
	cpu_out8(PIC_MASTER + 1, 0xff);
	cpu_out8(PIT_COMMAND, PIT_CH0_ONESHOT);
}

uint64_t metal_slice_timer_fired(void)
{
	return slices;
}
