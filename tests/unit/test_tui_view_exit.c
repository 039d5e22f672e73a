/*
 * tui/view_exit.c, exit_panels.c, exit_json.c: a guest of a few instructions really runs under emulate, and its exits
 * are looked at on a screen without a terminal.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/control_fixture.h"
#include "tracer/tracer.h"
#include "tui/app.h"
#include "tui/exit_view.h"
#include "tui/views.h"

/* --- a machine view, as far as Enter needs one ---------------------------------------------------------------------
 */

static char code_at[32];

static enum err machine_code(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)a;
	(void)v;
	(void)why;
	snprintf(code_at, sizeof(code_at), "%s", args);
	return ERR_OK;
}

static void machine_draw(struct app *a, struct view *v, struct screen *s, const struct rect *r)
{
	(void)a;
	(void)v;
	screen_text(s, r->x, r->y, -1, STYLE_NORMAL, "the machine");
}

static const struct command machine_commands[] = {
    {"code", "ADDRESS", "Code.", machine_code, NULL}, {NULL, NULL, NULL, NULL, NULL}};
static const struct view_ops machine_ops = {.name = "machine",
    .title = "Machine",
    .about = "Not this one's business.",
    .commands = machine_commands,
    .draw = machine_draw};
const struct view_ops *const views[] = {&view_exit_ops, &machine_ops, NULL};

/* --- the run -------------------------------------------------------------------------------------------------------
 */

/* 16-bit code at 7c00. Exits: 0 CPUID, 1 OUT, 2 RDMSR, 3 MOV to CR0, 4 a write to the local APIC's neighbour, 5 HLT. */
static const uint8_t code[] = {
    0x66, 0x31, 0xc0,			/* 7c00 xor eax, eax */
    0x0f, 0xa2,				/* 7c03 cpuid */
    0xba, 0xf8, 0x03,			/* 7c05 mov dx, 3f8 */
    0xb0, 0x48,				/* 7c08 mov al, 'H' */
    0xee,				/* 7c0a out dx, al */
    0x66, 0xb9, 0x1b, 0x00, 0x00, 0x00, /* 7c0b mov ecx, 1b */
    0x0f, 0x32,				/* 7c11 rdmsr */
    0x0f, 0x20, 0xc0,			/* 7c13 mov eax, cr0 */
    0x66, 0x83, 0xf0, 0x20,		/* 7c16 xor eax, NE */
    0x0f, 0x22, 0xc0,			/* 7c1a mov cr0, eax */
    0x68, 0x00, 0xb8,			/* 7c1d push b800 */
    0x07,				/* 7c20 pop es */
    0x26, 0xa2, 0x00, 0x00,		/* 7c21 mov es:[0], al */
    0xf4,				/* 7c25 hlt */
};
enum { N_CPUID, N_OUT, N_RDMSR, N_CR0, N_VGA, N_HLT, N_EXITS };

static struct cost_model cost = {.name = "test-cpu",
    .stack = "type2",
    .by_reason = {[EXIT_CPUID] = {.steps = {{"guest to VMM", 300}, {"VMM to guest", 310}}, 2, 610},
	[EXIT_IO_INSTRUCTION] = {
	    .steps = {{"guest to VMM", 300}, {"host driver", 2000}, {"VMM to guest", 310}}, 3, 2610}}};
static struct control_fix fix;
static struct tracer *tracer;
static struct view_model *model;
static struct app *app;
static struct screen screen;

static void open_app(int w, int h, bool ascii)
{
	struct app_config cfg = {.model = model, .ascii = ascii, .no_color = true};
	struct errmsg why = {""};

	if (app_open(&cfg, &app, &why) != ERR_OK)
		fail_msg("%s", why.text);
	assert_true(screen_init(&screen, w, h, ascii));
	code_at[0] = 0;
}

static void run_exits(unsigned n)
{
	assert_int_equal(control_step_exit(fix.c, n), ERR_OK);
	tracer_sync(tracer);
	view_model_position(model, control_where(fix.c)->insns, control_where(fix.c)->exits);
}

/* The guest has taken n exits and stands still. */
static void start(unsigned n, int w, int h)
{
	const struct control_fix_options o = {.code = code, .code_len = sizeof(code)};
	struct errmsg why = {""};

	assert_int_equal(view_model_new(NULL, &model, &why), ERR_OK);
	assert_true(control_fix_open(&fix, "code", &o));
	fix.vm->cfg.cost = &cost;
	const struct tracer_config t = {.sink = view_model_feed, .sink_arg = model};
	if (tracer_open(fix.vm, &t, &tracer, &why) != ERR_OK)
		fail_msg("%s", why.text);
	const struct view_info info = {.source = VIEW_LIVE,
	    .guest = "code",
	    .mode = "emulate",
	    .type = 2,
	    .controls = "vtx-ept",
	    .clock = CLOCK_VIRTUAL,
	    .counts_insns = true,
	    .n_vcpus = 1,
	    .profile = &fix.vm->controls,
	    .cost = &cost};
	view_model_attach(model, fix.s, &info);
	if (n)
		run_exits(n);
	open_app(w, h, true);
}

static void stop(void)
{
	struct errmsg why;

	app_close(app);
	assert_int_equal(tracer_close(tracer, &why), ERR_OK);
	control_fix_close(&fix);
	view_model_free(model);
	screen_fini(&screen);
}

/* --- looking -------------------------------------------------------------------------------------------------------
 */

static char *after(const char *command)
{
	struct errmsg why = {""};

	if (*command && app_command(app, command, &why) != ERR_OK)
		fail_msg("%s: %s", command, why.text);
	app_draw(app, &screen);
	return screen_dump(&screen, false);
}

/* Words with one blank between them: where a line was wrapped does not matter. */
static char *words(const char *text)
{
	char *out = malloc(strlen(text) + 1), *p = out;

	assert_non_null(out);
	for (; *text; text++)
		if ((*text != ' ' && *text != '\n') || (p > out && p[-1] != ' '))
			*p++ = *text == '\n' ? ' ' : *text;
	*p = 0;
	return out;
}

static void shows(const char *command, bool there, const char *const *parts)
{
	char *text = after(command), *flat = words(text);

	if (getenv("SHOW"))
		printf("--- %s\n%s\n", command, text);
	for (; *parts; parts++) {
		char *part = words(*parts);
		if (!strstr(flat, part) == there)
			fail_msg("after \"%s\" there is %s \"%s\" on\n%s", command, there ? "no" : "a", part, text);
		free(part);
	}
	free(flat);
	free(text);
}
#define SHOWS(command, ...) shows(command, true, (const char *const[]){__VA_ARGS__, NULL})
#define HIDES(command, ...) shows(command, false, (const char *const[]){__VA_ARGS__, NULL})

static void press(const char *key)
{
	const struct key_event k = {.key = key_by_name(key)};

	assert_int_not_equal(k.key, KEY_NONE);
	app_key(app, &k);
}

static void before_the_first_exit_it_says_what_to_do(void **state)
{
	(void)state;
	start(0, 80, 24);
	SHOWS("", "No exit yet", "Press e");
	stop();
}

static void small_screens_tell_the_whole_story(void **state)
{
	(void)state;
	start(N_EXITS, 80, 24);
	SHOWS("select 0", "#0 of 6  10 CPUID", "What     The guest asked what processor it has", "0x7c03", "0f a2",
	    "cpuid", "bytes of now", "CPUID always exits", "1 looked up leaf 0 (vendor",
	    "wrote EAX=", "spells the vendor", "moved RIP past the instruction, 0x7c03 + 2 = 0x7c05", "Cost     610ns",
	    "a guest to VMM 300ns", "b VMM to guest 310ns", "modelled (test-cpu, Type II)",
	    "sensitive but unprivileged", "[ the first exit", "after: #1 IO_INSTRUCTION");
	SHOWS("select 1", "30 IO_INSTRUCTION  also called IO", "out dx, al", "bit 24, unconditional I/O exiting, is 1",
	    "[3]=0 direction: OUT", "gave 0x48 'H' to the device at port 0x3f8", "2.61us", "b host driver 2.00us",
	    "before: #0 CPUID", "after: #2 MSR_READ", "more");
	SHOWS("move end", "[31:16]=0x3f8 port number: COM1");
	SHOWS("select 2", "31 MSR_READ  also called RDMSR", "rdmsr", "bit of MSR 0x1b in the bitmap for reads is 1",
	    "answered MSR 0x1b (IA32_APIC_BASE)", "EDX:EAX=0xfee00900");
	SHOWS("select 3", "28 CR_ACCESS", "mov cr0, eax", "a write that changes one of PE NE NW CD PG exits",
	    "[3:0]=0 control register: CR0", "[11:8]=0 general-purpose register: RAX",
	    "set the guest's CR0=", "mov cr0, r: Switches protection and paging");
	SHOWS("select 4", "48 EPT_VIOLATION", "mov es:[0x0], al", "maps nothing at guest-physical 0xb8000 (VGA memory)",
	    "an ordinary memory access", "executed it on the guest's behalf: 1 access",
	    "RIP has moved with the instruction");
	SHOWS("move end", "[1]=1 data write", "[2]=0 instruction fetch");
	SHOWS("select 5", "12 HLT", "primary controls bit 7, HLT exiting, is 1 in vtx-ept", "sleep", "[ before: #4",
	    "] the newest exit", "0x7c25");
	HIDES("select 5", "bytes of now"); /* the guest stands right behind it */
	stop();
}

static void everything_can_be_scrolled_to(void **state)
{
	(void)state;
	start(N_EXITS, 80, 24);
	HIDES("select 1", "Read on");
	SHOWS("move end", "Read on  SDM 3C, Exit Qualification for I/O Instructions", "end ^");
	HIDES("", "What     ");
	SHOWS("move home", "What     ");
	free(after("move down"));
	HIDES("", "What     ");
	SHOWS("select 2", "What     "); /* another exit begins at its beginning */
	stop();
}

static void large_screens_show_bits_fields_and_neighbours(void **state)
{
	(void)state;
	start(N_EXITS, 200, 50);
	SHOWS("select 1", "Exits around it", "#0 CPUID", ">        #1 IO_INSTRUCTION", "#5 HLT", "What happened",
	    "Qualification 0x3f80000, bit by bit", "31:16 0x3f8  port number", "As it was recorded",
	    "guest RIP                0x7c0a", "instruction length       1", "verdict                  next", "Read on",
	    "b host driver", "Documentation/virt/kvm/api.rst");
	SHOWS("select 0", "this reason defines no qualification");
	stop();
}

static void keys_go_from_exit_to_exit(void **state)
{
	(void)state;
	start(N_EXITS, 80, 24);
	SHOWS("", "#5 of 6"); /* follows */
	press("Left");
	SHOWS("", "#4 of 6");
	press("Right");
	SHOWS("", "#5 of 6");
	press("#");
	press("1");
	press("Enter");
	SHOWS("", "#1 of 6");
	press("r");
	SHOWS("", "exit qualification       0x3f80000", "operands, results [0]");
	press("r");
	HIDES("", "operands, results [0]");
	SHOWS("search msr", "#2 of 6");
	free(after("mark"));
	SHOWS("", "marked");
	press("}"); /* no other of this reason */
	SHOWS("", "no exit of this reason after this one");
	press("G"); /* without an engine there is only the log: it is chosen there */
	SHOWS("", "#2 of 6");
	press("Enter");
	SHOWS("", "the machine");
	assert_string_equal(code_at, "0x7c11");
	stop();
}

static void a_click_in_the_list_chooses(void **state)
{
	(void)state;
	start(N_EXITS, 200, 50);
	free(after("select 1"));
	struct key_event k = {.key = KEY_N_MOUSE, .x = 12, .y = 4 + 3, .mouse = MOUSE_CLICK};
	app_key(app, &k);
	SHOWS("", "#3 of 6");
	k.y = 40; /* below the list */
	app_key(app, &k);
	SHOWS("", "#3 of 6");
	stop();
}

static void bytes_are_said_to_be_of_now(void **state)
{
	(void)state;
	start(1, 80, 24);
	HIDES("", "bytes of now");
	SHOWS("", "cpuid");
	run_exits(1);
	SHOWS("select 0", "bytes of now");
	assert_int_equal(control_write_mem(fix.c, 0x7c03, "\x90\x90", 2), ERR_OK);
	SHOWS("", "it was cpuid; now there is: nop");
	stop();
}

static void a_filter_is_kept_to(void **state)
{
	(void)state;
	start(N_EXITS, 80, 24);
	SHOWS("filter exit_reason != 30", "#5 of 6");
	SHOWS("select 0", "after: #2 MSR_READ");
	stop();
}

static const char *string_at(const json_t *j, const char *a, const char *b)
{
	const json_t *v = json_object_get(j, a);

	if (b)
		v = json_object_get(v, b);
	assert_non_null(v);
	return json_string_value(v);
}

static void the_twin_has_every_fact(void **state)
{
	struct errmsg why = {""};
	json_t *j, *bits;

	(void)state;
	start(N_EXITS, 200, 50);
	free(after("select 1"));
	j = app_view_json(app, "exit", &why);
	assert_non_null(j);
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), 1);
	assert_int_equal(json_integer_value(json_object_get(j, "reason")), 30);
	assert_string_equal(string_at(j, "title", NULL), "30 IO_INSTRUCTION");
	assert_string_equal(string_at(j, "instruction", "text"), "out dx, al");
	assert_string_equal(string_at(j, "instruction", "bytes"), "ee");
	assert_string_equal(string_at(j, "instruction", "rip"), "0x7c0a");
	assert_string_equal(string_at(j, "class", "name"), "privileged");
	assert_string_equal(string_at(j, "verdict", NULL), "next");
	bits = json_object_get(j, "qualification_bits");
	assert_int_equal(json_array_size(bits), 6);
	assert_string_equal(string_at(json_array_get(bits, 5), "value", NULL), "0x3f8");
	assert_int_equal(json_array_size(json_object_get(json_object_get(j, "cost"), "parts")), 3);
	assert_int_equal(json_array_size(json_object_get(j, "around")), N_EXITS);
	/* the picture has the same words, wrapped */
	char *text = app_view_text(app, "exit", 240, &why);
	assert_non_null(text);
	assert_non_null(strstr(text, string_at(j, "why", NULL)));
	for (size_t i = 0; i < json_array_size(json_object_get(j, "did")); i++)
		assert_non_null(strstr(text, json_string_value(json_array_get(json_object_get(j, "did"), i))));
	free(text);
	json_decref(j);
	stop();
}

static void a_trace_says_what_it_cannot_know(void **state)
{
	struct view_info info;
	struct errmsg why = {""};
	json_t *j;

	(void)state;
	start(N_EXITS, 80, 24);
	app_close(app);
	screen_fini(&screen);
	/* The log of the run, as if it had been read from a file of another tool: no guest, no controls, no cost. */
	view_model_lock(model);
	info = *view_info(model);
	view_model_unlock(model);
	view_model_free(model);
	assert_int_equal(view_model_new(NULL, &model, &why), ERR_OK);
	info.source = VIEW_TRACE;
	info.profile = NULL;
	info.cost = NULL;
	view_model_attach(model, NULL, &info);
	struct trace_rec r = {.kind = TRACE_REC_EXIT, .reason = EXIT_HLT, .rip = 0x1000, .verdict = VERDICT_COUNT};
	view_model_feed(model, 0, &r, 1);
	view_model_position(model, 10, 1);
	open_app(80, 24, false);
	SHOWS("", "#0 of 1  12 HLT", "HLT exiting", "not known");
	j = app_view_json(app, "exit", &why);
	assert_non_null(j);
	assert_string_equal(string_at(j, "verdict", NULL), "not known");
	json_decref(j);
	stop();
}

static void every_size_is_drawn(void **state)
{
	(void)state;
	start(N_EXITS, 80, 24);
	for (int w = 80; w <= 260; w += 9)
		for (int h = 24; h <= 90; h += 7)
			for (unsigned k = 0; k < N_EXITS; k++) {
				char line[32];
				assert_true(screen_resize(&screen, w, h));
				snprintf(line, sizeof(line), "select %u", k);
				free(after(line));
				free(after("move end"));
				free(after("raw"));
			}
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(before_the_first_exit_it_says_what_to_do),
	    cmocka_unit_test(small_screens_tell_the_whole_story),
	    cmocka_unit_test(everything_can_be_scrolled_to),
	    cmocka_unit_test(large_screens_show_bits_fields_and_neighbours),
	    cmocka_unit_test(keys_go_from_exit_to_exit),
	    cmocka_unit_test(a_click_in_the_list_chooses),
	    cmocka_unit_test(bytes_are_said_to_be_of_now),
	    cmocka_unit_test(a_filter_is_kept_to),
	    cmocka_unit_test(the_twin_has_every_fact),
	    cmocka_unit_test(a_trace_says_what_it_cannot_know),
	    cmocka_unit_test(every_size_is_drawn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
