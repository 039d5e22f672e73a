/*
 * One 8254 counter as arithmetic: its complete state at a tick of the crystal, and how it is after any number of
 * further ticks, in constant time. Apart from the device so that tests can hold it against a tick-by-tick model.
 */
#ifndef VMSCOPE_CORE_DEV_I8254_H
#define VMSCOPE_CORE_DEV_I8254_H

#include "core/types.h"

struct i8254_counter {
	uint64_t at;	 /* the tick for which the rest is true */
	uint32_t count;	 /* counting element, binary, 0..modulus-1 */
	uint32_t reload; /* count register, binary; 0 means the modulus */
	uint8_t mode;	 /* 0..5 */
	uint8_t bcd;	 /* modulus 10000 instead of 65536 */
	uint8_t access;	 /* 1 low byte, 2 high byte, 3 low then high */
	uint8_t gate, out;
	uint8_t loaded;	    /* the counting element holds something since the control word */
	uint8_t load_next;  /* the next tick moves reload into the counting element */
	uint8_t armed;	    /* the one-shot or strobe is still to come */
	uint8_t odd;	    /* mode 3: the loaded count was odd */
	uint8_t stopped;    /* mode 0: between the two bytes of a new count */
	uint8_t null_count; /* written, but not loaded yet */
	uint8_t written;    /* a count was written since the control word */
	uint8_t pad[4];
};

struct i8254_channel {
	struct i8254_counter c;
	uint16_t latch;	 /* latched count */
	uint8_t latched; /* a count is latched */
	uint8_t status;	 /* latched status */
	uint8_t status_latched;
	uint8_t read_high;  /* the next read gives the high byte (access 3) */
	uint8_t write_high; /* the next write is the high byte (access 3) */
	uint8_t low;	    /* the low byte that was written */
};

struct i8254_state {
	struct i8254_channel ch[3];
	uint8_t port61;
	uint8_t pad[7];
};

void i8254_advance(struct i8254_counter *c, uint64_t tick);
void i8254_control(struct i8254_counter *c, unsigned mode, unsigned access, bool bcd);
void i8254_set_gate(struct i8254_counter *c, bool gate);
/* A complete count was written; half: only the first byte of two. */
void i8254_set_count(struct i8254_counter *c, uint16_t value, bool half);
/* What a read of the counting element gives, in BCD when so programmed. */
uint16_t i8254_count(const struct i8254_counter *c);
/* The next tick after c->at at which OUT goes from low to high; UINT64_MAX when it never does by itself. */
uint64_t i8254_next_rise(const struct i8254_counter *c);

#endif
