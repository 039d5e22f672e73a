/*
 * Random inputs that go deep: instructions that the decoder knows in the mode at hand, operands that lead to memory, to
 * devices and to the tables, and the few sequences that chance alone would hardly ever find.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "core/x86/insn.h"

uint32_t fuzz_rnd(struct fuzz_rng *r, uint32_t n)
{
	uint64_t z = r->s += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return n ? (uint32_t)((z >> 32) * n >> 32) : 0;
}
#define rnd fuzz_rnd
#define PICK(r, a) ((a)[rnd(r, (uint32_t)ARRAY_LEN(a))])

static const uint16_t ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x70, 0x71, 0x3f8,
    0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x60, 0x64, 0x92, 0xcf8, 0xcf9, 0xcfa, 0xcfc, 0xcfd, 0xcfe, 0x600,
    0x602, 0x604, 0x608, 0x620, 0x63c, 0xb2, 0xb3, 0x510, 0x511, 0x3c0, 0x3c1, 0x3c4, 0x3c5, 0x3ce, 0x3cf, 0x3d4, 0x3d5,
    0x3da, 0x80, 0x8f, 0xed, 0xf4, 0xe9, 0x402, 0xe0, 0xe4, 0xe8, 0x2000, 0x2008, 0x2014, 0x1234};
static const uint32_t msrs[] = {0x10, 0x17, 0x1b, 0x3a, 0x3b, 0x8b, 0xce, 0xfe, 0x10a, 0x174, 0x175, 0x176, 0x179,
    0x17a, 0x1a0, 0x1d9, 0x200, 0x20f, 0x250, 0x258, 0x26f, 0x277, 0x2ff, 0x6e0, 0x802, 0x808, 0x80b, 0x80d, 0x80f,
    0x828, 0x830, 0x832, 0x838, 0x83e, 0x83f, 0xda0, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,
    0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103, 0x4b564d00};
static const uint32_t places[] = {0xfee00020, 0xfee00080, 0xfee000b0, 0xfee000f0, 0xfee00280, 0xfee00300, 0xfee00310,
    0xfee00320, 0xfee00350, 0xfee00380, 0xfee00390, 0xfee003e0, 0xfec00000, 0xfec00010, 0xb8000, 0xbfffe, 0x9fffd,
    0xc0000, 0xcfffe, 0xf0000, 0xffffc, 0xffffffff, 0xfffffff0, 0xff000000, 0xd0000000, 0x50000, 0x50fff, 0x2000,
    0x8000, 0x20ffe, 0x100000, 0x1ffffd, 0x2ffffe};

static unsigned put32(uint8_t *p, uint32_t v, unsigned n)
{
	memcpy(p, &v, 4);
	return n;
}

/* mov r32, imm32 */
static unsigned mov_reg(uint8_t *p, unsigned cs, unsigned reg, uint32_t v)
{
	unsigned n = 0;

	if (cs == 2)
		p[n++] = 0x66;
	p[n++] = (uint8_t)(0xb8 | reg);
	return n + put32(p + n, v, 4);
}

static unsigned port_access(struct fuzz_rng *r, unsigned cs, uint8_t *p)
{
	static const uint8_t ops[] = {0xec, 0xed, 0xee, 0xef, 0xee, 0xee, 0x6c, 0x6d, 0x6e, 0x6f};
	unsigned n = mov_reg(p, cs, X86_RDX, PICK(r, ports));

	if (rnd(r, 2))
		n += mov_reg(p + n, cs, X86_RAX, rnd(r, 2) ? rnd(r, 256) : rnd(r, UINT32_MAX));
	if (rnd(r, 4) == 0)
		n += mov_reg(p + n, cs, X86_RCX, rnd(r, 12));
	if (rnd(r, 3) == 0)
		p[n++] = rnd(r, 2) ? 0x66 : 0xf3;
	p[n++] = PICK(r, ops);
	return n;
}

static unsigned msr_access(struct fuzz_rng *r, unsigned cs, uint8_t *p)
{
	static const uint32_t high[] = {0, 0, 0xffffffff, 0xffff8000};
	unsigned n = mov_reg(p, cs, X86_RCX, PICK(r, msrs));

	if (rnd(r, 2)) {
		n += mov_reg(p + n, cs, X86_RAX, rnd(r, 2) ? 1u << rnd(r, 32) : rnd(r, UINT32_MAX));
		n += mov_reg(p + n, cs, X86_RDX, PICK(r, high));
	}
	p[n++] = 0x0f;
	p[n++] = rnd(r, 2) ? 0x30 : 0x32;
	return n;
}

/* mov ebx, place; then something with [ebx] */
static unsigned memory_access(struct fuzz_rng *r, unsigned cs, uint8_t *p)
{
	static const uint8_t ops[] = {0x89, 0x8b, 0x88, 0x8a, 0x01, 0x33, 0x87, 0x39, 0xc7, 0xff};
	uint8_t op = PICK(r, ops), reg = (uint8_t)(op == 0xc7 ? 0 : op == 0xff ? rnd(r, 7) : rnd(r, 3));
	unsigned n = mov_reg(p, cs, X86_RBX, PICK(r, places));

	if (cs == 2)
		p[n++] = 0x67;
	if (rnd(r, 3) == 0)
		p[n++] = cs == 8 ? 0x48 : 0x66;
	p[n++] = op;
	p[n++] = (uint8_t)(0x03 | reg << 3);
	if (op == 0xc7)
		n += put32(p + n, rnd(r, 2) ? rnd(r, 1u << 20) : rnd(r, UINT32_MAX), 4);
	return n;
}

static unsigned control_access(struct fuzz_rng *r, uint8_t *p)
{
	static const uint8_t crs[] = {0, 2, 3, 4, 0, 4, 8};
	uint8_t cr = PICK(r, crs), bit = (uint8_t)rnd(r, 32), reg = (uint8_t)rnd(r, 3);
	unsigned n = 0;

	if (cr == 8)
		p[n++] = 0x44;
	if (rnd(r, 8) == 0) /* debug registers */
		return (unsigned)(memcpy(p,
				      (const uint8_t[]){
					  0x0f, (uint8_t)(0x21 + 2 * rnd(r, 2)), (uint8_t)(0xc0 | rnd(r, 64))},
				      3) == p) *
		       3;
	/* mov reg, cr; btc reg, bit; mov cr, reg */
	const uint8_t code[] = {
	    0x0f, 0x20, (uint8_t)(0xc0 | (cr & 7) << 3 | reg), 0x0f, 0xba, (uint8_t)(0xf8 | reg), bit};

	memcpy(p + n, code, sizeof(code));
	n += sizeof(code);
	if (cr == 8)
		p[n++] = 0x44;
	memcpy(p + n, (const uint8_t[]){0x0f, 0x22, code[2]}, 3);
	return n + 3;
}

static unsigned far_transfer(struct fuzz_rng *r, unsigned cs, uint8_t *p)
{
	uint32_t sel = rnd(r, 26) * 8 | rnd(r, 8), to = 0x20000 + rnd(r, 4096);
	unsigned n = 0;

	switch (rnd(r, 5)) {
	case 0: /* mov eax, sel; mov sreg, ax or ltr, lldt, verr, lar ... */
		n = mov_reg(p, cs, X86_RAX, sel);
		memcpy(p + n, (const uint8_t[]){0x8e, (uint8_t)(0xc0 | rnd(r, 6) << 3)}, 2);
		return n + 2;
	case 1:
		n = mov_reg(p, cs, X86_RAX, sel);
		memcpy(p + n, (const uint8_t[]){0x0f, (uint8_t)rnd(r, 4), (uint8_t)(0xc0 | rnd(r, 6) << 3)}, 3);
		return n + 3;
	case 2: /* push sel; push offset; retf */
		n = mov_reg(p, cs, X86_RAX, sel);
		p[n++] = 0x50;
		n += mov_reg(p + n, cs, X86_RAX, cs == 2 ? to & 0xffff : to);
		p[n++] = 0x50;
		if (cs == 8)
			p[n++] = 0x48;
		p[n++] = 0xcb;
		return n;
	case 3:
		p[n++] = 0xcd;
		p[n++] = (uint8_t)rnd(r, 256);
		return n;
	default:
		p[n++] = rnd(r, 2) ? 0x9a : 0xea;
		n += put32(p + n, to, cs == 2 ? 2 : 4);
		memcpy(p + n, &sel, 2);
		return n + 2;
	}
}

static unsigned string_access(struct fuzz_rng *r, unsigned cs, uint8_t *p)
{
	static const uint8_t ops[] = {0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf};
	unsigned n = mov_reg(p, cs, X86_RCX, rnd(r, 8) ? rnd(r, 300) : rnd(r, UINT32_MAX));

	n += rnd(r, 2) ? mov_reg(p + n, cs, X86_RDI, PICK(r, places)) : 0;
	n += rnd(r, 2) ? mov_reg(p + n, cs, X86_RSI, PICK(r, places)) : 0;
	if (rnd(r, 8) == 0)
		p[n++] = rnd(r, 2) ? 0xfd : 0xfc;
	if (cs == 2 && rnd(r, 2))
		p[n++] = 0x67;
	p[n++] = (uint8_t)(0xf2 + rnd(r, 2));
	p[n++] = PICK(r, ops);
	return n;
}

static uint8_t random_opcode(struct fuzz_rng *r, uint8_t *p, unsigned *n)
{
	unsigned k = rnd(r, 100);

	if (k >= 55 && k < 90)
		p[(*n)++] = 0x0f;
	if (k >= 84 && k < 90)
		p[(*n)++] = rnd(r, 2) ? 0x38 : 0x3a;
	return (uint8_t)(k >= 90 ? 0xd8 + rnd(r, 8) : rnd(r, 256));
}

/* Any instruction that the decoder knows; a few that it does not. */
static unsigned any_insn(struct fuzz_rng *r, unsigned cs, enum x86_mode mode, uint8_t *p)
{
	static const uint8_t prefixes[] = {0x66, 0x66, 0xf2, 0xf3, 0x67, 0xf0, 0x2e, 0x64, 0x65, 0x26, 0x36};
	struct x86_insn i;

	for (unsigned tries = 0;; tries++) {
		unsigned n = 0;

		memset(p, 0, 16);
		while (rnd(r, 3) == 0 && n < 3)
			p[n++] = PICK(r, prefixes);
		if (cs == 8 && rnd(r, 3) == 0)
			p[n++] = (uint8_t)(0x40 | rnd(r, 16));
		p[n] = random_opcode(r, p, &n);
		n++;
		while (n < 15)
			p[n++] = (uint8_t)(rnd(r, 3) ? rnd(r, 256) : 0);
		if (x86_decode(p, 15, cs, mode, &i) == DECODE_OK &&
		    (i.id != INSN_UD_INVALID || rnd(r, 30) == 0 || tries > 50))
			return i.len ? i.len : 1;
	}
}

size_t fuzz_insns(struct fuzz_rng *r, const struct fuzz_head *h, uint8_t *p, size_t max)
{
	unsigned cs = fuzz_code_size(h), kind = rnd(r, 32);
	enum x86_mode mode = fuzz_x86_mode(h);
	uint8_t buf[48];
	unsigned n;

	switch (kind) {
	case 0:
	case 1:
		n = port_access(r, cs, buf);
		break;
	case 2:
		n = msr_access(r, cs, buf);
		break;
	case 3:
	case 4:
		n = memory_access(r, cs, buf);
		break;
	case 5:
		n = control_access(r, buf);
		break;
	case 6:
		n = far_transfer(r, cs, buf);
		break;
	case 7:
		n = string_access(r, cs, buf);
		break;
	case 8: /* a short jump, often back: loops */
		n = 2;
		buf[0] = (uint8_t)(rnd(r, 3) ? 0x70 + rnd(r, 16) : 0xe0 + rnd(r, 4));
		buf[1] = (uint8_t)(rnd(r, 2) ? rnd(r, 48) : 0u - rnd(r, 48));
		break;
	case 9: /* sti, and sometimes hlt */
		n = 1 + rnd(r, 2);
		buf[0] = 0xfb;
		buf[1] = 0xf4;
		break;
	case 10: /* a write into the code right ahead or behind: mov [rip+x], or through bx */
		n = mov_reg(buf, cs, X86_RBX, (cs == 2 ? 0 : 0x20000) + h->entry % 4096u + rnd(r, 256));
		buf[n++] = 0x88;
		buf[n++] = (uint8_t)((cs == 2 ? 0x07 : 0x03) | rnd(r, 4) << 3);
		break;
	default:
		n = any_insn(r, cs, mode, buf);
	}
	n = n < max ? n : (unsigned)max;
	memcpy(p, buf, n);
	return n;
}

static void random_code(struct fuzz_rng *r, struct fuzz_input *in, size_t len)
{
	in->n_code = 0;
	while (in->n_code < len) {
		size_t k = fuzz_insns(r, &in->h, in->code + in->n_code, FUZZ_CODE_MAX - in->n_code);

		if (k == 0)
			break;
		in->n_code += k;
	}
}

static void random_patch(struct fuzz_rng *r, struct fuzz_patch *p)
{
	static const uint32_t words[] = {
	    0, 0xffff, 0xffffffff, 0x8700, 0x00cf9200, 0x00af9a00, 0x20087, 0xfee00083, 0x9067, 0xa067, 0x100007};

	p->area = (uint8_t)rnd(r, AREA_COUNT);
	p->size = (uint8_t)rnd(r, 4);
	p->index = (uint16_t)rnd(r, rnd(r, 2) ? 32 : 65536);
	p->low = rnd(r, 2) ? PICK(r, words) : rnd(r, UINT32_MAX);
	p->high = rnd(r, 2) ? PICK(r, words) : rnd(r, UINT32_MAX);
}

static void random_head(struct fuzz_rng *r, struct fuzz_head *h)
{
	uint8_t *p = (uint8_t *)h;

	for (size_t k = 0; k < sizeof(*h); k++)
		p[k] = (uint8_t)rnd(r, 256);
	h->mode = (uint8_t)(rnd(r, 24) ? rnd(r, FUZZ_MODEL) : FUZZ_MODEL);
	h->cpl = (uint8_t)(rnd(r, 3) ? 0 : 3 | rnd(r, 4) << 2);
	h->n_cpus = (uint8_t)(rnd(r, 4) ? 1 : 1 + rnd(r, 3));
	h->profile = (uint8_t)rnd(r, 6);
	h->ways = (uint8_t)((rnd(r, 3) == 0 ? FUZZ_WAY_CUT : 0) | (rnd(r, 24) == 0 ? FUZZ_WAY_TRACER : 0) |
			    (rnd(r, 6) == 0 ? FUZZ_WAY_STEP_EXIT : 0) | rnd(r, 8) << FUZZ_CACHE_SHIFT);
	h->cr0 = CR0_NE | (rnd(r, 4) ? CR0_WP : 0) | (rnd(r, 8) ? 0 : rnd(r, UINT32_MAX));
	h->cr4 = rnd(r, 3) ? CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_PSE | CR4_PGE : rnd(r, UINT32_MAX);
	h->efer = EFER_SCE | EFER_NXE | 1u << 16;
	h->rflags = rnd(r, 4) ? FLAG_IF & rnd(r, UINT32_MAX) : rnd(r, UINT32_MAX) & ~(rnd(r, 4) ? FLAG_TF : 0);
	h->dr7 = rnd(r, 12) ? 0 : rnd(r, UINT32_MAX);
	h->mem = (uint8_t)(rnd(r, 6) ? 0 : rnd(r, 3));
	h->style = (uint8_t)(rnd(r, 256) & ~(rnd(r, 4) ? FUZZ_SUPERVISOR : 0));
	h->entry = (uint16_t)(rnd(r, 2) ? 0 : rnd(r, 4096));
	h->max_insns = (uint16_t)(64 + rnd(r, rnd(r, 4) ? 1000 : 6000));
	h->max_exits = (uint16_t)(16 + rnd(r, 1000));
	memset(h->pad, 0, sizeof(h->pad));
}

void fuzz_random_input(struct fuzz_rng *r, struct fuzz_input *in)
{
	memset(in, 0, sizeof(*in));
	random_head(r, &in->h);
	in->n_patches = rnd(r, 3) ? 0 : rnd(r, 6);
	for (unsigned k = 0; k < in->n_patches; k++)
		random_patch(r, &in->patch[k]);
	random_code(r, in, 16 + rnd(r, rnd(r, 4) ? 300 : 2000));
	if (rnd(r, 16) == 0 || in->h.mode == FUZZ_MODEL)
		for (size_t k = 0; k < in->n_code; k++)
			in->code[k] = (uint8_t)rnd(r, 256);
}

/* n bytes of code at `at` make room for, or are replaced by, others. */
static void splice(struct fuzz_input *in, size_t at, size_t old, const uint8_t *p, size_t n)
{
	size_t tail = in->n_code - at - old;

	if (at + n + tail > FUZZ_CODE_MAX)
		tail = at + n < FUZZ_CODE_MAX ? FUZZ_CODE_MAX - at - n : 0;
	if (at + n > FUZZ_CODE_MAX)
		return;
	memmove(in->code + at + n, in->code + at + old, tail);
	memcpy(in->code + at, p, n);
	in->n_code = at + n + tail;
}

static void mutate_code(struct fuzz_rng *r, struct fuzz_input *in)
{
	size_t at = rnd(r, (uint32_t)in->n_code + 1), left = in->n_code - at, old, n = 0;
	uint8_t buf[128];

	for (unsigned k = 1 + rnd(r, 3); k; k--)
		n += fuzz_insns(r, &in->h, buf + n, sizeof(buf) - n);
	old = rnd(r, 3) ? rnd(r, 8) : 0;
	splice(in, at, old < left ? old : left, buf, rnd(r, 6) ? n : 0);
	if (in->n_code == 0)
		in->code[in->n_code++] = 0xf4;
}

void fuzz_mutate(struct fuzz_rng *r, struct fuzz_input *in)
{
	struct fuzz_head h;

	switch (rnd(r, 8)) {
	case 0:
		((uint8_t *)&in->h)[rnd(r, sizeof(in->h) - 4)] = (uint8_t)rnd(r, 256);
		break;
	case 1: /* another machine for the same code: most of the header, not the mode */
		random_head(r, &h);
		h.mode = in->h.mode;
		in->h = h;
		break;
	case 2:
		if (in->n_patches < FUZZ_PATCHES_MAX)
			random_patch(r, &in->patch[in->n_patches++]);
		break;
	case 3:
		if (in->n_patches)
			random_patch(r, &in->patch[rnd(r, in->n_patches)]);
		mutate_code(r, in);
		break;
	default:
		for (unsigned k = 1 + rnd(r, 4); k; k--)
			mutate_code(r, in);
	}
}
