/*
 * sort: quicksort and insertion sort of random numbers: branches that nobody can predict.
 */
#include "bench.h"

#define COUNT 20000

static int32_t v[COUNT];

static void insertion(int32_t *a, int32_t n)
{
	for (int32_t i = 1; i < n; i++) {
		int32_t x = a[i], k = i;

		for (; k > 0 && a[k - 1] > x; k--)
			a[k] = a[k - 1];
		a[k] = x;
	}
}

static void quick(int32_t *a, int32_t n)
{
	while (n > 12) {
		int32_t pivot = a[n / 2], i = 0, j = n - 1;

		while (i <= j) {
			while (a[i] < pivot)
				i++;
			while (a[j] > pivot)
				j--;
			if (i <= j) {
				int32_t t = a[i];

				a[i++] = a[j];
				a[j--] = t;
			}
		}
		quick(a, j + 1);
		a += i;
		n -= i;
	}
	insertion(a, n);
}

void guest_main(void)
{
	uint32_t n = arg("n", 60), seed = 1, sum = 0;

	for (uint32_t round = 0; round < n; round++) {
		for (uint32_t i = 0; i < COUNT; i++)
			v[i] = (int32_t)next_random(&seed);
		quick(v, COUNT);
		for (uint32_t i = 0; i < COUNT; i++)
			sum = sum * 31 + (uint32_t)v[i];
	}
	result(sum);
}
