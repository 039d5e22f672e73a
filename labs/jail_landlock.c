/*
 * Landlock: what files a process, and all that it starts, may touch. By system calls: the C library has no functions
 * for it. Each version of it knows more rights than the one before; those that a kernel does not know are left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "labs/jail_impl.h"

/* Rights and fields that older headers do not name. */
#define FS_REFER (1ull << 13)	  /* version 2 */
#define FS_TRUNCATE (1ull << 14)  /* 3 */
#define NET_BIND_CONNECT 3ull	  /* 4 */
#define FS_IOCTL_DEV (1ull << 15) /* 5 */
#define SCOPE_SOCKET_SIGNAL 3ull  /* 6 */

struct attributes {
	uint64_t fs, net, scoped;
};

#define FS_READS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_VERSION_1 ((1ull << 13) - 1)

static long version(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

static uint64_t fs_rights(long v)
{
	return FS_VERSION_1 | (v >= 2 ? FS_REFER : 0) | (v >= 3 ? FS_TRUNCATE : 0) | (v >= 5 ? FS_IOCTL_DEV : 0);
}

static int new_ruleset(long v, uint64_t fs)
{
	const struct attributes a = {
	    .fs = fs, .net = v >= 4 ? NET_BIND_CONNECT : 0, .scoped = v >= 6 ? SCOPE_SOCKET_SIGNAL : 0};
	size_t size = v >= 6 ? sizeof a : v >= 4 ? offsetof(struct attributes, scoped) : sizeof a.fs;

	return (int)syscall(SYS_landlock_create_ruleset, &a, size, 0);
}

static bool allow(int ruleset, const char *path, uint64_t rights)
{
	struct landlock_path_beneath_attr a = {.allowed_access = rights};

	a.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (a.parent_fd < 0)
		return false;
	bool good = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &a, 0) == 0;
	close(a.parent_fd);
	return good;
}

static bool restrict_to(int ruleset)
{
	bool good = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;

	close(ruleset);
	return good;
}

bool jail_landlock(const struct jail_job *j, const char *tmp)
{
	/* In the folder of its own: plain files and folders, no link and no device. */
	const uint64_t own = FS_READS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
			     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
			     LANDLOCK_ACCESS_FS_REMOVE_DIR | FS_TRUNCATE;
	long v = version();
	uint64_t known = v > 0 ? fs_rights(v) : 0;
	int ruleset = v > 0 ? new_ruleset(v, known) : -1;

	if (ruleset < 0)
		return false;
	for (size_t i = 0; i < j->paths.n; i++) {
		const struct jail_path *p = &j->paths.all[i];
		uint64_t rights = LANDLOCK_ACCESS_FS_READ_FILE;

		if (p->folder)
			rights |= LANDLOCK_ACCESS_FS_READ_DIR;
		if (p->access == JAIL_EXECUTE)
			rights |= LANDLOCK_ACCESS_FS_EXECUTE;
		if (p->access == JAIL_WRITE)
			rights |= LANDLOCK_ACCESS_FS_WRITE_FILE;
		/* A path that cannot be allowed is one that is not seen: the program will say so. */
		(void)allow(ruleset, p->path, rights);
	}
	(void)allow(ruleset, tmp, own & known);
	return restrict_to(ruleset);
}

bool jail_landlock_final(void)
{
	long v = version();
	int ruleset = v > 0 ? new_ruleset(v, fs_rights(v) & ~FS_READS) : -1;

	return ruleset >= 0 && restrict_to(ruleset);
}
