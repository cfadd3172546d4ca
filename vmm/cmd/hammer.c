/* `tollgate hammer`: how many exits per second, what dispatch adds, what an ioeventfd saves. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/macros.h"
#include "base/option.h"
#include "base/parse.h"
#include "cmd/cmds.h"
#include "config/exits.h"
#include "measure/hammer.h"

#define DEFAULT_PORT  UINT64_C(0xa00)
#define DEFAULT_COUNT UINT64_C(200000)
#define HIT_NS        (2 * NS_PER_S)
#define HAMMER_MEM    (UINT64_C(64) << 20)

enum {
	OPT_PORT = CONFIG_OPT_OWN,
	OPT_MMIO,
	OPT_OUT,
	OPT_IN,
	OPT_WIDTH,
	OPT_COUNT,
	OPT_SECONDS,
	OPT_IOEVENTFDS,
	OPT_SAME_BYTE,
	OPT_HIT,
	OPT_RANGES,
	OPT_JSON,
};

static const struct option_value hit_values[] = {
	{"first", HAMMER_HIT_FIRST},
	{"middle", HAMMER_HIT_MIDDLE},
	{"last", HAMMER_HIT_LAST},
	{0},
};
static const struct option_row access_rows[] = {
	{"port", OPT_PORT, "PORT", .help = "the port (default 0xa00)", .common = true},
	{"mmio", OPT_MMIO, "ADDR", .help = "an address instead of a port", .common = true},
	{"out", OPT_OUT, NULL, .help = "write (default)"},
	{"in", OPT_IN, NULL, .help = "read", .common = true},
	{"width", OPT_WIDTH, "BYTES", .help = "1 (default), 2 or 4, and 8 with --mmio"},
	{"count", OPT_COUNT, "N", .help = "accesses of each CPU (default 200000)", .common = true},
	{"seconds", OPT_SECONDS, "S", .help = "so long instead", .common = true},
	{0},
};
static const struct option_group access_group = {"The access", access_rows};
static const struct option_row bus_rows[] = {
	{"ioeventfds", OPT_IOEVENTFDS, "N",
	 .help = "N ioeventfds on one byte, with different datamatches\n"
		 "while the guest hammers another byte, 8 further down",
	 .common = true},
	{"same-byte", OPT_SAME_BYTE, NULL,
	 .help = "put them on the hammered byte\nmatching values that it does not write"},
	{"hit", OPT_HIT, "[=WHICH]",
	 .help = "the guest's writes hit an ioeventfd\nfirst (default), middle, last", hit_values,
	 true},
	{"ranges", OPT_RANGES, "N", .help = "N more device ranges on the bus", .common = true},
	{"json", OPT_JSON, NULL, .help = "the result as JSON", .common = true},
	{0},
};
static const struct option_group bus_group = {"Accesses", bus_rows};
static const struct option_group *const groups[] = {
	&access_group,        &bus_group,         &config_machine_group,
	CONFIG_DEVICE_GROUPS, &option_help_group, NULL,
};
const struct option_table cmd_hammer_table = {
	.command = "hammer",
	.about = "usage: tollgate hammer [OPTIONS]\n"
		 "\n"
		 "A guest makes one access over and over. Prints the rate of its exits, and its "
		 "ratio to\n"
		 "a bare KVM_RUN loop, in the same VM and in an empty one. All loops are measured\n"
		 "in the same run, alternately.\n",
	.group = groups,
};

struct args {
	struct hammer_opts opts;
	bool json;
	unsigned given;     /* a bit for each option of ours, from OPT_PORT on */
	int help;           /* OPTION_HELP or OPTION_HELP_ALL when it was asked for */
	bool config_in_use; /* see struct hammer_result */
};

static int parse_hit(struct hammer_opts *o, const char *arg, struct diag *diag)
{
	int hit = HAMMER_HIT_FIRST;
	int r = arg ? option_choice("--hit", arg, hit_values, &hit, diag) : 0;

	if (r == 0)
		o->hit = (unsigned)hit;
	return r;
}

static int parse_seconds(struct hammer_opts *o, const char *arg, struct diag *diag)
{
	o->count = 0;
	if (parse_seconds_ns(arg, &o->duration_ns) < 0 || o->duration_ns < NS_PER_S / 10)
		return diag_set(diag, -EINVAL, "hammer-seconds",
				"--seconds '%s' is not a number from 0.1 up", arg);
	return 0;
}

static int option(struct args *args, int opt, const char *arg, struct diag *diag)
{
	struct hammer_opts *o = &args->opts;
	uint64_t n = 0;
	int r = 0;

	if (opt >= OPT_PORT && opt <= OPT_JSON)
		args->given |= 1u << (opt - OPT_PORT);
	switch (opt) {
	case OPT_PORT:
		o->space = IOBUS_PIO;
		return option_u64("--port", arg, 0, UINT16_MAX, &o->addr, diag);
	case OPT_MMIO:
		o->space = IOBUS_MMIO;
		return option_u64("--mmio", arg, 0, HAMMER_MMIO_MAX, &o->addr, diag);
	case OPT_OUT: o->in = false; return 0;
	case OPT_IN: o->in = true; return 0;
	case OPT_WIDTH:
		r = option_u64("--width", arg, 1, 8, &n, diag);
		o->width = (unsigned)n;
		return r;
	case OPT_COUNT: return option_u64("--count", arg, 1, UINT64_MAX / 512, &o->count, diag);
	case OPT_SECONDS: return parse_seconds(o, arg, diag);
	case OPT_IOEVENTFDS:
		r = option_u64("--ioeventfds", arg, 0, HAMMER_IOEVENTFDS_MAX, &n, diag);
		o->ioeventfds = (unsigned)n;
		return r;
	case OPT_SAME_BYTE: o->same_byte = true; return 0;
	case OPT_HIT: return parse_hit(o, arg, diag);
	case OPT_RANGES:
		r = option_u64("--ranges", arg, 0, 65000, &n, diag);
		o->ranges = (unsigned)n;
		return r;
	case OPT_JSON: args->json = true; return 0;
	default: return config_machine_option(&o->config, opt, arg, diag);
	}
}

/* Of two that contradict each other none is left out in silence. */
static int check_given(const struct args *args, struct diag *diag)
{
	static const struct {
		int option, other;
		const char *what;
	} pairs[] = {
		{OPT_PORT, OPT_MMIO, "--port and --mmio"},
		{OPT_IN, OPT_OUT, "--in and --out"},
		{OPT_COUNT, OPT_SECONDS, "--count and --seconds"},
	};
	const unsigned about_bytes = 1u << (OPT_IOEVENTFDS - OPT_PORT) | 1u << (OPT_HIT - OPT_PORT);

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		const unsigned both =
			1u << (pairs[i].option - OPT_PORT) | 1u << (pairs[i].other - OPT_PORT);

		if ((args->given & both) != both)
			continue;
		diag_set(diag, -EINVAL, "hammer-combined", "%s cannot be combined", pairs[i].what);
		diag_remedy(diag, "give one of them");
		return -EINVAL;
	}
	if (args->opts.same_byte && !(args->given & about_bytes)) {
		diag_set(diag, -EINVAL, "same-byte-alone", "--same-byte without ioeventfds");
		diag_remedy(diag, "add --ioeventfds N");
		return -EINVAL;
	}
	return 0;
}

/* Sets defaults that depend on several options, and checks the options together. */
static int complete(struct hammer_opts *o, struct diag *diag)
{
	if (o->hit != HAMMER_HIT_NONE) {
		if (o->ioeventfds == 0)
			o->ioeventfds = 1;
		o->same_byte = true;
		if (o->in)
			return diag_set(diag, -EINVAL, "hit-with-in",
					"--hit with --in: ioeventfds take writes only");
		if (o->count == 0 && o->duration_ns == 0)
			o->duration_ns = HIT_NS;
	} else if (o->count == 0 && o->duration_ns == 0) {
		o->count = DEFAULT_COUNT;
	}
	o->ioeventfd_width = o->ioeventfds > HAMMER_IOEVENTFDS_1_BYTE_MAX ? 2 : 1;
	if (o->width == 0)
		o->width = o->same_byte ? o->ioeventfd_width : 1;
	if (o->same_byte && o->width < o->ioeventfd_width) {
		diag_set(diag, -EINVAL, "width-datamatches",
			 "--width %u allows only %d different datamatches on one byte", o->width,
			 HAMMER_IOEVENTFDS_1_BYTE_MAX);
		diag_remedy(diag, "use --width 2, or fewer ioeventfds");
		return -EINVAL;
	}
	if (o->same_byte)
		o->ioeventfd_width = o->width; /* KVM asks for the very width */
	if ((o->width & (o->width - 1)) || (o->width == 8 && o->space == IOBUS_PIO))
		return diag_set(diag, -EINVAL, "width-range", "--width %u: %s", o->width,
				o->space == IOBUS_PIO ? "ports take 1, 2 or 4 bytes"
						      : "1, 2, 4 or 8 bytes");
	if (o->space == IOBUS_PIO && o->addr + o->width > UINT16_MAX + 1)
		return diag_set(diag, -EINVAL, "port-end",
				"--port %#" PRIx64 ": %u bytes pass the last port", o->addr,
				o->width);
	return 0;
}

static int hammer_parse(int argc, char **argv, struct args *args, struct diag *diag)
{
	struct option_reader reader;
	const char *arg;
	int opt, r;

	option_reader_init(&reader, &cmd_hammer_table, argc, argv, false);
	while ((r = option_reader_next(&reader, &opt, &arg, diag)) > 0) {
		if (opt == OPTION_HELP || opt == OPTION_HELP_ALL) {
			args->help = opt;
			return 0;
		}
		r = option(args, opt, arg, diag);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	if (args->opts.config.vm.machine.cmdline)
		return diag_set(diag, -EINVAL, "hammer-append",
				"--append: hammer sets the parameters of its own kernel");
	if (cmd_no_operands(argc, argv, diag) < 0)
		return -EINVAL;
	if (config_exits_check(&args->opts.config, diag) < 0 || check_given(args, diag) < 0)
		return -EINVAL;
	return complete(&args->opts, diag);
}

static int compare_doubles(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Medians but for min and max. */
struct summary {
	double rate, other, floor;
	struct summary_ratio {
		double median, min, max;
	} ratio, floor_ratio;
};

static double median(const double *rate, unsigned n)
{
	double sorted[HAMMER_PAIRS];

	memcpy(sorted, rate, n * sizeof(sorted[0]));
	qsort(sorted, n, sizeof(sorted[0]), compare_doubles);
	return sorted[n / 2];
}

static struct summary_ratio ratio_of(const double *rate, const double *to, unsigned n)
{
	double ratio[HAMMER_PAIRS] = {0};

	for (unsigned i = 0; i < n; i++)
		ratio[i] = rate[i] / to[i];
	qsort(ratio, n, sizeof(ratio[0]), compare_doubles);
	return (struct summary_ratio){ratio[n / 2], ratio[0], ratio[n - 1]};
}

static struct summary summarise(const struct hammer_result *res)
{
	const unsigned n = res->nr_pairs;

	return (struct summary){
		.rate = median(res->rate, n),
		.other = median(res->rate_other, n),
		.floor = median(res->rate_floor, n),
		.ratio = ratio_of(res->rate, res->rate_other, n),
		.floor_ratio = ratio_of(res->rate, res->rate_floor, n),
	};
}

static void print_what(const struct hammer_opts *o)
{
	printf("hammer: %s %#" PRIx64 ", %u byte%s, %u CPU%s", o->in ? "in from" : "out to",
	       o->addr, o->width, o->width == 1 ? "" : "s", o->config.vm.machine.cpus,
	       o->config.vm.machine.cpus == 1 ? "" : "s");
	if (o->ioeventfds)
		printf("; %u ioeventfd%s at %#" PRIx64 "%s", o->ioeventfds,
		       o->ioeventfds == 1 ? "" : "s",
		       o->addr + (o->same_byte ? 0 : HAMMER_OTHER_OFFSET),
		       o->hit != HAMMER_HIT_NONE ? ", hit"
		       : o->same_byte            ? ", none matches"
						 : "");
	if (o->ranges)
		printf("; %u more ranges", o->ranges);
	putchar('\n');
}

static void print_rate(const char *what, double rate, unsigned cpus)
{
	printf("  %-28s %12.0f %10.0f\n", what, rate, 1e9 * cpus / rate);
}

static void print_ratio(const char *what, const struct summary_ratio *ratio, unsigned pairs)
{
	printf("  %s %.4f, median of %u interleaved pairs (%.4f to %.4f)\n", what, ratio->median,
	       pairs, ratio->min, ratio->max);
}

static void print_rates(const struct hammer_opts *o, const struct hammer_result *res)
{
	const struct summary s = summarise(res);
	const unsigned cpus = o->config.vm.machine.cpus;
	const bool hit = o->hit != HAMMER_HIT_NONE;

	printf("  %-28s %12s %10s\n", "", hit ? "writes/s" : "exits/s",
	       hit ? "ns/write" : "ns/exit");
	if (hit) {
		print_rate("hits, no exit", s.rate, cpus);
		print_rate("the same write, exiting", s.other, cpus);
		print_ratio("ratio", &s.ratio, res->nr_pairs);
		return;
	}
	print_rate("exits, dispatched", s.rate, cpus);
	print_rate("bare KVM_RUN loop", s.other, cpus);
	print_rate("bare loop, empty VM", s.floor, cpus);
	print_ratio("ratio", &s.ratio, res->nr_pairs);
	print_ratio("to the empty VM", &s.floor_ratio, res->nr_pairs);
}

static void hammer_print_text(const struct hammer_opts *o, const struct hammer_result *res)
{
	print_what(o);
	if (res->nr_pairs)
		print_rates(o, res);
	else
		puts(o->hit != HAMMER_HIT_NONE && o->count
			     ? "  hits have a rate with --seconds only"
			     : "  too few accesses to measure");
	printf("  counted: %" PRIu64 " dispatched + %" PRIu64 " bare + %" PRIu64 " hits = %" PRIu64
	       " of the guest\n",
	       res->dispatched, res->bare, res->hits, res->guest_count);
}

static void add_double(struct json_object *obj, const char *key, double v)
{
	json_object_object_add(obj, key, json_object_new_double(v));
}

static void hammer_print_json(const struct hammer_opts *o, const struct hammer_result *res)
{
	static const char *const hits[] = {"none", "first", "middle", "last"};
	struct json_object *root = json_object_new_object(), *pairs = json_object_new_array();

	json_object_object_add(root, "space",
			       json_object_new_string(o->space == IOBUS_PIO ? "pio" : "mmio"));
	json_add_u64(root, "address", o->addr);
	json_object_object_add(root, "direction", json_object_new_string(o->in ? "in" : "out"));
	json_add_u64(root, "width", o->width);
	json_add_u64(root, "cpus", o->config.vm.machine.cpus);
	json_add_u64(root, "ioeventfds", o->ioeventfds);
	json_object_object_add(root, "same_byte", json_object_new_boolean(o->same_byte));
	json_object_object_add(root, "hit", json_object_new_string(hits[o->hit]));
	json_add_u64(root, "ranges", o->ranges);
	json_add_u64(root, "guest_count", res->guest_count);
	json_add_u64(root, "dispatched", res->dispatched);
	json_add_u64(root, "bare", res->bare);
	json_add_u64(root, "hits", res->hits);
	if (res->nr_pairs) {
		const struct summary s = summarise(res);

		add_double(root, "per_second", s.rate);
		add_double(root, "ns_each", 1e9 * o->config.vm.machine.cpus / s.rate);
		add_double(root, "other_per_second", s.other);
		add_double(root, "ratio", s.ratio.median);
		if (o->hit == HAMMER_HIT_NONE) {
			add_double(root, "empty_vm_per_second", s.floor);
			add_double(root, "empty_vm_ratio", s.floor_ratio.median);
		}
	}
	for (unsigned i = 0; i < res->nr_pairs; i++) {
		struct json_object *pair = json_object_new_object();

		add_double(pair, "per_second", res->rate[i]);
		add_double(pair, "other_per_second", res->rate_other[i]);
		if (o->hit == HAMMER_HIT_NONE)
			add_double(pair, "empty_vm_per_second", res->rate_floor[i]);
		json_object_array_add(pairs, pair);
	}
	json_object_object_add(root, "pairs", pairs);
	puts(json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY));
	json_object_put(root);
}

static int hammer_show(struct args *args, struct diag *diag)
{
	struct hammer_result result = {0};
	int r;

	if (args->help) {
		option_table_print(&cmd_hammer_table, args->help == OPTION_HELP_ALL, stdout);
		return 0;
	}
	r = hammer_run(&args->opts, stderr, &result, diag);
	args->config_in_use = result.config_in_use;
	if (r < 0)
		return r;
	if (args->json)
		hammer_print_json(&args->opts, &result);
	else
		hammer_print_text(&args->opts, &result);
	return 0;
}

int cmd_hammer(int argc, char **argv)
{
	static struct args args; /* a thread may outlive this function: config_in_use */
	struct diag diag = {0};
	int r;

	args = (struct args){.opts = {.addr = DEFAULT_PORT, .space = IOBUS_PIO}};
	config_init(&args.opts.config);
	args.opts.config.vm.machine.mem_bytes = HAMMER_MEM;
	r = hammer_parse(argc, argv, &args, &diag);
	if (r == 0)
		r = config_fw_cfg_load(&args.opts.config, &diag);
	if (r == 0)
		r = hammer_show(&args, &diag);
	if (!args.config_in_use)
		config_fini(&args.opts.config);
	if (r < 0) {
		cmd_fail(&diag);
		return r == -EINTR ? EXIT_KILLED : r == -EPROTO ? EXIT_KVM_ERROR : EXIT_SETUP;
	}
	return EXIT_OK;
}
