/*
 * The MP configuration table, version 1.4: one CPU after the other, the ISA bus, the IOAPIC, where each ISA line goes,
 * and what the two local interrupt pins have.
 */
#include "core/mptable.h"

#include "core/dev/dev.h"
#include "core/le.h"

#define POINTER_SIZE 16u
#define HEADER_SIZE 44u
#define SPEC_REVISION 4u
#define LAPIC_ADDRESS 0xfee00000u
#define LAPIC_VERSION 0x14u
#define IOAPIC_ADDRESS 0xfec00000u
#define IOAPIC_VERSION 0x20u
#define IOAPIC_ID 0u
#define ISA_BUS 0u
#define ISA_LINES 16u
#define SCI_LINE 9u
#define LEVEL_HIGH 0xdu

enum { ENTRY_CPU, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_LINE, ENTRY_LOCAL };
enum { INT_VECTORED, INT_NMI, INT_EXTINT = 3 };

struct writer {
	uint8_t *out;
	unsigned len, entries;
};

static void put(struct writer *w, unsigned n, uint64_t v)
{
	append_le(w->out, &w->len, MPTABLE_MAX, n, v);
}

static void put_text(struct writer *w, const char *s)
{
	while (*s)
		put(w, 1, (uint8_t)*s++);
}

static void put_cpu(struct writer *w, const struct vm *vm, unsigned id)
{
	uint32_t leaf[4] = {0};

	if (id < vm->n_vcpus)
		x86_cpuid(&vm->vcpus[id].cpu, 1, 0, leaf);
	put(w, 1, ENTRY_CPU);
	put(w, 1, id);
	put(w, 1, LAPIC_VERSION);
	put(w, 1, id == 0 ? 3 : 1); /* usable; the first one is the bootstrap processor */
	put(w, 4, leaf[0]);
	put(w, 4, leaf[3]);
	put(w, 8, 0);
	w->entries++;
}

/* Of ISA lines, polarity and trigger are as the bus has them; but the power management's line is a level, active high,
 * as the MADT says too (acpi.c). */
static void put_interrupt(struct writer *w, unsigned entry, unsigned type, unsigned line, unsigned dest, unsigned pin)
{
	put(w, 1, entry);
	put(w, 1, type);
	put(w, 2, entry == ENTRY_LINE && line == SCI_LINE ? LEVEL_HIGH : 0);
	put(w, 1, ISA_BUS);
	put(w, 1, line);
	put(w, 1, dest);
	put(w, 1, pin);
	w->entries++;
}

static void put_entries(struct writer *w, const struct vm *vm)
{
	unsigned cpus = vm->cfg.n_vcpus ? vm->cfg.n_vcpus : 1;

	for (unsigned i = 0; i < cpus; i++)
		put_cpu(w, vm, i);
	put(w, 1, ENTRY_BUS);
	put(w, 1, ISA_BUS);
	put_text(w, "ISA   ");
	put(w, 1, ENTRY_IOAPIC);
	put(w, 1, IOAPIC_ID);
	put(w, 1, IOAPIC_VERSION);
	put(w, 1, 1); /* usable */
	put(w, 4, IOAPIC_ADDRESS);
	w->entries += 2;
	for (unsigned i = 0; i < ISA_LINES; i++) /* 2 is the cascade of the PICs; the timer has its pin */
		if (i != 2)
			put_interrupt(w, ENTRY_LINE, INT_VECTORED, i, IOAPIC_ID, i == 0 ? 2 : i);
	put_interrupt(w, ENTRY_LOCAL, INT_EXTINT, 0, 0, 0);
	put_interrupt(w, ENTRY_LOCAL, INT_NMI, 0, 0xff, 1);
}

unsigned mptable_build(const struct vm *vm, uint64_t base, uint8_t out[MPTABLE_MAX])
{
	struct writer w = {.out = out};
	uint8_t *table = out + POINTER_SIZE;

	memset(out, 0, MPTABLE_MAX);
	put_text(&w, "_MP_");
	put(&w, 4, base + POINTER_SIZE);
	put(&w, 1, POINTER_SIZE / 16);
	put(&w, 1, SPEC_REVISION);
	w.len = POINTER_SIZE; /* checksum, then features: a table is present, no IMCR */
	out[10] = minus_sum(out, POINTER_SIZE);
	put_text(&w, "PCMP");
	put(&w, 2, 0); /* length */
	put(&w, 1, SPEC_REVISION);
	put(&w, 1, 0); /* checksum */
	put_text(&w, "VMSCOPE VIRTUAL PC  ");
	put(&w, 6, 0); /* no table of the manufacturer */
	put(&w, 2, 0); /* entries */
	put(&w, 4, LAPIC_ADDRESS);
	put(&w, 4, 0); /* no extended table */
	put_entries(&w, vm);
	put_le(table + 4, 2, w.len - POINTER_SIZE);
	put_le(table + 34, 2, w.entries);
	table[7] = minus_sum(table, w.len - POINTER_SIZE);
	return w.len;
}
