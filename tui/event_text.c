/*
 * Exits as lines of text.
 */
#include "tui/event_text.h"

#include <stdio.h>
#include <string.h>

#include "core/probe.h"
#include "tui/view.h"

bool event_port(const struct view_exit *e, unsigned *port, bool *in)
{
	/* AMD's EXITINFO1 of IOIO (0x7b): port in bits 31:16, bit 0 set for IN. */
	bool svm = e->isa == ISA_SVM && e->reason == 0x7b;

	if (!svm && (e->isa != ISA_VMX || e->reason != EXIT_IO_INSTRUCTION))
		return false;
	*port = (unsigned)(e->qual >> QUAL_IO_PORT_SHIFT) & 0xffff;
	*in = svm ? e->qual & 1 : (e->qual & QUAL_IO_IN) != 0;
	if (e->has & VIEW_HAS_VALUES && !svm) {
		struct vm_exit x;

		view_exit_to_vm_exit(e, &x);
		*port = x.io.port;
		*in = x.io.in;
	}
	return true;
}

/* [SDM 3A "Exception and Interrupt Vectors"] NULL: no name. */
static const char *exception_name(unsigned vector)
{
	static const char *const names[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", NULL, "#TS",
	    "#NP", "#SS", "#GP", "#PF", NULL, "#MF", "#AC", "#MC", "#XM", "#VE", "#CP"};

	return vector < ARRAY_LEN(names) ? names[vector] : NULL;
}

static void text_event(unsigned type, unsigned vector, char *buf, size_t n)
{
	const char *name = exception_name(vector);

	if (type == INTR_TYPE_EXTERNAL)
		snprintf(buf, n, "irq 0x%x", vector);
	else if (type == INTR_TYPE_SW_INT)
		snprintf(buf, n, "int 0x%x", vector);
	else if (name)
		snprintf(buf, n, "%s", name);
	else
		snprintf(buf, n, "exception %u", vector);
}

static void text_io(const struct exit_io *io, char *buf, size_t n)
{
	char ch[8] = "";

	if (io->size == 1 && io->value >= ' ' && io->value < 0x7f)
		snprintf(ch, sizeof(ch), " '%c'", (char)io->value);
	snprintf(buf, n, "%s%s 0x%x: 0x%llx%s", io->string ? io->rep ? "rep " : "string " : "", io->in ? "in" : "out",
	    io->port, (unsigned long long)io->value, ch);
}

static const char *access_name(bool write, bool fetch)
{
	return fetch ? "fetch" : write ? "write" : "read";
}

static void text_mmio(const struct view_exit *e, const struct exit_mmio *m, char *buf, size_t n)
{
	snprintf(buf, n, "%s 0x%llx: 0x%llx", access_name(m->write, m->fetch), (unsigned long long)e->gpa,
	    (unsigned long long)m->value);
}

static void text_cpuid(const struct exit_cpuid *c, char *buf, size_t n)
{
	snprintf(buf, n, "leaf 0x%x.%x: %x %x %x %x", c->leaf, c->subleaf, c->eax, c->ebx, c->ecx, c->edx);
}

static void text_cr(const struct exit_cr *c, char *buf, size_t n)
{
	if (c->type >= 2)
		snprintf(buf, n, "%s, cr0: 0x%llx", c->type == 2 ? "clts" : "lmsw", (unsigned long long)c->value);
	else
		snprintf(buf, n, "%s cr%u: 0x%llx", c->type ? "read" : "write", c->cr, (unsigned long long)c->value);
}

static void text_values(const struct view_exit *e, const struct vm_exit *x, char *buf, size_t n)
{
	switch (e->reason) {
	case EXIT_IO_INSTRUCTION:
		text_io(&x->io, buf, n);
		break;
	case EXIT_EPT_VIOLATION:
	case EXIT_EPT_MISCONFIG:
		text_mmio(e, &x->mmio, buf, n);
		break;
	case EXIT_CPUID:
		text_cpuid(&x->cpuid, buf, n);
		break;
	case EXIT_CR_ACCESS:
		text_cr(&x->cr, buf, n);
		break;
	case EXIT_DR_ACCESS:
		snprintf(buf, n, "%s dr%u: 0x%llx", x->dr.read ? "read" : "write", x->dr.dr,
		    (unsigned long long)x->dr.value);
		break;
	case EXIT_MSR_READ:
	case EXIT_MSR_WRITE:
		snprintf(buf, n, "msr 0x%x: 0x%llx%s", x->msr.index, (unsigned long long)x->msr.value,
		    x->msr.fault ? ", #GP" : "");
		break;
	default:
		break;
	}
}

const char *event_operands(const struct view_exit *e, char *buf, size_t n)
{
	struct vm_exit x;
	unsigned port;
	bool in;

	buf[0] = '\0';
	if (e->isa == ISA_VMX && e->has & VIEW_HAS_VALUES) {
		view_exit_to_vm_exit(e, &x);
		text_values(e, &x, buf, n);
	} else if (event_port(e, &port, &in)) {
		snprintf(buf, n, "%s 0x%x", in ? "in" : "out", port);
	} else if (e->isa == ISA_VMX && e->reason == EXIT_EPT_VIOLATION) {
		snprintf(buf, n, "%s", access_name(e->qual & QUAL_EPT_WRITE, e->qual & QUAL_EPT_FETCH));
	}
	if (!buf[0] && e->isa == ISA_VMX && e->intr_info & INTR_INFO_VALID)
		text_event(e->intr_info >> INTR_INFO_TYPE_SHIFT & 7, e->intr_info & 0xff, buf, n);
	return buf;
}

const char *event_outcome(const struct view_exit *e, char *buf, size_t n)
{
	size_t used;
	char event[24];

	buf[0] = '\0';
	if (e->verdict < VERDICT_COUNT)
		snprintf(buf, n, "%s", verdict_name((enum verdict)e->verdict));
	if (!(e->has & VIEW_INJECTED))
		return buf;
	used = strlen(buf);
	text_event(e->inject_type, e->inject_vector, event, sizeof(event));
	snprintf(buf + used, n - used, "%s+ %s", used ? " " : "", event);
	used = strlen(buf);
	if (e->inject_type == INTR_TYPE_HW_EXCEPTION && e->inject_error && used < n)
		snprintf(buf + used, n - used, "(0x%x)", e->inject_error);
	return buf;
}

const char *event_place(const struct view_exit *e, const struct symbols *syms, char *buf, size_t n)
{
	if (!(e->has & VIEW_HAS_RIP)) {
		snprintf(buf, n, "?");
		return buf;
	}
	buf[0] = '\0';
	if (syms)
		symbols_format(syms, e->rip, buf, n);
	for (char *p = buf; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f)
			*p = '?';
	if (!buf[0])
		snprintf(buf, n, "0x%llx", (unsigned long long)e->rip);
	return buf;
}

const char *event_reason_number(const struct view_exit *e, char *buf, size_t n)
{
	if (e->isa == ISA_VMX && !exit_is_hw(e->reason))
		snprintf(buf, n, "vmm");
	else
		snprintf(buf, n, "%u", e->reason);
	return buf;
}

const char *event_time(uint64_t ns, char *buf, size_t n)
{
	snprintf(buf, n, "%llu.%03llums", (unsigned long long)(ns / 1000000), (unsigned long long)(ns / 1000 % 1000));
	return buf;
}

enum err view_show_exit(struct app *a, uint64_t number, struct errmsg *why)
{
	char line[40];
	enum err e;

	snprintf(line, sizeof(line), "select %llu", (unsigned long long)number);
	e = app_command(a, line, why);
	return e == ERR_OK ? app_command(a, "view exit", why) : e;
}
