/* Options by groups: who takes one, and the help of groups that go on with the title before them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/option_table.h"

static int disk_takes(void *target, const char *arg, struct diag *diag)
{
	(void)diag;
	*(const char **)target = arg;
	return arg ? 0 : -EINVAL;
}

enum { OPT_DISK = 0x100, OPT_NET, OPT_RNG, OPT_KIND };
static const struct option_row disk_rows[] = {
	{"disk", OPT_DISK, "FILE", .help = "a disk", .common = true, .take = disk_takes},
	{0},
};
static const struct option_row net_rows[] = {
	{"net", OPT_NET, "HOW", .help = "a network", .common = true},
	{0},
};
static const struct option_row rng_rows[] = {
	{"rng", OPT_RNG, NULL, .help = "an entropy device"},
	{0},
};
static const struct option_value kinds[] = {{"plain", 0}, {"pc", 1}, {0}};
static const struct option_row kind_rows[] = {
	{"kind", OPT_KIND, "[=KIND]", .help = "a kind", kinds, .spaced = true},
	{0},
};
static const struct option_group disk = {"Devices", disk_rows}, net = {"Devices", net_rows},
				 rng = {"Devices", rng_rows}, other = {"Others", net_rows};

static void a_row_takes_its_option(void **state)
{
	const char *taken = NULL;

	(void)state;
	assert_int_equal(option_group_take(&disk, OPT_DISK, &taken, "x", NULL), 0);
	assert_string_equal(taken, "x");
	assert_int_equal(option_group_take(&disk, OPT_DISK, &taken, NULL, NULL), -EINVAL);
}

static void what_no_row_takes_is_left_to_the_command(void **state)
{
	(void)state;
	assert_int_equal(option_group_take(&disk, OPT_NET, NULL, "x", NULL), 1);
	assert_int_equal(option_group_take(&net, OPT_NET, NULL, "x", NULL), 1);
}

static void expect_help(const struct option_group *const *groups, bool all, const char *want)
{
	const struct option_table table = {.command = "test", .about = "", .group = groups};
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	option_table_print(&table, all, f);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(text, want);
	free(text);
}

static void groups_of_one_title_are_printed_as_one(void **state)
{
	static const struct option_group *const devices[] = {&disk, &rng, &net, NULL};
	static const struct option_group *const both[] = {&disk, &other, &rng, NULL};

	(void)state;
	expect_help(devices, true,
		    "\nDevices:\n"
		    "      --disk FILE         a disk\n"
		    "      --rng               an entropy device\n"
		    "      --net HOW           a network\n");
	expect_help(both, true,
		    "\nDevices:\n"
		    "      --disk FILE         a disk\n"
		    "\nOthers:\n"
		    "      --net HOW           a network\n"
		    "\nDevices:\n"
		    "      --rng               an entropy device\n");
}

/* The value that a command line hands the option, and the operand that is left. */
static void expect_kind(char *const *words, int nr, const char *want, const char *operand)
{
	static const struct option_group kind = {"Kinds", kind_rows};
	static const struct option_group *const groups[] = {&kind, NULL};
	static const struct option_table table = {.command = "test", .about = "", .group = groups};
	struct option_reader reader;
	char *argv[8] = {0};
	const char *arg = NULL;
	int opt = 0;

	for (int i = 0; i < nr; i++)
		argv[i] = words[i];
	option_reader_init(&reader, &table, nr, argv, false);
	assert_int_equal(option_reader_next(&reader, &opt, &arg, NULL), 1);
	assert_int_equal(opt, OPT_KIND);
	if (want)
		assert_string_equal(arg, want);
	else
		assert_null(arg);
	assert_int_equal(option_reader_next(&reader, &opt, &arg, NULL), 0);
	assert_int_equal(optind, operand ? nr - 1 : nr);
	if (operand)
		assert_string_equal(argv[optind], operand);
}

static void a_listed_value_may_follow_a_blank(void **state)
{
	static char test[] = "test", kind[] = "--kind", attached[] = "--kind=pc", pc[] = "pc",
		    file[] = "./pc", dashes[] = "--";

	(void)state;
	expect_kind((char *const[]){test, attached, pc}, 3, "pc", "pc");
	expect_kind((char *const[]){test, kind, pc, file}, 4, "pc", "./pc");
	expect_kind((char *const[]){test, file, kind, pc}, 4, "pc", "./pc");
	expect_kind((char *const[]){test, kind, file}, 3, NULL, "./pc");
	expect_kind((char *const[]){test, kind, dashes, pc}, 4, NULL, "pc");
	expect_kind((char *const[]){test, kind}, 2, NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_takes_its_option),
		cmocka_unit_test(what_no_row_takes_is_left_to_the_command),
		cmocka_unit_test(groups_of_one_title_are_printed_as_one),
		cmocka_unit_test(a_listed_value_may_follow_a_blank),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
