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

/* The primitives, with a letter for each argument: i integer, p port, s size, n small number, t text, b boolean. */
static const struct {
	const char *name, *args;
} prims[] = {{"compute", "n"}, {"out", "pis"}, {"inp", "ps"}, {"outs", "ptsb"}, {"ins", "pnsb"}, {"cpuid", "in"},
    {"rdmsr", "m"}, {"wrmsr", "mi"}, {"mov_cr", "ni"}, {"read_cr", "n"}, {"mov_dr", "ni"}, {"read_dr", "n"},
    {"clts", ""}, {"lmsw", "n"}, {"smsw", ""}, {"sldt", ""}, {"str", ""}, {"sgdt", ""}, {"sidt", ""}, {"lgdt", "in"},
    {"lidt", "in"}, {"lldt", "n"}, {"ltr", "n"}, {"invlpg", "i"}, {"xsetbv", "ni"}, {"xgetbv", "n"}, {"vmcall", "i"},
    {"load", "is"}, {"store", "iis"}, {"fault", "nii"}, {"hlt", ""}, {"sti", ""}, {"cli", ""}, {"wbinvd", ""},
    {"invd", ""}, {"pause", ""}, {"rdtsc", ""}, {"rdtscp", ""}, {"rdpmc", "n"}, {"code", "w"}, {"cpl", "n"},
    {"triple_fault", ""}, {"start", "x"}};

static void argument(struct writer *w, char kind)
{
	static const unsigned ports[] = {
	    0x20, 0x21, 0x40, 0x43, 0x70, 0x71, 0x3f8, 0x3f9, 0x60, 0x64, 0xcf8, 0xcfc, 0x510, 0x511, 0x604, 0xe9};
	static const char *const places[] = {"0xfee00080", "0xfee00300", "0xfee00320", "0xfee00380", "0xfec00000",
	    "0xb8000", "0x9fffe", "0xffffd", "0x1ffffe", "0xfffffffc", "-1", "0x7fffffffffffffff", "1 << 31",
	    "0x80000011", "0.5", "nil"};
	unsigned b = next(w);

	switch (kind) {
	case 'p':
		say(w, "0x%x", ports[b % ARRAY_LEN(ports)]);
		break;
	case 's':
		say(w, "%d", (const int[]){1, 2, 4, 8, 3, 0}[b % 6]);
		break;
	case 'n':
		say(w, "%d", b & 0x80 ? (int)(b & 7) : (int)(b % 40) - 1);
		break;
	case 't':
		say(w, "('x'):rep(%u)", b);
		break;
	case 'b':
		say(w, b & 1 ? "true" : "false");
		break;
	case 'm':
		say(w, "0x%x",
		    (const unsigned[]){0x10, 0x1b, 0x174, 0x277, 0x6e0, 0x802, 0x830, 0xc0000080, 0xc0000100}[b % 9]);
		break;
	case 'w':
		say(w, "%d", (const int[]){16, 32, 64}[b % 3]);
		break;
	case 'x':
		say(w, b & 1 ? "'boot'" : "'multiboot'");
		break;
	default:
		if (b & 1)
			say(w, "%s", places[b / 2 % ARRAY_LEN(places)]);
		else
			say(w, "0x%x", b << 8 | next(w));
	}
}

static void call(struct writer *w)
{
	unsigned k = next(w) % ARRAY_LEN(prims), how = next(w);

	if (prims[k].args[0] == '\0' && k > 40 && how % 8)
		k = 0;
	say(w, how % 3 ? "pcall(g.%s, g" : how % 5 ? "g:%s(" : "for _ = 1, 5 do g:%s(", prims[k].name);
	for (const char *a = prims[k].args; *a; a++) {
		if (how % 3 || a != prims[k].args)
			say(w, ", ");
		argument(w, *a);
	}
	say(w, how % 3 || how % 5 ? ")\n" : ") end\n");
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
