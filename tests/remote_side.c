/* See remote_side.h. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/remote_side.h"

#include "core/machine.h"
#include "modes/modes.h"

#define MIB 0x100000u

struct remote_sides rs;

static void console(void *arg, const char *port, uint8_t byte)
{
	struct side *s = arg;
	(void)port;
	if (s->n_console < sizeof s->console)
		s->console[s->n_console++] = byte;
}

static void on_exit_(void *arg, struct vcpu *v, const struct vm_exit *e)
{
	struct side *s = arg;
	(void)v;
	assert_int_equal(e->index, s->exits);
	s->exits++;
}

static void on_done(void *arg, struct vcpu *v, const struct vm_exit *e)
{
	struct side *s = arg;
	(void)v;
	(void)e;
	s->dones++;
}

static const struct probe_ops probe = {.name = "count", .on_exit = on_exit_, .on_done = on_done};

void rs_add_guest(unsigned i, const uint8_t *image, size_t n)
{
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_I),
	    .guest = "test",
	    .mem_size = 2 * MIB,
	    .n_vcpus = 1,
	    .clock = CLOCK_VIRTUAL,
	    .console = console,
	    .console_arg = &rs.side[i]};
	rs.side[i] = (struct side){0};
	assert_int_equal(vm_create(&cfg, &rs.side[i].vm, &rs.why), ERR_OK);
	struct remote_guest *g = &rs.request.guests[i];
	*g = (struct remote_guest){.vm = rs.side[i].vm, .load = {.image = image, .len = n, .name = "test"}};
	assert_int_equal(image_load(rs.side[i].vm, &g->load, &rs.why), ERR_OK);
	assert_int_equal(vm_add_probe(rs.side[i].vm, &probe, &rs.side[i]), ERR_OK);
	rs.request.n = i + 1;
}

void rs_connect(enum fake_metal_kind kind, unsigned noise, uint64_t seed)
{
	assert_true(fake_metal_start(&rs.metal, kind, noise, seed));
	rs.request.machine = rs.metal.device;
}

void rs_open(void)
{
	enum err e = remote_open(&rs.request, &rs.remote, &rs.why);
	if (e)
		fail_msg("remote_open: %s", rs.why.text);
	for (unsigned i = 0; i < rs.request.n; i++)
		assert_int_equal(session_open_remote(rs.remote, i, &rs.side[i].session, &rs.why), ERR_OK);
}

int rs_setup(void **state)
{
	(void)state;
	rs.request = (struct remote_request){0};
	return 0;
}

int rs_teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		if (rs.side[i].session)
			rs.side[i].session->ops->close(rs.side[i].session);
		else
			vm_destroy(rs.side[i].vm);
		rs.side[i] = (struct side){0};
	}
	remote_close(rs.remote);
	rs.remote = NULL;
	fake_metal_stop(&rs.metal);
	return 0;
}
