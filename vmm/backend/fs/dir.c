/* dir.c - READDIR and READDIRPLUS. A directory's descriptor has one position, and the guest sends one with each request. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "backend/fs/internal.h"

enum {
	RECORD_MAX = 280, /* of getdents64(2), with the longest name */
	PLUS_SHARE = 5,   /* an entry with attributes is about that much longer */
};

/* As getdents64(2) fills them in. */
struct dirent_record {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};
_Static_assert(offsetof(struct dirent_record, name) == offsetof(struct dirent64, d_name), "");

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static size_t entry_bytes(const char *name, bool plus)
{
	return FUSE_DIRENT_ALIGN(strlen(name) +
				 (plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET));
}

/* A name that is gone meanwhile stays without a node; the guest looks it up if it wants to know. */
static void put_lookup(struct fs_op *op, const struct fs_handle *handle,
		       const struct dirent_record *rec)
{
	struct fuse_entry_out out = {
		.attr = {.ino = rec->ino, .mode = (uint32_t)rec->type << 12},
	};
	struct fs_node *node;
	struct statx stx;

	if (!is_dots(rec->name) && fs_stat_at(handle->fd, rec->name, &stx) == 0 &&
	    fs_node_found(op->fs, handle->node, rec->name, &stx, -1, &node) == 0) {
		fs_entry_fill(op->fs, node, &stx, &out);
		fs_node_done(op->fs, node);
	}
	fs_reply(op, &out, sizeof(out));
}

static void put_dirent(struct fs_op *op, const struct fs_handle *handle,
		       const struct dirent_record *rec, bool plus)
{
	static const char zeros[sizeof(uint64_t)];
	const size_t end = op->reply_len + entry_bytes(rec->name, plus);
	struct fuse_dirent dirent = {
		.ino = rec->ino,
		.off = (uint64_t)rec->off,
		.namelen = (uint32_t)strlen(rec->name),
		.type = rec->type,
	};

	/* The parent of the root is none of the guest's business. */
	if (handle->node == op->fs->root && strcmp(rec->name, "..") == 0)
		dirent.ino = handle->node->key.ino;
	if (plus)
		put_lookup(op, handle, rec);
	fs_reply(op, &dirent, FUSE_NAME_OFFSET);
	fs_reply(op, rec->name, dirent.namelen);
	fs_reply(op, zeros, end - op->reply_len);
}

/* 0: all that was read is in the reply, 1: the reply is full. */
static bool put_dirents(struct fs_op *op, struct fs_handle *handle, size_t len, size_t max,
			bool plus)
{
	size_t at = 0;

	while (at < len) {
		const struct dirent_record *rec = (const void *)(op->worker->dirents + at);

		if (entry_bytes(rec->name, plus) > max - op->reply_len) {
			handle->at = -1; /* the descriptor is further */
			return true;
		}
		put_dirent(op, handle, rec, plus);
		handle->at = rec->off;
		at += rec->reclen;
	}
	return false;
}

/* Under handle->position. */
static int read_dirents(struct fs_op *op, struct fs_handle *handle, off_t off, size_t max,
			bool plus)
{
	size_t want = plus ? max / PLUS_SHARE : max;
	ssize_t n;

	if (want < RECORD_MAX)
		want = RECORD_MAX;
	if (want > sizeof(op->worker->dirents))
		want = sizeof(op->worker->dirents);
	if (handle->at != off && lseek(handle->fd, off, SEEK_SET) < 0)
		return -errno;
	handle->at = off;
	n = getdents64(handle->fd, op->worker->dirents, want);
	if (n < 0)
		return -errno;
	if (put_dirents(op, handle, (size_t)n, max, plus) && op->reply_len == 0)
		return -EINVAL; /* else it would look like the end */
	return 0;
}

static int serve_readdir(struct fs_op *op, bool plus)
{
	struct fs_handle *handle;
	struct fuse_read_in in;
	int r;

	if (!fs_arg(op, &in, sizeof(in)) || in.offset > INT64_MAX)
		return -EINVAL;
	r = fs_handle_use(op->fs, in.fh, true, &handle);
	if (r < 0)
		return r;
	/* A directory that was moved away has names that are not this guest's. */
	r = fs_node_use_held(op->fs, handle->node);
	if (r < 0) {
		fs_handle_done(op->fs, handle);
		return r;
	}
	pthread_mutex_lock(&handle->position);
	r = read_dirents(op, handle, (off_t)in.offset,
			 in.size < op->reply_max ? in.size : op->reply_max, plus);
	pthread_mutex_unlock(&handle->position);
	fs_handle_done(op->fs, handle);
	return r;
}

int fs_serve_readdir(struct fs_op *op)
{
	return serve_readdir(op, false);
}

int fs_serve_readdirplus(struct fs_op *op)
{
	return serve_readdir(op, true);
}
