/* Unit tests of event/timer.c, on real timerfds: only their order counts, not how long they take. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "event.h"

struct rig {
	struct event_loop loop;
	struct event_timer timer, other;
	unsigned expired, stop_at; /* calls of count(); the loop ends with the last */
};

static struct rig rig;

static void count(void *arg)
{
	struct rig *r = arg;

	if (++r->expired == r->stop_at)
		event_loop_stop(&r->loop);
}

static void end_loop(void *arg)
{
	event_loop_stop(arg);
}

static void loop_run(void)
{
	atomic_store(&rig.loop.stop, false);
	event_loop_run(&rig.loop);
}

/* Runs until the timer has expired so often. */
static void run_until(unsigned times)
{
	rig.stop_at = times;
	loop_run();
}

/* Runs until another timer, set now, has expired. */
static void run_for(int64_t ns)
{
	rig.stop_at = 0;
	event_timer_arm_in(&rig.other, ns);
	loop_run();
}

static int set_up(void **state)
{
	(void)state;
	rig = (struct rig){0};
	return event_loop_init(&rig.loop, NULL, NULL) < 0 ||
	       event_timer_init(&rig.timer, &rig.loop, count, &rig) < 0 ||
	       event_timer_init(&rig.other, &rig.loop, end_loop, &rig.loop) < 0;
}

static int tear_down(void **state)
{
	(void)state;
	event_timer_fini(&rig.timer);
	event_timer_fini(&rig.other);
	event_loop_fini(&rig.loop);
	return 0;
}

static void a_new_timer_is_disarmed(void **state)
{
	(void)state;
	run_for(1);
	assert_int_equal(rig.expired, 0);
}

static void a_deadline_expires_once_and_not_before(void **state)
{
	const int64_t deadline_ns = clock_monotonic_ns() + NS_PER_MS;

	(void)state;
	event_timer_arm(&rig.timer, deadline_ns);
	run_until(1);
	assert_true(clock_monotonic_ns() >= deadline_ns);
	run_for(2 * NS_PER_MS);
	assert_int_equal(rig.expired, 1);
}

static void a_deadline_in_the_past_expires_at_once(void **state)
{
	static const int64_t past[] = {1, 0, -1, INT64_MIN};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		event_timer_arm(&rig.timer, past[i]);
		run_until(i + 1);
	}
	assert_int_equal(rig.expired, 4);
}

static void a_time_from_now_expires_once_and_not_before(void **state)
{
	const int64_t begin_ns = clock_monotonic_ns();

	(void)state;
	event_timer_arm_in(&rig.timer, NS_PER_MS);
	run_until(1);
	assert_true(clock_monotonic_ns() >= begin_ns + NS_PER_MS);
	event_timer_arm_in(&rig.timer, 0);
	run_until(2);
	run_for(NS_PER_MS);
	assert_int_equal(rig.expired, 2);
}

static void a_period_expires_again_and_again(void **state)
{
	const int64_t begin_ns = clock_monotonic_ns();

	(void)state;
	event_timer_arm_every(&rig.timer, NS_PER_MS);
	run_until(5);
	assert_true(clock_monotonic_ns() >= begin_ns + 5 * NS_PER_MS);
}

static void the_last_call_counts(void **state)
{
	(void)state;
	event_timer_arm_every(&rig.timer, 1);
	event_timer_arm(&rig.timer, clock_monotonic_ns() + 3600 * NS_PER_S);
	run_for(NS_PER_MS);
	assert_int_equal(rig.expired, 0);
	event_timer_arm(&rig.timer, 1); /* expired, which nobody has seen */
	event_timer_arm(&rig.timer, INT64_MAX);
	run_for(NS_PER_MS);
	assert_int_equal(rig.expired, 0);
	event_timer_arm_every(&rig.timer, 1);
	event_timer_arm_in(&rig.timer, 1);
	run_until(1);
	run_for(NS_PER_MS);
	assert_int_equal(rig.expired, 1);
}

static unsigned open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void one_that_cannot_be_watched_leaves_no_file(void **state)
{
	struct event_loop none = {.epoll_fd = -1};
	struct event_timer timer;
	const unsigned files = open_files();

	(void)state;
	assert_int_equal(event_timer_init(&timer, &none, count, &rig), -EBADF);
	assert_int_equal(open_files(), files);
	event_timer_fini(&timer);
	event_timer_fini(&timer);
	assert_int_equal(open_files(), files);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_timer_is_disarmed),
		TEST(a_deadline_expires_once_and_not_before),
		TEST(a_deadline_in_the_past_expires_at_once),
		TEST(a_time_from_now_expires_once_and_not_before),
		TEST(a_period_expires_again_and_again),
		TEST(the_last_call_counts),
		TEST(one_that_cannot_be_watched_leaves_no_file),
	};

	return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
