#include "symbols/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/signals.h"
#include "symbols/dwarf.h"

/* Descriptors of the process, besides standard ones that lead nowhere. */
enum { ASK_FD = STDERR_FILENO + 1, FILE_FD, END_FDS };

/* Limits of the process. A distribution's vmlinux with DWARF has 0.5 GB, and takes a tenth of both. */
enum { CPU_SECONDS = 10, MEMORY_BYTES = 1 << 30 };

/* First byte of an answer, so that none is like a closed socket. */
enum { ANSWER_NONE = '-', ANSWER_LINE = '+' };

struct symbols_lines {
	int fd; /* the file */
	struct stat opened;
	int wait_ms;
	int ask; /* -1: not started, or over */
	pid_t pid;
	bool is_over; /* has failed, and is not started again */
};

int symbols_lines_open(int fd, int wait_ms, struct symbols_lines **ret)
{
	AUTO_FREE struct symbols_lines *lines = calloc(1, sizeof(*lines));

	if (!lines)
		return -ENOMEM;
	lines->wait_ms = wait_ms;
	lines->ask = -1;
	/* dup2() of a process to be is to overwrite neither of the two. */
	lines->fd = fcntl(fd, F_DUPFD_CLOEXEC, END_FDS);
	if (lines->fd < 0)
		return -errno;
	if (fstat(lines->fd, &lines->opened) < 0) {
		const int r = -errno;

		close(lines->fd);
		return r;
	}
	*ret = STEAL_PTR(lines);
	return 0;
}

static void lines_end(struct symbols_lines *lines)
{
	lines->is_over = true;
	if (lines->ask < 0)
		return;
	close(lines->ask);
	lines->ask = -1;
	kill(lines->pid, SIGKILL);
	while (waitpid(lines->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

struct symbols_lines *symbols_lines_close(struct symbols_lines *lines)
{
	if (!lines)
		return NULL;
	lines_end(lines);
	close(lines->fd);
	free(lines);
	return NULL;
}

/* Positive error numbers, as posix_spawn's. */
static int add_files(posix_spawn_file_actions_t *actions, int ask, int file)
{
	int r = 0;

	for (int fd = STDIN_FILENO; r == 0 && fd <= STDERR_FILENO; fd++)
		r = posix_spawn_file_actions_addopen(actions, fd, "/dev/null", O_RDWR, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, ask, ASK_FD);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, file, FILE_FD);
	return r ? r : posix_spawn_file_actions_addclosefrom_np(actions, END_FDS);
}

static int lines_spawn(struct symbols_lines *lines, int ask)
{
	char *argv[] = {(char[]){"tollgate"}, (char[]){SYMBOLS_LINES_COMMAND}, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int r = posix_spawn_file_actions_init(&actions);

	if (r)
		return r;
	r = posix_spawnattr_init(&attr);
	if (r == 0) {
		r = add_files(&actions, ask, lines->fd);
		if (r == 0)
			r = signals_reset_at_spawn(&attr); /* SIGXCPU has to end it */
		if (r == 0)
			r = posix_spawn(&lines->pid, "/proc/self/exe", &actions, &attr, argv,
					environ);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

/* A file that was written to may be another kernel's by now. */
static bool is_unchanged(const struct symbols_lines *lines)
{
	struct stat now;

	return fstat(lines->fd, &now) == 0 && now.st_size == lines->opened.st_size &&
	       now.st_mtim.tv_sec == lines->opened.st_mtim.tv_sec &&
	       now.st_mtim.tv_nsec == lines->opened.st_mtim.tv_nsec;
}

void symbols_lines_start(struct symbols_lines *lines)
{
	int ends[2], childs;

	if (lines->ask >= 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return;
	childs = fcntl(ends[1], F_DUPFD_CLOEXEC, END_FDS);
	if (childs >= 0 && lines_spawn(lines, childs) == 0)
		lines->ask = ends[0];
	else
		close(ends[0]);
	close(ends[1]);
	if (childs >= 0)
		close(childs);
}

/* Waits for an answer, for what is left of the time; its bytes, or less than 1. */
static ssize_t receive(struct symbols_lines *lines, char *answer, size_t size)
{
	const int64_t began = clock_monotonic_ns(), end = began + lines->wait_ms * NS_PER_MS;
	struct pollfd fd = {.fd = lines->ask, .events = POLLIN};
	int64_t left = end - began;
	int r;

	do {
		r = poll(&fd, 1, (int)((left + NS_PER_MS - 1) / NS_PER_MS));
		left = end - clock_monotonic_ns();
		left = left > 0 ? left : 0;
	} while (r < 0 && errno == EINTR);
	lines->wait_ms = (int)(left / NS_PER_MS);
	return r > 0 ? recv(lines->ask, answer, size, MSG_DONTWAIT) : -1;
}

const char *symbols_lines_find(struct symbols_lines *lines, uint64_t addr,
			       char ret[SYMBOL_LINE_MAX])
{
	char answer[1 + SYMBOL_LINE_MAX];
	ssize_t n;

	ret[0] = '\0';
	if (lines->is_over)
		return ret;
	symbols_lines_start(lines);
	if (lines->ask < 0 || !is_unchanged(lines) ||
	    send(lines->ask, &addr, sizeof(addr), MSG_NOSIGNAL) < 0 ||
	    (n = receive(lines, answer, sizeof(answer))) < 1) {
		lines_end(lines);
		return ret;
	}
	if (answer[0] != ANSWER_LINE || n - 1 >= SYMBOL_LINE_MAX)
		return ret;
	for (ssize_t i = 1; i < n; i++)
		ret[i - 1] = (char)(answer[i] > ' ' && answer[i] <= '~' ? answer[i] : '?');
	ret[n - 1] = '\0';
	return ret;
}

/* Private memory that can be written, now: field 6 of proc(5)'s statm. */
static rlim_t data_bytes(void)
{
	enum { FIELD = 6 };
	AUTO_CLOSE int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[160];
	const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	char *p = text;

	text[n > 0 ? n : 0] = '\0';
	for (unsigned field = 1; p && field < FIELD; field++) {
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	return p ? (rlim_t)strtoul(p, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE) : 0;
}

static int limit(void)
{
	const rlim_t memory = data_bytes() + MEMORY_BYTES;
	const struct rlimit cpu = {CPU_SECONDS, CPU_SECONDS}, data = {memory, memory}, none = {0};

	if (setrlimit(RLIMIT_CPU, &cpu) < 0 || setrlimit(RLIMIT_DATA, &data) < 0 ||
	    setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_FSIZE, &none) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

int symbols_lines_main(void)
{
	struct dwarf_file *file = NULL;
	char answer[1 + SYMBOL_LINE_MAX];
	bool is_tried = false;
	uint64_t addr;

	if (limit() < 0)
		return EXIT_FAILURE;
	while (recv(ASK_FD, &addr, sizeof(addr), 0) == sizeof(addr)) {
		if (!file && !is_tried)
			file = dwarf_file_open(FILE_FD);
		is_tried = true;
		answer[0] = ANSWER_NONE;
		answer[1] = '\0';
		if (file && dwarf_file_line(file, addr, answer + 1))
			answer[0] = ANSWER_LINE;
		if (send(ASK_FD, answer, 1 + strlen(answer + 1), MSG_NOSIGNAL) < 0)
			break;
	}
	dwarf_file_close(file);
	return EXIT_SUCCESS;
}
