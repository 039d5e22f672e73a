/*
 * VMs for lab scripts. See lab_source.h; cli/tui_source.c has the work.
 */
#include "cli/lab_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/compare.h"
#include "cli/tui_source.h"

struct made {
	struct tui_source *source;
	struct engine_source engine;
	struct engine_guest guest;
	char **argv; /* owned, with its texts: the options point into it */
	int image;   /* of the script's own guest; -1: none */
};

static void free_made(struct made *m)
{
	tui_source_free(m->source);
	for (int i = 0; m->argv && m->argv[i]; i++)
		free(m->argv[i]);
	free(m->argv);
	if (m->image >= 0)
		close(m->image);
	free(m);
}

static char **copy_words(int argc, char **argv)
{
	char **copy = calloc((size_t)argc + 3, sizeof *copy); /* room for an image, too */

	for (int i = 0; copy && i < argc; i++) {
		copy[i] = strdup(argv[i]);
		if (!copy[i]) {
			while (i--)
				free(copy[i]);
			free(copy);
			return NULL;
		}
	}
	return copy;
}

/* A guest that is no file: a file without a name, so that nothing is left behind. */
static enum err add_image(struct made *m, int *argc, const void *image, size_t n, struct errmsg *why)
{
	char path[64];

	m->image = memfd_create("image", MFD_CLOEXEC);
	if (m->image < 0 || write(m->image, image, n) != (ssize_t)n)
		return err_set(why, ERR_IO, "image: %s", strerror(errno));
	snprintf(path, sizeof path, "/proc/self/fd/%d", m->image);
	m->argv[*argc] = strdup(path);
	return m->argv[(*argc)++] ? ERR_OK : err_set(why, ERR_NOMEM, "image: no memory");
}

static enum err open_guest(struct made *m, int argc, struct view_model *model, struct errmsg *why)
{
	struct view_model *models[ENGINE_VMS_MAX] = {model};
	struct engine_guest guests[ENGINE_VMS_MAX];
	struct run_options o;
	unsigned n = 0;
	enum err e = tui_source_parse("options", argc, m->argv, &o, why);

	if (!e && o.n_also)
		e = err_set(why, ERR_UNSUPPORTED, "one guest a VM");
	if (!e)
		e = tui_source_new(&o, &m->source, why);
	if (e)
		return e;
	tui_source_fill(m->source, &m->engine);
	e = m->engine.open(m->engine.arg, models, guests, &n, why);
	if (!e)
		m->guest = guests[0];
	return e;
}

static enum err make(void *arg, int argc, char **argv, const void *image, size_t n, struct view_model *model,
    struct lab_machine *out, struct errmsg *why)
{
	struct made *m = calloc(1, sizeof *m);
	enum err e = ERR_OK;

	(void)arg;
	if (!m)
		return err_set(why, ERR_NOMEM, "no memory for a VM");
	m->image = -1;
	m->argv = copy_words(argc, argv);
	if (!m->argv)
		e = err_set(why, ERR_NOMEM, "no memory for a VM");
	if (!e && image)
		e = add_image(m, &argc, image, n, why);
	if (!e)
		e = open_guest(m, argc, model, why);
	if (e) {
		free_made(m);
		return e;
	}
	*out = (struct lab_machine){.session = m->guest.session,
	    .tracer = m->guest.tracer,
	    .symbols = tui_source_symbols(m->source, 0),
	    .priv = m};
	return ERR_OK;
}

static void close_machine(void *arg, struct lab_machine *machine)
{
	struct made *m = machine->priv;

	(void)arg;
	m->engine.close(m->engine.arg, &m->guest, 1);
	free_made(m);
}

static void verdicts(void *arg, struct lab_machine *machine, struct view_verdicts *out)
{
	struct made *m = machine->priv;

	(void)arg;
	m->engine.verdicts(m->engine.arg, 0, out);
}

static void silent(void *arg, struct lab_machine *machine, bool on)
{
	struct made *m = machine->priv;

	(void)arg;
	m->engine.silent(m->engine.arg, 0, on);
}

static void describe(const struct comparison *c, size_t i, struct lab_compared *out)
{
	const struct run_result *r = &c->runs[i];

	*out = (struct lab_compared){.reference = i == c->reference, .ran = r->ran};
	snprintf(out->backend, sizeof out->backend, "%s/%s", mode_name(r->mode), type_name(r->type));
	snprintf(out->why, sizeof out->why, "%s", r->ran ? "" : r->why.text);
	if (!r->ran)
		return;
	snprintf(out->end, sizeof out->end, "%s", end_name(r->end.kind));
	out->exits = r->stats ? r->stats->total : 0;
	out->safety = r->safety.verdict;
	out->efficiency = r->efficiency.verdict;
	if (out->reference)
		out->equivalence = (struct pg_verdict){PG_NA, "this is the reference"};
	for (size_t k = 0; k < c->n_rows; k++)
		if (c->rows[k].subject == i)
			out->equivalence = c->rows[k].verdict;
}

static enum err compare(
    void *arg, int argc, char **argv, struct lab_compared out[LAB_COMPARED_MAX], unsigned *n, struct errmsg *why)
{
	struct run_options o;
	struct comparison *c = calloc(1, sizeof *c);
	enum err e = c ? tui_source_parse("options", argc, argv, &o, why) : ERR_NOMEM;

	(void)arg;
	*n = 0;
	if (!e && !compare_runs(&o, c)) {
		const struct run_result *ref = &c->runs[c->reference];
		e = err_set(why, ref->err, "%s", ref->why.text);
	}
	for (size_t i = 0; !e && i < c->n && i < LAB_COMPARED_MAX; i++)
		describe(c, i, &out[(*n)++]);
	if (c)
		compare_free(c);
	free(c);
	return e;
}

const struct lab_maker lab_source_maker = {
    .make = make, .close = close_machine, .verdicts = verdicts, .silent = silent, .compare = compare};
