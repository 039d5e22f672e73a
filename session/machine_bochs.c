/*
 * Bochs: a whole PC in software, with VT-x (a Skylake) or AMD-V. Its TSC counts instructions, so that a run is
 * reproducible to the tick. It has no window here: the display is a VNC server that waits for nobody, in a network
 * namespace of its own where the host permits that.
 *
 * The serial line is a loopback connection that Bochs makes to us. Measured against a pseudo-terminal it is faster
 * towards us, never loses a byte when the VMM reads late, and its end of file is the death of the machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "session/machine.h"

/* Simulated instructions a second. It does not change how fast Bochs is, but how many instructions a byte on the UART
 * takes, and how often Bochs looks at the line. Measured, 100,000 exits: 10 s at 1 million, 6 s at 4, 5 s at 16 and
 * more; above that the line only gets slower. */
#define IPS 8000000u
/* Guest time: 10 ns an instruction, as on virtual time (CLOCK_NS_PER_INSN). */
#define TSC_HZ 100000000ull
#define CYLINDER (16u * 63u * 512u)

struct bochs_config {
	const char *model;
	unsigned mib;
	uint64_t bulk_size;
	char log[KEEPER_PATH_MAX]; /* outlives the run; empty: there is none */
};

static const char *model_for(const struct machine_want *w)
{
	if (w->mode != MODE_VIRTUALIZE)
		return "bx_generic";
	return w->engine == ENGINE_SVM ? "ryzen" : "corei7_skylake_x";
}

/* Where the BIOS images are; NULL: nowhere. */
static const char *share_dir(void)
{
	static const char *const dirs[] = {"/usr/share/bochs", "/usr/local/share/bochs"};
	char path[256];
	const char *env = getenv("BXSHARE");
	for (size_t i = 0; i < ARRAY_LEN(dirs) + 1; i++) {
		const char *dir = i ? dirs[i - 1] : env;
		if (!dir)
			continue;
		snprintf(path, sizeof path, "%s/BIOS-bochs-latest", dir);
		if (access(path, R_OK) == 0)
			return dir;
	}
	return NULL;
}

static const char *vga_bios(const char *dir, char *buf, size_t n)
{
	snprintf(buf, n, "%s/VGABIOS-lgpl-latest", dir);
	if (access(buf, R_OK) == 0)
		return buf;
	snprintf(buf, n, "/usr/share/vgabios/vgabios.bin");
	return access(buf, R_OK) == 0 ? buf : NULL;
}

#define MEMORY_MAX (2048ull << 20)

static enum err bochs_probe(const struct machine_want *w, struct machine_facts *f, struct errmsg *why)
{
	char vga[256];
	const char *dir = share_dir();
	if (!machine_program("bochs") || !dir || !vga_bios(dir, vga, sizeof vga))
		return err_set(why, ERR_NODEV, "Bochs is not installed whole: apt-get install bochs bochsbios vgabios");
	if (w->memory > MEMORY_MAX)
		return err_set(why, ERR_NODEV,
		    "Bochs has at most %u MiB for guests and VMM: ask for less with --mem, or use --machine qemu",
		    (unsigned)(MEMORY_MAX >> 20));
	snprintf(f->cpu, sizeof f->cpu, "%s", model_for(w));
	f->vmx = w->mode == MODE_VIRTUALIZE && w->engine != ENGINE_SVM;
	f->svm = w->mode == MODE_VIRTUALIZE && w->engine == ENGINE_SVM;
	f->tick_is_insn = true;
	f->tsc_hz = TSC_HZ;
	f->rank = f->vmx ? 20 : 5;
	snprintf(f->why, sizeof f->why, "%s",
	    f->vmx   ? "its CPU has VT-x, in software"
	    : f->svm ? "its CPU has AMD-V, in software"
		     : "it is installed");
	return ERR_OK;
}

static long cylinders(const char *dir, const char *file)
{
	char path[KEEPER_PATH_MAX];
	struct stat st;
	snprintf(path, sizeof path, "%s/%s", dir, file);
	return stat(path, &st) ? 0 : (long)(st.st_size / CYLINDER);
}

/*
 * VMSCOPE_BOCHS_LOG=FILE keeps Bochs' own log, with what its CPU says at the level "debug": a line for each VM exit,
 * among many more for page walks, RDTSC and MSRs. Some megabytes a second.
 */
static enum err witness_log(struct bochs_config *c, struct errmsg *why)
{
	const char *file = getenv("VMSCOPE_BOCHS_LOG");
	char cwd[KEEPER_PATH_MAX] = "";
	if (!file || !file[0])
		return ERR_OK;
	if (file[0] != '/' && !getcwd(cwd, sizeof cwd))
		return err_set(why, ERR_IO, "VMSCOPE_BOCHS_LOG: %s", strerror(errno));
	if (snprintf(c->log, sizeof c->log, "%s%s%s", cwd, cwd[0] ? "/" : "", file) >= (int)sizeof c->log)
		return err_set(why, ERR_RANGE, "VMSCOPE_BOCHS_LOG: the path is too long");
	int fd = open(c->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(why, ERR_IO, "VMSCOPE_BOCHS_LOG: %s: %s", file, strerror(errno));
	close(fd);
	return ERR_OK;
}

/* The configuration, when the port of the serial line is known. */
static enum err write_config(void *arg, const char *dir, unsigned port)
{
	const struct bochs_config *c = arg;
	char path[KEEPER_PATH_MAX], vga[256];
	const char *share = share_dir();
	snprintf(path, sizeof path, "%s/bochsrc", dir);
	FILE *f = fopen(path, "we");
	if (!f)
		return ERR_IO;
	/* A link, because Bochs' configuration cannot hold every path. */
	char link[KEEPER_PATH_MAX];
	snprintf(link, sizeof link, "%s/bochs.log", dir);
	if (c->log[0] && symlink(c->log, link)) {
		fclose(f);
		return ERR_IO;
	}
	fprintf(f,
	    "config_interface: textconfig\n"
	    "display_library: rfb, options=\"timeout=0,hideIPS\"\n"
	    "cpu: model=%s, count=1, ips=%u, reset_on_triple_fault=0, ignore_bad_msrs=1\n"
	    "memory: guest=%u, host=%u\n"
	    "romimage: file=%s/BIOS-bochs-latest, options=fastboot\n"
	    "vgaromimage: file=%s\n"
	    "ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14\n"
	    "ata0-master: type=disk, path=boot.img, mode=flat, cylinders=%ld, heads=16, spt=63\n",
	    c->model, IPS, c->mib, c->mib, share, vga_bios(share, vga, sizeof vga), cylinders(dir, "boot.img"));
	if (c->bulk_size)
		fprintf(f, "ata0-slave: type=disk, path=bulk.img, mode=flat, cylinders=%ld, heads=16, spt=63\n",
		    cylinders(dir, "bulk.img"));
	fprintf(f,
	    "boot: disk\n"
	    "com1: enabled=1, mode=socket-client, dev=127.0.0.1:%u\n"
	    "clock: sync=none, time0=1\n"
	    "log: bochs.log\n"
	    "panic: action=fatal\nerror: action=report\ninfo: action=ignore\ndebug: action=ignore%s\n"
	    "plugin_ctrl: speaker=0\n",
	    port, c->log[0] ? ", cpu0=report" : "");
	bool good = !ferror(f);
	if (fclose(f) || !good)
		return ERR_IO;
	/* Debian's build has the debugger: it waits for a command before the first instruction. */
	snprintf(path, sizeof path, "%s/debugger.rc", dir);
	f = fopen(path, "we");
	if (!f)
		return ERR_IO;
	fputs("c\nq\n", f);
	return fclose(f) ? ERR_IO : ERR_OK;
}

static enum err bochs_start(const struct machine_want *w, struct machine_run *m, struct errmsg *why)
{
	static const char *const argv[] = {"bochs", "-q", "-f", "bochsrc", "-rc", "debugger.rc", NULL};
	struct bochs_config c = {
	    .model = model_for(w), .mib = (unsigned)((w->memory + 0xfffff) >> 20), .bulk_size = w->bulk_size};
	const struct keeper_spec spec = {.argv = argv,
	    .log = "machine.out",
	    .inherit_fd = -1,
	    .no_network = true,
	    .listening = write_config,
	    .arg = &c};
	enum err e = witness_log(&c, why);
	if (e)
		return e;
	return machine_start_kept(w, &spec, m, why);
}

const struct machine_ops machine_bochs_ops = {.name = "bochs", .probe = bochs_probe, .start = bochs_start};
