/*
 * vmscope iso: a CD that boots the bare-metal VMM with its guests and needs no host: on a real PC, in QEMU, in Bochs.
 * The guests' consoles and the summary go to the first serial port.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/runner_impl.h"

static const struct argp iso_argp = {.options = options_iso,
    .parser = options_parse,
    .args_doc = "GUEST",
    .doc = "Write a bootable CD image with the bare-metal VMM and a guest.\v"
	   "It boots by BIOS and is made for real hardware, too; tried are QEMU and Bochs. For example: "
	   "qemu-system-x86_64 -cdrom FILE -cpu max "
	   "-serial stdio"};

/* A mirror is what checks the guest: an image that does not load here does not load there. */
static enum err load(struct run *run, const struct mode_ops *ops, struct remote_guest *g, struct errmsg *why)
{
	const struct run_options *o = run->o;
	enum err e = guest_open(&run->guest, o, true, why);
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = ops,
	    .guest = run->guest.name,
	    .controls = o->controls ? o->controls : ops->default_profile,
	    .mem_size = o->mem,
	    .n_vcpus = 1,
	    .clock = ops->caps & MODE_CAP_VIRTUAL_TIME ? CLOCK_VIRTUAL : CLOCK_HOST,
	    .seed = o->seed,
	    .max_exits = o->max_exits,
	    .max_insns = o->max_insns};

	if (!e)
		e = vm_create(&cfg, &run->vm, why);
	if (!e)
		e = guest_load(&run->guest, o, run->vm, why);
	if (!e && o->keys)
		e = console_type(&run->console, run->vm, o->keys, why);
	runner_remote_guest(run, g);
	return e;
}

static enum err write_iso(const struct run_options *o, const struct mode_ops *ops, struct errmsg *why)
{
	static struct run runs[BUNDLE_VMS_MAX];
	static struct run_options options[BUNDLE_VMS_MAX];
	static char words[BUNDLE_VMS_MAX][GUEST_PATH_MAX];
	struct remote_request q = {.n = 1 + o->n_also};
	enum err e = ERR_OK;

	for (unsigned i = 0; !e && i < q.n; i++) {
		options[i] = *o;
		if (i)
			runner_also(o, i - 1, &options[i], words[i]);
		runs[i] = (struct run){.o = &options[i], .ops = ops, .index = i};
		e = load(&runs[i], ops, &q.guests[i], why);
	}
	if (!e)
		e = medium_iso(&q, o->output, why);
	for (unsigned i = 0; i < q.n; i++) {
		vm_destroy(runs[i].vm);
		console_free(&runs[i].console);
		guest_close(&runs[i].guest);
	}
	return e;
}

int cmd_iso(int argc, char **argv)
{
	struct run_options o;
	struct errmsg why = {{0}};
	options_init(&o);
	o.mode = MODE_VIRTUALIZE;
	o.type = VMM_TYPE_I;
	int status = cli_parse(&iso_argp, argc, argv, &o);
	if (status)
		return status;
	if (!o.output)
		return cli_usage("iso: where to? give the file to write: -o FILE");
	if (o.mode == MODE_SIMULATE)
		return cli_usage("--mode simulate: a model runs in the hosted program only: use emulate or virtualize");
	const struct mode_ops *ops = modes_find(o.mode, VMM_TYPE_I);
	const char *controls;
	enum clock_kind clock;
	enum err e = runner_check(&o, ops, &controls, &clock, &why);
	if (!e)
		e = write_iso(&o, ops, &why);
	return e ? cli_fail_err(e, &why) : CLI_OK;
}
