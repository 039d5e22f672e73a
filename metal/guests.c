/*
 * The guests of a bundle: each one is a VM of the core with its own memory, devices, console, clock and records.
 * Loading is the core's: the same loaders as in the hosted program, so both have the same machine before the first
 * instruction.
 */
#include "core/lib.h"
#include "core/loader.h"
#include "core/machine.h"
#include "metal/agent_impl.h"

static enum err load_guest(struct agent_guest *g, struct errmsg *why)
{
	const struct bundle *b = g->agent->bundle;
	const struct bundle_vm *c = g->cfg;
	const void *firmware = bundle_part(b, &c->firmware), *image = bundle_part(b, &c->image);
	struct load_module modules[BUNDLE_MODULES_MAX];
	enum err e = ERR_OK;

	if (firmware)
		e = machine_set_firmware(g->vm, firmware, c->firmware.len, why);
	if (e != ERR_OK || !image)
		return e;
	for (unsigned i = 0; i < c->n_modules; i++)
		modules[i] = (struct load_module){
		    bundle_part(b, &c->modules[i]), c->modules[i].len, bundle_part(b, &c->module_args[i])};
	const struct load_request r = {.image = image,
	    .len = c->image.len,
	    .name = c->image_name[0] ? c->image_name : c->name,
	    .cmdline = bundle_part(b, &c->cmdline),
	    .modules = modules,
	    .n_modules = c->n_modules};
	return image_load(g->vm, &r, why);
}

static enum err create_guest(struct agent_guest *g, struct errmsg *why)
{
	const struct agent_boot *boot = g->agent->boot;
	const struct bundle *b = g->agent->bundle;
	const struct bundle_vm *c = g->cfg;
	const struct mode_ops *mode = boot->engine((enum vmm_mode)c->mode, b->engine, why);

	if (!mode)
		return ERR_NODEV;
	fmt_snprintf(g->end.engine, sizeof(g->end.engine), "%s", mode->engine);
	const struct vm_config cfg = {.host = boot->host,
	    .mode = mode,
	    .guest = c->name,
	    .controls = c->controls,
	    .mem_size = c->mem_size,
	    .n_vcpus = 1,
	    .clock = (enum clock_kind)c->clock,
	    .seed = c->seed,
	    .max_exits = c->max_exits,
	    .max_insns = c->max_insns,
	    .cost = bundle_part(b, &c->cost),
	    .console = console_put,
	    .console_arg = g,
	    .user = g->agent->session ? agent_ask : NULL,
	    .user_arg = g,
	    .memory_owner = boot->memory_owner};
	enum err e = vm_create(&cfg, &g->vm, why);

	if (e == ERR_OK)
		e = load_guest(g, why);
	if (e == ERR_OK && c->keys.len)
		e = typist_start(&g->typist, g->vm, bundle_part(b, &c->keys), c->keys.len, why);
	if (e == ERR_OK)
		e = stream_open(g, why);
	if (e != ERR_OK)
		return e;
	g->vm->user_reasons[0] = c->user_reasons[0];
	g->vm->user_reasons[1] = c->user_reasons[1];
	if (c->fault != FAULT_NONE && boot->seed_fault)
		boot->seed_fault(g->vm, (enum bundle_fault)c->fault);
	if (boot->register_vm)
		boot->register_vm(g->vm);
	return ERR_OK;
}

/* A guest that cannot be created has ended; the others run. */
static void not_created(struct agent_guest *g, enum err e, const struct errmsg *why)
{
	g->ended = true;
	g->end.end.kind = END_HOST_ERROR;
	g->end.end.code = (uint32_t)e;
	fmt_snprintf(
	    g->end.end.detail, sizeof(g->end.end.detail), "%.230s", why->text[0] ? why->text : err_sentence(e));
}

enum err guests_create(struct agent *a, struct errmsg *why)
{
	const struct agent_boot *boot = a->boot;

	if (a->bundle->tsc_hz && boot->set_tick_rate)
		boot->set_tick_rate(a->bundle->tsc_hz);
	if ((a->bundle->flags & BUNDLE_BULK) && boot->disk_write && a->bundle->bulk_size >= 2 * BULK_BUF) {
		a->bulk_buf = boot->host->page_alloc(BULK_BUF + PAGE_SIZE_4K);
		if (!a->bulk_buf)
			return err_set(why, ERR_NOMEM, "no memory for the record buffer");
	}
	a->fixed_hash = boot->fixed_hash ? boot->fixed_hash() : 0;
	a->n_guests = a->bundle->n_vms;
	for (unsigned i = 0; i < a->n_guests; i++) {
		struct agent_guest *g = &a->guests[i];
		struct errmsg said = {{0}};

		*g = (struct agent_guest){.agent = a, .cfg = &a->bundle->vms[i], .index = i};
		g->end.console_fnv = FNV64_INIT;
		enum err e = create_guest(g, &said);
		if (e != ERR_OK)
			not_created(g, e, &said);
	}
	return ERR_OK;
}

void guests_destroy(struct agent *a)
{
	const struct host_ops *host = a->boot->host;

	for (unsigned i = 0; i < a->n_guests; i++) {
		struct agent_guest *g = &a->guests[i];

		if (g->page_fnv)
			host->page_free(g->page_fnv, g->vm->mem.ram_size / PAGE_SIZE_4K * sizeof(*g->page_fnv));
		if (g->slots)
			host->page_free(g->slots, (g->ring.mask + 1) * sizeof(*g->slots));
		vm_destroy(g->vm);
	}
	if (a->bulk_buf)
		host->page_free(a->bulk_buf, BULK_BUF + PAGE_SIZE_4K);
	if (a->loaded)
		host->page_free(a->loaded, a->loaded_len);
}

#define RUNS_ON_BOUND_NS (20 * SAFETY_INTERVAL_NS)

static void audit(struct agent_guest *g)
{
	struct safety s;

	/* Where the clock counts time in which nothing ran at all, a stretch says less. */
	uint64_t bound = g->agent->bundle->flags & BUNDLE_CLOCK_RUNS_ON ? RUNS_ON_BOUND_NS : 0;

	safety_audit(g->vm, bound, &s);
	g->end.safety.state = s.verdict.state;
	g->end.safety.mappings = s.mappings;
	g->end.safety.bytes = s.bytes;
	g->end.safety.longest_ns = s.longest_ns;
	memcpy(g->end.safety.evidence, s.verdict.evidence, sizeof(g->end.safety.evidence));
}

/* The accounts of a guest that stands still, with an audit of this moment. */
void guest_report(struct agent_guest *g)
{
	struct agent *a = g->agent;
	struct msg_end *m = &g->end;

	if (g->vm) {
		struct vm *vm = g->vm;

		audit(g);
		m->mem_fnv = a->n_guests > 1 || g->page_fnv ? stream_memory_fnv(g) : 0;
		m->end = vm->end;
		m->counts = vm->vcpus[0].counts;
		m->insns = vm->clock.insns;
		m->now_ns = clock_now_ns(&vm->clock);
		m->has_screen = machine_screen(vm, m->screen);
	}
	m->lost = g->slots ? ring_lost(&g->ring) : 0;
	m->vmm_hash_before = a->fixed_hash;
	m->vmm_hash_after = a->boot->fixed_hash ? a->boot->fixed_hash() : 0;
}

void guest_send_end(struct agent_guest *g)
{
	struct agent *a = g->agent;

	if (!g->end_sent) {
		if (g->vm)
			stream_checkpoint(g);
		guest_report(g);
	}
	console_flush(g);
	stream_flush(a);
	g->end_sent = true;
	if (a->session)
		wire_send(&a->tx, MSG_END, (uint8_t)g->index, &g->end, sizeof(g->end));
	else
		text_end(g);
}
