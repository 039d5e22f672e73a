/*
 * The host bridge: configuration mechanism 1, reset control, and the ROM shadow in every combination.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/dev_fixture.h"

static struct dev_fixture f;

static int setup(void **state)
{
	(void)state;
	fake_host_reset();
	dev_open(&f, 2 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dev_close(&f);
	return 0;
}

static uint32_t address(unsigned device, unsigned function, unsigned reg)
{
	return 0x80000000u | device << 11 | function << 8 | reg;
}

static uint32_t cfg(unsigned device, unsigned function, unsigned reg)
{
	dev_outl(&f, 0xcf8, address(device, function, reg & ~3u));
	return dev_inl(&f, 0xcfc);
}

static void set_byte(unsigned device, unsigned function, unsigned reg, uint8_t v)
{
	dev_outl(&f, 0xcf8, address(device, function, reg & ~3u));
	dev_out(&f, (uint16_t)(0xcfc + (reg & 3)), v);
}

static void the_bus_has_three_functions_and_the_rest_reads_ones(void **state)
{
	unsigned found = 0;

	(void)state;
	for (unsigned d = 0; d < 32; d++)
		for (unsigned fn = 0; fn < 8; fn++)
			found += cfg(d, fn, 0) != 0xffffffffu;
	assert_int_equal(found, 3);
	assert_int_equal(cfg(0, 0, 0), 0x12378086);
	assert_int_equal(cfg(1, 0, 0), 0x70008086);
	assert_int_equal(cfg(1, 3, 0), 0x71138086);
	assert_int_equal(cfg(0, 0, 8) >> 8, 0x060000); /* class codes */
	assert_int_equal(cfg(1, 0, 8) >> 8, 0x060100);
	assert_int_equal(cfg(1, 3, 8) >> 8, 0x068000);
	assert_int_equal(cfg(1, 0, 12) >> 16 & 0xff, 0x80); /* the PIIX3 has more than one function */
	assert_int_equal(cfg(0, 0, 0x2c), 0x11001af4);
	dev_outl(&f, 0xcf8, address(0, 0, 0) | 1u << 16); /* bus 1 */
	assert_int_equal(dev_inl(&f, 0xcfc), 0xffffffffu);
}

static void data_is_reached_only_while_enabled(void **state)
{
	(void)state;
	dev_outl(&f, 0xcf8, address(0, 0, 0) & 0x7fffffffu);
	assert_int_equal(dev_inl(&f, 0xcfc), 0xffffffffu);
	dev_outl(&f, 0xcf8, 0xffffffffu);
	assert_int_equal(dev_inl(&f, 0xcf8), 0x80fffffcu);
	dev_outl(&f, 0xcf8, address(0, 0, 0));
	dev_out(&f, 0xcf8, 0x04); /* a byte there does not touch the address */
	assert_int_equal(dev_inl(&f, 0xcf8), address(0, 0, 0));
	assert_int_equal(dev_in(&f, 0xcf8), 0xff);
}

static void data_can_be_read_by_bytes_and_words(void **state)
{
	(void)state;
	dev_outl(&f, 0xcf8, address(0, 0, 0));
	assert_int_equal(dev_in(&f, 0xcfd), 0x80);
	assert_int_equal(dev_in(&f, 0xcff), 0x12);
	assert_int_equal(bus_pio_read(&f.vm.bus, 0xcfe, 2), 0x1237);
}

static void read_only_bytes_stay(void **state)
{
	(void)state;
	for (unsigned reg = 0; reg < 0x40; reg++) {
		uint32_t before = cfg(0, 0, reg);

		if (reg == 0x05 || reg == 0x0d)
			continue;
		set_byte(0, 0, reg, (uint8_t) ~(before >> (8 * (reg & 3))));
		assert_int_equal(cfg(0, 0, reg), before);
	}
	set_byte(0, 0, 0x72, 0x48); /* SMRAM: there is no SMM */
	assert_int_equal(cfg(0, 0, 0x70) >> 16 & 0xff, 0x02);
}

static void a_rising_reset_bit_resets(void **state)
{
	(void)state;
	dev_out(&f, 0xcf9, 0x02);
	assert_false(f.vm.want_reset);
	dev_out(&f, 0xcf9, 0x06);
	assert_true(f.vm.want_reset);
	assert_int_equal(dev_in(&f, 0xcf9), 0x06);
	f.vm.want_reset = false;
	dev_out(&f, 0xcf9, 0x06);
	assert_false(f.vm.want_reset);
}

static uint8_t read8(gpa_t gpa)
{
	uint8_t v = 0;

	(void)!mem_read(&f.vm.mem, gpa, &v, 1);
	return v;
}

static const struct mem_slot *slot_at(gpa_t gpa)
{
	return &f.vm.mem.slots[mem_find(&f.vm.mem, gpa)];
}

static void without_firmware_the_shadow_is_plain_ram(void **state)
{
	(void)state;
	assert_int_equal(cfg(0, 0, 0x58), 0x33333010);
	assert_int_equal(cfg(0, 0, 0x5c), 0x33333333);
	for (gpa_t gpa = 0xc0000; gpa < 0x100000; gpa += 0x1000) {
		assert_ptr_equal(mem_page(&f.vm.mem, gpa, true), f.vm.mem.ram + gpa);
		assert_ptr_equal(mem_page(&f.vm.mem, gpa, false), f.vm.mem.ram + gpa);
	}
}

#define ROM_SIZE 0x40000u

static void load_rom(void)
{
	static uint8_t rom[ROM_SIZE];
	struct errmsg why;

	for (unsigned i = 0; i < ROM_SIZE; i++)
		rom[i] = (uint8_t)(0x80 | i >> 12);
	assert_int_equal(machine_set_firmware(&f.vm, rom, ROM_SIZE, &why), ERR_OK);
}

static void with_firmware_reads_find_rom_and_writes_are_dropped(void **state)
{
	(void)state;
	load_rom();
	assert_int_equal(cfg(0, 0, 0x5c), 0);
	for (gpa_t gpa = 0xe0000; gpa < 0x100000; gpa += 0x1000) {
		assert_int_equal(read8(gpa), 0x80 | ((gpa - 0xe0000 + 0x20000) >> 12));
		assert_null(mem_page(&f.vm.mem, gpa, true));
	}
	for (gpa_t gpa = 0xc0000; gpa < 0xe0000; gpa += 0x1000) /* nothing behind PCI */
		assert_int_equal(read8(gpa), 0xff);
	assert_int_equal(read8(0xfffc0000), 0x80);
	assert_int_equal(read8(0xffffffff), 0x80 | 0x3f);
}

/* Each segment through all four attributes: what is read and where a write goes. */
static void each_segment_obeys_its_two_bits(void **state)
{
	(void)state;
	load_rom();
	for (unsigned seg = 0; seg < 13; seg++) {
		gpa_t gpa = seg < 12 ? 0xc0000 + seg * 0x4000 : 0xf0000;
		unsigned reg = seg < 12 ? 0x5a + seg / 2 : 0x59, shift = seg < 12 ? seg % 2 * 4 : 4;
		uint8_t *ram = f.vm.mem.ram + gpa, *rom = slot_at(gpa)->read;

		assert_true((rom != NULL) == (gpa >= 0xe0000));
		for (unsigned attr = 0; attr < 4; attr++) {
			uint64_t generation = f.vm.mem.generation;

			set_byte(0, 0, reg, (uint8_t)(attr << shift));
			assert_ptr_equal(slot_at(gpa)->read, attr & 1 ? ram : rom);
			assert_ptr_equal(slot_at(gpa)->write, attr & 2 ? ram : NULL);
			assert_true(attr == 0 || f.vm.mem.generation != generation);
		}
		set_byte(0, 0, reg, 0);
	}
}

static void a_neighbour_segment_is_left_alone(void **state)
{
	(void)state;
	load_rom();
	set_byte(0, 0, 0x5e, 0x30); /* E4000 only */
	assert_ptr_equal(slot_at(0xe4000)->read, f.vm.mem.ram + 0xe4000);
	assert_ptr_not_equal(slot_at(0xe0000)->read, f.vm.mem.ram + 0xe0000);
	assert_ptr_not_equal(slot_at(0xe8000)->read, f.vm.mem.ram + 0xe8000);
}

static void firmware_can_copy_itself_into_its_shadow(void **state)
{
	(void)state;
	load_rom();
	set_byte(0, 0, 0x59, 0x20); /* read ROM, write RAM */
	for (gpa_t gpa = 0xf0000; gpa < 0x100000; gpa++)
		slot_at(gpa)->write[gpa - 0xf0000] = (uint8_t)(read8(gpa) ^ 0x40);
	assert_int_equal(read8(0xf0000), 0xb0);
	set_byte(0, 0, 0x59, 0x10); /* read RAM, drop writes */
	assert_int_equal(read8(0xf0000), 0xb0 ^ 0x40);
	assert_null(mem_page(&f.vm.mem, 0xf0000, true));
	machine_reset(&f.vm);
	assert_int_equal(read8(0xf0000), 0xb0);
}

static enum err refuse(void *arg, unsigned slot, struct errmsg *why)
{
	(void)arg, (void)slot;
	return err_set(why, ERR_IO, "no more slots");
}

static void a_host_that_cannot_follow_ends_the_machine(void **state)
{
	(void)state;
	f.vm.mem.on_change = refuse;
	set_byte(0, 0, 0x59, 0x10);
	assert_true(f.vm.ended);
	assert_int_equal(f.vm.end.kind, END_HOST_ERROR);
	assert_non_null(strstr(f.vm.end.detail, "no more slots"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_bus_has_three_functions_and_the_rest_reads_ones, setup, teardown),
	    cmocka_unit_test_setup_teardown(data_is_reached_only_while_enabled, setup, teardown),
	    cmocka_unit_test_setup_teardown(data_can_be_read_by_bytes_and_words, setup, teardown),
	    cmocka_unit_test_setup_teardown(read_only_bytes_stay, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_rising_reset_bit_resets, setup, teardown),
	    cmocka_unit_test_setup_teardown(without_firmware_the_shadow_is_plain_ram, setup, teardown),
	    cmocka_unit_test_setup_teardown(with_firmware_reads_find_rom_and_writes_are_dropped, setup, teardown),
	    cmocka_unit_test_setup_teardown(each_segment_obeys_its_two_bits, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_neighbour_segment_is_left_alone, setup, teardown),
	    cmocka_unit_test_setup_teardown(firmware_can_copy_itself_into_its_shadow, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_host_that_cannot_follow_ends_the_machine, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
