/*
 * share - speaks FUSE to a virtio file system device: a session, files read and written, requests whose lengths, names and
 * numbers are wrong, a reset in the middle of a session.
 *
 * The directory has "file" with TEXT, "link" to "../outside", and "dir". The kernel makes "made" with TEXT in it. The host
 * compares.
 *
 * Words: readonly: changes must be refused; queues=N: request queues that the device must have.
 */
#include <linux/fuse.h>
#include <string.h>

#include "access.h"
#include "boot.h"
#include "check.h"
#include "cmdline.h"
#include "devtree.h"
#include "lapic.h"
#include "power.h"
#include "print.h"
#include "virtio.h"

#define TEXT "0123456789abcdef"

enum {
	QUEUE_HIPRIO = 0,
	QUEUE_REQUEST = 1,
	CONFIG_QUEUES = 36, /* after the tag */
	BYTES = 4096,
	TEXT_BYTES = sizeof(TEXT) - 1,

	ENOENT_ = 2,
	EIO_ = 5,
	EBADF_ = 9,
	EINVAL_ = 22,
	EROFS_ = 30,
	ENOSYS_ = 38,
	ESTALE_ = 116,

	O_RDONLY_ = 0,
	O_RDWR_ = 2,

	NO_REPLY = 1, /* instead of an error */
	NOT_OURS = 2, /* no reply, or one of another request */
};

static struct {
	struct virtio_device dev;
	struct virtio_queue hiprio, q;
	_Alignas(16) struct virtio_desc table[2];
	_Alignas(8) uint8_t out[BYTES];
	_Alignas(8) uint8_t in[BYTES];
	uint32_t out_len, used_len;
	uint64_t unique;
	bool readonly;
	uint64_t file, fh;
} fs;

static bool used_came(void)
{
	return __atomic_load_n(&fs.q.used.idx, __ATOMIC_SEQ_CST) != fs.q.used_seen;
}

static void begin(uint32_t opcode, uint64_t node)
{
	struct fuse_in_header hdr = {.opcode = opcode, .nodeid = node, .unique = ++fs.unique};

	memcpy(fs.out, &hdr, sizeof(hdr));
	fs.out_len = sizeof(hdr);
}

static void put(const void *bytes, uint32_t len)
{
	memcpy(fs.out + fs.out_len, bytes, len);
	fs.out_len += len;
}

/* Sends it with that length in its header, and room for so many bytes; what the reply says: 0 or -errno. */
static int send_as(uint32_t len, uint32_t room)
{
	struct virtio_desc *table = fs.table;
	struct fuse_out_header hdr;
	uint32_t n = 0;

	memcpy(fs.out, &len, sizeof(len));
	memset(fs.in, 0xee, sizeof(hdr));
	if (fs.out_len)
		table[n++] = (struct virtio_desc){(uintptr_t)fs.out, fs.out_len,
						  room ? VIRTIO_DESC_NEXT : 0, 1};
	if (room)
		table[n++] = (struct virtio_desc){(uintptr_t)fs.in, room, VIRTIO_DESC_WRITE, 0};
	fs.q.desc[0] = (struct virtio_desc){(uintptr_t)table, n * (uint32_t)sizeof(table[0]),
					    VIRTIO_DESC_INDIRECT, 0};
	virtio_offer(&fs.q, 0);
	virtio_kick(&fs.dev, QUEUE_REQUEST);
	if (!lapic_wait(used_came, LAPIC_HANG_MS) || !virtio_used(&fs.q, &fs.used_len))
		return NOT_OURS;
	if (fs.used_len == 0)
		return NO_REPLY;
	memcpy(&hdr, fs.in, sizeof(hdr));
	return hdr.len == fs.used_len && hdr.unique == fs.unique ? hdr.error : NOT_OURS;
}

static int send(void)
{
	return send_as(fs.out_len, BYTES);
}

static const void *reply(void)
{
	return fs.in + sizeof(struct fuse_out_header);
}

static int call(uint32_t opcode, uint64_t node, const void *arg, uint32_t len, const char *name)
{
	begin(opcode, node);
	if (len)
		put(arg, len);
	if (name)
		put(name, (uint32_t)strlen(name) + 1);
	return send();
}

static void expect(const char *name, int r, int wanted)
{
	check(name, r == wanted, "%d, not %d", r, wanted);
}

static void start(void)
{
	if (!virtio_negotiate(&fs.dev, VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT) ||
	    !virtio_queue_start(&fs.dev, QUEUE_HIPRIO, &fs.hiprio) ||
	    !virtio_queue_start(&fs.dev, QUEUE_REQUEST, &fs.q)) {
		check_fail("fs-start", "status %x", virtio_read(&fs.dev, VIRTIO_STATUS));
		check_finish();
	}
	virtio_start(&fs.dev);
}

static int init(void)
{
	const struct fuse_init_in in = {.major = FUSE_KERNEL_VERSION, .minor = 31};

	return call(FUSE_INIT, 0, &in, sizeof(in), NULL);
}

static int lookup(uint64_t dir, const char *name, uint64_t *ret)
{
	int r = call(FUSE_LOOKUP, dir, NULL, 0, name);

	if (r == 0)
		*ret = ((const struct fuse_entry_out *)reply())->nodeid;
	return r;
}

static void test_config(void)
{
	const uint32_t queues = mmio_read32(fs.dev.base + VIRTIO_CONFIG + CONFIG_QUEUES);
	uint32_t tag = mmio_read32(fs.dev.base + VIRTIO_CONFIG);

	check("fs-queues", queues == cmdline_u64("queues", 1, 64), "%u", queues);
	check("fs-tag", memcmp(&tag, "test", 4) == 0, "%x", tag);
}

static void test_session(void)
{
	uint64_t node;

	expect("fuse-before-init", lookup(FUSE_ROOT_ID, "file", &node), -EIO_);
	expect("fuse-init", init(), 0);
	check("fuse-version", ((const struct fuse_init_out *)reply())->minor == 31, "minor %u",
	      ((const struct fuse_init_out *)reply())->minor);
	expect("fuse-lookup", lookup(FUSE_ROOT_ID, "file", &fs.file), 0);
	expect("fuse-lookup-none", lookup(FUSE_ROOT_ID, "none", &node), -ENOENT_);
}

static int open_file(uint64_t node, uint32_t flags)
{
	const struct fuse_open_in in = {.flags = flags};
	int r = call(FUSE_OPEN, node, &in, sizeof(in), NULL);

	if (r == 0)
		fs.fh = ((const struct fuse_open_out *)reply())->fh;
	return r;
}

static int read_file(uint64_t fh, uint64_t off, uint32_t len, uint32_t room)
{
	const struct fuse_read_in in = {.fh = fh, .offset = off, .size = len};

	begin(FUSE_READ, fs.file);
	put(&in, sizeof(in));
	return send_as(fs.out_len, room);
}

static int write_file(uint64_t fh, uint32_t size, const char *data)
{
	const struct fuse_write_in in = {.fh = fh, .size = size};

	begin(FUSE_WRITE, fs.file);
	put(&in, sizeof(in));
	put(data, (uint32_t)strlen(data));
	return send();
}

static void test_read(void)
{
	int r = open_file(fs.file, O_RDONLY_);

	expect("fuse-open", r, 0);
	r = read_file(fs.fh, 0, BYTES / 2, BYTES);
	check("fuse-read",
	      r == 0 && fs.used_len == sizeof(struct fuse_out_header) + TEXT_BYTES &&
		      memcmp(reply(), TEXT, TEXT_BYTES) == 0,
	      "%d, %u bytes", r, fs.used_len);
	r = read_file(fs.fh, 0, UINT32_MAX, 20);
	check("fuse-read-more-than-room", r == 0 && fs.used_len == 20, "%d, %u bytes", r,
	      fs.used_len);
	expect("fuse-read-past-all", read_file(fs.fh, UINT64_MAX, 4, BYTES), -EINVAL_);
	expect("fuse-read-bad-handle", read_file(fs.fh + 1, 0, 4, BYTES), -EBADF_);
	expect("fuse-write-bad-handle", write_file(UINT64_MAX, 1, "x"),
	       fs.readonly ? -EROFS_ : -EBADF_);
}

static void test_write(void)
{
	const struct fuse_create_in in = {.flags = O_RDWR_, .mode = 0644};
	int r = call(FUSE_CREATE, FUSE_ROOT_ID, &in, sizeof(in), "made");

	expect("fuse-create", r, fs.readonly ? -EROFS_ : 0);
	if (r == 0)
		fs.fh = ((const struct fuse_open_out *)(const void
								*)((const uint8_t *)reply() +
								   sizeof(struct fuse_entry_out)))
				->fh;
	if (fs.readonly) {
		expect("fuse-open-to-write", open_file(fs.file, O_RDWR_), -EROFS_);
		return;
	}
	expect("fuse-write", write_file(fs.fh, TEXT_BYTES, TEXT), 0);
	expect("fuse-write-too-short", write_file(fs.fh, TEXT_BYTES + 1, TEXT), -EINVAL_);
	expect("fuse-write-huge", write_file(fs.fh, UINT32_MAX, TEXT), -EINVAL_);
}

/* Ways out of the directory. */
static void test_escapes(void)
{
	uint64_t node = 0, link = 0;

	expect("fuse-name-dotdot", lookup(FUSE_ROOT_ID, "..", &node), 0);
	check("fuse-dotdot-is-root", node == FUSE_ROOT_ID, "node %lu", node);
	expect("fuse-name-path", lookup(FUSE_ROOT_ID, "../outside", &node), -EINVAL_);
	expect("fuse-name-absolute", lookup(FUSE_ROOT_ID, "/etc/passwd", &node), -EINVAL_);
	expect("fuse-lookup-link", lookup(FUSE_ROOT_ID, "link", &link), 0);
	check("fuse-open-link", open_file(link, O_RDONLY_) < 0, "opened");
	check("fuse-lookup-in-link", lookup(link, "file", &node) < 0, "node %lu", node);
}

/* Lengths and numbers that are wrong. */
static void test_hostile(void)
{
	const uint64_t word = UINT64_MAX;

	begin(FUSE_GETATTR, FUSE_ROOT_ID);
	expect("fuse-no-arguments", send(), -EINVAL_);
	begin(FUSE_LOOKUP, FUSE_ROOT_ID);
	put("file", 4);
	expect("fuse-name-without-end", send(), -EINVAL_);
	expect("fuse-header-long", send_as(UINT32_MAX, BYTES), -EINVAL_);
	expect("fuse-header-short", send_as(0, BYTES), -EINVAL_);
	begin(FUSE_STATFS, FUSE_ROOT_ID);
	expect("fuse-no-room", send_as(fs.out_len, 0), NO_REPLY);
	expect("fuse-room-of-a-byte", send_as(fs.out_len, 1), NO_REPLY);
	expect("fuse-room-of-a-header", send_as(fs.out_len, 16), -EINVAL_);
	expect("fuse-opcode", call(UINT32_MAX, FUSE_ROOT_ID, NULL, 0, NULL), -ENOSYS_);
	expect("fuse-ioctl", call(FUSE_IOCTL, FUSE_ROOT_ID, NULL, 0, NULL), -ENOSYS_);
	expect("fuse-bad-node", call(FUSE_STATFS, word, NULL, 0, NULL), -ESTALE_);
	fs.out_len = 0;
	expect("fuse-nothing", send_as(0, BYTES), NOT_OURS);
	expect("fuse-still-there", call(FUSE_STATFS, FUSE_ROOT_ID, NULL, 0, NULL), 0);
}

/* A request with priority, which has no reply; the node is gone after it. */
static void test_forget(void)
{
	const struct fuse_forget_in in = {.nlookup = UINT64_MAX};
	uint64_t node = 0;
	uint32_t len;

	expect("fuse-lookup-dir", lookup(FUSE_ROOT_ID, "dir", &node), 0);
	begin(FUSE_FORGET, node);
	put(&in, sizeof(in));
	memcpy(fs.out, &fs.out_len, sizeof(fs.out_len));
	fs.hiprio.desc[0] = (struct virtio_desc){(uintptr_t)fs.out, fs.out_len, 0, 0};
	virtio_offer(&fs.hiprio, 0);
	virtio_kick(&fs.dev, QUEUE_HIPRIO);
	while (!virtio_used(&fs.hiprio, &len))
		;
	check("fuse-forget", len == 0, "%u bytes", len);
	expect("fuse-forgotten", call(FUSE_STATFS, node, NULL, 0, NULL), -ESTALE_);
}

static void test_reset(void)
{
	const uint64_t file = fs.file, fh = fs.fh;

	check("fs-reset", virtio_reset(&fs.dev), "no device");
	start();
	expect("fuse-no-session", call(FUSE_STATFS, FUSE_ROOT_ID, NULL, 0, NULL), -EIO_);
	expect("fuse-init-again", init(), 0);
	expect("fuse-old-node", call(FUSE_STATFS, file, NULL, 0, NULL), -ESTALE_);
	expect("fuse-old-handle", read_file(fh, 0, 4, BYTES), -EBADF_);
	expect("fuse-lookup-again", lookup(FUSE_ROOT_ID, "file", &fs.file), 0);
	check("fuse-new-number", fs.file != file, "node %lu", file);
}

void kernel_main(void)
{
	lapic_init();
	if (!devtree_init() || !virtio_find(VIRTIO_TYPE_FS, &fs.dev))
		guest_usage("share: no file system device");
	fs.readonly = cmdline_has("readonly");
	start();
	test_config();
	test_session();
	test_read();
	test_write();
	test_escapes();
	test_hostile();
	test_forget();
	test_reset();
	check_finish();
}
