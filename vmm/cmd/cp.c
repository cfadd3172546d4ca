/* `tollgate cp`: files into a running guest, and out of it, by the agent of its /init. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/link.h"
#include "base/cleanup.h"
#include "base/io_full.h"
#include "cmd/agent.h"
#include "cmd/cmds.h"
#include "vm_end.h"

enum { OPT_RECURSIVE = 'r', DEPTH_MAX = 64, MODE_BITS = 07777 };

static const struct option_row rows[] = {
	{"recursive", OPT_RECURSIVE, NULL, .help = "directories with all that is in them",
	 .common = true},
	{0},
};
static const struct option_group group = {NULL, rows};
static const struct option_group *const groups[] = {&group, &cmd_agent_group, &option_help_group,
						    NULL};
const struct option_table cmd_cp_table = {
	.command = "cp",
	.about = "usage: tollgate cp [OPTIONS] SRC SOCK:DST\n"
		 "       tollgate cp [OPTIONS] SOCK:SRC DST\n"
		 "\n"
		 "Copies a file between this host and the guest of a VM that was started with\n"
		 "--vsock SOCK and with --run, --root or --rootfs. The guest's path is absolute.\n"
		 "Modes are kept. A file is compared by a checksum before it gets its name.\n",
	.group = groups,
	.after = "Exit status: 0 when all was copied, 2 when not, with the reason on standard "
		 "error.\n",
	.operands = "PATH",
};

struct copy {
	struct agent_link link;
	struct agent_records head;
	bool recursive;
};

/* A frame of the guest as that type, or its error. The frame is valid until the next one. */
static int await_type(struct copy *c, unsigned type, struct agent_frame *f, struct diag *diag)
{
	int r = agent_link_await(&c->link, f, diag);

	if (r < 0 || f->type == type)
		return r;
	if (f->type != AGENT_ERROR)
		return agent_link_confused(&c->link, diag);
	agent_link_refused(f, diag);
	return -EINVAL;
}

static int head_too_long(const char *path, struct diag *diag)
{
	return diag_set(diag, -EINVAL, "copy-path-length", "path '%s' is too long", path);
}

static bool head_begin(struct copy *c, const char *path)
{
	c->head.len = 0;
	return agent_record_add_u32(&c->head, "version", AGENT_VERSION) &&
	       agent_record_add(&c->head, "path", path);
}

/* Into the guest. */

/* name: for a directory that is there; NULL: path is the file itself. ret_path, of PATH_MAX: where it went. */
static int put_head(struct copy *c, const char *path, const char *name, const char *kind,
		    mode_t mode, const char *target, struct diag *diag)
{
	if (!head_begin(c, path) || (name && !agent_record_add(&c->head, "name", name)) ||
	    !agent_record_add(&c->head, "kind", kind) ||
	    !agent_record_add_u32(&c->head, "mode", mode & MODE_BITS) ||
	    (target && !agent_record_add(&c->head, "target", target)))
		return head_too_long(path, diag);
	return agent_link_put(&c->link, AGENT_PUT, c->head.buf, c->head.len, diag);
}

static int await_done(struct copy *c, uint32_t crc, const char *what, char ret_path[PATH_MAX],
		      struct diag *diag)
{
	struct agent_frame f;
	int r = await_type(c, AGENT_DONE, &f, diag);

	if (r < 0)
		return r;
	if (f.len < 4 || f.len - 4 >= PATH_MAX || memchr(f.data + 4, '\0', f.len - 4))
		return agent_link_confused(&c->link, diag);
	if (agent_get32(f.data) != crc)
		return diag_set(diag, -EINVAL, "copy-checksum",
				"'%s' is another file in the guest than here", what);
	memcpy(ret_path, f.data + 4, f.len - 4);
	ret_path[f.len - 4] = '\0';
	return 0;
}

static int put_data(struct copy *c, int fd, const char *what, uint32_t *ret_crc, struct diag *diag)
{
	static uint8_t buf[AGENT_DATA_MAX];
	uint8_t end[4];
	ssize_t n;
	int r = 0;

	*ret_crc = 0;
	while (r == 0 && (n = io_read_some(fd, buf, sizeof(buf))) != 0) {
		if (n < 0)
			return diag_set(diag, -errno, "copy-read", "read '%s'", what);
		*ret_crc = agent_crc32c(*ret_crc, buf, (size_t)n);
		r = agent_link_put(&c->link, AGENT_DATA, buf, (size_t)n, diag);
	}
	agent_put32(end, *ret_crc);
	return r < 0 ? r : agent_link_put(&c->link, AGENT_END, end, sizeof(end), diag);
}

static int put_at(struct copy *c, int dir_fd, const char *file, const char *to, bool top,
		  unsigned depth, struct diag *diag);

/* The entries of the directory fd, which it closes, into the guest's directory to. */
static int put_entries(struct copy *c, int fd, const char *to, unsigned depth, struct diag *diag)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *e;
	int r = 0;

	if (!dir) {
		close(fd);
		return diag_set(diag, -ENOMEM, "copy-directory-memory", "a directory");
	}
	while (r == 0 && (e = readdir(dir))) {
		AUTO_FREE char *path = NULL;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (asprintf(&path, "%s/%s", to, e->d_name) < 0) {
			path = NULL;
			r = diag_set(diag, -ENOMEM, "copy-directory-memory", "a directory");
		} else {
			r = put_at(c, dirfd(dir), e->d_name, path, false, depth + 1, diag);
		}
	}
	closedir(dir);
	return r;
}

static int put_link_at(struct copy *c, int dir_fd, const char *file, const char *to,
		       struct diag *diag)
{
	char target[PATH_MAX], path[PATH_MAX];
	const ssize_t n = readlinkat(dir_fd, file, target, sizeof(target) - 1);
	int r;

	if (n < 0)
		return diag_set(diag, -errno, "copy-read", "read '%s'", file);
	target[n] = '\0';
	r = put_head(c, to, NULL, "link", 0777, target, diag);
	return r < 0 ? r : await_done(c, 0, file, path, diag);
}

/* In a directory links are copied as such; the file that was named is followed. */
static int put_at(struct copy *c, int dir_fd, const char *file, const char *to, bool top,
		  unsigned depth, struct diag *diag)
{
	AUTO_FREE char *copy = strdup(file);
	const char *name = top && copy ? basename(copy) : NULL;
	char path[PATH_MAX];
	struct stat st;
	uint32_t crc = 0;
	int r;

	if (!top && fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
		return put_link_at(c, dir_fd, file, to, diag);
	AUTO_CLOSE int fd = openat(dir_fd, file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return diag_set(diag, -errno, "copy-open", "open '%s'", file);
	if (S_ISDIR(st.st_mode) && !c->recursive) {
		diag_set(diag, -EINVAL, "copy-directory", "'%s' is a directory", file);
		diag_remedy(diag, "-r copies directories");
		return -EINVAL;
	}
	if ((!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) || depth > DEPTH_MAX)
		return diag_set(diag, -EINVAL, "copy-kind",
				depth > DEPTH_MAX
					? "'%s' is too deep a directory"
					: "'%s' is not a file, a directory or a symbolic link",
				file);
	r = put_head(c, to, name, S_ISDIR(st.st_mode) ? "dir" : "file", st.st_mode, NULL, diag);
	if (r == 0 && S_ISREG(st.st_mode))
		r = put_data(c, fd, file, &crc, diag);
	if (r == 0)
		r = await_done(c, crc, file, path, diag);
	if (r == 0 && S_ISDIR(st.st_mode))
		r = put_entries(c, STEAL_FD(fd), path, depth, diag);
	return r;
}

/* Out of the guest, which is not trusted: nothing is written but below the directory that was named. */

struct head {
	char kind[8], target[PATH_MAX];
	uint32_t mode;
};

static bool take_head_record(struct head *h, const char *key, const char *value)
{
	if (strcmp(key, "kind") == 0)
		return snprintf(h->kind, sizeof(h->kind), "%s", value) < (int)sizeof(h->kind);
	if (strcmp(key, "target") == 0)
		return snprintf(h->target, sizeof(h->target), "%s", value) < (int)sizeof(h->target);
	return strcmp(key, "mode") == 0 && agent_record_u32(value, &h->mode);
}

static int get_head(struct copy *c, const char *path, bool follow, struct head *h,
		    struct diag *diag)
{
	struct agent_frame f;
	const char *value;
	char key[16];
	size_t at = 0;
	int r;

	if (!head_begin(c, path) || !agent_record_add_u32(&c->head, "follow", follow))
		return head_too_long(path, diag);
	r = agent_link_put(&c->link, AGENT_GET, c->head.buf, c->head.len, diag);
	if (r == 0)
		r = await_type(c, AGENT_FILE, &f, diag);
	if (r < 0)
		return r;
	*h = (struct head){0};
	while ((r = agent_record_next(&f, &at, key, &value)) == 1)
		if (!take_head_record(h, key, value))
			return agent_link_confused(&c->link, diag);
	return r < 0 ? agent_link_confused(&c->link, diag) : 0;
}

/* DATA up to END into fd. */
static int get_data(struct copy *c, int fd, const char *what, struct diag *diag)
{
	struct agent_frame f;
	uint32_t crc = 0;
	int r;

	while ((r = agent_link_await(&c->link, &f, diag)) == 0 && f.type == AGENT_DATA) {
		crc = agent_crc32c(crc, f.data, f.len);
		r = io_write_full(fd, f.data, f.len, NULL);
		if (r < 0)
			return diag_set(diag, r, "copy-write", "write '%s'", what);
	}
	if (r < 0)
		return r;
	if (f.type == AGENT_ERROR) {
		agent_link_refused(&f, diag);
		return -EINVAL;
	}
	if (f.type != AGENT_END || f.len != 4)
		return agent_link_confused(&c->link, diag);
	if (agent_get32(f.data) != crc)
		return diag_set(diag, -EINVAL, "copy-checksum",
				"'%s' is another file in the guest than here", what);
	return 0;
}

static int get_regular(struct copy *c, int dir_fd, const char *name, mode_t mode, struct diag *diag)
{
	char temp[48];
	int fd, r;

	snprintf(temp, sizeof(temp), ".tollgate-cp-%d", (int)getpid());
	unlinkat(dir_fd, temp, 0);
	fd = openat(dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return diag_set(diag, -errno, "copy-create", "create '%s'", name);
	r = get_data(c, fd, name, diag);
	/* Of another's file, neither set-user-ID nor set-group-ID is kept. */
	if (r == 0 && fchmod(fd, mode & 0777) < 0)
		r = diag_set(diag, -errno, "copy-write", "write '%s'", name);
	if (close(fd) < 0 && r == 0)
		r = diag_set(diag, -errno, "copy-write", "write '%s'", name);
	if (r == 0 && renameat(dir_fd, temp, dir_fd, name) < 0)
		r = diag_set(diag, -errno, "copy-create", "create '%s'", name);
	if (r < 0)
		unlinkat(dir_fd, temp, 0);
	return r;
}

static int get_at(struct copy *c, const char *path, int dir_fd, const char *name, bool top,
		  unsigned depth, struct diag *diag);

/* Names come first, because one request is answered at a time. */
static int get_names(struct copy *c, char **ret_names, size_t *ret_len, struct diag *diag)
{
	FILE *out = open_memstream(ret_names, ret_len);
	struct agent_frame f;
	int r;

	if (!out)
		return diag_set(diag, -ENOMEM, "copy-directory-memory", "a directory");
	while ((r = agent_link_await(&c->link, &f, diag)) == 0 && f.type == AGENT_ENTRY) {
		if (f.len == 0 || f.len > NAME_MAX || memchr(f.data, '\0', f.len) ||
		    memchr(f.data, '/', f.len) || (f.len == 1 && f.data[0] == '.') ||
		    (f.len == 2 && memcmp(f.data, "..", 2) == 0)) {
			r = agent_link_confused(&c->link, diag);
			break;
		}
		fwrite(f.data, 1, f.len, out);
		fputc('\0', out);
	}
	if (r == 0 && f.type != AGENT_END)
		r = agent_link_confused(&c->link, diag);
	fclose(out);
	return r;
}

static int get_directory(struct copy *c, const char *path, int dir_fd, const char *name,
			 mode_t mode, unsigned depth, struct diag *diag)
{
	AUTO_FREE char *names = NULL;
	size_t len = 0;
	int r = get_names(c, &names, &len, diag);

	if (r < 0)
		return r;
	if (mkdirat(dir_fd, name, (mode & 0777) | 0700) < 0 && errno != EEXIST)
		return diag_set(diag, -errno, "copy-create", "create '%s'", name);
	/* A link in its place, which the guest may have sent before, leads nowhere. */
	AUTO_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return diag_set(diag, -errno, "copy-create", "create '%s'", name);
	for (const char *at = names; r == 0 && at < names + len; at += strlen(at) + 1) {
		AUTO_FREE char *from = NULL;

		if (asprintf(&from, "%s/%s", path, at) < 0) {
			from = NULL;
			return diag_set(diag, -ENOMEM, "copy-directory-memory", "a directory");
		}
		r = get_at(c, from, fd, at, false, depth + 1, diag);
	}
	return r;
}

static int get_link(struct copy *c, int dir_fd, const char *name, const char *target,
		    struct diag *diag)
{
	struct agent_frame f;
	struct stat st;
	int r = await_type(c, AGENT_END, &f, diag);

	if (r < 0)
		return r;
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
		unlinkat(dir_fd, name, 0);
	if (symlinkat(target, dir_fd, name) < 0)
		return diag_set(diag, -errno, "copy-create", "create '%s'", name);
	return 0;
}

static int get_at(struct copy *c, const char *path, int dir_fd, const char *name, bool top,
		  unsigned depth, struct diag *diag)
{
	AUTO_FREE struct head *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return diag_set(diag, -ENOMEM, "copy-directory-memory", "a directory");
	r = get_head(c, path, top, h, diag);
	if (r < 0)
		return r;
	if (strcmp(h->kind, "file") == 0)
		return get_regular(c, dir_fd, name, h->mode, diag);
	if (strcmp(h->kind, "link") == 0 && !top)
		return get_link(c, dir_fd, name, h->target, diag);
	if (strcmp(h->kind, "dir") != 0)
		return agent_link_confused(&c->link, diag);
	if (!c->recursive) {
		diag_set(diag, -EINVAL, "copy-directory", "'%s' is a directory", path);
		diag_remedy(diag, "-r copies directories");
		return -EINVAL;
	}
	if (depth > DEPTH_MAX)
		return diag_set(diag, -EINVAL, "copy-kind", "'%s' is too deep a directory", path);
	return get_directory(c, path, dir_fd, name, h->mode, depth, diag);
}

/* to: a directory that is there, or the new name. */
static int get_to(struct copy *c, const char *path, const char *to, struct diag *diag)
{
	AUTO_FREE char *to_dir = strdup(to), *to_base = strdup(to), *from = strdup(path);
	struct stat st;
	const bool inside = stat(to, &st) == 0 && S_ISDIR(st.st_mode);
	const char *dir, *name;

	if (!to_dir || !to_base || !from)
		return diag_set(diag, -ENOMEM, "copy-directory-memory", "a directory");
	dir = inside ? to : dirname(to_dir);
	name = inside ? basename(from) : basename(to_base);
	if (strcmp(name, "/") == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return diag_set(diag, -EINVAL, "copy-name", "'%s' is not a name for a copy", name);
	AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return diag_set(diag, -errno, "copy-open", "open '%s'", dir);
	return get_at(c, path, fd, name, true, 0, diag);
}

/* The colon between SOCK and an absolute path, or NULL: the first ":/". */
static char *guest_colon(char *operand)
{
	char *colon = strstr(operand, ":/");

	return colon == operand ? NULL : colon;
}

static int copy_run(struct copy *c, const struct cmd_agent *opts, char *from, char *to,
		    struct diag *diag)
{
	char *from_colon = guest_colon(from), *to_colon = guest_colon(to);
	char *colon = from_colon ? from_colon : to_colon;
	const char *sock = from_colon ? from : to;
	int r;

	if (!from_colon == !to_colon) {
		diag_set(diag, -EINVAL, "copy-operands",
			 "one of '%s' and '%s' has to be SOCK:PATH with an absolute PATH", from,
			 to);
		diag_remedy(diag, "as in: tollgate cp file vm.vsock:/tmp/");
		return -EINVAL;
	}
	*colon = '\0';
	r = agent_link_open(&c->link, sock, opts->wait_ns, opts->silence_ns, diag);
	if (r < 0)
		return r;
	return from_colon ? get_to(c, colon + 1, to, diag)
			  : put_at(c, AT_FDCWD, from, colon + 1, true, 0, diag);
}

int cmd_cp(int argc, char **argv)
{
	static struct copy c;
	struct cmd_agent opts = CMD_AGENT_DEFAULTS;
	struct option_reader reader;
	struct diag diag = {0};
	const char *arg;
	int opt;

	option_reader_init(&reader, &cmd_cp_table, argc, argv, false);
	while (option_reader_next(&reader, &opt, &arg, &diag) > 0) {
		if (opt == OPTION_HELP || opt == OPTION_HELP_ALL) {
			option_table_print(&cmd_cp_table, true, stdout);
			return EXIT_OK;
		}
		c.recursive |= opt == OPT_RECURSIVE;
		if (cmd_agent_option(&opts, opt, arg, &diag) < 0)
			break;
	}
	if (!diag.err && argc - optind != 2) {
		diag_set(&diag, -EINVAL, "copy-operands-count", "cp needs a SRC and a DST");
		diag_remedy(&diag, "'tollgate cp --help' shows how");
	}
	if (!diag.err)
		copy_run(&c, &opts, argv[optind], argv[optind + 1], &diag);
	agent_link_close(&c.link);
	if (!diag.err)
		return EXIT_OK;
	cmd_fail(&diag);
	return EXIT_SETUP;
}
