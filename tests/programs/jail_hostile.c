/*
 * What a jailed program might try: jail_hostile TOKEN WHAT [locked] [ARGUMENT...]. The exit status is 0 when it was
 * refused, 1 when it got through (and says what), 2 when the test itself is wrong. TOKEN makes it easy to find.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/types.h"
#include "labs/asm.h"
#include "labs/jail.h"

static const char *argument; /* of WHAT */

static int through(const char *what)
{
	printf("got through: %s\n", what);
	return 1;
}

static void ignore_all(void)
{
	sigset_t all;

	for (int s = 1; s < 65; s++)
		(void)signal(s, SIG_IGN);
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
}

static int fork_bomb(void)
{
	ignore_all();
	for (int i = 0; i < 10000000; i++)
		if (fork() < 0 && errno == EPERM)
			return 0;
	return 0;
}

static int output(void)
{
	static char block[1 << 16];

	memset(block, 'x', sizeof block);
	for (long left = 10l << 30; left > 0;) {
		ssize_t n = write(1, block, sizeof block);
		if (n <= 0)
			return 0;
		left -= n;
	}
	return through("10 GB of output");
}

static int spin(void)
{
	volatile bool on = true;

	ignore_all();
	while (on)
		;
	return 0;
}

static int sleep_on(void)
{
	volatile bool on = true;

	ignore_all();
	while (on)
		sleep(1000);
	return 0;
}

static int big_file(void)
{
	static char block[1 << 16];
	char path[300];
	long total = 0;

	(void)signal(SIGXFSZ, SIG_IGN);
	/* Of one file the size is limited, of all of them the room, where the folder is a file system of its own. */
	for (int i = 0; i < atoi(argument); i++) {
		snprintf(path, sizeof path, "%s/%d", getenv("TMPDIR"), i);
		int fd = open(path, O_WRONLY | O_CREAT, 0600);
		for (ssize_t n = 1; fd >= 0 && n > 0;)
			total += (n = write(fd, block, sizeof block)) > 0 ? n : 0;
		if (fd >= 0)
			close(fd);
	}
	printf("%ld\n", total);
	return 0;
}

static bool readable(const char *path)
{
	char c;
	int fd = open(path, O_RDONLY);
	bool got = fd >= 0 && read(fd, &c, 1) >= 0;

	if (fd >= 0)
		close(fd);
	return got;
}

/* argument: a file of the grader's; its folder holds others. */
static int links(void)
{
	char folder[300], deep[] = "d";

	snprintf(folder, sizeof folder, "%s", argument);
	*strrchr(folder, '/') = 0;
	(void)!symlink(argument, "file");
	(void)!symlink(folder, "folder");
	(void)!link(argument, "hard");
	(void)mkfifo("fifo", 0600);
	for (int i = 0; i < 300 && mkdir(deep, 0700) == 0 && chdir(deep) == 0; i++)
		;
	(void)!symlink(folder, "folder");
	(void)chmod(".", 0);
	(void)!chdir(getenv("TMPDIR"));
	if (readable("file") || readable("hard") || readable("../../../../../../etc/passwd"))
		return through("a link");
	int fd = open("folder", O_RDONLY | O_DIRECTORY);
	return fd >= 0 ? through("a link to a folder") : 0;
}

static int files(void)
{
	const char *const paths[] = {argument, "/etc/passwd", "/etc/shadow", "/proc/1/environ", "/root/.bashrc"};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (readable(paths[i]))
			return through(paths[i]);
	if (open("/", O_RDONLY | O_DIRECTORY) >= 0 && readable("/etc/hostname"))
		return through("the root folder");
	return 0;
}

static int overwrite(void)
{
	const char *const paths[] = {argument, "/etc/passwd", "/proc/sys/kernel/core_pattern", "/dev/shm/x", "/dev/sda",
	    "/usr/lib/x86_64-linux-gnu/x", "/lib64/x"};
	char self[300];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	self[n > 0 ? n : 0] = 0;
	if (unlink(argument) == 0 || rename(argument, "x") == 0 || truncate(argument, 0) == 0 ||
	    chmod(argument, 0) == 0)
		return through("the file of the grader is changed");
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (open(paths[i], O_WRONLY | O_CREAT | O_APPEND, 0600) >= 0)
			return through(paths[i]);
	return unlink(self) == 0 || open(self, O_WRONLY) >= 0 ? through("the program itself") : 0;
}

/* What /proc has of any process that has "secret" (argument) in its environment or arguments. */
static int proc(void)
{
	static const char *const names[] = {
	    "environ", "cmdline", "mem", "maps", "fd", "task", "cwd/.", "root/etc/passwd"};
	char path[300], text[65536];
	DIR *d = opendir("/proc");

	for (const struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
		if (atoi(e->d_name) <= 0 || atoi(e->d_name) == getpid())
			continue;
		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			snprintf(path, sizeof path, "/proc/%.20s/%s", e->d_name, names[i]);
			int fd = open(path, O_RDONLY);
			ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
			if (n > 0 && memmem(text, (size_t)n, argument, strlen(argument)))
				return through(path);
			if (fd >= 0)
				close(fd);
		}
	}
	return 0;
}

/* argument: the grader's process. */
static int other_process(void)
{
	const pid_t pids[] = {atoi(argument), getppid()};
	static const char *const names[] = {"mem", "environ", "cmdline", "fd", "maps"};
	char path[64], c;

	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		struct iovec here = {&c, 1}, there = {(void *)&c, 1};
		if (pids[i] <= 0)
			continue;
		if (ptrace(PTRACE_SEIZE, pids[i], 0, 0) == 0 || ptrace(PTRACE_ATTACH, pids[i], 0, 0) == 0)
			return through("ptrace");
		if (process_vm_readv(pids[i], &here, 1, &there, 1, 0) == 1)
			return through("process_vm_readv");
		if (syscall(SYS_pidfd_open, pids[i], 0) >= 0)
			return through("pidfd_open");
		if (kill(pids[i], SIGKILL) == 0 || kill(-1, 0) == 0 || kill(0, 0) == 0)
			return through("kill");
		for (size_t n = 0; n < ARRAY_LEN(names); n++) {
			snprintf(path, sizeof path, "/proc/%d/%s", (int)pids[i], names[n]);
			int fd = open(path, O_RDONLY);
			if (fd >= 0 && read(fd, &c, 1) == 1)
				return through(path);
		}
		if (setpriority(PRIO_PROCESS, (id_t)pids[i], 19) == 0)
			return through("setpriority");
	}
	return 0;
}

static int network(void)
{
	static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_PACKET};
	int pair[2];

	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		if (socket(families[i], SOCK_STREAM, 0) >= 0 || socket(families[i], SOCK_DGRAM, 0) >= 0)
			return through("socket");
	return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 ? through("socketpair") : 0;
}

static int rights(void)
{
	if (setuid(0) == 0 || setresuid(0, 0, 0) == 0 || setgid(0) == 0 || setgroups(0, NULL) == 0)
		return through("setuid");
	if (unshare(CLONE_NEWUSER) == 0 || unshare(CLONE_NEWNS) == 0)
		return through("unshare");
	if (mount("x", "/tmp", "tmpfs", 0, NULL) == 0 || chroot("/") == 0 || umount("/proc") == 0)
		return through("mount");
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2] = {{0}};
	if (syscall(SYS_capget, &head, caps) == 0 &&
	    (caps[0].effective | caps[0].permitted | caps[1].effective | caps[1].permitted))
		return through("capabilities");
	const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
	if (setrlimit(RLIMIT_CPU, &all) == 0 || setrlimit(RLIMIT_FSIZE, &all) == 0 ||
	    setrlimit(RLIMIT_NPROC, &all) == 0)
		return through("setrlimit");
	if (syscall(SYS_bpf, 0, NULL, 0) >= 0 || syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0) >= 0 ||
	    syscall(SYS_io_uring_setup, 1, NULL) >= 0 || (errno != EPERM && errno != ENOSYS))
		return through("the kernel's insides");
	return 0;
}

static int memory(void)
{
	for (size_t n = 100ull << 30; n >= 1ull << 30; n /= 2)
		if (mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) !=
		    MAP_FAILED)
			return through("a gigabyte or more");
	return 0;
}

static int descriptors(void)
{
	char text[64];

	for (int fd = 3; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return through("a descriptor of the grader");
	if (pwrite(0, "x", 1, 0) == 1)
		return through("the input can be changed");
	ssize_t n = read(0, text, sizeof text);
	return n == 5 && memcmp(text, "input", 5) == 0 ? 0 : through("the input is not there");
}

static int daemonize(void)
{
	pid_t pid = fork();

	if (pid < 0)
		return 0;
	if (pid > 0)
		return 0;
	ignore_all();
	setsid();
	if (fork() != 0)
		_exit(0);
	setsid();
	for (int fd = 0; fd < 64; fd++)
		close(fd);
	for (;;)
		sleep(1000);
}

/* A chain of processes, each of which ends as soon as it has a child. */
static int flee(void)
{
	ignore_all();
	for (;;) {
		pid_t pid = fork();
		if (pid < 0)
			return 0;
		if (pid > 0)
			_exit(0);
	}
}

static int leftovers(void)
{
	if (shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600) >= 0)
		return through("System V shared memory, which stays");
	int fd = open("/dev/shm/vmscope-left", O_RDWR | O_CREAT, 0600);
	return fd >= 0 ? through("/dev/shm") : 0;
}

static int other_calls(void)
{
	long r;

	/* getpid of the 32-bit instruction set, whose number is another one. */
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory");
	return through("int 0x80");
}

static int crash(void)
{
	abort();
}

static void *thread_main(void *arg)
{
	*(int *)arg = 7;
	return NULL;
}

/* What a worker needs works; argument: a file that may be read. */
static int works(void)
{
	char *code = NULL;
	size_t n = 0;
	struct errmsg why = {""};
	int seven = 0;
	pthread_t t;

	if (pthread_create(&t, NULL, thread_main, &seven) != 0 || pthread_join(t, NULL) != 0 || seven != 7)
		return through("no thread");
	if (!readable(argument))
		return through("what may be read cannot");
	void *p = malloc(10u << 20);
	if (!p || memfd_create("x", 0) < 0)
		return through("no memory");
	memset(p, 1, 10u << 20);
	free(p);
	const struct asm_job a = {.text = "nop; hlt", .n = 8, .bits = 16, .org = 0x7c00};
	if (access("/usr/bin/as", X_OK) == 0 && (asm_ask(&a, &code, &n, &why) || n != 2)) {
		printf("%s\n", why.text);
		return through("no assembler");
	}
	free(code);
	return 0;
}

static int assembler(void)
{
	static const char *const texts[] = {".incbin \"%s\"", ".include \"%s\"", ".incbin \"/etc/passwd\"\n# %s",
	    ".macro m a b\n.\\a\\b \"%s\"\n.endm\nm inc bin", ".incbin \"/proc/self/environ\"\n# %s",
	    ".incbin \"/dev/stdin\"\n# %s", ".rept 100000000\n.rept 10000\n.quad 1\n.endr\n.endr\n# %s"};
	char text[600];

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		char *code = NULL;
		struct errmsg why = {""};
		size_t n = 0;
		snprintf(text, sizeof text, texts[i], argument); // NOLINT
		const struct asm_job a = {.text = text, .n = strlen(text), .bits = 16, .org = 0x7c00};
		if (asm_ask(&a, &code, &n, &why) == ERR_OK && n > 0)
			return through(text);
		printf("%s\n", why.text);
	}
	return 0;
}

static int exec(void)
{
	char *const argv[] = {(char *)"/usr/bin/as", (char *)"--version", NULL};

	execv(argv[0], argv);
	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		return through("memory to be executed");
	if (fork() >= 0)
		return through("fork");
	return open("x", O_WRONLY | O_CREAT, 0600) >= 0 ? through("a file") : 0;
}

static const struct {
	const char *name;
	int (*run)(void);
} all[] = {{"fork_bomb", fork_bomb}, {"output", output}, {"spin", spin}, {"sleep", sleep_on}, {"big_file", big_file},
    {"links", links}, {"files", files}, {"overwrite", overwrite}, {"proc", proc}, {"other_process", other_process},
    {"network", network}, {"rights", rights}, {"memory", memory}, {"descriptors", descriptors},
    {"daemonize", daemonize}, {"flee", flee}, {"leftovers", leftovers}, {"other_calls", other_calls}, {"crash", crash},
    {"works", works}, {"assembler", assembler}, {"exec", exec}};

int main(int argc, char **argv)
{
	int at = 3;

	if (argc < 3)
		return 2;
	if (argc > at && strcmp(argv[at], "locked") == 0) {
		struct errmsg why = {""};
		at++;
		/* Where files cannot be told apart it says so; what it does hold is tried all the same. */
		if (jail_lock_down(&why) != ERR_OK && !strstr(why.text, "neither")) {
			fprintf(stderr, "%s\n", why.text);
			return 2;
		}
	}
	argument = argc > at ? argv[at] : "";
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (strcmp(all[i].name, argv[2]) == 0)
			return all[i].run();
	return 2;
}
