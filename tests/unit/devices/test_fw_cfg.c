/* Unit tests of fw_cfg: each item, the directory, the ends of items, and accesses that there are none of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "devices/classes.h"
#include "fake_env.h"

enum {
	SIGNATURE = 0x00,
	ID = 0x01,
	RAM_SIZE = 0x03,
	NB_CPUS = 0x05,
	MAX_CPUS = 0x0f,
	FILE_DIR = 0x19,
	FILE_FIRST = 0x20,
	WRITE = 0x4000,
	ARCH_LOCAL = 0x8000,
};

static const char longest_name[] = "opt/org.example/a-name-of-just-fifty-five-bytes-in-all!";
_Static_assert(sizeof(longest_name) - 1 == FW_CFG_NAME_MAX, "the longest name");

static const struct fw_cfg_conf conf = {
	.mem_bytes = UINT64_C(0x123456000),
	.cpus = 0x102,
	.nr_files = 2,
	.file =
		{
			{"opt/x", (const uint8_t *)"hello", 5},
			{longest_name, (const uint8_t *)"b", 1},
		},
};

static struct fake_env fake;

static int setup(void **state)
{
	fake_env_init(&fake);
	fake.env.conf = &conf;
	return device_create(&fw_cfg_class, &fake.env, (struct device **)state);
}

static void select_item(struct device *dev, unsigned key)
{
	fake_write(dev, 0, 0, 2, key);
}

static uint8_t next(struct device *dev)
{
	return (uint8_t)fake_read(dev, 0, 1, 1);
}

static uint64_t little(struct device *dev, unsigned key, unsigned bytes)
{
	uint64_t val = 0;

	select_item(dev, key);
	for (unsigned i = 0; i < bytes; i++)
		val |= (uint64_t)next(dev) << 8 * i;
	return val;
}

static uint32_t big(struct device *dev, unsigned bytes)
{
	uint32_t val = 0;

	for (unsigned i = 0; i < bytes; i++)
		val = val << 8 | next(dev);
	return val;
}

static void expect_bytes(struct device *dev, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(next(dev), (uint8_t)bytes[i]);
}

static void the_signature_is_there(void **state)
{
	select_item(*state, SIGNATURE);
	expect_bytes(*state, "QEMU\0\0", 6);
}

static void the_revision_has_no_dma(void **state)
{
	assert_int_equal(little(*state, ID, 8), 1);
}

static void numbers_are_little_endian(void **state)
{
	assert_int_equal(little(*state, RAM_SIZE, 8), conf.mem_bytes);
	assert_int_equal(little(*state, NB_CPUS, 4), conf.cpus);
	assert_int_equal(little(*state, MAX_CPUS, 4), conf.cpus);
	assert_int_equal(little(*state, NB_CPUS | WRITE, 4), conf.cpus);
}

static void the_directory_lists_the_files(void **state)
{
	struct device *dev = *state;
	char name[FW_CFG_NAME_MAX + 1];

	select_item(dev, FILE_DIR);
	assert_int_equal(big(dev, 4), conf.nr_files);
	for (unsigned i = 0; i < conf.nr_files; i++) {
		assert_int_equal(big(dev, 4), conf.file[i].len);
		assert_int_equal(big(dev, 2), FILE_FIRST + i);
		assert_int_equal(big(dev, 2), 0);
		for (size_t k = 0; k < sizeof(name); k++)
			name[k] = (char)next(dev);
		assert_string_equal(name, conf.file[i].name);
	}
	assert_int_equal(big(dev, 4), 0);
}

static void a_file_ends_with_zeros(void **state)
{
	select_item(*state, FILE_FIRST);
	expect_bytes(*state, "hello\0\0", 7);
	select_item(*state, FILE_FIRST + 1);
	expect_bytes(*state, "b\0", 2);
}

static void selecting_begins_the_item_anew(void **state)
{
	select_item(*state, FILE_FIRST);
	expect_bytes(*state, "hel", 3);
	select_item(*state, FILE_FIRST);
	expect_bytes(*state, "hello", 5);
}

static void other_items_are_empty(void **state)
{
	struct device *dev = *state;

	assert_int_equal(little(dev, FILE_FIRST + conf.nr_files, 4), 0);
	assert_int_equal(little(dev, FILE_FIRST | ARCH_LOCAL, 4), 0);
	assert_int_equal(little(dev, 0xffff, 4), 0);
	assert_int_equal(dev->guest_errors, 0);
}

static void written_data_changes_nothing(void **state)
{
	struct device *dev = *state;

	select_item(dev, FILE_FIRST | WRITE);
	fake_write(dev, 0, 1, 1, 'X');
	expect_bytes(dev, "hello", 5);
	assert_int_equal(dev->guest_errors, 0);
}

static void undefined_accesses_are_counted_and_move_nothing(void **state)
{
	struct device *dev = *state;

	select_item(dev, FILE_FIRST);
	assert_int_equal(fake_read(dev, 0, 0, 1), 0);
	assert_int_equal(fake_read(dev, 0, 0, 2), 0);
	fake_write(dev, 0, 0, 1, SIGNATURE);
	assert_int_equal(dev->guest_errors, 3);
	expect_bytes(dev, "hello", 5);
}

static void a_reset_selects_the_signature(void **state)
{
	select_item(*state, FILE_FIRST);
	device_reset(*state);
	expect_bytes(*state, "QEMU", 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_signature_is_there),
		TEST(the_revision_has_no_dma),
		TEST(numbers_are_little_endian),
		TEST(the_directory_lists_the_files),
		TEST(a_file_ends_with_zeros),
		TEST(selecting_begins_the_item_anew),
		TEST(other_items_are_empty),
		TEST(written_data_changes_nothing),
		TEST(undefined_accesses_are_counted_and_move_nothing),
		TEST(a_reset_selects_the_signature),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
