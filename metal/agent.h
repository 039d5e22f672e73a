/*
 * The program of the bare-metal image, above the hardware: it creates the guests of a bundle, runs them in turn, sends
 * what happened, and obeys the session at the other end of the line (core/remote.h). It reaches the machine through one
 * struct of functions, so that it runs in a process as well: tests talk to it over a socket, with the emulate engine.
 *
 * Read in order: guests.c (what a guest is here), sched.c (whose turn it is), stream.c (records on their way out),
 * agent.c (commands).
 */
#ifndef VMSCOPE_METAL_AGENT_H
#define VMSCOPE_METAL_AGENT_H

#include "core/bundle.h"
#include "core/remote.h"

/* What the agent stands on. Members may be NULL where it says so. */
struct agent_boot {
	const struct host_ops *host;
	const struct bundle *bundle; /* that came with the boot medium; NULL: none */
	struct msg_hello facts;	     /* for MSG_HELLO; the agent fills version, size and started */
	/* The line to the session. get: the next byte, or -1 when none waits. */
	void (*put)(const void *p, size_t n);
	int (*get)(void);
	bool line_wakes; /* host->idle_until() comes back when there is one */
	/* The second disk; NULL: none. */
	enum err (*disk_write)(uint64_t lba, const void *p, unsigned sectors);
	/* The backend for a mode; engine as in struct bundle. NULL: this machine has none, why says what is missing. */
	const struct mode_ops *(*engine)(enum vmm_mode mode, uint32_t engine, struct errmsg *why);
	/* Seeded holes (enum bundle_fault); NULL: the machine cannot. */
	void (*seed_fault)(struct vm *vm, enum bundle_fault fault);
	/* See struct vm_config; may be NULL. */
	const char *(*memory_owner)(const void *p);
	/* The session's word on the tick rate of host->cycles(); may be NULL. */
	void (*set_tick_rate)(uint64_t hz);
	/* One number for all of the VMM that must be the same at the end; NULL: nothing is looked at. */
	uint64_t (*fixed_hash)(void);
	void (*register_vm)(struct vm *vm); /* for the panic dump; may be NULL */
	/* Where host->log() goes while a session is on: into its frames. May be NULL. */
	void (*set_log)(void (*sink)(void *arg, enum log_level level, const char *line), void *arg);
	void (*off)(void); /* switches the machine off; returns in a test */
};

/* Serves until CMD_STOP, or, without a session, until every guest has ended. */
void agent_main(const struct agent_boot *boot);

#endif
