/*
 * ACPI tables that describe this machine: for a guest that is loaded without firmware, and for firmware, which gets
 * them by fw_cfg and puts them where it likes.
 */
#ifndef VMSCOPE_CORE_ACPI_H
#define VMSCOPE_CORE_ACPI_H

#include "core/types.h"

struct vm;

#define ACPI_TABLES_MAX 2048u
#define ACPI_POINTERS_MAX 16u
#define ACPI_HEADERS_MAX 6u
#define ACPI_RSDP_SIZE 36u
#define ACPI_RSDP_RSDT 16u /* where its pointers are, 4 and 8 bytes */
#define ACPI_RSDP_XSDT 24u
#define ACPI_CHECKSUM 9u /* of a table */

struct acpi_tables {
	uint8_t byte[ACPI_TABLES_MAX];
	unsigned len;
	/* Fields that hold an address inside the tables: base was added to each. */
	struct acpi_pointer {
		uint16_t at, size;
	} pointer[ACPI_POINTERS_MAX];
	unsigned n_pointers;
	/* Tables with a checksum. */
	struct acpi_span {
		uint16_t at, len;
	} table[ACPI_HEADERS_MAX];
	unsigned n_tables;
	unsigned rsdt, xsdt; /* offsets */
};

/* The tables as they are at guest-physical address base, a multiple of 64. */
void acpi_build(const struct vm *vm, uint64_t base, struct acpi_tables *t);
/* The pointer to them, for tables at base. */
void acpi_build_rsdp(const struct acpi_tables *t, uint64_t base, uint8_t out[ACPI_RSDP_SIZE]);

#endif
