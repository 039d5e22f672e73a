/*
 * Private to metal/: the state of the agent.
 */
#ifndef VMSCOPE_METAL_AGENT_IMPL_H
#define VMSCOPE_METAL_AGENT_IMPL_H

#include "core/typist.h"
#include "core/wire.h"
#include "metal/agent.h"
#include "tracer/ring.h"
#include "tracer/safety.h"

#define CONSOLE_BUF 256u
#define BULK_BUF 65536u
#define CLAIMS_MAX SESSION_DEVICES_MAX
#define EVENTS_BUF 8192u /* WIRE_PAYLOAD_MAX */

struct agent;

/* A slot of a guest's ring: one record. */
struct agent_slot {
	struct ring_slot slot;
	uint32_t pad;
	union {
		struct rec_head head;
		struct rec_exit exit;
		struct rec_done done;
		struct rec_inject inject;
	};
};

struct agent_guest;

/* A device of the session: its accesses are asked about. */
struct agent_device {
	struct device dev; /* .state: this */
	struct agent_guest *g;
	uint64_t base;
	bool is_mmio;
};

struct agent_guest {
	struct agent *agent;
	const struct bundle_vm *cfg;
	unsigned index;
	struct vm *vm; /* NULL: it could not be created; end says why */
	bool running, ended, end_sent, idle;
	struct msg_end end; /* filled as far as the machine itself does not know it */
	struct typist typist;
	struct agent_device devices[CLAIMS_MAX];
	unsigned n_devices;
	/* console */
	uint8_t console[CONSOLE_BUF];
	uint32_t console_n;
	char console_port[16];
	/* records */
	struct ring ring;
	struct agent_slot *slots;
	uint64_t entered_ns, entry_rip, last_cost_ns;
	uint32_t entry_intr, entry_error;
	uint64_t exits, by_reason[EXIT_SDM_COUNT];
	uint64_t checkpoint_at;	  /* 1 + exits at the last checkpoint; 0: none that is worth anything */
	uint64_t *page_fnv;	  /* of each page of RAM, as the session has it; NULL: no pages wanted */
	uint64_t t_leave, t_mark; /* TSC: when the last exit began; start of the current phase */
};

/* A command that came and is not done yet. */
struct agent_inbox {
	_Alignas(8) uint8_t payload[WIRE_PAYLOAD_MAX];
	uint32_t len; /* 0: empty */
	uint8_t vm;
};

struct agent_reply {
	struct msg_reply head; /* tag 0: none */
	uint32_t len;
	_Alignas(8) uint8_t data[WIRE_PAYLOAD_MAX - sizeof(struct msg_reply)];
};

struct agent {
	const struct agent_boot *boot;
	const struct bundle *bundle; /* in force */
	uint8_t *loaded;	     /* by CMD_LOAD, or NULL */
	uint64_t loaded_len;
	bool session, started, stop;
	bool heard;	/* something came when the line was last looked at */
	unsigned quiet; /* looks since then, while no guest runs */
	struct wire_rx rx;
	struct wire_tx tx;
	struct agent_inbox inbox;
	/* the last command, and the last one under a question: a command that comes again is not done again */
	struct agent_reply replies[2];
	uint32_t busy_tag; /* the innermost one that is being done */
	/* questions to the session */
	uint64_t question;
	bool asking; /* no guest goes on meanwhile */
	bool answered;
	enum verdict answer;
	bool answer_again; /* the VMM's own handler is to work, and then it is asked again */
	struct msg_user_answer answer_data;
	/* records on their way out */
	uint8_t *bulk_buf;			    /* BULK_BUF + a sector; NULL: no bulk channel */
	uint32_t bulk_n;			    /* bytes in it */
	uint64_t bulk_done, bulk_told, bulk_credit; /* whole sectors on disk; told to the host; read by the host */
	uint64_t next_flush_ns;
	bool writing;	   /* in the middle of a record: see drain_guest() */
	bool flush_wanted; /* somebody asked for a flush then */
	bool bulk_failed;
	_Alignas(8) uint8_t events[EVENTS_BUF];
	uint32_t events_n;
	struct agent_guest guests[BUNDLE_VMS_MAX];
	unsigned n_guests, current;
	struct agent_guest *last_run;
	uint64_t fixed_hash; /* before the guests ran */
};

/* guests.c */
enum err guests_create(struct agent *a, struct errmsg *why) MUST_CHECK;
void guests_destroy(struct agent *a);
/* The guest has ended: final checkpoint, audit, MSG_END. Again when asked. */
void guest_send_end(struct agent_guest *g);
void guest_report(struct agent_guest *g); /* fills g->end as things stand */

/* stream.c */
extern const struct probe_ops stream_probe; /* arg: struct agent_guest */
enum err stream_open(struct agent_guest *g, struct errmsg *why) MUST_CHECK;
void stream_drain(struct agent *a);		   /* rings to the channel */
void stream_flush(struct agent *a);		   /* and everything out, with where the end is */
void stream_checkpoint(struct agent_guest *g);	   /* changed pages, and the mark behind them */
uint64_t stream_memory_fnv(struct agent_guest *g); /* over the pages of guest RAM */
uint64_t agent_hash(const void *p, size_t n);	   /* n: a multiple of 8 */
void console_flush(struct agent_guest *g);
void console_put(void *arg, const char *port, uint8_t byte); /* vm_config.console */

/* sched.c */
void sched_run(struct agent *a); /* until CMD_STOP, or all guests have ended and nobody listens */

/* agent.c */
void agent_poll(struct agent *a); /* looks at the line now */
void agent_log(struct agent *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
void agent_state(struct agent_guest *g); /* MSG_STATE */
enum err agent_take_state(struct vcpu *v, const struct x86_state *in);

/* ask.c */
enum verdict agent_ask(void *arg, struct vcpu *v, struct vm_exit *e); /* vm_config.user */
/* A device of the session sits on these ports or addresses. */
enum err agent_claim(struct agent_guest *g, bool is_mmio, uint64_t base, uint64_t len);

/* text.c: without a session */
void text_end(struct agent_guest *g);

#endif
