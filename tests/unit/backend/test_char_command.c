/* Unit tests of backend/char/command.c: what the guest's init gets for a command. The test has the other end of stdin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include <cmocka.h>

#include "char_rig.h"
#include "diag_rig.h"

/* guest/init/input.h */
enum { ESCAPE = 0x10 };
static const size_t credit = 2048;

static int stdin_fd; /* what standard input was before */
static int write_fd; /* to standard input */

static int setup(void **state)
{
	int ends[2];

	stdin_fd = dup(STDIN_FILENO);
	if (pipe(ends) < 0 || dup2(ends[0], STDIN_FILENO) < 0)
		return -1;
	close(ends[0]);
	write_fd = ends[1];
	return rig_setup(state);
}

static int teardown(void **state)
{
	const int r = rig_teardown(state);

	dup2(stdin_fd, STDIN_FILENO);
	close(stdin_fd);
	if (write_fd >= 0)
		close(write_fd);
	return r;
}

/* The guest's init is ready for so many bytes more, in units. */
static void give_credit(struct rig_device *rd, unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		char_backend_put(&rd->port->be, 'R');
}

static void assert_input(struct rig_device *rd, const void *bytes, size_t len)
{
	RIG_WAIT(rig_in_len(rd) >= len);
	assert_int_equal(rig_in_len(rd), len);
	assert_memory_equal(rd->in, bytes, len);
}

static void nothing_comes_before_the_guest_is_ready(void **state)
{
	struct rig *rig = *state;
	struct rig_device *rd;

	rig_host(rig, CHAR_COMMAND);
	rd = rig_connect(rig, 0, 1 << 16);
	assert_false(char_command_interrupt(rig->host));
	assert_int_equal(write(write_fd, "early", 5), 5);
	rig_start(rig);
	char_backend_put(&rd->port->be, 'x'); /* a byte that means nothing */
	assert_int_equal(rig_in_len(rd), 0);
	give_credit(rd, 1);
	assert_input(rd, "early", 5);
}

static void the_end_and_the_escape_itself_are_escaped(void **state)
{
	static const uint8_t sent[] = {'a', ESCAPE, 'E', ESCAPE, ESCAPE, 0, 0xff};
	static const uint8_t got[] = {'a',    ESCAPE, ESCAPE, 'E',  ESCAPE, ESCAPE,
				      ESCAPE, ESCAPE, 0,      0xff, ESCAPE, 'E'};
	struct rig *rig = *state;
	struct rig_device *rd = rig_open(rig, CHAR_COMMAND, 1 << 16);

	assert_int_equal(write(write_fd, sent, sizeof(sent)), sizeof(sent));
	close(write_fd);
	write_fd = -1;
	give_credit(rd, 1);
	assert_input(rd, got, sizeof(got));
}

/* As much as the guest has allowed; the rest stays in the pipe. */
static void input_keeps_to_the_credit(void **state)
{
	struct rig *rig = *state;
	struct rig_device *rd = rig_open(rig, CHAR_COMMAND, 1 << 16);
	uint8_t *data = calloc(1, 3 * credit);

	assert_non_null(data);
	assert_int_equal(write(write_fd, data, 3 * credit), 3 * credit);
	give_credit(rd, 2);
	RIG_WAIT(rig_in_len(rd) == 2 * credit);
	give_credit(rd, 1);
	RIG_WAIT(rig_in_len(rd) == 3 * credit);
	rig_close(rig, 0);
	free(data);
}

/* Also when the guest takes one byte at a time, and each byte becomes two. */
static void a_slow_device_gets_all_of_it(void **state)
{
	struct rig *rig = *state;
	struct rig_device *rd = rig_open(rig, CHAR_COMMAND, 0);
	uint8_t data[5000];
	const size_t bytes = sizeof(data);

	memset(data, ESCAPE, sizeof(data));
	assert_int_equal(write(write_fd, data, sizeof(data)), sizeof(data));
	close(write_fd);
	write_fd = -1;
	give_credit(rd, 3);
	for (size_t room = 7; rig_in_len(rd) < 2 * bytes + 2; room += 7) {
		const size_t wanted = room < 2 * bytes + 2 ? room : 2 * bytes + 2;

		rig_make_room(rd, 7);
		RIG_WAIT(rig_in_len(rd) == wanted);
	}
	for (size_t i = 0; i < 2 * bytes; i++)
		assert_int_equal(rd->in[i], ESCAPE);
	assert_int_equal(rd->in[2 * bytes + 1], 'E');
}

/* Called from the loop's thread, as for SIGINT. */
struct interrupter {
	struct event_source src;
	struct rig *rig;
	atomic_uint taken, refused;
};

static void interrupter_ready(struct event_source *src, uint32_t epoll_events)
{
	struct interrupter *it = container_of(src, struct interrupter, src);
	uint8_t byte;

	(void)epoll_events;
	if (read(src->fd, &byte, 1) != 1)
		return;
	if (char_command_interrupt(it->rig->host))
		atomic_fetch_add(&it->taken, 1);
	else
		atomic_fetch_add(&it->refused, 1);
}

/* One that the guest has not read is a sign that it hangs: the next one is not taken, and ends the VM. */
static void an_interrupt_passes_input_that_waits_for_credit(void **state)
{
	static const uint8_t interrupt[] = {ESCAPE, 'I'};
	struct rig *rig = *state;
	struct interrupter it = {.rig = rig};
	struct rig_device *rd;
	int ends[2];

	rig_host(rig, CHAR_COMMAND);
	rd = rig_connect(rig, 0, credit + 2);
	assert_int_equal(pipe(ends), 0);
	it.src =
		(struct event_source){.fd = ends[0], .events = EPOLLIN, .ready = interrupter_ready};
	assert_int_equal(event_loop_add(&rig->loop, &it.src), 0);
	rig_start(rig);
	for (unsigned i = 0; i < 2 * credit; i++)
		assert_int_equal(write(write_fd, "", 1), 1);
	give_credit(rd, 1);
	RIG_WAIT(rig_in_len(rd) == credit);
	assert_int_equal(write(ends[1], "", 1), 1);
	RIG_WAIT(rig_in_len(rd) == credit + 2);
	assert_memory_equal(rd->in + credit, interrupt, 2);
	/* The device has no room for this one. */
	assert_int_equal(write(ends[1], "", 1), 1);
	RIG_WAIT(atomic_load(&it.taken) == 2);
	assert_int_equal(write(ends[1], "", 1), 1);
	RIG_WAIT(atomic_load(&it.refused) == 1);
	rig_make_room(rd, 2);
	RIG_WAIT(rig_in_len(rd) == credit + 4);
	assert_int_equal(write(ends[1], "", 1), 1);
	RIG_WAIT(atomic_load(&it.taken) == 3);
	rig_close(rig, 0);
	event_loop_remove(&rig->loop, &it.src);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(nothing_comes_before_the_guest_is_ready),
		TEST(the_end_and_the_escape_itself_are_escaped),
		TEST(input_keeps_to_the_credit),
		TEST(a_slow_device_gets_all_of_it),
		TEST(an_interrupt_passes_input_that_waits_for_credit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
