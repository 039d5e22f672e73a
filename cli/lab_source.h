/*
 * Where a lab script's VMs come from: the same runner as "vmscope run", by the source that the terminal UI has.
 */
#ifndef VMSCOPE_CLI_LAB_SOURCE_H
#define VMSCOPE_CLI_LAB_SOURCE_H

#include "labs/labs.h"

extern const struct lab_maker lab_source_maker;

#endif
