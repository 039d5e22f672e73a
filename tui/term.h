/*
 * The terminal: the only part that knows curses. It prints the application's screen, turns what the terminal sends into
 * key events, and gives the terminal back as it was: at the end, while the process is stopped, and when it crashes.
 *
 * One terminal a process, one thread: the one that opened it. What makes threads before term_open() calls
 * term_block_signals() before that, or a thread may get the signal that was to end the process in order.
 */
#ifndef VMSCOPE_TUI_TERM_H
#define VMSCOPE_TUI_TERM_H

#include "tui/app.h"

struct terminal;

/* SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH: threads inherit it. */
void term_block_signals(void);
/* Takes the locale from the environment; true: it is UTF-8 (false: app_config.ascii). */
bool term_utf8(void);
/* ERR_UNSUPPORTED: standard input or output is no terminal, or none that a screen can be drawn on (exit status 3).
 * note: a line for the user when the terminal is not known and was taken for another; empty otherwise. */
enum err term_open(struct terminal **out, char note[160], struct errmsg *why) MUST_CHECK;
/* Until the application quits or a signal ends it. */
enum err term_run(struct terminal *t, struct app *a, struct errmsg *why) MUST_CHECK;
/* The signal that ended term_run(); 0: none. */
int term_signal(const struct terminal *t);
uint64_t term_frames(const struct terminal *t); /* printed so far */
void term_close(struct terminal *t);

#endif
