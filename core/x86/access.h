/*
 * Memory as an instruction sees it: segment, then paging, then RAM or a device.
 *
 * x86_load()/x86_store() take a segment and an offset; the caller has masked the offset to the address size. A hit in
 * the TLB is a handful of host instructions; everything else (segment checks, alignment check, page walk, device, code
 * page, two pages) is in access.c. Any of them may return X86_FAULT (nothing was written) or, for a device with
 * intercepts on, X86_EXIT. An access that crosses a page checks both pages before it writes the first byte.
 */
#ifndef VMSCOPE_CORE_X86_ACCESS_H
#define VMSCOPE_CORE_X86_ACCESS_H

#include "core/lib.h"
#include "core/x86/cpu.h"

enum x86_access { X86_ACCESS_READ = 1, X86_ACCESS_WRITE = 2, X86_ACCESS_FETCH = 4 };

/* Privilege class of a page access. Bit 0 is the TLB index. IMPLICIT: descriptor tables, TSS, IDT: supervisor at any
 * CPL, and RFLAGS.AC does not open user pages to it (SMAP). */
enum x86_priv { X86_PRIV_SUPER, X86_PRIV_USER, X86_PRIV_IMPLICIT };

/* Little-endian, any alignment; size is 1, 2, 4 or 8. */
static inline uint64_t x86_get(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	switch (size) {
	case 1:
		return *p;
	case 2: {
		uint16_t w;
		memcpy(&w, p, 2);
		return w;
	}
	case 4: {
		uint32_t d;
		memcpy(&d, p, 4);
		return d;
	}
	default:
		memcpy(&v, p, 8);
		return v;
	}
}

static inline void x86_put(uint8_t *p, unsigned size, uint64_t v)
{
	switch (size) {
	case 1:
		*p = (uint8_t)v;
		break;
	case 2: {
		uint16_t w = (uint16_t)v;
		memcpy(p, &w, 2);
		break;
	}
	case 4: {
		uint32_t d = (uint32_t)v;
		memcpy(p, &d, 4);
		break;
	}
	default:
		memcpy(p, &v, 8);
		break;
	}
}

enum x86_rc x86_load_slow(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, uint64_t *v);
enum x86_rc x86_store_slow(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, uint64_t v);

/* No check is needed for an access through this segment. */
static inline bool x86_flat_read(const struct x86_cpu *c, unsigned seg)
{
	return (c->flat_read >> seg) & 1;
}

static inline bool x86_flat_write(const struct x86_cpu *c, unsigned seg)
{
	return (c->flat_write >> seg) & 1;
}

/* Base of a segment, 0 where it does not count. */
static inline uint64_t x86_seg_base(const struct x86_cpu *c, unsigned seg)
{
	return c->eff_base[seg];
}

static inline uint8_t *x86_tlb_hit(const struct x86_cpu *c, const struct x86_tlb_entry *array, gva_t la, unsigned size)
{
	const struct x86_tlb_entry *e = &array[(la >> PAGE_SHIFT_4K) & (X86_TLB_ENTRIES - 1)];

	if (LIKELY(
		e->tag == ((la >> PAGE_SHIFT_4K) | c->tlb.gen_tag) && (la & (PAGE_SIZE_4K - 1)) <= PAGE_SIZE_4K - size))
		return e->host + (la & (PAGE_SIZE_4K - 1));
	return NULL;
}

static inline enum x86_rc x86_load(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, uint64_t *v)
{
	if (LIKELY(x86_flat_read(c, seg))) {
		const uint8_t *p = x86_tlb_hit(c, c->tlb.read[c->user], x86_seg_base(c, seg) + off, size);

		if (LIKELY(p != NULL)) {
			*v = x86_get(p, size);
			return X86_OK;
		}
	}
	return x86_load_slow(c, seg, off, size, v);
}

static inline enum x86_rc x86_store(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, uint64_t v)
{
	if (LIKELY(x86_flat_write(c, seg))) {
		uint8_t *p = x86_tlb_hit(c, c->tlb.write[c->user], x86_seg_base(c, seg) + off, size);

		if (LIKELY(p != NULL)) {
			x86_put(p, size, v);
			return X86_OK;
		}
	}
	return x86_store_slow(c, seg, off, size, v);
}

/* 16 bytes, v[0] the low half. align16: #GP(0) unless the linear address is 16-byte aligned. */
enum x86_rc x86_load128(struct x86_cpu *c, unsigned seg, uint64_t off, bool align16, uint64_t v[2]);
enum x86_rc x86_store128(struct x86_cpu *c, unsigned seg, uint64_t off, bool align16, const uint64_t v[2]);

/* Where bytes of a linear range are: at most two pieces (two pages). host NULL: a device. */
struct x86_place {
	uint8_t *host[2];
	gpa_t gpa[2];
	uint8_t len[2];
	bool code; /* a piece lies in a page with decoded code: writing must tell env->code_written */
};

/* Read-modify-write: the load checks for writing, so the store cannot fault. */
struct x86_rmw {
	uint8_t *host; /* whole operand in one directly writable page, else NULL and place counts */
	struct x86_place place;
	uint8_t size;
};
enum x86_rc x86_rmw_load_slow(
    struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, uint64_t *v, struct x86_rmw *m);
void x86_rmw_store_slow(struct x86_cpu *c, const struct x86_rmw *m, uint64_t v);

static inline enum x86_rc x86_rmw_load(
    struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, uint64_t *v, struct x86_rmw *m)
{
	if (LIKELY(x86_flat_write(c, seg))) {
		m->host = x86_tlb_hit(c, c->tlb.write[c->user], x86_seg_base(c, seg) + off, size);
		if (LIKELY(m->host != NULL)) {
			m->size = (uint8_t)size;
			*v = x86_get(m->host, size);
			return X86_OK;
		}
	}
	return x86_rmw_load_slow(c, seg, off, size, v, m);
}

static inline void x86_rmw_store(struct x86_cpu *c, const struct x86_rmw *m, uint64_t v)
{
	if (LIKELY(m->host != NULL))
		x86_put(m->host, m->size, v);
	else
		x86_rmw_store_slow(c, m, v);
}

/* CMPXCHG16B: checks for writing and loads; then x86_rmw_store128. */
enum x86_rc x86_rmw_load128(struct x86_cpu *c, unsigned seg, uint64_t off, uint64_t v[2], struct x86_rmw *m);
void x86_rmw_store128(struct x86_cpu *c, const struct x86_rmw *m, const uint64_t v[2]);

/* The stack pointer at the width of the stack segment. */
static inline uint64_t x86_sp(const struct x86_cpu *c)
{
	uint64_t sp = c->s.gpr[X86_RSP];

	return c->stack_size == 8 ? sp : c->stack_size == 4 ? (uint32_t)sp : (uint16_t)sp;
}

/* Writes back only the part that the stack segment uses (a 32-bit one clears the upper half). */
static inline void x86_set_sp(struct x86_cpu *c, uint64_t sp)
{
	if (c->stack_size == 8)
		c->s.gpr[X86_RSP] = sp;
	else if (c->stack_size == 4)
		c->s.gpr[X86_RSP] = (uint32_t)sp;
	else
		c->s.gpr[X86_RSP] = (c->s.gpr[X86_RSP] & ~0xffffull) | (uint16_t)sp;
}

static inline uint64_t x86_sp_add(const struct x86_cpu *c, uint64_t sp, int64_t n)
{
	sp += (uint64_t)n;
	return c->stack_size == 8 ? sp : c->stack_size == 4 ? (uint32_t)sp : (uint16_t)sp;
}

/* On a copy of SP: several pushes or pops of one instruction, committed with x86_set_sp() when all went well. */
static inline enum x86_rc x86_push_tmp(struct x86_cpu *c, uint64_t *sp, unsigned size, uint64_t v)
{
	uint64_t to = x86_sp_add(c, *sp, -(int64_t)size);
	enum x86_rc rc = x86_store(c, X86_SS, to, size, v);

	if (LIKELY(rc == X86_OK))
		*sp = to;
	return rc;
}

static inline enum x86_rc x86_pop_tmp(struct x86_cpu *c, uint64_t *sp, unsigned size, uint64_t *v)
{
	enum x86_rc rc = x86_load(c, X86_SS, *sp, size, v);

	if (LIKELY(rc == X86_OK))
		*sp = x86_sp_add(c, *sp, size);
	return rc;
}

static inline enum x86_rc x86_push(struct x86_cpu *c, unsigned size, uint64_t v)
{
	uint64_t sp = x86_sp(c);
	enum x86_rc rc = x86_push_tmp(c, &sp, size, v);

	if (LIKELY(rc == X86_OK))
		x86_set_sp(c, sp);
	return rc;
}

static inline enum x86_rc x86_pop(struct x86_cpu *c, unsigned size, uint64_t *v)
{
	uint64_t sp = x86_sp(c);
	enum x86_rc rc = x86_pop_tmp(c, &sp, size, v);

	if (LIKELY(rc == X86_OK))
		x86_set_sp(c, sp);
	return rc;
}

/*
 * For string instructions: host address of the bytes at seg:off, as many as lie in one page and under the segment
 * limit, at most want (>= 1); *got says how many. All checks are done and A/D bits set. NULL: a fault, a device, a code
 * page, a data breakpoint: go element by element with x86_load()/x86_store(). Raises nothing.
 */
uint8_t *x86_span(struct x86_cpu *c, unsigned seg, uint64_t off, bool write, size_t want, size_t *got);

/* Instruction bytes at a linear address, up to the end of the page: *got of at most want. Fault or exit when the first
 * one cannot be fetched. */
enum x86_rc x86_fetch(struct x86_cpu *c, gva_t la, uint8_t *buf, size_t want, size_t *got);
/* The same for the block cache: the host page (NULL: not RAM; use x86_fetch) and the guest-physical address of la. */
enum x86_rc x86_fetch_page(struct x86_cpu *c, gva_t la, const uint8_t **page, gpa_t *gpa);

/* Linear address of seg:off after the segment checks of an access of size bytes (#GP, #SS, alignment #AC). */
enum x86_rc x86_linear(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, enum x86_access how, gva_t *la);

/* By linear address, without segment checks. */
enum x86_rc x86_lin_load(struct x86_cpu *c, gva_t la, unsigned size, enum x86_priv priv, uint64_t *v);
enum x86_rc x86_lin_store(struct x86_cpu *c, gva_t la, unsigned size, enum x86_priv priv, uint64_t v);
/* Checks (and fills A/D) only: would an access of n bytes, at most 4096, succeed? */
enum x86_rc x86_lin_probe(struct x86_cpu *c, gva_t la, unsigned n, enum x86_priv priv, enum x86_access how);

/* Implicit supervisor accesses: descriptor tables, TSS, IDT. */
static inline enum x86_rc x86_load_sys(struct x86_cpu *c, gva_t la, unsigned size, uint64_t *v)
{
	return x86_lin_load(c, la, size, X86_PRIV_IMPLICIT, v);
}

static inline enum x86_rc x86_store_sys(struct x86_cpu *c, gva_t la, unsigned size, uint64_t v)
{
	return x86_lin_store(c, la, size, X86_PRIV_IMPLICIT, v);
}

/*
 * Debugging [SDM 3B "Debug Exceptions"] and what lasts for one instruction (RF, the shadow of STI and MOV SS). Around
 * each instruction the runner does:
 *
 *   bool special = x86_debug_active(c);
 *   if (special && (rc = x86_debug_before(c))) deliver: an instruction breakpoint, a fault
 *   rc = i->fn(c, i);
 *   if (special && rc == X86_OK) rc = x86_debug_after(c);      X86_FAULT is a #DB trap: s.rip stays where it is
 *
 * A block runner may leave both out while x86_debug_active() is false; handlers that can make it true end their block.
 * While x86_debug_sees_all() each iteration of a repeated instruction counts as one.
 */
static inline bool x86_debug_sees_all(const struct x86_cpu *c)
{
	return (c->s.rflags & FLAG_TF) || (c->s.dr7 & 0xff) || c->s.pending_dbg ||
	       (c->s.intr_shadow & (INTR_SHADOW_STI | INTR_SHADOW_MOVSS));
}

static inline bool x86_debug_active(const struct x86_cpu *c)
{
	return (c->s.rflags & FLAG_RF) || x86_debug_sees_all(c);
}

enum x86_rc x86_debug_before(struct x86_cpu *c);
enum x86_rc x86_debug_after(struct x86_cpu *c);

#endif
