/*
 * The machine without a CPU of the device tests.
 */
#include "tests/dev_fixture.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void console(void *arg, const char *port, uint8_t byte)
{
	struct dev_fixture *f = arg;
	bool uart = strcmp(port, "uart") == 0;
	unsigned *n = uart ? &f->n_uart : &f->n_debugcon;
	char *to = uart ? f->uart : f->debugcon;

	if (*n + 1 < DEV_FIXTURE_CONSOLE)
		to[(*n)++] = (char)byte;
}

void dev_open(struct dev_fixture *f, uint64_t mem_size)
{
	struct errmsg why = {{0}};

	memset(f, 0, sizeof(*f));
	f->vm.cfg.host = &fake_host_ops;
	f->vm.cfg.console = console;
	f->vm.cfg.console_arg = f;
	f->vm.cfg.n_vcpus = 1;
	f->vm.cfg.mem_size = mem_size;
	clock_init(&f->vm.clock, &fake_host_ops, CLOCK_VIRTUAL);
	bus_init(&f->vm.bus);
	if (mem_init(&f->vm.mem, &fake_host_ops, mem_size, &why) != ERR_OK || machine_create(&f->vm, &why) != ERR_OK)
		fail_msg("%s", why.text);
}

void dev_close(struct dev_fixture *f)
{
	machine_destroy(&f->vm);
	mem_fini(&f->vm.mem);
}

uint8_t dev_in(struct dev_fixture *f, uint16_t port)
{
	return (uint8_t)bus_pio_read(&f->vm.bus, port, 1);
}

uint32_t dev_inl(struct dev_fixture *f, uint16_t port)
{
	return (uint32_t)bus_pio_read(&f->vm.bus, port, 4);
}

void dev_out(struct dev_fixture *f, uint16_t port, uint8_t v)
{
	bus_pio_write(&f->vm.bus, port, 1, v);
}

void dev_outl(struct dev_fixture *f, uint16_t port, uint32_t v)
{
	bus_pio_write(&f->vm.bus, port, 4, v);
}

uint64_t dev_now(const struct dev_fixture *f)
{
	return clock_now_ns(&f->vm.clock);
}

void dev_pass_to(struct dev_fixture *f, uint64_t ns)
{
	struct clock *c = &f->vm.clock;

	while (clock_next_deadline(c) <= ns) {
		if (clock_next_deadline(c) > clock_now_ns(c))
			c->skipped_ns += clock_next_deadline(c) - clock_now_ns(c);
		clock_run_due(c);
	}
	if (ns > clock_now_ns(c))
		c->skipped_ns += ns - clock_now_ns(c);
}

void dev_pass(struct dev_fixture *f, uint64_t ns)
{
	dev_pass_to(f, dev_now(f) + ns);
}

void dev_init_pic(struct dev_fixture *f)
{
	static const uint8_t master[] = {0x08, 0x04, 0x01}, slave[] = {0x70, 0x02, 0x01};

	dev_out(f, 0x20, 0x11);
	dev_out(f, 0xa0, 0x11);
	for (unsigned i = 0; i < 3; i++) {
		dev_out(f, 0x21, master[i]);
		dev_out(f, 0xa1, slave[i]);
	}
	dev_out(f, 0x21, 0);
	dev_out(f, 0xa1, 0);
}

int dev_take_irq(struct dev_fixture *f)
{
	int vector;

	if (!irq_pending(&f->vm))
		return -1;
	vector = irq_ack(&f->vm);
	if (vector >= 0x70)
		dev_out(f, 0xa0, 0x20);
	dev_out(f, 0x20, 0x20);
	return vector;
}

void dev_copy_state(struct dev_fixture *to, const struct dev_fixture *from)
{
	to->vm.clock.insns = from->vm.clock.insns;
	to->vm.clock.skipped_ns = from->vm.clock.skipped_ns;
	for (size_t i = 0; i < machine_n_devices(&to->vm); i++)
		memcpy(machine_device(&to->vm, i)->state, machine_device(&from->vm, i)->state,
		    machine_device(&to->vm, i)->ops->state_size);
	for (size_t i = 0; i < machine_n_devices(&to->vm); i++)
		if (machine_device(&to->vm, i)->ops->restored)
			machine_device(&to->vm, i)->ops->restored(machine_device(&to->vm, i));
}

const char *dev_state_difference(const struct dev_fixture *a, const struct dev_fixture *b)
{
	static char names[256];
	size_t n = 0;

	names[0] = '\0';
	for (size_t i = 0; i < machine_n_devices(&a->vm) && n < sizeof(names); i++) {
		const struct device *x = machine_device(&a->vm, i), *y = machine_device(&b->vm, i);

		if (memcmp(x->state, y->state, x->ops->state_size) != 0)
			n += (size_t)snprintf(names + n, sizeof(names) - n, "%s ", x->ops->name);
	}
	return names;
}

uint32_t dev_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}
