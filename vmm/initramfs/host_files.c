#include "initramfs/host_files.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io_full.h"

/* One host_files_add(). */
struct tree {
	struct cpio *cpio;
	const char *what, *file;
	size_t file_len;
	const char *path;
	uint64_t *budget_bytes;
};

/* open() takes files of any kind; only a regular file has a size to go by. */
static int check_file(const char *what, const char *file, int fd, uint64_t budget_bytes,
		      size_t *ret_len, struct diag *diag)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return diag_set(diag, -errno, "host-file-stat", "%s '%s'", what, file);
	if (!S_ISREG(st.st_mode))
		return diag_set(diag, -EINVAL, "host-file-kind", "%s '%s' is not a regular file",
				what, file);
	if ((uint64_t)st.st_size > budget_bytes) {
		diag_set(diag, -EFBIG, "host-file-size", "%s '%s'", what, file);
		diag_remedy(diag, "what goes into the guest's first file system must fit its "
				  "memory: give it more, or less to hold");
		return -EFBIG;
	}
	*ret_len = (size_t)st.st_size;
	return 0;
}

int host_file_read(const char *what, const char *file, uint64_t *budget_bytes, void **ret,
		   size_t *ret_len, struct diag *diag)
{
	/* O_NONBLOCK: a FIFO in the place of a file must not hold us up. */
	AUTO_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	AUTO_FREE void *buf = NULL;
	size_t len = 0;
	int r;

	if (fd < 0)
		return diag_set(diag, -errno, "host-file-open", "open %s '%s'", what, file);
	r = check_file(what, file, fd, *budget_bytes, &len, diag);
	if (r < 0)
		return r;
	if (len) {
		buf = malloc(len);
		r = buf ? io_read_full(fd, buf, len) : -ENOMEM;
	}
	if (r < 0)
		return diag_set(diag, r, "host-file-read", "read %s '%s'", what, file);
	*budget_bytes -= len;
	*ret = STEAL_PTR(buf);
	*ret_len = len;
	return 0;
}

static int add_regular(const struct tree *t, const char *file, const char *path, mode_t mode,
		       struct diag *diag)
{
	void *data = NULL;
	size_t len = 0;
	int r = host_file_read(t->what, file, t->budget_bytes, &data, &len, diag);

	return r < 0 ? r : cpio_add_file(t->cpio, path, mode, data, len, diag);
}

static int add_symlink(const struct tree *t, const char *file, const char *path, struct diag *diag)
{
	char target[PATH_MAX];
	const ssize_t n = readlink(file, target, sizeof(target) - 1);

	if (n < 0)
		return diag_set(diag, -errno, "host-link-read", "read %s '%s'", t->what, file);
	target[n] = '\0';
	return cpio_add_symlink(t->cpio, path, target, diag);
}

static int add_entry(const struct tree *t, const FTSENT *e, const char *path, struct diag *diag)
{
	const struct stat *st = e->fts_statp;

	switch (e->fts_info) {
	case FTS_D: return cpio_add_dir(t->cpio, path, st->st_mode, diag);
	case FTS_F: return add_regular(t, e->fts_path, path, st->st_mode, diag);
	case FTS_SL:
	case FTS_SLNONE: return add_symlink(t, e->fts_path, path, diag);
	case FTS_DEFAULT:
		if (S_ISSOCK(st->st_mode))
			return 0;
		return cpio_add_node(t->cpio, path, st->st_mode, st->st_rdev, diag);
	case FTS_DP: return 0; /* seen as FTS_D */
	default:
		return diag_set(diag, e->fts_errno ? -e->fts_errno : -ELOOP, "host-tree-read",
				"read %s '%s'", t->what, e->fts_path);
	}
}

static bool is_failure(const FTSENT *e)
{
	return e->fts_info == FTS_NS || e->fts_info == FTS_ERR || e->fts_info == FTS_DNR;
}

/* For the root of the archive, which is there already: only a directory's content can go there. */
static int check_root(const struct tree *t, const FTSENT *e, struct diag *diag)
{
	if (e->fts_info == FTS_D || e->fts_info == FTS_DP)
		return 0;
	return diag_set(diag, -EINVAL, "host-tree-kind", "%s '%s' is not a directory", t->what,
			e->fts_path);
}

static int add_below(const struct tree *t, const FTSENT *e, struct diag *diag)
{
	AUTO_FREE char *path = NULL;

	if (asprintf(&path, "%s%s", t->path, e->fts_path + t->file_len) < 0) {
		path = NULL;
		return diag_set(diag, -ENOMEM, "host-tree-memory", "%s '%s'", t->what, e->fts_path);
	}
	if (strspn(path, "/") == strlen(path) && !is_failure(e))
		return check_root(t, e, diag);
	return add_entry(t, e, path, diag);
}

/* Without slashes at the end: what fts(3) says of a file below begins with one after that. */
static size_t bare_len(const char *path)
{
	size_t n = strlen(path);

	while (n > 0 && path[n - 1] == '/')
		n--;
	return n;
}

int host_files_add(struct cpio *cpio, const char *what, const char *file, const char *path,
		   uint64_t *budget_bytes, struct diag *diag)
{
	const struct tree tree = {cpio, what, file, bare_len(file), path, budget_bytes};
	AUTO_FREE char *copy = strdup(file);
	char *const roots[] = {copy, NULL};
	FTS *fts = copy ? fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL) : NULL;
	const FTSENT *e;
	int r = 0;

	if (!fts)
		return diag_set(diag, -errno, "host-tree-read", "read %s '%s'", what, file);
	errno = 0;
	while (r == 0 && (e = fts_read(fts)))
		r = add_below(&tree, e, diag);
	if (r == 0 && errno)
		r = diag_set(diag, -errno, "host-tree-read", "read %s '%s'", what, file);
	fts_close(fts);
	return r;
}
