/*
 * Time from the time-stamp counter. How fast it ticks is the session's word where there is one (under Bochs it counts
 * instructions, and only the host knows what rate was set); else what CPUID says; else it is measured against the 8254,
 * whose rate is the same in every PC.
 */
#include "core/metal/clock.h"

#include "core/metal/metal_priv.h"

#define NS_PER_S 1000000000ull
#define PIT_HZ 1193182u
#define PIT_CH2 0x42u
#define PIT_COMMAND 0x43u
#define PIT_CH2_ONESHOT 0xb0u /* both bytes, mode 0 */
#define PORT_B 0x61u
#define GATE2 0x01u
#define SPEAKER 0x02u
#define OUT2 0x20u
#define MEASURE_COUNT 11932u /* 10 ms */
#define MEASURE_PATIENCE 100000000u
#define MEASUREMENTS 5u
#define FALLBACK_HZ NS_PER_S

static uint64_t hz = FALLBACK_HZ, boot_ticks;

/* CPUID leaf 15h: the ratio of TSC to crystal, and the crystal's rate, where the processor tells both. */
static uint64_t cpuid_hz(void)
{
	uint32_t r[4];

	cpu_cpuid(0, 0, r);
	if (r[0] < 0x15)
		return 0;
	cpu_cpuid(0x15, 0, r);
	return r[0] && r[1] && r[2] ? muldiv64(r[2], r[1], r[0]) : 0;
}

/* Channel 2 has a gate in software and an output that can be read: 10 ms by the 8254, in ticks. 0: it never ends. */
static uint64_t measure_hz(void)
{
	uint8_t b = (uint8_t)(cpu_in8(PORT_B) & ~(GATE2 | SPEAKER));

	cpu_out8(PORT_B, b);
	cpu_out8(PIT_COMMAND, PIT_CH2_ONESHOT);
	cpu_out8(PIT_CH2, MEASURE_COUNT & 0xff);
	cpu_out8(PIT_CH2, MEASURE_COUNT >> 8);
	uint64_t start = cpu_rdtsc();
	cpu_out8(PORT_B, b | GATE2);
	for (unsigned i = 0; i < MEASURE_PATIENCE; i++)
		if (cpu_in8(PORT_B) & OUT2)
			return muldiv64(cpu_rdtsc() - start, PIT_HZ, MEASURE_COUNT);
	return 0;
}

/* Whatever disturbs a measurement (an SMI, a machine below that runs something else) makes it longer, never shorter. */
static uint64_t least_measured_hz(void)
{
	uint64_t least = measure_hz();

	for (unsigned i = 1; i < MEASUREMENTS && least; i++) {
		uint64_t more = measure_hz();
		least = more < least ? more : least;
	}
	return least;
}

void clock_metal_init(uint64_t given)
{
	uint64_t found = given ? given : cpuid_hz();

	if (!found)
		found = least_measured_hz();
	metal_set_tsc_hz(found);
	boot_ticks = cpu_rdtsc();
}

uint64_t metal_tsc_hz(void)
{
	return hz;
}

void metal_set_tsc_hz(uint64_t rate)
{
	hz = rate ? rate : FALLBACK_HZ;
}

uint64_t metal_ticks_of_ns(uint64_t ns)
{
	return muldiv64(ns, hz, NS_PER_S);
}

uint64_t metal_ns_of_ticks(uint64_t ticks)
{
	return muldiv64(ticks, NS_PER_S, hz);
}

uint64_t metal_now_ns(void)
{
	return metal_ns_of_ticks(cpu_rdtsc() - boot_ticks);
}
