/*
 * cmds.h - the subcommands, and what they share: how they report a failure, read the options that they
 * have in common, and write their results.
 *
 * A subcommand gets its own name as argv[0] and returns the exit status of the process.
 */
#ifndef VMM_CMD_CMDS_H
#define VMM_CMD_CMDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/option_table.h"

int cmd_bench(int argc, char **argv);
int cmd_completion(int argc, char **argv);
int cmd_control(int argc, char **argv);
int cmd_cp(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_exec(int argc, char **argv);
int cmd_hammer(int argc, char **argv);
int cmd_machine(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_smoke(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_smoke_boot(int argc, char **argv); /* one boot's process: smoke/child.h */

extern const struct option_table cmd_bench_table, cmd_completion_table, cmd_control_table,
	cmd_cp_table, cmd_doctor_table, cmd_exec_table, cmd_hammer_table, cmd_machine_table,
	cmd_top_table;

/* Every subcommand, up to a row without a name. */
struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help; /* a line */
	const struct option_table *table;
};
extern const struct command commands[];

/*
 * Prints version, commit, and the features that were compiled in; of libraries loaded at run time whether they are
 * found.
 */
void cmd_version(void);

/* Prints "tollgate: WHAT [ID]" and, when there is one, "  remedy: REMEDY" on stderr. */
void cmd_fail(const struct diag *diag);

/* The same without a remedy: "tollgate: warning: WHAT [ID]". */
void cmd_warn(const struct diag *warning);

/* The warning that --no-sandbox was given. */
void cmd_warn_unconfined(void);

/* Arguments that are left after the options are a mistake: -EINVAL, else 0. */
int cmd_no_operands(int argc, char **argv, struct diag *diag);

/*
 * Puts /dev/null where standard input, output or error are closed: the next file opened would take
 * their place, and what is printed would end up in it. -errno.
 */
int cmd_stdio_open(struct diag *diag);

/* After the last printf(): -errno when what was printed did not reach standard output. */
int cmd_stdout_close(struct diag *diag);

/* Writes to a new or emptied file, or to standard output when path is "-". -errno. */
int cmd_write(const char *path, const void *buf, size_t len, struct diag *diag);

#endif
