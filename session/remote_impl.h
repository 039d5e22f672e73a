/*
 * Private to session/: the state of a session with a VMM on bare metal.
 *
 * Two threads. The line's thread (line.c) reads frames, keeps commands alive until they are answered, and puts
 * everything else, in the order of the line, into one queue. The thread that drives the mirrors takes it from there
 * (stream.c) and turns records into events (run.c).
 */
#ifndef VMSCOPE_SESSION_REMOTE_IMPL_H
#define VMSCOPE_SESSION_REMOTE_IMPL_H

#include <pthread.h>

#include "core/wire.h"
#include "session/session.h"

#define CMD_DATA_MAX (WIRE_PAYLOAD_MAX - sizeof(struct msg_cmd))
#define REC_LEN_MAX 8192u
#define REC_BUF (256u << 10)

/* A command that waits for its turn, or for its reply. */
struct command {
	struct command *next;
	struct msg_cmd head;
	uint8_t vm;
	const void *data; /* the caller's until it is done */
	uint32_t n;
	bool once;	     /* nobody waits: sent one time, freed by the line */
	bool under_question; /* it is part of finding an answer */
	/* set by the line */
	bool active, done;
	enum err err; /* of the line, or of the reply */
	uint64_t value;
	void *out; /* reply data */
	uint32_t out_max, out_len;
	uint64_t sent_ns, again_ns, wait_ns;
	unsigned tries;
};

/* Something that came over the line, in order. */
struct item {
	struct item *next;
	uint8_t type, vm; /* enum msg_type */
	uint32_t len;
	_Alignas(8) uint8_t data[];
};

struct mirror {
	struct remote *r;
	struct vm *vm;
	unsigned index;
	bool running;	 /* as far as we asked for it */
	bool step;	 /* the caller wants one exit, and then the guest stands still */
	bool stepped;	 /* CMD_STEP was done */
	bool expect_end; /* the next MSG_END is news */
	bool end_waits;	 /* end came, and is to be delivered behind its records */
	bool end_known;
	bool synced; /* and what was missing was asked for */
	struct msg_end end;
	uint64_t got_bytes;	  /* of records */
	uint64_t told_reasons[2]; /* what the VMM hands over, of vm->user_reasons */
	uint64_t console_at, lost_console;
	struct command cmd; /* of run.c: CONTINUE, PAUSE, STEP, SYNC */
	/* records that came while another guest was waited for */
	uint8_t *queue;
	size_t q_head, q_tail, q_cap;
	/* the last question, and what was answered: question.c */
	uint64_t question;
	bool answered;
	struct x86_state asked; /* as it came */
	struct msg_user_answer answer;
	enum verdict verdict;
	bool answer_again;
	bool in_handler; /* vm_config.user is being asked */
	bool own_works;	 /* the VMM's own handler was let work, */
	bool own_done;	 /* and has, and said: */
	enum verdict own;
};

struct remote {
	const struct remote_request *request; /* while it opens */
	struct remote_facts facts;	      /* lock */
	struct machine_run machine;
	struct machine_want want;
	uint8_t *bundle;
	size_t bundle_len;
	unsigned n;
	struct mirror mirrors[BUNDLE_VMS_MAX];

	/* line.c */
	pthread_t thread;
	bool thread_runs;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a command is done, HELLO came, the machine is dead */
	int wake;		/* eventfd: for the line's thread */
	int news;		/* eventfd: for the thread that drives; kick() writes it, too */
	bool closing;
	bool hello_seen, guests_started, dead, bye;
	struct errmsg dead_why;
	uint64_t heard_ns; /* last good frame */
	struct command *first, *last, *current;
	struct command *held; /* was current when a question came: its reply comes after the answer */
	unsigned questions;   /* that are being answered, one inside the other */
	uint32_t next_tag;
	struct item *items, **items_end;
	struct wire_rx rx;
	struct wire_tx tx;
	uint8_t *out; /* bytes for the line that it did not take yet */
	size_t out_n, out_cap;
	uint64_t hold_until_ns; /* the VMM is waking up */

	/* stream.c */
	uint8_t *rec; /* REC_BUF */
	size_t rec_at, rec_n;
	uint64_t bulk_read, bulk_end, credit; /* bytes since the start */
	uint64_t bulk_size;
	bool broken; /* the stream of records makes no sense any more */
};

uint64_t session_now_ns(void);
bool remote_was_stopped(const struct remote *r); /* before its guests ran */

/* line.c */
enum err line_start(struct remote *r, struct errmsg *why) MUST_CHECK;
void line_stop(struct remote *r);
void line_post(struct remote *r, struct command *c); /* done is set, news is raised */
bool line_done(struct remote *r, struct command *c);
enum err line_wait(struct remote *r, struct command *c);
/* Until something changed, or a while passed, or until; after a stop nobody waits for
 * a reply any more (ERR_AGAIN). Lock held. */
void line_wait_change(struct remote *r, uint64_t until);
/* A command that nobody waits for. */
void line_post_once(
    struct remote *r, uint8_t vm, enum remote_cmd op, const uint64_t arg[3], const void *data, size_t n);
/* Sends and waits for the reply; out may be NULL. */
enum err line_call(struct remote *r, struct command *c);
bool line_is_dead(struct remote *r);
/* Between them a question is answered: what was on its way, and what waits, leaves the line to the answerer. */
void line_under_question(struct remote *r);
void line_question_over(struct remote *r);
struct item *line_take(struct remote *r); /* NULL: nothing; free() it */
void line_wait_news(struct remote *r, int timeout_ms);
void line_kick(struct remote *r); /* async-signal-safe */
/* The newest line that the VMM wrote for people, or "". Lock held. */
const char *line_last_log(const struct remote *r, char buf[400]);
void line_dead(struct remote *r, const char *fmt, ...) PRINTF_LIKE(2, 3); /* lock held */
/* Between line.c and line_frames.c; lock held. */
void line_finish(struct remote *r, struct command *c, enum err e);
void line_got_frame(void *arg, const struct wire_frame *f); /* arg: the struct remote */
void line_copy_counts(struct remote *r);

/* stream.c: takes one thing from the queue, or one record; false: nothing is there. */
bool stream_pump(struct remote *r);
/* The next record of this guest into buf (REC_LEN_MAX); false: none. */
bool stream_pop(struct mirror *m, void *buf);

/* run.c */
void run_apply(struct mirror *m, const void *rec); /* REC_PAGE, REC_CHECKPOINT */
enum err remote_next(struct vcpu *v, struct remote_event *ev);
enum err run_dead(struct mirror *m); /* the machine is gone: ends the guest; ERR_IO */
/* The guest stands still, and everything that it did was delivered or waits in the queue. */
enum err remote_pause(struct mirror *m);

/* question.c */
void question_take(struct mirror *m, const struct msg_user *q);
/* Inside of vm_config.user: the VMM's own handler works now, there. */
enum err question_handle(struct mirror *m, enum verdict *said);

/* bundle_build.c: malloc()ed. */
enum err bundle_build(const struct remote_request *q, const struct machine_facts *f, uint32_t flags, uint64_t bulk_size,
    uint8_t **out, size_t *len, struct errmsg *why) MUST_CHECK;

/* medium.c */
enum err medium_missing(const char *file, struct errmsg *why); /* ERR_NODEV, in words */
enum err medium_disk(const char *path, const void *bundle, size_t len, struct errmsg *why) MUST_CHECK;

#endif
