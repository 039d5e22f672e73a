/*
 * The terminal in a crash: when the process dies of SIGSEGV, SIGBUS, SIGILL, SIGFPE or SIGABRT, the terminal gets its
 * settings back, by functions that may be called in a signal handler, and the crash goes on as it would have.
 */
#ifndef VMSCOPE_TUI_CRASH_H
#define VMSCOPE_TUI_CRASH_H

#include <termios.h>

#include "core/types.h"

/* reset: what is written to standard output (at most 256 bytes; copied); saved: the settings of standard input. */
void crash_arm(const char *reset, size_t n, const struct termios *saved);
void crash_disarm(void);

#endif
