/*
 * What a boot's process may say of itself: one that a guest has taken over tells lies about its own boot,
 * and they reach neither a terminal nor what is said of other boots.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "smoke/boot.h"

enum { MESSAGES_MAX = 4 };

/* What the process says before it ends. */
static struct smoke_msg says[MESSAGES_MAX];
static unsigned nr_says;

static struct event_loop loop;
static struct smoke_spec spec;
static struct smoke_result result;
static int64_t begin_ns;

int __wrap_smoke_child_start(const struct smoke_spec *of, struct smoke_child *ret,
			     struct diag *diag);

int __wrap_smoke_child_start(const struct smoke_spec *of, struct smoke_child *ret,
			     struct diag *diag)
{
	int ends[2];

	(void)of;
	(void)diag;
	for (unsigned i = 0; i <= SMOKE_STREAMS; i++) {
		assert_int_equal(pipe(ends), 0);
		if (i < SMOKE_STREAMS) {
			close(ends[1]);
			ret->stream_fd[i] = ends[0];
		}
	}
	ret->report_fd = ends[0];
	ret->pid = fork();
	if (ret->pid == 0)
		_exit(write(ends[1], says, nr_says * sizeof(says[0])) < 0);
	close(ends[1]);
	ret->pid_fd = (int)syscall(SYS_pidfd_open, ret->pid, 0);
	return ret->pid > 0 && ret->pid_fd >= 0 ? 0 : -errno;
}

static void done(struct smoke_boot *boot, void *arg)
{
	(void)boot;
	(void)arg;
	event_loop_stop(&loop);
}

static int setup(void **state)
{
	(void)state;
	memset(says, 0, sizeof(says));
	nr_says = 0;
	spec = (struct smoke_spec){.name = (char[]){"boot"}};
	result = (struct smoke_result){0};
	begin_ns = clock_monotonic_ns();
	return event_loop_init(&loop, NULL, NULL);
}

static int teardown(void **state)
{
	(void)state;
	smoke_result_fini(&result);
	event_loop_fini(&loop);
	return 0;
}

static struct smoke_msg *say(enum smoke_msg_type type, int64_t at_ns)
{
	says[nr_says] = (struct smoke_msg){.type = type, .at_ns = at_ns};
	return &says[nr_says++];
}

static void boot(void)
{
	const struct smoke_boot_opts opts = {
		.spec = &spec, .result = &result, .loop = &loop, .done = done};
	struct smoke_boot *made = NULL;
	struct diag diag = {0};

	assert_int_equal(smoke_boot_create(&opts, &made, &diag), 0);
	event_loop_run(&loop);
	smoke_boot_destroy(made);
}

static void assert_in_the_boots_life(int64_t ns)
{
	assert_true(ns >= begin_ns && ns <= clock_monotonic_ns());
}

static void times_are_within_the_boots_life(void **state)
{
	static const int64_t at_ns[] = {INT64_MIN, -1, 1, INT64_MAX};

	for (unsigned i = 0; i < sizeof(at_ns) / sizeof(at_ns[0]); i++) {
		setup(state);
		say(SMOKE_MSG_STARTED, at_ns[i]);
		say(SMOKE_MSG_ENDED, at_ns[i])->ended.kind = VM_END_POWEROFF;
		boot();
		assert_int_equal(result.outcome, SMOKE_PASS);
		assert_in_the_boots_life(result.times.guest_ns);
		assert_in_the_boots_life(result.times.end_ns);
		if (i + 1 < sizeof(at_ns) / sizeof(at_ns[0]))
			teardown(state);
	}
}

static void a_guest_begins_once(void **state)
{
	(void)state;
	say(SMOKE_MSG_STARTED, begin_ns);
	say(SMOKE_MSG_STARTED, INT64_MAX);
	say(SMOKE_MSG_ENDED, INT64_MAX)->ended.kind = VM_END_POWEROFF;
	boot();
	assert_int_equal(result.times.guest_ns, result.times.start_ns);
}

static void words_are_made_safe(void **state)
{
	struct smoke_msg *msg;

	(void)state;
	msg = say(SMOKE_MSG_FAILED, 0);
	memset(&msg->failed, 'a', sizeof(msg->failed)); /* no end */
	memcpy(msg->failed.what, "\033[2Jwhat\n", 9);
	memcpy(msg->failed.remedy, "\033]0;title\007remedy\r", 17);
	msg = say(SMOKE_MSG_ENDED, 0);
	msg->ended.kind = VM_END_POWEROFF;
	memset(msg->ended.by, 0xff, sizeof(msg->ended.by));
	memcpy(msg->ended.by, "\033cby", 4);
	boot();
	assert_int_equal(result.outcome, SMOKE_SETUP_ERROR);
	assert_memory_equal(result.diag.what, "what a", 6);
	assert_memory_equal(result.diag.remedy, "remedy", 6);
	assert_null(strchr(result.diag.remedy, '\r'));
	assert_memory_equal(result.end_by, "by\xef\xbf\xbd", 5);
	assert_true(strlen(result.end_by) < sizeof(result.end_by));
}

static void an_end_that_there_is_not_is_none(void **state)
{
	(void)state;
	say(SMOKE_MSG_STARTED, 0);
	say(SMOKE_MSG_ENDED, 0)->ended.kind = UINT32_MAX;
	boot();
	assert_true(result.facts.vmm_died);
	assert_int_equal(result.outcome, SMOKE_KVM_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(times_are_within_the_boots_life, NULL, teardown),
		cmocka_unit_test_setup_teardown(a_guest_begins_once, setup, teardown),
		cmocka_unit_test_setup_teardown(words_are_made_safe, setup, teardown),
		cmocka_unit_test_setup_teardown(an_end_that_there_is_not_is_none, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
