/*
 * internal.h - the parts of the FUSE server, for each other.
 *
 * A node is a file that the guest knows by a number (nodeid). It has an identity on the host and its last known name.
 * A descriptor (O_PATH) is opened when one is needed, and the ones not in use are closed when there are too many.
 * A handle is an open file or directory.
 *
 * Threads: fs->lock guards the tables, counts and lists. It is not held across system calls that may wait.
 */
#ifndef VMM_BACKEND_FS_INTERNAL_H
#define VMM_BACKEND_FS_INTERNAL_H

#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "backend/fs.h"

enum {
	FS_MINOR_MIN = 27,   /* of the guest's protocol; the first kernel with virtio-fs has 31 */
	FS_NAME_BYTES = 256, /* NAME_MAX and a NUL */
	FS_PROC_NAME_BYTES = 16, /* a descriptor's number */
	FS_XATTR_BYTES = 65536,  /* XATTR_SIZE_MAX, XATTR_LIST_MAX */
	FS_ARGS_BYTES =
		FS_XATTR_BYTES + 1024, /* of a request after its header, without a write's data */
	FS_REPLY_BYTES = FS_XATTR_BYTES + 1024, /* after its header, without a read's data */
};

/* How long the guest may use what it was sent, in seconds: of names and of attributes. */
enum { FS_VALID_S = 1 };

/* Which file of the host it is. Numbers of files are reused, with another time of birth. */
struct fs_key {
	uint64_t mnt_id, dev, ino;
	int64_t birth_ns; /* 0 where the file system does not have it */
};

struct fs_node {
	uint64_t id;
	struct fs_key key;
	mode_t type;            /* S_IFMT bits */
	uint64_t lookups;       /* that the guest has not forgotten */
	unsigned refs;          /* requests, handles and children that need the struct */
	unsigned busy;          /* of those, the ones that need fd */
	int fd;                 /* O_PATH; -1: closed */
	struct fs_node *parent; /* where it was last seen; NULL: unknown */
	char *name;             /* there */
	struct fs_node *next_id, *next_key; /* in a bucket */
	struct fs_node *older, *newer;      /* in the list of descriptors that may be closed */
	int64_t sent_mtime_ns;              /* as they were last sent to the guest */
	uint64_t sent_size;
	bool was_sent;
};

struct fs_handle {
	uint64_t id;
	struct fs_node *node; /* held */
	int fd;
	bool is_dir;
	unsigned refs;            /* requests that use it, and one of the table */
	atomic_bool written;      /* since the last flush */
	pthread_mutex_t position; /* of a directory: it has one for all readers */
	off_t at;                 /* under position */
};

struct fs_slot {
	struct fs_handle *handle; /* NULL: free */
	uint32_t generation;
	uint32_t next_free;
};

struct fs {
	struct fs_opts opts;
	bool is_root; /* this process */
	uid_t uid;
	gid_t gid;
	int proc_fd;       /* /proc/self/fd */
	int dir_fd;        /* the directory, open for reading */
	atomic_bool ready; /* there is a session: INIT came */

	pthread_mutex_t lock;
	char *root_path; /* of the directory, as /proc has it */
	struct fs_node *root;
	struct fs_node **by_id, **by_key; /* nr_buckets, a power of two */
	size_t nr_buckets, nr_nodes;
	uint64_t nodes_bytes, next_id;
	struct fs_node *oldest, *newest; /* descriptors that may be closed */
	unsigned nr_files;
	struct fs_slot *slot;
	uint32_t nr_slots, free_slot;
	unsigned nr_handles;
};

struct fs_worker {
	bool ready;     /* set up by its thread */
	bool own_umask; /* which is 0 then */
	struct iovec data[FS_IOV_MAX];
	/* Fetched once from the guest. */
	_Alignas(8) uint8_t args[FS_ARGS_BYTES + 1];
	_Alignas(8) uint8_t reply[FS_REPLY_BYTES];
	_Alignas(8) uint8_t dirents[32768];
};

/* One request while it is served. */
struct fs_op {
	struct fs *fs;
	struct fs_worker *worker;
	bool may_wait;
	struct fuse_in_header hdr;
	const struct iovec *out, *in; /* the whole request and the whole room for its reply */
	unsigned nr_out, nr_in;
	size_t out_bytes, in_bytes;
	size_t args_len, args_at; /* of worker->args, and what is taken of them */
	size_t reply_len;         /* of worker->reply */
	size_t reply_max;         /* what in has room for after the header */
	size_t data_len;          /* already in in, after the header; then reply_len is 0 */
	struct fs_result *result;
};

/* Result of a handler of which the host may take long, when may_wait is false. */
enum { FS_WOULD_WAIT = 1 };

/*
 * serve.c: arguments and replies.
 */

/* Takes the next argument. False: the request is too short. */
bool fs_arg(struct fs_op *op, void *ret, size_t len);
/* The next argument, a string; it stays as long as the request. NULL: there is none. */
const char *fs_arg_string(struct fs_op *op);
/* The same as the name of a file in a directory: 0; -EINVAL for one that is not a single name; -ENAMETOOLONG. */
int fs_arg_name(struct fs_op *op, const char **ret);
/* The arguments that are left. */
const uint8_t *fs_arg_rest(const struct fs_op *op, size_t *ret_len);
/* Appends to the reply; the caller knows that there is room, from reply_max. */
void fs_reply(struct fs_op *op, const void *bytes, size_t len);

/*
 * node.c, files.c
 */

int fs_nodes_init(struct fs *fs, int root_fd, const struct statx *stx);
void fs_nodes_fini(struct fs *fs);

/*
 * The node of that number, with its descriptor, which is beneath the directory. fs_node_done() ends that. -ESTALE: the guest
 * has no such node, or the host has removed or moved the file; -ENFILE.
 */
int fs_node_use(struct fs *fs, uint64_t id, struct fs_node **ret);
/* The same for a node that is held by something else, as a handle. */
int fs_node_use_held(struct fs *fs, struct fs_node *node);
void fs_node_done(struct fs *fs, struct fs_node *node);

/*
 * The guest looked up what stx describes, at name in parent (NULL: it has no name). fd is an O_PATH descriptor of it, which
 * is taken, together with its reservation, also on failure; or -1. *ret is held until fs_node_done(); its descriptor may
 * be closed. -ENFILE: the guest has too many nodes.
 */
int fs_node_found(struct fs *fs, struct fs_node *parent, const char *name, const struct statx *stx,
		  int fd, struct fs_node **ret);
/* The file is at another name now. No effect when nobody knows it. */
void fs_node_moved(struct fs *fs, struct fs_node *parent, const char *name,
		   const struct statx *stx);
void fs_node_forget(struct fs *fs, uint64_t id, uint64_t lookups);
/* The guest is sent these attributes; and whether they are what it was sent last. */
void fs_node_sent(struct fs *fs, struct fs_node *node, const struct statx *stx);
bool fs_node_is_as_sent(struct fs *fs, const struct fs_node *node, const struct statx *stx);

/* Room for one more descriptor; -ENFILE. Others are closed for it. */
int fs_file_reserve(struct fs *fs);
void fs_file_release(struct fs *fs);
/* Closes one, and gives back its room. */
void fs_file_close(struct fs *fs, int fd);
/* The name of a descriptor in fs->proc_fd; returns buf. */
const char *fs_proc_name(int fd, char buf[FS_PROC_NAME_BYTES]);
/* Opens a path that leads through no link and not out of dir_fd. -errno. No room is reserved. */
int fs_open_beneath(int dir_fd, const char *path, uint64_t flags, mode_t mode);
/* Opens what an O_PATH descriptor refers to, a file or a directory. -errno. No room is reserved. */
int fs_reopen(const struct fs *fs, int fd, int flags);

/*
 * handle.c
 */

/* fd is taken, together with its reservation, also on failure. -errno. */
int fs_handle_add(struct fs *fs, struct fs_node *node, int fd, bool is_dir, uint64_t *ret_id);
/* -EBADF: there is none, or it is of the other kind. fs_handle_done() ends the use. */
int fs_handle_use(struct fs *fs, uint64_t id, bool is_dir, struct fs_handle **ret);
void fs_handle_done(struct fs *fs, struct fs_handle *handle);
/* The guest closed it. -EBADF. */
int fs_handle_close(struct fs *fs, uint64_t id, bool is_dir);
void fs_handles_drop(struct fs *fs);

/*
 * attr.c
 */

int fs_stat_fd(int fd, struct statx *ret);
int fs_stat_at(int dir_fd, const char *name, struct statx *ret);
struct fs_key fs_key_of(const struct statx *stx);
int64_t fs_time_ns(const struct statx_timestamp *ts);
void fs_attr_fill(const struct fs *fs, const struct statx *stx, struct fuse_attr *ret);
/* Attributes of a node, and a node that was looked up: they count as sent. */
void fs_reply_attr(struct fs_op *op, struct fs_node *node, const struct statx *stx);
void fs_entry_fill(struct fs *fs, struct fs_node *node, const struct statx *stx,
		   struct fuse_entry_out *ret);
/* Ids of the guest -> ids of the host, for a file that has those of stx; UINT32_MAX: no change. */
uid_t fs_uid_to_host(const struct fs *fs, uint32_t uid, const struct statx *stx);
gid_t fs_gid_to_host(const struct fs *fs, uint32_t gid, const struct statx *stx);

/*
 * caller.c: what a request makes belongs to its caller.
 */

/* Makes the thread create files with the caller's ids until fs_caller_end(). -EPERM: this process cannot. */
int fs_caller_begin(const struct fs_op *op);
void fs_caller_end(const struct fs_op *op);
/* Sets up the thread of a worker, once. */
void fs_worker_enter(struct fs_worker *worker);
/*
 * Gives a new file the mode that the guest wants, when the process's umask was applied to it. A host that refuses that,
 * as one whose file system has no modes, leaves fewer permissions than that. The attributes in the reply have them.
 */
void fs_mode_mend(const struct fs_op *op, int fd, mode_t mode);

/* Clears set-user-id and set-group-id as a write by somebody without CAP_FSETID does. */
int fs_kill_suid(struct fs *fs, int fd);

/*
 * The handlers, by opcode: 0, -errno, or FS_WOULD_WAIT.
 */
int fs_serve_init(struct fs_op *op);
int fs_serve_destroy(struct fs_op *op);
int fs_serve_lookup(struct fs_op *op);
int fs_serve_forget(struct fs_op *op);
int fs_serve_batch_forget(struct fs_op *op);
int fs_serve_interrupt(struct fs_op *op);
int fs_serve_getattr(struct fs_op *op);
int fs_serve_setattr(struct fs_op *op);
int fs_serve_readlink(struct fs_op *op);
int fs_serve_symlink(struct fs_op *op);
int fs_serve_mknod(struct fs_op *op);
int fs_serve_mkdir(struct fs_op *op);
int fs_serve_unlink(struct fs_op *op);
int fs_serve_rmdir(struct fs_op *op);
int fs_serve_rename(struct fs_op *op);
int fs_serve_rename2(struct fs_op *op);
int fs_serve_link(struct fs_op *op);
int fs_serve_open(struct fs_op *op);
int fs_serve_create(struct fs_op *op);
int fs_serve_tmpfile(struct fs_op *op);
int fs_serve_read(struct fs_op *op);
int fs_serve_write(struct fs_op *op);
int fs_serve_flush(struct fs_op *op);
int fs_serve_release(struct fs_op *op);
int fs_serve_fsync(struct fs_op *op);
int fs_serve_fallocate(struct fs_op *op);
int fs_serve_lseek(struct fs_op *op);
int fs_serve_copy_file_range(struct fs_op *op);
int fs_serve_opendir(struct fs_op *op);
int fs_serve_readdir(struct fs_op *op);
int fs_serve_readdirplus(struct fs_op *op);
int fs_serve_releasedir(struct fs_op *op);
int fs_serve_fsyncdir(struct fs_op *op);
int fs_serve_statfs(struct fs_op *op);
int fs_serve_syncfs(struct fs_op *op);
int fs_serve_access(struct fs_op *op);
int fs_serve_setxattr(struct fs_op *op);
int fs_serve_getxattr(struct fs_op *op);
int fs_serve_listxattr(struct fs_op *op);
int fs_serve_removexattr(struct fs_op *op);

#endif
