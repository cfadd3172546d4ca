/*
 * bench_startup ROUNDS TOLLGATE BARE KERNEL OFFSET ENTRY - from exec to what the guest's first
 * instructions write, of tollgate and of bare_startup in turns; then the resident memory of the VMM
 * compared with guest memory. Prints medians and their ratio.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

/* Nanoseconds from just before the spawn to the first byte on the child's stdout. */
static int64_t first_byte_ns(char *const argv[])
{
	posix_spawn_file_actions_t actions;
	int pipe_fd[2], status;
	int64_t start_ns, end_ns;
	pid_t pid;
	char byte;

	if (pipe(pipe_fd) < 0)
		exit(2);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", 1, 0);
	posix_spawn_file_actions_adddup2(&actions, pipe_fd[1], STDOUT_FILENO);
	posix_spawn_file_actions_addclose(&actions, pipe_fd[0]);
	start_ns = clock_monotonic_ns();
	if (posix_spawn(&pid, argv[0], &actions, NULL, argv, environ) != 0)
		exit(2);
	close(pipe_fd[1]);
	if (read(pipe_fd[0], &byte, 1) != 1) {
		fprintf(stderr, "bench_startup: %s wrote nothing\n", argv[0]);
		exit(2);
	}
	end_ns = clock_monotonic_ns();
	close(pipe_fd[0]);
	posix_spawn_file_actions_destroy(&actions);
	waitpid(pid, &status, 0);
	return end_ns - start_ns;
}

static int compare(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	long rounds;
	int64_t *ns[2];

	if (argc != 7 || (rounds = strtol(argv[1], NULL, 10)) < 1) {
		fputs("usage: bench_startup ROUNDS TOLLGATE BARE KERNEL OFFSET ENTRY\n", stderr);
		return 2;
	}
	char *const ours[] = {argv[2], (char[]){"run"}, argv[4], NULL};
	char *const bare[] = {argv[3], argv[4], argv[5], argv[6], NULL};

	ns[0] = calloc((size_t)rounds, sizeof(*ns[0]));
	ns[1] = calloc((size_t)rounds, sizeof(*ns[1]));
	if (!ns[0] || !ns[1])
		return 2;
	for (long i = 0; i < rounds; i++) {
		for (long k = 0; k < 2; k++) {
			const long which = (i + k) % 2;

			ns[which][i] = first_byte_ns(which ? bare : ours);
		}
	}
	qsort(ns[0], (size_t)rounds, sizeof(*ns[0]), compare);
	qsort(ns[1], (size_t)rounds, sizeof(*ns[1]), compare);
	printf("exec to the guest's first byte, median of %ld rounds in turns:\n", rounds);
	const size_t middle = (size_t)rounds / 2;
	const double ours_ns = (double)ns[0][middle], bare_ns = (double)ns[1][middle];

	printf("  tollgate run       %8.3f ms (fastest %.3f)\n", ours_ns / 1e6,
	       (double)ns[0][0] / 1e6);
	printf("  bare C program     %8.3f ms (fastest %.3f)\n", bare_ns / 1e6,
	       (double)ns[1][0] / 1e6);
	printf("  ratio              %8.3f\n", ours_ns / bare_ns);
	free(ns[0]);
	free(ns[1]);
	return 0;
}
