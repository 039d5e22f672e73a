/*
 * What VMRUN does not switch: floating point, XCR0, debug addresses, TSC_AUX. The VMM itself uses none of them (it is
 * compiled for general registers only), so they stay the guest's across exits, and move when another guest gets the
 * processor. Concept: a lazy switch costs nothing until there is somebody to switch to.
 */
#include "core/lib.h"
#include "modes/virtualize/svm_cpu.h"
#include "modes/virtualize/svm_priv.h"

#define MSR_TSC_AUX 0xc0000103u
#define CR0_FPU_BLOCKERS (CR0_EM | CR0_TS)

static struct {
	struct vcpu *owner; /* whose floating point the processor holds; NULL: nobody's */
	uint64_t xcr0, tsc_aux, dr[4];
	bool known; /* xcr0, tsc_aux and dr are what the processor has */
} processor;

static _Alignas(16) uint8_t area[512]; /* FXSAVE wants 16-byte alignment; struct x86_state does not promise it */

void svm_resident_save(struct vcpu *v)
{
	if (processor.owner != v)
		return;
	svm_fxsave(area);
	memcpy(v->cpu.s.fxsave, area, sizeof(area));
}

void svm_resident_drop(struct vcpu *v)
{
	if (processor.owner == v)
		processor.owner = NULL;
}

static void floating_point_ready(void)
{
	if (cpu_read_cr0() & CR0_FPU_BLOCKERS)
		cpu_write_cr0(cpu_read_cr0() & ~(uint64_t)CR0_FPU_BLOCKERS);
	if (!(cpu_read_cr4() & CR4_OSFXSR))
		cpu_write_cr4(cpu_read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
}

static void enter_registers(struct vcpu *v)
{
	const struct x86_state *s = &v->cpu.s;
	bool debug = (s->dr7 & 0xff) || !(v->vm->controls.proc & PROC_MOV_DR_EXIT);

	if (svm_vm(v->vm)->cpu.xsave && (!processor.known || processor.xcr0 != s->xcr0)) {
		if (!(cpu_read_cr4() & CR4_OSXSAVE))
			cpu_write_cr4(cpu_read_cr4() | CR4_OSXSAVE);
		svm_xsetbv(s->xcr0);
		processor.xcr0 = s->xcr0;
	}
	if (svm_vm(v->vm)->cpu.rdtscp && (!processor.known || processor.tsc_aux != s->tsc_aux)) {
		cpu_wrmsr(MSR_TSC_AUX, s->tsc_aux);
		processor.tsc_aux = s->tsc_aux;
	}
	for (unsigned n = 0; debug && n < 4; n++)
		if (!processor.known || processor.dr[n] != s->dr[n]) {
			svm_load_dr(n, s->dr[n]);
			processor.dr[n] = s->dr[n];
		}
	processor.known |= debug;
}

bool svm_resident_enter(struct vcpu *v)
{
	bool other = processor.owner != v;

	if (other) {
		floating_point_ready();
		if (processor.owner)
			svm_resident_save(processor.owner);
		memcpy(area, v->cpu.s.fxsave, sizeof(area));
		svm_fxrstor(area);
		processor.owner = v;
	}
	enter_registers(v);
	return other;
}

/* Where MOV DR does not exit, the guest may have moved its breakpoints; and QEMU's TCG lets XSETBV through. */
void svm_resident_left(struct vcpu *v)
{
	if (svm_vm(v->vm)->cpu.xsave && (svm_vcpu(v)->vmcb->s.cr4 & CR4_OSXSAVE))
		v->cpu.s.xcr0 = processor.xcr0 = svm_xgetbv();
	if (v->vm->controls.proc & PROC_MOV_DR_EXIT)
		return;
	for (unsigned n = 0; n < 4; n++)
		v->cpu.s.dr[n] = processor.dr[n] = svm_store_dr(n);
}
