/*
 * Text that came from a submission, or from anywhere else, made fit for a file, a page or a terminal. Everything that
 * is exported goes through here.
 */
#ifndef VMSCOPE_LABS_CLEAN_H
#define VMSCOPE_LABS_CLEAN_H

#include <stddef.h>
#include <stdio.h>

/*
 * A copy of at most max bytes (and a NUL) in which every byte is part of valid UTF-8 that can be seen: a control
 * character, a line's end, what turns the direction of text or is invisible, and what is no UTF-8 become \n, \x1b,
 * \u202e. What was cut ends with "…" and is cut between characters. Doing it twice changes nothing. NULL becomes "".
 * The caller frees it; NULL: no memory. max is at least 8.
 */
char *clean_text(const char *s, size_t max);
/* Columns of a clean text on a terminal, whatever the locale is. */
size_t clean_columns(const char *s);
/* The bytes of a clean text that fit into so many columns. */
size_t clean_fit(const char *s, size_t columns);
/* Prints a clean text from a column on, broken at spaces; further lines begin at the column hang. It ends with a new
 * line. width 0: one line. */
void clean_wrap(FILE *out, const char *text, size_t column, size_t hang, size_t width);

#endif
