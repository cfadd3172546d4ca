#include <string.h>

#include "base/json.h"
#include "smoke/report/files.h"
#include "smoke/report/text.h"

static void add_string(struct json_object *obj, const char *key, const char *value)
{
	char clean[1024];

	smoke_text_clean(value ? value : "", clean, sizeof(clean));
	json_object_object_add(obj, key, value ? json_object_new_string(clean) : NULL);
}

static void add_int(struct json_object *obj, const char *key, int v)
{
	json_object_object_add(obj, key, json_object_new_int(v));
}

static void add_bool(struct json_object *obj, const char *key, bool v)
{
	json_object_object_add(obj, key, json_object_new_boolean(v));
}

/* Seconds since the boot began; null for what never came. */
static void add_time(struct json_object *obj, const char *key, int64_t at_ns, int64_t start_ns)
{
	char text[32];
	const int64_t us = (at_ns - start_ns) / 1000;

	if (at_ns < start_ns || at_ns == 0) {
		json_object_object_add(obj, key, NULL);
		return;
	}
	snprintf(text, sizeof(text), "%lld.%06lld", (long long)(us / 1000000),
		 (long long)(us % 1000000));
	json_object_object_add(obj, key, json_object_new_double_s((double)us / 1e6, text));
}

static void add_seconds(struct json_object *obj, const char *key, int64_t ns)
{
	add_time(obj, key, ns + 1, 1);
}

static void add_date(struct json_object *obj, const char *key, const struct smoke_result *result)
{
	char date[32] = "";
	FILE *f = result->was_started ? fmemopen(date, sizeof(date), "w") : NULL;

	if (f) {
		smoke_text_date(f, result->started_real_ns, true);
		fclose(f);
	}
	add_string(obj, key, f ? date : NULL);
}

static struct json_object *properties_of(const struct smoke_run_opts *run)
{
	struct json_object *obj = json_object_new_object();

	for (unsigned i = 0; i < run->nr_properties; i++) {
		char name[256] = "", clean[256];
		const char *value = strchr(run->property[i], '=') + 1;
		const size_t len = (size_t)(value - 1 - run->property[i]);

		memcpy(name, run->property[i], len < sizeof(name) ? len : sizeof(name) - 1);
		smoke_text_clean(name, clean, sizeof(clean));
		add_string(obj, clean, value);
	}
	return obj;
}

static struct json_object *times_of(const struct smoke_result *result)
{
	const struct smoke_times *times = &result->times;
	struct json_object *obj = json_object_new_object();

	add_time(obj, "guest", times->guest_ns, times->start_ns);
	add_time(obj, "first_byte", times->first_byte_ns, times->start_ns);
	add_time(obj, "init", times->init_ns, times->start_ns);
	add_time(obj, "decided", times->decided_ns, times->start_ns);
	add_time(obj, "end", times->end_ns, times->start_ns);
	return obj;
}

static struct json_object *cpu_of(const struct smoke_result *result)
{
	struct json_object *obj = json_object_new_object();

	add_seconds(obj, "total", result->cpu_ns);
	add_seconds(obj, "guest", result->guest_cpu_ns);
	return obj;
}

static struct json_object *exits_of(const struct smoke_result *result)
{
	struct json_object *obj = json_object_new_object();
	uint64_t total = 0;
	char buf[16];

	for (uint32_t i = 0; i < VCPU_EXIT_REASONS; i++)
		total += result->exits[i];
	json_add_u64(obj, "total", total);
	for (uint32_t i = 0; i < VCPU_EXIT_REASONS; i++)
		if (result->exits[i])
			json_add_u64(obj, vcpu_exit_name(i, buf), result->exits[i]);
	return obj;
}

static struct json_object *rules_of(const struct smoke_result *result, enum smoke_rule_kind kind)
{
	const struct smoke_rules *rules = &result->spec->rules;
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < rules->nr; i++) {
		struct json_object *obj;

		if (rules->rule[i].kind != kind)
			continue;
		obj = json_object_new_object();
		if (kind == SMOKE_RULE_PHASE)
			add_string(obj, "name", rules->rule[i].name);
		add_string(obj, "pattern", rules->rule[i].pattern);
		add_time(obj, "met", result->met_ns[i], result->times.start_ns);
		json_object_array_add(array, obj);
	}
	return array;
}

static struct json_object *end_of(const struct smoke_result *result)
{
	struct json_object *obj;

	if (result->facts.end == VM_END_NONE)
		return NULL;
	obj = json_object_new_object();
	add_string(obj, "kind", vm_end_name(result->facts.end));
	add_string(obj, "by", result->end_by);
	if (result->facts.end == VM_END_EXIT_CODE)
		json_add_u64(obj, "code", result->facts.code);
	return obj;
}

static const char *stream_name(enum smoke_stream stream)
{
	switch (stream) {
	case SMOKE_COMMAND_OUT: return "out";
	case SMOKE_COMMAND_ERR: return "err";
	default: return "console";
	}
}

static struct json_object *lines_of(const struct smoke_result *result)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < result->tail.nr; i++) {
		const struct smoke_tail_line *line = smoke_tail_get(&result->tail, i);
		struct json_object *obj = json_object_new_object();

		add_time(obj, "at", line->at_ns, result->times.start_ns);
		add_string(obj, "stream", stream_name(line->stream));
		add_string(obj, "text", line->text);
		add_bool(obj, "marked", line->marked);
		json_object_array_add(array, obj);
	}
	return array;
}

/* Those of [from, to) at a depth, each with its parts, which come before it. */
static struct json_object *tests_json(const struct smoke_tests *tests, unsigned from, unsigned to,
				      unsigned depth)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = from; i < to; i++) {
		const struct smoke_test *test = &tests->test[i];
		struct json_object *obj;

		if (test->depth != depth)
			continue;
		obj = json_object_new_object();
		add_string(obj, "name", test->name);
		add_string(obj, "verdict", smoke_test_verdict_name(test->verdict));
		add_seconds(obj, "seconds", test->ns);
		json_object_object_add(obj, "notes",
				       test->notes ? json_object_new_string(test->notes) : NULL);
		json_object_object_add(obj, "tests",
				       depth < SMOKE_TEST_DEPTH_MAX
					       ? tests_json(tests, from, i, depth + 1)
					       : NULL);
		json_object_array_add(array, obj);
		from = i + 1;
	}
	return array;
}

static struct json_object *splats_of(const struct smoke_result *result)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < result->splats.nr; i++) {
		const struct smoke_splat *splat = &result->splats.splat[i];
		struct json_object *obj = json_object_new_object();

		add_string(obj, "class", smoke_splat_class_name(splat->class));
		add_string(obj, "title", splat->title);
		add_int(obj, "times", (int)splat->times);
		add_bool(obj, "rejected", splat->rejected);
		add_bool(obj, "allowed", splat->allowed);
		add_time(obj, "at", splat->at_ns, result->times.start_ns);
		add_int(obj, "lines", (int)splat->lines);
		json_object_object_add(obj, "text",
				       json_object_new_string_len(splat->text ? splat->text : "",
								  (int)splat->len));
		json_object_array_add(array, obj);
	}
	return array;
}

static struct json_object *console_json(const struct smoke_result *result)
{
	struct json_object *obj = json_object_new_object();

	json_add_u64(obj, "bytes", result->bytes[SMOKE_CONSOLE]);
	json_add_u64(obj, "out_bytes", result->bytes[SMOKE_COMMAND_OUT]);
	json_add_u64(obj, "err_bytes", result->bytes[SMOKE_COMMAND_ERR]);
	json_add_u64(obj, "lines_before", result->tail.before);
	json_add_u64(obj, "lines_after", result->tail.after);
	json_object_object_add(obj, "lines", lines_of(result));
	return obj;
}

static struct json_object *trial_json(const struct smoke_result *result)
{
	const struct config *config = &result->spec->config;
	struct json_object *obj = json_object_new_object();

	add_string(obj, "name", result->spec->name);
	add_string(obj, "kernel", config->kernel);
	add_int(obj, "cpus", (int)config->vm.machine.cpus);
	json_add_u64(obj, "mem_bytes", config->vm.machine.mem_bytes);
	add_string(obj, "append", config->vm.machine.cmdline);
	add_string(obj, "run", config->initramfs.run);
	add_string(obj, "outcome", smoke_outcome_name(result->outcome));
	add_int(obj, "exit_status", result->status);
	add_string(obj, "why", result->why);
	add_string(obj, "why_id", smoke_result_id(result));
	add_bool(obj, "started", result->was_started);
	add_date(obj, "started_at", result);
	add_string(obj, "entered_by", result->entered_by);
	json_object_object_add(obj, "end", end_of(result));
	json_object_object_add(obj, "seconds", times_of(result));
	json_object_object_add(obj, "cpu_seconds", cpu_of(result));
	json_object_object_add(obj, "exits", exits_of(result));
	json_object_object_add(obj, "expected", rules_of(result, SMOKE_RULE_EXPECT));
	json_object_object_add(obj, "phases", rules_of(result, SMOKE_RULE_PHASE));
	json_object_object_add(obj, "tests", tests_json(&result->tests, 0, result->tests.nr, 0));
	json_add_u64(obj, "tests_failed", smoke_tests_failed(&result->tests));
	json_add_u64(obj, "tests_left_out", result->tests.left_out);
	json_object_object_add(obj, "splats", splats_of(result));
	json_add_u64(obj, "splats_left_out", result->splats.left_out);
	json_add_u64(obj, "matches_given_up", result->too_dear);
	json_object_object_add(obj, "console", console_json(result));
	json_object_object_add(
		obj, "core", result->has_core ? json_object_new_string(result->spec->core) : NULL);
	json_object_object_add(obj, "report",
			       result->report ? json_object_new_string(result->report) : NULL);
	return obj;
}

void smoke_report_json(FILE *out, const struct smoke_suite *suite,
		       const struct smoke_result *results)
{
	struct json_object *root = json_object_new_object(), *boots = json_object_new_array();
	unsigned passed = 0, not_run = 0;

	for (unsigned i = 0; i < suite->nr; i++) {
		passed += results[i].outcome == SMOKE_PASS;
		not_run += results[i].outcome == SMOKE_NOT_RUN;
		json_object_array_add(boots, trial_json(&results[i]));
	}
	add_int(root, "version", 1);
	add_string(root, "suite", suite->run.suite);
	json_object_object_add(root, "properties", properties_of(&suite->run));
	add_int(root, "passed", (int)passed);
	add_int(root, "failed", (int)(suite->nr - passed - not_run));
	add_int(root, "not_run", (int)not_run);
	json_object_object_add(root, "boots", boots);
	fputs(json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY |
							   JSON_C_TO_STRING_NOSLASHESCAPE),
	      out);
	fputc('\n', out);
	json_object_put(root);
}
