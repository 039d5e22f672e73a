/*
 * The kernel's view of a run. One exit may be seen twice, by the kernel and by the process: it is counted once, where
 * it was seen closest to the hardware.
 */
#include "cli/kernel_view.h"

#include <stdio.h>

#include "tracer/row.h"

#define ROWS_MAX 128

void kernel_view_start(struct kernel_view *k, const struct mode_ops *ops)
{
	struct kernel_trace_config cfg = {.tid = 0};
	*k = (struct kernel_view){0};
	if (ops->mode != MODE_VIRTUALIZE || ops->type != VMM_TYPE_II)
		return;
	if (kernel_trace_open(&cfg, &k->trace, &k->why)) {
		k->trace = NULL;
	} else if (kernel_trace_start(k->trace, &k->why)) {
		kernel_trace_close(k->trace);
		k->trace = NULL;
	}
}

void kernel_view_stop(struct kernel_view *k)
{
	if (!k->trace)
		return;
	kernel_trace_stop(k->trace);
	kernel_trace_totals(k->trace, &k->totals);
}

void kernel_view_merge(struct kernel_view *k, struct exit_stats *s)
{
	struct kernel_row rows[ROWS_MAX];
	if (!k->trace)
		return;
	size_t n = kernel_trace_rows(k->trace, rows, ROWS_MAX);
	for (size_t i = 0; i < n; i++)
		stats_demote(s, rows[i].reason);
	for (size_t i = 0; i < n; i++) {
		const struct exit_row row = {
		    .reason = rows[i].reason, .isa = ISA_VMX, .observed = (uint8_t)rows[i].observed};
		for (uint64_t c = 0; c < rows[i].count; c++)
			stats_add(s, &row);
	}
	s->emulated = k->totals.emulated_insns;
	s->lost += k->totals.lost;
	stats_sort(s);
}

void kernel_view_efficiency(const struct kernel_view *k, struct efficiency_input *in)
{
	if (!k->trace)
		return;
	const struct kernel_totals *t = &k->totals;
	if (t->hardware_exits)
		in->interventions = (struct measured){t->hardware_exits, "kvm:kvm_exit, counted by the kernel"};
	if (t->emulated_insns)
		in->kernel_emulated =
		    (struct measured){t->emulated_insns, "kvm:kvm_emulate_insn, counted by the kernel"};
	if (!t->emulates)
		return;
	/* Nothing exited to the kernel, and each instruction was emulated: none ran on the CPU, at no time. */
	if (!in->instructions.source)
		in->instructions = (struct measured){t->emulated_insns, "kvm:kvm_emulate_insn; kvm_exit never fired"};
	in->vmm_ns.value += in->guest_ns.value;
	in->guest_ns = (struct measured){0, "all of KVM_RUN was the kernel's emulator"};
}

void kernel_view_close(struct kernel_view *k)
{
	if (k->trace)
		kernel_trace_close(k->trace);
	k->trace = NULL;
}
