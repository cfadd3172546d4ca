/* `tollgate control`: one command for a running VM. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/unix_socket.h"
#include "cmds.h"
#include "control.h"
#include "vm_control.h"
#include "vm_end.h"

static const struct option_group *const groups[] = {&option_help_group, NULL};
const struct option_table cmd_control_table = {
	.command = "control",
	.about = "usage: tollgate control PATH COMMAND [ARG...]\n"
		 "\n"
		 "Asks or tells the VM that was started with --control PATH; its answer is "
		 "printed.\n"
		 "COMMAND is one of:\n"
		 "\n"
		 "  help                this list, of that VM\n"
		 "  status              how long it runs, in which process, what can be changed\n"
		 "  stats               the statistics so far, as --stats=json writes them\n"
		 "  balloon [SIZE]      what the guest is to give up, and has; or a new SIZE\n"
		 "  link NAME up|down   plugs a network's cable in, or pulls it out\n"
		 "  stop                ends the VM, as SIGTERM does: its exit status is 116\n",
	.group = groups,
	.after = "Exit status: 0 when the VM did so, 2 when not, with the reason on standard "
		 "error.\n",
	.operands = "PATH",
	.operand_word = vm_control_command,
};

/* The command as a line; -EINVAL with diag for words that would be none, or several lines. */
static int make_line(char *const *word, char line[CONTROL_INPUT_BYTES + 1], struct diag *diag)
{
	size_t len = 0;

	for (; *word; word++) {
		const int n = snprintf(line + len, CONTROL_INPUT_BYTES - len, "%s%s",
				       len ? " " : "", *word);

		if ((*word)[0] == '\0')
			return diag_set(diag, -EINVAL, "a word of the command is empty");
		if (strpbrk(*word, "\r\n"))
			return diag_set(diag, -EINVAL, "'%s': a command is one line", *word);
		if ((size_t)n >= CONTROL_INPUT_BYTES - len)
			return diag_set(diag, -EINVAL, "the command has more than %d bytes",
					CONTROL_LINE_MAX);
		len += (size_t)n;
	}
	line[len] = '\n';
	line[len + 1] = '\0';
	return 0;
}

static int dial(const char *path, struct diag *diag)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr;

	if (fd < 0)
		return diag_set(diag, -errno, "make a socket");
	if (unix_address(path, &addr) < 0)
		return diag_set(diag, -EINVAL, "control socket '%s': a path of at most %d bytes",
				path, UNIX_PATH_BYTES_MAX);
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return STEAL_FD(fd);
	diag_set(diag, -errno, "no VM is at control socket '%s'", path);
	switch (diag->err) {
	case -ECONNREFUSED:
		diag_remedy(diag, "the VM or program that made it is gone; start another one");
		break;
	case -EACCES: diag_remedy(diag, "it is for the user who runs the VM, and for root"); break;
	default: diag_remedy(diag, "start one by: tollgate run --control %s", path); break;
	}
	return diag->err;
}

/* line is the text behind CONTROL_REPLY_ERROR. */
static int refused(char *line, struct diag *diag)
{
	char *remedy = strstr(line, CONTROL_REPLY_REMEDY);

	if (remedy) {
		*remedy = '\0';
		diag_remedy(diag, "%s", remedy + strlen(CONTROL_REPLY_REMEDY));
	}
	return diag_set(diag, -EINVAL, "%s", line);
}

/* Prints what comes, up to the line that ends the reply. */
static int print_reply(FILE *in, struct diag *diag)
{
	AUTO_FREE char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, in)) > 0 && line[n - 1] == '\n') {
		if (strcmp(line, CONTROL_REPLY_OK "\n") == 0)
			return 0;
		if (strncmp(line, CONTROL_REPLY_ERROR, strlen(CONTROL_REPLY_ERROR)) == 0) {
			line[n - 1] = '\0';
			return refused(line + strlen(CONTROL_REPLY_ERROR), diag);
		}
		fputs(line, stdout);
	}
	diag_set(diag, -EINVAL, "the VM ended before it had answered");
	diag_remedy(diag, "its own messages say how it ended");
	return -EINVAL;
}

static int control(const char *path, char *const *word, struct diag *diag)
{
	char line[CONTROL_INPUT_BYTES + 1];
	FILE *in;
	int r = make_line(word, line, diag);
	int fd = r < 0 ? r : dial(path, diag);

	if (fd < 0)
		return fd;
	/* One that takes no more clients says so, and may have closed by now. */
	send(fd, line, strlen(line), MSG_NOSIGNAL);
	in = fdopen(fd, "r");
	if (!in) {
		close(fd);
		return diag_set(diag, -ENOMEM, "read from '%s'", path);
	}
	r = print_reply(in, diag);
	fclose(in);
	return r;
}

int cmd_control(int argc, char **argv)
{
	struct option_reader reader;
	struct diag diag = {0};
	const char *arg;
	int opt, r;

	/* What follows PATH is the command's, whatever it begins with. */
	option_reader_init(&reader, &cmd_control_table, argc, argv, true);
	r = option_reader_next(&reader, &opt, &arg, &diag);
	if (r > 0) {
		option_table_print(&cmd_control_table, true, stdout);
		return EXIT_OK;
	}
	if (r == 0 && argc - optind < 2) {
		r = diag_set(&diag, -EINVAL,
			     "control needs the PATH of a VM's socket and a COMMAND");
		diag_remedy(&diag, "'tollgate control --help' lists the commands");
	} else if (r == 0) {
		r = control(argv[optind], argv + optind + 1, &diag);
	}
	if (r == 0)
		return EXIT_OK;
	cmd_fail(&diag);
	return EXIT_SETUP;
}
