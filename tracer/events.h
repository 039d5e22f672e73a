/*
 * The events of events.def as C: a struct each (exactly the bytes that go into the trace), a number each, and the
 * format text that describes those bytes to libtraceevent and trace-cmd. Nothing here is thread-bound.
 */
#ifndef VMSCOPE_TRACER_EVENTS_H
#define VMSCOPE_TRACER_EVENTS_H

#include "core/err.h"

#define SESSION_VERSION 1u
#define SESSION_COUNTS_INSNS (1u << 0) /* the field insns of verdicts is a count */
#define SESSION_KNOWS_COST (1u << 1)   /* the field cost_ns of verdicts is a figure (measured: 0 is unknown) */
#define SESSION_NO_RIP (1u << 2)       /* a model: it has no instructions, so no rip */

/* What every ftrace record starts with. pid is the vCPU's number + 1 (0 would read as the idle task). */
struct event_common {
	uint16_t type;
	uint8_t flags, preempt_count;
	int32_t pid;
};

#define EVENT(system, name, doc) \
	struct event_##name {    \
		struct event_common common;
#define FIELD(event, ctype, decl, member) ctype member;
#define TEXT(event, len, member) char member[len];
#define PRINT(event, fmt, args) \
	}                       \
	;
#include "tracer/events.def"
#undef EVENT
#undef FIELD
#undef TEXT
#undef PRINT

/* Numbers start far above those of a kernel (a few thousand), so that host formats fit beside ours in one file. */
#define EVENT_ID_BASE 0x7e00
enum event_id {
	EVENT_ID_FIRST_ = EVENT_ID_BASE - 1,
#define EVENT(system, name, doc) EVENT_ID_##name,
#define FIELD(event, ctype, decl, member)
#define TEXT(event, len, member)
#define PRINT(event, fmt, args)
#include "tracer/events.def"
#undef EVENT
#undef FIELD
#undef TEXT
#undef PRINT
	EVENT_ID_END_
};
#define EVENT_COUNT (EVENT_ID_END_ - EVENT_ID_BASE)

struct event_field {
	const char *decl; /* "unsigned int vcpu_id", "char guest[48]" */
	uint32_t offset, size;
	bool is_signed;
};

struct event_desc {
	const char *system, *name, *doc, *fmt, *args;
	const struct event_field *fields;
	uint32_t n_fields, size; /* size of the struct */
	int id;
};

/* The row of an event number; NULL when it is not ours. */
const struct event_desc *event_desc(int id);
/* The i-th event, 0 <= i < EVENT_COUNT. */
const struct event_desc *event_at(size_t i);
/* Format text as tracefs prints it; malloc'ed, NULL when out of memory. Caller frees. */
char *event_format_text(const struct event_desc *d);
/* One Markdown table row of the documentation for each event; malloc'ed. */
char *events_markdown(void);
/* Names of KVM_EXIT_* numbers, without the prefix; NULL for an unknown one. */
const char *kvm_user_exit_name(uint32_t reason);

#endif
