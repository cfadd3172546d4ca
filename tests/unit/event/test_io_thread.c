/*
 * A device's thread: which operation of the device each event calls, its last one, and what is known of a thread that
 * the host, which a pipe stands for here, does not let go.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macros.h"
#include "event/io_thread.h"

enum { QUEUES = 2 };
enum op { OP_NONE, OP_KICK, OP_CONTROL, OP_COUNTED, OP_END };

/* A device that waits for the host in one of its operations. */
struct waiter {
	struct device dev;
	enum op waits_in;
	int host[2], here[2];
	enum op last; /* the latest operation */
	unsigned queue, ends;
};

static struct waiter waiter;
static struct io_thread io;

static void pass(int fd)
{
	assert_int_equal(write(fd, "", 1), 1);
}

static void wait_for(int fd)
{
	char byte;

	assert_int_equal(read(fd, &byte, 1), 1);
}

static void note(struct device *dev, enum op op)
{
	struct waiter *w = container_of(dev, struct waiter, dev);

	w->last = op;
	if (op == w->waits_in) {
		pass(w->here[1]);
		wait_for(w->host[0]);
	}
}

static void waiter_kick(struct device *dev, unsigned queue)
{
	container_of(dev, struct waiter, dev)->queue = queue;
	note(dev, OP_KICK);
}

static void waiter_control(struct device *dev)
{
	note(dev, OP_CONTROL);
}

static void waiter_counted(struct device *dev)
{
	note(dev, OP_COUNTED);
}

static void waiter_end(struct device *dev)
{
	container_of(dev, struct waiter, dev)->ends++;
	note(dev, OP_END);
}

static unsigned waiter_nr_queues(struct device *dev)
{
	(void)dev;
	return QUEUES;
}

static const struct device_io_ops waiter_io = {
	.kick = waiter_kick,
	.control = waiter_control,
	.counted = waiter_counted,
	.end = waiter_end,
	.nr_queues = waiter_nr_queues,
};

static const struct device_class waiter_class = {
	.name = "waiter",
	.state_size = sizeof(struct waiter),
	.self_locked = true,
	.io = &waiter_io,
};

static int setup(void **state)
{
	(void)state;
	waiter = (struct waiter){.dev.cls = &waiter_class};
	io = (struct io_thread){0};
	assert_int_equal(pipe(waiter.host), 0);
	assert_int_equal(pipe(waiter.here), 0);
	assert_int_equal(io_thread_init(&io, NULL), 0);
	assert_int_equal(io_thread_attach(&io, &waiter.dev, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	const struct kvm none = {.fd = -1, .vm_fd = -1};

	(void)state;
	io_thread_fini(&io, &none);
	for (unsigned i = 0; i < 2; i++) {
		close(waiter.host[i]);
		close(waiter.here[i]);
	}
	return 0;
}

static void start(enum op waits_in)
{
	waiter.waits_in = waits_in;
	assert_int_equal(io_thread_start(&io, THREAD_IO, "io-test", NULL), 0);
}

static void the_last_operation_is_the_end(void **state)
{
	(void)state;
	start(OP_NONE);
	io_thread_stop(&io);
	assert_true(io_thread_join(&io, INT64_MAX));
	assert_int_equal(waiter.ends, 1);
	assert_int_equal(waiter.last, OP_END);
}

/* The thread has called op; then it ends. */
static void calls(enum op op)
{
	wait_for(waiter.here[0]);
	assert_int_equal(waiter.last, op);
	waiter.waits_in = OP_NONE; /* the thread, which waits, reads it afterwards */
	pass(waiter.host[1]);
	io_thread_stop(&io);
	assert_true(io_thread_join(&io, INT64_MAX));
}

static void a_ring_is_a_kick_of_that_queue(void **state)
{
	(void)state;
	start(OP_KICK);
	io.bell.ring(&io.bell, QUEUES - 1);
	calls(OP_KICK);
	assert_int_equal(waiter.queue, QUEUES - 1);
}

static void work_of_another_thread_is_a_control(void **state)
{
	(void)state;
	start(OP_CONTROL);
	io.bell.control(&io.bell);
	calls(OP_CONTROL);
}

static void one_that_was_never_started_has_ended(void **state)
{
	(void)state;
	io_thread_stop(&io);
	assert_true(io_thread_join(&io, 0));
	assert_int_equal(waiter.ends, 0);
}

/* Does not end, says why, and ends once the host answers. */
static void does_not_end(const char *why)
{
	char buf[128];

	assert_false(io_thread_join(&io, clock_monotonic_ns()));
	assert_non_null(strstr(io_thread_waits_for(&io, buf, sizeof(buf)), why));
	pass(waiter.host[1]);
	assert_true(io_thread_join(&io, INT64_MAX));
	assert_int_equal(waiter.ends, 1);
	assert_int_equal(waiter.last, OP_END);
}

static void a_call_that_does_not_return_is_not_waited_for(void **state)
{
	(void)state;
	start(OP_KICK);
	io.bell.ring(&io.bell, 0);
	wait_for(waiter.here[0]);
	io_thread_stop(&io);
	does_not_end("the host in a system call");
}

static void nor_is_a_request_that_does_not_end(void **state)
{
	(void)state;
	start(OP_END);
	io_thread_stop(&io);
	wait_for(waiter.here[0]);
	does_not_end("what it asked the host for");
}

/* Requests to a parked thread wait until it goes on. */
static void a_parked_thread_does_nothing(void **state)
{
	(void)state;
	start(OP_KICK);
	for (unsigned i = 0; i < 100; i++) {
		io_thread_park(&io);
		assert_true(io_thread_await_parked(&io, INT64_MAX));
		io_thread_unpark(&io);
	}
	io_thread_park(&io);
	assert_true(io_thread_await_parked(&io, INT64_MAX));
	io.bell.ring(&io.bell, 1);
	poll(NULL, 0, 20); /* for one that does not wait */
	assert_int_not_equal(waiter.last, OP_KICK);
	io_thread_unpark(&io);
	calls(OP_KICK);
	assert_int_equal(waiter.queue, 1);
}

static void one_that_the_host_keeps_is_not_parked(void **state)
{
	(void)state;
	start(OP_KICK);
	io.bell.ring(&io.bell, 0);
	wait_for(waiter.here[0]);
	io_thread_park(&io);
	assert_false(io_thread_await_parked(&io, clock_monotonic_ns() + NS_PER_MS));
	waiter.waits_in = OP_NONE;
	pass(waiter.host[1]);
	assert_true(io_thread_await_parked(&io, INT64_MAX));
	io_thread_stop(&io); /* which a parked one does */
	assert_true(io_thread_join(&io, INT64_MAX));
	assert_int_equal(waiter.ends, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_last_operation_is_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(a_ring_is_a_kick_of_that_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(work_of_another_thread_is_a_control, setup,
						teardown),
		cmocka_unit_test_setup_teardown(one_that_was_never_started_has_ended, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_call_that_does_not_return_is_not_waited_for,
						setup, teardown),
		cmocka_unit_test_setup_teardown(nor_is_a_request_that_does_not_end, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_parked_thread_does_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_the_host_keeps_is_not_parked, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
