/* A recursive-descent parser that builds nothing: it only finds the first place that cannot be right. */
#include "tracer/filter.h"

#include <ctype.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include <traceevent/event-parse.h>

#define DEPTH_MAX 32
#define TEXT_MAX 4096 /* the library and regcomp() go as deep as the text is long */
#define NAME_MAX_LEN 128

struct parser {
	struct tep_handle *tep;
	const char *text, *at;
	unsigned depth;
	struct tep_event *event; /* whose fields are meant; NULL: not known exactly */
	struct errmsg *why;
};

static bool bad(struct parser *p, const char *at, const char *what)
{
	err_set(p->why, ERR_INVAL, "filter '%s', column %d: %s", p->text, (int)(at - p->text) + 1, what);
	return false;
}

static char peek(struct parser *p)
{
	while (isspace((unsigned char)*p->at))
		p->at++;
	return *p->at;
}

static bool word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-';
}

/* The first of the operators that stands here; its length, or 0. */
static size_t operator_of(struct parser *p, const char *const *ops)
{
	peek(p);
	for (; *ops; ops++)
		if (strncmp(p->at, *ops, strlen(*ops)) == 0)
			return strlen(*ops);
	return 0;
}

/* What the left side of a comparison is. */
enum operand { OPERAND_NUMBER, OPERAND_STRING, OPERAND_ANY };

/* A field of the event, or what every record has: the CPU and the name of the task. */
static bool parse_field(struct parser *p, enum operand *kind)
{
	char name[NAME_MAX_LEN];
	const char *start;
	size_t n = 0;
	struct tep_format_field *f;

	peek(p);
	start = p->at;
	while (isalnum((unsigned char)start[n]) || start[n] == '_')
		n++;
	if (n == 0 || isdigit((unsigned char)*start))
		return bad(
		    p, start, *start ? "here a field is missing" : "the condition ends too early: a field is missing");
	if (n >= sizeof(name))
		return bad(p, start, "no field has so long a name");
	memcpy(name, start, n);
	name[n] = '\0';
	p->at = start + n;
	*kind = strcmp(name, "COMM") == 0 ? OPERAND_STRING : strcmp(name, "CPU") == 0 ? OPERAND_NUMBER : OPERAND_ANY;
	if (*kind != OPERAND_ANY || !p->event)
		return true;
	f = tep_find_any_field(p->event, name);
	if (!f)
		return bad(p, start, "the event has no such field");
	*kind = f->flags & (TEP_FIELD_IS_STRING | TEP_FIELD_IS_ARRAY) ? OPERAND_STRING : OPERAND_NUMBER;
	return true;
}

static bool check_regex(struct parser *p, const char *start, const char *end)
{
	char *text = strndup(start, (size_t)(end - start));
	regex_t re;
	bool ok = text && regcomp(&re, text, REG_ICASE | REG_NOSUB) == 0;

	if (ok)
		regfree(&re);
	free(text);
	return ok || bad(p, start, "this is no regular expression");
}

static bool parse_string(struct parser *p, bool regex)
{
	const char *start = p->at, *end = strchr(start + 1, *start);

	if (!end)
		return bad(p, start, "this quote is not closed");
	p->at = end + 1;
	return !regex || check_regex(p, start + 1, end);
}

static bool parse_constant(struct parser *p, enum operand kind, bool regex)
{
	const char *start;
	char *end;

	peek(p);
	start = p->at;
	if (!*start)
		return bad(p, start, "the condition ends too early: a number or a \"string\" is missing");
	if ((*start == '"' || *start == '\'') && kind != OPERAND_NUMBER)
		return parse_string(p, regex);
	if (kind == OPERAND_STRING || regex)
		return bad(p, start, "here a \"string\" is wanted");
	if (!isdigit((unsigned char)*start))
		return bad(p, start, "here a number is wanted");
	strtoull(start, &end, 0);
	p->at = end;
	return !word_char(*end) || bad(p, start, "this is no number");
}

/* field comparison constant: libtraceevent knows no other form. */
static bool parse_comparison(struct parser *p)
{
	static const char *const ops[] = {"==", "!=", "=~", "!~", "<=", ">=", "<", ">", NULL};
	enum operand kind;
	const char *op;
	size_t n;
	bool regex;

	if (!parse_field(p, &kind))
		return false;
	n = operator_of(p, ops);
	op = p->at;
	if (n == 0)
		return bad(p, op, "here a comparison (== != < <= > >= =~ !~) is missing");
	regex = n == 2 && op[1] == '~';
	if (kind == OPERAND_NUMBER && regex)
		return bad(p, op, "the field is a number: =~ and !~ are for strings");
	if (kind == OPERAND_STRING && (op[0] == '<' || op[0] == '>'))
		return bad(p, op, "the field is a string: it cannot be larger or smaller");
	p->at += n;
	return parse_constant(p, kind, regex);
}

static bool parse_condition(struct parser *p);

static bool parse_term(struct parser *p)
{
	bool ok;

	if (p->depth >= DEPTH_MAX)
		return bad(p, p->at, "nested too deeply");
	p->depth++;
	if (peek(p) == '!' && p->at[1] != '=' && p->at[1] != '~') {
		p->at++;
		if (peek(p) != '(')
			return bad(p, p->at, "after ! a condition in ( ) is wanted");
		ok = parse_term(p);
	} else if (*p->at == '(') {
		const char *open = p->at++;

		ok = parse_condition(p);
		if (ok && peek(p) != ')')
			ok = bad(p, *p->at ? p->at : open,
			    *p->at ? "here a ) or an operator is missing" : "this ( is not closed");
		else if (ok)
			p->at++;
	} else {
		ok = parse_comparison(p);
	}
	p->depth--;
	return ok;
}

static bool parse_condition(struct parser *p)
{
	static const char *const logic[] = {"&&", "||", NULL};
	size_t n;

	if (!parse_term(p))
		return false;
	while ((n = operator_of(p, logic)) > 0) {
		p->at += n;
		if (!parse_term(p))
			return false;
	}
	return true;
}

/* One "[system/]event" of the list before the colon. */
static bool parse_event(struct parser *p)
{
	char name[NAME_MAX_LEN], *slash;
	const char *start;
	size_t n = 0;

	peek(p);
	start = p->at;
	while (word_char(start[n]) || strchr("/*?[]", start[n] ? start[n] : ' '))
		n++;
	if (n == 0 || n >= sizeof(name))
		return bad(p, start, "here the name of an event is missing");
	memcpy(name, start, n);
	name[n] = '\0';
	p->at = start + n;
	p->event = NULL;
	if (strpbrk(name, "*?[]."))
		return true; /* a pattern: the library finds what it means */
	slash = strchr(name, '/');
	if (slash)
		*slash = '\0';
	p->event = tep_find_event_by_name(p->tep, slash ? name : NULL, slash ? slash + 1 : name);
	if (p->event || !slash)
		return p->event || bad(p, start, "the trace has no such event");
	return bad(p, start, "the trace has no such event in this system");
}

enum err filter_check(struct tep_handle *tep, const char *filter, struct errmsg *why)
{
	struct parser p = {.tep = tep, .text = filter, .at = filter, .why = why};
	unsigned n_events = 0;

	if (strlen(filter) > TEXT_MAX)
		return err_set(why, ERR_INVAL, "filter: it is longer than %d characters", TEXT_MAX);
	do {
		if (n_events++ > 0)
			p.at++; /* the comma */
		if (!parse_event(&p))
			return ERR_INVAL;
	} while (peek(&p) == ',');
	if (n_events > 1)
		p.event = NULL; /* fields of one may be missing in another */
	if (*p.at == '\0')
		return ERR_OK;
	if (*p.at != ':')
		bad(&p, p.at, "after the event a : is wanted");
	else if (p.at++, !parse_condition(&p))
		return ERR_INVAL;
	else if (peek(&p) == '\0')
		return ERR_OK;
	else
		bad(&p, p.at, "here && or || is missing");
	return ERR_INVAL;
}
