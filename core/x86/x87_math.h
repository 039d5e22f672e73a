/*
 * The transcendental functions on unpacked numbers, to about 120 bits and unrounded: what x87_trans.c rounds to 64 bits
 * once. Integer arithmetic only, so every host gives the same result.
 *
 * Arguments are finite and not 0. A result that cannot be exact has its lowest (sticky) bit set.
 */
#ifndef VMSCOPE_CORE_X86_X87_MATH_H
#define VMSCOPE_CORE_X86_X87_MATH_H

#include "core/x86/softfloat_num.h"

enum x87_constant { X87_PI, X87_HALF_PI, X87_QUARTER_PI, X87_THREE_QUARTERS_PI };
struct sf_num x87_constant(enum x87_constant which, bool sign);

/* |a| <= pi/4, and which quarter it was, 0 to 3: a = quarter * pi/2 + *r, pi of 66 bits. |a| < 2^63. */
unsigned x87_reduce(const struct sf_num *a, struct sf_num *r);
/* |a| <= pi/4. */
struct sf_num x87_sin(const struct sf_num *a);
struct sf_num x87_cos(const struct sf_num *a);
/* The angle of the point (x, y), both finite and not 0. */
struct sf_num x87_atan2(const struct sf_num *y, const struct sf_num *x);
/* 2^a - 1 for |a| <= 1. */
struct sf_num x87_exp2m1(const struct sf_num *a);
/* log2(a) for a > 0; log2(1 + a) for a > -1. Zero is exact. */
struct sf_num x87_log2(const struct sf_num *a);
struct sf_num x87_log2p1(const struct sf_num *a);

/* 128-bit significands. The quotient is cut. */
struct sf_num x87_wide_mul(const struct sf_num *a, const struct sf_num *b);
struct sf_num x87_wide_div(const struct sf_num *a, const struct sf_num *b);

#endif
