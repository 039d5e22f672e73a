/*
 * struct vm_controls as AMD-V understands it, and back. Concept: a profile says which events the VMM wants; the
 * processor offers intercepts that are sometimes coarser. Coarser is safe (svm_exit.c sorts out what VT-x would not
 * have reported), finer has no counterpart; docs/svm-differences.md lists both.
 *
 * Read before: vmcb.h, core/controls.h.
 */
#include "core/lib.h"
#include "modes/virtualize/svm_priv.h"

#define MSR_BITS 2u /* an MSR has two bits: read, write */

/* MSR numbers that the map covers, 2048 bytes each [APM 2 "MSR Intercepts"]. A third range begins at c0010000; it has
 * no counterpart in a VMX bitmap and is always intercepted. */
static const uint32_t msr_ranges[] = {0, 0xc0000000u};

/* Of the MSR with this offset in range n. */
static uint8_t *msr_byte(uint8_t *map, unsigned n, uint32_t at, unsigned *shift)
{
	*shift = at % 4 * MSR_BITS;
	return map + n * 2048u + at / 4;
}

static void build_msrpm(const struct vm_controls *ctl, uint8_t *map)
{
	memset(map, 0xff, SVM_MSRPM_SIZE);
	for (unsigned n = 0; n < 2; n++)
		for (uint32_t at = 0; at < 0x2000; at++) {
			unsigned shift, keep;
			uint8_t *byte = msr_byte(map, n, at, &shift);

			keep = (controls_msr_exits(ctl, msr_ranges[n] + at, false) ? 1u : 0) |
			       (controls_msr_exits(ctl, msr_ranges[n] + at, true) ? 2u : 0);
			*byte = (uint8_t)((*byte & ~(3u << shift)) | keep << shift);
		}
}

static void build_iopm(const struct vm_controls *ctl, uint8_t *map)
{
	memset(map, 0xff, SVM_IOPM_SIZE);
	if (ctl->proc & PROC_IO_BITMAPS)
		memcpy(map, ctl->io_bitmap, sizeof(ctl->io_bitmap));
}

/* A control of a profile, and the intercept that stands for it. */
struct pair {
	uint32_t control, icpt;
};

static const struct pair proc_pairs[] = {
    {PROC_HLT_EXIT, SVM_ICPT_HLT},
    {PROC_INVLPG_EXIT, SVM_ICPT_INVLPG},
    {PROC_RDPMC_EXIT, SVM_ICPT_RDPMC},
    {PROC_RDTSC_EXIT, SVM_ICPT_RDTSC},
    {PROC_PAUSE_EXIT, SVM_ICPT_PAUSE},
};
static const struct pair proc_pairs2[] = {
    {PROC_RDTSC_EXIT, SVM_ICPT2_RDTSCP},
    {PROC_MWAIT_EXIT, SVM_ICPT2_MWAIT},
    {PROC_MONITOR_EXIT, SVM_ICPT2_MONITOR},
};
static const struct pair proc2_pairs[] = {{PROC2_DESC_TABLE_EXIT, SVM_ICPT_DESC_TABLES}};
static const struct pair pin_pairs[] = {{PIN_EXTINT_EXIT, SVM_ICPT_INTR}, {PIN_NMI_EXIT, SVM_ICPT_NMI}};

static uint32_t to_icpt(uint32_t controls, const struct pair *p, size_t n)
{
	uint32_t icpt = 0;

	for (size_t k = 0; k < n; k++)
		if (controls & p[k].control)
			icpt |= p[k].icpt;
	return icpt;
}

/* The controls of these pairs as the intercepts have them. */
static uint32_t from_icpt(uint32_t controls, uint32_t icpt, const struct pair *p, size_t n)
{
	for (size_t k = 0; k < n; k++)
		controls = (icpt & p[k].icpt) == p[k].icpt ? controls | p[k].control : controls & ~p[k].control;
	return controls;
}

static void program_registers(const struct vm_controls *ctl, struct vmcb_control *c)
{
	c->cr_read = (uint16_t)((ctl->proc & PROC_CR3_STORE_EXIT ? 1u << 3 : 0) |
				(ctl->proc & PROC_CR8_STORE_EXIT ? 1u << 8 : 0));
	c->cr_write =
	    (uint16_t)((ctl->cr0_mask ? 1u << 0 : 0) | (ctl->cr4_mask ? 1u << 4 : 0) |
		       (ctl->proc & PROC_CR3_LOAD_EXIT ? 1u << 3 : 0) | (ctl->proc & PROC_CR8_LOAD_EXIT ? 1u << 8 : 0));
	c->dr_read = c->dr_write = ctl->proc & PROC_MOV_DR_EXIT ? UINT16_MAX : 0;
}

/* May the guest's INVPCID run on the processor, by "enable INVPCID" and INVLPG exiting? */
static bool invpcid_runs(const struct vm_controls *ctl, const struct svm_features *f)
{
	return (f->cr4 & CR4_PCIDE) && (ctl->proc2 & PROC2_INVPCID) && !(ctl->proc & PROC_INVLPG_EXIT);
}

void svm_program_controls(
    const struct vm_controls *ctl, const struct svm_features *f, struct vmcb *b, uint8_t *iopm, uint8_t *msrpm)
{
	struct vmcb_control *c = &b->c;

	program_registers(ctl, c);
	/* #UD always: VMCALL and the VMX instructions are undefined here, and exit with a reason of their own there.
	 * NMI has an intercept of its own. */
	c->exceptions = (ctl->exceptions | 1u << VEC_UD) & ~(1u << VEC_NMI);
	c->icpt[0] = to_icpt(ctl->proc, proc_pairs, ARRAY_LEN(proc_pairs)) |
		     to_icpt(ctl->proc2, proc2_pairs, ARRAY_LEN(proc2_pairs)) |
		     to_icpt(ctl->pin, pin_pairs, ARRAY_LEN(pin_pairs)) | SVM_ICPT_CPUID | SVM_ICPT_INVD |
		     SVM_ICPT_INVLPGA | SVM_ICPT_IOIO | SVM_ICPT_MSR | SVM_ICPT_TASK_SWITCH | SVM_ICPT_SHUTDOWN;
	c->icpt[1] = to_icpt(ctl->proc, proc_pairs2, ARRAY_LEN(proc_pairs2)) | SVM_ICPT2_WBINVD | SVM_ICPT2_VMRUN |
		     SVM_ICPT2_VMLOAD | SVM_ICPT2_VMSAVE | SVM_ICPT2_STGI | SVM_ICPT2_CLGI | SVM_ICPT2_SKINIT |
		     SVM_ICPT2_XSETBV | (ctl->exceptions & 1u << VEC_DB ? SVM_ICPT2_ICEBP : 0);
	/* WBINVD always: QEMU's TCG takes INVD for it. */
	c->icpt[2] = f->invpcid && !invpcid_runs(ctl, f) ? SVM_ICPT3_INVPCID : 0;
	build_iopm(ctl, iopm);
	build_msrpm(ctl, msrpm);
	c->iopm = (uintptr_t)iopm;
	c->msrpm = (uintptr_t)msrpm;
	c->int_ctl = SVM_V_INTR_MASKING;
	c->np_enable = SVM_NP_ENABLE;
}

/* --- Read back, for the audit of resource control ---------------------------------------------------------------- */

static void read_msrpm(const struct vmcb *b, struct vm_controls *out)
{
	uint8_t *map = (uint8_t *)(uintptr_t)b->c.msrpm;

	memset(out->msr_bitmap, 0, sizeof(out->msr_bitmap));
	for (unsigned n = 0; n < 2; n++)
		for (uint32_t at = 0; at < 0x2000; at++) {
			unsigned shift, bits, bit = n * 8192 + at;

			bits = *msr_byte(map, n, at, &shift) >> shift & 3u;
			if (bits & 1)
				out->msr_bitmap[bit / 8] |= (uint8_t)(1u << bit % 8);
			bit += 2 * 8192;
			if (bits & 2)
				out->msr_bitmap[bit / 8] |= (uint8_t)(1u << bit % 8);
		}
}

static bool all_set(const uint8_t *p, size_t n)
{
	while (n--)
		if (*p++ != 0xff)
			return false;
	return true;
}

/* The permission maps are always in use here. They are reported as the profile has it: "every port", "every MSR", or
 * the bitmap. */
static void read_maps(const struct vmcb *b, struct vm_controls *out)
{
	const uint8_t *iopm = (const uint8_t *)(uintptr_t)b->c.iopm;

	memcpy(out->io_bitmap, iopm, sizeof(out->io_bitmap));
	read_msrpm(b, out);
	if (!(b->c.icpt[0] & SVM_ICPT_IOIO))
		out->proc &= ~(PROC_UNCOND_IO_EXIT | PROC_IO_BITMAPS);
	else if (!all_set(out->io_bitmap, sizeof(out->io_bitmap)))
		out->proc = (out->proc & ~PROC_UNCOND_IO_EXIT) | PROC_IO_BITMAPS;
	if (!(b->c.icpt[0] & SVM_ICPT_MSR) || !all_set(out->msr_bitmap, sizeof(out->msr_bitmap)))
		out->proc |= PROC_MSR_BITMAPS;
	if (!(b->c.icpt[0] & SVM_ICPT_MSR))
		memset(out->msr_bitmap, 0, sizeof(out->msr_bitmap));
}

static uint32_t bit_if(uint32_t controls, uint32_t bit, bool on)
{
	return on ? controls | bit : controls & ~bit;
}

void svm_read_controls(struct vcpu *v, struct vm_controls *out)
{
	const struct vmcb *b = svm_vcpu(v)->vmcb;
	const struct vmcb_control *c = &b->c;

	out->pin = from_icpt(out->pin, c->icpt[0], pin_pairs, ARRAY_LEN(pin_pairs));
	out->proc = from_icpt(out->proc, c->icpt[0], proc_pairs, ARRAY_LEN(proc_pairs));
	out->proc = from_icpt(out->proc, c->icpt[1], proc_pairs2 + 1, ARRAY_LEN(proc_pairs2) - 1);
	out->proc = bit_if(out->proc, PROC_CR3_LOAD_EXIT, c->cr_write & 1u << 3);
	out->proc = bit_if(out->proc, PROC_CR3_STORE_EXIT, c->cr_read & 1u << 3);
	out->proc = bit_if(out->proc, PROC_CR8_LOAD_EXIT, c->cr_write & 1u << 8);
	out->proc = bit_if(out->proc, PROC_CR8_STORE_EXIT, c->cr_read & 1u << 8);
	out->proc = bit_if(out->proc, PROC_MOV_DR_EXIT, c->dr_read == UINT16_MAX && c->dr_write == UINT16_MAX);
	out->proc2 = from_icpt(out->proc2, c->icpt[0], proc2_pairs, ARRAY_LEN(proc2_pairs));
	if (!(c->icpt[1] & SVM_ICPT2_WBINVD))
		out->proc2 &= ~PROC2_WBINVD_EXIT;
	out->proc2 = bit_if(out->proc2, PROC2_EPT, c->np_enable & SVM_NP_ENABLE);
	out->exceptions =
	    (c->exceptions & ~(1u << VEC_UD | 1u << VEC_NMI)) | (out->exceptions & (1u << VEC_UD | 1u << VEC_NMI));
	if (!(c->cr_write & 1u << 0))
		out->cr0_mask = 0;
	if (!(c->cr_write & 1u << 4))
		out->cr4_mask = 0;
	read_maps(b, out);
}

/* --- And everything else that was programmed --------------------------------------------------------------------- */

/* What the VMM changes while it runs: asking for an interrupt window, and the guest's own task priority. */
#define INT_CTL_RUNNING (SVM_V_TPR_MASK | SVM_V_IRQ | SVM_V_INTR_PRIO | SVM_V_IGN_TPR)

static bool same(const char *what, uint64_t want, uint64_t have, char *buf, size_t n)
{
	if (want == have)
		return true;
	fmt_snprintf(buf, n, "VMCB: %s is %#llx, and was programmed as %#llx", what, (unsigned long long)have,
	    (unsigned long long)want);
	return false;
}

static bool same_map(const char *what, uint64_t want, uint64_t have, size_t len, char *buf, size_t n)
{
	if (memcmp((const void *)(uintptr_t)want, (const void *)(uintptr_t)have, len) == 0)
		return true;
	fmt_snprintf(buf, n, "VMCB: the %s permission map differs from what was programmed", what);
	return false;
}

bool svm_same_program(const struct vmcb *have, const struct vmcb *want, char *buf, size_t n)
{
	const struct vmcb_control *a = &want->c, *b = &have->c;

	return same("intercepts of CR reads", a->cr_read, b->cr_read, buf, n) &&
	       same("intercepts of CR writes", a->cr_write, b->cr_write, buf, n) &&
	       same("intercepts of DR reads", a->dr_read, b->dr_read, buf, n) &&
	       same("intercepts of DR writes", a->dr_write, b->dr_write, buf, n) &&
	       same("intercepts of exceptions", a->exceptions, b->exceptions, buf, n) &&
	       same("first intercept vector", a->icpt[0], b->icpt[0] & ~SVM_ICPT_VINTR, buf, n) &&
	       same("second intercept vector", a->icpt[1], b->icpt[1], buf, n) &&
	       same("third intercept vector", a->icpt[2], b->icpt[2], buf, n) &&
	       same("virtual interrupt control", a->int_ctl, b->int_ctl & ~INT_CTL_RUNNING, buf, n) &&
	       same("nested paging control", a->np_enable, b->np_enable, buf, n) &&
	       same("N_CR3", a->n_cr3, b->n_cr3, buf, n) && same("ASID", a->asid, b->asid, buf, n) &&
	       same("AVIC_APIC_BAR", a->avic_bar, b->avic_bar, buf, n) &&
	       same("virtualization extensions", a->virt_ext, b->virt_ext, buf, n) &&
	       same_map("I/O", a->iopm, b->iopm, SVM_IOPM_SIZE, buf, n) &&
	       same_map("MSR", a->msrpm, b->msrpm, SVM_MSRPM_SIZE, buf, n);
}

/* The control block is built once more, from the profile, beside the one that the processor has. */
bool svm_programmed(struct vcpu *v, char *buf, size_t n)
{
	const struct host_ops *host = v->vm->cfg.host;
	const struct svm_vm *m = svm_vm(v->vm);
	const struct svm_vcpu *x = svm_vcpu(v);
	const size_t len = sizeof(struct vmcb) + SVM_IOPM_SIZE + SVM_MSRPM_SIZE;
	uint8_t *p = host->page_alloc(len);
	bool good;

	if (!p) {
		fmt_snprintf(buf, n, "no memory for the audit of the VMCB");
		return false;
	}
	struct vmcb *want = (void *)p;
	uint8_t *iopm = p + sizeof(*want);

	svm_program_controls(&v->vm->controls, &m->cpu, want, iopm, iopm + SVM_IOPM_SIZE);
	want->c.asid = x->asid;
	want->c.n_cr3 = (uintptr_t)m->npt.root;
	want->c.icpt[0] |= x->vmcb->c.icpt[0] & SVM_ICPT_IRET; /* while an NMI is being handled */
	if (x->cr4_hidden)
		want->c.cr_read |= 1u << 4;
	good = same("IOPM_BASE_PA", (uintptr_t)m->iopm, x->vmcb->c.iopm, buf, n) &&
	       same("MSRPM_BASE_PA", (uintptr_t)m->msrpm, x->vmcb->c.msrpm, buf, n) &&
	       svm_same_program(x->vmcb, want, buf, n);
	host->page_free(p, len);
	return good;
}
