/*
 * Generates tracefs format texts from events.def.
 *
 * A trace without its formats is a heap of bytes: ftrace stores, beside the records, one text for each event that says
 * where every field lies and how to print it. Whoever writes such texts can be read by every tool of the kernel world.
 */
#include "tracer/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/exit.h"
#include "core/probe.h"
#include "core/vm.h"

/* One field table for each event. */
#define EVENT(system, name, doc) static const struct event_field fields_##name[] = {
#define FIELD(event, ctype, decl_, member)                    \
	{.decl = (decl_),                                     \
	    .offset = offsetof(struct event_##event, member), \
	    .size = sizeof(ctype),                            \
	    .is_signed = (ctype)-1 < (ctype)1},
#define TEXT(event, len, member) \
	{.decl = "char " #member "[" #len "]", .offset = offsetof(struct event_##event, member), .size = (len)},
#define PRINT(event, fmt, args) \
	}                       \
	;
#include "tracer/events.def"
#undef EVENT
#undef FIELD
#undef TEXT
#undef PRINT

#define FIELD(event, ctype, decl, member)
#define TEXT(event, len, member)
#define EVENT(system_, name_, doc_)                                                          \
	{                                                                                    \
		.system = #system_, .name = #name_, .doc = (doc_), .fields = fields_##name_, \
		.n_fields = ARRAY_LEN(fields_##name_), .size = sizeof(struct event_##name_), .id = EVENT_ID_##name_,
#define PRINT(event, fmt_, args_)      \
	.fmt = (fmt_), .args = (args_) \
	}                              \
	,
static const struct event_desc events[] = {
#include "tracer/events.def"
};
#undef EVENT
#undef FIELD
#undef TEXT
#undef PRINT

/* KVM_EXIT_* of <linux/kvm.h>: what a process sees. The numbers are Linux's ABI. */
static const char *const kvm_exits[] = {"UNKNOWN", "EXCEPTION", "IO", "HYPERCALL", "DEBUG", "HLT", "MMIO",
    "IRQ_WINDOW_OPEN", "SHUTDOWN", "FAIL_ENTRY", "INTR", "SET_TPR", "TPR_ACCESS", "S390_SIEIC", "S390_RESET", "DCR",
    "NMI", "INTERNAL_ERROR", "OSI", "PAPR_HCALL", "S390_UCONTROL", "WATCHDOG", "S390_TSCH", "EPR", "SYSTEM_EVENT",
    "S390_STSI", "IOAPIC_EOI", "HYPERV", "ARM_NISV", "X86_RDMSR", "X86_WRMSR"};

const char *kvm_user_exit_name(uint32_t reason)
{
	return reason < ARRAY_LEN(kvm_exits) ? kvm_exits[reason] : NULL;
}

const struct event_desc *event_at(size_t i)
{
	return i < ARRAY_LEN(events) ? &events[i] : NULL;
}

const struct event_desc *event_desc(int id)
{
	return id >= EVENT_ID_BASE ? event_at((size_t)(id - EVENT_ID_BASE)) : NULL;
}

/* The tables behind $table(field). */
static void print_exit_rows(FILE *f)
{
#define EXIT(num, name, class, sentence, sdm) fputs(", { " #num ", \"" #name "\" }", f);
#include "core/exits.def"
#undef EXIT
}

static void print_end_rows(FILE *f)
{
	for (int k = 0; k < END_COUNT; k++)
		fprintf(f, ", { %d, \"%s\" }", k, end_name((enum end_kind)k));
}

static void print_verdict_rows(FILE *f)
{
	for (int v = 0; v < VERDICT_COUNT; v++)
		fprintf(f, ", { %d, \"%s\" }", v, verdict_name((enum verdict)v));
}

static void print_observed_rows(FILE *f)
{
	for (int o = 0; o < OBSERVED_COUNT; o++)
		fprintf(f, ", { %d, \"%s\" }", o, exit_observed_name((enum exit_observed)o));
}

static void print_kvm_rows(FILE *f)
{
	for (size_t i = 0; i < ARRAY_LEN(kvm_exits); i++)
		fprintf(f, ", { %zu, \"KVM_EXIT_%s\" }", i, kvm_exits[i]);
}

static void print_vector_rows(FILE *f)
{
	static const char *const names[] = {"DE", "DB", "NMI", "BP", "OF", "BR", "UD", "NM", "DF", NULL, "TS", "NP",
	    "SS", "GP", "PF", NULL, "MF", "AC", "MC", "XM", "VE", "CP"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i])
			fprintf(f, ", { %zu, \"#%s\" }", i, names[i]);
}

static const struct {
	const char *name;
	void (*rows)(FILE *f);
} tables[] = {
    {"exit", print_exit_rows},
    {"end", print_end_rows},
    {"verdict", print_verdict_rows},
    {"observed", print_observed_rows},
    {"kvm", print_kvm_rows},
    {"vector", print_vector_rows},
};

/* Expands one $table(field) at p (after the '$'); returns where the text goes on. */
static const char *expand_table(FILE *f, const char *p)
{
	const char *open = strchr(p, '('), *close = strchr(p, ')');

	for (size_t i = 0; open && close && i < ARRAY_LEN(tables); i++) {
		size_t n = strlen(tables[i].name);

		if ((size_t)(open - p) != n || strncmp(p, tables[i].name, n) != 0)
			continue;
		fprintf(f, "__print_symbolic(REC->%.*s", (int)(close - open - 1), open + 1);
		tables[i].rows(f);
		fputc(')', f);
		return close + 1;
	}
	return p; /* left as it is: the unit test of the formats then fails to parse it */
}

static void print_field(FILE *f, const char *decl, uint32_t offset, uint32_t size, bool is_signed)
{
	fprintf(f, "\tfield:%s;\toffset:%u;\tsize:%u;\tsigned:%d;\n", decl, offset, size, is_signed);
}

char *event_format_text(const struct event_desc *d)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return NULL;
	fprintf(f, "name: %s\nID: %d\nformat:\n", d->name, d->id);
	print_field(f, "unsigned short common_type", 0, 2, false);
	print_field(f, "unsigned char common_flags", 2, 1, false);
	print_field(f, "unsigned char common_preempt_count", 3, 1, false);
	print_field(f, "int common_pid", 4, 4, true);
	fputc('\n', f);
	for (uint32_t i = 0; i < d->n_fields; i++)
		print_field(f, d->fields[i].decl, d->fields[i].offset, d->fields[i].size, d->fields[i].is_signed);
	fprintf(f, "\nprint fmt: \"%s\", ", d->fmt);
	for (const char *p = d->args; *p;) {
		if (*p == '$')
			p = expand_table(f, p + 1);
		else
			fputc(*p++, f);
	}
	fputc('\n', f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

char *events_markdown(void)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return NULL;
	fputs("| event | fields | meaning |\n| --- | --- | --- |\n", f);
	for (size_t i = 0; i < EVENT_COUNT; i++) {
		fprintf(f, "| `%s:%s` | ", events[i].system, events[i].name);
		for (uint32_t k = 0; k < events[i].n_fields; k++)
			fprintf(f, "%s`%s`", k ? ", " : "", events[i].fields[k].decl);
		fprintf(f, " | %s |\n", events[i].doc);
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
