/*
 * The newest exits, one line each, as the filter shows them: the tail of the log up to where the run stands. The cursor
 * stays at the newest until it is moved away from it.
 */
#ifndef VMSCOPE_TUI_SCOPE_EVENTS_H
#define VMSCOPE_TUI_SCOPE_EVENTS_H

#include <jansson.h>

#include "tracer/symbols.h"
#include "tracer/view_model.h"
#include "tui/table.h"

#define EVENTS_MAX 256
struct event_line {
	struct view_exit e;
	uint64_t pos;
	char name[32];
	bool marked, selected;
};
struct events {
	struct event_line lines[EVENTS_MAX]; /* oldest first */
	size_t n;
	struct table table;
	const struct symbols *syms;
	uint64_t kept, searched; /* exits of the log, and how many of them were looked at */
	uint64_t later;		 /* exits beyond the position (after going back) */
	char filter[128];	 /* "": none */
	bool opened;
	/* what the lines were made from */
	uint64_t made_first, made_end;
	char made_filter[512];
};

struct app;
void events_collect(struct events *ev, struct app *a, struct view_model *m);
/* "newest of 300 exits; filter: reason == 10" */
const char *events_title(const struct events *ev, char *buf, size_t n);
json_t *events_json(const struct events *ev);

#endif
