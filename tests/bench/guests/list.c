/*
 * list: pointer chasing through 64 K nodes in random order, 4 MiB of them.
 */
#include "bench.h"

#define NODES 65536u

struct node {
	struct node *next;
	uint32_t value, pad[13];
};

static struct node nodes[NODES];

void guest_main(void)
{
	uint32_t n = arg("n", 10000000), seed = 1, sum = 0;

	for (uint32_t i = 0; i < NODES; i++) {
		nodes[i].next = &nodes[i];
		nodes[i].value = i;
	}
	for (uint32_t i = NODES - 1; i > 0; i--) { /* Sattolo: one cycle through all of them */
		uint32_t k = next_random(&seed) % i;
		struct node *t = nodes[i].next;

		nodes[i].next = nodes[k].next;
		nodes[k].next = t;
	}
	struct node *p = nodes;
	for (uint32_t i = 0; i < n; i++) {
		sum = sum * 3 + p->value;
		p = p->next;
	}
	result(sum);
}
