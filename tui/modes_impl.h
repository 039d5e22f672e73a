/* What the files of the modes view share (modes_align.c, modes_text.c). */
#ifndef VMSCOPE_TUI_MODES_IMPL_H
#define VMSCOPE_TUI_MODES_IMPL_H

#include <stdio.h>

#include "tui/modes_align.h"

/* Equal in everything that is compared between these two runs. */
bool modes_same(const struct modes_track *main, const struct modes_item *a, const struct modes_track *sub,
    const struct modes_item *b);

#endif
