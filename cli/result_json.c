/*
 * A result as JSON: the contract of the command line. A key that is not known is null, never left out, never invented.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/result.h"

/* Length of the valid UTF-8 sequence at p, 0 when there is none. */
static size_t utf8_len(const uint8_t *p, size_t n)
{
	size_t len = p[0] < 0x80		   ? 1
		     : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
		     : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
		     : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
						   : 0;
	if (!len || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, and what lies above U+10FFFF. */
	bool bad = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
		   (p[0] == 0xf4 && p[1] > 0x8f);
	return bad ? 0 : len;
}

json_t *json_text(const uint8_t *p, size_t n)
{
	char *buf = malloc(n * 3 + 1), *w = buf;
	if (!buf)
		return NULL;
	for (size_t i = 0; i < n;) {
		size_t len = utf8_len(p + i, n - i);
		if (len)
			memcpy(w, p + i, len);
		else
			memcpy(w, "\xef\xbf\xbd", 3);
		w += len ? len : 3;
		i += len ? len : 1;
	}
	json_t *j = json_stringn(buf, (size_t)(w - buf));
	free(buf);
	return j;
}

static json_t *text_or_null(const char *s)
{
	return s && s[0] ? json_text((const uint8_t *)s, strlen(s)) : json_null();
}

static json_t *count_or_null(bool known, uint64_t v)
{
	return known ? json_integer((json_int_t)v) : json_null();
}

static json_t *real_or_null(double v)
{
	return v >= 0 ? json_real(v) : json_null();
}

json_t *verdict_json(const struct pg_verdict *v)
{
	return json_pack("{s:s, s:o}", "state", pg_state_name(v->state), "evidence", text_or_null(v->evidence));
}

static json_t *screen_json(const struct run_result *r)
{
	if (!r->has_screen)
		return json_null();
	json_t *lines = json_array();
	for (unsigned i = 0; i < 25; i++)
		json_array_append_new(lines, json_text((const uint8_t *)r->screen[i], strlen(r->screen[i])));
	return lines;
}

static json_t *verdicts_json(const struct run_result *r)
{
	const struct pg_verdict none = {
	    .state = PG_UNKNOWN, .evidence = "one run alone compares nothing: \"vmscope compare\" does"};
	json_t *efficiency = verdict_json(&r->efficiency.verdict), *safety = verdict_json(&r->safety.verdict);
	json_object_set_new(efficiency, "direct_fraction", real_or_null(r->efficiency.direct_fraction));
	json_object_set_new(efficiency, "guest_time_fraction", real_or_null(r->efficiency.guest_time_fraction));
	json_object_set_new(safety, "mappings", json_integer((json_int_t)r->safety.mappings));
	json_object_set_new(safety, "mapped_bytes", json_integer((json_int_t)r->safety.bytes));
	json_object_set_new(safety, "longest_interval_ns", json_integer((json_int_t)r->safety.longest_ns));
	return json_pack("{s:o, s:o, s:o}", "equivalence", verdict_json(r->equivalence_known ? &r->equivalence : &none),
	    "safety", safety, "efficiency", efficiency);
}

static json_t *phases_json(const struct msg_end *m)
{
	static const char *const names[PHASE_COUNT] = {"exit", "handle", "trace", "entry", "records", "other"};
	json_t *j = json_object();
	for (unsigned i = 0; i < PHASE_COUNT; i++)
		json_object_set_new(j, names[i], json_integer((json_int_t)m->phase_ticks[i]));
	return j;
}

/* Type I: the machine, the line to it, and where its ticks went. */
static json_t *session_json(const struct run_result *r)
{
	const struct remote_facts *s = &r->session;
	const struct msg_end *m = &r->metal;
	if (!r->has_session)
		return json_null();
	json_t *line = json_pack("{s:I, s:I, s:I, s:I, s:I}", "frames", (json_int_t)s->frames, "lost",
	    (json_int_t)s->lost_frames, "damaged", (json_int_t)s->bad_frames, "noise_bytes", (json_int_t)s->noise_bytes,
	    "resent", (json_int_t)s->resent);
	json_t *ticks = json_pack("{s:I, s:I, s:o, s:b}", "guest", (json_int_t)m->guest_ticks, "vmm",
	    (json_int_t)m->vmm_ticks, "phases", phases_json(m), "one_an_instruction", (int)s->machine.tick_is_insn);
	json_t *j = json_pack("{s:s, s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:I}", "machine", s->machine.name, "cpu",
	    s->machine.cpu, "why", s->machine.why, "line", line, "ticks", ticks, "record_bytes",
	    (json_int_t)s->record_bytes, "lost_record_bytes", (json_int_t)s->lost_record_bytes, "lost_console_bytes",
	    (json_int_t)s->lost_console_bytes, "world_switches", (json_int_t)m->world_switches);
	char text[24];
	snprintf(text, sizeof text, "%016llx", (unsigned long long)m->mem_fnv);
	json_object_set_new(j, "memory_hash", m->mem_fnv ? json_string(text) : json_null());
	json_object_set_new(j, "vmm_unchanged",
	    m->vmm_hash_before ? json_boolean(m->vmm_hash_before == m->vmm_hash_after) : json_null());
	return j;
}

json_t *result_json(const struct run_result *r)
{
	if (!r->ran)
		return json_pack("{s:s, s:i, s:o}", "mode", mode_name(r->mode), "type", (int)r->type, "unavailable",
		    text_or_null(r->why.text[0] ? r->why.text : err_sentence(r->err)));
	json_t *end = json_pack("{s:s, s:o, s:o}", "kind", end_name(r->end.kind), "code",
	    count_or_null(r->end.kind == END_DEBUG_EXIT, r->end.code), "detail", text_or_null(r->end.detail));
	json_t *j = json_pack("{s:o, s:s, s:i, s:s, s:s, s:s, s:o, s:o, s:o, s:I}", "guest", text_or_null(r->guest),
	    "mode", mode_name(r->mode), "type", (int)r->type, "backend", r->backend, "controls", r->controls, "clock",
	    r->clock == CLOCK_VIRTUAL ? "virtual" : "host", "end", end, "instructions",
	    count_or_null(r->insns_known, r->insns), "virtual_ns",
	    count_or_null(r->clock == CLOCK_VIRTUAL, r->virtual_ns), "wall_ns", (json_int_t)r->wall_ns);
	if (!j)
		return NULL;
	json_object_set_new(j, "console", json_text(r->console, r->console_len));
	json_object_set_new(j, "console_sha256", json_string(r->console_sha256));
	json_object_set_new(j, "screen", screen_json(r));
	json_object_set_new(j, "exits", stats_json(r->stats));
	json_object_set_new(j, "verdicts", verdicts_json(r));
	json_object_set_new(j, "session", session_json(r));
	json_object_set_new(j, "others", json_null());
	return j;
}

int json_print(json_t *j)
{
	int bad = !j || json_dumpf(j, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) || putchar('\n') == EOF ||
		  fflush(stdout);
	json_decref(j);
	return bad ? cli_fail(CLI_UNAVAILABLE, "stdout: the JSON could not be written: is the disk or pipe full?")
		   : CLI_OK;
}
