/*
 * A reset of each chip (device_class.reset): whatever a guest has done to it, it reads afterwards as a new one does,
 * and its interrupt line is low.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/classes.h"
#include "fake_env.h"
#include "random.h"

enum {
	ROUNDS = 200,
	WRITES_MAX = 24,
};

struct chip {
	const struct device_class *cls;
	unsigned nr_ranges, bytes;
};

static const struct chip chips[] = {
	{&serial_16550_class, 1, 8},  {&i8042_class, 2, 1},       {&reset_cf9_class, 1, 8},
	{&acpi_pm1_class, 1, 6},      {&port80_class, 1, 1},      {&scratch_class, 2, 64},
	{&scratch_ports_class, 1, 4}, {&exit_port_class, 1, 4},   {&pvpanic_class, 1, 1},
	{&debugcon_class, 1, 1},      {&output_port_class, 1, 8},
};

static uint64_t seed = 1;

static struct device *chip_new(const struct chip *chip, struct fake_env *f)
{
	struct device *dev;

	fake_env_init(f);
	f->room = 1 << 20;
	assert_int_equal(device_create(chip->cls, &f->env, &dev), 0);
	return dev;
}

static uint64_t register_at(struct device *dev, const struct chip *chip, unsigned range,
			    unsigned off)
{
	/* The width that the PCI ports distinguish. */
	const uint8_t size = chip->cls == &reset_cf9_class && off == 0 ? 4 : 1;

	return fake_read(dev, (uint8_t)range, off, size);
}

static void mistreat(struct device *dev, const struct chip *chip)
{
	const unsigned nr = random_below(&seed, WRITES_MAX);

	for (unsigned i = 0; i < nr; i++) {
		const uint8_t range = (uint8_t)random_below(&seed, chip->nr_ranges);
		const unsigned off = random_below(&seed, chip->bytes);
		const uint8_t size = chip->cls->max_access >= 4 && off % 4 == 0 ? 4 : 1;

		if (random_below(&seed, 3))
			fake_write(dev, range, off, size, random_next(&seed));
		else
			fake_read(dev, range, off, 1);
	}
}

static void a_chip_reads_as_a_new_one(void **state)
{
	struct fake_env fresh_env, used_env;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(chips) * ROUNDS; i++) {
		const struct chip *chip = &chips[i / ROUNDS];
		struct device *fresh = chip_new(chip, &fresh_env);
		struct device *used = chip_new(chip, &used_env);

		mistreat(used, chip);
		device_reset(used);
		used_env.room = fresh_env.room;
		assert_false(used_env.irq_level);
		assert_int_equal(used_env.irq_redundant, 0);
		for (unsigned at = 0; at < chip->nr_ranges * chip->bytes; at++)
			assert_int_equal(
				register_at(used, chip, at / chip->bytes, at % chip->bytes),
				register_at(fresh, chip, at / chip->bytes, at % chip->bytes));
		device_destroy(used);
		device_destroy(fresh);
	}
}

/* Bytes in the receiver are lost, those that wait to be sent are not. */
static void a_uart_s_output_still_leaves(void **state)
{
	struct fake_env f;
	struct device *dev = chip_new(&chips[0], &f);
	const struct char_ops *ops = dev->cls->chr;

	(void)state;
	f.room = 0;
	fake_write(dev, 0, 2, 1, 1); /* FIFO mode */
	fake_write(dev, 0, 4, 1, 8); /* OUT2, and the receiver's interrupt */
	fake_write(dev, 0, 1, 1, 1);
	fake_write(dev, 0, 0, 1, 'a');
	fake_write(dev, 0, 0, 1, 'b');
	ops->rx(dev, (const uint8_t *)"in", 2);
	assert_true(f.irq_level);
	device_reset(dev);
	assert_false(f.irq_level);
	assert_int_equal(fake_read(dev, 0, 5, 1) & 1, 0); /* LSR: no data is ready */
	assert_int_equal(fake_read(dev, 0, 2, 1), 1);     /* IIR: no FIFOs, no interrupt */
	f.room = 10;
	ops->tx_room(dev);
	assert_int_equal(f.out_len, 2);
	assert_memory_equal(f.out, "ab", 2);
	device_destroy(dev);
}

static uint8_t cmos(struct device *dev, uint8_t reg)
{
	fake_write(dev, 0, 0, 1, reg);
	return (uint8_t)fake_read(dev, 0, 1, 1);
}

static void cmos_set(struct device *dev, uint8_t reg, uint8_t val)
{
	fake_write(dev, 0, 0, 1, reg);
	fake_write(dev, 0, 1, 1, val);
}

/* As its RESET pin does: a battery keeps the time, its format and the RAM. */
static void the_clock_keeps_time_and_ram(void **state)
{
	enum { SECONDS = 0, REG_B = 0x0b, REG_C = 0x0c, RAM = 0x40, DM_24H = 6, PIE_UIE = 0x50 };
	const struct chip rtc = {&rtc_mc146818_class, 1, 2};
	struct fake_env f;
	struct device *dev = chip_new(&rtc, &f);

	(void)state;
	cmos_set(dev, REG_B, 0x80 | DM_24H | PIE_UIE);
	cmos_set(dev, SECONDS, 42);
	cmos_set(dev, RAM, 0x5a);
	cmos_set(dev, REG_B, DM_24H | PIE_UIE);
	fake_pass_ns(&f, NS_PER_S / 2);
	f.deadline_ns = INT64_MAX; /* one-shot */
	dev->cls->expire(dev);
	assert_true(f.irq_level);
	device_reset(dev);
	assert_false(f.irq_level);
	assert_int_equal(f.deadline_ns, INT64_MAX);
	assert_int_equal(fake_read(dev, 0, 0, 1), 0); /* the index */
	assert_int_equal(cmos(dev, REG_B), DM_24H);
	assert_int_equal(cmos(dev, REG_C), 0);
	assert_int_equal(cmos(dev, SECONDS), 42);
	assert_int_equal(cmos(dev, RAM), 0x5a);
	fake_pass_ns(&f, NS_PER_S);
	assert_int_equal(cmos(dev, SECONDS), 43);
	device_destroy(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chip_reads_as_a_new_one),
		cmocka_unit_test(a_uart_s_output_still_leaves),
		cmocka_unit_test(the_clock_keeps_time_and_ram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
