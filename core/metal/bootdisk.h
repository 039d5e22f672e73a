/*
 * The raw boot disk: what the boot sector, the image and whoever builds the medium agree on. Also read by the
 * assembler.
 *
 *   sector 0               boot sector (bootsect.S); its patch area says where the rest is
 *   sectors 1..            the flat image (vmscope-metal.bin), padded to whole sectors
 *   sector bundle_sector   the bundle (core/bundle.h), padded likewise
 *
 * The boot sector copies the image to BOOT_IMAGE and the bundle to the first page behind the image's .bss (the image's
 * multiboot header says where that is), then enters the image in 32-bit protected mode with BOOTDISK_MAGIC in EAX and
 * the address of a struct bootdisk_info in EBX, as a multiboot loader would with its own magic and structure.
 */
#ifndef VMSCOPE_CORE_METAL_BOOTDISK_H
#define VMSCOPE_CORE_METAL_BOOTDISK_H

#define BOOTDISK_PATCH 0x08		/* offset of struct bootdisk_patch in sector 0 */
#define BOOTDISK_PATCH_MAGIC "VMSCDISK" /* at its start, so that a builder sees that it has the right sector */
#define BOOTDISK_MAGIC 0x4b534456	/* EAX at the image's entry: "VDSK" */
#define BOOTDISK_INFO 0x6000		/* where struct bootdisk_info is */
#define BOOTDISK_E820_MAX 64
#define BOOT_IMAGE 0x100000	   /* where the image is linked to run */
#define MULTIBOOT_MAGIC 0x2badb002 /* EAX at the entry from a multiboot loader */
/* In the image's first bytes, the multiboot header: its address fields. */
#define BOOT_HEADER_BSS_END 24
#define BOOT_HEADER_ENTRY 28

#ifndef __ASSEMBLER__
#include <stdint.h>

struct bootdisk_patch {
	char magic[8]; /* BOOTDISK_PATCH_MAGIC, without a zero at the end */
	uint32_t image_sectors;
	uint32_t bundle_sector; /* 0: no bundle */
	uint64_t bundle_bytes;
};

/* INT 15h, EAX = E820h */
struct bootdisk_e820 {
	uint64_t base, len;
	uint32_t type; /* 1: RAM */
	uint32_t attr;
};

struct bootdisk_info {
	uint64_t bundle, bundle_len;
	uint32_t n_e820, pad;
	struct bootdisk_e820 e820[BOOTDISK_E820_MAX];
};
#endif
#endif
