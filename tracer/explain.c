/*
 * One exit explained. This file puts the parts together and has those that are short: title, instruction, class, cost;
 * explain_qual.c decodes bits, explain_why.c names controls, explain_did.c tells what the VMM did.
 */
#include "tracer/explain.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "tracer/explain_impl.h"
#include "tracer/kernel.h"

#define ENTRY_FAILED (1u << 31) /* of a VT-x exit reason [SDM 3C "Basic VM-Exit Information"] */

static const struct {
	uint32_t reason;
	const char *sentence, *source;
} avoids[] = {
#define AVOID(reason, sentence, source) {EXIT_##reason, sentence, source},
#include "tracer/explain_avoid.def"
#undef AVOID
};

/* --- What it is -------------------------------------------------------------------------------------------------- */

static void set_aliases(struct explain_ctx *c)
{
	struct explain *o = c->out;
	size_t at = 0;
	const char *alias;

	for (unsigned i = 0; (alias = exit_alias(c->reason, i)) && at < sizeof(o->aliases); i++)
		at += (size_t)snprintf(o->aliases + at, sizeof(o->aliases) - at, "%s%s", at ? ", " : "", alias);
}

static void what_is_it(struct explain_ctx *c)
{
	const struct exit_desc *d = exit_desc(c->reason);
	struct explain *o = c->out;
	struct exit_row row = {.reason = c->e->reason, .isa = c->e->isa};
	char buf[48];
	const char *name = exit_row_name(&row, buf, sizeof(buf));

	o->sentence = d ? d->sentence : "No table has this number: what it means is not known.";
	o->sdm = d ? d->sdm : "none";
	if (c->e->isa == ISA_SVM) {
		snprintf(o->title, sizeof(o->title), "%#x %s (AMD-V)", c->e->reason, name);
		o->sdm = "APM 2, SVM Intercept Exit Codes";
		if (!d)
			o->sentence = "An intercept of AMD-V to which no exit reason of VT-x corresponds.";
		return;
	}
	if (c->e->isa == ISA_KVM_USER) {
		snprintf(o->title, sizeof(o->title), "%u %s", c->e->reason, name);
		o->sentence = "The host's kernel handed an exit to the VMM's process, as it could not answer it alone. "
			      "It belongs "
			      "to the kernel's own exit before it, and is not counted again.";
		return;
	}
	snprintf(o->title, sizeof(o->title), c->reason < EXIT_VMM_BASE ? "%u %s%s" : "%#x %s%s", c->reason,
	    d ? d->name : "UNKNOWN", c->failed ? " (the VM entry failed)" : "");
	set_aliases(c);
}

/* --- The instruction --------------------------------------------------------------------------------------------- */

static const struct sensitive_row *row_of_cr(uint64_t qual)
{
	static const uint8_t to[16] = {[0] = SENSITIVE_MOV_TO_CR0,
	    [2] = SENSITIVE_MOV_TO_CR2,
	    [3] = SENSITIVE_MOV_TO_CR3,
	    [4] = SENSITIVE_MOV_TO_CR4,
	    [8] = SENSITIVE_MOV_TO_CR8};
	const struct sensitive_row *rows = sensitive_rows();
	unsigned cr = qual & QUAL_CR_NUM_MASK;

	switch (qual >> QUAL_CR_TYPE_SHIFT & 3) {
	case 0:
		return cr == 0 || to[cr] ? &rows[to[cr]] : NULL;
	case 1:
		return &rows[cr == 3   ? SENSITIVE_MOV_FROM_CR3
			     : cr == 8 ? SENSITIVE_MOV_FROM_CR8
				       : SENSITIVE_MOV_FROM_CR0];
	case 2:
		return &rows[SENSITIVE_CLTS];
	default:
		return &rows[SENSITIVE_LMSW];
	}
}

/* The instruction that a reason implies; NULL: several may be it, or none is. */
static const struct sensitive_row *row_of_reason(const struct explain_ctx *c)
{
	static const struct {
		uint32_t reason;
		enum sensitive_id id;
	} by_reason[] = {
	    {EXIT_CPUID, SENSITIVE_CPUID},
	    {EXIT_HLT, SENSITIVE_HLT},
	    {EXIT_INVD, SENSITIVE_INVD},
	    {EXIT_INVLPG, SENSITIVE_INVLPG},
	    {EXIT_RDPMC, SENSITIVE_RDPMC},
	    {EXIT_RDTSC, SENSITIVE_RDTSC},
	    {EXIT_DR_ACCESS, SENSITIVE_MOV_DR},
	    {EXIT_MSR_READ, SENSITIVE_RDMSR},
	    {EXIT_MSR_WRITE, SENSITIVE_WRMSR},
	    {EXIT_MWAIT_INSTRUCTION, SENSITIVE_MWAIT},
	    {EXIT_MONITOR_INSTRUCTION, SENSITIVE_MONITOR},
	    {EXIT_RDTSCP, SENSITIVE_RDTSCP},
	    {EXIT_WBINVD, SENSITIVE_WBINVD},
	    {EXIT_XSETBV, SENSITIVE_XSETBV},
	    {EXIT_INVPCID, SENSITIVE_INVPCID},
	};
	static const uint8_t io[4] = {SENSITIVE_OUT, SENSITIVE_IN, SENSITIVE_OUTS, SENSITIVE_INS};
	uint64_t qual = c->e->qual;

	for (size_t i = 0; i < ARRAY_LEN(by_reason); i++)
		if (by_reason[i].reason == c->reason)
			return &sensitive_rows()[by_reason[i].id];
	if (!c->native)
		return NULL;
	if (c->reason == EXIT_IO_INSTRUCTION)
		return &sensitive_rows()[io[qual >> 3 & 3]];
	return c->reason == EXIT_CR_ACCESS ? row_of_cr(qual) : NULL;
}

static bool decode_bytes(const uint8_t *bytes, size_t n, unsigned code_bits, struct x86_insn *insn)
{
	enum x86_mode mode = code_bits == 64 ? X86_MODE_LONG64 : X86_MODE_PROT;

	return n && x86_decode(bytes, n, code_bits / 8, mode, insn) == DECODE_OK && insn->id != INSN_UD_INVALID;
}

/* A model has no bytes: where a privileged instruction of it raised an exception, the record names it. */
static bool named_by_model(const struct explain_ctx *c, struct x86_insn *insn)
{
	if (c->reason != EXIT_EXCEPTION_NMI || c->e->observed != OBSERVED_MODEL || !c->values || !c->e->insn_len ||
	    !c->x.value || c->x.value >= INSN_COUNT || c->x.value == INSN_MOV_CR)
		return false;
	memset(insn, 0, sizeof(*insn));
	insn->id = (uint16_t)c->x.value;
	return true;
}

static void why_no_insn(struct explain_ctx *c, bool known)
{
	struct explain *o = c->out;
	const char *why = "the memory at RIP cannot be read now";

	if (c->e->observed == OBSERVED_MODEL)
		why = "a behaviour model has no code";
	else if (!(c->e->has & VIEW_HAS_RIP))
		why = "where it happened is not known";
	else if (c->info && c->info->source == VIEW_TRACE)
		why = "a trace has no memory";
	snprintf(o->insn_why, sizeof(o->insn_why), known ? "%s; by the reason it is \"%s\"" : "%s", why,
	    known ? o->row->form : "");
}

static void which_insn(
    struct explain_ctx *c, const uint8_t *bytes, size_t n, unsigned code_bits, const struct symbols *syms)
{
	const struct sensitive_row *implied = row_of_reason(c);
	struct explain *o = c->out;
	struct disasm_line line;
	struct x86_insn insn;
	bool have = decode_bytes(bytes, n, code_bits, &insn);

	o->row = implied;
	if (have && implied && sensitive_find(&insn) != implied) {
		disasm_one(code_bits, c->e->rip, bytes, n, syms, &line);
		snprintf(o->insn_why, sizeof(o->insn_why), "it was %s; now there is: %.48s", implied->form, line.text);
		return;
	}
	if (!implied && c->native && (have || named_by_model(c, &insn)))
		o->row = sensitive_find(&insn);
	if (n && disasm_one(code_bits, c->e->rip, bytes, n, syms, &line)) {
		snprintf(o->insn, sizeof(o->insn), "%s", line.text);
		o->insn_len = line.len;
	} else if (n)
		snprintf(o->insn_why, sizeof(o->insn_why), "the bytes at RIP are no instruction now");
	else {
		why_no_insn(c, o->row != NULL);
	}
}

/* --- Its class --------------------------------------------------------------------------------------------------- */

static const char *sens_words(unsigned sens)
{
	if (sens == (SENS_CONTROL | SENS_BEHAVIOUR))
		return "control- and behaviour-sensitive";
	return sens == SENS_CONTROL ? "control-sensitive" : "behaviour-sensitive";
}

static void class_of_insn(struct explain *o)
{
	const struct sensitive_row *r = o->row;

	if (o->class == PG_PRIVILEGED)
		snprintf(o->class_text, sizeof(o->class_text),
		    "privileged (%s): %s it faults by itself, so a VMM could trap and emulate it even before VT-x.",
		    sens_words(r->sens), r->priv == PRIV_IOPL ? "when CPL is above IOPL" : "outside CPL 0");
	else
		snprintf(o->class_text, sizeof(o->class_text),
		    "sensitive but unprivileged (%s): outside CPL 0 it does not fault%s, so without VT-x it would go "
		    "past "
		    "the VMM unseen.",
		    sens_words(r->sens), r->priv == PRIV_CR4 ? " unless CR4 says so" : "");
}

static const char *class_of_other(const struct explain_ctx *c, const struct exit_desc *d)
{
	if (!d)
		return "not known";
	switch (d->class) {
	case EXIT_CLASS_EVENT:
		if (c->reason == EXIT_EXCEPTION_NMI)
			return "an exception, whatever its instruction: the VMM may look at a fault before the guest "
			       "does.";
		return "no instruction, but an event: whatever the guest does, the VMM gets the CPU back. This is "
		       "Popek and "
		       "Goldberg's resource control.";
	case EXIT_CLASS_MMIO:
		return "an ordinary memory access, by an innocuous instruction: what traps is the address, which the "
		       "VMM has "
		       "not given to the guest (resource control).";
	case EXIT_CLASS_VMX:
		return "an instruction for VMMs: in a guest each of them exits, so a VMM can itself be a guest "
		       "(recursive "
		       "virtualization).";
	case EXIT_CLASS_FAIL:
		return "no instruction: the guest could not be entered, or could not go on.";
	case EXIT_CLASS_VMM:
		return "no exit of the hardware: the VMM, or the host under it, took control. It is not counted or "
		       "compared.";
	case EXIT_CLASS_INSN:
	case EXIT_CLASS_IO:
	case EXIT_CLASS_MSR:
	case EXIT_CLASS_CR:
		break;
	}
	if (c->reason == EXIT_GDTR_IDTR || c->reason == EXIT_LDTR_TR)
		return "loading such a register is privileged; storing it is sensitive but unprivileged, one of the "
		       "cases that "
		       "kept x86 from being virtualizable. Which it was is not known here.";
	return "innocuous by Popek and Goldberg, or outside their model: it exits because a control or the VMM wants "
	       "it.";
}

static void which_class(struct explain_ctx *c)
{
	struct explain *o = c->out;

	o->class = sensitive_class(o->row);
	if (o->row)
		class_of_insn(o);
	else
		snprintf(o->class_text, sizeof(o->class_text), "%s", class_of_other(c, exit_desc(c->reason)));
}

/* --- Cost and advice --------------------------------------------------------------------------------------------- */

static void one_part(struct explain *o, const char *name, uint64_t ns)
{
	snprintf(o->cost[0].name, sizeof(o->cost[0].name), "%s", name);
	o->cost[0].ns = ns;
	o->n_cost = 1;
}

static void what_cost(struct explain_ctx *c)
{
	const struct cost_model *m = c->info ? c->info->cost : NULL;
	struct explain *o = c->out;

	if (!(c->e->has & VIEW_HAS_COST)) {
		snprintf(o->cost_source, sizeof(o->cost_source), "not known: %s",
		    c->e->verdict < VERDICT_COUNT ? "nobody measured it"
						  : "the exit is not over, or nobody measured it");
		return;
	}
	o->cost_ns = c->e->cost_ns;
	if (!(c->e->has & VIEW_COST_MODELLED)) {
		one_part(o, "the VMM, from exit to next entry", o->cost_ns);
		snprintf(o->cost_source, sizeof(o->cost_source), "measured on the host's clock, in one piece");
		return;
	}
	if (!m || c->reason >= EXIT_SDM_COUNT || m->by_reason[c->reason].total_ns != o->cost_ns) {
		one_part(o, "the VMM's part", o->cost_ns);
		snprintf(o->cost_source, sizeof(o->cost_source), "modelled, %s",
		    c->reason >= EXIT_VMM_BASE ? "but the model prices hardware exits only"
					       : "by a cost profile whose steps are not known here");
		return;
	}
	const struct cost_path *path = &m->by_reason[c->reason];
	if (!path->n_steps) {
		snprintf(o->cost_source, sizeof(o->cost_source), "not known: the cost profile %.40s has no path for it",
		    m->name);
		return;
	}
	for (uint32_t i = 0; i < path->n_steps && i < EXPLAIN_STEPS_MAX; i++) {
		snprintf(o->cost[i].name, sizeof(o->cost[i].name), "%s", path->steps[i].name);
		o->cost[i].ns = path->steps[i].ns;
		o->n_cost++;
	}
	snprintf(o->cost_source, sizeof(o->cost_source), "modelled (%.40s, Type %s), without the handler's own work",
	    m->name, strcmp(m->stack, "type1") == 0 ? "I" : "II");
}

static void how_to_avoid(struct explain_ctx *c)
{
	struct explain *o = c->out;

	for (size_t i = 0; i < ARRAY_LEN(avoids); i++) {
		const char *source = avoids[i].source;
		if (avoids[i].reason != c->reason)
			continue;
		snprintf(o->avoid, sizeof(o->avoid), "%s [%s%s]", avoids[i].sentence,
		    isdigit((unsigned char)source[0]) ? "SDM " : "", source);
		return;
	}
	snprintf(o->avoid, sizeof(o->avoid), "not known for this number");
}

/* --- All of it --------------------------------------------------------------------------------------------------- */

static void set_up(struct explain_ctx *c)
{
	const struct view_exit *e = c->e;

	c->failed = e->isa == ISA_VMX && e->reason & ENTRY_FAILED;
	c->native = e->isa == ISA_VMX;
	c->reason = c->failed ? e->reason & 0xffffu : e->reason;
	if (e->isa != ISA_VMX)
		c->reason = kernel_exit_reason(e->isa, e->reason, e->qual);
	c->values = e->has & VIEW_HAS_VALUES;
	if (c->values)
		memcpy(c->x.raw, e->raw, sizeof(c->x.raw));
	c->ctl = c->info ? c->info->profile : NULL;
}

void explain_exit(const struct view_exit *e, const struct view_info *info, const uint8_t *bytes, size_t n,
    unsigned code_bits, const struct symbols *syms, struct explain *out)
{
	struct explain_ctx c = {.e = e, .info = info, .out = out};

	memset(out, 0, sizeof(*out));
	set_up(&c);
	what_is_it(&c);
	if (c.native)
		out->n_qual = explain_qual_of(c.reason, e->qual, e->intr_info, out->qual, &out->qual_title);
	else if (e->isa == ISA_SVM)
		out->n_qual = explain_svm_info(e->reason, e->qual, out->qual, &out->qual_title);
	if (c.native && c.reason < EXIT_SDM_COUNT)
		out->n_intr = explain_intr_info(e->intr_info, out->intr);
	if (out->n_intr)
		out->n_intr += explain_error_code(
		    e->intr_info, e->intr_error, out->intr + out->n_intr, EXPLAIN_BITS_MAX - out->n_intr);
	which_insn(&c, bytes, n, code_bits, syms);
	which_class(&c);
	explain_why(&c);
	explain_did(&c);
	what_cost(&c);
	how_to_avoid(&c);
}
