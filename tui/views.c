/*
 * The table of views: their order is that of their digits and of Tab. A view more is a row here and its file.
 */
#include "tui/views.h"

const struct view_ops *const views[] = {
    NULL,
};
