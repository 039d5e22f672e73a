/*
 * Segments: the user segments that the system has in its GDT, and an LDT of our own with every kind that a user may
 * make: 16 and 32 bits, byte and page limits, expand-down, read-only, execute-only, not present.
 */
#include <asm/ldt.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/oracle/oracle.h"

#define DATA 0xf3u /* present, DPL 3, read/write, accessed */
#define DATA_RO 0xf1u
#define DOWN 0xf7u /* expand-down */
#define DOWN_RO 0xf5u
#define CODE 0xfbu /* execute/read */
#define CODE_XO 0xf9u
#define NOT_PRESENT 0x80u
#define B32 SEG_DB
#define PAGES SEG_G

/* Bases below the data, so that offsets of it are small numbers; 64 KiB from there end inside the code pages. */
#define LOW (ORC_SCRATCH - 0x1000)

const struct orc_desc orc_ldt[ORC_LDT_ENTRIES] = {
    {0, 0xfffff, CODE | B32 | PAGES},
    {ORC_CODE, 0xffff, CODE},
    {ORC_CODE, 0x2fff, CODE | B32},
    {LOW, 0xffff, DATA},
    {ORC_SCRATCH, ORC_SCRATCH_SIZE - 1, DATA | B32},
    {LOW, 0x17ff, DOWN | B32},
    {LOW, 0x17ff, DOWN},
    {LOW, 0x3fff, DATA_RO | B32},
    {LOW, 0xffff, (DATA | B32) & ~NOT_PRESENT},
    {ORC_CODE, 0xffff, (CODE | B32) & ~NOT_PRESENT},
    {ORC_CODE, 0x2fff, CODE_XO | B32},
    {LOW, 2, DATA | B32 | PAGES},
    {ORC_SCRATCH + 0x10000000, 0xfffff, DATA | B32 | PAGES}, /* addresses wrap at 4 GiB */
    {ORC_CODE, 0x2fff, CODE_XO},
    {ORC_CODE, 0x1fff, CODE},
    {0, 0, 0},
    {0, 0xfffff, DATA | B32 | PAGES | SEG_AVL},
    {LOW, 0x2fff, DATA | B32},
    {LOW, 0x2fff, DATA | SEG_AVL},
    {LOW, 0, DOWN | B32 | PAGES},
    {ORC_CODE, 0xffff, (CODE | 4) & ~NOT_PRESENT}, /* conforming */
    {LOW, 0x17ff, DOWN_RO | B32},
    {ORC_CODE, 0x17ff, CODE | B32 | SEG_AVL},
    {ORC_CODE, 0xfffff, CODE | PAGES},
};

static const struct orc_desc gdt_user[3] = {
    {0, 0xfffff, CODE | B32 | PAGES},	/* 0x23 */
    {0, 0xfffff, DATA | B32 | PAGES},	/* 0x2b */
    {0, 0xfffff, CODE | SEG_L | PAGES}, /* 0x33 */
};

bool orc_segment(uint16_t sel, struct x86_seg *s)
{
	unsigned n = sel >> 3;
	const struct orc_desc *d;

	if (sel & 4)
		d = n < ORC_LDT_ENTRIES ? &orc_ldt[n] : NULL;
	else
		d = n >= 4 && n <= 6 ? &gdt_user[n - 4] : NULL;
	memset(s, 0, sizeof(*s));
	s->sel = sel;
	if (!d || !(d->attr & SEG_P)) {
		s->attr = SEG_UNUSABLE;
		return false;
	}
	s->base = d->base;
	s->limit = d->attr & SEG_G ? d->limit << 12 | 0xfff : d->limit;
	s->attr = d->attr;
	return true;
}

/* Entry 15 of Linux' GDT is for users too: the limit is the number of the CPU. */
struct orc_desc orc_gdt_of_cpu(void)
{
	uint32_t rights = 0, limit = 0;

	__asm__ volatile("lar %2, %0; lsl %2, %1" : "+r"(rights), "+r"(limit) : "r"((uint32_t)ORC_GDT_CPU) : "cc");
	return (struct orc_desc){.limit = limit, .attr = (rights >> 8 & 0xff) | (rights >> 8 & 0xf000)};
}

bool orc_ldt_install(void)
{
	for (unsigned n = 0; n < ORC_LDT_ENTRIES; n++) {
		const struct orc_desc *d = &orc_ldt[n];
		struct user_desc u = {.entry_number = n,
		    .base_addr = d->base,
		    .limit = d->limit,
		    .seg_32bit = (d->attr & SEG_DB) != 0,
		    .contents = (d->attr & 0xcu) >> 2,
		    .read_exec_only = !(d->attr & 2),
		    .limit_in_pages = (d->attr & SEG_G) != 0,
		    .seg_not_present = !(d->attr & SEG_P),
		    .useable = (d->attr & SEG_AVL) != 0};

		if (d->attr && syscall(SYS_modify_ldt, 0x11, &u, sizeof(u)) != 0)
			return false;
	}
	return true;
}
