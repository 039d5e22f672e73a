/* core/handlers*.c, execute.c: what the VMM does about the instructions of the CPU, about ends and about exceptions. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "core/env.h"
#include "core/handlers.h"
#include "tests/handlers_fixture.h"

static int setup(void **state)
{
	return handlers_setup(state, NULL);
}

/* --- The CPU ----------------------------------------------------------------------------------------------------- */

static void cpuid_answers_in_the_registers_and_in_the_record(void **state)
{
	uint32_t out[4];

	(void)state;
	gpr[X86_RAX] = 0xffffffff00000000;
	gpr[X86_RCX] = 0;
	x86_cpuid(&v->cpu, 0, 0, out);
	struct vm_exit *e = PLAY(.reason = EXIT_CPUID, .insn_len = 2);
	assert_true(
	    gpr[X86_RAX] == out[0] && gpr[X86_RBX] == out[1] && gpr[X86_RCX] == out[2] && gpr[X86_RDX] == out[3]);
	assert_int_equal(e->cpuid.ebx, out[1]);
	assert_true(out[0] >= 1);
	completes();
	e = PLAY(.reason = EXIT_CPUID, .cpuid = {.leaf = 1});
	x86_cpuid(&v->cpu, 1, 0, out);
	assert_int_equal(e->cpuid.eax, out[0]);
	assert_int_not_equal(gpr[X86_RAX], out[0]);
}

static void the_tsc_is_guest_time_plus_an_offset(void **state)
{
	(void)state;
	vm->clock.insns = 100;
	gpr[X86_RCX] = 0x10;
	PLAY(.reason = EXIT_MSR_READ, .insn_len = 2);
	assert_int_equal(gpr[X86_RAX], 100 * CLOCK_NS_PER_INSN * CLOCK_TSC_PER_NS);
	gpr[X86_RAX] = 5;
	gpr[X86_RDX] = 1;
	PLAY(.reason = EXIT_MSR_WRITE, .insn_len = 2);
	assert_true(vcpu_tsc(v) == 0x100000005 + CLOCK_NS_PER_INSN); /* WRMSR itself took one instruction */
	struct vm_exit *e = PLAY(.reason = EXIT_RDTSC, .insn_len = 2);
	assert_int_equal(gpr[X86_RDX], 1);
	assert_true(e->value == 0x100000005 + CLOCK_NS_PER_INSN);
	s->tsc_aux = 77;
	PLAY(.reason = EXIT_RDTSCP, .insn_len = 3);
	assert_int_equal(gpr[X86_RCX], 77);
}

static void an_unknown_msr_is_a_general_protection_fault_and_counted(void **state)
{
	(void)state;
	gpr[X86_RCX] = 0x12345;
	struct vm_exit *e = PLAY(.reason = EXIT_MSR_READ, .insn_len = 2);
	got_fault(VEC_GP);
	assert_int_equal(fake_mode.injected[0].has_error, 1);
	assert_int_equal(e->msr.index, 0x12345);
	assert_int_equal(e->msr.fault, 1);
	assert_int_equal(v->counts.unknown_msr, 1);
	PLAY(.reason = EXIT_MSR_WRITE, .insn_len = 2);
	got_fault(VEC_GP);
	assert_int_equal(v->counts.unknown_msr, 2);
	assert_int_equal(s->rip, CODE);
}

static void a_bad_value_for_a_known_msr_is_not_unknown(void **state)
{
	(void)state;
	gpr[X86_RCX] = 0xc0000080; /* EFER, reserved bits */
	gpr[X86_RAX] = 0xffffffff;
	gpr[X86_RDX] = 0xffffffff;
	PLAY(.reason = EXIT_MSR_WRITE, .insn_len = 2);
	got_fault(VEC_GP);
	assert_int_equal(v->counts.unknown_msr, 0);
	gpr[X86_RAX] = EFER_NXE;
	gpr[X86_RDX] = 0;
	PLAY(.reason = EXIT_MSR_WRITE, .insn_len = 2);
	assert_int_equal(s->efer, EFER_NXE);
	assert_int_equal(s->rip, CODE + 2);
}

#define CR(num, type, reg) ((num) | (type) << QUAL_CR_TYPE_SHIFT | (reg) << QUAL_CR_GPR_SHIFT)

static void control_registers_are_written_with_all_checks(void **state)
{
	(void)state;
	gpr[X86_RBX] = CR0_ET | CR0_PE;
	PLAY(.reason = EXIT_CR_ACCESS, .insn_len = 3, .qual = CR(0, 0, X86_RBX));
	assert_int_equal(s->cr0 & CR0_PE, CR0_PE);
	assert_true(v->cpu.mode >= X86_MODE_PROT);
	assert_int_equal(s->rip, CODE + 3);
	gpr[X86_RBX] = CR0_PG; /* paging without protection */
	PLAY(.reason = EXIT_CR_ACCESS, .insn_len = 3, .qual = CR(0, 0, X86_RBX));
	got_fault(VEC_GP);
	assert_int_equal(s->cr0 & CR0_PG, 0);
	gpr[X86_RDX] = 0x7000;
	PLAY(.reason = EXIT_CR_ACCESS, .insn_len = 3, .qual = CR(3, 0, X86_RDX));
	assert_int_equal(s->cr3, 0x7000);
	struct vm_exit *e = PLAY(.reason = EXIT_CR_ACCESS, .insn_len = 3, .qual = CR(3, 1, X86_RSI));
	assert_int_equal(gpr[X86_RSI], 0x7000);
	assert_int_equal(e->cr.value, 0x7000);
	assert_int_equal(e->cr.cr, 3);
	gpr[X86_RDX] = CR4_PAE;
	PLAY(.reason = EXIT_CR_ACCESS, .insn_len = 3, .qual = CR(4, 0, X86_RDX));
	assert_int_equal(s->cr4, CR4_PAE);
	gpr[X86_RDX] = 1u << 31;
	PLAY(.reason = EXIT_CR_ACCESS, .insn_len = 3, .qual = CR(4, 0, X86_RDX));
	got_fault(VEC_GP);
	gpr[X86_RDX] = 9;
	PLAY(.reason = EXIT_CR_ACCESS, .insn_len = 3, .qual = CR(8, 0, X86_RDX));
	assert_int_equal(s->cr8, 9);
	PLAY(.reason = EXIT_CR_ACCESS, .insn_len = 3, .qual = CR(5, 0, X86_RDX));
	got_fault(VEC_UD);
}

static void clts_and_lmsw_change_only_their_bits(void **state)
{
	(void)state;
	s->cr0 = CR0_ET | CR0_TS | CR0_MP | CR0_CD;
	PLAY(.reason = EXIT_CR_ACCESS, .insn_len = 2, .qual = CR(0, 2, 0));
	assert_int_equal(s->cr0, CR0_ET | CR0_MP | CR0_CD);
	PLAY(.reason = EXIT_CR_ACCESS, .insn_len = 3,
	    .qual = CR(0, 3, 0) | (uint64_t)(CR0_PE | CR0_TS | 0xfff0) << QUAL_CR_LMSW_SHIFT);
	assert_int_equal(s->cr0, CR0_ET | CR0_CD | CR0_PE | CR0_TS);
	PLAY(.reason = EXIT_CR_ACCESS, .insn_len = 3, .qual = CR(0, 3, 0));
	assert_int_equal(s->cr0, CR0_ET | CR0_CD | CR0_PE); /* LMSW cannot clear PE */
}

static void debug_registers_are_read_and_written(void **state)
{
	(void)state;
	gpr[X86_RBX] = 0x12345678;
	PLAY(.reason = EXIT_DR_ACCESS, .insn_len = 3, .qual = 2 | X86_RBX << QUAL_DR_GPR_SHIFT);
	assert_int_equal(s->dr[2], 0x12345678);
	struct vm_exit *e =
	    PLAY(.reason = EXIT_DR_ACCESS, .insn_len = 3, .qual = 2 | QUAL_DR_READ | X86_RDI << QUAL_DR_GPR_SHIFT);
	assert_int_equal(gpr[X86_RDI], 0x12345678);
	assert_int_equal(e->dr.read, 1);
	assert_int_equal(e->dr.value, 0x12345678);
}

/* The exit of MOV DR comes before general detect, so that is the handler's to see. */
static void general_detect_comes_before_a_debug_register(void **state)
{
	(void)state;
	s->dr7 = 0x2400;
	PLAY(.reason = EXIT_DR_ACCESS, .insn_len = 3, .qual = 6 | X86_RBX << QUAL_DR_GPR_SHIFT);
	assert_int_equal(fake_mode.n_injected, 1);
	assert_int_equal(fake_mode.injected[0].vector, VEC_DB);
	assert_int_equal(fake_mode.injected[0].dr6, 1u << 13);
	assert_int_equal(s->dr7, 0x400);
	assert_int_equal(s->rip, CODE);
}

static void xsetbv_without_its_preconditions_faults(void **state)
{
	(void)state;
	gpr[X86_RCX] = 5; /* no such register */
	PLAY(.reason = EXIT_XSETBV, .insn_len = 3);
	assert_int_equal(fake_mode.n_injected, 1);
	assert_int_equal(s->rip, CODE);
}

static void vmcall_says_that_there_is_no_such_call(void **state)
{
	(void)state;
	struct vm_exit *e = PLAY(.reason = EXIT_VMCALL, .insn_len = 3);
	assert_true(gpr[X86_RAX] == (uint32_t)-1000);
	assert_true(e->value == (uint32_t)-1000);
	assert_int_equal(s->rip, CODE + 3);
}

static void what_this_cpu_does_not_have_is_undefined(void **state)
{
	static const uint32_t undefined[] = {EXIT_GETSEC, EXIT_VMCLEAR, EXIT_VMLAUNCH, EXIT_VMPTRLD, EXIT_VMPTRST,
	    EXIT_VMREAD, EXIT_VMRESUME, EXIT_VMWRITE, EXIT_VMXOFF, EXIT_VMXON, EXIT_INVEPT, EXIT_INVVPID, EXIT_VMFUNC,
	    EXIT_RSM, EXIT_ENCLS, EXIT_PCONFIG, EXIT_UMWAIT, EXIT_TPAUSE, EXIT_XSAVES, EXIT_XRSTORS, EXIT_SEAMCALL,
	    EXIT_TDCALL};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(undefined); i++) {
		PLAY(.reason = undefined[i], .insn_len = 3);
		got_fault(VEC_UD);
		assert_int_equal(fake_mode.injected[0].has_error, 0);
		assert_int_equal(s->rip, CODE);
	}
	PLAY(.reason = EXIT_RDPMC, .insn_len = 2);
	got_fault(VEC_GP);
}

/* MONITOR, MWAIT: what CPUID offers decides. */
static void monitor_follows_cpuid(void **state)
{
	uint32_t out[4];

	(void)state;
	x86_cpuid(&v->cpu, 1, 0, out);
	bool offered = out[2] >> 3 & 1;
	PLAY(.reason = EXIT_MONITOR_INSTRUCTION, .insn_len = 3);
	assert_int_equal(fake_mode.n_injected, !offered);
	assert_int_equal(s->rip, offered ? CODE + 3 : CODE);
	PLAY(.reason = EXIT_MWAIT_INSTRUCTION, .insn_len = 3);
	assert_int_equal(fake_mode.n_injected, !offered);
}

static void instructions_without_an_effect_are_passed_over(void **state)
{
	static const uint32_t nothing[] = {EXIT_PAUSE_INSTRUCTION, EXIT_INVD, EXIT_WBINVD, EXIT_INVLPG};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nothing); i++) {
		s->rip = CODE;
		PLAY(.reason = nothing[i], .insn_len = 2);
		assert_int_equal(s->rip, CODE + 2);
		assert_int_equal(fake_mode.n_injected, 0);
	}
}

static void descriptor_table_instructions_are_executed_for_the_guest(void **state)
{
	(void)state;
	CODE_BYTES("\x0f\x01\x06\x00\x30"); /* sgdt [3000] */
	s->gdtr = (struct x86_dtable){.base = 0x123456, .limit = 0x7f};
	PLAY(.reason = EXIT_GDTR_IDTR, .insn_len = 5);
	assert_memory_equal(vm->mem.ram + 0x3000, "\x7f\x00\x56\x34\x12", 5);
	assert_int_equal(s->rip, CODE + 5);
	assert_int_equal(v->counts.insns_vmm, 1);
}

static void events_of_the_vmm_only_give_it_the_cpu_back(void **state)
{
	static const uint32_t events[] = {EXIT_EXTERNAL_INTERRUPT, EXIT_INTERRUPT_WINDOW, EXIT_PREEMPTION_TIMER,
	    EXIT_MONITOR_TRAP_FLAG, EXIT_VMM_INTR, EXIT_VMM_IRQ_WINDOW, EXIT_VMM_TIMER, EXIT_VMM_DEBUG, EXIT_VMM_KICK,
	    EXIT_VMM_SET_TPR, EXIT_VMM_LIMIT};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		PLAY(.reason = events[i]);
		assert_int_equal(s->rip, CODE);
		assert_int_equal(fake_mode.n_injected, 0);
		assert_false(vm->ended);
	}
}

/* --- Ends -------------------------------------------------------------------------------------------------------- */

static void ends_with(uint32_t reason, enum end_kind kind, const char *text)
{
	static struct fake_step step;

	step = (struct fake_step){.exit = {.reason = reason,
				      .rip = 0xbeef,
				      .host = {.code = 17, .suberror = 1, .bytes = {0x0f, 0x77}, .n_bytes = 2}}};
	fake_mode_script(&step, 1);
	vm_step_exit(vm, v);
	assert_true(vm->ended);
	assert_int_equal(vm->end.kind, kind);
	if (!strstr(vm->end.detail, text))
		fail_msg("'%s' does not say '%s'", vm->end.detail, text);
	vm->ended = false;
}

static void codes_that_end_the_machine_say_why(void **state)
{
	(void)state;
	ends_with(EXIT_TRIPLE_FAULT, END_TRIPLE_FAULT, "0xbeef");
	ends_with(EXIT_VMM_INTERNAL_ERROR, END_HOST_KVM, "bytes 0f 77, ");
	ends_with(EXIT_VMM_FAIL_ENTRY, END_HOST_KVM, "hardware reason 0x11");
	ends_with(EXIT_VMM_MODEL_END, END_MODEL_END, "returned");
	ends_with(EXIT_VMM_UNIMPLEMENTED, END_UNIMPLEMENTED, "not executed yet");
}

/* Fail-stop is a decision, not an oversight: these reasons cannot happen under the controls that we program. */
static void every_reason_has_a_handler_or_is_known_to_have_none(void **state)
{
	static const uint32_t none[] = {EXIT_INIT_SIGNAL, EXIT_SIPI, EXIT_IO_SMI, EXIT_OTHER_SMI, EXIT_INVALID_STATE,
	    EXIT_MSR_LOAD_FAIL, EXIT_MCE_DURING_VMENTRY, EXIT_APIC_ACCESS, EXIT_EOI_INDUCED, EXIT_EPT_MISCONFIG,
	    EXIT_APIC_WRITE, EXIT_PML_FULL, EXIT_SPP_EVENT, EXIT_ENQCMD_PASID, EXIT_ENQCMDS_PASID, EXIT_BUS_LOCK,
	    EXIT_NOTIFY};

	(void)state;
	for (uint32_t r = 0; r < EXIT_SDM_COUNT; r++) {
		bool expected = exit_desc(r) != NULL;
		for (size_t i = 0; i < ARRAY_LEN(none); i++)
			expected &= none[i] != r;
		if ((handler_find(vm, r) != NULL) != expected)
			fail_msg("reason %u %s", r, exit_name(r));
	}
	for (uint32_t r = EXIT_VMM_BASE; exit_desc(r); r++)
		assert_non_null(handler_find(vm, r));
}

/* --- Trap-and-emulate -------------------------------------------------------------------------------------------- */

#define GP_INFO (INTR_INFO_VALID | INTR_INFO_ERROR | INTR_TYPE_HW_EXCEPTION << INTR_INFO_TYPE_SHIFT | VEC_GP)
#define UD_INFO (INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION << INTR_INFO_TYPE_SHIFT | VEC_UD)

static void under_vmx_profiles_exceptions_go_back_to_the_guest(void **state)
{
	(void)state;
	CODE_BYTES("\xfa"); /* cli: would succeed at CPL 0 */
	PLAY(.reason = EXIT_EXCEPTION_NMI, .intr_info = GP_INFO, .intr_error = 0x1234);
	got_fault(VEC_GP);
	assert_int_equal(fake_mode.injected[0].error, 0x1234);
	PLAY(.reason = EXIT_EXCEPTION_NMI,
	    .intr_info = INTR_INFO_VALID | INTR_TYPE_SW_EXCEPTION << INTR_INFO_TYPE_SHIFT | VEC_BP, .insn_len = 1);
	assert_int_equal(fake_mode.injected[0].insn_len, 1);
	assert_int_equal(fake_mode.injected[0].type, INTR_TYPE_SW_EXCEPTION);
	PLAY(.reason = EXIT_EXCEPTION_NMI,
	    .intr_info = INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION << INTR_INFO_TYPE_SHIFT | VEC_DB, .qual = 0x4001);
	assert_int_equal(fake_mode.injected[0].dr6, 0x4001);
}

static int setup_deprivileged(void **state)
{
	return handlers_setup(state, "deprivileged");
}

static void a_privileged_instruction_of_the_guests_kernel_is_emulated(void **state)
{
	(void)state;
	CODE_BYTES("\xfa");
	s->rflags |= FLAG_IF;
	PLAY(.reason = EXIT_EXCEPTION_NMI, .intr_info = GP_INFO);
	assert_int_equal(fake_mode.n_injected, 0);
	assert_int_equal(s->rflags & FLAG_IF, 0);
	assert_int_equal(s->rip, CODE + 1);
	assert_int_equal(v->counts.insns_vmm, 1);
	CODE_BYTES("\xe6\x21"); /* out 21, al */
	gpr[X86_RAX] = 0x99;
	PLAY(.reason = EXIT_EXCEPTION_NMI, .intr_info = GP_INFO);
	assert_int_equal(bus_pio_read(&vm->bus, 0x21, 1), 0x99);
	assert_int_equal(s->rip, CODE + 2);
}

static void hlt_of_the_guests_kernel_halts(void **state)
{
	(void)state;
	CODE_BYTES("\xf3\xf4"); /* with a prefix, so that the length counts */
	PLAY(.reason = EXIT_EXCEPTION_NMI, .intr_info = GP_INFO);
	assert_true(v->halted);
	assert_int_equal(s->rip, CODE + 2);
}

static void what_faults_even_for_the_kernel_is_the_guests_own_fault(void **state)
{
	(void)state;
	CODE_BYTES("\x0f\x0b"); /* ud2 */
	PLAY(.reason = EXIT_EXCEPTION_NMI, .intr_info = UD_INFO);
	got_fault(VEC_UD);
	assert_int_equal(s->rip, CODE);
	assert_int_equal(v->counts.insns_vmm, 0);
}

static void a_privileged_instruction_of_a_user_program_goes_to_the_guests_kernel(void **state)
{
	(void)state;
	CODE_BYTES("\xfa");
	s->cr0 |= CR0_PE;
	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		s->seg[i].attr |= 3u << SEG_DPL_SHIFT;
	s->rflags |= FLAG_IF;
	x86_state_changed(&v->cpu);
	PLAY(.reason = EXIT_EXCEPTION_NMI, .intr_info = GP_INFO);
	got_fault(VEC_GP);
	assert_true(s->rflags & FLAG_IF);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, vm_fix_teardown)
#define D(name) cmocka_unit_test_setup_teardown(name, setup_deprivileged, vm_fix_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(cpuid_answers_in_the_registers_and_in_the_record),
	    T(the_tsc_is_guest_time_plus_an_offset),
	    T(an_unknown_msr_is_a_general_protection_fault_and_counted),
	    T(a_bad_value_for_a_known_msr_is_not_unknown),
	    T(control_registers_are_written_with_all_checks),
	    T(clts_and_lmsw_change_only_their_bits),
	    T(debug_registers_are_read_and_written),
	    T(general_detect_comes_before_a_debug_register),
	    T(xsetbv_without_its_preconditions_faults),
	    T(vmcall_says_that_there_is_no_such_call),
	    T(what_this_cpu_does_not_have_is_undefined),
	    T(monitor_follows_cpuid),
	    T(instructions_without_an_effect_are_passed_over),
	    T(descriptor_table_instructions_are_executed_for_the_guest),
	    T(events_of_the_vmm_only_give_it_the_cpu_back),
	    T(codes_that_end_the_machine_say_why),
	    T(every_reason_has_a_handler_or_is_known_to_have_none),
	    T(under_vmx_profiles_exceptions_go_back_to_the_guest),
	    D(a_privileged_instruction_of_the_guests_kernel_is_emulated),
	    D(hlt_of_the_guests_kernel_halts),
	    D(what_faults_even_for_the_kernel_is_the_guests_own_fault),
	    D(a_privileged_instruction_of_a_user_program_goes_to_the_guests_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
