/*
 * Copies of folders: of labs, and of what grades them elsewhere. Plain files and folders; what is neither (a link, a
 * device) is an error. Nothing that is there already is overwritten.
 */
#ifndef VMSCOPE_LABS_TREE_H
#define VMSCOPE_LABS_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

/* A folder that is not there, or is empty; its parents are made, too. ERR_FORMAT: it is there, and has something. */
enum err tree_new_folder(const char *path, struct errmsg *why) MUST_CHECK;
/* The folder from, with all that is in it, into the folder to, which is made. from may not exist: then nothing.
 * "@NAME@" in the files becomes name, when that is not NULL. */
enum err tree_copy(const char *from, const char *to, const char *name, struct errmsg *why) MUST_CHECK;
/* One file, with its rights to be executed; as for tree_copy. */
enum err tree_copy_file(const char *from, const char *to, const char *name, struct errmsg *why) MUST_CHECK;
enum err tree_write(const char *path, const char *text, bool executable, struct errmsg *why) MUST_CHECK;
/* Removes a folder with all that is in it, however deep, and follows no link. Nobody else may be at work in it. */
void tree_remove(const char *dir);
/* A file's bytes with a NUL behind, at most max; NULL: it cannot be read. The caller frees them. */
char *tree_read(const char *path, size_t max, size_t *n);

#endif
