/*
 * Single steps and breakpoints of the VMM in a guest of KVM. The processor's debug registers are lent to run control
 * while it waits for an address: what the guest has written to its own is kept, and does not trap meanwhile.
 */
#include <string.h>

#include "core/x86/cpu.h"
#include "modes/virtualize/kvm_priv.h"

#define DR7_FIXED 0x400u
#define DR7_GLOBAL(i) (2u << 2 * (i)) /* R/W and LEN of 0: an instruction [SDM 3B "Debug Control Register (DR7)"] */
#define DR6_HITS 0xfu

static void wanted(const struct vm_breaks *k, bool single_step, struct kvm_guest_debug *d)
{
	unsigned n = !k ? 0 : k->n < VM_BREAKS_DR ? k->n : VM_BREAKS_DR;

	*d = (struct kvm_guest_debug){0};
	if (single_step)
		d->control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	if (!n)
		return;
	d->control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
	d->arch.debugreg[7] = DR7_FIXED;
	for (unsigned i = 0; i < n; i++) {
		d->arch.debugreg[i] = k->insn[i].lo;
		d->arch.debugreg[7] |= DR7_GLOBAL(i);
	}
}

static gva_t linear_ip(struct vcpu *v)
{
	kvm_sync_in(v);
	return x86_linear_ip(&v->cpu);
}

static bool is_repeated(struct vcpu *v, gva_t at)
{
	uint8_t b[4];
	size_t n = kvm_peek(v, at, b, sizeof(b));

	for (size_t i = 0; i < n; i++)
		if (b[i] == 0xf2 || b[i] == 0xf3)
			return true;
	return false;
}

#define NOT_STEPPED UINT64_MAX /* in vm_breaks.last_insns: nobody counts here */

/* Is the instruction that comes now to be passed over? It is stepped over, without breakpoints: the flag that should
 * hold one back, RF, is not heard by every KVM. All of a repeated one is passed. */
static bool passes_over(struct vcpu *v)
{
	struct vm_breaks *k = v->vm->breaks;
	gva_t at;

	if (!k || !k->n || k->skip_at == UINT64_MAX)
		return false;
	at = linear_ip(v);
	if (k->skip_at == at && (k->last_insns == NOT_STEPPED || is_repeated(v, at)))
		return true;
	k->skip_at = UINT64_MAX;
	return false;
}

/* KVM remembers where the step began, and forgets it when RFLAGS is set elsewhere: registers first, then the step. It
 * is armed again for each one: KVM's emulator forgets it when it writes RFLAGS back. */
enum err kvm_debug_arm(struct vcpu *v, bool single_step)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	struct kvm_guest_debug d;
	enum err e;

	if (passes_over(v))
		wanted(NULL, true, &d);
	else
		wanted(v->vm->breaks, single_step, &d);
	single_step = d.control & KVM_GUESTDBG_SINGLESTEP;
	if (!single_step && kv->debugged == (d.control != 0) && !kv->single_step &&
	    memcmp(kv->dr, d.arch.debugreg, sizeof(kv->dr)) == 0)
		return ERR_OK;
	e = kvm_flush_regs(kv);
	if (e != ERR_OK)
		return e;
	if (kvm_ioctl(kv->fd, KVM_SET_GUEST_DEBUG, &d) < 0)
		return ERR_IO;
	kv->single_step = single_step;
	kv->debugged = d.control != 0;
	memcpy(kv->dr, d.arch.debugreg, sizeof(kv->dr));
	return ERR_OK;
}

void kvm_debug_hit(struct vcpu *v)
{
	struct vm_breaks *k = v->vm->breaks;
	bool hit = kvcpu_of(v)->run->debug.arch.dr6 & DR6_HITS;

	k->last_insns = hit ? NOT_STEPPED : 0;
	if (!k->n || !hit)
		return;
	k->hit = true;
	k->hit_at = linear_ip(v);
	v->vm->pause = 1;
}
