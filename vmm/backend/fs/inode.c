/* inode.c - requests about a file, open or not: attributes, the file system that it is on. */
#include <errno.h>
#include <fcntl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/fs/internal.h"

static int getattr_of_handle(struct fs_op *op, uint64_t fh)
{
	struct fs_handle *handle;
	struct statx stx;
	int r = fs_handle_use(op->fs, fh, false, &handle);

	if (r < 0)
		return r;
	r = fs_stat_fd(handle->fd, &stx);
	if (r == 0)
		fs_reply_attr(op, handle->node, &stx);
	fs_handle_done(op->fs, handle);
	return r;
}

static int reply_attr_now(struct fs_op *op, struct fs_node *node)
{
	struct statx stx;
	int r = fs_stat_fd(node->fd, &stx);

	if (r == 0)
		fs_reply_attr(op, node, &stx);
	return r;
}

int fs_serve_getattr(struct fs_op *op)
{
	struct fuse_getattr_in in;
	struct fs_node *node;
	int r;

	if (!fs_arg(op, &in, sizeof(in)))
		return -EINVAL;
	if (in.getattr_flags & FUSE_GETATTR_FH)
		return getattr_of_handle(op, in.fh);
	r = fs_node_use(op->fs, op->hdr.nodeid, &node);
	if (r < 0)
		return r;
	r = reply_attr_now(op, node);
	fs_node_done(op->fs, node);
	return r;
}

static int set_owner(struct fs_op *op, const struct fs_node *node, const struct fuse_setattr_in *in)
{
	struct statx stx;
	uid_t uid = UINT32_MAX;
	gid_t gid = UINT32_MAX;
	int r = fs_stat_fd(node->fd, &stx);

	if (r < 0)
		return r;
	if (in->valid & FATTR_UID)
		uid = fs_uid_to_host(op->fs, in->uid, &stx);
	if (in->valid & FATTR_GID)
		gid = fs_gid_to_host(op->fs, in->gid, &stx);
	if (uid == UINT32_MAX && gid == UINT32_MAX)
		return 0;
	return fchownat(node->fd, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* A symbolic link has a mode that nothing changes. */
static int set_file_mode(struct fs_op *op, const struct fs_node *node, mode_t mode)
{
	char name[FS_PROC_NAME_BYTES];

	if (node->type == S_IFLNK)
		return -EOPNOTSUPP;
	return fchmodat(op->fs->proc_fd, fs_proc_name(node->fd, name), mode & 07777, 0) < 0 ? -errno
											    : 0;
}

static int truncate_fd(struct fs_op *op, int fd, const struct fuse_setattr_in *in)
{
	if (ftruncate(fd, (off_t)in->size) < 0)
		return -errno;
	return in->valid & FATTR_KILL_SUIDGID ? fs_kill_suid(op->fs, fd) : 0;
}

static int set_size(struct fs_op *op, const struct fs_node *node, const struct fuse_setattr_in *in)
{
	struct fs_handle *handle;
	int r, fd;

	if (node->type != S_IFREG)
		return node->type == S_IFDIR ? -EISDIR : -EINVAL;
	if (in->valid & FATTR_FH && fs_handle_use(op->fs, in->fh, false, &handle) == 0) {
		/* A handle of another file is that file's. */
		r = handle->node == node ? truncate_fd(op, handle->fd, in) : -EBADF;
		fs_handle_done(op->fs, handle);
		return r;
	}
	r = fs_file_reserve(op->fs);
	if (r < 0)
		return r;
	fd = fs_reopen(op->fs, node->fd, O_WRONLY);
	if (fd < 0) {
		fs_file_release(op->fs);
		return fd;
	}
	r = truncate_fd(op, fd, in);
	fs_file_close(op->fs, fd);
	return r;
}

static bool time_of(uint32_t valid, uint32_t set, uint32_t now, uint64_t sec, uint32_t nsec,
		    struct timespec *ret)
{
	*ret = (struct timespec){.tv_nsec = UTIME_OMIT};
	if (valid & now)
		ret->tv_nsec = UTIME_NOW;
	else if (valid & set)
		*ret = (struct timespec){.tv_sec = (time_t)sec, .tv_nsec = nsec};
	return !(valid & set) || valid & now || nsec < 1000000000;
}

static int set_times(const struct fs_node *node, const struct fuse_setattr_in *in)
{
	struct timespec ts[2];

	if (!time_of(in->valid, FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec, &ts[0]) ||
	    !time_of(in->valid, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec, &ts[1]))
		return -EINVAL;
	return utimensat(node->fd, "", ts, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* Owners first: a change of them clears bits of the mode. Times last: a change of the size sets them. */
static int set_attributes(struct fs_op *op, const struct fs_node *node,
			  const struct fuse_setattr_in *in)
{
	int r = 0;

	if (in->valid & (FATTR_UID | FATTR_GID))
		r = set_owner(op, node, in);
	if (r == 0 && in->valid & FATTR_MODE)
		r = set_file_mode(op, node, in->mode);
	if (r == 0 && in->valid & FATTR_SIZE)
		r = set_size(op, node, in);
	if (r == 0 && in->valid & (FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW | FATTR_MTIME_NOW))
		r = set_times(node, in);
	return r;
}

/* FATTR_CTIME alone changes nothing: the host sets that time itself, with each change. */
int fs_serve_setattr(struct fs_op *op)
{
	struct fuse_setattr_in in;
	struct fs_node *node;
	int r;

	if (!fs_arg(op, &in, sizeof(in)))
		return -EINVAL;
	if (in.valid & FATTR_SIZE && !op->may_wait)
		return FS_WOULD_WAIT;
	r = fs_node_use(op->fs, op->hdr.nodeid, &node);
	if (r < 0)
		return r;
	r = set_attributes(op, node, &in);
	if (r == 0)
		r = reply_attr_now(op, node);
	fs_node_done(op->fs, node);
	return r;
}

int fs_serve_access(struct fs_op *op)
{
	struct fuse_access_in in;
	struct fs_node *node;
	int r;

	if (!fs_arg(op, &in, sizeof(in)) || in.mask & ~(uint32_t)(R_OK | W_OK | X_OK))
		return -EINVAL;
	if (in.mask & W_OK && op->fs->opts.read_only)
		return -EROFS;
	r = fs_node_use(op->fs, op->hdr.nodeid, &node);
	if (r < 0)
		return r;
	/* The C library's function may read attributes itself, and lacks AT_EMPTY_PATH in old releases. */
	if (syscall(SYS_faccessat2, node->fd, "", in.mask, AT_EMPTY_PATH | AT_EACCESS) < 0)
		r = -errno;
	fs_node_done(op->fs, node);
	return r;
}

int fs_serve_statfs(struct fs_op *op)
{
	struct fuse_statfs_out out = {0};
	struct fs_node *node;
	struct statfs st;
	int r = fs_node_use(op->fs, op->hdr.nodeid, &node);

	if (r < 0)
		return r;
	r = fstatfs(node->fd, &st) < 0 ? -errno : 0;
	fs_node_done(op->fs, node);
	if (r < 0)
		return r;
	out.st = (struct fuse_kstatfs){
		.blocks = st.f_blocks,
		.bfree = st.f_bfree,
		.bavail = st.f_bavail,
		.files = st.f_files,
		.ffree = st.f_ffree,
		.bsize = (uint32_t)st.f_bsize,
		.namelen = (uint32_t)st.f_namelen,
		.frsize = (uint32_t)st.f_frsize,
	};
	fs_reply(op, &out, sizeof(out));
	return 0;
}

int fs_serve_syncfs(struct fs_op *op)
{
	return syncfs(op->fs->dir_fd) < 0 ? -errno : 0;
}
