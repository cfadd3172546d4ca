/* Threads by role: what a new thread's signals and name are, and that its maker's stay. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macros.h"
#include "base/thread.h"

/* The host makes no thread while this is set. */
static int create_fails_with;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg)
{
	return create_fails_with ? create_fails_with
				 : __real_pthread_create(thread, attr, run, arg);
}

struct seen {
	pthread_barrier_t named; /* the maker has named the thread */
	sigset_t at_start;       /* the signals that are blocked */
	char name[16];
	size_t stack_bytes;
};

static void *look(void *arg)
{
	struct seen *seen = arg;

	pthread_attr_t attr;

	pthread_sigmask(SIG_SETMASK, NULL, &seen->at_start);
	assert_int_equal(pthread_getattr_np(pthread_self(), &attr), 0);
	pthread_attr_getstacksize(&attr, &seen->stack_bytes);
	pthread_attr_destroy(&attr);
	pthread_barrier_wait(&seen->named);
	pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
	return NULL;
}

static void start_and_look(enum thread_role role, const char *name, struct seen *seen)
{
	pthread_t thread;

	pthread_barrier_init(&seen->named, NULL, 2);
	assert_int_equal(thread_start(&thread, role, name, look, seen), 0);
	pthread_barrier_wait(&seen->named);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&seen->named);
}

static void no_huge_page_fits_into_a_stack(void **state)
{
	struct seen seen;

	(void)state;
	start_and_look(THREAD_VCPU, NULL, &seen);
	assert_true(seen.stack_bytes >= 256 << 10 && seen.stack_bytes < 2 << 20);
}

static bool same_set(const sigset_t *a, const sigset_t *b)
{
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (sigismember(a, sig) != sigismember(b, sig))
			return false;
	return true;
}

static void each_role_blocks_what_comes_from_outside(void **state)
{
	static const int outside[] = {SIGINT,  SIGTERM, SIGHUP,  SIGALRM,  SIGCHLD,
				      SIGUSR1, SIGCONT, SIGPIPE, SIGWINCH, SIGQUIT};

	(void)state;
	for (unsigned role = 0; role < THREAD_ROLES; role++) {
		struct seen seen;

		start_and_look((enum thread_role)role, NULL, &seen);
		for (unsigned i = 0; i < ARRAY_SIZE(outside); i++)
			assert_true(sigismember(&seen.at_start, outside[i]));
	}
}

static void no_role_blocks_what_a_thread_raises_itself(void **state)
{
	static const int own[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};

	(void)state;
	for (unsigned role = 0; role < THREAD_ROLES; role++) {
		struct seen seen;

		start_and_look((enum thread_role)role, NULL, &seen);
		for (unsigned i = 0; i < ARRAY_SIZE(own); i++)
			assert_false(sigismember(&seen.at_start, own[i]));
	}
}

static void vcpus_alone_take_the_kick_signal(void **state)
{
	(void)state;
	for (unsigned role = 0; role < THREAD_ROLES; role++) {
		struct seen seen;

		start_and_look((enum thread_role)role, NULL, &seen);
		assert_int_equal(sigismember(&seen.at_start, thread_kick_signal()),
				 role != THREAD_VCPU);
	}
}

static void a_thread_has_the_name_it_is_given_or_its_roles(void **state)
{
	struct seen seen;

	(void)state;
	start_and_look(THREAD_VCPU, "vcpu17", &seen);
	assert_string_equal(seen.name, "vcpu17");
	start_and_look(THREAD_DISK_WORKER, NULL, &seen);
	assert_string_equal(seen.name, "disk-worker");
	start_and_look(THREAD_IO, "a-name-longer-than-linux-keeps", &seen);
	assert_string_equal(seen.name, "a-name-longer-t");
	for (unsigned role = 0; role < THREAD_ROLES; role++) {
		start_and_look((enum thread_role)role, NULL, &seen);
		assert_true(seen.name[0] != '\0');
	}
}

static void the_makers_mask_stays_also_when_there_is_no_thread(void **state)
{
	struct seen seen;
	sigset_t before, after;
	pthread_t thread;

	(void)state;
	sigemptyset(&before);
	sigaddset(&before, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	start_and_look(THREAD_IO, NULL, &seen);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	assert_true(same_set(&before, &after));

	create_fails_with = EAGAIN;
	assert_int_equal(thread_start(&thread, THREAD_IO, NULL, look, &seen), -EAGAIN);
	create_fails_with = 0;
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	assert_true(same_set(&before, &after));
}

struct table {
	pthread_barrier_t step;
	int kept, dropped,
		later; /* an eventfd each; the last is opened once the thread has its own table */
	int r;
	bool has_kept, has_dropped, has_later, has_kept_at_end;
};

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void *use_own_files(void *arg)
{
	struct table *t = arg;
	const int keep[] = {STDERR_FILENO, t->kept};

	t->r = thread_own_files(keep, ARRAY_SIZE(keep));
	pthread_barrier_wait(&t->step);
	pthread_barrier_wait(&t->step);
	t->has_kept = is_open(t->kept) && eventfd_write(t->kept, 7) == 0;
	t->has_dropped = is_open(t->dropped);
	t->has_later = is_open(t->later);
	thread_close_own_files();
	t->has_kept_at_end = is_open(t->kept);
	return NULL;
}

static void test_a_thread_has_the_descriptors_that_it_keeps(void **state)
{
	struct table t = {.dropped = eventfd(0, 0), .kept = eventfd(0, 0)};
	eventfd_t got = 0;
	pthread_t thread;

	(void)state;
	pthread_barrier_init(&t.step, NULL, 2);
	assert_int_equal(thread_start(&thread, THREAD_VCPU, NULL, use_own_files, &t), 0);
	pthread_barrier_wait(&t.step);
	t.later = eventfd(0, 0);
	pthread_barrier_wait(&t.step);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&t.step);
	assert_int_equal(t.r, 0);
	assert_true(t.has_kept);
	assert_false(t.has_dropped);
	assert_false(t.has_later);
	assert_false(t.has_kept_at_end);
	/* Those of the process are as before. */
	assert_true(is_open(t.dropped) && is_open(t.later) && is_open(STDIN_FILENO));
	assert_int_equal(eventfd_read(t.kept, &got), 0);
	assert_int_equal(got, 7);
	close(t.kept);
	close(t.dropped);
	close(t.later);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_thread_has_the_descriptors_that_it_keeps),
		cmocka_unit_test(no_huge_page_fits_into_a_stack),
		cmocka_unit_test(each_role_blocks_what_comes_from_outside),
		cmocka_unit_test(no_role_blocks_what_a_thread_raises_itself),
		cmocka_unit_test(vcpus_alone_take_the_kick_signal),
		cmocka_unit_test(a_thread_has_the_name_it_is_given_or_its_roles),
		cmocka_unit_test(the_makers_mask_stays_also_when_there_is_no_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
