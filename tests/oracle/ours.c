/*
 * The first engine of our side: the CPU of core/x86, one instruction at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/oracle/ours.h"

static uint8_t ram[P_END] __attribute__((aligned(4096)));
static struct x86_cpu cpu;
static struct vm_exit vmexit;
static x86_handler broken_handler;

static uint8_t *env_page(void *arg, gpa_t gpa, bool write)
{
	(void)arg;
	(void)write;
	return gpa < sizeof(ram) ? ram + (gpa & ~0xfffull) : NULL;
}

static uint64_t env_mmio_read(void *arg, gpa_t gpa, unsigned n)
{
	(void)arg;
	(void)gpa;
	(void)n;
	abort();
}

static void env_mmio_write(void *arg, gpa_t gpa, unsigned n, uint64_t v)
{
	(void)v;
	env_mmio_read(arg, gpa, n);
}

static uint64_t env_io_read(void *arg, uint16_t port, unsigned n)
{
	return env_mmio_read(arg, port, n);
}

static void env_io_write(void *arg, uint16_t port, unsigned n, uint64_t v)
{
	(void)v;
	env_mmio_read(arg, port, n);
}

static bool env_msr(void *arg, uint32_t msr, uint64_t *v)
{
	(void)arg;
	(void)msr;
	(void)v;
	return false;
}

static bool env_wrmsr(void *arg, uint32_t msr, uint64_t v)
{
	(void)v;
	return env_msr(arg, msr, NULL);
}

static void env_cpuid(void *arg, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	(void)arg;
	x86_cpuid(&cpu, leaf, subleaf, out);
}

static uint64_t env_tsc(void *arg)
{
	(void)arg;
	return 0;
}

static void env_code_written(void *arg, gpa_t gpa, unsigned n)
{
	(void)arg;
	(void)gpa;
	(void)n;
}

static const struct x86_env env = {.page = env_page,
    .mmio_read = env_mmio_read,
    .mmio_write = env_mmio_write,
    .io_read = env_io_read,
    .io_write = env_io_write,
    .rdmsr = env_msr,
    .wrmsr = env_wrmsr,
    .cpuid = env_cpuid,
    .tsc = env_tsc,
    .code_written = env_code_written};

void orc_ours_setup(void)
{
	cpu.env = &env;
	cpu.exit = &vmexit;
	x86_reset(&cpu);
	orc_kernel_setup(&cpu.s, ram);
}

/* One instruction, or as many as it takes to meet an exception. Only a branch may come back to where the case is. */
static enum orc_status run(const struct orc_gen *g, bool *ended)
{
	const struct orc_case *c = g->c;

	for (unsigned n = 0; n < 8; n++) {
		enum x86_rc rc;

		cpu.budget = 1u << 20;
		rc = x86_step(&cpu);
		if (rc == X86_FAULT) {
			struct x86_event ev = cpu.fault;

			rc = x86_deliver(&cpu, &ev);
		}
		if (rc != X86_OK) {
			if (rc == X86_EXIT)
				x86_stop(&cpu, "exit %u", vmexit.reason);
			return ORC_STOPPED;
		}
		*ended = cpu.cpl == 0;
		if (*ended || !c->ends_by_trap)
			return ORC_DONE;
		if (x86_linear_ip(&cpu) - c->slot < c->insn_len && g->valid && g->i.class == INSN_CLASS_BRANCH)
			return ORC_LOOPS;
	}
	x86_stop(&cpu, "no end");
	return ORC_STOPPED;
}

void orc_ours_run(const struct orc_gen *g, const uint8_t *base, struct orc_result *out)
{
	const struct orc_case *c = g->c;
	uint8_t *slot = ram + P_CODE + (c->slot - ORC_CODE);
	bool ended = false;

	memset(out, 0, sizeof(*out));
	snprintf(cpu.stop_reason, sizeof(cpu.stop_reason), "bad frame");
	orc_load_memory(ram, c, base);
	memcpy(slot, c->code, c->n);
	orc_load_state(&cpu, c);
	out->status = run(g, &ended);
	orc_read_state(&cpu, ram, base, ended, out);
	memset(slot, 0xcc, c->n);
}

const char *orc_ours_stopped(void)
{
	return cpu.stop_reason;
}

const uint8_t *orc_ours_memory(void)
{
	return ram + P_SCRATCH;
}

/* --- breaking a handler on purpose --- */

static uint16_t broken_id;
static uint32_t broken_flag;
static bool broken_stops;

static enum x86_rc broken(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = broken_handler(c, i);

	if (broken_stops)
		return x86_stop(c, "broken");
	if (rc == X86_OK && broken_flag)
		x86_flags_update(c, broken_flag, ~x86_flags_get(c));
	else if (rc == X86_OK)
		c->s.gpr[X86_RAX] ^= 1ull << 7;
	return rc;
}

static void on_insn(void *arg, const struct x86_insn *i)
{
	(void)arg;
	if (i->id != broken_id)
		return;
	broken_handler = i->fn;
	memcpy((void *)(uintptr_t)&i->fn, &(x86_handler){broken}, sizeof(i->fn)); /* the stepper's own copy */
}

bool orc_ours_break(const char *what)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} flags[] = {{"cf", FLAG_CF}, {"pf", FLAG_PF}, {"af", FLAG_AF}, {"zf", FLAG_ZF}, {"sf", FLAG_SF},
	    {"of", FLAG_OF}, {"df", FLAG_DF}, {"rax", 0}};
	const char *colon = strchr(what, ':');
	bool found = false;

	if (colon && strcmp(colon + 1, "stop") == 0)
		found = broken_stops = true;
	for (unsigned k = 0; colon && k < sizeof(flags) / sizeof(flags[0]); k++) {
		if (strcmp(flags[k].name, colon + 1) == 0) {
			broken_flag = flags[k].flag;
			found = true;
		}
	}
	if (!found)
		return false;
	for (uint16_t id = 1; id < INSN_COUNT; id++) {
		const char *name = x86_insn_name(id);

		if (strlen(name) == (size_t)(colon - what) && strncmp(name, what, strlen(name)) == 0) {
			broken_id = id;
			cpu.on_insn = on_insn;
			return true;
		}
	}
	return false;
}
