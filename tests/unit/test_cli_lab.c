/* labs and cli/lab_source.c: scripts with real guests. The examples of docs/lua.md have a test of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/lab_source.h"

static char *printed;
static struct errmsg why;

static enum err run(const char *text)
{
	char path[] = "/tmp/vmscope-lab-XXXXXX";
	int fd = mkstemp(path);
	size_t n;

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	free(printed);
	why.text[0] = 0;
	FILE *out = open_memstream(&printed, &n);
	assert_non_null(out);
	const struct lab_config cfg = {.maker = &lab_source_maker, .path = path, .out = out, .insns_max = 20000000};
	enum err e = lab_run(&cfg, &why);
	fclose(out);
	unlink(path);
	return e;
}

static void prints(const char *text, const char *want)
{
	if (run(text) != ERR_OK)
		fail_msg("%s", why.text);
	assert_string_equal(printed, want);
}

static void fails(const char *text, const char *words)
{
	assert_int_equal(run(text), ERR_FORMAT);
	if (!strstr(why.text, words))
		fail_msg("\"%s\" is not in: %s", words, why.text);
}

static void a_wrong_vm_is_one_line(void **state)
{
	(void)state;
	fails("vmscope.vm{ guest = 'nobody' }", ":1: vmscope.vm: nobody: no such file");
	fails("vmscope.vm{ guest = 'hello', colour = 1 }", "no field colour: there are guest");
	fails("vmscope.vm{ guest = 'hello', [1] = 1 }", "no field (a number)");
	for (unsigned i = 0; i < 8; i++) /* Lua's own order is drawn for each state */
		fails("local t = { guest = 'hello' } for i = 1, 30 do t['x' .. i] = i end vmscope.vm(t)",
		    "no field x1: ");
	fails("vmscope.vm{ guest = 'hello', mode = 'fly' }", "no such mode");
	fails("vmscope.vm{ guest = 'hello', mem = {} }", "mem: a text or a whole number");
	fails("vmscope.vm{ guest = '--json' }", "no such file");
	fails("vmscope.vm{ image = 1 }", "image");
	fails("vmscope.vm{ guest = 'hello', devices = { {} } }", "devices[1]: make it with vmscope.device");
	fails("vmscope.vm{ guest = 'hello' }.mode = 'x'", "cannot be set (mode)");
	fails("vmscope.vm{ guest = 'hello' }:run{ until_ = 'exit NOTHING' }", "no exit reason is called NOTHING");
	fails("vmscope.vm{ guest = 'hello' }:run{ max_exit = 1 }", "it takes until_, max_exits");
	fails("vmscope.vm{ guest = 'hello' }:run{ max_exits = 0 }", "1 or more");
	fails("vmscope.vm{ guest = 'hello' }:step(-1)", "1 or more");
	fails("vmscope.vm{ guest = 'hello' }:translate(0, 2)", "no such cpu");
	fails("vmscope.vm{ guest = 'hello' }.cpu[1].rzx = 1", "a cpu has no rzx");
	fails("local x = vmscope.vm{ guest = 'hello' }.cpu[1].rzx", "a cpu has no rzx");
	fails("vmscope.vm{ guest = 'hello', mode = 'simulate' }:back()", "a behaviour model");
}

/* What a script changes behind our back, or while it is asked, is looked at again. */
static void nothing_changes_under_our_hands(void **state)
{
	(void)state;
	fails("local vm = vmscope.vm{ guest = 'hello' } vm:run{ until_ = function(_, v) v:close() end }",
	    "this VM is closed");
	fails("local vm = vmscope.vm{ guest = 'hello' } local n = 0 vm:run(setmetatable({}, { __index = function() "
	      "n = n + 1 if n == 1 then vm:close() end end })) print(vm.exits) error('end ' .. n)",
	    "end 0");
	fails("local d = vmscope.device{ ports = { 0x500, 0x501 } } d.ports = 'a text' "
	      "vmscope.vm{ guest = 'hello', devices = { d } }",
	    "ports: a number, or {FIRST, LAST}");
	fails("local d = vmscope.device{ ports = { 0x500, 0x501 } } d.ports = { 0, 1 << 40 } "
	      "vmscope.vm{ guest = 'hello', devices = { d } }",
	    "ports: no address is above 65535");
	fails("local d = vmscope.device{ ports = { 0x500, 0x501 } } d.ports = nil "
	      "vmscope.vm{ guest = 'hello', devices = { d } }",
	    "either ports or mmio");
	fails("vmscope.device(setmetatable({}, { __index = { ports = 0x500 } }))", "either ports or mmio");
	fails("vmscope.device{ ports = { 2, 1 } }", "two whole numbers");
	fails("vmscope.device{ mmio = -1 }", "no address is above");
	fails("vmscope.device{ ports = 5, wirte = print, raed = print }", "no field raed: there are ports");
}

static void an_error_in_a_handler_stops_the_vm_and_is_raised(void **state)
{
	(void)state;
	fails("local vm = vmscope.vm{ guest = 'hello' }\n"
	      "vm:on_exit('IO_INSTRUCTION', function() local x = nil + 1 end)\nvm:run()",
	    ":2: attempt to perform arithmetic");
	prints("local vm = vmscope.vm{ guest = 'hello' } local n = 0 "
	       "vm:on_exit('IO_INSTRUCTION', function() n = n + 1 error('mine', 0) end) "
	       "print(pcall(vm.run, vm)) print(n, vm.ended.kind, vm:run())",
	    "false\tmine\n1\tkilled\tend\n");
	fails(
	    "local vm = vmscope.vm{ guest = 'hello' } vm:on_exit('IO_INSTRUCTION', function() return 'x' end) vm:run()",
	    ":1: this handler of IO_INSTRUCTION gave x");
	fails(
	    "local vm = vmscope.vm{ guest = 'hello' } vm:on_exit('IO_INSTRUCTION', function() return {} end) vm:run()",
	    "gave a table");
	fails(
	    "local vm = vmscope.vm{ guest = 'hello' } vm:on_exit('IO_INSTRUCTION', function() vm:step() end) vm:run()",
	    "the VM runs");
	fails(
	    "local vm = vmscope.vm{ guest = 'hello' } vm:on_exit('IO_INSTRUCTION', function() vm:close() end) vm:run()",
	    "the VM runs");
	fails("local vm = vmscope.vm{ guest = 'hello' } vm:on_exit('IO_INSTRUCTION', function() while true do end end) "
	      "while true do pcall(vm.run, vm) end",
	    "endless loop");
	fails("local vm = vmscope.vm{ guest = 'hello' } local s = {} vm:on_exit('IO_INSTRUCTION', function() "
	      "while true do s[#s + 1] = string.rep('x', 1 << 20) .. #s end end) vm:run()",
	    "memory");
	fails("local vm = vmscope.vm{ guest = 'hello' } local k vm:on_exit('IO_INSTRUCTION', function(e) k = e end) "
	      "vm:run() print(k.port)",
	    "this exit is over");
	fails("local vm = vmscope.vm{ guest = 'hello' } vm:on_exit('IO_INSTRUCTION', function(e) e.port = 1 end) "
	      "vm:run()",
	    "exit.port of IO_INSTRUCTION cannot be set");
}

static void handlers_are_asked_in_order(void **state)
{
	(void)state;
	prints("local vm = vmscope.vm{ guest = 'hello' } local a, b, all = 0, 0, 0\n"
	       "vm:on_exit('IO_INSTRUCTION', function() all = all + 1 end)\n"
	       "local id = vm:on_exit('port 0x3f8-0x3ff', function() a = a + 1 return 'default' end)\n"
	       "vm:on_exit('port 0xf4', function(e, cpu) b = b + 1 end)\n"
	       "vm:run{ max_exits = 50 } local first = a vm:off_exit(id) print(vm:run())\n"
	       "print(first == a, a > 10, b, all)\n"
	       "print(pcall(vm.off_exit, vm, id))",
	    "end\ntrue\ttrue\t1\t104\n"
	    "false\tvm:off_exit: no handler has the number 2: vm:on_exit gives it\n");
}

static void verdicts_do_what_they_say(void **state)
{
	/* mov $13 handler: AL 5 to f4 says that #GP came; CPUID that is reflected. */
	static const char guest[] = "local code = vmscope.asm[[\n"
				    "movw $isr, 4*13\n movw $0, 4*13+2\n xorl %eax, %eax\n cpuid\n movb $1, %al\n"
				    "outb %al, $0xf4\n isr: movb $5, %al\n outb %al, $0xf4\n]]\n"
				    "local vm = vmscope.vm{ image = code }\n";
	char text[1000];

	(void)state;
	if (system("as --version >/dev/null 2>&1") != 0)
		skip();
	snprintf(text, sizeof text,
	    "%svm:on_exit('CPUID', function() return 'reflect #GP 0' end) vm:run() "
	    "print(vm.ended.code, vm.trace[1].verdict)",
	    guest);
	prints(text, "5\treflect\n");
	snprintf(text, sizeof text,
	    "%svm:on_exit('CPUID', function(e, cpu) cpu.rip = cpu.rip + e.insn_len return 'again' "
	    "end) vm:run() print(vm.ended.code, vm.trace[1].verdict)",
	    guest);
	prints(text, "1\tagain\n");
	snprintf(text, sizeof text,
	    "%svm:on_exit('CPUID', function() return 'halt' end) print(vm:run(), vm.ended.kind)", guest);
	prints(text, "end\thalt\n");
	snprintf(text, sizeof text,
	    "%svm:on_exit('CPUID', function() return 'kill' end) print(vm:run(), vm.ended.kind)", guest);
	prints(text, "end\tkilled\n");
	snprintf(text, sizeof text,
	    "%svm:on_exit('CPUID', function(e) local v = e:default() e.eax = 9 return v end) "
	    "print(vm:run{ until_ = 'exit CPUID' }, vm.cpu[1].eax, vm.cpu[1].ebx ~= 0)",
	    guest);
	prints(text, "done\t9\ttrue\n");
}

static void a_device_that_fails_stops_the_vm(void **state)
{
	(void)state;
	fails("local d = vmscope.device{ ports = { 0x3f8, 0x3ff }, read = function() return 'x' end }\n"
	      "vmscope.vm{ guest = 'hello', devices = { d } }:run()",
	    ":1: the read function of a device gives a whole number");
	fails("local d = vmscope.device{ ports = 0x3f8, write = function(_, _, _, vm) vm.cpu[1].rax = 1 end }\n"
	      "vmscope.vm{ guest = 'hello', devices = { d } }:run()",
	    ":1: a device does not set registers");
	fails("vmscope.device{ ports = { 5, 4 } }", "{FIRST, LAST}");
	fails("vmscope.device{ ports = 70000 }", "no address is above 65535");
	fails("vmscope.device{ ports = 5, mmio = 5 }", "either ports or mmio");
	fails("vmscope.device{ ports = 5, read = 1 }", "read: a function is needed");
	fails("vmscope.vm{ guest = 'hello', devices = { vmscope.device{ mmio = 0x100000 } } }", "is memory");
	fails("local d = vmscope.device{ ports = 5 } vmscope.vm{ guest = 'hello', devices = { d, d } }", "is taken");
	prints("local d = vmscope.device{ ports = 0xf4, write = function() error('no', 0) end }\n"
	       "local vm = vmscope.vm{ guest = 'hello', devices = { d } } print(pcall(vm.run, vm))",
	    "false\tno\n");
}

static void device_memory_and_ranges_of_addresses(void **state)
{
	(void)state;
	if (system("as --version >/dev/null 2>&1") != 0)
		skip();
	prints("local code = vmscope.asm[[\nmovw $0xa000, %ax\n movw %ax, %ds\n movw 4, %bx\n movw $0x1234, 6\n"
	       "movb $0, %al\n outb %al, $0xf4\n]]\n"
	       "local log, n = {}, 0\n"
	       "local d = vmscope.device{ mmio = { 0xa0000, 0xa00ff },\n"
	       "  read = function(o, s) log[#log + 1] = 'r' .. o .. ':' .. s return 0x5678 end,\n"
	       "  write = function(o, s, v, vm) log[#log + 1] = 'w' .. o .. ':' .. s .. ':' .. v .. ':' .. "
	       "vm.cpu[1].ds.sel end }\n"
	       "local vm = vmscope.vm{ image = code, devices = { d } }\n"
	       "vm:on_exit('gpa 0xa0000-0xa0fff', function() n = n + 1 end)\n"
	       "print(vm:run(), table.concat(log, ' '), vm.cpu[1].bx, n)",
	    "end\tr4:2 w6:2:4660:40960\t22136\t2\n");
}

/* A way back leads through the same exits: a handler that answers alike gives the same run. */
static void the_past_is_the_same(void **state)
{
	(void)state;
	prints("local vm = vmscope.vm{ guest = 'hello' } local replayed = 0\n"
	       "vm:on_exit('port 0x3f8', function(e) if e.replayed then replayed = replayed + 1 end\n"
	       "  if e.write then e.value = e.value | 0x20 end end)\n"
	       "vm:run() local text, exits = vm.console, vm.exits\n"
	       "vm:goto_exit(50) print(#vm.console < #text, vm.exits, replayed > 0)\n"
	       "vm:run() print(vm.console == text, vm.exits == exits, #vm.trace == exits)\n"
	       "vm:goto_exit(50) vm.cpu[1].rax = 0 vm:run{ max_exits = 10 } print(vm.exits, #vm.trace)",
	    "true\t51\ttrue\ntrue\ttrue\ttrue\n61\t61\n");
	/* Nobody had asked for anything before the guest went back. */
	prints("local vm = vmscope.vm{ guest = 'hello' } vm:run{ max_exits = 10 } vm:back_exit(3) vm.mem[0x9000] = 1\n"
	       "vm:run() print(vm.exits, #vm.trace, vm.stats.total)",
	    "108\t108\t108\n");
}

static void vms_are_independent_and_go_away(void **state)
{
	(void)state;
	prints("for i = 1, 70 do local vm = vmscope.vm{ guest = 'hello', mem = '2M' } vm:run{ max_exits = i } end "
	       "print('ok')",
	    "ok\n");
	fails("local all = {} for i = 1, 40 do all[i] = vmscope.vm{ guest = 'hello', mem = '2M' } end",
	    "32 are open: end some with vm:close()");
	prints(
	    "local a, b = vmscope.vm{ guest = 'hello' }, vmscope.vm{ guest = 'primes' }\n"
	    "local co = coroutine.wrap(function() repeat a:run{ max_exits = 10 } coroutine.yield() until a.ended end)\n"
	    "a:on_exit('port 0xf4', function() b:run() end)\n"
	    "co() b:run{ max_exits = 5 } co() print(a.exits, b.exits)\n"
	    "a:run() print(a.ended.kind, b.ended.kind, a.console ~= b.console)",
	    "20\t5\ndebug_exit\tdebug_exit\ttrue\n");
	fails(
	    "local vm = vmscope.vm{ guest = 'hello' } vm:on_exit('IO_INSTRUCTION', function() coroutine.yield() end)\n"
	    "coroutine.wrap(function() vm:run() end)()",
	    "yield");
	prints(
	    "local vm = vmscope.vm{ guest = 'hello', cpus = 2 } print(#vm.cpu, vm:run(), vm.cpu[2].id)", "2\tend\t2\n");
}

int main(int argc, char **argv)
{
	char path[4096];

	(void)argc;
	snprintf(path, sizeof path, "%.*s/../../guests",
	    (int)(strrchr(argv[0], '/') ? strrchr(argv[0], '/') - argv[0] : 0), argv[0]);
	setenv("VMSCOPE_GUESTS", path, 1);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_wrong_vm_is_one_line),
	    cmocka_unit_test(nothing_changes_under_our_hands),
	    cmocka_unit_test(an_error_in_a_handler_stops_the_vm_and_is_raised),
	    cmocka_unit_test(handlers_are_asked_in_order),
	    cmocka_unit_test(verdicts_do_what_they_say),
	    cmocka_unit_test(a_device_that_fails_stops_the_vm),
	    cmocka_unit_test(device_memory_and_ranges_of_addresses),
	    cmocka_unit_test(the_past_is_the_same),
	    cmocka_unit_test(vms_are_independent_and_go_away),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(printed);
	return failed;
}
