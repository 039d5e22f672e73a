/*
 * host_ops on bare hardware (Type I): what the VMM stands on when there is nothing below it.
 */
#include "core/lib.h"
#include "core/metal/clock.h"
#include "core/metal/metal_priv.h"

static uint64_t metal_cycles(void)
{
	return cpu_rdtsc();
}

/* --- Waiting ------------------------------------------------------------------------------------------------------ */

#define HLT_MIN_NS 200000u   /* less is not worth the port accesses */
#define HLT_EARLY_NS 100000u /* a processor that slept comes late */
#define PROVE_NS 20000000u

static bool timer_wakes; /* the slice timer's interrupt reaches this processor: HLT comes back */

static inline void enable_interrupts(void)
{
	__asm__ volatile("sti\n\tnop" : : : "memory");
}

static inline void disable_interrupts(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/* Not every machine has an 8254 whose interrupt arrives: it is tried once, without relying on it. */
void metal_idle_init(void)
{
	uint64_t before = metal_slice_timer_fired(), until = metal_now_ns() + PROVE_NS;

	metal_slice_timer_start(HLT_MIN_NS, false);
	enable_interrupts();
	while (metal_slice_timer_fired() == before && metal_now_ns() < until)
		cpu_pause();
	disable_interrupts();
	timer_wakes = metal_slice_timer_fired() != before;
	metal_slice_timer_stop();
}

/* Interrupts are taken behind HLT only, which is in the shadow of STI [SDM 2B "STI - Set Interrupt Flag"]: none is
 * missed. Other things wake a processor, too. COM1's request is an edge: what came before the 8259A was set up is
 * looked for. */
static void sleep_for(uint64_t ns)
{
	uint64_t before = metal_slice_timer_fired();

	metal_slice_timer_start(ns, true);
	while (metal_slice_timer_fired() == before && !serial_waiting())
		__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
	if (metal_slice_timer_fired() == before)
		metal_slice_timer_stop();
}

/* Somebody speaks: no more waiting. The last stretch is waited for awake. PAUSE tells the processor (or the hypervisor
 * below) that this is a wait. */
static void metal_idle_until(uint64_t ns)
{
	for (uint64_t now = metal_now_ns(); now < ns && !serial_waiting(); now = metal_now_ns()) {
		if (timer_wakes && ns - now >= HLT_MIN_NS)
			sleep_for(ns - now - HLT_EARLY_NS);
		else
			cpu_pause();
	}
}

/* --- Messages ----------------------------------------------------------------------------------------------------- */

static void (*log_sink)(void *arg, enum log_level level, const char *line);
static void *log_arg;

void metal_set_log(void (*sink)(void *arg, enum log_level level, const char *line), void *arg)
{
	log_sink = sink;
	log_arg = arg;
}

static void metal_log(enum log_level level, const char *line)
{
	if (log_sink) {
		log_sink(log_arg, level, line);
		return;
	}
	static const char *const names[] = {
	    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warning", [LOG_ERROR] = "error"};
	char text[400];
	int n = fmt_snprintf(text, sizeof(text), "vmscope-metal: %s: %s\n",
	    (unsigned)level < ARRAY_LEN(names) ? names[level] : "log", line);

	serial_text(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

const struct host_ops host_metal_ops = {
    .page_alloc = alloc_pages,
    .page_free = alloc_free,
    .mem_limit = alloc_largest,
    .now_ns = metal_now_ns,
    .ran_ns = metal_now_ns, /* there is nobody else */
    .cycles = metal_cycles,
    .idle_until = metal_idle_until,
    .log = metal_log,
};
