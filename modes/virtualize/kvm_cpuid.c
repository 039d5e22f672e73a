/*
 * CPUID under /dev/kvm: the kernel answers the guest's CPUID by itself, from a table that we give it. The table is the
 * project's one model, less what this host cannot lend; what the kernel then answers otherwise is read back, so that a
 * comparison sees what the guest sees.
 */
#include "modes/virtualize/kvm_priv.h"

#include <string.h>

#include "core/lib.h"

#define KVM_CPUID_MAX 128

/* Leaves whose answer depends on ECX [SDM 2A "CPUID"]. */
static bool kvm_leaf_indexed(uint32_t leaf)
{
	switch (leaf) {
	case 4:
	case 7:
	case 0xb:
	case 0xd:
	case 0xf:
	case 0x10:
	case 0x12:
	case 0x14:
	case 0x17:
	case 0x18:
	case 0x1f:
	case 0x8000001d:
		return true;
	default:
		return false;
	}
}

struct kvm_cpuid_set {
	uint32_t nent, padding; /* struct kvm_cpuid2, whose array has no length */
	struct kvm_cpuid_entry2 entries[KVM_CPUID_MAX];
};
_Static_assert(offsetof(struct kvm_cpuid_set, entries) == offsetof(struct kvm_cpuid2, entries), "struct kvm_cpuid2");

/* KVM may answer otherwise than it was told: a kvm_pvm host shows features of its own CPU, which runs user code. */
void kvm_cpuid_learn(struct vcpu *v)
{
	struct kvm_vm *k = kvm_of(v->vm);
	struct kvm_cpuid_set answers, *set = &answers;
	uint32_t told[4];

	memset(set, 0, sizeof *set);
	set->nent = KVM_CPUID_MAX;
	k->n_changes = 0;
	if (kvm_ioctl(kvcpu_of(v)->fd, KVM_GET_CPUID2, set) < 0)
		return;
	for (uint32_t i = 0; i < set->nent && i < KVM_CPUID_MAX; i++) {
		const struct kvm_cpuid_entry2 *c = &set->entries[i];
		const uint32_t has[4] = {c->eax, c->ebx, c->ecx, c->edx};

		/* Older kernels do not say how many they gave: after the last one everything is zero. */
		if (i && !c->function && !c->eax)
			break;
		x86_cpuid(&v->cpu, c->function, c->index, told);
		for (unsigned r = 0; r < 4 && k->n_changes < KVM_CPUID_CHANGES_MAX; r++)
			if (has[r] != told[r])
				k->changes[k->n_changes++] =
				    (struct kvm_cpuid_change){c->function, c->index, r, has[r]};
	}
}

void kvm_adjust_cpuid(struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	const struct kvm_vm *k = kvm_of(v->vm);
	const uint32_t osxsave = 1u << 27;

	for (unsigned i = 0; i < k->n_changes; i++) {
		const struct kvm_cpuid_change *c = &k->changes[i];
		uint32_t live = leaf == 1 && c->reg == 2 ? osxsave : 0; /* follows CR4, in the model too */

		if (c->leaf == leaf && (c->subleaf == subleaf || !kvm_leaf_indexed(leaf)))
			out[c->reg] = (c->value & ~live) | (out[c->reg] & live);
	}
}

/* What the host's kernel can lend a guest, of one register of a leaf; 0: nothing, or it does not say. */
static uint32_t kvm_lends(int dev_fd, uint32_t leaf, uint32_t subleaf, unsigned reg)
{
	struct kvm_cpuid_set set = {.nent = KVM_CPUID_MAX};

	if (kvm_ioctl(dev_fd, KVM_GET_SUPPORTED_CPUID, &set) < 0)
		return 0;
	for (uint32_t i = 0; i < set.nent && i < KVM_CPUID_MAX; i++) {
		const struct kvm_cpuid_entry2 *c = &set.entries[i];
		const uint32_t has[4] = {c->eax, c->ebx, c->ecx, c->edx};

		if (c->function == leaf && (c->index == subleaf || !kvm_leaf_indexed(leaf)))
			return has[reg];
	}
	return 0;
}

/* CR4.PCIDE and INVPCID are the kernel's to give: where it has no support, setting the one is #GP and the other #UD,
 * whatever CPUID was told to say. Either alone is of no use to us: the model has both. */
bool kvm_lends_pcid(int dev_fd)
{
	return (kvm_lends(dev_fd, 1, 0, 2) & 1u << 17) && (kvm_lends(dev_fd, 7, 0, 1) & 1u << 10);
}

/* A host CPU without XSAVE cannot lend it to a guest. */
static void cpuid_without_xsave(uint32_t leaf, uint32_t out[4])
{
	if (leaf == 1)
		out[2] &= ~(1u << 26 | 1u << 27 | 1u << 28); /* XSAVE, OSXSAVE, AVX */
	if (leaf == 7)
		out[1] &= ~(1u << 5); /* AVX2 */
	if (leaf == 0xd)
		memset(out, 0, 4 * sizeof out[0]);
}

/* The local APIC is the core's here, and KVM without its own has no x2APIC MSRs; a TSC deadline would be of the host's
 * TSC, which runs at another rate than guest time. */
static void cpuid_without_kernel_apic(uint32_t leaf, uint32_t out[4])
{
	if (leaf == 1)
		out[2] &= ~(1u << 21 | 1u << 24); /* x2APIC, TSC deadline */
}

/* The project's one CPUID model. KVM itself then follows CR4 (OSXSAVE) and XCR0 (leaf 0xd), as the model does. */
enum err kvm_cpuid_set(struct vcpu *v, struct errmsg *why)
{
	uint32_t leaves[KVM_CPUID_MAX][2], out[4];
	size_t n = x86_cpuid_leaves(leaves, KVM_CPUID_MAX);
	struct kvm_cpuid_set set;
	int rc;

	memset(&set, 0, sizeof set);
	for (size_t i = 0; i < n; i++) {
		struct kvm_cpuid_entry2 *c = &set.entries[i];

		x86_cpuid(&v->cpu, leaves[i][0], leaves[i][1], out);
		if (!kvm_of(v->vm)->has_xcrs)
			cpuid_without_xsave(leaves[i][0], out);
		cpuid_without_kernel_apic(leaves[i][0], out);
		c->function = leaves[i][0];
		c->index = leaves[i][1];
		c->flags = kvm_leaf_indexed(c->function) ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
		c->eax = out[0];
		c->ebx = out[1];
		c->ecx = out[2];
		c->edx = out[3];
	}
	set.nent = (uint32_t)n;
	rc = kvm_ioctl(kvcpu_of(v)->fd, KVM_SET_CPUID2, &set);
	if (rc < 0)
		return err_set(why, ERR_IO, "KVM_SET_CPUID2: %s", strerror(-rc));
	return ERR_OK;
}
