/*
 * virtualize / Type II: the real CPU runs the guest, and the host's kernel owns the hardware. What this process has is
 * /dev/kvm: file descriptors for a VM and its vCPUs, memory slots that point into our own address space, and one page
 * shared with the kernel for each vCPU. KVM_RUN enters the guest and returns when the kernel cannot (or was told not
 * to) go on by itself: I/O, MMIO, HLT, shutdown, filtered MSRs. Everything else (CPUID, control registers, page-table
 * walks) happens below us; only tracepoints show it (tracer/kernel.h).
 *
 * There is no in-kernel interrupt controller: the one i8259 pair of core/dev serves every mode, and interrupts enter
 * by KVM_INTERRUPT when the guest can take them. So the point where an interrupt arrives is known here exactly.
 *
 * Read next: kvm_run.c (the entry), kvm_exit.c (what an exit means), kvm_state.c (registers both ways).
 */
#include "modes/virtualize/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/lib.h"
#include "modes/virtualize/kvm_priv.h"

/* Three pages for real mode on Intel CPUs without unrestricted guest, and one for its identity map: below the
 * firmware's megabyte, in the space where no slot and no device is. */
#define KVM_IDENTITY_ADDR 0xfeffc000ull
#define KVM_TSS_ADDR 0xfeffd000ull

struct kvm_need {
	int cap, least;
	const char *name;
};

/* What cannot be done without; all of it is older than Linux 5.10. */
static const struct kvm_need needs[] = {
    {KVM_CAP_USER_MEMORY, 1, "KVM_CAP_USER_MEMORY"},
    {KVM_CAP_READONLY_MEM, 1, "KVM_CAP_READONLY_MEM"},
    {KVM_CAP_EXT_CPUID, 1, "KVM_CAP_EXT_CPUID"},
    {KVM_CAP_SET_TSS_ADDR, 1, "KVM_CAP_SET_TSS_ADDR"},
    {KVM_CAP_IMMEDIATE_EXIT, 1, "KVM_CAP_IMMEDIATE_EXIT"},
    {KVM_CAP_SYNC_REGS, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS, "KVM_CAP_SYNC_REGS"},
    {KVM_CAP_VCPU_EVENTS, 1, "KVM_CAP_VCPU_EVENTS"},
    {KVM_CAP_DEBUGREGS, 1, "KVM_CAP_DEBUGREGS"},
    {KVM_CAP_XSAVE, 1, "KVM_CAP_XSAVE"},
    {KVM_CAP_SET_GUEST_DEBUG, 1, "KVM_CAP_SET_GUEST_DEBUG"},
    {KVM_CAP_X86_USER_SPACE_MSR, 1, "KVM_CAP_X86_USER_SPACE_MSR"},
    {KVM_CAP_X86_MSR_FILTER, 1, "KVM_CAP_X86_MSR_FILTER"},
};

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	int rc;

	do {
		rc = ioctl(fd, request, arg);
	} while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : rc;
}

static int kvm_ioctl_value(int fd, unsigned long request, unsigned long value)
{
	int rc = ioctl(fd, request, value);

	return rc < 0 ? -errno : rc;
}

static enum err kvm_open(int *fd, struct errmsg *why)
{
	*fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (*fd >= 0)
		return ERR_OK;
	switch (errno) {
	case ENOENT:
		return err_set(why, ERR_NODEV,
		    "no /dev/kvm: this kernel has no KVM, or the CPU's virtualization is hidden or switched off "
		    "(firmware setup, container without the device, cloud VM without nesting)");
	case EACCES:
	case EPERM:
		return err_set(why, ERR_NODEV,
		    "/dev/kvm may not be opened by this user: be root or join its group (usermod -aG kvm USER, then "
		    "log "
		    "in again)");
	case ENXIO:
	case ENODEV:
		return err_set(why, ERR_NODEV,
		    "/dev/kvm has no driver behind it: load kvm_intel or kvm_amd (modprobe), or enable virtualization "
		    "in "
		    "the firmware setup");
	default:
		return err_set(why, ERR_NODEV, "/dev/kvm cannot be opened: %s", strerror(errno));
	}
}

static enum err kvm_check(int fd, struct errmsg *why)
{
	int api = kvm_ioctl_value(fd, KVM_GET_API_VERSION, 0);

	if (api != KVM_API_VERSION)
		return err_set(why, ERR_NODEV, "/dev/kvm speaks API version %d, not %d: the kernel is too old", api,
		    KVM_API_VERSION);
	for (size_t i = 0; i < ARRAY_LEN(needs); i++) {
		int has = kvm_ioctl_value(fd, KVM_CHECK_EXTENSION, (unsigned long)needs[i].cap);

		if (has < 0 || (has & needs[i].least) != needs[i].least)
			return err_set(
			    why, ERR_NODEV, "the host's KVM lacks %s: Linux 5.10 or newer is needed", needs[i].name);
	}
	return ERR_OK;
}

static enum err kvm_probe(const struct host_ops *host, struct errmsg *why)
{
	int fd, vm_fd;
	enum err e = kvm_open(&fd, why);

	(void)host;
	if (e != ERR_OK)
		return e;
	e = kvm_check(fd, why);
	if (e == ERR_OK) {
		vm_fd = kvm_ioctl_value(fd, KVM_CREATE_VM, 0);
		if (vm_fd < 0)
			e = err_set(why, ERR_NODEV, "/dev/kvm opens, but no VM can be created: %s%s", strerror(-vm_fd),
			    vm_fd == -EBUSY ? " (another hypervisor holds the CPU)" : "");
		else
			close(vm_fd);
	}
	close(fd);
	return e;
}

/* A slot that the CPU may use directly: RAM (read and write pointer are the same) or read-only (they differ). */
static bool kvm_slot_wanted(const struct mem_slot *s, struct kvm_slot *out)
{
	*out = (struct kvm_slot){.gpa = s->gpa, .len = s->len, .host = s->read};
	if (s->write != s->read)
		out->flags = KVM_MEM_READONLY;
	out->present = s->read != NULL && s->len != 0;
	return out->present;
}

static enum err kvm_slot_set(
    struct kvm_vm *k, unsigned slot, const struct kvm_slot *s, uint64_t len, struct errmsg *why)
{
	struct kvm_userspace_memory_region r = {
	    .slot = slot,
	    .flags = (uint32_t)s->flags,
	    .guest_phys_addr = s->gpa,
	    .memory_size = len,
	    .userspace_addr = (uintptr_t)s->host,
	};
	int rc = kvm_ioctl(k->vm_fd, KVM_SET_USER_MEMORY_REGION, &r);

	if (rc < 0)
		return err_set(why, rc == -ENOMEM ? ERR_NOMEM : ERR_IO,
		    "the host's KVM refuses memory slot %u (guest %#llx, %llu bytes): %s", slot,
		    (unsigned long long)s->gpa, (unsigned long long)len, strerror(-rc));
	return ERR_OK;
}

/* KVM cannot change the flags of a slot in place: delete, then create. */
static enum err kvm_map(struct vm *vm, unsigned slot, struct errmsg *why)
{
	struct kvm_vm *k = kvm_of(vm);
	struct kvm_slot want, *have;
	enum err e;

	if (!k || slot >= MEM_SLOTS_MAX)
		return err_set(why, ERR_BUG, "memory slot %u mapped before the VM exists", slot);
	have = &k->slots[slot];
	kvm_slot_wanted(&vm->mem.slots[slot], &want);
	if (want.present == have->present && want.gpa == have->gpa && want.len == have->len &&
	    want.flags == have->flags && want.host == have->host)
		return ERR_OK;
	if (have->present) {
		e = kvm_slot_set(k, slot, have, 0, why);
		if (e != ERR_OK)
			return e;
		have->present = false;
	}
	if (want.present) {
		e = kvm_slot_set(k, slot, &want, want.len, why);
		if (e != ERR_OK)
			return e;
	}
	*have = want;
	return ERR_OK;
}

/*
 * Back from KVM's ranges to the layout of the profile: from here on vm->controls says what is in force, and the audit
 * of resource control holds that against the profile. What no range covers exits (default deny).
 */
static void kvm_msr_filter_read(const struct kvm_msr_filter *f, struct vm_controls *out)
{
	memset(out->msr_bitmap, f->flags & KVM_MSR_FILTER_DEFAULT_DENY ? 0xff : 0, sizeof out->msr_bitmap);
	for (unsigned i = 0; i < 4 * 0x2000u; i++) {
		bool write = i >= 2 * 0x2000u;
		uint32_t msr = i % 0x2000u + (i & 0x2000u ? 0xc0000000u : 0);

		for (unsigned j = 0; j < KVM_MSR_FILTER_MAX_RANGES; j++) {
			const struct kvm_msr_filter_range *r = &f->ranges[j];

			if (!(r->flags & (write ? KVM_MSR_FILTER_WRITE : KVM_MSR_FILTER_READ)) ||
			    msr - r->base >= r->nmsrs)
				continue;
			if (r->bitmap[(msr - r->base) / 8] >> (msr - r->base) % 8 & 1)
				out->msr_bitmap[i / 8] &= (uint8_t) ~(1u << i % 8);
			else
				out->msr_bitmap[i / 8] |= (uint8_t)(1u << i % 8);
			break;
		}
	}
}

/*
 * The profile's MSR bitmaps become KVM's filter: a bit that is set there exits, a bit that is set here stays in the
 * kernel. Everything outside the two ranges of the bitmaps exits [SDM 3C "MSR-Bitmap Address"].
 */
static int kvm_msr_filter_set(struct vm *vm, struct kvm_vm *k)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_X86_USER_SPACE_MSR, .args = {KVM_MSR_EXIT_REASON_FILTER}};
	struct kvm_msr_filter *f = &k->msr_filter;
	int rc = kvm_ioctl(k->vm_fd, KVM_ENABLE_CAP, &cap);

	if (rc < 0)
		return rc;
	*f = (struct kvm_msr_filter){.flags = KVM_MSR_FILTER_DEFAULT_DENY};
	for (unsigned i = 0; i < 4; i++) {
		for (unsigned j = 0; j < 1024; j++)
			k->msr_allow[i][j] = (uint8_t)~vm->controls.msr_bitmap[i * 1024 + j];
		f->ranges[i] = (struct kvm_msr_filter_range){
		    .flags = i < 2 ? KVM_MSR_FILTER_READ : KVM_MSR_FILTER_WRITE,
		    .base = i & 1 ? 0xc0000000u : 0,
		    .nmsrs = 0x2000,
		    .bitmap = k->msr_allow[i],
		};
	}
	rc = kvm_ioctl(k->vm_fd, KVM_X86_SET_MSR_FILTER, f);
	if (rc >= 0)
		kvm_msr_filter_read(f, &vm->controls);
	return rc;
}

/* Behaviour that old guests of KVM rely on and ours do not; and failures that would otherwise reach the guest as #UD.
 */
static void kvm_caps_tune(struct kvm_vm *k)
{
#ifdef KVM_CAP_DISABLE_QUIRKS2
	/* OUT to port 7e must not skip itself early, and VMCALL must not be rewritten in guest memory. */
	struct kvm_enable_cap quirks = {.cap = KVM_CAP_DISABLE_QUIRKS2};
	const unsigned long unwanted = KVM_X86_QUIRK_OUT_7E_INC_RIP
#ifdef KVM_X86_QUIRK_FIX_HYPERCALL_INSN
				       | KVM_X86_QUIRK_FIX_HYPERCALL_INSN
#endif
	    ;
	int mask = kvm_ioctl_value(k->dev_fd, KVM_CHECK_EXTENSION, KVM_CAP_DISABLE_QUIRKS2);

	quirks.args[0] = mask > 0 ? (unsigned long)mask & unwanted : 0;
	if (quirks.args[0])
		(void)kvm_ioctl(k->vm_fd, KVM_ENABLE_CAP, &quirks);
#endif
#ifdef KVM_CAP_EXIT_ON_EMULATION_FAILURE
	struct kvm_enable_cap fail = {.cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE, .args = {1}};

	if (kvm_ioctl_value(k->dev_fd, KVM_CHECK_EXTENSION, KVM_CAP_EXIT_ON_EMULATION_FAILURE) > 0)
		(void)kvm_ioctl(k->vm_fd, KVM_ENABLE_CAP, &fail);
#endif
}

static enum err kvm_vm_open(struct vm *vm, struct kvm_vm *k, struct errmsg *why)
{
	uint64_t identity = KVM_IDENTITY_ADDR;
	int rc;
	enum err e = kvm_open(&k->dev_fd, why);

	if (e != ERR_OK)
		return e;
	e = kvm_check(k->dev_fd, why);
	if (e != ERR_OK)
		return e;
	k->vm_fd = kvm_ioctl_value(k->dev_fd, KVM_CREATE_VM, 0);
	if (k->vm_fd < 0)
		return err_set(why, ERR_NODEV, "KVM_CREATE_VM: %s", strerror(-k->vm_fd));
	rc = kvm_ioctl(k->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (rc < 0)
		return err_set(why, ERR_IO, "KVM_SET_IDENTITY_MAP_ADDR: %s", strerror(-rc));
	rc = kvm_ioctl_value(k->vm_fd, KVM_SET_TSS_ADDR, KVM_TSS_ADDR);
	if (rc < 0)
		return err_set(why, ERR_IO, "KVM_SET_TSS_ADDR: %s", strerror(-rc));
	rc = kvm_msr_filter_set(vm, k);
	if (rc < 0)
		return err_set(why, ERR_IO, "KVM_X86_SET_MSR_FILTER: %s", strerror(-rc));
	kvm_caps_tune(k);
	rc = kvm_ioctl_value(k->dev_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (rc < (int)sizeof(struct kvm_run))
		return err_set(why, ERR_IO, "KVM_GET_VCPU_MMAP_SIZE: %d bytes", rc);
	k->run_size = (size_t)rc;
	k->has_xcrs = kvm_ioctl_value(k->dev_fd, KVM_CHECK_EXTENSION, KVM_CAP_XCRS) > 0;
	k->has_sregs2 = kvm_ioctl_value(k->dev_fd, KVM_CHECK_EXTENSION, KVM_CAP_SREGS2) > 0;
	return ERR_OK;
}

static enum err kvm_vcpu_open(struct vcpu *v, struct errmsg *why)
{
	struct kvm_vm *k = kvm_of(v->vm);
	struct kvm_vcpu *kv = v->vm->cfg.host->page_alloc(sizeof *kv);
	void *p;

	if (!kv)
		return err_set(why, ERR_NOMEM, "no memory for a vCPU");
	v->mode_priv = kv;
	kv->armed_ns = CLOCK_NEVER;
	kv->fd = kvm_ioctl_value(k->vm_fd, KVM_CREATE_VCPU, v->id);
	if (kv->fd < 0)
		return err_set(why, ERR_IO, "KVM_CREATE_VCPU %u: %s", v->id, strerror(-kv->fd));
	p = mmap(NULL, k->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, kv->fd, 0);
	if (p == MAP_FAILED)
		return err_set(why, ERR_IO, "the vCPU's shared page cannot be mapped: %s", strerror(errno));
	kv->run = p;
	kv->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	return kvm_cpuid_set(v, why);
}

/* The shared page's register copy is filled by an exit; before the first one, by ioctl. */
static enum err kvm_vcpu_prime(struct vcpu *v, struct errmsg *why)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	struct kvm_sync_regs *s = &kv->run->s.regs;
	int rc = kvm_ioctl(kv->fd, KVM_GET_REGS, &s->regs);

	if (rc == 0)
		rc = kvm_ioctl(kv->fd, KVM_GET_SREGS, &s->sregs);
	if (rc == 0)
		rc = kvm_ioctl(kv->fd, KVM_GET_VCPU_EVENTS, &s->events);
	if (rc < 0)
		return err_set(why, ERR_IO, "the vCPU's registers cannot be read: %s", strerror(-rc));
	v->dirty = DIRTY_ALL;
	v->state_valid = true;
	if (kvm_set_state(v) != ERR_OK)
		return err_set(why, ERR_IO, "the host's KVM refuses the reset state of vCPU %u", v->id);
	if (kvm_flush_regs(kv) != ERR_OK)
		return err_set(why, ERR_IO, "the host's KVM refuses the reset registers of vCPU %u", v->id);
	kvm_cpuid_learn(v); /* some bits follow the registers */
	return ERR_OK;
}

/* From what was given to the kernel, not from what should have been. */
static size_t kvm_mappings(struct vm *vm, struct mode_mapping *out, size_t max)
{
	const struct kvm_vm *k = kvm_of(vm);
	size_t n = 0;

	for (unsigned i = 0; k && i < MEM_SLOTS_MAX; i++) {
		const struct kvm_slot *s = &k->slots[i];

		if (!s->present)
			continue;
		if (n < max)
			out[n] = (struct mode_mapping){
			    .gpa = s->gpa, .len = s->len, .host = s->host, .write = !(s->flags & KVM_MEM_READONLY)};
		n++;
	}
	return n;
}

static void kvm_vm_fini(struct vm *vm)
{
	struct kvm_vm *k = kvm_of(vm);

	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		struct kvm_vcpu *kv = kvcpu_of(&vm->vcpus[i]);

		if (!kv)
			continue;
		kvm_timer_fini(&vm->vcpus[i]);
		if (kv->run)
			munmap(kv->run, k->run_size);
		if (kv->fd > 0)
			close(kv->fd);
		vm->cfg.host->page_free(kv, sizeof *kv);
		vm->vcpus[i].mode_priv = NULL;
	}
	if (!k)
		return;
	if (k->vm_fd > 0)
		close(k->vm_fd);
	if (k->dev_fd > 0)
		close(k->dev_fd);
	vm->cfg.host->page_free(k, sizeof *k);
	vm->mode_priv = NULL;
}

static enum err kvm_vm_init(struct vm *vm, struct errmsg *why)
{
	struct kvm_vm *k = vm->cfg.host->page_alloc(sizeof *k);
	enum err e;

	if (!k)
		return err_set(why, ERR_NOMEM, "no memory for the VM");
	vm->mode_priv = k;
	e = kvm_vm_open(vm, k, why);
	if (e == ERR_OK && !kvm_lends_pcid(k->dev_fd))
		vm_without_pcid(vm);
	for (unsigned i = 0; e == ERR_OK && i < vm->mem.n_slots; i++)
		e = kvm_map(vm, i, why);
	for (unsigned i = 0; e == ERR_OK && i < vm->n_vcpus; i++)
		e = kvm_vcpu_open(&vm->vcpus[i], why);
	if (e == ERR_OK)
		e = kvm_state_init(vm, why);
	for (unsigned i = 0; e == ERR_OK && i < vm->n_vcpus; i++)
		e = kvm_vcpu_prime(&vm->vcpus[i], why);
	return e;
}

const struct mode_ops mode_virtualize_type2_ops = {
    .name = "virtualize",
    .engine = "kvm",
    .mode = MODE_VIRTUALIZE,
    .type = VMM_TYPE_II,
    .caps = MODE_CAP_COMPLETES | MODE_CAP_HOST_TIME | MODE_CAP_STEP_INSN | MODE_CAP_BREAK_DR,
    .profiles = PROFILE_KVM,
    .default_profile = "kvm-user",
    .probe = kvm_probe,
    .vm_init = kvm_vm_init,
    .vm_fini = kvm_vm_fini,
    .map = kvm_map,
    .get_state = kvm_get_state,
    .set_state = kvm_set_state,
    .interruptible = kvm_interruptible,
    .inject = kvm_inject,
    .run = kvm_run_vcpu,
    .complete = kvm_complete,
    .mappings = kvm_mappings,
    .adjust_cpuid = kvm_adjust_cpuid,
    .kick = kvm_kick,
};

static bool module_loaded(const char *name)
{
	char path[64];

	fmt_snprintf(path, sizeof path, "/sys/module/%s", name);
	return access(path, F_OK) == 0;
}

void kvm_facts_read(struct kvm_facts *f)
{
	static const char *const modules[] = {"kvm_pvm", "kvm_intel", "kvm_amd"};
	int fd;

	memset(f, 0, sizeof *f);
	f->present = access("/dev/kvm", F_OK) == 0;
	for (size_t i = 0; i < ARRAY_LEN(modules); i++)
		if (module_loaded(modules[i]) && !f->module[0])
			fmt_snprintf(f->module, sizeof f->module, "%s", modules[i]);
	f->emulates = strcmp(f->module, "kvm_pvm") == 0;
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	f->permitted = true;
	f->api = kvm_ioctl_value(fd, KVM_GET_API_VERSION, 0);
	f->memory_slots = kvm_ioctl_value(fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
	f->sync_regs = kvm_ioctl_value(fd, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS);
	f->msr_filter = kvm_ioctl_value(fd, KVM_CHECK_EXTENSION, KVM_CAP_X86_MSR_FILTER) > 0;
	f->readonly_mem = kvm_ioctl_value(fd, KVM_CHECK_EXTENSION, KVM_CAP_READONLY_MEM) > 0;
	f->immediate_exit = kvm_ioctl_value(fd, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) > 0;
	f->xsave = kvm_ioctl_value(fd, KVM_CHECK_EXTENSION, KVM_CAP_XCRS) > 0;
	f->pcid = kvm_lends_pcid(fd);
	f->guest_debug = kvm_ioctl_value(fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG) > 0;
	close(fd);
}
