/*
 * The /dev/kvm backend under the real loop, with 16-bit programs of a few bytes. Every test needs /dev/kvm and says so
 * when it is not there; none needs root beyond that.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/vm.h"
#include "modes/virtualize/kvm.h"

#define CODE_BASE 0x7c00u
#define MAX_SEEN 64

struct rig {
	struct vm *vm;
	struct vcpu *v;
	struct vm_exit seen[MAX_SEEN]; /* hardware exits with their results */
	unsigned n;
};

static void note_verdict(void *arg, struct vcpu *v, const struct vm_exit *e, enum verdict verdict)
{
	struct rig *r = arg;

	(void)v;
	(void)verdict;
	if (exit_is_hw(e->reason) && r->n < MAX_SEEN)
		r->seen[r->n++] = *e;
}

static const struct probe_ops rig_probe = {.name = "rig", .on_verdict = note_verdict};

static bool kvm_here(void)
{
	struct errmsg why = {""};

	if (mode_virtualize_type2_ops.probe(&host_posix_ops, &why) == ERR_OK)
		return true;
	print_message("skipped: %s\n", why.text);
	return false;
}

/* A machine with code at 7c00, flat real-mode segments at 0 and a stack below. */
static struct rig *rig_new(const void *code, size_t n)
{
	struct vm_config cfg = {
	    .host = &host_posix_ops,
	    .mode = &mode_virtualize_type2_ops,
	    .guest = "bytes",
	    .mem_size = 1 << 20,
	    .n_vcpus = 1,
	    .clock = CLOCK_HOST,
	};
	struct rig *r = test_calloc(1, sizeof *r);
	struct errmsg why = {""};
	struct x86_state *s;

	if (vm_create(&cfg, &r->vm, &why) != ERR_OK)
		fail_msg("%s", why.text);
	r->v = &r->vm->vcpus[0];
	assert_int_equal(mem_write(&r->vm->mem, CODE_BASE, code, n), ERR_OK);
	s = vcpu_state_for_write(r->v, DIRTY_ALL);
	assert_non_null(s);
	for (unsigned i = 0; i < X86_SREG_COUNT; i++) {
		s->seg[i].sel = 0;
		s->seg[i].base = 0;
	}
	s->gpr[X86_RSP] = 0x7000;
	s->rip = CODE_BASE;
	assert_int_equal(vm_add_probe(r->vm, &rig_probe, r), ERR_OK);
	return r;
}

static void rig_free(struct rig *r)
{
	vm_destroy(r->vm);
	test_free(r);
}

/* The next hardware exit, with its effect; registers are at the lockstep point after it. */
static const struct vm_exit *next_exit(struct rig *r)
{
	unsigned before = r->n;

	while (r->n == before && !r->vm->ended)
		assert_int_equal(vm_step_exit(r->vm, r->v), ERR_OK);
	if (r->n == before)
		fail_msg("no exit: %s (%s)", end_name(r->vm->end.kind), r->vm->end.detail);
	return &r->seen[before];
}

#define RIG(...)                                     \
	static const uint8_t code[] = {__VA_ARGS__}; \
	if (!kvm_here())                             \
		skip();                              \
	struct rig *r = rig_new(code, sizeof code)

static void each_out_exits_at_its_own_address(void **state)
{
	/* mov dx,0x80; mov ax,0x1234; out dx,al; out dx,al; out 0x80,al; out dx,ax; 66 out dx,eax; hlt */
	RIG(0xba, 0x80, 0x00, 0xb8, 0x34, 0x12, 0xee, 0xee, 0xe6, 0x80, 0xef, 0x66, 0xef, 0xf4);
	static const struct {
		uint32_t rip;
		uint8_t size, imm;
		uint64_t value;
	} want[] = {{0x7c06, 1, 0, 0x34}, {0x7c07, 1, 0, 0x34}, {0x7c08, 1, 1, 0x34}, {0x7c0a, 2, 0, 0x1234},
	    {0x7c0b, 4, 0, 0x1234}};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		const struct vm_exit *e = next_exit(r);

		assert_int_equal(e->reason, EXIT_IO_INSTRUCTION);
		assert_int_equal(e->rip, want[i].rip);
		assert_int_equal(e->io.port, 0x80);
		assert_int_equal(e->io.size, want[i].size);
		assert_int_equal(e->io.imm, want[i].imm);
		assert_int_equal(e->io.value, want[i].value);
		assert_int_equal(e->io.in, 0);
		assert_int_equal(e->qual & QUAL_IO_SIZE_MASK, want[i].size - 1);
		assert_int_equal(e->insn_len, 0); /* KVM does not say */
	}
	const struct vm_exit *e = next_exit(r);
	assert_int_equal(e->reason, EXIT_HLT);
	assert_int_equal(e->rip, 0x7c0d);
	rig_free(r);
}

static void registers_after_an_exit_are_those_after_its_instruction(void **state)
{
	/* mov al,0x41; out 0x80,al; in al,0x99; in ax,dx (dx=0x98) */
	RIG(0xb0, 0x41, 0xe6, 0x80, 0xe4, 0x99, 0xba, 0x98, 0x00, 0xed, 0xf4);
	const struct x86_state *s;
	(void)state;

	next_exit(r);
	s = vcpu_state(r->v);
	assert_int_equal(s->rip, 0x7c04);
	assert_int_equal(next_exit(r)->rip, 0x7c04);
	s = vcpu_state(r->v);
	assert_int_equal(s->rip, 0x7c06);
	assert_int_equal(s->gpr[X86_RAX] & 0xff, 0xff); /* nobody answers at 0x99 */
	const struct vm_exit *e = next_exit(r);
	assert_int_equal(e->rip, 0x7c09);
	assert_int_equal(e->io.in, 1);
	assert_int_equal(e->io.value, 0xffff);
	s = vcpu_state(r->v);
	assert_int_equal(s->rip, 0x7c0a);
	rig_free(r);
}

static void an_mmio_access_is_one_exit_at_its_instruction(void **state)
{
	/* mov ax,0xa000; mov ds,ax; mov es,ax; mov [0x10],al; mov bx,0x20; mov word [bx+2],0x5678; mov cl,[bx]; mov
	 * di,0x30; stosw; add byte [0x40],1; hlt */
	RIG(0xb8, 0x00, 0xa0, 0x8e, 0xd8, 0x8e, 0xc0, 0xa2, 0x10, 0x00, 0xbb, 0x20, 0x00, 0xc7, 0x47, 0x02, 0x78, 0x56,
	    0x8a, 0x0f, 0xbf, 0x30, 0x00, 0xab, 0x80, 0x06, 0x40, 0x00, 0x01, 0xf4);
	static const struct {
		uint32_t rip, gpa;
		uint8_t size, write, n;
		uint64_t value;
	} want[] = {
	    {0x7c07, 0xa0010, 1, 1, 1, 0x00}, {0x7c0d, 0xa0022, 2, 1, 1, 0x5678}, {0x7c12, 0xa0020, 1, 0, 1, 0xff},
	    {0x7c17, 0xa0030, 2, 1, 1, 0xa000},
	    {0x7c18, 0xa0040, 1, 0, 1, 0xff}, /* the read of ADD; its write is part of the same exit */
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		const struct vm_exit *e = next_exit(r);

		assert_int_equal(e->reason, EXIT_EPT_VIOLATION);
		assert_int_equal(e->rip, want[i].rip);
		assert_int_equal(e->gpa, want[i].gpa);
		assert_int_equal(e->mmio.size, want[i].size);
		assert_int_equal(e->mmio.write, want[i].write);
		assert_int_equal(e->mmio.value, want[i].value);
	}
	assert_int_equal(r->vm->vcpus[0].exit.mmio.n_accesses, 2);
	const struct x86_state *s = vcpu_state(r->v);
	assert_int_equal(s->rip, 0x7c1d);
	assert_int_equal(s->gpr[X86_RCX] & 0xff, 0xff);
	assert_int_equal(next_exit(r)->reason, EXIT_HLT);
	rig_free(r);
}

static void rep_outs_gives_every_byte_at_the_same_address(void **state)
{
	/* cld; mov si,0x7c10; mov cx,5; mov dx,0xe9; rep outsb; hlt; "hello" at 7c10 */
	RIG(0xfc, 0xbe, 0x10, 0x7c, 0xb9, 5, 0, 0xba, 0xe9, 0, 0xf3, 0x6e, 0xf4, 0x90, 0x90, 0x90, 'h', 'e', 'l', 'l',
	    'o');
	(void)state;

	for (unsigned i = 0; i < 5; i++) {
		const struct vm_exit *e = next_exit(r);

		assert_int_equal(e->rip, 0x7c0a);
		assert_int_equal(e->io.value, "hello"[i]);
		assert_int_equal(e->io.string, 1);
		assert_int_equal(e->io.rep, 1);
	}
	const struct vm_exit *e = next_exit(r);
	assert_int_equal(e->reason, EXIT_HLT);
	assert_int_equal(vcpu_state(r->v)->gpr[X86_RCX], 0);
	assert_int_equal(vcpu_state(r->v)->gpr[X86_RSI], 0x7c15);
	rig_free(r);
}

static void rep_ins_is_dealt_out_one_element_at_a_time(void **state)
{
	/* cld; mov di,0x9000; mov cx,4; mov dx,0x99; rep insw; hlt */
	RIG(0xfc, 0xbf, 0x00, 0x90, 0xb9, 4, 0, 0xba, 0x99, 0, 0xf3, 0x6d, 0xf4);
	uint8_t got[10];
	(void)state;

	for (unsigned i = 0; i < 4; i++) {
		const struct vm_exit *e = next_exit(r);

		assert_int_equal(e->reason, EXIT_IO_INSTRUCTION);
		assert_int_equal(e->rip, 0x7c0a);
		assert_int_equal(e->io.size, 2);
		assert_int_equal(e->io.in, 1);
	}
	assert_int_equal(next_exit(r)->reason, EXIT_HLT);
	assert_int_equal(mem_read(&r->vm->mem, 0x9000, got, sizeof got), ERR_OK);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(got[i], 0xff);
	assert_int_equal(got[8], 0);
	assert_int_equal(vcpu_state(r->v)->gpr[X86_RDI], 0x9008);
	rig_free(r);
}

static void cpuid_is_the_projects_own_model(void **state)
{
	/* again: cpuid; hlt; jmp again */
	RIG(0x0f, 0xa2, 0xf4, 0xeb, 0xfb);
	uint32_t leaves[128][2], want[4];
	size_t n = x86_cpuid_leaves(leaves, ARRAY_LEN(leaves));
	(void)state;

	struct kvm_facts facts;

	kvm_facts_read(&facts);
	assert_true(n > 2);
	for (size_t i = 0; i < n; i++) {
		struct x86_state *s = vcpu_state_for_write(r->v, DIRTY_GPR);

		if (leaves[i][0] == 0xd) /* sizes follow XCR0, and the host's KVM has its own idea of them */
			continue;
		s->gpr[X86_RAX] = leaves[i][0];
		s->gpr[X86_RCX] = leaves[i][1];
		s->rip = CODE_BASE;
		r->n = 0;
		assert_int_equal(next_exit(r)->reason, EXIT_HLT);
		r->v->halted = false;
		s = vcpu_state(r->v);
		x86_cpuid(&r->v->cpu, leaves[i][0], leaves[i][1], want);
		if (leaves[i][0] == 1) /* without an APIC of its own KVM has no x2APIC, and the TSC is the host's */
			want[2] &= ~(1u << 21 | 1u << 24);
		/* Only a host whose CPU runs user code behind KVM's back may show features of its own, and only one
		 * without XSAVE may lack them. */
		if (facts.emulates || !facts.xsave)
			r->vm->cfg.mode->adjust_cpuid(r->v, leaves[i][0], leaves[i][1], want);
		if (s->gpr[X86_RAX] != want[0] || s->gpr[X86_RBX] != want[1] || s->gpr[X86_RCX] != want[2] ||
		    s->gpr[X86_RDX] != want[3])
			fail_msg("leaf %x.%x: %llx %llx %llx %llx instead of %x %x %x %x", leaves[i][0], leaves[i][1],
			    (unsigned long long)s->gpr[X86_RAX], (unsigned long long)s->gpr[X86_RBX],
			    (unsigned long long)s->gpr[X86_RCX], (unsigned long long)s->gpr[X86_RDX], want[0], want[1],
			    want[2], want[3]);
	}
	rig_free(r);
}

static void a_filtered_msr_exits_and_an_unknown_one_faults(void **state)
{
	/* IVT[13] -> 7c20; mov ecx,0x8b; rdmsr; mov ecx,0x12345; rdmsr; ... 7c20: out 0x80,al; hlt */
	RIG(0xc7, 0x06, 0x34, 0x00, 0x20, 0x7c, 0x66, 0xb9, 0x8b, 0, 0, 0, 0x0f, 0x32, 0x66, 0xb9, 0x45, 0x23, 0x01,
	    0x00, 0x0f, 0x32, 0xf4, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xe6, 0x80, 0xf4);
	(void)state;

	const struct vm_exit *e = next_exit(r);
	assert_int_equal(e->reason, EXIT_MSR_READ);
	assert_int_equal(e->rip, 0x7c0c);
	assert_int_equal(e->msr.index, 0x8b);
	e = next_exit(r);
	assert_int_equal(e->reason, EXIT_MSR_READ);
	assert_int_equal(e->msr.index, 0x12345);
	e = next_exit(r); /* the #GP handler */
	assert_int_equal(e->reason, EXIT_IO_INSTRUCTION);
	assert_int_equal(e->rip, 0x7c20);
	rig_free(r);
}

static void an_msr_that_the_kernel_keeps_does_not_exit(void **state)
{
	/* mov ecx,0xc0000082; mov eax,0x1234; xor edx,edx; wrmsr; xor eax,eax; rdmsr; hlt */
	RIG(0x66, 0xb9, 0x82, 0, 0, 0xc0, 0x66, 0xb8, 0x34, 0x12, 0, 0, 0x66, 0x31, 0xd2, 0x0f, 0x30, 0x66, 0x31, 0xc0,
	    0x0f, 0x32, 0xf4);
	(void)state;

	assert_int_equal(next_exit(r)->reason, EXIT_HLT);
	const struct x86_state *s = vcpu_state(r->v);
	assert_int_equal(s->gpr[X86_RAX], 0x1234);
	assert_int_equal(s->lstar, 0x1234);
	rig_free(r);
}

static void single_step_moves_one_instruction(void **state)
{
	/* mov ax,1; inc ax; inc ax; out 0x80,al; inc ax; hlt */
	RIG(0xb8, 1, 0, 0x40, 0x40, 0xe6, 0x80, 0x40, 0xf4);
	static const uint16_t rips[] = {0x7c03, 0x7c04, 0x7c05, 0x7c07, 0x7c08};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rips); i++) {
		assert_int_equal(vm_step_insn(r->vm, r->v), ERR_OK);
		assert_int_equal(vcpu_state(r->v)->rip, rips[i]);
	}
	assert_int_equal(vcpu_state(r->v)->gpr[X86_RAX], 4);
	assert_int_equal(r->n, 1);
	rig_free(r);
}

static void a_triple_fault_is_an_exit(void **state)
{
	/* lidt [0x7c14] (limit 0); mov eax,cr0; or al,1; mov cr0,eax; ud2 */
	RIG(0x0f, 0x01, 0x1e, 0x14, 0x7c, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, 0x0f, 0x0b, 0x90, 0x90, 0x90,
	    0x90, 0x90, 0, 0, 0, 0, 0, 0);
	(void)state;

	assert_int_equal(next_exit(r)->reason, EXIT_TRIPLE_FAULT);
	assert_true(r->vm->ended);
	assert_int_equal(r->vm->end.kind, END_TRIPLE_FAULT);
	rig_free(r);
}

static void an_undefined_opcode_is_the_guests_own_fault(void **state)
{
	/* IVT[6] -> 7c20; ud2; 7c20: out 0x80,al */
	RIG(0xc7, 0x06, 0x18, 0x00, 0x20, 0x7c, 0x0f, 0x0b, 0xf4, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
	    0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xe6, 0x80, 0xf4);
	uint16_t frame[3];
	(void)state;

	assert_int_equal(next_exit(r)->rip, 0x7c20);
	assert_int_equal(mem_read(&r->vm->mem, 0x7000 - 6, frame, sizeof frame), ERR_OK);
	assert_int_equal(frame[0], 0x7c06); /* a fault: the return address is the instruction */
	rig_free(r);
}

static void an_injected_interrupt_runs_its_handler(void **state)
{
	/* IVT[0x21] -> 7c20; out 0x80,al; sti; nop; out 0x80,al; hlt;  7c20: out 0x81,al; iret */
	RIG(0xc7, 0x06, 0x84, 0x00, 0x20, 0x7c, 0xe6, 0x80, 0xfb, 0x90, 0xe6, 0x80, 0xf4, 0x90, 0x90, 0x90, 0x90, 0x90,
	    0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xe6, 0x81, 0xcf);
	const struct x86_event irq = {.vector = 0x21, .type = INTR_TYPE_EXTERNAL};
	(void)state;

	next_exit(r);
	assert_false(r->vm->cfg.mode->interruptible(r->v)); /* IF is 0 */
	next_exit(r);
	assert_true(r->vm->cfg.mode->interruptible(r->v));
	assert_int_equal(vcpu_inject(r->v, &irq), ERR_OK);
	const struct vm_exit *e = next_exit(r);
	assert_int_equal(e->io.port, 0x81);
	assert_int_equal(e->rip, 0x7c20);
	e = next_exit(r); /* and IRET comes back */
	assert_int_equal(e->reason, EXIT_HLT);
	assert_int_equal(e->rip, 0x7c0c);
	rig_free(r);
}

static void the_window_opens_when_the_guest_can_take_an_interrupt(void **state)
{
	/* nop; nop; sti; nop; loop: jmp loop */
	RIG(0x90, 0x90, 0xfb, 0x90, 0xeb, 0xfe);
	struct run_bounds b = {.max_insns = UINT64_MAX, .deadline_ns = CLOCK_NEVER, .irq_window = true};
	struct vm_exit e;
	(void)state;

	memset(&e, 0, sizeof e);
	assert_int_equal(r->vm->cfg.mode->set_state(r->v), ERR_OK);
	do {
		memset(&e, 0, sizeof e);
		assert_int_equal(r->vm->cfg.mode->run(r->v, &b, &e), ERR_OK);
	} while (e.reason == EXIT_VMM_INTR || e.reason == EXIT_VMM_TIMER);
	assert_int_equal(e.reason, EXIT_VMM_IRQ_WINDOW);
	assert_true(r->vm->cfg.mode->interruptible(r->v));
	rig_free(r);
}

static void *kick_later(void *arg)
{
	usleep(20000);
	vm_stop(arg);
	return NULL;
}

/* With interrupts on: Bochs' VT-x does not leave a guest that has them off. */
static void stop_ends_an_endless_loop_from_another_thread(void **state)
{
	RIG(0xfb, 0xeb, 0xfe); /* sti; jmp $ */
	pthread_t t;
	(void)state;

	assert_int_equal(pthread_create(&t, NULL, kick_later, r->vm), 0);
	assert_int_equal(vm_run(r->vm), ERR_OK);
	pthread_join(t, NULL);
	assert_int_equal(r->vm->end.kind, END_STOPPED);
	assert_int_equal(vcpu_state(r->v)->rip, 0x7c01);
	rig_free(r);
}

static void a_deadline_ends_the_stay_in_the_guest(void **state)
{
	RIG(0xfb, 0xeb, 0xfe); /* sti; jmp $ */
	struct run_bounds b = {.max_insns = UINT64_MAX};
	struct vm_exit e;
	(void)state;

	assert_int_equal(r->vm->cfg.mode->set_state(r->v), ERR_OK);
	for (unsigned i = 0; i < 3; i++) { /* the timer is armed anew each time */
		memset(&e, 0, sizeof e);
		b.deadline_ns = clock_now_ns(&r->vm->clock) + 3000000;
		do {
			assert_int_equal(r->vm->cfg.mode->run(r->v, &b, &e), ERR_OK);
		} while (e.reason == EXIT_VMM_INTR);
		assert_int_equal(e.reason, EXIT_VMM_TIMER);
		assert_true(clock_now_ns(&r->vm->clock) >= b.deadline_ns);
	}
	rig_free(r);
}

static void state_goes_in_and_comes_back_whole(void **state)
{
	RIG(0xf4);
	struct x86_state *s = vcpu_state_for_write(r->v, DIRTY_ALL), before;
	(void)state;

	for (unsigned i = 0; i < 16; i++)
		s->gpr[i] = 0x1111111111111111ull * i + 3;
	s->rflags = FLAG_R1 | FLAG_CF | FLAG_ZF | FLAG_DF;
	s->cr2 = 0x123456789a;
	s->dr[0] = 0x1000;
	s->dr[3] = 0x4000;
	s->star = 0x0010000800000000ull;
	s->lstar = 0xffffffff80001000ull;
	s->kernel_gs_base = 0x7fff12345678ull;
	s->sysenter_eip = 0xfffff000;
	s->seg[X86_FS].base = 0x123450;
	s->seg[X86_FS].limit = 0xfffff;
	s->gdtr.base = 0x5000;
	s->gdtr.limit = 0x7f;
	s->cr8 = 5;
	s->intr_shadow = 0;
	s->fxsave[0] = 0x7f;
	s->fxsave[1] = 0x03; /* FCW */
	for (unsigned i = 160; i < 160 + 256; i++)
		s->fxsave[i] = (uint8_t)i; /* XMM */
	before = *s;
	assert_int_equal(r->vm->cfg.mode->set_state(r->v), ERR_OK);
	memset(s->gpr, 0, sizeof s->gpr);
	memset(s->fxsave, 0, sizeof s->fxsave);
	s->lstar = s->kernel_gs_base = s->dr[0] = s->dr[3] = 0;
	assert_int_equal(r->vm->cfg.mode->get_state(r->v), ERR_OK);
	assert_memory_equal(s->gpr, before.gpr, sizeof s->gpr);
	assert_int_equal(s->rflags, before.rflags);
	assert_int_equal(s->cr2, before.cr2);
	assert_int_equal(s->cr8, before.cr8);
	assert_memory_equal(s->dr, before.dr, sizeof s->dr);
	assert_int_equal(s->star, before.star);
	assert_int_equal(s->lstar, before.lstar);
	assert_int_equal(s->kernel_gs_base, before.kernel_gs_base);
	assert_int_equal(s->sysenter_eip, before.sysenter_eip);
	assert_int_equal(s->seg[X86_FS].base, before.seg[X86_FS].base);
	assert_int_equal(s->gdtr.base, before.gdtr.base);
	assert_int_equal(s->gdtr.limit, before.gdtr.limit);
	assert_memory_equal(s->fxsave, before.fxsave, 2);
	assert_memory_equal(s->fxsave + 160, before.fxsave + 160, 256);
	rig_free(r);
}

static void every_slot_that_the_kernel_got_is_reported(void **state)
{
	RIG(0xf4);
	struct mode_mapping m[MEM_SLOTS_MAX];
	size_t n = r->vm->cfg.mode->mappings(r->vm, m, ARRAY_LEN(m)), readable = 0;
	(void)state;

	for (unsigned i = 0; i < r->vm->mem.n_slots; i++)
		readable += r->vm->mem.slots[i].read != NULL;
	assert_int_equal(n, readable);
	for (size_t i = 0; i < n; i++) {
		int slot = mem_find(&r->vm->mem, m[i].gpa);

		assert_true(slot >= 0);
		assert_ptr_equal(m[i].host, r->vm->mem.slots[slot].read);
		assert_int_equal(m[i].write, r->vm->mem.slots[slot].write == r->vm->mem.slots[slot].read);
	}
	rig_free(r);
}

static void what_the_hosts_kvm_cannot_run_is_named(void **state)
{
	/* cmpxchg16b needs long mode; in real mode kvm_pvm lacks CVTSI2SD too: cr4.osfxsr on, then cvtsi2sd xmm0,eax;
	 * hlt */
	RIG(0x0f, 0x20, 0xe0, 0x0d, 0x00, 0x02, 0x0f, 0x22, 0xe0, 0xf2, 0x0f, 0x2a, 0xc0, 0xf4);
	struct kvm_facts facts;
	(void)state;

	kvm_facts_read(&facts);
	assert_int_equal(vm_run(r->vm), ERR_OK);
	if (!facts.emulates) { /* the CPU runs it */
		assert_int_equal(r->vm->end.kind, END_HALT);
	} else {
		assert_int_equal(r->vm->end.kind, END_HOST_KVM);
		assert_non_null(strstr(r->vm->end.detail, "0x7c09"));
		assert_non_null(strstr(r->vm->end.detail, "f2 0f 2a c0"));
		assert_non_null(strstr(r->vm->end.detail, "cvtsi2sd"));
	}
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_out_exits_at_its_own_address),
	    cmocka_unit_test(registers_after_an_exit_are_those_after_its_instruction),
	    cmocka_unit_test(an_mmio_access_is_one_exit_at_its_instruction),
	    cmocka_unit_test(rep_outs_gives_every_byte_at_the_same_address),
	    cmocka_unit_test(rep_ins_is_dealt_out_one_element_at_a_time),
	    cmocka_unit_test(cpuid_is_the_projects_own_model),
	    cmocka_unit_test(a_filtered_msr_exits_and_an_unknown_one_faults),
	    cmocka_unit_test(an_msr_that_the_kernel_keeps_does_not_exit),
	    cmocka_unit_test(single_step_moves_one_instruction),
	    cmocka_unit_test(a_triple_fault_is_an_exit),
	    cmocka_unit_test(an_undefined_opcode_is_the_guests_own_fault),
	    cmocka_unit_test(an_injected_interrupt_runs_its_handler),
	    cmocka_unit_test(the_window_opens_when_the_guest_can_take_an_interrupt),
	    cmocka_unit_test(stop_ends_an_endless_loop_from_another_thread),
	    cmocka_unit_test(a_deadline_ends_the_stay_in_the_guest),
	    cmocka_unit_test(state_goes_in_and_comes_back_whole),
	    cmocka_unit_test(every_slot_that_the_kernel_got_is_reported),
	    cmocka_unit_test(what_the_hosts_kvm_cannot_run_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
