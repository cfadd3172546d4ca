#include "smoke/limits.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

/* Memory of a VM's process besides the guest's, with an unpacked kernel in it for a moment. */
#define OVERHEAD_BYTES (UINT64_C(64) << 20)

static uint64_t spec_bytes(const struct smoke_spec *spec)
{
	return spec->config.vm.machine.mem_bytes + OVERHEAD_BYTES;
}

bool smoke_limits_admit(const struct smoke_limits *limits, const struct smoke_load *load,
			const struct smoke_spec *spec)
{
	uint64_t bytes;

	if (load->jobs == 0)
		return true;
	if (!u64_add(load->mem_bytes, spec_bytes(spec), &bytes) || bytes > limits->mem_bytes)
		return false;
	if (limits->jobs)
		return load->jobs < limits->jobs;
	return load->cpus + spec->config.vm.machine.cpus <= limits->cpus;
}

void smoke_load_add(struct smoke_load *load, const struct smoke_spec *spec)
{
	load->mem_bytes += spec_bytes(spec);
	load->cpus += spec->config.vm.machine.cpus;
	load->jobs++;
}

void smoke_load_remove(struct smoke_load *load, const struct smoke_spec *spec)
{
	load->mem_bytes -= spec_bytes(spec);
	load->cpus -= spec->config.vm.machine.cpus;
	load->jobs--;
}

/* After key, the first line of DIR/NAME that begins with it; false when there is none. */
static bool read_line(const char *dir, const char *name, const char *key, char *buf, size_t cap)
{
	char path[PATH_MAX];
	const int len = snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = (size_t)len < sizeof(path) ? fopen(path, "re") : NULL;
	bool found = false;

	if (!f)
		return false;
	while (!found && fgets(buf, (int)cap, f))
		found = strncmp(buf, key, strlen(key)) == 0;
	fclose(f);
	if (!found)
		return false;
	memmove(buf, buf + strlen(key), strlen(buf) - strlen(key) + 1);
	buf[strcspn(buf, "\n")] = '\0';
	return true;
}

/* A decimal number after blanks; false for text such as "max". */
static bool take_number(const char **at, uint64_t *ret)
{
	char *end;

	*ret = strtoull(*at, &end, 10);
	if (end == *at)
		return false;
	*at = end;
	return true;
}

static bool read_number(const char *dir, const char *name, const char *key, uint64_t *ret)
{
	char line[128];
	const char *at = line;

	return read_line(dir, name, key, line, sizeof(line)) && take_number(&at, ret);
}

static void lower_mem(struct smoke_limits *limits, uint64_t bytes)
{
	if (bytes < limits->mem_bytes)
		limits->mem_bytes = bytes;
}

/* One control group's own limits; "max" is none, as is a file that is not there. */
static void read_cgroup(const char *dir, struct smoke_limits *limits)
{
	uint64_t max, now, quota, period;
	char line[128];
	const char *at = line;

	if (read_number(dir, "memory.max", "", &max) &&
	    read_number(dir, "memory.current", "", &now))
		lower_mem(limits, max > now ? max - now : 0);
	if (read_line(dir, "cpu.max", "", line, sizeof(line)) && take_number(&at, &quota) &&
	    take_number(&at, &period) && period > 0) {
		const uint64_t cpus = quota / period ? quota / period : 1;

		if (cpus < limits->cpus)
			limits->cpus = (unsigned)cpus;
	}
}

/* The group of this process and those above it. */
static void read_cgroups(const char *root, struct smoke_limits *limits)
{
	char dir[PATH_MAX], group[PATH_MAX / 2];
	char *slash;

	if (!read_line(root, "proc/self/cgroup", "0::", group, sizeof(group)))
		return;
	do {
		if (snprintf(dir, sizeof(dir), "%s/sys/fs/cgroup%s", root, group) <
		    (int)sizeof(dir))
			read_cgroup(dir, limits);
		slash = strrchr(group, '/');
		if (slash)
			*slash = '\0';
	} while (slash);
}

static unsigned affinity_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return (unsigned)CPU_COUNT(&set);
}

void smoke_limits_read(const char *root, unsigned jobs, struct smoke_limits *ret)
{
	uint64_t kib;

	*ret = (struct smoke_limits){
		.mem_bytes = UINT64_MAX, .cpus = affinity_cpus(), .jobs = jobs};
	if (read_number(root, "proc/meminfo", "MemAvailable:", &kib))
		lower_mem(ret, kib * 1024);
	read_cgroups(root, ret);
}
