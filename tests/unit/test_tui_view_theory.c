/* The book: every page fits, its table is that of the core, its demonstrations exist, and the view finds its way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/sensitive.h"
#include "tui/app.h"
#include "tui/book.h"
#include "tui/views.h"

const struct view_ops *const views[] = {&view_theory_ops, NULL};

static struct view_model *model;
static struct app *app;
static struct screen screen;

static void open_app(int w, int h, bool ascii)
{
	const struct view_config small = {.log_exits = 16};
	const struct view_info info = {.source = VIEW_TRACE, .clock = CLOCK_VIRTUAL};
	struct errmsg why;

	assert_int_equal(view_model_new(&small, &model, &why), ERR_OK);
	view_model_attach(model, NULL, &info);
	struct app_config cfg = {.model = model, .ascii = ascii};
	assert_int_equal(app_open(&cfg, &app, &why), ERR_OK);
	assert_true(screen_init(&screen, w, h, ascii));
	app_draw(app, &screen);
}

static void close_app(void)
{
	app_close(app);
	screen_fini(&screen);
	view_model_free(model);
}

static void run(const char *line)
{
	struct errmsg why = {""};
	if (app_command(app, line, &why))
		fail_msg("%s: %s", line, why.text);
	app_draw(app, &screen);
}

static bool shows(const char *text)
{
	char *dump = screen_dump(&screen, false);
	bool found = strstr(dump, text) != NULL;
	free(dump);
	return found;
}

static char *file_text(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t n = 0;
	if (!f || getdelim(&text, &n, 0, f) < 0)
		fail_msg("%s: cannot be read; tests run in the top folder", path);
	fclose(f);
	return text;
}

static void every_page_fits_80_columns_and_is_ascii(void **state)
{
	struct book_facts facts = {.run = "hello, emulate/II, vtx-ept"};
	unsigned n;
	const struct book_page *p = book_pages(&n);

	(void)state;
	assert_true(n > 15);
	for (unsigned i = 0; i < n; i++) {
		struct book_lines l = {0};
		book_layout(&p[i], &facts, 80, &l);
		assert_false(l.failed);
		assert_true(l.n > 10 && strlen(p[i].title) < 60);
		for (unsigned k = 0; k < l.n; k++) {
			if (strlen(l.line[k].text) > 80 || l.line[k].style == STYLE_ERROR)
				fail_msg("page %s: \"%s\"", p[i].name, l.line[k].text);
			for (const char *c = l.line[k].text; *c; c++)
				assert_true(*c >= ' ' && *c <= '~');
		}
		book_lines_free(&l);
		assert_int_equal(book_find(p[i].name), (int)i);
	}
}

static void sources_are_in_the_list_of_references(void **state)
{
	char *references = file_text("docs/REFERENCES.md"), entry[300];
	unsigned n;
	const struct book_page *p = book_pages(&n);

	(void)state;
	for (unsigned i = 0; i < n; i++) {
		assert_true(p[i].sources[0] != 0);
		for (const char *s = strstr(p[i].sources, "SDM "); s; s = strstr(s + 1, "SDM ")) {
			snprintf(entry, sizeof entry, "- %.*s", (int)strcspn(s + 4, "\n"), s + 4);
			if (!strstr(references, entry))
				fail_msg("page %s: not in docs/REFERENCES.md: %s", p[i].name, entry);
		}
	}
	free(references);
}

/* The words of a line, with "double quotes" around some. */
static unsigned split(const char *line, char (*words)[80])
{
	unsigned n = 0;
	while (*line && n < 12) {
		bool quoted = *line == '"';
		line += quoted;
		size_t k = strcspn(line, quoted ? "\"" : " ");
		snprintf(words[n++], 80, "%.*s", (int)k, line);
		line += k + (quoted && line[k]);
		line += strspn(line, " ");
	}
	return n;
}

static void check_append(const char *page, const char *text)
{
	char *readme = file_text("labs/guests/README.md"), words[12][80];
	unsigned n = split(text, words);

	for (unsigned i = 0; i < n; i++) {
		size_t k = strcspn(words[i], "=");
		char name[90];
		if (words[i][k] != '=')
			fail_msg("page %s: %s is no name=number", page, words[i]);
		words[i][k] = 0;
		snprintf(name, sizeof name, "%.80s", words[i]);
		if (!strstr(readme, name))
			fail_msg("page %s: no guest has a parameter %s", page, name);
	}
	free(readme);
}

static void check_open(const char *page, const char *line)
{
	static const char *const guests[] = {
#define GUEST(name, ...) #name,
#include "labs/guests/guests.def"
#undef GUEST
	};
	char words[12][80] = {{0}};
	unsigned n = split(line, words), known = 0;
	struct vm_controls ctl;
	struct errmsg why;

	assert_string_equal(words[0], "open");
	for (unsigned i = 0; i < ARRAY_LEN(guests); i++)
		known += strcmp(guests[i], words[1]) == 0;
	if (!known)
		fail_msg("page %s: no guest %s", page, words[1]);
	for (unsigned i = 2; i + 1 < n; i += 2) {
		if (strcmp(words[i], "--controls") == 0)
			assert_int_equal(controls_set(&ctl, words[i + 1], &why), ERR_OK);
		else if (strcmp(words[i], "--append") == 0)
			check_append(page, words[i + 1]);
		else if (strcmp(words[i], "--mode") != 0 && strcmp(words[i], "--type") != 0 &&
			 strcmp(words[i], "--also") != 0)
			fail_msg("page %s: option %s", page, words[i]);
	}
	assert_int_equal(n % 2, 0);
}

/* "continue", "step exit N", "vmexit REASON" */
static void check_run(const char *page, const char *line)
{
	char words[12][80];
	unsigned n = split(line, words);
	bool ok = strcmp(line, "continue") == 0;

	ok |= n == 3 && strcmp(words[0], "step") == 0 && strcmp(words[1], "exit") == 0 && atoi(words[2]) > 0;
	ok |= n == 2 && strcmp(words[0], "vmexit") == 0 && exit_reason_by_name(words[1]) >= 0;
	if (!ok)
		fail_msg("page %s: %s", page, line);
}

static void every_demonstration_has_a_guest_and_a_view(void **state)
{
	static const char *const names[] = {"scope", "exit", "machine", "modes", "stats", "vms", "theory"};
	unsigned n;
	const struct book_page *p = book_pages(&n);

	(void)state;
	for (unsigned i = 0; i < n; i++) {
		assert_non_null(p[i].show[0].open);
		for (unsigned k = 0; k < BOOK_SHOWS_MAX && p[i].show[k].open; k++) {
			const struct book_show *show = &p[i].show[k];
			unsigned known = 0;
			check_open(p[i].name, show->open);
			assert_int_equal(strncmp(show->view, "view ", 5), 0);
			for (unsigned v = 0; v < ARRAY_LEN(names); v++)
				known += strcmp(names[v], show->view + 5) == 0;
			if (!known)
				fail_msg("page %s: no view %s", p[i].name, show->view);
			assert_true(strlen(show->text) <= 76);
			check_run(p[i].name, show->run);
		}
	}
}

/* The cell of a row's line under profile k: the words after form and class. */
static void check_row(const char *line, const struct sensitive_row *row, size_t n_profiles)
{
	const struct controls_profile *profiles = controls_profiles(&n_profiles);
	static struct vm_controls ctl;
	struct errmsg why;
	char words[12][80];
	unsigned n = split(line + strlen(row->form) + strspn(line + strlen(row->form), " "), words);

	assert_int_equal(n, n_profiles + 1);
	for (size_t k = 0; k < n_profiles; k++) {
		assert_int_equal(controls_set(&ctl, profiles[k].name, &why), ERR_OK);
		const char *word = words[k + 1];
		enum sensitive_traps traps = sensitive_traps(row, &ctl);
		bool leaks = traps == TRAPS_NEVER && ctl.ring != RING_HW && sensitive_class(row) == PG_SENSITIVE;
		assert_string_equal(word, traps == TRAPS_ALWAYS	     ? "yes"
					  : traps == TRAPS_SOMETIMES ? "some"
					  : leaks		     ? "LEAK"
								     : "-");
	}
}

static void the_table_says_what_the_core_does(void **state)
{
	struct book_facts facts = {0};
	struct book_lines l = {0};
	unsigned n, found = 0;
	size_t profiles;

	(void)state;
	(void)controls_profiles(&profiles);
	book_layout(&book_pages(&n)[book_find("table")], &facts, 80, &l);
	for (unsigned i = 0; i < SENSITIVE_COUNT; i++) {
		const struct sensitive_row *row = &sensitive_rows()[i];
		for (unsigned k = 0; k < l.n; k++) {
			size_t form = strlen(row->form);
			if (strncmp(l.line[k].text, row->form, form) != 0 || l.line[k].text[form] != ' ' ||
			    l.line[k].text[form + 1] == '[')
				continue;
			check_row(l.line[k].text, row, profiles);
			found++;
			break;
		}
	}
	assert_int_equal(found, SENSITIVE_COUNT);
	book_lines_free(&l);
}

static void the_view_reads_searches_and_comes_back(void **state)
{
	(void)state;
	open_app(80, 24, true);
	assert_true(shows("What a virtual machine monitor is"));
	assert_true(shows("Why x86 could not be virtualized"));
	run("enter");
	assert_true(shows("page 1 of") || shows("lines 1-"));
	assert_true(shows("Show me"));
	run("page table");
	assert_true(shows("deprivileged umip"));
	run("page next");
	assert_true(shows("The unprivileged ones"));
	run("search Goldberg: Architectural");
	assert_true(shows("Type I and Type II"));
	assert_true(shows("Architectural Principles"));
	run("index");
	assert_true(shows("> 15  Type I and Type II") || shows(">  15") || shows("> 15"));
	struct errmsg why = {""};
	assert_int_equal(app_command(app, "page nowhere", &why), ERR_NOENT);
	assert_non_null(strstr(why.text, "nowhere"));
	/* A trace has no engine: the demonstration says so instead of doing half of it. */
	run("page vmm");
	assert_int_not_equal(app_command(app, "show me", &why), ERR_OK);
	assert_int_equal(app_command(app, "show me 3", &why), ERR_RANGE);
	close_app();
}

static void a_wide_screen_has_index_and_page(void **state)
{
	(void)state;
	open_app(200, 50, false);
	run("page time");
	assert_true(shows("What a virtual machine monitor is") && shows("Virtual time"));
	close_app();
}

static void the_twin_has_the_page_and_the_table(void **state)
{
	struct errmsg why = {""};
	(void)state;
	open_app(80, 24, true);
	run("page paging");
	json_t *j = app_view_json(app, "theory", &why);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(json_object_get(j, "page"), "name")), "paging");
	assert_int_equal(json_array_size(json_object_get(j, "sensitive")), SENSITIVE_COUNT);
	assert_int_equal(json_array_size(json_object_get(json_object_get(j, "page"), "show_me")), 2);
	json_decref(j);
	close_app();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_page_fits_80_columns_and_is_ascii),
	    cmocka_unit_test(sources_are_in_the_list_of_references),
	    cmocka_unit_test(every_demonstration_has_a_guest_and_a_view),
	    cmocka_unit_test(the_table_says_what_the_core_does),
	    cmocka_unit_test(the_view_reads_searches_and_comes_back),
	    cmocka_unit_test(a_wide_screen_has_index_and_page),
	    cmocka_unit_test(the_twin_has_the_page_and_the_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
