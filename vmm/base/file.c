#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"

static int refuse_kind(const struct stat *st, const char *what, const char *path, struct diag *diag)
{
	if (S_ISDIR(st->st_mode)) {
		diag_set(diag, -EINVAL, "%s '%s' is a directory", what, path);
		diag_remedy(diag, "name the file inside it");
		return -EINVAL;
	}
	if (!S_ISREG(st->st_mode)) {
		diag_set(diag, -EINVAL, "%s '%s' is not a regular file", what, path);
		diag_remedy(diag, "copy it to a file first");
		return -EINVAL;
	}
	if (st->st_size == 0)
		return diag_set(diag, -EINVAL, "%s '%s' is empty", what, path);
	return 0;
}

int file_map_open(struct file_map *ret, const char *what, const char *path, struct diag *diag)
{
	/* O_NONBLOCK: a FIFO nobody writes to must not hold us up before it is refused. */
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	void *p;
	int r;

	if (fd < 0)
		return diag_set(diag, -errno, "open %s '%s'", what, path);
	if (fstat(fd, &st) < 0)
		return diag_set(diag, -errno, "stat %s '%s'", what, path);
	r = refuse_kind(&st, what, path, diag);
	if (r < 0)
		return r;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return diag_set(diag, -errno, "map %s '%s'", what, path);
	*ret = (struct file_map){.data = p, .len = (size_t)st.st_size};
	return 0;
}

void file_map_close(struct file_map *map)
{
	if (map->data)
		munmap(map->data, map->len);
	*map = (struct file_map){0};
}
