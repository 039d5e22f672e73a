/*
 * A machine without a CPU, for tests of devices: RAM, bus, devices and virtual time on the fake host. The test plays
 * the CPU: it does port accesses, lets time pass and acknowledges interrupts.
 */
#ifndef VMSCOPE_TESTS_DEV_FIXTURE_H
#define VMSCOPE_TESTS_DEV_FIXTURE_H

#include "core/irq.h"
#include "core/machine.h"
#include "core/vm.h"
#include "tests/fake_host.h"

#define DEV_FIXTURE_CONSOLE 256

struct dev_fixture {
	struct vm vm;
	char uart[DEV_FIXTURE_CONSOLE], debugcon[DEV_FIXTURE_CONSOLE]; /* terminated */
	unsigned n_uart, n_debugcon;
};

/* The machine after power-on. Fails the test when it cannot be made. The fixture is large: make it static. */
void dev_open(struct dev_fixture *f, uint64_t mem_size);
void dev_close(struct dev_fixture *f);

uint8_t dev_in(struct dev_fixture *f, uint16_t port);
uint32_t dev_inl(struct dev_fixture *f, uint16_t port);
void dev_out(struct dev_fixture *f, uint16_t port, uint8_t v);
void dev_outl(struct dev_fixture *f, uint16_t port, uint32_t v);
/* Guest time passes: timers fire at their deadlines on the way. */
void dev_pass(struct dev_fixture *f, uint64_t ns);
void dev_pass_to(struct dev_fixture *f, uint64_t ns);
uint64_t dev_now(const struct dev_fixture *f);

/* Both interrupt controllers as a PC's firmware sets them up: vectors 08 and 70, everything unmasked. */
void dev_init_pic(struct dev_fixture *f);
/* The vector of the pending interrupt, with an EOI to whoever needs it; -1 when there is none. */
int dev_take_irq(struct dev_fixture *f);

/* All device states and guest time of one machine into another one of the same shape, as a snapshot does. */
void dev_copy_state(struct dev_fixture *to, const struct dev_fixture *from);
/* The names of the devices whose states differ, in one line; "" when none does. */
const char *dev_state_difference(const struct dev_fixture *a, const struct dev_fixture *b);

/* A small deterministic generator. */
uint32_t dev_random(uint32_t *seed);

#endif
