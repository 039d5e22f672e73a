/*
 * The lockstep itself. Read tracer/equivalence.h first: who is compared with whom, and what the reference lacks.
 *
 * One turn: the subject runs to its next exit. If it took an interrupt on the way, the reference is brought to the same
 * registers (at once, when it happened between two exits; else instruction by instruction) and takes it there. Then
 * the reference runs to its own next exit, with what the subject read fed to it, and both are compared.
 */
#include "tracer/equivalence.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/x86/insn.h"
#include "tracer/equivalence_impl.h"

/* Instructions that the reference may need to reach the point of an interrupt. */
#define CHASE_MAX 200000000ull
/* Instructions after which a single-step of the subject that was longer than one is given up. */
#define STEP_MAX 256u
#define CHECKPOINT_EVERY 256u

const char *equivalence_exempt_text(enum equivalence_exempt e)
{
	static const char *const texts[EXEMPT_COUNT] = {
#define EXEMPT(name, text) [EXEMPT_##name] = text,
#include "tracer/exemptions.def"
#undef EXEMPT
	};

	return (unsigned)e < EXEMPT_COUNT ? texts[e] : "?";
}

static void evidence(struct equivalence *q, enum pg_state state, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void evidence(struct equivalence *q, enum pg_state state, const char *fmt, ...)
{
	va_list ap;

	q->out->verdict.state = state;
	va_start(ap, fmt);
	vsnprintf(q->out->verdict.evidence, sizeof q->out->verdict.evidence, fmt, ap);
	va_end(ap);
}

/* --- Watching the subject ------------------------------------------------------------------------------------------
 */

static void subject_injects(void *arg, struct vcpu *v, const struct x86_event *ev)
{
	struct equivalence *q = arg;
	const struct x86_state *s = vcpu_state(v);
	struct injection *i = &q->injections[q->n_injections];

	/* Part of an exit's effect: the reference's own VMM does the same. */
	if (v->applying && !(v->vm->cfg.mode->caps & MODE_CAP_COMPLETES))
		return;
	if (q->n_injections == INJECTIONS_MAX || !s) {
		q->lost_injection = true;
		return;
	}
	q->n_injections++;
	i->event = *ev;
	memcpy(i->gpr, s->gpr, sizeof i->gpr);
	i->rip = s->rip;
	i->rflags = s->rflags;
}

static void subject_decided(void *arg, struct vcpu *v, const struct vm_exit *e, enum verdict verdict)
{
	struct equivalence *q = arg;

	(void)v;
	(void)e;
	q->subject_reset |= verdict == VERDICT_RESET;
}

static const struct probe_ops subject_watch = {
    .name = "lockstep subject", .on_verdict = subject_decided, .on_inject = subject_injects};

/* --- Interrupts ----------------------------------------------------------------------------------------------------
 */

static bool at_injection(const struct equivalence *q, const struct injection *i, const struct x86_state *s)
{
	return s->rip == i->rip && memcmp(s->gpr, i->gpr, sizeof i->gpr) == 0 &&
	       ((s->rflags ^ i->rflags) & FLAGS_STATUS & ~(uint64_t)q->undefined) == 0;
}

/* Steps the reference until it stands where the subject stood. */
static bool chase(struct equivalence *q, const struct injection *i)
{
	const struct x86_state *s = vcpu_state(q->r);

	for (uint64_t n = 0; s && n < CHASE_MAX; n++) {
		if (at_injection(q, i, s))
			return true;
		if (vm_step_insn(q->reference, q->r) != ERR_OK || q->reference->ended)
			return false;
		if (exit_is_predicted(q->r->exit.reason))
			return false; /* the subject was interrupted before this exit, with other registers */
		s = vcpu_state(q->r);
	}
	return false;
}

static bool replay_injections(struct equivalence *q)
{
	for (unsigned k = 0; k < q->n_injections; k++) {
		const struct injection *i = &q->injections[k];

		q->out->exempt[EXEMPT_INTERRUPT_POINT]++;
		q->feed = NULL;
		if (!chase(q, i)) {
			diverge(q, "interrupt point", i->rip);
			return false;
		}
		adopt_undefined_flags(q, i->rflags); /* they go to the stack with the return address */
		if (vcpu_inject(q->r, &i->event) != ERR_OK) {
			diverge(q, "interrupt", i->rip);
			return false;
		}
		q->out->injected++;
	}
	q->n_injections = 0;
	return true;
}

/* --- Running the reference -----------------------------------------------------------------------------------------
 */

static void feed_arm(struct equivalence *q, const struct vm_exit *e)
{
	q->feed = e;
	q->fed = false;
	q->wrong_write = false;
}

/* To its next hardware exit. False: it ended, or does not come to one. */
static bool reference_to_exit(struct equivalence *q)
{
	do {
		if (vm_step_exit(q->reference, q->r) != ERR_OK)
			return false;
		if (exit_is_predicted(q->r->exit.reason))
			return true;
	} while (!q->reference->ended);
	return false;
}

static void reference_failed(struct equivalence *q)
{
	const struct vm_end *end = &q->reference->end;

	if (end->kind == END_UNIMPLEMENTED)
		evidence(q, PG_UNKNOWN, "the reference cannot go on after %llu exits: %s",
		    (unsigned long long)q->out->exits_compared, end->detail);
	else
		diverge(q, "end of the reference", q->r->cpu.s.rip);
}

static bool checkpoint_due(const struct equivalence *q)
{
	uint64_t every = q->opt->checkpoint_every ? q->opt->checkpoint_every : CHECKPOINT_EVERY;

	/* A machine elsewhere sends its memory at its own checkpoints. */
	if (q->subject->cfg.mode->caps & MODE_CAP_REMOTE)
		return !q->subject->mem_stale;
	return (q->index + 1) % every == 0;
}

/* Between the elements of a batch KVM is in the middle of its instruction. */
static bool in_batch(const struct vm_exit *s)
{
	return s->reason == EXIT_IO_INSTRUCTION && s->io.string && s->io.count > 1;
}

static bool compare_turn(struct equivalence *q, const struct vm_exit *s)
{
	const struct vm_exit *r = &q->r->exit;

	if (!compare_exit(q, s, r))
		return false;
	if (s->reason == EXIT_TRIPLE_FAULT)
		return true;
	feed_mirror_slots(q);
	if (q->subject_reset) {
		q->subject_reset = false;
		feed_resync(q);
		return true;
	}
	if (in_batch(s) && (q->subject->cfg.mode->caps & MODE_CAP_COMPLETES)) {
		q->out->exempt[EXEMPT_REP_BATCH]++;
		return true;
	}
	if (!compare_registers(q, s, s->rip))
		return false;
	note_root(q, &q->r->cpu.s);
	return !checkpoint_due(q) || compare_memory(q);
}

/* --- Exit by exit --------------------------------------------------------------------------------------------------
 */

/* On virtual time the subject's clock is known: the reference reads the same time stamps, HLT or not. */
static void set_reference_clock(struct equivalence *q)
{
	struct clock *c = &q->reference->clock;

	if (q->subject->clock.kind == CLOCK_VIRTUAL && c->kind == CLOCK_VIRTUAL)
		c->skipped_ns += q->s->entered_ns - clock_now_ns(c);
}

/* A processor that looks at privilege too late: the exit has no counterpart, the #GP that follows it has. */
static bool exits_too_early(struct equivalence *q, const struct vm_exit *s)
{
	bool invpcid = s->reason == EXIT_INVPCID;
	const struct x86_state *a = s->reason == EXIT_XSETBV || invpcid ? vcpu_state(q->s) : NULL;

	if (!a || !(a->cr0 & CR0_PE) || (a->seg[X86_CS].sel & 3) == 0)
		return false;
	q->out->exempt[invpcid ? EXEMPT_EARLY_INVPCID : EXEMPT_EARLY_XSETBV]++;
	return true;
}

/* Where exceptions exit, the #GP does so in the reference; in the subject the VMM gave it to the guest at once. */
static bool catch_its_fault(struct equivalence *q, const struct vm_exit *s)
{
	if (!(q->reference->controls.exceptions >> VEC_GP & 1))
		return true;
	q->feed = NULL;
	if (reference_to_exit(q) && q->r->exit.reason == EXIT_EXCEPTION_NMI && (uint8_t)q->r->exit.intr_info == VEC_GP)
		return true;
	diverge(q, "reason", s->rip);
	return false;
}

static bool turn_exits(struct equivalence *q)
{
	struct vm_exit s;
	uint64_t before = q->s->counts.exits;

	if (vm_step_exit(q->subject, q->s) != ERR_OK)
		return false;
	if (q->s->counts.exits == before) /* it ended between two exits */
		return true;
	s = q->s->exit;
	q->aligned = exit_is_predicted(s.reason);
	if (!q->aligned) {
		q->out->exempt[EXEMPT_TIME]++;
		return true;
	}
	set_reference_clock(q);
	if (exits_too_early(q, &s))
		return catch_its_fault(q, &s);
	if (!replay_injections(q))
		return false;
	feed_arm(q, &s);
	if (!reference_to_exit(q)) {
		reference_failed(q);
		return false;
	}
	if (!compare_turn(q, &s))
		return false;
	q->out->exits_compared++;
	q->index++;
	return true;
}

static bool is_late(const struct equivalence *q)
{
	return q->opt->until_ns && q->subject->cfg.host->now_ns() >= q->opt->until_ns;
}

static void lockstep_exits(struct equivalence *q)
{
	while (!q->subject->ended && !q->out->first.found && !(q->opt->max_exits && q->index >= q->opt->max_exits) &&
	       !is_late(q))
		if (!turn_exits(q))
			break;
}

/* --- Instruction by instruction ------------------------------------------------------------------------------------
 */

/* What the subject read from a clock or a generator becomes the reference's. */
static void patch(struct equivalence *q)
{
	const struct x86_state *a = vcpu_state(q->s);
	struct x86_state *b = vcpu_state_for_write(q->r, DIRTY_GPR);

	if (!a || !b)
		return;
	memcpy(b->gpr, a->gpr, sizeof b->gpr);
	b->rflags = a->rflags;
	q->out->exempt[EXEMPT_PATCHED]++;
}

/*
 * A KVM that steps by TF lets the guest see it: PUSHF, interrupts and exceptions save it to the stack. It is the
 * debugger's bit, not the guest's: a saved flags word that differs from the reference's by TF alone loses it again.
 */
#define STACK_BYTES 256u

static uint16_t *stack_word(struct equivalence *q, struct vm *vm, uint64_t offset)
{
	const struct x86_state *s = &q->r->cpu.s;
	uint64_t sp = q->r->cpu.stack_size == 2	  ? (uint16_t)(s->gpr[X86_RSP] + offset)
		      : q->r->cpu.stack_size == 4 ? (uint32_t)(s->gpr[X86_RSP] + offset)
						  : s->gpr[X86_RSP] + offset;
	gva_t linear = sp + (q->r->cpu.mode == X86_MODE_LONG64 ? 0 : s->seg[X86_SS].base);
	uint8_t *page;
	gpa_t gpa;

	if ((linear & 1) || !x86_translate(&q->r->cpu, linear, &gpa))
		return NULL;
	page = mem_page(&vm->mem, gpa, true);
	return page ? (uint16_t *)(void *)(page + (gpa & (PAGE_SIZE_4K - 1))) : NULL;
}

/* SYSCALL saves flags to R11, and the address after itself to RCX. */
static void take_out_of_r11(struct equivalence *q)
{
	const struct x86_state *a = vcpu_state(q->s), *b = vcpu_state(q->r);
	struct x86_state *w;

	if (!a || !b || (a->gpr[X86_R11] ^ b->gpr[X86_R11]) != FLAG_TF || (b->gpr[X86_R11] & 0x802a) != FLAG_R1 ||
	    b->gpr[X86_RCX] != q->last_rip + 2)
		return;
	w = vcpu_state_for_write(q->s, DIRTY_GPR);
	if (w)
		w->gpr[X86_R11] &= ~(uint64_t)FLAG_TF;
	q->out->exempt[EXEMPT_STEP_FLAG]++;
}

static void take_out_step_flag(struct equivalence *q)
{
	for (uint64_t o = 0; o < STACK_BYTES; o += 2) {
		uint16_t *a = stack_word(q, q->subject, o);
		const uint16_t *b = stack_word(q, q->reference, o);

		if (!a || !b || (*a ^ *b) != FLAG_TF || (*b & 0x802a) != FLAG_R1)
			continue;
		*a = *b;
		q->out->exempt[EXEMPT_STEP_FLAG]++;
	}
	take_out_of_r11(q);
}

/* The subject's step may have been longer: a REP string at once, or the first instruction of a handler too. */
static bool catch_up(struct equivalence *q)
{
	const struct x86_state *a = vcpu_state(q->s), *b = vcpu_state(q->r);
	uint64_t rip = q->last_rip;

	for (unsigned n = 0; a && b && n < STEP_MAX; n += q->last_rep && b->rip == rip ? 0 : 1) {
		if (registers_equal(q, a, b)) {
			q->out->exempt[EXEMPT_STEP_SIZE]++;
			return true;
		}
		if (vm_step_insn(q->reference, q->r) != ERR_OK || q->reference->ended ||
		    exit_is_predicted(q->r->exit.reason))
			return false;
		b = vcpu_state(q->r);
	}
	return false;
}

/* The subject's step ended in an exit that lies further on: several instructions, for the same reason. */
static void catch_up_to_exit(struct equivalence *q)
{
	for (unsigned n = 0; n < STEP_MAX && !exit_is_predicted(q->r->exit.reason) && !q->reference->ended; n++) {
		if (n == 0)
			q->out->exempt[EXEMPT_STEP_SIZE]++;
		if (vm_step_insn(q->reference, q->r) != ERR_OK)
			return;
	}
}

static bool compare_step(struct equivalence *q, const struct vm_exit *s)
{
	const struct vm_exit *r = &q->r->exit;
	struct equivalence_divergence before;

	if (exit_is_predicted(s->reason))
		catch_up_to_exit(q);
	if (exit_is_predicted(s->reason) || exit_is_predicted(r->reason)) {
		if (!compare_turn(q, s))
			return false;
		q->out->exits_compared++;
		return true;
	}
	feed_mirror_slots(q);
	if (q->last_unfed)
		patch(q);
	take_out_step_flag(q);
	if (!compare_registers(q, NULL, q->last_rip)) {
		before = q->out->first;
		q->out->first.found = false;
		if (!catch_up(q)) {
			q->out->first = before;
			return false;
		}
		take_out_step_flag(q);
	}
	note_root(q, &q->r->cpu.s);
	return !checkpoint_due(q) || compare_memory(q);
}

/* The subject's step did no more than leave a REP whose count was used up: the reference is there already. */
static bool only_rep_tail(struct equivalence *q, const struct vm_exit *s)
{
	const struct x86_state *a = vcpu_state(q->s), *b = vcpu_state(q->r);
	bool tail = q->rep_tail;

	q->rep_tail = false;
	return tail && s->reason == EXIT_VMM_DEBUG && a && b && registers_equal(q, a, b);
}

static bool turn_insns(struct equivalence *q)
{
	struct vm_exit s;

	if (vm_step_insn(q->subject, q->s) != ERR_OK)
		return false;
	s = q->s->exit;
	q->aligned = exit_is_predicted(s.reason) || s.reason == EXIT_VMM_DEBUG;
	if (!q->aligned) {
		q->out->exempt[EXEMPT_TIME]++;
		return true;
	}
	if (!replay_injections(q))
		return false;
	if (only_rep_tail(q, &s))
		return true;
	feed_arm(q, &s);
	do {
		q->last_rip = vcpu_state(q->r) ? q->r->cpu.s.rip : 0;
		if (vm_step_insn(q->reference, q->r) != ERR_OK ||
		    (q->reference->ended && q->r->exit.reason != s.reason)) {
			reference_failed(q);
			return false;
		}
	} while (!exit_is_predicted(q->r->exit.reason) && q->r->exit.reason != EXIT_VMM_DEBUG);
	if (!compare_step(q, &s))
		return false;
	q->out->insns_compared++;
	q->index++;
	return true;
}

static void lockstep_insns(struct equivalence *q)
{
	while (!q->subject->ended && !q->out->first.found &&
	       !(q->opt->max_exits && q->out->exits_compared >= q->opt->max_exits))
		if (!turn_insns(q))
			break;
}

/* --- The verdict ---------------------------------------------------------------------------------------------------
 */

static void conclude(struct equivalence *q)
{
	struct equivalence_report *out = q->out;
	const struct equivalence_divergence *d = &out->first;
	unsigned long long n = out->exits_compared;
	char what[160];

	if (out->verdict.evidence[0])
		return;
	if (q->opt->step == EQUIVALENCE_INSNS)
		snprintf(
		    what, sizeof what, "%llu instructions and %llu exits", (unsigned long long)out->insns_compared, n);
	else
		snprintf(what, sizeof what, "%llu exits", n);
	if (out->unfed.count && q->opt->step == EQUIVALENCE_EXITS)
		evidence(q, PG_UNKNOWN,
		    "%s at rip %#llx read a value that cannot be fed without an exit (%llu times); %s compared%s",
		    out->unfed.mnemonic, (unsigned long long)out->unfed.rip, (unsigned long long)out->unfed.count, what,
		    d->found ? ", then different" : ", no difference");
	else if (d->found && d->memory_differs && strcmp(d->field, "memory") == 0)
		evidence(q, PG_VIOLATED, "memory differs at %#llx (%02x, reference %02x) at index %llu, after %s",
		    (unsigned long long)d->memory_gpa, d->memory_subject, d->memory_reference,
		    (unsigned long long)d->index, what);
	else if (d->found)
		evidence(q, PG_VIOLATED, "%s differs at index %llu, rip %#llx (%s), after %s", d->field,
		    (unsigned long long)d->index, (unsigned long long)d->rip, d->disassembly, what);
	else if (q->lost_injection)
		evidence(q, PG_UNKNOWN, "more interrupts between two exits than can be replayed, after %s", what);
	else if (out->subject_end.kind == END_HOST_KVM || out->subject_end.kind == END_HOST_ERROR ||
		 out->subject_end.kind == END_UNIMPLEMENTED)
		evidence(
		    q, PG_UNKNOWN, "%s agree; then the subject could not go on: %s", what, out->subject_end.detail);
	else if (!n && !out->insns_compared)
		evidence(q, PG_UNKNOWN, "nothing was compared");
	else
		evidence(q, PG_HOLDS,
		    "%s agree in reason, rip, registers, flags and values; memory was equal at %llu checkpoints", what,
		    (unsigned long long)out->checkpoints);
}

void equivalence_run(
    struct vm *subject, struct vm *reference, const struct equivalence_options *opt, struct equivalence_report *out)
{
	static const struct equivalence_options plain = {.step = EQUIVALENCE_EXITS};
	struct equivalence q = {.subject = subject,
	    .reference = reference,
	    .s = &subject->vcpus[0],
	    .r = &reference->vcpus[0],
	    .opt = opt ? opt : &plain,
	    .out = out};
	struct errmsg why;

	memset(out, 0, sizeof *out);
	if (feed_init(&q, &why) != ERR_OK) {
		evidence(&q, PG_UNKNOWN, "%s", why.text);
		return;
	}
	if (vm_add_probe(subject, &subject_watch, &q) != ERR_OK) {
		evidence(&q, PG_UNKNOWN, "the subject has no room for another probe");
		return;
	}
	/* Both were loaded alike; if not, that is the first difference. */
	if (compare_registers(&q, NULL, vcpu_state(q.s) ? q.s->cpu.s.rip : 0) && compare_memory(&q)) {
		if (q.opt->step == EQUIVALENCE_INSNS)
			lockstep_insns(&q);
		else
			lockstep_exits(&q);
		/* Only where both stand at the same point: not when the subject left the guest by itself. */
		if (q.aligned && !subject->mem_stale && q.out->verdict.evidence[0] == '\0')
			(void)compare_memory(&q);
	}
	out->subject_end = subject->end;
	conclude(&q);
}

void equivalence_sequence(const struct sequence *reference, const struct sequence *subject,
    const void *console_reference, size_t n_reference, const void *console_subject, size_t n_subject,
    struct pg_verdict *out, struct sequence_diff *diff)
{
	size_t at = 0, least = n_reference < n_subject ? n_reference : n_subject;
	const char *a = console_reference, *b = console_subject;

	sequence_verdict(reference, subject, out, diff);
	if (out->state != PG_HOLDS)
		return;
	while (at < least && a[at] == b[at])
		at++;
	if (at == n_reference && at == n_subject)
		return;
	out->state = PG_VIOLATED;
	snprintf(out->evidence, sizeof out->evidence,
	    "%llu exits agree, but the consoles differ at byte %zu (%zu and %zu bytes)",
	    (unsigned long long)diff->compared, at, n_subject, n_reference);
}
