/*
 * The driver that runs a fuzz target where there is no libFuzzer: over files, or over pseudo-random
 * inputs that are the same on every machine.
 *
 *   replay_NAME [-n COUNT] [-s SEED] [-i FIRST]   inputs FIRST to FIRST + COUNT - 1 of that seed
 *   replay_NAME FILE...                           one input a file, as libFuzzer writes them
 *
 * When an input crashes the target, the last line on stderr says how to run that one again.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

#include "base/parse.h"

enum { INPUT_MAX = 1024 };

/* Set before each input, printed when it crashes. */
static char rerun[128];

static void on_crash(int sig)
{
	/* Nothing can be done when this write fails. */
	if (write(STDERR_FILENO, rerun, strlen(rerun)) < 0)
		_exit(1);
	signal(sig, SIG_DFL);
	raise(sig); /* kills, with a core dump */
}

static void catch_crashes(void)
{
	static const int sigs[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
	struct sigaction sa = {.sa_handler = on_crash, .sa_flags = SA_NODEFER};

	for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		sigaction(sigs[i], &sa, NULL);
}

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
static uint64_t next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Lengths grow with the index, so that a crash shows with a short input first. */
static size_t generate(uint64_t seed, uint64_t index, uint8_t *buf)
{
	uint64_t state = seed + index * UINT64_C(0xd1342543de82ef95);
	const size_t len = (size_t)(next(&state) % (index < INPUT_MAX ? index + 1 : INPUT_MAX));

	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)next(&state);
	return len;
}

/* A copy of just that size, so that AddressSanitizer sees a read past the input's end. */
static int run(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
	return 0;
}

static int run_generated(uint64_t seed, uint64_t first, uint64_t count)
{
	uint8_t buf[INPUT_MAX];
	uint64_t bytes = 0;

	for (uint64_t i = first; i - first < count; i++) {
		const size_t len = generate(seed, i, buf);

		snprintf(rerun, sizeof(rerun),
			 "to run this input again: -s %" PRIu64 " -i %" PRIu64 " -n 1\n", seed, i);
		if (run(buf, len) < 0)
			return -ENOMEM;
		bytes += len;
	}
	printf("%" PRIu64 " inputs, %" PRIu64 " bytes\n", count, bytes);
	return 0;
}

static int run_file(const char *path)
{
	static uint8_t buf[1 << 20];
	FILE *f = fopen(path, "rb");
	size_t len;
	int r;

	if (!f)
		return -errno;
	len = fread(buf, 1, sizeof(buf), f);
	r = ferror(f) ? -EIO : 0;
	fclose(f);
	snprintf(rerun, sizeof(rerun), "to run this input again: %.80s\n", path);
	return r < 0 ? r : run(buf, len);
}

static int usage(const char *name)
{
	fprintf(stderr, "usage: %s [-n COUNT] [-s SEED] [-i FIRST] | %s FILE...\n", name, name);
	return 2;
}

int main(int argc, char **argv)
{
	uint64_t seed = 1, first = 0, count = 10000;
	int opt, r = 0;

	while ((opt = getopt(argc, argv, "n:s:i:")) != -1) {
		uint64_t *val = opt == 'n' ? &count : opt == 's' ? &seed : &first;

		if (opt == '?' || parse_u64(optarg, val) < 0)
			return usage(argv[0]);
	}
	catch_crashes();
	if (optind == argc)
		r = run_generated(seed, first, count);
	for (int i = optind; i < argc && r == 0; i++)
		r = run_file(argv[i]);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", argv[0], strerror(-r));
		return 1;
	}
	return 0;
}
