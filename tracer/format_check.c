/*
 * A parser for tracefs format texts that builds nothing but a list of fields. The print format is C, reduced to
 * expressions over REC->field and a dozen helper functions; it is accepted when
 *  - the grammar fits, and every field that it names exists;
 *  - the conversions of the format string are as many as the arguments;
 *  - nothing is divided by a field, and no index or length can reach beyond FORMAT_REACH.
 */
#include "tracer/format_check.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 40

struct field {
	const char *name;
	uint32_t name_len, size;
	bool array;
};

struct check {
	const char *at, *end;
	struct field fields[FORMAT_FIELDS_MAX];
	unsigned n_fields, depth;
};

static void blanks(struct check *c)
{
	while (c->at < c->end && isspace((unsigned char)*c->at))
		c->at++;
}

/* The next character that is no blank, 0 at the end. */
static char peek(struct check *c)
{
	blanks(c);
	return c->at < c->end ? *c->at : '\0';
}

static bool accept(struct check *c, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
		return false;
	c->at += n;
	return true;
}

static bool accept_op(struct check *c, const char *op)
{
	blanks(c);
	return accept(c, op);
}

static size_t ident(struct check *c, const char **name)
{
	size_t n = 0;

	blanks(c);
	*name = c->at;
	if (c->at < c->end && (isalpha((unsigned char)*c->at) || *c->at == '_'))
		while (c->at + n < c->end && (isalnum((unsigned char)c->at[n]) || c->at[n] == '_'))
			n++;
	c->at += n;
	return n;
}

static bool is_word(const char *name, size_t n, const char *word)
{
	return strlen(word) == n && memcmp(name, word, n) == 0;
}

/* Decimal (or, in print formats, any C) number of at most 64 bits. */
static bool number(struct check *c, uint64_t *v)
{
	char digits[32], *stop;
	size_t n = 0;

	while (c->at + n < c->end && n < sizeof(digits) - 1 && isalnum((unsigned char)c->at[n])) {
		digits[n] = c->at[n];
		n++;
	}
	digits[n] = '\0';
	if (n == 0 || !isdigit((unsigned char)digits[0]))
		return false;
	*v = strtoull(digits, &stop, 0);
	while (*stop == 'U' || *stop == 'L' || *stop == 'u' || *stop == 'l')
		stop++;
	c->at += n;
	return *stop == '\0';
}

/* --- fields ------------------------------------------------------------------------------------------------------ */

/* "unsigned int x", "char comm[16]", "__data_loc char[] name", "const struct foo * p": the last identifier names it. */
static bool declaration(struct check *c, struct field *f)
{
	const char *name;
	unsigned words = 0, brackets = 0;
	size_t n;

	while (peek(c) != ';') {
		if ((n = ident(c, &name)) > 0) {
			f->name = name;
			f->name_len = (uint32_t)n;
			words++;
		} else if (*c->at == '*' && c->at < c->end) {
			c->at++;
		} else if (*c->at == '[' && c->at < c->end && words > 0) {
			c->at++;
			while (c->at < c->end && (isalnum((unsigned char)*c->at) || *c->at == '_'))
				c->at++;
			if (!accept(c, "]") || brackets++ > 0)
				return false;
			f->array = true;
		} else {
			return false;
		}
	}
	return words >= 2;
}

static bool field_line(struct check *c)
{
	struct field f = {0};
	uint64_t offset, size, is_signed;

	if (!accept(c, "\tfield:") || !declaration(c, &f) || !accept(c, ";\toffset:") || !number(c, &offset) ||
	    !accept(c, ";\tsize:") || !number(c, &size))
		return false;
	if (accept(c, ";\tsigned:") && (!number(c, &is_signed) || is_signed > 1))
		return false;
	if (!accept(c, ";\n") || offset > 65535 || size > 65535 || offset + size > 65535 ||
	    c->n_fields == FORMAT_FIELDS_MAX)
		return false;
	f.size = (uint32_t)size;
	c->fields[c->n_fields++] = f;
	return true;
}

static bool head(struct check *c)
{
	const char *name;
	uint64_t id;

	if (!accept(c, "name: ") || ident(c, &name) == 0 || !accept(c, "\nID: ") || !number(c, &id) || id > 65535 ||
	    !accept(c, "\nformat:\n"))
		return false;
	while (c->at < c->end && *c->at == '\t')
		if (!field_line(c))
			return false;
	if (c->n_fields < 4 || !accept(c, "\n"))
		return false;
	while (c->at < c->end && *c->at == '\t')
		if (!field_line(c))
			return false;
	accept(c, "\n");
	return accept(c, "print fmt: ");
}

static const struct field *find(const struct check *c, const char *name, size_t n)
{
	for (unsigned i = 0; i < c->n_fields; i++)
		if (c->fields[i].name_len == n && memcmp(c->fields[i].name, name, n) == 0)
			return &c->fields[i];
	return NULL;
}

/* --- the print format ----------------------------------------------------------------------------------------------
 */

static bool expression(struct check *c);

static bool string(struct check *c)
{
	bool any = false;

	while (peek(c) == '"') {
		for (c->at++; c->at < c->end && *c->at != '"'; c->at++)
			if (*c->at == '\\')
				c->at++;
		if (c->at >= c->end)
			return false;
		c->at++;
		any = true;
	}
	return any;
}

/* REC->name; *f is the field. */
static bool record_field(struct check *c, const struct field **f)
{
	const char *name;
	size_t n;

	if (!accept_op(c, "REC->"))
		return false;
	n = ident(c, &name);
	*f = find(c, name, n);
	return *f != NULL;
}

/* A length for __print_hex() and __print_array(): bounded by what a record can say. */
static bool small_count(struct check *c)
{
	const struct field *f;
	const char *name, *start;
	uint64_t v;
	size_t n;

	blanks(c);
	start = c->at;
	if (number(c, &v))
		return v <= 65535;
	c->at = start;
	if (record_field(c, &f))
		return f->size <= 2 && !f->array;
	c->at = start;
	n = ident(c, &name);
	if (!is_word(name, n, "__get_dynamic_array_len") || !accept_op(c, "(") || (n = ident(c, &name)) == 0 ||
	    !find(c, name, n) || !accept_op(c, ")"))
		return false;
	if (accept_op(c, "/")) {
		blanks(c);
		return number(c, &v) && v > 0;
	}
	return true;
}

/* { value, "name" }, ... */
static bool symbol_rows(struct check *c)
{
	do {
		if (!accept_op(c, "{") || !expression(c) || !accept_op(c, ",") || !string(c) || !accept_op(c, "}"))
			return false;
	} while (accept_op(c, ","));
	return true;
}

static bool field_argument(struct check *c)
{
	const char *name;
	size_t n = ident(c, &name);

	return n > 0 && find(c, name, n);
}

/* What stands in the parentheses of a helper function. */
static bool arguments(struct check *c, const char *name, size_t n)
{
	static const char *const of_field[] = {"__get_str", "__get_rel_str", "__get_bitmask", "__get_rel_bitmask",
	    "__get_cpumask", "__get_rel_cpumask", "__get_dynamic_array", "__get_rel_dynamic_array",
	    "__get_dynamic_array_len", "__get_rel_dynamic_array_len"};

	if (is_word(name, n, "__print_symbolic"))
		return expression(c) && accept_op(c, ",") && symbol_rows(c);
	if (is_word(name, n, "__print_flags"))
		return expression(c) && accept_op(c, ",") && string(c) && accept_op(c, ",") && symbol_rows(c);
	if (is_word(name, n, "__print_hex") || is_word(name, n, "__print_hex_str"))
		return expression(c) && accept_op(c, ",") && small_count(c);
	if (is_word(name, n, "__print_array")) {
		uint64_t v;

		return expression(c) && accept_op(c, ",") && small_count(c) && accept_op(c, ",") &&
		       (blanks(c), number(c, &v)) && v >= 1 && v <= 8;
	}
	for (size_t i = 0; i < ARRAY_LEN(of_field); i++)
		if (is_word(name, n, of_field[i]))
			return field_argument(c);
	return false; /* unknown to the library, too */
}

/* "(unsigned long)": nothing but identifiers and stars, and no closing without one. */
static bool cast(struct check *c)
{
	const char *start = c->at, *name;
	unsigned words = 0;

	if (!accept_op(c, "("))
		return false;
	while (ident(c, &name) > 0)
		words++;
	while (accept_op(c, "*"))
		;
	if (words > 0 && accept_op(c, ")"))
		return true;
	c->at = start;
	return false;
}

static bool primary(struct check *c)
{
	const struct field *f;
	const char *name;
	uint64_t v;
	size_t n;
	char ch = peek(c);

	if (ch == '"')
		return string(c);
	if (isdigit((unsigned char)ch))
		return number(c, &v);
	if (ch == '(') {
		if (cast(c))
			return primary(c);
		c->at++;
		return expression(c) && accept_op(c, ")");
	}
	if (c->end - c->at > 5 && memcmp(c->at, "REC->", 5) == 0) {
		if (!record_field(c, &f))
			return false;
		if (!accept_op(c, "["))
			return true;
		blanks(c);
		return f->array && number(c, &v) && v < 4096 && accept_op(c, "]");
	}
	n = ident(c, &name);
	return n > 0 && accept_op(c, "(") && arguments(c, name, n) && accept_op(c, ")");
}

static bool unary(struct check *c)
{
	unsigned n = 0;

	for (; n < 3; n++) {
		char ch = peek(c);

		if (ch != '!' && ch != '~' && ch != '-')
			break;
		c->at++;
	}
	return primary(c);
}

/* The binary operator that stands here, longest first; NULL: none. */
static const char *binary(struct check *c)
{
	static const char *const ops[] = {
	    "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+", "-", "*", "/", "%", "&", "|", "^", "<", ">"};

	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (accept_op(c, ops[i]))
			return ops[i];
	return NULL;
}

static bool expression(struct check *c)
{
	const char *op;
	bool ok;

	if (++c->depth > DEPTH_MAX)
		return false;
	ok = unary(c);
	while (ok && (op = binary(c))) {
		uint64_t v;

		if (*op == '/' || *op == '%') { /* the library divides by whatever comes */
			blanks(c);
			ok = number(c, &v) && v != 0;
		} else {
			ok = unary(c);
		}
	}
	if (ok && accept_op(c, "?"))
		ok = expression(c) && accept_op(c, ":") && expression(c);
	c->depth--;
	return ok;
}

/* The format string: counts the arguments it takes; false for a conversion that nobody knows. */
static bool conversions(struct check *c, unsigned *n)
{
	if (peek(c) != '"')
		return false;
	for (c->at++; c->at < c->end && *c->at != '"'; c->at++) {
		if (*c->at == '\\')
			c->at++;
		if (c->at >= c->end || *c->at != '%')
			continue;
		c->at++;
		while (c->at < c->end && strchr("-+ #0", *c->at))
			c->at++;
		while (c->at < c->end && (isdigit((unsigned char)*c->at) || *c->at == '.' || *c->at == '*'))
			*n += *c->at++ == '*';
		while (c->at < c->end && strchr("hlLqjzt", *c->at))
			c->at++;
		if (c->at >= c->end || !strchr("diouxXcsp%", *c->at))
			return false;
		*n += *c->at != '%';
	}
	if (c->at >= c->end)
		return false;
	c->at++;
	return true;
}

static bool print_format(struct check *c)
{
	unsigned wanted = 0, given = 0;

	do {
		if (!conversions(c, &wanted))
			return false;
	} while (peek(c) == '"');
	while (accept_op(c, ",")) {
		if (peek(c) == '\0' && given == 0)
			break; /* tracefs ends an empty list with a comma */
		if (!expression(c))
			return false;
		given++;
	}
	return peek(c) == '\0' && wanted == given && given <= 64;
}

enum format_verdict format_check(const char *text, size_t n)
{
	struct check c = {.at = text, .end = text + n};

	for (size_t i = 0; i < n; i++)
		if (!isprint((unsigned char)text[i]) && text[i] != '\n' && text[i] != '\t')
			return FORMAT_BAD;
	if (!head(&c))
		return FORMAT_BAD;
	return print_format(&c) ? FORMAT_GOOD : FORMAT_FIELDS;
}

char *format_plain(const char *text, size_t n)
{
	struct check c = {.at = text, .end = text + n};
	char *out = NULL;
	size_t out_n;
	FILE *f = open_memstream(&out, &out_n);

	if (!f)
		return NULL;
	if (head(&c))
		fwrite(text, 1, (size_t)(c.at - text), f);
	fputc('"', f);
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 4; i < c.n_fields; i++) {
			const struct field *d = &c.fields[i];

			if (d->array || d->size > 8 || (d->size & (d->size - 1)))
				continue;
			if (pass == 0)
				fprintf(f, "%s%.*s=0x%%llx", i > 4 ? " " : "", (int)d->name_len, d->name);
			else
				fprintf(f, ", REC->%.*s", (int)d->name_len, d->name);
		}
		if (pass == 0)
			fputc('"', f);
	}
	fputc('\n', f);
	if (fclose(f) != 0) {
		free(out);
		return NULL;
	}
	return out;
}
