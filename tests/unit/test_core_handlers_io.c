/* core/handlers*.c, execute.c, env.c: what the VMM does about ports and memory. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "core/env.h"
#include "core/irq.h"
#include "tests/handlers_fixture.h"

static int setup(void **state)
{
	return handlers_setup(state, NULL);
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

/* IRET in an NMI's handler that is not executed by the processor, and whose stack ends in the middle of its frame: the
 * guest gets the #SS, and NMIs are unblocked; a delivery that comes later has no part in that. */
static void an_iret_that_faults_in_the_executor_unblocks_nmis(void **state)
{
	(void)state;
	CODE_BYTES("\xcf");
	gpr[X86_RSP] = 0xffff;
	s->intr_shadow = INTR_SHADOW_NMI;
	PLAY(.reason = EXIT_VMM_SVM_EXTRA);
	got_fault(VEC_SS);
	assert_int_equal(s->intr_shadow & INTR_SHADOW_NMI, 0);
	s->intr_shadow = INTR_SHADOW_NMI;
	gpr[X86_RSP] = 0x8000;
	s->idtr.limit = 0x3ff;
	PLAY(.reason = EXIT_EPT_VIOLATION,
	    .idt_info = INTR_INFO_VALID | INTR_TYPE_EXTERNAL << INTR_INFO_TYPE_SHIFT | 0x20);
	assert_int_equal(s->intr_shadow & INTR_SHADOW_NMI, INTR_SHADOW_NMI);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, vm_fix_teardown)
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
	    T(an_iret_that_faults_in_the_executor_unblocks_nmis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
