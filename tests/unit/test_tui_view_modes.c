/*
 * Runs side by side: alignment, marks, what differs; with two engines whose exits are scripted. The engines are those
 * of this file, so that a test says exactly what each backend does; models, view and application are the real ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/vm.h"
#include "tui/app.h"
#include "tui/view_modes.h"
#include "tui/views.h"

const struct view_ops *const views[] = {&view_modes_ops, NULL};

/* --- engines that are a script ------------------------------------------------------------------------------------ */

struct script {
	const char *mode, *controls;
	unsigned type;
	const struct vm_exit *exits;
	size_t n;
	bool no_rip;
};

struct engine {
	struct view_model *model;
	const struct script *script;
	size_t at;
	uint64_t number;
	bool news;
};

static struct vm_controls profiles[4];

static struct vm_controls *profile_of(const char *name)
{
	struct errmsg why;
	for (unsigned i = 0; i < ARRAY_LEN(profiles); i++) {
		if (!profiles[i].name[0])
			assert_int_equal(controls_set(&profiles[i], name, &why), ERR_OK);
		if (strcmp(profiles[i].name, name) == 0)
			return &profiles[i];
	}
	fail();
	return NULL;
}

static void play(struct engine *e)
{
	const struct vm_exit *x = &e->script->exits[e->at];
	struct trace_rec r = {.kind = TRACE_REC_EXIT, .reason = x->reason, .rip = x->rip, .observed = OBSERVED_VMM};

	r.exit = (struct trace_rec_exit){.info1 = x->qual,
	    .intr_info = x->intr_info,
	    .intr_error = x->intr_error,
	    .index = e->at,
	    .insns = e->at * 10,
	    .gpa = x->gpa,
	    .number = e->number};
	r.exit.own = (uint32_t)(e->at - e->number++);
	r.verdict = VERDICT_NEXT;
	r.insn_len = (uint8_t)x->insn_len;
	memcpy(r.exit.raw, x->raw, sizeof r.exit.raw);
	view_model_feed(e->model, 0, &r, 1);
	e->at++;
	view_model_position(e->model, e->at * 10, e->number);
}

enum err engine_open(const struct engine_source *src, bool threaded, struct engine **out, struct errmsg *why)
{
	const struct view_config small = {.log_exits = 4096};
	struct engine *e = calloc(1, sizeof *e);
	const struct script *s = src->arg;
	struct view_info info = {.source = VIEW_LIVE,
	    .type = s->type,
	    .clock = CLOCK_VIRTUAL,
	    .n_vcpus = 1,
	    .counts_insns = true,
	    .profile = profile_of(s->controls)};

	(void)threaded;
	snprintf(info.guest, sizeof info.guest, "scripted");
	snprintf(info.mode, sizeof info.mode, "%s", s->mode);
	snprintf(info.controls, sizeof info.controls, "%s", s->controls);
	e->script = s;
	assert_int_equal(view_model_new(&small, &e->model, why), ERR_OK);
	view_model_attach(e->model, NULL, &info);
	*out = e;
	return ERR_OK;
}

void engine_close(struct engine *e)
{
	view_model_free(e->model);
	free(e);
}

enum err engine_do(struct engine *e, enum engine_verb verb, uint64_t n, struct errmsg *why)
{
	struct vm_end end = {.kind = END_DEBUG_EXIT};

	(void)why;
	assert_int_equal(verb, ENGINE_STEP_EXIT);
	for (; n && e->at < e->script->n; n--)
		play(e);
	if (e->at == e->script->n)
		view_model_set_run(e->model, VIEW_ENDED, &end, "");
	e->news = true;
	return ERR_OK;
}

bool engine_result(struct engine *e, enum err *err, struct errmsg *why)
{
	bool news = e->news;
	(void)why;
	*err = ERR_OK;
	e->news = false;
	return news;
}

struct view_model *engine_model(struct engine *e)
{
	return e->model;
}

bool engine_busy(struct engine *e)
{
	(void)e;
	return false;
}

int engine_fd(const struct engine *e)
{
	(void)e;
	return -1;
}

bool engine_runs(struct engine *e)
{
	(void)e;
	return false;
}

void engine_pause(struct engine *e)
{
	(void)e;
}

bool engine_hold(struct engine *e)
{
	(void)e;
	return true;
}

void engine_release(struct engine *e)
{
	(void)e;
}

/* What the application could ask for besides; no test here does. */
struct control *engine_control(struct engine *e)
{
	(void)e;
	return NULL;
}

const struct control_where *engine_where(struct engine *e)
{
	static const struct control_where nowhere;
	(void)e;
	return &nowhere;
}

enum err engine_load(struct engine *e, const char *words, struct errmsg *why)
{
	(void)e;
	return err_set(why, ERR_NOENT, "no guest %s", words);
}

enum err engine_type(struct engine *e, const char *text, size_t n, struct errmsg *why)
{
	(void)e;
	(void)text;
	(void)n;
	(void)why;
	return ERR_OK;
}

unsigned engine_vm_current(const struct engine *e)
{
	(void)e;
	return 0;
}

unsigned engine_n_vms(const struct engine *e)
{
	(void)e;
	return 1;
}

void engine_vm(struct engine *e, unsigned i, struct engine_vm *out)
{
	(void)e;
	(void)i;
	*out = (struct engine_vm){0};
}

bool engine_wait(struct engine *e, unsigned ms)
{
	(void)e;
	(void)ms;
	return true;
}

enum err engine_vm_select(struct engine *e, unsigned i, struct errmsg *why)
{
	(void)e;
	return err_set(why, ERR_RANGE, "there is no virtual machine %u", i);
}

enum err engine_vm_pause(struct engine *e, unsigned i, bool paused, struct errmsg *why)
{
	(void)e;
	(void)i;
	(void)paused;
	(void)why;
	return ERR_OK;
}

enum err engine_vm_stop(struct engine *e, unsigned i, struct errmsg *why)
{
	(void)e;
	return err_set(why, ERR_RANGE, "there is no virtual machine %u", i);
}

/* --- the application with them ------------------------------------------------------------------------------------ */

static const struct script *scripts[6]; /* by mode and type; NULL: this machine has it not */
static struct engine *engine;
static struct app *app;
static struct screen screen;

static enum err backend(
    void *arg, enum vmm_mode mode, enum vmm_type type, struct engine_source *out, struct errmsg *why)
{
	const struct script *s = scripts[(unsigned)mode * 2 + (unsigned)type - 1];
	(void)arg;
	if (!s)
		return err_set(why, ERR_NODEV, "this machine has no such thing: try another one");
	*out = (struct engine_source){.arg = (void *)(uintptr_t)s};
	return ERR_OK;
}

static void open_app(const struct script *main, int w, int h)
{
	struct engine_source src = {.arg = (void *)(uintptr_t)main};
	struct errmsg why;

	assert_int_equal(engine_open(&src, false, &engine, &why), ERR_OK);
	struct app_config cfg = {.engine = engine, .backend = backend, .ascii = true};
	assert_int_equal(app_open(&cfg, &app, &why), ERR_OK);
	assert_true(screen_init(&screen, w, h, true));
	app_draw(app, &screen);
}

static void close_app(void)
{
	app_close(app);
	engine_close(engine);
	screen_fini(&screen);
	memset(scripts, 0, sizeof scripts);
}

static void run(const char *line)
{
	struct errmsg why = {""};
	if (app_command(app, line, &why))
		fail_msg("%s: %s", line, why.text);
	app_draw(app, &screen);
}

static bool shows(const char *text)
{
	char *dump = screen_dump(&screen, false);
	bool found = strstr(dump, text) != NULL;
	if (!found)
		print_message("%s\n", dump);
	free(dump);
	return found;
}

static json_t *twin(void)
{
	struct errmsg why = {""};
	json_t *j = app_view_json(app, "modes", &why);
	assert_non_null(j);
	return j;
}

static const char *row_state(json_t *j, unsigned row, unsigned column)
{
	json_t *r = json_array_get(json_object_get(j, "rows"), row);
	return json_string_value(json_object_get(json_array_get(json_object_get(r, "columns"), column), "state"));
}

static json_int_t column_number(json_t *j, unsigned column, const char *key)
{
	json_t *c = json_array_get(json_object_get(j, "columns"), column);
	json_t *v = json_object_get(c, key);
	return json_is_integer(v) ? json_integer_value(v) : -1;
}

/* --- scripts ------------------------------------------------------------------------------------------------------ */

#define OUT(rip_, value_)                                                                     \
	{                                                                                     \
		.reason = EXIT_IO_INSTRUCTION, .rip = rip_, .insn_len = 1, .qual = 0x3f80000, \
		.io = {.port = 0x3f8,                                                         \
			.size = 1,                                                            \
			.value = value_ }                                                     \
	}
#define IN(rip_)                                                                              \
	{                                                                                     \
		.reason = EXIT_IO_INSTRUCTION, .rip = rip_, .insn_len = 1, .qual = 0x3fd0008, \
		.io = {.port = 0x3fd,                                                         \
			.size = 1,                                                            \
			.in = 1,                                                              \
			.value = 0x60 }                                                       \
	}
#define CPUID(rip_)                                                                               \
	{                                                                                         \
		.reason = EXIT_CPUID, .rip = rip_, .insn_len = 2, .cpuid = {.leaf = 1, .eax = 5 } \
	}
#define SLICE(rip_)                                          \
	{                                                    \
		.reason = EXIT_PREEMPTION_TIMER, .rip = rip_ \
	}

static const struct vm_exit plain[] = {
    CPUID(0x10), IN(0x20), OUT(0x22, 'h'), IN(0x20), OUT(0x22, 'i'), IN(0x20), OUT(0x22, '\n'), OUT(0x30, 0)};
static const struct vm_exit with_slices[] = {CPUID(0x10), SLICE(0x11), IN(0x20), OUT(0x22, 'h'), IN(0x20), SLICE(0x21),
    OUT(0x22, 'i'), IN(0x20), OUT(0x22, '\n'), OUT(0x30, 0)};
static const struct vm_exit other_value[] = {
    CPUID(0x10), IN(0x20), OUT(0x22, 'h'), IN(0x20), OUT(0x22, 'o'), IN(0x20), OUT(0x22, '\n'), OUT(0x30, 0)};
static const struct vm_exit one_less[] = {
    CPUID(0x10), IN(0x20), OUT(0x22, 'h'), OUT(0x22, 'i'), IN(0x20), OUT(0x22, '\n'), OUT(0x30, 0)};
static const struct vm_exit one_more[] = {CPUID(0x10), IN(0x20), CPUID(0x21), OUT(0x22, 'h'), IN(0x20), OUT(0x22, 'i'),
    IN(0x20), OUT(0x22, '\n'), OUT(0x30, 0)};
static const struct vm_exit no_cpuid[] = {
    IN(0x20), OUT(0x22, 'h'), IN(0x20), OUT(0x22, 'i'), IN(0x20), OUT(0x22, '\n'), OUT(0x30, 0)};

#define SCRIPT(mode_, type_, controls_, exits_)                                                              \
	{                                                                                                    \
		.mode = mode_, .type = type_, .controls = controls_, .exits = exits_, .n = ARRAY_LEN(exits_) \
	}
static const struct script reference = SCRIPT("emulate", 2, "vtx-ept", plain);
static const struct script sliced = SCRIPT("simulate", 2, "vtx-ept", with_slices);
static const struct script wrong = SCRIPT("simulate", 2, "vtx-ept", other_value);
static const struct script less = SCRIPT("simulate", 2, "vtx-ept", one_less);
static const struct script more = SCRIPT("emulate", 1, "vtx-ept", one_more);
static const struct script kvm = SCRIPT("virtualize", 2, "kvm-user", no_cpuid);

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void equal_runs_are_equal_and_slices_are_left_out(void **state)
{
	(void)state;
	scripts[MODE_SIMULATE * 2 + 1] = &sliced;
	open_app(&reference, 80, 24);
	assert_true(shows("Nothing has exited yet"));
	run("step exit 3");
	json_t *j = twin();
	assert_int_equal(column_number(j, 0, "equal"), 3);
	assert_int_equal(column_number(j, 0, "exits"), 3); /* it goes as far as the main run, and no farther */
	json_decref(j);
	run("run all");
	j = twin();
	assert_int_equal(column_number(j, 0, "equal"), 8);
	assert_int_equal(column_number(j, 0, "first_difference"), -1);
	assert_int_equal(json_array_size(json_object_get(j, "rows")), 8);
	for (unsigned i = 0; i < 8; i++)
		assert_string_equal(row_state(j, i, 0), "equal");
	json_decref(j);
	assert_true(shows("8 equal, ended"));
	struct errmsg why = {""};
	assert_int_equal(app_command(app, "next difference", &why), ERR_NOENT);
	close_app();
}

static void a_value_that_differs_is_marked_and_named(void **state)
{
	(void)state;
	scripts[MODE_SIMULATE * 2 + 1] = &wrong;
	open_app(&reference, 80, 24);
	run("run all");
	json_t *j = twin();
	assert_int_equal(column_number(j, 0, "equal"), 4);
	assert_int_equal(column_number(j, 0, "first_difference"), 4);
	for (unsigned i = 0; i < 8; i++)
		assert_string_equal(row_state(j, i, 0), i == 4 ? "differs" : "equal");
	json_decref(j);
	assert_true(shows("differs from #4"));
	run("next difference");
	assert_true(shows("!4"));
	assert_true(shows("x out 0x3f8 <- 0x6f"));
	assert_true(shows("value differs: 0x69 in emulate/II, 0x6f in simulate/II"));
	close_app();
}

static void a_missing_exit_is_one_row_and_the_rest_meets_again(void **state)
{
	(void)state;
	scripts[MODE_SIMULATE * 2 + 1] = &less;
	open_app(&reference, 80, 24);
	run("run all");
	json_t *j = twin();
	assert_int_equal(column_number(j, 0, "equal"), 3);
	assert_int_equal(column_number(j, 0, "first_difference"), 3);
	assert_int_equal(json_array_size(json_object_get(j, "rows")), 8);
	for (unsigned i = 0; i < 8; i++)
		assert_string_equal(row_state(j, i, 0), i == 3 ? "missing" : "equal");
	json_decref(j);
	run("next difference");
	assert_true(shows("simulate/II lacks this exit"));
	close_app();
}

static void an_exit_too_many_has_a_row_of_its_own_beside_two_columns(void **state)
{
	(void)state;
	scripts[MODE_SIMULATE * 2 + 1] = &wrong;
	scripts[MODE_EMULATE * 2] = &more;
	open_app(&reference, 120, 30);
	run("column add emulate/1");
	run("run all");
	json_t *j = twin();
	assert_int_equal(json_array_size(json_object_get(j, "rows")), 9);
	assert_string_equal(row_state(j, 2, 1), "extra");
	assert_string_equal(row_state(j, 2, 0), "not compared");
	assert_string_equal(row_state(j, 3, 1), "equal");
	assert_string_equal(row_state(j, 5, 0), "differs");
	assert_string_equal(row_state(j, 5, 1), "equal");
	assert_int_equal(column_number(j, 1, "equal"), 2);
	json_decref(j);
	run("move home");
	run("next difference");
	assert_true(shows("emulate/I has an exit here that emulate/II does not have"));
	run("next difference");
	assert_true(shows("0x6f in simulate/II"));
	run("column remove 1");
	j = twin();
	assert_int_equal(json_array_size(json_object_get(j, "columns")), 1);
	assert_string_equal(row_state(j, 2, 0), "extra");
	json_decref(j);
	close_app();
}

static void what_a_profile_does_not_have_is_no_difference(void **state)
{
	(void)state;
	scripts[MODE_VIRTUALIZE * 2 + 1] = &kvm;
	open_app(&reference, 80, 24);
	run("column remove");
	run("column add virtualize/II");
	run("run all");
	json_t *j = twin();
	assert_int_equal(column_number(j, 0, "first_difference"), -1);
	assert_int_equal(column_number(j, 0, "equal"), 7);
	assert_string_equal(row_state(j, 0, 0), "no exit here");
	json_decref(j);
	assert_true(shows("runs under kvm-user"));
	close_app();
}

static void a_backend_that_is_not_there_says_why(void **state)
{
	struct errmsg why = {""};
	(void)state;
	scripts[MODE_SIMULATE * 2 + 1] = &sliced;
	open_app(&reference, 80, 24);
	run("column add virtualize/I");
	assert_true(shows("this machine has"));
	assert_true(shows("not here"));
	assert_int_equal(app_command(app, "column add emulate/II", &why), ERR_INVAL);
	assert_int_equal(app_command(app, "column add nothing/I", &why), ERR_INVAL);
	assert_int_equal(app_command(app, "column remove 7", &why), ERR_RANGE);
	close_app();
}

static const char *cell(json_t *j, unsigned i, const char *key)
{
	return json_string_value(json_object_get(json_array_get(json_object_get(j, "matrix"), i), key));
}

static const char *verdict(json_t *j, unsigned i, const char *key)
{
	json_t *c = json_array_get(json_object_get(j, "matrix"), i);
	return json_string_value(json_object_get(json_object_get(c, "equivalence"), key));
}

static void the_matrix_has_a_verdict_or_a_reason_for_each(void **state)
{
	(void)state;
	scripts[MODE_SIMULATE * 2 + 1] = &sliced;
	scripts[MODE_EMULATE * 2 + 1] = &reference;
	scripts[MODE_EMULATE * 2] = &more;
	scripts[MODE_VIRTUALIZE * 2 + 1] = &kvm;
	open_app(&reference, 80, 24);
	json_t *j = twin();
	assert_string_equal(cell(j, 0, "state"), "not run");
	json_decref(j);
	run("matrix");
	j = twin();
	assert_string_equal(cell(j, 0, "state"), "unavailable");
	assert_non_null(strstr(cell(j, 0, "note"), "no such thing"));
	assert_string_equal(cell(j, 1, "backend"), "simulate/II");
	assert_string_equal(verdict(j, 1, "state"), "holds");
	assert_non_null(strstr(verdict(j, 1, "evidence"), "8 exits equal"));
	assert_non_null(strstr(verdict(j, 1, "evidence"), "2 timer and interrupt exits of both runs exempt"));
	assert_string_equal(verdict(j, 2, "state"), "violated");
	assert_non_null(strstr(verdict(j, 2, "evidence"), "CPUID is not in the reference"));
	assert_string_equal(verdict(j, 3, "state"), "n/a");
	assert_string_equal(cell(j, 4, "state"), "unavailable");
	assert_string_equal(cell(j, 5, "state"), "done");
	json_decref(j);
	assert_true(shows("resource control"));
	assert_true(shows("unavailable"));
	close_app();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(equal_runs_are_equal_and_slices_are_left_out),
	    cmocka_unit_test(a_value_that_differs_is_marked_and_named),
	    cmocka_unit_test(a_missing_exit_is_one_row_and_the_rest_meets_again),
	    cmocka_unit_test(an_exit_too_many_has_a_row_of_its_own_beside_two_columns),
	    cmocka_unit_test(what_a_profile_does_not_have_is_no_difference),
	    cmocka_unit_test(a_backend_that_is_not_there_says_why),
	    cmocka_unit_test(the_matrix_has_a_verdict_or_a_reason_for_each),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
