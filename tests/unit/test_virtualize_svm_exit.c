/*
 * What an exit of AMD-V leaves to be done before the guest goes on. The guest is emulated, its exits are made up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/env.h"
#include "core/vm.h"
#include "modes/virtualize/svm_priv.h"

#define CODE 0x7c00u

static struct vm *vm;
static struct vmcb vmcb;
static struct svm_vm svm;
static struct svm_vcpu svm_cpu;

static int setup(void **state)
{
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_II),
	    .guest = "test",
	    .controls = "all",
	    .mem_size = 2u << 20,
	    .n_vcpus = 1,
	    .clock = CLOCK_VIRTUAL};
	struct errmsg why = {""};

	(void)state;
	return vm_create(&cfg, &vm, &why) != ERR_OK;
}

static int teardown(void **state)
{
	(void)state;
	vm_destroy(vm);
	return 0;
}

/* The exit of an instruction of n bytes in real mode, without an offset of CS. */
static bool flushes(uint64_t code, const void *insn, size_t n, uint32_t reason)
{
	struct vcpu *v = &vm->vcpus[0];
	struct x86_state *s = vcpu_state_for_write(v, DIRTY_ALL);
	void *of_vm = vm->mode_priv, *of_vcpu = v->mode_priv;
	struct vm_exit e = {0};

	assert_int_equal(mem_write(&vm->mem, CODE, insn, n), ERR_OK);
	s->seg[X86_CS].sel = 0;
	s->seg[X86_CS].base = 0;
	s->rip = CODE;
	s->gpr[X86_RAX] = s->cr3; /* what it is already */
	x86_state_changed(&v->cpu);
	memset(&vmcb, 0, sizeof(vmcb));
	vmcb.s.rip = CODE;
	vmcb.c.exit_code = code;
	svm_cpu = (struct svm_vcpu){.vmcb = &vmcb, .fresh = true};
	vm->mode_priv = &svm;
	v->mode_priv = &svm_cpu;
	enum err err = svm_explain_exit(v, &e);

	vm->mode_priv = of_vm;
	v->mode_priv = of_vcpu;
	assert_int_equal(err, ERR_OK);
	assert_int_equal(e.reason, reason);
	return svm_cpu.flush;
}

static void a_write_of_cr3_flushes_whatever_the_value(void **state)
{
	(void)state;
	assert_true(flushes(SVM_EXIT_CR_WRITE + 3, "\x0f\x22\xd8", 3, EXIT_CR_ACCESS)); /* mov cr3, eax */
}

static void invlpg_flushes(void **state)
{
	(void)state;
	assert_true(flushes(SVM_EXIT_INVLPG, "\x0f\x01\x38", 3, EXIT_INVLPG)); /* invlpg [bx+si] */
}

static void what_moves_no_translation_flushes_nothing(void **state)
{
	(void)state;
	assert_false(flushes(SVM_EXIT_CR_READ + 3, "\x0f\x20\xd8", 3, EXIT_CR_ACCESS)); /* mov eax, cr3 */
	assert_false(flushes(SVM_EXIT_HLT, "\xf4", 1, EXIT_HLT));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_write_of_cr3_flushes_whatever_the_value),
	    TEST(invlpg_flushes),
	    TEST(what_moves_no_translation_flushes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
