/*
 * Runs one instruction on the processor of this machine, in user mode, 64-bit or 32-bit (compatibility mode), with all
 * general registers and the status flags given, and reports what became of them. Faults are caught.
 *
 * Two scratch pages are mapped at NATIVE_SCRATCH; their neighbours are not. Works once a process; call it in a child,
 * for a wild instruction can do anything. The instruction must not branch and not use FS or GS.
 */
#ifndef VMSCOPE_TESTS_X86_NATIVE_H
#define VMSCOPE_TESTS_X86_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

#define NATIVE_SCRATCH 0x10000000u
#define NATIVE_SCRATCH_SIZE 8192u

/* In the page after the code. */
struct native_frame {
	uint64_t in[16], in_flags;
	uint64_t out[16], out_flags;
	uint64_t host_rsp;
	uint64_t fault, error, cr2; /* fault: vector + 1, 0 if there was none */
	uint64_t repeat;	    /* the system may have disturbed this run: see disturbed() */
	uint32_t far32[2];	    /* offset and selector of the 32-bit code */
	/* FXSAVE images, used after native_setup_fx() only. In 32-bit code there are XMM0-7 in them. */
	uint8_t fx_in[512] __attribute__((aligned(16)));
	uint8_t fx_out[512] __attribute__((aligned(16)));
	uint8_t fx_host[512] __attribute__((aligned(16)));
};

/* False: what we do where the manual leaves a choice, or says nothing, is not known of this processor (why says it). A
 * comparison with it would find differences that are no mistakes: skip. */
bool native_known(const char **why);
/* False: this system does not let us (why says it). */
bool native_setup(unsigned code_size, const char **why);
/* The same, and x87, MMX and SSE state is given and reported, too. in_flags may have AC set. */
bool native_setup_fx(unsigned code_size, const char **why);
void native_run(const uint8_t *insn, unsigned len);
struct native_frame *native_frame(void);
/* Where the instruction is placed: its address matters for RIP-relative operands. */
uintptr_t native_insn_address(void);

#endif
