/*
 * Switching the machine off, by every way that is known; what a machine does not have, it ignores. The last resort is a
 * processor that sleeps for ever.
 */
#include "core/lib.h"
#include "core/metal/metal.h"

void metal_power_off(void)
{
	static const char word[] = "Shutdown";

	/* Bochs, and QEMU before 1.7: the word, letter by letter, to a port of their own. */
	for (size_t i = 0; i < sizeof(word) - 1; i++)
		cpu_out8(0x8900, (uint8_t)word[i]);
	/* QEMU's isa-debug-exit, where the command line put one: the status of the process is 2 * value + 1. First,
	 * since it ends QEMU even where ACPI is off. */
	cpu_out8(0xf4, 0x10);
	/* ACPI S5 by the PM1a control register: at 604h in QEMU (PIIX4 and ICH9, by SeaBIOS's choice), at B004h in
	 * Bochs and in QEMU before 2.0. SLP_EN with type 0, which is S5 on all of these. */
	cpu_out16(0x604, 0x2000);
	cpu_out16(0xb004, 0x2000);
	/* On hardware S5 needs the DSDT's values, which this program does not interpret: it stops here. */
	for (;;)
		__asm__ volatile("cli\n\thlt");
}
