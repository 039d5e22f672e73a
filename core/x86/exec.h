/*
 * What every instruction handler shares: the calling convention, registers by size, the effective address, branches.
 *
 * THE CONVENTION between a runner (x86_step(), the block runner of emulate) and a handler:
 *
 *  - Before the call the runner sets s.rip to the address of the NEXT instruction, (rip + i->len) & ip_mask. A handler
 *    that does not branch leaves it alone; a branch overwrites it. A handler that needs the instruction's own address
 *    (faults of type "trap", exits, far calls) asks x86_insn_rip(c, i).
 *  - X86_OK: everything is committed. The runner adds 1 to c->insns and takes 1 from c->budget.
 *  - Anything else: no register or flag has changed, but for what cpu.h says of floating point; s.rip is still the
 *    next instruction, and the RUNNER puts it back to the start. x86_fault() and x86_exit() do not touch s.rip.
 *  - A REP string handler runs as many iterations as c->budget allows. Each counts as one instruction: it adds all but
 *    the last to c->insns and takes them from c->budget (the runner adds the last one). If iterations remain it sets
 *    s.rip back to the instruction itself and returns X86_OK. When it faults, completed iterations stay and are
 * counted.
 *  - i->flags & INSN_ENDS_BLOCK marks everything after which s.rip, the mode or the code may be something else than the
 *    next instruction in line, statically; c->block_end says it dynamically.
 *
 * BLOCKS. A runner of decoded blocks has an instruction's successor at hand: i[1]. So that it need not come back after
 * each one, an instruction has a second handler, i->go, which executes it and then goes on with i[1].go, to the end of
 * the block; a compiler makes a jump of that call. Between two of them:
 *
 *  - s.rip is the address of the block's FIRST instruction all the time, and i->ahead says how far it is from there to
 *    the next instruction. Handlers that look at s.rip are called through x86_go_any() or x86_go_last(), which make it
 *    what the convention above demands; the block has added i->ahead to the displacement of a RIP-relative operand of
 *    the others.
 *  - The last one leaves s.rip at the instruction that comes next and adds the block's instructions to c->insns. Where
 *    it can it hops to the block that it went to the last time, x86_hop(), and so on. c->block is always the block in
 *    execution.
 *  - One that does not return X86_OK has set c->at to its instruction and left s.rip at the block's first one.
 *
 * Byte registers are numbered by the decoder so that no handler has to look at REX: 0-15 are the low bytes (AL .. R15B,
 * with SPL BPL SIL DIL), 16-19 are AH CH DH BH. This holds for i->reg and i->rm where the operand is a byte.
 */
#ifndef VMSCOPE_CORE_X86_EXEC_H
#define VMSCOPE_CORE_X86_EXEC_H

#include "core/x86/access.h"
#include "core/x86/flags.h"
#include "core/x86/insn.h"

/* The handlers of one instruction by operand form: [log2(opsize)] with a register, [4 + log2(opsize)] with memory. From
 * a plain handler it is so far to the go handler of the same form; NULL where there is none. */
#define X86_GO 8     /* always right */
#define X86_FLAT 16  /* what x86_assume_flat() says is true */
#define X86_BASED 20 /* and the operand is [base + disp]; from memory forms only */
struct x86_family {
	x86_handler fn[28];
};

/* A block of decoded instructions, as handlers see it. */
struct x86_block {
	const struct x86_insn *insns; /* n, and x86_go_end() after them */
	/* Where execution went from here within the page: [0] fell through, [1] jumped; never NULL, see x86_no_block.
	 */
	const struct x86_block *link[2];
	uint16_t n;
	uint16_t page_off; /* of its first byte; X86_BLOCK_NOWHERE: nothing hops to it */
};
#define X86_BLOCK_NOWHERE UINT16_MAX
extern const struct x86_block x86_no_block; /* begins nowhere */

/* What blocks are made of beside the instructions' own go handlers. _any: any instruction that is not the last; _last:
 * the last one; _end: after the last one, where the block does not end by a branch (_hop: in a flat block); _stop:
 * before an instruction that the runner executes by itself; _gone: the code was changed, look it up again (X86_RETRY).
 */
enum x86_rc x86_go_any(struct x86_cpu *c, const struct x86_insn *i);
enum x86_rc x86_go_last(struct x86_cpu *c, const struct x86_insn *i);
enum x86_rc x86_go_end(struct x86_cpu *c, const struct x86_insn *i);
enum x86_rc x86_go_end_hop(struct x86_cpu *c, const struct x86_insn *i);
enum x86_rc x86_go_stop(struct x86_cpu *c, const struct x86_insn *i);
enum x86_rc x86_go_gone(struct x86_cpu *c, const struct x86_insn *i);

/* The block's last instruction is done, or not. */
X86_INLINE enum x86_rc x86_ended(struct x86_cpu *c, const struct x86_insn *i, uint64_t start, enum x86_rc rc)
{
	if (UNLIKELY(rc != X86_OK)) {
		c->at = i;
		c->s.rip = start;
		return rc;
	}
	c->insns += c->block->n;
	return X86_OK;
}

/*
 * The end of a flat block that began at start; s.rip is where to go. Within a linear page the physical page is the same
 * one, so the link holds if it begins at the right offset: a block that was dropped since begins nowhere.
 */
X86_INLINE enum x86_rc x86_hop(struct x86_cpu *c, uint64_t start, unsigned taken)
{
	const struct x86_block *next = c->block->link[taken];

	c->insns += c->block->n;
	if (UNLIKELY(c->insns > c->hop_limit || (c->s.rip ^ start) >> PAGE_SHIFT_4K ||
		     next->page_off != (c->s.rip & (PAGE_SIZE_4K - 1))))
		return X86_OK;
	c->block = next;
	return next->insns->go(c, next->insns);
}

/* --- Making families ---------------------------------------------------------------------------------------------
 *
 * A body is written once and instantiated, as x86_fam_NAME, for every size and for register and memory forms: size and
 * mem are constants in it, so that each function contains only its own case. The kinds:
 *
 *   X86_FAMILY        plain handlers only: body(c, i, size, mem, ...)
 *   X86_FAMILY_GO     with go handlers; for bodies that never look at s.rip but by x86_ea()
 *   X86_FAMILY_LOAD   the same, and all that the memory forms do to memory is one load from the operand
 *   X86_FAMILY_STORE  or one store, or a read-modify-write
 *   X86_FAMILY_STACK  the same, and the register forms use the stack
 *   X86_FAMILY_END    for branches
 *   X86_FAMILY_REG..  without memory forms: body(c, i, size, ...)
 */
#define X86_HANDLER(name, body, ...)                                         \
	static enum x86_rc name(struct x86_cpu *c, const struct x86_insn *i) \
	{                                                                    \
		return body(c, i, __VA_ARGS__);                              \
	}
#define X86_HANDLER_GO_(name, assume, body, ...)                             \
	static enum x86_rc name(struct x86_cpu *c, const struct x86_insn *i) \
	{                                                                    \
		assume;                                                      \
		enum x86_rc rc = body(c, i, __VA_ARGS__);                    \
                                                                             \
		if (UNLIKELY(rc != X86_OK)) {                                \
			c->at = i;                                           \
			return rc;                                           \
		}                                                            \
		return i[1].go(c, i + 1);                                    \
	}
#define X86_HANDLER_END(name, body, ...)                                     \
	static enum x86_rc name(struct x86_cpu *c, const struct x86_insn *i) \
	{                                                                    \
		uint64_t start = c->s.rip;                                   \
                                                                             \
		c->s.rip = (start + i->ahead) & c->ip_mask;                  \
		return x86_ended(c, i, start, body(c, i, __VA_ARGS__));      \
	}
#define X86_HANDLER_GO(name, ...) X86_HANDLER_GO_(name, (void)0, __VA_ARGS__)
#define X86_HANDLER_GO_F(name, ...) X86_HANDLER_GO_(name, x86_assume_flat(c), __VA_ARGS__)
#define X86_HANDLER_GO_FM(name, ...) X86_HANDLER_GO_(name, x86_assume_flat_operand(c, i), __VA_ARGS__)
#define X86_HANDLER_GO_B(name, ...) X86_HANDLER_GO_(name, x86_assume_based(c, i), __VA_ARGS__)

#define X86_REGS(make, p, body, ...)                                                            \
	make(p##_r1, body, 1, false, ##__VA_ARGS__) make(p##_r2, body, 2, false, ##__VA_ARGS__) \
	    make(p##_r4, body, 4, false, ##__VA_ARGS__) make(p##_r8, body, 8, false, ##__VA_ARGS__)
#define X86_MEMS(make, p, body, ...)                                                          \
	make(p##_m1, body, 1, true, ##__VA_ARGS__) make(p##_m2, body, 2, true, ##__VA_ARGS__) \
	    make(p##_m4, body, 4, true, ##__VA_ARGS__) make(p##_m8, body, 8, true, ##__VA_ARGS__)
#define X86_SIZES(make, p, body, ...)                                                                               \
	make(p##_1, body, 1, ##__VA_ARGS__) make(p##_2, body, 2, ##__VA_ARGS__) make(p##_4, body, 4, ##__VA_ARGS__) \
	    make(p##_8, body, 8, ##__VA_ARGS__)
#define X86_REG_LIST(p) p##_r1, p##_r2, p##_r4, p##_r8
#define X86_MEM_LIST(p) p##_m1, p##_m2, p##_m4, p##_m8
#define X86_SIZE_LIST(p) p##_1, p##_2, p##_4, p##_8

#define X86_FAMILY_P(p, fam, body, ...)                       \
	X86_REGS(X86_HANDLER, p##_##fam, body, ##__VA_ARGS__) \
	X86_MEMS(X86_HANDLER, p##_##fam, body, ##__VA_ARGS__) \
	const struct x86_family x86_fam_##fam = {{X86_REG_LIST(p##_##fam), X86_MEM_LIST(p##_##fam)}};
#define X86_FAMILY(fam, body, ...) X86_FAMILY_P(op, fam, body, ##__VA_ARGS__)
#define X86_FAMILY_GO_(flat_mems, fam, body, ...)                                                            \
	X86_REGS(X86_HANDLER, op_##fam, body, ##__VA_ARGS__)                                                 \
	X86_MEMS(X86_HANDLER, op_##fam, body, ##__VA_ARGS__)                                                 \
	X86_REGS(X86_HANDLER_GO, go_##fam, body, ##__VA_ARGS__)                                              \
	X86_MEMS(X86_HANDLER_GO, go_##fam, body, ##__VA_ARGS__)                                              \
	flat_mems const struct x86_family x86_fam_##fam = {                                                  \
	    {X86_REG_LIST(op_##fam), X86_MEM_LIST(op_##fam), X86_REG_LIST(go_##fam), X86_MEM_LIST(go_##fam), \
		X86_REG_LIST(go_##fam), X86_MEM_LIST(flat_##fam), X86_MEM_LIST(based_##fam)}};
#define X86_FAMILY_GO(fam, body, ...)                                                    \
	X86_FAMILY_GO_(X86_MEMS(X86_HANDLER_GO_FM, flat_##fam, body, ##__VA_ARGS__)      \
			   X86_MEMS(X86_HANDLER_GO_B, based_##fam, body, ##__VA_ARGS__), \
	    fam, body, ##__VA_ARGS__)
/* Families that access bytes of memory (0: the operand size), in the read or the write array of the TLB: whoever does
 * not find them there is not flat. What remains has no way out and needs no stack. */
#define X86_FAMILY_TLB_(array, bytes, fam, body, ...)                                                                  \
	X86_FAMILY_GO_(X86_MEMS_TLB_(X86_HANDLER_TLB_FM, flat_##fam, go_##fam, array, bytes, body, ##__VA_ARGS__)      \
			   X86_MEMS_TLB_(X86_HANDLER_TLB_B, based_##fam, go_##fam, array, bytes, body, ##__VA_ARGS__), \
	    fam, body, ##__VA_ARGS__)
#define X86_MEMS_TLB_(make, p, slow, array, bytes, body, ...)                                       \
	make(p##_m1, slow##_m1, array, (bytes) ? (bytes) : 1, body, 1, true, ##__VA_ARGS__)         \
	    make(p##_m2, slow##_m2, array, (bytes) ? (bytes) : 2, body, 2, true, ##__VA_ARGS__)     \
		make(p##_m4, slow##_m4, array, (bytes) ? (bytes) : 4, body, 4, true, ##__VA_ARGS__) \
		    make(p##_m8, slow##_m8, array, (bytes) ? (bytes) : 8, body, 8, true, ##__VA_ARGS__)
#define X86_OR_SLOW(slow, array, la, bytes)                              \
	if (UNLIKELY(!x86_tlb_hit(c, c->tlb.array[c->user], la, bytes))) \
	return slow(c, i)
#define X86_HANDLER_TLB_FM(name, slow, array, bytes, ...)    \
	X86_HANDLER_GO_(name, x86_assume_flat_operand(c, i); \
			X86_OR_SLOW(slow, array, x86_seg_base(c, i->seg) + x86_ea(c, i), bytes), __VA_ARGS__)
#define X86_HANDLER_TLB_B(name, slow, array, bytes, ...) \
	X86_HANDLER_GO_(name, x86_assume_based(c, i);    \
			X86_OR_SLOW(slow, array, x86_seg_base(c, i->seg) + x86_ea(c, i), bytes), __VA_ARGS__)
#define X86_FAMILY_LOAD(bytes, fam, body, ...) X86_FAMILY_TLB_(read, bytes, fam, body, ##__VA_ARGS__)
#define X86_FAMILY_STORE(fam, body, ...) X86_FAMILY_TLB_(write, 0, fam, body, ##__VA_ARGS__)
#define X86_FAMILY_STACK(fam, body, ...)                                                                     \
	X86_REGS(X86_HANDLER, op_##fam, body, ##__VA_ARGS__)                                                 \
	X86_MEMS(X86_HANDLER, op_##fam, body, ##__VA_ARGS__)                                                 \
	X86_REGS(X86_HANDLER_GO, go_##fam, body, ##__VA_ARGS__)                                              \
	X86_MEMS(X86_HANDLER_GO, go_##fam, body, ##__VA_ARGS__)                                              \
	X86_REGS(X86_HANDLER_GO_F, flat_##fam, body, ##__VA_ARGS__)                                          \
	X86_MEMS(X86_HANDLER_GO_FM, flat_##fam, body, ##__VA_ARGS__)                                         \
	X86_MEMS(X86_HANDLER_GO_B, based_##fam, body, ##__VA_ARGS__)                                         \
	const struct x86_family x86_fam_##fam = {                                                            \
	    {X86_REG_LIST(op_##fam), X86_MEM_LIST(op_##fam), X86_REG_LIST(go_##fam), X86_MEM_LIST(go_##fam), \
		X86_REG_LIST(flat_##fam), X86_MEM_LIST(flat_##fam), X86_MEM_LIST(based_##fam)}};
/* flat: the one for 64-bit code, where near branches have one size. */
#define X86_FAMILY_END(fam, flat_r, flat_m, body, ...)                                            \
	X86_REGS(X86_HANDLER, op_##fam, body, ##__VA_ARGS__)                                      \
	X86_MEMS(X86_HANDLER, op_##fam, body, ##__VA_ARGS__)                                      \
	X86_REGS(X86_HANDLER_END, go_##fam, body, ##__VA_ARGS__)                                  \
	X86_MEMS(X86_HANDLER_END, go_##fam, body, ##__VA_ARGS__)                                  \
	const struct x86_family x86_fam_##fam = {{X86_REG_LIST(op_##fam), X86_MEM_LIST(op_##fam), \
	    X86_REG_LIST(go_##fam), X86_MEM_LIST(go_##fam), NULL, NULL, NULL, flat_r, NULL, NULL, NULL, flat_m}};

#define X86_FAMILY_REG(fam, body, ...)                        \
	X86_SIZES(X86_HANDLER, op_##fam, body, ##__VA_ARGS__) \
	const struct x86_family x86_fam_##fam = {{X86_SIZE_LIST(op_##fam), X86_SIZE_LIST(op_##fam)}};
#define X86_FAMILY_REG_GO(fam, body, ...)                        \
	X86_SIZES(X86_HANDLER, op_##fam, body, ##__VA_ARGS__)    \
	X86_SIZES(X86_HANDLER_GO, go_##fam, body, ##__VA_ARGS__) \
	const struct x86_family x86_fam_##fam = {                \
	    {X86_SIZE_LIST(op_##fam), X86_SIZE_LIST(op_##fam), X86_SIZE_LIST(go_##fam), X86_SIZE_LIST(go_##fam)}};
#define X86_FAMILY_REG_STACK(fam, body, ...)                                                        \
	X86_SIZES(X86_HANDLER, op_##fam, body, ##__VA_ARGS__)                                       \
	X86_SIZES(X86_HANDLER_GO, go_##fam, body, ##__VA_ARGS__)                                    \
	X86_SIZES(X86_HANDLER_GO_F, flat_##fam, body, ##__VA_ARGS__)                                \
	const struct x86_family x86_fam_##fam = {{X86_SIZE_LIST(op_##fam), X86_SIZE_LIST(op_##fam), \
	    X86_SIZE_LIST(go_##fam), X86_SIZE_LIST(go_##fam), X86_SIZE_LIST(flat_##fam), X86_SIZE_LIST(flat_##fam)}};
#define X86_FAMILY_REG_END(fam, flat, body, ...)                                                    \
	X86_SIZES(X86_HANDLER, op_##fam, body, ##__VA_ARGS__)                                       \
	X86_SIZES(X86_HANDLER_END, go_##fam, body, ##__VA_ARGS__)                                   \
	const struct x86_family x86_fam_##fam = {{X86_SIZE_LIST(op_##fam), X86_SIZE_LIST(op_##fam), \
	    X86_SIZE_LIST(go_##fam), X86_SIZE_LIST(go_##fam), NULL, NULL, NULL, flat}};
/* One handler for every form. */
#define X86_FAMILY_ONE(fam, fn_) const struct x86_family x86_fam_##fam = {{fn_, fn_, fn_, fn_, fn_, fn_, fn_, fn_}};

#define FAM(name) extern const struct x86_family x86_fam_##name;
#include "core/x86/families.def"
#undef FAM

/* Address of the instruction being executed (as an offset in CS). */
X86_INLINE uint64_t x86_insn_rip(const struct x86_cpu *c, const struct x86_insn *i)
{
	return (c->s.rip - i->len) & c->ip_mask;
}

/*
 * A repeated instruction stops after an iteration that is not its last: it comes next again, and whatever arrives first
 * sees RF, so that a breakpoint on it is not hit twice [SDM 3B "Instruction-Breakpoint Exception Condition"].
 */
X86_INLINE void x86_repeat(struct x86_cpu *c, const struct x86_insn *i)
{
	c->s.rip = x86_insn_rip(c, i);
	c->s.rflags |= FLAG_RF;
	c->dbg.keep_rf = true;
	c->block_end = true;
}

X86_INLINE uint64_t x86_reg(const struct x86_cpu *c, unsigned size, unsigned r)
{
	switch (size) {
	case 1:
		return ((const uint8_t *)&c->s.gpr[r & 15])[r >> 4];
	case 2:
		return (uint16_t)c->s.gpr[r];
	case 4:
		return (uint32_t)c->s.gpr[r];
	default:
		return c->s.gpr[r];
	}
}

/* 8- and 16-bit writes keep the rest of the register, 32-bit writes clear the upper half. */
X86_INLINE void x86_reg_set(struct x86_cpu *c, unsigned size, unsigned r, uint64_t v)
{
	switch (size) {
	case 1:
		((uint8_t *)&c->s.gpr[r & 15])[r >> 4] = (uint8_t)v;
		break;
	case 2:
		c->s.gpr[r] = (c->s.gpr[r] & ~0xffffull) | (v & 0xffff);
		break;
	case 4:
		c->s.gpr[r] = (uint32_t)v;
		break;
	default:
		c->s.gpr[r] = v;
		break;
	}
}

X86_INLINE uint64_t x86_addr_mask(unsigned addrsize, uint64_t a)
{
	if (addrsize == 8)
		return a;
	return addrsize == 4 ? (uint32_t)a : (uint16_t)a;
}

/* Offset of the memory operand in its segment i->seg, cut to the address size. */
X86_INLINE uint64_t x86_ea(const struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t a = (uint64_t)(int64_t)i->disp;

	if (i->base != INSN_NO_REG)
		a += c->s.gpr[i->base];
	else if (i->flags & INSN_RIP_REL)
		a += c->s.rip;
	if (i->index != INSN_NO_REG)
		a += c->s.gpr[i->index] << i->scale;
	return x86_addr_mask(i->addrsize, a);
}

/*
 * What is known of a block whose key says "flat": 64-bit mode, no alignment checks. The compiler drops what the handler
 * would otherwise ask; where it does not, nothing is lost but time. In the sanitizer build each of these is checked.
 */
#define X86_ASSUME(fact)                         \
	do {                                     \
		if (!(fact))                     \
			__builtin_unreachable(); \
	} while (0)

X86_INLINE void x86_assume_flat(const struct x86_cpu *c)
{
	X86_ASSUME(c->mode == X86_MODE_LONG64);
	X86_ASSUME(c->code_size == 8);
	X86_ASSUME(c->stack_size == 8);
	X86_ASSUME(c->ip_mask == UINT64_MAX);
	X86_ASSUME(x86_flat_read(c, X86_SS));
	X86_ASSUME(x86_flat_write(c, X86_SS));
	X86_ASSUME(x86_seg_base(c, X86_SS) == 0);
}

/* And the operand's segment is not FS or GS, its address 64 bits wide. */
X86_INLINE void x86_assume_flat_operand(const struct x86_cpu *c, const struct x86_insn *i)
{
	x86_assume_flat(c);
	X86_ASSUME(i->addrsize == 8);
	X86_ASSUME(x86_flat_read(c, i->seg));
	X86_ASSUME(x86_flat_write(c, i->seg));
	X86_ASSUME(x86_seg_base(c, i->seg) == 0);
}

/* And it is [base + disp]. */
X86_INLINE void x86_assume_based(const struct x86_cpu *c, const struct x86_insn *i)
{
	x86_assume_flat_operand(c, i);
	X86_ASSUME(i->base != INSN_NO_REG);
	X86_ASSUME(i->index == INSN_NO_REG);
}

/* Every access through ES, CS, SS or DS may take the fast path. */
X86_INLINE bool x86_is_flat(const struct x86_cpu *c)
{
	return c->mode == X86_MODE_LONG64 && (c->flat_read & c->flat_write & 15) == 15;
}

/* A near jump: #GP(0) when the target is outside CS or not canonical. target is already cut to the operand size. */
X86_INLINE enum x86_rc x86_branch(struct x86_cpu *c, uint64_t target)
{
	bool bad = c->code_size == 8 ? !x86_canonical(target) : target > c->s.seg[X86_CS].limit;

	if (UNLIKELY(bad))
		return x86_fault_ec(c, VEC_GP, 0);
	c->s.rip = target;
	return X86_OK;
}

#endif
