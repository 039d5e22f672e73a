/*
 * Getting a vCPU out of the guest: from another thread (kick) and at a point in time (a device timer is due).
 *
 * The race to avoid: the request arrives after run() has looked for one and before the guest is entered. The pattern:
 * whoever asks sets a flag, then run->immediate_exit, then sends a signal whose handler sets immediate_exit in the
 * vCPU's own thread. run() clears immediate_exit first and looks at the flags second, so that a request is seen either
 * by that look or by KVM itself, which returns at once when immediate_exit is set. A signal that comes while the guest
 * runs ends KVM_RUN with EINTR whatever SA_RESTART says; with SA_RESTART nothing else in the thread is disturbed.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "modes/virtualize/kvm_priv.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static _Thread_local struct kvm_vcpu *running; /* the vCPU that this thread runs */
static pthread_once_t handler_once = PTHREAD_ONCE_INIT;
static int handler_error;

static int kvm_signal(void)
{
	return SIGRTMIN + 2;
}

/* Any timer of this thread makes the running vCPU look at its own deadline: at worst once too often. */
static void on_signal(int sig, siginfo_t *info, void *context)
{
	struct kvm_vcpu *kv = running;

	(void)sig;
	(void)context;
	if (!kv)
		return;
	if (info->si_code == SI_TIMER)
		atomic_store(&kv->fired, 1);
	kv->run->immediate_exit = 1;
}

static void install_handler(void)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};

	sigemptyset(&sa.sa_mask);
	if (sigaction(kvm_signal(), &sa, NULL) != 0)
		handler_error = errno;
}

void kvm_timer_fini(struct vcpu *v)
{
	struct kvm_vcpu *kv = kvcpu_of(v);

	if (running == kv)
		running = NULL;
	if (kv->timer_made)
		timer_delete(kv->timer);
	kv->timer_made = false;
	kv->armed_ns = CLOCK_NEVER;
}

enum err kvm_thread_bind(struct vcpu *v)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	struct sigevent ev;
	sigset_t set;

	if (LIKELY(running == kv))
		return ERR_OK;
	pthread_once(&handler_once, install_handler);
	if (handler_error)
		return ERR_IO;
	if (atomic_load(&kv->tid) != (pid_t)syscall(SYS_gettid)) {
		kvm_timer_fini(v);
		memset(&ev, 0, sizeof ev);
		ev.sigev_notify = SIGEV_THREAD_ID;
		ev.sigev_signo = kvm_signal();
		ev.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
		if (timer_create(CLOCK_MONOTONIC, &ev, &kv->timer) != 0)
			return ERR_IO;
		kv->timer_made = true;
		atomic_store(&kv->tid, (pid_t)syscall(SYS_gettid));
	}
	sigemptyset(&set);
	sigaddset(&set, kvm_signal());
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	running = kv;
	atomic_store(&kv->fired, 1); /* its signal may have come while another vCPU was running here: look */
	return ERR_OK;
}

/*
 * The deadline moves with every entry, and a system call an exit would be 5 % of it. So an armed timer is left alone
 * when it fires earlier than needed: it then finds nothing due, and is armed again.
 */
void kvm_timer_arm(struct vcpu *v, uint64_t deadline_ns)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	struct itimerspec t = {.it_interval = {0, 0}};
	uint64_t now, wait;

	if (deadline_ns >= kv->armed_ns)
		return;
	kv->armed_ns = deadline_ns;
	now = clock_now_ns(&v->vm->clock);
	wait = deadline_ns > now ? deadline_ns - now : 1;
	t.it_value.tv_sec = (time_t)(wait / 1000000000u);
	t.it_value.tv_nsec = (long)(wait % 1000000000u);
	timer_settime(kv->timer, 0, &t, NULL);
}

void kvm_kick(struct vcpu *v)
{
	struct kvm_vcpu *kv = kvcpu_of(v);
	pid_t tid;
	int saved = errno;

	if (!kv || !kv->run)
		return;
	atomic_store(&kv->kicked, 1);
	kv->run->immediate_exit = 1;
	tid = atomic_load(&kv->tid);
	if (tid)
		syscall(SYS_tgkill, getpid(), tid, kvm_signal());
	errno = saved;
}
