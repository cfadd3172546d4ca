/*
 * classes.h - the virtio devices, and what each takes as virtio_conf.conf.
 */
#ifndef VMM_VIRTIO_CLASSES_H
#define VMM_VIRTIO_CLASSES_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/disk.h"
#include "backend/fs.h"
#include "backend/net.h"
#include "virtio/virtio.h"

/* net.c: a network. env: clock, mem, loop, doorbell. */
struct virtio_net_conf {
	net_backend_open_fn *open;
	const void *opts; /* of open */
	bool has_mac;
	uint8_t mac[6]; /* else one is derived from the names of the row and of the back end */
};
extern const struct virtio_class virtio_net_class;

/*
 * Whether its cable is plugged in, in addition to the state of the host's interface: while it is not, the driver
 * sees the link down and no frame goes either way. Any thread; vd is of virtio_net_class.
 */
struct virtio_net_link {
	bool plugged;
	bool interface_up; /* its interface on the host */
};
void virtio_net_plug(struct virtio_device *vd, bool plugged);
struct virtio_net_link virtio_net_link(struct virtio_device *vd);

/* As net_backend_ops.forward, of a network for which forwards does not say -ENOTSUP, and .forwards. */
int virtio_net_forward(struct virtio_device *vd, bool add, const struct net_slirp_forward *fwd,
		       struct diag *diag);
int virtio_net_forwards(struct virtio_device *vd,
			struct net_slirp_forward ret[NET_SLIRP_FORWARDS_MAX]);

/* rng.c: entropy. env: doorbell. conf: none. */
extern const struct virtio_class virtio_rng_class;

enum {
	VIRTIO_BLK_QUEUES_MAX = 16,
	VIRTIO_BLK_QUEUES_AUTO = 4, /* at most, where nobody says how many */
	VIRTIO_BLK_ID_MAX = 20,     /* bytes; VIRTIO_BLK_ID_BYTES of the kernel's header */
	VIRTIO_BLK_SEGS_MAX = 254,  /* pieces of data in one request */
	VIRTIO_BLK_RANGES_MAX = 16, /* of one discard or write-zeroes request */
};

struct virtio_blk_conf {
	struct disk_opts disk;
	/* disk_open(), or a test's way to make a disk. */
	int (*open)(const struct disk_opts *opts, struct event_loop *loop,
		    void (*batch_done)(void *arg), void *arg, struct disk **ret, struct diag *diag);
	unsigned queues;      /* 0: one a vCPU, up to VIRTIO_BLK_QUEUES_AUTO */
	const unsigned *cpus; /* the vCPUs there will be */
	const char *id;       /* NULL: the device's name */
};

/* blk.c: block. env: doorbell. conf: struct virtio_blk_conf. */
extern const struct virtio_class virtio_blk_class;

/* A target below this, and above 0, is a size whose unit was forgotten: it is refused where users give one. */
#define VIRTIO_BALLOON_TARGET_MIN_BYTES (UINT64_C(1) << 20)

struct virtio_balloon_conf {
	uint64_t target_bytes; /* that the guest is to give up, at first */
	int64_t stats_ns;      /* between statistics; 0: none */
};

/* balloon.c. env: mem, doorbell. conf: struct virtio_balloon_conf. Not for reserved huge pages. */
extern const struct virtio_class virtio_balloon_class;

/*
 * Memory that the guest is to give up from now on, in whole pages, which its driver will do in its own time; and
 * how far that is. Any thread; vd is of virtio_balloon_class.
 */
struct virtio_balloon_size {
	uint64_t target_bytes, actual_bytes; /* actual: what the driver says */
};
void virtio_balloon_retarget(struct virtio_device *vd, uint64_t target_bytes);
struct virtio_balloon_size virtio_balloon_size(const struct virtio_device *vd);

enum {
	VIRTIO_FS_TAG_MAX = 36,   /* bytes */
	VIRTIO_FS_QUEUES_MAX = 4, /* for requests; one per vCPU up to that */
};

struct virtio_fs_conf {
	struct fs_opts fs;      /* limits are the device's to fill in */
	const char *tag;        /* the name that the guest mounts; up to VIRTIO_FS_TAG_MAX bytes */
	const unsigned *cpus;   /* the vCPUs there will be */
	const unsigned *shares; /* the devices of this class there will be */
};

/* fs.c: a directory of the host. env: mem, doorbell. conf: struct virtio_fs_conf. */
extern const struct virtio_class virtio_fs_class;

enum {
	VIRTIO_VSOCK_CONNS_MAX = 256, /* at once, with those that are being made */
	VIRTIO_VSOCK_CID_DEFAULT = 3,
};
#define VIRTIO_VSOCK_CID_MIN                                                                       \
	UINT32_C(3) /* below are the hypervisor, loopback and the host (vsock(7)) */
#define VIRTIO_VSOCK_CID_MAX (UINT32_MAX - 1)

struct virtio_vsock_conf {
	const char *path; /* of the Unix socket, short enough for a port's number after it */
	uint32_t cid;     /* the guest's */
};

/* vsock.c: sockets. env: clock, doorbell, loop. conf: struct virtio_vsock_conf. */
extern const struct virtio_class virtio_vsock_class;

/* console.c: hvc0. env: chr, doorbell. conf: none. */
extern const struct virtio_class virtio_console_class;

#endif
