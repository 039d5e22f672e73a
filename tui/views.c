/*
 * The table of views: their order is that of their digits and of Tab. A view more is a row here and its file.
 */
#include "tui/views.h"

const struct view_ops *const views[] = {
    &view_scope_ops,
    &view_exit_ops,
    &view_machine_ops,
    &view_modes_ops,
    &view_stats_ops,
    &view_vms_ops,
    &view_theory_ops,
    NULL,
};
