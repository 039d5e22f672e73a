/*
 * Loaders: put a guest image into memory and vCPU 0 into the state its boot protocol prescribes. They work on bytes in
 * memory (the caller reads the file) and check every length and address: a bad image gives one line and changes nothing
 * that matters. Freestanding.
 */
#ifndef VMSCOPE_CORE_LOADER_H
#define VMSCOPE_CORE_LOADER_H

#include "core/err.h"

struct vm;

enum image_kind { IMAGE_FLAT16, IMAGE_MULTIBOOT, IMAGE_PVH, IMAGE_LINUX };

struct load_module {
	const void *data;
	size_t len;
	const char *args;
};

struct load_request {
	const void *image;
	size_t len;
	const char *name;		   /* for messages */
	const char *cmdline;		   /* may be NULL */
	const struct load_module *modules; /* initrd is modules[0] for Linux */
	size_t n_modules;
};

/* By content: multiboot header, PVH note, "HdrS", else a flat 16-bit image (at most 64 KiB; 512 bytes with 55 AA, or
 * any). */
enum err image_identify(const void *image, size_t len, enum image_kind *kind, struct errmsg *why) MUST_CHECK;
enum err image_load(struct vm *vm, const struct load_request *r, struct errmsg *why) MUST_CHECK;
const char *image_kind_name(enum image_kind k);

#endif
