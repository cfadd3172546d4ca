/*
 * The manual page and the tables that the options are read by: each option of each command is in a section
 * of that command, with its short form and its argument, and the page has no other. Likewise the commands
 * of the control socket.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/checked.h"
#include "base/macros.h"
#include "cmd/cmds.h"
#include "control/commands.h"

enum { ENTRIES_MAX = 256, TEXT_BYTES = 160 };

/* Sections with an entry for each option, and the commands that have all of these. */
struct section {
	const char *title;
	const char *command[12];
};
static const struct section sections[] = {
	{"OPTIONS OF EVERY COMMAND",
	 {"run", "smoke", "control", "top", "doctor", "hammer", "bench", "machine", "completion",
	  "exec", "cp"}},
	{"OPTIONS OF EVERY MACHINE", {"run", "smoke", "hammer", "machine"}},
	{"OPTIONS OF RUN, SMOKE AND MACHINE", {"run", "smoke", "machine"}},
	{"OPTIONS OF RUN AND SMOKE", {"run", "smoke"}},
	{"RUNNING A COMMAND", {"run", "smoke"}},
	{"OPTIONS OF RUN", {"run"}},
	{"OPTIONS OF SMOKE", {"smoke"}},
	{"OPTIONS OF CONTROL", {"control"}},
	{"OPTIONS OF EXEC", {"exec"}},
	{"OPTIONS OF CP", {"cp"}},
	{"OPTIONS OF EXEC AND CP", {"exec", "cp"}},
	{"OPTIONS OF TOP", {"top"}},
	{"OPTIONS OF DOCTOR", {"doctor"}},
	{"OPTIONS OF HAMMER", {"hammer"}},
	{"OPTIONS OF BENCH", {"bench"}},
	{"OPTIONS OF MACHINE", {"machine"}},
};

/* The line after a .TP, as it is printed: "-m, --mem SIZE". */
struct entry {
	const struct section *section; /* NULL: of none of these */
	bool control;                  /* of the section with the control socket's commands */
	char text[TEXT_BYTES];
};
static struct entry entry[ENTRIES_MAX];
static unsigned nr_entries;

/*
 * Reading the page.
 */

/* A line of a font macro without what troff takes away: the macro, quotes, fonts, blanks between arguments. */
static void plain(const char *line, char ret[TEXT_BYTES])
{
	bool quoted = false, alternates = line[0] == '.' && line[2] != ' ';
	size_t n = 0;

	if (line[0] == '.')
		line += strcspn(line, " ") + 1;
	for (; *line && *line != '\n' && n < TEXT_BYTES - 1; line++) {
		if (strncmp(line, "\\f", 2) == 0)
			line += 2;
		else if (*line == '"')
			quoted = !quoted;
		else if (*line == '\\' || (*line == ' ' && alternates && !quoted))
			continue;
		else
			ret[n++] = *line;
	}
	ret[n] = '\0';
}

static const struct section *find_section(const char *title)
{
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (strcmp(sections[i].title, title) == 0)
			return &sections[i];
	if (strncmp(title, "OPTIONS OF ", 11) == 0)
		fail_msg("section '%s' is of no command", title);
	return NULL;
}

static void add_entry(const char *title, const char *line)
{
	assert_true(nr_entries < ENTRIES_MAX);
	entry[nr_entries].section = find_section(title);
	entry[nr_entries].control = strcmp(title, "CONTROLLING A RUNNING VM") == 0;
	plain(line, entry[nr_entries++].text);
}

static int read_page(void **state)
{
	FILE *f = fopen(getenv("MANUAL"), "r");
	char line[1024], title[64] = "";
	bool tagged = false; /* the line before was a .TP */
	unsigned depth = 0;  /* of .RS: lists inside an entry */

	(void)state;
	assert_non_null(f);
	nr_entries = 0;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, ".SH ", 4) == 0)
			snprintf(title, sizeof(title), "%.63s", line + 4);
		if (tagged && depth == 0)
			add_entry(title, line);
		tagged = strcmp(line, ".TP") == 0;
		depth += strcmp(line, ".RS") == 0;
		depth -= strcmp(line, ".RE") == 0;
	}
	fclose(f);
	return 0;
}

/*
 * An entry's text.
 */

/* Takes the next of "-m, --mem SIZE"; its length, 0 when the argument or the end comes. */
static size_t next_name(const char **at)
{
	const char *name = *at;
	const size_t len = name[0] == '-' ? strcspn(name, ",[ ") : 0;

	*at += len;
	if (len && strncmp(*at, ", -", 3) == 0)
		*at += 2;
	return len;
}

static bool is_name(const char *name, size_t len, const char *dashes, const char *option)
{
	return len == strlen(dashes) + strlen(option) &&
	       strncmp(name, dashes, strlen(dashes)) == 0 &&
	       strncmp(name + strlen(dashes), option, strlen(option)) == 0;
}

/* Whether an entry names the option; then *ret_letter says whether in its short form, too. */
static bool names(const char *text, const struct option_row *row, bool *ret_letter,
		  const char **ret_arg)
{
	const char letter[] = {row->opt < 256 ? (char)row->opt : '\0', '\0'};
	bool found = false;

	*ret_letter = false;
	for (;;) {
		const char *name = text;
		const size_t len = next_name(&text);

		if (len == 0)
			break;
		found |= is_name(name, len, "--", row->name);
		*ret_letter |= letter[0] && is_name(name, len, "-", letter);
	}
	*ret_arg = text + (*text == ' ');
	return found;
}

/* As in the table; or spelled out, one of the values in its list. */
static bool is_arg(const struct option_row *row, const char *arg)
{
	if (strcmp(arg, row->arg ? row->arg : "") == 0)
		return true;
	for (const struct option_value *value = row->values; value && value->name; value++)
		if (strncmp(arg, value->name, strlen(value->name)) == 0)
			return true;
	return false;
}

/*
 * The tests.
 */

static bool is_of(const struct section *section, const char *command)
{
	for (size_t i = 0; section && i < ARRAY_SIZE(section->command); i++)
		if (section->command[i] && strcmp(section->command[i], command) == 0)
			return true;
	return false;
}

static int check_row(const struct option_group *group, const struct option_row *row, void *arg)
{
	const char *command = arg;
	unsigned found = 0;

	(void)group;
	for (unsigned i = 0; i < nr_entries; i++) {
		const char *takes;
		bool letter;

		if (!is_of(entry[i].section, command) ||
		    !names(entry[i].text, row, &letter, &takes))
			continue;
		found++;
		if (letter != (row->opt < 256))
			fail_msg("%s: '%s' and the short form", command, entry[i].text);
		if (!is_arg(row, takes))
			fail_msg("%s: '%s' and the argument '%s'", command, entry[i].text,
				 row->arg ? row->arg : "");
	}
	if (found == 0)
		fail_msg("%s --%s is not in the manual page", command, row->name);
	return 0;
}

static void each_option_is_in_the_page(void **state)
{
	(void)state;
	for (const struct command *c = commands; c->name; c++)
		option_table_each(c->table, check_row, (void *)(uintptr_t)c->name);
}

static const struct option_table *table_of(const char *command)
{
	for (const struct command *c = commands; c->name; c++)
		if (strcmp(c->name, command) == 0)
			return c->table;
	fail_msg("no command '%s'", command);
	return NULL;
}

static void check_entry(const struct entry *e, const char *command)
{
	const char *at = e->text;
	unsigned found = 0;

	for (;;) {
		char name[64];
		const char *from = at;
		const size_t len = next_name(&at);

		if (len == 0)
			break;
		if (strncmp(from, "--", 2) != 0)
			continue;
		found++;
		snprintf(name, sizeof(name), "%.*s", (int)len - 2, from + 2);
		if (!option_table_find(table_of(command), name))
			fail_msg("the manual page has %s --%s", command, name);
	}
	if (found == 0)
		fail_msg("'%s' in '%s' names no option", e->text, e->section->title);
}

static void each_option_of_the_page_exists(void **state)
{
	(void)state;
	for (unsigned i = 0; i < nr_entries; i++)
		for (size_t k = 0; entry[i].section && k < ARRAY_SIZE(entry[i].section->command);
		     k++)
			if (entry[i].section->command[k])
				check_entry(&entry[i], entry[i].section->command[k]);
}

static bool begins_with(const char *text, const char *name)
{
	const size_t len = strcspn(text, " [");

	return strlen(name) == len && strncmp(text, name, len) == 0;
}

static void the_page_has_the_commands_of_the_socket(void **state)
{
	const char *name;

	(void)state;
	for (unsigned c = 0; (name = vm_control_command(c)); c++) {
		unsigned found = 0;

		for (unsigned i = 0; i < nr_entries; i++)
			found += entry[i].control && begins_with(entry[i].text, name);
		if (found != 1)
			fail_msg("control %s is %u times in the manual page", name, found);
	}
	for (unsigned i = 0; i < nr_entries; i++) {
		bool exists = !entry[i].control;

		for (unsigned c = 0; !exists && (name = vm_control_command(c)); c++)
			exists = begins_with(entry[i].text, name);
		if (!exists)
			fail_msg("the manual page has the command '%s'", entry[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_option_is_in_the_page),
		cmocka_unit_test(each_option_of_the_page_exists),
		cmocka_unit_test(the_page_has_the_commands_of_the_socket),
	};

	return cmocka_run_group_tests(tests, read_page, NULL);
}
