/*
 * Two runs of one guest laid side by side, exit by exit. Only exits that the guest's own instructions decide take part
 * (exit_is_predicted()): the k-th of one run belongs to the k-th of the other. Two things bend the rule:
 *
 *   by design   the other run's profile has no such exit (CPUID under kvm-user): a row with one side, no difference
 *   after a difference, one side may have an exit more: the rows are laid so that equal exits meet again
 *
 * What is compared is docs/exit-contract.md, "What is compared": reason, rip, values, and the fields of the exit where
 * both sides are processors; of a model, reason and values.
 */
#ifndef VMSCOPE_TUI_MODES_ALIGN_H
#define VMSCOPE_TUI_MODES_ALIGN_H

#include "tracer/sequence.h"
#include "tracer/view_model.h"

#define MODES_ITEMS_MAX (1u << 17) /* exits of a run that are kept */
#define MODES_AFTER 2048u	   /* rows that are laid after the first difference */

struct modes_item {
	struct vm_exit e; /* as far as the log has it */
	uint64_t number;
	struct sequence_item values;
	bool has_rip;
};

/* A run, as it grows. */
struct modes_track {
	struct modes_item *items; /* owned; the predicted exits, in order */
	size_t n, room;
	bool ended;	     /* no more will come */
	bool full;	     /* MODES_ITEMS_MAX were read; more is left out */
	bool late;	     /* the log begins behind the first exit: nothing was read */
	uint64_t others;     /* timer and interrupt exits that were left out */
	unsigned generation; /* changes when what was read before is not true any more */
	bool model, fields;  /* no rip; the fields of an exit are those of a processor with VT-x */
	char profile_name[16];
	struct vm_controls *profile; /* owned; NULL: not known */
	/* where reading goes on */
	uint64_t next_pos, last_number, last_insns;
};

/* Reads what is new. The model is locked. */
void modes_track_read(struct modes_track *t, struct view_model *m);
void modes_track_free(struct modes_track *t);

enum modes_state {
	MODES_EQUAL,
	MODES_DIFFER,
	MODES_MISSING, /* the other run has it, this one does not */
	MODES_EXTRA,   /* this one has it, the other does not */
	MODES_DESIGN,  /* one side only, and the other side's profile has no such exit */
};

struct modes_row {
	int32_t main, sub; /* items of the tracks; -1: none */
	uint8_t state;
};

struct modes_pair {
	struct modes_row *rows; /* owned */
	size_t n, room;
	size_t settled, settled_main, settled_sub; /* rows and items that stay as they are */
	size_t equal;				   /* exits that are equal, up to the first difference */
	int32_t first;				   /* row of the first difference; -1: none */
	unsigned generations[2];
	bool cut;      /* MODES_AFTER was reached */
	size_t behind; /* exits of main for which sub has not got far enough */
};

void modes_pair_update(struct modes_pair *p, const struct modes_track *main, const struct modes_track *sub);
void modes_pair_free(struct modes_pair *p);

/* What differs in two exits of one row: the field, and both values in words; false: nothing. */
struct modes_difference {
	char field[40], main[64], sub[64];
};
bool modes_differ(const struct modes_track *main, const struct modes_item *a, const struct modes_track *sub,
    const struct modes_item *b, struct modes_difference *out);

/* "out 0x3f8 0x41", "cpuid 0.0", "cr0 = 0x80000011": short, without the reason's name where that says nothing new. */
void modes_item_text(const struct modes_item *i, char *buf, size_t n);
const char *modes_state_name(enum modes_state s);

/* Does an exit happen under other controls? */
enum modes_exits { MODES_NEVER, MODES_MAYBE, MODES_ALWAYS };
enum modes_exits modes_exits_under(const struct vm_controls *ctl, const struct vm_exit *e);

#endif
