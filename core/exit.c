/*
 * The exit vocabulary as tables: number <-> name, class, sentence. exits.def is the only list. Names drift between
 * tools and years (7 was PENDING_INTERRUPT before it was INTERRUPT_WINDOW), so reading accepts aliases, writing never
 * uses them.
 */
#include "core/exit.h"

#include "core/lib.h"
#include "core/probe.h"

static const struct exit_desc rows[] = {
#define EXIT(num, name, class, sentence, sdm) {num, EXIT_CLASS_##class, #name, sentence, sdm},
#include "core/exits.def"
#undef EXIT
};

/* Aliases: what other tools and other years call a reason. */
static const struct {
	const char *name;
	uint32_t num;
} aliases[] = {
    {"EXCEPTION", EXIT_EXCEPTION_NMI},
    {"EXTERNAL_INT", EXIT_EXTERNAL_INTERRUPT},
    {"INIT", EXIT_INIT_SIGNAL},
    {"SIPI_SIGNAL", EXIT_SIPI},
    {"PENDING_INTERRUPT", EXIT_INTERRUPT_WINDOW},
    {"IRQ_WINDOW", EXIT_INTERRUPT_WINDOW},
    {"PENDING_NMI", EXIT_NMI_WINDOW},
    {"VMOFF", EXIT_VMXOFF},
    {"VMON", EXIT_VMXON},
    {"CR", EXIT_CR_ACCESS},
    {"DR", EXIT_DR_ACCESS},
    {"IO", EXIT_IO_INSTRUCTION},
    {"RDMSR", EXIT_MSR_READ},
    {"WRMSR", EXIT_MSR_WRITE},
    {"INVALID_GUEST_STATE", EXIT_INVALID_STATE},
    {"MWAIT", EXIT_MWAIT_INSTRUCTION},
    {"MTF", EXIT_MONITOR_TRAP_FLAG},
    {"MONITOR", EXIT_MONITOR_INSTRUCTION},
    {"PAUSE", EXIT_PAUSE_INSTRUCTION},
    {"MCE", EXIT_MCE_DURING_VMENTRY},
    {"MACHINE_CHECK", EXIT_MCE_DURING_VMENTRY},
    {"TPR", EXIT_TPR_BELOW_THRESHOLD},
    {"EOI", EXIT_EOI_INDUCED},
    {"VIRTUALIZED_EOI", EXIT_EOI_INDUCED},
    {"DESC_TABLE", EXIT_GDTR_IDTR},
    {"EPT_MISCONFIGURATION", EXIT_EPT_MISCONFIG},
};

const struct exit_desc *exit_desc(uint32_t reason)
{
	/* Sorted by number: the hardware rows sit at or a little below their own number. */
	size_t i = reason < EXIT_SDM_COUNT ? reason : ARRAY_LEN(rows) - 1;

	if (i >= ARRAY_LEN(rows))
		i = ARRAY_LEN(rows) - 1;
	for (;; i--) {
		if (rows[i].num == reason)
			return &rows[i];
		if (i == 0 || rows[i].num < reason)
			return NULL;
	}
}

int exit_reason_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].name, name) == 0)
			return (int)rows[i].num;
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
		if (strcmp(aliases[i].name, name) == 0)
			return (int)aliases[i].num;
	return -1;
}

const char *exit_alias(uint32_t reason, unsigned i)
{
	for (size_t k = 0; k < ARRAY_LEN(aliases); k++)
		if (aliases[k].num == reason && i-- == 0)
			return aliases[k].name;
	return NULL;
}

const char *exit_name(uint32_t reason)
{
	const struct exit_desc *d = exit_desc(reason);

	return d ? d->name : "UNKNOWN";
}

const char *exit_class_name(enum exit_class c)
{
	static const char *const names[] = {
	    [EXIT_CLASS_EVENT] = "event",
	    [EXIT_CLASS_INSN] = "insn",
	    [EXIT_CLASS_IO] = "io",
	    [EXIT_CLASS_MMIO] = "mmio",
	    [EXIT_CLASS_MSR] = "msr",
	    [EXIT_CLASS_CR] = "cr",
	    [EXIT_CLASS_FAIL] = "fail",
	    [EXIT_CLASS_VMX] = "vmx",
	    [EXIT_CLASS_VMM] = "vmm",
	};
	return (unsigned)c < ARRAY_LEN(names) ? names[c] : "unknown";
}

const char *exit_observed_name(enum exit_observed o)
{
	static const char *const names[OBSERVED_COUNT] = {
	    [OBSERVED_VMM] = "vmm",
	    [OBSERVED_KERNEL] = "kernel",
	    [OBSERVED_KERNEL_EMULATOR] = "kernel (emulator)",
	    [OBSERVED_METAL] = "metal",
	    [OBSERVED_MODEL] = "model",
	};
	return (unsigned)o < OBSERVED_COUNT ? names[o] : "unknown";
}

const char *verdict_name(enum verdict v)
{
	static const char *const names[VERDICT_COUNT] = {
	    [VERDICT_NEXT] = "next",
	    [VERDICT_AGAIN] = "again",
	    [VERDICT_REFLECT] = "reflect",
	    [VERDICT_HALT] = "halt",
	    [VERDICT_RESET] = "reset",
	    [VERDICT_KILL] = "kill",
	    [VERDICT_USER] = "user",
	};
	return (unsigned)v < VERDICT_COUNT ? names[v] : "unknown";
}
