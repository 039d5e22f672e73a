/*
 * Guest time (docs/exit-contract.md, "Time"). Virtual: ns = retired instructions * CLOCK_NS_PER_INSN + skipped, where
 * skipped grows when HLT jumps to the next timer event; TSC = ns * CLOCK_TSC_PER_NS + offset. Host: ns = host now -
 * start. All device timers run on it. Deterministic on virtual time: nothing comes from the host.
 */
#ifndef VMSCOPE_CORE_CLOCK_H
#define VMSCOPE_CORE_CLOCK_H

#include "core/host.h"

#define CLOCK_NS_PER_INSN 10u /* a stated 100 MIPS guest */
#define CLOCK_TSC_PER_NS 1u   /* a stated 1 GHz TSC */
#define CLOCK_TIMERS_MAX 16
#define CLOCK_FIRES_MAX 64u
#define CLOCK_NEVER UINT64_MAX
/* Host: a periodic timer of the guest interrupts at most this often, so that the guest runs in between on a slow host,
 * too. */
#define CLOCK_HOST_PERIOD_MIN_NS 200000u

enum clock_kind { CLOCK_VIRTUAL, CLOCK_HOST };

struct clock_timer {
	uint64_t deadline_ns;			       /* CLOCK_NEVER: not armed */
	void (*fire)(void *arg, uint64_t deadline_ns); /* disarmed before the call; may re-arm */
	void *arg;
};

struct clock {
	const struct host_ops *host;
	enum clock_kind kind;
	uint64_t insns;	     /* retired instructions, all vCPUs (virtual time rests on it) */
	uint64_t skipped_ns; /* virtual: added by HLT jumps */
	uint64_t start_ns;   /* host: host->now_ns() at reset */
	bool told;	     /* MODE_CAP_REMOTE: the time is what the other machine said last */
	uint64_t told_ns;
	struct clock_timer timers[CLOCK_TIMERS_MAX];
	unsigned n_timers;
	uint64_t next_ns; /* cached: the earliest deadline */
};

void clock_init(struct clock *c, const struct host_ops *host, enum clock_kind kind);
uint64_t clock_now_ns(const struct clock *c);
uint64_t clock_tsc(const struct clock *c); /* without the vCPU's TSC offset */
/* A handle for clock_arm(); ERR_NOMEM when the table is full. */
enum err clock_add_timer(struct clock *c, void (*fire)(void *, uint64_t), void *arg, unsigned *handle) MUST_CHECK;
void clock_arm(struct clock *c, unsigned handle, uint64_t deadline_ns); /* CLOCK_NEVER disarms */
uint64_t clock_next_deadline(const struct clock *c);
/* Fires every timer that is due, in order of deadline (equal: of handle). One that arms itself for a time that has
 * passed fires again, until CLOCK_FIRES_MAX in one call: the rest is due at the next one. */
void clock_run_due(struct clock *c);
/* Virtual: how many more instructions may retire before the next deadline (0 = due now, UINT64_MAX = none). */
uint64_t clock_insns_until_deadline(const struct clock *c);
/* HLT: virtual: jump to the next deadline; host: idle towards it (may return early). False when no timer is armed. */
bool clock_wait(struct clock *c);

#endif
