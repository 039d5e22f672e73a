/* The table: order, cursor, columns, clicks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <limits.h>

#include "tui/table.h"

struct row {
	uint64_t id;
	char name[32];
	int value;
	bool last;
};

enum { COL_NAME, COL_VALUE, COL_EXTRA, COL_COUNT };

static const struct table_column columns[COL_COUNT] = {
    [COL_NAME] =
	{.name = "name", .head = "name", .width = 6, .left = true, .ascending = true, .flex = true, .flex_max = 12},
    [COL_VALUE] = {.name = "value", .head = "value", .width = 6},
    [COL_EXTRA] = {.name = "extra", .head = "extra", .width = 6, .drop = 1, .fixed = true},
};

static enum style text(const void *arg, const void *row, unsigned column, char *buf, size_t n)
{
	const struct row *r = row;

	(void)arg;
	if (column == COL_NAME)
		snprintf(buf, n, "%s", r->name);
	else if (column == COL_VALUE)
		snprintf(buf, n, "%d", r->value);
	else
		snprintf(buf, n, "x%d", r->value);
	return STYLE_NORMAL;
}

static int compare(const void *pa, const void *pb, unsigned column)
{
	const struct row *a = pa, *b = pb;

	return column == COL_NAME ? strcmp(a->name, b->name) : (a->value > b->value) - (a->value < b->value);
}

static uint64_t id(const void *row)
{
	return ((const struct row *)row)->id;
}

static int group(const void *row)
{
	return ((const struct row *)row)->last;
}

static const struct table_ops ops = {.columns = columns,
    .n_columns = COL_COUNT,
    .row_size = sizeof(struct row),
    .text = text,
    .compare = compare,
    .id = id,
    .group = group};

#define N 30
static struct row rows[N];
static struct table t;

static int setup(void **state)
{
	(void)state;
	for (unsigned i = 0; i < N; i++) {
		rows[i] = (struct row){.id = i, .value = (int)(i * 7 % N), .last = i == 3};
		snprintf(rows[i].name, sizeof(rows[i].name), "n%02u", i);
	}
	table_init(&t, &ops, NULL, COL_VALUE);
	table_arrange(&t, rows, N);
	return 0;
}

static char *drawn(int w, int h)
{
	struct screen s;
	struct rect r = {.w = w, .h = h};
	char *dump;

	assert_true(screen_init(&s, w, h, true));
	table_draw(&t, &s, &r, rows, true, NULL);
	dump = screen_dump(&s, false);
	screen_fini(&s);
	return dump;
}

static void rows_are_sorted_and_the_last_group_stays_last(void **state)
{
	(void)state;
	for (unsigned i = 1; i + 1 < N; i++)
		assert_true(rows[i - 1].value > rows[i].value);
	assert_int_equal(rows[N - 1].id, 3);
	t.invert = true;
	table_arrange(&t, rows, N);
	for (unsigned i = 1; i + 1 < N; i++)
		assert_true(rows[i - 1].value < rows[i].value);
	assert_int_equal(rows[N - 1].id, 3);
}

static void equals_are_in_the_order_of_their_ids(void **state)
{
	(void)state;
	for (unsigned i = 0; i < N; i++)
		rows[i].value = 5;
	table_arrange(&t, rows, N);
	for (unsigned i = 1; i + 1 < N; i++)
		assert_true(rows[i - 1].id < rows[i].id);
}

static void the_cursor_stays_with_its_row(void **state)
{
	(void)state;
	/* Nobody moved it: it is a place, the first. */
	assert_int_equal(t.cursor, 0);
	table_sort_step(&t, -1);
	table_arrange(&t, rows, N);
	assert_int_equal(t.cursor, 0);
	table_move(&t, rows, 4);
	uint64_t stays = rows[4].id;

	assert_int_equal(((const struct row *)table_row(&t, rows))->id, stays);
	t.invert = true;
	table_arrange(&t, rows, N);
	assert_int_equal(((const struct row *)table_row(&t, rows))->id, stays);
	assert_int_not_equal(t.cursor, 4);
}

static void moves_stop_at_both_ends(void **state)
{
	(void)state;
	table_move(&t, rows, INT_MIN);
	assert_int_equal(t.cursor, 0);
	table_move(&t, rows, -1);
	assert_int_equal(t.cursor, 0);
	table_move(&t, rows, INT_MAX);
	assert_int_equal(t.cursor, N - 1);
	table_move(&t, rows, 1);
	assert_int_equal(t.cursor, N - 1);
	/* Fewer rows: it is on the last one. */
	t.stays = false;
	table_arrange(&t, rows, 5);
	assert_int_equal(t.cursor, 4);
	table_arrange(&t, rows, 0);
	assert_null(table_row(&t, rows));
	table_move(&t, rows, 1);
	free(drawn(40, 5));
}

static void the_cursor_is_always_in_sight(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		table_move(&t, rows, (i * 37 % 41) - 20);
		char *dump = drawn(30, 6);

		assert_true(t.cursor >= t.top && t.cursor < t.top + 5);
		assert_non_null(strstr(dump, ((const struct row *)table_row(&t, rows))->name));
		free(dump);
	}
	table_move(&t, rows, INT_MAX);
	free(drawn(30, 3));
	free(drawn(30, 20));
	/* No empty lines below the last row while there are rows above. */
	assert_int_equal(t.top, N - 19);
}

static void the_head_marks_the_column_of_the_order(void **state)
{
	char *dump = drawn(40, 3), buf[80];

	(void)state;
	assert_non_null(strstr(dump, "valuev"));
	assert_null(strstr(dump, "namev"));
	free(dump);
	assert_string_equal(table_sort_text(&t, buf, sizeof(buf)), "sort: value, largest first");
	table_sort_step(&t, 1); /* extra cannot be sorted by: name again */
	assert_string_equal(table_sort_text(&t, buf, sizeof(buf)), "sort: name, smallest first");
	dump = drawn(40, 3);
	assert_non_null(strstr(dump, "name^"));
	free(dump);
}

static void columns_give_way_where_there_is_no_room(void **state)
{
	char *dump = drawn(30, 3);

	(void)state;
	assert_non_null(strstr(dump, "extra"));
	free(dump);
	dump = drawn(15, 3);
	assert_null(strstr(dump, "extra"));
	assert_non_null(strstr(dump, "valuev"));
	free(dump);
	/* The flexible one takes what is left, up to its most. */
	free(drawn(80, 3));
	assert_int_equal(t.w[COL_NAME], 12);
	free(drawn(22, 3));
	assert_int_equal(t.w[COL_NAME], 8);
}

static void long_text_is_cut_with_a_mark_and_controls_are_not_obeyed(void **state)
{
	char *dump;

	(void)state;
	snprintf(rows[0].name, sizeof(rows[0].name), "\x1b[2J a very long name");
	dump = drawn(20, 3);
	assert_null(strchr(dump, '\x1b'));
	assert_non_null(strstr(dump, "~"));
	free(dump);
}

static void search_finds_in_both_directions(void **state)
{
	(void)state;
	assert_true(table_search(&t, rows, "N04", 1));
	assert_int_equal(((const struct row *)table_row(&t, rows))->id, 4);
	assert_false(table_search(&t, rows, "N04", 1)); /* the cursor is excluded */
	assert_false(table_search(&t, rows, "no such", -1));
	assert_int_equal(((const struct row *)table_row(&t, rows))->id, 4);
	table_move(&t, rows, INT_MAX);
	assert_true(table_search(&t, rows, "n04", -1));
	assert_int_equal(((const struct row *)table_row(&t, rows))->id, 4);
}

static void clicks_sort_and_select(void **state)
{
	(void)state;
	free(drawn(40, 10));
	assert_true(table_click(&t, rows, 2, 3));
	assert_int_equal(t.cursor, 2);
	assert_false(table_click(&t, rows, 1, 0));
	assert_int_equal(t.sort, COL_NAME);
	assert_false(t.invert);
	assert_false(table_click(&t, rows, 1, 0));
	assert_true(t.invert);
	assert_false(table_click(&t, rows, 1, 10));
	t.no_head = true;
	free(drawn(40, 10));
	assert_true(table_click(&t, rows, 1, 0));
	assert_int_equal(t.cursor, t.top);
}

static void a_sort_column_is_named(void **state)
{
	struct errmsg why;

	(void)state;
	assert_int_equal(table_sort(&t, "NAME", &why), ERR_OK);
	assert_int_equal(t.sort, COL_NAME);
	assert_int_equal(table_sort(&t, "extra", &why), ERR_NOENT);
	assert_non_null(strstr(why.text, "name, value"));
	assert_string_equal(table_sort_name(&t, 4), "value");
	assert_null(table_sort_name(&t, 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(rows_are_sorted_and_the_last_group_stays_last, setup),
	    cmocka_unit_test_setup(equals_are_in_the_order_of_their_ids, setup),
	    cmocka_unit_test_setup(the_cursor_stays_with_its_row, setup),
	    cmocka_unit_test_setup(moves_stop_at_both_ends, setup),
	    cmocka_unit_test_setup(the_cursor_is_always_in_sight, setup),
	    cmocka_unit_test_setup(the_head_marks_the_column_of_the_order, setup),
	    cmocka_unit_test_setup(columns_give_way_where_there_is_no_room, setup),
	    cmocka_unit_test_setup(long_text_is_cut_with_a_mark_and_controls_are_not_obeyed, setup),
	    cmocka_unit_test_setup(search_finds_in_both_directions, setup),
	    cmocka_unit_test_setup(clicks_sort_and_select, setup),
	    cmocka_unit_test_setup(a_sort_column_is_named, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
