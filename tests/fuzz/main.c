/*
 * The same target without libFuzzer: random inputs of a fixed seed, files, or a corpus to begin with.
 *
 *   fuzz [--n N] [--seconds S] [--seed S] [--first N] [--mutations N] [--found FILE] [FILE...]
 *   fuzz --corpus DIR [--n N] [--seed S] [GUEST...]    writes random inputs, and pieces of code from GUEST
 *
 * A case that stops the program is named by its seed and number ("--first NUMBER --n 1" is the same again) and written
 * to the file of --found; one that takes 20 s (--limit) is stopped. FUZZ_EXITS=1 shows every exit, FUZZ_INSNS=1 every
 * instruction of the reference run.
 */
#include "tests/fuzz/fuzz.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PIECE 256u

static struct options {
	uint64_t n, seconds, seed, first, mutations, limit; /* limit: seconds of one case */
	const char *corpus, *found;
} opt = {.n = 1000, .seed = 1, .mutations = 3, .limit = 20};
static volatile uint64_t at_case;

static struct fuzz_input input;
static uint8_t packed[FUZZ_INPUT_MAX];
static size_t packed_len;

/* Says which case stopped the program, and writes it to the file of --found. */
static void stopped(int sig)
{
	char line[160];
	int n = snprintf(line, sizeof(line), "fuzz: %s in case %llu of seed %llu\n",
	    sig == SIGALRM ? "no end" : strsignal(sig), (unsigned long long)at_case, (unsigned long long)opt.seed);

	FILE *f = opt.found ? fopen(opt.found, "wbe") : NULL;

	if (f && fwrite(packed, 1, packed_len, f) == packed_len)
		fclose(f);
	if (write(2, line, (size_t)n) != n)
		_exit(4);
	_exit(3);
}

static bool read_file(const char *path, uint8_t *buf, size_t max, size_t *n)
{
	FILE *f = fopen(path, "rbe");

	if (!f) {
		fprintf(stderr, "fuzz: %s cannot be read\n", path);
		return false;
	}
	*n = fread(buf, 1, max, f);
	fclose(f);
	return true;
}

static int run_files(char **path, int n)
{
	for (int k = 0; k < n; k++) {
		if (!read_file(path[k], packed, sizeof(packed), &packed_len))
			return 2;
		alarm((unsigned)opt.limit);
		LLVMFuzzerTestOneInput(packed, packed_len);
		printf("%s: ran\n", path[k]);
	}
	return 0;
}

static void write_input(unsigned long k)
{
	char path[4096];
	size_t n = fuzz_pack(&input, packed, sizeof(packed));

	snprintf(path, sizeof(path), "%s/%06lu", opt.corpus, k);
	FILE *f = fopen(path, "wbe");

	if (!f || fwrite(packed, 1, n, f) != n || fclose(f) != 0) {
		fprintf(stderr, "fuzz: %s cannot be written\n", path);
		exit(2);
	}
}

/* Pieces of a guest's image, as code of the mode that they were compiled for, or of any. */
static unsigned long write_pieces(const char *path, unsigned long k)
{
	static uint8_t image[1u << 20];
	struct fuzz_rng r = {opt.seed};
	size_t n;

	if (!read_file(path, image, sizeof(image), &n))
		exit(2);
	for (size_t at = 0; at + 16 < n; at += PIECE) {
		size_t len = n - at < 2 * PIECE ? n - at : 2 * PIECE;

		fuzz_random_input(&r, &input);
		input.h.mode = (uint8_t)(strstr(path, ".bin") ? FUZZ_REAL
					 : fuzz_rnd(&r, 3)    ? FUZZ_LONG64
							      : FUZZ_PROT32);
		memcpy(input.code, image + at, len);
		input.n_code = len;
		write_input(k++);
	}
	return k;
}

static int write_corpus(char **path, int n)
{
	struct fuzz_rng r = {opt.seed};
	unsigned long k = 0;

	for (; k < opt.n; k++) {
		fuzz_random_input(&r, &input);
		write_input(k);
	}
	for (int i = 0; i < n; i++)
		k = write_pieces(path[i], k);
	printf("%lu inputs in %s\n", k, opt.corpus);
	return 0;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void report(double seconds, uint64_t n)
{
	unsigned reasons = 0;

	for (unsigned k = 0; k < EXIT_SDM_COUNT; k++)
		reasons += fuzz_totals.reasons[k] != 0;
	printf("fuzz: seed %llu, %llu inputs in %.1f s (%.0f a second), %llu runs, %llu instructions, %llu exits of %u "
	       "reasons\n",
	    (unsigned long long)opt.seed, (unsigned long long)n, seconds, (double)n / seconds,
	    (unsigned long long)fuzz_totals.runs, (unsigned long long)fuzz_totals.insns,
	    (unsigned long long)fuzz_totals.exits, reasons);
	printf("ends:");
	for (unsigned k = 0; k < END_COUNT; k++)
		if (fuzz_totals.ends[k])
			printf(" %s %llu", end_name((enum end_kind)k), (unsigned long long)fuzz_totals.ends[k]);
	printf("\nexits:");
	for (unsigned k = 0; k < EXIT_SDM_COUNT; k++)
		if (fuzz_totals.reasons[k])
			printf(" %s %llu", exit_name(k), (unsigned long long)fuzz_totals.reasons[k]);
	printf("\n");
}

static int run_random(void)
{
	double start = now();
	uint64_t k;

	for (k = opt.first; k < opt.first + opt.n && !(opt.seconds && now() - start > (double)opt.seconds); k++) {
		struct fuzz_rng r = {opt.seed << 32 ^ k * 0x9e3779b97f4a7c15ull};

		at_case = k;
		fuzz_random_input(&r, &input);
		for (uint64_t m = 0; m <= opt.mutations; m++) {
			packed_len = fuzz_pack(&input, packed, sizeof(packed));
			alarm((unsigned)opt.limit);
			LLVMFuzzerTestOneInput(packed, packed_len);
			fuzz_mutate(&r, &input);
		}
	}
	alarm(0);
	report(now() - start, (k - opt.first) * (opt.mutations + 1));
	return 0;
}

static bool number(const char *name, const char *arg, const char *value, uint64_t *to)
{
	char *end;

	if (strcmp(arg, name) != 0 || !value)
		return false;
	*to = strtoull(value, &end, 0);
	return *end == '\0';
}

int main(int argc, char **argv)
{
	int k = 1;

	for (; k + 1 < argc && argv[k][0] == '-'; k += 2) {
		if (strcmp(argv[k], "--corpus") == 0)
			opt.corpus = argv[k + 1];
		else if (strcmp(argv[k], "--found") == 0)
			opt.found = argv[k + 1];
		else if (!number("--n", argv[k], argv[k + 1], &opt.n) &&
			 !number("--seconds", argv[k], argv[k + 1], &opt.seconds) &&
			 !number("--seed", argv[k], argv[k + 1], &opt.seed) &&
			 !number("--first", argv[k], argv[k + 1], &opt.first) &&
			 !number("--limit", argv[k], argv[k + 1], &opt.limit) &&
			 !number("--mutations", argv[k], argv[k + 1], &opt.mutations)) {
			fprintf(stderr, "fuzz: %s %s: see tests/fuzz/main.c\n", argv[k], argv[k + 1]);
			return 2;
		}
	}
	const int signals[] = {SIGALRM, SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};

	for (unsigned s = 0; s < ARRAY_LEN(signals); s++)
		if (signals[s] != SIGSEGV || !getenv("ASAN_OPTIONS"))
			signal(signals[s], stopped);
	if (opt.corpus)
		return write_corpus(argv + k, argc - k);
	return k < argc ? run_files(argv + k, argc - k) : run_random();
}
