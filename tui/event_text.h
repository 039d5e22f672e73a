/*
 * One exit as a line of text: what was asked, what was answered, what the VMM did. Every byte is printable ASCII,
 * whatever the guest wrote.
 */
#ifndef VMSCOPE_TUI_EVENT_TEXT_H
#define VMSCOPE_TUI_EVENT_TEXT_H

#include "tracer/symbols.h"
#include "tracer/view_model.h"

/* "out 0x3f8: 0x48 'H'", "leaf 0x1.0: 6fb ..."; "" when there is nothing to say, or it is not known. */
const char *event_operands(const struct view_exit *e, char *buf, size_t n);
/* The VMM's verdict, and the event that was injected before the next entry: "next", "reflect + #GP(0x10)". */
const char *event_outcome(const struct view_exit *e, char *buf, size_t n);
/* "main+0x4", or the address where there is no symbol; "?" when it is not known. */
const char *event_place(const struct view_exit *e, const struct symbols *syms, char *buf, size_t n);
/* The port of an I/O exit; false: it is none. */
bool event_port(const struct view_exit *e, unsigned *port, bool *in);
/* The reason's number; "vmm" for our own codes, whose numbers say nothing to anybody. */
const char *event_reason_number(const struct view_exit *e, char *buf, size_t n);
/* "12.345678 ms" of guest time, always in the same unit: columns of times can be compared. */
const char *event_time(uint64_t ns, char *buf, size_t n);

struct app;
/* Selects an exit and shows it: what Enter does on anything that stands for one. */
enum err view_show_exit(struct app *a, uint64_t number, struct errmsg *why) MUST_CHECK;

#endif
