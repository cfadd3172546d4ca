/*
 * boot_clock MARKER COMMAND... - runs COMMAND and prints when MARKER first appears in its output:
 * "MARKER_NS END_NS MARKER_TSC STATUS" on one line; the times are from just before the fork, TSC is in
 * ticks. The output itself goes to stderr. For bench/linux-boot, inside the testbed: static, no shell.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include "base/clock.h"

int main(int argc, char **argv)
{
	char seen[1 << 16];
	size_t used = 0;
	int pipe_fd[2], status = 0;
	int64_t start_ns, marker_ns = -1, end_ns;
	uint64_t start_tsc, marker_tsc = 0;
	ssize_t n;
	pid_t pid;

	if (argc < 3 || pipe(pipe_fd) < 0)
		return 2;
	start_ns = clock_monotonic_ns();
	start_tsc = __rdtsc();
	pid = fork();
	if (pid == 0) {
		dup2(pipe_fd[1], STDOUT_FILENO);
		close(pipe_fd[0]);
		close(pipe_fd[1]);
		execv(argv[2], argv + 2);
		_exit(127);
	}
	close(pipe_fd[1]);
	while (pid > 0 && (n = read(pipe_fd[0], seen + used, sizeof(seen) - 1 - used)) > 0) {
		if (write(STDERR_FILENO, seen + used, (size_t)n) < 0)
			break;
		used += (size_t)n;
		seen[used] = '\0';
		if (marker_ns < 0 && strstr(seen, argv[1])) {
			marker_tsc = __rdtsc() - start_tsc;
			marker_ns = clock_monotonic_ns() - start_ns;
		}
		if (used >=
		    sizeof(seen) / 2) { /* keep a tail in which a split marker can be found */
			memmove(seen, seen + used - 256, 256);
			used = 256;
		}
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 2;
	end_ns = clock_monotonic_ns() - start_ns;
	printf("%" PRId64 " %" PRId64 " %" PRIu64 " %d\n", marker_ns, end_ns, marker_tsc,
	       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return marker_ns < 0;
}
