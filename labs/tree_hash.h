/*
 * A hash of files and folders: of names and contents, in an order that is the same everywhere. For what is trusted: it
 * follows no symbolic link, but reads whatever is there.
 */
#ifndef VMSCOPE_LABS_TREE_HASH_H
#define VMSCOPE_LABS_TREE_HASH_H

#include <stdint.h>
#include <sys/types.h>

#include <sha2.h>

#include "core/err.h"

/* Adds the file or the folder at path, as name. What is not there is a file without contents. */
enum err tree_hash_add(SHA2_CTX *ctx, const char *path, const char *name, struct errmsg *why) MUST_CHECK;

#endif
