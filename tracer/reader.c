/*
 * Iterating over a trace: pages of each CPU are read one by one, and the CPU whose next event is oldest comes first.
 *
 * libtraceevent reads fields at the offsets that the format states, without asking how long the record is. So a record
 * that is shorter than its format says is not given to it, and each record is copied to a buffer with zeros behind.
 */
#include "tracer/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <traceevent/event-parse.h>

#include "tracer/reader_impl.h"

enum { TYPE_DATA_MAX = 28, TYPE_PADDING = 29, TYPE_TIME_EXTEND = 30, TYPE_TIME_STAMP = 31 };

static uint64_t load(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	while (bytes-- > 0)
		v = v << 8 | p[bytes];
	return v;
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

static enum reader_kind kind_of(const struct tep_event *ev)
{
	static const struct {
		const char *system, *name;
		enum reader_kind kind;
	} kinds[] = {
	    {"kvm", "kvm_entry", KIND_ENTRY},
	    {"kvm", "kvm_exit", KIND_EXIT},
	    {"kvm", "kvm_userspace_exit", KIND_USERSPACE_EXIT},
	    {"kvm", "kvm_pio", KIND_PIO},
	    {"kvm", "kvm_mmio", KIND_MMIO},
	    {"kvm", "kvm_msr", KIND_MSR},
	    {"kvm", "kvm_cr", KIND_CR},
	    {"kvm", "kvm_cpuid", KIND_CPUID},
	    {"kvm", "kvm_emulate_insn", KIND_EMULATE},
	    {"vmscope", "session", KIND_SESSION},
	    {"vmscope", "verdict", KIND_VERDICT},
	    {"vmscope", "lost", KIND_LOST},
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(ev->system, kinds[i].system) == 0 && strcmp(ev->name, kinds[i].name) == 0)
			return kinds[i].kind;
	return KIND_OTHER;
}

/* How many bytes a record must have; 0 when the format makes no sense. */
static uint32_t min_size_of(const struct tep_event *ev)
{
	const struct tep_format_field *lists[] = {ev->format.common_fields, ev->format.fields};
	int64_t max = 8;

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (const struct tep_format_field *f = lists[i]; f; f = f->next) {
			if (f->offset < 0 || f->size < 0 || f->offset > 65536 || f->size > 65536)
				return 0;
			if ((int64_t)f->offset + f->size > max)
				max = (int64_t)f->offset + f->size;
		}
	return (uint32_t)max;
}

static bool index_formats(struct trace_reader *r)
{
	int n = tep_get_events_count(r->tep);

	r->formats = calloc(65536, sizeof(*r->formats));
	for (int i = 0; r->formats && i < n; i++) {
		struct tep_event *ev = tep_get_event(r->tep, i);

		if (!ev || ev->id < 0 || ev->id > 65535)
			continue;
		struct reader_format *f = &r->formats[ev->id];

		f->min_size = min_size_of(ev);
		if (f->min_size == 0) {
			reader_note(r, "the format of %s:%s is damaged", ev->system, ev->name);
			continue;
		}
		f->event = ev;
		f->kind = (uint8_t)kind_of(ev);
	}
	return r->formats != NULL;
}

static enum err open_binary(struct trace_reader *r, struct errmsg *why)
{
	enum err e;

	tep_set_loglevel(TEP_LOG_NONE);
	r->tep = tep_alloc();
	r->record = calloc(1, READER_RECORD_MAX);
	if (!r->tep || !r->record)
		return err_set(why, ERR_NOMEM, "no memory to read %s", r->path);
	tep_set_file_bigendian(r->tep, TEP_LITTLE_ENDIAN);
	tep_set_local_bigendian(r->tep, tep_is_bigendian() ? TEP_BIG_ENDIAN : TEP_LITTLE_ENDIAN);
	e = reader_parse_head(r, why);
	if (e == ERR_OK && (!index_formats(r) || r->nomem))
		e = err_set(why, ERR_NOMEM, "no memory to read %s", r->path);
	return e;
}

/* Text has no zero byte in its first piece, and "[" and ":" as a report has. */
static bool looks_like_text(const char *head, size_t n)
{
	return n > 0 && !memchr(head, '\0', n) && memchr(head, '[', n) && memchr(head, ':', n);
}

enum err reader_open(const char *path, struct trace_reader **out, struct errmsg *why)
{
	struct trace_reader *r = calloc(1, sizeof(*r));
	struct stat st = {0};
	char head[4096];
	ssize_t n = 0;
	enum err e = ERR_OK;

	*out = NULL;
	if (!r || !(r->path = strdup(path))) {
		free(r);
		return err_set(why, ERR_NOMEM, "no memory to read %s", path);
	}
	r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (r->fd < 0 || fstat(r->fd, &st) != 0)
		e = err_set(why, errno == ENOENT ? ERR_NOENT : ERR_IO, "cannot read %s: %s", path, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		e = err_set(why, ERR_INVAL, "cannot read %s: it is a directory", path);
	else if (!S_ISREG(st.st_mode))
		e = err_set(why, ERR_INVAL, "cannot read %s: it is not a regular file", path);
	else if (st.st_size == 0)
		e = err_set(why, ERR_FORMAT, "%s is empty", path);
	else
		n = pread(r->fd, head, sizeof(head), 0);
	if (e == ERR_OK) {
		r->size = st.st_size;
		if (n > 0 && looks_like_text(head, (size_t)n))
			e = (r->text = fdopen(r->fd, "r")) ? ERR_OK : err_set(why, ERR_NOMEM, "no memory");
		else
			e = open_binary(r, why);
	}
	if (e != ERR_OK) {
		reader_close(r);
		return e;
	}
	*out = r;
	return ERR_OK;
}

void reader_close(struct trace_reader *r)
{
	if (!r)
		return;
	if (r->text)
		fclose(r->text);
	else if (r->fd >= 0)
		close(r->fd);
	for (unsigned i = 0; r->lanes && i < r->n_lanes; i++)
		free(r->lanes[i].page);
	free(r->lanes);
	free(r->formats);
	free(r->record);
	free(r->tracks);
	free(r->line);
	if (r->tep)
		tep_free(r->tep);
	free(r->path);
	free(r);
}

/* --- pages ------------------------------------------------------------------------------------------------------ */

static bool lane_stop(struct reader_lane *l)
{
	l->off = l->end;
	l->at = l->used = 0;
	return false;
}

/* Reads the next page of the lane; false at its end. */
static bool next_page(struct trace_reader *r, unsigned i)
{
	struct reader_lane *l = &r->lanes[i];
	uint64_t commit;
	uint32_t flags;

	if (l->off >= l->end)
		return lane_stop(l);
	if (!l->page)
		l->page = malloc(r->page_size);
	if (!l->page) {
		r->nomem = true;
		return lane_stop(l);
	}
	if (l->end - l->off < r->page_size || !reader_read_at(r, l->off, l->page, r->page_size)) {
		reader_note(r, "CPU %u ends in the middle of a page", i);
		return lane_stop(l);
	}
	l->off += r->page_size;
	l->ts = load(l->page, 8);
	commit = load(l->page + 8, r->commit_size);
	flags = (uint32_t)commit;
	l->at = r->page_head;
	l->used = r->page_head + (flags & ((1u << 20) - 1));
	if (l->used > r->page_size) {
		reader_note(r, "CPU %u has a page with more data than fits", i);
		return lane_stop(l);
	}
	if (flags >> 31) {
		bool stored = flags >> 30 & 1 && l->used + r->commit_size <= r->page_size;

		l->lost = stored ? load(l->page + l->used, r->commit_size) : 0;
		l->lost_unknown = !stored;
	}
	return true;
}

/* Finds the next data event of the current page. False: the page is exhausted. */
static bool next_in_page(struct trace_reader *r, unsigned i)
{
	struct reader_lane *l = &r->lanes[i];

	while (l->used - l->at >= 4) {
		uint32_t head = (uint32_t)load(l->page + l->at, 4), type = head & 31, left = l->used - l->at - 4;
		uint64_t delta = head >> 5;
		uint32_t word = left >= 4 ? (uint32_t)load(l->page + l->at + 4, 4) : 0;

		if ((type == 0 || type >= TYPE_PADDING) && left < 4 && !(type == TYPE_PADDING && delta == 0))
			break;
		if (type == TYPE_PADDING) {
			if (delta == 0)
				break; /* nothing else in this page */
			l->ts += delta;
			if (word > left)
				break;
			l->at += 4 + word;
		} else if (type == TYPE_TIME_EXTEND) {
			l->ts += delta | (uint64_t)word << 27;
			l->at += 8;
		} else if (type == TYPE_TIME_STAMP) {
			/* 59 bits of an absolute time: the upper five stay. */
			l->ts = (l->ts & 31ull << 59) | delta | (uint64_t)word << 27;
			l->at += 8;
		} else {
			uint32_t data = type ? l->at + 4 : l->at + 8, size = type ? type * 4 : word - 4;

			if (type == 0 && (word < 4 || word > left))
				break;
			if (type != 0 && size > left)
				break;
			l->ts += delta;
			l->ev_ts = l->ts;
			l->ev_at = data;
			l->ev_size = size;
			l->at = data + ((size + 3) & ~3u);
			if (l->at > l->used)
				l->at = l->used;
			l->have = true;
			return true;
		}
		if (l->at > l->used)
			break;
	}
	l->at = l->used;
	return false;
}

static bool lane_fill(struct trace_reader *r, unsigned i)
{
	struct reader_lane *l = &r->lanes[i];

	while (!l->have) {
		if (l->at < l->used && next_in_page(r, i))
			break;
		if (!next_page(r, i))
			return false;
	}
	return true;
}

static void hand_out(struct trace_reader *r, unsigned i, struct trace_event *e)
{
	struct reader_lane *l = &r->lanes[i];
	size_t n = l->ev_size < READER_RECORD_MAX / 2 ? l->ev_size : READER_RECORD_MAX / 2;

	memcpy(r->record, l->page + l->ev_at, n);
	if (r->record_used > n)
		memset(r->record + n, 0, r->record_used - n);
	r->record_used = n;
	*e = (struct trace_event){.ts = l->ev_ts + (uint64_t)r->ts_offset,
	    .cpu = i,
	    .data = r->record,
	    .size = n,
	    .lost_before = l->lost,
	    .lost_unknown = l->lost_unknown};
	r->lost += l->lost;
	r->lost_unknown |= l->lost_unknown;
	l->lost = 0;
	l->lost_unknown = false;
	l->have = false;
	if (n < sizeof(struct event_common)) {
		reader_note(r, "CPU %u has a record that is too short", i);
		return;
	}
	const struct reader_format *f = &r->formats[load(r->record, 2)];

	e->pid = (int32_t)load(r->record + 4, 4);
	if (f->event && n >= f->min_size)
		e->format = f->event;
	else if (f->event)
		reader_note(r, "a record of %s is shorter than its format says", f->event->name);
	if (e->format && f->kind == KIND_SESSION && n >= sizeof(r->session) && !r->has_session) {
		memcpy(&r->session, r->record, sizeof(r->session));
		r->session.guest[sizeof(r->session.guest) - 1] = '\0';
		r->session.mode[sizeof(r->session.mode) - 1] = '\0';
		r->session.backend[sizeof(r->session.backend) - 1] = '\0';
		r->session.controls[sizeof(r->session.controls) - 1] = '\0';
		r->session.clock[sizeof(r->session.clock) - 1] = '\0';
		r->session.cost[sizeof(r->session.cost) - 1] = '\0';
		r->has_session = true;
	}
}

bool reader_next(struct trace_reader *r, struct trace_event *e)
{
	int best = -1;

	if (r->text)
		return text_next(r, e);
	for (unsigned i = 0; i < r->n_lanes; i++)
		if (lane_fill(r, i) && (best < 0 || r->lanes[i].ev_ts < r->lanes[best].ev_ts))
			best = (int)i;
	if (best < 0)
		return false;
	hand_out(r, (unsigned)best, e);
	return true;
}

void reader_rewind(struct trace_reader *r)
{
	for (unsigned i = 0; i < r->n_lanes; i++) {
		struct reader_lane *l = &r->lanes[i];

		*l = (struct reader_lane){.start = l->start, .off = l->start, .end = l->end, .page = l->page};
	}
	r->lost = r->emulated = r->uncertain_cpuid = 0;
	r->lost_unknown = false;
	r->n_tracks = 0;
}

/* --- questions -------------------------------------------------------------------------------------------------- */

const char *reader_damage(const struct trace_reader *r)
{
	return r->damage[0] ? r->damage : r->nomem ? "out of memory: the trace was not read to its end" : NULL;
}

struct tep_handle *reader_tep(struct trace_reader *r)
{
	return r->tep;
}

unsigned reader_cpus(const struct trace_reader *r)
{
	return r->n_lanes;
}

const char *reader_clock(const struct trace_reader *r)
{
	return r->clock;
}

bool reader_clock_is_ns(const struct trace_reader *r)
{
	static const char *const ns[] = {"", "local", "global", "uptime", "perf", "boot", "tai"};

	for (size_t i = 0; i < ARRAY_LEN(ns); i++)
		if (strcmp(r->clock, ns[i]) == 0)
			return true;
	return strncmp(r->clock, "mono", 4) == 0;
}

const struct event_session *reader_session(const struct trace_reader *r)
{
	return r->has_session ? &r->session : NULL;
}

bool trace_event_number(const struct trace_event *e, const char *field, uint64_t *value)
{
	struct tep_format_field *f = e->format ? tep_find_any_field(e->format, field) : NULL;
	unsigned long long v = 0;

	if (!f || f->flags & (TEP_FIELD_IS_STRING | TEP_FIELD_IS_ARRAY) ||
	    (f->size != 1 && f->size != 2 && f->size != 4 && f->size != 8) ||
	    tep_read_number_field(f, e->data, &v) != 0)
		return false;
	*value = v;
	return true;
}
