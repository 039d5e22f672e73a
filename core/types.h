/*
 * Scalars with a meaning, and the attributes used everywhere.
 *
 * gva_t is a guest *linear* address (after segmentation), gpa_t a guest
 * physical address. Both are plain integers; a host address is a pointer.
 */
#ifndef VMSCOPE_CORE_TYPES_H
#define VMSCOPE_CORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t gva_t;
typedef uint64_t gpa_t;

#define PAGE_SHIFT_4K 12u
#define PAGE_SIZE_4K 4096u

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_CHECK __attribute__((warn_unused_result))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#endif
