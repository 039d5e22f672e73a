/*
 * Handlers of all system instructions and far transfers (signature x86_handler of insn.h). Operands as the decoder
 * leaves them; besides: far pointers have the offset in imm and the selector in imm2; lds_family has the register in
 * reg and the segment register in imm2; IN and OUT have their port in imm when INSN_IMM is set, else in DX. int_n has
 * its vector in imm. mov_to_sreg, mov_from_sreg, push_sreg, pop_sreg have the segment register in reg; MOV CR and MOV
 * DR have the CR or DR number in reg and the general register in rm. x86_op_vmx serves every VMX, SVM and SMX
 * instruction by i->id. While a handler runs, s.rip is already the next instruction's.
 */
#ifndef VMSCOPE_CORE_X86_SYS_H
#define VMSCOPE_CORE_X86_SYS_H

#include "core/x86/cpu.h"

/* clang-format off */
#define X86_SYS_OPS(OP) \
	OP(call_far_ptr) OP(call_far_mem) OP(jmp_far_ptr) OP(jmp_far_mem) OP(ret_far) OP(iret) OP(int_n) \
	OP(int3) OP(into) OP(int1) OP(syscall) OP(sysret) OP(sysenter) OP(sysexit) OP(mov_to_sreg) \
	OP(mov_from_sreg) OP(push_sreg) OP(pop_sreg) OP(lds_family) OP(lgdt) OP(lidt) OP(sgdt) OP(sidt) \
	OP(lldt) OP(ltr) OP(sldt) OP(str) OP(smsw) OP(lmsw) OP(lar) OP(lsl) OP(verr) OP(verw) OP(arpl) \
	OP(mov_from_cr) OP(mov_to_cr) OP(mov_from_dr) OP(mov_to_dr) OP(clts) OP(hlt) OP(invd) OP(wbinvd) \
	OP(invlpg) OP(invpcid) OP(rdpkru) OP(wrpkru) OP(rdmsr) OP(wrmsr) OP(rdtsc) OP(rdtscp) OP(rdpmc) OP(cpuid) OP(xgetbv) \
	OP(xsetbv) OP(vmx) OP(monitor) OP(mwait) OP(pause) OP(cli) OP(sti) OP(popf) OP(pushf) OP(in) OP(out) \
	OP(ins) OP(outs) OP(rsm) OP(swapgs) OP(rdfsbase) OP(rdgsbase) OP(wrfsbase) OP(wrgsbase) OP(rdrand) \
	OP(rdseed) OP(clac) OP(stac) OP(getsec)
/* clang-format on */

#define X86_SYS_PROTOTYPE(name) enum x86_rc x86_op_##name(struct x86_cpu *c, const struct x86_insn *i);
X86_SYS_OPS(X86_SYS_PROTOTYPE)
#undef X86_SYS_PROTOTYPE

/* A task switch, from an instruction, a gate, or the VMM's handler of exit 9. source as in the exit's qualification
 * [SDM 3C "Exit Qualification for Task Switches"]: 0 CALL, 1 IRET, 2 JMP, 3 task gate in the IDT. next_rip is the
 * instruction pointer saved in the old task. has_error pushes error on the new stack. */
enum x86_task_source { X86_TASK_CALL, X86_TASK_IRET, X86_TASK_JMP, X86_TASK_GATE };
struct x86_desc;
/* #TS(sel) when the limit of a TSS descriptor is below its type's minimum: looked at before a task switch exits. */
enum x86_rc x86_check_tss_limit(struct x86_cpu *c, const struct x86_desc *d);
enum x86_rc x86_task_switch(struct x86_cpu *c, uint16_t selector, enum x86_task_source source, uint64_t next_rip,
    bool has_error, uint32_t error);

#endif
