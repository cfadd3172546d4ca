/* handle.c - files and directories that the guest has open. Their number in the guest has a slot, and its generation. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/fs/internal.h"
#include "backend/fs/node.h"

enum { SLOTS_MIN = 64 };

#define NO_SLOT UINT32_MAX

static int handle_slots_grow(struct fs *fs)
{
	const uint32_t nr = fs->nr_slots ? fs->nr_slots * 2 : SLOTS_MIN;
	struct fs_slot *slot = reallocarray(fs->slot, nr, sizeof(*slot));

	if (!slot)
		return -ENOMEM;
	for (uint32_t i = fs->nr_slots; i < nr; i++)
		slot[i] = (struct fs_slot){.next_free = i + 1 < nr ? i + 1 : NO_SLOT};
	fs->free_slot = fs->nr_slots;
	fs->slot = slot;
	fs->nr_slots = nr;
	return 0;
}

/* Under the lock. The number of slots follows from the number of descriptors, which is limited. */
static int handle_slot_take(struct fs *fs, struct fs_handle *handle)
{
	struct fs_slot *slot;
	uint32_t index;
	int r = 0;

	if (fs->nr_handles == fs->nr_slots)
		r = handle_slots_grow(fs);
	if (r < 0)
		return r;
	index = fs->free_slot;
	slot = &fs->slot[index];
	fs->free_slot = slot->next_free;
	slot->handle = handle;
	fs->nr_handles++;
	handle->id = (uint64_t)slot->generation << 32 | index;
	return 0;
}

/* Under the lock. */
static struct fs_handle *handle_find(const struct fs *fs, uint64_t id, bool is_dir)
{
	const uint32_t index = (uint32_t)id;

	if (index >= fs->nr_slots || !fs->slot[index].handle ||
	    fs->slot[index].generation != (uint32_t)(id >> 32) ||
	    fs->slot[index].handle->is_dir != is_dir)
		return NULL;
	return fs->slot[index].handle;
}

static void handle_free(struct fs *fs, struct fs_handle *handle)
{
	fs_file_close(fs, handle->fd);
	fs_node_done(fs, handle->node);
	pthread_mutex_destroy(&handle->position);
	free(handle);
}

int fs_handle_add(struct fs *fs, struct fs_node *node, int fd, bool is_dir, uint64_t *ret_id)
{
	struct fs_handle *handle = calloc(1, sizeof(*handle));
	int r = -ENOMEM;

	if (!handle) {
		fs_file_close(fs, fd);
		return -ENOMEM;
	}
	*handle = (struct fs_handle){.node = node, .fd = fd, .is_dir = is_dir, .refs = 1};
	pthread_mutex_init(&handle->position, NULL);
	pthread_mutex_lock(&fs->lock);
	r = handle_slot_take(fs, handle);
	if (r == 0) {
		node->refs++;
		fs_node_busy(fs, node);
		*ret_id = handle->id;
	}
	pthread_mutex_unlock(&fs->lock);
	if (r < 0) {
		fs_file_close(fs, fd);
		pthread_mutex_destroy(&handle->position);
		free(handle);
	}
	return r;
}

int fs_handle_use(struct fs *fs, uint64_t id, bool is_dir, struct fs_handle **ret)
{
	struct fs_handle *handle;

	pthread_mutex_lock(&fs->lock);
	handle = handle_find(fs, id, is_dir);
	if (handle)
		handle->refs++;
	pthread_mutex_unlock(&fs->lock);
	if (!handle)
		return -EBADF;
	*ret = handle;
	return 0;
}

void fs_handle_done(struct fs *fs, struct fs_handle *handle)
{
	bool last;

	pthread_mutex_lock(&fs->lock);
	last = --handle->refs == 0;
	pthread_mutex_unlock(&fs->lock);
	if (last)
		handle_free(fs, handle);
}

/* Under the lock; the caller gives up the table's reference. */
static void handle_slot_free(struct fs *fs, uint32_t index)
{
	struct fs_slot *slot = &fs->slot[index];

	slot->handle = NULL;
	slot->generation++;
	slot->next_free = fs->free_slot;
	fs->free_slot = index;
	fs->nr_handles--;
}

int fs_handle_close(struct fs *fs, uint64_t id, bool is_dir)
{
	struct fs_handle *handle;

	pthread_mutex_lock(&fs->lock);
	handle = handle_find(fs, id, is_dir);
	if (handle)
		handle_slot_free(fs, (uint32_t)id);
	pthread_mutex_unlock(&fs->lock);
	if (!handle)
		return -EBADF;
	fs_handle_done(fs, handle);
	return 0;
}

void fs_handles_drop(struct fs *fs)
{
	for (uint32_t i = 0; i < fs->nr_slots; i++) {
		struct fs_handle *handle;

		pthread_mutex_lock(&fs->lock);
		handle = fs->slot[i].handle;
		if (handle)
			handle_slot_free(fs, i);
		pthread_mutex_unlock(&fs->lock);
		if (handle)
			fs_handle_done(fs, handle);
	}
}
