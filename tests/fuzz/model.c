/*
 * Behaviour models: the bytes of an input choose primitives and their operands, right and wrong ones, in a Lua function
 * with loops, interrupt handlers and errors; the same twice, and both runs must be the same run.
 */
#include "tests/fuzz/fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/lib.h"
#include "core/machine.h"

#define MODEL_TEXT_MAX 65536u
#define MODEL_CALLS_MAX 400u

struct writer {
	char text[MODEL_TEXT_MAX];
	size_t n;
	const uint8_t *p; /* the bytes that choose */
	size_t left;
};

static void say(struct writer *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(w->text + w->n, sizeof(w->text) - w->n, fmt, ap);
	va_end(ap);
	w->n = n < 0 || w->n + (size_t)n >= sizeof(w->text) ? sizeof(w->text) - 1 : w->n + (size_t)n;
}

static unsigned next(struct writer *w)
{
	if (w->left == 0)
		return 0;
	w->left--;
	return *w->p++;
}

/* The primitives, with a letter for each argument, see argument(). Those at the end are rare: they end most runs. */
static const struct {
	const char *name, *args;
} prims[] = {{"compute", "n"}, {"out", "pi"}, {"out", "pis"}, {"inp", "p"}, {"inp", "ps"}, {"outs", "pts"},
    {"ins", "pns"}, {"cpuid", "in"}, {"rdmsr", "m"}, {"wrmsr", "mn"}, {"mov_cr", "cv"}, {"read_cr", "c"},
    {"mov_dr", "dn"}, {"read_dr", "d"}, {"clts", ""}, {"lmsw", "n"}, {"smsw", ""}, {"sldt", ""}, {"str", ""},
    {"sgdt", ""}, {"sidt", ""}, {"lgdt", "in"}, {"lidt", "in"}, {"invlpg", "i"}, {"vmcall", "i"}, {"load", "is"},
    {"store", "iis"}, {"sti", ""}, {"cli", ""}, {"wbinvd", ""}, {"invd", ""}, {"pause", ""}, {"rdtsc", ""},
    {"rdtscp", ""}, {"xgetbv", "z"}, {"hlt", ""}, {"start", "x"}, {"code", "w"}, {"rdpmc", "n"}, {"xsetbv", "zn"},
    {"fault", "nii"}, {"cpl", "n"}, {"lldt", "n"}, {"ltr", "n"}, {"triple_fault", ""}};
#define PRIMS_OFTEN 37u

static void one_of(struct writer *w, const unsigned *list, size_t n)
{
	say(w, "0x%x", list[next(w) % n]);
}
#define ONE_OF(w, ...) one_of(w, (const unsigned[]){__VA_ARGS__}, sizeof((unsigned[]){__VA_ARGS__}) / sizeof(unsigned))

/* i integer, p port, s size, n small number, t text, m MSR, c and d registers, v their values, w width, x state. */
static void argument(struct writer *w, char kind)
{
	static const char *const wrong[] = {"-1", "0.5", "nil", "0x7fffffffffffffff", "'x'", "{}", "1 << 63", "99"};
	unsigned b = next(w);

	if (b == 0x55) {
		say(w, "%s", wrong[next(w) % ARRAY_LEN(wrong)]);
		return;
	}
	switch (kind) {
	case 'p':
		ONE_OF(w, 0x20, 0x21, 0x40, 0x43, 0x70, 0x71, 0x3f8, 0x3f9, 0x60, 0x64, 0xcf8, 0xcfc, 0x510, 0x511,
		    0x604, 0xe9, 0xa1, 0x3d4, 0x3d5, 0x80);
		break;
	case 's':
		ONE_OF(w, 1, 2, 4);
		break;
	case 'n':
		say(w, "%u", b % 40 + 1);
		break;
	case 't':
		say(w, "('x'):rep(%u)", b % 64 * 4);
		break;
	case 'm':
		ONE_OF(w, 0x10, 0x1b, 0x174, 0x277, 0x6e0, 0x802, 0x830, 0xc0000080, 0xc0000100);
		break;
	case 'c':
		ONE_OF(w, 0, 2, 3, 4, 8);
		break;
	case 'd':
		ONE_OF(w, 0, 1, 2, 3, 6, 7);
		break;
	case 'v':
		ONE_OF(w, 0x80000011, 0x11, 0x20, 0x620, 0xa0, 0x8000, 5, 0);
		break;
	case 'w':
		ONE_OF(w, 16, 32, 64);
		break;
	case 'x':
		say(w, b & 1 ? "'boot'" : "'multiboot'");
		break;
	case 'z':
		say(w, "0");
		break;
	default:
		if (b & 1)
			ONE_OF(w, 0xfee00080, 0xfee000b0, 0xfee00300, 0xfee00320, 0xfee00380, 0xfec00000, 0xfec00010,
			    0xb8000, 0x9fffe, 0xffffd, 0xffffe, 0xfffffffc, 0x80000011);
		else
			say(w, "0x%x", b << 8 | next(w));
	}
}

static void call(struct writer *w)
{
	unsigned k = next(w), how = next(w);

	k %= how % 16 ? PRIMS_OFTEN : (unsigned)ARRAY_LEN(prims);
	say(w, how % 5 ? "g:%s(" : "for _ = 1, 5 do g:%s(", prims[k].name);
	for (const char *a = prims[k].args; *a; a++) {
		if (a != prims[k].args)
			say(w, ", ");
		argument(w, *a);
	}
	say(w, how % 5 ? ")\n" : ") end\n");
}

static void write_model(struct writer *w, const struct fuzz_input *in)
{
	w->n = 0;
	w->p = in->code;
	w->left = in->n_code;
	say(w, "return function(g)\n");
	for (unsigned k = 0; k < (in->h.n_cpus & 3u); k++) {
		say(w, "g:on_irq(%u, function()\n", next(w));
		call(w);
		say(w, "end)\n");
	}
	for (unsigned k = 0; w->left && k < MODEL_CALLS_MAX && w->n < sizeof(w->text) - 512; k++)
		call(w);
	say(w, "end\n");
}

static void digest_exit(void *arg, struct vcpu *v, const struct vm_exit *e, enum verdict verdict)
{
	(void)v;
	(void)verdict;
	*(uint64_t *)arg = fnv64(*(uint64_t *)arg, e, sizeof(*e));
}

static uint64_t run_model(const struct fuzz_input *in, const char *path)
{
	static const struct probe_ops digest = {.name = "digest", .on_verdict = digest_exit};
	size_t n;
	const struct controls_profile *p = controls_profiles(&n);
	struct vm_config cfg = {.host = &fuzz_host_ops,
	    .mode = modes_find(MODE_SIMULATE, in->h.paging & 1 ? VMM_TYPE_I : VMM_TYPE_II),
	    .guest = "fuzz",
	    .controls = p[in->h.profile % n].name,
	    .model = path,
	    .mem_size = 1ull << 20,
	    .n_vcpus = 1,
	    .clock = CLOCK_VIRTUAL,
	    .max_insns = in->h.max_insns,
	    .max_exits = in->h.max_exits};
	struct errmsg why = {""};
	struct vm *vm = NULL;
	uint64_t h = FNV64_INIT;

	if (vm_create(&cfg, &vm, &why) != ERR_OK)
		fuzz_fail("a model that was written well: %s", why.text);
	if (vm_add_probe(vm, &digest, &h) != ERR_OK || vm_run(vm) != ERR_OK)
		fuzz_fail("model: run");
	if (!vm->ended || end_status(vm->end.kind, 0) == 5 || vm->end.kind == END_HOST_ERROR)
		fuzz_fail("model: ended by %s: %s", end_name(vm->end.kind), vm->end.detail);
	if (getenv("FUZZ_EXITS"))
		fprintf(stderr, "%s: %s\n", end_name(vm->end.kind), vm->end.detail);
	fuzz_totals.runs++;
	fuzz_totals.ends[vm->end.kind]++;
	h = fnv64(h, vm->end.detail, strlen(vm->end.detail));
	h = fnv64(h, &vm->clock.insns, sizeof(vm->clock.insns));
	h ^= mem_hash(&vm->mem);
	vm_destroy(vm);
	return h;
}

void fuzz_model(const struct fuzz_input *in)
{
	static struct writer w;
	static int fd = -1;
	char path[64];

	write_model(&w, in);
	if (getenv("FUZZ_EXITS"))
		fprintf(stderr, "%s", w.text);
	if (fd < 0)
		fd = memfd_create("model", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, w.text, w.n, 0) != (ssize_t)w.n)
		fuzz_fail("no file for a model");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (run_model(in, path) != run_model(in, path))
		fuzz_fail("a model ran in two ways");
}
