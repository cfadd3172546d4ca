#include "vm/latency.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/macros.h"
#include "vm.h"
#include "vm/internal.h"

enum { CLOCK_READINGS = 1000 };

static const char *const accesses[] = {"read", "write"};

static int compare_ranges(const void *a, const void *b)
{
	const struct vcpu_latency_range *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

/* The device's ranges in that space, and two rows for them if there are any. */
static void map_device(struct vm_latency *latency, const struct machine_device *dev,
		       enum iobus_space space)
{
	struct vcpu_latency_map *map = &latency->map;
	bool any = false;

	for (unsigned k = 0; k < machine_device_nr_ranges(dev); k++) {
		if (dev->range[k].space != space)
			continue;
		map->range[space][map->nr_ranges[space]++] = (struct vcpu_latency_range){
			.first = dev->range[k].first,
			.len = dev->range[k].len,
			.row = map->nr_rows,
			.plugged = true,
		};
		any = true;
	}
	for (unsigned k = 0; any && k < ARRAY_SIZE(accesses); k++)
		latency->row[map->nr_rows++] = (struct vm_latency_row){
			vcpu_latency_access_reason(space), accesses[k], dev->name};
}

static void map_all(struct vm_latency *latency, const struct machine *machine)
{
	struct vcpu_latency_map *map = &latency->map;

	for (unsigned i = 0; i < VCPU_LATENCY_REASONS; i++)
		latency->row[i].reason = vcpu_latency_reason(i);
	for (unsigned k = 0; k < ARRAY_SIZE(accesses); k++) {
		latency->row[VCPU_LATENCY_UNCLAIMED_PIO + k] = (struct vm_latency_row){
			vcpu_latency_access_reason(IOBUS_PIO), accesses[k], NULL};
		latency->row[VCPU_LATENCY_UNCLAIMED_MMIO + k] = (struct vm_latency_row){
			vcpu_latency_access_reason(IOBUS_MMIO), accesses[k], NULL};
	}
	map->nr_rows = VCPU_LATENCY_RANGES;
	for (unsigned i = 0; i < machine->nr_devices; i++) {
		map_device(latency, &machine->device[i], IOBUS_PIO);
		map_device(latency, &machine->device[i], IOBUS_MMIO);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(map->range); i++)
		qsort(map->range[i], map->nr_ranges[i], sizeof(map->range[i][0]), compare_ranges);
}

static int64_t clock_reading_ns(void)
{
	int64_t least = INT64_MAX;

	for (unsigned i = 0; i < CLOCK_READINGS; i++) {
		const int64_t start = clock_monotonic_ns();
		const int64_t ns = clock_monotonic_ns() - start;

		least = ns < least ? ns : least;
	}
	return least;
}

/* Room for as many rows and ranges as there can be. */
static int latency_alloc(struct vm_latency *latency, const struct machine *machine)
{
	const size_t ranges = (size_t)machine->nr_devices * MACHINE_RANGES_MAX + 1;

	latency->row = calloc(VCPU_LATENCY_RANGES + (size_t)machine->nr_devices * 4,
			      sizeof(latency->row[0]));
	for (unsigned i = 0; i < ARRAY_SIZE(latency->map.range); i++) {
		latency->map.range[i] = calloc(ranges, sizeof(latency->map.range[i][0]));
		if (!latency->map.range[i])
			return -ENOMEM;
	}
	return latency->row ? 0 : -ENOMEM;
}

int vm_latency_make(struct vm *vm, const struct vm_opts *opts, struct diag *diag)
{
	struct vm_latency *latency = &vm->latency;

	if (!opts->latency)
		return 0;
	if (latency_alloc(latency, &vm->machine) < 0) {
		vm_latency_unmake(vm);
		return diag_set(diag, -ENOMEM, "latency-memory", "the histograms of exits");
	}
	map_all(latency, &vm->machine);
	latency->clock_ns = clock_reading_ns();
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		vm->vcpu[i].latency = vcpu_latency_create(&latency->map);
		if (!vm->vcpu[i].latency) {
			vm_latency_unmake(vm);
			return diag_set(diag, -ENOMEM, "latency-vcpu-memory",
					"the histograms of vCPU %u", i);
		}
	}
	return 0;
}

void vm_latency_unmake(struct vm *vm)
{
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		free(vm->vcpu[i].latency);
		vm->vcpu[i].latency = NULL;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(vm->latency.map.range); i++)
		free(vm->latency.map.range[i]);
	free(vm->latency.row);
	vm->latency = (struct vm_latency){0};
}

void vm_latency_plug(struct vm *vm, unsigned i, bool plugged)
{
	const struct vm_latency *latency = &vm->latency;
	const char *name = vm->machine.device[i].name;

	for (unsigned space = 0; space < ARRAY_SIZE(latency->map.range); space++)
		for (size_t k = 0; k < latency->map.nr_ranges[space]; k++) {
			struct vcpu_latency_range *range = &latency->map.range[space][k];

			if (latency->row[range->row].device == name)
				atomic_store_explicit(&range->plugged, plugged,
						      memory_order_relaxed);
		}
}

/* That of all vCPUs, as far as it goes now. */
static void latency_sum(const struct vm *vm, unsigned row, struct histogram *ret)
{
	*ret = (struct histogram){0};
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		histogram_merge(ret, &vm->vcpu[i].latency->row[row]);
}

static void latency_print_row(FILE *out, const struct vm_latency_row *row,
			      const struct histogram_summary *s)
{
	char reason[16], exit[64];

	snprintf(exit, sizeof(exit), "%s%s%s%s%s", vcpu_exit_name(row->reason, reason),
		 row->access ? " " : "", row->access ? row->access : "", row->access ? " " : "",
		 row->device   ? row->device
		 : row->access ? "unclaimed"
			       : "");
	fprintf(out,
		"  %-30s %10" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64
		" %10" PRIu64 "\n",
		exit, s->count, s->p50, s->p90, s->p99, s->p99_9, s->max);
}

int vm_latency_print(FILE *out, const struct vm *vm)
{
	const struct vm_latency *latency = &vm->latency;
	AUTO_FREE struct histogram *sum = NULL;

	if (!latency->row)
		return 0;
	sum = malloc(sizeof(*sum));
	if (!sum)
		return -ENOMEM;
	fprintf(out,
		"ns in Tollgate per exit; reading the clock is %" PRId64 " of each\n"
		"  %-30s %10s %8s %8s %8s %8s %10s\n",
		latency->clock_ns, "exit", "exits", "p50", "p90", "p99", "p99.9", "max");
	for (unsigned i = 0; i < latency->map.nr_rows; i++) {
		struct histogram_summary s;

		latency_sum(vm, i, sum);
		s = histogram_summary(sum);
		if (s.count)
			latency_print_row(out, &latency->row[i], &s);
	}
	return 0;
}

static void add_optional_string(struct json_object *obj, const char *key, const char *s)
{
	json_object_object_add(obj, key, s ? json_object_new_string(s) : NULL);
}

static struct json_object *json_buckets(const struct histogram *sum)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		const uint64_t n = atomic_load_explicit(&sum->bucket[i], memory_order_relaxed);
		struct json_object *bucket;

		if (n == 0)
			continue;
		bucket = json_object_new_object();
		if (i < HISTOGRAM_BUCKETS - 1)
			json_add_u64(bucket, "last_ns", histogram_bucket_last(i));
		else
			json_object_object_add(bucket, "last_ns", NULL);
		json_add_u64(bucket, "count", n);
		json_object_array_add(array, bucket);
	}
	return array;
}

static struct json_object *json_latency_row(const struct vm_latency_row *row,
					    const struct histogram *sum,
					    const struct histogram_summary *s)
{
	struct json_object *obj = json_object_new_object();
	char reason[16];

	add_optional_string(obj, "reason", vcpu_exit_name(row->reason, reason));
	add_optional_string(obj, "access", row->access);
	add_optional_string(obj, "device", row->device);
	json_add_u64(obj, "count", s->count);
	json_add_u64(obj, "mean_ns", s->mean);
	json_add_u64(obj, "p50_ns", s->p50);
	json_add_u64(obj, "p90_ns", s->p90);
	json_add_u64(obj, "p99_ns", s->p99);
	json_add_u64(obj, "p99_9_ns", s->p99_9);
	json_add_u64(obj, "max_ns", s->max);
	json_object_object_add(obj, "buckets", json_buckets(sum));
	return obj;
}

struct json_object *vm_latency_json(const struct vm *vm)
{
	const struct vm_latency *latency = &vm->latency;
	AUTO_FREE struct histogram *sum = latency->row ? malloc(sizeof(*sum)) : NULL;
	struct json_object *obj, *exits;

	if (!sum)
		return NULL;
	obj = json_object_new_object();
	exits = json_object_new_array();
	json_add_u64(obj, "clock_ns", (uint64_t)latency->clock_ns);
	for (unsigned i = 0; i < latency->map.nr_rows; i++) {
		struct histogram_summary s;

		latency_sum(vm, i, sum);
		s = histogram_summary(sum);
		if (s.count)
			json_object_array_add(exits, json_latency_row(&latency->row[i], sum, &s));
	}
	json_object_object_add(obj, "exits", exits);
	return obj;
}
