/* node.c - the files that the guest knows: by number, and by identity. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/fs/internal.h"
#include "backend/fs/node.h"

enum {
	BUCKETS_MIN = 256,
	NODE_BUCKET_BYTES = 2 * sizeof(struct fs_node *),
	PARENTS_MAX = 1024, /* that are followed to find a circle */
};

static uint64_t hash64(uint64_t v)
{
	v ^= v >> 33;
	v *= UINT64_C(0xff51afd7ed558ccd);
	v ^= v >> 33;
	return v;
}

static struct fs_node **id_bucket(const struct fs *fs, uint64_t id)
{
	return &fs->by_id[hash64(id) & (fs->nr_buckets - 1)];
}

static struct fs_node **key_bucket(const struct fs *fs, const struct fs_key *key)
{
	return &fs->by_key[hash64(key->ino ^ hash64(key->dev)) & (fs->nr_buckets - 1)];
}

static struct fs_node *find_id(const struct fs *fs, uint64_t id)
{
	struct fs_node *node = *id_bucket(fs, id);

	while (node && node->id != id)
		node = node->next_id;
	return node;
}

static struct fs_node *find_key(const struct fs *fs, const struct fs_key *key)
{
	struct fs_node *node = *key_bucket(fs, key);

	while (node && !fs_key_equal(&node->key, key))
		node = node->next_key;
	return node;
}

/* Without memory for more buckets they only become longer. */
static void buckets_grow(struct fs *fs)
{
	const size_t nr = fs->nr_buckets * 2;
	struct fs_node **by_id = calloc(nr, sizeof(struct fs_node *));
	struct fs_node **by_key = calloc(nr, sizeof(struct fs_node *));
	struct fs_node **old = fs->by_id;
	const size_t old_nr = fs->nr_buckets;

	if (!by_id || !by_key) {
		free(by_id);
		free(by_key);
		return;
	}
	free(fs->by_key);
	fs->by_id = by_id;
	fs->by_key = by_key;
	fs->nr_buckets = nr;
	for (size_t i = 0; i < old_nr; i++) {
		for (struct fs_node *node = old[i], *next; node; node = next) {
			struct fs_node **id = id_bucket(fs, node->id);
			struct fs_node **key = key_bucket(fs, &node->key);

			next = node->next_id;
			node->next_id = *id;
			*id = node;
			node->next_key = *key;
			*key = node;
		}
	}
	free(old);
}

static void node_link(struct fs *fs, struct fs_node *node)
{
	struct fs_node **id, **key;

	if (fs->nr_nodes >= fs->nr_buckets)
		buckets_grow(fs);
	id = id_bucket(fs, node->id);
	key = key_bucket(fs, &node->key);
	node->next_id = *id;
	*id = node;
	node->next_key = *key;
	*key = node;
	fs->nr_nodes++;
}

static void node_unlink(struct fs *fs, const struct fs_node *node)
{
	struct fs_node **at = id_bucket(fs, node->id);

	while (*at != node)
		at = &(*at)->next_id;
	*at = node->next_id;
	at = key_bucket(fs, &node->key);
	while (*at != node)
		at = &(*at)->next_key;
	*at = node->next_key;
	fs->nr_nodes--;
}

static uint64_t name_bytes(const char *name)
{
	return name ? strlen(name) + 1 : 0;
}

static void set_name(struct fs *fs, struct fs_node *node, char *name)
{
	fs->nodes_bytes += name_bytes(name);
	fs->nodes_bytes -= name_bytes(node->name);
	free(node->name);
	node->name = name;
}

void fs_node_unref(struct fs *fs, struct fs_node *node)
{
	node->refs--;
	while (node && node->refs == 0 && node->lookups == 0) {
		struct fs_node *parent = node->parent;

		assert(node->busy == 0);
		fs_node_fd_close(fs, node);
		node_unlink(fs, node);
		set_name(fs, node, NULL);
		fs->nodes_bytes -= sizeof(*node) + NODE_BUCKET_BYTES;
		free(node);
		node = parent;
		if (node)
			node->refs--;
	}
}

/* Whether node is parent or one of its parents: then it cannot become its child. */
static bool is_above(const struct fs_node *node, const struct fs_node *parent)
{
	unsigned n = 0;

	while (parent && parent != node && n++ < PARENTS_MAX)
		parent = parent->parent;
	return parent != NULL;
}

/* Where it was last seen. Under the lock. Without memory for that its descriptor cannot be opened again. */
static void node_place(struct fs *fs, struct fs_node *node, struct fs_node *parent,
		       const char *name)
{
	struct fs_node *old = node->parent;

	if (node == fs->root ||
	    (old && old == parent && node->name && strcmp(node->name, name) == 0))
		return;
	if (parent && is_above(node, parent))
		parent = NULL;
	if (parent)
		parent->refs++;
	node->parent = parent;
	set_name(fs, node, parent ? strdup(name) : NULL);
	if (old)
		fs_node_unref(fs, old);
}

static struct fs_node *node_create(struct fs *fs, const struct statx *stx, int fd)
{
	struct fs_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->id = fs->next_id++;
	node->key = fs_key_of(stx);
	node->type = stx->stx_mode & S_IFMT;
	node->fd = fd;
	fs->nodes_bytes += sizeof(*node) + NODE_BUCKET_BYTES;
	node_link(fs, node);
	return node;
}

int fs_nodes_init(struct fs *fs, int root_fd, const struct statx *stx)
{
	fs->nr_buckets = BUCKETS_MIN;
	fs->by_id = calloc(BUCKETS_MIN, sizeof(struct fs_node *));
	fs->by_key = calloc(BUCKETS_MIN, sizeof(struct fs_node *));
	fs->next_id = FUSE_ROOT_ID;
	if (fs->by_id && fs->by_key)
		fs->root = node_create(fs, stx, root_fd);
	if (!fs->root)
		return -ENOMEM;
	/* It stays, with its descriptor. */
	fs->root->lookups = 1;
	fs->root->refs = fs->root->busy = 1;
	fs->nr_files++;
	return 0;
}

void fs_nodes_drop(struct fs *fs)
{
	/* A node that goes away takes its parents along, so each bucket is looked at again from its beginning. */
	for (size_t i = 0; i < fs->nr_buckets; i++) {
		struct fs_node *node = fs->by_id[i];

		while (node) {
			if (node == fs->root || node->lookups == 0) {
				node = node->next_id;
				continue;
			}
			node->lookups = 0;
			node->refs++;
			fs_node_unref(fs, node);
			node = fs->by_id[i];
		}
	}
}

void fs_nodes_fini(struct fs *fs)
{
	if (fs->root) {
		fs_nodes_drop(fs);
		fs->root->lookups = 0;
		fs->root->busy--;
		fs_node_unref(fs, fs->root);
	}
	assert(fs->nr_nodes == 0);
	free(fs->by_id);
	free(fs->by_key);
}

struct fs_node *fs_node_hold(struct fs *fs, uint64_t id)
{
	struct fs_node *node = find_id(fs, id);

	/* One that the guest has forgotten, and others need, is not its own to use. */
	if (!node || node->lookups == 0)
		return NULL;
	node->refs++;
	fs_node_busy(fs, node);
	return node;
}

void fs_node_done(struct fs *fs, struct fs_node *node)
{
	pthread_mutex_lock(&fs->lock);
	fs_node_idle(fs, node);
	fs_node_unref(fs, node);
	pthread_mutex_unlock(&fs->lock);
}

static struct fs_node *find_or_create(struct fs *fs, const struct statx *stx, int fd)
{
	const struct fs_key key = fs_key_of(stx);
	struct fs_node *node = find_key(fs, &key);

	if (!node && fs->nodes_bytes < fs->opts.nodes_bytes)
		return node_create(fs, stx, fd);
	if (fd >= 0 && node && node->fd < 0)
		node->fd = fd;
	else if (fd >= 0)
		fs_file_close_locked(fs, fd);
	return node;
}

int fs_node_found(struct fs *fs, struct fs_node *parent, const char *name, const struct statx *stx,
		  int fd, struct fs_node **ret)
{
	struct fs_node *node;

	pthread_mutex_lock(&fs->lock);
	node = find_or_create(fs, stx, fd);
	if (node) {
		node->lookups++;
		node->refs++;
		fs_node_busy(fs, node);
		node_place(fs, node, parent, name);
	}
	pthread_mutex_unlock(&fs->lock);
	if (!node)
		return -ENFILE;
	*ret = node;
	return 0;
}

void fs_node_moved(struct fs *fs, struct fs_node *parent, const char *name, const struct statx *stx)
{
	const struct fs_key key = fs_key_of(stx);
	struct fs_node *node;

	pthread_mutex_lock(&fs->lock);
	node = find_key(fs, &key);
	if (node)
		node_place(fs, node, parent, name);
	pthread_mutex_unlock(&fs->lock);
}

/* A guest that forgets more than it looked up has forgotten all. */
void fs_node_forget(struct fs *fs, uint64_t id, uint64_t lookups)
{
	struct fs_node *node;

	pthread_mutex_lock(&fs->lock);
	node = find_id(fs, id);
	if (node && node != fs->root && node->lookups > 0) {
		node->lookups -= lookups < node->lookups ? lookups : node->lookups;
		node->refs++;
		fs_node_unref(fs, node);
	}
	pthread_mutex_unlock(&fs->lock);
}

void fs_node_sent(struct fs *fs, struct fs_node *node, const struct statx *stx)
{
	pthread_mutex_lock(&fs->lock);
	node->sent_mtime_ns = fs_time_ns(&stx->stx_mtime);
	node->sent_size = stx->stx_size;
	node->was_sent = true;
	pthread_mutex_unlock(&fs->lock);
}

bool fs_node_is_as_sent(struct fs *fs, const struct fs_node *node, const struct statx *stx)
{
	bool same;

	pthread_mutex_lock(&fs->lock);
	same = node->was_sent && node->sent_size == stx->stx_size &&
	       node->sent_mtime_ns == fs_time_ns(&stx->stx_mtime);
	pthread_mutex_unlock(&fs->lock);
	return same;
}
