/*
 * PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM: two strings in registers are compared, each element with each, and the
 * immediate says how the comparisons become one bit an element [SDM 2B "PCMPESTRI - Packed Compare Explicit Length
 * Strings, Return Index"].
 */
#include "core/x86/sse.h"

/* Fields of the immediate. */
#define WORDS 1u       /* elements are words, not bytes */
#define SIGNED 2u      /* matters to ranges only */
#define AGGREGATE 0xcu /* what is asked, below */
#define NEGATE 0x10u
#define NEGATE_VALID 0x20u /* with NEGATE: only elements inside the second string */
#define LAST_OR_MASK 0x40u /* index of the last one; mask of bytes instead of bits */
enum { EQUAL_ANY = 0, RANGES = 4, EQUAL_EACH = 8, EQUAL_ORDERED = 0xc };

struct strings {
	union x86_vec a, b;    /* the first operand and the second, which may be memory */
	unsigned len_a, len_b; /* elements, at most count */
	unsigned count, imm;
};

static int32_t element(const union x86_vec *v, unsigned k, unsigned imm)
{
	if (imm & WORDS)
		return imm & SIGNED ? v->i16[k] : v->u16[k];
	return imm & SIGNED ? v->i8[k] : v->u8[k];
}

/* Element a_at of the first string, or the range that begins there, against element b_at of the second. */
static bool compare(const struct strings *t, unsigned a_at, unsigned b_at)
{
	bool valid_a = a_at < t->len_a, valid_b = b_at < t->len_b;
	int32_t a = element(&t->a, a_at, t->imm), b = element(&t->b, b_at, t->imm);

	switch (t->imm & AGGREGATE) {
	case RANGES:
		return valid_b && a_at + 1 < t->len_a && a <= b && b <= element(&t->a, a_at + 1, t->imm);
	case EQUAL_EACH:
		return valid_a && valid_b ? a == b : valid_a == valid_b;
	case EQUAL_ORDERED:
		return !valid_a || (valid_b && a == b);
	default:
		return valid_a && valid_b && a == b;
	}
}

/* One bit for each element of the second string. */
static uint32_t aggregate(const struct strings *t)
{
	uint32_t bits = 0;

	for (unsigned k = 0; k < t->count; k++) {
		bool r;

		switch (t->imm & AGGREGATE) {
		case EQUAL_EACH:
			r = compare(t, k, k);
			break;
		case EQUAL_ORDERED: /* does the first string begin here? */
			r = true;
			for (unsigned j = 0; j + k < t->count; j++)
				r = r && compare(t, j, k + j);
			break;
		default:
			r = false;
			for (unsigned j = 0; j < t->count; j += (t->imm & AGGREGATE) == RANGES ? 2 : 1)
				r = r || compare(t, j, k);
			break;
		}
		bits |= (uint32_t)r << k;
	}
	return bits;
}

static uint32_t polarity(const struct strings *t, uint32_t bits)
{
	uint32_t all = (1u << t->count) - 1;

	if (!(t->imm & NEGATE))
		return bits;
	return bits ^ (t->imm & NEGATE_VALID ? (1u << t->len_b) - 1 : all);
}

/* Elements before the first zero. */
static unsigned implicit_length(const union x86_vec *v, const struct strings *t)
{
	unsigned k = 0;

	while (k < t->count && element(v, k, t->imm))
		k++;
	return k;
}

/* The absolute value of EAX or EDX, or with REX.W of the whole register. */
static unsigned explicit_length(const struct x86_insn *i, uint64_t v, unsigned count)
{
	uint64_t n = i->opsize == 8 ? v : (uint64_t)(int64_t)(int32_t)v;

	if ((int64_t)n < 0)
		n = 0 - n;
	return n < count ? (unsigned)n : count;
}

static void result_index(struct x86_cpu *c, const struct strings *t, uint32_t bits)
{
	unsigned at = t->count;

	if (bits)
		at = t->imm & LAST_OR_MASK ? 31 - (unsigned)__builtin_clz(bits) : (unsigned)__builtin_ctz(bits);
	c->s.gpr[X86_RCX] = at;
}

static void result_mask(struct x86_cpu *c, const struct strings *t, uint32_t bits)
{
	union x86_vec v = {.u64 = {bits}};

	for (unsigned k = 0; k < t->count && (t->imm & LAST_OR_MASK); k++) {
		if (t->imm & WORDS)
			v.u16[k] = bits >> k & 1 ? 0xffff : 0;
		else
			v.u8[k] = bits >> k & 1 ? 0xff : 0;
	}
	x86_vec_set(c, 16, 0, &v);
}

X86_INLINE enum x86_rc pcmpstr(struct x86_cpu *c, const struct x86_insn *i, bool is_explicit, bool index, bool mem)
{
	struct strings t = {.imm = (unsigned)i->imm, .count = i->imm & WORDS ? 8 : 16};
	enum x86_rc rc = x86_sse_check(c);
	uint32_t bits;

	if (LIKELY(rc == X86_OK))
		rc = x86_vec_source(c, i, 16, 16, false, mem, &t.b);
	if (UNLIKELY(rc != X86_OK))
		return rc;
	x86_vec_get(c, 16, i->reg, &t.a);
	t.len_a = is_explicit ? explicit_length(i, c->s.gpr[X86_RAX], t.count) : implicit_length(&t.a, &t);
	t.len_b = is_explicit ? explicit_length(i, c->s.gpr[X86_RDX], t.count) : implicit_length(&t.b, &t);
	bits = polarity(&t, aggregate(&t));
	if (index)
		result_index(c, &t, bits);
	else
		result_mask(c, &t, bits);
	x86_flags_update(c, FLAGS_STATUS,
	    (bits ? FLAG_CF : 0) | (t.len_b < t.count ? FLAG_ZF : 0) | (t.len_a < t.count ? FLAG_SF : 0) |
		(bits & 1 ? FLAG_OF : 0));
	return X86_OK;
}

#define PCMPSTR(id, is_explicit, index)                         \
	X86_HANDLER(r_##id, pcmpstr, is_explicit, index, false) \
	X86_HANDLER(m_##id, pcmpstr, is_explicit, index, true)  \
	SSE_FAMILY(66_##id, r_##id, m_##id)
PCMPSTR(PCMPESTRM, true, false)
PCMPSTR(PCMPESTRI, true, true)
PCMPSTR(PCMPISTRM, false, false)
PCMPSTR(PCMPISTRI, false, true)
