/* file.c - opening, locking and measuring what a disk is kept in. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "backend/disk/raw.h"
#include "base/cleanup.h"
#include "base/macros.h"

enum {
	PAGE_BYTES = 4096,
	BLOCK_BYTES_MAX = 65536, /* a block size beyond that is not believed */
};

static int no_disk(const char *path, struct diag *diag)
{
	diag_set(diag, -EINVAL, "disk-kind",
		 "disk '%s' is neither a regular file nor a block device", path);
	diag_remedy(diag, "name a raw image, or a block device such as /dev/sdb");
	return -EINVAL;
}

static int open_failed(int err, const struct disk_opts *opts, struct diag *diag)
{
	const bool writes = !opts->read_only;

	if (err == -EISDIR)
		return no_disk(opts->path, diag);
	diag_set(diag, err, "disk-open", "open disk '%s'", opts->path);
	if (err == -ENOENT && opts->is_root)
		diag_remedy(diag,
			    "name an image with a root file system, as mke2fs -d DIR makes one");
	else if (err == -ENOENT && writes)
		diag_remedy(diag, "to make one of 1 GiB: truncate -s 1G FILE");
	else if (err == -EBUSY)
		diag_remedy(diag, "it is mounted or in use: unmount it, or add ,ro");
	else if (err == -EACCES && access(opts->path, R_OK) < 0)
		diag_remedy(diag, "give this user access to it and to the directories above it");
	else if (writes && (err == -EACCES || err == -EROFS || err == -EPERM))
		diag_remedy(diag, "add ,ro, or ,cow for writes that end with the guest");
	else if (opts->direct && err == -EINVAL)
		diag_remedy(diag, "this file system may lack O_DIRECT: leave out ,direct");
	return err;
}

/* O_NONBLOCK: a FIFO that nobody opens must not hold us up before it is refused. */
static int open_path(const struct disk_opts *opts, struct diag *diag)
{
	int flags = O_CLOEXEC | O_NONBLOCK | (opts->read_only ? O_RDONLY : O_RDWR);
	struct stat st;
	int fd;

	if (opts->direct)
		flags |= O_DIRECT;
	/* On a block device the kernel refuses O_EXCL when it is mounted. */
	if (!opts->read_only && stat(opts->path, &st) == 0 && S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	fd = open(opts->path, flags);
	if (fd < 0)
		return open_failed(-errno, opts, diag);
	return fd;
}

/* A file system without locks, as some network file systems are: no one can write to what we only read. */
static int lock_failed(int err, const struct disk_opts *opts, struct diag *diag)
{
	if (opts->read_only) {
		diag_set(opts->warning, err, "disk-unlocked",
			 "disk '%s' cannot be locked: nothing keeps others from writing to it",
			 opts->path);
		return 0;
	}
	diag_set(diag, err, "disk-lock", "lock disk '%s'", opts->path);
	diag_remedy(diag,
		    "its file system has no locks: add ,ro or ,cow, or copy it to one that has");
	return err;
}

/* Of the open file description, so it also holds against a second --disk of the same VM. */
static int lock_file(int fd, const struct disk_opts *opts, struct diag *diag)
{
	struct flock lock = {
		.l_type = opts->read_only ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if (errno != EAGAIN && errno != EACCES)
		return lock_failed(-errno, opts, diag);
	diag_set(diag, -EBUSY, "disk-in-use",
		 "disk '%s' is %s by another program or another --disk", opts->path,
		 opts->read_only ? "written to" : "used");
	diag_remedy(diag, "end the other one, or give both ,ro or ,cow");
	return -EBUSY;
}

static uint32_t block_bytes(uint64_t bytes, uint32_t otherwise)
{
	const bool power = bytes != 0 && (bytes & (bytes - 1)) == 0;

	return power && bytes >= DISK_SECTOR_BYTES && bytes <= BLOCK_BYTES_MAX ? (uint32_t)bytes
									       : otherwise;
}

/* A partition's queue is its disk's. Where it cannot be read, discards are tried. */
static bool block_can_discard(dev_t dev)
{
	static const char *const dirs[] = {"queue", "../queue"};

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		char path[80], text[24] = "";
		ssize_t n;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/discard_max_bytes",
			 major(dev), minor(dev), dirs[i]);
		AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		if (n > 0)
			return text[0] != '0';
	}
	return true;
}

static int measure_block(struct disk_file *file, dev_t dev)
{
	struct disk_geometry *geo = &file->geo;
	int logical = 0, align_off = 0;
	unsigned physical = 0, io_min = 0, io_opt = 0;

	if (ioctl(file->fd, BLKGETSIZE64, &file->file_bytes) < 0 ||
	    ioctl(file->fd, BLKSSZGET, &logical) < 0)
		return -errno;
	file->block_device = true;
	geo->logical_bytes = block_bytes((uint64_t)logical, DISK_SECTOR_BYTES);
	if (ioctl(file->fd, BLKPBSZGET, &physical) < 0 || physical < geo->logical_bytes)
		physical = geo->logical_bytes;
	geo->physical_bytes = block_bytes(physical, geo->logical_bytes);
	if (ioctl(file->fd, BLKALIGNOFF, &align_off) == 0 && align_off > 0)
		geo->align_off = (uint32_t)align_off;
	if (ioctl(file->fd, BLKIOMIN, &io_min) == 0)
		geo->io_min = io_min;
	if (ioctl(file->fd, BLKIOOPT, &io_opt) == 0)
		geo->io_opt = io_opt;
	geo->can_discard = !geo->read_only && block_can_discard(dev);
	return 0;
}

/* Asking beyond the end changes nothing. */
static bool file_can_discard(const struct disk_file *file)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	const uint64_t end = (file->file_bytes + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);

	return fallocate(file->fd, mode, (off_t)end, PAGE_BYTES) == 0 || errno != EOPNOTSUPP;
}

/* Logical blocks of 512 bytes whatever holds the image: partition tables count in them. */
static void measure_file(struct disk_file *file, const struct stat *st)
{
	file->file_bytes = (uint64_t)st->st_size;
	file->geo.logical_bytes = DISK_SECTOR_BYTES;
	file->geo.physical_bytes = PAGE_BYTES;
	file->geo.can_discard = !file->geo.read_only && file_can_discard(file);
}

static int disk_file_measure(struct disk_file *file, const char *path, struct diag *diag)
{
	struct stat st;
	int r = 0;

	if (fstat(file->fd, &st) < 0)
		return diag_set(diag, -errno, "disk-stat", "stat disk '%s'", path);
	if (S_ISBLK(st.st_mode))
		r = measure_block(file, st.st_rdev);
	else if (S_ISREG(st.st_mode))
		measure_file(file, &st);
	else
		return no_disk(path, diag);
	if (r < 0)
		return diag_set(diag, r, "disk-measure", "measure disk '%s'", path);
	if (file->file_bytes == 0) {
		diag_set(diag, -EINVAL, "disk-empty", "disk '%s' is empty", path);
		diag_remedy(diag, "give it a size, as in: truncate -s 1G FILE");
		return -EINVAL;
	}
	file->geo.bytes =
		(file->file_bytes + DISK_SECTOR_BYTES - 1) & ~(uint64_t)(DISK_SECTOR_BYTES - 1);
	return 0;
}

/*
 * A guest would find a disk that is not the one inside, and spoil it. Block devices are taken for what they
 * are, which is also the way to have an image that really begins so.
 */
static int check_raw(const struct disk_file *file, const char *path, struct diag *diag)
{
	static const struct {
		const char *magic, *name;
	} formats[] = {
		{"QFI\xfb", "qcow2"}, {"KDMV", "VMDK"},       {"vhdxfile", "VHDX"},
		{"conectix", "VHD"},  {"<<< ", "VirtualBox"},
	};
	_Alignas(PAGE_BYTES) char start[PAGE_BYTES] = "";

	/* One that cannot be read fails where it is read. */
	if (file->block_device || pread(file->fd, start, sizeof(start), 0) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (memcmp(start, formats[i].magic, strlen(formats[i].magic)) != 0)
			continue;
		diag_set(diag, -EINVAL, "disk-not-raw", "disk '%s' is a %s image, not a raw one",
			 path, formats[i].name);
		diag_remedy(diag,
			    "qemu-img convert -O raw IMAGE FILE, unless a guest wrote it: what "
			    "it names as its base would be read");
		return -EINVAL;
	}
	return 0;
}

static int check_direct(struct disk_file *file, const char *path, struct diag *diag)
{
	file->dio_mem_align = PAGE_BYTES;
	if (!file->direct)
		return 0;
	disk_dio_alignment(file->fd, &file->dio_mem_align, &file->dio_off_align);
	/* Bytes after the last whole block can be read with O_DIRECT and not written. */
	if (file->geo.read_only || file->file_bytes % file->dio_off_align == 0)
		return 0;
	diag_set(diag, -EINVAL, "disk-direct-size",
		 "the size of disk '%s' is not a multiple of %u, which O_DIRECT needs here", path,
		 file->dio_off_align);
	diag_remedy(diag, "leave out ,direct, or: truncate -s %%%u FILE", file->dio_off_align);
	return -EINVAL;
}

int disk_file_open(const struct disk_opts *opts, struct disk_file *ret, struct diag *diag)
{
	AUTO_CLOSE int fd = open_path(opts, diag);
	struct disk_file file = {
		.fd = fd,
		.direct = opts->direct,
		.geo.read_only = opts->read_only,
	};
	int r = fd < 0 ? fd : disk_file_measure(&file, opts->path, diag);

	if (r == 0)
		r = lock_file(fd, opts, diag);
	if (r == 0)
		r = check_raw(&file, opts->path, diag);
	if (r == 0 && fcntl(fd, F_SETFL, opts->direct ? O_DIRECT : 0) < 0)
		r = diag_set(diag, -errno, "disk-set-up", "set up disk '%s'", opts->path);
	if (r == 0)
		r = check_direct(&file, opts->path, diag);
	if (r < 0)
		return r;
	file.fd = STEAL_FD(fd);
	*ret = file;
	return 0;
}

/* A file system may lack O_TMPFILE: then a file with a name, which goes at once. */
static int open_nameless_in(const char *dir)
{
	char path[PATH_MAX];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	if (snprintf(path, sizeof(path), "%s/tollgate-XXXXXX", dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

/* Sparse, as large as the disk, which a file system may not allow. */
static int make_sparse_in(const char *dir, uint64_t bytes)
{
	AUTO_CLOSE int fd = open_nameless_in(dir);

	if (fd < 0)
		return fd;
	return ftruncate(fd, (off_t)bytes) < 0 ? -errno : STEAL_FD(fd);
}

static int make_sparse(const struct disk_opts *opts, uint64_t bytes)
{
	static const char other[] = "/var/tmp";
	const char *dir = getenv("TMPDIR");
	AUTO_CLOSE int fd = dir && *dir ? make_sparse_in(dir, bytes) : -ENOENT;

	if (fd < 0)
		fd = make_sparse_in(other, bytes);
	if (fd >= 0)
		return STEAL_FD(fd);
	diag_set(opts->warning, fd, "cow-in-memory",
		 "disk '%s': its ,cow writes are kept in memory, as %s%s%s takes no file for them",
		 opts->path, dir && *dir ? dir : "", dir && *dir ? " and " : "", other);
	fd = memfd_create("tollgate-cow", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	return ftruncate(fd, (off_t)bytes) < 0 ? -errno : STEAL_FD(fd);
}

int disk_file_make_sparse(const struct disk_opts *opts, uint64_t bytes, struct disk_file *ret,
			  struct diag *diag)
{
	AUTO_CLOSE int fd = make_sparse(opts, bytes);
	struct disk_file file = {.file_bytes = bytes, .dio_mem_align = PAGE_BYTES};

	if (fd < 0)
		return diag_set(diag, fd, "cow-file-create",
				"make a temporary file for ,cow disk '%s'", opts->path);
	file.geo = (struct disk_geometry){
		.bytes = bytes,
		.logical_bytes = DISK_SECTOR_BYTES,
		.physical_bytes = PAGE_BYTES,
		.can_discard = true,
	};
	file.fd = STEAL_FD(fd);
	*ret = file;
	return 0;
}
