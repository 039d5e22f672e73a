/*
 * One scene with the files of one submission: a job comes in, an answer goes out, both JSON. This is the worker's side,
 * in a process that is not trusted; job.h is the grader's.
 *
 *   job     {"scenes": text, "files": {name: text or null}, "problems": {name: why null}, "guests": {name: bytes},
 * "scene": name, "args": data, "seed": n, "folders": {variable: folder}, "brief": true for tighter limits}; without
 * "scene": the predictions of "predictions.lua" answer  {"ok": true, "result": data, "printed": text, "runs":
 * [text...], "hashes": [text...]}
 *           {"ok": false, "whose": "submission" or "lab", "error": text, ...}
 */
#ifndef VMSCOPE_LABS_SCENE_H
#define VMSCOPE_LABS_SCENE_H

#include <jansson.h>

#include "labs/labs.h"

/* NULL: no memory. The job stays the caller's. */
json_t *scene_run(const struct lab_maker *maker, const json_t *job);

#endif
