/*
 * The jail's system calls: two BPF programs for seccomp. The first one holds before exec and refuses what no program
 * of ours needs; the second one, at lock-down, is a list of what is left. Refused is EPERM; another instruction set,
 * whose numbers mean something else, is death.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "labs/jail_impl.h"

#define REFUSE (SECCOMP_RET_ERRNO | EPERM)
#define UNKNOWN (SECCOMP_RET_ERRNO | ENOSYS)
/* The newest number that the lists below were made with (landlock_restrict_self is 446). What is newer is not there:
 * libraries fall back. */
#define NEWEST 446

struct program {
	struct sock_filter code[512];
	unsigned short n;
};

static void put(struct program *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	p->code[p->n++] = (struct sock_filter){code, jt, jf, k}; /* the lists below have about 300 of them */
}

static void load(struct program *p, size_t offset)
{
	put(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void give(struct program *p, uint32_t action)
{
	put(p, BPF_RET | BPF_K, action, 0, 0);
}

static size_t low_half(unsigned arg)
{
	return offsetof(struct seccomp_data, args) + 8 * arg;
}

/* This system call: this action. */
static void on_call(struct program *p, long nr, uint32_t action)
{
	put(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1);
	give(p, action);
}

static void on_calls(struct program *p, const short *nr, size_t n, uint32_t action)
{
	for (size_t i = 0; i < n; i++)
		on_call(p, nr[i], action);
}

/* Allowed when the argument's low half, masked, is want; else the action. */
static void on_masked(struct program *p, long nr, unsigned arg, uint32_t mask, uint32_t want, uint32_t otherwise)
{
	put(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 5);
	load(p, low_half(arg));
	put(p, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
	put(p, BPF_JMP | BPF_JEQ | BPF_K, want, 0, 1);
	give(p, SECCOMP_RET_ALLOW);
	give(p, otherwise);
}

/* Allowed when the argument is one of these; else EPERM. */
static void on_one_of(struct program *p, long nr, unsigned arg, const int *values, uint8_t n)
{
	put(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, (uint8_t)(2 * n + 2));
	load(p, low_half(arg));
	for (uint8_t i = 0; i < n; i++) {
		put(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)values[i], 0, 1);
		give(p, SECCOMP_RET_ALLOW);
	}
	give(p, REFUSE);
}

/* Allowed when this pointer is NULL. */
static void on_null(struct program *p, long nr, unsigned arg)
{
	put(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 6);
	load(p, low_half(arg));
	put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
	load(p, low_half(arg) + 4);
	put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
	give(p, SECCOMP_RET_ALLOW);
	give(p, REFUSE);
}

static void begin(struct program *p)
{
	p->n = 0;
	load(p, offsetof(struct seccomp_data, arch));
	put(p, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	give(p, SECCOMP_RET_KILL_PROCESS);
	load(p, offsetof(struct seccomp_data, nr));
	/* The x32 calls have numbers from 0x40000000. */
	put(p, BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);
	give(p, SECCOMP_RET_KILL_PROCESS);
	put(p, BPF_JMP | BPF_JGT | BPF_K, NEWEST, 0, 1);
	give(p, UNKNOWN);
	on_call(p, SYS_clone3, UNKNOWN); /* its flags are in memory, where a filter does not see them */
}

/* A signal reaches nobody but oneself. */
static void own_signals(struct program *p)
{
	uint32_t self = (uint32_t)getpid();

	on_masked(p, SYS_kill, 0, ~0u, self, REFUSE);
	on_masked(p, SYS_tgkill, 0, ~0u, self, REFUSE);
}

static bool install(struct program *p)
{
	const struct sock_fprog prog = {p->n, p->code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

static const short never[] = {
    /* The network, and what stays behind a process. */
    SYS_socket, SYS_socketpair, SYS_connect, SYS_bind, SYS_listen, SYS_accept, SYS_accept4, SYS_shmget, SYS_shmat,
    SYS_semget, SYS_msgget, SYS_mq_open, SYS_add_key, SYS_request_key, SYS_keyctl, SYS_mknod, SYS_mknodat,
    /* Other processes. */
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_process_madvise, SYS_kcmp, SYS_tkill,
    SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_pidfd_open, SYS_pidfd_getfd, SYS_pidfd_send_signal, SYS_setpriority,
    SYS_sched_setaffinity, SYS_sched_setscheduler, SYS_sched_setattr, SYS_sched_setparam, SYS_ioprio_set,
    SYS_migrate_pages, SYS_move_pages,
    /* Rights, roots and namespaces. */
    SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setfsuid, SYS_setfsgid,
    SYS_setgroups, SYS_capset, SYS_unshare, SYS_setns, SYS_chroot, SYS_pivot_root, SYS_mount, SYS_umount2,
    SYS_open_tree, SYS_move_mount, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr,
    SYS_name_to_handle_at, SYS_open_by_handle_at, SYS_fanotify_init, SYS_quotactl, SYS_quotactl_fd, SYS_personality,
    /* What Landlock does not look at: whose a file is, and what is said of it. */
    SYS_chmod, SYS_fchmod, SYS_fchmodat, SYS_chown, SYS_fchown, SYS_lchown, SYS_fchownat, SYS_setxattr, SYS_lsetxattr,
    SYS_fsetxattr, SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr, SYS_utime, SYS_utimes, SYS_utimensat,
    SYS_futimesat,
    /* The kernel. */
    SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_kexec_file_load, SYS_reboot, SYS_swapon,
    SYS_swapoff, SYS_syslog, SYS_acct, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime,
    SYS_sethostname, SYS_setdomainname, SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_vhangup, SYS_lookup_dcookie,
    SYS_nfsservctl, SYS_uselib, SYS__sysctl, SYS_get_kernel_syms, SYS_vmsplice};

bool jail_filter_start(void)
{
	struct program p;

	begin(&p);
	on_calls(&p, never, ARRAY_LEN(never), REFUSE);
	own_signals(&p);
	on_masked(&p, SYS_clone, 0,
	    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
	    0, REFUSE);
	on_masked(&p, SYS_prlimit64, 0, ~0u, 0, REFUSE);
	give(&p, SECCOMP_RET_ALLOW);
	return install(&p);
}

static const short always[] = {SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_close,
    SYS_fstat, SYS_stat, SYS_lstat, SYS_newfstatat, SYS_statx, SYS_lseek, SYS_munmap, SYS_madvise, SYS_brk,
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigtimedwait, SYS_rt_sigsuspend, SYS_rt_sigpending,
    SYS_sigaltstack, SYS_futex, SYS_set_robust_list, SYS_get_robust_list, SYS_rseq, SYS_exit, SYS_exit_group,
    SYS_restart_syscall, SYS_nanosleep, SYS_clock_nanosleep, SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday,
    SYS_time, SYS_times, SYS_getrusage, SYS_getpid, SYS_gettid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid,
    SYS_getegid, SYS_getrandom, SYS_sched_yield, SYS_sched_getaffinity, SYS_poll, SYS_ppoll, SYS_select, SYS_pselect6,
    SYS_eventfd2, SYS_pipe2, SYS_dup, SYS_dup2, SYS_dup3, SYS_access, SYS_faccessat, SYS_faccessat2, SYS_readlink,
    SYS_readlinkat, SYS_getdents64, SYS_getcwd, SYS_uname, SYS_sysinfo, SYS_getrlimit, SYS_setitimer, SYS_getitimer,
    SYS_alarm, SYS_pause, SYS_memfd_create, SYS_ftruncate, SYS_fallocate};

bool jail_filter_final(bool files)
{
	const uint32_t writes = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | __O_TMPFILE;
	const uint32_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
	static const int fcntls[] = {
	    F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_ADD_SEALS, F_GET_SEALS};
	static const int prctls[] = {PR_SET_NAME, PR_GET_NAME};
	struct program p;

	begin(&p);
	on_calls(&p, always, ARRAY_LEN(always), SECCOMP_RET_ALLOW);
	own_signals(&p);
	if (files) {
		on_masked(&p, SYS_open, 1, writes, O_RDONLY, REFUSE);
		on_masked(&p, SYS_openat, 2, writes, O_RDONLY, REFUSE);
	}
	on_masked(&p, SYS_clone, 0, thread, thread, REFUSE);
	on_masked(&p, SYS_mmap, 2, PROT_EXEC, 0, REFUSE);
	on_masked(&p, SYS_mprotect, 2, PROT_EXEC, 0, REFUSE);
	on_call(&p, SYS_mremap, SECCOMP_RET_ALLOW);
	on_one_of(&p, SYS_fcntl, 1, fcntls, ARRAY_LEN(fcntls));
	on_one_of(&p, SYS_prctl, 0, prctls, ARRAY_LEN(prctls));
	on_null(&p, SYS_prlimit64, 2);
	give(&p, REFUSE);
	return install(&p);
}
