/*
 * matrix: products of matrices of 64-bit integers.
 */
#include "bench.h"

#define N 64

static int64_t a[N][N], b[N][N], c[N][N];

void guest_main(void)
{
	uint32_t n = arg("n", 30), seed = 1, sum = 0;

	for (unsigned i = 0; i < N; i++)
		for (unsigned j = 0; j < N; j++) {
			a[i][j] = next_random(&seed) & 0xffff;
			b[i][j] = next_random(&seed) & 0xffff;
		}
	for (uint32_t round = 0; round < n; round++) {
		for (unsigned i = 0; i < N; i++)
			for (unsigned j = 0; j < N; j++) {
				int64_t t = 0;

				for (unsigned x = 0; x < N; x++)
					t += a[i][x] * b[x][j];
				c[i][j] = t;
			}
		for (unsigned i = 0; i < N; i++)
			for (unsigned j = 0; j < N; j++)
				a[i][j] = c[i][j] & 0xffff;
	}
	for (unsigned i = 0; i < N; i++)
		for (unsigned j = 0; j < N; j++)
			sum = sum * 31 + (uint32_t)c[i][j];
	result(sum);
}
