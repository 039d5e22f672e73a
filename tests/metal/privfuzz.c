/*
 * The loop of the image: make a case, run it in core/x86, run it in VMX non-root operation, compare, count. Linked from
 * the objects of the bare-metal image, with this file in the place of metal/main.c.
 */
#include "tests/metal/privfuzz_explain.h"

#include "core/lib.h"
#include "core/metal/metal_priv.h"
#include "core/x86/event.h"
#include "core/x86/exec.h"
#include "core/x86/paging.h"
#include "modes/virtualize/vmx_asm.h"
#include "modes/virtualize/vmx_priv.h"

void metal_main(uint32_t magic, uint32_t info); /* called by boot.S */

#define STEPS_MAX 12u /* instructions in our CPU before a case is one that wanders through data, or does not end */

static struct boot_info boot_info;
static struct pf_request request;
static struct vm *vm;
static struct x86_cpu *ours;
static uint8_t *area, *before, *after_ours, *after_theirs, *after_again;
static struct vm_exit our_exit;
static struct {
	uint64_t run, equal, refused, endless, chains, unimplemented, different, explained[64], by_kind[64],
	    by_reason[EXIT_SDM_COUNT];
} counts;

static void stop(const char *why)
{
	pf_say("privfuzz: %s", why);
	metal_power_off();
}

/* --- The world of our CPU: the same guest memory, and nothing else ------------------------------------------------ */

static uint8_t *env_page(void *arg, gpa_t gpa, bool write)
{
	(void)arg;
	(void)write;
	return gpa - PF_BASE < PF_SIZE ? area + ((gpa - PF_BASE) & ~(gpa_t)(PAGE_SIZE_4K - 1)) : NULL;
}

static uint64_t env_mmio_read(void *arg, gpa_t gpa, unsigned n)
{
	(void)arg;
	(void)gpa;
	(void)n;
	return UINT64_MAX;
}

static void env_mmio_write(void *arg, gpa_t gpa, unsigned n, uint64_t v)
{
	(void)arg;
	(void)gpa;
	(void)n;
	(void)v;
}

static uint64_t env_io_read(void *arg, uint16_t port, unsigned n)
{
	return env_mmio_read(arg, port, n);
}

static void env_io_write(void *arg, uint16_t port, unsigned n, uint64_t v)
{
	env_mmio_write(arg, port, n, v);
}

static bool env_rdmsr(void *arg, uint32_t msr, uint64_t *v)
{
	return x86_rdmsr(arg, msr, v);
}

static bool env_wrmsr(void *arg, uint32_t msr, uint64_t v)
{
	return x86_wrmsr(arg, msr, v);
}

static void env_cpuid(void *arg, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	x86_cpuid(arg, leaf, subleaf, out);
}

static uint64_t env_tsc(void *arg)
{
	(void)arg;
	return 0;
}

static void env_code_written(void *arg, gpa_t gpa, unsigned n)
{
	(void)arg;
	(void)gpa;
	(void)n;
}

static void env_ferr_dropped(void *arg)
{
	(void)arg;
}

static const struct x86_env env = {.page = env_page,
    .mmio_read = env_mmio_read,
    .mmio_write = env_mmio_write,
    .io_read = env_io_read,
    .io_write = env_io_write,
    .rdmsr = env_rdmsr,
    .wrmsr = env_wrmsr,
    .cpuid = env_cpuid,
    .tsc = env_tsc,
    .code_written = env_code_written,
    .ferr_dropped = env_ferr_dropped};

/* --- Two processors ---------------------------------------------------------------------------------------------- */

static uint16_t last_id;

static void on_insn(void *arg, const struct x86_insn *i)
{
	(void)arg;
	last_id = i->id;
}

static enum x86_rc step(void)
{
	enum x86_rc rc = x86_step(ours);

	if (ours->on_insn && rc == X86_OK && strcmp(x86_insn_name(last_id), request.broken) == 0)
		x86_flags_update(ours, FLAG_ZF, ~x86_flags_get(ours));
	return rc;
}

static enum x86_rc run_cpu(const struct pf_case *k, struct pf_result *r)
{
	enum x86_rc rc;

	ours->s = k->s;
	ours->lazy.op = 0;
	ours->vectoring_valid = false;
	ours->ext = 0;
	memset(&ours->dbg, 0, sizeof(ours->dbg));
	memset(&our_exit, 0, sizeof(our_exit));
	x86_tlb_flush(ours);
	x86_paging_settled(ours);
	x86_state_changed(ours);
	vm->controls.exceptions = k->exceptions;
	rc = k->s.pending_event ? x86_inject_pending(ours) : X86_OK;
	for (unsigned n = 0; n < STEPS_MAX && rc == X86_OK; n++) {
		rc = step();
		if (rc == X86_FAULT)
			rc = x86_deliver(ours, &ours->fault);
	}
	x86_flags_sync(ours);
	r->s = ours->s;
	r->e = our_exit;
	return rc;
}

/* False: our CPU lacks something. */
static bool run_ours(const struct pf_case *k, struct pf_result *r, bool *ends)
{
	enum x86_rc rc = run_cpu(k, r);

	if (rc == X86_STOP) {
		pf_say("STOP %llu %s: %s", (unsigned long long)k->index, k->what, ours->stop_reason);
		counts.unimplemented++;
		return false;
	}
	*ends = rc == X86_EXIT && our_exit.reason != EXIT_PREEMPTION_TIMER;
	return true;
}

/*
 * Exceptions that come of each other's delivery without end, and no double fault: #AC must be one of them. Bochs 2.7
 * nests one call in another for each, until it has no stack left and crashes, so that it cannot be asked.
 */
static bool is_chain(const struct pf_result *r)
{
	return r->e.reason == EXIT_PREEMPTION_TIMER && (r->s.pending_event & INTR_INFO_VALID);
}

bool pf_run_again(const struct pf_case *k, struct pf_result *r)
{
	enum x86_rc rc;

	pf_copy(after_theirs, area, PF_SIZE);
	pf_copy(area, before, PF_SIZE);
	rc = run_cpu(k, r);
	pf_copy(after_again, area, PF_SIZE);
	pf_copy(area, after_theirs, PF_SIZE);
	r->area = after_again;
	return rc == X86_EXIT && our_exit.reason != EXIT_PREEMPTION_TIMER;
}

/* An IRET ends blocking by NMI: Bochs 2.7 keeps it over a VM entry that says there is none. */
static void unblock_nmi(void)
{
	uint64_t sp;

	__asm__ volatile("mov %%rsp, %0\n\t"
			 "mov %%ss, %%eax\n\tpush %%rax\n\tpush %0\n\tpushfq\n\t"
			 "mov %%cs, %%eax\n\tpush %%rax\n\t"
			 "lea 1f(%%rip), %%rax\n\tpush %%rax\n\tiretq\n1:"
			 : "=&r"(sp)
			 :
			 : "rax", "memory", "cc");
}

static bool run_theirs(const struct pf_case *k, struct pf_result *r)
{
	struct vcpu *v = &vm->vcpus[0];
	const struct run_bounds b = {.max_insns = UINT64_MAX, .deadline_ns = 2000000};

	v->cpu.s = k->s;
	v->cpu.lazy.op = 0;
	v->dirty = DIRTY_ALL;
	memset(&v->exit, 0, sizeof(v->exit));
	v->entered_ns = vm->clock.start_ns;
	vm->ended = false;
	vmx_of(v)->tlb_stale = true;
	unblock_nmi();
	if (vmx_set_state(v) != ERR_OK)
		return false;
	vmwrite(VMCS_EXCEPTION_BITMAP, k->exceptions);
	vmwrite(VMCS_ENTRY_INTR_INFO, 0); /* what an entry that was refused has left */
	v->dirty = 0;
	if (mode_metal_vmx_ops.run(v, &b, &v->exit) != ERR_OK || vmx_get_state(v) != ERR_OK) {
		if (request.verbose)
			pf_say("refused %llu: %s", (unsigned long long)k->index, vm->end.detail);
		counts.refused++;
		return false;
	}
	r->s = v->cpu.s;
	r->s.dr[0] = vmx_read_dr0();
	r->s.dr[1] = vmx_read_dr1();
	r->s.dr[2] = vmx_read_dr2();
	r->s.dr[3] = vmx_read_dr3();
	r->e = v->exit;
	return true;
}

/*
 * Every exception exits, but in half of the cases that begin with an event: there some are delivered, so that a second
 * one, met by the delivery of the first, becomes a double fault, a shutdown, or comes after it. #BP ends every case.
 */
static void choose_exits(struct pf_case *k)
{
	k->exceptions = UINT32_MAX;
	if (k->s.pending_event && pf_percent(k, 50))
		k->exceptions = (uint32_t)pf_u64(k) | 1u << VEC_BP | 1u << VEC_DB;
	if (k->exceptions != UINT32_MAX && pf_percent(k, 50))
		k->exceptions &= 1u << VEC_BP | 1u << VEC_DB | 1u << VEC_DF;
}

static void make_case(struct pf_case *k, uint64_t index)
{
	memset(k, 0, sizeof(*k));
	k->index = index;
	k->rng = request.seed * 0x9e3779b97f4a7c15ull + index * 0xd1342543de82ef95ull;
	(void)pf_u64(k);
	k->area = area;
	k->cr4_may = CR4_MODEL & vmx_caps()->cr4_may;
	k->s = vm->vcpus[0].cpu.s;
	pf_make_state(k);
	pf_make_insn(k);
	choose_exits(k);
}

enum outcome { RUN, NOT_RUN, ENDLESS, CHAIN };

static enum outcome run_both(const struct pf_case *k, struct pf_result *a, struct pf_result *b)
{
	bool ends;

	pf_copy(area, before, PF_SIZE);
	if (!run_ours(k, a, &ends))
		return NOT_RUN;
	pf_copy(after_ours, area, PF_SIZE);
	pf_copy(area, before, PF_SIZE);
	a->area = after_ours;
	b->area = area;
	if (request.verbose)
		pf_tell(k, a, a, "ours");
	if (is_chain(a))
		return CHAIN;
	if (!run_theirs(k, b))
		return NOT_RUN;
	/* It is no longer about the instruction of the case; that both have executed it is what can be said. Where
	 * every exception exits, theirs must not have met an INT3 where it led to; where the guest gets some, their
	 * handlers fault, and the frames go on for ever. */
	if (!ends && (b->e.reason == EXIT_PREEMPTION_TIMER ||
			 (k->exceptions == UINT32_MAX ? pf_is_away(k, b) : b->s.rip != k->s.rip)))
		return ENDLESS;
	return RUN;
}

/*
 * Where the guest got exceptions, what differs in the end may come of one that was long before. The case once more with
 * every exception exiting, then with those let through, one after the other, that it meets, until an exit differs: is
 * that one explained? If not, a and b are left as the case itself leaves them.
 */
static int explain_stages(const struct pf_case *k, struct pf_result *a, struct pf_result *b)
{
	static struct pf_case stage;
	uint32_t bit = 0;

	stage = *k;
	for (stage.exceptions = UINT32_MAX; stage.exceptions != k->exceptions; stage.exceptions &= ~bit) {
		int why = 0;

		if (run_both(&stage, a, b) != RUN)
			break;
		bit = a->e.reason == EXIT_EXCEPTION_NMI ? 1u << (a->e.intr_info & 31) : 0;
		pf_normalise(&stage, a);
		pf_normalise(&stage, b);
		(void)pf_explain_away(&stage, a, b); /* what only an exit changes */
		if (pf_reduce(&stage, a, b, &why))
			break;
		if (why)
			return why;
		if (!(stage.exceptions & ~k->exceptions & bit))
			break;
	}
	(void)run_both(k, a, b);
	return 0;
}

static void run_case(uint64_t index)
{
	static struct pf_case k;
	static struct pf_result a, b;
	enum outcome outcome;
	const char *what;
	int explained;

	make_case(&k, index);
	k.area = before;
	pf_copy(before, area, PF_SIZE);
	if (request.verbose)
		pf_say("case %llu %s mode %u at %llx", (unsigned long long)index, k.what, k.mode,
		    (unsigned long long)k.at);
	outcome = run_both(&k, &a, &b);
	counts.endless += outcome == ENDLESS || outcome == CHAIN;
	counts.chains += outcome == CHAIN;
	if (outcome != RUN)
		return;
	counts.run++;
	if (b.e.reason < EXIT_SDM_COUNT)
		counts.by_reason[b.e.reason]++;
	what = pf_compare(&k, &a, &b, &explained);
	if (!what) {
		counts.equal++;
		return;
	}
	if (!explained && k.exceptions != UINT32_MAX)
		explained = explain_stages(&k, &a, &b);
	if (explained) {
		counts.explained[explained]++;
		return;
	}
	counts.different++;
	counts.by_kind[k.kind]++;
	if (counts.different <= request.max_reports)
		pf_tell(&k, &a, &b, what);
}

/* --- Start ------------------------------------------------------------------------------------------------------- */

static void let_msr_through(struct vm_controls *c, uint32_t msr)
{
	unsigned part = msr >= 0xc0000000u ? 1 : 0;

	for (unsigned write = 0; write < 2; write++) {
		unsigned bit = (part + 2 * write) * 8192 + (msr & 0x1fff);

		c->msr_bitmap[bit / 8] &= (uint8_t) ~(1u << (bit % 8));
	}
}

/* As little as possible exits, so that the processor itself has to know: but every exception, port and foreign MSR. */
static enum err program(struct errmsg *why)
{
	struct vm_controls *c = &vm->controls;
	struct vmx_vcpu *x = vmx_of(&vm->vcpus[0]);
	struct vmx_vm *vx = vmx_vm_of(vm);
	enum err e;

	c->pin &= ~PIN_VIRTUAL_NMIS; /* of those, Bochs 2.7 forgets no blocking at an entry that says there is none */
	c->proc &= ~PROC_MOV_DR_EXIT;
	c->exceptions = UINT32_MAX;
	c->cr0_mask = CR0_NE | CR0_CD | CR0_NW; /* VM entry does not load the latter two */
	c->cr4_mask = CR4_VMXE | ~(uint64_t)CR4_MODEL;
	let_msr_through(c, MSR_EFER);
	memcpy(vx->msr_bitmap, c->msr_bitmap, sizeof(c->msr_bitmap));
	vmx_make_current(x);
	e = vmx_program(x, why);
	c->cr0_mask = x->cr0_mask;
	c->cr4_mask = x->cr4_mask;
	if (e == ERR_OK)
		e = ept_unmap(&vx->ept, 0, vm->cfg.mem_size);
	if (e == ERR_OK)
		e = ept_map(&vx->ept, PF_BASE, PF_SIZE, area, true);
	x->ept_stale = true;
	return e;
}

static void make_vm(void)
{
	const struct vm_config cfg = {.host = &host_metal_ops,
	    .mode = &mode_metal_vmx_ops,
	    .guest = "privfuzz",
	    .controls = "vtx-ept",
	    .mem_size = 1u << 20,
	    .n_vcpus = 1,
	    .clock = CLOCK_HOST};
	struct errmsg why = {{0}};

	if (vm_create(&cfg, &vm, &why) != ERR_OK)
		stop(why.text);
	area = mem_page(&vm->mem, PF_BASE, true);
	before = host_metal_ops.page_alloc(PF_SIZE);
	after_ours = host_metal_ops.page_alloc(PF_SIZE);
	after_theirs = host_metal_ops.page_alloc(PF_SIZE);
	after_again = host_metal_ops.page_alloc(PF_SIZE);
	ours = host_metal_ops.page_alloc(sizeof(*ours));
	if (!before || !after_ours || !after_theirs || !after_again || !ours)
		stop("no memory");
	if (program(&why) != ERR_OK)
		stop(why.text);
	x86_reset(ours);
	ours->env = &env;
	ours->env_arg = ours;
	ours->exit = &our_exit;
	x86_set_controls(ours, &vm->controls);
	request.broken[sizeof(request.broken) - 1] = 0;
	ours->on_insn = request.broken[0] ? on_insn : NULL;
}

static void progress(uint64_t last)
{
	uint64_t known = 0;

	for (size_t n = 1; n < pf_explanations(); n++)
		known += counts.explained[n];
	pf_say("progress: seed %llu, cases %llu to %llu: %llu run, %llu equal, %llu explained, %llu different",
	    (unsigned long long)request.seed, (unsigned long long)request.first, (unsigned long long)last,
	    (unsigned long long)counts.run, (unsigned long long)counts.equal, (unsigned long long)known,
	    (unsigned long long)counts.different);
}

/* A refused entry is counted, and not told field by field. */
static void no_log(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static void summary(void)
{
	for (size_t n = 0; n < pf_kinds(); n++)
		if (counts.by_kind[n])
			pf_say("different: %s %llu", pf_kind_name(n), (unsigned long long)counts.by_kind[n]);
	for (size_t n = 1; n < pf_explanations(); n++)
		pf_say("explained: %llu %s", (unsigned long long)counts.explained[n], pf_explanation(n));
	for (unsigned n = 0; n < EXIT_SDM_COUNT; n++)
		if (counts.by_reason[n])
			pf_say("ended by: %s %llu", exit_name(n), (unsigned long long)counts.by_reason[n]);
	pf_say("endless: %llu of exceptions, which the processor was not given", (unsigned long long)counts.chains);
	pf_say("privfuzz: seed %llu, cases %llu to %llu: %llu run, %llu equal, %llu different; %llu refused, "
	       "%llu endless, %llu unimplemented",
	    (unsigned long long)request.seed, (unsigned long long)request.first,
	    (unsigned long long)(request.first + request.count - 1), (unsigned long long)counts.run,
	    (unsigned long long)counts.equal, (unsigned long long)counts.different, (unsigned long long)counts.refused,
	    (unsigned long long)counts.endless, (unsigned long long)counts.unimplemented);
}

void metal_main(uint32_t magic, uint32_t info)
{
	serial_init();
	idt_init();
	if (!boot_info_read(&boot_info, magic, info))
		metal_panic("no boot loader that is known here: EAX is %x", magic);
	memory_set_bundle(boot_info.bundle, boot_info.bundle_len);
	memory_init(&boot_info, false);
	paging_init(&boot_info);
	memory_init(&boot_info, true);
	if (boot_info.bundle_len >= sizeof(request))
		memcpy(&request, (const void *)(uintptr_t)boot_info.bundle, sizeof(request));
	if (request.magic != PF_MAGIC)
		stop("no request on the boot disk");
	clock_metal_init(100000000);
	make_vm();
	metal_set_log(no_log, NULL);
	for (uint64_t n = request.first; n < request.first + request.count; n++) {
		run_case(n);
		if ((n + 1) % 1000 == 0)
			progress(n);
	}
	summary();
	pf_say("end"); /* the line may still be cut by the power-off */
	metal_power_off();
}
