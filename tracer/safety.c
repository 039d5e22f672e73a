/*
 * The resource-control verdict. The backend says what it maps (mode_ops.mappings, from its own structures: the EPT,
 * KVM's slots, the software TLB), and this file holds that against the one memory map of the core, page by page.
 * Freestanding: on bare metal the audit runs beside the guest, and looks at what the processor was really programmed
 * with.
 */
#include "tracer/safety.h"

#include "core/lib.h"
#include "core/vm.h"

#define MAPPINGS_MAX 16384u

static unsigned long long ull(uint64_t v)
{
	return (unsigned long long)v;
}

static unsigned long long ms(uint64_t ns)
{
	return ns / 1000000;
}

static unsigned us(uint64_t ns)
{
	return (unsigned)(ns / 1000 % 1000);
}

static const char *owner(const struct vm *vm, const void *p)
{
	return vm->cfg.memory_owner ? vm->cfg.memory_owner(p) : NULL;
}

static const char *owner_name(const struct vm *vm, const void *p)
{
	const char *name = owner(vm, p);

	return name ? name : "";
}

bool safety_mapping_fault(const struct vm *vm, const struct mode_mapping *m, char *buf, size_t n)
{
	for (uint64_t off = 0; off < m->len; off += PAGE_SIZE_4K) {
		gpa_t gpa = m->gpa + off;
		int i = mem_find(&vm->mem, gpa);
		if (i < 0) {
			fmt_snprintf(buf, n, "gpa %#llx is mapped, but no memory of the guest is there%s%s", ull(gpa),
			    owner(vm, m->host + off) ? ": it is the VMM's " : "", owner_name(vm, m->host + off));
			return true;
		}
		const struct mem_slot *slot = &vm->mem.slots[i];
		const uint8_t *readable = slot->read ? slot->read + (gpa - slot->gpa) : NULL;
		if (!readable || m->host + off != readable) {
			fmt_snprintf(buf, n, "gpa %#llx is mapped to other host memory than slot %s%s%s", ull(gpa),
			    slot->name, owner(vm, m->host + off) ? ": it is the VMM's " : "",
			    owner_name(vm, m->host + off));
			return true;
		}
		if (m->write && slot->write != slot->read) {
			fmt_snprintf(buf, n, "gpa %#llx is writable, but slot %s is not", ull(gpa), slot->name);
			return true;
		}
	}
	return false;
}

/* True when everything passed; else buf names the first finding. */
static bool audit_mappings(struct vm *vm, struct safety *out, char *buf, size_t n)
{
	const struct host_ops *host = vm->cfg.host;
	struct mode_mapping *maps = host->page_alloc(MAPPINGS_MAX * sizeof *maps);
	if (!maps) {
		fmt_snprintf(buf, n, "no memory for the audit of mappings");
		return false;
	}
	size_t count = vm->cfg.mode->mappings(vm, maps, MAPPINGS_MAX);
	bool good = count <= MAPPINGS_MAX;
	if (!good)
		fmt_snprintf(buf, n, "%llu mappings are more than the audit reads", ull(count));
	for (size_t i = 0; good && i < count; i++) {
		good = !safety_mapping_fault(vm, &maps[i], buf, n);
		out->mappings++;
		out->bytes += maps[i].len;
	}
	host->page_free(maps, MAPPINGS_MAX * sizeof *maps);
	return good;
}

/* The first bit that is set in want and not in have, or the reverse; -1: none. */
static int first_bit(const void *want, const void *have, size_t n)
{
	const uint8_t *a = want, *b = have;

	for (size_t i = 0; i < n * 8; i++)
		if ((a[i / 8] ^ b[i / 8]) >> i % 8 & 1)
			return (int)i;
	return -1;
}

static const char *exits_or_not(const void *have, int bit)
{
	return ((const uint8_t *)have)[bit / 8] >> bit % 8 & 1 ? "exits" : "does not exit";
}

/* Which access a bit of a bitmap stands for, in words. */
static void name_bitmap_bit(const struct vm_controls *have, const char *member, int bit, char *buf, size_t n)
{
	if (strcmp(member, "msr_bitmap") == 0)
		fmt_snprintf(buf, n, ": %s of MSR %#x %s", bit / 8192 >= 2 ? "a write" : "a read",
		    (unsigned)(bit % 8192) | (bit / 8192 & 1 ? 0xc0000000u : 0), exits_or_not(have->msr_bitmap, bit));
	else if (strcmp(member, "io_bitmap") == 0)
		fmt_snprintf(buf, n, ": port %#x %s", (unsigned)bit, exits_or_not(have->io_bitmap, bit));
}

struct control_bit {
	uint32_t bit;
	const char *name;
};
static const struct control_bit proc_bits[] = {
    {PROC_HLT_EXIT, "HLT exiting"},
    {PROC_INVLPG_EXIT, "INVLPG exiting"},
    {PROC_MWAIT_EXIT, "MWAIT exiting"},
    {PROC_RDPMC_EXIT, "RDPMC exiting"},
    {PROC_RDTSC_EXIT, "RDTSC exiting"},
    {PROC_CR3_LOAD_EXIT, "CR3-load exiting"},
    {PROC_CR3_STORE_EXIT, "CR3-store exiting"},
    {PROC_CR8_LOAD_EXIT, "CR8-load exiting"},
    {PROC_CR8_STORE_EXIT, "CR8-store exiting"},
    {PROC_MOV_DR_EXIT, "MOV-DR exiting"},
    {PROC_UNCOND_IO_EXIT, "unconditional I/O exiting"},
    {PROC_IO_BITMAPS, "use I/O bitmaps"},
    {PROC_MSR_BITMAPS, "use MSR bitmaps"},
    {PROC_MONITOR_EXIT, "MONITOR exiting"},
    {PROC_PAUSE_EXIT, "PAUSE exiting"},
};

/* The VMX control behind a bit of "proc", by the SDM's name, and how it stands. */
static void name_proc_bit(uint32_t want, uint32_t have, char *buf, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(proc_bits); i++)
		if ((want ^ have) & proc_bits[i].bit) {
			fmt_snprintf(buf, n, ": \"%s\" is %s", proc_bits[i].name, have & proc_bits[i].bit ? "1" : "0");
			return;
		}
}

/* What is in force, read back from the hardware where the mode can, against what the profile says. */
static bool same_controls(const struct vm_controls *want, const struct vm_controls *have, char *buf, size_t n)
{
	/* Which member differs, by name: a student looks it up in core/controls.h. */
#define SAME(member)                                                                                                 \
	if (memcmp(&want->member, &have->member, sizeof want->member) != 0) {                                        \
		char more[96] = "";                                                                                  \
		name_bitmap_bit(                                                                                     \
		    have, #member, first_bit(&want->member, &have->member, sizeof want->member), more, sizeof more); \
		if (want->proc != have->proc && strcmp(#member, "proc") == 0)                                        \
			name_proc_bit(want->proc, have->proc, more, sizeof more);                                    \
		fmt_snprintf(buf, n, "control field \"%s\" differs from profile %s%s", #member, want->name, more);   \
		return false;                                                                                        \
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
	return true;
}

static bool audit_vcpu_controls(
    struct vm *vm, struct vcpu *v, const struct vm_controls *want, struct vm_controls *have, char *buf, size_t n)
{
	*have = vm->controls;
	if (vm->cfg.mode->read_controls)
		vm->cfg.mode->read_controls(v, have);
	if (!same_controls(want, have, buf, n))
		return false;
	if (vm->cfg.mode->programmed && !vm->cfg.mode->programmed(v, buf, n))
		return false;
	if (vm->cfg.mode->mode != MODE_EMULATE || v->cpu.ctl == &vm->controls)
		return true;
	fmt_snprintf(buf, n, "vCPU %u does not run under the machine's controls", v->id);
	return false;
}

static bool audit_controls(struct vm *vm, char *buf, size_t n)
{
	const struct host_ops *host = vm->cfg.host;
	struct vm_controls *want = host->page_alloc(2 * sizeof *want);
	struct errmsg why = {{0}};
	bool good = false;

	if (!want)
		fmt_snprintf(buf, n, "no memory for the audit of controls");
	else if (controls_set(&want[0], vm->controls.name, &why))
		fmt_snprintf(buf, n, "profile %s: %.180s", vm->controls.name, why.text);
	else if (vm->cfg.controls && strcmp(vm->cfg.controls, vm->controls.name) != 0)
		fmt_snprintf(buf, n, "profile %s was asked for, %s is programmed", vm->cfg.controls, vm->controls.name);
	else
		good = true;
	for (unsigned i = 0; good && i < vm->n_vcpus; i++)
		good = audit_vcpu_controls(vm, &vm->vcpus[i], &want[0], &want[1], buf, n);
	if (want)
		host->page_free(want, 2 * sizeof *want);
	return good;
}

static void say_what_holds(const struct vm *vm, const struct safety *s, char *buf, size_t n)
{
	const struct mode_ops *mode = vm->cfg.mode;
	char mapped[80] = "nothing is mapped yet: no memory can be reached";

	if (s->mappings)
		fmt_snprintf(mapped, sizeof mapped, "%llu mappings (%llu KiB) lie inside the guest's memory",
		    ull(s->mappings), ull(s->bytes >> 10));
	fmt_snprintf(buf, n, "%s; %s profile %s", mapped,
	    mode->mode == MODE_VIRTUALIZE && mode->type == VMM_TYPE_II ? "KVM accepted an MSR filter equal to"
	    : mode->programmed	  ? "controls, tables and host state read back are those of"
	    : mode->read_controls ? "controls read back equal"
				  : "controls equal",
	    vm->controls.name);
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
		fmt_snprintf(evidence, room, "mapping: %s", text);
	} else if (!audit_controls(vm, text, sizeof text)) {
		fmt_snprintf(evidence, room, "controls: %s", text);
	} else if (out->longest_ns > bound_ns) {
		fmt_snprintf(evidence, room,
		    "interval: %llu.%03u ms of guest time without an exit, the bound is %llu ms", ms(out->longest_ns),
		    us(out->longest_ns), ms(bound_ns));
	} else {
		out->verdict.state = PG_HOLDS;
		if (vm->cfg.mode->mode == MODE_SIMULATE)
			fmt_snprintf(text, sizeof text, "no guest memory is mapped: nothing to audit");
		else
			say_what_holds(vm, out, text, sizeof text);
		fmt_snprintf(evidence, room, "%s; longest stretch without an exit %llu.%03u ms, bound %llu ms", text,
		    ms(out->longest_ns), us(out->longest_ns), ms(bound_ns));
	}
}
