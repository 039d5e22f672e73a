/* core/snapshot.c and core/session.c: a machine goes back to what it was, and a session is a table over it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/machine.h"
#include "core/session.h"
#include "core/snapshot.h"
#include "tests/fake_host.h"
#include "tests/fake_mode.h"

#define MIB 0x100000u

static struct vm *vm;
static struct errmsg why;

static struct vm *create(uint64_t mem_size, enum clock_kind clock)
{
	const struct vm_config cfg = {.host = &fake_host_ops,
	    .mode = &fake_mode_ops,
	    .guest = "test",
	    .mem_size = mem_size,
	    .n_vcpus = 1,
	    .clock = clock};
	struct vm *new;

	assert_int_equal(vm_create(&cfg, &new, &why), ERR_OK);
	return new;
}

static int setup(void **state)
{
	(void)state;
	fake_host_reset();
	fake_mode_reset();
	vm = create(2 * MIB, CLOCK_VIRTUAL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vm_destroy(vm);
	vm = NULL;
	assert_int_equal(fake_host.live, 0);
	assert_int_equal(fake_host.bad_frees, 0);
	return 0;
}

static uint8_t *save(size_t *used)
{
	size_t n = snapshot_size(vm);
	uint8_t *buf = malloc(n);

	assert_int_equal(snapshot_save(vm, buf, n, used, &why), ERR_OK);
	assert_int_equal(*used, n);
	return buf;
}

/* Something in every part: CPU, clock, timers, a device (the PIC's mask, the PIT's counter), RAM at both ends. */
static void make_history(void)
{
	struct vcpu *v = &vm->vcpus[0];

	v->cpu.s.gpr[X86_RSI] = 0x123456789abcdef0;
	v->cpu.s.rip = 0x4321;
	v->cpu.s.cr2 = 77;
	v->cpu.insns = 500;
	v->counts.exits = 12;
	v->halted = true;
	v->halt_ns = 4000;
	vm->clock.insns = 500;
	vm->clock.skipped_ns = 99;
	bus_pio_write(&vm->bus, 0x43, 1, 0x34); /* PIT: channel 0, rate generator */
	bus_pio_write(&vm->bus, 0x40, 1, 0x00);
	bus_pio_write(&vm->bus, 0x40, 1, 0x10);
	bus_pio_write(&vm->bus, 0x21, 1, 0xa5); /* PIC: mask */
	bus_pio_write(&vm->bus, 0x1234, 1, 0);	/* nobody's */
	memset(vm->mem.ram + 0x5000, 0xcd, 100);
	vm->mem.ram[2 * MIB - 1] = 9;
}

static void a_machine_goes_back_to_what_it_was(void **state)
{
	size_t used, again;

	(void)state;
	make_history();
	uint64_t hash = mem_hash(&vm->mem), deadline = clock_next_deadline(&vm->clock);
	struct x86_state before = vm->vcpus[0].cpu.s;
	uint8_t *buf = save(&used);

	memset(&vm->vcpus[0].cpu.s.gpr, 0xee, sizeof(vm->vcpus[0].cpu.s.gpr));
	vm->vcpus[0].halted = false;
	vm->vcpus[0].counts.exits = 99;
	vm->clock.insns = 123456;
	clock_run_due(&vm->clock);
	bus_pio_write(&vm->bus, 0x21, 1, 0);
	bus_pio_write(&vm->bus, 0x43, 1, 0x30);
	memset(vm->mem.ram, 0x11, 0x10000);
	vm_kill(vm, END_POWEROFF, 0, "later");
	uint64_t generation = vm->mem.generation;

	assert_int_equal(snapshot_restore(vm, buf, used, &why), ERR_OK);
	assert_memory_equal(&vm->vcpus[0].cpu.s, &before, sizeof(before));
	assert_true(mem_hash(&vm->mem) == hash);
	assert_true(vm->mem.generation > generation); /* decoded code is void */
	assert_int_equal(vm->clock.insns, 500);
	assert_int_equal(clock_now_ns(&vm->clock), 5099);
	assert_true(clock_next_deadline(&vm->clock) == deadline);
	assert_int_equal(vm->vcpus[0].counts.exits, 12);
	assert_true(vm->vcpus[0].halted);
	assert_int_equal(vm->vcpus[0].dirty, DIRTY_ALL);
	assert_int_equal(bus_pio_read(&vm->bus, 0x21, 1), 0xa5);
	assert_int_equal(vm->bus.unclaimed_pio, 1);
	assert_false(vm->ended);

	uint8_t *second = save(&again);
	assert_int_equal(again, used);
	assert_memory_equal(second, buf, used);
	free(second);
	free(buf);
}

/* The test device holds the lines of the serial port, the clock, and power management as well. */
static void an_interrupt_line_stays_as_it_is_whoever_holds_it(void **state)
{
	static const uint16_t lines[] = {0x2004, 0x2008, 0x2009};
	size_t used, again;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(lines); i++) {
		bus_pio_write(&vm->bus, lines[i], 1, 1);
		uint8_t *buf = save(&used);
		assert_int_equal(snapshot_restore(vm, buf, used, &why), ERR_OK);
		uint8_t *second = save(&again);
		assert_int_equal(again, used);
		assert_memory_equal(second, buf, used);
		free(second);
		free(buf);
		bus_pio_write(&vm->bus, lines[i], 1, 0);
	}
}

static void a_snapshot_restores_into_another_machine_of_the_same_shape(void **state)
{
	size_t used;

	(void)state;
	make_history();
	uint8_t *buf = save(&used);
	struct vm *other = create(2 * MIB, CLOCK_VIRTUAL);
	assert_int_equal(snapshot_restore(other, buf, used, &why), ERR_OK);
	assert_true(mem_hash(&other->mem) == mem_hash(&vm->mem));
	assert_int_equal(other->vcpus[0].cpu.s.rip, 0x4321);
	vm_destroy(other);
	free(buf);
}

static void another_shape_is_refused_and_nothing_changes(void **state)
{
	size_t used;

	(void)state;
	make_history();
	uint8_t *buf = save(&used);
	struct vm *other = create(3 * MIB, CLOCK_VIRTUAL), *host_time = create(2 * MIB, CLOCK_HOST);
	assert_int_equal(snapshot_restore(other, buf, used, &why), ERR_FORMAT);
	assert_int_equal(snapshot_restore(host_time, buf, used, &why), ERR_FORMAT);
	assert_int_equal(other->vcpus[0].cpu.s.gpr[X86_RSI], 0);
	vm_destroy(other);
	vm_destroy(host_time);
	free(buf);
}

static void small_snapshots_of_mostly_empty_memory(void **state)
{
	(void)state;
	size_t empty = snapshot_size(vm);

	assert_true(empty < 64 * 1024);
	vm->mem.ram[0x100000] = 1;
	assert_int_equal(snapshot_size(vm), empty + 4096);
}

static void a_truncated_or_damaged_snapshot_changes_nothing(void **state)
{
	size_t used;

	(void)state;
	make_history();
	uint8_t *buf = save(&used);
	vm->vcpus[0].cpu.s.rip = 0x9999;
	vm->mem.ram[0x5000] = 1;
	for (size_t n = 0; n < used; n += n < 200 ? 1 : 97) {
		uint8_t *cut = malloc(n ? n : 1);
		memcpy(cut, buf, n);
		why.text[0] = '\0';
		assert_int_equal(snapshot_restore(vm, cut, n, &why), ERR_FORMAT);
		assert_true(why.text[0]);
		free(cut);
	}
	/* magic, version, number of sections, size; then tag, version, index, length, name of the first section */
	static const size_t fields[] = {0, 8, 12, 16, 24, 40, 43};
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		buf[fields[i]] ^= 0x55;
		assert_int_not_equal(snapshot_restore(vm, buf, used, &why), ERR_OK);
		buf[fields[i]] ^= 0x55;
	}
	assert_int_equal(vm->vcpus[0].cpu.s.rip, 0x9999);
	assert_int_equal(vm->mem.ram[0x5000], 1);
	assert_int_equal(snapshot_restore(vm, buf, used, &why), ERR_OK);
	free(buf);
}

static void a_buffer_that_is_too_small_is_refused(void **state)
{
	size_t used = 1, n = snapshot_size(vm);
	uint8_t *buf = malloc(n);

	(void)state;
	assert_int_equal(snapshot_save(vm, buf, n - 1, &used, &why), ERR_RANGE);
	assert_int_equal(used, 0);
	free(buf);
}

static void models_cannot_be_saved(void **state)
{
	size_t used;
	uint8_t byte;

	(void)state;
	fake_mode_ops.caps |= MODE_CAP_MODEL;
	assert_int_equal(snapshot_save(vm, &byte, 1, &used, &why), ERR_UNSUPPORTED);
	assert_int_equal(snapshot_restore(vm, &byte, 1, &why), ERR_UNSUPPORTED);
}

/* --- Session ----------------------------------------------------------------------------------------------------- */

static gpa_t written[4];
static unsigned n_written;
static void code_written(struct vcpu *v, gpa_t gpa, unsigned n)
{
	(void)v;
	(void)n;
	written[n_written++ % 4] = gpa;
}

static void a_session_is_a_table_over_the_machine_and_owns_it(void **state)
{
	static const struct fake_step steps[] = {
	    {.exit = {.reason = EXIT_PAUSE_INSTRUCTION, .insn_len = 2}}, {.exit = {.reason = EXIT_VMM_DEBUG}}};
	struct x86_state s;
	struct session *session;
	uint8_t buf[8] = {1, 2, 3, 4, 5, 6, 7, 8};

	(void)state;
	fake_mode_script(steps, ARRAY_LEN(steps));
	assert_int_equal(session_open_local(vm, &session, &why), ERR_OK);
	const struct session_ops *ops = session->ops;
	vm->code_written = code_written;

	assert_int_equal(ops->write_mem(session, 0x2ffc, buf, 8), ERR_OK);
	assert_int_equal(n_written, 2); /* the engine hears of both pages */
	assert_int_equal(written[1], 0x3000);
	memset(buf, 0, 8);
	assert_int_equal(ops->read_mem(session, 0x2ffc, buf, 8), ERR_OK);
	assert_int_equal(buf[7], 8);
	assert_int_equal(ops->read_mem(session, 0xa0000, buf, 1), ERR_RANGE);

	assert_int_equal(ops->get_state(session, 0, &s), ERR_OK);
	s.rip = 0x100;
	assert_int_equal(ops->set_state(session, 0, &s), ERR_OK);
	assert_int_equal(ops->get_state(session, 1, &s), ERR_RANGE);
	s.version++;
	assert_int_equal(ops->set_state(session, 0, &s), ERR_FORMAT);

	assert_int_equal(ops->step_exit(session), ERR_OK);
	assert_int_equal(vm->vcpus[0].cpu.s.rip, 0x102);
	assert_int_equal(ops->step_insn(session), ERR_OK);
	assert_true(fake_mode.bounds[1].single_step);
	assert_null(ops->end(session));
	ops->stop(session);
	assert_int_equal(ops->run(session), ERR_OK);
	assert_int_equal(vm->end.kind, END_STOPPED);
	assert_null(ops->end(session)); /* it can go on */
	assert_int_equal(ops->run(session), ERR_OK);
	assert_non_null(ops->end(session));
	assert_int_equal(ops->end(session)->kind, END_MODEL_END);
	assert_int_equal(ops->type(session, (const uint8_t *)"x", 1), 1);
	ops->close(session);
	vm = NULL;
}

static void opening_a_session_may_fail_for_want_of_memory(void **state)
{
	struct session *session;

	(void)state;
	fake_host.fail_at = fake_host.allocations + 1;
	assert_int_equal(session_open_local(vm, &session, &why), ERR_NOMEM);
	assert_null(session);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(an_interrupt_line_stays_as_it_is_whoever_holds_it),
	    T(a_machine_goes_back_to_what_it_was),
	    T(a_snapshot_restores_into_another_machine_of_the_same_shape),
	    T(another_shape_is_refused_and_nothing_changes),
	    T(small_snapshots_of_mostly_empty_memory),
	    T(a_truncated_or_damaged_snapshot_changes_nothing),
	    T(a_buffer_that_is_too_small_is_refused),
	    T(models_cannot_be_saved),
	    T(a_session_is_a_table_over_the_machine_and_owns_it),
	    T(opening_a_session_may_fail_for_want_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
