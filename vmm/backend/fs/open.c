/* open.c - files that are opened, made and closed. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backend/fs/internal.h"

enum {
	CREATE_TRIES = 8, /* against a host that makes and removes a name all the time */
	/*
	 * Of the guest's flags. O_DIRECT is not one: the guest leaves its own cache aside, and the host's stays, because a
	 * guest's buffers have no alignment that it asks for. O_APPEND comes with each write.
	 */
	FLAGS_KEPT = O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC,
};

static bool opens_for_writing(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
}

/* Which file it is has been decided: node's descriptor stays the same file, and a regular one. */
static int open_node(struct fs_op *op, const struct fs_node *node, uint32_t flags)
{
	const uint32_t kept = flags & FLAGS_KEPT;
	int r, fd;

	if (node->type != S_IFREG)
		return node->type == S_IFDIR ? -EISDIR : node->type == S_IFLNK ? -ELOOP : -ENXIO;
	if ((flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	if (op->fs->opts.read_only && opens_for_writing(flags))
		return -EROFS;
	r = fs_file_reserve(op->fs);
	if (r < 0)
		return r;
	/* A lease of another process is waited for where that holds up nobody. */
	fd = fs_reopen(op->fs, node->fd, (int)(op->may_wait ? kept : kept | O_NONBLOCK));
	if (fd < 0)
		fs_file_release(op->fs);
	return fd;
}

/* The guest's cache is right as long as the file has the attributes that the guest was sent last. */
static uint32_t cache_flags(struct fs_op *op, const struct fs_node *node, int fd, uint32_t flags)
{
	uint32_t ret = FOPEN_PARALLEL_DIRECT_WRITES;
	struct statx stx;

	if (!opens_for_writing(flags))
		ret |= FOPEN_NOFLUSH;
	if (!(flags & O_TRUNC) && fs_stat_fd(fd, &stx) == 0 &&
	    fs_node_is_as_sent(op->fs, node, &stx))
		ret |= FOPEN_KEEP_CACHE;
	return ret;
}

/* fd is taken, with its reservation. */
static int reply_open(struct fs_op *op, struct fs_node *node, int fd, uint32_t flags, bool is_dir)
{
	struct fuse_open_out out = {0};
	int r;

	if (!is_dir)
		out.open_flags = cache_flags(op, node, fd, flags);
	r = fs_handle_add(op->fs, node, fd, is_dir, &out.fh);
	if (r == 0)
		fs_reply(op, &out, sizeof(out));
	return r;
}

int fs_serve_open(struct fs_op *op)
{
	struct fs_node *node;
	struct fuse_open_in in;
	int r, fd;

	if (!fs_arg(op, &in, sizeof(in)))
		return -EINVAL;
	if (in.flags & O_TRUNC && !op->may_wait)
		return FS_WOULD_WAIT;
	r = fs_node_use(op->fs, op->hdr.nodeid, &node);
	if (r != 0)
		return r;
	fd = open_node(op, node, in.flags);
	if (fd == -EWOULDBLOCK && !op->may_wait)
		r = FS_WOULD_WAIT;
	else if (fd < 0)
		r = fd;
	if (fd >= 0 && in.flags & O_TRUNC && in.open_flags & FUSE_OPEN_KILL_SUIDGID)
		fs_kill_suid(op->fs, fd);
	if (fd >= 0)
		r = reply_open(op, node, fd, in.flags, false);
	fs_node_done(op->fs, node);
	return r;
}

int fs_serve_opendir(struct fs_op *op)
{
	struct fs_node *node;
	int r = fs_node_use(op->fs, op->hdr.nodeid, &node), fd;

	if (r != 0)
		return r;
	r = node->type == S_IFDIR ? fs_file_reserve(op->fs) : -ENOTDIR;
	if (r == 0) {
		fd = fs_reopen(op->fs, node->fd, O_RDONLY | O_DIRECTORY);
		if (fd < 0)
			fs_file_release(op->fs);
		r = fd < 0 ? fd : reply_open(op, node, fd, 0, true);
	}
	fs_node_done(op->fs, node);
	return r;
}

/* A new file that is open, and its entry: fd is taken, with its reservation. name NULL: it has none. */
static int reply_created(struct fs_op *op, struct fs_node *dir, const char *name, int fd,
			 uint32_t flags)
{
	struct fuse_entry_out out;
	struct fs_node *node = NULL;
	struct statx stx;
	int r = fs_stat_fd(fd, &stx), path_fd = -1;

	if (r == 0)
		r = fs_file_reserve(op->fs);
	if (r == 0) {
		path_fd = fs_reopen(op->fs, fd, O_PATH);
		if (path_fd < 0)
			fs_file_release(op->fs);
		r = path_fd < 0
			    ? path_fd
			    : fs_node_found(op->fs, name ? dir : NULL, name, &stx, path_fd, &node);
	}
	if (r != 0 || !node) {
		fs_file_close(op->fs, fd);
		return r;
	}
	fs_entry_fill(op->fs, node, &stx, &out);
	fs_reply(op, &out, sizeof(out));
	r = reply_open(op, node, fd, flags, false);
	if (r < 0)
		fs_node_forget(op->fs, node->id, 1);
	fs_node_done(op->fs, node);
	return r;
}

/* The descriptor of a new file, with its reservation; path is a name in dir, or "." for one without a name. */
static int create_file(struct fs_op *op, const struct fs_node *dir, const char *path,
		       uint32_t flags, mode_t mode)
{
	int r = fs_file_reserve(op->fs), fd;

	if (r < 0)
		return r;
	fd = fs_caller_begin(op);
	if (fd == 0) {
		fd = fs_open_beneath(dir->fd, path, flags, mode);
		fs_caller_end(op);
	}
	if (fd < 0)
		fs_file_release(op->fs);
	else if (!op->worker->own_umask)
		fs_mode_mend(op, fd, mode);
	return fd;
}

/* The name was there: as for a look-up and an open. */
static int open_existing(struct fs_op *op, struct fs_node *dir, const char *name, uint32_t flags)
{
	struct fuse_entry_out out;
	struct fs_node *node;
	struct statx stx;
	int r = fs_stat_at(dir->fd, name, &stx), fd;

	if (r == 0)
		r = fs_node_found(op->fs, dir, name, &stx, -1, &node);
	if (r != 0)
		return r;
	r = fs_node_use_held(op->fs, node);
	fd = r < 0 ? r : open_node(op, node, flags);
	if (fd >= 0) {
		fs_stat_fd(fd, &stx); /* O_TRUNC has changed it */
		fs_entry_fill(op->fs, node, &stx, &out);
		fs_reply(op, &out, sizeof(out));
		r = reply_open(op, node, fd, flags, false);
	} else {
		r = fd;
	}
	if (r < 0)
		fs_node_forget(op->fs, node->id, 1);
	fs_node_done(op->fs, node);
	return r;
}

static int create_in(struct fs_op *op, struct fs_node *dir, const char *name,
		     const struct fuse_create_in *in)
{
	int r = -EEXIST;

	/*
	 * Never opens what is there by its name: it may be a FIFO or a device. ENOENT, ESTALE: it was there, and was removed
	 * before it was opened.
	 */
	for (unsigned i = 0; i < CREATE_TRIES; i++) {
		const uint32_t kept = in->flags & FLAGS_KEPT & ~(uint32_t)O_TRUNC;
		int fd = create_file(op, dir, name, kept | O_CREAT | O_EXCL, in->mode & 07777);

		if (fd >= 0)
			return reply_created(op, dir, name, fd, in->flags);
		if (fd != -EEXIST || in->flags & O_EXCL)
			return fd;
		op->reply_len = 0;
		r = open_existing(op, dir, name, in->flags);
		if (r != -ENOENT && r != -ESTALE)
			break;
	}
	return r;
}

int fs_serve_create(struct fs_op *op)
{
	struct fuse_create_in in;
	struct fs_node *dir;
	const char *name;
	int r;

	if (!fs_arg(op, &in, sizeof(in)) || (in.flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	r = fs_arg_name(op, &name);
	if (r == 0 && in.flags & O_TRUNC && !op->may_wait)
		return FS_WOULD_WAIT;
	if (r == 0)
		r = fs_node_use(op->fs, op->hdr.nodeid, &dir);
	if (r != 0)
		return r;
	r = create_in(op, dir, name, &in);
	if (r == -EWOULDBLOCK && !op->may_wait)
		r = FS_WOULD_WAIT;
	fs_node_done(op->fs, dir);
	return r;
}

/* The name that the guest sends along is its own idea. */
int fs_serve_tmpfile(struct fs_op *op)
{
	struct fuse_create_in in;
	struct fs_node *dir;
	int r, fd;

	if (!fs_arg(op, &in, sizeof(in)))
		return -EINVAL;
	r = fs_node_use(op->fs, op->hdr.nodeid, &dir);
	if (r != 0)
		return r;
	fd = create_file(op, dir, ".",
			 (in.flags & (FLAGS_KEPT | O_EXCL) & ~(uint32_t)O_TRUNC) | O_TMPFILE,
			 in.mode & 07777);
	r = fd < 0 ? fd : reply_created(op, dir, NULL, fd, in.flags);
	fs_node_done(op->fs, dir);
	return r;
}

int fs_serve_release(struct fs_op *op)
{
	struct fuse_release_in in;

	return fs_arg(op, &in, sizeof(in)) ? fs_handle_close(op->fs, in.fh, false) : -EINVAL;
}

int fs_serve_releasedir(struct fs_op *op)
{
	struct fuse_release_in in;

	return fs_arg(op, &in, sizeof(in)) ? fs_handle_close(op->fs, in.fh, true) : -EINVAL;
}
