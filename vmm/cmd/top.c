/* `tollgate top`: exits per second of VMs that run, by reason and by device, from their control sockets. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/option.h"
#include "cmd/client.h"
#include "cmd/cmds.h"
#include "cmd/top_latency.h"
#include "vm_end.h"

#define REPLY_MAX_NS (5 * NS_PER_S)

enum {
	VMS_MAX = 64,
	CMDLINE_BYTES = 64 * 1024, /* of a process: what is beyond is not looked at */
	OPT_ONCE = 0x100,
	OPT_INTERVAL,
};

static const struct option_row rows[] = {
	{"once", OPT_ONCE, NULL, .help = "prints one interval and ends", .common = true},
	{"interval", OPT_INTERVAL, "SECONDS", .help = "of each count (default 1)", .common = true},
	{0},
};
static const struct option_group group = {NULL, rows};
static const struct option_group *const groups[] = {&group, &option_help_group, NULL};
const struct option_table cmd_top_table = {
	.command = "top",
	.about =
		"usage: tollgate top [OPTIONS] [PATH...]\n"
		"\n"
		"Prints the exits per second of the VMs that were started with --control PATH, by\n"
		"reason and by device. Without a PATH it finds those that run on this host. On a\n"
		"terminal it goes on until Ctrl-C.\n",
	.group = groups,
	.operands = "PATH",
};

struct sample {
	struct json_object *stats; /* owned; NULL: none */
	int64_t at_ns;
};

struct top_vm {
	char *path; /* owned */
	struct sample was, now;
	struct diag why; /* there is no current sample */
};

struct top {
	struct top_vm vm[VMS_MAX];
	unsigned nr;
	int64_t interval_ns;
	bool once, screen;
};

static void sample_drop(struct sample *sample)
{
	json_object_put(sample->stats);
	*sample = (struct sample){0};
}

static void keep_line(void *out, const char *line)
{
	fputs(line, out);
}

static void sample_take(struct top_vm *vm)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	const struct client_request request = {
		.path = vm->path,
		.line = "stats\n",
		.reply_ns = REPLY_MAX_NS,
		.take = keep_line,
		.arg = out,
	};
	int r;

	sample_drop(&vm->was);
	vm->was = vm->now;
	vm->now = (struct sample){0};
	if (!out) {
		diag_set(&vm->why, -ENOMEM, "top-memory", "statistics of '%s'", vm->path);
		return;
	}
	vm->why = (struct diag){0};
	r = client_ask(&request, &vm->why);
	vm->now.at_ns = clock_monotonic_ns();
	fclose(out);
	if (r == 0)
		vm->now.stats = json_tokener_parse(text);
	if (r == 0 && !vm->now.stats)
		diag_set(&vm->why, -EINVAL, "top-reply",
			 "the VM at '%s' did not answer with statistics", vm->path);
}

/* NULL for what is not there, which json-c takes for an empty object. */
static struct json_object *member(struct json_object *obj, const char *key)
{
	struct json_object *val = NULL;

	json_object_object_get_ex(obj, key, &val);
	return val;
}

static uint64_t top_count(struct json_object *obj, const char *key)
{
	return json_object_get_uint64(member(obj, key));
}

/* How much a count rose, per second. One that fell began anew: a device was plugged. */
static double rate(const struct top_vm *vm, struct json_object *was, struct json_object *now,
		   const char *key)
{
	const uint64_t from = top_count(was, key), to = top_count(now, key);
	const int64_t ns = vm->now.at_ns - vm->was.at_ns;

	return ns > 0 && to >= from ? (double)(to - from) * NS_PER_S / (double)ns : 0;
}

static void print_reasons(const struct top_vm *vm)
{
	struct json_object *was = member(vm->was.stats, "exits");
	struct json_object *now = member(vm->now.stats, "exits");

	if (!now)
		return;
	json_object_object_foreach(now, key, unused)
	{
		const double per_s = rate(vm, was, now, key);

		(void)unused;
		if (per_s > 0 && strcmp(key, "total") != 0)
			printf("  %-36s %12.0f\n", key, per_s);
	}
}

/* The same range in another sample's list; NULL: it was not there. */
static struct json_object *same_range(struct json_object *ranges, struct json_object *range)
{
	const char *device = json_object_get_string(member(range, "device"));
	const size_t n = ranges ? json_object_array_length(ranges) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *other = json_object_array_get_idx(ranges, i);
		const char *name = json_object_get_string(member(other, "device"));

		if (name && device && strcmp(name, device) == 0 &&
		    top_count(other, "first") == top_count(range, "first"))
			return other;
	}
	return NULL;
}

static void top_print_range(const struct top_vm *vm, const char *bus, struct json_object *was,
			    struct json_object *now)
{
	const double reads = rate(vm, was, now, "reads"), writes = rate(vm, was, now, "writes");
	const uint64_t first = top_count(now, "first");
	char range[48];

	if (reads + writes == 0)
		return;
	snprintf(range, sizeof(range), "%#" PRIx64 "-%#" PRIx64, first,
		 first + top_count(now, "len") - 1);
	printf("  %-4s %-18s %-12s %12.0f %12.0f %12.0f\n", bus, range,
	       json_object_get_string(member(now, "device")), reads, writes,
	       rate(vm, was, now, "collected"));
}

static void top_print_bus(const struct top_vm *vm, const char *key, const char *bus)
{
	struct json_object *was = member(vm->was.stats, key), *now = member(vm->now.stats, key);
	struct json_object *ranges = member(now, "ranges");
	const size_t n = ranges ? json_object_array_length(ranges) : 0;
	const double reads = rate(vm, was, now, "unclaimed_reads");
	const double writes = rate(vm, was, now, "unclaimed_writes");

	for (size_t i = 0; i < n; i++) {
		struct json_object *range = json_object_array_get_idx(ranges, i);

		top_print_range(vm, bus, same_range(member(was, "ranges"), range), range);
	}
	if (reads + writes > 0)
		printf("  %-4s %-31s %12.0f %12.0f %12d\n", bus, "unclaimed", reads, writes, 0);
}

static void top_print_vm(const struct top_vm *vm)
{
	struct json_object *was = member(vm->was.stats, "exits");
	struct json_object *now = member(vm->now.stats, "exits");

	if (!vm->now.stats) {
		printf("%s: ", vm->path);
		diag_print(&vm->why, stdout);
		putchar('\n');
		return;
	}
	if (!vm->was.stats) /* it has just come: nothing to compare with */
		return;
	printf("%s: %.0f exits/s to userspace, %.0f in KVM\n", vm->path,
	       rate(vm, was, now, "total"),
	       rate(vm, member(vm->was.stats, "kvm_vcpus"), member(vm->now.stats, "kvm_vcpus"),
		    "exits"));
	print_reasons(vm);
	printf("  %-4s %-18s %-12s %12s %12s %12s\n", "bus", "range", "device", "reads/s",
	       "writes/s", "collected/s");
	top_print_bus(vm, "pio", "PIO");
	top_print_bus(vm, "mmio", "MMIO");
	top_latency_print(member(vm->was.stats, "latency"), member(vm->now.stats, "latency"));
}

/* Whether one answered the last time. */
static bool has_vm(const struct top *top)
{
	for (unsigned i = 0; i < top->nr; i++)
		if (top->vm[i].now.stats)
			return true;
	return false;
}

/* False: none has answered. */
static bool take_samples(struct top *top)
{
	for (unsigned i = 0; i < top->nr; i++)
		sample_take(&top->vm[i]);
	return has_vm(top);
}

static void wait_interval(const struct top *top, int64_t *at_ns)
{
	const struct timespec until = clock_timespec(*at_ns += top->interval_ns);

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		continue;
}

static int top_run(struct top *top, struct diag *diag)
{
	int64_t at_ns = clock_monotonic_ns();

	if (!take_samples(top)) {
		*diag = top->vm[0].why;
		return -ENOENT;
	}
	do {
		wait_interval(top, &at_ns);
		if (!take_samples(top) && top->once) {
			*diag = top->vm[0].why;
			return -ENOENT;
		}
		if (top->screen)
			fputs("\033[H\033[J", stdout);
		for (unsigned i = 0; i < top->nr; i++)
			top_print_vm(&top->vm[i]);
		if (fflush(stdout) != 0)
			break; /* cmd_stdout_close() reports it */
	} while (!top->once && has_vm(top));
	return 0;
}

static int add_vm(struct top *top, const char *path, struct diag *diag)
{
	char *copy;

	if (top->nr == VMS_MAX)
		return diag_set(diag, -ENOSPC, "top-count", "'%s': top follows %d VMs at most",
				path, VMS_MAX);
	copy = strdup(path);
	if (!copy)
		return diag_set(diag, -ENOMEM, "top-memory", "control socket '%s'", path);
	top->vm[top->nr++].path = copy;
	return 0;
}

/* The value of --control among a process's arguments, each with its 0 at the end; NULL: none, or no `tollgate run`. */
static const char *control_of(const char *cmdline, size_t len)
{
	static const char option[] = "--control";
	const char *end = cmdline + len, *arg = cmdline, *base = strrchr(cmdline, '/');

	if (strcmp(base ? base + 1 : cmdline, "tollgate") != 0)
		return NULL;
	arg += strlen(arg) + 1;
	if (arg >= end || strcmp(arg, "run") != 0)
		return NULL;
	for (; arg < end; arg += strlen(arg) + 1) {
		if (strncmp(arg, option, strlen(option)) != 0)
			continue;
		arg += strlen(option);
		if (*arg == '=')
			return arg + 1;
		if (*arg == '\0' && arg + 1 < end)
			return arg + 1;
	}
	return NULL;
}

/* A path that a process gave, as it is for us. False: that cannot be known. */
static bool resolve(const char *pid, const char *path, char buf[PATH_MAX])
{
	char link[64], cwd[PATH_MAX];
	ssize_t n;

	if (path[0] == '/')
		return snprintf(buf, PATH_MAX, "%s", path) < PATH_MAX;
	snprintf(link, sizeof(link), "/proc/%.20s/cwd", pid);
	n = readlink(link, cwd, sizeof(cwd) - 1);
	if (n < 0)
		return false;
	cwd[n] = '\0';
	return snprintf(buf, PATH_MAX, "%s/%s", cwd, path) < PATH_MAX;
}

static int add_process(struct top *top, const char *pid, struct diag *diag)
{
	AUTO_FREE char *cmdline = calloc(1, CMDLINE_BYTES + 1);
	char name[64], path[PATH_MAX];
	const char *control;
	FILE *file;
	size_t n;

	snprintf(name, sizeof(name), "/proc/%.20s/cmdline", pid);
	file = cmdline ? fopen(name, "re") : NULL;
	if (!file)
		return 0;
	n = fread(cmdline, 1, CMDLINE_BYTES, file);
	fclose(file);
	control = control_of(cmdline, n);
	return control && resolve(pid, control, path) ? add_vm(top, path, diag) : 0;
}

static int find_vms(struct top *top, struct diag *diag)
{
	DIR *dir = opendir("/proc");
	const struct dirent *entry;
	int r = 0;

	if (!dir)
		return diag_set(diag, -errno, "top-proc-read", "read /proc");
	while (r == 0 && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			r = add_process(top, entry->d_name, diag);
	closedir(dir);
	if (r == 0 && top->nr == 0) {
		r = diag_set(diag, -ENOENT, "top-no-vm",
			     "no VM runs here that was started with --control");
		diag_remedy(diag, "start one by: tollgate run --control PATH; or name its PATH");
	}
	return r;
}

static int take_options(struct top *top, int argc, char **argv, struct diag *diag)
{
	struct option_reader reader;
	const char *arg;
	int opt, r;

	option_reader_init(&reader, &cmd_top_table, argc, argv, false);
	while ((r = option_reader_next(&reader, &opt, &arg, diag)) > 0) {
		switch (opt) {
		case OPT_ONCE: top->once = true; break;
		case OPT_INTERVAL:
			r = option_seconds("--interval", arg, false, &top->interval_ns, diag);
			if (r < 0)
				return r;
			break;
		default: return 1; /* help */
		}
	}
	return r;
}

int cmd_top(int argc, char **argv)
{
	static struct top top = {.interval_ns = NS_PER_S};
	const char *term = getenv("TERM");
	struct diag diag = {0};
	int r = take_options(&top, argc, argv, &diag);

	if (r > 0) {
		option_table_print(&cmd_top_table, true, stdout);
		return EXIT_OK;
	}
	for (int i = optind; i < argc && r == 0; i++)
		r = add_vm(&top, argv[i], &diag);
	if (r == 0 && top.nr == 0)
		r = find_vms(&top, &diag);
	top.screen = !top.once && isatty(STDOUT_FILENO) == 1 && term && strcmp(term, "dumb") != 0;
	if (r == 0)
		r = top_run(&top, &diag);
	for (unsigned i = 0; i < top.nr; i++) {
		sample_drop(&top.vm[i].was);
		sample_drop(&top.vm[i].now);
		free(top.vm[i].path);
	}
	if (r == 0)
		return EXIT_OK;
	cmd_fail(&diag);
	return EXIT_SETUP;
}
