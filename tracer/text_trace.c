/*
 * The text that "trace-cmd report" prints, for traces of which nothing else is left (a mail, a bug report):
 *
 *   qemu-1234 [001] 12.345678: kvm_exit: reason HLT rip 0xffffffff81000000 info 0 0            the plugin's style
 *   qemu-1234 [001] 12.345678: kvm_exit: vcpu 0 reason HLT rip 0x... info1 0x... info2 0x...   the kernel's own style
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tracer/reader_impl.h"

struct text_line {
	uint64_t ts;
	unsigned cpu;
	int32_t pid;
	char event[48];
	const char *rest;
};

/* "-1234 [001]": the pid is before the CPU, behind the last dash. Names may hold dashes, blanks and brackets. */
static bool parse_task(const char *line, struct text_line *l, const char **rest)
{
	for (const char *b = strchr(line, '['); b; b = strchr(b + 1, '[')) {
		const char *p = b;
		char *end;
		unsigned long cpu = strtoul(b + 1, &end, 10);

		if (end == b + 1 || *end != ']' || cpu >= READER_CPUS_MAX)
			continue;
		while (p > line && isspace((unsigned char)p[-1]))
			p--;
		while (p > line && isdigit((unsigned char)p[-1]))
			p--;
		if (p == line || p[-1] != '-')
			continue;
		l->pid = (int32_t)strtol(p, NULL, 10);
		l->cpu = (unsigned)cpu;
		*rest = end + 1;
		return true;
	}
	return false;
}

/* "12.345678:" or "12.345678901:"; a few flags may stand before it. */
static bool parse_time(const char *p, struct text_line *l, const char **rest)
{
	for (unsigned word = 0; word < 3; word++) {
		char *end;
		uint64_t frac = 0;
		unsigned digits = 0;

		while (isspace((unsigned char)*p))
			p++;
		errno = 0;
		unsigned long long sec = strtoull(p, &end, 10);

		if (isdigit((unsigned char)*p) && *end == '.' && errno == 0 && sec < 1ull << 34) {
			for (end++; isdigit((unsigned char)*end) && digits < 9; end++, digits++)
				frac = frac * 10 + (uint64_t)(*end - '0');
			if (*end == ':' && digits > 0) {
				for (; digits < 9; digits++)
					frac *= 10;
				l->ts = sec * 1000000000ull + frac;
				*rest = end + 1;
				return true;
			}
		}
		while (*p && !isspace((unsigned char)*p))
			p++;
	}
	return false;
}

static bool parse_event_name(const char *p, struct text_line *l)
{
	size_t n;

	while (isspace((unsigned char)*p))
		p++;
	n = strcspn(p, ": \t\n");
	if (n == 0 || p[n] != ':' || n >= sizeof(l->event))
		return false;
	memcpy(l->event, p, n);
	l->event[n] = '\0';
	for (p += n + 1; *p == ' ' || *p == '\t'; p++)
		;
	l->rest = p;
	return true;
}

static bool parse_line(const char *line, struct text_line *l)
{
	const char *p;

	return parse_task(line, l, &p) && parse_time(p, l, &p) && parse_event_name(p, l);
}

/* "CPU:0 [123 EVENTS DROPPED]" */
static bool parse_dropped(const char *line, uint64_t *n)
{
	const char *b = strchr(line, '[');
	char *end;

	if (strncmp(line, "CPU:", 4) != 0 || !b || !strstr(b, "EVENTS DROPPED"))
		return false;
	*n = strtoull(b + 1, &end, 10);
	return true;
}

/* The next line that is an event; r->line holds it. */
static bool next_line(struct trace_reader *r, struct text_line *l)
{
	ssize_t n;
	uint64_t dropped;

	while ((n = getline(&r->line, &r->line_cap, r->text)) > 0) {
		r->line_no++;
		if (r->line[n - 1] == '\n')
			r->line[n - 1] = '\0';
		if (parse_dropped(r->line, &dropped)) {
			r->lost += dropped;
			r->lost_unknown |= dropped == 0;
		} else if (parse_line(r->line, l)) {
			return true;
		} else if (strstr(r->line, "kvm_")) {
			reader_note(r, "line %llu is not understood", (unsigned long long)r->line_no);
		}
	}
	return false;
}

bool text_next(struct trace_reader *r, struct trace_event *e)
{
	struct text_line l;

	if (!next_line(r, &l))
		return false;
	*e = (struct trace_event){.ts = l.ts, .cpu = l.cpu, .pid = l.pid, .line = r->line};
	return true;
}

/* The number behind a word: "rip 0x10" for "rip". */
static bool number_after(const char *p, const char *word, uint64_t *v)
{
	size_t n = strlen(word);

	for (const char *at = p; (at = strstr(at, word)); at += n) {
		char *end;

		if ((at != p && at[-1] != ' ') || at[n] != ' ')
			continue;
		*v = strtoull(at + n, &end, 0);
		return end != at + n;
	}
	return false;
}

/* The name between "reason " and " rip ": VT-x names, SVM names (some with a blank), or a number. */
static bool parse_reason(const char *p, struct exit_row *row)
{
	const char *at = strstr(p, "reason "), *end = at ? strstr(at, " rip ") : NULL;
	char name[48];
	int64_t code;
	char *stop;

	if (!end || (size_t)(end - at - 7) >= sizeof(name))
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)(end - at - 7), at + 7);
	row->isa = ISA_VMX;
	if ((code = exit_reason_by_name(name)) < 0 && (code = svm_exit_by_name(name)) >= 0)
		row->isa = ISA_SVM;
	if (code < 0) { /* "UNKNOWN (80)", "0x50" */
		const char *digits = strpbrk(name, "0123456789");

		if (!digits)
			return false;
		code = strtoll(digits, &stop, 0);
	}
	row->reason = (uint32_t)code;
	return true;
}

static void text_exit(struct trace_reader *r, struct reader_track *t, const struct text_line *l)
{
	struct exit_row row = {.ts = l->ts, .pid = l->pid, .vcpu = t->vcpu, .observed = OBSERVED_KERNEL};
	uint64_t vcpu;

	if (!parse_reason(l->rest, &row)) {
		reader_note(r, "line %llu has no exit reason that is known", (unsigned long long)r->line_no);
		return;
	}
	row.has_rip = number_after(l->rest, "rip", &row.rip);
	if (number_after(l->rest, "vcpu", &vcpu))
		row.vcpu = (uint32_t)vcpu;
	if (!number_after(l->rest, "info1", &row.info1)) {
		const char *info = strstr(l->rest, " info ");

		if (info) { /* hexadecimal without 0x: the plugin prints "info %llx %llx" */
			char *end;

			row.info1 = strtoull(info + 6, &end, 16);
			row.info2 = strtoull(end, NULL, 16);
		}
	}
	number_after(l->rest, "info2", &row.info2);
	t->row = row;
	t->open = true;
}

/* Our own event says what the exit cost; guest time alone does not. */
static void text_verdict(struct exit_row *row, const char *p)
{
	const char *by = strstr(p, "observed by ");

	for (unsigned o = 0; by && o < OBSERVED_COUNT; o++) {
		const char *name = exit_observed_name((enum exit_observed)o);

		if (strncmp(by + 12, name, strlen(name)) == 0 && by[12 + strlen(name)] == ',')
			row->observed = (uint8_t)o;
	}
	row->has_cost = number_after(p, "cost", &row->cost_ns);
	row->modelled = strstr(p, " ns modelled,") != NULL;
}

void text_rows(struct trace_reader *r, void (*row)(void *arg, const struct exit_row *row), void *arg)
{
	struct text_line l;
	struct reader_track *t;

	while (next_line(r, &l)) {
		bool is_exit = strcmp(l.event, "kvm_exit") == 0;

		if (strcmp(l.event, "verdict") == 0 && (t = reader_track(r, l.pid)) && t->open)
			text_verdict(&t->row, l.rest);
		if ((!is_exit && strcmp(l.event, "kvm_entry") != 0) || !(t = reader_track(r, l.pid)))
			continue;
		if (t->open && !is_exit && !t->row.has_cost && l.ts >= t->row.ts) {
			t->row.cost_ns = l.ts - t->row.ts;
			t->row.has_cost = true;
		}
		if (t->open)
			row(arg, &t->row);
		t->open = false;
		if (is_exit)
			text_exit(r, t, &l);
	}
}
