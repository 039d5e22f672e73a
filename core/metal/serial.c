/*
 * COM1, a 16550 UART at 115200 baud, polled: the VMM's line to a person or to the hosted program. The VMM looks when it
 * has time, also while it sends, and the 16-byte FIFO of the chip bridges absences of a millisecond. The interrupt for
 * received data does nothing but wake a VMM that sleeps: it is masked in the 8259A otherwise.
 * Every wait has a bound, since a machine may have no COM1 at all (it reads as FFh), or a line on which nobody takes
 * the bytes.
 */
#include "core/metal/metal_priv.h"

#define COM1 0x3f8u
enum { DATA, IER, FCR, LCR, MCR, LSR, DLL = DATA, DLM = IER };
#define IER_DATA 0x01u
#define LCR_8N1 0x03u
#define LCR_DLAB 0x80u
#define FCR_ON_CLEAR_14 0xc7u
#define MCR_DTR_RTS_OUT2 0x0bu
#define LSR_DATA 0x01u
#define LSR_THR_EMPTY 0x20u
#define FIFO 16u
/* Reads of the line status; a FIFO drains in 1.4 ms, and a port read takes about 1 us on hardware. */
#define PATIENCE 2000000u
#define INBOX 16384u /* a power of two, and longer than the longest frame */

static bool present, stuck;
static uint8_t inbox[INBOX];
static unsigned inbox_in, inbox_out; /* counts of bytes */
uint64_t serial_dropped;

static uint8_t reg_read(unsigned r)
{
	return cpu_in8((uint16_t)(COM1 + r));
}

static void reg_write(unsigned r, unsigned v)
{
	cpu_out8((uint16_t)(COM1 + r), (uint8_t)v);
}

void serial_init(void)
{
	reg_write(IER, 0);
	reg_write(LCR, LCR_DLAB);
	reg_write(DLL, 1); /* 115200 */
	reg_write(DLM, 0);
	reg_write(LCR, LCR_8N1);
	reg_write(FCR, FCR_ON_CLEAR_14);
	reg_write(MCR, MCR_DTR_RTS_OUT2);
	reg_write(IER, IER_DATA);
	present = reg_read(LSR) != 0xff;
}

/* Both directions go on at once, so whoever waits for the one empties the other. Returns the line status. */
static uint8_t take_input(void)
{
	uint8_t lsr = reg_read(LSR);

	for (; (lsr & LSR_DATA) && inbox_in - inbox_out < INBOX; lsr = reg_read(LSR))
		inbox[inbox_in++ % INBOX] = reg_read(DATA);
	return lsr;
}

/* False: the transmitter did not get empty in time. After that only one look is spent until it moves again. */
static bool wait_empty(void)
{
	for (unsigned i = 0; i < PATIENCE; i++) {
		if (take_input() & LSR_THR_EMPTY) {
			stuck = false;
			return true;
		}
		if (stuck)
			return false;
		cpu_pause();
	}
	stuck = true;
	return false;
}

void serial_put(const void *p, size_t n)
{
	const uint8_t *b = p;

	while (n > 0) {
		size_t k = n < FIFO ? n : FIFO;

		if (!present || !wait_empty()) {
			serial_dropped += n;
			return;
		}
		for (size_t i = 0; i < k; i++)
			reg_write(DATA, b[i]);
		b += k;
		n -= k;
	}
}

void serial_text(const void *p, size_t n)
{
	const char *s = p;
	size_t from = 0;

	for (size_t i = 0; i < n; i++)
		if (s[i] == '\n') {
			serial_put(s + from, i - from);
			serial_put("\r\n", 2);
			from = i + 1;
		}
	serial_put(s + from, n - from);
}

int serial_get(void)
{
	if (present && inbox_in == inbox_out)
		(void)take_input();
	return inbox_in != inbox_out ? inbox[inbox_out++ % INBOX] : -1;
}

bool serial_waiting(void)
{
	return inbox_in != inbox_out || (present && (reg_read(LSR) & LSR_DATA));
}
