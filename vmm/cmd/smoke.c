/* `tollgate smoke`: boot kernels, judge each, and say so to people and programs. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/file_writer.h"
#include "base/file_uses.h"
#include "base/io_full.h"
#include "base/macros.h"
#include "base/out_file.h"
#include "cmd/cmds.h"
#include "config/files.h"
#include "kvm.h"
#include "smoke/bisect.h"
#include "smoke/child.h"
#include "smoke/core_file.h"
#include "smoke/live.h"
#include "smoke/log.h"
#include "smoke/options.h"
#include "smoke/report/files.h"
#include "smoke/report/text.h"
#include "smoke/run.h"
#include "vm/report.h"
#include "vm_end.h"

/* How long the logs and reports may take at the end, all together. */
#define FILES_NS (5 * NS_PER_S)

/* A run, and all that it reports to. */
struct smoke {
	struct smoke_run_sink sink;
	struct smoke_suite suite;
	struct smoke_result *results; /* suite.nr of each */
	struct smoke_log *logs;
	FILE *out; /* for people */
	bool has_live, has_warned;
	struct smoke_live live;
	struct diag log_diag; /* the first log that could not be written */
	int report_fd[SMOKE_REPORTS];
	struct file_writer *report_writer[SMOKE_REPORTS]; /* NULL: none is at work */
};

static void (*const reports[SMOKE_REPORTS])(FILE *out, const struct smoke_suite *suite,
					    const struct smoke_result *results) = {
	[SMOKE_REPORT_JUNIT] = smoke_report_junit,
	[SMOKE_REPORT_TAP] = smoke_report_tap,
	[SMOKE_REPORT_JSON] = smoke_report_json,
	[SMOKE_REPORT_CHART] = smoke_report_chart,
};

static struct smoke *smoke_of(struct smoke_run_sink *sink)
{
	return container_of(sink, struct smoke, sink);
}

/* Those that are closed and written cost nothing any more. At until_ns, 0 but for the end, all are given up. */
static void wait_for_logs(struct smoke *smoke, int64_t until_ns)
{
	for (unsigned i = 0; i < smoke->suite.nr; i++)
		if (until_ns || smoke_log_is_done(&smoke->logs[i]))
			smoke_log_wait(&smoke->logs[i], smoke->suite.spec[i]->name, until_ns,
				       &smoke->log_diag);
}

static void hear_started(struct smoke_run_sink *sink, unsigned i)
{
	struct smoke *smoke = smoke_of(sink);
	const struct smoke_suite *suite = &smoke->suite;

	wait_for_logs(smoke, 0);
	if (suite->run.log_dir)
		smoke_log_open(&smoke->logs[i], suite->run.log_dir, suite->spec[i]->name,
			       suite->run.log_limit_bytes, &smoke->log_diag);
	if (smoke->has_live)
		smoke_live_start(&smoke->live, i, clock_monotonic_ns());
}

static void smoke_hear_line(struct smoke_run_sink *sink, unsigned i, const struct smoke_line *line)
{
	struct smoke *smoke = smoke_of(sink);

	smoke_log_line(&smoke->logs[i], line, smoke->results[i].times.start_ns);
	if (smoke->has_live)
		smoke_live_line(&smoke->live, i, line);
}

/* Once, before the first boot that it concerns. */
static void smoke_hear_guest(struct smoke_run_sink *sink, unsigned i, bool emulates_linux)
{
	struct smoke *smoke = smoke_of(sink);

	(void)i;
	if (!emulates_linux || smoke->has_warned)
		return;
	smoke->has_warned = true;
	if (smoke->has_live)
		smoke_live_clear(&smoke->live);
	report_emulates_linux(stderr);
}

static bool hear_whether_room(struct smoke_run_sink *sink, unsigned i)
{
	return smoke_log_has_room(&smoke_of(sink)->logs[i]);
}

/* At once, for a person who waits and for a log that may be cut off. */
static void hear_finished(struct smoke_run_sink *sink, unsigned i)
{
	struct smoke *smoke = smoke_of(sink);

	smoke_log_close(&smoke->logs[i], &smoke->results[i].tail);
	if (smoke->has_live) {
		smoke_live_stop(&smoke->live, i);
		smoke_live_clear(&smoke->live);
	}
	smoke_text_result(smoke->out, &smoke->results[i]);
	fflush(smoke->out);
}

static void hear_tick(struct smoke_run_sink *sink)
{
	smoke_live_draw(&smoke_of(sink)->live, clock_monotonic_ns());
}

/* Before anything is booted, so that a name that cannot be written is reported at once. */
static int open_report(const char *path, int *ret_fd, struct diag *diag)
{
	int fd;

	if (!path)
		return 0;
	fd = out_file_open(path, &(struct out_file_opts){0});
	if (fd < 0)
		return diag_set(diag, fd, "report-create", "create '%s'", path);
	*ret_fd = fd;
	return 0;
}

static int suite_add_files(const struct smoke_suite *suite, struct file_uses *uses)
{
	static const char *const option[SMOKE_REPORTS] = {
		[SMOKE_REPORT_JUNIT] = "--junit",
		[SMOKE_REPORT_TAP] = "--tap",
		[SMOKE_REPORT_JSON] = "--json",
		[SMOKE_REPORT_CHART] = "--boot-chart",
	};
	int r = file_uses_add(uses, "--config", suite->run.config, false, 0);

	for (unsigned i = 0; r == 0 && i < SMOKE_REPORTS; i++)
		r = file_uses_add(uses, option[i], suite->run.report[i], true, 0);
	for (unsigned i = 0; r == 0 && i < suite->nr; i++) {
		char log[PATH_MAX];

		r = config_files_add(&suite->spec[i]->config, uses);
		if (r == 0 && suite->run.log_dir &&
		    smoke_file_path(suite->run.log_dir, suite->spec[i]->name, SMOKE_LOG_SUFFIX, log,
				    sizeof(log)) == 0)
			r = file_uses_add(uses, "--log-dir's", log, true, 0);
	}
	return r;
}

static int suite_check_files(const struct smoke_suite *suite, struct diag *diag)
{
	struct file_uses uses = {0};
	int r = suite_add_files(suite, &uses);

	r = r < 0 ? diag_set(diag, r, "suite-files-compare", "compare files")
		  : file_uses_check(&uses, diag);
	file_uses_fini(&uses);
	return r;
}

/* Two boots of a name each, and one file for both: the second would empty the first one's. */
static int check_file_names(const struct smoke_suite *suite, struct diag *diag)
{
	for (unsigned i = 0; i < suite->nr; i++) {
		for (unsigned k = 0; k < i; k++) {
			if (!smoke_log_same(suite->spec[i]->name, suite->spec[k]->name))
				continue;
			diag_set(diag, -EINVAL, "boot-files-same",
				 "boots '%s' and '%s' would have one file", suite->spec[k]->name,
				 suite->spec[i]->name);
			diag_remedy(diag, "letters, digits and +,-.=_ of a name are the file's: "
					  "give one of them another name");
			return -EINVAL;
		}
	}
	return 0;
}

static int make_directory(const char *dir, struct diag *diag)
{
	if (mkdir(dir, 0777) < 0 && errno != EEXIST)
		return diag_set(diag, -errno, "log-directory", "create directory '%s'", dir);
	return 0;
}

/* Before anything is booted: the directory is there, and each log can be made in it. */
static int check_logs(const struct smoke_suite *suite, struct diag *diag)
{
	const char *dir = suite->run.log_dir;
	int r = make_directory(dir, diag);

	for (unsigned i = 0; r == 0 && i < suite->nr; i++)
		r = smoke_log_check(dir, suite->spec[i]->name, diag);
	return r;
}

static int open_outputs(struct smoke *smoke, struct diag *diag)
{
	const struct smoke_run_opts *run = &smoke->suite.run;
	int r = run->log_dir || run->core_dir ? check_file_names(&smoke->suite, diag) : 0;

	if (r == 0 && run->log_dir)
		r = check_logs(&smoke->suite, diag);
	if (r == 0 && run->core_dir)
		r = make_directory(run->core_dir, diag);
	for (unsigned i = 0; r == 0 && run->core_dir && i < smoke->suite.nr; i++)
		r = smoke_core_prepare(smoke->suite.spec[i], run->core_dir, diag);
	if (r == 0)
		r = suite_check_files(&smoke->suite, diag);
	smoke->out = stdout;
	for (unsigned i = 0; r == 0 && i < SMOKE_REPORTS; i++) {
		r = open_report(run->report[i], &smoke->report_fd[i], diag);
		if (run->report[i] && strcmp(run->report[i], "-") == 0)
			smoke->out = stderr; /* the report has standard output for itself */
	}
	return r;
}

static int make_report(struct smoke *smoke, enum smoke_report i, char **ret, size_t *ret_len)
{
	FILE *f = open_memstream(ret, ret_len);
	int failed;

	if (!f)
		return -ENOMEM;
	reports[i](f, &smoke->suite, smoke->results);
	failed = ferror(f);
	return fclose(f) != 0 || failed ? -ENOMEM : 0;
}

static int hand_over(struct smoke *smoke, enum smoke_report i, char *text, size_t len)
{
	int unused, r = file_writer_start(smoke->report_fd[i], &smoke->report_writer[i], &unused,
					  &unused);

	if (r < 0)
		return r;
	smoke->report_fd[i] = -1;
	file_writer_finish(smoke->report_writer[i], text, len);
	return 0;
}

/* A file is written by a thread: it may not answer. */
static int start_report(struct smoke *smoke, enum smoke_report i, struct diag *diag)
{
	const int fd = smoke->report_fd[i];
	char *text = NULL;
	struct stat st;
	size_t len = 0;
	int r;

	if (fd < 0)
		return 0;
	r = make_report(smoke, i, &text, &len);
	if (r == 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		r = hand_over(smoke, i, text, len);
		if (r == 0)
			return 0;
	} else if (r == 0) {
		r = io_write_full(fd, text, len, NULL);
	}
	free(text);
	return r < 0 ? diag_set(diag, r, "report-write", "write '%s'", smoke->suite.run.report[i])
		     : 0;
}

static int wait_for_report(struct smoke *smoke, enum smoke_report i, int64_t until_ns,
			   struct diag *diag)
{
	const char *path = smoke->suite.run.report[i];
	int r;

	if (!smoke->report_writer[i])
		return 0;
	r = file_writer_stop(smoke->report_writer[i], until_ns);
	if (r == -ETIMEDOUT)
		return diag_set(diag, -EINVAL, "report-stuck",
				"'%s' does not answer: its last output is lost", path);
	return r < 0 ? diag_set(diag, r, "report-write", "write '%s'", path) : 0;
}

/*
 * Every report that can be written is, whatever became of the others, and each that cannot is named. The
 * exit status.
 */
static int smoke_finish(struct smoke *smoke)
{
	const int64_t until_ns = clock_monotonic_ns() + FILES_NS;
	int status = smoke_run_status(&smoke->suite, smoke->results);
	struct diag diag[SMOKE_REPORTS] = {0};

	smoke_text_summary(smoke->out, &smoke->suite, smoke->results);
	fflush(smoke->out);
	for (enum smoke_report i = 0; i < SMOKE_REPORTS; i++)
		start_report(smoke, i, &diag[i]);
	wait_for_logs(smoke, until_ns);
	if (smoke->log_diag.err < 0) {
		cmd_fail(&smoke->log_diag);
		status = EXIT_OUTPUT;
	}
	for (enum smoke_report i = 0; i < SMOKE_REPORTS; i++) {
		wait_for_report(smoke, i, until_ns, &diag[i]);
		if (diag[i].err < 0) {
			cmd_fail(&diag[i]);
			status = EXIT_OUTPUT;
		}
	}
	if (!smoke->suite.run.bisect)
		return status;
	status = status == EXIT_OUTPUT ? EXIT_BISECT_ABORT
				       : smoke_bisect_status(&smoke->suite, smoke->results);
	fprintf(smoke->out, "bisect: %s\n", smoke_bisect_name(status));
	fflush(smoke->out);
	return status;
}

/* A host without KVM could test no revision. */
static int check_kvm(struct diag *diag)
{
	struct kvm kvm;
	const int r = kvm_open(&kvm, diag);

	kvm_close(&kvm);
	return r;
}

static void warn_unconfined(const struct smoke_suite *suite)
{
	bool any = false;

	for (unsigned i = 0; i < suite->nr; i++)
		any |= suite->spec[i]->config.no_sandbox;
	if (any)
		cmd_warn_unconfined();
}

static int run_suite(struct smoke *smoke, struct diag *diag)
{
	int r = smoke->suite.run.bisect ? check_kvm(diag) : 0;

	if (r == 0)
		r = open_outputs(smoke, diag);
	if (r < 0)
		return r;
	warn_unconfined(&smoke->suite);
	smoke->results = calloc(smoke->suite.nr, sizeof(*smoke->results));
	smoke->logs = calloc(smoke->suite.nr, sizeof(*smoke->logs));
	if (!smoke->results || !smoke->logs)
		return diag_set(diag, -ENOMEM, "suite-memory", "results of %u boots",
				smoke->suite.nr);
	smoke->has_live = smoke_live_can(smoke->out);
	smoke_live_init(&smoke->live, smoke->out, &smoke->suite, smoke->results);
	smoke->sink = (struct smoke_run_sink){
		.started = hear_started,
		.line = smoke_hear_line,
		.guest = smoke_hear_guest,
		.has_room = hear_whether_room,
		.finished = hear_finished,
		.tick = smoke->has_live ? hear_tick : NULL,
	};
	r = smoke_run(&smoke->suite, &smoke->sink, smoke->results, diag);
	return r < 0 ? r : smoke_finish(smoke);
}

static int list_suite(const struct smoke_suite *suite)
{
	for (unsigned i = 0; i < suite->nr; i++)
		puts(suite->spec[i]->name);
	return EXIT_OK;
}

static void smoke_fini(struct smoke *smoke)
{
	for (unsigned i = 0; smoke->results && i < smoke->suite.nr; i++)
		smoke_result_fini(&smoke->results[i]);
	for (unsigned i = 0; i < SMOKE_REPORTS; i++)
		if (smoke->report_fd[i] >= 0)
			close(smoke->report_fd[i]);
	free(smoke->results);
	free(smoke->logs);
	config_smoke_fini(&smoke->suite);
}

/* Also of a command line that is refused: another revision would fare no better. */
static bool wants_bisect(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--bisect") == 0)
			return true;
	return false;
}

int cmd_smoke(int argc, char **argv)
{
	struct smoke smoke = {.report_fd = {-1, -1, -1, -1}};
	struct diag diag = {0};
	int r = config_parse_smoke(&smoke.suite, argc, argv, &diag);

	if (r > 0) {
		option_table_print(&config_smoke_table, r == OPTION_HELP_ALL, stdout);
		return EXIT_OK;
	}
	if (smoke.suite.left_out)
		fputs(smoke.suite.left_out, stderr);
	if (r == 0)
		r = smoke.suite.run.list ? list_suite(&smoke.suite) : run_suite(&smoke, &diag);
	smoke_fini(&smoke);
	if (r < 0) {
		cmd_fail(&diag);
		return wants_bisect(argc, argv) ? EXIT_BISECT_ABORT : EXIT_SETUP;
	}
	return r;
}

int cmd_smoke_boot(int argc, char **argv)
{
	struct diag diag = {0};

	if (smoke_child_main(argc, argv, &diag) == 0)
		return EXIT_OK;
	cmd_fail(&diag);
	return EXIT_SETUP;
}
