#include "backend/net/slirp_fds.h"

#include <stddef.h>
#include <string.h>

/* How many are below that number: where it is, or would be. */
static unsigned fds_below(const struct slirp_fds *fds, int fd)
{
	unsigned low = 0, high = fds->nr;

	while (low < high) {
		const unsigned middle = (low + high) / 2;

		if (fds->fd[middle].fd < fd)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct slirp_fd *slirp_fds_find(struct slirp_fds *fds, int fd)
{
	const unsigned at = fds_below(fds, fd);

	return at < fds->nr && fds->fd[at].fd == fd ? &fds->fd[at] : NULL;
}

struct slirp_fd *slirp_fds_add(struct slirp_fds *fds, int fd, enum slirp_fd_owner owner)
{
	const unsigned at = fds_below(fds, fd);

	if (fds->nr == SLIRP_FDS_MAX)
		return NULL;
	memmove(&fds->fd[at + 1], &fds->fd[at], (fds->nr - at) * sizeof(fds->fd[0]));
	fds->fd[at] = (struct slirp_fd){.fd = fd, .owner = owner};
	fds->nr++;
	fds->nr_of[owner]++;
	return &fds->fd[at];
}

void slirp_fds_remove(struct slirp_fds *fds, int fd)
{
	struct slirp_fd *gone = slirp_fds_find(fds, fd);

	if (!gone)
		return;
	fds->nr_of[gone->owner]--;
	fds->nr--;
	memmove(gone, gone + 1, (size_t)(&fds->fd[fds->nr] - gone) * sizeof(*gone));
}
