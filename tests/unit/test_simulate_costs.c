/*
 * Cost profiles: each figure has a source, Type I and Type II differ in the path, and a bad file is one line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "modes/simulate/costs.h"

#define PROFILE "modes/simulate/costs/nehalem-2011.lua"

static struct cost_model type1, type2;
static struct errmsg why;

static void load_both(void)
{
	assert_int_equal(cost_load(PROFILE, VMM_TYPE_I, &type1, &why), ERR_OK);
	assert_int_equal(cost_load(PROFILE, VMM_TYPE_II, &type2, &why), ERR_OK);
}

static enum err load_text(const char *text)
{
	char path[] = "/tmp/vmscope-cost-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	char with_suffix[64];
	snprintf(with_suffix, sizeof with_suffix, "%s", path);
	memset(&why, 0, sizeof why);
	enum err e = cost_load(with_suffix, VMM_TYPE_I, &type1, &why);
	unlink(path);
	assert_null(strchr(why.text, '\n'));
	return e;
}

static void a_profile_names_itself_its_cpu_and_its_stack(void **state)
{
	(void)state;
	load_both();
	assert_string_equal(type1.name, "nehalem-2011");
	assert_non_null(strstr(type1.cpu, "X5570"));
	assert_string_equal(type1.stack, "type1");
	assert_string_equal(type2.stack, "type2");
}

static void an_io_exit_goes_further_under_type_ii(void **state)
{
	(void)state;
	load_both();
	const struct cost_path *one = &type1.by_reason[EXIT_IO_INSTRUCTION],
			       *two = &type2.by_reason[EXIT_IO_INSTRUCTION];
	assert_int_equal(one->n_steps, 2);
	assert_true(two->n_steps > one->n_steps);
	assert_true(two->total_ns > one->total_ns);
	bool process = false;
	for (unsigned k = 0; k < two->n_steps; k++)
		process |= strstr(two->steps[k].name, "VMM process") != NULL;
	assert_true(process);
	for (unsigned k = 0; k < one->n_steps; k++)
		assert_null(strstr(one->steps[k].name, "process"));
}

static void what_the_host_kernel_answers_costs_the_same(void **state)
{
	(void)state;
	load_both();
	assert_int_equal(cost_of(&type1, EXIT_CPUID), cost_of(&type2, EXIT_CPUID));
	assert_int_equal(cost_of(&type1, EXIT_CPUID), 683); /* 2,000 cycles at 2.93 GHz */
}

static void every_path_is_the_sum_of_its_steps(void **state)
{
	(void)state;
	load_both();
	for (unsigned r = 0; r < EXIT_SDM_COUNT; r++) {
		uint64_t sum = 0;
		for (unsigned k = 0; k < type2.by_reason[r].n_steps; k++)
			sum += type2.by_reason[r].steps[k].ns;
		assert_int_equal(sum, type2.by_reason[r].total_ns);
		assert_true(sum > 0);
	}
	assert_int_equal(cost_of(NULL, EXIT_CPUID), 0);
	assert_int_equal(cost_of(&type1, EXIT_VMM_TIMER), 0);
}

#define STEP "steps = {a = {text = 'a', ns = 5, cpu = 'c', year = 2000, source = 's'}}"
#define HEAD "return {name = 'n', cpu = 'c', year = 2000, "

static void a_small_profile_loads(void **state)
{
	(void)state;
	assert_int_equal(load_text(HEAD STEP ", type1 = {default = {'a'}, HLT = {'a', 'a'}}}"), ERR_OK);
	assert_int_equal(cost_of(&type1, EXIT_CPUID), 5);
	assert_int_equal(cost_of(&type1, EXIT_HLT), 10);
}

static void a_wrong_profile_is_one_line_that_says_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *says;
	} wrong[] = {
	    {"return 1", "table"},
	    {"return {", "expected"},
	    {"while true do end", "does not end"},
	    {HEAD STEP "}", "type1"},
	    {HEAD STEP ", type1 = {}}", "default"},
	    {HEAD STEP ", type1 = {default = {'b'}}}", "\"b\""},
	    {HEAD STEP ", type1 = {default = {'a'}, NONSENSE = {'a'}}}", "NONSENSE"},
	    {HEAD "steps = {a = {text = 'a', ns = 5, cpu = 'c', year = 2000}}, type1 = {default = {'a'}}}", "source"},
	    {HEAD
		"steps = {a = {text = 'a', ns = -1, cpu = 'c', year = 2000, source = 's'}}, type1 = {default = {'a'}}}",
		"\"ns\""},
	    {"os.exit(0)", "os"},
	};
	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(wrong); k++) {
		assert_int_equal(load_text(wrong[k].text), ERR_FORMAT);
		if (!strstr(why.text, wrong[k].says))
			fail_msg("\"%s\" does not say \"%s\"", why.text, wrong[k].says);
	}
}

static void an_unknown_name_is_not_found(void **state)
{
	(void)state;
	assert_int_equal(cost_load("no-such-cpu", VMM_TYPE_I, &type1, &why), ERR_NOENT);
	assert_non_null(strstr(why.text, "no-such-cpu"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_profile_names_itself_its_cpu_and_its_stack),
	    cmocka_unit_test(an_io_exit_goes_further_under_type_ii),
	    cmocka_unit_test(what_the_host_kernel_answers_costs_the_same),
	    cmocka_unit_test(every_path_is_the_sum_of_its_steps),
	    cmocka_unit_test(a_small_profile_loads),
	    cmocka_unit_test(a_wrong_profile_is_one_line_that_says_what_is_wrong),
	    cmocka_unit_test(an_unknown_name_is_not_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
