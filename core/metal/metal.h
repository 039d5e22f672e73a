/*
 * core/metal for the rest of the image: the machine under a VMM that has no operating system. Read in order: boot.S,
 * main.c (the order of things), paging.c, idt.c, then the devices.
 *
 * One processor runs, interrupts are off except where somebody waits for the slice timer, virtual and physical
 * addresses are the same.
 */
#ifndef VMSCOPE_CORE_METAL_METAL_H
#define VMSCOPE_CORE_METAL_METAL_H

#include "core/host.h"
#include "core/metal/cpu.h"

struct vm;

extern const struct host_ops host_metal_ops; /* host.c */

/* Selectors of the GDT, for the host-state area of a VMCS: bases are 0, but for TR's. */
#define METAL_SEL_CODE 0x08u
#define METAL_SEL_DATA 0x10u
#define METAL_SEL_TSS 0x18u

struct metal_tables {
	uint64_t gdt_base, idt_base, tss_base;
	uint16_t gdt_limit, idt_limit, tss_limit;
};
void metal_tables(struct metal_tables *out);

/* Identity: a pointer is its physical address. */
static inline uint64_t metal_hpa(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

/* clock.c */
uint64_t metal_tsc_hz(void);
void metal_set_tsc_hz(uint64_t hz);
uint64_t metal_ticks_of_ns(uint64_t ns);
uint64_t metal_ns_of_ticks(uint64_t ticks);

/* idt.c. A handler runs with interrupts off; one for an IRQ of the PIC (0x20..0x2f) need not acknowledge it. */
#define METAL_IRQ_BASE 0x20u
void metal_set_irq_handler(unsigned vector, void (*handler)(void));
uint64_t metal_nmi_count(void);
/* One-shot on IRQ 0 (8254, channel 0): the interrupt is pending after ns, at most about 54 ms at a time; or_line: or as
 * soon as COM1 has something new. Whoever waits for it enables interrupts (or, in SVM, has the intercept). Stop: masked
 * again, and what is pending is taken back. */
void metal_slice_timer_start(uint64_t ns, bool or_line);
void metal_slice_timer_stop(void);
uint64_t metal_slice_timer_fired(void); /* how often it did, or was stopped: a change says that it runs no more */

/* host.c. From here on waits sleep by that timer, where its interrupt arrives. After the clock. */
void metal_idle_init(void);

/* What of the VMM's own is at p: "code", "constants", "data", "stack", "heap", "bundle".
 * NULL: memory of a guest, or none of ours. */
const char *metal_owner(const void *p);

/* fixed.c: one number for all of the VMM that must not change while guests run; and a change, for the test of it. */
uint64_t metal_fixed_hash(void);
void metal_spoil_idt(void);

/* panic.c: says what happened on the line, with the last exits of each VM that was registered, and stops. */
void metal_panic(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((noreturn));
void metal_register_vm(struct vm *vm);
/* With a session on, text goes out as a frame as well. */
void metal_set_panic_hook(void (*hook)(const char *text, size_t n));

/* host.c: from now on host_metal_ops.log() goes to sink, and not as text to the line; NULL: as text again. */
void metal_set_log(void (*sink)(void *arg, enum log_level level, const char *line), void *arg);

/* poweroff.c */
void metal_power_off(void) __attribute__((noreturn));

#endif
