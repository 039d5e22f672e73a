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

/* HLT would sleep until an interrupt, and the VMM has none: it looks at the clock. PAUSE tells the processor (or the
 * hypervisor below) that this is a wait. */
static void metal_idle_until(uint64_t ns)
{
	while (metal_now_ns() < ns)
		cpu_pause();
}

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
