/*
 * A run_result for people and for programs. Text goes to stderr (the console has stdout), JSON to stdout.
 */
#ifndef VMSCOPE_CLI_RESULT_H
#define VMSCOPE_CLI_RESULT_H

#include <stdio.h>

#include "cli/runner.h"

struct json_t;

/* The summary of one run: how it ended, exits by reason, verdicts. */
void result_print(const struct run_result *r, FILE *f);
/* Type I: what the VMM itself had to say; nothing where it said nothing. */
void result_print_words(const struct run_result *r, FILE *f);
/* The text screen, between two rules; nothing when there is none. */
void result_print_screen(const struct run_result *r, FILE *f);
/* The object of "run --json", and of an entry of "compare --json" (with "unavailable" when it did not run). New
 * references; NULL when memory is short. */
struct json_t *result_json(const struct run_result *r);
/* {state, evidence}. */
struct json_t *verdict_json(const struct pg_verdict *v);
/* Prints j as one object and releases it; the exit status to use instead of CLI_OK when that fails, else CLI_OK. */
int json_print(struct json_t *j);
/* A JSON string of any bytes: what is no UTF-8 becomes U+FFFD. */
struct json_t *json_text(const uint8_t *p, size_t n);
/* "emulate/II". */
void backend_label(enum vmm_mode m, enum vmm_type t, char *buf, size_t n);
/* Wraps text at width columns; column is where the first line begins, the others begin after indent spaces. */
void print_wrapped(FILE *f, const char *text, unsigned column, unsigned indent, unsigned width);

#endif
