/*
 * The state of the devices that every small kernel programs: interrupt controllers, timers, clock, serial port. From
 * the state structs that snapshots hold, without reading a register: a read could change something.
 */
#include <inttypes.h>
#include <stdio.h>

#include "core/dev/i8254.h"
#include "core/dev/i8259.h"
#include "core/dev/ioapic.h"
#include "core/dev/lapic_priv.h"
#include "core/dev/mc146818.h"
#include "core/dev/ticks.h"
#include "core/dev/uart16550.h"
#include "tui/machine.h"

/* "0 4" of a set of lines; "none". */
static const char *lines(unsigned set, unsigned first, char *buf, size_t n)
{
	size_t at = 0;

	snprintf(buf, n, "none");
	for (unsigned i = 0; i < 8 && at < n; i++)
		if (set >> i & 1)
			at += (size_t)snprintf(buf + at, n - at, "%s%u", at ? " " : "", first + i);
	return buf;
}

static void fill_pic(struct vm *vm, struct machine_rows *out)
{
	const struct i8259_state *s = dev_state(vm, DEV_I8259);

	machine_row_heading(out, "PIC 8259: INTR %s", s->intr ? "high: an interrupt waits for the CPU" : "low");
	for (unsigned i = 0; i < 2; i++) {
		const struct i8259_chip *c = &s->chip[i];
		unsigned first = 8 * i;
		struct machine_row *row;
		char text[32];

		row = machine_row_add(out, i ? "slave" : "master", c->base, 2);
		machine_row_text(row, "vector of IRQ %u%s%s%s", first, c->ready ? "" : "; not initialised",
		    c->aeoi ? "; automatic EOI" : "", c->smm ? "; special mask mode" : "");
		row = machine_row_add(out, "  requested", c->irr, 2);
		machine_row_text(row, "IRQ %s", lines(c->irr, first, text, sizeof text));
		row = machine_row_add(out, "  in service", c->isr, 2);
		machine_row_text(row, "IRQ %s", lines(c->isr, first, text, sizeof text));
		row = machine_row_add(out, "  masked", c->imr, 2);
		machine_row_text(row, "open: IRQ %s", lines(~(unsigned)c->imr & 0xff, first, text, sizeof text));
	}
}

static void fill_pit(struct vm *vm, struct machine_rows *out)
{
	static const char *const modes[] = {"0: terminal count", "1: one-shot", "2: rate generator", "3: square wave",
	    "4: software strobe", "5: hardware strobe"};
	static const char *const users[] = {"IRQ 0", "refresh", "speaker"};
	const struct i8254_state *s = dev_state(vm, DEV_I8254);
	uint64_t now = ticks_at(clock_now_ns(&vm->clock), PIT_HZ);

	machine_row_heading(out, "PIT 8254 at 1.193 MHz, port 61: %02x", s->port61);
	for (unsigned i = 0; i < 3; i++) {
		struct i8254_counter c = s->ch[i].c; /* a copy: it is brought up to date without the device */
		uint64_t period = c.reload ? c.reload : c.bcd ? 10000u : 65536u;
		struct machine_row *row;
		char name[20];

		i8254_advance(&c, now);
		snprintf(name, sizeof name, "counter %u", i);
		row = machine_row_add(out, name, i8254_count(&c), 4);
		machine_row_text(row, "%s, reload %" PRIu64 ", mode %s%s", users[i], period, modes[c.mode % 6],
		    c.written ? "" : " (never set)");
		if (c.written && (c.mode == 2 || c.mode == 3))
			machine_row_text(row, "%s, %" PRIu64 ".%" PRIu64 " Hz: reload %" PRIu64 ", mode %s", users[i],
			    (uint64_t)PIT_HZ / period, (uint64_t)PIT_HZ * 10 / period % 10, period, modes[c.mode]);
	}
}

static void add_vectors(struct machine_rows *out, const char *name, const uint32_t set[8])
{
	struct machine_row *row = NULL;
	unsigned found = 0;
	size_t at = 0;

	for (unsigned v = 0; v < 256; v++) {
		if (!(set[v / 32] >> (v % 32) & 1))
			continue;
		if (!found++)
			row = machine_row_add(out, name, 0, 0);
		if (at < sizeof row->text)
			at +=
			    (size_t)snprintf(row->text + at, sizeof row->text - at, "%s%02x", at ? " " : "vectors ", v);
	}
	if (!found)
		machine_row_text(machine_row_add(out, name, 0, 0), "none");
}

static void add_lvt(struct machine_rows *out, const char *name, uint32_t v)
{
	static const char *const modes[] = {"fixed", "lowest", "SMI", "?", "NMI", "INIT", "start-up", "ExtINT"};
	struct machine_row *row = machine_row_add(out, name, v, 8);

	machine_row_text(row, "%s%s, vector %02x", LVT_MODE(v) < 8 ? modes[LVT_MODE(v)] : "?",
	    v & LVT_MASKED ? ", masked" : "", v & LVT_VECTOR);
}

static void fill_lapic(struct vm *vm, unsigned cpu, const struct view_cpu *c, struct machine_rows *out)
{
	static const char *const timer[] = {"one-shot", "periodic", "TSC deadline", "reserved"};
	const struct lapic_cpu *a = &((const struct lapic_state *)dev_state(vm, DEV_LAPIC))->cpu[cpu];
	struct machine_row *row;

	machine_row_heading(out, "local APIC of CPU %u: %s", cpu,
	    !c->lapic_on	      ? "off (IA32_APIC_BASE)"
	    : !(a->svr & SVR_ENABLED) ? "on, software-disabled: the PIC reaches the CPU"
	    : c->lapic_x2	      ? "on, x2APIC mode"
				      : "on");
	row = machine_row_add(out, "ID", c->lapic_x2 ? cpu : a->id >> 24, 2);
	row = machine_row_add(out, "priority", a->tpr, 2);
	machine_row_text(row, "task priority: vectors below %02x wait", ((unsigned)a->tpr & 0xf0) + 0x10);
	add_vectors(out, "  requested", a->irr);
	add_vectors(out, "  in service", a->isr);
	row = machine_row_add(out, "timer", c->lapic_count, 8);
	machine_row_text(row, "of %08x, %s%s, vector %02x", a->initial, timer[LVT_TIMER_MODE(a->lvt[LVT_TIMER])],
	    a->lvt[LVT_TIMER] & LVT_MASKED ? ", masked" : "", a->lvt[LVT_TIMER] & LVT_VECTOR);
	add_lvt(out, "LINT0", a->lvt[LVT_LINT0]);
	add_lvt(out, "LINT1", a->lvt[LVT_LINT1]);
	if (a->nmi || a->init || a->startup || a->extint)
		machine_row_text(machine_row_add(out, "waiting", 0, 0), "%s%s%s%s", a->nmi ? "NMI " : "",
		    a->init ? "INIT " : "", a->startup ? "start-up " : "", a->extint ? "ExtINT" : "");
}

static void fill_ioapic(struct vm *vm, struct machine_rows *out)
{
	const struct ioapic_state *s = dev_state(vm, DEV_IOAPIC);
	unsigned masked = 0;

	machine_row_heading(out, "IOAPIC at fec00000");
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t e = s->redirection[pin];
		struct machine_row *row;
		char name[20];

		if (e & RTE_MASKED) {
			masked++;
			continue;
		}
		snprintf(name, sizeof name, "pin %u", pin);
		row = machine_row_add(out, name, e, 16);
		machine_row_text(row, "vector %02x to %s %02x, %s%s%s", (unsigned)(e & RTE_VECTOR),
		    e & RTE_LOGICAL ? "logical" : "APIC", (unsigned)(e >> RTE_DEST_SHIFT),
		    e & RTE_LEVEL ? "level" : "edge", e & RTE_REMOTE_IRR ? ", awaits EOI" : "",
		    s->high >> pin & 1 ? ", line high" : "");
	}
	machine_row_text(machine_row_add(out, "masked", masked, 2), "pins");
}

static unsigned from_bcd(const struct mc146818_state *s, unsigned reg)
{
	uint8_t v = s->cmos[reg];

	return s->cmos[11] & 0x04 ? v : (v >> 4) * 10u + (v & 15u);
}

static void fill_rtc(struct vm *vm, struct machine_rows *out)
{
	static const char *const b_bits[] = {"DSE", "24h", "binary", "SQWE", "UIE", "AIE", "PIE", "SET"};
	static const char *const c_bits[] = {[4] = "UF", "AF", "PF", "IRQF"};
	const struct mc146818_state *s = dev_state(vm, DEV_MC146818);
	struct machine_row *row;

	machine_row_heading(out, "RTC MC146818, as last updated");
	row = machine_row_add(out, "time", 0, 0);
	machine_row_text(row, "%02u-%02u-%02u %02u:%02u:%02u, index %02x", from_bcd(s, 9), from_bcd(s, 8),
	    from_bcd(s, 7), s->cmos[4] & 0x80 ? from_bcd(s, 4) & 0x7fu : from_bcd(s, 4), from_bcd(s, 2), from_bcd(s, 0),
	    s->index);
	row = machine_row_add(out, "register B", s->cmos[11], 2);
	machine_bit_names(s->cmos[11], b_bits, ARRAY_LEN(b_bits), row->text, sizeof row->text);
	row = machine_row_add(out, "register C", s->cmos[12], 2);
	machine_bit_names(s->cmos[12], c_bits, ARRAY_LEN(c_bits), row->text, sizeof row->text);
}

static void fill_uart(struct vm *vm, struct machine_rows *out)
{
	static const char *const ier_bits[] = {"receive", "transmit", "line", "modem"};
	static const char *const mcr_bits[] = {"DTR", "RTS", "OUT1", "OUT2", "loop"};
	const struct uart16550_state *s = dev_state(vm, DEV_UART16550);
	unsigned divisor = (unsigned)s->dlm << 8 | s->dll;
	struct machine_row *row;

	machine_row_heading(out, "UART 16550 at port 3f8, IRQ 4");
	row = machine_row_add(out, "line control", s->lcr, 2);
	machine_row_text(row, "%u bits, %s parity, %u stop, %u baud%s", 5 + (s->lcr & 3u),
	    s->lcr & 8 ? s->lcr & 16 ? "even" : "odd" : "no", s->lcr & 4 ? 2u : 1u, 115200u / (divisor ? divisor : 1),
	    s->lcr & 0x80 ? ", DLAB" : "");
	row = machine_row_add(out, "interrupts", s->ier, 2);
	machine_bit_names(s->ier & 15u, ier_bits, ARRAY_LEN(ier_bits), row->text, sizeof row->text);
	if (!(s->ier & 15))
		machine_row_text(row, "none enabled: the guest polls");
	row = machine_row_add(out, "modem control", s->mcr, 2);
	machine_bit_names(s->mcr & 31u, mcr_bits, ARRAY_LEN(mcr_bits), row->text, sizeof row->text);
	row = machine_row_add(out, "received", s->n, 2);
	machine_row_text(row, "bytes in the %s, %u typed ones wait", s->fcr & 1 ? "FIFO" : "receiver",
	    s->backlog_in - s->backlog_out);
}

void machine_fill_devices(struct machine_state *m, struct vm *vm, struct view_model *model, struct machine_rows *out)
{
	(void)model;
	if (m->remote) {
		machine_row_heading(out, "The devices are on the bare-metal machine; their state is not sent here.");
		return;
	}
	if (!vm || !vm->machine) {
		machine_row_heading(out, "This machine has no devices.");
		return;
	}
	fill_pic(vm, out);
	fill_pit(vm, out);
	fill_uart(vm, out);
	if (m->vcpu < vm->n_vcpus)
		fill_lapic(vm, m->vcpu, &m->cpu, out);
	fill_ioapic(vm, out);
	fill_rtc(vm, out);
}
