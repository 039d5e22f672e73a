/*
 * The names of the modes, as the command line and JSON have them.
 */
#include "core/mode.h"

const char *mode_name(enum vmm_mode m)
{
	switch (m) {
	case MODE_SIMULATE:
		return "simulate";
	case MODE_EMULATE:
		return "emulate";
	case MODE_VIRTUALIZE:
		return "virtualize";
	default:
		return "unknown";
	}
}
