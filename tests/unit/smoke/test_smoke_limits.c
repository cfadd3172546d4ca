/* How many boots fit a host, and what it says it has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "smoke/limits.h"
#include "temp_dir.h"

#define MIB (UINT64_C(1) << 20)

/* How many boots of one kind are admitted. */
static unsigned admitted(const struct smoke_limits *limits, uint64_t mem_bytes, unsigned cpus)
{
	struct smoke_spec *spec = calloc(1, sizeof(*spec));
	struct smoke_load load = {0};

	assert_non_null(spec);
	spec->config.vm.machine.mem_bytes = mem_bytes;
	spec->config.vm.machine.cpus = cpus;
	while (load.jobs < 1000 && smoke_limits_admit(limits, &load, spec))
		smoke_load_add(&load, spec);
	free(spec);
	return load.jobs;
}

static void test_cpus_count_unless_jobs_are_given(void **state)
{
	(void)state;
	assert_int_equal(
		admitted(&(struct smoke_limits){.mem_bytes = UINT64_MAX, .cpus = 4}, MIB, 1), 4);
	assert_int_equal(
		admitted(&(struct smoke_limits){.mem_bytes = UINT64_MAX, .cpus = 4}, MIB, 3), 1);
	assert_int_equal(
		admitted(&(struct smoke_limits){.mem_bytes = UINT64_MAX, .cpus = 4}, MIB, 8), 1);
	assert_int_equal(
		admitted(&(struct smoke_limits){.mem_bytes = UINT64_MAX, .cpus = 2, .jobs = 20},
			 MIB, 4),
		20);
}

static void test_memory_always_counts(void **state)
{
	const struct smoke_limits limits = {.mem_bytes = 2048 * MIB, .cpus = 64, .jobs = 64};

	(void)state;
	assert_int_equal(admitted(&limits, 448 * MIB, 1), 4); /* 64 MiB more are for the VMM */
	assert_int_equal(admitted(&limits, 449 * MIB, 1), 3);
	assert_int_equal(admitted(&limits, 4096 * MIB, 1), 1); /* one alone always may */
	assert_int_equal(admitted(&limits, UINT64_MAX - 65 * MIB, 1), 1);
}

static void test_a_load_that_ends_makes_room(void **state)
{
	const struct smoke_limits limits = {.mem_bytes = 1024 * MIB, .cpus = 1};
	struct smoke_spec *spec = calloc(1, sizeof(*spec));
	struct smoke_load load = {0};

	(void)state;
	assert_non_null(spec);
	spec->config.vm.machine = (struct machine_spec){.mem_bytes = 256 * MIB, .cpus = 1};
	smoke_load_add(&load, spec);
	assert_false(smoke_limits_admit(&limits, &load, spec));
	smoke_load_remove(&load, spec);
	assert_true(smoke_limits_admit(&limits, &load, spec));
	assert_int_equal(load.mem_bytes, 0);
	free(spec);
}

/* A directory with what /proc and /sys would have. */
static void put(const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s", name);
	for (char *slash = path; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(temp_dir_at(path), 0700);
		*slash = '/';
	}
	temp_dir_put(name, text, strlen(text));
}

static void test_the_host_is_asked(void **state)
{
	struct smoke_limits limits, own;

	(void)state;
	assert_int_equal(temp_dir_make(), 0);
	smoke_limits_read(temp_dir, 0, &own);
	assert_true(own.mem_bytes == UINT64_MAX && own.cpus >= 1);
	put("proc/meminfo", "MemTotal: 9999999 kB\nMemAvailable:    1048576 kB\n");
	smoke_limits_read(temp_dir, 7, &limits);
	assert_true(limits.mem_bytes == 1024 * MIB && limits.cpus == own.cpus && limits.jobs == 7);
	put("proc/self/cgroup", "0::/a/b\n");
	put("sys/fs/cgroup/a/b/memory.max", "max\n");
	put("sys/fs/cgroup/a/b/memory.current", "4096\n");
	put("sys/fs/cgroup/a/memory.max", "536870912\n");
	put("sys/fs/cgroup/a/memory.current", "268435456\n");
	put("sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
	smoke_limits_read(temp_dir, 0, &limits);
	assert_true(limits.mem_bytes == 256 * MIB && limits.cpus == 1);
	put("sys/fs/cgroup/a/memory.current", "999999999999\n");
	smoke_limits_read(temp_dir, 0, &limits);
	assert_true(limits.mem_bytes == 0);
	temp_dir_remove();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpus_count_unless_jobs_are_given),
		cmocka_unit_test(test_memory_always_counts),
		cmocka_unit_test(test_a_load_that_ends_makes_room),
		cmocka_unit_test(test_the_host_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
