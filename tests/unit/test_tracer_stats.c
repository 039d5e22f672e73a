/* Statistics against a naive computation over the same random numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>

#include "tracer/stats.h"

static uint64_t seed = 88172645463325252ull;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static struct exit_row row_of(uint32_t reason, uint64_t cost)
{
	return (struct exit_row){.reason = reason,
	    .isa = ISA_VMX,
	    .rip = 0x1000 + reason,
	    .has_rip = true,
	    .cost_ns = cost,
	    .has_cost = true,
	    .modelled = true,
	    .guest = "hello"};
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static const struct stats_row *find(const struct exit_stats *s, const char *name)
{
	for (size_t i = 0; i < s->n_rows; i++)
		if (strcmp(s->rows[i].name, name) == 0)
			return &s->rows[i];
	fail_msg("no row %s", name);
	return NULL;
}

static void check_percentiles(const struct hist *h, uint64_t *v, size_t n)
{
	static const unsigned percents[] = {1, 5, 25, 50, 75, 95, 99, 100};

	qsort(v, n, sizeof(*v), by_value);
	for (size_t i = 0; i < ARRAY_LEN(percents); i++) {
		size_t rank = (n * percents[i] + 99) / 100;
		uint64_t exact = v[rank - 1], got = hist_percentile(h, percents[i]);
		uint64_t error = got > exact ? got - exact : exact - got;

		if (error > exact / HIST_ERROR_INV)
			fail_msg("p%u of %zu: %llu instead of %llu", percents[i], n, (unsigned long long)got,
			    (unsigned long long)exact);
	}
}

static void percentiles_are_within_one_64th_for_every_magnitude(void **state)
{
	(void)state;
	for (unsigned bits = 1; bits <= 64; bits++) {
		uint64_t v[999];
		struct hist h = {0};

		for (size_t i = 0; i < ARRAY_LEN(v); i++) {
			v[i] = next_random() >> (64 - bits);
			assert_int_equal(hist_add(&h, v[i]), ERR_OK);
		}
		check_percentiles(&h, v, ARRAY_LEN(v));
		hist_free(&h);
	}
}

static void percentiles_of_few_values_are_right_too(void **state)
{
	(void)state;
	for (size_t n = 1; n <= 40; n++) {
		uint64_t v[40];
		struct hist h = {0};

		for (size_t i = 0; i < n; i++) {
			v[i] = next_random() % 5000;
			assert_int_equal(hist_add(&h, v[i]), ERR_OK);
		}
		check_percentiles(&h, v, n);
		hist_free(&h);
	}
}

static void small_values_are_exact(void **state)
{
	struct hist h = {0};

	(void)state;
	for (uint64_t v = 0; v < 64; v++)
		assert_int_equal(hist_add(&h, v), ERR_OK);
	assert_int_equal(hist_percentile(&h, 50), 31);
	assert_int_equal(hist_percentile(&h, 100), 63);
	hist_free(&h);
	assert_int_equal(hist_percentile(&h, 50), 0);
}

static void mean_deviation_and_extremes_equal_a_naive_computation(void **state)
{
	enum { N = 20000 };
	static uint64_t v[N];
	struct exit_stats *s = stats_new(STATS_BY_REASON);
	long double sum = 0, squares = 0;
	const struct stats_row *r;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		struct exit_row row;

		v[i] = 1000000000ull + next_random() % 1000; /* a large offset: where the naive formula would cancel */
		row = row_of(EXIT_HLT, v[i]);
		stats_add(s, &row);
		sum += v[i];
	}
	for (size_t i = 0; i < N; i++)
		squares += ((long double)v[i] - sum / N) * ((long double)v[i] - sum / N);
	r = find(s, "HLT");
	assert_int_equal(r->samples, N);
	assert_int_equal(r->sum_ns, (uint64_t)sum);
	assert_true(fabs(r->mean - (double)(sum / N)) < 1e-3);
	assert_true(fabs(stats_stddev(r) - sqrt((double)(squares / (N - 1)))) < 1e-3);
	qsort(v, N, sizeof(*v), by_value);
	assert_int_equal(r->min_ns, v[0]);
	assert_int_equal(r->max_ns, v[N - 1]);
	stats_free(s);
}

static void shares_add_up_and_children_are_never_added(void **state)
{
	struct exit_stats *s = stats_new(STATS_BY_REASON);
	double share = 0, time = 0;
	size_t children = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct exit_row row = row_of((uint32_t)(next_random() % 50), next_random() % 5000);

		stats_add(s, &row);
		row.child = true;
		row.isa = ISA_KVM_USER;
		row.reason %= 5;
		if (i % 2)
			stats_add(s, &row);
	}
	stats_sort(s);
	for (size_t i = 0; i < s->n_rows; i++) {
		share += stats_share(s, &s->rows[i]);
		time += stats_time_share(s, &s->rows[i]);
		children += s->rows[i].child;
	}
	assert_int_equal(s->total, 1000);
	assert_true(fabs(share - 1) < 1e-9);
	assert_true(fabs(time - 1) < 1e-9);
	assert_int_equal(children, 5);
	/* most first, children behind */
	for (size_t i = 1; i < s->n_rows; i++) {
		assert_true(s->rows[i - 1].child <= s->rows[i].child);
		if (s->rows[i - 1].child == s->rows[i].child)
			assert_true(s->rows[i - 1].samples >= s->rows[i].samples);
	}
	stats_free(s);
}

static void a_reason_seen_in_two_places_is_two_rows(void **state)
{
	struct exit_stats *s = stats_new(STATS_BY_REASON);
	struct exit_row row = row_of(EXIT_IO_INSTRUCTION, 1);
	char buf[64];

	(void)state;
	stats_add(s, &row);
	row.observed = OBSERVED_KERNEL;
	stats_add(s, &row);
	assert_int_equal(s->n_rows, 2);
	assert_string_equal(stats_observed(&s->rows[0], buf, sizeof(buf)), "vmm");
	assert_string_equal(stats_observed(&s->rows[1], buf, sizeof(buf)), "kernel");
	stats_free(s);
}

static void grouping_by_place_vcpu_and_guest(void **state)
{
	static const enum stats_by by[] = {STATS_BY_RIP, STATS_BY_VCPU, STATS_BY_GUEST};
	static const size_t groups[] = {700, 3, 2};

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(by); k++) {
		struct exit_stats *s = stats_new(by[k]);
		uint64_t samples = 0;

		for (uint32_t i = 0; i < 4200; i++) {
			struct exit_row row = row_of(EXIT_CPUID, i);

			row.rip = 0xffffffff80000000ull + i % 700 * 4096;
			row.vcpu = i % 3;
			row.guest = i % 2 ? "a" : "b";
			stats_add(s, &row);
			if (i % 10 == 0)
				stats_sort(s); /* must not disturb the index */
		}
		assert_int_equal(s->n_rows, groups[k]);
		for (size_t i = 0; i < s->n_rows; i++) {
			samples += s->rows[i].samples;
			assert_int_equal(s->rows[i].samples, 4200 / groups[k]);
		}
		assert_int_equal(samples, 4200);
		stats_free(s);
	}
}

static void instructions_between_exits_are_averaged_where_they_are_counted(void **state)
{
	struct exit_stats *s = stats_new(STATS_BY_REASON);
	struct exit_row row = row_of(EXIT_HLT, 1);

	(void)state;
	row.has_direct = true;
	row.direct = 10;
	stats_add(s, &row);
	row.direct = 30;
	stats_add(s, &row);
	row.has_direct = false;
	row.direct = 999;
	stats_add(s, &row);
	assert_int_equal(s->rows[0].direct_n, 2);
	assert_int_equal(s->rows[0].direct_sum, 40);
	stats_free(s);
}

static char *table_in(struct exit_stats *s, unsigned columns)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	stats_sort(s);
	stats_print(s, f, columns);
	fclose(f);
	return text;
}

static char *table_of(struct exit_stats *s)
{
	return table_in(s, 0);
}

static size_t longest_line(const char *text)
{
	size_t longest = 0;

	for (size_t n; *text; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		longest = n > longest ? n : longest;
	}
	return longest;
}

static void in_80_columns_the_table_is_narrow_and_says_so(void **state)
{
	struct exit_stats *s = stats_new(STATS_BY_REASON);
	struct exit_row row = row_of(EXIT_CPUID, 1500);

	(void)state;
	stats_add(s, &row);
	row = row_of(EXIT_EXTERNAL_INTERRUPT, 0);
	row.has_cost = false;
	stats_add(s, &row);
	char *narrow = table_in(s, 80), *wide = table_in(s, 200), *all = table_of(s);
	assert_in_range(longest_line(narrow), 60, 80);
	assert_non_null(strstr(narrow, "CPUID          1    50.00%   100.00%      1.50us"));
	assert_non_null(strstr(narrow, "EXTERNAL_INTERRUPT          1    50.00%         -           -"));
	assert_non_null(strstr(narrow, "in a wider terminal"));
	assert_string_equal(wide, all);
	assert_in_range(longest_line(all), 81, 200);
	assert_null(strstr(all, "in a wider terminal"));
	free(narrow);
	free(wide);
	free(all);
	stats_free(s);
}

static void the_table_says_totals_labels_and_lost_events(void **state)
{
	struct exit_stats *s = stats_new(STATS_BY_REASON);
	struct exit_row row = row_of(EXIT_CPUID, 1500);
	char *text;

	(void)state;
	stats_add(s, &row);
	stats_add(s, &row);
	s->lost = 17;
	text = table_of(s);
	assert_non_null(strstr(text, "CPUID          2   100.00%   100.00%      1.50us      1.50us      1.50us"));
	assert_non_null(strstr(text, "Total Samples:2, Total events handled time:3.00us.\n"));
	assert_non_null(strstr(text, "Times are modelled;"));
	assert_non_null(strstr(text, "Lost events: 17\n"));
	free(text);
	row.modelled = false;
	stats_add(s, &row);
	text = table_of(s);
	assert_non_null(strstr(text, "Times are modelled and measured;"));
	free(text);
	stats_free(s);
}

static void an_exit_of_unknown_cost_shows_no_time(void **state)
{
	struct exit_stats *s = stats_new(STATS_BY_REASON);
	struct exit_row row = row_of(EXIT_CPUID, 0);
	char *text;
	json_t *j, *r;

	(void)state;
	row.has_cost = false;
	stats_add(s, &row);
	text = table_of(s);
	assert_null(strstr(text, "0.00us "));
	assert_non_null(strstr(text, "Times are unknown"));
	free(text);
	j = stats_json(s);
	r = json_array_get(json_object_get(j, "by_reason"), 0);
	assert_true(json_is_null(json_object_get(r, "min_ns")));
	assert_true(json_is_null(json_object_get(r, "p50_ns")));
	assert_true(json_is_null(json_object_get(r, "time_share")));
	assert_int_equal(json_integer_value(json_object_get(r, "count")), 1);
	json_decref(j);
	stats_free(s);
}

static void the_json_has_every_key_of_the_contract(void **state)
{
	static const char *const keys[] = {"reason", "name", "observed", "count", "share", "time_share", "min_ns",
	    "max_ns", "mean_ns", "stddev_ns", "p5_ns", "p50_ns", "p95_ns"};
	struct exit_stats *s = stats_new(STATS_BY_REASON);
	json_t *j, *r;

	(void)state;
	for (uint64_t i = 1; i <= 100; i++) {
		struct exit_row row = row_of(EXIT_MSR_READ, i * 100);

		stats_add(s, &row);
	}
	j = stats_json(s);
	r = json_array_get(json_object_get(j, "by_reason"), 0);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_non_null(json_object_get(r, keys[i]));
	assert_int_equal(json_integer_value(json_object_get(r, "reason")), 31);
	assert_string_equal(json_string_value(json_object_get(r, "name")), "MSR_READ");
	assert_int_equal(json_integer_value(json_object_get(r, "min_ns")), 100);
	assert_int_equal(json_integer_value(json_object_get(r, "max_ns")), 10000);
	assert_true(fabs(json_real_value(json_object_get(r, "mean_ns")) - 5050) < 1e-6);
	assert_int_equal(json_integer_value(json_object_get(j, "total")), 100);
	json_decref(j);
	stats_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(small_values_are_exact),
	    cmocka_unit_test(percentiles_are_within_one_64th_for_every_magnitude),
	    cmocka_unit_test(percentiles_of_few_values_are_right_too),
	    cmocka_unit_test(mean_deviation_and_extremes_equal_a_naive_computation),
	    cmocka_unit_test(shares_add_up_and_children_are_never_added),
	    cmocka_unit_test(a_reason_seen_in_two_places_is_two_rows),
	    cmocka_unit_test(grouping_by_place_vcpu_and_guest),
	    cmocka_unit_test(instructions_between_exits_are_averaged_where_they_are_counted),
	    cmocka_unit_test(in_80_columns_the_table_is_narrow_and_says_so),
	    cmocka_unit_test(the_table_says_totals_labels_and_lost_events),
	    cmocka_unit_test(an_exit_of_unknown_cost_shows_no_time),
	    cmocka_unit_test(the_json_has_every_key_of_the_contract),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
