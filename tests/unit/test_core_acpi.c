/*
 * The ACPI tables: every checksum and length is right, every pointer leads to a table, the tables say what the machine
 * is, and firmware that follows the table loader gets what a direct boot gets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "core/acpi.h"
#include "core/mptable.h"
#include "tests/dev_fixture.h"

static struct dev_fixture f;

static int setup(void **state)
{
	(void)state;
	fake_host_reset();
	dev_open(&f, 2 << 20);
	f.vm.cfg.n_vcpus = 3;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dev_close(&f);
	return 0;
}

static uint64_t get(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = n; i-- > 0;)
		v = v << 8 | p[i];
	return v;
}

static unsigned sum(const uint8_t *p, unsigned n)
{
	unsigned s = 0;

	while (n--)
		s += *p++;
	return s & 0xff;
}

/* The table at an address in tables that lie at base; everything a reader would check. */
static const uint8_t *table_at(const struct acpi_tables *t, uint64_t base, uint64_t at, const char *signature)
{
	assert_true(at >= base && at - base + 36 <= t->len);
	const uint8_t *p = t->byte + (at - base);
	uint32_t len = (uint32_t)get(p + 4, 4);

	assert_memory_equal(p, signature, 4);
	assert_true(len >= 36 && at - base + len <= t->len);
	assert_int_equal(sum(p, len), 0);
	return p;
}

static void every_table_can_be_reached_and_adds_up(void **state)
{
	static const uint64_t bases[] = {0, 0xf0040, 0x7ffe0000};
	struct acpi_tables t;
	uint8_t rsdp[ACPI_RSDP_SIZE];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bases); i++) {
		uint64_t base = bases[i];

		acpi_build(&f.vm, base, &t);
		acpi_build_rsdp(&t, base, rsdp);
		assert_memory_equal(rsdp, "RSD PTR ", 8);
		assert_int_equal(sum(rsdp, 20), 0);
		assert_int_equal(sum(rsdp, ACPI_RSDP_SIZE), 0);
		const uint8_t *rsdt = table_at(&t, base, get(rsdp + 16, 4), "RSDT");
		const uint8_t *xsdt = table_at(&t, base, get(rsdp + 24, 8), "XSDT");

		for (unsigned k = 0; k < 2; k++)
			assert_int_equal(get(rsdt + 36 + 4 * k, 4), get(xsdt + 36 + 8 * k, 8));
		const uint8_t *fadt = table_at(&t, base, get(xsdt + 36, 8), "FACP");
		const uint8_t *dsdt = table_at(&t, base, get(fadt + 40, 4), "DSDT");

		assert_ptr_equal(dsdt, table_at(&t, base, get(fadt + 140, 8), "DSDT"));
		assert_memory_equal(t.byte + (get(fadt + 36, 4) - base), "FACS", 4);
		assert_int_equal(get(fadt + 36, 4) % 64, 0);
		assert_int_equal(get(fadt + 76, 4), 0x608); /* the PM timer */
		assert_int_equal(get(fadt + 212, 8), 0x608);
		(void)table_at(&t, base, get(xsdt + 44, 8), "APIC");
	}
}

static void the_madt_has_every_cpu_and_the_wires(void **state)
{
	unsigned cpus = 0, ioapics = 0, overrides = 0;
	struct acpi_tables t;

	(void)state;
	acpi_build(&f.vm, 0, &t);
	const uint8_t *xsdt = t.byte + t.xsdt, *madt = table_at(&t, 0, get(xsdt + 44, 8), "APIC");
	uint32_t len = (uint32_t)get(madt + 4, 4), at;

	assert_int_equal(get(madt + 36, 4), 0xfee00000);
	for (at = 44; at < len; at += madt[at + 1]) {
		const uint8_t *e = madt + at;

		assert_true(e[1] >= 2);
		if (e[0] == 0) {
			assert_int_equal(e[3], cpus++);
			assert_int_equal(get(e + 4, 4), 1);
		} else if (e[0] == 1) {
			ioapics++;
			assert_int_equal(get(e + 4, 4), 0xfec00000);
		} else if (e[0] == 2) {
			overrides++;
			assert_int_equal(get(e + 4, 4), e[3] == 0 ? 2 : 9);
		}
	}
	assert_int_equal(at, len);
	assert_int_equal(cpus, 3);
	assert_int_equal(ioapics, 1);
	assert_int_equal(overrides, 2);
}

static void the_mp_table_has_every_cpu_and_line(void **state)
{
	static const uint8_t sizes[] = {20, 8, 8, 8, 8};
	unsigned cpus = 0, lines = 0, entries = 0, at;
	uint8_t mp[MPTABLE_MAX];

	(void)state;
	unsigned n = mptable_build(&f.vm, 0xf1000, mp);
	const uint8_t *table = mp + 16;

	assert_memory_equal(mp, "_MP_", 4);
	assert_int_equal(sum(mp, 16), 0);
	assert_int_equal(get(mp + 4, 4), 0xf1010);
	assert_memory_equal(table, "PCMP", 4);
	assert_int_equal(get(table + 4, 2), n - 16);
	assert_int_equal(sum(table, n - 16), 0);
	assert_int_equal(get(table + 36, 4), 0xfee00000);
	for (at = 44; at < n - 16; at += sizes[table[at]], entries++) {
		const uint8_t *e = table + at;

		assert_true(e[0] < sizeof(sizes));
		if (e[0] == 0)
			assert_int_equal(e[1], cpus++);
		if (e[0] == 3) {
			lines++;
			assert_int_equal(e[7], e[5] == 0 ? 2 : e[5]);
			/* polarity and trigger: of the power management's line what the MADT says */
			assert_int_equal(e[2] | e[3] << 8, e[5] == 9 ? 0xd : 0);
		}
	}
	assert_int_equal(at, n - 16);
	assert_int_equal(entries, get(table + 34, 2));
	assert_int_equal(cpus, 3);
	assert_int_equal(lines, 15);
}

/* --- Firmware ------------------------------------------------------------------------------------------------------
 */

struct file {
	char name[57];
	uint16_t key;
	uint32_t size;
};

static uint64_t big(unsigned n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | dev_in(&f, 0x511);
	return v;
}

static void select_item(uint16_t key)
{
	bus_pio_write(&f.vm.bus, 0x510, 2, key);
}

static struct file find(const char *name)
{
	struct file file;

	select_item(0x19);
	for (unsigned n = (unsigned)big(4); n--;) {
		memset(&file, 0, sizeof(file));
		file.size = (uint32_t)big(4);
		file.key = (uint16_t)big(2);
		(void)big(2);
		for (unsigned i = 0; i < 56; i++)
			file.name[i] = (char)dev_in(&f, 0x511);
		if (strcmp(file.name, name) == 0)
			return file;
	}
	fail_msg("no file %s", name);
	return file;
}

static uint32_t read_file(const char *name, uint8_t *buf, uint32_t max)
{
	struct file file = find(name);

	assert_true(file.size <= max);
	select_item(file.key);
	for (uint32_t i = 0; i < file.size; i++)
		buf[i] = dev_in(&f, 0x511);
	return file.size;
}

/* What a firmware does with the commands: two files, the tables at base. */
static void follow(const uint8_t *c, uint64_t base, uint8_t *rsdp, uint8_t *tables)
{
	uint8_t *file = strcmp((const char *)c + 4, "etc/acpi/rsdp") == 0 ? rsdp : tables;

	if (get(c, 4) == 1) {
		assert_int_equal(base % get(c + 60, 4), 0);
	} else if (get(c, 4) == 2) {
		unsigned n = c[120];
		uint8_t *at = file + get(c + 116, 4);
		uint64_t v = get(at, n) + base;

		assert_string_equal((const char *)c + 60, "etc/acpi/tables");
		for (unsigned i = 0; i < n; i++)
			at[i] = (uint8_t)(v >> (8 * i));
	} else {
		assert_int_equal(get(c, 4), 3);
		file[get(c + 60, 4)] -= (uint8_t)sum(file + get(c + 64, 4), (unsigned)get(c + 68, 4));
	}
}

static void firmware_that_follows_the_loader_gets_the_same_tables(void **state)
{
	const uint64_t base = 0x1ffe000;
	static uint8_t commands[4096], tables[4096], rsdp[64], want_rsdp[ACPI_RSDP_SIZE];
	struct acpi_tables want;

	(void)state;
	uint32_t n = read_file("etc/table-loader", commands, sizeof(commands));
	uint32_t tables_n = read_file("etc/acpi/tables", tables, sizeof(tables));

	assert_int_equal(n % 128, 0);
	assert_int_equal(read_file("etc/acpi/rsdp", rsdp, sizeof(rsdp)), ACPI_RSDP_SIZE);
	for (uint32_t at = 0; at < n; at += 128)
		follow(commands + at, base, rsdp, tables);
	acpi_build(&f.vm, base, &want);
	acpi_build_rsdp(&want, base, want_rsdp);
	assert_int_equal(tables_n, want.len);
	assert_memory_equal(tables, want.byte, want.len);
	assert_memory_equal(rsdp, want_rsdp, sizeof(want_rsdp));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(every_table_can_be_reached_and_adds_up, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_mp_table_has_every_cpu_and_line, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_madt_has_every_cpu_and_the_wires, setup, teardown),
	    cmocka_unit_test_setup_teardown(firmware_that_follows_the_loader_gets_the_same_tables, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
