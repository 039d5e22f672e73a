/*
 * simulate: a behaviour model says what the guest does, and no guest byte is ever read or executed. The model is a Lua
 * function; each of its primitives is one guest instruction (compute(n): n innocuous ones). The instruction's rules are
 * those of core/x86: the primitive fills registers of the modelled vCPU, builds a decoded instruction, and calls the
 * same handler that emulate calls, with the same controls. So a CPUID or a MOV to CR0 exits here exactly when it exits
 * there.
 *
 * Read first: core/mode.h (the contract), then simulate.c (the run), prims.c (the primitives), sandbox.c (the Lua
 * state). Internal to this folder; a Lua state stays in the thread that runs its VM.
 */
#ifndef VMSCOPE_MODES_SIMULATE_SIMULATE_H
#define VMSCOPE_MODES_SIMULATE_SIMULATE_H

#include <lua.h>

#include "core/vm.h"
#include "core/x86/insn.h"
#include "script/sandbox.h"

#define SIM_FRAMES_MAX 8	       /* the model's main function and nested interrupt handlers */
#define SIM_LUA_BYTES_MAX (64u << 20)  /* memory of one model */
#define SIM_LUA_INSNS_MAX 200000000ull /* Lua instructions between two guest instructions */
#define SIM_STRING_MAX (1u << 20)      /* bytes of one REP INS or OUTS */

enum sim_op {
	SIM_NONE,
	SIM_COMPUTE, /* n innocuous instructions */
	SIM_INSN,    /* insn, by its handler in core/x86 */
	SIM_STRING,  /* REP INS or OUTS */
	SIM_MEMORY,  /* load or store of guest-physical memory */
	SIM_TABLES,  /* LGDT and kin */
	SIM_FAULT,   /* an exception that the guest raises */
	SIM_TRIPLE
};

/* Which registers are the answer of an instruction. */
enum sim_answer { SIM_ANSWER_NONE, SIM_ANSWER_RAX, SIM_ANSWER_EDX_EAX, SIM_ANSWER_CPUID, SIM_ANSWER_DATA };

/* What a primitive asks for. It stays valid until its answer was collected: pointers are into the coroutine's stack. */
struct sim_request {
	enum sim_op op;
	enum sim_answer answer;
	struct x86_insn insn;
	uint64_t rax, rbx, rcx, rdx; /* operands */
	uint64_t n;		     /* COMPUTE: still to retire */
	uint64_t addr, value;	     /* MEMORY; FAULT: CR2 */
	uint8_t *data;		     /* STRING */
	uint32_t len, done, port;
	uint8_t size, write, rep, vector, has_error;
	uint32_t error;
	/* the answer */
	bool faulted;
	struct x86_event fault;
	uint64_t out[4];
};

/* One coroutine: the main function, or an interrupt handler on top of it. */
struct sim_frame {
	lua_State *co;
	int ref; /* keeps co alive in the registry */
	bool started, busy, finished;
	uint64_t saved_flags; /* of what it interrupted */
	uint8_t saved_cpl;
	struct sim_request req;
};

struct sim_vcpu {
	struct vcpu *v;
	lua_State *L;
	struct sim_frame frames[SIM_FRAMES_MAX];
	unsigned depth;
	int methods_ref, g_ref, irq_ref, main_ref;
	struct x86_event event; /* injected, not delivered yet */
	bool event_valid;
	uint64_t budget;    /* instructions that may still retire in this run */
	struct sandbox box; /* box.insns: since the last guest instruction */
	volatile int kicked;
};

static inline struct sim_vcpu *sim_of(lua_State *L)
{
	return sandbox_of(L)->owner;
}
static inline struct sim_frame *sim_top(struct sim_vcpu *m)
{
	return &m->frames[m->depth - 1];
}

/* sandbox.c: the Lua state with what a model may use, the model loaded: its main function is at main_ref. */
enum err sim_sandbox_open(struct sim_vcpu *m, const char *path, struct errmsg *why) MUST_CHECK;
void sim_sandbox_close(struct sim_vcpu *m);

/* prims.c: the methods of g; pushes nothing, sets methods_ref, irq_ref and g_ref. */
void sim_prims_open(struct sim_vcpu *m);

/* frames.c: coroutines. True: a guest instruction is waiting in the top frame (busy), or the frame has finished. False:
 * the model ended or failed; vm->end is filled in the latter case. */
bool sim_resume(struct sim_vcpu *m);
bool sim_push_main(struct sim_vcpu *m);
bool sim_push_handler(struct sim_vcpu *m, uint8_t vector);
void sim_pop(struct sim_vcpu *m);
void sim_model_error(struct sim_vcpu *m, lua_State *L);

/* step.c: performs (a part of) the top frame's request. */
enum sim_step { SIM_STEP_DONE, SIM_STEP_EXIT };
enum sim_step sim_step(struct sim_vcpu *m, struct sim_frame *f, struct vm_exit *e);
/* The VMM finished (this iteration of) the instruction that exited: takes its results over from e. */
void sim_step_complete(struct sim_vcpu *m, struct sim_frame *f, const struct vm_exit *e);
/* The VMM gave the instruction an exception instead. */
void sim_step_faulted(struct sim_vcpu *m, struct sim_frame *f, const struct x86_event *ev);
/* Sets CPL by the hidden parts of CS and SS. */
void sim_set_cpl(struct x86_cpu *c, unsigned cpl);
/* n instructions retired: time passes, STI and MOV SS shadows end. */
void sim_retire(struct sim_vcpu *m, uint64_t n);

#endif
