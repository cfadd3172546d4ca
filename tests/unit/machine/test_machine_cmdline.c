/* Unit tests of machine/cmdline.c: which defaults stay, and that the user's words come last. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "arch/x86_64/layout.h"
#include "diag_rig.h"
#include "machine.h"
#include "machine/cmdline.h"

static int render(const char *words, char **ret, struct diag *diag)
{
	const struct machine_spec spec = {
		.mem_bytes = MACHINE_DEFAULT_MEM_BYTES, .cpus = 1, .cmdline = words};
	struct machine m;

	*diag = (struct diag){0};
	assert_int_equal(machine_resolve(&arch_platform, &spec, &m, diag), 0);
	return machine_cmdline_render(&m, ret, diag);
}

static void assert_line(const char *words, const char *want)
{
	struct diag diag;
	char *line;

	assert_int_equal(render(words, &line, &diag), 0);
	assert_string_equal(line, want);
	free(line);
}

static void the_users_words_come_last(void **state)
{
	(void)state;
	assert_line(NULL, "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly panic=-1");
	assert_line("", "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly panic=-1");
	assert_line("quiet root=/dev/vda", "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly "
					   "panic=-1 quiet root=/dev/vda");
}

static void a_default_gives_way_to_a_word_of_its_kind(void **state)
{
	(void)state;
	assert_line("console=hvc0", "8250.nr_uarts=1 pci=conf1,noearly panic=-1 console=hvc0");
	assert_line("8250.nr_uarts=4", "console=ttyS0 pci=conf1,noearly panic=-1 8250.nr_uarts=4");
	assert_line("pci=nommconf", "console=ttyS0 8250.nr_uarts=1 panic=-1 pci=nommconf");
	assert_line("panic=0", "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly panic=0");
	assert_line("a panic=1\tconsole=tty0",
		    "8250.nr_uarts=1 pci=conf1,noearly a panic=1\tconsole=tty0");
	assert_line(" console= panic= 8250.nr_uarts= pci=", " console= panic= 8250.nr_uarts= pci=");
	assert_line("\"panic=1\" console=\"a b\" pci=x",
		    "8250.nr_uarts=1 \"panic=1\" console=\"a b\" pci=x");
}

static void words_that_only_look_alike_change_nothing(void **state)
{
	(void)state;
	assert_line("earlyconsole=x",
		    "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly panic=-1 earlyconsole=x");
	assert_line("panic_on_oops=1",
		    "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly panic=-1 panic_on_oops=1");
	assert_line("console", "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly panic=-1 console");
	assert_line("x=\"a console=hvc0\"", "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly "
					    "panic=-1 x=\"a console=hvc0\"");
	assert_line("-- console=a panic=b", "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly "
					    "panic=-1 -- console=a panic=b");
	assert_line("--x panic=1", "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly --x panic=1");
	assert_line("x=\"open",
		    "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly panic=-1 x=\"open");
}

static void assert_spec_line(const struct machine_spec *spec, const char *want)
{
	struct diag diag = {0};
	struct machine m;
	char *line;

	assert_int_equal(machine_resolve(&arch_platform, spec, &m, &diag), 0);
	assert_int_equal(machine_cmdline_render(&m, &line, &diag), 0);
	assert_string_equal(line, want);
	free(line);
}

static void assert_quiet_line(const char *user, const char *want)
{
	const struct machine_spec spec = {
		.mem_bytes = MACHINE_DEFAULT_MEM_BYTES, .cpus = 1, .cmdline = user, .quiet = true};

	assert_spec_line(&spec, want);
}

static void a_machine_with_sysrq_obeys_all_keys_once(void **state)
{
	static const char *const wanted[][2] = {
		{"x",
		 "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly panic=-1 sysrq_always_enabled x"},
		{"sysrq_always_enabled",
		 "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly panic=-1 sysrq_always_enabled"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		const struct machine_spec spec = {.mem_bytes = MACHINE_DEFAULT_MEM_BYTES,
						  .cpus = 1,
						  .cmdline = wanted[i][0],
						  .sysrq = true};

		assert_spec_line(&spec, wanted[i][1]);
	}
}

static void a_quiet_machine_is_quiet_unless_the_user_wants_messages(void **state)
{
	(void)state;
	assert_quiet_line(NULL, "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly panic=-1 quiet");
	assert_quiet_line("x", "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly panic=-1 quiet x");
	assert_quiet_line("quiet",
			  "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly panic=-1 quiet");
	assert_quiet_line("loglevel=7",
			  "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly panic=-1 loglevel=7");
	assert_quiet_line("debug",
			  "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly panic=-1 debug");
	assert_quiet_line(
		"ignore_loglevel",
		"console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly panic=-1 ignore_loglevel");
	assert_quiet_line(
		"-- debug",
		"console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly panic=-1 quiet -- debug");
}

static void assert_quick_line(const char *user, const char *want)
{
	const struct machine_spec spec = {
		.mem_bytes = MACHINE_DEFAULT_MEM_BYTES, .cpus = 1, .cmdline = user, .quick = true};
	struct diag diag = {0};
	struct machine m;
	char *line;

	assert_int_equal(machine_resolve(&arch_platform, &spec, &m, &diag), 0);
	assert_int_equal(machine_cmdline_render(&m, &line, &diag), 0);
	assert_string_equal(line, want);
	free(line);
}

/* Without being asked we leave out no test that a kernel was built with. */
static void only_a_quick_machine_leaves_tests_out(void **state)
{
	(void)state;
	assert_quick_line(NULL, "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly "
				"cryptomgr.notests panic=-1");
	assert_quick_line("cryptomgr.notests=0", "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly "
						 "panic=-1 cryptomgr.notests=0");
	assert_quick_line("cryptomgr.notests", "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly "
					       "panic=-1 cryptomgr.notests");
}

static char words[LAYOUT_CMDLINE_MAX + 1];

static void the_longest_line_fits_with_its_nul(void **state)
{
	static const char before[] = "console=ttyS0 8250.nr_uarts=1 pci=conf1,noearly panic=-1 ";
	const size_t room = LAYOUT_CMDLINE_MAX - sizeof(before);
	struct diag diag;
	char *line = NULL;

	(void)state;
	memset(words, 'x', room);
	words[room] = '\0';
	assert_int_equal(render(words, &line, &diag), 0);
	assert_int_equal(strlen(line), LAYOUT_CMDLINE_MAX - 1);
	free(line);

	words[room] = 'x';
	line = NULL;
	assert_int_equal(render(words, &line, &diag), -EINVAL);
	assert_null(line);
	assert_diag(&diag, -EINVAL, "cmdline-length 65536 ~ 65535");
	assert_remedy(&diag, "--append");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_users_words_come_last),
		cmocka_unit_test(a_default_gives_way_to_a_word_of_its_kind),
		cmocka_unit_test(words_that_only_look_alike_change_nothing),
		cmocka_unit_test(a_machine_with_sysrq_obeys_all_keys_once),
		cmocka_unit_test(a_quiet_machine_is_quiet_unless_the_user_wants_messages),
		cmocka_unit_test(only_a_quick_machine_leaves_tests_out),
		cmocka_unit_test(the_longest_line_fits_with_its_nul),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
