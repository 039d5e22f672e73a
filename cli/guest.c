/*
 * Finding and reading a guest. A name without a slash is a bundled guest first and a file second, so that a folder
 * "hello" in the current directory cannot hide the guest "hello"; "./hello" always means the file.
 */
#include "cli/guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/machine.h"
#include "core/vm.h"

#define IMAGE_BYTES_MAX (1ull << 32)

static const char *const image_suffixes[] = {"", ".elf", ".bin", ".img"};

bool data_dir(unsigned i, const char *what, const char *variable, char *buf, size_t n)
{
	char exe[GUEST_PATH_MAX];
	const char *env = getenv(variable);
	if (env && env[0] && i-- == 0)
		return snprintf(buf, n, "%s", env) < (int)n;
	if (i > 1)
		return false;
	ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);
	if (len <= 0)
		return false;
	exe[len] = 0;
	char *slash = strrchr(exe, '/');
	if (!slash)
		return false;
	*slash = 0;
	int wanted =
	    i == 0 ? snprintf(buf, n, "%s/%s", exe, what) : snprintf(buf, n, "%s/../lib/vmscope/%s", exe, what);
	return wanted < (int)n;
}

bool guest_dir(unsigned i, char *buf, size_t n)
{
	return data_dir(i, "guests", "VMSCOPE_GUESTS", buf, n);
}

static bool is_file(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* DIR/NAME with the first suffix that exists. */
static bool find_in(const char *dir, const char *name, const char *const *suffixes, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++) {
		if (snprintf(out, GUEST_PATH_MAX, "%s/%s%s", dir, name, suffixes[i]) >= GUEST_PATH_MAX)
			continue;
		if (is_file(out))
			return true;
	}
	return false;
}

static bool find_bundled(const char *name, const char *const *suffixes, size_t n, char *out)
{
	char dir[GUEST_PATH_MAX];
	for (unsigned i = 0; guest_dir(i, dir, sizeof dir); i++)
		if (find_in(dir, name, suffixes, n, out))
			return true;
	out[0] = 0;
	return false;
}

/* "hello, primes": the images of the first folder that has any. */
static void list_bundled(char *buf, size_t n)
{
	char dir[GUEST_PATH_MAX];
	size_t used = 0;
	buf[0] = 0;
	for (unsigned i = 0; !used && guest_dir(i, dir, sizeof dir); i++) {
		struct dirent **names;
		int count = scandir(dir, &names, NULL, alphasort);
		for (int k = 0; k < count; k++) {
			char *dot = strrchr(names[k]->d_name, '.');
			bool image = dot && (strcmp(dot, ".elf") == 0 || strcmp(dot, ".bin") == 0);
			if (image && used < n)
				used += (size_t)snprintf(buf + used, n - used, "%s%.*s", used ? ", " : "",
				    (int)(dot - names[k]->d_name), names[k]->d_name);
			free(names[k]);
		}
		if (count >= 0)
			free(names);
	}
}

/* option is the one that named the file; NULL for the guest itself, which may also be a bundled one. */
static enum err read_failed(const char *path, const char *option, int e, struct errmsg *why)
{
	char names[160];
	switch (e) {
	case ENOENT:
	case ENOTDIR:
		if (option)
			return err_set(
			    why, ERR_NOENT, "%s %s: no such file: give the path of an existing file", option, path);
		list_bundled(names, sizeof names);
		return err_set(why, ERR_NOENT, "%s: no such file: give a path%s%s", path,
		    names[0] ? ", or a bundled guest: " : "; no bundled guests are built (make builds them)", names);
	case EACCES:
		return err_set(why, ERR_PERM, "%s: not readable for this user: change its permissions", path);
	default:
		return err_set(why, ERR_IO, "%s: cannot be read: %s", path, strerror(e));
	}
}

static enum err read_all(
    int fd, const char *path, const char *option, size_t len, struct guest_file *f, struct errmsg *why)
{
	f->data = malloc(len);
	if (!f->data)
		return err_set(why, ERR_NOMEM, "%s: no memory for its %zu bytes", path, len);
	while (f->len < len) {
		ssize_t got = read(fd, f->data + f->len, len - f->len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return read_failed(path, option, errno, why);
		if (got == 0)
			return err_set(why, ERR_IO, "%s: became shorter while it was read: try again", path);
		f->len += (size_t)got;
	}
	return ERR_OK;
}

static enum err read_file(const char *path, const char *option, struct guest_file *f, struct errmsg *why)
{
	struct stat st;
	/* O_NONBLOCK: a FIFO must be refused, not waited for. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return read_failed(path, option, errno, why);
	enum err e;
	if (fstat(fd, &st))
		e = read_failed(path, option, errno, why);
	else if (S_ISDIR(st.st_mode))
		e = err_set(why, ERR_FORMAT, "%s: is a directory: give the image inside it", path);
	else if (!S_ISREG(st.st_mode))
		e = err_set(why, ERR_FORMAT, "%s: is not a regular file: copy its bytes into one", path);
	else if (st.st_size == 0)
		e = err_set(why, ERR_FORMAT, "%s: is empty: an image of at least one byte is needed", path);
	else if ((uint64_t)st.st_size > IMAGE_BYTES_MAX)
		e = err_set(why, ERR_RANGE, "%s: %lld bytes are more than any guest memory here holds: is it an image?",
		    path, (long long)st.st_size);
	else
		e = read_all(fd, path, option, (size_t)st.st_size, f, why);
	close(fd);
	return e;
}

/* "FILE ARGS,FILE ARGS": the modules, as QEMU's -initrd has them. */
static enum err open_modules(struct guest *g, const char *list, struct errmsg *why)
{
	char *next;
	g->initrd_words = strdup(list);
	if (!g->initrd_words)
		return err_set(why, ERR_NOMEM, "--initrd: no memory");
	for (char *word = g->initrd_words; word; word = next) {
		next = strchr(word, ',');
		if (next)
			*next++ = 0;
		char *space = strchr(word, ' ');
		if (space)
			*space++ = 0;
		if (g->n_modules == GUEST_MODULES_MAX)
			return err_set(why, ERR_RANGE, "--initrd: more than %u modules", GUEST_MODULES_MAX);
		struct guest_file *f = &g->module_files[g->n_modules];
		enum err e = read_file(word, "--initrd", f, why);
		if (e)
			return e;
		g->modules[g->n_modules++] =
		    (struct load_module){.data = f->data, .len = f->len, .args = space ? space : ""};
	}
	return ERR_OK;
}

static void set_name(struct guest *g, const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash && slash[1] ? slash + 1 : path;
	const char *dot = strrchr(base, '.');
	int n = dot && dot != base && strchr(path, '/') ? (int)(dot - base) : (int)strlen(base);
	snprintf(g->name, sizeof g->name, "%.*s", n, base);
}

/* The model beside an image: the same path with .lua instead of its suffix. */
static void model_beside(struct guest *g)
{
	const char *slash = strrchr(g->path, '/'), *dot = strrchr(g->path, '.');
	int stem = dot && (!slash || dot > slash) ? (int)(dot - g->path) : (int)strlen(g->path);
	if (!g->path[0] || snprintf(g->model, sizeof g->model, "%.*s.lua", stem, g->path) >= (int)sizeof g->model ||
	    !is_file(g->model))
		g->model[0] = 0;
}

static void find_image(struct guest *g, const char *name)
{
	static const char *const lua[] = {".lua"};
	if (strchr(name, '/') || !find_bundled(name, image_suffixes, ARRAY_LEN(image_suffixes), g->path))
		snprintf(g->path, sizeof g->path, "%s", name);
	model_beside(g);
	if (!g->model[0] && !strchr(name, '/'))
		(void)find_bundled(name, lua, ARRAY_LEN(lua), g->model);
}

/* The model that was asked for. A text that is no file (modes/simulate/sandbox.c) stands where the guest's own model
 * does, or where the bundled ones do. */
static enum err take_model(struct guest *g, const char *model, struct errmsg *why)
{
	static const char *const lua[] = {".lua"};
	char beside[GUEST_PATH_MAX];

	snprintf(beside, sizeof beside, "%s", g->model);
	if (strncmp(model, "fd:", 3) != 0)
		beside[0] = 0;
	else if (!beside[0] && !find_bundled("rt", lua, ARRAY_LEN(lua), beside))
		beside[0] = 0;
	if (snprintf(g->model, sizeof g->model, "%s%s%s", model, beside[0] ? ":" : "", beside) >= (int)sizeof g->model)
		return err_set(why, ERR_RANGE, "--model: the path has more than %d bytes", GUEST_PATH_MAX - 1);
	return ERR_OK;
}

enum err guest_open(struct guest *g, const struct run_options *o, bool need_image, struct errmsg *why)
{
	*g = (struct guest){0};
	const char *name = o->kernel ? o->kernel : o->guest;
	enum err e = ERR_OK;
	if (!name && !o->firmware && !o->model)
		return err_set(why, ERR_INVAL, "no guest: give a path or the name of a bundled guest, such as hello");
	if (o->kernel && o->guest)
		return err_set(why, ERR_INVAL, "%s: a guest and --kernel %s are two images: give one of them", o->guest,
		    o->kernel);
	if (name && o->firmware)
		return err_set(why, ERR_INVAL,
		    "%s: firmware starts by itself, a guest beside it comes with disks, in a later version", name);
	set_name(g, name ? name : o->firmware ? o->firmware : strncmp(o->model, "fd:", 3) ? o->model : "model");
	if (name)
		find_image(g, name);
	if (name && need_image)
		e = read_file(g->path, NULL, &g->image, why);
	if (!e && o->firmware)
		e = read_file(o->firmware, "--firmware", &g->firmware, why);
	if (!e && o->initrd && need_image)
		e = open_modules(g, o->initrd, why);
	if (!e && o->model)
		e = take_model(g, o->model, why);
	if (e)
		guest_close(g);
	return e;
}

void guest_close(struct guest *g)
{
	free(g->image.data);
	free(g->firmware.data);
	for (size_t i = 0; i < GUEST_MODULES_MAX; i++)
		free(g->module_files[i].data);
	free(g->initrd_words);
	*g = (struct guest){0};
}

enum err guest_load(const struct guest *g, const struct run_options *o, struct vm *vm, struct errmsg *why)
{
	if (g->firmware.data) {
		struct errmsg what = {{0}};
		enum err e = machine_set_firmware(vm, g->firmware.data, g->firmware.len, &what);
		return e ? err_set(why, e, "%s: %s", o->firmware, what.text[0] ? what.text : err_sentence(e)) : ERR_OK;
	}
	struct load_request r = {.image = g->image.data,
	    .len = g->image.len,
	    .name = g->path,
	    .cmdline = o->append,
	    .modules = g->modules,
	    .n_modules = g->n_modules};
	return image_load(vm, &r, why);
}
