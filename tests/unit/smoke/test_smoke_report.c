/* Reports of finished boots, and the rows of running ones: what is in them, and how wide. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/macros.h"
#include "smoke/live.h"
#include "smoke/report/files.h"
#include "smoke/report/text.h"

enum { BOOTS = 3 };

struct rig {
	struct smoke_suite suite;
	struct smoke_spec spec[BOOTS], *specs[BOOTS];
	struct smoke_result result[BOOTS];
	char *text;
	size_t len;
};

static char name[BOOTS][64] = {"distro/vmlinuz-6.1/cpus=1", "b", "c/repeat=2"};
static char base[BOOTS][64] = {"distro/vmlinuz-6.1/cpus=1", "b", "b"};

/* Three boots of 1.1 s, 3.3 s and none: passed, out of time, not begun. */
static int setup(void **state)
{
	static struct rig rig;

	memset(&rig, 0, sizeof(rig));
	rig.suite = (struct smoke_suite){.spec = rig.specs, .nr = BOOTS, .run.suite = "my <suite>"};
	for (unsigned i = 0; i < BOOTS; i++) {
		struct smoke_result *result = &rig.result[i];

		rig.specs[i] = &rig.spec[i];
		rig.spec[i].name = name[i];
		rig.spec[i].base = base[i];
		result->spec = &rig.spec[i];
		result->times.start_ns = 1000;
		result->was_started = i < 2;
		result->started_real_ns = (1700000000 + (int64_t)i) * NS_PER_S;
		result->times.end_ns = 1000 + (i == 0 ? 11 : 33) * NS_PER_S / 10;
	}
	rig.result[1].outcome = SMOKE_TIMEOUT;
	rig.result[2].outcome = SMOKE_NOT_RUN;
	rig.result[2].times = (struct smoke_times){0};
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	free(rig->text);
	rig->text = NULL;
	return 0;
}

static void report(struct rig *rig, void (*put)(FILE *out, const struct smoke_suite *suite,
						const struct smoke_result *results))
{
	FILE *f;

	free(rig->text);
	rig->text = NULL;
	f = open_memstream(&rig->text, &rig->len);
	assert_non_null(f);
	put(f, &rig->suite, rig->result);
	fclose(f);
}

static void assert_has(const struct rig *rig, const char *what)
{
	if (!strstr(rig->text, what))
		fail_msg("no '%s' in: %s", what, rig->text);
}

static void assert_lacks(const struct rig *rig, const char *what)
{
	if (strstr(rig->text, what))
		fail_msg("'%s' in: %s", what, rig->text);
}

/* 3.3 s make ticks of half a second; each is round, and the axis ends with one. */
static void a_chart_has_round_ticks(void **state)
{
	static const struct {
		int64_t ms;
		const char *first, *last;
	} rows[] = {
		{3300, ">0.5 s<", ">3.5 s<"}, {30, ">0.005 s<", ">0.030 s<"},
		{900, ">0.2 s<", ">1.0 s<"},  {8000, ">2 s<", ">8 s<"},
		{61000, ">10 s<", ">70 s<"},  {1000000, ">200 s<", ">1000 s<"},
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		rig->result[1].times.end_ns = 1000 + rows[i].ms * NS_PER_MS;
		rig->result[0].times.end_ns = 1001;
		report(rig, smoke_report_chart);
		assert_has(rig, rows[i].first);
		assert_has(rig, rows[i].last);
	}
}

static void a_chart_tells_outcomes_apart(void **state)
{
	static const enum smoke_outcome outcome[] = {SMOKE_PASS, SMOKE_PANIC, SMOKE_STALL,
						     SMOKE_KVM_ERROR, SMOKE_NOT_RUN};
	static const char *const mark[] = {
		"<circle cx=\"%\" cy=\"%\" r=\"5\"", "<path d=\"M%l8 8m0 -8l-8 8\"",
		"<path d=\"M%l5 9h-10z\"", "<rect x=\"%\" y=\"%\" width=\"9\"",
		"<circle cx=\"%\" cy=\"%\" r=\"4\""};
	struct rig *rig = *state;

	/* The legend has each mark once; a boot adds its own alone. */
	for (size_t i = 0; i < ARRAY_SIZE(outcome); i++) {
		for (unsigned k = 0; k < BOOTS; k++)
			rig->result[k].outcome = outcome[i];
		report(rig, smoke_report_chart);
		for (size_t m = 0; m < ARRAY_SIZE(mark); m++) {
			const char *tail = strrchr(mark[m], '%') + 1;
			unsigned n = 0;

			for (const char *p = rig->text; (p = strstr(p, tail)) != NULL; p++)
				n++;
			if (m != 3) /* bars are of rectangles, too */
				assert_int_equal(n, m == i ? 1 + BOOTS : 1);
		}
	}
}

static void a_chart_has_whole_names(void **state)
{
	struct rig *rig = *state;
	char longest[401] = "";

	memset(longest, 'w', sizeof(longest) - 1);
	rig->spec[1].name = longest;
	report(rig, smoke_report_chart);
	assert_has(rig, longest);
	assert_has(rig, ">distro/vmlinuz-6.1/cpus=1<");
	/* Its end, at the right, is as far from the left edge as it is long. */
	assert_has(rig, "width=\"3522\"");
	assert_has(rig, "<title>my &lt;suite&gt;</title>");
}

static void junit_has_what_a_server_sorts_by(void **state)
{
	struct rig *rig = *state;

	rig->suite.run.property[0] = "commit=a=b<c";
	rig->suite.run.nr_properties = 1;
	rig->suite.run.shard = 2;
	rig->suite.run.shards = 3;
	report(rig, smoke_report_junit);
	assert_has(rig, "<testsuite name=\"my &lt;suite&gt;\" tests=\"3\" failures=\"1\" "
			"errors=\"0\" skipped=\"1\" time=\"4.400\" "
			"timestamp=\"2023-11-14T22:13:20\">");
	assert_has(rig, "<property name=\"commit\" value=\"a=b&lt;c\"/>");
	assert_has(rig, "<property name=\"tollgate.shard\" value=\"2\"/>");
	assert_has(rig, "<property name=\"outcome\" value=\"timeout\"/>");
	rig->result[0].was_started = rig->result[1].was_started = false;
	report(rig, smoke_report_junit);
	assert_lacks(rig, "timestamp");
}

static void the_summary_names_what_is_flaky(void **state)
{
	struct rig *rig = *state;

	report(rig, smoke_text_summary);
	assert_string_equal(rig->text, "1 passed, 1 failed, 1 not run\n");
	rig->result[2].outcome = SMOKE_PASS;
	report(rig, smoke_text_summary);
	assert_string_equal(rig->text, "flaky: b passed 1 of 2 times\n2 passed, 1 failed\n");
}

/* A terminal of our own, so many columns wide; what is drawn there comes out of the other end. */
static void draw(struct rig *rig, unsigned columns, char *buf, size_t cap)
{
	const int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
	struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = 24};
	struct smoke_live live;
	int slave;
	ssize_t n;
	FILE *out;

	assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	out = fdopen(slave, "r+");
	assert_non_null(out);
	assert_int_equal(ioctl(fileno(out), TIOCSWINSZ, &size), 0);
	smoke_live_init(&live, out, &rig->suite, rig->result);
	for (unsigned i = 0; i < 2; i++) {
		struct smoke_line line = {.stream = SMOKE_CONSOLE};

		line.text =
			"[    1.234567] a line that is longer than any terminal of the ones here, "
			"since it goes on and on";
		line.len = strlen(line.text);
		smoke_live_start(&live, i, 0);
		smoke_live_line(&live, i, &line);
	}
	smoke_live_draw(&live, 12 * NS_PER_S);
	n = read(master, buf, cap - 1);
	assert_true(n > 0);
	buf[n] = '\0';
	fclose(out);
	close(master);
}

static void a_running_boot_has_one_row(void **state)
{
	static const struct {
		unsigned columns;
		const char *row; /* of the first boot */
	} rows[] = {
		{20, "\033[?7ldist..us=1   12 s [\r\n"},
		{39, "\033[?7ldistro/v...1/cpus=1   12 s [    1.2345\r\n"},
		{60, "\033[?7ldistro/vmlinuz-6.1/cpus=1   12 s  set-up   [    1.234567] a\r\n"},
	};
	struct rig *rig = *state;
	char buf[4096];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		draw(rig, rows[i].columns, buf, sizeof(buf));
		if (strncmp(buf, rows[i].row, strlen(rows[i].row)) != 0)
			fail_msg("%u columns: '%s'", rows[i].columns, buf);
	}
	for (unsigned columns = 20; columns <= 200; columns++) {
		draw(rig, columns, buf, sizeof(buf));
		for (char *row = strtok(buf + 5, "\r\n"); row; row = strtok(NULL, "\r\n")) {
			if (*row == '\033')
				continue;
			assert_true(strlen(row) < columns);
			assert_non_null(strstr(row, " 12 s"));
		}
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_chart_has_round_ticks),         TEST(a_chart_tells_outcomes_apart),
		TEST(a_chart_has_whole_names),         TEST(junit_has_what_a_server_sorts_by),
		TEST(the_summary_names_what_is_flaky), TEST(a_running_boot_has_one_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
