/*
 * A column: read modes_column.h first.
 */
#include "tui/modes_column.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tui/engine.h"

#define BATCH 2000u /* exits of one request: short enough that a pause is felt at once */

uint64_t modes_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

const char *modes_label(enum vmm_mode mode, unsigned type, char *buf, size_t n)
{
	static const char *const names[] = {
	    [MODE_SIMULATE] = "simulate", [MODE_EMULATE] = "emulate", [MODE_VIRTUALIZE] = "virtualize"};

	snprintf(buf, n, "%s/%s", names[mode], type == VMM_TYPE_I ? "I" : "II");
	return buf;
}

void column_init(struct modes_column *c, enum vmm_mode mode, enum vmm_type type)
{
	*c = (struct modes_column){.mode = mode, .type = type, .pair.first = -1};
	modes_label(mode, type, c->label, sizeof c->label);
}

void column_open(struct app *a, struct modes_column *c)
{
	const struct app_config *cfg = app_config(a);
	struct errmsg why = {{0}};
	enum err e;

	c->why[0] = 0;
	c->to_end = c->out_of_time = false;
	if (!cfg || !cfg->backend) {
		snprintf(c->why, sizeof c->why, "there is no guest to run: a recorded trace holds only its exits");
		return;
	}
	e = cfg->backend(cfg->arg, c->mode, c->type, &c->src, &why);
	c->has_src = e == ERR_OK;
	if (e == ERR_OK)
		e = engine_open(&c->src, true, &c->e, &why);
	if (e == ERR_OK) {
		struct view_model *m = engine_model(c->e);
		view_model_lock(m);
		c->host_time = view_info(m)->clock == CLOCK_HOST;
		snprintf(c->engine, sizeof c->engine, "%s", view_info(m)->engine);
		view_model_unlock(m);
		return;
	}
	snprintf(c->why, sizeof c->why, "%s", why.text[0] ? why.text : err_sentence(e));
	c->e = NULL;
	if (c->has_src && cfg->backend_done)
		cfg->backend_done(cfg->arg, &c->src);
	c->has_src = false;
}

void column_close(struct app *a, struct modes_column *c)
{
	const struct app_config *cfg = app_config(a);

	if (c->e)
		engine_close(c->e);
	c->e = NULL;
	if (c->has_src && cfg->backend_done)
		cfg->backend_done(cfg->arg, &c->src);
	c->has_src = false;
	modes_track_free(&c->track);
	modes_pair_free(&c->pair);
}

void column_read(struct modes_column *c)
{
	struct view_model *m = engine_model(c->e);

	view_model_lock(m);
	modes_track_read(&c->track, m);
	view_model_unlock(m);
}

bool column_works(const struct modes_column *c)
{
	return c->e && (engine_busy(c->e) || (!c->why[0] && !c->track.ended && !c->track.full && !c->out_of_time &&
						 (c->pair.behind || c->to_end)));
}

/* A guest on host time may wait for ever, for a key that nobody presses: so it is not waited for without end. */
static void wait_for(struct engine *e)
{
	struct pollfd news = {.fd = engine_fd(e), .events = POLLIN};
	uint64_t end = modes_now_ns() + COLUMN_HOST_NS;

	while (engine_busy(e)) {
		(void)poll(&news, 1, 50);
		if (modes_now_ns() >= end)
			engine_pause(e);
	}
}

enum err column_step(struct app *a, struct modes_column *c, uint64_t n, struct errmsg *why)
{
	enum err e = ERR_OK;

	if (engine_busy(c->e))
		return ERR_BUSY;
	/* What the request before came to. */
	if (engine_result(c->e, &e, why) && e)
		return e;
	e = engine_do(c->e, ENGINE_STEP_EXIT, n < BATCH ? n : BATCH, why);
	if (e || app_threaded(a))
		return e;
	wait_for(c->e);
	return engine_result(c->e, &e, why) ? e : ERR_OK;
}

/* One request; false: nothing more to do, or it has to be waited for. */
static bool follow_once(struct app *a, struct modes_column *c, const struct modes_track *main)
{
	struct errmsg why = {{0}};

	column_read(c);
	modes_pair_update(&c->pair, main, &c->track);
	if (c->track.ended || c->track.full || c->pair.cut)
		c->to_end = false;
	uint64_t n = c->to_end ? BATCH : c->pair.behind;
	if (!n || c->track.ended || c->track.full)
		return false;
	enum err e = column_step(a, c, n, &why);
	if (e == ERR_BUSY)
		return false;
	if (e) {
		snprintf(c->why, sizeof c->why, "%s", why.text[0] ? why.text : err_sentence(e));
		c->track.ended = true;
		return false;
	}
	return !app_threaded(a);
}

void column_follow(struct app *a, struct modes_column *c, const struct modes_track *main)
{
	uint64_t end = modes_now_ns() + COLUMN_HOST_NS;

	if (!c->e || c->why[0])
		return;
	c->out_of_time &= c->pair.behind > 0;
	if (c->to_end && modes_now_ns() >= c->until_ns) {
		c->to_end = false;
		c->out_of_time = true;
	}
	while (follow_once(a, c, main))
		if (modes_now_ns() >= end) {
			c->out_of_time = c->to_end || c->pair.behind;
			c->to_end = false;
			break;
		}
}
