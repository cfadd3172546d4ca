/*
 * The FUSE server against a client that sends anything: requests of every kind with wild numbers, names and lengths, cut in
 * pieces, with any room for the reply. The host moves and replaces files meanwhile. Nothing outside the directory is
 * read or changed.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/fs.h"
#include "base/macros.h"
#include "fuzz.h"

enum {
	OUT_MAX = 4096,
	ROOM_MAX = 8192,
	PIECES_MAX = 12,
	FILE_BYTES_MAX = 1 << 16, /* else an allocation could fill the host's disk */
	NUMBERS = 16,             /* of nodes and handles that the client remembers */
};

static const char secret[] = "#secret#of#the#host#";

static struct {
	char path[64]; /* the temporary directory: share/ and outside/ */
	char share[80];
	int dir_fd;
	struct fs *fs;
	struct fs_worker *worker;
	uint64_t node[NUMBERS], handle[NUMBERS];
	unsigned nr_nodes, nr_handles;
	uint8_t out[OUT_MAX];
	size_t out_len;
	uint8_t room[ROOM_MAX];
} fuzz;

static void put_file(const char *path, const char *text)
{
	const int fd = openat(fuzz.dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	const ssize_t n = write(fd, text, strlen(text));

	assert(n == (ssize_t)strlen(text));
	close(fd);
}

/* A name, good or bad. */
static const char *fuzz_name(struct fuzz_input *in)
{
	static char raw[300];
	static const char *const names[] = {
		"file",        "dir",     "link", "new",    "other",  "fifo",
		"sub",         "..",      ".",    "",       "/",      "../outside/file",
		"/etc/passwd", "dir/sub", "out",  "user.a", "user.b", "security.capability",
		"trusted.x",   "a",
	};
	const uint8_t n = fuzz_u8(in);

	if (n < 240)
		return names[n % ARRAY_SIZE(names)];
	memset(raw, 'n', sizeof(raw));
	raw[250 + fuzz_u8(in) % 40] = '\0';
	return raw;
}

static uint64_t fuzz_node(struct fuzz_input *in)
{
	const uint8_t n = fuzz_u8(in);

	if (n < 128 && fuzz.nr_nodes)
		return fuzz.node[n % fuzz.nr_nodes];
	return n < 240 ? n % 8 : fuzz_uint(in, 8);
}

/* A member of an argument. */
static uint64_t fuzz_word(struct fuzz_input *in)
{
	const uint8_t n = fuzz_u8(in);

	switch (n % 8) {
	case 0:
	case 1:
	case 2: return fuzz.nr_handles ? fuzz.handle[n / 8 % fuzz.nr_handles] : 0;
	case 3: return fuzz_node(in);
	case 4: return fuzz_u8(in);
	case 5: return fuzz_scaled(in, 56);
	case 6: return (uint64_t)fuzz_u8(in) << 32 | fuzz_u8(in);
	default: return fuzz_uint(in, 8);
	}
}

static void fuzz_put(const void *bytes, size_t len)
{
	if (len > sizeof(fuzz.out) - fuzz.out_len)
		len = sizeof(fuzz.out) - fuzz.out_len;
	memcpy(fuzz.out + fuzz.out_len, bytes, len);
	fuzz.out_len += len;
}

/* Pieces of a buffer; how many. */
static unsigned fuzz_pieces(struct fuzz_input *in, uint8_t *at, size_t len, struct iovec *iov)
{
	const unsigned max = fuzz_u8(in) % 4 ? 1 : PIECES_MAX;
	unsigned n = 0;

	while (len > 0 && n < max) {
		size_t piece = n + 1 == max ? len : fuzz_u8(in) % 64;

		if (piece > len)
			piece = len;
		iov[n++] = (struct iovec){at, piece};
		at += piece;
		len -= piece;
	}
	return n;
}

/* The client keeps what it is given. */
static void note_reply(uint32_t opcode)
{
	const struct fuse_entry_out *entry =
		(const void *)(fuzz.room + sizeof(struct fuse_out_header));
	const struct fuse_open_out *open = (const void *)entry;

	switch (opcode) {
	case FUSE_CREATE:
	case FUSE_TMPFILE: open = (const void *)(entry + 1); /* fallthrough */
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		memcpy(&fuzz.handle[fuzz.nr_handles % NUMBERS], &open->fh, sizeof(uint64_t));
		fuzz.nr_handles += fuzz.nr_handles < NUMBERS - 1;
		if (opcode == FUSE_OPEN || opcode == FUSE_OPENDIR)
			break;
		/* fallthrough */
	case FUSE_LOOKUP:
	case FUSE_MKDIR:
	case FUSE_MKNOD:
	case FUSE_SYMLINK:
		memcpy(&fuzz.node[fuzz.nr_nodes % NUMBERS], &entry->nodeid, sizeof(uint64_t));
		fuzz.nr_nodes += fuzz.nr_nodes < NUMBERS - 1;
		break;
	default: break;
	}
}

static void fuzz_send(struct fuzz_input *in, uint32_t opcode)
{
	static const size_t rooms[] = {ROOM_MAX, ROOM_MAX, 4096, 16, 15, 0, 160, 100};
	const size_t room = rooms[fuzz_u8(in) % ARRAY_SIZE(rooms)];
	struct iovec out[PIECES_MAX], reply[PIECES_MAX];
	const unsigned nr_out = fuzz_pieces(in, fuzz.out, fuzz.out_len, out);
	const unsigned nr_reply = fuzz_pieces(in, fuzz.room, room, reply);
	struct fuse_out_header hdr = {0};
	struct fs_result result;
	size_t have = 0;

	for (unsigned i = 0; i < nr_reply; i++)
		have += reply[i].iov_len;
	memset(fuzz.room, 0, sizeof(fuzz.room));
	if (!fs_serve(fuzz.fs, fuzz.worker, out, nr_out, reply, nr_reply, false, &result) &&
	    !fs_serve(fuzz.fs, fuzz.worker, out, nr_out, reply, nr_reply, true, &result))
		abort();
	assert(result.reply_bytes <= have);
	assert(!memmem(fuzz.room, sizeof(fuzz.room), secret, strlen(secret)));
	if (result.reply_bytes == 0)
		return;
	memcpy(&hdr, fuzz.room, sizeof(hdr));
	assert(hdr.len == result.reply_bytes && hdr.error <= 0 && hdr.error > -4096);
	if (hdr.error == 0)
		note_reply(opcode);
}

static uint32_t fuzz_opcode(struct fuzz_input *in)
{
	/* Those that make the others possible come more often. */
	static const uint8_t often[] = {FUSE_LOOKUP, FUSE_OPEN,    FUSE_CREATE, FUSE_OPENDIR,
					FUSE_READ,   FUSE_WRITE,   FUSE_MKDIR,  FUSE_RENAME2,
					FUSE_LINK,   FUSE_GETATTR, FUSE_TMPFILE};
	const uint8_t n = fuzz_u8(in);

	if (n < 128)
		return often[n % ARRAY_SIZE(often)];
	if (n < 250)
		return n % 56;
	return (uint32_t)fuzz_uint(in, 4);
}

/* A flag word that opens something, mostly. */
static uint64_t fuzz_flags(struct fuzz_input *in)
{
	static const uint32_t flags[] = {O_RDONLY,         O_RDWR,           O_WRONLY,
					 O_RDWR | O_TRUNC, O_RDWR | O_CREAT, O_RDWR | O_EXCL,
					 O_DIRECT,         O_ACCMODE};

	return flags[fuzz_u8(in) % ARRAY_SIZE(flags)] | (uint64_t)(fuzz_u8(in) & 077) << 38;
}

/* The arguments that a request has: words of 8 bytes, and names. */
static void fuzz_shape(struct fuzz_input *in, uint32_t opcode, unsigned *ret_words,
		       unsigned *ret_names)
{
	static const struct {
		uint8_t words, names;
	} shapes[] = {
		[FUSE_LOOKUP] = {0, 1},
		[FUSE_FORGET] = {1, 0},
		[FUSE_GETATTR] = {2, 0},
		[FUSE_SETATTR] = {11, 0},
		[FUSE_SYMLINK] = {0, 2},
		[FUSE_MKNOD] = {2, 1},
		[FUSE_MKDIR] = {1, 1},
		[FUSE_UNLINK] = {0, 1},
		[FUSE_RMDIR] = {0, 1},
		[FUSE_RENAME] = {1, 2},
		[FUSE_LINK] = {1, 1},
		[FUSE_READ] = {5, 0},
		[FUSE_WRITE] = {5, 2},
		[FUSE_RELEASE] = {3, 0},
		[FUSE_FSYNC] = {2, 0},
		[FUSE_SETXATTR] = {1, 2},
		[FUSE_GETXATTR] = {1, 1},
		[FUSE_LISTXATTR] = {1, 0},
		[FUSE_REMOVEXATTR] = {0, 1},
		[FUSE_FLUSH] = {3, 0},
		[FUSE_READDIR] = {5, 0},
		[FUSE_RELEASEDIR] = {3, 0},
		[FUSE_FSYNCDIR] = {2, 0},
		[FUSE_ACCESS] = {1, 0},
		[FUSE_CREATE] = {1, 1},
		[FUSE_BATCH_FORGET] = {5, 0},
		[FUSE_FALLOCATE] = {4, 0},
		[FUSE_READDIRPLUS] = {5, 0},
		[FUSE_RENAME2] = {2, 2},
		[FUSE_LSEEK] = {3, 0},
		[FUSE_COPY_FILE_RANGE] = {7, 0},
		[FUSE_SYNCFS] = {1, 0},
		[FUSE_TMPFILE] = {1, 1},
	};

	*ret_words = fuzz_u8(in);
	*ret_names = *ret_words / 16 % 3;
	if (*ret_words >= 16 && opcode < ARRAY_SIZE(shapes)) {
		*ret_words = shapes[opcode].words;
		*ret_names = shapes[opcode].names;
	}
	*ret_words %= 16;
}

static void op_request(struct fuzz_input *in)
{
	const uint32_t opcode = fuzz_opcode(in);
	struct fuse_in_header hdr = {.opcode = opcode, .unique = 1, .nodeid = fuzz_node(in)};
	unsigned words, names;
	uint64_t word;

	fuzz_shape(in, opcode, &words, &names);

	fuzz.out_len = sizeof(hdr);
	if (opcode == FUSE_INIT) {
		const uint32_t init[] = {7, 20 + fuzz_u8(in) % 32, 0, (uint32_t)fuzz_uint(in, 4)};

		fuzz_put(init, sizeof(init));
		words = 0;
	}
	if (opcode == FUSE_OPEN || opcode == FUSE_OPENDIR || opcode == FUSE_CREATE ||
	    opcode == FUSE_TMPFILE) {
		word = fuzz_flags(in);
		fuzz_put(&word, sizeof(word));
		words = opcode == FUSE_CREATE || opcode == FUSE_TMPFILE;
	}
	if (opcode == FUSE_READ || opcode == FUSE_READDIR || opcode == FUSE_READDIRPLUS) {
		/* Most of a file is at its beginning. */
		const uint64_t read[] = {fuzz_word(in), fuzz_u8(in) % 4 ? 0 : fuzz_word(in),
					 fuzz_u8(in) % 4 ? 4096 : fuzz_word(in)};

		fuzz_put(read, sizeof(read));
		words = words > 3 ? words - 3 : 0;
	}
	while (words-- > 0) {
		word = fuzz_word(in);
		fuzz_put(&word, sizeof(word));
	}
	while (names-- > 0) {
		const char *name = fuzz_name(in);

		fuzz_put(name, strlen(name) + (fuzz_u8(in) % 16 != 0));
	}
	hdr.len = (uint32_t)(fuzz.out_len + (fuzz_u8(in) % 32 == 0 ? fuzz_u8(in) : 0));
	memcpy(fuzz.out, &hdr, sizeof(hdr));
	fuzz_send(in, opcode);
}

/* The host has users, too. */
static void op_host(struct fuzz_input *in)
{
	switch (fuzz_u8(in) % 8) {
	case 0: renameat(fuzz.dir_fd, "share/dir", fuzz.dir_fd, "outside/dir"); break;
	case 1: renameat(fuzz.dir_fd, "outside/dir", fuzz.dir_fd, "share/dir"); break;
	case 2: symlinkat("../outside", fuzz.dir_fd, "share/dir"); break;
	case 3: unlinkat(fuzz.dir_fd, "share/dir", 0); break;
	case 4: renameat(fuzz.dir_fd, "share/file", fuzz.dir_fd, "share/other"); break;
	case 5: put_file("share/file", "new"); break;
	case 6: renameat(fuzz.dir_fd, "share/dir/sub", fuzz.dir_fd, "share/sub"); break;
	default: fs_reset(fuzz.fs); break;
	}
}

static void fuzz_tree(void)
{
	struct stat st;

	snprintf(fuzz.path, sizeof(fuzz.path), "%s/tollgate-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(fuzz.path))
		abort();
	snprintf(fuzz.share, sizeof(fuzz.share), "%s/share", fuzz.path);
	fuzz.dir_fd = open(fuzz.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(fuzz.dir_fd >= 0);
	mkdirat(fuzz.dir_fd, "share", 0755);
	mkdirat(fuzz.dir_fd, "outside", 0755);
	mkdirat(fuzz.dir_fd, "share/dir", 0755);
	mkdirat(fuzz.dir_fd, "share/dir/sub", 0755);
	put_file("outside/file", secret);
	put_file("share/file", "content");
	put_file("share/dir/file", "content");
	symlinkat("../outside", fuzz.dir_fd, "share/out");
	symlinkat("../outside/file", fuzz.dir_fd, "share/link");
	mkfifoat(fuzz.dir_fd, "share/fifo", 0644);
	assert(fstatat(fuzz.dir_fd, "share/fifo", &st, 0) == 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* The file outside is as it was, and alone, but for what op_host() put there. */
static void check_outside(void)
{
	char text[64] = "";
	DIR *dir;
	const struct dirent *e;
	int fd = openat(fuzz.dir_fd, "outside/file", O_RDONLY);
	const ssize_t n = read(fd, text, sizeof(text) - 1);

	assert(n == (ssize_t)strlen(secret) && strcmp(text, secret) == 0);
	close(fd);
	dir = fdopendir(openat(fuzz.dir_fd, "outside", O_RDONLY | O_DIRECTORY));
	assert(dir);
	while ((e = readdir(dir)))
		assert(e->d_name[0] == '.' || strcmp(e->d_name, "file") == 0 ||
		       strcmp(e->d_name, "dir") == 0);
	closedir(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct rlimit limit = {FILE_BYTES_MAX, FILE_BYTES_MAX};
	struct fuzz_input in = {.data = data, .left = size};
	struct fs_opts opts = {.path = fuzz.share, .nodes_bytes = 1 << 14};
	struct rlimit old;
	static const uint32_t init[] = {7, 38, 0, UINT32_MAX};
	const struct fuse_in_header hdr = {
		sizeof(hdr) + sizeof(init), FUSE_INIT, 1, 0, 0, 0, 0, 0, 0};

	signal(SIGXFSZ, SIG_IGN);
	fuzz_tree();
	getrlimit(RLIMIT_FSIZE, &old);
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit.rlim_cur, old.rlim_max});
	opts.read_only = fuzz_u8(&in) % 8 == 0;
	fuzz.worker = fs_worker_create();
	if (!fuzz.worker || fs_create(&opts, &fuzz.fs, NULL) < 0)
		abort();
	fuzz.nr_nodes = fuzz.nr_handles = 0;
	fuzz.out_len = 0;
	fuzz_put(&hdr, sizeof(hdr));
	fuzz_put(init, sizeof(init));
	fuzz_send(&(struct fuzz_input){0}, FUSE_INIT);
	while (in.left > 0) {
		if (fuzz_u8(&in) % 16)
			op_request(&in);
		else
			op_host(&in);
		assert(fs_count(fuzz.fs).files <= FS_FILES_MIN);
	}
	check_outside();
	fs_reset(fuzz.fs);
	assert(fs_count(fuzz.fs).nodes == 1 && fs_count(fuzz.fs).files == 1);
	fuzz.fs = fs_destroy(fuzz.fs);
	fuzz.worker = fs_worker_destroy(fuzz.worker);
	setrlimit(RLIMIT_FSIZE, &old);
	close(fuzz.dir_fd);
	nftw(fuzz.path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return 0;
}
