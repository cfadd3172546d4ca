/*
 * The host side of character devices, with real files, sockets and pseudo-terminals: nothing is lost or
 * reordered towards who is there and slow, nothing grows or waits for who is not, and who comes back is
 * served.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "char_rig.h"
#include "diag_rig.h"

enum {
	MUCH = 1 << 20,
	WRITER_LIMIT_MS = 60000, /* for a hang: the thread that writes a file is only late */
};

/* Files. */

/* After what is there, for it may be another's, too. */
static void a_file_gets_every_byte(void **state)
{
	static const char before[] = "what was there before";
	char start[sizeof(before) - 1];
	struct rig *rig = *state;
	struct rig_device *rd;
	int fd = open(rig->path, O_WRONLY | O_CREAT, 0600);

	assert_int_equal(write(fd, before, sizeof(start)), sizeof(start));
	close(fd);
	rd = rig_open(rig, CHAR_FILE, 0);
	rig_put(rd, 0, MUCH + 1);
	rig_close(rig, WRITER_LIMIT_MS);
	fd = open(rig->path, O_RDONLY);
	assert_int_equal(read(fd, start, sizeof(start)), sizeof(start));
	assert_memory_equal(start, before, sizeof(start));
	rig_expect(fd, 0, MUCH + 1);
	assert_int_equal(lseek(fd, 0, SEEK_END), sizeof(start) + MUCH + 1);
	close(fd);
}

static void a_file_that_takes_no_more_ends_the_vm(void **state)
{
	struct rig *rig = *state;
	struct rig_device *rd;

	assert_int_equal(symlink("/dev/full", rig->path), 0);
	rd = rig_open(rig, CHAR_FILE, 0);
	char_backend_put(&rd->port->be, 'a');
	RIG_WAIT(atomic_load(&rig->ends));
	assert_int_equal(rig->end.kind, VM_END_KILLED);
	assert_string_equal(rig->end.by, "console's file takes no more");
	rig_put(rd, 0, MUCH); /* and holds nobody up */
}

/* A regular file has a thread that writes it, and hears of the error after the guest has put the bytes. */
static void a_regular_file_that_takes_no_more_ends_the_vm(void **state)
{
	enum { LIMIT_BYTES = 4096 };
	struct rig *rig = *state;
	struct rig_device *rd = rig_open(rig, CHAR_FILE, 0);
	struct rlimit before, small;
	struct stat st;

	signal(SIGXFSZ, SIG_IGN); /* as main() does */
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = (struct rlimit){.rlim_cur = LIMIT_BYTES, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	rig_put(rd, 0, LIMIT_BYTES + 1);
	RIG_WAIT(atomic_load(&rig->ends));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(rig->end.kind, VM_END_KILLED);
	assert_string_equal(rig->end.by, "console's file takes no more");
	rig_put(rd, 0, MUCH); /* and holds nobody up */
	assert_int_equal(atomic_load(&rig->ends), 1);
	assert_int_equal(stat(rig->path, &st), 0);
	assert_int_equal(st.st_size, LIMIT_BYTES);
}

static void a_file_that_cannot_be_made_is_named(void **state)
{
	struct rig *rig = *state;
	const struct char_spec spec = {.kind = CHAR_FILE, .path = "/nonexistent/log"};

	assert_int_equal(char_host_open(&spec, &rig->loop, &rig->power, &rig->diag, &rig->host),
			 -ENOENT);
	assert_diag(&rig->diag, -ENOENT, "console-file-open '/nonexistent/log'");
}

/* Sockets. */

static int dial(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(addr.sun_path, path, strlen(path));
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void a_socket_passes_bytes_both_ways(void **state)
{
	struct rig *rig = *state;
	struct rig_device *rd = rig_open(rig, CHAR_UNIX, RIG_IN_MAX);
	int client = dial(rig->path);

	rig_put(rd, 0, 1000);
	rig_expect(client, 0, 1000);
	rig_send(client, 0, MUCH);
	rig_expect_in(rd, MUCH);
	close(client);
}

/* Puts bytes from 1 on until nothing goes any more: the socket's buffer and the ring are full. How many. */
static size_t put_till_full(struct rig_device *rd)
{
	size_t put = 0;
	uint8_t byte;

	for (unsigned still = 0; still < 100;) {
		byte = rig_byte(1 + put);
		if (char_backend_put(&rd->port->be, byte)) {
			put++;
			still = 0;
		} else {
			poll(NULL, 0, 1);
			still++;
		}
	}
	return put;
}

static void a_slow_client_gets_every_byte_and_costs_no_memory(void **state)
{
	struct rig *rig = *state;
	struct rig_device *rd = rig_open(rig, CHAR_UNIX, 0);
	int client = dial(rig->path);
	size_t put;

	rig_put(rd, 0, 1);
	rig_expect(client, 0, 1);
	put = put_till_full(rd);
	assert_int_equal(rd->port->be.room(&rd->port->be), 0);
	rig_expect(client, 1, 1 + put);
	rig_put(rd, 1 + put, 1 + put + CHAR_RING_BYTES);
	rig_expect(client, 1 + put, 1 + put + CHAR_RING_BYTES);
	close(client);
}

/* It leaves while output waits for it, and no longer does so for the next one. */
static void a_client_that_never_read_leaves_nothing_stuck(void **state)
{
	struct rig *rig = *state;
	struct rig_device *rd = rig_open(rig, CHAR_UNIX, 0);
	struct pollfd next = {.events = POLLIN};
	int client = dial(rig->path);

	rig_put(rd, 0, 1);
	put_till_full(rd);
	close(client);
	next.fd = dial(rig->path);
	assert_int_equal(poll(&next, 1, RIG_HANG_MS), 1);
	close(next.fd);
}

static void input_waits_for_the_device(void **state)
{
	struct rig *rig = *state;
	struct rig_device *rd = rig_open(rig, CHAR_UNIX, 10);
	int client = dial(rig->path);

	assert_int_equal(fcntl(client, F_SETFL, O_NONBLOCK), 0);
	rig_send(client, 0, 40000); /* more than is read ahead: the rest stays in the socket */
	for (size_t n = 10; n < 40000; n += 9999) {
		rig_expect_in(rd, n);
		rig_make_room(rd, 9999);
	}
	rig_expect_in(rd, 40000);
	close(client);
}

static void the_newest_output_waits_for_a_client(void **state)
{
	struct rig *rig = *state;
	struct rig_device *rd = rig_open(rig, CHAR_UNIX, 0);
	const size_t total = 5 * CHAR_RING_BYTES + 123;
	uint8_t first;
	size_t from;
	int client;

	rig_put(rd, 0, total); /* holds the device up for no longer than the event thread takes */
	client = dial(rig->path);
	rig_put(rd, total, total + 1);
	/* Where it begins depends on when the client came: the stream shows it. */
	assert_int_equal(recv(client, &first, 1, MSG_PEEK), 1);
	from = total - CHAR_RING_BYTES;
	for (bool found = false; !found; from++) {
		uint8_t head[64];

		assert_true(from <= total + 1 - CHAR_KEEP_BYTES);
		assert_int_equal(recv(client, head, sizeof(head), MSG_PEEK | MSG_WAITALL),
				 sizeof(head));
		found = true;
		for (size_t i = 0; i < sizeof(head); i++)
			found = found && head[i] == rig_byte(from + i);
	}
	rig_expect(client, from - 1, total + 1);
	close(client);
}

static void clients_come_one_after_the_other(void **state)
{
	struct rig *rig = *state;
	struct rig_device *rd = rig_open(rig, CHAR_UNIX, RIG_IN_MAX);
	int first = dial(rig->path), second;
	struct pollfd pfd = {.events = POLLIN};

	rig_put(rd, 0, 10);
	rig_expect(first, 0, 10);
	second = dial(rig->path); /* in the kernel's queue */
	rig_send(second, 10, 20);
	rig_send(first, 0, 10);
	rig_expect_in(rd, 10);
	rig_put(rd, 10, 20);
	rig_expect(first, 10, 20);
	pfd.fd = second;
	assert_int_equal(poll(&pfd, 1, 0), 0);
	close(first);
	rig_expect_in(rd, 20);
	rig_put(rd, 20, 30);
	rig_expect(second, 20, 30);
	close(second);
	for (unsigned i = 0; i < 20; i++) {
		int client = dial(rig->path);

		rig_send(client, 20 + i, 21 + i);
		rig_expect_in(rd, 21 + i);
		close(client);
	}
}

static void a_client_that_stops_sending_still_reads(void **state)
{
	struct rig *rig = *state;
	struct rig_device *rd = rig_open(rig, CHAR_UNIX, RIG_IN_MAX);
	int client = dial(rig->path), next;

	rig_send(client, 0, 10);
	assert_int_equal(shutdown(client, SHUT_WR), 0);
	rig_expect_in(rd, 10);
	rig_put(rd, 0, 10000);
	rig_expect(client, 0, 10000);
	close(client); /* seen without another byte of output */
	next = dial(rig->path);
	rig_send(next, 10, 20);
	rig_expect_in(rd, 20);
	close(next);
}

static void a_socket_is_the_owners_and_goes_with_the_vm(void **state)
{
	struct rig *rig = *state;
	struct stat st;

	rig_open(rig, CHAR_UNIX, 0);
	assert_int_equal(stat(rig->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	rig_close(rig, 0);
	assert_int_equal(stat(rig->path, &st), -1);
}

static void what_took_the_sockets_place_stays(void **state)
{
	struct rig *rig = *state;
	struct stat st;

	rig_open(rig, CHAR_UNIX, 0);
	assert_int_equal(unlink(rig->path), 0);
	close(open(rig->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	rig_close(rig, 0);
	assert_int_equal(stat(rig->path, &st), 0);
}

static void only_a_dead_socket_is_replaced(void **state)
{
	struct rig *rig = *state;
	struct char_spec spec = {.kind = CHAR_UNIX, .path = rig->path};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct char_host *second;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(addr.sun_path, rig->path, strlen(rig->path));
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	rig_open(rig, CHAR_UNIX, 0);
	assert_int_equal(char_host_open(&spec, &rig->loop, &rig->power, &rig->diag, &second),
			 -EADDRINUSE);
	close(dial(rig->path)); /* the first is as it was */
	rig_close(rig, 0);
	fd = open(rig->path, O_WRONLY | O_CREAT, 0600);
	close(fd);
	assert_int_equal(char_host_open(&spec, &rig->loop, &rig->power, NULL, &second), -EEXIST);
	spec.path = "/nonexistent/socket";
	assert_int_equal(char_host_open(&spec, &rig->loop, &rig->power, NULL, &second), -ENOENT);
}

static void a_socket_path_that_is_too_long_is_refused(void **state)
{
	struct rig *rig = *state;
	char path[200];
	const struct char_spec spec = {.kind = CHAR_UNIX, .path = path};

	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(char_host_open(&spec, &rig->loop, &rig->power, &rig->diag, &rig->host),
			 -EINVAL);
	assert_diag(&rig->diag, -EINVAL, "console-path-length 107");
}

/* Pseudo-terminals. */

static int open_link(const struct rig *rig)
{
	int fd = open(rig->path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void a_pseudo_terminal_passes_every_byte_both_ways(void **state)
{
	struct rig *rig = *state;
	struct rig_device *rd = rig_open(rig, CHAR_PTY, RIG_IN_MAX);
	char target[64] = "";
	int client;

	assert_true(readlink(rig->path, target, sizeof(target) - 1) > 0);
	assert_string_equal(target, rig->host->name);
	client = open_link(rig);
	rig_put(rd, 0, 2000); /* all values: it is raw */
	rig_expect(client, 0, 2000);
	rig_send(client, 0, 100000);
	rig_expect_in(rd, 100000);
	close(client);
}

static void a_slow_reader_of_a_pseudo_terminal_gets_every_byte(void **state)
{
	struct rig *rig = *state;
	struct rig_device *rd = rig_open(rig, CHAR_PTY, 0);
	int client = open_link(rig);
	size_t put = 0;

	for (unsigned still = 0; still < 100;) {
		if (char_backend_put(&rd->port->be, rig_byte(put))) {
			put++;
			still = 0;
		} else {
			poll(NULL, 0, 1);
			still++;
		}
	}
	assert_true(put >= CHAR_RING_BYTES);
	rig_expect(client, 0, put);
	close(client);
}

static void clients_of_a_pseudo_terminal_come_and_go(void **state)
{
	struct rig *rig = *state;
	struct rig_device *rd = rig_open(rig, CHAR_PTY, RIG_IN_MAX);

	for (unsigned i = 0; i < 20; i++) {
		int client = open_link(rig);

		rig_send(client, i, i + 1);
		rig_expect_in(rd, i + 1);
		rig_put(rd, i, i + 1);
		rig_expect(client, i, i + 1);
		close(client);
	}
	/* Nobody there: nobody waits. */
	rig_put(rd, 20, MUCH);
}

static void the_last_words_are_read_before_a_pseudo_terminal_goes(void **state)
{
	struct rig *rig = *state;
	struct rig_device *rd = rig_open(rig, CHAR_PTY, 0);
	int client = open_link(rig);
	pid_t reader;
	int status;

	rig_put(rd, 0, 1);
	rig_expect(client, 0, 1); /* it is known to be there */
	rig_put(rd, 1, 3000);
	reader = fork();
	if (reader == 0) { /* reads while the parent closes */
		size_t at = 1;
		uint8_t byte;

		fcntl(client, F_SETFL, 0);
		while (at < 3000 && read(client, &byte, 1) == 1 && byte == rig_byte(at))
			at++;
		_exit(at == 3000 ? 0 : 1);
	}
	rig_close(rig, RIG_HANG_MS);
	assert_int_equal(waitpid(reader, &status, 0), reader);
	assert_int_equal(status, 0);
	close(client);
}

static void a_link_replaces_no_file(void **state)
{
	struct rig *rig = *state;
	const struct char_spec spec = {.kind = CHAR_PTY, .path = rig->path};
	struct stat st;
	int fd = open(rig->path, O_WRONLY | O_CREAT, 0600);

	close(fd);
	assert_int_equal(char_host_open(&spec, &rig->loop, &rig->power, &rig->diag, &rig->host),
			 -EEXIST);
	unlink(rig->path);
	assert_int_equal(symlink("/nonexistent", rig->path), 0);
	assert_int_equal(char_host_open(&spec, &rig->loop, &rig->power, &rig->diag, &rig->host),
			 -EEXIST);
	unlink(rig->path);
	assert_int_equal(symlink("/dev/pts/999999", rig->path), 0); /* a dead run's */
	rig_open(rig, CHAR_PTY, 0);
	rig_close(rig, 0);
	assert_int_equal(lstat(rig->path, &st), -1);
}

/* Several devices at one host. */

static void input_goes_to_the_last_device_that_listens(void **state)
{
	struct rig *rig = *state;
	struct rig_device *one, *two;
	int client;

	rig_host(rig, CHAR_UNIX);
	one = rig_connect(rig, 0, 100);
	two = rig_connect(rig, 1, 100);
	rig_set_listens(two, false);
	rig_start(rig);
	client = dial(rig->path);
	rig_send(client, 0, 10);
	rig_expect_in(one, 10);
	rig_set_listens(two, true);
	rig_send(client, 0, 5);
	rig_expect_in(two, 5);
	rig_close(rig, 0);
	close(client);
}

static void input_waits_for_a_device_that_listens(void **state)
{
	struct rig *rig = *state;
	struct rig_device *rd = rig_open(rig, CHAR_UNIX, 100000);
	int client;

	rig_set_listens(rd, false);
	client = dial(rig->path);
	rig_send(client, 0, (size_t)3 * CHAR_INPUT_BYTES);
	RIG_WAIT(atomic_load(&rig->host->input_wanted));
	assert_int_equal(rig_in_len(rd), 0);
	rig_set_listens(rd, true);
	rd->port->be.input_wanted(&rd->port->be);
	rig_expect_in(rd, (size_t)3 * CHAR_INPUT_BYTES);
	close(client);
}

static void the_user_may_choose_who_gets_the_input(void **state)
{
	struct rig *rig = *state;
	struct rig_device *one, *two;
	int client;

	rig_host(rig, CHAR_UNIX);
	one = rig_connect(rig, 0, 100);
	two = rig_connect(rig, 1, 100);
	char_host_next_input(rig->host); /* from two, which is the default, to one */
	rig_start(rig);
	client = dial(rig->path);
	rig_send(client, 0, 10);
	rig_expect_in(one, 10);
	rig_close(rig, 0);
	assert_int_equal(rig_in_len(two), 0);
	close(client);
}

static void output_of_all_devices_gets_out(void **state)
{
	struct rig *rig = *state;
	struct stat st;

	rig_host(rig, CHAR_FILE);
	for (unsigned i = 0; i < RIG_DEVICES; i++)
		rig_put(rig_connect(rig, i, 0), 0, 1000);
	rig_start(rig);
	rig_close(rig, WRITER_LIMIT_MS);
	assert_int_equal(stat(rig->path, &st), 0);
	assert_int_equal(st.st_size, RIG_DEVICES * 1000);
}

static void a_resize_is_told(void **state)
{
	struct rig *rig = *state;
	struct rig_device *rd = rig_open(rig, CHAR_FILE, 0);
	uint16_t cols = 1, rows = 2;

	rig_close(rig, 0);
	assert_int_equal(atomic_load(&rd->resizes), 0);
	rig_open(rig, CHAR_FILE, 0);
	char_host_resized(rig->host);
	assert_int_equal(atomic_load(&rd->resizes), 1);
	assert_false(rd->port->be.size(&rd->port->be, &cols, &rows)); /* a file has none */
	assert_true(cols == 1 && rows == 2);
}

static void nothing_is_a_place_too(void **state)
{
	struct char_backend be;
	uint16_t cols, rows;

	(void)state;
	char_null_init(&be);
	assert_true(char_backend_put(&be, 'a'));
	assert_int_equal(be.write(&be, (const uint8_t *)"abc", 3), 3);
	assert_true(be.room(&be) > CHAR_RING_BYTES);
	be.input_wanted(&be);
	assert_false(be.size(&be, &cols, &rows));
}

static unsigned panic_state(const char *text)
{
	struct char_panic whole = {0}, bytes = {0};

	char_panic_feed(&whole, (const uint8_t *)text, strlen(text));
	for (const char *at = text; *at; at++)
		char_panic_feed(&bytes, (const uint8_t *)at, 1);
	assert_int_equal(whole.state, bytes.state);
	return whole.state;
}

static void a_panic_is_known_by_its_lines(void **state)
{
#define SAID "[    1.5] Kernel panic - not syncing: gone\r\n"
#define LAST "[    1.6] ---[ end Kernel panic - not syncing: gone ]---"
	(void)state;
	assert_int_equal(panic_state(""), CHAR_PANIC_NONE);
	assert_int_equal(panic_state("Kernel panic - not sync"), CHAR_PANIC_NONE);
	assert_int_equal(panic_state(&LAST[sizeof("[    1.6] ---[ end ") - 1]), CHAR_PANIC_SAID);
	assert_int_equal(panic_state("KKernel panic - Kernel panic - not syncing"),
			 CHAR_PANIC_SAID);
	assert_int_equal(panic_state(SAID "Call Trace:\n"), CHAR_PANIC_SAID);
	assert_int_equal(panic_state(SAID LAST), CHAR_PANIC_LAST);
	assert_int_equal(panic_state(SAID LAST "\n"), CHAR_PANIC_OVER);
	assert_int_equal(panic_state(SAID LAST "\r\n\r\n"), CHAR_PANIC_OVER);
	assert_int_equal(panic_state(SAID LAST "\n$ "), CHAR_PANIC_SAID);
	assert_int_equal(panic_state(SAID LAST "\n" SAID LAST "\n"), CHAR_PANIC_OVER);
	assert_int_equal(panic_state(SAID "[[ end Kernel panic\n"), CHAR_PANIC_OVER);
}

static void count_panic(void *arg)
{
	atomic_uint *count = arg;

	atomic_fetch_add(count, 1);
}

static void put_text(struct rig_device *rd, const char *text)
{
	const size_t len = strlen(text);

	assert_int_equal(rd->port->be.write(&rd->port->be, (const uint8_t *)text, len), len);
}

/* Also without a client, and when the last line comes between two flushes, of which the second has nothing to write. */
static void a_panic_is_seen_without_a_client(void **state)
{
	struct rig *rig = *state;
	struct rig_device *rd = rig_open(rig, CHAR_UNIX, 0);
	atomic_uint count = 0;

	char_port_watch_panic(rd->port, count_panic, &count);
	for (unsigned i = 0; i < 20; i++) {
		const unsigned before = atomic_load(&count);

		put_text(rd, SAID);
		poll(NULL, 0, 1);
		put_text(rd, LAST "\n");
		RIG_WAIT(atomic_load(&count) > before);
	}
}

static void one_that_goes_nowhere_is_looked_at(void **state)
{
	struct char_null null;

	(void)state;
	char_null_init_watching(&null);
	assert_int_equal(null.be.write(&null.be, (const uint8_t *)SAID, sizeof(SAID) - 1),
			 sizeof(SAID) - 1);
	assert_int_equal(null.panic.state, CHAR_PANIC_SAID);
	assert_true(null.be.room(&null.be) > CHAR_RING_BYTES);
}

int main(void)
{
#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_file_gets_every_byte),
		RIG_TEST(a_file_that_takes_no_more_ends_the_vm),
		RIG_TEST(a_regular_file_that_takes_no_more_ends_the_vm),
		RIG_TEST(a_file_that_cannot_be_made_is_named),
		RIG_TEST(a_socket_passes_bytes_both_ways),
		RIG_TEST(a_slow_client_gets_every_byte_and_costs_no_memory),
		RIG_TEST(a_client_that_never_read_leaves_nothing_stuck),
		RIG_TEST(input_waits_for_the_device),
		RIG_TEST(the_newest_output_waits_for_a_client),
		RIG_TEST(clients_come_one_after_the_other),
		RIG_TEST(a_client_that_stops_sending_still_reads),
		RIG_TEST(a_socket_is_the_owners_and_goes_with_the_vm),
		RIG_TEST(what_took_the_sockets_place_stays),
		RIG_TEST(only_a_dead_socket_is_replaced),
		RIG_TEST(a_socket_path_that_is_too_long_is_refused),
		RIG_TEST(a_pseudo_terminal_passes_every_byte_both_ways),
		RIG_TEST(a_slow_reader_of_a_pseudo_terminal_gets_every_byte),
		RIG_TEST(clients_of_a_pseudo_terminal_come_and_go),
		RIG_TEST(the_last_words_are_read_before_a_pseudo_terminal_goes),
		RIG_TEST(a_link_replaces_no_file),
		RIG_TEST(input_goes_to_the_last_device_that_listens),
		RIG_TEST(input_waits_for_a_device_that_listens),
		RIG_TEST(the_user_may_choose_who_gets_the_input),
		RIG_TEST(output_of_all_devices_gets_out),
		RIG_TEST(a_resize_is_told),
		cmocka_unit_test(nothing_is_a_place_too),
		cmocka_unit_test(a_panic_is_known_by_its_lines),
		RIG_TEST(a_panic_is_seen_without_a_client),
		cmocka_unit_test(one_that_goes_nowhere_is_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
