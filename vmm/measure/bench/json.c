/* The JSON document of a run, and the CSV table. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/json.h"
#include "measure/bench/report.h"
#include "measure/bench/stats.h"

static void bench_add_string(struct json_object *obj, const char *key, const char *s)
{
	json_object_object_add(obj, key, json_object_new_string(s));
}

static void add_number(struct json_object *obj, const char *key, double v)
{
	json_object_object_add(obj, key, json_object_new_double(v));
}

static void add_values(struct json_object *obj, const char *key, const double *v, unsigned n)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < n; i++)
		json_object_array_add(array, json_object_new_double(v[i]));
	json_object_object_add(obj, key, array);
}

static void add_sweep(struct json_object *obj, const char *key, const struct bench_sweep *sweep)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < sweep->nr; i++)
		json_object_array_add(array, json_object_new_uint64(sweep->value[i]));
	json_object_object_add(obj, key, array);
}

/* "model name" of the first CPU; "" when Linux does not report it. */
static void cpu_model(char *buf, size_t len)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	buf[0] = '\0';
	while (f && !buf[0] && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
			line[strcspn(line, "\n")] = '\0';
			snprintf(buf, len, "%s", strchr(line, ':') + 2);
		}
	}
	if (f)
		fclose(f);
}

static struct json_object *host_object(void)
{
	struct json_object *host = json_object_new_object();
	char model[256], module[64], when[32] = "";
	struct utsname uts = {0};
	double load[1] = {0};
	time_t now = time(NULL);
	struct tm tm;

	uname(&uts);
	cpu_model(model, sizeof(model));
	bench_add_string(host, "kernel", uts.release);
	bench_add_string(host, "kernel_version", uts.version);
	bench_add_string(host, "cpu", model);
	json_add_u64(host, "cpus", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
	bench_add_string(host, "virtualization",
			 arch_backing_name() ? arch_backing_name() : arch_backing_none);
	bench_add_string(host, "kvm_module", arch_backing_module(module, sizeof(module)));
	if (getloadavg(load, 1) == 1)
		add_number(host, "load_average", load[0]);
	if (gmtime_r(&now, &tm) && strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm))
		bench_add_string(host, "time", when);
	return host;
}

static struct json_object *settings_object(const struct bench_opts *o)
{
	struct json_object *settings = json_object_new_object();

	json_add_u64(settings, "repeat", o->batches);
	add_number(settings, "seconds", (double)o->duration_ns / 1e9);
	json_object_object_add(settings, "pin", json_object_new_boolean(o->pin));
	add_sweep(settings, "ioeventfds", &o->ioeventfds);
	add_sweep(settings, "ranges", &o->ranges);
	add_sweep(settings, "vcpus", &o->vcpus);
	add_sweep(settings, "slots", &o->slots);
	return settings;
}

static struct json_object *latency_object(const struct bench_point *point, unsigned nr_batches)
{
	const struct histogram_summary *s = &point->latency;
	struct json_object *obj = json_object_new_object();

	json_add_u64(obj, "count", s->count);
	json_add_u64(obj, "mean", s->mean);
	json_add_u64(obj, "p50", s->p50);
	json_add_u64(obj, "p90", s->p90);
	json_add_u64(obj, "p99", s->p99);
	json_add_u64(obj, "p99_9", s->p99_9);
	json_add_u64(obj, "max", s->max);
	add_values(obj, "batch_p50", point->p50, nr_batches);
	add_values(obj, "batch_p99", point->p99, nr_batches);
	return obj;
}

static struct json_object *parts_object(const struct bench_parts *parts)
{
	struct json_object *obj = json_object_new_object();

	add_number(obj, "guest", parts->guest);
	add_number(obj, "kvm_run", parts->run);
	add_number(obj, "kvm", parts->kvm);
	add_number(obj, "tollgate", parts->tollgate);
	return obj;
}

static struct json_object *point_object(const struct bench_result *res,
					const struct bench_point *point)
{
	struct json_object *obj = json_object_new_object();
	const unsigned n = res->nr_batches;
	struct bench_parts parts;

	bench_add_string(obj, "series", point->series);
	add_number(obj, "x", point->x);
	json_object_object_add(obj, "floor",
			       point->floor < 0 ? NULL : json_object_new_int(point->floor));
	json_add_u64(obj, "accesses", point->accesses);
	add_number(obj, "median_ns", stats_quartiles(point->ns, n).median);
	add_number(obj, "median_ratio", stats_quartiles(point->ratio, n).median);
	add_values(obj, "ns", point->ns, n);
	add_values(obj, "ratio", point->ratio, n);
	add_values(obj, "beyond_ns", point->beyond, n);
	if (point->timed)
		add_values(obj, "dispatch_ns", point->dispatch, n);
	if (point->latency.count)
		json_object_object_add(obj, "latency_ns", latency_object(point, n));
	if (bench_parts_of(res, point, &parts))
		json_object_object_add(obj, "parts_ns", parts_object(&parts));
	return obj;
}

static struct json_object *result_object(const struct bench_result *res)
{
	struct json_object *obj = json_object_new_object(), *counts = json_object_new_object(),
			   *points = json_object_new_array();

	bench_add_string(obj, "name", res->experiment);
	bench_add_string(obj, "title", res->title);
	bench_add_string(obj, "x_label", res->x_label);
	json_add_u64(obj, "batches", res->nr_batches);
	json_add_u64(obj, "rounds", res->rounds);
	add_number(obj, "waited", res->waited);
	add_number(obj, "resolution", bench_resolution(res));
	json_add_u64(counts, "guest", res->counts.guest);
	json_add_u64(counts, "dispatched", res->counts.dispatched);
	json_add_u64(counts, "bare", res->counts.bare);
	json_add_u64(counts, "hits", res->counts.hits);
	json_add_u64(counts, "in_kernel", res->counts.in_kernel);
	json_object_object_add(obj, "counts", counts);
	for (unsigned i = 0; i < res->nr_points; i++)
		json_object_array_add(points, point_object(res, &res->point[i]));
	json_object_object_add(obj, "points", points);
	return obj;
}

void bench_print_json(FILE *out, const struct bench_report *report)
{
	struct json_object *root = json_object_new_object(), *experiments = json_object_new_array();

	bench_add_string(root, "format", BENCH_FORMAT);
	json_add_u64(root, "format_version", BENCH_FORMAT_VERSION);
	bench_add_string(root, "version", report->version);
	bench_add_string(root, "commit", report->commit);
	json_object_object_add(root, "host", host_object());
	json_object_object_add(root, "settings", settings_object(report->opts));
	for (unsigned i = 0; i < report->nr_results; i++)
		json_object_array_add(experiments, result_object(&report->result[i]));
	json_object_object_add(root, "experiments", experiments);
	fprintf(out, "%s\n",
		json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY |
							     JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
}

/* Series have commas. */
static void print_csv_point(FILE *out, const struct bench_result *res,
			    const struct bench_point *point)
{
	const unsigned n = res->nr_batches;
	const struct stats_quartiles ns = stats_quartiles(point->ns, n),
				     ratio = stats_quartiles(point->ratio, n);

	fprintf(out, "%s,\"%s\",%g,%.1f,%.1f,%.1f,%.5f,%.5f,%.5f,%.1f,", res->experiment,
		point->series, point->x, ns.median, ns.lower, ns.upper, ratio.median, ratio.lower,
		ratio.upper, stats_quartiles(point->beyond, n).median);
	if (point->timed)
		fprintf(out, "%.1f", stats_quartiles(point->dispatch, n).median);
	if (point->latency.count)
		fprintf(out, ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n",
			point->latency.p50, point->latency.p90, point->latency.p99,
			point->latency.p99_9, point->latency.max);
	else
		fprintf(out, ",,,,,\n");
}

void bench_print_csv(FILE *out, const struct bench_report *report)
{
	fprintf(out, "experiment,series,x,ns,ns_lower_quartile,ns_upper_quartile,ratio,"
		     "ratio_lower_quartile,ratio_upper_quartile,beyond_ns,dispatch_ns,"
		     "p50_ns,p90_ns,p99_ns,p99_9_ns,max_ns\n");
	for (unsigned i = 0; i < report->nr_results; i++)
		for (unsigned k = 0; k < report->result[i].nr_points; k++)
			print_csv_point(out, &report->result[i], &report->result[i].point[k]);
}
