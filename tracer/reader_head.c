/*
 * The container of a trace.dat: header, formats, options, table of CPUs [trace-cmd.dat.v6(5)]. Nothing in it is
 * believed: a size must fit into the file, a text must look like a format, a number must be in its range.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <traceevent/event-parse.h>

#include "tracer/format_check.h"
#include "tracer/reader_impl.h"

#define TEXT_MAX (64u << 20) /* kallsyms of a large kernel are 15 MB */
#define FORMAT_MAX (256u << 10)
#define FORMATS_MAX 65536u

struct cursor {
	struct trace_reader *r;
	off_t at;
	bool failed; /* ran over the end: all later reads give zeros */
};

void reader_note(struct trace_reader *r, const char *fmt, ...)
{
	va_list ap;

	if (r->damage[0])
		return; /* the first finding explains the others */
	va_start(ap, fmt);
	vsnprintf(r->damage, sizeof(r->damage), fmt, ap);
	va_end(ap);
}

bool reader_read_at(struct trace_reader *r, off_t off, void *buf, size_t n)
{
	char *p = buf;

	while (n > 0) {
		ssize_t got = pread(r->fd, p, n, off);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		p += got;
		off += got;
		n -= (size_t)got;
	}
	return true;
}

static bool take(struct cursor *c, void *buf, size_t n)
{
	if (c->failed || (uint64_t)n > (uint64_t)(c->r->size - c->at) || !reader_read_at(c->r, c->at, buf, n)) {
		c->failed = true;
		memset(buf, 0, n);
		return false;
	}
	c->at += (off_t)n;
	return true;
}

static uint64_t number(struct cursor *c, unsigned bytes)
{
	uint8_t b[8];
	uint64_t v = 0;

	take(c, b, bytes);
	for (unsigned i = bytes; i-- > 0;)
		v = v << 8 | b[i];
	return v;
}

/* A text with its size before it; malloc'ed and terminated. NULL: too large, or the file ends. */
static char *text(struct cursor *c, unsigned size_bytes, uint64_t max, size_t *n)
{
	uint64_t size = number(c, size_bytes);
	char *p;

	if (c->failed || size > max || size > (uint64_t)(c->r->size - c->at)) {
		c->failed = true;
		return NULL;
	}
	p = malloc((size_t)size + 1);
	if (!p || !take(c, p, (size_t)size)) {
		c->failed = true;
		free(p);
		return NULL;
	}
	p[size] = '\0';
	*n = (size_t)size;
	return p;
}

/* A terminated name of at most max - 1 bytes. */
static bool name(struct cursor *c, char *buf, size_t max)
{
	for (size_t i = 0; i < max; i++) {
		take(c, &buf[i], 1);
		if (c->failed)
			return false;
		if (!buf[i])
			return true;
	}
	return false;
}

/* Names and symbols for libtraceevent: text, and nothing else. */
static bool is_text(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isprint((unsigned char)p[i]) && p[i] != '\n' && p[i] != '\t')
			return false;
	return true;
}

static void add_format(struct trace_reader *r, const char *system, const char *p, size_t n)
{
	enum format_verdict v = format_check(p, n);
	char *plain = v == FORMAT_FIELDS ? format_plain(p, n) : NULL;
	enum tep_errno e;

	if (v == FORMAT_BAD) {
		reader_note(r, "a format of system %s is damaged and was left out", system);
		return;
	}
	if (v == FORMAT_FIELDS && !plain) {
		r->nomem = true;
		return;
	}
	e = tep_parse_event(r->tep, plain ? plain : p, plain ? strlen(plain) : n, system);
	free(plain);
	if (e == TEP_ERRNO__MEM_ALLOC_FAILED)
		r->nomem = true;
}

static void take_formats(struct cursor *c)
{
	char system[256];
	size_t n;
	uint64_t systems, count = number(c, 4);

	for (uint64_t i = 0; i < count && i < FORMATS_MAX && !c->failed; i++) {
		char *p = text(c, 8, FORMAT_MAX, &n);

		if (p)
			add_format(c->r, "ftrace", p, n);
		free(p);
	}
	systems = number(c, 4);
	for (uint64_t s = 0; s < systems && s < FORMATS_MAX && !c->failed; s++) {
		if (!name(c, system, sizeof(system)) || !is_text(system, strlen(system)))
			c->failed = true;
		count = number(c, 4);
		for (uint64_t i = 0; i < count && i < FORMATS_MAX && !c->failed; i++) {
			char *p = text(c, 8, FORMAT_MAX, &n);

			if (p)
				add_format(c->r, system, p, n);
			free(p);
		}
	}
}

/* Size of the field "commit" of the page header: the size of a long in the recorded kernel. */
static uint32_t commit_size(const char *page)
{
	const char *p = strstr(page, " commit;");
	unsigned size = 0;

	p = p ? strstr(p, "size:") : NULL;
	return p && sscanf(p, "size:%u", &size) == 1 && (size == 4 || size == 8) ? size : 0;
}

static void take_texts(struct cursor *c)
{
	size_t n;
	char *kallsyms = text(c, 4, TEXT_MAX, &n);
	char *printk = c->failed ? NULL : text(c, 4, TEXT_MAX, &n);
	char *cmdlines = c->failed ? NULL : text(c, 8, TEXT_MAX, &n);

	if (kallsyms && *kallsyms && is_text(kallsyms, strlen(kallsyms)))
		tep_parse_kallsyms(c->r->tep, kallsyms);
	if (cmdlines && *cmdlines)
		tep_parse_saved_cmdlines(c->r->tep, cmdlines);
	free(kallsyms);
	free(printk); /* trace_printk() formats: no KVM event needs one */
	free(cmdlines);
}

static void set_clock(struct trace_reader *r, const char *list)
{
	const char *open = strchr(list, '['), *close = open ? strchr(open, ']') : NULL;

	if (close && close - open - 1 < (long)sizeof(r->clock))
		snprintf(r->clock, sizeof(r->clock), "%.*s", (int)(close - open - 1), open + 1);
}

static void take_option(struct cursor *c, unsigned id)
{
	enum { DATE = 1, TRACECLOCK = 4, OFFSET = 7, CPUCOUNT = 8 };
	struct trace_reader *r = c->r;
	size_t n;
	char *p = text(c, 4, TEXT_MAX, &n);

	if (!p)
		return;
	if (id == DATE)
		r->ts_offset += (int64_t)((uint64_t)strtoll(p, NULL, 0) * 1000u);
	else if (id == OFFSET)
		r->ts_offset = (int64_t)((uint64_t)r->ts_offset + (uint64_t)strtoll(p, NULL, 0));
	else if (id == TRACECLOCK)
		set_clock(r, p);
	free(p);
}

/* The table, checked against the file; lanes that lie outside are cut. */
static enum err take_table(struct cursor *c, struct errmsg *why)
{
	struct trace_reader *r = c->r;

	r->lanes = calloc(r->n_lanes, sizeof(*r->lanes));
	if (!r->lanes)
		return err_set(why, ERR_NOMEM, "no memory for a trace of %u CPUs", r->n_lanes);
	for (unsigned i = 0; i < r->n_lanes; i++) {
		uint64_t off = number(c, 8), size = number(c, 8), file = (uint64_t)r->size;

		if (c->failed)
			break;
		if (off > file || size > file - off) {
			reader_note(r, "the file ends before the data of CPU %u does", i);
			off = off > file ? file : off;
			size = file - off;
		}
		r->lanes[i].start = r->lanes[i].off = (off_t)off;
		r->lanes[i].end = (off_t)(off + size);
	}
	/* trace-cmd puts the list of clocks behind the table; older files end here. */
	if (!c->failed && !r->clock[0]) {
		size_t n;
		struct cursor probe = *c;
		char *p = text(&probe, 8, 4096, &n);

		if (p)
			set_clock(r, p);
		free(p);
	}
	return ERR_OK;
}

static enum err check_magic(struct cursor *c, struct errmsg *why)
{
	static const char magic[10] = "\x17\x08\x44tracing";
	char head[10], version[16] = "";

	take(c, head, sizeof(head));
	if (c->failed || memcmp(head, magic, sizeof(head)) != 0)
		return err_set(
		    why, ERR_FORMAT, "%s is neither a trace.dat nor the text of trace-cmd report", c->r->path);
	if (!name(c, version, sizeof(version)))
		version[0] = '\0';
	if (strcmp(version, "7") == 0)
		return err_set(why, ERR_UNSUPPORTED,
		    "%s is a trace.dat of version 7; convert it: trace-cmd convert --file-version 6 -i %s -o new.dat",
		    c->r->path, c->r->path);
	if (strcmp(version, "6") != 0)
		return err_set(why, ERR_UNSUPPORTED, "%s is a trace.dat of another version than 6", c->r->path);
	if (number(c, 1) != 0)
		return err_set(why, ERR_UNSUPPORTED, "%s was recorded on a big-endian machine", c->r->path);
	return ERR_OK;
}

static enum err damaged(const struct trace_reader *r, struct errmsg *why, const char *where)
{
	return err_set(why, ERR_FORMAT, "%s: damaged or cut off in %s: nothing can be read", r->path, where);
}

static enum err take_page_layout(struct cursor *c, struct errmsg *why)
{
	struct trace_reader *r = c->r;
	char tag[16];
	size_t n;
	uint64_t long_size = number(c, 1), page = number(c, 4);
	char *p;

	if (c->failed || (long_size != 4 && long_size != 8) || page < 4096 || page > 1u << 20 || page & (page - 1))
		return damaged(r, why, "its first bytes");
	if (!name(c, tag, sizeof(tag)) || strcmp(tag, "header_page") != 0 || !(p = text(c, 8, FORMAT_MAX, &n)))
		return damaged(r, why, "the description of pages");
	r->commit_size = commit_size(p);
	free(p);
	if (!r->commit_size)
		return damaged(r, why, "the description of pages");
	r->page_size = (uint32_t)page;
	r->page_head = 8 + r->commit_size;
	if (!name(c, tag, sizeof(tag)) || strcmp(tag, "header_event") != 0 || !(p = text(c, 8, FORMAT_MAX, &n)))
		return damaged(r, why, "the description of events");
	free(p);
	tep_set_long_size(r->tep, (int)r->commit_size);
	tep_set_page_size(r->tep, (int)page);
	return ERR_OK;
}

enum err reader_parse_head(struct trace_reader *r, struct errmsg *why)
{
	struct cursor c = {.r = r};
	char tag[10];
	uint64_t cpus;
	enum err e = check_magic(&c, why);

	if (e == ERR_OK)
		e = take_page_layout(&c, why);
	if (e != ERR_OK)
		return e;
	take_formats(&c);
	if (c.failed)
		return damaged(r, why, "the formats of its events");
	take_texts(&c);
	cpus = number(&c, 4);
	take(&c, tag, sizeof(tag));
	if (!c.failed && memcmp(tag, "options  ", 10) == 0) {
		for (unsigned id; (id = (unsigned)number(&c, 2)) != 0 && !c.failed;)
			take_option(&c, id);
		take(&c, tag, sizeof(tag));
	}
	if (c.failed || cpus == 0 || cpus > READER_CPUS_MAX)
		return damaged(r, why, "its options");
	if (memcmp(tag, "latency  ", 10) == 0)
		return err_set(why, ERR_UNSUPPORTED, "%s holds a latency trace, not events", r->path);
	if (memcmp(tag, "flyrecord", 10) != 0)
		return damaged(r, why, "its options");
	r->n_lanes = (unsigned)cpus;
	tep_set_cpus(r->tep, (int)cpus);
	e = take_table(&c, why);
	if (e == ERR_OK && c.failed)
		e = damaged(r, why, "the table of CPUs");
	return e;
}
