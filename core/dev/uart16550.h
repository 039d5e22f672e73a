/*
 * The state of the serial port, for uart16550.c and for who shows it.
 */
#ifndef VMSCOPE_CORE_DEV_UART16550_H
#define VMSCOPE_CORE_DEV_UART16550_H

#include "core/types.h"

#define UART_FIFO_SIZE 16u
#define UART_BACKLOG_SIZE 4096u /* a power of two */

struct uart16550_state {
	uint8_t ier, fcr, lcr, mcr, scr;
	uint8_t oe;	    /* overrun: LSR bit 1 */
	uint8_t head_seen;  /* the error bits of the byte at the front were read */
	uint8_t msr;	    /* levels and deltas */
	uint8_t dll, dlm;   /* divisor latch */
	uint8_t tx_pending; /* "transmitter empty" not yet reported */
	uint8_t timed_out;  /* bytes wait below the trigger level for four character times */
	uint8_t n;	    /* bytes in the receiver */
	uint8_t pad[3];
	uint8_t fifo[UART_FIFO_SIZE];
	uint8_t fifo_error[UART_FIFO_SIZE]; /* LSR bits that came with the byte */
	uint64_t active_ns;		    /* last time that a byte came in or was read */
	uint32_t backlog_in, backlog_out;   /* running counts */
	uint8_t backlog[UART_BACKLOG_SIZE];
};

#endif
