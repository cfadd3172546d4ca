/* Unit tests of control.c and control/line.c: whatever clients do, with commands of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macros.h"
#include "base/unix_socket.h"
#include "control.h"
#include "diag_rig.h"
#include "temp_dir.h"

enum {
	HANG_MS = 60000, /* a hang, not slowness */
	REPLY_MAX = 1 << 20,
	BIG_LINES = 40000, /* twice what a socket holds */
};

struct rig {
	struct event_loop loop;
	struct control_commands commands;
	struct control *control;
	pthread_t thread;
	atomic_uint runs;
	struct diag diag;
	char path[64], reply[REPLY_MAX];
};

/* echo WORD... | big WORD | broken */
static int run(struct control_commands *commands, char *const argv[], unsigned nr, FILE *out,
	       struct diag *diag)
{
	struct rig *rig = container_of(commands, struct rig, commands);

	atomic_fetch_add(&rig->runs, 1);
	if (strcmp(argv[0], "echo") == 0) {
		for (unsigned i = 1; i < nr; i++)
			fprintf(out, "%s\n", argv[i]);
		return 0;
	}
	if (strcmp(argv[0], "big") == 0) {
		for (unsigned i = 0; i < BIG_LINES; i++)
			fprintf(out, "%s %u\n", nr > 1 ? argv[1] : "line", i);
		return 0;
	}
	fputs("what is dropped\nok\n", out);
	diag_set(diag, -EINVAL, "wheel-broken", "'%s' is broken", argv[0]);
	diag_remedy(diag, "mend it");
	return -EINVAL;
}

static void *run_loop(void *arg)
{
	event_loop_run(&((struct rig *)arg)->loop);
	return NULL;
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	if (!rig || event_loop_init(&rig->loop, NULL, NULL) < 0)
		return -1;
	rig->commands.run = run;
	if (temp_dir_make() < 0)
		return -1;
	snprintf(rig->path, sizeof(rig->path), "%s", temp_dir_at("socket"));
	if (control_open(rig->path, &rig->loop, &rig->commands, &rig->control, &rig->diag) < 0)
		return -1;
	*state = rig;
	return pthread_create(&rig->thread, NULL, run_loop, rig);
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	event_loop_stop(&rig->loop);
	pthread_join(rig->thread, NULL);
	rig->control = control_close(rig->control);
	event_loop_fini(&rig->loop);
	temp_dir_remove();
	free(rig);
	return 0;
}

static int dial(const struct rig *rig)
{
	struct sockaddr_un addr;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(unix_address(rig->path, &addr), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void send_bytes(int fd, const void *bytes, size_t len)
{
	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
}

static void say(int fd, const char *text)
{
	send_bytes(fd, text, strlen(text));
}

static bool ends_reply(const char *line)
{
	return strncmp(line, "ok\n", 3) == 0 || strncmp(line, "error: ", 7) == 0;
}

/* Bytes up to the end of so many replies, and no more, or until the other end has closed. */
static const char *hear(struct rig *rig, int fd, unsigned replies)
{
	size_t len = 0, line = 0;

	while (replies > 0) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		size_t had = len;
		ssize_t n;

		assert_int_equal(poll(&pfd, 1, HANG_MS), 1);
		n = recv(fd, rig->reply + len, REPLY_MAX - 1 - len, MSG_PEEK);
		if (n <= 0)
			break;
		for (const size_t end = len + (size_t)n; len < end && replies > 0;) {
			if (rig->reply[len++] != '\n')
				continue;
			replies -= ends_reply(rig->reply + line);
			line = len;
		}
		assert_int_equal(recv(fd, rig->reply + had, len - had, 0), len - had);
	}
	rig->reply[len] = '\0';
	return rig->reply;
}

/* A reply begins with an error of that id. Gives what follows its line. */
static const char *assert_error(const char *reply, const char *id)
{
	const char *newline = strchr(reply, '\n');
	char bracket[64];
	const char *at;

	snprintf(bracket, sizeof(bracket), " [%s]", id);
	assert_memory_equal(reply, "error: ", 7);
	assert_non_null(newline);
	at = strstr(reply, bracket);
	assert_non_null(at);
	at += strlen(bracket);
	assert_true(at == newline || (at < newline && strncmp(at, "; remedy: ", 10) == 0));
	return newline + 1;
}

static void expect_closed(struct rig *rig, int fd)
{
	assert_string_equal(hear(rig, fd, 1), "");
	close(fd);
}

/* Somebody else is served. */
static void expect_service(struct rig *rig)
{
	int fd = dial(rig);

	say(fd, "echo still there\n");
	assert_string_equal(hear(rig, fd, 1), "still\nthere\nok\n");
	close(fd);
}

static void a_command_is_answered(void **state)
{
	struct rig *rig = *state;
	int fd = dial(rig);

	say(fd, "echo a  b\tc\n");
	assert_string_equal(hear(rig, fd, 1), "a\nb\nc\nok\n");
	say(fd, "echo\n");
	assert_string_equal(hear(rig, fd, 1), "ok\n");
	say(fd, "echo 1 2 3 4 5 6 7\r\n");
	assert_string_equal(hear(rig, fd, 1), "1\n2\n3\n4\n5\n6\n7\nok\n");
	say(fd, "echo 1 2 3 4 5 6 7 8\n");
	assert_error(hear(rig, fd, 1), "control-line-arguments");
	say(fd, " \t \n");
	assert_error(hear(rig, fd, 1), "control-line-empty");
	close(fd);
}

static void a_failing_command_answers_with_one_line(void **state)
{
	struct rig *rig = *state;
	int fd = dial(rig);

	say(fd, "wheel\necho on\n");
	assert_string_equal(hear(rig, fd, 2),
			    "error: 'wheel' is broken [wheel-broken]; remedy: mend it\non\nok\n");
	close(fd);
}

static void a_line_may_come_in_pieces(void **state)
{
	static const char text[] = "echo one\necho two\n";
	struct rig *rig = *state;
	int fd = dial(rig);

	for (const char *p = text; *p; p++) {
		send_bytes(fd, p, 1);
		if (*p != '\n')
			expect_service(rig); /* so that it has been received by now */
	}
	assert_string_equal(hear(rig, fd, 2), "one\nok\ntwo\nok\n");
	close(fd);
}

static void lines_may_come_together(void **state)
{
	struct rig *rig = *state;
	char wanted[8192] = "", all[16384] = "";
	int fd = dial(rig);

	for (unsigned i = 0; i < 500; i++) {
		sprintf(all + strlen(all), "echo %u\n", i);
		sprintf(wanted + strlen(wanted), "%u\nok\n", i);
	}
	say(fd, all);
	assert_string_equal(hear(rig, fd, 500), wanted);
	close(fd);
}

static void lines_have_a_longest(void **state)
{
	struct rig *rig = *state;
	char text[100001], wanted[512];
	int fd = dial(rig);

	memset(text, 'x', sizeof(text));
	for (unsigned i = 0; i < 5; i++)
		text[i] = "echo "[i];
	text[255] = '\n';
	send_bytes(fd, text, 256);
	snprintf(wanted, sizeof(wanted), "%.250s\nok\n", text + 5);
	assert_string_equal(hear(rig, fd, 1), wanted);
	text[255] = 'x';
	for (size_t len = 256; len < sizeof(text); len = len < 1024 ? len + 1 : len * 3) {
		send_bytes(fd, text, len);
		say(fd, "\necho next\n");
		assert_string_equal(assert_error(hear(rig, fd, 2), "control-line-length"),
				    "next\nok\n");
	}
	close(fd);
}

static void bytes_that_are_no_text_are_refused(void **state)
{
	struct rig *rig = *state;
	int fd = dial(rig);
	uint8_t garbage[4096];

	send_bytes(fd, "echo a\0b\n", 9);
	assert_error(hear(rig, fd, 1), "control-line-binary");
	for (unsigned i = 0; i < sizeof(garbage); i++)
		garbage[i] = (uint8_t)(i * 2654435761U >> 13);
	for (unsigned i = 0; i < 64; i++) {
		/* Nobody reads what is answered, so it comes to a stop. */
		send(fd, garbage, sizeof(garbage), MSG_DONTWAIT | MSG_NOSIGNAL);
		expect_service(rig);
	}
	close(fd);
	expect_service(rig);
}

static void half_a_command_is_not_run(void **state)
{
	struct rig *rig = *state;
	int fd = dial(rig);

	say(fd, "echo first\necho sec");
	shutdown(fd, SHUT_WR);
	assert_memory_equal(hear(rig, fd, 3), "first\nok\n", 9);
	assert_string_equal(assert_error(rig->reply + 9, "control-line-unfinished"), "");
	assert_int_equal(atomic_load(&rig->runs), 1);
	close(fd);
}

static void the_end_of_input_ends_the_client(void **state)
{
	struct rig *rig = *state;
	int fd = dial(rig), silent = dial(rig);

	say(fd, "echo 1\nbig\necho 2\n");
	shutdown(fd, SHUT_WR);
	hear(rig, fd, 3);
	assert_memory_equal(rig->reply, "1\nok\nline 0\n", 12);
	expect_closed(rig, fd);
	shutdown(silent, SHUT_WR);
	expect_closed(rig, silent);
}

static void a_client_that_is_gone_is_forgotten(void **state)
{
	struct rig *rig = *state;

	for (unsigned i = 0; i < 100; i++) {
		int fd = dial(rig);

		if (i % 2)
			say(fd, i % 4 == 1 ? "big\nbig\n" : "echo half");
		close(fd);
	}
	for (unsigned i = 0; i < 10; i++)
		expect_service(rig);
}

/* "big" with a number; false when the socket takes no more. */
static bool ask_big(int fd, unsigned i)
{
	char line[16];
	const int len = snprintf(line, sizeof(line), "big %04u\n", i);

	return send(fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) == len;
}

static void a_slow_reader_holds_up_itself_alone(void **state)
{
	struct rig *rig = *state;
	int fd = dial(rig);
	unsigned asked = 0;

	while (ask_big(fd, asked))
		asked++;
	assert_int_equal(errno, EAGAIN);
	for (unsigned i = 0; i < 100; i++)
		expect_service(rig);
	/* Its reply is more than the socket holds: the second was not asked for yet. */
	assert_int_equal(atomic_load(&rig->runs), 100 + 1);
	for (unsigned i = 0; i < asked && i < 50; i++) {
		const size_t len = strlen(hear(rig, fd, 1));
		char first[16], last[32];

		snprintf(first, sizeof(first), "%04u 0\n", i);
		snprintf(last, sizeof(last), "%04u %d\nok\n", i, BIG_LINES - 1);
		assert_memory_equal(rig->reply, first, strlen(first));
		assert_string_equal(rig->reply + len - strlen(last), last);
	}
	close(fd);
	expect_service(rig);
}

/* A reply that goes out in several turns: the next command is not run before its last byte was sent. */
static void the_next_command_waits_for_the_whole_reply(void **state)
{
	struct rig *rig = *state;
	int fd = dial(rig), queued = 0;
	unsigned services = 0;
	size_t taken = 0, len = strlen("ok\n");
	char buf[16384];

	for (unsigned i = 0; i < BIG_LINES; i++)
		len += (size_t)snprintf(buf, sizeof(buf), "0000 %u\n", i);
	assert_true(ask_big(fd, 0) && ask_big(fd, 1));
	for (;;) {
		expect_service(rig); /* so that our client had its turn since it was read from */
		services++;
		assert_int_equal(ioctl(fd, FIONREAD, &queued), 0);
		if (taken + (size_t)queued >= len)
			break;
		assert_int_equal(atomic_load(&rig->runs), services + 1);
		assert_int_equal(recv(fd, buf, sizeof(buf), MSG_WAITALL), sizeof(buf));
		taken += sizeof(buf);
	}
	assert_true(services > 3);
	close(fd);
}

static void more_clients_than_there_may_be_are_told_so(void **state)
{
	struct rig *rig = *state;
	int fd[CONTROL_CLIENTS_MAX], one_more;

	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		fd[i] = dial(rig);
		say(fd[i], "echo in\n");
		hear(rig, fd[i], 1);
	}
	one_more = dial(rig);
	assert_string_equal(assert_error(hear(rig, one_more, 2), "control-clients"), "");
	close(one_more);
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		shutdown(fd[i], SHUT_WR);
		expect_closed(rig, fd[i]);
		expect_service(rig);
	}
}

/* No descriptor can be had from now on, until the limit is what *ret says. */
static void use_up_descriptors(struct rlimit *ret)
{
	const int lowest_free = dup(STDIN_FILENO);
	struct rlimit none;

	close(lowest_free);
	getrlimit(RLIMIT_NOFILE, ret);
	none = (struct rlimit){.rlim_cur = (rlim_t)lowest_free, .rlim_max = ret->rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
}

/* By the linker in the place of accept4(): counts when it fails for want of descriptors. */
static atomic_uint vain_accepts;
int __real_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);

int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	const int r = __real_accept4(fd, addr, len, flags);

	if (r < 0 && errno == EMFILE)
		atomic_fetch_add(&vain_accepts, 1);
	return r;
}

/* One that cannot be taken waits for the next change, and costs nothing meanwhile. */
static void a_client_without_a_descriptor_waits(void **state)
{
	struct rig *rig = *state;
	struct sockaddr_un addr;
	struct rlimit all;
	int first = dial(rig), second = dial(rig);
	int third = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	say(first, "echo in\n");
	hear(rig, first, 1);
	say(second, "echo second\n");
	hear(rig, second, 1);
	use_up_descriptors(&all);
	assert_int_equal(unix_address(rig->path, &addr), 0);
	assert_int_equal(connect(third, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	say(third, "echo third\n");
	for (unsigned i = 0; i < 100; i++) { /* those that are in go on */
		say(second, "echo again\n");
		assert_string_equal(hear(rig, second, 1), "again\nok\n");
	}
	assert_true(atomic_load(&vain_accepts) >= 1 && atomic_load(&vain_accepts) <= 2);
	assert_int_equal(poll(&(struct pollfd){.fd = third, .events = POLLIN}, 1, 0), 0);
	setrlimit(RLIMIT_NOFILE, &all);
	close(second); /* and so somebody leaves */
	assert_string_equal(hear(rig, third, 1), "third\nok\n");
	close(first);
	close(third);
	expect_service(rig);
}

static int open_second(struct rig *rig, const char *path, struct diag *diag)
{
	struct control *second;

	return control_open(path, &rig->loop, &rig->commands, &second, diag);
}

static void the_socket_is_for_its_owner_alone(void **state)
{
	struct rig *rig = *state;
	struct stat st;

	assert_int_equal(stat(rig->path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
}

static void a_path_that_is_in_use_is_refused(void **state)
{
	struct rig *rig = *state;
	struct diag diag = {0};

	assert_int_equal(open_second(rig, rig->path, &diag), -EADDRINUSE);
	assert_diag(&diag, -EINVAL, "control-socket-in-use");
	assert_remedy(&diag, "");
	expect_service(rig);
}

static void a_path_that_is_no_place_for_a_socket_is_refused(void **state)
{
	struct rig *rig = *state;
	struct diag diag = {0};
	char path[200];

	temp_dir_put("file", "mine", 4);
	assert_int_equal(open_second(rig, temp_dir_at("file"), &diag), -EEXIST);
	assert_diag(&diag, -EINVAL, "control-path-taken");
	assert_string_equal(temp_dir_shell("cat file"), "mine");
	assert_int_equal(open_second(rig, "/nonexistent/socket", NULL), -ENOENT);
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	diag = (struct diag){0};
	assert_int_equal(open_second(rig, path, &diag), -ENAMETOOLONG);
	assert_diag(&diag, -EINVAL, "control-path-length 107");
}

static void what_a_dead_vm_left_is_replaced_and_the_own_one_removed(void **state)
{
	struct rig *rig = *state;
	struct sockaddr_un addr;
	struct event_loop loop;
	struct control *control;
	const char *path = temp_dir_at("second");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(unix_address(path, &addr), 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	assert_int_equal(event_loop_init(&loop, NULL, NULL), 0);
	assert_int_equal(control_open(path, &loop, &rig->commands, &control, NULL), 0);
	control_close(control);
	assert_int_equal(access(path, F_OK), -1);
	/* A file that took its place meanwhile stays. */
	assert_int_equal(control_open(path, &loop, &rig->commands, &control, NULL), 0);
	assert_int_equal(unlink(path), 0);
	temp_dir_put("second", "mine", 4);
	control_close(control);
	assert_string_equal(temp_dir_shell("cat second"), "mine");
	event_loop_fini(&loop);
}

int main(void)
{
#define CONTROL_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CONTROL_TEST(a_command_is_answered),
		CONTROL_TEST(a_failing_command_answers_with_one_line),
		CONTROL_TEST(a_line_may_come_in_pieces),
		CONTROL_TEST(lines_may_come_together),
		CONTROL_TEST(lines_have_a_longest),
		CONTROL_TEST(bytes_that_are_no_text_are_refused),
		CONTROL_TEST(half_a_command_is_not_run),
		CONTROL_TEST(the_end_of_input_ends_the_client),
		CONTROL_TEST(a_client_that_is_gone_is_forgotten),
		CONTROL_TEST(a_slow_reader_holds_up_itself_alone),
		CONTROL_TEST(the_next_command_waits_for_the_whole_reply),
		CONTROL_TEST(more_clients_than_there_may_be_are_told_so),
		CONTROL_TEST(a_client_without_a_descriptor_waits),
		CONTROL_TEST(the_socket_is_for_its_owner_alone),
		CONTROL_TEST(a_path_that_is_in_use_is_refused),
		CONTROL_TEST(a_path_that_is_no_place_for_a_socket_is_refused),
		CONTROL_TEST(what_a_dead_vm_left_is_replaced_and_the_own_one_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
