/*
 * The private tracefs instance: made, armed, drained, removed. tracefs is a file system that is a control panel: mkdir
 * makes a separate ring buffer, a write to events/kvm/enable switches the tracepoints on for it alone, set_event_pid
 * narrows it to one thread, and per_cpu/cpuN/trace_pipe_raw hands over pages of binary records.
 *
 * Nobody may assume how those records look: fields have been added over the years, so every offset is taken from the
 * host's own format files through libtraceevent (kernel_decode.c). The one event that comes a million times a second
 * on a host that emulates, kvm_emulate_insn, is counted by a perf counter on the tracepoint: exact, and no record at
 * all. Where perf is not permitted it is recorded like the others, and what the ring dropped is reported as lost.
 */
#include "tracer/kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "tracer/kernel_decode.h"

#define TRACEFS_MAGIC_NUMBER 0x74726163
#define TRACEFS_DIR "/sys/kernel/tracing"
#define CPUS_MAX 256u
#define DRAIN_MS 5

struct kernel_trace {
	struct kernel_trace_config cfg;
	char root[64]; /* tracefs */
	char dir[128]; /* the instance */
	char note[160];
	struct kernel_decoder *decoder;
	unsigned n_cpus;
	int fds[CPUS_MAX]; /* trace_pipe_raw */
	int perf_fd;	   /* kvm_emulate_insn counter, or -1 */
	uint64_t perf_count;
	pthread_t reader;
	pthread_mutex_t lock; /* the decoder's counts */
	bool reading;
	volatile int stopping;
	uint64_t lost;
};

/* For removal at exit and on a signal: only what is safe there. */
static struct {
	struct kernel_trace *trace;
	char dir[128], on[144];
} cleanup;

static enum err write_file(const char *dir, const char *name, const char *text)
{
	char path[256];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES || errno == EPERM ? ERR_PERM : ERR_NOENT;
	n = write(fd, text, strlen(text));
	close(fd);
	return n == (ssize_t)strlen(text) ? ERR_OK : ERR_IO;
}

char *kernel_read_file(const char *dir, const char *name, size_t *n)
{
	char path[320], *buf;
	size_t cap = 64 * 1024;
	ssize_t r;
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	buf = malloc(cap);
	*n = 0;
	while (buf && *n < cap - 1 && (r = read(fd, buf + *n, cap - 1 - *n)) > 0)
		*n += (size_t)r;
	close(fd);
	if (buf)
		buf[*n] = '\0';
	return buf;
}

/* Async-signal-safe. */
static void remove_instance(void)
{
	struct kernel_trace *t = cleanup.trace;
	int fd;

	if (!t)
		return;
	cleanup.trace = NULL;
	fd = open(cleanup.on, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t ignored = write(fd, "0", 1);

		(void)ignored;
		close(fd);
	}
	for (unsigned i = 0; i < t->n_cpus; i++)
		if (t->fds[i] >= 0)
			close(t->fds[i]);
	t->n_cpus = 0;
	/* The reader may still be inside a read: the directory is busy until it comes back. */
	for (unsigned i = 0; rmdir(cleanup.dir) != 0 && errno == EBUSY && i < 50; i++) {
		const struct timespec pause = {.tv_nsec = 2000000};

		nanosleep(&pause, NULL);
	}
}

static void on_fatal(int sig)
{
	remove_instance();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* A handler that the program has installed knows how to stop; only the default action would leave the instance. */
static void catch_signals(bool on)
{
	static const int sigs[] = {SIGINT, SIGTERM, SIGHUP};

	for (size_t i = 0; i < ARRAY_LEN(sigs); i++) {
		struct sigaction sa;

		sigaction(sigs[i], NULL, &sa);
		if (on && sa.sa_handler == SIG_DFL)
			signal(sigs[i], on_fatal);
		else if (!on && sa.sa_handler == on_fatal)
			signal(sigs[i], SIG_DFL);
	}
}

/* Instances of processes that no longer exist: killed before they could clean up. */
static void remove_stale(const char *root)
{
	char dir[128], path[448];
	struct dirent *e;
	DIR *d;

	snprintf(dir, sizeof dir, "%s/instances", root);
	d = opendir(dir);
	if (!d)
		return;
	while ((e = readdir(d)) != NULL) {
		long pid;

		if (strncmp(e->d_name, "vmscope-", 8) != 0)
			continue;
		pid = strtol(e->d_name + 8, NULL, 10);
		if (pid <= 0 || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		rmdir(path);
	}
	closedir(d);
}

static bool is_tracefs(const char *path)
{
	struct statfs s;

	return statfs(path, &s) == 0 && s.f_type == TRACEFS_MAGIC_NUMBER;
}

static enum err find_tracefs(struct kernel_trace *t, struct errmsg *why)
{
	static const char *const places[] = {TRACEFS_DIR, "/sys/kernel/debug/tracing"};

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		if (!is_tracefs(places[i]))
			continue;
		snprintf(t->root, sizeof t->root, "%s", places[i]);
		return ERR_OK;
	}
	if (geteuid() != 0)
		return err_set(why, ERR_PERM,
		    "kernel events: tracefs is not mounted or not readable by this user (run as root to see what the "
		    "kernel handles itself)");
	if (mount("nodev", TRACEFS_DIR, "tracefs", 0, NULL) != 0)
		return err_set(why, ERR_NODEV, "kernel events: tracefs cannot be mounted on " TRACEFS_DIR ": %s",
		    errno == ENODEV ? "this kernel has none" : strerror(errno));
	snprintf(t->root, sizeof t->root, "%s", TRACEFS_DIR);
	snprintf(t->note, sizeof t->note, "tracefs was not mounted: mounted it on " TRACEFS_DIR);
	return ERR_OK;
}

static enum err make_instance(struct kernel_trace *t, struct errmsg *why)
{
	char text[32];

	snprintf(t->dir, sizeof t->dir, "%s/instances/vmscope-%ld", t->root, (long)getpid());
	if (mkdir(t->dir, 0700) != 0)
		return err_set(why, errno == EACCES || errno == EPERM ? ERR_PERM : ERR_NODEV,
		    "kernel events: %s cannot be made: %s%s", t->dir, strerror(errno),
		    errno == EACCES || errno == EPERM ? " (run as root)" : "");
	cleanup.trace = t;
	snprintf(cleanup.dir, sizeof cleanup.dir, "%s", t->dir);
	snprintf(cleanup.on, sizeof cleanup.on, "%s/tracing_on", t->dir);
	(void)!write_file(t->dir, "tracing_on", "0");
	/* The clock that our own records use, so that the two can be merged. */
	if (write_file(t->dir, "trace_clock", "mono") != ERR_OK)
		return err_set(why, ERR_NODEV, "kernel events: this kernel's tracefs has no clock \"mono\"");
	snprintf(text, sizeof text, "%u", t->cfg.buffer_kb ? t->cfg.buffer_kb : 4096);
	(void)!write_file(t->dir, "buffer_size_kb", text);
	snprintf(text, sizeof text, "%ld", (long)t->cfg.tid);
	/* Older kernels lack it; the decoder looks at common_pid in any case. */
	(void)!write_file(t->dir, "set_event_pid", text);
	return ERR_OK;
}

static bool counts_by_perf(const struct kernel_trace *t)
{
	return t->perf_fd >= 0 && !t->cfg.insn_records;
}

static enum err enable_events(struct kernel_trace *t, struct errmsg *why)
{
	enum err e = write_file(t->dir, "events/kvm/enable", "1");

	if (e == ERR_NOENT)
		return err_set(why, ERR_NODEV,
		    "kernel events: no events/kvm in tracefs (the kvm module is not loaded, or was built without "
		    "tracepoints)");
	if (e != ERR_OK)
		return err_set(why, e, "kernel events: events/kvm/enable refuses the write");
	/* With the counter, only those that failed are worth a record. */
	if (counts_by_perf(t) && write_file(t->dir, "events/kvm/kvm_emulate_insn/filter", "failed==1") != ERR_OK)
		(void)!write_file(t->dir, "events/kvm/kvm_emulate_insn/enable", "0");
	return ERR_OK;
}

/* A counter on the tracepoint, this thread only: exact whatever the rate. */
static void open_counter(struct kernel_trace *t)
{
	struct perf_event_attr a = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof a, .disabled = 1};
	size_t n;
	char *id = kernel_read_file(t->root, "events/kvm/kvm_emulate_insn/id", &n);

	t->perf_fd = -1;
	if (!id)
		return;
	a.config = strtoull(id, NULL, 10);
	free(id);
	t->perf_fd = (int)syscall(SYS_perf_event_open, &a, t->cfg.tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static enum err open_pipes(struct kernel_trace *t, struct errmsg *why)
{
	long n = sysconf(_SC_NPROCESSORS_CONF);
	char path[256];

	for (long i = 0; i < n && t->n_cpus < CPUS_MAX; i++) {
		snprintf(path, sizeof path, "%s/per_cpu/cpu%ld/trace_pipe_raw", t->dir, i);
		t->fds[t->n_cpus] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (t->fds[t->n_cpus] >= 0)
			t->n_cpus++;
	}
	if (!t->n_cpus)
		return err_set(why, ERR_PERM, "kernel events: no per_cpu/cpuN/trace_pipe_raw can be read");
	return ERR_OK;
}

enum err kernel_trace_open(const struct kernel_trace_config *cfg, struct kernel_trace **out, struct errmsg *why)
{
	struct kernel_trace *t;
	enum err e;

	*out = NULL;
	if (cleanup.trace)
		return err_set(why, ERR_BUSY, "kernel events: this process records them already");
	t = calloc(1, sizeof *t);
	if (!t)
		return err_set(why, ERR_NOMEM, "kernel events: no memory");
	t->cfg = *cfg;
	t->perf_fd = -1;
	if (!t->cfg.tid)
		t->cfg.tid = (pid_t)syscall(SYS_gettid);
	pthread_mutex_init(&t->lock, NULL);
	e = find_tracefs(t, why);
	if (e == ERR_OK) {
		remove_stale(t->root);
		e = make_instance(t, why);
	}
	if (e == ERR_OK)
		e = kernel_decoder_open(t->root, t->cfg.tid, &t->decoder, why);
	if (e == ERR_OK) {
		open_counter(t);
		e = enable_events(t, why);
	}
	if (e == ERR_OK)
		e = open_pipes(t, why);
	if (e != ERR_OK) {
		kernel_trace_close(t);
		return e;
	}
	catch_signals(true);
	atexit(remove_instance);
	*out = t;
	return ERR_OK;
}

/* One pass over all CPUs; false when nothing was there. */
static bool drain(struct kernel_trace *t, uint8_t *page, size_t size)
{
	bool any = false;

	for (unsigned i = 0; i < t->n_cpus; i++) {
		ssize_t n;

		while ((n = read(t->fds[i], page, size)) > 0) {
			any = true;
			if (t->cfg.on_page)
				t->cfg.on_page(t->cfg.on_page_arg, i, page, (size_t)n);
			pthread_mutex_lock(&t->lock);
			kernel_decoder_page(t->decoder, page);
			pthread_mutex_unlock(&t->lock);
		}
	}
	return any;
}

static void *reader_main(void *arg)
{
	struct kernel_trace *t = arg;
	size_t size = kernel_decoder_page_size(t->decoder);
	uint8_t *page = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);

	if (!page)
		return NULL;
	for (;;) {
		int last = t->stopping;

		if (drain(t, page, size))
			continue;
		if (last)
			break;
		poll(NULL, 0, DRAIN_MS);
	}
	free(page);
	return NULL;
}

enum err kernel_trace_start(struct kernel_trace *t, struct errmsg *why)
{
	sigset_t all, old;
	int rc;

	if (t->reading)
		return err_set(why, ERR_BUSY, "kernel events: already started");
	t->stopping = 0;
	/* Signals are for the threads of the VM. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = pthread_create(&t->reader, NULL, reader_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		return err_set(why, ERR_NOMEM, "kernel events: no thread: %s", strerror(rc));
	t->reading = true;
	if (t->perf_fd >= 0)
		ioctl(t->perf_fd, PERF_EVENT_IOC_ENABLE, 0);
	if (write_file(t->dir, "tracing_on", "1") != ERR_OK) {
		kernel_trace_stop(t);
		return err_set(why, ERR_IO, "kernel events: tracing_on refuses the write");
	}
	return ERR_OK;
}

/* "overrun: N" and "dropped events: N" of each CPU. */
static uint64_t read_lost(struct kernel_trace *t)
{
	static const char *const keys[] = {"overrun: ", "dropped events: "};
	uint64_t lost = 0;

	for (unsigned i = 0; i < CPUS_MAX; i++) {
		char name[48], *text, *p;
		size_t n;

		snprintf(name, sizeof name, "per_cpu/cpu%u/stats", i);
		text = kernel_read_file(t->dir, name, &n);
		if (!text)
			break;
		for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
			p = strstr(text, keys[k]);
			if (p && (p == text || p[-1] == '\n'))
				lost += strtoull(p + strlen(keys[k]), NULL, 10);
		}
		free(text);
	}
	return lost;
}

void kernel_trace_stop(struct kernel_trace *t)
{
	if (!t->reading)
		return;
	(void)!write_file(t->dir, "tracing_on", "0");
	if (t->perf_fd >= 0) {
		ioctl(t->perf_fd, PERF_EVENT_IOC_DISABLE, 0);
		if (read(t->perf_fd, &t->perf_count, sizeof t->perf_count) != sizeof t->perf_count)
			t->perf_count = 0;
	}
	t->stopping = 1;
	pthread_join(t->reader, NULL);
	t->reading = false;
	t->lost = read_lost(t);
}

void kernel_trace_close(struct kernel_trace *t)
{
	if (!t)
		return;
	kernel_trace_stop(t);
	if (t->perf_fd >= 0)
		close(t->perf_fd);
	if (cleanup.trace == t)
		remove_instance();
	catch_signals(false);
	kernel_decoder_close(t->decoder);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

const char *kernel_trace_note(const struct kernel_trace *t)
{
	return t->note;
}

const char *kernel_trace_dir(const struct kernel_trace *t)
{
	return t->dir;
}

size_t kernel_trace_counts(struct kernel_trace *t, struct kernel_count *out, size_t max)
{
	size_t n;

	pthread_mutex_lock(&t->lock);
	n = kernel_decoder_counts(t->decoder, out, max);
	pthread_mutex_unlock(&t->lock);
	if (!counts_by_perf(t))
		return n;
	for (size_t i = 0; i < n; i++) /* the records are only those that failed */
		if (strcmp(out[i].event, "kvm_emulate_insn") == 0)
			out[i--] = out[--n];
	if (t->perf_count && n < max) {
		memset(&out[n], 0, sizeof out[n]);
		snprintf(out[n].event, sizeof out[n].event, "kvm_emulate_insn");
		out[n].reason = UINT32_MAX;
		out[n++].count = t->perf_count;
	}
	return n;
}

void kernel_trace_totals(struct kernel_trace *t, struct kernel_totals *out)
{
	struct kernel_count counts[KERNEL_COUNTS_MAX];
	size_t n = kernel_trace_counts(t, counts, ARRAY_LEN(counts));

	memset(out, 0, sizeof *out);
	for (size_t i = 0; i < n; i++) {
		const struct kernel_count *c = &counts[i];

		if (strcmp(c->event, "kvm_exit") == 0) {
			out->hardware_exits += c->count;
			out->other_exits += c->reason == UINT32_MAX ? c->count : 0;
		} else if (strcmp(c->event, "kvm_entry") == 0) {
			out->entries += c->count;
		} else if (strcmp(c->event, "kvm_emulate_insn") == 0) {
			out->emulated_insns += c->count;
		} else if (strcmp(c->event, "kvm_userspace_exit") == 0) {
			out->userspace_exits += c->count;
		}
		out->events += c->count;
	}
	pthread_mutex_lock(&t->lock);
	kernel_decoder_refused(t->decoder, &out->refused);
	/* With hardware exits the row counts those. */
	out->uncertain_cpuid = out->hardware_exits ? 0 : kernel_decoder_uncertain_cpuid(t->decoder);
	pthread_mutex_unlock(&t->lock);
	out->lost = t->lost;
	out->emulates = out->emulated_insns && !out->hardware_exits;
}

size_t kernel_trace_rows(struct kernel_trace *t, struct kernel_row *out, size_t max)
{
	struct kernel_count counts[KERNEL_COUNTS_MAX];
	size_t n = kernel_trace_counts(t, counts, ARRAY_LEN(counts)), rows = 0;
	struct kernel_totals totals;

	kernel_trace_totals(t, &totals);
	for (uint32_t reason = 0; reason < EXIT_SDM_COUNT && rows < max; reason++) {
		struct kernel_row row = {reason, totals.emulates ? OBSERVED_KERNEL_EMULATOR : OBSERVED_KERNEL, 0};

		for (size_t i = 0; i < n; i++) {
			bool exit = strcmp(counts[i].event, "kvm_exit") == 0;

			/* With hardware exits, the other events are only details of them. */
			if (counts[i].reason == reason && exit == (totals.hardware_exits != 0))
				row.count += counts[i].count;
		}
		if (row.count)
			out[rows++] = row;
	}
	return rows;
}
