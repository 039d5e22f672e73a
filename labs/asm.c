/*
 * vmscope.asm: a few lines of assembly through the system's assembler and linker, in child processes and a folder of
 * their own that goes away.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/lib.h"
#include "labs/asm.h"
#include "labs/jail_impl.h"
#include "labs/lab_impl.h"

#define CODE_MAX ASM_CODE_MAX
#define ORG_16 0x7c00

#define TOOL_CPU_S 10
#define TOOL_FILE_MAX (16u << 20)

struct job {
	char dir[160], source[176], object[176], image[176], errors[176];
	char org[48];
	int bits;
	const struct jail_job *files; /* what the tools may read; NULL: all */
};

static void clean_up(const struct job *j)
{
	unlink(j->source);
	unlink(j->object);
	unlink(j->image);
	unlink(j->errors);
	rmdir(j->dir);
}

static enum err make_folder(struct job *j, struct errmsg *why)
{
	const char *tmp = getenv("TMPDIR");

	if (!tmp || strlen(tmp) > 120)
		tmp = "/tmp";
	snprintf(j->dir, sizeof j->dir, "%s/vmscope-asm.XXXXXX", tmp);
	if (!mkdtemp(j->dir))
		return err_set(why, ERR_IO, "no temporary folder: %s", strerror(errno));
	snprintf(j->source, sizeof j->source, "%s/asm.s", j->dir);
	snprintf(j->object, sizeof j->object, "%s/asm.o", j->dir);
	snprintf(j->image, sizeof j->image, "%s/asm.bin", j->dir);
	snprintf(j->errors, sizeof j->errors, "%s/errors", j->dir);
	return ERR_OK;
}

static enum err write_source(const struct job *j, const char *text, size_t n, struct errmsg *why)
{
	FILE *f = fopen(j->source, "we");
	bool good = f && fprintf(f, ".code%d; ", j->bits) > 0 && fwrite(text, 1, n, f) == n && fputc('\n', f) != EOF;

	if (f && fclose(f) != 0)
		good = false;
	return good ? ERR_OK : err_set(why, ERR_IO, "the source cannot be written: %s", strerror(errno));
}

/* The first line of what a tool complained about that has a line number, without the folder. */
static void complaint(const struct job *j, const char *tool, struct errmsg *why)
{
	char line[300], best[300] = "";
	FILE *f = fopen(j->errors, "re");

	while (f && fgets(line, sizeof line, f)) {
		const char *at = strstr(line, "asm.s:");
		if (at && strstr(at, "Error")) {
			snprintf(best, sizeof best, "line %s", at + strlen("asm.s:"));
			break;
		}
		if (!best[0])
			snprintf(best, sizeof best, "%s", line);
	}
	if (f)
		fclose(f);
	best[strcspn(best, "\n")] = 0;
	err_set(why, ERR_FORMAT, "%s: %s", tool, best[0] ? best : "it failed, and did not say why");
}

/* After the fork, and until the exec: system calls alone. */
static _Noreturn void become_tool(const struct job *j, char *const argv[], int status)
{
	const struct rlimit cpu = {TOOL_CPU_S, TOOL_CPU_S}, file = {TOOL_FILE_MAX, TOOL_FILE_MAX};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int errors = open(j->errors, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	(void)setrlimit(RLIMIT_CPU, &cpu); /* where one is lower already, it stays */
	(void)setrlimit(RLIMIT_FSIZE, &file);
	if (null >= 0 && errors >= 0 && dup2(null, 0) == 0 && dup2(errors, 1) == 1 && dup2(errors, 2) == 2) {
		if (j->files)
			(void)jail_landlock(j->files, j->dir);
		execvp(argv[0], argv);
	}
	int bad = errno;
	(void)!write(status, &bad, sizeof bad);
	_exit(127);
}

static enum err run_tool(const struct job *j, char *const argv[], struct errmsg *why)
{
	int status[2], bad = 0, how = 0;
	pid_t pid;

	if (pipe2(status, O_CLOEXEC) != 0)
		return err_set(why, ERR_IO, "no pipe for %s: %s", argv[0], strerror(errno));
	pid = fork();
	if (pid == 0)
		become_tool(j, argv, status[1]);
	close(status[1]);
	if (pid < 0 || read(status[0], &bad, sizeof bad) != sizeof bad)
		bad = pid < 0 ? errno : 0;
	close(status[0]);
	while (pid > 0 && waitpid(pid, &how, 0) < 0 && errno == EINTR)
		;
	if (bad)
		return err_set(why, ERR_NODEV,
		    "this machine has no %s (%s): install binutils, or write the bytes as a string", argv[0],
		    strerror(bad));
	if (how == 0)
		return ERR_OK;
	if (WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL)
		return err_set(why, ERR_RANGE, "%s has used its %d s of processor time", argv[0], TOOL_CPU_S);
	complaint(j, argv[0], why);
	return ERR_FORMAT;
}

static enum err assemble(struct job *j, struct errmsg *why)
{
	/* execvp() takes texts that it does not change. */
	static char as[] = "as", ld[] = "ld", o[] = "-o", m[] = "-m", b32[] = "--32", b64[] = "--64",
		    elf32[] = "elf_i386", elf64[] = "elf_x86_64", format[] = "--oformat", binary[] = "binary",
		    entry[] = "-e", zero[] = "0", omagic[] = "-N";
	char *const as_argv[] = {as, j->bits == 64 ? b64 : b32, o, j->object, j->source, NULL};
	char *const ld_argv[] = {ld, m, j->bits == 64 ? elf64 : elf32, omagic, entry, zero, j->org, format, binary, o,
	    j->image, j->object, NULL};
	enum err e = run_tool(j, as_argv, why);

	return e ? e : run_tool(j, ld_argv, why);
}

static enum err read_image(const struct job *j, char **out, size_t *n, struct errmsg *why)
{
	FILE *f = fopen(j->image, "re");
	struct stat st;

	*out = NULL;
	if (!f || fstat(fileno(f), &st) != 0 || st.st_size > CODE_MAX) {
		if (f)
			fclose(f);
		return err_set(why, ERR_RANGE, "the code is missing, or longer than %u bytes", CODE_MAX);
	}
	*out = malloc((size_t)st.st_size + 1);
	*n = *out ? fread(*out, 1, (size_t)st.st_size, f) : 0;
	fclose(f);
	return *out && *n == (size_t)st.st_size ? ERR_OK : err_set(why, ERR_IO, "the code cannot be read");
}

enum err asm_assemble(const struct asm_job *a, char **out, size_t *len, struct errmsg *why)
{
	static const struct jail_config nothing = {.read_only = NULL};
	struct jail_job files = {.cfg = &nothing, .program = a->confine ? realpath("/proc/self/exe", NULL) : NULL};
	struct job j = {.bits = a->bits, .files = a->confine ? &files : NULL};

	*out = NULL;
	snprintf(j.org, sizeof j.org, "-Ttext=%#llx", (unsigned long long)a->org);
	enum err e = a->confine && !files.program ? err_set(why, ERR_IO, "this program does not find itself: no /proc?")
		     : a->confine		  ? jail_list_paths(&files, why)
						  : ERR_OK;
	if (!e)
		e = make_folder(&j, why);
	if (!e) {
		e = write_source(&j, a->text, a->n, why);
		if (!e)
			e = assemble(&j, why);
		if (!e)
			e = read_image(&j, out, len, why);
		clean_up(&j);
	}
	jail_free_paths(&files.paths);
	free(files.program);
	return e;
}

/* vmscope.asm[[text]] or vmscope.asm{text, bits=16|32|64, org=address}: the bytes. */
int lab_asm(lua_State *L)
{
	struct asm_job j = {.bits = 16, .org = ORG_16};
	struct errmsg why = {""};
	size_t len = 0;
	char *code;

	lua_settop(L, 1);
	if (lua_istable(L, 1)) {
		j.bits = (int)lab_field_u64(L, 1, "bits", 16);
		j.org = lab_field_u64(L, 1, "org", ORG_16);
		lua_rawgeti(L, 1, 1);
	}
	j.text = luaL_checklstring(L, -1, &j.n);
	if (j.bits != 16 && j.bits != 32 && j.bits != 64)
		return luaL_error(L, "vmscope.asm: bits: it is 16, 32 or 64");
	/* The room first: what comes after it raises nothing that would lose memory. */
	luaL_Buffer b;
	char *to = luaL_buffinitsize(L, &b, CODE_MAX);
	enum err e = asm_ask(&j, &code, &len, &why);
	if (!e)
		memcpy(to, code, len);
	free(code);
	if (e)
		return lab_raise(L, "vmscope.asm", e, &why);
	luaL_pushresultsize(&b, len);
	return 1;
}
