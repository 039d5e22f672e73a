/*
 * What breakpoints cost a run in emulate: instructions per second of processor time with none, with one at an address
 * that is never reached, with one in the hot code that is never stopped at, and with one on memory.
 *
 *   bench_breaks [IMAGE [SECONDS]]
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/loader.h"
#include "modes/modes.h"
#include "session/control_impl.h"

static void die(const char *what, const char *text)
{
	fprintf(stderr, "bench_breaks: %s: %s\n", what, text);
	exit(1);
}

static void measure(const char *path, double seconds, const char *what, const struct breakpoint *b, uint64_t warm)
{
	struct errmsg why = {""};
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_II),
	    .guest = "bench",
	    .mem_size = 16 << 20,
	    .n_vcpus = 1,
	    .clock = CLOCK_VIRTUAL};
	static char image[1 << 20];
	struct load_request r = {.name = path, .image = (uint8_t *)image};
	struct breakpoint copy = b ? *b : (struct breakpoint){0};
	struct session *s;
	struct control *c;
	struct vm *vm;
	FILE *f = fopen(path, "rb");

	if (!f)
		die(path, "cannot be read");
	r.len = fread(image, 1, sizeof image, f);
	fclose(f);
	if (vm_create(&cfg, &vm, &why) != ERR_OK || image_load(vm, &r, &why) != ERR_OK ||
	    session_open_local(vm, &s, &why) != ERR_OK || control_open(s, NULL, &c, &why) != ERR_OK)
		die(path, why.text);
	if (control_step_insn(c, warm, &why) != ERR_OK)
		die("step", why.text);
	if (b && copy.kind == BREAK_INSN && copy.lo == 0)
		copy.lo = copy.hi = x86_linear_ip(&vm->vcpus[0].cpu);
	if (b && control_break_add(c, &copy, &why) != ERR_OK)
		die("break", why.text);
	uint64_t insns = vm->clock.insns, cpu = host_posix_ops.ran_ns();
	while ((double)(host_posix_ops.ran_ns() - cpu) < seconds * 1e9 && !vm->ended)
		if (control_run_for(c, 20000000) != ERR_OK)
			die("run", c->failure.text);
	double ran = (double)(host_posix_ops.ran_ns() - cpu) / 1e9;
	printf("%-34s %8.1f M instructions/s\n", what, (double)(vm->clock.insns - insns) / ran / 1e6);
	control_close(c);
	s->ops->close(s);
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "build/release/guests/primes.elf";
	double seconds = argc > 2 ? atof(argv[2]) : 1;
	const struct breakpoint far = {.kind = BREAK_INSN, .lo = 0x7000ab3, .hi = 0x7000ab3},
				here = {.kind = BREAK_INSN, .skip = UINT64_MAX},
				memory = {.kind = BREAK_MEM, .lo = 0x500, .hi = 0x507};

	measure(path, seconds, "no breakpoint", NULL, 1000000);
	measure(path, seconds, "at an address that is not reached", &far, 1000000);
	measure(path, seconds, "in the loop, passed over", &here, 1000000);
	measure(path, seconds, "on memory that is not touched", &memory, 1000000);
	return 0;
}
