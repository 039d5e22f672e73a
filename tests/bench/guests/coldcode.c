/*
 * coldcode: much code, each piece run twice and then replaced, as a boot or a just-in-time compiler does: what decoding
 * costs.
 */
#include "bench.h"

#define BYTES (1u << 20)
#define SLOT 64u

/* Length, then: add eax, edi; rol eax, 3; xor edi, imm32; lea edi, [rdi+rax]; imul eax, eax, imm8 */
static const uint8_t pieces[5][8] = {
    {2, 0x01, 0xf8}, {3, 0xc1, 0xc0, 3}, {6, 0x81, 0xf7, 1, 2, 3, 4}, {3, 0x8d, 0x3c, 0x07}, {3, 0x6b, 0xc0, 0x35}};

static uint8_t text[BYTES] __attribute__((aligned(4096)));

typedef uint32_t (*code)(uint32_t);

void guest_main(void)
{
	uint32_t n = arg("n", 16), seed = 1, sum = 0;

	for (uint32_t round = 0; round < n; round++) {
		for (uint32_t slot = 0; slot < BYTES; slot += SLOT) {
			uint32_t at = slot;

			for (unsigned k = 0; k < 8; k++) {
				const uint8_t *p = pieces[next_random(&seed) % 5];

				for (unsigned i = 1; i <= p[0]; i++)
					text[at++] = p[i];
			}
			text[at] = 0xc3;
		}
		__asm__ volatile("" : : : "memory");
		for (unsigned pass = 0; pass < 2; pass++)
			for (uint32_t slot = 0; slot < BYTES; slot += SLOT)
				sum = sum * 3 + ((code)(uintptr_t)(text + slot))(sum);
	}
	result(sum);
}
