/*
 * Memory accesses beyond the inline TLB hit of access.h: segment checks, alignment check, page-crossing accesses,
 * devices, code pages, instruction fetch. Concept: two translations stand between an instruction and RAM, each with its
 * own faults, and both are finished for every byte before anything changes.
 */
#include "core/x86/paging.h"

static gva_t linear_mask(const struct x86_cpu *c, gva_t la)
{
	return c->mode == X86_MODE_LONG64 || c->s.efer & EFER_LMA ? la : (uint32_t)la;
}

static enum x86_rc segment_fault(struct x86_cpu *c, unsigned seg)
{
	return x86_fault_ec(c, seg == X86_SS ? VEC_SS : VEC_GP, 0);
}

/* Offset range against the limit, for both directions of growth. */
static bool inside_limit(const struct x86_seg *s, uint64_t off, unsigned size)
{
	if ((s->attr & 0xc) == 4 && (s->attr & SEG_S)) { /* expand-down data */
		uint64_t top = s->attr & SEG_DB ? UINT32_MAX : 0xffff;

		return off > s->limit && off + size - 1 <= top;
	}
	/* In a flat segment of 4 GiB an access may wrap: processors may check that or not, Intel's do not. */
	return off + size - 1 <= s->limit || (s->limit == UINT32_MAX && s->base == 0);
}

static bool type_permits(const struct x86_seg *s, unsigned how)
{
	bool is_code = s->attr & 8, rw = s->attr & 2;

	if (how & X86_ACCESS_FETCH)
		return true;
	if (how & X86_ACCESS_WRITE)
		return !is_code && rw;
	return !is_code || rw;
}

enum x86_rc x86_linear(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, enum x86_access how, gva_t *la)
{
	const struct x86_seg *s = &c->s.seg[seg];

	if (c->mode == X86_MODE_LONG64) {
		*la = c->eff_base[seg] + off;
		if (UNLIKELY(!x86_canonical(*la) || !x86_canonical(*la + size - 1)))
			return segment_fault(c, seg);
	} else {
		if (c->mode >= X86_MODE_PROT && ((s->attr & SEG_UNUSABLE) || !type_permits(s, how)))
			return segment_fault(c, seg);
		if (!inside_limit(s, off, size))
			return segment_fault(c, seg);
		*la = (uint32_t)(s->base + off);
	}
	if (UNLIKELY((*la & (size - 1)) && c->cpl == 3 && (c->s.rflags & FLAG_AC) && (c->s.cr0 & CR0_AM)))
		return x86_fault_ec(c, VEC_AC, 0);
	return X86_OK;
}

static enum x86_rc locate(
    struct x86_cpu *c, gva_t la, unsigned size, unsigned how, enum x86_priv priv, struct x86_place *p)
{
	unsigned first = PAGE_SIZE_4K - (unsigned)(la & (PAGE_SIZE_4K - 1));
	enum x86_rc rc;

	p->code = false;
	p->len[0] = (uint8_t)(size < first ? size : first);
	p->len[1] = (uint8_t)(size - p->len[0]);
	rc = x86_tlb_lookup(c, la, how, priv, size, &p->host[0], &p->gpa[0], &p->code);
	if (rc == X86_OK && p->len[1])
		rc = x86_tlb_lookup(c, linear_mask(c, la + first), how, priv, size, &p->host[1], &p->gpa[1], &p->code);
	if (rc == X86_OK && UNLIKELY(c->s.dr7 & 0xff))
		x86_debug_data(c, la, size, how);
	if (rc == X86_OK && UNLIKELY(c->watch))
		x86_watch_data(c, la, size, how);
	return rc;
}

/* Largest device access that fits: 8, 4, 2 or 1. */
static unsigned device_chunk(unsigned len)
{
	return len >= 8 ? 8 : len >= 4 ? 4 : len >= 2 ? 2 : 1;
}

static void note_device(struct x86_cpu *c, uint64_t v, unsigned n, bool write)
{
	c->mmio_count++;
	if (write && c->mmio_last.size && !c->mmio_last.write)
		c->mmio_last.read_value = c->mmio_last.value;
	c->mmio_last.value = v;
	c->mmio_last.size = (uint8_t)n;
	c->mmio_last.write = write;
	c->mmio_last.fetch = false;
}

static void place_read(struct x86_cpu *c, const struct x86_place *p, uint8_t *buf)
{
	for (unsigned k = 0; k < 2 && p->len[k]; buf += p->len[k++]) {
		const uint8_t *host = p->host[k];

		if (!host) { /* not writable: readable perhaps (ROM) */
			const uint8_t *page = c->env->page(c->env_arg, p->gpa[k], false);

			host = page ? page + (p->gpa[k] & (PAGE_SIZE_4K - 1)) : NULL;
		}
		if (host) {
			memcpy(buf, host, p->len[k]);
			continue;
		}
		for (unsigned done = 0, n; done < p->len[k]; done += n) {
			uint64_t v;

			n = device_chunk(p->len[k] - done);
			v = c->env->mmio_read(c->env_arg, p->gpa[k] + done, n);
			note_device(c, v, n, false);
			x86_put(buf + done, n, v);
		}
	}
}

static void place_write(struct x86_cpu *c, const struct x86_place *p, const uint8_t *buf)
{
	for (unsigned k = 0; k < 2 && p->len[k]; buf += p->len[k++]) {
		if (p->host[k]) {
			memcpy(p->host[k], buf, p->len[k]);
			if (p->code && x86_tlb_is_code(c, p->gpa[k])) {
				c->env->code_written(c->env_arg, p->gpa[k], p->len[k]);
			}
			continue;
		}
		for (unsigned done = 0, n; done < p->len[k]; done += n) {
			uint64_t v;

			n = device_chunk(p->len[k] - done);
			v = x86_get(buf + done, n);
			note_device(c, v, n, true);
			c->env->mmio_write(c->env_arg, p->gpa[k] + done, n, v);
		}
	}
}

enum x86_rc x86_lin_load(struct x86_cpu *c, gva_t la, unsigned size, enum x86_priv priv, uint64_t *v)
{
	const uint8_t *p = x86_tlb_hit(c, c->tlb.read[priv & X86_PRIV_USER], la, size);
	struct x86_place place;
	uint8_t buf[8];
	enum x86_rc rc;

	if (LIKELY(p != NULL)) {
		*v = x86_get(p, size);
		return X86_OK;
	}
	rc = locate(c, la, size, X86_ACCESS_READ, priv, &place);
	if (rc != X86_OK)
		return rc;
	place_read(c, &place, buf);
	*v = x86_get(buf, size);
	return X86_OK;
}

enum x86_rc x86_lin_store(struct x86_cpu *c, gva_t la, unsigned size, enum x86_priv priv, uint64_t v)
{
	uint8_t *p = x86_tlb_hit(c, c->tlb.write[priv & X86_PRIV_USER], la, size);
	struct x86_place place;
	uint8_t buf[8];
	enum x86_rc rc;

	if (LIKELY(p != NULL)) {
		x86_put(p, size, v);
		return X86_OK;
	}
	rc = locate(c, la, size, X86_ACCESS_WRITE, priv, &place);
	if (rc != X86_OK) {
		if (rc == X86_EXIT)
			c->exit->mmio.value = size == 8 ? v : v & ((1ull << 8 * size) - 1);
		return rc;
	}
	x86_put(buf, size, v);
	place_write(c, &place, buf);
	return X86_OK;
}

enum x86_rc x86_lin_probe(struct x86_cpu *c, gva_t la, unsigned n, enum x86_priv priv, enum x86_access how)
{
	gva_t last = linear_mask(c, la + n - 1);
	uint8_t *host;
	gpa_t gpa;
	bool code;
	enum x86_rc rc = x86_tlb_lookup(c, la, how, priv, 1, &host, &gpa, &code);

	if (rc == X86_OK && last >> PAGE_SHIFT_4K != la >> PAGE_SHIFT_4K)
		rc = x86_tlb_lookup(c, last & ~(gva_t)(PAGE_SIZE_4K - 1), how, priv, 1, &host, &gpa, &code);
	return rc;
}

enum x86_rc x86_load_slow(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, uint64_t *v)
{
	gva_t la = 0;
	enum x86_rc rc = x86_linear(c, seg, off, size, X86_ACCESS_READ, &la);

	return rc == X86_OK ? x86_lin_load(c, la, size, c->user, v) : rc;
}

enum x86_rc x86_store_slow(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, uint64_t v)
{
	gva_t la = 0;
	enum x86_rc rc = x86_linear(c, seg, off, size, X86_ACCESS_WRITE, &la);

	return rc == X86_OK ? x86_lin_store(c, la, size, c->user, v) : rc;
}

/* Segment, alignment and both pages of a 16-byte operand. It is never checked for #AC: an instruction that demands
 * alignment raises #GP, the others (MOVUPS) take any address. */
static enum x86_rc locate128(
    struct x86_cpu *c, unsigned seg, uint64_t off, bool align16, unsigned how, struct x86_place *p)
{
	gva_t la = c->eff_base[seg] + off;
	enum x86_rc rc;

	/* Before the segment's limit and the canonical form (tests/oracle). */
	if (align16 && (la & 15) && (c->mode == X86_MODE_LONG64 || !(c->s.seg[seg].attr & SEG_UNUSABLE)))
		return x86_fault_ec(c, VEC_GP, 0);
	rc = x86_linear(c, seg, off, 16, how & X86_ACCESS_WRITE ? X86_ACCESS_WRITE : X86_ACCESS_READ, &la);

	if (rc == X86_FAULT && c->fault.vector == VEC_AC)
		rc = X86_OK;
	return rc == X86_OK ? locate(c, la, 16, how, c->user, p) : rc;
}

enum x86_rc x86_load128(struct x86_cpu *c, unsigned seg, uint64_t off, bool align16, uint64_t v[2])
{
	struct x86_place p;
	uint8_t buf[16];
	enum x86_rc rc = locate128(c, seg, off, align16, X86_ACCESS_READ, &p);

	if (rc != X86_OK)
		return rc;
	place_read(c, &p, buf);
	v[0] = x86_get(buf, 8);
	v[1] = x86_get(buf + 8, 8);
	return X86_OK;
}

enum x86_rc x86_store128(struct x86_cpu *c, unsigned seg, uint64_t off, bool align16, const uint64_t v[2])
{
	struct x86_place p;
	uint8_t buf[16];
	enum x86_rc rc = locate128(c, seg, off, align16, X86_ACCESS_WRITE, &p);

	if (rc != X86_OK)
		return rc;
	x86_put(buf, 8, v[0]);
	x86_put(buf + 8, 8, v[1]);
	place_write(c, &p, buf);
	return X86_OK;
}

enum x86_rc x86_rmw_load_slow(
    struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, uint64_t *v, struct x86_rmw *m)
{
	uint8_t buf[8];
	gva_t la = 0;
	enum x86_rc rc = x86_linear(c, seg, off, size, X86_ACCESS_WRITE, &la);

	m->host = NULL;
	m->size = (uint8_t)size;
	if (rc == X86_OK)
		rc = locate(c, la, size, X86_ACCESS_READ | X86_ACCESS_WRITE, c->user, &m->place);
	if (rc != X86_OK)
		return rc;
	place_read(c, &m->place, buf);
	*v = x86_get(buf, size);
	return X86_OK;
}

void x86_rmw_store_slow(struct x86_cpu *c, const struct x86_rmw *m, uint64_t v)
{
	uint8_t buf[8];

	x86_put(buf, m->size, v);
	place_write(c, &m->place, buf);
}

enum x86_rc x86_rmw_load128(struct x86_cpu *c, unsigned seg, uint64_t off, uint64_t v[2], struct x86_rmw *m)
{
	uint8_t buf[16];
	enum x86_rc rc = locate128(c, seg, off, true, X86_ACCESS_READ | X86_ACCESS_WRITE, &m->place);

	m->host = NULL;
	m->size = 16;
	if (rc != X86_OK)
		return rc;
	place_read(c, &m->place, buf);
	v[0] = x86_get(buf, 8);
	v[1] = x86_get(buf + 8, 8);
	return X86_OK;
}

void x86_rmw_store128(struct x86_cpu *c, const struct x86_rmw *m, const uint64_t v[2])
{
	uint8_t buf[16];

	x86_put(buf, 8, v[0]);
	x86_put(buf + 8, 8, v[1]);
	place_write(c, &m->place, buf);
}

uint8_t *x86_span(struct x86_cpu *c, unsigned seg, uint64_t off, bool write, size_t want, size_t *got)
{
	enum x86_access how = write ? X86_ACCESS_WRITE : X86_ACCESS_READ;
	const struct x86_event fault = c->fault;
	size_t n;
	bool code = false;
	uint8_t *host;
	gpa_t gpa;
	gva_t la = 0;
	enum x86_rc rc;

	/* The last byte of the page may lie beyond the limit: shorten until the whole range is inside. */
	rc = x86_linear(c, seg, off, 1, how, &la);
	if (rc == X86_OK) {
		n = PAGE_SIZE_4K - (la & (PAGE_SIZE_4K - 1));
		n = n < want ? n : want;
		if (c->mode != X86_MODE_LONG64 && !inside_limit(&c->s.seg[seg], off, (unsigned)n))
			n = 1;
		rc = x86_tlb_lookup(c, la, how, c->user, (unsigned)n, &host, &gpa, &code);
		if (rc == X86_OK && host && !code && !((c->s.dr7 & 0xff) && x86_debug_page(c, la)) &&
		    !(c->watch && x86_watch_page(c, la))) {
			*got = n;
			return host;
		}
	}
	c->fault = fault;
	*got = 0;
	return NULL;
}

enum x86_rc x86_fetch_page(struct x86_cpu *c, gva_t la, const uint8_t **page, gpa_t *gpa)
{
	uint8_t *host;
	bool code;
	enum x86_rc rc;

	if (c->mode == X86_MODE_LONG64 && UNLIKELY(!x86_canonical(la)))
		return x86_fault_ec(c, VEC_GP, 0);
	rc = x86_tlb_lookup(c, la, X86_ACCESS_FETCH, c->user, 1, &host, gpa, &code);
	if (rc != X86_OK)
		return rc;
	*page = host ? host - (la & (PAGE_SIZE_4K - 1)) : NULL;
	return X86_OK;
}

enum x86_rc x86_fetch(struct x86_cpu *c, gva_t la, uint8_t *buf, size_t want, size_t *got)
{
	size_t in_page = PAGE_SIZE_4K - (la & (PAGE_SIZE_4K - 1));
	const uint8_t *page = NULL;
	gpa_t gpa = 0;
	enum x86_rc rc = x86_fetch_page(c, la, &page, &gpa);

	*got = 0;
	if (rc != X86_OK)
		return rc;
	*got = want < in_page ? want : in_page;
	if (page) {
		memcpy(buf, page + (la & (PAGE_SIZE_4K - 1)), *got);
		return X86_OK;
	}
	for (size_t n = 0; n < *got; n++)
		buf[n] = (uint8_t)c->env->mmio_read(c->env_arg, gpa + n, 1);
	return X86_OK;
}
