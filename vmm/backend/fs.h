/*
 * fs.h - a server of the FUSE protocol (<linux/fuse.h>) for one directory of the host. It takes a request as
 * scattered bytes and writes the reply to others. It knows nothing of queues.
 *
 * The client is not trusted. It reaches nothing outside the directory, whatever it sends: backend/fs/README.md.
 *
 * Two layers: fs_serve() serves one request on the calling thread. The functions of struct fs_engine hand requests that
 * may wait for the host to threads, and the others to fs_serve() at once.
 */
#ifndef VMM_BACKEND_FS_H
#define VMM_BACKEND_FS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/diag.h"
#include "event.h"

enum {
	FS_PAGES_MAX = 256,             /* of one read or write, 4 KiB each */
	FS_IOV_MAX = FS_PAGES_MAX + 16, /* pieces of one request: headers and arguments as well */
	FS_REQUESTS_MAX = 128,          /* of one engine, under way at once */
	FS_FILES_MIN = 64,              /* descriptors, at least */
	FS_NODES_BYTES = 64 << 20,      /* where nothing else is asked for */
};

/* Which user of the guest is which of the host, when this process is not root. As root, ids are the same. */
enum fs_ids {
	FS_IDS_ROOT, /* files of this user and of root are root's in the guest; root's new files are this user's */
	FS_IDS_SAME, /* files show the ids that they have; new files of root and of this user are this user's */
};

struct fs_opts {
	const char *path; /* borrowed, until fs_destroy() */
	bool read_only;
	enum fs_ids ids;
	unsigned files_max;   /* descriptors that are open at once; 0: FS_FILES_MIN */
	uint64_t nodes_bytes; /* memory for files that the guest has names of; 0: FS_NODES_BYTES */
};

struct fs;

/*
 * Opens the directory. -errno with diag: it cannot be opened, it is not a directory, /proc is not there, the kernel is older
 * than Linux 5.8.
 */
int fs_create(const struct fs_opts *opts, struct fs **ret, struct diag *diag);
/* No request is under way. Takes NULL; returns NULL. */
struct fs *fs_destroy(struct fs *fs);

/*
 * Drops all that the guest has: files it looked up, files it opened, the session. Requests under way may end
 * later, and keep what they use until then. Any thread.
 */
void fs_reset(struct fs *fs);

/*
 * Descriptors that all shares of a process may have together. The process's limit is raised for that to the one that it may
 * choose, up to what many shared files need.
 */
unsigned fs_files_room(void);

/* Now; any thread. */
struct fs_counts {
	uint64_t nodes;   /* files that the guest knows, with the root */
	uint64_t handles; /* files and directories that it has open */
	uint64_t files;   /* descriptors of the host, for both */
};
struct fs_counts fs_count(struct fs *fs);

/* Buffers of one thread that serves, and what it has set up for that. */
struct fs_worker;
struct fs_worker *fs_worker_create(void); /* NULL: no memory */
struct fs_worker *fs_worker_destroy(struct fs_worker *worker);

/* Result of a request, and numbers for statistics. */
struct fs_result {
	uint32_t reply_bytes; /* that were written to in; 0: the request has no reply */
	uint64_t read_bytes, written_bytes; /* of files */
};

/*
 * Serves the request in out, with the reply to in, and waits for the host. Any number of threads at once, each with a
 * worker of its own; a worker stays with the thread that used it first. may_wait false: true only if the request is
 * done; it is not when the host may take long, and then it has had no effect. Nothing but the reply_bytes is written to
 * in that matters.
 */
bool fs_serve(struct fs *fs, struct fs_worker *worker, const struct iovec *out, unsigned nr_out,
	      const struct iovec *in, unsigned nr_in, bool may_wait, struct fs_result *ret);

/* A request that an engine has, from submission to done. At most FS_IOV_MAX pieces in all. */
struct fs_request {
	const struct iovec *out, *in;
	unsigned nr_out, nr_in;
	void (*done)(struct fs_request *rq);
	struct fs_result result; /* valid in done */

	struct fs_request *next; /* the engine's */
};

struct fs_engine;

/*
 * Serves requests for the thread of an event loop; all of these belong to that thread, but for create and destroy,
 * which run while the loop does not. done() runs inside commit, inside drain, or from the loop, and never inside
 * submit. batch_done(arg) runs after each batch of done() that the loop made itself. -errno.
 */
int fs_engine_create(struct fs *fs, struct event_loop *loop, void (*batch_done)(void *arg),
		     void *arg, struct fs_engine **ret);
struct fs_engine *fs_engine_destroy(struct fs_engine *engine); /* drains; takes NULL */
void fs_engine_submit(struct fs_engine *engine, struct fs_request *rq);
void fs_engine_commit(struct fs_engine *engine);
void fs_engine_drain(struct fs_engine *engine); /* returns when nothing is under way */

#endif
