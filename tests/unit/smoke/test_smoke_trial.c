/*
 * Processes of boots that misbehave: one that a guest has taken over lies about its own boot,
 * and they reach neither a terminal nor what is said of other boots. It may leave children that
 * write on, and it may not end when it is asked to; neither holds the supervisor up.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/macros.h"
#include "smoke/trial.h"

enum { MESSAGES_MAX = 4, SIGNALS_MAX = 4, READS_MAX = 1000 };

/* Messages of the process before it ends. */
static struct smoke_msg says[MESSAGES_MAX];
static unsigned nr_says;
static pid_t process;
static const char *prints; /* on its console, after it has said all; NULL: nothing */
static bool cannot_start;
static bool lives_on; /* it does not end, whatever it is asked */

/* Signals that the supervisor sent it. */
static int sent[SIGNALS_MAX];
static unsigned nr_sent;

/* The pipe of a child that outlived the process: whenever it is read it is full. */
static int full_read = -1, full_write = -1;
static enum smoke_stream full_stream;
static unsigned nr_reads;

/* Time is passed by jumping to each deadline, unless it is not virtual. */
static bool virtual_time;
static int64_t jumped_ns;

static struct event_loop loop;
static struct smoke_spec spec;
static struct smoke_result result;
static int64_t begin_ns;

int __real_kill(pid_t pid, int sig);
int __wrap_kill(pid_t pid, int sig);

int __wrap_kill(pid_t pid, int sig)
{
	assert_true(nr_sent < SIGNALS_MAX);
	sent[nr_sent++] = sig;
	return __real_kill(pid, sig);
}

ssize_t __real_read(int fd, void *buf, size_t cap);
ssize_t __wrap_read(int fd, void *buf, size_t cap);

static void fill(void)
{
	static const char bytes[1 << 16];

	while (write(full_write, bytes, sizeof(bytes)) > 0)
		;
	assert_int_equal(errno, EAGAIN);
}

/* Whether it waits to be waited for. */
static bool process_is_over(void)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)process, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == process;
}

ssize_t __wrap_read(int fd, void *buf, size_t cap)
{
	if (fd >= 0 && fd == full_read) {
		fill();
		if (process_is_over() && ++nr_reads > READS_MAX)
			fail_msg("%u reads of a pipe that is always full", nr_reads);
	}
	return __real_read(fd, buf, cap);
}

int __real_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret);

int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
	const int r = __real_clock_gettime(id, ret);

	if (virtual_time)
		*ret = clock_timespec(jumped_ns);
	return r;
}

int __real_timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *old);

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *old)
{
	static const struct itimerspec now = {.it_value.tv_nsec = 1};

	if (!virtual_time)
		return __real_timerfd_settime(fd, flags, at, old);
	assert_int_equal(flags, TFD_TIMER_ABSTIME);
	jumped_ns = at->it_value.tv_sec * NS_PER_S + at->it_value.tv_nsec;
	return __real_timerfd_settime(fd, 0, &now, old);
}

static _Noreturn void be_the_process(int report_fd, int console_fd)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (lives_on)
		signal(SIGTERM, SIG_IGN);
	if (write(report_fd, says, nr_says * sizeof(says[0])) < 0)
		_exit(1);
	if (prints && write(console_fd, prints, strlen(prints)) < 0)
		_exit(1);
	while (lives_on)
		pause();
	_exit(0);
}

static int child_start(const struct smoke_spec *of, struct smoke_child *ret, struct diag *diag)
{
	int ends[2], console_fd = -1;

	(void)of;
	(void)diag;
	if (cannot_start)
		return -EMFILE;
	for (enum smoke_stream i = 0; i <= SMOKE_STREAMS; i++) {
		assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
		if (i == SMOKE_STREAMS)
			break;
		ret->stream_fd[i] = ends[0];
		if (full_write == 0 && i == full_stream) {
			full_read = ends[0];
			full_write = ends[1];
		} else if (i == SMOKE_CONSOLE) {
			console_fd = ends[1];
		} else {
			close(ends[1]);
		}
	}
	ret->report_fd = ends[0];
	if (full_write == 0) {
		full_read = ends[0];
		full_write = dup(ends[1]);
	}
	if (full_write > 0 && full_stream < SMOKE_STREAMS)
		fill();
	ret->pid = fork();
	if (ret->pid == 0)
		be_the_process(ends[1], console_fd);
	process = ret->pid;
	close(ends[1]);
	if (console_fd >= 0)
		close(console_fd);
	ret->pid_fd = (int)syscall(SYS_pidfd_open, ret->pid, 0);
	return ret->pid > 0 && ret->pid_fd >= 0 ? 0 : -errno;
}

static void done(struct smoke_trial *boot, void *arg)
{
	(void)boot;
	(void)arg;
	event_loop_stop(&loop);
}

static int setup(void **state)
{
	(void)state;
	memset(says, 0, sizeof(says));
	nr_says = nr_sent = nr_reads = 0;
	lives_on = virtual_time = cannot_start = false;
	prints = NULL;
	alarm(60); /* a boot that is never over is a failure */
	spec = (struct smoke_spec){.name = (char[]){"boot"}};
	result = (struct smoke_result){0};
	begin_ns = clock_monotonic_ns();
	return event_loop_init(&loop, NULL, NULL);
}

static int teardown(void **state)
{
	(void)state;
	virtual_time = false;
	if (full_write > 0)
		close(full_write);
	full_read = full_write = -1;
	smoke_result_fini(&result);
	event_loop_fini(&loop);
	return 0;
}

static struct smoke_msg *say(enum smoke_msg_type type, int64_t at_ns)
{
	says[nr_says] = (struct smoke_msg){.type = type, .at_ns = at_ns};
	return &says[nr_says++];
}

/* stops: how often it is asked to, the first time when the process has said all. */
static void boot_and_stop(unsigned stops)
{
	const struct smoke_trial_opts opts = {.spec = &spec,
					      .result = &result,
					      .loop = &loop,
					      .done = done,
					      .start = child_start};
	struct smoke_trial *made = NULL;
	struct diag diag = {0};

	assert_int_equal(smoke_trial_create(&opts, &made, &diag), 0);
	while (stops > 0 && nr_says > 0 && result.times.guest_ns == 0)
		made->report.ready(&made->report, EPOLLIN);
	jumped_ns = clock_monotonic_ns();
	virtual_time = stops > 0;
	while (stops-- > 0)
		smoke_trial_stop(made, SMOKE_STOP_SIGNAL);
	event_loop_run(&loop);
	smoke_trial_destroy(made);
}

static void boot(void)
{
	boot_and_stop(0);
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
	memcpy(msg->failed.id, "id]\n", 4);
	memcpy(msg->failed.remedy, "\033]0;title\007remedy\r", 17);
	msg = say(SMOKE_MSG_ENDED, 0);
	msg->ended.kind = VM_END_POWEROFF;
	memset(msg->ended.by, 0xff, sizeof(msg->ended.by));
	memcpy(msg->ended.by, "\033cby", 4);
	boot();
	assert_int_equal(result.outcome, SMOKE_SETUP_ERROR);
	assert_memory_equal(result.diag.what, "what a", 6);
	assert_memory_equal(result.diag.remedy, "remedy", 6);
	assert_string_equal(result.diag.id, "");
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

static void assert_order(void)
{
	assert_true(result.times.decided_ns <= result.times.end_ns);
	assert_true(result.times.end_ns <= clock_monotonic_ns());
}

static void nothing_is_decided_after_the_end(void **state)
{
	static const char *const pattern[] = {"one", "BUG", "login: $"};

	for (unsigned i = 0; i < ARRAY_SIZE(pattern); i++) {
		const struct smoke_rule_opts rule = {
			.kind = i == 1 ? SMOKE_RULE_REJECT : SMOKE_RULE_EXPECT,
			.pattern = pattern[i],
			.option = "test",
		};
		struct diag diag = {0};

		setup(state);
		assert_int_equal(smoke_rules_add(&spec.rules, &rule, &diag), 0);
		prints = "one\nBUG\nlogin: ";
		say(SMOKE_MSG_STARTED, begin_ns);
		say(SMOKE_MSG_ENDED, begin_ns)->ended.kind = VM_END_POWEROFF;
		boot();
		assert_int_equal(result.outcome, i == 1 ? SMOKE_REJECTED : SMOKE_PASS);
		assert_order();
		smoke_rules_fini(&spec.rules);
		if (i + 1 < ARRAY_SIZE(pattern))
			teardown(state);
	}
}

/* The VM had ended by itself, and its process had said so, when the signal came. */
static void an_end_before_the_stop_counts(void **state)
{
	(void)state;
	lives_on = true;
	say(SMOKE_MSG_STARTED, begin_ns);
	say(SMOKE_MSG_ENDED, begin_ns)->ended.kind = VM_END_POWEROFF;
	boot_and_stop(2);
	assert_int_equal(result.outcome, SMOKE_PASS);
	assert_int_equal(result.times.decided_ns, 0);
}

/* Out of descriptors, as it may be. */
static void a_boot_that_cannot_be_made_has_an_end(void **state)
{
	const struct smoke_trial_opts opts = {.spec = &spec,
					      .result = &result,
					      .loop = &loop,
					      .done = done,
					      .start = child_start};
	struct smoke_trial *made = NULL;
	struct diag diag = {0};

	(void)state;
	cannot_start = true;
	assert_int_equal(smoke_trial_create(&opts, &made, &diag), -EMFILE);
	assert_true(result.was_started);
	assert_in_the_boots_life(result.times.start_ns);
	assert_true(result.times.end_ns >= result.times.start_ns);
}

/* The process has ended, and a child of its own keeps one of its pipes full. */
static void boot_and_write_on(enum smoke_stream stream)
{
	setup(NULL);
	full_stream = stream;
	full_write = 0;
	say(SMOKE_MSG_STARTED, begin_ns);
	say(SMOKE_MSG_ENDED, begin_ns)->ended.kind = VM_END_POWEROFF;
	boot();
	assert_int_equal(result.outcome, SMOKE_PASS);
	if (stream < SMOKE_STREAMS)
		assert_true(result.bytes[stream] > 0);
}

static void what_outlives_the_process_is_not_waited_for(void **state)
{
	for (enum smoke_stream i = 0; i <= SMOKE_STREAMS; i++) {
		boot_and_write_on(i);
		if (i < SMOKE_STREAMS)
			teardown(state);
	}
}

static void a_process_that_does_not_end_is_ended_by_force(void **state)
{
	int64_t told_ns;

	(void)state;
	lives_on = true;
	say(SMOKE_MSG_STARTED, begin_ns);
	boot_and_stop(1);
	told_ns = result.times.decided_ns;
	assert_int_equal(nr_sent, 2);
	assert_int_equal(sent[0], SIGTERM);
	assert_int_equal(sent[1], SIGKILL);
	assert_int_equal(jumped_ns - told_ns, 5 * NS_PER_S);
	assert_int_equal(result.outcome, SMOKE_KILLED);
	assert_string_equal(result.end_by, "signal 9, Killed");
}

static void a_process_that_is_told_twice_is_ended_at_once(void **state)
{
	(void)state;
	lives_on = true;
	say(SMOKE_MSG_STARTED, begin_ns);
	boot_and_stop(2);
	assert_int_equal(nr_sent, 2);
	assert_int_equal(sent[0], SIGTERM);
	assert_int_equal(sent[1], SIGKILL);
}

/* It has nothing to tell yet. */
static void a_process_that_still_sets_up_is_ended_at_once(void **state)
{
	(void)state;
	lives_on = true;
	boot_and_stop(1);
	assert_int_equal(nr_sent, 1);
	assert_int_equal(sent[0], SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(times_are_within_the_boots_life, NULL, teardown),
		cmocka_unit_test_setup_teardown(a_guest_begins_once, setup, teardown),
		cmocka_unit_test_setup_teardown(words_are_made_safe, setup, teardown),
		cmocka_unit_test_setup_teardown(an_end_that_there_is_not_is_none, setup, teardown),
		cmocka_unit_test_teardown(nothing_is_decided_after_the_end, teardown),
		cmocka_unit_test_setup_teardown(an_end_before_the_stop_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(a_boot_that_cannot_be_made_has_an_end, setup,
						teardown),
		cmocka_unit_test_teardown(what_outlives_the_process_is_not_waited_for, teardown),
		cmocka_unit_test_setup_teardown(a_process_that_does_not_end_is_ended_by_force,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_process_that_is_told_twice_is_ended_at_once,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_process_that_still_sets_up_is_ended_at_once,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
