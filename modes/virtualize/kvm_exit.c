/*
 * What a KVM exit means in the one vocabulary, and where it happened.
 *
 * The address of the exiting instruction is the hard part: KVM shows the register file as it stands in the middle of
 * its own work. What was measured (hosts differ, and one host differs by path):
 *
 *   IN, INS, RDMSR, WRMSR, MMIO read     RIP is at the instruction: KVM finishes it at the next KVM_RUN
 *   OUT                                  at it on the fast path of VT-x and SVM, after it in KVM's own emulator
 *                                        (kvm_pvm; real mode without unrestricted guest)
 *   REP OUTS, REP string to MMIO         at it: the iteration is done, the instruction is not
 *   OUTS, MMIO write, HLT                after it
 *
 * "After" is undone by looking at the bytes before RIP: of all instructions that end exactly there, the one that can
 * have caused this very exit (port, size, effective address). Which rule OUT follows is found out once for each kind of
 * code, by finishing the first OUT and watching whether RIP moves (kvm_run.c).
 */
#include <string.h>

#include "core/x86/insn.h"
#include "modes/virtualize/kvm_priv.h"

#define INSN_MAX 15u

size_t kvm_peek(struct vcpu *v, gva_t linear, uint8_t *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		gpa_t gpa;
		uint8_t *page;
		size_t left = PAGE_SIZE_4K - ((linear + done) & (PAGE_SIZE_4K - 1));

		if (left > n - done)
			left = n - done;
		if (!x86_translate(&v->cpu, linear + done, &gpa))
			break;
		page = mem_page(&v->vm->mem, gpa, false);
		if (!page)
			break;
		memcpy(buf + done, page + (gpa & (PAGE_SIZE_4K - 1)), left);
		done += left;
	}
	return done;
}

static gva_t linear_of(const struct vcpu *v, uint64_t rip)
{
	return v->cpu.s.seg[X86_CS].base + rip;
}

static bool decode_at(struct vcpu *v, uint64_t rip, struct x86_insn *out)
{
	uint8_t buf[INSN_MAX];
	size_t n = kvm_peek(v, linear_of(v, rip), buf, sizeof buf);

	return n && x86_decode(buf, n, v->cpu.code_size, (enum x86_mode)v->cpu.mode, out) == DECODE_OK;
}

typedef bool (*insn_match)(struct vcpu *v, const struct x86_insn *i, const void *arg);

/* The shortest instruction that ends at rip and matches: redundant prefixes are rarer than the end of another
 * instruction that looks like one. */
static bool decode_before(struct vcpu *v, uint64_t rip, insn_match match, const void *arg, struct x86_insn *out)
{
	uint8_t buf[INSN_MAX];
	size_t n = INSN_MAX;

	if (n > rip)
		n = (size_t)rip;
	/* The bytes before a page may not be mapped: take what there is. */
	while (n && kvm_peek(v, linear_of(v, rip - n), buf + INSN_MAX - n, n) != n)
		n--;
	for (size_t len = 1; len <= n; len++) {
		if (x86_decode(buf + INSN_MAX - len, len, v->cpu.code_size, (enum x86_mode)v->cpu.mode, out) !=
		    DECODE_OK)
			continue;
		if (out->len == len && match(v, out, arg))
			return true;
	}
	return false;
}

static bool match_out(struct vcpu *v, const struct x86_insn *i, const void *arg)
{
	const struct kvm_run *run = arg;
	uint16_t dx = (uint16_t)v->cpu.s.gpr[X86_RDX];

	if (i->id != INSN_OUT && i->id != INSN_OUTS)
		return false;
	if (i->opsize != run->io.size && !(i->opsize == 8 && run->io.size == 4))
		return false;
	if (i->id == INSN_OUT && (i->flags & INSN_IMM))
		return (uint8_t)i->imm == run->io.port;
	return dx == run->io.port;
}

static bool match_in(struct vcpu *v, const struct x86_insn *i, const void *arg)
{
	(void)v;
	(void)arg;
	return i->id == INSN_IN || i->id == INSN_INS;
}

static bool match_id(struct vcpu *v, const struct x86_insn *i, const void *arg)
{
	(void)v;
	return i->id == *(const uint16_t *)arg;
}

/* Port I/O: rip, and what the bytes say beyond what KVM says. */
static uint64_t io_locate(struct vcpu *v, struct x86_insn *i, bool *known)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	const struct kvm_run *run = kv->run;
	uint64_t rip = v->cpu.s.rip;
	bool at = decode_at(v, rip, i);

	*known = true;
	if (run->io.direction == KVM_EXIT_IO_IN) {
		*known = at && match_in(v, i, NULL);
		return rip;
	}
	/* REP OUTS stays at itself until its count is used up; the rule of OUT does not concern it. */
	if (at && i->id == INSN_OUTS && (i->flags & (INSN_REP | INSN_REPNE)) && match_out(v, i, run))
		return rip;
	if (kv->out_rip[v->cpu.code_size >> 2] == OUT_RIP_AT && !kv->out_done && at && match_out(v, i, run))
		return rip;
	if (decode_before(v, rip, match_out, run, i))
		return rip - i->len;
	*known = at && decode_at(v, rip, i) && match_out(v, i, run);
	return rip;
}

static uint64_t io_element(const struct kvm_run *run, uint32_t pos)
{
	uint64_t value = 0;

	memcpy(&value, (const char *)run + run->io.data_offset + (size_t)pos * run->io.size, run->io.size);
	return value;
}

static struct kvm_io_site *site_of(struct vcpu *v, gva_t linear)
{
	return &kvcpu_of(v)->sites[(linear ^ linear >> 6) % KVM_IO_SITES];
}

static bool site_known(const struct kvm_io_site *s, const struct kvm_vcpu *kv, gva_t linear)
{
	const struct kvm_run *run = kv->run;
	uint64_t bytes;

	if (!s->code || s->linear != linear || s->mode_key != kv->mode_key || s->port != run->io.port ||
	    s->size != run->io.size || s->in != (run->io.direction == KVM_EXIT_IO_IN))
		return false;
	memcpy(&bytes, s->code, sizeof bytes);
	return bytes == s->bytes;
}

static void site_learn(struct vcpu *v, struct kvm_io_site *s, gva_t linear, uint64_t rip)
{
	const struct kvm_vcpu *kv = kvcpu_of(v);
	const struct kvm_run *run = kv->run;
	struct x86_insn i;
	bool known;
	uint64_t at = io_locate(v, &i, &known);
	gpa_t gpa;

	*s = (struct kvm_io_site){.linear = linear,
	    .mode_key = kv->mode_key,
	    .port = run->io.port,
	    .size = run->io.size,
	    .in = run->io.direction == KVM_EXIT_IO_IN,
	    .back = (uint8_t)(rip - at)};
	if (!known)
		return;
	s->string = i.id == INSN_INS || i.id == INSN_OUTS;
	s->rep = s->string && (i.flags & (INSN_REP | INSN_REPNE));
	s->imm = !s->string && (i.flags & INSN_IMM);
	s->addr_size = i.addrsize;
	/* Remembered only when all of it lies in one page of RAM. */
	if (kv->out_done || !x86_translate(&v->cpu, linear - s->back, &gpa) ||
	    (gpa & (PAGE_SIZE_4K - 1)) > PAGE_SIZE_4K - 8)
		return;
	s->code = mem_page(&v->vm->mem, gpa, false);
	if (!s->code)
		return;
	s->code += gpa & (PAGE_SIZE_4K - 1);
	memcpy(&s->bytes, s->code, sizeof s->bytes);
}

static void translate_io(struct vcpu *v, struct vm_exit *e)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	const struct kvm_run *run = kv->run;
	uint64_t rip = v->cpu.s.rip;
	gva_t linear = linear_of(v, rip);
	struct kvm_io_site *s = site_of(v, linear);

	if (!site_known(s, kv, linear))
		site_learn(v, s, linear, rip);
	e->reason = EXIT_IO_INSTRUCTION;
	e->rip = rip - s->back;
	e->io = (struct exit_io){.port = run->io.port,
	    .size = run->io.size,
	    .in = s->in,
	    .string = s->string,
	    .rep = s->rep,
	    .imm = s->imm,
	    .addr_size = s->addr_size,
	    .count = run->io.count - kv->io_pos};
	if (!s->in)
		e->io.value = io_element(run, kv->io_pos);
	e->qual = (uint64_t)(run->io.size - 1u) | (s->in ? QUAL_IO_IN : 0) | (s->string ? QUAL_IO_STRING : 0) |
		  (s->rep ? QUAL_IO_REP : 0) | (s->imm ? QUAL_IO_IMM : 0) |
		  ((uint64_t)run->io.port << QUAL_IO_PORT_SHIFT);
}

static uint64_t ea_mask(unsigned size)
{
	return size >= 8 ? UINT64_MAX : (1ull << (8 * size)) - 1;
}

static uint64_t seg_base(const struct vcpu *v, unsigned seg)
{
	if (v->cpu.mode == X86_MODE_LONG64 && seg != X86_FS && seg != X86_GS)
		return 0;
	return v->cpu.s.seg[seg < X86_SREG_COUNT ? seg : X86_DS].base;
}

/* Linear address of the memory operand, computed from the registers as they are now; next is the rip after it. */
static gva_t operand_linear(const struct vcpu *v, const struct x86_insn *i, uint64_t next)
{
	uint64_t ea = (uint64_t)(int64_t)i->disp;
	gva_t linear;

	if (i->flags & INSN_RIP_REL)
		ea += next;
	if (i->base != INSN_NO_REG)
		ea += v->cpu.s.gpr[i->base & 15];
	if (i->index != INSN_NO_REG)
		ea += v->cpu.s.gpr[i->index & 15] << i->scale;
	linear = (ea & ea_mask(i->addrsize)) + seg_base(v, i->seg);
	return v->cpu.mode == X86_MODE_LONG64 ? linear : linear & 0xffffffffu;
}

static bool linear_is(struct vcpu *v, gva_t linear, gpa_t want)
{
	gpa_t gpa;

	return x86_translate(&v->cpu, linear, &gpa) && gpa == want;
}

static bool writes_string(const struct x86_insn *i)
{
	return i->id == INSN_STOS || i->id == INSN_MOVS || i->id == INSN_INS;
}

/* Can this instruction, ending at the current rip, have written to the address of the exit? */
static bool match_mmio_write(struct vcpu *v, const struct x86_insn *i, const void *arg)
{
	const struct kvm_run *run = arg;
	const struct x86_state *s = &v->cpu.s;

	if (writes_string(i)) {
		uint64_t size = i->opsize, di = s->gpr[X86_RDI];

		/* RDI has moved on by one element. */
		di = s->rflags & FLAG_DF ? di + size : di - size;
		return run->mmio.len == size &&
		       linear_is(v, (di & ea_mask(i->addrsize)) + seg_base(v, X86_ES), run->mmio.phys_addr);
	}
	if (i->id == INSN_MOV && i->map == 0 &&
	    (i->opcode == 0xa2 || i->opcode == 0xa3)) /* its address is an immediate */
		return run->mmio.len <= i->opsize &&
		       linear_is(v, (i->imm & ea_mask(i->addrsize)) + seg_base(v, i->seg), run->mmio.phys_addr);
	if (!(i->flags & INSN_MEM))
		return false;
	if (run->mmio.len > i->opsize && i->class != INSN_CLASS_FPU)
		return false;
	return linear_is(v, operand_linear(v, i, s->rip), run->mmio.phys_addr);
}

static uint64_t mmio_locate(struct vcpu *v)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	const struct kvm_run *run = kv->run;
	uint64_t rip = v->cpu.s.rip;
	struct x86_insn i;
	bool at = decode_at(v, rip, &i);

	kv->rep_mmio = at && i.class == INSN_CLASS_STRING && (i.flags & (INSN_REP | INSN_REPNE));
	if (!run->mmio.is_write)
		return rip;
	if (kv->rep_mmio && (match_mmio_write(v, &i, run) || i.id == INSN_MOVS))
		return rip;
	if (decode_before(v, rip, match_mmio_write, run, &i)) {
		kv->rep_mmio = false;
		return rip - i.len;
	}
	return rip;
}

static void translate_mmio(struct vcpu *v, struct vm_exit *e)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	const struct kvm_run *run = kv->run;

	e->reason = EXIT_EPT_VIOLATION;
	e->gpa = run->mmio.phys_addr;
	e->qual = run->mmio.is_write ? QUAL_EPT_WRITE : QUAL_EPT_READ;
	e->rip = mmio_locate(v);
	e->mmio = (struct exit_mmio){.size = (uint8_t)run->mmio.len, .write = run->mmio.is_write, .n_accesses = 1};
	if (run->mmio.is_write)
		memcpy(&e->mmio.value, run->mmio.data, run->mmio.len <= 8 ? run->mmio.len : 8);
	kv->rep_dir = run->mmio.is_write;
}

/* An instruction without operands to tell it by: at rip, or just before it. */
static uint64_t locate_id(struct vcpu *v, uint16_t id, bool before_first)
{
	struct x86_insn i;
	uint64_t rip = v->cpu.s.rip;

	if (!before_first && decode_at(v, rip, &i) && i.id == id)
		return rip;
	if (decode_before(v, rip, match_id, &id, &i))
		return rip - i.len;
	return rip;
}

static void translate_msr(struct vcpu *v, struct vm_exit *e, bool write)
{
	const struct kvm_run *run = kvcpu_of(v)->run;

	e->reason = write ? EXIT_MSR_WRITE : EXIT_MSR_READ;
	e->rip = locate_id(v, write ? INSN_WRMSR : INSN_RDMSR, false);
	e->msr = (struct exit_msr){.index = run->msr.index, .write = write, .value = write ? run->msr.data : 0};
}

/* A host that gives up: what it says, and the bytes at rip (its own, where it hands them over). */
static void translate_failure(struct vcpu *v, struct vm_exit *e, uint32_t reason)
{
	const struct kvm_run *run = kvcpu_of(v)->run;

	e->reason = reason;
	e->rip = v->cpu.s.rip;
	e->host.code = run->exit_reason;
	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR) {
		e->host.suberror = run->internal.suberror;
		if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION && run->emulation_failure.ndata >= 3 &&
		    (run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)) {
			e->host.n_bytes = run->emulation_failure.insn_size;
			if (e->host.n_bytes > INSN_MAX)
				e->host.n_bytes = INSN_MAX;
			memcpy(e->host.bytes, run->emulation_failure.insn_bytes, e->host.n_bytes);
		}
	} else if (run->exit_reason == KVM_EXIT_FAIL_ENTRY) {
		e->host.suberror = (uint32_t)run->fail_entry.hardware_entry_failure_reason;
	} else if (run->exit_reason == KVM_EXIT_UNKNOWN) {
		e->host.suberror = (uint32_t)run->hw.hardware_exit_reason;
	}
	if (!e->host.n_bytes)
		e->host.n_bytes = (uint8_t)kvm_peek(v, linear_of(v, e->rip), e->host.bytes, INSN_MAX);
}

bool kvm_exit_is_undefined(struct vcpu *v, const struct vm_exit *e)
{
	struct x86_insn i;

	if (e->reason != EXIT_VMM_INTERNAL_ERROR || e->host.suberror != KVM_INTERNAL_ERROR_EMULATION)
		return false;
	if (x86_decode(e->host.bytes, e->host.n_bytes, v->cpu.code_size, (enum x86_mode)v->cpu.mode, &i) != DECODE_OK)
		return false;
	return i.class == INSN_CLASS_INVALID;
}

void kvm_exit_translate(struct vcpu *v, struct vm_exit *e)
{
	const struct kvm_run *run = kvcpu_of(v)->run;

	kvm_sync_in(v);
	e->rip = v->cpu.s.rip;
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		translate_io(v, e);
		break;
	case KVM_EXIT_MMIO:
		translate_mmio(v, e);
		break;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		translate_msr(v, e, run->exit_reason == KVM_EXIT_X86_WRMSR);
		break;
	case KVM_EXIT_HLT:
		e->reason = EXIT_HLT;
		e->rip = locate_id(v, INSN_HLT, true);
		break;
	case KVM_EXIT_SHUTDOWN:
		e->reason = EXIT_TRIPLE_FAULT;
		break;
	case KVM_EXIT_DEBUG:
		e->reason = EXIT_VMM_DEBUG;
		e->qual = run->debug.arch.dr6;
		e->intr_info = run->debug.arch.exception;
		break;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		e->reason = EXIT_VMM_IRQ_WINDOW;
		break;
	case KVM_EXIT_INTR:
		e->reason = EXIT_VMM_INTR;
		break;
	case KVM_EXIT_SET_TPR:
		e->reason = EXIT_VMM_SET_TPR;
		break;
	case KVM_EXIT_FAIL_ENTRY:
		translate_failure(v, e, EXIT_VMM_FAIL_ENTRY);
		break;
	default: /* KVM_EXIT_INTERNAL_ERROR, and whatever a newer kernel invents */
		translate_failure(v, e, EXIT_VMM_INTERNAL_ERROR);
		break;
	}
}
