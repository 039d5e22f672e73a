/*
 * Puts everything that a session's guests need into one bundle (core/bundle.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/wire.h"
#include "session/remote_impl.h"

#define PART_ALIGN 64u

/* Two passes with the same code: without memory it only counts. */
struct builder {
	uint8_t *mem;
	uint64_t len;
};

static struct bundle_part add(struct builder *b, const void *p, uint64_t n)
{
	struct bundle_part part = {0};
	if (!n)
		return part;
	b->len = (b->len + PART_ALIGN - 1) / PART_ALIGN * PART_ALIGN;
	part = (struct bundle_part){b->len, n};
	if (b->mem)
		memcpy(b->mem + b->len, p, n);
	b->len += n;
	return part;
}

static struct bundle_part add_text(struct builder *b, const char *s)
{
	return add(b, s, s ? strlen(s) + 1 : 0);
}

static void add_guest(struct builder *b, const struct remote_guest *g, struct bundle_vm *out)
{
	const struct vm_config *c = &g->vm->cfg;
	*out = (struct bundle_vm){.mode = c->mode->mode,
	    .clock = c->clock,
	    .mem_size = c->mem_size,
	    .max_exits = c->max_exits,
	    .max_insns = c->max_insns,
	    .seed = c->seed,
	    .fault = g->fault,
	    .user_reasons = {g->vm->user_reasons[0], g->vm->user_reasons[1]}};
	const char *slash = g->load.name ? strrchr(g->load.name, '/') : NULL;

	snprintf(out->name, sizeof out->name, "%s", c->guest ? c->guest : "guest");
	snprintf(out->image_name, sizeof out->image_name, "%s",
	    slash	   ? slash + 1
	    : g->load.name ? g->load.name
			   : out->name);
	snprintf(out->controls, sizeof out->controls, "%s", g->vm->controls.name);
	out->image = add(b, g->load.image, g->load.image ? g->load.len : 0);
	out->firmware = add(b, g->firmware, g->firmware ? g->firmware_len : 0);
	out->cmdline = add_text(b, g->load.cmdline ? g->load.cmdline : c->cmdline);
	out->keys = add(b, g->keys, g->keys ? g->n_keys : 0);
	out->cost = add(b, c->cost, c->cost ? sizeof *c->cost : 0);
	for (size_t i = 0; i < g->load.n_modules && i < BUNDLE_MODULES_MAX; i++) {
		out->modules[i] = add(b, g->load.modules[i].data, g->load.modules[i].len);
		out->module_args[i] = add_text(b, g->load.modules[i].args);
		out->n_modules = (uint32_t)i + 1;
	}
}

static void build(struct builder *b, const struct remote_request *q, struct bundle *head)
{
	b->len = sizeof *head;
	for (unsigned i = 0; i < q->n; i++)
		add_guest(b, &q->guests[i], &head->vms[i]);
	b->len = (b->len + PART_ALIGN - 1) / PART_ALIGN * PART_ALIGN;
}

enum err bundle_build(const struct remote_request *q, const struct machine_facts *f, uint32_t flags, uint64_t bulk_size,
    uint8_t **out, size_t *len, struct errmsg *why)
{
	struct bundle head = {0};
	struct builder b = {0};
	*out = NULL;
	if (q->n == 0 || q->n > BUNDLE_VMS_MAX)
		return err_set(why, ERR_RANGE, "%u guests: 1 to %u run on one machine", q->n, BUNDLE_VMS_MAX);
	for (unsigned i = 0; i < q->n; i++)
		if (q->guests[i].load.n_modules > BUNDLE_MODULES_MAX)
			return err_set(
			    why, ERR_RANGE, "%zu modules: at most %u", q->guests[i].load.n_modules, BUNDLE_MODULES_MAX);
	build(&b, q, &head);
	b.mem = calloc(1, b.len);
	if (!b.mem)
		return err_set(why, ERR_NOMEM, "no memory for the %llu bytes of the guests", (unsigned long long)b.len);
	memset(&head, 0, sizeof head);
	build(&b, q, &head);
	memcpy(head.magic, BUNDLE_MAGIC, sizeof head.magic);
	head.version = BUNDLE_VERSION;
	head.len = b.len;
	head.flags = flags;
	head.n_vms = q->n;
	head.tsc_hz = f->tsc_hz;
	head.checkpoint_every = q->checkpoint_every;
	head.engine = q->engine;
	head.bulk_size = bulk_size;
	head.slice_ns = q->slice_ns;
	memcpy(b.mem, &head, sizeof head);
	size_t behind = offsetof(struct bundle, crc) + sizeof head.crc;
	uint32_t crc = wire_crc32(0, b.mem + behind, b.len - behind);
	memcpy(b.mem + offsetof(struct bundle, crc), &crc, sizeof crc);
	*out = b.mem;
	*len = b.len;
	return ERR_OK;
}
