/*
 * The machine: memory layout, firmware, device table, typing, reset, failure of every allocation; and the property that
 * a machine whose devices are copied at any moment goes on exactly as the original does.
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

static const struct mem_slot *slot(const char *name)
{
	for (unsigned i = 0; i < f.vm.mem.n_slots; i++)
		if (strcmp(f.vm.mem.slots[i].name, name) == 0)
			return &f.vm.mem.slots[i];
	return NULL;
}

static void memory_has_the_layout_of_a_pc(void **state)
{
	(void)state;
	assert_ptr_equal(mem_page(&f.vm.mem, 0x0, true), f.vm.mem.ram);
	assert_ptr_equal(mem_page(&f.vm.mem, 0x9f000, true), f.vm.mem.ram + 0x9f000);
	for (gpa_t gpa = 0xa0000; gpa < 0xc0000; gpa += 0x1000)
		assert_int_equal(mem_find(&f.vm.mem, gpa), -1);
	assert_ptr_equal(mem_page(&f.vm.mem, 0x100000, true), f.vm.mem.ram + 0x100000);
	assert_ptr_equal(mem_page(&f.vm.mem, 0x1ff000, true), f.vm.mem.ram + 0x1ff000);
	assert_int_equal(mem_find(&f.vm.mem, 0x200000), -1);
	assert_int_equal(f.vm.mem.n_slots, 15);
}

static void one_mib_has_nothing_above(void **state)
{
	(void)state;
	dev_close(&f);
	dev_open(&f, 1 << 20);
	assert_null(slot("ram"));
	assert_int_equal(f.vm.mem.n_slots, 14);
}

/* The layout of 5 GiB without touching 5 GiB: the host hands out address space only. */
static struct mem_slot big_slots[MEM_SLOTS_MAX];

static void memory_above_3_gib_continues_at_4_gib(void **state)
{
	static struct vm vm;
	struct errmsg why;
	uint8_t *ram = (uint8_t *)(uintptr_t)0x100000000000ull; /* never touched */

	(void)state;
	memset(&vm, 0, sizeof(vm));
	vm.cfg.host = &fake_host_ops;
	vm.mem.host = &fake_host_ops;
	vm.mem.ram = ram;
	vm.mem.ram_size = 5ull << 30;
	vm.mem.dirty = calloc(1, mem_dirty_bytes(&vm.mem));
	assert_non_null(vm.mem.dirty);
	clock_init(&vm.clock, &fake_host_ops, CLOCK_VIRTUAL);
	bus_init(&vm.bus);
	assert_int_equal(machine_create(&vm, &why), ERR_OK);
	memcpy(big_slots, vm.mem.slots, sizeof(big_slots));
	assert_ptr_equal(mem_page(&vm.mem, 0xbffff000, true), ram + 0xbffff000);
	assert_int_equal(mem_find(&vm.mem, 0xc0000000), -1);
	assert_ptr_equal(mem_page(&vm.mem, 0x100000000, true), ram + 0xc0000000);
	assert_ptr_equal(mem_page(&vm.mem, 0x17ffff000, true), ram + (5ull << 30) - 4096);
	assert_int_equal(mem_find(&vm.mem, 0x180000000), -1);
	machine_destroy(&vm);
	free(vm.mem.dirty);
}

static void every_device_is_in_the_table_once_and_can_be_found(void **state)
{
	static const char *const names[] = {"i8259", "lapic", "ioapic", "i8254", "mc146818", "uart16550", "i8042",
	    "i440fx", "piix3", "piix4pm", "fw_cfg", "vga", "ls612", "isa-debug-exit", "debugcon", "coprocessor",
	    "pc-testdev"};

	(void)state;
	assert_int_equal(machine_n_devices(&f.vm), ARRAY_LEN(names));
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		struct device *d = machine_device(&f.vm, i);

		assert_string_equal(d->ops->name, names[i]);
		assert_ptr_equal(machine_find(&f.vm, names[i]), d);
		assert_int_equal((uintptr_t)d->state % 64, 0);
	}
	assert_null(machine_find(&f.vm, "i82557"));
}

static void ports_of_the_table_are_claimed_and_others_float(void **state)
{
	static const uint16_t ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x43, 0x61, 0x70, 0x71, 0x3f8,
	    0x3ff, 0x60, 0x64, 0x92, 0xcf8, 0xcff, 0x600, 0x63f, 0xb2, 0xb3, 0x510, 0x511, 0x3c0, 0x3cf, 0x3d4, 0x3d5,
	    0x3da, 0x80, 0x8f, 0xed, 0xf4, 0xf7, 0xe9, 0x402};
	static const uint16_t floating[] = {0x00, 0x62, 0x63, 0x65, 0x72, 0x90, 0xc0, 0x1f0, 0x2f8, 0x3b4, 0x3d6, 0x512,
	    0x514, 0x5ff, 0x640, 0xcf7, 0xd00};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(ports); i++)
		dev_in(&f, ports[i]);
	assert_int_equal(f.vm.bus.unclaimed_pio, 0);
	for (unsigned i = 0; i < ARRAY_LEN(floating); i++) {
		assert_int_equal(dev_in(&f, floating[i]), 0xff);
		assert_int_equal(f.vm.bus.unclaimed_pio, i + 1);
	}
}

static void firmware_of_a_wrong_size_is_refused(void **state)
{
	static const size_t sizes[] = {0, 4096, 0xf000, 0x10001, 0x20fff, 0x801000};
	static uint8_t rom[0x801000];
	struct errmsg why;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		assert_int_equal(machine_set_firmware(&f.vm, rom, sizes[i], &why), ERR_FORMAT);
		assert_non_null(strstr(why.text, "4096"));
	}
	assert_int_equal(f.vm.mem.n_slots, 15);
	assert_int_equal(machine_set_firmware(&f.vm, rom, 0x10000, &why), ERR_OK);
	assert_int_equal(machine_set_firmware(&f.vm, rom, 0x10000, &why), ERR_BUSY);
}

static void firmware_lies_below_4_gib_and_at_the_end_of_the_first_mib(void **state)
{
	static const size_t sizes[] = {0x10000, 0x11000, 0x20000, 0x40000, 0x100000, 0x800000};
	static uint8_t rom[0x800000];
	struct errmsg why;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t n = sizes[i];
		uint8_t b[16];

		dev_close(&f);
		dev_open(&f, 2 << 20);
		memset(rom, 0x11, sizeof(rom));
		memset(rom + n - 16, 0x90, 16);
		rom[0] = 0x77;
		assert_int_equal(machine_set_firmware(&f.vm, rom, n, &why), ERR_OK);
		assert_int_equal(mem_read(&f.vm.mem, 0xfffffff0, b, 16), ERR_OK);
		assert_memory_equal(b, rom + n - 16, 16);
		assert_int_equal(mem_read(&f.vm.mem, 0xffff0, b, 16), ERR_OK);
		assert_memory_equal(b, rom + n - 16, 16);
		assert_int_equal(mem_read(&f.vm.mem, 0x100000000 - n, b, 1), ERR_OK);
		assert_int_equal(b[0], 0x77);
		assert_int_equal(f.vm.mem.slots[mem_find(&f.vm.mem, 0xfffffff0)].write == NULL, 1);
		(void)!mem_read(&f.vm.mem, 0xe0000, b, 1);
		assert_int_equal(b[0], n >= 0x20000 ? rom[n - 0x20000] : 0xff);
	}
}

static void typing_reaches_serial_port_and_keyboard(void **state)
{
	(void)state;
	assert_int_equal(machine_type(&f.vm, (const uint8_t *)"q", 1), 1);
	assert_int_equal(dev_in(&f, 0x3f8), 'q');
	dev_out(&f, 0x64, 0xae);
	assert_int_equal(dev_in(&f, 0x60), 0x15);
}

static void a_reset_brings_devices_back_and_leaves_memory(void **state)
{
	(void)state;
	f.vm.mem.ram[0x5000] = 0x42;
	dev_init_pic(&f);
	dev_out(&f, 0x21, 0xaa);
	dev_out(&f, 0x43, 0x34);
	dev_out(&f, 0x40, 0);
	dev_out(&f, 0x40, 0);
	bus_mmio_write(&f.vm.bus, 0xb8000, 1, 'x');
	machine_reset(&f.vm);
	assert_int_equal(f.vm.mem.ram[0x5000], 0x42);
	assert_int_equal(dev_in(&f, 0x21), 0);
	assert_int_equal(bus_mmio_read(&f.vm.bus, 0xb8000, 1), ' ');
	assert_true(clock_next_deadline(&f.vm.clock) == CLOCK_NEVER);
}

static void a_failed_allocation_leaves_nothing_behind(void **state)
{
	static struct vm vm;
	static uint8_t rom[0x10000];
	unsigned n;

	(void)state;
	dev_close(&f);
	for (n = 1;; n++) {
		struct errmsg why = {{0}};
		enum err e;

		fake_host_reset();
		fake_host.fail_at = n;
		memset(&vm, 0, sizeof(vm));
		vm.cfg.host = &fake_host_ops;
		clock_init(&vm.clock, &fake_host_ops, CLOCK_VIRTUAL);
		bus_init(&vm.bus);
		e = mem_init(&vm.mem, &fake_host_ops, 1 << 20, &why);
		if (e == ERR_OK) {
			e = machine_create(&vm, &why);
			if (e == ERR_OK) {
				e = machine_set_firmware(&vm, rom, sizeof(rom), &why);
				machine_destroy(&vm);
			}
			assert_null(vm.machine);
			mem_fini(&vm.mem);
		}
		assert_int_equal(fake_host.live, 0);
		assert_int_equal(fake_host.bad_frees, 0);
		if (e == ERR_OK)
			break;
		assert_int_equal(e, ERR_NOMEM);
		assert_true(strlen(why.text) > 0);
	}
	assert_int_equal(n, 5); /* RAM, its map of changes, devices, firmware; then none failed */
	fake_host_reset();
	dev_open(&f, 2 << 20);
}

static void a_full_clock_is_told(void **state)
{
	static struct vm vm;
	struct errmsg why = {{0}};
	unsigned h;

	(void)state;
	memset(&vm, 0, sizeof(vm));
	vm.cfg.host = &fake_host_ops;
	clock_init(&vm.clock, &fake_host_ops, CLOCK_VIRTUAL);
	bus_init(&vm.bus);
	assert_int_equal(mem_init(&vm.mem, &fake_host_ops, 1 << 20, &why), ERR_OK);
	for (unsigned i = 0; i < CLOCK_TIMERS_MAX - 3; i++)
		assert_int_equal(clock_add_timer(&vm.clock, NULL, NULL, &h), ERR_OK);
	assert_int_equal(machine_create(&vm, &why), ERR_NOMEM);
	assert_non_null(strstr(why.text, "uart16550")); /* the fourth device with a timer */
	assert_null(vm.machine);
	assert_int_equal(vm.bus.n_pio, 0);
	mem_fini(&vm.mem);
}

/* --- Copied at any moment
 * ------------------------------------------------------------------------------------------------ */

#define STEPS 400u
#define LOG_MAX 4096u

struct observed {
	uint32_t value[LOG_MAX];
	unsigned n;
};

static struct dev_fixture g;

static void observe(struct observed *o, uint32_t v)
{
	assert_true(o->n < LOG_MAX);
	o->value[o->n++] = v;
}

/* One random step of a guest that pokes at everything. */
static void step(struct dev_fixture *m, uint32_t *seed, struct observed *o)
{
	static const uint16_t reads[] = {0x20, 0x21, 0xa0, 0xa1, 0x40, 0x41, 0x42, 0x61, 0x71, 0x3f8, 0x3f9, 0x3fa,
	    0x3fd, 0x3fe, 0x60, 0x64, 0x92, 0xcfc, 0x600, 0x608, 0xb000, 0xb008, 0x604, 0x511, 0x3c1, 0x3c5, 0x3c9,
	    0x3cf, 0x3d5, 0x3da, 0x80, 0xb2};
	static const uint16_t writes[] = {0x20, 0x21, 0xa0, 0xa1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x70, 0x71, 0x3f8,
	    0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x60, 0x64, 0x600, 0x602, 0x604, 0xb2, 0x3c0, 0x3c4, 0x3c5, 0x3c8, 0x3c9, 0x3ce,
	    0x3cf, 0x3d4, 0x3d5, 0x80, 0x4d0, 0x4d1};
	uint32_t r = dev_random(seed), v = dev_random(seed);

	switch (r % 16) {
	case 0:
	case 1:
	case 2:
		dev_pass(m, v % 4 ? v % 3000 : v % 30000000);
		break;
	case 3:
	case 4:
	case 5:
	case 6:
		observe(o, dev_in(m, reads[r / 16 % ARRAY_LEN(reads)]));
		break;
	case 7:
	case 8:
	case 9:
	case 10:
		dev_out(m, writes[r / 16 % ARRAY_LEN(writes)], (uint8_t)v);
		break;
	case 11:
		bus_pio_write(&m->vm.bus, 0x510, 2, v % 0x24);
		dev_outl(m, 0xcf8, 0x80000000u | (v % 3 ? v % 3 == 1 ? 0x800u : 0xb00u : 0) | (v >> 8 & 0xfcu));
		dev_outl(m, 0xcfc, v);
		break;
	case 12:
		observe(o, (uint32_t)machine_type(&m->vm, (const uint8_t *)&v, 1));
		break;
	case 13:
		bus_mmio_write(&m->vm.bus, 0xb8000 + v % 4000, 2, v);
		break;
	default:
		observe(o, irq_pending(&m->vm) ? irq_ack(&m->vm) : 0x100);
		dev_out(m, 0xa0, 0x20);
		dev_out(m, 0x20, 0x20);
		break;
	}
	observe(o, (uint32_t)clock_next_deadline(&m->vm.clock));
}

/* Programs enough that timers run, then the random guest. */
static void start(struct dev_fixture *m, bool firmware)
{
	static const uint8_t rom[0x20000] = {1};
	static const uint8_t setup_ports[][2] = {{0x43, 0x34}, {0x40, 0x00}, {0x40, 0x10}, {0x70, 0x0b}, {0x71, 0x72}};
	struct errmsg why;

	dev_open(m, 1 << 20);
	if (firmware)
		assert_int_equal(machine_set_firmware(&m->vm, rom, sizeof(rom), &why), ERR_OK);
	dev_outl(m, 0xcf8, 0x80000b40); /* as firmware does: power management at b000 */
	dev_outl(m, 0xcfc, 0xb001);
	dev_outl(m, 0xcf8, 0x80000b80);
	dev_outl(m, 0xcfc, 1);
	dev_init_pic(m);
	for (unsigned i = 0; i < ARRAY_LEN(setup_ports); i++)
		dev_out(m, setup_ports[i][0], setup_ports[i][1]);
	dev_out(m, 0x3fa, 0xc1);
	dev_out(m, 0x3f9, 0x0f);
	dev_out(m, 0x64, 0x60);
	dev_out(m, 0x60, 0x41);
}

static void a_copy_at_any_moment_goes_on_like_the_original(void **state)
{
	static struct observed whole, first, second;

	(void)state;
	dev_close(&f);
	for (unsigned cut = 0; cut < STEPS; cut += 7) {
		uint32_t seed = cut + 1, seed_at_cut = 0;

		fake_host_reset();
		whole.n = first.n = second.n = 0;
		start(&f, cut % 2);
		for (unsigned i = 0; i < STEPS; i++) {
			if (i == cut) {
				seed_at_cut = seed;
				start(&g, cut % 2);
				dev_copy_state(&g, &f);
				assert_string_equal(dev_state_difference(&f, &g), "");
			}
			step(&f, &seed, i < cut ? &first : &whole);
		}
		for (unsigned i = cut; i < STEPS; i++)
			step(&g, &seed_at_cut, &second);
		assert_int_equal(second.n, whole.n);
		for (unsigned i = 0; i < whole.n; i++)
			if (second.value[i] != whole.value[i])
				fail_msg("cut at %u: observation %u is %#x, was %#x", cut, i, second.value[i],
				    whole.value[i]);
		assert_string_equal(dev_state_difference(&f, &g), "");
		for (unsigned i = 0; i < f.vm.mem.n_slots; i++) { /* the ROM shadow, too */
			const struct mem_slot *a = &f.vm.mem.slots[i], *b = &g.vm.mem.slots[i];

			assert_int_equal(a->read == a->write, b->read == b->write);
			assert_int_equal(a->read == f.vm.mem.ram + a->gpa, b->read == g.vm.mem.ram + b->gpa);
			assert_int_equal(a->write == NULL, b->write == NULL);
		}
		dev_close(&g);
		dev_close(&f);
	}
	dev_open(&f, 1 << 20);
}

/* --- Any access
 * ---------------------------------------------------------------------------------------------------------- */

/* With the sanitizers this finds every access outside of a state struct. */
static void any_access_of_any_size_leaves_a_working_machine(void **state)
{
	static char lines[25][81];
	uint32_t seed = 4711;

	(void)state;
	for (unsigned round = 0; round < 300000; round++) {
		uint32_t r = dev_random(&seed), v = dev_random(&seed) << 8 ^ dev_random(&seed);
		const struct bus_region *region = &f.vm.bus.pio[r % f.vm.bus.n_pio];
		unsigned size = 1u << (r >> 8) % 3;
		uint16_t port = (uint16_t)(region->base + (r >> 10) % (region->len + 2) - 1);

		if (region->base == BUS_NOWHERE || round % 64 == 0)
			port = (uint16_t)v;
		if (r >> 20 & 1)
			bus_pio_write(&f.vm.bus, port, size, v);
		else
			assert_true(
			    bus_pio_read(&f.vm.bus, port, size) <= (size == 4 ? 0xffffffffu : (1u << 8 * size) - 1));
		if (round % 8 == 0)
			dev_pass(&f, v % 100000);
		if (round % 16 == 0)
			machine_type(&f.vm, (const uint8_t *)&v, 4);
		if (round % 32 == 0) {
			bus_mmio_write(&f.vm.bus, 0xb7ff8 + v % 0x8010, 1u << v % 4, v);
			bus_mmio_read(&f.vm.bus, 0xb7ff8 + v % 0x8010, 1u << v % 4);
		}
		if (round % 128 == 0)
			(void)machine_screen(&f.vm, lines);
		if (irq_pending(&f.vm))
			irq_ack(&f.vm);
	}
	/* whatever was done to it, a reset gives the machine of power-on, but for calendar, CMOS and typed text */
	dev_open(&g, 2 << 20);
	dev_pass_to(&g, dev_now(&f));
	machine_reset(&f.vm);
	machine_reset(&g.vm);
	dev_init_pic(&f);
	dev_init_pic(&g);
	assert_null(strstr(dev_state_difference(&f, &g), "i8259"));
	assert_null(strstr(dev_state_difference(&f, &g), "i8254"));
	assert_null(strstr(dev_state_difference(&f, &g), "i440fx"));
	assert_null(strstr(dev_state_difference(&f, &g), "piix"));
	assert_null(strstr(dev_state_difference(&f, &g), "fw_cfg"));
	assert_null(strstr(dev_state_difference(&f, &g), "vga"));
	assert_null(strstr(dev_state_difference(&f, &g), "ls612"));
	dev_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(memory_has_the_layout_of_a_pc, setup, teardown),
	    cmocka_unit_test_setup_teardown(one_mib_has_nothing_above, setup, teardown),
	    cmocka_unit_test_setup_teardown(memory_above_3_gib_continues_at_4_gib, setup, teardown),
	    cmocka_unit_test_setup_teardown(every_device_is_in_the_table_once_and_can_be_found, setup, teardown),
	    cmocka_unit_test_setup_teardown(ports_of_the_table_are_claimed_and_others_float, setup, teardown),
	    cmocka_unit_test_setup_teardown(firmware_of_a_wrong_size_is_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(firmware_lies_below_4_gib_and_at_the_end_of_the_first_mib, setup, teardown),
	    cmocka_unit_test_setup_teardown(typing_reaches_serial_port_and_keyboard, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_reset_brings_devices_back_and_leaves_memory, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_failed_allocation_leaves_nothing_behind, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_full_clock_is_told, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_copy_at_any_moment_goes_on_like_the_original, setup, teardown),
	    cmocka_unit_test_setup_teardown(any_access_of_any_size_leaves_a_working_machine, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
