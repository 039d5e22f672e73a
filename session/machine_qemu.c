/*
 * QEMU: the fast machine. With KVM on a host that lets its guests have VT-x or AMD-V (nested virtualization) it is a
 * machine at the CPU's own speed; otherwise its software CPU has AMD-V, but no VT-x.
 *
 * The serial line is one end of a socket pair that QEMU inherits: no name, no port, and its end of file is the death of
 * the machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "session/machine.h"

#define PROGRAM "qemu-system-x86_64"

enum accel { ACCEL_TCG, ACCEL_KVM_VMX, ACCEL_KVM_SVM };

static bool file_says_yes(const char *path)
{
	char c = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool yes = fd >= 0 && read(fd, &c, 1) == 1 && (c == 'Y' || c == 'y' || c == '1');
	if (fd >= 0)
		close(fd);
	return yes;
}

static enum accel accelerator(void)
{
	if (access("/dev/kvm", R_OK | W_OK))
		return ACCEL_TCG;
	if (file_says_yes("/sys/module/kvm_intel/parameters/nested"))
		return ACCEL_KVM_VMX;
	return file_says_yes("/sys/module/kvm_amd/parameters/nested") ? ACCEL_KVM_SVM : ACCEL_TCG;
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The guest's TSC is the host's, under KVM and under TCG. */
static uint64_t host_tsc_hz(void)
{
	static uint64_t hz;
	if (!hz) {
		uint64_t t0 = now_ns(), c0 = __builtin_ia32_rdtsc(), t1;
		while ((t1 = now_ns()) - t0 < 20000000)
			;
		hz = (uint64_t)((double)(__builtin_ia32_rdtsc() - c0) * 1e9 / (double)(t1 - t0));
	}
	return hz;
}

static const char *what_it_has(enum accel a)
{
	switch (a) {
	case ACCEL_KVM_VMX:
		return "nested KVM gives it VT-x";
	case ACCEL_KVM_SVM:
		return "nested KVM gives it AMD-V";
	case ACCEL_TCG:
	default:
		return "its software CPU has AMD-V";
	}
}

static int rank(const struct machine_want *w, enum accel a)
{
	if (w->mode != MODE_VIRTUALIZE)
		return 30;
	return a == ACCEL_KVM_VMX ? 30 : 10;
}

static enum err qemu_probe(const struct machine_want *w, struct machine_facts *f, struct errmsg *why)
{
	enum accel a = accelerator();
	if (!machine_program(PROGRAM))
		return err_set(why, ERR_NODEV, "QEMU is not installed: apt-get install qemu-system-x86");
	f->vmx = a == ACCEL_KVM_VMX;
	f->svm = a != ACCEL_KVM_VMX;
	if (w->mode == MODE_VIRTUALIZE && w->engine == ENGINE_VMX && !f->vmx)
		return err_set(why, ERR_NODEV,
		    "QEMU has no VT-x to offer here: /dev/kvm with nested VT-x is needed; --machine bochs has it");
	if (w->mode == MODE_VIRTUALIZE && w->engine == ENGINE_SVM && !f->svm)
		return err_set(why, ERR_NODEV, "QEMU with KVM has the host's VT-x here, not AMD-V");
	snprintf(f->cpu, sizeof f->cpu, "%s", a == ACCEL_TCG ? "max (TCG)" : "host (KVM)");
	snprintf(f->why, sizeof f->why, "%s", w->mode == MODE_VIRTUALIZE ? what_it_has(a) : "it is the faster one");
	f->tsc_hz = host_tsc_hz();
	f->clock_runs_on = true;
	f->rank = rank(w, a);
	return ERR_OK;
}

static enum err qemu_start(const struct machine_want *w, struct machine_run *m, struct errmsg *why)
{
	int pair[2];
	char memory[24], chardev[48];
	bool kvm = accelerator() != ACCEL_TCG;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return err_set(why, ERR_IO, "qemu: no socket for the serial line: %s", strerror(errno));
	int line = fcntl(pair[1], F_DUPFD_CLOEXEC, 10); /* above what the keeper uses itself */
	close(pair[1]);
	m->line = pair[0];
	snprintf(memory, sizeof memory, "%llu", (unsigned long long)((w->memory + 0xfffff) >> 20));
	snprintf(chardev, sizeof chardev, "socket,id=line,fd=%d", line);
	const char *argv[MACHINE_ARGS_MAX] = {PROGRAM, "-no-user-config", "-nodefaults", "-machine", "pc", "-accel",
	    kvm ? "kvm" : "tcg", "-cpu", kvm ? "host" : "max", "-m", memory, "-display", "none", "-vga", "none",
	    "-monitor", "none", "-nic", "none", "-no-reboot", "-boot", "c", "-chardev", chardev, "-serial",
	    "chardev:line", "-drive", "if=ide,index=0,format=raw,cache=unsafe,file=boot.img"};
	if (w->bulk_size) {
		unsigned n = 0;
		while (argv[n])
			n++;
		argv[n++] = "-drive";
		argv[n] = "if=ide,index=1,format=raw,cache=unsafe,file=bulk.img";
	}
	const struct keeper_spec spec = {.argv = argv, .log = "machine.out", .inherit_fd = line, .no_network = true};
	enum err e = machine_start_kept(w, &spec, m, why);
	close(line);
	return e;
}

const struct machine_ops machine_qemu_ops = {.name = "qemu", .probe = qemu_probe, .start = qemu_start};
