/* node.h - what node.c and files.c do for each other. All of it under fs->lock. */
#ifndef VMM_BACKEND_FS_NODE_H
#define VMM_BACKEND_FS_NODE_H

#include "backend/fs/internal.h"

static inline bool fs_key_equal(const struct fs_key *a, const struct fs_key *b)
{
	return a->ino == b->ino && a->dev == b->dev && a->mnt_id == b->mnt_id &&
	       a->birth_ns == b->birth_ns;
}

/* The guest's node of that number, held for fs_node_done(); NULL: there is none. Its descriptor may be closed. */
struct fs_node *fs_node_hold(struct fs *fs, uint64_t id);
/* Gives up a reference; the node is freed with the last one. */
void fs_node_unref(struct fs *fs, struct fs_node *node);
/* Forgets all that the guest has looked up. */
void fs_nodes_drop(struct fs *fs);

/* Its descriptor is needed, and is not any more: then it may be closed for another one. */
void fs_node_busy(struct fs *fs, struct fs_node *node);
void fs_node_idle(struct fs *fs, struct fs_node *node);
/* Of one that is idle; no effect without a descriptor. */
void fs_node_fd_close(struct fs *fs, struct fs_node *node);
void fs_file_close_locked(struct fs *fs, int fd);

#endif
