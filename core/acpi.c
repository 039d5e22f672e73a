/*
 * The ACPI tables, of revision 2.0 :
 *
 *   RSDP -> RSDT, XSDT -> FADT -> FACS, DSDT      fixed hardware: PM timer, SCI, soft off; the PCI host bridge
 *                      -> MADT                    local APICs, IOAPIC, which line is which pin
 *
 * Everything is arithmetic on the machine's own facts, so the same machine has the same tables.
 */
#include "core/acpi.h"

#include "core/dev/dev.h"
#include "core/le.h"

#define SCI_IRQ 9
#define SMI_COMMAND 0xb2
#define ACPI_ON 0xf1 /* to SMI_COMMAND */
#define ACPI_OFF 0xf0
#define RESET_PORT 0xcf9
#define RESET_VALUE 6

/* FADT flags: WBINVD works, C1 is there, no power or sleep button, the clock does not wake, there is a reset register.
 */
#define FADT_FLAGS (1u << 0 | 1u << 2 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 10)
#define FADT_SIZE 244u
#define FACS_SIZE 64u
#define NO_C2 101u
#define NO_C3 1001u

#define MADT_PIC 1u /* there is a PIC pair, too */
#define MADT_LEVEL_HIGH 0xdu
#define LAPIC_ADDRESS 0xfee00000u
#define IOAPIC_ADDRESS 0xfec00000u

/*
 * The definition block, compiled:
 *
 *   Name (_S5, Package (4) {0, 0, 0, 0})                     sleep type 0 of PM1 control is soft off
 *   Scope (_SB) {
 *     Device (PCI0) { Name (_HID, EisaId ("PNP0A03")) Name (_UID, 0) Name (_CRS, ResourceTemplate () {
 *       WordBusNumber (0-FF) IO (CF8, 8) WordIO (0-CF7) WordIO (D00-FFFF)
 *       DWordMemory (A0000-BFFFF, cacheable) DWordMemory (C0000000-FEBFFFFF) }) }
 *     Device (RTC) { PNP0B00: IO (70, 2) IRQ 8 }
 *     Device (KBD) { PNP0303: IO (60, 1) IO (64, 1) IRQ 1 }
 *     Device (COM1) { PNP0501, _UID 1: IO (3F8, 8) IRQ 4 } }
 */
/* clang-format off */
static const uint8_t dsdt[] = {
	/* _S5 */
	0x08, 0x5f, 0x53, 0x35, 0x5f, 0x12, 0x06, 0x04, 0x00, 0x00, 0x00, 0x00,
	/* Scope (_SB) */
	0x10, 0x49, 0x11, 0x5f, 0x53, 0x42, 0x5f,
	/* PCI0 */
	0x5b, 0x82, 0x4e, 0x08, 0x50, 0x43, 0x49, 0x30, 0x08, 0x5f, 0x48, 0x49, 0x44, 0x0c, 0x41, 0xd0,
	0x0a, 0x03, 0x08, 0x5f, 0x55, 0x49, 0x44, 0x00, 0x08, 0x5f, 0x43, 0x52, 0x53, 0x11, 0x42, 0x07,
	0x0a, 0x6e, 0x88, 0x0d, 0x00, 0x02, 0x0c, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0x00, 0x00, 0x00,
	0x00, 0x01, 0x47, 0x01, 0xf8, 0x0c, 0xf8, 0x0c, 0x01, 0x08, 0x88, 0x0d, 0x00, 0x01, 0x0c, 0x03,
	0x00, 0x00, 0x00, 0x00, 0xf7, 0x0c, 0x00, 0x00, 0xf8, 0x0c, 0x88, 0x0d, 0x00, 0x01, 0x0c, 0x03,
	0x00, 0x00, 0x00, 0x0d, 0xff, 0xff, 0x00, 0x00, 0x00, 0xf3, 0x87, 0x17, 0x00, 0x00, 0x0c, 0x03,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x00, 0xff, 0xff, 0x0b, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x02, 0x00, 0x87, 0x17, 0x00, 0x00, 0x0c, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0xc0, 0xff, 0xff, 0xbf, 0xfe, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xc0, 0x3e, 0x79, 0x00,
	/* RTC */
	0x5b, 0x82, 0x25, 0x52, 0x54, 0x43, 0x5f, 0x08, 0x5f, 0x48, 0x49, 0x44, 0x0c, 0x41, 0xd0, 0x0b,
	0x00, 0x08, 0x5f, 0x43, 0x52, 0x53, 0x11, 0x10, 0x0a, 0x0d, 0x47, 0x01, 0x70, 0x00, 0x70, 0x00,
	0x01, 0x02, 0x22, 0x00, 0x01, 0x79, 0x00,
	/* KBD */
	0x5b, 0x82, 0x2d, 0x4b, 0x42, 0x44, 0x5f, 0x08, 0x5f, 0x48, 0x49, 0x44, 0x0c, 0x41, 0xd0, 0x03,
	0x03, 0x08, 0x5f, 0x43, 0x52, 0x53, 0x11, 0x18, 0x0a, 0x15, 0x47, 0x01, 0x60, 0x00, 0x60, 0x00,
	0x01, 0x01, 0x47, 0x01, 0x64, 0x00, 0x64, 0x00, 0x01, 0x01, 0x22, 0x02, 0x00, 0x79, 0x00,
	/* COM1 */
	0x5b, 0x82, 0x2b, 0x43, 0x4f, 0x4d, 0x31, 0x08, 0x5f, 0x48, 0x49, 0x44, 0x0c, 0x41, 0xd0, 0x05,
	0x01, 0x08, 0x5f, 0x55, 0x49, 0x44, 0x01, 0x08, 0x5f, 0x43, 0x52, 0x53, 0x11, 0x10, 0x0a, 0x0d,
	0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08, 0x22, 0x10, 0x00, 0x79, 0x00,
};
/* clang-format on */

static void put(struct acpi_tables *t, unsigned n, uint64_t v)
{
	append_le(t->byte, &t->len, ACPI_TABLES_MAX, n, v);
}

static void put_at(struct acpi_tables *t, unsigned at, unsigned n, uint64_t v)
{
	put_le(t->byte + at, n, v);
}

static void put_pointer(struct acpi_tables *t, unsigned at, unsigned n, uint64_t address)
{
	put_at(t, at, n, address);
	t->pointer[t->n_pointers++] = (struct acpi_pointer){(uint16_t)at, (uint16_t)n};
}

static void align(struct acpi_tables *t, unsigned to)
{
	while (t->len % to)
		put(t, 1, 0);
}

static unsigned begin(struct acpi_tables *t, const char *signature, unsigned revision)
{
	unsigned at;

	align(t, 8);
	at = t->len;
	for (unsigned i = 0; i < 4; i++)
		put(t, 1, (uint8_t)signature[i]);
	put(t, 4, 0); /* length */
	put(t, 1, revision);
	put(t, 1, 0);					/* checksum */
	for (const char *c = "VMSCOPVMSCOPVM"; *c; c++) /* OEM id, OEM table id */
		put(t, 1, (uint8_t)*c);
	put(t, 4, 1);	       /* OEM revision */
	put(t, 4, 0x504f5356); /* creator: "VSOP" */
	put(t, 4, 1);
	return at;
}

/* After the last pointer of the table is in its place. */
static void end(struct acpi_tables *t, unsigned at)
{
	unsigned n = t->len - at;

	put_at(t, at + 4, 4, n);
	t->byte[at + ACPI_CHECKSUM] = minus_sum(t->byte + at, n);
	t->table[t->n_tables++] = (struct acpi_span){(uint16_t)at, (uint16_t)n};
}

static unsigned build_facs(struct acpi_tables *t)
{
	unsigned at;

	align(t, 64);
	at = t->len;
	put(t, 4, 0x53434146); /* "FACS" */
	put(t, 4, FACS_SIZE);
	while (t->len < at + FACS_SIZE)
		put(t, 1, 0);
	t->byte[at + 32] = 1; /* version */
	return at;
}

static unsigned build_dsdt(struct acpi_tables *t)
{
	unsigned at = begin(t, "DSDT", 2);

	for (unsigned i = 0; i < sizeof(dsdt); i++)
		put(t, 1, dsdt[i]);
	end(t, at);
	return at;
}

/* A generic address: I/O space, width in bits. */
static void put_port(struct acpi_tables *t, unsigned at, unsigned bits, unsigned port)
{
	put_at(t, at, 1, 1);
	put_at(t, at + 1, 1, bits);
	put_at(t, at + 4, 8, port);
}

/* Offsets by the definition of the table in the specification. */
static unsigned build_fadt(struct acpi_tables *t, unsigned pm, uint64_t base, unsigned facs, unsigned dsdt_at)
{
	unsigned at = begin(t, "FACP", 3);

	while (t->len < at + FADT_SIZE)
		put(t, 1, 0);
	put_pointer(t, at + 36, 4, base + facs);
	put_pointer(t, at + 40, 4, base + dsdt_at);
	put_at(t, at + 46, 2, SCI_IRQ);
	put_at(t, at + 48, 4, SMI_COMMAND);
	put_at(t, at + 52, 1, ACPI_ON);
	put_at(t, at + 53, 1, ACPI_OFF);
	put_at(t, at + 56, 4, pm);     /* PM1a event */
	put_at(t, at + 64, 4, pm + 4); /* PM1a control */
	put_at(t, at + 76, 4, pm + 8); /* PM timer */
	put_at(t, at + 88, 1, 4);      /* their lengths */
	put_at(t, at + 89, 1, 2);
	put_at(t, at + 91, 1, 4);
	put_at(t, at + 96, 2, NO_C2);
	put_at(t, at + 98, 2, NO_C3);
	put_at(t, at + 108, 1, 0x32); /* the clock's century byte */
	put_at(t, at + 109, 2, 3);    /* boot architecture: ISA devices, 8042 */
	put_at(t, at + 112, 4, FADT_FLAGS);
	put_port(t, at + 116, 8, RESET_PORT);
	put_at(t, at + 128, 1, RESET_VALUE);
	put_pointer(t, at + 140, 8, base + dsdt_at);
	put_port(t, at + 148, 32, pm);
	put_port(t, at + 172, 16, pm + 4);
	put_port(t, at + 208, 32, pm + 8);
	end(t, at);
	return at;
}

static void put_override(struct acpi_tables *t, unsigned irq, unsigned pin, unsigned flags)
{
	put(t, 1, 2);
	put(t, 1, 10);
	put(t, 1, 0); /* ISA */
	put(t, 1, irq);
	put(t, 4, pin);
	put(t, 2, flags);
}

static unsigned build_madt(struct acpi_tables *t, unsigned cpus)
{
	unsigned at = begin(t, "APIC", 1);

	put(t, 4, LAPIC_ADDRESS);
	put(t, 4, MADT_PIC);
	for (unsigned i = 0; i < cpus; i++) {
		put(t, 1, 0);
		put(t, 1, 8);
		put(t, 1, i); /* processor */
		put(t, 1, i); /* its APIC */
		put(t, 4, 1); /* usable */
	}
	put(t, 1, 1); /* the IOAPIC */
	put(t, 1, 12);
	put(t, 2, 0); /* its id */
	put(t, 4, IOAPIC_ADDRESS);
	put(t, 4, 0); /* its first interrupt */
	put_override(t, 0, 2, 0);
	put_override(t, SCI_IRQ, SCI_IRQ, MADT_LEVEL_HIGH);
	put(t, 1, 4); /* NMI at LINT1 of every processor */
	put(t, 1, 6);
	put(t, 1, 0xff);
	put(t, 2, 0);
	put(t, 1, 1);
	end(t, at);
	return at;
}

/* RSDT and XSDT: the same list, of 4 or 8 bytes each. */
static unsigned build_root(
    struct acpi_tables *t, const char *name, unsigned size, uint64_t base, const unsigned list[2])
{
	unsigned at = begin(t, name, 1);

	for (unsigned i = 0; i < 2; i++) {
		put(t, size, 0);
		put_pointer(t, t->len - size, size, base + list[i]);
	}
	end(t, at);
	return at;
}

void acpi_build(const struct vm *vm, uint64_t base, struct acpi_tables *t)
{
	unsigned cpus = vm->cfg.n_vcpus ? vm->cfg.n_vcpus : 1, list[2];

	memset(t, 0, sizeof(*t));
	unsigned facs = build_facs(t), dsdt_at = build_dsdt(t);
	list[0] = build_fadt(t, piix4pm_base(dev_get(vm, DEV_PIIX4PM)), base, facs, dsdt_at);
	list[1] = build_madt(t, cpus);
	t->rsdt = build_root(t, "RSDT", 4, base, list);
	t->xsdt = build_root(t, "XSDT", 8, base, list);
}

void acpi_build_rsdp(const struct acpi_tables *t, uint64_t base, uint8_t out[ACPI_RSDP_SIZE])
{
	static const char head[15] = "RSD PTR \0VMSCOP";

	memset(out, 0, ACPI_RSDP_SIZE);
	memcpy(out, head, sizeof(head));
	out[15] = 2; /* revision */
	put_le(out + ACPI_RSDP_RSDT, 4, base + t->rsdt);
	out[20] = ACPI_RSDP_SIZE;
	put_le(out + ACPI_RSDP_XSDT, 8, base + t->xsdt);
	out[8] = minus_sum(out, 20);
	out[32] = minus_sum(out, ACPI_RSDP_SIZE);
}
