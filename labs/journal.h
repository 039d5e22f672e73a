/*
 * What of a class was graded: a file that only grows, a line for each submission that is finished, with a checksum and
 * the result itself. A line that is on the disk counts, whatever killed the program; one that is torn or damaged does
 * not, and is told.
 *
 *   CHECKSUM {"name": ..., "engine": ..., "lab": ..., "seed": ..., "submission": ..., "result": {...}}
 *
 * CHECKSUM is the first half of the SHA-256 of what stands behind it, in hexadecimal digits. The first line says what
 * file this is.
 */
#ifndef VMSCOPE_LABS_JOURNAL_H
#define VMSCOPE_LABS_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "labs/result.h"

struct journal;

/* Under which circumstances a result came to be. Texts: valid UTF-8. */
struct journal_entry {
	const char *name;   /* of the submission, as a file name of the report */
	const char *engine; /* what would grade differently when it is another: hashes */
	const char *lab;
	const char *submission;
	uint64_t seed;
	const char *result; /* JSON, see result_from_json() */
};

/* Opens or makes it, reads it, and cuts off what was torn, for the next line to begin where one should. ERR_BUSY:
 * another program has it. ERR_FORMAT: path is another kind of file, which stays as it is. */
enum err journal_open(const char *path, struct journal **out, struct errmsg *why) MUST_CHECK;
void journal_close(struct journal *j);
/* In a process that was forked: lets go of it, without a word to the other one. */
void journal_forget(struct journal *j);

/* Bytes at the end that were torn; lines that were damaged, not counting the torn one. */
size_t journal_torn(const struct journal *j);
size_t journal_damaged(const struct journal *j);
/* The newest of that name; NULL: none. Stays the journal's. */
const struct journal_entry *journal_find(const struct journal *j, const char *name);
size_t journal_count(const struct journal *j);

/* It is on the disk when this returns ERR_OK; else the file is as it was. Copies e. */
enum err journal_append(struct journal *j, const struct journal_entry *e, struct errmsg *why) MUST_CHECK;

#endif
