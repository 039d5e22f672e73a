/*
 * Snapshots. Because every state of the machine is one pointer-free struct with a version, a snapshot is a list of
 * copies: no device writes any code for it. RAM is stored as a map of pages that are not zero, then those pages.
 *
 * A section: 40 bytes of header (struct section), then its data, padded to 8 bytes. All numbers little-endian.
 */
#include "core/snapshot.h"

#include "core/lib.h"
#include "core/machine.h"
#include "core/typist.h"
#include "core/vm.h"
#include "core/x86/access.h"

#define MAGIC 0x50414e53434d5601ull /* 01 "VMCSNAP" */
#define FORMAT_VERSION 3u

struct header {
	uint64_t magic;
	uint32_t version;
	uint32_t n_sections;
	uint64_t size; /* of the whole snapshot */
};

struct section {
	char tag[8];
	uint32_t version;
	uint32_t index;
	uint64_t len;
	char name[16];
};

/* What a vCPU has beside its architectural state. */
struct vcpu_extra {
	struct vcpu_counts counts;
	uint64_t insns, halt_ns;
	uint64_t halted, wait_startup; /* halted: bit 1 says frozen */
};

struct vcpu_section {
	struct x86_state state;
	struct vcpu_extra extra;
};

struct clock_section {
	uint64_t kind, insns, skipped_ns, now_ns, n_timers;
	uint64_t deadlines[CLOCK_TIMERS_MAX];
};

struct counters_section {
	uint64_t ram_size, n_vcpus;
	uint64_t dropped_writes, hole_reads, unclaimed_pio, unclaimed_mmio;
	uint64_t turn, turn_end;
	uint64_t slept, typed, moves;
};

static size_t pad8(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

static bool page_is_zero(const uint8_t *p)
{
	static const uint8_t zeros[PAGE_SIZE_4K];

	return memcmp(p, zeros, PAGE_SIZE_4K) == 0;
}

static size_t ram_bitmap_len(const struct vm *vm)
{
	return pad8((size_t)(vm->mem.ram_size / PAGE_SIZE_4K + 7) / 8);
}

static size_t ram_len(const struct vm *vm)
{
	size_t n = ram_bitmap_len(vm);

	for (uint64_t at = 0; at < vm->mem.ram_size; at += PAGE_SIZE_4K)
		n += page_is_zero(vm->mem.ram + at) ? 0 : PAGE_SIZE_4K;
	return n;
}

static size_t devices_len(const struct vm *vm)
{
	size_t n = 0;

	for (size_t i = 0; i < machine_n_devices(vm); i++)
		n += sizeof(struct section) + pad8(machine_device(vm, i)->ops->state_size);
	return n;
}

size_t snapshot_machine_size(struct vm *vm)
{
	const size_t s = sizeof(struct section);

	return sizeof(struct header) + s + sizeof(struct counters_section) +
	       vm->n_vcpus * (s + pad8(sizeof(struct vcpu_section))) + s + sizeof(struct clock_section) + s +
	       pad8(sizeof(struct vm_controls)) + devices_len(vm);
}

size_t snapshot_size(struct vm *vm)
{
	return snapshot_machine_size(vm) + sizeof(struct section) + ram_len(vm);
}

/* --- Saving ------------------------------------------------------------------------------------------------------ */

struct writer {
	uint8_t *buf;
	size_t at;
	uint32_t n_sections;
};

/* Opens a section; the caller fills the returned bytes, which are zero. */
static uint8_t *put_section(
    struct writer *w, const char *tag, uint32_t version, uint32_t index, const char *name, size_t len)
{
	struct section s = {.version = version, .index = index, .len = len};

	fmt_snprintf(s.tag, sizeof(s.tag), "%s", tag);
	fmt_snprintf(s.name, sizeof(s.name), "%s", name);
	memcpy(w->buf + w->at, &s, sizeof(s));
	w->at += sizeof(s);
	uint8_t *data = w->buf + w->at;
	memset(data, 0, pad8(len));
	w->at += pad8(len);
	w->n_sections++;
	return data;
}

static enum err save_vcpu(struct writer *w, struct vcpu *v)
{
	const struct x86_state *s = vcpu_state(v);
	struct vcpu_section out;

	if (!s)
		return ERR_IO;
	memset(&out, 0, sizeof(out));
	out.state = *s;
	out.extra =
	    (struct vcpu_extra){v->counts, v->cpu.insns, v->halt_ns, v->halted | v->frozen << 1, v->wait_startup};
	memcpy(put_section(w, "vcpu", X86_STATE_VERSION, v->id, "", sizeof(out)), &out, sizeof(out));
	return ERR_OK;
}

static void save_clock(struct writer *w, const struct clock *c)
{
	struct clock_section out = {c->kind, c->insns, c->skipped_ns, clock_now_ns(c), c->n_timers, {0}};

	for (unsigned i = 0; i < CLOCK_TIMERS_MAX; i++)
		out.deadlines[i] = i < c->n_timers ? c->timers[i].deadline_ns : CLOCK_NEVER;
	memcpy(put_section(w, "clock", 1, 0, "", sizeof(out)), &out, sizeof(out));
}

static void save_counters(struct writer *w, const struct vm *vm)
{
	const struct counters_section out = {vm->mem.ram_size, vm->n_vcpus, vm->mem.dropped_writes, vm->mem.hole_reads,
	    vm->bus.unclaimed_pio, vm->bus.unclaimed_mmio, vm->turn, vm->turn_end, vm->slept,
	    vm->typist ? vm->typist->typed : 0, vm->moves};

	memcpy(put_section(w, "machine", 1, 0, "", sizeof(out)), &out, sizeof(out));
}

static void save_ram(struct writer *w, const struct vm *vm)
{
	uint8_t *map = put_section(w, "ram", 1, 0, "", ram_len(vm));
	uint8_t *page = map + ram_bitmap_len(vm);

	for (uint64_t i = 0; i < vm->mem.ram_size / PAGE_SIZE_4K; i++) {
		const uint8_t *from = vm->mem.ram + i * PAGE_SIZE_4K;
		if (page_is_zero(from))
			continue;
		map[i / 8] |= (uint8_t)(1u << (i % 8));
		memcpy(page, from, PAGE_SIZE_4K);
		page += PAGE_SIZE_4K;
	}
}

/* Everything but RAM, after the place for the header. */
static enum err save_machine(struct vm *vm, struct writer *w, struct errmsg *why)
{
	save_counters(w, vm);
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		if (save_vcpu(w, &vm->vcpus[i]) != ERR_OK)
			return err_set(why, ERR_IO, "the state of CPU %u cannot be read: %s", i, vm->end.detail);
	save_clock(w, &vm->clock);
	memcpy(put_section(w, "control", 1, 0, vm->controls.name, sizeof(vm->controls)), &vm->controls,
	    sizeof(vm->controls));
	for (size_t i = 0; i < machine_n_devices(vm); i++) {
		const struct device *d = machine_device(vm, i);
		memcpy(put_section(w, "device", d->ops->state_version, (uint32_t)i, d->ops->name, d->ops->state_size),
		    d->state, d->ops->state_size);
	}
	return ERR_OK;
}

static enum err save(struct vm *vm, bool ram, void *buf, size_t n, size_t *used, struct errmsg *why)
{
	struct writer w = {.buf = buf, .at = sizeof(struct header)};
	size_t need = ram ? snapshot_size(vm) : snapshot_machine_size(vm);

	*used = 0;
	if (vm->cfg.mode->caps & MODE_CAP_MODEL)
		return err_set(why, ERR_UNSUPPORTED, "a behaviour model's place in its program cannot be saved");
	if (n < need)
		return err_set(why, ERR_RANGE, "the snapshot needs %zu bytes, the buffer has %zu", need, n);
	enum err e = save_machine(vm, &w, why);
	if (e != ERR_OK)
		return e;
	if (ram)
		save_ram(&w, vm);
	const struct header h = {MAGIC, FORMAT_VERSION, w.n_sections, w.at};
	memcpy(buf, &h, sizeof(h));
	*used = w.at;
	return ERR_OK;
}

enum err snapshot_save(struct vm *vm, void *buf, size_t n, size_t *used, struct errmsg *why)
{
	enum err e = save(vm, true, buf, n, used, why);

	if (e == ERR_OK)
		snapshot_flush(vm);
	return e;
}

enum err snapshot_machine_save(struct vm *vm, void *buf, size_t n, size_t *used, struct errmsg *why)
{
	return save(vm, false, buf, n, used, why);
}

void snapshot_flush(struct vm *vm)
{
	for (unsigned i = 0; i < vm->n_vcpus; i++) { /* as for the one that is restored */
		x86_tlb_flush(&vm->vcpus[i].cpu);
		vm->vcpus[i].reflected = 0;
	}
}

/* --- Restoring --------------------------------------------------------------------------------------------------- */

struct reader {
	const uint8_t *buf;
	size_t n, at;
};

static bool next_section(struct reader *r, struct section *s, const uint8_t **data)
{
	if (r->n - r->at < sizeof(*s))
		return false;
	memcpy(s, r->buf + r->at, sizeof(*s));
	s->tag[sizeof(s->tag) - 1] = '\0';
	s->name[sizeof(s->name) - 1] = '\0';
	size_t left = r->n - r->at - sizeof(*s);
	if (s->len > left || pad8((size_t)s->len) > left)
		return false;
	*data = r->buf + r->at + sizeof(*s);
	r->at += sizeof(*s) + pad8((size_t)s->len);
	return true;
}

static size_t ram_pages_in(const uint8_t *map, uint64_t pages)
{
	size_t n = 0;

	for (uint64_t i = 0; i < pages; i++)
		n += map[i / 8] >> (i % 8) & 1;
	return n;
}

static bool ram_fits(const struct vm *vm, const struct section *s, const uint8_t *data)
{
	size_t map = ram_bitmap_len(vm);

	return s->len >= map &&
	       s->len - map == ram_pages_in(data, vm->mem.ram_size / PAGE_SIZE_4K) * (uint64_t)PAGE_SIZE_4K;
}

static bool device_fits(const struct vm *vm, const struct section *s)
{
	if (s->index >= machine_n_devices(vm))
		return false;
	const struct device_ops *ops = machine_device(vm, s->index)->ops;
	return strncmp(ops->name, s->name, sizeof(s->name) - 1) == 0 && ops->state_version == s->version &&
	       ops->state_size == s->len;
}

static bool machine_fits(const struct vm *vm, const struct section *s, const uint8_t *data)
{
	struct counters_section c;

	if (s->len != sizeof(c))
		return false;
	memcpy(&c, data, sizeof(c));
	if (c.typed > (vm->typist ? vm->typist->n : 0))
		return false;
	return c.ram_size == vm->mem.ram_size && c.n_vcpus == vm->n_vcpus && c.turn < vm->n_vcpus;
}

static bool clock_fits(const struct vm *vm, const struct section *s, const uint8_t *data)
{
	struct clock_section c;

	if (s->len != sizeof(c))
		return false;
	memcpy(&c, data, sizeof(c));
	return c.kind == vm->clock.kind && c.n_timers == vm->clock.n_timers;
}

static bool section_fits(const struct vm *vm, const struct section *s, const uint8_t *data)
{
	if (strcmp(s->tag, "machine") == 0)
		return machine_fits(vm, s, data);
	if (strcmp(s->tag, "vcpu") == 0)
		return s->version == X86_STATE_VERSION && s->index < vm->n_vcpus &&
		       s->len == sizeof(struct vcpu_section);
	if (strcmp(s->tag, "clock") == 0)
		return clock_fits(vm, s, data);
	if (strcmp(s->tag, "control") == 0)
		return s->len == sizeof(struct vm_controls) && strcmp(s->name, vm->controls.name) == 0;
	if (strcmp(s->tag, "device") == 0)
		return device_fits(vm, s);
	if (strcmp(s->tag, "ram") == 0)
		return ram_fits(vm, s, data);
	return false;
}

/* Every section must be known, fit this machine, and be there exactly once: the saver's order makes that easy to see.
 */
static enum err check(struct vm *vm, bool with_ram, const void *buf, size_t n, size_t *size, struct errmsg *why)
{
	struct header h;
	const uint8_t *data;
	struct section s;
	uint32_t expected = (uint32_t)(3 + with_ram + vm->n_vcpus + machine_n_devices(vm)), device = 0, vcpu = 0;
	unsigned ram = 0, clock = 0, control = 0;

	if (n < sizeof(h))
		return err_set(why, ERR_FORMAT, "a snapshot of %zu bytes: truncated", n);
	memcpy(&h, buf, sizeof(h));
	if (h.magic != MAGIC)
		return err_set(why, ERR_FORMAT, "this is not a vmscope snapshot");
	if (h.version != FORMAT_VERSION)
		return err_set(
		    why, ERR_UNSUPPORTED, "a snapshot of format %u; this program reads %u", h.version, FORMAT_VERSION);
	if (h.size > n)
		return err_set(
		    why, ERR_FORMAT, "the snapshot is truncated: %zu of %llu bytes", n, (unsigned long long)h.size);
	if (h.n_sections != expected)
		return err_set(
		    why, ERR_FORMAT, "the snapshot has %u sections, this machine needs %u", h.n_sections, expected);
	struct reader r = {buf, (size_t)h.size, sizeof(h)};
	for (uint32_t i = 0; i < h.n_sections; i++) {
		if (!next_section(&r, &s, &data))
			return err_set(why, ERR_FORMAT, "the snapshot is truncated in section %u", i);
		if (!section_fits(vm, &s, data))
			return err_set(why, ERR_FORMAT, "section %u (%s %s) of the snapshot does not fit this machine",
			    i, s.tag, s.name);
		if ((strcmp(s.tag, "device") == 0 && s.index != device++) ||
		    (strcmp(s.tag, "vcpu") == 0 && s.index != vcpu++))
			return err_set(why, ERR_FORMAT, "section %u (%s) of the snapshot is out of order", i, s.tag);
		ram += strcmp(s.tag, "ram") == 0;
		clock += strcmp(s.tag, "clock") == 0;
		control += strcmp(s.tag, "control") == 0;
	}
	if (device != machine_n_devices(vm) || vcpu != vm->n_vcpus || ram != with_ram || clock != 1 || control != 1)
		return err_set(why, ERR_FORMAT, "the snapshot lacks a part of the machine");
	*size = (size_t)h.size;
	return ERR_OK;
}

static void restore_vcpu(struct vcpu *v, const uint8_t *data)
{
	struct vcpu_section in;

	memcpy(&in, data, sizeof(in));
	v->cpu.s = in.state;
	memset(&v->cpu.lazy, 0, sizeof(v->cpu.lazy));
	v->cpu.insns = in.extra.insns;
	v->counts = in.extra.counts;
	v->halt_ns = in.extra.halt_ns;
	v->halted = in.extra.halted & 1;
	v->frozen = in.extra.halted >> 1 & 1;
	v->ferr_at = x86_get(in.state.fxsave + 8, 8);
	v->wait_startup = in.extra.wait_startup != 0;
	v->inside = false;
	v->left_host_ns = 0;
	v->reflected = 0;
	v->state_valid = true;
	v->dirty = DIRTY_ALL;
	x86_state_changed(&v->cpu);
	x86_tlb_flush(&v->cpu);
}

/* The timers keep their handles; guest time goes on from where it was. */
static void restore_clock(struct clock *c, const uint8_t *data)
{
	struct clock_section in;

	memcpy(&in, data, sizeof(in));
	c->insns = in.insns;
	c->skipped_ns = in.skipped_ns;
	if (c->kind == CLOCK_HOST)
		c->start_ns = c->host->now_ns() - in.now_ns;
	for (unsigned i = 0; i < c->n_timers; i++)
		clock_arm(c, i, in.deadlines[i]);
}

static void restore_counters(struct vm *vm, const uint8_t *data)
{
	struct counters_section in;

	memcpy(&in, data, sizeof(in));
	vm->mem.dropped_writes = in.dropped_writes;
	vm->mem.hole_reads = in.hole_reads;
	vm->bus.unclaimed_pio = in.unclaimed_pio;
	vm->bus.unclaimed_mmio = in.unclaimed_mmio;
	vm->turn = (unsigned)in.turn;
	vm->turn_end = in.turn_end;
	vm->slept = (uint32_t)in.slept;
	vm->moves = in.moves;
	if (vm->typist)
		vm->typist->typed = (size_t)in.typed;
}

static void restore_ram(struct vm *vm, const uint8_t *map)
{
	const uint8_t *page = map + ram_bitmap_len(vm);

	for (uint64_t i = 0; i < vm->mem.ram_size / PAGE_SIZE_4K; i++) {
		uint8_t *to = vm->mem.ram + i * PAGE_SIZE_4K;
		if (map[i / 8] >> (i % 8) & 1) {
			mem_note_write(&vm->mem, to, PAGE_SIZE_4K);
			memcpy(to, page, PAGE_SIZE_4K);
			page += PAGE_SIZE_4K;
		} else if (!page_is_zero(to)) {
			mem_note_write(&vm->mem, to, PAGE_SIZE_4K);
			memset(to, 0, PAGE_SIZE_4K);
		}
	}
	vm->mem.generation++; /* decoded code of the old contents is void */
}

static void restore_section(struct vm *vm, const struct section *s, const uint8_t *data)
{
	if (strcmp(s->tag, "machine") == 0)
		restore_counters(vm, data);
	else if (strcmp(s->tag, "vcpu") == 0)
		restore_vcpu(&vm->vcpus[s->index], data);
	else if (strcmp(s->tag, "clock") == 0)
		restore_clock(&vm->clock, data);
	else if (strcmp(s->tag, "control") == 0)
		memcpy(&vm->controls, data, sizeof(vm->controls));
	else if (strcmp(s->tag, "device") == 0)
		memcpy(machine_device(vm, s->index)->state, data, (size_t)s->len);
	else
		restore_ram(vm, data);
}

static enum err restore(struct vm *vm, bool ram, const void *buf, size_t n, struct errmsg *why)
{
	struct reader r = {buf, 0, sizeof(struct header)};
	const uint8_t *data;
	struct section s;

	if (vm->cfg.mode->caps & MODE_CAP_MODEL)
		return err_set(why, ERR_UNSUPPORTED, "a behaviour model's place in its program cannot be restored");
	enum err e = check(vm, ram, buf, n, &r.n, why);
	if (e != ERR_OK)
		return e;
	/* A device may ask for the time, or for memory, when it is told: everything else first. */
	while (next_section(&r, &s, &data))
		restore_section(vm, &s, data);
	for (size_t i = 0; i < machine_n_devices(vm); i++) {
		struct device *d = machine_device(vm, i);
		if (d->ops->restored)
			d->ops->restored(d);
	}
	memset(&vm->end, 0, sizeof(vm->end));
	vm->ended = false;
	vm->stop = 0;
	vm->want_reset = false;
	return ERR_OK;
}

enum err snapshot_restore(struct vm *vm, const void *buf, size_t n, struct errmsg *why)
{
	return restore(vm, true, buf, n, why);
}

enum err snapshot_machine_restore(struct vm *vm, const void *buf, size_t n, struct errmsg *why)
{
	enum err e = restore(vm, false, buf, n, why);

	vm->mem.generation++; /* the caller has put back the RAM */
	return e;
}
