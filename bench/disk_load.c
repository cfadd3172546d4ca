/*
 * disk_load DEVICE read|write random|sequential BLOCK_BYTES DEPTH OPERATIONS
 *
 * Reads or writes DEVICE past the page cache (O_DIRECT), DEPTH operations at a time (Linux's own AIO, by
 * its system calls), and prints "OPERATIONS NANOSECONDS". For the guests of bench/disk: static, and
 * without a library, as busybox is all that they have.
 */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/aio_abi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "random.h"

enum {
	DEPTH_MAX = 256,
	ALIGN = 4096,
};

struct load {
	int fd;
	aio_context_t ctx;
	bool write, sequential;
	uint64_t block_bytes, blocks, next;
	uint64_t random; /* the state: the same places in every run */
	unsigned depth;
	struct iocb iocb[DEPTH_MAX];
	void *buf[DEPTH_MAX];
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t next_block(struct load *load)
{
	assert(load->blocks > 0);
	if (load->sequential)
		return load->next++ % load->blocks;
	return random_next(&load->random) % load->blocks;
}

static void submit(struct load *load, struct iocb **batch, long n)
{
	while (n > 0) {
		long done = syscall(SYS_io_submit, load->ctx, n, batch);

		if (done < 0)
			die("io_submit");
		batch += done;
		n -= done;
	}
}

static void prepare(struct load *load, unsigned slot)
{
	load->iocb[slot] = (struct iocb){
		.aio_data = slot,
		.aio_lio_opcode = load->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)load->fd,
		.aio_buf = (uintptr_t)load->buf[slot],
		.aio_nbytes = load->block_bytes,
		.aio_offset = (int64_t)(next_block(load) * load->block_bytes),
	};
}

static void run(struct load *load, uint64_t operations)
{
	struct io_event event[DEPTH_MAX];
	struct iocb *batch[DEPTH_MAX];
	uint64_t started = 0, done = 0;

	for (; started < load->depth && started < operations; started++) {
		prepare(load, (unsigned)started);
		batch[started] = &load->iocb[started];
	}
	submit(load, batch, (long)started);
	while (done < operations) {
		long n = syscall(SYS_io_getevents, load->ctx, 1, DEPTH_MAX, event, NULL), again = 0;

		if (n < 0)
			die("io_getevents");
		for (long i = 0; i < n; i++) {
			if (event[i].res != (int64_t)load->block_bytes) {
				fprintf(stderr, "disk_load: an operation ended with %" PRId64 "\n",
					(int64_t)event[i].res);
				exit(1);
			}
			done++;
			if (started == operations)
				continue;
			started++;
			prepare(load, (unsigned)event[i].data);
			batch[again++] = &load->iocb[event[i].data];
		}
		submit(load, batch, again);
	}
}

int main(int argc, char *argv[])
{
	static struct load load = {.random = UINT64_C(88172645463325252)};
	uint64_t operations;
	int64_t begin_ns;
	off_t bytes;

	if (argc != 7) {
		fprintf(stderr, "usage: disk_load DEVICE read|write random|sequential BLOCK_BYTES "
				"DEPTH OPERATIONS\n");
		return 2;
	}
	load.write = strcmp(argv[2], "write") == 0;
	load.sequential = strcmp(argv[3], "sequential") == 0;
	load.block_bytes = strtoull(argv[4], NULL, 0);
	load.depth = (unsigned)strtoul(argv[5], NULL, 0);
	operations = strtoull(argv[6], NULL, 0);
	load.fd = open(argv[1], (load.write ? O_WRONLY : O_RDONLY) | O_DIRECT);
	if (load.fd < 0)
		die(argv[1]);
	bytes = lseek(load.fd, 0, SEEK_END);
	load.blocks = load.block_bytes && bytes > 0 ? (uint64_t)bytes / load.block_bytes : 0;
	if (load.depth == 0 || load.depth > DEPTH_MAX || load.blocks == 0) {
		fprintf(stderr, "disk_load: depth or block size out of range\n");
		return 2;
	}
	for (unsigned i = 0; i < load.depth; i++) {
		load.buf[i] = aligned_alloc(ALIGN, (load.block_bytes + ALIGN - 1) / ALIGN * ALIGN);
		if (!load.buf[i])
			die("memory");
		memset(load.buf[i], (int)i + 1, load.block_bytes);
	}
	if (syscall(SYS_io_setup, load.depth, &load.ctx) < 0)
		die("io_setup");
	begin_ns = clock_monotonic_ns();
	run(&load, operations);
	printf("%" PRIu64 " %" PRId64 "\n", operations, clock_monotonic_ns() - begin_ns);
	return 0;
}
