/*
 * One input, run in its ways, and what must hold after each: nothing outside the guest's memory was touched, what the
 * engine maps is the guest's, and all ways end in the same machine.
 */
#include "tests/fuzz/fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/dev/dev.h"
#include "core/lib.h"
#include "core/machine.h"
#include "core/session.h"
#include "core/snapshot.h"
#include "core/x86/insn.h"
#include "modes/emulate/emulate.h"
#include "tracer/audit.h"
#include "tracer/tracer.h"

#define HIDDEN 0xa0000u /* RAM under the VGA window: nobody can reach it */
#define HIDDEN_LEN 0x20000u
#define MAPPINGS_MAX (X86_TLB_ENTRIES * 6u * 3u)

struct fuzz_totals fuzz_totals;

enum way { WAY_STEP, WAY_BLOCKS, WAY_CUT };
static const char *const way_names[] = {"step", "blocks", "cut"};
static const uint32_t cache_limits[] = {0, 0, 0, 1, 2, 3, 5, 40};

/* What a way leaves behind. */
struct outcome {
	uint8_t *snapshot;
	size_t n, room;
	uint64_t exits; /* a digest of every exit and what became of it */
	struct vm_end end;
};

void fuzz_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "fuzz: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	abort();
}

/* --- Observers ---------------------------------------------------------------------------------------------------- */

static void digest_exit(void *arg, struct vcpu *v, const struct vm_exit *e, enum verdict verdict)
{
	uint64_t *h = arg;
	uint64_t what = (uint64_t)verdict << 8 | v->id;

	*h = fnv64(*h, e, sizeof(*e));
	*h = fnv64(*h, &what, sizeof(what));
	if (getenv("FUZZ_EXITS"))
		fprintf(stderr, "%u: %s rip %#llx insns %llu qual %#llx gpa %#llx %s\n", v->id, exit_name(e->reason),
		    (unsigned long long)e->rip, (unsigned long long)e->insns, (unsigned long long)e->qual,
		    (unsigned long long)e->gpa, verdict_name(verdict));
	if (e->reason < EXIT_SDM_COUNT)
		fuzz_totals.reasons[e->reason]++;
}

static void digest_inject(void *arg, struct vcpu *v, const struct x86_event *ev)
{
	uint64_t *h = arg;
	const uint64_t what[] = {v->id, ev->vector, ev->type, ev->error, ev->cr2, ev->dr6};

	*h = fnv64(*h, what, sizeof(what));
}

static void show_insn(void *arg, struct vcpu *v, const struct x86_insn *i)
{
	(void)arg;
	fprintf(stderr, "%u: %llx %s len %u rax %llx rcx %llx rdx %llx rbx %llx\n", v->id,
	    (unsigned long long)(v->cpu.s.rip), x86_insn_name(i->id), i->len, (unsigned long long)v->cpu.s.gpr[0],
	    (unsigned long long)v->cpu.s.gpr[1], (unsigned long long)v->cpu.s.gpr[2],
	    (unsigned long long)v->cpu.s.gpr[3]);
}

static const struct probe_ops shower = {.name = "shower", .on_insn = show_insn};
static const struct probe_ops digest = {.name = "digest", .on_verdict = digest_exit, .on_inject = digest_inject};

/* --- What must hold ----------------------------------------------------------------------------------------------- */

static void check_hidden(const struct vm *vm, const char *way)
{
	static const uint8_t zeros[HIDDEN_LEN];

	if (memcmp(vm->mem.ram + HIDDEN, zeros, HIDDEN_LEN) != 0)
		fuzz_fail("%s: the guest wrote to memory that it cannot reach", way);
}

static void check_firmware(const struct vm *vm, const struct fuzz_input *in, const char *way)
{
	size_t n;
	const uint8_t *image = fuzz_firmware(in, &n);

	if (n && memcmp(vm->machine->rom, image, n) != 0)
		fuzz_fail("%s: the guest wrote to its ROM", way);
}

static void check_mappings(struct vm *vm, const char *way)
{
	static struct mode_mapping maps[MAPPINGS_MAX];
	const struct emulate_vm *em = vm->mode_priv;
	size_t n = vm->cfg.mode->mappings(vm, maps, MAPPINGS_MAX);

	for (size_t k = 0; k < n && k < MAPPINGS_MAX && em->mem_generation == vm->mem.generation; k++)
		if (maps[k].host && mem_page(&vm->mem, maps[k].gpa, maps[k].write) != maps[k].host)
			fuzz_fail("%s: the engine maps %#llx to what is not the guest's", way,
			    (unsigned long long)maps[k].gpa);
}

static void check_end(const struct vm *vm, const char *way)
{
	if (!vm->ended || end_status(vm->end.kind, 0) == 5 || vm->end.kind == END_HOST_ERROR)
		fuzz_fail("%s: ended by %s: %s", way, end_name(vm->end.kind), vm->end.detail);
}

/* --- Running ------------------------------------------------------------------------------------------------------ */

static struct vm *make_vm(const struct fuzz_input *in, enum way way)
{
	size_t n_profiles, n_rom;
	const struct controls_profile *p = controls_profiles(&n_profiles);
	struct vm_config cfg = {.host = &fuzz_host_ops,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_II),
	    .guest = "fuzz",
	    .controls = p[in->h.profile % n_profiles].name,
	    .mem_size = (1ull + in->h.mem % 3) << 20,
	    .n_vcpus = in->h.n_cpus,
	    .clock = CLOCK_VIRTUAL,
	    .seed = in->h.seed,
	    .max_insns = in->h.max_insns,
	    .max_exits = in->h.max_exits};
	struct errmsg why = {""};
	struct vm *vm = NULL;

	if (vm_create(&cfg, &vm, &why) != ERR_OK)
		fuzz_fail("vm_create: %s", why.text);
	const uint8_t *rom = fuzz_firmware(in, &n_rom);

	if (n_rom && machine_set_firmware(vm, rom, n_rom, &why) != ERR_OK)
		fuzz_fail("firmware: %s", why.text);
	if (way != WAY_STEP) {
		uint32_t limit = cache_limits[in->h.ways >> FUZZ_CACHE_SHIFT & 7];
		struct emulate_vm *em = vm->mode_priv;

		em->blocks.limit = limit ? limit : em->blocks.limit;
	}
	return vm;
}

static void run_session(struct session *s, const struct fuzz_input *in, enum way way)
{
	if (way == WAY_BLOCKS && in->h.ways & FUZZ_WAY_STEP_EXIT)
		do
			if (s->ops->step_exit(s) != ERR_OK)
				fuzz_fail("step_exit");
		while (!s->vm->ended);
	if (!s->ops->end(s) && s->ops->run(s) != ERR_OK)
		fuzz_fail("run");
}

static void take_outcome(struct vm *vm, struct outcome *o)
{
	struct errmsg why = {""};
	size_t need = snapshot_size(vm);

	if (o->room < need) {
		free(o->snapshot);
		o->snapshot = malloc(need);
		o->room = o->snapshot ? need : 0;
	}
	if (!o->snapshot || snapshot_save(vm, o->snapshot, need, &o->n, &why) != ERR_OK)
		fuzz_fail("snapshot: %s", why.text);
	o->end = vm->end;
}

/* A snapshot of vm goes to a second machine, which takes its place. */
static struct vm *cut(struct vm *vm, const struct fuzz_input *in)
{
	size_t need = snapshot_size(vm), used;
	struct errmsg why = {""};
	struct vm *next = make_vm(in, WAY_CUT);
	static struct outcome again;
	uint8_t *buf = malloc(need);

	if (!buf || snapshot_save(vm, buf, need, &used, &why) != ERR_OK || used != need ||
	    snapshot_restore(next, buf, used, &why) != ERR_OK)
		fuzz_fail("snapshot: %s", why.text);
	take_outcome(next, &again);
	if (again.n != used || memcmp(again.snapshot, buf, used) != 0)
		fuzz_fail("a snapshot that was restored and saved again is another one");
	free(buf);
	vm_destroy(vm);
	return next;
}

static void count(const struct vm *vm)
{
	fuzz_totals.runs++;
	fuzz_totals.insns += vm->clock.insns;
	for (unsigned k = 0; k < vm->n_vcpus; k++)
		fuzz_totals.exits += vm->vcpus[k].counts.exits;
	fuzz_totals.ends[vm->end.kind]++;
	fuzz_totals.built += ((const struct emulate_vm *)vm->mode_priv)->blocks.built;
}

static void observe(struct vm *vm, const struct probe_ops *probe, void *arg)
{
	if (vm_add_probe(vm, probe, arg) != ERR_OK)
		fuzz_fail("probe %s", probe->name);
}

/* The first half; for the second, another machine where that is the way. A restored CPU has an empty TLB, which a guest
 * notices that changes its tables and does not say so: the others lose theirs at the same place. */
static struct vm *run_half(struct vm *vm, const struct fuzz_input *in, enum way way)
{
	uint64_t exits = FNV64_INIT;

	vm->cfg.max_insns = in->h.max_insns / 2;
	observe(vm, &digest, &exits);
	if (vm_run(vm) != ERR_OK)
		fuzz_fail("run");
	if (way == WAY_CUT && vm->end.kind == END_LIMIT_INSNS)
		vm = cut(vm, in);
	vm->n_probes = 0;
	vm_probes_changed(vm);
	vm->cfg.max_insns = in->h.max_insns;
	for (unsigned k = 0; k < vm->n_vcpus; k++)
		x86_tlb_flush(&vm->vcpus[k].cpu);
	return vm;
}

static void check(struct vm *vm, const struct fuzz_input *in, const char *way)
{
	check_hidden(vm, way);
	check_firmware(vm, in, way);
	check_mappings(vm, way);
	check_end(vm, way);
	count(vm);
}

static void run_way(const struct fuzz_input *in, enum way way, struct outcome *o)
{
	static const struct tracer_config tracing = {.stats = true, .ring_records = 64};
	struct vm *vm = make_vm(in, way);
	struct census census = {0};
	struct session *s = NULL;
	struct tracer *t = NULL;
	struct errmsg why = {""};

	fuzz_place(vm, in);
	fuzz_break(vm, way == WAY_STEP);
	if (in->h.ways & FUZZ_WAY_CUT)
		vm = run_half(vm, in, way);
	o->exits = FNV64_INIT;
	observe(vm, &digest, &o->exits);
	if (way == WAY_STEP)
		observe(vm, &census_probe, &census);
	if (way == WAY_STEP && getenv("FUZZ_INSNS"))
		observe(vm, &shower, NULL);
	if (way == WAY_BLOCKS && in->h.ways & FUZZ_WAY_TRACER && tracer_open(vm, &tracing, &t, &why) != ERR_OK)
		fuzz_fail("tracer: %s", why.text);
	if (session_open_local(vm, &s, &why) != ERR_OK)
		fuzz_fail("session: %s", why.text);
	run_session(s, in, way);
	if (t && tracer_close(t, &why) != ERR_OK)
		fuzz_fail("tracer: %s", why.text);
	check(vm, in, way_names[way]);
	take_outcome(vm, o);
	s->ops->close(s);
}

/* --- Comparing ---------------------------------------------------------------------------------------------------- */

/* The RAM of a snapshot is a map of its pages, then those that are not zero: the address of a byte of it. */
static uint64_t ram_address(const uint8_t *ram, uint64_t ram_size, size_t at)
{
	size_t map = (size_t)(ram_size / PAGE_SIZE_4K + 63) / 64 * 8, page = (at - map) / PAGE_SIZE_4K, k;

	if (at < map)
		return ram_size;
	for (k = 0; k < ram_size / PAGE_SIZE_4K; k++)
		if (ram[k / 8] >> k % 8 & 1 && page-- == 0)
			break;
	return k * PAGE_SIZE_4K + (at - map) % PAGE_SIZE_4K;
}

/* The first section of the snapshots that differs, and where. */
static void say_difference(const struct outcome *a, const struct outcome *b, uint64_t ram_size)
{
	size_t n = a->n < b->n ? a->n : b->n, section = 0;

	fprintf(
	    stderr, "fuzz: %zu and %zu bytes; ended by %s (%s)\n", a->n, b->n, end_name(a->end.kind), a->end.detail);
	for (size_t at = 24; at + 40 <= n;) {
		uint64_t len;

		memcpy(&len, a->snapshot + at + 16, 8);
		size_t end = at + 40 + ((size_t)len + 7) / 8 * 8;

		for (size_t k = at, said = 0; k < end && k < n && said < 24; k++)
			if (a->snapshot[k] != b->snapshot[k]) {
				if (memcmp(a->snapshot + at, "ram", 4) == 0)
					fprintf(stderr, "fuzz: at %#llx\n",
					    (unsigned long long)ram_address(
						a->snapshot + at + 40, ram_size, k - at - 40));
				fprintf(stderr, "fuzz: section %zu (%.8s %.16s) at %#zx: %02x and %02x\n", section,
				    (const char *)a->snapshot + at, (const char *)a->snapshot + at + 24, k - at - 40,
				    a->snapshot[k], b->snapshot[k]);
				said++;
			}
		at = end;
		section++;
	}
}

static void compare(const struct fuzz_input *in, const struct outcome *a, const struct outcome *b, enum way way)
{
	if (a->end.kind != b->end.kind || a->end.code != b->end.code || strcmp(a->end.detail, b->end.detail) != 0)
		fuzz_fail("step ends by %s (%s), %s by %s (%s)", end_name(a->end.kind), a->end.detail, way_names[way],
		    end_name(b->end.kind), b->end.detail);
	if (a->n != b->n || memcmp(a->snapshot, b->snapshot, a->n) != 0) {
		say_difference(a, b, (1ull + in->h.mem % 3) << 20);
		fuzz_fail("step and %s end in different machines", way_names[way]);
	}
	if (a->exits != b->exits)
		fuzz_fail("step and %s have different exits", way_names[way]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct outcome outcomes[3];
	static struct fuzz_input in;

	if (!fuzz_parse(&in, data, n))
		return 0;
	if (in.h.mode == FUZZ_MODEL) {
		fuzz_model(&in);
		return 0;
	}
	run_way(&in, WAY_STEP, &outcomes[WAY_STEP]);
	run_way(&in, WAY_BLOCKS, &outcomes[WAY_BLOCKS]);
	compare(&in, &outcomes[WAY_STEP], &outcomes[WAY_BLOCKS], WAY_BLOCKS);
	if (in.h.ways & FUZZ_WAY_CUT) {
		run_way(&in, WAY_CUT, &outcomes[WAY_CUT]);
		compare(&in, &outcomes[WAY_STEP], &outcomes[WAY_CUT], WAY_CUT);
	}
	return 0;
}
