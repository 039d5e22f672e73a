/*
 * One entry into the guest, one exit out of it.
 *
 * run() returns an exit before its effect; complete() takes the handler's results into the shared page; KVM finishes
 * the instruction at the next KVM_RUN. For an OUT nothing is left to do, so the next entry comes for free ("lazy").
 * MMIO is finished at once, because one instruction may need several accesses and all of them belong to one exit. Where
 * somebody wants registers, kvm_finish() ends the instruction without running the next one.
 *
 * KVM hands REP INS and OUTS over in batches. run() deals them out one element at a time, with the count of those that
 * are left in io.count, so that every value passes the handlers and the trace. The registers are at the lockstep point
 * after the last one (io.count == 1).
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "core/env.h"
#include "modes/virtualize/kvm_priv.h"

/* 0, or the host's error as a VMM_INTERNAL_ERROR exit. */
static int enter(struct kvm_vcpu *kv)
{
	int rc = ioctl(kv->fd, KVM_RUN, 0);

	kv->run->kvm_dirty_regs = 0;
	kv->entered = true;
	return rc < 0 ? -errno : 0;
}

static void io_store(struct kvm_run *run, uint32_t pos, uint64_t value)
{
	memcpy((char *)run + run->io.data_offset + (size_t)pos * run->io.size, &value, run->io.size);
}

/* One access of an MMIO instruction beyond the first: served straight from bus and slots. */
static void serve_fragment(struct vcpu *v)
{
	struct kvm_run *run = kvcpu_of(v)->run;
	uint64_t value = 0;
	unsigned len = run->mmio.len;

	/* KVM splits at pages and 8 bytes, the bus takes powers of two. */
	for (unsigned pos = 0; pos < len;) {
		unsigned n = 8;

		while (n > len - pos || (pos & (n - 1)))
			n >>= 1;
		if (run->mmio.is_write) {
			memcpy(&value, run->mmio.data + pos, n);
			vcpu_mmio_write(v, run->mmio.phys_addr + pos, n, value);
		} else {
			value = vcpu_mmio_read(v, run->mmio.phys_addr + pos, n);
			memcpy(run->mmio.data + pos, &value, n);
		}
		pos += n;
	}
}

/* Does this access start a new iteration of a REP string instruction (and so an exit of its own)? */
static bool starts_iteration(const struct kvm_vcpu *kv)
{
	return kv->rep_mmio && kv->run->mmio.is_write == kv->rep_dir;
}

enum err kvm_finish(struct vcpu *v)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	struct kvm_run *run = kv->run;

	for (;;) {
		int rc;

		run->immediate_exit = 1;
		rc = enter(kv);
		run->immediate_exit = 0;
		kv->pending = KVM_PENDING_NONE;
		if (rc == -EINTR)
			return ERR_OK;
		if (rc < 0)
			return ERR_IO;
		switch (run->exit_reason) {
		case KVM_EXIT_MMIO:
			if (starts_iteration(kv))
				break;
			serve_fragment(v);
			if (v->exit.reason == EXIT_EPT_VIOLATION)
				v->exit.mmio.n_accesses++;
			continue;
		case KVM_EXIT_DEBUG: /* the step that this instruction was: already reported as its exit */
		case KVM_EXIT_INTR:
		case KVM_EXIT_IRQ_WINDOW_OPEN:
			return ERR_OK;
		default:
			break;
		}
		kv->stashed = true; /* the next exit is there already: run() returns it without entering */
		return ERR_OK;
	}
}

/* An exit that nobody completes (reset in its handler): end its instruction, whatever it does to registers. */
enum err kvm_abandon(struct vcpu *v)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	enum err e = ERR_OK;

	while (e == ERR_OK && (kv->pending != KVM_PENDING_NONE || kv->stashed)) {
		kv->stashed = false;
		kv->io_pos = 0;
		e = kvm_finish(v);
	}
	return e;
}

enum err kvm_complete(struct vcpu *v, struct vm_exit *e)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	struct kvm_run *run = kv->run;

	if (kv->pending != KVM_PENDING_UNSERVED)
		return ERR_OK;
	kv->pending = KVM_PENDING_SERVED;
	switch (e->reason) {
	case EXIT_IO_INSTRUCTION:
		if (e->io.in)
			io_store(run, kv->io_pos, e->io.value);
		if (kv->io_pos + 1 < run->io.count) { /* the rest of a batch */
			kv->io_pos++;
			kv->stashed = true;
			kv->pending = KVM_PENDING_NONE;
			return ERR_OK;
		}
		kv->io_pos = 0;
		break;
	case EXIT_EPT_VIOLATION:
		if (!e->mmio.write)
			memcpy(run->mmio.data, &e->mmio.value, run->mmio.len <= 8 ? run->mmio.len : 8);
		return kvm_finish(v);
	case EXIT_MSR_READ:
	case EXIT_MSR_WRITE:
		run->msr.error = e->msr.fault != 0;
		run->msr.data = e->msr.value;
		break;
	default:
		break;
	}
	return kv->single_step ? kvm_finish(v) : ERR_OK;
}

static bool needs_completion(uint32_t kvm_reason)
{
	return kvm_reason == KVM_EXIT_IO || kvm_reason == KVM_EXIT_MMIO || kvm_reason == KVM_EXIT_X86_RDMSR ||
	       kvm_reason == KVM_EXIT_X86_WRMSR;
}

/*
 * The first OUT in code of this size: finish it and see whether RIP moves. Nothing is lost: an OUT takes no result.
 */
static enum err learn_out_rip(struct vcpu *v)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	uint64_t before = kv->run->s.regs.regs.rip;
	uint8_t *rule;
	struct kvm_run saved;
	uint64_t data = 0;
	uint8_t *at = (uint8_t *)kv->run + kv->run->io.data_offset;
	enum err e;

	kvm_sync_in(v);
	rule = &kv->out_rip[v->cpu.code_size >> 2];
	if (*rule != OUT_RIP_UNKNOWN || kv->run->io.count != 1)
		return ERR_OK;
	memcpy(&saved, kv->run, sizeof saved);
	memcpy(&data, at, kv->run->io.size);
	e = kvm_finish(v);
	if (e != ERR_OK)
		return e;
	*rule = kv->run->s.regs.regs.rip == before ? OUT_RIP_AFTER : OUT_RIP_AT;
	if (kv->stashed) { /* REP OUTS went on: no OUT to learn from, and its next exit must not be lost */
		*rule = OUT_RIP_UNKNOWN;
		return ERR_OK;
	}
	/* Put the exit back as it was, as one that is finished. */
	kv->run->exit_reason = saved.exit_reason;
	memcpy(kv->run->padding, saved.padding, sizeof saved.padding);
	memcpy(at, &data, saved.io.size);
	kv->out_done = true;
	return ERR_OK;
}

static void plain_exit(struct vcpu *v, struct vm_exit *e, uint32_t reason)
{
	e->reason = reason;
	e->rip = kvcpu_of(v)->run->s.regs.regs.rip;
}

/* Somebody wants the CPU back: who? False: nobody after all, go on. */
static bool interrupted(struct vcpu *v, const struct run_bounds *b, struct vm_exit *e)
{
	struct kvm_vcpu *kv = kvcpu_of(v);

	if (atomic_exchange(&kv->kicked, 0)) {
		plain_exit(v, e, EXIT_VMM_KICK);
		return true;
	}
	if (atomic_exchange(&kv->fired, 0)) {
		kv->armed_ns = CLOCK_NEVER;
		if (b->deadline_ns != CLOCK_NEVER && clock_now_ns(&v->vm->clock) >= b->deadline_ns) {
			plain_exit(v, e, EXIT_VMM_TIMER);
			return true;
		}
	}
	return false;
}

static enum err host_failed(struct vcpu *v, struct vm_exit *e, int rc)
{
	plain_exit(v, e, EXIT_VMM_INTERNAL_ERROR);
	e->host.code = UINT32_MAX;
	e->host.suberror = (uint32_t)-rc;
	return ERR_OK;
}

/* True: *e is filled. False: enter again. */
static bool enter_once(struct vcpu *v, const struct run_bounds *b, struct vm_exit *e, enum err *err)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	struct kvm_run *run = kv->run;
	int rc;

	run->immediate_exit = 0;
	atomic_signal_fence(memory_order_seq_cst);
	kvm_timer_arm(v, b->deadline_ns);
	if (UNLIKELY(atomic_load(&kv->kicked) || atomic_load(&kv->fired))) {
		if (interrupted(v, b, e))
			return true;
		kvm_timer_arm(v, b->deadline_ns);
	}
	rc = enter(kv);
	kv->pending = KVM_PENDING_NONE;
	kv->out_done = false;
	if (rc == -EINTR) {
		if (interrupted(v, b, e))
			return true;
		plain_exit(v, e, EXIT_VMM_INTR);
		return true;
	}
	if (rc == -EAGAIN)
		return false;
	if (rc < 0) {
		*err = host_failed(v, e, rc);
		return true;
	}
	if (run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_OUT) {
		*err = learn_out_rip(v);
		if (*err != ERR_OK)
			return true;
	}
	kvm_exit_translate(v, e);
	if (UNLIKELY(e->reason == EXIT_VMM_DEBUG && v->vm->breaks))
		kvm_debug_hit(v);
	if (UNLIKELY(e->reason == EXIT_VMM_INTERNAL_ERROR) && kvm_exit_is_undefined(v, e)) {
		/* KVM's emulator does not tell "undefined" from "not written": the first is the guest's own #UD. */
		struct x86_event ud = {.vector = VEC_UD, .type = INTR_TYPE_HW_EXCEPTION};

		*err = kvm_inject(v, &ud);
		memset(e, 0, sizeof *e);
		return *err != ERR_OK;
	}
	return true;
}

enum err kvm_run_vcpu(struct vcpu *v, const struct run_bounds *b, struct vm_exit *e)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	struct kvm_run *run = kv->run;
	struct kvm_regs before;
	enum err err = kvm_thread_bind(v);

	if (err != ERR_OK)
		return err;
	if (kv->stashed) {
		kv->stashed = false;
		kvm_exit_translate(v, e);
	} else {
		if (UNLIKELY(b->single_step || kv->debugged || v->vm->breaks)) {
			if (kv->pending == KVM_PENDING_SERVED)
				err = kvm_finish(v);
			if (err == ERR_OK)
				err = kvm_debug_arm(v, b->single_step);
			if (err != ERR_OK)
				return err;
			if (kv->stashed)
				return kvm_run_vcpu(v, b, e);
		}
		run->request_interrupt_window = b->irq_window;
		before = run->s.regs.regs;
		while (!enter_once(v, b, e, &err))
			;
		/* Bochs' VT-x traps a step before its instruction, too. One that moved nothing is tried once more; a
		 * jump to itself does not notice. */
		if (err == ERR_OK && e->reason == EXIT_VMM_DEBUG && kv->single_step &&
		    memcmp(&before, &run->s.regs.regs, sizeof before) == 0) {
			memset(e, 0, sizeof *e);
			while (!enter_once(v, b, e, &err))
				;
		}
		if (err != ERR_OK)
			return err;
	}
	if (e->reason < EXIT_VMM_BASE && needs_completion(run->exit_reason))
		kv->pending = KVM_PENDING_UNSERVED;
	kv->exit_rip = e->rip;
	return ERR_OK;
}
