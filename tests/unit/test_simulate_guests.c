/*
 * The bundled guests and their models: guests.def says what each must do, emulate runs the real code, and the model
 * must show the same exits (reason, order, values), console and end, under each profile that it is held to.
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

#include "core/loader.h"
#include "core/vm.h"
#include "tracer/sequence.h"

#define CONSOLE_MAX 65536

struct run {
	char console[CONSOLE_MAX];
	size_t n;
	struct sequence sequence;
	uint64_t counts[EXIT_SDM_COUNT];
	uint64_t insns, ns;
	struct vm_end end;
};

static const struct row {
	const char *name, *image, *args;
	uint32_t code;
	bool exact;
	const char *vtx_ept, *kvm_user;
} rows[] = {
#define GUEST(n, image, args, code, pvm, exact, vtx_ept, kvm_user) {#n, image, args, code, exact, vtx_ept, kvm_user},
#include "labs/guests/guests.def"
#undef GUEST
};

static struct run real, model;

static void path_of(char *buf, size_t n, const char *name)
{
	char exe[512];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);
	assert_true(len > 0);
	exe[len] = 0;
	*strrchr(exe, '/') = 0;
	assert_true(snprintf(buf, n, "%s/../../guests/%s", exe, name) < (int)n);
}

static char *read_file(const char *name, size_t *n)
{
	char path[640];
	path_of(path, sizeof path, name);
	FILE *f = fopen(path, "rb");
	if (!f)
		fail_msg("%s is not built: make guests", path);
	char *data = malloc(1 << 20);
	assert_non_null(data);
	*n = fread(data, 1, 1 << 20, f);
	fclose(f);
	return data;
}

static void console_byte(void *arg, const char *port, uint8_t byte)
{
	struct run *r = arg;
	assert_string_equal(port, "uart");
	assert_true(r->n < sizeof r->console);
	r->console[r->n++] = (char)byte;
}

static void count_exit(void *arg, struct vcpu *v, const struct vm_exit *e)
{
	struct run *r = arg;
	(void)v;
	if (e->reason < EXIT_SDM_COUNT)
		r->counts[e->reason]++;
}

static const struct probe_ops counter = {.name = "counter", .on_exit = count_exit};

static void run_guest(const struct row *g, const char *args, enum vmm_mode mode, const char *profile, struct run *r)
{
	char model_name[64], model_path[640];
	struct errmsg why = {""};
	struct vm *vm;
	sequence_free(&r->sequence);
	memset(r, 0, sizeof *r);
	snprintf(model_name, sizeof model_name, "%s.lua", g->name);
	path_of(model_path, sizeof model_path, model_name);
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(mode, VMM_TYPE_II),
	    .guest = g->name,
	    .controls = profile,
	    .model = model_path,
	    .cmdline = args,
	    .mem_size = 16u << 20,
	    .n_vcpus = 1,
	    .clock = CLOCK_VIRTUAL,
	    .max_exits = 1000000,
	    .console = console_byte,
	    .console_arg = r};
	if (vm_create(&cfg, &vm, &why) != ERR_OK)
		fail_msg("%s: %s", g->name, why.text);
	assert_int_equal(vm_add_probe(vm, &sequence_probe, &r->sequence), ERR_OK);
	assert_int_equal(vm_add_probe(vm, &counter, r), ERR_OK);
	if (mode == MODE_EMULATE) {
		size_t n;
		char *image = read_file(g->image, &n);
		struct load_request load = {.image = image, .len = n, .name = g->image, .cmdline = args};
		if (image_load(vm, &load, &why) != ERR_OK)
			fail_msg("%s: %s", g->name, why.text);
		free(image);
	}
	assert_int_equal(vm_run(vm), ERR_OK);
	r->end = vm->end;
	r->insns = vm->clock.insns;
	r->ns = clock_now_ns(&vm->clock);
	vm_destroy(vm);
}

static void check_end(const struct row *g, const struct run *r, enum end_kind kind)
{
	if (r->end.kind != kind || (kind == END_DEBUG_EXIT && r->end.code != g->code))
		fail_msg("%s ended with %s %u: %s", g->name, end_name(r->end.kind), r->end.code, r->end.detail);
}

static void check_console(const struct row *g, const struct run *r)
{
	char name[64];
	size_t n;
	snprintf(name, sizeof name, "%s.expected", g->name);
	char *expected = read_file(name, &n);
	assert_int_equal(r->n, n);
	assert_memory_equal(r->console, expected, n);
	free(expected);
}

/* "CPUID=11 HLT=5": these and no others, timer slices and interrupts apart. */
static void check_counts(const struct row *g, const struct run *r, const char *wanted)
{
	uint64_t left[EXIT_SDM_COUNT];
	char name[32];
	unsigned long n;
	int used;
	memcpy(left, r->counts, sizeof left);
	left[EXIT_EXTERNAL_INTERRUPT] = left[EXIT_INTERRUPT_WINDOW] = left[EXIT_PREEMPTION_TIMER] = 0;
	for (const char *p = wanted; sscanf(p, " %31[A-Z_]=%lu%n", name, &n, &used) == 2; p += used) {
		int reason = exit_reason_by_name(name);
		assert_true(reason >= 0);
		if (left[reason] != n)
			fail_msg("%s: %s %llu times, wanted %lu", g->name, name, (unsigned long long)left[reason], n);
		left[reason] = 0;
	}
	for (unsigned k = 0; k < EXIT_SDM_COUNT; k++)
		if (left[k])
			fail_msg("%s: %s is not in guests.def", g->name, exit_name(k));
}

static void check_equal(const struct row *g, const char *profile)
{
	uint64_t exempt;
	struct sequence_diff d = sequence_compare(&real.sequence, &model.sequence, &exempt);
	if (d.differ) {
		char a[160] = "the end", b[160] = "the end";
		if (d.reference)
			sequence_describe(d.reference, a, sizeof a);
		if (d.subject)
			sequence_describe(d.subject, b, sizeof b);
		fail_msg("%s under %s: exit %llu is %s in emulate, %s in the model", g->name, profile,
		    (unsigned long long)d.compared, a, b);
	}
	assert_true(d.compared > 50);
	assert_int_equal(real.n, model.n);
	assert_memory_equal(real.console, model.console, real.n);
}

static void the_code_does_what_guests_def_says(void **state)
{
	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(rows); k++) {
		run_guest(&rows[k], rows[k].args, MODE_EMULATE, "vtx-ept", &real);
		check_end(&rows[k], &real, END_DEBUG_EXIT);
		check_console(&rows[k], &real);
		check_counts(&rows[k], &real, rows[k].vtx_ept);
		run_guest(&rows[k], rows[k].args, MODE_EMULATE, "kvm-user", &real);
		check_end(&rows[k], &real, END_DEBUG_EXIT);
		check_console(&rows[k], &real);
		check_counts(&rows[k], &real, rows[k].kvm_user);
	}
}

static void each_model_shows_the_exits_of_its_guest(void **state)
{
	static const char *const profiles[] = {"vtx-ept", "kvm-user", "vtx-shadow", "all"};
	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(rows); k++)
		for (unsigned p = 0; p < ARRAY_LEN(profiles); p++) {
			run_guest(&rows[k], rows[k].args, MODE_EMULATE, profiles[p], &real);
			run_guest(&rows[k], rows[k].args, MODE_SIMULATE, profiles[p], &model);
			check_end(&rows[k], &model, END_DEBUG_EXIT);
			check_equal(&rows[k], profiles[p]);
			if (rows[k].exact) {
				assert_int_equal(real.insns, model.insns);
				assert_int_equal(real.ns, model.ns);
			}
		}
}

static const struct row *find(const char *name)
{
	for (unsigned k = 0; k < ARRAY_LEN(rows); k++)
		if (strcmp(rows[k].name, name) == 0)
			return &rows[k];
	fail_msg("no guest %s", name);
	return NULL;
}

static void parameters_mean_the_same_to_the_code_and_to_the_model(void **state)
{
	static const struct {
		const char *guest, *args;
		enum end_kind end;
	} cases[] = {
	    {"primes", "n=1000", END_DEBUG_EXIT},
	    {"primes", "n=3 rounds=2", END_DEBUG_EXIT},
	    {"timer", "halted=2 busy=1", END_DEBUG_EXIT},
	    {"paging", "pages=3 switches=5", END_DEBUG_EXIT},
	    {"exits", "only=1 cpuid=7 out=300 cr=3 crfree=2 load=2", END_DEBUG_EXIT},
	    {"exits", "only=1 rdtsc=2 gp=3 ud=2 hlt=4", END_DEBUG_EXIT},
	    {"exits", "only=1 vmcall=2 in=1", END_DEBUG_EXIT},
	    {"exits", "only=1 out=60 end=triple", END_TRIPLE_FAULT},
	    {"exits", "only=1 out=60 end=hlt", END_HALT},
	};
	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(cases); k++) {
		const struct row *g = find(cases[k].guest);
		run_guest(g, cases[k].args, MODE_EMULATE, "vtx-ept", &real);
		run_guest(g, cases[k].args, MODE_SIMULATE, "vtx-ept", &model);
		check_end(g, &real, cases[k].end);
		check_end(g, &model, cases[k].end);
		check_equal(g, cases[k].args);
	}
}

static void a_parameter_out_of_range_fails_the_guest(void **state)
{
	(void)state;
	for (int mode = 0; mode < 2; mode++) {
		run_guest(find("primes"), "n=2", mode ? MODE_EMULATE : MODE_SIMULATE, "vtx-ept", &real);
		assert_int_equal(real.end.kind, END_DEBUG_EXIT);
		assert_int_equal(real.end.code, 1);
	}
}

/* The lesson of the guest "sensitive": without VT-x the kernel at CPL 3 sees what it must not, and UMIP repairs a part.
 */
static void deprivileged_the_sensitive_instructions_leak(void **state)
{
	(void)state;
	const struct row *g = find("sensitive");
	run_guest(g, "", MODE_EMULATE, "deprivileged", &real);
	check_end(g, &real, END_DEBUG_EXIT);
	real.console[real.n] = 0;
	assert_non_null(strstr(real.console, "SIDT: kernel 00000000")); /* not the kernel's own table */
	assert_non_null(strstr(real.console, "POPF: kernel 00000000")); /* the kernel's own CLI and STI are lost */
}

static int free_runs(void **state)
{
	(void)state;
	sequence_free(&real.sequence);
	sequence_free(&model.sequence);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_code_does_what_guests_def_says),
	    cmocka_unit_test(each_model_shows_the_exits_of_its_guest),
	    cmocka_unit_test(parameters_mean_the_same_to_the_code_and_to_the_model),
	    cmocka_unit_test(a_parameter_out_of_range_fails_the_guest),
	    cmocka_unit_test(deprivileged_the_sensitive_instructions_leak),
	};
	return cmocka_run_group_tests(tests, NULL, free_runs);
}
