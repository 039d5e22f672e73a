/* Commands and keys of the machine view. */
#ifndef VMSCOPE_TUI_MACHINE_COMMANDS_H
#define VMSCOPE_TUI_MACHINE_COMMANDS_H

#include "tui/machine.h"

extern const struct command machine_commands[];
extern const struct binding machine_bindings[];
enum err machine_enter(struct app *a, struct view *v, struct errmsg *why);
/* Goes to a page; the focus is on its first panel then. */
void machine_page_select(struct machine_state *m, unsigned page, int w, int h);
/* "0x1000", "rsp", "guest_main", with "+N" or "-N" behind it; plain digits are hexadecimal. */
enum err machine_address(const struct machine_state *m, const char *text, uint64_t *addr, struct errmsg *why);

#endif
