/* slirp_fds.h - the descriptors that libslirp has: by number, in a table that no number is too high for. Pure. */
#ifndef VMM_BACKEND_NET_SLIRP_FDS_H
#define VMM_BACKEND_NET_SLIRP_FDS_H

#include <stdbool.h>
#include <stdint.h>

enum { SLIRP_FDS_MAX = 512 };

enum slirp_fd_owner {
	SLIRP_FD_FORWARD, /* a forwarded port's, made with the network */
	SLIRP_FD_GUEST,   /* opened by a frame of the guest's */
	SLIRP_FD_PEER,    /* accepted at a forwarded port */
	SLIRP_FD_OWNERS,
};

struct slirp_fd {
	int fd;
	enum slirp_fd_owner owner;
	bool listens;     /* accepts connections */
	uint32_t watched; /* epoll events that are waited for; 0: not in the epoll set */
	uint32_t ready;   /* that have come */
	unsigned look;    /* the last one that wanted it watched */
};

/* Zeroed: none. Pointers into it hold until the next slirp_fds_add() or slirp_fds_remove(). */
struct slirp_fds {
	struct slirp_fd fd[SLIRP_FDS_MAX]; /* by ascending fd */
	unsigned nr;
	unsigned nr_of[SLIRP_FD_OWNERS];
};

struct slirp_fd *slirp_fds_find(struct slirp_fds *fds, int fd); /* NULL: not there */

/* A descriptor that is not there yet, with all else zero. NULL when the table is full. */
struct slirp_fd *slirp_fds_add(struct slirp_fds *fds, int fd, enum slirp_fd_owner owner);

void slirp_fds_remove(struct slirp_fds *fds, int fd); /* one that is not there, too */

#endif
