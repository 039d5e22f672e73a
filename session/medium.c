/*
 * Media that the image boots from: a raw disk (boot sector, image, bundle) for a session, and a CD for people. The disk
 * has whole cylinders of 16 heads and 63 sectors, because emulated disks are described that way.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/metal/bootdisk.h"
#include "session/remote_impl.h"

#define SECTOR 512u
#define CYLINDER (16u * 63u * SECTOR)
#define IMAGE "vmscope-metal.bin"
#define BOOT_SECTOR "bootsect.bin"
#define PATH_MAX_ 1024

/* --- The image --------------------------------------------------------------------------------------------------- */

bool medium_find(const char *file, char *path, size_t n)
{
	char exe[PATH_MAX_];
	const char *env = getenv("VMSCOPE_METAL");
	if (env && env[0])
		return snprintf(path, n, "%s/%s", env, file) < (int)n && access(path, R_OK) == 0;
	ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);
	if (len <= 0)
		return false;
	exe[len] = 0;
	static const char *const beside[] = {"metal", "../metal", "../../metal", "../lib/vmscope/metal"};
	char *slash = strrchr(exe, '/');
	if (!slash)
		return false;
	*slash = 0;
	for (size_t i = 0; i < ARRAY_LEN(beside); i++)
		if (snprintf(path, n, "%s/%s/%s", exe, beside[i], file) < (int)n && access(path, R_OK) == 0)
			return true;
	return false;
}

enum err medium_missing(const char *file, struct errmsg *why)
{
	const char *env = getenv("VMSCOPE_METAL");
	if (env && env[0])
		return err_set(why, ERR_NODEV,
		    "%s: no %s is there: VMSCOPE_METAL names a folder with the bare-metal image", env, file);
	return err_set(why, ERR_NODEV, "the bare-metal image is not built: %s is missing: make metal", file);
}

static enum err read_part(const char *file, uint8_t **data, size_t *len, struct errmsg *why)
{
	char path[PATH_MAX_];
	struct stat st;
	*data = NULL;
	if (!medium_find(file, path, sizeof path))
		return medium_missing(file, why);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool good = fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0 && (*data = malloc((size_t)st.st_size)) != NULL;
	*len = good ? (size_t)st.st_size : 0;
	for (size_t at = 0; good && at < *len;) {
		ssize_t k = read(fd, *data + at, *len - at);
		good = k > 0 || (k < 0 && errno == EINTR);
		at += k > 0 ? (size_t)k : 0;
	}
	if (fd >= 0)
		close(fd);
	if (good)
		return ERR_OK;
	free(*data);
	*data = NULL;
	return err_set(why, ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
}

struct part {
	const void *p;
	size_t n;
	off_t at;
};

static enum err write_file(const char *path, const struct part *parts, size_t n_parts, off_t size, struct errmsg *why)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool good = fd >= 0;
	for (size_t i = 0; good && i < n_parts; i++)
		for (size_t at = 0; good && at < parts[i].n;) {
			ssize_t k =
			    pwrite(fd, (const uint8_t *)parts[i].p + at, parts[i].n - at, parts[i].at + (off_t)at);
			good = k > 0 || (k < 0 && errno == EINTR);
			at += k > 0 ? (size_t)k : 0;
		}
	good = good && (!size || ftruncate(fd, size) == 0);
	int e = errno;
	if (fd >= 0 && close(fd) && good) {
		good = false;
		e = errno;
	}
	return good ? ERR_OK
		    : err_set(why, e == ENOSPC ? ERR_NOSPC : ERR_IO, "%s: cannot be written: %s", path, strerror(e));
}

/* --- The boot disk ----------------------------------------------------------------------------------------------- */

static enum err patch_boot_sector(uint8_t *sector, size_t n, const struct bootdisk_patch *values, struct errmsg *why)
{
	struct bootdisk_patch *p = (void *)(sector + BOOTDISK_PATCH);
	if (n != SECTOR || memcmp(p->magic, BOOTDISK_PATCH_MAGIC, sizeof p->magic) != 0)
		return err_set(why, ERR_FORMAT, "%s: is not the boot sector of this version: make metal", BOOT_SECTOR);
	memcpy(p, values, sizeof *p);
	return ERR_OK;
}

static uint64_t sectors(uint64_t bytes)
{
	return (bytes + SECTOR - 1) / SECTOR;
}

enum err medium_disk(const char *path, const void *bundle, size_t len, struct errmsg *why)
{
	uint8_t *image = NULL, *boot = NULL;
	size_t image_len, boot_len;
	enum err e = read_part(BOOT_SECTOR, &boot, &boot_len, why);
	if (!e)
		e = read_part(IMAGE, &image, &image_len, why);
	if (!e) {
		struct bootdisk_patch values = {.image_sectors = (uint32_t)sectors(image_len),
		    .bundle_sector = 1 + (uint32_t)sectors(image_len),
		    .bundle_bytes = len};
		memcpy(values.magic, BOOTDISK_PATCH_MAGIC, sizeof values.magic);
		e = patch_boot_sector(boot, boot_len, &values, why);
		const struct part parts[] = {{boot, boot_len, 0}, {image, image_len, SECTOR},
		    {bundle, len, (off_t)values.bundle_sector * SECTOR}};
		uint64_t all = (values.bundle_sector + sectors(len)) * SECTOR;
		if (!e)
			e = write_file(
			    path, parts, ARRAY_LEN(parts), (off_t)((all + CYLINDER - 1) / CYLINDER * CYLINDER), why);
	}
	free(image);
	free(boot);
	return e;
}

/* --- The CD ------------------------------------------------------------------------------------------------------ */

static const char grub_cfg[] = "set timeout=0\n"
			       "menuentry vmscope {\n"
			       "\tmultiboot /boot/vmscope-metal.bin\n"
			       "\tmodule /boot/guests.bundle\n"
			       "}\n";

/* One line with everything that is missing, by the name of its Debian package. */
static enum err iso_tools(struct errmsg *why)
{
	static const struct {
		const char *program, *package;
	} need[] = {{"grub-mkrescue", "grub-common"}, {"xorriso", "xorriso"}, {"mformat", "mtools"}};
	char packages[80] = "";
	for (size_t i = 0; i < ARRAY_LEN(need); i++)
		if (!machine_program(need[i].program))
			snprintf(
			    packages + strlen(packages), sizeof packages - strlen(packages), " %s", need[i].package);
	if (access("/usr/lib/grub/i386-pc/multiboot.mod", R_OK))
		snprintf(packages + strlen(packages), sizeof packages - strlen(packages), " grub-pc-bin");
	return packages[0] ? err_set(why, ERR_NODEV, "a CD cannot be made here: apt-get install%s", packages) : ERR_OK;
}

static enum err put_files(const char *dir, const void *bundle, size_t len, struct errmsg *why)
{
	char path[KEEPER_PATH_MAX];
	uint8_t *image;
	size_t image_len;
	enum err e = read_part(IMAGE, &image, &image_len, why);
	if (e)
		return e;
	snprintf(path, sizeof path, "%s/image", dir);
	e = write_file(path, &(struct part){image, image_len, 0}, 1, 0, why);
	free(image);
	snprintf(path, sizeof path, "%s/bundle", dir);
	if (!e)
		e = write_file(path, &(struct part){bundle, len, 0}, 1, 0, why);
	snprintf(path, sizeof path, "%s/grub.cfg", dir);
	if (!e)
		e = write_file(path, &(struct part){grub_cfg, sizeof grub_cfg - 1, 0}, 1, 0, why);
	return e;
}

static enum err copy_out(const char *from, const char *to, struct errmsg *why)
{
	uint8_t buf[1 << 16];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ssize_t n = -1;
	while (in >= 0 && out >= 0 && (n = read(in, buf, sizeof buf)) > 0)
		if (write(out, buf, (size_t)n) != n) {
			n = -1;
			break;
		}
	int e = errno;
	if (in >= 0)
		close(in);
	if (out >= 0 && close(out) && n == 0) {
		n = -1;
		e = errno;
	}
	return n == 0 ? ERR_OK
		      : err_set(why, e == ENOSPC ? ERR_NOSPC : ERR_IO, "%s: cannot be written: %s", to, strerror(e));
}

/* The program that makes the CD is kept like a machine: nothing of it stays behind, either. */
static enum err run_mkrescue(const void *bundle, size_t len, const char *path, struct errmsg *why)
{
	static const char *const argv[] = {"grub-mkrescue", "-o", "cd.iso", "--compress=no",
	    "--fonts=", "--locales=", "--themes=", "--install-modules=multiboot normal iso9660 biosdisk",
	    "boot/vmscope-metal.bin=image", "boot/guests.bundle=bundle", "boot/grub/grub.cfg=grub.cfg", NULL};
	const struct keeper_spec spec = {.argv = argv, .log = "machine.out", .inherit_fd = -1, .job = true};
	struct keeper k;
	char from[KEEPER_PATH_MAX];
	int line;
	enum err e = keeper_open(&k, &spec, why);
	if (e)
		return e;
	e = put_files(k.dir, bundle, len, why);
	if (!e)
		e = keeper_start(&k, NULL, NULL, &line, why);
	while (!e && !keeper_machine_ended(&k))
		(void)poll(&(struct pollfd){k.ctl, POLLIN, 0}, 1, 1000);
	if (!e && k.wait_status != 0)
		e = err_set(why, ERR_IO, "grub-mkrescue failed (status %d): no CD was made",
		    WIFEXITED(k.wait_status) ? WEXITSTATUS(k.wait_status) : -1);
	if (!e)
		e = copy_out(keeper_path(&k, "cd.iso", from), path, why);
	keeper_close(&k);
	return e;
}

enum err medium_iso(const struct remote_request *q, const char *path, struct errmsg *why)
{
	const struct machine_facts any = {0}; /* the rate of its clock is what its CPU says */
	uint8_t *bundle;
	size_t len;
	enum err e = iso_tools(why);
	if (!e)
		e = bundle_build(q, &any, BUNDLE_POWEROFF, 0, &bundle, &len, why);
	if (e)
		return e;
	e = run_mkrescue(bundle, len, path, why);
	free(bundle);
	return e;
}
