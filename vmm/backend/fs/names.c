/* names.c - requests about names in directories. Each is one system call with a directory's descriptor and one name. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/fs/internal.h"

/* The entry of a name that is there. */
static int reply_entry(struct fs_op *op, struct fs_node *dir, const char *name)
{
	struct fuse_entry_out out;
	struct fs_node *node;
	struct statx stx;
	int r = fs_stat_at(dir->fd, name, &stx);

	if (r == 0)
		r = fs_node_found(op->fs, dir, name, &stx, -1, &node);
	if (r != 0)
		return r;
	fs_entry_fill(op->fs, node, &stx, &out);
	fs_node_done(op->fs, node);
	fs_reply(op, &out, sizeof(out));
	return 0;
}

static int reply_root(struct fs_op *op)
{
	struct fuse_entry_out out;
	struct statx stx;
	int r = fs_stat_fd(op->fs->root->fd, &stx);

	if (r != 0)
		return r;
	fs_entry_fill(op->fs, op->fs->root, &stx, &out);
	fs_reply(op, &out, sizeof(out));
	return 0;
}

int fs_serve_lookup(struct fs_op *op)
{
	struct fs_node *dir;
	const char *name;
	int r;

	if (op->hdr.nodeid == FUSE_ROOT_ID && op->args_len >= 3 &&
	    strcmp((const char *)op->worker->args, "..") == 0)
		return reply_root(op);
	r = fs_arg_name(op, &name);
	if (r == 0)
		r = fs_node_use(op->fs, op->hdr.nodeid, &dir);
	if (r != 0)
		return r;
	r = reply_entry(op, dir, name);
	fs_node_done(op->fs, dir);
	return r;
}

int fs_serve_readlink(struct fs_op *op)
{
	struct fs_node *node;
	ssize_t n;
	int r = fs_node_use(op->fs, op->hdr.nodeid, &node);

	if (r != 0)
		return r;
	n = readlinkat(node->fd, "", (char *)op->worker->reply, op->reply_max);
	r = n < 0 ? -errno : 0;
	if (n > 0)
		op->reply_len = (size_t)n;
	fs_node_done(op->fs, node);
	return r == -ENOENT ? -EINVAL : r; /* what an O_PATH descriptor of no link gets */
}

/* The process's umask was applied where the thread has none of its own. */
static void mend_mode(const struct fs_op *op, const struct fs_node *dir, const char *name,
		      mode_t mode)
{
	int fd;

	if (op->worker->own_umask)
		return;
	fd = fs_open_beneath(dir->fd, name, O_PATH, 0);
	if (fd < 0)
		return;
	fs_mode_mend(op, fd, mode);
	close(fd);
}

/* A new file that is not opened. */
struct new_file {
	mode_t mode;
	const char *target; /* of a symbolic link */
};

static int make_file(const struct fs_node *dir, const char *name, const struct new_file *file)
{
	int r;

	if (file->target)
		r = symlinkat(file->target, dir->fd, name);
	else if (S_ISDIR(file->mode))
		r = mkdirat(dir->fd, name, file->mode & 07777);
	else
		r = mknodat(dir->fd, name, file->mode, 0);
	return r < 0 ? -errno : 0;
}

static int serve_new(struct fs_op *op, const char *name, const struct new_file *file)
{
	struct fs_node *dir;
	int r = fs_node_use(op->fs, op->hdr.nodeid, &dir);

	if (r != 0)
		return r;
	r = fs_caller_begin(op);
	if (r == 0) {
		r = make_file(dir, name, file);
		fs_caller_end(op);
	}
	if (r == 0 && !file->target)
		mend_mode(op, dir, name, file->mode);
	if (r == 0)
		r = reply_entry(op, dir, name);
	fs_node_done(op->fs, dir);
	return r;
}

int fs_serve_symlink(struct fs_op *op)
{
	struct new_file file = {.mode = S_IFLNK};
	const char *name;
	int r = fs_arg_name(op, &name);

	if (r != 0)
		return r;
	file.target = fs_arg_string(op);
	return file.target ? serve_new(op, name, &file) : -EINVAL;
}

/* Arguments of a request, and the name after them. */
static int take_with_name(struct fs_op *op, void *in, size_t len, const char **ret_name)
{
	return fs_arg(op, in, len) ? fs_arg_name(op, ret_name) : -EINVAL;
}

/* A device node could be opened by a user of the host: none is made. */
int fs_serve_mknod(struct fs_op *op)
{
	struct fuse_mknod_in in;
	const char *name;
	int r = take_with_name(op, &in, sizeof(in), &name);

	if (r != 0)
		return r;
	if (!S_ISREG(in.mode) && !S_ISFIFO(in.mode) && !S_ISSOCK(in.mode))
		return -EPERM;
	return serve_new(op, name, &(struct new_file){.mode = in.mode});
}

int fs_serve_mkdir(struct fs_op *op)
{
	struct fuse_mkdir_in in;
	const char *name;
	int r = take_with_name(op, &in, sizeof(in), &name);

	if (r != 0)
		return r;
	return serve_new(op, name, &(struct new_file){.mode = S_IFDIR | (in.mode & 07777)});
}

static int serve_remove(struct fs_op *op, int flags)
{
	struct fs_node *dir;
	const char *name;
	int r = fs_arg_name(op, &name);

	if (r == 0)
		r = fs_node_use(op->fs, op->hdr.nodeid, &dir);
	if (r != 0)
		return r;
	if (unlinkat(dir->fd, name, flags) < 0)
		r = -errno;
	fs_node_done(op->fs, dir);
	return r;
}

int fs_serve_unlink(struct fs_op *op)
{
	return serve_remove(op, 0);
}

int fs_serve_rmdir(struct fs_op *op)
{
	return serve_remove(op, AT_REMOVEDIR);
}

/* So that its descriptor can be opened again. */
static void note_name(struct fs_op *op, struct fs_node *dir, const char *name)
{
	struct statx stx;

	if (fs_stat_at(dir->fd, name, &stx) == 0)
		fs_node_moved(op->fs, dir, name, &stx);
}

static int rename_in_dirs(struct fs_op *op, uint64_t to_id, unsigned flags)
{
	const char *name, *to_name;
	struct fs_node *dir, *to;
	int r = fs_arg_name(op, &name);

	if (r == 0)
		r = fs_arg_name(op, &to_name);
	if (r == 0)
		r = fs_node_use(op->fs, op->hdr.nodeid, &dir);
	if (r != 0)
		return r;
	r = fs_node_use(op->fs, to_id, &to);
	if (r == 0) {
		if (renameat2(dir->fd, name, to->fd, to_name, flags) < 0)
			r = -errno;
		if (r == 0)
			note_name(op, to, to_name);
		if (r == 0 && flags & RENAME_EXCHANGE)
			note_name(op, dir, name);
		fs_node_done(op->fs, to);
	}
	fs_node_done(op->fs, dir);
	return r;
}

int fs_serve_rename(struct fs_op *op)
{
	struct fuse_rename_in in;

	return fs_arg(op, &in, sizeof(in)) ? rename_in_dirs(op, in.newdir, 0) : -EINVAL;
}

/* RENAME_WHITEOUT makes a device node. */
int fs_serve_rename2(struct fs_op *op)
{
	struct fuse_rename2_in in;

	if (!fs_arg(op, &in, sizeof(in)) ||
	    in.flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	return rename_in_dirs(op, in.newdir, in.flags);
}

static int link_to(struct fs_op *op, const struct fs_node *node, struct fs_node *dir,
		   const char *name)
{
	char proc[FS_PROC_NAME_BYTES];

	/* The link that is followed is /proc's, to the file itself. */
	if (linkat(op->fs->proc_fd, fs_proc_name(node->fd, proc), dir->fd, name,
		   AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return reply_entry(op, dir, name);
}

int fs_serve_link(struct fs_op *op)
{
	struct fs_node *node, *dir;
	struct fuse_link_in in;
	const char *name;
	int r = take_with_name(op, &in, sizeof(in), &name);

	if (r == 0)
		r = fs_node_use(op->fs, op->hdr.nodeid, &dir);
	if (r != 0)
		return r;
	r = fs_node_use(op->fs, in.oldnodeid, &node);
	if (r == 0) {
		r = link_to(op, node, dir, name);
		fs_node_done(op->fs, node);
	}
	fs_node_done(op->fs, dir);
	return r;
}
