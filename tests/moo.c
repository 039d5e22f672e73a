/* See moo.h. */
#include "tests/moo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/x86/access.h"

struct chunk {
	const uint8_t *p, *end;
};

struct moo {
	uint8_t *data;
	struct chunk rest;
};

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)x86_get(p, 4);
}

/* The next chunk of in: its contents in *out. False at the end, or when it does not fit. */
static bool next_chunk(struct chunk *in, char tag[5], struct chunk *out)
{
	uint32_t n;

	if (in->end - in->p < 8)
		return false;
	memcpy(tag, in->p, 4);
	tag[4] = 0;
	n = get32(in->p + 4);
	if (n > (size_t)(in->end - in->p - 8))
		return false;
	out->p = in->p + 8;
	out->end = out->p + n;
	in->p = out->end;
	return true;
}

static bool read_regs(struct chunk c, struct moo_state *s)
{
	uint32_t mask;

	if (c.end - c.p < 2)
		return false;
	mask = (uint32_t)x86_get(c.p, 2);
	c.p += 2;
	for (unsigned r = 0; r < MOO_REGS; r++) {
		if (!(mask >> r & 1))
			continue;
		if (c.end - c.p < 2)
			return false;
		s->reg[r] = (uint16_t)x86_get(c.p, 2);
		c.p += 2;
	}
	return true;
}

static bool read_ram(struct chunk c, struct moo_state *s)
{
	if (c.end - c.p < 4)
		return false;
	s->cells = get32(c.p);
	if (s->cells > MOO_CELLS || (size_t)(c.end - c.p - 4) < 5ull * s->cells)
		return false;
	for (unsigned k = 0; k < s->cells; k++) {
		s->cell[k].addr = get32(c.p + 4 + 5 * k);
		s->cell[k].value = c.p[8 + 5 * k];
		if (s->cell[k].addr >= MOO_RAM)
			return false;
	}
	return true;
}

static bool read_state(struct chunk c, struct moo_state *s)
{
	struct chunk in;
	bool ok = true;
	char tag[5];

	while (ok && next_chunk(&c, tag, &in)) {
		if (!strcmp(tag, "REGS"))
			ok = read_regs(in, s);
		else if (!strcmp(tag, "RAM "))
			ok = read_ram(in, s);
	}
	return ok;
}

static bool read_bytes(struct chunk c, uint8_t *to, size_t room, unsigned *n)
{
	size_t have = (size_t)(c.end - c.p);

	if (have < 4 || get32(c.p) > have - 4)
		return false;
	*n = get32(c.p);
	if (*n > room)
		*n = (unsigned)room;
	memcpy(to, c.p + 4, *n);
	return true;
}

static bool read_test(struct chunk c, struct moo_test *t)
{
	struct chunk in;
	bool ok = c.end - c.p > 4;
	unsigned n;
	char tag[5];

	t->vector = -1;
	t->before.cells = t->after.cells = t->n_bytes = 0;
	for (c.p += 4; ok && next_chunk(&c, tag, &in);) {
		if (!strcmp(tag, "NAME")) {
			ok = read_bytes(in, (uint8_t *)t->name, sizeof t->name - 1, &n);
			t->name[ok ? n : 0] = 0;
		} else if (!strcmp(tag, "BYTS")) {
			ok = read_bytes(in, t->bytes, sizeof t->bytes, &t->n_bytes);
		} else if (!strcmp(tag, "INIT")) {
			ok = read_state(in, &t->before);
			memcpy(t->after.reg, t->before.reg, sizeof t->after.reg);
		} else if (!strcmp(tag, "FINA")) {
			ok = read_state(in, &t->after);
		} else if (!strcmp(tag, "EXCP") && in.end > in.p) {
			t->vector = in.p[0];
		}
	}
	return ok;
}

/* The whole of a file, unpacked by gzip. NULL: not readable. */
static uint8_t *read_file(const char *path, size_t *n)
{
	size_t room = 1u << 20, got;
	uint8_t *p = malloc(room);
	char cmd[4096];
	FILE *f;

	if (strchr(path, '\'') || (size_t)snprintf(cmd, sizeof cmd, "gzip -dc '%s'", path) >= sizeof cmd)
		return NULL;
	f = popen(cmd, "r");
	for (*n = 0; f && p && (got = fread(p + *n, 1, room - *n, f)) > 0;) {
		*n += got;
		if (*n == room)
			p = realloc(p, room *= 2);
	}
	if (!f || pclose(f) != 0) {
		free(p);
		return NULL;
	}
	return p;
}

struct moo *moo_open(const char *path)
{
	struct moo *m = calloc(1, sizeof *m);
	size_t n = 0;

	if (m)
		m->data = read_file(path, &n);
	if (!m || !m->data) {
		free(m);
		return NULL;
	}
	m->rest = (struct chunk){m->data, m->data + n};
	return m;
}

enum moo_rc moo_next(struct moo *m, struct moo_test *t)
{
	struct chunk c;
	char tag[5];

	while (next_chunk(&m->rest, tag, &c))
		if (!strcmp(tag, "TEST"))
			return read_test(c, t) ? MOO_TEST : MOO_BAD;
	return m->rest.p == m->rest.end ? MOO_END : MOO_BAD;
}

void moo_close(struct moo *m)
{
	if (m)
		free(m->data);
	free(m);
}
