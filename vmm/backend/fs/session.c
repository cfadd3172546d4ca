/* session.c - INIT and the end of a session; what belongs to no file. */
#include <errno.h>
#include <string.h>

#include "backend/fs/internal.h"
#include "backend/fs/node.h"
#include "base/iov.h"

enum {
	MINOR = 38,      /* of the protocol that this server speaks */
	BACKGROUND = 64, /* requests that the guest sends ahead, as reads */
	CONGESTION = 48,
	WRITE_BYTES_MAX = FS_PAGES_MAX * 4096,
	FORGETS_AT_ONCE = 256,
};

/*
 * Features that the guest is granted if it offers them. Not FUSE_WRITEBACK_CACHE: the host would not see what a program of the
 * guest has written. Not locks: processes of the guest see each other's without the host. Not FUSE_DONT_MASK: the guest
 * applies its umask. Not FUSE_POSIX_ACL.
 */
static const uint32_t flags_granted =
	FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_AUTO_INVAL_DATA |
	FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS |
	FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_HANDLE_KILLPRIV_V2;

void fs_reset(struct fs *fs)
{
	atomic_store(&fs->ready, false);
	fs_handles_drop(fs);
	pthread_mutex_lock(&fs->lock);
	fs_nodes_drop(fs);
	pthread_mutex_unlock(&fs->lock);
}

/* A guest with a later major version sends INIT again, with ours. */
int fs_serve_init(struct fs_op *op)
{
	struct fuse_init_in in = {0};
	struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = MINOR};
	size_t len;
	const uint8_t *args = fs_arg_rest(op, &len);

	/* Older guests send less of it, and later ones more. */
	memcpy(&in, args, len < sizeof(in) ? len : sizeof(in));
	if (len < 4 * sizeof(uint32_t) || op->reply_max < sizeof(out))
		return -EINVAL;
	if (in.major < FUSE_KERNEL_VERSION ||
	    (in.major == FUSE_KERNEL_VERSION && in.minor < FS_MINOR_MIN))
		return -EPROTO;
	fs_reset(op->fs);
	if (in.major == FUSE_KERNEL_VERSION) {
		out.minor = in.minor < MINOR ? in.minor : MINOR;
		out.max_readahead = in.max_readahead;
		out.flags = in.flags & flags_granted;
		out.max_background = BACKGROUND;
		out.congestion_threshold = CONGESTION;
		out.max_write = WRITE_BYTES_MAX;
		out.time_gran = 1;
		out.max_pages = FS_PAGES_MAX;
		atomic_store(&op->fs->ready, true);
	}
	fs_reply(op, &out, sizeof(out));
	return 0;
}

int fs_serve_destroy(struct fs_op *op)
{
	fs_reset(op->fs);
	return 0;
}

int fs_serve_forget(struct fs_op *op)
{
	struct fuse_forget_in in;

	if (!fs_arg(op, &in, sizeof(in)))
		return -EINVAL;
	fs_node_forget(op->fs, op->hdr.nodeid, in.nlookup);
	return 0;
}

int fs_serve_batch_forget(struct fs_op *op)
{
	struct fuse_forget_one one[FORGETS_AT_ONCE];
	struct fuse_batch_forget_in in;
	size_t at = sizeof(op->hdr) + sizeof(in), left;

	if (!fs_arg(op, &in, sizeof(in)))
		return -EINVAL;
	left = (op->out_bytes - at) / sizeof(one[0]);
	if (left > in.count)
		left = in.count;
	while (left > 0) {
		const size_t n = left < FORGETS_AT_ONCE ? left : FORGETS_AT_ONCE;

		iov_read(op->out, op->nr_out, at, one, n * sizeof(one[0]));
		for (size_t i = 0; i < n; i++)
			fs_node_forget(op->fs, one[i].nodeid, one[i].nlookup);
		at += n * sizeof(one[0]);
		left -= n;
	}
	return 0;
}

/* Each request ends by itself, and none waits for another one of the guest: there is nothing to cut short. */
int fs_serve_interrupt(struct fs_op *op)
{
	(void)op;
	return 0;
}
