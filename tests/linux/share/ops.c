/*
 * ops - file operations on a shared directory, as a program of the guest sees them: ops DIR runs each once, and
 * ops DIR random SEED COUNT makes random ones on a file, and compares it with a model in memory after each.
 *
 * A line says what is wrong; the exit status is 1 then.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILE_MAX = 256 << 10, IO_MAX = 64 << 10, NAMES = 3000 };

static unsigned failures;

static void expect(bool ok, const char *what)
{
	if (ok)
		return;
	printf("FAIL %s (errno %d: %s)\n", what, errno, strerror(errno));
	failures++;
}

static bool fails(int r, int err)
{
	return r < 0 && errno == err;
}

static void put(const char *path, const char *text)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	expect(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
	close(fd);
}

static bool has(const char *path, const char *text)
{
	char buf[256] = "";
	const int fd = open(path, O_RDONLY);
	const ssize_t n = read(fd, buf, sizeof(buf) - 1);

	close(fd);
	return n == (ssize_t)strlen(text) && strcmp(buf, text) == 0;
}

static void names(void)
{
	struct stat st = {0};
	char target[8];

	put("a", "1");
	put("b", "2");
	expect(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE) < 0 && errno == EEXIST,
	       "RENAME_NOREPLACE");
	expect(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE) == 0 && has("a", "2"),
	       "RENAME_EXCHANGE");
	expect(rename("a", "b") == 0 && has("b", "2") && access("a", F_OK) < 0, "rename");
	expect(link("b", "c") == 0 && stat("c", &st) == 0 && st.st_nlink == 2, "link");
	expect(symlink("b", "l") == 0 && readlink("l", target, sizeof(target)) == 1 &&
		       has("l", "2"),
	       "symlink");
	expect(mkdir("d", 0750) == 0 && stat("d", &st) == 0 && st.st_mode == (S_IFDIR | 0750),
	       "mkdir");
	expect(fails(rmdir("b"), ENOTDIR) && fails(unlink("d"), EISDIR),
	       "removal of the wrong kind");
	put("d/x", "x");
	expect(fails(rmdir("d"), ENOTEMPTY), "rmdir of a full directory");
	expect(mkfifo("f", 0600) == 0 && stat("f", &st) == 0 && S_ISFIFO(st.st_mode), "mkfifo");
	expect(fails(mknod("null", S_IFCHR | 0666, makedev(1, 3)), EPERM), "mknod of a device");
	expect(fails(open("nothing", O_RDONLY), ENOENT), "ENOENT");
	unlink("f");
}

static void open_files(void)
{
	struct stat st = {0};
	char buf[8] = "";
	int fd = open("t", O_RDWR | O_CREAT | O_EXCL, 0600), two;

	expect(fd >= 0 && fails(open("t", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST), "O_EXCL");
	expect(write(fd, "0123", 4) == 4 && unlink("t") == 0, "unlink of an open file");
	expect(pread(fd, buf, 4, 0) == 4 && memcmp(buf, "0123", 4) == 0, "read after unlink");
	expect(fchmod(fd, 0640) == 0 && fstat(fd, &st) == 0 && st.st_mode == (S_IFREG | 0640) &&
		       st.st_nlink == 0,
	       "fchmod after unlink");
	close(fd);
	fd = open("app", O_WRONLY | O_CREAT | O_APPEND, 0644);
	two = open("app", O_WRONLY | O_APPEND);
	expect(write(fd, "a", 1) == 1 && write(two, "b", 1) == 1 && write(fd, "c", 1) == 1 &&
		       has("app", "abc"),
	       "O_APPEND");
	close(fd);
	close(two);
	fd = open(".", O_TMPFILE | O_RDWR, 0644);
	if (fd >= 0) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		expect(write(fd, "tmp", 3) == 3 &&
			       linkat(AT_FDCWD, path, AT_FDCWD, "tmp", AT_SYMLINK_FOLLOW) == 0 &&
			       has("tmp", "tmp"),
		       "O_TMPFILE and linkat");
		close(fd);
	} else {
		expect(errno == EOPNOTSUPP, "O_TMPFILE"); /* Linux has it for FUSE since 6.2 */
	}
	put("trunc", "0123456789");
	expect(truncate("trunc", 3) == 0 && has("trunc", "012"), "truncate");
	close(open("trunc", O_WRONLY | O_TRUNC));
	expect(has("trunc", ""), "O_TRUNC");
}

static void content(void)
{
	static _Alignas(4096) char direct[8192];
	struct stat st = {0};
	char *map;
	int fd = open("holes", O_RDWR | O_CREAT | O_TRUNC, 0644), two;

	memset(direct, 'x', sizeof(direct));
	expect(pwrite(fd, direct, 8192, 0) == 8192 && ftruncate(fd, 65536) == 0, "extension");
	expect(lseek(fd, 0, SEEK_HOLE) == 8192 && fails((int)lseek(fd, 8192, SEEK_DATA), ENXIO),
	       "SEEK_HOLE and SEEK_DATA");
	expect(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0 &&
		       pread(fd, direct, 1, 0) == 1 && direct[0] == 0,
	       "a punched hole");
	expect(posix_fallocate(fd, 0, 131072) == 0 && fstat(fd, &st) == 0 && st.st_size == 131072,
	       "fallocate");
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
	expect(map != MAP_FAILED && map[0] == 'x', "mmap");
	if (map != MAP_FAILED) {
		memcpy(map, "mapped", 6);
		expect(msync(map, 4096, MS_SYNC) == 0 && pread(fd, direct, 6, 4096) == 6 &&
			       memcmp(direct, "mapped", 6) == 0,
		       "a mapping's content");
		munmap(map, 4096);
	}
	two = open("copy", O_RDWR | O_CREAT | O_TRUNC, 0644);
	expect(copy_file_range(fd, &(off_t){4096}, two, NULL, 6, 0) == 6 && has("copy", "mapped"),
	       "copy_file_range");
	close(two);
	expect(fsync(fd) == 0 && fdatasync(fd) == 0 && syncfs(fd) == 0, "fsync");
	close(fd);
	fd = open("direct", O_RDWR | O_CREAT | O_DIRECT, 0644);
	memset(direct, 'd', 4096);
	expect(fd >= 0 && pwrite(fd, direct, 4096, 4096) == 4096 &&
		       pread(fd, direct + 4096, 4096, 4096) == 4096 && direct[8191] == 'd',
	       "O_DIRECT");
	close(fd);
}

static void attributes(void)
{
	const struct timespec ts[2] = {{1000, 5}, {2000000000, 999999999}};
	struct statvfs vfs;
	struct stat st = {0};
	int fd, status = 0;
	pid_t pid;

	put("attr", "x");
	expect(utimensat(AT_FDCWD, "attr", ts, 0) == 0 && stat("attr", &st) == 0 &&
		       st.st_mtim.tv_sec == 2000000000 && st.st_mtim.tv_nsec == 999999999 &&
		       st.st_atim.tv_sec == 1000,
	       "utimensat");
	expect(chmod("attr", 04711) == 0 && chown("attr", 7, 8) == 0 && stat("attr", &st) == 0 &&
		       st.st_uid == 7 && st.st_gid == 8,
	       "chown");
	expect(!(st.st_mode & S_ISUID), "chown ends set-user-id");
	expect(statvfs(".", &vfs) == 0 && vfs.f_blocks > 0 && vfs.f_namemax == 255, "statvfs");
	fd = open("attr", O_RDWR);
	expect(flock(fd, LOCK_EX) == 0, "flock");
	pid = fork();
	if (pid == 0) {
		const int other = open("attr", O_RDWR);

		_exit(other >= 0 && flock(other, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK
			      ? 0
			      : 1);
	}
	expect(waitpid(pid, &status, 0) == pid && status == 0, "flock against another process");
	close(fd);
}

static void many_names(void)
{
	static bool seen[NAMES];
	const struct dirent *e;
	char name[32];
	unsigned n = 0;
	DIR *dir;

	mkdir("many", 0755);
	for (unsigned i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "many/name-%u", i);
		close(open(name, O_CREAT | O_WRONLY, 0644));
	}
	dir = opendir("many");
	while (dir && (e = readdir(dir))) {
		unsigned long i;

		if (strncmp(e->d_name, "name-", 5) != 0)
			continue;
		i = strtoul(e->d_name + 5, NULL, 10);
		expect(i < NAMES && !seen[i], "a name twice");
		seen[i] = true;
		n++;
	}
	expect(dir && n == NAMES, "every name of a directory");
	closedir(dir);
	for (unsigned i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "many/name-%u", i);
		expect(unlink(name) == 0, "unlink");
	}
	expect(rmdir("many") == 0, "rmdir");
}

static void read_only(void)
{
	expect(fails(open("new", O_CREAT | O_WRONLY, 0644), EROFS), "open to create");
	expect(fails(open("file", O_RDWR), EROFS), "open to write");
	expect(fails(mkdir("dir2", 0755), EROFS) && fails(unlink("file"), EROFS) &&
		       fails(chmod("file", 0), EROFS) && fails(truncate("file", 0), EROFS),
	       "changes");
	expect(access("file", R_OK) == 0, "access");
}

/*
 * Random operations.
 */

static uint64_t random_state;

static uint32_t below(uint32_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33) % n;
}

static uint8_t model[FILE_MAX], io[FILE_MAX];
static uint32_t model_len;

static void model_extend(uint32_t len)
{
	if (len > model_len) {
		memset(model + model_len, 0, len - model_len);
		model_len = len;
	}
}

static bool write_some(int fd, uint32_t off, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		io[i] = (uint8_t)below(256);
	if (pwrite(fd, io, len, off) != (ssize_t)len)
		return false;
	model_extend(off + len);
	memcpy(model + off, io, len);
	return true;
}

static bool read_some(int fd, uint32_t off, uint32_t len)
{
	const uint32_t there = off >= model_len ? 0 : model_len - off < len ? model_len - off : len;

	return pread(fd, io, len, off) == (ssize_t)there && memcmp(io, model + off, there) == 0;
}

static bool map_some(int fd, uint32_t off, uint32_t len)
{
	uint8_t *map;
	bool ok;

	off &= ~4095U;
	if (off >= model_len)
		return true;
	if (len > model_len - off)
		len = model_len - off;
	map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, off);
	if (map == MAP_FAILED)
		return false;
	ok = memcmp(map, model + off, len) == 0;
	for (uint32_t i = 0; i < len; i += 100)
		map[i] = model[off + i] = (uint8_t)below(256);
	munmap(map, len);
	return ok;
}

static bool set_length(int fd, uint32_t len)
{
	if (ftruncate(fd, len) < 0)
		return false;
	model_extend(len);
	model_len = len;
	return true;
}

static bool punch(int fd, uint32_t off, uint32_t len)
{
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len) < 0)
		return false;
	if (off < model_len)
		memset(model + off, 0, model_len - off < len ? model_len - off : len);
	return true;
}

static bool copy_some(int fd, uint32_t off, uint32_t len)
{
	off_t in = off, out = below(FILE_MAX - IO_MAX);
	ssize_t n;

	if (off >= model_len || (out < off + (off_t)len && off < out + (off_t)len))
		return true;
	if (len > model_len - off)
		len = model_len - off;
	memcpy(io, model + off, len);
	n = copy_file_range(fd, &in, fd, &out, len, 0);
	if (n <= 0)
		return false;
	model_extend((uint32_t)out);
	memcpy(model + out - n, io, (size_t)n);
	return true;
}

static bool reopen(int *fd, int flags)
{
	close(*fd);
	*fd = open("random", O_RDWR | flags);
	return *fd >= 0;
}

static const char *one_operation(int *fd)
{
	const uint32_t off = below(FILE_MAX - IO_MAX), len = 1 + below(IO_MAX - 1);

	switch (below(12)) {
	case 0:
	case 1:
	case 2: return write_some(*fd, off, len) ? NULL : "write";
	case 3:
	case 4:
	case 5: return read_some(*fd, off, len) ? NULL : "read";
	case 6: return map_some(*fd, off, len) ? NULL : "map";
	case 7: return set_length(*fd, below(FILE_MAX)) ? NULL : "truncate";
	case 8: return punch(*fd, off, len) ? NULL : "punch";
	case 9: return copy_some(*fd, off, len) ? NULL : "copy";
	case 10: return reopen(fd, 0) ? NULL : "reopen";
	default: return fsync(*fd) == 0 ? NULL : "fsync";
	}
}

static void random_operations(uint64_t seed, unsigned count)
{
	int fd = open("random", O_RDWR | O_CREAT | O_TRUNC, 0644);
	const char *wrong = NULL;
	unsigned i;

	random_state = seed;
	for (i = 0; i < count && !wrong; i++)
		wrong = one_operation(&fd);
	if (wrong) {
		printf("FAIL random operation %u of seed %lu: %s (errno %d)\n", i,
		       (unsigned long)seed, wrong, errno);
		failures++;
	}
	expect(read_some(fd, 0, FILE_MAX), "the file after all");
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc < 2 || chdir(argv[1]) < 0)
		return 2;
	umask(022);
	if (argc == 5 && strcmp(argv[2], "random") == 0) {
		random_operations(strtoull(argv[3], NULL, 0), (unsigned)strtoul(argv[4], NULL, 0));
	} else if (argc == 3 && strcmp(argv[2], "ro") == 0) {
		read_only();
	} else {
		names();
		open_files();
		content();
		attributes();
		many_names();
	}
	printf("%u failures\n", failures);
	return failures ? 1 : 0;
}
