/*
 * What the core loop costs on top of /dev/kvm: an OUT round trip through vm_run() with the tracer attached, against the
 * same guest driven by a bare KVM_RUN loop. Both run in one process, in alternating rounds, because the absolute cost
 * of a KVM exit moves with the host by more than the difference that is looked for. Prints medians and their ratio.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "core/vm.h"
#include "modes/virtualize/kvm.h"
#include "tracer/tracer.h"

#define ROUNDS 15
#define OUTS 4000u

/* again: out 0xe0,al; jmp again */
static const uint8_t code[] = {0xe6, 0xe0, 0xeb, 0xfc};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* user and kernel time of this thread: other load stays out */
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int fail(const char *what)
{
	fprintf(stderr, "bench_kvm_out: %s: %s\n", what, strerror(errno));
	exit(1);
}

struct bare {
	int fd;
	struct kvm_run *run;
};

static void bare_open(struct bare *b)
{
	int dev = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = ioctl(dev, KVM_CREATE_VM, 0);
	uint8_t *mem = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region slot = {.memory_size = 1 << 20, .userspace_addr = (uintptr_t)mem};
	struct kvm_sregs sregs;
	struct kvm_regs regs = {.rip = 0x7c00, .rflags = 2};

	if (vm < 0 || mem == MAP_FAILED || ioctl(vm, KVM_SET_TSS_ADDR, 0xfeffd000) < 0 ||
	    ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		fail("bare VM");
	memcpy(mem + 0x7c00, code, sizeof code);
	b->fd = ioctl(vm, KVM_CREATE_VCPU, 0);
	b->run =
	    mmap(NULL, (size_t)ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
	if (b->fd < 0 || b->run == MAP_FAILED || ioctl(b->fd, KVM_GET_SREGS, &sregs) < 0)
		fail("bare vCPU");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(b->fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(b->fd, KVM_SET_REGS, &regs) < 0)
		fail("bare registers");
}

static double bare_round(struct bare *b)
{
	double start = now();

	for (unsigned i = 0; i < OUTS; i++) {
		while (ioctl(b->fd, KVM_RUN, 0) < 0)
			if (errno != EINTR) /* the timer of the other VM */
				fail("bare KVM_RUN");
		if (b->run->exit_reason != KVM_EXIT_IO)
			fail("bare exit");
	}
	return (now() - start) / OUTS;
}

static double loop_round(struct vm *vm)
{
	double start;

	vm->cfg.max_exits = vm->vcpus[0].counts.exits + OUTS;
	start = now();
	if (vm_run(vm) != ERR_OK || vm->end.kind != END_LIMIT_EXITS) {
		fprintf(stderr, "bench_kvm_out: %s: %s\n", end_name(vm->end.kind), vm->end.detail);
		exit(1);
	}
	return (now() - start) / OUTS;
}

static struct vm *loop_open(void)
{
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = &mode_virtualize_type2_ops,
	    .guest = "out",
	    .mem_size = 1 << 20,
	    .n_vcpus = 1,
	    .clock = CLOCK_HOST};
	struct errmsg why = {""};
	struct x86_state *s;
	struct vm *vm;

	if (vm_create(&cfg, &vm, &why) != ERR_OK) {
		fprintf(stderr, "bench_kvm_out: %s\n", why.text);
		exit(1);
	}
	if (mem_write(&vm->mem, 0x7c00, code, sizeof code) != ERR_OK)
		exit(1);
	s = vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL);
	s->seg[X86_CS].base = 0;
	s->seg[X86_CS].sel = 0;
	s->rip = 0x7c00;
	return vm;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(void)
{
	struct tracer_config tc = {.stats = true};
	struct errmsg why = {""};
	struct bare bare;
	struct tracer *tracer;
	struct vm *vm;
	double a[ROUNDS], b[ROUNDS], ratio[ROUNDS];

	if (mode_virtualize_type2_ops.probe(&host_posix_ops, &why) != ERR_OK) {
		printf("kvm_out: not available: %s\n", why.text);
		return 0;
	}
	bare_open(&bare);
	vm = loop_open();
	if (tracer_open(vm, &tc, &tracer, &why) != ERR_OK) {
		fprintf(stderr, "bench_kvm_out: %s\n", why.text);
		return 1;
	}
	(void)bare_round(&bare); /* warm up both */
	(void)loop_round(vm);
	for (unsigned i = 0; i < ROUNDS; i++) {
		a[i] = bare_round(&bare);
		b[i] = loop_round(vm);
		ratio[i] = b[i] / a[i];
	}
	qsort(a, ROUNDS, sizeof a[0], by_value);
	qsort(b, ROUNDS, sizeof b[0], by_value);
	qsort(ratio, ROUNDS, sizeof ratio[0], by_value);
	printf("kvm_out: OUT round trip %.0f ns bare, %.0f ns through the loop with tracing; ratio %.3f (at most 1.10 "
	       "wanted), "
	       "%llu events lost\n",
	    a[ROUNDS / 2], b[ROUNDS / 2], ratio[ROUNDS / 2], (unsigned long long)tracer_lost(tracer));
	(void)tracer_close(tracer, &why);
	vm_destroy(vm);
	return 0;
}
