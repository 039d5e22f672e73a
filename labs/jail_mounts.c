/*
 * A root folder of its own: a small file system in memory, in which there is nothing but the paths of the list, read
 * only, /proc of the process namespace, and /tmp, which has a size.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/types.h"
#include "labs/jail_impl.h"

/* For what a call does not look at. */
#define NONE "none"

/* dir and path, one behind the other; false: too long. */
static bool join(char out[PATH_MAX], const char *dir, const char *path)
{
	if (strlen(dir) + strlen(path) >= PATH_MAX)
		return false;
	strcpy(stpcpy(out, dir), path); // NOLINT: it fits
	return true;
}

/* The folders above the last part of a path, from where the new root begins. */
static void make_parents(char *path, size_t root)
{
	for (char *slash = strchr(path + root + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		(void)mkdir(path, 0755);
		*slash = '/';
	}
}

static bool make_target(char *target, size_t root, bool folder)
{
	struct stat st;

	if (lstat(target, &st) == 0)
		return S_ISDIR(st.st_mode) == folder;
	make_parents(target, root);
	if (folder)
		return mkdir(target, 0755) == 0;
	int fd = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* Makes a bind mount read only. Flags that it had must stay, or the kernel refuses. */
static bool seal(const char *target, bool writable)
{
	static const struct {
		unsigned long has, flag;
	} keep[] = {{2, MS_NOSUID}, {4, MS_NODEV}, {8, MS_NOEXEC}, {1024, MS_NOATIME}, {2048, MS_NODIRATIME},
	    {4096, MS_RELATIME}};
	unsigned long flags = MS_BIND | MS_REMOUNT | MS_NOSUID | (writable ? 0 : MS_RDONLY);
	struct statfs fs;

	if (statfs(target, &fs) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(keep); i++)
		if ((unsigned long)fs.f_flags & keep[i].has)
			flags |= keep[i].flag;
	return mount(NONE, target, NONE, flags, NONE) == 0;
}

static bool bind_path(const struct jail_path *p, const char *dir)
{
	char target[PATH_MAX];

	if (!join(target, dir, p->path))
		return false;
	/* What lies in a folder that is there already: the folders of the list come first. */
	if (access(target, F_OK) == 0)
		return true;
	if (!make_target(target, strlen(dir), p->folder))
		return false;
	return mount(p->path, target, NONE, MS_BIND | MS_REC, NONE) == 0 && seal(target, p->access == JAIL_WRITE);
}

static bool enter(const char *dir)
{
	return chdir(dir) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 &&
	       chdir("/") == 0;
}

/* Of one's own processes alone: the first one of the namespace has the caller's arguments. */
static bool mount_proc(const char *at)
{
	static const char *const options[] = {"hidepid=2,subset=pid", "hidepid=2"};

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (mount("proc", at, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, options[i]) == 0)
			return true;
	return false;
}

static bool fill(const struct jail_job *j, const char *tmp_options)
{
	char at[PATH_MAX];

	(void)umask(022); /* the caller's may leave the program, which is another user, nothing */
	if (!join(at, j->dir, "/proc") || mkdir(at, 0755) != 0 || !mount_proc(at))
		return false;
	if (!join(at, j->dir, "/tmp") || mkdir(at, 0755) != 0 ||
	    mount("tmpfs", at, "tmpfs", MS_NOSUID | MS_NODEV, tmp_options) != 0)
		return false;
	for (size_t i = 0; i < j->paths.n; i++)
		if (!bind_path(&j->paths.all[i], j->dir) && !j->paths.all[i].optional)
			return false;
	return true;
}

enum jail_root jail_new_root(const struct jail_job *j, const char *tmp_options)
{
	if (mount(NONE, "/", NONE, MS_REC | MS_PRIVATE, NONE) != 0 ||
	    mount("tmpfs", j->dir, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755") != 0)
		return JAIL_ROOT_OLD;
	if (!fill(j, tmp_options)) {
		(void)umount2(j->dir, MNT_DETACH);
		return JAIL_ROOT_OLD;
	}
	if (!enter(j->dir) ||
	    mount(NONE, "/", NONE, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NONE) != 0)
		return JAIL_ROOT_BROKEN;
	return JAIL_ROOT_NEW;
}
