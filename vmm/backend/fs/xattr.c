/*
 * xattr.c - extended attributes: those of users alone. Others have a meaning for the host: capabilities of programs,
 * labels of its security modules, access control lists, layers of an overlay.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "backend/fs/internal.h"

enum { PROC_PATH_BYTES = 32 };

static bool is_user_xattr(const char *name)
{
	return strncmp(name, "user.", 5) == 0 && name[5];
}

/* Links and special files have none of users. */
static bool has_xattrs(const struct fs_node *node)
{
	return node->type == S_IFREG || node->type == S_IFDIR;
}

static const char *xattr_path(const struct fs_node *node, char buf[PROC_PATH_BYTES])
{
	snprintf(buf, PROC_PATH_BYTES, "/proc/self/fd/%d", node->fd);
	return buf;
}

/* The next argument, the name of an attribute, and the node. */
static int xattr_begin(struct fs_op *op, const char **ret_name, struct fs_node **ret)
{
	const char *name = fs_arg_string(op);
	struct fs_node *node;
	int r;

	if (!name)
		return -EINVAL;
	if (!is_user_xattr(name))
		return -EOPNOTSUPP;
	r = fs_node_use(op->fs, op->hdr.nodeid, &node);
	if (r < 0)
		return r;
	*ret_name = name;
	*ret = node;
	return 0;
}

int fs_serve_setxattr(struct fs_op *op)
{
	/* Without FUSE_SETXATTR_EXT it has its first two members. */
	struct fuse_setxattr_in in = {0};
	char path[PROC_PATH_BYTES];
	const uint8_t *value;
	struct fs_node *node;
	const char *name;
	size_t len;
	int r;

	if (!fs_arg(op, &in, FUSE_COMPAT_SETXATTR_IN_SIZE))
		return -EINVAL;
	r = xattr_begin(op, &name, &node);
	if (r < 0)
		return r;
	value = fs_arg_rest(op, &len);
	if (in.size > len || in.flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE))
		r = -EINVAL;
	else if (!has_xattrs(node))
		r = -EPERM;
	else if (setxattr(xattr_path(node, path), name, value, in.size, (int)in.flags) < 0)
		r = -errno;
	fs_node_done(op->fs, node);
	return r;
}

/* As getxattr(2): the length alone where the guest has no room for the value. */
static int reply_xattr(struct fs_op *op, uint32_t room, ssize_t n)
{
	struct fuse_getxattr_out out = {.size = (uint32_t)n};

	if (room == 0 && op->reply_max < sizeof(out))
		return -EINVAL;
	if (room == 0) {
		op->reply_len = 0;
		fs_reply(op, &out, sizeof(out));
	} else if ((size_t)n > room || (size_t)n > op->reply_max) {
		return -ERANGE;
	} else {
		op->reply_len = (size_t)n;
	}
	return 0;
}

int fs_serve_getxattr(struct fs_op *op)
{
	char path[PROC_PATH_BYTES];
	struct fuse_getxattr_in in;
	struct fs_node *node;
	const char *name;
	ssize_t n = -1;
	int r;

	if (!fs_arg(op, &in, sizeof(in)))
		return -EINVAL;
	r = xattr_begin(op, &name, &node);
	if (r < 0)
		return r;
	errno = ENODATA;
	if (has_xattrs(node))
		n = getxattr(xattr_path(node, path), name, op->worker->reply, FS_XATTR_BYTES);
	r = n < 0 ? -errno : reply_xattr(op, in.size, n);
	fs_node_done(op->fs, node);
	return r;
}

/* Keeps the names of users' attributes. */
static size_t xattrs_filter(char *names, size_t len)
{
	size_t kept = 0;

	for (size_t at = 0, n; at < len; at += n) {
		n = strnlen(names + at, len - at - 1) + 1;
		if (!is_user_xattr(names + at))
			continue;
		memmove(names + kept, names + at, n);
		kept += n;
	}
	return kept;
}

int fs_serve_listxattr(struct fs_op *op)
{
	char path[PROC_PATH_BYTES], *names = (char *)op->worker->reply;
	struct fuse_getxattr_in in;
	struct fs_node *node;
	ssize_t n = 0;
	int r;

	if (!fs_arg(op, &in, sizeof(in)))
		return -EINVAL;
	r = fs_node_use(op->fs, op->hdr.nodeid, &node);
	if (r < 0)
		return r;
	if (has_xattrs(node))
		n = listxattr(xattr_path(node, path), names, FS_XATTR_BYTES);
	r = n < 0 ? -errno : reply_xattr(op, in.size, (ssize_t)xattrs_filter(names, (size_t)n));
	fs_node_done(op->fs, node);
	return r;
}

int fs_serve_removexattr(struct fs_op *op)
{
	char path[PROC_PATH_BYTES];
	struct fs_node *node;
	const char *name;
	int r = xattr_begin(op, &name, &node);

	if (r < 0)
		return r;
	if (!has_xattrs(node))
		r = -EPERM;
	else if (removexattr(xattr_path(node, path), name) < 0)
		r = -errno;
	fs_node_done(op->fs, node);
	return r;
}
