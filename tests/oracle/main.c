/*
 * The oracle's program: oracle [--n CASES] [--seed S] [--jobs J] [--at NUMBER] [--break INSN:FLAG|blocks] [--rows]
 * [--only INSN]
 *
 * Exit status: 0 no unexplained difference, 1 differences, 2 usage, 77 cannot run here (the reason is printed).
 */
#include <cpuid.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/oracle/oracle.h"
#include "tests/x86_native.h"

#define MAX_NAMES 64u

static struct {
	uint64_t n, seed, at;
	unsigned jobs, show; /* show: differences printed, of each worker */
	bool one, rows, verbose, brief;
	const char *broken, *only;
} opt = {.n = 1000000, .seed = 1, .jobs = 1, .show = 20};

/* Shared by all workers. */
struct totals {
	uint64_t done, faults, excluded, nothing, loops, disturbed, differences, unexplained, lost, stopped;
	uint64_t by_blocks, exits, engines_differ;
	uint64_t by_mode[ORC_MODES];
	uint64_t by_id[INSN_COUNT], loops_by_id[INSN_COUNT], exits_by_id[INSN_COUNT];
	char excluded_name[MAX_NAMES][96];
	uint64_t excluded_count[MAX_NAMES];
};
static struct totals *total;

static void *share(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return p;
}

static void add(uint64_t *p, uint64_t n)
{
	__atomic_fetch_add(p, n, __ATOMIC_RELAXED);
}

static void fill_base(struct orc_shared *sh, uint64_t number)
{
	struct rng r;

	rng_at(&r, ~opt.seed, number);
	for (unsigned k = 0; k < ORC_SCRATCH_SIZE; k += 8) {
		uint64_t v = rng_value(&r);

		memcpy(sh->base + k, &v, 8);
	}
}

static void count_excluded(struct orc_row *row, const char *why)
{
	add(&total->excluded, 1);
	if (row)
		add(&row->excluded, 1);
	for (unsigned k = 0; k < MAX_NAMES; k++) {
		if (!total->excluded_name[k][0])
			snprintf(total->excluded_name[k], sizeof(total->excluded_name[k]), "%s", why);
		if (strncmp(total->excluded_name[k], why, sizeof(total->excluded_name[k]) - 1) != 0)
			continue;
		add(&total->excluded_count[k], 1);
		return;
	}
}

struct work {
	struct orc_gen g[ORC_BATCH];
	struct orc_result ours[ORC_BATCH];
	unsigned n;
};
static struct work work;

/* Our two engines have to agree to the bit, but where the contract has an exit for the second. */
static void judge_engines(struct orc_gen *g, const uint8_t *base, const struct orc_result *step)
{
	static unsigned shown;
	static struct orc_result blocks;
	uint32_t reason;
	bool ended = orc_blocks_run(g->c, base, &blocks, &reason);

	if (!ended && orc_exit_is_right(g, base, &blocks, reason)) {
		add(&total->exits, 1);
		add(&total->exits_by_id[g->i.id], 1);
		return;
	}
	add(&total->by_blocks, 1);
	for (unsigned r = 0; r < 16; r++)
		blocks.s.gpr[r] ^= (blocks.s.gpr[r] ^ step->s.gpr[r]) & orc_answer_mask(g, step, r);
	if (ended && memcmp(step, &blocks, sizeof(blocks)) == 0)
		return;
	add(&total->engines_differ, 1);
	if (shown++ >= opt.show)
		return;
	flockfile(stdout);
	if (!ended)
		printf("exit %u: ", reason);
	printf("block runner (\"native\" here: one instruction at a time): ");
	g->c->nat = *step;
	orc_print_case(stdout, g, &blocks, orc_compare(g, &blocks), opt.brief);
	fflush(stdout);
	funlockfile(stdout);
}

/* Our CPU has no result: never right. */
static void stopped(const struct orc_gen *g, const struct orc_result *ours)
{
	static unsigned shown;

	add(&total->stopped, 1);
	add(&total->unexplained, 1);
	add(&total->by_id[g->valid ? g->i.id : INSN_UD_INVALID], 1);
	if (g->row && g->valid)
		add(&g->row->count[g->c->mode], 1);
	if (shown++ >= opt.show)
		return;
	flockfile(stdout);
	orc_print_case(stdout, g, ours, ORC_D_STATUS, opt.brief);
	printf("  our CPU stopped: %s\n", orc_ours_stopped());
	fflush(stdout);
	funlockfile(stdout);
}

/* The cases of batch number; branches that may loop are left out. */
static void prepare(struct orc_shared *sh, struct work *w, uint64_t number)
{
	fill_base(sh, number);
	w->n = 0;
	for (uint64_t k = 0; k < ORC_BATCH; k++) {
		struct orc_gen *g = &w->g[w->n];
		struct orc_case *c = &sh->c[w->n];
		const char *why;

		if (opt.one && number * ORC_BATCH + k != opt.at)
			continue;
		if (!orc_generate(g, c, opt.seed, number * ORC_BATCH + k, &why)) {
			if (why)
				count_excluded(g->valid ? g->row : NULL, why);
			else
				add(&total->nothing, 1);
			continue;
		}
		orc_ours_run(g, sh->base, &w->ours[w->n]);
		if (w->ours[w->n].status == ORC_LOOPS) {
			add(&total->loops, 1);
			add(&total->loops_by_id[g->i.id], 1);
			if (g->row)
				add(&g->row->loops, 1);
			continue;
		}
		if (w->ours[w->n].status == ORC_STOPPED) {
			stopped(g, &w->ours[w->n]);
			continue;
		}
		judge_engines(g, sh->base, &w->ours[w->n]);
		w->n++;
	}
	sh->n = w->n;
}

/* A difference is believed when it comes again. Runs case k alone: afterwards sh->dump is its memory. */
static bool again(struct orc_shared *sh, const struct work *w, unsigned k, uint64_t *diff)
{
	static struct orc_case saved[ORC_BATCH];
	uint64_t d;
	bool alive;

	memcpy(saved, sh->c, sizeof(saved));
	sh->c[0] = saved[k];
	sh->n = 1;
	orc_native_go();
	alive = orc_native_wait();
	saved[k].nat = sh->c[0].nat;
	saved[k].disturbed = true;
	memcpy(sh->c, saved, sizeof(saved));
	sh->n = w->n;
	if (!alive)
		return true;
	d = orc_compare(&w->g[k], &w->ours[k]);
	*diff = d;
	return d != 0;
}

static void print_memory(struct orc_shared *sh, const struct orc_gen *g)
{
	struct orc_result r;
	unsigned shown = 0;

	orc_ours_run(g, sh->base, &r);
	for (unsigned k = 0; k < ORC_SCRATCH_SIZE && shown < 32; k++) {
		if (sh->dump[k] == orc_ours_memory()[k])
			continue;
		printf("  memory %x: native %02x ours %02x\n", ORC_SCRATCH + k, sh->dump[k], orc_ours_memory()[k]);
		shown++;
	}
}

static void judge(struct orc_shared *sh, struct work *w, unsigned k)
{
	static unsigned shown;
	struct orc_gen *g = &w->g[k];
	struct orc_case *c = &sh->c[k];
	uint64_t diff = orc_compare(g, &w->ours[k]), left;

	add(&total->done, 1);
	add(&total->by_mode[c->mode], 1);
	add(&total->by_id[g->valid ? g->i.id : INSN_UD_INVALID], 1);
	if (g->row && g->valid) {
		add(&g->row->count[c->mode], 1);
		if (c->nat.vector && c->nat.vector != VEC_BP + 1)
			add(&g->row->faults, 1);
	}
	if (c->nat.vector)
		add(&total->faults, 1);
	if (c->disturbed)
		add(&total->disturbed, 1);
	if (!diff && !opt.one)
		return;
	left = diff ? orc_explain(g, &w->ours[k], diff) : 0;
	if (left) {
		for (unsigned t = 0; t < 3 && again(sh, w, k, &diff);)
			t++;
		left = diff ? orc_explain(g, &w->ours[k], diff) : 0;
		if (!diff)
			add(&total->disturbed, 1);
	}
	if (diff)
		add(&total->differences, 1);
	if (!left && !opt.one)
		return;
	if (left)
		add(&total->unexplained, 1);
	if (shown++ >= opt.show)
		return;
	flockfile(stdout);
	orc_print_case(stdout, g, &w->ours[k], left ? left : diff, opt.brief);
	if ((diff & ORC_D_MEM) && !opt.brief)
		print_memory(sh, g);
	fflush(stdout);
	funlockfile(stdout);
}

static void lose(struct orc_shared *sh, struct work *w)
{
	unsigned k = sh->progress;

	add(&total->lost, 1);
	printf("the child died or hung in this case:\n");
	orc_print_case(stdout, &w->g[k], &w->ours[k], 0, false);
	fflush(stdout);
	/* The rest of the batch, without it. */
	for (unsigned j = k; j + 1 < w->n; j++) {
		w->g[j] = w->g[j + 1];
		w->ours[j] = w->ours[j + 1];
		sh->c[j] = sh->c[j + 1];
		w->g[j].c = &sh->c[j];
	}
	sh->n = --w->n;
}

/* Worker w of opt.jobs: every opt.jobs-th batch. */
static void worker(unsigned me)
{
	uint64_t batches = (opt.n + ORC_BATCH - 1) / ORC_BATCH;
	struct orc_shared *sh = share(sizeof(struct orc_shared));
	const char *why = orc_native_start(sh);

	if (why) {
		printf("%s\n", why);
		exit(77);
	}
	orc_ours_setup();
	if (!orc_blocks_setup())
		exit(2);
	if (opt.broken && strcmp(opt.broken, "blocks") == 0)
		orc_blocks_break();
	else if (opt.broken && !orc_ours_break(opt.broken))
		exit(2);
	for (uint64_t b = opt.one ? opt.at / ORC_BATCH : me; b < batches || opt.one; b += opt.jobs) {
		prepare(sh, &work, b);
		for (;;) {
			orc_native_go();
			if (orc_native_wait())
				break;
			lose(sh, &work);
		}
		for (unsigned k = 0; k < work.n; k++)
			judge(sh, &work, k);
		if (opt.one)
			break;
	}
	orc_native_stop();
	exit(0);
}

static void print_row(const char *what, const struct orc_row *r)
{
	printf("%s: map %u opcode %02x prefix %02x reg %d rm %d %s %s: 64-bit %" PRIu64 ", 32-bit %" PRIu64
	       ", 16-bit %" PRIu64 ", faults %" PRIu64 "\n",
	    what, r->map, r->opcode, r->prefix, r->reg, r->rm, r->mem ? "memory" : "register", x86_insn_name(r->id),
	    r->count[0], r->count[1], r->count[2], r->faults);
}

/* Rows without a case are listed, unless all of their cases were excluded by name. */
static void report_rows(void)
{
	unsigned hit = 0, excluded = 0;

	for (unsigned k = 0; k < orc_n_rows; k++) {
		const struct orc_row *r = &orc_rows[k];

		if (r->count[0] + r->count[1] + r->count[2])
			hit++;
		else if (r->excluded)
			excluded++;
		else
			print_row(r->loops ? "left out" : "no case", r);
		if (opt.rows)
			print_row(r->count[0] + r->count[1] + r->count[2] || !r->excluded ? "row" : "excluded row", r);
	}
	printf("%u rows of the decode tables: %u run, %u excluded by name, %u without a case\n", orc_n_rows, hit,
	    excluded, orc_n_rows - hit - excluded);
}

static void report(double seconds)
{
	unsigned ids = 0;

	printf("excluded by name:\n");
	for (unsigned k = 0; k < MAX_NAMES && total->excluded_name[k][0]; k++)
		printf("  %9" PRIu64 "  %s\n", total->excluded_count[k], total->excluded_name[k]);
	printf("explained differences:\n");
	orc_explained_report(stdout);
	for (unsigned id = 0; id < INSN_COUNT; id++) {
		ids += total->by_id[id] != 0;
		if (total->loops_by_id[id] && (opt.verbose || !total->by_id[id]))
			printf("left out: %s %" PRIu64 "\n", x86_insn_name((uint16_t)id), total->loops_by_id[id]);
	}
	report_rows();
	printf("%u of %u instructions\n", ids, (unsigned)INSN_COUNT);
	printf("%" PRIu64 " of them by decoded blocks too, %" PRIu64 " differ (%" PRIu64 " more ended by an exit:",
	    total->by_blocks, total->engines_differ, total->exits);
	for (unsigned id = 0; id < INSN_COUNT; id++)
		if (total->exits_by_id[id])
			printf(" %s", x86_insn_name((uint16_t)id));
	printf(")\n");
	printf("%" PRIu64 " instances (64-bit %" PRIu64 ", 32-bit %" PRIu64 ", 16-bit %" PRIu64 "), %" PRIu64
	       " ended by an exception, %" PRIu64 " disturbed and repeated, %" PRIu64 " lost, %" PRIu64
	       " left out, for they might loop, %" PRIu64 " stopped; %" PRIu64 " differences, %" PRIu64
	       " unexplained; %.0f a second\n",
	    total->done, total->by_mode[0], total->by_mode[1], total->by_mode[2], total->faults, total->disturbed,
	    total->lost, total->loops, total->stopped, total->differences, total->unexplained,
	    (double)total->done / seconds);
}

static bool options(int argc, char **argv)
{
	static const struct option long_opts[] = {{"n", 1, NULL, 'n'}, {"seed", 1, NULL, 's'}, {"jobs", 1, NULL, 'j'},
	    {"at", 1, NULL, 'a'}, {"break", 1, NULL, 'b'}, {"rows", 0, NULL, 'r'}, {"only", 1, NULL, 'o'},
	    {"verbose", 0, NULL, 'v'}, {"show", 1, NULL, 'S'}, {"brief", 0, NULL, 'B'}, {0}};
	int o;

	while ((o = getopt_long(argc, argv, "", long_opts, NULL)) != -1) {
		switch (o) {
		case 'n':
			opt.n = strtoull(optarg, NULL, 0);
			break;
		case 's':
			opt.seed = strtoull(optarg, NULL, 0);
			break;
		case 'j':
			opt.jobs = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'a':
			opt.one = true;
			opt.at = strtoull(optarg, NULL, 0);
			break;
		case 'b':
			opt.broken = optarg;
			break;
		case 'o':
			opt.only = optarg;
			break;
		case 'S':
			opt.show = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'B':
			opt.brief = true;
			break;
		case 'r':
			opt.rows = true;
			break;
		case 'v':
			opt.verbose = true;
			break;
		default:
			return false;
		}
	}
	if (opt.one)
		opt.jobs = 1;
	return opt.jobs >= 1 && opt.jobs <= 64 && optind == argc;
}

/* Why this processor cannot judge; NULL: it can. */
static const char *processor(void)
{
	unsigned a, b, c, d;
	const char *why;

	if (!native_known(&why))
		return why;
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_FSGSBASE))
		return "this processor has no FSGSBASE";
	return NULL;
}

int main(int argc, char **argv)
{
	struct timespec t0, t1;
	int status, worst = 0;
	const char *why = processor();
	struct orc_row *rows;

	if (!options(argc, argv)) {
		fprintf(stderr,
		    "oracle [--n CASES] [--seed S] [--jobs J] [--at NUMBER] [--break INSN:FLAG|blocks] [--rows]\n");
		return 2;
	}
	if (why) {
		printf("%s\n", why);
		return 77;
	}
	total = share(sizeof(*total));
	orc_explained_count = share(orc_explained_size());
	orc_rows_find();
	if (opt.only)
		orc_rows_only(opt.only);
	if (!orc_n_rows) {
		fprintf(stderr, "no instruction is called %s\n", opt.only);
		return 2;
	}
	rows = share(orc_n_rows * sizeof(*rows));
	orc_rows_share(rows);
	fflush(stdout);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	for (unsigned k = 0; k < opt.jobs; k++)
		if (fork() == 0)
			worker(k);
	while (wait(&status) > 0)
		if (!WIFEXITED(status) || WEXITSTATUS(status) > worst)
			worst = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	clock_gettime(CLOCK_MONOTONIC, &t1);
	if (worst)
		return worst;
	if (!opt.one)
		report((double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) * 1e-9);
	return total->unexplained || total->lost || total->engines_differ ? 1 : 0;
}
