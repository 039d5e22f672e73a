/* core/bundle.c: a bundle that came over a bad line, or from a mistaken builder, is refused with the reason. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/bundle.h"
#include "core/wire.h"

#define DATA "image and command line"

static struct {
	struct bundle b;
	char data[64];
} whole;

static void seal(void)
{
	const size_t from = offsetof(struct bundle, len);

	whole.b.crc = wire_crc32(0, (const uint8_t *)&whole + from, (size_t)whole.b.len - from);
}

static int setup(void **state)
{
	(void)state;
	memset(&whole, 0, sizeof(whole));
	memcpy(whole.b.magic, BUNDLE_MAGIC, sizeof(whole.b.magic));
	whole.b.version = BUNDLE_VERSION;
	whole.b.len = sizeof(whole);
	whole.b.n_vms = 1;
	memcpy(whole.b.vms[0].name, "guest", 6);
	whole.b.vms[0].image = (struct bundle_part){sizeof(struct bundle), 32};
	whole.b.vms[0].cmdline = (struct bundle_part){sizeof(struct bundle) + 32, 8};
	memcpy(whole.data, DATA, sizeof(DATA));
	seal();
	return 0;
}

static void refused(const char *reason)
{
	struct errmsg why = {{0}};

	seal();
	assert_int_not_equal(bundle_check(&whole, sizeof(whole), &why), ERR_OK);
	if (!strstr(why.text, reason))
		fail_msg("\"%s\" does not say \"%s\"", why.text, reason);
}

static void a_whole_bundle_is_accepted(void **state)
{
	struct errmsg why;

	(void)state;
	assert_int_equal(bundle_check(&whole, sizeof(whole), &why), ERR_OK);
	assert_int_equal(bundle_check(&whole, sizeof(whole), NULL), ERR_OK);
	assert_ptr_equal(bundle_part(&whole.b, &whole.b.vms[0].image), whole.data);
	assert_null(bundle_part(&whole.b, &whole.b.vms[0].firmware));
}

static void every_truncation_is_refused(void **state)
{
	struct errmsg why;

	(void)state;
	for (size_t n = 0; n < sizeof(whole); n++)
		assert_int_equal(bundle_check(&whole, n, &why), ERR_FORMAT);
}

static void every_changed_byte_is_noticed(void **state)
{
	struct errmsg why;

	(void)state;
	for (size_t i = 0; i < sizeof(whole); i++) {
		((uint8_t *)&whole)[i] ^= 0x10;
		assert_int_not_equal(bundle_check(&whole, sizeof(whole), &why), ERR_OK);
		((uint8_t *)&whole)[i] ^= 0x10;
	}
	assert_int_equal(bundle_check(&whole, sizeof(whole), &why), ERR_OK);
}

static void parts_outside_are_refused(void **state)
{
	struct bundle_vm *v = &whole.b.vms[0];
	struct bundle_part *const parts[] = {&v->image, &v->firmware, &v->keys, &v->cost, &v->cmdline};
	static const struct bundle_part bad[] = {
	    {sizeof(struct bundle), 65}, /* one past the end */
	    {sizeof(struct bundle) + 64, 1},
	    {0, 8}, /* in the head */
	    {sizeof(struct bundle) - 1, 2},
	    {UINT64_MAX, 2}, /* wraps */
	    {sizeof(struct bundle), UINT64_MAX},
	};

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(parts); k++)
		for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
			const struct bundle_part good = *parts[k];
			*parts[k] = bad[i];
			refused("guest 0");
			*parts[k] = good;
		}
	v->n_modules = 1;
	v->modules[0] = bad[0];
	refused("module 0");
	v->modules[0] = (struct bundle_part){sizeof(struct bundle), 8};
	v->module_args[0] = (struct bundle_part){sizeof(struct bundle), 4}; /* no zero at its end */
	refused("module 0");
}

static void numbers_out_of_range_are_refused(void **state)
{
	struct bundle_vm *v = &whole.b.vms[0];

	(void)state;
	whole.b.n_vms = 0;
	refused("0 guests");
	whole.b.n_vms = BUNDLE_VMS_MAX + 1;
	refused("9 guests");
	whole.b.n_vms = 1;
	v->n_modules = BUNDLE_MODULES_MAX + 1;
	refused("modules");
	v->n_modules = 0;
	v->fault = FAULT_COUNT;
	refused("fault");
	v->fault = 0;
	memset(v->name, 'x', sizeof(v->name));
	refused("name");
	memset(v->name, 0, sizeof(v->name));
	v->cmdline.len = 3; /* a text without its zero byte */
	memcpy(whole.data + 32, "abc", 3);
	refused("command line");
	v->cmdline.len = 0;
	v->cost = (struct bundle_part){sizeof(struct bundle), 32}; /* inside, but no cost model */
	refused("cost model");
	v->cost.len = 0;
	v->image.len = 0;
	refused("neither an image nor a firmware");
}

static void other_versions_and_files_are_refused(void **state)
{
	(void)state;
	whole.b.version++;
	refused("version 2");
	whole.b.version--;
	whole.b.magic[0] = 'x';
	refused("VMSCBNDL");
}

static void faults_have_names(void **state)
{
	(void)state;
	assert_string_equal(bundle_fault_name(FAULT_NONE), "none");
	assert_string_equal(bundle_fault_name(FAULT_CR8), "cr8");
	assert_string_equal(bundle_fault_name(FAULT_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(a_whole_bundle_is_accepted, setup),
	    cmocka_unit_test_setup(every_truncation_is_refused, setup),
	    cmocka_unit_test_setup(every_changed_byte_is_noticed, setup),
	    cmocka_unit_test_setup(parts_outside_are_refused, setup),
	    cmocka_unit_test_setup(numbers_out_of_range_are_refused, setup),
	    cmocka_unit_test_setup(other_versions_and_files_are_refused, setup),
	    cmocka_unit_test(faults_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
