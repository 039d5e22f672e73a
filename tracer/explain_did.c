/*
 * What the VMM did about an exit, step by step, told from the record: the results that the handler left (struct
 * vm_exit), the verdict that the loop applied, and the event that was injected before the next entry. Nothing is
 * guessed: a trace of another tool has no verdicts, and then this says so.
 */
#include "tracer/explain_impl.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void step(struct explain_ctx *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void step(struct explain_ctx *c, const char *fmt, ...)
{
	struct explain *o = c->out;
	va_list ap;

	if (o->n_did == ARRAY_LEN(o->did))
		return;
	va_start(ap, fmt);
	vsnprintf(o->did[o->n_did++], sizeof(o->did[0]), fmt, ap);
	va_end(ap);
}

/* " (name)", or nothing. */
static const char *in_brackets(const char *name, char *buf, size_t n)
{
	snprintf(buf, n, *name ? " (%s)" : "", name);
	return buf;
}

/* --- The answer, by reason --------------------------------------------------------------------------------------- */

/* Ports at which a byte is a character. */
static bool is_console(unsigned port)
{
	return port == 0x3f8 || port == 0x2f8 || port == 0xe9 || port == 0x402;
}

static void did_io(struct explain_ctx *c)
{
	const struct exit_io *io = &c->x.io;
	unsigned port = c->e->qual >> QUAL_IO_PORT_SHIFT & 0xffff, size = (c->e->qual & QUAL_IO_SIZE_MASK) + 1;
	char device[64], glyph[8] = "";

	in_brackets(explain_port_name((uint16_t)port), device, sizeof(device));
	if (size == 1 && is_console(port) && io->value < 0x7f && isprint((int)io->value))
		snprintf(glyph, sizeof(glyph), " '%c'", (int)io->value);
	if (c->e->qual & QUAL_IO_STRING && c->e->qual & QUAL_IO_IN)
		step(c, "asked the device at port %#x%s and stored its answer in guest memory: one iteration", port,
		    device);
	else if (c->e->qual & QUAL_IO_STRING)
		step(c, "gave the device at port %#x%s the bytes from guest memory: one iteration", port, device);
	else if (c->e->qual & QUAL_IO_IN) {
		step(c, "asked the device at port %#x%s: it answered %#" PRIx64 "%s", port, device, io->value, glyph);
		step(c, "put the answer into %s", size == 1 ? "AL" : size == 2 ? "AX" : "EAX");
	} else {
		step(c, "gave %#" PRIx64 "%s to the device at port %#x%s", io->value, glyph, port, device);
	}
}

static void did_mmio(struct explain_ctx *c)
{
	const struct exit_mmio *m = &c->x.mmio;
	char device[64];

	in_brackets(explain_memory_name(c->e->gpa), device, sizeof(device));
	if (!m->n_accesses && !m->size) {
		step(c, "decoded the instruction and executed it on the guest's behalf");
		return;
	}
	if (m->n_accesses)
		step(c, "decoded the instruction and executed it on the guest's behalf: %u access%s", m->n_accesses,
		    m->n_accesses == 1 ? "" : "es");
	if (m->write)
		step(c, "gave %#" PRIx64 " (%u bytes) to what is at %#" PRIx64 "%s", m->value, m->size, c->e->gpa,
		    device);
	else
		step(c, "asked what is at %#" PRIx64 "%s: it answered %#" PRIx64, c->e->gpa, device, m->value);
}

static void did_cpuid(struct explain_ctx *c)
{
	const struct exit_cpuid *q = &c->x.cpuid;
	char name[40], vendor[13];

	in_brackets(explain_cpuid_name(q->leaf), name, sizeof(name));
	step(c, "looked up leaf %#x%s, subleaf %#x, in the CPU model that all modes share", q->leaf, name, q->subleaf);
	step(c, "wrote EAX=%08x EBX=%08x ECX=%08x EDX=%08x", q->eax, q->ebx, q->ecx, q->edx);
	if (q->leaf != 0)
		return;
	memcpy(vendor, &q->ebx, 4);
	memcpy(vendor + 4, &q->edx, 4);
	memcpy(vendor + 8, &q->ecx, 4);
	for (int i = 0; i < 12; i++)
		vendor[i] = isprint((unsigned char)vendor[i]) ? vendor[i] : '.';
	vendor[12] = 0;
	step(c, "which spells the vendor \"%s\"", vendor);
}

static void did_msr(struct explain_ctx *c)
{
	const struct exit_msr *m = &c->x.msr;
	bool write = c->reason == EXIT_MSR_WRITE;
	char name[40];

	in_brackets(explain_msr_name(m->index), name, sizeof(name));
	if (m->fault)
		step(c, "refused: %s MSR %#x%s", write ? "this value is not allowed in" : "this CPU has no", m->index,
		    name);
	else if (write)
		step(c, "checked %#" PRIx64 " and kept it as the guest's MSR %#x%s", m->value, m->index, name);
	else
		step(c, "answered MSR %#x%s from the guest's own state: EDX:EAX=%#" PRIx64, m->index, name, m->value);
}

static void did_cr(struct explain_ctx *c)
{
	unsigned cr = c->e->qual & QUAL_CR_NUM_MASK, type = c->e->qual >> QUAL_CR_TYPE_SHIFT & 3;
	char bits[128];

	if (type != 0 && type != 1) /* CLTS, LMSW */
		cr = 0;
	if (type == 1)
		step(c, "gave the guest its own CR%u=%#" PRIx64, cr, c->x.cr.value);
	else if (c->e->verdict == VERDICT_REFLECT)
		step(c, "checked CR%u=%#" PRIx64 ": not allowed", cr, c->x.cr.value);
	else
		step(c, "checked and set the guest's CR%u=%#" PRIx64, cr, c->x.cr.value);
	if ((cr == 0 || cr == 4) && *explain_cr_bits(cr, c->x.cr.value, bits, sizeof(bits)))
		step(c, "which is %.110s", bits);
}

static void did_dr(struct explain_ctx *c)
{
	unsigned dr = c->e->qual & QUAL_DR_NUM_MASK;

	if (c->e->verdict == VERDICT_REFLECT)
		step(c, "refused the access to DR%u", dr);
	else if (c->e->qual & QUAL_DR_READ)
		step(c, "gave the guest its own DR%u=%#" PRIx64, dr, c->x.dr.value);
	else
		step(c, "set the guest's own DR%u=%#" PRIx64, dr, c->x.dr.value);
}

static void did_exception(struct explain_ctx *c)
{
	unsigned vector = (uint8_t)c->e->intr_info;

	if (c->e->verdict == VERDICT_REFLECT)
		step(c, "found the exception to be the guest's own business");
	else if (vector == VEC_GP || vector == VEC_UD)
		step(c, "decoded the instruction and did for the guest what CPL 0 would have permitted");
	else if (vector == VEC_MF)
		step(c, "raised IRQ 13 (FERR#) for the x87 exception, as a PC does");
}

/* Reasons whose handler does always the same. */
static const struct {
	uint32_t reason;
	const char *text;
} plain[] = {
    {EXIT_EXTERNAL_INTERRUPT, "let the host serve the interrupt, then looked at the guest's timers and devices"},
    {EXIT_INTERRUPT_WINDOW, "found that the guest can take an interrupt now"},
    {EXIT_NMI_WINDOW, "found that the guest can take an NMI now"},
    {EXIT_TPR_BELOW_THRESHOLD, "found that the guest's task priority lets the waiting interrupt pass"},
    {EXIT_PREEMPTION_TIMER, "had control again: looked at timers, devices, limits and who runs next"},
    {EXIT_TASK_SWITCH, "saved the old task's state and loaded the new one's, as a processor without VMX would have"},
    {EXIT_INVD, "did nothing: the guest has no caches of its own to lose"},
    {EXIT_WBINVD, "did nothing: the guest has no caches of its own to write back"},
    {EXIT_PAUSE_INSTRUCTION, "took note of a waiting loop: others may run"},
    {EXIT_INVLPG, "dropped the page's translation from what is kept for the guest"},
    {EXIT_INVPCID, "dropped the translations that the guest named"},
    {EXIT_GDTR_IDTR, "executed the instruction on the guest's own GDT or IDT register"},
    {EXIT_LDTR_TR, "executed the instruction on the guest's own LDT or task register"},
    {EXIT_TRIPLE_FAULT, "found nothing left to deliver to: a PC would reset"},
    {EXIT_VMM_SVM_EXTRA, "did what the processor would have done, as VT-x would not have exited"},
    {EXIT_MONITOR_INSTRUCTION, "looked in its CPU model whether this CPU has MONITOR"},
    {EXIT_MWAIT_INSTRUCTION, "looked in its CPU model whether this CPU has MWAIT"},
};

static void did_plain(struct explain_ctx *c)
{
	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		if (plain[i].reason == c->reason)
			step(c, "%s", plain[i].text);
}

static void did_answer(struct explain_ctx *c)
{
	switch (c->reason) {
	case EXIT_IO_INSTRUCTION:
		did_io(c);
		break;
	case EXIT_EPT_VIOLATION:
	case EXIT_EPT_MISCONFIG:
		did_mmio(c);
		break;
	case EXIT_CPUID:
		did_cpuid(c);
		break;
	case EXIT_MSR_READ:
	case EXIT_MSR_WRITE:
		did_msr(c);
		break;
	case EXIT_CR_ACCESS:
		did_cr(c);
		break;
	case EXIT_DR_ACCESS:
		did_dr(c);
		break;
	case EXIT_EXCEPTION_NMI:
		did_exception(c);
		break;
	case EXIT_RDTSC:
	case EXIT_RDTSCP:
		step(c, "answered with guest time: EDX:EAX=%#" PRIx64, c->x.value);
		break;
	case EXIT_VMCALL:
		step(c, "knows no such call: RAX=%#" PRIx64 ", \"no such function\"", c->x.value);
		break;
	case EXIT_XSETBV:
		step(c, "%s XCR%u=%#" PRIx64, c->e->verdict == VERDICT_REFLECT ? "refused" : "set the guest's",
		    (unsigned)c->x.raw[1], c->x.value);
		break;
	default:
		did_plain(c);
	}
}

/* --- The verdict, and what was injected -------------------------------------------------------------------------- */

static void past_insn(struct explain_ctx *c, const char *then)
{
	const struct view_exit *e = c->e;

	if (e->has & VIEW_HAS_RIP && e->insn_len)
		step(c, "moved RIP past the instruction, %#" PRIx64 " + %u = %#" PRIx64 "%s", e->rip, e->insn_len,
		    e->rip + e->insn_len, then);
	else
		step(c, "moved the guest past the instruction%s", then);
}

/* The core's executor did the whole instruction, and RIP moved with it. */
static bool was_executed(const struct explain_ctx *c)
{
	switch (c->reason) {
	case EXIT_EPT_VIOLATION:
	case EXIT_EPT_MISCONFIG:
	case EXIT_TASK_SWITCH:
	case EXIT_GDTR_IDTR:
	case EXIT_LDTR_TR:
	case EXIT_INVPCID:
	case EXIT_RDRAND:
	case EXIT_RDSEED:
	case EXIT_VMM_SVM_EXTRA:
		return true;
	case EXIT_IO_INSTRUCTION:
		return c->e->qual & QUAL_IO_STRING;
	case EXIT_EXCEPTION_NMI:
		return (uint8_t)c->e->intr_info == VEC_GP || (uint8_t)c->e->intr_info == VEC_UD;
	default:
		return false;
	}
}

static void did_verdict(struct explain_ctx *c)
{
	switch (c->e->verdict) {
	case VERDICT_NEXT:
		past_insn(c, "");
		break;
	case VERDICT_AGAIN:
		if (was_executed(c))
			step(c, "RIP has moved with the instruction: the guest goes on behind it, or with its next "
				"iteration");
		else
			step(c, "left RIP where it is: the guest goes on from there");
		break;
	case VERDICT_REFLECT:
		if (!(c->e->has & VIEW_INJECTED))
			step(c, "gave it to the guest as an exception, which its own handler takes");
		break;
	case VERDICT_HALT:
		past_insn(c, "");
		step(c, "let the vCPU sleep until an interrupt comes");
		break;
	case VERDICT_RESET:
		step(c, "reset the machine, as the guest had asked");
		break;
	case VERDICT_KILL:
		step(c, "ended the run");
		break;
	case VERDICT_USER:
		step(c, "asked the user of the session what to do");
		break;
	default:
		break;
	}
}

static void did_inject(struct explain_ctx *c)
{
	const struct view_exit *e = c->e;
	char name[40];

	if (!(e->has & VIEW_INJECTED))
		return;
	if (e->inject_type == INTR_TYPE_EXTERNAL)
		step(c, "injected the interrupt with vector %#x: the guest's handler runs first", e->inject_vector);
	else if (e->inject_type == INTR_TYPE_NMI)
		step(c, "injected an NMI: the guest's handler runs first");
	else
		step(c, "injected exception %u%s, error code %#x: the guest's handler runs first", e->inject_vector,
		    in_brackets(explain_vector_name(e->inject_vector), name, sizeof(name)), e->inject_error);
}

void explain_did(struct explain_ctx *c)
{
	if (c->e->verdict >= VERDICT_COUNT) {
		if (c->e->observed == OBSERVED_KERNEL || c->e->observed == OBSERVED_KERNEL_EMULATOR)
			step(c, "the host's kernel handled it; what it answered is not in this record");
		else
			step(
			    c, "not known: the record has no verdict (the exit is not over, or another tool wrote it)");
		did_inject(c);
		return;
	}
	if (c->values && c->native)
		did_answer(c);
	else
		did_plain(c);
	did_verdict(c);
	did_inject(c);
}
