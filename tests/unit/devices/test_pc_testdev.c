/* Unit tests of QEMU's test device: its bytes, its interrupt lines, and pages that KVM maps anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "devices/classes.h"
#include "fake_env.h"
#include "mem.h"

enum { DATA = 0, FLUSH = 1, MEMORY_BYTES = 0x10000 };
#define PAGE_BYTES UINT64_C(4096)

static struct fake_env fake;
static struct guest_mem mem;

static int ports(void **state)
{
	static const struct guest_region ram = {.gpa = PAGE_BYTES, .len = 2 * PAGE_BYTES};

	fake_env_init(&fake);
	fake.env.mem = &mem;
	return guest_mem_init(&mem, &ram, 1, &(struct guest_mem_opts){0}, NULL) < 0
		       ? -1
		       : device_create(&pc_testdev_ports_class, &fake.env, (struct device **)state);
}

static int ports_end(void **state)
{
	guest_mem_fini(&mem);
	return fake_teardown(state);
}

static int irqs(void **state)
{
	return fake_setup(&fake, &pc_testdev_irqs_class, state);
}

static int memory(void **state)
{
	return fake_setup(&fake, &pc_testdev_memory_class, state);
}

static void the_ports_read_as_written(void **state)
{
	fake_write(*state, DATA, 0, 4, 0x11223344);
	assert_int_equal(fake_read(*state, DATA, 0, 4), 0x11223344);
	fake_write(*state, DATA, 1, 2, 0xaabb);
	assert_int_equal(fake_read(*state, DATA, 0, 4), 0x11aabb44);
	assert_int_equal(fake_read(*state, DATA, 3, 1), 0x11);
}

static void a_page_of_ram_keeps_its_content(void **state)
{
	struct device *dev = *state;
	uint32_t val = 0x600df00d;

	assert_int_equal(guest_mem_write(&mem, 2 * PAGE_BYTES + 8, &val, sizeof(val)), 0);
	fake_write(dev, FLUSH, 0, 4, 2 * PAGE_BYTES + 0x123);
	assert_int_equal(dev->guest_errors, 0);
	val = 0;
	assert_int_equal(guest_mem_read(&mem, 2 * PAGE_BYTES + 8, &val, sizeof(val)), 0);
	assert_int_equal(val, 0x600df00d);
	val = 1; /* and can be written */
	assert_int_equal(guest_mem_write(&mem, 2 * PAGE_BYTES, &val, sizeof(val)), 0);
}

static void other_pages_are_a_guest_error(void **state)
{
	struct device *dev = *state;

	fake_write(dev, FLUSH, 0, 4, 0);
	fake_write(dev, FLUSH, 0, 4, 3 * PAGE_BYTES);
	fake_write(dev, FLUSH, 0, 4, 0xffffffff);
	assert_int_equal(dev->guest_errors, 3);
	fake_write(dev, FLUSH, 0, 2, PAGE_BYTES); /* an address has four bytes */
	assert_int_equal(dev->guest_errors, 4);
	assert_int_equal(fake_read(dev, FLUSH, 0, 4), 0);
	assert_int_equal(dev->guest_errors, 5);
}

static void a_port_sets_its_line(void **state)
{
	fake_write(*state, 0, 14, 1, 1);
	fake_write(*state, 0, PC_TESTDEV_IRQS - 1, 1, 0x80);
	assert_int_equal(fake.irqs_high, 1 << 14 | 1 << 23);
	fake_write(*state, 0, 14, 1, 2); /* still high: no system call */
	assert_int_equal(fake.irq_sets, 2);
	fake_write(*state, 0, 14, 1, 0);
	assert_int_equal(fake.irqs_high, 1 << 23);
	assert_int_equal(fake.irq_redundant, 0);
}

static void a_reset_lowers_the_lines(void **state)
{
	fake_write(*state, 0, 0, 1, 1);
	fake_write(*state, 0, 9, 1, 1);
	device_reset(*state);
	assert_int_equal(fake.irqs_high, 0);
	assert_int_equal(fake.irq_sets, 4);
}

static void other_accesses_to_the_lines_are_a_guest_error(void **state)
{
	struct device *dev = *state;

	assert_int_equal(fake_read(dev, 0, 5, 1), 0);
	fake_write(dev, 0, 14, 2, 0x101); /* a level has one byte */
	assert_int_equal(dev->guest_errors, 2);
	assert_int_equal(fake.irq_sets, 0);
}

static void the_memory_reads_as_written(void **state)
{
	fake_write(*state, 0, MEMORY_BYTES - 8, 8, UINT64_C(0x8877665544332211));
	fake_write(*state, 0, 1, 2, 0xabcd);
	assert_int_equal(fake_read(*state, 0, MEMORY_BYTES - 7, 1), 0x22);
	assert_int_equal(fake_read(*state, 0, MEMORY_BYTES - 4, 4), 0x88776655);
	assert_int_equal(fake_read(*state, 0, 0, 4), 0xabcd00);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)
#define TEST_PORTS(name)  cmocka_unit_test_setup_teardown(name, ports, ports_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_PORTS(the_ports_read_as_written),
		TEST_PORTS(a_page_of_ram_keeps_its_content),
		TEST_PORTS(other_pages_are_a_guest_error),
		TEST(a_port_sets_its_line, irqs),
		TEST(a_reset_lowers_the_lines, irqs),
		TEST(other_accesses_to_the_lines_are_a_guest_error, irqs),
		TEST(the_memory_reads_as_written, memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
