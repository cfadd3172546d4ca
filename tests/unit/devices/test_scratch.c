/* Unit tests of the test device: memory, ports, and where --test-device puts them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "base/diag.h"
#include "devices/classes.h"
#include "fake_env.h"
#include "machine.h"

enum { RANGE_BYTES = 64, PORTS = 16, PAGE_BYTES = 4096 }; /* guest/lib/scratch.h */

static struct fake_env fake;

static int memory(void **state)
{
	return fake_setup(&fake, &scratch_class, state);
}

static int ports(void **state)
{
	return fake_setup(&fake, &scratch_ports_class, state);
}

/* The byte at off of the range, by a read as wide as the class allows where one fits. */
static uint8_t byte_at(struct device *dev, uint8_t range, unsigned off, unsigned len)
{
	const uint8_t width = dev->cls->max_access;

	if (off + width > len)
		return (uint8_t)fake_read(dev, range, off, 1);
	return (uint8_t)fake_read(dev, range, off, width);
}

static void assert_agrees(struct device *dev, uint8_t range, const uint8_t *model, unsigned len)
{
	for (unsigned off = 0; off < len; off++)
		assert_int_equal(byte_at(dev, range, off, len), model[off]);
}

/* Every width at every offset of one range, against a copy of its bytes. */
static void try_range(struct device *dev, uint8_t range, unsigned len)
{
	uint64_t pattern = UINT64_C(0x0123456789abcdef) + range;
	uint8_t model[RANGE_BYTES] = {0};

	assert_agrees(dev, range, model, len);
	for (uint8_t width = 1; width <= dev->cls->max_access; width = (uint8_t)(2 * width)) {
		const uint64_t mask = UINT64_MAX >> (64 - 8 * width);

		for (unsigned off = 0; off + width <= len; off++) {
			pattern = pattern * UINT64_C(6364136223846793005) + 1;
			fake_write(dev, range, off, width, pattern & mask);
			for (unsigned i = 0; i < width; i++) /* lowest byte first */
				model[off + i] = (uint8_t)(pattern >> 8 * i);
			assert_true(fake_read(dev, range, off, width) == (pattern & mask));
			assert_agrees(dev, range, model, len);
		}
	}
}

static void memory_reads_as_written_at_every_width_and_offset(void **state)
{
	assert_int_equal(scratch_class.max_access, 8);
	try_range(*state, 0, RANGE_BYTES);
	try_range(*state, 1, RANGE_BYTES);
}

static void ports_read_as_written_at_every_width_and_offset(void **state)
{
	assert_int_equal(scratch_ports_class.max_access, 4);
	try_range(*state, 0, PORTS);
}

static void the_ranges_are_apart(void **state)
{
	struct device *dev = *state;

	for (unsigned off = 0; off < RANGE_BYTES; off++) {
		fake_write(dev, 0, off, 1, off);
		fake_write(dev, 1, off, 1, 0xff - off);
	}
	for (unsigned off = 0; off < RANGE_BYTES; off++) {
		assert_int_equal(fake_read(dev, 0, off, 1), off);
		assert_int_equal(fake_read(dev, 1, off, 1), 0xff - off);
	}
}

/* No other device claims anything within margin bytes, or ports, of that range. */
static void assert_nothing_near(const struct machine *m, const struct machine_range *near,
				uint64_t margin)
{
	for (unsigned i = 0; i < m->nr_devices; i++) {
		for (unsigned k = 0; k < m->device[i].nr_ranges; k++) {
			const struct machine_range *r = &m->device[i].range[k];

			if (r->space == near->space && m->device[i].cls != &scratch_class &&
			    m->device[i].cls != &scratch_ports_class)
				assert_true(r->first + r->len + margin <= near->first ||
					    near->first + near->len + margin <= r->first);
		}
	}
}

/* guest/lib/scratch.h promises this to the kernels. */
static void the_machine_puts_them_where_the_guests_expect_them(void **state)
{
	const struct machine_spec spec = {
		.mem_bytes = MACHINE_DEFAULT_MEM_BYTES,
		.cpus = 1,
		.extra = arch_platform.test[MACHINE_TEST_SCRATCH].row,
		.nr_extra = arch_platform.test[MACHINE_TEST_SCRATCH].nr_rows,
	};
	const struct machine_device *mem, *port;
	struct diag diag = {0};
	struct machine m;
	uint64_t edge;

	(void)state;
	assert_int_equal(machine_resolve(&arch_platform, &spec, &m, &diag), 0);
	mem = machine_find(&m, "scratch0");
	port = machine_find(&m, "scratch1");
	assert_ptr_equal(mem->cls, &scratch_class);
	assert_ptr_equal(port->cls, &scratch_ports_class);

	assert_int_equal(mem->nr_ranges, 2);
	assert_int_equal(mem->range[0].len, RANGE_BYTES);
	assert_int_equal(mem->range[1].len, RANGE_BYTES);
	assert_true(mem->range[0].first + RANGE_BYTES == mem->range[1].first);
	edge = PAGE_BYTES - mem->range[0].first % PAGE_BYTES;
	assert_int_equal(edge, RANGE_BYTES / 2);
	assert_int_equal(port->nr_ranges, 1);
	assert_int_equal(port->range[0].len, PORTS);

	assert_nothing_near(&m, &mem->range[0], 8);
	assert_nothing_near(&m, &mem->range[1], 8);
	assert_nothing_near(&m, &port->range[0], 4);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(memory_reads_as_written_at_every_width_and_offset, memory),
		TEST(ports_read_as_written_at_every_width_and_offset, ports),
		TEST(the_ranges_are_apart, memory),
		cmocka_unit_test(the_machine_puts_them_where_the_guests_expect_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
