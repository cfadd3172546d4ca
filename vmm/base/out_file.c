#include "base/out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Terminals and pipes are opened anew: they have no position to share, and O_NONBLOCK is the user's. */
static bool is_shared(const struct stat *st, int fd)
{
	struct stat own;

	return !S_ISCHR(st->st_mode) && !S_ISFIFO(st->st_mode) && fstat(fd, &own) == 0 &&
	       own.st_dev == st->st_dev && own.st_ino == st->st_ino;
}

/* The standard stream that path is, or -1. */
static int shared_fd(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -1;
	if (is_shared(&st, STDOUT_FILENO))
		return STDOUT_FILENO;
	return is_shared(&st, STDERR_FILENO) ? STDERR_FILENO : -1;
}

static int duplicate(int fd)
{
	const int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

	return copy < 0 ? -errno : copy;
}

int out_file_open(const char *path, const struct out_file_opts *opts)
{
	const int flags = O_WRONLY | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC |
			  (opts->append ? O_APPEND : O_TRUNC) | (opts->no_follow ? O_NOFOLLOW : 0);
	const bool is_stdout = strcmp(path, "-") == 0;
	AUTO_CLOSE int fd = -1;
	int shared;

	if (is_stdout && !opts->nonblock)
		return duplicate(STDOUT_FILENO);
	if (is_stdout)
		path = "/dev/stdout";
	shared = opts->no_follow ? -1 : shared_fd(path);
	if (shared >= 0)
		return duplicate(shared);
	fd = open(path, flags, 0666);
	if (fd < 0)
		return -errno;
	if (!opts->nonblock && fcntl(fd, F_SETFL, opts->append ? O_APPEND : 0) < 0)
		return -errno;
	return STEAL_FD(fd);
}
