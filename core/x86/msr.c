/*
 * Model-specific registers that are plain CPU state [SDM 4 "IA-32 Architectural MSRs"]. The TSC is not here: it is the
 * machine's (clock plus offset); nor are the MSRs of the local APIC. An MSR that no row has does not exist: #GP to the
 * guest, and the VMM counts it.
 */
#include "core/lib.h"
#include "core/x86/paging.h"

enum msr_rule {
	MSR_PLAIN,	/* any value */
	MSR_READ_ONLY,	/* writes are #GP */
	MSR_CANONICAL,	/* a linear address */
	MSR_WRITE_ZERO, /* only 0 may be written */
	MSR_LOW32,	/* bits 63:32 reserved */
	MSR_KEEP32,	/* bits 63:32 not used */
	MSR_BITS,	/* value has the bits that may be set */
	MSR_PAT_TYPES,	/* eight memory types, one a byte */
	MSR_MTRR_TYPES, /* the same, of those that an MTRR may have */
	MSR_MTRR_RANGE, /* base and mask in turn */
	MSR_MTRR_DEFAULT,
};

#define NOWHERE SIZE_MAX
#define AT(field) offsetof(struct x86_state, field)

/* IA32_MISC_ENABLE: fast strings, thermal control, EIST, MONITOR, CPUID limit, xTPR, XD [SDM 4 "IA-32 Architectural
 * MSRs"]. They are kept, and change nothing. */
#define MISC_ENABLE_BITS (1ull | 1ull << 3 | 1ull << 16 | 1ull << 18 | 1ull << 22 | 1ull << 23 | 1ull << 34)

/* first..first+n-1 live at offset + 8 * k in struct x86_state, or all have the fixed value. */
static const struct msr_row {
	uint32_t first, n;
	size_t offset;
	uint64_t value;
	enum msr_rule rule;
} rows[] = {
    {0x17, 1, NOWHERE, 0, MSR_READ_ONLY},		     /* IA32_PLATFORM_ID */
    {0x3a, 1, NOWHERE, 1, MSR_READ_ONLY},		     /* IA32_FEATURE_CONTROL: locked, VMX off */
    {0x8b, 1, AT(bios_sign), 0, MSR_WRITE_ZERO},	     /* IA32_BIOS_SIGN_ID */
    {0xce, 1, NOWHERE, 10u << 8, MSR_READ_ONLY},	     /* MSR_PLATFORM_INFO: ratio 10 x 100 MHz */
    {0xfe, 1, NOWHERE, 0x508, MSR_READ_ONLY},		     /* IA32_MTRRCAP: 8 variable, fixed, WC */
    {0x10a, 1, NOWHERE, 0x0d10e171, MSR_READ_ONLY},	     /* IA32_ARCH_CAPABILITIES, see below */
    {0x174, 1, AT(sysenter_cs), 0, MSR_KEEP32},		     /* IA32_SYSENTER_CS */
    {0x175, 1, AT(sysenter_esp), 0, MSR_CANONICAL},	     /* IA32_SYSENTER_ESP */
    {0x176, 1, AT(sysenter_eip), 0, MSR_CANONICAL},	     /* IA32_SYSENTER_EIP */
    {0x179, 1, NOWHERE, 0, MSR_READ_ONLY},		     /* IA32_MCG_CAP: no banks */
    {0x17a, 1, AT(mcg_status), 0, MSR_PLAIN},		     /* IA32_MCG_STATUS */
    {0x1a0, 1, AT(misc_enable), MISC_ENABLE_BITS, MSR_BITS}, /* IA32_MISC_ENABLE */
    {0x1d9, 1, AT(debugctl), 0, MSR_WRITE_ZERO},	     /* IA32_DEBUGCTL: no LBR, no BTF */
    {0x200, 16, AT(mtrr_var), 0, MSR_MTRR_RANGE},	     /* IA32_MTRR_PHYSBASE0.. */
    {0x250, 1, AT(mtrr_fixed[0]), 0, MSR_MTRR_TYPES},	     /* IA32_MTRR_FIX64K_00000 */
    {0x258, 2, AT(mtrr_fixed[1]), 0, MSR_MTRR_TYPES},	     /* IA32_MTRR_FIX16K_80000.. */
    {0x268, 8, AT(mtrr_fixed[3]), 0, MSR_MTRR_TYPES},	     /* IA32_MTRR_FIX4K_C0000.. */
    {0x277, 1, AT(pat), 0, MSR_PAT_TYPES},		     /* IA32_PAT */
    {0x2ff, 1, AT(mtrr_def_type), 0, MSR_MTRR_DEFAULT},	     /* IA32_MTRR_DEF_TYPE */
    {0xc0000080, 1, AT(efer), 0, MSR_PLAIN},		     /* IA32_EFER */
    {0xc0000081, 1, AT(star), 0, MSR_PLAIN},		     /* IA32_STAR */
    {0xc0000082, 1, AT(lstar), 0, MSR_CANONICAL},	     /* IA32_LSTAR */
    {0xc0000083, 1, AT(cstar), 0, MSR_CANONICAL},	     /* IA32_CSTAR */
    {0xc0000084, 1, AT(fmask), 0, MSR_LOW32},		     /* IA32_FMASK */
    {0xc0000100, 1, AT(seg[X86_FS].base), 0, MSR_CANONICAL}, /* IA32_FS_BASE */
    {0xc0000101, 1, AT(seg[X86_GS].base), 0, MSR_CANONICAL}, /* IA32_GS_BASE */
    {0xc0000102, 1, AT(kernel_gs_base), 0, MSR_CANONICAL},   /* IA32_KERNEL_GS_BASE */
    {0xc0000103, 1, AT(tsc_aux), 0, MSR_LOW32},		     /* IA32_TSC_AUX */
};

/*
 * IA32_ARCH_CAPABILITIES, so that kernels do not double their work: bits 0 RDCL_NO, 4 SSB_NO, 5 MDS_NO,
 * 6 IF_PSCHANGE_MC_NO, 8 TAA_NO, 13 SBDR_SSDP_NO, 14 FBSDP_NO, 15 PSDP_NO, 20 BHI_NO, 24 PBRSB_NO, 26 GDS_NO, 27
 * RFDS_NO.
 */

#define MSR_EFER 0xc0000080u

static const struct msr_row *find(uint32_t msr)
{
	for (size_t k = 0; k < ARRAY_LEN(rows); k++)
		if (msr - rows[k].first < rows[k].n)
			return &rows[k];
	return NULL;
}

static uint64_t *place(struct x86_cpu *c, const struct msr_row *r, uint32_t msr)
{
	return (uint64_t *)(void *)((uint8_t *)&c->s + r->offset) + (msr - r->first);
}

bool x86_rdmsr(struct x86_cpu *c, uint32_t msr, uint64_t *v)
{
	const struct msr_row *r = find(msr);

	if (!r)
		return false;
	*v = r->offset == NOWHERE ? r->value : *place(c, r, msr);
	return true;
}

/* Memory types, one bit each: 2 and 3 do not exist, nor does anything above 7; 7 is known to the PAT only [SDM 3A
 * "IA32_PAT MSR"; SDM 3A "IA32_MTRR_DEF_TYPE MSR"]. */
#define PAT_TYPES 0xf3u
#define MTRR_TYPES 0x73u

static bool types_ok(uint64_t v, unsigned n, unsigned allowed)
{
	for (unsigned k = 0; k < n; k++) {
		unsigned type = v >> (8 * k) & 0xff;

		if (type > 7 || !(allowed >> type & 1))
			return false;
	}
	return true;
}

/* [SDM 3A "Variable Range MTRRs"] */
static bool mtrr_range_ok(bool mask, uint64_t v)
{
	if (v & ~X86_PHYS_MASK)
		return false;
	return mask ? !(v & 0x7ff) : !(v & 0xf00) && types_ok(v, 1, MTRR_TYPES);
}

static bool value_ok(const struct msr_row *r, uint32_t msr, uint64_t v)
{
	switch (r->rule) {
	case MSR_READ_ONLY:
		return false;
	case MSR_CANONICAL:
		return x86_canonical(v);
	case MSR_WRITE_ZERO:
		return v == 0;
	case MSR_LOW32:
		return v >> 32 == 0;
	case MSR_BITS:
		return !(v & ~r->value);
	case MSR_PAT_TYPES:
		return types_ok(v, 8, PAT_TYPES);
	case MSR_MTRR_TYPES:
		return types_ok(v, 8, MTRR_TYPES);
	case MSR_MTRR_RANGE:
		return mtrr_range_ok((msr - r->first) & 1, v);
	case MSR_MTRR_DEFAULT: /* type, E, FE */
		return !(v & ~0xcffull) && types_ok(v, 1, MTRR_TYPES);
	case MSR_KEEP32:
	case MSR_PLAIN:
	default:
		return true;
	}
}

bool x86_wrmsr(struct x86_cpu *c, uint32_t msr, uint64_t v)
{
	const struct msr_row *r = find(msr);

	if (!r || !value_ok(r, msr, v))
		return false;
	if (msr == MSR_EFER)
		return x86_set_efer(c, v) == X86_OK;
	*place(c, r, msr) = r->rule == MSR_KEEP32 ? (uint32_t)v : v;
	if (r->offset == AT(seg[X86_FS].base) || r->offset == AT(seg[X86_GS].base))
		x86_mode_changed(c);
	return true;
}
