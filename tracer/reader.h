/*
 * Reads traces back: ours, and those that trace-cmd recorded elsewhere (trace.dat version 6, little-endian), through
 * libtraceevent; and the text that "trace-cmd report" prints. Events come in the order of time over all CPUs.
 *
 * The input is not trusted: every offset and size of the container is checked, formats that could hurt the library are
 * left out, and a file that ends in the middle gives what it holds. One thread.
 */
#ifndef VMSCOPE_TRACER_READER_H
#define VMSCOPE_TRACER_READER_H

#include "core/err.h"
#include "tracer/events.h"
#include "tracer/row.h"
#include "tracer/stats.h"

struct tep_event;
struct tep_handle;
struct trace_reader;

struct trace_event {
	uint64_t ts; /* ns (or what the clock counts) */
	unsigned cpu;
	int32_t pid;
	const void *data; /* the record; zeros follow it */
	size_t size;
	struct tep_event *format; /* NULL: an event without a (usable) format */
	uint64_t lost_before;	  /* events dropped just before it */
	bool lost_unknown;	  /* some were, nobody counted them */
	const char *line;	  /* text input: the line as it was */
};

/* ERR_NOENT, ERR_FORMAT, ERR_UNSUPPORTED with one line that says what to do. */
enum err reader_open(const char *path, struct trace_reader **out, struct errmsg *why) MUST_CHECK;
void reader_close(struct trace_reader *r);
/* The next event in time; false at the end. Valid until the next call. */
bool reader_next(struct trace_reader *r, struct trace_event *e);
/* What is wrong with the file, when something was; NULL: nothing so far. */
const char *reader_damage(const struct trace_reader *r);

struct tep_handle *reader_tep(struct trace_reader *r); /* NULL for text */
unsigned reader_cpus(const struct trace_reader *r);
const char *reader_clock(const struct trace_reader *r); /* "" when unknown */
/* True when time stamps are nanoseconds. */
bool reader_clock_is_ns(const struct trace_reader *r);
/* The session event of a trace of ours, once it was met; else NULL. */
const struct event_session *reader_session(const struct trace_reader *r);
/* Number in a field of the event; false when it has no such field. */
bool trace_event_number(const struct trace_event *e, const char *field, uint64_t *value);

/* Reads to the end and gives every exit as a row: exits with their cost (our verdict, or the time to the next entry),
 * user-space exits as child rows. */
void reader_rows(struct trace_reader *r, void (*row)(void *arg, const struct exit_row *row), void *arg);
/* The same, into statistics, with lost events. */
void reader_stats(struct trace_reader *r, struct exit_stats *s);

#endif
