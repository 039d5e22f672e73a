/*
 * Machines that the bare-metal VMM can run on: emulated ones that we start (Bochs has VT-x in software, QEMU is fast),
 * and one that runs already, at the other end of a serial line. Each gives the same three things: a two-way line, the
 * file of the disk that takes the records, and facts.
 *
 * Read session/keeper.h before: it is what ends a machine.
 */
#ifndef VMSCOPE_SESSION_MACHINE_H
#define VMSCOPE_SESSION_MACHINE_H

#include "core/mode.h"
#include "session/keeper.h"

#define MACHINE_ARGS_MAX 48

enum machine_engine { ENGINE_ANY, ENGINE_VMX, ENGINE_SVM }; /* as in struct bundle */

/* What a session needs of a machine. */
struct machine_want {
	enum vmm_mode mode;
	enum machine_engine engine;
	uint64_t memory;    /* bytes, for guests and VMM */
	uint64_t bulk_size; /* bytes of the second disk; 0: none */
	const char *device; /* of --machine, when it is none of the names in the table */
	/* Writes the boot disk; called when its directory is there. */
	enum err (*make_disk)(void *arg, const char *path, struct errmsg *why);
	bool (*stopped)(void *arg); /* has the user given up? asked while the machine starts */
	void *arg;
};

struct machine_facts {
	const char *name; /* "bochs", "qemu", "device" */
	char cpu[48];	  /* CPU model of the machine, accelerator */
	char why[160];	  /* why this one, in words */
	bool vmx, svm;	  /* what a started machine offers; a device says so itself */
	bool tick_is_insn;
	bool clock_runs_on; /* a program whose TSC is the host's: it counts time in which nothing of it ran */
	uint64_t tsc_hz;    /* ticks of the TSC that are one second of guest time; 0: ask the CPU */
	int rank;	    /* for this want, higher is better */
};

struct machine_run {
	const struct machine_ops *ops;
	struct keeper keeper;
	bool kept; /* keeper is in use */
	int line;  /* two-way, not blocking */
	int bulk;  /* -1: no second disk */
};

struct machine_ops {
	const char *name;
	/* Can it give what is wanted, here? ERR_NODEV: why has one precise line. */
	enum err (*probe)(const struct machine_want *w, struct machine_facts *f, struct errmsg *why);
	enum err (*start)(const struct machine_want *w, struct machine_run *m, struct errmsg *why);
};

extern const struct machine_ops machine_bochs_ops, machine_qemu_ops, machine_device_ops;

/* name: "bochs", "qemu", a device; NULL: the best for this want. */
enum err machine_choose(const char *name, const struct machine_want *w, const struct machine_ops **ops,
    struct machine_facts *f, struct errmsg *why) MUST_CHECK;
enum err machine_start(
    const struct machine_ops *ops, const struct machine_want *w, struct machine_run *m, struct errmsg *why) MUST_CHECK;
/* False: it has ended (a device: never known). */
bool machine_runs(struct machine_run *m);
/* What the machine's own log says last about a failure; empty when nothing. */
void machine_last_words(struct machine_run *m, char *buf, size_t n);
void machine_stop(struct machine_run *m);

/* For machines with a keeper: the directory, the two disks ("boot.img", "bulk.img"), the start, the bulk file. */
enum err machine_start_kept(
    const struct machine_want *w, const struct keeper_spec *spec, struct machine_run *m, struct errmsg *why) MUST_CHECK;
bool machine_program(const char *name); /* is it in $PATH? */

#endif
