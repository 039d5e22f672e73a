/*
 * Floating point in integers: IEEE 754 as x86 does it, in binary32, binary64 and the 80-bit format of the x87, the same
 * on every host and without any floating-point instruction. The executor of x87 and SSE is built on it.
 *
 * Every function takes a struct sf: what MXCSR or the x87 control word ask for, and the flags that come out. Flags
 * accumulate; a caller that has to know what one operation raised clears them first. A result is always given, as if
 * every exception were masked, except for what x87 says about an unmasked overflow or underflow (see sf_f80_add). The
 * caller looks at flags & ~masks and decides whether it stores the result. [SDM 1 "Floating-Point Exceptions"]
 */
#ifndef VMSCOPE_CORE_X86_SOFTFLOAT_H
#define VMSCOPE_CORE_X86_SOFTFLOAT_H

#include "core/types.h"

/* Exceptions: the bits of MXCSR and of the x87 status word; masks have the same order. */
enum { SF_IE = 1, SF_DE = 2, SF_ZE = 4, SF_OE = 8, SF_UE = 16, SF_PE = 32 };
/* Found before the operation is done: when one of them is unmasked, the others are not looked for. */
#define SF_PRE (SF_IE | SF_DE | SF_ZE)
/* Rounding control: the encoding of MXCSR.RC, of the x87 RC and of the immediates of ROUNDPS. */
enum { SF_NEAREST, SF_DOWN, SF_UP, SF_TO_ZERO };
/* Precision control of the x87. */
enum { SF_PC_SINGLE, SF_PC_RESERVED, SF_PC_DOUBLE, SF_PC_EXTENDED };

struct sf {
	uint8_t round;
	uint8_t precision; /* binary80 add, sub, mul, div, sqrt only */
	bool daz, ftz;	   /* MXCSR; false for x87 */
	bool x87;	   /* of two NaNs the larger significand counts; else the first operand */
	uint8_t masks;	   /* 1 = masked */
	uint8_t flags;
	bool c1; /* the last result was rounded up in magnitude */
};

struct f80 {
	uint64_t sig; /* with the integer bit */
	uint16_t se;  /* sign, biased exponent */
};

#define SF_F32_NAN 0xffc00000u
#define SF_F64_NAN 0xfff8000000000000ull
#define SF_F80_NAN ((struct f80){0xc000000000000000ull, 0xffff})

enum sf_order { SF_LESS = -1, SF_EQUAL = 0, SF_GREATER = 1, SF_UNORDERED = 2 };

uint32_t sf_f32_add(struct sf *st, uint32_t a, uint32_t b);
uint32_t sf_f32_sub(struct sf *st, uint32_t a, uint32_t b);
uint32_t sf_f32_mul(struct sf *st, uint32_t a, uint32_t b);
uint32_t sf_f32_div(struct sf *st, uint32_t a, uint32_t b);
uint32_t sf_f32_sqrt(struct sf *st, uint32_t a);
uint64_t sf_f64_add(struct sf *st, uint64_t a, uint64_t b);
uint64_t sf_f64_sub(struct sf *st, uint64_t a, uint64_t b);
uint64_t sf_f64_mul(struct sf *st, uint64_t a, uint64_t b);
uint64_t sf_f64_div(struct sf *st, uint64_t a, uint64_t b);
uint64_t sf_f64_sqrt(struct sf *st, uint64_t a);
/* Rounded to st->precision in the exponent range of the 80-bit format. An unmasked overflow or underflow gives the
 * result with its exponent adjusted by 24576, as x87 leaves it in a register. */
struct f80 sf_f80_add(struct sf *st, struct f80 a, struct f80 b);
struct f80 sf_f80_sub(struct sf *st, struct f80 a, struct f80 b);
struct f80 sf_f80_mul(struct sf *st, struct f80 a, struct f80 b);
struct f80 sf_f80_div(struct sf *st, struct f80 a, struct f80 b);
struct f80 sf_f80_sqrt(struct sf *st, struct f80 a);

/* quiet: only a signaling NaN is invalid (UCOMISS, FUCOM); else any NaN is (COMISS, FCOM). */
enum sf_order sf_f32_compare(struct sf *st, uint32_t a, uint32_t b, bool quiet);
enum sf_order sf_f64_compare(struct sf *st, uint64_t a, uint64_t b, bool quiet);
enum sf_order sf_f80_compare(struct sf *st, struct f80 a, struct f80 b, bool quiet);
/* MINSS, MAXSS: b when one is a NaN (which is invalid) and when both are zeros. */
uint32_t sf_f32_min(struct sf *st, uint32_t a, uint32_t b);
uint32_t sf_f32_max(struct sf *st, uint32_t a, uint32_t b);
uint64_t sf_f64_min(struct sf *st, uint64_t a, uint64_t b);
uint64_t sf_f64_max(struct sf *st, uint64_t a, uint64_t b);

/* To an integral value in the same format. suppress_inexact: never PE (ROUNDPS with bit 3). Only binary80 raises DE. */
uint32_t sf_f32_round_to_int(struct sf *st, uint32_t a, unsigned round, bool suppress_inexact);
uint64_t sf_f64_round_to_int(struct sf *st, uint64_t a, unsigned round, bool suppress_inexact);
struct f80 sf_f80_round_to_int(struct sf *st, struct f80 a, unsigned round);

/* Between formats. Widening is exact. Narrowing 80-bit values never raises DE (FST), narrowing binary64 does. */
uint64_t sf_f32_to_f64(struct sf *st, uint32_t a);
uint32_t sf_f64_to_f32(struct sf *st, uint64_t a);
struct f80 sf_f32_to_f80(struct sf *st, uint32_t a);
struct f80 sf_f64_to_f80(struct sf *st, uint64_t a);
uint32_t sf_f80_to_f32(struct sf *st, struct f80 a);
uint64_t sf_f80_to_f64(struct sf *st, struct f80 a);

/* To a signed integer of 16, 32 or 64 bits, rounded as given. What does not fit: IE and the indefinite value (the
 * smallest integer), returned sign-extended. */
int64_t sf_f32_to_int(struct sf *st, uint32_t a, unsigned bits, unsigned round);
int64_t sf_f64_to_int(struct sf *st, uint64_t a, unsigned bits, unsigned round);
int64_t sf_f80_to_int(struct sf *st, struct f80 a, unsigned bits, unsigned round);
/* From a signed integer; only narrow targets can be inexact. */
uint32_t sf_int_to_f32(struct sf *st, int64_t v);
uint64_t sf_int_to_f64(struct sf *st, int64_t v);
struct f80 sf_int_to_f80(int64_t v);

#endif
