/*
 * Guest-physical memory: slots of RAM and ROM; everything else is a device (bus) or a hole.
 *
 * A slot has a read pointer and a write pointer. RAM: both are the same. ROM: write is NULL (writes are dropped and
 * counted). ROM shadowing (i440FX PAM): they may differ. A write to a slot whose write pointer differs from its read
 * pointer is never done by the CPU directly: it exits as an EPT violation, and the VMM's executor performs it.
 * Slots never overlap. All RAM is one host block, so that a digest or a snapshot is one pass.
 */
#ifndef VMSCOPE_CORE_MEM_H
#define VMSCOPE_CORE_MEM_H

#include "core/host.h"

#define MEM_SLOTS_MAX 48
#define MEM_LOW_MAX 0xc0000000ull /* RAM below 3 GiB; the rest above 4 GiB */
#define MEM_HIGH_BASE 0x100000000ull

struct mem_slot {
	gpa_t gpa;
	uint64_t len;	/* multiple of 4096 */
	uint8_t *read;	/* NULL: this slot reads as a hole */
	uint8_t *write; /* NULL: writes are dropped */
	char name[16];
};

struct guest_mem {
	const struct host_ops *host;
	uint8_t *ram; /* ram_size bytes, owned */
	uint64_t ram_size;
	/* A bit for each page of ram that may have been written to since somebody cleared it: by the CPU in software
	 * (where a page is made writable for it), by devices, loaders and users. What a processor writes by itself is
	 * not in it. */
	uint64_t *dirty;
	struct mem_slot slots[MEM_SLOTS_MAX];
	unsigned n_slots;
	unsigned biggest;    /* slot to look at first */
	uint64_t generation; /* moves when a slot changes: TLBs and KVM slots follow */
	uint64_t dropped_writes, hole_reads;
	/* Called after a slot was added or changed; set by the VM. */
	enum err (*on_change)(void *arg, unsigned slot, struct errmsg *why);
	void *on_change_arg;
};

enum err mem_init(struct guest_mem *m, const struct host_ops *host, uint64_t ram_size, struct errmsg *why) MUST_CHECK;
void mem_fini(struct guest_mem *m);
/* ERR_RANGE when it overlaps a slot or is not page-aligned; ERR_NOMEM when the table is full. */
enum err mem_add_slot(struct guest_mem *m, gpa_t gpa, uint64_t len, uint8_t *read, uint8_t *write, const char *name,
    struct errmsg *why) MUST_CHECK;
enum err mem_retarget(struct guest_mem *m, unsigned slot, uint8_t *read, uint8_t *write, struct errmsg *why) MUST_CHECK;
/* Slot index that holds gpa, or -1. */
int mem_find(const struct guest_mem *m, gpa_t gpa);
/* Host pointer to the 4 KiB page of gpa that the CPU may use directly for this access, or NULL (device, hole, ROM
 * write). */
uint8_t *mem_page(struct guest_mem *m, gpa_t gpa, bool write);
/* n bytes at this host address are about to be written. */
static inline void mem_note_write(struct guest_mem *m, const uint8_t *host, size_t n)
{
	uint64_t at = (uint64_t)(host - m->ram);

	for (uint64_t page = at >> PAGE_SHIFT_4K; at < m->ram_size && page <= (at + n - 1) >> PAGE_SHIFT_4K; page++)
		m->dirty[page / 64] |= 1ull << (page % 64);
}
size_t mem_dirty_bytes(const struct guest_mem *m); /* size of the bitmap */
/* Copies that may cross pages and slots. Reads of a hole give 0xff; ERR_RANGE if any byte had no slot. */
enum err mem_read(struct guest_mem *m, gpa_t gpa, void *buf, size_t n);
enum err mem_write(struct guest_mem *m, gpa_t gpa, const void *buf, size_t n); /* also into ROM: for loaders */
/* FNV-1a over all RAM. */
uint64_t mem_hash(const struct guest_mem *m);

#endif
