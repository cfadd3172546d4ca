/* `tollgate bench`: experiments about exits, and comparisons of their results. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/option.h"
#include "base/parse.h"
#include "cmd/cmds.h"
#include "commit.h"
#include "measure/bench.h"
#include "measure/bench/compare.h"
#include "measure/bench/report.h"

#define DEFAULT_NS (40 * NS_PER_S)
#define QUICK_NS   (3 * NS_PER_S)
enum {
	DEFAULT_BATCHES = 10,
	QUICK_BATCHES = 5,
	EXPERIMENTS_MAX = 16,
	SECONDS_MAX = 86400,
	EXIT_DIFFERENT = 1, /* compare: as of diff(1) */
};

enum {
	OPT_LIST = 0x100, /* none has a short form */
	OPT_QUICK,
	OPT_REPEAT,
	OPT_SECONDS,
	OPT_PIN,
	OPT_IOEVENTFDS,
	OPT_RANGES,
	OPT_VCPUS,
	OPT_SLOTS,
	OPT_JSON,
	OPT_CSV,
	OPT_PLOT,
	OPT_ALL,
};

static const struct option_row run_rows[] = {
	{"list", OPT_LIST, NULL, .help = "list the experiments", .common = true},
	{"quick", OPT_QUICK, NULL,
	 .help = "shorter lists, 5 batches, 3 s for each experiment\nless is seen in a comparison",
	 .common = true},
	{"repeat", OPT_REPEAT, "N", .help = "batches, each with new VMs: 3 to 50 (default 10)",
	 .common = true},
	{"seconds", OPT_SECONDS, "S", .help = "of each experiment (default 40)", .common = true},
	{"pin", OPT_PIN, NULL, .help = "each vCPU's thread stays on one CPU of the host",
	 .common = true},
	{0},
};
static const struct option_group run_group = {"How it runs", run_rows};
static const struct option_row sweep_rows[] = {
	{"ioeventfds", OPT_IOEVENTFDS, "N,...",
	 .help = "ioeventfds, 0 to 4096\n(default 0,1,10,100,200,500,900; --quick 0,1,200,900)"},
	{"ranges", OPT_RANGES, "N,...",
	 .help = "userspace ranges, 1 to 4096\n(default 1,4,16,64,256,1024,4096; --quick "
		 "1,64,4096)"},
	{"vcpus", OPT_VCPUS, "N,...",
	 .help = "vCPUs at once, 1 to 64\n(default 1,2,4,... up to all CPUs of the host)"},
	{"slots", OPT_SLOTS, "N,...",
	 .help = "memory slots, 1 to 1000\n(default 1,10,100,500; --quick 1,500)"},
	{0},
};
static const struct option_group sweep_group = {"Lists", sweep_rows};
static const struct option_row output_rows[] = {
	{"json", OPT_JSON, "FILE",
	 .help = "all values, for 'bench compare' and for programs\n'-' is standard output; tables "
		 "then go to standard error\n(docs/reference/bench.md)",
	 .common = true},
	{"csv", OPT_CSV, "FILE", .help = "medians and quartiles", .common = true},
	{"plot", OPT_PLOT, "DIR", .help = "EXPERIMENT.svg, and .dat and .gp for gnuplot",
	 .common = true},
	{"all", OPT_ALL, NULL, .help = "with compare: also print points without a difference"},
	{0},
};
static const struct option_group output_group = {"Results", output_rows};
static const struct option_group *const groups[] = {
	&run_group, &sweep_group, &output_group, &option_help_group, NULL,
};

static const char *bench_operand(unsigned i)
{
	if (i == 0)
		return "compare";
	return bench_experiments[i - 1] ? bench_experiment_name(bench_experiments[i - 1]) : NULL;
}

const struct option_table cmd_bench_table = {
	.command = "bench",
	.about =
		"usage: tollgate bench [OPTIONS] [EXPERIMENT...]\n"
		"       tollgate bench compare [--all] A.json B.json\n"
		"\n"
		"Measures the accesses of a guest: all experiments, or those given. All points of "
		"an\n"
		"experiment take turns with their floors. compare reports which points of two runs "
		"differ\n"
		"by more than noise: exit status 0 for none, 1 for some.\n",
	.group = groups,
	.operands = "EXPERIMENT",
	.operand = bench_operand,
};

struct args {
	struct bench_opts opts;
	const struct bench_experiment *experiment[EXPERIMENTS_MAX];
	unsigned nr_experiments;
	bool named; /* not just all of them */
	bool quick, list, all;
	unsigned given; /* a bit for each option */
	const char *json, *csv, *plot;
	const char *compare[2]; /* NULL: run */
	int help;
};

static int sweep_is_wrong(const char *option, const char *arg, const char *diag_id,
			  const char *what, struct diag *diag)
{
	diag_set(diag, -EINVAL, diag_id, "%s '%s': %s", option, arg, what);
	diag_remedy(diag, "give at most %d numbers, the smallest first", BENCH_SWEEP_MAX);
	return -EINVAL;
}

/* Ascending, so that plots and tables are. */
static int parse_sweep(const char *option, const char *arg, uint64_t min, uint64_t max,
		       struct bench_sweep *ret, struct diag *diag)
{
	struct option_items items = option_items(option, arg);
	char item[32];
	uint64_t n;
	int r;

	*ret = (struct bench_sweep){0};
	while ((r = option_item_next(&items, item, sizeof(item), diag)) > 0) {
		r = option_u64(option, item, min, max, &n, diag);
		if (r < 0)
			return r;
		if (ret->nr == BENCH_SWEEP_MAX)
			return sweep_is_wrong(option, arg, "sweep-length", "too many numbers",
					      diag);
		if (ret->nr > 0 && n <= ret->value[ret->nr - 1])
			return sweep_is_wrong(option, arg, "sweep-order",
					      "the numbers do not ascend", diag);
		ret->value[ret->nr++] = (unsigned)n;
	}
	return r;
}

static int parse_bench_seconds(struct bench_opts *o, const char *arg, struct diag *diag)
{
	if (parse_seconds_ns(arg, &o->duration_ns) == 0 && o->duration_ns > 0 &&
	    o->duration_ns <= SECONDS_MAX * NS_PER_S)
		return 0;
	diag_set(diag, -EINVAL, "bench-seconds", "--seconds '%s' is not a number above 0, up to %d",
		 arg, SECONDS_MAX);
	diag_remedy(diag, "--quick takes 3 seconds for each experiment, and a run without it 40");
	return -EINVAL;
}

static int bench_option(struct args *args, int opt, const char *arg, struct diag *diag)
{
	struct bench_opts *o = &args->opts;
	uint64_t n = 0;
	int r;

	args->given |= 1u << (opt - OPT_LIST);
	switch (opt) {
	case OPT_LIST: args->list = true; return 0;
	case OPT_QUICK: args->quick = true; return 0;
	case OPT_REPEAT:
		r = option_u64("--repeat", arg, BENCH_BATCHES_MIN, BENCH_BATCHES_MAX, &n, diag);
		o->batches = (unsigned)n;
		return r;
	case OPT_SECONDS: return parse_bench_seconds(o, arg, diag);
	case OPT_PIN: o->pin = true; return 0;
	case OPT_IOEVENTFDS: return parse_sweep("--ioeventfds", arg, 0, 4096, &o->ioeventfds, diag);
	case OPT_RANGES: return parse_sweep("--ranges", arg, 1, 4096, &o->ranges, diag);
	case OPT_VCPUS: return parse_sweep("--vcpus", arg, 1, 64, &o->vcpus, diag);
	case OPT_SLOTS: return parse_sweep("--slots", arg, 1, 1000, &o->slots, diag);
	case OPT_JSON: args->json = arg; return 0;
	case OPT_CSV: args->csv = arg; return 0;
	case OPT_PLOT: args->plot = arg; return 0;
	default: args->all = true; return 0;
	}
}

static int bench_compare_operands(struct args *args, int argc, char **argv, struct diag *diag)
{
	if (argc - optind != 3) {
		diag_set(diag, -EINVAL, "compare-files", "compare takes two files, not %d",
			 argc - optind - 1);
		diag_remedy(diag, "tollgate bench compare A.json B.json");
		return -EINVAL;
	}
	if (args->given & ~(1u << (OPT_ALL - OPT_LIST))) {
		diag_set(diag, -EINVAL, "compare-options", "compare takes no option but --all");
		diag_remedy(diag, "give the options to the runs that it compares");
		return -EINVAL;
	}
	args->compare[0] = argv[optind + 1];
	args->compare[1] = argv[optind + 2];
	return 0;
}

static int experiment_is_twice(const char *name, struct diag *diag)
{
	diag_set(diag, -EINVAL, "experiment-twice", "'%s' is given twice", name);
	diag_remedy(diag, "--repeat gives an experiment more batches");
	return -EINVAL;
}

static int bench_operands(struct args *args, int argc, char **argv, struct diag *diag)
{
	if (optind < argc && strcmp(argv[optind], "compare") == 0)
		return bench_compare_operands(args, argc, argv, diag);
	if (args->all) {
		diag_set(diag, -EINVAL, "all-without-compare", "--all is an option of compare");
		diag_remedy(diag, "tollgate bench compare --all A.json B.json");
		return -EINVAL;
	}
	for (int i = optind; i < argc; i++) {
		const struct bench_experiment *e = bench_experiment_find(argv[i]);

		if (!e) {
			diag_set(diag, -EINVAL, "experiment-unknown", "'%s' is not an experiment",
				 argv[i]);
			diag_remedy(diag, "'tollgate bench --list' lists them");
			return -EINVAL;
		}
		for (unsigned k = 0; k < args->nr_experiments; k++)
			if (args->experiment[k] == e)
				return experiment_is_twice(argv[i], diag);
		args->experiment[args->nr_experiments++] = e;
	}
	args->named = optind < argc;
	for (unsigned i = 0; !args->named && bench_experiments[i]; i++)
		args->experiment[args->nr_experiments++] = bench_experiments[i];
	return 0;
}

static void sweep_default(struct bench_sweep *sweep, const struct bench_sweep *full,
			  const struct bench_sweep *quick, bool is_quick)
{
	if (sweep->nr == 0)
		*sweep = is_quick ? *quick : *full;
}

/* Powers of two and the last, as far as the host has CPUs. */
static void default_vcpus(struct bench_sweep *sweep)
{
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const unsigned last = cpus < 1 ? 1 : cpus > 64 ? 64 : (unsigned)cpus;

	for (unsigned n = 1; sweep->nr == 0 || sweep->value[sweep->nr - 1] < last; n *= 2)
		sweep->value[sweep->nr++] = n < last ? n : last;
}

static void bench_complete(struct args *args)
{
	struct bench_opts *o = &args->opts;

	sweep_default(&o->ioeventfds, &(struct bench_sweep){7, {0, 1, 10, 100, 200, 500, 900}},
		      &(struct bench_sweep){4, {0, 1, 200, 900}}, args->quick);
	sweep_default(&o->ranges, &(struct bench_sweep){7, {1, 4, 16, 64, 256, 1024, 4096}},
		      &(struct bench_sweep){3, {1, 64, 4096}}, args->quick);
	sweep_default(&o->slots, &(struct bench_sweep){4, {1, 10, 100, 500}},
		      &(struct bench_sweep){2, {1, 500}}, args->quick);
	if (o->vcpus.nr == 0)
		default_vcpus(&o->vcpus);
	if (o->batches == 0)
		o->batches = args->quick ? QUICK_BATCHES : DEFAULT_BATCHES;
	if (o->duration_ns == 0)
		o->duration_ns = args->quick ? QUICK_NS : DEFAULT_NS;
}

static int bench_parse(int argc, char **argv, struct args *args, struct diag *diag)
{
	struct option_reader reader;
	const char *arg;
	int opt, r;

	option_reader_init(&reader, &cmd_bench_table, argc, argv, false);
	while ((r = option_reader_next(&reader, &opt, &arg, diag)) > 0) {
		if (opt == OPTION_HELP || opt == OPTION_HELP_ALL) {
			args->help = opt;
			return 0;
		}
		r = bench_option(args, opt, arg, diag);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = bench_operands(args, argc, argv, diag);
	bench_complete(args);
	return r;
}

static void list_experiments(void)
{
	for (unsigned i = 0; bench_experiments[i]; i++)
		printf("%-14s %s\n", bench_experiment_name(bench_experiments[i]),
		       bench_experiment_help(bench_experiments[i]));
}

/* A document that is printed, into a file or standard output ("-"). */
static int bench_write(const char *path, const struct bench_report *report,
		       void (*print)(FILE *out, const struct bench_report *report),
		       struct diag *diag)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	FILE *out;

	if (!path)
		return 0;
	out = open_memstream(&text, &len);
	if (!out)
		return diag_set(diag, -ENOMEM, "bench-memory", "write '%s'", path);
	print(out, report);
	if (fclose(out) != 0)
		return diag_set(diag, -ENOMEM, "bench-memory", "write '%s'", path);
	return cmd_write(path, text, len, diag);
}

static int bench_output(const struct args *args, const struct bench_report *report,
			struct diag *diag)
{
	int r = bench_write(args->json, report, bench_print_json, diag);

	if (r == 0)
		r = bench_write(args->csv, report, bench_print_csv, diag);
	for (unsigned i = 0; args->plot && r == 0 && i < report->nr_results; i++)
		r = bench_plot(args->plot, &report->result[i], diag);
	return r;
}

/* A document there is for programs, so the tables go elsewhere. */
static bool is_standard_output(const char *path)
{
	return path && strcmp(path, "-") == 0;
}

/* A host that lacks what one of all experiments needs has results of the others. */
static void leave_out(const struct bench_experiment *experiment, const struct diag *diag)
{
	fprintf(stderr,
		"tollgate: warning: bench leaves out '%s': ", bench_experiment_name(experiment));
	diag_print(diag, stderr);
	fputc('\n', stderr);
}

/* Results of the experiments one after the other, up to the first error: *nr has those that finished. */
static int bench_experiments_run(const struct args *args, FILE *tables, struct bench_result *result,
				 unsigned *nr, struct diag *diag)
{
	for (unsigned i = 0; i < args->nr_experiments; i++) {
		int r = bench_run(args->experiment[i], &args->opts, stderr, &result[*nr], diag);

		if (r == -ENOTSUP && !args->named) {
			leave_out(args->experiment[i], diag);
			*diag = (struct diag){0};
			continue;
		}
		if (r < 0)
			return r;
		bench_print_table(tables, &result[(*nr)++]);
		fflush(tables);
	}
	return 0;
}

/* *ret: the exit status when there is no error. Results that were finished before an error are written, too. */
static int bench_do(const struct args *args, struct bench_result *result, int *ret,
		    struct diag *diag)
{
	struct bench_report report = {
		.version = TOLLGATE_VERSION,
		.commit = TOLLGATE_COMMIT,
		.opts = &args->opts,
		.result = result,
	};
	FILE *tables =
		is_standard_output(args->json) || is_standard_output(args->csv) ? stderr : stdout;
	struct bench_comparison comparison;
	struct diag output = {0};
	int r;

	if (args->compare[0]) {
		r = bench_compare(args->compare[0], args->compare[1], args->all, stdout,
				  &comparison, diag);
		*ret = r == 0 && (comparison.differ || comparison.together) ? EXIT_DIFFERENT
									    : EXIT_OK;
		return r;
	}
	r = bench_experiments_run(args, tables, result, &report.nr_results, diag);
	if (r < 0 && report.nr_results == 0)
		return r;
	if (bench_output(args, &report, &output) < 0) {
		cmd_fail(&output);
		*ret = EXIT_OUTPUT;
	}
	return r;
}

int cmd_bench(int argc, char **argv)
{
	/*
	 * Not freed, as a thread may outlive this function. Not an array: so large a part of the program's zeroed data
	 * would get a huge page in every command.
	 */
	static struct bench_result *result;
	struct args args = {0};
	struct diag diag = {0};
	int status = EXIT_OK, r = bench_parse(argc, argv, &args, &diag);

	if (r == 0 && args.help)
		option_table_print(&cmd_bench_table, args.help == OPTION_HELP_ALL, stdout);
	else if (r == 0 && args.list)
		list_experiments();
	else if (r == 0) {
		result = calloc(EXPERIMENTS_MAX, sizeof(*result));
		r = result ? bench_do(&args, result, &status, &diag)
			   : diag_set(&diag, -ENOMEM, "bench-memory", "results of experiments");
	}
	if (r == 0)
		return status;
	cmd_fail(&diag);
	return r == -EINTR ? EXIT_KILLED : r == -EPROTO ? EXIT_KVM_ERROR : EXIT_SETUP;
}
