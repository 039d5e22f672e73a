/*
 * The few library functions that core may use. Hosted, libc provides the mem* and str* ones; on bare metal
 * core/metal/lib.c does. fmt_* are our own in both worlds (no floating point, no locale, no allocation).
 */
#ifndef VMSCOPE_CORE_LIB_H
#define VMSCOPE_CORE_LIB_H

#include <stdarg.h>

#include "core/types.h"

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);

/* snprintf subset: %% c s d i u x X p with -, 0, width, precision (for s), h l ll z. Returns the length that was
 * wanted; always terminates when n > 0. */
int fmt_vsnprintf(char *buf, size_t n, const char *fmt, va_list ap);
int fmt_snprintf(char *buf, size_t n, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* FNV-1a, 64 bits; start with FNV64_INIT. For checkpoint hashes, not for security. */
#define FNV64_INIT 0xcbf29ce484222325ull
uint64_t fnv64(uint64_t h, const void *p, size_t n);

#endif
