/* Unit tests of virtio/console.c, with a back end of the test's own. */
#include <string.h>
#include <sys/timerfd.h>

#include <linux/virtio_console.h>

#include "base/macros.h"
#include "virtio_device_rig.h"

enum {
	RX,
	TX,
	SIZE = 64,
	TX_QUEUE_GPA = 0x20000,
	DATA_GPA = 0x40000,
	BUF_BYTES = 4096,
	OUT_BYTES = 1 << 18,
	INPUT_BYTES = 1 << 14, /* that the device holds */
};

static struct virtq_driver rx, tx;
static struct {
	struct char_backend be;
	uint8_t out[OUT_BYTES];
	size_t len, room;
	uint16_t cols, rows; /* 0: no terminal */
	unsigned wanted;     /* calls of input_wanted */
	int64_t stuck_ns;    /* that the timer was set to; 0: it is not set */
	unsigned timer_sets; /* calls */
} host;

int __real_timerfd_settime(int fd, int flags, const struct itimerspec *spec,
			   struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *spec,
			   struct itimerspec *old);

/* It expires at once, which is noticed when the loop runs. */
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *spec, struct itimerspec *old)
{
	struct itimerspec at_once = *spec;

	host.timer_sets++;
	host.stuck_ns = spec->it_value.tv_sec * NS_PER_S + spec->it_value.tv_nsec;
	if (host.stuck_ns)
		at_once.it_value = (struct timespec){.tv_nsec = 1};
	return __real_timerfd_settime(fd, flags, &at_once, old);
}

static size_t host_write(struct char_backend *be, const uint8_t *buf, size_t n)
{
	(void)be;
	if (n > host.room)
		n = host.room;
	assert_true(n <= OUT_BYTES - host.len);
	memcpy(host.out + host.len, buf, n);
	host.len += n;
	host.room -= n;
	return n;
}

static void host_input_wanted(struct char_backend *be)
{
	(void)be;
	host.wanted++;
}

static bool host_size(const struct char_backend *be, uint16_t *ret_cols, uint16_t *ret_rows)
{
	(void)be;
	*ret_cols = host.cols;
	*ret_rows = host.rows;
	return host.cols > 0;
}

static bool start_driver(uint64_t features)
{
	virtq_driver_init(&rx, &rig.mem, VIRTIO_RIG_QUEUE_GPA, SIZE);
	virtq_driver_init(&tx, &rig.mem, TX_QUEUE_GPA, SIZE);
	if (!virtio_rig_negotiate(&rig, features) || !virtio_rig_queue(&rig, RX, &rx) ||
	    !virtio_rig_queue(&rig, TX, &tx))
		return false;
	virtio_rig_driver_ok(&rig);
	return true;
}

static int set_up(uint16_t cols, uint16_t rows)
{
	int r = virtio_rig_prepare(&rig, &virtio_console_class, NULL);

	memset(&host, 0, sizeof(host));
	host.be = (struct char_backend){
		.write = host_write, .input_wanted = host_input_wanted, .size = host_size};
	host.room = OUT_BYTES;
	host.cols = cols;
	host.rows = rows;
	rig.f.env.chr = &host.be;
	return r < 0 ? r : virtio_rig_create(&rig);
}

static int setup(void **state)
{
	(void)state;
	return set_up(0, 0) < 0 || !start_driver(0) ? -1 : 0;
}

static int setup_terminal(void **state)
{
	(void)state;
	return set_up(80, 25);
}

static const struct char_ops *ops(void)
{
	return virtio_console_class.chr;
}

/* Byte i of a stream in which no eight bytes occur twice. */
static uint8_t byte_at(size_t i)
{
	return (uint8_t)((uint32_t)(i / 4 + 1) * 2654435761U >> 8 * (i % 4));
}

static void fill(uint64_t gpa, size_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		at(gpa)[i] = byte_at(from + i);
}

static void expect_out(size_t n)
{
	assert_int_equal(host.len, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(host.out[i], byte_at(i));
}

/* The host offers bytes from..to of the stream; the device takes no more than it said. */
static size_t type(size_t from, size_t to)
{
	uint8_t buf[512];

	while (from < to) {
		size_t n = ops()->rx_room(rig.dev);

		if (n == 0)
			break;
		if (n > sizeof(buf))
			n = sizeof(buf);
		if (n > to - from)
			n = to - from;
		for (size_t i = 0; i < n; i++)
			buf[i] = byte_at(from + i);
		ops()->rx(rig.dev, buf, n);
		from += n;
	}
	return from;
}

static void send_one(uint64_t gpa, uint32_t len)
{
	virtq_driver_add(&tx, &(struct virtq_buf){gpa, len, false}, 1);
	virtio_rig_kick(&rig, TX);
}

static void receive_into(uint64_t gpa, uint32_t len)
{
	virtq_driver_add(&rx, &(struct virtq_buf){gpa, len, true}, 1);
	virtio_rig_kick(&rig, RX);
}

static unsigned used(struct virtq_driver *drv)
{
	uint32_t id = 0, len = 0;
	unsigned n = 0;

	while (virtq_driver_used(drv, &id, &len))
		n++;
	return n;
}

static void output_of_many_pieces_and_chains_comes_in_order(void **state)
{
	const struct virtq_buf bufs[] = {{DATA_GPA, 1, false},
					 {DATA_GPA + 0x1000, 4000, false},
					 {DATA_GPA + 0x2000, 99, false}};

	(void)state;
	fill(DATA_GPA, 0, 1);
	fill(DATA_GPA + 0x1000, 1, 4000);
	fill(DATA_GPA + 0x2000, 4001, 99);
	virtq_driver_add(&tx, bufs, 3);
	virtio_rig_kick(&rig, TX);
	for (size_t i = 0; i < 50; i++) {
		fill(DATA_GPA + 0x3000 + i * 64, 4100 + i * 64, 64);
		virtq_driver_add(&tx, &(struct virtq_buf){DATA_GPA + 0x3000 + i * 64, 64, false},
				 1);
	}
	virtio_rig_kick(&rig, TX);
	expect_out(4100 + 50 * 64);
	assert_int_equal(used(&tx), 51);
	assert_int_equal(rig.pulses, 2); /* one a kick, not one a chain */
}

static void output_waits_for_room_and_is_not_used_before(void **state)
{
	(void)state;
	fill(DATA_GPA, 0, 3000);
	host.room = 1000;
	send_one(DATA_GPA, 3000);
	expect_out(1000);
	assert_int_equal(used(&tx), 0);
	assert_false(virtq_driver_kick_wanted(&tx, 0)); /* a kick would change nothing */
	host.room = 1500;
	ops()->tx_room(rig.dev);
	expect_out(2500);
	assert_int_equal(used(&tx), 0);
	host.room = OUT_BYTES;
	ops()->tx_room(rig.dev);
	expect_out(3000);
	assert_int_equal(used(&tx), 1);
	assert_true(virtq_driver_kick_wanted(&tx, 0));
}

/* From the first byte that waits until room is made, whatever the driver does meanwhile; and again. */
static void output_waits_for_5_seconds_at_most(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		host.room = 10;
		host.timer_sets = 0;
		send_one(DATA_GPA, 3000);
		assert_int_equal(host.stuck_ns, 5 * NS_PER_S);
		send_one(DATA_GPA, 3000);
		virtio_rig_kick(&rig, TX);
		assert_int_equal(host.timer_sets, 1);
		host.room = OUT_BYTES - host.len;
		ops()->tx_room(rig.dev);
		assert_int_equal(used(&tx), 2);
		assert_int_equal(host.stuck_ns, 0);
	}
	assert_int_equal(counted("dropped_bytes"), 0);
}

static void stop_on_interrupt(struct irq_line *irq)
{
	struct virtio_rig *r = container_of(irq, struct virtio_rig, irq);

	r->pulses++;
	event_loop_stop(&r->loop);
}

/* Linux's driver waits in a loop: nobody reads for a while, and the buffer comes back all the same. */
static void output_that_nobody_reads_is_dropped_until_somebody_does(void **state)
{
	(void)state;
	fill(DATA_GPA, 0, 3000);
	host.room = 1000;
	send_one(DATA_GPA, 3000);
	assert_int_equal(used(&tx), 0);
	rig.irq.pulse = stop_on_interrupt;
	event_loop_run(&rig.loop); /* until the time is up */
	assert_int_equal(used(&tx), 1);
	expect_out(1000);
	send_one(DATA_GPA, 500); /* goes the same way, at once */
	assert_int_equal(used(&tx), 1);
	assert_int_equal(counted("dropped_bytes"), 2500);
	host.room = 30; /* as far as there is room, which nobody announced */
	fill(DATA_GPA, 1000, 50);
	send_one(DATA_GPA, 50);
	assert_int_equal(used(&tx), 1);
	expect_out(1030);
	assert_int_equal(counted("dropped_bytes"), 2520);
	host.room = 100;
	ops()->tx_room(rig.dev); /* somebody reads: from here on output waits again */
	fill(DATA_GPA, 1030, 200);
	send_one(DATA_GPA, 200);
	expect_out(1130);
	assert_int_equal(used(&tx), 0);
	host.room = OUT_BYTES;
	ops()->tx_room(rig.dev);
	expect_out(1230);
	assert_int_equal(used(&tx), 1);
}

static void input_fills_buffers_in_order(void **state)
{
	uint32_t id = 0, len = 0;

	(void)state;
	receive_into(DATA_GPA, 100);
	receive_into(DATA_GPA + 0x1000, 100);
	assert_int_equal(rig.pulses, 0);
	assert_int_equal(type(0, 150), 150);
	assert_true(virtq_driver_used(&rx, &id, &len));
	assert_int_equal(len, 100);
	assert_true(virtq_driver_used(&rx, &id, &len));
	assert_int_equal(len, 50);
	for (size_t i = 0; i < 150; i++)
		assert_int_equal(at(i < 100 ? DATA_GPA : DATA_GPA + 0x1000)[i % 100], byte_at(i));
}

static void input_waits_for_buffers(void **state)
{
	size_t got = 0, typed;

	(void)state;
	assert_int_equal(type(0, OUT_BYTES), INPUT_BYTES); /* and no more */
	assert_int_equal(ops()->rx_room(rig.dev), 0);
	typed = INPUT_BYTES;
	assert_true(virtq_driver_kick_wanted(&rx, 0));
	while (got < OUT_BYTES) {
		uint32_t id, len = 0;
		const unsigned wanted = host.wanted;

		receive_into(DATA_GPA, 1000);
		assert_true(virtq_driver_used(&rx, &id, &len));
		for (uint32_t i = 0; i < len; i++)
			assert_int_equal(at(DATA_GPA)[i], byte_at(got + i));
		got += len;
		assert_true(host.wanted > wanted); /* there is room for more */
		typed = type(typed, OUT_BYTES);
	}
	assert_int_equal(got, OUT_BYTES);
}

/* Buffers for input need no kick while there is none. */
static void kicks_for_input_are_not_wanted_without_input(void **state)
{
	(void)state;
	receive_into(DATA_GPA, 100);
	assert_false(virtq_driver_kick_wanted(&rx, 0));
}

static void input_outlives_a_reset(void **state)
{
	uint32_t id = 0, len = 0;

	(void)state;
	type(0, 10);
	assert_true(start_driver(0));
	receive_into(DATA_GPA, 100);
	assert_true(virtq_driver_used(&rx, &id, &len));
	assert_int_equal(len, 10);
	assert_int_equal(at(DATA_GPA)[9], byte_at(9));
}

static void it_listens_while_a_driver_is_there(void **state)
{
	(void)state;
	assert_true(ops()->listens(rig.dev));
	virtio_rig_write(&rig, VIRTIO_MMIO_STATUS, 0);
	assert_false(ops()->listens(rig.dev));
	assert_true(virtio_rig_negotiate(&rig, 0));
	assert_true(virtio_rig_queue(&rig, TX, &tx)); /* a driver that only sends */
	virtio_rig_driver_ok(&rig);
	assert_false(ops()->listens(rig.dev));
}

static void a_reset_forgets_the_chain_that_waited(void **state)
{
	(void)state;
	host.room = 0;
	send_one(DATA_GPA, 100);
	assert_true(start_driver(0));
	host.room = OUT_BYTES;
	ops()->tx_room(rig.dev);
	assert_int_equal(host.len, 0);
	fill(DATA_GPA, 0, 10);
	send_one(DATA_GPA, 10);
	expect_out(10);
}

/* 5.3.6.1: the driver must not do that. It gets a reset to do, and the device works again after it. */
static void buffers_of_the_wrong_kind_need_a_reset(void **state)
{
	(void)state;
	virtq_driver_add(&tx, &(struct virtq_buf){DATA_GPA, 10, true}, 1);
	virtio_rig_kick(&rig, TX);
	assert_true(virtio_rig_status(&rig) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_string_equal(rig.vd->reset_why, "device-writable buffer in the transmitq");
	assert_true(start_driver(0));
	type(0, 10);
	virtq_driver_add(&rx, &(struct virtq_buf){DATA_GPA, 10, false}, 1);
	virtio_rig_kick(&rig, RX);
	assert_true(virtio_rig_status(&rig) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_string_equal(rig.vd->reset_why, "device-readable buffer in the receiveq");
	assert_true(start_driver(0));
	fill(DATA_GPA, 0, 10);
	send_one(DATA_GPA, 10);
	expect_out(10);
}

static void a_broken_ring_needs_a_reset(void **state)
{
	(void)state;
	virtq_driver_offer(&tx, SIZE);
	virtio_rig_kick(&rig, TX);
	assert_true(virtio_rig_status(&rig) & VIRTIO_CONFIG_S_NEEDS_RESET);
	ops()->tx_room(rig.dev);
	assert_int_equal(type(0, 10), 10); /* the host's side goes on */
	assert_true(start_driver(0));
}

/* All 64 chains of a full queue at once, and again: one kick's share is not unlimited. */
static void full_queues_are_worked_off(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		for (size_t i = 0; i < SIZE; i++) {
			fill(DATA_GPA + i * 16, ((size_t)round * SIZE + i) * 16, 16);
			virtq_driver_add(&tx, &(struct virtq_buf){DATA_GPA + i * 16, 16, false}, 1);
		}
		virtio_rig_kick(&rig, TX);
		assert_int_equal(used(&tx), SIZE);
		assert_true(virtq_driver_kick_wanted(&tx, 0));
	}
	expect_out((size_t)3 * SIZE * 16);
}

static uint32_t config32(uint32_t off)
{
	return virtio_rig_read(&rig, VIRTIO_MMIO_CONFIG + off);
}

static void without_a_terminal_no_size_is_offered(void **state)
{
	(void)state;
	assert_false(virtio_rig_features(&rig) >> VIRTIO_CONSOLE_F_SIZE & 1);
	assert_int_equal(config32(0), 0);
	host.cols = 10;
	ops()->resized(rig.dev);
	assert_int_equal(config32(0), 0);
}

static void nothing_that_is_not_whole_is_offered(void **state)
{
	(void)state;
	assert_false(virtio_rig_features(&rig) >> VIRTIO_CONSOLE_F_MULTIPORT & 1);
	assert_false(virtio_rig_features(&rig) >> VIRTIO_CONSOLE_F_EMERG_WRITE & 1);
}

static void the_size_of_the_terminal_is_told(void **state)
{
	const unsigned generation = virtio_rig_read(&rig, VIRTIO_MMIO_CONFIG_GENERATION);
	unsigned pulses;

	(void)state;
	assert_true(virtio_rig_features(&rig) >> VIRTIO_CONSOLE_F_SIZE & 1);
	assert_int_equal(config32(0), 80 | 25 << 16);
	host.cols = 100;
	ops()->resized(rig.dev); /* no driver yet: it finds it when it starts */
	assert_true(start_driver(UINT64_C(1) << VIRTIO_CONSOLE_F_SIZE));
	assert_int_equal(config32(0), 100 | 25 << 16);
	pulses = rig.pulses;
	host.rows = 50;
	ops()->resized(rig.dev);
	assert_int_equal(config32(0), 100 | 50 << 16);
	assert_int_equal(rig.pulses, pulses + 1);
	assert_true(virtio_rig_read(&rig, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
	assert_true(virtio_rig_read(&rig, VIRTIO_MMIO_CONFIG_GENERATION) != generation);
	ops()->resized(rig.dev); /* to what it is: no news */
	assert_int_equal(rig.pulses, pulses + 1);
}

int main(void)
{
#define CONSOLE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CONSOLE_TEST(output_of_many_pieces_and_chains_comes_in_order),
		CONSOLE_TEST(output_waits_for_room_and_is_not_used_before),
		CONSOLE_TEST(output_waits_for_5_seconds_at_most),
		CONSOLE_TEST(output_that_nobody_reads_is_dropped_until_somebody_does),
		CONSOLE_TEST(input_fills_buffers_in_order),
		CONSOLE_TEST(input_waits_for_buffers),
		CONSOLE_TEST(kicks_for_input_are_not_wanted_without_input),
		CONSOLE_TEST(input_outlives_a_reset),
		CONSOLE_TEST(it_listens_while_a_driver_is_there),
		CONSOLE_TEST(a_reset_forgets_the_chain_that_waited),
		CONSOLE_TEST(buffers_of_the_wrong_kind_need_a_reset),
		CONSOLE_TEST(a_broken_ring_needs_a_reset),
		CONSOLE_TEST(full_queues_are_worked_off),
		CONSOLE_TEST(without_a_terminal_no_size_is_offered),
		CONSOLE_TEST(nothing_that_is_not_whole_is_offered),
		cmocka_unit_test_setup_teardown(the_size_of_the_terminal_is_told, setup_terminal,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
