/*
 * Writes trace.dat, version 6: the file of trace-cmd, KernelShark and everything built on libtraceevent.
 *
 *   header      magic, layout of a ring-buffer page, format texts of all events, names of processes
 *   options     clock, number of CPUs, who wrote it
 *   table       for each lane (a "CPU" to the tools: one for each vCPU) where its pages lie
 *   pages       4096 bytes each, as the kernel's ring buffer holds them: events with their distance in time
 *
 * Lane 0 streams to its place at the end of the file; the others go to spool files beside it (FILE.cpu1, ...) and are
 * moved behind it by trace_dat_close(). An event is accepted only when the disk space of its page is reserved already,
 * so what was accepted is written, even on a disk that is full. Owned by one thread, which should have SIGXFSZ blocked.
 */
#ifndef VMSCOPE_TRACER_TRACE_DAT_H
#define VMSCOPE_TRACER_TRACE_DAT_H

#include <sys/types.h>

#include "core/err.h"

#define TRACE_DAT_PAGE 4096u
#define TRACE_DAT_EVENT_MAX 2048u /* bytes of one event */
#define TRACE_DAT_LANES_MAX 512u

/* How the file is written; replaced by tests to fail at the n-th call. Both return what the system call would:
 * pwrite() the bytes or -1 with errno, reserve() 0 or an errno value. */
struct trace_dat_io {
	ssize_t (*pwrite)(void *arg, int fd, const void *buf, size_t n, off_t off);
	int (*reserve)(void *arg, int fd, off_t off, off_t len);
};

/* A format text of a host kernel, to go in verbatim beside ours. */
struct trace_dat_format {
	const char *system, *text;
};

struct trace_dat_config {
	const char *path;
	unsigned lanes;	    /* 1 .. TRACE_DAT_LANES_MAX */
	const char *clock;  /* as tools know it: "mono"; names that start so are shown as nanoseconds too */
	const char *writer; /* who wrote it: "vmscope 0.1" */
	const char *comm;   /* name of the guest: shown as the process of pids 1 .. pids */
	unsigned pids;
	const char *cmdlines; /* more "pid name" lines, from a host; may be NULL */
	const struct trace_dat_format *formats;
	size_t n_formats;
	const struct trace_dat_io *io; /* NULL: the system's */
	void *io_arg;
};

struct trace_dat;

enum err trace_dat_create(const struct trace_dat_config *cfg, struct trace_dat **out, struct errmsg *why) MUST_CHECK;
/*
 * Appends one record (starting with struct event_common). ts does not go back within a lane (it is moved up if it
 * does). lost: how many events were dropped just before it. ERR_NOSPC, ERR_IO: not accepted, nor will any later one be;
 * trace_dat_close() says why.
 */
enum err trace_dat_write(struct trace_dat *td, unsigned lane, uint64_t ts, const void *data, size_t n, uint64_t lost);
/* Events accepted so far. */
uint64_t trace_dat_events(const struct trace_dat *td);
/* Finishes the file and frees td. ERR_NOSPC or ERR_IO when something was refused; the file is readable all the same. */
enum err trace_dat_close(struct trace_dat *td, struct errmsg *why);

/* Header and options up to the table of lanes: malloc'ed bytes, *n of them. The table comes next. */
void *trace_dat_header(const struct trace_dat_config *cfg, size_t *n);

#endif
