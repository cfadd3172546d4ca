/* attr.c - attributes of files, as the guest is sent them; ids of users. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "backend/fs/internal.h"
#include "base/clock.h"

enum { STAT_MASK = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID };

int fs_stat_fd(int fd, struct statx *ret)
{
	return statx(fd, "", AT_EMPTY_PATH, STAT_MASK, ret) < 0 ? -errno : 0;
}

int fs_stat_at(int dir_fd, const char *name, struct statx *ret)
{
	return statx(dir_fd, name, AT_SYMLINK_NOFOLLOW, STAT_MASK, ret) < 0 ? -errno : 0;
}

int64_t fs_time_ns(const struct statx_timestamp *ts)
{
	/* Wraps for years that no clock shows: it is only compared. */
	return (int64_t)((uint64_t)ts->tv_sec * (uint64_t)NS_PER_S + ts->tv_nsec);
}

struct fs_key fs_key_of(const struct statx *stx)
{
	return (struct fs_key){
		.mnt_id = stx->stx_mask & STATX_MNT_ID ? stx->stx_mnt_id : 0,
		.dev = makedev(stx->stx_dev_major, stx->stx_dev_minor),
		.ino = stx->stx_ino,
		.birth_ns = stx->stx_mask & STATX_BTIME ? fs_time_ns(&stx->stx_btime) : 0,
	};
}

static uint32_t id_to_guest(const struct fs *fs, uint32_t id, uint32_t own)
{
	return !fs->is_root && fs->opts.ids == FS_IDS_ROOT && id == own ? 0 : id;
}

static uint32_t id_to_host(const struct fs *fs, uint32_t id, uint32_t own, uint32_t old)
{
	/* The id that the file shows already changes nothing, whether this process could make it or not. */
	if (id == UINT32_MAX || id == id_to_guest(fs, old, own))
		return UINT32_MAX;
	return !fs->is_root && fs->opts.ids == FS_IDS_ROOT && id == 0 ? own : id;
}

uid_t fs_uid_to_host(const struct fs *fs, uint32_t uid, const struct statx *stx)
{
	return id_to_host(fs, uid, fs->uid, stx->stx_uid);
}

gid_t fs_gid_to_host(const struct fs *fs, uint32_t gid, const struct statx *stx)
{
	return id_to_host(fs, gid, fs->gid, stx->stx_gid);
}

/* As new_encode_dev() of the kernel packs it. */
static uint32_t rdev_pack(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | major << 8 | (minor & ~UINT32_C(0xff)) << 12;
}

void fs_attr_fill(const struct fs *fs, const struct statx *stx, struct fuse_attr *ret)
{
	*ret = (struct fuse_attr){
		.ino = stx->stx_ino,
		.size = stx->stx_size,
		.blocks = stx->stx_blocks,
		.atime = (uint64_t)stx->stx_atime.tv_sec,
		.mtime = (uint64_t)stx->stx_mtime.tv_sec,
		.ctime = (uint64_t)stx->stx_ctime.tv_sec,
		.atimensec = stx->stx_atime.tv_nsec,
		.mtimensec = stx->stx_mtime.tv_nsec,
		.ctimensec = stx->stx_ctime.tv_nsec,
		.mode = stx->stx_mode,
		.nlink = stx->stx_nlink,
		.uid = id_to_guest(fs, stx->stx_uid, fs->uid),
		.gid = id_to_guest(fs, stx->stx_gid, fs->gid),
		.rdev = rdev_pack(stx->stx_rdev_major, stx->stx_rdev_minor),
		.blksize = stx->stx_blksize,
	};
}

void fs_reply_attr(struct fs_op *op, struct fs_node *node, const struct statx *stx)
{
	struct fuse_attr_out out = {.attr_valid = FS_VALID_S};

	fs_attr_fill(op->fs, stx, &out.attr);
	fs_node_sent(op->fs, node, stx);
	fs_reply(op, &out, sizeof(out));
}

void fs_entry_fill(struct fs *fs, struct fs_node *node, const struct statx *stx,
		   struct fuse_entry_out *ret)
{
	*ret = (struct fuse_entry_out){
		.nodeid = node->id,
		.entry_valid = FS_VALID_S,
		.attr_valid = FS_VALID_S,
	};
	fs_attr_fill(fs, stx, &ret->attr);
	fs_node_sent(fs, node, stx);
}
