/* A clock that is stopped and goes on, on a host's clock that the test turns; and a timer that follows it. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/timerfd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "event.h"
#include "event/guest_clock.h"

static int64_t host_mono_ns, host_real_ns;

static int64_t realtime_ns(const struct clock_src *clk)
{
	(void)clk;
	return host_real_ns;
}

static int64_t monotonic_ns(const struct clock_src *clk)
{
	(void)clk;
	return host_mono_ns;
}

static const struct clock_src host = {.realtime_ns = realtime_ns, .monotonic_ns = monotonic_ns};
static struct guest_clock clock_;

static void pass(int64_t ns)
{
	host_mono_ns += ns;
	host_real_ns += ns;
}

static int setup(void **state)
{
	(void)state;
	host_mono_ns = 1000;
	host_real_ns = 5000000;
	guest_clock_init(&clock_, &host);
	return 0;
}

static void shows(int64_t mono_ns, int64_t real_ns)
{
	assert_int_equal(clock_.src.monotonic_ns(&clock_.src), mono_ns);
	assert_int_equal(clock_.src.realtime_ns(&clock_.src), real_ns);
}

static void it_stands_still_and_goes_on(void **state)
{
	(void)state;
	shows(1000, 5000000);
	pass(10);
	guest_clock_stop(&clock_);
	shows(1010, 5000010);
	pass(700);
	guest_clock_stop(&clock_); /* it does already */
	pass(1);
	shows(1010, 5000010);
	guest_clock_start(&clock_);
	shows(1010, 5000010);
	pass(5);
	guest_clock_start(&clock_);
	shows(1015, 5000015);
	guest_clock_stop(&clock_);
	pass(9);
	guest_clock_start(&clock_);
	shows(1015, 5000015);
}

/* Real time is the host's to set. */
static void real_time_is_set_while_it_stands(void **state)
{
	(void)state;
	guest_clock_stop(&clock_);
	pass(100);
	host_real_ns += 3600;
	shows(1000, 5003600);
}

static void deadlines_move_with_it(void **state)
{
	(void)state;
	assert_int_equal(guest_clock_to_host(&clock_, 1234), 1234);
	guest_clock_stop(&clock_);
	assert_int_equal(guest_clock_to_host(&clock_, 1234), INT64_MAX);
	pass(100);
	guest_clock_start(&clock_);
	assert_int_equal(guest_clock_to_host(&clock_, 1234), 1334);
	assert_int_equal(guest_clock_to_host(&clock_, INT64_MAX), INT64_MAX);
}

static struct event_loop loop;
static unsigned expirations;

static void expired(void *arg)
{
	(void)arg;
	expirations++;
	event_loop_stop(&loop);
}

/* For how long the timer's descriptor is armed; 0: it is not. */
static int64_t armed_ns(const struct guest_timer *timer)
{
	struct itimerspec spec;

	assert_int_equal(timerfd_gettime(timer->timer.src.fd, &spec), 0);
	return spec.it_value.tv_sec * NS_PER_S + spec.it_value.tv_nsec;
}

/* An hour: what the test itself takes does not matter. */
static void a_timer_waits_for_a_clock_that_stands(void **state)
{
	const int64_t hour_ns = 3600 * NS_PER_S, begin_ns = clock_monotonic_ns();
	struct guest_timer timer;

	(void)state;
	guest_clock_init(&clock_, &guest_clock_host);
	assert_int_equal(event_loop_init(&loop, NULL, NULL), 0);
	assert_int_equal(guest_timer_init(&timer, &loop, &clock_, expired, NULL), 0);
	timer.line.arm(&timer.line, begin_ns + hour_ns);
	assert_true(armed_ns(&timer) > 0);
	guest_clock_stop(&clock_);
	guest_timer_follow(&timer);
	assert_int_equal(armed_ns(&timer), 0);
	timer.line.arm(&timer.line, begin_ns + hour_ns); /* by a device, meanwhile */
	assert_int_equal(armed_ns(&timer), 0);
	poll(NULL, 0, 20);
	guest_clock_start(&clock_);
	guest_timer_follow(&timer);
	/* The time left is as before, however long the clock stood: at least 20 ms. */
	assert_true(armed_ns(&timer) > 0);
	assert_true(clock_monotonic_ns() + armed_ns(&timer) >= begin_ns + hour_ns + 20 * NS_PER_MS);
	timer.line.arm(&timer.line, INT64_MAX);
	guest_timer_follow(&timer);
	assert_int_equal(armed_ns(&timer), 0);
	guest_timer_fini(&timer);
	event_loop_fini(&loop);
}

/* One that has expired is not armed, so it does not expire again when the clock goes on. */
static void a_timer_that_expired_does_not_come_again(void **state)
{
	struct guest_timer timer;

	(void)state;
	guest_clock_init(&clock_, &guest_clock_host);
	expirations = 0;
	assert_int_equal(event_loop_init(&loop, NULL, NULL), 0);
	assert_int_equal(guest_timer_init(&timer, &loop, &clock_, expired, NULL), 0);
	timer.line.arm(&timer.line, 0);
	event_loop_run(&loop);
	assert_int_equal(expirations, 1);
	guest_clock_stop(&clock_);
	guest_timer_follow(&timer);
	guest_clock_start(&clock_);
	guest_timer_follow(&timer);
	assert_int_equal(armed_ns(&timer), 0);
	guest_timer_fini(&timer);
	event_loop_fini(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(it_stands_still_and_goes_on, setup),
		cmocka_unit_test_setup(real_time_is_set_while_it_stands, setup),
		cmocka_unit_test_setup(deadlines_move_with_it, setup),
		cmocka_unit_test(a_timer_waits_for_a_clock_that_stands),
		cmocka_unit_test(a_timer_that_expired_does_not_come_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
