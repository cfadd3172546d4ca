/* Services of device.c under a device's lock: a timer's callback, and the calls of a back end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "device.h"

static struct {
	unsigned calls, unlocked;
	size_t room;
	char in[16];
	size_t in_len;
	bool listens;
} seen;

/* The lock is no recursive one: taken, it refuses also the thread that holds it. */
static void note_call(struct device *dev)
{
	seen.calls++;
	if (pthread_mutex_trylock(&dev->lock) == 0) {
		pthread_mutex_unlock(&dev->lock);
		seen.unlocked++;
	}
}

static bool test_listens(struct device *dev)
{
	note_call(dev);
	return seen.listens;
}

static size_t test_rx_room(struct device *dev)
{
	note_call(dev);
	return seen.room;
}

static void test_rx(struct device *dev, const uint8_t *buf, size_t n)
{
	note_call(dev);
	assert_true(n > 0 && n <= seen.room);
	memcpy(seen.in + seen.in_len, buf, n);
	seen.in_len += n;
	seen.room -= n;
}

static const struct char_ops all_ops = {
	.listens = test_listens,
	.rx_room = test_rx_room,
	.rx = test_rx,
	.rx_break = note_call,
	.tx_room = note_call,
	.resized = note_call,
};

static const struct device_class locked_class = {
	.name = "of the test",
	.state_size = sizeof(struct device),
	.expire = note_call,
};

static const struct device_class self_locked_class = {
	.name = "of the test",
	.state_size = sizeof(struct device),
	.self_locked = true,
	.expire = note_call,
};

static struct device *make(const struct device_class *cls)
{
	const struct device_env env = {0};
	struct device *dev;

	memset(&seen, 0, sizeof(seen));
	assert_int_equal(device_create(cls, &env, &dev), 0);
	return dev;
}

static void call_all(struct device *dev)
{
	struct device_char chr;
	const uint8_t byte = 'x';

	seen.room = 1;
	device_char_init(&chr, dev, &all_ops);
	chr.client.listens(&chr.client);
	assert_int_equal(chr.client.input(&chr.client, &byte, 1), 1);
	seen.room = 1;
	assert_true(chr.client.line_break(&chr.client, NULL, 0));
	chr.client.output_room(&chr.client);
	chr.client.resized(&chr.client);
	device_expire(dev);
	assert_int_equal(seen.calls, 8);
}

/* All of it, or nothing. */
static void a_break_takes_the_room_of_a_byte(void **state)
{
	struct device *dev = make(&locked_class);
	struct device_char chr;

	(void)state;
	device_char_init(&chr, dev, &all_ops);
	for (seen.room = 0; seen.room < 3; seen.room++)
		assert_false(chr.client.line_break(&chr.client, (const uint8_t *)"ab", 2));
	assert_int_equal(seen.in_len, 0);
	assert_true(chr.client.line_break(&chr.client, (const uint8_t *)"ab", 2));
	assert_int_equal(seen.in_len, 2);
	device_char_init(&chr, dev, &char_ops_output);
	assert_false(chr.client.line_break(&chr.client, NULL, 0));
	device_destroy(dev);
}

static void each_call_holds_the_lock_unless_self_locked(void **state)
{
	struct device *dev = make(&locked_class);

	(void)state;
	call_all(dev);
	assert_int_equal(seen.unlocked, 0);
	device_destroy(dev);
	dev = make(&self_locked_class);
	call_all(dev);
	assert_int_equal(seen.unlocked, seen.calls);
	device_destroy(dev);
}

static void input_is_no_more_than_the_device_has_room_for(void **state)
{
	struct device *dev = make(&locked_class);
	struct device_char chr;

	(void)state;
	device_char_init(&chr, dev, &all_ops);
	assert_int_equal(chr.client.input(&chr.client, (const uint8_t *)"abc", 3), 0);
	seen.room = 2;
	assert_int_equal(chr.client.input(&chr.client, (const uint8_t *)"abc", 3), 2);
	seen.room = 5;
	assert_int_equal(chr.client.input(&chr.client, (const uint8_t *)"c", 1), 1);
	assert_memory_equal(seen.in, "abc", 3);
	assert_int_equal(seen.in_len, 3);
	device_destroy(dev);
}

static void a_device_may_leave_out_listens_and_resized(void **state)
{
	static const struct char_ops few_ops = {
		.rx_room = test_rx_room, .rx = test_rx, .tx_room = note_call};
	struct device *dev = make(&locked_class);
	struct device_char chr;

	(void)state;
	device_char_init(&chr, dev, &few_ops);
	assert_true(chr.client.listens(&chr.client));
	chr.client.resized(&chr.client);
	assert_int_equal(seen.calls, 0);
	device_char_init(&chr, dev, &all_ops);
	assert_false(chr.client.listens(&chr.client));
	device_destroy(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_break_takes_the_room_of_a_byte),
		cmocka_unit_test(each_call_holds_the_lock_unless_self_locked),
		cmocka_unit_test(input_is_no_more_than_the_device_has_room_for),
		cmocka_unit_test(a_device_may_leave_out_listens_and_resized),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
