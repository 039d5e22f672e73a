/*
 * The checks of VM entry on segment registers [SDM 3C "Checks on Guest Segment Registers"]. Concept: what a descriptor
 * may say differs by mode: in virtual-8086 mode everything is fixed, in real mode (unrestricted guest) only the type
 * and the consistency of limit and granularity are looked at, in IA-32e mode bases have 64 bits.
 */
#include "modes/virtualize/vmx_check.h"

#include "core/controls.h"
#include "core/x86/state.h"

#define AR_RESERVED 0xfffe0f00u
#define TYPE_LDT 2u
#define TYPE_TSS16_BUSY 3u
#define TYPE_TSS_BUSY 11u
#define V86_LIMIT 0xffffu
#define V86_AR 0xf3u

struct segment {
	uint32_t n; /* as in encodings: ES CS SS DS FS GS LDTR TR */
	uint64_t sel, base, limit;
	uint32_t ar;
};

struct mode {
	bool ia32e, v86, unrestricted, real;
};

static uint64_t get(const struct vmx_check *k, uint32_t field)
{
	return k->read(k->arg, field);
}

static struct segment load(const struct vmx_check *k, uint32_t n)
{
	return (struct segment){n, get(k, VMCS_GUEST_ES_SEL + 2 * n), get(k, VMCS_GUEST_ES_BASE + 2 * n),
	    get(k, VMCS_GUEST_ES_LIMIT + 2 * n), (uint32_t)get(k, VMCS_GUEST_ES_AR + 2 * n)};
}

static bool found(const struct vmx_check *k, struct vmx_finding *out, uint32_t field, const char *rule)
{
	*out = (struct vmx_finding){rule, field, get(k, field)};
	return true;
}

#define MUST(holds, part, rule)                                                     \
	do {                                                                        \
		if (!(holds))                                                       \
			return found(k, out, VMCS_GUEST_ES_##part + 2 * s.n, rule); \
	} while (0)

static bool usable(const struct segment *s)
{
	return !(s->ar & SEG_UNUSABLE);
}

static unsigned dpl(const struct segment *s)
{
	return s->ar >> SEG_DPL_SHIFT & 3;
}

static bool canonical(uint64_t la)
{
	return (uint64_t)((int64_t)(la << 16) >> 16) == la;
}

/* A limit that is not a multiple of 4 KiB less one cannot be in pages, one above 1 MiB cannot be in bytes. */
static bool limit_fits(const struct segment *s)
{
	return !((s->limit & 0xfff) != 0xfff && (s->ar & SEG_G)) && !((s->limit >> 20) && !(s->ar & SEG_G));
}

static bool check_v86(const struct vmx_check *k, struct vmx_finding *out, const struct segment s)
{
	MUST(s.base == s.sel << 4, BASE, "in virtual-8086 mode the base is the selector times 16");
	MUST(s.limit == V86_LIMIT, LIMIT, "in virtual-8086 mode the limit is FFFFH");
	MUST(s.ar == V86_AR, AR, "in virtual-8086 mode the access rights are F3H");
	return false;
}

static bool check_code(const struct vmx_check *k, struct vmx_finding *out, const struct segment s, const struct mode *m)
{
	uint32_t type = s.ar & SEG_TYPE, ss_ar = (uint32_t)get(k, VMCS_GUEST_SS_AR);
	unsigned ss_dpl = ss_ar >> SEG_DPL_SHIFT & 3;

	MUST((type & 9) == 9 || (type == 3 && m->unrestricted), AR,
	    "CS is accessed code, or (unrestricted guest) accessed writable data");
	MUST(type != 3 || dpl(&s) == 0, AR, "CS of data type has DPL 0");
	MUST((type & 0xd) != 9 || dpl(&s) == ss_dpl, AR, "the DPL of a non-conforming CS equals that of SS");
	MUST((type & 0xd) != 0xd || dpl(&s) <= ss_dpl, AR, "the DPL of a conforming CS is not above that of SS");
	MUST(!(m->ia32e && (s.ar & SEG_L)) || !(s.ar & SEG_DB), AR, "a 64-bit CS has D = 0");
	return false;
}

static bool check_stack(
    const struct vmx_check *k, struct vmx_finding *out, const struct segment s, const struct mode *m)
{
	uint32_t type = s.ar & SEG_TYPE, cs_ar = (uint32_t)get(k, VMCS_GUEST_CS_AR);

	MUST(!usable(&s) || type == 3 || type == 7, AR, "SS is accessed writable data");
	MUST(m->unrestricted || dpl(&s) == (s.sel & 3), AR, "the DPL of SS equals its RPL");
	MUST(!((cs_ar & SEG_TYPE) == 3 || m->real) || dpl(&s) == 0, AR,
	    "in real mode, and with CS of data type, the DPL of SS is 0");
	return false;
}

static bool check_data(const struct vmx_check *k, struct vmx_finding *out, const struct segment s, const struct mode *m)
{
	uint32_t type = s.ar & SEG_TYPE;

	MUST(type & 1, AR, "a usable data segment is accessed");
	MUST(!(type & 8) || (type & 2), AR, "a code segment in a data register is readable");
	MUST(m->unrestricted || type > 11 || dpl(&s) >= (s.sel & 3), AR,
	    "the DPL of a data segment is not below its RPL");
	return false;
}

static bool check_descriptor(const struct vmx_check *k, struct vmx_finding *out, const struct segment s, bool system)
{
	MUST(!(s.ar & SEG_S) == system, AR,
	    system ? "LDTR and TR are system segments" : "this is no system segment (S = 1)");
	MUST(s.ar & SEG_P, AR, "a usable segment is present");
	MUST(!(s.ar & AR_RESERVED), AR, "reserved bits of the access rights must be 0");
	MUST(limit_fits(&s), AR, "granularity must fit the limit");
	return false;
}

static bool check_one(const struct vmx_check *k, struct vmx_finding *out, uint32_t n, const struct mode *m)
{
	const struct segment s = load(k, n);
	bool wide = n == X86_CS || n == X86_FS || n == X86_GS;

	if (m->v86)
		return check_v86(k, out, s);
	if (n == X86_CS && check_code(k, out, s, m))
		return true;
	if (n == X86_SS && check_stack(k, out, s, m))
		return true;
	if (n == X86_FS || n == X86_GS)
		MUST(canonical(s.base), BASE, "the base of FS and GS must be canonical");
	if (n != X86_CS && !usable(&s))
		return false;
	if (n != X86_CS && n != X86_SS && check_data(k, out, s, m))
		return true;
	MUST((wide && n != X86_CS) || !(s.base >> 32), BASE, "bits 63:32 of this base must be 0");
	return check_descriptor(k, out, s, false);
}

static bool check_tr(const struct vmx_check *k, struct vmx_finding *out, const struct mode *m)
{
	const struct segment s = load(k, 7);
	uint32_t type = s.ar & SEG_TYPE;

	MUST(!(s.sel & 4), SEL, "TR is in the GDT");
	MUST(usable(&s), AR, "TR is usable");
	MUST(type == TYPE_TSS_BUSY || (type == TYPE_TSS16_BUSY && !m->ia32e), AR,
	    "TR is a busy TSS (64-bit in IA-32e mode)");
	MUST(canonical(s.base), BASE, "the base of TR must be canonical");
	return check_descriptor(k, out, s, true);
}

static bool check_ldtr(const struct vmx_check *k, struct vmx_finding *out)
{
	const struct segment s = load(k, 6);

	if (!usable(&s))
		return false;
	MUST(!(s.sel & 4), SEL, "LDTR is in the GDT");
	MUST((s.ar & SEG_TYPE) == TYPE_LDT, AR, "LDTR has the type of an LDT");
	MUST(canonical(s.base), BASE, "the base of LDTR must be canonical");
	return check_descriptor(k, out, s, true);
}

bool vmx_check_segments(const struct vmx_check *k, struct vmx_finding *out)
{
	const struct mode m = {.ia32e = get(k, VMCS_ENTRY_CONTROLS) & ENTRY_IA32E,
	    .v86 = get(k, VMCS_GUEST_RFLAGS) & FLAG_VM,
	    .unrestricted = get(k, VMCS_PROC2_CONTROLS) & PROC2_UNRESTRICTED,
	    .real = !(get(k, VMCS_GUEST_CR0) & CR0_PE)};

	if (check_tr(k, out, &m) || check_ldtr(k, out))
		return true;
	for (uint32_t n = 0; n < X86_SREG_COUNT; n++)
		if (check_one(k, out, n, &m))
			return true;
	return false;
}
