/*
 * Records that a guest reads: little-endian fields at offsets or one after the other, and the checksum byte that makes
 * a firmware table sum to 0.
 */
#ifndef VMSCOPE_CORE_LE_H
#define VMSCOPE_CORE_LE_H

#include "core/types.h"

static inline void put_le(uint8_t *at, unsigned n, uint64_t v)
{
	for (unsigned i = 0; i < n; i++)
		at[i] = (uint8_t)(v >> (8 * i));
}

/* The same behind the first *len bytes of a buffer of max bytes; what does not fit is left out. */
static inline void append_le(uint8_t *buf, unsigned *len, unsigned max, unsigned n, uint64_t v)
{
	if (n > max - *len)
		n = max - *len;
	put_le(buf + *len, n, v);
	*len += n;
}

/* What has to be added to n bytes for their sum to be 0. */
static inline uint8_t minus_sum(const uint8_t *p, unsigned n)
{
	uint8_t sum = 0;

	while (n--)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

#endif
