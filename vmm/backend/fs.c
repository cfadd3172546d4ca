#include "backend/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backend/fs/internal.h"
#include "base/cleanup.h"

#define PROC_FD_DIR "/proc/self/fd"

enum {
	FILES_WANTED =
		65536, /* of the process; a descriptor is kept, not needed, for a file that is not open */
	FILES_OF_OTHERS = 256,
};

unsigned fs_files_room(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	if (limit.rlim_cur < FILES_WANTED && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max < FILES_WANTED ? limit.rlim_max : FILES_WANTED;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur > FILES_WANTED)
		limit.rlim_cur = FILES_WANTED;
	return limit.rlim_cur > FILES_OF_OTHERS ? (unsigned)limit.rlim_cur - FILES_OF_OTHERS : 0;
}

/* openat2(2) is of Linux 5.6, the number of a mount in statx(2) of 5.8. */
static int check_kernel(int fd, struct statx *ret, struct diag *diag)
{
	const int dot = fs_open_beneath(fd, ".", O_PATH, 0);
	int r = dot < 0 ? dot : fs_stat_fd(fd, ret);

	if (dot >= 0)
		close(dot);
	if (r == -ENOSYS || (r == 0 && !(ret->stx_mask & STATX_MNT_ID))) {
		diag_set(diag, -ENOSYS, "share-kernel",
			 "this host's kernel cannot share a directory");
		diag_remedy(diag, "it takes Linux 5.8 or later");
		return -ENOSYS;
	}
	return r;
}

static int open_proc(struct fs *fs, struct diag *diag)
{
	fs->proc_fd = open(PROC_FD_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fs->proc_fd >= 0)
		return 0;
	diag_set(diag, -errno, "share-proc", "open '%s', for shared directories", PROC_FD_DIR);
	diag_remedy(diag, "mount /proc");
	return -errno;
}

static int read_root_path(struct fs *fs, int root_fd)
{
	char name[FS_PROC_NAME_BYTES], buf[PATH_MAX];
	const ssize_t n =
		readlinkat(fs->proc_fd, fs_proc_name(root_fd, name), buf, sizeof(buf) - 1);

	if (n < 0)
		return -errno;
	buf[n] = '\0';
	fs->root_path = strdup(buf);
	return fs->root_path ? 0 : -ENOMEM;
}

static int open_root(struct fs *fs, struct diag *diag)
{
	AUTO_CLOSE int fd = open(fs->opts.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statx stx = {0};
	int r = fd < 0 ? -errno : 0;

	if (r == 0)
		r = check_kernel(fd, &stx, diag);
	if (r == 0)
		r = open_proc(fs, diag);
	if (r == 0)
		r = read_root_path(fs, fd);
	if (r == 0)
		fs->dir_fd = fs_reopen(fs, fd, O_RDONLY | O_DIRECTORY);
	if (r == 0 && fs->dir_fd < 0)
		r = fs->dir_fd;
	if (r == 0)
		r = fs_nodes_init(fs, fd, &stx);
	if (r == 0)
		(void)STEAL_FD(fd);
	return r;
}

int fs_create(const struct fs_opts *opts, struct fs **ret, struct diag *diag)
{
	struct fs *fs = calloc(1, sizeof(*fs));
	int r;

	if (!fs)
		return diag_set(diag, -ENOMEM, "share-memory", "directory '%s'", opts->path);
	fs->opts = *opts;
	if (fs->opts.files_max < FS_FILES_MIN)
		fs->opts.files_max = FS_FILES_MIN;
	if (fs->opts.nodes_bytes == 0)
		fs->opts.nodes_bytes = FS_NODES_BYTES;
	fs->uid = geteuid();
	fs->gid = getegid();
	fs->is_root = fs->uid == 0;
	fs->proc_fd = fs->dir_fd = -1;
	pthread_mutex_init(&fs->lock, NULL);
	r = open_root(fs, diag);
	if (r < 0) {
		fs_destroy(fs);
		return diag_set(diag, r, "share-open", "share directory '%s'", opts->path);
	}
	*ret = fs;
	return 0;
}

struct fs *fs_destroy(struct fs *fs)
{
	if (!fs)
		return NULL;
	fs_handles_drop(fs);
	fs_nodes_fini(fs);
	free(fs->slot);
	free(fs->root_path);
	cleanup_close(&fs->proc_fd);
	cleanup_close(&fs->dir_fd);
	pthread_mutex_destroy(&fs->lock);
	free(fs);
	return NULL;
}

struct fs_counts fs_count(struct fs *fs)
{
	struct fs_counts counts;

	pthread_mutex_lock(&fs->lock);
	counts = (struct fs_counts){
		.nodes = fs->nr_nodes,
		.handles = fs->nr_handles,
		.files = fs->nr_files,
	};
	pthread_mutex_unlock(&fs->lock);
	return counts;
}
