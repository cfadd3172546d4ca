/* argv -> subcommand. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "cmds.h"
#include "vm_end.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{"run", cmd_run, "boot a kernel, or the built-in test kernel"},
	{"smoke", cmd_smoke, "boot kernels and judge how each of them did, for CI"},
	{"control", cmd_control, "ask or tell something of a running VM"},
	{"doctor", cmd_doctor, "tell whether this host can run guests"},
	{"hammer", cmd_hammer, "measure exits: a guest makes one access over and over"},
	{"machine", cmd_machine, "show the machine a guest would see"},
};

static void usage(FILE *out)
{
	fputs("usage: tollgate COMMAND [OPTIONS]\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	fputs("\n`tollgate COMMAND --help` tells more, and so does the manual page tollgate(1).\n",
	      out);
}

static int fail(const struct diag *diag)
{
	cmd_fail(diag);
	return EXIT_SETUP;
}

static int run_command(int argc, char **argv)
{
	struct diag diag = {0};

	setvbuf(stderr, NULL, _IOLBF, 0); /* a line is one write, also beside others' output */
	if (argc < 2) {
		usage(stderr);
		return EXIT_SETUP;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		usage(stdout);
		return EXIT_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("tollgate " TOLLGATE_VERSION);
		return EXIT_OK;
	}
	diag_set(&diag, -EINVAL, "unknown command '%s'", argv[1]);
	diag_remedy(&diag, "`tollgate --help` lists the commands");
	return fail(&diag);
}

int main(int argc, char **argv)
{
	struct diag diag = {0};
	int status;

	if (cmd_stdio_open(&diag) < 0)
		return fail(&diag);
	status = run_command(argc, argv);
	/* What was printed and did not arrive is a failure too. */
	if (cmd_stdout_close(&diag) < 0)
		return fail(&diag);
	return status;
}
