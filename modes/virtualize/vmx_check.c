/*
 * The checks of VM entry on controls, host state and guest state [SDM 3C "VM Entries"], segments in vmx_check_seg.c.
 * Concept: a processor refuses a state that it could never have reached by itself, because nothing inside it is
 * prepared for one. Pure functions over a reader of fields, so that broken states can be tried on any machine.
 *
 * Read before: vmcs.def. Read after: vmx_explain.c.
 */
#include "modes/virtualize/vmx_check.h"

#include "core/exit.h"
#include "core/controls.h"
#include "core/x86/state.h"

#define EFER_KNOWN (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define RFLAGS_ZERO 0xffffffffffc08028ull
#define DEBUGCTL_KNOWN 0xffdfu
#define DEBUGCTL_BTF (1u << 1)
#define PENDING_KNOWN 0x1500fu /* bits 3:0, 12, 14 (BS) and 16 (RTM) */
#define PENDING_BS (1u << 14)
#define ACTIVITY_HLT 1u
#define ACTIVITY_LAST 3u
#define PDPTE_RESERVED 0x1e6u

static uint64_t get(const struct vmx_check *k, uint32_t field)
{
	return k->read(k->arg, field);
}

static bool found(const struct vmx_check *k, struct vmx_finding *out, uint32_t field, const char *rule)
{
	*out = (struct vmx_finding){rule, field, get(k, field)};
	return true;
}

#define MUST(holds, field, rule)                                  \
	do {                                                      \
		if (!(holds))                                     \
			return found(k, out, VMCS_##field, rule); \
	} while (0)

static bool canonical(uint64_t la)
{
	return (uint64_t)((int64_t)(la << 16) >> 16) == la;
}

static bool fits_phys(const struct vmx_check *k, uint64_t v)
{
	return v >> k->caps->phys_bits == 0;
}

static bool page_address(const struct vmx_check *k, uint64_t v)
{
	return !(v & 0xfff) && fits_phys(k, v);
}

static bool fixed(uint64_t v, uint64_t must, uint64_t may)
{
	return (v & must) == must && !(v & ~may);
}

static bool valid_pat(uint64_t pat)
{
	for (unsigned i = 0; i < 8; i++) {
		unsigned type = pat >> (8 * i) & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

/* --- Controls ---------------------------------------------------------------------------------------------------- */

static bool allowed(const struct vmx_check *k, enum vmx_ctl set, uint32_t field)
{
	return fixed((uint32_t)get(k, field), k->caps->ctl[set].must, k->caps->ctl[set].may);
}

static bool check_proc2(const struct vmx_check *k, struct vmx_finding *out, uint32_t proc2)
{
	uint64_t eptp = get(k, VMCS_EPTP);

	MUST(allowed(k, VMX_CTL_PROC2, VMCS_PROC2_CONTROLS), PROC2_CONTROLS,
	    "the secondary controls must have the settings that IA32_VMX_PROCBASED_CTLS2 allows");
	MUST(!(proc2 & PROC2_VPID) || get(k, VMCS_VPID), VPID, "with \"enable VPID\" the VPID must not be 0");
	MUST(!(proc2 & PROC2_UNRESTRICTED) || (proc2 & PROC2_EPT), PROC2_CONTROLS,
	    "\"unrestricted guest\" needs \"enable EPT\"");
	if (!(proc2 & PROC2_EPT))
		return false;
	MUST((eptp & 7) == 0 || (eptp & 7) == 6, EPTP, "the EPT memory type must be uncacheable or write-back");
	MUST((eptp >> 3 & 7) == 3, EPTP, "the EPT page-walk length must be 4 (bits 5:3 = 3)");
	MUST(!(eptp & 0xf00) && fits_phys(k, eptp), EPTP, "reserved bits of the EPT pointer must be 0");
	return false;
}

static bool check_exec(const struct vmx_check *k, struct vmx_finding *out)
{
	uint32_t pin = (uint32_t)get(k, VMCS_PIN_CONTROLS), proc = (uint32_t)get(k, VMCS_PROC_CONTROLS);

	MUST(allowed(k, VMX_CTL_PIN, VMCS_PIN_CONTROLS), PIN_CONTROLS,
	    "the pin-based controls must have the settings that IA32_VMX_PINBASED_CTLS allows");
	MUST(allowed(k, VMX_CTL_PROC, VMCS_PROC_CONTROLS), PROC_CONTROLS,
	    "the primary processor-based controls must have the settings that IA32_VMX_PROCBASED_CTLS allows");
	MUST(get(k, VMCS_CR3_TARGET_COUNT) <= 4, CR3_TARGET_COUNT, "there are at most 4 CR3 targets");
	if (proc & PROC_IO_BITMAPS) {
		MUST(page_address(k, get(k, VMCS_IO_BITMAP_A)), IO_BITMAP_A, "an I/O bitmap is a page of memory");
		MUST(page_address(k, get(k, VMCS_IO_BITMAP_B)), IO_BITMAP_B, "an I/O bitmap is a page of memory");
	}
	MUST(!(proc & PROC_MSR_BITMAPS) || page_address(k, get(k, VMCS_MSR_BITMAP)), MSR_BITMAP,
	    "the MSR bitmaps are a page of memory");
	MUST((pin & PIN_NMI_EXIT) || !(pin & PIN_VIRTUAL_NMIS), PIN_CONTROLS, "\"virtual NMIs\" needs \"NMI exiting\"");
	MUST((pin & PIN_VIRTUAL_NMIS) || !(proc & PROC_NMI_WINDOW), PROC_CONTROLS,
	    "\"NMI-window exiting\" needs \"virtual NMIs\"");
	return (proc & PROC_SECONDARY) && check_proc2(k, out, (uint32_t)get(k, VMCS_PROC2_CONTROLS));
}

/* The event to inject [SDM 3C "VM-Entry Control Fields"]. */
static bool check_event(const struct vmx_check *k, struct vmx_finding *out)
{
	uint32_t info = (uint32_t)get(k, VMCS_ENTRY_INTR_INFO), vector = info & 0xff;
	unsigned type = info >> INTR_INFO_TYPE_SHIFT & 7;
	bool has_error = vector == VEC_DF || (vector >= VEC_TS && vector <= VEC_PF) || vector == VEC_AC || vector == 21;
	bool wants = type == INTR_TYPE_HW_EXCEPTION && has_error && (get(k, VMCS_GUEST_CR0) & CR0_PE);
	uint64_t len = get(k, VMCS_ENTRY_INSN_LEN);

	if (!(info & INTR_INFO_VALID))
		return false;
	MUST(type != 1, ENTRY_INTR_INFO, "interruption type 1 is reserved");
	MUST(type != INTR_TYPE_NMI || vector == 2, ENTRY_INTR_INFO, "an NMI has vector 2");
	MUST(type != INTR_TYPE_HW_EXCEPTION || vector <= 31, ENTRY_INTR_INFO,
	    "a hardware exception has a vector below 32");
	MUST(!(info & 0x7ffff000u), ENTRY_INTR_INFO, "bits 30:12 of the interruption information must be 0");
	MUST(!(info & INTR_INFO_ERROR) == !wants, ENTRY_INTR_INFO,
	    "an error code is delivered with #DF, #TS, #NP, #SS, #GP, #PF, #AC in protected mode, and with nothing "
	    "else");
	MUST(!(info & INTR_INFO_ERROR) || !(get(k, VMCS_ENTRY_INTR_ERROR) >> 16), ENTRY_INTR_ERROR,
	    "bits 31:16 of the error code must be 0");
	if (type == INTR_TYPE_SW_INT || type == INTR_TYPE_SW_EXCEPTION || type == INTR_TYPE_PRIV_SW_EXCEPTION)
		MUST(len >= 1 && len <= 15, ENTRY_INSN_LEN, "a software event has an instruction length of 1 to 15");
	return false;
}

bool vmx_check_controls(const struct vmx_check *k, struct vmx_finding *out)
{
	if (check_exec(k, out))
		return true;
	MUST(allowed(k, VMX_CTL_EXIT, VMCS_EXIT_CONTROLS), EXIT_CONTROLS,
	    "the VM-exit controls must have the settings that IA32_VMX_EXIT_CTLS allows");
	MUST((get(k, VMCS_PIN_CONTROLS) & PIN_PREEMPTION_TIMER) || !(get(k, VMCS_EXIT_CONTROLS) & 1u << 22),
	    EXIT_CONTROLS, "\"save VMX-preemption timer value\" needs the timer");
	MUST(allowed(k, VMX_CTL_ENTRY, VMCS_ENTRY_CONTROLS), ENTRY_CONTROLS,
	    "the VM-entry controls must have the settings that IA32_VMX_ENTRY_CTLS allows");
	return check_event(k, out);
}

/* --- Host -------------------------------------------------------------------------------------------------------- */

static bool check_host_selectors(const struct vmx_check *k, struct vmx_finding *out)
{
	static const uint32_t sels[] = {VMCS_HOST_ES_SEL, VMCS_HOST_CS_SEL, VMCS_HOST_SS_SEL, VMCS_HOST_DS_SEL,
	    VMCS_HOST_FS_SEL, VMCS_HOST_GS_SEL, VMCS_HOST_TR_SEL};

	for (size_t i = 0; i < ARRAY_LEN(sels); i++)
		if (get(k, sels[i]) & 7)
			return found(k, out, sels[i], "RPL and table indicator of a host selector must be 0");
	MUST(get(k, VMCS_HOST_CS_SEL), HOST_CS_SEL, "the host's CS must not be null");
	MUST(get(k, VMCS_HOST_TR_SEL), HOST_TR_SEL, "the host's TR must not be null");
	return false;
}

bool vmx_check_host(const struct vmx_check *k, struct vmx_finding *out)
{
	static const uint32_t addresses[] = {VMCS_HOST_FS_BASE, VMCS_HOST_GS_BASE, VMCS_HOST_TR_BASE,
	    VMCS_HOST_GDTR_BASE, VMCS_HOST_IDTR_BASE, VMCS_HOST_SYSENTER_ESP, VMCS_HOST_SYSENTER_EIP, VMCS_HOST_RIP};
	const struct vmx_caps *caps = k->caps;
	uint64_t efer = get(k, VMCS_HOST_EFER);

	MUST(fixed(get(k, VMCS_HOST_CR0), caps->cr0_must, caps->cr0_may), HOST_CR0,
	    "the host's CR0 must have the bits that IA32_VMX_CR0_FIXED0 and FIXED1 fix");
	MUST(fixed(get(k, VMCS_HOST_CR4), caps->cr4_must, caps->cr4_may), HOST_CR4,
	    "the host's CR4 must have the bits that IA32_VMX_CR4_FIXED0 and FIXED1 fix");
	MUST(fits_phys(k, get(k, VMCS_HOST_CR3)), HOST_CR3, "the host's CR3 is a physical address");
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++)
		if (!canonical(get(k, addresses[i])))
			return found(k, out, addresses[i], "an address of the host must be canonical");
	if (get(k, VMCS_EXIT_CONTROLS) & EXIT_LOAD_PAT)
		MUST(valid_pat(get(k, VMCS_HOST_PAT)), HOST_PAT, "the host's IA32_PAT has a reserved memory type");
	if (get(k, VMCS_EXIT_CONTROLS) & EXIT_LOAD_EFER)
		MUST(!(efer & ~(uint64_t)EFER_KNOWN) && (efer & EFER_LMA) && (efer & EFER_LME), HOST_EFER,
		    "the host's IA32_EFER must be that of a 64-bit host: LMA and LME 1, reserved bits 0");
	if (check_host_selectors(k, out))
		return true;
	MUST(get(k, VMCS_EXIT_CONTROLS) & EXIT_HOST_64, EXIT_CONTROLS,
	    "a 64-bit host needs \"host address-space size\"");
	MUST(get(k, VMCS_HOST_CR4) & CR4_PAE, HOST_CR4, "a 64-bit host has CR4.PAE = 1");
	return false;
}

/* --- Guest ------------------------------------------------------------------------------------------------------- */

static bool is_unrestricted(const struct vmx_check *k)
{
	return get(k, VMCS_PROC2_CONTROLS) & PROC2_UNRESTRICTED;
}

static bool check_control_registers(const struct vmx_check *k, struct vmx_finding *out)
{
	uint64_t cr0 = get(k, VMCS_GUEST_CR0), cr4 = get(k, VMCS_GUEST_CR4), must = k->caps->cr0_must;
	bool ia32e = get(k, VMCS_ENTRY_CONTROLS) & ENTRY_IA32E;

	if (is_unrestricted(k))
		must &= ~(uint64_t)(CR0_PE | CR0_PG);
	MUST(fixed(cr0, must, k->caps->cr0_may), GUEST_CR0,
	    "the guest's CR0 must have the bits that IA32_VMX_CR0_FIXED0 and FIXED1 fix");
	MUST(!(cr0 & CR0_PG) || (cr0 & CR0_PE), GUEST_CR0, "paging (PG) needs protected mode (PE)");
	MUST(fixed(cr4, k->caps->cr4_must, k->caps->cr4_may), GUEST_CR4,
	    "the guest's CR4 must have the bits that IA32_VMX_CR4_FIXED0 and FIXED1 fix");
	MUST(!ia32e || ((cr0 & CR0_PG) && (cr4 & CR4_PAE)), GUEST_CR4, "an IA-32e mode guest has PG and PAE set");
	MUST(ia32e || !(cr4 & CR4_PCIDE), GUEST_CR4, "CR4.PCIDE needs an IA-32e mode guest");
	MUST(fits_phys(k, get(k, VMCS_GUEST_CR3)), GUEST_CR3, "the guest's CR3 is a physical address");
	return false;
}

static bool check_msrs(const struct vmx_check *k, struct vmx_finding *out)
{
	uint32_t entry = (uint32_t)get(k, VMCS_ENTRY_CONTROLS);
	uint64_t efer = get(k, VMCS_GUEST_EFER);
	bool lma = efer & EFER_LMA, lme = efer & EFER_LME;

	if (entry & ENTRY_LOAD_DEBUG) {
		MUST(!(get(k, VMCS_GUEST_DR7) >> 32), GUEST_DR7, "bits 63:32 of DR7 must be 0");
		MUST(!(get(k, VMCS_GUEST_DEBUGCTL) & ~(uint64_t)DEBUGCTL_KNOWN), GUEST_DEBUGCTL,
		    "reserved bits of IA32_DEBUGCTL must be 0");
	}
	MUST(canonical(get(k, VMCS_GUEST_SYSENTER_ESP)), GUEST_SYSENTER_ESP, "IA32_SYSENTER_ESP must be canonical");
	MUST(canonical(get(k, VMCS_GUEST_SYSENTER_EIP)), GUEST_SYSENTER_EIP, "IA32_SYSENTER_EIP must be canonical");
	if (entry & ENTRY_LOAD_PAT)
		MUST(valid_pat(get(k, VMCS_GUEST_PAT)), GUEST_PAT, "the guest's IA32_PAT has a reserved memory type");
	if (entry & ENTRY_LOAD_EFER) {
		MUST(!(efer & ~(uint64_t)EFER_KNOWN), GUEST_EFER, "reserved bits of IA32_EFER must be 0");
		MUST(lma == !!(entry & ENTRY_IA32E), GUEST_EFER,
		    "IA32_EFER.LMA must equal the VM-entry control \"IA-32e mode guest\"");
		MUST(!(get(k, VMCS_GUEST_CR0) & CR0_PG) || lma == lme, GUEST_EFER,
		    "with paging on, IA32_EFER.LME must equal LMA");
	}
	return false;
}

static bool check_tables(const struct vmx_check *k, struct vmx_finding *out)
{
	MUST(canonical(get(k, VMCS_GUEST_GDTR_BASE)), GUEST_GDTR_BASE, "the base of the GDT must be canonical");
	MUST(canonical(get(k, VMCS_GUEST_IDTR_BASE)), GUEST_IDTR_BASE, "the base of the IDT must be canonical");
	MUST(get(k, VMCS_GUEST_GDTR_LIMIT) <= 0xffff, GUEST_GDTR_LIMIT, "the limit of the GDT has 16 bits");
	MUST(get(k, VMCS_GUEST_IDTR_LIMIT) <= 0xffff, GUEST_IDTR_LIMIT, "the limit of the IDT has 16 bits");
	return false;
}

static bool check_rip_rflags(const struct vmx_check *k, struct vmx_finding *out)
{
	uint64_t rip = get(k, VMCS_GUEST_RIP), flags = get(k, VMCS_GUEST_RFLAGS);
	uint32_t info = (uint32_t)get(k, VMCS_ENTRY_INTR_INFO);
	bool ia32e = get(k, VMCS_ENTRY_CONTROLS) & ENTRY_IA32E, wide = ia32e && (get(k, VMCS_GUEST_CS_AR) & SEG_L);

	MUST(wide || !(rip >> 32), GUEST_RIP, "outside 64-bit mode, bits 63:32 of RIP must be 0");
	MUST(!wide || canonical(rip), GUEST_RIP, "in 64-bit mode RIP must be canonical");
	MUST(!(flags & RFLAGS_ZERO) && (flags & FLAG_R1), GUEST_RFLAGS,
	    "reserved bits of RFLAGS must be 0, and bit 1 must be 1");
	MUST(!(flags & FLAG_VM) || (!ia32e && (get(k, VMCS_GUEST_CR0) & CR0_PE)), GUEST_RFLAGS,
	    "virtual-8086 mode (RFLAGS.VM) needs protected mode outside IA-32e mode");
	MUST(!(info & INTR_INFO_VALID) || (info >> INTR_INFO_TYPE_SHIFT & 7) != INTR_TYPE_EXTERNAL || (flags & FLAG_IF),
	    GUEST_RFLAGS, "an external interrupt is injected with RFLAGS.IF = 1 only");
	return false;
}

static bool check_activity(const struct vmx_check *k, struct vmx_finding *out)
{
	uint64_t activity = get(k, VMCS_GUEST_ACTIVITY), blocking = get(k, VMCS_GUEST_INTERRUPTIBILITY);
	uint32_t info = (uint32_t)get(k, VMCS_ENTRY_INTR_INFO);
	unsigned type = info >> INTR_INFO_TYPE_SHIFT & 7;
	bool valid = info & INTR_INFO_VALID;

	MUST(activity <= ACTIVITY_LAST, GUEST_ACTIVITY, "the activity state is 0 (active) to 3");
	MUST(activity != ACTIVITY_HLT || !(get(k, VMCS_GUEST_SS_AR) & SEG_DPL), GUEST_ACTIVITY,
	    "activity state HLT needs SS.DPL = 0");
	MUST(!activity || !(blocking & 3), GUEST_ACTIVITY, "blocking by STI or MOV SS needs activity state active");
	MUST(!(blocking & ~0x1full), GUEST_INTERRUPTIBILITY, "reserved bits of the interruptibility state must be 0");
	MUST((blocking & 3) != 3, GUEST_INTERRUPTIBILITY, "STI and MOV SS do not block together");
	MUST(!(blocking & INTR_SHADOW_STI) || (get(k, VMCS_GUEST_RFLAGS) & FLAG_IF), GUEST_INTERRUPTIBILITY,
	    "blocking by STI needs RFLAGS.IF = 1");
	MUST(!valid || type != INTR_TYPE_EXTERNAL || !(blocking & 3), GUEST_INTERRUPTIBILITY,
	    "an external interrupt is not injected while STI or MOV SS block");
	MUST(!valid || type != INTR_TYPE_NMI || !(blocking & INTR_SHADOW_MOVSS), GUEST_INTERRUPTIBILITY,
	    "an NMI is not injected while MOV SS blocks");
	MUST(!valid || type != INTR_TYPE_NMI || !(blocking & INTR_SHADOW_NMI) ||
		 !(get(k, VMCS_PIN_CONTROLS) & PIN_VIRTUAL_NMIS),
	    GUEST_INTERRUPTIBILITY, "with \"virtual NMIs\" an NMI is not injected while NMIs are blocked");
	MUST(!(blocking & 4), GUEST_INTERRUPTIBILITY, "blocking by SMI needs a processor in SMM");
	return false;
}

static bool check_pending(const struct vmx_check *k, struct vmx_finding *out)
{
	uint64_t pending = get(k, VMCS_GUEST_PENDING_DBG), flags = get(k, VMCS_GUEST_RFLAGS);
	bool step = (flags & FLAG_TF) && !(get(k, VMCS_GUEST_DEBUGCTL) & DEBUGCTL_BTF);
	bool held = (get(k, VMCS_GUEST_INTERRUPTIBILITY) & 3) || get(k, VMCS_GUEST_ACTIVITY) == ACTIVITY_HLT;

	MUST(!(pending & ~(uint64_t)PENDING_KNOWN), GUEST_PENDING_DBG,
	    "reserved bits of the pending debug exceptions must be 0");
	MUST(!held || step == !!(pending & PENDING_BS), GUEST_PENDING_DBG,
	    "while STI, MOV SS or HLT hold it back, BS must be pending exactly when RFLAGS.TF is 1 and BTF is 0");
	MUST(get(k, VMCS_VMCS_LINK) == UINT64_MAX || page_address(k, get(k, VMCS_VMCS_LINK)), VMCS_LINK,
	    "the VMCS link pointer is all ones or the address of a VMCS");
	return false;
}

static bool check_pdptes(const struct vmx_check *k, struct vmx_finding *out)
{
	uint64_t cr0 = get(k, VMCS_GUEST_CR0), cr4 = get(k, VMCS_GUEST_CR4);

	if (!(cr0 & CR0_PG) || !(cr4 & CR4_PAE) || (get(k, VMCS_ENTRY_CONTROLS) & ENTRY_IA32E))
		return false;
	for (uint32_t n = 0; n < 4; n++) {
		uint64_t e = get(k, VMCS_GUEST_PDPTE0 + 2 * n);

		if ((e & 1) && ((e & PDPTE_RESERVED) || !fits_phys(k, e)))
			return found(k, out, VMCS_GUEST_PDPTE0 + 2 * n,
			    "reserved bits of a present PDPTE must be 0 (PAE paging)");
	}
	return false;
}

bool vmx_check_guest(const struct vmx_check *k, struct vmx_finding *out)
{
	return check_control_registers(k, out) || check_msrs(k, out) || vmx_check_segments(k, out) ||
	       check_tables(k, out) || check_rip_rflags(k, out) || check_activity(k, out) || check_pending(k, out) ||
	       check_pdptes(k, out);
}

bool vmx_check_entry(const struct vmx_check *k, struct vmx_finding *out)
{
	return vmx_check_controls(k, out) || vmx_check_host(k, out) || vmx_check_guest(k, out);
}
