/* The machine view on real guests in emulate: what is on its screens, what its commands do, and wild guests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/tui_source.h"
#include "tui/app.h"
#include "tui/machine.h"

extern const struct view_ops view_machine_ops;
const struct view_ops *const views[] = {&view_machine_ops, NULL};

static struct tui_source *source;
static struct engine *engine;
static struct view_model *trace;
static struct app *app;
static struct screen screen;
static struct errmsg why;
static char *text; /* of the screen */
static unsigned cpus = 1;
static enum vmm_mode mode = MODE_EMULATE;

static void begin(const char *guest, int w, int h)
{
	struct app_config cfg = {0};
	struct run_options o;
	struct engine_source src;

	options_init(&o);
	o.guest = guest;
	o.mem = 16u << 20;
	o.cpus = cpus;
	o.mode = mode;
	if (tui_source_new(&o, &source, &why) != ERR_OK)
		fail_msg("%s", why.text);
	tui_source_fill(source, &src);
	if (engine_open(&src, false, &engine, &why) != ERR_OK)
		fail_msg("%s", why.text);
	cfg.engine = engine;
	cfg.symbols = tui_source_symbols(source, 0);
	assert_int_equal(app_open(&cfg, &app, &why), ERR_OK);
	assert_true(screen_init(&screen, w, h, true));
}

static int end(void **state)
{
	(void)state;
	if (app)
		app_close(app);
	if (engine)
		engine_close(engine);
	tui_source_free(source);
	if (trace)
		view_model_free(trace);
	screen_fini(&screen);
	free(text);
	app = NULL, engine = NULL, source = NULL, trace = NULL, text = NULL;
	memset(&screen, 0, sizeof screen);
	return 0;
}

static void draw(void)
{
	app_draw(app, &screen);
	free(text);
	text = screen_dump(&screen, false);
	assert_non_null(text);
	if (getenv("VMSCOPE_SHOW"))
		printf("%s\n%.*s\n", text, screen.w,
		    "--------------------------------------------------------------------"
		    "----------------------------------------------");
}

static void run(const char *line)
{
	if (app_command(app, line, &why) != ERR_OK)
		fail_msg("%s: %s", line, why.text);
	draw();
}

static void shows(const char *what)
{
	if (!strstr(text, what))
		fail_msg("not on the screen: %s\n%s", what, text);
}

static void shows_not(const char *what)
{
	if (strstr(text, what))
		fail_msg("on the screen: %s\n%s", what, text);
}

static void key(const char *name)
{
	app_key(app, &(struct key_event){.key = key_by_name(name)});
	draw();
}

/* --- The first page ---------------------------------------------------------------------------------------------- */

static void the_first_page_has_code_registers_and_stack(void **state)
{
	(void)state;
	begin("hello", 80, 24);
	draw();
	shows("Code: _start");
	shows("start64.S:");
	shows("_start:");
	shows("EIP");
	shows("32-bit CPL 0 no paging");
	run("break guest_main");
	run("continue");
	shows("64-bit CPL 0 4-level paging");
	shows("guest_main:");
	shows("Code: guest_main  hello.c:");
	shows("RAX");
	shows("RIP");
	shows("Stack");
	shows("rt_main+"); /* the return address on the stack, by name */
}

static void what_a_step_changed_is_marked(void **state)
{
	char *styles;

	(void)state;
	begin("hello", 80, 24);
	draw();
	run("step 2");
	run("step");
	shows("ESP*0018a000");
	shows("EIP*");
	shows_not("EAX*");
	styles = screen_dump(&screen, true);
	assert_non_null(strstr(styles, "changed"));
	free(styles);
}

static void a_breakpoint_is_set_at_the_cursor_and_marked(void **state)
{
	(void)state;
	begin("hello", 80, 24);
	draw();
	key("Down");
	key("Down");
	key("x");
	draw();
	assert_true(engine_hold(engine));
	const struct breakpoint *b = control_break_at(engine_control(engine), 0);
	assert_non_null(b);
	assert_int_equal(b->kind, BREAK_INSN);
	engine_release(engine);
	run("continue");
	shows("breakpoint 1");
	key("x");
	assert_true(engine_hold(engine));
	assert_null(control_break_at(engine_control(engine), 0));
	engine_release(engine);
}

static void the_cursor_follows_branches_and_comes_back_to_rip(void **state)
{
	(void)state;
	begin("hello", 80, 24);
	draw();
	run("code put_char");
	shows("put_char:");
	shows("Code: (r: to RIP) put_char");
	run("follow rip");
	shows("_start:");
	run("code rt_main");
	for (unsigned i = 0; i < 40; i++) {
		json_t *j = app_view_json(app, "machine", &why);

		assert_non_null(j);
		json_decref(j);
	}
	run("step");
	shows_not("rt_main:"); /* a step goes back to RIP */
	run("panel devices");
	run("step 20"); /* also while it is not shown */
	run("panel run");
	shows_not("(r: to RIP)");
	run("follow rip off");
	run("code rt_main");
	run("step");
	shows("rt_main:");
}

static void enter_goes_where_the_line_points(void **state)
{
	(void)state;
	begin("timer", 80, 24);
	draw();
	run("code put_char+b"); /* jz put_char+0x8 */
	shows("in al, dx (target)");
	key("Enter");
	shows("Code: (r: to RIP) put_char+0x8");
	run("break guest_main");
	run("continue");
	run("panel stack");
	key("Enter"); /* the return address */
	shows("Code: (r: to RIP) rt_main+");
	run("panel tables");
	run("search GDT 0008");
	key("Enter");
	shows("this line has no address to follow");
	run("panel control");
	run("search CR3");
	key("Enter");
	shows("Memory: guest-physical");
	run("panel bytes");
	key("Enter");
	shows("> Page walk");
}

/* --- Pages ------------------------------------------------------------------------------------------------------- */

static void pages_are_turned_and_panels_are_found_by_name(void **state)
{
	static const struct {
		const char *panel, *shown;
	} cases[] = {{"bytes", "Bytes: at RIP"}, {"walk", "PML4E["}, {"tlb", "flushes since the start"},
	    {"segments", "GDTR"}, {"tables", "GDT 0008"}, {"control", "PE ET PG"}, {"msrs", "APIC_BASE"},
	    {"fpu", "MXCSR"}, {"devices", "PIC 8259"}, {"registers", "RAX"}};

	(void)state;
	begin("hello", 80, 24);
	run("break guest_main");
	run("continue");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char line[40];

		snprintf(line, sizeof line, "panel %s", cases[i].panel);
		run(line);
		shows(cases[i].shown);
		shows("> "); /* the focus */
	}
	run("panel code");
	for (unsigned i = 0; i < machine_pages(80, 20); i++)
		run("panel next");
	shows("[run]");
	run("panel prev");
	shows("[devices]");
	assert_int_equal(app_command(app, "panel nonsense", &why), ERR_INVAL);
	assert_non_null(strstr(why.text, "nonsense"));
}

static void a_large_screen_shows_many_panels_at_once(void **state)
{
	static const char *const titles[] = {
	    "Code", "Stack", "Bytes", "Registers", "Segments", "Read", "Write", "Memory", "Page walk", "Devices"};

	(void)state;
	begin("paging", 200, 50);
	run("break guest_main");
	run("continue");
	for (size_t i = 0; i < ARRAY_LEN(titles); i++)
		shows(titles[i]);
	shows("PML4E[");
	shows("PIC 8259");
	run("panel next");
	shows("Control registers");
	shows("MXCSR");
	run("panel zoom");
	shows_not("MXCSR");
}

static void every_size_is_drawn(void **state)
{
	(void)state;
	begin("timer", 80, 24);
	run("break guest_main");
	run("continue");
	for (int w = 80; w <= 240; w += 13)
		for (int h = 24; h <= 70; h += 7) {
			assert_true(screen_resize(&screen, w, h));
			for (unsigned i = 0; i < machine_pages(w, h - 4); i++)
				run("panel next");
		}
}

/* --- Memory ------------------------------------------------------------------------------------------------------ */

static void memory_is_shown_by_address_register_and_symbol(void **state)
{
	(void)state;
	begin("hello", 80, 24);
	draw();
	run("memory 100000");
	shows("00100000");
	shows("02 b0 ad 1b"); /* the multiboot header */
	run("memory guest_main+4");
	shows("Memory: guest_main+0x4");
	run("memory phys 100000");
	shows("guest-physical");
	assert_int_equal(app_command(app, "memory no_such_thing", &why), ERR_NOENT);
	assert_non_null(strstr(why.text, "no_such_thing"));
	assert_int_equal(app_command(app, "memory rsp+zz", &why), ERR_INVAL);
	run("memory phys e0000000000");
	shows("no memory at guest-physical");
}

static void code_page_437_is_whole(void **state)
{
	(void)state;
	assert_int_equal(machine_cp437('A'), 'A');
	assert_int_equal(machine_cp437(0x01), 0x263a);
	assert_int_equal(machine_cp437(0xe1), 0xdf);
	assert_int_equal(machine_cp437(0xdb), 0x2588);
	for (unsigned i = 0; i < 256; i++)
		for (unsigned k = 0; k < i; k++)
			if (i != 0xfa && k != 0) /* NUL is shown as the dot that FA is */
				assert_int_not_equal(machine_cp437((uint8_t)i), machine_cp437((uint8_t)k));
}

static void last_reads_and_writes_are_known_after_a_step(void **state)
{
	(void)state;
	begin("hello", 80, 24);
	run("break start64");
	run("continue");
	run("panel read");
	for (unsigned i = 0; i < 400 && !strstr(text, "Write: last instruction, 8 bytes"); i++)
		run("step");
	shows("Write: last instruction, 8 bytes");
	run("step 50");
	shows_not("Write: last instruction, 8 bytes");
}

/* --- Walks ------------------------------------------------------------------------------------------------------- */

static void a_walk_goes_from_the_address_to_the_host(void **state)
{
	(void)state;
	begin("hello", 80, 24);
	run("break guest_main");
	run("continue");
	run("walk guest_main");
	shows("PML4E[0]");
	shows("PDE[0]");
	shows(" PS at ");
	shows("guest-physical");
	shows("RAM: ");
	run("walk 7fff00000000 write user");
	shows("#PF");
	shows("<== refuses");
	shows("write by the user");
	run("walk 8000000000000000");
	shows("not canonical");
	assert_int_equal(app_command(app, "walk 1000 backwards", &why), ERR_INVAL);
	run("walk");
	shows("fetch by the supervisor (RIP)");
}

/* --- JSON, traces, wild guests ------------------------------------------------------------------------------------ */

static void the_json_twin_has_every_panel(void **state)
{
	json_t *j, *panels, *code;

	(void)state;
	begin("hello", 80, 24);
	run("break guest_main");
	run("continue");
	j = app_view_json(app, "machine", &why);
	assert_non_null(j);
	panels = json_object_get(j, "panels");
	assert_int_equal(json_object_size(panels), PANEL_COUNT);
	for (unsigned i = 0; i < PANEL_COUNT; i++)
		assert_true(json_array_size(json_object_get(panels, machine_panels[i].name)) ||
			    json_object_size(json_object_get(panels, machine_panels[i].name)));
	code = json_object_get(panels, "code");
	bool found = false;
	for (size_t i = 0; i < json_array_size(code); i++) {
		json_t *line = json_array_get(code, i);

		if (!json_is_true(json_object_get(line, "rip")))
			continue;
		found = true;
		assert_string_equal(json_string_value(json_object_get(line, "symbol")), "guest_main");
		assert_non_null(strstr(json_string_value(json_object_get(line, "source")), "hello.c:"));
	}
	assert_true(found);
	json_decref(j);
}

static void a_trace_has_no_machine_and_says_so(void **state)
{
	struct app_config cfg = {0};

	(void)state;
	assert_int_equal(view_model_new(NULL, &trace, &why), ERR_OK);
	view_model_attach(trace, NULL, &(struct view_info){.source = VIEW_TRACE, .n_vcpus = 1});
	cfg.model = trace;
	assert_int_equal(app_open(&cfg, &app, &why), ERR_OK);
	assert_true(screen_init(&screen, 80, 24, true));
	draw();
	shows("holds no registers and no memory");
	assert_int_equal(app_command(app, "memory 1000", &why), ERR_UNSUPPORTED);
	json_t *j = app_view_json(app, "machine", &why);
	assert_non_null(json_object_get(j, "why"));
	json_decref(j);
}

static void a_cpu_that_was_not_started_says_so(void **state)
{
	(void)state;
	cpus = 2;
	begin("timer", 80, 24);
	cpus = 1;
	run("cpu 1");
	shows("waits for the start-up message");
	shows("real mode");
	run("cpu 0");
	shows("_start:");
}

/* A model has no registers. */
static void a_behaviour_model_says_what_is_missing(void **state)
{
	(void)state;
	mode = MODE_SIMULATE;
	begin("hello", 80, 24);
	mode = MODE_EMULATE;
	draw();
	shows("a behaviour model has no registers");
	assert_int_equal(app_command(app, "walk 1000", &why), ERR_UNSUPPORTED);
	run("panel devices");
	key("Enter");
}

/* Every register that points somewhere points nowhere; tables have no end. */
static void wild_pointers_and_limits_cost_no_more_than_a_screen(void **state)
{
	static const uint64_t wild[] = {
	    UINT64_MAX, UINT64_MAX - 7, 1ull << 63, 0x7fffffffffff, 0xffff800000000000, 0, 0xfffff};
	struct x86_state s;

	(void)state;
	begin("hello", 200, 50);
	run("break guest_main");
	run("continue");
	for (size_t i = 0; i < ARRAY_LEN(wild); i++) {
		assert_true(engine_hold(engine));
		s = *view_cpu_state(engine_model(engine), 0, &why);
		s.rip = s.gpr[X86_RSP] = s.gpr[X86_RBX] = wild[i];
		s.gdtr.base = s.idtr.base = wild[i];
		s.gdtr.limit = s.idtr.limit = UINT32_MAX;
		s.ldtr = (struct x86_seg){.base = wild[i], .limit = UINT32_MAX, .attr = 0x82, .sel = 8};
		if (i & 1)
			s.cr3 = wild[i];
		assert_int_equal(control_set_state(engine_control(engine), 0, &s), ERR_OK);
		engine_release(engine);
		run("walk rsp");
		run("memory rsp-8");
		run("panel next");
		run("panel next");
		key("Up");
		key("PgUp");
		key("Home");
		key("End");
		json_decref(app_view_json(app, "machine", &why));
	}
}

static void random_keys_clicks_and_sizes_are_survived(void **state)
{
	static const char *const keys[] = {"Up", "Down", "PgUp", "PgDn", "Home", "End", "Left", "Right", ".", ",", "z",
	    "x", "r", "Enter", "s", "e", "u"};
	uint64_t r = 88172645463325252ull;
	unsigned long rounds = getenv("VMSCOPE_ROUNDS") ? strtoul(getenv("VMSCOPE_ROUNDS"), NULL, 0) : 600;

	(void)state;
	begin("modes", 80, 24);
	draw();
	for (unsigned long i = 0; i < rounds; i++) {
		r ^= r << 13, r ^= r >> 7, r ^= r << 17;
		if (r % 7 == 0)
			assert_true(screen_resize(&screen, 80 + (int)(r >> 20 & 127), 24 + (int)(r >> 40 & 31)));
		if (r % 5 == 0)
			app_key(app, &(struct key_event){.key = KEY_N_MOUSE,
					 .x = (int)(r >> 8 & 127),
					 .y = (int)(r >> 16 & 31),
					 .mouse = r >> 24 & 1 ? MOUSE_CLICK : MOUSE_WHEEL_DOWN});
		key(keys[(r >> 32) % ARRAY_LEN(keys)]);
	}
	run("panel code");
	run("follow rip");
	shows("Code");
}

/* Guests are built beside the tests. */
static void find_guests(void)
{
	char exe[2048], path[2100];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);

	exe[len > 0 ? len : 0] = 0;
	if (strrchr(exe, '/'))
		*strrchr(exe, '/') = 0;
	snprintf(path, sizeof path, "%s/../../guests", exe);
	setenv("VMSCOPE_GUESTS", path, 1);
}

int main(void)
{
	find_guests();
#define T(name) cmocka_unit_test_teardown(name, end)
	const struct CMUnitTest tests[] = {
	    T(the_first_page_has_code_registers_and_stack),
	    T(what_a_step_changed_is_marked),
	    T(a_breakpoint_is_set_at_the_cursor_and_marked),
	    T(the_cursor_follows_branches_and_comes_back_to_rip),
	    T(enter_goes_where_the_line_points),
	    T(pages_are_turned_and_panels_are_found_by_name),
	    T(a_large_screen_shows_many_panels_at_once),
	    T(every_size_is_drawn),
	    T(memory_is_shown_by_address_register_and_symbol),
	    T(code_page_437_is_whole),
	    T(last_reads_and_writes_are_known_after_a_step),
	    T(a_walk_goes_from_the_address_to_the_host),
	    T(the_json_twin_has_every_panel),
	    T(a_trace_has_no_machine_and_says_so),
	    T(a_cpu_that_was_not_started_says_so),
	    T(a_behaviour_model_says_what_is_missing),
	    T(wild_pointers_and_limits_cost_no_more_than_a_screen),
	    T(random_keys_clicks_and_sizes_are_survived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
