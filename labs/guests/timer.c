/*
 * timer: interrupts. The PIT ticks a hundred times a second; the guest waits for its ticks first asleep in HLT, then in
 * a busy loop that gives the VMM no reason to intervene: there it is the interrupt that gives control back.
 * What is printed counts ticks and never time.  Parameters: halted=5 busy=3
 */
#include "lib/rt.h"

#define PIT_HZ 1193182

static volatile uint32_t ticks;

static void on_tick(struct trap_frame *f)
{
	(void)f;
	ticks++;
	pic_eoi();
}

static void report(const char *how)
{
	put("tick ");
	put_dec(ticks);
	put(how);
}

void guest_main(void)
{
	uint32_t halted = arg("halted", 5);
	uint32_t busy = arg("busy", 3);
	put("timer: PIT channel 0, 100 Hz\n");
	idt_init();
	trap_set(0x20, on_tick);
	pic_init(1);
	for (uint32_t i = 0; i < halted; i++) {
		pit_start(0, PIT_HZ / 100); /* one shot: a tick is waiting only if we asked for it */
		__asm__ volatile("sti; hlt; cli" : : : "memory");
		report(" woke HLT\n");
	}
	for (uint32_t i = 0; i < busy; i++) {
		uint32_t before = ticks;
		pit_start(0, PIT_HZ / 100);
		__asm__ volatile("sti" : : : "memory");
		while (ticks == before)
			;
		__asm__ volatile("cli" : : : "memory");
		report(" interrupted a loop\n");
	}
	put("timer: ");
	put_dec(ticks);
	put(" ticks\n");
}
