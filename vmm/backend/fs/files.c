/*
 * files.c - descriptors of nodes: how many there are, which of them is closed for another one, and how a node gets one
 * again. That is by its last known name, from the nearest parent that has one; and it must be the same file still.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/fs/internal.h"
#include "backend/fs/node.h"

const char *fs_proc_name(int fd, char buf[FS_PROC_NAME_BYTES])
{
	snprintf(buf, FS_PROC_NAME_BYTES, "%d", fd);
	return buf;
}

int fs_open_beneath(int dir_fd, const char *path, uint64_t flags, mode_t mode)
{
	const struct open_how how = {
		.flags = flags | O_CLOEXEC | O_NOFOLLOW,
		.mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};
	long fd;

	/* EAGAIN: a rename elsewhere in the system came in between (openat2(2)). */
	do
		fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
	while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	return fd < 0 ? -errno : (int)fd;
}

int fs_reopen(const struct fs *fs, int fd, int flags)
{
	char name[FS_PROC_NAME_BYTES];
	int r;

	/* The one link that is followed: to what the descriptor refers to, whatever its name is now. */
	r = openat(fs->proc_fd, fs_proc_name(fd, name), (flags & ~O_NOFOLLOW) | O_CLOEXEC);
	return r < 0 ? -errno : r;
}

/*
 * The list of descriptors that may be closed. Under the lock.
 */

static void idle_remove(struct fs *fs, struct fs_node *node)
{
	if (node->older)
		node->older->newer = node->newer;
	else
		fs->oldest = node->newer;
	if (node->newer)
		node->newer->older = node->older;
	else
		fs->newest = node->older;
	node->older = node->newer = NULL;
}

static void idle_add(struct fs *fs, struct fs_node *node)
{
	node->older = fs->newest;
	node->newer = NULL;
	if (fs->newest)
		fs->newest->newer = node;
	else
		fs->oldest = node;
	fs->newest = node;
}

void fs_node_busy(struct fs *fs, struct fs_node *node)
{
	if (node->busy++ == 0 && node->fd >= 0 && fs->oldest &&
	    (node->older || node->newer || fs->oldest == node))
		idle_remove(fs, node);
}

void fs_node_idle(struct fs *fs, struct fs_node *node)
{
	if (--node->busy == 0 && node->fd >= 0)
		idle_add(fs, node);
}

void fs_file_close_locked(struct fs *fs, int fd)
{
	close(fd);
	fs->nr_files--;
}

void fs_node_fd_close(struct fs *fs, struct fs_node *node)
{
	if (node->fd < 0)
		return;
	if (node->older || node->newer || fs->oldest == node)
		idle_remove(fs, node);
	fs_file_close_locked(fs, node->fd);
	node->fd = -1;
}

int fs_file_reserve(struct fs *fs)
{
	int r = 0;

	pthread_mutex_lock(&fs->lock);
	while (fs->nr_files >= fs->opts.files_max && fs->oldest)
		fs_node_fd_close(fs, fs->oldest);
	if (fs->nr_files < fs->opts.files_max)
		fs->nr_files++;
	else
		r = -ENFILE;
	pthread_mutex_unlock(&fs->lock);
	return r;
}

void fs_file_release(struct fs *fs)
{
	pthread_mutex_lock(&fs->lock);
	fs->nr_files--;
	pthread_mutex_unlock(&fs->lock);
}

void fs_file_close(struct fs *fs, int fd)
{
	close(fd); /* may wait */
	fs_file_release(fs);
}

/*
 * Opening again.
 */

/*
 * The path to node from the nearest parent with a descriptor, at the end of buf; that parent is held. NULL: it has no known
 * name, or its path is too long. Under the lock.
 */
static struct fs_node *path_of(struct fs *fs, struct fs_node *node, char buf[PATH_MAX],
			       const char **ret)
{
	size_t at = PATH_MAX - 1;

	buf[at] = '\0';
	for (; node->fd < 0; node = node->parent) {
		const size_t len = node->name ? strlen(node->name) : 0;

		if (len == 0 || !node->parent || at < len + 1)
			return NULL;
		if (buf[at])
			buf[--at] = '/';
		at -= len;
		memcpy(buf + at, node->name, len);
	}
	*ret = buf + at;
	node->refs++;
	fs_node_busy(fs, node);
	return node;
}

static int open_same(struct fs *fs, const struct fs_node *from, const char *path,
		     const struct fs_key *key)
{
	struct fs_key found;
	struct statx stx;
	int r = fs_file_reserve(fs), fd;

	if (r < 0)
		return r;
	fd = fs_open_beneath(from->fd, path, O_PATH, 0);
	if (fd < 0) {
		fs_file_release(fs);
		return fd == -EMFILE ? -ENFILE : fd == -ENFILE || fd == -ENOMEM ? fd : -ESTALE;
	}
	r = fs_stat_fd(fd, &stx);
	found = r == 0 ? fs_key_of(&stx) : *key;
	if (r == 0 && !fs_key_equal(&found, key))
		r = -ESTALE;
	if (r < 0) {
		fs_file_close(fs, fd);
		return r;
	}
	return fd;
}

/* node is held; another thread may do the same. */
static int node_open(struct fs *fs, struct fs_node *node)
{
	char buf[PATH_MAX];
	const char *path = NULL;
	struct fs_node *from = NULL;
	struct fs_key key;
	bool is_open;
	int fd;

	pthread_mutex_lock(&fs->lock);
	is_open = node->fd >= 0;
	key = node->key;
	if (!is_open)
		from = path_of(fs, node, buf, &path);
	pthread_mutex_unlock(&fs->lock);
	if (is_open)
		return 0;
	if (!from)
		return -ESTALE;
	fd = open_same(fs, from, path, &key);
	fs_node_done(fs, from);
	if (fd < 0)
		return fd;
	pthread_mutex_lock(&fs->lock);
	if (node->fd < 0)
		node->fd = fd;
	else
		fs_file_close_locked(fs, fd);
	pthread_mutex_unlock(&fs->lock);
	return 0;
}

static bool path_is_below(const char *path, const char *root)
{
	const size_t len = strlen(root);

	return strncmp(path, root, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static int path_now(const struct fs *fs, int fd, char buf[PATH_MAX])
{
	char name[FS_PROC_NAME_BYTES];
	const ssize_t n = readlinkat(fs->proc_fd, fs_proc_name(fd, name), buf, PATH_MAX - 1);

	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return 0;
}

/* The directory itself may have been moved: then so were all in it. */
static void root_path_renew(struct fs *fs)
{
	char buf[PATH_MAX], *path;

	if (path_now(fs, fs->root->fd, buf) < 0 || !(path = strdup(buf)))
		return;
	pthread_mutex_lock(&fs->lock);
	free(fs->root_path);
	fs->root_path = path;
	pthread_mutex_unlock(&fs->lock);
}

static bool path_is_ours(struct fs *fs, const char *path)
{
	bool ours;

	pthread_mutex_lock(&fs->lock);
	ours = path_is_below(path, fs->root_path[1] ? fs->root_path : "");
	pthread_mutex_unlock(&fs->lock);
	return ours;
}

/*
 * The host may have moved a file out of the directory, and a descriptor still refers to it: the guest lost it then. The
 * kernel knows where a descriptor's file is. A path that is too long for it began in the directory.
 */
static int node_check(struct fs *fs, const struct fs_node *node)
{
	char buf[PATH_MAX];
	int r;

	if (node == fs->root)
		return 0;
	r = path_now(fs, node->fd, buf);
	if (r == -ENAMETOOLONG)
		return 0;
	if (r < 0 || path_is_ours(fs, buf))
		return r;
	root_path_renew(fs);
	return path_is_ours(fs, buf) ? 0 : -ESTALE;
}

int fs_node_use_held(struct fs *fs, struct fs_node *node)
{
	int r = node_open(fs, node);

	return r < 0 ? r : node_check(fs, node);
}

int fs_node_use(struct fs *fs, uint64_t id, struct fs_node **ret)
{
	struct fs_node *node;
	int r;

	pthread_mutex_lock(&fs->lock);
	node = fs_node_hold(fs, id);
	pthread_mutex_unlock(&fs->lock);
	if (!node)
		return -ESTALE;
	r = fs_node_use_held(fs, node);
	if (r < 0) {
		fs_node_done(fs, node);
		return r;
	}
	*ret = node;
	return 0;
}
