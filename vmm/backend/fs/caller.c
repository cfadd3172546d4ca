/*
 * caller.c - the thread that serves a request: a file that it makes has the mode and the owner that the guest wants.
 *
 * Linux has a umask for each thread that asks for it, and each thread has its own user for files (setfsuid(2)) and its
 * own capabilities.
 */
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/fs/internal.h"

void fs_worker_enter(struct fs_worker *worker)
{
	if (worker->ready)
		return;
	worker->ready = true;
	/* Docker's default seccomp profile refuses it; then modes are mended afterwards (fs_serve_mkdir() and others). */
	worker->own_umask = unshare(CLONE_FS) == 0;
	if (worker->own_umask)
		umask(0);
}

void fs_mode_mend(const struct fs_op *op, int fd, mode_t mode)
{
	char name[FS_PROC_NAME_BYTES];

	if (fchmodat(op->fs->proc_fd, fs_proc_name(fd, name), mode & 07777, 0) < 0)
		return; /* the caller replies with the attributes that the file has */
}

/* A thread that changes its user loses the capabilities that override permissions, which the guest has checked. */
static bool keep_capabilities(void)
{
	struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &hdr, data) < 0)
		return false;
	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		data[i].effective = data[i].permitted;
	return syscall(SYS_capset, &hdr, data) == 0;
}

int fs_caller_begin(const struct fs_op *op)
{
	const struct fs *fs = op->fs;

	if (!fs->is_root)
		return op->hdr.uid == 0 || (fs->opts.ids == FS_IDS_SAME && op->hdr.uid == fs->uid)
			       ? 0
			       : -EPERM;
	if (op->hdr.uid == fs->uid && op->hdr.gid == fs->gid)
		return 0;
	setfsgid(op->hdr.gid);
	setfsuid(op->hdr.uid);
	/* Each returns the id before; there is no other way to learn whether it was accepted. */
	if ((uint32_t)setfsuid(UINT32_MAX) != op->hdr.uid ||
	    (uint32_t)setfsgid(UINT32_MAX) != op->hdr.gid || !keep_capabilities()) {
		fs_caller_end(op);
		return -EPERM;
	}
	return 0;
}

void fs_caller_end(const struct fs_op *op)
{
	const struct fs *fs = op->fs;

	if (!fs->is_root || (op->hdr.uid == fs->uid && op->hdr.gid == fs->gid))
		return;
	setfsuid(fs->uid);
	setfsgid(fs->gid);
}

/* For other users than root the kernel does it upon each write. */
int fs_kill_suid(struct fs *fs, int fd)
{
	char name[FS_PROC_NAME_BYTES];
	struct statx stx;
	mode_t mode;
	int r;

	if (!fs->is_root)
		return 0;
	r = fs_stat_fd(fd, &stx);
	if (r < 0)
		return r;
	mode = stx.stx_mode & ~(mode_t)S_ISUID;
	if (mode & S_IXGRP)
		mode &= ~(mode_t)S_ISGID;
	if (mode == stx.stx_mode)
		return 0;
	return fchmodat(fs->proc_fd, fs_proc_name(fd, name), mode & 07777, 0) < 0 ? -errno : 0;
}
