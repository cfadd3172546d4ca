/* unix_socket.h - a listening Unix stream socket at a path, for its owner alone. */
#ifndef VMM_BASE_UNIX_SOCKET_H
#define VMM_BASE_UNIX_SOCKET_H

#include <sys/types.h>
#include <sys/un.h>

struct unix_listener {
	int fd;     /* non-blocking; -1: closed */
	char *path; /* the socket's, once it is ours to remove, or NULL */
	dev_t dev;  /* what path was when it was made */
	ino_t ino;
};

/* -ENAMETOOLONG when the path does not fit; at most UNIX_PATH_BYTES_MAX do. */
enum { UNIX_PATH_BYTES_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };
int unix_address(const char *path, struct sockaddr_un *ret);

/*
 * Makes the socket, with mode 0600, and listens: it has its name from the moment on when it does so. One
 * that a dead process left is replaced.
 * -errno: -EADDRINUSE when a process listens there, -EEXIST when there is something that is not a socket,
 * -ENAMETOOLONG. l is in any case fit for unix_listener_close().
 */
int unix_listener_open(struct unix_listener *l, const char *path, int backlog);

/* Removes the socket unless something else is there by now. Takes one that is closed, too. */
void unix_listener_close(struct unix_listener *l);

#endif
