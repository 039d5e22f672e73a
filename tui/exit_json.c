/*
 * The exit view's twin: the same exit as data, with every fact of the picture; and the fields as they were recorded,
 * which the picture has, too.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/probe.h"
#include "tui/exit_view.h"
#include "tui/stats_rows.h"

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

/* How a field is written. */
enum { AS_HEX, AS_NUMBER, AS_TEXT };

static const struct {
	const char *name;
	uint8_t as, needs; /* VIEW_HAS_*: without it the value is not known */
} raw_fields[RAW_COUNT] = {
    [RAW_NUMBER] = {"number", AS_NUMBER, 0},
    [RAW_REASON] = {"exit reason", AS_NUMBER, 0},
    [RAW_NUMBERING] = {"numbering", AS_TEXT, 0},
    [RAW_RIP] = {"guest RIP", AS_HEX, VIEW_HAS_RIP},
    [RAW_LENGTH] = {"instruction length", AS_NUMBER, 0},
    [RAW_QUAL] = {"exit qualification", AS_HEX, 0},
    [RAW_INFO2] = {"IDT-vectoring info", AS_HEX, 0},
    [RAW_INTR] = {"interruption info", AS_HEX, 0},
    [RAW_INTR_ERROR] = {"interruption error code", AS_HEX, 0},
    [RAW_GPA] = {"guest-physical address", AS_HEX, VIEW_HAS_VALUES},
    [RAW_VALUES_0] = {"operands, results [0]", AS_HEX, VIEW_HAS_VALUES},
    [RAW_VALUES_1] = {"operands, results [1]", AS_HEX, VIEW_HAS_VALUES},
    [RAW_VALUES_2] = {"operands, results [2]", AS_HEX, VIEW_HAS_VALUES},
    [RAW_VALUES_3] = {"operands, results [3]", AS_HEX, VIEW_HAS_VALUES},
    [RAW_VERDICT] = {"verdict", AS_TEXT, 0},
    [RAW_INJECTED] = {"injected after it", AS_TEXT, 0},
    [RAW_TIME] = {"guest time, ns", AS_NUMBER, 0},
    [RAW_INSNS] = {"instructions before it", AS_NUMBER, VIEW_HAS_DIRECT},
    [RAW_DIRECT] = {"since the exit before", AS_NUMBER, VIEW_HAS_DIRECT},
    [RAW_COST] = {"cost, ns", AS_NUMBER, VIEW_HAS_COST},
    [RAW_VCPU] = {"vCPU", AS_NUMBER, 0},
    [RAW_OBSERVED] = {"seen by", AS_TEXT, 0},
};

static uint64_t raw_number(const struct view_exit *e, unsigned i)
{
	const uint64_t values[RAW_COUNT] = {[RAW_NUMBER] = e->number,
	    [RAW_REASON] = e->reason,
	    [RAW_RIP] = e->rip,
	    [RAW_LENGTH] = e->insn_len,
	    [RAW_QUAL] = e->qual,
	    [RAW_INFO2] = e->info2,
	    [RAW_INTR] = e->intr_info,
	    [RAW_INTR_ERROR] = e->intr_error,
	    [RAW_GPA] = e->gpa,
	    [RAW_VALUES_0] = e->raw[0],
	    [RAW_VALUES_1] = e->raw[1],
	    [RAW_VALUES_2] = e->raw[2],
	    [RAW_VALUES_3] = e->raw[3],
	    [RAW_TIME] = e->ts_ns,
	    [RAW_INSNS] = e->insns,
	    [RAW_DIRECT] = e->direct,
	    [RAW_COST] = e->cost_ns,
	    [RAW_VCPU] = e->vcpu};

	return values[i];
}

static void raw_text(const struct view_exit *e, unsigned i, char *buf, size_t n)
{
	if (i == RAW_INJECTED)
		injected(e, buf, n);
	else
		snprintf(buf, n, "%s",
		    i == RAW_VERDICT	 ? verdict_of(e)
		    : i == RAW_NUMBERING ? isa_name(e->isa)
					 : exit_observed_name((enum exit_observed)e->observed));
}

bool exit_raw_field(const struct exit_state *st, unsigned i, struct exit_field *out)
{
	const struct view_exit *e = &st->e;

	if (i >= RAW_COUNT)
		return false;
	/* What other tools write there depends on the reason. */
	out->name = i == RAW_INFO2 && e->isa != ISA_VMX ? "info2" : raw_fields[i].name;
	if (raw_fields[i].needs & ~e->has)
		snprintf(out->value, sizeof(out->value), "not known");
	else if (raw_fields[i].as == AS_TEXT)
		raw_text(e, i, out->value, sizeof(out->value));
	else
		snprintf(out->value, sizeof(out->value), raw_fields[i].as == AS_HEX ? "%#" PRIx64 : "%" PRIu64 "%s",
		    raw_number(e, i), i == RAW_COST && e->has & VIEW_COST_MODELLED ? " (modelled)" : "");
	return true;
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

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
	json_object_set_new(j, "symbol", text_json(st->where));
	json_object_set_new(j, "source", text_json(st->source));
	json_object_set_new(j, "length", number(st->e.insn_len));
	json_object_set_new(j, "bytes", text_json(bytes));
	json_object_set_new(j, "bytes_note", text_json(st->bytes_when));
	json_object_set_new(j, "text", text_json(x->insn));
	json_object_set_new(j, "text_missing", text_json(x->insn_why));
	return j;
}

static json_t *class_json(const struct explain *x)
{
	json_t *j = json_pack("{s:s, s:s}", "name", pg_class_name(x->class), "text", x->class_text);

	if (x->row) {
		json_object_set_new(j, "form", text_json(x->row->form));
		json_object_set_new(j, "sentence", text_json(x->row->sentence));
		json_object_set_new(j, "group", text_json(sensitive_group_name((enum sensitive_group)x->row->group)));
		json_object_set_new(j, "control", text_json(sensitive_control_name(x->row)));
		json_object_set_new(j, "source", text_json(x->row->source));
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
		json_object_set_new(j, f.name, text_json(f.value));
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
		json_array_append_new(did, text_json(x->did[i]));
	j = json_object();
	json_object_set_new(j, "view", text_json("exit"));
	json_object_set_new(j, "exit", number(st->e.number));
	json_object_set_new(j, "exits", number(st->exits));
	json_object_set_new(j, "same_reason", number(st->same));
	json_object_set_new(j, "marked", json_boolean(st->marked));
	json_object_set_new(j, "reason", number(st->e.reason));
	json_object_set_new(j, "title", text_json(x->title));
	json_object_set_new(j, "aliases", text_json(x->aliases));
	json_object_set_new(j, "sentence", text_json(x->sentence));
	json_object_set_new(j, "sdm", text_json(x->sdm));
	json_object_set_new(j, "why", text_json(x->why));
	json_object_set_new(j, "controls", text_json(st->info.controls));
	json_object_set_new(j, "instruction", insn_json(st));
	json_object_set_new(j, "class", class_json(x));
	json_object_set_new(j, "qualification", hex(st->e.qual));
	json_object_set_new(j, "qualification_title", x->qual_title ? text_json(x->qual_title) : json_null());
	json_object_set_new(j, "qualification_bits", bits_json(x->qual, x->n_qual));
	json_object_set_new(j, "interruption_bits", bits_json(x->intr, x->n_intr));
	json_object_set_new(j, "did", did);
	json_object_set_new(j, "verdict", text_json(verdict_of(&st->e)));
	json_object_set_new(j, "cost", cost_json(st));
	json_object_set_new(j, "avoid", text_json(x->avoid));
	json_object_set_new(j, "recorded", raw_json(st));
	json_object_set_new(j, "around", list_json(st));
	return j;
}
