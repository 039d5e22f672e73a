/*
 * Plain data between a Lua state and JSON, both ways without loss: nil, booleans, integers, floats, strings of any
 * bytes, and tables of them whose keys are texts or whole numbers.
 *
 *   table with keys 1..n, or empty   array
 *   table with texts as keys         object
 *   any other                        {"%pairs": [[key, value], ...]}, numbers first, ascending
 *   string                           text; a byte that is no part of UTF-8 is U+10FF00 + byte, and so are the bytes of
 *                                    the characters U+10FF80 .. U+10FFFF
 */
#ifndef VMSCOPE_LABS_PLAIN_H
#define VMSCOPE_LABS_PLAIN_H

#include <jansson.h>
#include <lua.h>

#include "core/err.h"

#define PLAIN_BYTES_MAX (1u << 20)
#define PLAIN_DEPTH_MAX 32

/* The value at index; name is what the error calls it. Raises nothing, and runs nothing of the value's metatables. */
enum err plain_from_lua(lua_State *L, int index, const char *name, json_t **out, struct errmsg *why) MUST_CHECK;
/* Pushes; raises when memory or the stack is used up. */
void plain_to_lua(lua_State *L, const json_t *j);
json_t *plain_string(const char *s, size_t n);
/* For a person, on one line of at most n bytes: texts in quotes when quoted, control characters as \x1b, what does not
 * fit as "...". */
void plain_show(const json_t *j, bool quoted, char *buf, size_t n);
/* Texts in which whoever reads them finds no control characters; the caller frees it. NULL: no memory. */
char *plain_clean(const char *s, size_t n);
/* Length of the character of UTF-8 at p, 0: none. */
size_t plain_utf8(const unsigned char *p, size_t n);

#endif
