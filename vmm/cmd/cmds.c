#include "cmd/cmds.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io_full.h"
#include "base/out_file.h"

void cmd_fail(const struct diag *diag)
{
	fputs("tollgate: ", stderr);
	diag_print(diag, stderr);
	fputc('\n', stderr);
	if (diag->remedy[0])
		fprintf(stderr, "  remedy: %s\n", diag->remedy);
}

void cmd_warn(const struct diag *warning)
{
	fputs("tollgate: warning: ", stderr);
	diag_print(warning, stderr);
	fputc('\n', stderr);
}

void cmd_warn_unconfined(void)
{
	struct diag diag = {0};

	diag_set(&diag, -EINVAL, "sandbox-off",
		 "--no-sandbox: the guest is NOT confined; one that breaks the VMM can do what its "
		 "user can");
	cmd_warn(&diag);
}

int cmd_no_operands(int argc, char **argv, struct diag *diag)
{
	if (optind >= argc)
		return 0;
	diag_set(diag, -EINVAL, "operand-unknown", "'%s' is not an option", argv[optind]);
	diag_remedy(diag, "'tollgate %s --help' lists the options", argv[0]);
	return -EINVAL;
}

int cmd_stdio_open(struct diag *diag)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		/* The wrong way round, so that using it fails as it would if it were closed. */
		const int flags = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		if (open("/dev/null", flags) != fd)
			return diag_set(diag, -errno, "stdio-open",
					"open /dev/null for closed descriptor %d", fd);
	}
	return 0;
}

int cmd_stdout_close(struct diag *diag)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	return diag_set(diag, errno ? -errno : -EIO, "stdout-write", "write to standard output");
}

int cmd_write(const char *path, const void *buf, size_t len, struct diag *diag)
{
	int fd, r;

	if (strcmp(path, "-") == 0) {
		r = io_write_full(STDOUT_FILENO, buf, len, NULL);
		return r < 0 ? diag_set(diag, r, "stdout-write", "write to standard output") : 0;
	}
	fd = out_file_open(path, &(struct out_file_opts){0});
	if (fd < 0)
		return diag_set(diag, fd, "output-create", "create '%s'", path);
	r = io_write_full(fd, buf, len, NULL);
	if (close(fd) < 0 && r == 0)
		r = -errno; /* a network file system may say "no space" only now */
	return r < 0 ? diag_set(diag, r, "output-write", "write '%s'", path) : 0;
}
