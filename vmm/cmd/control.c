/* `tollgate control`: one command for a running VM. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/option.h"
#include "cmd/client.h"
#include "cmd/cmds.h"
#include "control.h"
#include "control/commands.h"
#include "smoke/judge/text.h"
#include "vm_end.h"

#define WAIT_DEFAULT_NS (60 * NS_PER_S)

enum { OPT_WAIT = 0x100 };

static const struct option_row rows[] = {
	{"wait", OPT_WAIT, "[=SECONDS]",
	 .help = "for a VM that is being started: until it is there (default 60)", .common = true},
	{0},
};
static const struct option_group group = {NULL, rows};
static const struct option_group *const groups[] = {&group, &option_help_group, NULL};
const struct option_table cmd_control_table = {
	.command = "control",
	.about = "usage: tollgate control [--wait[=SECONDS]] PATH COMMAND [ARG...]\n"
		 "\n"
		 "Sends a command to the VM that was started with --control PATH, and prints the\n"
		 "answer.\n"
		 "COMMAND is one of:\n"
		 "\n"
		 "  help                this list, of that VM\n"
		 "  status              how long it runs, in which process, what can be changed\n"
		 "  stats               the statistics so far, as --stats=json writes them\n"
		 "  balloon [SIZE]      what the guest is to give up, and has; or a new SIZE\n"
		 "  link NAME up|down   plugs a network's cable in, or pulls it out\n"
		 "  hostfwd list        the host's ports that user networks forward\n"
		 "  hostfwd add|remove [NAME] FORWARD\n"
		 "                      one more, or less, as tcp::8080-:80\n"
		 "  unplug NAME         takes a device off the bus: it reads as all ones\n"
		 "  plug NAME           puts it back; a virtio device has been reset\n"
		 "  pause               stops the VM; its clocks and --timeout stand still\n"
		 "  resume              lets it go on as if no time had passed\n"
		 "  regs [CPU]          the registers of each vCPU, or of one\n"
		 "  stack [CPU]         its callers, by frame pointers\n"
		 "  nmi [CPU]           a non-maskable interrupt for vCPU 0, or another\n"
		 "  sysrq KEY           a serial break and KEY: Linux's SysRq\n"
		 "  core FILE           its memory and registers, for gdb, crash and drgn\n"
		 "  stop                ends the VM, as SIGTERM does: its exit status is 116\n",
	.group = groups,
	.after = "Exit status: 0 when the VM did so, 2 when not, with the reason on standard "
		 "error.\n",
	.operands = "PATH",
	.operand = vm_control_command,
};

/* Whether a word of the command is the name of a file, which the VM would look for in its own directory. */
static bool is_relative_file(char *const *first, char *const *arg)
{
	return arg == first + 1 && strcmp(first[0], "core") == 0 && (*arg)[0] != '/';
}

/* The command as a line; -EINVAL with diag for arguments that make no line, or several lines. */
static int make_line(char *const *arg, char line[CONTROL_INPUT_BYTES + 1], struct diag *diag)
{
	char *const *first = arg;
	char here[PATH_MAX] = "";
	size_t len = 0;

	for (; *arg; arg++) {
		const bool relative = is_relative_file(first, arg);
		int n;

		if (relative && !getcwd(here, sizeof(here)))
			return diag_set(diag, -errno, "working-directory", "this directory");
		n = snprintf(line + len, CONTROL_INPUT_BYTES - len, "%s%s%s%s", len ? " " : "",
			     relative ? here : "", relative ? "/" : "", *arg);
		if ((*arg)[0] == '\0')
			return diag_set(diag, -EINVAL, "argument-empty",
					"an argument of the command is empty");
		if (strpbrk(*arg, "\r\n"))
			return diag_set(diag, -EINVAL, "argument-newline",
					"'%s': a command is one line", *arg);
		if ((size_t)n >= CONTROL_INPUT_BYTES - len)
			return diag_set(diag, -EINVAL, "command-length",
					"the command has more than %d bytes", CONTROL_LINE_MAX);
		len += (size_t)n;
	}
	line[len] = '\n';
	line[len + 1] = '\0';
	return 0;
}

/* A VM is not trusted with our terminal: what would move, colour or reprogram it is left out. */
static void print_line(void *arg, const char *line)
{
	const bool *to_terminal = arg;
	struct smoke_text text = {0};
	char out[SMOKE_TEXT_OUT_MAX];

	if (!*to_terminal) {
		fputs(line, stdout);
		return;
	}
	for (const char *p = line; *p; p++) {
		const size_t n = smoke_text_feed(&text, (uint8_t)*p, out);

		fwrite(out, 1, n, stdout);
	}
}

static int control(const char *path, int64_t wait_ns, char *const *arg, struct diag *diag)
{
	bool to_terminal = isatty(STDOUT_FILENO) == 1;
	char line[CONTROL_INPUT_BYTES + 1];
	const struct client_request request = {
		.path = path,
		.line = line,
		.wait_ns = wait_ns,
		.take = print_line,
		.arg = &to_terminal,
	};
	int r = make_line(arg, line, diag);

	return r < 0 ? r : client_ask(&request, diag);
}

static int parse_wait(const char *arg, int64_t *ret_ns, struct diag *diag)
{
	struct diag why = {0};
	int r;

	if (!arg) {
		*ret_ns = WAIT_DEFAULT_NS;
		return 0;
	}
	r = option_seconds("--wait", arg, false, ret_ns, &why);
	if (r < 0) {
		diag_set(diag, r, why.id, "%s", why.what);
		diag_remedy(diag, "seconds, as in --wait=60 or --wait=0.5");
	}
	return r;
}

int cmd_control(int argc, char **argv)
{
	struct option_reader reader;
	int64_t wait_ns = 0;
	struct diag diag = {0};
	const char *arg;
	int opt, r;

	/* Arguments after PATH are the command's, whatever they begin with. */
	option_reader_init(&reader, &cmd_control_table, argc, argv, true);
	while ((r = option_reader_next(&reader, &opt, &arg, &diag)) > 0) {
		if (opt != OPT_WAIT) {
			option_table_print(&cmd_control_table, true, stdout);
			return EXIT_OK;
		}
		r = parse_wait(arg, &wait_ns, &diag);
		if (r < 0)
			break;
	}
	if (r == 0 && argc - optind < 2) {
		r = diag_set(&diag, -EINVAL, "control-operands",
			     "control needs the PATH of a VM's socket and a COMMAND");
		diag_remedy(&diag, "'tollgate control --help' lists the commands");
	}
	if (r == 0)
		r = control(argv[optind], wait_ns, argv + optind + 1, &diag);
	if (r == 0)
		return EXIT_OK;
	cmd_fail(&diag);
	return EXIT_SETUP;
}
