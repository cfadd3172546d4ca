/* argv -> subcommand. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/suggest.h"
#include "cmd/cmds.h"
#include "smoke/child.h"
#include "symbols/lines.h"
#include "vm_end.h"

static void usage(FILE *out)
{
	fputs("usage: tollgate COMMAND [OPTIONS]\n\n", out);
	for (const struct command *command = commands; command->name; command++)
		fprintf(out, "  %-10s %s\n", command->name, command->help);
	fputs("\n`tollgate COMMAND --help` and the manual page tollgate(1) have more.\n", out);
}

static int main_fail(const struct diag *diag)
{
	cmd_fail(diag);
	return EXIT_SETUP;
}

static int main_run_command(int argc, char **argv)
{
	struct suggest suggest;
	struct diag diag = {0};

	setvbuf(stderr, NULL, _IOLBF, 0); /* a line is one write, also alongside others' output */
	if (argc < 2) {
		usage(stderr);
		return EXIT_SETUP;
	}
	if (strcmp(argv[1], SMOKE_CHILD_COMMAND) == 0) /* no user's, so not in the table */
		return cmd_smoke_boot(argc - 1, argv + 1);
	if (strcmp(argv[1], SYMBOLS_LINES_COMMAND) == 0)
		return symbols_lines_main();
	suggest_init(&suggest, argv[1], strlen(argv[1]));
	for (const struct command *command = commands; command->name; command++) {
		if (strcmp(argv[1], command->name) == 0)
			return command->run(argc - 1, argv + 1);
		suggest_offer(&suggest, command->name);
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		usage(stdout);
		return EXIT_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		cmd_version();
		return EXIT_OK;
	}
	diag_set(&diag, -EINVAL, "command-unknown", "unknown command '%s'", argv[1]);
	if (suggest.best)
		diag_remedy(&diag, "did you mean 'tollgate %s'?", suggest.best);
	else
		diag_remedy(&diag, "`tollgate --help` lists the commands");
	return main_fail(&diag);
}

int main(int argc, char **argv)
{
	struct diag diag = {0};
	int status;

	signal(SIGXFSZ,
	       SIG_IGN); /* a write past RLIMIT_FSIZE says EFBIG: files, logs, reports, disks */
	if (cmd_stdio_open(&diag) < 0)
		return main_fail(&diag);
	status = main_run_command(argc, argv);
	/* Output that did not arrive is a failure too, but does not replace a set-up error. */
	if (cmd_stdout_close(&diag) < 0) {
		cmd_fail(&diag);
		return status == EXIT_SETUP ? status : EXIT_OUTPUT;
	}
	return status;
}
