/* serve.c - one request from its bytes to its reply: the header, arguments, which handler, what a client may do. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "backend/fs/internal.h"
#include "base/iov.h"
#include "base/macros.h"

/* Properties of a request. */
enum {
	ROW_CHANGES = 1 << 0,  /* refused where the server is read-only */
	ROW_NO_REPLY = 1 << 1, /* the guest waits for none */
	ROW_ANYTIME = 1 << 2,  /* also without a session */
	ROW_WAITS = 1 << 3,    /* the host may take long */
};

struct row {
	int (*serve)(struct fs_op *op);
	size_t reply_min; /* bytes after the header that the guest must have room for */
	size_t args_max;  /* that are fetched; 0: all */
	unsigned flags;
};

/* Locks are the guest's own, because they are not negotiated. A request that is not here does not exist (ENOSYS). */
static const struct row rows[] = {
	[FUSE_LOOKUP] = {.serve = fs_serve_lookup, .reply_min = sizeof(struct fuse_entry_out)},
	[FUSE_FORGET] = {.serve = fs_serve_forget, .flags = ROW_NO_REPLY},
	[FUSE_GETATTR] = {.serve = fs_serve_getattr, .reply_min = sizeof(struct fuse_attr_out)},
	[FUSE_SETATTR] = {.serve = fs_serve_setattr,
			  .reply_min = sizeof(struct fuse_attr_out),
			  .flags = ROW_CHANGES},
	[FUSE_READLINK] = {.serve = fs_serve_readlink},
	[FUSE_SYMLINK] = {.serve = fs_serve_symlink,
			  .reply_min = sizeof(struct fuse_entry_out),
			  .flags = ROW_CHANGES},
	[FUSE_MKNOD] = {.serve = fs_serve_mknod,
			.reply_min = sizeof(struct fuse_entry_out),
			.flags = ROW_CHANGES},
	[FUSE_MKDIR] = {.serve = fs_serve_mkdir,
			.reply_min = sizeof(struct fuse_entry_out),
			.flags = ROW_CHANGES},
	[FUSE_UNLINK] = {.serve = fs_serve_unlink, .flags = ROW_CHANGES},
	[FUSE_RMDIR] = {.serve = fs_serve_rmdir, .flags = ROW_CHANGES},
	[FUSE_RENAME] = {.serve = fs_serve_rename, .flags = ROW_CHANGES},
	[FUSE_LINK] = {.serve = fs_serve_link,
		       .reply_min = sizeof(struct fuse_entry_out),
		       .flags = ROW_CHANGES},
	[FUSE_OPEN] = {.serve = fs_serve_open, .reply_min = sizeof(struct fuse_open_out)},
	[FUSE_READ] = {.serve = fs_serve_read},
	[FUSE_WRITE] = {.serve = fs_serve_write,
			.reply_min = sizeof(struct fuse_write_out),
			.args_max = sizeof(struct fuse_write_in),
			.flags = ROW_CHANGES},
	[FUSE_STATFS] = {.serve = fs_serve_statfs, .reply_min = sizeof(struct fuse_statfs_out)},
	[FUSE_RELEASE] = {.serve = fs_serve_release},
	[FUSE_FSYNC] = {.serve = fs_serve_fsync, .flags = ROW_WAITS},
	[FUSE_SETXATTR] = {.serve = fs_serve_setxattr, .flags = ROW_CHANGES},
	[FUSE_GETXATTR] = {.serve = fs_serve_getxattr},
	[FUSE_LISTXATTR] = {.serve = fs_serve_listxattr},
	[FUSE_REMOVEXATTR] = {.serve = fs_serve_removexattr, .flags = ROW_CHANGES},
	[FUSE_FLUSH] = {.serve = fs_serve_flush},
	[FUSE_INIT] = {.serve = fs_serve_init, .flags = ROW_ANYTIME},
	[FUSE_OPENDIR] = {.serve = fs_serve_opendir, .reply_min = sizeof(struct fuse_open_out)},
	[FUSE_READDIR] = {.serve = fs_serve_readdir},
	[FUSE_RELEASEDIR] = {.serve = fs_serve_releasedir},
	[FUSE_FSYNCDIR] = {.serve = fs_serve_fsyncdir, .flags = ROW_WAITS},
	[FUSE_ACCESS] = {.serve = fs_serve_access},
	[FUSE_CREATE] = {.serve = fs_serve_create,
			 .reply_min = sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out),
			 .flags = ROW_CHANGES},
	[FUSE_INTERRUPT] = {.serve = fs_serve_interrupt, .flags = ROW_NO_REPLY | ROW_ANYTIME},
	[FUSE_DESTROY] = {.serve = fs_serve_destroy, .flags = ROW_ANYTIME},
	[FUSE_BATCH_FORGET] = {.serve = fs_serve_batch_forget,
			       .args_max = sizeof(struct fuse_batch_forget_in),
			       .flags = ROW_NO_REPLY},
	[FUSE_FALLOCATE] = {.serve = fs_serve_fallocate, .flags = ROW_CHANGES | ROW_WAITS},
	[FUSE_READDIRPLUS] = {.serve = fs_serve_readdirplus},
	[FUSE_RENAME2] = {.serve = fs_serve_rename2, .flags = ROW_CHANGES},
	[FUSE_LSEEK] = {.serve = fs_serve_lseek, .reply_min = sizeof(struct fuse_lseek_out)},
	[FUSE_COPY_FILE_RANGE] = {.serve = fs_serve_copy_file_range,
				  .reply_min = sizeof(struct fuse_write_out),
				  .flags = ROW_CHANGES | ROW_WAITS},
	[FUSE_SYNCFS] = {.serve = fs_serve_syncfs, .flags = ROW_WAITS},
	[FUSE_TMPFILE] = {.serve = fs_serve_tmpfile,
			  .reply_min = sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out),
			  .flags = ROW_CHANGES},
};

struct fs_worker *fs_worker_create(void)
{
	return calloc(1, sizeof(struct fs_worker));
}

struct fs_worker *fs_worker_destroy(struct fs_worker *worker)
{
	free(worker);
	return NULL;
}

bool fs_arg(struct fs_op *op, void *ret, size_t len)
{
	if (len > op->args_len - op->args_at)
		return false;
	memcpy(ret, op->worker->args + op->args_at, len);
	op->args_at += len;
	return true;
}

/* A NUL lies after all arguments, and is not one of them. */
const char *fs_arg_string(struct fs_op *op)
{
	const char *at = (const char *)op->worker->args + op->args_at;
	const size_t len = strlen(at) + 1;

	if (len > op->args_len - op->args_at)
		return NULL;
	op->args_at += len;
	return at;
}

int fs_arg_name(struct fs_op *op, const char **ret)
{
	const char *name = fs_arg_string(op);

	if (!name || !*name || strchr(name, '/') || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return -EINVAL;
	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	*ret = name;
	return 0;
}

const uint8_t *fs_arg_rest(const struct fs_op *op, size_t *ret_len)
{
	*ret_len = op->args_len - op->args_at;
	return op->worker->args + op->args_at;
}

void fs_reply(struct fs_op *op, const void *bytes, size_t len)
{
	assert(len <= op->reply_max - op->reply_len);
	memcpy(op->worker->reply + op->reply_len, bytes, len);
	op->reply_len += len;
}

/* The guest may change its request at any time: what counts is fetched once, here. */
static int fetch_args(struct fs_op *op, const struct row *row)
{
	const size_t len = op->out_bytes - sizeof(op->hdr);
	const size_t max = row->args_max ? row->args_max : FS_ARGS_BYTES;

	if (len > max && !row->args_max)
		return -E2BIG;
	op->args_len = len < max ? len : max;
	iov_read(op->out, op->nr_out, sizeof(op->hdr), op->worker->args, op->args_len);
	op->worker->args[op->args_len] = '\0';
	return 0;
}

static int serve_row(struct fs_op *op, const struct row *row)
{
	int r;

	if (!row->serve)
		return -ENOSYS;
	if (!(row->flags & ROW_ANYTIME) && !atomic_load(&op->fs->ready))
		return -EIO;
	if (op->reply_max < row->reply_min)
		return -EINVAL;
	if (op->fs->opts.read_only && row->flags & ROW_CHANGES)
		return -EROFS;
	if (!op->may_wait && row->flags & ROW_WAITS)
		return FS_WOULD_WAIT;
	r = fetch_args(op, row);
	return r < 0 ? r : row->serve(op);
}

static void put_reply(struct fs_op *op, int err)
{
	const size_t len = err ? 0 : op->reply_len ? op->reply_len : op->data_len;
	const struct fuse_out_header hdr = {
		.len = (uint32_t)(sizeof(hdr) + len),
		.error = err,
		.unique = op->hdr.unique,
	};

	if (op->in_bytes < sizeof(hdr))
		return;
	iov_write(op->in, op->nr_in, 0, &hdr, sizeof(hdr));
	if (!err)
		iov_write(op->in, op->nr_in, sizeof(hdr), op->worker->reply, op->reply_len);
	op->result->reply_bytes = hdr.len;
}

/* The length in the header must be there; the request may have more room after it. */
static bool fetch_header(struct fs_op *op)
{
	if (iov_read(op->out, op->nr_out, 0, &op->hdr, sizeof(op->hdr)) != sizeof(op->hdr))
		return false;
	if (op->hdr.len < sizeof(op->hdr) || op->hdr.len > op->out_bytes)
		return false;
	op->out_bytes = op->hdr.len;
	return true;
}

bool fs_serve(struct fs *fs, struct fs_worker *worker, const struct iovec *out, unsigned nr_out,
	      const struct iovec *in, unsigned nr_in, bool may_wait, struct fs_result *ret)
{
	static const struct row unknown = {0};
	struct fs_op op = {
		.fs = fs,
		.worker = worker,
		.may_wait = may_wait,
		.out = out,
		.in = in,
		.nr_out = nr_out,
		.nr_in = nr_in,
		.out_bytes = iov_bytes(out, nr_out),
		.in_bytes = iov_bytes(in, nr_in),
		.result = ret,
	};
	const struct row *row = &unknown;
	int r = -EINVAL;

	assert(nr_out <= FS_IOV_MAX && nr_in <= FS_IOV_MAX);
	*ret = (struct fs_result){0};
	fs_worker_enter(worker);
	if (op.in_bytes > sizeof(struct fuse_out_header))
		op.reply_max = op.in_bytes - sizeof(struct fuse_out_header);
	if (op.reply_max > FS_REPLY_BYTES)
		op.reply_max = FS_REPLY_BYTES;
	if (fetch_header(&op)) {
		if (op.hdr.opcode < ARRAY_SIZE(rows))
			row = &rows[op.hdr.opcode];
		r = serve_row(&op, row);
	}
	if (r == FS_WOULD_WAIT)
		return false;
	if (!(row->flags & ROW_NO_REPLY))
		put_reply(&op, r);
	return true;
}
