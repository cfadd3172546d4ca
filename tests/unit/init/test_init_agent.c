/*
 * Unit tests of the agent of guest/init, in a process of its own as in a guest, with a client that keeps the protocol
 * or does not. tests/kvm/exec.sh has it with `tollgate exec` and `tollgate cp`.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../guest/init/agent.h"

static struct agent_stream s;
static struct agent_records request;
static pid_t agent;

static int setup(void **state)
{
	static char path[] = "PATH=/usr/bin:/bin";
	static char *const env[] = {path, NULL};
	int fd[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
		return -1;
	agent = fork();
	if (agent == 0) {
		close(fd[0]);
		agent_serve(fd[1], env);
		_exit(0);
	}
	close(fd[1]);
	agent_stream_init(&s, fd[0]);
	request.len = 0;
	return agent < 0 ? -1 : 0;
}

/* It ends with its client, and by itself. */
static int teardown(void **state)
{
	int status = -1;

	(void)state;
	close(s.fd);
	waitpid(agent, &status, 0);
	return status;
}

static void put(unsigned type, const void *data, size_t len)
{
	assert_true(agent_stream_put(&s, type, data, len));
	assert_int_equal(agent_stream_flush(&s), 0);
}

/* False at the end of the stream. */
static bool next(struct agent_frame *f)
{
	for (;;) {
		struct pollfd pfd = {.fd = s.fd, .events = POLLIN};
		const int r = agent_stream_next(&s, f);

		assert_true(r >= 0);
		if (r == 1)
			return true;
		if (s.ended)
			return false;
		poll(&pfd, 1, -1);
		if (agent_stream_fill(&s) < 0)
			return false; /* it closed with something of ours unread */
	}
}

static struct agent_frame expect(unsigned type)
{
	struct agent_frame f = {0};

	assert_true(next(&f));
	assert_int_equal(f.type, type);
	return f;
}

static void expect_error(const char *text)
{
	struct agent_frame f = expect(AGENT_ERROR);

	assert_true(f.len >= 4 + strlen(text));
	assert_memory_equal(f.data + 4, text, strlen(text));
	assert_int_equal(agent_get32(f.data), AGENT_FAILED);
}

static void expect_end(void)
{
	struct agent_frame f;

	assert_false(next(&f));
}

static void ask(const char *key, const char *value)
{
	assert_true(agent_record_add(&request, key, value));
}

static void run(const char *command)
{
	ask("version", "1");
	ask("arg", "sh");
	ask("arg", "-c");
	ask("arg", command);
	put(AGENT_EXEC, request.buf, request.len);
	expect(AGENT_STARTED);
}

static void a_ping_is_answered_while_a_command_says_nothing(void **state)
{
	(void)state;
	put(AGENT_PING, NULL, 0);
	expect(AGENT_PONG);
	run("exec sleep 1000");
	for (unsigned i = 0; i < 3; i++) {
		put(AGENT_PING, NULL, 0);
		expect(AGENT_PONG);
	}
}

static void input_is_acknowledged_when_it_has_left(void **state)
{
	static const uint8_t bytes[AGENT_WINDOW_BYTES];
	uint32_t taken = 0;

	(void)state;
	run("head -c 65536 >/dev/null; echo done; cat >/dev/null");
	put(AGENT_STDIN, bytes, sizeof(bytes));
	while (taken < sizeof(bytes)) {
		struct agent_frame f = {0};

		assert_true(next(&f));
		if (f.type == AGENT_TAKEN)
			taken += agent_get32(f.data);
		else
			assert_int_equal(f.type, AGENT_STDOUT);
	}
	assert_int_equal(taken, sizeof(bytes));
}

static void more_input_than_there_is_room_for_ends_it(void **state)
{
	static const uint8_t bytes[AGENT_WINDOW_BYTES];
	struct agent_frame f;

	(void)state;
	run("exec sleep 1000");
	/* A pipe takes as much again. */
	for (unsigned i = 0; i < 3; i++) {
		agent_stream_put(&s, AGENT_STDIN, bytes, sizeof(bytes));
		agent_stream_flush(&s);
	}
	while (next(&f)) {
		assert_int_equal(f.type, AGENT_TAKEN);
		agent_stream_flush(&s);
	}
}

static void requests_that_are_none_are_refused(void **state)
{
	(void)state;
	put(99, NULL, 0);
	expect_error("unknown request");
	expect_end();
}

static void another_version_is_refused(void **state)
{
	(void)state;
	ask("version", "2");
	ask("arg", "true");
	put(AGENT_EXEC, request.buf, request.len);
	expect_error("another version of the protocol");
	expect_end();
}

static void an_option_that_it_does_not_know_is_refused(void **state)
{
	(void)state;
	ask("version", "1");
	ask("user", "nobody");
	ask("arg", "true");
	put(AGENT_EXEC, request.buf, request.len);
	expect_error("bad request");
	expect_end();
}

static void a_request_without_a_command_is_refused(void **state)
{
	(void)state;
	put(AGENT_EXEC, NULL, 0);
	expect_error("no command");
	expect_end();
}

static void a_request_that_is_cut_is_refused(void **state)
{
	(void)state;
	put(AGENT_EXEC, "arg=tr", 6);
	expect_error("bad request");
	expect_end();
}

static void a_size_without_a_terminal_ends_it(void **state)
{
	(void)state;
	run("exec sleep 1000");
	put(AGENT_SIZE, "\1\0\1\0", 4);
	expect_end();
}

static void a_signal_of_a_wrong_length_ends_it(void **state)
{
	(void)state;
	run("exec sleep 1000");
	put(AGENT_SIGNAL, "\17\0\0", 3);
	expect_end();
}

static void no_signal_of_that_number_ends_it(void **state)
{
	(void)state;
	run("exec sleep 1000");
	put(AGENT_SIGNAL, "\0\0\1\0", 4);
	expect_end();
}

static void a_signal_ends_the_command(void **state)
{
	(void)state;
	run("exec sleep 1000");
	put(AGENT_SIGNAL, "\17\0\0\0", 4);
	assert_int_equal(agent_get32(expect(AGENT_EXIT).data), 128 + SIGTERM);
	expect_end();
}

static void begin_file(const char *path)
{
	ask("version", "1");
	ask("path", path);
	ask("kind", "file");
	ask("mode", "420");
	put(AGENT_PUT, request.buf, request.len);
	put(AGENT_DATA, "hello", 5);
}

/* A file whose checksum is wrong never gets its name, and the connection goes on. */
static void a_wrong_checksum_leaves_no_file(void **state)
{
	char dir[] = "/tmp/tollgate-agent-XXXXXX", path[64];
	struct stat st;
	uint8_t crc[4];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	begin_file(path);
	put(AGENT_END, "\0\0\0\0", 4);
	assert_int_equal(agent_get32(expect(AGENT_ERROR).data), AGENT_FAILED);
	assert_int_equal(stat(path, &st), -1);
	request.len = 0;
	begin_file(path);
	agent_put32(crc, agent_crc32c(0, "hello", 5));
	put(AGENT_END, crc, 4);
	assert_true(agent_get32(expect(AGENT_DONE).data) == agent_get32(crc));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 5);
	assert_int_equal(st.st_mode & 07777, 0644);
	unlink(path);
	assert_int_equal(rmdir(dir), 0); /* nothing else is left in it */
}

/* Nor does one whose client leaves in the middle. */
static void a_client_that_leaves_leaves_no_file(void **state)
{
	char dir[] = "/tmp/tollgate-agent-XXXXXX", path[64];
	int status;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	begin_file(path);
	shutdown(s.fd, SHUT_RDWR);
	assert_int_equal(waitpid(agent, &status, 0), agent);
	assert_int_equal(status, 0);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(setup(state), 0); /* for teardown */
}

static void paths_are_absolute(void **state)
{
	(void)state;
	ask("version", "1");
	ask("path", "etc/passwd");
	put(AGENT_GET, request.buf, request.len);
	expect_error("bad request");
	expect_end();
}

int main(void)
{
#define AGENT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		AGENT_TEST(a_ping_is_answered_while_a_command_says_nothing),
		AGENT_TEST(input_is_acknowledged_when_it_has_left),
		AGENT_TEST(more_input_than_there_is_room_for_ends_it),
		AGENT_TEST(requests_that_are_none_are_refused),
		AGENT_TEST(another_version_is_refused),
		AGENT_TEST(an_option_that_it_does_not_know_is_refused),
		AGENT_TEST(a_request_without_a_command_is_refused),
		AGENT_TEST(a_request_that_is_cut_is_refused),
		AGENT_TEST(a_size_without_a_terminal_ends_it),
		AGENT_TEST(a_signal_of_a_wrong_length_ends_it),
		AGENT_TEST(no_signal_of_that_number_ends_it),
		AGENT_TEST(a_signal_ends_the_command),
		AGENT_TEST(a_wrong_checksum_leaves_no_file),
		AGENT_TEST(a_client_that_leaves_leaves_no_file),
		AGENT_TEST(paths_are_absolute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
