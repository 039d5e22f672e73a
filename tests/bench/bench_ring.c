/*
 * What tracing costs the vCPU: nanoseconds for one record, by itself (the ring is emptied between measurements) and
 * with a consumer on another CPU; and what the writer thread spends to turn a record into events on disk.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/trace_fixture.h"
#include "tracer/encode.h"

#define SLOTS 16384u
#define ROUNDS 400u

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void fill(struct trace_rec *p, uint64_t i)
{
	p->ts = i;
	p->rip = i;
	p->reason = EXIT_IO_INSTRUCTION;
	p->kind = TRACE_REC_EXIT;
	p->verdict = p->observed = p->modelled = p->insn_len = 0;
	p->exit = (struct trace_rec_exit){.raw = {i, i, i, i}, .gpa = i, .cost_ns = i, .index = i, .insns = i};
}

static uint32_t drain(struct ring *r)
{
	uint32_t n;

	(void)ring_peek(r, &n);

	ring_release(r, n);
	return n;
}

static double bench_push(struct ring *r)
{
	double spent = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		double start = now_ns();

		for (uint64_t i = 0; i < SLOTS; i++) {
			struct trace_rec *p = ring_reserve(r);

			if (p) {
				fill(p, i);
				ring_commit(r);
			}
		}
		spent += now_ns() - start;
		while (drain(r))
			;
	}
	return spent / (ROUNDS * (double)SLOTS);
}

static volatile bool stop;

static void *consumer(void *arg)
{
	while (!stop)
		drain(arg);
	return NULL;
}

static double bench_pair(struct ring *r, uint64_t *lost)
{
	pthread_t t;
	double start;

	if (pthread_create(&t, NULL, consumer, r) != 0)
		return -1;
	start = now_ns();
	for (uint64_t i = 0; i < (uint64_t)ROUNDS * SLOTS; i++) {
		struct trace_rec *p = ring_reserve(r);

		if (p) {
			fill(p, i);
			ring_commit(r);
		}
	}
	start = now_ns() - start;
	stop = true;
	pthread_join(t, NULL);
	*lost = ring_lost(r);
	return start / (ROUNDS * (double)SLOTS);
}

static double bench_encode(void)
{
	struct trace_dat_config c = {
	    .path = trace_tmp("bench.dat"), .lanes = 1, .clock = "mono", .writer = "bench", .comm = "bench", .pids = 1};
	struct trace_dat *td;
	struct errmsg why;
	enum { RECORDS = 1000000 };
	double start;

	if (trace_dat_create(&c, &td, &why) != ERR_OK) {
		fprintf(stderr, "%s\n", why.text);
		return -1;
	}
	start = now_ns();
	for (uint64_t i = 0; i < RECORDS; i++) {
		struct trace_rec r = {0};

		fill(&r, i * 100);
		encode_rec(td, ENCODE_EXITS, 0, &r);
	}
	start = now_ns() - start;
	if (trace_dat_close(td, &why) != ERR_OK)
		fprintf(stderr, "%s\n", why.text);
	trace_tmp_remove();
	return start / (double)RECORDS;
}

int main(void)
{
	struct trace_rec *slots = calloc(SLOTS, sizeof(*slots));
	struct ring r;
	uint64_t lost = 0;

	if (!slots)
		return 1;
	ring_init(&r, slots, sizeof(slots[0]), SLOTS, RING_DROP, NULL, NULL, NULL);
	bench_push(&r); /* warm */
	printf("ring: %.1f ns a record (%zu bytes)\n", bench_push(&r), sizeof(*slots));
	printf("ring, with a consumer on another CPU: %.1f ns a record", bench_pair(&r, &lost));
	printf(", %.1f %% dropped\n", 100 * (double)lost / (ROUNDS * (double)SLOTS));
	printf("writer: %.1f ns a record (two events, to disk)\n", bench_encode());
	free(slots);
	return 0;
}
