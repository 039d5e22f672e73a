/*
 * Disassembly for people, by Zydis.
 */
#ifndef VMSCOPE_TRACER_DISASM_H
#define VMSCOPE_TRACER_DISASM_H

#include "core/x86/state.h"
#include "tracer/symbols.h"

struct disasm_line {
	uint64_t addr;
	uint8_t bytes[15], len; /* len 1 and text "(bad)" for what is no instruction */
	char text[112];		/* "mov rax, [rbx+0x8]", with symbols for addresses */
	bool branch, call, ret;
	uint64_t target; /* of a direct branch or call; 0: none */
};

/* code_bits: 16, 32, 64. False when n bytes hold no whole instruction; then the line is a "(bad)" byte, or n is 0. */
bool disasm_one(unsigned code_bits, uint64_t addr, const uint8_t *bytes, size_t n, const struct symbols *syms,
    struct disasm_line *out);
/* The width of code that s stands in. */
unsigned disasm_code_bits(const struct x86_state *s);
/* Addresses of up to max instructions before addr, from the bytes before it, so that decoding them in order ends
 * exactly at addr (the longest agreeing chain); returns how many, nearest last. */
size_t disasm_before(unsigned code_bits, uint64_t addr, const uint8_t *before, size_t n, uint64_t *out, size_t max);

#endif
