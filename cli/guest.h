/*
 * A guest as files: found by path or by the name of a bundled one, read into memory, checked. The bytes belong to the
 * struct until guest_close().
 */
#ifndef VMSCOPE_CLI_GUEST_H
#define VMSCOPE_CLI_GUEST_H

#include "cli/options.h"
#include "core/loader.h"

#define GUEST_MODULES_MAX 8
#define GUEST_PATH_MAX 1024

struct guest_file {
	uint8_t *data;
	size_t len;
};

struct guest {
	char name[64];		    /* for people and traces */
	char path[GUEST_PATH_MAX];  /* of the image; empty: firmware only */
	char model[GUEST_PATH_MAX]; /* behaviour model; empty: there is none */
	struct guest_file image, firmware;
	struct guest_file module_files[GUEST_MODULES_MAX];
	struct load_module modules[GUEST_MODULES_MAX];
	size_t n_modules;
	char *initrd_words; /* the text that modules[].args point into */
};

/* Finds and reads everything that o names. The image may be missing when a model stands in for it (need_image). */
enum err guest_open(struct guest *g, const struct run_options *o, bool need_image, struct errmsg *why) MUST_CHECK;
void guest_close(struct guest *g);
/* Puts the image (or firmware) into vm. */
enum err guest_load(const struct guest *g, const struct run_options *o, struct vm *vm, struct errmsg *why) MUST_CHECK;

/* Folders that hold bundled guests, in the order of search: $VMSCOPE_GUESTS, beside the program, its installation.
 * False when there is no i-th one. */
bool guest_dir(unsigned i, char *buf, size_t n);
/* A data folder ("costs") the same way. */
bool data_dir(unsigned i, const char *what, const char *variable, char *buf, size_t n);

#endif
