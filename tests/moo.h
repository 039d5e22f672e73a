/*
 * Reads files of single-instruction tests in the MOO format of the SingleStepTests project, packed with gzip: chunks of
 * a tag, a length and contents. TEST holds NAME, BYTS, INIT and FINA (REGS: a mask and the registers that it names;
 * RAM: addresses and bytes; what did not change is left out of FINA) and EXCP (the vector). 16-bit registers, real
 * mode.
 */
#ifndef VMSCOPE_TESTS_MOO_H
#define VMSCOPE_TESTS_MOO_H

#include <stdbool.h>
#include <stdint.h>

#define MOO_RAM 0x110000u /* every address is below: all that real mode reaches */
#define MOO_CELLS 4096

enum moo_reg { AX, BX, CX, DX, CS, SS, DS, ES, SP, BP, SI, DI, IP, FL, MOO_REGS };

struct moo_state {
	uint16_t reg[MOO_REGS];
	unsigned cells;
	struct {
		uint32_t addr;
		uint8_t value;
	} cell[MOO_CELLS];
};

struct moo_test {
	char name[64];
	uint8_t bytes[32];
	unsigned n_bytes;
	struct moo_state before, after; /* after: all registers, but only the bytes of memory that changed */
	int vector;			/* -1: none */
};

enum moo_rc { MOO_TEST, MOO_END, MOO_BAD };

struct moo;
/* NULL: no such file, or gzip cannot unpack it. */
struct moo *moo_open(const char *path);
enum moo_rc moo_next(struct moo *m, struct moo_test *t);
void moo_close(struct moo *m);

#endif
