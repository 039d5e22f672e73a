/* The VMs view, over an engine that is only a list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/view_fixture.h"

extern const struct view_ops view_vms_ops;

/* What tui/engine.c would do; the view only asks and tells. */
struct engine {
	struct engine_vm vms[ENGINE_VMS_MAX];
	unsigned n, runs;
	bool busy;
	struct view_model *model;
};

unsigned engine_n_vms(const struct engine *e)
{
	return e->n;
}

void engine_vm(struct engine *e, unsigned i, struct engine_vm *out)
{
	/* As the real one does: the caller must not hold the lock. */
	view_model_lock(e->model);
	*out = e->vms[i];
	view_model_unlock(e->model);
}

enum err engine_vm_select(struct engine *e, unsigned i, struct errmsg *why)
{
	(void)why;
	for (unsigned k = 0; k < e->n; k++)
		e->vms[k].current = k == i;
	return ERR_OK;
}

enum err engine_vm_pause(struct engine *e, unsigned i, bool paused, struct errmsg *why)
{
	(void)why;
	e->vms[i].paused = paused;
	return ERR_OK;
}

enum err engine_vm_stop(struct engine *e, unsigned i, struct errmsg *why)
{
	if (e->busy)
		return err_set(why, ERR_BUSY, "a step is under way");
	e->vms[i].run = VIEW_ENDED;
	e->vms[i].end = (struct vm_end){.kind = END_STOPPED};
	return ERR_OK;
}

bool engine_busy(struct engine *e)
{
	return e->busy;
}

enum err engine_do(struct engine *e, enum engine_verb verb, uint64_t n, struct errmsg *why)
{
	(void)why;
	(void)n;
	e->runs += verb == ENGINE_RUN;
	return ERR_OK;
}

struct fixture {
	struct app app;
	struct engine engine;
	struct fake_run run;
	struct view view;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_run_open(&f->run, 256);
	f->app.model = f->run.model;
	f->app.engine = &f->engine;
	f->engine.n = 3;
	f->engine.model = f->run.model;
	f->engine.vms[0] = (struct engine_vm){.guest = "hello",
	    .mode = "emulate",
	    .type = 2,
	    .run = VIEW_RUNNING,
	    .current = true,
	    .mem_size = 64 << 20,
	    .exits = 12345,
	    .counts_insns = true,
	    .insns = 5000000,
	    .cpu_ns = 750000000,
	    .exits_per_s = 1.5e6};
	f->engine.vms[1] = (struct engine_vm){.guest = "timer",
	    .mode = "emulate",
	    .type = 2,
	    .run = VIEW_RUNNING,
	    .paused = true,
	    .mem_size = 16 << 20,
	    .exits = 99,
	    .cpu_ns = 250000000};
	f->engine.vms[2] = (struct engine_vm){.guest = "\x1b[31mred",
	    .mode = "simulate",
	    .type = 1,
	    .run = VIEW_ENDED,
	    .end = {.kind = END_KILLED, .detail = "bad things"}};
	fake_open(&f->app, &f->view, &view_vms_ops);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fake_close(&f->app, &f->view);
	fake_run_close(&f->run);
	free(f);
	return 0;
}

static void has(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("\"%s\" is not in:\n%s", what, text);
}

static void each_vm_is_a_row(void **state)
{
	struct fixture *f = *state;
	char *t = fake_frame(&f->app, &f->view, 80, 21, true);

	has(t, "3 VMs of this session");
	has(t, ">   1 hello");
	has(t, "> running");
	has(t, "75.0%");
	has(t, "25.0%");
	has(t, "64M");
	has(t, "1.50M");
	has(t, "= paused");
	has(t, "# ended");
	assert_null(strchr(t, '\x1b'));
	free(t);
	t = fake_frame(&f->app, &f->view, 200, 47, true);
	has(t, "killed: bad things");
	free(t);
}

static void commands_reach_the_vm_that_they_name(void **state)
{
	struct fixture *f = *state;
	struct errmsg why = {0};

	free(fake_frame(&f->app, &f->view, 80, 21, true));
	assert_int_equal(fake_command(&f->app, &f->view, "vm start 2", &why), ERR_OK);
	assert_false(f->engine.vms[1].paused);
	assert_int_equal(f->engine.runs, 1);
	f->engine.busy = true; /* it runs: nothing more to begin */
	assert_int_equal(fake_command(&f->app, &f->view, "vm start 2", &why), ERR_OK);
	assert_int_equal(f->engine.runs, 1);
	assert_int_equal(fake_command(&f->app, &f->view, "vm pause", &why), ERR_OK);
	assert_true(f->engine.vms[0].paused);
	assert_int_equal(fake_command(&f->app, &f->view, "vm stop 2", &why), ERR_BUSY);
	f->engine.busy = false;
	assert_int_equal(fake_command(&f->app, &f->view, "vm stop 2", &why), ERR_OK);
	assert_int_equal(f->engine.vms[1].run, VIEW_ENDED);
	assert_int_equal(fake_command(&f->app, &f->view, "vm start 3", &why), ERR_UNSUPPORTED);
	has(why.text, "has ended");
}

static void a_wrong_number_is_told(void **state)
{
	static const char *const wrong[] = {"vm stop 0", "vm stop 4", "vm stop -1", "vm stop x", "vm pause 2 3"};
	struct fixture *f = *state;

	free(fake_frame(&f->app, &f->view, 80, 21, true));
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct errmsg why = {0};

		assert_int_equal(fake_command(&f->app, &f->view, wrong[i], &why), ERR_NOENT);
		has(why.text, "numbers 1 to 3");
	}
	assert_int_equal(f->engine.vms[0].run, VIEW_RUNNING);
}

static void enter_selects_and_shows_the_scope(void **state)
{
	struct fixture *f = *state;
	struct errmsg why;

	free(fake_frame(&f->app, &f->view, 80, 21, true));
	f->view.ops->move(&f->app, &f->view, 1);
	assert_int_equal(f->view.ops->enter(&f->app, &f->view, &why), ERR_OK);
	assert_true(f->engine.vms[1].current);
	assert_string_equal(f->app.lines[0], "view scope");
}

static void json_has_every_number(void **state)
{
	struct fixture *f = *state;

	free(fake_frame(&f->app, &f->view, 80, 21, true));
	json_t *j = f->view.ops->json(&f->app, &f->view), *vms = json_object_get(j, "vms"), *vm;

	assert_int_equal(json_array_size(vms), 3);
	vm = json_array_get(vms, 0);
	assert_string_equal(json_string_value(json_object_get(vm, "guest")), "hello");
	assert_int_equal(json_integer_value(json_object_get(vm, "exits")), 12345);
	assert_true(json_real_value(json_object_get(vm, "cpu_share")) == 0.75);
	assert_true(json_is_true(json_object_get(vm, "current")));
	assert_int_equal(json_integer_value(json_object_get(vm, "insns")), 5000000);
	assert_true(json_is_null(json_object_get(json_array_get(vms, 1), "insns"))); /* not counted there */
	vm = json_array_get(vms, 2);
	assert_string_equal(json_string_value(json_object_get(json_object_get(vm, "end"), "kind")), "killed");
	json_decref(j);
}

static void a_trace_says_what_it_holds(void **state)
{
	struct fixture *f = *state;
	struct view_info info = f->run.info;
	struct errmsg why = {0};

	info.source = VIEW_TRACE;
	snprintf(info.path, sizeof(info.path), "run.dat");
	f->app.engine = NULL;
	view_model_attach(f->run.model, NULL, &info);
	char *t = fake_frame(&f->app, &f->view, 80, 21, true);

	has(t, "a recorded trace: nothing runs");
	has(t, "run.dat");
	has(t, "0 exits of 2 vCPUs");
	free(t);
	assert_int_equal(fake_command(&f->app, &f->view, "vm start", &why), ERR_UNSUPPORTED);
	has(why.text, "no VM to be driven");
	assert_int_equal(f->view.ops->enter(&f->app, &f->view, &why), ERR_OK);
	assert_string_equal(f->app.lines[0], "view scope");
}

static void any_size_draws_something(void **state)
{
	struct fixture *f = *state;

	for (int w = 1; w < 210; w += 7)
		for (int h = 1; h < 60; h += 3)
			free(fake_frame(&f->app, &f->view, w, h, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(each_vm_is_a_row, setup, teardown),
	    cmocka_unit_test_setup_teardown(commands_reach_the_vm_that_they_name, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_wrong_number_is_told, setup, teardown),
	    cmocka_unit_test_setup_teardown(enter_selects_and_shows_the_scope, setup, teardown),
	    cmocka_unit_test_setup_teardown(json_has_every_number, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_trace_says_what_it_holds, setup, teardown),
	    cmocka_unit_test_setup_teardown(any_size_draws_something, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
