/*
 * vmscope report TRACE: one line an event, in the columns of "trace-cmd report", through libtraceevent's printing and
 * its filter language.
 */
#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <traceevent/event-parse.h>

#include "cli/cli.h"
#include "tracer/filter.h"
#include "tracer/reader.h"

struct report_options {
	const char *trace, *filter;
	bool ns;
};

enum { KEY_FILTER = 256, KEY_NS };

static const struct argp_option options[] = {
    {.name = "filter",
	.key = KEY_FILTER,
	.arg = "FILTER",
	.doc = "only events that match, e.g. kvm_exit:exit_reason==10"},
    {.name = "ns", .key = KEY_NS, .doc = "time stamps in nanoseconds instead of microseconds"},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct report_options *o = state->input;

	switch (key) {
	case KEY_FILTER:
		o->filter = arg;
		return 0;
	case KEY_NS:
		o->ns = true;
		return 0;
	case ARGP_KEY_ARG:
		if (o->trace)
			return cli_usage("%s: one trace at a time", arg);
		o->trace = arg;
		return 0;
	case ARGP_KEY_END:
		return o->trace ? 0 : cli_usage("no trace: name a trace.dat, or the text of trace-cmd report");
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "TRACE",
    .doc = "Prints the events of a trace, one line each. A filter is EVENT:CONDITION or SYSTEM/EVENT:CONDITION, with "
	   "the fields of the event: kvm_exit:exit_reason==30 && vcpu_id==0.",
};

/* What our own check lets pass, libtraceevent may still refuse (a string for a number); it says so in several lines. */
static int filter_error(struct tep_event_filter *f, enum tep_errno e, const char *filter)
{
	char text[512] = "", line[512];
	size_t n = 0;

	tep_filter_strerror(f, e, text, sizeof(text));
	for (const char *p = text; *p && n + 1 < sizeof(line); p++)
		if (!(*p == '\n' || *p == ' ') || (n > 0 && line[n - 1] != ' '))
			line[n++] = *p == '\n' ? ' ' : *p;
	while (n > 0 && line[n - 1] == ' ')
		n--;
	line[n] = '\0';
	return cli_usage("--filter '%s': %s", filter, line);
}

static void print_time(struct trace_reader *r, const struct report_options *o, uint64_t ts)
{
	if (!reader_clock_is_ns(r))
		printf(" %12" PRIu64 ":", ts);
	else if (o->ns)
		printf(" %5" PRIu64 ".%09" PRIu64 ":", ts / 1000000000, ts % 1000000000);
	else
		printf(" %5" PRIu64 ".%06" PRIu64 ":", (ts + 500) / 1000000000, (ts + 500) % 1000000000 / 1000);
}

static void print_event(struct trace_reader *r, const struct report_options *o, const struct trace_event *e,
    struct tep_record *rec, struct trace_seq *seq)
{
	char name[64];

	printf("%16s-%-5d [%03u]", tep_data_comm_from_pid(reader_tep(r), e->pid), e->pid, e->cpu);
	print_time(r, o, e->ts);
	if (!e->format) {
		printf(" [no format for event %d, %zu bytes]\n", tep_data_type(reader_tep(r), rec), e->size);
		return;
	}
	snprintf(name, sizeof(name), "%s:", e->format->name);
	trace_seq_reset(seq);
	tep_print_event(reader_tep(r), seq, rec, "%s", TEP_PRINT_INFO);
	trace_seq_terminate(seq);
	printf(" %-21s %s\n", name, seq->buffer);
}

static void report_events(struct trace_reader *r, const struct report_options *o, struct tep_event_filter *f)
{
	struct trace_event e;
	struct trace_seq seq;

	trace_seq_init(&seq);
	printf("cpus=%u\n", reader_cpus(r));
	while (reader_next(r, &e)) {
		struct tep_record rec = {
		    .ts = e.ts, .cpu = (int)e.cpu, .size = (int)e.size, .record_size = (int)e.size};

		memcpy(&rec.data, &e.data, sizeof(rec.data)); /* the library's record is not const; it only reads */
		if (e.lost_unknown)
			printf("CPU:%u [EVENTS DROPPED]\n", e.cpu);
		else if (e.lost_before)
			printf("CPU:%u [%" PRIu64 " EVENTS DROPPED]\n", e.cpu, e.lost_before);
		if (e.size < sizeof(struct event_common) ||
		    (o->filter && (!e.format || tep_filter_match(f, &rec) != TEP_ERRNO__FILTER_MATCH)))
			continue;
		print_event(r, o, &e, &rec, &seq);
	}
	trace_seq_destroy(&seq);
}

static int report_binary(struct trace_reader *r, const struct report_options *o)
{
	struct tep_event_filter *f = tep_filter_alloc(reader_tep(r));
	enum tep_errno e = TEP_ERRNO__SUCCESS;
	struct errmsg why = {""};
	int status = CLI_OK;

	if (!f)
		return cli_fail_err(ERR_NOMEM, NULL);
	if (o->filter && filter_check(reader_tep(r), o->filter, &why) != ERR_OK)
		status = cli_fail_err(ERR_INVAL, &why);
	else if (o->filter && (e = tep_filter_add_filter_str(f, o->filter)) != TEP_ERRNO__SUCCESS)
		status = filter_error(f, e, o->filter);
	else
		report_events(r, o, f);
	tep_filter_free(f);
	return status;
}

static int report_text(struct trace_reader *r, const struct report_options *o)
{
	struct trace_event e;

	if (o->filter)
		return cli_usage("--filter needs a trace.dat: %s is text", o->trace);
	while (reader_next(r, &e))
		puts(e.line);
	return CLI_OK;
}

int cmd_report(int argc, char **argv)
{
	struct report_options o = {0};
	struct trace_reader *r;
	struct errmsg why = {""};
	enum err e;
	int status = cli_parse(&argp, argc, argv, &o);

	if (status != 0)
		return status;
	e = reader_open(o.trace, &r, &why);
	if (e != ERR_OK)
		return cli_fail_trace(e, &why);
	status = reader_tep(r) ? report_binary(r, &o) : report_text(r, &o);
	if (status == CLI_OK && reader_damage(r))
		status = cli_fail(CLI_USAGE, "%s: %s; shown is what could be read", o.trace, reader_damage(r));
	if (status == CLI_OK && (fflush(stdout) != 0 || ferror(stdout)))
		status =
		    cli_fail(CLI_UNAVAILABLE, "stdout: the report could not be written: is the disk or pipe full?");
	reader_close(r);
	return status;
}
