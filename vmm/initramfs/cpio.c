#include "initramfs/cpio.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"

enum {
	HEADER_BYTES = 110, /* magic and 13 fields of 8 digits */
	PATH_BYTES_MAX =
		4096, /* with its NUL: PATH_MAX, the kernel's limit for names and targets */
	ALIGN = 4,
	IMPLIED_PERM = 0755,
	PERM_MASK = 07777,
};

static const char trailer[] = "TRAILER!!!";

struct cpio_entry {
	char *path;   /* normalised: no '/' at either end */
	void *data;   /* of a file; of a symbolic link its target, without NUL */
	size_t len;   /* of data */
	size_t order; /* of addition: the higher one counts */
	mode_t mode;
	dev_t rdev;
};

/* Where the archive goes: with buf NULL its length is only counted. */
struct sink {
	uint8_t *buf;
	size_t len;
	uint32_t ino;
};

/* Leaves out empty components and "."; buf is as large as path. -EINVAL for "..". */
static int path_normalise(const char *path, char *buf)
{
	size_t n = 0;

	while (*path) {
		const size_t len = strcspn(path, "/");

		if (len == 2 && memcmp(path, "..", 2) == 0)
			return -EINVAL;
		if (len && !(len == 1 && *path == '.')) {
			if (n)
				buf[n++] = '/';
			memcpy(buf + n, path, len);
			n += len;
		}
		path += len;
		path += *path == '/';
	}
	buf[n] = '\0';
	return n ? 0 : -EINVAL;
}

static int check_path(const char *path, struct diag *diag)
{
	if (strlen(path) >= PATH_BYTES_MAX)
		return diag_set(diag, -EINVAL, "archive-path-length",
				"'%.60s...': a path of %zu bytes, and %d fit", path, strlen(path),
				PATH_BYTES_MAX - 1);
	if (strcmp(path, trailer) == 0)
		return diag_set(diag, -EINVAL, "archive-path-end",
				"'%s' ends an archive and names no file", path);
	return 0;
}

static int cpio_grow(struct cpio *cpio)
{
	const size_t cap = cpio->cap ? cpio->cap * 2 : 64;
	struct cpio_entry *entry = reallocarray(cpio->entry, cap, sizeof(*entry));

	if (!entry)
		return -ENOMEM;
	cpio->entry = entry;
	cpio->cap = cap;
	return 0;
}

/* Owns e.data also on failure. */
static int cpio_add(struct cpio *cpio, const char *path, struct cpio_entry e, struct diag *diag)
{
	AUTO_FREE void *data = e.data;
	AUTO_FREE char *copy = malloc(strlen(path) + 1);
	int r;

	if (!copy || (cpio->nr == cpio->cap && cpio_grow(cpio) < 0))
		return diag_set(diag, -ENOMEM, "archive-memory", "'%s' for an archive", path);
	if (path_normalise(path, copy) < 0)
		return diag_set(diag, -EINVAL, "archive-path", "'%s' is not a path in an archive",
				path);
	r = check_path(copy, diag);
	if (r < 0)
		return r;
	e.path = STEAL_PTR(copy);
	e.data = STEAL_PTR(data);
	e.order = cpio->nr;
	cpio->entry[cpio->nr++] = e;
	return 0;
}

int cpio_add_dir(struct cpio *cpio, const char *path, mode_t perm, struct diag *diag)
{
	return cpio_add(cpio, path, (struct cpio_entry){.mode = S_IFDIR | (perm & PERM_MASK)},
			diag);
}

int cpio_add_file(struct cpio *cpio, const char *path, mode_t perm, void *data, size_t len,
		  struct diag *diag)
{
	if (len > UINT32_MAX) {
		free(data);
		return diag_set(diag, -EFBIG, "archive-file-size", "'%s' for an archive", path);
	}
	return cpio_add(
		cpio, path,
		(struct cpio_entry){.mode = S_IFREG | (perm & PERM_MASK), .data = data, .len = len},
		diag);
}

int cpio_add_symlink(struct cpio *cpio, const char *path, const char *target, struct diag *diag)
{
	const size_t len = strlen(target);
	char *copy;

	if (len == 0 || len >= PATH_BYTES_MAX)
		return diag_set(diag, -EINVAL, "archive-link-length",
				"'%s': a link to a path of %zu bytes", path, len);
	copy = strdup(target);
	if (!copy)
		return diag_set(diag, -ENOMEM, "archive-memory", "'%s' for an archive", path);
	return cpio_add(cpio, path,
			(struct cpio_entry){.mode = S_IFLNK | 0777, .data = copy, .len = len},
			diag);
}

int cpio_add_node(struct cpio *cpio, const char *path, mode_t mode, dev_t rdev, struct diag *diag)
{
	assert(S_ISCHR(mode) || S_ISBLK(mode) || S_ISFIFO(mode));
	return cpio_add(cpio, path, (struct cpio_entry){.mode = mode, .rdev = rdev}, diag);
}

/* A directory's entries follow it directly: its end is less than '/', which is less than all else. */
static unsigned path_rank(char c)
{
	return c == '\0' ? 0 : c == '/' ? 1 : (unsigned char)c + 1U;
}

static int path_order(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (path_rank(*a) > path_rank(*b)) - (path_rank(*a) < path_rank(*b));
}

static int entry_order(const void *pa, const void *pb)
{
	const struct cpio_entry *a = pa, *b = pb;
	const int order = path_order(a->path, b->path);

	return order ? order : (a->order > b->order) - (a->order < b->order);
}

static void sink_put(struct sink *sink, const void *bytes, size_t n)
{
	if (sink->buf && n)
		memcpy(sink->buf + sink->len, bytes, n);
	sink->len += n;
}

static void sink_put_padding(struct sink *sink)
{
	static const uint8_t zeros[ALIGN];

	sink_put(sink, zeros, -sink->len % ALIGN);
}

static void put_header(struct sink *sink, uint32_t ino, const struct cpio_entry *e, size_t path_len)
{
	char header[HEADER_BYTES + 1];

	snprintf(header, sizeof(header),
		 "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", ino, e->mode, 0U, 0U,
		 S_ISDIR(e->mode) ? 2U : 1U, 0U, (uint32_t)e->len, 0U, 0U, major(e->rdev),
		 minor(e->rdev), (uint32_t)path_len + 1, 0U);
	sink_put(sink, header, HEADER_BYTES);
}

/* The first path_len bytes of path are its name. */
static void put_entry(struct sink *sink, uint32_t ino, const struct cpio_entry *e, const char *path,
		      size_t path_len)
{
	put_header(sink, ino, e, path_len);
	sink_put(sink, path, path_len);
	sink_put(sink, "", 1);
	sink_put_padding(sink);
	sink_put(sink, e->data, e->len);
	sink_put_padding(sink);
}

/* How many bytes of path are directories that have been put: it shares them with last. */
static size_t shared_dirs(const char *path, const char *last)
{
	size_t n = 0, shared = 0;

	while (path[n] && path[n] == last[n]) {
		n++;
		if (path[n] == '/' && (last[n] == '/' || last[n] == '\0'))
			shared = n;
	}
	return shared;
}

/* The directories above path that nobody added; last was put before. */
static void put_implied(struct sink *sink, const char *path, const char *last)
{
	static const struct cpio_entry dir = {.mode = S_IFDIR | IMPLIED_PERM};
	const char *at = path + shared_dirs(path, last);

	while ((at = strchr(at + 1, '/')))
		put_entry(sink, ++sink->ino, &dir, path, (size_t)(at - path));
}

static bool is_below(const char *path, const char *above)
{
	const size_t n = strlen(above);

	return strncmp(path, above, n) == 0 && path[n] == '/';
}

/* Entries are sorted. */
static int put_all(struct sink *sink, const struct cpio *cpio, struct diag *diag)
{
	static const struct cpio_entry end = {0};
	const struct cpio_entry *last = NULL;

	for (size_t i = 0; i < cpio->nr; i++) {
		const struct cpio_entry *e = &cpio->entry[i];

		if (i + 1 < cpio->nr && strcmp(e->path, e[1].path) == 0)
			continue;
		if (last && !S_ISDIR(last->mode) && is_below(e->path, last->path))
			return diag_set(diag, -ENOTDIR, "archive-not-directory",
					"'/%s' in an archive where '/%s' is", e->path, last->path);
		put_implied(sink, e->path, last ? last->path : "");
		put_entry(sink, ++sink->ino, e, e->path, strlen(e->path));
		last = e;
	}
	put_entry(sink, 0, &end, trailer, sizeof(trailer) - 1);
	return 0;
}

int cpio_render(struct cpio *cpio, uint8_t **ret, size_t *ret_len, struct diag *diag)
{
	struct sink sink = {0};
	int r;

	if (cpio->nr)
		qsort(cpio->entry, cpio->nr, sizeof(*cpio->entry), entry_order);
	for (size_t i = 0; i < cpio->nr; i++)
		cpio->entry[i].order = i; /* what is added from now on is later still */
	r = put_all(&sink, cpio, diag);
	if (r < 0)
		return r;
	sink = (struct sink){.buf = malloc(sink.len)};
	if (!sink.buf)
		return diag_set(diag, -ENOMEM, "archive-memory", "an archive");
	put_all(&sink, cpio, diag);
	*ret = sink.buf;
	*ret_len = sink.len;
	return 0;
}

bool cpio_has(const struct cpio *cpio, const char *path)
{
	AUTO_FREE char *name = malloc(strlen(path) + 1);

	if (!name || path_normalise(path, name) < 0)
		return false;
	for (size_t i = 0; i < cpio->nr; i++)
		if (strcmp(cpio->entry[i].path, name) == 0)
			return true;
	return false;
}

void cpio_fini(struct cpio *cpio)
{
	for (size_t i = 0; i < cpio->nr; i++) {
		free(cpio->entry[i].path);
		free(cpio->entry[i].data);
	}
	free(cpio->entry);
	*cpio = (struct cpio){0};
}
