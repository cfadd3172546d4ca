/*
 * files.c - the files that threads of shared directories may open, by Landlock. They take names from the guest, and
 * check them (backend/fs/): this holds when that fails.
 *
 * A rule is for a directory and all below it. Opening, truncating, making, removing, linking and renaming are covered, by
 * name or by /proc/self/fd. Linux before 5.19 (ABI 1) refuses each rename between directories, so it is left out there.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/internal.h"

/* The headers of Debian 12 have the rights of ABI 2. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (UINT64_C(1) << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (UINT64_C(1) << 15)
#endif

enum { ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_IOCTL_DEV = 5 };

#define READ_RIGHTS                                                                                \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

/* All that this kernel can refuse. */
static uint64_t rights_of(int abi)
{
	uint64_t rights = READ_RIGHTS | LANDLOCK_ACCESS_FS_WRITE_FILE |
			  LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
			  LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
			  LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
			  LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
			  LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;

	if (abi >= ABI_TRUNCATE)
		rights |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (abi >= ABI_IOCTL_DEV)
		rights |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
	return rights;
}

/* A directory that cannot be opened has no rule. Its device refuses it with a message. */
static int files_allow(int ruleset, const struct sandbox_dir *dir, uint64_t rights)
{
	AUTO_CLOSE int fd = open(dir->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct landlock_path_beneath_attr rule = {
		.allowed_access = dir->read_only ? READ_RIGHTS : rights,
		.parent_fd = fd,
	};

	if (fd < 0)
		return 0;
	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
		       ? -errno
		       : 0;
}

int sandbox_files_ruleset(const struct sandbox_opts *opts, int abi, int *ret)
{
	const struct landlock_ruleset_attr attr = {.handled_access_fs = rights_of(abi)};
	AUTO_CLOSE int fd = -1;
	int r = 0;

	*ret = -1;
	if (abi < ABI_REFER)
		return 0;
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < opts->nr_dirs && r == 0; i++)
		r = files_allow(fd, &opts->dir[i], attr.handled_access_fs);
	if (r == 0)
		*ret = STEAL_FD(fd);
	return r;
}

int sandbox_files_restrict(int ruleset)
{
	if (ruleset < 0)
		return 0;
	return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}
