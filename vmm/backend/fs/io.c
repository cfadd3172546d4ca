/* io.c - requests about the content of an open file. Data goes from the host's file to the guest's pages, and back. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/fs/internal.h"
#include "base/iov.h"

enum {
	AT_ONCE_BYTES =
		128 << 10, /* a longer copy is for another thread, while this one serves others */
	COPY_BYTES_MAX = 16 << 20, /* of one request, so that each has an end */
};

/* preadv2(2) and pwritev2(2) take -1 for the descriptor's own position. */
static bool is_offset(uint64_t offset)
{
	return offset <= INT64_MAX;
}

/* Fewer bytes than asked for, without waiting: is that the end of the file? */
static bool is_end(int fd, uint64_t at)
{
	struct statx stx;

	return fs_stat_fd(fd, &stx) == 0 && at >= stx.stx_size;
}

static int read_handle(struct fs_op *op, int fd, const struct fuse_read_in *in, size_t len)
{
	const bool may_wait = op->may_wait;
	unsigned nr;
	ssize_t n;

	if (!may_wait && len > AT_ONCE_BYTES)
		return FS_WOULD_WAIT;
	nr = iov_slice(op->in, op->nr_in, sizeof(struct fuse_out_header), len, op->worker->data);
	n = preadv2(fd, op->worker->data, (int)nr, (off_t)in->offset, may_wait ? 0 : RWF_NOWAIT);
	/* Not all file systems know RWF_NOWAIT; the call that may wait reports what is wrong. */
	if (!may_wait && (n < 0 || ((size_t)n < len && !is_end(fd, in->offset + (uint64_t)n))))
		return FS_WOULD_WAIT;
	if (n < 0)
		return -errno;
	op->data_len = (size_t)n;
	op->result->read_bytes = (uint64_t)n;
	return 0;
}

int fs_serve_read(struct fs_op *op)
{
	struct fuse_read_in in;
	struct fs_handle *handle;
	size_t room = 0;
	int r;

	if (!fs_arg(op, &in, sizeof(in)) || !is_offset(in.offset))
		return -EINVAL;
	if (op->in_bytes > sizeof(struct fuse_out_header))
		room = op->in_bytes - sizeof(struct fuse_out_header);
	r = fs_handle_use(op->fs, in.fh, false, &handle);
	if (r < 0)
		return r;
	r = read_handle(op, handle->fd, &in, in.size < room ? in.size : room);
	fs_handle_done(op->fs, handle);
	return r;
}

static int write_handle(struct fs_op *op, int fd, const struct fuse_write_in *in)
{
	const int flags = in->flags & O_APPEND ? RWF_APPEND : 0;
	struct fuse_write_out out = {0};
	unsigned nr;
	ssize_t n;
	int r = 0;

	nr = iov_slice(op->out, op->nr_out, sizeof(op->hdr) + sizeof(*in), in->size,
		       op->worker->data);
	n = pwritev2(fd, op->worker->data, (int)nr, (off_t)in->offset, flags);
	if (n < 0)
		return -errno;
	if (in->write_flags & FUSE_WRITE_KILL_SUIDGID)
		r = fs_kill_suid(op->fs, fd);
	out.size = (uint32_t)n;
	op->result->written_bytes = (uint64_t)n;
	fs_reply(op, &out, sizeof(out));
	return r;
}

int fs_serve_write(struct fs_op *op)
{
	struct fuse_write_in in;
	struct fs_handle *handle;
	int r;

	if (!fs_arg(op, &in, sizeof(in)) || !is_offset(in.offset) ||
	    in.size > op->out_bytes - sizeof(op->hdr) - sizeof(in))
		return -EINVAL;
	if (!op->may_wait && (in.size > AT_ONCE_BYTES || in.flags & (O_SYNC | O_DSYNC | O_DIRECT)))
		return FS_WOULD_WAIT;
	r = fs_handle_use(op->fs, in.fh, false, &handle);
	if (r < 0)
		return r;
	atomic_store(&handle->written, true);
	r = write_handle(op, handle->fd, &in);
	fs_handle_done(op->fs, handle);
	return r;
}

/* Some file systems, as NFS, report an error of an earlier write to the close of any descriptor. */
int fs_serve_flush(struct fs_op *op)
{
	struct fuse_flush_in in;
	struct fs_handle *handle;
	int r, fd;

	if (!fs_arg(op, &in, sizeof(in)))
		return -EINVAL;
	r = fs_handle_use(op->fs, in.fh, false, &handle);
	if (r < 0)
		return r;
	if (atomic_load(&handle->written) && !op->may_wait) {
		r = FS_WOULD_WAIT;
	} else if (atomic_exchange(&handle->written, false)) {
		fd = fcntl(handle->fd, F_DUPFD_CLOEXEC, 0);
		r = fd < 0 || close(fd) < 0 ? -errno : 0;
	}
	fs_handle_done(op->fs, handle);
	return r;
}

static int sync_handle(struct fs_op *op, bool is_dir)
{
	struct fuse_fsync_in in;
	struct fs_handle *handle;
	int r;

	if (!fs_arg(op, &in, sizeof(in)))
		return -EINVAL;
	r = fs_handle_use(op->fs, in.fh, is_dir, &handle);
	if (r < 0)
		return r;
	r = in.fsync_flags & FUSE_FSYNC_FDATASYNC ? fdatasync(handle->fd) : fsync(handle->fd);
	if (r < 0)
		r = -errno;
	fs_handle_done(op->fs, handle);
	return r;
}

int fs_serve_fsync(struct fs_op *op)
{
	return sync_handle(op, false);
}

int fs_serve_fsyncdir(struct fs_op *op)
{
	return sync_handle(op, true);
}

int fs_serve_fallocate(struct fs_op *op)
{
	struct fuse_fallocate_in in;
	struct fs_handle *handle;
	int r;

	if (!fs_arg(op, &in, sizeof(in)))
		return -EINVAL;
	if (in.mode &
	    ~(uint32_t)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	r = fs_handle_use(op->fs, in.fh, false, &handle);
	if (r < 0)
		return r;
	if (fallocate(handle->fd, (int)in.mode, (off_t)in.offset, (off_t)in.length) < 0)
		r = -errno;
	fs_handle_done(op->fs, handle);
	return r;
}

/* Other positions are the guest's own. */
int fs_serve_lseek(struct fs_op *op)
{
	struct fuse_lseek_out out = {0};
	struct fuse_lseek_in in;
	struct fs_handle *handle;
	off_t at;
	int r;

	if (!fs_arg(op, &in, sizeof(in)) || (in.whence != SEEK_DATA && in.whence != SEEK_HOLE))
		return -EINVAL;
	r = fs_handle_use(op->fs, in.fh, false, &handle);
	if (r < 0)
		return r;
	at = lseek(handle->fd, (off_t)in.offset, (int)in.whence);
	r = at < 0 ? -errno : 0;
	fs_handle_done(op->fs, handle);
	if (r < 0)
		return r;
	out.offset = (uint64_t)at;
	fs_reply(op, &out, sizeof(out));
	return 0;
}

static int copy_range(struct fs_op *op, int from, struct fs_handle *to,
		      const struct fuse_copy_file_range_in *in)
{
	const size_t len = in->len < COPY_BYTES_MAX ? (size_t)in->len : COPY_BYTES_MAX;
	off_t off_in = (off_t)in->off_in, off_out = (off_t)in->off_out;
	struct fuse_write_out out = {0};
	ssize_t n;

	atomic_store(&to->written, true);
	n = copy_file_range(from, &off_in, to->fd, &off_out, len, 0);
	if (n < 0)
		return -errno;
	out.size = (uint32_t)n;
	op->result->read_bytes = op->result->written_bytes = (uint64_t)n;
	fs_reply(op, &out, sizeof(out));
	return 0;
}

int fs_serve_copy_file_range(struct fs_op *op)
{
	struct fuse_copy_file_range_in in;
	struct fs_handle *from, *to;
	int r;

	if (!fs_arg(op, &in, sizeof(in)) || in.flags != 0)
		return -EINVAL;
	r = fs_handle_use(op->fs, in.fh_in, false, &from);
	if (r < 0)
		return r;
	r = fs_handle_use(op->fs, in.fh_out, false, &to);
	if (r == 0) {
		r = copy_range(op, from->fd, to, &in);
		fs_handle_done(op->fs, to);
	}
	fs_handle_done(op->fs, from);
	return r;
}
