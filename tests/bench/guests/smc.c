/*
 * smc: code that changes. A function whose immediate operand is rewritten before each call, one that is copied to
 * another place and called there, and data written beside code in the same page.
 */
#include "bench.h"

/* mov eax, imm32; add eax, edi; ret */
static const uint8_t template[] = {0xb8, 0, 0, 0, 0, 0x01, 0xf8, 0xc3};

static uint8_t page[4096] __attribute__((aligned(4096), section(".data")));

typedef uint32_t (*code)(uint32_t);

static uint32_t call(uint32_t at, uint32_t x)
{
	__asm__ volatile("" : : : "memory");
	return ((code)(uintptr_t)(page + at))(x);
}

void guest_main(void)
{
	uint32_t n = arg("n", 1500000), sum = 0;
	volatile uint32_t *data = (volatile uint32_t *)(page + 2048);

	for (uint32_t i = 0; i < sizeof(template); i++)
		page[i] = page[1024 + i] = template[i];
	for (uint32_t round = 0; round < n; round++) {
		*(volatile uint32_t *)(page + 1) = round; /* patched, called */
		sum = sum * 3 + call(0, sum);
		sum += call(1024, round); /* unchanged, in the same page */
		data[round & 63] += sum;  /* data beside code */
		if (round % 16 == 0) {
			uint32_t at = 128 + (round >> 4) % 32 * 16;

			for (uint32_t i = 0; i < sizeof(template); i++)
				page[at + i] = template[i];
			sum ^= call(at, round);
		}
	}
	for (uint32_t i = 0; i < 64; i++)
		sum = sum * 31 + data[i];
	result(sum);
}
