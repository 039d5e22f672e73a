/* See control_fixture.h. */
#include "tests/control_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/loader.h"
#include "core/typist.h"

static const struct {
	const char *name, *image, *args;
} guests[] = {
#define GUEST(n, image, args, code, pvm, exact, vtx_ept, kvm_user) {#n, image, args},
#include "labs/guests/guests.def"
#undef GUEST
};

static char *read_image(const char *name, size_t *n)
{
	char exe[512], path[640];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);

	assert_true(len > 0);
	exe[len] = 0;
	*strrchr(exe, '/') = 0;
	assert_true(snprintf(path, sizeof path, "%s/../../guests/%s", exe, name) < (int)sizeof path);
	FILE *f = fopen(path, "rb");
	if (!f)
		fail_msg("%s is not built: make guests", path);
	char *data = malloc(1 << 20);
	assert_non_null(data);
	*n = fread(data, 1, 1 << 20, f);
	fclose(f);
	return data;
}

static void console_byte(void *arg, const char *port, uint8_t byte)
{
	struct control_fix *f = arg;

	(void)port;
	assert_true(f->n_console < sizeof f->console);
	f->console[f->n_console++] = (char)byte;
}

static void load(struct control_fix *f, const char *guest, const struct control_fix_options *o)
{
	struct errmsg why = {""};
	struct load_request r = {.image = o->code, .len = o->code_len, .name = guest};
	size_t i = 0;

	if (!o->code) {
		while (i < ARRAY_LEN(guests) && strcmp(guests[i].name, guest) != 0)
			i++;
		assert_true(i < ARRAY_LEN(guests));
		r.image = f->image = read_image(guests[i].image, &r.len);
		r.cmdline = guests[i].args;
	}
	if (image_load(f->vm, &r, &why) != ERR_OK)
		fail_msg("%s: %s", guest, why.text);
}

bool control_fix_open(struct control_fix *f, const char *guest, const struct control_fix_options *o)
{
	struct errmsg why = {""};
	const struct mode_ops *mode = o->mode ? o->mode : modes_find(MODE_EMULATE, VMM_TYPE_II);
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = mode,
	    .guest = guest,
	    .mem_size = o->mem_size ? o->mem_size : 16u << 20,
	    .n_vcpus = o->n_vcpus ? o->n_vcpus : 1,
	    .clock = mode->caps & MODE_CAP_VIRTUAL_TIME ? o->clock : CLOCK_HOST,
	    .max_exits = o->max_exits,
	    .max_insns = o->max_insns,
	    .console = console_byte,
	    .console_arg = f};

	memset(f, 0, sizeof *f);
	if (mode->probe(&host_posix_ops, &why) != ERR_OK)
		return false;
	if (vm_create(&cfg, &f->vm, &why) != ERR_OK)
		fail_msg("%s: %s", guest, why.text);
	load(f, guest, o);
	if (o->keys)
		assert_int_equal(
		    typist_start(&f->typist, f->vm, (const uint8_t *)o->keys, strlen(o->keys), &why), ERR_OK);
	assert_int_equal(session_open_local(f->vm, &f->s, &why), ERR_OK);
	if (control_open(f->s, &o->control, &f->c, &why) != ERR_OK)
		fail_msg("%s: %s", guest, why.text);
	return true;
}

void control_fix_close(struct control_fix *f)
{
	control_close(f->c);
	f->s->ops->close(f->s);
	free(f->image);
}
