#include "base/option_table.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/macros.h"
#include "base/suggest.h"

/* Names that other programs have for it: the message names ours. */
static const struct {
	const char *theirs, *ours;
} aliases[] = {
	{"memory", "mem"},       {"ram", "mem"},       {"smp", "cpus"},
	{"vcpus", "cpus"},       {"drive", "disk"},    {"hda", "disk"},
	{"image", "disk"},       {"netdev", "net"},    {"nic", "net"},
	{"network", "net"},      {"params", "append"}, {"cmdline", "append"},
	{"initramfs", "initrd"}, {"tty", "serial"},    {"monitor", "control"},
	{"command", "run"},      {"xml", "junit"},     {"output", "log-dir"},
};

static const struct option_value help_values[] = {{"all", OPTION_HELP_ALL}, {0}};
static const struct option_row help_row[] = {
	{"help", OPTION_HELP, "[=all]", .help = "this text; all: every option", help_values, true},
	{0},
};
const struct option_group option_help_group = {NULL, help_row};

int option_row_has_arg(const struct option_row *row)
{
	if (!row->arg)
		return no_argument;
	return row->arg[0] == '[' ? optional_argument : required_argument;
}

int option_group_take(const struct option_group *group, int opt, void *target, const char *arg,
		      struct diag *diag)
{
	for (const struct option_row *row = group->row; row->name; row++)
		if (row->opt == opt && row->take)
			return row->take(target, arg, diag);
	return 1;
}

int option_table_each(const struct option_table *table,
		      int (*visit)(const struct option_group *group, const struct option_row *row,
				   void *arg),
		      void *arg)
{
	int r = 0;

	for (const struct option_group *const *group = table->group; r == 0 && *group; group++)
		for (const struct option_row *row = (*group)->row; r == 0 && row->name; row++)
			r = visit(*group, row, arg);
	return r;
}

struct row_by_name {
	const char *name;
	const struct option_row *found;
};

struct row_by_opt {
	int opt;
	const struct option_row *found;
};

static int has_name(const struct option_group *group, const struct option_row *row, void *arg)
{
	struct row_by_name *by = arg;

	(void)group;
	if (strcmp(row->name, by->name) != 0)
		return 0;
	by->found = row;
	return 1;
}

const struct option_row *option_table_find(const struct option_table *table, const char *name)
{
	struct row_by_name by = {.name = name};

	option_table_each(table, has_name, &by);
	return by.found;
}

/* "  -m, --mem SIZE", then the help from column 26 on; on the next line when the name reaches that far. */
static void print_row(const struct option_row *row, bool all, FILE *out)
{
	const char *help = row->help;
	int column = row->opt <= UCHAR_MAX ? fprintf(out, "  -%c, --%s", row->opt, row->name)
					   : fprintf(out, "      --%s", row->name);

	if (row->arg)
		column += fprintf(out, "%s%s", row->arg[0] == '[' ? "" : " ", row->arg);
	for (bool first = true; help; first = false) {
		const char *end = strchr(help, '\n');
		const int len = end ? (int)(end - help) : (int)strlen(help);

		if (first && column < 26)
			fprintf(out, "%*s%.*s\n", 26 - column, "", len, help);
		else
			fprintf(out, "%s%26s%.*s\n", first ? "\n" : "", "", len, help);
		help = end && all ? end + 1 : NULL;
	}
}

void option_table_print(const struct option_table *table, bool all, FILE *out)
{
	const char *title = NULL; /* of the group that was printed last */
	bool some_left_out = false;

	fputs(table->about, out);
	for (const struct option_group *const *group = table->group; *group; group++) {
		const char *own = (*group)->title;
		bool titled = own && title && strcmp(own, title) == 0;

		for (const struct option_row *row = (*group)->row; row->name; row++) {
			some_left_out |= !row->common || strchr(row->help, '\n');
			if (!all && !row->common)
				continue;
			if (!titled)
				fprintf(out, "\n%s%s", own ? own : "", own ? ":\n" : "");
			titled = true;
			title = own;
			print_row(row, all, out);
		}
	}
	if (!all && some_left_out)
		fprintf(out,
			"\n`tollgate %s --help=all` and the manual page tollgate(1) have more.\n",
			table->command);
	if (table->after)
		fprintf(out, "\n%s", table->after);
}

static int reader_add_row(const struct option_group *group, const struct option_row *row, void *arg)
{
	struct option_reader *reader = arg;
	size_t n = 0;

	(void)group;
	while (reader->long_option[n].name)
		n++;
	assert(n < OPTION_ROWS_MAX);
	reader->long_option[n] = (struct option){
		.name = row->name, .has_arg = option_row_has_arg(row), .val = row->opt};
	if (row->opt <= UCHAR_MAX) {
		reader->short_option[reader->short_len++] = (char)row->opt;
		if (option_row_has_arg(row) == required_argument)
			reader->short_option[reader->short_len++] = ':';
	}
	return 0;
}

void option_reader_init(struct option_reader *reader, const struct option_table *table, int argc,
			char **argv, bool stop_at_operand)
{
	*reader = (struct option_reader){.table = table, .argc = argc, .argv = argv};
	if (stop_at_operand)
		reader->short_option[reader->short_len++] = '+';
	reader->short_option[reader->short_len++] = ':';
	option_table_each(table, reader_add_row, reader);
	opterr = 0;
	optind = 0; /* glibc: start afresh */
}

/* A name as it was typed, and what it may have meant. */
struct guess {
	const char *typed;
	size_t len;
	struct suggest near;
	const char *prefixed[2]; /* the first names that begin with it */
	unsigned nr_prefixed;
};

static int look_at(const struct option_group *group, const struct option_row *row, void *arg)
{
	struct guess *guess = arg;

	(void)group;
	suggest_offer(&guess->near, row->name);
	if (strncmp(row->name, guess->typed, guess->len) != 0)
		return 0;
	if (guess->nr_prefixed < ARRAY_SIZE(guess->prefixed))
		guess->prefixed[guess->nr_prefixed] = row->name;
	guess->nr_prefixed++;
	return 0;
}

static const char *alias_of(const struct option_table *table, const char *typed, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
		if (strlen(aliases[i].theirs) == len &&
		    memcmp(aliases[i].theirs, typed, len) == 0 &&
		    option_table_find(table, aliases[i].ours))
			return aliases[i].ours;
	return NULL;
}

static struct guess guess_at(const struct option_table *table, const char *typed, size_t len)
{
	struct guess guess = {.typed = typed, .len = len};
	const char *alias = alias_of(table, typed, len);

	suggest_init(&guess.near, typed, len);
	option_table_each(table, look_at, &guess);
	if (alias)
		guess.near.best = alias;
	return guess;
}

static void add_remedy(const struct option_table *table, const struct guess *guess,
		       struct diag *diag)
{
	const char *command = table->command;

	if (table->operands && guess->len == 6 && memcmp(guess->typed, "kernel", 6) == 0)
		diag_remedy(diag, "the kernel needs no option: tollgate %s %s", command,
			    table->operands);
	else if (guess->nr_prefixed == 2)
		diag_remedy(diag, "--%s or --%s", guess->prefixed[0], guess->prefixed[1]);
	else if (guess->near.best)
		diag_remedy(diag, "did you mean --%s? 'tollgate %s --help=all' lists the options",
			    guess->near.best, command);
	else
		diag_remedy(diag, "'tollgate %s --help=all' lists the options", command);
}

/* The length of a name that an argument has after its dashes: up to a '='. */
static size_t name_len(const char *name)
{
	return strcspn(name, "=");
}

/* c is what getopt_long() returned: ':' for a value that is missing. */
static int bad_long(const struct option_reader *reader, const char *arg, int c, struct diag *diag)
{
	const size_t len = name_len(arg + 2);
	const int typed_len = (int)len + 2;
	struct guess guess = guess_at(reader->table, arg + 2, len);

	if (c == ':' || optopt || !len)
		guess = (struct guess){.typed = ""}; /* the name is right, or there is none */
	if (c == ':')
		diag_set(diag, -EINVAL, "option-value-missing", "option '%.*s' needs a value",
			 typed_len, arg);
	else if (optopt)
		diag_set(diag, -EINVAL, "option-value-unwanted", "option '%.*s' takes no value",
			 typed_len, arg);
	else if (guess.nr_prefixed > 1)
		diag_set(diag, -EINVAL, "option-ambiguous", "option '%.*s' is ambiguous", typed_len,
			 arg);
	else
		diag_set(diag, -EINVAL, "option-unknown", "option '%.*s' is unknown", typed_len,
			 arg);
	add_remedy(reader->table, &guess, diag);
	return -EINVAL;
}

/*
 * The argument that the letter came from: within a cluster of letters optind still counts the arguments
 * before it.
 */
static const char *cluster_of(const struct option_reader *reader, int letter)
{
	for (int i = optind; i >= optind - 1; i--) {
		const char *arg = i < reader->argc && i > 0 ? reader->argv[i] : NULL;

		if (arg && arg[0] == '-' && arg[1] != '-' && strchr(arg + 1, letter))
			return arg;
	}
	return NULL;
}

/* Other programs have names of several letters after one dash. */
static int bad_short(const struct option_reader *reader, int letter, int c, struct diag *diag)
{
	const char *cluster = cluster_of(reader, letter);
	struct guess guess = {.typed = ""};

	if (cluster && cluster[2])
		guess = guess_at(reader->table, cluster + 1, name_len(cluster + 1));
	if (guess.len && c != ':' &&
	    (guess.near.best || (guess.len == 6 && memcmp(guess.typed, "kernel", 6) == 0)))
		diag_set(diag, -EINVAL, "option-unknown", "option '-%.*s' is unknown",
			 (int)guess.len, guess.typed);
	else if (c == ':')
		diag_set(diag, -EINVAL, "option-value-missing", "option '-%c' needs a value",
			 letter);
	else
		diag_set(diag, -EINVAL, "option-unknown", "option '-%c' is unknown", letter);
	guess.nr_prefixed = 0;
	add_remedy(reader->table, &guess, diag);
	return -EINVAL;
}

/*
 * Whether it was a long option that getopt_long() refused. It leaves optopt 0 for one that it does
 * not know.
 */
static bool refused_long(const char *arg, int c)
{
	if (c == ':')
		return strncmp(arg, "--", 2) == 0;
	return optopt == 0 || optopt > UCHAR_MAX;
}

static int reader_refused(const struct option_reader *reader, int c, struct diag *diag)
{
	const char *arg = reader->argv[optind - 1];

	return refused_long(arg, c) ? bad_long(reader, arg, c, diag)
				    : bad_short(reader, optopt, c, diag);
}

/* "-initrd FILE" is "-i nitrd" for getopt_long(), with FILE as an operand. */
static int check_one_dash(const struct option_reader *reader, int opt, struct diag *diag)
{
	const char *arg = reader->argv[optind - 1], *meant;

	if (opt > UCHAR_MAX || !optarg || optarg != arg + 2 || arg[0] != '-' || arg[1] != opt)
		return 0;
	meant = option_table_find(reader->table, arg + 1)
			? arg + 1
			: alias_of(reader->table, arg + 1, strlen(arg + 1));
	if (!meant)
		return 0;
	diag_set(diag, -EINVAL, "option-one-dash", "'%s' has one dash, and is read as '-%c %s'",
		 arg, opt, optarg);
	diag_remedy(diag, "write --%s for the option, or a space after -%c", meant, opt);
	return -EINVAL;
}

static int has_opt(const struct option_group *group, const struct option_row *row, void *arg)
{
	struct row_by_opt *by = arg;

	(void)group;
	if (row->opt != by->opt)
		return 0;
	by->found = row;
	return 1;
}

/* getopt_long() takes a value that may be left out only after '='. */
static const char *spaced_value(const struct option_reader *reader, int opt)
{
	struct row_by_opt by = {.opt = opt};
	const char *next = optind < reader->argc ? reader->argv[optind] : NULL;

	option_table_each(reader->table, has_opt, &by);
	if (!next || !by.found || !by.found->spaced)
		return NULL;
	for (const struct option_value *value = by.found->values; value->name; value++) {
		if (strcmp(value->name, next) != 0)
			continue;
		optind++;
		return next;
	}
	return NULL;
}

int option_reader_next(struct option_reader *reader, int *ret_opt, const char **ret_arg,
		       struct diag *diag)
{
	const int opt = getopt_long(reader->argc, reader->argv, reader->short_option,
				    reader->long_option, NULL);
	int help = OPTION_HELP, r;

	if (opt == -1)
		return 0;
	if (opt == '?' || opt == ':')
		return reader_refused(reader, opt, diag);
	r = check_one_dash(reader, opt, diag);
	if (r == 0 && opt == OPTION_HELP && optarg)
		r = option_choice("--help", optarg, help_values, &help, diag);
	if (r < 0)
		return r;
	*ret_opt = opt == OPTION_HELP ? help : opt;
	*ret_arg = optarg ? optarg : spaced_value(reader, opt);
	return 1;
}
