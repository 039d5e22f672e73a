/* Results in the formats of others: what they say, what they must not say, and that nothing hostile reaches a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "labs/clean.h"
#include "labs/export.h"
#include "tests/result_fixture.h"

static const struct export_extra classroom = {.classroom = "os",
    .assignment = "cpuid",
    .owner = "alice",
    .submission_tag = "submit/1",
    .commit_url = "https://example.org/c",
    .release_url = "https://example.org/r",
    .datetime = "2026-11-26T20:40:22Z"};

/* The file, or NULL and why; the caller frees it. */
static char *try_print(
    const char *format, const struct lab_result *r, const struct export_extra *x, enum err *e, struct errmsg *why)
{
	char *buf = NULL;
	size_t n;
	FILE *f = open_memstream(&buf, &n);

	assert_non_null(export_find(format));
	*e = export_find(format)->print(r, x, f, why);
	fclose(f);
	if (!*e)
		return buf;
	free(buf);
	return NULL;
}

static char *print(const char *format, enum result_sample which, const struct export_extra *x)
{
	struct lab_result r;
	struct errmsg why = {""};
	enum err e;

	result_sample(&r, which);
	char *s = try_print(format, &r, x, &e, &why);
	result_free(&r);
	if (!s)
		fail_msg("%s of %s: %s", format, result_sample_name(which), why.text);
	return s;
}

static void has(const char *format, enum result_sample which, const char *text)
{
	char *s = print(format, which, &classroom);

	if (!strstr(s, text))
		fail_msg("%s of %s does not say \"%s\":\n%s", format, result_sample_name(which), text, s);
	free(s);
}

/* --- Clean texts --- */

static void cleaned(const char *s, const char *want)
{
	char *got = clean_text(s, 200), *again = clean_text(got, 200);

	assert_string_equal(got, want);
	assert_string_equal(again, want);
	free(got);
	free(again);
}

static void what_cannot_be_seen_is_spelled(void **state)
{
	(void)state;
	cleaned(NULL, "");
	cleaned("a\xc3\xa4\xe4\xbd\xa0\xf0\x9f\x98\x80", "a\xc3\xa4\xe4\xbd\xa0\xf0\x9f\x98\x80");
	cleaned("a\nb\r\tc", "a\\nb\\r\\tc");
	cleaned("\x1b[31m\x01\x7f", "\\x1b[31m\\x01\\x7f");
	cleaned("\xc2\x80\xc2\x9b\xc2\xa0", "\\u0080\\u009b\xc2\xa0");
	cleaned("\xe2\x80\xae\xe2\x81\xa6\xd8\x9c\xe2\x80\x8f", "\\u202e\\u2066\\u061c\\u200f");
	cleaned("\xe2\x80\xa8\xef\xbb\xbf\xef\xbf\xbf\xf3\xa0\x80\x81", "\\u2028\\ufeff\\uffff\\u{e0001}");
}

static void what_is_no_utf8_is_spelled(void **state)
{
	(void)state;
	cleaned("\xff", "\\xff");
	cleaned("\xc0\xaf", "\\xc0\\xaf"); /* longer than needed */
	cleaned("\xe0\x80\xaf", "\\xe0\\x80\\xaf");
	cleaned("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* half of a pair */
	cleaned("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
	cleaned("\xe4\xbd", "\\xe4\\xbd"); /* not whole */
	cleaned("\xe4\xbdx", "\\xe4\\xbdx");
}

static bool is_clean(const char *s)
{
	char *copy = clean_text(s, strlen(s) * 8 + 8);
	bool same = strcmp(copy, s) == 0;

	free(copy);
	return same;
}

static void a_cut_is_between_characters(void **state)
{
	(void)state;
	for (size_t max = 8; max < 4 * strlen(hostile_text); max++) {
		char *s = clean_text(hostile_text, max), *whole = clean_text(hostile_text, 4 * strlen(hostile_text));
		bool cut = strlen(whole) > max;

		assert_true(strlen(s) <= max);
		assert_true(is_clean(s));
		assert_int_equal(cut, strlen(s) >= 3 && strcmp(s + strlen(s) - 3, "\xe2\x80\xa6") == 0);
		assert_memory_equal(s, whole, strlen(s) - (cut ? 3 : 0));
		free(s);
		free(whole);
	}
}

static void columns_are_those_of_a_terminal(void **state)
{
	(void)state;
	assert_int_equal(clean_columns("a\xc3\xa4"), 2);
	assert_int_equal(clean_columns("\xe4\xbd\xa0\xf0\x9f\x98\x80"), 4);
	assert_int_equal(clean_columns("e\xcc\x81"), 1);
	assert_int_equal(clean_fit("a\xe4\xbd\xa0\xe5\xa5\xbd", 4), 4);
	assert_int_equal(clean_fit("a\xe4\xbd\xa0\xe5\xa5\xbd", 5), 7);
}

/* --- What the formats say --- */

static void the_total_is_always_there(void **state)
{
	(void)state;
	has("text", SAMPLE_PARTIAL, "Total 13.33 of 30.5 points; predictions 2.5 of 10\n");
	has("text", SAMPLE_HIDDEN, "Total 30 of 40 points\n");
	has("json", SAMPLE_HIDDEN, "\"points\": 30.0,\n  \"max\": 40.0,");
	has("gradescope", SAMPLE_HIDDEN, "{\n  \"score\": 30.0,");
	has("gradescope", SAMPLE_HIDDEN, "Total 30 of 40 points");
	has("classroom50", SAMPLE_HIDDEN, "\n  \"score\": 30,\n  \"max-score\": 40,");
	has("prairielearn", SAMPLE_HIDDEN, "\"score\": 0.75,");
	has("prairielearn", SAMPLE_HIDDEN, "Total 30 of 40 points");
	has("junit", SAMPLE_HIDDEN, "Total 30 of 40 points");
	has("tap", SAMPLE_HIDDEN, "# Total 30 of 40 points\n");
	has("csv", SAMPLE_HIDDEN, "\"hidden\",yes,30,40,0,0,20,10,");
}

static void lines_show_what_was_expected_and_seen(void **state)
{
	(void)state;
	has("text", SAMPLE_PARTIAL, "\n  GOOD    bit 31 of ECX: 0\n");
	has("text", SAMPLE_PARTIAL,
	    "\n  BAD     exits: expected 1 to 1, seen 3 (50 % of its points)\n          at probe+0x1c, cpuid.lua:12\n");
	has("text", SAMPLE_PARTIAL, "\n  MISSING the vendor's text: expected GenuineIntel, nothing seen\n");
	has("text", SAMPLE_PARTIAL, "\n          three leaves were looked at\n");
	has("text", SAMPLE_PARTIAL, "nothing predicted\n");
	has("text", SAMPLE_GATED, "\n  not run: it needs half of the points of \"hide\" first\n");
	has("gradescope", SAMPLE_GATED, "not run: it needs half of the points");
	has("tap", SAMPLE_GATED, "\nok 3 - Something else # SKIP not asked for\n");
	has("junit", SAMPLE_GATED, "<skipped message=\"not asked for\" type=\"filter\">");
}

static void text_has_eighty_columns(void **state)
{
	(void)state;
	for (int i = 0; i < SAMPLE_COUNT; i++) {
		char *s = print("text", (enum result_sample)i, NULL), *save = NULL;
		for (char *line = strtok_r(s, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			if (clean_columns(line) > 80)
				fail_msg("%s: %zu columns: %s", result_sample_name((enum result_sample)i),
				    clean_columns(line), line);
		free(s);
	}
}

/* --- What they must not say --- */

static void hidden_lines_stay_with_the_teacher(void **state)
{
	(void)state;
	struct export_extra teacher = classroom;

	teacher.teacher = true;
	for (const struct export_format *f = export_formats; f->name; f++) {
		char *student = print(f->name, SAMPLE_HIDDEN, &classroom),
		     *whole = print(f->name, SAMPLE_HIDDEN, &teacher);
		bool for_teachers = strcmp(f->name, "json") == 0;
		bool optional =
		    strcmp(f->name, "text") == 0 || strcmp(f->name, "junit") == 0 || strcmp(f->name, "tap") == 0;

		assert_int_equal(strstr(student, SAMPLE_SECRET) != NULL, for_teachers);
		assert_int_equal(strstr(whole, SAMPLE_SECRET) != NULL, for_teachers || optional);
		if (strcmp(f->name, "csv") != 0)
			assert_non_null(strstr(student, "Any leaf"));
		free(student);
		free(whole);
	}
}

static void nothing_hostile_reaches_a_file(void **state)
{
	(void)state;
	struct export_extra bad = classroom;

	bad.classroom = bad.assignment = bad.owner = bad.commit_url = bad.release_url = bad.review_url = hostile_text;
	for (const struct export_format *f = export_formats; f->name; f++) {
		char *s = print(f->name, SAMPLE_HOSTILE, &bad), *line, *save = NULL;

		for (line = strtok_r(s, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
			size_t n = strlen(line);
			if (n && line[n - 1] == '\r' && strcmp(f->name, "csv") == 0)
				line[n - 1] = 0;
			if (!is_clean(line))
				fail_msg("%s: %s", f->name, line);
			/* A line that only the submission can have begun. */
			assert_false(
			    strncmp(line, "ok 3 - forged", 13) == 0 || strncmp(line, "Bail out! now", 13) == 0);
		}
		free(s);
	}
}

static void a_formula_is_a_text(void **state)
{
	(void)state;
	has("csv", SAMPLE_HOSTILE, "\n\"'=1+1 ");

	static const char *const begins[] = {
	    "=", "+", "-", "@", "\xef\xbc\x9d", "\xef\xbc\x8b", "\xef\xbc\x8d", "\xef\xbc\xa0"};
	for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
		struct lab_result r;
		char *text = NULL, wanted[32];
		size_t n;

		result_sample(&r, SAMPLE_FULL);
		free(r.submission);
		assert_true(asprintf(&r.submission, "%s1+1", begins[i]) > 0);
		FILE *f = open_memstream(&text, &n);
		assert_int_equal(export_find("csv")->print(&r, NULL, f, NULL), ERR_OK);
		fclose(f);
		snprintf(wanted, sizeof wanted, "\n\"'%s1+1\"", begins[i]);
		assert_non_null(strstr(text, wanted));
		free(text);
		result_free(&r);
	}
}

/* --- What could not be graded --- */

static void refused(const char *format, enum result_sample which, const struct export_extra *x, const char *reason)
{
	struct lab_result r;
	struct errmsg why = {""};
	enum err e;

	result_sample(&r, which);
	assert_null(try_print(format, &r, x, &e, &why));
	assert_int_equal(e, ERR_UNSUPPORTED);
	if (!strstr(why.text, reason))
		fail_msg("%s: %s", format, why.text);
	result_free(&r);
}

static void not_gradable_is_not_zero(void **state)
{
	(void)state;
	has("text", SAMPLE_UNGRADED,
	    "\nCould not be graded: task \"broken\": lab.lua:31: attempt to index a nil value.");
	has("text", SAMPLE_UNGRADED, " -/20\n  could not be graded: lab.lua:31");
	has("json", SAMPLE_UNGRADED, "\"gradable\": false,\n  \"why\": \"task \\\"broken\\\"");
	has("prairielearn", SAMPLE_UNGRADED,
	    "\"gradable\": false,\n  \"format_errors\": [\n    \"Could not be graded: task");
	has("junit", SAMPLE_UNGRADED, "<error message=\"lab.lua:31");
	has("junit", SAMPLE_NOTHING, "<error message=\"the submission has no file");
	has("tap", SAMPLE_UNGRADED, "\nBail out! Could not be graded: task");
	has("csv", SAMPLE_UNGRADED, "\"ungraded\",no,,40,,0,20,,");
	refused("gradescope", SAMPLE_UNGRADED, NULL, "lab.lua:31");
	refused("classroom50", SAMPLE_NOTHING, &classroom, "no file cpuid.lua");
}

static void classroom50_asks_for_what_is_missing(void **state)
{
	(void)state;
	struct export_extra x = {0};

	refused("classroom50", SAMPLE_FULL, NULL, "set CLASSROOM");
	x.classroom = x.assignment = "a";
	refused("classroom50", SAMPLE_FULL, &x, "set OWNER");
	x = classroom;
	x.submission_tag = "other/1";
	refused("classroom50", SAMPLE_FULL, &x, "submit/");
	x = classroom;
	x.datetime = NULL;
	refused("classroom50", SAMPLE_FULL, &x, "git show");
	static const char *const bad[] = {"2026-11-26 20:40:22Z", "2026-11-26T24:40:22Z", "2026-11-26T20:60:22Z",
	    "2026-11-26T20:40:22", "2026-11-26T20:40:22Zx"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		x.datetime = bad[i];
		refused("classroom50", SAMPLE_FULL, &x, "COMMIT_DATETIME");
	}
	x = classroom;
	x.assignment_type = "crowd";
	refused("classroom50", SAMPLE_FULL, &x, "ASSIGNMENT_TYPE");
}

static void classroom50_has_whole_points(void **state)
{
	(void)state;
	has("classroom50", SAMPLE_PARTIAL, "\"score\": 13,\n  \"max-score\": 31,");
	has("classroom50", SAMPLE_PARTIAL, "\"points\": \"13.33 of 20\"");
	has("classroom50", SAMPLE_FULL, "\"review\": \"https://example.org/c\"");
}

static void prairielearn_stays_below_its_limit(void **state)
{
	(void)state;
	char *s = print("prairielearn", SAMPLE_LARGE, NULL);

	assert_true(strlen(s) < 1000000);
	assert_non_null(strstr(s, "more lines"));
	free(s);
}

static void a_full_disk_is_an_error(void **state)
{
	(void)state;
	struct lab_result r;

	result_sample(&r, SAMPLE_PARTIAL);
	for (const struct export_format *f = export_formats; f->name; f++) {
		FILE *full = fopen("/dev/full", "w");
		struct errmsg why = {""};

		if (!full)
			skip();
		assert_int_equal(f->print(&r, &classroom, full, &why), ERR_IO);
		assert_non_null(strstr(why.text, "disk"));
		fclose(full);
	}
	result_free(&r);
}

/* --- And back --- */

static void json_is_the_whole_result(void **state)
{
	(void)state;
	for (int i = 0; i < SAMPLE_LARGE; i++) {
		char *s = print("json", (enum result_sample)i, NULL);
		struct lab_result r;
		struct errmsg why = {""};
		enum err e;

		result_init(&r);
		if (result_from_json(s, strlen(s), &r, &why))
			fail_msg("%s", why.text);
		for (const struct export_format *f = export_formats; f->name; f++) {
			struct lab_result made;
			result_sample(&made, (enum result_sample)i);
			char *first = try_print(f->name, &made, &classroom, &e, &why),
			     *second = try_print(f->name, &r, &classroom, &e, &why);
			assert_int_equal(!first, !second);
			if (first)
				assert_string_equal(first, second);
			free(first);
			free(second);
			result_free(&made);
		}
		result_free(&r);
		free(s);
	}
}

/* Every field is needed, and has a type. */
static void json_that_is_no_result_is_refused(void **state)
{
	(void)state;
	char *s = print("json", SAMPLE_PARTIAL, NULL);
	json_t *whole = json_loads(s, 0, NULL), *value;
	const char *key;
	struct errmsg why = {""};
	struct lab_result r;

	json_object_foreach(whole, key, value)
	{
		for (int wrong = 0; wrong < 2; wrong++) {
			json_t *copy = json_deep_copy(whole);
			if (wrong)
				json_object_set_new(copy, key, json_object());
			else
				json_object_del(copy, key);
			char *text = json_dumps(copy, 0);
			result_init(&r);
			assert_int_equal(result_from_json(text, strlen(text), &r, &why), ERR_FORMAT);
			assert_non_null(strstr(why.text, key));
			result_free(&r);
			free(text);
			json_decref(copy);
		}
	}
	result_init(&r);
	assert_int_equal(result_from_json(s, strlen(s) / 2, &r, &why), ERR_FORMAT);
	result_free(&r);
	json_decref(whole);
	free(s);
}

static void the_environment_of_the_runner(void **state)
{
	(void)state;
	struct export_extra x = {.teacher = true};

	setenv("CLASSROOM", "os", 1);
	setenv("ASSIGNMENT", "", 1);
	setenv("USERNAME", "bob", 1);
	unsetenv("OWNER");
	export_extra_from_environment(&x);
	assert_true(x.teacher);
	assert_string_equal(x.classroom, "os");
	assert_null(x.assignment);
	assert_string_equal(x.owner, "bob");
	setenv("OWNER", "alice", 1);
	export_extra_from_environment(&x);
	assert_string_equal(x.owner, "alice");
	assert_null(export_find("xml"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_cannot_be_seen_is_spelled),
	    cmocka_unit_test(what_is_no_utf8_is_spelled),
	    cmocka_unit_test(a_cut_is_between_characters),
	    cmocka_unit_test(columns_are_those_of_a_terminal),
	    cmocka_unit_test(the_total_is_always_there),
	    cmocka_unit_test(lines_show_what_was_expected_and_seen),
	    cmocka_unit_test(text_has_eighty_columns),
	    cmocka_unit_test(hidden_lines_stay_with_the_teacher),
	    cmocka_unit_test(nothing_hostile_reaches_a_file),
	    cmocka_unit_test(a_formula_is_a_text),
	    cmocka_unit_test(not_gradable_is_not_zero),
	    cmocka_unit_test(classroom50_asks_for_what_is_missing),
	    cmocka_unit_test(classroom50_has_whole_points),
	    cmocka_unit_test(prairielearn_stays_below_its_limit),
	    cmocka_unit_test(a_full_disk_is_an_error),
	    cmocka_unit_test(json_is_the_whole_result),
	    cmocka_unit_test(json_that_is_no_result_is_refused),
	    cmocka_unit_test(the_environment_of_the_runner),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
