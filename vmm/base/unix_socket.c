#include "base/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

int unix_address(const char *path, struct sockaddr_un *ret)
{
	const size_t len = strlen(path);

	if (len > UNIX_PATH_BYTES_MAX)
		return -ENAMETOOLONG;
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret->sun_path, path, len);
	return 0;
}

/* 0 when what is at path is a socket that nobody listens on any more. */
static int check_stale(const char *path)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr;
	struct stat st;

	if (fd < 0 || lstat(path, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (unix_address(path, &addr) < 0)
		return -ENAMETOOLONG;
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 && errno == ECONNREFUSED)
		return 0;
	return -EADDRINUSE;
}

/*
 * Takes the place of what a dead process left. Another one may do the same at the same time: so what was
 * taken is looked at once more, and given back if somebody listens on it after all.
 */
static int replace_stale(const char *temp, const char *path)
{
	int r = check_stale(path);

	if (r < 0)
		return r;
	if (renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_EXCHANGE) < 0)
		return rename(temp, path) < 0 ? -errno : 0; /* a file system that cannot */
	r = check_stale(temp);
	if (r < 0)
		renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_EXCHANGE);
	else
		unlink(temp);
	return r;
}

static int move_in(const char *temp, const char *path)
{
	if (renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno == EEXIST)
		return replace_stale(temp, path);
	if (errno != EINVAL)
		return -errno;
	/* A file system that does not know the flag. */
	if (access(path, F_OK) == 0 || errno != ENOENT)
		return replace_stale(temp, path);
	return rename(temp, path) < 0 ? -errno : 0;
}

/*
 * A name in the directory of path that nobody else uses. Where it would be too long, the directory is named
 * by *ret_dir_fd, to be closed once the socket is in its place.
 */
static int temp_address(const char *path, struct sockaddr_un *ret, int *ret_dir_fd)
{
	const char *slash = strrchr(path, '/');
	const int dir_len = slash ? (int)(slash + 1 - path) : 0;
	char dir[sizeof(ret->sun_path)] = "./";
	int n;

	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	n = snprintf(ret->sun_path, sizeof(ret->sun_path), "%.*s.%s.%d", dir_len, path,
		     path + dir_len, (int)getpid());
	if ((size_t)n < sizeof(ret->sun_path))
		return 0;
	if (dir_len)
		snprintf(dir, sizeof(dir), "%.*s", dir_len, path);
	*ret_dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/.%d", *ret_dir_fd,
		 (int)getpid());
	return *ret_dir_fd < 0 ? -errno : 0;
}

static int bind_temp(int fd, const struct sockaddr_un *temp)
{
	/* The socket is a way in: the owner's alone. Linux takes the new file's mode from here. */
	if (fchmod(fd, 0600) < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)temp, sizeof(*temp)) == 0)
		return 0;
	/* Of a process that had our number and was killed in between. */
	if (errno != EADDRINUSE || check_stale(temp->sun_path) < 0 || unlink(temp->sun_path) < 0)
		return -errno;
	return bind(fd, (const struct sockaddr *)temp, sizeof(*temp)) < 0 ? -errno : 0;
}

/*
 * Somebody listens by the time that the socket has its name: between bind() and listen() it would look as
 * one that a dead process left, and a client would be refused.
 */
static int listen_at(struct unix_listener *l, const char *path, int backlog)
{
	AUTO_CLOSE int dir_fd = -1;
	struct sockaddr_un temp;
	struct stat st;
	int r = temp_address(path, &temp, &dir_fd);

	if (r == 0)
		r = bind_temp(l->fd, &temp);
	if (r < 0)
		return r;
	if (lstat(temp.sun_path, &st) < 0 || listen(l->fd, backlog) < 0)
		r = -errno;
	else
		r = move_in(temp.sun_path, path);
	if (r < 0) {
		unlink(temp.sun_path);
		return r;
	}
	l->path = strdup(path);
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	return l->path ? 0 : -ENOMEM;
}

int unix_listener_open(struct unix_listener *l, const char *path, int backlog)
{
	struct sockaddr_un addr;
	int r = unix_address(path, &addr);

	*l = (struct unix_listener){.fd = -1};
	if (r < 0)
		return r;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return l->fd < 0 ? -errno : listen_at(l, path, backlog);
}

void unix_listener_close(struct unix_listener *l)
{
	struct stat st;

	/* The name first: a client finds no socket, rather than one that does not listen. */
	if (l->path && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
	if (l->fd >= 0)
		close(l->fd);
	free(l->path);
	*l = (struct unix_listener){.fd = -1};
}
