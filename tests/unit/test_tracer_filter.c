/* Filters and format texts: what is accepted works in libtraceevent; what is not is refused at the right place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <traceevent/event-parse.h>

#include "tracer/events.h"
#include "tracer/filter.h"
#include "tracer/format_check.h"

static struct tep_handle *tep;

static int setup(void **state)
{
	(void)state;
	tep = tep_alloc();
	tep_set_long_size(tep, 8);
	for (size_t i = 0; i < EVENT_COUNT; i++) {
		char *text = event_format_text(event_at(i));

		assert_int_equal(tep_parse_event(tep, text, strlen(text), event_at(i)->system), 0);
		free(text);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tep_free(tep);
	return 0;
}

static bool matches(const char *filter, const struct event_kvm_exit *e)
{
	struct tep_event_filter *f = tep_filter_alloc(tep);
	struct tep_record rec = {.data = (void *)(uintptr_t)e, .size = sizeof(*e)};
	struct errmsg why = {""};
	bool match;

	if (filter_check(tep, filter, &why) != ERR_OK)
		fail_msg("%s", why.text);
	assert_int_equal(tep_filter_add_filter_str(f, filter), 0);
	match = tep_filter_match(f, &rec) == TEP_ERRNO__FILTER_MATCH;
	tep_filter_free(f);
	return match;
}

static void filters_that_are_accepted_select_events(void **state)
{
	struct event_kvm_exit e = {
	    .common.type = EVENT_ID_kvm_exit, .exit_reason = 30, .guest_rip = 0x7c00, .isa = 1, .vcpu_id = 1};

	(void)state;
	assert_true(matches("kvm_exit", &e));
	assert_true(matches("kvm_exit:exit_reason==30", &e));
	assert_true(matches("kvm/kvm_exit: exit_reason == 0x1e && vcpu_id == 1", &e));
	assert_true(matches("kvm_exit:(exit_reason==10 || guest_rip>=0x7c00) && isa<2", &e));
	assert_true(matches("kvm_*:vcpu_id==1", &e));
	assert_true(matches("kvm_entry,kvm_exit:vcpu_id==1", &e));
	assert_false(matches("kvm_exit:exit_reason==10", &e));
	assert_false(matches("kvm_exit:exit_reason!=30", &e));
	assert_false(matches("kvm_entry:vcpu_id==1", &e));
}

static void a_wrong_filter_is_refused_where_it_is_wrong(void **state)
{
	static const struct {
		const char *filter;
		int column;
		const char *words;
	} cases[] = {
	    {"", 1, "name of an event"},
	    {":", 1, "name of an event"},
	    {"nothing:x==1", 1, "no such event"},
	    {"vmscope/kvm_exit:isa==1", 1, "no such event in this system"},
	    {"kvm_exit;isa==1", 9, ": is wanted"},
	    {"kvm_exit:exit_reson==10", 10, "no such field"},
	    {"kvm_exit:exit_reason", 21, "comparison"},
	    {"kvm_exit:exit_reason=10", 21, "comparison"},
	    {"kvm_exit:exit_reason==", 23, "ends too early"},
	    {"kvm_exit:exit_reason==isa", 23, "number"},
	    {"kvm_exit:exit_reason==\"a\"", 23, "number"},
	    {"kvm_exit:exit_reason==1x", 23, "no number"},
	    {"kvm_exit:exit_reason=~\"a\"", 21, "for strings"},
	    {"kvm_exit:3==exit_reason", 10, "a field is missing"},
	    {"kvm_exit:isa==1 vcpu_id==0", 17, "&& or ||"},
	    {"kvm_exit:isa==1 &&", 19, "ends too early"},
	    {"kvm_exit:(isa==1", 10, "not closed"},
	    {"kvm_exit:(isa==1]", 17, ") or an operator"},
	    {"kvm_exit:isa==1)", 16, "&& or ||"},
	    {"kvm_exit:!isa==1", 11, "( )"},
	    {"session:guest==3", 16, "\"string\""},
	    {"session:guest==\"hello", 16, "not closed"},
	    {"session:guest<\"a\"", 14, "string"},
	    {"session:guest=~\"[(\"", 17, "regular expression"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct errmsg why = {""};
		char column[32];

		snprintf(column, sizeof(column), "column %d:", cases[i].column);
		assert_int_equal(filter_check(tep, cases[i].filter, &why), ERR_INVAL);
		if (!strstr(why.text, column) || !strstr(why.text, cases[i].words))
			fail_msg("%s (wanted: %s ... %s)", why.text, column, cases[i].words);
	}
}

static void nesting_has_an_end(void **state)
{
	char filter[1024] = "kvm_exit:";

	(void)state;
	memset(filter + 9, '(', 1000);
	assert_int_equal(filter_check(tep, filter, NULL), ERR_INVAL);
}

/* The library takes each && and || one level deeper, and has no limit. */
static void a_condition_that_goes_on_has_an_end(void **state)
{
	static const char one[] = "isa==1||";
	size_t n = 200000, head = strlen("kvm_exit:"), step = sizeof(one) - 1;
	char *filter = malloc(head + n * step + sizeof(one));
	struct errmsg why = {""};

	(void)state;
	strcpy(filter, "kvm_exit:");
	for (size_t i = 0; i < n; i++)
		memcpy(filter + head + i * step, one, step);
	strcpy(filter + head + n * step, "isa==1");
	assert_int_equal(filter_check(tep, filter, &why), ERR_INVAL);
	assert_non_null(strstr(why.text, "longer than 4096 characters"));
	strcpy(filter + head + 500 * step, "isa==1");
	assert_true(matches(filter, &(struct event_kvm_exit){.common.type = EVENT_ID_kvm_exit, .isa = 1}));
	free(filter);
}

/* --- format texts --------------------------------------------------------------------------------------------------
 */

#define HEAD                                                                           \
	"name: e\nID: 5\nformat:\n"                                                    \
	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"         \
	"\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"         \
	"\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n" \
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
#define A "\tfield:u32 a;\toffset:8;\tsize:4;\tsigned:0;\n"
#define B "\tfield:u8 b[15];\toffset:12;\tsize:15;\tsigned:0;\n"
#define D "\tfield:__data_loc char[] d;\toffset:28;\tsize:4;\tsigned:0;\n"

static void every_format_of_ours_is_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < EVENT_COUNT; i++) {
		char *text = event_format_text(event_at(i));

		assert_int_equal(format_check(text, strlen(text)), FORMAT_GOOD);
		free(text);
	}
}

static void what_a_kernel_writes_is_good(void **state)
{
	static const char *const good[] = {
	    HEAD A "\nprint fmt: \"a=%u %%\", REC->a\n",
	    HEAD A B D "\nprint fmt: \"%s %s\", __print_hex(REC->b, 15), __get_str(d)\n",
	    HEAD A "\nprint fmt: \"%s\" \" %d\", (REC->a == 1) ? \"x\" \"y\" : __print_symbolic(REC->a & 0xffff, { 1, "
		   "\"one\" }, { 0x2, \"two\" }), (int)REC->a\n",
	    HEAD A "\nprint fmt: \"%s\", __print_flags(REC->a & ~0xffff, \" \", { 0x80000000UL, \"F\" })\n",
	    HEAD A "\nprint fmt: \"%lu\", (unsigned long)(REC->a) / 1000UL\n",
	    HEAD A "\nprint fmt: \"constant\", \n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (format_check(good[i], strlen(good[i])) != FORMAT_GOOD)
			fail_msg("refused: %s", good[i]);
}

static void printing_that_could_hurt_is_replaced(void **state)
{
	static const char *const risky[] = {
	    HEAD A "\nprint fmt: \"%u\", REC->missing\n",
	    HEAD A "\nprint fmt: \"%u %u\", REC->a\n",
	    HEAD A "\nprint fmt: \"%u\", 1000 / REC->a\n",
	    HEAD A "\nprint fmt: \"%u\", 1000 % REC->a\n",
	    HEAD A B "\nprint fmt: \"%s\", __print_hex(REC->b, REC->a)\n",
	    HEAD A B "\nprint fmt: \"%u\", REC->b[REC->a]\n",
	    HEAD A "\nprint fmt: \"%s\", __print_symbolic(REC->a, { })\n",
	    HEAD A "\nprint fmt: \"%u\", (REC->a\n",
	    HEAD A "\nprint fmt: \"%u\", some_function(REC->a)\n",
	    HEAD A "\nprint fmt: \"%u, REC->a\n",
	    HEAD A "\nprint fmt: \"%y\", REC->a\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(risky); i++) {
		char *plain;

		if (format_check(risky[i], strlen(risky[i])) != FORMAT_FIELDS)
			fail_msg("not judged as fields only: %s", risky[i]);
		plain = format_plain(risky[i], strlen(risky[i]));
		assert_int_equal(format_check(plain, strlen(plain)), FORMAT_GOOD);
		assert_non_null(strstr(plain, "\"a=0x%llx\", REC->a"));
		free(plain);
	}
}

static void fields_that_make_no_sense_are_refused(void **state)
{
	static const char *const bad[] = {
	    "",
	    "hello",
	    "name: e\nID: 5\nformat:\n",
	    "name: e\nID: 70000\nformat:\n" HEAD,
	    HEAD,
	    HEAD "\tfield:u32 a;\toffset:70000;\tsize:4;\tsigned:0;\n\nprint fmt: \"\"\n",
	    HEAD "\tfield:u32 a;\toffset:-4;\tsize:4;\tsigned:0;\n\nprint fmt: \"\"\n",
	    HEAD "\tfield:u32 a;\toffset:8;\tsize:99999;\tsigned:0;\n\nprint fmt: \"\"\n",
	    HEAD "\tfield:a;\toffset:8;\tsize:4;\tsigned:0;\n\nprint fmt: \"\"\n",
	    HEAD "\tfield:u32 a[;\toffset:8;\tsize:4;\tsigned:0;\n\nprint fmt: \"\"\n",
	    HEAD "\tfield:u32 a;\toffset:8;\tsize:4;\tsigned:7;\n\nprint fmt: \"\"\n",
	    HEAD A "\nprint fmt: \"\x80\", REC->a\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (format_check(bad[i], strlen(bad[i])) != FORMAT_BAD)
			fail_msg("accepted: %s", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(filters_that_are_accepted_select_events),
	    cmocka_unit_test(a_wrong_filter_is_refused_where_it_is_wrong),
	    cmocka_unit_test(nesting_has_an_end),
	    cmocka_unit_test(a_condition_that_goes_on_has_an_end),
	    cmocka_unit_test(every_format_of_ours_is_good),
	    cmocka_unit_test(what_a_kernel_writes_is_good),
	    cmocka_unit_test(printing_that_could_hurt_is_replaced),
	    cmocka_unit_test(fields_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
