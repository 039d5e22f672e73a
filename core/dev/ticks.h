/*
 * Oscillators on guest time. Guest time is whole nanoseconds; a device counts periods of its own crystal. Both
 * conversions are exact integer arithmetic on the whole time (never on a sum of steps), so nothing drifts:
 *
 *   ticks(ns) = floor(ns * hz / 10^9)     ns_of(tick) = the first ns at which ticks(ns) >= tick
 *
 * The split into seconds and remainder keeps every product below 2^64 for hz up to 18 GHz and centuries of guest time.
 */
#ifndef VMSCOPE_CORE_DEV_TICKS_H
#define VMSCOPE_CORE_DEV_TICKS_H

#include "core/types.h"

#define NS_PER_S 1000000000ull
#define PIT_HZ 1193182ull
#define PMTIMER_HZ 3579545ull
#define RTC_HZ 32768ull

static inline uint64_t ticks_at(uint64_t ns, uint64_t hz)
{
	return ns / NS_PER_S * hz + ns % NS_PER_S * hz / NS_PER_S;
}

static inline uint64_t ticks_ns(uint64_t tick, uint64_t hz)
{
	return tick / hz * NS_PER_S + (tick % hz * NS_PER_S + hz - 1) / hz;
}

#endif
