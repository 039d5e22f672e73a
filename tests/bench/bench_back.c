/*
 * Going back: what checkpoints cost a run, and how long the way back to any point of it takes.
 *
 *   bench_back [IMAGE [SECONDS [MIB [COMMAND LINE]]]]
 *
 * The guest runs for so many seconds of processor time in emulate, with 64 MiB; then random places of the run are
 * visited, each once, and the machine there is compared with what it was (as a hash) when some of them were first
 * passed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lib.h"
#include "core/loader.h"
#include "core/snapshot.h"
#include "modes/modes.h"
#include "session/control_impl.h"

#define PLACES 40u
#define PROBES 12u

static struct control *c;
static struct vm *vm;
static uint64_t x = 88172645463325252ull;

static uint64_t rnd(uint64_t n)
{
	x ^= x << 13, x ^= x >> 7, x ^= x << 17;
	return n ? x % n : 0;
}

static double now(void)
{
	return (double)host_posix_ops.now_ns() / 1e9;
}

static void die(const char *what, const char *text)
{
	fprintf(stderr, "bench_back: %s: %s\n", what, text);
	exit(1);
}

static void *read_file(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	char *data = malloc(16 << 20);

	if (!f || !data)
		die(path, "cannot be read");
	*n = fread(data, 1, 16 << 20, f);
	fclose(f);
	return data;
}

static uint64_t state_hash(void)
{
	struct errmsg why;
	size_t n = snapshot_machine_size(vm), used;
	uint8_t *buf = malloc(n);

	if (!buf || snapshot_machine_save(vm, buf, n, &used, &why) != ERR_OK)
		die("snapshot", "failed");
	uint64_t h = fnv64(mem_hash(&vm->mem), buf, used);
	free(buf);
	return h;
}

static void open_guest(const char *path, uint64_t mib, const char *cmdline)
{
	struct errmsg why = {""};
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_II),
	    .guest = "bench",
	    .mem_size = mib << 20,
	    .n_vcpus = 1,
	    .clock = CLOCK_VIRTUAL};
	struct load_request r = {.name = path, .cmdline = cmdline};
	struct session *s;

	r.image = read_file(path, &r.len);
	if (vm_create(&cfg, &vm, &why) != ERR_OK || image_load(vm, &r, &why) != ERR_OK ||
	    session_open_local(vm, &s, &why) != ERR_OK || control_open(s, NULL, &c, &why) != ERR_OK)
		die(path, why.text);
	free((void *)(uintptr_t)r.image);
}

struct place {
	struct vm_position at;
	uint64_t hash;
};

/* Others have the processor, too: only what this guest had of it counts. False: it has ended. */
static bool run_piece_of(double seconds)
{
	uint64_t end = host_posix_ops.ran_ns() + (uint64_t)(seconds * 1e9);

	do {
		if (control_run_for(c, 20000000) != ERR_OK)
			die("run", c->failure.text);
		if (control_where(c)->stop != CONTROL_INTERRUPTED)
			return false;
	} while (host_posix_ops.ran_ns() < end);
	return true;
}

/* Runs for so long, and notes what the machine is at a few places. */
static unsigned run(double seconds, struct place *seen)
{
	double start = now(), away = 0, pieces = PROBES;
	uint64_t cpu = host_posix_ops.ran_ns();
	unsigned n = 0;

	while (n < PROBES) {
		if (!run_piece_of(seconds / pieces))
			break;
		double t = now();
		uint64_t at = host_posix_ops.ran_ns();
		vm_position(vm, &seen[n].at);
		seen[n++].hash = state_hash();
		away += now() - t;
		cpu += host_posix_ops.ran_ns() - at;
	}
	struct history_facts f;
	history_facts(c->history, &f);
	double took = now() - start - away, ran = (double)(host_posix_ops.ran_ns() - cpu) / 1e9;
	printf("ran %.2f s (processor: %.2f s), %llu M instructions, %llu exits; %llu checkpoints made, %llu held, "
	       "%.1f MiB; they took %.2f %% of "
	       "the processor time\n",
	    took, ran, (unsigned long long)vm->clock.insns / 1000000, (unsigned long long)control_where(c)->exits,
	    (unsigned long long)f.taken, (unsigned long long)f.checkpoints, (double)f.bytes / (1 << 20),
	    100 * (double)f.cost_ns / 1e9 / ran);
	return n;
}

/* In processor time: others have the processor, too. */
static double visit(uint64_t insns)
{
	struct errmsg why = {""};
	uint64_t t = host_posix_ops.ran_ns();

	if (control_goto_insn(c, insns, &why) != ERR_OK)
		die("go back", why.text);
	return (double)(host_posix_ops.ran_ns() - t) / 1e9;
}

int main(int argc, char **argv)
{
	const char *image = argc > 1 ? argv[1] : "/boot/memtest86+x64.bin";
	struct place seen[PROBES];
	double worst = 0, sum = 0;
	unsigned wrong = 0;

	FILE *f = fopen(image, "rb");
	if (!f) {
		printf("bench_back: %s is not here\n", image);
		return 0;
	}
	fclose(f);
	open_guest(
	    image, argc > 3 ? strtoull(argv[3], NULL, 0) : 64, argc > 4 ? argv[4] : "nosmp console=ttyS0,115200");
	unsigned n = run(argc > 2 ? atof(argv[2]) : 5, seen);
	uint64_t end = vm->clock.insns;
	for (unsigned i = 0; i < PLACES; i++) {
		double t = visit(rnd(end));

		sum += t;
		worst = t > worst ? t : worst;
	}
	for (unsigned i = 0; i < n; i++) {
		struct vm_position p;
		double t = visit(seen[i].at.insns);

		worst = t > worst ? t : worst;
		vm_position(vm, &p);
		if (!position_same(&p, &seen[i].at))
			continue; /* it had slept: the first arrival there is an earlier place */
		wrong += state_hash() != seen[i].hash;
	}
	printf("%u places: %.3f s of processor time on average, %.3f s at worst; %u of %u states differ\n", PLACES + n,
	    sum / PLACES, worst, wrong, n);
	return wrong != 0 || worst > 2;
}
