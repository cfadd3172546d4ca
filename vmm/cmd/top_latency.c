#include "cmd/top_latency.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"

static struct json_object *latency_member(struct json_object *obj, const char *key)
{
	struct json_object *val = NULL;

	json_object_object_get_ex(obj, key, &val);
	return val;
}

static uint64_t latency_count(struct json_object *obj, const char *key)
{
	return json_object_get_uint64(latency_member(obj, key));
}

static bool same_string(struct json_object *a, struct json_object *b, const char *key)
{
	const char *of_a = json_object_get_string(latency_member(a, key));
	const char *of_b = json_object_get_string(latency_member(b, key));

	return of_a && of_b ? strcmp(of_a, of_b) == 0 : of_a == of_b;
}

/* The buckets of the same kind of exit in another sample; NULL: it had none. */
static struct json_object *same_buckets(struct json_object *exits, struct json_object *exit)
{
	const size_t n = exits ? json_object_array_length(exits) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *other = json_object_array_get_idx(exits, i);

		if (same_string(other, exit, "reason") && same_string(other, exit, "access") &&
		    same_string(other, exit, "device"))
			return latency_member(other, "buckets");
	}
	return NULL;
}

/* How much the count of that bucket has risen. */
static uint64_t bucket_rise(struct json_object *was, struct json_object *bucket)
{
	const uint64_t to = latency_count(bucket, "count"), last = latency_count(bucket, "last_ns");
	const size_t n = was ? json_object_array_length(was) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *other = json_object_array_get_idx(was, i);
		const uint64_t from = latency_count(other, "count");

		if (latency_count(other, "last_ns") == last)
			return to >= from ? to - from : 0;
	}
	return to;
}

/* The largest value of the bucket that has this percentile of what came between both; 0: too large for all. */
static uint64_t percentile_between(struct json_object *was, struct json_object *now, uint64_t count,
				   double share)
{
	uint64_t below = 0;

	for (size_t i = 0; i < json_object_array_length(now); i++) {
		struct json_object *bucket = json_object_array_get_idx(now, i);

		below += bucket_rise(was, bucket);
		if ((double)below >= share * (double)count)
			return latency_count(bucket, "last_ns");
	}
	return 0;
}

/* False: no such exit came between both samples. */
static bool latency_print_exit(struct json_object *was, struct json_object *exit, bool first)
{
	static const double shares[] = {0.5, 0.9, 0.99, 0.999};
	struct json_object *now = latency_member(exit, "buckets");
	const char *access = json_object_get_string(latency_member(exit, "access"));
	const char *device = json_object_get_string(latency_member(exit, "device"));
	const size_t n = now ? json_object_array_length(now) : 0;
	uint64_t count = 0;
	char name[64];

	for (size_t i = 0; i < n; i++)
		count += bucket_rise(was, json_object_array_get_idx(now, i));
	if (count == 0)
		return false;
	if (first)
		printf("  %-36s %12s %12s %12s %12s\n", "ns in Tollgate per exit", "p50", "p90",
		       "p99", "p99.9");
	snprintf(name, sizeof(name), "%s%s%s%s%s",
		 json_object_get_string(latency_member(exit, "reason")), access ? " " : "",
		 access ? access : "", access ? " " : "",
		 device   ? device
		 : access ? "unclaimed"
			  : "");
	printf("  %-36s", name);
	for (size_t i = 0; i < ARRAY_SIZE(shares); i++) {
		const uint64_t ns = percentile_between(was, now, count, shares[i]);

		if (ns)
			printf(" %12" PRIu64, ns);
		else
			printf(" %12s", "more");
	}
	putchar('\n');
	return true;
}

void top_latency_print(struct json_object *was, struct json_object *now)
{
	struct json_object *exits = latency_member(now, "exits");
	const size_t n = exits ? json_object_array_length(exits) : 0;
	bool first = true;

	for (size_t i = 0; i < n; i++) {
		struct json_object *exit = json_object_array_get_idx(exits, i);

		if (latency_print_exit(same_buckets(latency_member(was, "exits"), exit), exit,
				       first))
			first = false;
	}
}
