/*
 * What a bare-metal VMM and the hosted program say to each other: the messages in the frames of core/wire.h, and the
 * records of the trace stream. Pointer-free, little-endian, freestanding; both ends include this file, and a HELLO with
 * another version is refused.
 *
 * Commands go from the host to the VMM, carry a tag, and are answered by one reply with the same tag. A host that gets
 * no answer sends the same tag again: the VMM executes a tag once and repeats its last reply. An exit that is handed to
 * the host (MSG_USER) is repeated until CMD_ANSWER comes with its number. Meanwhile the host may ask and order as ever
 * (memory, interrupt lines, MSRs); the command that led to the question keeps its place.
 *
 * Records go, in order, to the bulk channel (a second disk: a circular buffer that MSG_BULK tells the end of and
 * CMD_CREDIT the start of), or, where there is none, in MSG_EVENTS frames. Before the reply to CMD_STEP, CMD_PAUSE,
 * CMD_SYNC and CMD_CHECKPOINT every record so far is out.
 */
#ifndef VMSCOPE_CORE_REMOTE_H
#define VMSCOPE_CORE_REMOTE_H

#include "core/probe.h"
#include "core/vm.h"

#define REMOTE_VERSION 4u
#define SESSION_DEVICES_MAX 16u /* CMD_CLAIM, for one guest */

enum msg_type {
	/* VMM to host */
	MSG_HELLO = 1, /* struct msg_hello: after boot, and as answer to CMD_HELLO */
	MSG_LOG,       /* text: a line for people */
	MSG_CONSOLE,   /* struct msg_console, then bytes of the guest's console */
	MSG_EVENTS,    /* whole records */
	MSG_BULK,      /* struct msg_bulk */
	MSG_STATE,     /* struct msg_state: a guest was started, paused, ended */
	MSG_END,       /* struct msg_end: how a guest ended, and what it came to */
	MSG_REPLY,     /* struct msg_reply, then data */
	MSG_USER,      /* struct msg_user: an exit, or a device's access, for the host to decide */
	MSG_PANIC,     /* text of the dump; the VMM has stopped */
	MSG_BYE,       /* the machine is about to be switched off */
	/* host to VMM */
	MSG_CMD = 64, /* struct msg_cmd, then data */
};

struct msg_hello {
	uint32_t version, size; /* REMOTE_VERSION, sizeof(struct x86_state) */
	char cpu_vendor[16], cpu_model[48];
	uint8_t has_vmx, has_svm;     /* usable */
	uint8_t has_bundle, has_bulk; /* came with the boot medium; the second disk answers */
	uint8_t started;
	uint8_t has_pcid; /* 0: its virtualized guests get no PCIDs and no INVPCID */
	uint8_t pad[2];
	uint64_t memory;  /* bytes free for guests */
	char no_vmx[160]; /* why not, in words; empty when usable */
	char no_svm[160];
	char boot[32];	  /* "multiboot", "boot sector" */
	char machine[32]; /* hypervisor signature or "" */
};

struct msg_console {
	uint64_t offset; /* of the first byte, in everything that the guest printed to this port */
	char port[16];	 /* "uart", "debugcon" */
};

struct msg_bulk {
	uint64_t written; /* bytes of records written to the disk since the start */
};

struct msg_state {
	uint32_t running; /* 1 running, 0 paused or ended */
	uint32_t ended;
};

/* Where the VMM's own time went, in TSC ticks, in all exits. */
enum remote_phase { PHASE_EXIT, PHASE_HANDLE, PHASE_TRACE, PHASE_ENTRY, PHASE_RECORDS, PHASE_OTHER, PHASE_COUNT };

struct msg_end {
	struct vm_end end;
	struct vcpu_counts counts; /* of vCPU 0 */
	uint64_t insns, now_ns;	   /* guest time at the end */
	uint64_t lost;		   /* records dropped */
	uint64_t records, record_bytes;
	uint64_t console_bytes, console_fnv; /* all ports, in order */
	uint64_t mem_fnv;		     /* of guest RAM */
	uint64_t guest_ticks, vmm_ticks;     /* TSC: inside the guest, outside */
	uint64_t world_switches;	     /* entries that another guest had been before */
	uint64_t phase_ticks[PHASE_COUNT];
	uint64_t vmm_hash_before, vmm_hash_after; /* its code, constants, descriptor tables and page tables */
	struct {
		uint32_t state; /* enum pg_state */
		uint32_t pad;
		uint64_t mappings, bytes, longest_ns;
		char evidence[480];
	} safety;	 /* audited in the image, with what the CPU was programmed with */
	char engine[16]; /* "vmx", "svm", "interpreter" */
	uint32_t has_screen;
	char screen[25][81];
};

enum remote_cmd {
	CMD_HELLO = 1,
	CMD_LOAD,  /* arg[0]: offset, arg[1]: length of the whole bundle; data: a piece of it */
	CMD_START, /* arg[0]: length of the loaded bundle, 0: the boot medium's; arg[1]: its CRC. Creates the guests */
	CMD_CONTINUE, /* all guests, or that of the frame with arg[0] = 1 */
	CMD_PAUSE,
	CMD_STEP,	/* one exit; records come in MSG_EVENTS before the reply. reply.value: 1 when there was one */
	CMD_GET_STATE,	/* reply: struct x86_state */
	CMD_SET_STATE,	/* data: struct x86_state */
	CMD_READ_MEM,	/* arg[0]: gpa, arg[1]: bytes, at most 4096. reply: data */
	CMD_WRITE_MEM,	/* arg[0]: gpa; data */
	CMD_TYPE,	/* data: console input. reply.value: how many bytes were taken */
	CMD_INTERCEPT,	/* arg[0]: exit reason, arg[1]: 1 hand it over, 0 not any more */
	CMD_ANSWER,	/* arg[0]: number of the MSG_USER, arg[1]: enum verdict (VERDICT_USER: do what you would have
			   done; with arg[2] = 1: do it now, and ask again), data: struct msg_user_answer */
	CMD_CREDIT,	/* arg[0]: bytes of bulk records that were read */
	CMD_SYNC,	/* records to the host now; the reply comes after them */
	CMD_CHECKPOINT, /* changed pages into the records now */
	CMD_REPORT,	/* how a guest that stands still looks now, audited: reply: struct msg_end */
	CMD_STOP,	/* the end of the session: switch off */
	CMD_CLAIM,	/* arg[0]: 1 guest-physical addresses, 0 ports; arg[1]: the first, arg[2]: how many. A device
			   of the host sits there from now on */
	CMD_IRQ,	/* arg[0]: interrupt line, arg[1]: its level */
	CMD_RDMSR,	/* arg[0]: number. reply.value */
	CMD_WRMSR,	/* arg[0]: number, arg[1]: value */
};

struct msg_cmd {
	uint32_t tag; /* never 0 */
	uint32_t op;  /* enum remote_cmd */
	uint64_t arg[3];
};

struct msg_reply {
	uint32_t tag;
	uint32_t err; /* enum err */
	uint64_t value;
};

enum remote_question {
	ASK_EXIT,   /* before its effect */
	ASK_DONE,   /* the same exit, after the VMM's own handler */
	ASK_DEVICE, /* what the device at .at says to an access; of the answer, value counts, and VERDICT_KILL */
};

struct msg_user {
	uint64_t number;	  /* of the question, from 1, going up */
	uint32_t what;		  /* enum remote_question */
	uint32_t verdict;	  /* ASK_DONE: enum verdict of the VMM's own handler, */
	struct x86_event reflect; /* and its exception */
	uint64_t at, value;	  /* ASK_DEVICE: address or port; what is written */
	uint8_t is_mmio, is_write, len, pad[5];
	struct vm_exit exit;
	struct x86_state state;
};
struct msg_user_answer {
	struct vm_exit exit;	  /* with results */
	struct x86_event reflect; /* VERDICT_REFLECT */
	uint32_t changed;	  /* 1: state is to be taken over */
	uint32_t pad;
	uint64_t value; /* ASK_DEVICE: what was read */
	struct x86_state state;
};

/* --- Records ----------------------------------------------------------------------------------------------------- */

enum rec_type { REC_EXIT = 1, REC_DONE, REC_INJECT, REC_PAGE, REC_CHECKPOINT, REC_LOST };

struct rec_head {
	uint16_t type; /* enum rec_type */
	uint16_t vm;
	uint32_t len; /* of the record, this head included; a multiple of 8 */
};

struct rec_regs {
	uint64_t gpr[16], rip, rflags;
	uint64_t cr0, cr2, cr3, cr4, cr8, efer;
	uint64_t cs_base, ss_base;
	uint16_t sel[8]; /* ES CS SS DS FS GS LDTR TR */
};

/* An exit, after its handler and before its verdict is applied. */
struct rec_exit {
	struct rec_head head;
	uint64_t entered_ns;		  /* guest time of the entry before it */
	uint64_t entry_rip;		  /* of that entry; 0: not known */
	uint32_t entry_intr, entry_error; /* what was injected with it */
	uint32_t verdict;		  /* enum verdict */
	uint32_t has_done;		  /* a REC_DONE follows, perhaps after other records */
	uint64_t last_cost_ns;		  /* host time: what the exit before this one cost; known only now */
	struct vm_exit exit;
};

/* The lockstep point: the effect of the last exit is complete, the guest has not gone on. */
struct rec_done {
	struct rec_head head;
	uint64_t insns; /* retired guest instructions, where they are counted */
	struct rec_regs regs;
};

struct rec_inject {
	struct rec_head head;
	uint64_t time_ns;
	struct x86_event event;
	uint32_t applying; /* 1: part of an exit's effect; 0: by the loop, between two exits */
	uint32_t has_regs;
	struct rec_regs regs; /* right before it */
};

struct rec_page {
	struct rec_head head;
	uint64_t offset; /* in guest RAM (struct guest_mem.ram) */
	uint8_t data[PAGE_SIZE_4K];
};

struct rec_checkpoint {
	struct rec_head head;
	uint64_t index; /* exits so far: every page that changed until then was sent before this record */
	uint64_t mem_fnv;
};

struct rec_lost {
	struct rec_head head;
	uint64_t n;
};

void rec_regs_from(struct rec_regs *r, const struct x86_state *s);
void rec_regs_to(const struct rec_regs *r, struct x86_state *s); /* the members that it has */

/* --- The hosted side of a VM whose loop runs elsewhere (core/vm_remote.c) ------------------------------------------
 */

enum remote_event_kind { REMOTE_EXIT, REMOTE_DONE, REMOTE_INJECT, REMOTE_END };

struct remote_event {
	enum remote_event_kind kind;
	union {
		struct rec_exit exit;
		struct rec_done done;
		struct rec_inject inject;
		struct msg_end end;
	};
};

/*
 * One turn of a VM with MODE_CAP_REMOTE: gets events by mode->next() up to the next lockstep point, and shows them to
 * the probes of this VM as if the loop had run here. True when there was an exit.
 */
bool vm_remote_turn(struct vm *vm, struct vcpu *v);

#endif
