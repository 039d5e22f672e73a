/*
 * The views, each in tui/view_NAME.c.
 */
#ifndef VMSCOPE_TUI_VIEWS_H
#define VMSCOPE_TUI_VIEWS_H

#include "tui/view.h"

extern const struct view_ops view_scope_ops, view_exit_ops, view_machine_ops, view_modes_ops, view_stats_ops,
    view_vms_ops, view_theory_ops;

#endif
