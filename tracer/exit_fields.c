/*
 * The comparison of an exit's fields. A field that the SDM leaves undefined for a reason is not compared, nor are bits
 * that it calls reserved or that depend on how a processor walks its tables.
 */
#include "tracer/exit_fields.h"

#include "core/x86/state.h"

/* Exits that an instruction causes: VM-exit instruction length is defined [SDM 3C "Information for VM Exits Due to
 * Instruction Execution"]. */
static bool has_length(const struct vm_exit *e)
{
	if (e->idt_info & INTR_INFO_VALID) /* met while an event was delivered: the length is the event's, if any */
		return false;
	if (!exit_is_predicted(e->reason))
		return false;
	switch (e->reason) {
	case EXIT_EXCEPTION_NMI:
	case EXIT_TRIPLE_FAULT:
	case EXIT_EPT_VIOLATION:
	case EXIT_EPT_MISCONFIG:
		return false;
	case EXIT_TASK_SWITCH:
		return e->qual >> 30 !=
		       3; /* 3: through a task gate in the IDT, which no instruction need have asked for */
	default:
		return true;
	}
}

/* The bits of the exit qualification that have a meaning [SDM 3C "Basic VM-Exit Information"]. */
static uint64_t qualification_mask(const struct vm_exit *e)
{
	switch (e->reason) {
	case EXIT_EXCEPTION_NMI:
		if ((uint8_t)e->intr_info == VEC_PF)
			return UINT64_MAX;
		return (uint8_t)e->intr_info == VEC_DB ? 0xe00fu : 0; /* B0-B3, BD, BS, and BT, which is 0 */
	case EXIT_CR_ACCESS:
		return (e->qual >> QUAL_CR_TYPE_SHIFT & 3) == 3 ? 0xffff007fu : 0xf3fu;
	case EXIT_DR_ACCESS:
		return 0xf17u;
	case EXIT_IO_INSTRUCTION:
		return 0xffff007fu;
	case EXIT_TASK_SWITCH:
		return 0xc000ffffu;
	case EXIT_INVLPG:
	case EXIT_GDTR_IDTR:
	case EXIT_LDTR_TR:
		return UINT64_MAX;
	case EXIT_EPT_VIOLATION:
		return QUAL_EPT_READ | QUAL_EPT_WRITE | QUAL_EPT_FETCH | QUAL_EPT_GLA_VALID | QUAL_EPT_TRANSLATED;
	default:
		return 0;
	}
}

/* Valid, deliver error code, type and vector; bit 12 says something about NMI blocking. */
#define INFO_MASK (INTR_INFO_VALID | 0xfffu)

static bool event_equal(uint32_t a, uint32_t error_a, uint32_t b, uint32_t error_b)
{
	if ((a & INTR_INFO_VALID) != (b & INTR_INFO_VALID))
		return false;
	if (!(a & INTR_INFO_VALID))
		return true;
	return ((a ^ b) & INFO_MASK) == 0 && (!(a & INTR_INFO_ERROR) || error_a == error_b);
}

/* Scaling, address size, operand size, segment, registers; by layout, unused bits are undefined
 * [SDM 3C "VM-Exit Instruction Information"]. */
static uint32_t insn_info_mask(const struct vm_exit *e)
{
	uint32_t info = e->insn_info, mask = 0;

	switch (e->reason) {
	case EXIT_GDTR_IDTR: /* a memory operand always */
		mask = 0x3u << 28 | 7u << 15 | 7u << 7;
		break;
	case EXIT_LDTR_TR:
		mask = 0x3u << 28 | 1u << 10;
		if (info & 1u << 10)
			return mask | 0xfu << 3;
		mask |= 7u << 15 | 7u << 7;
		break;
	default:
		return 0;
	}
	if (!(info & 1u << 22))
		mask |= 0xfu << 18 | 3u;
	if (!(info & 1u << 27))
		mask |= 0xfu << 23;
	return mask | 1u << 22 | 1u << 27;
}

const char *exit_fields_differ(const struct vm_exit *a, const struct vm_exit *b)
{
	if ((a->qual ^ b->qual) & (qualification_mask(a) | qualification_mask(b)))
		return "qualification";
	if (has_length(a) && has_length(b) && a->insn_len != b->insn_len)
		return "instruction length";
	if (a->reason == EXIT_EXCEPTION_NMI && !event_equal(a->intr_info, a->intr_error, b->intr_info, b->intr_error))
		return "interruption information";
	if (!event_equal(a->idt_info, a->idt_error, b->idt_info, b->idt_error))
		return "IDT-vectoring information";
	if (a->reason == EXIT_EPT_VIOLATION && (a->qual & QUAL_EPT_GLA_VALID) && a->gla != b->gla)
		return "guest linear address";
	if ((a->insn_info ^ b->insn_info) & (insn_info_mask(a) | insn_info_mask(b)))
		return "instruction information";
	return NULL;
}
