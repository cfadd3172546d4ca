/* Unit tests of machine/print.c: JSON is parsed again and compared; whole texts are golden tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json.h>

#include "arch/arch.h"
#include "base/macros.h"
#include "machine.h"
#include "machine/print.h"

static const char hostile[] = "a=\"x\\y\" </script> \t\x01 \xc3\xa9";

static const struct device_class widget_class = {.name = "wide \"widget\""};
static const struct machine_row extra[] = {
	{"x",
	 "x",
	 &widget_class,
	 {{IOBUS_MMIO, (UINT64_C(1) << 52) - 8, 8}},
	 .gsi = MACHINE_GSI_AUTO},
};

static struct machine machine;

static int setup(void **state)
{
	const struct machine_spec spec = {
		.mem_bytes = UINT64_C(5) << 30,
		.cpus = 3,
		.cmdline = hostile,
		.extra = extra,
		.nr_extra = ARRAY_SIZE(extra),
	};

	(void)state;
	return machine_resolve(&arch_platform, &spec, &machine, NULL);
}

static struct json_object *get(struct json_object *obj, const char *key)
{
	struct json_object *val = NULL;

	if (!json_object_object_get_ex(obj, key, &val))
		fail_msg("no member %s", key);
	return val;
}

static uint64_t get_u64(struct json_object *obj, const char *key)
{
	return json_object_get_uint64(get(obj, key));
}

static void assert_devices(struct json_object *array, const struct machine_device *dev, unsigned n)
{
	assert_int_equal(json_object_array_length(array), n);
	for (unsigned i = 0; i < n; i++) {
		struct json_object *obj = json_object_array_get_idx(array, i);
		struct json_object *ranges = get(obj, "ranges");

		assert_string_equal(json_object_get_string(get(obj, "name")), dev[i].name);
		assert_string_equal(json_object_get_string(get(obj, "part")), dev[i].part);
		if (dev[i].gsi == MACHINE_GSI_NONE)
			assert_null(get(obj, "gsi"));
		else
			assert_int_equal(json_object_get_int(get(obj, "gsi")), dev[i].gsi);
		assert_int_equal(json_object_array_length(ranges), dev[i].nr_ranges);
		for (unsigned r = 0; r < dev[i].nr_ranges; r++) {
			struct json_object *range = json_object_array_get_idx(ranges, r);

			assert_true(get_u64(range, "first") == dev[i].range[r].first);
			assert_true(get_u64(range, "length") == dev[i].range[r].len);
			assert_string_equal(json_object_get_string(get(range, "space")),
					    dev[i].range[r].space == IOBUS_PIO ? "pio" : "mmio");
		}
	}
}

static void json_says_all_of_the_machine(void **state)
{
	struct json_object *root, *map;
	char *text;

	(void)state;
	assert_int_equal(machine_print_json(&machine, NULL, &text, NULL), 0);
	assert_int_equal(text[strlen(text) - 1], '\n');
	root = json_tokener_parse(text);
	assert_non_null(root);
	assert_int_equal(get_u64(root, "schema"), 2);
	assert_true(get_u64(root, "memory_bytes") == UINT64_C(5) << 30);
	assert_int_equal(get_u64(root, "cpus"), 3);
	assert_int_equal(json_object_array_length(get(root, "ram")), 2);
	map = get(root, "memory_map");
	assert_int_equal(json_object_array_length(map), machine.nr_map);
	for (unsigned i = 0; i < machine.nr_map; i++) {
		struct json_object *entry = json_object_array_get_idx(map, i);

		assert_true(get_u64(entry, "first") == machine.map[i].gpa);
		assert_true(get_u64(entry, "length") == machine.map[i].len);
		assert_string_equal(json_object_get_string(get(entry, "type")),
				    machine.map[i].type == MACHINE_MAP_RAM ? "RAM" : "reserved");
	}
	assert_devices(get(root, "devices"), machine.device, machine.nr_devices);
	assert_devices(get(root, "kvm_devices"), machine.chip, machine.nr_chips);
	json_object_put(root);
	free(text);
}

static void the_users_words_survive_json(void **state)
{
	struct json_object *root;
	const char *line;
	char *text;

	(void)state;
	assert_int_equal(machine_print_json(&machine, NULL, &text, NULL), 0);
	root = json_tokener_parse(text);
	assert_non_null(root);
	line = json_object_get_string(get(root, "command_line"));
	assert_non_null(strstr(line, hostile));
	json_object_put(root);
	free(text);
}

static void a_kernel_is_printed_when_there_is_one(void **state)
{
	static const struct machine_kernel kernel = {
		.has_cmdline = true,
		.name = "a \"kernel\"",
		.kind = "its kind",
		.entered_by = "its protocol",
		.entry_gpa = UINT64_C(0x1000850),
		.state = "its state",
	};
	struct json_object *root, *obj;
	char *text;

	(void)state;
	assert_int_equal(machine_print_json(&machine, &kernel, &text, NULL), 0);
	root = json_tokener_parse(text);
	assert_non_null(root);
	obj = get(root, "kernel");
	assert_string_equal(json_object_get_string(get(obj, "name")), kernel.name);
	assert_string_equal(json_object_get_string(get(obj, "kind")), kernel.kind);
	assert_string_equal(json_object_get_string(get(obj, "entered_by")), kernel.entered_by);
	assert_true(get_u64(obj, "entry") == kernel.entry_gpa);
	assert_string_equal(json_object_get_string(get(obj, "state")), kernel.state);
	json_object_put(root);
	free(text);
	assert_int_equal(machine_print_text(&machine, &kernel, &text, NULL), 0);
	assert_non_null(strstr(text, "its kind\n"));
	assert_non_null(strstr(text, "its protocol at 0x1000850\n"));
	free(text);
}

static void the_text_has_every_device_and_address(void **state)
{
	char *text;

	(void)state;
	assert_int_equal(machine_print_text(&machine, NULL, &text, NULL), 0);
	for (unsigned i = 0; i < machine.nr_devices; i++)
		assert_non_null(strstr(text, machine.device[i].name));
	assert_non_null(strstr(text, "5 GiB of RAM, 3 CPUs\n"));
	assert_non_null(strstr(text, "APIC IDs 0 to 2\n"));
	assert_non_null(strstr(text, "wide \"widget\""));
	assert_non_null(strstr(text, "0xffffffffffff8-0xfffffffffffff\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_says_all_of_the_machine),
		cmocka_unit_test(the_users_words_survive_json),
		cmocka_unit_test(a_kernel_is_printed_when_there_is_one),
		cmocka_unit_test(the_text_has_every_device_and_address),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
