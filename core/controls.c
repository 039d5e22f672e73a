/*
 * The profiles of docs/exit-contract.md, bit by bit: the same table drives the software CPU, the behaviour models and,
 * on bare metal, the VMCS. What exits is guest configuration, not engine code; that is why the modes can be compared.
 */
#include "core/controls.h"

#include "core/lib.h"
#include "core/x86/state.h"

/* NMIs of the machine are the VMM's; those of the guest are virtual ones, which its IRET unblocks. */
#define PIN_ALL (PIN_EXTINT_EXIT | PIN_NMI_EXIT | PIN_VIRTUAL_NMIS | PIN_PREEMPTION_TIMER)
#define PROC2_BASE (PROC2_EPT | PROC2_VPID | PROC2_UNRESTRICTED | PROC2_RDTSCP | PROC2_INVPCID)
#define CR0_GUARDED (CR0_PE | CR0_PG | CR0_CD | CR0_NW | CR0_NE)
/* And every bit that the project's CPU reserves: the real one may know it, and must never see it set. */
#define CR4_GUARDED (CR4_VMXE | CR4_PAE | CR4_SMEP | CR4_SMAP | CR4_UMIP | CR4_PCIDE | ~(uint64_t)CR4_MODEL)

static const struct msr_range guest_msrs[] = {
    {0x174, 3},	     /* SYSENTER_CS, _ESP, _EIP */
    {0x277, 1},	     /* PAT */
    {0xc0000081, 4}, /* STAR, LSTAR, CSTAR, FMASK */
    {0xc0000100, 3}, /* FS_BASE, GS_BASE, KERNEL_GS_BASE */
};

static const struct msr_range kvm_kernel_msrs[] = {
    {0x10, 1},	     /* TSC */
    {0x1b, 1},	     /* APIC_BASE */
    {0xfe, 1},	     /* MTRRCAP */
    {0x1a0, 1},	     /* MISC_ENABLE */
    {0x200, 16},     /* variable MTRRs */
    {0x250, 1},	     /* fixed MTRRs */
    {0x258, 2},	     /* fixed MTRRs */
    {0x268, 8},	     /* fixed MTRRs */
    {0x2ff, 1},	     /* MTRR_DEF_TYPE */
    {0xc0000080, 1}, /* EFER */
    {0xc0000103, 1}, /* TSC_AUX */
};

const struct msr_range *controls_guest_msrs(size_t *n)
{
	*n = ARRAY_LEN(guest_msrs);
	return guest_msrs;
}

const struct msr_range *controls_kvm_kernel_msrs(size_t *n)
{
	*n = ARRAY_LEN(kvm_kernel_msrs);
	return kvm_kernel_msrs;
}

/* The MSR bitmap has four parts of 1 KiB: reads of 0..1fff, reads of c0000000..c0001fff, then the same for writes
 * [SDM 3C "MSR-Bitmap Address"]. Returns the bit's number, or -1: outside, which always exits. */
static int msr_bit(uint32_t msr, bool write)
{
	uint32_t part;

	if (msr < 0x2000)
		part = 0;
	else if (msr >= 0xc0000000 && msr < 0xc0002000)
		part = 1;
	else
		return -1;
	return (int)((part + (write ? 2 : 0)) * 8192 + (msr & 0x1fff));
}

static void msr_let_through(struct vm_controls *ctl, const struct msr_range *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (uint32_t m = r[i].first; m < r[i].first + r[i].count; m++)
			for (int write = 0; write < 2; write++) {
				int bit = msr_bit(m, write);
				if (bit < 0) /* no bitmap covers it: it exits whatever we want */
					continue;
				ctl->msr_bitmap[bit / 8] &= (uint8_t) ~(1u << (bit % 8));
			}
}

static void set_vtx_ept(struct vm_controls *ctl)
{
	ctl->pin = PIN_ALL;
	ctl->proc = PROC_HLT_EXIT | PROC_MWAIT_EXIT | PROC_RDPMC_EXIT | PROC_CR8_LOAD_EXIT | PROC_CR8_STORE_EXIT |
		    PROC_MOV_DR_EXIT | PROC_UNCOND_IO_EXIT | PROC_MSR_BITMAPS | PROC_MONITOR_EXIT | PROC_SECONDARY;
	ctl->proc2 = PROC2_BASE;
	/* The delivery of #DB and of #AC can raise them again, for ever, and nothing exits in between: not an
	 * interrupt, not an NMI, not the timer. */
	ctl->exceptions = 1u << VEC_MC | 1u << VEC_DB | 1u << VEC_AC;
	ctl->cr0_mask = CR0_GUARDED;
	ctl->cr4_mask = CR4_GUARDED;
	msr_let_through(ctl, guest_msrs, ARRAY_LEN(guest_msrs));
}

static void set_vtx_shadow(struct vm_controls *ctl)
{
	set_vtx_ept(ctl);
	ctl->proc |= PROC_CR3_LOAD_EXIT | PROC_CR3_STORE_EXIT | PROC_INVLPG_EXIT;
	ctl->exceptions |= 1u << VEC_PF;
}

/*
 * Before VT-x there were no execution controls: the VMM owned the IDT and ran the guest's kernel at CPL 3, so that a
 * privileged instruction raised #GP (or #UD) into the VMM. CPUID was not privileged and never trapped.
 */
static void set_deprivileged(struct vm_controls *ctl)
{
	ctl->pin = PIN_ALL;
	ctl->proc = PROC_SECONDARY;
	ctl->proc2 = PROC2_BASE;
	ctl->exceptions = 1u << VEC_UD | 1u << VEC_GP | 1u << VEC_MC;
	ctl->kernel = CTL_KERNEL_CPUID | CTL_KERNEL_MISC;
	ctl->ring = RING_DEPRIVILEGED;
}

static void set_umip(struct vm_controls *ctl)
{
	set_deprivileged(ctl);
	ctl->ring = RING_UMIP;
}

static void set_all(struct vm_controls *ctl)
{
	ctl->pin = PIN_ALL;
	ctl->proc = PROC_HLT_EXIT | PROC_INVLPG_EXIT | PROC_MWAIT_EXIT | PROC_RDPMC_EXIT | PROC_RDTSC_EXIT |
		    PROC_CR3_LOAD_EXIT | PROC_CR3_STORE_EXIT | PROC_CR8_LOAD_EXIT | PROC_CR8_STORE_EXIT |
		    PROC_MOV_DR_EXIT | PROC_UNCOND_IO_EXIT | PROC_MONITOR_EXIT | PROC_PAUSE_EXIT | PROC_SECONDARY;
	ctl->proc2 = PROC2_BASE | PROC2_DESC_TABLE_EXIT | PROC2_WBINVD_EXIT | PROC2_RDRAND_EXIT | PROC2_RDSEED_EXIT;
	ctl->exceptions = UINT32_MAX; /* pf_mask = pf_match = 0: every #PF */
	ctl->cr0_mask = UINT64_MAX;
	ctl->cr4_mask = UINT64_MAX;
}

static void set_kvm_user(struct vm_controls *ctl)
{
	ctl->proc = PROC_HLT_EXIT | PROC_UNCOND_IO_EXIT | PROC_MSR_BITMAPS | PROC_SECONDARY;
	ctl->proc2 = PROC2_BASE;
	ctl->kernel = CTL_KERNEL_CPUID | CTL_KERNEL_CR | CTL_KERNEL_MISC | CTL_KERNEL_TIMER;
	msr_let_through(ctl, guest_msrs, ARRAY_LEN(guest_msrs));
	msr_let_through(ctl, kvm_kernel_msrs, ARRAY_LEN(kvm_kernel_msrs));
}

#define EMU_SIM (PROFILE_EMULATE | PROFILE_SIMULATE)

static const struct controls_profile profiles[] = {
    {"vtx-ept", EMU_SIM | PROFILE_METAL, "what a modern VMM programs: nested paging, few exits"},
    {"vtx-shadow", EMU_SIM | PROFILE_METAL, "vtx-ept plus CR3, INVLPG and #PF exits: the pattern of shadow paging"},
    {"deprivileged", EMU_SIM, "classic trap-and-emulate: the guest's kernel at CPL 3; sensitive instructions leak"},
    {"umip", EMU_SIM, "deprivileged with CR4.UMIP: SGDT, SIDT, SLDT, SMSW and STR trap too"},
    {"all", EMU_SIM | PROFILE_METAL, "every control that can cause an exit is on"},
    {"kvm-user", EMU_SIM | PROFILE_KVM, "what /dev/kvm hands to a process: I/O, MMIO, HLT, filtered MSRs"},
};

static void (*const setters[])(struct vm_controls *) = {
    set_vtx_ept, set_vtx_shadow, set_deprivileged, set_umip, set_all, set_kvm_user};

_Static_assert(ARRAY_LEN(setters) == ARRAY_LEN(profiles), "one setter a profile");

const struct controls_profile *controls_profiles(size_t *n)
{
	*n = ARRAY_LEN(profiles);
	return profiles;
}

static enum err unknown_profile(const char *profile, struct errmsg *why)
{
	char list[128];
	int at = 0;

	for (size_t i = 0; i < ARRAY_LEN(profiles); i++)
		at += fmt_snprintf(list + at, sizeof(list) - (size_t)at, "%s%s", i ? ", " : "", profiles[i].name);
	return err_set(why, ERR_NOENT, "unknown controls profile '%s': the profiles are %s", profile, list);
}

enum err controls_set(struct vm_controls *ctl, const char *profile, struct errmsg *why)
{
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		if (strcmp(profiles[i].name, profile) != 0)
			continue;
		memset(ctl, 0, sizeof(*ctl));
		memset(ctl->io_bitmap, 0xff, sizeof(ctl->io_bitmap));
		memset(ctl->msr_bitmap, 0xff, sizeof(ctl->msr_bitmap));
		fmt_snprintf(ctl->name, sizeof(ctl->name), "%s", profile);
		setters[i](ctl);
		return ERR_OK;
	}
	return unknown_profile(profile, why);
}

bool controls_io_exits(const struct vm_controls *ctl, uint16_t port, unsigned size)
{
	if (!(ctl->proc & PROC_IO_BITMAPS))
		return ctl->proc & PROC_UNCOND_IO_EXIT;
	if (port + size > 0x10000u) /* wraps around: always exits */
		return true;
	for (unsigned p = port; p < port + size; p++)
		if (ctl->io_bitmap[p / 8] & 1u << (p % 8))
			return true;
	return false;
}

bool controls_msr_exits(const struct vm_controls *ctl, uint32_t msr, bool write)
{
	if (!(ctl->proc & PROC_MSR_BITMAPS))
		return true;
	int bit = msr_bit(msr, write);
	return bit < 0 || (ctl->msr_bitmap[bit / 8] & 1u << (bit % 8));
}
