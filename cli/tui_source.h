/*
 * Where the terminal UI's runs come from: the command line's options, by the same runner as "vmscope run". One source
 * is one session (a guest, or several under one VMM) in one backend; the modes view asks for more of them, with the
 * same guest in other backends.
 */
#ifndef VMSCOPE_CLI_TUI_SOURCE_H
#define VMSCOPE_CLI_TUI_SOURCE_H

#include "cli/options.h"
#include "tui/engine.h"

struct symbols;
struct tui_source;

/* The words of "vmscope run", as another part of the program has them; the options point into argv. what begins the
 * error. */
enum err tui_source_parse(
    const char *what, int argc, char **argv, struct run_options *o, struct errmsg *why) MUST_CHECK;
/* o is copied; its texts stay the caller's. ERR_NODEV, ERR_UNSUPPORTED: why says why not. */
enum err tui_source_new(const struct run_options *o, struct tui_source **out, struct errmsg *why) MUST_CHECK;
void tui_source_free(struct tui_source *s);
void tui_source_fill(struct tui_source *s, struct engine_source *out);
/* Of the guest that this VM runs now; NULL: none. */
const struct symbols *tui_source_symbols(const struct tui_source *s, unsigned vm);
/* A source for the same guest in another backend, under the same profile where that backend has it. */
enum err tui_source_backend(const struct tui_source *s, enum vmm_mode mode, enum vmm_type type, struct tui_source **out,
    struct errmsg *why) MUST_CHECK;

#endif
