/*
 * boot_clock MARKER COMMAND... - runs COMMAND and prints when MARKER first appears in its output, on one line:
 * "MARKER_NS END_NS MARKER_TSC STATUS KIB EXITS". The times are from just before the fork, TSC is in ticks. KIB is
 * COMMAND's resident memory at the marker apart from its largest mapping, which is the guest's memory; EXITS is what
 * KVM has counted by then. Both are of a stopped process, and -1 where they cannot be read: KVM's counters are
 * debugfs's. The output itself goes to stderr. For bench/linux-boot and bench/peers, inside the testbed: static, no
 * shell.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include "base/clock.h"

#define KVM_EXITS "/sys/kernel/debug/kvm/exits" /* of all VMs that there are */

struct marked {
	int64_t ns;
	uint64_t tsc;
	long kib, exits;
};

static long exits_so_far(void)
{
	FILE *f = fopen(KVM_EXITS, "re");
	char line[64];
	long n = -1;

	if (!f)
		return -1;
	if (fgets(line, sizeof(line), f))
		n = strtol(line, NULL, 10);
	fclose(f);
	return n;
}

/* The number of a line "NAME: N kB". */
static bool smaps_kib(const char *line, const char *name, long *ret)
{
	const size_t len = strlen(name);

	if (strncmp(line, name, len) != 0 || line[len] != ':')
		return false;
	*ret = strtol(line + len + 1, NULL, 10);
	return true;
}

/* proc_pid_smaps(5): a mapping's Size comes before its Rss. */
static long resident_kib(pid_t pid)
{
	long size = 0, rss = 0, largest = 0, largest_rss = 0, sum = 0;
	char line[512];
	FILE *f;

	snprintf(line, sizeof(line), "/proc/%d/smaps", (int)pid);
	f = fopen(line, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (smaps_kib(line, "Size", &size) || !smaps_kib(line, "Rss", &rss))
			continue;
		sum += rss;
		if (size > largest) {
			largest = size;
			largest_rss = rss;
		}
	}
	fclose(f);
	return sum - largest_rss;
}

/* While all threads stand still, so that the guest cannot end meanwhile. */
static void look(pid_t pid, struct marked *marked)
{
	siginfo_t info;

	kill(pid, SIGSTOP);
	waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOWAIT);
	marked->kib = resident_kib(pid);
	marked->exits = exits_so_far();
	kill(pid, SIGCONT);
}

/* Passes the output on; false when it ended without the marker. */
static bool watch(int fd, pid_t pid, const char *marker, const struct marked *start,
		  struct marked *marked)
{
	char seen[1 << 16];
	size_t used = 0;
	bool found = false;
	ssize_t n;

	while ((n = read(fd, seen + used, sizeof(seen) - 1 - used)) > 0) {
		if (write(STDERR_FILENO, seen + used, (size_t)n) < 0)
			break;
		used += (size_t)n;
		seen[used] = '\0';
		if (!found && strstr(seen, marker)) {
			found = true;
			marked->tsc = __rdtsc() - start->tsc;
			marked->ns = clock_monotonic_ns() - start->ns;
			look(pid, marked);
		}
		if (used >=
		    sizeof(seen) / 2) { /* keep a tail in which a split marker can be found */
			memmove(seen, seen + used - 256, 256);
			used = 256;
		}
	}
	return found;
}

int main(int argc, char **argv)
{
	struct marked start = {0}, marked = {.ns = -1, .kib = -1, .exits = -1};
	int pipe_fd[2], status = 0;
	bool found;
	pid_t pid;

	if (argc < 3 || pipe(pipe_fd) < 0)
		return 2;
	start.ns = clock_monotonic_ns();
	start.tsc = __rdtsc();
	pid = fork();
	if (pid == 0) {
		dup2(pipe_fd[1], STDOUT_FILENO);
		close(pipe_fd[0]);
		close(pipe_fd[1]);
		execv(argv[2], argv + 2);
		_exit(127);
	}
	close(pipe_fd[1]);
	if (pid < 0)
		return 2;
	found = watch(pipe_fd[0], pid, argv[1], &start, &marked);
	if (waitpid(pid, &status, 0) < 0)
		return 2;
	printf("%" PRId64 " %" PRId64 " %" PRIu64 " %d %ld %ld\n", marked.ns,
	       clock_monotonic_ns() - start.ns, marked.tsc,
	       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), marked.kib,
	       marked.exits);
	return !found;
}
