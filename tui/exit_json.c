/*
 * The exit view's twin: the same exit as data, with every fact of the picture; and the fields as they were recorded,
 * which the picture has, too.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/probe.h"
#include "tui/exit_view.h"

/* --- Recorded fields ---------------------------------------------------------------------------------------------- */

enum raw {
	RAW_NUMBER,
	RAW_REASON,
	RAW_NUMBERING,
	RAW_RIP,
	RAW_LENGTH,
	RAW_QUAL,
	RAW_INFO2,
	RAW_INTR,
	RAW_INTR_ERROR,
	RAW_GPA,
	RAW_VALUES_0,
	RAW_VALUES_1,
	RAW_VALUES_2,
	RAW_VALUES_3,
	RAW_VERDICT,
	RAW_INJECTED,
	RAW_TIME,
	RAW_INSNS,
	RAW_DIRECT,
	RAW_COST,
	RAW_VCPU,
	RAW_OBSERVED,
	RAW_COUNT
};

static const char *verdict_of(const struct view_exit *e)
{
	return e->verdict < VERDICT_COUNT ? verdict_name((enum verdict)e->verdict) : "not known";
}

static const char *isa_name(unsigned isa)
{
	return isa == ISA_SVM ? "AMD-V" : isa == ISA_KVM_USER ? "KVM_EXIT_*" : "VT-x (SDM)";
}

static void injected(const struct view_exit *e, char *buf, size_t n)
{
	static const char *const types[8] = {"external interrupt", "?", "NMI", "hardware exception",
	    "software interrupt", "privileged software exception", "software exception", "other event"};

	if (e->has & VIEW_INJECTED)
		snprintf(buf, n, "%s, vector %#x, error code %#x", types[e->inject_type & 7], e->inject_vector,
		    e->inject_error);
	else
		snprintf(buf, n, "nothing");
}

static void number_field(char *buf, size_t n, bool known, uint64_t v)
{
	if (known)
		snprintf(buf, n, "%#" PRIx64, v);
	else
		snprintf(buf, n, "not known");
}

bool exit_raw_field(const struct exit_state *st, unsigned i, struct exit_field *out)
{
	static const char *const names[RAW_COUNT] = {"number", "exit reason", "numbering", "guest RIP",
	    "instruction length", "exit qualification", "IDT-vectoring info", "interruption info",
	    "interruption error code", "guest-physical address", "operands, results [0]", "operands, results [1]",
	    "operands, results [2]", "operands, results [3]", "verdict", "injected after it", "guest time, ns",
	    "instructions before it", "since the exit before", "cost, ns", "vCPU", "seen by"};
	const struct view_exit *e = &st->e;
	char *buf = out->value;
	size_t n = sizeof(out->value);

	if (i >= RAW_COUNT)
		return false;
	out->name = names[i];
	switch ((enum raw)i) {
	case RAW_NUMBER:
		snprintf(buf, n, "%" PRIu64, e->number);
		break;
	case RAW_REASON:
		snprintf(buf, n, "%u (%#x)", e->reason, e->reason);
		break;
	case RAW_NUMBERING:
		snprintf(buf, n, "%s", isa_name(e->isa));
		break;
	case RAW_RIP:
		number_field(buf, n, e->has & VIEW_HAS_RIP, e->rip);
		break;
	case RAW_LENGTH:
		snprintf(buf, n, "%u", e->insn_len);
		break;
	case RAW_QUAL:
		number_field(buf, n, true, e->qual);
		break;
	case RAW_INFO2:
		number_field(buf, n, true, e->info2);
		if (st->info.source == VIEW_TRACE)
			out->name = "info2";
		break;
	case RAW_INTR:
		number_field(buf, n, true, e->intr_info);
		break;
	case RAW_INTR_ERROR:
		number_field(buf, n, true, e->intr_error);
		break;
	case RAW_GPA:
		number_field(buf, n, e->has & VIEW_HAS_VALUES, e->gpa);
		break;
	case RAW_VALUES_0:
	case RAW_VALUES_1:
	case RAW_VALUES_2:
	case RAW_VALUES_3:
		number_field(buf, n, e->has & VIEW_HAS_VALUES, e->raw[i - RAW_VALUES_0]);
		break;
	case RAW_VERDICT:
		snprintf(buf, n, "%s", verdict_of(e));
		break;
	case RAW_INJECTED:
		injected(e, buf, n);
		break;
	case RAW_TIME:
		snprintf(buf, n, "%" PRIu64, e->ts_ns);
		break;
	case RAW_INSNS:
		snprintf(buf, n, "%" PRIu64 "%s", e->insns, st->info.counts_insns ? "" : " (nobody counts them here)");
		break;
	case RAW_DIRECT:
		snprintf(buf, n, e->has & VIEW_HAS_DIRECT ? "%" PRIu64 : "not known", e->direct);
		break;
	case RAW_COST:
		snprintf(buf, n, e->has & VIEW_HAS_COST ? "%" PRIu64 "%s" : "not known", e->cost_ns,
		    e->has & VIEW_COST_MODELLED ? " (modelled)" : "");
		break;
	case RAW_VCPU:
		snprintf(buf, n, "%u", e->vcpu);
		break;
	case RAW_OBSERVED:
		snprintf(buf, n, "%s", exit_observed_name((enum exit_observed)e->observed));
		break;
	case RAW_COUNT:
		break;
	}
	return true;
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

/* Text of the guest or of a file may be no UTF-8. */
static json_t *text(const char *s)
{
	json_t *j = json_string(s);

	return j ? j : json_string("(not UTF-8)");
}

static json_t *number(uint64_t v)
{
	return json_integer((json_int_t)v);
}

/* 64 bits do not fit into every reader's numbers: addresses and masks are text. */
static json_t *hex(uint64_t v)
{
	char buf[24];

	snprintf(buf, sizeof(buf), "%#" PRIx64, v);
	return json_string(buf);
}

static json_t *bits_json(const struct explain_bits *b, unsigned n)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:i, s:i, s:o, s:s, s:s}", "lo", b[i].lo, "hi", b[i].hi,
						"value", hex(b[i].value), "name", b[i].name, "meaning", b[i].meaning));
	return list;
}

static json_t *insn_json(const struct exit_state *st)
{
	const struct explain *x = &st->x;
	json_t *j = json_object();
	char bytes[3 * EXIT_INSN_BYTES + 1] = "";

	for (unsigned i = 0; i < st->x.insn_len && i < st->n_bytes; i++)
		snprintf(bytes + 2 * i, sizeof(bytes) - 2 * i, "%02x", st->bytes[i]);
	if (st->e.has & VIEW_HAS_RIP)
		json_object_set_new(j, "rip", hex(st->e.rip));
	json_object_set_new(j, "symbol", text(st->where));
	json_object_set_new(j, "length", number(st->e.insn_len));
	json_object_set_new(j, "bytes", text(bytes));
	json_object_set_new(j, "bytes_note", text(st->bytes_when));
	json_object_set_new(j, "text", text(x->insn));
	json_object_set_new(j, "text_missing", text(x->insn_why));
	return j;
}

static json_t *class_json(const struct explain *x)
{
	json_t *j = json_pack("{s:s, s:s}", "name", pg_class_name(x->class), "text", x->class_text);

	if (x->row) {
		json_object_set_new(j, "form", text(x->row->form));
		json_object_set_new(j, "sentence", text(x->row->sentence));
		json_object_set_new(j, "group", text(sensitive_group_name((enum sensitive_group)x->row->group)));
		json_object_set_new(j, "control", text(sensitive_control_name(x->row)));
		json_object_set_new(j, "source", text(x->row->source));
	}
	return j;
}

static json_t *cost_json(const struct exit_state *st)
{
	const struct explain *x = &st->x;
	json_t *parts = json_array();
	json_t *j =
	    json_pack("{s:s, s:b}", "source", x->cost_source, "modelled", (st->e.has & VIEW_COST_MODELLED) != 0);

	for (unsigned i = 0; i < x->n_cost; i++)
		json_array_append_new(
		    parts, json_pack("{s:s, s:o}", "name", x->cost[i].name, "ns", number(x->cost[i].ns)));
	json_object_set_new(j, "ns", x->n_cost ? number(x->cost_ns) : json_null());
	json_object_set_new(j, "mean_ns", st->mean_ns ? number(st->mean_ns) : json_null());
	json_object_set_new(j, "parts", parts);
	return j;
}

static json_t *raw_json(const struct exit_state *st)
{
	json_t *j = json_object();
	struct exit_field f;

	for (unsigned i = 0; exit_raw_field(st, i, &f); i++)
		json_object_set_new(j, f.name, text(f.value));
	return j;
}

static json_t *list_json(const struct exit_state *st)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < st->n_list; i++) {
		const struct exit_neighbour *n = &st->list[i];
		json_array_append_new(list,
		    json_pack("{s:o, s:o, s:s, s:o, s:b, s:b}", "number",
			n->number == UINT64_MAX ? json_null() : number(n->number), "reason", number(n->reason), "name",
			n->name, "time_ns", number(n->ts_ns), "marked", n->marked, "passes_filter", n->shown));
	}
	return list;
}

json_t *exit_json(const struct exit_state *st)
{
	const struct explain *x = &st->x;
	json_t *did = json_array(), *j;

	if (!st->have) {
		json_decref(did);
		return json_pack("{s:s, s:n, s:s}", "view", "exit", "exit", "missing", st->missing);
	}
	for (unsigned i = 0; i < x->n_did; i++)
		json_array_append_new(did, text(x->did[i]));
	j = json_object();
	json_object_set_new(j, "view", text("exit"));
	json_object_set_new(j, "exit", number(st->e.number));
	json_object_set_new(j, "exits", number(st->exits));
	json_object_set_new(j, "same_reason", number(st->same));
	json_object_set_new(j, "marked", json_boolean(st->marked));
	json_object_set_new(j, "reason", number(st->e.reason));
	json_object_set_new(j, "title", text(x->title));
	json_object_set_new(j, "aliases", text(x->aliases));
	json_object_set_new(j, "sentence", text(x->sentence));
	json_object_set_new(j, "sdm", text(x->sdm));
	json_object_set_new(j, "why", text(x->why));
	json_object_set_new(j, "controls", text(st->info.controls));
	json_object_set_new(j, "instruction", insn_json(st));
	json_object_set_new(j, "class", class_json(x));
	json_object_set_new(j, "qualification", hex(st->e.qual));
	json_object_set_new(j, "qualification_title", x->qual_title ? text(x->qual_title) : json_null());
	json_object_set_new(j, "qualification_bits", bits_json(x->qual, x->n_qual));
	json_object_set_new(j, "interruption_bits", bits_json(x->intr, x->n_intr));
	json_object_set_new(j, "did", did);
	json_object_set_new(j, "verdict", text(verdict_of(&st->e)));
	json_object_set_new(j, "cost", cost_json(st));
	json_object_set_new(j, "avoid", text(x->avoid));
	json_object_set_new(j, "recorded", raw_json(st));
	json_object_set_new(j, "around", list_json(st));
	return j;
}
