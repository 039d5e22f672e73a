/*
 * A session with a VMM on bare metal: the hosted program starts a machine (or finds one at the end of a serial line),
 * gives it the guests, and reaches them through the same struct session as guests in its own process.
 *
 * Each guest has a mirror here: a struct vm with a mode of MODE_CAP_REMOTE, loaded like the guest itself, whose probes
 * see what happened there. One thread drives all mirrors of a session; vm_stop(), session->ops->stop() and ->type() may
 * come from any thread.
 */
#ifndef VMSCOPE_SESSION_SESSION_H
#define VMSCOPE_SESSION_SESSION_H

#include "core/bundle.h"
#include "core/loader.h"
#include "core/remote.h"
#include "core/session.h"
#include "session/machine.h"

struct remote;

struct remote_guest {
	struct vm *vm;		  /* the mirror; stays the caller's until session_open_remote() */
	struct load_request load; /* image == NULL: there is none */
	const void *firmware;
	size_t firmware_len;
	const uint8_t *keys; /* typed into the console at guest time; escapes are expanded */
	size_t n_keys;
	enum bundle_fault fault;
};

struct remote_facts {
	struct machine_facts machine;
	struct msg_hello hello; /* what the VMM said about its CPU */
	char engine[16];	/* "vmx", "svm", "interpreter": known at the end of a guest, before it a forecast */
	uint64_t frames, lost_frames, noise_bytes, bad_frames; /* of the line, towards us */
	uint64_t resent;				       /* commands that were asked again */
	uint64_t record_bytes;				       /* that came */
	uint64_t lost_record_bytes;			       /* that the VMM sent and we never got */
	uint64_t lost_console_bytes;
	char log[4000];	  /* the newest lines that the VMM wrote for people, each with its '\n' */
	char panic[8200]; /* its dump, when it stopped: what happened is the first line */
};

struct remote_request {
	struct remote_guest guests[BUNDLE_VMS_MAX];
	unsigned n;
	const char *machine; /* as for machine_choose() */
	enum machine_engine engine;
	bool regs, pages;	    /* lockstep: registers at each exit, changed memory at checkpoints */
	bool drop;		    /* host time: rather lose records than hold the guest up */
	uint32_t checkpoint_every;  /* exits; 0: only at the end */
	uint64_t slice_ns;	    /* with several guests; 0: 10 ms */
	struct remote_facts *facts; /* out, when remote_open() fails: what the VMM had said until then; may be NULL */
};

/* Which machine would run this, and why; ERR_NODEV: none, why says what is missing. Starts nothing. */
enum err remote_probe(
    enum vmm_mode mode, const char *machine, enum machine_engine engine, struct machine_facts *f, struct errmsg *why);
/* Starts the machine and gives it the guests, which stand at their first instruction then. */
enum err remote_open(const struct remote_request *q, struct remote **out, struct errmsg *why) MUST_CHECK;
/* The session of guest number vm, which owns the mirror from then on; close it before remote_close(). */
enum err session_open_remote(struct remote *r, unsigned vm, struct session **out, struct errmsg *why) MUST_CHECK;
/* The guest whose events are waiting, or (none are) any one that runs; -1: all stand still. For a loop over several:
 * a vm_step_exit() on its mirror then does not wait for another guest. */
int remote_ready(struct remote *r);
void remote_facts(struct remote *r, struct remote_facts *f);
/* What a guest came to, as the VMM said it at its end, or says it of one that stands still; NULL: it cannot be had. */
const struct msg_end *remote_end(struct remote *r, unsigned vm);
/* Asks the VMM for the changed pages of a guest that stands still: they are in the mirror's memory afterwards. */
enum err remote_checkpoint(struct remote *r, unsigned vm);
/* Switches the machine off and removes everything. */
void remote_close(struct remote *r);

/* medium.c: where the image is ($VMSCOPE_METAL, beside the program, its installation); false: not built. */
bool medium_find(const char *file, char *path, size_t n);
/* vmscope iso: a bootable CD with the image and the guests of q, which run without a session. */
enum err medium_iso(const struct remote_request *q, const char *path, struct errmsg *why) MUST_CHECK;

#endif
