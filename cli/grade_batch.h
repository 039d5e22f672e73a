/*
 * vmscope grade LAB --batch DIR, called by cli/grade.c.
 */
#ifndef VMSCOPE_CLI_GRADE_BATCH_H
#define VMSCOPE_CLI_GRADE_BATCH_H

/* Returns the exit status of the process. */
int cmd_grade_batch(int argc, char **argv);

#endif
