/* core/handlers*.c, execute.c, env.c: what the VMM does about each reason. Real mode, a fake mode, the real executor.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "core/env.h"
#include "core/handlers.h"
#include "core/irq.h"
#include "core/vm.h"
#include "tests/fake_host.h"
#include "tests/fake_mode.h"

#define MIB 0x100000u
#define CODE 0x1000u

static struct vm *vm;
static struct vcpu *v;
static struct x86_state *s;
static uint64_t *gpr;

static void create(const char *profile)
{
	const struct vm_config cfg = {.host = &fake_host_ops,
	    .mode = &fake_mode_ops,
	    .guest = "test",
	    .mem_size = MIB,
	    .n_vcpus = 1,
	    .controls = profile};
	struct errmsg why = {""};

	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_OK);
	v = &vm->vcpus[0];
	s = &v->cpu.s;
	gpr = s->gpr;
	/* real mode at 0:1000, all segments at 0 */
	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		s->seg[i] = (struct x86_seg){.limit = 0xffff, .attr = 0x93};
	s->seg[X86_CS].attr = 0x9b;
	s->rip = CODE;
	gpr[X86_RSP] = 0x8000;
	x86_state_changed(&v->cpu);
}

static int setup(void **state)
{
	(void)state;
	fake_host_reset();
	fake_mode_reset();
	create(NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vm_destroy(vm);
	assert_int_equal(fake_host.live, 0);
	return 0;
}

static struct vm_exit *play(struct vm_exit e)
{
	static struct fake_step step;

	step = (struct fake_step){.exit = e};
	step.exit.rip = s->rip;
	fake_mode_script(&step, 1);
	fake_mode.n_injected = 0;
	assert_int_equal(vm_step_exit(vm, v), ERR_OK);
	return &v->exit;
}
#define PLAY(...) play((struct vm_exit){__VA_ARGS__})

static void code(const char *bytes, size_t n)
{
	assert_int_equal(mem_write(&vm->mem, CODE, bytes, n), ERR_OK);
	s->rip = CODE;
}
#define CODE_BYTES(text) code(text, sizeof(text) - 1)

static void got_fault(uint8_t vector)
{
	assert_int_equal(fake_mode.n_injected, 1);
	assert_int_equal(fake_mode.injected[0].vector, vector);
	assert_int_equal(fake_mode.injected[0].type, INTR_TYPE_HW_EXCEPTION);
}

static void completes(void)
{
	fake_mode_ops.caps |= MODE_CAP_COMPLETES;
}

/* --- Ports ------------------------------------------------------------------------------------------------------- */

static void in_replaces_only_the_part_of_rax_that_it_reads(void **state)
{
	(void)state;
	gpr[X86_RAX] = 0x1111111111111111;
	PLAY(.reason = EXIT_IO_INSTRUCTION, .insn_len = 2, .io = {.port = 0x1230, .size = 1, .in = 1});
	assert_true(gpr[X86_RAX] == 0x11111111111111ff);
	PLAY(.reason = EXIT_IO_INSTRUCTION, .insn_len = 2, .io = {.port = 0x1230, .size = 2, .in = 1});
	assert_true(gpr[X86_RAX] == 0x111111111111ffff);
	struct vm_exit *e =
	    PLAY(.reason = EXIT_IO_INSTRUCTION, .insn_len = 1, .io = {.port = 0x1230, .size = 4, .in = 1});
	assert_true(gpr[X86_RAX] == 0xffffffff); /* a 32-bit result clears the rest */
	assert_int_equal(e->io.value, 0xffffffff);
	assert_int_equal(s->rip, CODE + 5);
	assert_int_equal(vm->bus.unclaimed_pio, 3);
}

static void out_reaches_the_device_with_the_exits_value(void **state)
{
	(void)state;
	PLAY(.reason = EXIT_IO_INSTRUCTION, .insn_len = 2, .io = {.port = 0x21, .size = 1, .value = 0x5a});
	assert_int_equal(bus_pio_read(&vm->bus, 0x21, 1), 0x5a);
	assert_int_equal(s->rip, CODE + 2);
}

static void rep_insb_does_one_iteration_an_exit(void **state)
{
	(void)state;
	CODE_BYTES("\xf3\x6c");
	gpr[X86_RDX] = 0x21;
	gpr[X86_RDI] = 0x2000;
	gpr[X86_RCX] = 2;
	bus_pio_write(&vm->bus, 0x21, 1, 0x77);
	const struct vm_exit out = {.reason = EXIT_IO_INSTRUCTION,
	    .insn_len = 2,
	    .io = {.port = 0x21, .size = 1, .in = 1, .string = 1, .rep = 1}};
	struct vm_exit *e = play(out);
	assert_int_equal(vm->mem.ram[0x2000], 0x77);
	assert_int_equal(gpr[X86_RCX], 1);
	assert_int_equal(gpr[X86_RDI], 0x2001);
	assert_int_equal(s->rip, CODE); /* more to do */
	assert_int_equal(e->io.value, 0x77);
	assert_int_equal(vm->clock.insns, 1);
	assert_int_equal(v->counts.insns_vmm, 1);
	play(out);
	assert_int_equal(s->rip, CODE + 2);
	assert_int_equal(gpr[X86_RCX], 0);
	assert_int_equal(v->cpu.ctl == &vm->controls, 1); /* the intercepts are back */
}

static void a_string_access_that_faults_gives_the_guest_the_fault(void **state)
{
	(void)state;
	CODE_BYTES("\x6e");
	s->seg[X86_DS].limit = 0x0f;
	gpr[X86_RSI] = 0x20;
	x86_state_changed(&v->cpu);
	PLAY(.reason = EXIT_IO_INSTRUCTION, .insn_len = 1, .io = {.port = 0x80, .size = 1, .string = 1});
	got_fault(VEC_GP);
	assert_int_equal(s->rip, CODE);
	assert_int_equal(vm->clock.insns, 0);
}

static void a_mode_that_completes_hands_over_string_elements_one_by_one(void **state)
{
	(void)state;
	completes();
	struct vm_exit *e = PLAY(.reason = EXIT_IO_INSTRUCTION, .io = {.port = 0x21, .size = 1, .in = 1, .string = 1});
	assert_int_equal(e->io.value, bus_pio_read(&vm->bus, 0x21, 1));
	assert_int_equal(fake_mode.completes, 1);
	assert_int_equal(s->rip, CODE);
}

/* --- Memory ------------------------------------------------------------------------------------------------------ */

static void a_hole_reads_ones_through_the_executor(void **state)
{
	(void)state;
	CODE_BYTES("\x66\xa1\x00\x00"); /* mov eax, [0]; DS in the graphics window */
	s->seg[X86_DS].base = 0xa0000;
	s->seg[X86_DS].sel = 0xa000;
	x86_state_changed(&v->cpu);
	struct vm_exit *e = PLAY(.reason = EXIT_EPT_VIOLATION, .gpa = 0xa0000, .qual = QUAL_EPT_READ);
	assert_int_equal(gpr[X86_RAX], 0xffffffff);
	assert_int_equal(s->rip, CODE + 4);
	assert_int_equal(e->mmio.n_accesses, 1);
	assert_int_equal(e->mmio.size, 4);
	assert_int_equal(e->mmio.write, 0);
	assert_true(vm->bus.unclaimed_mmio == 1);
}

static void a_write_to_rom_is_dropped_and_counted(void **state)
{
	struct errmsg why;
	int slot = mem_find(&vm->mem, 0xe0000);

	(void)state;
	vm->mem.ram[0xe0000] = 0x11;
	assert_int_equal(mem_retarget(&vm->mem, (unsigned)slot, vm->mem.ram + 0xe0000, NULL, &why), ERR_OK);
	CODE_BYTES("\xc6\x06\x00\x00\x99"); /* mov byte [0], 99 */
	s->seg[X86_DS].base = 0xe0000;
	x86_state_changed(&v->cpu);
	PLAY(.reason = EXIT_EPT_VIOLATION, .gpa = 0xe0000, .qual = QUAL_EPT_WRITE);
	assert_int_equal(vm->mem.ram[0xe0000], 0x11);
	assert_int_equal(vm->mem.dropped_writes, 1);
	assert_int_equal(s->rip, CODE + 5);
}

static void a_write_under_the_rom_shadow_goes_to_its_memory(void **state)
{
	static uint8_t rom[0x4000];
	struct errmsg why;
	int slot = mem_find(&vm->mem, 0xe0000);

	(void)state;
	rom[0] = 0x42;
	assert_int_equal(mem_retarget(&vm->mem, (unsigned)slot, rom, vm->mem.ram + 0xe0000, &why), ERR_OK);
	CODE_BYTES("\x80\x06\x00\x00\x01"); /* add byte [0], 1: reads ROM, writes RAM */
	s->seg[X86_DS].base = 0xe0000;
	x86_state_changed(&v->cpu);
	PLAY(.reason = EXIT_EPT_VIOLATION, .gpa = 0xe0000, .qual = QUAL_EPT_WRITE);
	assert_int_equal(vm->mem.ram[0xe0000], 0x43);
	assert_int_equal(rom[0], 0x42);
	assert_int_equal(vm->mem.dropped_writes, 0);
	assert_int_equal(
	    mem_retarget(&vm->mem, (unsigned)slot, vm->mem.ram + 0xe0000, vm->mem.ram + 0xe0000, &why), ERR_OK);
}

static void an_access_across_pages_of_different_kind_is_put_together(void **state)
{
	(void)state;
	vm->mem.ram[0x9fffe] = 0x34;
	vm->mem.ram[0x9ffff] = 0x12;
	assert_int_equal(vcpu_mmio_read(v, 0x9fffe, 4), 0xffff1234);
	vcpu_mmio_write(v, 0x9fffe, 4, 0xaabbccdd);
	assert_int_equal(vm->mem.ram[0x9fffe], 0xdd);
	assert_int_equal(vm->mem.ram[0x9ffff], 0xcc);
}

/* MOVQ XMM1 from a device: what is read must reach the processor where the guest runs. MOV must not write that much. */
static void the_executor_gives_vector_registers_back(void **state)
{
	(void)state;
	CODE_BYTES("\xf3\x0f\x7e\x0e\x00\x00\x8b\x06\x00\x00"); /* movq xmm1, [0]; mov ax, [0] */
	s->cr4 |= CR4_OSFXSR;
	s->seg[X86_DS].base = 0xa0000;
	x86_state_changed(&v->cpu);
	PLAY(.reason = EXIT_EPT_VIOLATION, .gpa = 0xa0000, .qual = QUAL_EPT_READ);
	for (unsigned k = 0; k < 8; k++)
		assert_int_equal(s->fxsave[160 + 16 + k], 0xff);
	assert_true(v->dirty & DIRTY_FPU);
	v->dirty = 0;
	PLAY(.reason = EXIT_EPT_VIOLATION, .gpa = 0xa0000, .qual = QUAL_EPT_READ);
	assert_false(v->dirty & DIRTY_FPU);
}

static void a_mode_that_completes_gets_its_mmio_value(void **state)
{
	(void)state;
	completes();
	struct vm_exit *e = PLAY(.reason = EXIT_EPT_VIOLATION, .gpa = 0xa0000, .mmio = {.size = 8});
	assert_true(e->mmio.value == UINT64_MAX);
	assert_int_equal(fake_mode.completes, 1);
	int slot = mem_find(&vm->mem, 0xe0000);
	struct errmsg why;
	assert_int_equal(mem_retarget(&vm->mem, (unsigned)slot, vm->mem.ram + 0xe0000, NULL, &why), ERR_OK);
	PLAY(.reason = EXIT_EPT_VIOLATION, .gpa = 0xe0000, .mmio = {.size = 4, .write = 1, .value = 9});
	assert_int_equal(vm->mem.dropped_writes, 1);
}

static void an_interrupted_delivery_is_finished_by_the_executor(void **state)
{
	(void)state;
	/* IVT entry 20h -> 0:2000; the stack lies in the VGA window, which is no memory */
	memcpy(vm->mem.ram + 0x80, "\x00\x20\x00\x00", 4);
	s->seg[X86_SS].base = 0xa0000;
	s->rflags |= FLAG_IF;
	s->idtr.limit = 0x3ff;
	x86_state_changed(&v->cpu);
	PLAY(.reason = EXIT_EPT_VIOLATION, .gpa = 0xa7ffe,
	    .idt_info = INTR_INFO_VALID | INTR_TYPE_EXTERNAL << INTR_INFO_TYPE_SHIFT | 0x20);
	assert_int_equal(s->rip, 0x2000);
	assert_int_equal(gpr[X86_RSP], 0x8000 - 6);
	assert_int_equal(s->rflags & FLAG_IF, 0);
	assert_int_equal(fake_mode.n_injected, 0); /* done, not injected a second time */
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
	(void)state;
	fake_host_reset();
	fake_mode_reset();
	create("deprivileged");
	return 0;
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

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define D(name) cmocka_unit_test_setup_teardown(name, setup_deprivileged, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(in_replaces_only_the_part_of_rax_that_it_reads),
	    T(out_reaches_the_device_with_the_exits_value),
	    T(rep_insb_does_one_iteration_an_exit),
	    T(a_string_access_that_faults_gives_the_guest_the_fault),
	    T(a_mode_that_completes_hands_over_string_elements_one_by_one),
	    T(a_hole_reads_ones_through_the_executor),
	    T(a_write_to_rom_is_dropped_and_counted),
	    T(a_write_under_the_rom_shadow_goes_to_its_memory),
	    T(an_access_across_pages_of_different_kind_is_put_together),
	    T(the_executor_gives_vector_registers_back),
	    T(a_mode_that_completes_gets_its_mmio_value),
	    T(an_interrupted_delivery_is_finished_by_the_executor),
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
