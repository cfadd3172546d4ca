#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/*
 * Current mappings, for the signal handler. len is 0 in a free slot, and is set last and cleared first.
 * Reading a file into memory of our own would need no handler, but costs a vmlinux's boot 53 MB of copy.
 */
static struct guard {
	uint8_t *data;
	_Atomic size_t len;
	atomic_bool cut; /* a page of it was gone */
} guards[FILE_MAPS_MAX];
static unsigned nr_guards;
static struct sigaction sigbus_before;

static struct guard *guard_of(uintptr_t at)
{
	for (unsigned i = 0; i < FILE_MAPS_MAX; i++) {
		const size_t len = atomic_load(&guards[i].len);

		if (len && at - (uintptr_t)guards[i].data < len)
			return &guards[i];
	}
	return NULL;
}

/*
 * Puts zeros in the place of what the file no longer has, from the page that was read to the mapping's
 * end. mmap() and sigaction() are system calls and little else; the code that faulted holds no lock of
 * theirs.
 */
static void sigbus(int sig, siginfo_t *info, void *context)
{
	const uintptr_t mask = ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
	const uintptr_t at = (uintptr_t)info->si_addr & mask;
	struct guard *guard = guard_of(at);
	const int err = errno;
	uint8_t *from;

	(void)context;
	if (guard) {
		from = guard->data + (at - (uintptr_t)guard->data);
		if (mmap(from, atomic_load(&guard->len) - (at - (uintptr_t)guard->data), PROT_READ,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
			atomic_store(&guard->cut, true);
			errno = err;
			return;
		}
	}
	sigaction(sig, &sigbus_before, NULL); /* and the access that faulted is made again */
	errno = err;
}

static int guard_add(uint8_t *data, size_t len, unsigned *ret_slot)
{
	const struct sigaction action = {.sa_sigaction = sigbus, .sa_flags = SA_SIGINFO};
	unsigned i = 0;

	while (i < FILE_MAPS_MAX && atomic_load(&guards[i].len))
		i++;
	if (i == FILE_MAPS_MAX)
		return -EMFILE;
	if (nr_guards == 0 && sigaction(SIGBUS, &action, &sigbus_before) < 0)
		return -errno;
	nr_guards++;
	guards[i].data = data;
	atomic_store(&guards[i].cut, false);
	atomic_store(&guards[i].len, len);
	*ret_slot = i;
	return 0;
}

static void guard_remove(unsigned slot)
{
	atomic_store(&guards[slot].len, 0);
	if (--nr_guards == 0)
		sigaction(SIGBUS, &sigbus_before, NULL);
}

bool file_maps_guarded(void)
{
	return nr_guards > 0;
}

static int refuse_kind(const struct stat *st, const char *what, const char *path, struct diag *diag)
{
	if (S_ISDIR(st->st_mode)) {
		diag_set(diag, -EINVAL, "file-directory", "%s '%s' is a directory", what, path);
		diag_remedy(diag, "name the file inside it");
		return -EINVAL;
	}
	if (!S_ISREG(st->st_mode)) {
		diag_set(diag, -EINVAL, "file-kind", "%s '%s' is not a regular file", what, path);
		diag_remedy(diag, "copy it to a file first");
		return -EINVAL;
	}
	if (st->st_size == 0)
		return diag_set(diag, -EINVAL, "file-empty", "%s '%s' is empty", what, path);
	return 0;
}

int file_map_open(struct file_map *ret, const char *what, const char *path, struct diag *diag)
{
	/* O_NONBLOCK: a FIFO nobody writes to must not hold us up before it is refused. */
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	unsigned slot = 0;
	void *p;
	int r;

	if (fd < 0)
		return diag_set(diag, -errno, "file-open", "open %s '%s'", what, path);
	if (fstat(fd, &st) < 0)
		return diag_set(diag, -errno, "file-stat", "stat %s '%s'", what, path);
	r = refuse_kind(&st, what, path, diag);
	if (r < 0)
		return r;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return diag_set(diag, -errno, "file-map", "map %s '%s'", what, path);
	r = guard_add(p, (size_t)st.st_size, &slot);
	if (r < 0) {
		munmap(p, (size_t)st.st_size);
		return diag_set(diag, r, "file-map", "map %s '%s'", what, path);
	}
	*ret = (struct file_map){
		.data = p,
		.len = (size_t)st.st_size,
		.fd = STEAL_FD(fd),
		.slot = slot,
		.written_at = st.st_mtim,
	};
	return 0;
}

int file_map_check(const struct file_map *map, const char *what, const char *path,
		   struct diag *diag)
{
	struct stat st;

	if (fstat(map->fd, &st) < 0)
		return diag_set(diag, -errno, "file-stat", "stat %s '%s'", what, path);
	if (!atomic_load(&guards[map->slot].cut) && (size_t)st.st_size == map->len &&
	    st.st_mtim.tv_sec == map->written_at.tv_sec &&
	    st.st_mtim.tv_nsec == map->written_at.tv_nsec)
		return 0;
	diag_set(diag, -EBUSY, "file-changed", "%s '%s' was changed while it was read", what, path);
	diag_remedy(diag, "start again when it is complete; write to another file and rename it");
	return -EBUSY;
}

void file_map_close(struct file_map *map)
{
	if (map->data) {
		guard_remove(map->slot);
		munmap(map->data, map->len);
		close(map->fd);
	}
	*map = (struct file_map){0};
}
