/*
 * What the exit view's parts share: view_exit.c collects and takes commands, exit_panels.c draws, exit_json.c is the
 * twin. Private to them and their test.
 */
#ifndef VMSCOPE_TUI_EXIT_VIEW_H
#define VMSCOPE_TUI_EXIT_VIEW_H

#include "tracer/explain.h"
#include "tui/view.h"

#define EXIT_NEIGHBOURS 64
#define EXIT_INSN_BYTES 15

/* One line of the list of exits around this one. */
struct exit_neighbour {
	uint64_t number, ts_ns, rip, cost_ns; /* number UINT64_MAX: a code of the VMM */
	uint32_t reason;
	uint8_t has, verdict;
	bool shown, marked, selected;
	char name[32];
};

struct exit_state {
	/* copied by collect() */
	bool have;
	char missing[200]; /* !have: why there is nothing to show */
	struct view_exit e;
	struct view_info info; /* its pointers are not kept */
	uint64_t exits, selected;
	uint64_t same, mean_ns; /* exits of this reason so far; their mean cost, 0: not known */
	bool marked, following;
	uint8_t bytes[EXIT_INSN_BYTES];
	size_t n_bytes;
	char bytes_when[96]; /* of when the bytes are; why there are none */
	char where[64];	     /* RIP as a symbol */
	char source[80];     /* "rt.c:35"; "" when it is not known */
	struct explain x;
	struct exit_neighbour list[EXIT_NEIGHBOURS];
	unsigned n_list;

	/* of the user */
	bool raw;	       /* the raw fields instead of the explanation, where there is no room for both */
	int skip, lines, room; /* scrolling: first line, lines in all, lines that fit */
	struct rect list_at;   /* where the list was drawn; h 0: it was not */
	unsigned list_first;
	uint64_t shown; /* which exit skip is about */
};

void exit_draw(const struct app *a, struct exit_state *st, struct screen *s, const struct rect *r);
json_t *exit_json(const struct exit_state *st);

/* One recorded field, for the panel of raw fields and the twin; false: no more. */
struct exit_field {
	const char *name;
	char value[80];
};
bool exit_raw_field(const struct exit_state *st, unsigned i, struct exit_field *out);

#endif
