#include "base/unix_socket.h"

#include <errno.h>
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

/* 0 when what is at addr is a socket that nobody listens on any more. */
static int check_stale(const struct sockaddr_un *addr)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct stat st;

	if (fd < 0 || lstat(addr->sun_path, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 && errno == ECONNREFUSED)
		return 0;
	return -EADDRINUSE;
}

static int bind_path(int fd, const struct sockaddr_un *addr)
{
	int r;

	/* The socket is a way in: the owner's alone. Linux takes the new file's mode from here. */
	if (fchmod(fd, 0600) < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	r = check_stale(addr);
	if (r < 0)
		return r;
	if (unlink(addr->sun_path) < 0 ||
	    bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		return -errno;
	return 0;
}

int unix_listener_open(struct unix_listener *l, const char *path, int backlog)
{
	struct sockaddr_un addr;
	struct stat st;
	int r = unix_address(path, &addr);

	*l = (struct unix_listener){.fd = -1};
	if (r < 0)
		return r;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return -errno;
	r = bind_path(l->fd, &addr);
	if (r < 0)
		return r;
	if (lstat(addr.sun_path, &st) < 0)
		return -errno;
	l->path = strdup(addr.sun_path);
	if (!l->path)
		return -ENOMEM;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	return listen(l->fd, backlog) < 0 ? -errno : 0;
}

void unix_listener_close(struct unix_listener *l)
{
	struct stat st;

	if (l->fd >= 0)
		close(l->fd);
	if (l->path && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
	free(l->path);
	*l = (struct unix_listener){.fd = -1};
}
