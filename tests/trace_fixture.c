/* See the header. */
#include "tests/trace_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t fixed_now(void)
{
	return 5000000000ull;
}

static const struct host_ops host = {.now_ns = fixed_now, .cycles = fixed_now};
static const struct mode_ops mode = {
    .name = "emulate",
    .engine = "fake",
    .mode = MODE_EMULATE,
    .type = VMM_TYPE_II,
    .caps = MODE_CAP_COUNTS_INSNS | MODE_CAP_VIRTUAL_TIME | MODE_CAP_HOST_TIME,
};
static const struct cost_model cost = {.name = "test"};

struct vm *trace_fake_vm(unsigned n_vcpus, enum clock_kind clock)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	vm->vcpus = calloc(n_vcpus, sizeof(*vm->vcpus));
	vm->n_vcpus = n_vcpus;
	vm->cfg = (struct vm_config){
	    .host = &host, .mode = &mode, .guest = "labs/hello", .mem_size = 64 << 20, .clock = clock, .cost = &cost};
	strcpy(vm->controls.name, "vtx-ept");
	clock_init(&vm->clock, &host, clock);
	for (unsigned i = 0; i < n_vcpus; i++) {
		vm->vcpus[i].vm = vm;
		vm->vcpus[i].id = i;
		vm->vcpus[i].state_valid = true;
	}
	return vm;
}

void trace_fake_vm_free(struct vm *vm)
{
	free(vm->vcpus);
	free(vm);
}

static void fill_operands(struct vm_exit *e, unsigned i)
{
	switch (e->reason) {
	case EXIT_IO_INSTRUCTION:
		e->io = (struct exit_io){
		    .port = (uint16_t)(i & 0x3ff), .size = 1, .in = i & 1, .count = 1, .value = i & 0xff};
		break;
	case EXIT_EPT_VIOLATION:
		e->mmio = (struct exit_mmio){.value = i, .size = 4, .write = i & 1, .n_accesses = 1};
		e->gpa = 0xfee00000 + (i & 0xff0);
		break;
	case EXIT_MSR_READ:
	case EXIT_MSR_WRITE:
		e->msr = (struct exit_msr){.index = 0x10, .write = e->reason == EXIT_MSR_WRITE, .value = i};
		break;
	case EXIT_CPUID:
		e->cpuid = (struct exit_cpuid){.leaf = i & 3, .eax = i, .ebx = ~i};
		break;
	case EXIT_CR_ACCESS:
		e->cr = (struct exit_cr){.cr = 4, .value = 0x20};
		break;
	default:
		break;
	}
}

void trace_fake_run(struct vm *vm, unsigned n)
{
	static const uint32_t reasons[] = {EXIT_IO_INSTRUCTION, EXIT_CPUID, EXIT_EPT_VIOLATION, EXIT_MSR_READ,
	    EXIT_IO_INSTRUCTION, EXIT_HLT, EXIT_CR_ACCESS, EXIT_MSR_WRITE, EXIT_VMM_TIMER, EXIT_IO_INSTRUCTION};
	uint64_t seed = 1;

	for (unsigned i = 0; i < n; i++) {
		struct vcpu *v = &vm->vcpus[i % vm->n_vcpus];
		struct vm_exit e = {.reason = reasons[i % ARRAY_LEN(reasons)]};
		struct x86_event irq = {.vector = 32, .type = INTR_TYPE_EXTERNAL};

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		vm->clock.insns += 1 + (seed >> 60);
		if (i % 1000 == 999)
			vm->clock.skipped_ns += 3000000000ull; /* a long HLT: more than 27 bits of nanoseconds */
		e.rip = 0x7c00 + (seed >> 56);
		e.index = v->counts.exits++;
		e.insns = vm->clock.insns;
		e.insn_len = 2;
		e.vcpu = v->id;
		e.time_ns = clock_now_ns(&vm->clock);
		e.cost_ns = 1000 + (seed >> 40 & 0xfff);
		e.cost_modelled = vm->clock.kind == CLOCK_VIRTUAL;
		fill_operands(&e, i);
		v->exit = e;
		if (vm->clock.kind == CLOCK_HOST)
			e.cost_ns = 0; /* known at the next entry only */
		for (unsigned p = 0; p < vm->n_probes; p++) {
			if (vm->probes[p]->on_exit)
				vm->probes[p]->on_exit(vm->probe_args[p], v, &e);
			vm->probes[p]->on_verdict(vm->probe_args[p], v, &e, VERDICT_NEXT);
			if (i % 16 == 5)
				vm->probes[p]->on_inject(vm->probe_args[p], v, &irq);
			v->cpu.s.rip = e.rip + 2;
			if (vm->probes[p]->on_entry)
				vm->probes[p]->on_entry(vm->probe_args[p], v);
		}
	}
	vm->end.kind = END_DEBUG_EXIT;
}

static char tmp_dir[64];

const char *trace_tmp(const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *p = paths[next++ % 8];

	if (!tmp_dir[0]) {
		strcpy(tmp_dir, "/tmp/vmscope-trace-XXXXXX");
		if (!mkdtemp(tmp_dir))
			abort();
	}
	snprintf(p, sizeof(paths[0]), "%s/%s", tmp_dir, name);
	return p;
}

void trace_tmp_remove(void)
{
	DIR *d = tmp_dir[0] ? opendir(tmp_dir) : NULL;
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			unlink(trace_tmp(e->d_name));
	if (d)
		closedir(d);
	if (tmp_dir[0])
		rmdir(tmp_dir);
	tmp_dir[0] = '\0';
}

static uint8_t *read_all(FILE *f, size_t *n)
{
	size_t cap = 65536;
	uint8_t *p = malloc(cap);

	for (*n = 0; p;) {
		size_t got = fread(p + *n, 1, cap - *n - 1, f);

		if (got == 0)
			break;
		*n += got;
		if (*n + 1 >= cap)
			p = realloc(p, cap *= 2);
	}
	if (p)
		p[*n] = 0;
	return p;
}

uint8_t *trace_file_bytes(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	uint8_t *p = f ? read_all(f, n) : NULL;

	if (f)
		fclose(f);
	return p;
}

bool trace_file_write(const char *path, const void *bytes, size_t n)
{
	FILE *f = fopen(path, "wb");
	bool ok = f && fwrite(bytes, 1, n, f) == n;

	return f && fclose(f) == 0 && ok;
}

char *trace_command(const char *command, int *status)
{
	char *with_errors = NULL;
	uint8_t *out = NULL;
	size_t n;
	FILE *f = asprintf(&with_errors, "%s 2>&1", command) < 0 ? NULL : popen(with_errors, "r");

	if (f) {
		out = read_all(f, &n);
		*status = pclose(f);
		*status = WIFEXITED(*status) ? WEXITSTATUS(*status) : -1;
	}
	free(with_errors);
	return (char *)out;
}

bool trace_have_command(const char *name)
{
	char command[128];
	int status = -1;

	snprintf(command, sizeof(command), "command -v %s", name);
	free(trace_command(command, &status));
	return status == 0;
}
