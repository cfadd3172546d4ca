/*
 * Unit tests of guest/init/input.c: a pseudo-terminal is hvc0, and the test is the host. Its own encoding of the
 * protocol is checked by test_char_command.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#undef fail /* cmocka's; the init has one */
#include "../../../guest/init/input.h"
#include "../../../guest/init/ports.h"
#include "../../../guest/init/setup.h"

enum { ESCAPE = 0x10, WATCHDOG_S = 60 };

static struct input input;
static int host_fd;    /* the other end of hvc0 */
static int command_fd; /* the command's standard input */
static pid_t pid;      /* a process group that gets the interrupts */

bool setup_wait_for(const char *path)
{
	return access(path, F_OK) == 0;
}

void say(const char *fmt, ...)
{
	print_error("%s\n", fmt);
}

void fail(const char *fmt, ...)
{
	print_error("%s\n", fmt);
	abort();
}

static int setup(void **state)
{
	(void)state;
	alarm(WATCHDOG_S);
	signal(SIGPIPE, SIG_IGN); /* as for the guest's first process */
	host_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (host_fd < 0 || grantpt(host_fd) < 0 || unlockpt(host_fd) < 0)
		return -1;
	input_open(&input, ptsname(host_fd), &command_fd);
	fcntl(command_fd, F_SETFL, O_NONBLOCK);
	pid = fork();
	if (pid == 0) {
		close(command_fd);
		close(input.pipe_fd);
		setsid();
		for (;;)
			pause();
	}
	while (getpgid(pid) != pid)
		poll(NULL, 0, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (command_fd >= 0)
		close(command_fd);
	if (input.pipe_fd >= 0)
		close(input.pipe_fd);
	close(input.hvc_fd);
	close(host_fd);
	alarm(0);
	return 0;
}

/* One round of the init's loop, which waits until something is ready. */
static void run_once(void)
{
	struct pollfd pfd[2];

	input_wait_for(&input, pfd);
	assert_true(poll(pfd, 2, -1) > 0);
	input_run(&input, pfd, pid);
}

/* The same, when nothing more may come. */
static void run_once_or_wait(void)
{
	struct pollfd pfd[2];

	input_wait_for(&input, pfd);
	if (poll(pfd, 2, 1) > 0)
		input_run(&input, pfd, pid);
}

static void host_sends(const void *bytes, size_t len)
{
	assert_int_equal(write(host_fd, bytes, len), len);
}

/* How many credits the host has got since. */
static unsigned credits(void)
{
	struct pollfd pfd = {.fd = host_fd, .events = POLLIN};
	char buf[64];
	ssize_t n;

	if (poll(&pfd, 1, 0) == 0)
		return 0;
	n = read(host_fd, buf, sizeof(buf));
	assert_true(n > 0);
	for (ssize_t i = 0; i < n; i++)
		assert_int_equal(buf[i], 'R');
	return (unsigned)n;
}

/* Reads so many bytes as the command, while the init runs. */
static void command_reads(void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		const ssize_t n = read(command_fd, (char *)buf + done, len - done);

		if (n > 0)
			done += (size_t)n;
		else
			run_once();
	}
}

static void every_byte_goes_through(void **state)
{
	uint8_t bytes[256], sent[2 * 256], got[256];
	size_t len = 0;

	(void)state;
	input_start(&input);
	assert_int_equal(credits(), 2);
	for (unsigned i = 0; i < 256; i++) {
		bytes[i] = (uint8_t)i; /* also those that a terminal takes for keys */
		if (i == ESCAPE)
			sent[len++] = ESCAPE;
		sent[len++] = (uint8_t)i;
	}
	host_sends(sent, len);
	command_reads(got, sizeof(got));
	assert_memory_equal(got, bytes, sizeof(bytes));
}

static void the_end_closes_the_commands_input(void **state)
{
	static const uint8_t sent[] = {'x', ESCAPE, 'E'};
	char got;

	(void)state;
	input_start(&input);
	host_sends(sent, sizeof(sent));
	command_reads(&got, 1);
	while (input.pipe_fd >= 0)
		run_once();
	assert_int_equal(read(command_fd, &got, 1), 0);
}

/* So many bytes of the stream that the host sends. */
static void host_sends_stream(size_t from, size_t len)
{
	uint8_t buf[INPUT_CREDIT];

	assert_true(len <= sizeof(buf));
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(0x20 + (from + i) % 0x5f);
	host_sends(buf, len);
}

/* More than pipe and buffer hold: the command reads nothing for a while, and gets all of it in the end. */
static void a_slow_command_gets_all_of_it(void **state)
{
	enum { BYTES = 64 * INPUT_CREDIT };
	size_t sent = 0, read_bytes = 0;
	unsigned credit;
	uint8_t byte;

	(void)state;
	input_start(&input);
	credit = credits();
	while (read_bytes < BYTES) {
		while (credit && sent < BYTES) {
			host_sends_stream(sent, INPUT_CREDIT);
			sent += INPUT_CREDIT;
			credit--;
			run_once();
		}
		if (read(command_fd, &byte, 1) == 1)
			assert_int_equal(byte, 0x20 + read_bytes++ % 0x5f);
		else
			run_once();
		credit += credits();
		/* Bytes that are sent ahead have a bound: the pipe, and the buffer of the init. */
		assert_true(sent - read_bytes <= (1 << 16) + INPUT_BYTES + INPUT_CREDIT);
	}
}

static void an_interrupt_passes_a_command_that_reads_nothing(void **state)
{
	static const uint8_t interrupt[] = {ESCAPE, 'I'};
	unsigned credit;
	size_t sent = 0;
	int status = 0;

	(void)state;
	input_start(&input);
	credit = credits();
	while (credit) {
		host_sends_stream(sent, INPUT_CREDIT);
		sent += INPUT_CREDIT;
		for (unsigned i = 0; i < 64; i++) {
			struct pollfd pfd[2];

			input_wait_for(&input, pfd);
			if (poll(pfd, 2, 0) > 0)
				input_run(&input, pfd, pid);
		}
		credit += credits() - 1;
	}
	host_sends(interrupt, sizeof(interrupt));
	while (waitpid(pid, &status, WNOHANG) == 0)
		run_once_or_wait();
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGINT);
}

static void a_command_without_input_is_still_interrupted(void **state)
{
	static const uint8_t sent[] = {'a', 'b', ESCAPE, 'I'};
	int status = 0;

	(void)state;
	close(command_fd);
	command_fd = -1;
	input_start(&input);
	host_sends(sent, sizeof(sent));
	while (waitpid(pid, &status, WNOHANG) == 0)
		run_once_or_wait();
	assert_int_equal(WTERMSIG(status), SIGINT);
	assert_int_equal(input.pipe_fd, -1);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(every_byte_goes_through),
		TEST(the_end_closes_the_commands_input),
		TEST(a_slow_command_gets_all_of_it),
		TEST(an_interrupt_passes_a_command_that_reads_nothing),
		TEST(a_command_without_input_is_still_interrupted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
