/*
 * What "vmscope lab check" prints: a result for its author, in 80 columns.
 */
#ifndef VMSCOPE_CLI_LAB_SHOW_H
#define VMSCOPE_CLI_LAB_SHOW_H

#include "labs/lab_file.h"
#include "labs/result.h"

struct lab_shown {
	const struct lab_info *lab;
	const struct lab_result *result;
	const struct lab_result *starter; /* what the lab begins with; its tasks without points, or none */
	const char *dir;		  /* of the submission */
	bool all;			  /* tasks were named: each line of them */
	const char *printed;		  /* by the submission; "" */
	const char *prediction_problem;	  /* NULL */
};

/* To stdout. A task that was not begun (nothing was given, or what the starter gives) takes one line. */
void lab_show_result(const struct lab_shown *s);
/* Nothing was given where something was looked for. */
bool lab_show_all_missing(const struct result_task *t);

#endif
