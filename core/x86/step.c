/*
 * One instruction from memory: fetch, decode, debug traps, execute. The slow and complete path; the block runner of
 * emulate does the same over decoded instructions that it kept. Read exec.h for the convention.
 */
#include "core/x86/exec.h"
#include "core/x86/x87.h"

#define FETCH_MAX 15u

/* Bytes that may be fetched at rip before CS ends; 64-bit mode has no limit. */
static uint64_t fetch_room(const struct x86_cpu *c)
{
	uint64_t limit = c->s.seg[X86_CS].limit;

	if (c->code_size == 8)
		return FETCH_MAX;
	return c->s.rip > limit ? 0 : limit - c->s.rip + 1;
}

enum x86_rc x86_fetch_insn(struct x86_cpu *c, struct x86_insn *i)
{
	uint8_t buf[FETCH_MAX + 1];
	uint64_t room = fetch_room(c);
	gva_t la = x86_linear_ip(c);
	size_t have = 0;

	for (;;) {
		enum x86_decode_rc drc = x86_decode(buf, have, c->code_size, (enum x86_mode)c->mode, i);
		gva_t at = c->code_size == 8 ? la + have : (uint32_t)(la + have);
		size_t want, got;
		enum x86_rc rc;

		if (drc == DECODE_OK)
			return X86_OK;
		if (drc == DECODE_TOO_LONG || have >= room)
			return x86_fault_ec(c, VEC_GP, 0);
		want = room < FETCH_MAX ? (size_t)room : FETCH_MAX;
		rc = x86_fetch(c, at, buf + have, want - have, &got);
		if (rc != X86_OK)
			return rc;
		have += got;
	}
}

/* FERR# follows the status word and CR0, whichever instruction changed them. */
static void look_at_ferr(struct x86_cpu *c)
{
	if ((x87_word(c, X87_FSW) & X87_ES) && !(c->s.cr0 & CR0_NE))
		return;
	c->ferr = false;
	c->env->ferr_dropped(c->env_arg);
}

/* The instruction proper: afterwards s.rip is the next instruction, or the same one unless X86_OK. */
static enum x86_rc run_one(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t start = c->s.rip;
	enum x86_rc rc;

	c->mmio_count = 0;
	/* Before it executes: what exits or faults was begun as well. */
	if (c->on_insn)
		c->on_insn(c->env_arg, i);
	c->s.rip = (start + i->len) & c->ip_mask;
	rc = i->fn(c, i);
	if (rc != X86_OK) {
		if (rc == X86_EXIT)
			c->exit->rip = start;
		c->s.rip = start;
		return rc;
	}
	c->insns++;
	if (c->budget)
		c->budget--;
	if (UNLIKELY(c->ferr))
		look_at_ferr(c);
	return X86_OK;
}

enum x86_rc x86_step(struct x86_cpu *c)
{
	bool special = x86_debug_active(c);
	struct x86_insn i;
	uint64_t budget, held, before, done;
	enum x86_rc rc;

	if (special) {
		rc = x86_debug_before(c);
		if (rc != X86_OK)
			return rc;
	}
	rc = x86_fetch_insn(c, &i);
	if (rc != X86_OK)
		return rc;
	if (!special) {
		c->dbg.tf = c->dbg.shadow = 0; /* what an instruction that exited left there */
		c->dbg.keep_rf = c->dbg.no_trap = false;
		rc = run_one(c, &i);
		return rc == X86_OK && x86_debug_active(c) ? x86_debug_after(c) : rc;
	}
	/* Single-stepping and breakpoints see every iteration of a repeated instruction; RF alone does not. */
	budget = c->budget;
	held = c->s.pending_dbg;
	if (x86_debug_sees_all(c))
		c->budget = 1;
	before = c->insns;
	rc = run_one(c, &i);
	if (rc != X86_OK) /* its data breakpoints are traps, and it has not completed */
		c->s.pending_dbg = held;
	done = c->insns - before;
	c->budget = budget - (done < budget ? done : budget);
	return rc == X86_OK ? x86_debug_after(c) : rc;
}
