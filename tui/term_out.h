/*
 * What is sent to the terminal, a frame at a time: curses writes each change of place by itself, a hundred writes a
 * frame, and each wakes the terminal, or is a packet to the one behind ssh. So curses has a descriptor of its own,
 * which is a memory file while a frame is drawn and the terminal otherwise.
 */
#ifndef VMSCOPE_TUI_TERM_OUT_H
#define VMSCOPE_TUI_TERM_OUT_H

#include <stdbool.h>
#include <stdio.h>

struct term_out {
	FILE *file; /* for newterm() */
	int tty;    /* borrowed */
	int memory; /* -1: none, and everything goes to the terminal at once */
};

/* False: no descriptor is left. */
bool term_out_open(struct term_out *o, int tty);
/* After delscreen(). */
void term_out_close(struct term_out *o);
void term_out_begin(struct term_out *o);
/* A terminal that is gone is not heard of here, but by who reads from it. */
void term_out_end(struct term_out *o);

#endif
