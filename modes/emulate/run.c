/*
 * Running many instructions: the interpreter's loop.
 *
 * Concept: the fast path runs whole blocks and looks up only between them. Everything rare (single-step, breakpoints,
 * interrupt shadows, an audit probe, code in device memory, the last few instructions before a deadline) takes the slow
 * path of core/x86: x86_step(), one instruction at a time. Both use the same handlers, so they cannot disagree on what
 * an instruction means; and a run stops after exactly so many instructions on either path, so that virtual time does
 * not depend on what happens to be cached.
 *
 * Read first: core/x86/exec.h (the convention between a runner and the handlers).
 */
#include "modes/emulate/emulate.h"

#include "core/lib.h"
#include "core/x86/access.h"
#include "core/x86/event.h"
#include "core/x86/exec.h"

#define KICK_CHECK_INSNS 65536u /* a stop request waits for at most so many instructions */
#define HOP_INSNS \
	4096u /* blocks go on by themselves for so long: where a compiler calls instead of jumping, the stack */

struct run {
	struct vcpu *v;
	struct x86_cpu *c;
	struct emulate_vm *em;
	const struct run_bounds *b;
	uint64_t end; /* c->insns at which this run is over */
};

static enum x86_rc finish(struct run *r, uint32_t reason, uint32_t vmm_reason)
{
	bool kernel = r->v->vm->controls.kernel & CTL_KERNEL_TIMER;

	return x86_exit(r->c, kernel ? vmm_reason : reason, 0, 0);
}

/* Instructions that need the slow path whatever the block cache holds. */
static bool is_special(const struct run *r)
{
	return x86_debug_active(r->c) || r->b->single_step || r->c->on_insn || r->c->ferr;
}

/* Everything was dropped from the cache: no page holds decoded code any more. */
static void forget_code_marks(struct vm *vm)
{
	for (unsigned k = 0; k < vm->n_vcpus; k++)
		memset(vm->vcpus[k].cpu.tlb.code, 0, sizeof(vm->vcpus[k].cpu.tlb.code));
}

static uint32_t key_now(const struct x86_cpu *c)
{
	return blocks_key(c->code_size, c->mode) | (x86_is_flat(c) ? BLOCK_FLAT : 0);
}

static struct block *build_block(struct run *r, gpa_t gpa, const uint8_t *page)
{
	struct block_cache *bc = &r->em->blocks;
	struct vm *vm = r->v->vm;
	uint64_t flushes = bc->flushes;
	bool marked = blocks_in_page(bc, gpa);
	struct block *b = blocks_build(bc, gpa, page, key_now(r->c));

	if (flushes != bc->flushes) {
		forget_code_marks(vm);
		marked = false;
	}
	if (b && !marked)
		for (unsigned k = 0; k < vm->n_vcpus; k++)
			x86_tlb_mark_code(&vm->vcpus[k].cpu, gpa);
	return b;
}

/* The guest-physical address of cs:rip, and its page in the host. False: the slow path finds out why. */
static bool code_at(struct x86_cpu *c, gva_t ip, gpa_t *gpa, const uint8_t **page)
{
	const struct x86_tlb_entry *e = &c->tlb.fetch[c->user][(ip >> PAGE_SHIFT_4K) & (X86_TLB_ENTRIES - 1)];

	if (LIKELY(e->tag == (ip >> PAGE_SHIFT_4K | c->tlb.gen_tag))) {
		*gpa = e->gpa | (ip & (PAGE_SIZE_4K - 1));
		*page = e->host;
		return true;
	}
	/* Beyond the limit of CS nothing is fetched, and no page is marked as accessed. */
	if (c->mode != X86_MODE_LONG64 && c->s.rip > c->s.seg[X86_CS].limit)
		return false;
	return x86_fetch_page(c, ip, page, gpa) == X86_OK && *page;
}

/* The block at gpa, which is cs:rip; NULL: one that crosses its page, for the slow path. */
static struct block *block_at(struct run *r, gpa_t gpa, const uint8_t *page)
{
	struct block *b = blocks_find(&r->em->blocks, gpa, key_now(r->c));

	return LIKELY(b != NULL) ? b : build_block(r, gpa, page);
}

/* Does the code segment's limit allow all of the block? */
static bool inside_limit(const struct x86_cpu *c, const struct block *b)
{
	return c->mode == X86_MODE_LONG64 || c->s.rip + b->bytes - 1 <= c->s.seg[X86_CS].limit;
}

/*
 * The last instruction of a block, if it is one that may look at the counter (exits, RDTSC, REP): everything before it
 * has been counted.
 */
static enum x86_rc run_last(struct run *r, const struct block *b)
{
	struct x86_cpu *c = r->c;
	const struct x86_insn *i = &b->x.insns[b->x.n - 1];
	enum x86_rc rc;

	r->v->vm->clock.insns = c->insns;
	c->budget = r->end - c->insns;
	c->s.rip = (c->s.rip + i->len) & c->ip_mask;
	rc = i->fn(c, i);
	if (UNLIKELY(rc != X86_OK)) {
		c->s.rip = (c->s.rip - i->len) & c->ip_mask;
		return rc;
	}
	c->insns++;
	return X86_OK;
}

/* Runs a block, and those that it hops to. *b is the last one of them then. */
static inline enum x86_rc run_chain(struct run *r, struct block **b)
{
	struct x86_cpu *c = r->c;
	enum x86_rc rc;

	c->block = &(*b)->x;
	rc = (*b)->x.insns->go(c, (*b)->x.insns);
	*b = r->em->blocks.blocks + ((const struct block *)(const void *)c->block - r->em->blocks.blocks);
	if (UNLIKELY(rc != X86_OK)) { /* back to the instruction, and count those before it */
		c->s.rip = (c->s.rip + c->at->ahead - c->at->len) & c->ip_mask;
		c->insns += (uint64_t)(c->at - c->block->insns);
		return rc;
	}
	return LIKELY((*b)->last_plain) ? X86_OK : run_last(r, *b);
}

/* One instruction by the slow path, with everything that a guest's debug state asks for. */
static enum x86_rc run_step(struct run *r)
{
	struct x86_cpu *c = r->c;

	r->v->vm->clock.insns = c->insns;
	c->budget = r->b->single_step ? 1 : r->end - c->insns;
	return x86_step(c);
}

/* Where to look for the successor of b, and where to note it: a link within the page, or the far one. */
static struct block *linked(const struct block *b, gpa_t gpa)
{
	return LIKELY(b->far && b->far->gpa == gpa) ? b->far : NULL;
}

/* The address after the block may be where it falls through to, or where its branch goes: both, while the branch has
 * gone nowhere else. */
static void link_to(struct block *b, struct block *next)
{
	if ((b->gpa ^ next->gpa) >> PAGE_SHIFT_4K) {
		b->far = next;
	} else if (next->gpa != b->gpa + b->bytes) {
		b->x.link[1] = &next->x;
	} else {
		b->x.link[0] = &next->x;
		if (b->x.link[1]->page_off == X86_BLOCK_NOWHERE)
			b->x.link[1] = &next->x;
	}
}

/* May b begin as a whole? Else the slow path takes its first instruction. */
static bool may_begin(const struct run *r, const struct block *b)
{
	return r->c->insns + b->x.n <= r->end && inside_limit(r->c, b);
}

static bool in_breaks(const struct vm_breaks *k, gva_t at)
{
	for (unsigned i = 0; i < k->n; i++)
		if (at >= k->insn[i].lo && at <= k->insn[i].hi)
			return true;
	return false;
}

/* Between two blocks: is there something for must_pause()? first: it has just been asked. */
static bool look_at_breaks(const struct run *r, gva_t at, bool first)
{
	struct vm_breaks *k = r->v->vm->breaks;

	if (k->last_at != at) /* the one that was begun last is over */
		k->last_at = UINT64_MAX;
	return !first && (k->mem.hits || in_breaks(k, at));
}

/*
 * Runs blocks, following links, until one faults or exits, a rare case comes up, or the time slice is nearly over.
 */
static enum x86_rc run_blocks(struct run *r)
{
	struct x86_cpu *c = r->c;
	uint64_t slice = c->insns + KICK_CHECK_INSNS < r->end ? c->insns + KICK_CHECK_INSNS : r->end;
	struct block *b = NULL, *next;
	const uint8_t *page;
	bool first = true;
	gpa_t gpa;
	enum x86_rc rc;

	for (;;) {
		/* Before the look at the next page of code, which sets accessed bits. */
		if (UNLIKELY(c->insns >= slice))
			return X86_OK;
		if (UNLIKELY(r->v->vm->breaks) && look_at_breaks(r, x86_linear_ip(c), first))
			return X86_OK;
		first = false;
		if (!code_at(c, x86_linear_ip(c), &gpa, &page))
			return run_step(r);
		next = b ? linked(b, gpa) : NULL;
		if (!next) {
			uint64_t flushes = r->em->blocks.flushes;

			next = block_at(r, gpa, page);
			if (!next)
				return run_step(r);
			if (b && b->gpa != BLOCK_GONE && flushes == r->em->blocks.flushes)
				link_to(b, next);
		}
		b = next;
		if (UNLIKELY(!may_begin(r, b)))
			return run_step(r);
		c->hop_limit = c->insns + HOP_INSNS < slice ? c->insns + HOP_INSNS : slice;
		c->hop_limit = c->hop_limit > BLOCK_INSNS_MAX ? c->hop_limit - BLOCK_INSNS_MAX : 0;
		rc = run_chain(r, &b);
		if (UNLIKELY(rc != X86_OK || c->block_end))
			return rc;
	}
}

/* Why the run must stop before the next instruction; X86_OK when it need not. */
static enum x86_rc check_bounds(struct run *r)
{
	const struct clock *clock = &r->v->vm->clock;

	if (UNLIKELY(r->em->kicked || r->v->vm->stop)) {
		r->em->kicked = 0;
		return x86_exit(r->c, EXIT_VMM_KICK, 0, 0);
	}
	if (r->b->irq_window && (r->c->s.rflags & FLAG_IF) &&
	    !(r->c->s.intr_shadow & (INTR_SHADOW_STI | INTR_SHADOW_MOVSS)))
		return finish(r, EXIT_INTERRUPT_WINDOW, EXIT_VMM_IRQ_WINDOW);
	if (r->b->nmi_window && !(r->c->s.intr_shadow & (INTR_SHADOW_STI | INTR_SHADOW_MOVSS | INTR_SHADOW_NMI)))
		return finish(r, EXIT_NMI_WINDOW, EXIT_VMM_IRQ_WINDOW);
	if (r->c->s.cr8 < r->b->tpr_threshold)
		return finish(r, EXIT_TPR_BELOW_THRESHOLD, EXIT_VMM_SET_TPR);
	if (r->c->insns >= r->end || (clock->kind == CLOCK_HOST && clock_now_ns(clock) >= r->b->deadline_ns))
		return finish(r, EXIT_PREEMPTION_TIMER, EXIT_VMM_TIMER);
	return X86_OK;
}

/* The iterations of a repeated instruction count one by one, and are one instruction to whoever waits for it. */
static bool is_repeating(const struct run *r, const struct vm_breaks *k, gva_t at)
{
	uint8_t b[4];
	size_t n;

	if (k->last_at != at || k->last_insns == r->c->insns)
		return false;
	n = x86_peek(r->c, at, b, sizeof(b));
	for (size_t i = 0; i < n; i++)
		if (b[i] == 0xf2 || b[i] == 0xf3)
			return true;
	return false;
}

/* Is the instruction that comes now one that run control waits for? */
static bool at_break(struct run *r)
{
	struct vm_breaks *k = r->v->vm->breaks;
	gva_t at = x86_linear_ip(r->c);
	bool hit = in_breaks(k, at) && !(at == k->skip_at && r->c->insns == k->skip_insns) && !is_repeating(r, k, at);
	k->last_at = at;
	k->last_insns = r->c->insns;
	if (!hit)
		return false;
	k->hit = true;
	k->hit_at = at;
	r->v->vm->pause = 1;
	return true;
}

/* Run control wants to look at the machine as it is before this instruction. */
static bool must_pause(struct run *r)
{
	struct vm *vm = r->v->vm;

	if (UNLIKELY(r->c->insns >= vm->until.insns)) {
		vm->clock.insns = r->c->insns;
		if (vm_pause_reached(vm))
			return true;
	}
	if (LIKELY(!vm->breaks))
		return false;
	if (vm->breaks->mem.hits) {
		vm->pause = 1;
		return true;
	}
	return at_break(r);
}

/* A debug trap that became due while the VMM completed an instruction: it comes before the next one. */
static enum x86_rc deliver_debug_trap(struct x86_cpu *c)
{
	const struct x86_event ev = {.vector = VEC_DB, .type = INTR_TYPE_HW_EXCEPTION, .dr6 = c->s.pending_dbg};

	c->s.pending_dbg = 0;
	return x86_deliver(c, &ev);
}

static bool is_timer(uint32_t reason)
{
	return reason == EXIT_PREEMPTION_TIMER || reason == EXIT_VMM_TIMER;
}

static enum err stop_at(struct run *r, enum x86_rc rc)
{
	struct x86_cpu *c = r->c;

	r->v->vm->clock.insns = c->insns;
	x86_flags_sync(c);
	if (rc == X86_EXIT) {
		c->exit->rip = c->s.rip;
	} else {
		x86_exit(c, EXIT_VMM_UNIMPLEMENTED, 0, 0);
		vm_kill(
		    r->v->vm, END_UNIMPLEMENTED, 0, "%s at rip 0x%llx", c->stop_reason, (unsigned long long)c->s.rip);
	}
	return ERR_OK;
}

/* Blocks are cut where run control may want to stop: of memory, after each instruction. */
static void cut_blocks(struct vm *vm, struct emulate_vm *em)
{
	const struct vm_breaks *k = vm->breaks;

	blocks_flush(&em->blocks);
	forget_code_marks(vm);
	blocks_cut_nowhere(&em->blocks);
	em->stops_serial = k ? k->serial : 0;
	if (k && k->mem.n)
		blocks_cut_at(&em->blocks, 0, UINT64_MAX);
	for (unsigned i = 0; k && i < k->n; i++)
		blocks_cut_at(&em->blocks, k->insn[i].lo, k->insn[i].hi);
}

enum err emulate_run(struct vcpu *v, const struct run_bounds *b, struct vm_exit *e)
{
	struct emulate_vm *em = v->vm->mode_priv;
	struct run r = {.v = v, .c = &v->cpu, .em = em, .b = b, .end = UINT64_MAX};
	enum x86_rc rc = X86_OK;

	r.c->exit = e;
	r.c->insns = v->vm->clock.insns;
	if (b->max_insns < UINT64_MAX - r.c->insns)
		r.end = r.c->insns + b->max_insns;
	if (em->mem_generation != v->vm->mem.generation) {
		blocks_flush(&em->blocks);
		forget_code_marks(v->vm);
		for (unsigned k = 0; k < v->vm->n_vcpus; k++)
			x86_tlb_flush(&v->vm->vcpus[k].cpu);
		em->mem_generation = v->vm->mem.generation;
	}
	if (UNLIKELY(em->stops_serial != (v->vm->breaks ? v->vm->breaks->serial : 0)))
		cut_blocks(v->vm, em);
	if (r.c->s.pending_event)
		rc = x86_inject_pending(r.c);
	else if (r.c->s.pending_dbg && !(r.c->s.intr_shadow & INTR_SHADOW_MOVSS))
		rc = deliver_debug_trap(r.c);
	if (rc == X86_EXIT && is_timer(e->reason)) /* of a chain that goes on */
		vm_pass_stall(v->vm);
	while (rc == X86_OK) {
		uint64_t before = r.c->insns;

		x86_flags_sync(r.c);
		rc = check_bounds(&r);
		if (rc != X86_OK)
			break;
		if (UNLIKELY(v->vm->pausing) && must_pause(&r)) {
			v->vm->clock.insns = r.c->insns;
			return ERR_AGAIN;
		}
		r.c->block_end = false;
		rc = is_special(&r) ? run_step(&r) : run_blocks(&r);
		if (rc == X86_RETRY)
			rc = X86_OK;
		if (rc == X86_FAULT) {
			if (UNLIKELY(v->cpu.watch)) /* the instruction has not been executed */
				v->cpu.watch->hits = 0;
			/* Time stands still in a guest whose handler faults before its first instruction. The same
			 * whoever runs the instructions. */
			v->barren = r.c->insns == v->fault_at ? v->barren + 1 : 1;
			v->fault_at = r.c->insns;
			rc = x86_deliver(r.c, &r.c->fault);
			v->vm->moves += rc == X86_OK;
			if (rc == X86_OK && v->barren > VM_BARREN_MAX)
				rc = finish(&r, EXIT_PREEMPTION_TIMER, EXIT_VMM_TIMER);
			v->vm->clock.insns = r.c->insns;
			if (rc == X86_EXIT && is_timer(e->reason))
				vm_pass_stall(v->vm);
		}
		if (rc == X86_OK && b->single_step && r.c->insns != before)
			rc = x86_exit(r.c, EXIT_VMM_DEBUG, 0, 0);
	}
	return stop_at(&r, rc);
}
