#include "smoke/log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io_full.h"
#include "base/out_file.h"

/* A byte of a boot's name, made fit for a file's name, which is not hidden either. */
static char file_char(const char *name, size_t i)
{
	const unsigned char c = (unsigned char)name[i];

	if (i == 0 && c == '.')
		return '_';
	return isalnum(c) || strchr("+,-.=_", c) ? (char)c : '_';
}

bool smoke_log_same(const char *name, const char *other)
{
	size_t i = 0;

	while (name[i] && other[i] && file_char(name, i) == file_char(other, i))
		i++;
	return !name[i] && !other[i];
}

int smoke_file_path(const char *dir, const char *name, const char *suffix, char *buf, size_t cap)
{
	const int dir_len = snprintf(buf, cap, "%s/", dir);
	const size_t name_len = strlen(name);
	char *at;

	if (dir_len < 0 || (size_t)dir_len + name_len + strlen(suffix) + 1 > cap)
		return -ENAMETOOLONG;
	at = buf + dir_len;
	for (size_t i = 0; i < name_len; i++)
		*at++ = file_char(name, i);
	memcpy(at, suffix, strlen(suffix) + 1);
	return 0;
}

/* A file that was not there is made and removed again. */
static int try_log(const char *path)
{
	const int flags = O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd = open(path, flags);
	bool made = false;

	if (fd < 0 && errno == ENOENT) {
		fd = open(path, flags | O_CREAT | O_EXCL, 0666);
		made = fd >= 0;
	}
	if (fd < 0)
		return -errno;
	close(fd);
	return made && unlink(path) < 0 ? -errno : 0;
}

int smoke_log_check(const char *dir, const char *name, struct diag *diag)
{
	char path[PATH_MAX];
	int r = smoke_file_path(dir, name, SMOKE_LOG_SUFFIX, path, sizeof(path));

	if (r == 0)
		r = try_log(path);
	if (r == 0)
		return 0;
	diag_set(diag, r, "log-create", "create the log of boot '%s' in '%s'", name, dir);
	if (r == -ENAMETOOLONG)
		diag_remedy(diag, "give the boot a shorter name, by name: in a --config file");
	else if (r == -ELOOP)
		diag_remedy(diag, "its file is a symbolic link, which is not followed: remove it");
	return r;
}

int smoke_log_open(struct smoke_log *log, const char *dir, const char *name, uint64_t limit_bytes,
		   struct diag *diag)
{
	const struct out_file_opts opts = {.append = true, .no_follow = true};
	char path[PATH_MAX];
	int failed, r = smoke_file_path(dir, name, SMOKE_LOG_SUFFIX, path, sizeof(path));

	*log = (struct smoke_log){.limit_bytes = limit_bytes};
	if (r == 0)
		r = file_writer_open(path, &opts, &log->writer, &log->pipe, &failed);
	if (r < 0)
		return diag_set(diag, r, "log-create", "create the log of boot '%s' in '%s'", name,
				dir);
	return 0;
}

/* As much as the pipe takes, at once: for a person who watches the log grow. */
static void write_pending(struct smoke_log *log)
{
	size_t done;

	io_write_full(log->pipe, log->pending, log->pending_len, &done);
	log->pending_len -= done;
	memmove(log->pending, log->pending + done, log->pending_len);
}

/* Room for len bytes after what is pending; NULL without memory, which smoke_log_wait() reports. */
static char *add_pending(struct smoke_log *log, size_t len)
{
	if (log->pending_len + len > log->pending_room) {
		const size_t room = 2 * (log->pending_len + len);
		char *more = realloc(log->pending, room);

		if (!more) {
			log->err = -ENOMEM;
			return NULL;
		}
		log->pending = more;
		log->pending_room = room;
	}
	log->pending_len += len;
	return log->pending + log->pending_len - len;
}

/* The kernel's clock at the head of its line, "[   12.345678]"; false for another line. */
static bool guest_stamp(const char *text, size_t len, const char **ret, size_t *ret_len)
{
	size_t i = 1;

	if (len == 0 || text[0] != '[')
		return false;
	while (i < len && text[i] == ' ')
		i++;
	*ret = text + i;
	while (i < len && (isdigit((unsigned char)text[i]) || text[i] == '.'))
		i++;
	*ret_len = (size_t)(text + i - *ret);
	return *ret_len > 0 && i < len && text[i] == ']';
}

static void log_put(struct smoke_log *log, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void log_put(struct smoke_log *log, const char *format, ...)
{
	va_list args;
	char *at;
	int n;

	va_start(args, format);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	at = n < 0 ? NULL : add_pending(log, (size_t)n + 1); /* vsnprintf() ends it with a 0 */
	if (!at)
		return;
	va_start(args, format);
	vsnprintf(at, (size_t)n + 1, format, args);
	va_end(args);
	log->pending_len--;
	log->written_bytes += (uint64_t)n;
}

static void put_line(struct smoke_log *log, int64_t ns, const char *tag, const char *text,
		     size_t len)
{
	const char *stamp = "-";
	size_t stamp_len = 1;

	if (!guest_stamp(text, len, &stamp, &stamp_len)) {
		stamp = "-";
		stamp_len = 1;
	}
	log_put(log, "%5" PRId64 ".%06" PRId64 " %12.*s %s%.*s\n", ns / NS_PER_S,
		ns % NS_PER_S / 1000, (int)stamp_len, stamp, tag, (int)len, text);
}

static const char *const tags[SMOKE_STREAMS] = {
	[SMOKE_CONSOLE] = "| ",
	[SMOKE_COMMAND_OUT] = "out| ",
	[SMOKE_COMMAND_ERR] = "err| ",
	[SMOKE_INIT_LOG] = "init| ",
};

void smoke_log_line(struct smoke_log *log, const struct smoke_line *line, int64_t start_ns)
{
	if (!log->writer)
		return;
	log->start_ns = start_ns;
	if (log->written_bytes + line->len > log->limit_bytes) {
		log->left_out++;
		return;
	}
	put_line(log, line->at_ns - start_ns, tags[line->stream], line->text, line->len);
	write_pending(log);
}

bool smoke_log_has_room(struct smoke_log *log)
{
	if (log->pending_len > 0)
		write_pending(log);
	return log->pending_len == 0;
}

static void put_left_out(struct smoke_log *log, const struct smoke_tail *tail)
{
	log_put(log,
		"(the limit of this log is reached; %" PRIu64 " lines left out; of the report:)\n",
		log->left_out);
	for (unsigned i = 0; i < tail->nr; i++) {
		const struct smoke_tail_line *line = smoke_tail_get(tail, i);

		put_line(log, line->at_ns - log->start_ns, tags[line->stream], line->text,
			 strlen(line->text));
	}
}

void smoke_log_close(struct smoke_log *log, const struct smoke_tail *tail)
{
	if (!log->writer)
		return;
	if (log->left_out)
		put_left_out(log, tail);
	file_writer_finish(log->writer, log->pending, log->pending_len);
	log->pending = NULL;
	log->pending_len = log->pending_room = 0;
	log->is_closed = true;
}

bool smoke_log_is_done(const struct smoke_log *log)
{
	return !log->writer || (log->is_closed && file_writer_is_done(log->writer));
}

int smoke_log_wait(struct smoke_log *log, const char *name, int64_t until_ns, struct diag *diag)
{
	int r;

	if (!log->writer)
		return 0;
	r = file_writer_stop(log->writer, until_ns);
	log->writer = NULL;
	if (r == -ETIMEDOUT)
		return diag_set(diag, -EINVAL, "log-stuck",
				"the log of boot '%s' does not answer: its last output is lost",
				name);
	if (r == 0)
		r = log->err;
	return r < 0 ? diag_set(diag, r, "log-write", "write the log of boot '%s'", name) : 0;
}
