/* `tollgate completion`: completions for a shell, made from the tables that the options are read by. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "cmd/cmds.h"
#include "vm_end.h"

enum shell { SHELL_BASH, SHELL_ZSH, SHELL_FISH };

static const struct option_value shells[] = {
	{"bash", SHELL_BASH},
	{"zsh", SHELL_ZSH},
	{"fish", SHELL_FISH},
	{0},
};

static const char *shell_name(unsigned i)
{
	return i < ARRAY_SIZE(shells) ? shells[i].name : NULL;
}

static const struct option_group *const groups[] = {&option_help_group, NULL};
const struct option_table cmd_completion_table = {
	.command = "completion",
	.about = "usage: tollgate completion bash|zsh|fish\n"
		 "\n"
		 "Prints completions for that shell. A package installs them; by hand:\n"
		 "\n"
		 "  bash  eval \"$(tollgate completion bash)\" in ~/.bashrc\n"
		 "  zsh   tollgate completion zsh >DIR/_tollgate, where DIR is in $fpath\n"
		 "  fish  tollgate completion fish >~/.config/fish/completions/tollgate.fish\n",
	.group = groups,
	.operands = "SHELL",
	.operand = shell_name,
};

/* Completions of a value: files, directories, names from a list, or nothing. */
enum value_kind { VALUE_NONE, VALUE_FILE, VALUE_DIR, VALUE_LISTED };

static enum value_kind kind_of(const char *arg, bool is_listed)
{
	arg += strspn(arg, "[=");
	if (strncmp(arg, "FILE", 4) == 0 || strncmp(arg, "PATH", 4) == 0 ||
	    strncmp(arg, "KERNEL", 6) == 0)
		return VALUE_FILE;
	if (strncmp(arg, "DIR", 3) == 0)
		return VALUE_DIR;
	return is_listed ? VALUE_LISTED : VALUE_NONE;
}

/* "stdio null file:" */
static void print_values(const struct option_value *values)
{
	for (const struct option_value *name = values; name && name->name; name++)
		printf("%s%s", name == values ? "" : " ", name->name);
}

static void print_operands(const struct option_table *table)
{
	for (unsigned i = 0; table->operand && table->operand(i); i++)
		printf("%s%s", i ? " " : "", table->operand(i));
}

/* Whether something follows in the same argument, as the name of a file does after "file:". */
static bool any_goes_on(const struct option_value *values)
{
	for (; values && values->name; values++)
		if (strchr(":=", values->name[strlen(values->name) - 1]))
			return true;
	return false;
}

/* The first line of a help, for a place between single quotes; with escaped backslashes before set. */
static void print_quoted(const char *help, const char *set)
{
	for (; *help && *help != '\n'; help++) {
		if (strchr(set, *help))
			putchar('\\');
		fputs(*help == '\'' ? "'\\''" : (const char[]){*help, '\0'}, stdout);
	}
}

/* --- bash ----------------------------------------------------------------------------------------- */

static int bash_name(const struct option_group *group, const struct option_row *row, void *arg)
{
	(void)group;
	(void)arg;
	printf(" --%s", row->name);
	return 0;
}

/* A case for each option that has a value: "run --boot") and what completes it. */
static int bash_value(const struct option_group *group, const struct option_row *row, void *arg)
{
	static const char *const how[] = {[VALUE_NONE] = "none",
					  [VALUE_FILE] = "file",
					  [VALUE_DIR] = "dir",
					  [VALUE_LISTED] = "none"};
	const struct option_table *table = arg;

	(void)group;
	if (!row->arg)
		return 0;
	printf("\t'%s --%s'", table->command, row->name);
	if (row->opt <= UCHAR_MAX)
		printf(" | '%s -%c'", table->command, row->opt);
	printf(") kind='%s' words='", how[kind_of(row->arg, row->values)]);
	print_values(row->values);
	printf("' attached=%d ;;\n", option_row_has_arg(row) == optional_argument);
	return 0;
}

static const char bash_head[] =
	"# bash completion for tollgate, made by: tollgate completion bash\n"
	"\n"
	"# _tollgate_value COMMAND OPTION: sets kind (none, file, dir), words, and attached, which "
	"is 1 when a\n"
	"# value can only follow a '='. Fails for an option without a value.\n"
	"_tollgate_value() {\n"
	"\tcase \"$1 $2\" in\n";

static const char bash_tail[] =
	"_tollgate() {\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} "
	"command=${COMP_WORDS[1]-}\n"
	"\tlocal option='' equals='' operands=0 kind=none words='' attached=0 i\n"
	"\tCOMPREPLY=()\n"
	"\tif ((COMP_CWORD == 1)); then\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -W \"$_tollgate_commands --help --version\" -- "
	"\"$cur\")\n"
	"\t\treturn\n"
	"\tfi\n"
	"\t# '=' and ':' are words of their own for bash.\n"
	"\tcase $cur in\n"
	"\t= | :) prev=$cur cur='' i=$((COMP_CWORD - 1)) ;;\n"
	"\t*) i=$((COMP_CWORD - 2)) ;;\n"
	"\tesac\n"
	"\tcase $prev in\n"
	"\t=) option=${COMP_WORDS[i]} equals=1 ;;\n"
	"\t:) option=: ;;\n"
	"\t-*) option=$prev ;;\n"
	"\tesac\n"
	"\tif [[ $option == : || ($equals && $option != -*) ]]; then\n"
	"\t\tkind='file' # as in file:NAME, pty,link=NAME\n"
	"\telif ! _tollgate_value \"$command\" \"$option\" || [[ $attached == 1 && ! $equals ]]; "
	"then\n"
	"\t\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
	"\t\t\t[[ ${COMP_WORDS[i]} == -* ]] || operands=$((operands + 1))\n"
	"\t\tdone\n"
	"\t\tkind=none words=''\n"
	"\t\t_tollgate_operand \"$command\" \"$operands\"\n"
	"\t\t[[ $cur != -* ]] || words=$(_tollgate_options \"$command\") kind=none\n"
	"\tfi\n"
	"\tmapfile -t COMPREPLY < <(\n"
	"\t\t[[ ! $words ]] || compgen -W \"$words\" -- \"$cur\"\n"
	"\t\t[[ $kind != file ]] || compgen -f -- \"$cur\"\n"
	"\t\t[[ $kind != dir ]] || compgen -d -- \"$cur\"\n"
	"\t)\n"
	"\t[[ $kind == none ]] || compopt -o filenames 2>/dev/null\n"
	"\t[[ ${COMPREPLY[0]-} != *[:=] ]] || compopt -o nospace 2>/dev/null\n"
	"}\n"
	"complete -F _tollgate tollgate\n";

/* "file" without names for a kernel; names by position for a command that takes them after a path. */
static void bash_operand(const struct option_table *table)
{
	const bool file = table->operands && kind_of(table->operands, false) == VALUE_FILE;

	if (file)
		printf("\t'%s %s) kind='file' ;;\n", table->command, table->operand ? "0'" : "'*");
	if (table->operand) {
		printf("\t'%s %d') words='", table->command, file);
		print_operands(table);
		puts("' ;;");
	}
}

static void print_bash(void)
{
	fputs(bash_head, stdout);
	for (const struct command *c = commands; c->name; c++)
		option_table_each(c->table, bash_value, (void *)(uintptr_t)c->table);
	fputs("\t*) return 1 ;;\n\tesac\n}\n\n_tollgate_options() {\n\tcase $1 in\n", stdout);
	for (const struct command *c = commands; c->name; c++) {
		printf("\t%s) echo", c->name);
		option_table_each(c->table, bash_name, NULL);
		puts(" ;;");
	}
	fputs("\tesac\n}\n\n# _tollgate_operand COMMAND N: what completes the operand after N "
	      "others.\n"
	      "_tollgate_operand() {\n\tcase \"$1 $2\" in\n",
	      stdout);
	for (const struct command *c = commands; c->name; c++)
		bash_operand(c->table);
	fputs("\tesac\n}\n\n_tollgate_commands='", stdout);
	for (const struct command *c = commands; c->name; c++)
		printf("%s%s", c == commands ? "" : " ", c->name);
	fputs("'\n", stdout);
	fputs(bash_tail, stdout);
}

/* --- zsh ------------------------------------------------------------------------------------------ */

/* The action of _arguments for a value: files, names, or names that another name follows. */
static void zsh_action(enum value_kind kind, const struct option_value *values)
{
	static const char *const files[] = {[VALUE_FILE] = "_files", [VALUE_DIR] = "_files -/"};
	const bool goes_on = any_goes_on(values);

	if (kind == VALUE_NONE) {
		putchar(' ');
		return;
	}
	if (kind == VALUE_LISTED && !goes_on) {
		putchar('(');
		print_values(values);
		putchar(')');
		return;
	}
	putchar('{');
	if (kind != VALUE_LISTED)
		fputs(files[kind], stdout);
	else
		fputs("compset -P \"*[\\:=]\" && _files", stdout);
	if (values) {
		printf("%s compadd%s --", kind == VALUE_LISTED ? " ||" : ";",
		       goes_on ? " -S \"\"" : "");
		for (; values->name; values++) {
			putchar(' ');
			print_quoted(values->name, ":"); /* which ends the action */
		}
	}
	putchar('}');
}

/* '*--boot=[help]:MODE:(auto pvh)' */
static void zsh_spec(const struct option_row *row, const char *dashes, const char *name)
{
	printf(" \\\n\t\t\t'*%s%s", dashes, name);
	if (row->arg)
		fputs(row->arg[0] == '[' ? "=-" : dashes[1] ? "=" : "+", stdout);
	putchar('[');
	print_quoted(row->help, "[]\\");
	putchar(']');
	if (row->arg) {
		fputs(row->arg[0] == '[' ? "::" : ":", stdout);
		const char *arg = row->arg + strspn(row->arg, "[=");
		const int len = (int)strspn(arg, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

		printf("%.*s", len ? len : 5, len ? arg : "value");
		putchar(':');
		zsh_action(kind_of(row->arg, row->values), row->values);
	}
	putchar('\'');
}

static int zsh_row(const struct option_group *group, const struct option_row *row, void *arg)
{
	(void)group;
	(void)arg;
	if (row->opt <= UCHAR_MAX && option_row_has_arg(row) == required_argument)
		zsh_spec(row, "-", (const char[]){(char)row->opt, '\0'});
	zsh_spec(row, "--", row->name);
	return 0;
}

static void zsh_operands(const struct option_table *table)
{
	const bool file = table->operands && kind_of(table->operands, false) == VALUE_FILE;

	if (file)
		printf(" \\\n\t\t\t'%s:%s:_files'", table->operand ? "1" : "*", table->operands);
	if (table->operand) {
		printf(" \\\n\t\t\t'%d:word:(", file + 1);
		print_operands(table);
		fputs(")'", stdout);
	}
}

static void print_zsh(void)
{
	fputs("#compdef tollgate\n"
	      "# zsh completion for tollgate, made by: tollgate completion zsh\n"
	      "\n"
	      "_tollgate() {\n"
	      "\tlocal curcontext=$curcontext state line command=$words[2]\n"
	      "\ttypeset -A opt_args\n"
	      "\tlocal -a commands=(\n",
	      stdout);
	for (const struct command *c = commands; c->name; c++) {
		printf("\t\t'%s:", c->name);
		print_quoted(c->help, ":\\");
		puts("'");
	}
	fputs("\t\t'--help:list the commands'\n"
	      "\t\t'--version:version and features'\n"
	      "\t)\n"
	      "\tif ((CURRENT == 2)); then\n"
	      "\t\t_describe -t commands 'command' commands\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tshift words\n"
	      "\t((CURRENT--))\n"
	      "\tcase $command in\n",
	      stdout);
	for (const struct command *c = commands; c->name; c++) {
		printf("\t%s)\n\t\t_arguments -S :", c->name);
		option_table_each(c->table, zsh_row, NULL);
		zsh_operands(c->table);
		puts("\n\t\t;;");
	}
	fputs("\tesac\n}\n\n_tollgate \"$@\"\n", stdout);
}

/* --- fish ----------------------------------------------------------------------------------------- */

static int fish_row(const struct option_group *group, const struct option_row *row, void *arg)
{
	const struct option_table *table = arg;
	const enum value_kind kind = row->arg ? kind_of(row->arg, row->values) : VALUE_NONE;

	(void)group;
	printf("complete -c tollgate -n '__fish_seen_subcommand_from %s' -l %s", table->command,
	       row->name);
	if (row->opt <= UCHAR_MAX)
		printf(" -s %c", row->opt);
	if (option_row_has_arg(row) == required_argument)
		fputs(kind == VALUE_FILE || any_goes_on(row->values) ? " -rF" : " -x", stdout);
	if (kind == VALUE_DIR)
		fputs(" -a '(__fish_complete_directories)'", stdout);
	if (row->values) {
		fputs(" -a '", stdout);
		print_values(row->values);
		putchar('\'');
	}
	fputs(" -d '", stdout);
	print_quoted(row->help, "\\");
	puts("'");
	return 0;
}

static void print_fish(void)
{
	fputs("# fish completion for tollgate, made by: tollgate completion fish\n"
	      "\n"
	      "complete -c tollgate -f\n"
	      "complete -c tollgate -n __fish_use_subcommand -l help -d 'list the commands'\n"
	      "complete -c tollgate -n __fish_use_subcommand -l version -d 'version and "
	      "features'\n",
	      stdout);
	for (const struct command *c = commands; c->name; c++) {
		printf("complete -c tollgate -n __fish_use_subcommand -a %s -d '", c->name);
		print_quoted(c->help, "\\");
		puts("'");
		option_table_each(c->table, fish_row, (void *)(uintptr_t)c->table);
		if (c->table->operands && kind_of(c->table->operands, false) == VALUE_FILE)
			printf("complete -c tollgate -n '__fish_seen_subcommand_from %s' -F\n",
			       c->name);
		if (c->table->operand) {
			printf("complete -c tollgate -n '__fish_seen_subcommand_from %s' -a '",
			       c->name);
			print_operands(c->table);
			puts("'");
		}
	}
}

static int completion_parse(int argc, char **argv, int *ret_shell, bool *ret_help,
			    struct diag *diag)
{
	struct option_reader reader;
	const char *arg;
	int opt, r;

	option_reader_init(&reader, &cmd_completion_table, argc, argv, false);
	r = option_reader_next(&reader, &opt, &arg, diag);
	if (r != 0) {
		*ret_help = r > 0;
		return r < 0 ? r : 0;
	}
	if (argc - optind != 1) {
		diag_set(diag, -EINVAL, "completion-shell",
			 "completion needs the name of one shell");
		diag_remedy(diag, "bash, zsh or fish");
		return -EINVAL;
	}
	return option_choice("shell", argv[optind], shells, ret_shell, diag);
}

int cmd_completion(int argc, char **argv)
{
	struct diag diag = {0};
	bool help = false;
	int shell = SHELL_BASH;

	if (completion_parse(argc, argv, &shell, &help, &diag) < 0) {
		cmd_fail(&diag);
		return EXIT_SETUP;
	}
	if (help)
		option_table_print(&cmd_completion_table, true, stdout);
	else if (shell == SHELL_BASH)
		print_bash();
	else if (shell == SHELL_ZSH)
		print_zsh();
	else
		print_fish();
	return EXIT_OK;
}
