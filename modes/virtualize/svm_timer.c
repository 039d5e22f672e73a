/*
 * The time slice on AMD-V. VT-x has a preemption timer in the VMCS; here a physical interrupt has to end the run (exit
 * reason 1), so the VMM arms counter 0 of the interval timer as a one-shot and lets INTR exit. Concept: with
 * V_INTR_MASKING the guest's RFLAGS.IF masks virtual interrupts only, so even a guest that has interrupts off, or
 * spins for ever, gives the processor back.
 *
 * The interrupt is never taken by the VMM's IDT: after the exit the interrupt controller is asked for it by its poll
 * command, which acknowledges it.
 */
#include "core/vm.h"
#include "modes/virtualize/svm_cpu.h"
#include "modes/virtualize/svm_priv.h"

#define PIT_HZ 1193182u
#define PIT_COUNTER0 0x40u
#define PIT_MODE 0x43u
#define PIT_ONE_SHOT 0x30u /* counter 0, both bytes, mode 0 */
#define PIC_COMMAND 0x20u
#define PIC_MASK 0x21u
#define PIC_SLAVE_MASK 0xa1u
#define PIC_POLL 0x0cu
#define PIC_PENDING 0x80u
#define PIC_EOI 0x20u
#define NS_PER_S 1000000000ull

void svm_timer_arm(uint64_t ns)
{
	uint64_t longest = 0xffffull * NS_PER_S / PIT_HZ;
	uint64_t ticks = (ns < longest ? ns : longest) * PIT_HZ / NS_PER_S;

	if (ticks < 2)
		ticks = 2;
	svm_out8(PIC_MASK, 0xfe);
	svm_out8(PIC_SLAVE_MASK, 0xff);
	svm_out8(PIT_MODE, PIT_ONE_SHOT);
	svm_out8(PIT_COUNTER0, (uint8_t)ticks);
	svm_out8(PIT_COUNTER0, (uint8_t)(ticks >> 8));
}

void svm_timer_acknowledge(void)
{
	svm_out8(PIC_COMMAND, PIC_POLL);
	if (svm_in8(PIC_COMMAND) & PIC_PENDING)
		svm_out8(PIC_COMMAND, PIC_EOI);
}
