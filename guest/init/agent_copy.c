/* Files for a client, and from one. A file that is written has its name only when it is whole. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"

enum { MODE_BITS = 07777 };

struct file {
	char path[PATH_MAX], name[NAME_MAX + 1], target[PATH_MAX], kind[8];
	uint32_t mode;
	uint32_t follow; /* a link that is the path itself */
};

static bool take_text(char *to, size_t size, const char *value)
{
	return snprintf(to, size, "%s", value) < (int)size;
}

static bool take_record(struct file *f, const char *key, const char *value)
{
	uint32_t version;

	if (strcmp(key, "version") == 0)
		return agent_record_u32(value, &version) && version == AGENT_VERSION;
	if (strcmp(key, "path") == 0)
		return take_text(f->path, sizeof(f->path), value);
	if (strcmp(key, "name") == 0)
		return take_text(f->name, sizeof(f->name), value);
	if (strcmp(key, "kind") == 0)
		return take_text(f->kind, sizeof(f->kind), value);
	if (strcmp(key, "target") == 0)
		return take_text(f->target, sizeof(f->target), value);
	if (strcmp(key, "follow") == 0)
		return agent_record_u32(value, &f->follow);
	return strcmp(key, "mode") == 0 && agent_record_u32(value, &f->mode);
}

static bool take_file(struct file *f, const struct agent_frame *frame)
{
	const char *value;
	char key[16];
	size_t at = 0;
	int r;

	memset(f, 0, sizeof(*f));
	while ((r = agent_record_next(frame, &at, key, &value)) == 1)
		if (!take_record(f, key, value))
			return false;
	return r == 0 && f->path[0] == '/';
}

static bool refuse_errno(struct agent *agent, const char *path, int err)
{
	return agent_refuse(agent, AGENT_FAILED, path, strerror(err));
}

/* From the client. */

/* A directory that is there takes the source in. False: the name is too long. */
static bool resolve(struct file *f)
{
	const size_t len = strlen(f->path);
	struct stat st;

	if (!f->name[0] || stat(f->path, &st) < 0 || !S_ISDIR(st.st_mode))
		return true;
	return snprintf(f->path + len, sizeof(f->path) - len, "%s%s",
			f->path[len - 1] == '/' ? "" : "/", f->name) < (int)(sizeof(f->path) - len);
}

static bool say_done(struct agent *agent, const struct file *f, uint32_t crc)
{
	uint8_t bytes[4 + PATH_MAX];
	const size_t len = strlen(f->path);

	agent_put32(bytes, crc);
	memcpy(bytes + 4, f->path, len);
	return agent_send(agent, AGENT_DONE, bytes, 4 + len);
}

/* Takes DATA up to its END, also when it has no use for them. *err: the first errno; -1: the client is gone. */
static uint32_t receive(struct agent *agent, int fd, int *err)
{
	struct agent_frame f;
	uint32_t crc = 0;

	while (agent_await(agent, &f)) {
		if (f.type == AGENT_END && f.len == 4) {
			if (!*err && agent_get32(f.data) != crc)
				*err = EBADMSG;
			return crc;
		}
		if (f.type != AGENT_DATA)
			break;
		crc = agent_crc32c(crc, f.data, f.len);
		for (size_t at = 0; !*err && at < f.len;) {
			const ssize_t n = write(fd, f.data + at, f.len - at);

			if (n < 0)
				*err = errno;
			else
				at += (size_t)n;
		}
	}
	*err = -1;
	return crc;
}

static bool put_regular(struct agent *agent, const struct file *f)
{
	char temp[PATH_MAX + 32];
	const char *slash = strrchr(f->path, '/');
	uint32_t crc;
	int fd, err = 0;

	snprintf(temp, sizeof(temp), "%.*s.tollgate-%d", (int)(slash + 1 - f->path), f->path,
		 (int)getpid());
	unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		err = errno;
	crc = receive(agent, fd, &err);
	if (!err && fchmod(fd, f->mode & MODE_BITS) < 0)
		err = errno;
	if (fd >= 0 && close(fd) < 0 && !err)
		err = errno;
	if (!err && rename(temp, f->path) < 0)
		err = errno;
	if (err && fd >= 0)
		unlink(temp);
	if (err < 0)
		return false;
	return err ? refuse_errno(agent, f->path, err) : say_done(agent, f, crc);
}

static bool put_directory(struct agent *agent, const struct file *f)
{
	struct stat st;

	if (mkdir(f->path, (f->mode & MODE_BITS) | 0700) < 0 &&
	    (errno != EEXIST || stat(f->path, &st) < 0 || !S_ISDIR(st.st_mode)))
		return refuse_errno(agent, f->path, errno);
	return say_done(agent, f, 0);
}

static bool put_link(struct agent *agent, const struct file *f)
{
	struct stat st;

	if (lstat(f->path, &st) == 0 && S_ISLNK(st.st_mode))
		unlink(f->path);
	if (symlink(f->target, f->path) < 0)
		return refuse_errno(agent, f->path, errno);
	return say_done(agent, f, 0);
}

bool agent_put_file(struct agent *agent, const struct agent_frame *request)
{
	static struct file f;

	if (take_file(&f, request) && resolve(&f)) {
		if (strcmp(f.kind, "file") == 0)
			return put_regular(agent, &f);
		if (strcmp(f.kind, "dir") == 0)
			return put_directory(agent, &f);
		if (strcmp(f.kind, "link") == 0)
			return put_link(agent, &f);
	}
	agent_refuse(agent, AGENT_FAILED, NULL, "bad request");
	return false;
}

/* To the client. */

static bool send_head(struct agent *agent, const char *kind, mode_t mode, const char *target)
{
	static struct agent_records r;

	r.len = 0;
	agent_record_add(&r, "kind", kind);
	agent_record_add_u32(&r, "mode", mode & MODE_BITS);
	if (target)
		agent_record_add(&r, "target", target);
	return agent_send(agent, AGENT_FILE, r.buf, r.len);
}

static bool send_end(struct agent *agent, uint32_t crc)
{
	uint8_t bytes[4];

	agent_put32(bytes, crc);
	return agent_send(agent, AGENT_END, bytes, sizeof(bytes));
}

/* An error in the middle takes the place of the END. */
static bool get_regular(struct agent *agent, const char *path, int fd, mode_t mode)
{
	static uint8_t buf[AGENT_DATA_MAX];
	uint32_t crc = 0;
	ssize_t n;

	if (!send_head(agent, "file", mode, NULL))
		return false;
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		crc = agent_crc32c(crc, buf, (size_t)n);
		if (!agent_send(agent, AGENT_DATA, buf, (size_t)n))
			return false;
	}
	return n < 0 ? refuse_errno(agent, path, errno) : send_end(agent, crc);
}

static bool get_directory(struct agent *agent, int fd, mode_t mode)
{
	DIR *dir = fdopendir(dup(fd));
	const struct dirent *e;
	bool ok = dir && send_head(agent, "dir", mode, NULL);

	while (ok && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			ok = agent_send(agent, AGENT_ENTRY, e->d_name, strlen(e->d_name));
	if (dir)
		closedir(dir);
	return ok && send_end(agent, 0);
}

static bool get_link(struct agent *agent, const char *path)
{
	char target[PATH_MAX];
	const ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n < 0)
		return refuse_errno(agent, path, errno);
	target[n] = '\0';
	return send_head(agent, "link", 0777, target) && send_end(agent, 0);
}

bool agent_get_file(struct agent *agent, const struct agent_frame *request)
{
	static struct file f;
	struct stat st;
	bool ok;
	int fd;

	if (!take_file(&f, request)) {
		agent_refuse(agent, AGENT_FAILED, NULL, "bad request");
		return false;
	}
	if (!f.follow && lstat(f.path, &st) == 0 && S_ISLNK(st.st_mode))
		return get_link(agent, f.path);
	/* A pipe must not hold us up. */
	fd = open(f.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		ok = refuse_errno(agent, f.path, errno);
	} else if (S_ISDIR(st.st_mode)) {
		ok = get_directory(agent, fd, st.st_mode);
	} else if (S_ISREG(st.st_mode)) {
		ok = get_regular(agent, f.path, fd, st.st_mode);
	} else {
		ok = agent_refuse(agent, AGENT_FAILED, f.path,
				  "not a file, a directory or a symbolic link");
	}
	if (fd >= 0)
		close(fd);
	return ok;
}
