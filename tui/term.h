/*
 * The terminal: the only part that knows curses. It prints the application's screen, turns what the terminal sends into
 * key events, and gives the terminal back as it was: at the end, while the process is stopped, and when it crashes.
 *
 * One terminal a process, one thread. What makes threads before term_run() calls term_block_signals() before that, or a
 * thread may get the signal that was to end the process in order.
 */
#ifndef VMSCOPE_TUI_TERM_H
#define VMSCOPE_TUI_TERM_H

#include "tui/app.h"

/* SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH: threads inherit it. */
void term_block_signals(void);
/* Takes the locale from the environment; true: it is UTF-8 (false: app_config.ascii). */
bool term_utf8(void);
/* Until the application quits or a signal ends it; the terminal is as it was then. ERR_UNSUPPORTED: standard input or
 * output is no terminal, or none that a screen can be drawn on. A terminal that is not known is taken for one that is;
 * the application gets a message. */
enum err term_run(struct app *a, struct errmsg *why) MUST_CHECK;
/* The signal that ended the last term_run(); 0: none. */
int term_signal(void);

#endif
