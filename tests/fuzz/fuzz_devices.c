/*
 * Fuzz target: every device class, driven as iobus, the event thread and a back end drive it, with
 * fakes for all it is handed.
 *
 * Input: one byte chooses the class, then operations until it ends: one byte each for which, and
 * what it takes. Invariants, besides not crashing:
 * - a class gets only what classes.h says it takes; anything else is NULL;
 * - a value read is no wider than the access;
 * - the interrupt is set only when it changes, and a reset lowers it;
 * - a timer that expired late is not due again at once: a guest cannot make the host spin;
 * - a VM ends for a reason, by somebody.
 */
#include <assert.h>

#include "base/macros.h"
#include "fuzz.h"

#include "devices/classes.h"
#include "fake_env.h"
#include "mem.h"

enum { RANGES_MAX = 2, RX_MAX = 64 };

/* Keeps sums of times inside 64 bits: 73 years from 1970, or of uptime. */
#define TIME_MAX_NS (INT64_C(1) << 61)

struct target {
	const struct device_class *cls;
	uint8_t len[RANGES_MAX]; /* bytes of each range */
	uint8_t nr_ranges;
	bool clock, irq, irqs, timer, chr, power, mem; /* what it takes from its environment */
	const void *conf;
};

static const struct fw_cfg_conf fw_cfg = {
	.mem_bytes = UINT64_C(1) << 29,
	.cpus = 255,
	.nr_files = 2,
	.file =
		{
			{"opt/empty", NULL, 0},
			{"opt/text", (const uint8_t *)"text", 4},
		},
};

static const struct target targets[] = {
	{.cls = &rtc_mc146818_class,
	 .nr_ranges = 1,
	 .len = {2},
	 .clock = true,
	 .irq = true,
	 .timer = true},
	{.cls = &serial_16550_class, .nr_ranges = 1, .len = {8}, .irq = true, .chr = true},
	{.cls = &i8042_class, .nr_ranges = 2, .len = {1, 1}, .power = true},
	{.cls = &port80_class, .nr_ranges = 1, .len = {1}},
	{.cls = &debugcon_class, .nr_ranges = 1, .len = {1}, .chr = true},
	{.cls = &output_port_class, .nr_ranges = 1, .len = {8}, .chr = true},
	{.cls = &exit_port_class, .nr_ranges = 2, .len = {4, 2}, .power = true},
	{.cls = &pvpanic_class, .nr_ranges = 1, .len = {1}, .power = true},
	{.cls = &reset_cf9_class, .nr_ranges = 1, .len = {4}, .power = true},
	{.cls = &acpi_pm1_class, .nr_ranges = 1, .len = {6}, .power = true},
	{.cls = &scratch_class, .nr_ranges = 2, .len = {64, 64}},
	{.cls = &scratch_ports_class, .nr_ranges = 1, .len = {16}},
	{.cls = &fw_cfg_class, .nr_ranges = 1, .len = {2}, .conf = &fw_cfg},
	{.cls = &pc_testdev_ports_class, .nr_ranges = 2, .len = {4, 4}, .mem = true},
	{.cls = &pc_testdev_irqs_class, .nr_ranges = 1, .len = {24}, .irqs = true},
	{.cls = &pc_testdev_memory_class, .nr_ranges = 1, .len = {255}},
};

struct rig {
	const struct target *target;
	struct device *dev;
	struct fake_env fake;
};

/* Any access that iobus could make: inside the range, at most max_access wide. */
static struct io_at fuzz_at(const struct rig *rig, struct fuzz_input *in)
{
	const struct target *target = rig->target;
	const uint8_t byte = fuzz_u8(in);
	const uint8_t max = target->cls->max_access ? target->cls->max_access : 8;
	struct io_at at = {.range = (uint8_t)(byte % target->nr_ranges)};
	const uint8_t len = target->len[at.range];

	at.size = (uint8_t)(1 << (byte >> 6));
	while (at.size > max || at.size > len)
		at.size /= 2;
	at.off = (byte >> 1) % (len - at.size + 1U);
	return at;
}

static void op_read(struct rig *rig, struct fuzz_input *in)
{
	const struct io_at at = fuzz_at(rig, in);
	const uint64_t val = fake_read(rig->dev, at.range, at.off, at.size);

	assert(at.size == 8 || val >> (8 * at.size) == 0);
}

static void op_write(struct rig *rig, struct fuzz_input *in)
{
	const struct io_at at = fuzz_at(rig, in);

	fake_write(rig->dev, at.range, at.off, at.size, fuzz_uint(in, at.size));
}

static void op_expire(struct rig *rig, struct fuzz_input *in)
{
	(void)in; /* also when not due: the vCPU may have disarmed it meanwhile */
	if (!rig->target->cls->expire)
		return;
	rig->fake.deadline_ns = INT64_MAX;
	device_lock(rig->dev);
	rig->target->cls->expire(rig->dev);
	device_unlock(rig->dev);
	assert(rig->fake.deadline_ns > rig->fake.monotonic_ns);
}

static void op_pass(struct rig *rig, struct fuzz_input *in)
{
	const int64_t ns = (int64_t)fuzz_scaled(in, 50);

	if (rig->fake.monotonic_ns > TIME_MAX_NS || rig->fake.realtime_ns > TIME_MAX_NS)
		return;
	fake_pass_ns(&rig->fake, ns);
	if (rig->fake.deadline_ns <= rig->fake.monotonic_ns)
		op_expire(rig, in);
}

/* The host's clock is set. */
static void op_step(struct rig *rig, struct fuzz_input *in)
{
	const int64_t ns = (int64_t)fuzz_scaled(in, 53);
	const bool back = fuzz_u8(in) & 1;

	if (back && rig->fake.realtime_ns > -TIME_MAX_NS)
		rig->fake.realtime_ns -= ns;
	else if (!back && rig->fake.realtime_ns < TIME_MAX_NS)
		rig->fake.realtime_ns += ns;
}

static void op_rx(struct rig *rig, struct fuzz_input *in)
{
	const struct char_ops *chr = rig->target->cls->chr;
	uint8_t buf[RX_MAX];
	size_t n = fuzz_u8(in) % RX_MAX, room;

	if (!chr)
		return;
	for (size_t i = 0; i < n; i++)
		buf[i] = fuzz_u8(in);
	device_lock(rig->dev);
	room = chr->rx_room(rig->dev);
	if (n > room)
		n = room;
	if (n > 0)
		chr->rx(rig->dev, buf, n);
	assert(chr->rx_room(rig->dev) <= room);
	device_unlock(rig->dev);
}

/* The back end fills up, or drains and says so if it refused something. */
static void op_room(struct rig *rig, struct fuzz_input *in)
{
	const struct char_ops *chr = rig->target->cls->chr;

	rig->fake.room = fuzz_u8(in) % 32;
	if (!chr || !rig->fake.refused || rig->fake.room == 0)
		return;
	rig->fake.refused = false;
	device_lock(rig->dev);
	chr->tx_room(rig->dev);
	device_unlock(rig->dev);
}

/* Mostly what a guest does. */
static void (*const ops[])(struct rig *rig, struct fuzz_input *in) = {
	op_read,  op_read,  op_read, op_read,   op_write, op_write, op_write, op_write,
	op_write, op_write, op_pass, op_expire, op_rx,    op_room,  op_step,  op_write,
};

static void check(const struct rig *rig)
{
	const struct fake_env *fake = &rig->fake;

	assert(fake->irq_redundant == 0);
	if (fake->ends)
		assert(fake->end.kind != VM_END_NONE && fake->end.by);
}

/* One page for all inputs: what a device does to it is not seen. */
static struct guest_mem *guest_ram(void)
{
	static struct guest_mem mem;
	static const struct guest_region page = {.gpa = 0, .len = 4096};

	if (mem.nr_regions == 0 &&
	    guest_mem_init(&mem, &page, 1, &(struct guest_mem_opts){0}, NULL) < 0)
		abort();
	return &mem;
}

static bool rig_init(struct rig *rig, struct fuzz_input *in)
{
	const struct target *target = &targets[fuzz_u8(in) % ARRAY_SIZE(targets)];
	struct fake_env *fake = &rig->fake;

	rig->target = target;
	fake_env_init(fake);
	fake->realtime_ns = (int64_t)fuzz_scaled(in, 53);
	fake->env = (struct device_env){
		.clock = target->clock ? &fake->clock : NULL,
		.irq = target->irq ? &fake->irq : NULL,
		.timer = target->timer ? &fake->timer : NULL,
		.chr = target->chr ? &fake->chr : NULL,
		.power = target->power ? &fake->power : NULL,
		.irqs = target->irqs ? &fake->irqs : NULL,
		.mem = target->mem ? guest_ram() : NULL,
		.conf = target->conf,
	};
	return device_create(target->cls, &fake->env, &rig->dev) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {.data = data, .left = size};
	struct rig rig;

	if (!rig_init(&rig, &in))
		return 0;
	while (in.left > 0) {
		ops[fuzz_u8(&in) % ARRAY_SIZE(ops)](&rig, &in);
		check(&rig);
	}
	device_destroy(rig.dev);
	return 0;
}
