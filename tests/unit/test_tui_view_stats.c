/* Statistics: the four groupings, the histogram, the timeline and the places, of a made-up run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#include <limits.h>

#include "tests/view_fixture.h"
#include "tui/stats_panels.h"
#include "tui/stats_rows.h"

extern const struct view_ops view_stats_ops;

struct fixture {
	struct app app;
	struct fake_run run;
	struct view view;
};

static struct fixture *fixture_of(size_t log_exits)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_run_open(&f->run, log_exits);
	f->app.model = f->run.model;
	f->app.marked = UINT64_MAX;
	fake_open(&f->app, &f->view, &view_stats_ops);
	return f;
}

static int setup(void **state)
{
	*state = fixture_of(4096);
	return 0;
}

static int setup_small_log(void **state)
{
	*state = fixture_of(64);
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

static char *frame(struct fixture *f, int w, int h)
{
	return fake_frame(&f->app, &f->view, w, h, true);
}

static void command(struct fixture *f, const char *line)
{
	struct errmsg why = {0};

	if (fake_command(&f->app, &f->view, line, &why) != ERR_OK)
		fail_msg("%s: %s", line, why.text);
}

static json_t *json_of(struct fixture *f)
{
	free(frame(f, 80, 21));
	return f->view.ops->json(&f->app, &f->view);
}

static void the_steps_of_a_histogram_are_those_of_the_tracer(void **state)
{
	static struct hist_copy copy;

	(void)state;
	for (unsigned shift = 0; shift < 64; shift++)
		for (int d = -1; d <= 1; d++) {
			uint64_t v = (1ull << shift) + (uint64_t)(int64_t)d;
			struct hist h = {0};
			unsigned i = 0;

			assert_int_equal(hist_add(&h, v), ERR_OK);
			hist_copy_of(&copy, &h);
			while (i < HIST_FLAT && !copy.slots[i])
				i++;
			assert_true(i < HIST_FLAT);
			assert_true(hist_step_low(i) <= v);
			assert_true(hist_step_low(i + 1) > v || hist_step_low(i + 1) == UINT64_MAX);
			hist_free(&h);
		}
}

static void bins_hold_every_value_and_fit(void **state)
{
	static struct hist_copy copy;
	struct hist h = {0};
	struct hist_bin bins[16];
	unsigned per, n;
	uint64_t sum = 0;

	(void)state;
	for (uint64_t v = 1; v < 1000000; v = v * 3 / 2 + 1)
		assert_int_equal(hist_add(&h, v), ERR_OK);
	hist_copy_of(&copy, &h);
	n = hist_bins(&copy, 16, bins, &per);
	assert_in_range(n, 5, 16);
	for (unsigned i = 0; i < n; i++) {
		sum += bins[i].count;
		assert_true(i == 0 || bins[i].low == bins[i - 1].high);
	}
	assert_int_equal(sum, h.n);
	assert_true(bins[0].low <= 1 && bins[n - 1].high >= 700000);
	hist_free(&h);
}

static void by_reason_the_table_and_its_histogram(void **state)
{
	struct fixture *f = *state;

	fake_story(&f->run, 100);
	char *t = frame(f, 80, 21);

	has(t, "by reason (sort: samples, largest first)");
	has(t, "133 exits");
	has(t, "cost of IO_INSTRUCTION: 120 exits, modelled");
	free(t);
	f->view.ops->move(&f->app, &f->view, 1);
	t = frame(f, 80, 21);
	has(t, "cost of EPT_VIOLATION: 10 exits");
	has(t, "10 100.0%");
	free(t);
}

static void by_port_with_the_device(void **state)
{
	struct fixture *f = *state;
	struct errmsg why;

	fake_story(&f->run, 100);
	command(f, "by port");
	char *t = frame(f, 80, 21);

	has(t, "by port");
	has(t, "0x03f8 OUT COM1");
	has(t, "0x0060 IN  keyboard");
	free(t);
	json_t *j = json_of(f), *row = json_array_get(json_object_get(j, "by_port"), 0);

	assert_int_equal(json_integer_value(json_object_get(row, "port")), 0x3f8);
	assert_int_equal(json_integer_value(json_object_get(row, "count")), 100);
	row = json_array_get(json_object_get(j, "by_port"), 1);
	assert_int_equal(json_integer_value(json_object_get(row, "count")), 20);
	assert_true(json_is_true(json_object_get(row, "in")));
	json_decref(j);
	/* The newest exit with this port. */
	f->view.ops->move(&f->app, &f->view, 1);
	free(frame(f, 80, 21));
	assert_int_equal(f->view.ops->enter(&f->app, &f->view, &why), ERR_OK);
	assert_string_equal(f->app.lines[0], "select 129");
}

static void by_rip_and_by_vcpu(void **state)
{
	struct fixture *f = *state;

	fake_story(&f->run, 100);
	command(f, "by rip");
	char *t = frame(f, 80, 21);

	has(t, "0x7c20");
	has(t, "0x8c10");
	free(t);
	command(f, "by vcpu");
	t = frame(f, 80, 21);
	has(t, "vcpu 0");
	has(t, "vcpu 1");
	free(t);
	json_t *j = json_of(f);

	/* 7c00, 7c20, 8c10, 10 of EPT, 7c40, 7c44 */
	assert_int_equal(json_array_size(json_object_get(j, "by_rip")), 15);
	assert_int_equal(json_array_size(json_object_get(j, "by_vcpu")), 2);
	json_decref(j);
}

static void it_says_when_the_log_holds_only_the_newest(void **state)
{
	struct fixture *f = *state;

	fake_story(&f->run, 100);
	char *t = frame(f, 80, 21);

	has(t, "133 exits");
	has(t, "log: only the newest 64");
	free(t);
	json_t *j = json_of(f), *log = json_object_get(j, "log");

	assert_int_equal(json_integer_value(json_object_get(log, "exits")), 64);
	assert_int_equal(json_integer_value(json_object_get(log, "of")), 133);
	assert_true(json_is_false(json_object_get(log, "whole")));
	json_decref(j);
}

static uint64_t counts_of(json_t *j, uint64_t *from, uint64_t *to)
{
	json_t *t = json_object_get(j, "timeline"), *c = json_object_get(t, "counts");
	uint64_t sum = 0;

	for (size_t i = 0; i < json_array_size(c); i++)
		sum += (uint64_t)json_integer_value(json_array_get(c, i));
	*from = (uint64_t)json_integer_value(json_object_get(t, "from_ns"));
	*to = (uint64_t)json_integer_value(json_object_get(t, "to_ns"));
	return sum;
}

static void the_timeline_zooms_and_moves(void **state)
{
	struct fixture *f = *state;
	uint64_t from, to, from2, to2, all, half;

	fake_story(&f->run, 100);
	command(f, "pane time");
	char *t = frame(f, 80, 21);

	has(t, "400ns  ");
	free(t);
	json_t *j = json_of(f);

	all = counts_of(j, &from, &to);
	json_decref(j);
	assert_int_equal(all, 133);
	command(f, "zoom in");
	j = json_of(f);
	half = counts_of(j, &from2, &to2);
	json_decref(j);
	assert_true(half < all && half > all / 4);
	assert_in_range(to2 - from2, (to - from) / 2 - 2, (to - from) / 2 + 2);
	command(f, "pan left");
	command(f, "pan left");
	command(f, "pan left");
	j = json_of(f);
	counts_of(j, &from2, &to2);
	json_decref(j);
	assert_int_equal(from2, from);
	for (int i = 0; i < 10; i++)
		command(f, "pan right");
	j = json_of(f);
	counts_of(j, &from2, &to2);
	json_decref(j);
	assert_in_range(to2, to - 2, to);
	command(f, "zoom out");
	j = json_of(f);
	assert_int_equal(counts_of(j, &from2, &to2), all);
	json_decref(j);
	assert_int_equal(to2, to);
}

static void places_are_a_tree_of_counts(void **state)
{
	struct fixture *f = *state;
	json_t *j, *all, *page, *rip;

	fake_story(&f->run, 100);
	j = json_of(f);
	all = json_object_get(j, "places");
	assert_int_equal(json_integer_value(json_object_get(all, "count")), 133);
	/* most first: 0x7c20 writes the characters */
	page = json_array_get(json_object_get(all, "children"), 0);
	assert_string_equal(json_string_value(json_object_get(page, "name")), "page 0x7000");
	assert_int_equal(json_integer_value(json_object_get(page, "count")), 103);
	rip = json_array_get(json_object_get(page, "children"), 0);
	assert_int_equal(json_integer_value(json_object_get(rip, "rip")), 0x7c20);
	assert_int_equal(json_integer_value(json_object_get(rip, "count")), 100);
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(json_object_get(rip, "children"), 0), "name")),
	    "IO_INSTRUCTION");
	json_decref(j);
}

static void the_cursor_moves_in_the_places(void **state)
{
	struct fixture *f = *state;
	struct errmsg why;

	fake_story(&f->run, 100);
	command(f, "pane places");
	char *t = frame(f, 80, 21);

	has(t, "|page 0x7000");
	has(t, "|all exits");
	has(t, "all exits: 133 exits, 100.0%");
	free(t);
	f->view.ops->move(&f->app, &f->view, 1);
	f->view.ops->move(&f->app, &f->view, 1);
	t = frame(f, 80, 21);
	has(t, "page 0x7000 / 0x7c20: 100 exits, 75.2%");
	free(t);
	command(f, "pan right");
	assert_int_equal(f->view.ops->enter(&f->app, &f->view, &why), ERR_OK);
	/* 0x7c00, the only CPUID, the first by name among those with one exit */
	assert_string_equal(f->app.lines[0], "select 0");
	/* It stays where it is when more exits come. */
	fake_story(&f->run, 1);
	t = frame(f, 80, 21);
	has(t, "page 0x7000 / 0x7c00: 2 exits");
	free(t);
	f->view.ops->move(&f->app, &f->view, -1);
	command(f, "zoom in");
	t = frame(f, 80, 21);
	assert_null(strstr(t, "|all exits"));
	free(t);
	command(f, "zoom out");
	t = frame(f, 80, 21);
	has(t, "|all exits");
	free(t);
}

static void a_large_screen_shows_all_charts(void **state)
{
	struct fixture *f = *state;

	fake_story(&f->run, 100);
	char *t = frame(f, 200, 47);

	has(t, "by reason");
	has(t, "cost of IO_INSTRUCTION");
	has(t, "over guest time");
	has(t, "where exits come from");
	free(t);
}

/* A histogram of few steps leaves rows: the timeline has them. */
static void rows_that_a_histogram_does_not_need_are_the_timeline_s(void **state)
{
	struct fixture *f = *state;
	char *t = frame(f, 80, 21);

	has(t, "0 exits\n");
	has(t, "no exit whose cost is known");
	assert_null(strstr(t, "over guest time"));
	free(t);
	fake_story(&f->run, 100);
	t = frame(f, 80, 28);
	has(t, "cost of IO_INSTRUCTION");
	has(t, "exits over guest time");
	free(t);
	t = frame(f, 80, 21);
	has(t, "cost of IO_INSTRUCTION");
	assert_null(strstr(t, "over guest time"));
	free(t);
}

static int line_of(const char *text, const char *what)
{
	const char *p = strstr(text, what);
	int n = 0;

	assert_non_null(p);
	for (; p > text; p--)
		n += *p == '\n';
	return n;
}

static void a_click_chooses_a_chart_and_a_place(void **state)
{
	struct fixture *f = *state;

	fake_story(&f->run, 100);
	char *t = frame(f, 200, 47);
	int y = line_of(t, "where exits come from");

	f->view.ops->click(&f->app, &f->view, 3, line_of(t, "over guest time") + 2);
	free(t);
	t = frame(f, 200, 47);
	has(t, "> exits over guest time");
	/* Below the title: all exits, then places; each has two lines. */
	f->view.ops->click(&f->app, &f->view, 3, y + 3);
	free(t);
	t = frame(f, 200, 47);
	has(t, "> where exits come from");
	has(t, "page 0x7000: 103 exits, ");
	f->view.ops->click(&f->app, &f->view, 190, y + 3);
	free(t);
	t = frame(f, 200, 47);
	assert_null(strstr(t, "page 0x7000: 103 exits"));
	f->view.ops->click(&f->app, &f->view, 3, y + 1);
	free(t);
	t = frame(f, 200, 47);
	has(t, "all exits: 133 exits, 100.0%");
	free(t);
}

static void any_size_and_no_exit_draw_something(void **state)
{
	static const char *const panes[] = {"pane cost", "pane time", "pane places"};
	struct fixture *f = *state;
	struct errmsg why = {0};

	assert_int_not_equal(f->view.ops->enter(&f->app, &f->view, &why), ERR_OK);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_LEN(panes); i++) {
			command(f, panes[i]);
			for (int w = 1; w < 210; w += 17)
				for (int h = 1; h < 60; h += 5)
					free(frame(f, w, h));
		}
		fake_story(&f->run, 50);
	}
}

/* Whatever is pressed, in whatever order, while the run goes on: under the sanitizers this finds what the other tests
 * do not think of. */
static void any_keys_in_any_order(void **state)
{
	static const char *const lines[] = {"by", "by reason", "by rip", "pane", "pane places", "pane time", "zoom in",
	    "zoom in", "zoom out", "zoom all", "pan left", "pan right", "sort", "sort next", "sort prev",
	    "sort invert"};
	struct fixture *f = *state;
	struct errmsg why;
	uint32_t seed = 12345;

	for (int i = 0; i < 1500; i++) {
		seed = seed * 1664525 + 1013904223;
		unsigned r = seed >> 8;

		switch (r % 6) {
		case 0:
		case 1:
			command(f, lines[r / 6 % ARRAY_LEN(lines)]);
			break;
		case 2:
			f->view.ops->move(&f->app, &f->view, (int)(r / 6 % 9) - 4);
			break;
		case 3:
			f->view.ops->click(&f->app, &f->view, (int)(r / 6 % 200), (int)(r / 1200 % 50));
			break;
		case 4:
			if (f->view.ops->enter(&f->app, &f->view, &why) == ERR_OK)
				assert_non_null(strstr(f->app.lines[(f->app.n_lines - 2) % 8], "select "));
			f->view.ops->search(&f->app, &f->view, "0x", r & 64 ? 1 : -1);
			break;
		default:
			fake_story(&f->run, r / 6 % 13);
			free(frame(f, (int)(r / 6 % 220) + 1, (int)(r / 1320 % 60) + 1));
			break;
		}
	}
	char *t = frame(f, 80, 21);

	has(t, " in the VMM (modelled)");
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_steps_of_a_histogram_are_those_of_the_tracer),
	    cmocka_unit_test(bins_hold_every_value_and_fit),
	    cmocka_unit_test_setup_teardown(by_reason_the_table_and_its_histogram, setup, teardown),
	    cmocka_unit_test_setup_teardown(by_port_with_the_device, setup, teardown),
	    cmocka_unit_test_setup_teardown(by_rip_and_by_vcpu, setup, teardown),
	    cmocka_unit_test_setup_teardown(it_says_when_the_log_holds_only_the_newest, setup_small_log, teardown),
	    cmocka_unit_test_setup_teardown(the_timeline_zooms_and_moves, setup, teardown),
	    cmocka_unit_test_setup_teardown(places_are_a_tree_of_counts, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_cursor_moves_in_the_places, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_large_screen_shows_all_charts, setup, teardown),
	    cmocka_unit_test_setup_teardown(rows_that_a_histogram_does_not_need_are_the_timeline_s, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_click_chooses_a_chart_and_a_place, setup, teardown),
	    cmocka_unit_test_setup_teardown(any_size_and_no_exit_draw_something, setup, teardown),
	    cmocka_unit_test_setup_teardown(any_keys_in_any_order, setup_small_log, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
