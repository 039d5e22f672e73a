/* What the parts of the reader share. */
#ifndef VMSCOPE_TRACER_READER_IMPL_H
#define VMSCOPE_TRACER_READER_IMPL_H

#include <stdio.h>
#include <sys/types.h>

#include "tracer/format_check.h"
#include "tracer/kernel.h"
#include "tracer/reader.h"

#define READER_CPUS_MAX 4096u
/* A record, and behind it zeros as far as a format that was accepted can reach. */
#define READER_RECORD_MAX (FORMAT_REACH + 65536)

struct reader_lane {
	off_t start;
	off_t off, end; /* of the pages that are still to be read */
	uint8_t *page;
	uint32_t at, used; /* next event and end of data in the page */
	uint64_t ts;	   /* of the event before it */
	bool have;	   /* ev_* describe an event that nobody took yet */
	uint64_t ev_ts;
	uint32_t ev_at, ev_size;
	uint64_t lost;
	bool lost_unknown;
};

/* One thread of a host: a vCPU. Rows are built here. */
struct reader_track {
	int32_t pid;
	uint32_t vcpu;
	bool open, runs_guest; /* runs_guest: had a kvm_exit or kvm_entry */
	uint64_t index, prev_insns;
	enum kernel_insn insn;
	struct exit_row row;
};

/* Which event it is, by name; the rows are built from these. */
enum reader_kind {
	KIND_UNKNOWN,
	KIND_OTHER,
	KIND_ENTRY,
	KIND_EXIT,
	KIND_USERSPACE_EXIT,
	KIND_PIO,
	KIND_MMIO,
	KIND_MSR,
	KIND_CR,
	KIND_CPUID,
	KIND_EMULATE,
	KIND_SESSION,
	KIND_VERDICT,
	KIND_LOST
};

struct reader_format {
	struct tep_event *event; /* NULL: none or unusable */
	uint32_t min_size;
	uint8_t kind; /* enum reader_kind */
};

struct trace_reader {
	char *path;
	int fd;
	off_t size;
	FILE *text; /* text input; then the rest up to session is unused */
	struct tep_handle *tep;
	uint32_t page_size, page_head, commit_size;
	int64_t ts_offset;
	unsigned n_lanes;
	struct reader_lane *lanes;
	uint8_t *record;
	size_t record_used;	       /* bytes that may not be zero */
	struct reader_format *formats; /* 65536, by number */
	char clock[64];
	char damage[200];
	bool has_session;
	struct event_session session;
	struct reader_track *tracks;
	size_t n_tracks, cap_tracks;
	uint64_t lost, emulated, uncertain_cpuid;
	bool lost_unknown, nomem;
	char *line; /* text */
	size_t line_cap;
	uint64_t line_no;
};

void reader_note(struct trace_reader *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Back to the first event: all is read again. */
void reader_rewind(struct trace_reader *r);
bool reader_read_at(struct trace_reader *r, off_t off, void *buf, size_t n);
/* The container up to the table of CPUs. */
enum err reader_parse_head(struct trace_reader *r, struct errmsg *why);

/* text_trace.c */
bool text_next(struct trace_reader *r, struct trace_event *e);
void text_rows(struct trace_reader *r, void (*row)(void *arg, const struct exit_row *row), void *arg);

/* rows */
struct reader_track *reader_track(struct trace_reader *r, int32_t pid);

#endif
