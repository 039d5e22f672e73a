/*
 * The text screen.
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

static char screen[25][81];

static void put(unsigned at, const char *s)
{
	for (; *s; s++, at += 2)
		bus_mmio_write(&f.vm.bus, 0xb8000 + at, 2, (uint64_t)(0x0700 | (uint8_t)*s));
}

static void indexed(uint16_t port, uint8_t index, uint8_t v)
{
	dev_out(&f, port, index);
	dev_out(&f, (uint16_t)(port + 1), v);
}

static uint8_t indexed_read(uint16_t port, uint8_t index)
{
	dev_out(&f, port, index);
	return dev_in(&f, (uint16_t)(port + 1));
}

static void it_comes_up_in_text_mode_and_blank(void **state)
{
	(void)state;
	assert_true(machine_screen(&f.vm, screen));
	for (unsigned y = 0; y < 25; y++)
		for (unsigned x = 0; x < 80; x++)
			assert_int_equal(screen[y][x], ' ');
	assert_int_equal(screen[24][80], 0);
	assert_int_equal(bus_mmio_read(&f.vm.bus, 0xb8000, 8), 0x0720072007200720);
}

static void what_is_written_is_shown_at_its_place(void **state)
{
	(void)state;
	put(0, "top left");
	put((24 * 80 + 72) * 2, "the end!");
	bus_mmio_write(&f.vm.bus, 0xb8000 + 160, 1, 0xc4);
	bus_mmio_write(&f.vm.bus, 0xb8000 + 162, 1, 0);
	assert_true(machine_screen(&f.vm, screen));
	assert_memory_equal(screen[0], "top left  ", 10);
	assert_string_equal(screen[24] + 70, "  the end!");
	assert_memory_equal(screen[1], ".  ", 3);
}

static void text_memory_takes_every_size_and_reads_back(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 8; n *= 2) {
		bus_mmio_write(&f.vm.bus, 0xbfff8, n, 0x1122334455667788);
		assert_int_equal(
		    bus_mmio_read(&f.vm.bus, 0xbfff8, n), 0x1122334455667788 & (n == 8 ? ~0ull : (1ull << 8 * n) - 1));
	}
	assert_int_equal(bus_mmio_read(&f.vm.bus, 0xa0000, 4), 0xffffffff); /* no graphics window */
}

static void the_start_address_scrolls_and_wraps(void **state)
{
	(void)state;
	put(160, "second");
	indexed(0x3d4, 0x0d, 80);
	assert_true(machine_screen(&f.vm, screen));
	assert_memory_equal(screen[0], "second", 6);
	put(0, "first");
	indexed(0x3d4, 0x0c, 0x3f); /* 0x3fb0 words: 80 before the end of the memory */
	indexed(0x3d4, 0x0d, 0xb0);
	assert_true(machine_screen(&f.vm, screen));
	assert_memory_equal(screen[1], "first", 5);
	assert_memory_equal(screen[2], "second", 6);
}

static void cursor_registers_keep_what_is_written(void **state)
{
	(void)state;
	for (uint8_t i = 0x0a; i <= 0x0f; i++) {
		indexed(0x3d4, i, (uint8_t)(i * 7));
		assert_int_equal(indexed_read(0x3d4, i), i * 7);
	}
	bus_pio_write(&f.vm.bus, 0x3d4, 2, 0x5a0e); /* index and data in one */
	assert_int_equal(indexed_read(0x3d4, 0x0e), 0x5a);
	assert_int_equal(indexed_read(0x3d4, 0x19), 0);
}

static void timing_registers_are_protected(void **state)
{
	(void)state;
	indexed(0x3d4, 0x00, 0x11);
	assert_int_equal(indexed_read(0x3d4, 0x00), 0x5f);
	indexed(0x3d4, 0x07, 0x00); /* only the line compare bit of this one changes */
	assert_int_equal(indexed_read(0x3d4, 0x07), 0x0f);
	indexed(0x3d4, 0x11, 0x0e);
	indexed(0x3d4, 0x00, 0x11);
	assert_int_equal(indexed_read(0x3d4, 0x00), 0x11);
}

static void the_attribute_port_toggles_and_the_status_resets_it(void **state)
{
	(void)state;
	dev_in(&f, 0x3da);
	dev_out(&f, 0x3c0, 0x05);
	dev_out(&f, 0x3c0, 0x2a);
	dev_out(&f, 0x3c0, 0x05);
	dev_in(&f, 0x3da);
	dev_out(&f, 0x3c0, 0x25); /* an index again */
	assert_int_equal(dev_in(&f, 0x3c0), 0x25);
	assert_int_equal(dev_in(&f, 0x3c1), 0x2a);
}

static void other_registers_keep_what_is_written(void **state)
{
	(void)state;
	indexed(0x3c4, 1, 0x21);
	indexed(0x3ce, 8, 0x55);
	dev_out(&f, 0x3c2, 0xe3);
	dev_out(&f, 0x3c6, 0x0f);
	assert_int_equal(indexed_read(0x3c4, 1), 0x21);
	assert_int_equal(indexed_read(0x3ce, 8), 0x55);
	assert_int_equal(dev_in(&f, 0x3cc), 0xe3);
	assert_int_equal(dev_in(&f, 0x3c6), 0x0f);
	assert_int_equal(indexed_read(0x3c4, 7), 0);
	assert_int_equal(dev_in(&f, 0x3b5), 0xff); /* no monochrome ports */
}

static void the_palette_is_written_and_read_by_threes(void **state)
{
	(void)state;
	dev_out(&f, 0x3c8, 254);
	for (uint8_t i = 0; i < 9; i++) /* entries 254, 255 and 0; six bits each */
		dev_out(&f, 0x3c9, (uint8_t)(i | 0x40));
	assert_int_equal(dev_in(&f, 0x3c7), 0);
	dev_out(&f, 0x3c7, 254);
	assert_int_equal(dev_in(&f, 0x3c7), 3);
	for (uint8_t i = 0; i < 9; i++)
		assert_int_equal(dev_in(&f, 0x3c9), i);
	dev_out(&f, 0x3c7, 20); /* brown's neighbour: 14h is 2a 15 00 */
	assert_int_equal(dev_in(&f, 0x3c9), 0x2a);
	assert_int_equal(dev_in(&f, 0x3c9), 0x15);
	assert_int_equal(dev_in(&f, 0x3c9), 0x00);
}

static void the_status_shows_seventy_frames_a_second(void **state)
{
	unsigned frames = 0, blank = 0;
	uint8_t last = 0;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		uint8_t v = dev_in(&f, 0x3da);

		frames += (v & 8) && !(last & 8);
		blank += v & 1;
		assert_true(!(v & 8) || (v & 1)); /* retrace is outside the picture */
		last = v;
		dev_pass(&f, 10000);
	}
	assert_int_equal(frames, 70);
	assert_in_range(blank, 27000, 30000);
}

static void graphics_mode_has_no_text_screen(void **state)
{
	(void)state;
	indexed(0x3ce, 6, 0x05);
	assert_false(machine_screen(&f.vm, screen));
	indexed(0x3ce, 6, 0x0e);
	assert_true(machine_screen(&f.vm, screen));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(it_comes_up_in_text_mode_and_blank, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_written_is_shown_at_its_place, setup, teardown),
	    cmocka_unit_test_setup_teardown(text_memory_takes_every_size_and_reads_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_start_address_scrolls_and_wraps, setup, teardown),
	    cmocka_unit_test_setup_teardown(cursor_registers_keep_what_is_written, setup, teardown),
	    cmocka_unit_test_setup_teardown(timing_registers_are_protected, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_attribute_port_toggles_and_the_status_resets_it, setup, teardown),
	    cmocka_unit_test_setup_teardown(other_registers_keep_what_is_written, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_palette_is_written_and_read_by_threes, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_status_shows_seventy_frames_a_second, setup, teardown),
	    cmocka_unit_test_setup_teardown(graphics_mode_has_no_text_screen, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
