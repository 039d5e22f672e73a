/*
 * Options of run, compare and audit. Whatever the command line promises for a later version is known here by name, and
 * is answered with one line instead of "no such option".
 */
#include "cli/options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/console.h"
#include "core/vm.h"

#define MIB (1024u * 1024u)

enum option_key {
	OPT_MODE = 256,
	OPT_TYPE,
	OPT_ENGINE,
	OPT_MACHINE,
	OPT_MODEL,
	OPT_MEM,
	OPT_CPUS,
	OPT_DISK,
	OPT_CDROM,
	OPT_FLOPPY,
	OPT_FIRMWARE,
	OPT_KERNEL,
	OPT_INITRD,
	OPT_APPEND,
	OPT_CONTROLS,
	OPT_CLOCK,
	OPT_TRACE,
	OPT_MAX_EXITS,
	OPT_MAX_INSNS,
	OPT_TIMEOUT,
	OPT_KEYS,
	OPT_VGA,
	OPT_JSON,
	OPT_GDB,
	OPT_DOMINANT,
	OPT_LOCKSTEP,
	OPT_SEED,
	OPT_ALSO,
	OPT_FAULT,
	OPT_OUTPUT = 'o',
};

#define OPT(name_, key_, arg_, doc_)                                 \
	{                                                            \
		.name = name_, .key = key_, .arg = arg_, .doc = doc_ \
	}

/* The guest and the machine. */
#define GUEST_OPTIONS                                                                                                 \
	OPT("mem", OPT_MEM, "SIZE", "guest memory: a number with K, M or G (64M)"),                                   \
	    OPT("cpus", OPT_CPUS, "N", "virtual CPUs (1; up to 8 in emulate II)"),                                    \
	    OPT("kernel", OPT_KERNEL, "FILE", "boot this kernel: multiboot, PVH or Linux"),                           \
	    OPT("initrd", OPT_INITRD, "\"FILE[ ARGS],...\"", "initial RAM disk, or multiboot modules"),               \
	    OPT("append", OPT_APPEND, "TEXT", "command line of the kernel or guest"),                                 \
	    OPT("firmware", OPT_FIRMWARE, "ROM", "map a ROM below 4 GiB and start at the reset vector"),              \
	    OPT("disk", OPT_DISK, "IMAGE", "(a later version)"), OPT("cdrom", OPT_CDROM, "ISO", "(a later version)"), \
	    OPT("floppy", OPT_FLOPPY, "IMAGE", "(a later version)"),                                                  \
	    OPT("controls", OPT_CONTROLS, "PROFILE",                                                                  \
		"which events exit: vtx-ept, vtx-shadow, deprivileged, umip, all, kvm-user"),                         \
	    OPT("max-exits", OPT_MAX_EXITS, "N", "stop after N exits"),                                               \
	    OPT("max-insns", OPT_MAX_INSNS, "N", "stop after N instructions"),                                        \
	    OPT("timeout", OPT_TIMEOUT, "SECONDS", "stop after this much wall time"),                                 \
	    OPT("keys", OPT_KEYS, "TEXT", "type this into the guest; \\n, \\t, \\e and \\xHH are understood"),        \
	    OPT("seed", OPT_SEED, "N", "seed of the run's own random numbers (1)"),                                   \
	    OPT("json", OPT_JSON, NULL, "one JSON object on stdout")

#define MACHINE_OPTION                                                                                               \
	OPT("machine", OPT_MACHINE, "NAME",                                                                          \
	    "machine of a type 1 run: bochs, qemu, or where one answers: a serial device, unix:PATH, tcp:HOST:PORT " \
	    "(default: the best that is here)")

const struct argp_option options_run[] = {
    OPT("mode", OPT_MODE, "MODE", "simulate, emulate (the default) or virtualize"),
    OPT("type", OPT_TYPE, "1|2", "what the VMM stands on: 1 the machine, 2 a host system (the default)"),
    OPT("engine", OPT_ENGINE, "NAME", "engine of the mode (emulate: interpreter; virtualize --type 1: vmx or svm)"),
    MACHINE_OPTION,
    OPT("also", OPT_ALSO, "GUEST", "one more guest under the same VMM (run: type 1 only); may be given several times"),
    OPT("seed-fault", OPT_FAULT, "ept|msr|cr8|root|own|idt",
	"virtualize with type 1: leave this hole on purpose; the verdict on resource control must find it"),
    OPT("model", OPT_MODEL, "FILE", "behaviour model for simulate (default: the one beside the guest)"),
    OPT("clock", OPT_CLOCK, "virtual|host", "guest time: instructions retired, or the host's clock"),
    OPT("trace", OPT_TRACE, "FILE", "write a trace.dat for trace-cmd, KernelShark and vmscope report"),
    OPT("vga", OPT_VGA, NULL, "show the guest's text screen at the end"),
    OPT("dominant", OPT_DOMINANT, "SHARE", "share of direct instructions that efficiency asks for (0.9)"),
    OPT("gdb", OPT_GDB, "PORT", "(a later version)"),
    GUEST_OPTIONS,
    {0},
};

const struct argp_option options_compare[] = {
    MACHINE_OPTION,
    OPT("engine", OPT_ENGINE, "vmx|svm", "what virtualize/I uses, where the machine has both"),
    OPT("model", OPT_MODEL, "FILE", "behaviour model for simulate (default: the one beside the guest)"),
    OPT("dominant", OPT_DOMINANT, "SHARE", "share of direct instructions that efficiency asks for (0.9)"),
    OPT("lockstep", OPT_LOCKSTEP, "exit|insn", "compare exit by exit, or (/dev/kvm only) instruction by instruction"),
    GUEST_OPTIONS,
    {0},
};

const struct argp_option options_iso[] = {
    OPT("output", OPT_OUTPUT, "FILE", "the ISO image to write"),
    OPT("mode", OPT_MODE, "MODE", "emulate, or virtualize (the default)"),
    OPT("also", OPT_ALSO, "GUEST", "one more guest under the same VMM; may be given several times"),
    OPT("mem", OPT_MEM, "SIZE", "guest memory: a number with K, M or G (64M)"),
    OPT("kernel", OPT_KERNEL, "FILE", "boot this kernel: multiboot, PVH or Linux"),
    OPT("initrd", OPT_INITRD, "\"FILE[ ARGS],...\"", "initial RAM disk, or multiboot modules"),
    OPT("append", OPT_APPEND, "TEXT", "command line of the kernel or guest"),
    OPT("firmware", OPT_FIRMWARE, "ROM", "map a ROM below 4 GiB and start at the reset vector"),
    OPT("controls", OPT_CONTROLS, "PROFILE", "which events exit: vtx-ept, vtx-shadow, all"),
    OPT("max-exits", OPT_MAX_EXITS, "N", "stop after N exits"),
    OPT("keys", OPT_KEYS, "TEXT", "type this into the guest; \\n, \\t, \\e and \\xHH are understood"),
    {0},
};

const struct argp_option options_audit[] = {
    GUEST_OPTIONS,
    {0},
};

void options_init(struct run_options *o)
{
	*o = (struct run_options){.mode = MODE_EMULATE,
	    .type = VMM_TYPE_II,
	    .mem = 64ull * MIB,
	    .timeout_ms = 0,
	    .dominant = 0.9,
	    .seed = 1,
	    .cpus = 1};
}

/* A number with an optional K, M or G. */
static bool parse_size(const char *s, uint64_t *out)
{
	if (!isdigit((unsigned char)s[0]))
		return false;
	char *end;
	unsigned long long v = strtoull(s, &end, 0);
	unsigned shift = 0;
	switch (toupper((unsigned char)*end)) {
	case 'K':
		shift = 10;
		end++;
		break;
	case 'M':
		shift = 20;
		end++;
		break;
	case 'G':
		shift = 30;
		end++;
		break;
	default:
		break;
	}
	if (*end || (v << shift) >> shift != v)
		return false;
	*out = (uint64_t)v << shift;
	return true;
}

static int set_count(const char *name, const char *arg, uint64_t *out)
{
	if (!parse_size(arg, out) || *out == 0)
		return cli_usage("--%s %s: a number of at least 1 is needed", name, arg);
	return 0;
}

static int set_mem(struct run_options *o, const char *arg)
{
	if (!parse_size(arg, &o->mem))
		return cli_usage("--mem %s: a size is needed: a number with K, M or G", arg);
	if (o->mem < MIB || o->mem % MIB)
		return cli_usage("--mem %s: whole megabytes are needed, 1M at least", arg);
	uint64_t limit = host_posix_ops.mem_limit();
	if (o->mem > limit)
		return cli_usage(
		    "--mem %s: this host can give at most %lluM: ask for less", arg, (unsigned long long)(limit / MIB));
	return 0;
}

static int set_mode(struct run_options *o, const char *arg)
{
	for (int m = MODE_SIMULATE; m <= MODE_VIRTUALIZE; m++) {
		if (strcmp(arg, mode_name((enum vmm_mode)m)) == 0) {
			o->mode = (enum vmm_mode)m;
			o->mode_set = true;
			return 0;
		}
	}
	return cli_usage("--mode %s: no such mode: simulate, emulate or virtualize", arg);
}

static int set_type(struct run_options *o, const char *arg)
{
	if (strcmp(arg, "1") != 0 && strcmp(arg, "2") != 0)
		return cli_usage("--type %s: 1 (bare metal) or 2 (hosted)", arg);
	o->type = arg[0] == '1' ? VMM_TYPE_I : VMM_TYPE_II;
	return 0;
}

static int set_clock(struct run_options *o, const char *arg)
{
	if (strcmp(arg, "virtual") != 0 && strcmp(arg, "host") != 0)
		return cli_usage("--clock %s: virtual or host", arg);
	o->clock = arg[0] == 'v' ? CLOCK_VIRTUAL : CLOCK_HOST;
	o->clock_set = true;
	return 0;
}

static int set_controls(struct run_options *o, const char *arg)
{
	static struct vm_controls scratch;
	struct errmsg why = {{0}};
	if (controls_set(&scratch, arg, &why))
		return cli_usage("--controls %s: %s", arg, why.text);
	o->controls = arg;
	return 0;
}

static int set_real(const char *name, const char *arg, double min, double max, double *out)
{
	char *end;
	*out = strtod(arg, &end);
	if (end == arg || *end || !(*out >= min && *out <= max))
		return cli_usage("--%s %s: a number from %g to %g is needed", name, arg, min, max);
	return 0;
}

static int set_timeout(struct run_options *o, const char *arg)
{
	double s;
	int bad = set_real("timeout", arg, 0.001, 1e7, &s);
	if (!bad)
		o->timeout_ms = (uint64_t)(s * 1000);
	return bad;
}

static int set_lockstep(const char *arg, struct run_options *o)
{
	o->lockstep_insn = strcmp(arg, "insn") == 0;
	if (o->lockstep_insn || strcmp(arg, "exit") == 0)
		return 0;
	return cli_usage("--lockstep %s: use exit or insn", arg);
}

static int set_cpus(const char *arg, struct run_options *o)
{
	uint64_t n = 0;
	int bad = set_count("cpus", arg, &n);
	if (!bad && (n == 0 || n > VM_VCPUS_MAX))
		return cli_usage("--cpus %s: give 1 to %d", arg, VM_VCPUS_MAX);
	o->cpus = (unsigned)n;
	return bad;
}

static int set_seed(struct run_options *o, const char *arg)
{
	return parse_size(arg, &o->seed) ? 0 : cli_usage("--seed %s: a number is needed", arg);
}

static int set_keys(struct run_options *o, const char *arg)
{
	const char *bad = console_bad_escape(arg);
	if (bad)
		return cli_usage(
		    "--keys: \"%.4s\" at character %zu: two hexadecimal digits must follow \\x: write \\\\x for "
		    "a backslash and an x",
		    bad, (size_t)(bad - arg) + 1);
	o->keys = arg;
	return 0;
}

/* That its folder exists is said before anything runs. */
static int set_trace(struct run_options *o, const char *arg)
{
	const char *slash = strrchr(arg, '/');
	char dir[4096];
	struct stat st;
	if (!arg[0])
		return cli_usage("--trace: the name of the file is empty: give one to write, such as run.dat");
	int n = slash ? snprintf(dir, sizeof dir, "%.*s", (int)(slash - arg) + 1, arg) : 0;
	if (n >= (int)sizeof dir || (n && (stat(dir, &st) || !S_ISDIR(st.st_mode))))
		return cli_usage(
		    "--trace %s: its folder cannot be opened: make it first (mkdir -p), or name a file in another",
		    arg);
	if (stat(arg, &st) == 0 && S_ISDIR(st.st_mode))
		return cli_usage("--trace %s: is a directory: name a file in it, such as run.dat", arg);
	o->trace = arg;
	return 0;
}

static int later(const char *option, const char *what)
{
	return cli_usage(
	    "%s: %s with a later version; this one boots a guest image, --kernel or --firmware", option, what);
}

static int set_guest(struct run_options *o, const char *arg)
{
	if (o->guest)
		return cli_usage("%s: one guest at a time, and \"%s\" was given already", arg, o->guest);
	if (!arg[0])
		return cli_usage("the name of the guest is empty: give a path or the name of a bundled guest");
	o->guest = arg;
	return 0;
}

static int add_guest(struct run_options *o, const char *arg)
{
	if (o->n_also == OPTIONS_ALSO_MAX)
		return cli_usage("--also %s: at most %u guests run under one VMM", arg, OPTIONS_ALSO_MAX + 1);
	if (!arg[0])
		return cli_usage("--also: the name of the guest is empty: give a path or the name of a bundled guest");
	o->also[o->n_also++] = arg;
	return 0;
}

static int set_fault(struct run_options *o, const char *arg)
{
	for (int f = FAULT_NONE + 1; f < FAULT_COUNT; f++) {
		if (strcmp(arg, bundle_fault_name((enum bundle_fault)f)) == 0) {
			o->fault = (enum bundle_fault)f;
			return 0;
		}
	}
	return cli_usage("--seed-fault %s: no such fault: ept, msr, cr8, root, own or idt", arg);
}

/* Where an option that is taken as it is goes; NULL: no such option. */
static const char **text_option(struct run_options *o, int key)
{
	switch (key) {
	case OPT_OUTPUT:
		return &o->output;
	case OPT_ENGINE:
		return &o->engine;
	case OPT_MACHINE:
		return &o->machine;
	case OPT_MODEL:
		return &o->model;
	case OPT_FIRMWARE:
		return &o->firmware;
	case OPT_KERNEL:
		return &o->kernel;
	case OPT_INITRD:
		return &o->initrd;
	case OPT_APPEND:
		return &o->append;
	default:
		return NULL;
	}
}

int options_parse(int key, char *arg, struct argp_state *state)
{
	struct run_options *o = state->input;
	const char **text;
	switch (key) {
	case OPT_MODE:
		return set_mode(o, arg);
	case OPT_TYPE:
		return set_type(o, arg);
	case OPT_MEM:
		return set_mem(o, arg);
	case OPT_CPUS:
		return set_cpus(arg, o);
	case OPT_CLOCK:
		return set_clock(o, arg);
	case OPT_CONTROLS:
		return set_controls(o, arg);
	case OPT_MAX_EXITS:
		return set_count("max-exits", arg, &o->max_exits);
	case OPT_MAX_INSNS:
		return set_count("max-insns", arg, &o->max_insns);
	case OPT_TIMEOUT:
		return set_timeout(o, arg);
	case OPT_DOMINANT:
		return set_real("dominant", arg, 0, 1, &o->dominant);
	case OPT_LOCKSTEP:
		return set_lockstep(arg, o);
	case OPT_SEED:
		return set_seed(o, arg);
	case OPT_TRACE:
		return set_trace(o, arg);
	case OPT_KEYS:
		return set_keys(o, arg);
	case OPT_ALSO:
		return add_guest(o, arg);
	case OPT_FAULT:
		return set_fault(o, arg);
	case OPT_DISK:
		return later("--disk", "disks come");
	case OPT_CDROM:
		return later("--cdrom", "CD-ROMs come");
	case OPT_FLOPPY:
		return later("--floppy", "floppy disks come");
	case OPT_GDB:
		return later("--gdb", "the debugger's port comes");
	case OPT_VGA:
		o->vga = true;
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case ARGP_KEY_ARG:
		return set_guest(o, arg);
	default:
		text = text_option(o, key);
		if (!text)
			return ARGP_ERR_UNKNOWN;
		*text = arg;
		return 0;
	}
}
