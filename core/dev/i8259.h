/*
 * The state of the two interrupt controllers, for i8259.c and for who shows it.
 */
#ifndef VMSCOPE_CORE_DEV_I8259_H
#define VMSCOPE_CORE_DEV_I8259_H

#include "core/types.h"

struct i8259_chip {
	uint8_t irr, isr, imr;
	uint8_t line;	   /* levels of IR0..7 */
	uint8_t elcr;	   /* 1 = level-triggered */
	uint8_t base;	   /* ICW2: vector of IR0 */
	uint8_t icw3;	   /* cascade: which lines have a slave, or whose slave this is */
	uint8_t icw_next;  /* 2, 3 or 4: the ICW that A0=1 takes next; 0: none */
	uint8_t ready;	   /* the initialisation sequence has been completed */
	uint8_t need_icw4; /* from ICW1 */
	uint8_t single;	   /* from ICW1 */
	uint8_t aeoi, sfnm;
	uint8_t smm;	  /* special mask mode */
	uint8_t rot_aeoi; /* rotate on automatic EOI */
	uint8_t lowest;	  /* the level with the lowest priority now */
	uint8_t read_isr; /* A0=0 reads ISR instead of IRR */
	uint8_t poll;	  /* the next A0=0 read is a poll */
};

struct i8259_state {
	struct i8259_chip chip[2];
	uint8_t intr; /* the CPU's INTR input */
	uint8_t pad[3];
};

#endif
