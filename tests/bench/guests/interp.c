/*
 * interp: a bytecode interpreter that calls its operations through a table: indirect calls to changing targets.
 */
#include "bench.h"

#define CODE 512

struct machine {
	uint32_t stack[16], sp, acc;
};

static void op_push(struct machine *m)
{
	m->stack[m->sp++ & 15] = m->acc;
}
static void op_pop(struct machine *m)
{
	m->acc ^= m->stack[--m->sp & 15];
}
static void op_add(struct machine *m)
{
	m->acc += m->stack[m->sp & 15] + 1;
}
static void op_mul(struct machine *m)
{
	m->acc *= 2654435761u;
}
static void op_rot(struct machine *m)
{
	m->acc = m->acc << 5 | m->acc >> 27;
}
static void op_not(struct machine *m)
{
	m->acc = ~m->acc;
}
static void op_swap(struct machine *m)
{
	uint32_t t = m->stack[m->sp & 15];

	m->stack[m->sp & 15] = m->acc;
	m->acc = t;
}
static void op_mix(struct machine *m)
{
	m->acc ^= m->acc >> 15;
}

static void (*const ops[])(struct machine *m) = {op_push, op_pop, op_add, op_mul, op_rot, op_not, op_swap, op_mix};
static uint8_t code[CODE];

void guest_main(void)
{
	uint32_t n = arg("n", 10000), seed = 1;
	struct machine m = {.acc = 1};

	for (uint32_t i = 0; i < CODE; i++)
		code[i] = next_random(&seed) & 7;
	for (uint32_t round = 0; round < n; round++)
		for (uint32_t i = 0; i < CODE; i++)
			ops[code[i]](&m);
	result(m.acc);
}
