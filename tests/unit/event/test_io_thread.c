/*
 * The end of a device's thread: its last kick, and what is known of a thread that the host, which a pipe
 * stands for here, does not let go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "event/io_thread.h"

enum { NEVER_WAITS = 77 }; /* no queue */

/* A device that waits for the host in one of its kicks. */
struct waiter {
	struct device dev;
	unsigned waits_in; /* a kick's queue */
	int host[2], here[2];
	unsigned last, ends; /* the last kick's queue; kicks that were the end's */
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

static void waiter_kick(struct device *dev, unsigned queue)
{
	struct waiter *w = container_of(dev, struct waiter, dev);

	w->last = queue;
	w->ends += queue == DOORBELL_END;
	if (queue == w->waits_in) {
		pass(w->here[1]);
		wait_for(w->host[0]);
	}
}

static const struct device_class waiter_class = {
	.name = "waiter",
	.state_size = sizeof(struct waiter),
	.self_locked = true,
	.kick = waiter_kick,
};

static int setup(void **state)
{
	(void)state;
	waiter = (struct waiter){.dev.cls = &waiter_class, .waits_in = NEVER_WAITS};
	io = (struct io_thread){0};
	assert_int_equal(pipe(waiter.host), 0);
	assert_int_equal(pipe(waiter.here), 0);
	assert_int_equal(io_thread_init(&io, NULL), 0);
	assert_int_equal(io_thread_attach(&io, &waiter.dev, 1, NULL), 0);
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

static void start(unsigned waits_in)
{
	waiter.waits_in = waits_in;
	assert_int_equal(io_thread_start(&io, "io-test", NULL), 0);
}

static void the_last_kick_tells_the_device(void **state)
{
	(void)state;
	start(NEVER_WAITS);
	io_thread_stop(&io);
	assert_true(io_thread_join(&io, INT64_MAX));
	assert_int_equal(waiter.ends, 1);
	assert_int_equal(waiter.last, DOORBELL_END);
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
	assert_int_equal(waiter.last, DOORBELL_END);
}

static void a_call_that_does_not_return_is_not_waited_for(void **state)
{
	(void)state;
	start(0);
	io.bell.ring(&io.bell, 0);
	wait_for(waiter.here[0]);
	io_thread_stop(&io);
	does_not_end("the host in a system call");
}

static void nor_is_a_request_that_does_not_end(void **state)
{
	(void)state;
	start(DOORBELL_END);
	io_thread_stop(&io);
	wait_for(waiter.here[0]);
	does_not_end("what it asked the host for");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_last_kick_tells_the_device, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_was_never_started_has_ended, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_call_that_does_not_return_is_not_waited_for,
						setup, teardown),
		cmocka_unit_test_setup_teardown(nor_is_a_request_that_does_not_end, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
