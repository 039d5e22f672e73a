/*
 * The head of a trace.dat: everything that describes the records before the first of them. The layout is the one of
 * trace-cmd.dat.v6(5); texts are those that a kernel's tracefs shows.
 */
#include "tracer/trace_dat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tracer/events.h"

enum option_id { OPTION_DONE = 0, OPTION_TRACECLOCK = 4, OPTION_UNAME = 5, OPTION_CPUCOUNT = 8 };

static const char header_page[] = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
				  "\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n"
				  "\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n"
				  "\tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;\n";
static const char header_event[] = "# compressed entry header\n"
				   "\ttype_len    :    5 bits\n"
				   "\ttime_delta  :   27 bits\n"
				   "\tarray       :   32 bits\n"
				   "\n"
				   "\tpadding     : type == 29\n"
				   "\ttime_extend : type == 30\n"
				   "\ttime_stamp : type == 31\n"
				   "\tdata max type_len  == 28\n";

/* Little-endian numbers, whatever the host. */
static void put(FILE *f, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		fputc((int)(v >> (8 * i)) & 0xff, f);
}

static void put_text(FILE *f, const char *text, size_t n, unsigned size_bytes)
{
	put(f, n, size_bytes);
	fwrite(text, 1, n, f);
}

static void put_option(FILE *f, enum option_id id, const void *data, size_t n)
{
	put(f, id, 2);
	put(f, n, 4);
	fwrite(data, 1, n, f);
}

static bool foreign_in(const struct trace_dat_config *cfg, size_t i, const char *system)
{
	return strcmp(cfg->formats[i].system, system) == 0;
}

/* The format texts of one system: ours, then the host's. */
static bool put_system(FILE *f, const struct trace_dat_config *cfg, const char *system)
{
	unsigned count = 0;

	for (size_t i = 0; i < EVENT_COUNT; i++)
		count += strcmp(event_at(i)->system, system) == 0;
	for (size_t i = 0; i < cfg->n_formats; i++)
		count += foreign_in(cfg, i, system);
	fwrite(system, 1, strlen(system) + 1, f);
	put(f, count, 4);
	for (size_t i = 0; i < EVENT_COUNT; i++) {
		if (strcmp(event_at(i)->system, system) != 0)
			continue;
		char *text = event_format_text(event_at(i));

		if (!text)
			return false;
		put_text(f, text, strlen(text), 8);
		free(text);
	}
	for (size_t i = 0; i < cfg->n_formats; i++)
		if (foreign_in(cfg, i, system))
			put_text(f, cfg->formats[i].text, strlen(cfg->formats[i].text), 8);
	return true;
}

/* True for the first entry of its system that is not one of ours. */
static bool opens_system(const struct trace_dat_config *cfg, size_t i)
{
	const char *s = cfg->formats[i].system;

	if (strcmp(s, "kvm") == 0 || strcmp(s, "vmscope") == 0)
		return false;
	for (size_t k = 0; k < i; k++)
		if (foreign_in(cfg, k, s))
			return false;
	return true;
}

static bool put_formats(FILE *f, const struct trace_dat_config *cfg)
{
	unsigned systems = 2;

	for (size_t i = 0; i < cfg->n_formats; i++)
		systems += opens_system(cfg, i);
	put(f, systems, 4);
	if (!put_system(f, cfg, "kvm") || !put_system(f, cfg, "vmscope"))
		return false;
	for (size_t i = 0; i < cfg->n_formats; i++)
		if (opens_system(cfg, i) && !put_system(f, cfg, cfg->formats[i].system))
			return false;
	return true;
}

/* "pid name" lines. A name keeps its printable bytes only, so that it cannot open a line of its own. */
static bool put_cmdlines(FILE *f, const struct trace_dat_config *cfg)
{
	char *text = NULL;
	size_t n = 0;
	FILE *m = open_memstream(&text, &n);

	if (!m)
		return false;
	for (unsigned pid = 1; pid <= cfg->pids; pid++) {
		fprintf(m, "%u ", pid);
		for (const char *c = cfg->comm; *c; c++)
			fputc(*c > ' ' && *c < 0x7f ? *c : '_', m);
		fputc('\n', m);
	}
	if (cfg->cmdlines)
		fputs(cfg->cmdlines, m);
	if (fclose(m) != 0) {
		free(text);
		return false;
	}
	put_text(f, text, n, 8);
	free(text);
	return true;
}

static void put_options(FILE *f, const struct trace_dat_config *cfg)
{
	uint8_t cpus[4] = {(uint8_t)cfg->lanes, (uint8_t)(cfg->lanes >> 8)};
	char clock[64];
	int n = snprintf(clock, sizeof(clock), "[%s]", cfg->clock);

	fwrite("options  ", 1, 10, f);
	put_option(f, OPTION_TRACECLOCK, clock, (size_t)n + 1);
	put_option(f, OPTION_UNAME, cfg->writer, strlen(cfg->writer) + 1);
	put_option(f, OPTION_CPUCOUNT, cpus, sizeof(cpus));
	put(f, OPTION_DONE, 2);
	fwrite("flyrecord", 1, 10, f);
}

void *trace_dat_header(const struct trace_dat_config *cfg, size_t *n)
{
	static const char magic[] = "\x17\x08\x44tracing6";
	char *bytes = NULL;
	FILE *f = open_memstream(&bytes, n);
	bool ok;

	if (!f)
		return NULL;
	fwrite(magic, 1, sizeof(magic), f);
	put(f, 0, 1); /* little-endian */
	put(f, 8, 1); /* bytes of a long */
	put(f, TRACE_DAT_PAGE, 4);
	fwrite("header_page", 1, 12, f);
	put_text(f, header_page, sizeof(header_page) - 1, 8);
	fwrite("header_event", 1, 13, f);
	put_text(f, header_event, sizeof(header_event) - 1, 8);
	put(f, 0, 4); /* formats of ftrace's own events */
	ok = put_formats(f, cfg);
	put(f, 0, 4); /* kallsyms */
	put(f, 0, 4); /* printk formats */
	ok = ok && put_cmdlines(f, cfg);
	put(f, cfg->lanes, 4);
	put_options(f, cfg);
	if (fclose(f) != 0 || !ok) {
		free(bytes);
		return NULL;
	}
	return bytes;
}
