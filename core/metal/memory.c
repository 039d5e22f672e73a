/*
 * Whose memory is it: what the boot loader said about RAM becomes the heap, minus what is in use, and every address can
 * be told its owner. The audit of resource control asks when it finds VMM memory in a guest's reach.
 */
#include "core/lib.h"
#include "core/metal/metal_priv.h"
#include "core/vm.h"

#define MIB 0x100000ull
#define GIB4 0x100000000ull

static struct mem_range ram[METAL_RANGES_MAX], bundle;
static unsigned n_ram;
static struct vm *vms[BUNDLE_VMS_MAX];
static unsigned n_vms;

void memory_set_bundle(uint64_t base, uint64_t len)
{
	bundle = (struct mem_range){base, len};
}

/* [base, end) without [hole, hole_end): up to two pieces, of which the second is done by the loop of the caller. */
static void add_without(uint64_t base, uint64_t end, const struct mem_range *holes, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t hole = holes[i].base, hole_end = hole + holes[i].len;

		if (holes[i].len == 0 || hole >= end || hole_end <= base)
			continue;
		if (hole > base)
			add_without(base, hole, holes + i + 1, n - i - 1);
		base = hole_end;
		if (base >= end)
			return;
	}
	alloc_add(base, end - base);
}

void memory_init(const struct boot_info *b, bool above_4g)
{
	const uint64_t low = above_4g ? GIB4 : MIB, high = above_4g ? UINT64_MAX : GIB4;
	const struct mem_range used[] = {
	    {MIB, metal_hpa(metal_bss_end) - MIB},
	    bundle,
	};

	memcpy(ram, b->ram, sizeof(ram));
	n_ram = b->n_ram;
	for (unsigned i = 0; i < n_ram; i++) {
		uint64_t base = ram[i].base, end = base + ram[i].len;

		base = base < low ? low : base;
		end = end > high ? high : end;
		if (base < end)
			add_without(base, end, used, ARRAY_LEN(used));
	}
}

static bool in(const struct mem_range *r, uint64_t a)
{
	return a - r->base < r->len;
}

bool memory_is_ram(uint64_t a)
{
	for (unsigned i = 0; i < n_ram; i++)
		if (in(&ram[i], a))
			return true;
	return false;
}

void metal_register_vm(struct vm *vm)
{
	if (n_vms < ARRAY_LEN(vms))
		vms[n_vms++] = vm;
}

unsigned memory_vms(struct vm *const **list)
{
	*list = vms;
	return n_vms;
}

/* A guest owns its RAM and what its memory slots read: a firmware is a copy of its own. */
static bool guests_own(const uint8_t *p)
{
	for (unsigned k = 0; k < n_vms; k++) {
		const struct guest_mem *m = &vms[k]->mem;

		if (m->ram && (uint64_t)(p - m->ram) < m->ram_size)
			return true;
		for (unsigned i = 0; i < m->n_slots; i++)
			if (m->slots[i].read && (uint64_t)(p - m->slots[i].read) < m->slots[i].len)
				return true;
	}
	return false;
}

static bool between(const uint8_t *p, const uint8_t *start, const uint8_t *end)
{
	return p >= start && p < end;
}

const char *metal_owner(const void *addr)
{
	const uint8_t *p = addr;

	if (between(p, metal_text_start, metal_text_end))
		return "code";
	if (between(p, metal_rodata_start, metal_rodata_end))
		return "constants";
	if (between(p, metal_stacks_start, metal_stacks_end))
		return "stack";
	if (between(p, metal_data_start, metal_bss_end))
		return "data";
	if (guests_own(p))
		return NULL;
	if (in(&bundle, metal_hpa(p)))
		return "bundle";
	return memory_is_ram(metal_hpa(p)) && metal_hpa(p) >= MIB ? "heap" : NULL;
}
