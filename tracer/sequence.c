/*
 * Recording and comparing sequences of exits. It teaches how little of an exit a *model* has to get right to be
 * believed: which event, in which order, with which values.
 */
#include "tracer/sequence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned sequence_values(const struct vm_exit *e, uint64_t v[4])
{
	switch (e->reason) {
	case EXIT_IO_INSTRUCTION:
		v[0] = e->io.port;
		v[1] = (uint64_t)e->io.size | (uint64_t)e->io.in << 8 | (uint64_t)e->io.string << 9;
		v[2] = e->io.value & (e->io.size >= 4 ? UINT32_MAX : (1ull << (e->io.size * 8)) - 1);
		return 3;
	case EXIT_EPT_VIOLATION:
	case EXIT_EPT_MISCONFIG:
		v[0] = e->gpa;
		v[1] = (uint64_t)e->mmio.size | (uint64_t)e->mmio.write << 8;
		v[2] = e->mmio.value;
		return 3;
	case EXIT_MSR_READ:
	case EXIT_MSR_WRITE:
		v[0] = e->msr.index;
		v[1] = e->msr.fault;
		v[2] = e->msr.fault ? 0 : e->msr.value;
		return 3;
	case EXIT_CPUID:
		v[0] = (uint64_t)e->cpuid.leaf << 32 | e->cpuid.subleaf;
		v[1] = (uint64_t)e->cpuid.eax << 32 | e->cpuid.ebx;
		v[2] = (uint64_t)e->cpuid.ecx << 32 | e->cpuid.edx;
		return 3;
	case EXIT_CR_ACCESS:
		v[0] = e->cr.cr;
		v[1] = e->cr.type;
		v[2] = e->cr.value;
		return 3;
	case EXIT_DR_ACCESS:
		v[0] = e->dr.dr;
		v[1] = e->dr.read;
		v[2] = e->dr.value;
		return 3;
	case EXIT_EXCEPTION_NMI:
		v[0] = e->intr_info & 0xff;
		v[1] = e->intr_error;
		return 2;
	case EXIT_XSETBV:
	case EXIT_VMCALL:
		v[0] = e->value;
		return 1;
	default:
		return 0;
	}
}

static void record(void *arg, struct vcpu *v, const struct vm_exit *e, enum verdict verdict)
{
	struct sequence *s = arg;
	(void)v;
	(void)verdict;
	if (!exit_is_hw(e->reason))
		return;
	if (s->n == s->room && s->room < SEQUENCE_MAX) {
		size_t room = s->room ? s->room * 2 : 4096;
		struct sequence_item *more = realloc(s->items, room * sizeof *more);
		if (more) {
			s->items = more;
			s->room = room;
		}
	}
	if (s->n == s->room) {
		s->dropped++;
		return;
	}
	struct sequence_item *item = &s->items[s->n++];
	*item = (struct sequence_item){.reason = e->reason};
	item->n = sequence_values(e, item->value);
}

const struct probe_ops sequence_probe = {.name = "sequence", .on_verdict = record};

void sequence_free(struct sequence *s)
{
	free(s->items);
	*s = (struct sequence){0};
}

static bool is_slice(const struct sequence_item *i)
{
	return !exit_is_predicted(i->reason);
}

static const struct sequence_item *next_item(const struct sequence *s, size_t *i, uint64_t *exempt)
{
	for (; *i < s->n && is_slice(&s->items[*i]); ++*i)
		++*exempt;
	return *i < s->n ? &s->items[(*i)++] : NULL;
}

static bool item_equal(const struct sequence_item *a, const struct sequence_item *b)
{
	return a->reason == b->reason && a->n == b->n && memcmp(a->value, b->value, a->n * sizeof a->value[0]) == 0;
}

struct sequence_diff sequence_compare(
    const struct sequence *reference, const struct sequence *subject, uint64_t *exempt)
{
	struct sequence_diff d = {0};
	size_t i = 0, k = 0;
	*exempt = 0;
	for (;;) {
		const struct sequence_item *a = next_item(reference, &i, exempt), *b = next_item(subject, &k, exempt);
		if (!a && !b)
			return d;
		if (!a || !b || !item_equal(a, b)) {
			d.differ = true;
			d.reference = a;
			d.subject = b;
			return d;
		}
		d.compared++;
	}
}

void sequence_describe(const struct sequence_item *i, char *buf, size_t n)
{
	if (!i) {
		snprintf(buf, n, "the end");
		return;
	}
	const uint64_t *v = i->value;
	const char *name = exit_name(i->reason);
	unsigned long long a = v[0], b = v[1], c = v[2];
	switch (i->reason) {
	case EXIT_IO_INSTRUCTION:
		snprintf(buf, n, "%s port %#llx size %llu %s%s value %#llx", name, a, b & 0xff,
		    b & 0x200 ? "string " : "", b & 0x100 ? "in" : "out", c);
		break;
	case EXIT_EPT_VIOLATION:
	case EXIT_EPT_MISCONFIG:
		snprintf(buf, n, "%s gpa %#llx size %llu %s value %#llx", name, a, b & 0xff,
		    b & 0x100 ? "write" : "read", c);
		break;
	case EXIT_MSR_READ:
	case EXIT_MSR_WRITE:
		snprintf(buf, n, "%s %#llx value %#llx%s", name, a, c, b ? " (#GP)" : "");
		break;
	case EXIT_CPUID:
		snprintf(buf, n, "%s leaf %#llx.%llu: eax %#llx ebx %#llx ecx %#llx edx %#llx", name, a >> 32,
		    a & UINT32_MAX, b >> 32, b & UINT32_MAX, c >> 32, c & UINT32_MAX);
		break;
	case EXIT_CR_ACCESS:
		snprintf(buf, n, "%s cr%llu type %llu value %#llx", name, a, b, c);
		break;
	case EXIT_DR_ACCESS:
		snprintf(buf, n, "%s dr%llu %s value %#llx", name, a, b ? "read" : "write", c);
		break;
	case EXIT_EXCEPTION_NMI:
		snprintf(buf, n, "%s vector %llu error %#llx", name, a, b);
		break;
	default:
		snprintf(buf, n, i->n ? "%s value %#llx" : "%s", name, a);
		break;
	}
}

void sequence_verdict(const struct sequence *reference, const struct sequence *subject, struct pg_verdict *out,
    struct sequence_diff *diff)
{
	uint64_t exempt;
	char a[160], b[160];
	*diff = sequence_compare(reference, subject, &exempt);
	unsigned long long n = diff->compared, slices = exempt, dropped = reference->dropped;
	dropped += subject->dropped;
	if (diff->differ) {
		sequence_describe(diff->reference, a, sizeof a);
		sequence_describe(diff->subject, b, sizeof b);
		out->state = PG_VIOLATED;
		snprintf(out->evidence, sizeof out->evidence, "exit %llu differs: reference %s, subject %s", n, a, b);
	} else if (dropped) {
		out->state = PG_UNKNOWN;
		snprintf(out->evidence, sizeof out->evidence,
		    "%llu exits are equal, but %llu more were not kept: memory was short", n, dropped);
	} else if (n == 0) {
		out->state = PG_UNKNOWN;
		snprintf(out->evidence, sizeof out->evidence, "no exit to compare");
	} else {
		out->state = PG_HOLDS;
		snprintf(out->evidence, sizeof out->evidence,
		    "%llu exits equal in reason, order and values; %llu timer and interrupt exits exempt", n, slices);
	}
}
