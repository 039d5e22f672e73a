/*
 * crc: CRC-32 by table, a chain of dependent loads.
 */
#include "bench.h"

static uint32_t table[256];
static uint8_t data[16384];

void guest_main(void)
{
	uint32_t n = arg("n", 1000), seed = 1, crc = ~0u;

	for (uint32_t i = 0; i < 256; i++) {
		uint32_t v = i;

		for (unsigned k = 0; k < 8; k++)
			v = v >> 1 ^ (v & 1 ? 0xedb88320 : 0);
		table[i] = v;
	}
	for (uint32_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)next_random(&seed);
	for (uint32_t round = 0; round < n; round++)
		for (uint32_t i = 0; i < sizeof(data); i++)
			crc = table[(crc ^ data[i]) & 0xff] ^ crc >> 8;
	result(~crc);
}
