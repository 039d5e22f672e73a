/*
 * The resource-control verdict. The backend says what it maps (mode_ops.mappings, from its own structures), and this
 * file holds that against the one memory map of the core, page by page.
 */
#include "tracer/safety.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/vm.h"

#define MAPPINGS_MAX 16384u

static unsigned long long ull(uint64_t v)
{
	return (unsigned long long)v;
}

bool safety_mapping_fault(const struct vm *vm, const struct mode_mapping *m, char *buf, size_t n)
{
	for (uint64_t off = 0; off < m->len; off += PAGE_SIZE_4K) {
		gpa_t gpa = m->gpa + off;
		int i = mem_find(&vm->mem, gpa);
		if (i < 0) {
			snprintf(buf, n, "gpa %#llx is mapped, but no memory of the guest is there", ull(gpa));
			return true;
		}
		const struct mem_slot *slot = &vm->mem.slots[i];
		const uint8_t *readable = slot->read ? slot->read + (gpa - slot->gpa) : NULL;
		if (!readable || m->host + off != readable) {
			snprintf(buf, n, "gpa %#llx is mapped to other host memory than slot %s", ull(gpa), slot->name);
			return true;
		}
		if (m->write && slot->write != slot->read) {
			snprintf(buf, n, "gpa %#llx is writable, but slot %s is not", ull(gpa), slot->name);
			return true;
		}
	}
	return false;
}

/* True when everything passed; else buf names the first finding. */
static bool audit_mappings(struct vm *vm, struct safety *out, char *buf, size_t n)
{
	struct mode_mapping *maps = calloc(MAPPINGS_MAX, sizeof *maps);
	if (!maps) {
		snprintf(buf, n, "no memory for the audit of mappings");
		return false;
	}
	size_t count = vm->cfg.mode->mappings(vm, maps, MAPPINGS_MAX);
	bool good = count <= MAPPINGS_MAX;
	if (!good)
		snprintf(buf, n, "%zu mappings are more than the audit reads", count);
	for (size_t i = 0; good && i < count; i++) {
		good = !safety_mapping_fault(vm, &maps[i], buf, n);
		out->mappings++;
		out->bytes += maps[i].len;
	}
	free(maps);
	return good;
}

static bool audit_controls(struct vm *vm, char *buf, size_t n)
{
	struct vm_controls *want = calloc(1, sizeof *want);
	struct errmsg why = {{0}};
	bool good = false;
	if (!want)
		snprintf(buf, n, "no memory for the audit of controls");
	else if (controls_set(want, vm->controls.name, &why))
		snprintf(buf, n, "profile %s: %.180s", vm->controls.name, why.text);
	else if (vm->cfg.controls && strcmp(vm->cfg.controls, vm->controls.name) != 0)
		snprintf(buf, n, "profile %s was asked for, %s is programmed", vm->cfg.controls, vm->controls.name);
	else
		good = true;
		/* Which member differs, by name: a student looks it up in core/controls.h. */
#define SAME(member)                                                                                   \
	if (good && memcmp(&want->member, &vm->controls.member, sizeof want->member) != 0) {           \
		snprintf(buf, n, "control field \"%s\" differs from profile %s", #member, want->name); \
		good = false;                                                                          \
	}
	SAME(pin)
	SAME(proc)
	SAME(proc2)
	SAME(exceptions)
	SAME(pf_mask)
	SAME(pf_match)
	SAME(kernel)
	SAME(ring)
	SAME(cr0_mask)
	SAME(cr4_mask)
	SAME(io_bitmap)
	SAME(msr_bitmap)
#undef SAME
	for (unsigned i = 0; good && i < vm->n_vcpus; i++) {
		const struct vm_controls *used = vm->vcpus[i].cpu.ctl;
		if (vm->cfg.mode->mode == MODE_EMULATE && used != &vm->controls) {
			snprintf(buf, n, "vCPU %u does not run under the machine's controls", i);
			good = false;
		}
	}
	free(want);
	return good;
}

void safety_audit(struct vm *vm, uint64_t bound_ns, struct safety *out)
{
	char text[240];
	*out = (struct safety){0};
	if (!bound_ns)
		bound_ns = SAFETY_INTERVAL_NS;
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		if (vm->vcpus[i].counts.longest_guest_ns > out->longest_ns)
			out->longest_ns = vm->vcpus[i].counts.longest_guest_ns;
	out->verdict.state = PG_VIOLATED;
	char *evidence = out->verdict.evidence;
	size_t room = sizeof out->verdict.evidence;
	if (!audit_mappings(vm, out, text, sizeof text)) {
		snprintf(evidence, room, "mapping: %s", text);
	} else if (!audit_controls(vm, text, sizeof text)) {
		snprintf(evidence, room, "controls: %s", text);
	} else if (out->longest_ns > bound_ns) {
		snprintf(evidence, room, "interval: %.3f ms of guest time without an exit, the bound is %.0f ms",
		    (double)out->longest_ns / 1e6, (double)bound_ns / 1e6);
	} else {
		out->verdict.state = PG_HOLDS;
		if (vm->cfg.mode->mode == MODE_SIMULATE)
			snprintf(text, sizeof text, "no guest memory is mapped: nothing to audit");
		else
			snprintf(text, sizeof text,
			    "%llu mappings (%llu KiB) lie inside the guest's memory; %s profile %s", ull(out->mappings),
			    ull(out->bytes >> 10),
			    vm->cfg.mode->mode == MODE_VIRTUALIZE && vm->cfg.mode->type == VMM_TYPE_II
				? "KVM accepted an MSR filter equal to"
				: "controls equal",
			    vm->controls.name);
		snprintf(evidence, room, "%s; longest stretch without an exit %.3f ms, bound %.0f ms", text,
		    (double)out->longest_ns / 1e6, (double)bound_ns / 1e6);
	}
}
