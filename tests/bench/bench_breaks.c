/*
 * What breakpoints cost a run in emulate: instructions per second of processor time with none, with one at an address
 * that is never reached, with one in the hot code that is never stopped at, and with one on memory.
 *
 *   bench_breaks [IMAGE [SECONDS]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/lib.h"
#include "core/loader.h"
#include "modes/modes.h"
#include "session/control.h"

#define WARM_INSNS 1000000u

static void die(const char *what, const char *text)
{
	fprintf(stderr, "bench_breaks: %s: %s\n", what, text);
	exit(1);
}

static const char *default_guest(void)
{
	static char path[1024];
	ssize_t n = readlink("/proc/self/exe", path, 900);

	if (n <= 0)
		die("/proc/self/exe", "cannot be read");
	path[n] = 0;
	for (int up = 0; up < 3; up++)
		*strrchr(path, '/') = 0;
	return strcat(path, "/guests/bench/sort.elf");
}

static struct vm *open_guest(const char *path, struct session **s, struct control **c)
{
	struct errmsg why = {""};
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_II),
	    .guest = "bench",
	    .mem_size = 16 << 20,
	    .n_vcpus = 1,
	    .clock = CLOCK_VIRTUAL};
	static uint8_t image[1 << 20];
	struct load_request r = {.name = path, .image = image};
	struct vm *vm;
	FILE *f = fopen(path, "rb");

	if (!f)
		die(path, "cannot be read");
	r.len = fread(image, 1, sizeof image, f);
	fclose(f);
	if (vm_create(&cfg, &vm, &why) != ERR_OK || image_load(vm, &r, &why) != ERR_OK ||
	    session_open_local(vm, s, &why) != ERR_OK || control_open(*s, NULL, c, &why) != ERR_OK)
		die(path, why.text);
	return vm;
}

/* Instructions per second. A breakpoint at 0 is where the guest is after a while. */
static double measure(const char *path, double seconds, struct breakpoint b)
{
	struct errmsg why = {""};
	struct session *s;
	struct control *c;
	struct vm *vm = open_guest(path, &s, &c);

	if (control_step_insn(c, WARM_INSNS, &why) != ERR_OK)
		die("step", why.text);
	if (b.kind == BREAK_INSN && b.lo == 0)
		b.lo = b.hi = x86_linear_ip(&vm->vcpus[0].cpu);
	if (b.kind != BREAK_KINDS && control_break_add(c, &b, &why) != ERR_OK)
		die("break", why.text);
	uint64_t insns = vm->clock.insns, cpu = host_posix_ops.ran_ns(), ran;
	do {
		if (control_run_for(c, 20000000) != ERR_OK)
			die("run", control_where(c)->failure);
		ran = host_posix_ops.ran_ns() - cpu;
	} while ((double)ran < seconds * 1e9 && !vm->ended);
	double rate = (double)(vm->clock.insns - insns) / ((double)ran / 1e9);
	control_close(c);
	s->ops->close(s);
	return rate;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *what;
		struct breakpoint b;
	} cases[] = {
	    {"none", {.kind = BREAK_KINDS}},
	    {"at an address that is not reached", {.kind = BREAK_INSN, .lo = 0x7000ab3, .hi = 0x7000ab3}},
	    {"at an address in a loop, passed over", {.kind = BREAK_INSN, .skip = UINT64_MAX}},
	    {"on memory that is not touched", {.kind = BREAK_MEM, .lo = 0x500, .hi = 0x507}},
	};
	const char *path = argc > 1 ? argv[1] : default_guest();
	double seconds = argc > 2 ? atof(argv[2]) : 0.4, best[ARRAY_LEN(cases)] = {0};

	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
			double rate = measure(path, seconds, cases[i].b);

			best[i] = rate > best[i] ? rate : best[i];
		}
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++)
		printf("breakpoint %-38s %8.1f M instructions/s\n", cases[i].what, best[i] / 1e6);
	return best[1] < 0.75 * best[0]; /* what is not reached must cost nothing; the rest is noise */
}
