/*
 * Debug exceptions [SDM 3B "Debug Exceptions"]: instruction breakpoints before, data and I/O breakpoints and
 * single-step after an instruction, and what else lasts for one instruction: RF and the shadows of STI and MOV SS.
 * Concept: a fault is seen before, a trap after; RF is how a debugger gets past its own breakpoint.
 */
#include "core/x86/paging.h"

#define DR6_BS (1u << 14)

static const uint8_t lengths[] = {1, 2, 8, 4};

enum { BP_EXECUTE, BP_WRITE, BP_IO, BP_ACCESS };

static bool enabled(const struct x86_cpu *c, unsigned n)
{
	return c->s.dr7 >> (2 * n) & 3;
}

static unsigned kind(const struct x86_cpu *c, unsigned n)
{
	return c->s.dr7 >> (16 + 4 * n) & 3;
}

static unsigned length(const struct x86_cpu *c, unsigned n)
{
	return lengths[c->s.dr7 >> (18 + 4 * n) & 3];
}

static bool is_data(const struct x86_cpu *c, unsigned n)
{
	return enabled(c, n) && (kind(c, n) == BP_WRITE || kind(c, n) == BP_ACCESS);
}

/* Is a byte of size bytes at address one of breakpoint n's? */
static bool covers(const struct x86_cpu *c, unsigned n, uint64_t address, unsigned size)
{
	uint64_t at = c->s.dr[n] & ~(uint64_t)(length(c, n) - 1);

	return at < address + size && address < at + length(c, n);
}

void x86_debug_data(struct x86_cpu *c, gva_t la, unsigned size, unsigned how)
{
	for (unsigned n = 0; n < 4; n++) {
		if (!is_data(c, n) || (kind(c, n) == BP_WRITE && !(how & X86_ACCESS_WRITE)))
			continue;
		if (covers(c, n, la, size))
			c->s.pending_dbg |= 1u << n;
	}
}

void x86_debug_io(struct x86_cpu *c, uint16_t port, unsigned size)
{
	if (!(c->s.dr7 & 0xff) || !(c->s.cr4 & CR4_DE))
		return;
	for (unsigned n = 0; n < 4; n++)
		if (enabled(c, n) && kind(c, n) == BP_IO && covers(c, n, port, size))
			c->s.pending_dbg |= 1u << n;
}

bool x86_debug_page(const struct x86_cpu *c, gva_t la)
{
	for (unsigned n = 0; n < 4; n++)
		if (is_data(c, n) && c->s.dr[n] >> PAGE_SHIFT_4K == la >> PAGE_SHIFT_4K)
			return true;
	return false;
}

static enum x86_rc raise(struct x86_cpu *c, uint64_t dr6)
{
	x86_fault(c, VEC_DB);
	c->fault.dr6 = dr6;
	return X86_FAULT;
}

enum x86_rc x86_debug_before(struct x86_cpu *c)
{
	uint64_t hit = 0;
	gva_t la;

	c->dbg.tf = (c->s.rflags & FLAG_TF) != 0;
	c->dbg.shadow = (uint8_t)(c->s.intr_shadow & (INTR_SHADOW_STI | INTR_SHADOW_MOVSS));
	c->dbg.keep_rf = c->dbg.no_trap = false;
	/* Left by a VM entry, or held back by MOV SS: a trap after the instruction before this one. */
	if (c->s.pending_dbg && !(c->s.intr_shadow & INTR_SHADOW_MOVSS)) {
		uint64_t bits = c->s.pending_dbg;

		c->s.pending_dbg = 0;
		return raise(c, bits);
	}
	if (!(c->s.dr7 & 0xff) || (c->s.rflags & FLAG_RF) || (c->s.intr_shadow & INTR_SHADOW_MOVSS))
		return X86_OK;
	la = x86_linear_ip(c);
	for (unsigned n = 0; n < 4; n++)
		if (enabled(c, n) && kind(c, n) == BP_EXECUTE && c->s.dr[n] == la)
			hit |= 1u << n;
	return hit ? raise(c, hit) : X86_OK;
}

enum x86_rc x86_debug_after(struct x86_cpu *c)
{
	uint64_t bits = c->s.pending_dbg;

	if (!c->dbg.keep_rf)
		c->s.rflags &= ~(uint64_t)FLAG_RF;
	c->s.intr_shadow &= ~(uint32_t)c->dbg.shadow;
	c->dbg.shadow = 0;
	if (c->s.intr_shadow & INTR_SHADOW_MOVSS) /* held back over the next instruction */
		return X86_OK;
	if (c->dbg.tf && !c->dbg.no_trap)
		bits |= DR6_BS;
	c->dbg.tf = 0;
	c->s.pending_dbg = 0;
	return bits ? raise(c, bits) : X86_OK;
}
