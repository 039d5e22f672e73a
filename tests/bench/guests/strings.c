/*
 * strings: REP MOVS, STOS, CMPS and SCAS over short and long runs, aligned and not.
 */
#include "bench.h"

#define SIZE 65536u

static uint8_t from[SIZE + 64], to[SIZE + 64];

static void movs(void *d, const void *s, uint64_t n)
{
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
}
static void movs8(void *d, const void *s, uint64_t n)
{
	__asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
}
static void stos4(void *d, uint32_t v, uint64_t n)
{
	__asm__ volatile("rep stosl" : "+D"(d), "+c"(n) : "a"(v) : "memory");
}
static uint64_t equal_bytes(const void *d, const void *s, uint64_t n)
{
	uint64_t left = n;
	__asm__ volatile("repe cmpsb" : "+D"(d), "+S"(s), "+c"(left) : : "memory", "cc");
	return n - left;
}
static uint64_t bytes_before(const void *d, uint8_t v, uint64_t n)
{
	uint64_t left = n;
	__asm__ volatile("repne scasb" : "+D"(d), "+c"(left) : "a"(v) : "memory", "cc");
	return n - left;
}

void guest_main(void)
{
	uint32_t n = arg("n", 300), seed = 1, sum = 0;

	for (uint32_t round = 0; round < n; round++) {
		stos4(from, round, SIZE / 4);
		for (uint32_t i = 0; i < 64; i++)
			from[next_random(&seed) % SIZE] = (uint8_t)i;
		movs(to + 3, from + 1, SIZE);
		sum = sum * 31 + (uint32_t)equal_bytes(to + 3, from + 1, SIZE);
		to[3 + SIZE / 2] ^= 0xff;
		sum = sum * 31 + (uint32_t)equal_bytes(to + 3, from + 1, SIZE);
		movs8(to, from, SIZE / 8);
		from[SIZE - 1] = 0xee;
		sum = sum * 31 + (uint32_t)bytes_before(from, 0xee, SIZE);
		for (uint32_t i = 0; i < 512; i++) { /* as a library copies small things */
			movs(to + 100 * i, from + 64 * i, 8 + i % 48);
			sum += (uint32_t)equal_bytes(to + 100 * i, from + 64 * i, 8 + i % 48);
		}
	}
	for (uint32_t i = 0; i < SIZE; i++)
		sum = sum * 31 + to[i];
	result(sum);
}
