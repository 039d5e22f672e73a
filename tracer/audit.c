/*
 * The census of instructions. See audit.h, and core/sensitive.def for the classes.
 */
#include "tracer/audit.h"

#include "core/vm.h"

static void count(void *arg, struct vcpu *v, const struct x86_insn *insn)
{
	struct census *c = arg;
	const struct sensitive_row *row = sensitive_find(insn);
	struct census_count *n = row ? &c->rows[row - sensitive_rows()] : &c->innocuous;
	if (v->cpu.cpl == 0)
		n->kernel++;
	else
		n->user++;
}

const struct probe_ops census_probe = {.name = "census", .on_insn = count};

struct census_count census_class(const struct census *c, enum pg_class class)
{
	struct census_count sum = {0};
	if (class == PG_INNOCUOUS)
		return c->innocuous;
	for (unsigned i = 0; i < SENSITIVE_COUNT; i++) {
		if (sensitive_class(&sensitive_rows()[i]) != class)
			continue;
		sum.kernel += c->rows[i].kernel;
		sum.user += c->rows[i].user;
	}
	return sum;
}
