/*
 * MOVS CMPS STOS LODS SCAS, alone and repeated [SDM 1 "String Instructions"].
 *
 * A repeated one is a loop that can be interrupted after every iteration: rSI, rDI and rCX always tell how far it came,
 * and the instruction pointer stays on it until it is done. So a fault, an exit or the end of the budget in the middle
 * needs no undoing. All but LODS do whole runs at once where both ends are plain memory within a page.
 */
#include "core/x86/exec.h"

enum str_op { STR_MOVS, STR_CMPS, STR_STOS, STR_LODS, STR_SCAS };

struct str_regs {
	uint64_t mask; /* of the address size */
	int64_t step;
};

X86_INLINE uint64_t str_off(const struct x86_cpu *c, unsigned r, const struct str_regs *s)
{
	return c->s.gpr[r] & s->mask;
}

X86_INLINE void str_move(struct x86_cpu *c, unsigned r, unsigned addrsize, int64_t by)
{
	x86_reg_set(c, addrsize, r, c->s.gpr[r] + (uint64_t)by);
}

/* One iteration, rCX aside. */
X86_INLINE enum x86_rc str_one(
    struct x86_cpu *c, const struct x86_insn *i, unsigned size, enum str_op op, const struct str_regs *s)
{
	uint64_t a = 0, b = 0;
	enum x86_rc rc = X86_OK;

	/* CMPS reads its second operand first: that is the one whose fault is seen (tests/oracle). */
	if (op == STR_CMPS || op == STR_SCAS)
		rc = x86_load(c, X86_ES, str_off(c, X86_RDI, s), size, &b);
	if (UNLIKELY(rc != X86_OK))
		return rc;
	if (op == STR_MOVS || op == STR_CMPS || op == STR_LODS)
		rc = x86_load(c, i->seg, str_off(c, X86_RSI, s), size, &a);
	else
		a = x86_reg(c, size, X86_RAX);
	if (UNLIKELY(rc != X86_OK))
		return rc;
	if (op == STR_MOVS || op == STR_STOS)
		rc = x86_store(c, X86_ES, str_off(c, X86_RDI, s), size, a);
	if (UNLIKELY(rc != X86_OK))
		return rc;
	if (op == STR_LODS)
		x86_reg_set(c, size, X86_RAX, a);
	if (op == STR_MOVS || op == STR_CMPS || op == STR_LODS)
		str_move(c, X86_RSI, i->addrsize, s->step);
	if (op != STR_LODS)
		str_move(c, X86_RDI, i->addrsize, s->step);
	if (op == STR_CMPS || op == STR_SCAS)
		x86_lazy_sub(c, size, a, b, a - b);
	return X86_OK;
}

X86_INLINE struct str_regs str_setup(const struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	return (struct str_regs){x86_mask(i->addrsize), c->s.rflags & FLAG_DF ? -(int64_t)size : (int64_t)size};
}

X86_INLINE enum x86_rc str_single(struct x86_cpu *c, const struct x86_insn *i, unsigned size, enum str_op op)
{
	struct str_regs s = str_setup(c, i, size);

	return str_one(c, i, size, op, &s);
}

/* Elements from off that stay below the end of the address space of this address size. */
X86_INLINE uint64_t str_before_wrap(uint64_t off, uint64_t mask, unsigned size, uint64_t max)
{
	uint64_t n = (mask - off) / size;

	return n < max ? n : max;
}

/* Each element may be an #AC. */
X86_INLINE bool alignment_checked(const struct x86_cpu *c, unsigned size)
{
	return size > 1 && c->cpl == 3 && (c->s.rflags & FLAG_AC) && (c->s.cr0 & CR0_AM);
}

/*
 * Upward CMPS and SCAS over the elements that let the loop go on, no more of them than a page holds at either end; 0:
 * not possible here. The element that ends the loop, or the last one of all, is left to str_one().
 */
X86_INLINE uint64_t str_scan(
    struct x86_cpu *c, const struct x86_insn *i, unsigned size, enum str_op op, const struct str_regs *s, uint64_t max)
{
	bool until_equal = i->flags & INSN_REPNE;
	uint64_t si = str_off(c, X86_RSI, s), di = str_off(c, X86_RDI, s);
	uint64_t va = x86_reg(c, size, X86_RAX), vb, n = 0;
	const uint8_t *a = NULL, *b;
	size_t got;

	max = str_before_wrap(di, s->mask, size, max < PAGE_SIZE_4K ? max : PAGE_SIZE_4K);
	if (op == STR_CMPS)
		max = str_before_wrap(si, s->mask, size, max);
	if (max < 2 || alignment_checked(c, size))
		return 0;
	max--;
	if (op == STR_CMPS) {
		a = x86_span(c, i->seg, si, false, max * size, &got);
		max = a ? got / size : 0;
	}
	b = max ? x86_span(c, X86_ES, di, false, max * size, &got) : NULL;
	max = b ? got / size : 0;
	for (; n < max; n++) {
		if (op == STR_CMPS)
			va = x86_get(a + n * size, size);
		vb = x86_get(b + n * size, size);
		if ((va == vb) == until_equal)
			break;
	}
	if (n == 0)
		return 0;
	if (op == STR_CMPS) {
		va = x86_get(a + (n - 1) * size, size);
		str_move(c, X86_RSI, i->addrsize, (int64_t)(n * size));
	}
	vb = x86_get(b + (n - 1) * size, size);
	x86_lazy_sub(c, size, va, vb, va - vb);
	str_move(c, X86_RDI, i->addrsize, (int64_t)(n * size));
	return n;
}

X86_INLINE void fill(uint8_t *p, unsigned size, uint64_t v, size_t n)
{
	if (size == 1) {
		memset(p, (int)(v & 0xff), n);
		return;
	}
	for (size_t k = 0; k < n; k++)
		x86_put(p + k * size, size, v);
}

/* Copying upward one element at a time differs from a block copy only when the destination begins inside the source. */
X86_INLINE void copy_up(uint8_t *to, const uint8_t *from, unsigned size, size_t n)
{
	uintptr_t d = (uintptr_t)to - (uintptr_t)from;

	if (d == 0 || d >= n * size) {
		memmove(to, from, n * size);
		return;
	}
	for (size_t k = 0; k < n; k++)
		x86_put(to + k * size, size, x86_get(from + k * size, size));
}

/* Upward MOVS and STOS over as many of max elements as one page holds at either end; 0: not possible here. */
X86_INLINE uint64_t str_run(
    struct x86_cpu *c, const struct x86_insn *i, unsigned size, enum str_op op, const struct str_regs *s, uint64_t max)
{
	uint64_t si = str_off(c, X86_RSI, s), di = str_off(c, X86_RDI, s);
	size_t got, n;
	uint8_t *to, *from = NULL;

	max = str_before_wrap(di, s->mask, size, max < PAGE_SIZE_4K ? max : PAGE_SIZE_4K);
	if (op == STR_MOVS)
		max = str_before_wrap(si, s->mask, size, max);
	if (max < 2 || alignment_checked(c, size))
		return 0;
	n = (size_t)max;
	if (op == STR_MOVS) {
		from = x86_span(c, i->seg, si, false, n * size, &got);
		if (!from || got < size)
			return 0;
		n = got / size;
	}
	to = x86_span(c, X86_ES, di, true, n * size, &got);
	if (!to || got < size)
		return 0;
	n = got / size;
	if (op == STR_MOVS) {
		copy_up(to, from, size, n);
		str_move(c, X86_RSI, i->addrsize, (int64_t)(n * size));
	} else {
		fill(to, size, c->s.gpr[X86_RAX], n);
	}
	str_move(c, X86_RDI, i->addrsize, (int64_t)(n * size));
	return n;
}

/*
 * With 32-bit addresses in 64-bit mode, Intel's processors clear the upper halves of the counter, and of the addresses
 * of what moves, before anything else: also when nothing is to be done, and when the first iteration faults.
 */
X86_INLINE void clear_upper(struct x86_cpu *c, unsigned addrsize, enum str_op op)
{
	if (addrsize != 4)
		return;
	c->s.gpr[X86_RCX] = (uint32_t)c->s.gpr[X86_RCX];
	if (op == STR_MOVS)
		c->s.gpr[X86_RSI] = (uint32_t)c->s.gpr[X86_RSI];
	if (op == STR_MOVS || op == STR_STOS)
		c->s.gpr[X86_RDI] = (uint32_t)c->s.gpr[X86_RDI];
}

static const struct x86_tlb_entry *str_tlb_hit(const struct x86_cpu *c, const struct x86_tlb_entry *array, gva_t la)
{
	const struct x86_tlb_entry *e = &array[(la >> PAGE_SHIFT_4K) & (X86_TLB_ENTRIES - 1)];

	return e->tag == (la >> PAGE_SHIFT_4K | c->tlb.gen_tag) ? e : NULL;
}

/* The same by walks of the paging structures. */
static bool str_self_in_page_walked(struct x86_cpu *c, gva_t ip, gva_t end, gva_t la)
{
	gpa_t to, first, last;

	if (!x86_translate(c, la, &to) || !x86_translate(c, ip, &first) || !x86_translate(c, end, &last))
		return false;
	return (to ^ first) >> PAGE_SHIFT_4K == 0 || (to ^ last) >> PAGE_SHIFT_4K == 0;
}

/* Does the instruction itself lie, whole or in part, in the page of la? A page may be mapped twice. The TLB mostly
 * knows both pages, by what the store and the fetch go by, too; three walks for each page of a long copy cost more than
 * the copy. */
static bool str_self_in_page(struct x86_cpu *c, const struct x86_insn *i, gva_t la)
{
	gva_t ip = c->eff_base[X86_CS] + x86_insn_rip(c, i), end = ip + i->len - 1;
	const struct x86_tlb_entry *to, *self;

	if ((la ^ ip) >> PAGE_SHIFT_4K == 0 || (la ^ end) >> PAGE_SHIFT_4K == 0)
		return true;
	if (!(c->s.cr0 & CR0_PG))
		return false;
	to = str_tlb_hit(c, c->tlb.write[c->user], la);
	self = str_tlb_hit(c, c->tlb.fetch[c->user], ip);
	if (LIKELY(to && self && (ip ^ end) >> PAGE_SHIFT_4K == 0))
		return to->gpa == self->gpa;
	return str_self_in_page_walked(c, ip, end, la);
}

/*
 * A store that hits the instruction itself ends its turn, so that it is fetched anew: whether decoded code is kept
 * somewhere then makes no difference. Returns how many elements of this page can be stored before the next look; 0: the
 * next one is such a store.
 */
X86_INLINE uint64_t str_before_self(
    struct x86_cpu *c, const struct x86_insn *i, unsigned size, const struct str_regs *s, uint64_t max)
{
	gva_t di = c->eff_base[X86_ES] + str_off(c, X86_RDI, s), ip = c->eff_base[X86_CS] + x86_insn_rip(c, i);
	uint64_t to_ip = (ip - di) % PAGE_SIZE_4K;

	if (LIKELY(to_ip >= size && (di - ip) % PAGE_SIZE_4K >= i->len)) {
		if (to_ip / size >= max || !str_self_in_page(c, i, di))
			return max;
		return to_ip / size;
	}
	return str_self_in_page(c, i, di) || str_self_in_page(c, i, di + size - 1) ? 0 : max;
}

/*
 * The REP loop. done counts iterations completed in this call; the runner accounts for the last one itself when the
 * result is X86_OK. CMPS and SCAS set the flags when they are done: a fault or a trap between two iterations sees those
 * from before the first [SDM 2B "REP/REPE/REPZ/REPNE/REPNZ - Repeat String Operation Prefix"].
 */
X86_INLINE enum x86_rc str_rep(struct x86_cpu *c, const struct x86_insn *i, unsigned size, enum str_op op)
{
	struct str_regs s = str_setup(c, i, size);
	uint64_t left = c->s.gpr[X86_RCX] & s.mask, max = c->budget ? c->budget : 1, done = 0;
	bool compares = op == STR_CMPS || op == STR_SCAS, stop = false, self = false, block_end = c->block_end;
	uint32_t devices = c->mmio_count;
	uint64_t rflags = c->s.rflags;
	struct x86_lazy lazy = c->lazy;
	enum x86_rc rc = X86_OK;

	clear_upper(c, i->addrsize, op);
	if (left == 0)
		return X86_OK;
	c->block_end = false; /* set again by a store that hits code: perhaps this very instruction */
	while (left && !stop && !self && done < max) {
		uint64_t n = 0, most = left < max - done ? left : max - done;

		if (op == STR_MOVS || op == STR_STOS) {
			uint64_t room = str_before_self(c, i, size, &s, s.step > 0 ? most : 1);

			self = room == 0;
			n = s.step > 0 ? str_run(c, i, size, op, &s, room) : 0;
		} else if (compares && s.step > 0) {
			n = str_scan(c, i, size, op, &s, most);
		}
		if (n == 0) {
			rc = str_one(c, i, size, op, &s);
			if (UNLIKELY(rc != X86_OK))
				break;
			n = 1;
			stop = compares && x86_zf(c) != !(i->flags & INSN_REPNE);
		}
		left -= n;
		done += n;
		x86_reg_set(c, i->addrsize, X86_RCX, left);
		if (c->block_end || c->mmio_count != devices)
			break;
	}
	c->block_end |= block_end;
	if (compares && (rc != X86_OK || (left && !stop))) {
		c->s.rflags = rflags;
		c->lazy = lazy;
	}
	if (rc == X86_OK) {
		if (left && !stop)
			x86_repeat(c, i);
		done--;
	}
	c->insns += done;
	c->budget -= done < c->budget ? done : c->budget;
	return rc;
}

#define STRING(name, OP)                     \
	X86_FAMILY_REG(name, str_single, OP) \
	X86_FAMILY_REG(rep_##name, str_rep, OP)

STRING(movs, STR_MOVS)
STRING(cmps, STR_CMPS)
STRING(stos, STR_STOS)
STRING(lods, STR_LODS)
STRING(scas, STR_SCAS)
