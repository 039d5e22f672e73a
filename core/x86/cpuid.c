/*
 * The one CPUID model of the project, the same in every mode and on every host: guests, traces and lockstep depend on
 * it.
 *
 * Concept: CPUID is the contract between a CPU and its software, and the first thing a VMM takes into its own hands. A
 * bit is set only where the executor does what the bit promises [SDM 2A "CPUID--CPU Identification"]. The processor
 * named here (GenuineIntel, family 6, model 7AH: a Goldmont Plus of 2017) is of level x86-64-v2 without AVX, as ours
 * is.
 */
#include "core/lib.h"
#include "core/x86/access.h"

#define SIGNATURE 0x000706a1u /* family 6, model 7AH, stepping 1 */
#define BRAND "vmscope virtual CPU, level x86-64-v2"
#define HYPERVISOR "vmscopevmsco" /* leaf 40000000H: EBX, ECX, EDX */
#define APIC_BASE_EN (1u << 11)
#define ADDRESS_BITS 0x3028u /* 48 linear, 40 physical */

enum {
	/* leaf 1 EDX */
	F_FPU = 1u << 0,
	F_DE = 1u << 2,
	F_PSE = 1u << 3,
	F_TSC = 1u << 4,
	F_MSR = 1u << 5,
	F_PAE = 1u << 6,
	F_MCE = 1u << 7,
	F_CX8 = 1u << 8,
	F_APIC = 1u << 9,
	F_SEP = 1u << 11,
	F_MTRR = 1u << 12,
	F_PGE = 1u << 13,
	F_MCA = 1u << 14,
	F_CMOV = 1u << 15,
	F_PAT = 1u << 16,
	F_CLFSH = 1u << 19,
	F_MMX = 1u << 23,
	F_FXSR = 1u << 24,
	F_SSE = 1u << 25,
	F_SSE2 = 1u << 26,
	F_HTT = 1u << 28,
	/* leaf 1 ECX */
	F_SSE3 = 1u << 0,
	F_PCLMULQDQ = 1u << 1,
	F_SSSE3 = 1u << 9,
	F_CX16 = 1u << 13,
	F_PCID = 1u << 17,
	F_SSE41 = 1u << 19,
	F_SSE42 = 1u << 20,
	F_X2APIC = 1u << 21,
	F_MOVBE = 1u << 22,
	F_POPCNT = 1u << 23,
	F_TSC_DEADLINE = 1u << 24,
	F_AES = 1u << 25,
	F_XSAVE = 1u << 26,
	F_OSXSAVE = 1u << 27,
	/* leaf 7 EBX, ECX, EDX */
	F_FSGSBASE = 1u << 0,
	F_FDP_EXCPTN_ONLY = 1u << 6, /* the x87 data pointer is written only with an unmasked exception */
	F_SMEP = 1u << 7,
	F_INVPCID = 1u << 10,
	F_NO_FCS_FDS = 1u << 13, /* the x87 selectors are stored as 0 */
	F_SMAP = 1u << 20,
	F_UMIP = 1u << 2,
	F_ARCH_CAPABILITIES = 1u << 29,
	/* leaf DH, subleaf 1, EAX */
	F_XSAVEOPT = 1u << 0,
	/* leaf 80000001H ECX, EDX */
	F_LAHF = 1u << 0,
	F_SYSCALL = 1u << 11,
	F_NX = 1u << 20,
	F_PAGE1G = 1u << 26,
	F_RDTSCP = 1u << 27,
	F_LM = 1u << 29,
};
#define F_HYPERVISOR (1u << 31) /* leaf 1 ECX */

struct leaf {
	uint32_t leaf, subleaf, out[4]; /* EAX, EBX, ECX, EDX */
};

/* Leaves not listed give zeros; a leaf above the largest basic one gives the largest basic one's, as Intel's do. */
static const struct leaf model[] = {
    {0x0, 0, {0xd, 0x756e6547, 0x6c65746e, 0x49656e69}}, /* "GenuineIntel" */
    {0x1, 0,
	{SIGNATURE, 0x00000800,
	    F_SSE3 | F_PCLMULQDQ | F_SSSE3 | F_CX16 | F_PCID | F_SSE41 | F_SSE42 | F_X2APIC | F_MOVBE | F_POPCNT |
		F_TSC_DEADLINE | F_AES | F_XSAVE | F_HYPERVISOR,
	    F_FPU | F_APIC | F_DE | F_PSE | F_TSC | F_MSR | F_PAE | F_MCE | F_CX8 | F_SEP | F_MTRR | F_PGE | F_MCA |
		F_CMOV | F_PAT | F_CLFSH | F_MMX | F_FXSR | F_SSE | F_SSE2}},
    {0x2, 0, {0x00ff0001, 0, 0, 0}},		  /* see leaf 4 */
    {0x4, 0, {0x00000121, 0x0140003f, 0x3f, 0}},  /* L1 data, 24 KiB, 6 ways */
    {0x4, 1, {0x00000122, 0x01c0003f, 0x3f, 0}},  /* L1 code, 32 KiB, 8 ways */
    {0x4, 2, {0x00000143, 0x03c0003f, 0xfff, 0}}, /* L2, 4 MiB, 16 ways */
    {0x7, 0,
	{0, F_FSGSBASE | F_FDP_EXCPTN_ONLY | F_SMEP | F_INVPCID | F_NO_FCS_FDS | F_SMAP, F_UMIP, F_ARCH_CAPABILITIES}},
    {0xb, 0, {0, 1, 1u << 8, 0}},     /* one thread a core */
    {0xb, 1, {0, 0, 2u << 8 | 1, 0}}, /* cores: filled in below */
    {0xd, 0, {0x3, 0x240, 0x240, 0}}, /* x87 and SSE state: legacy area and header */
    {0xd, 1, {F_XSAVEOPT, 0, 0, 0}},
    {0x40000000, 0, {0x40000001, 0, 0, 0}}, /* the signature is filled in below */
    {0x40000001, 0, {0, 0, 0, 0}},	    /* features of KVM, whose guests ask without looking: none */
    {0x80000000, 0, {0x80000008, 0, 0, 0}},
    {0x80000001, 0, {0, 0, F_LAHF, F_SYSCALL | F_NX | F_PAGE1G | F_RDTSCP | F_LM}},
    {0x80000006, 0, {0, 0, 0x10008040, 0}}, /* L2: 4 MiB, 16 ways, lines of 64 */
    {0x80000007, 0, {0, 0, 0, 1u << 8}},    /* the TSC is invariant */
    {0x80000008, 0, {ADDRESS_BITS, 0, 0, 0}},
    {0x80000002, 0, {0, 0, 0, 0}}, /* the brand string, filled in below */
    {0x80000003, 0, {0, 0, 0, 0}},
    {0x80000004, 0, {0, 0, 0, 0}},
};

static uint32_t letters(const char *s, size_t n, size_t at)
{
	uint32_t v = 0;

	for (size_t k = 0; k < 4; k++)
		if (at + k < n)
			v |= (uint32_t)(uint8_t)s[at + k] << (8 * k);
	return v;
}

static void text_leaf(uint32_t leaf, uint32_t out[4])
{
	if (leaf == 0x40000000) {
		for (size_t k = 0; k < 3; k++)
			out[1 + k] = letters(HYPERVISOR, sizeof(HYPERVISOR) - 1, 4 * k);
	} else if (leaf >= 0x80000002 && leaf <= 0x80000004) {
		for (size_t k = 0; k < 4; k++)
			out[k] = letters(BRAND, sizeof(BRAND) - 1, 16 * (leaf - 0x80000002) + 4 * k);
	}
}

static bool has_subleaves(uint32_t leaf)
{
	return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd;
}

/* Bits of an APIC ID that number the cores. */
static unsigned id_bits(unsigned cpus)
{
	unsigned n = 0;

	while (1u << n < cpus)
		n++;
	return n;
}

/* Which CPU this is, and of how many: each one a core of one package. */
static void topology(const struct x86_cpu *c, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	uint32_t cpus = c->n_cpus ? c->n_cpus : 1;

	if (leaf == 1) {
		out[1] |= c->apic_id << 24 | cpus << 16;
		if (cpus > 1)
			out[3] |= F_HTT;
		if (!(c->s.apic_base & APIC_BASE_EN))
			out[3] &= ~(uint32_t)F_APIC;
	} else if (leaf == 4 && out[0]) {
		out[0] |= ((1u << id_bits(cpus)) - 1) << 26;
	} else if (leaf == 0xb) {
		out[3] = c->apic_id;
		if (subleaf == 1) {
			out[0] = id_bits(cpus);
			out[1] = cpus;
		} else if (subleaf > 1) {
			out[2] = subleaf & 0xff;
		}
	}
}

/* What is missing below is missing here: a guest that asks is told so. */
static void hide_lacking(const struct x86_cpu *c, uint32_t leaf, uint32_t out[4])
{
	if (!c->no_pcid)
		return;
	if (leaf == 1)
		out[2] &= ~(uint32_t)F_PCID;
	else if (leaf == 7)
		out[1] &= ~(uint32_t)F_INVPCID;
}

void x86_cpuid(const struct x86_cpu *c, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	if ((leaf > model[0].out[0] && leaf < 0x40000000) || (leaf > 0x40000001 && leaf < 0x80000000) ||
	    leaf > 0x80000008)
		leaf = model[0].out[0];
	memset(out, 0, 4 * sizeof(out[0]));
	for (size_t k = 0; k < ARRAY_LEN(model); k++) {
		if (model[k].leaf != leaf || (has_subleaves(leaf) && model[k].subleaf != subleaf))
			continue;
		memcpy(out, model[k].out, sizeof(model[k].out));
		text_leaf(leaf, out);
		if (leaf == 1 && (c->s.cr4 & CR4_OSXSAVE))
			out[2] |= F_OSXSAVE;
		break;
	}
	topology(c, leaf, subleaf, out);
	hide_lacking(c, leaf, out);
}

bool x86_cpuid_lacks(const struct x86_cpu *c, uint32_t leaf)
{
	return c->no_pcid && (leaf == 1 || leaf == 7);
}

size_t x86_cpuid_leaves(uint32_t leaves[][2], size_t max)
{
	size_t n = ARRAY_LEN(model) < max ? ARRAY_LEN(model) : max;

	for (size_t k = 0; k < n; k++) {
		leaves[k][0] = model[k].leaf;
		leaves[k][1] = model[k].subleaf;
	}
	return n;
}
