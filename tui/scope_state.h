/*
 * What the scope (tui/view_scope.c) copies of the model, and the parts of it that have files of their own.
 */
#ifndef VMSCOPE_TUI_SCOPE_STATE_H
#define VMSCOPE_TUI_SCOPE_STATE_H

#include "tui/scope_events.h"
#include "tui/stats_rows.h"

enum scope_focus { SCOPE_TABLE, SCOPE_EVENTS };
enum scope_console { CONSOLE_AUTO, CONSOLE_UART, CONSOLE_VGA };

#define SCOPE_CONSOLE_BYTES 8192

struct scope_state {
	struct view_info info;
	struct view_now now;
	struct view_verdicts verdicts;
	uint64_t bucket_ns;
	struct stats_rows rows;
	struct events events;
	char console[SCOPE_CONSOLE_BYTES];
	size_t console_n;
	uint64_t console_total;
	bool has_vga;
	char vga[25][81];
	enum scope_focus focus;
	enum scope_console which;
	bool evidence; /* all of it */
};

/* tui/scope_console.c: the end of what the guest printed, or of its screen. */
void scope_console_draw(const struct scope_state *st, struct screen *s, const struct rect *r);
json_t *scope_console_json(const struct scope_state *st);
/* tui/scope_json.c */
json_t *scope_json(const struct scope_state *st);

#endif
