/*
 * bench_engine FILE - a disk's system calls by io_uring compared with those by threads, in turns. FILE is made with
 * 64 MiB, and removed at the end. It is used past the page cache (O_DIRECT): other reads and writes go through neither
 * where the page cache has them. One line per case: wall-clock and CPU time per call in ns, medians of the rounds.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backend/disk/engine.h"
#include "base/clock.h"
#include "base/macros.h"
#include "random.h"

enum {
	FILE_BYTES = 64 << 20,
	BLOCK_BYTES = 4096,
	DEPTH_MAX = 32,
	ROUNDS = 15,
};

static const struct engine_case {
	const char *name;
	enum disk_io_op op;
	unsigned depth, calls; /* of a round */
} cases[] = {
	{"read-1", DISK_IO_READ, 1, 500},    {"read-32", DISK_IO_READ, 32, 2000},
	{"write-1", DISK_IO_WRITE, 1, 500},  {"write-32", DISK_IO_WRITE, 32, 2000},
	{"fdatasync", DISK_IO_SYNC, 1, 100},
};

struct call {
	struct disk_io io;
	struct iovec iov;
};

static struct {
	struct disk_engine *engine;
	struct call call[DEPTH_MAX];
	const struct engine_case *now;
	unsigned started;
	int fd;
	uint64_t random;
} bench;

struct cost {
	int64_t wall_ns, cpu_ns; /* per call */
};

static void call_start(struct call *call);

static void call_done(struct disk_io *io, ssize_t res)
{
	if (res != (io->op == DISK_IO_SYNC ? 0 : BLOCK_BYTES)) {
		fprintf(stderr, "bench_engine: a call ended with %zd\n", res);
		exit(1);
	}
	if (bench.started < bench.now->calls)
		call_start(container_of(io, struct call, io));
}

static void call_start(struct call *call)
{
	bench.started++;
	call->io = (struct disk_io){
		.op = bench.now->op,
		.fd = bench.fd,
		.now = DISK_IO_LATER,
		.off = (uint64_t)random_below(&bench.random, FILE_BYTES / BLOCK_BYTES) *
		       BLOCK_BYTES,
		.len = BLOCK_BYTES,
		.iov = &call->iov,
		.nr_iov = 1,
		.done = call_done,
	};
	disk_engine_start(bench.engine, &call->io);
}

static int64_t cpu_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static struct cost round_of(const struct engine_case *c, struct disk_engine *engine)
{
	const int64_t wall = clock_monotonic_ns(), cpu = cpu_ns();

	bench.engine = engine;
	bench.now = c;
	bench.started = 0;
	for (unsigned i = 0; i < c->depth; i++)
		call_start(&bench.call[i]);
	disk_engine_drain(engine);
	return (struct cost){(clock_monotonic_ns() - wall) / c->calls, (cpu_ns() - cpu) / c->calls};
}

static int compare_ns(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int64_t median(int64_t ns[ROUNDS])
{
	qsort(ns, ROUNDS, sizeof(*ns), compare_ns);
	return ns[ROUNDS / 2];
}

static void run_case(const struct engine_case *c, struct disk_engine *const engine[2])
{
	int64_t wall[2][ROUNDS], cpu[2][ROUNDS];

	for (unsigned round = 0; round < ROUNDS; round++)
		for (unsigned k = 0; k < 2; k++) {
			const unsigned which = (round + k) % 2;
			const struct cost cost = round_of(c, engine[which]);

			wall[which][round] = cost.wall_ns;
			cpu[which][round] = cost.cpu_ns;
		}
	printf("%-10s %12" PRId64 " %12" PRId64 " %12" PRId64 " %12" PRId64 "\n", c->name,
	       median(wall[0]), median(wall[1]), median(cpu[0]), median(cpu[1]));
}

static void file_make(const char *path)
{
	bench.fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_DIRECT, 0600);
	for (unsigned i = 0; i < DEPTH_MAX; i++) {
		bench.call[i].iov =
			(struct iovec){aligned_alloc(BLOCK_BYTES, BLOCK_BYTES), BLOCK_BYTES};
		if (bench.fd < 0 || !bench.call[i].iov.iov_base) {
			perror(path);
			exit(1);
		}
		memset(bench.call[i].iov.iov_base, (int)i, BLOCK_BYTES);
	}
	unlink(path);
	for (off_t at = 0; at < FILE_BYTES; at += BLOCK_BYTES)
		if (pwrite(bench.fd, bench.call[0].iov.iov_base, BLOCK_BYTES, at) != BLOCK_BYTES) {
			perror(path);
			exit(1);
		}
}

static void batch_done(void *arg)
{
	(void)arg;
}

int main(int argc, char *argv[])
{
	static const enum disk_engine_kind kinds[] = {DISK_ENGINE_BEST, DISK_ENGINE_THREADS};
	struct disk_engine *engine[2];
	struct disk_uring *uring;
	struct event_loop loop;

	if (argc != 2) {
		fprintf(stderr, "usage: bench_engine FILE\n");
		return 2;
	}
	bench.random = UINT64_C(88172645463325252);
	if (disk_uring_create(1, eventfd(0, EFD_CLOEXEC), &uring) < 0) {
		fprintf(stderr, "bench_engine: there is no io_uring here to compare with\n");
		return 1;
	}
	disk_uring_destroy(uring);
	file_make(argv[1]);
	if (event_loop_init(&loop, NULL, NULL) < 0)
		return 1;
	for (unsigned k = 0; k < 2; k++)
		if (disk_engine_create(&loop, kinds[k], DEPTH_MAX, batch_done, NULL, &engine[k]) <
		    0)
			return 1;
	printf("%-10s %12s %12s %12s %12s\n", "ns a call", "io_uring", "threads", "CPU io_uring",
	       "CPU threads");
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		run_case(&cases[i], engine);
	for (unsigned k = 0; k < 2; k++)
		disk_engine_destroy(engine[k]);
	event_loop_fini(&loop);
	return 0;
}
