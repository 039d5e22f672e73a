/*
 * The table of the six backends, two axes: how guest instructions happen (mode), and what the VMM stands on (type).
 * The one file that names them all; everything else sees struct mode_ops.
 */
#include "modes/modes.h"

static const struct mode_ops *const table[] = {
    &mode_simulate_type1_ops,
    &mode_simulate_type2_ops,
    &mode_emulate_type1_ops,
    &mode_emulate_type2_ops,
    &mode_virtualize_type1_ops,
    &mode_virtualize_type2_ops,
};

const struct mode_ops *const *modes_all(size_t *n)
{
	*n = ARRAY_LEN(table);
	return table;
}

const struct mode_ops *modes_find(enum vmm_mode m, enum vmm_type t)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i]->mode == m && table[i]->type == t)
			return table[i];
	return NULL;
}
