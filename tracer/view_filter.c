/*
 * A filter over the log, in libtraceevent's language and by its code: an exit is made the kvm_exit record that a trace
 * of it would hold, and matched.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <traceevent/event-parse.h>

#include "core/exit.h"
#include "tracer/events.h"
#include "tracer/filter.h"
#include "tracer/view_impl.h"

struct view_filter {
	struct tep_handle *tep;
	struct tep_event_filter *filter;
	char *text; /* as the user wrote it */
};

void view_filter_free(struct view_filter *f)
{
	if (!f)
		return;
	if (f->filter)
		tep_filter_free(f->filter);
	if (f->tep)
		tep_free(f->tep);
	free(f->text);
	free(f);
}

bool view_filter_match(struct view_filter *f, const struct view_exit *e)
{
	struct event_kvm_exit x = {.common = {.type = EVENT_ID_kvm_exit, .pid = e->vcpu + 1},
	    .exit_reason = e->reason,
	    .guest_rip = e->rip,
	    .isa = e->isa,
	    .info1 = e->qual,
	    .info2 = e->info2,
	    .intr_info = e->intr_info,
	    .error_code = e->intr_error,
	    .vcpu_id = e->vcpu};
	struct tep_record rec = {
	    .ts = e->ts_ns, .cpu = e->vcpu, .size = sizeof(x), .record_size = sizeof(x), .data = &x};

	return tep_filter_match(f->filter, &rec) == TEP_ERRNO__FILTER_MATCH;
}

static struct tep_handle *kvm_exit_handle(void)
{
	struct tep_handle *tep = tep_alloc();
	char *text = event_format_text(event_desc(EVENT_ID_kvm_exit));

	tep_set_loglevel(TEP_LOG_NONE);
	if (tep && text) {
		tep_set_long_size(tep, (int)sizeof(long));
		tep_set_local_bigendian(tep, TEP_LITTLE_ENDIAN);
		tep_set_file_bigendian(tep, TEP_LITTLE_ENDIAN);
	}
	if (tep && (!text || tep_parse_event(tep, text, strlen(text), "kvm") != TEP_ERRNO__SUCCESS)) {
		tep_free(tep);
		tep = NULL;
	}
	free(text);
	return tep;
}

/* Does it begin with the name of an event, as the whole language wants it? A condition alone is about kvm_exit. */
static bool names_event(const char *text)
{
	size_t n = strcspn(text, "=!<>&|(\"':");

	return text[n] == ':' || (text[n] == '\0' && strstr(text, "kvm"));
}

/* "..., column 12: ..." of filter_check(), for a caret in the user's own text. */
static size_t place_of(const char *message, const char *whole, size_t shift)
{
	const char *at = strstr(message, "', column ");
	size_t column = at ? strtoul(at + 10, NULL, 10) : 1, n = strlen(whole);

	column = column > shift ? column - shift - 1 : 0;
	return column < n ? column : n;
}

/* Exit reasons by name, CPUID or "CPUID", become the numbers that the field holds; blanks keep every column. */
static void names_to_numbers(char *text)
{
	for (char *p = text, *end; *p; p = end) {
		char number[16], name[64];
		size_t n = strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_abcdefghijklmnopqrstuvwxyz");
		int reason;

		end = p + (n ? n : 1);
		if (!n || n + 2 >= sizeof(name)) /* the quotes */
			continue;
		memcpy(name, p, n);
		name[n] = '\0';
		reason = exit_reason_by_name(name);
		if (reason < 0 || (size_t)snprintf(number, sizeof(number), "%d", reason) > n)
			continue;
		if (p > text && p[-1] == '"' && *end == '"') {
			p--;
			end++;
		}
		snprintf(name, sizeof(name), "%-*s", (int)(end - p), number);
		memcpy(p, name, (size_t)(end - p));
	}
}

static enum err build(struct view_filter *f, const char *text, size_t *at, struct errmsg *why)
{
	static const char event[] = "kvm_exit:";
	bool whole = names_event(text);
	size_t n = strlen(text) + sizeof(event);
	char *full = malloc(n);
	struct errmsg raw = {""};
	enum err e = ERR_OK;

	f->text = strdup(text);
	f->tep = kvm_exit_handle();
	f->filter = f->tep ? tep_filter_alloc(f->tep) : NULL;
	if (!full || !f->text || !f->filter) {
		free(full);
		return err_set(why, ERR_NOMEM, "no memory for the filter");
	}
	snprintf(full, n, "%s%s", whole ? "" : event, text);
	names_to_numbers(full);
	if (filter_check(f->tep, full, &raw) != ERR_OK) {
		const char *what = strstr(raw.text, ", column ");

		*at = place_of(raw.text, text, whole ? 0 : sizeof(event) - 1);
		what = what ? strchr(what + 2, ':') : NULL;
		what = what ? what + 2 : raw.text;
		/* Names of exit reasons have become numbers by now. */
		e = err_set(why, ERR_INVAL, "column %zu: %s%s", *at + 1, what,
		    strcmp(what, "here a number is wanted") == 0 ? ", or the name of an exit reason (CPUID)" : "");
	} else if (tep_filter_add_filter_str(f->filter, full) != TEP_ERRNO__SUCCESS) {
		e = err_set(why, ERR_INVAL, "libtraceevent does not take this filter");
	}
	free(full);
	return e;
}

enum err view_filter_set(struct view_model *m, const char *text, size_t *at, struct errmsg *why)
{
	struct view_filter *f = NULL;
	enum err e = ERR_OK;

	*at = 0;
	if (text && *text) {
		f = calloc(1, sizeof(*f));
		e = f ? build(f, text, at, why) : err_set(why, ERR_NOMEM, "no memory for the filter");
	}
	if (e != ERR_OK) {
		view_filter_free(f);
		return e; /* the old one stays */
	}
	view_filter_free(m->filter);
	m->filter = f;
	return ERR_OK;
}

const char *view_filter_text(struct view_model *m)
{
	return m->filter ? m->filter->text : NULL;
}

bool view_log_shown(struct view_model *m, const struct view_exit *e)
{
	return !m->filter || view_filter_match(m->filter, e);
}
