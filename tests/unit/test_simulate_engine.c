/*
 * The engine of simulate on small models written here: each primitive gives the exit that the controls ask for, time is
 * exact, interrupts come where they should, and a bad model ends with one line.
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

#include "core/lib.h"
#include "core/vm.h"
#include "tests/fake_host.h"
#include "tracer/sequence.h"

#define EXITS_MAX 4096

static struct {
	struct vm_exit exits[EXITS_MAX]; /* with their results */
	size_t n;
	char console[4096];
	size_t n_console;
	struct vm_end end;
	uint64_t insns, ns;
} got;

static char path[64];
static struct errmsg why;

static void write_model(const char *text)
{
	snprintf(path, sizeof path, "/tmp/vmscope-model-XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void keep(void *arg, struct vcpu *v, const struct vm_exit *e, enum verdict verdict)
{
	(void)arg;
	(void)v;
	(void)verdict;
	assert_true(got.n < EXITS_MAX);
	got.exits[got.n++] = *e;
}

static const struct probe_ops keeper = {.name = "keeper", .on_verdict = keep};

static void console_byte(void *arg, const char *port, uint8_t byte)
{
	(void)arg;
	(void)port;
	if (got.n_console < sizeof got.console - 1)
		got.console[got.n_console++] = (char)byte;
}

static struct vm *make(const char *text, const char *profile, uint64_t seed)
{
	struct vm *vm = NULL;
	memset(&got, 0, sizeof got);
	memset(&why, 0, sizeof why);
	write_model(text);
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_SIMULATE, VMM_TYPE_II),
	    .guest = "test",
	    .controls = profile,
	    .model = path,
	    .cmdline = "first=1 second=22",
	    .mem_size = 4u << 20,
	    .n_vcpus = 1,
	    .clock = CLOCK_VIRTUAL,
	    .seed = seed,
	    .max_exits = EXITS_MAX - 1,
	    .console = console_byte};
	enum err e = vm_create(&cfg, &vm, &why);
	unlink(path);
	assert_null(strchr(why.text, '\n'));
	if (e == ERR_OK)
		assert_int_equal(vm_add_probe(vm, &keeper, NULL), ERR_OK);
	else
		assert_null(vm);
	return vm;
}

static void run_seeded(const char *text, const char *profile, uint64_t seed)
{
	struct vm *vm = make(text, profile, seed);
	if (!vm)
		fail_msg("%s", why.text);
	assert_int_equal(vm_run(vm), ERR_OK);
	got.end = vm->end;
	got.insns = vm->clock.insns;
	got.ns = clock_now_ns(&vm->clock);
	assert_null(strchr(got.end.detail, '\n'));
	vm_destroy(vm);
}

static void run_body(const char *body, const char *profile)
{
	char text[4096];
	int n = snprintf(text, sizeof text,
	    "return function(g) g:start('multiboot') g:mov_cr(4, 0x20) g:wrmsr(0xc0000080, 0x100) "
	    "g:mov_cr(0, 0x80000011) g:code(64)\n %s\n g:out(0xf4, 0) end",
	    body);
	assert_true(n < (int)sizeof text);
	run_seeded(text, profile, 1);
	if (got.end.kind != END_DEBUG_EXIT || got.end.code != 0)
		fail_msg("%s ended with %s %u: %s", body, end_name(got.end.kind), got.end.code, got.end.detail);
	assert_true(got.n > 0);
	got.n--; /* the end */
}

/* body stands inside the model's function, in 64-bit long mode at CPL 0, and ends the guest well. Only its own exits
 * are kept. */
static void run(const char *body, const char *profile)
{
	run_body("", profile);
	size_t boot = got.n;
	run_body(body, profile);
	assert_true(got.n >= boot);
	got.n -= boot;
	memmove(got.exits, got.exits + boot, got.n * sizeof got.exits[0]);
}

/* Did exactly one exit come, and was it reason? EXIT_VMM_LIMIT: none. */
static void expect(const char *body, const char *profile, uint32_t reason)
{
	run(body, profile);
	if (reason == EXIT_VMM_LIMIT ? got.n != 0 : got.n != 1 || got.exits[0].reason != reason)
		fail_msg("%s under %s: %zu exits, first %s", body, profile, got.n,
		    got.n ? exit_name(got.exits[0].reason) : "none");
}

#define NONE EXIT_VMM_LIMIT

static void each_primitive_exits_by_the_controls(void **state)
{
	static const struct {
		const char *body;
		uint32_t vtx_ept, vtx_shadow, all, kvm_user;
	} table[] = {
	    {"g:compute(100)", NONE, NONE, NONE, NONE},
	    {"g:cpuid(0)", EXIT_CPUID, EXIT_CPUID, EXIT_CPUID, NONE},
	    {"g:inp(0x80)", EXIT_IO_INSTRUCTION, EXIT_IO_INSTRUCTION, EXIT_IO_INSTRUCTION, EXIT_IO_INSTRUCTION},
	    {"g:outs(0x80, 'x')", EXIT_IO_INSTRUCTION, EXIT_IO_INSTRUCTION, EXIT_IO_INSTRUCTION, EXIT_IO_INSTRUCTION},
	    {"g:rdmsr(0x1b)", EXIT_MSR_READ, EXIT_MSR_READ, EXIT_MSR_READ, NONE},
	    {"g:wrmsr(0xc0000082, 1)", NONE, NONE, EXIT_MSR_WRITE, NONE},
	    {"g:mov_cr(0, 0x80000031)", EXIT_CR_ACCESS, EXIT_CR_ACCESS, EXIT_CR_ACCESS, NONE},
	    {"g:mov_cr(0, 0x80000019)", NONE, NONE, EXIT_CR_ACCESS, NONE},
	    {"g:mov_cr(0, 0x80000011)", NONE, NONE, NONE, NONE},
	    {"g:mov_cr(3, 0x1000)", NONE, EXIT_CR_ACCESS, EXIT_CR_ACCESS, NONE},
	    {"g:read_cr(3)", NONE, EXIT_CR_ACCESS, EXIT_CR_ACCESS, NONE},
	    {"g:read_cr(0)", NONE, NONE, NONE, NONE},
	    {"g:mov_cr(8, 3)", EXIT_CR_ACCESS, EXIT_CR_ACCESS, EXIT_CR_ACCESS, NONE},
	    {"g:smsw()", NONE, NONE, NONE, NONE},
	    {"g:mov_dr(0, 5)", EXIT_DR_ACCESS, EXIT_DR_ACCESS, EXIT_DR_ACCESS, NONE},
	    {"g:read_dr(7)", EXIT_DR_ACCESS, EXIT_DR_ACCESS, EXIT_DR_ACCESS, NONE},
	    {"g:invlpg(0x1000)", NONE, EXIT_INVLPG, EXIT_INVLPG, NONE},
	    {"g:invpcid(2)", NONE, EXIT_INVPCID, EXIT_INVPCID, NONE},
	    {"g:invd()", EXIT_INVD, EXIT_INVD, EXIT_INVD, NONE},
	    {"g:wbinvd()", NONE, NONE, EXIT_WBINVD, NONE},
	    {"g:pause()", NONE, NONE, EXIT_PAUSE_INSTRUCTION, NONE},
	    {"g:rdtsc()", NONE, NONE, EXIT_RDTSC, NONE},
	    {"g:vmcall(1)", EXIT_VMCALL, EXIT_VMCALL, EXIT_VMCALL, NONE},
	    {"g:sgdt()", NONE, NONE, EXIT_GDTR_IDTR, NONE},
	    {"g:lidt(0, 10)", NONE, NONE, EXIT_GDTR_IDTR, NONE},
	    {"g:str()", NONE, NONE, EXIT_LDTR_TR, NONE},
	    {"g:load(0x2000)", NONE, NONE, NONE, NONE},
	    {"g:load(0xd0000000)", EXIT_EPT_VIOLATION, EXIT_EPT_VIOLATION, EXIT_EPT_VIOLATION, EXIT_EPT_VIOLATION},
	    {"g:store(0xd0000000, 1)", EXIT_EPT_VIOLATION, EXIT_EPT_VIOLATION, EXIT_EPT_VIOLATION, EXIT_EPT_VIOLATION},
	    {"g:fault(14, 2, 0x5000)", NONE, EXIT_EXCEPTION_NMI, EXIT_EXCEPTION_NMI, NONE},
	    {"g:fault(0)", NONE, NONE, EXIT_EXCEPTION_NMI, NONE},
	};
	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(table); k++) {
		expect(table[k].body, "vtx-ept", table[k].vtx_ept);
		expect(table[k].body, "vtx-shadow", table[k].vtx_shadow);
		expect(table[k].body, "all", table[k].all);
		expect(table[k].body, "kvm-user", table[k].kvm_user);
	}
}

static void exits_carry_their_operands_and_models_get_the_results(void **state)
{
	(void)state;
	run("local a, b, c, d = g:cpuid(0) g:store(0x3000, b) g:out(0x3ff, 0x5a) "
	    "if g:inp(0x3ff) ~= 0x5a then g:out(0xf4, 1) end",
	    "vtx-ept");
	assert_int_equal(got.n, 3);
	assert_int_equal(got.exits[0].cpuid.leaf, 0);
	assert_int_equal(got.exits[0].cpuid.ebx, 0x756e6547); /* "Genu" */
	assert_int_equal(got.exits[1].io.value, 0x5a);
	assert_int_equal(got.exits[2].io.value, 0x5a);
	assert_int_equal(got.exits[2].observed, OBSERVED_MODEL);
	run("g:outs(0x3ff, '\\x01\\x02\\x03') if g:ins(0x3ff, 2) ~= '\\x03\\x03' then g:out(0xf4, 1) end", "vtx-ept");
	assert_int_equal(got.n, 5);
	for (unsigned k = 0; k < 3; k++) {
		assert_int_equal(got.exits[k].io.value, k + 1);
		assert_int_equal(got.exits[k].io.count, 3 - k);
		assert_true(got.exits[k].qual & QUAL_IO_REP);
	}
	run("g:store(0x3000, 0x1122334455667788, 8) if g:load(0x3004, 4) ~= 0x11223344 then g:out(0xf4, 1) end "
	    "if g:load(0xd0000000, 2) ~= 0xffff then g:out(0xf4, 2) end",
	    "vtx-ept");
	assert_int_equal(got.exits[0].gpa, 0xd0000000);
	run("g:mov_dr(1, 0x1234) if g:read_dr(1) ~= 0x1234 then g:out(0xf4, 1) end", "vtx-ept");
	run("if g:arg('second', 5) ~= 22 or g:arg('third', 5) ~= 5 then g:out(0xf4, 1) end", "vtx-ept");
}

static void a_fault_is_an_answer(void **state)
{
	(void)state;
	run("local v, vector, code = g:rdmsr(0x4b564d) if v ~= nil or vector ~= 13 or code ~= 0 then g:out(0xf4, 1) "
	    "end",
	    "vtx-ept");
	assert_int_equal(got.n, 1);
	assert_int_equal(got.exits[0].msr.fault, 1);
	run("g:cpl(3) local v, vector = g:hlt() if v ~= nil or vector ~= 13 then g:out(0xf4, 1) end", "vtx-ept");
	assert_int_equal(got.n, 0); /* #GP comes before the exit, and the handler is at CPL 0 again */
	run("g:cpl(3) local v, vector = g:read_dr(0) if v ~= nil or vector ~= 13 then g:out(0xf4, 1) end", "vtx-ept");
	assert_int_equal(got.n, 1); /* MOV DR: the exit comes first */
}

static void deprivileged_each_privileged_instruction_is_exit_0_and_done_by_the_vmm(void **state)
{
	(void)state;
	run("g:wrmsr(0xc0000082, 0x1234) if g:rdmsr(0xc0000082) ~= 0x1234 then g:out(0xf4, 1) end", "deprivileged");
	assert_int_equal(got.n, 2);
	assert_int_equal(got.exits[0].reason, EXIT_EXCEPTION_NMI);
	assert_int_equal(got.exits[0].intr_info & 0xff, VEC_GP);
	run("g:smsw() g:sgdt()", "deprivileged");
	assert_int_equal(got.n, 0); /* they leak */
	run("g:smsw() g:sgdt()", "umip");
	assert_int_equal(got.n, 2);
}

static void each_primitive_is_one_instruction_and_compute_is_n(void **state)
{
	(void)state;
	run_seeded("return function(g) g:start('boot') g:compute(1000) g:cpuid(0) g:cli() g:outs(0x80, 'abc') end",
	    "vtx-ept", 0);
	assert_int_equal(got.end.kind, END_MODEL_END);
	assert_int_equal(got.insns, 1000 + 1 + 1 + 3);
	assert_int_equal(got.exits[0].reason, EXIT_CPUID);
	assert_int_equal(got.exits[0].insns, 1000);
	assert_int_equal(got.exits[0].time_ns, 1000 * CLOCK_NS_PER_INSN);
}

#define PIT(count) "g:out(0x43, 0x30) g:out(0x40, " #count " & 0xff) g:out(0x40, " #count " >> 8) "
#define PIC "for _, w in ipairs{{0x20,0x11},{0x21,0x20},{0x21,4},{0x21,1},{0x21,0xfe}} do g:out(w[1], w[2]) end "

static void compute_is_divided_exactly_where_a_timer_is_due(void **state)
{
	(void)state;
	run_seeded("return function(g) g:start('boot') g:cli() " PIC PIT(1193) "g:compute(10000000) end", "vtx-ept", 0);
	size_t k = 0;
	while (k < got.n && got.exits[k].reason != EXIT_PREEMPTION_TIMER)
		k++;
	assert_true(k < got.n);
	/* 1193 periods of the 8254 (1193182 Hz) after the last OUT are 999,848 ns; plus at most one period to load. */
	uint64_t waited = got.exits[k].time_ns - got.exits[k - 1].time_ns;
	assert_in_range(waited, 999000, 1002000);
	assert_int_equal(got.exits[k].time_ns, got.exits[k].insns * CLOCK_NS_PER_INSN);
	assert_int_equal(got.insns, 1 + 5 + 3 + 10000000);
	run_seeded("return function(g) g:start('boot') g:cli() " PIC PIT(1193) "g:compute(1000000) end", "kvm-user", 0);
	for (k = 0; k < got.n && got.exits[k].reason != EXIT_VMM_TIMER; k++)
		;
	assert_true(k < got.n); /* under kvm-user a slice ends as VMM_TIMER */
}

static void an_interrupt_runs_its_handler_and_the_model_goes_on(void **state)
{
	(void)state;
	run_seeded("return function(g) local n = 0 g:start('boot') g:cli() g:on_irq(0x20, function() n = n + 1 "
		   "g:out(0x20, 0x20) end) " PIC PIT(1193) "g:wait_irq() " PIT(
		       1193) "g:sti() while n < 2 do "
			     "g:compute(7) end g:cli() g:out(0xf4, n) end",
	    "vtx-ept", 0);
	assert_int_equal(got.end.kind, END_DEBUG_EXIT);
	assert_int_equal(got.end.code, 2);
	unsigned hlt = 0, eoi = 0;
	for (size_t k = 0; k < got.n; k++) {
		hlt += got.exits[k].reason == EXIT_HLT;
		eoi += got.exits[k].reason == EXIT_IO_INSTRUCTION && got.exits[k].io.port == 0x20 &&
		       got.exits[k].io.value == 0x20;
	}
	assert_int_equal(hlt, 1);
	assert_int_equal(eoi, 2);
}

static void an_interrupt_waits_for_sti_and_one_instruction_more(void **state)
{
	(void)state;
	run_seeded("return function(g) local order = '' g:start('boot') g:cli() g:on_irq(0x20, function() "
		   "order = order .. 'i' g:out(0x20, 0x20) end) " PIC PIT(
		       100) "g:compute(100000) order = order .. 'a' "
			    "g:sti() order = order .. 'b' g:compute(1) order = order .. 'c' "
			    "g:out(0xf4, order == 'abic' and 0 or 1) end",
	    "vtx-ept", 0);
	assert_int_equal(got.end.code, 0);
	unsigned windows = 0;
	for (size_t k = 0; k < got.n; k++)
		windows += got.exits[k].reason == EXIT_INTERRUPT_WINDOW;
	assert_int_equal(windows, 1);
}

static void hlt_without_a_timer_ends_the_guest(void **state)
{
	(void)state;
	run_seeded("return function(g) g:start('boot') g:cli() g:hlt() end", "vtx-ept", 0);
	assert_int_equal(got.end.kind, END_HALT);
	run_seeded("return function(g) g:start('boot') g:triple_fault() end", "vtx-ept", 0);
	assert_int_equal(got.end.kind, END_TRIPLE_FAULT);
}

/* A model that ends with an error at line 2 which says this. */
static void a_wrong_model_ends_with_one_line_that_names_the_place(void **state)
{
	static const struct {
		const char *line2, *says;
	} wrong[] = {
	    {"g:out(70000, 1)", "a port is 0 to 0xffff"},
	    {"g:out(1, 1, 3)", "size"},
	    {"g.cpuid(0)", "colon"},
	    {"g:nothing()", "nothing"},
	    {"error('mine')", "mine"},
	    {"error({})", "no text"},
	    {"while true do end", "endless loop"},
	    {"local t = {} while true do t[#t + 1] = ('x'):rep(1000000) .. #t end", "memory"},
	    {"local s = 'x' while true do s = s .. s end", "memory"},
	    {"for _ in pairs{[{}] = 1} do end", "order"},
	    {"setmetatable({}, {__gc = function() end})", "__gc"},
	    {"local s = ('%p'):format({})", "%p"},
	    {"g:code(64)", "long mode"},
	    {"g:mov_cr(1, 0)", "control register"},
	    {"pcall(error)", "pcall"},
	    {"io.open('/etc/passwd')", "io"},
	    {"include('../x')", "plain name"},
	};
	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(wrong); k++) {
		char text[400];
		snprintf(text, sizeof text, "return function(g) g:start('multiboot')\n%s\nend", wrong[k].line2);
		run_seeded(text, "vtx-ept", 0);
		if (got.end.kind != END_MODEL_ERROR || !strstr(got.end.detail, wrong[k].says))
			fail_msg("%s: %s: %s", wrong[k].line2, end_name(got.end.kind), got.end.detail);
		if (k != 5 && k != 7 && k != 8 && !strstr(got.end.detail, ":2:"))
			fail_msg("no line number: %s", got.end.detail);
	}
	assert_int_equal(end_status(END_MODEL_ERROR, 0), 2);
}

static void an_interrupt_that_nobody_handles_is_the_models_error(void **state)
{
	(void)state;
	run_seeded(
	    "return function(g) g:start('boot') g:cli() " PIC PIT(100) "g:sti() g:compute(1000000) end", "vtx-ept", 0);
	assert_int_equal(got.end.kind, END_MODEL_ERROR);
	assert_non_null(strstr(got.end.detail, "on_irq(0x20"));
}

static void a_file_that_is_no_model_is_refused_before_the_run(void **state)
{
	static const struct {
		const char *text, *says;
	} wrong[] = {
	    {"return 5", "return function(g)"},
	    {"return function(", "expected"},
	    {"\x1bLua", "binary"},
	    {"while true do end", "endless"},
	    {"return nothing.at_all", "nothing"},
	};
	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(wrong); k++) {
		assert_null(make(wrong[k].text, "vtx-ept", 0));
		if (!strstr(why.text, wrong[k].says))
			fail_msg("\"%s\" does not say \"%s\"", why.text, wrong[k].says);
	}
}

#define DICE                                                                                                          \
	"return function(g) g:start('boot') for i = 1, 40 do local t = {} for k = 1, 9 do t['k' .. math.random(50)] " \
	"= "                                                                                                          \
	"k end for name, v in pairs(t) do g:out(0x80, (#name + v + name:byte(-1)) & 255) end "                        \
	"g:compute(math.random(1000)) end g:out(0xf4, 0) end"

static uint64_t hash_of_run(uint64_t seed)
{
	run_seeded(DICE, "vtx-ept", seed);
	assert_int_equal(got.end.kind, END_DEBUG_EXIT);
	return fnv64(FNV64_INIT, got.exits, got.n * sizeof got.exits[0]);
}

static void two_runs_with_one_seed_are_identical_and_another_seed_is_another_run(void **state)
{
	(void)state;
	uint64_t first = hash_of_run(7);
	assert_int_equal(first, hash_of_run(7));
	assert_int_not_equal(first, hash_of_run(8));
}

static void single_step_is_one_guest_instruction(void **state)
{
	(void)state;
	struct vm *vm =
	    make("return function(g) g:start('boot') g:compute(3) g:cpuid(0) g:compute(5) end", "vtx-ept", 0);
	assert_non_null(vm);
	for (uint64_t n = 1; n <= 6; n++) {
		assert_int_equal(vm_step_insn(vm, &vm->vcpus[0]), ERR_OK);
		assert_int_equal(vm->clock.insns, n);
		assert_int_equal(vm->vcpus[0].exit.reason, n == 4 ? EXIT_CPUID : EXIT_VMM_DEBUG);
	}
	vm_destroy(vm);
}

static void a_stop_request_ends_even_a_model_that_only_thinks(void **state)
{
	(void)state;
	struct vm *vm =
	    make("return function(g) g:start('boot') for i = 1, 5000000 do end g:out(0xf4, 0) end", "vtx-ept", 0);
	assert_non_null(vm);
	vm_stop(vm);
	assert_int_equal(vm_run(vm), ERR_OK);
	assert_int_equal(vm->end.kind, END_STOPPED);
	assert_int_equal(vm_run(vm), ERR_OK); /* and it goes on where it was */
	assert_int_equal(vm->end.kind, END_DEBUG_EXIT);
	vm_destroy(vm);
}

static void both_types_run_the_same_model_to_the_same_exits(void **state)
{
	(void)state;
	const struct mode_ops *one = modes_find(MODE_SIMULATE, VMM_TYPE_I),
			      *two = modes_find(MODE_SIMULATE, VMM_TYPE_II);
	assert_non_null(one);
	assert_non_null(two);
	assert_ptr_not_equal(one, two);
	assert_int_equal(one->type, VMM_TYPE_I);
	assert_ptr_equal(one->run, two->run);
}

static void a_missing_model_says_what_to_do(void **state)
{
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_SIMULATE, VMM_TYPE_I),
	    .guest = "mine",
	    .mem_size = 4u << 20,
	    .n_vcpus = 1,
	    .clock = CLOCK_VIRTUAL};
	struct vm *vm;
	(void)state;
	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_NOENT);
	assert_non_null(strstr(why.text, "--model"));
	cfg.model = "/no/such/model.lua";
	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_FORMAT);
	assert_non_null(strstr(why.text, "/no/such/model.lua"));
}

static void no_failing_allocation_leaks(void **state)
{
	struct vm_config cfg = {.host = &fake_host_ops,
	    .mode = modes_find(MODE_SIMULATE, VMM_TYPE_II),
	    .guest = "test",
	    .model = path,
	    .mem_size = 1u << 20,
	    .n_vcpus = 1,
	    .clock = CLOCK_VIRTUAL};
	enum err e = ERR_NOMEM;
	unsigned at = 0;
	(void)state;
	write_model("return function(g) g:start('boot') g:out(0xf4, 0) end");
	while (e != ERR_OK) {
		struct vm *vm = NULL;
		fake_host_reset();
		fake_host.limit = 1u << 30;
		fake_host.fail_at = ++at;
		e = vm_create(&cfg, &vm, &why);
		if (e == ERR_OK)
			vm_destroy(vm);
		assert_int_equal(fake_host.live, 0);
		assert_int_equal(fake_host.bad_frees, 0);
		assert_true(at < 1000);
	}
	unlink(path);
	assert_true(at > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_primitive_exits_by_the_controls),
	    cmocka_unit_test(exits_carry_their_operands_and_models_get_the_results),
	    cmocka_unit_test(a_fault_is_an_answer),
	    cmocka_unit_test(deprivileged_each_privileged_instruction_is_exit_0_and_done_by_the_vmm),
	    cmocka_unit_test(each_primitive_is_one_instruction_and_compute_is_n),
	    cmocka_unit_test(compute_is_divided_exactly_where_a_timer_is_due),
	    cmocka_unit_test(an_interrupt_runs_its_handler_and_the_model_goes_on),
	    cmocka_unit_test(an_interrupt_waits_for_sti_and_one_instruction_more),
	    cmocka_unit_test(hlt_without_a_timer_ends_the_guest),
	    cmocka_unit_test(a_wrong_model_ends_with_one_line_that_names_the_place),
	    cmocka_unit_test(an_interrupt_that_nobody_handles_is_the_models_error),
	    cmocka_unit_test(a_file_that_is_no_model_is_refused_before_the_run),
	    cmocka_unit_test(two_runs_with_one_seed_are_identical_and_another_seed_is_another_run),
	    cmocka_unit_test(single_step_is_one_guest_instruction),
	    cmocka_unit_test(a_stop_request_ends_even_a_model_that_only_thinks),
	    cmocka_unit_test(both_types_run_the_same_model_to_the_same_exits),
	    cmocka_unit_test(a_missing_model_says_what_to_do),
	    cmocka_unit_test(no_failing_allocation_leaks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
