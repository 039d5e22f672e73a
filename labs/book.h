/*
 * Where labs are: in the folder of $VMSCOPE_LABS, beside the program when it runs from the source tree, or installed.
 * A lab is a folder with a lab.lua in it; its solution is in "solutions", beside the labs.
 */
#ifndef VMSCOPE_LABS_BOOK_H
#define VMSCOPE_LABS_BOOK_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

struct lab_place {
	char id[64]; /* the folder's name: "04_cpuid" */
	char dir[1024];
	char solution[1024]; /* empty: there is none here */
};

/* name: an id ("04_cpuid"), the beginning of one ("04", "4"), or the path of a folder (anything with a '/', or "." and
 * ".."). ERR_NOENT: none, or several begin like this: why lists what there is. */
enum err lab_find(const char *name, struct lab_place *out, struct errmsg *why) MUST_CHECK;
/* The labs of the first place that has any, sorted; the caller frees the array. ERR_NOENT: why says where was looked.
 */
enum err lab_list(struct lab_place **out, size_t *n, struct errmsg *why) MUST_CHECK;
/* The lab whose id is in the file .lab of a folder that "lab start" has made. ERR_NOENT: there is no such file. */
enum err lab_of_folder(const char *dir, struct lab_place *out, struct errmsg *why) MUST_CHECK;

#endif
