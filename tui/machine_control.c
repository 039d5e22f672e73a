/* Control registers with their bits by name, debug registers, and the MSRs that are state of the CPU. */
#include <stdio.h>

#include "tui/machine.h"

static const char *const cr0_bits[] = {[0] = "PE",
    [1] = "MP",
    [2] = "EM",
    [3] = "TS",
    [4] = "ET",
    [5] = "NE",
    [16] = "WP",
    [18] = "AM",
    [29] = "NW",
    [30] = "CD",
    [31] = "PG"};
static const char *const cr4_bits[] = {"VME", "PVI", "TSD", "DE", "PSE", "PAE", "MCE", "PGE", "PCE", "OSFXSR",
    "OSXMMEXCPT", "UMIP", "LA57", "VMXE", "SMXE", NULL, "FSGSBASE", "PCIDE", "OSXSAVE", NULL, "SMEP", "SMAP", "PKE"};
static const char *const efer_bits[] = {[0] = "SCE", [8] = "LME", [10] = "LMA", [11] = "NXE"};
static const char *const xcr0_bits[] = {"x87", "SSE", "AVX", "BNDREGS", "BNDCSR"};
static const char *const dr6_bits[] = {[0] = "B0", "B1", "B2", "B3", [13] = "BD", "BS", "BT"};
static const char *const apic_base_bits[] = {[8] = "BSP", [10] = "x2APIC", [11] = "enabled"};
static const char *const mtrr_bits[] = {[10] = "fixed", [11] = "enabled"};

struct named {
	const char *name;
	size_t at; /* in struct x86_state */
	uint8_t digits;
	const char *const *bits;
	unsigned n_bits;
	bool address;
	const char *text;
};
#define IN(field) offsetof(struct x86_state, field)
#define BITS(table) (table), ARRAY_LEN(table)

static uint64_t field(const struct x86_state *s, size_t at)
{
	return *(const uint64_t *)(const void *)((const char *)s + at);
}

static void add_named(const struct machine_state *m, struct machine_rows *out, const struct named *n)
{
	uint64_t v = field(&m->s, n->at);
	struct machine_row *row = machine_row_add(out, n->name, v, n->digits);

	row->changed = m->has_before && field(&m->before, n->at) != v;
	row->address = n->address && v;
	if (n->bits)
		machine_bit_names(v, n->bits, n->n_bits, row->text, sizeof row->text);
	else
		machine_row_text(row, "%s", n->text ? n->text : "");
}

static const struct named control[] = {
    {"CR0", IN(cr0), 16, BITS(cr0_bits), false, NULL},
    {"CR2", IN(cr2), 16, NULL, 0, true, "linear address of the last page fault"},
    {"CR3", IN(cr3), 16, NULL, 0, false, NULL},
    {"CR4", IN(cr4), 16, BITS(cr4_bits), false, NULL},
    {"CR8", IN(cr8), 16, NULL, 0, false, "task priority"},
    {"EFER", IN(efer), 16, BITS(efer_bits), false, NULL},
    {"XCR0", IN(xcr0), 16, BITS(xcr0_bits), false, NULL},
    {"DR0", IN(dr[0]), 16, NULL, 0, true, NULL},
    {"DR1", IN(dr[1]), 16, NULL, 0, true, NULL},
    {"DR2", IN(dr[2]), 16, NULL, 0, true, NULL},
    {"DR3", IN(dr[3]), 16, NULL, 0, true, NULL},
    {"DR6", IN(dr6), 16, NULL, 0, false, NULL},
    {"DR7", IN(dr7), 16, NULL, 0, false, NULL},
};

static void explain_cr3(const struct x86_state *s, struct machine_row *row)
{
	machine_row_text(row, "table at 0x%llx, %s", (unsigned long long)(s->cr3 & X86_PHYS_MASK & ~0xfffull),
	    pagewalk_mode_name(x86_paging_mode(s)));
	row->physical = true;
}

static void explain_dr7(const struct x86_state *s, struct machine_row *row)
{
	static const char *const kind[] = {"execute", "write", "I/O", "access"};
	size_t at = 0;

	for (unsigned n = 0; n < 4; n++)
		if (s->dr7 >> (2 * n) & 3)
			at += (size_t)snprintf(row->text + at, sizeof row->text - at, "%sDR%u %s", at ? ", " : "", n,
			    kind[s->dr7 >> (16 + 4 * n) & 3]);
	if (!at)
		machine_row_text(row, "no breakpoint of the guest's own");
}

static void fill_events(const struct machine_state *m, struct machine_rows *out)
{
	static const char *const shadow[] = {"after STI", "after MOV SS", "in SMI", "NMI in service"};
	struct machine_row *row = machine_row_add(out, "blocking", m->s.intr_shadow, 2);

	machine_bit_names(m->s.intr_shadow, shadow, ARRAY_LEN(shadow), row->text, sizeof row->text);
	if (!m->s.intr_shadow)
		machine_row_text(row, "none; RFLAGS.IF = %u", (unsigned)(m->s.rflags >> 9 & 1));
	row = machine_row_add(out, "injected", m->s.pending_event, 8);
	if (m->s.pending_event & 1u << 31)
		machine_row_text(row, "vector %u waits for its delivery", (unsigned)m->s.pending_event & 0xff);
	else
		machine_row_text(row, "no event waits");
}

void machine_fill_control(struct machine_state *m, struct vm *vm, struct view_model *model, struct machine_rows *out)
{
	(void)vm, (void)model;
	for (unsigned i = 0; i < ARRAY_LEN(control); i++) {
		add_named(m, out, &control[i]);
		if (control[i].at == IN(cr3))
			explain_cr3(&m->s, &out->row[out->n - 1]);
		if (control[i].at == IN(dr6)) /* the other bits are fixed */
			machine_bit_names(m->s.dr6 & 0xe00f, dr6_bits, ARRAY_LEN(dr6_bits), out->row[out->n - 1].text,
			    sizeof out->row[0].text);
		if (control[i].at == IN(dr7))
			explain_dr7(&m->s, &out->row[out->n - 1]);
	}
	if (x86_paging_mode(&m->s) == X86_PAGING_PAE)
		for (unsigned n = 0; n < 4; n++) {
			struct machine_row *row = machine_row_add(out, "PDPTE", m->s.pdpte[n], 16);

			machine_row_text(row, "%u: %s", n, m->s.pdpte[n] & PTE_P ? "present" : "not present");
		}
	fill_events(m, out);
}

static const struct named msrs[] = {
    {"APIC_BASE", IN(apic_base), 16, BITS(apic_base_bits), false, NULL},
    {"MISC_ENABLE", IN(misc_enable), 16, NULL, 0, false, NULL},
    {"FS_BASE", IN(seg[X86_FS].base), 16, NULL, 0, true, NULL},
    {"GS_BASE", IN(seg[X86_GS].base), 16, NULL, 0, true, NULL},
    {"KERNEL_GS_BASE", IN(kernel_gs_base), 16, NULL, 0, true, "SWAPGS exchanges it with GS_BASE"},
    {"STAR", IN(star), 16, NULL, 0, false, "selectors of SYSCALL and SYSRET"},
    {"LSTAR", IN(lstar), 16, NULL, 0, true, "SYSCALL of 64-bit code goes here"},
    {"CSTAR", IN(cstar), 16, NULL, 0, true, NULL},
    {"FMASK", IN(fmask), 16, NULL, 0, false, "flags that SYSCALL clears"},
    {"SYSENTER_CS", IN(sysenter_cs), 16, NULL, 0, false, NULL},
    {"SYSENTER_ESP", IN(sysenter_esp), 16, NULL, 0, true, NULL},
    {"SYSENTER_EIP", IN(sysenter_eip), 16, NULL, 0, true, NULL},
    {"TSC_AUX", IN(tsc_aux), 16, NULL, 0, false, "what RDTSCP gives in ECX"},
    {"TSC offset", IN(tsc_offset), 16, NULL, 0, false, "added to the machine's TSC (the VMM's, no MSR)"},
    {"PAT", IN(pat), 16, NULL, 0, false, NULL},
    {"MTRR_DEF_TYPE", IN(mtrr_def_type), 16, BITS(mtrr_bits), false, NULL},
    {"MCG_STATUS", IN(mcg_status), 16, NULL, 0, false, NULL},
    {"BIOS_SIGN_ID", IN(bios_sign), 16, NULL, 0, false, NULL},
    {"FEATURE_CONTROL", IN(feature_control), 16, NULL, 0, false, NULL},
    {"DEBUGCTL", IN(debugctl), 16, NULL, 0, false, NULL},
};

static const char *memory_type(unsigned t)
{
	static const char *const names[] = {"UC", "WC", "?", "?", "WT", "WP", "WB", "UC-"};

	return names[t & 7];
}

static void explain_msr(const struct x86_state *s, size_t at, struct machine_row *row)
{
	char text[64];

	if (at == IN(pat)) {
		size_t used = 0;

		for (unsigned i = 0; i < 8; i++)
			used += (size_t)snprintf(row->text + used, sizeof row->text - used, "%s%s", i ? " " : "",
			    memory_type((unsigned)(s->pat >> (8 * i))));
	} else if (at == IN(mtrr_def_type)) {
		machine_bit_names(s->mtrr_def_type & ~7ull, mtrr_bits, ARRAY_LEN(mtrr_bits), text, sizeof text);
		machine_row_text(row, "%s %s", memory_type((unsigned)s->mtrr_def_type), text);
	} else if (at == IN(apic_base)) {
		machine_bit_names(s->apic_base & 0xfff, apic_base_bits, ARRAY_LEN(apic_base_bits), text, sizeof text);
		machine_row_text(row, "page 0x%llx, %s", (unsigned long long)(s->apic_base & 0xfffffff000ull), text);
	} else if (at == IN(star)) {
		machine_row_text(row, "SYSCALL CS %04x, SYSRET CS %04x", (unsigned)(s->star >> 32 & 0xffff),
		    (unsigned)(s->star >> 48 & 0xffff));
	}
}

static void fill_variable_mtrrs(const struct machine_state *m, struct machine_rows *out)
{
	for (unsigned n = 0; n < 8; n++) {
		uint64_t base = m->s.mtrr_var[2 * n], mask = m->s.mtrr_var[2 * n + 1];
		struct machine_row *row;

		if (!(mask & 1u << 11))
			continue;
		row = machine_row_add(out, "MTRR_PHYSBASE", base, 16);
		machine_row_text(
		    row, "%u: mask 0x%llx, %s", n, (unsigned long long)(mask & ~0xfffull), memory_type((unsigned)base));
	}
}

void machine_fill_msrs(struct machine_state *m, struct vm *vm, struct view_model *model, struct machine_rows *out)
{
	(void)vm, (void)model;
	for (unsigned i = 0; i < ARRAY_LEN(msrs); i++) {
		add_named(m, out, &msrs[i]);
		explain_msr(&m->s, msrs[i].at, &out->row[out->n - 1]);
	}
	fill_variable_mtrrs(m, out);
}
