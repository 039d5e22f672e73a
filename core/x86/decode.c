/*
 * The decoder: prefixes, opcode, ModRM, SIB, displacement, immediate [SDM 2A "Instruction Format"].
 *
 * It is a pure function of the bytes and the mode. Opcodes are data (decode_tables.c, decode_fpu.c); this file knows
 * the shape of an instruction and nothing of its meaning. Its result names the handler that fits the form of the
 * operands, so that executing the instruction again needs no more decisions.
 */
#include "core/lib.h"
#include "core/x86/decode_tables.h"

#define INSN_MAX 15u

struct cursor {
	const uint8_t *p;
	size_t n;
	unsigned pos;
	enum x86_decode_rc rc;		      /* first failure; reads after it give 0 */
	uint8_t prefix66, prefix67, rex, rep; /* rep: the last of F2, F3 */
	bool lock, is64;
	uint8_t seg; /* override, or INSN_NO_REG */
	uint8_t modrm;
};

static uint8_t take(struct cursor *d)
{
	if (d->rc != DECODE_OK)
		return 0;
	if (d->pos >= INSN_MAX) {
		d->rc = DECODE_TOO_LONG;
		return 0;
	}
	if (d->pos >= d->n) {
		d->rc = DECODE_MORE;
		return 0;
	}
	return d->p[d->pos++];
}

/* Little-endian, zero-extended. */
static uint64_t take_n(struct cursor *d, unsigned n)
{
	uint64_t v = 0;

	for (unsigned k = 0; k < n; k++)
		v |= (uint64_t)take(d) << 8 * k;
	return v;
}

static uint64_t take_signed(struct cursor *d, unsigned n)
{
	return x86_sext(n, take_n(d, n));
}

/* ES CS SS DS mean nothing in 64-bit mode. */
static void segment_prefix(struct cursor *d, enum x86_sreg s)
{
	if (!d->is64 || s >= X86_FS)
		d->seg = (uint8_t)s;
}

/* Takes prefixes and returns the first byte that is none. A REX counts only directly before the opcode. */
static uint8_t prefixes(struct cursor *d)
{
	for (;;) {
		uint8_t b = take(d);

		if (d->is64 && (b & 0xf0) == 0x40 && d->rc == DECODE_OK) {
			d->rex = b;
			continue;
		}
		switch (b) {
		case 0x26:
			segment_prefix(d, X86_ES);
			break;
		case 0x2e:
			segment_prefix(d, X86_CS);
			break;
		case 0x36:
			segment_prefix(d, X86_SS);
			break;
		case 0x3e:
			segment_prefix(d, X86_DS);
			break;
		case 0x64:
			segment_prefix(d, X86_FS);
			break;
		case 0x65:
			segment_prefix(d, X86_GS);
			break;
		case 0x66:
			d->prefix66 = 1;
			break;
		case 0x67:
			d->prefix67 = 1;
			break;
		case 0xf0:
			d->lock = true;
			break;
		case 0xf2:
		case 0xf3:
			d->rep = b;
			break;
		default:
			return b;
		}
		d->rex = 0;
	}
}

static unsigned mandatory_prefix(const struct cursor *d)
{
	if (d->rep)
		return d->rep == 0xf3 ? SSE_F3 : SSE_F2;
	return d->prefix66 ? SSE_66 : SSE_NP;
}

static void memory16(struct cursor *d, struct x86_insn *i, unsigned mod, unsigned rm)
{
	static const uint8_t base[8] = {X86_RBX, X86_RBX, X86_RBP, X86_RBP, X86_RSI, X86_RDI, X86_RBP, X86_RBX};
	static const uint8_t index[8] = {
	    X86_RSI, X86_RDI, X86_RSI, X86_RDI, INSN_NO_REG, INSN_NO_REG, INSN_NO_REG, INSN_NO_REG};

	if (mod == 0 && rm == 6) {
		i->disp = (int32_t)take_signed(d, 2);
		return;
	}
	i->base = base[rm];
	i->index = index[rm];
	if (mod)
		i->disp = (int32_t)take_signed(d, mod);
}

static void memory32(struct cursor *d, struct x86_insn *i, unsigned mod, unsigned rm)
{
	unsigned b = (d->rex & 1u) << 3, x = (d->rex & 2u) << 2;

	if (rm == 4) {
		unsigned sib = take(d);

		if ((sib >> 3 & 7) != 4 || x)
			i->index = (uint8_t)((sib >> 3 & 7) | x);
		i->scale = (uint8_t)(sib >> 6);
		rm = sib & 7;
		if (mod == 0 && rm == 5) {
			i->disp = (int32_t)take_signed(d, 4);
			return;
		}
	} else if (mod == 0 && rm == 5) {
		if (d->is64)
			i->flags |= INSN_RIP_REL;
		i->disp = (int32_t)take_signed(d, 4);
		return;
	}
	i->base = (uint8_t)(rm | b);
	if (mod)
		i->disp = (int32_t)take_signed(d, mod == 1 ? 1 : 4);
}

/* Everything that ModRM says, its own byte being in d->modrm. */
static void modrm_operands(struct cursor *d, struct x86_insn *i, uint32_t attr)
{
	unsigned mod = d->modrm >> 6, rm = d->modrm & 7;

	i->reg = (uint8_t)((d->modrm >> 3 & 7) | (d->rex & 4u) << 1);
	i->rm = (uint8_t)(rm | (d->rex & 1u) << 3);
	if (mod == 3 || (attr & A_MODX))
		return;
	i->flags |= INSN_MEM;
	i->rm = 0;
	if (i->addrsize == 2)
		memory16(d, i, mod, rm);
	else
		memory32(d, i, mod, rm);
	if (d->seg == INSN_NO_REG && (i->base == X86_RBP || i->base == X86_RSP))
		i->seg = X86_SS;
}

static uint8_t operand_size(const struct cursor *d, unsigned code_size, uint32_t attr)
{
	unsigned size;

	if (attr & A_BYTE)
		return 1;
	if (attr & A_NATIVE)
		return d->is64 ? 8 : 4;
	if (!d->is64) {
		size = (code_size == 2) == !d->prefix66 ? 2 : 4;
	} else if ((d->rex & 8) || (attr & A_F64)) {
		size = 8;
	} else if (d->prefix66) {
		size = 2;
	} else {
		size = attr & A_D64 ? 8 : 4;
	}
	if ((attr & A_MIN4) && size == 2)
		return 4;
	return (uint8_t)((attr & A_MAX4) && size == 8 ? 4 : size);
}

/* Without REX, byte registers 4-7 are AH CH DH BH: numbered 16-19, see exec.h. */
static uint8_t byte_register(const struct cursor *d, uint8_t r)
{
	return d->rex || r < 4 ? r : (uint8_t)(r + 12);
}

static void immediate(struct cursor *d, struct x86_insn *i, enum decode_enc enc)
{
	unsigned z = i->opsize < 4 ? i->opsize : 4;

	switch (enc) {
	case ENC_M_IB:
	case ENC_IB:
	case ENC_REL8:
		i->imm = take_signed(d, 1);
		break;
	case ENC_IBU:
		i->imm = take(d);
		break;
	case ENC_M_IZ:
	case ENC_IZ:
	case ENC_RELZ:
		i->imm = take_signed(d, z);
		break;
	case ENC_IV:
		i->imm = take_n(d, i->opsize);
		break;
	case ENC_IW:
		i->imm = take_n(d, 2);
		break;
	case ENC_IW_IB:
		i->imm = take_n(d, 2);
		i->imm2 = take(d);
		break;
	case ENC_MOFFS:
		i->imm = take_n(d, i->addrsize);
		break;
	case ENC_FAR:
		i->imm = take_n(d, i->opsize);
		i->imm2 = (uint16_t)take_n(d, 2);
		break;
	case ENC_NONE:
	case ENC_M:
	default:
		return;
	}
	i->flags |= INSN_IMM;
}

static const uint8_t insn_class[INSN_COUNT] = {
#define INSN(id, mnemonic, class) INSN_CLASS_##class,
#include "core/x86/insns.def"
#undef INSN
};

static const char *const insn_name[INSN_COUNT] = {
#define INSN(id, mnemonic, class) mnemonic,
#include "core/x86/insns.def"
#undef INSN
};

const char *x86_insn_name(uint16_t id)
{
	return id < INSN_COUNT ? insn_name[id] : "(bad)";
}

static void finish(const struct cursor *d, struct x86_insn *i, const struct x86_family *fam, uint16_t id, uint32_t attr)
{
	unsigned form = (i->flags & INSN_MEM ? 4 : 0) + (i->opsize == 8 ? 3 : i->opsize >> 1);

	i->id = id;
	i->class = insn_class[id];
	i->len = (uint8_t)d->pos;
	i->fn = fam->fn[form];
	i->forms = &fam->fn[form];
	if (attr & A_END)
		i->flags |= INSN_ENDS_BLOCK;
}

static enum x86_decode_rc undefined(const struct cursor *d, struct x86_insn *i)
{
	if (d->rc != DECODE_OK)
		return d->rc;
	finish(d, i, &x86_fam_ud, INSN_UD_INVALID, A_END);
	return DECODE_OK;
}

/* Undefined by what the tables cannot say: mode, prefixes, kind of operand, registers that do not exist. */
static bool is_illegal(const struct cursor *d, const struct x86_insn *i, uint32_t attr)
{
	bool mem = i->flags & INSN_MEM;

	if ((attr & A_NO64) && d->is64)
		return true;
	if ((attr & A_ONLY64) && !d->is64)
		return true;
	if (((attr & A_MEM) && !mem) || ((attr & A_REG) && mem))
		return true;
	if ((attr & A_NP) && mandatory_prefix(d) != SSE_NP)
		return true;
	if ((attr & A_F3) && d->rep != 0xf3)
		return true;
	if ((attr & A_CR) && i->reg != 0 && i->reg != 8 && (i->reg < 2 || i->reg > 4))
		return true;
	if ((attr & A_DR) && i->reg > 7)
		return true;
	return d->lock && !((attr & A_LOCK) && mem);
}

/* 8C and 8E: REX.R is ignored, six segment registers exist, and CS cannot be loaded so. */
static bool segment_operand(struct x86_insn *i, uint32_t *attr)
{
	i->reg &= 7;
	if (i->reg >= X86_SREG_COUNT || ((*attr & A_TO_SREG) && i->reg == X86_CS))
		return false;
	if ((*attr & A_TO_SREG) && i->reg == X86_SS)
		*attr |= A_END;
	return true;
}

/* REX.W makes the next id of an SSE_W row. */
_Static_assert(INSN_MOVQ == INSN_MOVD + 1 && INSN_PEXTRQ == INSN_PEXTRD + 1 && INSN_PINSRQ == INSN_PINSRD + 1,
    "insns.def: the form with REX.W comes behind the other");

static enum x86_decode_rc decode_sse(struct cursor *d, struct x86_insn *i, const struct sse_entry *e)
{
	unsigned prefix = mandatory_prefix(d);
	uint16_t id = e->id;
	bool mem;

	if (id == 0 || d->lock)
		return undefined(d, i);
	i->opsize = d->rex & 8 ? 8 : 4;
	if (!(e->attr & SSE_NOMODRM)) {
		d->modrm = take(d);
		modrm_operands(d, i, 0);
	}
	mem = i->flags & INSN_MEM;
	if (e->attr & SSE_IMM)
		immediate(d, i, ENC_IBU);
	if (((e->attr & SSE_MEM) && !mem) || ((e->attr & SSE_REG) && mem))
		return undefined(d, i);
	if (e->attr & SSE_GROUP) {
		e = x86_sse_shift(i->opcode, i->reg & 7, prefix);
		id = e->id;
	} else if ((e->attr & SSE_W) && (d->rex & 8))
		id++;
	else if (!mem && id == INSN_MOVLPS)
		id = INSN_MOVHLPS;
	else if (!mem && id == INSN_MOVHPS)
		id = INSN_MOVLHPS;
	if (id == 0 || d->rc != DECODE_OK)
		return undefined(d, i);
	finish(d, i, e->fam, id, 0);
	return DECODE_OK;
}

/* imm2 is the ModRM byte: the last opcode register of the unit keeps it. */
static enum x86_decode_rc decode_x87(struct cursor *d, struct x86_insn *i, unsigned code_size)
{
	unsigned size = 4;
	uint16_t id;

	d->modrm = take(d);
	modrm_operands(d, i, 0);
	id = x86_x87_id(i->opcode, d->modrm);
	if (d->rc != DECODE_OK || id == 0 || d->lock)
		return undefined(d, i);
	if (!(d->rex & 8)) /* REX.W means 32-bit fields as well, and overrides 66 */
		size = (code_size == 2) == !d->prefix66 ? 2 : 4;
	i->imm2 = d->modrm;
	i->opsize = (uint8_t)x86_x87_opsize(id, i->opcode, d->modrm, size);
	finish(d, i, x86_x87_family(id, i->opcode, i->flags & INSN_MEM), id, 0);
	return DECODE_OK;
}

/* Operands and handler of an opcode of the maps. */
static enum x86_decode_rc decode_entry(
    struct cursor *d, struct x86_insn *i, const struct decode_entry *e, unsigned code_size, bool have_modrm)
{
	uint32_t attr = e->attr;
	bool group = have_modrm;

	if ((attr & A_ALT64) && d->is64) {
		e = e->alt;
		attr = e->attr;
	} else if ((attr & A_REPALT) && d->rep) {
		e = e->alt;
		attr = e->attr | (attr & A_BYTE);
	}
	if ((attr & A_NO64) && d->is64) /* nothing that would follow it counts */
		return undefined(d, i);
	if (e->enc >= ENC_M && e->enc <= ENC_M_IZ && !have_modrm)
		d->modrm = take(d);
	if (attr & A_GROUP) {
		e = &e->alt[d->modrm >> 3 & 7];
		attr = (attr & ~A_GROUP) | e->attr;
		group = true;
	}
	if (!e->fam)
		return undefined(d, i);
	i->opsize = operand_size(d, code_size, attr);
	i->imm2 = e->imm2;
	if (e->enc >= ENC_M && e->enc <= ENC_M_IZ)
		modrm_operands(d, i, attr);
	if (attr & A_OREG)
		i->rm = (uint8_t)((i->opcode & 7) | (d->rex & 1u) << 3);
	if (attr & A_SREG)
		i->reg = i->opcode >> 3 & 7;
	if (group)
		i->reg &= 7;
	else if ((attr & A_BYTE) && !(attr & A_REG_FULL))
		i->reg = byte_register(d, i->reg);
	if (attr & (A_BYTE | A_RM8))
		i->rm = byte_register(d, i->rm);
	immediate(d, i, (enum decode_enc)e->enc);
	if (d->rc != DECODE_OK || is_illegal(d, i, attr))
		return undefined(d, i);
	if ((attr & (A_TO_SREG | A_FROM_SREG)) && !segment_operand(i, &attr))
		return undefined(d, i);
	finish(d, i, e->fam, (uint16_t)(attr & A_IDSIZE ? e->id + (i->opsize == 8 ? 2 : i->opsize >> 2) : e->id),
	    attr | (i->opsize && d->rep && insn_class[e->id] == INSN_CLASS_IO ? A_END : 0));
	return DECODE_OK;
}

static enum x86_decode_rc decode_0f(struct cursor *d, struct x86_insn *i, unsigned code_size)
{
	unsigned op = take(d), prefix = mandatory_prefix(d);
	const struct decode_entry *e = NULL;
	const struct sse_entry *s;
	bool known;

	i->map = 1;
	if (op == 0x38 || op == 0x3a) {
		i->map = op == 0x38 ? 2 : 3;
		op = take(d);
	}
	i->opcode = (uint8_t)op;
	if (d->rc != DECODE_OK)
		return d->rc;
	s = x86_map_sse(i->map, op, prefix, &known);
	if (known)
		return decode_sse(d, i, s);
	if (i->map == 3)
		return undefined(d, i);
	if (i->map == 2) {
		e = x86_map_0f38(op, prefix);
		return e ? decode_entry(d, i, e, code_size, false) : undefined(d, i);
	}
	if (op != 0x01 && op != 0xae && op != 0xc7)
		return decode_entry(d, i, &x86_map_0f[op], code_size, false);
	d->modrm = take(d);
	if (d->rc != DECODE_OK)
		return d->rc;
	if (op == 0x01)
		e = x86_map_0f01(d->modrm);
	else if (op == 0xae)
		e = x86_map_0fae(d->modrm, prefix);
	else
		e = x86_map_0fc7(d->modrm, prefix, d->rex & 8);
	return e ? decode_entry(d, i, e, code_size, true) : undefined(d, i);
}

/* C4 C5 62 (VEX, EVEX) and 8F with reg != 0 (XOP) prefix instructions that this CPU does not have. Outside 64-bit mode
 * the first three are LES, LDS and BOUND when a memory operand follows, and undefined otherwise: as in the tables. */
enum x86_decode_rc x86_decode(const uint8_t *p, size_t n, unsigned code_size, enum x86_mode mode, struct x86_insn *out)
{
	struct cursor d = {.p = p, .n = n, .rc = DECODE_OK, .is64 = code_size == 8, .seg = INSN_NO_REG};
	uint8_t op;

	(void)mode; /* what depends on it (protection, VM86) is a check that the handler makes, not a different decoding
		     */
	memset(out, 0, sizeof(*out));
	op = prefixes(&d);
	if (d.rc != DECODE_OK)
		return d.rc;
	out->base = out->index = INSN_NO_REG;
	out->seg = d.seg == INSN_NO_REG ? X86_DS : d.seg;
	out->opcode = op;
	out->cond = op & 15;
	out->opsize = 4;
	out->addrsize = (uint8_t)(code_size == 8 ? 8 >> d.prefix67 : (code_size == 2) == !d.prefix67 ? 2 : 4);
	out->flags = (uint16_t)((d.lock ? INSN_LOCK : 0) | (d.rep == 0xf3 ? INSN_REP : 0) |
				(d.rep == 0xf2 ? INSN_REPNE : 0) | (d.rex ? INSN_REX : 0) |
				(d.seg != INSN_NO_REG ? INSN_SEG_OVERRIDE : 0) | (d.prefix66 ? INSN_OPSIZE66 : 0));
	if (op == 0x0f) {
		enum x86_decode_rc rc = decode_0f(&d, out, code_size);

		out->cond = out->opcode & 15;
		return rc;
	}
	if (op >= 0xd8 && op <= 0xdf)
		return decode_x87(&d, out, code_size);
	if (op == 0x90 && d.rep == 0xf3)
		return decode_entry(&d, out, x86_entry_pause(), code_size, false);
	if (op == 0x90 && !(d.rex & 1))
		return decode_entry(&d, out, x86_entry_nop(), code_size, false);
	return decode_entry(&d, out, &x86_map_one[op], code_size, false);
}
