/* modes/modes.c, the rows that are not built yet, and core/posix/host.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "core/controls.h"
#include "core/vm.h"
#include "modes/modes.h"

static void the_table_has_all_six_in_their_order(void **state)
{
	size_t n;
	const struct mode_ops *const *all = modes_all(&n);

	(void)state;
	assert_int_equal(n, 6);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(all[i]->mode, i / 2);
		assert_int_equal(all[i]->type, i % 2 + 1);
		assert_string_equal(all[i]->name, mode_name(all[i]->mode));
		assert_ptr_equal(modes_find(all[i]->mode, all[i]->type), all[i]);
	}
	assert_null(modes_find((enum vmm_mode)7, VMM_TYPE_I));
}

/* "Every member is mandatory", and the default profile is one that the backend may run under. */
static void no_row_has_a_hole(void **state)
{
	size_t n, n_profiles;
	const struct mode_ops *const *all = modes_all(&n);
	const struct controls_profile *p = controls_profiles(&n_profiles);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		const struct mode_ops *o = all[i];
		assert_true(o->engine && o->profiles && o->default_profile);
		assert_true(o->probe && o->vm_init && o->vm_fini && o->map && o->get_state && o->set_state);
		assert_true(o->interruptible && o->inject && o->run && o->complete && o->kick && o->mappings);
		bool found = false;
		for (size_t k = 0; k < n_profiles; k++)
			found |= strcmp(p[k].name, o->default_profile) == 0 && p[k].backends & o->profiles;
		assert_true(found);
	}
}

/* A type I backend here is a mirror: without a session there is no machine that could tell it anything. */
static void a_mirror_without_a_session_has_nothing_to_tell(void **state)
{
	static const struct mode_ops *const remote[] = {&mode_emulate_type1_ops, &mode_virtualize_type1_ops};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(remote); i++) {
		struct vm_config cfg = {.host = &host_posix_ops,
		    .mode = remote[i],
		    .mem_size = 1 << 20,
		    .n_vcpus = 1,
		    .clock = remote[i]->caps & MODE_CAP_VIRTUAL_TIME ? CLOCK_VIRTUAL : CLOCK_HOST};
		struct errmsg why = {""};
		struct vm *vm;

		assert_true(remote[i]->caps & MODE_CAP_REMOTE);
		assert_non_null(remote[i]->next);
		assert_int_equal(vm_create(&cfg, &vm, &why), ERR_OK);
		vm_run(vm);
		assert_int_equal(vm->end.kind, END_HOST_ERROR);
		assert_int_equal(remote[i]->mappings(vm, NULL, 0), 0);
		vm_destroy(vm);
	}
}

static void the_linux_host_gives_zeroed_pages_and_takes_them_back(void **state)
{
	const struct host_ops *h = &host_posix_ops;
	uint8_t *p = h->page_alloc(10000);

	(void)state;
	assert_non_null(p);
	assert_int_equal((uintptr_t)p % PAGE_SIZE_4K, 0);
	for (size_t i = 0; i < 10000; i++)
		assert_int_equal(p[i], 0);
	memset(p, 1, 10000);
	h->page_free(p, 10000);
	h->page_free(NULL, 10000);
	assert_null(h->page_alloc(0));
	assert_null(h->page_alloc(SIZE_MAX));
	assert_true(h->mem_limit() > 1 << 20);
}

static void the_linux_hosts_clock_goes_forward_and_idling_waits(void **state)
{
	const struct host_ops *h = &host_posix_ops;
	uint64_t t = h->now_ns(), c = h->cycles();

	(void)state;
	h->idle_until(t + 2000000);
	assert_true(h->now_ns() >= t + 2000000);
	assert_true(h->cycles() > c);
	h->idle_until(0); /* long past */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_table_has_all_six_in_their_order),
	    cmocka_unit_test(no_row_has_a_hole),
	    cmocka_unit_test(a_mirror_without_a_session_has_nothing_to_tell),
	    cmocka_unit_test(the_linux_host_gives_zeroed_pages_and_takes_them_back),
	    cmocka_unit_test(the_linux_hosts_clock_goes_forward_and_idling_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
