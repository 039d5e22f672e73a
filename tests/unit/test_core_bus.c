/* core/bus.c: who answers, how accesses are split, and what floats. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/bus.h"

static struct bus b;
static char seen[400];

static uint64_t dev_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	size_t n = strlen(seen);

	snprintf(seen + n, sizeof(seen) - n, "%s r%u+%x/%u ", d->ops->name, region, off, len);
	return 0x8877665544332211ull + 0x0101010101010101ull * off; /* more than len bytes: the bus cuts */
}

static void dev_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	size_t n = strlen(seen);

	snprintf(seen + n, sizeof(seen) - n, "%s w%u+%x/%u=%llx ", d->ops->name, region, off, len,
	    (unsigned long long)value);
}

static const struct device_ops narrow_ops = {.name = "narrow", .read = dev_read, .write = dev_write, .max_access = 1};
static const struct device_ops wide_ops = {.name = "wide", .read = dev_read, .write = dev_write, .max_access = 4};
static struct device narrow = {.ops = &narrow_ops}, wide = {.ops = &wide_ops};

/* narrow: ports 10..13; wide: ports 20..27 and addresses a0000..a0fff */
static int setup(void **state)
{
	struct errmsg why;

	(void)state;
	bus_init(&b);
	seen[0] = '\0';
	assert_int_equal(bus_add_pio(&b, 0x10, 4, &narrow, 0, &why), ERR_OK);
	assert_int_equal(bus_add_pio(&b, 0x20, 8, &wide, 1, &why), ERR_OK);
	assert_int_equal(bus_add_mmio(&b, 0xa0000, 0x1000, &wide, 16, &why), ERR_OK);
	return 0;
}

static void an_access_reaches_its_device_with_offset_and_region(void **state)
{
	(void)state;
	assert_int_equal(bus_pio_read(&b, 0x22, 2), 0x2413);
	bus_pio_write(&b, 0x24, 4, 0x1122334455667788ull);
	assert_string_equal(seen, "wide r1+2/2 wide w1+4/4=55667788 ");
	seen[0] = '\0';
	bus_mmio_write(&b, 0xa0ffc, 4, 7);
	assert_string_equal(seen, "wide w16+ffc/4=7 ");
}

static void a_wide_access_to_a_narrow_device_is_split_little_endian(void **state)
{
	(void)state;
	assert_int_equal(bus_pio_read(&b, 0x10, 4), 0x14131211);
	assert_string_equal(seen, "narrow r0+0/1 narrow r0+1/1 narrow r0+2/1 narrow r0+3/1 ");
	seen[0] = '\0';
	bus_mmio_write(&b, 0xa0010, 8, 0x1111111122222222ull);
	assert_string_equal(seen, "wide w16+10/4=22222222 wide w16+14/4=11111111 ");
	assert_int_equal(b.unclaimed_pio, 0);
}

static void an_access_over_the_edge_is_split_and_the_rest_floats(void **state)
{
	(void)state;
	assert_int_equal(bus_pio_read(&b, 0x26, 4), 0xffff2817);
	assert_string_equal(seen, "wide r1+6/2 ");
	assert_int_equal(b.unclaimed_pio, 1);
	seen[0] = '\0';
	bus_pio_write(&b, 0x27, 2, 0xbbaa);
	assert_string_equal(seen, "wide w1+7/1=aa ");
	assert_int_equal(b.unclaimed_pio, 2);
	assert_true(bus_mmio_read(&b, 0xa0ffc, 8) >> 32 == 0xffffffff);
	assert_int_equal(b.unclaimed_mmio, 1);
}

static void nobodys_port_reads_ones_and_is_counted_once_an_access(void **state)
{
	(void)state;
	assert_int_equal(bus_pio_read(&b, 0x80, 1), 0xff);
	assert_int_equal(bus_pio_read(&b, 0x80, 4), 0xffffffff);
	bus_pio_write(&b, 0x80, 4, 0);
	assert_int_equal(b.unclaimed_pio, 3);
	assert_true(bus_mmio_read(&b, 0xb0000, 8) == UINT64_MAX);
	bus_mmio_write(&b, 0xb0000, 8, 0);
	assert_int_equal(b.unclaimed_mmio, 2);
	assert_string_equal(seen, "");
}

static void the_last_port_wraps_to_the_first(void **state)
{
	struct errmsg why;

	(void)state;
	assert_int_equal(bus_add_pio(&b, 0, 1, &narrow, 2, &why), ERR_OK);
	assert_int_equal(bus_pio_read(&b, 0xffff, 2), 0x11ff);
	assert_string_equal(seen, "narrow r2+0/1 ");
}

static void regions_never_overlap(void **state)
{
	struct errmsg why = {""};

	(void)state;
	assert_int_equal(bus_add_pio(&b, 0x13, 1, &wide, 0, &why), ERR_BUSY);
	assert_non_null(strstr(why.text, "narrow"));
	assert_int_equal(bus_add_pio(&b, 0x0, 0x11, &wide, 0, &why), ERR_BUSY);
	assert_int_equal(bus_add_pio(&b, 0x14, 0xc, &wide, 0, &why), ERR_OK);
	assert_int_equal(bus_add_mmio(&b, 0x9f000, 0x1001, &wide, 0, &why), ERR_BUSY);
	assert_int_equal(bus_add_mmio(&b, 0xa1000, 0x1000, &wide, 0, &why), ERR_OK);
}

static void a_device_that_takes_ports_moves_others_away_or_nothing(void **state)
{
	static const struct device_ops stay_ops = {
	    .name = "stays", .read = dev_read, .write = dev_write, .max_access = 4, .stays = true};
	static struct device stays = {.ops = &stay_ops}, more = {.ops = &stay_ops};
	struct errmsg why;

	(void)state;
	assert_int_equal(bus_take_pio(&b, 0x26, 4, &stays, 0, &why), ERR_OK);
	assert_ptr_equal(bus_pio_owner(&b, 0x26), &stays);
	assert_null(bus_pio_owner(&b, 0x20)); /* wide has left with all of its region */
	assert_int_equal(bus_take_pio(&b, 0x13, 0x20, &more, 0, &why), ERR_BUSY);
	assert_ptr_equal(bus_pio_owner(&b, 0x13), &narrow); /* who could have left is still there */
	assert_int_equal(bus_take_pio(&b, 0xffff, 2, &more, 0, &why), ERR_RANGE);
	for (unsigned i = b.n_pio; i < BUS_REGIONS_MAX; i++)
		assert_int_equal(bus_add_pio(&b, (uint16_t)(0x1000 + i), 1, &wide, 0, &why), ERR_OK);
	assert_int_equal(bus_take_pio(&b, 0x10, 4, &more, 0, &why), ERR_BUSY);
	assert_ptr_equal(bus_pio_owner(&b, 0x10), &narrow);
}

static void regions_that_cannot_be_are_refused(void **state)
{
	struct errmsg why;

	(void)state;
	assert_int_equal(bus_add_pio(&b, 0xfff0, 0x11, &wide, 0, &why), ERR_RANGE);
	assert_int_equal(bus_add_pio(&b, 0x100, 0, &wide, 0, &why), ERR_RANGE);
	assert_int_equal(bus_add_mmio(&b, ~0ull - 10, 20, &wide, 0, &why), ERR_RANGE);
	for (unsigned i = b.n_pio; i < BUS_REGIONS_MAX; i++)
		assert_int_equal(bus_add_pio(&b, (uint16_t)(0x1000 + i), 1, &wide, 0, &why), ERR_OK);
	assert_int_equal(bus_add_pio(&b, 0x2000, 1, &wide, 0, &why), ERR_NOMEM);
	assert_int_equal(bus_pio_read(&b, 0x103f, 1), 0x11); /* the last of 64 is found */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(an_access_reaches_its_device_with_offset_and_region, setup),
	    cmocka_unit_test_setup(a_wide_access_to_a_narrow_device_is_split_little_endian, setup),
	    cmocka_unit_test_setup(an_access_over_the_edge_is_split_and_the_rest_floats, setup),
	    cmocka_unit_test_setup(nobodys_port_reads_ones_and_is_counted_once_an_access, setup),
	    cmocka_unit_test_setup(the_last_port_wraps_to_the_first, setup),
	    cmocka_unit_test_setup(regions_never_overlap, setup),
	    cmocka_unit_test_setup(a_device_that_takes_ports_moves_others_away_or_nothing, setup),
	    cmocka_unit_test_setup(regions_that_cannot_be_are_refused, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
