/*
 * ranges_run N ARGUMENT... - runs a guest as `tollgate run ARGUMENT...` does, with N further ranges on the port bus.
 * For bench/instructions.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "config.h"
#include "config/make_vm.h"
#include "vm.h"

enum {
	RANGES_FIRST = 0x1000, /* no device of ours is above this port */
	RANGE_STEP = 8,
	RANGE_BYTES = 4,
};

static uint64_t range_read(struct device *dev, struct io_at at)
{
	(void)dev;
	(void)at;
	return 0;
}

static void range_write(struct device *dev, struct io_at at, uint64_t val)
{
	(void)dev;
	(void)at;
	(void)val;
}

static const struct device_class range_class = {
	.name = "further range",
	.state_size = sizeof(struct device),
	.read = range_read,
	.write = range_write,
};

static int add_ranges(struct vm *vm, struct device *dev, unsigned n, struct diag *diag)
{
	AUTO_FREE struct iobus_range *range = calloc(n + 1, sizeof(*range));

	if (!range)
		return diag_set(diag, -ENOMEM, "ranges-memory", "%u ranges", n);
	for (unsigned i = 0; i < n; i++)
		range[i] = (struct iobus_range){
			.first = RANGES_FIRST + (uint64_t)i * RANGE_STEP,
			.len = RANGE_BYTES,
			.dev = dev,
			.owner = "further range",
		};
	return iobus_add_many(vm->pio, range, n, diag);
}

static int run(int argc, char **argv, struct diag *diag)
{
	static struct config config;
	static struct vm vm;
	struct device *dev = NULL;
	struct vm_end end = {0};
	int r;

	config_init(&config);
	r = config_parse_run(&config, argc - 1, argv + 1, diag);
	if (r == 0)
		r = config_confine(&config, diag);
	if (r == 0)
		r = config_make_vm(&config, &vm, diag);
	if (r == 0)
		r = device_create(&range_class, &(struct device_env){0}, &dev);
	if (r == 0)
		r = add_ranges(&vm, dev, (unsigned)strtoul(argv[1], NULL, 10), diag);
	if (r == 0)
		r = vm_run(&vm, &end, diag);
	if (!vm_fini(&vm))
		return -EIO; /* a thread still uses the rest */
	device_destroy(dev);
	config_fini(&config);
	return r == 0 && end.kind != VM_END_EXIT_CODE ? -EPROTO : r;
}

int main(int argc, char **argv)
{
	struct diag diag = {0};
	int r;

	if (argc < 3)
		return 2;
	r = run(argc, argv, &diag);
	if (r != 0)
		fprintf(stderr, "ranges_run: %d: %s\n", r, diag.what);
	return r == 0 ? 0 : 1;
}
