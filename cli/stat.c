/*
 * vmscope stat TRACE: the exits of a trace by reason, place, vCPU or guest, in the columns of "perf kvm stat".
 */
#include <argp.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/result.h"
#include "tracer/reader.h"

struct stat_options {
	const char *trace;
	enum stats_by by;
	bool json;
};

enum { KEY_BY = 256, KEY_JSON };

static const struct argp_option options[] = {
    {.name = "by", .key = KEY_BY, .arg = "WHAT", .doc = "group by reason (default), rip, vcpu or guest"},
    {.name = "json", .key = KEY_JSON, .doc = "one JSON object instead of the table"},
    {0},
};

static bool parse_by(const char *arg, enum stats_by *by)
{
	static const char *const names[] = {"reason", "rip", "vcpu", "guest"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(arg, names[i]) == 0) {
			*by = (enum stats_by)i;
			return true;
		}
	return false;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct stat_options *o = state->input;

	switch (key) {
	case KEY_BY:
		return parse_by(arg, &o->by) ? 0 : cli_usage("--by %s: it is reason, rip, vcpu or guest", arg);
	case KEY_JSON:
		o->json = true;
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
    .doc = "The VM exits of a trace: how many, how long, where. TRACE is a trace.dat of \"vmscope run --trace\" or of "
	   "\"trace-cmd record -e kvm\" (version 6), or the text that \"trace-cmd report\" prints.",
};

static void print_head(struct trace_reader *r, const struct stat_options *o)
{
	const struct event_session *s = reader_session(r);

	if (s)
		printf("%s: guest %s, %s/%s (%s), controls %s, %s time, cost profile %s\n\n", o->trace, s->guest,
		    s->mode, s->type == 1 ? "I" : "II", s->backend, s->controls, s->clock,
		    strcmp(s->cost, "-") == 0 ? "none" : s->cost);
	else
		printf(
		    "%s: recorded elsewhere%s%s\n\n", o->trace, reader_clock(r)[0] ? ", clock " : "", reader_clock(r));
}

static json_t *text_of(const char *text)
{
	json_t *j = text ? json_string(text) : NULL;

	return j ? j : json_null();
}

static int print_json(struct trace_reader *r, const struct stat_options *o, const struct exit_stats *stats)
{
	const struct event_session *s = reader_session(r);
	json_t *j = json_object();
	int bad = 0;

	bad |= json_object_set_new(j, "trace", text_of(o->trace));
	bad |= json_object_set_new(j, "guest", text_of(s ? s->guest : NULL));
	bad |= json_object_set_new(j, "mode", text_of(s ? s->mode : NULL));
	bad |= json_object_set_new(j, "type", s ? json_integer(s->type) : json_null());
	bad |= json_object_set_new(j, "backend", text_of(s ? s->backend : NULL));
	bad |= json_object_set_new(j, "controls", text_of(s ? s->controls : NULL));
	bad |= json_object_set_new(j, "clock", text_of(s ? s->clock : reader_clock(r)[0] ? reader_clock(r) : NULL));
	bad |= json_object_set_new(j, "exits", stats_json(stats));
	bad |= json_object_set_new(j, "damage", text_of(reader_damage(r)));
	if (bad) {
		json_decref(j);
		j = NULL;
	}
	return json_print(j);
}

int cmd_stat(int argc, char **argv)
{
	struct stat_options o = {.by = STATS_BY_REASON};
	struct trace_reader *r;
	struct exit_stats *stats;
	struct errmsg why = {""};
	enum err e;
	int status = cli_parse(&argp, argc, argv, &o);

	if (status != 0)
		return status;
	e = reader_open(o.trace, &r, &why);
	if (e != ERR_OK)
		return cli_fail_trace(e, &why);
	stats = stats_new(o.by);
	if (!stats) {
		reader_close(r);
		return cli_fail_err(ERR_NOMEM, NULL);
	}
	reader_stats(r, stats);
	if (o.json) {
		status = print_json(r, &o, stats);
	} else {
		print_head(r, &o);
		stats_print(stats, stdout, cli_columns(stdout));
	}
	if (status == 0 && reader_damage(r))
		status = cli_fail(CLI_USAGE, "%s: %s; shown is what could be read", o.trace, reader_damage(r));
	stats_free(stats);
	reader_close(r);
	return status;
}
