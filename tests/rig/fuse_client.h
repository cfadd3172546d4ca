/*
 * fuse_client.h - the guest's side of the FUSE protocol, for tests of backend/fs: requests as bytes, and what came back. One
 * at a time.
 */
#ifndef TESTS_FUSE_CLIENT_H
#define TESTS_FUSE_CLIENT_H

#include <assert.h>
#include <errno.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/fs.h"

enum { FUSE_CLIENT_BYTES = 1 << 20 };

struct fuse_client {
	struct fs *fs;
	struct fs_worker *worker;
	uint64_t unique;
	uint32_t uid, gid; /* of the caller */
	uint8_t out[FUSE_CLIENT_BYTES];
	size_t out_len;
	uint8_t in[FUSE_CLIENT_BYTES];
	size_t room; /* for the next reply, with its header */
	struct fs_result result;
};

static struct fuse_client fuse_client;

static inline void fuse_client_begin(uint32_t opcode, uint64_t nodeid)
{
	const struct fuse_in_header hdr = {
		.opcode = opcode,
		.unique = ++fuse_client.unique,
		.nodeid = nodeid,
		.uid = fuse_client.uid,
		.gid = fuse_client.gid,
		.pid = 1,
	};

	memcpy(fuse_client.out, &hdr, sizeof(hdr));
	fuse_client.out_len = sizeof(hdr);
	fuse_client.room = 8192;
}

static inline void fuse_client_put(const void *bytes, size_t len)
{
	assert(len <= sizeof(fuse_client.out) - fuse_client.out_len);
	if (len)
		memcpy(fuse_client.out + fuse_client.out_len, bytes, len);
	fuse_client.out_len += len;
}

static inline void fuse_client_put_string(const char *s)
{
	fuse_client_put(s, strlen(s) + 1);
}

/* Sends it; what the reply's header has for an error: 0 or -errno. */
static inline int fuse_client_send(void)
{
	const uint32_t len = (uint32_t)fuse_client.out_len;
	const struct iovec out = {fuse_client.out, fuse_client.out_len};
	const struct iovec in = {fuse_client.in, fuse_client.room};
	struct fuse_out_header hdr;

	memcpy(fuse_client.out, &len, sizeof(len));
	memset(fuse_client.in, 0xee, fuse_client.room);
	if (!fs_serve(fuse_client.fs, fuse_client.worker, &out, 1, &in, 1, true,
		      &fuse_client.result))
		abort();
	if (fuse_client.result.reply_bytes == 0)
		return 0;
	memcpy(&hdr, fuse_client.in, sizeof(hdr));
	assert(hdr.len == fuse_client.result.reply_bytes && hdr.len <= fuse_client.room);
	assert(hdr.unique == fuse_client.unique);
	assert(hdr.error <= 0 && (hdr.error == 0 || hdr.len == sizeof(hdr)));
	return hdr.error;
}

/* The reply after its header. */
static inline const void *fuse_client_reply(void)
{
	return fuse_client.in + sizeof(struct fuse_out_header);
}

static inline size_t fuse_client_reply_len(void)
{
	return fuse_client.result.reply_bytes - sizeof(struct fuse_out_header);
}

/* One structure and one or two strings; either may be NULL. */
static inline int fuse_call(uint32_t opcode, uint64_t nodeid, const void *arg, size_t len,
			    const char *name, const char *name2)
{
	fuse_client_begin(opcode, nodeid);
	fuse_client_put(arg, len);
	if (name)
		fuse_client_put_string(name);
	if (name2)
		fuse_client_put_string(name2);
	return fuse_client_send();
}

static inline int fuse_init(uint32_t flags)
{
	const struct fuse_init_in in = {
		.major = FUSE_KERNEL_VERSION,
		.minor = 38,
		.max_readahead = 131072,
		.flags = flags,
	};

	return fuse_call(FUSE_INIT, 0, &in, sizeof(in), NULL, NULL);
}

static inline int fuse_lookup(uint64_t dir, const char *name, struct fuse_entry_out *ret)
{
	int r = fuse_call(FUSE_LOOKUP, dir, NULL, 0, name, NULL);

	*ret = (struct fuse_entry_out){0};
	if (r == 0)
		memcpy(ret, fuse_client_reply(), sizeof(*ret));
	return r;
}

/* The number of what is at a path; 0: there is nothing. */
static inline uint64_t fuse_walk(const char *path)
{
	uint64_t node = FUSE_ROOT_ID;
	char buf[4096], *rest = buf, *name;

	assert(strlen(path) < sizeof(buf));
	snprintf(buf, sizeof(buf), "%s", path);
	while ((name = strtok_r(rest, "/", &rest))) {
		struct fuse_entry_out entry;

		if (fuse_lookup(node, name, &entry) < 0)
			return 0;
		node = entry.nodeid;
	}
	return node;
}

static inline int fuse_getattr(uint64_t node, struct fuse_attr *ret)
{
	const struct fuse_getattr_in in = {0};
	int r = fuse_call(FUSE_GETATTR, node, &in, sizeof(in), NULL, NULL);

	*ret = (struct fuse_attr){0};
	if (r == 0)
		memcpy(ret, &((const struct fuse_attr_out *)fuse_client_reply())->attr,
		       sizeof(*ret));
	return r;
}

static inline int fuse_open(uint64_t node, uint32_t flags, struct fuse_open_out *ret)
{
	const struct fuse_open_in in = {.flags = flags};
	int r = fuse_call(FUSE_OPEN, node, &in, sizeof(in), NULL, NULL);

	*ret = (struct fuse_open_out){0};
	if (r == 0)
		memcpy(ret, fuse_client_reply(), sizeof(*ret));
	return r;
}

static inline int fuse_create(uint64_t dir, const char *name, uint32_t flags, uint32_t mode,
			      uint64_t *ret_node, uint64_t *ret_fh)
{
	const struct fuse_create_in in = {.flags = flags, .mode = mode};
	int r = fuse_call(FUSE_CREATE, dir, &in, sizeof(in), name, NULL);
	struct fuse_entry_out entry;
	struct fuse_open_out open;

	*ret_node = *ret_fh = 0;
	if (r < 0)
		return r;
	memcpy(&entry, fuse_client_reply(), sizeof(entry));
	memcpy(&open, (const uint8_t *)fuse_client_reply() + sizeof(entry), sizeof(open));
	*ret_node = entry.nodeid;
	*ret_fh = open.fh;
	return 0;
}

/* Bytes, or -errno. */
static inline int fuse_read(uint64_t node, uint64_t fh, uint64_t off, void *buf, uint32_t len)
{
	const struct fuse_read_in in = {.fh = fh, .offset = off, .size = len};
	int r;

	fuse_client_begin(FUSE_READ, node);
	fuse_client_put(&in, sizeof(in));
	fuse_client.room = sizeof(struct fuse_out_header) + len;
	r = fuse_client_send();
	if (r < 0)
		return r;
	memcpy(buf, fuse_client_reply(), fuse_client_reply_len());
	return (int)fuse_client_reply_len();
}

static inline int fuse_write(uint64_t node, uint64_t fh, uint64_t off, const void *buf,
			     uint32_t len, uint32_t flags)
{
	const struct fuse_write_in in = {.fh = fh, .offset = off, .size = len, .flags = flags};
	int r;

	fuse_client_begin(FUSE_WRITE, node);
	fuse_client_put(&in, sizeof(in));
	fuse_client_put(buf, len);
	r = fuse_client_send();
	return r < 0 ? r : (int)((const struct fuse_write_out *)fuse_client_reply())->size;
}

static inline int fuse_release(uint64_t node, uint64_t fh, bool is_dir)
{
	const struct fuse_release_in in = {.fh = fh};

	return fuse_call(is_dir ? FUSE_RELEASEDIR : FUSE_RELEASE, node, &in, sizeof(in), NULL,
			 NULL);
}

static inline void fuse_forget(uint64_t node, uint64_t lookups)
{
	const struct fuse_forget_in in = {.nlookup = lookups};

	fuse_call(FUSE_FORGET, node, &in, sizeof(in), NULL, NULL);
}

static inline int fuse_client_start(const struct fs_opts *opts)
{
	int r;

	memset(&fuse_client, 0, sizeof(fuse_client));
	fuse_client.worker = fs_worker_create();
	if (!fuse_client.worker)
		return -ENOMEM;
	r = fs_create(opts, &fuse_client.fs, NULL);
	return r < 0 ? r : fuse_init(UINT32_MAX);
}

static inline void fuse_client_stop(void)
{
	fuse_client.fs = fs_destroy(fuse_client.fs);
	fuse_client.worker = fs_worker_destroy(fuse_client.worker);
}

#endif
