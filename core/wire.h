/*
 * Frames on the serial line between a bare-metal VMM and the hosted program. Freestanding: both ends use this file.
 *
 *   0  u8   0xd5, 0xaa        sync
 *   2  u8   type              enum msg_type (core/remote.h)
 *   3  u8   vm                which guest, from 0
 *   4  u32  seq               counts the frames of one direction, from 0
 *   8  u32  len               of the payload, at most WIRE_PAYLOAD_MAX
 *  12  u32  CRC-32 of bytes 0 to 11
 *  16  payload
 *      u32  CRC-32 of the payload
 *
 * All numbers are little-endian. The line may drop, change and insert bytes: a receiver looks for the next good header,
 * counts what it skipped as noise, and counts the numbers that are missing in seq as lost frames. Nothing is sent twice
 * here; whoever needs an answer asks again (core/remote.h). CRC-32 as in IEEE 802.3.
 *
 * A VMM that polls a UART of 16 bytes looks at it once a time slice. On such a line (no second disk) and once guests
 * run, the session sends the byte WIRE_WAKE, waits for WIRE_WAKE_NS, and then speaks; the VMM listens from that byte
 * on.
 */
#ifndef VMSCOPE_CORE_WIRE_H
#define VMSCOPE_CORE_WIRE_H

#include "core/types.h"

#define WIRE_WAKE 0x00u
#define WIRE_WAKE_NS 25000000ull /* longer than a slice */
#define WIRE_HEADER 16u
#define WIRE_PAYLOAD_MAX 8192u
#define WIRE_FRAME_MAX (WIRE_HEADER + WIRE_PAYLOAD_MAX + 4u)

/* crc: 0 to begin with, or the result so far. */
uint32_t wire_crc32(uint32_t crc, const void *p, size_t n);

struct wire_tx {
	uint32_t seq;
	void (*put)(void *arg, const void *p, size_t n); /* all n bytes; may wait */
	void *arg;
};
/* payload may be NULL when n is 0; n <= WIRE_PAYLOAD_MAX. */
void wire_send(struct wire_tx *t, uint8_t type, uint8_t vm, const void *payload, size_t n);

struct wire_frame {
	uint8_t type, vm;
	uint32_t seq, len;
	const uint8_t *payload; /* 8-byte aligned; valid during the call */
};

struct wire_rx {
	_Alignas(8) uint8_t buf[WIRE_FRAME_MAX];
	uint32_t have;
	uint32_t need; /* bytes in buf before it is worth looking at them again */
	uint32_t next_seq;
	bool seen;					/* a good frame came */
	uint64_t frames, lost, noise_bytes, bad_frames; /* lost: since the first good frame */
};
void wire_rx_init(struct wire_rx *r);
/* Any number of bytes at a time; calls got() for each good frame. got() must not feed the same receiver. */
void wire_rx_feed(
    struct wire_rx *r, const void *p, size_t n, void (*got)(void *arg, const struct wire_frame *f), void *arg);

#endif
