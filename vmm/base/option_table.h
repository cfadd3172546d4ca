/*
 * option_table.h - a command's options as a table, of which all else is made: what getopt_long() takes, the
 * help, suggestions for mistyped names, and shell completions.
 */
#ifndef VMM_BASE_OPTION_TABLE_H
#define VMM_BASE_OPTION_TABLE_H

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/diag.h"
#include "base/option.h"

enum {
	OPTION_ROWS_MAX = 96, /* of a command, in all of its groups */
	OPTION_HELP = 'h',
	OPTION_HELP_ALL = 0x10000, /* what option_reader_next() makes of --help=all */
};

struct option_row {
	const char *name; /* without dashes; NULL ends the rows */
	int opt; /* what getopt_long() returns; up to 255 it is a letter, and the short form */
	/*
	 * The value, as help shows it: "SIZE"; "[=FILE]" when it may be left out; NULL for a flag. One that
	 * begins with FILE, PATH, KERNEL or DIR is completed as a file or a directory.
	 */
	const char *arg;
	const char *help; /* the first line is the short help; the lines after it have more */
	const struct option_value *values; /* the values there are, or NULL; ended by a NULL name */
	bool common;                       /* in the short help */
	/* For a value that may be left out: one of values is also taken as the next argument. */
	bool spaced;
	/* Takes the value for option_group_take()'s target: 0, or -errno with diag. NULL: the command does. */
	int (*take)(void *target, const char *arg, struct diag *diag);
};

struct option_group {
	const char *title; /* that of the group before, to go on with that one in the help */
	const struct option_row *row;
};

struct option_table {
	const char *command;                     /* "run" */
	const char *about;                       /* the help before the options, from "usage:" on */
	const struct option_group *const *group; /* ended by NULL */
	const char *after;                       /* the help after the options, or NULL */
	const char *operands;                    /* "KERNEL", or NULL: it takes none */
	/*
	 * For completion: the i-th name that an operand can be, NULL after the last; the operand is the
	 * first one, or the second where the first is a file.
	 */
	const char *(*operand)(unsigned i);
};

/* Every table has this one last: --help[=all]. */
extern const struct option_group option_help_group;

/* The row of that name, or NULL. */
const struct option_row *option_table_find(const struct option_table *table, const char *name);

/*
 * Calls take of the group's row with that value: what it returned; or 1, when there is none or the row leaves it to the
 * command.
 */
int option_group_take(const struct option_group *group, int opt, void *target, const char *arg,
		      struct diag *diag);

/* Calls visit for every row, group by group, until it returns other than 0; returns that. */
int option_table_each(const struct option_table *table,
		      int (*visit)(const struct option_group *group, const struct option_row *row,
				   void *arg),
		      void *arg);

/* The help: the common options with a line each, or all of them with all that is said of them. */
void option_table_print(const struct option_table *table, bool all, FILE *out);

/* Whether a value is needed, possible or not taken: required_argument, optional_argument, no_argument. */
int option_row_has_arg(const struct option_row *row);

/* A command line while it is read; glibc's getopt_long() has one at a time. */
struct option_reader {
	const struct option_table *table;
	int argc;
	char **argv;
	struct option long_option[OPTION_ROWS_MAX + 1];
	char short_option[2 * OPTION_ROWS_MAX + 3];
	size_t short_len;
};

/* argv[0] is the command's name. */
void option_reader_init(struct option_reader *reader, const struct option_table *table, int argc,
			char **argv, bool stop_at_operand);

/*
 * The next option and its value (borrowed from argv, NULL for none): 1; 0 when only operands are left, from
 * argv[optind] on; -EINVAL with diag, whose remedy names the option that was probably meant.
 */
int option_reader_next(struct option_reader *reader, int *ret_opt, const char **ret_arg,
		       struct diag *diag);

#endif
